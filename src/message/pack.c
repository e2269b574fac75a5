#include "message/pack.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"

enum {
        MESSAGE_FIXED_BYTES = 32,
        SPAN_FIELDS = 7,
        FIELD_TREE = 7, /* and TREE_KINDS of them */
        FIELD_UUID = FIELD_TREE + TREE_KINDS,
        FIELD_PROGRAM,
        FIELD_REPORTED,
        FIELDS,
        STAMP_BYTES = 16,
        MESSAGE_FIELDS_BYTES_MAX = (SPAN_FIELDS + TREE_KINDS) * 8 + 4 + 4 + STAMP_BYTES,
        SOURCES_SEEN = 16,     /* senders of a batch that are told apart; others may be written twice */
        SOURCE_BYTES_MIN = 11, /* of a pack, so that its counts are bounded by its size */
        MINUTES_OF_OFFSET = 24 * 60,
        FACILITIES = 24, /* and "invld" */
};

enum { SOURCE_IS_LOCAL = 1, SOURCE_LOWERS_CASE = 2, SOURCE_HAS_HOST = 4, SOURCE_IS_UNDECIDED = 8 };

static char *put_u16(char *at, uint16_t n) {
        n = htole16(n);
        return (char *)memcpy(at, &n, sizeof n) + sizeof n;
}

static char *put_u32(char *at, uint32_t n) {
        n = htole32(n);
        return (char *)memcpy(at, &n, sizeof n) + sizeof n;
}

static char *put_u64(char *at, uint64_t n) {
        n = htole64(n);
        return (char *)memcpy(at, &n, sizeof n) + sizeof n;
}

static uint16_t get_u16(const char *at) {
        uint16_t n;
        memcpy(&n, at, sizeof n);
        return le16toh(n);
}

static uint32_t get_u32(const char *at) {
        uint32_t n;
        memcpy(&n, at, sizeof n);
        return le32toh(n);
}

static uint64_t get_u64(const char *at) {
        uint64_t n;
        memcpy(&n, at, sizeof n);
        return le64toh(n);
}

static struct span *span_field(struct record *r, int field) {
        struct span *const fields[SPAN_FIELDS] = {&r->msg,    &r->host,  &r->tag,       &r->app,
                                                  &r->procid, &r->msgid, &r->structured};
        return fields[field];
}

/* ---- Packing ------------------------------------------------------------ */

/* Sources and names are collected while messages are packed, and written behind them. */
struct packing {
        struct buffer *out;
        const struct batch *batch;
        const struct pack_names *names;
        size_t begin;
        struct source **sources; /* room for one a message */
        uint32_t source_count;
        struct {
                const struct source *source;
                uint32_t number;
        } seen[SOURCES_SEEN];
        struct text *called; /* rulesets; room for one a message, and the route */
        uint32_t called_count;
};

static uint32_t source_number(struct packing *p, struct source *source) {
        if (!source)
                return 0;
        unsigned slot = (unsigned)((uintptr_t)source >> 6) % SOURCES_SEEN;
        if (p->seen[slot].source != source) {
                p->sources[p->source_count++] = source;
                p->seen[slot].source = source;
                p->seen[slot].number = p->source_count;
        }
        return p->seen[slot].number;
}

static uint16_t name_number(struct packing *p, const char *name) {
        struct text t = text_of(name);
        if (t.size == 0 || t.size > PACK_NAME_BYTES_MAX)
                return 0;
        for (uint32_t i = 0; i < p->called_count; i++)
                if (text_equal(p->called[i], t))
                        return (uint16_t)(i + 1);
        p->called[p->called_count++] = t;
        return (uint16_t)p->called_count;
}

static uint16_t ruleset_number(struct packing *p, uint16_t ruleset) {
        if (LIKELY(!ruleset) || ruleset > p->names->ruleset_count)
                return 0;
        return name_number(p, p->names->rulesets[ruleset - 1]);
}

static char *put_stamp(char *at, const struct stamp *s) {
        at = put_u16(at, (uint16_t)s->year);
        *at++ = (char)s->month;
        *at++ = (char)s->day;
        *at++ = (char)s->hour;
        *at++ = (char)s->minute;
        *at++ = (char)s->second;
        *at++ = (char)s->precision;
        at = put_u32(at, s->fraction);
        at = put_u16(at, (uint16_t)s->offset_minutes);
        *at++ = (char)(s->is_utc | s->is_unknown << 1);
        *at++ = 0;
        return at;
}

/* Bytes that lie outside of raw go behind it; returns where, counted from the first byte of raw. */
static uint32_t append_apart(struct buffer *out, size_t raw_at, const char *data, size_t size) {
        uint32_t at = (uint32_t)(out->size - raw_at);
        buffer_append(out, data, size);
        return at;
}

/* Where a span lies from the first byte of raw; it is written behind it when it does not lie in it. */
static uint32_t place_span(struct packing *p, const struct record *r, struct span s, size_t raw_at) {
        if (LIKELY(s.at >= r->raw.at && s.at + s.size <= r->raw.at + r->raw.size))
                return s.at - r->raw.at;
        return append_apart(p->out, raw_at, batch_at(p->batch, s), s.size);
}

static uint32_t fields_of(const struct record *r) {
        uint32_t fields = (r->msg.size > 0) | (uint32_t)(r->host.size > 0) << 1 | (uint32_t)(r->tag.size > 0) << 2 |
                          (uint32_t)(r->app.size > 0) << 3 | (uint32_t)(r->procid.size > 0) << 4 |
                          (uint32_t)(r->msgid.size > 0) << 5 | (uint32_t)(r->structured.size > 0) << 6;
        for (int kind = 0; kind < TREE_KINDS; kind++)
                fields |= (uint32_t)(r->tree[kind] != NULL) << (FIELD_TREE + kind);
        fields |= (uint32_t)(r->uuid_at != 0) << FIELD_UUID | (uint32_t)(r->program_size != 0) << FIELD_PROGRAM;
        return fields | (uint32_t)(r->reported.is_set != 0) << FIELD_REPORTED;
}

static size_t fields_size(uint32_t fields) {
        /* As received: most are. Counting bits is a call where the processor is not known to do it. */
        if (LIKELY(!fields))
                return 0;
        size_t spans = (size_t)__builtin_popcount(fields & ((1u << FIELD_UUID) - 1));
        size_t numbers = (size_t)__builtin_popcount(fields & (1u << FIELD_UUID | 1u << FIELD_PROGRAM));
        return spans * 8 + numbers * 4 + (fields >> FIELD_REPORTED & 1) * STAMP_BYTES;
}

/* Fills in the fields at `at` (an offset, because out may move), once raw lies at raw_at. */
static void pack_fields(struct packing *p, struct record *r, uint32_t fields, size_t at, size_t raw_at) {
        struct buffer *out = p->out;
        for (uint32_t left = fields & ((1u << FIELD_UUID) - 1); left; left &= left - 1) {
                int field = __builtin_ctz(left);
                uint32_t size, place;
                if (LIKELY(field < SPAN_FIELDS)) {
                        struct span s = *span_field(r, field);
                        place = place_span(p, r, s, raw_at);
                        size = s.size;
                } else {
                        place = (uint32_t)(out->size - raw_at);
                        json_print(out, r->tree[field - FIELD_TREE], JSON_COMPACT);
                        size = (uint32_t)(out->size - raw_at) - place;
                }
                put_u32(put_u32(out->data + at, place), size);
                at += 8;
        }
        if (UNLIKELY(fields & 1u << FIELD_UUID)) {
                struct span uuid = {r->uuid_at, UUID_BYTES};
                uint32_t place = place_span(p, r, uuid, raw_at);
                put_u32(out->data + at, place);
                at += 4;
        }
        if (fields & 1u << FIELD_PROGRAM) {
                put_u32(out->data + at, r->program_size);
                at += 4;
        }
        if (fields & 1u << FIELD_REPORTED)
                put_stamp(out->data + at, &r->reported);
}

static int pack_message(struct packing *p, struct record *r) {
        struct buffer *out = p->out;
        if (!buffer_reserve(out, MESSAGE_FIXED_BYTES + MESSAGE_FIELDS_BYTES_MAX + r->raw.size))
                return fail(-ENOMEM);
        uint32_t fields = fields_of(r);
        size_t begin = out->size, fields_at = begin + MESSAGE_FIXED_BYTES, raw_at = fields_at + fields_size(fields);
        char *at = out->data + begin + 4;
        at = put_u32(at, fields);
        at = put_u64(at, (uint64_t)r->received_us);
        at = put_u32(at, r->raw.size);
        at = put_u32(at, source_number(p, r->source));
        at = put_u16(at, r->flags);
        at = put_u16(at, ruleset_number(p, r->ruleset));
        *at++ = (char)r->facility;
        *at++ = (char)r->severity;
        *at++ = (char)r->protocol;
        *at++ = (char)r->pri_size;
        if (r->raw.size)
                memcpy(out->data + raw_at, batch_at(p->batch, r->raw), r->raw.size);
        out->size = raw_at + r->raw.size;
        pack_fields(p, r, fields, fields_at, raw_at);
        if (buffer_failed(out))
                return fail(-ENOMEM);
        if (out->size - p->begin > UINT32_MAX)
                return fail(-EMSGSIZE);
        put_u32(out->data + begin, (uint32_t)(out->size - begin));
        return 0;
}

static void pack_text(struct buffer *out, struct text t) {
        char size[2];
        t.size = MIN(t.size, (size_t)PACK_NAME_BYTES_MAX);
        put_u16(size, (uint16_t)t.size);
        buffer_append(out, size, sizeof size);
        buffer_text(out, t);
}

static void pack_source(struct buffer *out, const struct source *s) {
        const char *host = atomic_load_explicit(&s->host, memory_order_acquire);
        bool is_undecided = source_is_judged(s) && source_admission(s) != SOURCE_ADMITTED;
        buffer_byte(out, (char)((s->is_local ? SOURCE_IS_LOCAL : 0) | (s->lowers_case ? SOURCE_LOWERS_CASE : 0) |
                                (host ? SOURCE_HAS_HOST : 0) | (is_undecided ? SOURCE_IS_UNDECIDED : 0)));
        pack_text(out, text_of(s->input_name));
        pack_text(out, text_of(s->address));
        pack_text(out, text_of(s->port));
        pack_text(out, text_of(host));
        pack_text(out, text_of(s->default_zone));
        if (!is_undecided)
                return;
        char mark[sizeof s->admitting->mark];
        put_u64(mark, s->admitting->mark);
        pack_text(out, text_of(s->admitting->input_name));
        buffer_append(out, mark, sizeof mark);
}

static int pack_tables(struct packing *p, uint32_t count, uint32_t route) {
        struct buffer *out = p->out;
        size_t sources_at = out->size - p->begin;
        for (uint32_t i = 0; i < p->source_count; i++)
                pack_source(out, p->sources[i]);
        size_t names_at = out->size - p->begin;
        for (uint32_t i = 0; i < p->called_count; i++)
                pack_text(out, p->called[i]);
        if (buffer_failed(out))
                return fail(-ENOMEM);
        if (out->size - p->begin > UINT32_MAX)
                return fail(-EMSGSIZE);
        char *at = put_u32(out->data + p->begin, PACK_MAGIC);
        at = put_u16(at, PACK_VERSION);
        at = put_u16(at, PACK_HEADER_BYTES);
        at = put_u32(at, (uint32_t)(out->size - p->begin));
        at = put_u32(at, count);
        at = put_u32(at, (uint32_t)sources_at);
        at = put_u32(at, p->source_count);
        at = put_u32(at, (uint32_t)names_at);
        at = put_u32(at, p->called_count);
        at = put_u32(at, route);
        put_u32(at, 0);
        return 0;
}

int pack_records(struct buffer *out, const struct batch *b, uint32_t first, uint32_t count,
                 const struct pack_names *names) {
        struct source *sources[BATCH_RECORDS_MAX];
        struct text called[BATCH_RECORDS_MAX + 1];
        assert(count <= BATCH_RECORDS_MAX && first + count <= b->count);
        struct packing p = {
                .out = out, .batch = b, .names = names, .begin = out->size, .sources = sources, .called = called};
        if (!buffer_reserve(out, PACK_HEADER_BYTES))
                return fail(-ENOMEM);
        out->size += PACK_HEADER_BYTES;
        uint32_t route = 0;
        if (b->route && names->name_of_route)
                route = name_number(&p, names->name_of_route(names->owner, b->route));
        int r = 0;
        for (uint32_t i = first; i < first + count && r == 0; i++)
                r = pack_message(&p, &b->records[i]);
        if (r == 0)
                r = pack_tables(&p, count, route);
        if (r == 0)
                return 0;
        out->size = p.begin;
        return pass(r);
}

/* ---- Unpacking ---------------------------------------------------------- */

struct unpacking {
        struct text pack;
        uint32_t count, sources_at, source_count, names_at, name_count, route;
        struct source **sources;
        struct text *names;
        uint16_t *rulesets; /* a name's place among today's rulesets; 0: gone */
        const struct pack_names *known;
        struct batch *batch;
        uint32_t base; /* where the pack lies in the batch */
};

static void unpacking_fini(struct unpacking *u) {
        for (uint32_t i = 0; u->sources && i < u->source_count; i++)
                source_unref(u->sources[i]);
        free(u->sources);
        free(u->names);
        free(u->rulesets);
        batch_unref(u->batch);
}
OWNED_VALUE(struct unpacking, unpacking_fini);

static bool read_header(struct unpacking *u) {
        const char *at = u->pack.data;
        if (u->pack.size < PACK_HEADER_BYTES || get_u32(at) != PACK_MAGIC || get_u16(at + 4) != PACK_VERSION ||
            get_u16(at + 6) != PACK_HEADER_BYTES || get_u32(at + 8) != u->pack.size)
                return false;
        u->count = get_u32(at + 12);
        u->sources_at = get_u32(at + 16);
        u->source_count = get_u32(at + 20);
        u->names_at = get_u32(at + 24);
        u->name_count = get_u32(at + 28);
        u->route = get_u32(at + 32);
        return u->count <= BATCH_RECORDS_MAX && u->sources_at >= PACK_HEADER_BYTES && u->names_at >= u->sources_at &&
               u->names_at <= u->pack.size && u->source_count <= BATCH_RECORDS_MAX &&
               u->name_count <= BATCH_RECORDS_MAX + 1 && u->route <= u->name_count &&
               (uint64_t)u->source_count * SOURCE_BYTES_MIN <= u->names_at - u->sources_at;
}

/* The next text of a table that ends at `end`; false when it does not. */
static bool read_text(struct text pack, uint32_t *at, uint32_t end, struct text *ret) {
        if (end - *at < 2)
                return false;
        uint32_t size = get_u16(pack.data + *at);
        if (end - *at - 2 < size)
                return false;
        *ret = (struct text){pack.data + *at + 2, size};
        *at += 2 + size;
        return true;
}

static void set_peer(struct source *s) {
        uint16_t port = (uint16_t)strtoul(s->port, NULL, 10);
        struct sockaddr_in *in = (void *)&s->peer;
        struct sockaddr_in6 *in6 = (void *)&s->peer;
        if (inet_pton(AF_INET, s->address, &in->sin_addr) == 1) {
                in->sin_family = AF_INET;
                in->sin_port = htons(port);
                s->peer_size = sizeof *in;
                return;
        }
        memset(&s->peer, 0, sizeof s->peer);
        if (inet_pton(AF_INET6, s->address, &in6->sin6_addr) == 1) {
                in6->sin6_family = AF_INET6;
                in6->sin6_port = htons(port);
                s->peer_size = sizeof *in6;
                return;
        }
        memset(&s->peer, 0, sizeof s->peer);
}

/* Its name was not known, or refused, when it was written: the list of this run decides. */
static int read_admission(struct unpacking *u, uint32_t *at, struct source *s) {
        struct text input;
        uint64_t mark;
        if (!read_text(u->pack, at, u->names_at, &input) || u->names_at - *at < sizeof mark)
                return -EBADMSG;
        mark = get_u64(u->pack.data + *at);
        *at += (uint32_t)sizeof mark;
        _owned_(admission_unref) struct admission *found = admission_find(input, mark);
        if (found)
                source_await(s, found);
        return 0;
}

static int read_source(struct unpacking *u, uint32_t *at, struct source **ret) {
        struct text input, address, port, host, zone;
        if (*at >= u->names_at)
                return -EBADMSG;
        unsigned char flags = (unsigned char)u->pack.data[(*at)++];
        if (!read_text(u->pack, at, u->names_at, &input) || !read_text(u->pack, at, u->names_at, &address) ||
            !read_text(u->pack, at, u->names_at, &port) || !read_text(u->pack, at, u->names_at, &host) ||
            !read_text(u->pack, at, u->names_at, &zone))
                return -EBADMSG;
        _owned_(source_unref) struct source *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        atomic_init(&s->references, 1);
        s->input_name = text_copy(input);
        s->address = text_copy(address);
        s->port = text_copy(port);
        s->default_zone = zone.size ? text_copy(zone) : NULL;
        if (!s->input_name || !s->address || !s->port || (zone.size && !s->default_zone) ||
            ((flags & SOURCE_HAS_HOST) && !source_name_for_good(s, host)))
                return fail(-ENOMEM);
        s->is_local = flags & SOURCE_IS_LOCAL;
        s->lowers_case = flags & SOURCE_LOWERS_CASE;
        set_peer(s);
        int r = flags & SOURCE_IS_UNDECIDED ? read_admission(u, at, s) : 0;
        if (r)
                return r;
        *ret = TAKE(s);
        return 0;
}

static uint16_t find_ruleset(const struct pack_names *known, struct text name) {
        for (size_t i = 0; i < known->ruleset_count; i++)
                if (text_equal(text_of(known->rulesets[i]), name))
                        return (uint16_t)(i + 1);
        return 0;
}

static int read_tables(struct unpacking *u) {
        u->sources = calloc(u->source_count + 1u, sizeof(*u->sources));
        u->names = calloc(u->name_count + 1u, sizeof *u->names);
        u->rulesets = calloc(u->name_count + 1u, sizeof *u->rulesets);
        if (!u->sources || !u->names || !u->rulesets)
                return fail(-ENOMEM);
        uint32_t at = u->sources_at;
        for (uint32_t i = 0; i < u->source_count; i++) {
                int r = read_source(u, &at, &u->sources[i]);
                if (r)
                        return pass(r);
        }
        if (at != u->names_at)
                return -EBADMSG;
        for (uint32_t i = 0; i < u->name_count; i++) {
                if (!read_text(u->pack, &at, (uint32_t)u->pack.size, &u->names[i]))
                        return -EBADMSG;
                u->rulesets[i] = find_ruleset(u->known, u->names[i]);
        }
        return at == u->pack.size ? 0 : -EBADMSG;
}

static bool read_stamp(const char *at, struct stamp *s) {
        static const uint32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
        const unsigned char *bytes = (const unsigned char *)at;
        *s = (struct stamp){.year = (int16_t)get_u16(at),
                            .month = bytes[2],
                            .day = bytes[3],
                            .hour = bytes[4],
                            .minute = bytes[5],
                            .second = bytes[6],
                            .precision = bytes[7],
                            .fraction = get_u32(at + 8),
                            .offset_minutes = (int16_t)get_u16(at + 12),
                            .is_utc = bytes[14] & 1,
                            .is_unknown = bytes[14] >> 1 & 1,
                            .is_set = 1};
        return s->year >= 0 && s->year <= 9999 && s->month >= 1 && s->month <= 12 && s->day >= 1 && s->day <= 31 &&
               s->hour <= 23 && s->minute <= 59 && s->second <= 60 && s->precision < ARRAY_SIZE(powers) &&
               s->fraction < powers[s->precision] && s->offset_minutes > -MINUTES_OF_OFFSET &&
               s->offset_minutes < MINUTES_OF_OFFSET;
}

static int read_tree(struct unpacking *u, struct text printed, struct json **ret) {
        size_t used;
        int r = json_parse(&u->batch->arena, printed, ret, &used);
        if (r == -ENOMEM)
                return pass(r);
        return r || used != printed.size ? -EBADMSG : 0;
}

/* The message's bytes: raw begins at raw_at of the pack, and `size` bytes are the message's. */
static int read_fields(struct unpacking *u, struct record *r, uint32_t fields, const char *at, uint32_t raw_at,
                       uint32_t size) {
        for (uint32_t left = fields & ((1u << FIELD_UUID) - 1); left; left &= left - 1, at += 8) {
                int field = __builtin_ctz(left);
                uint32_t place = get_u32(at), bytes = get_u32(at + 4);
                if (place > size || bytes > size - place)
                        return -EBADMSG;
                if (LIKELY(field < SPAN_FIELDS)) {
                        *span_field(r, field) = (struct span){u->base + raw_at + place, bytes};
                        continue;
                }
                int e = read_tree(u, (struct text){u->pack.data + raw_at + place, bytes}, &r->tree[field - FIELD_TREE]);
                if (e)
                        return pass(e);
        }
        if (UNLIKELY(fields & 1u << FIELD_UUID)) {
                uint32_t place = get_u32(at);
                if (place > size || size - place < UUID_BYTES)
                        return -EBADMSG;
                r->uuid_at = u->base + raw_at + place;
                at += 4;
        }
        if (fields & 1u << FIELD_PROGRAM) {
                r->program_size = get_u32(at);
                at += 4;
        }
        if ((fields & 1u << FIELD_REPORTED) && !read_stamp(at, &r->reported))
                return -EBADMSG;
        return r->program_size <= r->tag.size ? 0 : -EBADMSG;
}

/* One message that begins at *at, which moves behind it; `r` is NULL for one that is skipped. */
static int read_message(struct unpacking *u, uint32_t *begin, bool is_wanted) {
        uint32_t room = u->sources_at - *begin;
        if (room < MESSAGE_FIXED_BYTES)
                return -EBADMSG;
        const char *at = u->pack.data + *begin;
        uint32_t size = get_u32(at), fields = get_u32(at + 4);
        uint32_t head = MESSAGE_FIXED_BYTES + (uint32_t)fields_size(fields & ((1u << FIELDS) - 1));
        if (size > room || size < head || fields >> FIELDS)
                return -EBADMSG;
        uint32_t raw_at = *begin + head, raw_size = get_u32(at + 16), source = get_u32(at + 20);
        *begin += size;
        size -= head;
        uint16_t ruleset = get_u16(at + 26);
        if (raw_size > size || source > u->source_count || ruleset > u->name_count)
                return -EBADMSG;
        if (!is_wanted)
                return 0;
        struct record *r = batch_append(u->batch, source ? u->sources[source - 1] : NULL);
        if (!r)
                return fail(-ENOMEM);
        r->received_us = (int64_t)get_u64(at + 8);
        r->raw = (struct span){u->base + raw_at, raw_size};
        r->flags = get_u16(at + 24) & (uint16_t)~RECORD_IS_PLAIN; /* a disk proves nothing */
        r->ruleset = ruleset ? u->rulesets[ruleset - 1] : 0;
        r->facility = (uint8_t)at[28];
        r->severity = (uint8_t)at[29];
        r->protocol = (uint8_t)at[30];
        r->pri_size = (uint8_t)at[31];
        if (r->facility > FACILITIES || r->severity > 7 || r->protocol > 1 || r->pri_size > raw_size)
                return -EBADMSG;
        return read_fields(u, r, fields, at + MESSAGE_FIXED_BYTES, raw_at, size);
}

/* The whole pack is copied once; spans point into it. */
static int copy_in(struct unpacking *u, struct batch_pool *pool) {
        if (u->pack.size > REGION_BYTES_MAX)
                return -EBADMSG;
        /* A recycled batch: a fresh one of the pack's size cost 80 ns a message in page faults. */
        u->batch = batch_new(pool, 0);
        if (!u->batch)
                return fail(-ENOMEM);
        struct span span;
        char *bytes = batch_room(u->batch, u->pack.size, &span);
        if (!bytes)
                return fail(-ENOMEM);
        u->pack.data = memcpy(bytes, u->pack.data, u->pack.size);
        u->base = span.at;
        return 0;
}

int unpack_records(struct batch **ret, struct batch_pool *pool, struct text pack, uint32_t skip,
                   const struct pack_names *names) {
        _owned_(unpacking_fini) struct unpacking u = {.pack = pack, .known = names};
        if (!read_header(&u))
                return -EBADMSG;
        int r = copy_in(&u, pool);
        if (r == 0)
                r = read_tables(&u);
        uint32_t at = PACK_HEADER_BYTES;
        for (uint32_t i = 0; i < u.count && r == 0; i++)
                r = read_message(&u, &at, i >= skip);
        if (r == 0 && at != u.sources_at)
                r = -EBADMSG;
        if (r)
                return r;
        if (u.route && names->route_of_name)
                u.batch->route = names->route_of_name(names->owner, u.names[u.route - 1]);
        *ret = TAKE(u.batch);
        return 0;
}
