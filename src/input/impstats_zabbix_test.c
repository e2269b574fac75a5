#include "input/impstats_zabbix.h"

#include "base/test.h"

static const struct statistic_value value[] = {{TEXT("size.now"), 1}};

static struct statistic_object object(const char *name, const char *origin) {
        return (struct statistic_object){.name = text_of(name), .origin = origin, .values = value, .count = 1};
}

static void check_report(struct zabbix_report *z, const char *wanted) {
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK(zabbix_end(z, &out, TEXT("now")) == 0);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static void objects_stand_with_their_origin_wherever_they_came(void) {
        struct zabbix_report z = {0};
        const struct statistic_object a = object("main Q", "core.queue"), b = object("w", "core.action"),
                                      c = object("r", "core.queue");
        zabbix_begin(&z);
        zabbix_add(&z, &a);
        zabbix_add(&z, &b);
        zabbix_add(&z, &c);
        check_report(&z, "{ \"timedate\": \"now\", "
                         "\"stats_core_queue\": [{ \"name\": \"main Q\", \"origin\": \"core.queue\", \"size.now\": 1 },"
                         "{ \"name\": \"r\", \"origin\": \"core.queue\", \"size.now\": 1 }], "
                         "\"stats_core_action\": [{ \"name\": \"w\", \"origin\": \"core.action\", \"size.now\": 1 }]}");
        zabbix_fini(&z);
}

static void a_report_holds_nothing_of_the_one_before(void) {
        struct zabbix_report z = {0};
        const struct statistic_object a = object("main Q", "core.queue"), b = object("imtcp(1)", "imtcp");
        zabbix_begin(&z);
        zabbix_add(&z, &a);
        zabbix_begin(&z);
        zabbix_add(&z, &b);
        check_report(&z,
                     "{ \"timedate\": \"now\", "
                     "\"stats_imtcp_local\": [{ \"name\": \"imtcp(1)\", \"origin\": \"imtcp\", \"size.now\": 1 }]}");
        zabbix_begin(&z);
        check_report(&z, "{ \"timedate\": \"now\"}");
        zabbix_fini(&z);
}

TEST_MAIN(TEST(objects_stand_with_their_origin_wherever_they_came), TEST(a_report_holds_nothing_of_the_one_before))
