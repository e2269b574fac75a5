/*
 * Where records come from: one per connection, socket or sender. Shared by
 * reference count, immutable but for the host name, which is found out when
 * somebody first asks (never on an input thread).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/text.h"

struct source {
        atomic_uint references;
        const char *input_name;       /* property inputname; NUL-ended, owned */
        const char *address;          /* fromhost-ip; "" when there is none */
        const char *port;             /* fromhost-port; "" when there is none */
        _Atomic(const char *) host;   /* fromhost; NULL until source_host() */
        const void *origin;           /* the listener, for telling apart only; NULL: this source is its own */
        const char *default_zone;     /* "+01:00" or NULL: where a date names no zone */
        bool is_local;                /* host is this machine, keeps its own name */
        bool lowers_case;             /* host is shown in lower case */
        struct sockaddr_storage peer; /* ss_family 0 when there is none */
        socklen_t peer_size;
};

/*
 * Makes a source for a network peer: address and port are rendered from `peer`
 * (IPv4-mapped IPv6 as IPv4). NULL without memory.
 */
struct source *source_new_peer(const char *input_name, const struct sockaddr *peer, socklen_t size);
/* One with fixed names, for local inputs. `address` may be NULL. */
struct source *source_new_local(const char *input_name, const char *host, const char *address);
/* The same source under another host name or address; NULL leaves it as it is. NULL without memory. */
struct source *source_new_renamed(const struct source *s, const char *host, const char *address);
struct source *source_ref(struct source *s);
struct source *source_unref(struct source *s);
OWNED_POINTER(struct source, source_unref);

/*
 * The host name of the sender: resolved once (getnameinfo, cached by the
 * resolver), the address where there is none. May block; for workers only.
 */
const char *source_host(struct source *s);
