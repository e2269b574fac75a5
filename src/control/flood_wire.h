/* A connection of flood's: opened to wherever the messages go. */
#pragma once

#include "control/flood_settings.h"

/* Connected, and still blocking. 0 or -errno. */
int wire_open(const struct settings *s, int *ret);
