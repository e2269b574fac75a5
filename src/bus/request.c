/*
 * Requests that wait for an answer.
 *
 *   request_begin() -> request_await() for each recipient that has it queued
 *     -> request_answered(): one of them has answered
 *     -> request_forget_recipient(): the last of them has gone: error -2
 *     -> its timer: error -3
 *     -> request_forget_requester()
 *
 * A request keeps the header, which an error repeats: by a reference where the
 * message is small, else as a copy, so that a large body is not kept. Requests and
 * their entries are recycled.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/broker_inside.h"

enum {
        KEPT_WHOLE_BYTES_MAX = 1024, /* a message up to here is kept as it is */
};

struct request {
        struct table_node by_seq;
        struct timer timer;
        struct client *requester;
        struct list of_requester; /* or free_requests */
        struct list pendings;
        struct frame *kept;
        struct header header; /* of it */
};

struct pending {
        struct request *request;
        struct client *recipient;
        struct list of_request; /* or free_pendings */
        struct list of_recipient;
};

/* ---- Finding --------------------------------------------------------------- */

/* Numbers are the same when they count the same, all else when it is written the same. */
static uint64_t seq_hash(const struct client *requester, const struct scan_value *seq) {
        int64_t number;
        uint64_t key = scan_integer(seq, &number) ? (uint64_t)number : table_hash(requester->broker->seed, seq->text);
        return table_mix(key, requester->subscriber.serial ^ requester->broker->seed);
}

static bool is_same_seq(const struct scan_value *a, const struct scan_value *b) {
        int64_t na, nb;
        if (scan_integer(a, &na) && scan_integer(b, &nb))
                return na == nb;
        return a->kind == b->kind && text_equal(a->text, b->text);
}

static struct pending *find_pending(const struct request *q, const struct client *recipient) {
        for (struct list *l = q->pendings.next; l != &q->pendings; l = l->next) {
                struct pending *p = CONTAINER_OF(l, struct pending, of_request);
                if (p->recipient == recipient)
                        return p;
        }
        return NULL;
}

/* ---- Beginning and end ----------------------------------------------------- */

static void release_pending(struct broker *b, struct pending *p) {
        list_remove(&p->of_request);
        list_remove(&p->of_recipient);
        list_append(&b->free_pendings, &p->of_request);
}

struct request *request_end(struct request *q) {
        struct client *requester = q->requester;
        struct broker *b = requester->broker;
        while (!list_is_empty(&q->pendings))
                release_pending(b, CONTAINER_OF(q->pendings.next, struct pending, of_request));
        loop_disarm(b->loop, &q->timer);
        table_remove(&b->requests, &q->by_seq);
        list_remove(&q->of_requester);
        requester->outstanding--;
        q->kept = frame_unref(q->kept);
        list_append(&b->free_requests, &q->of_requester);
        return NULL;
}

/* The error follows the end, so that a request has at most one. */
static void end_with(struct request *q, enum bus_error code, struct text data) {
        struct client *requester = q->requester;
        struct broker *b = requester->broker;
        _owned_(frame_unref) struct frame *kept = frame_ref(q->kept);
        struct header header = q->header;
        request_end(q);
        post_error(requester, &header, code, data);
        if (trace_is_on(b))
                trace_message(b, "error", requester, kept, &header, code);
}

static void timed_out(struct timer *timer) {
        struct request *q = CONTAINER_OF(timer, struct request, timer);
        struct broker *b = q->requester->broker;
        const struct scan_value *group = &q->header.fields[HEADER_GROUP];
        broker_log(b, SEVERITY_ERR, LOG_TIMEOUT, "request %.*s of %s to group \"%.*s\" was not answered in time",
                   (int)MIN(q->header.fields[HEADER_SEQ].text.size, (size_t)40), q->header.fields[HEADER_SEQ].text.data,
                   q->requester->lname, (int)MIN(group->text.size, (size_t)100), group->text.data);
        end_with(q, BUS_TIMED_OUT, TEXT_NONE);
        broker_settle(b);
}

static int keep_header(struct request *q, const struct frame *frame, const struct header *header) {
        if (frame->size <= KEPT_WHOLE_BYTES_MAX && frame->fd_count == 0) {
                q->kept = frame_ref((struct frame *)frame);
                q->header = *header;
                return 0;
        }
        int r = frame_from(&q->kept, frame_header(frame), TEXT_NONE);
        if (r)
                return pass(r);
        r = header_scan(&q->header, frame_header(q->kept));
        assert(r == 0);
        return 0;
}

static struct request *fresh_request(struct broker *b) {
        if (!list_is_empty(&b->free_requests))
                return CONTAINER_OF(list_take(&b->free_requests), struct request, of_requester);
        struct request *q = calloc(1, sizeof *q);
        if (q)
                list_init(&q->of_requester);
        return q;
}

int request_begin(struct request **ret, struct client *requester, const struct frame *frame,
                  const struct header *header) {
        struct broker *b = requester->broker;
        struct request *q = fresh_request(b);
        if (!q)
                return fail(-ENOMEM);
        list_init(&q->pendings);
        q->requester = requester;
        q->timer = (struct timer){.fire = timed_out};
        int64_t timeout_ms;
        if (!scan_integer(&header->fields[HEADER_TIMEOUT], &timeout_ms) || timeout_ms <= 0)
                timeout_ms = b->settings.answer_timeout_ms;
        timeout_ms = MIN(timeout_ms, (int64_t)INT32_MAX);
        int r = keep_header(q, frame, header);
        if (!r)
                r = loop_arm(b->loop, &q->timer, clock_mono_ns() + timeout_ms * 1000000);
        if (!r)
                r = table_add(&b->requests, &q->by_seq, seq_hash(requester, &q->header.fields[HEADER_SEQ]));
        if (r) {
                loop_disarm(b->loop, &q->timer);
                frame_unref(q->kept);
                free(q);
                return pass(r);
        }
        list_append(&requester->requests, &q->of_requester);
        requester->outstanding++;
        *ret = q;
        return 0;
}

int request_await(struct request *q, struct client *recipient) {
        struct broker *b = recipient->broker;
        struct pending *p;
        if (!list_is_empty(&b->free_pendings)) {
                p = CONTAINER_OF(list_take(&b->free_pendings), struct pending, of_request);
        } else {
                p = malloc(sizeof *p);
                if (!p)
                        return fail(-ENOMEM);
        }
        *p = (struct pending){.request = q, .recipient = recipient};
        list_append(&q->pendings, &p->of_request);
        list_append(&recipient->awaited, &p->of_recipient);
        return 0;
}

bool request_is_awaited(const struct request *q) {
        return !list_is_empty(&q->pendings);
}

bool request_answered(struct client *requester, const struct client *answerer, const struct scan_value *reply) {
        const struct table *requests = &requester->broker->requests;
        if (requester->outstanding == 0)
                return false;
        for (struct table_node *n = table_find(requests, seq_hash(requester, reply)); n; n = table_find_next(n)) {
                struct request *q = CONTAINER_OF(n, struct request, by_seq);
                if (q->requester == requester && is_same_seq(&q->header.fields[HEADER_SEQ], reply) &&
                    find_pending(q, answerer)) {
                        request_end(q);
                        return true;
                }
        }
        return false;
}

/* ---- Clients that end ------------------------------------------------------ */

void request_forget_requester(struct client *c) {
        while (!list_is_empty(&c->requests))
                request_end(CONTAINER_OF(c->requests.next, struct request, of_requester));
}

void request_forget_recipient(struct client *c) {
        _owned_(buffer_fini) struct buffer data = {0};
        buffer_format(&data, "{\"client\":\"%s\"}", c->lname);
        while (!list_is_empty(&c->awaited)) {
                struct pending *p = CONTAINER_OF(c->awaited.next, struct pending, of_recipient);
                struct request *q = p->request;
                release_pending(c->broker, p);
                if (!request_is_awaited(q))
                        end_with(q, BUS_RECIPIENT_GONE, buffer_as_text(&data));
        }
}

void request_fini(struct broker *b) {
        while (!list_is_empty(&b->free_requests))
                free(CONTAINER_OF(list_take(&b->free_requests), struct request, of_requester));
        while (!list_is_empty(&b->free_pendings))
                free(CONTAINER_OF(list_take(&b->free_pendings), struct pending, of_request));
        table_fini(&b->requests);
}
