#include <errno.h>
#include <sys/stat.h>

#include "input/input_test.h"
#include "input/stream.h"

extern const struct module imptcp_module;

static struct stage stage; /* static: its threads outlive a promise that fails */

#define BEGIN(...) STAGE_BEGIN(&stage, &imptcp_module, "address", "127.0.0.1", "port", "0", __VA_ARGS__)

static void begin_with_port_file(void) {
        stage_set(stage.settings, imptcp_module.settings.params, "listenportfilename", stage.port_file);
        stage_start(&stage);
}

static void what_is_too_long_is_split_and_told(void) {
        BEGIN("name", "foo");
        stage.facts.message_bytes_max = 10;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "abcdefghijKLMNO\nnext\n");
        stage_await_text(&stage, "[abcdefghij][KLMNO][next]");
        CHECK(strstr(stage.reports, "3|0||imptcp foo: message received is at least 5 byte larger than max msg size; "
                                    "message will be split starting at: \"KLMNO\"\n"));
        STAGE_SEND(fd, "14 abcdefghijKLMN4 next");
        stage_await_text(&stage, "[next][abcdefghij][next]");
        CHECK(strstr(stage.reports,
                     "3|0||received oversize message from peer: (hostname) 127.0.0.1, (ip) 127.0.0.1: size "
                     "is 14 bytes, max msg size is 10, truncating...\n"));
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void the_rest_can_be_discarded(void) {
        BEGIN("discardtruncatedmsg", "on");
        stage.facts.message_bytes_max = 10;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "abcdefghijKLMNO\nnext\n");
        stage_await_text(&stage, "[abcdefghij][next]");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void a_tail_without_delimiter_is_told_as_lost(void) {
        BEGIN("notifyonconnectionclose", "on");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "a\nbcd");
        close(fd);
        stage_await_report(&stage, "3|2144||imptcp session 1 closed by remote peer 127.0.0.1.\n");
        stage_stop(&stage);
        CHECK_TEXT(text_of(stage.texts), "[a]");
        CHECK(strstr(stage.reports,
                     "4|0||imptcp: the stream from 127.0.0.1 ended without a frame delimiter, 3 bytes at "
                     "its end are ignored\n"));
        stage_end(&stage);
}

static void messages_can_have_several_lines(void) {
        BEGIN("multiline", "on");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "<1>a\n b\n<2>c\nd\n");
        stage_await_text(&stage, "[<1>a\n b][<2>c\nd]");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void a_pattern_can_begin_messages(void) {
        BEGIN("framing.delimiter.regex", "^<[0-9]{1,3}>Jan");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "<1>Jan a\n b\n<2>c\n<3>Jan\n");
        stage_await_text(&stage, "[<1>Jan a\n b\n<2>c]");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void a_message_that_a_pattern_let_grow_is_cut_and_told(void) {
        BEGIN("framing.delimiter.regex", "^<[0-9]{1,3}>Jan");
        stage.facts.message_bytes_max = 20;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "<1>Jan abcdefghijklmnop\n<2>Jan\n");
        stage_await_text(&stage, "[<1>Jan abcdefghijklm]");
        CHECK(strstr(stage.reports,
                     "4|2445||message too long (23) with configured size 20, begin of message is: <1>Jan "
                     "abcdefghijklmnop\n"));
        STAGE_SEND(fd, "0123456789012345678901234567890123456789");
        stage_await_report(&stage,
                           "3|2445||imptcp: more then double max message size (41) received without finding frame "
                           "terminator via regex - assuming end of frame now.\n");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static int connect_unix(const char *path) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        return fd;
}

static void a_unix_socket_is_listened_on_and_removed(void) {
        STAGE_BEGIN(&stage, &imptcp_module, "unlink", "on", "filecreatemode", "0600", "notifyonconnectionopen", "on",
                    "defaulttz", "-05:00");
        char path[64];
        snprintf(path, sizeof path, "%s/socket", stage.directory);
        stage_set(stage.settings, imptcp_module.settings.params, "path", path);
        stage_start(&stage);
        struct stat status;
        CHECK_INT(stat(path, &status), 0);
        CHECK_INT(status.st_mode & 0777, 0600);
        int fd = connect_unix(path);
        STAGE_SEND(fd, "a\n3 abc");
        stage_await_text(&stage, "[a][abc]");
        CHECK(strstr(stage.reports, "6|0||imptcp: connection established with host: stage\n"));
        CHECK_TEXT(text_of(stage.last_address), "");
        CHECK_TEXT(text_of(stage.last_zone), "-05:00");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
        CHECK(stat(path, &status) < 0);
}

static void either_port_or_path_is_needed(void) {
        STAGE_BEGIN(&stage, &imptcp_module, "name", "x");
        CHECK_INT(imptcp_module.check(stage.settings, stage.module_settings, &stage.log), -EINVAL);
        CHECK(strstr(stage.reports, "3|0||imptcp: Must have either port or path defined\n"));
        stage_end(&stage);
        BEGIN("path", "/run/x");
        CHECK_INT(imptcp_module.check(stage.settings, stage.module_settings, &stage.log), -EINVAL);
        stage_end(&stage);
}

static void cisco_blanks_and_other_delimiters_work(void) {
        BEGIN("framingfix.cisco.asa", "on", "addtlframedelimiter", "0");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "a\n b\0c\n 3 abc");
        stage_await_text(&stage, "[a][b][c][abc]");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

TEST_MAIN(TEST(what_is_too_long_is_split_and_told), TEST(the_rest_can_be_discarded),
          TEST(a_tail_without_delimiter_is_told_as_lost), TEST(messages_can_have_several_lines),
          TEST(a_pattern_can_begin_messages), TEST(a_message_that_a_pattern_let_grow_is_cut_and_told),
          TEST(a_unix_socket_is_listened_on_and_removed), TEST(either_port_or_path_is_needed),
          TEST(cisco_blanks_and_other_delimiters_work))
