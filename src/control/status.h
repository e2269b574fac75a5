/* penstock status, penstock stats: how the daemon is, and what it has counted. */
#pragma once

#include "control/arguments.h"

extern const struct argument status_options[];
int status_main(int argc, char **argv);
int stats_main(int argc, char **argv);
