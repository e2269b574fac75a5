/*
 * Where records come from: one per connection, socket or sender. Shared by
 * reference count, immutable but for the host name, which is found out when
 * somebody first asks (never on an input thread), and for what hangs on it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/text.h"
#include "message/admission.h"

enum source_admission { SOURCE_ADMITTED, SOURCE_AWAITED, SOURCE_REFUSED };

/* Names that a source had; readers may still hold an earlier one. */
struct source_name;
struct reporter; /* base/reporter.h */

struct source {
        atomic_uint references;
        const char *input_name;     /* property inputname; NUL-ended, owned */
        const char *address;        /* fromhost-ip; "" when there is none */
        const char *port;           /* fromhost-port; "" when there is none */
        _Atomic(const char *) host; /* fromhost; NULL until source_host() */
        _Atomic int64_t host_until; /* when the name is to be asked for again (clock_mono_ns()) */
        _Atomic(struct source_name *) names;
        atomic_uchar admission;       /* enum source_admission */
        struct admission *admitting;  /* who is admitted by name; NULL: the address decided */
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
 * The host name of the sender as the resolver knows it, the address where there is none.
 * Waits for it, RESOLVE_PATIENCE_MS at most; what comes later is for messages that come
 * later. For workers only. Valid until the source goes.
 */
const char *source_host(struct source *s);

/* Gives it a name that nobody asks for again. Before it is shared. False without memory. */
bool source_name_for_good(struct source *s, struct text host);

/* Makes admission depend on the sender's name. Before the source is shared. */
void source_await(struct source *s, struct admission *admitting);
/* Decides what can be decided without waiting, for this caller alone or (source_judge()) for everybody. */
enum source_admission source_verdict(struct source *s);
enum source_admission source_judge(struct source *s);
/* What was decided for everybody. */
static inline enum source_admission source_admission(const struct source *s) {
        return (enum source_admission)atomic_load_explicit(&s->admission, memory_order_acquire);
}
/* A message of it is refused: counted, and reported now and then. */
void source_refuse(struct source *s, struct reporter *reporter);
/* Whether names decide about it at all. */
static inline bool source_is_judged(const struct source *s) {
        return s->admitting != NULL;
}
