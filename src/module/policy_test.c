#include "module/policy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/test.h"

static void a_duration_has_a_unit_or_is_seconds(void) {
        int64_t ms;
        CHECK(policy_duration(&ms, TEXT("5")) == 0 && ms == 5000);
        CHECK(policy_duration(&ms, TEXT("250ms")) == 0 && ms == 250);
        CHECK(policy_duration(&ms, TEXT("1H")) == 0 && ms == 3600000);
        CHECK_INT(policy_duration(&ms, TEXT("")), -EINVAL);
        CHECK_INT(policy_duration(&ms, TEXT("s")), -EINVAL);
        CHECK_INT(policy_duration(&ms, TEXT("5 days")), -EINVAL);
        CHECK_INT(policy_duration(&ms, TEXT("2147483648")), -EINVAL);
}

static void count(void *context) {
        atomic_fetch_add((atomic_int *)context, 1);
}

static void write_file(const char *path) {
        FILE *file = fopen(path, "w");
        CHECK(file);
        if (file)
                fclose(file);
}

static void a_file_that_changes_is_told_once_it_is_quiet(void) {
        enum { WAITS_MAX = 2000, WAIT_US = 10000 };
        char directory[] = "/tmp/policy-XXXXXX", path[64], other[64];
        CHECK(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/policy.yaml", directory);
        snprintf(other, sizeof other, "%s/other", directory);
        atomic_int changes = 0;
        struct policy_watch *w = NULL;
        CHECK_INT(policy_watch_new(&w, path, 20, count, &changes), 0);
        write_file(other);
        write_file(path);
        write_file(path);
        for (int i = 0; i < WAITS_MAX && atomic_load(&changes) == 0; i++)
                usleep(WAIT_US);
        CHECK_INT(atomic_load(&changes), 1);
        CHECK_INT(rename(other, path), 0);
        for (int i = 0; i < WAITS_MAX && atomic_load(&changes) == 1; i++)
                usleep(WAIT_US);
        CHECK_INT(atomic_load(&changes), 2);
        policy_watch_free(w);
        unlink(path);
        rmdir(directory);
}

static void a_directory_that_is_not_there_cannot_be_watched(void) {
        struct policy_watch *w = NULL;
        CHECK_INT(policy_watch_new(&w, "/nowhere/at/all", 20, count, NULL), -ENOENT);
}

TEST_MAIN(TEST(a_duration_has_a_unit_or_is_seconds), TEST(a_file_that_changes_is_told_once_it_is_quiet),
          TEST(a_directory_that_is_not_there_cannot_be_watched))
