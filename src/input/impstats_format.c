#include "input/impstats_format.h"

#include <assert.h>

#include "base/json.h"
#include "input/metric_name.h"

static void render_legacy(struct buffer *out, const struct statistic_object *o) {
        buffer_text(out, o->name);
        buffer_text(out, TEXT(": origin="));
        buffer_text(out, text_of(o->origin));
        buffer_byte(out, ' ');
        for (size_t i = 0; i < o->count; i++) {
                buffer_text(out, o->values[i].name);
                buffer_byte(out, '=');
                buffer_int(out, o->values[i].value);
                buffer_byte(out, ' ');
        }
}

static void put_name(struct buffer *out, struct text name, bool has_bangs) {
        buffer_byte(out, '"');
        size_t from = out->size;
        json_escape(out, name);
        for (size_t i = from; has_bangs && i < out->size; i++)
                if (out->data[i] == '.')
                        out->data[i] = '!';
        buffer_text(out, TEXT("\": "));
}

static void render_json(struct buffer *out, const struct statistic_object *o, bool has_bangs) {
        buffer_text(out, TEXT("{ \"name\": \""));
        json_escape(out, o->name);
        buffer_text(out, TEXT("\", \"origin\": \""));
        json_escape(out, text_of(o->origin));
        buffer_byte(out, '"');
        if (o->is_nested)
                buffer_text(out, TEXT(", \"values\": {"));
        for (size_t i = 0; i < o->count; i++) {
                buffer_text(out, i || !o->is_nested ? TEXT(", ") : TEXT(" "));
                put_name(out, o->values[i].name, has_bangs);
                buffer_int(out, o->values[i].value);
        }
        buffer_text(out, o->is_nested ? TEXT(" } }") : TEXT(" }"));
}

void impstats_render(struct buffer *out, const struct statistic_object *o, enum impstats_format format) {
        assert(format != IMPSTATS_PROMETHEUS);
        if (format == IMPSTATS_LEGACY) {
                render_legacy(out, o);
                return;
        }
        if (format == IMPSTATS_CEE)
                buffer_text(out, TEXT("@cee: "));
        render_json(out, o, format == IMPSTATS_JSON_ELASTICSEARCH);
}

/* In quotes, with the escapes of Prometheus' text. */
static void put_quoted(struct buffer *out, struct text t) {
        buffer_byte(out, '"');
        for (size_t i = 0; i < t.size; i++) {
                if (t.data[i] == '"' || t.data[i] == '\\' || t.data[i] == '\n')
                        buffer_byte(out, '\\');
                buffer_byte(out, t.data[i] == '\n' ? 'n' : t.data[i]);
        }
        buffer_byte(out, '"');
}

void impstats_render_counter(struct buffer *out, const struct statistic_object *o, const struct statistic_value *v) {
        _owned_(buffer_fini) struct buffer name = {0};
        metric_name(&name, (struct text){0}, o->name, v->name);
        struct text metric = buffer_as_text(&name);
        buffer_text(out, TEXT("# HELP "));
        buffer_text(out, metric);
        buffer_text(out, TEXT(" rsyslog stats: origin="));
        put_quoted(out, text_of(o->origin));
        buffer_text(out, TEXT(" object="));
        put_quoted(out, o->name);
        buffer_text(out, TEXT(", counter="));
        put_quoted(out, v->name);
        buffer_text(out, TEXT("\n# TYPE "));
        buffer_text(out, metric);
        buffer_text(out, TEXT(" counter\n"));
        buffer_text(out, metric);
        buffer_byte(out, ' ');
        buffer_int(out, v->value);
        buffer_byte(out, '\n');
        out->is_failed |= name.is_failed;
}
