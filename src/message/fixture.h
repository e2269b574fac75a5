/*
 * For unit tests: one record in a batch, with its spans set by hand.
 */
#pragma once

#include "base/test.h"
#include "message/batch.h"
#include "message/property.h"

struct fixture {
        struct batch_pool *pool;
        struct source *source;
        struct batch *batch;
        struct record *record;
        struct property_context context;
};

static inline void fixture_fini(struct fixture *f) {
        f->batch = batch_unref(f->batch);
        f->source = source_unref(f->source);
        f->pool = batch_pool_unref(f->pool);
        buffer_fini(&f->context.scratch);
}
OWNED_VALUE(struct fixture, fixture_fini);

static inline struct span fixture_span(struct fixture *f, const char *part) {
        struct span raw = f->record->raw;
        if (!part || !*part)
                return (struct span){raw.at, 0};
        ptrdiff_t at = text_find(batch_text(f->batch, raw), text_of(part));
        return at < 0 ? batch_store(f->batch, text_of(part)) : span_slice(raw, (size_t)at, (size_t)at + strlen(part));
}

static inline void fixture_raw(struct fixture *f, struct text raw) {
        if (!f->pool) {
                CHECK_INT(batch_pool_new(&f->pool), 0);
                f->source = source_new_local("imtcp", "localhost", "127.0.0.1");
                f->batch = batch_new(f->pool, 0);
        }
        f->record = batch_append(f->batch, f->source);
        f->record->raw = batch_store(f->batch, raw);
        f->record->received_us = 1795291528332781; /* 2026-11-21T20:05:28.332781Z */
}

/* <134>Mar  1 01:02:03 HOST TAG MSG */
static inline void fixture_rfc3164(struct fixture *f, const char *host, const char *tag, const char *msg) {
        _owned_(buffer_fini) struct buffer raw = {0};
        buffer_format(&raw, "<134>Mar  1 01:02:03 %s %s%s", host, tag, msg);
        fixture_raw(f, buffer_as_text(&raw));
        struct record *r = f->record;
        r->host = fixture_span(f, host);
        r->tag = fixture_span(f, tag);
        r->msg = fixture_span(f, msg);
        r->facility = 16;
        r->severity = 6;
        r->pri_size = 5;
        r->reported =
                (struct stamp){.year = 2026, .month = 3, .day = 1, .hour = 1, .minute = 2, .second = 3, .is_set = 1};
}

static inline struct text fixture_get(struct fixture *f, const char *name) {
        struct property p;
        if (property_find(&p, text_of(name)))
                return TEXT("(no such property)");
        return property_get(&f->context, f->batch, f->record, &p);
}
