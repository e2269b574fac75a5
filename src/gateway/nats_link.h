/*
 * The connection to a NATS server. libnats has threads of its own; what they bring is
 * handed to the loop, which everything here belongs to. While the server is away it is
 * tried on, and what is published meanwhile waits in a bounded buffer.
 *
 * Threads of libnats wait while LINK_BYTES_MAX are on their way to the loop: then the
 * server's messages wait in libnats, which drops beyond its own bounds and says so.
 */
#pragma once

#include "base/reporter.h"
#include "base/text.h"
#include "io/loop.h"

struct nats_link;
struct nats_subject; /* a subscription */

enum {
        LINK_BYTES_MAX = 32 << 20,
        LINK_REQUEST_MS = 30000, /* that an answer may take; requests on the bus have time-outs of their own */
};

struct nats_link_options {
        const char *url;         /* may hold user and password */
        const char *credentials; /* file; NULL: none */
        const char *ca_file;     /* of the server's certificate; NULL: the system's */
        struct loop *loop;
        struct reporter *reporter;
        void *owner;
        /* The server has come or gone. On the loop's thread, as all that follows. */
        void (*changed)(void *owner, bool is_there);
};

/* Goes on when the server is away. -EINVAL: the options are wrong (reported); -ENOMEM. */
int nats_link_new(struct nats_link **ret, const struct nats_link_options *options);
/* Requests end with NATS_TOO_LATE; no other callback comes any more. */
struct nats_link *nats_link_free(struct nats_link *link);
bool nats_link_is_there(const struct nats_link *link);

/* `instance` and `reply` are lent, "" when there is none. */
struct nats_message {
        struct text body;
        const char *instance;
        const char *reply; /* where an answer is wanted */
};
typedef void (*nats_message_fn)(void *context, const struct nats_message *message);

int nats_link_subscribe(struct nats_subject **ret, struct nats_link *link, const char *subject, nats_message_fn fn,
                        void *context);
struct nats_subject *nats_link_unsubscribe(struct nats_subject *subject);
/* -EMSGSIZE: more than the server takes; -EAGAIN: the buffer is full. */
int nats_link_publish(struct nats_link *link, const char *subject, const char *instance, struct text body);

enum nats_answer { NATS_ANSWERED, NATS_NOBODY, NATS_TOO_LATE };
typedef void (*nats_answer_fn)(void *context, enum nats_answer answer, struct text body);
/* fn is called exactly once, when the link is freed at the latest. */
int nats_link_request(struct nats_link *link, const char *subject, const char *instance, struct text body,
                      nats_answer_fn fn, void *context);
