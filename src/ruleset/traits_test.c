#include "ruleset/traits.h"

#include <stdlib.h>

#include "base/test.h"

enum {
        QUESTIONS = 200,
        RECORDS = 64,
};

struct world {
        struct traits *traits;
        struct answers *answers;
        struct question questions[QUESTIONS];
        struct trait traits_of[QUESTIONS];
        size_t count;
        struct comparison texts[QUESTIONS];
        struct pattern *patterns[QUESTIONS];
        struct property_context context;
        struct pattern_room room;
        struct batch_pool *pool;
        struct batch *batch;
        uint16_t all[RECORDS];
};

static void world_fini(struct world *w) {
        answers_free(w->answers);
        traits_free(w->traits);
        for (size_t i = 0; i < w->count; i++) {
                comparison_fini(&w->texts[i]);
                pattern_free(w->patterns[i]);
        }
        buffer_fini(&w->context.scratch);
        pattern_room_fini(&w->room);
        batch_unref(w->batch);
        batch_pool_unref(w->pool);
}
OWNED_VALUE(struct world, world_fini);

static void enter(struct world *w) {
        CHECK_INT(traits_enter(w->traits, &w->questions[w->count], &w->traits_of[w->count]), 0);
        w->count++;
}

static void enter_texts(struct world *w, enum property_id id, enum comparison_kind kind, const char *text) {
        struct text wanted = text_of(text);
        struct comparison *texts = &w->texts[w->count];
        CHECK_INT(comparison_init(texts, kind, &wanted, 1), 0);
        w->questions[w->count] = (struct question){.property.id = id, .texts = texts};
        enter(w);
}

static void enter_pattern(struct world *w, enum property_id id, const char *source) {
        CHECK_INT(pattern_new(&w->patterns[w->count], text_of(source), PATTERN_EXTENDED, NULL), 0);
        w->questions[w->count] = (struct question){.property.id = id, .pattern = w->patterns[w->count]};
        enter(w);
}

static void begin(struct world *w) {
        CHECK_INT(traits_new(&w->traits), 0);
        CHECK_INT(batch_pool_new(&w->pool), 0);
        w->batch = batch_new(w->pool, 0);
}

static void finish(struct world *w) {
        CHECK_INT(traits_finish(w->traits), 0);
        CHECK_INT(answers_new(&w->answers, w->traits), 0);
}

static void add_record(struct world *w, const char *host, const char *tag, const char *msg) {
        struct record *r = batch_append(w->batch, NULL);
        r->host = batch_store(w->batch, text_of(host));
        r->tag = batch_store(w->batch, text_of(tag));
        r->msg = batch_store(w->batch, text_of(msg));
        r->facility = (uint8_t)(w->batch->count % 25);
        r->severity = w->batch->count % 8;
        w->all[w->batch->count - 1] = (uint16_t)(w->batch->count - 1);
}

static bool answer_alone(struct world *w, size_t question, struct record *r) {
        const struct question *q = &w->questions[question];
        if (q->priorities)
                return q->priorities[r->facility] >> r->severity & 1;
        struct text t = property_get(&w->context, w->batch, r, &q->property);
        return q->texts ? comparison_holds(q->texts, t) : pattern_matches(q->pattern, &w->room, t);
}

static bool answer_together(struct world *w, size_t question, uint32_t time, uint16_t record) {
        const struct trait *trait = &w->traits_of[question];
        struct moment moment = {.time = time, .count = w->batch->count};
        uint64_t any;
        const uint64_t *words =
                answers_ask(w->answers, trait->panel, &moment, &w->context, &w->room, w->batch, &record, 1, &any);
        bool answer = words[record] >> trait->bit & 1;
        CHECK((words[record] & ~any) == 0);
        if (!answer || trait->is_final)
                return answer;
        struct text t =
                property_get(&w->context, w->batch, &w->batch->records[record], &w->questions[question].property);
        return pattern_confirms(w->questions[question].pattern, &w->room, t);
}

static void check_all(struct world *w, uint32_t time) {
        for (size_t i = 0; i < w->count; i++) {
                if (!trait_is_shared(w->traits, &w->traits_of[i]))
                        continue;
                for (uint16_t k = 0; k < w->batch->count; k++)
                        if (answer_together(w, i, time, k) != answer_alone(w, i, &w->batch->records[k]))
                                TEST_FAIL("question %zu, record %u", i, k);
        }
}

/* Messages, hosts and tags of all sizes, made of each other's parts. */
static void add_records(struct world *w) {
        static const char *const words[] = {"",         "a",       "error", "Failed password", "port 22",
                                            "sshd[1]:", "timeout", "x",     "kernel:",         "web-00000.example.org"};
        char host[64], tag[64], msg[200];
        for (unsigned i = 0; i < RECORDS; i++) {
                snprintf(host, sizeof host, "%s%s", words[i % 10], words[i / 10 % 10]);
                snprintf(tag, sizeof tag, "%s%s:", words[i * 7 % 10], words[i * 3 % 10]);
                snprintf(msg, sizeof msg, " %s %s %s %*s%s", words[i % 7], words[i * 3 % 10], words[i * 9 % 10],
                         (int)(i * 11 % 50), "", words[i / 5 % 10]);
                add_record(w, host, tag, msg);
        }
}

static void together_they_answer_as_each_alone(void) {
        static const enum property_id ids[] = {PROPERTY_MSG, PROPERTY_HOSTNAME, PROPERTY_SYSLOGTAG,
                                               PROPERTY_PROGRAMNAME, PROPERTY_APP_NAME};
        static const char *const texts[] = {"error", "a", "Failed password", "kernel", "web-00000.example.org", "x"};
        static const uint8_t priorities[2][FACILITIES + 1] = {{1, 2, 4, 0xff}, {[24] = 0xff, [3] = 0x7f, [0] = 0x80}};
        _owned_(world_fini) struct world w = {0};
        begin(&w);
        add_records(&w);
        for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
                for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
                        for (int kind = COMPARISON_SAME; kind <= COMPARISON_ENDS; kind++)
                                if (w.count < QUESTIONS - 6)
                                        enter_texts(&w, ids[i], (enum comparison_kind)kind, texts[k]);
                enter_pattern(&w, PROPERTY_MSG, "port [0-9]+");
        }
        enter_pattern(&w, PROPERTY_MSG, "(timeout|error)");
        for (size_t i = 0; i < 2; i++) {
                w.questions[w.count].priorities = priorities[i];
                enter(&w);
        }
        finish(&w);
        check_all(&w, 1);
}

static void answers_hold_until_another_moment(void) {
        _owned_(world_fini) struct world w = {0};
        begin(&w);
        enter_texts(&w, PROPERTY_HOSTNAME, COMPARISON_SAME, "one");
        enter_texts(&w, PROPERTY_HOSTNAME, COMPARISON_SAME, "other");
        add_record(&w, "one", "t:", "m");
        finish(&w);
        CHECK(answer_together(&w, 0, 1, 0) && !answer_together(&w, 1, 1, 0));
        w.batch->records[0].host = batch_store(w.batch, TEXT("other"));
        CHECK(answer_together(&w, 0, 1, 0));
        CHECK(!answer_together(&w, 0, 2, 0) && answer_together(&w, 1, 2, 0));
        answers_forget(w.answers);
        w.batch->records[0].host = batch_store(w.batch, TEXT("one"));
        CHECK(answer_together(&w, 0, 2, 0));
}

static void a_question_without_company_is_none_for_a_panel(void) {
        _owned_(world_fini) struct world w = {0};
        begin(&w);
        enter_texts(&w, PROPERTY_MSG, COMPARISON_CONTAINS, "one");
        enter_texts(&w, PROPERTY_MSG, COMPARISON_SAME, "other"); /* no pass for needles finds it */
        enter_texts(&w, PROPERTY_MSG, COMPARISON_CONTAINS, "");
        enter_texts(&w, PROPERTY_UUID, COMPARISON_CONTAINS, "a");
        finish(&w);
        for (size_t i = 0; i < w.count; i++)
                CHECK(!trait_is_shared(w.traits, &w.traits_of[i]));
}

static void more_questions_than_a_panel_holds_have_more_panels(void) {
        _owned_(world_fini) struct world w = {0};
        static char names[QUESTIONS][8];
        begin(&w);
        for (size_t i = 0; i < QUESTIONS - 10; i++) {
                snprintf(names[i], sizeof names[i], "n%zu", i);
                enter_texts(&w, i % 2 ? PROPERTY_HOSTNAME : PROPERTY_MSG, COMPARISON_CONTAINS, names[i]);
        }
        for (unsigned i = 0; i < 40; i++)
                add_record(&w, names[i * 4 + 1], "t:", names[i * 4]);
        finish(&w);
        check_all(&w, 1);
}

TEST_MAIN(TEST(together_they_answer_as_each_alone), TEST(answers_hold_until_another_moment),
          TEST(a_question_without_company_is_none_for_a_panel),
          TEST(more_questions_than_a_panel_holds_have_more_panels))
