/*
 * The command line: rsyslogd's, to the letter (`46ACDdf:F:hi:M:nN:o:qQS:T:u:vwx`
 * and the older ones that are accepted with a warning).
 */
#pragma once

#include <stdbool.h>

struct options {
        const char *config_file;
        const char *pid_file; /* NULL: none */
        const char *module_path;
        const char *root_directory; /* -T; NULL: none */
        const char *output_file;    /* -o; NULL: none */
        const char *output_format;  /* -F; NULL: none */
        int check_level;            /* -N; 0: run */
        bool is_foreground;
        bool keeps_directory; /* -C */
        bool is_debug;        /* -d */
        bool debugs_quietly;  /* -D */
};

/* What main() does next. */
enum options_result { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_FAILED };

/* Reads the command line; prints version, usage and warnings itself. */
enum options_result options_read(struct options *options, int argc, char **argv);
