#include "queue/classic.h"

#include <errno.h>

#include "base/json.h"
#include "base/test.h"
#include "message/source.h"

static struct batch_pool *pool;
static struct batch *batch;

static uint16_t ruleset_of(void *owner _unused_, struct text name) {
        return text_equal(name, TEXT("r")) ? 7 : 0;
}
static const struct classic_names names = {.ruleset_of = ruleset_of};

static int parse(const char *text, size_t *used) {
        if (!pool)
                CHECK_INT(batch_pool_new(&pool), 0);
        batch = batch_unref(batch);
        batch = batch_new(pool, BATCH_BYTES);
        CHECK(batch);
        return classic_message_read(batch, text_of(text), used, &names);
}

#define MESSAGE                                                                                                        \
        "<Obj:1:msg:1:\n"                                                                                              \
        "+iProtocolVersion:2:1:1:\n"                                                                                   \
        "+iSeverity:2:1:2:\n"                                                                                          \
        "+iFacility:2:1:4:\n"                                                                                          \
        "+msgFlags:2:2:32:\n"                                                                                          \
        "+tRcvdAt:3:35:2:2026:11:22:0:31:58:642044:6:+:0:0:\n"                                                         \
        "+tTIMESTAMP:3:32:2:2003:10:11:22:14:15:3:3:-:2:30:\n"                                                         \
        "+pszTAG:1:0::\n"                                                                                              \
        "+pszRawMsg:1:16:<34>1 x\n:+:hello:\n"                                                                         \
        "+pszHOSTNAME:1:4:host:\n"                                                                                     \
        "+pszInputName:1:6:imptcp:\n"                                                                                  \
        "+pszRcvFrom:1:9:localhost:\n"                                                                                 \
        "+pszRcvFromIP:1:9:127.0.0.1:\n"                                                                               \
        "+json:1:7:{\"a\":1}:\n"                                                                                       \
        "+pCSAPPNAME:1:3:app:\n"                                                                                       \
        "+pszRuleset:1:1:r:\n"                                                                                         \
        "+offMSG:2:2:11:\n"                                                                                            \
        ">End\n.\n"

static bool span_is(struct span s, const char *text) {
        return text_equal(batch_text(batch, s), text_of(text));
}

static void every_field_of_a_message_is_kept(void) {
        size_t used;
        CHECK_INT(parse(MESSAGE "next", &used), 0);
        CHECK_INT(used, strlen(MESSAGE));
        struct record *r = &batch->records[0];
        CHECK(span_is(r->raw, "<34>1 x\n:+:hello") && span_is(r->msg, "hello"));
        CHECK(span_is(r->host, "host") && span_is(r->app, "app"));
        CHECK_INT(r->facility, 4);
        CHECK_INT(r->severity, 2);
        CHECK_INT(r->protocol, 1);
        CHECK_INT(r->ruleset, 7);
        CHECK_INT(r->pri_size, 4);
        CHECK_INT(r->received_us, INT64_C(1795307518642044));
        CHECK_INT(r->reported.offset_minutes, -150);
        CHECK_INT(r->reported.fraction, 3);
        CHECK(r->flags & RECORD_IS_PARSED);
        CHECK(json_get(r->tree[TREE_MESSAGE], TEXT("a"))->integer == 1);
        CHECK(strcmp(r->source->address, "127.0.0.1") == 0);
}

static void what_was_not_parsed_yet_is_left_to_the_parser(void) {
        size_t used;
        CHECK_INT(parse("<Obj:1:msg:1:\n+msgFlags:2:2:48:\n+pszRawMsg:1:2:hi:\n+offMSG:2:2:-1:\n>End\n.\n", &used), 0);
        CHECK(!(batch->records[0].flags & RECORD_IS_PARSED));
        CHECK(span_is(batch->records[0].raw, "hi"));
}

static void a_cut_message_is_told_from_a_damaged_one(void) {
        char text[sizeof MESSAGE];
        size_t used;
        for (size_t size = 0; size + 1 < sizeof text; size++) {
                memcpy(text, MESSAGE, size);
                text[size] = '\0';
                CHECK_INT(parse(text, &used), CLASSIC_IS_CUT);
                CHECK_INT(batch->count, 0);
        }
        CHECK_INT(parse("<Obj:1:msg:1:\n+pszRawMsg:1:1:hi:\n>End\n.\n", &used), -EBADMSG);
        CHECK_INT(parse("<Obj:1:msg:1:\n+pszRawMsg:1:-1:hi:\n>End\n.\n", &used), -EBADMSG);
        CHECK_INT(parse("<Obj:1:msg:1:\n+pszRawMsg:1:268435457:hi:\n>End\n.\n", &used), -EBADMSG);
        CHECK_INT(parse("nonsense", &used), -EBADMSG);
}

static void an_object_with_too_many_properties_is_refused(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        size_t used;
        buffer_format(&text, "<Obj:1:msg:1:\n");
        for (int i = 0; i <= CLASSIC_PROPERTIES_MAX; i++)
                buffer_format(&text, "+p%d:1:1:x:\n", i);
        buffer_format(&text, ">End\n.\n");
        CHECK_INT(parse(buffer_string(&text), &used), -EBADMSG);
}

static void behind_damage_the_next_message_is_found(void) {
        CHECK_INT(classic_resume(TEXT("<Obj:damaged\n+x\n<Obj:1:msg:1:\n")), 16);
        CHECK_INT(classic_resume(TEXT("<Obj:damaged\n")), 13);
}

#define STREAM(number, offset)                                                                                         \
        "<Obj:1:strm:1:\n+iCurrFNum:2:" number ":\n+pszFName:1:1:q:\n+iCurrOffs:2:" offset ":\n>End\n.\n"

static void the_index_tells_where_what_waits_begins_and_ends(void) {
        struct classic_index index;
        CHECK_INT(classic_index_read(&index, TEXT("<OPB:1:qqueue:1:\n+iQueueSize:2:2:46:\n>End\n.\n" STREAM(
                                                     "2:11", "4:1054") STREAM("1:3", "4:2107"))),
                  0);
        CHECK_INT(index.waiting, 46);
        CHECK_INT(index.first_file, 3);
        CHECK_INT(index.first_offset, 2107);
        CHECK_INT(index.last_file, 11);
        CHECK_INT(index.last_offset, 1054);
        CHECK_INT(classic_index_read(&index,
                                     TEXT("<OPB:1:qqueue:1:\n+iQueueSize:2:2:46:\n>End\n.\n" STREAM("1:3", "1:7"))),
                  -EBADMSG);
}

int main(void) {
        static const struct test tests[] = {
                TEST(every_field_of_a_message_is_kept),         TEST(what_was_not_parsed_yet_is_left_to_the_parser),
                TEST(a_cut_message_is_told_from_a_damaged_one), TEST(an_object_with_too_many_properties_is_refused),
                TEST(behind_damage_the_next_message_is_found),  TEST(the_index_tells_where_what_waits_begins_and_ends)};
        int r = test_run(tests, ARRAY_SIZE(tests));
        batch_unref(batch);
        batch_pool_unref(pool);
        return r;
}
