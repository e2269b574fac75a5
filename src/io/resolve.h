/*
 * Names of addresses. Threads of its own ask the system (hosts file, DNS ...), so that
 * nobody else waits for a name server for longer than he said he would. Answers, and
 * that there is none, are kept in a bounded cache for as long as the DNS says (RFC 1034,
 * 3.6; RFC 2308 for those that are none), or as global(reverseLookup.cache.ttl.*) does.
 *
 * A name comes from whoever owns the reverse zone. One with bytes that host names do not
 * have counts as none, and so does one that reads as an address: with it a sender would
 * claim to be another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
        RESOLVE_CACHE_MAX = 4096,
        RESOLVE_QUESTIONS_MAX = 1024, /* that wait to be asked */
        RESOLVE_THREADS_MAX = 4,
        RESOLVE_NAME_BYTES_MAX = 1025,
        RESOLVE_PATIENCE_MS = 100,  /* how long a worker waits for the name of a sender that it meets */
        RESOLVE_TTL_S_MAX = 86400,  /* of what the DNS says */
        RESOLVE_TTL_S_DEFAULT = 60, /* where it says nothing */
};

struct resolve_rules {
        bool is_enabled;          /* false: every answer is the address */
        bool keeps_domain;        /* false: the local domain is cut off (global preserveFQDN="off") */
        const char *local_domain; /* "": none */
        int64_t ttl_s;            /* for every answer; 0: as the DNS says */
};
void resolve_configure(const struct resolve_rules *rules);

enum resolved {
        RESOLVED_NAME,
        RESOLVED_NONE,    /* there is no (usable) name */
        RESOLVED_NOT_YET, /* it is being asked for */
};
/*
 * The name of a peer on the heap, its address in text where it has none or none yet; NULL without memory or address.
 * Waits at most so long for the answer; not at all while name servers have kept others waiting.
 * *until_ns: when to ask again (clock_mono_ns(); INT64_MAX: never). Both of the last may be NULL.
 */
char *resolve_name(const struct sockaddr *peer, socklen_t size, int64_t patience_ms, enum resolved *what,
                   int64_t *until_ns);

/* Calls back, on a thread of the resolver, whenever a question was answered; one listener, NULL: none any more. */
void resolve_listen(void (*answered)(void *listener), void *listener);

/* Forgets all answers (HUP). */
void resolve_forget(void);
