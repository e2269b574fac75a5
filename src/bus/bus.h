/*
 * penstock/bus.h: the client of the message bus.
 *
 * A connection belongs to one thread at a time: all functions on it, and on what it
 * handed out, are called by one thread, or by several that take turns under a lock
 * of theirs. Callbacks run inside penstock_bus_process() and penstock_bus_wait() only,
 * never inside a function that sends, and may call everything but
 * penstock_bus_close().
 *
 * Nothing blocks but what says so. What cannot be sent at once is queued; a queue
 * that is full is an answer (-EAGAIN), and a callback tells when there is room.
 *
 * Functions return 0 or a negative errno: -ENOTCONN (no connection at present),
 * -EAGAIN (the queue is full), -EINVAL (an argument is wrong), -ENOMEM, -EMSGSIZE.
 *
 * Descriptors: those that are given to be sent stay the caller's, who may close them
 * as soon as the function has returned. Those that were received belong to the
 * message and are closed with it, but for those that were taken out of it.
 */
#ifndef PENSTOCK_BUS_H
#define PENSTOCK_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct penstock_bus;
struct penstock_bus_message;
struct penstock_bus_request;

/* ---- The connection --------------------------------------------------------- */

enum penstock_bus_flags {
        PENSTOCK_BUS_RECONNECT = 1, /* a lost connection is made again, with all subscriptions and services */
};

/*
 * Connects; blocks until the broker has answered, for at most five seconds. path NULL: $BIND10_MSGQ_SOCKET_FILE, else
 * /run/penstock/bus. -ECONNREFUSED, -ENOENT, -ETIMEDOUT: no broker is there.
 */
int penstock_bus_connect(struct penstock_bus **ret, const char *path, unsigned flags);
/* Sends what the socket takes at once and closes; outstanding calls end with PENSTOCK_BUS_DISCONNECTED. NULL is fine.
 */
void penstock_bus_close(struct penstock_bus *bus);

bool penstock_bus_is_connected(const struct penstock_bus *bus);
/* The name by which others reach this connection; "" while there is none. It changes when the connection is made again.
 */
const char *penstock_bus_lname(const struct penstock_bus *bus);
/* 2, or 1 with a broker that knows no other: no attachments then. */
int penstock_bus_protocol(const struct penstock_bus *bus);

/*
 * For a loop: when this descriptor can be read (POLLIN), process. It stays the same when the connection is made again.
 * process() does what can be done without blocking: -ENOTCONN when the connection is lost and not to be made again.
 */
int penstock_bus_fd(const struct penstock_bus *bus);
int penstock_bus_process(struct penstock_bus *bus);
/* For programs without a loop: blocks until something can be processed, and does. timeout_ms -1: without end. */
int penstock_bus_wait(struct penstock_bus *bus, int timeout_ms);
/* Blocks until all that was sent is with the broker. -ETIMEDOUT. */
int penstock_bus_flush(struct penstock_bus *bus, int timeout_ms);

typedef void (*penstock_bus_fn)(struct penstock_bus *bus, void *context);
/* There is room again, after an -EAGAIN. */
void penstock_bus_on_room(struct penstock_bus *bus, penstock_bus_fn fn, void *context);
/* The connection was lost, or made again: penstock_bus_is_connected() tells. */
void penstock_bus_on_change(struct penstock_bus *bus, penstock_bus_fn fn, void *context);
/* How much is queued to be sent, and what "full" means (16 MiB). */
size_t penstock_bus_queued(const struct penstock_bus *bus);
void penstock_bus_set_queue_limit(struct penstock_bus *bus, size_t bytes);

/* ---- Messages ---------------------------------------------------------------- */

struct penstock_bus_attachment {
        const void *data; /* a blob */
        size_t size;
        int fd; /* a descriptor, when data is NULL and size 0 */
};

struct penstock_bus_outgoing {
        const char *to;       /* an lname, "NAME[n]", "NAME[?]"; NULL: everybody in the group */
        const char *group;    /* NULL: none */
        const char *instance; /* NULL: "*" */
        const void *body;
        size_t body_size;
        const struct penstock_bus_attachment *attachments;
        size_t attachment_count;
};
int penstock_bus_send(struct penstock_bus *bus, const struct penstock_bus_outgoing *message);
/* An event: `parameters` is a JSON object, NULL an empty one. */
int penstock_bus_notify(struct penstock_bus *bus, const char *event, const char *parameters);

typedef void (*penstock_bus_message_fn)(struct penstock_bus *bus, struct penstock_bus_message *message, void *context);
/* Messages to a group; instance NULL: "*". -EEXIST: it is subscribed to. The message is lent: reference it to keep it.
 */
int penstock_bus_subscribe(struct penstock_bus *bus, const char *group, const char *instance,
                           penstock_bus_message_fn fn, void *context);
int penstock_bus_unsubscribe(struct penstock_bus *bus, const char *group, const char *instance); /* -ENOENT */
/* The same for an event. */
int penstock_bus_on_event(struct penstock_bus *bus, const char *event, penstock_bus_message_fn fn, void *context);
/* Whatever nobody else has taken: messages to the lname, late answers. */
void penstock_bus_on_message(struct penstock_bus *bus, penstock_bus_message_fn fn, void *context);

struct penstock_bus_message *penstock_bus_message_ref(struct penstock_bus_message *message);
void penstock_bus_message_unref(struct penstock_bus_message *message);
/* Members of the header; "" where there is none. They live as long as the message. */
const char *penstock_bus_message_from(struct penstock_bus_message *message);
const char *penstock_bus_message_to(struct penstock_bus_message *message);
const char *penstock_bus_message_group(struct penstock_bus_message *message);
const char *penstock_bus_message_instance(struct penstock_bus_message *message);
const char *penstock_bus_message_header(struct penstock_bus_message *message, size_t *size); /* JSON */
const void *penstock_bus_message_body(struct penstock_bus_message *message, size_t *size);
/* Somebody waits for an answer: a service gives it, or penstock_bus_reply(). */
bool penstock_bus_message_wants_answer(const struct penstock_bus_message *message);
size_t penstock_bus_message_attachment_count(const struct penstock_bus_message *message);
/* The n-th, lent: a descriptor is the message's. -ENOENT. */
int penstock_bus_message_attachment(struct penstock_bus_message *message, size_t n,
                                    struct penstock_bus_attachment *ret);
/* The descriptor of the n-th attachment, which is the caller's from now on. -ENOENT: it is none, or was taken. */
int penstock_bus_message_take_fd(struct penstock_bus_message *message, size_t n);

/* ---- Calls ------------------------------------------------------------------- */

/* Codes of results: 0, positive ones of the service, and these. */
enum penstock_bus_code {
        PENSTOCK_BUS_NO_RECIPIENT = -1,
        PENSTOCK_BUS_RECIPIENT_GONE = -2,
        PENSTOCK_BUS_TIMED_OUT = -3,
        PENSTOCK_BUS_TOO_MANY_OUTSTANDING = -4,
        PENSTOCK_BUS_NOT_ALLOWED = -5,
        PENSTOCK_BUS_NO_ATTACHMENTS = -6,
        PENSTOCK_BUS_TOO_LARGE = -7,
        PENSTOCK_BUS_DISCONNECTED = -100, /* the connection was lost: it may have been done or not */
        PENSTOCK_BUS_BAD_ANSWER = -101,   /* what came is no result */
};

struct penstock_bus_result {
        int code;
        const char *text; /* what went wrong, in words; "" when nothing did */
        const char *data; /* JSON, ended by a NUL: the value, or more about the error; "" when there is none */
        size_t data_size;
        struct penstock_bus_message *message; /* the answer, for its attachments; NULL: none came */
};

struct penstock_bus_call {
        const char *to; /* a name, "NAME[n]", "NAME[?]" or an lname */
        const char *command;
        const char *arguments; /* JSON; NULL: none */
        int timeout_ms;        /* 0: as the broker has it */
        const struct penstock_bus_attachment *attachments;
        size_t attachment_count;
        const void *body; /* as it is, instead of command and arguments; whoever answers has to know it */
        size_t body_size;
};

/* Called exactly once for every call that was taken. The result is lent. */
typedef void (*penstock_bus_result_fn)(struct penstock_bus *bus, const struct penstock_bus_result *result,
                                       void *context);
int penstock_bus_call(struct penstock_bus *bus, const struct penstock_bus_call *call, penstock_bus_result_fn fn,
                      void *context);

/* Called once, when all have ended; results in the order of the calls. */
typedef void (*penstock_bus_results_fn)(struct penstock_bus *bus, const struct penstock_bus_result *const *results,
                                        size_t count, void *context);
/* All or none are taken. */
int penstock_bus_call_many(struct penstock_bus *bus, const struct penstock_bus_call *calls, size_t count,
                           penstock_bus_results_fn fn, void *context);

/*
 * Blocks until the result is there; what else comes meanwhile is kept for penstock_bus_process(). The result is the
 * caller's, for penstock_bus_result_free(). -ENOBUFS: more has come than is kept, 64 MiB; the call may have been done
 * or not.
 */
int penstock_bus_call_sync(struct penstock_bus *bus, const struct penstock_bus_call *call,
                           struct penstock_bus_result **ret);
void penstock_bus_result_free(struct penstock_bus_result *result);

/* ---- Services ---------------------------------------------------------------- */

struct penstock_bus_argument {
        const char *name; /* NULL ends the list */
        const char *type; /* "string", "integer", "real", "boolean", "list", "map", "any" */
        bool is_optional;
        const char *help;
};

/* Answers by penstock_bus_answer(), at once or later. */
typedef void (*penstock_bus_method_fn)(struct penstock_bus_request *request, void *context);

struct penstock_bus_method {
        const char *name; /* NULL ends the list */
        const char *help;
        const struct penstock_bus_argument *arguments; /* NULL: none */
        penstock_bus_method_fn run;
};

/*
 * Serves a name. The table, which has to outlive the connection, is also what `describe` answers with; arguments that
 * are missing or unknown are refused before run() is called. -EEXIST: the name is served or subscribed to.
 */
struct penstock_bus_service {
        const char *name;
        const char *help;
        const struct penstock_bus_method *methods;
};
int penstock_bus_serve(struct penstock_bus *bus, const struct penstock_bus_service *service, void *context);

struct penstock_bus *penstock_bus_request_bus(const struct penstock_bus_request *request);
struct penstock_bus_message *penstock_bus_request_message(struct penstock_bus_request *request);
/* The arguments: JSON, ended by a NUL; "{}" when there are none. */
const char *penstock_bus_request_arguments(struct penstock_bus_request *request);
/*
 * Ends the request, once. code 0: `json` is the value, NULL: none. Else text says what went wrong, and `json` more
 * about it. On failure the request has ended all the same.
 */
int penstock_bus_answer(struct penstock_bus_request *request, int code, const char *text, const char *json,
                        const struct penstock_bus_attachment *attachments, size_t attachment_count);

/* Answers a message that a subscription got, with a body as it is, such as {"result":[0,...]}. */
int penstock_bus_reply(struct penstock_bus *bus, const struct penstock_bus_message *message, const void *body,
                       size_t body_size);

#ifdef __cplusplus
}
#endif
#endif
