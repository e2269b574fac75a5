/*
 * A container: the variable that a module puts what it found into, as its
 * configuration names it: "$!", "!usr!name", "$.local", "$/global".
 */
#pragma once

#include "message/property.h"

struct container {
        char scope;       /* '!' '.' '/' */
        struct text path; /* points into what was given to container_parse() */
};

/* A name with or without its $; -EINVAL where it is no variable. */
int container_parse(struct container *ret, struct text name);

/* Whether a name is that of a $/ variable, which other records see. */
bool container_is_global(const char *name);

/*
 * Adds a value the way rsyslog's modules do: what is missing on the way is made, members replace those of their name,
 * and where the container is there already, an object joins the members of the whole tree instead. The value is taken
 * (it lies in b's arena); $/ gets a copy. -EINVAL, and nothing done, where a scalar is in the way. -ENOMEM.
 */
int container_add(const struct container *c, const struct property_context *context, struct batch *b, struct record *r,
                  struct json *value);
/* The same, but an object joins what the container itself holds. */
int container_merge(const struct container *c, const struct property_context *context, struct batch *b,
                    struct record *r, struct json *value);
/* What is there, or NULL; of $/ a copy in b's arena. */
struct json *container_get(const struct container *c, const struct property_context *context, struct batch *b,
                           struct record *r);
