#include "ruleset/search.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* From the commonest byte in log files to the rarer ones; what is missing is rarest. */
static unsigned rarity(char c) {
        static const char common[] = " etoniasr10dlc2u3m45p.h678g9fby-=:\"/vwk_,[]()qxjz";
        const char *at = c ? strchr(common, c) : NULL;
        return at ? (unsigned)(at - common) : sizeof common;
}

static char lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

void search_init(struct search *s, struct text needle, bool ignores_case) {
        *s = (struct search){.needle = needle, .ignores_case = ignores_case};
        for (size_t i = 1; i < needle.size; i++) {
                char c = needle.data[i], best = needle.data[s->first];
                if (rarity(ignores_case ? lower(c) : c) > rarity(ignores_case ? lower(best) : best))
                        s->first = i;
        }
        s->second = s->first ? 0 : needle.size - (needle.size > 0);
        for (size_t i = 0; i < needle.size; i++) {
                char c = needle.data[i], best = needle.data[s->second];
                if (i != s->first && rarity(ignores_case ? lower(c) : c) > rarity(ignores_case ? lower(best) : best))
                        s->second = i;
        }
}

static bool is_at(const struct search *s, const char *at) {
        if (!s->ignores_case)
                return memcmp(at, s->needle.data, s->needle.size) == 0;
        return text_equal_nocase((struct text){at, s->needle.size}, s->needle);
}

/* Places from `from` on, one by one. */
static bool finds_slowly(const struct search *s, struct text t, size_t from) {
        size_t last = t.size - s->needle.size;
        char wanted = s->needle.data[s->first], other = wanted;
        if (s->ignores_case && lower(wanted) >= 'a' && lower(wanted) <= 'z')
                other = (char)(wanted ^ 32);
        for (size_t i = from; i <= last; i++) {
                char c = t.data[i + s->first];
                if ((c == wanted || c == other) && is_at(s, t.data + i))
                        return true;
        }
        return false;
}

#ifdef __SSE2__
/* A letter in lower case equals only itself and its capital, once bit 5 is set. */
static char case_bit(const struct search *s, char c) {
        return s->ignores_case && lower(c) >= 'a' && lower(c) <= 'z' ? 32 : 0;
}

bool search_finds(const struct search *s, struct text t) {
        enum { WIDTH = 16 };
        if (t.size < s->needle.size)
                return false;
        if (s->needle.size == 0)
                return true;
        size_t places = t.size - s->needle.size + 1, i = 0;
        char a = s->needle.data[s->first], b = s->needle.data[s->second];
        const __m128i a_bit = _mm_set1_epi8(case_bit(s, a)), b_bit = _mm_set1_epi8(case_bit(s, b));
        const __m128i a_all = _mm_or_si128(_mm_set1_epi8(a), a_bit), b_all = _mm_or_si128(_mm_set1_epi8(b), b_bit);
        for (; i + WIDTH <= places; i += WIDTH) {
                __m128i at_a = _mm_loadu_si128((const __m128i *)(const void *)(t.data + i + s->first));
                __m128i at_b = _mm_loadu_si128((const __m128i *)(const void *)(t.data + i + s->second));
                __m128i both = _mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(at_a, a_bit), a_all),
                                             _mm_cmpeq_epi8(_mm_or_si128(at_b, b_bit), b_all));
                for (unsigned found = (unsigned)_mm_movemask_epi8(both); found; found &= found - 1)
                        if (is_at(s, t.data + i + (unsigned)__builtin_ctz(found)))
                                return true;
        }
        return i < places && finds_slowly(s, t, i);
}
#else
bool search_finds(const struct search *s, struct text t) {
        if (t.size < s->needle.size)
                return false;
        return s->needle.size == 0 || finds_slowly(s, t, 0);
}
#endif
