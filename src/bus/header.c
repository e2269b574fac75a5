#include "bus/header.h"

#include <errno.h>

static const struct text field_names[HEADER_FIELDS] = {
        [HEADER_TYPE] = TEXT("type"),
        [HEADER_FROM] = TEXT("from"),
        [HEADER_TO] = TEXT("to"),
        [HEADER_GROUP] = TEXT("group"),
        [HEADER_INSTANCE] = TEXT("instance"),
        [HEADER_SEQ] = TEXT("seq"),
        [HEADER_REPLY] = TEXT("reply"),
        [HEADER_WANT_ANSWER] = TEXT("want_answer"),
        [HEADER_TIMEOUT] = TEXT("timeout"),
        [HEADER_PROTOCOL] = TEXT("protocol"),
};

/* HEADER_FIELDS: a member that the bus does not know. Length and one letter decide which one it can be. */
static enum header_field field_named(struct text name) {
        const char *n = name.data;
#define FIELD_IF_IT_IS(field, literal) (memcmp(n, literal, sizeof literal - 1) == 0 ? field : HEADER_FIELDS)
        switch (name.size) {
        case 2:
                return FIELD_IF_IT_IS(HEADER_TO, "to");
        case 3:
                return FIELD_IF_IT_IS(HEADER_SEQ, "seq");
        case 4:
                return *n == 't' ? FIELD_IF_IT_IS(HEADER_TYPE, "type") : FIELD_IF_IT_IS(HEADER_FROM, "from");
        case 5:
                return *n == 'g' ? FIELD_IF_IT_IS(HEADER_GROUP, "group") : FIELD_IF_IT_IS(HEADER_REPLY, "reply");
        case 7:
                return FIELD_IF_IT_IS(HEADER_TIMEOUT, "timeout");
        case 8:
                return *n == 'i' ? FIELD_IF_IT_IS(HEADER_INSTANCE, "instance")
                                 : FIELD_IF_IT_IS(HEADER_PROTOCOL, "protocol");
        case 11:
                return FIELD_IF_IT_IS(HEADER_WANT_ANSWER, "want_answer");
        default:
                return HEADER_FIELDS;
        }
#undef FIELD_IF_IT_IS
}

static enum header_field field_of(const struct scan_value *written) {
        char room[72]; /* the longest name, each byte as \uXXXX */
        if (LIKELY(!written->is_escaped))
                return field_named(written->text);
        return written->text.size <= sizeof room ? field_named(scan_string(written, room)) : HEADER_FIELDS;
}

/* One member; its value is checked whole. */
static int scan_field(struct scan *s, struct header *ret) {
        struct scan_value name, value;
        int r = scan_value(s, &name);
        if (r || name.kind != SCAN_STRING)
                return -EBADMSG;
        scan_space(s);
        if (s->at == s->end || *s->at != ':')
                return -EBADMSG;
        s->at++;
        r = scan_value(s, &value);
        if (r)
                return r;
        enum header_field field = field_of(&name);
        if (field == HEADER_FIELDS)
                return 0;
        if (UNLIKELY(field == HEADER_FROM && ret->fields[HEADER_FROM].kind != SCAN_ABSENT))
                ret->has_twin_from = true;
        ret->fields[field] = value;
        return 0;
}

int header_scan(struct header *ret, struct text bytes) {
        struct scan s = scan_begin(bytes);
        static_assert(SCAN_ABSENT == 0, "zeroed fields are absent");
        memset(ret->fields, 0, sizeof ret->fields);
        ret->has_twin_from = false;
        scan_space(&s);
        const char *begin = s.at;
        if (s.at == s.end || *s.at != '{')
                return -EBADMSG;
        do {
                s.at++;
                int r = scan_field(&s, ret);
                if (r)
                        return r;
                scan_space(&s);
        } while (s.at < s.end && *s.at == ',');
        if (s.at == s.end || *s.at != '}')
                return -EBADMSG;
        s.at++;
        ret->object = (struct scan_value){.kind = SCAN_OBJECT, .text = {begin, (size_t)(s.at - begin)}};
        scan_space(&s);
        return s.at == s.end && ret->fields[HEADER_TYPE].kind != SCAN_ABSENT ? 0 : -EBADMSG;
}

static bool is_edited(enum header_field field, const struct header_edit *edits, size_t count) {
        for (size_t i = 0; i < count; i++)
                if (edits[i].field == field)
                        return true;
        return false;
}

void header_edit(struct buffer *out, const struct header *header, const struct header_edit *edits, size_t count) {
        struct scan_walk walk = scan_walk_begin(&header->object);
        char separator = '{';
        while (scan_walk_next(&walk)) {
                if (is_edited(field_of(&walk.name), edits, count))
                        continue;
                buffer_byte(out, separator);
                buffer_text(out, scan_raw(&walk.name));
                buffer_byte(out, ':');
                buffer_text(out, scan_raw(&walk.value));
                separator = ',';
        }
        for (size_t i = 0; i < count; i++) {
                buffer_byte(out, separator);
                buffer_byte(out, '"');
                buffer_text(out, field_names[edits[i].field]);
                buffer_text(out, TEXT("\":"));
                buffer_text(out, edits[i].json);
                separator = ',';
        }
        buffer_byte(out, '}');
}
