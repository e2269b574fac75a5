/*
 * Taps: messages that pass, shown to a client of the bus. Workers put them into a
 * buffer of bounded size, the main thread sends it; what does not fit is counted as
 * missed, so that nothing ever waits for whoever looks on. A sample is made of the
 * first records of each batch, and of no batch whose worker would have to wait.
 */
#include "daemon/bus_tap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "delivery/delivery.h"

enum {
        TAPS_MAX = 64,
        TAP_BYTES_MAX = 1 << 20,  /* that wait for the main thread */
        TAP_QUEUED_MAX = 1 << 20, /* that wait for the client: then it misses */
        SAMPLE_RATE = 100,        /* messages a second */
        SAMPLE_A_BATCH = 64,      /* records that a sample looks at */
        RATE_MAX = 1000000,
        SAMPLE_WINDOW_US = 1000000,
};
static const char TAP_GROUP[] = "Penstock/tap";
static const char MEMBERS_GROUP[] = "notifications/cc_members";

enum tap_from { FROM_ANY, FROM_INPUT, FROM_RULESET, FROM_ACTION };

struct tap {
        struct tap *next;
        struct bus_taps *taps;
        int64_t id;
        char *client;
        enum tap_from kind;
        char *from;
        struct typed_filter *filter;
        bool is_complete;
        int64_t rate; /* messages a second, of a sample */
        int64_t window_us, window_count;
        struct writer lines; /* items of an array */
        uint64_t count;      /* of them */
        uint64_t missed;     /* since the last that was sent */
        bool is_posted;
};

static enum tap_place place_of(const struct tap *t) {
        return t->kind == FROM_ACTION ? TAP_ACTION : TAP_RULESET;
}

/* ---- Writing ------------------------------------------------------------------ */

void write_cut(struct writer *w, const char *name, struct text text) {
        writer_text(w, name, text_slice(text, 0, TAP_SHOWN_BYTES_MAX));
}

void write_message(struct writer *w, struct property_context *context, struct batch *b, struct record *r) {
        static const struct {
                const char *name;
                struct property property;
        } shown[] = {
                {"host", {.id = PROPERTY_HOSTNAME}},
                {"tag", {.id = PROPERTY_SYSLOGTAG}},
                {"facility", {.id = PROPERTY_FACILITY_TEXT}},
                {"severity", {.id = PROPERTY_SEVERITY_TEXT}},
                {"message", {.id = PROPERTY_MSG}},
                {"input", {.id = PROPERTY_INPUTNAME}},
                {"address", {.id = PROPERTY_FROMHOST_IP}},
        };
        writer_open(w, NULL, '{');
        writer_int(w, "received_us", r->received_us);
        for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
                write_cut(w, shown[i].name, property_get(context, b, r, &shown[i].property));
        if (r->msg.size > TAP_SHOWN_BYTES_MAX)
                writer_int(w, "message_bytes", r->msg.size);
}

static void write_tapped(struct tap *t, const char *name, void *who, struct batch *b, struct record *r) {
        struct property_context *context = typed_filter_context(t->filter);
        write_message(&t->lines, context, b, r);
        writer_string(&t->lines, t->kind == FROM_ACTION ? "action" : "ruleset", name);
        if (t->kind == FROM_ACTION) {
                _owned_(buffer_fini) struct buffer shown = {0};
                delivery_show(who, context, b, r, &shown);
                write_cut(&t->lines, "delivered", buffer_as_text(&shown));
        }
        writer_close(&t->lines, '}');
}

/* ---- Offered by workers --------------------------------------------------------- */

static void send_taps(void *argument);

static bool has_budget(struct tap *t, int64_t now_us) {
        if (t->is_complete)
                return true;
        if (now_us - t->window_us >= SAMPLE_WINDOW_US) {
                t->window_us = now_us;
                t->window_count = 0;
        }
        return t->window_count++ < t->rate;
}

static bool is_from(const struct tap *t, const char *name, const struct batch *b, const struct record *r) {
        switch (t->kind) {
        case FROM_RULESET:
        case FROM_ACTION:
                return strcasecmp(t->from, name) == 0;
        case FROM_INPUT:
                return r->source && strcmp(t->from, r->source->input_name) == 0;
        case FROM_ANY:
                return !b->parent; /* what another ruleset has called was seen there */
        }
        return false;
}

/* With the lock held. */
static void offer_to(struct tap *t, const char *name, void *who, struct batch *b, const uint16_t *selection,
                     size_t count) {
        uint16_t wanted[BATCH_RECORDS_MAX], passed[BATCH_RECORDS_MAX];
        size_t some = 0, looked_at = t->is_complete ? count : MIN(count, (size_t)SAMPLE_A_BATCH);
        for (size_t i = 0; i < looked_at; i++)
                if (is_from(t, name, b, &b->records[selection[i]]))
                        wanted[some++] = selection[i];
        some = some ? typed_filter_narrow(t->filter, b, wanted, some, passed) : 0;
        int64_t now_us = some ? clock_wall_coarse_us() : 0;
        for (size_t i = 0; i < some && has_budget(t, now_us); i++) {
                if (t->lines.out.size > TAP_BYTES_MAX) {
                        t->missed += some - i;
                        break;
                }
                write_tapped(t, name, who, b, &b->records[passed[i]]);
                t->count++;
        }
        if ((t->lines.out.size || t->missed) && !t->is_posted)
                t->is_posted = loop_post(t->taps->bus->host.loop, send_taps, t->taps) == 0;
}

static void offer(struct tap_point *point, enum tap_place place, const char *name, void *who, struct batch *b,
                  const uint16_t *selection, size_t count) {
        struct bus_taps *taps = CONTAINER_OF(point, struct bus_taps, point);
        bool needs_all = false;
        if (pthread_mutex_trylock(&taps->lock)) {
                /* Somebody else is looking: a sample does without this batch, the others wait for their turn. */
                pthread_mutex_lock(&taps->lock);
                needs_all = true;
        }
        for (struct tap *t = taps->taps; t; t = t->next)
                if (place_of(t) == place && (t->is_complete || !needs_all))
                        offer_to(t, name, who, b, selection, count);
        if (place == TAP_RULESET && taps->trace)
                trace_offer(taps, name, who, b, selection, count);
        pthread_mutex_unlock(&taps->lock);
}

/* ---- Sent by the main thread ------------------------------------------------------ */

/* What waits is taken out under the lock and sent without it, so that no worker waits for the bus. */
static void send_one(struct bus_taps *taps, struct tap *t) {
        _owned_(writer_fini) struct writer lines = {0}, w = {0};
        pthread_mutex_lock(&taps->lock);
        uint64_t missed = t->missed, count = t->count;
        lines = t->lines;
        t->lines = (struct writer){0};
        t->missed = t->count = 0;
        t->is_posted = false;
        pthread_mutex_unlock(&taps->lock);
        writer_open(&w, NULL, '{');
        writer_int(&w, "tap", t->id);
        writer_int(&w, "missed", (int64_t)missed);
        writer_open(&w, "messages", '[');
        buffer_text(&w.out, buffer_as_text(&lines.out));
        writer_close(&w, ']');
        writer_close(&w, '}');
        const struct penstock_bus_outgoing message = {
                .to = t->client, .group = TAP_GROUP, .body = w.out.data, .body_size = w.out.size};
        bool fits = penstock_bus_queued(taps->bus->bus) < TAP_QUEUED_MAX && !buffer_failed(&lines.out) &&
                    !buffer_failed(&w.out);
        if (fits && penstock_bus_send(taps->bus->bus, &message) == 0)
                return;
        pthread_mutex_lock(&taps->lock);
        t->missed += missed + count;
        pthread_mutex_unlock(&taps->lock);
}

static bool is_due(struct bus_taps *taps, const struct tap *t) {
        pthread_mutex_lock(&taps->lock);
        bool is_posted = t->is_posted;
        pthread_mutex_unlock(&taps->lock);
        return is_posted;
}

/* Only this thread changes the list. */
static void send_taps(void *argument) {
        struct bus_taps *taps = argument;
        for (struct tap *t = taps->taps; t && taps->bus->bus; t = t->next)
                if (is_due(taps, t))
                        send_one(taps, t);
}

/* ---- Beginning and end ------------------------------------------------------------- */

static struct tap *tap_free(struct tap *t) {
        if (!t)
                return NULL;
        typed_filter_free(t->filter);
        writer_fini(&t->lines);
        free(t->client);
        free(t->from);
        free(t);
        return NULL;
}
OWNED_POINTER(struct tap, tap_free);

/* Ends those that `is_meant` means; how many. */
static unsigned drop_taps(struct bus_taps *taps, bool (*is_meant)(const struct tap *t, const void *wanted),
                          const void *wanted) {
        unsigned dropped = 0;
        pthread_mutex_lock(&taps->lock);
        for (struct tap **link = &taps->taps; *link;) {
                struct tap *t = *link;
                if (!is_meant(t, wanted)) {
                        link = &t->next;
                        continue;
                }
                *link = t->next;
                atomic_fetch_sub(&taps->point.watchers[place_of(t)], 1);
                tap_free(t);
                dropped++;
        }
        pthread_mutex_unlock(&taps->lock);
        return dropped;
}

static bool is_of_client(const struct tap *t, const void *lname) {
        return strcmp(t->client, lname) == 0;
}

static bool is_number(const struct tap *t, const void *id) {
        return t->id == *(const int64_t *)id;
}

static bool is_any(const struct tap *t _unused_, const void *wanted _unused_) {
        return true;
}

void taps_drop_client(struct bus_taps *taps, const char *lname) {
        (void)drop_taps(taps, is_of_client, lname);
}

/* {"notification":["disconnected",{"client":L}]} */
static void hear_member(struct penstock_bus *bus _unused_, struct penstock_bus_message *message, void *context) {
        struct bus_taps *taps = context;
        size_t size;
        const char *body = penstock_bus_message_body(message, &size);
        struct scan_value whole;
        if (scan_whole((struct text){body, size}, &whole))
                return;
        struct scan_value list = scan_member(&whole, TEXT("notification"));
        struct scan_walk walk = scan_walk_begin(&list);
        if (list.kind != SCAN_ARRAY || !scan_walk_next(&walk) || !scan_equals(&walk.value, TEXT("disconnected")) ||
            !scan_walk_next(&walk))
                return;
        struct scan_value client = scan_member(&walk.value, TEXT("client"));
        _owned_(memory_free) char *lname = client.kind == SCAN_STRING ? text_copy(client.text) : NULL;
        if (lname)
                taps_drop_client(taps, lname);
}

/* Clients that leave without a word are told of by the broker. */
static void hear_members(struct bus_taps *taps) {
        if (!taps->hears_members)
                taps->hears_members =
                        penstock_bus_subscribe(taps->bus->bus, MEMBERS_GROUP, NULL, hear_member, taps) == 0;
}

static enum tap_from find_from(struct pipeline *p, const char *from) {
        if (!from)
                return FROM_ANY;
        if (pipeline_find_sink(p, from))
                return FROM_RULESET;
        return pipeline_find_action(p, from) ? FROM_ACTION : FROM_INPUT;
}

static int tap_new(struct tap **ret, struct bus_taps *taps, struct penstock_bus_request *request,
                   struct buffer *mistake) {
        struct daemon_bus *b = taps->bus;
        _owned_(memory_free) char *filter = argument_string(request, "filter");
        _owned_(tap_free) struct tap *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        t->taps = taps;
        t->from = argument_string(request, "from");
        t->kind = find_from(b->host.pipeline, t->from);
        t->is_complete = argument_is_true(request, "complete");
        t->rate = SAMPLE_RATE;
        (void)argument_integer(request, "rate", &t->rate);
        t->rate = MIN(MAX(t->rate, INT64_C(1)), (int64_t)RATE_MAX);
        t->client = text_copy(text_of(penstock_bus_message_from(penstock_bus_request_message(request))));
        if (!t->client)
                return fail(-ENOMEM);
        int r = typed_filter_new(&t->filter, b->host.pipeline, b->host.registry, filter, mistake);
        if (r)
                return r;
        *ret = TAKE(t);
        return 0;
}

static bool has_room(struct bus_taps *taps) {
        unsigned n = 0;
        for (const struct tap *t = taps->taps; t; t = t->next)
                n++;
        return n < TAPS_MAX;
}

void command_tap(struct penstock_bus_request *request, void *context) {
        struct bus_taps *taps = ((struct daemon_bus *)context)->taps;
        _owned_(buffer_fini) struct buffer mistake = {0};
        struct tap *t = NULL;
        if (!has_room(taps)) {
                refuse_with(request, "there are %d taps already", TAPS_MAX);
                return;
        }
        int r = tap_new(&t, taps, request, &mistake);
        if (r) {
                const char *words = buffer_string(&mistake);
                refuse_with(request, "%s", words && *words ? words : fail_text(r));
                return;
        }
        hear_members(taps);
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_int(&w, "tap", t->id = ++taps->last_id);
        writer_close(&w, '}');
        answer_with(request, &w);
        pthread_mutex_lock(&taps->lock);
        t->next = taps->taps;
        taps->taps = t;
        pthread_mutex_unlock(&taps->lock);
        atomic_fetch_add(&taps->point.watchers[place_of(t)], 1);
}

void command_untap(struct penstock_bus_request *request, void *context) {
        struct bus_taps *taps = ((struct daemon_bus *)context)->taps;
        int64_t id = 0;
        (void)argument_integer(request, "tap", &id);
        if (drop_taps(taps, is_number, &id))
                (void)penstock_bus_answer(request, 0, NULL, NULL, NULL, 0);
        else
                refuse_with(request, "there is no tap %lld", (long long)id);
}

int taps_new(struct bus_taps **ret, struct daemon_bus *bus) {
        struct bus_taps *taps = calloc(1, sizeof *taps);
        if (!taps)
                return fail(-ENOMEM);
        taps->bus = bus;
        taps->point.offer = offer;
        pthread_mutex_init(&taps->lock, NULL);
        *ret = taps;
        return 0;
}

void taps_end(struct bus_taps *taps) {
        (void)drop_taps(taps, is_any, NULL);
        trace_cancel(taps);
        taps->hears_members = false;
}

struct bus_taps *taps_free(struct bus_taps *taps) {
        if (!taps)
                return NULL;
        taps_end(taps);
        pthread_mutex_destroy(&taps->lock);
        free(taps);
        return NULL;
}

struct tap_point *taps_point(struct bus_taps *taps) {
        return &taps->point;
}
