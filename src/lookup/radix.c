#include "lookup/radix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

struct node_head {
        uint32_t value;            /* of the key that ends here, as a link has it; or LINK_NONE */
        uint32_t prefix_size : 13; /* up to RADIX_KEY_BYTES_MAX */
        uint32_t links : 9;        /* 0 to 256 */
        uint32_t first : 8;        /* of a dense node: the byte that its first link stands for */
        uint32_t is_dense : 1;
};
static_assert(sizeof(struct node_head) == 8, "a node's head is eight bytes");

/* In a link: what follows is a value. */
#define LINK_IS_VALUE (UINT32_C(1) << 31)
/* No key goes on with this byte, or none ends at this node. */
#define LINK_NONE     UINT32_MAX

enum {
        DENSE_BYTES_MORE = 24, /* that a node may be larger for having its links by byte */
        WALKERS_MAX = 16,
        FETCH_BYTES = 40, /* into a node: with its head, about what a dense one of ten digits has */
};

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
        if (b->out.size >= LINK_IS_VALUE)
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
        uint32_t value = LINK_NONE;
        size_t at = 0;
        assert(rows[0].value <= RADIX_VALUE_MAX);
        if (rows[0].key.size == below)
                value = LINK_IS_VALUE | rows[at++].value;
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

/* One node down. Where that ends the search, a link that is a value, or LINK_NONE. */
static inline uint32_t descend(const struct radix *r, uint32_t node, struct text *key) {
        struct node_head head;
        const char *bytes = r->bytes + node;
        memcpy(&head, bytes, sizeof head);
        bytes += sizeof head;
        size_t size = head.prefix_size;
        if (key->size < size || !same_bytes(bytes, key->data, size))
                return LINK_NONE;
        if (key->size == size)
                return head.value;
        uint32_t link = find_link(head, bytes + size, key->data[size]);
        *key = (struct text){key->data + size + 1, key->size - size - 1};
        return link & LINK_IS_VALUE && key->size ? LINK_NONE : link;
}

static inline uint32_t value_of(uint32_t link) {
        return link == LINK_NONE ? RADIX_NONE : link & ~LINK_IS_VALUE;
}

uint32_t radix_find(const struct radix *r, struct text key) {
        uint32_t link = r->is_empty ? LINK_NONE : r->root;
        while (!(link & LINK_IS_VALUE))
                link = descend(r, link, &key);
        return value_of(link);
}

/* A search among several that go down together. */
struct walker {
        struct text key; /* what is left of it */
        uint32_t link;
        uint32_t number;
};

/* Most nodes lie in one line of the processor's cache, or in two. */
static inline void fetch(const struct radix *r, uint32_t node) {
        __builtin_prefetch(r->bytes + node);
        __builtin_prefetch(r->bytes + node + FETCH_BYTES);
}

/* At most WALKERS_MAX keys: each in turn goes down one node, and meanwhile the next nodes of the others arrive. */
static void walk_together(const struct radix *r, const struct text *keys, size_t count, uint32_t *values) {
        struct walker walkers[WALKERS_MAX];
        for (uint32_t i = 0; i < count; i++)
                walkers[i] = (struct walker){keys[i], r->root, i};
        for (size_t walking = count; walking;) {
                size_t left = walking;
                walking = 0;
                for (size_t i = 0; i < left; i++) {
                        struct walker w = walkers[i];
                        w.link = descend(r, w.link, &w.key);
                        if (w.link & LINK_IS_VALUE) {
                                values[w.number] = value_of(w.link);
                                continue;
                        }
                        fetch(r, w.link);
                        walkers[walking++] = w;
                }
        }
}

void radix_find_many(const struct radix *r, const struct text *keys, size_t count, uint32_t *values) {
        if (r->is_empty) {
                for (size_t i = 0; i < count; i++)
                        values[i] = RADIX_NONE;
                return;
        }
        for (size_t at = 0; at < count; at += WALKERS_MAX)
                walk_together(r, keys + at, MIN(count - at, (size_t)WALKERS_MAX), values + at);
}
