#include "daemon/bus_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char DEFAULT_DIRECTORY[] = "/run/penstock";

void bus_path(char *path, size_t size, const struct global_settings *global, bool *is_asked_for) {
        const char *wish = global->bus_socket ? global->bus_socket : getenv("PENSTOCK_BUS_SOCKET");
        const char *directory = getenv("RUNTIME_DIRECTORY");
        *is_asked_for = wish != NULL;
        if (wish) {
                snprintf(path, size, "%s", strcmp(wish, "off") == 0 ? "" : wish);
                return;
        }
        if (!directory || directory[0] != '/' || strchr(directory, ':'))
                directory = DEFAULT_DIRECTORY;
        snprintf(path, size, "%s/bus", directory);
}
