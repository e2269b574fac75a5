/*
 * What Prometheus and its kin call remote write, version 1: counters as time series in protocol buffers.
 *
 *   remote_write_begin() -> remote_write_add() for each object -> bodies, none of them longer than asked for
 *
 *   body     = series*     series = field 1: { label* (sorted by name), sample }
 *   label    = field 1: { 1: name, 2: value }
 *   sample   = field 2: { 1: double, 2: milliseconds since 1970 }
 */
#pragma once

#include "module/statistics.h"

enum { REMOTE_LABELS_MAX = 64 /* of one series, __name__ and all */ };

struct remote_label {
        struct text name, value;
};

struct remote_write {
        /* Set by the owner, and lent. */
        const struct remote_label *labels; /* of every series */
        size_t label_count;
        bool names_origin, names_object; /* as labels origin and name, where labels has none of that name */
        int64_t series_max, bytes_max;   /* of a body; 0: no limit. One series may be longer alone */

        int64_t now_ms;
        struct buffer bytes; /* the bodies, one behind the other */
        struct buffer ends;  /* where each ends: size_t */
        size_t begin;        /* of the body that is being filled */
        int64_t series;      /* in it */
        struct buffer name, one;
};

void remote_write_fini(struct remote_write *w);
void remote_write_begin(struct remote_write *w, int64_t now_ms);
void remote_write_add(struct remote_write *w, const struct statistic_object *object);
/* Closes the last body. -ENOMEM: something is missing. */
int remote_write_end(struct remote_write *w);

size_t remote_write_count(const struct remote_write *w);
struct text remote_write_body(const struct remote_write *w, size_t index);
