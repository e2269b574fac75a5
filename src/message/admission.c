#include "message/admission.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

static atomic_uint admissions;

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
        *ret = TAKE(a);
        return 0;
}

struct admission *admission_ref(struct admission *a) {
        atomic_fetch_add_explicit(&a->references, 1, memory_order_relaxed);
        return a;
}

struct admission *admission_unref(struct admission *a) {
        if (!a || atomic_fetch_sub_explicit(&a->references, 1, memory_order_acq_rel) > 1)
                return NULL;
        for (size_t i = 0; i < a->count; i++)
                free(a->names[i]);
        atomic_fetch_sub_explicit(&admissions, 1, memory_order_relaxed);
        free(a->names);
        free(a->input_name);
        free(a);
        return NULL;
}

static bool is_pattern(struct text t) {
        if (text_starts(t, TEXT("*.")))
                t = text_slice(t, 2, t.size);
        if (t.size == 0 || t.data[0] == '.' || t.data[0] == '-')
                return false;
        for (size_t i = 0; i < t.size; i++) {
                char c = t.data[i];
                bool is_host_byte = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                    c == '-' || c == '.' || c == '_';
                if (!is_host_byte || (c == '.' && i + 1 < t.size && t.data[i + 1] == '.'))
                        return false;
        }
        return true;
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
        return 0;
}

bool admission_has(const struct admission *a, struct text name) {
        for (size_t i = 0; i < a->count; i++) {
                struct text pattern = text_of(a->names[i]);
                if (text_equal_nocase(pattern, name))
                        return true;
                /* "*.example.net": at least one label before the dot. */
                if (pattern.data[0] != '*' || name.size < pattern.size)
                        continue;
                struct text tail = text_slice(name, name.size - (pattern.size - 1), name.size);
                if (text_equal_nocase(text_slice(pattern, 1, pattern.size), tail))
                        return true;
        }
        return false;
}
