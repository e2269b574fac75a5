#include "control/flood_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "control/flood.h"
#include "control/flood_relp.h"
#include "control/flood_text.h"

/* What the options say, before it is checked. Numbers that nobody gave are NOT_GIVEN. */
struct given {
        int64_t messages, rate, batch, size, hosts, seed, connections, idle_connections, threads, window;
        const char *duration, *tag, *format, *framing, *ledger, *ca_file, *cert_file, *key_file, *server_name;
        bool is_mixed, is_sequenced, is_held, is_json, trusts_anyone, in_trains;
};
enum { NOT_GIVEN = -1 };

#define NUMBER(option, field, text)                                                                                    \
        { .name = (option), .takes = "N", .is_number = true, .offset = offsetof(struct given, field), .help = (text) }
#define WORD(option, word, field, text)                                                                                \
        { .name = (option), .takes = (word), .offset = offsetof(struct given, field), .help = (text) }
#define FLAG(option, field, text)                                                                                      \
        { .name = (option), .offset = offsetof(struct given, field), .help = (text) }

const struct argument flood_options[] = {
        /* How many, how fast. */
        NUMBER("messages", messages, "this many over all connections (1000000, or no limit with --duration)"),
        WORD("duration", "SECONDS", duration, "stop after this time"),
        NUMBER("rate", rate, "messages a second over all connections, evenly paced (0: as fast as possible)"),
        NUMBER("batch", batch, "messages a write (as many as fill 256 KiB; 128 datagrams)"),
        /* What they look like. */
        FLAG("mix", is_mixed, "like a busy host: sshd, kernel, cron, nginx, JSON, postfix, systemd (the default)"),
        WORD("tag", "TAG", tag, "of those, only one program's: sshd, orders (JSON) ..."),
        NUMBER("size", size, "instead, all alike and of so many bytes, without their framing"),
        FLAG("trains", in_trains, "UDP, with --size: up to 64 datagrams leave in one piece (UDP segmentation offload)"),
        WORD("format", "FORMAT", format, "3164, 5424, or plain: no header at all (3164)"),
        WORD("framing", "FRAMING", framing, "on streams: lf or octet counting (lf)"),
        NUMBER("hosts", hosts, "distinct host names in them, up to 100000 (20; 0: none, as in local messages)"),
        FLAG("sequence", is_sequenced, "each carries seq=CONNECTION:NUMBER, for verify"),
        NUMBER("seed", seed, "for other random content; the same seed makes the same content (1)"),
        /* From where. */
        NUMBER("connections", connections, "up to 20000 (1)"),
        NUMBER("idle-connections", idle_connections, "more connections that only sit there (0)"),
        FLAG("hold", is_held, "after sending, keep all connections open until SIGTERM"),
        NUMBER("threads", threads, "up to 64 (1)"),
        /* Acknowledgements. */
        NUMBER("window", window, "RELP: messages that may be unacknowledged on a connection (128)"),
        WORD("acknowledged", "FILE", ledger, "RELP: append the marker of each acknowledged message, one a line"),
        /* TLS. */
        WORD("ca", "FILE", ca_file, "TLS: authorities (PEM) one of which must have signed the server's certificate"),
        WORD("server-name", "NAME", server_name, "TLS: whom that must be made out to (the target's HOST)"),
        FLAG("any-server", trusts_anyone, "TLS: instead, whoever answers will do"),
        WORD("cert", "FILE", cert_file, "TLS: our own certificate (PEM)"),
        WORD("key", "FILE", key_file, "TLS: its private key (PEM)"),
        FLAG("json", is_json, "print the summary as one JSON object"),
        ARGUMENT_HELP,
};

static const char usage[] = "penstock flood [OPTIONS] TARGET, or penstock flood verify [OPTIONS] FILE...";
static const char about[] = "Sends log messages to TARGET, which is one of\n"
                            "  tcp:HOST:PORT  udp:HOST:PORT  unix:PATH (datagrams)  unix-stream:PATH\n"
                            "  file:PATH (appends)  relp:HOST:PORT (ends when all is acknowledged)\n"
                            "  tls:HOST:PORT  relp+tls:HOST:PORT\n"
                            "`penstock flood verify --help` tells how to find out which of them arrived. The\n"
                            "timestamps in the messages are all that of the start.";

/* ---- Numbers ------------------------------------------------------------------------ */

bool number_is_within(int64_t number, const char *name, int64_t low, int64_t high) {
        if (number >= low && number <= high)
                return true;
        fprintf(stderr, "flood: --%s is %" PRId64 ", but must be a number from %" PRId64 " to %" PRId64 "\n", name,
                number, low, high);
        return false;
}

struct bound {
        const char *name;
        size_t given, field, field_bytes;
        int64_t low, high;
};

#define BOUND(option, member, from, to)                                                                                \
        {                                                                                                              \
                (option), offsetof(struct given, member), offsetof(struct settings, member),                           \
                        sizeof(((struct settings *)0)->member), (from), (to)                                           \
        }

static const struct bound bounds[] = {
        BOUND("messages", messages, 1, MESSAGES_MAX),
        BOUND("rate", rate, 0, NS_PER_S),
        BOUND("batch", batch, 1, 1000000),
        BOUND("size", size, 1, MESSAGE_BYTES_MAX),
        BOUND("hosts", hosts, 0, HOSTS_MAX),
        BOUND("seed", seed, 0, INT64_MAX),
        BOUND("connections", connections, 1, CONNECTIONS_MAX),
        BOUND("idle-connections", idle_connections, 0, CONNECTIONS_MAX),
        BOUND("threads", threads, 1, THREADS_MAX),
        BOUND("window", window, 1, RELP_WINDOW_MAX),
};

static bool take_number(struct settings *s, const struct given *g, const struct bound *b) {
        int64_t number = *(const int64_t *)(const void *)((const char *)g + b->given);
        void *field = (char *)s + b->field;
        if (number == NOT_GIVEN)
                return true;
        if (!number_is_within(number, b->name, b->low, b->high))
                return false;
        if (b->field_bytes == sizeof(uint32_t))
                *(uint32_t *)field = (uint32_t)number;
        else
                *(uint64_t *)field = (uint64_t)number;
        return true;
}

/* ---- Words -------------------------------------------------------------------------- */

struct choice {
        const char *name;
        int value;
};

static const struct choice framings[] = {
        {"lf", FRAMING_LF},
        {"octet", FRAMING_OCTET},
        {},
};

static const struct choice formats[] = {
        {"3164", FORMAT_3164},
        {"5424", FORMAT_5424},
        {"plain", FORMAT_PLAIN},
        {},
};

/* *ret stays as it is where nothing is given. */
static bool take_choice(const char *text, const char *name, const struct choice *choices, int *ret) {
        for (const struct choice *c = choices; text && c->name; c++)
                if (!strcmp(text, c->name)) {
                        *ret = c->value;
                        return true;
                }
        if (!text)
                return true;

        fprintf(stderr, "flood: --%s is '%s', but must be one of:", name, text);
        for (const struct choice *c = choices; c->name; c++)
                fprintf(stderr, " %s", c->name);
        fputc('\n', stderr);
        return false;
}

static bool take_duration(const char *text, uint64_t *ret_ns) {
        char *end;

        if (!text)
                return true;
        double seconds = strtod(text, &end);
        if (end == text || *end || !(seconds > 0 && seconds < 1e9)) {
                fprintf(stderr, "flood: --duration is '%s', but must be a time in seconds, such as 2.5\n", text);
                return false;
        }
        *ret_ns = (uint64_t)(seconds * 1e9);
        return true;
}

static bool take_tag(const char *text, const char **ret) {
        if (text && !tag_is_known(text)) {
                fprintf(stderr, "flood: no program of the mix is called '%s'; sshd and orders are\n", text);
                return false;
        }
        *ret = text;
        return true;
}

/* ---- Targets ------------------------------------------------------------------------ */

static const struct {
        const char *name;
        enum target target;
        bool is_inet, is_tls;
} targets[] = {
        {"tcp:", TARGET_TCP, true, false},    {"udp:", TARGET_UDP, true, false},
        {"unix:", TARGET_UNIX, false, false}, {"unix-stream:", TARGET_UNIX_STREAM, false, false},
        {"file:", TARGET_FILE, false, false}, {"relp:", TARGET_RELP, true, false},
        {"tls:", TARGET_TCP, true, true},     {"relp+tls:", TARGET_RELP, true, true},
};

/* HOST:PORT, where the host may be in brackets. */
static bool take_address(struct settings *s, const char *text) {
        const char *colon = strrchr(text, ':');
        if (!colon || colon == text || !colon[1])
                return false;

        size_t size = (size_t)(colon - text), port_size = strlen(colon + 1);
        if (text[0] == '[' && colon[-1] == ']') {
                text++;
                size -= 2;
        }
        if (size >= sizeof s->address || port_size >= sizeof s->port)
                return false;

        memcpy(s->address, text, size);
        memcpy(s->port, colon + 1, port_size);
        return true;
}

static bool take_path(struct settings *s, const char *text) {
        size_t size = strlen(text);
        if (!size || size >= sizeof s->address)
                return false;
        memcpy(s->address, text, size);
        return true;
}

static bool take_target(struct settings *s, const char *text) {
        for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
                size_t size = strlen(targets[i].name);
                if (strncmp(text, targets[i].name, size))
                        continue;

                s->target = targets[i].target;
                s->is_tls = targets[i].is_tls;
                if (targets[i].is_inet ? take_address(s, text + size) : take_path(s, text + size))
                        return true;
        }
        fprintf(stderr,
                "flood: the target is '%s', but must be tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unix-stream:PATH, "
                "file:PATH, relp:HOST:PORT, tls:HOST:PORT or relp+tls:HOST:PORT\n",
                text);
        return false;
}

/* ---- All together ------------------------------------------------------------------- */

static bool fits_tls(const struct settings *s) {
        bool has_rules = s->ca_file || s->server_name || s->trusts_anyone || s->cert_file || s->key_file;
        if (!s->is_tls && has_rules)
                fputs("flood: --ca, --server-name, --any-server, --cert and --key need a target with TLS: "
                      "tls:HOST:PORT or relp+tls:HOST:PORT\n",
                      stderr);
        else if (s->is_tls && !s->ca_file == !s->trusts_anyone)
                fputs("flood: with TLS, --ca says who vouches for the server, or --any-server that nobody need; "
                      "one of them must be given\n",
                      stderr);
        else if (!s->cert_file != !s->key_file)
                fputs("flood: --cert and --key belong together\n", stderr);
        else
                return true;
        return false;
}

static bool fits(const struct settings *s) {
        if (s->ledger && s->target != TARGET_RELP) {
                fputs("flood: --acknowledged needs a target that acknowledges: relp:HOST:PORT\n", stderr);
                return false;
        }
        if (s->in_trains && (s->target != TARGET_UDP || !s->size)) {
                fputs("flood: --trains needs a target udp:HOST:PORT, and --size: a train is of one size\n", stderr);
                return false;
        }
        return fits_tls(s);
}

static bool take_all(struct settings *s, const struct given *g) {
        int framing = FRAMING_LF, format = FORMAT_3164;
        bool is_right = true;

        for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
                is_right &= take_number(s, g, bounds + i);
        is_right &= take_duration(g->duration, &s->duration_ns);
        is_right &= take_tag(g->tag, &s->tag);
        is_right &= take_choice(g->format, "format", formats, &format);
        is_right &= take_choice(g->framing, "framing", framings, &framing);
        s->format = (enum format)format;
        s->framing = (enum framing)framing;
        s->ledger = g->ledger;
        s->is_sequenced = g->is_sequenced;
        s->in_trains = g->in_trains;
        s->is_held = g->is_held;
        s->is_json = g->is_json;
        s->trusts_anyone = g->trusts_anyone;
        s->ca_file = g->ca_file;
        s->cert_file = g->cert_file;
        s->key_file = g->key_file;
        s->server_name = g->server_name;
        if (g->is_mixed)
                s->size = 0;
        return is_right;
}

static void complete(struct settings *s) {
        if (!s->messages && !s->duration_ns)
                s->messages = 1000000;
        if (s->target == TARGET_UDP || s->target == TARGET_UNIX)
                s->framing = FRAMING_NONE;
        if (s->target == TARGET_RELP)
                s->framing = FRAMING_RELP;
        if (s->threads > s->connections)
                s->threads = s->connections;
}

int settings_read(struct settings *s, int argc, char **argv) {
        struct given g = {
                .messages = NOT_GIVEN,
                .rate = NOT_GIVEN,
                .batch = NOT_GIVEN,
                .size = NOT_GIVEN,
                .hosts = NOT_GIVEN,
                .seed = NOT_GIVEN,
                .connections = NOT_GIVEN,
                .idle_connections = NOT_GIVEN,
                .threads = NOT_GIVEN,
                .window = NOT_GIVEN,
        };
        int count;

        *s = (struct settings){.connections = 1, .threads = 1, .hosts = 20, .seed = 1, .window = RELP_WINDOW};
        int r = arguments_read(flood_options, &g, argc, argv, &count, usage, about);
        if (r)
                return r == ARGUMENTS_SHOWN ? SETTINGS_SHOWN : SETTINGS_WRONG;
        if (count != 1) {
                fputs("flood: exactly one target is needed; see --help\n", stderr);
                return SETTINGS_WRONG;
        }
        bool is_right = take_all(s, &g);
        if (!take_target(s, argv[1]) || !is_right || !fits(s))
                return SETTINGS_WRONG;
        complete(s);
        return 0;
}

uint64_t quota_of(uint64_t messages, uint32_t connections, uint32_t connection) {
        return messages / connections + (connection < messages % connections);
}
