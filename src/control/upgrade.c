#include "control/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "bus/writer.h"
#include "control/link.h"

enum { TIMEOUT_S = 60, DRAIN_S = 10, ANSWER_MARGIN_MS = 5000 };

struct upgrade_settings {
        const char *socket, *binary;
        bool is_json;
        int64_t timeout_s, drain_s;
};

#define AT(field) .offset = offsetof(struct upgrade_settings, field)
const struct argument upgrade_options[] = {
        {.name = "binary",
         .letter = 'b',
         .takes = "PATH",
         AT(binary),
         .help = "the new one, else the path of the one that runs"},
        {.name = "timeout",
         .letter = 't',
         .takes = "SECONDS",
         .is_number = true,
         AT(timeout_s),
         .help = "how long the new one may take to be ready (60)"},
        {.name = "drain",
         .letter = 'd',
         .takes = "SECONDS",
         .is_number = true,
         AT(drain_s),
         .help = "how long connections may go on in the old one (10)"},
        {.name = "socket", .letter = 's', .takes = "PATH", AT(socket), .help = LINK_SOCKET_HELP},
        {.name = "json", AT(is_json), .help = "as one line of JSON"},
        ARGUMENT_HELP,
};
#undef AT

static int write_arguments(struct writer *w, const struct upgrade_settings *s) {
        writer_open(w, NULL, '{');
        if (s->binary) {
                /* The daemon may run in another directory. */
                _owned_(memory_free) char *path = realpath(s->binary, NULL);
                if (!path) {
                        fprintf(stderr, "penstock: %s: %s\n", s->binary, fail_text(errno));
                        return LINK_FAILED;
                }
                writer_string(w, "binary", path);
        }
        writer_int(w, "timeout", s->timeout_s * 1000);
        writer_int(w, "drain", s->drain_s * 1000);
        writer_close(w, '}');
        return 0;
}

int upgrade_main(int argc, char **argv) {
        struct upgrade_settings settings = {.timeout_s = TIMEOUT_S, .drain_s = DRAIN_S};
        _owned_(link_fini) struct link link = {0};
        _owned_(writer_fini) struct writer w = {0};
        struct json *answer;
        int count;
        int r = arguments_read(
                upgrade_options, &settings, argc, argv, &count, "penstock upgrade [OPTIONS]",
                "Starts a new penstockd with the arguments of the one that runs. It gets every listening\n"
                "socket, and the old one drains and ends: no datagram and no connection attempt is lost.\n"
                "Where the new one does not start, the old one goes on.");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        if (write_arguments(&w, &settings) || link_open(&link, settings.socket))
                return LINK_FAILED;
        link.timeout_ms = settings.timeout_s * 1000 + ANSWER_MARGIN_MS;
        const char *arguments = buffer_string(&w.out);
        if (settings.is_json)
                return link_print(&link, "upgrade", arguments);
        r = link_ask(&link, "upgrade", arguments, &answer);
        if (r == 0)
                printf("penstockd %lld has taken over from %lld\n", (long long)member_int(answer, "pid"),
                       (long long)member_int(answer, "before"));
        return r;
}
