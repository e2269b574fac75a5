#include "input/imjournal_entry.h"

#include "base/json.h"

enum { SEVERITY_MAX = 7, FACILITY_MAX = 23, FACILITY_DIGITS_MAX = 2 };

static const struct text known_names[FIELDS_KNOWN] = {
#define NAME(literal)                                                                                                  \
        { literal, sizeof(literal) - 1 }
        [FIELD_MESSAGE] = NAME("MESSAGE"),
        [FIELD_PRIORITY] = NAME("PRIORITY"),
        [FIELD_FACILITY] = NAME("SYSLOG_FACILITY"),
        [FIELD_IDENTIFIER] = NAME("SYSLOG_IDENTIFIER"),
        [FIELD_COMMAND] = NAME("_COMM"),
        [FIELD_SYSLOG_PID] = NAME("SYSLOG_PID"),
        [FIELD_PID] = NAME("_PID"),
#undef NAME
};

void entry_begin(struct entry *e, int64_t time_us) {
        buffer_clear(&e->bytes);
        e->count = 0;
        e->time_us = time_us;
        memset(e->known, 0, sizeof e->known);
}

void entry_fini(struct entry *e) {
        buffer_fini(&e->bytes);
}

static struct text name_of(const struct entry *e, const struct entry_field *f) {
        return (struct text){e->bytes.data + f->at, f->name_size};
}

static struct text value_of(const struct entry *e, const struct entry_field *f) {
        return (struct text){e->bytes.data + f->at + f->name_size, f->value_size};
}

static void blank_nuls(char *data, size_t size) {
        for (char *nul; size && (nul = memchr(data, '\0', size)) != NULL;) {
                *nul = ' ';
                size -= (size_t)(nul + 1 - data);
                data = nul + 1;
        }
}

bool entry_add(struct entry *e, struct text field, size_t value_bytes_max) {
        const char *equals = field.size ? memchr(field.data, '=', field.size) : NULL;
        if (!equals || equals == field.data)
                return false;
        struct text name = text_slice(field, 0, (size_t)(equals - field.data));
        struct text value = text_slice(text_slice(field, name.size + 1, field.size), 0, value_bytes_max);
        size_t at = e->bytes.size;
        if (e->count == ENTRY_FIELDS_MAX || name.size + value.size > ENTRY_BYTES_MAX - at ||
            !buffer_reserve(&e->bytes, name.size + value.size))
                return true;
        buffer_text(&e->bytes, name);
        buffer_text(&e->bytes, value);
        blank_nuls(e->bytes.data + at + name.size, value.size);
        struct entry_field *f = &e->fields[e->count++];
        *f = (struct entry_field){(uint32_t)at, (uint32_t)name.size, (uint32_t)value.size};
        for (size_t i = 0; i < FIELDS_KNOWN; i++)
                if (!e->known[i] && text_equal(name, known_names[i]))
                        e->known[i] = f;
        return true;
}

struct text entry_known(const struct entry *e, enum known_field field) {
        return e->known[field] ? value_of(e, e->known[field]) : TEXT_NONE;
}

enum entry_priority entry_severity(const struct entry *e, uint8_t dflt, uint8_t *ret) {
        *ret = dflt;
        if (!e->known[FIELD_PRIORITY])
                return PRIORITY_IS_FINE;
        struct text t = entry_known(e, FIELD_PRIORITY);
        if (t.size != 1)
                return PRIORITY_HAS_LENGTH;
        unsigned severity = (unsigned char)t.data[0] - (unsigned)'0';
        if (severity > SEVERITY_MAX)
                return PRIORITY_IS_OUT_OF_BOUNDS;
        *ret = (uint8_t)severity;
        return PRIORITY_IS_FINE;
}

uint8_t entry_facility(const struct entry *e, uint8_t dflt) {
        struct text t = entry_known(e, FIELD_FACILITY);
        if (t.size == 0 || t.size > FACILITY_DIGITS_MAX)
                return dflt;
        unsigned facility = 0;
        for (size_t i = 0; i < t.size; i++) {
                unsigned digit = (unsigned char)t.data[i] - (unsigned)'0';
                if (digit > 9)
                        return dflt;
                facility = facility * 10 + digit;
        }
        return facility > FACILITY_MAX ? dflt : (uint8_t)facility;
}

/* Where the process id stands; NULL: nowhere. An empty one is one. */
static const struct entry_field *pid_of(const struct entry *e, enum pid_origin origin) {
        if (origin != PID_FROM_SYSTEM && e->known[FIELD_SYSLOG_PID])
                return e->known[FIELD_SYSLOG_PID];
        return origin == PID_FROM_SYSLOG ? NULL : e->known[FIELD_PID];
}

void entry_tag(struct buffer *out, const struct entry *e, const struct entry_rules *rules) {
        if (e->known[FIELD_IDENTIFIER])
                buffer_text(out, entry_known(e, FIELD_IDENTIFIER));
        else if (e->known[FIELD_COMMAND])
                buffer_text(out, entry_known(e, FIELD_COMMAND));
        else
                buffer_text(out, text_of(rules->default_tag));
        const struct entry_field *pid = pid_of(e, rules->pid_origin);
        if (pid) {
                buffer_byte(out, '[');
                buffer_text(out, value_of(e, pid));
                buffer_byte(out, ']');
        }
        buffer_byte(out, ':');
}

/* A tree without memory for all of it is no tree. */
static struct json *tree_of(const struct entry *e, struct arena *a) {
        struct json *tree = json_object(a);
        for (unsigned i = 0; tree && i < e->count; i++) {
                struct json *value = json_string(a, value_of(e, &e->fields[i]));
                if (!value || json_set(a, tree, name_of(e, &e->fields[i]), value))
                        return NULL;
        }
        return tree;
}

struct record *entry_take(const struct entry *e, const struct entry_rules *rules, struct intake *in,
                          struct source *source, struct buffer *scratch) {
        buffer_clear(scratch);
        entry_tag(scratch, e, rules);
        struct text raw = text_slice(entry_known(e, FIELD_MESSAGE), 0, (size_t)rules->sanitize.bytes_max);
        struct record *r = intake_copy(in, source, raw, e->time_us);
        if (!r)
                return NULL;
        sanitize(in->batch, r, &rules->sanitize);
        r->msg = r->raw;
        r->tag = batch_store(in->batch, buffer_as_text(scratch));
        r->reported = stamp_of_wall(e->time_us);
        r->facility = entry_facility(e, rules->default_facility);
        entry_severity(e, rules->default_severity, &r->severity);
        r->flags |= RECORD_IS_PARSED | RECORD_NO_HOSTNAME;
        r->tree[TREE_MESSAGE] = tree_of(e, &in->batch->arena);
        return r;
}
