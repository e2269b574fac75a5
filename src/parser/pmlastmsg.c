/*
 * pmlastmsg: "last message repeated 5 times", as some syslogds send it behind the
 * PRI alone. Other parsers would take "last" for the host name.
 */
#include "message/header.h"
#include "message/sanitize.h"
#include "module/module.h"

static bool skip_word(struct text *rest, struct text word) {
        if (!text_starts_nocase(*rest, word))
                return false;
        *rest = text_slice(*rest, word.size, rest->size);
        return true;
}

static bool is_last_message(struct text rest) {
        while (rest.size && rest.data[0] == ' ')
                rest = text_slice(rest, 1, rest.size);
        if (!skip_word(&rest, TEXT("last message repeated ")))
                return false;
        size_t digits = 0;
        while (digits < rest.size && (unsigned char)(rest.data[digits] - '0') <= 9)
                digits++;
        return digits && text_equal_nocase(text_slice(rest, digits, rest.size), TEXT(" times"));
}

static enum parse_result pmlastmsg_parse(void *instance _unused_, struct batch *b, struct record *r) {
        struct text raw = batch_text(b, r->raw);
        if (r->facility == FACILITY_INVALID || !is_last_message(text_slice(raw, r->pri_size, raw.size)))
                return PARSE_NOT_MINE;
        r->reported = stamp_of_wall(r->received_us);
        r->msg = span_slice(r->raw, r->pri_size, raw.size);
        return PARSE_TAKEN;
}

static int pmlastmsg_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                          const void *settings _unused_) {
        *ret = NULL; /* nothing to keep */
        return 0;
}

static void pmlastmsg_close(void *instance _unused_) {
}

/* No parameters; the member keeps the struct from being empty, which C does not know. */
struct pmlastmsg {
        char none;
};
static const struct param pmlastmsg_params[] = {{}};

static const struct parser_ops pmlastmsg_ops = {
        .name = "rsyslog.lastline",
        .open = pmlastmsg_open,
        .parse = pmlastmsg_parse,
        .close = pmlastmsg_close,
};

const struct module pmlastmsg_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmlastmsg",
        .help = "Keeps \"last message repeated n times\" whole where nothing but a PRI stands before it. Chains name "
                "it "
                "rsyslog.lastline, before rsyslog.rfc3164.",
        .settings = SETTINGS(struct pmlastmsg, pmlastmsg_params),
        .parser = &pmlastmsg_ops,
};
