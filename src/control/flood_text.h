/*
 * What flood's messages say. They are formatted once, into a block that is sent over and over; only their numbers
 * change, and are patched in place.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "control/flood_settings.h"

/* "00007:00000123456": the connection, then the number, whose last digits are the message's place in the block. */
#define CONNECTION_DIGITS 5
#define ROUND_DIGITS      8

/*
 * The messages of a round, one after the other. Their count is a power of ten, so that a message's place in the block
 * is the last digits of its number, and one store of what comes before them renumbers it.
 */
struct block {
        char *text;
        uint32_t *starts; /* Of every message, and the end of the last. */
        uint32_t *marks;  /* Where each message's marker is; only when they are sequenced. */
        struct mmsghdr *headers;
        struct iovec *vectors;
        uint32_t count;
};

int block_init(struct block *b, const struct settings *s);
void block_fini(struct block *b);
void block_number(struct block *b, uint32_t first, uint32_t count, uint32_t connection, uint64_t round);
/* Gives the messages their numbers in the RELP session; the first of them is the connection's n-th. */
void block_count(struct block *b, uint32_t first, uint32_t count, uint64_t n);
/* The last message that starts at or before a position. */
uint32_t block_find(const struct block *b, uint32_t position);

/* How many digits of a number are the message's place in the block. */
unsigned place_digits(uint32_t block_messages);
void digits_write(char *to, unsigned width, uint64_t value);
bool tag_is_known(const char *tag);
