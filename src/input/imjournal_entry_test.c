/* What rsyslogd 8.2302 makes of such entries was recorded from it. */
#include "input/imjournal_entry.h"

#include "base/json.h"
#include "base/test.h"

struct stage {
        struct sink sink;
        struct batch_pool *pool;
        struct intake intake;
        struct source *source;
        struct entry entry;
        struct buffer scratch;
        struct entry_rules rules;
};

static void stage_push(struct sink *sink _unused_, struct batch *b, enum flow flow _unused_) {
        batch_unref(b);
}

static void stage_begin(struct stage *s) {
        *s = (struct stage){.sink.push = stage_push};
        CHECK_INT(batch_pool_new(&s->pool), 0);
        intake_init(&s->intake, &s->sink, s->pool, FLOW_NONE);
        s->source = source_new_local("imjournal", "here", "127.0.0.1");
        CHECK(s->source);
        s->rules = (struct entry_rules){
                .sanitize = {.bytes_max = 8096,
                             .prefix = '#',
                             .drops_trailing_lf = true,
                             .escapes_control = true,
                             .escapes_tab = true},
                .value_bytes_max = ENTRY_VALUE_BYTES_MAX,
                .pid_origin = PID_FROM_BOTH,
                .default_tag = "journal",
                .default_facility = 1,
                .default_severity = 5,
        };
        entry_begin(&s->entry, 1760000000123456);
}

static void stage_end(struct stage *s) {
        intake_fini(&s->intake);
        source_unref(s->source);
        entry_fini(&s->entry);
        buffer_fini(&s->scratch);
        batch_pool_unref(s->pool);
}

/* Fields with '|' between them. */
static void add(struct stage *s, const char *fields) {
        entry_begin(&s->entry, 1760000000123456);
        for (size_t size; *fields; fields += size + (fields[size] == '|')) {
                size = strcspn(fields, "|");
                CHECK(entry_add(&s->entry, (struct text){fields, size}, s->rules.value_bytes_max));
        }
}

static struct record *take(struct stage *s, const char *fields) {
        add(s, fields);
        struct record *r = entry_take(&s->entry, &s->rules, &s->intake, s->source, &s->scratch);
        CHECK(r);
        return r;
}
#define FIELD(s, record, field) batch_text((s)->intake.batch, (record)->field)

static void the_tag_is_made_of_name_and_process_id(void) {
        static const struct {
                enum pid_origin origin;
                const char *fields, *tag;
        } cases[] = {
                {PID_FROM_BOTH, "SYSLOG_IDENTIFIER=su|_COMM=c|SYSLOG_PID=12|_PID=13", "su[12]:"},
                {PID_FROM_SYSLOG, "SYSLOG_IDENTIFIER=su|SYSLOG_PID=12|_PID=13", "su[12]:"},
                {PID_FROM_SYSTEM, "SYSLOG_IDENTIFIER=su|SYSLOG_PID=12|_PID=13", "su[13]:"},
                {PID_FROM_BOTH, "_PID=77|_COMM=comm", "comm[77]:"},
                {PID_FROM_SYSLOG, "_PID=77|_COMM=comm", "comm:"},
                {PID_FROM_SYSTEM, "SYSLOG_PID=77|_COMM=comm", "comm:"},
                {PID_FROM_BOTH, "MESSAGE=x", "journal:"},
                {PID_FROM_BOTH, "SYSLOG_IDENTIFIER=a b", "a b:"},
                {PID_FROM_BOTH, "SYSLOG_IDENTIFIER=x:", "x::"},
                {PID_FROM_BOTH, "SYSLOG_IDENTIFIER=x|SYSLOG_PID=|_PID=99", "x[]:"},
                {PID_FROM_BOTH, "SYSLOG_IDENTIFIER=|_COMM=c|_PID=99", "[99]:"},
                {PID_FROM_BOTH, "SYSLOG_IDENTIFIER=x[5]|_PID=99", "x[5][99]:"},
        };
        struct stage s;
        stage_begin(&s);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                s.rules.pid_origin = cases[i].origin;
                struct record *r = take(&s, cases[i].fields);
                CHECK_TEXT(FIELD(&s, r, tag), cases[i].tag);
        }
        stage_end(&s);
}

static void priority_and_facility_are_taken_where_they_are_sane(void) {
        static const struct {
                const char *fields;
                int facility, severity;
        } cases[] = {
                {"PRIORITY=3|SYSLOG_FACILITY=4", 4, 3},   {"PRIORITY=7|SYSLOG_FACILITY=23", 23, 7},
                {"PRIORITY=9|SYSLOG_FACILITY=99", 1, 5},  {"PRIORITY=abc|SYSLOG_FACILITY=-1", 1, 5},
                {"PRIORITY=03|SYSLOG_FACILITY=04", 4, 5}, {"PRIORITY=8|SYSLOG_FACILITY=24", 1, 5},
                {"PRIORITY=|SYSLOG_FACILITY=", 1, 5},     {"PRIORITY=x|SYSLOG_FACILITY=4x", 1, 5},
                {"PRIORITY=2|PRIORITY=4", 1, 2},          {"MESSAGE=x|SYSLOG_FACILITY=123", 1, 5},
                {"PRIORITY=0|SYSLOG_FACILITY=0", 0, 0},
        };
        struct stage s;
        stage_begin(&s);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct record *r = take(&s, cases[i].fields);
                CHECK_INT(r->facility, cases[i].facility);
                CHECK_INT(r->severity, cases[i].severity);
        }
        uint8_t severity;
        add(&s, "PRIORITY=9");
        CHECK_INT(entry_severity(&s.entry, 5, &severity), PRIORITY_IS_OUT_OF_BOUNDS);
        add(&s, "PRIORITY=10");
        CHECK_INT(entry_severity(&s.entry, 5, &severity), PRIORITY_HAS_LENGTH);
        stage_end(&s);
}

static void the_message_is_sanitized_and_the_first_of_several(void) {
        struct stage s;
        stage_begin(&s);
        struct record *r = take(&s, "MESSAGE=two\nlines\ttab\001ctl|MESSAGE=second");
        CHECK_TEXT(FIELD(&s, r, msg), "two#012lines#011tab#001ctl");
        CHECK_TEXT(FIELD(&s, r, raw), "two#012lines#011tab#001ctl");
        CHECK_INT(r->flags & RECORD_IS_PARSED, RECORD_IS_PARSED);
        CHECK_INT(r->received_us, 1760000000123456);
        CHECK_INT(stamp_to_wall(&r->reported), 1760000000123456);
        r = take(&s, "MESSAGE=<13> as it is\n");
        CHECK_TEXT(FIELD(&s, r, msg), "<13> as it is");
        r = take(&s, "PRIORITY=6");
        CHECK_TEXT(FIELD(&s, r, msg), "");
        stage_end(&s);
}

static void every_field_is_in_the_tree_and_of_several_the_last(void) {
        struct stage s;
        stage_begin(&s);
        struct record *r = take(&s, "MESSAGE=first|FOO=a|NUM=42|FOO=b|EMPTY=|MESSAGE=two\nlines|Q=a\"b=c");
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, r->tree[TREE_MESSAGE], JSON_SPACED);
        CHECK_TEXT(buffer_as_text(&out), "{ \"MESSAGE\": \"two\\nlines\", \"FOO\": \"b\", \"NUM\": \"42\", \"EMPTY\": "
                                         "\"\", \"Q\": \"a\\\"b=c\" }");
        stage_end(&s);
}

static void nul_bytes_become_blanks(void) {
        struct stage s;
        stage_begin(&s);
        CHECK(entry_add(&s.entry, TEXT("MESSAGE=a\0b\0\0"), 100));
        CHECK_TEXT(entry_known(&s.entry, FIELD_MESSAGE), "a b  ");
        stage_end(&s);
}

static void a_field_without_a_name_is_refused(void) {
        struct stage s;
        stage_begin(&s);
        CHECK(!entry_add(&s.entry, TEXT("MESSAGE"), 100));
        CHECK(!entry_add(&s.entry, TEXT("=value"), 100));
        CHECK(!entry_add(&s.entry, TEXT_NONE, 100));
        CHECK_INT(s.entry.count, 0);
        stage_end(&s);
}

static void what_is_beyond_the_limits_is_left_out(void) {
        struct stage s;
        stage_begin(&s);
        for (unsigned i = 0; i < ENTRY_FIELDS_MAX; i++)
                CHECK(entry_add(&s.entry, TEXT("A=12345"), 3));
        CHECK_INT(s.entry.count, ENTRY_FIELDS_MAX);
        CHECK(entry_add(&s.entry, TEXT("MESSAGE=one too many"), 100));
        CHECK_INT(s.entry.count, ENTRY_FIELDS_MAX);
        CHECK(!s.entry.known[FIELD_MESSAGE]);
        CHECK_INT(s.entry.bytes.size, 4 * ENTRY_FIELDS_MAX);
        static char long_field[ENTRY_VALUE_BYTES_MAX + 100];
        memset(long_field, 'x', sizeof long_field);
        long_field[1] = '=';
        entry_begin(&s.entry, 1);
        for (unsigned i = 0; i < 2 * ENTRY_BYTES_MAX / ENTRY_VALUE_BYTES_MAX; i++)
                CHECK(entry_add(&s.entry, (struct text){long_field, sizeof long_field}, ENTRY_VALUE_BYTES_MAX));
        CHECK_INT(s.entry.fields[0].value_size, ENTRY_VALUE_BYTES_MAX);
        CHECK(s.entry.bytes.size <= ENTRY_BYTES_MAX);
        stage_end(&s);
}

static void a_long_message_is_cut_but_not_in_the_tree(void) {
        struct stage s;
        stage_begin(&s);
        static char field[8 + 10000 + 1] = "MESSAGE=";
        memset(field + 8, 'z', 10000);
        struct record *r = take(&s, field);
        CHECK_INT(FIELD(&s, r, msg).size, 8096);
        CHECK_INT(json_get(r->tree[TREE_MESSAGE], TEXT("MESSAGE"))->string.size, 10000);
        stage_end(&s);
}

TEST_MAIN(TEST(the_tag_is_made_of_name_and_process_id), TEST(priority_and_facility_are_taken_where_they_are_sane),
          TEST(the_message_is_sanitized_and_the_first_of_several),
          TEST(every_field_is_in_the_tree_and_of_several_the_last), TEST(nul_bytes_become_blanks),
          TEST(a_field_without_a_name_is_refused), TEST(what_is_beyond_the_limits_is_left_out),
          TEST(a_long_message_is_cut_but_not_in_the_tree))
