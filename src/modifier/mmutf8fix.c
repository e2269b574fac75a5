/*
 * mmutf8fix: bytes that are no UTF-8 are replaced, one character for each.
 *
 * In utf-8 mode a sequence stays if it is whole, as short as can be, no half of a surrogate pair, and within Unicode;
 * else its first byte is replaced and the next is looked at. In controlcharacters mode only
 * printable US-ASCII stays.
 */
#include "message/change.h"
#include "module/module.h"

#include <errno.h>

#include "base/reporter.h"

enum { MODE_UTF8, MODE_CONTROL };
static const char *const modes[] = {"utf-8", "controlcharacters", NULL};

struct mmutf8fix_settings {
        int mode;
        int64_t replacement;
        char *sequence;
};

static bool is_printable(unsigned char c) {
        return c >= 32 && c <= 126;
}

static bool is_continuation(unsigned char c) {
        return (c & 0xc0) == 0x80;
}

/* The size of the sequence of several bytes at the start of p[0..size), or 0 where that is no UTF-8. */
static size_t sequence_size(const unsigned char *p, size_t size) {
        if (p[0] < 0xc2 || p[0] > 0xf4)
                return 0;
        size_t wanted = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        if (size < wanted)
                return 0;
        for (size_t i = 1; i < wanted; i++)
                if (!is_continuation(p[i]))
                        return 0;
        bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
        bool is_surrogate = p[0] == 0xed && p[1] > 0x9f;
        bool is_beyond = p[0] == 0xf4 && p[1] > 0x8f;
        return is_overlong || is_surrogate || is_beyond ? 0 : wanted;
}

/* How many bytes from p on stay as they are. */
static size_t good_run(int mode, const unsigned char *p, size_t size) {
        size_t at = 0;
        while (at < size) {
                size_t step = mode == MODE_CONTROL ? is_printable(p[at])
                              : p[at] < 0x80       ? 1
                                                   : sequence_size(p + at, size - at);
                if (!step)
                        break;
                at += step;
        }
        return at;
}

static void fix(const struct mmutf8fix_settings *s, struct buffer *out, struct text t) {
        char single = (char)s->replacement;
        struct text instead = s->sequence ? text_of(s->sequence) : (struct text){&single, 1};
        buffer_clear(out);
        for (size_t at = 0; at < t.size; at++) {
                size_t good = good_run(s->mode, (const unsigned char *)t.data + at, t.size - at);
                buffer_text(out, text_slice(t, at, at + good));
                at += good;
                if (at < t.size)
                        buffer_text(out, instead);
        }
}

static void mmutf8fix_modify(void *instance, struct property_context *context, struct batch *b,
                             const uint16_t *selection, size_t count) {
        const struct mmutf8fix_settings *s = instance;
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                struct text msg = batch_text(b, r->msg);
                if (msg.size == 0 || good_run(s->mode, (const unsigned char *)msg.data, msg.size) == msg.size)
                        continue;
                fix(s, &context->scratch, msg);
                if (!buffer_failed(&context->scratch))
                        (void)change_msg(b, r, buffer_as_text(&context->scratch));
        }
}

static int mmutf8fix_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        *ret = (void *)(uintptr_t)settings; /* they outlive the instance, which is nothing else */
        return 0;
}

static void mmutf8fix_close(void *instance _unused_) {
}

static int mmutf8fix_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmutf8fix_settings *s = settings;
        if (!s || is_printable((unsigned char)s->replacement))
                return 0;
        module_report_param(log, SEVERITY_ERR, "replacementchar",
                            "the replacement has to be a printable character of US-ASCII");
        return -EINVAL;
}

#define S struct mmutf8fix_settings
static const struct param mmutf8fix_params[] = {
        PARAM_CHOICE(S, mode, .name = "mode", .dflt = "utf-8", .choices = modes,
                     .help = "What stays: utf-8, or, with controlcharacters, printable US-ASCII alone."),
        PARAM_CHAR(S, replacement, .name = "replacementchar", .dflt = "32",
                   .help = "What stands for each byte that does not stay."),
        PARAM_STRING(S, sequence, .name = "replacementsequence",
                     .help = "The same as a text of any length; where it is set, replacementChar is not used."),
        {},
};
#undef S

static const struct modifier_ops mmutf8fix_ops = {
        .open = mmutf8fix_open,
        .modify = mmutf8fix_modify,
        .close = mmutf8fix_close,
};

const struct module mmutf8fix_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmutf8fix",
        .help = "Replaces bytes of the text that are no UTF-8, or all that is no printable US-ASCII.",
        .settings = SETTINGS(struct mmutf8fix_settings, mmutf8fix_params),
        .check = mmutf8fix_check,
        .modifier = &mmutf8fix_ops,
};
