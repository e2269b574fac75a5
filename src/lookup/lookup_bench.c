/*
 * What a search costs: the radix tree, asked for one key after the other and for 32 together, beside two hashes of the
 * same keys, as a program would have them. One is open, with all slots in one array; the other is made as C++'s
 * std::unordered_map is: buckets of nodes, each with its key. All search for every key in a shuffled order, and for as
 * many keys that are not there.
 *
 * Times are of the processor, each the best of several rounds in which all take turns. The result is a table for
 * bench/LOOKUP.md.
 *
 *   lookup_bench [COUNT ...]      default: 10 1000 100000 1000000
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lookup/radix.h"

enum { KEY_BYTES = 32, SEARCHES = 1000000, ROUNDS = 7, TOGETHER = 32, CONTESTANTS = 4 };

static uint64_t hash_of(struct text t) {
        uint64_t h = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                h = (h ^ (unsigned char)t.data[i]) * 0x100000001b3u;
        return h ^ h >> 32;
}

/* What malloc() takes for so many bytes. */
static size_t heap_bytes(size_t bytes) {
        return (bytes + 8 + 15) & ~(size_t)15;
}

/* ---- An open hash ---------------------------------------------------------- */

struct slot {
        const char *key;
        uint32_t size, value;
};

struct hash {
        struct slot *slots;
        size_t mask, bytes;
};

/* Keys are copied, each where malloc() puts it: as in a hash that owns them. */
static void hash_fill(struct hash *h, const struct radix_row *rows, size_t count) {
        size_t size = 16;
        while (size < count * 2)
                size *= 2;
        h->slots = calloc(size, sizeof *h->slots);
        h->mask = size - 1;
        h->bytes = heap_bytes(size * sizeof *h->slots);
        for (size_t i = 0; i < count && h->slots; i++) {
                size_t at = hash_of(rows[i].key) & h->mask;
                while (h->slots[at].key)
                        at = (at + 1) & h->mask;
                h->slots[at] = (struct slot){text_copy(rows[i].key), (uint32_t)rows[i].key.size, rows[i].value};
                h->bytes += heap_bytes(rows[i].key.size + 1);
        }
}

static uint32_t hash_find(const struct hash *h, struct text key) {
        for (size_t at = hash_of(key) & h->mask; h->slots[at].key; at = (at + 1) & h->mask)
                if (h->slots[at].size == key.size && memcmp(h->slots[at].key, key.data, key.size) == 0)
                        return h->slots[at].value;
        return RADIX_NONE;
}

static void hash_free(struct hash *h) {
        for (size_t i = 0; i <= h->mask; i++)
                free((char *)h->slots[i].key);
        free(h->slots);
}

/* ---- A hash of nodes ------------------------------------------------------- */

struct node {
        struct node *next;
        uint64_t hash;
        uint32_t size, value;
        char key[];
};

struct chains {
        struct node **buckets;
        size_t mask, bytes;
};

static void chains_fill(struct chains *c, const struct radix_row *rows, size_t count) {
        size_t size = 16;
        while (size < count)
                size *= 2;
        c->buckets = calloc(size, sizeof(*c->buckets));
        c->mask = size - 1;
        c->bytes = heap_bytes(size * sizeof(*c->buckets));
        for (size_t i = 0; i < count && c->buckets; i++) {
                struct text key = rows[i].key;
                struct node *n = malloc(sizeof *n + key.size);
                if (!n)
                        return;
                uint64_t hash = hash_of(key);
                *n = (struct node){c->buckets[hash & c->mask], hash, (uint32_t)key.size, rows[i].value};
                memcpy(n->key, key.data, key.size);
                c->buckets[hash & c->mask] = n;
                c->bytes += heap_bytes(sizeof *n + key.size);
        }
}

static uint32_t chains_find(const struct chains *c, struct text key) {
        uint64_t hash = hash_of(key);
        for (const struct node *n = c->buckets[hash & c->mask]; n; n = n->next)
                if (n->hash == hash && n->size == key.size && memcmp(n->key, key.data, key.size) == 0)
                        return n->value;
        return RADIX_NONE;
}

static void chains_free(struct chains *c) {
        for (size_t i = 0; i <= c->mask; i++)
                for (struct node *n = c->buckets[i], *next; n; n = next) {
                        next = n->next;
                        free(n);
                }
        free(c->buckets);
}

/* ---- Measuring ------------------------------------------------------------- */

static void find_in_tree(const void *keys, const struct text *asked, size_t count, uint32_t *values) {
        for (size_t i = 0; i < count; i++)
                values[i] = radix_find(keys, asked[i]);
}

static void find_together(const void *keys, const struct text *asked, size_t count, uint32_t *values) {
        radix_find_many(keys, asked, count, values);
}

static void find_in_hash(const void *keys, const struct text *asked, size_t count, uint32_t *values) {
        for (size_t i = 0; i < count; i++)
                values[i] = hash_find(keys, asked[i]);
}

static void find_in_chains(const void *keys, const struct text *asked, size_t count, uint32_t *values) {
        for (size_t i = 0; i < count; i++)
                values[i] = chains_find(keys, asked[i]);
}

static double cpu_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_key(const void *a, const void *b) {
        return text_compare(((const struct radix_row *)a)->key, ((const struct radix_row *)b)->key);
}

static void make_keys(struct radix_row *rows, char *bytes, struct text *asked, struct text *missing, size_t count) {
        for (size_t i = 0; i < count; i++) {
                char *key = bytes + i * 2 * KEY_BYTES, *other = key + KEY_BYTES;
                unsigned number = (unsigned)i * 2654435761u;
                int size = snprintf(key, KEY_BYTES, "%u.%u.host-%zu.example", number >> 24, number >> 16 & 255, i);
                rows[i] = (struct radix_row){{key, (size_t)size}, (uint32_t)i};
                asked[i] = rows[i].key;
                size = snprintf(other, KEY_BYTES, "%u.%u.host-%zu.exampla", number >> 24, number >> 16 & 255, i);
                missing[i] = (struct text){other, (size_t)size};
        }
        uint64_t state = 1;
        for (size_t i = count; i > 1; i--) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                size_t j = (state >> 33) % i;
                struct text t = asked[i - 1];
                asked[i - 1] = asked[j];
                asked[j] = t;
                t = missing[i - 1];
                missing[i - 1] = missing[j];
                missing[j] = t;
        }
        qsort(rows, count, sizeof *rows, by_key);
}

struct contestant {
        void (*find)(const void *keys, const struct text *asked, size_t count, uint32_t *values);
        const void *keys;
        double found_ns, missing_ns;
};

/* A sum that is the same for all that find the same. */
static uint64_t search(const struct contestant *c, const struct text *asked, size_t count, double *best_ns) {
        uint64_t sum = 0;
        uint32_t values[TOGETHER];
        size_t some, searches = 0;
        double began = cpu_ns();
        for (size_t k = 0; searches < SEARCHES; searches += some, k = k + some < count ? k + some : 0) {
                some = MIN(count - k, (size_t)TOGETHER);
                c->find(c->keys, asked + k, some, values);
                for (size_t i = 0; i < some; i++)
                        sum += values[i];
        }
        double ns = (cpu_ns() - began) / (double)searches;
        *best_ns = *best_ns == 0 ? ns : MIN(*best_ns, ns);
        return sum;
}

static bool race(struct contestant *all, size_t contestants, const struct text *asked, const struct text *missing,
                 size_t count) {
        uint64_t found[CONTESTANTS], none[CONTESTANTS];
        for (int round = 0; round < ROUNDS; round++)
                for (size_t c = 0; c < contestants; c++) {
                        found[c] = search(&all[c], asked, count, &all[c].found_ns);
                        none[c] = search(&all[c], missing, count, &all[c].missing_ns);
                        if (found[c] != found[0] || none[c] != none[0])
                                return false;
                }
        return true;
}

static int measure(size_t count) {
        struct radix_row *rows = calloc(count, sizeof *rows);
        char *bytes = calloc(count, 2 * KEY_BYTES);
        struct text *asked = calloc(count, sizeof *asked), *missing = calloc(count, sizeof *missing);
        struct radix *radix = NULL;
        struct hash hash = {0};
        struct chains chains = {0};
        if (!rows || !bytes || !asked || !missing)
                return 1;
        make_keys(rows, bytes, asked, missing, count);
        double began = cpu_ns();
        if (radix_new(&radix, rows, count))
                return 1;
        double built_ms = (cpu_ns() - began) / 1e6;
        hash_fill(&hash, rows, count);
        chains_fill(&chains, rows, count);
        struct contestant all[CONTESTANTS] = {{.find = find_in_tree, .keys = radix},
                                              {.find = find_together, .keys = radix},
                                              {.find = find_in_hash, .keys = &hash},
                                              {.find = find_in_chains, .keys = &chains}};
        bool is_same = race(all, ARRAY_SIZE(all), asked, missing, count);
        printf("| %zu |", count);
        for (size_t c = 0; c < ARRAY_SIZE(all); c++)
                printf(" %.0f | %.0f |", all[c].found_ns, all[c].missing_ns);
        printf(" %zu | %zu | %zu | %.1f |%s\n", (radix_bytes(radix) + 512) / 1024, (hash.bytes + 512) / 1024,
               (chains.bytes + 512) / 1024, built_ms, is_same ? "" : " (they differ!)");
        radix_free(radix);
        hash_free(&hash);
        chains_free(&chains);
        free(rows);
        free(bytes);
        free(asked);
        free(missing);
        return !is_same;
}

int main(int argc, char **argv) {
        static const size_t counts[] = {10, 1000, 100000, 1000000};
        int r = 0;
        printf("| keys | tree: found, ns | missing | together: found, ns | missing | open hash: found, ns | missing | "
               "nodes: found, ns | missing | "
               "tree, KiB | open, KiB | nodes, KiB | tree built in, ms |\n"
               "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        if (argc > 1)
                for (int i = 1; i < argc; i++)
                        r |= measure(MAX((size_t)strtoul(argv[i], NULL, 10), (size_t)1));
        else
                for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
                        r |= measure(counts[i]);
        return r;
}
