#include "module/yaml_read.h"

#include <dlfcn.h>
#include <errno.h>
#include <yaml.h>

#include "base/fail.h"

#define LIBRARY "libyaml-0.so.2"

/* ---- The library ------------------------------------------------------------------ */

struct yaml_library {
        void *handle;
        __typeof__(&yaml_parser_initialize) initialize;
        __typeof__(&yaml_parser_delete) delete;
        __typeof__(&yaml_parser_set_input_string) set_input_string;
        __typeof__(&yaml_parser_parse) parse;
        __typeof__(&yaml_event_delete) event_delete;
};

static int library_open(struct yaml_library *y, const char **why) {
        static const struct {
                const char *name;
                size_t offset;
        } symbols[] = {
                {"yaml_parser_initialize", offsetof(struct yaml_library, initialize)},
                {"yaml_parser_delete", offsetof(struct yaml_library, delete)},
                {"yaml_parser_set_input_string", offsetof(struct yaml_library, set_input_string)},
                {"yaml_parser_parse", offsetof(struct yaml_library, parse)},
                {"yaml_event_delete", offsetof(struct yaml_library, event_delete)},
        };
        *y = (struct yaml_library){.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
        for (size_t i = 0; i < ARRAY_SIZE(symbols) && y->handle; i++) {
                void *found = dlsym(y->handle, symbols[i].name);
                if (!found)
                        y->handle = NULL;
                memcpy((char *)y + symbols[i].offset, &found, sizeof found);
        }
        if (y->handle)
                return 0;
        *why = "YAML needs libyaml, which is not installed: Debian's package libyaml-0-2";
        return fail(-ENOENT);
}

/* ---- Events to nodes ------------------------------------------------------------------ */

struct anchor {
        struct text name;
        struct node *node; /* NULL: not complete yet */
        struct anchor *next;
};

struct reading {
        const struct yaml_library *library;
        yaml_parser_t parser;
        struct arena *arena;
        const char *file;
        struct text text;
        size_t line_at; /* where line_number begins in the text */
        size_t line_number;
        struct anchor *anchors;
        uint32_t nodes;
        struct yaml_mistake *mistake;
};

/* libyaml counts characters; places count bytes. Asked for in rising order mostly. */
static size_t byte_column(struct reading *r, size_t line, size_t column) {
        if (line < r->line_number)
                r->line_at = r->line_number = 0;
        while (r->line_number < line) {
                const char *lf = memchr(r->text.data + r->line_at, '\n', r->text.size - r->line_at);
                if (!lf)
                        break;
                r->line_at = (size_t)(lf - r->text.data) + 1;
                r->line_number++;
        }
        size_t at = r->line_at;
        while (column-- && at < r->text.size && r->text.data[at] != '\n')
                for (at++; at < r->text.size && ((unsigned char)r->text.data[at] & 0xc0) == 0x80;)
                        at++;
        return at - r->line_at;
}

static struct place place_at(struct reading *r, size_t line, size_t column) {
        return (struct place){
                .file = r->file, .line = (uint32_t)line + 1, .column = (uint32_t)byte_column(r, line, column) + 1};
}

static struct place place_of(struct reading *r, const yaml_mark_t *mark) {
        return place_at(r, mark->line, mark->column);
}

static int mistake(struct reading *r, struct place place, const char *text) {
        *r->mistake = (struct yaml_mistake){.place = place, .text = text};
        return fail(-EBADMSG);
}

static int next_event(struct reading *r, yaml_event_t *event) {
        if (r->library->parse(&r->parser, event))
                return 0;
        if (r->parser.error == YAML_MEMORY_ERROR)
                return fail(-ENOMEM);
        const char *problem = r->parser.problem ? r->parser.problem : "this is not YAML";
        const char *copy = arena_string(r->arena, text_of(problem));
        yaml_mark_t mark = r->parser.problem_mark;
        if (r->parser.error == YAML_READER_ERROR)
                mark = r->parser.mark;
        return copy ? mistake(r, place_of(r, &mark), copy) : fail(-ENOMEM);
}

/* The first line of a block scalar's text is the one behind its | or >, indented like the first that is not empty. */
static struct place block_place(struct reading *r, const yaml_mark_t *mark) {
        size_t line = mark->line + 1;
        byte_column(r, line, 0);
        size_t at = r->line_at, column = 0;
        while (at < r->text.size && strchr(" \r\n", r->text.data[at])) {
                column = r->text.data[at] == ' ' ? column + 1 : 0;
                at++;
        }
        return (struct place){.file = r->file, .line = (uint32_t)line + 1, .column = (uint32_t)column + 1};
}

static struct node *node_new(struct reading *r, enum node_kind kind, const yaml_event_t *event) {
        struct node *n = arena_zalloc(r->arena, sizeof *n);
        if (!n)
                return NULL;
        n->kind = kind;
        n->size = 1;
        n->place = n->text_place = place_of(r, &event->start_mark);
        return n;
}

static int read_scalar(struct reading *r, const yaml_event_t *event, struct node **ret) {
        struct node *n = node_new(r, NODE_SCALAR, event);
        if (!n)
                return fail(-ENOMEM);
        struct text value = {(const char *)event->data.scalar.value, event->data.scalar.length};
        yaml_scalar_style_t style = event->data.scalar.style;
        n->text = arena_text(r->arena, value);
        if (!n->text.data)
                return fail(-ENOMEM);
        if (memchr(value.data, '\0', value.size))
                return mistake(r, n->place, "a NUL character cannot stand in a configuration");
        n->is_block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
        if (n->is_block)
                n->text_place = block_place(r, &event->start_mark);
        else if (style != YAML_PLAIN_SCALAR_STYLE)
                n->text_place.column++;
        *ret = n;
        return 0;
}

static struct anchor *find_anchor(const struct reading *r, const yaml_char_t *name) {
        struct anchor *a = r->anchors;
        while (a && !text_equal(a->name, text_of((const char *)name)))
                a = a->next;
        return a;
}

/* An anchor's newest node counts, as YAML 1.1 has it. NULL: no memory, or the event has none. */
static struct anchor *add_anchor(struct reading *r, const yaml_char_t *name) {
        struct anchor *a = name ? arena_zalloc(r->arena, sizeof *a) : NULL;
        if (!a)
                return NULL;
        a->name = arena_text(r->arena, text_of((const char *)name));
        a->next = r->anchors;
        r->anchors = a;
        return a;
}

static int count_nodes(struct reading *r, const struct node *n, const yaml_event_t *event) {
        if (n->size > YAML_NODES_MAX - r->nodes)
                return mistake(r, place_of(r, &event->start_mark), "the document has too many values");
        r->nodes += n->size;
        return 0;
}

static int read_node(struct reading *r, const yaml_event_t *event, unsigned depth, struct node **ret);

static int read_next(struct reading *r, unsigned depth, yaml_event_type_t end, struct node **ret) {
        yaml_event_t event;
        int result = next_event(r, &event);
        if (result)
                return pass(result);
        *ret = NULL;
        if (event.type != end)
                result = read_node(r, &event, depth, ret);
        r->library->event_delete(&event);
        return pass(result);
}

static int read_collection(struct reading *r, struct node *n, unsigned depth) {
        bool is_mapping = n->kind == NODE_MAPPING;
        struct node_entry **tail = &n->first;
        if (depth == YAML_DEPTH_MAX)
                return mistake(r, n->place, "collections are nested too deep");
        for (;;) {
                struct node *key = NULL, *value = NULL;
                int result =
                        read_next(r, depth + 1, is_mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT, &value);
                if (result)
                        return pass(result);
                if (!value)
                        return 0;
                if (is_mapping) {
                        key = value;
                        if (key->kind != NODE_SCALAR)
                                return mistake(r, key->place, "a name is expected as the key");
                        result = read_next(r, depth + 1, YAML_NO_EVENT, &value);
                        if (result)
                                return pass(result);
                }
                struct node_entry *entry = arena_zalloc(r->arena, sizeof *entry);
                if (!entry)
                        return fail(-ENOMEM);
                *entry = (struct node_entry){.key = key, .value = value};
                *tail = entry;
                tail = &entry->next;
                n->count++;
                n->size += value->size + (key ? key->size : 0);
        }
}

static int read_alias(struct reading *r, const yaml_event_t *event, struct node **ret) {
        const struct anchor *a = find_anchor(r, event->data.alias.anchor);
        if (!a || !a->node)
                return mistake(r, place_of(r, &event->start_mark), "there is no anchor (&name) before this alias");
        *ret = a->node;
        return pass(count_nodes(r, a->node, event));
}

static int read_node(struct reading *r, const yaml_event_t *event, unsigned depth, struct node **ret) {
        const yaml_char_t *anchor_name = NULL;
        struct node *n = NULL;
        if (event->type == YAML_ALIAS_EVENT)
                return pass(read_alias(r, event, ret));
        if (event->type == YAML_SCALAR_EVENT) {
                anchor_name = event->data.scalar.anchor;
                int result = read_scalar(r, event, &n);
                if (result)
                        return pass(result);
        } else {
                bool is_mapping = event->type == YAML_MAPPING_START_EVENT;
                anchor_name = is_mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
                n = node_new(r, is_mapping ? NODE_MAPPING : NODE_SEQUENCE, event);
                if (!n)
                        return fail(-ENOMEM);
        }
        struct anchor *anchor = add_anchor(r, anchor_name);
        if (anchor_name && !anchor)
                return fail(-ENOMEM);
        int result = count_nodes(r, n, event);
        if (result == 0 && n->kind != NODE_SCALAR)
                result = read_collection(r, n, depth);
        if (anchor)
                anchor->node = n;
        *ret = n;
        return pass(result);
}

/* Stream start, document start, the root, and nothing behind it. */
static int read_stream(struct reading *r, struct node **ret) {
        bool has_document = false;
        for (;;) {
                yaml_event_t event;
                int result = next_event(r, &event);
                if (result)
                        return pass(result);
                yaml_event_type_t type = event.type;
                if (type == YAML_DOCUMENT_START_EVENT && has_document)
                        result = mistake(r, place_of(r, &event.start_mark),
                                         "a file holds one document; this is another");
                has_document |= type == YAML_DOCUMENT_START_EVENT;
                bool is_root = type == YAML_SCALAR_EVENT || type == YAML_MAPPING_START_EVENT ||
                               type == YAML_SEQUENCE_START_EVENT || type == YAML_ALIAS_EVENT;
                if (is_root && result == 0)
                        result = read_node(r, &event, 0, ret);
                r->library->event_delete(&event);
                if (result || type == YAML_STREAM_END_EVENT)
                        return pass(result);
        }
}

int yaml_read(struct node **ret, struct arena *arena, const char *file, struct text text, struct yaml_mistake *found) {
        struct yaml_library library;
        *ret = NULL;
        *found = (struct yaml_mistake){.place = {.file = file, .line = 1, .column = 1}};
        int result = library_open(&library, &found->text);
        if (result)
                return pass(result);
        struct reading r = {.library = &library, .arena = arena, .file = file, .text = text, .mistake = found};
        if (!library.initialize(&r.parser))
                return fail(-ENOMEM);
        library.set_input_string(&r.parser, (const unsigned char *)text.data, text.size);
        result = read_stream(&r, ret);
        library.delete(&r.parser);
        return pass(result);
}
