/*
 * mmdblookup: what a database of MaxMind's form knows of an IP address becomes variables.
 *
 *   OPEN -> OPEN'   HUP: the new database replaces the old; a broken one leaves the old in force   mmdblookup_reopen()
 *
 * A field "!city!names!en" is the path in the database and, below the container, in the message; ":name:!path" gives it
 * another name there. libmaxminddb is loaded by the first action. Workers hold the lock for reading, once a call.
 */
#include <dlfcn.h>
#include <errno.h>
#include <maxminddb.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

#define LIBRARY "libmaxminddb.so.0"

enum { FIELDS_MAX = 256, PATH_DEPTH_MAX = 16, ADDRESS_BYTES_MAX = 64, NESTING_MAX = 16 };

struct mmdblookup_module_settings {
        char *container;
};

struct mmdblookup_settings {
        char *key;
        char *path;
        struct strings fields;
        bool reloads;
};

struct library {
        void *handle;
        __typeof__(MMDB_open) *open;
        __typeof__(MMDB_close) *close;
        __typeof__(MMDB_strerror) *error;
        __typeof__(MMDB_lookup_string) *lookup;
        __typeof__(MMDB_aget_value) *get;
        __typeof__(MMDB_get_entry_data_list) *list;
        __typeof__(MMDB_free_entry_data_list) *list_free;
};

static const struct {
        const char *name;
        size_t offset;
} symbols[] = {
        {"MMDB_open", offsetof(struct library, open)},
        {"MMDB_close", offsetof(struct library, close)},
        {"MMDB_strerror", offsetof(struct library, error)},
        {"MMDB_lookup_string", offsetof(struct library, lookup)},
        {"MMDB_aget_value", offsetof(struct library, get)},
        {"MMDB_get_entry_data_list", offsetof(struct library, list)},
        {"MMDB_free_entry_data_list", offsetof(struct library, list_free)},
};

struct field {
        char *target;                         /* a variable's name; `container` points into it */
        char *names;                          /* what `path` points into */
        const char *path[PATH_DEPTH_MAX + 1]; /* NULL-ended */
        struct container container;
};

struct mmdblookup {
        const struct mmdblookup_settings *settings;
        struct module_log *log;
        struct container key;
        struct field *fields;
        size_t count;
        struct library library;
        pthread_rwlock_t lock; /* guards database */
        MMDB_s database;
        bool is_open;
};

/* ---- The database --------------------------------------------------------------- */

static int library_open(struct library *library) {
        library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!library->handle)
                return fail(-ENOENT);
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                void *found = dlsym(library->handle, symbols[i].name);
                if (!found)
                        return fail(-ENOENT);
                memcpy((char *)library + symbols[i].offset, &found, sizeof found);
        }
        return 0;
}

/* ---- Values ------------------------------------------------------------------------ */

static struct json *scalar(struct arena *a, const MMDB_entry_data_s *d) {
        switch (d->type) {
        case MMDB_DATA_TYPE_UTF8_STRING:
                return json_string(a, (struct text){d->utf8_string, d->data_size});
        case MMDB_DATA_TYPE_BYTES:
                return json_string(a, (struct text){(const char *)d->bytes, d->data_size});
        case MMDB_DATA_TYPE_DOUBLE:
                return json_double(a, d->double_value);
        case MMDB_DATA_TYPE_FLOAT:
                return json_double(a, (double)d->float_value);
        case MMDB_DATA_TYPE_UINT16:
                return json_int(a, d->uint16);
        case MMDB_DATA_TYPE_UINT32:
                return json_int(a, d->uint32);
        case MMDB_DATA_TYPE_INT32:
                return json_int(a, d->int32);
        case MMDB_DATA_TYPE_UINT64:
                return json_int(a, d->uint64 > INT64_MAX ? INT64_MAX : (int64_t)d->uint64);
        case MMDB_DATA_TYPE_BOOLEAN:
                return json_bool(a, d->boolean);
        default:
                return json_null(a);
        }
}

/* The value that the list begins with; *at moves behind it. NULL without memory, or where it nests too deep. */
static struct json *convert(struct arena *a, const MMDB_entry_data_list_s **at, unsigned depth) {
        const MMDB_entry_data_s *d = &(*at)->entry_data;
        *at = (*at)->next;
        if (d->type != MMDB_DATA_TYPE_MAP && d->type != MMDB_DATA_TYPE_ARRAY)
                return scalar(a, d);
        bool is_map = d->type == MMDB_DATA_TYPE_MAP;
        struct json *whole = is_map ? json_object(a) : json_array(a);
        for (uint32_t i = 0; whole && i < d->data_size && *at; i++) {
                const MMDB_entry_data_s *name = &(*at)->entry_data;
                if (is_map)
                        *at = (*at)->next;
                struct json *value = *at && depth ? convert(a, at, depth - 1) : NULL;
                if (!value)
                        return NULL;
                if (is_map ? json_add(a, whole, (struct text){name->utf8_string, name->data_size}, value)
                           : json_append(a, whole, value))
                        return NULL;
        }
        return whole;
}

static struct json *find_value(const struct mmdblookup *m, struct arena *a, MMDB_entry_s *entry,
                               const struct field *f) {
        MMDB_entry_data_s data;
        if (m->library.get(entry, &data, f->path) != MMDB_SUCCESS || !data.has_data)
                return NULL;
        if (data.type != MMDB_DATA_TYPE_MAP && data.type != MMDB_DATA_TYPE_ARRAY)
                return scalar(a, &data);
        MMDB_entry_s inner = {.mmdb = entry->mmdb, .offset = data.offset};
        MMDB_entry_data_list_s *list = NULL;
        if (m->library.list(&inner, &list) != MMDB_SUCCESS)
                return NULL;
        const MMDB_entry_data_list_s *at = list;
        struct json *value = convert(a, &at, NESTING_MAX);
        m->library.list_free(list);
        return value;
}

/* ---- Messages ------------------------------------------------------------------------ */

static void look_up(const struct mmdblookup *m, struct property_context *context, struct batch *b, struct record *r) {
        const struct json *key = container_get(&m->key, context, b, r);
        char address[ADDRESS_BYTES_MAX + 1];
        if (!key || key->type != JSON_STRING || key->string.size > ADDRESS_BYTES_MAX)
                return;
        memcpy(address, key->string.data, key->string.size);
        address[key->string.size] = '\0';
        int no_address, error;
        MMDB_lookup_result_s found = m->library.lookup(&m->database, address, &no_address, &error);
        if (no_address || error != MMDB_SUCCESS || !found.found_entry)
                return;
        for (size_t i = 0; i < m->count; i++) {
                struct json *value = find_value(m, &b->arena, &found.entry, &m->fields[i]);
                if (value)
                        (void)container_add(&m->fields[i].container, context, b, r, value);
        }
}

static void mmdblookup_modify(void *instance, struct property_context *context, struct batch *b,
                              const uint16_t *selection, size_t count) {
        struct mmdblookup *m = instance;
        pthread_rwlock_rdlock(&m->lock);
        for (size_t i = 0; i < count && m->is_open; i++)
                look_up(m, context, b, &b->records[selection[i]]);
        pthread_rwlock_unlock(&m->lock);
}

/* ---- Life ------------------------------------------------------------------------------ */

/* Opens the file beside what is open, and takes its place if it is good. */
static int open_database(struct mmdblookup *m) {
        MMDB_s fresh;
        int error = m->library.open(m->settings->path, MMDB_MODE_MMAP, &fresh);
        if (error != MMDB_SUCCESS) {
                module_report(m->log, SEVERITY_ERR, 0, "mmdblookup: database '%s' cannot be opened: %s%s",
                              m->settings->path, m->library.error(error),
                              m->is_open ? "; the one before stays in force" : "");
                return fail(-EINVAL);
        }
        pthread_rwlock_wrlock(&m->lock);
        MMDB_s old = m->database;
        bool was_open = m->is_open;
        m->database = fresh;
        m->is_open = true;
        pthread_rwlock_unlock(&m->lock);
        if (was_open)
                m->library.close(&old);
        return 0;
}

static void mmdblookup_reopen(void *instance) {
        struct mmdblookup *m = instance;
        if (m->settings->reloads)
                (void)open_database(m);
}

static void mmdblookup_close(void *instance) {
        struct mmdblookup *m = instance;
        for (size_t i = 0; i < m->count; i++) {
                free(m->fields[i].target);
                free(m->fields[i].names);
        }
        free(m->fields);
        if (m->is_open)
                m->library.close(&m->database);
        if (m->library.handle)
                dlclose(m->library.handle);
        pthread_rwlock_destroy(&m->lock);
        free(m);
}

/* "!city!names!en" into its names. -EINVAL, -ENOMEM. */
static int split_path(struct field *f, struct text path) {
        f->names = text_copy(text_slice(path, path.size && path.data[0] == '!', path.size));
        if (!f->names)
                return fail(-ENOMEM);
        size_t depth = 0;
        for (char *at = f->names; at;) {
                char *mark = strchr(at, '!');
                if (depth == PATH_DEPTH_MAX || *at == '\0' || at == mark)
                        return -EINVAL;
                f->path[depth++] = at;
                if (mark)
                        *mark++ = '\0';
                at = mark;
        }
        return 0;
}

/* ":name:!path" or "!path". -EINVAL, -ENOMEM. */
static int read_field(struct field *f, const char *container, struct text spec) {
        struct text name = spec, path = spec;
        if (text_starts(spec, TEXT(":"))) {
                const char *colon = memchr(spec.data + 1, ':', spec.size - 1);
                if (!colon || colon == spec.data + 1)
                        return -EINVAL;
                name = text_slice(spec, 1, (size_t)(colon - spec.data));
                path = text_slice(spec, name.size + 2, spec.size);
        }
        int r = split_path(f, path);
        if (r)
                return r;
        _owned_(buffer_fini) struct buffer target = {0};
        buffer_text(&target, text_of(container));
        if (!text_starts(name, TEXT("!")))
                buffer_byte(&target, '!');
        buffer_text(&target, name);
        f->target = buffer_failed(&target) ? NULL : text_copy(buffer_as_text(&target));
        return f->target ? container_parse(&f->container, text_of(f->target)) : fail(-ENOMEM);
}

static const char *container_of(const void *module_settings) {
        const struct mmdblookup_module_settings *s = module_settings;
        return s && s->container ? s->container : "!iplocation";
}

static int open_parts(struct mmdblookup *m, const struct modifier_host *host) {
        const struct mmdblookup_settings *s = m->settings;
        int r = container_parse(&m->key, text_of(s->key));
        if (r)
                return r;
        m->fields = calloc(s->fields.count + 1, sizeof *m->fields);
        if (!m->fields)
                return fail(-ENOMEM);
        for (size_t i = 0; i < s->fields.count; i++) {
                m->count++;
                r = read_field(&m->fields[i], container_of(host->module_settings), text_of(s->fields.items[i]));
                if (r)
                        return r;
        }
        r = library_open(&m->library);
        return r || host->facts->is_checking ? r : open_database(m);
}

static int mmdblookup_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmdblookup *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->log = host->log;
        pthread_rwlock_init(&m->lock, NULL);
        int r = open_parts(m, host);
        if (r) {
                mmdblookup_close(m);
                return pass(r);
        }
        *ret = m;
        return 0;
}

static int check_fields(const struct mmdblookup_settings *s, const void *module_settings, struct module_log *log) {
        int result = s->fields.count > FIELDS_MAX ? -E2BIG : 0;
        for (size_t i = 0; i < s->fields.count && !result; i++) {
                struct field f = {0};
                result = read_field(&f, container_of(module_settings), text_of(s->fields.items[i]));
                free(f.target);
                free(f.names);
                if (result)
                        module_report_param(log, SEVERITY_ERR, "fields",
                                            "'%s' is no field: it is a path as \"!city!names!en\", or \":name:!path\"",
                                            s->fields.items[i]);
        }
        return result;
}

static int mmdblookup_check(const void *settings, const void *module_settings, struct module_log *log) {
        const struct mmdblookup_settings *s = settings;
        struct container key;
        struct library library = {0};
        if (!s)
                return 0;
        int r = check_fields(s, module_settings, log);
        if (s->key && container_parse(&key, text_of(s->key))) {
                module_report_param(log, SEVERITY_ERR, "key",
                                    "a key is a variable: it starts with ! or ., as in \"!clientip\"");
                r = -EINVAL;
        }
        if (library_open(&library)) {
                module_report(log, SEVERITY_ERR, 0, "mmdblookup needs the library " LIBRARY);
                r = -ENOENT;
        }
        if (library.handle)
                dlclose(library.handle);
        return r;
}

static const struct param mmdblookup_module_params[] = {
        PARAM_STRING(struct mmdblookup_module_settings, container, .name = "container", .dflt = "!iplocation",
                     .help = "The variable that gets the fields."),
        {},
};

#define S struct mmdblookup_settings
static const struct param mmdblookup_params[] = {
        PARAM_STRING(S, key, .name = "key", .flags = PARAM_IS_REQUIRED, .help = "The variable that holds the address."),
        PARAM_STRING(S, path, .name = "mmdbfile", .flags = PARAM_IS_REQUIRED, .help = "Path of the database."),
        PARAM_STRINGS(S, fields, .name = "fields", .flags = PARAM_IS_REQUIRED,
                      .help = "Paths in the database, as \"!city!names!en\" or \":name:!city!names!en\"."),
        PARAM_BOOL(S, reloads, .name = "reloadonhup", .dflt = "on", .help = "Opens the database again on HUP."),
        {},
};
#undef S

static const struct modifier_ops mmdblookup_ops = {
        .open = mmdblookup_open,
        .modify = mmdblookup_modify,
        .reopen = mmdblookup_reopen,
        .close = mmdblookup_close,
};

const struct module mmdblookup_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmdblookup",
        .help = "Looks up IP addresses in a database of MaxMind's form; needs libmaxminddb where it runs.",
        .module_settings = SETTINGS(struct mmdblookup_module_settings, mmdblookup_module_params),
        .settings = SETTINGS(struct mmdblookup_settings, mmdblookup_params),
        .check = mmdblookup_check,
        .modifier = &mmdblookup_ops,
};
