#include "module/settings.h"

#include <errno.h>

#include "base/test.h"
#include "module/objects.h"

struct sample {
        bool is_on;
        int64_t count, bytes, mode, user, severity, byte;
        char *word;
        char *secret;
        struct strings words;
        int choice;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct param sample_params[] = {
        PARAM_BOOL(struct sample, is_on, .name = "on", .dflt = "on", .help = "A switch."),
        PARAM_INT(struct sample, count, .name = "count", .alias = "number howmany", .dflt = "3", .min = 1, .max = 9,
                  .help = "A number."),
        PARAM_SIZE(struct sample, bytes, .name = "bytes", .dflt = "8k", .help = "A size."),
        PARAM_MODE(struct sample, mode, .name = "mode", .dflt = "0644", .help = "A mode."),
        PARAM_USER(struct sample, user, .name = "user", .help = "A user."),
        PARAM_SEVERITY(struct sample, severity, .name = "severity", .dflt = "8", .max = 8, .help = "A severity."),
        PARAM_CHAR(struct sample, byte, .name = "byte", .dflt = "-1", .min = -1, .max = 255, .help = "A byte."),
        PARAM_STRING(struct sample, word, .name = "word", .dflt = "hello", .flags = PARAM_INHERITS, .help = "A word."),
        PARAM_STRING(struct sample, secret, .name = "secret", .flags = PARAM_IS_SECRET, .help = "A secret."),
        PARAM_STRINGS(struct sample, words, .name = "words", .flags = PARAM_INHERITS, .help = "Words."),
        PARAM_CHOICE(struct sample, choice, .name = "choice", .choices = colours, .dflt = "green", .help = "A choice."),
        {}};
static const struct settings_type sample_type = SETTINGS(struct sample, sample_params);

static int set(struct sample *s, const char *name, const char *value, struct buffer *complaint) {
        struct text item = text_of(value);
        return settings_set(s, param_find(sample_params, text_of(name)),
                            &(struct param_value){.items = &item, .count = 1}, complaint);
}

static void defaults_come_from_the_table(void) {
        struct sample *s = settings_new(&sample_type);
        CHECK(s && s->is_on);
        CHECK_INT(s->count, 3);
        CHECK_INT(s->bytes, 8192);
        CHECK_INT(s->mode, 0644);
        CHECK_INT(s->user, -1);
        CHECK_INT(s->severity, 8);
        CHECK_INT(s->choice, 1);
        CHECK_TEXT(text_of(s->word), "hello");
        settings_free(&sample_type, s);
}

static void numbers_are_read_as_rainerscript_does(void) {
        struct sample *s = settings_new(&sample_type);
        struct buffer complaint = {0};
        CHECK_INT(set(s, "count", "0x8", &complaint), 0);
        CHECK_INT(s->count, 8);
        CHECK_INT(set(s, "count", "07", &complaint), 0);
        CHECK_INT(s->count, 7);
        CHECK_INT(set(s, "bytes", "2K", &complaint), 0);
        CHECK_INT(s->bytes, 2000);
        CHECK_INT(set(s, "bytes", "2g", &complaint), 0);
        CHECK_INT(s->bytes, 2ll << 30);
        CHECK_INT(set(s, "bytes", "9999999999999g", &complaint), -EINVAL);
        CHECK_INT(set(s, "byte", "10", &complaint), 0);
        CHECK_INT(s->byte, 10);
        CHECK_INT(set(s, "byte", "|", &complaint), 0);
        CHECK_INT(s->byte, '|');
        CHECK_INT(set(s, "mode", "0700", &complaint), 0);
        CHECK_INT(s->mode, 0700);
        CHECK_INT(set(s, "user", "root", &complaint), 0);
        CHECK_INT(s->user, 0);
        settings_free(&sample_type, s);
        buffer_fini(&complaint);
}

static void what_is_wrong_is_said_with_what_would_be_right(void) {
        struct sample *s = settings_new(&sample_type);
        struct buffer complaint = {0};
        CHECK_INT(set(s, "count", "10", &complaint), -EINVAL);
        CHECK_TEXT(buffer_as_text(&complaint), "'10' is out of bounds: a whole number, 1 to 9 is wanted");
        buffer_clear(&complaint);
        CHECK_INT(set(s, "choice", "gren", &complaint), -EINVAL);
        CHECK_TEXT(buffer_as_text(&complaint),
                   "'gren' is not known: one of red, green, blue is wanted; did you mean `green`?");
        buffer_clear(&complaint);
        CHECK_INT(set(s, "user", "no-such-user-here", &complaint), -EINVAL);
        CHECK_TEXT(buffer_as_text(&complaint), "ID for user 'no-such-user-here' could not be found");
        CHECK_INT(set(s, "on", "maybe", &complaint), -EINVAL);
        CHECK_INT(set(s, "mode", "0888", &complaint), -EINVAL);
        CHECK_INT(s->count, 3);
        struct text two[] = {TEXT("1"), TEXT("2")};
        CHECK_INT(settings_set(s, &sample_params[1], &(struct param_value){two, 2, true}, &complaint), -EINVAL);
        settings_free(&sample_type, s);
        buffer_fini(&complaint);
}

static void names_aliases_and_typing_errors_are_found(void) {
        CHECK(param_find(sample_params, TEXT("HowMany")) == &sample_params[1]);
        CHECK(!param_find(sample_params, TEXT("cuont")));
        CHECK_TEXT(text_of(param_closest(sample_params, TEXT("cuont"))), "count");
        CHECK(!param_closest(sample_params, TEXT("zzzzzzz")));
        CHECK(param_list_has("a bc d", TEXT("BC")));
        CHECK(!param_list_has("a bc d", TEXT("b")));
}

static void unset_parameters_inherit_from_the_module(void) {
        struct sample *module = settings_new(&sample_type), *object = settings_new(&sample_type);
        struct buffer complaint = {0};
        struct text two[] = {TEXT("x"), TEXT("y")};
        CHECK_INT(set(module, "word", "theirs", &complaint), 0);
        CHECK_INT(settings_set(module, &sample_params[9], &(struct param_value){two, 2, true}, &complaint), 0);
        bool is_set[ARRAY_SIZE(sample_params)] = {0};
        CHECK_INT(settings_inherit(object, sample_params, is_set, module, sample_params), 0);
        CHECK_TEXT(text_of(object->word), "theirs");
        CHECK_INT(object->words.count, 2);
        CHECK_INT(set(object, "word", "mine", &complaint), 0);
        is_set[7] = true;
        CHECK_INT(settings_inherit(object, sample_params, is_set, module, sample_params), 0);
        CHECK_TEXT(text_of(object->word), "mine");
        settings_free(&sample_type, module);
        settings_free(&sample_type, object);
        buffer_fini(&complaint);
}

static void a_reset_brings_the_default_back(void) {
        struct sample *s = settings_new(&sample_type);
        struct buffer complaint = {0};
        CHECK_INT(set(s, "word", "other", &complaint), 0);
        CHECK_INT(set(s, "secret", "other", &complaint), 0);
        CHECK_INT(set(s, "count", "9", &complaint), 0);
        CHECK_INT(set(s, "on", "off", &complaint), 0);
        for (const struct param *p = sample_params; p->name; p++)
                CHECK_INT(settings_reset(s, p), 0);
        CHECK_TEXT(text_of(s->word), "hello");
        CHECK(!s->secret && s->is_on);
        CHECK_INT(s->count, 3);
        settings_free(&sample_type, s);
        buffer_fini(&complaint);
}

static void values_print_as_they_are_written_and_secrets_are_masked(void) {
        struct sample *s = settings_new(&sample_type);
        struct buffer out = {0};
        CHECK_INT(set(s, "secret", "xyzzy", &out), 0);
        struct text two[] = {TEXT("x"), TEXT("a\"b")};
        CHECK_INT(settings_set(s, &sample_params[9], &(struct param_value){two, 2, true}, &out), 0);
        for (const struct param *p = sample_params; p->name; p++) {
                settings_print(&out, s, p);
                buffer_byte(&out, ' ');
        }
        CHECK_TEXT(
                buffer_as_text(&out),
                "\"on\" \"3\" \"8k\" \"0644\" \"-1\" \"8\" \"-1\" \"hello\" \"*****\" [\"x\", \"a\\\"b\"] \"green\" ");
        settings_free(&sample_type, s);
        buffer_fini(&out);
}

static void every_table_of_objects_has_valid_defaults_and_help(void) {
        const struct settings_type *types[] = {&queue_settings_type, &action_settings_type, &global_settings_type};
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                void *settings = settings_new(types[i]);
                CHECK(settings);
                settings_free(types[i], settings);
                for (const struct param *p = types[i]->params; p->name; p++) {
                        CHECK(p->help && *p->help);
                        CHECK(param_find(types[i]->params, text_of(p->name)) == p);
                }
        }
}

static void a_queue_knows_whom_it_serves(void) {
        struct queue_settings *main_queue = queue_settings_new(QUEUE_OF_MAIN, NULL);
        struct queue_settings *action = queue_settings_new(QUEUE_OF_ACTION, NULL);
        CHECK_INT(main_queue->type, QUEUE_FIXED_ARRAY);
        CHECK_INT(main_queue->size, 50000);
        CHECK_INT(action->type, QUEUE_DIRECT);
        CHECK_INT(action->size, 1000);
        CHECK_INT(action->timeout_shutdown_ms, 10);
        settings_free(&queue_settings_type, main_queue);
        settings_free(&queue_settings_type, action);
}

static void facilities_and_severities_have_names_and_numbers(void) {
        CHECK_INT(facility_by_name(TEXT("LOCAL7")), 23);
        CHECK_INT(facility_by_name(TEXT("security")), 4);
        CHECK_INT(facility_by_name(TEXT("24")), -1);
        CHECK_INT(severity_by_name(TEXT("warn")), 4);
        CHECK_INT(severity_by_name(TEXT("debug")), 7);
        CHECK_INT(severity_by_name(TEXT("none")), -1);
        CHECK_INT(severity_by_name(TEXT("4")), 4);
        CHECK_INT(severity_by_name(TEXT("+4")), -1);
        CHECK_TEXT(text_of(facility_name(10)), "authpriv");
        CHECK_TEXT(text_of(severity_name(4)), "warning");
}

TEST_MAIN(TEST(defaults_come_from_the_table), TEST(numbers_are_read_as_rainerscript_does),
          TEST(what_is_wrong_is_said_with_what_would_be_right), TEST(names_aliases_and_typing_errors_are_found),
          TEST(unset_parameters_inherit_from_the_module), TEST(a_reset_brings_the_default_back),
          TEST(values_print_as_they_are_written_and_secrets_are_masked),
          TEST(every_table_of_objects_has_valid_defaults_and_help), TEST(a_queue_knows_whom_it_serves),
          TEST(facilities_and_severities_have_names_and_numbers))
