#include "gateway/joined.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/writer.h"

enum {
        SUBJECT_BYTES_MAX = 256,
        TOLD_AGAIN_S = 5, /* that messages are lost */
};

struct joined {
        struct joined_host host;
        char *group, *subject;
        struct nats_subject *subscription; /* NULL: ALONE */
        int64_t members;                   /* besides us */
        bool is_counting, counts_again;
        uint64_t lost;
        int64_t told_ns;
};

/* A message that is lost is counted, and told of from time to time. */
static void lose(struct joined *j, const char *why) {
        int64_t now_ns = clock_mono_ns();
        j->lost++;
        if (j->told_ns && now_ns - j->told_ns < TOLD_AGAIN_S * INT64_C(1000000000))
                return;
        report(j->host.reporter, SEVERITY_WARNING, 0, "%s: %llu messages were lost: %s", j->group,
               (unsigned long long)j->lost, why);
        j->told_ns = now_ns;
        j->lost = 0;
}

/* ---- From the bus ------------------------------------------------------------------ */

/* A request of the bus that NATS has. */
struct outward {
        struct joined *joined;
        struct penstock_bus_message *message;
};

static void answer_error(struct joined *j, const struct penstock_bus_message *m, int code, const char *text) {
        char body[128];
        /* Somebody here may still answer it. */
        if (code == PENSTOCK_BUS_NO_RECIPIENT && j->members > 0)
                return;
        int size = snprintf(body, sizeof body, "{\"result\":[%d,\"%s\"]}", code, text);
        (void)penstock_bus_reply(j->host.bus, m, body, (size_t)size);
}

static void outward_answered(void *context, enum nats_answer answer, struct text body) {
        struct outward *o = context;
        struct joined *j = o->joined;
        if (answer == NATS_ANSWERED)
                (void)penstock_bus_reply(j->host.bus, o->message, body.data, body.size);
        else if (answer == NATS_NOBODY)
                answer_error(j, o->message, PENSTOCK_BUS_NO_RECIPIENT, "No such recipient");
        /* One that comes too late has been told so by the broker. */
        penstock_bus_message_unref(o->message);
        free(o);
}

static int ask_nats(struct joined *j, struct penstock_bus_message *m, struct text body) {
        struct outward *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        *o = (struct outward){.joined = j, .message = penstock_bus_message_ref(m)};
        int r = nats_link_request(j->host.link, j->subject, penstock_bus_message_instance(m), body, outward_answered,
                                  o);
        if (r) {
                penstock_bus_message_unref(m);
                free(o);
        }
        return r;
}

static void from_bus(struct penstock_bus *bus _unused_, struct penstock_bus_message *m, void *context) {
        struct joined *j = context;
        size_t size;
        const char *data = penstock_bus_message_body(m, &size);
        struct text body = {data, size};
        bool is_request = penstock_bus_message_wants_answer(m);
        if (penstock_bus_message_attachment_count(m)) {
                if (is_request)
                        answer_error(j, m, PENSTOCK_BUS_NO_ATTACHMENTS, "No attachments there");
                lose(j, "NATS carries no attachments");
                return;
        }
        int r = is_request ? ask_nats(j, m, body)
                           : nats_link_publish(j->host.link, j->subject, penstock_bus_message_instance(m), body);
        if (r == 0)
                return;
        if (is_request && r == -EMSGSIZE)
                answer_error(j, m, PENSTOCK_BUS_TOO_LARGE, "Too large");
        else if (is_request)
                answer_error(j, m, j->members > 0 ? PENSTOCK_BUS_NO_RECIPIENT : PENSTOCK_BUS_RECIPIENT_GONE,
                             "The NATS server is away");
        else
                lose(j, r == -EMSGSIZE ? "larger than the NATS server takes" : fail_text(r));
}

/* ---- From NATS ---------------------------------------------------------------------- */

/* A request of NATS that the bus has. */
struct inward {
        struct joined *joined;
        char reply[];
};

static void inward_answered(struct penstock_bus *bus _unused_, const struct penstock_bus_result *result,
                            void *context) {
        struct inward *i = context;
        struct text body = TEXT_NONE;
        _owned_(buffer_fini) struct buffer made = {0};
        if (result->message) {
                size_t size;
                const char *data = penstock_bus_message_body(result->message, &size);
                body = (struct text){data, size};
        } else {
                buffer_format(&made, "{\"result\":[%d,", result->code);
                scan_quote(&made, text_of(result->text));
                buffer_text(&made, TEXT("]}"));
                body = buffer_as_text(&made);
        }
        int r = nats_link_publish(i->joined->host.link, i->reply, NULL, body);
        if (r)
                lose(i->joined, "an answer could not be published");
        free(i);
}

static int ask_bus(struct joined *j, const struct nats_message *m) {
        size_t size = strlen(m->reply) + 1;
        struct inward *i = calloc(1, sizeof *i + size);
        if (!i)
                return fail(-ENOMEM);
        i->joined = j;
        memcpy(i->reply, m->reply, size);
        const struct penstock_bus_call call = {
                .to = j->group, .body = m->body.data ? m->body.data : "", .body_size = m->body.size};
        int r = penstock_bus_call(j->host.bus, &call, inward_answered, i);
        if (r)
                free(i);
        return r;
}

static void from_nats(void *context, const struct nats_message *m) {
        struct joined *j = context;
        int r;
        if (*m->reply) {
                r = ask_bus(j, m);
        } else {
                const struct penstock_bus_outgoing message = {.group = j->group,
                                                              .instance = *m->instance ? m->instance : NULL,
                                                              .body = m->body.data,
                                                              .body_size = m->body.size};
                r = penstock_bus_send(j->host.bus, &message);
        }
        if (r)
                lose(j, r == -EAGAIN ? "the bus is slower" : r == -ENOTCONN ? "the bus is away" : fail_text(r));
}

/* ---- Who wants it --------------------------------------------------------------------- */

static void want(struct joined *j, int64_t members) {
        j->members = members;
        if (members == 0) {
                j->subscription = nats_link_unsubscribe(j->subscription);
                return;
        }
        int r = j->subscription ? 0 : nats_link_subscribe(&j->subscription, j->host.link, j->subject, from_nats, j);
        if (r)
                report(j->host.reporter, SEVERITY_ERR, 0, "%s: cannot subscribe to %s: %s", j->group, j->subject,
                       fail_text(r));
}

static void counted(struct penstock_bus *bus, const struct penstock_bus_result *result, void *context) {
        struct joined *j = context;
        struct scan_value list;
        int64_t members = 0;
        j->is_counting = false;
        if (result->code == 0 && scan_whole((struct text){result->data, result->data_size}, &list) == 0 &&
            list.kind == SCAN_ARRAY) {
                struct scan_walk walk = scan_walk_begin(&list);
                while (scan_walk_next(&walk))
                        members += !scan_equals(&walk.value, text_of(penstock_bus_lname(bus)));
        }
        want(j, members);
        if (j->counts_again)
                joined_count_members(j);
}

void joined_count_members(struct joined *j) {
        _owned_(writer_fini) struct writer w = {0};
        if (j->is_counting) {
                j->counts_again = true;
                return;
        }
        writer_open(&w, NULL, '{');
        writer_string(&w, "group", j->group);
        writer_close(&w, '}');
        const struct penstock_bus_call call = {.to = "Msgq", .command = "members", .arguments = buffer_string(&w.out)};
        j->counts_again = false;
        j->is_counting = penstock_bus_call(j->host.bus, &call, counted, j) == 0;
        if (!j->is_counting)
                want(j, 0);
}

bool joined_has_group(const struct joined *j, const char *group) {
        return strcmp(j->group, group) == 0;
}

/* ---- Beginning and end ------------------------------------------------------------------- */

/* A group as a subject: what NATS gives a meaning to becomes "_", a slash becomes a dot. */
static char *default_subject(const char *group) {
        _owned_(buffer_fini) struct buffer subject = {0};
        buffer_text(&subject, TEXT("penstock."));
        for (const char *c = group; *c; c++)
                buffer_byte(&subject, *c == '/' ? '.' : *c <= ' ' || strchr("*>.", *c) ? '_' : *c);
        return text_copy(buffer_as_text(&subject));
}

static bool is_subject(const char *s) {
        size_t size = strlen(s);
        return size > 0 && size < SUBJECT_BYTES_MAX && s[0] != '.' && s[size - 1] != '.' && !strstr(s, "..") &&
               !strpbrk(s, " \t\r\n*>");
}

int joined_new(struct joined **ret, const struct joined_host *host, const char *what) {
        const char *equals = strchr(what, '=');
        struct joined *j = calloc(1, sizeof *j);
        if (!j)
                return fail(-ENOMEM);
        j->host = *host;
        j->group = text_copy((struct text){what, equals ? (size_t)(equals - what) : strlen(what)});
        j->subject = equals ? text_copy(text_of(equals + 1)) : j->group ? default_subject(j->group) : NULL;
        int r = j->group && j->subject ? 0 : fail(-ENOMEM);
        if (r == 0 && (!*j->group || !is_subject(j->subject))) {
                report(host->reporter, SEVERITY_ERR, 0,
                       "\"%s\" is no GROUP or GROUP=SUBJECT; a subject has words between dots, without blanks, * and >",
                       what);
                r = -EINVAL;
        }
        if (r == 0)
                r = penstock_bus_subscribe(host->bus, j->group, NULL, from_bus, j);
        if (r == -EEXIST)
                report(host->reporter, SEVERITY_ERR, 0, "the group \"%s\" is named twice", j->group);
        if (r) {
                joined_free(j);
                return pass(r);
        }
        *ret = j;
        return 0;
}

struct joined *joined_free(struct joined *j) {
        if (!j)
                return NULL;
        free(j->group);
        free(j->subject);
        free(j);
        return NULL;
}
