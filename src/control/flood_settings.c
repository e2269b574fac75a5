#include "control/flood_settings.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "control/flood_relp.h"
#include "control/flood_text.h"

struct choice {
        const char *name;
        int value;
};

static const struct choice targets[] = {
        {"tcp:", TARGET_TCP},
        {"udp:", TARGET_UDP},
        {"unix:", TARGET_UNIX},
        {"unix-stream:", TARGET_UNIX_STREAM},
        {"file:", TARGET_FILE},
        {"relp:", TARGET_RELP},
        {},
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

static const char flood_help[] =
        "Usage: penstock flood [OPTION...] TARGET\n"
        "       penstock flood verify [OPTION...] FILE...\n"
        "\n"
        "Sends log messages to TARGET, which is one of\n"
        "  tcp:HOST:PORT  udp:HOST:PORT  unix:PATH (datagrams)  unix-stream:PATH  file:PATH (appends)\n"
        "  relp:HOST:PORT (ends when all is acknowledged)\n"
        "\n"
        "How many, how fast:\n"
        "  --messages N          This many over all connections (1000000, or no limit with --duration).\n"
        "  --duration SECONDS    Stop after this time.\n"
        "  --rate N              Messages a second over all connections, evenly paced; 0: as fast as possible (0).\n"
        "  --batch N             Messages a write (as many as fill 256 KiB; 128 datagrams).\n"
        "\n"
        "What they look like:\n"
        "  --mix                 Like a busy host: sshd, kernel, cron, nginx, JSON, postfix, systemd (this is the "
        "default).\n"
        "  --tag TAG             Of those, only one program's: sshd, orders (JSON) ...\n"
        "  --size BYTES          Instead, all alike and of this size, without their framing.\n"
        "  --format FORMAT       3164, 5424, or plain: no header at all (3164).\n"
        "  --framing FRAMING     On streams: lf or octet counting (lf).\n"
        "  --hosts N             Distinct host names in them, up to 100000; 0: none, as in local messages (20).\n"
        "  --sequence            Each carries seq=CONNECTION:NUMBER, for verify.\n"
        "  --seed N              For other random content; the same seed makes the same content (1).\n"
        "\n"
        "From where:\n"
        "  --connections N       Up to 20000 (1).\n"
        "  --idle-connections N  More connections that only sit there (0).\n"
        "  --hold                After sending, keep all connections open until SIGTERM.\n"
        "  --threads N           Up to 64 (1).\n"
        "\n"
        "With relp:\n"
        "  --window N            Messages that may be unacknowledged on a connection (128).\n"
        "  --acknowledged FILE   Append the marker of each acknowledged message, one a line.\n"
        "\n"
        "  --json                Print the summary as one JSON object.\n"
        "  --help                Print this.\n"
        "\n"
        "The timestamps in the messages are all that of the start.\n";

enum option_code {
        OPTION_MESSAGES = 256,
        OPTION_DURATION,
        OPTION_RATE,
        OPTION_BATCH,
        OPTION_MIX,
        OPTION_TAG,
        OPTION_SIZE,
        OPTION_FORMAT,
        OPTION_FRAMING,
        OPTION_HOSTS,
        OPTION_SEQUENCE,
        OPTION_SEED,
        OPTION_CONNECTIONS,
        OPTION_IDLE_CONNECTIONS,
        OPTION_HOLD,
        OPTION_THREADS,
        OPTION_WINDOW,
        OPTION_ACKNOWLEDGED,
        OPTION_JSON,
};

static const struct option flood_options[] = {
        {"messages", required_argument, NULL, OPTION_MESSAGES},
        {"duration", required_argument, NULL, OPTION_DURATION},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"batch", required_argument, NULL, OPTION_BATCH},
        {"mix", no_argument, NULL, OPTION_MIX},
        {"tag", required_argument, NULL, OPTION_TAG},
        {"size", required_argument, NULL, OPTION_SIZE},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"framing", required_argument, NULL, OPTION_FRAMING},
        {"hosts", required_argument, NULL, OPTION_HOSTS},
        {"sequence", no_argument, NULL, OPTION_SEQUENCE},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"connections", required_argument, NULL, OPTION_CONNECTIONS},
        {"idle-connections", required_argument, NULL, OPTION_IDLE_CONNECTIONS},
        {"hold", no_argument, NULL, OPTION_HOLD},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"window", required_argument, NULL, OPTION_WINDOW},
        {"acknowledged", required_argument, NULL, OPTION_ACKNOWLEDGED},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {},
};

static const char *option_name(const struct option *options, int code) {
        while (options->val != code)
                options++;
        return options->name;
}

/* Says what is wrong and returns false. */
bool number_parse(const char *text, const char *name, uint64_t low, uint64_t high, uint64_t *ret) {
        char *end;

        errno = 0;
        unsigned long long n = strtoull(text, &end, 10);
        if (errno || end == text || *end || *text == '-' || n < low || n > high) {
                fprintf(stderr, "flood: --%s is '%s', but must be a number from %" PRIu64 " to %" PRIu64 "\n", name,
                        text, low, high);
                return false;
        }
        *ret = n;
        return true;
}

bool number_parse_32(const char *text, const char *name, uint32_t low, uint32_t high, uint32_t *ret) {
        uint64_t n;

        if (!number_parse(text, name, low, high, &n))
                return false;
        *ret = (uint32_t)n;
        return true;
}

static bool choice_parse(const char *text, const char *name, const struct choice *choices, int *ret) {
        for (const struct choice *c = choices; c->name; c++)
                if (!strcmp(text, c->name)) {
                        *ret = c->value;
                        return true;
                }

        fprintf(stderr, "flood: --%s is '%s', but must be one of:", name, text);
        for (const struct choice *c = choices; c->name; c++)
                fprintf(stderr, " %s", c->name);
        fputc('\n', stderr);
        return false;
}

static bool duration_parse(const char *text, uint64_t *ret_ns) {
        char *end;

        double seconds = strtod(text, &end);
        if (end == text || *end || !(seconds > 0 && seconds < 1e9)) {
                fprintf(stderr, "flood: --duration is '%s', but must be a time in seconds, such as 2.5\n", text);
                return false;
        }
        *ret_ns = (uint64_t)(seconds * 1e9);
        return true;
}

static bool settings_take_option(struct settings *s, int code, const char *value) {
        const char *name = option_name(flood_options, code);
        int chosen;

        switch (code) {
        case OPTION_MESSAGES:
                return number_parse(value, name, 1, MESSAGES_MAX, &s->messages);
        case OPTION_DURATION:
                return duration_parse(value, &s->duration_ns);
        case OPTION_RATE:
                return number_parse(value, name, 0, NS_PER_S, &s->rate);
        case OPTION_BATCH:
                return number_parse_32(value, name, 1, 1000000, &s->batch);
        case OPTION_MIX:
                s->size = 0;
                return true;
        case OPTION_TAG:
                s->tag = value;
                if (tag_is_known(value))
                        return true;
                fprintf(stderr, "penstock flood: no program of the mix is called '%s'; sshd and orders are\n", value);
                return false;
        case OPTION_SIZE:
                return number_parse_32(value, name, 1, MESSAGE_BYTES_MAX, &s->size);
        case OPTION_FORMAT:
                if (!choice_parse(value, name, formats, &chosen))
                        return false;
                s->format = (enum format)chosen;
                return true;
        case OPTION_FRAMING:
                if (!choice_parse(value, name, framings, &chosen))
                        return false;
                s->framing = (enum framing)chosen;
                return true;
        case OPTION_HOSTS:
                return number_parse_32(value, name, 0, HOSTS_MAX, &s->hosts);
        case OPTION_SEQUENCE:
                s->is_sequenced = true;
                return true;
        case OPTION_SEED:
                return number_parse(value, name, 0, UINT64_MAX, &s->seed);
        case OPTION_CONNECTIONS:
                return number_parse_32(value, name, 1, CONNECTIONS_MAX, &s->connections);
        case OPTION_IDLE_CONNECTIONS:
                return number_parse_32(value, name, 0, CONNECTIONS_MAX, &s->idle_connections);
        case OPTION_HOLD:
                s->is_held = true;
                return true;
        case OPTION_THREADS:
                return number_parse_32(value, name, 1, THREADS_MAX, &s->threads);
        case OPTION_WINDOW:
                return number_parse_32(value, name, 1, RELP_WINDOW_MAX, &s->window);
        case OPTION_ACKNOWLEDGED:
                s->ledger = value;
                return true;
        case OPTION_JSON:
                s->is_json = true;
                return true;
        }
        assert(!"every option is taken above");
        return false;
}

/* HOST:PORT, where the host may be in brackets. */
static bool settings_take_address(struct settings *s, const char *text) {
        const char *colon = strrchr(text, ':');
        if (!colon || colon == text || !colon[1])
                return false;

        size_t size = (size_t)(colon - text);
        if (text[0] == '[' && colon[-1] == ']') {
                text++;
                size -= 2;
        }
        if (size >= sizeof s->address || strlen(colon + 1) >= sizeof s->port)
                return false;

        memcpy(s->address, text, size);
        strcpy(s->port, colon + 1);
        return true;
}

static bool settings_take_path(struct settings *s, const char *text) {
        if (!*text || strlen(text) >= sizeof s->address)
                return false;
        strcpy(s->address, text);
        return true;
}

static bool settings_take_target(struct settings *s, const char *text) {
        for (const struct choice *c = targets; c->name; c++) {
                const char *rest = text + strlen(c->name);
                if (strncmp(text, c->name, strlen(c->name)))
                        continue;

                s->target = (enum target)c->value;
                bool is_inet = s->target == TARGET_TCP || s->target == TARGET_UDP || s->target == TARGET_RELP;
                if (is_inet ? settings_take_address(s, rest) : settings_take_path(s, rest))
                        return true;
        }
        fprintf(stderr,
                "flood: the target is '%s', but must be tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unix-stream:PATH, "
                "file:PATH or relp:HOST:PORT\n",
                text);
        return false;
}

static void settings_complete(struct settings *s) {
        if (!s->messages && !s->duration_ns)
                s->messages = 1000000;
        if (s->target == TARGET_UDP || s->target == TARGET_UNIX)
                s->framing = FRAMING_NONE;
        if (s->target == TARGET_RELP)
                s->framing = FRAMING_RELP;
        if (s->threads > s->connections)
                s->threads = s->connections;
}

uint64_t quota_of(uint64_t messages, uint32_t connections, uint32_t connection) {
        return messages / connections + (connection < messages % connections);
}

int settings_read(struct settings *s, int argc, char **argv) {
        bool is_right = true;

        *s = (struct settings){.connections = 1, .threads = 1, .hosts = 20, .seed = 1, .window = RELP_WINDOW};
        optind = 0;
        for (int code; (code = getopt_long(argc, argv, "h", flood_options, NULL)) >= 0;) {
                if (code == 'h') {
                        fputs(flood_help, stdout);
                        return SETTINGS_SHOWN;
                }
                is_right &= code != '?' && settings_take_option(s, code, optarg);
        }
        if (optind + 1 != argc) {
                fputs("flood: exactly one target is needed; see --help\n", stderr);
                return SETTINGS_WRONG;
        }
        if (!settings_take_target(s, argv[optind]) || !is_right)
                return SETTINGS_WRONG;
        if (s->ledger && s->target != TARGET_RELP) {
                fputs("flood: --acknowledged needs a target that acknowledges: relp:HOST:PORT\n", stderr);
                return SETTINGS_WRONG;
        }
        settings_complete(s);
        return 0;
}
