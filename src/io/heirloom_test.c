#include "io/heirloom.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/test.h"
#include "io/socket.h"
#include "io/unix.h"
#include "io/unix_stream.h"

static int udp_socket(unsigned *port) {
        struct socket_set set;
        const struct socket_place place = {.family = AF_INET, .address = "127.0.0.1", .port = "0"};
        CHECK_INT(socket_bind_udp(&set, &place), 0);
        *port = set.port;
        return set.fd[0];
}

static struct sockaddr_in loopback(unsigned port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void a_socket_is_claimed_once_by_its_address(void) {
        unsigned port;
        int fd = udp_socket(&port);
        struct sockaddr_in wanted = loopback(port), other = loopback(port ^ 1);
        CHECK_INT(heirlooms_offer(&fd, 1), 0);
        CHECK_INT(heirloom_claim(SOCK_STREAM, (struct sockaddr *)&wanted, sizeof wanted, -1), -1);
        CHECK_INT(heirloom_claim(SOCK_DGRAM, (struct sockaddr *)&other, sizeof other, -1), -1);
        CHECK_INT(heirloom_claim(SOCK_DGRAM, (struct sockaddr *)&wanted, sizeof wanted, fd), fd);
        CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
        CHECK_INT(heirloom_claim(SOCK_DGRAM, (struct sockaddr *)&wanted, sizeof wanted, -1), -1);
        CHECK_INT(heirlooms_close(), 0);
        close(fd);
}

static void what_nobody_claims_is_closed(void) {
        unsigned port;
        int fds[2] = {udp_socket(&port), -1};
        fds[1] = udp_socket(&port);
        CHECK_INT(heirlooms_offer(fds, 1), 0);
        CHECK_INT(heirlooms_offer(fds + 1, 1), 0);
        CHECK_INT(heirlooms_close(), 2);
        CHECK_INT(fcntl(fds[0], F_GETFD), -1);
        CHECK(getenv("PENSTOCK_HEIRLOOMS") == NULL);
}

static void binding_takes_what_is_there_with_what_it_has_received(void) {
        unsigned port;
        char digits[16];
        int fd = udp_socket(&port), sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = loopback(port);
        CHECK_INT(sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
        CHECK_INT(heirlooms_offer(&fd, 1), 0);
        snprintf(digits, sizeof digits, "%u", port);
        struct socket_set set;
        const struct socket_place place = {.family = AF_INET, .address = "127.0.0.1", .port = digits};
        CHECK_INT(socket_bind_udp(&set, &place), 0);
        CHECK_INT(set.fd[0], fd);
        CHECK_INT(set.port, port);
        char byte = 0;
        CHECK_INT(socket_receive(fd, &byte, 1), 1);
        CHECK_INT(byte, 'x');
        socket_set_fini(&set);
        CHECK_INT(heirlooms_close(), 0);
        close(sender);
}

static void unix_sockets_keep_their_path(void) {
        char directory[] = "/tmp/heirloom-XXXXXX", path[64], stream[64];
        CHECK(mkdtemp(directory) != NULL);
        snprintf(path, sizeof path, "%s/log", directory);
        snprintf(stream, sizeof stream, "%s/stream", directory);
        int fds[2], found;
        CHECK_INT(unix_bind(&fds[0], path, 0600, true, false), 0);
        CHECK_INT(unix_stream_listen(&fds[1], stream), 0);
        CHECK_INT(heirlooms_offer(fds, 2), 0);
        CHECK_INT(unix_bind(&found, path, 0600, true, false), 0);
        CHECK_INT(found, fds[0]);
        const struct unix_place place = {.path = stream, .unlinks = true, .backlog = 1, .mode = 0600};
        CHECK_INT(socket_listen_unix(&found, &place), 0);
        CHECK_INT(found, fds[1]);
        CHECK_INT(access(path, F_OK), 0);
        CHECK_INT(access(stream, F_OK), 0);
        CHECK_INT(heirlooms_close(), 0);
        close(fds[0]);
        close(fds[1]);
        unlink(path);
        unlink(stream);
        rmdir(directory);
}

static void a_name_of_the_service_manager_stays_its_own(void) {
        char directory[] = "/tmp/heirloom-XXXXXX", path[64], lines[80];
        CHECK(mkdtemp(directory) != NULL);
        snprintf(path, sizeof path, "%s/log", directory);
        snprintf(lines, sizeof lines, "/elsewhere\n%s\n", path);
        int fd;
        CHECK_INT(unix_bind(&fd, path, 0600, true, false), 0);
        CHECK_INT(heirlooms_offer(&fd, 1), 0);
        CHECK_INT(unix_inherited(path), -1);
        setenv(UNIX_LENT_VARIABLE, lines, 1);
        _owned_(buffer_fini) struct buffer lent = {0};
        unix_lent(&lent);
        CHECK_TEXT(buffer_as_text(&lent), lines);
        CHECK_INT(unix_inherited(path), fd);
        unsetenv(UNIX_LENT_VARIABLE);
        CHECK_INT(heirlooms_close(), 0);
        close(fd);
        unlink(path);
        rmdir(directory);
}

static void those_that_listen_or_are_bound_are_found(void) {
        unsigned port;
        int fds[HEIRLOOMS_MAX];
        int bound = udp_socket(&port), unbound = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct socket_set set;
        const struct socket_place place = {.family = AF_INET, .address = "127.0.0.1", .port = "0", .backlog = 1};
        CHECK_INT(socket_listen_tcp(&set, &place), 0);
        size_t count = heirlooms_find(fds, HEIRLOOMS_MAX);
        unsigned seen = 0;
        for (size_t i = 0; i < count; i++) {
                CHECK(fds[i] != unbound);
                seen += fds[i] == bound || fds[i] == set.fd[0];
        }
        CHECK_INT(seen, 2);
        close(bound);
        close(unbound);
        socket_set_fini(&set);
}

TEST_MAIN(TEST(a_socket_is_claimed_once_by_its_address), TEST(what_nobody_claims_is_closed),
          TEST(binding_takes_what_is_there_with_what_it_has_received), TEST(unix_sockets_keep_their_path),
          TEST(a_name_of_the_service_manager_stays_its_own), TEST(those_that_listen_or_are_bound_are_found))
