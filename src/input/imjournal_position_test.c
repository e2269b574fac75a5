#include "input/imjournal_position.h"

#include <errno.h>
#include <sys/stat.h>

#include "io/loop.h"
#include "io/test_place.h"
#include "message/batch.h"

struct stage {
        struct loop *loop;
        struct batch_pool *pool;
        struct journal_position *position;
};

static void stage_begin(struct stage *s, int64_t interval) {
        test_place();
        CHECK_INT(loop_new(&s->loop), 0);
        CHECK_INT(batch_pool_new(&s->pool), 0);
        const struct journal_position_settings settings = {
                .path = test_place_path("state"), .mode = 0640, .interval = interval, .loop = s->loop};
        CHECK_INT(journal_position_new(&s->position, &settings), 0);
}

/* What was posted to the loop runs. */
static void run_posted(struct stage *s) {
        loop_stop(s->loop);
        CHECK_INT(loop_run(s->loop), 0);
}

static void stage_end(struct stage *s) {
        s->position = journal_position_unref(s->position);
        batch_pool_unref(s->pool);
        loop_free(s->loop);
}

static struct batch *promise(struct stage *s, const char *cursor, uint32_t messages) {
        struct batch *b = batch_new(s->pool, 0);
        CHECK(b);
        CHECK_INT(journal_position_reach(s->position, b, cursor, messages), 0);
        return b;
}

static bool has_state(void) {
        return access(test_place_path("state"), F_OK) == 0;
}

static void the_state_is_written_after_so_many_messages(void) {
        umask(022);
        struct stage s;
        stage_begin(&s, 10);
        struct batch *first = promise(&s, "one", 9), *second = promise(&s, "two", 1);
        batch_unref(first);
        CHECK(!has_state());
        batch_unref(second);
        run_posted(&s);
        CHECK_TEXT(test_place_content("state"), "two");
        struct stat st;
        CHECK_INT(stat(test_place_path("state"), &st), 0);
        CHECK_INT(st.st_mode & 07777, 0640);
        CHECK_INT(journal_position_stop(s.position), 0);
        stage_end(&s);
}

static void the_position_never_passes_an_unfinished_batch(void) {
        struct stage s;
        stage_begin(&s, 1);
        struct batch *first = promise(&s, "one", 1), *blank = promise(&s, "", 1), *third = promise(&s, "three", 1);
        batch_unref(third);
        CHECK_INT(journal_position_reach(s.position, NULL, "discarded", 1), 0);
        batch_unref(first);
        run_posted(&s);
        CHECK_TEXT(test_place_content("state"), "one");
        CHECK_INT(journal_position_stop(s.position), 0);
        batch_unref(blank);
        CHECK_TEXT(test_place_content("state"), "discarded");
        stage_end(&s);
}

static void the_last_batch_writes_the_state_after_the_stop(void) {
        struct stage s;
        stage_begin(&s, 1000);
        struct batch *first = promise(&s, "one", 1), *second = promise(&s, "two", 1);
        batch_unref(first);
        CHECK_INT(journal_position_stop(s.position), 0);
        CHECK_TEXT(test_place_content("state"), "one");
        s.position = journal_position_unref(s.position);
        batch_unref(second);
        CHECK_TEXT(test_place_content("state"), "two");
        stage_end(&s);
}

static void nothing_reached_writes_nothing(void) {
        struct stage s;
        stage_begin(&s, 1);
        CHECK_INT(journal_position_stop(s.position), 0);
        CHECK(!has_state());
        stage_end(&s);
}

static void a_state_file_that_cannot_be_written_is_an_error(void) {
        struct stage s;
        stage_begin(&s, 1000);
        struct batch *b = promise(&s, "one", 1);
        CHECK_INT(mkdir(test_place_path("state"), 0700), 0);
        batch_unref(b);
        CHECK(journal_position_stop(s.position) < 0);
        stage_end(&s);
}

static void keep(const char *content, size_t size) {
        FILE *file = fopen(test_place_path("state"), "we");
        CHECK(file);
        CHECK(fwrite(content, 1, size, file) == size);
        CHECK(fclose(file) == 0);
}

static void a_state_file_holds_one_cursor(void) {
        char cursor[CURSOR_BYTES_MAX];
        test_place();
        CHECK_INT(journal_position_read(test_place_path("state"), cursor), -ENOENT);
        keep("s=1;i=2", 7);
        CHECK_INT(journal_position_read(test_place_path("state"), cursor), 0);
        CHECK_TEXT(text_of(cursor), "s=1;i=2");
        keep("s=1;i=2\n", 8);
        CHECK_INT(journal_position_read(test_place_path("state"), cursor), 0);
        CHECK_TEXT(text_of(cursor), "s=1;i=2");
        static const struct text bad[] = {{"", 0}, {"\n \n", 3}, {"s=1 x", 5}, {"s=1\0", 4}, {"\377", 1}};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                keep(bad[i].data, bad[i].size);
                CHECK_INT(journal_position_read(test_place_path("state"), cursor), -EBADMSG);
        }
        static char big[100000];
        memset(big, 'x', sizeof big);
        keep(big, CURSOR_BYTES_MAX - 1);
        CHECK_INT(journal_position_read(test_place_path("state"), cursor), 0);
        keep(big, CURSOR_BYTES_MAX);
        CHECK_INT(journal_position_read(test_place_path("state"), cursor), -EBADMSG);
        keep(big, sizeof big);
        CHECK_INT(journal_position_read(test_place_path("state"), cursor), -EBADMSG);
}

TEST_MAIN(TEST(the_state_is_written_after_so_many_messages), TEST(the_position_never_passes_an_unfinished_batch),
          TEST(the_last_batch_writes_the_state_after_the_stop), TEST(nothing_reached_writes_nothing),
          TEST(a_state_file_that_cannot_be_written_is_an_error), TEST(a_state_file_holds_one_cursor))
