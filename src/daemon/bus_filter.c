#include "daemon/bus_filter.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "message/property.h"
#include "ruleset/filter.h"

enum { FILTER_BYTES_MAX = 64 << 10 };

struct typed_filter {
        struct run run;
        bool has_run;
        struct config *config; /* holds the expression */
        struct filter *filter; /* NULL: everything passes */
};

struct typed_filter *typed_filter_free(struct typed_filter *f) {
        if (!f)
                return NULL;
        filter_free(f->filter);
        config_free(f->config);
        if (f->has_run)
                run_fini(&f->run);
        free(f);
        return NULL;
}

static const struct template *no_template(void *owner _unused_, const char *name _unused_) {
        return NULL;
}

/* The condition of the one statement that was made of the text; NULL: it is something else. */
static const struct expr *condition_of(const struct config *config) {
        const struct statement *s = config && config->rulesets ? config->rulesets->statements : NULL;
        bool is_one = s && s->kind == STATEMENT_IF && !s->next && !s->otherwise && s->body &&
                      s->body->kind == STATEMENT_STOP && !s->body->next;
        return is_one ? s->condition : NULL;
}

static void tell_first(const struct diagnostics *d, struct buffer *mistake) {
        for (const struct diagnostic *one = d->first; one; one = one->next)
                if (one->severity <= SEVERITY_ERR) {
                        buffer_format(mistake, "%s", one->message);
                        return;
                }
        buffer_text(mistake, TEXT("this is no condition, such as stands behind `if`"));
}

static int compile(struct typed_filter *f, struct registry *registry, const char *text, struct buffer *mistake) {
        _owned_(buffer_fini) struct buffer whole = {0};
        _owned_(diagnostics_fini) struct diagnostics diagnostics = {0};
        const struct config_options options = {.property_is_known = property_is_known, .is_sealed = true};
        const struct expression_names names = {.find_template = no_template};
        buffer_format(&whole, "if (%s\n) then stop\n", text);
        if (buffer_failed(&whole))
                return fail(-ENOMEM);
        int r = config_load_text(&f->config, registry, "filter", buffer_as_text(&whole), &options, &diagnostics);
        const struct expr *condition = r || diagnostics.errors ? NULL : condition_of(f->config);
        if (condition)
                r = filter_new(&f->filter, condition, &names, &diagnostics);
        if (condition && r == 0)
                return 0;
        tell_first(&diagnostics, mistake);
        return r == -ENOMEM ? r : -EINVAL;
}

int typed_filter_new(struct typed_filter **ret, struct pipeline *p, struct registry *registry, const char *text,
                     struct buffer *mistake) {
        _owned_(typed_filter_free) struct typed_filter *f = calloc(1, sizeof *f);
        if (!f)
                return fail(-ENOMEM);
        if (text && strlen(text) > FILTER_BYTES_MAX) {
                buffer_format(mistake, "a filter has at most %d bytes", FILTER_BYTES_MAX);
                return -EINVAL;
        }
        int r = pipeline_run_init(p, &f->run);
        if (r)
                return pass(r);
        f->has_run = true;
        r = text && *text ? compile(f, registry, text, mistake) : 0;
        if (r)
                return r;
        *ret = TAKE(f);
        return 0;
}

size_t typed_filter_narrow(struct typed_filter *f, struct batch *b, const uint16_t *selection, size_t count,
                           uint16_t *passed) {
        if (f->filter)
                return filter_narrow(f->filter, &f->run.evaluation, b, selection, count, passed, NULL);
        memcpy(passed, selection, count * sizeof *passed);
        return count;
}

struct property_context *typed_filter_context(struct typed_filter *f) {
        return &f->run.context;
}
