#include "control/arguments.h"

#include "base/test.h"

struct settings {
        const char *name;
        bool is_loud;
        int64_t count;
};

#define AT(field) .offset = offsetof(struct settings, field)
static const struct argument table[] = {
        {.name = "name", .letter = 'n', .takes = "NAME", AT(name), .help = "a name"},
        {.name = "loud", AT(is_loud), .help = "louder"},
        {.name = "count", .letter = 'c', .takes = "NUMBER", .is_number = true, AT(count), .help = "how many"},
        ARGUMENT_HELP,
};

static int read(struct settings *s, int *count, int argc, const char **argv) {
        *s = (struct settings){0};
        return arguments_read(table, s, argc, (char **)argv, count, "test", "A test.");
}
#define READ(s, count, ...)                                                                                            \
        read((s), (count), (int)ARRAY_SIZE(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

static void options_stand_anywhere_and_the_rest_moves_to_the_front(void) {
        struct settings s;
        const char *argv[] = {"x", "one", "--name", "n", "two", "--loud", "-c", "3", "three"};
        int count;
        CHECK_INT(read(&s, &count, (int)ARRAY_SIZE(argv), argv), 0);
        CHECK_INT(count, 3);
        CHECK_TEXT(text_of(argv[1]), "one");
        CHECK_TEXT(text_of(argv[2]), "two");
        CHECK_TEXT(text_of(argv[3]), "three");
        CHECK_TEXT(text_of(s.name), "n");
        CHECK(s.is_loud);
        CHECK_INT(s.count, 3);
}

static void a_value_may_follow_an_equals_sign(void) {
        struct settings s;
        int count;
        CHECK_INT(READ(&s, &count, "x", "--name=a=b", "--count=7"), 0);
        CHECK_TEXT(text_of(s.name), "a=b");
        CHECK_INT(s.count, 7);
}

static void behind_two_dashes_nothing_is_an_option(void) {
        struct settings s;
        const char *argv[] = {"x", "--", "--name", "-"};
        int count;
        CHECK_INT(read(&s, &count, (int)ARRAY_SIZE(argv), argv), 0);
        CHECK_INT(count, 2);
        CHECK_TEXT(text_of(argv[1]), "--name");
}

static void mistakes_are_refused(void) {
        struct settings s;
        int count;
        CHECK_INT(READ(&s, &count, "x", "--nam"), ARGUMENTS_WRONG);
        CHECK_INT(READ(&s, &count, "x", "--name"), ARGUMENTS_WRONG);
        CHECK_INT(READ(&s, &count, "x", "-nx"), ARGUMENTS_WRONG);
        CHECK_INT(READ(&s, &count, "x", "--n", "y"), ARGUMENTS_WRONG);
        CHECK_INT(READ(&s, &count, "x", "--count", "many"), ARGUMENTS_WRONG);
        CHECK_INT(READ(&s, &count, "x", "--count", "-1"), ARGUMENTS_WRONG);
}

TEST_MAIN(TEST(options_stand_anywhere_and_the_rest_moves_to_the_front), TEST(a_value_may_follow_an_equals_sign),
          TEST(behind_two_dashes_nothing_is_an_option), TEST(mistakes_are_refused))
