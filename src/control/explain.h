#pragma once

#include "control/arguments.h"

/* penstock explain [--message LINE] [FILE]: the compiled programs, or the way of one message through them. */
int explain_main(int argc, char **argv);
extern const struct argument explain_options[];
