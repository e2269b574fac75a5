/*
 * What a search costs: the radix tree beside an open hash of the same keys, as a
 * program would have one. Each searches for every key in a shuffled order, and for
 * as many keys that are not there.
 *
 *   lookup_bench [COUNT ...]      default: 10 1000 100000 1000000
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lookup/radix.h"

enum { KEY_BYTES = 32, SEARCHES = 4000000 };

struct slot {
        const char *key;
        uint32_t size, value;
};

struct hash {
        struct slot *slots;
        size_t mask;
};

static uint64_t hash_of(struct text t) {
        uint64_t h = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                h = (h ^ (unsigned char)t.data[i]) * 0x100000001b3u;
        return h ^ h >> 32;
}

/* Keys are copied, each where malloc() puts it: as in a hash that owns them. */
static void hash_fill(struct hash *h, const struct radix_row *rows, size_t count) {
        size_t size = 16;
        while (size < count * 2)
                size *= 2;
        h->slots = calloc(size, sizeof *h->slots);
        h->mask = size - 1;
        for (size_t i = 0; i < count && h->slots; i++) {
                size_t at = hash_of(rows[i].key) & h->mask;
                while (h->slots[at].key)
                        at = (at + 1) & h->mask;
                h->slots[at] = (struct slot){text_copy(rows[i].key), (uint32_t)rows[i].key.size, rows[i].value};
        }
}

static uint32_t hash_find(const struct hash *h, struct text key) {
        for (size_t at = hash_of(key) & h->mask; h->slots[at].key; at = (at + 1) & h->mask)
                if (h->slots[at].size == key.size && memcmp(h->slots[at].key, key.data, key.size) == 0)
                        return h->slots[at].value;
        return RADIX_NONE;
}

static size_t hash_bytes(const struct hash *h, const struct radix_row *rows, size_t count) {
        size_t bytes = (h->mask + 1) * sizeof(struct slot);
        for (size_t i = 0; i < count; i++)
                bytes += (rows[i].key.size + 1 + 8 + 15) & ~(size_t)15; /* what malloc() takes for it */
        return bytes;
}

static double per_search(int64_t began_ns, size_t searches) {
        return (double)(clock_mono_ns() - began_ns) / (double)searches;
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

static int measure(size_t count) {
        struct radix_row *rows = calloc(count, sizeof *rows);
        char *bytes = calloc(count, 2 * KEY_BYTES);
        struct text *asked = calloc(count, sizeof *asked), *missing = calloc(count, sizeof *missing);
        struct radix *radix = NULL;
        struct hash hash = {0};
        if (!rows || !bytes || !asked || !missing)
                return 1;
        make_keys(rows, bytes, asked, missing, count);
        int64_t began = clock_mono_ns();
        if (radix_new(&radix, rows, count))
                return 1;
        double built_ms = (double)(clock_mono_ns() - began) / 1e6;
        hash_fill(&hash, rows, count);
        uint64_t sum = 0;
        double ns[4];
        began = clock_mono_ns();
        for (size_t i = 0; i < SEARCHES; i++)
                sum += radix_find(radix, asked[i % count]);
        ns[0] = per_search(began, SEARCHES);
        began = clock_mono_ns();
        for (size_t i = 0; i < SEARCHES; i++)
                sum -= hash_find(&hash, asked[i % count]);
        ns[1] = per_search(began, SEARCHES);
        began = clock_mono_ns();
        for (size_t i = 0; i < SEARCHES; i++)
                sum += radix_find(radix, missing[i % count]);
        ns[2] = per_search(began, SEARCHES);
        began = clock_mono_ns();
        for (size_t i = 0; i < SEARCHES; i++)
                sum -= hash_find(&hash, missing[i % count]);
        ns[3] = per_search(began, SEARCHES);
        printf("%9zu keys: found %6.1f ns, hash %6.1f ns; missing %6.1f ns, hash %6.1f ns; %7zu KiB, hash %7zu KiB; "
               "built in %.1f ms%s\n",
               count, ns[0], ns[1], ns[2], ns[3], radix_bytes(radix) / 1024, hash_bytes(&hash, rows, count) / 1024,
               built_ms, sum ? " (the two differ!)" : "");
        radix_free(radix);
        for (size_t i = 0; i <= hash.mask; i++)
                free((char *)hash.slots[i].key);
        free(hash.slots);
        free(rows);
        free(bytes);
        free(asked);
        free(missing);
        return sum != 0;
}

int main(int argc, char **argv) {
        static const size_t counts[] = {10, 1000, 100000, 1000000};
        int r = 0;
        if (argc > 1)
                for (int i = 1; i < argc; i++)
                        r |= measure(MAX((size_t)strtoul(argv[i], NULL, 10), (size_t)1));
        else
                for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
                        r |= measure(counts[i]);
        return r;
}
