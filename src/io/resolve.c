/*
 * The cache is a ring of answers with a hash over it: when it is full, the oldest
 * makes room. It holds what the system said; how that is shown (domain cut or not)
 * is decided when it is asked for, so a new configuration needs no flush.
 *
 *   (nothing) -> ASKED     put into the list of questions              resolve_name()
 *   ASKED     -> ANSWERED  a thread has asked, whoever waits is woken   answer_questions()
 *   ANSWERED  -> ASKED     its time is over; the old answer stands until there is a new one
 *
 * One lock guards all of it; it is never held while a thread asks. Threads begin when
 * there is a question and none of them is idle, and stay. They are not waited for at
 * the end: a name server may hold them for half a minute.
 */
#include "io/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/macros.h"
#include "io/dns_ttl.h"

enum { CHAINS = 4096, NO_ANSWER = -1 };

struct address {
        uint32_t family;
        uint32_t scope; /* interface of a link-local IPv6 address */
        uint8_t bytes[16];
};

struct answer {
        struct address address;
        char *name;       /* NULL: the address has no (usable) name, or none is known yet */
        int64_t until_ns; /* when it is to be asked for again */
        bool is_known;    /* answered once */
        bool is_asked;    /* waits among the questions, or is being asked */
        int16_t next;     /* in its chain, or NO_ANSWER */
};

struct cache {
        struct answer answers[RESOLVE_CACHE_MAX];
        int16_t chain[CHAINS];
        int count;
        int oldest; /* once it is full */
};

static struct {
        pthread_mutex_t lock;
        pthread_cond_t is_question, is_answer;
        bool is_disabled;
        bool keeps_domain;
        bool keeps_waiting; /* somebody waited in vain, and no answer came since: nobody waits now */
        int64_t ttl_s;
        char domain[RESOLVE_NAME_BYTES_MAX];
        struct cache *cache;
        unsigned generation; /* counts resolve_forget(), so that an answer asked for before it is not kept */
        struct address questions[RESOLVE_QUESTIONS_MAX]; /* a ring */
        unsigned first, count;
        unsigned threads, idle;
        void (*answered)(void *listener);
        void *listener;
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER,
              .is_answer = PTHREAD_COND_INITIALIZER,
              .is_question = PTHREAD_COND_INITIALIZER};

void resolve_configure(const struct resolve_rules *rules) {
        pthread_mutex_lock(&resolver.lock);
        resolver.is_disabled = !rules->is_enabled;
        resolver.keeps_domain = rules->keeps_domain;
        resolver.ttl_s = rules->ttl_s;
        const char *domain = rules->local_domain;
        if (domain && *domain == '.')
                domain++;
        size_t size = domain ? strnlen(domain, sizeof resolver.domain - 1) : 0;
        if (size)
                memcpy(resolver.domain, domain, size);
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

/* Who stands in the hosts file is not the DNS's affair. */
static bool is_in_hosts_file(const struct address *a) {
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        struct hostent entry, *found = NULL;
        char room[RESOLVE_NAME_BYTES_MAX * 4];
        int error;
        bool is_there = false;
        pthread_mutex_lock(&lock);
        sethostent(0);
        while (!is_there && gethostent_r(&entry, room, sizeof room, &found, &error) == 0 && found)
                is_there = entry.h_addrtype == (int)a->family && entry.h_addr_list[0] &&
                           memcmp(entry.h_addr_list[0], a->bytes, (size_t)entry.h_length) == 0;
        endhostent();
        pthread_mutex_unlock(&lock);
        return is_there;
}

/* Blocks. NULL: no usable name. *ttl_s: how long that holds. */
static char *ask(const struct address *a, int64_t *ttl_s) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = a->scope};
        memcpy(&in.sin_addr, a->bytes, 4);
        memcpy(&in6.sin6_addr, a->bytes, 16);
        const void *peer = a->family == AF_INET ? (const void *)&in : (const void *)&in6;
        socklen_t size = a->family == AF_INET ? sizeof in : sizeof in6;

        char name[RESOLVE_NAME_BYTES_MAX];
        int error = getnameinfo(peer, size, name, sizeof name, NULL, 0, NI_NAMEREQD);
        bool has_name = !error && is_usable(name);
        if (*ttl_s == 0) {
                bool is_dns = (!error || error == EAI_NONAME) && !is_in_hosts_file(a);
                int64_t said = is_dns ? dns_ttl(a->bytes, a->family == AF_INET ? 4 : 16) : -1;
                *ttl_s = said < 0 ? RESOLVE_TTL_S_DEFAULT : MAX(MIN(said, (int64_t)RESOLVE_TTL_S_MAX), INT64_C(1));
        }
        return has_name ? strdup(name) : NULL;
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

/* A place for what is asked about an address; NULL without memory. */
static struct answer *cache_add(const struct address *a) {
        if (!resolver.cache && !(resolver.cache = cache_new()))
                return NULL;
        struct cache *c = resolver.cache;
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
        c->answers[at] = (struct answer){.address = *a, .next = *chain};
        *chain = (int16_t)at;
        return &c->answers[at];
}

void resolve_forget(void) {
        pthread_mutex_lock(&resolver.lock);
        struct cache *old = resolver.cache;
        resolver.cache = NULL;
        resolver.generation++;
        resolver.keeps_waiting = false;
        pthread_mutex_unlock(&resolver.lock);
        for (int i = 0; old && i < old->count; i++)
                free(old->answers[i].name);
        free(old);
}

void resolve_listen(void (*answered)(void *listener), void *listener) {
        pthread_mutex_lock(&resolver.lock);
        resolver.answered = answered;
        resolver.listener = listener;
        pthread_mutex_unlock(&resolver.lock);
}

/* ---- Asking ------------------------------------------------------------------ */

/* Under the lock. Whoever asked before resolve_forget() or lost his place in the cache asks again. */
static void keep_answer(const struct address *a, char *name, int64_t ttl_s, unsigned generation) {
        struct answer *place =
                resolver.cache && generation == resolver.generation ? cache_find(resolver.cache, a) : NULL;
        resolver.keeps_waiting = false;
        if (!place) {
                free(name);
                return;
        }
        free(place->name);
        place->name = name;
        place->is_known = true;
        place->is_asked = false;
        place->until_ns = clock_mono_ns() + ttl_s * INT64_C(1000000000);
}

/* The listener is called under the lock of nobody; resolve_listen(NULL) may come meanwhile, so it is read under ours.
 */
static void *answer_questions(void *argument) {
        pthread_mutex_lock(&resolver.lock);
        for (;;) {
                while (resolver.count == 0) {
                        resolver.idle++;
                        pthread_cond_wait(&resolver.is_question, &resolver.lock);
                        resolver.idle--;
                }
                struct address a = resolver.questions[resolver.first];
                resolver.first = (resolver.first + 1) % RESOLVE_QUESTIONS_MAX;
                resolver.count--;
                unsigned generation = resolver.generation;
                int64_t ttl_s = resolver.ttl_s;
                pthread_mutex_unlock(&resolver.lock);

                char *name = ask(&a, &ttl_s);

                pthread_mutex_lock(&resolver.lock);
                keep_answer(&a, name, ttl_s, generation);
                pthread_cond_broadcast(&resolver.is_answer);
                if (resolver.answered)
                        resolver.answered(resolver.listener);
        }
        return argument;
}

static void start_thread(void) {
        pthread_attr_t attributes;
        pthread_t thread;
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attributes, answer_questions, NULL) == 0)
                resolver.threads++;
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Under the lock; false: too many questions wait, this one is put another time. */
static bool put_question(struct answer *place) {
        if (place->is_asked)
                return true;
        if (resolver.count == RESOLVE_QUESTIONS_MAX)
                return false;
        if (resolver.idle <= resolver.count && resolver.threads < RESOLVE_THREADS_MAX)
                start_thread();
        if (resolver.threads == 0)
                return false;
        resolver.questions[(resolver.first + resolver.count++) % RESOLVE_QUESTIONS_MAX] = place->address;
        place->is_asked = true;
        pthread_cond_signal(&resolver.is_question);
        return true;
}

/* As the configuration wants it shown. Called under the lock. */
static char *shown(const struct address *a, const char *name) {
        if (!name)
                return address_text(a);
        const char *dot = strchr(name, '.');
        bool is_local = !resolver.keeps_domain && *resolver.domain && dot && strcasecmp(dot + 1, resolver.domain) == 0;
        return is_local ? strndup(name, (size_t)(dot - name)) : strdup(name);
}

/* Under the lock: waits until the address is answered, or so long. The answer, or NULL. */
static struct answer *await_answer(const struct address *a, int64_t patience_ms) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t ns = until.tv_nsec + patience_ms % 1000 * 1000000;
        until.tv_sec += patience_ms / 1000 + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        unsigned generation = resolver.generation;
        for (;;) {
                struct answer *found = resolver.cache ? cache_find(resolver.cache, a) : NULL;
                if (!found || found->is_known || generation != resolver.generation)
                        return found && found->is_known ? found : NULL;
                if (resolver.keeps_waiting)
                        return NULL;
                if (pthread_cond_timedwait(&resolver.is_answer, &resolver.lock, &until)) {
                        resolver.keeps_waiting = true;
                        return NULL;
                }
        }
}

/* Under the lock: the answer that stands, asked for again when its time is over; NULL: none yet. */
static struct answer *find_answer(const struct address *a, int64_t patience_ms) {
        struct answer *place = resolver.cache ? cache_find(resolver.cache, a) : NULL;
        if (!place)
                place = cache_add(a);
        if (!place)
                return NULL;
        bool is_due = !place->is_known || (place->until_ns <= clock_mono_ns());
        bool is_put = is_due && put_question(place);
        if (place->is_known)
                return place;
        return is_put && patience_ms > 0 ? await_answer(a, patience_ms) : NULL;
}

char *resolve_name(const struct sockaddr *peer, socklen_t size, int64_t patience_ms, enum resolved *what,
                   int64_t *until_ns) {
        struct address a;
        enum resolved state = RESOLVED_NONE;
        int64_t until = INT64_MAX;
        char *result = NULL;
        if (address_of(peer, size, &a)) {
                pthread_mutex_lock(&resolver.lock);
                if (resolver.is_disabled) {
                        result = address_text(&a);
                } else {
                        const struct answer *found = find_answer(&a, patience_ms);
                        state = !found ? RESOLVED_NOT_YET : found->name ? RESOLVED_NAME : RESOLVED_NONE;
                        until = found ? found->until_ns : 0;
                        result = shown(&a, found ? found->name : NULL);
                }
                pthread_mutex_unlock(&resolver.lock);
        }
        if (what)
                *what = state;
        if (until_ns)
                *until_ns = until;
        return result;
}
