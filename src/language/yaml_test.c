#include "language/fixture.h"

static void yaml_load_text(struct fixture *f, const char *name, const char *text) {
        registry_new(&f->registry, "");
        if (config_load_text(&f->config, f->registry, name, text_of(text), &fixture_options, &f->diagnostics))
                f->config = NULL;
}

static struct text printed(struct fixture *f, enum dialect dialect) {
        buffer_clear(&f->text);
        CHECK_INT(config_print(&f->text, f->config, dialect, SECRETS_SHOWN), 0);
        return buffer_as_text(&f->text);
}

/* The configuration in RainerScript, after both translations have led back to it. */
static void check_same(const char *yaml, const char *rainerscript) {
        _owned_(fixture_fini) struct fixture first = {0}, second = {0}, third = {0};
        yaml_load_text(&first, "test.yaml", yaml);
        CHECK_CLEAN(&first);
        CHECK(first.config);
        CHECK_TEXT(printed(&first, DIALECT_RAINERSCRIPT), rainerscript);
        yaml_load_text(&second, "test.conf", rainerscript);
        CHECK_CLEAN(&second);
        struct text again = printed(&second, DIALECT_YAML);
        buffer_byte(&second.text, '\0');
        yaml_load_text(&third, "again.yaml", again.data);
        CHECK_CLEAN(&third);
        CHECK_TEXT(printed(&third, DIALECT_RAINERSCRIPT), rainerscript);
        struct text third_yaml = printed(&third, DIALECT_YAML);
        CHECK_INT(third_yaml.size, second.text.size - 1);
        CHECK(memcmp(third_yaml.data, second.text.data, third_yaml.size) == 0);
}

static void check_said(const char *yaml, unsigned errors, unsigned warnings, const char *said) {
        _owned_(fixture_fini) struct fixture f = {0};
        yaml_load_text(&f, "test.yaml", yaml);
        CHECK(f.config);
        struct text complaints = fixture_complaints(&f);
        if (f.diagnostics.errors != errors || f.diagnostics.warnings != warnings ||
            text_find(complaints, text_of(said)) < 0)
                TEST_FAIL("not %u errors, %u warnings and \"%s\":\n%.*s", errors, warnings, said,
                          TEXT_ARGS(complaints));
}

static void every_section_makes_what_rainerscript_makes(void) {
        check_same("version: 2\n"
                   "inputs:\n"
                   "  - type: imtcp\n"
                   "    port: 514\n"
                   "    ruleset: r\n"
                   "modules:\n"
                   "  - load: imtcp\n"
                   "    MaxSessions: 500\n"
                   "    PermittedPeer: [a, 'b c']\n"
                   "mainqueue:\n"
                   "  size: 5k\n"
                   "global:\n"
                   "  workDirectory: /var\n"
                   "timezones: [{id: XT, offset: '+05:00'}]\n"
                   "rulesets:\n"
                   "  - name: r\n"
                   "    queue.type: LinkedList\n"
                   "    parser: rsyslog.rfc3164\n"
                   "    filter: '*.info;mail.none'\n"
                   "    actions:\n"
                   "      - {type: omfile, file: /a, template: t}\n"
                   "      - type: omfile\n"
                   "        file: /b\n"
                   "templates:\n"
                   "  - {name: t, type: string, string: \"%msg%\\n\"}\n"
                   "  - name: l\n"
                   "    type: list\n"
                   "    elements:\n"
                   "      - property: {name: msg, position.from: 2}\n"
                   "      - constant: {value: \"\\n\"}\n",
                   "global(workDirectory=\"/var\")\n"
                   "module(load=\"imtcp\" MaxSessions=\"500\" PermittedPeer=[\"a\", \"b c\"])\n"
                   "main_queue(queue.size=\"5k\")\n"
                   "timezone(id=\"XT\" offset=\"+05:00\")\n"
                   "template(name=\"t\" type=\"string\" string=\"%msg%\\n\")\n"
                   "template(name=\"l\" type=\"list\") {\n"
                   "    property(name=\"msg\" position.from=\"2\")\n"
                   "    constant(value=\"\\n\")\n"
                   "}\n"
                   "ruleset(name=\"r\" parser=[\"rsyslog.rfc3164\"] queue.type=\"LinkedList\") {\n"
                   "    *.info;mail.none {\n"
                   "        action(type=\"omfile\" file=\"/a\" template=\"t\")\n"
                   "        action(type=\"omfile\" file=\"/b\")\n"
                   "    }\n"
                   "}\n"
                   "input(type=\"imtcp\" port=\"514\" ruleset=\"r\")\n");
}

static void every_statement_has_its_key(void) {
        check_same("rulesets:\n"
                   "  - name: r\n"
                   "    statements:\n"
                   "      - if: $msg contains \"err\" and $syslogseverity <= 3\n"
                   "        then:\n"
                   "          - {type: omfile, file: /err}\n"
                   "          - stop: true\n"
                   "        else:\n"
                   "          - if: $msg == 'x'\n"
                   "            action: {type: omfile, file: /x}\n"
                   "      - set: {var: $.x, expr: $msg & 'x'}\n"
                   "      - unset: $.x\n"
                   "      - foreach:\n"
                   "          var: $.i\n"
                   "          in: $!list\n"
                   "          do: [{type: omfile, file: /i}]\n"
                   "      - call: other\n"
                   "      - call_indirect: $.x & 'r'\n"
                   "      - reload_lookup_table: {table: t, stub_value: none}\n"
                   "      - continue: true\n"
                   "  - name: other\n",
                   "ruleset(name=\"r\") {\n"
                   "    if $msg contains 'err' and $syslogseverity <= 3 then {\n"
                   "        action(type=\"omfile\" file=\"/err\")\n"
                   "        stop\n"
                   "    } else if $msg == 'x' then {\n"
                   "        action(type=\"omfile\" file=\"/x\")\n"
                   "    }\n"
                   "    set $.x = $msg & 'x';\n"
                   "    unset $.x;\n"
                   "    foreach ($.i in $!list) do {\n"
                   "        action(type=\"omfile\" file=\"/i\")\n"
                   "    }\n"
                   "    call other\n"
                   "    call_indirect $.x & 'r';\n"
                   "    reload_lookup_table(\"t\", 'none')\n"
                   "    continue\n"
                   "}\n"
                   "ruleset(name=\"other\") {\n"
                   "}\n");
}

static void a_script_is_rainerscript(void) {
        check_same("rulesets:\n"
                   "  - name: RSYSLOG_DefaultRuleset\n"
                   "    script: |\n"
                   "      mail.* /mail\n"
                   "      if $msg contains 'x' then {\n"
                   "        stop\n"
                   "      }\n",
                   "mail.* {\n"
                   "    action(type=\"omfile\" file=\"/mail\")\n"
                   "}\n"
                   "if $msg contains 'x' then {\n"
                   "    stop\n"
                   "}\n");
}

static void directives_of_old_translate_to_objects(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        yaml_load_text(&f, "old.conf",
                       "$WorkDirectory /var\n$template t,\"%msg% 100\\\\ \\\"x\\\"\\n\"\n$template p,\"100\\% %msg%\"\n"
                       "$RepeatedMsgReduction on\n$MainMsgQueueSize 7000\n*.* /a;t\n");
        CHECK_CLEAN(&f);
        CHECK_TEXT(printed(&f, DIALECT_RAINERSCRIPT),
                   "global(workdirectory=\"/var\")\n"
                   "main_queue(queue.size=\"7000\")\n"
                   "$RepeatedMsgReduction on\n"
                   "$template p,\"100\\% %msg%\"\n"
                   "template(name=\"t\" type=\"string\" string=\"%msg% 100\\\\ \\\"x\\\"\\n\")\n"
                   "*.* {\n"
                   "    action(type=\"omfile\" file=\"/a\" template=\"t\")\n"
                   "}\n");
}

static void a_mistake_shows_the_line_of_the_file(void) {
        check_said("rulesets:\n"
                   "  - name: r\n"
                   "    script: |\n"
                   "\n"
                   "      if $msg == 'x' then {\n"
                   "        action(type=\"omfile\" fil=\"/x\")\n"
                   "      }\n",
                   2, 0,
                   "test.yaml:6:30: error: parameter 'fil' not known -- typo in config file?\n"
                   "    6 |         action(type=\"omfile\" fil=\"/x\")\n"
                   "      |                              ^~~\n");
        check_said("rulesets:\n  - name: r\n    statements:\n      - if: \"$msg == \"\n        then: [{stop: true}]\n",
                   1, 0, "test.yaml:4:");
        check_said("rulesets:\n  - {name: r, filter: 'mial.info', actions: [{type: omfile, file: /x}]}\n", 1, 0,
                   "test.yaml:2:24: error: unknown facility name \"mial\"");
        check_said("modules:\n  - load: imtpc\n", 1, 0, "did you mean `imtcp`?");
}

static void mistakes_of_yaml_itself_have_a_place(void) {
        check_said("a: [b\nc: d\n", 1, 0, "test.yaml:2:2: error: did not find expected ',' or ']'");
        check_said("global: {workDirectory: /var}\n---\nglobal: {}\n", 1, 0, "one document");
        check_said("- a\n", 1, 0, "a mapping (name: value) is expected");
        check_said("global: *nothing\n", 1, 0, "there is no anchor (&name) before this alias");
        check_said("a: &x [*x]\n", 1, 0, "there is no anchor");
        check_said("\xff\n", 1, 0, "test.yaml:1:1: error: ");
}

static void unknown_and_repeated_keys_are_told(void) {
        check_said("globl: {}\n", 1, 0, "did you mean `global`?");
        check_said("global: {workDirectory: /a}\nglobal: {workDirectory: /b}\n", 0, 1, "is given more than once");
        check_said("version: 7\n", 0, 1, "version 7 is not known");
        check_said("rulesets:\n  - name: r\n    statements: [{iff: x}]\n", 1, 0, "did you mean `if`?");
        check_said("rulesets:\n  - {name: r, filter: '*.*', script: 'stop'}\n", 1, 0, "one of the three");
        check_said("rulesets:\n  - name: r\n    statements: [{stop: true, call: r}]\n", 1, 0, "beside this statement");
        check_said("templates:\n  - {name: t, type: list, elements: [{propert: {name: msg}}]}\n", 1, 0,
                   "did you mean `property`?");
        check_said("inputs: {type: imtcp}\n", 1, 0, "a sequence (lines that begin with -) is expected");
}

static void anchors_stand_for_their_values_within_limits(void) {
        check_same("modules: [{load: imtcp}]\n"
                   "inputs:\n  - &one {type: imtcp, port: '1'}\n  - *one\n",
                   "module(load=\"imtcp\")\n"
                   "input(type=\"imtcp\" port=\"1\")\n"
                   "input(type=\"imtcp\" port=\"1\")\n");
        /* Each line stands for ten of the one before it. */
        _owned_(buffer_fini) struct buffer bomb = {0};
        buffer_text(&bomb, TEXT("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"));
        for (int i = 1; i < 12; i++) {
                buffer_format(&bomb, "a%d: &a%d [", i, i);
                for (int j = 0; j < 10; j++)
                        buffer_format(&bomb, "%s*a%d", j ? "," : "", i - 1);
                buffer_text(&bomb, TEXT("]\n"));
        }
        buffer_byte(&bomb, '\0');
        check_said(bomb.data, 1, 0, "the document has too many values");
        _owned_(buffer_fini) struct buffer deep = {0};
        for (int i = 0; i < 5000; i++)
                buffer_byte(&deep, '[');
        buffer_byte(&deep, '\0');
        check_said(deep.data, 1, 0, "nested too deep");
}

TEST_MAIN(TEST(every_section_makes_what_rainerscript_makes), TEST(every_statement_has_its_key),
          TEST(a_script_is_rainerscript), TEST(directives_of_old_translate_to_objects),
          TEST(a_mistake_shows_the_line_of_the_file), TEST(mistakes_of_yaml_itself_have_a_place),
          TEST(unknown_and_repeated_keys_are_told), TEST(anchors_stand_for_their_values_within_limits))
