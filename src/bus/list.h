/*
 * A list whose links lie in its elements. An element in no list links to itself,
 * so that list_remove() is always allowed.
 */
#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct list {
        struct list *next, *before;
};

static inline void list_init(struct list *l) {
        l->next = l->before = l;
}
static inline bool list_is_empty(const struct list *l) {
        return l->next == l;
}
static inline void list_append(struct list *head, struct list *element) {
        element->before = head->before;
        element->next = head;
        head->before->next = element;
        head->before = element;
}
static inline void list_remove(struct list *element) {
        element->before->next = element->next;
        element->next->before = element->before;
        list_init(element);
}
/* Takes the first element out; the list is not empty. */
static inline struct list *list_take(struct list *head) {
        struct list *first = head->next;
        assert(first != head);
        list_remove(first);
        return first;
}
