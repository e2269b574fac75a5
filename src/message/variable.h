/*
 * Variables: $!a!b and $.a!b in a record's trees, $/a in the process's globals.
 */
#pragma once

#include "base/json.h"
#include "message/batch.h"

/* $/ variables of one configuration; any thread. */
struct globals;
int globals_new(struct globals **ret);
struct globals *globals_free(struct globals *g);
OWNED_POINTER(struct globals, globals_free);

/* The value at a path ("usr!name", array items as "list[2]"; "" is the whole tree), or NULL. Record trees only ('!' and
 * '.'). */
struct json *variable_get(struct record *r, char scope, struct text path, bool is_case_sensitive);
/* Creates what is missing on the way. An object is merged when set, replaced when reset. The value is taken (it lies in
 * b's arena). -ENOMEM, -EINVAL. */
int variable_set(struct batch *b, struct record *r, char scope, struct text path, struct json *value, bool resets);
void variable_unset(struct record *r, char scope, struct text path);

/* The same for $/; the result is copied into the arena, since another thread may change the original at once. */
struct json *globals_get(struct globals *g, struct text path, struct arena *a);
int globals_set(struct globals *g, struct text path, const struct json *value, bool resets);
void globals_unset(struct globals *g, struct text path);

/* A value as a string, the way rsyslog turns it into one: numbers in decimal, objects as JSON; appended to out. */
void variable_text(struct buffer *out, const struct json *value);
