#include "lookup/radix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

struct node_head {
        uint16_t prefix_size;
        uint16_t children; /* 0 to 256 */
        uint32_t value;
};
static_assert(sizeof(struct node_head) == 8, "a node's head is eight bytes");

/* In a link: what follows is a value. */
#define LINK_IS_VALUE (UINT32_C(1) << 31)

struct radix {
        char *bytes;
        size_t size;
        uint32_t root;
        bool is_empty;
};

/* ---- Building -------------------------------------------------------------- */

struct branch {
        uint8_t byte;
        uint32_t link;
};

/* Children wait here until all of a node's are written; those of the nodes above lie below. */
struct builder {
        struct buffer out;
        struct branch *branches;
        size_t count, capacity;
};

static int push_branch(struct builder *b, uint8_t byte, uint32_t link) {
        if (b->count == b->capacity) {
                size_t capacity = MAX(b->capacity * 2, (size_t)1024);
                struct branch *grown = realloc(b->branches, capacity * sizeof *grown);
                if (!grown)
                        return fail(-ENOMEM);
                b->branches = grown;
                b->capacity = capacity;
        }
        b->branches[b->count++] = (struct branch){byte, link};
        return 0;
}

/* How many bytes from `depth` on the first and the last key share, and with them all between. */
static size_t shared(const struct radix_row *rows, size_t count, size_t depth) {
        struct text first = rows[0].key, last = rows[count - 1].key;
        size_t end = MIN(first.size, last.size), at = depth;
        while (at < end && first.data[at] == last.data[at])
                at++;
        return at - depth;
}

static int write_node(struct builder *b, struct text prefix, uint32_t value, size_t branches_from, uint32_t *ret) {
        size_t children = b->count - branches_from;
        assert(children <= 256 && prefix.size <= RADIX_KEY_BYTES_MAX);
        if (b->out.size >= LINK_IS_VALUE)
                return fail(-EFBIG);
        *ret = (uint32_t)b->out.size;
        struct node_head head = {.prefix_size = (uint16_t)prefix.size, .children = (uint16_t)children, .value = value};
        buffer_append(&b->out, &head, sizeof head);
        buffer_text(&b->out, prefix);
        for (size_t i = branches_from; i < b->count; i++)
                buffer_byte(&b->out, (char)b->branches[i].byte);
        for (size_t i = branches_from; i < b->count; i++)
                buffer_append(&b->out, &b->branches[i].link, sizeof b->branches[i].link);
        b->count = branches_from;
        return buffer_failed(&b->out) ? fail(-ENOMEM) : 0;
}

/* The keys of the rows are alike up to depth. As deep as a key is long: RADIX_KEY_BYTES_MAX. */
static int build(struct builder *b, const struct radix_row *rows, size_t count, size_t depth, uint32_t *ret) {
        size_t prefix = shared(rows, count, depth), below = depth + prefix, branches_from = b->count;
        uint32_t value = RADIX_NONE;
        size_t at = 0;
        assert(rows[0].value <= RADIX_VALUE_MAX);
        if (rows[0].key.size == below)
                value = rows[at++].value;
        while (at < count) {
                uint8_t byte = (uint8_t)rows[at].key.data[below];
                size_t from = at;
                while (at < count && (uint8_t)rows[at].key.data[below] == byte)
                        at++;
                uint32_t link = LINK_IS_VALUE | rows[from].value;
                bool ends_here = at - from == 1 && rows[from].key.size == below + 1;
                int r = ends_here ? 0 : build(b, rows + from, at - from, below + 1, &link);
                if (r == 0)
                        r = push_branch(b, byte, link);
                if (r)
                        return pass(r);
        }
        return write_node(b, text_slice(rows[0].key, depth, below), value, branches_from, ret);
}

int radix_new(struct radix **ret, const struct radix_row *rows, size_t count) {
        _owned_(radix_free) struct radix *r = calloc(1, sizeof *r);
        if (!r)
                return fail(-ENOMEM);
        r->is_empty = count == 0;
        struct builder b = {0};
        int error = count ? build(&b, rows, count, 0, &r->root) : 0;
        free(b.branches);
        r->bytes = b.out.data;
        r->size = b.out.size;
        if (error)
                return pass(error);
        /* What the buffer grew too far is given back. */
        char *exact = r->size ? realloc(r->bytes, r->size) : NULL;
        if (exact)
                r->bytes = exact;
        *ret = TAKE(r);
        return 0;
}

struct radix *radix_free(struct radix *r) {
        if (!r)
                return NULL;
        free(r->bytes);
        free(r);
        return NULL;
}

size_t radix_bytes(const struct radix *r) {
        return r->size;
}

/* ---- Searching ------------------------------------------------------------- */

static inline bool same_bytes(const char *a, const char *b, size_t size) {
        if (size > 16)
                return memcmp(a, b, size) == 0;
        for (size_t i = 0; i < size; i++)
                if (a[i] != b[i])
                        return false;
        return true;
}

/* Which child stands for a byte; `count` when none does. */
static inline size_t find_branch(const char *bytes, size_t count, char byte) {
        if (count > 16) {
                const char *found = memchr(bytes, byte, count);
                return found ? (size_t)(found - bytes) : count;
        }
        size_t i = 0;
        while (i < count && bytes[i] != byte)
                i++;
        return i;
}

uint32_t radix_find(const struct radix *r, struct text key) {
        const char *at = key.data, *end = key.data + key.size;
        if (r->is_empty)
                return RADIX_NONE;
        for (uint32_t node = r->root;;) {
                struct node_head head;
                const char *bytes = r->bytes + node;
                memcpy(&head, bytes, sizeof head);
                bytes += sizeof head;
                if ((size_t)(end - at) < head.prefix_size || !same_bytes(bytes, at, head.prefix_size))
                        return RADIX_NONE;
                at += head.prefix_size;
                if (at == end)
                        return head.value;
                bytes += head.prefix_size;
                size_t child = find_branch(bytes, head.children, *at++);
                if (child == head.children)
                        return RADIX_NONE;
                memcpy(&node, bytes + head.children + child * sizeof node, sizeof node);
                if (node & LINK_IS_VALUE)
                        return at == end ? node & ~LINK_IS_VALUE : RADIX_NONE;
        }
}
