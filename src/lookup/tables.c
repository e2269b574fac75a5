#include "lookup/tables.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/file.h"

struct table {
        struct tables *tables;
        size_t number;
        char *name;
        char *file;
        bool reloads_on_hup;
        struct lookup *current; /* under the tables' mutex; NULL: nothing could be read yet */
        bool is_requested;
        char *stub; /* of the request; NULL: none */
        size_t stub_size;
};

struct tables {
        struct reporter *reporter;
        struct table **items;
        size_t count;
        pthread_mutex_t mutex;
        pthread_cond_t has_work;
        pthread_t reloader;
        bool is_running, is_ending;
        unsigned pending; /* requests that are not done, the one in work included */
};

int tables_new(struct tables **ret, struct reporter *reporter) {
        struct tables *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        t->reporter = reporter;
        pthread_mutex_init(&t->mutex, NULL);
        pthread_cond_init(&t->has_work, NULL);
        *ret = t;
        return 0;
}

static struct table *table_free(struct table *table) {
        if (!table)
                return NULL;
        lookup_unref(table->current);
        free(table->stub);
        free(table->name);
        free(table->file);
        free(table);
        return NULL;
}
OWNED_POINTER(struct table, table_free);

void tables_stop(struct tables *t) {
        if (!t || !t->is_running)
                return;
        pthread_mutex_lock(&t->mutex);
        t->is_ending = true;
        pthread_cond_signal(&t->has_work);
        pthread_mutex_unlock(&t->mutex);
        pthread_join(t->reloader, NULL);
        t->is_running = false;
}

struct tables *tables_free(struct tables *t) {
        if (!t)
                return NULL;
        tables_stop(t);
        for (size_t i = 0; i < t->count; i++)
                table_free(t->items[i]);
        free(t->items);
        pthread_cond_destroy(&t->has_work);
        pthread_mutex_destroy(&t->mutex);
        free(t);
        return NULL;
}

struct table *tables_find(const struct tables *t, struct text name) {
        for (size_t i = 0; i < t->count; i++)
                if (text_equal(text_of(t->items[i]->name), name))
                        return t->items[i];
        return NULL;
}

int tables_add(struct tables *t, struct table **ret, const char *name, const char *file, bool reloads_on_hup) {
        assert(!t->is_running);
        if (tables_find(t, text_of(name)))
                return fail(-EEXIST);
        if (t->count == TABLES_MAX)
                return fail(-E2BIG);
        _owned_(table_free) struct table *table = calloc(1, sizeof *table);
        struct table **grown = realloc(t->items, (t->count + 1) * sizeof(*grown));
        if (grown)
                t->items = grown;
        if (!table || !grown)
                return fail(-ENOMEM);
        table->tables = t;
        table->number = t->count;
        table->reloads_on_hup = reloads_on_hup;
        table->name = strdup(name);
        table->file = strdup(file);
        if (!table->name || !table->file)
                return fail(-ENOMEM);
        *ret = table;
        t->items[t->count++] = TAKE(table);
        return 0;
}

const char *table_file(const struct table *table) {
        return table->file;
}

/* ---- Reading ----------------------------------------------------------------- */

static void swap_in(struct table *table, struct lookup *made) {
        pthread_mutex_lock(&table->tables->mutex);
        struct lookup *old = table->current;
        table->current = made;
        pthread_mutex_unlock(&table->tables->mutex);
        lookup_unref(old);
}

int table_load(struct table *table, struct lookup_listener *listener) {
        _owned_(buffer_fini) struct buffer file = {0};
        int r = file_read_whole(table->file, LOOKUP_FILE_BYTES_MAX, &file);
        if (r)
                return pass(r);
        struct lookup *made;
        r = lookup_read(&made, buffer_as_text(&file), listener);
        if (r)
                return pass(r);
        swap_in(table, made);
        return 0;
}

/* What is wrong with a file that is read again goes to the log. */
struct log_listener {
        struct lookup_listener listener;
        const struct table *table;
        int error_code;
};

enum { CODE_JSON = 2303, CODE_TABLE = 2009, CODE_OPEN = 2040, CODE_RELOAD = 2175 };

static void hear_for_log(struct lookup_listener *listener, enum severity severity, uint32_t line, uint32_t column,
                         const char *what) {
        const struct log_listener *l = CONTAINER_OF(listener, struct log_listener, listener);
        if (severity > SEVERITY_WARNING)
                return;
        bool is_json = strncmp(what, "json", 4) == 0;
        report(l->table->tables->reporter, severity, is_json ? CODE_JSON : CODE_TABLE,
               "lookup table '%s' %s (%s:%u:%u)", l->table->name, what, l->table->file, line, column);
}

static void stub_out(struct table *table, struct text stub) {
        struct reporter *reporter = table->tables->reporter;
        struct lookup *made;
        report(reporter, SEVERITY_INFO, 0, "stubbing lookup table '%s' with value '%.*s'", table->name,
               TEXT_ARGS(stub));
        int r = lookup_new_stub(&made, stub);
        if (r) {
                report(reporter, SEVERITY_ERR, CODE_RELOAD, "lookup table '%s' could not be stubbed: %s", table->name,
                       fail_text(r));
                return;
        }
        swap_in(table, made);
        report(reporter, SEVERITY_INFO, 0, "lookup table '%s' stubbed with value '%.*s'", table->name, TEXT_ARGS(stub));
}

static void reload(struct table *table, struct text stub) {
        struct reporter *reporter = table->tables->reporter;
        struct log_listener listener = {.listener.hear = hear_for_log, .table = table};
        int r = table_load(table, &listener.listener);
        if (r == 0) {
                report(reporter, SEVERITY_INFO, 0, "lookup table '%s' reloaded from file '%s'", table->name,
                       table->file);
                return;
        }
        if (r != -EBADMSG)
                report(reporter, SEVERITY_ERR, CODE_OPEN, "lookup table file '%s' could not be opened: %s", table->file,
                       fail_text(r));
        report(reporter, SEVERITY_ERR, CODE_RELOAD, "lookup table '%s' could not be reloaded from file '%s'",
               table->name, table->file);
        if (stub.data)
                stub_out(table, stub);
}

/* ---- The reloader ------------------------------------------------------------ */

static struct table *next_requested(struct tables *t) {
        for (size_t i = 0; i < t->count; i++)
                if (t->items[i]->is_requested)
                        return t->items[i];
        return NULL;
}

static void *reloader_main(void *argument) {
        struct tables *t = argument;
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);
        pthread_mutex_lock(&t->mutex);
        while (!t->is_ending) {
                struct table *table = next_requested(t);
                if (!table) {
                        pthread_cond_wait(&t->has_work, &t->mutex);
                        continue;
                }
                table->is_requested = false;
                _owned_(memory_free) char *stub = TAKE(table->stub);
                struct text text = {stub, table->stub_size};
                pthread_mutex_unlock(&t->mutex);
                reload(table, text);
                pthread_mutex_lock(&t->mutex);
                t->pending--;
        }
        pthread_mutex_unlock(&t->mutex);
        return NULL;
}

int tables_start(struct tables *t) {
        if (t->count == 0 || t->is_running)
                return 0;
        int r = pthread_create(&t->reloader, NULL, reloader_main, t);
        if (r)
                return fail(-r);
        t->is_running = true;
        return 0;
}

/* A request that waits already is the same request; the newer stub counts. */
static void request(struct table *table, struct text stub) {
        struct tables *t = table->tables;
        if (t->is_ending)
                return;
        char *copy = stub.data ? text_copy(stub) : NULL;
        if (!table->is_requested)
                t->pending++;
        table->is_requested = true;
        if (copy) {
                free(table->stub);
                table->stub = copy;
                table->stub_size = stub.size;
        }
        pthread_cond_signal(&t->has_work);
}

void table_request(struct table *table, struct text stub) {
        struct tables *t = table->tables;
        pthread_mutex_lock(&t->mutex);
        request(table, stub);
        pthread_mutex_unlock(&t->mutex);
}

void tables_request_hup(struct tables *t) {
        pthread_mutex_lock(&t->mutex);
        for (size_t i = 0; i < t->count; i++)
                if (t->items[i]->reloads_on_hup)
                        request(t->items[i], TEXT_NONE);
        pthread_mutex_unlock(&t->mutex);
}

bool tables_are_pending(struct tables *t) {
        pthread_mutex_lock(&t->mutex);
        bool is_pending = t->pending > 0;
        pthread_mutex_unlock(&t->mutex);
        return is_pending;
}

/* ---- Views ----------------------------------------------------------------- */

void lookup_views_release_all(struct lookup_views *v) {
        for (size_t i = 0; i < v->count; i++)
                v->held[i] = lookup_unref(v->held[i]);
        v->is_holding = false;
}

void lookup_views_fini(struct lookup_views *v) {
        lookup_views_release_all(v);
        free(v->held);
        *v = (struct lookup_views){0};
}

static const struct lookup *acquire(struct lookup_views *v, struct table *table) {
        struct tables *t = table->tables;
        if (v->count < t->count) {
                struct lookup **grown = realloc(v->held, t->count * sizeof(*grown));
                if (!grown)
                        return NULL;
                memset(grown + v->count, 0, (t->count - v->count) * sizeof(*grown));
                v->held = grown;
                v->count = t->count;
        }
        pthread_mutex_lock(&t->mutex);
        v->held[table->number] = lookup_ref(table->current);
        pthread_mutex_unlock(&t->mutex);
        v->is_holding = true;
        return v->held[table->number];
}

const struct lookup *lookup_views_get(struct lookup_views *v, struct table *table) {
        if (table->number < v->count && v->held[table->number])
                return v->held[table->number];
        return acquire(v, table);
}
