#include "queue/inspect.h"

#include <errno.h>
#include <unistd.h>

#include "io/test_place.h"
#include "queue/store.h"

enum { FRAMES = 12, COUNT = 3, PAYLOAD_BYTES = 100, MESSAGES = FRAMES * COUNT };

static char directory[512];

/* A store with FRAMES frames of COUNT messages each, nothing delivered, closed. */
static void make_store(bool is_chained) {
        struct store *s;
        char payload[PAYLOAD_BYTES];
        uint64_t lsn;
        test_place();
        snprintf(directory, sizeof directory, "%s", test_place_path("q.store"));
        struct store_options options = {.directory = directory,
                                        .name = "q",
                                        .segment_bytes = SEGMENT_BYTES_MIN,
                                        .is_synced = true,
                                        .is_chained = is_chained};
        CHECK_INT(store_open(&s, &options, NULL), 0);
        for (int i = 0; i < FRAMES; i++) {
                memset(payload, 'a' + i, sizeof payload);
                CHECK_INT(store_append(s, payload, sizeof payload, COUNT, &lsn), 0);
        }
        CHECK_INT(store_close(s), 0);
}

struct seen {
        uint64_t whole, found, lost, next_lsn;
        unsigned damages, chains, torn;
        bool is_disordered;
};

static int see_frame(void *owner, const struct inspect_frame *f) {
        struct seen *s = owner;
        s->is_disordered |= f->frame->lsn < s->next_lsn;
        s->next_lsn = f->frame->lsn + f->frame->count;
        s->whole += f->frame->count;
        s->found += f->is_found ? f->frame->count : 0;
        return 0;
}

static int see_damage(void *owner, const struct inspect_damage *d) {
        struct seen *s = owner;
        s->damages++;
        s->chains += d->kind == INSPECT_CHAIN;
        s->torn += d->kind == INSPECT_TORN;
        if (!inspect_damage_loses(d))
                return 0;
        s->is_disordered |= d->lsn < s->next_lsn;
        s->next_lsn = d->lsn + d->count;
        s->lost += d->count;
        return 0;
}

static struct seen look(void) {
        _owned_(inspect_close) struct inspect *in = NULL;
        struct seen seen = {0};
        struct inspect_options options = {.directory = directory};
        CHECK_INT(inspect_open(&in, &options), 0);
        const struct inspect_visitor visitor = {
                .frame = see_frame, .damage = see_damage, .owner = &seen, .checks_chain = true};
        CHECK_INT(inspect_walk(in, &visitor), 0);
        return seen;
}

static void change(const char *file, uint64_t at, void (*how)(uint8_t *byte)) {
        char path[600];
        uint8_t byte;
        snprintf(path, sizeof path, "%s/%s", directory, file);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(pread(fd, &byte, 1, (off_t)at), 1);
        how(&byte);
        CHECK_INT(pwrite(fd, &byte, 1, (off_t)at), 1);
        close(fd);
}

static void flip(uint8_t *byte) {
        *byte ^= 0x10;
}

#define FIRST "0000000000000001.segment"

static void a_whole_store_is_seen_whole(void) {
        make_store(false);
        struct seen seen = look();
        CHECK_INT(seen.whole, MESSAGES);
        CHECK_INT(seen.damages, 0);
        CHECK(!seen.is_disordered && !inspect_is_held(directory));
}

/* Up to the last frame everything is proved to have been on the disk, so that all that is lost can be counted. */
static void every_flipped_bit_is_told_with_the_exact_messages(void) {
        make_store(false);
        uint64_t frame_bytes = frame_padded(FRAME_BASE_BYTES + PAYLOAD_BYTES);
        for (uint64_t at = SEGMENT_FRAMES_AT; at < SEGMENT_FRAMES_AT + (FRAMES - 1) * frame_bytes; at++) {
                change(FIRST, at, flip);
                struct seen seen = look();
                CHECK_INT(seen.damages, 1);
                CHECK_INT(seen.lost, COUNT);
                CHECK_INT(seen.whole, MESSAGES - COUNT);
                CHECK(!seen.is_disordered);
                change(FIRST, at, flip);
        }
}

static void a_broken_header_block_costs_no_message(void) {
        make_store(false);
        for (uint64_t at = 0; at < SEGMENT_HEADER_BYTES; at += 5) {
                for (uint64_t block = 0; block <= SEGMENT_BEGIN_AT; block += SEGMENT_BEGIN_AT) {
                        change(FIRST, block + at, flip);
                        struct seen seen = look();
                        CHECK_INT(seen.damages, 1);
                        CHECK_INT(seen.whole, MESSAGES);
                        change(FIRST, block + at, flip);
                }
        }
}

static void both_header_blocks_broken_lose_the_file_and_say_so(void) {
        make_store(false);
        change(FIRST, 0, flip);
        change(FIRST, SEGMENT_BEGIN_AT, flip);
        struct seen seen = look();
        CHECK_INT(seen.whole, 0);
        CHECK(seen.lost >= MESSAGES - COUNT && seen.lost <= MESSAGES);
}

static void a_missing_file_is_told(void) {
        make_store(false);
        char path[600];
        snprintf(path, sizeof path, "%s/%s", directory, FIRST);
        CHECK_INT(unlink(path), 0);
        struct seen seen = look();
        CHECK(seen.lost >= MESSAGES - COUNT && seen.lost <= MESSAGES);
}

static int see_missing(void *owner, const struct inspect_damage *d) {
        struct inspect_damage *seen = owner;
        CHECK_INT(seen->count, 0); /* told once */
        *seen = *d;
        CHECK_INT(d->file->sequence, 2);
        return 0;
}

/* Nothing of the files around it is called damaged or lost. */
static void check_missing(void) {
        _owned_(inspect_close) struct inspect *in = NULL;
        struct inspect_damage seen = {0};
        struct inspect_options options = {.directory = directory};
        CHECK_INT(inspect_open(&in, &options), 0);
        const struct inspect_visitor visitor = {.damage = see_missing, .owner = &seen};
        CHECK_INT(inspect_walk(in, &visitor), 0);
        CHECK_INT(seen.kind, INSPECT_MISSING);
        CHECK_INT(seen.lsn, 2);
        CHECK_INT(seen.count, 1);
}

static void a_missing_file_between_others_is_told_by_its_name_and_so_is_a_link(void) {
        char payload[SEGMENT_BYTES_MIN * 3 / 4] = {0}, path[600];
        struct store *s;
        uint64_t lsn;
        test_place();
        snprintf(directory, sizeof directory, "%s", test_place_path("q.store"));
        struct store_options options = {.directory = directory, .name = "q", .segment_bytes = SEGMENT_BYTES_MIN};
        CHECK_INT(store_open(&s, &options, NULL), 0);
        for (int i = 0; i < 4; i++)
                CHECK_INT(store_append(s, payload, sizeof payload, 1, &lsn), 0);
        CHECK_INT(store_close(s), 0);
        snprintf(path, sizeof path, "%s/%s", directory, "0000000000000002.segment");
        CHECK_INT(unlink(path), 0);
        check_missing();
        CHECK_INT(symlink("0000000000000001.segment", path), 0);
        check_missing();
}

static void what_lies_behind_a_broken_header_is_marked_as_found(void) {
        make_store(false);
        uint64_t frame_bytes = frame_padded(FRAME_BASE_BYTES + PAYLOAD_BYTES);
        change(FIRST, SEGMENT_FRAMES_AT + 4 * frame_bytes, flip);
        struct seen seen = look();
        CHECK_INT(seen.found, (FRAMES - 5) * COUNT);
}

static int see_end(void *owner, const struct inspect_frame *f) {
        struct frame *last = owner;
        *last = *f->frame;
        return 0;
}

/* Somebody who can compute checksums changes a message. */
static void a_forged_message_breaks_the_hash_chain(void) {
        make_store(true);
        CHECK_INT(look().chains, 0);
        uint8_t bytes[1024];
        struct segment_header header;
        uint8_t block[SEGMENT_BLOCK_BYTES];
        char path[600];
        snprintf(path, sizeof path, "%s/%s", directory, FIRST);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK_INT(pread(fd, block, sizeof block, 0), sizeof block);
        CHECK_INT(segment_header_read(&header, block, sizeof block), 0);
        CHECK_INT(pread(fd, bytes, sizeof bytes, SEGMENT_FRAMES_AT), sizeof bytes);
        struct frame f;
        CHECK_INT(frame_read(&f, bytes, sizeof bytes, header.salt), 0);
        bytes[f.header_bytes] ^= 1;
        f.payload_crc = segment_crc(0, bytes + f.header_bytes, f.frame_bytes - f.header_bytes);
        frame_write(bytes, &f);
        frame_set_chain(bytes, f.chain);
        frame_seal(bytes, header.salt, f.durable_lsn);
        CHECK_INT(pwrite(fd, bytes, f.frame_bytes, SEGMENT_FRAMES_AT), f.frame_bytes);
        close(fd);
        struct seen seen = look();
        CHECK_INT(seen.whole, MESSAGES);
        CHECK_INT(seen.chains, 1);
}

static void a_directory_without_a_store_is_told(void) {
        struct inspect *in;
        test_place();
        struct inspect_options options = {.directory = test_place_directory};
        CHECK_INT(inspect_open(&in, &options), INSPECT_IS_NONE);
        options.directory = "/nowhere/at/all";
        CHECK_INT(inspect_open(&in, &options), -ENOENT);
}

static void a_store_in_use_is_known_as_such_and_its_messages_are_seen(void) {
        make_store(false);
        struct store *s;
        struct store_frame leased;
        struct store_options options = {.directory = directory, .name = "q", .is_synced = true};
        CHECK_INT(store_open(&s, &options, NULL), 0);
        CHECK(inspect_is_held(directory));
        CHECK_INT(store_lease(s, &leased), 0);
        free(leased.payload);
        store_complete(s, leased.lsn, leased.count);
        _owned_(inspect_close) struct inspect *in = NULL;
        struct inspect_options looks = {.directory = directory};
        struct frame last = {0};
        uint64_t end;
        int64_t oldest_us;
        CHECK_INT(inspect_open(&in, &looks), 0);
        CHECK_INT(inspect_facts(in)->holder, getpid());
        const struct inspect_visitor visitor = {.frame = see_end, .owner = &last};
        CHECK_INT(inspect_walk(in, &visitor), 0);
        CHECK_INT(last.lsn + last.count, MESSAGES + 1);
        CHECK_INT(inspect_ends(in, &end, &oldest_us), 0);
        CHECK_INT(end, MESSAGES + 1);
        CHECK(oldest_us > 0);
        CHECK_INT(store_close(s), 0);
        CHECK(!inspect_is_held(directory));
}

TEST_MAIN(TEST(a_whole_store_is_seen_whole), TEST(every_flipped_bit_is_told_with_the_exact_messages),
          TEST(a_broken_header_block_costs_no_message), TEST(both_header_blocks_broken_lose_the_file_and_say_so),
          TEST(a_missing_file_is_told), TEST(a_missing_file_between_others_is_told_by_its_name_and_so_is_a_link),
          TEST(what_lies_behind_a_broken_header_is_marked_as_found), TEST(a_forged_message_breaks_the_hash_chain),
          TEST(a_directory_without_a_store_is_told), TEST(a_store_in_use_is_known_as_such_and_its_messages_are_seen))
