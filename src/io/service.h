/*
 * Services: which machines offer one in a domain, by DNS SRV records (RFC 2782).
 *
 * The environment variables RSYSLOG_DNS_SERVER (an IPv4 address) and
 * RSYSLOG_DNS_PORT send the query elsewhere. May block on the resolver: for
 * workers only.
 */
#pragma once

#include <stdint.h>

#include "base/text.h"

enum {
        SERVICE_HOSTS_MAX = 64,
        SERVICE_NAME_BYTES_MAX = 256, /* RFC 1035, 2.3.4, with its NUL */
        SERVICE_ANSWER_BYTES_MAX = 8192,
};

struct service_host {
        char name[SERVICE_NAME_BYTES_MAX];
        char port[6];
        uint16_t priority; /* the lowest is asked first */
        uint16_t weight;
};

/*
 * Hosts of "_service._protocol.domain", by priority, then the heavier first. -ENXIO when there are none; *complaint
 * (appended) says why.
 */
int service_find(struct service_host hosts[SERVICE_HOSTS_MAX], size_t *count, const char *service, const char *protocol,
                 const char *domain, struct buffer *complaint);

/* Reads an answer of a DNS server. -EBADMSG. */
int service_parse(const uint8_t *answer, size_t size, struct service_host hosts[SERVICE_HOSTS_MAX], size_t *count);
