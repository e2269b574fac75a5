#include "message/source.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/reporter.h"
#include "io/resolve.h"

struct source_name {
        char *text;
        struct source_name *next;
};

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

/* Two threads may find the name at the same time; both stay until the source goes, and one of them is shown. */
static const char *keep_name(struct source *s, struct source_name *fresh, int64_t until_ns) {
        fresh->next = atomic_load_explicit(&s->names, memory_order_relaxed);
        while (!atomic_compare_exchange_weak(&s->names, &fresh->next, fresh))
                ;
        atomic_store_explicit(&s->host, fresh->text, memory_order_release);
        atomic_store_explicit(&s->host_until, until_ns, memory_order_release);
        return fresh->text;
}

bool source_name_for_good(struct source *s, struct text host) {
        struct source_name *name = calloc(1, sizeof *name);
        if (!name || !(name->text = text_copy(host))) {
                free(name);
                return false;
        }
        keep_name(s, name, INT64_MAX);
        return true;
}

struct source *source_new_local(const char *input_name, const char *host, const char *address) {
        struct source *s = source_new(input_name, address ? address : "", "");
        if (!s)
                return NULL;
        s->is_local = true;
        return source_name_for_good(s, text_of(host)) ? s : source_unref(s);
}

struct source *source_new_renamed(const struct source *s, const char *host, const char *address) {
        _owned_(source_unref) struct source *renamed =
                source_new(s->input_name, address ? address : s->address, s->port);
        const char *name = host ? host : atomic_load_explicit(&s->host, memory_order_acquire);
        if (!renamed)
                return NULL;
        renamed->default_zone = s->default_zone ? strdup(s->default_zone) : NULL;
        if ((name && !source_name_for_good(renamed, text_of(name))) || (s->default_zone && !renamed->default_zone))
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
        for (struct source_name *n = atomic_load(&s->names), *next; n; n = next) {
                next = n->next;
                free(n->text);
                free(n);
        }
        admission_unref(s->admitting);
        free(s);
        return NULL;
}

static const char *ask_host(struct source *s, const char *known, int64_t patience_ms) {
        enum resolved what;
        int64_t until_ns;
        char *found = resolve_name((const struct sockaddr *)&s->peer, s->peer_size, patience_ms, &what, &until_ns);
        const char *stays = known ? known : s->address;
        if (!found || what == RESOLVED_NOT_YET) {
                free(found);
                return stays;
        }
        for (char *c = found; s->lowers_case && *c; c++)
                *c = (char)tolower((unsigned char)*c);
        struct source_name *fresh = known && strcmp(known, found) == 0 ? NULL : calloc(1, sizeof *fresh);
        if (!fresh) {
                atomic_store_explicit(&s->host_until, known ? until_ns : 0, memory_order_release);
                free(found);
                return stays;
        }
        fresh->text = found;
        return keep_name(s, fresh, until_ns);
}

const char *source_host(struct source *s) {
        const char *known = atomic_load_explicit(&s->host, memory_order_acquire);
        int64_t until_ns = atomic_load_explicit(&s->host_until, memory_order_relaxed);
        if (LIKELY(known && (until_ns == INT64_MAX || clock_mono_coarse_ns() < until_ns)))
                return known;
        return ask_host(s, known, RESOLVE_PATIENCE_MS);
}

void source_await(struct source *s, struct admission *admitting) {
        s->admitting = admission_ref(admitting);
        atomic_store_explicit(&s->admission, SOURCE_AWAITED, memory_order_release);
}

enum source_admission source_verdict(struct source *s) {
        enum source_admission before = source_admission(s);
        int64_t until_ns = atomic_load_explicit(&s->host_until, memory_order_relaxed);
        if (!s->admitting || (before != SOURCE_AWAITED && clock_mono_coarse_ns() < until_ns))
                return before;
        const char *known = atomic_load_explicit(&s->host, memory_order_acquire);
        const char *name = ask_host(s, known, 0);
        if (atomic_load_explicit(&s->host_until, memory_order_relaxed) == 0)
                return before; /* not known yet; what held before holds on */
        return admission_has(s->admitting, text_of(name)) ? SOURCE_ADMITTED : SOURCE_REFUSED;
}

enum source_admission source_judge(struct source *s) {
        enum source_admission now = source_verdict(s);
        atomic_store_explicit(&s->admission, (unsigned char)now, memory_order_release);
        return now;
}

void source_refuse(struct source *s, struct reporter *reporter) {
        uint64_t before = atomic_fetch_add_explicit(&s->admitting->refused, 1, memory_order_relaxed);
        /* The first, and then ever more rarely: each line names one sender. */
        if ((before & (before - 1)) == 0)
                report(reporter, SEVERITY_ERR, 2063,
                       "%s: message from disallowed sender discarded (%s, %s); %llu so far", s->admitting->input_name,
                       source_host(s), s->address, (unsigned long long)before + 1);
}
