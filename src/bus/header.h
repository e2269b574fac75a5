/*
 * The header of a message: a JSON object, scanned where it lies. header_scan()
 * finds the members that the bus knows and checks the rest; nothing is copied, and
 * headers go on to their recipients as they came, but for `from`.
 *
 * Of members with the same name the last one counts.
 */
#pragma once

#include "bus/scan.h"

enum header_field {
        HEADER_TYPE,
        HEADER_FROM,
        HEADER_TO,
        HEADER_GROUP,
        HEADER_INSTANCE,
        HEADER_SEQ,
        HEADER_REPLY,
        HEADER_WANT_ANSWER,
        HEADER_TIMEOUT,
        HEADER_PROTOCOL,
        HEADER_FIELDS,
};

struct header {
        struct scan_value object; /* the whole */
        struct scan_value fields[HEADER_FIELDS];
        bool has_twin_from; /* `from` stands there more than once */
};

/* -EBADMSG: no object in JSON, or one without `type`. */
int header_scan(struct header *ret, struct text bytes);

/* A new value of a member, as JSON. */
struct header_edit {
        enum header_field field;
        struct text json;
};
/* Writes the header with those members replaced or, where there were none, added. */
void header_edit(struct buffer *out, const struct header *header, const struct header_edit *edits, size_t count);
