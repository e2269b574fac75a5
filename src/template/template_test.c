/* The values were recorded from rsyslogd 8.2302. Where ours differ, a comment says so. */
#include "template/template.h"

#include <errno.h>

#include "message/variable.h"
#include "template/fixture.h"

enum { MESSAGES_MAX = 7 };

struct row {
        const char *text; /* of the template */
        const char *wanted[MESSAGES_MAX];
};

static void check_strings(const struct row *rows, size_t row_count, const char *const *messages, size_t message_count) {
        for (size_t m = 0; m < message_count; m++) {
                _owned_(fixture_fini) struct fixture f = {0};
                fixture_message(&f, messages[m]);
                for (size_t i = 0; i < row_count; i++) {
                        struct template_def def = fixture_string(rows[i].text);
                        _owned_(buffer_fini) struct buffer out = {0};
                        fixture_render(&f, &def, false, &out);
                        if (!text_equal(buffer_as_text(&out), text_of(rows[i].wanted[m])))
                                TEST_FAIL("%s over \"%s\" is \"%.*s\", not \"%s\"", rows[i].text, messages[m],
                                          TEXT_ARGS(buffer_as_text(&out)), rows[i].wanted[m]);
                }
        }
}

struct list_row {
        const char *notation; /* fixture_parts() */
        bool is_jsonf;
        const char *wanted[MESSAGES_MAX];
};

static void check_lists(const struct list_row *rows, size_t row_count, const char *const *messages,
                        size_t message_count) {
        for (size_t m = 0; m < message_count; m++) {
                _owned_(fixture_fini) struct fixture f = {0};
                _owned_(arena_fini) struct arena a = {0};
                fixture_message(&f, messages[m]);
                for (size_t i = 0; i < row_count; i++) {
                        struct template_def def = fixture_list(&a, rows[i].notation);
                        def.is_jsonf = rows[i].is_jsonf;
                        _owned_(buffer_fini) struct buffer out = {0};
                        fixture_render(&f, &def, false, &out);
                        if (!text_equal(buffer_as_text(&out), text_of(rows[i].wanted[m])))
                                TEST_FAIL("%s over \"%s\" is \"%.*s\", not \"%s\"", rows[i].notation, messages[m],
                                          TEXT_ARGS(buffer_as_text(&out)), rows[i].wanted[m]);
                }
        }
}

static const struct row position_rows[] = {
        {"%msg%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:1:5%", {" one,", " a", ""}},
        {"%msg:3:$%", {"ne,two,,four  five/s;x=12 y=345 Z", "", ""}},
        {"%msg:2:100%", {"one,two,,four  five/s;x=12 y=345 Z", "a", ""}},
        {"%msg:50:60%", {"", "", ""}},
        {"%msg:5:2%", {"one,", "a", ""}},
        {"%msg:0:3%", {" on", " a", ""}},
        {"%msg:$:$%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:5:$:lowercase%", {",two,,four  five/s;x=12 y=345 z", "", ""}},
        {"%msg:2:-2%", {" o", " a", ""}},
        {"%msg:-3:-1%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:::pos-end-relative%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:3:1:pos-end-relative%", {"5 Z", " a", ""}},
        {"%msg:1:3:pos-end-relative%", {"5 Z", " a", ""}},
        {"%msg:5:2:pos-end-relative%", {"345 ", " ", ""}},
        {"%msg:100:2:pos-end-relative%", {" one,two,,four  five/s;x=12 y=345 ", " ", ""}},
        {"%msg:5:$:pos-end-relative%", {" one,two,,four  five/s;x=12 y=3", " ", ""}},
        {"%msg:1:10:fixed-width%|", {" one,two,,|", " a        |", "|"}},
        {"%msg:3:8:fixed-width%|", {"ne,two|", "|", "|"}},
        {"%msg:1:60:fixed-width%|",
         {" one,two,,four  five/s;x=12 y=345 Z                         |",
          " a                                                          |", "|"}},
        {"%msg:1:20:fixed-width,compressspace%|", {" one,two,,four five|", " a |", "|"}},
        {"%hostname:3:10:fixed-width%|", {"st1     |", "st1     |", "st1     |"}},
        {"%hostname:2%", {"ho", "ho", "ho"}},
        {"%hostname::3%", {"hos", "hos", "hos"}},
        {"%msg::%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:::%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%hostname:x:y%", {"host1", "host1", "host1"}},
        {"%hostname:1:0%", {"h", "h", "h"}},
        {"%hostname:f,44:1%", {"h", "h", "h"}},
        {"a%hostname", {"ahost1", "ahost1", "ahost1"}},
        {"%hostname:::uppercase:x%y", {"HOST1y", "HOST1y", "HOST1y"}},
        {"%TIMESTAMP:8:15%", {"01:02:03", "01:02:03", "01:02:03"}},
        {"%syslogtag:1:4%", {"prog", "prog", "prog"}},
        {"%msg:F,44:1%", {" one", " a", ""}},
        {"%msg:F,44:2%", {"two", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44:3%", {"", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44:4%", {"four  five/s;x=12 y=345 Z", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44:5%", {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44:0%", {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F:1%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
        {"%msg:F:2%", {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,32:2%", {"one,two,,four", "a", "**FIELD NOT FOUND**"}},
        {"%msg:F,32:3%", {"", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44,2:2,3%", {"wo", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44,1:4,2%", {"fo", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44,2:2%", {"tw", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44:2,2%", {"tw", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44,9:2,9%", {"", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44:2:uppercase%", {"TWO", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44,2:2,$%", {"tw", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,44,:2,%", {"two", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%hostname:F:%", {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%msg:F,9:2:lowercase,jsonf%", {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"%hostname:F,44:x%", {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
};

static void positions_and_fields_are_cut_as_in_rsyslog(void) {
        static const char *const messages[] = {" one,two,,four  five/s;x=12 y=345 Z", " a", ""};
        check_strings(position_rows, ARRAY_SIZE(position_rows), messages, ARRAY_SIZE(messages));
}

/* As rsyslog documents it; rsyslogd 8.2302 itself refuses the plus. */
static void several_delimiters_in_a_row_count_as_one_with_a_plus(void) {
        static const char *const messages[] = {"1 test      23", " lead", ""};
        static const struct row rows[] = {
                {"%msg:F,32:3%", {"", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
                {"%msg:F,32+:3%", {"23", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
                {"%msg:F,32+:2%", {"test", "lead", "**FIELD NOT FOUND**"}},
                {"%msg:F,32+,2:2,3%", {"es", "ea", "**FIELD NOT FOUND**"}},
        };
        check_strings(rows, ARRAY_SIZE(rows), messages, ARRAY_SIZE(messages));
}

static void regular_expressions_match_as_in_rsyslog(void) {
        static const char *const messages[] = {" one,two,,four  five/s;x=12 y=345 Z", " a", ""};
        static const struct row rows[] = {
                {"%msg:R:[0-9]*--end%", {"", "", ""}},
                {"%msg:R:x=\\([0-9]*\\)--end%", {"x=12", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,BRE,1:x=\\([0-9]*\\)--end%", {"12", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,BRE:[0-9][0-9]*--end%", {"12", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE:[0-9]+--end%", {"12", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,0:y=([0-9]+)--end%", {"y=345", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,1:y=([0-9]+)--end%", {"345", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,2:y=([0-9]+)--end%", {"", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,1,DFLT:q=([0-9]+)--end%", {"**NO MATCH**", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,1,BLANK:q=([0-9]+)--end%", {"", "", ""}},
                {"%msg:R,ERE,1,ZERO:q=([0-9]+)--end%", {"0", "0", "0"}},
                {"%msg:R,ERE,1,FIELD:q=([0-9]+)--end%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
                {"%msg:R,ERE,0,BLANK,1:[0-9]+--end%", {"345", "", ""}},
                {"%msg:R,ERE,0,BLANK,2:[0-9]+--end%", {"", "", ""}},
                {"%msg:R,ERE,0,FIELD,2:[0-9]+--end%", {" one,two,,four  five/s;x=12 y=345 Z", " a", ""}},
                {"%msg:R,ERE,0,BLANK,1:[0-9]*--end%", {"", "", ""}},
                {"%msg:R,ERE,1,BLANK,1:(.)=--end%", {"y", "", ""}},
                {"%msg:R,ERE,0:^ o--end%", {" o", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,0,BLANK,1:^.--end%", {"o", "a", ""}},
                {"%msg:R,ERE,1,DFLT:(z)?one--end%", {"", "**NO MATCH**", "**NO MATCH**"}},
                {"%msg:R,ERE,0,BLANK:four--end:uppercase%", {"FOUR", "", ""}},
                {"%msg:R,ERE,1,FIELD:q(x)--end:uppercase,csv%",
                 {"\" ONE,TWO,,FOUR  FIVE/S;X=12 Y=345 Z\"", "\" A\"", "\"\""}},
                {"%msg:R,ERE,0,BLANK:Z$--end%", {"Z", "", ""}},
                {"%hostname:R:h--end", {"h", "h", "h"}},
                {"%hostname:R,ERE:h--en%z--end%", {"**NO MATCH**", "**NO MATCH**", "**NO MATCH**"}},
        };
        check_strings(rows, ARRAY_SIZE(rows), messages, ARRAY_SIZE(messages));
}

static const struct row option_rows[] = {
        {"%msg:::escape-cc%", {" a#009b#001c#127d\xe9\"e\"'f\\g/h#010", "", " ../x", "   b  c"}},
        {"%msg:::space-cc%", {" a b c d\xe9\"e\"'f\\g/h ", "", " ../x", "   b  c"}},
        {"%msg:::drop-cc%", {" abcd\xe9\"e\"'f\\g/h", "", " ../x", "   b  c"}},
        {"%msg:::escape-cc,space-cc%", {" a b c d\xe9\"e\"'f\\g/h ", "", " ../x", "   b  c"}},
        {"%msg:::space-cc,escape-cc%", {" a b c d\xe9\"e\"'f\\g/h ", "", " ../x", "   b  c"}},
        {"%msg:::drop-cc,escape-cc%", {" abcd\xe9\"e\"'f\\g/h", "", " ../x", "   b  c"}},
        {"%msg:::drop-last-lf%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g/h",
          "", " ../x", "   b  c"}},
        {"%msg:::escape-cc,drop-last-lf%", {" a#009b#001c#127d\xe9\"e\"'f\\g/h#010", "", " ../x", "   b  c"}},
        {"%msg:::uppercase%",
         {" A\tB\x01"
          "C\x7f"
          "D\xe9\"E\"'F\\G/H\n",
          "", " ../X", "   B  C"}},
        {"%msg:::LowerCase%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g/h\n",
          "", " ../x", "   b  c"}},
        {"%msg:::uppercase,lowercase%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g/h\n",
          "", " ../x", "   b  c"}},
        {"%msg:::lowercase,uppercase%",
         {" A\tB\x01"
          "C\x7f"
          "D\xe9\"E\"'F\\G/H\n",
          "", " ../X", "   B  C"}},
        {"%msg:::csv%",
         {"\" a\tb\x01"
          "c\x7f"
          "d\xe9\"\"e\"\"'f\\g/h\n\"",
          "\"\"", "\" ../x\"", "\"   b  c\""}},
        {"%msg:::csv,drop-last-lf%",
         {"\" a\tb\x01"
          "c\x7f"
          "d\xe9\"\"e\"\"'f\\g/h\"",
          "\"\"", "\" ../x\"", "\"   b  c\""}},
        {"%msg:::csv,sp-if-no-1st-sp%", {"\"\"", "\"\"", "\"\"", "\"\""}},
        {"%msg:::escape-cc,csv%",
         {"\" a#009b#001c#127d\xe9\"\"e\"\"'f\\g/h#010\"", "\"\"", "\" ../x\"", "\"   b  c\""}},
        {"%msg:::json%",
         {" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n",
          "", " ..\\/x", "   b  c"}},
        {"%msg:::jsonf%",
         {"\"msg\":\" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n\"",
          "\"msg\":\"\"", "\"msg\":\" ..\\/x\"", "\"msg\":\"   b  c\""}},
        {"%msg:::jsonf:out%",
         {"\"out\":\" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n\"",
          "\"out\":\"\"", "\"out\":\" ..\\/x\"", "\"out\":\"   b  c\""}},
        {"%msg:::jsonf:x,uppercase%",
         {"\"x,uppercase\":\" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n\"",
          "\"x,uppercase\":\"\"", "\"x,uppercase\":\" ..\\/x\"", "\"x,uppercase\":\"   b  c\""}},
        {"%msg:::uppercase,jsonf:x%",
         {"\"x\":\" A\\tB\\u0001C\x7f"
          "D\xe9\\\"E\\\"'F\\\\G\\/H\\n\"",
          "\"x\":\"\"", "\"x\":\" ..\\/X\"", "\"x\":\"   B  C\""}},
        {"%MSG:::jsonf%",
         {"\"MSG\":\" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n\"",
          "\"MSG\":\"\"", "\"MSG\":\" ..\\/x\"", "\"MSG\":\"   b  c\""}},
        {"%msg:::jsonr%",
         {" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n",
          "", " ..\\/x", "   b  c"}},
        {"%msg:::jsonfr%",
         {"\"msg\":\" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g\\/h\\n\"",
          "\"msg\":\"\"", "\"msg\":\" ..\\/x\"", "\"msg\":\"   b  c\""}},
        {"%msg:::json,secpath-replace%",
         {" a\\tb\\u0001c\x7f"
          "d\xe9\\\"e\\\"'f\\\\g_h\\n",
          "_", " .._x", "   b  c"}},
        {"%msg:::escape-cc,json%", {" a#009b#001c#127d\xe9\\\"e\\\"'f\\\\g\\/h#010", "", " ..\\/x", "   b  c"}},
        {"%msg:::secpath-drop%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\gh\n",
          "_", " ..x", "   b  c"}},
        {"%msg:::secpath-replace%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g_h\n",
          "_", " .._x", "   b  c"}},
        {"%msg:2:$:secpath-replace%",
         {"a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g_h\n",
          "_", ".._x", "  b  c"}},
        {"%msg:2:3:secpath-drop%", {"a\t", "_", "_.", "  "}},
        {"%msg:2:2:secpath-drop%", {"a", "_", "_", " "}},
        {"%msg:2:3:secpath-replace%", {"a\t", "_", "_.", "  "}},
        {"%msg:::compressspace%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g/h\n",
          "", " ../x", " b c"}},
        {"%msg:::space-cc,compressspace%", {" a b c d\xe9\"e\"'f\\g/h ", "", " ../x", " b c"}},
        {"%msg:::compressspace,drop-last-lf,space-cc%", {" a b c d\xe9\"e\"'f\\g/h ", "", " ../x", " b c"}},
        {"%msg:::csv,compressspace%",
         {"\" a\tb\x01"
          "c\x7f"
          "d\xe9\"\"e\"\"'f\\g/h\n\"",
          "\"\"", "\" ../x\"", "\" b c\""}},
        {"%msg:::sp-if-no-1st-sp%|", {"|", "|", "|", "|"}},
        {"%hostname:::sp-if-no-1st-sp%|", {" |", " |", " |", " |"}},
        {"%hostname:::sp-if-no-1st-sp,csv%", {"\" \"", "\" \"", "\" \"", "\" \""}},
        {"%msg:2:3:sp-if-no-1st-sp%|", {" |", "|", " |", "|"}},
        {"%msg:1:5:escape-cc,fixed-width%|", {" a#009b#001|", "|", " ../x|", "   b |"}},
        {"%msg:::mandatory-field%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g/h\n",
          "", " ../x", "   b  c"}},
        {"%msg:::date-rfc3339%",
         {" a\tb\x01"
          "c\x7f"
          "d\xe9\"e\"'f\\g/h\n",
          "", " ../x", "   b  c"}},
        {"%hostname:::date-year%", {"host1", "host1", "host1", "host1"}},
        {"%$!nope:::csv%", {"\"\"", "\"\"", "\"\"", "\"\""}},
        {"%$!nope:::jsonf%", {"\"nope\":\"\"", "\"nope\":\"\"", "\"nope\":\"\"", "\"nope\":\"\""}},
        {"%$.x:::jsonf%", {"\"x\":\"\"", "\"x\":\"\"", "\"x\":\"\"", "\"x\":\"\""}},
};

static void options_change_values_in_rsyslogs_order(void) {
        static const char *const messages[] = {" a\tb\x01"
                                               "c\x7f"
                                               "d\xe9\"e\"'f\\g/h\n",
                                               "", " ../x", "   b  c"};
        check_strings(option_rows, ARRAY_SIZE(option_rows), messages, ARRAY_SIZE(messages));
}

static void raw_json_keeps_the_escapes_that_are_there(void) {
        static const char *const messages[] = {" \\\"", " \\\\", " \\u0041", " \\/", " \\", " \\x", " \\\\n"};
        static const struct row rows[] = {
                {"%msg:::jsonr%", {" \\\"", " \\\\", " \\u0041", " \\/", " \\\\", " \\\\x", " \\\\n"}},
                {"%msg:::json%", {" \\\\\\\"", " \\\\\\\\", " \\\\u0041", " \\\\\\/", " \\\\", " \\\\x", " \\\\\\\\n"}},
        };
        check_strings(rows, ARRAY_SIZE(rows), messages, ARRAY_SIZE(messages));
}

static void every_date_format_shows_what_rsyslog_shows(void) {
        static const struct stamp stamps[] = {
                {2003, 8, 24, 5, 14, 15, .precision = 6, .fraction = 3, .offset_minutes = -450, .is_set = 1},
                {2022, 1, 2, 0, 0, 0, .precision = 2, .fraction = 12, .is_utc = 1, .is_set = 1},
                {2026, 11, 3, 23, 59, 59, .offset_minutes = 345, .is_set = 1},
        };
        static const struct row rows[] = {
                {"%timereported:::date-mysql%", {"20030824051415", "20220102000000", "20261103235959"}},
                {"%timereported:::date-pgsql%", {"2003-08-24 05:14:15", "2022-01-02 00:00:00", "2026-11-03 23:59:59"}},
                {"%timereported:::date-rfc3164%", {"Aug 24 05:14:15", "Jan  2 00:00:00", "Nov  3 23:59:59"}},
                {"%timereported:::date-rfc3164-buggyday%", {"Aug 24 05:14:15", "Jan 02 00:00:00", "Nov 03 23:59:59"}},
                {"%timereported:::date-rfc3339%",
                 {"2003-08-24T05:14:15.000003-07:30", "2022-01-02T00:00:00.12Z", "2026-11-03T23:59:59+05:45"}},
                {"%timereported:::date-unixtimestamp%", {"1061729055", "1641081600", "1793729699"}},
                {"%timereported:::date-year%", {"2003", "2022", "2026"}},
                {"%timereported:::date-month%", {"08", "01", "11"}},
                {"%timereported:::date-day%", {"24", "02", "03"}},
                {"%timereported:::date-hour%", {"05", "00", "23"}},
                {"%timereported:::date-minute%", {"14", "00", "59"}},
                {"%timereported:::date-second%", {"15", "00", "59"}},
                {"%timereported:::date-subseconds%", {"000003", "12", "0"}},
                {"%timereported:::date-tzoffshour%", {"07", "00", "05"}},
                {"%timereported:::date-tzoffsmin%", {"30", "00", "45"}},
                {"%timereported:::date-tzoffsdirection%", {"-", "-", "+"}},
                {"%timereported:::date-ordinal%", {"236", "002", "307"}},
                {"%timereported:::date-week%", {"35", "02", "45"}},
                {"%timereported:::date-wday%", {"0", "0", "2"}},
                {"%timereported:::date-wdayname%", {"Sun", "Sun", "Tue"}},
                {"%timereported:::date-utc,date-rfc3339%",
                 {"2003-08-24T12:44:15.000003+00:00", /* rsyslogd: .000012 */ "2022-01-02T00:00:00.120000+00:00",
                  "2026-11-03T18:14:59.000000+00:00"}},
                {"%timereported:::date-utc%", {"Aug 24 12:44:15", "Jan  2 00:00:00", "Nov  3 18:14:59"}},
                {"%timereported:::date-utc,date-mysql%", {"20030824124415", "20220102000000", "20261103181459"}},
                {"%timereported:::date-utc,date-unixtimestamp%", {"1061729055", "1641081600", "1793729699"}},
                {"%timereported:::date-utc,date-tzoffsdirection%", {"+", "+", "+"}},
                {"%timereported:::date-rfc3339,lowercase%",
                 {"2003-08-24t05:14:15.000003-07:30", "2022-01-02t00:00:00.12z", "2026-11-03t23:59:59+05:45"}},
                {"%timereported:::date-rfc3339,uppercase,jsonf:@t%",
                 {"\"@t\":\"2003-08-24T05:14:15.000003-07:30\"", "\"@t\":\"2022-01-02T00:00:00.12Z\"",
                  "\"@t\":\"2026-11-03T23:59:59+05:45\""}},
                {"%timereported:::date-iso-week%", {"34", "52", "45"}},
                {"%timereported:::date-iso-week-year%", {"2003", "2021", "2026"}},
                {"%timereported:1:4:date-rfc3339%", {"2003", "2022", "2026"}},
        };
        for (size_t m = 0; m < ARRAY_SIZE(stamps); m++) {
                _owned_(fixture_fini) struct fixture f = {0};
                fixture_message(&f, "x");
                f.record->reported = stamps[m];
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        struct template_def def = fixture_string(rows[i].text);
                        CHECK_RENDERS(&f, &def, rows[i].wanted[m]);
                }
        }
}

static const struct list_row list_rows[] = {
        {"value=a\\nb\\\\n\\x41\\t\\q\\7",
         false,
         {"a\nb\\nA\t\\q\\7", "a\nb\\nA\t\\q\\7", "a\nb\\nA\t\\q\\7", "a\nb\\nA\t\\q\\7"}},
        {"name=msg;position.from=2",
         false,
         {"aB\t \x01"
          "c\n",
          "", "2", "/y  z"}},
        {"name=msg;position.to=2", false, {" a", "", "12", "x/"}},
        {"name=msg;position.from=2;position.to=-1",
         false,
         {"aB\t \x01"
          "c",
          "", "", "/y  "}},
        {"name=hostname;position.from=2;position.to=-2", false, {"os", "os", "os", "os"}},
        {"name=hostname;position.to=-2", false, {"hos", "hos", "hos", "hos"}},
        {"name=hostname;position.to=-9", false, {"h", "h", "h", "h"}},
        {"name=hostname;position.from=3;position.to=-3", false, {"", "", "", ""}},
        {"name=hostname;position.from=3;position.to=1;position.relativetoend=on", false, {"st1", "st1", "st1", "st1"}},
        {"name=hostname;position.from=1;position.to=8;fixedwidth=on|value=.",
         false,
         {"host1   .", "host1   .", "host1   .", "host1   ."}},
        {"name=msg;field.number=2;field.delimiter=32",
         false,
         {"aB\t", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**", ""}},
        {"name=msg;field.number=1", false, {" aB", "", "12", "x/y  z"}},
        {"name=msg;field.number=0;field.delimiter=32",
         false,
         {"**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**"}},
        {"name=msg;field.delimiter=66",
         false,
         {" aB\t \x01"
          "c\n",
          "", "12", "x/y  z"}},
        {"name=msg;field.number=2;field.delimiter=32;position.from=1;position.to=1",
         false,
         {"a", "**FIELD NOT FOUND**", "**FIELD NOT FOUND**", ""}},
        {"name=msg;regex.expression=[0-9]+;regex.type=ERE",
         false,
         {"**NO MATCH**", "**NO MATCH**", "12", "**NO MATCH**"}},
        {"name=msg;regex.expression=q;regex.type=BRE;regex.nomatchmode=ZERO", false, {"0", "0", "0", "0"}},
        {"name=msg;regex.expression=(.)(.);regex.type=ERE;regex.submatch=2;regex.match=1;regex.nomatchmode="
         "BLANK",
         false,
         {"\t", "", "", " "}},
        {"name=msg;controlcharacters=escape", false, {" aB#009 #001c#010", "", "12", "x/y  z"}},
        {"name=msg;controlcharacters=space", false, {" aB   c ", "", "12", "x/y  z"}},
        {"name=msg;controlcharacters=drop", false, {" aB c", "", "12", "x/y  z"}},
        {"name=msg;caseconversion=upper;droplastlf=on",
         false,
         {" AB\t \x01"
          "C",
          "", "12", "X/Y  Z"}},
        {"name=msg;compressspace=on",
         false,
         {" aB\t \x01"
          "c\n",
          "", "12", "x/y z"}},
        {"name=msg;spifno1stsp=on|value=.", false, {".", ".", " .", " ."}},
        {"name=msg;securepath=drop",
         false,
         {" aB\t \x01"
          "c\n",
          "_", "12", "xy  z"}},
        {"name=msg;securepath=replace",
         false,
         {" aB\t \x01"
          "c\n",
          "_", "12", "x_y  z"}},
        {"name=msg;format=json", false, {" aB\\t \\u0001c\\n", "", "12", "x\\/y  z"}},
        {"name=msg;format=csv",
         false,
         {"\" aB\t \x01"
          "c\n\"",
          "\"\"", "\"12\"", "\"x/y  z\""}},
        {"name=msg;format=jsonr", false, {" aB\\t \\u0001c\\n", "", "12", "x\\/y  z"}},
        {"name=msg;format=jsonf",
         false,
         {"\"msg\":\" aB\\t \\u0001c\\n\"", "\"msg\":\"\"", "\"msg\":\"12\"", "\"msg\":\"x\\/y  z\""}},
        {"name=MSG;format=jsonf",
         false,
         {"\"MSG\":\" aB\\t \\u0001c\\n\"", "\"MSG\":\"\"", "\"MSG\":\"12\"", "\"MSG\":\"x\\/y  z\""}},
        {"name=$!Usr!a;format=jsonf", false, {"\"usr!a\":\"\"", "\"usr!a\":\"\"", "\"usr!a\":\"\"", "\"usr!a\":\"\""}},
        {"name=msg;format=jsonfr;outname=x",
         false,
         {"\"x\":\" aB\\t \\u0001c\\n\"", "\"x\":\"\"", "\"x\":\"12\"", "\"x\":\"x\\/y  z\""}},
        {"name=msg;outname=x",
         false,
         {" aB\t \x01"
          "c\n",
          "", "12", "x/y  z"}},
        {"name=timereported;dateformat=rfc3339",
         false,
         {"2026-03-01T01:02:03+00:00", "2026-03-01T01:02:03+00:00", "2026-03-01T01:02:03+00:00",
          "2026-03-01T01:02:03+00:00"}},
        {"name=timereported;dateformat=mysql",
         false,
         {"20260301010203", "20260301010203", "20260301010203", "20260301010203"}},
        {"name=timereported;dateformat=rfc3339;format=jsonf;outname=@timestamp",
         false,
         {"\"@timestamp\":\"2026-03-01T01:02:03+00:00\"", "\"@timestamp\":\"2026-03-01T01:02:03+00:00\"",
          "\"@timestamp\":\"2026-03-01T01:02:03+00:00\"", "\"@timestamp\":\"2026-03-01T01:02:03+00:00\""}},
        {"name=timereported;dateformat=rfc3164;date.inutc=on",
         false,
         {"Mar  1 01:02:03", "Mar  1 01:02:03", "Mar  1 01:02:03", "Mar  1 01:02:03"}},
};

static void list_templates_know_the_same_by_other_names(void) {
        static const char *const messages[] = {(" aB\t \x01"
                                                "c\n"),
                                               "", "12", "x/y  z"};
        check_lists(list_rows, ARRAY_SIZE(list_rows), messages, ARRAY_SIZE(messages));
}

static void members_of_json_have_types_and_may_be_left_out(void) {
        static const char *const messages[] = {" aB\"\\n\n", "", "12", "-3", "0", "1.5", "007"};
        static const struct list_row rows[] = {
                {"name=msg;format=jsonf;outname=m;datatype=string",
                 false,
                 {"\"m\":\" aB\\\"\\\\n\\n\"", "\"m\":\"\"", "\"m\":\"12\"", "\"m\":\"-3\"", "\"m\":\"0\"",
                  "\"m\":\"1.5\"", "\"m\":\"007\""}},
                {"name=msg;format=jsonf;outname=m;datatype=number",
                 false,
                 {"\"m\": aB\\\"\\\\n\\n", "\"m\":0", "\"m\":12", "\"m\":-3", "\"m\":0", "\"m\":1.5", "\"m\":007"}},
                {"name=msg;format=jsonf;outname=m;datatype=bool",
                 false,
                 {"\"m\":true", "\"m\":true", "\"m\":true", "\"m\":true", "\"m\":false", "\"m\":true", "\"m\":true"}},
                {"name=msg;format=jsonf;outname=m;datatype=auto",
                 false,
                 {"\"m\":\" aB\\\"\\\\n\\n\"", "\"m\":\"\"", "\"m\":12", "\"m\":\"-3\"", "\"m\":0", "\"m\":\"1.5\"",
                  "\"m\":007"}},
                {"name=msg;format=jsonf;outname=m;onempty=null;datatype=number",
                 false,
                 {"\"m\": aB\\\"\\\\n\\n", "\"m\":null", "\"m\":12", "\"m\":-3", "\"m\":0", "\"m\":1.5", "\"m\":007"}},
                {"name=msg;format=jsonf;outname=m;onempty=skip;datatype=number",
                 false,
                 {"\"m\": aB\\\"\\\\n\\n", "", "\"m\":12", "\"m\":-3", "\"m\":0", "\"m\":1.5", "\"m\":007"}},
                {"name=msg;format=jsonf;outname=m;onempty=null;datatype=bool",
                 false,
                 {"\"m\":true", "\"m\":null", "\"m\":true", "\"m\":true", "\"m\":false", "\"m\":true", "\"m\":true"}},
                {"name=msg;format=jsonf;outname=m;onempty=keep",
                 true,
                 {"{\"m\":\" aB\\\"\\\\n\\n\"}\n", "{\"m\":\"\"}\n", "{\"m\":\"12\"}\n", "{\"m\":\"-3\"}\n",
                  "{\"m\":\"0\"}\n", "{\"m\":\"1.5\"}\n", "{\"m\":\"007\"}\n"}},
                {"name=msg;format=jsonf;outname=m;onempty=skip",
                 true,
                 {"{\"m\":\" aB\\\"\\\\n\\n\"}\n", "{}\n", "{\"m\":\"12\"}\n", "{\"m\":\"-3\"}\n", "{\"m\":\"0\"}\n",
                  "{\"m\":\"1.5\"}\n", "{\"m\":\"007\"}\n"}},
                {"name=msg;format=jsonf;outname=m;onempty=null",
                 true,
                 {"{\"m\":\" aB\\\"\\\\n\\n\"}\n", "{\"m\":null}\n", "{\"m\":\"12\"}\n", "{\"m\":\"-3\"}\n",
                  "{\"m\":\"0\"}\n", "{\"m\":\"1.5\"}\n", "{\"m\":\"007\"}\n"}},
                {"value=v;outname=c;format=jsonf|name=msg;format=jsonf;outname=m;onempty=skip|value=plain|name=msg;"
                 "format=json|name=$!nope;format=jsonf",
                 true,
                 {"{\"c\": \"v\", \"m\":\" aB\\\"\\\\n\\n\", plain,  aB\\\"\\\\n\\n, \"nope\":\"\"}\n",
                  "{\"c\": \"v\", plain, \"nope\":\"\"}\n", "{\"c\": \"v\", \"m\":\"12\", plain, 12, \"nope\":\"\"}\n",
                  "{\"c\": \"v\", \"m\":\"-3\", plain, -3, \"nope\":\"\"}\n",
                  "{\"c\": \"v\", \"m\":\"0\", plain, 0, \"nope\":\"\"}\n",
                  "{\"c\": \"v\", \"m\":\"1.5\", plain, 1.5, \"nope\":\"\"}\n",
                  "{\"c\": \"v\", \"m\":\"007\", plain, 007, \"nope\":\"\"}\n"}},
                {"name=msg;format=jsonf;outname=m;onempty=skip|value=v\"w/\\n;outname=c;format=jsonf",
                 true,
                 {"{\"m\":\" aB\\\"\\\\n\\n\", \"c\": \"v\\\"w\\/\\n\"}\n", "{\"c\": \"v\\\"w\\/\\n\"}\n",
                  "{\"m\":\"12\", \"c\": \"v\\\"w\\/\\n\"}\n", "{\"m\":\"-3\", \"c\": \"v\\\"w\\/\\n\"}\n",
                  "{\"m\":\"0\", \"c\": \"v\\\"w\\/\\n\"}\n", "{\"m\":\"1.5\", \"c\": \"v\\\"w\\/\\n\"}\n",
                  "{\"m\":\"007\", \"c\": \"v\\\"w\\/\\n\"}\n"}},
                {"name=msg;format=jsonf;outname=a.b;onempty=skip|name=hostname;format=jsonf;outname=a.c",
                 true,
                 {"{\"a.b\":\" aB\\\"\\\\n\\n\", \"a.c\":\"host1\"}\n", "{\"a.c\":\"host1\"}\n",
                  "{\"a.b\":\"12\", \"a.c\":\"host1\"}\n", "{\"a.b\":\"-3\", \"a.c\":\"host1\"}\n",
                  "{\"a.b\":\"0\", \"a.c\":\"host1\"}\n", "{\"a.b\":\"1.5\", \"a.c\":\"host1\"}\n",
                  "{\"a.b\":\"007\", \"a.c\":\"host1\"}\n"}},
        };
        check_lists(rows, ARRAY_SIZE(rows), messages, ARRAY_SIZE(messages));
}

static void built_in_templates_render_what_rsyslog_renders(void) {
        static const char *const wanted[][2] = {
                {"RSYSLOG_TraditionalFileFormat", "Mar  1 01:02:03 host1 prog[7]: x y\n\n"},
                {"RSYSLOG_FileFormat", "2026-03-01T01:02:03+00:00 host1 prog[7]: x y\n\n"},
                {"RSYSLOG_ForwardFormat", "<134>2026-03-01T01:02:03+00:00 host1 prog[7]: x y\n"},
                {"RSYSLOG_TraditionalForwardFormat", "<134>Mar  1 01:02:03 host1 prog[7]: x y\n"},
                {"RSYSLOG_SysklogdFileFormat", "Mar  1 01:02:03 host1 prog[7]: x y\n\n"},
                {"RSYSLOG_SyslogProtocol23Format", "<134>1 2026-03-01T01:02:03+00:00 host1 prog 7 - -  x y\n\n"},
                {"RSYSLOG_SyslogRFC5424Format", "<134>1 2026-03-01T01:02:03+00:00 host1 prog 7 - -  x y\n"},
                {"RSYSLOG_DebugFormat",
                 "Debug line with all properties:\nFROMHOST: 'localhost', fromhost-ip: '127.0.0.1', HOSTNAME: 'host1', "
                 "PRI: 134,\nsyslogtag 'prog[7]:', programname: 'prog', APP-NAME: 'prog', PROCID: '7', MSGID: "
                 "'-',\nTIMESTAMP: 'Mar  1 01:02:03', STRUCTURED-DATA: '-',\nmsg: ' x y\n'\nescaped msg: ' x "
                 "y'\ninputname: imtcp rawmsg: '<134>Mar  1 01:02:03 host1 prog[7]: x y\n'\n$!:\n$.:\n$/:\n\n"},
                {"RSYSLOG_omudpspoofDfltSourceTpl", "127.0.0.1"},
                {" StdUsrMsgFmt", " prog[7]: x y\n\n\r"},
                {"RSYSLOG_WallFmt", "\r\n\aMessage from syslogd@host1 at Nov 21 20:05:28 ...\r\n prog[7]: x y\n\n\r"},
        };
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " x y\n");
        f.record->raw.size = f.record->msg.at + f.record->msg.size - f.record->raw.at;
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                const struct template_def *def = template_builtin(text_of(wanted[i][0]));
                CHECK(def);
                CHECK_RENDERS(&f, def, wanted[i][1]);
        }
        for (const char *const *name = template_builtin_names(); *name; name++) {
                struct diagnostics d = {0};
                _owned_(template_free) struct template *t = NULL;
                CHECK_INT(template_new(&t, template_builtin(text_of(*name)), &d), 0);
                CHECK_TEXT(text_of(template_name(t)), *name);
                CHECK_INT(d.errors + d.warnings, 0);
        }
        CHECK(!template_builtin(TEXT("RSYSLOG_NoSuchFormat")));
}

static void the_forward_formats_cut_the_tag_and_space_the_message(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host1", "tttttttttttttttttttttttttttttttttttttttt:", "nospace");
        CHECK_RENDERS(&f, template_builtin(TEXT("RSYSLOG_TraditionalForwardFormat")),
                      "<134>Mar  1 01:02:03 host1 tttttttttttttttttttttttttttttttt nospace");
        CHECK_RENDERS(&f, template_builtin(TEXT("RSYSLOG_TraditionalFileFormat")),
                      "Mar  1 01:02:03 host1 tttttttttttttttttttttttttttttttttttttttt: nospace\n");
}

static void four_formats_put_a_space_before_an_empty_message(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host1", "tag:", "");
        CHECK_RENDERS(&f, template_builtin(TEXT("RSYSLOG_TraditionalFileFormat")), "Mar  1 01:02:03 host1 tag: \n");
        CHECK_RENDERS(&f, template_builtin(TEXT("RSYSLOG_SysklogdFileFormat")), "Mar  1 01:02:03 host1 tag:\n");
}

static void database_options_escape_values_and_nothing_else(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " \"e\"'f\\g/h");
        struct template_def def = fixture_string("'%msg%'|%msg:::json%|%$!nope%|it's");
        CHECK_RENDERS(&f, &def, "' \"e\"'f\\g/h'| \\\"e\\\"'f\\\\g\\/h||it's");
        def.is_sql = true;
        CHECK_RENDERS(&f, &def, "' \"e\"\\'f\\\\g/h'| \\\\\"e\\\\\"\\'f\\\\\\\\g\\\\/h||it's");
        def.is_sql = false;
        def.is_stdsql = true;
        CHECK_RENDERS(&f, &def, "' \"e\"''f\\g/h'| \\\"e\\\"''f\\\\g\\/h||it's");
        def.is_stdsql = false;
        def.is_json = true;
        CHECK_RENDERS(&f, &def, "' \\\"e\\\"'f\\\\g/h'| \\\\\\\"e\\\\\\\"'f\\\\\\\\g\\\\/h||it's");
        def.is_json = false;
        def.is_jsonf = true;
        CHECK_RENDERS(&f, &def, "{',  \"e\"'f\\g/h, '|,  \\\"e\\\"'f\\\\g\\/h, |, |it's}\n");
}

static void escapes_count_in_legacy_templates_only(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " m");
        struct template_def def = fixture_string("a\\nb\\tc\\\\d\\\"e\\7f\\xg\\%%msg%\\141\\r\\012\\x41\\q");
        def.has_escapes = true;
        CHECK_RENDERS(&f, &def,
                      "a\nbtc\\d\"e\af"
                      "xg% m\x8d\r\fx41q");
        struct template_def modern = fixture_string("a\\nb%hostname%\\");
        CHECK_RENDERS(&f, &modern, "a\\nbhost1\\");
}

static void a_subtree_renders_as_json(void) {
        /* rsyslogd 8.2302 renders nothing in text outputs, against its documentation. */
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " m");
        struct arena *a = &f.batch->arena;
        CHECK_INT(variable_set(f.batch, f.record, '!', TEXT("Usr!a"), json_int(a, 1), 0), 0);
        struct template_def def = {.name = "t", .kind = TEMPLATE_SUBTREE, .subtree = TEXT("$!Usr")};
        CHECK_RENDERS(&f, &def, "{ \"a\": 1 }");
        def.subtree = TEXT("$!");
        CHECK_RENDERS(&f, &def, "{ \"Usr\": { \"a\": 1 } }");
        def.subtree = TEXT("$.Usr");
        CHECK_RENDERS(&f, &def, "(unusable)");
}

static void string_generators_are_known_by_their_names(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " x y");
        struct template_def def = {.name = "t", .kind = TEMPLATE_PLUGIN, .plugin = TEXT("RSYSLOG_FileFormat")};
        CHECK_RENDERS(&f, &def, "2026-03-01T01:02:03+00:00 host1 prog[7]: x y\n");
        def.plugin = TEXT("RSYSLOG_SysklogdFileFormat");
        CHECK_RENDERS(&f, &def, "(unusable)");
}

static void dotted_names_nest_where_jsonftree_asks_for_it(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        _owned_(arena_fini) struct arena a = {0};
        fixture_message(&f, "");
        struct template_def def =
                fixture_list(&a, "name=hostname;format=jsonf;outname=a.b|value=v;outname=c;format=jsonf|"
                                 "name=msg;format=jsonf;outname=d.e.f;onempty=skip|"
                                 "name=programname;format=jsonf;outname=a.g.h|value=w;outname=a.i;format=jsonf");
        def.is_jsonftree = true;
        CHECK_RENDERS(&f, &def, "{\"a\":{\"b\":\"host1\", \"g\":{\"h\":\"prog\"}, \"i\": \"w\"}, \"c\": \"v\"}\n");
        fixture_message(&f, "m");
        CHECK_RENDERS(&f, &def,
                      "{\"a\":{\"b\":\"host1\", \"g\":{\"h\":\"prog\"}, \"i\": \"w\"}, \"c\": \"v\", "
                      "\"d\":{\"e\":{\"f\":\"m\"}}}\n");
        def.is_jsonftree = false;
        def.is_jsonf = true;
        CHECK_RENDERS(&f, &def,
                      "{\"a.b\":\"host1\", \"c\": \"v\", \"d.e.f\":\"m\", \"a.g.h\":\"prog\", \"a.i\": \"w\"}\n");
}

static void zeros_are_left_out_where_wanted(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        _owned_(arena_fini) struct arena a = {0};
        struct template_def def = fixture_list(&a, "name=msg;format=jsonf;outname=n;datatype=number;omitifzero=on|"
                                                   "name=hostname;format=jsonf;outname=h");
        def.is_jsonf = true;
        fixture_message(&f, "0");
        CHECK_RENDERS(&f, &def, "{\"h\":\"host1\"}\n");
        fixture_message(&f, "");
        CHECK_RENDERS(&f, &def, "{\"h\":\"host1\"}\n");
        fixture_message(&f, "10");
        CHECK_RENDERS(&f, &def, "{\"n\":10, \"h\":\"host1\"}\n");
}

static void one_rendering_belongs_to_one_moment(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " m");
        f.context.now_us = 1795291527999999;
        struct template_def def = fixture_string("%$year%-%$month%-%$day% %$hour%:%$minute% %$now-unixtimestamp%");
        CHECK_RENDERS(&f, &def, "2026-11-21 20:05 1795291527");
        f.context.now_us = 0;
        def = fixture_string("%$now-unixtimestamp%");
        _owned_(buffer_fini) struct buffer out = {0};
        fixture_render(&f, &def, false, &out);
        CHECK_INT(out.size, 10);
        CHECK_INT(f.context.now_us, 0);
}

/* ---- Paths ---------------------------------------------------------------- */

static void check_path(const char *template, const char *host, const char *msg, const char *wanted) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, host, "a/b[1]:", msg);
        struct arena *a = &f.batch->arena;
        CHECK_INT(variable_set(f.batch, f.record, '.', TEXT("dir"), json_string(a, TEXT("/srv/x/../../y")), 0), 0);
        CHECK_INT(variable_set(f.batch, f.record, '.', TEXT("up"), json_string(a, TEXT("q/")), 0), 0);
        f.context.permits_slash = true;
        struct template_def def = fixture_string(template);
        _owned_(buffer_fini) struct buffer out = {0};
        fixture_render(&f, &def, true, &out);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static void a_value_is_one_component_of_a_path(void) {
        check_path("/d/%hostname%/f", "host1", "", "/d/host1/f");
        check_path("/d/%hostname%.log", "a/b", "", "/d/a_b.log");
        check_path("/d/%hostname%", "/etc/passwd", "", "/d/_etc_passwd");
        check_path("/d/%msg%/f", "h", "../../etc", "/d/.._.._etc/f");
        check_path("/d/%hostname%/%hostname%", ".hid..den", "", "/d/.hid..den/.hid..den");
        check_path("/d/%hostname:::secpath-replace%/f", "..", "", "/d/_./f");
        check_path("/d/%$year%/%msgid%", "h", "", ({
                           static char wanted[32];
                           time_t now = time(NULL);
                           strftime(wanted, sizeof wanted, "/d/%Y/-", localtime(&now));
                           wanted;
                   }));
}

static void no_value_leads_out_of_the_directory(void) {
        check_path("/d/%hostname%/f", "..", "", "/d/_./f");
        check_path("/d/%hostname%/f", ".", "", "/d/_/f");
        check_path("/d/x/%hostname%", "..", "", "/d/x/_.");
        check_path("%hostname%/f", "..", "", "_./f");
        check_path("/d/%hostname%./f", ".", "", "/d/_./f");
        check_path("/d/.%hostname%/f", ".", "", "/d/_./f");
        check_path("/d/%hostname%%msg%/f", ".", ".", "/d/_./f");
        check_path("/d/%$!nope%../f", "h", "", "/d/_./f");
        check_path("/d/%$.up%../f", "h", "", "/d/q/_./f");
}

static void what_the_configuration_makes_may_have_levels(void) {
        check_path("/d/%programname%/f", "h", "", "/d/a/b/f");
        check_path("%$.dir%/f", "h", "", "/srv/x/_./_./y/f");
        check_path("/d/../e/%hostname%", "h", "", "/d/../e/h");
        check_path("./%hostname%", "h", "", "./h");
        check_path("/d/%$!nope%/f", "h", "", "/d//f");
}

static void a_nul_does_not_end_a_path(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " m");
        f.record->host = batch_store(f.batch, TEXT("a\0b"));
        struct template_def def = fixture_string("/d/%hostname%.log");
        _owned_(buffer_fini) struct buffer out = {0};
        fixture_render(&f, &def, true, &out);
        CHECK_TEXT(buffer_as_text(&out), "/d/a_b.log");
}

/* ---- As JSON --------------------------------------------------------------- */

static void check_json(struct fixture *f, const struct template_def *def, const char *wanted) {
        struct diagnostics d = {0};
        _owned_(template_free) struct template *t = NULL;
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK_INT(template_new(&t, def, &d), 0);
        struct json *value = template_json(t, &f->context, f->batch, f->record, &a);
        CHECK(value);
        json_print(&out, value, JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static void lists_and_subtrees_become_json_values(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        _owned_(arena_fini) struct arena a = {0};
        fixture_message(&f, " m");
        struct arena *b = &f.batch->arena;
        CHECK_INT(variable_set(f.batch, f.record, '!', TEXT("usr!n"), json_int(b, 5), 0), 0);
        struct template_def def =
                fixture_list(&a, "value=left out|value=kept;outname=c|name=msg;caseconversion=upper|name=$!usr|"
                                 "name=$!nope|name=$!none;mandatory=on;outname=m|name=$!usr!n;outname=deep|"
                                 "name=syslogseverity;outname=s;datatype=number|name=timereported;dateformat=year");
        check_json(&f, &def,
                   "{\"c\":\"kept\",\"msg\":\" M\",\"usr\":{\"n\":5},\"m\":\"\",\"deep\":5,\"s\":6,\"timereported\":"
                   "\"2026\"}");
        struct template_def subtree = {.name = "t", .kind = TEMPLATE_SUBTREE, .subtree = TEXT("$!usr")};
        check_json(&f, &subtree, "{\"n\":5}");
        subtree.subtree = TEXT("$!nope");
        check_json(&f, &subtree, "{}");
        struct template_def nested = fixture_list(&a, "name=hostname;outname=a.b|name=programname;outname=a.c");
        nested.is_jsonftree = true;
        check_json(&f, &nested, "{\"a\":{\"b\":\"host1\",\"c\":\"prog\"}}");
}

/* ---- Mistakes -------------------------------------------------------------- */

static void check_mistake(const struct template_def *def, int wanted, unsigned errors, unsigned warnings,
                          const char *text, const char *hint) {
        struct diagnostics d = {0};
        _owned_(template_free) struct template *t = NULL;
        CHECK_INT(template_new(&t, def, &d), wanted);
        CHECK_INT(d.errors, errors);
        CHECK_INT(d.warnings, warnings);
        if (errors || warnings)
                CHECK_TEXT(text_of(diagnosed_text), text);
        if (hint)
                CHECK_TEXT(text_of(diagnosed_hint), hint);
}

static void mistakes_in_strings_are_told_with_their_place(void) {
        struct template_def def = fixture_string("x%msgg% %HOSTNAM% y");
        check_mistake(&def, -EINVAL, 2, 0, "invalid property 'HOSTNAM'", "did you mean `hostname`?");
        CHECK_INT(diagnosed_place.line, 7);
        CHECK_INT(diagnosed_place.column, 28);
        static const struct {
                const char *string;
                int wanted;
                unsigned errors, warnings;
                const char *text;
        } rows[] = {
                {"%%", -EINVAL, 1, 0, "invalid property ''"},
                {"100%", -EINVAL, 1, 0, "invalid property ''"},
                {"%$msg%", -EINVAL, 1, 0, "invalid property '$msg'"},
                {"%now%", -EINVAL, 1, 0, "invalid property 'now'"},
                {"%hostname :::%", -EINVAL, 1, 0, "invalid property 'hostname '"},
                {"%msg:F%", -EINVAL, 1, 0, "invalid character in frompos after \"F\""},
                {"%msg:F,x:1%", -EINVAL, 1, 0, "invalid character in frompos after \"F,\""},
                {"%msg:F,300:1%", 0, 0, 1,
                 "non-USASCII delimiter character value 300 in template - using 9 (HT) as substitute"},
                {"%msg:R%", -EINVAL, 1, 0, "invalid character in frompos after \"R\""},
                {"%msg:R,XXX:h--end%", -EINVAL, 1, 0, "invalid character in frompos after \"R\""},
                {"%msg:R,ERE,10:h--end%", -EINVAL, 1, 0, "invalid character in frompos after \"R\""},
                {"%msg:R,ERE,0,NOPE:h--end%", -EINVAL, 1, 0, "invalid character in frompos after \"R\""},
                {"%msg:R:h%", -EINVAL, 1, 0, "regular expression has no end"},
                {"%msg:::foo%", 0, 0, 1, "template error: invalid field option 'foo' specified - ignored"},
                {"%msg:::json,csv%", 0, 0, 1,
                 "can only specify one option out of (json, jsonf, jsonr, jsonfr, csv) - csv ignored"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                def = fixture_string(rows[i].string);
                check_mistake(&def, rows[i].wanted, rows[i].errors, rows[i].warnings, rows[i].text, NULL);
        }
        def = fixture_string("%msg:::upercase%");
        check_mistake(&def, 0, 0, 1, "template error: invalid field option 'upercase' specified - ignored",
                      "uppercase");
}

static void mistakes_in_lists_are_told_too(void) {
        static const struct {
                const char *notation;
                int wanted;
                const char *text;
                const char *hint;
        } rows[] = {
                {"name=msg;formatt=json", 0, "parameter 'formatt' not known -- typo in config file?", "format"},
                {"name=msg;format=xx", -EINVAL, "invalid format 'xx' in template",
                 "one of csv, json, jsonf, jsonr, jsonfr"},
                {"name=timereported;dateformat=date-mysql", -EINVAL, "invalid dateformat 'date-mysql' in template",
                 NULL},
                {"name=msg;position.to=$", -EINVAL, "parameter 'position.to' is not a proper number: '$'", NULL},
                {"name=msg;position.from=3;position.to=1", -EINVAL, "position.to=1 is lower than postion.from=3", NULL},
                {"name=msg;droplastlf=maybe", -EINVAL, "invalid droplastlf 'maybe' in template", "on or off"},
                {"outname=x", -EINVAL, "parameter 'name' required but not specified - fix config", NULL},
                {"value=x;format=jsonf", -EINVAL, "constant set to format jsonf, but outname not specified - aborting",
                 NULL},
                {"value=x;format=csv", -EINVAL, "invalid format type 'csv' for constant", NULL},
                {"", -EINVAL, "template 't' of type list has no parameters specified", NULL},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _owned_(arena_fini) struct arena a = {0};
                struct template_def def = fixture_list(&a, rows[i].notation);
                check_mistake(&def, rows[i].wanted, 1, 0, rows[i].text, rows[i].hint);
        }
}

static void every_mistake_of_a_template_is_told_in_one_run(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct template_def def = fixture_list(&a, "name=msg;format=xx|name=foo|name=msg;onempty=z");
        check_mistake(&def, -EINVAL, 3, 0, "invalid onempty 'z' in template", "one of keep, skip, null");
}

static void what_is_wrong_in_a_list_shows_in_the_text_as_in_rsyslog(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        _owned_(arena_fini) struct arena a = {0};
        fixture_message(&f, " m");
        struct template_def def = fixture_list(&a, "name=hostname|name=foo|value=.");
        CHECK_RENDERS(&f, &def, "host1**INVALID PROPERTY NAME**.");
        def = fixture_list(&a, "name=msg;regex.expression=(;regex.type=ERE|value=.");
        CHECK_RENDERS(&f, &def, "**NO MATCH** **BAD REGULAR EXPRESSION**.");
        def = fixture_string("%msg:R,ERE:(--end%.");
        CHECK_RENDERS(&f, &def, "**NO MATCH** **BAD REGULAR EXPRESSION**.");
}

/* ---- Limits ---------------------------------------------------------------- */

static void templates_end_at_their_limits(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        struct diagnostics d = {0};
        for (int i = 0; i < 4096 / 2; i++)
                buffer_text(&text, TEXT("%msg%."));
        struct template_def def = {.name = "t", .string = buffer_as_text(&text)};
        _owned_(template_free) struct template *t = NULL;
        CHECK_INT(template_new(&t, &def, &d), 0);
        buffer_text(&text, TEXT("%msg%"));
        def.string = buffer_as_text(&text);
        _owned_(template_free) struct template *too_many = NULL;
        CHECK_INT(template_new(&too_many, &def, &d), -EINVAL);
        CHECK_INT(d.errors, 1);

        buffer_clear(&text);
        CHECK(buffer_reserve(&text, (1 << 20) + 1));
        memset(text.data, 'x', (1 << 20) + 1);
        def.string = (struct text){text.data, (1 << 20) + 1};
        CHECK_INT(template_new(&too_many, &def, &d), -EINVAL);
}

static void an_empty_template_renders_nothing(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " m");
        struct template_def def = fixture_string("");
        CHECK_RENDERS(&f, &def, "");
        def.is_jsonf = true;
        CHECK_RENDERS(&f, &def, "{}\n");
        _owned_(buffer_fini) struct buffer out = {0};
        fixture_render(&f, &def, true, &out);
        CHECK_TEXT(buffer_as_text(&out), "");
}

static void numbers_beyond_any_text_are_harmless(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, " m");
        static const char *const wanted[][2] = {
                {"%hostname:1:99999999999999999999%", "host1"},
                {"%hostname:99999999999999999999:$%", ""},
                {"%hostname:99999999999:99999999999:pos-end-relative%", "h"},
                {"%hostname:F,44:99999999999999%", "**FIELD NOT FOUND**"},
                {"%hostname:R,ERE,0,BLANK,9:o*--end%", ""},
        };
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                struct template_def def = fixture_string(wanted[i][0]);
                CHECK_RENDERS(&f, &def, wanted[i][1]);
        }
        struct template_def padded = fixture_string("%hostname:1:99999999999:fixed-width%");
        _owned_(buffer_fini) struct buffer out = {0};
        fixture_render(&f, &padded, false, &out);
        CHECK_INT(out.size, 1 << 20);
}

static void bytes_of_any_value_pass(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_message(&f, "");
        f.record->msg = batch_store(f.batch, TEXT("\xff\0\xc3(\n"));
        struct template_def def = fixture_string("%msg:::json%|%msg:::csv,drop-last-lf%|%msg:::uppercase%|%msg:3:4%");
        _owned_(buffer_fini) struct buffer out = {0};
        fixture_render(&f, &def, false, &out);
        struct text wanted = TEXT("\xff\\u0000\xc3(\\n|\"\xff\0\xc3(\"|\xff\0\xc3(\n|\xc3(");
        CHECK(text_equal(buffer_as_text(&out), wanted));
        def = fixture_string("%msg:R,ERE:\xc3.--end%");
        setenv("LC_ALL", "C", 1);
        CHECK_RENDERS(&f, &def, "\xc3(");
}

static void host_tag_and_message_come_out_the_same_wherever_they_stand(void) {
        static const char *const formats[] = {
                "%hostname% %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%|", "%hostname% %syslogtag%%msg%|",
                "%hostname% %syslogtag:1:5%%msg:::sp-if-no-1st-sp%%msg%|", "%hostname% %syslogtag%%msg%%hostname%|",
                "%hostname%  %syslogtag%%msg%|"};
        static const char *const messages[] = {" text", "text", "", " ", " text\n", "\n"};
        for (size_t i = 0; i < ARRAY_SIZE(formats) * ARRAY_SIZE(messages); i++) {
                struct template_def def = fixture_string(formats[i % ARRAY_SIZE(formats)]);
                _owned_(fixture_fini) struct fixture f = {0};
                _owned_(buffer_fini) struct buffer together = {0}, apart = {0};
                fixture_message(&f, messages[i / ARRAY_SIZE(formats)]);
                fixture_render(&f, &def, false, &together);
                for (int moved = 1; moved < 8; moved++) {
                        struct record as_it_was = *f.record, *r = f.record;
                        if (moved & 1)
                                r->host = batch_store(f.batch, batch_text(f.batch, r->host));
                        if (moved & 2)
                                r->tag = batch_store(f.batch, batch_text(f.batch, r->tag));
                        if (moved & 4)
                                r->msg = batch_store(f.batch, batch_text(f.batch, r->msg));
                        fixture_render(&f, &def, false, &apart);
                        CHECK_TEXT(buffer_as_text(&apart), buffer_string(&together));
                        *r = as_it_was;
                }
        }
}

static void what_shows_a_clock_or_a_variable_does_not_last(void) {
        static const struct {
                const char *text;
                bool is_lasting;
        } rows[] = {{"%timestamp% %hostname% %syslogtag%%msg%", true},
                    {"%uuid% %programname:1:3%", true},
                    {"%$now% %msg%", false},
                    {"%$!a%", false},
                    {"%$.a% %msg%", false},
                    {"%$/a%", false},
                    {"%jsonmesg%", false},
                    {"%$uptime%", false},
                    {"%$!all-json%", false},
                    {"nothing", true}};
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _owned_(template_free) struct template *t = NULL;
                struct template_def def = fixture_string(rows[i].text);
                CHECK_INT(template_new(&t, &def, NULL), 0);
                if (template_is_lasting(t) != rows[i].is_lasting)
                        TEST_FAIL("%s", rows[i].text);
        }
}

TEST_MAIN(TEST(positions_and_fields_are_cut_as_in_rsyslog), TEST(several_delimiters_in_a_row_count_as_one_with_a_plus),
          TEST(regular_expressions_match_as_in_rsyslog), TEST(options_change_values_in_rsyslogs_order),
          TEST(raw_json_keeps_the_escapes_that_are_there), TEST(every_date_format_shows_what_rsyslog_shows),
          TEST(list_templates_know_the_same_by_other_names), TEST(members_of_json_have_types_and_may_be_left_out),
          TEST(built_in_templates_render_what_rsyslog_renders),
          TEST(the_forward_formats_cut_the_tag_and_space_the_message),
          TEST(database_options_escape_values_and_nothing_else), TEST(escapes_count_in_legacy_templates_only),
          TEST(a_subtree_renders_as_json), TEST(string_generators_are_known_by_their_names),
          TEST(dotted_names_nest_where_jsonftree_asks_for_it), TEST(zeros_are_left_out_where_wanted),
          TEST(one_rendering_belongs_to_one_moment), TEST(a_value_is_one_component_of_a_path),
          TEST(no_value_leads_out_of_the_directory), TEST(what_the_configuration_makes_may_have_levels),
          TEST(a_nul_does_not_end_a_path), TEST(lists_and_subtrees_become_json_values),
          TEST(mistakes_in_strings_are_told_with_their_place), TEST(mistakes_in_lists_are_told_too),
          TEST(every_mistake_of_a_template_is_told_in_one_run),
          TEST(what_is_wrong_in_a_list_shows_in_the_text_as_in_rsyslog), TEST(templates_end_at_their_limits),
          TEST(four_formats_put_a_space_before_an_empty_message), TEST(an_empty_template_renders_nothing),
          TEST(numbers_beyond_any_text_are_harmless), TEST(bytes_of_any_value_pass),
          TEST(what_shows_a_clock_or_a_variable_does_not_last),
          TEST(host_tag_and_message_come_out_the_same_wherever_they_stand))
