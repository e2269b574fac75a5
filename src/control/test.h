#pragma once

#include "control/arguments.h"

/* penstock test FILE...: unit tests of configurations. */
int test_main(int argc, char **argv);
extern const struct argument test_options[];
