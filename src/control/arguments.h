/*
 * The arguments of a word of `penstock`: a table says which options it takes, and
 * everything is read from it: parsing, --help, completion.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct argument {
        const char *name;  /* without the dashes; NULL ends the table */
        char letter;       /* 0: none */
        const char *takes; /* what the help calls its value; NULL: it takes none, and sets a bool */
        bool is_number;    /* sets an int64_t; else a const char *, which points into argv */
        size_t offset;     /* of what it sets in the settings */
        const char *help;
};
/* The last entry of every table. */
#define ARGUMENT_HELP                                                                                                  \
        {.name = "help", .letter = 'h', .help = "show this"}, {                                                        \
        }

enum { ARGUMENTS_SHOWN = 1, ARGUMENTS_WRONG = 2 }; /* --help was answered; a mistake was told */

/*
 * Reads options, wherever they stand, into `settings`; the others are moved to the front of argv[1...], and *count is
 * how many. Behind "--" nothing is an option. `usage` is the first line of the help, `about` what follows it.
 */
int arguments_read(const struct argument *table, void *settings, int argc, char **argv, int *count, const char *usage,
                   const char *about);
