/* Where the bus is: as global(bus.socket) says, else $PENSTOCK_BUS_SOCKET, else by the runtime directory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "module/objects.h"

/* "" when there shall be none. *is_asked_for: it is not the default. */
void bus_path(char *path, size_t size, const struct global_settings *global, bool *is_asked_for);
