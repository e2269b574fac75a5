#include "base/search.h"

#include <stdlib.h>

#include "base/needles.h"
#include "base/test.h"

enum { NEEDLES = 40 };

static uint32_t next_random(uint32_t *state) {
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

/* Of few letters, so that nearly everything almost matches. */
static struct text random_text(uint32_t *state, char *room, size_t room_size) {
        static const char letters[] = "abAB-\xe1";
        size_t size = next_random(state) % room_size;
        for (size_t i = 0; i < size; i++)
                room[i] = letters[next_random(state) % 6];
        return (struct text){room, size};
}

/* The plainest way, to compare with. */
static ptrdiff_t find_slowly(struct text t, struct text part, bool ignores_case) {
        for (size_t at = 0; at + part.size <= t.size; at++) {
                struct text there = text_slice(t, at, at + part.size);
                if (ignores_case ? text_equal_nocase(there, part) : text_equal(there, part))
                        return (ptrdiff_t)at;
        }
        return -1;
}

static void a_search_finds_the_first_place(void) {
        uint32_t random = 1;
        for (int round = 0; round < 20000; round++) {
                char room[100], part_room[6];
                struct text whole = random_text(&random, room, sizeof room);
                struct text part = random_text(&random, part_room, sizeof part_room);
                struct search s;
                for (int ignores_case = 0; ignores_case < 2; ignores_case++) {
                        ptrdiff_t wanted = find_slowly(whole, part, ignores_case);
                        search_init(&s, part, ignores_case);
                        CHECK_INT(search_find(&s, whole), wanted);
                        search_init_once(&s, part, ignores_case);
                        CHECK_INT(search_find(&s, whole), wanted);
                }
        }
}

static void a_search_stays_within_its_text(void) {
        /* On the heap, so that the sanitizer watches both ends. */
        for (size_t size = 1; size < 70; size++) {
                char *text = malloc(size);
                memset(text, 'a', size);
                struct search s;
                search_init(&s, TEXT("aaab"), false);
                CHECK(!search_finds(&s, (struct text){text, size}));
                text[size - 1] = 'b';
                CHECK(search_finds(&s, (struct text){text, size}) == (size >= 4));
                free(text);
        }
}

static void many_needles_are_found_as_each_alone(void) {
        uint32_t random = 1;
        for (int round = 0; round < 300; round++) {
                char rooms[NEEDLES][9];
                struct needle list[NEEDLES];
                size_t count = 1 + next_random(&random) % NEEDLES;
                for (size_t i = 0; i < count; i++) {
                        struct text part = random_text(&random, rooms[i], sizeof rooms[i]);
                        list[i] = (struct needle){.text = part.size ? part : TEXT("a"),
                                                  .answer = UINT64_C(1) << i % 30,
                                                  .ignores_case = i % 3 == 0};
                }
                _owned_(needles_free) struct needles *n = NULL;
                CHECK_INT(needles_new(&n, list, count), 0);
                for (int k = 0; k < 30; k++) {
                        char room[130];
                        struct text whole = random_text(&random, room, sizeof room);
                        uint64_t wanted = 0;
                        for (size_t i = 0; i < count; i++)
                                if (find_slowly(whole, list[i].text, list[i].ignores_case) >= 0)
                                        wanted |= list[i].answer;
                        CHECK(needles_find(n, whole) == wanted);
                }
        }
}

static void many_needles_stay_within_their_text(void) {
        static const struct needle list[] = {{TEXT("aab"), 1, false}, {TEXT("xaaaB"), 2, true}, {TEXT("b"), 4, false}};
        _owned_(needles_free) struct needles *n = NULL;
        CHECK_INT(needles_new(&n, list, ARRAY_SIZE(list)), 0);
        CHECK_INT(needles_find(n, TEXT_NONE), 0);
        for (size_t size = 1; size < 110; size++) {
                char *text = malloc(size);
                memset(text, 'a', size);
                CHECK_INT(needles_find(n, (struct text){text, size}), 0);
                text[size - 1] = 'b';
                CHECK_INT(needles_find(n, (struct text){text, size}), size >= 3 ? 5 : 4);
                free(text);
        }
}

TEST_MAIN(TEST(a_search_finds_the_first_place), TEST(a_search_stays_within_its_text),
          TEST(many_needles_are_found_as_each_alone), TEST(many_needles_stay_within_their_text))
