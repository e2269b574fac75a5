/*
 * The RELP side of flood: what a sender says before and after its messages, and
 * the answers that it counts. Of its own, as all of flood: a measuring instrument must
 * not share parts with what it measures.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/flood_wire.h"

/* A message is "TXNR syslog SIZE TEXT\n", its number always of so many digits, to be patched in place. */
#define RELP_TXNR_DIGITS 9u
#define RELP_WINDOW      128u
#define RELP_WINDOW_MAX  1000000u

/* What one connection has heard. */
struct relp_ear {
        char *text; /* answers, the last of which may not have ended */
        uint32_t size;
        uint64_t answered; /* messages, in the order in which they were sent */
        uint64_t refused;  /* of those: with a code that is not 200 */
};

enum relp_hearing {
        RELP_HEARD = 1, /* all there was */
        RELP_LOST,      /* the peer closed, or does not speak RELP */
};

void relp_ear_fini(struct relp_ear *ear);

/* The number of the n-th message of a connection, counted from 0. */
uint32_t relp_txnr(uint64_t number);

/* Makes the offers, and waits for the answer. 0 or -errno. */
int relp_open(const struct wire *wire, struct relp_ear *ear);
/* Takes the answers that are there; `acknowledged` is told each message that the peer has taken. */
enum relp_hearing relp_hear(const struct wire *wire, struct relp_ear *ear,
                            void (*acknowledged)(void *context, uint64_t number), void *context);
/* Says good-bye behind so many messages, and gives the peer a moment to answer. */
void relp_close(const struct wire *wire, struct relp_ear *ear, uint64_t sent);
