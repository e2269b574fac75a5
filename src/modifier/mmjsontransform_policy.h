/*
 * What mmjsontransform's policy= names: a YAML file that says what becomes of an object before its keys are
 * transformed.
 *
 *   version: 1
 *   mode: unflatten            # instead of the action's
 *   map:
 *     drop: [debug]            # first
 *     rename: {usr: user.name} # then, in the order of the file
 *
 * A path is a key with dots, or keys of objects within objects, or both. A renamed value stands under its new path as
 * one key, which unflatten takes apart. An object that nothing is left in goes as well.
 */
#pragma once

#include "base/json.h"
#include "module/module.h"

enum {
        TRANSFORM_POLICY_BYTES_MAX = 1 << 20,
        TRANSFORM_PATHS_MAX = 10000, /* of one list */
        TRANSFORM_PATH_BYTES_MAX = 1024,
};

enum transform_mode { MODE_UNFLATTEN, MODE_FLATTEN, MODE_OF_ACTION };

struct transform_policy;

/* Mistakes are reported, each with its place. -EBADMSG; -ENOMEM. */
int transform_policy_parse(struct transform_policy **ret, const char *file, struct text text, struct module_log *log);
/* The same of a file; why it cannot be read is reported: -errno. */
int transform_policy_read(struct transform_policy **ret, const char *file, struct module_log *log);
struct transform_policy *transform_policy_free(struct transform_policy *p);
OWNED_POINTER(struct transform_policy, transform_policy_free);

enum transform_mode transform_policy_mode(const struct transform_policy *p);
/* -EEXIST and *where: a new path is taken. -ENOMEM. */
int transform_policy_apply(const struct transform_policy *p, struct arena *a, struct json *object, struct text *where);
