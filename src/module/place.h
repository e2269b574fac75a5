/* A place in a file that people write. */
#pragma once

#include <stdint.h>

struct place {
        const char *file;
        uint32_t line;   /* 1-based */
        uint32_t column; /* 1-based, bytes */
};
