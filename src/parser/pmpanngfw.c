/*
 * pmpanngfw: logs of Palo Alto Networks' firewalls, which are lines of CSV behind a header of either syslog:
 *
 *   <14>Aug  1 12:00:00 fw1 1,2023/08/01 12:00:00,012801,TRAFFIC,end,2305,2023/08/01
 * 12:00:00,192.0.2.1,198.51.100.7,... <14>1 2023-08-01T12:00:00Z fw1 - - - - 1,2023/08/01
 * 12:00:00,012801,THREAT,url,...
 *
 * The type becomes the tag ("TRAFFIC:", or APP-NAME), and the fields become variables under the names that the vendor's
 * descriptions of its logs give them: $!panngfw!src, $!panngfw!rule, $!panngfw!action. The text stays as it is. The
 * next parser of the chain reads the header. Of a type without a table here the first fields alone get names.
 */
#include <string.h>

#include "base/json.h"
#include "module/module.h"
#include "parser/rewrite.h"

enum {
        HEADER_BYTES_MAX = 400, /* that the line begins within */
        FIELDS_MAX = 200,
        TYPE_BYTES_MAX = 32,
};

/* "-" has no name: the vendor keeps the field for the future. */
#define EVERY "-", "receive_time", "serial", "type", "subtype", "-", "time_generated"
#define SESSION                                                                                                        \
        "src", "dst", "natsrc", "natdst", "rule", "srcuser", "dstuser", "app", "vsys", "from", "to", "inbound_if",     \
                "outbound_if", "logset", "-", "sessionid", "repeatcnt", "sport", "dport", "natsport", "natdport",      \
                "flags", "proto", "action"
#define GROUPS "dg_hier_level_1", "dg_hier_level_2", "dg_hier_level_3", "dg_hier_level_4", "vsys_name", "device_name"

static const char *const any[] = {EVERY, NULL};
static const char *const traffic[] = {
        EVERY,    SESSION,         "bytes",    "bytes_sent", "bytes_received", "packets",
        "start",  "elapsed",       "category", "-",          "seqno",          "actionflags",
        "srcloc", "dstloc",        "-",        "pkts_sent",  "pkts_received",  "session_end_reason",
        GROUPS,   "action_source", NULL};
static const char *const threat[] = {
        EVERY,      SESSION,  "misc",    "threatid",    "category", "severity",   "direction", "seqno",   "actionflags",
        "srcloc",   "dstloc", "-",       "contenttype", "pcap_id",  "filedigest", "cloud",     "url_idx", "user_agent",
        "filetype", "xff",    "referer", "sender",      "subject",  "recipient",  "reportid",  GROUPS,    NULL};
static const char *const config[] = {EVERY,    "host", "vsys",  "cmd",         "admin", "client",
                                     "result", "path", "seqno", "actionflags", GROUPS,  NULL};
static const char *const system_fields[] = {EVERY,      "vsys",   "eventid", "object",      "-",    "-", "module",
                                            "severity", "opaque", "seqno",   "actionflags", GROUPS, NULL};

static const struct log_type {
        const char *name;
        const char *const *fields;
} types[] = {{"TRAFFIC", traffic}, {"THREAT", threat}, {"CONFIG", config}, {"SYSTEM", system_fields}};

/* ---- CSV -------------------------------------------------------------------------- */

/* The field that the line begins with, without quotes about it; the line is then what follows its comma. */
static struct text take_field(struct arena *a, struct text *line) {
        size_t at = 0;
        if (line->size == 0 || line->data[0] != '"') {
                while (at < line->size && line->data[at] != ',')
                        at++;
                struct text field = text_slice(*line, 0, at);
                *line = text_slice(*line, at + 1, line->size);
                return field;
        }
        char *to = arena_alloc(a, line->size);
        size_t size = 0;
        for (at = 1; to && at < line->size; at++) {
                bool is_quote = line->data[at] == '"';
                if (is_quote && (at + 1 == line->size || line->data[at + 1] != '"'))
                        break;
                at += is_quote;
                to[size++] = line->data[at];
        }
        while (at < line->size && line->data[at] != ',')
                at++;
        *line = text_slice(*line, at + 1, line->size);
        return (struct text){to, to ? size : 0};
}

static const char *const *fields_of(struct text type) {
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (text_equal(type, text_of(types[i].name)))
                        return types[i].fields;
        return any;
}

/* NULL without memory. */
static struct json *read_fields(struct arena *a, struct text line, struct text type) {
        const char *const *names = fields_of(type);
        struct json *found = json_object(a);
        for (size_t i = 0; i < FIELDS_MAX && names[i] && line.size && found; i++) {
                struct text field = take_field(a, &line);
                if (names[i][0] == '-')
                        continue;
                struct json *value = json_string(a, field);
                if (!value || json_set(a, found, text_of(names[i]), value))
                        return NULL;
        }
        return found;
}

static void set_variables(struct batch *b, struct record *r, struct text line, struct text type) {
        struct json *fields = read_fields(&b->arena, line, type);
        struct json *tree = r->tree[TREE_MESSAGE] ? r->tree[TREE_MESSAGE] : json_object(&b->arena);
        if (fields && tree && tree->type == JSON_OBJECT && json_set(&b->arena, tree, TEXT("panngfw"), fields) == 0)
                r->tree[TREE_MESSAGE] = tree;
}

/* ---- The line --------------------------------------------------------------------- */

/* Whether the text is like the pattern: 9 is a digit. */
static bool is_like(struct text t, const char *pattern) {
        size_t size = strlen(pattern);
        if (t.size < size)
                return false;
        for (size_t i = 0; i < size; i++) {
                bool is_digit = (unsigned char)(t.data[i] - '0') <= 9;
                if (pattern[i] == '9' ? !is_digit : t.data[i] != pattern[i])
                        return false;
        }
        return true;
}

/* The type of a line, which is as far as "1,2023/08/01 12:00:00,012801,TRAFFIC,"; empty: it is none. */
static struct text type_of(struct text line) {
        static const char date[] = "9,9999/99/99 99:99:99,";
        if (!is_like(line, date))
                return TEXT_NONE;
        struct text rest = text_slice(line, sizeof date - 1, line.size);
        const char *comma = rest.size ? memchr(rest.data, ',', rest.size) : NULL;
        rest = comma ? text_slice(rest, (size_t)(comma - rest.data) + 1, rest.size) : TEXT_NONE;
        size_t size = 0;
        while (size < rest.size && size <= TYPE_BYTES_MAX &&
               ((rest.data[size] >= 'A' && rest.data[size] <= 'Z') || (size && rest.data[size] == '-')))
                size++;
        bool is_type = size && size <= TYPE_BYTES_MAX && size < rest.size && rest.data[size] == ',';
        return is_type ? text_slice(rest, 0, size) : TEXT_NONE;
}

/* Where the line begins: behind the header, after a blank. raw.size: it is not there. */
static size_t find_line(struct text raw, size_t from, struct text *type) {
        size_t end = MIN(raw.size, from + HEADER_BYTES_MAX);
        for (size_t at = from; at < end; at++) {
                if (at > from && raw.data[at - 1] != ' ')
                        continue;
                *type = type_of(text_slice(raw, at, raw.size));
                if (type->size)
                        return at;
        }
        return raw.size;
}

/* The header of RFC 5424 with the type as APP-NAME, which is empty; false: it is no such header. */
static bool rewrite_5424(struct batch *b, struct record *r, struct text raw, size_t line_at, struct text type) {
        static const char nothing[] = " - - - - ";
        size_t size = sizeof nothing - 1;
        if (!text_starts(text_slice(raw, r->pri_size, line_at), TEXT("1 ")) || line_at < r->pri_size + size ||
            !text_equal(text_slice(raw, line_at - size, line_at), TEXT(nothing)))
                return false;
        rewrite_raw(b, r,
                    (struct text[]){text_slice(raw, 0, line_at - size + 1), type,
                                    text_slice(raw, line_at - size + 2, raw.size)},
                    3);
        return true;
}

static enum parse_result pmpanngfw_parse(void *instance _unused_, struct batch *b, struct record *r) {
        struct text raw = batch_text(b, r->raw), type = TEXT_NONE;
        size_t line_at = find_line(raw, r->pri_size, &type);
        if (line_at == raw.size)
                return PARSE_NOT_MINE;
        set_variables(b, r, text_slice(raw, line_at, raw.size), type);
        if (!rewrite_5424(b, r, raw, line_at, type))
                rewrite_raw(b, r,
                            (struct text[]){text_slice(raw, 0, line_at), type, TEXT(": "),
                                            text_slice(raw, line_at, raw.size)},
                            4);
        return PARSE_NOT_MINE;
}

static int pmpanngfw_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                          const void *settings _unused_) {
        *ret = NULL; /* nothing to keep */
        return 0;
}

static void pmpanngfw_close(void *instance _unused_) {
}

/* No parameters; the member keeps the struct from being empty, which C does not know. */
struct pmpanngfw {
        char none;
};
static const struct param pmpanngfw_params[] = {{}};

static const struct parser_ops pmpanngfw_ops = {
        .open = pmpanngfw_open,
        .parse = pmpanngfw_parse,
        .close = pmpanngfw_close,
};

const struct module pmpanngfw_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmpanngfw",
        .help = "Reads the CSV of Palo Alto Networks' firewalls into $!panngfw and makes its type the tag. Chains name "
                "it "
                "rsyslog.panngfw, before the parsers that read the header.",
        .settings = SETTINGS(struct pmpanngfw, pmpanngfw_params),
        .parser = &pmpanngfw_ops,
};
