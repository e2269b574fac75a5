/*
 * penstock: the one command for people. Each word is a program of its own in this
 * folder; the table below is all that they share.
 */
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "control/check.h"
#include "control/explain.h"
#include "control/flood.h"
#include "control/help.h"
#include "control/migrate.h"
#include "control/test.h"

static const struct command {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *help;
} commands[] = {
        {"check", check_main, "check a configuration: every mistake with its place and what would be right"},
        {"explain", explain_main, "show what a configuration is compiled to, or the way of a message through it"},
        {"flood", flood_main, "send messages at any rate, and verify what arrived"},
        {"help", help_main, "list the modules, or show all parameters of one"},
        {"migrate", migrate_main, "list what becomes of each line of a configuration of rsyslogd's"},
        {"test", test_main, "run the unit tests of a configuration"},
};

static int usage(FILE *out) {
        fprintf(out, "usage: penstock COMMAND [ARGUMENTS]\n\n");
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
        fprintf(out, "\n`penstock COMMAND --help` says more.\n");
        return out == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
        if (argc < 2)
                return usage(stderr);
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return usage(stdout);
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (strcmp(commands[i].name, argv[1]) == 0)
                        return commands[i].run(argc - 1, argv + 1);
        fprintf(stderr, "penstock: '%s' is no command of mine\n\n", argv[1]);
        return usage(stderr);
}
