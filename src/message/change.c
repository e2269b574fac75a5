#include "message/change.h"

#include <errno.h>

#include "base/fail.h"
#include "message/variable.h"

enum { FACILITY_INVALID = 24, SEVERITY_MAX = 7, NUMBER_TEXT_MAX = 32, NAME_BYTES_MAX = 1024 };

/* How much of the raw message stands before the text; all, where the text does not lie in it. */
static size_t size_before_msg(const struct record *r) {
        bool is_inside = r->msg.at >= r->raw.at && r->msg.at <= r->raw.at + r->raw.size;
        return is_inside ? r->msg.at - r->raw.at : r->raw.size;
}

int change_msg(struct batch *b, struct record *r, struct text t) {
        struct text before = text_slice(batch_text(b, r->raw), 0, size_before_msg(r));
        struct span raw;
        char *room = batch_room(b, before.size + t.size, &raw);
        if (!room)
                return fail(-ENOMEM);
        if (before.size)
                memcpy(room, before.data, before.size);
        if (t.size)
                memcpy(room + before.size, t.data, t.size);
        r->raw = raw;
        r->msg = span_slice(raw, before.size, raw.size);
        return 0;
}

/* ---- By name ------------------------------------------------------------- */

static int change_raw(struct batch *b, struct record *r, struct text t) {
        size_t before = MIN(size_before_msg(r), t.size);
        struct span raw = batch_store(b, t);
        if (raw.size != t.size)
                return fail(-ENOMEM);
        r->raw = raw;
        r->msg = span_slice(raw, before, raw.size);
        r->pri_size = 0;
        return 0;
}

static int change_tag(struct batch *b, struct record *r, struct text t) {
        struct span tag = batch_store(b, t);
        if (tag.size != t.size)
                return fail(-ENOMEM);
        r->tag = tag;
        r->flags &= (uint16_t)~RECORD_IS_NAMED;
        return 0;
}

static int change_span(struct batch *b, struct record *r, struct span *span, uint16_t flag, struct text t) {
        struct span stored = batch_store(b, t);
        if (stored.size != t.size)
                return fail(-ENOMEM);
        *span = stored;
        r->flags |= flag;
        return 0;
}

static int change_host(struct batch *b, struct record *r, struct text t) {
        return change_span(b, r, &r->host, 0, t);
}

static int change_procid(struct batch *b, struct record *r, struct text t) {
        return change_span(b, r, &r->procid, RECORD_HAS_PROCID, t);
}

static int change_msgid(struct batch *b, struct record *r, struct text t) {
        return change_span(b, r, &r->msgid, 0, t);
}

static int change_structured(struct batch *b, struct record *r, struct text t) {
        return change_span(b, r, &r->structured, 0, t);
}

/* The sender is shared by many records, so this one gets a sender of its own. */
static int rename_source(struct batch *b, struct record *r, bool is_host, struct text t) {
        char name[NAME_BYTES_MAX + 1];
        if (!r->source || t.size > NAME_BYTES_MAX)
                return 0;
        if (t.size)
                memcpy(name, t.data, t.size);
        name[t.size] = '\0';
        _owned_(source_unref) struct source *renamed =
                source_new_renamed(r->source, is_host ? name : NULL, is_host ? NULL : name);
        return renamed && batch_change_source(b, r, renamed) ? 0 : fail(-ENOMEM);
}

static int change_fromhost(struct batch *b, struct record *r, struct text t) {
        return rename_source(b, r, true, t);
}

static int change_fromhost_ip(struct batch *b, struct record *r, struct text t) {
        return rename_source(b, r, false, t);
}

/* Digits at the start of the text, as far as they go; what begins otherwise is 0. */
static int64_t leading_number(struct text t) {
        size_t digits = t.size && t.data[0] == '-';
        while (digits < MIN(t.size, (size_t)9) && t.data[digits] >= '0' && t.data[digits] <= '9')
                digits++;
        int64_t number = 0;
        return text_to_int(text_slice(t, 0, digits), &number) ? 0 : number;
}

static int change_pri(struct batch *b _unused_, struct record *r, struct text t) {
        int64_t pri = leading_number(t);
        bool is_valid = pri >= 0 && pri >> 3 < FACILITY_INVALID;
        r->facility = is_valid ? (uint8_t)(pri >> 3) : FACILITY_INVALID;
        r->severity = is_valid ? (uint8_t)(pri & SEVERITY_MAX) : SEVERITY_MAX;
        return 0;
}

static int change_facility(struct batch *b _unused_, struct record *r, struct text t) {
        int64_t facility = leading_number(t);
        if (facility >= 0 && facility <= FACILITY_INVALID)
                r->facility = (uint8_t)facility;
        return 0;
}

static int change_severity(struct batch *b _unused_, struct record *r, struct text t) {
        int64_t severity = leading_number(t);
        if (severity >= 0 && severity <= SEVERITY_MAX)
                r->severity = (uint8_t)severity;
        return 0;
}

static const struct {
        const char *name;
        int (*change)(struct batch *b, struct record *r, struct text t);
} changes[] = {
        {"rawmsg", change_raw},
        {"msg", change_msg},
        {"syslogtag", change_tag},
        {"hostname", change_host},
        {"fromhost", change_fromhost},
        {"fromhost-ip", change_fromhost_ip},
        {"pri", change_pri},
        {"syslogfacility", change_facility},
        {"syslogseverity", change_severity},
        {"procid", change_procid},
        {"msgid", change_msgid},
        {"structured-data", change_structured},
};

int change_property(struct batch *b, struct record *r, const struct property_context *context, struct text name,
                    struct json *value) {
        if (value->type == JSON_NULL)
                return 0;
        if (text_equal(name, TEXT("$!"))) {
                const struct container root = {'!', TEXT("")};
                int merged = value->type == JSON_OBJECT ? container_add(&root, context, b, r, value) : 0;
                return merged == -ENOMEM ? pass(merged) : 0;
        }
        size_t i = 0;
        while (i < ARRAY_SIZE(changes) && !text_equal(name, text_of(changes[i].name)))
                i++;
        if (i == ARRAY_SIZE(changes))
                return 0;
        if (value->type == JSON_STRING)
                return changes[i].change(b, r, value->string);
        _owned_(buffer_fini) struct buffer printed = {0};
        variable_text(&printed, value);
        if (buffer_failed(&printed))
                return fail(-ENOMEM);
        return changes[i].change(b, r, buffer_as_text(&printed));
}
