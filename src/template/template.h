/*
 * Templates, compiled: a flat list of steps that append to a buffer. The built-in
 * ones are compiled from the same text that a user could write.
 */
#pragma once

#include "base/json.h"
#include "language/tree.h"
#include "message/property.h"

struct template;
struct diagnostics;

/* Compiles a definition. Mistakes go to the diagnostics; -EINVAL when it cannot be used. */
int template_new(struct template **ret, const struct template_def *def, struct diagnostics *diagnostics);
struct template *template_free(struct template *t);
OWNED_POINTER(struct template, template_free);

const char *template_name(const struct template *t);
/* Renders a record alike until its fields change: shows no variable and no clock. */
bool template_is_lasting(const struct template *t);

/* The built-in of that name as a definition ("RSYSLOG_FileFormat" ...), or NULL. */
const struct template_def *template_builtin(struct text name);
const char *const *template_builtin_names(void); /* NULL-ended */
/* Of those that rsyslog renders in code of its own: there a space stands also before an empty message. */
bool template_fills_empty(const struct template_def *def);

/*
 * Appends the rendered record to out.
 *
 * `escapes_path` is for file names (dynafiles). What a sender wrote then never
 * chooses a directory:
 *
 *  - "/" in a value becomes "_". It stays in $!, $. and $/ variables, which the
 *    configuration makes, and in %programname% where the configuration permits
 *    slashes there.
 *  - A component "." or ".." that is not wholly the template's own text becomes "_"
 *    or "_.", however it came about ("%hostname%." with the host ".").
 *  - NUL becomes "_".
 *
 * So nothing leads out of the directories that begin the template. All other values
 * are rsyslog's, empty ones included.
 */
void template_render(const struct template *t, struct property_context *context, struct batch *b, struct record *r,
                     bool escapes_path, struct buffer *out);

/* The record as a JSON value, for outputs that want fields (subtree and list templates with outnames); NULL without
 * memory. */
struct json *template_json(const struct template *t, struct property_context *context, struct batch *b,
                           struct record *r, struct arena *a);
