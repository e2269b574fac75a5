/* penstock bus: the message bus by hand. */
#pragma once

#include "control/commands.h"

extern const struct argument bus_options[];
extern const struct subcommand bus_subcommands[];
int bus_main(int argc, char **argv);
