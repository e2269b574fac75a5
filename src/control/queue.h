/* penstock queue: what lies in queues on disk. */
#pragma once

#include "control/commands.h"

extern const struct argument queue_options[];
extern const struct subcommand queue_subcommands[];
int queue_main(int argc, char **argv);
