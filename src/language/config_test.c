#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "language/fixture.h"

static void check_said(const char *text, unsigned errors, const char *said) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, text);
        CHECK(f.config);
        struct text complaints = fixture_complaints(&f);
        if (f.diagnostics.errors != errors || text_find(complaints, text_of(said)) < 0)
                TEST_FAIL("not %u errors and \"%s\":\n%.*s", errors, said, TEXT_ARGS(complaints));
}

static unsigned count_actions(const struct fixture *f) {
        unsigned count = 0;
        for (const struct object *o = f->config->actions_first; o; o = o->next)
                count++;
        return count;
}

/* ---- Objects ---------------------------------------------------------------------- */

static void modules_and_inputs_get_typed_settings(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "module(load=\"imtcp\" MaxSessions=\"500\" keepalive=\"on\" PermittedPeer=[\"a\", \"b\"])\n"
                         "input(type=\"imtcp\" port=\"514\" ruleset=\"r\" name=\"n\")\n"
                         "input(type=\"imtcp\" port=\"515\" keepalive=\"off\")\n"
                         "ruleset(name=\"r\" parser=[\"rsyslog.rfc3164\"] queue.type=\"LinkedList\" queue.size=\"7k\") "
                         "{ stop }\n");
        CHECK_CLEAN(&f);
        const struct loaded_module *m = f.config->modules;
        while (m && strcmp(m->module->name, "imtcp") != 0)
                m = m->next;
        CHECK(m);
        const struct fake_tcp *settings = m->settings;
        CHECK_INT(settings->sessions, 500);
        CHECK_INT(settings->peers.count, 2);
        const struct object *first = f.config->inputs, *second = first->next;
        const struct fake_tcp *one = first->settings, *two = second->settings;
        CHECK_TEXT(text_of(one->port), "514");
        CHECK(one->keepalive && !two->keepalive);
        CHECK_TEXT(text_of(first->ruleset), "r");
        CHECK_TEXT(text_of(first->name), "n");
        CHECK(!second->ruleset && !second->next);
        const struct ruleset_def *r = f.config->rulesets->next;
        CHECK_TEXT(text_of(r->name), "r");
        CHECK_INT(r->queue->size, 7168);
        CHECK_INT(r->queue->type, QUEUE_LINKED_LIST);
        CHECK_INT(r->parsers.count, 1);
        CHECK(!f.config->rulesets->queue);
}

static void an_action_has_its_own_settings_and_its_queues(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "global(default.action.queue.timeoutshutdown=\"77\")\n"
                         "action(type=\"omfile\" file=\"/a\" name=\"first\" action.resumeRetryCount=\"-1\"\n"
                         "  queue.type=\"fixedArray\" fileCreateMode=\"0600\")\n"
                         "action(type=\"builtin:omfile\" file=\"/b\")\n");
        CHECK_CLEAN(&f);
        const struct object *one = f.config->actions_first, *two = one->next;
        CHECK_TEXT(text_of(one->name), "first");
        CHECK_INT(one->action->resume_retry_count, -1);
        CHECK_INT(one->action->reports_suspension, -1);
        CHECK(one->has_queue && !two->has_queue);
        CHECK_INT(one->queue->type, QUEUE_FIXED_ARRAY);
        CHECK_INT(one->queue->timeout_shutdown_ms, 77);
        CHECK_INT(two->queue->type, QUEUE_DIRECT);
        CHECK_INT(((const struct fake_file *)one->settings)->create_mode, 0600);
        CHECK_TEXT(text_of(((const struct fake_file *)two->settings)->template_name), "RSYSLOG_FileFormat");
        CHECK_INT(one->number, 1);
        CHECK_INT(two->number, 2);
}

static void module_parameters_are_defaults_of_its_objects(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "module(load=\"builtin:omfile\" Template=\"RSYSLOG_TraditionalFileFormat\" "
                         "fileCreateMode=\"0640\")\n"
                         "*.* /a\naction(type=\"omfile\" file=\"/b\" template=\"RSYSLOG_ForwardFormat\")\n");
        CHECK_CLEAN(&f);
        const struct fake_file *one = f.config->actions_first->settings;
        const struct fake_file *two = f.config->actions_first->next->settings;
        CHECK_TEXT(text_of(one->template_name), "RSYSLOG_TraditionalFileFormat");
        CHECK_TEXT(text_of(two->template_name), "RSYSLOG_ForwardFormat");
}

static void templates_keep_what_their_compiler_needs(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "template(name=\"s\" type=\"string\" string=\"%msg%\\\\n\\n\" option.json=\"on\")\n"
                         "template(name=\"l\" type=\"list\" option.jsonf=\"on\") {\n"
                         "  constant(value=\"a\\\\n\") /* c */ property(name=\"msg\" position.to=\"5\")\n}\n"
                         "template(name=\"t\" type=\"subtree\" subtree=\"$!usr\")\n"
                         "$template old,\"a\\\"b\\n%msg:R,ERE,1,FIELD:\\\"(x%)--end%\\%\" ,stdsql # c\n"
                         "$template gen,=generator\n");
        CHECK_CLEAN(&f);
        const struct template_def *t = f.config->templates;
        CHECK_TEXT(t->string, "%msg%\\n\n");
        CHECK(t->is_json && !t->has_escapes);
        t = t->next;
        CHECK(t->kind == TEMPLATE_LIST && t->is_jsonf && t->parts->is_constant && !t->parts->next->is_constant);
        CHECK_TEXT(t->parts->assignments->items[0], "a\\n");
        t = t->next;
        CHECK_TEXT(t->subtree, "$!usr");
        t = t->next;
        CHECK_TEXT(t->string, "a\\\"b\\n%msg:R,ERE,1,FIELD:\\\"(x%)--end%\\%");
        CHECK(t->has_escapes && t->is_stdsql);
        t = t->next;
        CHECK_TEXT(t->plugin, "generator");
        CHECK(t->kind == TEMPLATE_PLUGIN && !t->next);
}

static void other_definitions_wait_for_those_who_use_them(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f,
                     "lookup_table(name=\"t\" file=\"/t.json\" reloadOnHUP=\"off\")\ntimezone(id=\"X\" "
                     "offset=\"+01:00\")\ndyn_stats(name=\"d\" resettable=\"off\")\n"
                     "percentile_stats(name=\"p\" percentiles=[\"95\", \"99\"] windowsize=\"100\" delimiter=\"|\")\n"
                     "parser(name=\"mine\" type=\"pmrfc3164\")\nruleset(name=\"r\" parser=\"mine\") { stop }\n");
        CHECK_INT(f.diagnostics.errors, 0);
        CHECK_TEXT(text_of(f.config->definitions->kind), "lookup_table");
        CHECK_TEXT(text_of(f.config->definitions->next->name), "X");
        CHECK_TEXT(text_of(f.config->parsers->name), "mine");
}

static void config_enabled_turns_any_object_off(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "action(type=\"omfile\" file=\"/a\" config.enabled=\"off\")\n"
                         "action(type=\"omfile\" file=\"/b\" config.enabled=\"on\")\n"
                         "ruleset(name=\"r\" config.enabled=\"off\") { action(type=\"omfile\" file=\"/c\") }\n"
                         "template(name=\"t\" type=\"list\" config.enabled=\"off\") { constant(value=\"x\") }\n"
                         "template(name=\"u\" type=\"list\") { constant(value=\"x\" config.enabled=\"off\") "
                         "constant(value=\"y\") }\n"
                         "module(load=\"imtcp\" config.enabled=\"off\")\ninclude(file=\"/nonexistent\" "
                         "config.enabled=\"off\")\n");
        CHECK_CLEAN(&f);
        CHECK_INT(count_actions(&f), 1);
        CHECK(!f.config->rulesets->next);
        CHECK_TEXT(text_of(f.config->templates->name), "u");
        CHECK_TEXT(f.config->templates->parts->assignments->items[0], "y");
        CHECK(!f.config->templates->next);
}

/* ---- Mistakes ------------------------------------------------------------------------ */

static void mistakes_in_objects_are_named_where_they_are(void) {
        check_said("action(type=\"omfile\" file=\"/a\" queue.typ=\"x\")\n", 1,
                   "test.conf:1:32: error: parameter 'queue.typ' not known -- typo in config file?\n"
                   "    1 | action(type=\"omfile\" file=\"/a\" queue.typ=\"x\")\n"
                   "      |                                ^~~~~~~~~\n"
                   "      did you mean `queue.type`?\n");
        check_said("module(load=\"imtpc\")\n", 1,
                   "could not load module 'imtpc', errors: there is no such module; did you "
                   "mean `imtcp`?");
        check_said("module(load=\"imtcp\")\nmodule(load=\"imtcp\")\n", 1, "already in this config, cannot be added");
        check_said("module(load=\"imtcp\")\ninput(type=\"imtcp\")\n", 1, "parameter 'port' required but not specified");
        check_said("input(type=\"imtcp\" port=\"1\")\n", 1, "it must be loaded before: module(load=\"imtcp\")");
        check_said("input(type=\"omfile\" port=\"1\")\n", 1, "omfile makes no input(), but action()");
        check_said("input(port=\"1\")\n", 1, "parameter 'type' required but not specified");
        check_said("action(type=\"omfile\" file=\"/a\" sync=\"maybe\")\n", 1,
                   "1:37: error: parameter 'sync' must be \"on\"");
        check_said("action(type=\"omfile\" file=\"/a\" flushInterval=\"61\")\n", 1, "1 to 60 is wanted");
        check_said("action(type=\"omfile\" file=\"/a\" dynafile=\"x\")\n", 1,
                   "parameter 'dynafile': file is given, too");
        check_said("ruleset(name=\"r\") { stop }\nruleset(name=\"r\") { stop }\n", 1, "specified more than once");
        check_said("ruleset(name=\"r\" parser=\"nosuch\") { stop }\n", 1, "parser 'nosuch' unknown at this time");
        check_said("ruleset(name=\"r\" parser=[\"nosuch\", \"rsyslog.rfc3164\", \"rsyslog.rfc5424\"]) { stop }\n", 1,
                   "parser 'nosuch' unknown at this time");
        check_said("main_queue(queue.size=\"5\")\nmain_queue(queue.size=\"6\")\n", 1, "can only be specified once");
        check_said("global(workDirectory=\"/a\")\nglobal(workDirectory=\"/b\")\n", 1, "specified more than once");
        check_said("template(name=\"t\" type=\"string\")\n", 1, "parameter 'string' required");
        check_said("template(name=\"t\" type=\"list\") { property(nam=\"msg\") }\n", 1, "did you mean `name`?");
        check_said("template(name=\"t\" type=\"list\") { porperty(name=\"msg\")\n", 2,
                   "constant(...) and property(...)");
        check_said("module(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"1\" ruleset=\"gone\")\n", 1,
                   "imtcp: ruleset 'gone' not found - using default ruleset instead");
        check_said("action(type=\"omfile\" file=\"/a\" template=\"RSYSLOG_FileFromat\")\n", 1,
                   "did you mean `RSYSLOG_FileFormat`?");
        check_said("set $!x = exec_template(\"nosuch\");\n", 1, "could not find template 'nosuch'");
        check_said("lookup_table(name=\"t\")\n", 1, "parameter 'file' required");
        check_said("global(parser.controlCharacterEscapePrefix=\"ab\")\n", 1, "exactly one character but contains 2");
}

static void what_was_meant_is_told_where_it_can_be_known(void) {
        check_said("action type=\"omfile\" file=\"/a\"\n", 1, "`(` is expected behind it: action(name=\"value\" ...)");
        check_said("module(load=\"imtcp\" port=\"1\")\n", 1, "it is one of input(type=\"imtcp\" ...)");
        check_said("module(\"imtcp\")\n", 1, "its name stands before a value: name=\"value\"");
        check_said("mail /var/log/mail\n", 1, "a selector names a facility and a priority: mail.*");
        check_said("if $programname == \"a\" /var/log/a\n", 1, "is `then` missing before the path?");
        check_said("if $severity < 4 then stop\n", 1, "did you mean `syslogseverity`?");
        check_said("action(type=\"omfwd\" host=\"h\" target=\"h\")\n", 1, "did you mean `target`?");
        check_said("version: 2\n", 1, "this looks like YAML");
        check_said("; a comment\n", 1, "a comment begins with #");
        check_said("action(type=\"omfile\"\xC2\xA0"
                   "file=\"/a\")\n",
                   1, "no-break space (U+00A0)");
        check_said("action(type=\"omfile\" file=\xE2\x80\x9C/a\xE2\x80\x9D)\n", 1, "typographic quote (U+201C)");
}

static void an_input_module_that_nothing_uses_is_named(void) {
        check_said("module(load=\"imudp\")\n", 1,
                   "test.conf:1:13: error: imudp: module loaded, but no input() uses it - no input will be gathered\n"
                   "    1 | module(load=\"imudp\")\n"
                   "      |             ^\n"
                   "      add input(type=\"imudp\" port=\"...\"), or do not load the module\n");
        check_said("$ModLoad imudp\n", 1, "1:10: error: imudp: module loaded, but no input() uses it");
        check_said("module(load=\"imudp\")\ninput(type=\"imudp\" port=\"1\" config.enabled=\"off\")\n", 1,
                   "no input() uses it");
        check_said("module(load=\"imudp\")\ninput(type=\"imudp\" port=\"1\")\n", 0, "");
        check_said("$ModLoad imudp\n$UDPServerRun 514\n", 0, "");
        check_said("module(load=\"imuxsock\")\nmodule(load=\"imtcp\")\n", 0, "");
        /* A mistaken input has been told of already. */
        check_said("module(load=\"imudp\")\ninput(type=\"imudp\")\n", 1, "parameter 'port' required");
}

static void what_the_environment_leaves_unset_is_off(void) {
        _owned_(fixture_fini) struct fixture f = {0}, g = {0};
        unsetenv("CONFIG_TEST_UNSET");
        fixture_load(&f, "include(file=`echo $CONFIG_TEST_UNSET`)\n"
                         "action(type=\"omfile\" file=\"/a\" config.enabled=`echo $CONFIG_TEST_UNSET`)\n");
        CHECK_CLEAN(&f);
        CHECK_INT(count_actions(&f), 0);
        fixture_load(&g, "action(type=\"omfile\" file=\"/a\" config.enabled=\"yes\")\n");
        CHECK_INT(count_actions(&g), 0);
        CHECK_INT(g.diagnostics.warnings, 1);
}

static void broken_syntax_is_told_once_and_reading_goes_on(void) {
        check_said("action(type=\"omfile\" file=/a)\n", 1, "a value stands in double quotes");
        check_said("action(type=\"omfile\", file=\"/a\")\n", 1, "separated by blanks");
        check_said("action(type=\"omfile\" file=\"/a\\d\")\n", 1, "1:30: error: invalid escape sequence '\\d'");
        check_said("action(type=\"omfile\" file=\"/a\"\nstop\n", 1, "`)` is missing");
        check_said("action(type=\"omfile\" file=\"/a\nstop\n", 1, "no closing \"");
        check_said("action(type=\"omfile\" file=\"/a\n  template=\"RSYSLOG_FileFormat\")\nstop\n", 1,
                   "string that begins in line 1 spans several lines");
        check_said("action(type \"omfile\")\nmail.foo stop\n", 2, "a parameter is written name=\"value\"");
        check_said("action(type=[\"omfile\"\n)\nmail.foo stop\n", 2, "`,` or `]` is expected");
        check_said("ruleset(name=\"r\")\nstop\n", 1, "`{` is expected behind ruleset()");
}

static void the_valid_part_of_an_object_counts_as_in_rsyslogd(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(
                &f,
                "action(type=\"omfile\" file=\"/unknown\" foo=\"bar\")\n"
                "action(type=\"omfile\" file=\"/twice1\" file=\"/twice2\")\n"
                "action(type=\"omfile\" file=\"/bad\" sync=\"maybe\")\n"
                "action(type=\"omfile\" file=\"/queue\" queue.size=\"maybe\")\n"
                "action(type=\"omfile\" file=\"/template\" template=\"maybe\")\n"
                "if $msg == '' then stop else { action(type=\"omnosuch\") action(type=\"omfile\" file=\"/else\") }\n");
        CHECK_INT(f.diagnostics.errors, 6);
        static const char *const kept[] = {"/unknown", "/twice2", "/queue", "/else"};
        const struct object *o = f.config->actions_first;
        for (size_t i = 0; i < ARRAY_SIZE(kept); i++, o = o->next) {
                CHECK(o);
                CHECK_TEXT(text_of(((const struct fake_file *)o->settings)->file), kept[i]);
        }
        CHECK(!o);
}

static void a_queue_on_disk_that_cannot_be_there_is_warned_about(void) {
        struct fixture f = {0};
        fixture_load(&f, "action(type=\"omfile\" file=\"/a\" queue.type=\"LinkedList\" queue.filename=\"a\" "
                         "queue.saveonshutdown=\"on\" queue.maxdiskspace=\"1g\")\n"
                         "action(type=\"omfile\" file=\"/a\" queue.type=\"Disk\" queue.filename=\"b\")\n"
                         "action(type=\"omfile\" file=\"/a\" queue.type=\"Disk\")\n"
                         "action(type=\"omfile\" file=\"/a\" queue.type=\"LinkedList\" queue.filename=\"b/c\")\n");
        struct text said = fixture_complaints(&f);
        CHECK(text_find(said, TEXT("1:1")) < 0);
        CHECK(text_find(said, TEXT("2:1")) < 0);
        CHECK(text_find(said, TEXT("3:1: warning: queue.type of this action asks for a queue on disk")) >= 0);
        CHECK(text_find(said, TEXT("4:1: warning: queue.fileName of this action is a path")) >= 0);
        fixture_fini(&f);
}

static void what_a_stop_makes_unreachable_is_warned_about(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "mail.* { stop /a\n}\nmail.* stop\n");
        CHECK_INT(f.diagnostics.errors, 0);
        CHECK_INT(f.diagnostics.warnings, 1);
        CHECK(text_find(fixture_complaints(&f), TEXT("1:10: warning: STOP is followed by unreachable")) >= 0);
}

/* ---- Includes --------------------------------------------------------------------------- */

struct directory {
        char path[64];
};

static void directory_make(struct directory *d) {
        snprintf(d->path, sizeof d->path, "/tmp/config_test_XXXXXX");
        CHECK(mkdtemp(d->path));
}

static void directory_put(const struct directory *d, const char *name, const char *content) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", d->path, name);
        FILE *file = fopen(path, "w");
        CHECK(file);
        fputs(content, file);
        fclose(file);
}

static void directory_drop(struct directory *d, const char *const *names, size_t count) {
        char path[128];
        for (size_t i = 0; i < count; i++) {
                snprintf(path, sizeof path, "%s/%s", d->path, names[i]);
                unlink(path);
        }
        rmdir(d->path);
}

static void load_with_directory(struct fixture *f, const char *format, const struct directory *d) {
        _owned_(buffer_fini) struct buffer text = {0};
        for (const char *c = format; *c; c++)
                if (*c == '@')
                        buffer_text(&text, text_of(d->path));
                else
                        buffer_byte(&text, *c);
        fixture_load(f, buffer_string(&text));
}

static void files_are_included_in_order_and_by_every_form(void) {
        struct directory d;
        directory_make(&d);
        static const char *const names[] = {"20-b.conf", "10-a.conf", "other"};
        directory_put(&d, names[0], "& continue\nset $!b = 1;");
        directory_put(&d, names[1], "continue\n");
        directory_put(&d, names[2], "set $!o = 1;\n");
        _owned_(fixture_fini) struct fixture f = {0}, g = {0};
        load_with_directory(&f,
                            "$IncludeConfig @/*.conf # both\ninclude(file=\"@/other\")\nif 1 then { "
                            "include(file=\"@/other\") }\ninclude(text=\"unset $!b;\")\n"
                            "include(file=\"@/none\" mode=\"optional\")\ninclude(file=\"@/*.none\")\n",
                            &d);
        load_with_directory(
                &g,
                "include(file=\"@/none\")\n$IncludeConfig @/none\ninclude(file=\"@/none\" mode=\"abort-if-missing\")\n",
                &d);
        directory_drop(&d, names, ARRAY_SIZE(names));
        CHECK_CLEAN(&f);
        CHECK_TEXT(fixture_statements(&f, NULL),
                   "continue\ncontinue\nset $!b = 1;\nset $!o = 1;\nif 1 then {\n    set $!o = "
                   "1;\n}\nunset $!b;\n");
        CHECK_INT(g.diagnostics.errors, 3);
        CHECK(g.config->is_aborted && !f.config->is_aborted);
}

static void mistakes_name_the_included_file(void) {
        struct directory d;
        directory_make(&d);
        static const char *const names[] = {"a.conf"};
        directory_put(&d, names[0], "\n  mail.foo stop\n");
        _owned_(fixture_fini) struct fixture f = {0};
        load_with_directory(&f, "include(file=\"@/a.conf\")\n", &d);
        directory_drop(&d, names, ARRAY_SIZE(names));
        CHECK(text_find(fixture_complaints(&f), TEXT("/a.conf:2:8: error: unknown priority")) > 0);
}

static void files_that_include_themselves_are_stopped(void) {
        struct directory d;
        directory_make(&d);
        static const char *const names[] = {"a.conf", "b.conf"};
        _owned_(buffer_fini) struct buffer a = {0}, b = {0};
        buffer_format(&a, "stop\n$IncludeConfig %s/b.conf\n", d.path);
        buffer_format(&b, "continue\ninclude(file=\"%s/../%s/a.conf\")\n", d.path, d.path + 5);
        directory_put(&d, names[0], buffer_string(&a));
        directory_put(&d, names[1], buffer_string(&b));
        _owned_(fixture_fini) struct fixture f = {0};
        load_with_directory(&f, "include(file=\"@/a.conf\")\n", &d);
        directory_drop(&d, names, ARRAY_SIZE(names));
        CHECK_INT(f.diagnostics.errors, 1);
        CHECK(text_find(fixture_complaints(&f), TEXT("which is already included - ignored")) > 0);
        CHECK_TEXT(fixture_statements(&f, NULL), "stop\ncontinue\n");
}

static void the_flat_form_shows_includes_in_place(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "# head\ninclude(text=\"stop\")\nset $!a = 1;\n");
        buffer_clear(&f.text);
        config_print_flat(&f.text, f.config);
        CHECK_TEXT(buffer_as_text(&f.text),
                   "##### BEGIN CONFIG: test.conf (put on stack)\n# head\n"
                   "include(text=\"stop\")\n"
                   "##### BEGIN CONFIG: text (put on stack)\nstop\n##### END   CONFIG: text\n\n"
                   "set $!a = 1;\n##### END   CONFIG: test.conf\n");
}

static void back_ticks_read_the_environment_and_files(void) {
        struct directory d;
        directory_make(&d);
        static const char *const names[] = {"value"};
        directory_put(&d, names[0], "content");
        setenv("CONFIG_TEST_NAME", "from-env", 1);
        _owned_(fixture_fini) struct fixture f = {0};
        load_with_directory(&f,
                            "global(environment=[\"OWN=first\", \"OWN=mine\"])\n"
                            "set $!a = `echo $CONFIG_TEST_NAME/x$OWN y`;\nset $!b = `cat @/value`;\n"
                            "action(type=\"omfile\" file=`echo /log/$CONFIG_TEST_NAME`)\nset $!c = `rm x`;\n",
                            &d);
        directory_drop(&d, names, ARRAY_SIZE(names));
        CHECK_INT(f.diagnostics.errors, 1);
        CHECK_TEXT(fixture_statements(&f, NULL), "set $!a = 'from-env/xmine y';\nset $!b = 'content';\n"
                                                 "action(type=\"omfile\" file=\"/log/from-env\")\n");
}

static void a_sealed_load_touches_nothing(void) {
        const struct config_options sealed = {.is_sealed = true};
        _owned_(fixture_fini) struct fixture f = {0};
        registry_new(&f.registry, NULL);
        CHECK_INT(config_load_text(&f.config, f.registry, "x",
                                   TEXT("include(file=\"/etc/passwd\")\n$IncludeConfig /etc/passwd\n"
                                        "include(text=\"stop\")\nset $!a = `cat /etc/passwd`;\n"),
                                   &sealed, &f.diagnostics),
                  0);
        CHECK_INT(f.diagnostics.errors, 4);
        CHECK(!f.config->rulesets->statements);
}

static void a_missing_master_file_is_a_failure(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        registry_new(&f.registry, NULL);
        CHECK_INT(config_load(&f.config, f.registry, "/nonexistent/x.conf", NULL, &f.diagnostics), -ENOENT);
        CHECK(!f.config);
}

static void secrets_are_masked_when_printed(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "action(type=\"omfwd\" target=\"h\" password=\"hush\")\n");
        CHECK_TEXT(fixture_statements(&f, NULL), "action(type=\"omfwd\" target=\"h\" password=\"*****\")\n");
}

static void any_bytes_are_survived(void) {
        static const char bytes[] = "mail.* /a\0b\nif $msg == \"\0\" then stop\n$template x,\"\0\n\0action(\0=\"\")\n";
        _owned_(fixture_fini) struct fixture f = {0};
        registry_new(&f.registry, NULL);
        CHECK_INT(config_load_text(&f.config, f.registry, "x", (struct text){bytes, sizeof bytes}, &fixture_options,
                                   &f.diagnostics),
                  0);
        CHECK(f.diagnostics.errors > 0);
}

TEST_MAIN(TEST(modules_and_inputs_get_typed_settings), TEST(an_action_has_its_own_settings_and_its_queues),
          TEST(module_parameters_are_defaults_of_its_objects), TEST(templates_keep_what_their_compiler_needs),
          TEST(other_definitions_wait_for_those_who_use_them), TEST(config_enabled_turns_any_object_off),
          TEST(mistakes_in_objects_are_named_where_they_are), TEST(an_input_module_that_nothing_uses_is_named),
          TEST(what_was_meant_is_told_where_it_can_be_known), TEST(what_the_environment_leaves_unset_is_off),
          TEST(broken_syntax_is_told_once_and_reading_goes_on), TEST(the_valid_part_of_an_object_counts_as_in_rsyslogd),
          TEST(a_queue_on_disk_that_cannot_be_there_is_warned_about),
          TEST(what_a_stop_makes_unreachable_is_warned_about), TEST(files_are_included_in_order_and_by_every_form),
          TEST(mistakes_name_the_included_file), TEST(files_that_include_themselves_are_stopped),
          TEST(the_flat_form_shows_includes_in_place), TEST(back_ticks_read_the_environment_and_files),
          TEST(a_sealed_load_touches_nothing), TEST(a_missing_master_file_is_a_failure),
          TEST(secrets_are_masked_when_printed), TEST(any_bytes_are_survived))
