/*
 * A read-only look at a store, whoever has it open: for people and their tools.
 *
 * Nothing is written, created or locked, so a daemon that has the store open, or is
 * about to open it, never notices. What it delivers meanwhile vanishes from under the
 * walk; a file that has gone that way is passed over in silence.
 *
 * The walk visits every frame that is there, oldest first, and tells each range of
 * messages that is not. Behind a broken header it searches for the next frame with the
 * right salted checksum, which a daemon that delivers must not; what is found so is
 * marked, and is told apart from what the daemon would deliver.
 *
 * One thread.
 */
#pragma once

#include "base/reporter.h"
#include "queue/control.h"
#include "queue/segment.h"

struct inspect;

enum { INSPECT_IS_NONE = 1 }; /* the directory holds no store */

/* A file with messages. */
struct inspect_file {
        uint64_t sequence;
        uint64_t size;
        struct segment_header header; /* the better of the two blocks */
        uint64_t base_lsn;            /* 0: nothing was written to it yet */
        bool has_head, has_begin;     /* the block is whole */
        bool is_aside;                /* SEQUENCE.damaged: all else in it was delivered */
        bool is_salvaged;             /* SEQUENCE.salvaged stands beside it: what could be saved was */
};

struct inspect_facts {
        bool has_control;       /* one of the control files is whole */
        unsigned controls_bad;  /* control files that are there and not whole */
        struct control control; /* zeros without */
        uint64_t mark_lsn;      /* everything below is complete */
        uint64_t bytes;         /* of all files */
        uint64_t segments;      /* files in use: not those put by, nor set aside */
        uint64_t aside;         /* files set aside */
        uint64_t unsalvaged;    /* ... that nobody has salvaged */
        uint64_t free_files;    /* put by for use */
        bool is_held;           /* a process has the store open */
        int64_t holder;         /* its process id; 0: not known */
        const char *name;       /* of the queue; "" when nothing tells it */
};

struct inspect_options {
        const char *directory;
        const char *key_file, *key_program; /* as in store_options; both NULL: none */
        struct reporter *reporter;
};

/* INSPECT_IS_NONE, or -ENOENT, -ENOTDIR, -EACCES ..., or what is wrong with the key (reported). */
int inspect_open(struct inspect **ret, const struct inspect_options *options);
struct inspect *inspect_close(struct inspect *in);
OWNED_POINTER(struct inspect, inspect_close);
const struct inspect_facts *inspect_facts(const struct inspect *in);

/*
 * Whether a process, this one included, has the store of this directory open; true as well when the system does not
 * tell. At a cost that does not grow with it.
 */
bool inspect_is_held(const char *directory);

struct inspect_frame {
        const struct frame *frame;
        const struct inspect_file *file;
        uint64_t offset;
        const uint8_t *stored; /* valid during the call */
        bool is_found;         /* by searching behind damage; the daemon would not deliver it after a restart */
};

enum inspect_damage_kind {
        INSPECT_PAYLOAD, /* the checksum of what was stored is wrong */
        INSPECT_HEADER,  /* a header is broken, and what follows up to the next whole frame is lost with it */
        INSPECT_MISSING, /* a file is not there, or neither of its header blocks is whole */
        INSPECT_CHAIN,   /* whole, and not what followed the frame before: somebody changed it */
        INSPECT_BLOCK,   /* a header block is broken, the other one serves: no message is lost */
        INSPECT_CONTROL, /* the same for a control file */
        INSPECT_TORN,    /* the end of what was being written; nobody was told that it was safe */
};

struct inspect_damage {
        enum inspect_damage_kind kind;
        const struct inspect_file *file; /* NULL: none */
        uint64_t offset;
        uint64_t lsn;
        uint64_t count; /* of messages; 0: none, or nobody can tell how many */
};
const char *inspect_damage_text(enum inspect_damage_kind kind);
/* Whether messages that were safe are lost by it. */
static inline bool inspect_damage_loses(const struct inspect_damage *d) {
        return d->kind <= INSPECT_MISSING;
}

/* Either may be NULL; what is not 0 ends the walk and is returned. */
struct inspect_visitor {
        int (*frame)(void *owner, const struct inspect_frame *f);
        int (*damage)(void *owner, const struct inspect_damage *d);
        void *owner;
        bool checks_chain;
};
/* The files in use; with `aside` the ones that were set aside. 0, what a visitor returned, or -errno. */
int inspect_walk(struct inspect *in, const struct inspect_visitor *visitor);
int inspect_walk_aside(struct inspect *in, const struct inspect_visitor *visitor);

/* The LSN behind the last message, and when the oldest that waits was appended (0: none), at the cost of two files. */
int inspect_ends(struct inspect *in, uint64_t *end_lsn, int64_t *oldest_us);

/* The payload as it was packed; *ret is malloc()ed. -EBADMSG, -EKEYREJECTED, -ENOENT (a library), -ENOMEM. */
int inspect_decode(struct inspect *in, const struct inspect_frame *f, void **ret);
