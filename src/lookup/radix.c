#include "lookup/radix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

struct node_head {
        uint32_t value;
        uint32_t prefix_size : 13; /* up to RADIX_KEY_BYTES_MAX */
        uint32_t links : 9;        /* 0 to 256 */
        uint32_t first : 8;        /* of a dense node: the byte that its first link stands for */
        uint32_t is_dense : 1;
};
static_assert(sizeof(struct node_head) == 8, "a node's head is eight bytes");

/* In a link: what follows is a value. */
#define LINK_IS_VALUE (UINT32_C(1) << 31)
/* In a dense node: no key goes on with this byte. */
#define LINK_NONE     (LINK_IS_VALUE - 1)

enum { DENSE_BYTES_MORE = 24 /* that a node may be larger for having its links by byte */ };

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

static void write_branches(struct buffer *out, const struct branch *branches, size_t count) {
        for (size_t i = 0; i < count; i++)
                buffer_byte(out, (char)branches[i].byte);
        for (size_t i = 0; i < count; i++)
                buffer_append(out, &branches[i].link, sizeof branches[i].link);
}

/* One link for each byte from the first child's to the last one's. */
static void write_dense(struct buffer *out, const struct branch *branches, size_t count) {
        for (size_t i = 0, byte = branches[0].byte; i < count; byte++) {
                bool is_there = branches[i].byte == byte;
                uint32_t link = is_there ? branches[i].link : LINK_NONE;
                buffer_append(out, &link, sizeof link);
                i += is_there;
        }
}

static int write_node(struct builder *b, struct text prefix, uint32_t value, size_t branches_from, uint32_t *ret) {
        size_t count = b->count - branches_from;
        const struct branch *branches = count ? b->branches + branches_from : NULL;
        assert(count <= 256 && prefix.size <= RADIX_KEY_BYTES_MAX);
        if (b->out.size >= LINK_NONE)
                return fail(-EFBIG);
        *ret = (uint32_t)b->out.size;
        size_t span = count ? branches[count - 1].byte - branches[0].byte + 1u : 0;
        bool is_dense = count && span * sizeof(uint32_t) <= count * (sizeof(uint32_t) + 1) + DENSE_BYTES_MORE;
        struct node_head head = {.value = value,
                                 .prefix_size = (uint32_t)prefix.size & 0x1fff,
                                 .links = (uint32_t)(is_dense ? span : count) & 0x1ff,
                                 .first = is_dense ? branches[0].byte : 0,
                                 .is_dense = is_dense};
        buffer_append(&b->out, &head, sizeof head);
        buffer_text(&b->out, prefix);
        if (is_dense)
                write_dense(&b->out, branches, count);
        else
                write_branches(&b->out, branches, count);
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

/* The link for a byte of the node whose links begin at `bytes`, or LINK_NONE. */
static inline uint32_t find_link(struct node_head head, const char *bytes, char byte) {
        uint32_t link = LINK_NONE;
        size_t i = head.is_dense ? (size_t)(unsigned char)byte - head.first : find_branch(bytes, head.links, byte);
        if (i < head.links)
                memcpy(&link, bytes + (head.is_dense ? 0 : head.links) + i * sizeof link, sizeof link);
        return link;
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
                node = find_link(head, bytes + head.prefix_size, *at++);
                if (node == LINK_NONE)
                        return RADIX_NONE;
                if (node & LINK_IS_VALUE)
                        return at == end ? node & ~LINK_IS_VALUE : RADIX_NONE;
        }
}
