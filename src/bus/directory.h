/*
 * The directory: who has subscribed to what.
 *
 * A group is a name; a channel is a group and an instance, and has members in the
 * order of their age. A subscriber has each subscription once. Finding a channel
 * and joining or leaving it does not depend on how many others there are, but for
 * moving the pointers behind a member's place.
 *
 * One thread. Members are found by position, so nobody may join or leave a channel
 * while somebody walks through it.
 */
#pragma once

#include "bus/list.h"
#include "bus/table.h"

struct group {
        struct table_node node;
        uint32_t channels;
        struct channel *everyone; /* of instance "*"; NULL: none */
        uint64_t mark;            /* whoever walks through groups may leave a number here */
        uint32_t name_bytes;
        char name[];
};

struct channel {
        struct table_node node;
        struct group *group;
        struct subscription **members; /* oldest subscriber first */
        uint32_t count, capacity;
        uint32_t instance_bytes;
        char instance[];
};

struct subscriber {
        uint64_t serial;           /* a younger one has a higher number */
        struct list subscriptions; /* of struct subscription */
        uint32_t count;
};

struct subscription {
        struct subscriber *subscriber;
        struct channel *channel;
        struct list of_subscriber;
};

struct directory {
        uint64_t seed;
        struct table groups;
        struct table channels;
};

void directory_init(struct directory *d);
/* Everybody has left. */
void directory_fini(struct directory *d);
void subscriber_init(struct subscriber *s, uint64_t serial);

enum { DIRECTORY_UNCHANGED = 1 }; /* it was so before */
int directory_join(struct directory *d, struct subscriber *s, struct text group, struct text instance); /* -ENOMEM */
int directory_leave(struct directory *d, struct subscriber *s, struct text group, struct text instance);
/* Ends one subscription. */
void subscription_end(struct directory *d, struct subscription *one);

struct group *directory_group(const struct directory *d, struct text name);
/* NULL: nobody is there. */
struct channel *directory_channel(const struct directory *d, struct text group, struct text instance);
/* The place of a subscriber in a channel, or -1. */
int64_t channel_place(const struct channel *c, const struct subscriber *s);

static inline struct text group_name(const struct group *g) {
        return (struct text){g->name, g->name_bytes};
}
static inline struct text channel_instance(const struct channel *c) {
        return (struct text){c->instance, c->instance_bytes};
}
