#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/test.h"

static const struct socket_place loopback = {.family = AF_INET, .address = "127.0.0.1", .port = "0", .backlog = 5};

static int connect_to(unsigned port) {
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        return fd;
}

/* A directory of its own, removed by the promise that made it. */
static void make_directory(char *path) {
        CHECK(mkdtemp(path) != NULL);
}

static void port_0_becomes_a_real_port_that_accepts(void) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        CHECK_INT(socket_listen_tcp(&set, &loopback), 0);
        CHECK_INT(set.count, 1);
        CHECK(set.port > 0);
        struct sockaddr_storage peer;
        socklen_t size;
        CHECK_INT(socket_accept(set.fd[0], &peer, &size), -EAGAIN);
        int client = connect_to(set.port);
        struct pollfd wait = {.fd = set.fd[0], .events = POLLIN};
        CHECK_INT(poll(&wait, 1, 5000), 1);
        int fd = socket_accept(set.fd[0], &peer, &size);
        CHECK(fd >= 0);
        CHECK_INT(peer.ss_family, AF_INET);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        char byte;
        CHECK_INT(socket_receive(fd, &byte, 1), -EAGAIN);
        CHECK_INT(socket_close(fd), -1);
        socket_close(client);
}

static void all_addresses_share_the_chosen_port(void) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        struct socket_place place = {.family = AF_UNSPEC, .port = "0", .backlog = 5};
        CHECK_INT(socket_listen_tcp(&set, &place), 0);
        for (size_t i = 0; i < set.count; i++) {
                struct sockaddr_in6 at;
                socklen_t size = sizeof at;
                CHECK_INT(getsockname(set.fd[i], (struct sockaddr *)&at, &size), 0);
                CHECK_INT(ntohs(at.sin6_port), set.port);
        }
}

static void a_port_can_be_shared_by_threads(void) {
        _owned_(socket_set_fini) struct socket_set first = {0};
        _owned_(socket_set_fini) struct socket_set second = {0};
        struct socket_place place = loopback;
        place.shares_port = true;
        CHECK_INT(socket_bind_udp(&first, &place), 0);
        char port[8];
        snprintf(port, sizeof port, "%u", first.port);
        place.port = port;
        CHECK_INT(socket_bind_udp(&second, &place), 0);
        CHECK_INT(second.port, first.port);
}

static void a_port_in_use_and_an_unknown_name_are_failures(void) {
        _owned_(socket_set_fini) struct socket_set first = {0};
        struct socket_set second = {0};
        CHECK_INT(socket_listen_tcp(&first, &loopback), 0);
        char port[8];
        snprintf(port, sizeof port, "%u", first.port);
        struct socket_place place = loopback;
        place.port = port;
        CHECK_INT(socket_listen_tcp(&second, &place), -EADDRINUSE);
        place.port = "no-such-service-anywhere";
        CHECK_INT(socket_listen_tcp(&second, &place), -ENOENT);
        place.port = "0";
        place.network_namespace = "penstock-has-no-such-namespace";
        CHECK_INT(socket_listen_tcp(&second, &place), -ENOENT);
}

static void an_address_of_another_machine_can_be_bound_if_asked(void) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        struct socket_place place = loopback;
        place.address = "192.0.2.99";
        CHECK_INT(socket_bind_udp(&set, &place), -EADDRNOTAVAIL);
        place.free_bind = FREE_BIND_TOLD;
        CHECK_INT(socket_bind_udp(&set, &place), 0);
        CHECK(set.is_free_bound);
}

static void datagrams_arrive_in_one_call(void) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        struct socket_place place = loopback;
        place.receive_bytes = 65536;
        CHECK_INT(socket_bind_udp(&set, &place), 0);
        struct sockaddr_in to;
        socklen_t size = sizeof to;
        CHECK_INT(getsockname(set.fd[0], (struct sockaddr *)&to, &size), 0);
        for (int i = 0; i < 3; i++)
                CHECK_INT(sendto(set.fd[0], "abc", 3, 0, (struct sockaddr *)&to, size), 3);
        char bytes[4][8];
        struct iovec to_bytes[4];
        struct mmsghdr messages[4] = {0};
        for (int i = 0; i < 4; i++) {
                to_bytes[i] = (struct iovec){bytes[i], sizeof bytes[i]};
                messages[i].msg_hdr.msg_iov = &to_bytes[i];
                messages[i].msg_hdr.msg_iovlen = 1;
        }
        CHECK_INT(socket_receive_many(set.fd[0], messages, 4), 3);
        CHECK_INT(messages[2].msg_len, 3);
        CHECK_INT(socket_receive_many(set.fd[0], messages, 4), -EAGAIN);
}

static void datagrams_of_one_size_are_received_as_a_train(void) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        CHECK_INT(socket_bind_udp(&set, &loopback), 0);
        CHECK(socket_receive_trains(set.fd[0]));
        struct sockaddr_in to;
        socklen_t size = sizeof to;
        CHECK_INT(getsockname(set.fd[0], (struct sockaddr *)&to, &size), 0);
        CHECK_INT(sendto(set.fd[0], "alone", 5, 0, (struct sockaddr *)&to, size), 5);
        int step = 3;
        CHECK_INT(setsockopt(set.fd[0], SOL_UDP, UDP_SEGMENT, &step, sizeof step), 0);
        CHECK_INT(sendto(set.fd[0], "abcdefgh", 8, 0, (struct sockaddr *)&to, size), 8);
        _Alignas(struct cmsghdr) char notes[2][CMSG_SPACE(sizeof(int))];
        char bytes[2][16];
        struct iovec to_bytes[2];
        struct mmsghdr messages[2] = {0};
        for (int i = 0; i < 2; i++) {
                to_bytes[i] = (struct iovec){bytes[i], sizeof bytes[i]};
                messages[i].msg_hdr = (struct msghdr){.msg_iov = &to_bytes[i],
                                                      .msg_iovlen = 1,
                                                      .msg_control = notes[i],
                                                      .msg_controllen = sizeof notes[i]};
        }
        CHECK_INT(socket_receive_many(set.fd[0], messages, 2), 2);
        CHECK_INT(messages[0].msg_len, 5);
        CHECK_INT(socket_train_step(&messages[0].msg_hdr), 0);
        CHECK_INT(messages[1].msg_len, 8);
        CHECK_INT(socket_train_step(&messages[1].msg_hdr), 3);
}

static void a_wish_for_a_buffer_only_makes_it_larger(void) {
        _owned_(socket_set_fini) struct socket_set plain = {0}, modest = {0}, large = {0}, told = {0};
        struct socket_place place = loopback;
        CHECK_INT(socket_bind_udp(&plain, &place), 0);
        int as_it_is = socket_receive_buffer(plain.fd[0]);
        place.receive_bytes_wished = 4096;
        CHECK_INT(socket_bind_udp(&modest, &place), 0);
        CHECK_INT(socket_receive_buffer(modest.fd[0]), as_it_is);
        place.receive_bytes_wished = 2 * as_it_is;
        CHECK_INT(socket_bind_udp(&large, &place), 0);
        CHECK(socket_receive_buffer(large.fd[0]) >= as_it_is);
        place.receive_bytes = 8192;
        CHECK_INT(socket_bind_udp(&told, &place), 0);
        CHECK_INT(socket_receive_buffer(told.fd[0]), 2 * 8192);
}

static void what_the_kernel_drops_is_counted(void) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        struct socket_place place = loopback;
        place.receive_bytes = 4096;
        CHECK_INT(socket_bind_udp(&set, &place), 0);
        struct sockaddr_in to;
        socklen_t size = sizeof to;
        CHECK_INT(getsockname(set.fd[0], (struct sockaddr *)&to, &size), 0);
        uint32_t dropped;
        CHECK_INT(socket_dropped(set.fd[0], &dropped), 0);
        CHECK_INT(dropped, 0);
        for (int i = 0; i < 200; i++)
                CHECK_INT(sendto(set.fd[0], "abc", 3, 0, (struct sockaddr *)&to, size), 3);
        CHECK_INT(socket_dropped(set.fd[0], &dropped), 0);
        CHECK(dropped > 0 && dropped < 200);
}

static void a_unix_socket_has_the_mode_it_was_given(void) {
        char directory[] = "/tmp/penstock-socket-XXXXXX";
        make_directory(directory);
        char path[64];
        snprintf(path, sizeof path, "%s/s", directory);
        struct unix_place place = {.path = path, .backlog = 5, .mode = 0600, .owner = -1, .group = -1};
        int fd = -1;
        CHECK_INT(socket_listen_unix(&fd, &place), 0);
        struct stat status;
        CHECK_INT(stat(path, &status), 0);
        CHECK_INT(status.st_mode & 0777, 0600);
        int other = -1;
        CHECK_INT(socket_listen_unix(&other, &place), -EADDRINUSE);
        place.unlinks = true;
        CHECK_INT(socket_listen_unix(&other, &place), 0);
        socket_close(fd);
        socket_close(other);
        char long_path[200];
        memset(long_path, 'x', sizeof long_path);
        long_path[199] = '\0';
        place.path = long_path;
        CHECK_INT(socket_listen_unix(&other, &place), -ENAMETOOLONG);
        unlink(path);
        rmdir(directory);
}

static void keepalive_options_reach_the_kernel(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct keepalive keepalive = {.is_on = true, .probes = 3, .time_s = 77, .interval_s = 5};
        CHECK_INT(socket_keepalive(fd, &keepalive), 0);
        int value = 0;
        socklen_t size = sizeof value;
        CHECK_INT(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size), 0);
        CHECK_INT(value, 1);
        socket_close(fd);
}

static void the_port_file_holds_digits_alone(void) {
        char directory[] = "/tmp/penstock-socket-XXXXXX";
        make_directory(directory);
        char path[64], content[16] = "";
        snprintf(path, sizeof path, "%s/port", directory);
        CHECK_INT(socket_write_port(path, 10514), 0);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK_INT(read(fd, content, sizeof content), 5);
        CHECK_TEXT(text_of(content), "10514");
        socket_close(fd);
        unlink(path);
        CHECK_INT(rmdir(directory), 0); /* nothing else was left there */
        CHECK_INT(socket_write_port(path, 1), -ENOENT);
}

TEST_MAIN(TEST(port_0_becomes_a_real_port_that_accepts), TEST(all_addresses_share_the_chosen_port),
          TEST(a_port_can_be_shared_by_threads), TEST(a_port_in_use_and_an_unknown_name_are_failures),
          TEST(an_address_of_another_machine_can_be_bound_if_asked), TEST(datagrams_arrive_in_one_call),
          TEST(datagrams_of_one_size_are_received_as_a_train), TEST(a_wish_for_a_buffer_only_makes_it_larger),
          TEST(what_the_kernel_drops_is_counted), TEST(a_unix_socket_has_the_mode_it_was_given),
          TEST(keepalive_options_reach_the_kernel), TEST(the_port_file_holds_digits_alone))
