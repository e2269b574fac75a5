/*
 * Networks: which senders may send. A list of addresses with a prefix length,
 * decided by the number of the sender alone, so that nothing is resolved.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/text.h"

enum { NETWORKS_MAX = 4096 }; /* in one list */

struct network {
        uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
        uint8_t bits;        /* 0 to 128, of that */
};

struct network_list {
        struct network *items;
        size_t count;
};

/* "10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "[::1]". -EINVAL: no such thing; -EDOM: a host name; -ERANGE: bad prefix
 * length (0 would mean everybody). */
int network_parse(struct network *ret, struct text text);
/* -ENOMEM, or -E2BIG beyond NETWORKS_MAX. */
int network_list_add(struct network_list *list, const struct network *network);
void network_list_fini(struct network_list *list);
OWNED_VALUE(struct network_list, network_list_fini);

/* An empty list has every sender in it, any list has those that are no internet addresses. */
bool network_list_has(const struct network_list *list, const struct sockaddr *sender);
