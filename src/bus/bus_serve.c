/*
 * Services: commands come in, a table of methods says what there is.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "bus/bus_inside.h"

struct penstock_bus_request {
        struct penstock_bus *bus;
        struct penstock_bus_message *message;
        char *arguments; /* JSON; NULL: none */
};

enum { FAILED = 1 };

/* ---- Description --------------------------------------------------------------- */

static void put_string(struct buffer *out, const char *name, const char *value) {
        buffer_format(out, "\"%s\":", name);
        scan_quote(out, text_of(value ? value : ""));
}

static void put_arguments(struct buffer *out, const struct penstock_bus_argument *arguments) {
        for (const struct penstock_bus_argument *a = arguments; a && a->name; a++) {
                buffer_text(out, a == arguments ? TEXT("{") : TEXT(",{"));
                put_string(out, "item_name", a->name);
                buffer_byte(out, ',');
                put_string(out, "item_type", a->type ? a->type : "any");
                buffer_format(out, ",\"item_optional\":%s,", a->is_optional ? "true" : "false");
                put_string(out, "item_description", a->help);
                buffer_byte(out, '}');
        }
}

static void describe(struct buffer *out, const struct penstock_bus_service *service) {
        buffer_byte(out, '{');
        put_string(out, "module_name", service->name);
        buffer_byte(out, ',');
        put_string(out, "module_description", service->help);
        buffer_text(out, TEXT(",\"commands\":["));
        for (const struct penstock_bus_method *m = service->methods; m->name; m++) {
                buffer_text(out, m == service->methods ? TEXT("{") : TEXT(",{"));
                put_string(out, "command_name", m->name);
                buffer_byte(out, ',');
                put_string(out, "command_description", m->help);
                buffer_text(out, TEXT(",\"command_args\":["));
                put_arguments(out, m->arguments);
                buffer_text(out, TEXT("]}"));
        }
        buffer_text(out, TEXT("]}"));
}

/* ---- Requests ------------------------------------------------------------------- */

static void request_free(struct penstock_bus_request *q) {
        penstock_bus_message_unref(q->message);
        free(q->arguments);
        free(q);
}

struct penstock_bus *penstock_bus_request_bus(const struct penstock_bus_request *q) {
        return q->bus;
}

struct penstock_bus_message *penstock_bus_request_message(struct penstock_bus_request *q) {
        return q->message;
}

const char *penstock_bus_request_arguments(struct penstock_bus_request *q) {
        return q->arguments ? q->arguments : "{}";
}

static void put_answer_header(struct buffer *out, struct penstock_bus *bus, const struct header *asked) {
        static const struct {
                const char *name;
                enum header_field from;
        } members[] = {
                {"to", HEADER_FROM}, {"group", HEADER_GROUP}, {"instance", HEADER_INSTANCE}, {"reply", HEADER_SEQ}};
        buffer_format(out, "{\"type\":\"send\",\"from\":\"%s\",\"seq\":%lld", penstock_bus_lname(bus),
                      (long long)++bus->seq);
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const struct scan_value *value = &asked->fields[members[i].from];
                if (value->kind == SCAN_ABSENT && members[i].from != HEADER_SEQ)
                        continue;
                buffer_format(out, ",\"%s\":", members[i].name);
                buffer_text(out, value->kind == SCAN_ABSENT ? TEXT("null") : scan_raw(value));
        }
        buffer_byte(out, '}');
}

static void put_answer_body(struct buffer *out, int code, const char *text, const char *json) {
        buffer_format(out, "{\"result\":[%d", code);
        if (code != 0) {
                buffer_byte(out, ',');
                scan_quote(out, text_of(text ? text : ""));
        }
        if (json) {
                buffer_byte(out, ',');
                buffer_text(out, text_of(json));
        }
        buffer_text(out, TEXT("]}"));
}

int penstock_bus_answer(struct penstock_bus_request *q, int code, const char *text, const char *json,
                        const struct penstock_bus_attachment *attachments, size_t attachment_count) {
        _owned_(buffer_fini) struct buffer header = {0}, body = {0};
        struct frame *frame;
        struct scan_value checked;
        int r = json && scan_whole(text_of(json), &checked) ? -EINVAL : 0;
        put_answer_header(&header, q->bus, &q->message->header);
        /* Whoever waits is told even when the service made a mistake. */
        put_answer_body(&body, r ? FAILED : code, r ? "the service answered with what is no JSON" : text,
                        r ? NULL : json);
        int failed = buffer_failed(&header) || buffer_failed(&body) ? fail(-ENOMEM) : 0;
        if (!failed)
                failed = message_build(&frame, buffer_as_text(&header), buffer_as_text(&body), attachments,
                                       attachment_count);
        /* An answer is not refused for a full queue: that holds back who asks, not who answers. */
        if (!failed)
                failed = q->bus->state == BUS_READY ? bus_put(q->bus, frame, true) : (frame_unref(frame), -ENOTCONN);
        request_free(q);
        return failed ? failed : r;
}

int penstock_bus_reply(struct penstock_bus *bus, const struct penstock_bus_message *m, const void *body,
                       size_t body_size) {
        _owned_(buffer_fini) struct buffer header = {0};
        struct frame *frame;
        if (!penstock_bus_message_wants_answer(m))
                return -EINVAL;
        if (bus->state != BUS_READY)
                return -ENOTCONN;
        put_answer_header(&header, bus, &m->header);
        int r = buffer_failed(&header)
                        ? fail(-ENOMEM)
                        : message_build(&frame, buffer_as_text(&header), (struct text){body, body_size}, NULL, 0);
        return r ? r : bus_put(bus, frame, true);
}

/* ---- Dispatch --------------------------------------------------------------------- */

static const struct penstock_bus_argument *find_argument(const struct penstock_bus_argument *arguments,
                                                         const struct scan_value *name) {
        for (const struct penstock_bus_argument *a = arguments; a && a->name; a++)
                if (scan_equals(name, text_of(a->name)))
                        return a;
        return NULL;
}

static bool type_fits(const char *type, const struct scan_value *value) {
        int64_t number;
        static const struct {
                const char *name;
                enum scan_kind first, last;
        } types[] = {
                {"string", SCAN_STRING, SCAN_STRING}, {"integer", SCAN_NUMBER, SCAN_NUMBER},
                {"real", SCAN_NUMBER, SCAN_NUMBER},   {"boolean", SCAN_FALSE, SCAN_TRUE},
                {"list", SCAN_ARRAY, SCAN_ARRAY},     {"map", SCAN_OBJECT, SCAN_OBJECT},
        };
        for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
                if (strcmp(types[i].name, type) == 0)
                        return value->kind >= types[i].first && value->kind <= types[i].last &&
                               (strcmp(type, "integer") != 0 || scan_integer(value, &number));
        return true;
}

/* What is wrong with the arguments, in words; false: nothing. */
static bool find_mistake(const struct penstock_bus_method *method, const struct scan_value *arguments,
                         struct buffer *words) {
        if (arguments->kind != SCAN_ABSENT && arguments->kind != SCAN_OBJECT && arguments->kind != SCAN_NULL) {
                buffer_text(words, TEXT("the arguments have to be an object"));
                return true;
        }
        struct scan_walk walk = scan_walk_begin(arguments);
        while (arguments->kind == SCAN_OBJECT && scan_walk_next(&walk)) {
                const struct penstock_bus_argument *a = find_argument(method->arguments, &walk.name);
                if (a && type_fits(a->type, &walk.value))
                        continue;
                buffer_format(words, a ? "argument \"%.*s\" has to be of type %s" : "there is no argument \"%.*s\"%s",
                              TEXT_ARGS(walk.name.text), a ? a->type : "");
                return true;
        }
        for (const struct penstock_bus_argument *a = method->arguments; a && a->name; a++)
                if (!a->is_optional && scan_member(arguments, text_of(a->name)).kind == SCAN_ABSENT) {
                        buffer_format(words, "argument \"%s\" is missing", a->name);
                        return true;
                }
        return false;
}

static void refuse(struct penstock_bus_request *q, struct buffer *words) {
        const char *text = buffer_string(words);
        (void)penstock_bus_answer(q, FAILED, text ? text : "no memory", NULL, NULL, 0);
}

static void run(struct penstock_bus_request *q, const struct subscription_entry *entry, const struct scan_value *name,
                const struct scan_value *arguments) {
        _owned_(buffer_fini) struct buffer words = {0};
        const struct penstock_bus_method *m = entry->service->methods;
        while (m->name && !scan_equals(name, text_of(m->name)))
                m++;
        if (!m->name && scan_equals(name, TEXT("describe"))) {
                describe(&words, entry->service);
                (void)penstock_bus_answer(q, 0, NULL, buffer_string(&words), NULL, 0);
        } else if (!m->name) {
                buffer_format(&words, "unknown command: %.*s", TEXT_ARGS(name->text));
                refuse(q, &words);
        } else if (find_mistake(m, arguments, &words)) {
                refuse(q, &words);
        } else {
                m->run(q, entry->context);
        }
}

void service_dispatch(struct penstock_bus *bus, const struct subscription_entry *entry,
                      struct penstock_bus_message *message) {
        struct scan_value whole, name, arguments = {.kind = SCAN_ABSENT};
        if (scan_whole(frame_body(message->frame), &whole))
                return;
        struct scan_value list = scan_member(&whole, TEXT("command"));
        struct scan_walk walk = scan_walk_begin(&list);
        if (list.kind != SCAN_ARRAY || !scan_walk_next(&walk) || walk.value.kind != SCAN_STRING)
                return;
        name = walk.value;
        if (scan_walk_next(&walk))
                arguments = walk.value;
        struct penstock_bus_request *q = calloc(1, sizeof *q);
        if (!q)
                return;
        q->bus = bus;
        q->message = penstock_bus_message_ref(message);
        if (arguments.kind == SCAN_OBJECT)
                q->arguments = text_copy(arguments.text);
        run(q, entry, &name, &arguments);
}

int penstock_bus_serve(struct penstock_bus *bus, const struct penstock_bus_service *service, void *context) {
        if (!service->name || !service->methods)
                return -EINVAL;
        const struct subscription_entry wanted = {
                .group = (char *)service->name, .instance = (char *)"*", .service = service, .context = context};
        return subscription_add(bus, &wanted);
}
