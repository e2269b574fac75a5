#include "bus/settings.h"

#include <errno.h>

#include "io/test_place.h"

struct listening {
        struct reporter reporter;
        char said[4096];
};

static void listen_to(struct reporter *reporter, enum severity severity _unused_, int code _unused_, const char *line) {
        struct listening *l = CONTAINER_OF(reporter, struct listening, reporter);
        size_t size = strlen(l->said);
        snprintf(l->said + size, sizeof l->said - size, "%s\n", line);
}

static int load(const char *content, struct settings *s, struct policy *p, struct settings_place *place,
                struct listening *l) {
        test_place();
        FILE *file = fopen(test_place_path("config"), "w");
        CHECK(file);
        fputs(content, file);
        fclose(file);
        *l = (struct listening){.reporter.emit = listen_to};
        settings_init(s);
        *p = (struct policy){0};
        *place = (struct settings_place){.mode = -1};
        return settings_load(test_place_path("config"), s, p, place, &l->reporter);
}

static void a_file_sets_items_and_policy(void) {
        struct settings s;
        struct policy p;
        struct settings_place place;
        struct listening l;
        CHECK_INT(load("{\"answer_timeout\": 5, \"log_level\": \"debug\", \"socket\": \"/x\", \"mode\": \"0660\",\n"
                       " \"policy\": [{\"may\":\"own\",\"allow\":false,\"uid\":7,\"name\":\"Zone*\"}]}",
                       &s, &p, &place, &l),
                  0);
        CHECK_INT(s.answer_timeout_ms, 5);
        CHECK_INT(s.stall_timeout_ms, 5000);
        CHECK_INT(s.log_level, SEVERITY_DEBUG);
        CHECK_TEXT(text_of(place.socket_path), "/x");
        CHECK_INT(place.mode, 0660);
        const struct policy_subject seven = {.uid = 7}, eight = {.uid = 8};
        CHECK_INT(policy_ask(&p, POLICY_OWN, &seven, TEXT("ZoneMgr")), POLICY_DENIED);
        CHECK_INT(policy_ask(&p, POLICY_OWN, &eight, TEXT("ZoneMgr")), POLICY_SILENT);
        CHECK_INT(policy_ask(&p, POLICY_OWN, &seven, TEXT("Other")), POLICY_SILENT);
        CHECK_INT(policy_ask(&p, POLICY_SEND, &seven, TEXT("ZoneMgr")), POLICY_SILENT);
        policy_fini(&p);
        settings_place_fini(&place);
}

static void every_mistake_is_told_and_nothing_changes(void) {
        struct settings s;
        struct policy p;
        struct settings_place place;
        struct listening l;
        CHECK_INT(load("{\"answer_timout\": 5,\n\"queue_limit\": 1,\n\"stall_timeout\": 77,\n\"log_level\": 3,\n"
                       "\"policy\": [{\"may\":\"fly\"}, 7],\n\"mode\": \"9\"}",
                       &s, &p, &place, &l),
                  -EINVAL);
        CHECK_INT(s.stall_timeout_ms, 5000);
        CHECK(strstr(l.said, ":1:") && strstr(l.said, "did you mean \"answer_timeout\""));
        CHECK(strstr(l.said, ":2:") && strstr(l.said, "4096"));
        CHECK(strstr(l.said, ":4:") && strstr(l.said, "notice"));
        CHECK(strstr(l.said, ":5:") && strstr(l.said, "\"own\""));
        CHECK(strstr(l.said, ":6:") && strstr(l.said, "octal"));
        CHECK_INT(p.count, 0);
}

static void only_a_rule_that_speaks_of_events_concerns_them(void) {
        struct settings s;
        struct policy p;
        struct settings_place place;
        struct listening l;
        const struct policy_subject anyone = {.uid = 7, .gid = 8};
        CHECK_INT(
                load("{\"policy\": [{\"may\":\"send\",\"allow\":false,\"name\":\"Event/secret*\"},"
                     "{\"may\":\"send\",\"allow\":true,\"gid\":8,\"name\":\"x\"},{\"may\":\"send\",\"allow\":false}]}",
                     &s, &p, &place, &l),
                0);
        CHECK_INT(policy_ask(&p, POLICY_SEND, &anyone, TEXT("Event/secret1")), POLICY_DENIED);
        CHECK_INT(policy_ask(&p, POLICY_SEND, &anyone, TEXT("Event/other")), POLICY_SILENT);
        CHECK_INT(policy_ask(&p, POLICY_SEND, &anyone, TEXT("x")), POLICY_ALLOWED);
        CHECK_INT(policy_ask(&p, POLICY_SEND, &anyone, TEXT("y")), POLICY_DENIED);
        policy_fini(&p);
}

TEST_MAIN(TEST(a_file_sets_items_and_policy), TEST(every_mistake_is_told_and_nothing_changes),
          TEST(only_a_rule_that_speaks_of_events_concerns_them))
