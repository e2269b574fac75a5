/* The markers of messages that were acknowledged, on their way to a file, one a line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_BYTES (64u * 1024)

struct ledger {
        char *text; /* LEDGER_BYTES; NULL: there is no file */
        uint32_t size;
        unsigned digits; /* of a message's place in the block */
        int fd;
        bool has_failed;
};

/* `digits` of a message's number are its place in the block. 0 or -errno. */
int ledger_open(struct ledger *l, const char *path, unsigned digits);
void ledger_fini(struct ledger *l);
void ledger_add(struct ledger *l, uint32_t connection, uint64_t number);
void ledger_write(struct ledger *l);
