#include "modifier/mmjsontransform_policy.h"

#include <errno.h>
#include <stdio.h>

#include "base/test.h"
#include "module/log.h"

struct said {
        struct module_log log;
        char last[512];
};

static void said_emit(struct module_log *log, int severity _unused_, int code _unused_, const char *param,
                      const char *line) {
        struct said *said = CONTAINER_OF(log, struct said, log);
        snprintf(said->last, sizeof said->last, "%s: %s", param, line);
}

static void expect_mistake(const char *text, const char *words) {
        struct said said = {.log.emit = said_emit};
        struct transform_policy *policy = NULL;
        CHECK_INT(transform_policy_parse(&policy, "p.yaml", text_of(text), &said.log), -EBADMSG);
        CHECK_TEXT(text_slice(text_of(said.last), 0, strlen(words)), words);
}

static void apply(const char *text, const char *object, int wanted, const char *result) {
        struct said said = {.log.emit = said_emit};
        _owned_(transform_policy_free) struct transform_policy *policy = NULL;
        CHECK_INT(transform_policy_parse(&policy, "p.yaml", text_of(text), &said.log), 0);
        struct arena arena = {0};
        struct json *value = NULL;
        struct text where = TEXT_NONE;
        size_t used;
        CHECK_INT(json_parse(&arena, text_of(object), &value, &used), 0);
        CHECK_INT(transform_policy_apply(policy, &arena, value, &where), wanted);
        _owned_(buffer_fini) struct buffer printed = {0};
        json_print(&printed, value, JSON_COMPACT);
        if (wanted)
                CHECK_TEXT(where, result);
        else
                CHECK_TEXT(buffer_as_text(&printed), result);
        arena_fini(&arena);
}

static void keys_are_dropped_then_renamed(void) {
        static const char text[] = "version: 1\n"
                                   "map:\n"
                                   "  rename:\n"
                                   "    usr: user.name\n"
                                   "    ctx.old: ctx.new\n"
                                   "    gone: here\n"
                                   "  drop:\n"
                                   "    - debug\n"
                                   "    - a.b.c\n";
        apply(text, "{\"usr\":1,\"ctx.old\":2,\"debug\":{\"x\":1},\"k\":3}", 0,
              "{\"user.name\":1,\"ctx.new\":2,\"k\":3}");
        apply(text, "{\"ctx\":{\"old\":2},\"a\":{\"b.c\":1,\"d\":2}}", 0, "{\"ctx.new\":2,\"a\":{\"d\":2}}");
        apply(text, "{\"a.b\":{\"c\":1}}", 0, "{}");
        apply(text, "{\"usr\":1,\"user.name\":2}", -EEXIST, "user.name");
}

static void what_a_policy_leaves_out_is_the_actions(void) {
        struct said said = {.log.emit = said_emit};
        struct transform_policy *policy = NULL;
        CHECK_INT(transform_policy_parse(&policy, "p", TEXT("version: 1\n"), &said.log), 0);
        CHECK_INT(transform_policy_mode(policy), MODE_OF_ACTION);
        transform_policy_free(policy);
        CHECK_INT(transform_policy_parse(&policy, "p", TEXT("mode: FLATTEN\n"), &said.log), 0);
        CHECK_INT(transform_policy_mode(policy), MODE_FLATTEN);
        transform_policy_free(policy);
}

static void a_mistake_has_its_place(void) {
        expect_mistake("version: 2\n", "policy: p.yaml:1:10: '2' is no version");
        expect_mistake("mode: both\n", "policy: p.yaml:1:7: 'both' is no mode");
        expect_mistake("map:\n  remane: {}\n", "policy: p.yaml:2:3: 'remane' is not known here: rename and drop");
        expect_mistake("map:\n  drop: debug\n", "policy: p.yaml:2:9: 'drop' needs a sequence");
        expect_mistake("map:\n  rename:\n    a: b..c\n", "policy: p.yaml:3:8: 'b..c' is no path");
        expect_mistake("map:\n  rename: {a: [b]}\n", "policy: p.yaml:2:15: '' is no path");
        expect_mistake("map:\n  rename: {a: b, a: c}\n", "policy: p.yaml:2:18: 'a' is renamed twice");
        expect_mistake("mode: flatten\nmode: flatten\n", "policy: p.yaml:2:1: 'mode' is given more than once");
        expect_mistake("- 1\n", "policy: p.yaml:1:1: 'a policy' needs a mapping");
        expect_mistake("a: [\n", "policy: p.yaml:2:1: ");
}

TEST_MAIN(TEST(keys_are_dropped_then_renamed), TEST(what_a_policy_leaves_out_is_the_actions),
          TEST(a_mistake_has_its_place))
