/* The forms were recorded from rsyslogd 8.2302. */
#include "message/repeat.h"

#include <stdint.h>

#include "message/fixture.h"

struct stage {
        struct fixture f;
        struct repeat *repeat;
        uint16_t selection[BATCH_RECORDS_MAX];
        size_t count;
        struct batch *told;
};

static void stage_fini(struct stage *s) {
        repeat_free(s->repeat);
        batch_unref(s->told);
        fixture_fini(&s->f);
}
OWNED_VALUE(struct stage, stage_fini);

static void say(struct stage *s, const char *host, const char *tag, const char *msg) {
        fixture_rfc3164(&s->f, host, tag, msg);
        if (!s->repeat)
                CHECK_INT(repeat_new(&s->repeat, s->f.pool), 0);
}

/* Everything said since the last time, as one batch. */
static void reduce(struct stage *s) {
        s->told = batch_unref(s->told);
        for (uint16_t i = 0; i < s->f.batch->count; i++)
                s->selection[i] = i;
        s->count = repeat_reduce(s->repeat, &s->f.context, s->f.batch, s->selection, s->f.batch->count, &s->told);
}

static void next_batch(struct stage *s) {
        s->f.batch = batch_unref(s->f.batch);
        s->f.batch = batch_new(s->f.pool, 0);
}

static struct text msg_of(struct batch *b, uint16_t record) {
        return batch_text(b, b->records[record].msg);
}

static void different_messages_pass(void) {
        _owned_(stage_fini) struct stage s = {0};
        say(&s, "h", "t:", " a");
        say(&s, "h", "t:", " b");
        say(&s, "g", "t:", " b");
        say(&s, "g", "u:", " b");
        say(&s, "g", "u[1]:", " b");
        reduce(&s);
        CHECK_INT(s.count, 5);
        CHECK(!s.told);
}

static void a_run_inside_a_batch_is_told_at_its_place(void) {
        _owned_(stage_fini) struct stage s = {0};
        for (int i = 0; i < 4; i++)
                say(&s, "h", "t:", " same");
        say(&s, "h", "t:", " other");
        reduce(&s);
        CHECK_INT(s.count, 3);
        CHECK_INT(s.selection[1], 3);
        CHECK_TEXT(msg_of(s.f.batch, 3), " message repeated 3 times: [ same]");
        CHECK_TEXT(batch_text(s.f.batch, s.f.batch->records[3].raw),
                   "<134>Mar  1 01:02:03 h t: message repeated 3 times: [ same]");
        CHECK_TEXT(msg_of(s.f.batch, s.selection[2]), " other");
}

static void one_repetition_is_told_as_it_is(void) {
        _owned_(stage_fini) struct stage s = {0};
        say(&s, "h", "t:", " same");
        say(&s, "h", "t:", " same");
        say(&s, "h", "t:", " other");
        reduce(&s);
        CHECK_INT(s.count, 3);
        CHECK_TEXT(msg_of(s.f.batch, s.selection[1]), " same");
}

static void a_run_over_batches_is_told_before_the_next_message(void) {
        _owned_(stage_fini) struct stage s = {0};
        for (int round = 0; round < 3; round++) {
                say(&s, "h", "t:", "");
                say(&s, "h", "t:", "");
                reduce(&s);
                CHECK_INT(s.count, round == 0);
                CHECK(!s.told);
                next_batch(&s);
        }
        CHECK(repeat_held_since_us(s.repeat) != 0);
        say(&s, "h", "t:", " other");
        reduce(&s);
        CHECK_INT(s.count, 1);
        CHECK(s.told && !s.told->next);
        CHECK_TEXT(msg_of(s.told, 0), " message repeated 5 times: []");
        CHECK_TEXT(batch_text(s.told, s.told->records[0].raw),
                   "<134>Mar  1 01:02:03 h t: message repeated 5 times: []");
        CHECK_INT(repeat_held_since_us(s.repeat), 0);
}

/* The copy held from an earlier batch is not told again beside the newer one. */
static void a_run_that_ends_in_a_later_batch_is_told_once(void) {
        _owned_(stage_fini) struct stage s = {0};
        say(&s, "h", "t:", " same");
        say(&s, "h", "t:", " same");
        reduce(&s);
        next_batch(&s);
        say(&s, "h", "t:", " same");
        say(&s, "h", "t:", " other");
        reduce(&s);
        CHECK(!s.told);
        CHECK_INT(s.count, 2);
        CHECK_TEXT(msg_of(s.f.batch, s.selection[0]), " message repeated 2 times: [ same]");
        CHECK(!repeat_take(s.repeat, INT64_MAX));
}

static void what_is_held_back_can_be_taken_and_passes_then(void) {
        _owned_(stage_fini) struct stage s = {0};
        for (int i = 0; i < 3; i++)
                say(&s, "h", "t:", " same");
        reduce(&s);
        CHECK_INT(s.count, 1);
        CHECK(!repeat_take(s.repeat, s.f.record->received_us - 1));
        s.told = repeat_take(s.repeat, s.f.record->received_us);
        CHECK(s.told);
        CHECK_TEXT(msg_of(s.told, 0), " message repeated 2 times: [ same]");
        struct batch *taken = TAKE(s.told), *nothing = NULL;
        CHECK_INT(repeat_reduce(s.repeat, &s.f.context, taken, (uint16_t[]){0}, 1, &nothing), 1);
        CHECK(!nothing);
        batch_unref(taken);
        next_batch(&s);
        say(&s, "h", "t:", " same");
        reduce(&s);
        CHECK_INT(s.count, 0);
}

static void a_long_message_is_shown_in_part(void) {
        _owned_(stage_fini) struct stage s = {0};
        char text[REPEAT_SHOWN_BYTES_MAX + 2];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        for (int i = 0; i < 3; i++)
                say(&s, "h", "t:", text);
        say(&s, "h", "t:", " other");
        reduce(&s);
        CHECK_INT(msg_of(s.f.batch, s.selection[1]).size, 829);
}

static void inputs_are_told_apart_and_the_oldest_gives_way(void) {
        _owned_(stage_fini) struct stage s = {0};
        char origins[REPEAT_SOURCES_MAX + 1];
        for (int round = 0; round < 2; round++)
                for (int i = 0; i < REPEAT_SOURCES_MAX; i++) {
                        say(&s, "h", "t:", " same");
                        struct source *own = source_new_local("imtcp", "localhost", "127.0.0.1");
                        own->origin = &origins[i];
                        batch_append(s.f.batch, own); /* makes the batch hold it */
                        s.f.batch->count--;
                        s.f.record->source = own;
                        source_unref(own);
                }
        reduce(&s);
        CHECK_INT(s.count, REPEAT_SOURCES_MAX);
        next_batch(&s);
        say(&s, "h", "t:", " same"); /* of one more */
        reduce(&s);
        CHECK_INT(s.count, 1);
        CHECK(s.told && !s.told->next);
        CHECK_TEXT(msg_of(s.told, 0), " same");
        struct batch *rest = repeat_take(s.repeat, INT64_MAX);
        int left = 0;
        while (rest) {
                struct batch *next = rest->next;
                batch_unref(rest);
                rest = next;
                left++;
        }
        CHECK_INT(left, REPEAT_SOURCES_MAX - 1);
}

TEST_MAIN(TEST(different_messages_pass), TEST(a_run_inside_a_batch_is_told_at_its_place),
          TEST(one_repetition_is_told_as_it_is), TEST(a_run_over_batches_is_told_before_the_next_message),
          TEST(a_run_that_ends_in_a_later_batch_is_told_once), TEST(what_is_held_back_can_be_taken_and_passes_then),
          TEST(a_long_message_is_shown_in_part), TEST(inputs_are_told_apart_and_the_oldest_gives_way))
