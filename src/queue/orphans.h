/*
 * Backlogs that nobody works on: a queue was renamed or taken out of the configuration, and what waited in it lies in
 * its store still.
 */
#pragma once

#include "base/reporter.h"

enum { ORPHANS_TOLD_MAX = 16 }; /* stores that are named */

/* Reports each store of the directory that no process has open and in which messages wait. Changes nothing. */
void orphans_report(const char *directory, struct reporter *reporter);
