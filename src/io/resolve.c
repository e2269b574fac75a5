/*
 * The cache is a ring of answers with a hash over it: when it is full, the oldest
 * answer makes room. It holds what the resolver said; how that is shown (domain cut
 * or not) is decided when it is asked for, so a new configuration needs no flush.
 *
 * One lock guards cache and configuration. It is never held while the resolver
 * works, so two threads may ask for the same name; the second answer is dropped.
 */
#include "io/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"

enum { CHAINS = 4096, NO_ANSWER = -1 };

struct address {
        uint32_t family;
        uint32_t scope; /* interface of a link-local IPv6 address */
        uint8_t bytes[16];
};

struct answer {
        struct address address;
        char *name;   /* NULL: the address has no (usable) name */
        int16_t next; /* in its chain, or NO_ANSWER */
};

struct cache {
        struct answer answers[RESOLVE_CACHE_MAX];
        int16_t chain[CHAINS];
        int count;
        int oldest; /* once it is full */
};

static struct {
        pthread_mutex_t lock;
        bool is_disabled;
        bool keeps_domain;
        char domain[RESOLVE_NAME_BYTES_MAX];
        struct cache *cache;
        unsigned generation; /* counts resolve_forget(), so that an answer asked for before it is not kept */
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER};

void resolve_configure(bool is_enabled, bool keeps_domain, const char *local_domain) {
        pthread_mutex_lock(&resolver.lock);
        resolver.is_disabled = !is_enabled;
        resolver.keeps_domain = keeps_domain;
        if (local_domain && *local_domain == '.')
                local_domain++;
        size_t size = local_domain ? strnlen(local_domain, sizeof resolver.domain - 1) : 0;
        if (size)
                memcpy(resolver.domain, local_domain, size);
        resolver.domain[size] = '\0';
        pthread_mutex_unlock(&resolver.lock);
}

/* An IPv4 address that came over an IPv6 socket counts as IPv4. */
static bool address_of(const struct sockaddr *peer, socklen_t size, struct address *a) {
        memset(a, 0, sizeof *a);
        if (peer->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
                a->family = AF_INET;
                memcpy(a->bytes, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
                return true;
        }
        if (peer->sa_family != AF_INET6 || size < sizeof(struct sockaddr_in6))
                return false;
        const struct sockaddr_in6 *in6 = (const void *)peer;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
                a->family = AF_INET;
                memcpy(a->bytes, &in6->sin6_addr.s6_addr[12], 4);
        } else {
                a->family = AF_INET6;
                a->scope = in6->sin6_scope_id;
                memcpy(a->bytes, &in6->sin6_addr, 16);
        }
        return true;
}

static char *address_text(const struct address *a) {
        char text[INET6_ADDRSTRLEN];
        return inet_ntop((int)a->family, a->bytes, text, sizeof text) ? strdup(text) : NULL;
}

static bool is_host_byte(char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool is_numeric(const char *name) {
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found = NULL;
        if (getaddrinfo(name, NULL, &hints, &found))
                return false;
        freeaddrinfo(found);
        return true;
}

/*
 * A name comes from whoever owns the reverse zone: it goes into files and path
 * names, so it must look like one, and a "name" that reads as an address would let
 * the sender claim another's.
 */
static bool is_usable(char *name) {
        if (!*name || *name == '.' || *name == '-')
                return false;
        for (char *c = name; *c; c++) {
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c + 'a' - 'A');
                if (!is_host_byte(*c) || (*c == '.' && c[1] == '.'))
                        return false;
        }
        return !is_numeric(name);
}

/* Blocks. NULL: no usable name. */
static char *ask(const struct address *a) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = a->scope};
        memcpy(&in.sin_addr, a->bytes, 4);
        memcpy(&in6.sin6_addr, a->bytes, 16);
        const void *peer = a->family == AF_INET ? (const void *)&in : (const void *)&in6;
        socklen_t size = a->family == AF_INET ? sizeof in : sizeof in6;

        char name[RESOLVE_NAME_BYTES_MAX];
        if (getnameinfo(peer, size, name, sizeof name, NULL, 0, NI_NAMEREQD) || !is_usable(name))
                return NULL;
        return strdup(name);
}

static unsigned chain_of(const struct address *a) {
        uint64_t words[3];
        static_assert(sizeof words == sizeof *a, "the whole address is hashed");
        memcpy(words, a, sizeof words);
        uint64_t hash = (words[0] ^ words[1] * 0x9e3779b97f4a7c15u ^ words[2]) * 0xff51afd7ed558ccdu;
        return (unsigned)(hash >> 40) % CHAINS;
}

static struct answer *cache_find(struct cache *c, const struct address *a) {
        for (int at = c->chain[chain_of(a)]; at != NO_ANSWER; at = c->answers[at].next)
                if (memcmp(&c->answers[at].address, a, sizeof *a) == 0)
                        return &c->answers[at];
        return NULL;
}

static void cache_unlink(struct cache *c, int at) {
        int16_t *link = &c->chain[chain_of(&c->answers[at].address)];
        while (*link != at)
                link = &c->answers[*link].next;
        *link = c->answers[at].next;
}

static struct cache *cache_new(void) {
        struct cache *c = malloc(sizeof *c);
        if (!c)
                return NULL;
        c->count = c->oldest = 0;
        for (int i = 0; i < CHAINS; i++)
                c->chain[i] = NO_ANSWER;
        return c;
}

/* Without memory the answer is not kept, and asked for again. */
static void cache_put(const struct address *a, const char *name) {
        if (!resolver.cache && !(resolver.cache = cache_new()))
                return;
        struct cache *c = resolver.cache;
        char *copy = name ? strdup(name) : NULL;
        if ((name && !copy) || cache_find(c, a)) {
                free(copy);
                return;
        }
        int at = c->count;
        if (at < RESOLVE_CACHE_MAX) {
                c->count++;
        } else {
                at = c->oldest;
                c->oldest = (c->oldest + 1) % RESOLVE_CACHE_MAX;
                cache_unlink(c, at);
                free(c->answers[at].name);
        }
        int16_t *chain = &c->chain[chain_of(a)];
        c->answers[at] = (struct answer){.address = *a, .name = copy, .next = *chain};
        *chain = (int16_t)at;
}

void resolve_forget(void) {
        pthread_mutex_lock(&resolver.lock);
        struct cache *old = resolver.cache;
        resolver.cache = NULL;
        resolver.generation++;
        pthread_mutex_unlock(&resolver.lock);
        for (int i = 0; old && i < old->count; i++)
                free(old->answers[i].name);
        free(old);
}

/* As the configuration wants it shown. Called under the lock. */
static char *shown(const struct address *a, const char *name) {
        if (!name)
                return address_text(a);
        const char *dot = strchr(name, '.');
        bool is_local = !resolver.keeps_domain && *resolver.domain && dot && strcasecmp(dot + 1, resolver.domain) == 0;
        return is_local ? strndup(name, (size_t)(dot - name)) : strdup(name);
}

char *resolve_name(const struct sockaddr *peer, socklen_t size) {
        struct address a;
        if (!address_of(peer, size, &a))
                return NULL;

        pthread_mutex_lock(&resolver.lock);
        bool is_disabled = resolver.is_disabled;
        unsigned generation = resolver.generation;
        const struct answer *known = !is_disabled && resolver.cache ? cache_find(resolver.cache, &a) : NULL;
        char *result = known ? shown(&a, known->name) : NULL;
        pthread_mutex_unlock(&resolver.lock);
        if (is_disabled)
                return address_text(&a);
        if (known)
                return result;

        char *name = ask(&a);
        pthread_mutex_lock(&resolver.lock);
        if (generation == resolver.generation)
                cache_put(&a, name);
        result = shown(&a, name);
        pthread_mutex_unlock(&resolver.lock);
        free(name);
        return result;
}
