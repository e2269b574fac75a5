#include "base/lines.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

enum { BLOCK_BYTES = 64 };

/* The lines that were found, and whether the one that has not ended yet is plain. */
struct finding {
        struct line_end *ends;
        unsigned count;
        bool is_plain;
};

/*
 * What 64 bytes from `at` on have, as bits: line feeds, and bytes that are not plain, line feeds included. The lowest
 * bit is the first byte.
 */
static inline void take_block(struct finding *f, size_t at, uint64_t line_feeds, uint64_t special) {
        special &= ~line_feeds;
        for (; line_feeds; line_feeds &= line_feeds - 1) {
                uint64_t before = (line_feeds & -line_feeds) - 1;
                f->ends[f->count++] = (struct line_end){
                        .at = (uint32_t)(at + (unsigned)__builtin_ctzll(line_feeds)) & INT32_MAX,
                        .is_plain = f->is_plain && !(special & before),
                };
                special &= ~before;
                f->is_plain = true;
        }
        f->is_plain &= special == 0;
}

static inline bool has_room(const struct finding *f) {
        return f->count + BLOCK_BYTES <= LINES_MAX;
}

/* The last bytes, fewer than a block. */
static void take_rest(struct finding *f, const char *data, size_t at, size_t size) {
        uint64_t line_feeds = 0, special = 0;
        for (size_t i = 0; at + i < size; i++) {
                unsigned char c = (unsigned char)data[at + i];
                line_feeds |= (uint64_t)(c == '\n') << i;
                special |= (uint64_t)(c < 32 || c > 127) << i;
        }
        take_block(f, at, line_feeds, special);
}

#ifdef __SSE2__
/* As signed numbers, what is below 32 is a control character or has the eighth bit. */
__attribute__((target("avx2"))) static size_t take_wide_blocks(struct finding *f, const char *data, size_t size) {
        const __m256i line_feed = _mm256_set1_epi8('\n'), blank = _mm256_set1_epi8(' ');
        size_t at = 0;
        for (; size - at >= BLOCK_BYTES && has_room(f); at += BLOCK_BYTES) {
                __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(data + at));
                __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(data + at + 32));
                uint64_t special = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(blank, low)) |
                                   (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(blank, high)) << 32;
                if (!special)
                        continue;
                uint64_t line_feeds = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(line_feed, low)) |
                                      (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(line_feed, high))
                                              << 32;
                take_block(f, at, line_feeds, special);
        }
        return at;
}

static inline uint64_t mask_of(__m128i matches, unsigned place) {
        return (uint64_t)(unsigned)_mm_movemask_epi8(matches) << place;
}

static size_t take_blocks(struct finding *f, const char *data, size_t size) {
        if (__builtin_cpu_supports("avx2"))
                return take_wide_blocks(f, data, size);
        const __m128i line_feed = _mm_set1_epi8('\n'), blank = _mm_set1_epi8(' ');
        size_t at = 0;
        for (; size - at >= BLOCK_BYTES && has_room(f); at += BLOCK_BYTES) {
                uint64_t line_feeds = 0, special = 0;
                for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
                        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(data + at + i));
                        line_feeds |= mask_of(_mm_cmpeq_epi8(bytes, line_feed), i);
                        special |= mask_of(_mm_cmplt_epi8(bytes, blank), i);
                }
                take_block(f, at, line_feeds, special);
        }
        return at;
}
#else
static size_t take_blocks(struct finding *f, const char *data, size_t size) {
        size_t at = 0;
        for (; size - at >= BLOCK_BYTES && has_room(f); at += BLOCK_BYTES)
                take_rest(f, data, at, at + BLOCK_BYTES);
        return at;
}
#endif

unsigned lines_find(struct line_end *ends, const char *data, size_t size) {
        struct finding f = {.ends = ends, .is_plain = true};
        size = MIN(size, (size_t)LINE_BYTES_MAX);
        size_t at = take_blocks(&f, data, size);
        if (has_room(&f))
                take_rest(&f, data, at, size);
        return f.count;
}
