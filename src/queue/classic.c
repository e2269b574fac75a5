#include "queue/classic.h"

#include <errno.h>

#include "base/fail.h"
#include "base/json.h"
#include "message/source.h"

enum { FACILITY_MAX = 24, SEVERITY_MAX = 7 };
enum { FLAG_INTERNAL = 1, FLAG_NEEDS_PARSING = 16 }; /* of msgFlags */

struct property {
        struct text name, value;
};

struct object {
        struct text kind;
        struct property properties[CLASSIC_PROPERTIES_MAX];
        size_t count;
};

/* ---- Objects ------------------------------------------------------------------- */

/* The bytes up to `end`, which is passed over, too. CLASSIC_IS_CUT, -EBADMSG: they are not on this line. */
static int read_until(struct text bytes, size_t *at, char end, struct text *ret) {
        size_t from = *at;
        for (; *at < bytes.size; ++*at) {
                char c = bytes.data[*at];
                if (c == end) {
                        *ret = text_slice(bytes, from, (*at)++);
                        return 0;
                }
                if (c == '\n')
                        return fail(-EBADMSG);
        }
        return CLASSIC_IS_CUT;
}

static int expect(struct text bytes, size_t *at, struct text what) {
        struct text rest = text_slice(bytes, *at, bytes.size);
        if (rest.size < what.size)
                return text_starts(what, rest) ? CLASSIC_IS_CUT : fail(-EBADMSG);
        if (!text_starts(rest, what))
                return fail(-EBADMSG);
        *at += what.size;
        return 0;
}

/* "name:type:size:value:\n" */
static int read_property(struct text bytes, size_t *at, struct property *ret) {
        struct text type, size_text;
        int64_t size;
        int r = read_until(bytes, at, ':', &ret->name);
        if (!r)
                r = read_until(bytes, at, ':', &type);
        if (!r)
                r = read_until(bytes, at, ':', &size_text);
        if (r)
                return r;
        if (text_to_int(size_text, &size) || size < 0 || size > CLASSIC_MESSAGE_BYTES_MAX)
                return fail(-EBADMSG);
        if ((uint64_t)size > bytes.size - *at)
                return CLASSIC_IS_CUT;
        ret->value = text_slice(bytes, *at, *at + (size_t)size);
        *at += (size_t)size;
        return expect(bytes, at, TEXT(":\n"));
}

/* "<Obj:1:msg:1:", properties, ">End", "." */
static int read_object(struct text bytes, size_t *at, struct object *ret) {
        struct text skipped;
        ret->count = 0;
        int r = expect(bytes, at, TEXT("<"));
        if (!r)
                r = read_until(bytes, at, ':', &skipped);
        if (!r)
                r = read_until(bytes, at, ':', &skipped);
        if (!r)
                r = read_until(bytes, at, ':', &ret->kind);
        if (!r)
                r = read_until(bytes, at, ':', &skipped);
        if (!r)
                r = expect(bytes, at, TEXT("\n"));
        while (!r && *at < bytes.size && bytes.data[*at] == '+') {
                if (ret->count == CLASSIC_PROPERTIES_MAX)
                        return fail(-EBADMSG);
                ++*at;
                r = read_property(bytes, at, &ret->properties[ret->count++]);
        }
        return r ? r : expect(bytes, at, TEXT(">End\n.\n"));
}

static struct text get(const struct object *o, const char *name) {
        for (size_t i = 0; i < o->count; i++)
                if (text_equal(o->properties[i].name, text_of(name)))
                        return o->properties[i].value;
        return TEXT_NONE;
}

static int64_t get_int(const struct object *o, const char *name, int64_t otherwise) {
        int64_t n;
        return text_to_int(get(o, name), &n) ? otherwise : n;
}

static uint8_t get_byte(const struct object *o, const char *name, int64_t otherwise, int64_t most) {
        int64_t n = get_int(o, name, otherwise);
        return (uint8_t)(n < 0 || n > most ? otherwise : n);
}

/* ---- The index -------------------------------------------------------------------- */

int classic_index_read(struct classic_index *ret, struct text bytes) {
        static const char *const kinds[] = {"qqueue", "strm", "strm"};
        struct object objects[ARRAY_SIZE(kinds)];
        size_t at = 0;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (read_object(bytes, &at, &objects[i]) || !text_equal(objects[i].kind, text_of(kinds[i])))
                        return fail(-EBADMSG);
        /* The first stream is the one that is written, the second the one that is read. */
        const int64_t numbers[] = {get_int(&objects[0], "iQueueSize", -1), get_int(&objects[2], "iCurrFNum", -1),
                                   get_int(&objects[2], "iCurrOffs", -1), get_int(&objects[1], "iCurrFNum", -1),
                                   get_int(&objects[1], "iCurrOffs", -1)};
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                if (numbers[i] < 0)
                        return fail(-EBADMSG);
        *ret = (struct classic_index){.waiting = (uint64_t)numbers[0],
                                      .first_file = (uint64_t)numbers[1],
                                      .first_offset = (uint64_t)numbers[2],
                                      .last_file = (uint64_t)numbers[3],
                                      .last_offset = (uint64_t)numbers[4]};
        return 0;
}

/* ---- A message ------------------------------------------------------------------------ */

/* "form:year:month:day:hour:minute:second:fraction:digits:sign:hours:minutes" */
static bool read_stamp(struct text t, struct stamp *ret) {
        enum { FORM, YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, FRACTION, DIGITS, SIGN, OFF_HOURS, OFF_MINUTES, PARTS };
        static const int64_t highest[PARTS] = {9, 9999, 12, 31, 23, 59, 60, 999999, 6, 0, 23, 59};
        int64_t part[PARTS] = {0};
        char sign = '+';
        for (int i = 0; i < PARTS; i++) {
                size_t size = 0;
                while (size < t.size && t.data[size] != ':')
                        size++;
                struct text word = text_slice(t, 0, size);
                t = text_slice(t, size + 1, t.size);
                if (i == SIGN && word.size == 1)
                        sign = word.data[0];
                else if (i == SIGN || text_to_int(word, &part[i]) || part[i] < 0 || part[i] > highest[i])
                        return false;
        }
        if (!part[MONTH] || !part[DAY])
                return false;
        int64_t offset = part[OFF_HOURS] * 60 + part[OFF_MINUTES];
        *ret = (struct stamp){.year = (int16_t)part[YEAR],
                              .month = (uint8_t)part[MONTH],
                              .day = (uint8_t)part[DAY],
                              .hour = (uint8_t)part[HOUR],
                              .minute = (uint8_t)part[MINUTE],
                              .second = (uint8_t)part[SECOND],
                              .precision = (uint8_t)part[DIGITS],
                              .fraction = (uint32_t)part[FRACTION],
                              .offset_minutes = (int16_t)(sign == '-' ? -offset : offset),
                              .is_utc = sign == 'Z',
                              .is_set = 1};
        return true;
}

static struct source *make_source(const struct object *o) {
        _owned_(memory_free) char *input = text_copy(get(o, "pszInputName"));
        _owned_(memory_free) char *host = text_copy(get(o, "pszRcvFrom"));
        _owned_(memory_free) char *address = text_copy(get(o, "pszRcvFromIP"));
        return input && host && address ? source_new_local(input, host, address) : NULL;
}

static uint8_t pri_size(struct text raw) {
        enum { PRI_DIGITS_MAX = 3 };
        size_t at = 1;
        while (at < raw.size && at <= PRI_DIGITS_MAX && raw.data[at] >= '0' && raw.data[at] <= '9')
                at++;
        return raw.size > 2 && raw.data[0] == '<' && at > 1 && at < raw.size && raw.data[at] == '>' ? (uint8_t)(at + 1)
                                                                                                    : 0;
}

static int read_tree(struct batch *b, struct text text, struct json **ret) {
        size_t used;
        if (!text.size)
                return 0;
        struct json *tree;
        int r = json_parse_lenient(&b->arena, text, JSON_IS_CASE_SENSITIVE, &tree, &used);
        if (r == -ENOMEM)
                return pass(r);
        /* What is no JSON object cannot have been a message's variables. */
        if (r || tree->type != JSON_OBJECT)
                return fail(-EBADMSG);
        *ret = tree;
        return 0;
}

static int store_texts(struct batch *b, struct record *r, const struct object *o) {
        struct {
                struct text from;
                struct span *to;
        } texts[] = {{get(o, "pszRawMsg"), &r->raw},
                     {get(o, "pszHOSTNAME"), &r->host},
                     {get(o, "pszTAG"), &r->tag},
                     {get(o, "pCSAPPNAME"), &r->app},
                     {get(o, "pCSPROCID"), &r->procid},
                     {get(o, "pCSMSGID"), &r->msgid},
                     {get(o, "pszStrucData"), &r->structured}};
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                if (!texts[i].from.size)
                        continue;
                *texts[i].to = batch_store(b, texts[i].from);
                if (!texts[i].to->size)
                        return fail(-ENOMEM);
        }
        return 0;
}

/* What a parser found; without one the message is parsed when it is worked on. */
static void set_parsed(struct record *r, const struct object *o) {
        int64_t offset = get_int(o, "offMSG", 0), protocol = get_int(o, "iProtocolVersion", 0);
        uint32_t at = offset > 0 ? (uint32_t)MIN(offset, (int64_t)r->raw.size) : 0;
        r->msg = span_slice(r->raw, at, r->raw.size);
        r->protocol = protocol == 1;
        r->facility = get_byte(o, "iFacility", 1, FACILITY_MAX);
        r->severity = get_byte(o, "iSeverity", 5, SEVERITY_MAX);
        r->flags |= RECORD_IS_PARSED;
        if (r->protocol)
                r->flags |= RECORD_HAS_HEADER;
        if (r->app.size)
                r->flags |= RECORD_HAS_APP;
        if (r->procid.size)
                r->flags |= RECORD_HAS_PROCID;
}

static int fill(struct batch *b, struct record *r, const struct object *o, const struct classic_names *names) {
        struct stamp received;
        int64_t flags = get_int(o, "msgFlags", FLAG_NEEDS_PARSING);
        int e = store_texts(b, r, o);
        if (!e)
                e = read_tree(b, get(o, "json"), &r->tree[TREE_MESSAGE]);
        if (!e)
                e = read_tree(b, get(o, "localvars"), &r->tree[TREE_LOCAL]);
        if (e)
                return pass(e);
        r->received_us = read_stamp(get(o, "tRcvdAt"), &received) ? stamp_to_wall(&received)
                                                                  : get_int(o, "ttGenTime", 0) * 1000000;
        read_stamp(get(o, "tTIMESTAMP"), &r->reported);
        r->pri_size = pri_size(get(o, "pszRawMsg"));
        if (flags & FLAG_INTERNAL)
                r->flags |= RECORD_IS_INTERNAL;
        if (!(flags & FLAG_NEEDS_PARSING))
                set_parsed(r, o);
        struct text ruleset = get(o, "pszRuleset");
        if (ruleset.size)
                r->ruleset = names->ruleset_of(names->owner, ruleset);
        return 0;
}

int classic_message_read(struct batch *b, struct text bytes, size_t *used, const struct classic_names *names) {
        struct object o;
        size_t at = 0;
        int r = read_object(bytes, &at, &o);
        if (r)
                return r;
        *used = at;
        if (!text_equal(o.kind, TEXT("msg")))
                return fail(-EBADMSG);
        _owned_(source_unref) struct source *source = make_source(&o);
        if (!source)
                return fail(-ENOMEM);
        struct record *record = batch_append(b, source);
        if (!record)
                return fail(-ENOBUFS);
        r = fill(b, record, &o, names);
        if (r)
                b->count--;
        return r;
}

size_t classic_resume(struct text bytes) {
        ptrdiff_t at = text_find(text_slice(bytes, 1, bytes.size), TEXT("\n<Obj:"));
        return at < 0 ? bytes.size : (size_t)at + 2;
}
