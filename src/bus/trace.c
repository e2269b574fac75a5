/*
 * Dumps: records of what happens, to those who have asked for them. A record is
 * dropped rather than queued for a reader that is slow, and the next one says how
 * many were. Records are not traced themselves.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/broker_inside.h"

enum { FILTER_FROM, FILTER_TO, FILTER_GROUP, FILTER_TYPE, FILTER_FIELDS };
static const char *const filter_names[FILTER_FIELDS] = {"from", "to", "group", "type"};

struct trace {
        struct list of_broker;
        struct client *client;
        char *filter[FILTER_FIELDS]; /* NULL: any */
        bool wants_body;
        uint64_t dropped; /* since the last record */
};

/* Something that happened, as filters and records see it. */
struct event {
        const char *name;
        const struct client *from;
        struct text type, to, group; /* what they stand for */
        struct text header;          /* JSON */
        struct text body;
        uint64_t size;
        int code; /* 0: none */
};

/* ---- Filters --------------------------------------------------------------- */

struct trace *trace_free(struct trace *t) {
        if (!t)
                return NULL;
        list_remove(&t->of_broker);
        for (unsigned i = 0; i < FILTER_FIELDS; i++)
                free(t->filter[i]);
        free(t);
        return NULL;
}

static int filter_field(struct trace *t, const struct scan_walk *walk) {
        for (unsigned i = 0; i < FILTER_FIELDS; i++) {
                if (!scan_equals(&walk->name, text_of(filter_names[i])))
                        continue;
                if (walk->value.kind != SCAN_STRING)
                        return -EINVAL;
                free(t->filter[i]);
                t->filter[i] = malloc(walk->value.text.size + 1);
                if (!t->filter[i])
                        return fail(-ENOMEM);
                struct text text = scan_string(&walk->value, t->filter[i]);
                memmove(t->filter[i], text.data, text.size);
                t->filter[i][text.size] = '\0';
                return 0;
        }
        return -EINVAL;
}

int trace_set(struct client *c, const struct scan_value *filter, bool wants_body) {
        if (filter->kind == SCAN_NULL) {
                c->trace = trace_free(c->trace);
                return 0;
        }
        struct trace *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        *t = (struct trace){.client = c, .wants_body = wants_body};
        list_init(&t->of_broker);
        struct scan_walk walk = scan_walk_begin(filter);
        int r = 0;
        while (!r && scan_walk_next(&walk))
                r = filter_field(t, &walk);
        if (r) {
                trace_free(t);
                return r;
        }
        trace_free(c->trace);
        c->trace = t;
        list_append(&c->broker->traces, &t->of_broker);
        return 0;
}

static bool has_recipient(const struct broker *b, const char *lname) {
        struct text wanted = text_of(lname);
        if (wanted.size == 0 || wanted.size > LNAME_BYTES_MAX)
                return false;
        char quoted[LNAME_BYTES_MAX + 3];
        int size = snprintf(quoted, sizeof quoted, "\"%s\"", lname);
        return text_find(buffer_as_text(&b->traced_to), (struct text){quoted, (size_t)size}) >= 0;
}

static bool group_fits(const char *glob, struct text group) {
        char name[1024];
        if (group.size >= sizeof name)
                return false;
        memcpy(name, group.size ? group.data : "", group.size);
        name[group.size] = '\0';
        return fnmatch(glob, name, 0) == 0;
}

static bool matches(const struct trace *t, const struct broker *b, const struct event *e) {
        const char *const *f = (const char *const *)t->filter;
        if (f[FILTER_FROM] && !text_equal(text_of(f[FILTER_FROM]), client_lname(e->from)))
                return false;
        if (f[FILTER_TO] && !text_equal(text_of(f[FILTER_TO]), e->to) && !has_recipient(b, f[FILTER_TO]))
                return false;
        if (f[FILTER_TYPE] && !text_equal(text_of(f[FILTER_TYPE]), e->type) && strcmp(f[FILTER_TYPE], e->name) != 0)
                return false;
        return !f[FILTER_GROUP] || group_fits(f[FILTER_GROUP], e->group);
}

/* ---- Records --------------------------------------------------------------- */

/* Headers may hold raw control characters inside their strings; a record is strict JSON. */
static void put_json(struct buffer *out, struct text json) {
        bool is_string = false;
        for (size_t i = 0; i < json.size; i++) {
                char c = json.data[i];
                if (is_string && c == '\\' && i + 1 < json.size) {
                        buffer_append(out, json.data + i++, 2);
                        continue;
                }
                if (c == '"')
                        is_string = !is_string;
                if ((unsigned char)c >= ' ')
                        buffer_byte(out, c);
                else if (is_string)
                        buffer_format(out, "\\u%04x", c);
        }
}

static void put_base64(struct buffer *out, struct text bytes) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        buffer_byte(out, '"');
        for (size_t i = 0; i < bytes.size; i += 3) {
                size_t left = bytes.size - i;
                uint32_t group = 0;
                for (size_t k = 0; k < 3; k++)
                        group = group << 8 | (k < left ? (unsigned char)bytes.data[i + k] : 0);
                for (size_t k = 0; k < 4; k++)
                        buffer_byte(out, k <= left ? digits[group >> (18 - 6 * k) & 63] : '=');
        }
        buffer_byte(out, '"');
}

static void put_body(struct buffer *out, struct text body) {
        struct scan_value whole;
        bool is_json = scan_whole(body, &whole) == 0;
        buffer_text(out, is_json ? TEXT(",\"body\":") : TEXT(",\"body_base64\":"));
        if (is_json)
                put_json(out, body);
        else
                put_base64(out, body);
}

static void put_record(struct buffer *out, const struct broker *b, const struct trace *t, const struct event *e) {
        int64_t now_us = clock_wall_us();
        buffer_format(out,
                      "{\"notification\":[\"message\",{\"event\":\"%s\",\"time\":%lld.%06lld,\"from\":\"%s\",\"to\":[",
                      e->name, (long long)(now_us / 1000000), (long long)(now_us % 1000000), e->from->lname);
        buffer_text(out, buffer_as_text(&b->traced_to));
        buffer_text(out, TEXT("],\"header\":"));
        put_json(out, e->header);
        buffer_format(out, ",\"size\":%llu", (unsigned long long)e->size);
        if (e->code)
                buffer_format(out, ",\"code\":%d", e->code);
        if (t->wants_body && e->body.data)
                put_body(out, e->body);
        buffer_text(out, TEXT("}]}"));
}

static bool send_record(struct broker *b, struct client *to, struct text body) {
        _owned_(buffer_fini) struct buffer header = {0};
        if (to->outbox.bytes + body.size > (uint64_t)b->settings.queue_limit / 2)
                return false;
        buffer_format(&header,
                      "{\"type\":\"send\",\"from\":\"%s\",\"to\":\"%s\",\"group\":\"notifications/trace\","
                      "\"instance\":\"*\",\"seq\":%llu,\"want_answer\":false}",
                      b->self.lname, to->lname, (unsigned long long)++b->own_seq);
        return !buffer_failed(&header) && post(to, buffer_as_text(&header), body, NULL);
}

static void record(struct broker *b, struct trace *t, const struct event *e) {
        _owned_(buffer_fini) struct buffer body = {0};
        if (t->dropped > 0) {
                char said[100];
                int size = snprintf(said, sizeof said, "{\"notification\":[\"dropped\",{\"count\":%llu}]}",
                                    (unsigned long long)t->dropped);
                if (send_record(b, t->client, (struct text){said, (size_t)size}))
                        t->dropped = 0;
        }
        if (t->dropped == 0)
                put_record(&body, b, t, e);
        if (t->dropped > 0 || buffer_failed(&body) || !send_record(b, t->client, buffer_as_text(&body)))
                t->dropped++;
}

static void record_all(struct broker *b, const struct event *e) {
        for (struct list *l = b->traces.next, *next; l != &b->traces; l = next) {
                struct trace *t = CONTAINER_OF(l, struct trace, of_broker);
                next = l->next;
                if (!t->client->is_doomed && matches(t, b, e))
                        record(b, t, e);
        }
        buffer_clear(&b->traced_to);
}

/* ---- What happens ---------------------------------------------------------- */

void trace_recipient(struct broker *b, const struct client *recipient) {
        buffer_format(&b->traced_to, "%s\"%s\"", b->traced_to.size ? "," : "", recipient->lname);
}

static struct text string_or_none(const struct scan_value *value, char *room) {
        return value->kind == SCAN_STRING ? scan_string(value, room) : TEXT_NONE;
}

void trace_message(struct broker *b, const char *event, const struct client *from, const struct frame *frame,
                   const struct header *header, int code) {
        struct event e = {
                .name = event,
                .from = from,
                .type = header->fields[HEADER_TYPE].text,
                .group = string_or_none(&header->fields[HEADER_GROUP], b->room[0]),
                .to = string_or_none(&header->fields[HEADER_TO], b->room[2]),
                .header = header->object.text,
                .body = frame_body(frame),
                .size = frame_wire_bytes(frame, from->version),
                .code = code,
        };
        record_all(b, &e);
}

void trace_subscription(struct broker *b, const char *event, const struct client *from, struct text group,
                        struct text instance) {
        _owned_(buffer_fini) struct buffer header = {0};
        buffer_format(&header, "{\"type\":\"%s\",\"group\":", event);
        scan_quote(&header, group);
        buffer_text(&header, TEXT(",\"instance\":"));
        scan_quote(&header, instance);
        buffer_byte(&header, '}');
        if (buffer_failed(&header))
                return;
        struct event e = {
                .name = event,
                .from = from,
                .type = text_of(event),
                .group = group,
                .header = buffer_as_text(&header),
                .size = header.size,
        };
        record_all(b, &e);
}
