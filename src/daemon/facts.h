/*
 * What modules may know of this machine and of global(): found out once, when a
 * configuration is built.
 */
#pragma once

#include "language/tree.h"
#include "module/module.h"
#include "module/netstream.h"

struct facts {
        struct host_facts host;
        char host_name[256];
        char fqdn[256];
        char bus_socket[256];
        struct strings allowed_udp, allowed_tcp; /* $AllowedSender; the items are the configuration's, as below */
        struct strings rulesets;
        struct strings zones; /* timezone(): id and offset in turn */
        struct netstream_defaults netstream;
};

/* The configuration outlives the facts. -ENOMEM. */
int facts_init(struct facts *facts, const struct config *config, bool is_checking);
void facts_fini(struct facts *facts);
