#include "input/impstats_format.h"

#include "base/json.h"

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
        if (format == IMPSTATS_LEGACY) {
                render_legacy(out, o);
                return;
        }
        if (format == IMPSTATS_CEE)
                buffer_text(out, TEXT("@cee: "));
        render_json(out, o, format == IMPSTATS_JSON_ELASTICSEARCH);
}
