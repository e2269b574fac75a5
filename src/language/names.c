#include "language/names.h"

#include <errno.h>

#include "base/fail.h"

enum { NAMES_FIRST_CAPACITY = 64 };

static uint32_t hash(struct text name) {
        uint32_t h = 2166136261u; /* FNV-1a, on lower case so that both kinds of tables share it */
        for (size_t i = 0; i < name.size; i++) {
                unsigned char c = (unsigned char)name.data[i];
                if (c >= 'A' && c <= 'Z')
                        c |= 32;
                h = (h ^ c) * 16777619u;
        }
        return h;
}

static struct name_slot *find_slot(const struct names *names, struct text name) {
        uint32_t mask = names->capacity - 1;
        for (uint32_t at = hash(name) & mask;; at = (at + 1) & mask) {
                struct name_slot *slot = &names->slots[at];
                if (!slot->value)
                        return slot;
                if (names->is_caseless ? text_equal_nocase(slot->name, name) : text_equal(slot->name, name))
                        return slot;
        }
}

static int grow(struct names *names, struct arena *arena) {
        struct names larger = *names;
        larger.capacity = names->capacity ? names->capacity * 2 : NAMES_FIRST_CAPACITY;
        larger.slots = arena_zalloc(arena, larger.capacity * sizeof *larger.slots);
        if (!larger.slots)
                return fail(-ENOMEM);
        for (uint32_t i = 0; i < names->capacity; i++)
                if (names->slots[i].value)
                        *find_slot(&larger, names->slots[i].name) = names->slots[i];
        *names = larger;
        return 0;
}

int names_put(struct names *names, struct arena *arena, struct text name, void *value) {
        assert(value);
        if (names->count * 2 >= names->capacity) {
                int r = grow(names, arena);
                if (r)
                        return pass(r);
        }
        struct name_slot *slot = find_slot(names, name);
        if (!slot->value)
                names->count++;
        *slot = (struct name_slot){.name = name, .value = value};
        return 0;
}

void *names_get(const struct names *names, struct text name) {
        return names->capacity ? find_slot(names, name)->value : NULL;
}

struct text names_closest(const struct names *names, struct text wrong) {
        unsigned best = (unsigned)(wrong.size + 2) / 3 + 1;
        struct text found = TEXT_NONE;
        for (uint32_t i = 0; i < names->capacity; i++) {
                if (!names->slots[i].value)
                        continue;
                unsigned distance = text_distance(wrong, names->slots[i].name);
                if (distance < best) {
                        best = distance;
                        found = names->slots[i].name;
                }
        }
        return found;
}
