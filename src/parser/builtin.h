/*
 * The parsers that every chain begins with, unless a ruleset names others.
 * Chains know them as "rsyslog.rfc5424" and "rsyslog.rfc3164".
 */
#pragma once

#include "module/module.h"

extern const struct module pmrfc5424_module;
extern const struct module pmrfc3164_module;
