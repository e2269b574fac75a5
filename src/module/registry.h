/*
 * The modules there are: those built in, those in the module path, and those
 * that a configuration names by file. A registry belongs to one configuration
 * load; what it opened stays open while modules are in use.
 */
#pragma once

#include "base/reporter.h"
#include "base/text.h"
#include "module/module.h"

struct registry;

/* Directories of modules that are loaded by name, separated by colons; "": none. -ENOMEM. */
int registry_new(struct registry **ret, const char *module_path);
/* Where they are when nobody says: RSYSLOG_MODDIR of the environment, or where the modules were installed. */
const char *registry_default_path(void);
/* Where the modules were installed. */
const char *registry_installed_path(void);
struct registry *registry_free(struct registry *registry);
OWNED_POINTER(struct registry, registry_free);

/*
 * Finds a module by what module(load=...) may say: "imtcp", "builtin:omfile",
 * "imtcp.so", "../plugins/imtcp/.libs/imtcp", "/usr/lib/x/mine.so". -ENOENT with
 * *complaint (appended) naming the paths tried and the closest known name;
 * -ENOEXEC for a file that is no module of this ABI.
 */
int registry_find(struct registry *registry, struct text name, const struct module **ret, struct buffer *complaint);

/* All built-in modules, NULL-ended. Defined by the executable, from the list in src/meson.build. */
const struct module *const *registry_builtin(void);
/* Tells which built-in names need no module(load=): omfile, ompipe, pmrfc3164 ... */
bool registry_is_always_loaded(const struct module *module);

/* Whether chains call a parser module so: "rsyslog.rfc3164", "pmrfc3164", or the name that it gives itself. */
bool parser_is_called(const struct module *module, struct text name);
