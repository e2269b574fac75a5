/* penstock upgrade: a new binary takes over from the one that runs. */
#pragma once

#include "control/arguments.h"

extern const struct argument upgrade_options[];
int upgrade_main(int argc, char **argv);
