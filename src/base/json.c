#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

enum {
        ARRAY_FIRST_CAPACITY = 4,
};

/* ---- Making -------------------------------------------------------------- */

static struct json *json_new(struct arena *a, enum json_type type) {
        struct json *value = arena_alloc(a, sizeof *value);
        if (value)
                *value = (struct json){.type = type};
        return value;
}

struct json *json_null(struct arena *a) {
        return json_new(a, JSON_NULL);
}

struct json *json_bool(struct arena *a, bool is_true) {
        struct json *value = json_new(a, JSON_BOOL);
        if (value)
                value->is_true = is_true;
        return value;
}

struct json *json_int(struct arena *a, int64_t integer) {
        struct json *value = json_new(a, JSON_INT);
        if (value)
                value->integer = integer;
        return value;
}

struct json *json_double(struct arena *a, double real) {
        struct json *value = json_new(a, JSON_DOUBLE);
        if (value)
                value->real = real;
        return value;
}

struct json *json_string(struct arena *a, struct text t) {
        struct json *value = json_new(a, JSON_STRING);
        if (!value)
                return NULL;
        value->string = arena_text(a, t);
        return value->string.data ? value : NULL;
}

struct json *json_take_string(struct arena *a, struct text t) {
        struct json *value = json_new(a, JSON_STRING);
        if (value)
                value->string = t;
        return value;
}

struct json *json_array(struct arena *a) {
        return json_new(a, JSON_ARRAY);
}

struct json *json_object(struct arena *a) {
        return json_new(a, JSON_OBJECT);
}

/* Takes the first gap out of the list; a member comes into its place, so those behind move. */
static uint32_t take_gap(struct json *object) {
        struct json_member **first = &object->gaps;
        for (struct json_member **at = &object->gaps; *at; at = &(*at)->next)
                if ((*at)->place < (*first)->place)
                        first = at;
        uint32_t place = (*first)->place;
        *first = (*first)->next;
        for (struct json_member *gap = object->gaps; gap; gap = gap->next)
                gap->place++;
        return place;
}

static void fill_gap(struct json *object, struct json_member *member) {
        struct json_member **at = &object->first;
        for (uint32_t place = take_gap(object); place > 0; place--)
                at = &(*at)->next;
        member->next = *at;
        *at = member;
        if (!member->next)
                object->last = member;
        object->count++;
}

int json_take_member(struct arena *a, struct json *object, struct text name, struct json *value) {
        struct json_member *member = arena_alloc(a, sizeof *member);
        if (!member)
                return fail(-ENOMEM);
        *member = (struct json_member){.name = name, .value = value};
        if (object->gaps) {
                fill_gap(object, member);
                return 0;
        }
        if (object->last)
                object->last->next = member;
        else
                object->first = member;
        object->last = member;
        object->count++;
        return 0;
}

/* The copy, which a NUL ends as it does every text of an arena. */
static struct text put_text(char *at, struct text t) {
        *bytes_put(at, t.data, t.size) = '\0';
        return (struct text){at, t.size};
}

struct json *json_object_of(struct arena *a, struct text name, struct text value) {
        struct whole {
                struct json object, string;
                struct json_member member;
                char texts[];
        } *whole = arena_alloc(a, sizeof *whole + name.size + 1 + value.size + 1);
        if (!whole)
                return NULL;
        whole->string = (struct json){.type = JSON_STRING, .string = put_text(whole->texts + name.size + 1, value)};
        whole->member = (struct json_member){.name = put_text(whole->texts, name), .value = &whole->string};
        whole->object = (struct json){.type = JSON_OBJECT, .count = 1, .first = &whole->member, .last = &whole->member};
        return &whole->object;
}

int json_add(struct arena *a, struct json *object, struct text name, struct json *value) {
        struct text copy = arena_text(a, name);
        return copy.data ? json_take_member(a, object, copy, value) : fail(-ENOMEM);
}

static struct json_member *find_member(const struct json *object, struct text name) {
        for (struct json_member *m = object->first; m; m = m->next)
                if (text_equal(m->name, name))
                        return m;
        return NULL;
}

int json_set(struct arena *a, struct json *object, struct text name, struct json *value) {
        assert(object->type == JSON_OBJECT);
        struct json_member *member = find_member(object, name);
        if (!member)
                return json_add(a, object, name, value);
        member->value = value;
        return 0;
}

int json_append(struct arena *a, struct json *array, struct json *value) {
        assert(array->type == JSON_ARRAY);
        if (array->count == array->capacity) {
                uint32_t capacity = MAX(array->capacity * 2, (uint32_t)ARRAY_FIRST_CAPACITY);
                struct json **grown = arena_alloc(a, capacity * sizeof(struct json *));
                if (!grown)
                        return fail(-ENOMEM);
                if (array->count)
                        memcpy(grown, array->items, array->count * sizeof(struct json *));
                array->items = grown;
                array->capacity = capacity;
        }
        array->items[array->count++] = value;
        return 0;
}

static void leave_gap(struct json *object, struct json_member *removed, uint32_t place) {
        for (struct json_member *gap = object->gaps; gap; gap = gap->next)
                gap->place -= gap->place > place;
        *removed = (struct json_member){.place = place, .next = object->gaps};
        object->gaps = removed;
}

bool json_remove(struct json *object, struct text name) {
        assert(object->type == JSON_OBJECT);
        struct json_member *before = NULL;
        uint32_t place = 0;
        for (struct json_member *m = object->first; m; before = m, m = m->next, place++) {
                if (!text_equal(m->name, name))
                        continue;
                if (before)
                        before->next = m->next;
                else
                        object->first = m->next;
                if (object->last == m)
                        object->last = before;
                object->count--;
                leave_gap(object, m, place);
                return true;
        }
        return false;
}

struct json *json_get(const struct json *object, struct text name) {
        if (!object || object->type != JSON_OBJECT)
                return NULL;
        struct json_member *member = find_member(object, name);
        return member ? member->value : NULL;
}

struct json *json_get_nocase(const struct json *object, struct text name) {
        if (!object || object->type != JSON_OBJECT)
                return NULL;
        for (struct json_member *m = object->first; m; m = m->next)
                if (text_equal_nocase(m->name, name))
                        return m->value;
        return NULL;
}

/* Recursion is as deep as the value: JSON_NESTING_MAX, since deeper ones are neither parsed nor set. */
struct json *json_copy(struct arena *a, const struct json *value) {
        struct json *copy = json_new(a, value->type);
        if (!copy)
                return NULL;
        *copy = *value;
        bool is_number = value->type == JSON_INT || value->type == JSON_DOUBLE;
        if (is_number && value->literal.size && !(copy->literal = arena_text(a, value->literal)).data)
                return NULL;
        if (value->type == JSON_STRING)
                return (copy->string = arena_text(a, value->string)).data ? copy : NULL;
        if (value->type == JSON_ARRAY) {
                copy->count = copy->capacity = 0;
                copy->items = NULL;
                for (uint32_t i = 0; i < value->count; i++) {
                        struct json *item = json_copy(a, value->items[i]);
                        if (!item || json_append(a, copy, item))
                                return NULL;
                }
        } else if (value->type == JSON_OBJECT) {
                copy->count = 0;
                copy->first = copy->last = NULL;
                copy->gaps = NULL;
                for (const struct json_member *m = value->first; m; m = m->next) {
                        struct json *inner = json_copy(a, m->value);
                        if (!inner || json_add(a, copy, m->name, inner))
                                return NULL;
                }
        }
        return copy;
}
