/*
 * What the daemon tells about itself: status, counters, queues, actions.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/bus_inside.h"
#include "daemon/version.h"
#include "delivery/delivery.h"
#include "io/file.h"

enum { STATM_BYTES_MAX = 256 };

/* ---- Queues -------------------------------------------------------------------- */

static const char *const queue_types[] = {
        [QUEUE_FIXED_ARRAY] = "FixedArray", [QUEUE_LINKED_LIST] = "LinkedList",
        [QUEUE_DIRECT] = "Direct",          [QUEUE_DISK] = "Disk",
        [QUEUE_SEGMENTED_DISK] = "Disk",    [QUEUE_DELAY] = "Delay",
};

static void write_queue(struct writer *w, struct queue *q, const char *use) {
        const struct queue_counters *c = queue_counters(q);
        struct queue_status s;
        queue_status(q, &s);
        uint64_t enqueued = counter_get(&c->enqueued);
        int64_t oldest_ms = s.oldest_us ? (clock_wall_us() - s.oldest_us) / 1000 : 0;
        writer_open(w, NULL, '{');
        writer_string(w, "name", queue_name(q));
        writer_string(w, "of", use);
        writer_string(w, "type", queue_types[s.settings.type]);
        writer_int(w, "size", s.settings.size);
        writer_int(w, "waiting", (int64_t)s.waiting);
        writer_int(w, "on_disk", (int64_t)s.on_disk);
        writer_int(w, "working", (int64_t)s.working);
        writer_int(w, "waiting_bytes", (int64_t)s.waiting_bytes);
        writer_int(w, "oldest_ms", MAX(oldest_ms, (int64_t)0));
        writer_int(w, "workers", s.running);
        writer_int(w, "held", s.held);
        writer_int(w, "enqueued", (int64_t)enqueued);
        writer_int(w, "dequeued", (int64_t)(enqueued - MIN(s.waiting, enqueued)));
        writer_int(w, "full", (int64_t)counter_get(&c->full));
        writer_int(w, "discarded.full", (int64_t)counter_get(&c->discarded_full));
        writer_int(w, "discarded.nf", (int64_t)counter_get(&c->discarded_mark));
        writer_int(w, "maxqsize", (int64_t)counter_get(&c->size_max));
        writer_close(w, '}');
}

static void write_queues(struct writer *w, const char *name, struct pipeline *p, const char *only) {
        size_t at = 0;
        const char *use;
        writer_open(w, name, '[');
        for (struct queue *q; (q = pipeline_next_queue(p, &at, &use));)
                if (!only || strcmp(queue_name(q), only) == 0)
                        write_queue(w, q, use);
        writer_close(w, ']');
}

void command_queue_list(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(writer_fini) struct writer w = {0};
        write_queues(&w, NULL, b->host.pipeline, NULL);
        answer_with(request, &w);
}

static void write_marks(struct writer *w, struct queue *q) {
        struct queue_status s;
        queue_status(q, &s);
        writer_open(w, "marks", '{');
        for (const struct queue_mark *m = queue_marks; m->name; m++)
                writer_int(w, m->name, *(const int64_t *)((const char *)&s.settings + m->offset));
        writer_close(w, '}');
}

void command_queue_status(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(memory_free) char *name = argument_string(request, "queue");
        const char *use = "";
        struct queue *q = name ? pipeline_find_queue(b->host.pipeline, name, &use) : NULL;
        if (!q) {
                refuse_with(request, "there is no queue \"%s\"", name ? name : "");
                return;
        }
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_name(&w, "queue");
        w.needs_comma = false;
        write_queue(&w, q, use);
        write_marks(&w, q);
        writer_close(&w, '}');
        answer_with(request, &w);
}

/* ---- Actions ------------------------------------------------------------------- */

static const char *state_name(const struct delivery_status *s) {
        static const char *const names[] = {
                [DELIVERY_READY] = "ready", [DELIVERY_RETRYING] = "retrying", [DELIVERY_SUSPENDED] = "suspended"};
        return s->is_held ? "held" : names[s->state];
}

static void write_counters(struct writer *w, const struct counter_def *names, const struct counter *values) {
        writer_open(w, "counters", '{');
        for (size_t i = 0; names && names[i].name; i++)
                writer_int(w, names[i].name, (int64_t)counter_get(&values[i]));
        writer_close(w, '}');
}

static void write_action(struct writer *w, struct delivery *d) {
        const struct delivery_counters *c = delivery_counters(d);
        const struct module *module = delivery_module(d);
        struct delivery_status s;
        delivery_status(d, &s);
        bool is_away = s.is_held || s.state != DELIVERY_READY;
        writer_open(w, NULL, '{');
        writer_string(w, "name", delivery_name(d));
        writer_string(w, "module", module->name);
        writer_string(w, "state", state_name(&s));
        writer_string(w, "reason", !is_away ? "" : s.is_held ? "by hand" : s.reason);
        writer_int(w, "errno", is_away && !s.is_held ? s.error : 0);
        writer_int(w, "retries", s.retries);
        if (s.retry_in_ms >= 0 && !s.is_held)
                writer_int(w, "next_retry_ms", s.retry_in_ms);
        else
                writer_null(w, "next_retry_ms");
        writer_bool(w, "has_queue", delivery_queue(d) != NULL);
        writer_int(w, "unfinished", (int64_t)delivery_unfinished(d));
        writer_int(w, "processed", (int64_t)counter_get(&c->processed));
        writer_int(w, "failed", (int64_t)counter_get(&c->failed));
        writer_int(w, "refused", (int64_t)counter_get(&c->refused));
        writer_int(w, "suspended", (int64_t)counter_get(&c->suspended));
        writer_int(w, "suspended.duration", (int64_t)counter_get(&c->suspended_s));
        writer_int(w, "resumed", (int64_t)counter_get(&c->resumed));
        write_counters(w, module->counters, delivery_module_counters(d));
        writer_close(w, '}');
}

static void write_actions(struct writer *w, const char *name, struct pipeline *p) {
        size_t at = 0;
        writer_open(w, name, '[');
        for (struct delivery *d; (d = pipeline_next_action(p, &at));)
                write_action(w, d);
        writer_close(w, ']');
}

void command_action_list(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(writer_fini) struct writer w = {0};
        write_actions(&w, NULL, b->host.pipeline);
        answer_with(request, &w);
}

/* ---- The whole ------------------------------------------------------------------- */

static void write_inputs(struct writer *w, struct pipeline *p) {
        struct input_facts facts;
        writer_open(w, "inputs", '[');
        for (size_t at = 0; pipeline_next_input(p, &at, &facts);) {
                writer_open(w, NULL, '{');
                writer_string(w, "name", facts.name);
                writer_string(w, "module", facts.module->name);
                writer_int(w, "threads", facts.threads);
                write_counters(w, facts.module->counters, facts.counters);
                writer_close(w, '}');
        }
        writer_close(w, ']');
}

void command_stats(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_int(&w, "time_us", clock_wall_us());
        write_inputs(&w, b->host.pipeline);
        write_queues(&w, "queues", b->host.pipeline, NULL);
        write_actions(&w, "actions", b->host.pipeline);
        writer_close(&w, '}');
        answer_with(request, &w);
}

static int64_t resident_bytes(void) {
        _owned_(buffer_fini) struct buffer statm = {0};
        if (file_read_whole("/proc/self/statm", STATM_BYTES_MAX, &statm))
                return 0;
        const char *text = buffer_string(&statm);
        char *second = NULL;
        if (!text)
                return 0;
        (void)strtoll(text, &second, 10);
        return strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static unsigned count_suspended(struct pipeline *p, unsigned *all) {
        size_t at = 0;
        unsigned n = 0;
        *all = 0;
        for (struct delivery *d; (d = pipeline_next_action(p, &at)); ++*all)
                n += delivery_is_suspended(d);
        return n;
}

void command_status(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        struct pipeline *p = b->host.pipeline;
        unsigned actions, suspended = count_suspended(p, &actions);
        int64_t now_us = clock_wall_us();
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "version", PENSTOCK_VERSION);
        writer_int(&w, "pid", getpid());
        writer_string(&w, "host", pipeline_facts(p)->host_name);
        writer_string(&w, "config", b->host.config_file);
        writer_int(&w, "started", b->started_us / 1000000);
        writer_int(&w, "uptime", (now_us - b->started_us) / 1000000);
        writer_int(&w, "memory_bytes", resident_bytes());
        writer_int(&w, "unfinished", (int64_t)pipeline_unfinished(p));
        writer_int(&w, "main_queue", (int64_t)pipeline_main_queue_size(p));
        writer_int(&w, "actions", actions);
        writer_int(&w, "suspended", suspended);
        writer_string(&w, "bus", b->path);
        writer_bool(&w, "is_broker", b->broker != NULL);
        writer_close(&w, '}');
        answer_with(request, &w);
}
