/*
 * penstock: the one command for people. Each word is a program of its own in this
 * folder; the table below is all that they share.
 */
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "control/bus.h"
#include "control/check.h"
#include "control/commands.h"
#include "control/completion.h"
#include "control/explain.h"
#include "control/flood.h"
#include "control/help.h"
#include "control/migrate.h"
#include "control/queue.h"
#include "control/status.h"
#include "control/tap.h"
#include "control/test.h"
#include "control/top.h"
#include "control/trace.h"
#include "control/upgrade.h"

const struct command commands[] = {
        {"bus", bus_main, "the message bus by hand: members, calls, events, groups", bus_options, bus_subcommands},
        {"check", check_main, "check a configuration: every mistake with its place and what would be right",
         .takes_files = true},
        {"completion", completion_main, "print what completes these words in bash, zsh or fish"},
        {"explain", explain_main, "show what a configuration is compiled to, or the way of a message through it",
         explain_options, .takes_files = true},
        {"flood", flood_main, "send messages at any rate, and verify what arrived", flood_options, flood_subcommands,
         .takes_files = true},
        {"help", help_main, "list the modules, or show all parameters of one"},
        {"migrate", migrate_main, "list what becomes of each line of a configuration of rsyslogd's",
         .takes_files = true},
        {"queue", queue_main, "what lies in queues on disk: list, check, show, replay, repair", queue_options,
         queue_subcommands, .takes_files = true},
        {"stats", stats_main, "show the counters of the running daemon", status_options},
        {"status", status_main, "show how the running daemon is", status_options},
        {"tap", tap_main, "show messages as they pass through it", tap_options},
        {"test", test_main, "run the unit tests of a configuration", test_options, .takes_files = true},
        {"top", top_main, "watch it at work: rates, queues, actions", top_options},
        {"trace", trace_main, "follow the next message through it", trace_options},
        {"upgrade", upgrade_main, "let a new binary take over from it, without a gap", upgrade_options},
        {},
};

static int usage(FILE *out) {
        fprintf(out, "usage: penstock COMMAND [ARGUMENTS]\n\n");
        for (const struct command *c = commands; c->name; c++)
                fprintf(out, "  %-10s %s\n", c->name, c->help);
        fprintf(out, "\n`penstock COMMAND --help` says more.\n");
        return out == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
        if (argc < 2)
                return usage(stderr);
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return usage(stdout);
        for (const struct command *c = commands; c->name; c++)
                if (strcmp(c->name, argv[1]) == 0)
                        return c->run(argc - 1, argv + 1);
        fprintf(stderr, "penstock: '%s' is no command of mine\n\n", argv[1]);
        return usage(stderr);
}
