/*
 * pmsnare: the Snare agents separate host, kind and content by tabs,
 *
 *   winhost<TAB>MSWinEventLog<TAB>1<TAB>Security...
 *   Oct 11 22:14:15 winhost MSWinEventLog<TAB>1<TAB>Security...
 *
 * The tabs around the kind become blanks, and the next parser of the chain reads the
 * rest. When this parser sees a tab it is escaped already, as the parser.* options of
 * global() say; the parser's own tell which escapes a relay before us used.
 *
 * rsyslogd does not look at what stands behind the kind and overwrites it; a message
 * that has no tab there is left alone here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "message/batch.h"
#include "module/module.h"
#include "parser/rewrite.h"

enum { MESSAGE_BYTES_MIN = 30 };

/* "global" and then off and on in turn, as a binary value may be spelt. */
static const char *const switches[] = {"global", "off", "on", "no", "yes", "false", "true", "0", "1", NULL};

struct pmsnare_settings {
        int64_t prefix; /* 0: that of global() */
        int escapes_control, escapes_tab, escapes_c_style;
};

struct pmsnare {
        char tab[8]; /* as it is escaped */
        size_t tab_bytes;
};

static bool is_on(int given, bool global) {
        return given == 0 ? global : given % 2 == 0;
}

static bool starts_with_tab(const struct pmsnare *m, struct text t) {
        return text_starts(t, (struct text){m->tab, m->tab_bytes});
}

/* Bytes of the kind of message at the start, 0 where there is none. */
static size_t kind_size(struct text t) {
        static const struct text kinds[] = {{"MSWinEventLog", 13}, {"LinuxKAudit", 11}};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (text_starts_nocase(t, kinds[i]))
                        return kinds[i].size;
        return 0;
}

/* Where the host name that begins at `at` ends: at a blank, a tab or the end. */
static size_t host_end(const struct pmsnare *m, struct text raw, size_t at) {
        while (at < raw.size && raw.data[at] != ' ' && !starts_with_tab(m, text_slice(raw, at, raw.size)))
                at++;
        return at;
}

static enum parse_result pmsnare_parse(void *instance, struct batch *b, struct record *r) {
        const struct pmsnare *m = instance;
        struct text raw = batch_text(b, r->raw);
        if (raw.size - r->pri_size < MESSAGE_BYTES_MIN)
                return PARSE_NOT_MINE;
        size_t host = host_end(m, raw, r->pri_size), kind = host + m->tab_bytes;
        if (host < raw.size && raw.data[host] == ' ') {
                host = host_end(m, raw, (size_t)r->pri_size + DATE_BYTES);
                if (host < raw.size && raw.data[host] != ' ')
                        return PARSE_NOT_MINE;
                kind = host + 1;
        }
        size_t size = kind < raw.size ? kind_size(text_slice(raw, kind, raw.size)) : 0;
        size_t end = kind + size;
        if (size == 0 || !starts_with_tab(m, text_slice(raw, end, raw.size)))
                return PARSE_NOT_MINE;
        rewrite_raw(b, r,
                    (struct text[]){text_slice(raw, 0, host), TEXT(" "), text_slice(raw, kind, end), TEXT(" "),
                                    text_slice(raw, end + m->tab_bytes, raw.size)},
                    5);
        return PARSE_NOT_MINE;
}

static int pmsnare_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts,
                        const void *settings) {
        const struct pmsnare_settings *s = settings;
        struct pmsnare *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        int prefix = s->prefix ? (int)s->prefix : facts->control_prefix;
        bool is_escaped =
                is_on(s->escapes_control, facts->escapes_control) && is_on(s->escapes_tab, facts->escapes_tab);
        if (!is_escaped)
                snprintf(m->tab, sizeof m->tab, "\t");
        else if (is_on(s->escapes_c_style, facts->escapes_c_style))
                snprintf(m->tab, sizeof m->tab, "\\t");
        else
                snprintf(m->tab, sizeof m->tab, "%c011", prefix);
        m->tab_bytes = strlen(m->tab);
        *ret = m;
        return 0;
}

static void pmsnare_close(void *instance) {
        free(instance);
}

#define S struct pmsnare_settings
static const struct param pmsnare_params[] = {
        PARAM_CHAR(S, prefix, .name = "parser.controlcharacterescapeprefix",
                   .help = "What stands before the number of an escaped tab. Unset: as global() says."),
        PARAM_CHOICE(S, escapes_control, .name = "parser.escapecontrolcharactersonreceive", .dflt = "global",
                     .choices = switches, .help = "Whether control characters arrive escaped."),
        PARAM_CHOICE(S, escapes_tab, .name = "parser.escapecontrolcharactertab", .dflt = "global", .choices = switches,
                     .help = "Whether tabs arrive escaped."),
        PARAM_CHOICE(S, escapes_c_style, .name = "parser.escapecontrolcharacterscstyle", .dflt = "global",
                     .choices = switches, .help = "Whether an escaped tab is \"\\t\" rather than its number."),
        {},
};
#undef S

static const struct parser_ops pmsnare_ops = {
        .open = pmsnare_open,
        .parse = pmsnare_parse,
        .close = pmsnare_close,
};

const struct module pmsnare_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmsnare",
        .help = "Makes blanks of the tabs with which Snare agents separate host name and kind of message. Chains name "
                "it "
                "rsyslog.snare, before the parsers that read what it repaired.",
        .settings = SETTINGS(struct pmsnare_settings, pmsnare_params),
        .parser = &pmsnare_ops,
};
