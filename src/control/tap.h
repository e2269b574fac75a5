/* penstock tap: messages as they pass through the daemon. */
#pragma once

#include "control/arguments.h"

extern const struct argument tap_options[];
int tap_main(int argc, char **argv);
