/* The words of `penstock`, for main() and for whoever completes them. */
#pragma once

#include "control/arguments.h"

struct subcommand {
        const char *name; /* NULL ends the table */
        const char *takes;
        const char *help;
};

struct command {
        const char *name; /* NULL ends the table */
        int (*run)(int argc, char **argv);
        const char *help;
        const struct argument *options;       /* NULL: it reads its own */
        const struct subcommand *subcommands; /* NULL: none */
        bool takes_files;                     /* its other arguments are files */
};
extern const struct command commands[];
