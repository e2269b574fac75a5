#include "bus/stock.h"

#include <string.h>

#include "base/test.h"

enum { MB = 1 << 20 };

static void what_came_back_is_used_again(void) {
        struct stock s = {0};
        uint64_t bytes = 4 * MB + 200;
        char *first = stock_take(&s, &bytes);
        CHECK(first && bytes >= 4 * MB + 200 && bytes < 5 * MB);
        memset(first, 'x', bytes);
        stock_give(&s, first, bytes);
        uint64_t smaller = MB;
        CHECK(stock_take(&s, &smaller) == first);
        CHECK_INT(smaller, bytes);
        uint64_t second_bytes = MB;
        char *second = stock_take(&s, &second_bytes);
        CHECK(second && second != first);
        stock_give(&s, first, bytes);
        stock_give(&s, second, second_bytes);
        uint64_t wanted = MB;
        CHECK(stock_take(&s, &wanted) == second);
        stock_give(&s, second, wanted);
        stock_clear(&s);
        CHECK_INT(s.count, 0);
}

static void what_is_kept_is_bounded(void) {
        struct stock s = {0};
        struct stock_block blocks[3 * STOCK_BLOCKS_MAX];
        for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
                blocks[i].bytes = (uint64_t)(i + 1) * MB;
                blocks[i].memory = stock_take(&s, &blocks[i].bytes);
                CHECK(blocks[i].memory != NULL);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
                stock_give(&s, blocks[i].memory, blocks[i].bytes);
                uint64_t kept = 0;
                for (unsigned k = 0; k < s.count; k++)
                        kept += s.kept[k].bytes;
                CHECK(s.count <= STOCK_BLOCKS_MAX && kept <= STOCK_BYTES_MAX);
        }
        stock_clear(&s);
}

static void small_blocks_make_room_for_larger_ones(void) {
        struct stock s = {0};
        struct stock_block blocks[STOCK_BLOCKS_MAX + 1];
        for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
                blocks[i].bytes = i < STOCK_BLOCKS_MAX ? STOCK_BLOCK_BYTES_MIN : 4 * MB;
                blocks[i].memory = stock_take(&s, &blocks[i].bytes);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
                stock_give(&s, blocks[i].memory, blocks[i].bytes);
        uint64_t wanted = 4 * MB;
        void *large = blocks[STOCK_BLOCKS_MAX].memory;
        CHECK(stock_take(&s, &wanted) == large);
        stock_give(&s, large, wanted);
        stock_clear(&s);
}

TEST_MAIN(TEST(what_came_back_is_used_again), TEST(what_is_kept_is_bounded),
          TEST(small_blocks_make_room_for_larger_ones))
