/* What inspect.c (what is there) and inspect_walk.c (what is in it) share. Nobody else includes this. */
#pragma once

#include <stdlib.h>

#include "queue/inspect.h"
#include "queue/store_codec.h"

enum {
        INSPECT_FILES_MAX = 1 << 20,    /* of one store */
        INSPECT_WINDOW_BYTES = 1 << 20, /* read at once */
};

struct inspect {
        struct inspect_facts facts;
        struct reporter *reporter;
        int directory;
        struct inspect_file *files; /* in order of sequence; those set aside among them */
        size_t count, capacity;
        struct codec *codec;
        struct codec *chainer; /* made when the first chain is met */

        int fd; /* of the file that the window shows */
        uint8_t *window;
        size_t window_size, window_capacity;
        uint64_t window_at;
};

/* A regular file of the store's directory, for reading; -errno. */
int inspect_open_file(const struct inspect *in, const char *name, uint64_t *size);
/* How many of `size` bytes were there; -errno. */
ssize_t inspect_pread(int fd, void *buffer, size_t size, uint64_t offset);
void inspect_file_name(char name[static SEGMENT_FILE_NAME_BYTES], const struct inspect_file *file);
