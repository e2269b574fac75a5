#include "io/compress.h"
#include "parser/parse_one.h"

static void the_first_parser_that_takes_a_message_has_it(void) {
        struct bench b;
        bench_open(&b, true, true, "");
        CHECK(bench_parse(&b, "<34>1 - h a p m - x"));
        CHECK_INT(b.record->protocol, 1);
        CHECK(bench_parse(&b, "<34>Oct 11 22:14:15 h t: x"));
        CHECK_INT(b.record->protocol, 0);
        bench_close(&b);
}

static void a_message_that_no_parser_takes_is_reported_and_discarded(void) {
        struct bench b;
        bench_open(&b, true, false, "");
        CHECK(!bench_parse(&b, "<13>Oct 11 22:14:15 h t: a message that is longer than what is shown"));
        CHECK_INT(b.said.count, 1);
        CHECK_INT(b.said.code, 2160);
        CHECK_TEXT(text_of(b.said.last),
                   "Error: one message could not be processed by any parser, message is being discarded (start of raw "
                   "msg: '<13>Oct 11 22:14:15 h t: a message that is longer than what ')");
        CHECK_INT(counter_get(&b.chain.discarded), 1);
        bench_close(&b);
}

static void raw_messages_are_made_safe_before_they_are_parsed(void) {
        struct bench b;
        bench_open(&b, true, true, "");
        CHECK(bench_parse(&b, "<13>h t: a\tb\n"));
        CHECK_TEXT(FIELD(&b, raw), "<13>h t: a#011b");
        CHECK_TEXT(FIELD(&b, msg), " a#011b");
        CHECK_TEXT(FIELD(&b, tag), "t:");
        bench_close(&b);
}

static void the_living_are_told_from_the_dropped(void) {
        struct bench b;
        bench_open(&b, false, true, "detect.headerless=on headerless.drop=on");
        CHECK(bench_parse(&b, "<13>h t: 0"));
        static const char *const more[] = {"bare", "<13>h t: 2", "bare", "<13>h t: 4"};
        for (size_t i = 0; i < ARRAY_SIZE(more); i++)
                batch_append(b.batch, NULL)->raw = batch_store(b.batch, text_of(more[i]));
        b.batch->records[0] = (struct record){.raw = b.batch->records[0].raw};
        CHECK_INT(chain_parse(&b.chain, b.batch, b.selection, b.batch->count, &b.has_redirected), 3);
        CHECK_INT(b.selection[0], 0);
        CHECK_INT(b.selection[1], 2);
        CHECK_INT(b.selection[2], 4);
        bench_close(&b);
}

static void what_the_input_parsed_stays_as_it_is(void) {
        struct bench b;
        bench_open(&b, false, true, "");
        b.flags = RECORD_IS_PARSED;
        CHECK(bench_parse(&b, "<13>h t: a\tb"));
        CHECK_TEXT(FIELD(&b, raw), "<13>h t: a\tb");
        CHECK_TEXT(FIELD(&b, tag), "");
        bench_close(&b);
}

static void what_a_parser_took_is_not_parsed_again(void) {
        struct bench b;
        bench_open(&b, false, true, "");
        CHECK(bench_parse(&b, "<13>h t: text"));
        b.record->tag = (struct span){0};
        CHECK_INT(chain_parse(&b.chain, b.batch, b.selection, b.batch->count, &b.has_redirected), 1);
        CHECK_TEXT(FIELD(&b, tag), "");
        bench_close(&b);
}

static void a_compressed_message_is_expanded(void) {
        struct bench b;
        bench_open(&b, false, true, "");
        _owned_(compressor_free) struct compressor *compressor = NULL;
        _owned_(buffer_fini) struct buffer packed = {0};
        CHECK(compressor_new(&compressor, COMPRESSION_ZLIB, 9, 0) == 0);
        CHECK(compress_message(compressor, TEXT("<13>h t: hello hello hello hello hello hello\n"), &packed) == 0);
        b.chain.expands_compressed = true;
        CHECK(bench_parse_text(&b, buffer_as_text(&packed)));
        CHECK_TEXT(FIELD(&b, raw), "<13>h t: hello hello hello hello hello hello");
        CHECK_TEXT(FIELD(&b, tag), "t:");
        CHECK(bench_parse(&b, "zebra: x"));
        CHECK_TEXT(FIELD(&b, tag), "zebra:");
        CHECK(bench_parse(&b, "zx\234broken"));
        CHECK_TEXT(FIELD(&b, raw), "zx\234broken");
        bench_close(&b);
}

static void a_chain_is_bounded(void) {
        struct bench b;
        bench_open(&b, true, false, "");
        for (unsigned i = 1; i < CHAIN_PARSERS_MAX; i++)
                CHECK(parser_chain_add(&b.chain, &pmrfc5424_module, NULL) == 0);
        CHECK(parser_chain_add(&b.chain, &pmrfc5424_module, NULL) < 0);
        bench_close(&b);
}

TEST_MAIN(TEST(the_first_parser_that_takes_a_message_has_it),
          TEST(a_message_that_no_parser_takes_is_reported_and_discarded),
          TEST(raw_messages_are_made_safe_before_they_are_parsed), TEST(the_living_are_told_from_the_dropped),
          TEST(what_the_input_parsed_stays_as_it_is), TEST(what_a_parser_took_is_not_parsed_again),
          TEST(a_compressed_message_is_expanded), TEST(a_chain_is_bounded))
