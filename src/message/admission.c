#include "message/admission.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"

#define FNV_BEGIN UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static atomic_uint admissions;
/* All of them, for admission_find(). */
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static struct admission *known;

bool admission_is_used(void) {
        return atomic_load_explicit(&admissions, memory_order_relaxed) != 0;
}

int admission_new(struct admission **ret, const char *input_name) {
        _owned_(admission_unref) struct admission *a = calloc(1, sizeof *a);
        if (!a)
                return fail(-ENOMEM);
        atomic_init(&a->references, 1);
        atomic_fetch_add_explicit(&admissions, 1, memory_order_relaxed);
        a->input_name = text_copy(text_of(input_name));
        if (!a->input_name)
                return fail(-ENOMEM);
        a->mark = FNV_BEGIN;
        pthread_mutex_lock(&known_lock);
        a->next = known;
        known = a;
        pthread_mutex_unlock(&known_lock);
        *ret = TAKE(a);
        return 0;
}

struct admission *admission_ref(struct admission *a) {
        atomic_fetch_add_explicit(&a->references, 1, memory_order_relaxed);
        return a;
}

static void forget(const struct admission *a) {
        pthread_mutex_lock(&known_lock);
        struct admission **at = &known;
        while (*at && *at != a)
                at = &(*at)->next;
        if (*at)
                *at = a->next;
        pthread_mutex_unlock(&known_lock);
}

/* A reference unless its last one has just gone. */
static bool take_hold(struct admission *a) {
        unsigned references = atomic_load_explicit(&a->references, memory_order_relaxed);
        while (references)
                if (atomic_compare_exchange_weak_explicit(&a->references, &references, references + 1,
                                                          memory_order_relaxed, memory_order_relaxed))
                        return true;
        return false;
}

struct admission *admission_find(struct text input_name, uint64_t mark) {
        struct admission *best = NULL;
        pthread_mutex_lock(&known_lock);
        for (struct admission *a = known; a && !(best && best->mark == mark); a = a->next)
                if (text_equal(text_of(a->input_name), input_name) && (!best || a->mark == mark))
                        best = a;
        if (best && !take_hold(best))
                best = NULL;
        pthread_mutex_unlock(&known_lock);
        return best;
}

struct admission *admission_unref(struct admission *a) {
        if (!a || atomic_fetch_sub_explicit(&a->references, 1, memory_order_acq_rel) > 1)
                return NULL;
        forget(a);
        for (size_t i = 0; i < a->count; i++)
                free(a->names[i]);
        atomic_fetch_sub_explicit(&admissions, 1, memory_order_relaxed);
        free(a->names);
        free(a->input_name);
        free(a);
        return NULL;
}

static bool is_host_byte(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_';
}

/* What only wildcards make up would welcome everybody: that is no list. */
static bool is_pattern(struct text t) {
        if (t.size == 0 || t.data[0] == '.' || t.data[0] == '-')
                return false;
        bool names_something = false;
        for (size_t i = 0; i < t.size; i++) {
                char c = t.data[i];
                bool is_wild = c == '*' || c == '?';
                if ((!is_wild && !is_host_byte(c)) || (c == '.' && i + 1 < t.size && t.data[i + 1] == '.'))
                        return false;
                names_something = names_something || (!is_wild && c != '.' && c != '-');
        }
        return names_something;
}

int admission_add(struct admission *a, struct text pattern) {
        if (!is_pattern(pattern))
                return fail(-EINVAL);
        if (a->count == ADMISSION_NAMES_MAX)
                return fail(-E2BIG);
        char **grown = realloc(a->names, (a->count + 1) * sizeof *grown);
        if (!grown)
                return fail(-ENOMEM);
        a->names = grown;
        if (!(a->names[a->count] = text_copy(pattern)))
                return fail(-ENOMEM);
        a->count++;
        for (size_t i = 0; i <= pattern.size; i++) /* with an end, so that "a", "bc" is not "ab", "c" */
                a->mark = (a->mark ^ (i < pattern.size ? (unsigned char)tolower((unsigned char)pattern.data[i]) : 0u)) *
                          FNV_PRIME;
        return 0;
}

static bool is_same_byte(char pattern, char name) {
        return pattern == '?' || tolower((unsigned char)pattern) == tolower((unsigned char)name);
}

/* `*` stands for any bytes, `?` for one. The last star takes one more whenever what follows it does not fit. */
static bool is_match(struct text pattern, struct text name) {
        size_t at = 0, star = SIZE_MAX, taken = 0;
        for (size_t i = 0; i < name.size;) {
                if (at < pattern.size && pattern.data[at] == '*') {
                        star = at++;
                        taken = i;
                } else if (at < pattern.size && is_same_byte(pattern.data[at], name.data[i])) {
                        at++;
                        i++;
                } else if (star != SIZE_MAX) {
                        at = star + 1;
                        i = ++taken;
                } else
                        return false;
        }
        while (at < pattern.size && pattern.data[at] == '*')
                at++;
        return at == pattern.size;
}

bool admission_has(const struct admission *a, struct text name) {
        if (name.size == 0 || name.data[0] == '.') /* "*.example.net" wants a label before the dot */
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (is_match(text_of(a->names[i]), name))
                        return true;
        return false;
}
