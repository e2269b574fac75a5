#include "control/trace.h"

#include <stdio.h>

#include "bus/writer.h"
#include "control/link.h"

enum { TIMEOUT_S = 30 };

struct trace_settings {
        const char *socket;
        bool is_json;
        int64_t timeout_s;
};

#define AT(field) .offset = offsetof(struct trace_settings, field)
const struct argument trace_options[] = {
        {.name = "timeout",
         .letter = 't',
         .takes = "SECONDS",
         .is_number = true,
         AT(timeout_s),
         .help = "how long the message may take to come (30)"},
        {.name = "socket", .letter = 's', .takes = "PATH", AT(socket), .help = LINK_SOCKET_HELP},
        {.name = "json", AT(is_json), .help = "as one line of JSON"},
        ARGUMENT_HELP,
};
#undef AT

static void show_member(const char *label, struct text text) {
        printf("%-8s ", label);
        print_text(text, 0);
        putchar('\n');
}

static void show_values(const struct json *step) {
        const struct json *values = json_get(step, TEXT("values"));
        for (const struct json_member *m = values && values->type == JSON_OBJECT ? values->first : NULL; m;
             m = m->next) {
                printf("      %.*s = \"", TEXT_ARGS(m->name));
                print_text(m->value->type == JSON_STRING ? m->value->string : TEXT(""), 0);
                printf("\"\n");
        }
}

static void show_step(const struct json *step) {
        struct text kind = member_text(step, "step"), outcome = member_text(step, "outcome");
        struct text condition = member_text(step, "condition"), action = member_text(step, "action");
        struct text rendered = member_text(step, "rendered"), ruleset = member_text(step, "ruleset");
        printf("  %.*s:%lld  %.*s", TEXT_ARGS(member_text(step, "file")), (long long)member_int(step, "line"),
               TEXT_ARGS(kind));
        if (action.size)
                printf(" %.*s (%.*s)", TEXT_ARGS(action), TEXT_ARGS(member_text(step, "module")));
        if (ruleset.size)
                printf(" %.*s", TEXT_ARGS(ruleset));
        if (condition.size) {
                putchar(' ');
                print_text(condition, 0);
        }
        if (!text_equal(outcome, TEXT("done")))
                printf(": %.*s", TEXT_ARGS(outcome));
        putchar('\n');
        show_values(step);
        if (rendered.size) {
                printf("      ");
                print_text(text_trim(rendered), 0);
                putchar('\n');
        }
}

static int show(struct link *link, const char *arguments) {
        struct json *way;
        int r = link_ask(link, "trace", arguments, &way);
        if (r || !way || way->type != JSON_OBJECT)
                return r ? r : LINK_FAILED;
        const struct json *message = json_get(way, TEXT("message")), *steps = json_get(way, TEXT("steps"));
        show_member("message", member_text(message, "raw"));
        show_member("input", member_text(way, "input"));
        show_member("from", member_text(message, "address"));
        show_member("parser", member_text(way, "parser"));
        show_member("host", member_text(message, "host"));
        show_member("tag", member_text(message, "tag"));
        show_member("ruleset", member_text(way, "ruleset"));
        for (uint32_t i = 0; steps && steps->type == JSON_ARRAY && i < steps->count; i++)
                show_step(steps->items[i]);
        return 0;
}

int trace_main(int argc, char **argv) {
        struct trace_settings settings = {.timeout_s = TIMEOUT_S};
        _owned_(link_fini) struct link link = {0};
        _owned_(writer_fini) struct writer w = {0};
        int count;
        int r = arguments_read(
                trace_options, &settings, argc, argv, &count, "penstock trace [FILTER] [OPTIONS]",
                "Follows the next message that passes FILTER (see `penstock tap --help`): where it came\n"
                "from, which parser took it, what each condition saw, what actions were given.");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        if (count > 1) {
                fprintf(stderr, "penstock: one filter, in quotes, please; there are %d arguments\n", count);
                return ARGUMENTS_WRONG;
        }
        if (link_open(&link, settings.socket))
                return LINK_FAILED;
        link.timeout_ms = settings.timeout_s * 1000 + 5000;
        writer_open(&w, NULL, '{');
        if (count)
                writer_string(&w, "filter", argv[1]);
        writer_int(&w, "timeout", settings.timeout_s * 1000);
        writer_close(&w, '}');
        const char *arguments = buffer_string(&w.out);
        return settings.is_json ? link_print(&link, "trace", arguments) : show(&link, arguments);
}
