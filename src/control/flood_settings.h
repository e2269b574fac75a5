/*
 * What a run of flood is asked to do: the command line, understood and checked. Read-only once workers run.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/arguments.h"

#define CONNECTIONS_MAX   20000u
#define THREADS_MAX       64u
#define HOSTS_MAX         100000u
#define MESSAGE_BYTES_MAX (64u * 1024)
#define MESSAGES_MAX      100000000000ll
#define NS_PER_S          1000000000ll

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
        bool is_tls;
        bool in_trains;     /* UDP: datagrams of one size leave together */
        bool trusts_anyone; /* TLS: whoever the server is */
        const char *ca_file, *cert_file, *key_file, *server_name;
        const char *tag; /* Only messages of the mix with this one; NULL: all. */
};

enum { SETTINGS_SHOWN = 1, SETTINGS_WRONG = 2 }; /* --help was answered; a mistake was told */
int settings_read(struct settings *s, int argc, char **argv);

/* A number that an option gave, where its value is. Says what is wrong and returns false. */
bool number_is_within(int64_t number, const char *name, int64_t low, int64_t high);

/* How many of all messages are a connection's. */
uint64_t quota_of(uint64_t messages, uint32_t connections, uint32_t connection);
