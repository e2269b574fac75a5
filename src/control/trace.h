/* penstock trace: the way of one message through the daemon. */
#pragma once

#include "control/arguments.h"

extern const struct argument trace_options[];
int trace_main(int argc, char **argv);
