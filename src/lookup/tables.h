/*
 * The lookup tables of a configuration while it runs.
 *
 *   lookup() -> view -> snapshot          a worker holds one reference a batch
 *   HUP, reload_lookup_table -> reloader  a thread that sleeps until it is asked
 *      file -> new table -> swapped in    the old one goes with its last holder
 *      file wrong -> the old one stays, or the stub takes its place; both are said
 *
 * tables_request() and tables_acquire() may be called from any thread.
 */
#pragma once

#include "lookup/table.h"

struct tables;
struct table;

enum { TABLES_MAX = 1000 };

int tables_new(struct tables **ret, struct reporter *reporter);
struct tables *tables_free(struct tables *t);
OWNED_POINTER(struct tables, tables_free);

/* Before tables_start(). Texts are copied. -EEXIST, -ENOMEM. */
int tables_add(struct tables *t, struct table **ret, const char *name, const char *file, bool reloads_on_hup);
struct table *tables_find(const struct tables *t, struct text name);

const char *table_file(const struct table *table);
/*
 * Reads the file now, on the caller's thread. What is wrong goes to the listener and
 * the old table stays. -EBADMSG, -errno of the file.
 */
int table_load(struct table *table, struct lookup_listener *listener);

/* Starts the reloader where there is a table. -errno. */
int tables_start(struct tables *t);
/* Ends the reloader: what it has not begun is left out, and so is what is asked for later. */
void tables_stop(struct tables *t);
/* Asks for the file to be read again; a stub of NULL data: the old table stays where it fails. */
void table_request(struct table *table, struct text stub);
/* The same for all that are read again at HUP. */
void tables_request_hup(struct tables *t);
/* Whether something that was asked for is not done. */
bool tables_are_pending(struct tables *t);

/* ---- Views ----------------------------------------------------------------- */

/*
 * What one worker sees of the tables: the snapshots that it uses, each by one
 * reference until lookup_views_release(), at the end of a batch. Belongs to a thread.
 */
struct lookup_views {
        struct lookup **held; /* by table; NULL: not used since */
        size_t count;
        bool is_holding;
};
void lookup_views_fini(struct lookup_views *v);
void lookup_views_release_all(struct lookup_views *v);
static inline void lookup_views_release(struct lookup_views *v) {
        if (v->is_holding)
                lookup_views_release_all(v);
}
/* NULL where the table could never be read. Lent until the release. */
const struct lookup *lookup_views_get(struct lookup_views *v, struct table *table);
