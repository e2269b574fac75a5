/*
 * The templates of a configuration, and those that are built in, which are
 * compiled when first asked for.
 */
#pragma once

#include "language/diagnostics.h"
#include "language/tree.h"
#include "template/template.h"

struct named_template;

struct templates {
        const struct config *config;
        struct named_template *first;
};

/* Compiles what the configuration (lent) defines; one with a mistake is told and left out. -ENOMEM. */
int templates_init(struct templates *t, const struct config *config, struct diagnostics *diagnostics);
void templates_fini(struct templates *t);
/* NULL: there is none of that name. */
const struct template *templates_find(struct templates *t, const char *name);
