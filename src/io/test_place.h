/*
 * A fresh directory for a promise of a unit test: test_place() makes one and
 * removes the one before; the last goes when the test program ends.
 */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include "base/test.h"

static char test_place_directory[64];

static int test_place_remove(const char *path, const struct stat *facts _unused_, int kind _unused_,
                             struct FTW *position _unused_) {
        return remove(path);
}

static void test_place_clear(void) {
        if (test_place_directory[0])
                nftw(test_place_directory, test_place_remove, 8, FTW_DEPTH | FTW_PHYS);
        test_place_directory[0] = '\0';
}

_unused_ static void test_place(void) {
        static bool is_registered;
        if (!is_registered)
                is_registered = atexit(test_place_clear) == 0;
        test_place_clear();
        snprintf(test_place_directory, sizeof test_place_directory, "/tmp/penstock_test.XXXXXX");
        CHECK(mkdtemp(test_place_directory));
}

/* The path of a name in it; valid until the fourth call after this. */
_unused_ static const char *test_place_path(const char *name) {
        static char paths[4][512];
        static unsigned next;
        char *path = paths[next++ % 4];
        snprintf(path, sizeof paths[0], "%s/%s", test_place_directory, name);
        return path;
}

/* What the file of that name holds; valid until the next call. */
_unused_ static struct text test_place_content(const char *name) {
        static char bytes[1 << 20];
        int fd = open(test_place_path(name), O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        ssize_t size = read(fd, bytes, sizeof bytes);
        close(fd);
        CHECK(size >= 0);
        return (struct text){bytes, (size_t)size};
}
