/*
 * The durable part of a queue: batches in a store, and those of them that memory has as well, so that a consumer who
 * keeps up never reads from the disk.
 *
 *   durable_append() -> the store      whoever waits for the batch is told once it is durable
 *                    -> also kept      as long as KEPT_BYTES and the budget allow
 *   durable_take()   <- kept, or read from the disk when it was not
 *   (last holder)    -> completed      the mark of the store moves; lost: it is leased again
 *
 * So a message is always owned: by its sender until it is durable, by the store until everybody whom it was handed
 * to is done with it. Thread-safe; what it calls (durable_plan) it calls with no lock of its own held.
 */
#pragma once

#include "base/reporter.h"
#include "message/pack.h"
#include "queue/budget.h"
#include "queue/store.h"

struct durable;

enum {
        KEPT_BATCHES = 64,     /* in memory as well; a power of two */
        KEPT_BYTES = 16 << 20, /* where queue.maxBytes says nothing */
        KEPT_WHILE_FEWER = 8,  /* a batch of few records holds a slab: kept only while so few others are */
        KEPT_RECORDS_FEW = 64,
};

struct durable_plan {          /* all lent */
        const char *name;      /* of the queue */
        const char *directory; /* of the store */
        uint64_t file_bytes, disk_bytes_max, checkpoint_messages;
        uint64_t kept_bytes_max; /* 0: KEPT_BYTES */
        enum store_compression compression;
        int compression_level;
        const char *key_file, *key_program;
        bool is_chained;
        bool is_synced;
        struct batch_pool *pool;
        const struct pack_names *names;
        struct reporter *reporter;
        struct disk *disk;            /* NULL: the machine's */
        void (*changed)(void *owner); /* there may be something to take, or room, that was not there before */
        void (*lost)(void *owner, uint64_t count); /* messages were damaged beyond repair; reported already */
        void *owner;
};

/* 0 or -errno, reported with its remedy by the store. */
int durable_open(struct durable **ret, const struct durable_plan *plan);
/* Waits until what was appended is durable; what cannot be is told to its senders as lost. Nothing taken is still
 * held by anybody. */
struct durable *durable_close(struct durable *d);
OWNED_POINTER(struct durable, durable_close);
/* What is kept in memory counts there; before the first append. */
void durable_share_budget(struct durable *d, struct budget *budget);

/* Takes b when it returns 0; b belongs to the caller alone. -ENOSPC, -EIO, -ENOMEM ...: nothing was done. */
int durable_append(struct durable *d, struct batch *b);
/* Waits until all that was appended is durable. 0, or the error that stands in the way. */
int durable_wait(struct durable *d);

/*
 * Takes the oldest batch that nobody has. When its last holder lets go of it, its messages are complete; when it is
 * lost (batch_lose()), they come again. NULL: there is none. May read from the disk.
 */
struct batch *durable_take(struct durable *d);
/* Of a batch that was taken and will be lost, the first `count` records are done with all the same. */
void durable_settle(struct batch *b, uint32_t count);
/* Whether b itself came from durable_take(). */
bool durable_is_from(const struct batch *b);
/* The owner of the durable part that b, or what it is a view of, was taken from; NULL: none. */
void *durable_owner_behind(const struct batch *b);

uint64_t durable_waiting(struct durable *d);    /* messages that nobody has */
bool durable_has_next(struct durable *d);       /* whether durable_take() would give some now; else changed() tells */
uint64_t durable_unfinished(struct durable *d); /* those, and the ones handed out */
