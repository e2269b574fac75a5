#include "control/status.h"

#include <stdio.h>

#include "base/fail.h"
#include "control/link.h"

struct status_settings {
        const char *socket;
        bool is_json;
};

const struct argument status_options[] = {
        {.name = "socket",
         .letter = 's',
         .takes = "PATH",
         .offset = offsetof(struct status_settings, socket),
         .help = LINK_SOCKET_HELP},
        {.name = "json", .offset = offsetof(struct status_settings, is_json), .help = "as one line of JSON"},
        ARGUMENT_HELP,
};

/* ---- Status ------------------------------------------------------------------ */

static void show_action_trouble(const struct json *actions) {
        char when[SHORT_BYTES];
        for (uint32_t i = 0; actions && actions->type == JSON_ARRAY && i < actions->count; i++) {
                const struct json *a = actions->items[i];
                struct text state = member_text(a, "state"), reason = member_text(a, "reason");
                if (text_equal(state, TEXT("ready")))
                        continue;
                printf("  %.*s is %.*s", TEXT_ARGS(member_text(a, "name")), TEXT_ARGS(state));
                if (reason.size) {
                        printf(": ");
                        print_text(reason, 0);
                }
                int error = (int)member_int(a, "errno");
                if (error)
                        printf(" (errno %d, %s)", error, fail_name(error));
                const struct json *next = json_get(a, TEXT("next_retry_ms"));
                if (next && next->type == JSON_INT)
                        printf("; next retry in %s", short_time(when, next->integer));
                putchar('\n');
        }
}

static int show_status(struct link *link) {
        struct json *status, *actions;
        char up[SHORT_BYTES], memory[SHORT_BYTES];
        int r = link_ask(link, "status", NULL, &status);
        if (r == 0)
                r = link_ask(link, "action.list", NULL, &actions);
        if (r)
                return r;
        printf("penstockd %.*s on %.*s, pid %lld, up %s, %s\n", TEXT_ARGS(member_text(status, "version")),
               TEXT_ARGS(member_text(status, "host")), (long long)member_int(status, "pid"),
               short_time(up, member_int(status, "uptime") * 1000),
               short_bytes(memory, member_int(status, "memory_bytes")));
        printf("configuration %.*s\n", TEXT_ARGS(member_text(status, "config")));
        printf("%lld messages on their way, %lld of them in the main queue\n",
               (long long)member_int(status, "unfinished"), (long long)member_int(status, "main_queue"));
        printf("%lld actions, %lld suspended\n", (long long)member_int(status, "actions"),
               (long long)member_int(status, "suspended"));
        show_action_trouble(actions);
        return 0;
}

static int run(int argc, char **argv, const char *usage, const char *about, const char *command,
               int (*show)(struct link *link)) {
        struct status_settings settings = {0};
        _owned_(link_fini) struct link link = {0};
        int count;
        int r = arguments_read(status_options, &settings, argc, argv, &count, usage, about);
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        if (link_open(&link, settings.socket))
                return LINK_FAILED;
        return settings.is_json ? link_print(&link, command, NULL) : show(&link);
}

int status_main(int argc, char **argv) {
        return run(argc, argv, "penstock status [OPTIONS]",
                   "Shows how the daemon is: since when it runs, what waits, which actions are suspended and why.",
                   "status", show_status);
}

/* ---- Stats --------------------------------------------------------------------- */

/* "kind name: a=1 b=2", of all numbers that are not 0. */
static void show_numbers(const struct json *object) {
        for (const struct json_member *m = object ? object->first : NULL; m; m = m->next)
                if (m->value->type == JSON_INT && m->value->integer)
                        printf(" %.*s=%lld", TEXT_ARGS(m->name), (long long)m->value->integer);
}

static void show_list(const struct json *stats, const char *name, const char *kind) {
        const struct json *list = json_get(stats, text_of(name));
        for (uint32_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
                const struct json *one = list->items[i];
                const struct json *counters = json_get(one, TEXT("counters"));
                printf("%s %.*s:", kind, TEXT_ARGS(member_text(one, "name")));
                show_numbers(one);
                if (counters && counters->type == JSON_OBJECT)
                        show_numbers(counters);
                putchar('\n');
        }
}

static int show_stats(struct link *link) {
        struct json *stats;
        int r = link_ask(link, "stats", NULL, &stats);
        if (r || !stats || stats->type != JSON_OBJECT)
                return r ? r : LINK_FAILED;
        show_list(stats, "inputs", "input");
        show_list(stats, "queues", "queue");
        show_list(stats, "actions", "action");
        return 0;
}

int stats_main(int argc, char **argv) {
        return run(argc, argv, "penstock stats [OPTIONS]",
                   "Shows every counter that is not 0, of inputs, queues and actions.", "stats", show_stats);
}
