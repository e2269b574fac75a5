/* penstock queue dump and export: the messages themselves. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "control/queue_inside.h"
#include "message/property.h"
#include "message/stamp_text.h"

struct dump {
        const struct queue_arguments *arguments;
        struct inspect *in;
        struct packer packer;
        struct writer writer;
        struct property_context properties;
        uint64_t first_lsn; /* none before it is shown */
        int64_t left;       /* negative: without end */
        bool is_raw, is_octet;
        uint64_t damages;
};

enum { DUMP_ENDS = 1 };

static void dump_fini(struct dump *d) {
        packer_fini(&d->packer);
        writer_fini(&d->writer);
        buffer_fini(&d->properties.scratch);
}
OWNED_VALUE(struct dump, dump_fini);

static void write_base64(struct writer *w, const char *name, struct text t) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        writer_name(w, name);
        buffer_byte(&w->out, '"');
        for (size_t i = 0; i < t.size; i += 3) {
                uint32_t group = 0;
                for (size_t j = 0; j < 3; j++)
                        group = group << 8 | (i + j < t.size ? (uint8_t)t.data[i + j] : 0u);
                for (size_t j = 0; j < 4; j++)
                        buffer_byte(&w->out, i + j <= t.size ? digits[group >> (18 - 6 * j) & 63] : '=');
        }
        buffer_byte(&w->out, '"');
}

static void write_tree(struct writer *w, const char *name, const struct json *tree) {
        if (!tree)
                return;
        writer_name(w, name);
        json_print(&w->out, tree, JSON_COMPACT);
}

static void write_property(struct dump *d, const char *name, struct batch *b, struct record *r) {
        struct property p;
        int found = property_find(&p, text_of(name));
        assert(found == 0);
        struct text value = property_get(&d->properties, b, r, &p);
        if (value.size)
                writer_text(&d->writer, name, value);
}

static void write_source(struct writer *w, struct record *r) {
        if (!r->source)
                return;
        /* As it lay there: nobody is asked who an address is. */
        const char *host = atomic_load(&r->source->host);
        writer_string(w, "inputname", r->source->input_name);
        if (host)
                writer_string(w, "fromhost", host);
        if (*r->source->address)
                writer_string(w, "fromhost-ip", r->source->address);
        if (*r->source->port)
                writer_string(w, "fromhost-port", r->source->port);
}

static void write_texts(struct writer *w, struct batch *b, struct record *r) {
        const struct {
                const char *name;
                struct span span;
        } fields[] = {{"hostname", r->host}, {"syslogtag", r->tag}, {"app-name", r->app},
                      {"procid", r->procid}, {"msgid", r->msgid},   {"structured-data", r->structured}};
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (fields[i].span.size)
                        writer_text(w, fields[i].name, batch_text(b, fields[i].span));
}

static void write_record(struct dump *d, const struct frame *f, uint64_t lsn, struct batch *b, struct record *r) {
        struct writer *w = &d->writer;
        struct text raw = batch_text(b, r->raw);
        char stamp[STAMP_TEXT_MAX];
        writer_open(w, NULL, '{');
        writer_int(w, "lsn", (int64_t)lsn);
        spool_write_time(w, "appended", f->time_us);
        spool_write_time(w, "timegenerated", r->received_us);
        if (r->reported.is_set)
                writer_text(w, "timereported",
                            (struct text){stamp, (size_t)(stamp_rfc3339(stamp, &r->reported) - stamp)});
        writer_text(w, "rawmsg", raw);
        if (!text_is_utf8(raw))
                write_base64(w, "rawmsg-base64", raw);
        writer_bool(w, "is_parsed", r->flags & RECORD_IS_PARSED);
        writer_int(w, "facility", r->facility);
        writer_int(w, "severity", r->severity);
        if (r->flags & RECORD_IS_PARSED) {
                writer_int(w, "protocol-version", r->protocol);
                write_texts(w, b, r);
                write_property(d, "programname", b, r);
                writer_text(w, "msg", batch_text(b, r->msg));
        }
        write_source(w, r);
        if (r->uuid_at)
                write_property(d, "uuid", b, r);
        if (b->route)
                writer_string(w, "route", b->route);
        if (r->ruleset)
                writer_string(w, "ruleset", d->packer.names.rulesets[r->ruleset - 1]);
        write_tree(w, "$!", r->tree[TREE_MESSAGE]);
        write_tree(w, "$.", r->tree[TREE_LOCAL]);
        writer_close(w, '}');
        spool_print(w);
}

void sender_frame(struct buffer *out, struct text message, bool is_octet) {
        if (is_octet) {
                buffer_format(out, "%zu ", message.size);
                buffer_text(out, message);
                return;
        }
        /* A line feed within would make two of one; control bytes are written as the receiver of rsyslogd writes them.
         */
        while (message.size) {
                const char *feed = memchr(message.data, '\n', message.size);
                size_t size = feed ? (size_t)(feed - message.data) : message.size;
                buffer_append(out, message.data, size);
                if (feed)
                        buffer_text(out, TEXT("#012"));
                message = text_slice(message, size + (feed != NULL), message.size);
        }
        buffer_byte(out, '\n');
}

static int show_frame(void *owner, const struct inspect_frame *f) {
        struct dump *d = owner;
        if (f->frame->lsn + f->frame->count <= d->first_lsn)
                return 0;
        _owned_(memory_free) void *payload = NULL;
        int r = inspect_decode(d->in, f, &payload);
        if (r)
                return pass(r);
        _owned_(batch_unref) struct batch *b = NULL;
        uint32_t skip = f->frame->lsn < d->first_lsn ? (uint32_t)(d->first_lsn - f->frame->lsn) : 0;
        r = packer_unpack(&d->packer, (struct text){payload, f->frame->raw_bytes}, skip, &b);
        if (r)
                return pass(r);
        for (uint32_t i = 0; i < b->count; i++) {
                if (d->left == 0)
                        return DUMP_ENDS;
                d->left--;
                if (!d->is_raw) {
                        write_record(d, f->frame, f->frame->lsn + skip + i, b, &b->records[i]);
                        continue;
                }
                sender_frame(&d->writer.out, batch_text(b, b->records[i].raw), d->is_octet);
                fwrite(d->writer.out.data, 1, d->writer.out.size, stdout);
                buffer_clear(&d->writer.out);
        }
        return ferror(stdout) ? fail(-EIO) : 0;
}

static int see_damage(void *owner, const struct inspect_damage *damage) {
        struct dump *d = owner;
        if (!inspect_damage_loses(damage) || (damage->count && damage->lsn + damage->count <= d->first_lsn))
                return 0;
        d->damages++;
        if (damage->count)
                spool_complain("%s: LSN %" PRIu64 " to %" PRIu64 " are lost: %s", d->arguments->word, damage->lsn,
                               damage->lsn + damage->count - 1, inspect_damage_text(damage->kind));
        else
                spool_complain("%s: from LSN %" PRIu64 " on some are lost: %s", d->arguments->word, damage->lsn,
                               inspect_damage_text(damage->kind));
        return 0;
}

static int show(const struct queue_arguments *a, bool is_raw) {
        _owned_(inspect_close) struct inspect *in = NULL;
        bool is_octet;
        int r = spool_framing(a, &is_octet);
        if (r == 0)
                r = spool_look(&in, a);
        if (r)
                return r;
        _owned_(dump_fini) struct dump d = {.arguments = a,
                                            .in = in,
                                            .left = a->limit ? a->limit : -1,
                                            .first_lsn = a->wants_all ? 0 : inspect_facts(in)->mark_lsn,
                                            .is_raw = is_raw,
                                            .is_octet = is_octet};
        d.first_lsn = MAX(d.first_lsn, (uint64_t)a->from_lsn);
        r = packer_init(&d.packer);
        if (r)
                return spool_complain("%s", fail_text(r));
        const struct inspect_visitor visitor = {.frame = show_frame, .damage = see_damage, .owner = &d};
        r = inspect_walk(in, &visitor);
        if (r == -EKEYREJECTED)
                return spool_complain("%s: it is encrypted%s: give --key-file or --key-program", a->word,
                                      a->key_file || a->key_program ? ", and this is not its key" : "");
        if (r < 0)
                return spool_complain("%s: %s", a->word, fail_text(r));
        return d.damages ? QUEUE_FAILED : QUEUE_FINE;
}

int spool_dump(const struct queue_arguments *a) {
        return show(a, false);
}

int spool_export(const struct queue_arguments *a) {
        return show(a, true);
}
