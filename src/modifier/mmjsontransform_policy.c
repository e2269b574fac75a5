#include "modifier/mmjsontransform_policy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "io/file.h"
#include "module/yaml_read.h"

struct rename {
        struct text from, to;
};

struct transform_policy {
        struct arena arena; /* the document's, which all texts lie in */
        enum transform_mode mode;
        struct rename *renames;
        struct text *drops;
        size_t rename_count, drop_count;
};

/* ---- Reading ---------------------------------------------------------------------- */

struct reading {
        struct transform_policy *policy;
        struct module_log *log;
        bool is_wrong;
};

static void wrong(struct reading *r, const struct node *at, const char *what, struct text shown) {
        module_report_param(r->log, SEVERITY_ERR, "policy", "%s:%u:%u: '%.*s' %s", at->place.file, at->place.line,
                            at->place.column, TEXT_ARGS(text_slice(shown, 0, 60)), what);
        r->is_wrong = true;
}

static bool is_kind(struct reading *r, const struct node *n, enum node_kind kind, const char *name) {
        static const char *const whats[] = {"needs one value", "needs a sequence (lines that begin with -)",
                                            "needs a mapping (name: value)"};
        if (n->kind != kind)
                wrong(r, n, whats[kind], text_of(name));
        return n->kind == kind;
}

static bool is_path(struct reading *r, const struct node *n) {
        struct text t = n->text;
        bool is_one = n->kind == NODE_SCALAR && t.size && t.size <= TRANSFORM_PATH_BYTES_MAX &&
                      !memchr(t.data, '\0', t.size) && text_find(t, TEXT("..")) < 0 && t.data[0] != '.' &&
                      t.data[t.size - 1] != '.';
        if (!is_one)
                wrong(r, n, "is no path: names with dots between, as in user.name", t);
        return is_one;
}

static void read_version(struct reading *r, const struct node *n) {
        if (is_kind(r, n, NODE_SCALAR, "version") && !text_equal(n->text, TEXT("1")))
                wrong(r, n, "is no version that is known: 1 is", n->text);
}

static void read_mode(struct reading *r, const struct node *n) {
        if (!is_kind(r, n, NODE_SCALAR, "mode"))
                return;
        if (text_equal_nocase(n->text, TEXT("flatten")))
                r->policy->mode = MODE_FLATTEN;
        else if (text_equal_nocase(n->text, TEXT("unflatten")))
                r->policy->mode = MODE_UNFLATTEN;
        else
                wrong(r, n, "is no mode: unflatten or flatten", n->text);
}

static void *room_for(struct reading *r, const struct node *n, size_t size) {
        if (n->count > TRANSFORM_PATHS_MAX) {
                wrong(r, n, "is too long: 10000 paths are the most", TEXT("map"));
                return NULL;
        }
        void *room = arena_alloc(&r->policy->arena, (n->count + 1) * size);
        r->is_wrong |= !room;
        return room;
}

static bool is_renamed_before(const struct transform_policy *p, struct text from) {
        for (size_t i = 0; i < p->rename_count; i++)
                if (text_equal(p->renames[i].from, from))
                        return true;
        return false;
}

static void read_rename(struct reading *r, const struct node *n) {
        struct transform_policy *p = r->policy;
        if (!is_kind(r, n, NODE_MAPPING, "rename") || !(p->renames = room_for(r, n, sizeof *p->renames)))
                return;
        for (const struct node_entry *e = n->first; e && !r->is_wrong; e = e->next) {
                if (!is_path(r, e->key) || !is_path(r, e->value))
                        continue;
                if (is_renamed_before(p, e->key->text))
                        wrong(r, e->key, "is renamed twice", e->key->text);
                p->renames[p->rename_count++] = (struct rename){e->key->text, e->value->text};
        }
}

static void read_drop(struct reading *r, const struct node *n) {
        struct transform_policy *p = r->policy;
        if (!is_kind(r, n, NODE_SEQUENCE, "drop") || !(p->drops = room_for(r, n, sizeof *p->drops)))
                return;
        for (const struct node_entry *e = n->first; e && !r->is_wrong; e = e->next)
                if (is_path(r, e->value))
                        p->drops[p->drop_count++] = e->value->text;
}

struct key {
        const char *name;
        void (*read)(struct reading *r, const struct node *n);
};

static void read_keys(struct reading *r, const struct node *mapping, const struct key *keys, const char *hint) {
        bool was_read[4] = {0};
        for (const struct node_entry *e = mapping->first; e && !r->is_wrong; e = e->next) {
                size_t i = 0;
                while (keys[i].name && !text_equal(e->key->text, text_of(keys[i].name)))
                        i++;
                if (!keys[i].name)
                        wrong(r, e->key, hint, e->key->text);
                else if (was_read[i])
                        wrong(r, e->key, "is given more than once", e->key->text);
                else
                        keys[i].read(r, e->value);
                if (keys[i].name)
                        was_read[i] = true;
        }
}

static void read_map(struct reading *r, const struct node *n) {
        static const struct key keys[] = {{"rename", read_rename}, {"drop", read_drop}, {NULL, NULL}};
        if (is_kind(r, n, NODE_MAPPING, "map"))
                read_keys(r, n, keys, "is not known here: rename and drop are");
}

int transform_policy_parse(struct transform_policy **ret, const char *file, struct text text, struct module_log *log) {
        static const struct key keys[] = {
                {"version", read_version}, {"mode", read_mode}, {"map", read_map}, {NULL, NULL}};
        _owned_(transform_policy_free) struct transform_policy *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        p->mode = MODE_OF_ACTION;
        struct reading r = {.policy = p, .log = log};
        struct node *document = NULL;
        struct yaml_mistake mistake;
        int error = yaml_read(&document, &p->arena, file, text, &mistake);
        if (error == -ENOMEM)
                return pass(error);
        if (error) {
                module_report_param(log, SEVERITY_ERR, "policy", "%s:%u:%u: %s", file, mistake.place.line,
                                    mistake.place.column, mistake.text);
                return fail(-EBADMSG);
        }
        if (document && is_kind(&r, document, NODE_MAPPING, "a policy"))
                read_keys(&r, document, keys, "is not known here: version, mode and map are");
        if (r.is_wrong)
                return fail(-EBADMSG);
        *ret = TAKE(p);
        return 0;
}

int transform_policy_read(struct transform_policy **ret, const char *file, struct module_log *log) {
        _owned_(buffer_fini) struct buffer text = {0};
        int r = file_read_whole(file, TRANSFORM_POLICY_BYTES_MAX, &text);
        if (r) {
                module_report_param(log, SEVERITY_ERR, "policy", "policy '%s' cannot be read: %s", file, fail_text(r));
                return pass(r);
        }
        return pass(transform_policy_parse(ret, file, buffer_as_text(&text), log));
}

struct transform_policy *transform_policy_free(struct transform_policy *p) {
        if (!p)
                return NULL;
        arena_fini(&p->arena);
        free(p);
        return NULL;
}

enum transform_mode transform_policy_mode(const struct transform_policy *p) {
        return p->mode;
}

/* ---- Applying --------------------------------------------------------------------- */

/*
 * What the path leads to, which is out of the object then; NULL: nothing. Each object below is looked into once at
 * most, so that many dots cost no more than the object is large.
 */
static struct json *take(struct json *object, struct text path) {
        struct json *found = json_get(object, path);
        if (found) {
                json_remove(object, path);
                return found;
        }
        for (size_t dot = 0; dot < path.size; dot++) {
                struct text head = text_slice(path, 0, dot);
                struct json *child = path.data[dot] == '.' ? json_get(object, head) : NULL;
                found = child && child->type == JSON_OBJECT ? take(child, text_slice(path, dot + 1, path.size)) : NULL;
                if (!found)
                        continue;
                if (child->count == 0)
                        json_remove(object, head);
                return found;
        }
        return NULL;
}

int transform_policy_apply(const struct transform_policy *p, struct arena *a, struct json *object, struct text *where) {
        for (size_t i = 0; i < p->drop_count; i++)
                (void)take(object, p->drops[i]);
        for (size_t i = 0; i < p->rename_count; i++) {
                struct json *value = take(object, p->renames[i].from);
                if (!value)
                        continue;
                *where = p->renames[i].to;
                if (json_get(object, p->renames[i].to))
                        return -EEXIST;
                if (json_add(a, object, p->renames[i].to, value))
                        return fail(-ENOMEM);
        }
        return 0;
}
