#include "daemon/limit_key.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"
#include "parser/chain.h"
#include "template/template.h"

enum { RECORDS_A_BATCH = 32 /* so many messages are read into a batch before the next one is begun */ };

struct limit_key {
        struct sender_key maker;
        const struct limit_key_host *host;
        pthread_mutex_t mutex;     /* guards the rest */
        struct template *template; /* NULL: %hostname% */
        bool is_address;           /* the template is %fromhost-ip% */
        struct batch *batch;       /* that messages are read into; NULL: none is begun */
        struct property_context context;
        struct buffer rendered;
};

static const struct template_def *find_definition(const struct limit_key *k, const char *name) {
        for (const struct template_def *def = k->host->config->templates; def; def = def->next)
                if (strcmp(def->name, name) == 0)
                        return def;
        return template_builtin(text_of(name));
}

bool limit_key_is_known(const struct limit_key *k, const char *template) {
        return find_definition(k, template);
}

int limit_key_use(struct limit_key *k, const char *template) {
        const struct template_def *def = template ? find_definition(k, template) : NULL;
        struct template *made = NULL;
        if (template && !def)
                return fail(-ENOENT);
        int r = def ? template_new(&made, def, NULL) : 0;
        if (r)
                return fail(r == -EINVAL ? -ENOENT : r);
        pthread_mutex_lock(&k->mutex);
        struct template *old = k->template;
        k->template = made;
        k->is_address = def && def->kind == TEMPLATE_STRING && text_equal_nocase(def->string, TEXT("%fromhost-ip%"));
        pthread_mutex_unlock(&k->mutex);
        template_free(old);
        return 0;
}

/* Into the room, as far as a key goes. Under the mutex. */
static struct text render(struct limit_key *k, struct batch *b, struct record *r, char room[LIMIT_SENDER_BYTES]) {
        static const struct property host_name = {.id = PROPERTY_HOSTNAME};
        struct text key = TEXT_NONE;
        if (k->template) {
                buffer_clear(&k->rendered);
                template_render(k->template, &k->context, b, r, false, &k->rendered);
                if (buffer_failed(&k->rendered) == 0)
                        key = buffer_as_text(&k->rendered);
        } else
                key = property_get(&k->context, b, r, &host_name);
        key = text_slice(key, 0, LIMIT_SENDER_BYTES - 1);
        if (key.size)
                memcpy(room, key.data, key.size);
        return (struct text){room, key.size};
}

/* A record of the message, parsed; NULL without memory. */
static struct record *read_message(struct limit_key *k, const struct limited_message *m, const char *ruleset,
                                   int64_t now_us) {
        if (k->batch && k->batch->count >= RECORDS_A_BATCH)
                k->batch = batch_unref(k->batch);
        if (!k->batch)
                k->batch = batch_new(k->host->pool, m->raw.size);
        struct record *r = k->batch ? batch_append(k->batch, m->source) : NULL;
        if (!r)
                return NULL;
        r->raw = batch_store(k->batch, m->raw);
        r->received_us = now_us;
        r->flags = m->flags;
        chain_read(k->host->find_chain(k->host->owner, ruleset), k->batch, r);
        return r;
}

static struct text of_message(struct sender_key *maker, const struct limited_message *m, const char *ruleset,
                              int64_t now_us, char room[LIMIT_SENDER_BYTES]) {
        struct limit_key *k = CONTAINER_OF(maker, struct limit_key, maker);
        struct text key = m->source ? text_of(m->source->address) : TEXT_NONE;
        pthread_mutex_lock(&k->mutex);
        if (!k->is_address) {
                struct record *r = m->record ? m->record : read_message(k, m, ruleset, now_us);
                if (r)
                        key = render(k, m->record ? m->batch : k->batch, r, room);
        }
        pthread_mutex_unlock(&k->mutex);
        return key;
}

int limit_key_new(struct limit_key **ret, const struct limit_key_host *host) {
        struct limit_key *k = calloc(1, sizeof *k);
        if (!k)
                return fail(-ENOMEM);
        k->maker.of_message = of_message;
        k->host = host;
        k->context = *host->context;
        pthread_mutex_init(&k->mutex, NULL);
        *ret = k;
        return 0;
}

struct limit_key *limit_key_free(struct limit_key *k) {
        if (!k)
                return NULL;
        template_free(k->template);
        batch_unref(k->batch);
        buffer_fini(&k->context.scratch);
        buffer_fini(&k->rendered);
        pthread_mutex_destroy(&k->mutex);
        free(k);
        return NULL;
}

struct sender_key *limit_key_maker(struct limit_key *k) {
        return &k->maker;
}
