/* Taps and traces of the daemon: what bus_tap.c and bus_trace.c share. */
#pragma once

#include "daemon/bus_filter.h"
#include "daemon/bus_inside.h"
#include "message/tap.h"

enum { TAP_SHOWN_BYTES_MAX = 8192 /* of one text of a message; more is cut, and said */ };

struct bus_taps {
        struct tap_point point;
        struct daemon_bus *bus;
        pthread_mutex_t lock; /* guards the lists and what hangs on them */
        struct tap *taps;
        struct trace *trace; /* the one that waits or runs; NULL: none */
        int64_t last_id;
        bool hears_members; /* notifications/cc_members is subscribed to */
};

/* A message as a JSON object, but for the closing brace. */
void write_message(struct writer *w, struct property_context *context, struct batch *b, struct record *r);
/* A text, cut where it is too long. */
void write_cut(struct writer *w, const char *name, struct text text);

/* ---- bus_trace.c ---- */
/* With the lock held: begins the trace, if the one that waits wants one of these. */
void trace_offer(struct bus_taps *taps, const char *ruleset, struct run *run, struct batch *b,
                 const uint16_t *selection, size_t count);
void trace_cancel(struct bus_taps *taps);
