/*
 * A group of the bus and a subject of NATS, joined: what is sent to one comes out of
 * the other, requests with their answers and errors too.
 *
 *   ALONE    -> WANTED   somebody here subscribes to the group     count_members()
 *   WANTED   -> ALONE    the last one has left                     count_members()
 *
 * Only while somebody here wants the group do we subscribe to the subject, so that NATS
 * tells whoever asks that nobody is there. What comes from the bus is published always.
 *
 *   bus: request  -> NATS request  -> answer, or {"result":[-1,...]} when nobody is there,
 *                                     or -2 when the server is away, -7 when it is too large
 *   NATS: request -> bus request   -> answer, errors of the broker included
 *
 * Where others here could answer as well, an error of the far side is not told: they may.
 */
#pragma once

#include "base/reporter.h"
#include "bus/bus.h"
#include "gateway/nats_link.h"

struct joined;

struct joined_host {
        struct penstock_bus *bus;
        struct nats_link *link;
        struct reporter *reporter;
};

/* "GROUP" or "GROUP=SUBJECT"; without a subject "penstock." and the group. -EINVAL (reported). */
int joined_new(struct joined **ret, const struct joined_host *host, const char *what);
/* After bus and link have been closed, which may still call back. */
struct joined *joined_free(struct joined *joined);
/* Who subscribes to the group may have changed. */
void joined_count_members(struct joined *joined);
bool joined_has_group(const struct joined *joined, const char *group);
