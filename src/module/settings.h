/*
 * Settings: a struct filled through a parameter table. The one place where text
 * from a configuration becomes a typed value, whatever the dialect.
 */
#pragma once

#include "base/text.h"
#include "module/module.h"

/* A value as the configuration gave it: one text or an array of them. */
struct param_value {
        const struct text *items;
        size_t count;
        bool is_array;
};

/* On the heap, defaults filled in; NULL without memory. Asserts that every default is valid. */
void *settings_new(const struct settings_type *type);
void *settings_free(const struct settings_type *type, void *settings);

/* The parameter called `name` (names and aliases, any case); NULL. */
const struct param *param_find(const struct param *params, struct text name);
/* Whether the blank-separated list holds the word, in any case. */
bool param_list_has(const char *list, struct text word);
/* The closest name for "did you mean"; NULL. */
const char *param_closest(const struct param *params, struct text name);

/*
 * Sets one parameter. 0; -EINVAL with *complaint (appended) saying in words what
 * was wrong and what would be right; -ENOMEM.
 */
int settings_set(void *settings, const struct param *param, const struct param_value *value, struct buffer *complaint);
/* Back to the default of the table. -ENOMEM. */
int settings_reset(void *settings, const struct param *param);
/* Copies every PARAM_INHERITS parameter that `is_set[i]` (by table index) does not name from the module's settings. */
int settings_inherit(void *settings, const struct param *params, const bool *is_set, const void *module_settings,
                     const struct param *module_params);

/* The value in configuration syntax (secrets masked as "*****"), appended to out. */
void settings_print(struct buffer *out, const void *settings, const struct param *param);

/*
 * All parameters in one text: settings of one type that say the same have the same
 * text. False where they hold a secret, which is not shown and so not comparable.
 */
bool settings_summary(struct buffer *out, const struct settings_type *type, const void *settings);

/* "0 or more", "1 to 65535", "one of a, b, c": what a parameter takes, in words. */
void param_describe(struct buffer *out, const struct param *param);

/* Facility (0 to 23) or severity (0 to 7) by name or number, any case; -1. */
int facility_by_name(struct text name);
int severity_by_name(struct text name);
const char *facility_name(unsigned facility); /* "kern" ... "local7", 24 "invld" */
const char *severity_name(unsigned severity); /* "emerg" ... "debug" */

/* Entries of the module's table of counters. */
size_t module_counter_count(const struct module *module);
