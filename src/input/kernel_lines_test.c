#include "input/kernel_lines.h"
#include "input/local_bench.h"

/* Expectations from rsyslogd 8.2302. */
static const char kernel_lines[] = "<6>[    1.234567] eth0: link up\n"
                                   "<4>plain warning\n"
                                   "<30>systemd[1]: Starting\n"
                                   "no pri line\n"
                                   "<6>\n"
                                   "<3>[   55.123456] a\tb\n"
                                   "<192>bad\n"
                                   "<6>partial";

static void kernel_lines_lose_their_pri_and_nothing_else(void) {
        static const char *const messages[] = {"[    1.234567] eth0: link up", "plain warning", "no pri line", "",
                                               "[   55.123456] a\tb",          "<192>bad",      "partial"};
        static const int severities[] = {6, 4, 6, 6, 3, 6, 6};
        struct local_bench b;
        run_on_file(&b, &imklog_module, "logpath=@/log", kernel_lines, ARRAY_SIZE(messages));
        for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
                CHECK_TEXT(SEEN(&b, i, msg), messages[i]);
                CHECK_TEXT(SEEN(&b, i, tag), "kernel:");
                CHECK_INT(b.seen[i].record->facility, 0);
                CHECK_INT(b.seen[i].record->severity, severities[i]);
        }
        CHECK_TEXT(text_of(b.seen[0].record->source->input_name), "imklog");
        close_with_file(&b);
}

static void other_facilities_are_taken_when_permitted(void) {
        struct local_bench b;
        run_on_file(&b, &imklog_module, "logpath=@/log|permitnonkernelfacility=on", kernel_lines, 8);
        CHECK_TEXT(SEEN(&b, 2, msg), "systemd[1]: Starting");
        CHECK_INT(b.seen[2].record->facility, 3);
        close_with_file(&b);
}

static void kernel_timestamps_can_become_the_time(void) {
        struct local_bench b;
        run_on_file(&b, &imklog_module, "logpath=@/log|parsekerneltimestamp=on", kernel_lines, 7);
        CHECK_TEXT(SEEN(&b, 0, msg), " eth0: link up");
        int64_t reported_us = stamp_to_wall(&b.seen[0].record->reported);
        int64_t wanted_us = kernel_boot_us() + 1234567;
        CHECK(reported_us > wanted_us - 1000000 && reported_us < wanted_us + 1000000);
        close_with_file(&b);
        run_on_file(&b, &imklog_module, "logpath=@/log|parsekerneltimestamp=on|keepkerneltimestamp=on", kernel_lines,
                    7);
        CHECK_TEXT(SEEN(&b, 0, msg), "[    1.234567] eth0: link up");
        close_with_file(&b);
}

static void kernel_messages_can_be_limited(void) {
        struct local_bench b;
        run_on_file(&b, &imklog_module, "logpath=@/log|ratelimitinterval=60|ratelimitburst=2", kernel_lines, 2);
        CHECK_INT(b.said_count, 1);
        CHECK_TEXT(text_of(b.said[0]), "imklog: begin to drop messages due to rate-limiting");
        close_with_file(&b);
}

static void a_line_without_end_is_cut(void) {
        enum { LONG = 70000 };
        char *content = malloc(LONG + 2);
        CHECK(content);
        memset(content, 'x', LONG);
        memcpy(content + LONG, "\n", 2);
        struct local_bench b;
        run_on_file(&b, &imklog_module, "logpath=@/log", content, 3);
        CHECK_INT(SEEN(&b, 0, msg).size, 8192);
        CHECK_INT(SEEN(&b, 2, msg).size, 70000 - 2 * 32768);
        free(content);
        close_with_file(&b);
}

static void a_missing_log_is_reported(void) {
        struct local_bench b;
        bench_prepare(&b, &imklog_module, "logpath=@/none", NULL);
        CHECK(imklog_module.input->open(&b.instance, &b.host, NULL) < 0);
        CHECK(text_starts(text_of(b.said[0]), TEXT("imklog: cannot open kernel log (")));
        bench_close(&b);
}

static void lines_arrive_as_they_are_written(void) {
        struct local_bench b;
        char path[128];
        bench_prepare(&b, &imklog_module, "logpath=@/log", NULL);
        bench_path(&b, path, sizeof path, "log");
        CHECK(mkfifo(path, 0600) == 0);
        CHECK(imklog_module.input->open(&b.instance, &b.host, NULL) == 0);
        CHECK(imklog_module.input->start(b.instance) == 0);
        FILE *writer = fopen(path, "w");
        CHECK(writer);
        fputs("<6>one\n<6>two\n<6>thr", writer);
        fflush(writer);
        bench_wait(&b, 2);
        CHECK_TEXT(SEEN(&b, 1, msg), "two");
        fclose(writer);
        close_with_file(&b);
}

static const char kernel_records[] = "6,194,286191,-;acpi PNP0A08:00: _OSC\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A08:00\n"
                                     "14,425,2643266762,-,caller=T1;from a program \\x09 \"q\"\n"
                                     "bad record\n"
                                     "4,426,2643266763;[Firmware Bug]: TSC\n";

static void kernel_records_come_with_their_fields(void) {
        struct local_bench b;
        run_on_file(&b, &imkmsg_module, "logpath=@/log|readmode=full-always|parsekerneltimestamp=on", kernel_records,
                    3);
        CHECK_TEXT(SEEN(&b, 0, msg), "acpi PNP0A08:00: _OSC");
        CHECK_TEXT(SEEN(&b, 0, tag), "kernel:");
        CHECK_TEXT(text_of(b.seen[0].record->source->input_name), "imkmsg");
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, b.seen[0].record->tree[TREE_MESSAGE], JSON_SPACED);
        CHECK_TEXT(buffer_as_text(&out), "{ \"sequnum\": 194, \"msg\": \"acpi PNP0A08:00: _OSC\", \"SUBSYSTEM\": "
                                         "\"acpi\", \"DEVICE\": \"+acpi:PNP0A08:00\" }");
        int64_t wanted_us = kernel_boot_us() + 286191, found_us = b.seen[0].record->received_us;
        CHECK(found_us > wanted_us - 1000000 && found_us < wanted_us + 1000000);
        CHECK_INT(b.seen[1].record->facility, 1);
        CHECK_TEXT(SEEN(&b, 1, msg), "from a program \\x09 \"q\"");
        CHECK_TEXT(SEEN(&b, 2, msg), "[Firmware Bug]: TSC");
        CHECK_INT(b.seen[2].record->severity, 4);
        close_with_file(&b);
}

static void old_records_can_be_skipped(void) {
        struct local_bench b;
        bench_prepare(&b, &imkmsg_module, "logpath=@/log|readmode=new-only", NULL);
        write_file(&b, kernel_records);
        CHECK(imkmsg_module.input->open(&b.instance, &b.host, NULL) == 0);
        CHECK(imkmsg_module.input->start(b.instance) == 0);
        char path[128];
        bench_path(&b, path, sizeof path, "log");
        FILE *writer = fopen(path, "a");
        fputs("6,427,1,-;new\n", writer);
        fclose(writer);
        bench_wait(&b, 1);
        CHECK_TEXT(SEEN(&b, 0, msg), "new");
        close_with_file(&b);
}

TEST_MAIN(TEST(kernel_lines_lose_their_pri_and_nothing_else), TEST(other_facilities_are_taken_when_permitted),
          TEST(kernel_timestamps_can_become_the_time), TEST(kernel_messages_can_be_limited),
          TEST(a_line_without_end_is_cut), TEST(a_missing_log_is_reported), TEST(lines_arrive_as_they_are_written),
          TEST(kernel_records_come_with_their_fields), TEST(old_records_can_be_skipped))
