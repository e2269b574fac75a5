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
        SLOTS = 256,
        CASE_BITS = 0x202020,
};

struct sought {
        struct search search;
        uint64_t answer;
        size_t mark;         /* where in the needle it begins */
        uint32_t mark_bytes; /* the first byte lowest */
        uint32_t mark_fold;  /* bits to be set in a text's bytes first, where the needle ignores case */
        uint32_t next;       /* needle whose mark has the same hash, + 1; 0: none */
};

struct needles {
        struct sought *sought; /* those with a mark first */
        size_t count;
        size_t marked;               /* how many have a mark, and are found by it */
        uint64_t all_marked;         /* their answers: when all are found the rest of a text says nothing new */
        uint32_t slot[SLOTS];        /* by a mark's hash: a needle, + 1; 0: none */
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

/* A bucket is a bit of the tables. Marks that begin alike share one, so that it holds in few places. */
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

/* Without regard to case, so that all ways to write a mark are found in one place. */
static inline unsigned hash_of(uint32_t mark) {
        return ((mark | CASE_BITS) * 0x9e3779b1u) >> 24;
}

static void enter_mark(struct needles *n, struct sought *s) {
        for (size_t k = 0; k < MARK_BYTES; k++) {
                char c = s->search.needle.data[s->mark + k];
                bool is_folded = s->search.ignores_case && is_letter(c);
                s->mark_fold |= is_folded ? 32u << 8 * k : 0;
                s->mark_bytes |= (uint32_t)(unsigned char)c << 8 * k;
        }
        s->mark_bytes |= s->mark_fold;
        uint32_t *slot = &n->slot[hash_of(s->mark_bytes)];
        s->next = *slot;
        *slot = (uint32_t)(s - n->sought + 1);
}

static void deal(struct needles *n) {
        qsort(n->sought, n->marked, sizeof *n->sought, by_mark);
        for (size_t i = 0; i < n->marked; i++) {
                enter(n, &n->sought[i], (uint8_t)(1u << i * BUCKETS / n->marked));
                enter_mark(n, &n->sought[i]);
                n->all_marked |= n->sought[i].answer;
        }
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

int needles_new_any(struct needles **ret, const struct search *searches, size_t count) {
        *ret = NULL;
        if (count < NEEDLES_TOGETHER_MIN)
                return 0;
        _owned_(memory_free) struct needle *list = calloc(count, sizeof *list);
        if (!list)
                return fail(-ENOMEM);
        for (size_t i = 0; i < count; i++) {
                if (searches[i].needle.size == 0)
                        return 0;
                list[i] = (struct needle){searches[i].needle, 1, searches[i].ignores_case};
        }
        int r = needles_new(ret, list, count);
        return r ? pass(r) : 0;
}

/* ---- Finding -------------------------------------------------------------- */

#ifdef __SSE2__
static inline uint32_t mark_at(const char *at) {
        uint16_t two;
        memcpy(&two, at, sizeof two);
        return two | (uint32_t)(unsigned char)at[2] << 16;
}

/* The needles whose mark stands at `place`. */
static inline uint64_t compare(const struct needles *n, struct text t, size_t place, uint64_t found) {
        uint32_t mark = mark_at(t.data + place);
        for (unsigned i = n->slot[hash_of(mark)]; i; i = n->sought[i - 1].next) {
                const struct sought *s = &n->sought[i - 1];
                if ((mark | s->mark_fold) != s->mark_bytes || place < s->mark ||
                    t.size - (place - s->mark) < s->search.needle.size)
                        continue;
                if (search_is_at(&s->search, t.data + place - s->mark))
                        found |= s->answer;
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

/* The places from `at` on where a mark may stand, as bits. */
__attribute__((target("avx2"))) static inline uint64_t look(const struct needles *n, const char *at) {
        __m256i may = _mm256_and_si256(_mm256_and_si256(buckets_of(n, 0, at), buckets_of(n, 1, at + 1)),
                                       buckets_of(n, 2, at + 2));
        return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(may, _mm256_setzero_si256())) & UINT32_MAX;
}

static inline uint64_t compare_all(const struct needles *n, struct text t, size_t from, uint64_t places,
                                   uint64_t found) {
        for (; places; places &= places - 1)
                found = compare(n, t, from + (unsigned)__builtin_ctzll(places), found);
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
                return compare_all(n, t, 0, look(n, copy) & ((UINT64_C(1) << places) - 1), found);
        }
        size_t from = 0;
        /* Two steps are gone through together: how many places each has is what a processor foresees badly. */
        for (; from + 2 * WIDTH <= places && found != n->all_marked; from += 2 * WIDTH)
                found = compare_all(n, t, from, look(n, t.data + from) | look(n, t.data + from + WIDTH) << WIDTH,
                                    found);
        if (from == places || found == n->all_marked)
                return found;
        /* What is left is one step or two; those at the end are looked at together with some before them. */
        size_t last = places - WIDTH;
        uint64_t rest = look(n, t.data + last);
        if (from < last)
                rest = rest << (last - from) | look(n, t.data + from);
        return compare_all(n, t, MIN(from, last), rest, found);
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
