/*
 * A load from begin to end: memory, mistakes and their places, the stack of texts
 * being read, and the configuration that comes out.
 */
#include "language/loader.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "module/settings.h"

/* ---- Memory ------------------------------------------------------------------------ */

void *loader_alloc(struct loader *l, size_t size) {
        void *piece = arena_zalloc(l->arena, size);
        if (!piece)
                l->failure = -ENOMEM;
        return piece;
}

struct text loader_text(struct loader *l, struct text t) {
        struct text copy = arena_text(l->arena, t);
        if (!copy.data)
                l->failure = -ENOMEM;
        return copy;
}

const char *loader_string(struct loader *l, struct text t) {
        return loader_text(l, t).data;
}

void loader_own(struct loader *l, const struct settings_type *type, void *settings) {
        struct owned_settings *o = settings ? loader_alloc(l, sizeof *o) : NULL;
        if (!o) {
                settings_free(type, settings);
                l->failure = -ENOMEM;
                return;
        }
        *o = (struct owned_settings){.type = type, .settings = settings, .next = l->config->owned};
        l->config->owned = o;
}

void *loader_settings(struct loader *l, const struct settings_type *type) {
        void *settings = settings_new(type);
        if (!settings) {
                l->failure = -ENOMEM;
                return NULL;
        }
        loader_own(l, type, settings);
        return l->config->owned && l->config->owned->settings == settings ? settings : NULL;
}

/* ---- Saying -------------------------------------------------------------------------- */

struct place loader_place(struct loader *l, size_t at) {
        return source_place(l->source, at);
}

void complain(struct loader *l, struct place place, size_t width, int code, const char *hint, const char *format, ...) {
        va_list args;
        va_start(args, format);
        diagnose_va(l->diagnostics, SEVERITY_ERR, code, place, (uint32_t)MIN(width, (size_t)UINT32_MAX), hint, format,
                    args);
        va_end(args);
}

void warn(struct loader *l, struct place place, size_t width, int code, const char *hint, const char *format, ...) {
        va_list args;
        va_start(args, format);
        diagnose_va(l->diagnostics, SEVERITY_WARNING, code, place, (uint32_t)MIN(width, (size_t)UINT32_MAX), hint,
                    format, args);
        va_end(args);
}

void note(struct loader *l, struct place place, size_t width, const char *hint, const char *format, ...) {
        va_list args;
        va_start(args, format);
        diagnose_va(l->diagnostics, SEVERITY_INFO, 0, place, (uint32_t)MIN(width, (size_t)UINT32_MAX), hint, format,
                    args);
        va_end(args);
}

const char *did_you_mean(struct loader *l, const char *name) {
        if (!name || !*name)
                return NULL;
        _owned_(buffer_fini) struct buffer hint = {0};
        buffer_format(&hint, "did you mean `%s`?", name);
        return loader_string(l, buffer_as_text(&hint));
}

void note_construct(struct loader *l, struct place place, struct text text) {
        enum { SHOWN_BYTES = 200 };
        const struct construct *last = l->construct_last;
        if (!l->options->notes_constructs || (last && last->place.line == place.line && last->place.file == place.file))
                return;
        struct construct *c = loader_alloc(l, sizeof *c);
        if (!c)
                return;
        *c = (struct construct){.place = place, .text = loader_text(l, text_trim(text_slice(text, 0, SHOWN_BYTES)))};
        *l->construct_tail = c;
        l->construct_tail = &c->next;
        l->construct_last = c;
}

/* ---- Texts -------------------------------------------------------------------------------- */

/* Copies what has been read of the current text to the flat form. */
static void flatten_up_to(struct loader *l, size_t at) {
        if (l->source->is_embedded)
                return;
        buffer_text(&l->flat, text_slice(l->source->text, l->source->flat_from, at));
        l->source->flat_from = at;
}

static void flat_line_end(struct loader *l) {
        if (l->flat.size && l->flat.data[l->flat.size - 1] != '\n')
                buffer_byte(&l->flat, '\n');
}

void source_push(struct loader *l, struct source *source) {
        if (l->source) {
                flatten_up_to(l, l->at);
                l->source->resume_at = l->at;
        }
        flat_line_end(l);
        buffer_format(&l->flat, "##### BEGIN CONFIG: %s (put on stack)\n", source->name);
        source->parent = l->source;
        l->source = source;
        l->at = 0;
}

bool source_pop(struct loader *l) {
        struct source *done = l->source;
        if (done->is_closed)
                return false;
        flatten_up_to(l, done->text.size);
        flat_line_end(l);
        buffer_format(&l->flat, "##### END   CONFIG: %s\n", done->name);
        if (!done->parent) {
                /* Stays the current text, at its end; printed once. */
                done->flat_from = done->text.size;
                return false;
        }
        l->source = done->parent;
        l->at = l->source->resume_at;
        l->source->is_begun = true;
        return true;
}

static struct source *make_source(struct loader *l, const char *name, struct text text) {
        if (++l->sources_read > SOURCES_MAX) {
                complain(l, loader_place(l, l->at), 0, CODE_SYNTAX, NULL, "more than %d texts are included",
                         SOURCES_MAX);
                return NULL;
        }
        diagnostics_add_source(l->diagnostics, name, text);
        struct source *source = (source_is_yaml(name) ? source_new_whole : source_new)(l->arena, name, text);
        if (!source) {
                l->failure = -ENOMEM;
                return NULL;
        }
        source->depth = l->source->depth + 1;
        return source;
}

static bool may_include(struct loader *l, struct place place, size_t width) {
        if (l->options->is_sealed) {
                complain(l, place, width, CODE_SYNTAX, NULL, "include is not available here");
                return false;
        }
        if (l->source->depth < INCLUDE_DEPTH_MAX)
                return true;
        _owned_(buffer_fini) struct buffer chain = {0};
        unsigned shown = 0;
        for (const struct source *s = l->source; s && shown < 5; s = s->parent, shown++)
                buffer_format(&chain, "%s%s", shown ? ", included by " : "", s->name);
        complain(l, place, width, CODE_SYNTAX, buffer_string(&chain),
                 "files include one another more than %d levels deep", INCLUDE_DEPTH_MAX);
        return false;
}

void include_text(struct loader *l, struct text text, struct place place) {
        if (!may_include(l, place, text.size))
                return;
        struct source *source = make_source(l, "text", text);
        if (!source)
                return;
        source_push(l, source);
        source->is_begun = true;
}

static bool is_being_read(const struct loader *l, const char *identity) {
        for (const struct source *s = l->source; s; s = s->parent)
                if (s->is_begun && s->identity && strcmp(s->identity, identity) == 0)
                        return true;
        return false;
}

/* One file, ready to be pushed; NULL where it cannot be, reported. */
static struct source *open_source(struct loader *l, const char *path, struct place place, size_t width) {
        const char *identity = source_identity(l->arena, path);
        if (identity && is_being_read(l, identity)) {
                complain(l, place, width, CODE_SYNTAX, NULL,
                         "trying to include file '%s', which is already included - ignored", path);
                return NULL;
        }
        struct text text;
        int r = source_read(l->arena, path, &text);
        if (r == -ENOMEM) {
                l->failure = r;
                return NULL;
        }
        if (r) {
                complain(l, place, width, CODE_SYNTAX, NULL, "error accessing config file or directory '%s': %s", path,
                         fail_text(r));
                return NULL;
        }
        struct source *source = make_source(l, path, text);
        if (source)
                source->identity = identity;
        return source;
}

/* A whole file of YAML, which is the current text. */
static void read_yaml(struct loader *l) {
        struct source *source = l->source;
        source->is_closed = source->is_begun = true;
        yaml_load(l);
        source->is_closed = false;
}

static void include_yaml(struct loader *l, struct source *source, struct place place, size_t width) {
        if (l->nesting) {
                complain(l, place, width, CODE_SYNTAX, "include it outside of all blocks",
                         "a YAML file holds a whole configuration and cannot be included inside a block");
                return;
        }
        source_push(l, source);
        read_yaml(l);
        source_pop(l);
}

void include_files(struct loader *l, struct text pattern, enum include_mode mode, struct place place, size_t width) {
        include_some(l, pattern, mode, place, width, INCLUDE_YAML | INCLUDE_OTHERS);
}

void include_some(struct loader *l, struct text pattern, enum include_mode mode, struct place place, size_t width,
                  enum include_which which) {
        const char *path = loader_string(l, pattern);
        struct strings found = {0};
        /* An empty name comes from an environment variable that is not set. */
        if (!path || !*path || !may_include(l, place, width))
                return;
        if (source_match(l->arena, path, &found)) {
                if (which & INCLUDE_OTHERS)
                        complain(l, place, width, CODE_SYNTAX, NULL, "error accessing config file or directory '%s'",
                                 path);
                return;
        }
        bool is_plain = found.count == 1 && strcmp(found.items[0], path) == 0;
        if (mode == INCLUDE_OPTIONAL && is_plain && !source_identity(l->arena, path))
                return;
        struct source **sources = loader_alloc(l, (found.count + 1) * sizeof *sources);
        if (!sources)
                return;
        size_t count = 0, missing = 0;
        for (size_t i = 0; i < found.count; i++) {
                bool is_yaml = source_is_yaml(found.items[i]);
                if (!(which & (is_yaml ? INCLUDE_YAML : INCLUDE_OTHERS)))
                        continue;
                struct source *source = open_source(l, found.items[i], place, width);
                missing += source == NULL;
                if (source && is_yaml)
                        include_yaml(l, source, place, width);
                else if (source)
                        sources[count++] = source;
        }
        if (mode == INCLUDE_ABORT && missing)
                l->config->is_aborted = true;
        /* The last is pushed first, so that they are read in order, each as if the one before included it. */
        for (size_t i = count; i > 0; i--)
                source_push(l, sources[i - 1]);
        l->source->is_begun = true;
}

/* ---- The load ------------------------------------------------------------------------------- */

static bool set_tails(struct loader *l) {
        struct config *c = l->config;
        l->module_tail = &c->modules;
        l->input_tail = &c->inputs;
        l->action_tail = &c->actions_first;
        l->parser_tail = &c->parsers;
        l->template_tail = &c->templates;
        l->ruleset_tail = &c->rulesets;
        l->outchannel_tail = &c->outchannels;
        l->definition_tail = &c->definitions;
        l->allowed_tail = &c->allowed_senders;
        l->construct_tail = &c->constructs;
        l->modules.is_caseless = l->directives.is_caseless = l->rulesets.is_caseless = true;
        c->global = loader_settings(l, &global_settings_type);
        l->global_is_set = new_marks(l, global_settings_type.params);
        return c->global && l->global_is_set;
}

static int load(struct loader *l, struct source *master) {
        if (!set_tails(l) || directives_init(l))
                return fail(-ENOMEM);
        make_always_loaded(l);
        source_push(l, master);
        master->is_begun = true;
        l->ruleset = get_ruleset(l, TEXT("RSYSLOG_DefaultRuleset"), loader_place(l, 0));
        if (!l->ruleset || l->failure)
                return fail(-ENOMEM);
        if (source_is_yaml(master->name))
                read_yaml(l);
        parse_file_level(l);
        check_references(l);
        if (!main_queue(l))
                return fail(-ENOMEM);
        struct ruleset_state *standard = names_get(&l->rulesets, TEXT("RSYSLOG_DefaultRuleset"));
        l->config->default_parsers = standard->def->parsers;
        l->config->flat = loader_text(l, buffer_as_text(&l->flat));
        return l->failure ? fail(l->failure) : buffer_failed(&l->flat);
}

/* Takes the configuration whose arena holds the master's text. */
static int load_config(struct config **ret, struct config *config, struct registry *registry, struct source *master,
                       const struct config_options *options, struct diagnostics *diagnostics) {
        static const struct config_options none = {0};
        struct loader l = {
                .config = config,
                .arena = &config->arena,
                .registry = registry,
                .options = options ? options : &none,
                .diagnostics = diagnostics,
        };
        config->logs_status = true;
        int r = load(&l, master);
        buffer_fini(&l.flat);
        if (r) {
                config_free(config);
                return pass(r);
        }
        *ret = config;
        return 0;
}

int config_load_text(struct config **ret, struct registry *registry, const char *name, struct text text,
                     const struct config_options *options, struct diagnostics *diagnostics) {
        if (text.size > SOURCE_BYTES_MAX)
                return fail(-EFBIG);
        _owned_(config_free) struct config *config = calloc(1, sizeof *config);
        if (!config)
                return fail(-ENOMEM);
        diagnostics_add_source(diagnostics, name, text);
        struct source *master = (source_is_yaml(name) ? source_new_whole : source_new)(&config->arena, name, text);
        if (!master)
                return fail(-ENOMEM);
        return load_config(ret, TAKE(config), registry, master, options, diagnostics);
}

int config_load(struct config **ret, struct registry *registry, const char *path, const struct config_options *options,
                struct diagnostics *diagnostics) {
        _owned_(config_free) struct config *config = calloc(1, sizeof *config);
        if (!config)
                return fail(-ENOMEM);
        struct text text;
        int r = source_read(&config->arena, path, &text);
        if (r)
                return pass(r);
        diagnostics_add_source(diagnostics, path, text);
        struct source *master = (source_is_yaml(path) ? source_new_whole : source_new)(&config->arena, path, text);
        if (!master)
                return fail(-ENOMEM);
        master->identity = source_identity(&config->arena, path);
        return load_config(ret, TAKE(config), registry, master, options, diagnostics);
}

struct config *config_free(struct config *config) {
        if (!config)
                return NULL;
        for (struct owned_settings *o = config->owned; o; o = o->next)
                settings_free(o->type, o->settings);
        arena_fini(&config->arena);
        free(config);
        return NULL;
}

void config_print_flat(struct buffer *out, const struct config *config) {
        buffer_text(out, config->flat);
}
