/*
 * A batch: the unit of work. Records with the bytes they were received in.
 *
 *   FILLING -> SEALED     intake_flush(), full or end of the loop's round
 *   SEALED  -> (shared)   batch_ref() by a queue; batch_view() for a subset
 *   (last)  -> pool       batch_unref(): acknowledgements are given, slab recycled
 *
 * Two numbers count who has a batch. `references` keep its bytes. `holders` are
 * those of them who could still lose its messages: when the last of these is done,
 * acknowledgements are given. They differ where a durable queue keeps the messages
 * in memory as well: batch_part() hands what senders wait for to the store, and the
 * queue goes on with the bytes alone.
 *
 * Received bytes never move and never change. A record is offsets into them, so
 * receiving and parsing allocate nothing. What is made later (an escaped copy, a
 * host name) is stored behind them with batch_store(), in the same address space
 * of spans: `at` is region (4 bits) and offset (28 bits), region 0 the slab.
 *
 * One thread owns a batch at a time. Whoever wants to hand some records to another
 * thread while keeping the batch takes a batch_view(): record headers (and trees)
 * of its own, bytes shared with the parent.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "message/source.h"
#include "message/stamp.h"

struct json; /* base/json.h */

enum {
        BATCH_BYTES = 128 << 10, /* slab for received bytes */
        BATCH_RECORDS_MAX = 2048,
        BATCH_REGIONS_MAX = 16,
        REGION_BITS = 28,
        REGION_BYTES_MAX = 1 << REGION_BITS,
        UUID_BYTES = 32,
};

struct span {
        uint32_t at;
        uint32_t size;
};

enum record_flag {
        RECORD_IS_PARSED = 1 << 0,   /* the input set everything, or a parser did: none is needed any more */
        RECORD_NO_HOSTNAME = 1 << 1, /* local socket: the text holds no host name */
        RECORD_IGNORE_DATE = 1 << 2, /* take the time of reception */
        RECORD_IS_INTERNAL = 1 << 3, /* the daemon's own */
        RECORD_IS_MARK = 1 << 4,     /* from immark */
        RECORD_HAS_APP = 1 << 5,     /* app-name was set, not derived from the tag */
        RECORD_HAS_PROCID = 1 << 6,
        RECORD_PARSE_FAILED = 1 << 7,
        RECORD_IS_NAMED = 1 << 8, /* programname is cut out (program_size valid) */
        RECORD_PARSE_OK = 1 << 9, /* property parsesuccess is "OK": a parser of the content found what it looks for */
        /* An RFC 5424 header was read: host, app, procid, msgid and structured were all set, and an empty one is empty
           rather than absent. The tag is made of app and procid. */
        RECORD_HAS_HEADER = 1 << 10,
        RECORD_WAS_CALLED = 1 << 14,  /* a ruleset has handed it to the queue of another */
        RECORD_IS_ADMITTED = 1 << 15, /* its sender waited for his name, and may send */
        RECORD_IS_REPEAT = 1 << 11,   /* was held back by message/repeat.h and is not to be again */
        RECORD_IS_PLAIN = 1 << 12,    /* as received it has no byte below 32 or above 127: nothing to escape or cut */
};

enum tree_kind {
        TREE_MESSAGE, /* $! */
        TREE_LOCAL,   /* $. */
        TREE_KINDS,
};

struct record {
        struct span raw; /* as received, after sanitizing; PRI and all */
        struct span msg;
        struct span host; /* empty: the source's name stands in */
        struct span tag;
        struct span app;
        struct span procid;
        struct span msgid;
        struct span structured;        /* STRUCTURED-DATA of RFC 5424 */
        struct stamp reported;         /* TIMESTAMP; is the time of reception where none was found */
        int64_t received_us;           /* wall clock */
        struct source *source;         /* held by the batch */
        struct json *tree[TREE_KINDS]; /* in the batch's arena, or NULL */
        uint32_t program_size;         /* programname is that much of the tag */
        uint32_t uuid_at;              /* property uuid, UUID_BYTES of text; 0: nobody has asked yet */
        uint16_t flags;
        uint8_t facility; /* 0 to 23; 24 is rsyslog's "invld" */
        uint8_t severity;
        uint8_t protocol; /* 0 RFC 3164, 1 RFC 5424 */
        uint8_t pri_size; /* bytes of "<PRI>" at the start of raw, 0 when there is none */
        uint16_t ruleset; /* where a parser sends it: a place in host_facts.rulesets, from 1; 0: it stays where it is */
};

/*
 * Told when the last holder of a batch is done with it. One of the two is called, once, on whatever thread that is:
 * done() when everything in it was delivered, discarded as configured, or kept by a durable queue; lost() (may be
 * NULL) when something of it was not, because the daemon ended first: who sent it must keep it.
 */
struct acknowledgement {
        void (*done)(void *input, uint64_t cookie);
        void *input;
        uint64_t cookie;
        void (*lost)(void *input, uint64_t cookie);
};

struct batch {
        atomic_uint references;
        atomic_uint holders;
        atomic_bool is_lost; /* batch_lose() */
        bool is_slab;        /* record table and first region are one slab of the pool */
        bool is_bare;        /* a view that has its parent's bytes, but holds it no more */
        uint32_t count;      /* of records */
        uint32_t capacity;
        struct record *records;
        char *region[BATCH_REGIONS_MAX];
        uint32_t region_size[BATCH_REGIONS_MAX];
        uint32_t region_used[BATCH_REGIONS_MAX];
        uint8_t regions;         /* in use */
        uint8_t own_region;      /* first region that this batch owns; below it the parent's */
        struct arena arena;      /* trees and what hangs on them */
        struct batch *parent;    /* of a view */
        struct source **sources; /* held; each once where neighbours share it */
        uint32_t source_count;
        uint32_t source_capacity;
        struct acknowledgement *acknowledgements;
        uint32_t acknowledgement_count;
        struct batch_pool *pool;
        const void *route;  /* who shall consume it, where one queue serves several; NULL: the queue's own */
        uint64_t charge;    /* bytes that the queue it waits in counts for it */
        struct batch *next; /* belongs to whoever owns the batch: pool, queue */
};

/* A pool recycles slabs. Thread-safe; outlives its batches (they hold it). */
struct batch_pool;
int batch_pool_new(struct batch_pool **ret);
struct batch_pool *batch_pool_unref(struct batch_pool *pool);
OWNED_POINTER(struct batch_pool, batch_pool_unref);

/* An empty batch with room for `bytes` (BATCH_BYTES at least) and BATCH_RECORDS_MAX records; NULL without memory. */
struct batch *batch_new(struct batch_pool *pool, size_t bytes);
struct batch *batch_ref(struct batch *b);
struct batch *batch_unref(struct batch *b);
OWNED_POINTER(struct batch, batch_unref);

static inline const char *batch_at(const struct batch *b, struct span s) {
        return b->region[s.at >> REGION_BITS] + (s.at & (REGION_BYTES_MAX - 1));
}
static inline struct text batch_text(const struct batch *b, struct span s) {
        return (struct text){batch_at(b, s), s.size};
}
/* [from, to) of a span. */
static inline struct span span_slice(struct span s, size_t from, size_t to) {
        return (struct span){s.at + (uint32_t)from, (uint32_t)(to - from)};
}

/* Appends a zeroed record; NULL when the table is full. Holds `source` (may be NULL). */
struct record *batch_append(struct batch *b, struct source *source);

/* The same for `count` neighbours, of which the caller may give back the last ones by lowering b->count; NULL when
 * they do not all fit. */
struct record *batch_append_many(struct batch *b, struct source *source, uint32_t count);

/* Makes `source` the record's own, held by the batch; false without memory. */
bool batch_change_source(struct batch *b, struct record *r, struct source *source);

/* `size` writable bytes in the batch's address space; *span tells where. NULL without memory or over REGION_BYTES_MAX.
 */
char *batch_room(struct batch *b, size_t size, struct span *span);
/* Copies text in; an empty span without memory. */
struct span batch_store(struct batch *b, struct text t);

/*
 * A new batch with the selected records of b: headers copied, trees copied deep,
 * bytes shared (b is referenced). NULL without memory.
 */
struct batch *batch_view(struct batch *b, const uint16_t *selection, size_t count);

/* Copies the selected records with all their bytes to the end of `to`; false, and nothing done, when they do not fit.
 */
bool batch_copy(struct batch *to, const struct batch *from, const uint16_t *selection, size_t count);

/* Memory in use by records and their bytes, a parent's included; what queues count. */
size_t batch_bytes(const struct batch *b);

/* Asks for done(input, cookie) when the batch is finished. -ENOMEM. */
int batch_acknowledge(struct batch *b, struct acknowledgement a);
/*
 * Takes what the senders of b wait for out of it, views' parents included: they are told when *hold goes, whatever
 * becomes of b. NULL: nobody waits. b belongs to the caller alone. -ENOMEM, and nothing done.
 */
int batch_part(struct batch *b, struct batch **hold);
/* Whether somebody still waits to be told what becomes of b. Any holder. */
bool batch_is_waited_for(const struct batch *b);
/* Something of b was neither delivered nor kept: its senders are not told that it was. Any holder. */
void batch_lose(struct batch *b);
