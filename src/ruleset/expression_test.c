#include "ruleset/expression.h"

#include "ruleset/fixture.h"

static void not_binds_tighter_than_a_comparison(void) {
        CHECK_VALUE("not 0 == 1", "1");
        CHECK_VALUE("not (0 == 1)", "1");
        CHECK_VALUE("not 1 == 1", "0");
}

static void and_and_or_have_one_level(void) {
        CHECK_VALUE("1 or 0 and 0", "0");
        CHECK_VALUE("0 and 0 or 1", "1");
}

static void concatenation_and_sums_have_one_level(void) {
        CHECK_VALUE("\"a\" & 1 + 2", "2");
        CHECK_VALUE("1 & 2 + 3", "15");
        CHECK_VALUE("2 * 3 & 4", "\"64\"");
}

static void calculation_never_fails(void) {
        CHECK_VALUE("1 / 0", "0");
        CHECK_VALUE("1 % 0", "0");
        CHECK_VALUE("(-9223372036854775807 - 1) / -1", "-9223372036854775808");
        CHECK_VALUE("(-9223372036854775807 - 1) % -1", "0");
        CHECK_VALUE("9223372036854775807 + 1", "-9223372036854775808");
}

static void constants_are_read_in_the_manner_of_c_and_properties_are_not(void) {
        CHECK_VALUE("\"017\" + 1", "16");
        CHECK_VALUE("cstr(\"017\" + 1)", "\"18\"");
        CHECK_VALUE("-(\"017\" + 1)", "-18");
        CHECK_RUNS_TO("set $!v = $msg + 1;\n", "017", "{\"v\":18}");
        CHECK_RUNS_TO("set $!v = cnum($msg);\n", "017", "{\"v\":17}");
        CHECK_VALUE("cnum(\"0x1f\")", "21");
}

static void a_priority_has_many_names(void) {
        /* The fixture's messages are user.notice. */
        CHECK_RUNS_TO("set $!v = $syslogseverity-text == \"5\";\n", "x", "{\"v\":1}");
        CHECK_RUNS_TO("set $!v = $syslogseverity-text == \"NOTICE\";\n", "x", "{\"v\":1}");
        CHECK_RUNS_TO("set $!v = $syslogseverity-text != \"error\";\n", "x", "{\"v\":1}");
        CHECK_RUNS_TO("set $!v = $syslogfacility-text == \"us\" & \"er\";\n", "x", "{\"v\":1}");
        CHECK_RUNS_TO("set $!v = $syslogfacility-text == \"8\";\n", "x", "{\"v\":1}");
        CHECK_RUNS_TO("set $!v = $syslogfacility-text == \"1\";\n", "x", "{\"v\":0}");
        CHECK_RUNS_TO("set $!v = $syslogfacility-text == [\"8\"];\n", "x", "{\"v\":0}");
        CHECK_RUNS_TO("set $!v = $syslogpriority-text == \"5\";\n", "x", "{\"v\":0}");
        CHECK_RUNS_TO("set $!v = $syslogfacility-text != \"no such\";\n", "x", "{\"v\":7}");
}

static void an_array_is_any_of_its_elements(void) {
        CHECK_VALUE("\"b\" == [\"a\", \"b\"]", "1");
        CHECK_VALUE("\"b\" != [\"a\", \"b\"]", "0");
        CHECK_VALUE("\"d\" != [\"a\"]", "1");
        CHECK_VALUE("\"d\" != \"a\"", "3");
        CHECK_VALUE("\"xb\" contains [\"a\", \"b\"]", "1");
        CHECK_VALUE("\"b\" > [\"c\", \"a\"]", "0");
        CHECK_VALUE("[\"a\", \"b\"]", "\"a\"");
}

static void texts_are_cut_replaced_and_found(void) {
        CHECK_VALUE("substring(\"abcdef\", 2, -3)", "\"cde\"");
        CHECK_VALUE("substring(\"abcdef\", -1, 3)", "\"\"");
        CHECK_VALUE("replace(\"abc\", \"\", \"x\")", "\"xaxbxcx\"");
        CHECK_VALUE("wrap(\"a-b\", \"-\", \"_\")", "\"-a_b-\"");
        CHECK_VALUE("field(\"a,b\", 44, 2)", "\"b\"");
        CHECK_VALUE("field(\"a,b\", 44, 3)", "\"***FIELD NOT FOUND***\"");
        CHECK_VALUE("toupper(\"ab\") & tolower(\"CD\")", "\"ABcd\"");
        CHECK_VALUE("cef_ext_escape(\"a=b\\\\c\")", "\"a\\\\=b\\\\\\\\c\"");
        CHECK_VALUE("b64_decode(\"aGVsbG8=\") & b64_decode(\"aGk\") & b64_decode(\"?\")", "\"hellohi\"");
}

static void a_cef_line_has_an_escaped_header(void) {
        CHECK_VALUE("tocef(\"0\", \"Ven|dor\", \"pro\\\\duct\", \"1=0\", \"id=%#|\", \"na|me=\", 5, \"a=b|c\")",
                    "\"CEF:0|Ven\\\\|dor|pro\\\\\\\\duct|1=0|id\\\\=\\\\%\\\\#\\\\||na\\\\|me=|5|a=b|c\"");
        CHECK_VALUE("tocef($!none, \"\", \"\", \"\", \"\", \"\", \"\", \"x\\ny\")", "\"CEF:|||||||x\\ny\"");
}

static void addresses_are_numbers(void) {
        CHECK_VALUE("ipv42num(\" 1.2.3.4 \")", "16909060");
        CHECK_VALUE("ipv42num(\"1.2.3\")", "-1");
        CHECK_VALUE("num2ipv4(16909060)", "\"1.2.3.4\"");
        CHECK_VALUE("is_in_subnet(\"10.1.2.3\", \"10.0.0.0/9\")", "1");
        CHECK_VALUE("is_in_subnet(\"10.128.2.3\", \"10.0.0.0/9\")", "0");
        CHECK_VALUE("is_in_subnet(\"2001:db8::1\", \"2001:db8::/32\")", "1");
        CHECK_VALUE("is_in_subnet(\"10.1.2.3\", \"2001:db8::/32\")", "0");
        CHECK_VALUE("is_in_subnet(\"nonsense\", \"10.0.0.0/33\")", "0");
}

static void truth_has_words(void) {
        CHECK_VALUE("cbool(\"Yes\") & cbool(\"on\") & cbool(7) & cbool(\"off\") & cbool(\"\") & cbool(\"0\")",
                    "\"111000\"");
}

static void trees_are_made_and_asked(void) {
        CHECK_VALUE("split(\"a,b,,c\", \",\")", "[\"a\",\"b\",\"\",\"c\"]");
        CHECK_VALUE("append_json(split(\"a\", \",\"), 5)", "[\"a\",5]");
        CHECK_VALUE("append_json($!none, \"k\", \"w\")", "{\"k\":\"w\"}");
        CHECK_RUNS_TO("set $.x = parse_json($msg, \"\\$!t\"); set $!v = unflatten($!t, \".\"); unset $!t;\n",
                      "{\"a.b\":1,\"a.c\":2,\"d\":3}", "{\"v\":{\"a\":{\"b\":1,\"c\":2},\"d\":3}}");
        CHECK_RUNS_TO("set $.x = parse_json($msg, \"\\$.t\"); set $!v = get_property($.t, \"B\") & exists($.t!n);\n",
                      "{\"b\":1,\"n\":null}", "{\"v\":\"10\"}");
}

static void texts_that_are_no_json_are_told(void) {
        CHECK_RUNS_TO("set $!v = parse_json($msg, \"\\$!t\") & script_error();\n", "{broken", "{\"v\":\"11\"}");
        CHECK_RUNS_TO("set $!v = parse_json($msg, \"\\$!t\") & script_error();\n", "5", "{\"v\":\"11\"}");
}

static void a_wrong_regular_expression_matches_nothing_and_is_told(void) {
        _owned_(play_fini) struct play p = {0};
        play_load(&p, "if re_match($msg, \"(\") then set $!v = 1; else set $!v = 2;\n");
        CHECK(text_find(play_complaints(&p), TEXT("invalid regular expression '('")) >= 0);
        play_record(&p, "(");
        play_run(&p);
        CHECK_TEXT(play_tree(&p, 0), "{\"v\":2}");
}

static void deep_expressions_are_refused_or_answered(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        buffer_text(&text, TEXT("if $msg == \"0\""));
        for (int i = 0; i < 1500; i++)
                buffer_format(&text, " or $msg == \"%d\"", i);
        buffer_text(&text, TEXT(" then set $!v = 1;\n"));
        CHECK_RUNS_TO(buffer_string(&text), "1499", "{\"v\":1}");
}

TEST_MAIN(TEST(not_binds_tighter_than_a_comparison), TEST(and_and_or_have_one_level),
          TEST(concatenation_and_sums_have_one_level), TEST(calculation_never_fails),
          TEST(constants_are_read_in_the_manner_of_c_and_properties_are_not), TEST(a_priority_has_many_names),
          TEST(an_array_is_any_of_its_elements), TEST(texts_are_cut_replaced_and_found),
          TEST(a_cef_line_has_an_escaped_header), TEST(addresses_are_numbers), TEST(truth_has_words),
          TEST(trees_are_made_and_asked), TEST(texts_that_are_no_json_are_told),
          TEST(a_wrong_regular_expression_matches_nothing_and_is_told), TEST(deep_expressions_are_refused_or_answered))
