/*
 * The message bus by hand: who is there, calls, events, groups, and everything that
 * passes the broker.
 */
#include "control/bus.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/writer.h"
#include "control/link.h"

enum { PINGS = 5 };

struct bus_settings {
        const char *socket, *instance, *from, *to, *group, *type;
        bool is_json, shows_body;
        int64_t count, timeout_ms;
};

#define AT(field) .offset = offsetof(struct bus_settings, field)
const struct argument bus_options[] = {
        {.name = "instance", .takes = "NAME", AT(instance), .help = "subscribe: of the group"},
        {.name = "from", .takes = "GLOB", AT(from), .help = "monitor: messages of these clients"},
        {.name = "to", .takes = "GLOB", AT(to), .help = "monitor: messages to these clients"},
        {.name = "group", .takes = "GLOB", AT(group), .help = "monitor: messages to these groups"},
        {.name = "type", .takes = "TYPE", AT(type), .help = "monitor: messages of this type"},
        {.name = "body", AT(shows_body), .help = "monitor: with what they carry"},
        {.name = "count", .letter = 'n', .takes = "NUMBER", .is_number = true, AT(count), .help = "end after so many"},
        {.name = "timeout",
         .takes = "MILLISECONDS",
         .is_number = true,
         AT(timeout_ms),
         .help = "call: until the answer"},
        {.name = "socket", .letter = 's', .takes = "PATH", AT(socket), .help = LINK_SOCKET_HELP},
        {.name = "json", AT(is_json), .help = "as JSON, a line each"},
        ARGUMENT_HELP,
};
#undef AT

const struct subcommand bus_subcommands[] = {
        {"members", "[GROUP]", "who is there, or has subscribed to a group"},
        {"clients", "", "the same, with user, process, groups and traffic"},
        {"call", "NAME COMMAND [JSON]", "call a command, and show the answer"},
        {"notify", "EVENT [JSON]", "send an event"},
        {"subscribe", "GROUP...", "show messages to these groups (Event/NAME: an event)"},
        {"monitor", "", "show what passes the broker; for root and its own user"},
        {"ping", "[NAME]", "how long an answer takes"},
        {},
};

/* What a subcommand works with. */
struct task {
        struct link link;
        struct bus_settings settings;
        int count;
        char **words; /* behind the subcommand */
        int64_t left; /* messages to show; negative: without end */
};

/* ---- Who is there ---------------------------------------------------------------- */

static int print_members(struct task *t) {
        _owned_(writer_fini) struct writer w = {0};
        struct json *list;
        t->link.to = "Msgq";
        writer_open(&w, NULL, '{');
        if (t->count)
                writer_string(&w, "group", t->words[0]);
        writer_close(&w, '}');
        const char *arguments = buffer_string(&w.out);
        if (t->settings.is_json)
                return link_print(&t->link, "members", arguments);
        int r = link_ask(&t->link, "members", arguments, &list);
        for (uint32_t i = 0; !r && list && list->type == JSON_ARRAY && i < list->count; i++)
                if (list->items[i]->type == JSON_STRING)
                        printf("%.*s\n", TEXT_ARGS(list->items[i]->string));
        return r;
}

/* Groups are [[group, instance], ...]. */
static void print_groups(const struct json *groups) {
        for (uint32_t i = 0; groups && groups->type == JSON_ARRAY && i < groups->count; i++) {
                const struct json *pair = groups->items[i];
                if (pair->type == JSON_ARRAY && pair->count && pair->items[0]->type == JSON_STRING)
                        printf("%s%.*s", i ? "," : "", TEXT_ARGS(pair->items[0]->string));
        }
}

static int print_clients(struct task *t) {
        struct json *list;
        t->link.to = "Msgq";
        if (t->settings.is_json)
                return link_print(&t->link, "clients", NULL);
        int r = link_ask(&t->link, "clients", NULL, &list);
        if (r)
                return r;
        printf("%-32s %8s %6s %3s %10s %10s %10s %s\n", "LNAME", "PID", "UID", "V", "SENT", "RECEIVED", "QUEUED",
               "GROUPS");
        for (uint32_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
                const struct json *c = list->items[i];
                printf("%-32.*s %8lld %6lld %3lld %10lld %10lld %10lld ", TEXT_ARGS(member_text(c, "lname")),
                       (long long)member_int(c, "pid"), (long long)member_int(c, "uid"),
                       (long long)member_int(c, "protocol"), (long long)member_int(c, "sent"),
                       (long long)member_int(c, "received"), (long long)member_int(c, "queued"));
                print_groups(json_get(c, TEXT("groups")));
                putchar('\n');
        }
        return 0;
}

/* ---- Calls and events ---------------------------------------------------------------- */

static int call(struct task *t) {
        t->link.to = t->words[0];
        t->link.timeout_ms = t->settings.timeout_ms;
        return link_print(&t->link, t->words[1], t->count > 2 ? t->words[2] : NULL);
}

static int notify(struct task *t) {
        const char *parameters = t->count > 1 ? t->words[1] : NULL;
        struct json *value = parameters ? link_parse(&t->link, text_of(parameters)) : NULL;
        if (parameters && (!value || value->type != JSON_OBJECT)) {
                fprintf(stderr, "penstock: parameters of an event are a JSON object, such as '{\"zone\":\"a\"}'\n");
                return ARGUMENTS_WRONG;
        }
        int r = penstock_bus_notify(t->link.bus, t->words[0], parameters);
        if (r == 0)
                r = penstock_bus_flush(t->link.bus, -1);
        /* An answer of the broker is behind the event: it has been handed out by then. */
        t->link.to = "Msgq";
        if (r == 0)
                return link_ask(&t->link, "members", NULL, NULL);
        fprintf(stderr, "penstock: notify: %s\n", fail_text(r));
        return LINK_FAILED;
}

static int ping(struct task *t) {
        const char *name = t->count ? t->words[0] : "Msgq";
        int64_t rounds = t->settings.count ? t->settings.count : PINGS;
        t->link.to = name;
        for (int64_t i = 0; i < rounds; i++) {
                int64_t start_ns = clock_mono_ns();
                int r = link_ask(&t->link, "describe", NULL, NULL);
                if (r)
                        return r;
                double us = (double)(clock_mono_ns() - start_ns) / 1000;
                if (t->settings.is_json)
                        printf("{\"name\":\"%s\",\"us\":%.1f}\n", name, us);
                else
                        printf("%s answered in %.1f us\n", name, us);
        }
        return 0;
}

/* ---- Listening -------------------------------------------------------------------------- */

static int listen_on(struct task *t) {
        fflush(stdout);
        while (t->left) {
                int r = penstock_bus_wait(t->link.bus, -1);
                if (r) {
                        fprintf(stderr, "penstock: the bus has gone\n");
                        return LINK_FAILED;
                }
                fflush(stdout);
        }
        return 0;
}

static bool is_json(struct text body) {
        struct scan_value value;
        return scan_whole(body, &value) == 0;
}

static void show_message(struct penstock_bus *bus _unused_, struct penstock_bus_message *m, void *context) {
        struct task *t = context;
        size_t size;
        const char *data = penstock_bus_message_body(m, &size);
        struct text body = {data, size};
        if (!t->left)
                return;
        t->left -= t->left > 0;
        if (!t->settings.is_json) {
                printf("%s %s: ", penstock_bus_message_from(m), penstock_bus_message_group(m));
                print_text(body, 0);
                putchar('\n');
                return;
        }
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "from", penstock_bus_message_from(m));
        writer_string(&w, "group", penstock_bus_message_group(m));
        writer_string(&w, "instance", penstock_bus_message_instance(m));
        writer_name(&w, "body");
        if (is_json(body))
                buffer_text(&w.out, body);
        else
                scan_quote(&w.out, body);
        writer_close(&w, '}');
        printf("%.*s\n", TEXT_ARGS(buffer_as_text(&w.out)));
}

static int subscribe(struct task *t) {
        int r = 0;
        for (int i = 0; i < t->count && r == 0; i++)
                r = penstock_bus_subscribe(t->link.bus, t->words[i], t->settings.instance, show_message, t);
        if (r) {
                fprintf(stderr, "penstock: subscribe: %s\n", fail_text(r));
                return LINK_FAILED;
        }
        return listen_on(t);
}

/* {"notification":["message",{...}]}, or ["dropped",{"count":N}]. */
static void show_record(struct penstock_bus *bus _unused_, struct penstock_bus_message *m, void *context) {
        struct task *t = context;
        size_t size;
        const char *body = penstock_bus_message_body(m, &size);
        if (t->link.arena.chunk)
                arena_reset(&t->link.arena);
        const struct json *all = link_parse(&t->link, (struct text){body, size});
        const struct json *list = all && all->type == JSON_OBJECT ? json_get(all, TEXT("notification")) : NULL;
        if (!t->left || !list || list->type != JSON_ARRAY || list->count < 2)
                return;
        t->left -= t->left > 0;
        const struct json *record = list->items[1];
        _owned_(buffer_fini) struct buffer out = {0};
        if (t->settings.is_json) {
                json_print(&out, record, JSON_COMPACT);
                printf("%.*s\n", TEXT_ARGS(buffer_as_text(&out)));
                return;
        }
        const struct json *header = json_get(record, TEXT("header")), *to = json_get(record, TEXT("to"));
        printf("%-11.*s ", TEXT_ARGS(member_text(record, "event")));
        if (header)
                json_print(&out, header, JSON_COMPACT);
        print_text(buffer_as_text(&out), 0);
        printf(" -> %u clients, %lld bytes", to && to->type == JSON_ARRAY ? to->count : 0u,
               (long long)member_int(record, "size"));
        const struct json *carried = json_get(record, TEXT("body"));
        buffer_clear(&out);
        if (carried)
                json_print(&out, carried, JSON_COMPACT);
        putchar(out.size ? ' ' : '\n');
        if (out.size) {
                print_text(buffer_as_text(&out), 0);
                putchar('\n');
        }
}

static int monitor(struct task *t) {
        const struct bus_settings *s = &t->settings;
        const struct {
                const char *name, *value;
        } members[] = {{"from", s->from}, {"to", s->to}, {"group", s->group}, {"type", s->type}};
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_open(&w, "filter", '{');
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (members[i].value)
                        writer_string(&w, members[i].name, members[i].value);
        writer_close(&w, '}');
        writer_bool(&w, "body", s->shows_body);
        writer_close(&w, '}');
        penstock_bus_on_message(t->link.bus, show_record, t);
        t->link.to = "Msgq";
        int r = link_ask(&t->link, "trace", buffer_string(&w.out), NULL);
        return r ? r : listen_on(t);
}

/* ---- The word --------------------------------------------------------------------------- */

static const struct {
        const char *name;
        int words_min, words_max;
        int (*run)(struct task *task);
} runners[] = {
        {"members", 0, 1, print_members},
        {"clients", 0, 0, print_clients},
        {"call", 2, 3, call},
        {"notify", 1, 2, notify},
        {"subscribe", 1, INT_MAX, subscribe},
        {"monitor", 0, 0, monitor},
        {"ping", 0, 1, ping},
};

static void list_subcommands(struct buffer *text) {
        for (const struct subcommand *s = bus_subcommands; s->name; s++) {
                _owned_(buffer_fini) struct buffer left = {0};
                buffer_format(&left, "%s %s", s->name, s->takes);
                const char *string = buffer_string(&left);
                buffer_format(text, "\n  %-28s %s", string ? string : "", s->help);
        }
}

static int complain(const char *word) {
        _owned_(buffer_fini) struct buffer list = {0};
        list_subcommands(&list);
        if (word)
                fprintf(stderr, "penstock: `bus %s` is not one of:", word);
        else
                fprintf(stderr, "penstock: which one? penstock bus takes:");
        fprintf(stderr, "%.*s\n", TEXT_ARGS(buffer_as_text(&list)));
        return ARGUMENTS_WRONG;
}

static int complain_about_words(const char *name) {
        const struct subcommand *s = bus_subcommands;
        while (strcmp(s->name, name) != 0)
                s++;
        fprintf(stderr, "penstock: `bus %s` takes %s\n", s->name, *s->takes ? s->takes : "no arguments");
        return ARGUMENTS_WRONG;
}

static char *help_text(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        buffer_text(&text, TEXT("The message bus by hand:\n"));
        list_subcommands(&text);
        return text_copy(buffer_as_text(&text));
}

int bus_main(int argc, char **argv) {
        struct task task = {0};
        int count;
        _owned_(memory_free) char *about = help_text();
        int r = arguments_read(bus_options, &task.settings, argc, argv, &count,
                               "penstock bus WHAT [ARGUMENTS] [OPTIONS]", about ? about : "");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        size_t i = 0;
        while (count && i < ARRAY_SIZE(runners) && strcmp(runners[i].name, argv[1]) != 0)
                i++;
        if (!count || i == ARRAY_SIZE(runners))
                return complain(count ? argv[1] : NULL);
        task.count = count - 1;
        task.words = argv + 2;
        task.left = task.settings.count ? task.settings.count : -1;
        if (task.count < runners[i].words_min || task.count > runners[i].words_max)
                return complain_about_words(argv[1]);
        r = link_open(&task.link, task.settings.socket);
        if (r == 0)
                r = runners[i].run(&task);
        link_fini(&task.link);
        return r;
}
