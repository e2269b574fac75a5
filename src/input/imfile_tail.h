/*
 * A tail: one open file that is read as it grows, and turned into records.
 *
 * Plain lines are read straight into the batch and never copied. Messages of several
 * lines, and those that get a prefix, are read into a scratch buffer that all tails of an
 * input share, and put together there. An unfinished line is read again when there is more
 * of it; nothing of it is kept. What is kept of an unfinished message of several lines is
 * bounded by the longest message allowed.
 *
 * A turn reads a bounded number of bytes, so that many files get their share:
 *
 *   READING -> AT_END      everything there is was read         tail_turn()
 *   READING -> SKIPPING    a line is too long: cut, rest lost   tail_turn()
 *   any     -> READING     the file was cut short: from 0       tail_turn()
 *   AT_END  -> FINISHED    deleted or rotated away: what is     tail_finish()
 *                          unfinished is a message, too
 *
 * All of it belongs to the loop's thread.
 */
#pragma once

#include <regex.h>

#include "base/counter.h"
#include "input/imfile_position.h"
#include "input/imfile_settings.h"
#include "io/loop.h"
#include "message/intake.h"

enum imfile_counter { IMFILE_SUBMITTED, IMFILE_BYTES, IMFILE_DISCARDED, IMFILE_TRUNCATED, IMFILE_COUNTERS };

/* What the tails of one input() share. */
struct feed {
        const struct imfile_input *settings;
        struct module_log *log;
        const struct host_facts *facts;
        struct counter *counters; /* by enum imfile_counter; NULL: not counted */
        struct intake *intake;
        struct source *source;
        size_t message_bytes_max;
        size_t whole_bytes_max; /* of a message that is put together, before it is cut to the former */
        size_t stencil_bytes;   /* of the tag and the host name, stored with every read */
        uint32_t batch_records_max;
        bool is_plain; /* every line is a message as it stands */
        bool adds_metadata;
        bool has_start, has_end;
        regex_t start, end;
        struct text separator; /* between the lines of a message */
        struct buffer scratch;
        int64_t minute_ns; /* when the running minute began */
        int64_t minute_lines, minute_bytes;
};

/* Whether the regular expressions are any: 0 or -EINVAL, reported. */
int feed_check(const struct imfile_input *settings, struct module_log *log);
/* The settings and what the host lends stay theirs. */
int feed_init(struct feed *feed, const struct imfile_input *settings, const struct input_host *host);
void feed_fini(struct feed *feed);

struct metadata;

/* What all records of one read have in common. */
struct stencil {
        struct span tag, host;
        struct json *file;     /* for $!metadata!filename; NULL: no metadata */
        struct metadata *room; /* for that of the records to come */
        uint32_t room_count;
        struct stamp now;
        int64_t now_us;
        bool is_cut; /* for the batch that is being filled */
};

struct tail {
        struct feed *feed;
        char *path; /* under which it was found; what $!metadata!filename says */
        int fd;
        struct file_facts facts; /* as of the last turn */
        struct identity identity;
        struct position *position;
        int64_t next;      /* where the next read begins */
        int64_t looked_at; /* size of the file when an unfinished line was last seen, so that it is not read in vain */
        struct buffer pending; /* a message whose end was not seen */
        int64_t pending_at;    /* where it begins */
        size_t pending_total;  /* its size, when it was longer than may be kept */
        int64_t pending_ns;    /* when it got its last line */
        bool has_pending;
        bool is_ignoring;    /* the rest of a message that was too long is discarded */
        bool is_skipping;    /* `next` lies in a line that was cut */
        uint32_t line_bytes; /* on average, for the size of the next read */
        struct stencil stencil;
        uint32_t unreported;   /* records in the batch that no promise covers */
        uint32_t turn_records; /* of the last turn */
        int64_t reached;       /* by the last promise */
};

/* Takes over fd, position and `pending`; begins at `offset`. */
void tail_init(struct tail *t, struct feed *feed, char *path, int fd);
void tail_fini(struct tail *t);

enum tail_result {
        TAIL_AT_END = 1,
        TAIL_HAS_MORE,
        TAIL_IS_GONE, /* at its end, and no name leads to it any more */
};
/* One turn: an enum tail_result, or -errno when the file cannot be read. */
int tail_turn(struct tail *t);
/* Everything unfinished becomes a message. */
void tail_finish(struct tail *t);
/* The message that waited for its next line is over. */
void tail_end_message(struct tail *t);
/* Promises what is in the batch; after tail_end_message() from outside of a turn. */
void tail_settle(struct tail *t);
