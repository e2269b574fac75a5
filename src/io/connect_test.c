#include "io/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/test_place.h"

/* A listener on loopback; its port in text. */
static int listen_on(char port[8]) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;
        CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&here, size) == 0 && listen(fd, 4) == 0);
        CHECK_INT(getsockname(fd, (struct sockaddr *)&here, &size), 0);
        snprintf(port, 8, "%u", ntohs(here.sin_port));
        return fd;
}

static void a_listener_is_reached_with_the_options_asked_for(void) {
        char port[8];
        int listener = listen_on(port), fd = -1;
        struct connect_rules rules = {
                .type = SOCK_STREAM,
                .keeps_alive = true,
                .keepalive_time_s = 77,
                .user_timeout_ms = 5000,
                .dscp = 10,
                .local_address = "127.0.0.1",
        };
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(connect_host(&fd, &rules, "127.0.0.1", port, &complaint), 0);
        int value;
        socklen_t size = sizeof value;
        CHECK_INT(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size), 0);
        CHECK_INT(value, 77);
        CHECK_INT(getsockopt(fd, IPPROTO_IP, IP_TOS, &value, &size), 0);
        CHECK_INT(value, 40);
        CHECK(connect_is_alive(fd));
        connect_close(fd);
        connect_close(listener);
}

static void nobody_there_is_refused(void) {
        char port[8];
        connect_close(listen_on(port));
        struct connect_rules rules = {.type = SOCK_STREAM};
        _owned_(buffer_fini) struct buffer complaint = {0};
        int fd = -1;
        CHECK_INT(connect_host(&fd, &rules, "127.0.0.1", port, &complaint), -ECONNREFUSED);
        CHECK_INT(fd, -1);
}

static void an_unknown_name_is_explained(void) {
        struct connect_rules rules = {.type = SOCK_STREAM};
        _owned_(buffer_fini) struct buffer complaint = {0};
        int fd = -1;
        CHECK_INT(connect_host(&fd, &rules, "127.0.0.1", "no-such-service", &complaint), -ENXIO);
        CHECK(complaint.size > 0);
}

static void a_device_that_is_not_there_is_named(void) {
        char port[8];
        int listener = listen_on(port), fd = -1;
        struct connect_rules rules = {.type = SOCK_STREAM, .device = "nodev0"};
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK(connect_host(&fd, &rules, "127.0.0.1", port, &complaint) < 0);
        CHECK(strstr(buffer_string(&complaint), "nodev0"));
        rules = (struct connect_rules){.type = SOCK_STREAM, .network_namespace = "no-such-namespace"};
        CHECK(connect_host(&fd, &rules, "127.0.0.1", port, &complaint) < 0);
        CHECK(strstr(buffer_string(&complaint), "no-such-namespace"));
        connect_close(listener);
}

static void a_foreign_address_is_bound_to_only_when_allowed(void) {
        struct connect_rules rules = {.type = SOCK_DGRAM, .local_address = "192.0.2.77"};
        _owned_(buffer_fini) struct buffer complaint = {0};
        int fd = -1;
        CHECK_INT(connect_host(&fd, &rules, "127.0.0.1", "9", &complaint), -EADDRNOTAVAIL);
        CHECK(strstr(buffer_string(&complaint), "192.0.2.77"));
}

static void a_peer_that_closed_is_noticed(void) {
        char port[8];
        int listener = listen_on(port), fd = -1;
        struct connect_rules rules = {.type = SOCK_STREAM};
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(connect_host(&fd, &rules, "127.0.0.1", port, &complaint), 0);
        int peer = accept(listener, NULL, NULL);
        CHECK_INT(send(peer, "chatter", 7, 0), 7);
        CHECK(connect_is_alive(fd));
        connect_close(peer);
        CHECK(!connect_is_alive(fd));
        connect_close(fd);
        connect_close(listener);
}

static void a_peer_that_does_not_read_ends_the_wait(void) {
        char port[8];
        int listener = listen_on(port), fd = -1;
        struct connect_rules rules = {.type = SOCK_STREAM, .send_buffer_bytes = 4096};
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(connect_host(&fd, &rules, "127.0.0.1", port, &complaint), 0);
        static char much[16 << 20];
        size_t sent;
        CHECK_INT(connect_send(fd, (struct text){much, sizeof much}, 50, 0, &sent), -EAGAIN);
        CHECK(sent > 0 && sent < sizeof much);
        connect_close(fd);
        connect_close(listener);
}

static void unix_sockets_are_reached_by_path_and_by_name(void) {
        test_place();
        for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
                struct sockaddr_un here = {.sun_family = AF_UNIX};
                char name[100];
                snprintf(name, sizeof name, "%s", test_place_path("socket"));
                memcpy(here.sun_path + is_abstract, name, strlen(name));
                socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
                int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = -1;
                CHECK_INT(bind(receiver, (struct sockaddr *)&here, size), 0);
                _owned_(buffer_fini) struct buffer complaint = {0};
                CHECK_INT(connect_unix(&fd, SOCK_DGRAM, name, is_abstract, NULL, 0, &complaint), 0);
                CHECK_INT(send(fd, "x", 1, 0), 1);
                char got[4];
                CHECK_INT(recv(receiver, got, sizeof got, MSG_DONTWAIT), 1);
                connect_close(fd);
                connect_close(receiver);
        }
        int fd;
        char longer[200];
        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(connect_unix(&fd, SOCK_DGRAM, longer, false, NULL, 0, &complaint), -ENAMETOOLONG);
}

TEST_MAIN(TEST(a_listener_is_reached_with_the_options_asked_for), TEST(nobody_there_is_refused),
          TEST(an_unknown_name_is_explained), TEST(a_device_that_is_not_there_is_named),
          TEST(a_foreign_address_is_bound_to_only_when_allowed), TEST(a_peer_that_closed_is_noticed),
          TEST(a_peer_that_does_not_read_ends_the_wait), TEST(unix_sockets_are_reached_by_path_and_by_name))
