#include "input/remote_write.h"

#include "base/fail.h"
#include "input/metric_name.h"

/* Protocol buffers: a field is its number and a wire type, then bytes whose number stands before them, or 8 bytes. */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

enum { VARINT_BYTES_MAX = 10 };

static size_t varint_size(uint64_t value) {
        size_t size = 1;
        while (value >>= 7)
                size++;
        return size;
}

static void put_varint(struct buffer *to, uint64_t value) {
        char bytes[VARINT_BYTES_MAX];
        size_t size = 0;
        do {
                bytes[size++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
                value >>= 7;
        } while (value);
        buffer_append(to, bytes, size);
}

static void put_tag(struct buffer *to, unsigned field, unsigned wire) {
        put_varint(to, field << 3 | wire);
}

static size_t text_field_size(struct text t) {
        return 1 + varint_size(t.size) + t.size;
}

static void put_text(struct buffer *to, unsigned field, struct text t) {
        put_tag(to, field, WIRE_BYTES);
        put_varint(to, t.size);
        buffer_text(to, t);
}

static void put_label(struct buffer *to, const struct remote_label *label) {
        put_tag(to, 1, WIRE_BYTES);
        put_varint(to, text_field_size(label->name) + text_field_size(label->value));
        put_text(to, 1, label->name);
        put_text(to, 2, label->value);
}

static void put_sample(struct buffer *to, int64_t value, int64_t now_ms) {
        double number = (double)value;
        uint64_t bits;
        char bytes[sizeof bits];
        static_assert(sizeof number == sizeof bits, "a double is 64 bits");
        memcpy(&bits, &number, sizeof bits);
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (char)(bits >> (8 * i));
        put_tag(to, 2, WIRE_BYTES);
        put_varint(to, 1 + sizeof bytes + 1 + varint_size((uint64_t)now_ms));
        put_tag(to, 1, WIRE_FIXED64);
        buffer_append(to, bytes, sizeof bytes);
        put_tag(to, 2, WIRE_VARINT);
        put_varint(to, (uint64_t)now_ms);
}

/* ---- Series ------------------------------------------------------------------ */

/* Sorted by name; one that is there already stays, and one too many is left out. */
static void add_label(struct remote_label *labels, size_t *count, struct remote_label added) {
        size_t at = *count;
        while (at && text_compare(labels[at - 1].name, added.name) > 0)
                at--;
        if (*count == REMOTE_LABELS_MAX || (at && text_equal(labels[at - 1].name, added.name)))
                return;
        memmove(labels + at + 1, labels + at, (*count - at) * sizeof *labels);
        labels[at] = added;
        (*count)++;
}

static void render_series(struct remote_write *w, const struct statistic_object *o, const struct statistic_value *v) {
        struct remote_label labels[REMOTE_LABELS_MAX];
        size_t count = 0;
        buffer_clear(&w->name);
        metric_name(&w->name, text_of(o->origin), o->name, v->name);
        add_label(labels, &count, (struct remote_label){TEXT("__name__"), buffer_as_text(&w->name)});
        for (size_t i = 0; i < w->label_count; i++)
                add_label(labels, &count, w->labels[i]);
        if (w->names_origin)
                add_label(labels, &count, (struct remote_label){TEXT("origin"), text_of(o->origin)});
        if (w->names_object)
                add_label(labels, &count, (struct remote_label){TEXT("name"), o->name});
        buffer_clear(&w->one);
        for (size_t i = 0; i < count; i++)
                put_label(&w->one, &labels[i]);
        put_sample(&w->one, v->value, w->now_ms);
        w->one.is_failed |= w->name.is_failed;
}

static void close_body(struct remote_write *w) {
        if (w->series == 0)
                return;
        buffer_append(&w->ends, &w->bytes.size, sizeof w->bytes.size);
        w->begin = w->bytes.size;
        w->series = 0;
}

static bool is_body_full(const struct remote_write *w) {
        size_t size = w->bytes.size - w->begin + text_field_size(buffer_as_text(&w->one));
        return (w->series_max && w->series >= w->series_max) || (w->bytes_max && size > (size_t)w->bytes_max);
}

void remote_write_fini(struct remote_write *w) {
        buffer_fini(&w->bytes);
        buffer_fini(&w->ends);
        buffer_fini(&w->name);
        buffer_fini(&w->one);
}

void remote_write_begin(struct remote_write *w, int64_t now_ms) {
        w->now_ms = now_ms;
        buffer_clear(&w->bytes);
        buffer_clear(&w->ends);
        w->begin = 0;
        w->series = 0;
}

void remote_write_add(struct remote_write *w, const struct statistic_object *object) {
        for (size_t i = 0; i < object->count; i++) {
                render_series(w, object, &object->values[i]);
                if (is_body_full(w))
                        close_body(w);
                put_text(&w->bytes, 1, buffer_as_text(&w->one));
                w->bytes.is_failed |= w->one.is_failed;
                w->series++;
        }
}

int remote_write_end(struct remote_write *w) {
        close_body(w);
        int r = buffer_failed(&w->bytes);
        if (r == 0)
                r = buffer_failed(&w->ends);
        return r ? fail(r) : 0;
}

size_t remote_write_count(const struct remote_write *w) {
        return w->ends.size / sizeof(size_t);
}

struct text remote_write_body(const struct remote_write *w, size_t index) {
        size_t from = 0, to;
        if (index)
                memcpy(&from, w->ends.data + (index - 1) * sizeof from, sizeof from);
        memcpy(&to, w->ends.data + index * sizeof to, sizeof to);
        return (struct text){w->bytes.data + from, to - from};
}
