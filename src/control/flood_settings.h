/*
 * What a run of flood is asked to do: the command line, understood and checked. Read-only once workers run.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#define CONNECTIONS_MAX   20000u
#define THREADS_MAX       64u
#define HOSTS_MAX         100000u
#define MESSAGE_BYTES_MAX (64u * 1024)
#define MESSAGES_MAX      100000000000ull
#define NS_PER_S          1000000000ull

enum target {
        TARGET_TCP,
        TARGET_UDP,
        TARGET_UNIX,
        TARGET_UNIX_STREAM,
        TARGET_FILE,
        TARGET_RELP,
};

enum framing {
        FRAMING_LF,
        FRAMING_OCTET,
        FRAMING_RELP,
        FRAMING_NONE,
};

enum format {
        FORMAT_3164,
        FORMAT_5424,
        FORMAT_PLAIN,
};

struct settings {
        enum target target;
        enum framing framing;
        enum format format;
        char address[NI_MAXHOST];
        char port[NI_MAXSERV];
        const char *ledger; /* A file for what was acknowledged. */
        uint64_t messages;  /* 0: no limit. */
        uint64_t rate;      /* Messages a second; 0: no limit. */
        uint64_t duration_ns;
        uint64_t seed;
        uint32_t size; /* Bytes of one message without its framing; 0: the mix. */
        uint32_t connections;
        uint32_t idle_connections;
        uint32_t threads;
        uint32_t batch; /* Messages a write; 0: choose. */
        uint32_t hosts;
        uint32_t window; /* Messages that may be unanswered. */
        bool is_sequenced;
        bool is_held;
        bool is_json;
        const char *tag; /* Only messages of the mix with this one; NULL: all. */
};

enum { SETTINGS_SHOWN = 1, SETTINGS_WRONG = 2 }; /* --help was answered; a mistake was told */
int settings_read(struct settings *s, int argc, char **argv);

/* Number options, for whoever reads some of his own. They say what is wrong and return false. */
bool number_parse(const char *text, const char *name, uint64_t low, uint64_t high, uint64_t *ret);
bool number_parse_32(const char *text, const char *name, uint32_t low, uint32_t high, uint32_t *ret);

/* How many of all messages are a connection's. */
uint64_t quota_of(uint64_t messages, uint32_t connections, uint32_t connection);
