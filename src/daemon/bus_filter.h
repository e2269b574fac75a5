/*
 * A filter that somebody typed: any expression that may stand behind `if`. It has
 * an evaluation of its own; one thread at a time.
 */
#pragma once

#include "daemon/pipeline.h"

struct typed_filter;

/* `text` NULL or empty: everything passes. What is wrong is appended to `mistake`; -EINVAL, -ENOMEM. */
int typed_filter_new(struct typed_filter **ret, struct pipeline *p, struct registry *registry, const char *text,
                     struct buffer *mistake);
struct typed_filter *typed_filter_free(struct typed_filter *f);
OWNED_POINTER(struct typed_filter, typed_filter_free);

/* Those of the selection that pass, to `passed`, which has room for `count`. Returns how many. */
size_t typed_filter_narrow(struct typed_filter *f, struct batch *b, const uint16_t *selection, size_t count,
                           uint16_t *passed);
/* For properties of what passed. */
struct property_context *typed_filter_context(struct typed_filter *f);
