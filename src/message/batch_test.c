#include "message/batch.h"

#include "base/json.h"
#include "base/test.h"
#include "message/intake.h"

static struct batch_pool *pool;

static struct batch *batch_of(const char *const *lines, size_t count) {
        if (!pool)
                CHECK(batch_pool_new(&pool) == 0);
        struct batch *b = batch_new(pool, 0);
        CHECK(b);
        for (size_t i = 0; i < count; i++) {
                struct record *r = batch_append(b, NULL);
                CHECK(r);
                r->raw = batch_store(b, text_of(lines[i]));
                r->msg = span_slice(r->raw, 1, r->raw.size);
        }
        return b;
}

static void bytes_stay_where_they_arrived(void) {
        static const char *const lines[] = {"first", "second"};
        struct batch *b = batch_of(lines, 2);
        const char *before = batch_at(b, b->records[0].raw);
        for (int i = 0; i < 1000; i++)
                CHECK(batch_store(b, TEXT("something that needs more regions than one, again and again")).size);
        CHECK(batch_at(b, b->records[0].raw) == before);
        CHECK_TEXT(batch_text(b, b->records[1].msg), "econd");
        batch_unref(b);
}

static void a_batch_holds_texts_larger_than_its_slab(void) {
        struct batch *b = batch_of(NULL, 0);
        struct span span;
        char *room = batch_room(b, 3 << 20, &span);
        CHECK(room);
        memset(room, 'x', 3 << 20);
        CHECK_INT(batch_text(b, span).size, 3 << 20);
        CHECK(batch_room(b, (size_t)REGION_BYTES_MAX + 1, &span) == NULL);
        batch_unref(b);
}

static void a_view_outlives_what_the_owner_does(void) {
        static const char *const lines[] = {"zero", "one", "two"};
        static const uint16_t chosen[] = {0, 2};
        struct batch *b = batch_of(lines, 3);
        b->records[2].tree[TREE_MESSAGE] = json_object(&b->arena);
        json_set(&b->arena, b->records[2].tree[TREE_MESSAGE], TEXT("a"), json_int(&b->arena, 1));
        struct batch *view = batch_view(b, chosen, 2);
        CHECK(view && view->count == 2);
        /* The owner goes on changing its own record. */
        json_set(&b->arena, b->records[2].tree[TREE_MESSAGE], TEXT("a"), json_int(&b->arena, 2));
        b->records[2].msg = b->records[0].raw;
        batch_unref(b);
        CHECK_TEXT(batch_text(view, view->records[1].msg), "wo");
        CHECK_INT(json_get(view->records[1].tree[TREE_MESSAGE], TEXT("a"))->integer, 1);
        CHECK(batch_store(view, TEXT("own bytes")).size == 9);
        batch_unref(view);
}

static void a_copy_holds_no_slab(void) {
        static const char *const lines[] = {"zero", "one"};
        static const uint16_t chosen[] = {1};
        struct batch *from = batch_of(lines, 2), *to = batch_of(lines, 1);
        from->records[1].tag = batch_store(from, TEXT("tag:"));
        CHECK(batch_copy(to, from, chosen, 1));
        batch_unref(from);
        CHECK_INT(to->count, 2);
        CHECK_TEXT(batch_text(to, to->records[1].raw), "one");
        CHECK_TEXT(batch_text(to, to->records[1].msg), "ne");
        CHECK_TEXT(batch_text(to, to->records[1].tag), "tag:");
        batch_unref(to);
}

static uint64_t done_sum;

static void note_done(void *input, uint64_t cookie) {
        CHECK(input == &done_sum);
        done_sum += cookie;
}

static void acknowledgement_comes_with_the_last_reference(void) {
        static const char *const lines[] = {"zero"};
        static const uint16_t chosen[] = {0};
        struct batch *b = batch_of(lines, 1);
        done_sum = 0;
        CHECK(batch_acknowledge(b, (struct acknowledgement){.done = note_done, .input = &done_sum, .cookie = 7}) == 0);
        struct batch *view = batch_view(b, chosen, 1);
        batch_unref(b);
        CHECK_INT(done_sum, 0);
        batch_unref(view);
        CHECK_INT(done_sum, 7);
}

static uint64_t lost_sum;

static void note_lost(void *input _unused_, uint64_t cookie) {
        lost_sum += cookie;
}

static struct batch *waited_for(uint64_t cookie) {
        static const char *const lines[] = {"zero", "one"};
        struct batch *b = batch_of(lines, 2);
        done_sum = lost_sum = 0;
        struct acknowledgement a = {.done = note_done, .lost = note_lost, .input = &done_sum, .cookie = cookie};
        CHECK(batch_acknowledge(b, a) == 0);
        return b;
}

static void a_parted_batch_keeps_its_bytes_after_its_senders_were_told(void) {
        struct batch *b = waited_for(5), *hold;
        CHECK(batch_part(b, &hold) == 0);
        CHECK(hold);
        batch_unref(hold);
        CHECK_INT(done_sum, 5);
        CHECK_TEXT(batch_text(b, b->records[1].raw), "one");
        batch_unref(b);
        CHECK_INT(done_sum, 5);
}

static void a_parted_view_leaves_the_other_holders_their_share(void) {
        static const uint16_t first[] = {0}, second[] = {1};
        struct batch *b = waited_for(5), *hold;
        struct batch *mine = batch_view(b, first, 1), *other = batch_view(b, second, 1);
        batch_unref(b);
        CHECK(batch_part(mine, &hold) == 0);
        batch_unref(mine);
        batch_unref(other);
        CHECK_INT(done_sum, 0);
        batch_unref(hold);
        CHECK_INT(done_sum, 5);
}

static void bytes_of_a_parent_outlive_its_holders(void) {
        static const uint16_t first[] = {0};
        struct batch *b = waited_for(5), *hold;
        struct batch *view = batch_view(b, first, 1);
        batch_unref(b);
        CHECK(batch_part(view, &hold) == 0);
        batch_unref(hold);
        CHECK_INT(done_sum, 5);
        CHECK_TEXT(batch_text(view, view->records[0].raw), "zero");
        batch_unref(view);
        CHECK_INT(done_sum, 5);
}

static void nobody_waits_nothing_is_parted(void) {
        static const char *const lines[] = {"zero"};
        struct batch *b = batch_of(lines, 1), *hold;
        CHECK(batch_part(b, &hold) == 0);
        CHECK(!hold);
        batch_unref(b);
}

static void what_a_view_loses_its_senders_learn(void) {
        static const uint16_t first[] = {0}, second[] = {1};
        struct batch *b = waited_for(5);
        struct batch *lost = batch_view(b, first, 1), *good = batch_view(b, second, 1);
        batch_unref(b);
        batch_lose(lost);
        batch_unref(lost);
        CHECK_INT(lost_sum, 0);
        batch_unref(good);
        CHECK_INT(lost_sum, 5);
        CHECK_INT(done_sum, 0);
}

struct counting_sink {
        struct sink sink;
        size_t pushes, records;
};

static void count_push(struct sink *sink, struct batch *b, enum flow flow _unused_) {
        struct counting_sink *c = CONTAINER_OF(sink, struct counting_sink, sink);
        c->pushes++;
        c->records += b->count;
        batch_unref(b);
}

static void an_intake_loses_nothing_when_the_table_is_full(void) {
        struct counting_sink counting = {.sink.push = count_push};
        struct intake in;
        if (!pool)
                CHECK(batch_pool_new(&pool) == 0);
        intake_init(&in, &counting.sink, pool, FLOW_NONE);
        for (int i = 0; i < BATCH_RECORDS_MAX * 2 + 5; i++)
                CHECK(intake_copy(&in, NULL, TEXT("<13>x"), 1));
        CHECK_INT(counting.pushes, 2);
        intake_fini(&in);
        CHECK_INT(counting.records, BATCH_RECORDS_MAX * 2 + 5);
}

static void a_turn_moves_the_rest_into_the_next_batch(void) {
        struct counting_sink counting = {.sink.push = count_push};
        struct intake in;
        size_t room;
        intake_init(&in, &counting.sink, pool, FLOW_NONE);
        char *p = intake_reserve(&in, 100, &room);
        CHECK(p && room >= 100);
        memcpy(p, "one\ntwo", 7);
        CHECK(intake_add(&in, NULL, p, 3, 1));
        p = intake_turn(&in, p + 4, 3, &room);
        CHECK(p && memcmp(p, "two", 3) == 0);
        CHECK_INT(counting.records, 1);
        CHECK(intake_add(&in, NULL, p, 3, 1));
        intake_keep(&in, p + 3);
        intake_fini(&in);
        CHECK_INT(counting.records, 2);
        pool = batch_pool_unref(pool);
}

TEST_MAIN(TEST(bytes_stay_where_they_arrived), TEST(a_batch_holds_texts_larger_than_its_slab),
          TEST(a_view_outlives_what_the_owner_does), TEST(a_copy_holds_no_slab),
          TEST(acknowledgement_comes_with_the_last_reference),
          TEST(a_parted_batch_keeps_its_bytes_after_its_senders_were_told),
          TEST(a_parted_view_leaves_the_other_holders_their_share), TEST(bytes_of_a_parent_outlive_its_holders),
          TEST(nobody_waits_nothing_is_parted), TEST(what_a_view_loses_its_senders_learn),
          TEST(an_intake_loses_nothing_when_the_table_is_full), TEST(a_turn_moves_the_rest_into_the_next_batch))
