#include "message/source.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/resolve.h"

static struct source *source_new(const char *input_name, const char *address, const char *port) {
        struct source *s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        atomic_init(&s->references, 1);
        s->input_name = strdup(input_name);
        s->address = strdup(address);
        s->port = strdup(port);
        if (!s->input_name || !s->address || !s->port)
                return source_unref(s);
        return s;
}

struct source *source_new_peer(const char *input_name, const struct sockaddr *peer, socklen_t size) {
        char address[INET6_ADDRSTRLEN] = "", port[8] = "";
        if (peer->sa_family == AF_INET) {
                const struct sockaddr_in *in = (const void *)peer;
                inet_ntop(AF_INET, &in->sin_addr, address, sizeof address);
                snprintf(port, sizeof port, "%u", ntohs(in->sin_port));
        } else if (peer->sa_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const void *)peer;
                if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
                        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], address, sizeof address);
                else
                        inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof address);
                snprintf(port, sizeof port, "%u", ntohs(in6->sin6_port));
        }
        struct source *s = source_new(input_name, address, port);
        if (s && size <= sizeof s->peer) {
                memcpy(&s->peer, peer, size);
                s->peer_size = size;
        }
        return s;
}

struct source *source_new_local(const char *input_name, const char *host, const char *address) {
        struct source *s = source_new(input_name, address ? address : "", "");
        if (!s)
                return NULL;
        s->is_local = true;
        char *copy = strdup(host);
        if (!copy)
                return source_unref(s);
        atomic_store(&s->host, copy);
        return s;
}

struct source *source_new_renamed(const struct source *s, const char *host, const char *address) {
        _owned_(source_unref) struct source *renamed =
                source_new(s->input_name, address ? address : s->address, s->port);
        const char *name = host ? host : atomic_load_explicit(&s->host, memory_order_acquire);
        if (!renamed)
                return NULL;
        char *copy = name ? strdup(name) : NULL;
        renamed->default_zone = s->default_zone ? strdup(s->default_zone) : NULL;
        atomic_store(&renamed->host, copy);
        if ((name && !copy) || (s->default_zone && !renamed->default_zone))
                return NULL;
        renamed->origin = s->origin ? s->origin : s;
        renamed->is_local = s->is_local;
        renamed->lowers_case = s->lowers_case;
        renamed->peer = s->peer;
        renamed->peer_size = s->peer_size;
        return TAKE(renamed);
}

struct source *source_ref(struct source *s) {
        atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
        return s;
}

struct source *source_unref(struct source *s) {
        if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1)
                return NULL;
        free((char *)s->input_name);
        free((char *)s->address);
        free((char *)s->port);
        free((char *)s->default_zone);
        free((char *)atomic_load(&s->host));
        free(s);
        return NULL;
}

const char *source_host(struct source *s) {
        const char *known = atomic_load_explicit(&s->host, memory_order_acquire);
        if (known)
                return known;
        char *found = resolve_name((const struct sockaddr *)&s->peer, s->peer_size);
        if (!found)
                return s->address;
        for (char *c = found; s->lowers_case && *c; c++)
                *c = (char)tolower((unsigned char)*c);
        const char *none = NULL;
        if (atomic_compare_exchange_strong(&s->host, &none, found))
                return found;
        free(found); /* another thread was first */
        return none;
}
