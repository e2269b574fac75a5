#include "language/fixture.h"

#define CHECK_STATEMENTS(text, wanted)                                                                                 \
        do {                                                                                                           \
                _owned_(fixture_fini) struct fixture f_ = {0};                                                         \
                fixture_load(&f_, text);                                                                               \
                CHECK_CLEAN(&f_);                                                                                      \
                CHECK_TEXT(fixture_statements(&f_, NULL), wanted);                                                     \
        } while (0)

static void check_said(const char *text, unsigned errors, const char *said) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, text);
        struct text complaints = fixture_complaints(&f);
        if (f.diagnostics.errors != errors || text_find(complaints, text_of(said)) < 0)
                TEST_FAIL("not %u errors and \"%s\":\n%.*s", errors, said, TEXT_ARGS(complaints));
}

static const struct fake_file *file_of(const struct fixture *f, unsigned place) {
        const struct object *o = f->config->actions_first;
        while (o && place--)
                o = o->next;
        CHECK(o);
        return o->settings;
}

/* ---- Promises ------------------------------------------------------------------------- */

static void global_directives_hold_at_once(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "$WorkDirectory /var/spool/rsyslog # with a comment\n$umask 0022\n$PreserveFQDN on\n"
                         "$MaxMessageSize 64k\n$ControlCharacterEscapePrefix #\n$PrivDropToUser daemon\n"
                         "$RepeatedMsgReduction on\n$LogRSyslogStatusMessages off\n"
                         "$MainMsgQueueSize 100,000\n$MainMsgQueueType LinkedList\n");
        CHECK_CLEAN(&f);
        CHECK_TEXT(text_of(f.config->global->work_directory), "/var/spool/rsyslog");
        CHECK_INT(f.config->global->umask, 022);
        CHECK(f.config->global->preserves_fqdn && f.config->reduces_repeated && !f.config->logs_status);
        CHECK_INT(f.config->global->message_bytes_max, 65536);
        CHECK_TEXT(text_of(f.config->global->drop_user), "daemon");
        CHECK_INT(f.config->main_queue->size, 100000);
        CHECK_INT(f.config->main_queue->type, QUEUE_LINKED_LIST);
}

static void action_directives_prepare_the_next_old_action_only(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "$ActionQueueType LinkedList\n$ActionResumeRetryCount -1\n"
                         "$ActionName one\n$FileCreateMode 0600\n"
                         "action(type=\"omfile\" file=\"/new\")\n*.* /first\n*.* /second\n");
        CHECK_CLEAN(&f);
        const struct object *new = f.config->actions_first, *first = new->next, *second = first->next;
        CHECK(!new->has_queue && first->has_queue && !second->has_queue);
        CHECK_INT(first->queue->type, QUEUE_LINKED_LIST);
        CHECK_INT(first->action->resume_retry_count, -1);
        CHECK_TEXT(text_of(first->name), "one");
        CHECK_INT(second->action->resume_retry_count, 0);
        CHECK(!second->name);
        /* The mode of files stays, and objects of the new form never see it. */
        CHECK_INT(file_of(&f, 0)->create_mode, 0644);
        CHECK_INT(file_of(&f, 1)->create_mode, 0600);
        CHECK_INT(file_of(&f, 2)->create_mode, 0600);
}

static void reset_forgets_what_was_prepared(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "$FileCreateMode 0600\n$ActionQueueType LinkedList\n$ResetConfigVariables\n*.* /a\n");
        CHECK_CLEAN(&f);
        CHECK_INT(file_of(&f, 0)->create_mode, 0644);
        CHECK(!f.config->actions_first->has_queue);
}

static void an_input_directive_makes_an_input_and_uses_up_the_prepared(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f,
                     "$ModLoad imtcp.so\n$ModLoad imudp\n$ModLoad imfile\n$RuleSet r\nstop\n$RuleSet "
                     "RSYSLOG_DefaultRuleset\n"
                     "$InputTCPMaxSessions 77\n$InputTCPServerKeepAlive on\n$InputTCPServerBindRuleset r\n"
                     "$InputTCPServerRun 514\n$InputTCPServerRun 515\n$UDPServerAddress 127.0.0.1\n$UDPServerRun 0514\n"
                     "$InputFileName /var/log/x\n$InputFileTag x:\n$InputRunFileMonitor\n");
        CHECK_CLEAN(&f);
        const struct object *o = f.config->inputs;
        const struct fake_tcp *tcp = o->settings;
        CHECK_TEXT(text_of(tcp->port), "514");
        CHECK_TEXT(text_of(o->ruleset), "r");
        CHECK(tcp->keepalive);
        o = o->next;
        tcp = o->settings;
        CHECK_TEXT(text_of(tcp->port), "515");
        CHECK(tcp->keepalive && !o->ruleset);
        o = o->next;
        tcp = o->settings;
        CHECK_TEXT(text_of(tcp->peers.items[0]), "0514");
        CHECK_TEXT(text_of(tcp->name), "127.0.0.1");
        o = o->next;
        const struct fake_monitor *monitor = o->settings;
        CHECK_TEXT(text_of(monitor->file), "/var/log/x");
        CHECK(!o->next);
        CHECK_TEXT(fixture_statements(&f, "r"), "stop\n");
}

static void rulesets_can_be_switched_and_get_parsers_and_queues(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "$MainMsgQueueSize 1234\n$RuleSet one\n$RulesetCreateMainQueue on\n$RulesetParser "
                         "rsyslog.rfc5424\n$RulesetParser rsyslog.rfc3164\nmail.* /a\n$RuleSet two\nstop\n"
                         "$RuleSet ONE\nstop\n$DefaultRuleset two\n$RuleSet RSYSLOG_DefaultRuleset\ncontinue\n");
        CHECK_CLEAN(&f);
        CHECK_TEXT(fixture_statements(&f, "one"), "mail.* {\n    action(type=\"omfile\" file=\"/a\")\n}\nstop\n");
        CHECK_TEXT(fixture_statements(&f, "two"), "stop\n");
        CHECK_TEXT(fixture_statements(&f, NULL), "continue\n");
        const struct ruleset_def *one = f.config->rulesets->next;
        CHECK_INT(one->parsers.count, 2);
        CHECK_INT(one->queue->size, 1234);
        CHECK_TEXT(text_of(f.config->default_ruleset), "two");
}

static void allowed_senders_are_listed_by_protocol(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "$AllowedSender UDP, 127.0.0.1, 192.0.2.0/24, [::1]/128, *.example.net # us\n"
                         "$AllowedSender TCP, 10.0.0.1\n");
        CHECK_CLEAN(&f);
        const struct allowed_senders *a = f.config->allowed_senders;
        CHECK_TEXT(text_of(a->protocol), "UDP");
        CHECK_INT(a->senders.count, 4);
        CHECK_TEXT(text_of(a->senders.items[2]), "[::1]/128");
        CHECK_TEXT(text_of(a->next->protocol), "TCP");
}

static void distributions_defaults_load_without_a_word(void) {
        CHECK_STATEMENTS("module(load=\"imuxsock\") # local\nmodule(load=\"imklog\" permitnonkernelfacility=\"on\")\n"
                         "$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat\n$RepeatedMsgReduction on\n"
                         "$FileOwner root\n$FileGroup root\n$FileCreateMode 0640\n$DirCreateMode 0755\n$Umask 0022\n"
                         "$PrivDropToUser daemon\n$PrivDropToGroup daemon\n$WorkDirectory /var/spool/rsyslog\n"
                         "$IncludeConfig /nonexistent/rsyslog.d/*.conf\n",
                         "");
        CHECK_STATEMENTS(
                "$ModLoad imuxsock # local\n$ModLoad imjournal # journal\n#$ModLoad imklog\n"
                "$WorkDirectory /var/lib/rsyslog\n$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat\n"
                "$IncludeConfig /nonexistent/*.conf\n$OmitLocalLogging on\n$IMJournalStateFile imjournal.state\n"
                "*.info;mail.none;authpriv.none;cron.none                /var/log/messages\n"
                "uucp,news.crit                                          /var/log/spooler\n"
                "$ActionQueueMaxDiskSpace 1g   # limit\n"
                "$ActionQueueSaveOnShutdown on # save\n$ActionQueueType LinkedList   # run\n"
                "$ActionResumeRetryCount -1    # infinite\n*.* @@remote-host:514\n",
                "*.info;mail,cron,authpriv.none {\n    action(type=\"omfile\" file=\"/var/log/messages\" "
                "template=\"RSYSLOG_TraditionalFileFormat\")\n}\n"
                "news,uucp.crit {\n    action(type=\"omfile\" file=\"/var/log/spooler\" "
                "template=\"RSYSLOG_TraditionalFileFormat\")\n}\n"
                "*.* {\n    action(type=\"omfwd\" protocol=\"tcp\" target=\"remote-host\" port=\"514\" "
                "queue.type=\"LinkedList\" queue.saveonshutdown=\"on\" queue.maxdiskspace=\"1g\" "
                "action.resumeretrycount=\"-1\")\n}\n");
        CHECK_STATEMENTS("global(workDirectory=\"/var/lib/rsyslog\")\n"
                         "module(load=\"builtin:omfile\" Template=\"RSYSLOG_TraditionalFileFormat\")\n"
                         "module(load=\"imuxsock\"    # local\n       SysSock.Use=\"off\") # off\n\t\t  # more\n"
                         "module(load=\"imjournal\"             # journal\n       UsePid=\"system\" # PID\n"
                         "       FileCreateMode=\"0644\" # mode\n       StateFile=\"imjournal.state\") # file\n"
                         "include(file=\"/nonexistent/*.conf\" mode=\"optional\")\n",
                         "");
        CHECK_STATEMENTS(
                "$ModLoad immark.so      # marks\n$MarkMessagePeriod      3600\n$ModLoad imklog.so\n"
                "$klogConsoleLogLevel    1       # level\n"
                "if      ( \\\n   /* kernel */ \\\n  ($syslogfacility-text == 'kern')      and      \\\n"
                "  ($syslogseverity <= 4 /* warning */ ) and not  \\\n"
                "  ($msg contains 'IN=' and $msg contains 'OUT=') \\\n) \\\nthen    /dev/tty10\n"
                "&       |/dev/xconsole\n",
                "if $syslogfacility-text == 'kern' and $syslogseverity <= 4 and not ($msg contains 'IN=' and $msg "
                "contains 'OUT=') then {\n    action(type=\"omfile\" file=\"/dev/tty10\")\n    "
                "action(type=\"ompipe\" pipe=\"/dev/xconsole\")\n}\n");
}

static void what_cannot_be_used_says_what_replaces_it(void) {
        check_said("$FooBar 7\n", 1,
                   "invalid or yet-unknown config file command 'FooBar' - have you forgotten to load a "
                   "module?");
        check_said("$FileCraeteMode 0600\n", 1, "did you mean `$FileCreateMode`?");
        check_said("$IncludeConfg /x\n", 1, "did you mean `$IncludeConfig`?");
        check_said("$InputTCPServerRun 514\n", 1, "it belongs to imtcp: write module(load=\"imtcp\") before it");
        check_said("$InputRELPServerRun 514\n", 1, "module(load=\"imrelp\") and input(type=\"imrelp\" ...)");
        check_said("$ActionOMRulesetRulesetName x\n", 1, "write `call NAME` instead");
        check_said("$ModLoad imnosuch\n", 1, "could not load module 'imnosuch'");
        check_said("$MainMsgQueueSize x\n", 1, "parameter 'queue.size' does not contain a valid size");
        check_said("$FileCreateMode 9\nmail.* /a\n", 1, "is not a file mode");
        check_said("$FileOwner no-such-user\n", 1, "ID for user 'no-such-user' could not be found");
        check_said("$WorkDirectory /a b\n", 1, "extra characters in config line ignored: 'b'");
        check_said("$template x\n", 1, "a name and a text in quotes");
        check_said("$template x,\"abc\n", 1, "has no closing \"");
        check_said("$template x,\"abc\"def\n", 1, "extra characters in config line ignored: 'def'");
        check_said("$template x,\"abc\",sqll\n", 1, "unknown template option 'sqll'");
        check_said("$outchannel x\n", 1, "a name, a path and a size");
        check_said("*.* :omfile:$nochan\n", 1, "outchannel 'nochan' not found");
        check_said("$AllowedSender XYZ, 1.2.3.4\n", 1, "a protocol (UDP or TCP)");
        check_said("$DefaultRuleset nosuch\n", 1, "ruleset 'nosuch' cannot be found");
        check_said("$ActionFileDefaultTemplate nosuch\nmail.* /a\n", 2,
                   "1:28: error: Could not find template 0 'nosuch' - the default is used");
        check_said("$DebugLevel 2\n", 0, "$DebugLevel has no effect");
        check_said("$ModLoad imfile\n$InputFileName /x\n$InputRunFileMonitor\n", 1,
                   "parameter 'tag' required but not specified");
}

/* Every directive that any rsyslog ever had gets an answer of its own. */
static void no_directive_of_rsyslog_is_a_stranger(void) {
        static const char *const samples[] = {"ActionGSSForwardDefaultTemplate",
                                              "ActionLibdbiDBName",
                                              "ActionMailTo",
                                              "ActionOMMySQLServerPort",
                                              "ActionOMUDPSpoofTargetHost",
                                              "ActionSNMPTarget",
                                              "GSSMode",
                                              "Input3195ListenPort",
                                              "InputGSSServerRun",
                                              "InputPTCPServerRun",
                                              "MMNormalizeRule",
                                              "MMSnmptrapdTag",
                                              "OMHDFSHost",
                                              "OMUxSockSocket",
                                              "PStatInterval",
                                              "SystemLogSocketAnnotate",
                                              "ActionSendStreamDriver",
                                              "OMFileZipLevel",
                                              "DynaFileCacheSize"};
        for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
                _owned_(buffer_fini) struct buffer text = {0};
                buffer_format(&text, "$%s x\n", samples[i]);
                check_said(buffer_string(&text), 1, "in the new form its parameters stand in");
        }
}

TEST_MAIN(TEST(global_directives_hold_at_once), TEST(action_directives_prepare_the_next_old_action_only),
          TEST(reset_forgets_what_was_prepared), TEST(an_input_directive_makes_an_input_and_uses_up_the_prepared),
          TEST(rulesets_can_be_switched_and_get_parsers_and_queues), TEST(allowed_senders_are_listed_by_protocol),
          TEST(distributions_defaults_load_without_a_word), TEST(what_cannot_be_used_says_what_replaces_it),
          TEST(no_directive_of_rsyslog_is_a_stranger))
