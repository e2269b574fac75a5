/*
 * A compressed radix tree of texts, built once and never changed. A search costs by
 * the length of the key: a node for each byte at which keys part, however many keys
 * there are.
 *
 * The whole tree is one block of bytes. A node is
 *
 *   head, the bytes that all keys below share, one byte for each child, one offset for each child
 *
 * Children lie before their parent, so that every offset is known when it is written.
 */
#pragma once

#include <stdint.h>

#include "base/text.h"

struct radix;

struct radix_row {
        struct text key;
        uint32_t value; /* RADIX_NONE stands for "no such key" */
};

enum { RADIX_KEY_BYTES_MAX = 4096 };
#define RADIX_NONE UINT32_MAX

/* Rows ascend by text_compare(), each key once and within RADIX_KEY_BYTES_MAX. -EFBIG beyond 4 GiB; -ENOMEM. */
int radix_new(struct radix **ret, const struct radix_row *rows, size_t count);
struct radix *radix_free(struct radix *r);
OWNED_POINTER(struct radix, radix_free);

uint32_t radix_find(const struct radix *r, struct text key);
size_t radix_bytes(const struct radix *r);
