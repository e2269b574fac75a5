/*
 * Senders of datagrams that were seen lately, each with its source, so that a
 * source is made once and not for every datagram. Bounded: a new sender takes the
 * place of one that shares its hash. One thread.
 */
#pragma once

#include "message/source.h"

enum {
        SENDERS_WAYS = 4, /* that share a hash and are looked at one after the other */
        SENDERS_SETS = 256,
};

struct sender {
        struct source *source; /* NULL: free */
        bool is_allowed;
};

struct senders {
        struct sender seen[SENDERS_SETS][SENDERS_WAYS];
        uint8_t next[SENDERS_SETS]; /* the way that goes next */
        struct sender *last;        /* found; the next datagram is likely from there too */
};

void senders_fini(struct senders *senders);
/* NULL where it was not seen lately. */
struct sender *senders_find(struct senders *senders, const struct sockaddr_storage *address);
/* Takes the source; forgets another if need be. */
struct sender *senders_add(struct senders *senders, struct source *source, bool is_allowed);
