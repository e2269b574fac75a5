#include "input/imfile_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"
#include "base/json.h"

#define STATE_PREFIX "imfile-state:"

uint64_t state_hash(const void *data, size_t size) {
        uint64_t hash = 0xcbf29ce484222325;
        for (size_t i = 0; i < size; i++)
                hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3;
        return hash;
}

static int hash_head(int fd, uint32_t bytes, uint64_t *ret) {
        char head[HEAD_BYTES_MAX];
        ssize_t n = file_read_fully_at(fd, head, bytes, 0);
        if (n < 0)
                return pass((int)n);
        if ((size_t)n < bytes)
                return fail(-ENODATA);
        *ret = state_hash(head, bytes);
        return 0;
}

int identity_read(struct identity *ret, int fd, const struct file_facts *facts) {
        struct identity found = {
                .device = facts->device,
                .inode = facts->inode,
                .head_bytes = (uint32_t)MIN(facts->size, (int64_t)HEAD_BYTES_MAX),
        };
        int r = hash_head(fd, found.head_bytes, &found.head_hash);
        if (r)
                return pass(r);
        *ret = found;
        return 0;
}

bool identity_holds(const struct identity *known, int fd) {
        uint64_t hash;
        return known->head_bytes <= HEAD_BYTES_MAX && hash_head(fd, known->head_bytes, &hash) == 0 &&
               hash == known->head_hash;
}

void state_fini(struct state *s) {
        free(s->path);
        buffer_fini(&s->pending);
        *s = (struct state){0};
}

void state_print(struct buffer *out, const struct state *s) {
        buffer_text(out, TEXT("{ \"filename\": \""));
        json_escape(out, text_of(s->path));
        buffer_format(out,
                      "\", \"prev_was_nl\": 0, \"curr_offs\": %lld, \"strt_offs\": %lld, \"inode\": %llu, "
                      "\"device\": %llu, \"head_bytes\": %u, \"head_hash\": \"%016llx\", \"skipping\": %d }\n",
                      (long long)s->offset, (long long)s->offset, (unsigned long long)s->identity.inode,
                      (unsigned long long)s->identity.device, s->identity.head_bytes,
                      (unsigned long long)s->identity.head_hash, s->is_skipping);
}

static int64_t integer_member(const struct json *object, const char *name, int64_t otherwise) {
        const struct json *value = json_get(object, text_of(name));
        return value && value->type == JSON_INT ? value->integer : otherwise;
}

static struct text text_member(const struct json *object, const char *name) {
        const struct json *value = json_get(object, text_of(name));
        return value && value->type == JSON_STRING ? value->string : TEXT_NONE;
}

static bool parse_hash(struct text t, uint64_t *ret) {
        if (t.size != 16)
                return false;
        char digits[17] = {0}, *end;
        memcpy(digits, t.data, t.size);
        *ret = strtoull(digits, &end, 16);
        return *end == '\0';
}

/* An unfinished message. With startmsg.regex rsyslog keeps its text beside an offset behind it. */
static void read_segment(struct state *s, const struct json *object) {
        struct text message = text_member(object, "prev_msg_segment");
        if (message.size && s->offset > integer_member(object, "strt_offs", 0))
                buffer_text(&s->pending, message);
        else if (message.size == 0)
                s->offset = integer_member(object, "strt_offs", s->offset);
        else
                buffer_text(&s->pending, message);
}

int state_parse(struct state *ret, struct text content, uint64_t inode) {
        _owned_(arena_fini) struct arena arena = {0};
        struct json *object;
        size_t used;
        int r = json_parse(&arena, content, &object, &used);
        if (r)
                return r == -ENOMEM ? pass(r) : fail(-EBADMSG);
        _owned_(state_fini) struct state s = {.offset = -1};
        if (object->type == JSON_OBJECT)
                s.offset = integer_member(object, "curr_offs", -1);
        if (s.offset < 0)
                return fail(-EBADMSG);
        s.path = text_copy(text_member(object, "filename"));
        if (!s.path)
                return fail(-ENOMEM);
        int64_t head_bytes = integer_member(object, "head_bytes", -1);
        s.identity.inode = (uint64_t)integer_member(object, "inode", (int64_t)inode);
        s.identity.device = (uint64_t)integer_member(object, "device", 0);
        s.is_ours = head_bytes >= 0 && head_bytes <= HEAD_BYTES_MAX &&
                    parse_hash(text_member(object, "head_hash"), &s.identity.head_hash);
        s.identity.head_bytes = s.is_ours ? (uint32_t)head_bytes : 0;
        s.is_skipping = integer_member(object, "skipping", 0) == 1;
        if (!s.is_ours)
                read_segment(&s, object);
        if (s.offset < 0)
                return fail(-EBADMSG);
        if (buffer_failed(&s.pending))
                return fail(-ENOMEM);
        *ret = s;
        s = (struct state){0};
        return 0;
}

/* ---- The directory ------------------------------------------------------ */

struct listing {
        struct state_store *store;
        size_t capacity;
};

static int list_entry(void *context, const char *name) {
        struct listing *listing = context;
        struct state_store *store = listing->store;
        if (!text_starts(text_of(name), TEXT(STATE_PREFIX)) || strlen(name) >= STATE_NAME_BYTES_MAX)
                return 0;
        if (text_ends(text_of(name), TEXT(".tmp")))
                return 0;
        if (!ARRAY_ROOM(store->entries, store->count, listing->capacity, 16))
                return fail(-ENOMEM);
        char *copy = strdup(name);
        if (!copy)
                return fail(-ENOMEM);
        store->entries[store->count++] =
                (struct state_entry){.inode = strtoull(name + strlen(STATE_PREFIX), NULL, 10), .name = copy};
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        const struct state_entry *left = a, *right = b;
        if (left->inode != right->inode)
                return left->inode < right->inode ? -1 : 1;
        return strcmp(left->name, right->name);
}

int state_store_open(struct state_store *store, const char *directory) {
        *store = (struct state_store){.directory = strdup(directory && *directory ? directory : ".")};
        if (!store->directory)
                return fail(-ENOMEM);
        struct listing listing = {.store = store};
        int r = file_list(store->directory, list_entry, &listing);
        if (store->count)
                qsort(store->entries, store->count, sizeof *store->entries, compare_entries);
        return pass(r);
}

void state_store_close(struct state_store *store) {
        for (size_t i = 0; i < store->count; i++)
                free(store->entries[i].name);
        free(store->entries);
        free(store->directory);
        *store = (struct state_store){0};
}

static bool path_of(const struct state_store *store, const char *name, char path[static FILE_PATH_BYTES_MAX]) {
        int size = *name == '/' ? snprintf(path, FILE_PATH_BYTES_MAX, "%s", name)
                                : snprintf(path, FILE_PATH_BYTES_MAX, "%s/%s", store->directory, name);
        return size >= 0 && size < FILE_PATH_BYTES_MAX;
}

void state_store_remove(const struct state_store *store, const char *name) {
        char path[FILE_PATH_BYTES_MAX];
        if (path_of(store, name, path))
                file_remove(path);
}

int state_store_load(const struct state_store *store, const char *name, uint64_t inode, struct state *ret) {
        char path[FILE_PATH_BYTES_MAX];
        if (!path_of(store, name, path))
                return fail(-ENAMETOOLONG);
        _owned_(buffer_fini) struct buffer content = {0};
        int r = file_read_whole(path, STATE_BYTES_MAX, &content);
        if (r)
                return r == -ENOENT ? r : pass(r);
        return state_parse(ret, buffer_as_text(&content), inode);
}

void state_name(char name[static STATE_NAME_BYTES_MAX], uint64_t inode, uint64_t key, bool with_key) {
        if (with_key)
                snprintf(name, STATE_NAME_BYTES_MAX, STATE_PREFIX "%llu:%016llx", (unsigned long long)inode,
                         (unsigned long long)key);
        else
                snprintf(name, STATE_NAME_BYTES_MAX, STATE_PREFIX "%llu", (unsigned long long)inode);
}

/* rsyslog's state names no file but by path, and by a hash in its own name that ours are not compared with. */
static bool is_trusted(const struct state *s, const struct state_query *q, bool name_has_hash) {
        if (s->offset > q->facts->size)
                return false;
        if (s->is_ours)
                return s->identity.inode == q->facts->inode && identity_holds(&s->identity, q->fd);
        return strcmp(s->path, q->path) == 0 || name_has_hash;
}

static bool try_load(struct state_store *store, const struct state_query *q, const char *name, bool name_has_hash,
                     struct state *ret) {
        _owned_(state_fini) struct state s = {0};
        if (state_store_load(store, name, q->facts->inode, &s) || !is_trusted(&s, q, name_has_hash))
                return false;
        *ret = s;
        s = (struct state){0};
        return true;
}

static struct state_entry *first_entry(struct state_store *store, uint64_t inode) {
        size_t from = 0, to = store->count;
        while (from < to) {
                size_t middle = from + (to - from) / 2;
                if (store->entries[middle].inode < inode)
                        from = middle + 1;
                else
                        to = middle;
        }
        return store->entries ? store->entries + from : NULL;
}

/* Behind the last entry; NULL, like the first, when there are none. */
static const struct state_entry *behind_entries(const struct state_store *store) {
        return store->entries ? store->entries + store->count : NULL;
}

static void mark_used(struct state_store *store, uint64_t inode, const char *name) {
        const struct state_entry *end = behind_entries(store);
        for (struct state_entry *e = first_entry(store, inode); e < end && e->inode == inode; e++)
                if (strcmp(e->name, name) == 0)
                        e->is_used = true;
}

int state_store_find(struct state_store *store, const struct state_query *q, struct state *ret,
                     char name[static STATE_NAME_BYTES_MAX]) {
        if (q->fixed_name) {
                snprintf(name, STATE_NAME_BYTES_MAX, "%s", q->fixed_name);
                return try_load(store, q, name, false, ret) ? 0 : -ENOENT;
        }
        for (int with_key = 1; with_key >= 0; with_key--) {
                state_name(name, q->facts->inode, q->key, with_key);
                if (try_load(store, q, name, false, ret)) {
                        mark_used(store, q->facts->inode, name);
                        return 0;
                }
        }
        const struct state_entry *end = behind_entries(store);
        for (struct state_entry *e = first_entry(store, q->facts->inode); e < end && e->inode == q->facts->inode; e++) {
                bool has_hash = strchr(e->name + strlen(STATE_PREFIX), ':') != NULL;
                _owned_(state_fini) struct state s = {0};
                if (!has_hash || !try_load(store, q, e->name, true, &s))
                        continue;
                if (s.is_ours) /* another input's */
                        continue;
                snprintf(name, STATE_NAME_BYTES_MAX, "%s", e->name);
                e->is_used = true;
                *ret = s;
                s = (struct state){0};
                return 0;
        }
        return -ENOENT;
}
