#include "gateway/nats_link.h"

#include <errno.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/list.h"

static const char INSTANCE_HEADER[] = "Penstock-Instance";

enum {
        RECONNECT_WAIT_MS = 500,
        CLOSE_WAIT_MS = 5000,
        SUBJECT_BYTES_MAX = 512,
};

/* What a thread of libnats hands to the loop. */
struct event {
        struct event *next;
        struct nats_subject *subject; /* NULL: the server has come or gone */
        natsMsg *message;
        bool is_there;
};

struct pending {
        struct list of_link; /* the oldest first */
        uint64_t number;
        int64_t due_ns;
        nats_answer_fn fn;
        void *context;
};

struct nats_subject {
        struct nats_link *link;
        natsSubscription *subscription;
        nats_message_fn fn;
        void *context;
        struct list of_link;
        bool is_ended; /* freed when libnats has let go of it and no event of it waits */
        unsigned references;
};

struct nats_link {
        struct nats_link_options options;
        natsConnection *connection;
        char inbox[SUBJECT_BYTES_MAX]; /* without the number of a request */
        struct nats_subject *answers;
        struct list subjects, requests;
        struct timer expiry;
        uint64_t last_number;
        bool is_there;

        pthread_mutex_t lock; /* guards all below, and the references of subjects */
        pthread_cond_t room;
        struct event *first, **end;
        size_t bytes;
        bool is_posted, is_ending;
};

/* ---- From libnats to the loop --------------------------------------------------- */

static void drop_subject(struct nats_subject *s) {
        bool is_last = --s->references == 0;
        if (is_last)
                free(s);
}

static size_t event_bytes(const struct event *e) {
        return sizeof *e + (e->message ? (size_t)natsMsg_GetDataLength(e->message) : 0);
}

static struct event *take_events(struct nats_link *l) {
        pthread_mutex_lock(&l->lock);
        struct event *all = TAKE(l->first);
        l->end = &l->first;
        l->bytes = 0;
        l->is_posted = false;
        pthread_cond_broadcast(&l->room);
        pthread_mutex_unlock(&l->lock);
        return all;
}

static const char *header_of(natsMsg *m, const char *name) {
        const char *value = NULL;
        return natsMsgHeader_Get(m, name, &value) == NATS_OK && value ? value : "";
}

static void hand_out(struct nats_link *l, struct event *e) {
        if (!e->subject) {
                l->is_there = e->is_there;
                l->options.changed(l->options.owner, e->is_there);
                return;
        }
        const char *reply = natsMsg_GetReply(e->message);
        const struct nats_message message = {
                .body = {natsMsg_GetData(e->message), (size_t)natsMsg_GetDataLength(e->message)},
                .instance = header_of(e->message, INSTANCE_HEADER),
                .reply = reply ? reply : ""};
        if (!e->subject->is_ended && e->subject != l->answers)
                e->subject->fn(e->subject->context, &message);
}

static void take_answer(struct nats_link *l, natsMsg *m);

static void hand_out_all(void *argument) {
        struct nats_link *l = argument;
        for (struct event *e = take_events(l), *next; e; e = next) {
                next = e->next;
                if (e->subject && e->subject == l->answers)
                        take_answer(l, e->message);
                else
                        hand_out(l, e);
                pthread_mutex_lock(&l->lock);
                if (e->subject)
                        drop_subject(e->subject);
                pthread_mutex_unlock(&l->lock);
                natsMsg_Destroy(e->message);
                free(e);
        }
}

/* On a thread of libnats, which waits while there is much to do. Takes the message. */
static void hand_in(struct nats_link *l, struct nats_subject *subject, natsMsg *message, bool is_there) {
        struct event *e = calloc(1, sizeof *e);
        pthread_mutex_lock(&l->lock);
        while (l->bytes > LINK_BYTES_MAX && !l->is_ending)
                pthread_cond_wait(&l->room, &l->lock);
        if (!e || l->is_ending) {
                pthread_mutex_unlock(&l->lock);
                natsMsg_Destroy(message);
                free(e);
                return;
        }
        *e = (struct event){.subject = subject, .message = message, .is_there = is_there};
        if (subject)
                subject->references++;
        *l->end = e;
        l->end = &e->next;
        l->bytes += event_bytes(e);
        if (!l->is_posted)
                l->is_posted = loop_post(l->options.loop, hand_out_all, l) == 0;
        pthread_mutex_unlock(&l->lock);
}

static void on_message(natsConnection *connection _unused_, natsSubscription *subscription _unused_, natsMsg *message,
                       void *context) {
        struct nats_subject *s = context;
        hand_in(s->link, s, message, false);
}

/* libnats has ended the subscription: none of its threads comes here with it again. */
static void on_end(void *context) {
        struct nats_subject *s = context;
        struct nats_link *l = s->link;
        pthread_mutex_lock(&l->lock);
        drop_subject(s);
        pthread_mutex_unlock(&l->lock);
}

static void on_connected(natsConnection *connection _unused_, void *context) {
        hand_in(context, NULL, NULL, true);
}

static void on_disconnected(natsConnection *connection _unused_, void *context) {
        hand_in(context, NULL, NULL, false);
}

static void on_error(natsConnection *connection _unused_, natsSubscription *subscription _unused_, natsStatus status,
                     void *context) {
        struct nats_link *l = context;
        report(l->options.reporter, SEVERITY_ERR, 0, "NATS: %s", natsStatus_GetText(status));
}

/* ---- Requests -------------------------------------------------------------------- */

static void end_request(struct pending *p, enum nats_answer answer, struct text body) {
        list_remove(&p->of_link);
        p->fn(p->context, answer, body);
        free(p);
}

static void rearm(struct nats_link *l) {
        if (list_is_empty(&l->requests))
                loop_disarm(l->options.loop, &l->expiry);
        else
                (void)loop_arm(l->options.loop, &l->expiry,
                               CONTAINER_OF(l->requests.next, struct pending, of_link)->due_ns);
}

static void expire(struct timer *timer) {
        struct nats_link *l = CONTAINER_OF(timer, struct nats_link, expiry);
        int64_t now_ns = clock_mono_ns();
        while (!list_is_empty(&l->requests)) {
                struct pending *p = CONTAINER_OF(l->requests.next, struct pending, of_link);
                if (p->due_ns > now_ns)
                        break;
                end_request(p, NATS_TOO_LATE, TEXT_NONE);
        }
        rearm(l);
}

/* Its subject ends with the number of the request. */
static void take_answer(struct nats_link *l, natsMsg *m) {
        const char *subject = natsMsg_GetSubject(m), *dot = subject ? strrchr(subject, '.') : NULL;
        uint64_t number = dot ? strtoull(dot + 1, NULL, 10) : 0;
        for (struct list *i = l->requests.next; i != &l->requests; i = i->next) {
                struct pending *p = CONTAINER_OF(i, struct pending, of_link);
                if (p->number != number)
                        continue;
                struct text body = {natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m)};
                end_request(p, natsMsg_IsNoResponders(m) ? NATS_NOBODY : NATS_ANSWERED, body);
                rearm(l);
                return;
        }
}

static int put(struct nats_link *l, const char *subject, const char *reply, const char *instance, struct text body) {
        natsMsg *m = NULL;
        if (l->is_there && (int64_t)body.size > natsConnection_GetMaxPayload(l->connection))
                return -EMSGSIZE;
        natsStatus s = natsMsg_Create(&m, subject, reply, body.data, (int)body.size);
        if (s == NATS_OK && instance && *instance && strcmp(instance, "*") != 0)
                s = natsMsgHeader_Set(m, INSTANCE_HEADER, instance);
        if (s == NATS_OK)
                s = natsConnection_PublishMsg(l->connection, m);
        natsMsg_Destroy(m);
        switch (s) {
        case NATS_OK:
                return 0;
        case NATS_MAX_PAYLOAD:
                return -EMSGSIZE;
        case NATS_INSUFFICIENT_BUFFER:
                return -EAGAIN;
        case NATS_INVALID_SUBJECT:
        case NATS_INVALID_ARG:
                return -EINVAL;
        default:
                return -EIO;
        }
}

int nats_link_publish(struct nats_link *l, const char *subject, const char *instance, struct text body) {
        return put(l, subject, NULL, instance, body);
}

int nats_link_request(struct nats_link *l, const char *subject, const char *instance, struct text body,
                      nats_answer_fn fn, void *context) {
        char reply[SUBJECT_BYTES_MAX + 32];
        if (!l->is_there)
                return -ENOTCONN;
        struct pending *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        *p = (struct pending){.number = ++l->last_number,
                              .due_ns = clock_mono_ns() + LINK_REQUEST_MS * INT64_C(1000000),
                              .fn = fn,
                              .context = context};
        snprintf(reply, sizeof reply, "%s.%llu", l->inbox, (unsigned long long)p->number);
        int r = put(l, subject, reply, instance, body);
        if (r) {
                free(p);
                return r;
        }
        list_append(&l->requests, &p->of_link);
        rearm(l);
        return 0;
}

/* ---- Subscriptions ------------------------------------------------------------------ */

int nats_link_subscribe(struct nats_subject **ret, struct nats_link *l, const char *subject, nats_message_fn fn,
                        void *context) {
        struct nats_subject *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        /* One reference is ours, one libnats's. */
        *s = (struct nats_subject){.link = l, .fn = fn, .context = context, .references = 2};
        if (natsConnection_Subscribe(&s->subscription, l->connection, subject, on_message, s) != NATS_OK) {
                free(s);
                return fail(-EIO);
        }
        natsSubscription_SetOnCompleteCB(s->subscription, on_end, s);
        list_append(&l->subjects, &s->of_link);
        *ret = s;
        return 0;
}

struct nats_subject *nats_link_unsubscribe(struct nats_subject *s) {
        if (!s)
                return NULL;
        struct nats_link *l = s->link;
        list_remove(&s->of_link);
        s->is_ended = true;
        natsSubscription *subscription = TAKE(s->subscription);
        (void)natsSubscription_Unsubscribe(subscription);
        natsSubscription_Destroy(subscription);
        pthread_mutex_lock(&l->lock);
        drop_subject(s);
        pthread_mutex_unlock(&l->lock);
        return NULL;
}

/* ---- Beginning and end ---------------------------------------------------------------- */

static int set_options(natsOptions *o, struct nats_link *l) {
        const struct nats_link_options *wanted = &l->options;
        natsStatus s = natsOptions_SetURL(o, wanted->url);
        if (s == NATS_OK)
                s = natsOptions_SetName(o, "penstock-nats");
        /* What we publish is for others: it would come back to the bus it is from. */
        if (s == NATS_OK)
                s = natsOptions_SetNoEcho(o, true);
        if (s == NATS_OK)
                s = natsOptions_SetMaxReconnect(o, -1);
        if (s == NATS_OK)
                s = natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS);
        if (s == NATS_OK)
                s = natsOptions_SetRetryOnFailedConnect(o, true, on_connected, l);
        if (s == NATS_OK)
                s = natsOptions_SetReconnectedCB(o, on_connected, l);
        if (s == NATS_OK)
                s = natsOptions_SetDisconnectedCB(o, on_disconnected, l);
        if (s == NATS_OK)
                s = natsOptions_SetErrorHandler(o, on_error, l);
        if (s == NATS_OK && wanted->credentials)
                s = natsOptions_SetUserCredentialsFromFiles(o, wanted->credentials, NULL);
        if (s == NATS_OK && wanted->ca_file)
                s = natsOptions_LoadCATrustedCertificates(o, wanted->ca_file);
        if (s == NATS_OK)
                return 0;
        report(wanted->reporter, SEVERITY_ERR, 0, "the NATS server %s: %s", wanted->url, natsStatus_GetText(s));
        return fail(-EINVAL);
}

static int connect_to(struct nats_link *l) {
        natsOptions *options = NULL;
        if (natsOptions_Create(&options) != NATS_OK)
                return fail(-ENOMEM);
        int r = set_options(options, l);
        natsStatus s = r ? NATS_OK : natsConnection_Connect(&l->connection, options);
        natsOptions_Destroy(options);
        if (s == NATS_OK && !r)
                l->is_there = true;
        else if (s != NATS_NOT_YET_CONNECTED && !r) {
                report(l->options.reporter, SEVERITY_ERR, 0, "the NATS server %s: %s", l->options.url,
                       natsStatus_GetText(s));
                r = fail(-EINVAL);
        }
        return r;
}

static int open_inbox(struct nats_link *l) {
        natsInbox *inbox = NULL;
        char all[SUBJECT_BYTES_MAX + 4];
        if (natsInbox_Create(&inbox) != NATS_OK)
                return fail(-ENOMEM);
        snprintf(l->inbox, sizeof l->inbox, "%s", inbox);
        natsInbox_Destroy(inbox);
        snprintf(all, sizeof all, "%s.*", l->inbox);
        return nats_link_subscribe(&l->answers, l, all, NULL, NULL);
}

int nats_link_new(struct nats_link **ret, const struct nats_link_options *options) {
        struct nats_link *l = calloc(1, sizeof *l);
        if (!l)
                return fail(-ENOMEM);
        l->options = *options;
        l->end = &l->first;
        l->expiry.fire = expire;
        list_init(&l->subjects);
        list_init(&l->requests);
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->room, NULL);
        int r = connect_to(l);
        if (r == 0)
                r = open_inbox(l);
        if (r) {
                nats_link_free(l);
                return pass(r);
        }
        *ret = l;
        return 0;
}

struct nats_link *nats_link_free(struct nats_link *l) {
        if (!l)
                return NULL;
        pthread_mutex_lock(&l->lock);
        l->is_ending = true;
        pthread_cond_broadcast(&l->room);
        pthread_mutex_unlock(&l->lock);
        while (!list_is_empty(&l->subjects))
                nats_link_unsubscribe(CONTAINER_OF(l->subjects.next, struct nats_subject, of_link));
        if (l->connection) {
                (void)natsConnection_FlushTimeout(l->connection, CLOSE_WAIT_MS);
                natsConnection_Close(l->connection);
                natsConnection_Destroy(l->connection);
        }
        /* Every thread of libnats has ended when this returns. */
        (void)nats_CloseAndWait(CLOSE_WAIT_MS);
        loop_disarm(l->options.loop, &l->expiry);
        while (!list_is_empty(&l->requests))
                end_request(CONTAINER_OF(l->requests.next, struct pending, of_link), NATS_TOO_LATE, TEXT_NONE);
        for (struct event *e = take_events(l), *next; e; e = next) {
                next = e->next;
                if (e->subject)
                        drop_subject(e->subject);
                natsMsg_Destroy(e->message);
                free(e);
        }
        pthread_mutex_destroy(&l->lock);
        pthread_cond_destroy(&l->room);
        free(l);
        return NULL;
}

bool nats_link_is_there(const struct nats_link *l) {
        return l->is_there;
}
