#include "io/tls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fail.h"
#include "io/channel.h"
#include "io/test_place.h"
#include "io/tls_test.h"
#include "io/tls_watch.h"

enum { SERVER, CLIENT };

/* One authority, a server and a client of it, their files, and a pair of sockets between them. */
struct stage {
        struct test_identity authority, identity[2];
        char ca[96], cert[2][96], key[2][96], crl[96];
        struct tls_rules rules[2];
        struct tls_context *context[2];
        const char *name; /* that the client asks for */
        int fd[2];
        struct tls *end[2];
        int result[2]; /* of the handshake */
        struct buffer complaint;
};

static void write_identity(const struct stage *s, int side, const struct test_identity *identity) {
        test_write_certificate(s->cert[side], identity);
        test_write_key(s->key[side], identity);
}

/* Files as most tests want them: both sides have a certificate and know the authority. */
static void open_stage(struct stage *s, enum tls_auth auth) {
        *s = (struct stage){.fd = {-1, -1}};
        test_place();
        snprintf(s->ca, sizeof s->ca, "%s", test_place_path("ca.pem"));
        snprintf(s->crl, sizeof s->crl, "%s", test_place_path("crl.pem"));
        s->authority = test_identity_make(&(struct test_wish){.common_name = "House CA", .is_authority = true});
        test_write_certificate(s->ca, &s->authority);
        for (int side = SERVER; side <= CLIENT; side++) {
                snprintf(s->cert[side], sizeof s->cert[side], "%s",
                         test_place_path(side == SERVER ? "server.pem" : "client.pem"));
                snprintf(s->key[side], sizeof s->key[side], "%s",
                         test_place_path(side == SERVER ? "server.key" : "client.key"));
                s->identity[side] = test_identity_make(&(struct test_wish){
                        .common_name = side == SERVER ? "log.example.net" : "ada.example.net",
                        .alternatives = side == SERVER ? "DNS:log.example.net,IP:127.0.0.1" : NULL,
                        .issuer = &s->authority,
                });
                write_identity(s, side, &s->identity[side]);
                s->rules[side] = (struct tls_rules){
                        .is_server = side == SERVER,
                        .auth = auth,
                        .ca_file = s->ca,
                        .cert_file = s->cert[side],
                        .key_file = s->key[side],
                };
        }
}

static void part(struct stage *s) {
        for (int side = SERVER; side <= CLIENT; side++) {
                s->end[side] = tls_free(s->end[side]);
                s->fd[side] = connect_close(s->fd[side]);
        }
}

static void close_stage(struct stage *s) {
        part(s);
        for (int side = SERVER; side <= CLIENT; side++) {
                tls_context_free(s->context[side]);
                test_identity_drop(&s->identity[side]);
        }
        test_identity_drop(&s->authority);
        buffer_fini(&s->complaint);
}

static void make_contexts(struct stage *s) {
        for (int side = SERVER; side <= CLIENT; side++)
                if (!s->context[side]) {
                        int r = tls_context_new(&s->context[side], &s->rules[side], &s->complaint);
                        if (r)
                                TEST_FAIL("context %d: %d %s", side, r, buffer_string(&s->complaint));
                }
}

static void step(struct stage *s, int side) {
        if (s->result[side] > 0)
                s->result[side] = tls_handshake(s->end[side]);
}

/* A new connection between the two; each does what it can in turn. */
static void meet(struct stage *s) {
        enum { ROUNDS_MAX = 64 };
        part(s);
        make_contexts(s);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s->fd), 0);
        CHECK_INT(tls_new(&s->end[SERVER], s->context[SERVER], s->fd[SERVER], NULL), 0);
        CHECK_INT(tls_new(&s->end[CLIENT], s->context[CLIENT], s->fd[CLIENT], s->name), 0);
        s->result[SERVER] = s->result[CLIENT] = TLS_WANTS_READ;
        for (int i = 0; i < ROUNDS_MAX && (s->result[SERVER] > 0 || s->result[CLIENT] > 0); i++) {
                step(s, CLIENT);
                step(s, SERVER);
                if (s->result[SERVER] < 0 && s->result[CLIENT] > 0)
                        shutdown(s->fd[SERVER], SHUT_WR);
                if (s->result[CLIENT] < 0 && s->result[SERVER] > 0)
                        shutdown(s->fd[CLIENT], SHUT_WR);
        }
}

static bool says(const struct stage *s, int side, const char *words) {
        bool is_said = strstr(tls_complaint(s->end[side]), words);
        if (!is_said)
                printf("# it says: %s\n", tls_complaint(s->end[side]));
        return is_said;
}

static void check_open(struct stage *s) {
        meet(s);
        if (s->result[SERVER] || s->result[CLIENT])
                TEST_FAIL("server %d (%s), client %d (%s)", s->result[SERVER], tls_complaint(s->end[SERVER]),
                          s->result[CLIENT], tls_complaint(s->end[CLIENT]));
}

static void check_refused_by(struct stage *s, int side, const char *words) {
        meet(s);
        CHECK_INT(s->result[side], -EACCES);
        CHECK(says(s, side, words));
}

/* ---- Bytes ---- */

static void what_one_sends_the_other_receives(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        check_open(&s);
        char got[64];
        CHECK_INT(tls_send(s.end[CLIENT], TEXT("<34>hello\n")), 10);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 10);
        CHECK(memcmp(got, "<34>hello\n", 10) == 0);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), -EAGAIN);
        CHECK_INT(tls_events(s.end[SERVER]), EPOLLIN);
        _owned_(buffer_fini) struct buffer words = {0};
        tls_describe(s.end[SERVER], &words);
        CHECK(strstr(buffer_string(&words), "TLSv1.3, TLS_AES_256_GCM_SHA384, peer CN=ada.example.net"));
        s.end[CLIENT] = tls_free(s.end[CLIENT]);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 0);
        close_stage(&s);
}

static void many_records_are_handed_out_at_once(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        check_open(&s);
        static char got[64 << 10];
        for (int i = 0; i < 100; i++)
                CHECK_INT(tls_send(s.end[CLIENT], TEXT("0123456789")), 10);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 1000);
        /* Less room than there is: the rest waits, and says so. */
        for (int i = 0; i < 100; i++)
                CHECK_INT(tls_send(s.end[CLIENT], TEXT("0123456789")), 10);
        CHECK_INT(tls_receive(s.end[SERVER], got, 15), 15);
        CHECK(tls_has_pending(s.end[SERVER]));
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 985);
        CHECK(!tls_has_pending(s.end[SERVER]));
        close_stage(&s);
}

/* All that was taken arrives, though the socket was full in the middle of a record. */
static void a_full_socket_loses_nothing(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        check_open(&s);
        static char sent[50000], got[sizeof sent];
        size_t taken = 0, received = 0;
        ssize_t size;
        for (;;) {
                for (size_t i = 0; i < sizeof sent; i++)
                        sent[i] = (char)((taken + i) % 251);
                size = tls_send(s.end[CLIENT], (struct text){sent, sizeof sent});
                if (size < 0)
                        break;
                CHECK(size <= TLS_RECORD_BYTES_MAX);
                taken += (size_t)size;
        }
        CHECK_INT(size, -EAGAIN);
        CHECK_INT(tls_flush(s.end[CLIENT]), -EAGAIN);
        CHECK(tls_events(s.end[CLIENT]) & EPOLLOUT);
        for (int i = 0; i < 100000 && received < taken; i++) {
                size = tls_receive(s.end[SERVER], got, sizeof got);
                for (ssize_t j = 0; j < size; j++)
                        CHECK_INT(got[j], (char)((received + (size_t)j) % 251));
                received += size > 0 ? (size_t)size : 0;
                int r = tls_flush(s.end[CLIENT]);
                CHECK(r == 0 || r == -EAGAIN);
        }
        CHECK_INT((long long)received, (long long)taken);
        CHECK_INT(tls_flush(s.end[CLIENT]), 0);
        close_stage(&s);
}

static void a_peer_that_is_gone_is_an_error_and_no_signal(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        check_open(&s);
        signal(SIGPIPE, SIG_DFL);
        s.fd[SERVER] = connect_close(s.fd[SERVER]);
        ssize_t size = tls_send(s.end[CLIENT], TEXT("x"));
        CHECK_INT(size, -EPIPE);
        CHECK(says(&s, CLIENT, "Broken pipe"));
        close_stage(&s);
}

/* As many senders end it; a frame that was cut is the framing's to tell. */
static void a_peer_that_closes_without_a_good_bye_ends_the_stream(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        check_open(&s);
        char got[8];
        CHECK_INT(tls_send(s.end[CLIENT], TEXT("last")), 4);
        s.fd[CLIENT] = connect_close(s.fd[CLIENT]);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 4);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 0);
        CHECK_INT(tls_receive(s.end[SERVER], got, sizeof got), 0);
        close_stage(&s);
}

static void plain_text_is_recognized(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        make_contexts(&s);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s.fd), 0);
        CHECK_INT(tls_new(&s.end[SERVER], s.context[SERVER], s.fd[SERVER], NULL), 0);
        CHECK(send(s.fd[CLIENT], "<34>Oct 11 22:14:15 host tag: plain\n", 36, 0) == 36);
        CHECK_INT(tls_handshake(s.end[SERVER]), -EPROTO);
        CHECK(says(&s, SERVER, "is not TLS"));
        close_stage(&s);
}

static void a_channel_is_the_same_with_and_without(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        check_open(&s);
        char got[16];
        for (int is_secure = 0; is_secure < 2; is_secure++) {
                int pair[2];
                CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
                struct channel here = {.fd = is_secure ? s.fd[CLIENT] : pair[0],
                                       .tls = is_secure ? s.end[CLIENT] : NULL};
                struct channel there = {.fd = is_secure ? s.fd[SERVER] : pair[1],
                                        .tls = is_secure ? s.end[SERVER] : NULL};
                size_t sent;
                CHECK(channel_is_alive(&here));
                CHECK_INT(channel_send(&here, TEXT("hello"), 1000, &sent), 0);
                CHECK_INT((long long)sent, 5);
                CHECK_INT(channel_receive(&there, got, sizeof got), 5);
                CHECK_INT(channel_receive(&there, got, sizeof got), -EAGAIN);
                channel_close(&there);
                CHECK(!channel_is_alive(&here));
                channel_close(&here);
                if (is_secure) {
                        s.end[CLIENT] = s.end[SERVER] = NULL;
                        s.fd[CLIENT] = s.fd[SERVER] = -1;
                        connect_close(pair[0]);
                        connect_close(pair[1]);
                }
        }
        close_stage(&s);
}

static void a_stalled_channel_gives_up_in_time(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        check_open(&s);
        struct channel here = {.fd = s.fd[CLIENT], .tls = s.end[CLIENT]};
        static char bytes[4 << 20];
        size_t sent;
        CHECK_INT(channel_send(&here, (struct text){bytes, sizeof bytes}, 20, &sent), -EAGAIN);
        CHECK(sent > 0 && sent < sizeof bytes);
        close_stage(&s);
}

static void a_silent_server_is_given_up_in_time(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        make_contexts(&s);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s.fd), 0);
        CHECK_INT(tls_connect(&s.end[CLIENT], s.context[CLIENT], s.fd[CLIENT], NULL, 20, &s.complaint), -ETIMEDOUT);
        CHECK(strstr(buffer_string(&s.complaint), "did not finish the TLS handshake in time"));
        close_stage(&s);
}

/* ---- On a loop ---- */

/* A server's connection as a listener has it. */
struct watched {
        struct watch watch;
        struct tls_watch *tls;
        struct loop *loop;
        int result;    /* of the handshake */
        size_t bytes;  /* that were read, a few at a time */
        size_t calls;  /* that read something */
        size_t wanted; /* then the loop ends */
};

static void watched_ready(struct watch *watch, uint32_t events _unused_) {
        struct watched *w = CONTAINER_OF(watch, struct watched, watch);
        w->result = tls_watch_ready(w->tls);
        if (w->result > 0)
                return;
        char few[100];
        ssize_t got = w->result ? w->result : tls_receive(w->tls->tls, few, sizeof few);
        if (got > 0) {
                w->bytes += (size_t)got;
                w->calls++;
                tls_watch_yield(w->tls);
        }
        tls_watch_settle(w->tls, false);
        if (w->bytes >= w->wanted || w->result < 0)
                loop_stop(w->loop);
}

static void watch_server(struct stage *s, struct watched *w, size_t wanted) {
        *w = (struct watched){.watch = {.fd = s->fd[SERVER], .events = EPOLLIN, .ready = watched_ready},
                              .wanted = wanted};
        CHECK_INT(loop_new(&w->loop), 0);
        CHECK_INT(tls_watch_new(&w->tls, s->context[SERVER], w->loop, &w->watch, NULL), 0);
        CHECK_INT(loop_watch(w->loop, &w->watch), 0);
        CHECK_INT(tls_watch_start(w->tls), 0);
}

static void unwatch_server(struct watched *w) {
        loop_unwatch(w->loop, &w->watch);
        tls_watch_free(w->tls);
        loop_free(w->loop);
}

static void *send_much(void *stage) {
        struct stage *s = stage;
        static const char bytes[10000];
        size_t sent;
        struct channel channel = {.fd = s->fd[CLIENT]};
        if (tls_connect(&channel.tls, s->context[CLIENT], channel.fd, NULL, 0, &s->complaint) == 0) {
                channel_send(&channel, (struct text){bytes, sizeof bytes}, 5000, &sent);
                s->end[CLIENT] = channel.tls;
        }
        return NULL;
}

/* What nobody reads would make the kernel throw away the last bytes of a sender that closes. */
static void only_who_asks_is_sent_a_verdict(void) {
        for (int asks = 0; asks < 2; asks++) {
                struct stage s;
                open_stage(&s, TLS_CERTVALID);
                s.rules[CLIENT].awaits_verdict = asks;
                check_open(&s);
                char byte;
                CHECK_INT(recv(s.fd[CLIENT], &byte, 1, MSG_PEEK | MSG_DONTWAIT), asks ? 1 : -1);
                close_stage(&s);
        }
}

/* The socket is empty after the first read; what was decrypted is handed out all the same. */
static void an_owner_that_yields_is_called_again(void) {
        struct stage s;
        struct watched w;
        open_stage(&s, TLS_CERTVALID);
        s.rules[CLIENT].awaits_verdict = true;
        make_contexts(&s);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s.fd), 0);
        watch_server(&s, &w, 10000);
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, send_much, &s), 0);
        CHECK_INT(loop_run(w.loop), 0);
        pthread_join(thread, NULL);
        CHECK_INT((long long)w.bytes, 10000);
        CHECK_INT((long long)w.calls, 100);
        unwatch_server(&w);
        close_stage(&s);
}

static void a_client_that_greets_too_slowly_is_sent_away(void) {
        struct stage s;
        struct watched w;
        open_stage(&s, TLS_ANON);
        s.rules[SERVER].handshake_ms = 20;
        make_contexts(&s);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s.fd), 0);
        watch_server(&s, &w, 1);
        CHECK(send(s.fd[CLIENT], "\x16\x03\x01\x02", 4, 0) == 4);
        CHECK_INT(loop_run(w.loop), 0);
        CHECK_INT(w.result, -ETIMEDOUT);
        unwatch_server(&w);
        close_stage(&s);
}

/* ---- Who is let in ---- */

static void a_certificate_of_our_authority_is_let_in(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        check_open(&s);
        close_stage(&s);
}

static void a_strangers_certificate_is_refused(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity stranger = test_identity_make(&(struct test_wish){.common_name = "mallory"});
        write_identity(&s, CLIENT, &stranger);
        check_refused_by(&s, SERVER,
                         "the peer's certificate \"CN=mallory\" (issued by \"CN=mallory\") is refused: "
                         "self-signed certificate; have it signed by an authority of our CA file");
        test_identity_drop(&stranger);
        close_stage(&s);
}

/* In TLS 1.3 a client's handshake ends before the server looks at its certificate: it hears of it afterwards. */
static void a_refused_client_hears_why(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity stranger = test_identity_make(&(struct test_wish){.common_name = "mallory"});
        write_identity(&s, CLIENT, &stranger);
        meet(&s);
        char got[8];
        CHECK_INT(s.result[CLIENT], 0);
        CHECK_INT(tls_receive(s.end[CLIENT], got, sizeof got), -EACCES);
        CHECK(says(&s, CLIENT, "the peer refused our certificate \"CN=mallory\""));
        test_identity_drop(&stranger);
        close_stage(&s);
}

static void a_client_without_a_certificate_is_refused(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        s.rules[CLIENT].cert_file = s.rules[CLIENT].key_file = NULL;
        check_refused_by(&s, SERVER, "the peer has shown no certificate");
        char got[8];
        CHECK_INT(tls_receive(s.end[CLIENT], got, sizeof got), -EACCES);
        CHECK(says(&s, CLIENT, "the peer wants a certificate and we have none"));
        close_stage(&s);
}

static void anonymous_peers_need_no_certificate_on_either_side(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        s.rules[CLIENT] = (struct tls_rules){.auth = TLS_ANON};
        check_open(&s);
        close_stage(&s);
        open_stage(&s, TLS_ANON);
        s.rules[CLIENT] = (struct tls_rules){.auth = TLS_ANON};
        s.rules[SERVER] = (struct tls_rules){.auth = TLS_ANON, .is_server = true};
        check_open(&s);
        close_stage(&s);
}

static void names_are_compared_with_those_permitted(void) {
        static const char *const good[] = {"*.example.net"}, *const bad[] = {"*.example.org", "eve.example.net"};
        struct stage s;
        open_stage(&s, TLS_NAME);
        s.name = "log.example.net";
        s.rules[SERVER].peers = good;
        s.rules[SERVER].peer_count = 1;
        check_open(&s);
        s.context[SERVER] = tls_context_free(s.context[SERVER]);
        s.rules[SERVER].peers = bad;
        s.rules[SERVER].peer_count = 2;
        part(&s);
        check_refused_by(&s, SERVER,
                         "is refused: it is made out to CN ada.example.net, and none of these is a permitted");
        close_stage(&s);
}

static void a_client_without_permitted_peers_wants_whom_it_called(void) {
        static const char *const permitted[] = {"ada.example.net"};
        struct stage s;
        open_stage(&s, TLS_NAME);
        s.rules[SERVER].peers = permitted;
        s.rules[SERVER].peer_count = 1;
        s.name = "log.example.net";
        check_open(&s);
        s.name = "127.0.0.1";
        check_open(&s);
        s.name = "other.example.net";
        check_refused_by(&s, CLIENT, "not to \"other.example.net\"");
        close_stage(&s);
}

static void alternative_names_replace_the_common_name_when_asked(void) {
        static const char *const permitted[] = {"common.example.net"};
        struct stage s;
        open_stage(&s, TLS_NAME);
        struct test_identity client = test_identity_make(&(struct test_wish){
                .common_name = "common.example.net", .alternatives = "DNS:other.example.net", .issuer = &s.authority});
        write_identity(&s, CLIENT, &client);
        s.name = "log.example.net";
        s.rules[SERVER].peers = permitted;
        s.rules[SERVER].peer_count = 1;
        check_open(&s);
        part(&s);
        s.context[SERVER] = tls_context_free(s.context[SERVER]);
        s.rules[SERVER].prioritizes_san = true;
        check_refused_by(&s, SERVER, "made out to DNS other.example.net, and none");
        test_identity_drop(&client);
        close_stage(&s);
}

static void fingerprints_let_in_whom_nobody_has_signed(void) {
        struct stage s;
        open_stage(&s, TLS_FINGERPRINT);
        struct test_identity self = test_identity_make(&(struct test_wish){.common_name = "self"});
        write_identity(&s, CLIENT, &self);
        unsigned char digest[32];
        unsigned size;
        char print[2][128] = {"SHA256", "SHA1"};
        CHECK(X509_digest(self.certificate, EVP_sha256(), digest, &size));
        for (unsigned i = 0; i < size; i++)
                snprintf(print[0] + 6 + 3 * i, 4, ":%02X", digest[i]);
        CHECK(X509_digest(s.identity[SERVER].certificate, EVP_sha1(), digest, &size));
        for (unsigned i = 0; i < size; i++)
                snprintf(print[1] + 4 + 3 * i, 4, ":%02x", digest[i]);
        const char *const of_client[] = {print[0]}, *const of_server[] = {print[1]};
        s.rules[SERVER].peers = of_client;
        s.rules[CLIENT].peers = of_server;
        s.rules[SERVER].peer_count = s.rules[CLIENT].peer_count = 1;
        check_open(&s);
        /* Another certificate, though our authority has signed it. */
        write_identity(&s, CLIENT, &s.identity[CLIENT]);
        CHECK_INT(tls_context_reload(s.context[CLIENT], &s.complaint), 0);
        check_refused_by(&s, SERVER, "its fingerprint is not permitted; to let it in, add \"SHA256:");
        test_identity_drop(&self);
        close_stage(&s);
}

/* ---- What else is checked ---- */

static void expired_certificates_are_refused_let_in_or_told(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity old = test_identity_make(
                &(struct test_wish){.common_name = "old", .issuer = &s.authority, .from_s = -7200, .until_s = -3600});
        write_identity(&s, CLIENT, &old);
        check_refused_by(&s, SERVER, "\"CN=old\" (issued by \"CN=House CA\") is refused: certificate has expired on ");
        CHECK(says(&s, SERVER, "PermitExpiredCerts"));
        static const enum tls_expired modes[] = {TLS_EXPIRED_PERMITTED, TLS_EXPIRED_TOLD};
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                part(&s);
                s.context[SERVER] = tls_context_free(s.context[SERVER]);
                s.rules[SERVER].expired = modes[i];
                check_open(&s);
                CHECK_INT(strstr(tls_complaint(s.end[SERVER]), "expired on") != NULL, modes[i] == TLS_EXPIRED_TOLD);
        }
        test_identity_drop(&old);
        close_stage(&s);
}

static void revoked_certificates_are_refused_once_the_list_is_read(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        s.rules[SERVER].crl_file = s.crl;
        test_write_revocations(s.crl, &s.authority, NULL);
        check_open(&s);
        test_write_revocations(s.crl, &s.authority, &s.identity[CLIENT]);
        check_open(&s);
        CHECK_INT(tls_context_reload(s.context[SERVER], &s.complaint), 0);
        check_refused_by(&s, SERVER, "is refused: certificate revoked; the peer needs another");
        close_stage(&s);
}

static void a_list_of_another_authority_says_nothing_unless_asked(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity other =
                test_identity_make(&(struct test_wish){.common_name = "Other", .is_authority = true});
        s.rules[SERVER].crl_file = s.crl;
        test_write_revocations(s.crl, &other, NULL);
        check_open(&s);
        part(&s);
        s.context[SERVER] = tls_context_free(s.context[SERVER]);
        s.rules[SERVER].checks_revocation = true;
        check_refused_by(&s, SERVER, "unable to get certificate CRL; add the issuer's list");
        test_identity_drop(&other);
        close_stage(&s);
}

static void the_purpose_counts_when_asked(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity mail = test_identity_make(
                &(struct test_wish){.common_name = "mail", .issuer = &s.authority, .usage = "emailProtection"});
        write_identity(&s, CLIENT, &mail);
        check_open(&s);
        part(&s);
        s.context[SERVER] = tls_context_free(s.context[SERVER]);
        s.rules[SERVER].checks_purpose = true;
        check_refused_by(&s, SERVER, "StreamDriver.CheckExtendedKeyPurpose");
        test_identity_drop(&mail);
        close_stage(&s);
}

static void long_chains_are_refused_when_asked(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity middle[2];
        middle[0] = test_identity_make(
                &(struct test_wish){.common_name = "Middle", .is_authority = true, .issuer = &s.authority});
        middle[1] = test_identity_make(
                &(struct test_wish){.common_name = "Lower", .is_authority = true, .issuer = &middle[0]});
        struct test_identity leaf =
                test_identity_make(&(struct test_wish){.common_name = "leaf", .issuer = &middle[1]});
        write_identity(&s, CLIENT, &leaf);
        FILE *file = fopen(s.cert[CLIENT], "a");
        CHECK(file && PEM_write_X509(file, middle[1].certificate) && PEM_write_X509(file, middle[0].certificate));
        fclose(file);
        check_open(&s);
        part(&s);
        s.context[SERVER] = tls_context_free(s.context[SERVER]);
        s.rules[SERVER].verify_depth = 1;
        meet(&s);
        CHECK_INT(s.result[SERVER], -EACCES);
        for (int i = 0; i < 2; i++)
                test_identity_drop(&middle[i]);
        test_identity_drop(&leaf);
        close_stage(&s);
}

/* ---- Versions and ciphers ---- */

static void priorities_of_both_kinds_are_obeyed(void) {
        static const struct {
                const char *priority, *words;
        } cases[] = {
                {"NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLSv1.2, "},
                {"MaxProtocol=TLSv1.2\nCipherString=ECDHE-ECDSA-AES128-GCM-SHA256",
                 "TLSv1.2, ECDHE-ECDSA-AES128-GCM-SHA256, "},
                {"SECURE256:-CIPHER-ALL:+CHACHA20-POLY1305", "TLSv1.3, TLS_CHACHA20_POLY1305_SHA256, "},
                {"NORMAL:+VERS-TLS1.0:-VERS-TLS1.1:-VERS-TLS1.2:-VERS-TLS1.3", "TLSv1, "},
                {"PERFORMANCE:%SERVER_PRECEDENCE", "TLSv1.3, TLS_AES_128_GCM_SHA256, "},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct stage s;
                open_stage(&s, TLS_CERTVALID);
                s.rules[SERVER].priority = s.rules[CLIENT].priority = cases[i].priority;
                check_open(&s);
                _owned_(buffer_fini) struct buffer words = {0};
                tls_describe(s.end[CLIENT], &words);
                if (strncmp(buffer_string(&words), cases[i].words, strlen(cases[i].words)) != 0)
                        TEST_FAIL("%s gives %s", cases[i].priority, buffer_string(&words));
                close_stage(&s);
        }
}

static void without_common_ground_both_say_so(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        s.rules[SERVER].priority = "MinProtocol=TLSv1.3";
        s.rules[CLIENT].priority = "MaxProtocol=TLSv1.2";
        meet(&s);
        CHECK_INT(s.result[SERVER], -EPROTO);
        CHECK_INT(s.result[CLIENT], -EPROTO);
        CHECK(says(&s, SERVER, "no TLS version or cipher in common"));
        CHECK(says(&s, CLIENT, "alert \"protocol version\""));
        close_stage(&s);
}

static void an_unknown_command_is_refused_by_its_name(void) {
        struct stage s;
        open_stage(&s, TLS_ANON);
        s.rules[SERVER].priority = "Protokoll=ALL";
        CHECK_INT(tls_context_new(&s.context[SERVER], &s.rules[SERVER], &s.complaint), TLS_IS_UNREADY);
        CHECK(strstr(buffer_string(&s.complaint), "the TLS setting Protokoll=ALL is unknown"));
        close_stage(&s);
}

/* ---- Files ---- */

static void check_unready(struct stage *s, const char *words) {
        s->complaint.size = 0;
        s->context[SERVER] = tls_context_free(s->context[SERVER]);
        CHECK_INT(tls_context_new(&s->context[SERVER], &s->rules[SERVER], &s->complaint), TLS_IS_UNREADY);
        if (!strstr(buffer_string(&s->complaint), words))
                TEST_FAIL("it says: %s", buffer_string(&s->complaint));
        CHECK(!tls_context_is_ready(s->context[SERVER]));
        struct tls *t;
        CHECK_INT(tls_new(&t, s->context[SERVER], 0, NULL), -ENOKEY);
}

static void write_words(const char *path, const char *words) {
        FILE *file = fopen(path, "w");
        CHECK(file && fputs(words, file) >= 0);
        fclose(file);
}

static void bad_files_are_named_and_a_good_one_heals(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        s.rules[SERVER].cert_file = "/nowhere/cert.pem";
        check_unready(&s, "the certificate /nowhere/cert.pem cannot be read: No such file");
        s.rules[SERVER].cert_file = s.cert[SERVER];
        write_words(s.cert[SERVER], "hello\n");
        check_unready(&s, "cannot be used; it must be in PEM form");
        test_write_certificate(s.cert[SERVER], &s.identity[CLIENT]);
        check_unready(&s, "does not belong to the certificate");
        FILE *file = fopen(s.key[SERVER], "w");
        CHECK(file &&
              PEM_write_PKCS8PrivateKey(file, s.identity[SERVER].key, EVP_aes_128_cbc(), "geheim", 6, NULL, NULL));
        fclose(file);
        check_unready(&s, "is encrypted, and nobody can be asked for its password");
        write_words(s.ca, "");
        check_unready(&s, "is not a list of certificates in PEM form");
        test_write_certificate(s.ca, &s.authority);
        write_identity(&s, SERVER, &s.identity[SERVER]);
        CHECK_INT(tls_context_reload(s.context[SERVER], &s.complaint), 0);
        check_open(&s);
        close_stage(&s);
}

static void rules_without_what_they_need_are_explained(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        s.rules[SERVER].ca_file = NULL;
        check_unready(&s, "the authorities must be known that sign them");
        s.rules[SERVER].ca_file = s.ca;
        s.rules[SERVER].key_file = NULL;
        check_unready(&s, "there is a certificate but no private key for it");
        s.rules[SERVER].cert_file = NULL;
        check_unready(&s, "needs a certificate and its private key");
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(tls_rules_check(&(struct tls_rules){.is_server = true, .auth = TLS_NAME}, &complaint), -EINVAL);
        CHECK_INT(tls_rules_check(&(struct tls_rules){.auth = TLS_NAME}, &complaint), 0);
        CHECK_INT(tls_rules_check(&(struct tls_rules){.auth = TLS_FINGERPRINT}, &complaint), -EINVAL);
        CHECK_INT(tls_rules_check(&(struct tls_rules){.checks_revocation = true}, &complaint), -EINVAL);
        close_stage(&s);
}

static void a_bad_reload_leaves_what_was_there(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        check_open(&s);
        write_words(s.cert[SERVER], "");
        CHECK_INT(tls_context_reload(s.context[SERVER], &s.complaint), -EINVAL);
        check_open(&s);
        close_stage(&s);
}

static void extra_authorities_are_trusted_too(void) {
        struct stage s;
        open_stage(&s, TLS_CERTVALID);
        struct test_identity other =
                test_identity_make(&(struct test_wish){.common_name = "Other", .is_authority = true});
        struct test_identity client = test_identity_make(&(struct test_wish){.common_name = "guest", .issuer = &other});
        write_identity(&s, CLIENT, &client);
        test_write_certificate(test_place_path("other.pem"), &other);
        char list[256];
        snprintf(list, sizeof list, " %s, %s ", s.ca, test_place_path("other.pem"));
        s.rules[SERVER].ca_extra_files = list;
        check_open(&s);
        test_identity_drop(&other);
        test_identity_drop(&client);
        close_stage(&s);
}

TEST_MAIN(TEST(what_one_sends_the_other_receives), TEST(many_records_are_handed_out_at_once),
          TEST(a_full_socket_loses_nothing), TEST(a_peer_that_is_gone_is_an_error_and_no_signal),
          TEST(a_peer_that_closes_without_a_good_bye_ends_the_stream), TEST(plain_text_is_recognized),
          TEST(a_channel_is_the_same_with_and_without), TEST(a_stalled_channel_gives_up_in_time),
          TEST(a_silent_server_is_given_up_in_time), TEST(only_who_asks_is_sent_a_verdict),
          TEST(an_owner_that_yields_is_called_again), TEST(a_client_that_greets_too_slowly_is_sent_away),
          TEST(a_certificate_of_our_authority_is_let_in), TEST(a_strangers_certificate_is_refused),
          TEST(a_refused_client_hears_why), TEST(a_client_without_a_certificate_is_refused),
          TEST(anonymous_peers_need_no_certificate_on_either_side), TEST(names_are_compared_with_those_permitted),
          TEST(a_client_without_permitted_peers_wants_whom_it_called),
          TEST(alternative_names_replace_the_common_name_when_asked), TEST(fingerprints_let_in_whom_nobody_has_signed),
          TEST(expired_certificates_are_refused_let_in_or_told),
          TEST(revoked_certificates_are_refused_once_the_list_is_read),
          TEST(a_list_of_another_authority_says_nothing_unless_asked), TEST(the_purpose_counts_when_asked),
          TEST(long_chains_are_refused_when_asked), TEST(priorities_of_both_kinds_are_obeyed),
          TEST(without_common_ground_both_say_so), TEST(an_unknown_command_is_refused_by_its_name),
          TEST(bad_files_are_named_and_a_good_one_heals), TEST(rules_without_what_they_need_are_explained),
          TEST(a_bad_reload_leaves_what_was_there), TEST(extra_authorities_are_trusted_too))
