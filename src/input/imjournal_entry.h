/*
 * An entry of the journal: fields as they were read, and the record that they
 * become.
 *
 *   MESSAGE                        the message, sanitized like any other
 *   PRIORITY, SYSLOG_FACILITY      severity and facility; defaults where missing or out of bounds
 *   SYSLOG_IDENTIFIER, or _COMM    the tag, with SYSLOG_PID or _PID in brackets
 *   all of them                    $!NAME, text each; of several with one name the last
 *
 * Where a field comes more than once the record itself takes the first. NUL bytes
 * become blanks. Fields are copied out of the library's memory, which holds one at
 * a time.
 */
#pragma once

#include "base/text.h"
#include "message/intake.h"
#include "message/sanitize.h"

enum {
        ENTRY_FIELDS_MAX = 1024,          /* what journald lets in */
        ENTRY_BYTES_MAX = 1 << 20,        /* of all fields; what is beyond is left out */
        ENTRY_VALUE_BYTES_MAX = 64 << 10, /* a longer value is cut, unless the limit of messages is higher */
};

enum pid_origin { PID_FROM_SYSTEM, PID_FROM_SYSLOG, PID_FROM_BOTH };

enum known_field {
        FIELD_MESSAGE,
        FIELD_PRIORITY,
        FIELD_FACILITY,
        FIELD_IDENTIFIER,
        FIELD_COMMAND,
        FIELD_SYSLOG_PID,
        FIELD_PID,
        FIELDS_KNOWN,
};

struct entry_field {
        uint32_t at; /* of the name in `bytes`; the value lies behind it */
        uint32_t name_size;
        uint32_t value_size;
};

struct entry {
        struct buffer bytes;
        struct entry_field fields[ENTRY_FIELDS_MAX];
        unsigned count;
        const struct entry_field *known[FIELDS_KNOWN]; /* NULL: not there */
        int64_t time_us;                               /* when journald took it */
};

struct entry_rules {
        struct sanitize_rules sanitize;
        size_t value_bytes_max;
        enum pid_origin pid_origin;
        const char *default_tag;
        uint8_t default_facility, default_severity;
};

void entry_begin(struct entry *e, int64_t time_us);
void entry_fini(struct entry *e);
/* "NAME=value". False where there is no name; what goes beyond the limits is left out. */
bool entry_add(struct entry *e, struct text field, size_t value_bytes_max);
struct text entry_known(const struct entry *e, enum known_field field);

/* What is wrong with PRIORITY. */
enum entry_priority { PRIORITY_IS_FINE, PRIORITY_HAS_LENGTH, PRIORITY_IS_OUT_OF_BOUNDS };
enum entry_priority entry_severity(const struct entry *e, uint8_t dflt, uint8_t *ret);
uint8_t entry_facility(const struct entry *e, uint8_t dflt);
/* Appends "NAME[PID]:" or "NAME:". */
void entry_tag(struct buffer *out, const struct entry *e, const struct entry_rules *rules);

/* The record that the entry becomes; NULL without memory. `scratch` is the caller's, so that nothing is allocated. */
struct record *entry_take(const struct entry *e, const struct entry_rules *rules, struct intake *in,
                          struct source *source, struct buffer *scratch);
