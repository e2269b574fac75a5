#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/search.h"

static inline unsigned char lower(char c) {
        return (c >= 'A' && c <= 'Z') ? (unsigned char)(c + 32) : (unsigned char)c;
}

static bool equal_nocase(const char *a, const char *b, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (lower(a[i]) != lower(b[i]))
                        return false;
        return true;
}

bool text_equal_nocase(struct text a, struct text b) {
        return a.size == b.size && equal_nocase(a.data, b.data, a.size);
}

bool text_starts_nocase(struct text t, struct text head) {
        return t.size >= head.size && equal_nocase(t.data, head.data, head.size);
}

int text_compare(struct text a, struct text b) {
        size_t common = MIN(a.size, b.size);
        int r = common ? memcmp(a.data, b.data, common) : 0;
        if (r)
                return r;
        return (a.size > b.size) - (a.size < b.size);
}

struct text text_trim(struct text t) {
        while (t.size && isspace((unsigned char)t.data[0])) {
                t.data++;
                t.size--;
        }
        while (t.size && isspace((unsigned char)t.data[t.size - 1]))
                t.size--;
        return t;
}

enum { FIND_PART_MAX = 64 /* a longer part could make the comparisons cost more than memmem()'s tables */ };

ptrdiff_t text_find(struct text t, struct text part) {
        if (part.size > FIND_PART_MAX && t.size >= part.size) {
                const char *hit = memmem(t.data, t.size, part.data, part.size);
                return hit ? hit - t.data : -1;
        }
        struct search search;
        search_init_once(&search, part, false);
        return search_find(&search, t);
}

ptrdiff_t text_find_nocase(struct text t, struct text part) {
        struct search search;
        search_init_once(&search, part, true);
        return search_find(&search, t);
}

int text_to_int(struct text t, int64_t *ret) {
        size_t at = 0;
        bool is_negative = false;
        if (t.size && (t.data[0] == '-' || t.data[0] == '+')) {
                is_negative = t.data[0] == '-';
                at = 1;
        }
        if (at == t.size)
                return -EINVAL;
        int64_t number = 0;
        for (; at < t.size; at++) {
                if (t.data[at] < '0' || t.data[at] > '9')
                        return -EINVAL;
                int digit = t.data[at] - '0';
                if (__builtin_mul_overflow(number, 10, &number) || __builtin_sub_overflow(number, digit, &number))
                        return -ERANGE;
        }
        /* Built up negative, because the range reaches one further there. */
        if (!is_negative && number == INT64_MIN)
                return -ERANGE;
        *ret = is_negative ? number : -number;
        return 0;
}

char *text_copy(struct text t) {
        char *copy = malloc(t.size + 1);
        if (!copy)
                return NULL;
        if (t.size)
                memcpy(copy, t.data, t.size);
        copy[t.size] = '\0';
        return copy;
}

enum { DISTANCE_SIZE_MAX = 64 };

unsigned text_distance(struct text a, struct text b) {
        if (a.size > DISTANCE_SIZE_MAX || b.size > DISTANCE_SIZE_MAX)
                return UINT_MAX;
        /* Levenshtein's recurrence with transposed neighbours, three rows at a time. */
        unsigned rows[3][DISTANCE_SIZE_MAX + 1];
        unsigned *before = rows[0], *above = rows[1], *row = rows[2];
        for (size_t j = 0; j <= b.size; j++)
                above[j] = (unsigned)j;
        for (size_t i = 1; i <= a.size; i++) {
                row[0] = (unsigned)i;
                for (size_t j = 1; j <= b.size; j++) {
                        bool is_same = lower(a.data[i - 1]) == lower(b.data[j - 1]);
                        row[j] = MIN(MIN(above[j] + 1, row[j - 1] + 1), above[j - 1] + !is_same);
                        if (i > 1 && j > 1 && lower(a.data[i - 1]) == lower(b.data[j - 2]) &&
                            lower(a.data[i - 2]) == lower(b.data[j - 1]))
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                unsigned *free_row = before;
                before = above;
                above = row;
                row = free_row;
        }
        return above[b.size];
}

const char *text_closest(struct text wrong, const char *const *names, size_t count) {
        /* A third of the letters may be off: more, and the suggestion is a guess. */
        unsigned best = (unsigned)(wrong.size + 2) / 3 + 1;
        const char *found = NULL;
        for (size_t i = 0; i < count; i++) {
                unsigned distance = text_distance(wrong, text_of(names[i]));
                if (distance < best) {
                        best = distance;
                        found = names[i];
                }
        }
        return found;
}

void buffer_fini(struct buffer *b) {
        free(b->data);
        *b = (struct buffer){0};
}

bool buffer_reserve(struct buffer *b, size_t more) {
        if (b->is_failed)
                return false;
        if (b->capacity - b->size >= more)
                return true;
        size_t capacity = MAX(b->capacity * 2, (size_t)128);
        while (capacity - b->size < more)
                capacity *= 2;
        char *grown = realloc(b->data, capacity);
        if (!grown) {
                b->is_failed = true;
                return false;
        }
        b->data = grown;
        b->capacity = capacity;
        return true;
}

void buffer_vformat(struct buffer *b, const char *format, va_list args) {
        va_list again;
        va_copy(again, args);
        int size = vsnprintf(NULL, 0, format, again);
        va_end(again);
        if (size < 0 || !buffer_reserve(b, (size_t)size + 1))
                return;
        vsnprintf(b->data + b->size, (size_t)size + 1, format, args);
        b->size += (size_t)size;
}

void buffer_format(struct buffer *b, const char *format, ...) {
        va_list args;
        va_start(args, format);
        buffer_vformat(b, format, args);
        va_end(args);
}

void buffer_int(struct buffer *b, int64_t number) {
        char digits[24];
        size_t at = sizeof digits;
        uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
        do
                digits[--at] = (char)('0' + rest % 10);
        while (rest /= 10);
        if (number < 0)
                digits[--at] = '-';
        buffer_append(b, digits + at, sizeof digits - at);
}

const char *buffer_string(struct buffer *b) {
        if (!buffer_reserve(b, 1))
                return NULL;
        b->data[b->size] = '\0';
        return b->data;
}

bool text_is_utf8(struct text t) {
        const unsigned char *p = (const unsigned char *)t.data, *end = p + t.size;
        while (p < end) {
                if (*p < 0x80) {
                        p++;
                        continue;
                }
                unsigned more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
                uint32_t code = *p & (0x3fu >> more);
                if (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) <= more)
                        return false;
                for (unsigned i = 1; i <= more; i++) {
                        if ((p[i] & 0xc0) != 0x80)
                                return false;
                        code = code << 6 | (p[i] & 0x3f);
                }
                static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
                if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
                        return false;
                p += more + 1;
        }
        return true;
}
