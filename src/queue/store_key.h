/*
 * The key that a store's messages are enciphered with, from a file or a program.
 */
#pragma once

#include <stdint.h>

#include "base/reporter.h"

enum {
        STORE_KEY_BYTES = 32,
        STORE_KEY_TEXT_BYTES_MAX = 1024, /* of a key file, or what a key program prints */
        STORE_KEY_PROGRAM_MS_MAX = 10000,
};

/* One of the two is set. -EINVAL: it is no key; -EACCES, -ENOENT, -ETIMEDOUT ...; each reported. */
int store_key_read(uint8_t key[static STORE_KEY_BYTES], const char *file, const char *program,
                   struct reporter *reporter);
