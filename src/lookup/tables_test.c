#include "lookup/tables.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "base/test.h"
#include "io/file.h"
#include "io/test_place.h"

enum { PATIENCE_S = 20, TELLING_MAX = 32 };

/* What the reloader said, a semaphore count each. */
struct told {
        struct reporter reporter;
        sem_t count;
        char lines[TELLING_MAX][400];
        enum severity severities[TELLING_MAX];
        unsigned said, heard;
};

static void tell(struct reporter *reporter, enum severity severity, int code _unused_, const char *line) {
        struct told *t = CONTAINER_OF(reporter, struct told, reporter);
        if (t->said == TELLING_MAX)
                return;
        snprintf(t->lines[t->said], sizeof t->lines[0], "%s", line);
        t->severities[t->said++] = severity;
        sem_post(&t->count);
}

static struct told told;

static void check_told(const char *part) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PATIENCE_S;
        CHECK_INT(sem_timedwait(&told.count, &until), 0);
        if (!strstr(told.lines[told.heard], part))
                TEST_FAIL("said \"%s\", not \"%s\"", told.lines[told.heard], part);
        told.heard++;
}

static void deaf(struct lookup_listener *listener _unused_, enum severity severity _unused_, uint32_t line _unused_,
                 uint32_t column _unused_, const char *what _unused_) {
}
static struct lookup_listener nobody = {.hear = deaf};

static void write_table(const char *value) {
        _owned_(buffer_fini) struct buffer file = {0};
        buffer_format(&file, "{\"version\":1,\"nomatch\":\"nm\",\"table\":[{\"index\":\"a\",\"value\":\"%s\"}]}",
                      value);
        CHECK_INT(file_replace_soon(test_place_path("t.json"), buffer_as_text(&file), 0600), 0);
}

static struct tables *begin(struct table **table) {
        struct tables *t;
        test_place();
        write_table("one");
        memset(&told, 0, sizeof told);
        told.reporter.emit = tell;
        sem_init(&told.count, 0, 0);
        CHECK_INT(tables_new(&t, &told.reporter), 0);
        CHECK_INT(tables_add(t, table, "t", test_place_path("t.json"), true), 0);
        CHECK_INT(table_load(*table, &nobody), 0);
        CHECK_INT(tables_start(t), 0);
        return t;
}

static void a_view_keeps_its_snapshot_until_it_lets_go(void) {
        struct table *table;
        _owned_(tables_free) _unused_ struct tables *t = begin(&table);
        struct lookup_views v = {0};
        const struct lookup *held = lookup_views_get(&v, table);
        CHECK_TEXT(lookup_find(held, TEXT("a")), "one");
        write_table("two");
        table_request(table, TEXT_NONE);
        check_told("reloaded from file");
        CHECK(lookup_views_get(&v, table) == held);
        CHECK_TEXT(lookup_find(held, TEXT("a")), "one");
        lookup_views_release(&v);
        CHECK_TEXT(lookup_find(lookup_views_get(&v, table), TEXT("a")), "two");
        lookup_views_fini(&v);
}

static void a_broken_file_leaves_the_old_table_and_says_so(void) {
        struct table *table;
        _owned_(tables_free) _unused_ struct tables *t = begin(&table);
        CHECK_INT(file_replace_soon(test_place_path("t.json"), TEXT("{broken"), 0600), 0);
        tables_request_hup(t);
        check_told("json parsing error");
        check_told("could not be reloaded");
        struct lookup_views v = {0};
        CHECK_TEXT(lookup_find(lookup_views_get(&v, table), TEXT("a")), "one");
        lookup_views_fini(&v);
}

static void a_stub_stands_in_for_a_file_that_is_gone(void) {
        struct table *table;
        _owned_(tables_free) _unused_ struct tables *t = begin(&table);
        CHECK_INT(file_remove(test_place_path("t.json")), 0);
        table_request(table, TEXT("STUB"));
        check_told("could not be opened");
        check_told("could not be reloaded");
        check_told("stubbing");
        check_told("stubbed with value 'STUB'");
        struct lookup_views v = {0};
        CHECK_TEXT(lookup_find(lookup_views_get(&v, table), TEXT("anything")), "STUB");
        lookup_views_fini(&v);
        write_table("back");
        table_request(table, TEXT("STUB"));
        check_told("reloaded from file");
        CHECK_TEXT(lookup_find(lookup_views_get(&v, table), TEXT("a")), "back");
        lookup_views_fini(&v);
}

static void a_table_that_was_never_read_answers_nothing(void) {
        struct tables *t;
        struct table *table;
        test_place();
        CHECK_INT(tables_new(&t, NULL), 0);
        CHECK_INT(tables_add(t, &table, "t", test_place_path("none.json"), true), 0);
        CHECK_INT(table_load(table, &nobody), -ENOENT);
        CHECK_INT(tables_add(t, &table, "t", "/other", true), -EEXIST);
        CHECK(tables_find(t, TEXT("t")) == table);
        CHECK(!tables_find(t, TEXT("T")));
        struct lookup_views v = {0};
        CHECK(!lookup_views_get(&v, table));
        lookup_views_fini(&v);
        tables_free(t);
}

enum { READERS = 3, ROUNDS = 60 };

struct reading {
        struct table *table;
        _Atomic bool ends;
        _Atomic unsigned wrong;
};

static void *read_on(void *argument) {
        struct reading *r = argument;
        struct lookup_views v = {0};
        while (!r->ends) {
                struct text found = lookup_find(lookup_views_get(&v, r->table), TEXT("a"));
                r->wrong += !text_starts(found, TEXT("v"));
                lookup_views_release(&v);
        }
        lookup_views_fini(&v);
        return NULL;
}

static void readers_go_on_while_the_table_changes(void) {
        struct table *table;
        _owned_(tables_free) _unused_ struct tables *t = begin(&table);
        write_table("v");
        CHECK_INT(table_load(table, &nobody), 0);
        struct reading reading = {.table = table};
        pthread_t readers[READERS];
        for (unsigned i = 0; i < READERS; i++)
                CHECK_INT(pthread_create(&readers[i], NULL, read_on, &reading), 0);
        for (unsigned i = 0; i < ROUNDS; i++) {
                char value[16];
                snprintf(value, sizeof value, "v%u", i);
                write_table(value);
                CHECK_INT(table_load(table, &nobody), 0);
        }
        reading.ends = true;
        for (unsigned i = 0; i < READERS; i++)
                pthread_join(readers[i], NULL);
        CHECK_INT(reading.wrong, 0);
}

TEST_MAIN(TEST(a_view_keeps_its_snapshot_until_it_lets_go), TEST(a_broken_file_leaves_the_old_table_and_says_so),
          TEST(a_stub_stands_in_for_a_file_that_is_gone), TEST(a_table_that_was_never_read_answers_nothing),
          TEST(readers_go_on_while_the_table_changes))
