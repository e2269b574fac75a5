/*
 * What a ratelimit() object tells senders apart by: a template, rendered for each message.
 *
 *   message -> (not parsed yet: the parsers of its ruleset) -> template -> key
 *
 * Without a template it is %hostname%. %fromhost-ip% alone needs no parsing and is taken from the sender. The template
 * may change while the key is in use.
 */
#pragma once

#include "language/tree.h"
#include "message/property.h"
#include "message/ratelimit.h"

struct parser_chain;

struct limit_key;

/* Lent by the pipeline, which outlives the keys. */
struct limit_key_host {
        const struct config *config;
        struct batch_pool *pool;
        const struct property_context *context; /* to begin with */
        const struct parser_chain *(*find_chain)(void *owner, const char *ruleset);
        void *owner;
};

/* -ENOMEM. */
int limit_key_new(struct limit_key **ret, const struct limit_key_host *host);
/* Nobody makes keys any more. */
struct limit_key *limit_key_free(struct limit_key *k);
OWNED_POINTER(struct limit_key, limit_key_free);

struct sender_key *limit_key_maker(struct limit_key *k);
/* From now on that template, NULL: %hostname%. -ENOENT: there is none of that name; -ENOMEM. Nothing is done then. */
int limit_key_use(struct limit_key *k, const char *template);
bool limit_key_is_known(const struct limit_key *k, const char *template);
