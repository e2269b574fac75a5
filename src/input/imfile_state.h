/*
 * State files: how far a file has been read, kept over a restart.
 *
 * A state file lies in the state directory, is called `imfile-state:INODE` (a second
 * input that reads the same file adds `:KEY`), and holds one JSON object:
 *
 *   filename    the name under which the file was found
 *   curr_offs   everything before this byte was delivered
 *   strt_offs   the same; rsyslog keeps the start of an unfinished message here
 *   prev_was_nl 0
 *   inode, device, head_bytes, head_hash
 *               which file this is: its numbers, and the FNV-1a hash of its first bytes
 *               (at most HEAD_BYTES_MAX), so that a new file with an old number is noticed
 *   skipping    1 when curr_offs lies in a line that was too long and is discarded to its end
 *
 * rsyslog reads these files, and its own (without our members, also called
 * `imfile-state:INODE:HASH`) are read here, so that users can go both ways.
 */
#pragma once

#include "base/text.h"
#include "io/file.h"

enum { HEAD_BYTES_MAX = 512, STATE_BYTES_MAX = 1 << 20, STATE_NAME_BYTES_MAX = 256 };

/* Which file this is, whatever its name. */
struct identity {
        uint64_t device;
        uint64_t inode;
        uint32_t head_bytes; /* that head_hash covers */
        uint64_t head_hash;
};

/* Reads the head of an open file. */
int identity_read(struct identity *ret, int fd, const struct file_facts *facts);
/* Whether the open file begins as `known` says. */
bool identity_holds(const struct identity *known, int fd);

struct state {
        char *path;
        struct identity identity;
        bool is_ours; /* identity is complete; else only the inode, from the file's name */
        int64_t offset;
        bool is_skipping;
        struct buffer pending; /* the beginning of a message that lies before `offset` (rsyslog's startmsg.regex) */
};
void state_fini(struct state *s);
OWNED_VALUE(struct state, state_fini);

/* Appends the file's content. */
void state_print(struct buffer *out, const struct state *s);
/* -EBADMSG for what is no state file. `inode` is what the file's name said, 0 when it said nothing. */
int state_parse(struct state *ret, struct text content, uint64_t inode);

/* The state files that were there at start. One thread. */
struct state_entry {
        uint64_t inode;
        char *name;   /* without the directory */
        bool is_used; /* a file was found that goes on from it */
};
struct state_store {
        char *directory; /* "." when nothing was configured */
        struct state_entry *entries;
        size_t count;
};
int state_store_open(struct state_store *store, const char *directory);
void state_store_close(struct state_store *store);

/* Loads one file of the store by name. */
int state_store_load(const struct state_store *store, const char *name, uint64_t inode, struct state *ret);

void state_store_remove(const struct state_store *store, const char *name);

/* Who is asking: where its state may lie. */
struct state_query {
        const char *path;
        int fd;
        const struct file_facts *facts;
        const char *fixed_name; /* the input's stateFile, or NULL */
        uint64_t key;           /* of the input */
};
/*
 * The state of an open file: 0, and `name` is the file it came from; -ENOENT when there is none
 * that can be trusted.
 */
int state_store_find(struct state_store *store, const struct state_query *query, struct state *ret,
                     char name[static STATE_NAME_BYTES_MAX]);
/* How the state file of this file is called; with_key where the plain name is taken. */
void state_name(char name[static STATE_NAME_BYTES_MAX], uint64_t inode, uint64_t key, bool with_key);

uint64_t state_hash(const void *data, size_t size);
