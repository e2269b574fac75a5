#include "lookup/radix.h"

#include "base/test.h"

enum { MANY = 20000 };

static int by_key(const void *a, const void *b) {
        return text_compare(((const struct radix_row *)a)->key, ((const struct radix_row *)b)->key);
}

static struct radix *build(struct radix_row *rows, size_t count) {
        struct radix *r = NULL;
        if (count)
                qsort(rows, count, sizeof *rows, by_key);
        CHECK_INT(radix_new(&r, rows, count), 0);
        return r;
}

static void every_key_has_its_value_and_no_other_key_has_one(void) {
        struct radix_row rows[] = {{TEXT("host"), 1}, {TEXT("hostess"), 2}, {TEXT("hos"), 3}, {TEXT("mail"), 4},
                                   {TEXT("h"), 5},    {TEXT("main"), 6},    {TEXT("z"), 7}};
        _owned_(radix_free) struct radix *r = build(rows, ARRAY_SIZE(rows));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                CHECK_INT(radix_find(r, rows[i].key), rows[i].value);
        static const char *const others[] = {"", "ho", "hoste", "hostesses", "ma", "mai", "mailx", "y", "zz", "H"};
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                CHECK(radix_find(r, text_of(others[i])) == RADIX_NONE);
}

static void the_empty_key_is_a_key(void) {
        struct radix_row rows[] = {{TEXT(""), 9}, {TEXT("a"), 1}};
        _owned_(radix_free) struct radix *r = build(rows, 2);
        CHECK_INT(radix_find(r, TEXT("")), 9);
        CHECK_INT(radix_find(r, TEXT("a")), 1);
        struct radix_row only[] = {{TEXT("a"), 1}};
        _owned_(radix_free) struct radix *other = build(only, 1);
        CHECK(radix_find(other, TEXT("")) == RADIX_NONE);
}

static void an_empty_tree_has_nothing(void) {
        _owned_(radix_free) struct radix *r = build(NULL, 0);
        CHECK(radix_find(r, TEXT("")) == RADIX_NONE);
        CHECK(radix_find(r, TEXT("a")) == RADIX_NONE);
}

static void all_256_bytes_part_keys(void) {
        static char bytes[256][3];
        static struct radix_row rows[256];
        for (unsigned i = 0; i < 256; i++) {
                bytes[i][0] = 'x';
                bytes[i][1] = (char)i;
                rows[i] = (struct radix_row){{bytes[i], 2}, i};
        }
        _owned_(radix_free) struct radix *r = build(rows, 256);
        for (unsigned i = 0; i < 256; i++)
                CHECK_INT(radix_find(r, (struct text){bytes[i], 2}), i);
        CHECK(radix_find(r, TEXT("x")) == RADIX_NONE);
}

static void the_longest_keys_within_one_another_are_found(void) {
        static char bytes[RADIX_KEY_BYTES_MAX];
        static struct radix_row rows[RADIX_KEY_BYTES_MAX];
        memset(bytes, 'a', sizeof bytes);
        for (unsigned i = 0; i < RADIX_KEY_BYTES_MAX; i++)
                rows[i] = (struct radix_row){{bytes, i + 1}, i};
        _owned_(radix_free) struct radix *r = build(rows, RADIX_KEY_BYTES_MAX);
        for (unsigned i = 0; i < RADIX_KEY_BYTES_MAX; i++)
                CHECK_INT(radix_find(r, (struct text){bytes, i + 1}), i);
}

static void many_keys_take_few_bytes(void) {
        static char names[MANY][32];
        static struct radix_row rows[MANY];
        for (unsigned i = 0; i < MANY; i++) {
                int size = snprintf(names[i], sizeof names[i], "host-%06u.example.net", i * 7);
                rows[i] = (struct radix_row){{names[i], (size_t)size}, i};
        }
        _owned_(radix_free) struct radix *r = build(rows, MANY);
        for (unsigned i = 0; i < MANY; i++)
                CHECK_INT(radix_find(r, rows[i].key), rows[i].value);
        CHECK(radix_find(r, TEXT("host-000001.example.net")) == RADIX_NONE);
        CHECK(radix_bytes(r) < (size_t)MANY * 40);
}

/* More than go down together at a time, of all lengths, some of them missing. */
static void many_keys_together_find_what_each_finds_alone(void) {
        enum { KEYS = 100, ASKED = 150 };
        static char names[ASKED][16];
        static struct radix_row rows[KEYS];
        struct text asked[ASKED];
        for (unsigned i = 0; i < ASKED; i++) {
                int size = snprintf(names[i], sizeof names[i], "%u", i * i * i);
                asked[i] = (struct text){names[i], (size_t)size};
                if (i < KEYS)
                        rows[i] = (struct radix_row){asked[i], i};
        }
        _owned_(radix_free) struct radix *r = build(rows, KEYS), *empty = build(NULL, 0);
        for (size_t count = 0; count <= ASKED; count++) {
                uint32_t values[ASKED] = {0};
                radix_find_many(r, asked, count, values);
                for (size_t i = 0; i < count; i++)
                        CHECK_INT(values[i], i < KEYS ? i : RADIX_NONE);
        }
        uint32_t values[2] = {0};
        radix_find_many(empty, asked, 2, values);
        CHECK(values[0] == RADIX_NONE && values[1] == RADIX_NONE);
}

/* Every other pair, so that rows and columns have gaps; neither a single byte nor a longer key is one. */
static void pairs_of_bytes_are_found_whatever_lies_between_them(void) {
        enum { PAIRS = 256 * 256 / 3 };
        static char bytes[256 * 256][4];
        static struct radix_row rows[PAIRS];
        for (unsigned round = 0; round < 2; round++) {
                size_t count = 0;
                for (unsigned i = 0; i < 256 * 256; i++) {
                        memcpy(bytes[i], (char[]){'k', (char)(i >> 8), (char)i, 'x'}, 4);
                        bool is_key = i % 3 == 1 && (round || (i >> 8) % 16 < 10);
                        if (is_key)
                                rows[count++] = (struct radix_row){{bytes[i], 3}, i};
                }
                _owned_(radix_free) struct radix *r = build(rows, count);
                for (size_t i = 0; i < count; i++) {
                        CHECK_INT(radix_find(r, rows[i].key), rows[i].value);
                        CHECK(radix_find(r, text_slice(rows[i].key, 0, 2)) == RADIX_NONE);
                        CHECK(radix_find(r, (struct text){rows[i].key.data, 4}) == RADIX_NONE);
                }
                for (unsigned i = 0; i < 256 * 256; i += 3)
                        CHECK(radix_find(r, (struct text){bytes[i], 3}) == RADIX_NONE);
        }
}

/* Numbers of five digits, of which some are missing; a key between them parts two levels that could be one. */
static void digits_are_found_two_at_a_step(void) {
        enum { COUNT = 30000 };
        static char names[COUNT][16];
        static struct radix_row rows[COUNT + 1];
        for (unsigned i = 0; i < COUNT; i++) {
                int size = snprintf(names[i], sizeof names[i], "web-%05u", i * 3);
                rows[i] = (struct radix_row){{names[i], (size_t)size}, i};
        }
        rows[COUNT] = (struct radix_row){TEXT("web-012"), COUNT};
        _owned_(radix_free) struct radix *r = build(rows, COUNT + 1);
        for (unsigned i = 0; i < COUNT + 1; i++)
                CHECK_INT(radix_find(r, rows[i].key), rows[i].value);
        static const char *const others[] = {"web-",      "web-0",     "web-01",   "web-0123",
                                             "web-00001", "web-99999", "web-0000:"};
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                CHECK(radix_find(r, text_of(others[i])) == RADIX_NONE);
        CHECK(radix_bytes(r) < (size_t)COUNT * 20);
}

TEST_MAIN(TEST(pairs_of_bytes_are_found_whatever_lies_between_them), TEST(digits_are_found_two_at_a_step),
          TEST(many_keys_together_find_what_each_finds_alone), TEST(every_key_has_its_value_and_no_other_key_has_one),
          TEST(the_empty_key_is_a_key), TEST(an_empty_tree_has_nothing), TEST(all_256_bytes_part_keys),
          TEST(the_longest_keys_within_one_another_are_found), TEST(many_keys_take_few_bytes))
