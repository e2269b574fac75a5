#include "io/unix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"

static char directory[] = "/tmp/penstock-unix-XXXXXX";
static char path[64];

static int bound(void) {
        if (!path[0]) {
                CHECK(mkdtemp(directory));
                snprintf(path, sizeof path, "%s/s", directory);
        }
        int fd;
        CHECK(unix_bind(&fd, path, 0600, true, false) == 0);
        return fd;
}

static void unbind(int fd) {
        close(fd);
        unlink(path);
        rmdir(directory);
}

static void send_text(const char *text) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&address, sizeof address) ==
              (ssize_t)strlen(text));
        close(fd);
}

static void datagrams_come_together_with_sender_and_time(void) {
        int fd = bound();
        CHECK(unix_ask(fd, true, true) == 0);
        _owned_(unix_inbox_free) struct unix_inbox *inbox = NULL;
        CHECK(unix_inbox_new(&inbox, 100) == 0);
        const struct unix_datagram *found;
        CHECK_INT(unix_receive(inbox, fd, &found), 0);
        /* Twice, since the kernel shortens what it is given for control data. */
        for (int round = 0; round < 2; round++) {
                send_text("one");
                send_text("");
                send_text("two");
                CHECK_INT(unix_receive(inbox, fd, &found), 3);
                CHECK_TEXT(found[0].data, "one");
                CHECK_TEXT(found[1].data, "");
                CHECK_TEXT(found[2].data, "two");
                CHECK_INT(found[2].sender.pid, getpid());
                CHECK_INT(found[2].sender.uid, (long long)getuid());
                CHECK(llabs(found[2].received_us - clock_wall_us()) < 1000000);
        }
        unbind(fd);
}

static void what_nobody_asked_for_is_unknown(void) {
        CHECK(mkdir(directory, 0700) == 0);
        int fd = bound();
        _owned_(unix_inbox_free) struct unix_inbox *inbox = NULL;
        CHECK(unix_inbox_new(&inbox, 4) == 0);
        send_text("longer than four");
        const struct unix_datagram *found;
        CHECK_INT(unix_receive(inbox, fd, &found), 1);
        CHECK_TEXT(found[0].data, "long");
        CHECK_INT(found[0].sender.pid, 0);
        CHECK_INT(found[0].received_us, 0);
        unbind(fd);
}

static void a_process_is_described_and_a_missing_one_is_empty(void) {
        struct unix_process *p = malloc(sizeof *p);
        CHECK(p);
        unix_process_look(p, getpid());
        CHECK_TEXT(p->name, "unix_test");
        CHECK(text_ends(p->executable, TEXT("/unix_test")));
        CHECK(text_ends(p->program, TEXT("unix_test")));
        CHECK(text_starts(p->command, p->program));
        CHECK_INT(p->command.data[p->program.size], ' ');
        unix_process_look(p, 0x7ffffff0);
        CHECK_INT(p->name.size + p->executable.size + p->program.size + p->command.size, 0);
        free(p);
}

static void an_address_has_a_length(void) {
        char long_path[200];
        memset(long_path, 'x', sizeof long_path - 1);
        long_path[sizeof long_path - 1] = '\0';
        int fd;
        CHECK_INT(unix_bind(&fd, long_path, 0600, true, true), -ENAMETOOLONG);
        CHECK_INT(unix_bind(&fd, "", 0600, true, true), -ENAMETOOLONG);
}

TEST_MAIN(TEST(datagrams_come_together_with_sender_and_time), TEST(what_nobody_asked_for_is_unknown),
          TEST(a_process_is_described_and_a_missing_one_is_empty), TEST(an_address_has_a_length))
