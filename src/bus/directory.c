#include "bus/directory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"

enum { MEMBERS_FIRST = 4 };

void directory_init(struct directory *d) {
        *d = (struct directory){.seed = table_seed()};
}

void directory_fini(struct directory *d) {
        assert(d->groups.count == 0 && d->channels.count == 0);
        table_fini(&d->groups);
        table_fini(&d->channels);
}

void subscriber_init(struct subscriber *s, uint64_t serial) {
        s->serial = serial;
        s->count = 0;
        list_init(&s->subscriptions);
}

/* ---- Finding --------------------------------------------------------------- */

static struct group *find_group(const struct directory *d, struct text name, uint64_t hash) {
        for (struct table_node *n = table_find(&d->groups, hash); n; n = table_find_next(n)) {
                struct group *g = CONTAINER_OF(n, struct group, node);
                if (text_equal(group_name(g), name))
                        return g;
        }
        return NULL;
}

struct group *directory_group(const struct directory *d, struct text name) {
        return find_group(d, name, table_hash(d->seed, name));
}

static uint64_t channel_hash(const struct group *g, struct text instance) {
        return table_hash(g->node.hash, instance);
}

static struct channel *find_channel(const struct directory *d, const struct group *g, struct text instance) {
        if (text_equal(instance, TEXT("*")))
                return g->everyone;
        uint64_t hash = channel_hash(g, instance);
        for (struct table_node *n = table_find(&d->channels, hash); n; n = table_find_next(n)) {
                struct channel *c = CONTAINER_OF(n, struct channel, node);
                if (c->group == g && text_equal(channel_instance(c), instance))
                        return c;
        }
        return NULL;
}

struct channel *directory_channel(const struct directory *d, struct text group, struct text instance) {
        const struct group *g = directory_group(d, group);
        return g ? find_channel(d, g, instance) : NULL;
}

/* Where a subscriber of that serial stands, or would. */
static uint32_t place_of(const struct channel *c, uint64_t serial) {
        uint32_t from = 0, to = c->count;
        while (from < to) {
                uint32_t middle = from + (to - from) / 2;
                if (c->members[middle]->subscriber->serial < serial)
                        from = middle + 1;
                else
                        to = middle;
        }
        return from;
}

int64_t channel_place(const struct channel *c, const struct subscriber *s) {
        uint32_t place = place_of(c, s->serial);
        return place < c->count && c->members[place]->subscriber == s ? (int64_t)place : -1;
}

/* ---- Groups and channels come and go with their members -------------------- */

static int group_new(struct group **ret, struct directory *d, struct text name) {
        struct group *g = malloc(sizeof *g + name.size);
        if (!g)
                return fail(-ENOMEM);
        *g = (struct group){.name_bytes = (uint32_t)name.size};
        memcpy(g->name, name.data, name.size);
        int r = table_add(&d->groups, &g->node, table_hash(d->seed, name));
        if (r) {
                free(g);
                return pass(r);
        }
        *ret = g;
        return 0;
}

static void group_drop_unused(struct directory *d, struct group *g) {
        if (g->channels > 0)
                return;
        table_remove(&d->groups, &g->node);
        free(g);
}

static int channel_new(struct channel **ret, struct directory *d, struct group *g, struct text instance) {
        struct channel *c = malloc(sizeof *c + instance.size);
        if (!c)
                return fail(-ENOMEM);
        *c = (struct channel){.group = g, .instance_bytes = (uint32_t)instance.size};
        memcpy(c->instance, instance.data, instance.size);
        int r = table_add(&d->channels, &c->node, channel_hash(g, instance));
        if (r) {
                free(c);
                return pass(r);
        }
        g->channels++;
        if (text_equal(instance, TEXT("*")))
                g->everyone = c;
        *ret = c;
        return 0;
}

static void channel_drop_unused(struct directory *d, struct channel *c) {
        if (c->count > 0)
                return;
        struct group *g = c->group;
        if (g->everyone == c)
                g->everyone = NULL;
        g->channels--;
        table_remove(&d->channels, &c->node);
        free(c->members);
        free(c);
        group_drop_unused(d, g);
}

static int find_or_make_channel(struct channel **ret, struct directory *d, struct text group, struct text instance) {
        struct group *g = directory_group(d, group);
        if (!g) {
                int r = group_new(&g, d, group);
                if (r)
                        return pass(r);
        }
        *ret = find_channel(d, g, instance);
        if (*ret)
                return 0;
        int r = channel_new(ret, d, g, instance);
        if (r)
                group_drop_unused(d, g);
        return r;
}

/* ---- Joining and leaving --------------------------------------------------- */

static int insert_member(struct channel *c, struct subscription *one) {
        if (!ARRAY_ROOM(c->members, c->count, c->capacity, MEMBERS_FIRST))
                return fail(-ENOMEM);
        uint32_t place = place_of(c, one->subscriber->serial);
        memmove(c->members + place + 1, c->members + place, (c->count - place) * sizeof(struct subscription *));
        c->members[place] = one;
        c->count++;
        return 0;
}

int directory_join(struct directory *d, struct subscriber *s, struct text group, struct text instance) {
        struct channel *c = NULL;
        int r = find_or_make_channel(&c, d, group, instance);
        if (r)
                return pass(r);
        if (channel_place(c, s) >= 0)
                return DIRECTORY_UNCHANGED;
        struct subscription *one = malloc(sizeof *one);
        if (one) {
                *one = (struct subscription){.subscriber = s, .channel = c};
                r = insert_member(c, one);
        }
        if (!one || r) {
                free(one);
                channel_drop_unused(d, c);
                return fail(-ENOMEM);
        }
        list_append(&s->subscriptions, &one->of_subscriber);
        s->count++;
        return 0;
}

void subscription_end(struct directory *d, struct subscription *one) {
        struct channel *c = one->channel;
        uint32_t place = place_of(c, one->subscriber->serial);
        assert(c->members[place] == one);
        c->count--;
        memmove(c->members + place, c->members + place + 1, (c->count - place) * sizeof(struct subscription *));
        list_remove(&one->of_subscriber);
        one->subscriber->count--;
        free(one);
        channel_drop_unused(d, c);
}

int directory_leave(struct directory *d, struct subscriber *s, struct text group, struct text instance) {
        struct channel *c = directory_channel(d, group, instance);
        int64_t place = c ? channel_place(c, s) : -1;
        if (place < 0)
                return DIRECTORY_UNCHANGED;
        subscription_end(d, c->members[place]);
        return 0;
}
