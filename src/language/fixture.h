/*
 * One load of a configuration, for the tests of the language.
 */
#pragma once

#include <stdio.h>

#include "base/test.h"
#include "language/diagnostics.h"
#include "language/fixture_modules.h"
#include "language/tree.h"
#include "module/settings.h"

struct fixture {
        struct registry *registry;
        struct config *config;
        struct diagnostics diagnostics;
        struct buffer text;
};

static inline bool fixture_property(struct text name, const char **closest) {
        static const char *const names[] = {"msg",      "hostname",    "programname",    "syslogtag",
                                            "fromhost", "fromhost-ip", "syslogseverity", "syslogfacility-text",
                                            "now"};
        if (name.size && name.data[0] == '$')
                name = text_slice(name, 1, name.size);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (text_equal_nocase(name, text_of(names[i])))
                        return true;
        *closest = text_closest(name, names, ARRAY_SIZE(names));
        return false;
}

static const char *const fixture_templates[] = {"RSYSLOG_FileFormat", "RSYSLOG_TraditionalFileFormat",
                                                "RSYSLOG_ForwardFormat", NULL};
static const struct config_options fixture_options = {.template_names = fixture_templates,
                                                      .property_is_known = fixture_property};

static inline void fixture_fini(struct fixture *f) {
        config_free(f->config);
        registry_free(f->registry);
        diagnostics_fini(&f->diagnostics);
        buffer_fini(&f->text);
}
OWNED_VALUE(struct fixture, fixture_fini);

static inline void fixture_load(struct fixture *f, const char *text) {
        registry_new(&f->registry, "");
        int r = config_load_text(&f->config, f->registry, "test.conf", text_of(text), &fixture_options,
                                 &f->diagnostics);
        if (r)
                f->config = NULL;
}

/* Everything that was wrong, as the user sees it. */
static inline struct text fixture_complaints(struct fixture *f) {
        buffer_clear(&f->text);
        diagnostics_print(&f->diagnostics, &f->text, false);
        return buffer_as_text(&f->text);
}

/* The statements of the default ruleset, or of the named one, in the new form. */
static inline struct text fixture_statements(struct fixture *f, const char *ruleset) {
        buffer_clear(&f->text);
        for (const struct ruleset_def *r = f->config->rulesets; r; r = r->next)
                if (strcmp(r->name, ruleset ? ruleset : "RSYSLOG_DefaultRuleset") == 0)
                        statements_print(&f->text, r->statements, 0, SECRETS_MASKED);
        return buffer_as_text(&f->text);
}

#define CHECK_CLEAN(f)                                                                                                 \
        do {                                                                                                           \
                struct text complaints_ = fixture_complaints(f);                                                       \
                if (complaints_.size)                                                                                  \
                        TEST_FAIL("complaints:\n%.*s", TEXT_ARGS(complaints_));                                        \
        } while (0)
