#include "control/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "control/stage.h"
#include "control/test_file.h"
#include "message/variable.h"
#include "module/registry.h"

static const char usage[] = "penstock test [OPTIONS] FILE...";
static const char description[] =
        "Runs the unit tests in each FILE, YAML or (where its name ends in .json) JSON: messages go through a\n"
        "configuration, and what becomes of them is compared with what the test expects. Nothing is opened, sent or\n"
        "written. Prints TAP, and of what failed the difference: - is missing, + was not expected.\n"
        "\n"
        "  config: rsyslog.conf             beside FILE; or the configuration itself, in several lines\n"
        "  tests:\n"
        "    - name: failed logins are kept\n"
        "      message: '<38>Oct 11 22:14:15 web1 sshd[7]: Failed password'   # or messages: [...], or raw: 'a\\x00b'\n"
        "      from: 192.0.2.1              # also fromhost, input, ruleset, hostname, time\n"
        "      expect:\n"
        "        actions: [logins]          # what was delivered to, by name or module, in order\n"
        "        outputs: {logins: ['web1 Failed password']}\n"
        "        variables: {'$!kind': login}\n"
        "        properties: {programname: sshd}\n"
        "        parser: pmrfc3164\n"
        "        discarded: false           # by the parsers\n"
        "\n"
        "Exit 0: all passed, 1: something failed or cannot be read.";

struct test_options {
        const char *modules;
};

const struct argument test_options[] = {
        {.name = "modules",
         .letter = 'M',
         .takes = "DIRECTORY",
         .offset = offsetof(struct test_options, modules),
         .help = "where modules are that are not built in"},
        ARGUMENT_HELP,
};

struct texts {
        struct text *items;
        size_t count;
};

/* One test while it runs. */
struct trial {
        const struct test_case *test;
        struct arena arena;
        struct json *last;        /* story */
        struct json *actions;     /* steps that delivered, of all messages */
        struct buffer complaints; /* lines */
};

static void trial_fini(struct trial *t) {
        buffer_fini(&t->complaints);
        arena_fini(&t->arena);
}
OWNED_VALUE(struct trial, trial_fini);

static struct text text_in(const struct json *object, const char *name) {
        const struct json *value = json_get(object, text_of(name));
        return value && value->type == JSON_STRING ? value->string : TEXT("");
}

/* ---- Differences -------------------------------------------------------------- */

/* Control bytes as #012, so that a line is a line. */
static void add_shown(struct buffer *out, struct text t) {
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                if (c < 32 || c == 127)
                        buffer_format(out, "#%03o", c);
                else
                        buffer_byte(out, (char)c);
        }
}

static void add_line(struct trial *t, char mark, struct text line) {
        buffer_format(&t->complaints, "  %c ", mark);
        add_shown(&t->complaints, line);
        buffer_byte(&t->complaints, '\n');
}

static void begin_complaint(struct trial *t, const struct place *place, const char *what, struct text about) {
        buffer_format(&t->complaints, "%s:", place->file);
        if (place->line) /* JSON has none */
                buffer_format(&t->complaints, "%u:", place->line);
        buffer_format(&t->complaints, " %s%s%.*s\n", what, about.size ? " " : "", TEXT_ARGS(about));
}

typedef bool (*is_same)(struct text expected, struct text got, const void *context);

static bool is_same_text(struct text expected, struct text got, const void *context _unused_) {
        return text_equal(expected, got);
}

/* What both begin and end with is shown as it is, between them what is missing and what is too much. */
static void compare_lists(struct trial *t, const struct place *place, const char *what, struct text about,
                          struct texts expected, struct texts got, is_same same, const void *context) {
        size_t head = 0, tail = 0, least = MIN(expected.count, got.count);
        while (head < least && same(expected.items[head], got.items[head], context))
                head++;
        if (head == expected.count && head == got.count)
                return;
        while (tail < least - head &&
               same(expected.items[expected.count - tail - 1], got.items[got.count - tail - 1], context))
                tail++;
        begin_complaint(t, place, what, about);
        for (size_t i = 0; i < head; i++)
                add_line(t, ' ', got.items[i]);
        for (size_t i = head; i + tail < expected.count; i++)
                add_line(t, '-', expected.items[i]);
        for (size_t i = head; i + tail < got.count; i++)
                add_line(t, '+', got.items[i]);
        for (size_t i = got.count - tail; i < got.count; i++)
                add_line(t, ' ', got.items[i]);
}

static void compare_texts(struct trial *t, const struct place *place, const char *what, struct text about,
                          struct text expected, struct text got) {
        compare_lists(t, place, what, about, (struct texts){&expected, 1}, (struct texts){&got, 1}, is_same_text, NULL);
}

/* Items of a list, or the one value that stands for a list of it. */
static struct texts texts_of(struct trial *t, const struct node *n) {
        struct texts all = {.items = arena_alloc(&t->arena, (n->count + 1u) * sizeof *all.items)};
        if (!all.items)
                return all;
        if (n->kind == NODE_SCALAR)
                all.items[all.count++] = n->text;
        for (const struct node_entry *e = n->kind == NODE_SEQUENCE ? n->first : NULL; e; e = e->next)
                all.items[all.count++] = e->value->text;
        return all;
}

/* ---- Expectations ---------------------------------------------------------------- */

/* rsyslog.rfc3164 is another name of pmrfc3164. */
static struct text without_prefix(struct text parser) {
        if (text_starts(parser, TEXT("rsyslog.")))
                return text_slice(parser, 8, parser.size);
        return text_starts(parser, TEXT("pm")) ? text_slice(parser, 2, parser.size) : parser;
}

static void check_parser(struct trial *t, const struct node *n) {
        struct text got = text_in(t->last, "parser");
        if (!text_equal_nocase(without_prefix(n->text), without_prefix(got)))
                compare_texts(t, &n->place, "parser", TEXT(""), n->text, got);
}

static void check_discarded(struct trial *t, const struct node *n) {
        const struct json *discarded = json_get(t->last, TEXT("discarded"));
        bool expected = text_equal_nocase(n->text, TEXT("true")) || text_equal_nocase(n->text, TEXT("yes")) ||
                        text_equal_nocase(n->text, TEXT("on"));
        compare_texts(t, &n->place, "discarded", TEXT(""), expected ? TEXT("true") : TEXT("false"),
                      discarded && discarded->is_true ? TEXT("true") : TEXT("false"));
}

/* An action is called by its name or by that of its module. */
static bool is_called(const struct json *action, struct text name) {
        return text_equal(text_in(action, "name"), name) || text_equal(text_in(action, "module"), name);
}

static bool is_same_action(struct text expected, struct text got, const void *context) {
        const struct trial *t = context;
        if (text_equal(expected, got))
                return true;
        for (uint32_t i = 0; i < t->actions->count; i++)
                if (text_equal(text_in(t->actions->items[i], "name"), got) && is_called(t->actions->items[i], expected))
                        return true;
        return false;
}

static void check_actions(struct trial *t, const struct node *n) {
        struct texts got = {.items = arena_alloc(&t->arena, (t->actions->count + 1u) * sizeof *got.items)};
        for (uint32_t i = 0; got.items && i < t->actions->count; i++)
                got.items[got.count++] = text_in(t->actions->items[i], "name");
        compare_lists(t, &n->place, "actions", TEXT(""), texts_of(t, n), got, is_same_action, t);
}

/* The first column of each row, without the line feed that ends it. */
static struct texts output_of(struct trial *t, struct text action) {
        size_t room = 1;
        for (uint32_t i = 0; i < t->actions->count; i++) {
                const struct json *rows = json_get(t->actions->items[i], TEXT("rows"));
                room += rows ? rows->count : 0;
        }
        struct texts all = {.items = arena_alloc(&t->arena, room * sizeof *all.items)};
        for (uint32_t i = 0; all.items && i < t->actions->count; i++) {
                const struct json *rows = json_get(t->actions->items[i], TEXT("rows"));
                for (uint32_t k = 0; rows && is_called(t->actions->items[i], action) && k < rows->count; k++) {
                        struct text line = rows->items[k]->count ? text_in(rows->items[k]->items[0], "text") : TEXT("");
                        line.size -= text_ends(line, TEXT("\n"));
                        all.items[all.count++] = line;
                }
        }
        return all;
}

static void check_outputs(struct trial *t, const struct node *n) {
        for (const struct node_entry *e = n->first; e; e = e->next)
                compare_lists(t, &e->key->place, "output of", e->key->text, texts_of(t, e->value),
                              output_of(t, e->key->text), is_same_text, NULL);
}

/* "$!a!b": from the tree "$!" down; NULL: there is none. */
static const struct json *find_variable(const struct trial *t, struct text path) {
        const struct json *value = json_get(json_get(t->last, TEXT("variables")), text_slice(path, 0, 2));
        struct text rest = text_slice(path, 2, path.size);
        while (value && rest.size) {
                ptrdiff_t end = text_find(rest, TEXT("!"));
                struct text name = end < 0 ? rest : text_slice(rest, 0, (size_t)end);
                rest = end < 0 ? TEXT("") : text_slice(rest, (size_t)end + 1, rest.size);
                value = value->type == JSON_OBJECT ? json_get_nocase(value, name) : NULL;
        }
        return value;
}

/* Lists and mappings member by member; values as texts. */
static bool is_value(const struct node *n, const struct json *value) {
        if (n->kind == NODE_SCALAR) {
                _owned_(buffer_fini) struct buffer text = {0};
                if (value)
                        variable_text(&text, value);
                return text_equal(n->text, buffer_as_text(&text));
        }
        bool is_list = n->kind == NODE_SEQUENCE;
        if (!value || value->type != (is_list ? JSON_ARRAY : JSON_OBJECT) || value->count != n->count)
                return false;
        uint32_t i = 0;
        for (const struct node_entry *e = n->first; e; e = e->next, i++)
                if (!is_value(e->value, is_list ? value->items[i] : json_get(value, e->key->text)))
                        return false;
        return true;
}

static void print_node(struct buffer *out, const struct node *n) {
        if (n->kind == NODE_SCALAR) {
                buffer_text(out, n->text);
                return;
        }
        buffer_byte(out, n->kind == NODE_SEQUENCE ? '[' : '{');
        for (const struct node_entry *e = n->first; e; e = e->next) {
                if (e->key)
                        buffer_format(out, "%.*s: ", TEXT_ARGS(e->key->text));
                print_node(out, e->value);
                if (e->next)
                        buffer_text(out, TEXT(", "));
        }
        buffer_byte(out, n->kind == NODE_SEQUENCE ? ']' : '}');
}

static void check_variables(struct trial *t, const struct node *n) {
        for (const struct node_entry *e = n->first; e; e = e->next) {
                const struct json *value = find_variable(t, e->key->text);
                if (is_value(e->value, value))
                        continue;
                _owned_(buffer_fini) struct buffer expected = {0}, got = {0};
                print_node(&expected, e->value);
                if (value)
                        variable_text(&got, value);
                begin_complaint(t, &e->key->place, "variable", e->key->text);
                add_line(t, '-', buffer_as_text(&expected));
                add_line(t, '+', buffer_as_text(&got));
        }
}

/* As they are at the end of the ruleset. */
static void check_properties(struct trial *t, const struct node *n) {
        const struct json *after = json_get(t->last, TEXT("after"));
        for (const struct node_entry *e = n->first; e; e = e->next) {
                struct text name = e->key->text;
                if (text_starts(name, TEXT("$")))
                        name = text_slice(name, 1, name.size);
                const struct json *got = json_get_nocase(after, name);
                if (got)
                        compare_texts(t, &e->key->place, "property", e->key->text, e->value->text, got->string);
                else
                        begin_complaint(t, &e->key->place, "there is no property", e->key->text);
        }
}

static const struct {
        const char *key;
        void (*check)(struct trial *t, const struct node *n);
} expectations[] = {
        {"parser", check_parser},   {"discarded", check_discarded}, {"actions", check_actions},
        {"outputs", check_outputs}, {"variables", check_variables}, {"properties", check_properties},
};

/* ---- Running ------------------------------------------------------------------------ */

static void collect_actions(struct trial *t) {
        const struct json *steps = json_get(t->last, TEXT("steps"));
        for (uint32_t i = 0; steps && i < steps->count; i++)
                if (json_get(steps->items[i], TEXT("rows")))
                        (void)json_append(&t->arena, t->actions, steps->items[i]);
}

static int play_all(struct trial *t, struct stage *stage) {
        const struct test_case *test = t->test;
        for (size_t i = 0; i < test->message_count; i++) {
                struct stage_message m = {.raw = test->messages[i],
                                          .from = test->from,
                                          .host = test->host,
                                          .input = test->input,
                                          .ruleset = test->ruleset};
                int r = stage_play(stage, &m, &t->arena, &t->last);
                if (r == -ENOENT)
                        begin_complaint(t, &test->place, "there is no ruleset", text_of(test->ruleset));
                else if (r)
                        begin_complaint(t, &test->place, fail_text(r), TEXT(""));
                if (r)
                        return pass(r);
                collect_actions(t);
        }
        return 0;
}

/* `config` was loaded for this test alone: what an earlier one left is not there. */
static int run_loaded(struct trial *t, struct loaded_file *config) {
        struct global_settings *global = config->config->global;
        if (t->test->host_name) {
                char *name = strdup(t->test->host_name);
                if (!name)
                        return fail(-ENOMEM);
                free(global->local_host_name);
                global->local_host_name = name;
        }
        _owned_(stage_free) struct stage *stage = NULL;
        int r = stage_new(&stage, config, t->test->now_us);
        if (r)
                return pass(r);
        if (stage_errors(stage)) {
                begin_complaint(t, &t->test->place, "the configuration has mistakes", TEXT(""));
                return 0;
        }
        t->actions = json_array(&t->arena);
        if (!t->actions)
                return fail(-ENOMEM);
        if (play_all(t, stage))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(expectations); i++) {
                const struct node *n = node_get(t->test->expect, expectations[i].key);
                if (n)
                        expectations[i].check(t, n);
        }
        return 0;
}

static void run_case(struct trial *t, const struct test_file *file, const char *modules) {
        _owned_(loaded_file_fini) struct loaded_file config;
        const struct text *text = file->config_text.data ? &file->config_text : NULL;
        int r = loaded_file_read(&config, file->config_path, text, modules, false);
        if (r || config.diagnostics.errors) {
                _owned_(buffer_fini) struct buffer shown = {0};
                diagnostics_print(&config.diagnostics, &shown, false);
                begin_complaint(t, &t->test->place, r ? fail_text(r) : "the configuration has mistakes:",
                                text_of(r ? file->config_path : ""));
                buffer_text(&t->complaints, buffer_as_text(&shown));
                return;
        }
        r = run_loaded(t, &config);
        if (r)
                begin_complaint(t, &t->test->place, fail_text(r), TEXT(""));
}

static void print_result(unsigned number, const struct test_file *file, const struct trial *t) {
        struct text lines = buffer_as_text(&t->complaints);
        printf("%s %u - %s: %s\n", lines.size ? "not ok" : "ok", number, file->path, t->test->name);
        while (lines.size) {
                ptrdiff_t end = text_find(lines, TEXT("\n"));
                size_t size = end < 0 ? lines.size : (size_t)end;
                printf("# %.*s\n", (int)size, lines.data);
                lines = text_slice(lines, MIN(size + 1, lines.size), lines.size);
        }
}

struct tally {
        unsigned run, failed;
};

static void run_file(struct tally *tally, const char *path, const char *modules) {
        _owned_(test_file_fini) struct test_file file;
        int r = test_file_open(&file, path);
        _owned_(buffer_fini) struct buffer shown = {0};
        diagnostics_print(&file.diagnostics, &shown, false);
        fwrite(shown.data, 1, shown.size, stderr);
        if (r) {
                printf("not ok %u - %s: the file cannot be used\n", ++tally->run, path);
                tally->failed++;
                return;
        }
        for (const struct test_case *c = file.cases; c; c = c->next) {
                _owned_(trial_fini) struct trial t = {.test = c};
                run_case(&t, &file, modules);
                print_result(++tally->run, &file, &t);
                fflush(stdout);
                tally->failed += t.complaints.size > 0;
        }
}

int test_main(int argc, char **argv) {
        struct test_options options = {.modules = registry_default_path()};
        struct tally tally = {0};
        int count;
        int r = arguments_read(test_options, &options, argc, argv, &count, usage, description);
        if (r == 0 && count == 0) {
                fprintf(stderr, "penstock test: which FILE? `penstock test --help` says what stands in it\n");
                r = ARGUMENTS_WRONG;
        }
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        for (int i = 1; i <= count; i++)
                run_file(&tally, argv[i], options.modules);
        printf("1..%u\n", tally.run);
        return tally.failed ? 1 : 0;
}
