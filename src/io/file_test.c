#include "io/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

static char directory[64];

static const char *in_directory(const char *name) {
        static char path[512];
        snprintf(path, sizeof path, "%s/%s", directory, name);
        return path;
}

static void begin(void) {
        snprintf(directory, sizeof directory, "/tmp/file_test.XXXXXX");
        CHECK(mkdtemp(directory));
}

static int remove_entry(void *context _unused_, const char *name) {
        const char *path = in_directory(name);
        if (unlink(path) < 0)
                rmdir(path);
        return 0;
}

static void end(void) {
        CHECK_INT(file_list(directory, remove_entry, NULL), 0);
        CHECK_INT(rmdir(directory), 0);
}

static void what_replaces_a_file_is_read_whole(void) {
        begin();
        CHECK_INT(file_replace(in_directory("a"), TEXT("first"), 0600), 0);
        CHECK_INT(file_replace(in_directory("a"), TEXT("second"), 0600), 0);
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK_INT(file_read_whole(in_directory("a"), 6, &out), 0);
        CHECK_TEXT(buffer_as_text(&out), "second");
        CHECK_INT(access(in_directory("a.tmp"), F_OK), -1);
        end();
}

static void a_file_over_the_limit_is_refused(void) {
        begin();
        CHECK_INT(file_replace(in_directory("a"), TEXT("seven b"), 0600), 0);
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK_INT(file_read_whole(in_directory("a"), 6, &out), -EFBIG);
        end();
}

static void a_failed_replacement_leaves_the_old_file(void) {
        begin();
        CHECK_INT(file_replace(in_directory("a"), TEXT("old"), 0600), 0);
        CHECK_INT(mkdir(in_directory("a.tmp"), 0700), 0);
        CHECK(file_replace(in_directory("a"), TEXT("new"), 0600) < 0);
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK_INT(file_read_whole(in_directory("a"), 100, &out), 0);
        CHECK_TEXT(buffer_as_text(&out), "old");
        end();
}

static void nothing_opens_outside_of_the_directory(void) {
        begin();
        _owned_(descriptor_close) int base = -1;
        CHECK_INT(file_open(&base, directory, O_RDONLY | O_DIRECTORY, 0), 0);
        int fd = -1;
        CHECK(file_open_beneath(&fd, base, "../escaped", O_WRONLY | O_CREAT, 0600) < 0);
        CHECK(file_open_beneath(&fd, base, "/etc/passwd", O_RDONLY, 0) < 0);
        CHECK_INT(symlink("/etc/passwd", in_directory("link")), 0);
        CHECK(file_open_beneath(&fd, base, "link", O_RDONLY, 0) < 0);
        CHECK_INT(mkdir(in_directory("d"), 0700), 0);
        CHECK_INT(file_open_beneath(&fd, base, "d/f", O_WRONLY | O_CREAT, 0600), 0);
        fd = file_close(fd);
        CHECK_INT(unlink(in_directory("d/f")), 0);
        end();
}

static void facts_know_a_file_after_a_rename(void) {
        begin();
        CHECK_INT(file_replace(in_directory("a"), TEXT("x"), 0600), 0);
        struct file_facts before, after;
        CHECK_INT(file_facts_of_path(&before, in_directory("a")), 0);
        char old[512];
        snprintf(old, sizeof old, "%s", in_directory("a"));
        CHECK_INT(rename(old, in_directory("b")), 0);
        CHECK_INT(file_facts_of_path(&after, in_directory("b")), 0);
        CHECK(before.device == after.device && before.inode == after.inode);
        CHECK_INT(after.size, 1);
        CHECK_INT(after.kind, FILE_IS_REGULAR);
        CHECK_INT(file_facts_of_path(&after, old), -ENOENT);
        end();
}

static void bytes_are_written_and_read_at_their_place(void) {
        begin();
        _owned_(descriptor_close) int fd = -1;
        CHECK_INT(file_open(&fd, in_directory("a"), O_RDWR | O_CREAT, 0600), 0);
        CHECK_INT(file_write_all(fd, "abcdef", 6), 0);
        CHECK_INT(file_write_all_at(fd, "XY", 2, 2), 0);
        char found[8];
        CHECK_INT(file_read_fully_at(fd, found, sizeof found, 1), 5);
        CHECK_TEXT(((struct text){found, 5}), "bXYef");
        end();
}

static void a_link_tells_where_it_leads(void) {
        begin();
        char target[FILE_PATH_BYTES_MAX], wanted[512];
        CHECK_INT(symlink("sub/file", in_directory("link")), 0);
        CHECK_INT(file_link_target(in_directory("link"), target), 0);
        snprintf(wanted, sizeof wanted, "%s/sub/file", directory);
        CHECK_TEXT(text_of(target), wanted);
        CHECK_INT(symlink("/abs/file", in_directory("other")), 0);
        CHECK_INT(file_link_target(in_directory("other"), target), 0);
        CHECK_TEXT(text_of(target), "/abs/file");
        CHECK_INT(file_link_target(directory, target), -EINVAL);
        end();
}

static void removing_what_is_not_there_is_fine(void) {
        begin();
        CHECK_INT(file_remove(in_directory("nothing")), 0);
        end();
}

TEST_MAIN(TEST(what_replaces_a_file_is_read_whole), TEST(a_file_over_the_limit_is_refused),
          TEST(a_failed_replacement_leaves_the_old_file), TEST(nothing_opens_outside_of_the_directory),
          TEST(facts_know_a_file_after_a_rename), TEST(bytes_are_written_and_read_at_their_place),
          TEST(a_link_tells_where_it_leads), TEST(removing_what_is_not_there_is_fine))
