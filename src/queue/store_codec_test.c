#include "queue/store_codec.h"

#include <sys/stat.h>

#include "io/test_place.h"
#include "queue/store_fixture.h"

static const char *write_key(const char *name, const char *key) {
        test_place();
        const char *path = test_place_path(name);
        FILE *f = fopen(path, "w");
        CHECK(f && fputs(key, f) >= 0 && fclose(f) == 0);
        return path;
}

static const char key_a[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
static const char key_b[] = "01234567890123456789012345678901";

/* What goes in comes out again after an open, whatever the next open writes itself. */
static void goes_through(void) {
        open_it();
        uint64_t next = state_now().next_lsn;
        for (unsigned i = 0; i < 10; i++)
                append_it(i * 700, 1);
        lease_it(next, 1);
        close_it();
        open_it();
        for (unsigned i = 0; i < 10; i++)
                lease_it(next + i, 1);
        store_complete(store, next, 10);
        close_it();
}

static bool spool_shows(const char *text) {
        bool found = false;
        for (uint64_t i = 1; i < 20; i++) {
                char name[SEGMENT_FILE_NAME_BYTES];
                size_t size;
                segment_name(name, i, "segment");
                const uint8_t *bytes = disk_sim_content(sim, SPOOL, name, &size);
                found |= bytes && memmem(bytes, size, text, strlen(text));
        }
        return found;
}

static void every_codec_gives_back_what_it_took(void) {
        for (enum store_compression c = STORE_PLAIN; c <= STORE_ZSTD; c++) {
                fixture_begin();
                options.compression = c;
                goes_through();
        }
}

static void what_shrinks_is_stored_small_and_what_does_not_as_it_is(void) {
        fixture_begin();
        options.compression = STORE_ZSTD;
        open_it();
        static char dull[100000];
        uint64_t lsn;
        CHECK_INT(store_append(store, dull, sizeof dull, 1, &lsn), 0);
        CHECK(store->staged_bytes < 1000);
        uint8_t noise[64];
        CHECK_INT(disk_sim_disk(sim)->ops->random(disk_sim_disk(sim), noise, sizeof noise), 0);
        uint64_t before = store->staged_bytes;
        CHECK_INT(store_append(store, noise, sizeof noise, 1, &lsn), 0);
        CHECK_INT(store->staged_bytes - before, FRAME_BASE_BYTES + sizeof noise);
        close_it();
}

static void what_is_enciphered_is_read_by_nobody_else(void) {
        fixture_begin();
        options.key_file = write_key("key", key_a);
        goes_through();
        open_it();
        uint64_t lsn, next = state_now().next_lsn;
        CHECK_INT(store_append(store, "the secret word", 15, 1, &lsn), 0);
        close_it();
        CHECK(!spool_shows("the secret word"));
        options.key_file = NULL;
        open_it();
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), -EKEYREJECTED);
        CHECK_INT(store_lease(store, &f), -EKEYREJECTED);
        close_it();
        options.key_file = write_key("other", key_b);
        open_it();
        CHECK_INT(store_lease(store, &f), -EKEYREJECTED);
        close_it();
        options.key_file = write_key("key", key_a);
        open_it();
        CHECK_INT(store_lease(store, &f), 0);
        CHECK_INT(f.lsn, next);
        CHECK(f.size == 15 && memcmp(f.payload, "the secret word", 15) == 0);
        free(f.payload);
        store_complete(store, next, 1);
        close_it();
        CHECK_INT(heard_lost, 0);
}

static void settings_change_between_opens(void) {
        fixture_begin();
        options.key_file = write_key("key", key_a);
        open_it();
        append_it(3000, 1);
        close_it();
        options.compression = STORE_LZ4;
        open_it();
        append_it(3000, 1);
        close_it();
        options.compression = STORE_ZSTD;
        options.is_chained = true;
        open_it();
        append_it(3000, 1);
        for (unsigned i = 1; i <= 3; i++)
                lease_it(i, 1);
        close_it();
}

static void a_key_may_come_from_a_program(void) {
        fixture_begin();
        options.key_program = "/bin/echo 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        goes_through();
        options.key_program = "/bin/false";
        CHECK_INT(try_open(), -EINVAL);
        options.key_program = "/nonexistent";
        CHECK_INT(try_open(), -ENOENT);
        options.key_program = "/bin/echo short";
        CHECK_INT(try_open(), -EINVAL);
}

/* The file of that number, if frames were ever written to it. */
static const uint8_t *begun_segment(uint64_t number, struct segment_header *h, size_t *size) {
        char name[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, number, "segment");
        const uint8_t *bytes = disk_sim_content(sim, SPOOL, name, size);
        bool is_begun = bytes && *size > SEGMENT_FRAMES_AT &&
                        segment_header_read(h, bytes + SEGMENT_BEGIN_AT, SEGMENT_BLOCK_BYTES) == 0 &&
                        h->sequence == number;
        return is_begun ? bytes : NULL;
}

static uint64_t first_lsn_after(uint64_t number) {
        struct segment_header h;
        size_t size;
        for (number++; number < 20; number++) {
                if (begun_segment(number, &h, &size))
                        return h.base_lsn;
        }
        return UINT64_MAX;
}

/* Walks the frames as a reader with the files alone would, and computes the chain anew. */
static void the_chain_goes_through_every_frame_and_from_one_run_to_the_next(void) {
        fixture_begin();
        options.is_chained = true;
        open_it();
        for (unsigned i = 0; i < 6; i++)
                append_it(200, 1);
        close_it();
        open_it();
        append_it(300, 1);
        it_fails(DISK_SIM_SYNC, 1, 1, -EIO);
        CHECK_INT(store_wait(store, 7), -EIO);
        CHECK_INT(store_keep_round(store, false), 0);
        CHECK_INT(store_flush_round(store), 0);
        append_it(300, 1);
        CHECK_INT(store_wait(store, 8), 0);
        uint8_t chain[SEGMENT_CHAIN_BYTES] = {0};
        uint64_t next = 1;
        for (uint64_t i = 1; i < 20; i++) {
                struct segment_header h;
                size_t size;
                const uint8_t *bytes = begun_segment(i, &h, &size);
                if (!bytes)
                        continue;
                CHECK(memcmp(h.chain, chain, sizeof chain) == 0);
                struct frame f;
                uint64_t end = first_lsn_after(i), at = SEGMENT_FRAMES_AT;
                while (next < end && frame_read(&f, bytes + at, size - at, h.salt) == 0) {
                        CHECK_INT(codec_chain(store->codec, chain, &f, bytes + at + f.header_bytes), 0);
                        CHECK(memcmp(f.chain, chain, sizeof chain) == 0);
                        next += f.count;
                        at += f.frame_bytes;
                }
        }
        CHECK_INT(next, 9);
        close_it();
}

TEST_MAIN(TEST(every_codec_gives_back_what_it_took), TEST(what_shrinks_is_stored_small_and_what_does_not_as_it_is),
          TEST(what_is_enciphered_is_read_by_nobody_else), TEST(settings_change_between_opens),
          TEST(a_key_may_come_from_a_program), TEST(the_chain_goes_through_every_frame_and_from_one_run_to_the_next))
