#include "base/json.h"

#include <errno.h>
#include <limits.h>

#include "base/test.h"

static struct json *parse(struct arena *a, const char *string) {
        struct json *value = NULL;
        size_t used = 0;
        if (json_parse(a, text_of(string), &value, &used))
                return NULL;
        return used == strlen(string) ? value : NULL;
}

static void check_prints(const char *in, enum json_style style, const char *wanted) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        struct json *value = parse(&a, in);
        CHECK(value);
        json_print(&out, value, style);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static int parse_error(struct text t) {
        _owned_(arena_fini) struct arena a = {0};
        struct json *value;
        size_t used;
        return json_parse(&a, t, &value, &used);
}

static void values_print_in_both_styles(void) {
        const char *in = "{\"a\":\"b\",\"c\":[1,2.50,{\"q\":null,\"t\":true}],\"o\":{},\"l\":[]}";
        check_prints(in, JSON_COMPACT, in);
        check_prints(in, JSON_SPACED,
                     "{ \"a\": \"b\", \"c\": [ 1, 2.50, { \"q\": null, \"t\": true } ], \"o\": { }, \"l\": [ ] }");
}

static void numbers_print_as_they_came(void) {
        check_prints("[1e5,1E+2,-0.5,1.0,0.10]", JSON_COMPACT, "[1e5,1E+2,-0.5,1.0,0.10]");
        check_prints("12345678901234567890", JSON_COMPACT, "12345678901234567890");
        check_prints("-0", JSON_COMPACT, "0");
        CHECK_INT(parse_error(TEXT("01")), 0); /* the zero; what follows is the caller's */
        CHECK_INT(parse_error(TEXT("-")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("1.")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("1e")), -EBADMSG);
        CHECK_INT(parse_error(TEXT(".5")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("+5")), -EBADMSG);
}

static void an_integer_beyond_64_bits_is_held_at_the_edge(void) {
        _owned_(arena_fini) struct arena a = {0};
        CHECK(parse(&a, "99999999999999999999")->integer == INT64_MAX);
        CHECK(parse(&a, "-99999999999999999999")->integer == INT64_MIN);
        CHECK(parse(&a, "-9223372036854775808")->integer == INT64_MIN);
}

static void made_doubles_read_back_the_same(void) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, json_double(&a, 0.1), JSON_COMPACT);
        buffer_byte(&out, ' ');
        json_print(&out, json_double(&a, 3), JSON_COMPACT);
        buffer_byte(&out, ' ');
        json_print(&out, json_double(&a, 1.0 / 3), JSON_COMPACT);
        buffer_byte(&out, ' ');
        json_print(&out, json_double(&a, __builtin_inf()), JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), "0.1 3.0 0.3333333333333333 null");
}

static void escapes_are_those_of_libfastjson(void) {
        _owned_(buffer_fini) struct buffer out = {0};
        json_escape(&out, TEXT("a/b\\c\"d\b\t\n\f\r\x01\x0b\x1f\x7f\xc3\xa9\xff\0z"));
        CHECK_TEXT(buffer_as_text(&out), "a\\/b\\\\c\\\"d\\b\\t\\n\\f\\r\\u0001\\u000b\\u001f\x7f\xc3\xa9\xff\\u0000z");
}

/* Byte by byte, as a reader of the standard would write it. */
static void escape_slowly(struct buffer *out, struct text t, const char *format) {
        static const char special[] = "\b\t\n\f\r\"/\\", letters[] = "btnfr\"/\\";
        for (size_t i = 0; i < t.size; i++) {
                const char *found = t.data[i] ? strchr(special, t.data[i]) : NULL;
                if (found)
                        buffer_format(out, "\\%c", letters[found - special]);
                else if ((unsigned char)t.data[i] < ' ')
                        buffer_format(out, format, t.data[i]);
                else
                        buffer_byte(out, t.data[i]);
        }
}

/* Of every size, with what needs an escape at every place. */
static void escapes_are_found_wherever_they_stand(void) {
        static const char marks[] = {'"', '/', '\\', '\n', '\x1f', '\0', '\x7f', '\xff'};
        char bytes[70];
        for (size_t size = 0; size < sizeof bytes; size++)
                for (size_t at = 0; at < size; at++) {
                        memset(bytes, 'x', size);
                        bytes[at] = marks[(size + at) % sizeof marks];
                        bytes[size - 1 - at / 2] = marks[at % sizeof marks];
                        struct text t = {bytes, size};
                        _owned_(buffer_fini) struct buffer small = {0}, capital = {0}, wanted = {0};
                        json_escape(&small, t);
                        escape_slowly(&wanted, t, "\\u%04x");
                        CHECK(text_equal(buffer_as_text(&small), buffer_as_text(&wanted)));
                        json_escape_in_capitals(&capital, t);
                        buffer_clear(&wanted);
                        escape_slowly(&wanted, t, "\\u%04X");
                        CHECK(text_equal(buffer_as_text(&capital), buffer_as_text(&wanted)));
                }
}

static void a_value_is_printed_into_a_string(void) {
        static const char *const values[] = {
                "{\"a/b\":\"c\\\"d\\u0001/\",\"n\":[1.50,true,null,\"x\"],\"o\":{},\"e\":\"\"}", "\"\"",
                "\"a long enough text with / and \\\" in it\"", "[]", "-7"};
        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                for (int style = JSON_COMPACT; style <= JSON_SPACED; style++) {
                        _owned_(arena_fini) struct arena a = {0};
                        _owned_(buffer_fini) struct buffer quoted = {0}, printed = {0}, escaped = {0};
                        struct json *value = parse(&a, values[i]);
                        CHECK(value);
                        json_print_quoted(&quoted, value, (enum json_style)style);
                        json_print(&printed, value, (enum json_style)style);
                        json_escape(&escaped, buffer_as_text(&printed));
                        CHECK_TEXT(buffer_as_text(&quoted), buffer_string(&escaped));
                }
}

static void a_huge_string_is_escaped_piece_by_piece(void) {
        _owned_(memory_free) char *huge = calloc(1, 20001);
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK(huge);
        memset(huge, '"', 20000);
        json_escape(&out, text_of(huge));
        CHECK_INT(out.size, 40000);
        CHECK(out.data[0] == '\\' && out.data[39999] == '"');
}

static void lent_strings_stay_where_they_are(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct text t = TEXT("{\"name\":\"plain\",\"e\":\"a\\nb\",\"i\":-12,\"z\":007}");
        struct json *value;
        size_t used;
        CHECK_INT(json_parse_lenient(&a, t, JSON_IS_LENT, &value, &used), 0);
        struct text name = value->first->name, string = value->first->value->string;
        CHECK(name.data == t.data + 2 && string.data == t.data + 9);
        CHECK_TEXT(string, "plain");
        CHECK_TEXT(json_get(value, TEXT("e"))->string, "a\nb");
        CHECK_INT(json_get(value, TEXT("i"))->integer, -12);
        CHECK_TEXT(json_get(value, TEXT("i"))->literal, "-12");
        CHECK_INT(json_get(value, TEXT("z"))->literal.size, 0);
}

static void unicode_escapes_become_utf8(void) {
        _owned_(arena_fini) struct arena a = {0};
        CHECK_TEXT(parse(&a, "\"\\u00e9\\u20AC\\ud83d\\ude00\\/\\n\"")->string,
                   "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/\n");
        CHECK_TEXT(parse(&a, "\"\\ud800x\\udc00\"")->string, "\xef\xbf\xbdx\xef\xbf\xbd");
        CHECK_INT(parse(&a, "\"a\\u0000b\"")->string.size, 3);
        CHECK_INT(parse_error(TEXT("\"\\u12")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("\"\\u12g4\"")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("\"\\q\"")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("\"\\\"")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("\"\\")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("\"a\nb\"")), -EBADMSG);
        CHECK_INT(parse_error(TEXT("\"open")), -EBADMSG);
}

static void bytes_after_the_value_are_reported_not_eaten(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct json *value;
        size_t used;
        CHECK_INT(json_parse(&a, TEXT("  {\"a\":1} rest"), &value, &used), 0);
        CHECK_INT(used, 9);
}

static void nesting_stops_at_the_limit(void) {
        char deep[2 * JSON_NESTING_MAX + 8];
        memset(deep, '[', sizeof deep);
        memset(deep + JSON_NESTING_MAX, ']', JSON_NESTING_MAX);
        CHECK_INT(parse_error((struct text){deep, 2 * JSON_NESTING_MAX}), 0);
        memset(deep, '[', JSON_NESTING_MAX + 1);
        memset(deep + JSON_NESTING_MAX + 1, ']', JSON_NESTING_MAX + 1);
        CHECK_INT(parse_error((struct text){deep, 2 * JSON_NESTING_MAX + 2}), -EBADMSG);
}

static void broken_json_is_refused(void) {
        static const char *const wrong[] = {"",          "{",     "[",    "{\"a\"",     "{\"a\":", "{\"a\":1",
                                            "{\"a\":1,", "{a:1}", "[1,]", "{\"a\":1,}", "tru",     "nulL",
                                            "[1 2]",     "'a'",   "{,}",  "//",         "NaN",     "\x80"};
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                CHECK_INT(parse_error(text_of(wrong[i])), -EBADMSG);
}

static void of_twin_members_the_last_stays_in_the_first_place(void) {
        check_prints("{\"d\":1,\"e\":3,\"d\":2}", JSON_COMPACT, "{\"d\":2,\"e\":3}");

        _owned_(buffer_fini) struct buffer in = {0};
        for (int i = 0; i < 5000; i++)
                buffer_format(&in, "%s\"m%d\":%d", i ? "," : "{", i % 1000, i);
        buffer_byte(&in, '}');
        _owned_(arena_fini) struct arena a = {0};
        struct json *object = parse(&a, buffer_string(&in));
        CHECK(object);
        CHECK_INT(object->count, 1000);
        CHECK_INT(json_get(object, TEXT("m7"))->integer, 4007);
        CHECK_TEXT(object->first->name, "m0");
        CHECK_TEXT(object->last->name, "m999");
        CHECK_INT(json_set(&a, object, TEXT("after"), json_null(&a)), 0);
        CHECK_TEXT(object->last->name, "after");
}

static void members_are_set_found_and_removed(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct json *object = json_object(&a);
        CHECK_INT(json_set(&a, object, TEXT("One"), json_int(&a, 1)), 0);
        CHECK_INT(json_set(&a, object, TEXT("two"), json_int(&a, 2)), 0);
        CHECK_INT(json_set(&a, object, TEXT("One"), json_int(&a, 3)), 0);
        CHECK_INT(object->count, 2);
        CHECK_INT(json_get(object, TEXT("One"))->integer, 3);
        CHECK(!json_get(object, TEXT("one")));
        CHECK_INT(json_get_nocase(object, TEXT("oNE"))->integer, 3);
        CHECK(json_remove(object, TEXT("two")));
        CHECK(!json_remove(object, TEXT("two")));
        CHECK(object->last == object->first);
        CHECK(json_remove(object, TEXT("One")));
        CHECK(!object->first && !object->last && object->count == 0);
}

static void a_copy_shares_nothing(void) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(arena_fini) struct arena b = {0};
        struct json *copy = json_copy(&b, parse(&a, "{\"a\":[1.50,\"x\",{\"b\":false}],\"c\":null}"));
        arena_fini(&a);
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, copy, JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), "{\"a\":[1.50,\"x\",{\"b\":false}],\"c\":null}");
}

static void check_lenient(const char *text, const char *printed) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        struct json *value = NULL;
        size_t used = 0;
        CHECK_INT(json_parse_lenient(&a, text_of(text), JSON_IS_CASE_SENSITIVE, &value, &used), 0);
        CHECK_INT(used, strlen(text));
        if (value)
                json_print(&out, value, JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), printed);
}

static void the_lenient_manner_takes_what_libfastjson_takes(void) {
        check_lenient("{'a':'b\"c'}", "{\"a\":\"b\\\"c\"}");
        check_lenient("[1,2,]", "[1,2]");
        check_lenient("{\"a\":1 , /* c */ }", "{\"a\":1}");
        check_lenient("\v/* c */[// d\n1]/**/", "[1]");
        check_lenient("[\"a\x01\tb\n\"]", "[\"a\\u0001\\tb\\n\"]");
        check_lenient("[\"a\\u0000b\",\"c\"]", "[\"a\",\"c\"]");
        check_lenient("{\"a\\u0000b\":1,\"a\":2}", "{\"a\":2}");
        check_lenient("[NULL,True,fALSE,nan,Infinity]", "[null,true,false,NaN,Infinity]");
        check_lenient("[-infinity]", "[-Infinity]");
        check_lenient("[01,-00,-007,1+2,99999999999999999999,-9223372036854775809]",
                      "[1,0,-7,1,9223372036854775807,-9223372036854775808]");
        check_lenient("[1.,-.5,1e,1E+,01.50,1e400]", "[1.,-.5,1e,1E+,01.50,1e400]");
        check_lenient("\"text\"", "\"text\"");
        check_lenient("{\"A\":1,\"a\":2}", "{\"A\":1,\"a\":2}");
        _owned_(arena_fini) struct arena a = {0};
        struct json *value;
        size_t used;
        CHECK_INT(json_parse_lenient(&a, TEXT("{\"A\":1,\"a\":2}"), 0, &value, &used), 0);
        CHECK_INT(value->count, 1);
        CHECK_TEXT(value->first->name, "A");
        CHECK_INT(value->first->value->integer, 2);
}

static void even_the_lenient_manner_refuses(void) {
        static const char *const wrong[] = {
                "",       "123",     "true",      "{a:1}",     "[1,,2]",        "[,]",      "{,}",
                "[.5]",   "[+5]",    "[-]",       "[1-2]",     "[1.2.3]",       "[0x1]",    "[-e1]",
                "[nu]",   "[truex]", "[\"\\x\"]", "['\\'']",   "[\"\\u12\"]",   "/***/[1]", "/x",
                "[1] /x", "[1]//",   "[1 2]",     "{\"a\" 1}", "\xef\xbb\xbf[]"};
        _owned_(arena_fini) struct arena a = {0};
        struct json *value;
        size_t used;
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                CHECK_INT(json_parse_lenient(&a, text_of(wrong[i]), JSON_IS_CASE_SENSITIVE, &value, &used), -EBADMSG);
        CHECK_INT(json_parse_lenient(&a, TEXT("[\"a\0\"]"), JSON_IS_CASE_SENSITIVE, &value, &used), -EBADMSG);
        CHECK_INT(json_parse_lenient(&a, TEXT("[\0]"), JSON_IS_CASE_SENSITIVE, &value, &used), -EBADMSG);
        CHECK_INT(json_parse_lenient(&a, TEXT("{\"a\":1} x"), JSON_IS_CASE_SENSITIVE, &value, &used), 0);
        CHECK_INT(used, 8);
        char deep[2 * JSON_LENIENT_NESTING_MAX + 2];
        memset(deep, '[', sizeof deep);
        memset(deep + JSON_LENIENT_NESTING_MAX, ']', JSON_LENIENT_NESTING_MAX);
        CHECK_INT(json_parse_lenient(&a, (struct text){deep, 2 * JSON_LENIENT_NESTING_MAX}, JSON_IS_CASE_SENSITIVE,
                                     &value, &used),
                  0);
        CHECK_INT(json_parse_lenient(&a, (struct text){deep, JSON_LENIENT_NESTING_MAX}, JSON_IS_CASE_SENSITIVE, &value,
                                     &used),
                  -EBADMSG);
        memset(deep, '[', JSON_LENIENT_NESTING_MAX + 1);
        memset(deep + JSON_LENIENT_NESTING_MAX + 1, ']', JSON_LENIENT_NESTING_MAX + 1);
        CHECK_INT(json_parse_lenient(&a, (struct text){deep, sizeof deep}, JSON_IS_CASE_SENSITIVE, &value, &used),
                  -EBADMSG);
}

static void what_is_new_goes_where_one_was_removed(void) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        struct json *object = parse(&a, "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}");
        CHECK(json_remove(object, TEXT("d")) && json_remove(object, TEXT("c")) && json_remove(object, TEXT("a")));
        const char *names[] = {"e", "f", "g", "h"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                CHECK_INT(json_set(&a, object, text_of(names[i]), json_int(&a, (int64_t)i)), 0);
        json_print(&out, object, JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), "{\"e\":0,\"b\":2,\"f\":1,\"g\":2,\"h\":3}");
}

static void a_copy_has_no_gaps(void) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        struct json *object = parse(&a, "{\"a\":1,\"b\":2}");
        CHECK(json_remove(object, TEXT("a")));
        struct json *copy = json_copy(&a, object);
        CHECK_INT(json_set(&a, copy, TEXT("c"), json_int(&a, 3)), 0);
        CHECK_INT(json_set(&a, object, TEXT("d"), json_int(&a, 4)), 0);
        json_print(&out, copy, JSON_COMPACT);
        json_print(&out, object, JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&out), "{\"b\":2,\"c\":3}{\"d\":4,\"b\":2}");
}

TEST_MAIN(TEST(what_is_new_goes_where_one_was_removed), TEST(a_copy_has_no_gaps),
          TEST(the_lenient_manner_takes_what_libfastjson_takes), TEST(even_the_lenient_manner_refuses),
          TEST(values_print_in_both_styles), TEST(numbers_print_as_they_came),
          TEST(an_integer_beyond_64_bits_is_held_at_the_edge), TEST(made_doubles_read_back_the_same),
          TEST(escapes_are_those_of_libfastjson), TEST(escapes_are_found_wherever_they_stand),
          TEST(a_value_is_printed_into_a_string), TEST(a_huge_string_is_escaped_piece_by_piece),
          TEST(lent_strings_stay_where_they_are), TEST(unicode_escapes_become_utf8),
          TEST(bytes_after_the_value_are_reported_not_eaten), TEST(nesting_stops_at_the_limit),
          TEST(broken_json_is_refused), TEST(of_twin_members_the_last_stays_in_the_first_place),
          TEST(members_are_set_found_and_removed), TEST(a_copy_shares_nothing))
