/* The trees were recorded from rsyslogd 8.2302, but for the merge of an object into a variable (see there). */
#include "message/variable.h"

#include <errno.h>

#include "message/fixture.h"

static struct json *parse(struct arena *a, const char *text) {
        struct json *value;
        size_t used;
        CHECK_INT(json_parse(a, text_of(text), &value, &used), 0);
        return value;
}

static int set_how(struct fixture *f, const char *path, const char *value, unsigned how) {
        return variable_set(f->batch, f->record, '!', text_of(path), parse(&f->batch->arena, value), how);
}

static int set(struct fixture *f, const char *path, const char *value) {
        return set_how(f, path, value, 0);
}

static void check_tree(struct fixture *f, const char *wanted) {
        _owned_(buffer_fini) struct buffer out = {0};
        if (f->record->tree[TREE_MESSAGE])
                json_print(&out, f->record->tree[TREE_MESSAGE], JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

#define START                                                                                                          \
        _owned_(fixture_fini) struct fixture f = {0};                                                                  \
        fixture_rfc3164(&f, "h", "a:", " m")

static void what_is_missing_on_the_way_is_made(void) {
        START;
        CHECK_INT(set(&f, "usr!a!b", "1"), 0);
        CHECK_INT(set(&f, "!usr!c", "\"x\""), 0);
        check_tree(&f, "{\"usr\":{\"a\":{\"b\":1},\"c\":\"x\"}}");
}

static void a_scalar_replaces_a_scalar_but_never_an_object(void) {
        START;
        CHECK_INT(set(&f, "s", "1"), 0);
        CHECK_INT(set(&f, "s", "\"two\""), 0);
        CHECK_INT(set(&f, "o!x", "1"), 0);
        CHECK_INT(set(&f, "o", "\"leaf\""), -EINVAL);
        CHECK_INT(set(&f, "", "\"leaf\""), -EINVAL);
        check_tree(&f, "{\"s\":\"two\",\"o\":{\"x\":1}}");
}

static void a_path_does_not_lead_through_a_scalar(void) {
        START;
        CHECK_INT(set(&f, "t", "\"leaf\""), 0);
        CHECK_INT(set(&f, "t!x", "1"), -EINVAL);
        check_tree(&f, "{\"t\":\"leaf\"}");
}

/* rsyslogd 8.2302 merges into the root of the tree instead, whatever the path: `set $!m = $!o` would scatter o's
 * members. */
static void an_object_merges_into_the_object_at_its_path(void) {
        START;
        CHECK_INT(set(&f, "m", "{\"a\":1,\"b\":2}"), 0);
        CHECK_INT(set(&f, "m", "{\"b\":3,\"c\":4}"), 0);
        check_tree(&f, "{\"m\":{\"a\":1,\"b\":3,\"c\":4}}");
        CHECK_INT(set(&f, "", "{\"n\":5}"), 0);
        check_tree(&f, "{\"m\":{\"a\":1,\"b\":3,\"c\":4},\"n\":5}");
}

static void reset_replaces_an_object(void) {
        START;
        CHECK_INT(set(&f, "v!a", "1"), 0);
        CHECK_INT(set_how(&f, "v", "{\"b\":2}", VARIABLE_RESETS), 0);
        check_tree(&f, "{\"v\":{\"b\":2}}");
        CHECK_INT(set_how(&f, "v", "7", VARIABLE_RESETS), 0);
        check_tree(&f, "{\"v\":7}");
}

static void names_meet_whatever_their_case_unless_it_matters(void) {
        START;
        CHECK_INT(set(&f, "Q!x", "1"), 0);
        CHECK_INT(set(&f, "q!y", "2"), 0);
        CHECK_INT(set(&f, "W", "1"), 0);
        CHECK_INT(set(&f, "w", "2"), 0);
        check_tree(&f, "{\"Q\":{\"x\":1,\"y\":2},\"W\":2}");
        variable_unset(f.record, '!', TEXT("q!X"), false);
        check_tree(&f, "{\"Q\":{\"y\":2},\"W\":2}");
        CHECK_INT(set_how(&f, "q!z", "3", VARIABLE_IS_CASE_SENSITIVE), 0);
        variable_unset(f.record, '!', TEXT("Q!Y"), true);
        check_tree(&f, "{\"Q\":{\"y\":2},\"W\":2,\"q\":{\"z\":3}}");
        CHECK_INT(set_how(&f, "w", "4", VARIABLE_IS_CASE_SENSITIVE), 0);
        check_tree(&f, "{\"Q\":{\"y\":2},\"W\":2,\"q\":{\"z\":3},\"w\":4}");
}

static void array_items_are_found_and_entered_but_not_replaced(void) {
        START;
        CHECK_INT(set(&f, "arr", "[1,{\"k\":2},[5,6]]"), 0);
        CHECK_INT(set(&f, "arr[1]!k", "7"), 0);
        CHECK_INT(set(&f, "arr[0]", "9"), 0);
        CHECK_INT(set(&f, "a!b[3]!c", "1"), 0);
        check_tree(&f, "{\"arr\":[1,{\"k\":7},[5,6]],\"arr[0]\":9,\"a\":{\"b[3]\":{\"c\":1}}}");
        CHECK_INT(variable_get(f.record, '!', TEXT("arr[0]"), false)->integer, 1);
        CHECK_INT(variable_get(f.record, '!', TEXT("arr[2][1]"), false)->integer, 6);
        CHECK_INT(variable_get(f.record, '!', TEXT("a!b[3]!c"), false)->integer, 1);
        static const char *const nowhere[] = {"arr[3]", "arr[007]", "arr[-1]", "arr[x]",
                                              "arr[1",  "arr[1]x",  "arr[]",   "arr]"};
        for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++)
                CHECK(!variable_get(f.record, '!', text_of(nowhere[i]), false));
}

static void unset_takes_a_member_or_the_whole_tree(void) {
        START;
        CHECK_INT(set(&f, "w!a!b", "1"), 0);
        CHECK_INT(set(&f, "w!a!c", "2"), 0);
        variable_unset(f.record, '!', TEXT("w!a!b"), false);
        variable_unset(f.record, '!', TEXT("nope!x"), false);
        check_tree(&f, "{\"w\":{\"a\":{\"c\":2}}}");
        variable_unset(f.record, '!', TEXT(""), false);
        check_tree(&f, "");
        CHECK(!variable_get(f.record, '!', TEXT(""), false));
}

static void nesting_and_paths_end_at_their_limits(void) {
        START;
        CHECK_INT(set(&f, "x", "1"), 0);
        for (int i = 0; i < 3 * JSON_NESTING_MAX; i++) {
                struct json *whole = json_copy(&f.batch->arena, variable_get(f.record, '!', TEXT(""), false));
                variable_set(f.batch, f.record, '!', TEXT("x"), whole, VARIABLE_RESETS);
        }
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, f.record->tree[TREE_MESSAGE], JSON_COMPACT);
        struct json *again;
        size_t used;
        CHECK_INT(json_parse(&a, buffer_as_text(&out), &again, &used), 0);
        char path[PATH_BYTES_MAX + 1];
        memset(path, 'p', sizeof path);
        struct json *one = json_int(&f.batch->arena, 1);
        CHECK_INT(variable_set(f.batch, f.record, '!', (struct text){path, sizeof path}, one, 0), -EINVAL);
        CHECK_INT(variable_set(f.batch, f.record, '!', (struct text){path, PATH_BYTES_MAX}, one, 0), 0);
}

static void a_global_counter_does_not_grow_memory(void) {
        _owned_(globals_free) struct globals *g = NULL;
        CHECK_INT(globals_new(&g, false), 0);
        _owned_(arena_fini) struct arena a = {0};
        for (int i = 0; i < 20000; i++) {
                arena_reset(&a);
                CHECK_INT(globals_set(g, TEXT("count"), json_int(&a, i), false), 0);
                CHECK_INT(globals_set(g, TEXT("text"), json_string(&a, TEXT("some words")), false), 0);
        }
        CHECK_INT(globals_get(g, TEXT("COUNT"), &a)->integer, 19999);
        CHECK_TEXT(globals_get(g, TEXT("text"), &a)->string, "some words");
        globals_unset(g, TEXT("Count"));
        CHECK(!globals_get(g, TEXT("count"), &a));
}

static void a_text_under_one_name_starts_a_tree_or_joins_it(void) {
        START;
        CHECK_INT(variable_set_name(f.batch, f.record, '!', TEXT("a"), TEXT("x\0y"), 0), 0);
        check_tree(&f, "{\"a\":\"x\\u0000y\"}");
        CHECK_INT(variable_set_name(f.batch, f.record, '!', TEXT("b"), TEXT_NONE, 0), 0);
        CHECK_INT(variable_set_name(f.batch, f.record, '!', TEXT("A"), TEXT("2"), 0), 0);
        CHECK_INT(set(&f, "o!x", "1"), 0);
        CHECK_INT(variable_set_name(f.batch, f.record, '!', TEXT("o"), TEXT("leaf"), 0), -EINVAL);
        check_tree(&f, "{\"a\":\"2\",\"b\":\"\",\"o\":{\"x\":1}}");
        static char long_name[PATH_BYTES_MAX + 1];
        memset(long_name, 'n', sizeof long_name);
        struct text name = {long_name, sizeof long_name};
        CHECK_INT(variable_set_name(f.batch, f.record, '.', name, TEXT("x"), 0), -EINVAL);
        CHECK(!f.record->tree[TREE_LOCAL]);
        CHECK_INT(variable_set_name(f.batch, f.record, '.', text_slice(name, 0, PATH_BYTES_MAX), TEXT("x"), 0), 0);
}

TEST_MAIN(TEST(a_text_under_one_name_starts_a_tree_or_joins_it), TEST(what_is_missing_on_the_way_is_made),
          TEST(a_scalar_replaces_a_scalar_but_never_an_object), TEST(a_path_does_not_lead_through_a_scalar),
          TEST(an_object_merges_into_the_object_at_its_path), TEST(reset_replaces_an_object),
          TEST(names_meet_whatever_their_case_unless_it_matters),
          TEST(array_items_are_found_and_entered_but_not_replaced), TEST(unset_takes_a_member_or_the_whole_tree),
          TEST(nesting_and_paths_end_at_their_limits), TEST(a_global_counter_does_not_grow_memory))
