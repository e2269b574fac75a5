/*
 * A unit test is a list of promises. Each is a function that CHECKs; main is
 * TEST_MAIN(promise, ...). Output is TAP, so that the runner counts promises.
 *
 *   static void order_survives_a_new_segment(void) { CHECK(...); }
 *   TEST_MAIN(TEST(order_survives_a_new_segment), TEST(...))
 */
#pragma once

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/text.h"

struct test {
        const char *name;
        void (*run)(void);
};
#define TEST(function)                                                                                                 \
        { #function, function }

static jmp_buf test_out;

#define TEST_FAIL(...)                                                                                                 \
        do {                                                                                                           \
                printf("# %s:%d: ", __FILE__, __LINE__);                                                               \
                printf(__VA_ARGS__);                                                                                   \
                printf("\n");                                                                                          \
                longjmp(test_out, 1);                                                                                  \
        } while (0)

#define CHECK(condition)                                                                                               \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        TEST_FAIL("does not hold: %s", #condition);                                                    \
        } while (0)

#define CHECK_INT(found, wanted)                                                                                       \
        do {                                                                                                           \
                long long found_ = (found), wanted_ = (wanted);                                                        \
                if (found_ != wanted_)                                                                                 \
                        TEST_FAIL("%s is %lld, not %lld", #found, found_, wanted_);                                    \
        } while (0)

#define CHECK_TEXT(found, wanted)                                                                                      \
        do {                                                                                                           \
                struct text found_ = (found), wanted_ = text_of(wanted);                                               \
                if (!text_equal(found_, wanted_))                                                                      \
                        TEST_FAIL("%s is \"%.*s\", not \"%s\"", #found, TEXT_ARGS(found_), wanted);                    \
        } while (0)

static int test_run(const struct test *tests, size_t count) {
        volatile int failed = 0;
        setvbuf(stdout, NULL, _IOLBF, 0);
        printf("1..%zu\n", count);
        for (volatile size_t i = 0; i < count; i++) {
                bool holds = setjmp(test_out) == 0;
                if (holds)
                        tests[i].run();
                else
                        failed++;
                printf("%sok %zu - ", holds ? "" : "not ", i + 1);
                for (const char *c = tests[i].name; *c; c++)
                        putchar(*c == '_' ? ' ' : *c);
                putchar('\n');
        }
        return failed ? 1 : 0;
}

#define TEST_MAIN(...)                                                                                                 \
        int main(void) {                                                                                               \
                static const struct test tests[] = {__VA_ARGS__};                                                      \
                return test_run(tests, ARRAY_SIZE(tests));                                                             \
        }
