/*
 * One text of a configuration: a file, or what stands in its place. Lines that
 * end in a backslash are joined with the next, whose leading white space goes,
 * as rsyslog does before it looks at anything else; every byte still knows the
 * line and column that it came from.
 *
 * source.c is the only file of this folder that touches the world outside:
 * files, wildcards, the environment.
 */
#pragma once

#include "language/tree.h"

enum {
        SOURCE_BYTES_MAX = 64 << 20,
        INCLUDE_FILES_MAX = 10000, /* that one wildcard may match */
};

struct source_line {
        uint32_t at;     /* in the joined text */
        uint32_t line;   /* in the file, 1-based */
        uint32_t column; /* of the byte at `at`, 1-based */
};

struct source {
        const char *name;
        const char *identity; /* the file itself, whatever its name; NULL: no file */
        struct text text;
        struct source_line *lines;
        size_t line_count;
        struct source *parent; /* who included this, and where it goes on */
        size_t resume_at;
        size_t flat_from; /* what lies before has been printed flat */
        unsigned depth;   /* how many texts include one another down to this */
        bool is_begun;    /* false: waits on the stack behind a neighbour of the same wildcard */
        bool is_closed;   /* reading does not go on in the including text by itself: YAML, and RainerScript in it */
        bool is_embedded; /* its text is part of another source's */
};

/* All memory is the arena's. NULL without memory. `original` is copied. */
struct source *source_new(struct arena *arena, const char *name, struct text original);
/* The same for a text whose lines are not joined and whose places are known otherwise: YAML. `original` is lent. */
struct source *source_new_whole(struct arena *arena, const char *name, struct text original);
/* Whether the name says that it is YAML: .yaml or .yml. */
bool source_is_yaml(const char *name);
struct place source_place(const struct source *source, size_t at);

/* The content of a file. -ENOENT, -EACCES, -EISDIR ...; -EFBIG beyond SOURCE_BYTES_MAX. */
int source_read(struct arena *arena, const char *path, struct text *ret);
/* A name for the file itself, the same for every path that leads to it. */
const char *source_identity(struct arena *arena, const char *path);
/*
 * The files that an include names, sorted: a path, a path with wildcards, or a
 * directory (then its files). No match of a wildcard is no failure. -ENOENT ...
 */
int source_match(struct arena *arena, const char *pattern, struct strings *ret);
/* The value of an environment variable, "" where there is none. */
struct text source_environment(const struct config *config, struct text name);
