#include "io/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"

/* A name server's answer, made by hand. */
static struct buffer answer;

static void number(unsigned value) {
        buffer_byte(&answer, (char)(value >> 8));
        buffer_byte(&answer, (char)value);
}

static void name(const char *dotted) {
        for (const char *at = dotted; *at;) {
                size_t size = strcspn(at, ".");
                buffer_byte(&answer, (char)size);
                buffer_append(&answer, at, size);
                at += size + (at[size] == '.');
        }
        buffer_byte(&answer, 0);
}

static void begin(unsigned records) {
        buffer_clear(&answer);
        number(0x1234);
        number(0x8180);
        number(1);
        number(records);
        number(0);
        number(0);
        name("_syslog._tcp.example.net");
        number(33);
        number(1);
}

static void host(unsigned priority, unsigned weight, unsigned port, const char *target) {
        number(0xc00c); /* the name of the question */
        number(33);
        number(1);
        number(0);
        number(60);
        number((unsigned)(6 + strlen(target) + 2));
        number(priority);
        number(weight);
        number(port);
        name(target);
}

static void hosts_are_read_from_an_answer(void) {
        struct service_host hosts[SERVICE_HOSTS_MAX];
        size_t count;
        begin(2);
        host(10, 5, 6514, "a.example.net");
        host(20, 1, 514, "b.example.net");
        CHECK_INT(service_parse((uint8_t *)answer.data, answer.size, hosts, &count), 0);
        CHECK_INT(count, 2);
        CHECK_TEXT(text_of(hosts[0].name), "a.example.net");
        CHECK_TEXT(text_of(hosts[0].port), "6514");
        CHECK_INT(hosts[1].priority, 20);
        buffer_fini(&answer);
}

static void an_answer_cut_anywhere_is_refused(void) {
        struct service_host hosts[SERVICE_HOSTS_MAX];
        size_t count;
        begin(1);
        host(10, 5, 6514, "a.example.net");
        for (size_t size = 0; size < answer.size; size++) {
                uint8_t *cut = malloc(size + 1);
                memcpy(cut, answer.data, size);
                int r = service_parse(cut, size, hosts, &count);
                free(cut);
                CHECK_INT(r, -EBADMSG);
        }
        buffer_fini(&answer);
}

static void more_hosts_than_there_is_room_for_are_left_out(void) {
        struct service_host hosts[SERVICE_HOSTS_MAX];
        size_t count;
        begin(SERVICE_HOSTS_MAX + 3);
        for (int i = 0; i < SERVICE_HOSTS_MAX + 3; i++)
                host(1, 1, 514, "x.y");
        CHECK_INT(service_parse((uint8_t *)answer.data, answer.size, hosts, &count), 0);
        CHECK_INT(count, SERVICE_HOSTS_MAX);
        buffer_fini(&answer);
}

static void the_server_of_the_environment_is_asked(void) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;
        CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&here, size) == 0);
        CHECK_INT(getsockname(fd, (struct sockaddr *)&here, &size), 0);
        char port[8];
        snprintf(port, sizeof port, "%u", ntohs(here.sin_port));
        setenv("RSYSLOG_DNS_SERVER", "127.0.0.1", 1);
        setenv("RSYSLOG_DNS_PORT", port, 1);
        begin(2);
        host(20, 1, 514, "b.example.net");
        host(10, 5, 6514, "a.example.net");
        fflush(stdout);
        pid_t server = fork();
        if (server == 0) {
                struct sockaddr_in from;
                socklen_t from_size = sizeof from;
                char query[512];
                alarm(10);
                ssize_t got = recvfrom(fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_size);
                memcpy(answer.data, query, 2);
                sendto(fd, answer.data, answer.size, 0, (struct sockaddr *)&from, from_size);
                _exit(got < 0);
        }
        close(fd);
        struct service_host hosts[SERVICE_HOSTS_MAX];
        size_t count;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = service_find(hosts, &count, "syslog", "tcp", "example.net", &complaint);
        waitpid(server, NULL, 0);
        buffer_fini(&answer);
        CHECK_INT(r, 0);
        CHECK_INT(count, 2);
        CHECK_TEXT(text_of(hosts[0].name), "a.example.net");
}

TEST_MAIN(TEST(hosts_are_read_from_an_answer), TEST(an_answer_cut_anywhere_is_refused),
          TEST(more_hosts_than_there_is_room_for_are_left_out), TEST(the_server_of_the_environment_is_asked))
