/*
 * Filters: conditions as closures over selections. Each narrows the records it is
 * given to those that pass and those that do not, in their order; `and` hands on
 * what passed, `or` what did not, so that a record costs only the tests it needs.
 */
#pragma once

#include "ruleset/expression.h"

struct filter;

/* The condition of `if`. -EINVAL (in the diagnostics), -ENOMEM. */
int filter_new(struct filter **ret, const struct expr *condition, const struct expression_names *names,
               struct diagnostics *diagnostics);
/* A selector line: facility and severity by mask. */
int filter_new_selector(struct filter **ret, const uint8_t priorities[FACILITIES + 1]);
/* A property filter. */
int filter_new_property(struct filter **ret, const struct statement *statement, struct diagnostics *diagnostics);
struct filter *filter_free(struct filter *f);
OWNED_POINTER(struct filter, filter_free);

/* Appends what it was compiled to, on one line; `statement` is what it was made for. */
void filter_print(struct buffer *out, const struct filter *f, const struct statement *statement);

/* Enters what the filter asks of single properties. After traits_finish() filter_settle() decides for each question
 * whether it is answered together with others. -ENOMEM. */
int filter_enter(struct filter *f, struct traits *t);
void filter_settle(struct filter *f, const struct traits *t);

/*
 * Splits selection into yes and no. `yes` and `no` have room for `count` and may
 * not overlap the selection; no may be NULL. Returns the number of yes; that of no is
 * the rest.
 */
size_t filter_narrow(const struct filter *f, struct evaluation *ev, struct batch *b, const uint16_t *selection,
                     size_t count, uint16_t *yes, uint16_t *no);
