#include "input/local_bench.h"

static void a_mark_is_written_when_it_is_time(void) {
        struct local_bench b;
        bench_open(&b, &immark_module, "interval=1|markmessagetext=still here", NULL);
        CHECK(immark_module.input->module_instance(b.module_settings));
        int64_t begin_ns = clock_mono_ns();
        bench_wait(&b, 1);
        CHECK(clock_mono_ns() - begin_ns >= 990000000);
        const struct record *r = b.seen[0].record;
        CHECK_TEXT(SEEN(&b, 0, msg), "still here");
        CHECK_TEXT(SEEN(&b, 0, tag), "rsyslogd:");
        CHECK_TEXT(text_of(r->source->input_name), "rsyslogd");
        CHECK_INT(r->facility, 5);
        CHECK_INT(r->severity, 6);
        CHECK(r->flags & RECORD_IS_MARK);
        bench_close(&b);
}

static void marks_are_off_with_interval_0(void) {
        struct local_bench b;
        bench_prepare(&b, &immark_module, "interval=0", NULL);
        CHECK(!immark_module.input->module_instance(b.module_settings));
        bench_close(&b);
}

TEST_MAIN(TEST(a_mark_is_written_when_it_is_time), TEST(marks_are_off_with_interval_0))
