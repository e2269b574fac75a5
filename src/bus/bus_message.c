/*
 * Messages of the client library: what comes in, and frames for what goes out.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "bus/bus_inside.h"
#include "io/unix_stream.h"

/* ---- Received --------------------------------------------------------------- */

struct penstock_bus_message *message_new(struct frame *frame) {
        struct penstock_bus_message *m = calloc(1, sizeof *m);
        if (!m || header_scan(&m->header, frame_header(frame))) {
                free(m);
                frame_unref(frame);
                return NULL;
        }
        m->references = 1;
        m->frame = frame;
        list_init(&m->of_backlog);
        return m;
}

size_t message_bytes(const struct penstock_bus_message *m) {
        return sizeof *m + (size_t)frame_wire_bytes(m->frame, WIRE_2);
}

struct penstock_bus_message *penstock_bus_message_ref(struct penstock_bus_message *m) {
        m->references++;
        return m;
}

void penstock_bus_message_unref(struct penstock_bus_message *m) {
        if (!m || --m->references > 0)
                return;
        for (unsigned i = 0; i < HEADER_FIELDS; i++)
                free(m->strings[i]);
        frame_unref(m->frame);
        free(m);
}

const char *message_string(struct penstock_bus_message *m, enum header_field field) {
        const struct scan_value *value = &m->header.fields[field];
        if (value->kind != SCAN_STRING)
                return "";
        if (!m->strings[field]) {
                char *string = malloc(value->text.size + 1);
                if (!string)
                        return "";
                struct text text = scan_string(value, string);
                memmove(string, text.data, text.size);
                string[text.size] = '\0';
                m->strings[field] = string;
        }
        return m->strings[field];
}

const char *penstock_bus_message_from(struct penstock_bus_message *m) {
        return message_string(m, HEADER_FROM);
}

const char *penstock_bus_message_to(struct penstock_bus_message *m) {
        return message_string(m, HEADER_TO);
}

const char *penstock_bus_message_group(struct penstock_bus_message *m) {
        return message_string(m, HEADER_GROUP);
}

const char *penstock_bus_message_instance(struct penstock_bus_message *m) {
        return message_string(m, HEADER_INSTANCE);
}

const char *penstock_bus_message_header(struct penstock_bus_message *m, size_t *size) {
        struct text header = frame_header(m->frame);
        *size = header.size;
        return header.data;
}

const void *penstock_bus_message_body(struct penstock_bus_message *m, size_t *size) {
        struct text body = frame_body(m->frame);
        *size = body.size;
        return body.data;
}

bool penstock_bus_message_wants_answer(const struct penstock_bus_message *m) {
        return m->header.fields[HEADER_WANT_ANSWER].kind == SCAN_TRUE &&
               m->header.fields[HEADER_REPLY].kind == SCAN_ABSENT;
}

size_t penstock_bus_message_attachment_count(const struct penstock_bus_message *m) {
        return m->frame->prefix.attachments;
}

/* The n-th; *fd_place is its place among the descriptors, or -1. The receiver has checked the heads. */
static int find_attachment(const struct penstock_bus_message *m, size_t n, struct text *blob, int *fd_place) {
        struct text bytes = frame_attachments(m->frame);
        int fds = 0;
        for (size_t i = 0; bytes.size >= WIRE_ATTACHMENT_BYTES; i++) {
                struct wire_attachment head;
                int r = wire_read_attachment(&head, bytes.data);
                assert(r == 0);
                *blob = text_slice(bytes, WIRE_ATTACHMENT_BYTES, WIRE_ATTACHMENT_BYTES + (size_t)head.bytes);
                *fd_place = head.type == WIRE_FD ? fds++ : -1;
                if (i == n)
                        return 0;
                bytes = text_slice(bytes, WIRE_ATTACHMENT_BYTES + (size_t)head.bytes, bytes.size);
        }
        return -ENOENT;
}

int penstock_bus_message_attachment(struct penstock_bus_message *m, size_t n, struct penstock_bus_attachment *ret) {
        struct text blob;
        int place;
        int r = find_attachment(m, n, &blob, &place);
        if (r)
                return r;
        if (place >= 0)
                *ret = (struct penstock_bus_attachment){.fd = m->frame->fds[place]};
        else
                *ret = (struct penstock_bus_attachment){.data = blob.data, .size = blob.size, .fd = -1};
        return 0;
}

int penstock_bus_message_take_fd(struct penstock_bus_message *m, size_t n) {
        struct text blob;
        int place;
        if (find_attachment(m, n, &blob, &place) || place < 0 || m->frame->fds[place] < 0)
                return -ENOENT;
        int fd = m->frame->fds[place];
        m->frame->fds[place] = -1;
        return fd;
}

/* ---- Handing out ------------------------------------------------------------ */

static struct subscription_entry *find_entry(const struct penstock_bus *bus, const char *group, const char *instance) {
        struct text name = text_of(group);
        for (struct table_node *n = table_find(&bus->subscriptions, table_hash(bus->seed, name)); n;
             n = table_find_next(n)) {
                struct subscription_entry *e = CONTAINER_OF(n, struct subscription_entry, by_name);
                if (strcmp(e->group, group) == 0 && (!instance || strcmp(e->instance, instance) == 0))
                        return e;
        }
        return NULL;
}

/* What is sent to the lname alone is for the service that was there first. */
static struct subscription_entry *first_service(const struct penstock_bus *bus) {
        for (struct list *l = bus->subscription_list.next; l != &bus->subscription_list; l = l->next)
                if (CONTAINER_OF(l, struct subscription_entry, of_bus)->service)
                        return CONTAINER_OF(l, struct subscription_entry, of_bus);
        return NULL;
}

/* The entry of the message's own instance comes before that of all. */
static struct subscription_entry *entry_for(const struct penstock_bus *bus, struct penstock_bus_message *m) {
        if (m->header.fields[HEADER_GROUP].kind != SCAN_STRING)
                return m->header.fields[HEADER_WANT_ANSWER].kind == SCAN_TRUE ? first_service(bus) : NULL;
        const char *group = message_string(m, HEADER_GROUP), *instance = message_string(m, HEADER_INSTANCE);
        struct subscription_entry *entry = find_entry(bus, group, *instance ? instance : "*");
        if (!entry)
                entry = find_entry(bus, group, "*");
        return entry ? entry : find_entry(bus, group, NULL);
}

void message_dispatch(struct penstock_bus *bus, struct penstock_bus_message *m) {
        if (!scan_equals(&m->header.fields[HEADER_TYPE], TEXT("send")))
                return;
        if (m->header.fields[HEADER_REPLY].kind != SCAN_ABSENT) {
                if (!call_answered(bus, m) && bus->on_message)
                        bus->on_message(bus, m, bus->message_context);
                return;
        }
        const struct subscription_entry *entry = entry_for(bus, m);
        if (entry && entry->service)
                service_dispatch(bus, entry, m);
        else if (entry)
                entry->fn(bus, m, entry->context);
        else if (bus->on_message)
                bus->on_message(bus, m, bus->message_context);
}

void penstock_bus_on_message(struct penstock_bus *bus, penstock_bus_message_fn fn, void *context) {
        bus->on_message = fn;
        bus->message_context = context;
}

/* ---- Going out --------------------------------------------------------------- */

static bool is_fd(const struct penstock_bus_attachment *a) {
        return !a->data && a->size == 0;
}

static uint64_t attachments_bytes(const struct penstock_bus_attachment *attachments, size_t count) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < count; i++)
                bytes += WIRE_ATTACHMENT_BYTES + attachments[i].size;
        return bytes;
}

static int add_descriptor(struct frame *f, int fd) {
        if (f->fd_count == WIRE_FDS_MAX)
                return -EMSGSIZE;
        int *grown = realloc(f->fds, (f->fd_count + 1u) * sizeof(int));
        if (!grown)
                return fail(-ENOMEM);
        f->fds = grown;
        int copy = unix_stream_duplicate(fd);
        if (copy < 0)
                return copy;
        f->fds[f->fd_count++] = copy;
        return 0;
}

static int add_attachment(struct frame *f, const struct penstock_bus_attachment *a) {
        if (a->size > UINT32_MAX)
                return -EMSGSIZE;
        const struct wire_attachment head = {is_fd(a) ? WIRE_FD : WIRE_BLOB, (uint32_t)a->size};
        char *to = f->bytes + f->start + f->size;
        wire_write_attachment(to, &head);
        if (a->size)
                memcpy(to + WIRE_ATTACHMENT_BYTES, a->data, a->size);
        f->size += WIRE_ATTACHMENT_BYTES + a->size;
        return is_fd(a) ? add_descriptor(f, a->fd) : 0;
}

int message_build(struct frame **ret, struct text header, struct text body,
                  const struct penstock_bus_attachment *attachments, size_t count) {
        _owned_(frame_unref) struct frame *f = NULL;
        if (count > WIRE_ATTACHMENTS_MAX || body.size > BUS_MESSAGE_BYTES_MAX)
                return -EMSGSIZE;
        int r = frame_from(&f, header, body);
        if (!r && count > 0)
                r = frame_reserve(&f, f->size + attachments_bytes(attachments, count));
        for (size_t i = 0; !r && i < count; i++)
                r = add_attachment(f, &attachments[i]);
        if (r)
                return r;
        f->prefix.attachments = (uint32_t)count;
        *ret = TAKE(f);
        return 0;
}

static void put_member(struct buffer *out, const char *name, const char *value) {
        buffer_format(out, ",\"%s\":", name);
        scan_quote(out, text_of(value));
}

int penstock_bus_send(struct penstock_bus *bus, const struct penstock_bus_outgoing *m) {
        _owned_(buffer_fini) struct buffer header = {0};
        struct frame *frame;
        if (!m->to && !m->group)
                return -EINVAL;
        if (m->attachment_count > 0 && bus->receiver.version == WIRE_1)
                return -EOPNOTSUPP;
        buffer_format(&header, "{\"type\":\"send\",\"from\":\"%s\",\"seq\":%lld", penstock_bus_lname(bus),
                      (long long)++bus->seq);
        put_member(&header, "to", m->to ? m->to : "*");
        if (m->group)
                put_member(&header, "group", m->group);
        put_member(&header, "instance", m->instance ? m->instance : "*");
        buffer_byte(&header, '}');
        int r = buffer_failed(&header);
        if (!r)
                r = message_build(&frame, buffer_as_text(&header), (struct text){m->body, m->body_size}, m->attachments,
                                  m->attachment_count);
        return r ? r : bus_put(bus, frame, false);
}

int penstock_bus_notify(struct penstock_bus *bus, const char *event, const char *parameters) {
        _owned_(buffer_fini) struct buffer group = {0};
        buffer_format(&group, "Event/%s", event);
        const char *name = buffer_string(&group);
        if (!name)
                return fail(-ENOMEM);
        parameters = parameters ? parameters : "{}";
        return penstock_bus_send(bus, &(struct penstock_bus_outgoing){
                                              .group = name, .body = parameters, .body_size = strlen(parameters)});
}

/* ---- Subscriptions ------------------------------------------------------------ */

int subscription_send(struct penstock_bus *bus, const char *type, const char *group, const char *instance) {
        _owned_(buffer_fini) struct buffer header = {0};
        struct frame *frame;
        buffer_format(&header, "{\"type\":\"%s\"", type);
        put_member(&header, "group", group);
        put_member(&header, "instance", instance);
        buffer_byte(&header, '}');
        int r = buffer_failed(&header);
        if (!r)
                r = frame_from(&frame, buffer_as_text(&header), TEXT_NONE);
        return r ? r : bus_put(bus, frame, true);
}

static void entry_free(struct penstock_bus *bus, struct subscription_entry *e) {
        table_remove(&bus->subscriptions, &e->by_name);
        list_remove(&e->of_bus);
        free(e->group);
        free(e->instance);
        free(e);
}

int subscription_add(struct penstock_bus *bus, const struct subscription_entry *wanted) {
        if (find_entry(bus, wanted->group, wanted->instance))
                return -EEXIST;
        struct subscription_entry *e = malloc(sizeof *e);
        if (!e)
                return fail(-ENOMEM);
        *e = *wanted;
        e->group = text_copy(text_of(wanted->group));
        e->instance = text_copy(text_of(wanted->instance));
        if (!e->group || !e->instance ||
            table_add(&bus->subscriptions, &e->by_name, table_hash(bus->seed, text_of(wanted->group)))) {
                free(e->group);
                free(e->instance);
                free(e);
                return fail(-ENOMEM);
        }
        list_append(&bus->subscription_list, &e->of_bus);
        /* Without a connection it is told when there is one again. */
        int r = bus->state == BUS_READY ? subscription_send(bus, "subscribe", e->group, e->instance) : 0;
        if (bus->state == BUS_CLOSED)
                r = -ENOTCONN;
        if (r)
                entry_free(bus, e);
        return r;
}

void subscriptions_free(struct penstock_bus *bus) {
        while (!list_is_empty(&bus->subscription_list))
                entry_free(bus, CONTAINER_OF(bus->subscription_list.next, struct subscription_entry, of_bus));
        table_fini(&bus->subscriptions);
}

int penstock_bus_subscribe(struct penstock_bus *bus, const char *group, const char *instance,
                           penstock_bus_message_fn fn, void *context) {
        if (!fn || !group)
                return -EINVAL;
        const struct subscription_entry wanted = {
                .group = (char *)group, .instance = (char *)(instance ? instance : "*"), .fn = fn, .context = context};
        return subscription_add(bus, &wanted);
}

int penstock_bus_on_event(struct penstock_bus *bus, const char *event, penstock_bus_message_fn fn, void *context) {
        _owned_(buffer_fini) struct buffer group = {0};
        buffer_format(&group, "Event/%s", event);
        const char *name = buffer_string(&group);
        return name ? penstock_bus_subscribe(bus, name, NULL, fn, context) : fail(-ENOMEM);
}

int penstock_bus_unsubscribe(struct penstock_bus *bus, const char *group, const char *instance) {
        struct subscription_entry *e = find_entry(bus, group, instance ? instance : "*");
        if (!e)
                return -ENOENT;
        int r = bus->state == BUS_READY ? subscription_send(bus, "unsubscribe", e->group, e->instance) : 0;
        entry_free(bus, e);
        return r;
}
