/*
 * What modules may know of this machine and of global(): found out once, when a
 * configuration is built.
 */
#pragma once

#include "module/module.h"
#include "module/objects.h"

struct facts {
        struct host_facts host;
        char host_name[256];
        char fqdn[256];
};

void facts_init(struct facts *facts, const struct global_settings *global, bool is_checking);
void facts_fini(struct facts *facts);
