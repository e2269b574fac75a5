#include "io/session.h"

#include <errno.h>
#include <utmp.h>

#include "io/test_place.h"

static char seen[256];

static void note(void *context _unused_, const struct session *session) {
        size_t used = strlen(seen);
        snprintf(seen + used, sizeof seen - used, "%s@%s ", session->user, session->line);
}

static void write_records(void) {
        struct utmp records[3] = {{.ut_type = USER_PROCESS}, {.ut_type = DEAD_PROCESS}, {.ut_type = USER_PROCESS}};
        memcpy(records[0].ut_user, "root", 5);
        memcpy(records[0].ut_line, "tty1", 5);
        memcpy(records[1].ut_user, "gone", 5);
        memcpy(records[1].ut_line, "tty2", 5);
        /* A field that is full has no NUL. */
        memset(records[2].ut_user, 'u', sizeof records[2].ut_user);
        memcpy(records[2].ut_line, "pts/3", 6);
        FILE *file = fopen(test_place_path("utmp"), "we");
        CHECK(file);
        CHECK_INT(fwrite(records, sizeof records[0], 3, file), 3);
        fputs("half a record", file);
        fclose(file);
}

static void those_who_are_logged_in_are_listed(void) {
        test_place();
        write_records();
        seen[0] = '\0';
        CHECK_INT(session_list(test_place_path("utmp"), note, NULL), 0);
        CHECK_TEXT(text_of(seen), "root@tty1 uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu@pts/3 ");
}

static void without_records_nobody_is_there(void) {
        test_place();
        CHECK_INT(session_list(test_place_path("utmp"), note, NULL), -ENOENT);
}

static void a_terminal_gets_the_bytes(void) {
        test_place();
        fclose(fopen(test_place_path("tty9"), "we"));
        CHECK_INT(session_write(test_place_directory, "tty9", TEXT("hello\r\n")), 0);
        CHECK_TEXT(test_place_content("tty9"), "hello\r\n");
}

static void a_record_cannot_lead_out_of_dev(void) {
        CHECK_INT(session_write(NULL, "../etc/passwd", TEXT("x")), -EINVAL);
        CHECK_INT(session_write(NULL, "/etc/passwd", TEXT("x")), -EINVAL);
        CHECK_INT(session_write(NULL, "null", TEXT("x")), -ENOTTY);
}

TEST_MAIN(TEST(those_who_are_logged_in_are_listed), TEST(without_records_nobody_is_there),
          TEST(a_terminal_gets_the_bytes), TEST(a_record_cannot_lead_out_of_dev))
