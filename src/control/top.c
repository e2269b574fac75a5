/*
 * top asks the daemon for its counters once an interval and shows what has become
 * of them since: rates of inputs, queues with their depth, the age of what waits
 * longest and how long it will take to drain, actions with state and reason.
 *
 *   the terminal is taken over by screen_open(), and given back by screen_close(),
 *   also when a signal ends it.
 */
#include "control/top.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "bus/writer.h"
#include "control/link.h"

enum {
        INTERVAL_MS = 1000,
        INTERVAL_MIN_MS = 100,
        NAME_COLUMNS = 28,
        COLUMNS_USUAL = 100,
        ROWS_USUAL = 40,
};

struct top_settings {
        const char *socket;
        bool is_once, is_json;
        int64_t interval_ms;
};

#define AT(field) .offset = offsetof(struct top_settings, field)
const struct argument top_options[] = {
        {.name = "once", AT(is_once), .help = "show it once, and end"},
        {.name = "interval",
         .letter = 'i',
         .takes = "MILLISECONDS",
         .is_number = true,
         AT(interval_ms),
         .help = "time between two looks (1000)"},
        {.name = "socket", .letter = 's', .takes = "PATH", AT(socket), .help = LINK_SOCKET_HELP},
        {.name = "json", AT(is_json), .help = "each look as one line of JSON"},
        ARGUMENT_HELP,
};
#undef AT

/* Two looks, one after the other. */
struct looks {
        struct arena arena[2]; /* of `now` and `before`, in turn */
        struct json *now, *before, *status;
        unsigned turn;
        double seconds; /* between them */
};

/* ---- Rates ------------------------------------------------------------------- */

static const struct json *list_of(const struct json *look, const char *name) {
        const struct json *list = look && look->type == JSON_OBJECT ? json_get(look, text_of(name)) : NULL;
        return list && list->type == JSON_ARRAY ? list : NULL;
}

/* The same thing in the look before; its place may have changed with the configuration. */
static const struct json *same(const struct json *before, const struct json *one) {
        for (uint32_t i = 0; before && i < before->count; i++)
                if (text_equal(member_text(before->items[i], "name"), member_text(one, "name")))
                        return before->items[i];
        return NULL;
}

static double rate(const struct looks *l, const struct json *before, const struct json *now, const char *member) {
        int64_t more = member_int(now, member) - (before ? member_int(before, member) : 0);
        return before && l->seconds > 0 && more > 0 ? (double)more / l->seconds : 0;
}

static const struct json *counters_of(const struct json *one) {
        return one ? json_get(one, TEXT("counters")) : NULL;
}

/* Until a queue is empty, at today's speed; negative: it does not get shorter. */
static int64_t drain_ms(const struct json *queue, double in, double out) {
        int64_t waiting = member_int(queue, "waiting");
        if (waiting == 0)
                return 0;
        return out > in ? (int64_t)((double)waiting / (out - in) * 1000) : -1;
}

/* ---- As a table ----------------------------------------------------------------- */

static void print_name(const struct json *one) {
        struct text name = text_slice(member_text(one, "name"), 0, NAME_COLUMNS);
        printf("%-*.*s ", NAME_COLUMNS, TEXT_ARGS(name));
}

static void show_inputs(const struct looks *l) {
        const struct json *now = list_of(l->now, "inputs"), *before = list_of(l->before, "inputs");
        printf("%-*s %10s %12s %12s\n", NAME_COLUMNS, "INPUT", "IN/S", "SUBMITTED", "DISCARDED");
        for (uint32_t i = 0; now && i < now->count; i++) {
                const struct json *one = now->items[i], *counters = counters_of(one);
                int64_t discarded = member_int(counters, "discarded.ratelimit") + member_int(counters, "lost") +
                                    member_int(counters, "dropped.kernel") + member_int(counters, "disallowed");
                print_name(one);
                printf("%10.0f %12lld %12lld\n", rate(l, counters_of(same(before, one)), counters, "submitted"),
                       (long long)member_int(counters, "submitted"), (long long)discarded);
        }
}

static void show_queues(const struct looks *l) {
        const struct json *now = list_of(l->now, "queues"), *before = list_of(l->before, "queues");
        printf("\n%-*s %10s %10s %10s %10s %10s %10s\n", NAME_COLUMNS, "QUEUE", "IN/S", "OUT/S", "WAITING", "SIZE",
               "OLDEST", "DRAINED IN");
        for (uint32_t i = 0; now && i < now->count; i++) {
                const struct json *one = now->items[i], *then = same(before, one);
                double in = rate(l, then, one, "enqueued"), out = rate(l, then, one, "dequeued");
                int64_t left_ms = drain_ms(one, in, out), waiting = member_int(one, "waiting");
                char age[SHORT_BYTES], drain[SHORT_BYTES];
                print_name(one);
                printf("%10.0f %10.0f %10lld %10lld %10s %10s\n", in, out, (long long)waiting,
                       (long long)member_int(one, "size"),
                       waiting ? short_time(age, member_int(one, "oldest_ms")) : "-",
                       !waiting      ? "-"
                       : left_ms < 0 ? "grows"
                                     : short_time(drain, left_ms));
        }
}

static void show_actions(const struct looks *l, size_t columns) {
        const struct json *now = list_of(l->now, "actions"), *before = list_of(l->before, "actions");
        printf("\n%-*s %10s %12s %10s %-10s %s\n", NAME_COLUMNS, "ACTION", "OUT/S", "PROCESSED", "FAILED", "STATE",
               "REASON");
        for (uint32_t i = 0; now && i < now->count; i++) {
                const struct json *one = now->items[i], *next = json_get(one, TEXT("next_retry_ms"));
                char when[SHORT_BYTES];
                print_name(one);
                printf("%10.0f %12lld %10lld %-10.*s ", rate(l, same(before, one), one, "processed"),
                       (long long)member_int(one, "processed"),
                       (long long)(member_int(one, "failed") + member_int(one, "refused")),
                       TEXT_ARGS(member_text(one, "state")));
                if (next && next->type == JSON_INT)
                        printf("(again in %s) ", short_time(when, next->integer));
                print_text(member_text(one, "reason"), columns > 96 ? columns - 76 : 20);
                putchar('\n');
        }
}

static void show_table(const struct looks *l, size_t columns) {
        char up[SHORT_BYTES], memory[SHORT_BYTES];
        printf("penstockd %.*s on %.*s   up %s   %s   %lld messages on their way   %lld of %lld actions suspended\n\n",
               TEXT_ARGS(member_text(l->status, "version")), TEXT_ARGS(member_text(l->status, "host")),
               short_time(up, member_int(l->status, "uptime") * 1000),
               short_bytes(memory, member_int(l->status, "memory_bytes")),
               (long long)member_int(l->status, "unfinished"), (long long)member_int(l->status, "suspended"),
               (long long)member_int(l->status, "actions"));
        show_inputs(l);
        show_queues(l);
        show_actions(l, columns);
}

/* ---- As JSON ---------------------------------------------------------------------- */

static void write_rates(struct writer *w, const struct looks *l, const char *list, const char *of, const char *member,
                        const char *name) {
        const struct json *now = list_of(l->now, list), *before = list_of(l->before, list);
        writer_open(w, name, '{');
        for (uint32_t i = 0; now && i < now->count; i++) {
                const struct json *one = now->items[i], *then = same(before, one);
                bool is_counter = of != NULL;
                double r = rate(l, is_counter ? counters_of(then) : then, is_counter ? counters_of(one) : one, member);
                _owned_(buffer_fini) struct buffer key = {0};
                buffer_text(&key, member_text(one, "name"));
                writer_name(w, buffer_string(&key));
                buffer_format(&w->out, "%.1f", r);
        }
        writer_close(w, '}');
}

static void show_json(const struct looks *l) {
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_name(&w, "status");
        json_print(&w.out, l->status, JSON_COMPACT);
        writer_name(&w, "stats");
        json_print(&w.out, l->now, JSON_COMPACT);
        writer_open(&w, "rates", '{');
        write_rates(&w, l, "inputs", "counters", "submitted", "inputs");
        write_rates(&w, l, "queues", NULL, "enqueued", "queues_in");
        write_rates(&w, l, "queues", NULL, "dequeued", "queues_out");
        write_rates(&w, l, "actions", NULL, "processed", "actions");
        writer_close(&w, '}');
        writer_close(&w, '}');
        printf("%.*s\n", TEXT_ARGS(buffer_as_text(&w.out)));
}

/* ---- The terminal -------------------------------------------------------------------- */

static volatile sig_atomic_t is_ended;

static void note_end(int number _unused_) {
        is_ended = 1;
}

struct screen {
        struct termios before;
        bool is_open;
        size_t columns;
};

static void screen_open(struct screen *s) {
        struct termios raw;
        if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &s->before))
                return;
        raw = s->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        const struct sigaction end = {.sa_handler = note_end};
        sigaction(SIGINT, &end, NULL);
        sigaction(SIGTERM, &end, NULL);
        s->is_open = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
        printf("\033[?1049h\033[?25l"); /* another screen, no cursor */
}

static void screen_close(struct screen *s) {
        if (!s->is_open)
                return;
        printf("\033[?25h\033[?1049l");
        fflush(stdout);
        tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

static void screen_clear(struct screen *s) {
        struct winsize size = {.ws_col = COLUMNS_USUAL, .ws_row = ROWS_USUAL};
        (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        s->columns = size.ws_col ? size.ws_col : COLUMNS_USUAL;
        if (s->is_open)
                printf("\033[H\033[J");
}

/* Waits; false when the user wants to leave. */
static bool wait_a_while(const struct screen *s, int64_t ms) {
        struct pollfd keys = {.fd = s->is_open ? STDIN_FILENO : -1, .events = POLLIN};
        char key;
        if (poll(&keys, 1, (int)ms) > 0 && read(STDIN_FILENO, &key, 1) == 1)
                return key != 'q' && key != 'Q';
        return !is_ended;
}

/* ---- Looking -------------------------------------------------------------------------- */

static int look(struct link *link, struct looks *l) {
        struct json *stats = NULL, *status = NULL;
        /* What the look before last has left goes; the one before stays, to compare. */
        l->turn ^= 1;
        link->arena = l->arena[l->turn];
        if (link->arena.chunk)
                arena_reset(&link->arena);
        int r = link_ask(link, "stats", NULL, &stats);
        if (r == 0)
                r = link_ask(link, "status", NULL, &status);
        l->arena[l->turn] = link->arena;
        link->arena = (struct arena){0};
        if (r || !stats || stats->type != JSON_OBJECT)
                return r ? r : LINK_FAILED;
        l->before = l->now;
        l->now = stats;
        l->status = status;
        l->seconds = (double)(member_int(l->now, "time_us") - member_int(l->before, "time_us")) / 1e6;
        return 0;
}

static int watch(struct link *link, const struct top_settings *s, struct looks *l) {
        struct screen screen = {.columns = COLUMNS_USUAL};
        int r = look(link, l);
        if (r)
                return r;
        if (!s->is_once && !s->is_json)
                screen_open(&screen);
        bool goes_on = true;
        while (goes_on && r == 0) {
                goes_on = wait_a_while(&screen, s->interval_ms);
                if (goes_on || s->is_once)
                        r = look(link, l);
                if (r || !goes_on)
                        break;
                if (s->is_json) {
                        show_json(l);
                } else {
                        screen_clear(&screen);
                        show_table(l, screen.columns);
                }
                fflush(stdout);
                goes_on = !s->is_once;
        }
        screen_close(&screen);
        return r;
}

int top_main(int argc, char **argv) {
        struct top_settings settings = {.interval_ms = INTERVAL_MS};
        _owned_(link_fini) struct link link = {0};
        struct looks looks = {0};
        int count;
        int r = arguments_read(top_options, &settings, argc, argv, &count, "penstock top [OPTIONS]",
                               "Shows the daemon at work: rates of inputs, queues with depth, age and time to drain,\n"
                               "actions with state and reason. q ends it.");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        settings.interval_ms = MIN(MAX(settings.interval_ms, (int64_t)INTERVAL_MIN_MS), (int64_t)3600000);
        if (link_open(&link, settings.socket))
                return LINK_FAILED;
        r = watch(&link, &settings, &looks);
        arena_fini(&looks.arena[0]);
        arena_fini(&looks.arena[1]);
        return r;
}
