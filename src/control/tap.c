#include "control/tap.h"

#include <stdio.h>
#include <time.h>

#include "bus/writer.h"
#include "control/link.h"

struct tap_settings {
        const char *socket, *from;
        bool is_json, is_complete;
        int64_t rate, count;
};

#define AT(field) .offset = offsetof(struct tap_settings, field)
const struct argument tap_options[] = {
        {.name = "from", .takes = "NAME", AT(from), .help = "only of this input, ruleset or action"},
        {.name = "complete", AT(is_complete), .help = "every message, as long as this program keeps up; else a sample"},
        {.name = "rate", .takes = "NUMBER", .is_number = true, AT(rate), .help = "messages a second of a sample (100)"},
        {.name = "count", .letter = 'n', .takes = "NUMBER", .is_number = true, AT(count), .help = "end after so many"},
        {.name = "socket", .letter = 's', .takes = "PATH", AT(socket), .help = LINK_SOCKET_HELP},
        {.name = "json", AT(is_json), .help = "each message as one line of JSON"},
        ARGUMENT_HELP,
};
#undef AT

struct watcher {
        struct link *link;
        const struct tap_settings *settings;
        int64_t left; /* until the end; negative: there is none */
};

static void show_time(int64_t us) {
        time_t seconds = (time_t)(us / 1000000);
        struct tm local;
        char text[32];
        localtime_r(&seconds, &local);
        strftime(text, sizeof text, "%H:%M:%S", &local);
        printf("%s.%03d ", text, (int)(us / 1000 % 1000));
}

static void show_one(const struct json *m) {
        static const char *const members[] = {"host", "tag"};
        show_time(member_int(m, "received_us"));
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                print_text(member_text(m, members[i]), 0);
                putchar(' ');
        }
        printf("[%.*s.%.*s]", TEXT_ARGS(member_text(m, "facility")), TEXT_ARGS(member_text(m, "severity")));
        struct text message = member_text(m, "message");
        if (!text_starts(message, TEXT(" ")))
                putchar(' ');
        print_text(message, 0);
        putchar('\n');
}

static void show_json(const struct json *m) {
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, m, JSON_COMPACT);
        printf("%.*s\n", TEXT_ARGS(buffer_as_text(&out)));
}

static void take(struct penstock_bus *bus _unused_, struct penstock_bus_message *message, void *context) {
        struct watcher *w = context;
        size_t size;
        const char *body = penstock_bus_message_body(message, &size);
        const struct json *all = link_parse(w->link, (struct text){body, size});
        const struct json *list = all && all->type == JSON_OBJECT ? json_get(all, TEXT("messages")) : NULL;
        int64_t missed = member_int(all, "missed");
        if (missed)
                fprintf(stderr, "penstock: %lld messages were missed\n", (long long)missed);
        for (uint32_t i = 0; list && list->type == JSON_ARRAY && i < list->count && w->left; i++) {
                if (w->settings->is_json)
                        show_json(list->items[i]);
                else
                        show_one(list->items[i]);
                w->left -= w->left > 0;
        }
        fflush(stdout);
        if (w->link->arena.chunk)
                arena_reset(&w->link->arena);
}

static int begin(struct link *link, const struct tap_settings *s, const char *filter) {
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        if (filter)
                writer_string(&w, "filter", filter);
        if (s->from)
                writer_string(&w, "from", s->from);
        writer_bool(&w, "complete", s->is_complete);
        if (s->rate)
                writer_int(&w, "rate", s->rate);
        writer_close(&w, '}');
        return link_ask(link, "tap", buffer_string(&w.out), NULL);
}

int tap_main(int argc, char **argv) {
        struct tap_settings settings = {0};
        _owned_(link_fini) struct link link = {0};
        int count;
        int r = arguments_read(
                tap_options, &settings, argc, argv, &count, "penstock tap [FILTER] [OPTIONS]",
                "Shows messages as they pass, until it is ended. FILTER is what could stand behind `if`\n"
                "in a configuration: penstock tap '$msg contains \"disk\" and $syslogseverity <= 4'");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        if (count > 1) {
                fprintf(stderr, "penstock: one filter, in quotes, please; there are %d arguments\n", count);
                return ARGUMENTS_WRONG;
        }
        if (link_open(&link, settings.socket))
                return LINK_FAILED;
        struct watcher watcher = {.link = &link, .settings = &settings, .left = settings.count ? settings.count : -1};
        penstock_bus_on_message(link.bus, take, &watcher);
        if (begin(&link, &settings, count ? argv[1] : NULL))
                return LINK_FAILED;
        while (watcher.left)
                if (penstock_bus_wait(link.bus, -1)) {
                        fprintf(stderr, "penstock: the daemon has left\n");
                        return LINK_FAILED;
                }
        return 0;
}
