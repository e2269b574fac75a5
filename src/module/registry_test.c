#include "module/registry.h"

#include <errno.h>

#include "base/test.h"
#include "module/log.h"

static const struct module omfile_module = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omfile"};
static const struct module imtcp_module = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "imtcp"};

const struct module *const *registry_builtin(void) {
        static const struct module *const all[] = {&omfile_module, &imtcp_module, NULL};
        return all;
}

static void a_builtin_answers_to_every_way_of_naming_it(void) {
        _owned_(registry_free) struct registry *registry = NULL;
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(registry_new(&registry, "/nowhere"), 0);
        const char *const names[] = {"imtcp",
                                     "imtcp.so",
                                     "IMTCP",
                                     "builtin:imtcp",
                                     "../plugins/imtcp/.libs/imtcp",
                                     "/usr/lib/rsyslog/imtcp.so",
                                     "./imtcp.la"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const struct module *found = NULL;
                CHECK_INT(registry_find(registry, text_of(names[i]), &found, &complaint), 0);
                CHECK(found == &imtcp_module);
        }
        CHECK_INT(complaint.size, 0);
}

static void an_unknown_module_is_refused_with_paths_and_a_suggestion(void) {
        _owned_(registry_free) struct registry *registry = NULL;
        _owned_(buffer_fini) struct buffer complaint = {0};
        const struct module *found = NULL;
        CHECK_INT(registry_new(&registry, "/nowhere:/neither"), 0);
        CHECK_INT(registry_find(registry, TEXT("imtpc"), &found, &complaint), -ENOENT);
        CHECK_TEXT(buffer_as_text(&complaint), "there is no such module (not built in, and not found as "
                                               "/nowhere/imtpc.so, /neither/imtpc.so); did you mean `imtcp`?");
        CHECK_INT(registry_find(registry, TEXT(""), &found, &complaint), -ENOENT);
        buffer_clear(&complaint);
        CHECK_INT(registry_find(registry, TEXT("builtin:omfwd"), &found, &complaint), -ENOENT);
        CHECK_TEXT(buffer_as_text(&complaint),
                   "there is no such module; rsyslog's module of that name is not part of Penstock yet");
}

static void a_file_that_is_no_module_is_refused(void) {
        _owned_(registry_free) struct registry *registry = NULL;
        _owned_(buffer_fini) struct buffer complaint = {0};
        const struct module *found = NULL;
        char path[] = "/tmp/registry_test_XXXXXX.so";
        int fd = mkstemps(path, 3);
        CHECK(fd >= 0);
        FILE *file = fdopen(fd, "w");
        fputs("this is no shared object", file);
        fclose(file);
        CHECK_INT(registry_new(&registry, ""), 0);
        CHECK_INT(registry_find(registry, text_of(path), &found, &complaint), -ENOEXEC);
        CHECK(text_find(buffer_as_text(&complaint), TEXT("cannot open")) >= 0);
        remove(path);
}

static void only_what_rsyslog_has_loaded_needs_no_load(void) {
        CHECK(registry_is_always_loaded(&omfile_module));
        CHECK(!registry_is_always_loaded(&imtcp_module));
}

static char heard[256];

static void hear(struct reporter *reporter, enum severity severity, int code, const char *line) {
        snprintf(heard, sizeof heard, "%d %d %s", (int)severity, code, line);
}

static void a_running_module_speaks_through_a_reporter(void) {
        struct reporter reporter = {.emit = hear};
        struct module_log_reporter log;
        module_log_reporter_init(&log, &reporter, "omx: ");
        module_report(&log.log, 4, 2007, "lost %d", 7);
        CHECK_TEXT(text_of(heard), "4 2007 omx: lost 7");
        module_report_param(&log.log, 3, "port", "%s", "is odd");
        CHECK_TEXT(text_of(heard), "3 0 omx: parameter 'port': is odd");
        module_report(NULL, 3, 0, "nobody listens");
}

TEST_MAIN(TEST(a_builtin_answers_to_every_way_of_naming_it),
          TEST(an_unknown_module_is_refused_with_paths_and_a_suggestion), TEST(a_file_that_is_no_module_is_refused),
          TEST(only_what_rsyslog_has_loaded_needs_no_load), TEST(a_running_module_speaks_through_a_reporter))
