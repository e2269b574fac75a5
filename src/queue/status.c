/*
 * What may be asked of a queue, and changed, while it runs.
 */
#include <errno.h>
#include <strings.h>

#include "queue/inside.h"

enum { SEVERITY_NONE = 8 /* queue.discardSeverity: nothing is unimportant */ };

void queue_observe(struct queue *q, struct observer *observer) {
        q->observer = observer;
}

bool queue_wants_disk(const struct queue *q) {
        return !queue_is_direct(q) && q->settings->file_name && *q->settings->file_name;
}

void queue_status(struct queue *q, struct queue_status *ret) {
        *ret = (struct queue_status){0};
        if (queue_is_direct(q)) {
                ret->settings = q->own; /* nothing changes them */
                return;
        }
        pthread_mutex_lock(&q->lock);
        ret->waiting = queue_all_waiting(q);
        ret->on_disk = ret->waiting - q->waiting;
        ret->working = q->working;
        ret->waiting_bytes = q->waiting_bytes;
        if (q->first && q->first->count)
                ret->oldest_us = q->first->records[0].received_us;
        ret->running = q->running;
        ret->held = q->held;
        ret->settings = q->own;
        pthread_mutex_unlock(&q->lock);
}

#define MARK(field_, ...)                                                                                              \
        { .offset = offsetof(struct queue_settings, field_), __VA_ARGS__ }
const struct queue_mark queue_marks[] = {
        MARK(size, .name = "size", .min = 1, .max = INT32_MAX, .help = "Most messages that wait."),
        MARK(bytes_max, .name = "maxBytes", .min = 0, .max = INT64_MAX, .help = "Most bytes that wait; 0: any."),
        MARK(high_watermark, .name = "highWatermark", .min = -1, .max = INT32_MAX, .help = "Spilling begins here."),
        MARK(low_watermark, .name = "lowWatermark", .min = -1, .max = INT32_MAX, .help = "Spilling ends here."),
        MARK(full_delay_mark, .name = "fullDelayMark", .min = -1, .max = INT32_MAX,
             .help = "Senders that can wait without end are held from here on."),
        MARK(light_delay_mark, .name = "lightDelayMark", .min = -1, .max = INT32_MAX,
             .help = "Senders that can wait a little are held from here on; 0: never."),
        MARK(discard_mark, .name = "discardMark", .min = -1, .max = INT32_MAX,
             .help = "From here on unimportant messages are discarded."),
        MARK(discard_severity, .name = "discardSeverity", .min = 0, .max = SEVERITY_NONE,
             .help = "This and less important ones are the unimportant ones; 8: none."),
        {},
};

int queue_set_mark(struct queue *q, const char *name, int64_t value) {
        const struct queue_mark *m = queue_marks;
        while (m->name && strcasecmp(m->name, name) != 0)
                m++;
        if (!m->name || queue_is_direct(q))
                return -ENOENT;
        if (value < m->min || value > m->max)
                return -ERANGE;
        pthread_mutex_lock(&q->lock);
        *(int64_t *)((char *)&q->own + m->offset) = value;
        /* Whoever is held looks again whether there is room now. */
        pthread_cond_broadcast(&q->drained);
        pthread_mutex_unlock(&q->lock);
        return 0;
}
