/* The load generator behind `penstock flood` and `penstock flood verify`. */
#pragma once

#include "control/commands.h"

/* Returns the exit status: 0, or 1 when messages could not be sent or are missing, or 2 for a wrong command line. */
int flood_main(int argc, char **argv);

extern const struct argument flood_options[];
extern const struct subcommand flood_subcommands[];
