/* penstock top: the daemon at work, in a terminal. */
#pragma once

#include "control/arguments.h"

extern const struct argument top_options[];
int top_main(int argc, char **argv);
