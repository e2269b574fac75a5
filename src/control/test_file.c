#include "control/test_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "base/json.h"
#include "io/file.h"

const struct node *node_get(const struct node *mapping, const char *key) {
        if (!mapping || mapping->kind != NODE_MAPPING)
                return NULL;
        for (const struct node_entry *e = mapping->first; e; e = e->next)
                if (text_equal(e->key->text, text_of(key)))
                        return e->value;
        return NULL;
}

static void complain(struct test_file *f, const struct place *place, const char *what, struct text about) {
        diagnose(&f->diagnostics, SEVERITY_ERR, 0, *place, (uint32_t)about.size, NULL, "%s%s%.*s%s", what,
                 about.size ? " '" : "", TEXT_ARGS(text_slice(about, 0, 100)), about.size ? "'" : "");
}

/* ---- JSON to nodes ---------------------------------------------------------------- */

static struct node *node_of_json(struct test_file *f, const struct json *value);

static bool add_entry(struct test_file *f, struct node *into, struct node_entry ***end, const struct text *name,
                      const struct json *value) {
        struct node_entry *e = arena_alloc(&f->arena, sizeof *e);
        if (!e)
                return false;
        *e = (struct node_entry){.value = node_of_json(f, value)};
        if (name) {
                e->key = arena_alloc(&f->arena, sizeof *e->key);
                if (e->key)
                        *e->key = (struct node){.kind = NODE_SCALAR, .place.file = f->path, .text = *name, .size = 1};
        }
        if (!e->value || (name && !e->key))
                return false;
        **end = e;
        *end = &e->next;
        into->count++;
        return true;
}

static struct node *node_of_json(struct test_file *f, const struct json *value) {
        struct node *n = arena_alloc(&f->arena, sizeof *n);
        if (!n)
                return NULL;
        *n = (struct node){.kind = NODE_SCALAR, .place.file = f->path, .text = TEXT(""), .size = 1};
        struct node_entry **end = &n->first;
        switch (value->type) {
        case JSON_OBJECT:
                n->kind = NODE_MAPPING;
                for (const struct json_member *m = value->first; m; m = m->next)
                        if (!add_entry(f, n, &end, &m->name, m->value))
                                return NULL;
                break;
        case JSON_ARRAY:
                n->kind = NODE_SEQUENCE;
                for (uint32_t i = 0; i < value->count; i++)
                        if (!add_entry(f, n, &end, NULL, value->items[i]))
                                return NULL;
                break;
        case JSON_STRING:
                n->text = value->string;
                break;
        case JSON_BOOL:
                n->text = value->is_true ? TEXT("true") : TEXT("false");
                break;
        case JSON_INT:
        case JSON_DOUBLE:
                n->text = value->literal;
                break;
        case JSON_NULL:
                break;
        }
        return n;
}

static int read_json(struct test_file *f, struct text text, struct node **ret) {
        struct json *value;
        size_t used;
        struct place place = {.file = f->path, .line = 1, .column = 1};
        int r = json_parse(&f->arena, text, &value, &used);
        if (r == 0 && text_trim(text_slice(text, used, text.size)).size)
                r = -EBADMSG;
        if (r) {
                complain(f, &place, r == -EBADMSG ? "this is no JSON" : fail_text(r), TEXT(""));
                return pass(r);
        }
        *ret = node_of_json(f, value);
        return *ret ? 0 : fail(-ENOMEM);
}

static int read_yaml(struct test_file *f, struct text text, struct node **ret) {
        struct yaml_mistake mistake = {.place.file = f->path, .text = NULL};
        int r = yaml_read(ret, &f->arena, f->path, text, &mistake);
        if (r) {
                complain(f, &mistake.place, mistake.text ? mistake.text : fail_text(r), TEXT(""));
                return pass(r);
        }
        return 0;
}

/* ---- Checking ---------------------------------------------------------------------- */

static const char *const file_keys[] = {"config", "tests", NULL};
static const char *const test_keys[] = {"name",  "message", "messages", "raw",  "from",   "fromhost",
                                        "input", "ruleset", "hostname", "time", "expect", NULL};
static const char *const expect_keys[] = {"parser", "discarded", "actions", "outputs", "variables", "properties", NULL};

/* Whether it is a mapping; a key that is none of the list is reported. */
static bool check_keys(struct test_file *f, const struct node *n, const char *what, const char *const *keys) {
        if (n->kind != NODE_MAPPING) {
                complain(f, &n->place, what, TEXT(""));
                return false;
        }
        size_t count = 0;
        while (keys[count])
                count++;
        for (const struct node_entry *e = n->first; e; e = e->next) {
                size_t i = 0;
                while (i < count && !text_equal(e->key->text, text_of(keys[i])))
                        i++;
                if (i < count)
                        continue;
                const char *near = text_closest(e->key->text, keys, count);
                char hint[64];
                snprintf(hint, sizeof hint, "did you mean `%s`?", near ? near : "");
                diagnose(&f->diagnostics, SEVERITY_ERR, 0, e->key->place, (uint32_t)e->key->text.size,
                         near ? hint : NULL, "'%.*s' is nothing that stands here",
                         TEXT_ARGS(text_slice(e->key->text, 0, 100)));
        }
        return true;
}

/* NUL-ended; NULL: not given. */
static const char *string_of(struct test_file *f, const struct node *mapping, const char *key) {
        const struct node *n = node_get(mapping, key);
        if (!n)
                return NULL;
        if (n->kind != NODE_SCALAR) {
                complain(f, &n->place, "here stands one value: it is that of", text_of(key));
                return NULL;
        }
        return arena_text(&f->arena, n->text).data;
}

static unsigned hex_of(char c) {
        return c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 32u) - 'a' + 10;
}

static bool is_hex(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* `raw`: \xHH is a byte, which YAML and JSON have no words for, and \\ a backslash. */
static struct text unescape(struct test_file *f, struct text t) {
        char *to = arena_alloc(&f->arena, t.size + 1);
        size_t size = 0;
        for (size_t i = 0; to && i < t.size; i++) {
                bool is_byte = i + 3 < t.size && t.data[i] == '\\' && t.data[i + 1] == 'x' && is_hex(t.data[i + 2]) &&
                               is_hex(t.data[i + 3]);
                if (is_byte) {
                        to[size++] = (char)(hex_of(t.data[i + 2]) << 4 | hex_of(t.data[i + 3]));
                        i += 3;
                        continue;
                }
                if (i + 1 < t.size && t.data[i] == '\\' && t.data[i + 1] == '\\')
                        i++;
                to[size++] = t.data[i];
        }
        return to ? (struct text){to, size} : TEXT("");
}

/* message, messages and raw are one list; each may be one or several. */
static int read_messages(struct test_file *f, struct test_case *c, const struct node *n) {
        static const char *const keys[] = {"message", "messages", "raw"};
        size_t count = 0;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const struct node *m = node_get(n, keys[i]);
                count += !m ? 0 : m->kind == NODE_SEQUENCE ? m->count : 1;
        }
        if (count == 0 || count > TEST_MESSAGES_MAX) {
                complain(f, &n->place, count ? "too many messages" : "the test has no `message`", TEXT(""));
                return 0;
        }
        c->messages = arena_alloc(&f->arena, count * sizeof *c->messages);
        if (!c->messages)
                return fail(-ENOMEM);
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const struct node *m = node_get(n, keys[i]);
                bool is_raw = strcmp(keys[i], "raw") == 0;
                if (m && m->kind == NODE_SCALAR)
                        c->messages[c->message_count++] = is_raw ? unescape(f, m->text) : m->text;
                for (const struct node_entry *e = m && m->kind == NODE_SEQUENCE ? m->first : NULL; e; e = e->next)
                        c->messages[c->message_count++] = is_raw ? unescape(f, e->value->text) : e->value->text;
                if (m && m->kind == NODE_MAPPING)
                        complain(f, &m->place, "messages are texts", TEXT(""));
        }
        return 0;
}

/* RFC 3339 without fractions, or seconds since 1970. */
static int64_t read_time(struct test_file *f, const struct node *mapping) {
        const struct node *n = node_get(mapping, "time");
        const char *string = string_of(f, mapping, "time");
        int64_t seconds;
        if (!string)
                return 0;
        if (text_to_int(text_of(string), &seconds) == 0 && seconds > 0 && seconds < INT64_MAX / 1000000)
                return seconds * 1000000;
        struct tm tm = {0};
        const char *end = strptime(string, "%Y-%m-%dT%H:%M:%S%z", &tm);
        long east_s = tm.tm_gmtoff;
        if (end && *end == '\0')
                return ((int64_t)timegm(&tm) - east_s) * 1000000;
        diagnose(&f->diagnostics, SEVERITY_ERR, 0, n->place, (uint32_t)n->text.size, "write 2026-10-11T22:14:15Z",
                 "'%.*s' is no time", TEXT_ARGS(text_slice(n->text, 0, 100)));
        return 0;
}

static int read_case(struct test_file *f, struct test_case **ret, const struct node *n) {
        struct test_case *c = arena_alloc(&f->arena, sizeof *c);
        if (!c)
                return fail(-ENOMEM);
        *c = (struct test_case){.place = n->place, .name = string_of(f, n, "name")};
        c->from = string_of(f, n, "from");
        c->host = string_of(f, n, "fromhost");
        c->input = string_of(f, n, "input");
        c->ruleset = string_of(f, n, "ruleset");
        c->host_name = string_of(f, n, "hostname");
        c->now_us = read_time(f, n);
        c->expect = node_get(n, "expect");
        if (!c->name)
                c->name = "(without a name)";
        if (!c->expect)
                complain(f, &n->place, "the test expects nothing: it has no `expect`", TEXT(""));
        else
                check_keys(f, c->expect, "`expect` holds names and values", expect_keys);
        int r = read_messages(f, c, n);
        if (r)
                return pass(r);
        *ret = c;
        return 0;
}

/* A path beside the test's file, or a configuration where it has several lines. */
static int read_config(struct test_file *f, const struct node *root) {
        const struct node *n = node_get(root, "config");
        if (!n || n->kind != NODE_SCALAR || n->text.size == 0) {
                complain(f, n ? &n->place : &root->place, "the file names no `config`", TEXT(""));
                return 0;
        }
        if (memchr(n->text.data, '\n', n->text.size)) {
                f->config_path = f->path;
                f->config_text = n->text;
                return 0;
        }
        _owned_(buffer_fini) struct buffer path = {0};
        const char *slash = strrchr(f->path, '/');
        if (slash && n->text.data[0] != '/')
                buffer_append(&path, f->path, (size_t)(slash - f->path) + 1);
        buffer_text(&path, n->text);
        f->config_path = arena_text(&f->arena, buffer_as_text(&path)).data;
        return f->config_path ? 0 : fail(-ENOMEM);
}

static int check_file(struct test_file *f, const struct node *root) {
        static const struct place nowhere = {0};
        if (!root) {
                complain(f, &nowhere, "the file is empty", TEXT(""));
                return 0;
        }
        if (!check_keys(f, root, "a test file holds `config` and `tests`", file_keys))
                return 0;
        int r = read_config(f, root);
        const struct node *tests = node_get(root, "tests");
        if (!tests || tests->kind != NODE_SEQUENCE) {
                complain(f, &root->place, "the file has no list of `tests`", TEXT(""));
                return r ? pass(r) : 0;
        }
        struct test_case **end = &f->cases;
        for (const struct node_entry *e = tests->first; e && r == 0; e = e->next) {
                if (!check_keys(f, e->value, "a test holds names and values", test_keys))
                        continue;
                r = read_case(f, end, e->value);
                if (r == 0)
                        end = &(*end)->next;
        }
        return r ? pass(r) : 0;
}

int test_file_read(struct test_file *f, const char *path, struct text content) {
        struct node *root = NULL;
        *f = (struct test_file){.path = path};
        struct text text = arena_text(&f->arena, content);
        if (!text.data)
                return fail(-ENOMEM);
        diagnostics_add_source(&f->diagnostics, path, text);
        int r = text_ends(text_of(path), TEXT(".json")) ? read_json(f, text, &root) : read_yaml(f, text, &root);
        if (r == 0)
                r = check_file(f, root);
        if (r == 0 && f->diagnostics.errors)
                r = fail(-EINVAL);
        return r ? pass(r) : 0;
}

int test_file_open(struct test_file *f, const char *path) {
        _owned_(buffer_fini) struct buffer content = {0};
        struct place place = {.file = path, .line = 1, .column = 1};
        int r = file_read_whole(path, TEST_FILE_BYTES_MAX, &content);
        if (r == 0)
                return test_file_read(f, path, buffer_as_text(&content));
        *f = (struct test_file){.path = path};
        complain(f, &place, fail_text(r), TEXT(""));
        return pass(r);
}

void test_file_fini(struct test_file *f) {
        diagnostics_fini(&f->diagnostics);
        arena_fini(&f->arena);
}
