#include "io/output_file.h"

#include "io/test_place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct output_file_rules plain = {
        .file_mode = 0644,
        .directory_mode = 0700,
        .file_uid = -1,
        .file_gid = -1,
        .directory_uid = -1,
        .directory_gid = -1,
        .creates_directories = true,
        .requires_owner = true,
        .follows_symlinks = true,
        .wait_ms = 50,
};

static int append(struct output_file *f, const char *string, size_t *taken) {
        struct iovec piece = {(char *)string, strlen(string)};
        return output_file_append(f, &piece, 1, taken);
}

static void records_are_appended_in_order(void) {
        test_place();
        struct output_file f;
        output_file_init(&f, &plain);
        size_t taken;
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        struct iovec pieces[] = {{"one\n", 4}, {"two\n", 4}};
        CHECK_INT(output_file_append(&f, pieces, 2, &taken), 0);
        CHECK_INT(taken, 8);
        CHECK_INT(output_file_close(&f), 0);
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        CHECK_INT(append(&f, "three\n", &taken), 0);
        CHECK_INT(f.size, 14);
        CHECK_TEXT(test_place_content("a"), "one\ntwo\nthree\n");
        CHECK_INT(output_file_fini(&f), 0);
}

static void missing_directories_are_made_with_their_mode(void) {
        umask(022);
        test_place();
        struct output_file_rules rules = plain;
        rules.directory_mode = 0750;
        rules.file_mode = 0600;
        struct output_file f;
        output_file_init(&f, &rules);
        CHECK_INT(output_file_open(&f, test_place_path("x/y/z.log")), 0);
        struct stat facts;
        CHECK_INT(stat(test_place_path("x/y"), &facts), 0);
        CHECK_INT(facts.st_mode & 0777, 0750);
        CHECK_INT(stat(test_place_path("x/y/z.log"), &facts), 0);
        CHECK_INT(facts.st_mode & 0777, 0600);
        output_file_fini(&f);
}

static void without_leave_no_directory_is_made(void) {
        test_place();
        struct output_file_rules rules = plain;
        rules.creates_directories = false;
        struct output_file f;
        output_file_init(&f, &rules);
        CHECK_INT(output_file_open(&f, test_place_path("x/z.log")), -ENOENT);
        output_file_fini(&f);
}

static void new_files_get_their_owner(void) {
        if (geteuid() != 0)
                return;
        test_place();
        struct output_file_rules rules = plain;
        rules.file_uid = 1234;
        rules.file_gid = 2345;
        rules.directory_uid = 3456;
        struct output_file f;
        output_file_init(&f, &rules);
        CHECK_INT(output_file_open(&f, test_place_path("d/f")), 0);
        struct stat facts;
        CHECK_INT(stat(test_place_path("d/f"), &facts), 0);
        CHECK_INT(facts.st_uid, 1234);
        CHECK_INT(facts.st_gid, 2345);
        CHECK_INT(stat(test_place_path("d"), &facts), 0);
        CHECK_INT(facts.st_uid, 3456);
        output_file_fini(&f);
}

static void what_cannot_be_a_log_file_says_why(void) {
        test_place();
        struct output_file f;
        output_file_init(&f, &plain);
        CHECK_INT(output_file_open(&f, test_place_directory), -EISDIR);
        CHECK_INT(mkfifo(test_place_path("fifo"), 0600), 0);
        CHECK_INT(output_file_open(&f, test_place_path("fifo")), -ENXIO);
        struct output_file_rules rules = plain;
        rules.follows_symlinks = false;
        CHECK_INT(symlink("/dev/null", test_place_path("link")), 0);
        f.rules = &rules;
        CHECK_INT(output_file_open(&f, test_place_path("link")), -ELOOP);
        output_file_fini(&f);
}

static void a_full_device_takes_nothing(void) {
        struct output_file f;
        output_file_init(&f, &plain);
        size_t taken;
        CHECK_INT(output_file_open(&f, "/dev/full"), 0);
        CHECK_INT(append(&f, "line\n", &taken), -ENOSPC);
        CHECK_INT(taken, 0);
        output_file_fini(&f);
}

static void limit_files(rlim_t bytes) {
        struct rlimit limit;
        CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = bytes;
        CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
        signal(SIGXFSZ, SIG_IGN);
}

static void half_a_record_is_cut_off_again(void) {
        test_place();
        struct output_file f;
        output_file_init(&f, &plain);
        size_t taken;
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        limit_files(12);
        int r = append(&f, "12345678\n12345678\n", &taken);
        bool is_held = output_file_mend(&f, 3, TEXT("45678\n"));
        limit_files(RLIM_INFINITY);
        CHECK_INT(r, -EFBIG);
        CHECK_INT(taken, 12);
        CHECK(!is_held);
        CHECK_TEXT(test_place_content("a"), "12345678\n");
        CHECK_INT(output_file_fini(&f), 0);
}

static void what_cannot_be_cut_is_completed_first(void) {
        test_place();
        struct output_file f;
        output_file_init(&f, &plain);
        CHECK_INT(mkfifo(test_place_path("fifo"), 0600), 0);
        int reader = open(test_place_path("fifo"), O_RDONLY | O_NONBLOCK);
        CHECK_INT(output_file_open(&f, test_place_path("fifo")), 0);
        size_t taken;
        CHECK_INT(append(&f, "abc", &taken), 0);
        CHECK(output_file_mend(&f, 3, TEXT("def\n")));
        CHECK(output_file_owes(&f));
        CHECK_INT(append(&f, "next\n", &taken), 0);
        char got[64];
        ssize_t size = read(reader, got, sizeof got);
        close(reader);
        CHECK_TEXT(((struct text){got, (size_t)size}), "abcdef\nnext\n");
        CHECK_INT(output_file_fini(&f), 0);
}

static void a_buffer_is_written_when_full_or_flushed(void) {
        test_place();
        struct output_file_rules rules = plain;
        rules.buffer_bytes = 10;
        struct output_file f;
        output_file_init(&f, &rules);
        size_t taken;
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        CHECK_INT(append(&f, "12345\n", &taken), 0);
        CHECK_TEXT(test_place_content("a"), "");
        CHECK(output_file_owes(&f));
        CHECK_INT(append(&f, "6789\n", &taken), 0);
        CHECK_TEXT(test_place_content("a"), "12345\n6789\n");
        CHECK_INT(append(&f, "x\n", &taken), 0);
        CHECK_INT(output_file_flush(&f), 0);
        CHECK(!output_file_owes(&f));
        CHECK_TEXT(test_place_content("a"), "12345\n6789\nx\n");
        CHECK_INT(output_file_fini(&f), 0);
}

static void a_buffer_survives_a_full_disk(void) {
        test_place();
        struct output_file_rules rules = plain;
        rules.buffer_bytes = 4;
        struct output_file f;
        output_file_init(&f, &rules);
        size_t taken;
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        limit_files(3);
        int first = append(&f, "12345\n", &taken);
        size_t first_taken = taken;
        int second = append(&f, "67890\n", &taken);
        limit_files(RLIM_INFINITY);
        CHECK_INT(first, 0);
        CHECK_INT(first_taken, 6);
        /* Three bytes fit; the three that are left lie under the bound, so the second is buffered with them. */
        CHECK_INT(second, 0);
        CHECK_INT(output_file_flush(&f), 0);
        CHECK_TEXT(test_place_content("a"), "12345\n67890\n");
        CHECK_INT(output_file_fini(&f), 0);
}

static void unpack(const char *name, enum compression kind, struct buffer *out) {
        _owned_(decompressor_free) struct decompressor *d = NULL;
        size_t used;
        CHECK_INT(decompressor_new(&d, kind), 0);
        CHECK_INT(decompressor_add(d, test_place_content(name), &used, out, 1 << 20), 0);
}

static void compressed_files_are_readable_after_each_flush_and_append(void) {
        static const enum compression kinds[] = {COMPRESSION_GZIP, COMPRESSION_ZSTD};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                test_place();
                struct output_file_rules rules = plain;
                rules.compression = kinds[i];
                rules.level = 3;
                struct output_file f;
                output_file_init(&f, &rules);
                size_t taken;
                CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
                CHECK_INT(append(&f, "one\n", &taken), 0);
                CHECK_INT(output_file_flush(&f), 0);
                _owned_(buffer_fini) struct buffer first = {0}, second = {0};
                unpack("a", kinds[i], &first);
                CHECK_TEXT(buffer_as_text(&first), "one\n");
                CHECK_INT(output_file_close(&f), 0);
                CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
                CHECK_INT(append(&f, "two\n", &taken), 0);
                CHECK_INT(output_file_fini(&f), 0);
                unpack("a", kinds[i], &second);
                CHECK_TEXT(buffer_as_text(&second), "one\ntwo\n");
        }
}

static void robust_members_survive_a_crash_between_them(void) {
        test_place();
        struct output_file_rules rules = plain;
        rules.compression = COMPRESSION_GZIP;
        rules.level = 3;
        rules.closes_members = true;
        rules.buffer_bytes = 4;
        struct output_file f;
        output_file_init(&f, &rules);
        size_t taken;
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        CHECK_INT(append(&f, "one\n", &taken), 0);
        CHECK_INT(append(&f, "two\n", &taken), 0);
        /* The descriptor goes as in a crash: nothing more is written. */
        _owned_(buffer_fini) struct buffer out = {0};
        unpack("a", COMPRESSION_GZIP, &out);
        CHECK_TEXT(buffer_as_text(&out), "one\ntwo\n");
        CHECK(!compressor_is_open(f.compressor));
        output_file_fini(&f);
}

static void a_deleted_file_is_noticed(void) {
        test_place();
        struct output_file f;
        output_file_init(&f, &plain);
        CHECK_INT(output_file_open(&f, test_place_path("a")), 0);
        CHECK(output_file_is_linked(&f));
        CHECK_INT(unlink(test_place_path("a")), 0);
        CHECK(!output_file_is_linked(&f));
        CHECK_INT(output_file_sync(&f), 0);
        CHECK_INT(output_file_sync_directory(test_place_path("a")), 0);
        output_file_fini(&f);
}

TEST_MAIN(TEST(records_are_appended_in_order), TEST(missing_directories_are_made_with_their_mode),
          TEST(without_leave_no_directory_is_made), TEST(new_files_get_their_owner),
          TEST(what_cannot_be_a_log_file_says_why), TEST(a_full_device_takes_nothing),
          TEST(half_a_record_is_cut_off_again), TEST(what_cannot_be_cut_is_completed_first),
          TEST(a_buffer_is_written_when_full_or_flushed), TEST(a_buffer_survives_a_full_disk),
          TEST(compressed_files_are_readable_after_each_flush_and_append),
          TEST(robust_members_survive_a_crash_between_them), TEST(a_deleted_file_is_noticed))
