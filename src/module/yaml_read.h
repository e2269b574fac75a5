/*
 * A YAML document as a tree of nodes, each with its place in the file. The reading
 * itself is libyaml's, which is looked for when the first such file is read: who
 * has none needs no library.
 *
 * Aliases (*name) are the node that they stand for; a key appears as often as it was
 * written. All memory is the arena's.
 */
#pragma once

#include "base/arena.h"
#include "module/place.h"

enum {
        YAML_NODES_MAX = 1 << 20, /* of one document, a node counted again wherever an alias stands for it */
        YAML_DEPTH_MAX = 100,     /* of nested collections */
};

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node_entry;

struct node {
        enum node_kind kind;
        struct place place;      /* of its first byte; of a quoted scalar, the quote */
        struct place text_place; /* of the first byte of a scalar's text */
        struct text text;
        bool is_block; /* | or >: each line of the text is a line of the file, from text_place on */
        struct node_entry *first;
        uint32_t count; /* of entries */
        uint32_t size;  /* nodes below it and itself */
};

struct node_entry {
        struct node *key; /* NULL in a sequence */
        struct node *value;
        struct node_entry *next;
};

struct yaml_mistake {
        struct place place;
        const char *text;
};

/* *ret is NULL for an empty document. -EBADMSG and *mistake; -ENOENT: no libyaml, mistake->text says so; -ENOMEM. */
int yaml_read(struct node **ret, struct arena *arena, const char *file, struct text text, struct yaml_mistake *mistake);
