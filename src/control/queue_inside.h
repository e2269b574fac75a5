/*
 * What the words of `penstock queue` share. Nobody else includes this.
 *
 *   queue.c         the words and their options
 *   queue_show.c    ls, status, verify
 *   spool_dump.c    dump, export
 *   queue_pack.c    messages out of frames, and back
 *   queue_send.c    to where a replay goes: a socket, or another store
 *   queue_move.c    replay, import
 *   spool_repair.c  repair, purge
 */
#pragma once

#include "bus/writer.h"
#include "message/pack.h"
#include "queue/inspect.h"
#include "queue/store.h"

struct queue_arguments {
        bool is_json, wants_all, applies;
        int64_t from_lsn, limit;
        const char *key_file, *key_program;           /* of the store that is read */
        const char *into_key_file, *into_key_program; /* of the one that is written */
        const char *into, *to, *framing;
        const char *word; /* the store, spool or file: the word behind the subcommand; NULL: none */
};

enum { QUEUE_FINE = 0, QUEUE_FAILED = 1, QUEUE_WRONG = 2 }; /* exit statuses */

int spool_ls(const struct queue_arguments *a);
int spool_status(const struct queue_arguments *a);
int spool_verify(const struct queue_arguments *a);
int spool_dump(const struct queue_arguments *a);
int spool_export(const struct queue_arguments *a);
int spool_replay(const struct queue_arguments *a);
int spool_repair(const struct queue_arguments *a);
int spool_purge(const struct queue_arguments *a);
int spool_import(const struct queue_arguments *a);

/* "penstock queue: ..." on stderr; QUEUE_FAILED. */
int spool_complain(const char *format, ...) _printf_(1, 2);
struct reporter *spool_reporter(void); /* says what stores say there, too */
/* Opens a->word for reading; QUEUE_FAILED, and it was told why. */
int spool_look(struct inspect **ret, const struct queue_arguments *a);
/*
 * Opens a store as the daemon does, alone; the options are the caller's, with what an existing one shows about itself
 * filled in. QUEUE_FAILED: it was told why and what to do.
 */
int spool_take(struct store **ret, const char *directory, const char *key_file, const char *key_program, bool makes);
/* Writes one line of JSON and forgets it. */
void spool_print(struct writer *w);
void spool_write_time(struct writer *w, const char *name, int64_t time_us);
int spool_framing(const struct queue_arguments *a, bool *is_octet);

/* ---- queue_pack.c ------------------------------------------------------------ */

/* Turns frames into batches and batches into packs, and keeps the names of rulesets on the way. */
struct packer {
        struct batch_pool *pool;
        struct pack_names names;
        char **called; /* what names.rulesets points to */
        size_t capacity;
};
int packer_init(struct packer *p);
void packer_fini(struct packer *p);
OWNED_VALUE(struct packer, packer_fini);
/* All messages of a payload but the first `skip`; -EBADMSG, -ENOMEM. */
int packer_unpack(struct packer *p, struct text payload, uint32_t skip, struct batch **ret);

/* The number of a ruleset's name, as record.ruleset counts; 0: without memory. */
uint16_t packer_name(struct packer *p, struct text name);

/* ---- queue_send.c ------------------------------------------------------------ */

/* Where messages go to: raw, over a socket. */
struct sender {
        int fd;
        bool is_stream, is_octet;
        const char *target;
        struct buffer out;
};
int sender_open(struct sender *s, const char *target, bool is_octet);
void sender_fini(struct sender *s);
OWNED_VALUE(struct sender, sender_fini);
int sender_send(struct sender *s, struct text message);
/* Returns when the other side's system has all of it. */
int sender_flush(struct sender *s);
/* A raw message as a line or with its count. */
void sender_frame(struct buffer *out, struct text message, bool is_octet);
