/*
 * Names of addresses. Answers are kept in a bounded cache, so that a source that
 * reconnects costs no second query. May block on the resolver: for workers only.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

enum { RESOLVE_CACHE_MAX = 4096, RESOLVE_NAME_BYTES_MAX = 1025 };

/*
 * How names are shown: with is_enabled false every answer is the address. With
 * keeps_domain false the local domain is cut off (global preserveFQDN="off").
 */
void resolve_configure(bool is_enabled, bool keeps_domain, const char *local_domain);

/* The name of a peer on the heap, its address in text where it has none; NULL without memory or address. */
char *resolve_name(const struct sockaddr *peer, socklen_t size);

/* Forgets all answers (HUP). */
void resolve_forget(void);
