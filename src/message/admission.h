/*
 * Admission by name: a sender whose address no rule decides may send if its name is
 * one of these. Asked by the consumer, before any of a message's content is read; an
 * input only marks the source, and never waits.
 *
 *   SOURCE_AWAITED -> SOURCE_ADMITTED, SOURCE_REFUSED    source_judge()
 *
 * Shared by reference count between an input and the sources it made, immutable.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/text.h"

enum { ADMISSION_NAMES_MAX = 4096 };

struct admission {
        atomic_uint references;
        char **names; /* "host.example.net", "*.example.net": everything below, "log-?.*": wildcards; any case */
        size_t count;
        char *input_name;
        uint64_t mark;             /* of all patterns, in their order: lists of the same patterns have the same */
        struct admission *next;    /* of the process */
        _Atomic uint64_t refused;  /* messages */
        _Atomic uint64_t given_up; /* messages whose sender's name was not known in time */
};

/* -ENOMEM. */
int admission_new(struct admission **ret, const char *input_name);
struct admission *admission_ref(struct admission *a);
struct admission *admission_unref(struct admission *a);
OWNED_POINTER(struct admission, admission_unref);
/* Adds a pattern. -EINVAL: no host name; -E2BIG beyond ADMISSION_NAMES_MAX; -ENOMEM. */
int admission_add(struct admission *a, struct text pattern);
/* Whether there is any in this process: only then is there something to screen. */
bool admission_is_used(void);
/*
 * The list that a message came under which an earlier run, or this one, has written to disk: the one with the same
 * patterns, or where there is none any more another of that input. NULL: names decide nothing there now. The caller's
 * reference.
 */
struct admission *admission_find(struct text input_name, uint64_t mark);
bool admission_has(const struct admission *a, struct text name);
