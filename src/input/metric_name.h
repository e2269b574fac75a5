/*
 * Names of metrics, as Prometheus takes them: letters, digits, "_" and ":". A name that holds anything else, or begins
 * with a digit or with "U__", is escaped so that it can be turned back and no two names become one: "U__" stands before
 * it, "_" becomes "__" and any other character its code point, "_2E_".
 */
#pragma once

#include "base/text.h"

/* Appends <origin>_<object>_<counter>_total; an origin or object that is empty is left out. */
void metric_name(struct buffer *out, struct text origin, struct text object, struct text counter);

/* Whether a label may be called so: letters, digits and "_". */
bool label_name_is_valid(struct text name);
