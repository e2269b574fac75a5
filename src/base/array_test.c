#include "base/array.h"
#include "base/test.h"

struct numbers {
        uint64_t *items;
        uint16_t count, capacity;
};

static void what_is_in_an_array_stays_when_it_grows(void) {
        struct numbers n = {0};
        for (unsigned i = 0; i < 1000; i++) {
                CHECK(ARRAY_ROOM(n.items, n.count, n.capacity, 3));
                n.items[n.count++] = i;
        }
        bool are_there = true;
        for (unsigned i = 0; i < 1000; i++)
                are_there = are_there && n.items[i] == i;
        CHECK(are_there);
        free(n.items);
}

static void the_first_room_is_as_asked_and_doubles_then(void) {
        struct numbers n = {0};
        CHECK(ARRAY_ROOM(n.items, n.count, n.capacity, 3));
        CHECK_INT(n.capacity, 3);
        n.count = 2;
        CHECK(ARRAY_ROOM(n.items, n.count, n.capacity, 3));
        CHECK_INT(n.capacity, 3);
        n.count = 3;
        CHECK(ARRAY_ROOM(n.items, n.count, n.capacity, 3));
        CHECK_INT(n.capacity, 6);
        free(n.items);
}

/* Stands in for the C library's from here on. */
static void *refuse(void *items, size_t size) {
        CHECK_INT(size, 8 * sizeof(uint64_t));
        return NULL;
}
#define realloc refuse

static void without_memory_all_is_as_it_was(void) {
        uint64_t items[4] = {1, 2, 3, 4};
        struct numbers n = {items, 4, 4};
        CHECK(!ARRAY_ROOM(n.items, n.count, n.capacity, 3));
        CHECK(n.items == items);
        CHECK_INT(n.count, 4);
        CHECK_INT(n.capacity, 4);
}

TEST_MAIN(TEST(what_is_in_an_array_stays_when_it_grows), TEST(the_first_room_is_as_asked_and_doubles_then),
          TEST(without_memory_all_is_as_it_was))
