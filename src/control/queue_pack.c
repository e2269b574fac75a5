#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"
#include "control/queue_inside.h"

enum { NAMES_AT = 24, NAME_COUNT_AT = 28 }; /* in the header of a pack; see message/pack.h */

static const char *name_of_route(void *owner _unused_, const void *route) {
        return route;
}

static const void *route_of_name(void *owner, struct text name) {
        struct packer *p = owner;
        for (size_t i = 0; i < p->names.ruleset_count; i++)
                if (text_equal(text_of(p->called[i]), name))
                        return p->called[i];
        return NULL;
}

int packer_init(struct packer *p) {
        *p = (struct packer){.names = {.name_of_route = name_of_route, .route_of_name = route_of_name}};
        p->names.owner = p;
        return pass(batch_pool_new(&p->pool));
}

void packer_fini(struct packer *p) {
        for (size_t i = 0; i < p->names.ruleset_count; i++)
                free(p->called[i]);
        free(p->called);
        p->pool = batch_pool_unref(p->pool);
}

static int add_name(struct packer *p, struct text name) {
        if (route_of_name(p, name))
                return 0;
        if (!ARRAY_ROOM(p->called, p->names.ruleset_count, p->capacity, 16))
                return fail(-ENOMEM);
        char *copy = text_copy(name);
        if (!copy)
                return fail(-ENOMEM);
        p->called[p->names.ruleset_count++] = copy;
        p->names.rulesets = (const char *const *)p->called;
        return 0;
}

uint16_t packer_name(struct packer *p, struct text name) {
        if (name.size > PACK_NAME_BYTES_MAX || p->names.ruleset_count >= UINT16_MAX || add_name(p, name))
                return 0;
        for (size_t i = 0; i < p->names.ruleset_count; i++)
                if (text_equal(text_of(p->called[i]), name))
                        return (uint16_t)(i + 1);
        return 0;
}

static uint32_t get_u32(const char *at) {
        uint32_t n;
        memcpy(&n, at, sizeof n);
        return le32toh(n);
}

/* Every ruleset that the pack names is one of ours, so that none is forgotten. What is wrong in it, unpacking tells. */
static int learn_names(struct packer *p, struct text pack) {
        if (pack.size < PACK_HEADER_BYTES)
                return 0;
        size_t at = get_u32(pack.data + NAMES_AT);
        uint32_t count = MIN(get_u32(pack.data + NAME_COUNT_AT), (uint32_t)BATCH_RECORDS_MAX + 1);
        int r = 0;
        for (uint32_t i = 0; !r && i < count && at < pack.size && pack.size - at >= 2; i++) {
                uint16_t size;
                memcpy(&size, pack.data + at, sizeof size);
                size = le16toh(size);
                if (pack.size - at - 2 < size)
                        break;
                r = add_name(p, (struct text){pack.data + at + 2, size});
                at += 2u + size;
        }
        return r;
}

int packer_unpack(struct packer *p, struct text payload, uint32_t skip, struct batch **ret) {
        int r = learn_names(p, payload);
        if (r == 0)
                r = unpack_records(ret, p->pool, payload, skip, &p->names);
        return r ? pass(r) : 0;
}
