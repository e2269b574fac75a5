/* Parsers for what devices and old daemons send, each before the usual two in a chain. */
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "parser/parse_one.h"

extern const struct module pmaixforwardedfrom_module, pmciscoios_module, pmcisconames_module, pmdb2diag_module,
        pmlastmsg_module, pmnull_module, pmpanngfw_module, pmsnare_module;

/* Before any promise, because the zone of the machine is looked up once. */
static void __attribute__((constructor)) use_utc(void) {
        setenv("TZ", "UTC", 1);
        tzset();
}

/* A chain of one device parser and the usual two; what it needs beside the bench. */
struct device {
        struct bench bench;
        const struct module *module;
        void *settings, *instance;
};

static void device_open(struct device *d, const struct module *module, const struct host_facts *facts, const char *name,
                        const char *value) {
        *d = (struct device){.module = module, .settings = settings_new(&module->settings)};
        CHECK(d->settings);
        if (name) {
                struct text given = text_of(value);
                _owned_(buffer_fini) struct buffer complaint = {0};
                const struct param *param = param_find(module->settings.params, text_of(name));
                CHECK(param);
                CHECK(settings_set(d->settings, param, &(struct param_value){.items = &given, .count = 1},
                                   &complaint) == 0);
        }
        bench_open(&d->bench, false, false, "");
        CHECK(module->parser->open(&d->instance, &d->bench.said.log, facts, d->settings) == 0);
        CHECK(parser_chain_add(&d->bench.chain, module, d->instance) == 0);
        d->bench.settings = settings_new(&pmrfc3164_module.settings);
        CHECK(pmrfc3164_module.parser->open(&d->bench.rfc3164, &d->bench.said.log, facts, d->bench.settings) == 0);
        CHECK(parser_chain_add(&d->bench.chain, &pmrfc3164_module, d->bench.rfc3164) == 0);
}

static void device_close(struct device *d) {
        d->module->parser->close(d->instance);
        settings_free(&d->module->settings, d->settings);
        bench_close(&d->bench);
}

static void check_parts(struct device *d, const char *raw, const char *host, const char *tag, const char *msg) {
        CHECK(bench_parse(&d->bench, raw));
        CHECK_TEXT(FIELD(&d->bench, host), host);
        CHECK_TEXT(FIELD(&d->bench, tag), tag);
        CHECK_TEXT(FIELD(&d->bench, msg), msg);
}

static void last_message_repeated_is_no_host_and_no_tag(void) {
        struct device d;
        device_open(&d, &pmlastmsg_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<13>Last message repeated 17 times", "", "", "Last message repeated 17 times");
        check_parts(&d, "<13>last message repeated x times", "last", "message", " repeated x times");
        device_close(&d);
}

static void the_colon_behind_a_cisco_name_goes(void) {
        struct device d;
        device_open(&d, &pmcisconames_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<166>Apr  3 02:35:12 asa01 : %ASA-6-302013: Built", "asa01", "%ASA-6-302013:", " Built");
        check_parts(&d, "<166>Apr  3 2015 02:35:12 asa01 : %ASA-6-302013: Built", "asa01", "%ASA-6-302013:", " Built");
        check_parts(&d, "<166>Apr  3 02:35:12 asa01 tag: nothing to repair", "asa01", "tag:", " nothing to repair");
        device_close(&d);
}

static void the_words_of_aix_go(void) {
        struct device d;
        device_open(&d, &pmaixforwardedfrom_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<13>Oct 11 22:14:15 Message forwarded from aix1: su: bad", "aix1", "su:", " bad");
        check_parts(&d, "<13>Oct 11 22:14:15 From aix1: su: bad", "aix1", "su:", " bad");
        device_close(&d);
}

static void the_tabs_of_snare_become_blanks(void) {
        struct device d;
        device_open(&d, &pmsnare_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<13>win1\tMSWinEventLog\t1\tSecurity", "win1", "MSWinEventLog", " 1#011Security");
        check_parts(&d, "<13>Oct 11 22:14:15 win1 LinuxKAudit\t1\tx", "win1", "LinuxKAudit", " 1#011x");
        device_close(&d);
}

static void snare_eats_nothing_where_no_tab_follows(void) {
        struct device d;
        device_open(&d, &pmsnare_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<13>Oct 11 22:14:15 win1 MSWinEventLog 1\tSecurity", "win1", "MSWinEventLog",
                    " 1#011Security");
        device_close(&d);
}

static void a_parser_of_its_own_knows_how_tabs_were_escaped(void) {
        struct device d;
        device_open(&d, &pmsnare_module, &facts_usual, "parser.controlcharacterescapeprefix", "!");
        check_parts(&d, "<13>win1!011MSWinEventLog!0111!011Security", "win1", "MSWinEventLog", " 1!011Security");
        device_close(&d);
        device_open(&d, &pmsnare_module, &facts_usual, "parser.escapecontrolcharacterscstyle", "on");
        check_parts(&d, "<13>win1\\tMSWinEventLog\\t1\\tSecurity log", "win1", "MSWinEventLog", " 1\\tSecurity log");
        device_close(&d);
}

static void cisco_ios_is_taken_apart(void) {
        struct device d;
        device_open(&d, &pmciscoios_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<187>148: *Apr  3 02:35:12.048: %LINK-3-UPDOWN: up", "", "%LINK-3-UPDOWN:", " up");
        CHECK_INT(d.bench.record->reported.month, 4);
        CHECK_INT(d.bench.record->reported.fraction, 48);
        CHECK_INT(d.bench.record->reported.precision, 3);
        device_close(&d);
        device_open(&d, &pmciscoios_module, &facts_usual, "present.origin", "on");
        check_parts(&d, "<187>148: fe80::1: Apr  3 02:35:12: %LINK-3-UPDOWN: up", "fe80::1", "%LINK-3-UPDOWN:", " up");
        device_close(&d);
        device_open(&d, &pmciscoios_module, &facts_usual, "present.xr", "on");
        check_parts(&d, "<187>39: RP/0:Apr  3 02:35:12 : config[6]: %MGBL-6-DB : done", "", "%MGBL-6-DB:", " done");
        device_close(&d);
}

static void a_zone_counts_when_the_configuration_names_it(void) {
        char *named[] = {"EST", "-05:00"};
        struct strings zones = {.items = named, .count = 2};
        struct host_facts facts = facts_usual;
        facts.zones = &zones;
        struct device d;
        device_open(&d, &pmciscoios_module, &facts, NULL, NULL);
        check_parts(&d, "<187>148: Apr  3 02:35:12 EST: %LINK-3-UPDOWN: up", "", "%LINK-3-UPDOWN:", " up");
        CHECK_INT(d.bench.record->reported.offset_minutes, -300);
        check_parts(&d, "<187>148: Apr  3 02:35:12 XYZ: %LINK-3-UPDOWN: up", "", "%LINK-3-UPDOWN:", " up");
        CHECK_INT(d.bench.record->reported.offset_minutes, 0);
        device_close(&d);
}

static void what_does_not_fit_is_left_to_the_next_as_it_came(void) {
        struct device d;
        device_open(&d, &pmciscoios_module, &facts_usual, NULL, NULL);
        check_parts(&d, "<187>148: Apr  3 02:35:12: no tag", "", "148:", " Apr  3 02:35:12: no tag");
        CHECK_INT(d.bench.record->reported.month, 10);
        device_close(&d);
}

static void null_parses_nothing(void) {
        struct device d;
        device_open(&d, &pmnull_module, &facts_usual, "tag", "mytag");
        check_parts(&d, "<189>Oct 11 22:14:15 host tag: x", "", "mytag", "<189>Oct 11 22:14:15 host tag: x");
        CHECK_INT(d.bench.record->facility, 1);
        CHECK_INT(d.bench.record->severity, 5);
        device_close(&d);
}

static void entries_of_db2_have_date_level_and_process(void) {
        static const char entry[] =
                "2015-05-06-16.53.26.989402+120 E1876227378A1702     LEVEL: Error\\n"
                "PID     : 4390948              TID : 89500          PROC : db2sysc 0\\nINSTANCE: db2itst";
        struct device d;
        device_open(&d, &pmdb2diag_module, &facts_usual, NULL, NULL);
        check_parts(&d, entry, "", "", entry);
        struct record *r = d.bench.record;
        CHECK_TEXT(FIELD(&d.bench, procid), "4390948");
        CHECK_TEXT(FIELD(&d.bench, app), "db2sysc");
        CHECK_INT(r->severity, 3);
        CHECK_INT(r->reported.year, 2015);
        CHECK_INT(r->reported.second, 26);
        CHECK_INT(r->reported.fraction, 989402);
        CHECK_INT(r->reported.offset_minutes, 120);
        /* Cut short anywhere, it is somebody else's. */
        for (size_t size = 0; size < 60; size++)
                CHECK(bench_parse_text(&d.bench, (struct text){entry, size}));
        device_close(&d);
}

static void check_variables(struct device *d, const char *raw, const char *wanted) {
        CHECK(bench_parse(&d->bench, raw));
        _owned_(buffer_fini) struct buffer printed = {0};
        if (d->bench.record->tree[TREE_MESSAGE])
                json_print(&printed, d->bench.record->tree[TREE_MESSAGE], JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&printed), wanted);
}

static void a_firewalls_csv_is_variables_and_its_type_the_tag(void) {
        struct device d;
        device_open(&d, &pmpanngfw_module, &facts_usual, NULL, NULL);
        check_parts(&d,
                    "<14>Aug  1 12:00:00 fw1 1,2023/08/01 12:00:00,0128,TRAFFIC,end,2305,2023/08/01 12:00:01,192.0.2.1",
                    "fw1", "TRAFFIC:", " 1,2023/08/01 12:00:00,0128,TRAFFIC,end,2305,2023/08/01 12:00:01,192.0.2.1");
        check_parts(&d, "<14>Aug  1 12:00:00 1,2023/08/01 12:00:00,0128,HIP-MATCH,0,x", "",
                    "HIP-MATCH:", " 1,2023/08/01 12:00:00,0128,HIP-MATCH,0,x");
        check_variables(
                &d,
                "<14>Aug  1 12:00:00 fw1 1,2023/08/01 12:00:00,0128,SYSTEM,auth,0,2023/08/01 12:00:01,,login,,0,0,"
                "general,high,\"User \"\"joe\"\", in\",77",
                "{\"panngfw\":{\"receive_time\":\"2023\\/08\\/01 12:00:00\",\"serial\":\"0128\",\"type\":\"SYSTEM\","
                "\"subtype\":\"auth\",\"time_generated\":\"2023\\/08\\/01 12:00:01\",\"vsys\":\"\","
                "\"eventid\":\"login\",\"object\":\"\",\"module\":\"general\",\"severity\":\"high\","
                "\"opaque\":\"User \\\"joe\\\", in\",\"seqno\":\"77\"}}");
        check_variables(
                &d, "<14>Aug  1 12:00:00 fw1 1,2023/08/01 12:00:00,0128,IPTAG,x,0,,more",
                "{\"panngfw\":{\"receive_time\":\"2023\\/08\\/01 12:00:00\",\"serial\":\"0128\",\"type\":\"IPTAG\","
                "\"subtype\":\"x\",\"time_generated\":\"\"}}");
        check_variables(&d, "<14>Aug  1 12:00:00 fw1 tag: 1,2023/08/01,TRAFFIC", "");
        device_close(&d);
}

TEST_MAIN(TEST(last_message_repeated_is_no_host_and_no_tag), TEST(the_colon_behind_a_cisco_name_goes),
          TEST(the_words_of_aix_go), TEST(the_tabs_of_snare_become_blanks),
          TEST(snare_eats_nothing_where_no_tab_follows), TEST(a_parser_of_its_own_knows_how_tabs_were_escaped),
          TEST(cisco_ios_is_taken_apart), TEST(a_zone_counts_when_the_configuration_names_it),
          TEST(what_does_not_fit_is_left_to_the_next_as_it_came), TEST(null_parses_nothing),
          TEST(entries_of_db2_have_date_level_and_process), TEST(a_firewalls_csv_is_variables_and_its_type_the_tag))
