/*
 * Any bytes as a configuration, of RainerScript or (after a first byte y) YAML: the load ends,
 * tells its mistakes, and what is left of the tree can be printed in both.
 */
#include "language/diagnostics.h"
#include "language/tree.h"

static const char *const templates[] = {"RSYSLOG_FileFormat", NULL};

static bool property_is_known(struct text name, const char **closest) {
        return text_equal_nocase(name, TEXT("msg"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct config_options options = {
                .template_names = templates, .property_is_known = property_is_known, .is_sealed = true};
        _owned_(registry_free) struct registry *registry = NULL;
        _owned_(diagnostics_fini) struct diagnostics diagnostics = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        _owned_(config_free) struct config *config = NULL;
        if (registry_new(&registry, ""))
                return 0;
        struct text text = {(const char *)data, size};
        bool is_yaml = text_starts(text, TEXT("y"));
        if (is_yaml)
                text = text_slice(text, 1, text.size);
        if (config_load_text(&config, registry, is_yaml ? "fuzz.yaml" : "fuzz", text, &options, &diagnostics))
                return 0;
        for (const struct ruleset_def *r = config->rulesets; r; r = r->next)
                statements_print(&out, r->statements, 0, SECRETS_MASKED);
        (void)config_print(&out, config, DIALECT_RAINERSCRIPT, SECRETS_MASKED);
        (void)config_print(&out, config, DIALECT_YAML, SECRETS_SHOWN);
        config_print_flat(&out, config);
        diagnostics_print(&diagnostics, &out, true);
        for (const struct diagnostic *d = diagnostics.first; d; d = d->next)
                diagnostic_line(d, &out);
        return 0;
}
