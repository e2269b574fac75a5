/*
 * pmaixforwardedfrom: AIX writes before the name of a host that it forwards for
 *
 *   Oct 11 22:14:15 Message forwarded from aix1: sshd[123]: Failed password
 *   Oct 11 22:14:15 From aix1: sshd[123]: Failed password
 *
 * These words and the colon behind the name go, and the next parser of the chain
 * reads the rest.
 */
#include "message/sanitize.h"
#include "module/module.h"
#include "parser/rewrite.h"

static const struct opening {
        struct text words;
        size_t rest_bytes_min; /* of what follows them */
} openings[] = {
        {{"message forwarded from ", 23}, 2},
        {{"from ", 5}, 3},
};

/* Bytes of AIX's words at the start, 0 where there are none. */
static size_t opening_size(struct text t) {
        for (size_t i = 0; i < ARRAY_SIZE(openings); i++)
                if (t.size >= openings[i].words.size + openings[i].rest_bytes_min &&
                    text_starts_nocase(t, openings[i].words))
                        return openings[i].words.size;
        return 0;
}

static enum parse_result pmaixforwardedfrom_parse(void *instance _unused_, struct batch *b, struct record *r) {
        struct text raw = batch_text(b, r->raw);
        size_t at = r->pri_size;
        while (at < raw.size && raw.data[at] == ' ')
                at++;
        at += DATE_BYTES;
        if (r->facility == FACILITY_INVALID || at >= raw.size)
                return PARSE_NOT_MINE;
        size_t words = opening_size(text_slice(raw, at, raw.size));
        if (words == 0)
                return PARSE_NOT_MINE;
        size_t host = at + words, end = host;
        while (end < raw.size && raw.data[end] != ' ' && raw.data[end] != ':')
                end++;
        size_t rest = end < raw.size && raw.data[end] == ':' ? end + 1 : end;
        rewrite_raw(
                b, r,
                (struct text[]){text_slice(raw, 0, at), text_slice(raw, host, end), text_slice(raw, rest, raw.size)},
                3);
        return PARSE_NOT_MINE;
}

static int pmaixforwardedfrom_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                                   const void *settings _unused_) {
        *ret = NULL; /* nothing to keep */
        return 0;
}

static void pmaixforwardedfrom_close(void *instance _unused_) {
}

/* No parameters; the member keeps the struct from being empty, which C does not know. */
struct pmaixforwardedfrom {
        char none;
};
static const struct param pmaixforwardedfrom_params[] = {{}};

static const struct parser_ops pmaixforwardedfrom_ops = {
        .open = pmaixforwardedfrom_open,
        .parse = pmaixforwardedfrom_parse,
        .close = pmaixforwardedfrom_close,
};

const struct module pmaixforwardedfrom_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmaixforwardedfrom",
        .help = "Drops the words \"Message forwarded from\" or \"From\" that AIX puts before a host name. Chains name "
                "it "
                "rsyslog.aixforwardedfrom, before the parsers that read what it repaired.",
        .settings = SETTINGS(struct pmaixforwardedfrom, pmaixforwardedfrom_params),
        .parser = &pmaixforwardedfrom_ops,
};
