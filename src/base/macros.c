#include "base/macros.h"

#include <stdlib.h>
#include <unistd.h>

void memory_free_owned(void *pointer) {
        free(*(void **)pointer);
}

void descriptor_close_owned(int *fd) {
        if (*fd >= 0)
                close(*fd);
}
