/*
 * How long an answer of the DNS may be kept. The system's own functions for names do
 * not say, so the question is put a second time, for its time to live alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The seconds of the PTR records in a reply (RFC 1035, 4.1), or of an answer that there are none (RFC 2308, 5: the
 * smaller of the SOA record's own and its last field). -EBADMSG: it says nothing of the kind.
 */
int64_t dns_reply_ttl(const uint8_t *reply, size_t size);

/* Asks for "4.3.2.1.in-addr.arpa" or its like of IPv6; `address` has 4 or 16 bytes. Blocks. -ENOENT: no reply. */
int64_t dns_ttl(const uint8_t *address, size_t size);
