/*
 * The configuration on the bus: as it was loaded, secrets masked; and the few
 * settings that may change while the daemon runs:
 *
 *   {"log": {"level": "info", "ratelimit.interval": 5, "ratelimit.burst": 500},
 *    "queues": {"main Q": {"size": 50000, "discardMark": 40000, ...}, ...},
 *    "inputs": {"imudp[0]": {"ratelimit.interval": 5, "ratelimit.burst": 1000}, ...}}
 *
 * An update has the same form, with what shall change. It is checked whole before
 * anything is changed. What is changed so is forgotten at the next start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "daemon/bus_inside.h"
#include "module/settings.h"

/* ---- As loaded --------------------------------------------------------------- */

static void write_settings(struct writer *w, const char *name, const struct settings_type *type, const void *settings) {
        writer_open(w, name, '{');
        for (const struct param *p = type->params; settings && p && p->type; p++) {
                _owned_(buffer_fini) struct buffer value = {0};
                if (p->flags & PARAM_IS_IGNORED)
                        continue;
                settings_print(&value, settings, p);
                struct text text = buffer_as_text(&value);
                bool is_quoted = text.size >= 2 && text.data[0] == '"';
                writer_text(w, p->name, is_quoted ? text_slice(text, 1, text.size - 1) : text);
        }
        writer_close(w, '}');
}

static void write_objects(struct writer *w, const struct config *config) {
        writer_open(w, "modules", '[');
        for (const struct loaded_module *m = config->modules; m; m = m->next) {
                writer_open(w, NULL, '{');
                writer_string(w, "name", m->module->name);
                write_settings(w, "settings", &m->module->module_settings, m->settings);
                writer_close(w, '}');
        }
        writer_close(w, ']');
        writer_open(w, "inputs", '[');
        for (const struct object *o = config->inputs; o; o = o->next) {
                _owned_(buffer_fini) struct buffer text = {0};
                object_print(&text, "input", o, SECRETS_MASKED);
                writer_text(w, NULL, buffer_as_text(&text));
        }
        writer_close(w, ']');
        writer_open(w, "templates", '[');
        for (const struct template_def *t = config->templates; t; t = t->next)
                writer_string(w, NULL, t->name);
        writer_close(w, ']');
}

static void write_rulesets(struct writer *w, const struct config *config) {
        writer_open(w, "rulesets", '[');
        for (const struct ruleset_def *r = config->rulesets; r; r = r->next) {
                _owned_(buffer_fini) struct buffer text = {0};
                statements_print(&text, r->statements, 0, SECRETS_MASKED);
                writer_open(w, NULL, '{');
                writer_string(w, "name", r->name);
                if (r->queue)
                        write_settings(w, "queue", &queue_settings_type, r->queue);
                else
                        writer_null(w, "queue");
                writer_text(w, "statements", buffer_as_text(&text));
                writer_close(w, '}');
        }
        writer_close(w, ']');
}

void command_config(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        const struct config *config = b->host.config;
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "file", b->host.config_file);
        write_settings(&w, "global", &global_settings_type, config->global);
        write_settings(&w, "main_queue", &queue_settings_type, config->main_queue);
        write_objects(&w, config);
        write_rulesets(&w, config);
        writer_close(&w, '}');
        answer_with(request, &w);
}

/* ---- What may change ------------------------------------------------------------ */

static const char RATE_INTERVAL[] = "ratelimit.interval", RATE_BURST[] = "ratelimit.burst";

static void write_limit(struct writer *w, int64_t interval_s, int64_t burst) {
        writer_int(w, RATE_INTERVAL, interval_s);
        writer_int(w, RATE_BURST, burst);
}

static void write_marks(struct writer *w, struct queue *q) {
        struct queue_status s;
        queue_status(q, &s);
        writer_open(w, queue_name(q), '{');
        for (const struct queue_mark *m = queue_marks; m->name; m++)
                writer_int(w, m->name, *(const int64_t *)((const char *)&s.settings + m->offset));
        writer_close(w, '}');
}

void command_get_config(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        struct own_log_options log = own_log_options(b->host.log);
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_open(&w, "log", '{');
        writer_string(&w, "level", severity_name((unsigned)log.severity_max));
        write_limit(&w, log.rate_interval_s, log.rate_burst);
        writer_close(&w, '}');
        writer_open(&w, "queues", '{');
        size_t at = 0;
        const char *use;
        for (struct queue *q; (q = pipeline_next_queue(b->host.pipeline, &at, &use));)
                if (!queue_is_direct(q))
                        write_marks(&w, q);
        writer_close(&w, '}');
        writer_open(&w, "inputs", '{');
        struct input_limit limit;
        for (at = 0; pipeline_next_limit(b->host.pipeline, &at, &limit);) {
                writer_open(&w, limit.name, '{');
                write_limit(&w, limit.interval_s, limit.burst);
                writer_close(&w, '}');
        }
        writer_close(&w, '}');
        writer_close(&w, '}');
        answer_with(request, &w);
}

/* ---- Changing it ------------------------------------------------------------------ */

/* An update is walked through twice: to check it, then to do it. */
struct update {
        struct daemon_bus *bus;
        bool is_applied;
        struct buffer mistake; /* the first one, in words */
};

static void mistake(struct update *u, const char *format, ...) _printf_(2, 3);
static void mistake(struct update *u, const char *format, ...) {
        va_list args;
        if (u->mistake.size)
                return;
        va_start(args, format);
        buffer_vformat(&u->mistake, format, args);
        va_end(args);
}

static char *string_of(const struct scan_value *value) {
        char *room = value->kind == SCAN_STRING ? malloc(value->text.size + 1) : NULL;
        if (!room)
                return NULL;
        struct text text = scan_string(value, room);
        memmove(room, text.data, text.size);
        room[text.size] = '\0';
        return room;
}

/* interval and burst, from those that are there. False: neither of the two names. */
static bool read_limit(struct update *u, const struct scan_walk *member, int64_t *interval_s, int64_t *burst) {
        int64_t number;
        int64_t *to = scan_equals(&member->name, TEXT("ratelimit.interval")) ? interval_s
                      : scan_equals(&member->name, TEXT("ratelimit.burst"))  ? burst
                                                                             : NULL;
        if (!to)
                return false;
        if (!scan_integer(&member->value, &number) || number < 0 || number > INT32_MAX)
                mistake(u, "%.*s is a number from 0 on", TEXT_ARGS(member->name.text));
        else
                *to = number;
        return true;
}

static void update_log(struct update *u, const struct scan_value *log) {
        struct own_log_options options = own_log_options(u->bus->host.log);
        struct scan_walk walk = scan_walk_begin(log);
        while (scan_walk_next(&walk)) {
                if (read_limit(u, &walk, &options.rate_interval_s, &options.rate_burst))
                        continue;
                _owned_(memory_free) char *level = string_of(&walk.value);
                int severity = level ? severity_by_name(text_of(level)) : -1;
                if (!scan_equals(&walk.name, TEXT("level")))
                        mistake(u, "the log has no setting \"%.*s\"", TEXT_ARGS(walk.name.text));
                else if (severity < 0)
                        mistake(u, "level is a severity, such as \"debug\"");
                else
                        options.severity_max = severity;
        }
        if (u->is_applied)
                own_log_configure(u->bus->host.log, &options);
}

static void update_mark(struct update *u, struct queue *q, const struct scan_walk *member) {
        int64_t number;
        const struct queue_mark *m = queue_marks;
        while (m->name && !scan_equals(&member->name, text_of(m->name)))
                m++;
        if (!m->name)
                mistake(u, "a queue has no mark \"%.*s\"", TEXT_ARGS(member->name.text));
        else if (!scan_integer(&member->value, &number) || number < m->min || number > m->max)
                mistake(u, "%s is a number from %lld to %lld", m->name, (long long)m->min, (long long)m->max);
        else if (u->is_applied)
                (void)queue_set_mark(q, m->name, number);
}

static void update_queue(struct update *u, const char *name, const struct scan_value *marks) {
        const char *use;
        struct queue *q = pipeline_find_queue(u->bus->host.pipeline, name, &use);
        if (!q || queue_is_direct(q) || marks->kind != SCAN_OBJECT) {
                mistake(u, "there is no queue \"%s\" with marks", name);
                return;
        }
        struct scan_walk walk = scan_walk_begin(marks);
        while (scan_walk_next(&walk))
                update_mark(u, q, &walk);
}

static void update_input(struct update *u, const char *name, const struct scan_value *settings) {
        struct input_limit limit;
        size_t at = 0;
        bool is_found = false;
        while (!is_found && pipeline_next_limit(u->bus->host.pipeline, &at, &limit))
                is_found = strcmp(limit.name, name) == 0;
        if (!is_found || settings->kind != SCAN_OBJECT) {
                mistake(u, "there is no input \"%s\" with a rate limit", name);
                return;
        }
        struct scan_walk walk = scan_walk_begin(settings);
        while (scan_walk_next(&walk))
                if (!read_limit(u, &walk, &limit.interval_s, &limit.burst))
                        mistake(u, "an input has no setting \"%.*s\"", TEXT_ARGS(walk.name.text));
        if (u->is_applied && pipeline_set_limit(u->bus->host.pipeline, &limit))
                report(own_log_reporter(u->bus->host.log), SEVERITY_ERR, 0, "a rate limit was not set: no memory");
}

static void update_each(struct update *u, const struct scan_value *all,
                        void (*update)(struct update *u, const char *name, const struct scan_value *settings)) {
        struct scan_walk walk = scan_walk_begin(all);
        while (scan_walk_next(&walk)) {
                _owned_(memory_free) char *name = string_of(&walk.name);
                if (name)
                        update(u, name, &walk.value);
                else
                        mistake(u, "no memory");
        }
}

static void update_all(struct update *u, const struct scan_value *settings) {
        struct scan_walk walk = scan_walk_begin(settings);
        while (scan_walk_next(&walk)) {
                if (walk.value.kind != SCAN_OBJECT)
                        mistake(u, "\"%.*s\" is an object", TEXT_ARGS(walk.name.text));
                else if (scan_equals(&walk.name, TEXT("log")))
                        update_log(u, &walk.value);
                else if (scan_equals(&walk.name, TEXT("queues")))
                        update_each(u, &walk.value, update_queue);
                else if (scan_equals(&walk.name, TEXT("inputs")))
                        update_each(u, &walk.value, update_input);
                else
                        mistake(u, "there are no settings of \"%.*s\": log, queues, inputs", TEXT_ARGS(walk.name.text));
        }
}

void command_config_update(struct penstock_bus_request *request, void *context) {
        struct scan_value all;
        if (scan_whole(text_of(penstock_bus_request_arguments(request)), &all)) {
                refuse_with(request, "no JSON");
                return;
        }
        struct scan_value settings = scan_member(&all, TEXT("settings"));
        struct update u = {.bus = context};
        update_all(&u, &settings);
        const char *words = buffer_string(&u.mistake);
        if (!words || *words) {
                refuse_with(request, "%s", words ? words : "no memory");
        } else {
                u.is_applied = true;
                update_all(&u, &settings);
                (void)penstock_bus_answer(request, 0, NULL, NULL, NULL, 0);
        }
        buffer_fini(&u.mistake);
}
