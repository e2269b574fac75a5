#include "base/needles.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

enum {
        MARK_BYTES = 3,
        BUCKETS = 8,
        WIDTH = 32, /* places that one step looks at */
        NIBBLES = 16,
};

struct sought {
        struct search search;
        uint64_t answer;
        size_t mark; /* where in the needle it begins */
};

struct needles {
        struct sought *sought; /* those with a mark first, bucket by bucket */
        size_t count;
        size_t marked;               /* how many have a mark, and are found by it */
        size_t bucket[BUCKETS + 1];  /* where in `sought` each begins */
        uint8_t low[MARK_BYTES][32]; /* buckets by the low half of a byte of the mark; twice, once for each lane */
        uint8_t high[MARK_BYTES][32];
};

struct needles *needles_free(struct needles *n) {
        if (!n)
                return NULL;
        free(n->sought);
        free(n);
        return NULL;
}

/* ---- Building ------------------------------------------------------------- */

static bool is_letter(char c) {
        return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static unsigned rarity(const struct search *s, size_t at) {
        char c = s->needle.data[at];
        return search_rarity(s->ignores_case && is_letter(c) ? (char)(c | 32) : c);
}

static size_t choose_mark(const struct search *s) {
        size_t best = 0;
        unsigned most = 0;
        for (size_t at = 0; at + MARK_BYTES <= s->needle.size; at++) {
                unsigned sum = 0;
                for (size_t k = 0; k < MARK_BYTES; k++)
                        sum += rarity(s, at + k);
                if (sum > most) {
                        most = sum;
                        best = at;
                }
        }
        return best;
}

/* Marks that begin alike share a bucket: each byte of a bucket's marks makes it hold in more places. */
static int by_mark(const void *a, const void *b) {
        const struct sought *x = a, *y = b;
        unsigned one = (unsigned char)x->search.needle.data[x->mark] & 15u;
        unsigned other = (unsigned char)y->search.needle.data[y->mark] & 15u;
        return (one > other) - (one < other);
}

static void allow(struct needles *n, size_t k, unsigned char c, uint8_t bucket) {
        for (size_t lane = 0; lane < 2; lane++) {
                n->low[k][lane * NIBBLES + (c & 15u)] |= bucket;
                n->high[k][lane * NIBBLES + (c >> 4)] |= bucket;
        }
}

static void enter(struct needles *n, const struct sought *s, uint8_t bucket) {
        for (size_t k = 0; k < MARK_BYTES; k++) {
                char c = s->search.needle.data[s->mark + k];
                allow(n, k, (unsigned char)c, bucket);
                if (s->search.ignores_case && is_letter(c))
                        allow(n, k, (unsigned char)(c ^ 32), bucket);
        }
}

static void deal(struct needles *n) {
        qsort(n->sought, n->marked, sizeof *n->sought, by_mark);
        for (size_t i = 0; i <= BUCKETS; i++)
                n->bucket[i] = i * n->marked / BUCKETS;
        for (size_t i = 0; i < BUCKETS; i++)
                for (size_t k = n->bucket[i]; k < n->bucket[i + 1]; k++)
                        enter(n, &n->sought[k], (uint8_t)(1u << i));
}

static bool has_wide_steps(void) {
#ifdef __SSE2__
        return __builtin_cpu_supports("avx2");
#else
        return false;
#endif
}

int needles_new(struct needles **ret, const struct needle *list, size_t count) {
        _owned_(needles_free) struct needles *n = calloc(1, sizeof *n);
        if (!n)
                return fail(-ENOMEM);
        n->sought = calloc(count + 1, sizeof *n->sought);
        if (!n->sought)
                return fail(-ENOMEM);
        n->count = count;
        size_t short_at = count;
        for (size_t i = 0; i < count; i++) {
                assert(list[i].text.size);
                bool is_marked = has_wide_steps() && list[i].text.size >= MARK_BYTES;
                struct sought *s = &n->sought[is_marked ? n->marked++ : --short_at];
                search_init(&s->search, list[i].text, list[i].ignores_case);
                s->answer = list[i].answer;
                s->mark = choose_mark(&s->search);
        }
        deal(n);
        *ret = TAKE(n);
        return 0;
}

/* ---- Finding -------------------------------------------------------------- */

#ifdef __SSE2__
static bool is_at(const struct search *s, const char *at) {
        if (!s->ignores_case)
                return memcmp(at, s->needle.data, s->needle.size) == 0;
        return text_equal_nocase((struct text){at, s->needle.size}, s->needle);
}

/* The needles of some buckets whose mark may stand at `place`. */
static uint64_t compare(const struct needles *n, struct text t, size_t place, unsigned buckets, uint64_t found) {
        for (; buckets; buckets &= buckets - 1) {
                unsigned bucket = (unsigned)__builtin_ctz(buckets);
                for (size_t i = n->bucket[bucket]; i < n->bucket[bucket + 1]; i++) {
                        const struct sought *s = &n->sought[i];
                        if ((found & s->answer) == s->answer || place < s->mark ||
                            t.size - (place - s->mark) < s->search.needle.size)
                                continue;
                        if (is_at(&s->search, t.data + place - s->mark))
                                found |= s->answer;
                }
        }
        return found;
}

__attribute__((target("avx2"))) static inline __m256i load(const void *at) {
        return _mm256_loadu_si256((const __m256i *)at);
}

/* Which buckets' marks have such a byte at their k-th place, for each of the bytes. */
__attribute__((target("avx2"))) static inline __m256i buckets_of(const struct needles *n, size_t k, const char *at) {
        const __m256i half = _mm256_set1_epi8(15);
        __m256i bytes = load(at);
        __m256i low = _mm256_shuffle_epi8(load(n->low[k]), _mm256_and_si256(bytes, half));
        __m256i high = _mm256_shuffle_epi8(load(n->high[k]), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half));
        return _mm256_and_si256(low, high);
}

/* The places from `from` on; at + from may be a copy of the text's bytes there. */
__attribute__((target("avx2"))) static uint64_t find_step(const struct needles *n, struct text t, const char *at,
                                                          size_t from, uint64_t found) {
        __m256i may = _mm256_and_si256(_mm256_and_si256(buckets_of(n, 0, at + from), buckets_of(n, 1, at + from + 1)),
                                       buckets_of(n, 2, at + from + 2));
        unsigned places = ~(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(may, _mm256_setzero_si256()));
        if (LIKELY(places == 0))
                return found;
        uint8_t buckets[WIDTH];
        _mm256_storeu_si256((__m256i *)(void *)buckets, may);
        for (; places; places &= places - 1) {
                unsigned i = (unsigned)__builtin_ctz(places);
                found = compare(n, t, from + i, buckets[i], found);
        }
        return found;
}

__attribute__((target("avx2"))) static uint64_t find_marked(const struct needles *n, struct text t) {
        uint64_t found = 0;
        if (t.size < MARK_BYTES)
                return 0;
        size_t places = t.size - MARK_BYTES + 1;
        if (places < WIDTH) {
                char copy[WIDTH + MARK_BYTES - 1] = {0};
                memcpy(copy, t.data, t.size);
                return find_step(n, t, copy, 0, found);
        }
        size_t from = 0;
        for (; from + WIDTH <= places; from += WIDTH)
                found = find_step(n, t, t.data, from, found);
        /* The last places are looked at together with some before them, for the second time. */
        return from < places ? find_step(n, t, t.data, places - WIDTH, found) : found;
}
#else
static uint64_t find_marked(const struct needles *n _unused_, struct text t _unused_) {
        return 0;
}
#endif

uint64_t needles_find(const struct needles *n, struct text t) {
        uint64_t found = n->marked ? find_marked(n, t) : 0;
        for (size_t i = n->marked; i < n->count; i++)
                if ((found & n->sought[i].answer) != n->sought[i].answer && search_finds(&n->sought[i].search, t))
                        found |= n->sought[i].answer;
        return found;
}
