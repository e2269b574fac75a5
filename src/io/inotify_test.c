#include "io/inotify.h"

#include <stdio.h>
#include <unistd.h>

#include "base/test.h"
#include "io/file.h"

struct seen {
        unsigned count;
        int number;
        uint32_t events;
        char name[64];
};

static void see(void *context, int number, uint32_t events, const char *name) {
        struct seen *seen = context;
        seen->count++;
        seen->number = number;
        seen->events |= events;
        snprintf(seen->name, sizeof seen->name, "%s", name);
}

static void a_new_file_is_told_by_name(void) {
        char directory[] = "/tmp/inotify_test.XXXXXX", path[128];
        CHECK(mkdtemp(directory));
        _owned_(descriptor_close) int fd = -1;
        CHECK_INT(inotify_open(&fd), 0);
        int number = inotify_follow(fd, directory, IN_CREATE);
        CHECK(number >= 0);
        struct seen seen = {0};
        CHECK_INT(inotify_drain(fd, see, &seen), 0);
        CHECK_INT(seen.count, 0);

        snprintf(path, sizeof path, "%s/new", directory);
        _owned_(descriptor_close) int file = -1;
        CHECK_INT(file_open(&file, path, O_WRONLY | O_CREAT, 0600), 0);
        CHECK_INT(inotify_drain(fd, see, &seen), 0);
        CHECK_INT(seen.count, 1);
        CHECK_INT(seen.number, number);
        CHECK_TEXT(text_of(seen.name), "new");

        inotify_forget(fd, number);
        unlink(path);
        rmdir(directory);
}

static void a_missing_path_cannot_be_followed(void) {
        _owned_(descriptor_close) int fd = -1;
        CHECK_INT(inotify_open(&fd), 0);
        CHECK_INT(inotify_follow(fd, "/nonexistent/path", IN_CREATE), -2);
}

TEST_MAIN(TEST(a_new_file_is_told_by_name), TEST(a_missing_path_cannot_be_followed))
