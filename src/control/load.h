/*
 * What the words of penstock that look at a configuration have in common: -M, the
 * file's name, and the load with all that the daemon knows of it.
 */
#pragma once

#include "language/diagnostics.h"
#include "language/tree.h"

struct loaded_file {
        const char *path;
        struct registry *registry;
        struct config *config; /* NULL: it could not be read */
        struct diagnostics diagnostics;
};

/*
 * Takes "[-M DIRECTORY] [FILE]" and loads it. 0; or the exit code, when the arguments are wrong or ask for `usage`, or
 * the file cannot be read: it has been said.
 */
enum { LOAD_GO_ON = -1 };
int loaded_file_open(struct loaded_file *ret, int argc, char **argv, const char *usage, bool notes_constructs);
/* The same of a path that is known; `text` NULL: what the file holds. 0, or -errno. */
int loaded_file_read(struct loaded_file *ret, const char *path, const struct text *text, const char *modules,
                     bool notes_constructs);
void loaded_file_fini(struct loaded_file *f);
OWNED_VALUE(struct loaded_file, loaded_file_fini);
