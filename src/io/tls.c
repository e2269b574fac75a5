#include "io/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fail.h"
#include "io/tls_library.h"
#include "io/tls_peer.h"
#include "io/tls_priority.h"

enum { PEERS_MAX = 1024 };

/* ---- Words and rules ---------------------------------------------------- */

int tls_auth_of(enum tls_auth *ret, const char *word) {
        static const struct {
                const char *word;
                enum tls_auth auth;
        } words[] = {
                {"anon", TLS_ANON},
                {"x509/certvalid", TLS_CERTVALID},
                {"x509/fingerprint", TLS_FINGERPRINT},
                {"x509/name", TLS_NAME},
                {"certvalid", TLS_CERTVALID},
                {"fingerprint", TLS_FINGERPRINT},
                {"name", TLS_NAME},
                {"", TLS_ANON},
        };
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (text_equal_nocase(text_of(word), text_of(words[i].word))) {
                        *ret = words[i].auth;
                        return 0;
                }
        return fail(-EINVAL);
}

int tls_expired_of(enum tls_expired *ret, const char *word) {
        static const char *const words[] = {
                [TLS_EXPIRED_REFUSED] = "off",
                [TLS_EXPIRED_PERMITTED] = "on",
                [TLS_EXPIRED_TOLD] = "warn",
        };
        *ret = TLS_EXPIRED_REFUSED;
        if (!word || !*word)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (text_equal_nocase(text_of(word), text_of(words[i]))) {
                        *ret = (enum tls_expired)i;
                        return 0;
                }
        return fail(-EINVAL);
}

static int check_peers(const struct tls_rules *rules, struct buffer *complaint) {
        if (rules->peer_count > PEERS_MAX) {
                buffer_format(complaint, "there are more than %d permitted peers", PEERS_MAX);
                return fail(-EINVAL);
        }
        size_t fingerprints = 0;
        for (size_t i = 0; i < rules->peer_count; i++) {
                struct text peer = text_of(rules->peers[i]);
                int r = tls_peer_check(peer, complaint);
                if (r)
                        return pass(r);
                fingerprints += tls_peer_is_fingerprint(peer);
        }
        if (rules->auth == TLS_FINGERPRINT && fingerprints == 0) {
                buffer_text(complaint,
                            TEXT("authentication by fingerprint needs permitted peers that are fingerprints, "
                                 "as SHA256:AB:CD:..."));
                return fail(-EINVAL);
        }
        if (rules->auth == TLS_NAME && rules->is_server && fingerprints == rules->peer_count) {
                buffer_text(complaint, TEXT("authentication by name needs the names of permitted peers, as "
                                            "\"*.example.net\""));
                return fail(-EINVAL);
        }
        return 0;
}

int tls_rules_check(const struct tls_rules *rules, struct buffer *complaint) {
        _owned_(buffer_fini) struct buffer commands = {0};
        int r = tls_priority_translate(text_of(rules->priority), &commands, complaint);
        if (r)
                return pass(r);
        if (rules->checks_revocation && (!rules->crl_file || !*rules->crl_file)) {
                buffer_text(complaint, TEXT("the revocation check needs a file with lists of revoked certificates "
                                            "(StreamDriver.CRLFile); without one nobody would be let in"));
                return fail(-EINVAL);
        }
        return pass(check_peers(rules, complaint));
}

/* ---- Contexts ----------------------------------------------------------- */

/* `material` alone changes: it is swapped under the lock, and connections hold what they were made with. */
struct tls_context {
        void *handle;
        const struct tls_library *library;
        struct tls_rules rules; /* its texts are ours */
        struct buffer commands;
        pthread_mutex_t lock;
        struct tls_material *material; /* NULL: unready */
};

/* "" is as good as nothing. */
static int keep_text(const char **text) {
        if (!*text || !**text) {
                *text = NULL;
                return 0;
        }
        *text = text_copy(text_of(*text));
        return *text ? 0 : fail(-ENOMEM);
}

static int keep_peers(struct tls_rules *to, const struct tls_rules *from) {
        char **peers = calloc(from->peer_count + 1, sizeof *peers);
        if (!peers)
                return fail(-ENOMEM);
        to->peers = (const char *const *)peers;
        for (size_t i = 0; i < from->peer_count; i++) {
                peers[i] = text_copy(text_of(from->peers[i]));
                if (!peers[i])
                        return fail(-ENOMEM);
                to->peer_count++;
        }
        return 0;
}

static int keep_rules(struct tls_rules *to, const struct tls_rules *from) {
        const char **texts[] = {&to->ca_file,   &to->ca_extra_files, &to->crl_file,
                                &to->cert_file, &to->key_file,       &to->priority};
        *to = *from;
        to->peers = NULL;
        to->peer_count = 0;
        int r = 0;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                if (r)
                        *texts[i] = NULL;
                else
                        r = keep_text(texts[i]);
        }
        return r ? pass(r) : pass(keep_peers(to, from));
}

static void drop_rules(struct tls_rules *rules) {
        free((char *)rules->ca_file);
        free((char *)rules->ca_extra_files);
        free((char *)rules->crl_file);
        free((char *)rules->cert_file);
        free((char *)rules->key_file);
        free((char *)rules->priority);
        for (size_t i = 0; i < rules->peer_count; i++)
                free((char *)rules->peers[i]);
        free((void *)rules->peers);
}

/* The library stays loaded once it is: its own threads' data and exit handlers would outlive it. */
static int load_library(struct tls_context *context, struct buffer *complaint) {
        static const char *const places[] = {
                TLS_LIBRARY_FILE, /* where the program's run path leads */
                TLS_LIBRARY_DIRECTORY "/" TLS_LIBRARY_FILE,
        };
        const char *why = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(places) && !context->handle; i++) {
                context->handle = dlopen(places[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
                if (!context->handle)
                        why = dlerror();
        }
        if (!context->handle) {
                buffer_format(complaint, "TLS is not installed (%s comes with it, and needs OpenSSL 3): %s",
                              TLS_LIBRARY_FILE, why ? why : "it cannot be loaded");
                return fail(-ENOENT);
        }
        context->library = dlsym(context->handle, "penstock_tls");
        if (!context->library || context->library->abi != TLS_LIBRARY_ABI ||
            context->library->size != sizeof *context->library) {
                buffer_format(complaint, "%s does not belong to this version; install both of one build",
                              TLS_LIBRARY_FILE);
                return fail(-ENOENT);
        }
        return 0;
}

int tls_context_new(struct tls_context **ret, const struct tls_rules *rules, struct buffer *complaint) {
        _owned_(tls_context_free) struct tls_context *context = calloc(1, sizeof *context);
        if (!context)
                return fail(-ENOMEM);
        pthread_mutex_init(&context->lock, NULL);
        int r = tls_rules_check(rules, complaint);
        if (r == 0)
                r = keep_rules(&context->rules, rules);
        if (r == 0)
                r = tls_priority_translate(text_of(context->rules.priority), &context->commands, complaint);
        if (r == 0)
                r = load_library(context, complaint);
        if (r)
                return pass(r);
        r = tls_context_reload(context, complaint);
        if (r == -ENOMEM)
                return pass(r);
        *ret = TAKE(context);
        return r ? TLS_IS_UNREADY : 0;
}

struct tls_context *tls_context_free(struct tls_context *context) {
        if (!context)
                return NULL;
        if (context->material)
                context->library->material_unref(context->material);
        if (context->handle)
                dlclose(context->handle);
        drop_rules(&context->rules);
        buffer_fini(&context->commands);
        pthread_mutex_destroy(&context->lock);
        free(context);
        return NULL;
}

int tls_context_reload(struct tls_context *context, struct buffer *complaint) {
        struct tls_material *material = NULL;
        const char *commands = buffer_string(&context->commands);
        if (!commands)
                return fail(-ENOMEM);
        int r = context->library->material_new(&material, &context->rules, commands, complaint);
        if (r)
                return pass(r);
        pthread_mutex_lock(&context->lock);
        struct tls_material *old = context->material;
        context->material = material;
        pthread_mutex_unlock(&context->lock);
        if (old)
                context->library->material_unref(old);
        return 0;
}

int tls_context_handshake_ms(const struct tls_context *context) {
        return context->rules.handshake_ms > 0 ? context->rules.handshake_ms : TLS_HANDSHAKE_MS;
}

static struct tls_material *take_material(struct tls_context *context) {
        pthread_mutex_lock(&context->lock);
        struct tls_material *material = context->material;
        if (material)
                context->library->material_ref(material);
        pthread_mutex_unlock(&context->lock);
        return material;
}

bool tls_context_is_ready(struct tls_context *context) {
        struct tls_material *material = take_material(context);
        if (material)
                context->library->material_unref(material);
        return material;
}

/* ---- Connections -------------------------------------------------------- */

int tls_new(struct tls **ret, struct tls_context *context, int fd, const char *name) {
        struct tls_material *material = take_material(context);
        if (!material)
                return fail(-ENOKEY);
        int r = context->library->open(ret, material, fd, name);
        context->library->material_unref(material);
        return pass(r);
}

struct tls *tls_free(struct tls *t) {
        if (t)
                t->library->close(t);
        return NULL;
}

int tls_handshake(struct tls *t) {
        return t->library->handshake(t);
}

ssize_t tls_receive(struct tls *t, void *to, size_t size) {
        return t->library->receive(t, to, size);
}

ssize_t tls_send(struct tls *t, struct text bytes) {
        return t->library->send(t, bytes);
}

int tls_flush(struct tls *t) {
        return t->library->flush(t);
}

uint32_t tls_events(const struct tls *t) {
        return t->library->events(t);
}

bool tls_has_pending(const struct tls *t) {
        return t->library->has_pending(t);
}

const char *tls_complaint(const struct tls *t) {
        return t->library->complaint(t);
}

void tls_describe(const struct tls *t, struct buffer *to) {
        t->library->describe(t, to);
}

/* ---- In a worker -------------------------------------------------------- */

static int wait_until(int fd, uint32_t events, int64_t deadline_ns) {
        struct pollfd watched = {.fd = fd, .events = (short)(events & EPOLLOUT ? POLLIN | POLLOUT : POLLIN)};
        if ((events & (EPOLLIN | EPOLLOUT)) == EPOLLOUT)
                watched.events = POLLOUT;
        for (;;) {
                int64_t left_ms = (deadline_ns - clock_mono_ns() + 999999) / 1000000;
                if (left_ms <= 0)
                        return fail(-ETIMEDOUT);
                int r = poll(&watched, 1, (int)left_ms);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return fail(-errno);
        }
}

static int greet(struct tls *t, int fd, int64_t deadline_ns) {
        for (;;) {
                int r = tls_handshake(t);
                if (r <= 0)
                        return pass(r);
                r = wait_until(fd, r == TLS_WANTS_READ ? EPOLLIN : EPOLLOUT, deadline_ns);
                if (r)
                        return pass(r);
        }
}

/* Until the server has shown by anything at all that it went on, or that it did not. */
static int await_verdict(struct tls *t, int fd) {
        int64_t deadline_ns = clock_mono_ns() + TLS_VERDICT_MS * INT64_C(1000000);
        for (;;) {
                int r = t->library->look(t);
                if (r != -EAGAIN)
                        return pass(r);
                r = wait_until(fd, tls_events(t), deadline_ns);
                if (r)
                        return r == -ETIMEDOUT ? 0 : pass(r);
        }
}

int tls_connect(struct tls **ret, struct tls_context *context, int fd, const char *name, int wait_ms,
                struct buffer *complaint) {
        _owned_(tls_free) struct tls *t = NULL;
        int r = tls_new(&t, context, fd, name);
        if (r) {
                if (r == -ENOKEY)
                        buffer_text(complaint, TEXT("the certificates and keys configured could not be read"));
                return pass(r);
        }
        int64_t limit_ms = wait_ms ? wait_ms : tls_context_handshake_ms(context);
        r = greet(t, fd, clock_mono_ns() + limit_ms * 1000000);
        if (r == 0 && context->rules.awaits_verdict)
                r = await_verdict(t, fd);
        buffer_text(complaint, text_of(tls_complaint(t)));
        if (r == -ETIMEDOUT)
                buffer_text(complaint, TEXT("the peer did not finish the TLS handshake in time; is it TLS that it "
                                            "speaks on this port?"));
        if (r)
                return pass(r);
        *ret = TAKE(t);
        return 0;
}
