/*
 * Calls: a command goes out, a result comes back, or an error of the broker's.
 *
 *   call_begin() -> call_end() by the answer, by the loss of the connection, or, with a
 *   broker that keeps no time, by the deadline
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/bus_inside.h"
#include "io/unix_stream.h"

struct call {
        struct table_node by_seq;
        struct list of_bus;
        int64_t seq;
        int64_t due_ns; /* 0: the broker keeps the time */
        penstock_bus_result_fn fn;
        void *context;
};

/* ---- Results ----------------------------------------------------------------- */

/* A string on the heap, ended by a NUL; NULL without memory. */
static char *string_of(const struct scan_value *value) {
        if (value->kind != SCAN_STRING)
                return text_copy(value->text);
        char *string = malloc(value->text.size + 1);
        if (!string)
                return NULL;
        struct text text = scan_string(value, string);
        memmove(string, text.data, text.size);
        string[text.size] = '\0';
        return string;
}

/* {"result":[code, value]} or {"result":[code, text, data]}; code PENSTOCK_BUS_BAD_ANSWER when it is neither. */
static void parse_result(struct text body, int *code, struct scan_value *text, struct scan_value *data) {
        struct scan_value whole;
        int64_t number;
        *code = PENSTOCK_BUS_BAD_ANSWER;
        *text = *data = (struct scan_value){0};
        if (scan_whole(body, &whole))
                return;
        struct scan_value result = scan_member(&whole, TEXT("result"));
        struct scan_walk walk = scan_walk_begin(&result);
        if (result.kind != SCAN_ARRAY || !scan_walk_next(&walk) || !scan_integer(&walk.value, &number) ||
            number < INT32_MIN || number > INT32_MAX)
                return;
        *code = (int)number;
        if (*code != 0 && scan_walk_next(&walk))
                *text = walk.value;
        if (scan_walk_next(&walk))
                *data = walk.value;
}

static int result_new(struct penstock_bus_result **ret, int code, const char *text, struct penstock_bus_message *m) {
        struct penstock_bus_result *result = calloc(1, sizeof *result);
        struct scan_value words = {0}, data = {0};
        if (!result)
                return fail(-ENOMEM);
        if (m)
                parse_result(frame_body(m->frame), &code, &words, &data);
        if (code == PENSTOCK_BUS_BAD_ANSWER)
                text = "What came is no result";
        struct text raw = data.kind == SCAN_ABSENT ? TEXT_NONE : scan_raw(&data);
        result->code = code;
        result->data_size = raw.size;
        result->data = text_copy(raw);
        result->text = words.kind == SCAN_ABSENT ? text_copy(text_of(text)) : string_of(&words);
        result->message = m ? penstock_bus_message_ref(m) : NULL;
        if (!result->data || !result->text) {
                penstock_bus_result_free(result);
                return fail(-ENOMEM);
        }
        *ret = result;
        return 0;
}

void penstock_bus_result_free(struct penstock_bus_result *result) {
        if (!result)
                return;
        free((char *)result->text);
        free((char *)result->data);
        penstock_bus_message_unref(result->message);
        free(result);
}

/* ---- Beginning and end --------------------------------------------------------- */

struct call *call_find(const struct penstock_bus *bus, const struct header *header) {
        int64_t seq;
        if (!scan_integer(&header->fields[HEADER_REPLY], &seq))
                return NULL;
        for (struct table_node *n = table_find(&bus->calls, table_mix(bus->seed, (uint64_t)seq)); n;
             n = table_find_next(n))
                if (CONTAINER_OF(n, struct call, by_seq)->seq == seq)
                        return CONTAINER_OF(n, struct call, by_seq);
        return NULL;
}

static void call_drop(struct penstock_bus *bus, struct call *call) {
        table_remove(&bus->calls, &call->by_seq);
        list_remove(&call->of_bus);
        free(call);
}

/* The callback runs last: it may make the next call. */
static void call_end(struct penstock_bus *bus, struct call *call, int code, const char *text,
                     struct penstock_bus_message *m) {
        struct penstock_bus_result *result = NULL;
        /* Without memory the caller is still told, by what needs none. */
        struct penstock_bus_result bare = {.code = PENSTOCK_BUS_BAD_ANSWER, .text = "No memory", .data = ""};
        penstock_bus_result_fn fn = call->fn;
        void *context = call->context;
        call_drop(bus, call);
        (void)result_new(&result, code, text, m);
        fn(bus, result ? result : &bare, context);
        penstock_bus_result_free(result);
}

bool call_answered(struct penstock_bus *bus, struct penstock_bus_message *m) {
        struct call *call = call_find(bus, &m->header);
        if (call)
                call_end(bus, call, 0, "", m);
        return call != NULL;
}

void calls_fail(struct penstock_bus *bus, int64_t last, int code, const char *text) {
        for (struct list *l = bus->call_list.next; l != &bus->call_list; l = bus->call_list.next) {
                struct call *call = CONTAINER_OF(l, struct call, of_bus);
                if (call->seq > last)
                        break;
                call_end(bus, call, code, text, NULL);
        }
}

int64_t calls_due_ns(const struct penstock_bus *bus) {
        int64_t due_ns = 0;
        if (bus->receiver.version != WIRE_1)
                return 0;
        for (const struct list *l = bus->call_list.next; l != &bus->call_list; l = l->next) {
                const struct call *call = CONTAINER_OF(l, struct call, of_bus);
                if (call->due_ns > 0 && (due_ns == 0 || call->due_ns < due_ns))
                        due_ns = call->due_ns;
        }
        return due_ns;
}

void calls_expire(struct penstock_bus *bus) {
        if (bus->receiver.version != WIRE_1)
                return;
        int64_t now_ns = clock_mono_ns();
        for (struct list *l = bus->call_list.next, *next; l != &bus->call_list; l = next) {
                struct call *call = CONTAINER_OF(l, struct call, of_bus);
                next = l->next;
                if (call->due_ns > 0 && call->due_ns <= now_ns) {
                        call_end(bus, call, PENSTOCK_BUS_TIMED_OUT, "Timed out", NULL);
                        next = bus->call_list.next;
                }
        }
}

/* ---- Going out ------------------------------------------------------------------ */

/* A name is everybody in its group, "NAME[n]" one of them, an lname itself. */
static void put_address(struct buffer *out, const char *to) {
        struct text text = text_of(to);
        const char *bracket = text_ends(text, TEXT("]")) ? strrchr(to, '[') : NULL;
        bool is_lname = !bracket && strchr(to, '@');
        buffer_text(out, TEXT(",\"to\":"));
        scan_quote(out, bracket || is_lname ? text : TEXT("*"));
        if (is_lname)
                return;
        buffer_text(out, TEXT(",\"group\":"));
        scan_quote(out, bracket ? (struct text){to, (size_t)(bracket - to)} : text);
}

static void put_body(struct buffer *out, const struct penstock_bus_call *call) {
        if (call->body) {
                buffer_append(out, call->body, call->body_size);
                return;
        }
        buffer_text(out, TEXT("{\"command\":["));
        scan_quote(out, text_of(call->command));
        if (call->arguments) {
                buffer_byte(out, ',');
                buffer_text(out, text_of(call->arguments));
        }
        buffer_text(out, TEXT("]}"));
}

static int build(struct frame **ret, struct penstock_bus *bus, const struct penstock_bus_call *call, int64_t seq) {
        _owned_(buffer_fini) struct buffer header = {0}, body = {0};
        struct scan_value checked;
        if (!call->to || !call->command == !call->body ||
            (call->arguments && scan_whole(text_of(call->arguments), &checked)))
                return -EINVAL;
        if (call->attachment_count > 0 && bus->receiver.version == WIRE_1)
                return -EOPNOTSUPP;
        buffer_format(&header, "{\"type\":\"send\",\"from\":\"%s\",\"seq\":%lld", penstock_bus_lname(bus),
                      (long long)seq);
        put_address(&header, call->to);
        buffer_text(&header, TEXT(",\"instance\":\"*\",\"want_answer\":true"));
        if (call->timeout_ms > 0)
                buffer_format(&header, ",\"timeout\":%d", call->timeout_ms);
        buffer_byte(&header, '}');
        put_body(&body, call);
        if (buffer_failed(&header) || buffer_failed(&body))
                return fail(-ENOMEM);
        return message_build(ret, buffer_as_text(&header), buffer_as_text(&body), call->attachments,
                             call->attachment_count);
}

static int call_begin(struct call **ret, struct penstock_bus *bus, const struct penstock_bus_call *call,
                      penstock_bus_result_fn fn, void *context, bool may_exceed) {
        if (bus->state != BUS_READY)
                return -ENOTCONN;
        struct frame *frame;
        struct call *c = calloc(1, sizeof *c);
        if (!c)
                return fail(-ENOMEM);
        c->fn = fn;
        c->context = context;
        c->seq = ++bus->seq;
        if (bus->receiver.version == WIRE_1)
                c->due_ns = clock_mono_ns() + (call->timeout_ms > 0 ? call->timeout_ms : BUS_ANSWER_MS) * 1000000LL;
        int r = build(&frame, bus, call, c->seq);
        if (!r) {
                r = table_add(&bus->calls, &c->by_seq, table_mix(bus->seed, (uint64_t)c->seq));
                if (r)
                        frame_unref(frame);
        }
        if (r) {
                free(c);
                return r;
        }
        list_append(&bus->call_list, &c->of_bus);
        r = bus_put(bus, frame, may_exceed);
        if (r) {
                call_drop(bus, c);
                return r;
        }
        if (c->due_ns)
                bus_rearm(bus);
        *ret = c;
        return 0;
}

int penstock_bus_call(struct penstock_bus *bus, const struct penstock_bus_call *call, penstock_bus_result_fn fn,
                      void *context) {
        struct call *c;
        return fn ? call_begin(&c, bus, call, fn, context, false) : -EINVAL;
}

/* ---- Many at once ----------------------------------------------------------------- */

struct many;
struct many_slot {
        struct many *many;
        struct penstock_bus_result *result;
};
struct many {
        penstock_bus_results_fn fn;
        void *context;
        size_t count, left;
        struct many_slot slots[];
};

static void many_free(struct many *many) {
        for (size_t i = 0; i < many->count; i++)
                penstock_bus_result_free(many->slots[i].result);
        free(many);
}

static void many_finish(struct penstock_bus *bus, struct many *many) {
        static const struct penstock_bus_result bare = {
                .code = PENSTOCK_BUS_BAD_ANSWER, .text = "No memory", .data = ""};
        const struct penstock_bus_result **results = calloc(many->count, sizeof *results);
        for (size_t i = 0; results && i < many->count; i++)
                results[i] = many->slots[i].result ? many->slots[i].result : &bare;
        many->fn(bus, results, results ? many->count : 0, many->context);
        free(results);
        many_free(many);
}

/* Results are lent, so each is copied until the last has come. */
static struct penstock_bus_result *result_copy(const struct penstock_bus_result *result) {
        struct penstock_bus_result *copy = NULL;
        if (result_new(&copy, result->code, result->text, result->message))
                return NULL;
        return copy;
}

static void many_ended(struct penstock_bus *bus, const struct penstock_bus_result *result, void *context) {
        struct many_slot *slot = context;
        struct many *many = slot->many;
        slot->result = result_copy(result);
        if (--many->left == 0)
                many_finish(bus, many);
}

int penstock_bus_call_many(struct penstock_bus *bus, const struct penstock_bus_call *calls, size_t count,
                           penstock_bus_results_fn fn, void *context) {
        if (count == 0 || !fn)
                return -EINVAL;
        if (bus->outbox.bytes > bus->queue_limit) {
                bus->owes_room = true;
                return -EAGAIN;
        }
        struct many *many = calloc(1, sizeof *many + count * sizeof many->slots[0]);
        struct call **begun = calloc(count, sizeof *begun);
        int r = many && begun ? 0 : fail(-ENOMEM);
        if (!r)
                *many = (struct many){.fn = fn, .context = context, .count = count, .left = count};
        size_t i = 0;
        for (; !r && i < count; i++) {
                many->slots[i].many = many;
                r = call_begin(&begun[i], bus, &calls[i], many_ended, &many->slots[i], true);
        }
        /* What went out before the one that could not is answered to nobody. */
        for (size_t k = 0; r && i > 0 && k < i - 1; k++)
                call_drop(bus, begun[k]);
        free(begun);
        if (r)
                free(many);
        return r;
}

/* ---- Waiting for it ------------------------------------------------------------------ */

struct waiting {
        struct penstock_bus_result *result;
        bool is_over;
};

static void waiting_ended(struct penstock_bus *bus _unused_, const struct penstock_bus_result *result, void *context) {
        struct waiting *w = context;
        w->is_over = true;
        w->result = result_copy(result);
}

int penstock_bus_call_sync(struct penstock_bus *bus, const struct penstock_bus_call *call,
                           struct penstock_bus_result **ret) {
        struct waiting w = {0};
        struct call *c;
        int r = call_begin(&c, bus, call, waiting_ended, &w, false);
        if (r)
                return r;
        while (!w.is_over && bus->fd >= 0) {
                int wait_ms = c->due_ns ? (int)MAX((c->due_ns - clock_mono_ns()) / 1000000 + 1, (int64_t)0) : -1;
                short events = (short)(POLLIN | (outbox_is_empty(&bus->outbox) ? 0 : POLLOUT));
                (void)unix_stream_await(bus->fd, events, wait_ms);
                bus_exchange(bus, c);
                if (!w.is_over && bus->backlog_bytes > BUS_BACKLOG_BYTES_MAX) {
                        /* Its answer, should it come, is nobody's. */
                        call_drop(bus, c);
                        bus_rearm(bus);
                        return -ENOBUFS;
                }
                if (!w.is_over && c->due_ns && c->due_ns <= clock_mono_ns())
                        call_end(bus, c, PENSTOCK_BUS_TIMED_OUT, "Timed out", NULL);
        }
        /* The other calls of a lost connection end in penstock_bus_process(). */
        if (!w.is_over)
                call_end(bus, c, PENSTOCK_BUS_DISCONNECTED, "Disconnected", NULL);
        bus_rearm(bus);
        if (!w.result)
                return fail(-ENOMEM);
        *ret = w.result;
        return 0;
}
