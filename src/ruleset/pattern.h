/*
 * Patterns: POSIX regular expressions that answer yes or no, fast.
 *
 * The C library decides what is a regular expression. Where the same question can
 * be put to PCRE2 (literals, classes, anchors, groups, alternatives, repetitions:
 * nearly every pattern there is), its compiled code answers, at a tenth of the cost;
 * a pattern that is but a text is searched as one. Back references, GNU's \w and
 * whatever PCRE2 gives up on are left to the C library. Where a submatch is wanted,
 * which of several matches is "the" match differs between the two, so
 * pattern_extract() always asks the C library.
 */
#pragma once

#include <regex.h>

#include "base/search.h"

struct pattern;

/* What a thread needs to match: one each. Zeroed is right to begin with. */
struct pattern_room {
        void *match;
};
void pattern_room_fini(struct pattern_room *room);

enum pattern_how {
        PATTERN_EXTENDED = 1 << 0, /* POSIX extended; else basic */
        PATTERN_NOCASE = 1 << 1,
        PATTERN_PERL = 1 << 2, /* PCRE2's own language, for pcre_match() */
};

enum { PATTERN_MATCH_LIMIT = 200000 /* steps of PCRE2 after which the C library, which never explodes, takes over */ };

/* -EINVAL: no regular expression, *why (if not NULL) tells; -ENOMEM. */
int pattern_new(struct pattern **ret, struct text source, unsigned how, struct buffer *why);
struct pattern *pattern_free(struct pattern *p);
OWNED_POINTER(struct pattern, pattern_free);

bool pattern_matches(const struct pattern *p, struct pattern_room *room, struct text t);
/* Every matching text holds one of these; NULL and 0 where nothing is known. Lent. */
const struct search *pattern_needles(const struct pattern *p, size_t *count);
/* Whether t matches, when it is known to hold one of the needles. */
bool pattern_confirms(const struct pattern *p, struct pattern_room *room, struct text t);
/* The first match with its submatches, as regexec() tells it. Not for PATTERN_PERL. */
bool pattern_extract(const struct pattern *p, struct text t, regmatch_t *matches, size_t count);

/* Which of them answers, for tests. */
enum pattern_engine { PATTERN_BY_SEARCH, PATTERN_BY_PCRE2, PATTERN_BY_LIBC };
enum pattern_engine pattern_engine(const struct pattern *p);
