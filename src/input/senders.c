#include "input/senders.h"

#include <netinet/in.h>
#include <string.h>

void senders_fini(struct senders *senders) {
        for (size_t set = 0; set < SENDERS_SETS; set++)
                for (size_t way = 0; way < SENDERS_WAYS; way++)
                        source_unref(senders->seen[set][way].source);
        *senders = (struct senders){0};
}

/* Every bit of the words reaches the upper bits. */
static uint64_t mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        return hash ^ hash >> 32;
}

static size_t set_of(const struct sockaddr_storage *address) {
        uint64_t hash = 0;
        if (address->ss_family == AF_INET) {
                const struct sockaddr_in *in = (const void *)address;
                hash = mix(in->sin_port, in->sin_addr.s_addr);
        } else if (address->ss_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const void *)address;
                uint64_t halves[2];
                memcpy(halves, &in6->sin6_addr, sizeof halves);
                hash = mix(mix(mix(in6->sin6_port, halves[0]), halves[1]), in6->sin6_scope_id);
        }
        return mix(hash, 0) >> 32 & (SENDERS_SETS - 1);
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
        if (a->ss_family != b->ss_family)
                return false;
        if (a->ss_family == AF_INET) {
                const struct sockaddr_in *one = (const void *)a, *other = (const void *)b;
                return one->sin_addr.s_addr == other->sin_addr.s_addr && one->sin_port == other->sin_port;
        }
        const struct sockaddr_in6 *one = (const void *)a, *other = (const void *)b;
        return memcmp(&one->sin6_addr, &other->sin6_addr, sizeof one->sin6_addr) == 0 &&
               one->sin6_port == other->sin6_port && one->sin6_scope_id == other->sin6_scope_id;
}

struct sender *senders_find(struct senders *senders, const struct sockaddr_storage *address) {
        if (senders->last && is_same(&senders->last->source->peer, address))
                return senders->last;
        struct sender *set = senders->seen[set_of(address)];
        for (size_t way = 0; way < SENDERS_WAYS; way++)
                if (set[way].source && is_same(&set[way].source->peer, address))
                        return senders->last = &set[way];
        return NULL;
}

struct sender *senders_add(struct senders *senders, struct source *source, bool is_allowed) {
        size_t set = set_of(&source->peer);
        size_t way = senders->next[set]++ % SENDERS_WAYS;
        struct sender *sender = &senders->seen[set][way];
        source_unref(sender->source);
        *sender = (struct sender){.source = source, .is_allowed = is_allowed};
        return senders->last = sender;
}
