#include "lookup/radix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"

enum node_kind {
        NODE_SPARSE, /* the children's bytes, then their links */
        NODE_DENSE,  /* a link for each byte from the first child's to the last one's */
        NODE_WIDE,   /* the same of two bytes: a row of links for the first, of which each stands for the second */
};

struct node_head {
        union {
                uint32_t value; /* of the key that ends here, as a link has it; or LINK_NONE */
                struct {
                        uint16_t row_first; /* of a wide node: the second byte that the first link of a row is for */
                        uint16_t row_links;
                };
        };
        uint32_t prefix_size : 13; /* up to RADIX_KEY_BYTES_MAX */
        uint32_t links : 9;        /* 0 to 256; of a wide node: its rows */
        uint32_t first : 8;        /* the byte that the first link, or row, is for; not of a sparse node */
        uint32_t kind : 2;
};
static_assert(sizeof(struct node_head) == 8, "a node's head is eight bytes");

/* In a link: what follows is a value. */
#define LINK_IS_VALUE (UINT32_C(1) << 31)
/* No key goes on with this byte, or none ends at this node. */
#define LINK_NONE     UINT32_MAX

enum {
        /* A node may be larger by so many bytes, and one for each key below, for having its links by byte. */
        DENSE_BYTES_MORE = 24,
        WALKERS_MAX = 32,
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
        uint16_t bytes; /* one; of a wide node two, the first one above */
        uint32_t link;
};

/* A node that is not written yet, since the one above may take its branches over. */
struct pending {
        struct text prefix;
        uint32_t value; /* LINK_IS_VALUE with it, or LINK_NONE */
        bool is_wide;
        size_t branches_from, branches;
        size_t keys; /* with those below */
};

/* What follows one byte of a node: a value, or a node. */
struct child {
        uint8_t byte;
        bool is_node;
        uint32_t link;
        struct pending node;
};

/* Both stacks hold what belongs to the pending nodes from the root to the one in work, and its children. */
struct builder {
        struct buffer out;
        struct branch *branches;
        size_t count, capacity;
        struct child *children;
        size_t child_count, child_capacity;
};

enum { BRANCHES_FIRST = 1024, CHILDREN_FIRST = 256 };

/* Both are there from the beginning, so that a place in an empty one is one, too. */
static int begin(struct builder *b) {
        *b = (struct builder){.capacity = BRANCHES_FIRST, .child_capacity = CHILDREN_FIRST};
        b->branches = calloc(b->capacity, sizeof *b->branches);
        b->children = calloc(b->child_capacity, sizeof *b->children);
        return b->branches && b->children ? 0 : fail(-ENOMEM);
}

static int push_branch(struct builder *b, struct branch branch) {
        if (!ARRAY_ROOM(b->branches, b->count, b->capacity, BRANCHES_FIRST))
                return fail(-ENOMEM);
        b->branches[b->count++] = branch;
        return 0;
}

static int push_child(struct builder *b, struct child child) {
        if (!ARRAY_ROOM(b->children, b->child_count, b->child_capacity, CHILDREN_FIRST))
                return fail(-ENOMEM);
        b->children[b->child_count++] = child;
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

/* From the first byte to the last one. */
static size_t span_of(const struct branch *branches, size_t count) {
        return count ? branches[count - 1].bytes - branches[0].bytes + 1u : 0;
}

static bool is_dense(const struct pending *p, size_t span) {
        size_t bytes_max = p->branches * (sizeof(uint32_t) + 1) + DENSE_BYTES_MORE + p->keys;
        return p->branches && span * sizeof(uint32_t) <= bytes_max;
}

static void write_sparse(struct buffer *out, const struct branch *branches, size_t count) {
        for (size_t i = 0; i < count; i++)
                buffer_byte(out, (char)branches[i].bytes);
        for (size_t i = 0; i < count; i++)
                buffer_append(out, &branches[i].link, sizeof branches[i].link);
}

/* One link for each byte from the first child's on. */
static void write_dense(struct buffer *out, const struct branch *branches, size_t count) {
        for (size_t i = 0, byte = branches[0].bytes; i < count; byte++) {
                bool is_there = branches[i].bytes == byte;
                uint32_t link = is_there ? branches[i].link : LINK_NONE;
                buffer_append(out, &link, sizeof link);
                i += is_there;
        }
}

/* The second bytes that the branches of a wide node have. */
struct columns {
        unsigned first, last;
};

static struct columns columns_of(const struct branch *branches, size_t count) {
        struct columns c = {.first = 255, .last = 0};
        for (size_t i = 0; i < count; i++) {
                c.first = MIN(c.first, branches[i].bytes & 255u);
                c.last = MAX(c.last, branches[i].bytes & 255u);
        }
        return c;
}

static void write_wide(struct buffer *out, const struct branch *branches, size_t count, struct columns columns) {
        unsigned first = branches[0].bytes >> 8, last = branches[count - 1].bytes >> 8;
        size_t i = 0;
        for (unsigned row = first; row <= last; row++)
                for (unsigned column = columns.first; column <= columns.last; column++) {
                        bool is_there = i < count && branches[i].bytes == (row << 8 | column);
                        uint32_t link = is_there ? branches[i].link : LINK_NONE;
                        buffer_append(out, &link, sizeof link);
                        i += is_there;
                }
        assert(i == count);
}

/* The branches of a node are the last ones of the stack, from its first on, or lie below those that are not written. */
static int write_node(struct builder *b, const struct pending *p, uint32_t *ret) {
        const struct branch *branches = p->branches ? b->branches + p->branches_from : NULL;
        assert(p->branches <= (p->is_wide ? 65536 : 256) && p->prefix.size <= RADIX_KEY_BYTES_MAX);
        if (b->out.size >= LINK_IS_VALUE)
                return fail(-EFBIG);
        *ret = (uint32_t)b->out.size;
        struct node_head head = {.value = p->value, .prefix_size = (uint32_t)p->prefix.size & 0x1fff};
        struct columns columns = {0};
        size_t span = span_of(branches, p->branches);
        if (p->is_wide) {
                columns = columns_of(branches, p->branches);
                head.kind = NODE_WIDE;
                head.row_first = (uint16_t)columns.first;
                head.row_links = (uint16_t)(columns.last - columns.first + 1);
                head.first = branches[0].bytes >> 8;
                head.links = (uint32_t)(branches[p->branches - 1].bytes >> 8) - head.first + 1;
        } else if (is_dense(p, span)) {
                head.kind = NODE_DENSE;
                head.first = branches[0].bytes & 255u;
                head.links = (uint32_t)span & 0x1ff;
        } else {
                head.kind = NODE_SPARSE;
                head.links = (uint32_t)p->branches & 0x1ff;
        }
        buffer_append(&b->out, &head, sizeof head);
        buffer_text(&b->out, p->prefix);
        if (head.kind == NODE_WIDE)
                write_wide(&b->out, branches, p->branches, columns);
        else if (head.kind == NODE_DENSE)
                write_dense(&b->out, branches, p->branches);
        else
                write_sparse(&b->out, branches, p->branches);
        return buffer_failed(&b->out) ? fail(-ENOMEM) : 0;
}

/* Whether a wide node takes hardly more bytes than the node with its children. */
static bool can_be_wide(const struct builder *b, size_t children_from, size_t branches_from, const struct pending *p) {
        const struct child *children = b->children + children_from;
        size_t count = b->child_count - children_from;
        if (count < 2 || p->value != LINK_NONE)
                return false;
        size_t bytes = MIN((size_t)(children[count - 1].byte - children[0].byte + 1) * sizeof(uint32_t),
                           count * (sizeof(uint32_t) + 1));
        for (size_t i = 0; i < count; i++) {
                const struct pending *node = &children[i].node;
                size_t span = children[i].is_node ? span_of(b->branches + node->branches_from, node->branches) : 0;
                if (!children[i].is_node || node->prefix.size || node->value != LINK_NONE || node->is_wide ||
                    !is_dense(node, span))
                        return false;
                bytes += sizeof(struct node_head) + span * sizeof(uint32_t);
        }
        struct columns columns = columns_of(b->branches + branches_from, b->count - branches_from);
        size_t rows = (size_t)(children[count - 1].byte - children[0].byte + 1);
        return rows * (columns.last - columns.first + 1) * sizeof(uint32_t) <= bytes + DENSE_BYTES_MORE + p->keys;
}

/* The children's branches become the node's own: they lie behind one another already. */
static void take_branches(struct builder *b, size_t children_from) {
        for (size_t i = children_from; i < b->child_count; i++) {
                const struct child *child = &b->children[i];
                struct branch *branches = b->branches + child->node.branches_from;
                for (size_t k = 0; k < child->node.branches; k++)
                        branches[k].bytes = (uint16_t)(child->byte << 8 | branches[k].bytes);
        }
}

/* The children are written, and the node has one branch to each. */
static int write_children(struct builder *b, size_t children_from, size_t branches_from) {
        for (size_t i = children_from; i < b->child_count; i++) {
                struct child *child = &b->children[i];
                int r = child->is_node ? write_node(b, &child->node, &child->link) : 0;
                if (r)
                        return pass(r);
        }
        b->count = branches_from;
        for (size_t i = children_from; i < b->child_count; i++) {
                int r = push_branch(b, (struct branch){b->children[i].byte, b->children[i].link});
                if (r)
                        return pass(r);
        }
        return 0;
}

/* The keys of the rows are alike up to depth. As deep as a key is long: RADIX_KEY_BYTES_MAX. */
static int build(struct builder *b, const struct radix_row *rows, size_t count, size_t depth, struct pending *ret) {
        size_t below = depth + shared(rows, count, depth), at = 0;
        size_t branches_from = b->count, children_from = b->child_count;
        struct pending node = {.prefix = text_slice(rows[0].key, depth, below), .value = LINK_NONE, .keys = count};
        assert(rows[0].value <= RADIX_VALUE_MAX);
        if (rows[0].key.size == below)
                node.value = LINK_IS_VALUE | rows[at++].value;
        while (at < count) {
                struct child child = {.byte = (uint8_t)rows[at].key.data[below]};
                size_t from = at;
                while (at < count && (uint8_t)rows[at].key.data[below] == child.byte)
                        at++;
                child.link = LINK_IS_VALUE | rows[from].value;
                child.is_node = at - from > 1 || rows[from].key.size != below + 1;
                int r = child.is_node ? build(b, rows + from, at - from, below + 1, &child.node) : 0;
                if (r == 0)
                        r = push_child(b, child);
                if (r)
                        return pass(r);
        }
        node.is_wide = can_be_wide(b, children_from, branches_from, &node);
        if (node.is_wide)
                take_branches(b, children_from);
        int r = node.is_wide ? 0 : write_children(b, children_from, branches_from);
        b->child_count = children_from;
        node.branches_from = branches_from;
        node.branches = b->count - branches_from;
        *ret = node;
        return r ? pass(r) : 0;
}

int radix_new(struct radix **ret, const struct radix_row *rows, size_t count) {
        _owned_(radix_free) struct radix *r = calloc(1, sizeof *r);
        if (!r)
                return fail(-ENOMEM);
        r->is_empty = count == 0;
        struct builder b;
        struct pending root;
        int error = begin(&b);
        if (count && error == 0)
                error = build(&b, rows, count, 0, &root);
        if (count && error == 0)
                error = write_node(&b, &root, &r->root);
        free(b.branches);
        free(b.children);
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

/* Two words that may overlap hold all bytes of what is longer than one of them. */
#define SAME_ENDS(type, a, b, size)                                                                                    \
        ({                                                                                                             \
                type a_first, b_first, a_last, b_last;                                                                 \
                memcpy(&a_first, a, sizeof a_first);                                                                   \
                memcpy(&b_first, b, sizeof b_first);                                                                   \
                memcpy(&a_last, (a) + (size) - sizeof a_last, sizeof a_last);                                          \
                memcpy(&b_last, (b) + (size) - sizeof b_last, sizeof b_last);                                          \
                !((a_first ^ b_first) | (a_last ^ b_last));                                                            \
        })

/* At least one byte. Prefixes are short: a call, or a loop over bytes, took more than all else in a node. */
static inline bool same_bytes(const char *a, const char *b, size_t size) {
        if (size > 16)
                return memcmp(a, b, size) == 0;
        if (size >= 8)
                return SAME_ENDS(uint64_t, a, b, size);
        if (size >= 4)
                return SAME_ENDS(uint32_t, a, b, size);
        return size >= 2 ? SAME_ENDS(uint16_t, a, b, size) : *a == *b;
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

static inline uint32_t link_at(const char *links, size_t i) {
        uint32_t link;
        memcpy(&link, links + i * sizeof link, sizeof link);
        return link;
}

/* Where a link leads, once so much of a key is used: at the end of a search nothing of it may be left. */
static inline uint32_t follow(uint32_t link, const char *at, const char *end) {
        return link & LINK_IS_VALUE && at != end ? LINK_NONE : link;
}

/* One node down, and on in the key. Where that ends the search, a link that is a value, or LINK_NONE. A call of it took
 * a third more. */
__attribute__((always_inline)) static inline uint32_t descend(const struct radix *r, uint32_t node, const char **key,
                                                              const char *end) {
        struct node_head head;
        const char *bytes = r->bytes + node, *at = *key;
        memcpy(&head, bytes, sizeof head);
        bytes += sizeof head;
        size_t size = head.prefix_size;
        if (size) {
                if ((size_t)(end - at) < size || !same_bytes(bytes, at, size))
                        return LINK_NONE;
                bytes += size;
                at += size;
        }
        if (at == end)
                return head.kind == NODE_WIDE ? LINK_NONE : head.value;
        size_t i = (size_t)(uint8_t)*at++ - head.first;
        if (head.kind == NODE_SPARSE) {
                i = find_branch(bytes, head.links, at[-1]);
                bytes += head.links;
        }
        if (i >= head.links)
                return LINK_NONE;
        if (head.kind == NODE_WIDE) {
                size_t column = at == end ? SIZE_MAX : (size_t)(uint8_t)*at++ - head.row_first;
                if (column >= head.row_links)
                        return LINK_NONE;
                i = i * head.row_links + column;
        }
        *key = at;
        return follow(link_at(bytes, i), at, end);
}

static inline uint32_t value_of(uint32_t link) {
        return link == LINK_NONE ? RADIX_NONE : link & ~LINK_IS_VALUE;
}

uint32_t radix_find(const struct radix *r, struct text key) {
        const char *at = key.data, *end = key.data + key.size;
        uint32_t link = r->is_empty ? LINK_NONE : r->root;
        while (!(link & LINK_IS_VALUE))
                link = descend(r, link, &at, end);
        return value_of(link);
}

/* Most nodes lie in one line of the processor's cache, or in two. */
static inline void fetch(const struct radix *r, uint32_t node) {
        __builtin_prefetch(r->bytes + node);
        __builtin_prefetch(r->bytes + node + FETCH_BYTES);
}

/*
 * At most WALKERS_MAX keys: each in turn goes down one node, and meanwhile the next nodes of the others arrive. What
 * they have stays where it is, also when some have ended: most end at the same depth.
 */
static void walk_together(const struct radix *r, const struct text *keys, size_t count, uint32_t *links) {
        const char *at[WALKERS_MAX], *end[WALKERS_MAX];
        for (size_t i = 0; i < count; i++) {
                at[i] = keys[i].data;
                end[i] = keys[i].data + keys[i].size;
                links[i] = r->root;
        }
        for (bool walks = !(r->root & LINK_IS_VALUE); walks;) {
                walks = false;
                for (size_t i = 0; i < count; i++) {
                        if (links[i] & LINK_IS_VALUE)
                                continue;
                        uint32_t link = descend(r, links[i], &at[i], end[i]);
                        links[i] = link;
                        if (link & LINK_IS_VALUE)
                                continue;
                        fetch(r, link);
                        walks = true;
                }
        }
        for (size_t i = 0; i < count; i++)
                links[i] = value_of(links[i]);
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
