#include "input/progress.h"

#include "base/test.h"
#include "io/loop.h"
#include "message/batch.h"

struct numbers {
        struct progress progress;
        int at, written, writes, failing;
        bool *is_freed;
};

struct number_promise {
        struct progress_promise promise;
        int number; /* negative: says nothing new */
};

static bool move(struct progress *p, const struct progress_promise *promise) {
        const struct number_promise *kept = CONTAINER_OF(promise, const struct number_promise, promise);
        if (kept->number >= 0)
                CONTAINER_OF(p, struct numbers, progress)->at = kept->number;
        return kept->number >= 0;
}

static int write_number(struct progress *p) {
        struct numbers *s = CONTAINER_OF(p, struct numbers, progress);
        if (s->failing)
                return s->failing;
        s->written = s->at;
        s->writes++;
        return 0;
}

static void free_numbers(struct progress *p) {
        struct numbers *s = CONTAINER_OF(p, struct numbers, progress);
        *s->is_freed = true;
        free(s);
}

static const struct progress_ops ops = {sizeof(struct number_promise), move, write_number, free_numbers};

struct stage {
        struct loop *loop;
        struct batch_pool *pool;
        struct numbers *source;
        bool is_freed;
};

static void stage_begin(struct stage *s, int64_t interval) {
        *s = (struct stage){0};
        CHECK_INT(loop_new(&s->loop), 0);
        CHECK_INT(batch_pool_new(&s->pool), 0);
        s->source = calloc(1, sizeof *s->source);
        CHECK(s->source);
        s->source->is_freed = &s->is_freed;
        progress_init(&s->source->progress, &ops, s->loop, interval);
}

/* What was posted to the loop runs. */
static void run_posted(struct stage *s) {
        loop_stop(s->loop);
        CHECK_INT(loop_run(s->loop), 0);
}

static void stage_end(struct stage *s) {
        progress_unref(&s->source->progress);
        CHECK(s->is_freed);
        batch_pool_unref(s->pool);
        loop_free(s->loop);
}

static void reach(struct stage *s, struct batch *b, int number, uint32_t records) {
        const struct number_promise promise = {{.records = records}, number};
        CHECK_INT(progress_reach(&s->source->progress, b, &promise.promise), 0);
}

static struct batch *promise(struct stage *s, int number, uint32_t records) {
        struct batch *b = batch_new(s->pool, 0);
        CHECK(b);
        reach(s, b, number, records);
        return b;
}

static void the_position_moves_in_the_order_of_the_source(void) {
        struct stage s;
        stage_begin(&s, -1);
        struct batch *one = promise(&s, 1, 1), *two = promise(&s, 2, 1);
        reach(&s, NULL, 3, 1);
        batch_unref(two);
        CHECK_INT(s.source->at, 0);
        batch_unref(one);
        CHECK_INT(s.source->at, 3);
        stage_end(&s);
}

static void nothing_passes_a_batch_that_was_lost(void) {
        struct stage s;
        stage_begin(&s, 0);
        struct batch *one = promise(&s, 1, 1), *two = promise(&s, 2, 1);
        batch_lose(one);
        batch_unref(one);
        batch_unref(two);
        run_posted(&s);
        CHECK_INT(s.source->at, 0);
        CHECK_INT(s.source->writes, 0);
        stage_end(&s);
}

static void it_is_written_once_enough_records_are_finished(void) {
        struct stage s;
        stage_begin(&s, 10);
        batch_unref(promise(&s, 1, 9));
        run_posted(&s);
        CHECK_INT(s.source->writes, 0);
        batch_unref(promise(&s, 2, 1));
        batch_unref(promise(&s, 3, 1));
        run_posted(&s);
        CHECK_INT(s.source->writes, 1);
        CHECK_INT(s.source->written, 3);
        batch_unref(promise(&s, 4, 9));
        run_posted(&s);
        CHECK_INT(s.source->writes, 1);
        stage_end(&s);
}

static void what_says_nothing_new_is_not_written(void) {
        struct stage s;
        stage_begin(&s, 0);
        batch_unref(promise(&s, -1, 100));
        run_posted(&s);
        CHECK_INT(s.source->writes, 0);
        stage_end(&s);
}

static void what_could_not_be_written_is_written_with_the_next(void) {
        struct stage s;
        stage_begin(&s, 0);
        s.source->failing = -5;
        batch_unref(promise(&s, 1, 1));
        run_posted(&s);
        s.source->failing = 0;
        batch_unref(promise(&s, -1, 0));
        run_posted(&s);
        CHECK_INT(s.source->written, 1);
        stage_end(&s);
}

static void the_last_batch_writes_behind_the_end(void) {
        struct stage s;
        stage_begin(&s, -1);
        struct batch *one = promise(&s, 1, 1), *two = promise(&s, 2, 1);
        s.source->progress.is_stopped = true;
        batch_unref(one);
        CHECK_INT(s.source->writes, 0);
        progress_unref(&s.source->progress);
        CHECK(!s.is_freed);
        atomic_fetch_add(&s.source->progress.references, 1);
        batch_unref(two);
        CHECK_INT(s.source->written, 2);
        stage_end(&s);
}

TEST_MAIN(TEST(the_position_moves_in_the_order_of_the_source), TEST(nothing_passes_a_batch_that_was_lost),
          TEST(it_is_written_once_enough_records_are_finished), TEST(what_says_nothing_new_is_not_written),
          TEST(what_could_not_be_written_is_written_with_the_next), TEST(the_last_batch_writes_behind_the_end))
