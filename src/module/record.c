/*
 * Records as modules of other people see them: the functions at the end of
 * module.h. They are in the executables themselves, so that a shared object that
 * is loaded finds them.
 */
#include <errno.h>

#include "base/fail.h"
#include "message/property.h"
#include "message/variable.h"
#include "module/module.h"

enum { PRI_MAX = 191 };

struct record *penstock_record(struct batch *b, size_t index) {
        assert(index < b->count);
        return &b->records[index];
}

static bool is_within(struct text inner, struct text outer) {
        uintptr_t at = (uintptr_t)inner.data, begin = (uintptr_t)outer.data;
        return at >= begin && at - begin <= outer.size && inner.size <= outer.size - (at - begin);
}

struct text penstock_property(struct batch *b, struct record *r, const char *name) {
        struct property property;
        if (property_find(&property, text_of(name)) < 0)
                return (struct text){"", 0};
        struct property_context context = {};
        struct text value = property_get(&context, b, r, &property);
        /* What had to be made lies in the context, and goes with it: the batch keeps a copy. */
        if (context.scratch.data && is_within(value, (struct text){context.scratch.data, context.scratch.capacity}))
                value = batch_text(b, batch_store(b, value));
        buffer_fini(&context.scratch);
        return value;
}

struct text penstock_raw(const struct batch *b, const struct record *r) {
        return batch_text(b, r->raw);
}

int penstock_set(struct batch *b, struct record *r, enum penstock_field field, struct text value) {
        struct text raw = batch_text(b, r->raw);
        struct span span;
        if (is_within(value, raw)) {
                size_t from = (size_t)(value.data - raw.data);
                span = span_slice(r->raw, from, from + value.size);
        } else {
                span = batch_store(b, value);
                if (span.size < value.size)
                        return fail(-ENOMEM);
        }
        switch (field) {
        case PENSTOCK_MSG:
                r->msg = span;
                return 0;
        case PENSTOCK_HOSTNAME:
                r->host = span;
                return 0;
        case PENSTOCK_TAG:
                r->tag = span;
                r->flags &= (uint16_t)~RECORD_IS_NAMED;
                return 0;
        case PENSTOCK_APP_NAME:
                r->app = span;
                r->flags |= RECORD_HAS_APP;
                return 0;
        case PENSTOCK_PROCID:
                r->procid = span;
                r->flags |= RECORD_HAS_PROCID;
                return 0;
        case PENSTOCK_MSGID:
                r->msgid = span;
                return 0;
        case PENSTOCK_STRUCTURED_DATA:
                r->structured = span;
                return 0;
        }
        return fail(-EINVAL);
}

void penstock_set_pri(struct record *r, int pri) {
        assert(pri >= 0 && pri <= PRI_MAX);
        r->facility = (uint8_t)(pri >> 3);
        r->severity = pri & 7;
}

void penstock_set_time(struct record *r, int64_t unix_us, int offset_minutes) {
        struct stamp local = stamp_of_wall(unix_us);
        r->reported = stamp_in_offset(&local, offset_minutes);
}
