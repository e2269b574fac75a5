#include "io/dns_ttl.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"

enum {
        REPLY_BYTES_MAX = 4096,
        SOA_FIELDS_BYTES = 20, /* serial, refresh, retry, expire, minimum behind the two names */
};

static int64_t least(int64_t a, int64_t b) {
        return a < b ? a : b;
}

/* The last field of a SOA record, which stands behind two names. */
static int64_t soa_minimum(const ns_rr *record) {
        const uint8_t *data = ns_rr_rdata(*record);
        size_t size = ns_rr_rdlen(*record);
        return size < SOA_FIELDS_BYTES ? -1 : (int64_t)ns_get32(data + size - 4);
}

static int64_t smallest_ttl(ns_msg *message, ns_sect section, ns_type type) {
        int64_t smallest = -1;
        for (int i = 0; i < ns_msg_count(*message, section); i++) {
                ns_rr record;
                if (ns_parserr(message, section, i, &record))
                        return -1;
                if (ns_rr_type(record) != type)
                        continue;
                int64_t ttl = (int64_t)ns_rr_ttl(record);
                if (type == ns_t_soa)
                        ttl = least(ttl, soa_minimum(&record));
                if (smallest < 0 || ttl < smallest)
                        smallest = ttl;
        }
        return smallest;
}

int64_t dns_reply_ttl(const uint8_t *reply, size_t size) {
        ns_msg message;
        if (size > INT32_MAX || ns_initparse(reply, (int)size, &message))
                return fail(-EBADMSG);
        int64_t ttl = smallest_ttl(&message, ns_s_an, ns_t_ptr);
        if (ttl < 0)
                ttl = smallest_ttl(&message, ns_s_ns, ns_t_soa);
        return ttl < 0 ? fail(-EBADMSG) : ttl;
}

static void reverse_name(char *name, size_t room, const uint8_t *address, size_t size) {
        if (size == 4) {
                snprintf(name, room, "%u.%u.%u.%u.in-addr.arpa", address[3], address[2], address[1], address[0]);
                return;
        }
        size_t at = 0;
        for (size_t i = size; i-- > 0;)
                at += (size_t)snprintf(name + at, room - at, "%x.%x.", address[i] & 15u, address[i] >> 4);
        snprintf(name + at, room - at, "ip6.arpa");
}

int64_t dns_ttl(const uint8_t *address, size_t size) {
        char name[NS_MAXDNAME];
        uint8_t question[NS_PACKETSZ], reply[REPLY_BYTES_MAX];
        struct __res_state state;
        memset(&state, 0, sizeof state);
        if (res_ninit(&state))
                return fail(-ENOENT);
        reverse_name(name, sizeof name, address, size);
        int asked = res_nmkquery(&state, ns_o_query, name, ns_c_in, ns_t_ptr, NULL, 0, NULL, question, sizeof question);
        int got = asked < 0 ? -1 : res_nsend(&state, question, asked, reply, sizeof reply);
        res_nclose(&state);
        return got <= 0 ? fail(-ENOENT) : dns_reply_ttl(reply, (size_t)least(got, REPLY_BYTES_MAX));
}
