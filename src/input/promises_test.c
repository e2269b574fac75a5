#include "input/promises.h"

#include "base/test.h"

struct stretch {
        struct promise promise;
        int number;
};

static struct stretch *add(struct promises *line, int number) {
        struct stretch *s = promises_add(line, sizeof *s);
        CHECK(s && !s->promise.is_kept);
        s->number = number;
        return s;
}

static void kept_promises_come_in_the_order_of_the_source(void) {
        struct promises line = {0};
        struct stretch *s[3];
        for (int i = 0; i < 3; i++)
                s[i] = add(&line, i);
        s[2]->promise.is_kept = s[1]->promise.is_kept = true;
        CHECK(!promises_take(&line));
        s[0]->promise.is_kept = true;
        for (int i = 0; i < 3; i++) {
                struct stretch *kept = promises_take(&line);
                CHECK(kept && kept->number == i);
        }
        CHECK(promises_are_kept(&line) && !promises_take(&line));
        promises_fini(&line);
}

static void nothing_passes_a_promise_that_is_not_kept(void) {
        struct promises line = {0};
        add(&line, 0)->promise.is_kept = true;
        add(&line, 1);
        add(&line, 2)->promise.is_kept = true;
        CHECK(promises_take(&line) && !promises_take(&line));
        CHECK(!promises_are_kept(&line));
        promises_fini(&line);
}

static void a_kept_promise_is_used_again(void) {
        struct promises line = {0};
        struct stretch *first = add(&line, 0);
        first->promise.is_kept = true;
        CHECK(promises_take(&line) == first);
        CHECK(add(&line, 1) == first);
        CHECK(add(&line, 2) != first);
        promises_fini(&line);
}

TEST_MAIN(TEST(kept_promises_come_in_the_order_of_the_source), TEST(nothing_passes_a_promise_that_is_not_kept),
          TEST(a_kept_promise_is_used_again))
