/*
 * Properties: what a configuration can ask a record for. property_find() turns a
 * name into a small struct once, at load; property_get() answers for a record.
 */
#pragma once

#include "message/batch.h"

enum property_id {
        PROPERTY_NONE,
        PROPERTY_MSG,
        PROPERTY_RAWMSG,
        PROPERTY_RAWMSG_AFTER_PRI,
        PROPERTY_HOSTNAME,
        PROPERTY_FROMHOST,
        PROPERTY_FROMHOST_IP,
        PROPERTY_FROMHOST_PORT,
        PROPERTY_SYSLOGTAG,
        PROPERTY_PROGRAMNAME,
        PROPERTY_PRI,
        PROPERTY_PRI_TEXT,
        PROPERTY_IUT,
        PROPERTY_FACILITY,
        PROPERTY_FACILITY_TEXT,
        PROPERTY_SEVERITY,
        PROPERTY_SEVERITY_TEXT,
        PROPERTY_TIMEGENERATED,
        PROPERTY_TIMEREPORTED,
        PROPERTY_PROTOCOL_VERSION,
        PROPERTY_STRUCTURED_DATA,
        PROPERTY_APP_NAME,
        PROPERTY_PROCID,
        PROPERTY_MSGID,
        PROPERTY_INPUTNAME,
        PROPERTY_UUID,
        PROPERTY_JSONMESG,
        PROPERTY_PARSESUCCESS,
        PROPERTY_NOW,
        PROPERTY_YEAR,
        PROPERTY_MONTH,
        PROPERTY_DAY,
        PROPERTY_WDAY,
        PROPERTY_HOUR,
        PROPERTY_HHOUR,
        PROPERTY_QHOUR,
        PROPERTY_MINUTE,
        PROPERTY_NOW_UNIXTIMESTAMP,
        PROPERTY_MYHOSTNAME,
        PROPERTY_BOM,
        PROPERTY_UPTIME,
        PROPERTY_ALL_JSON,
        PROPERTY_ALL_JSON_PLAIN,
        PROPERTY_TREE, /* a variable: scope and path */
        PROPERTIES,
};

struct property {
        enum property_id id;
        bool is_utc;      /* $now-utc and friends */
        char scope;       /* PROPERTY_TREE: '!' '.' '/' */
        struct text path; /* PROPERTY_TREE: "usr!name"; points into what was given to property_find() */
        bool is_name;     /* PROPERTY_TREE: variable_is_name(path) */
};

/* Whether the name begins with $ in templates ($now), where such a name needs it and others must not have it. */
bool property_is_system(const struct property *p);

/* Names with or without $, any case, old spellings included ("source", "timestamp", "pri-text"). -ENOENT. */
int property_find(struct property *ret, struct text name);
/* The name of one that is no variable: "msg", "$now". */
const char *property_name(const struct property *p);
/* The closest name for "did you mean"; NULL. */
const char *property_closest(struct text name);
/* Both at once, as the checker of configurations asks. */
bool property_is_known(struct text name, const char **closest);

/* Where the record has the value as it stands; NULL: property_get() has to be asked. */
static inline const struct span *property_span(const struct property *p, const struct record *r) {
        switch (p->id) {
        case PROPERTY_MSG:
                return &r->msg;
        case PROPERTY_RAWMSG:
                return &r->raw;
        case PROPERTY_HOSTNAME:
                return r->host.size ? &r->host : NULL;
        default:
                return NULL;
        }
}

/* Where values that must be made are made; reset by whoever owns it, once a batch or record. */
struct property_context {
        struct buffer scratch;   /* short-lived; a returned text may point into it until the next property_get() */
        const char *host_name;   /* $myhostname */
        struct globals *globals; /* $/ variables, shared and locked; message/variable.h */
        bool is_case_sensitive;  /* variables */
        bool permits_slash;      /* in programname */
        bool is_json_compact;    /* trees print without blanks */
        int64_t now_us;          /* what $now and its kin tell; 0: ask the clock */
};

/*
 * The value, "" where there is none. Points into the batch, constant memory or
 * context->scratch. Times are rendered in the default format of rsyslog (RFC 3164).
 */
struct text property_get(struct property_context *context, struct batch *b, struct record *r, const struct property *p);

/* The value of a variable of the record itself, $! or $., or NULL. */
struct json *property_tree(const struct property_context *context, struct record *r, const struct property *p);

/* programname: found once, kept in the record. */
struct text record_program(struct batch *b, struct record *r, bool permits_slash);
