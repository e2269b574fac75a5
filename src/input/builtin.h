/*
 * The inputs of this machine: local sockets, the journal, the kernel, and the clock.
 */
#pragma once

#include "module/module.h"

extern const struct module imjournal_module;
extern const struct module imuxsock_module;
extern const struct module imklog_module;
extern const struct module imkmsg_module;
extern const struct module immark_module;
extern const struct module impstats_module;
