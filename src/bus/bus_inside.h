/*
 * What the pieces of the client library share.
 *
 *   bus.c          the connection and its states
 *   bus_message.c  messages, in and out
 *   bus_call.c     calls and their results
 *   bus_serve.c    services
 */
#pragma once

#include "bus/bus.h"
#include "bus/header.h"
#include "bus/list.h"
#include "bus/outbox.h"
#include "bus/receiver.h"
#include "bus/table.h"
#include "io/unix_wait.h"

enum {
        BUS_READ_BYTES = 64 * 1024,
        BUS_SEND_BYTES = 256 * 1024,
        BUS_MESSAGES_A_ROUND = 4096, /* that one penstock_bus_process() hands out */
        BUS_QUEUE_LIMIT = 16 << 20,
        BUS_BACKLOG_BYTES_MAX = 64 << 20,   /* that penstock_bus_call_sync() keeps while it waits */
        BUS_MESSAGE_BYTES_MAX = 2047 << 20, /* the broker has its own limit */
        BUS_CONNECT_MS = 5000,
        BUS_RETRY_FIRST_MS = 50,
        BUS_RETRY_LAST_MS = 5000,
        BUS_ANSWER_MS = 30000, /* with a broker of version 1, which keeps no time */
};

struct call;

struct penstock_bus_message {
        unsigned references;
        struct frame *frame;
        struct header header;
        char *strings[HEADER_FIELDS]; /* what members stand for, ended by a NUL; made when asked for */
        struct list of_backlog;
};

/* Who gets the messages of a group. */
struct subscription_entry {
        struct table_node by_name; /* of group */
        struct list of_bus;
        char *group, *instance;
        penstock_bus_message_fn fn;
        const struct penstock_bus_service *service; /* instead of fn */
        void *context;
};

enum bus_state {
        BUS_CLOSED,   /* lost, and not made again */
        BUS_WAITING,  /* to try again */
        BUS_GREETING, /* the broker has been asked for the lname */
        BUS_READY,
};

/*
 *   (new)    -> GREETING   bus_open()
 *   GREETING -> READY      the lname has come: all is subscribed to again
 *   any      -> WAITING    bus_lose(), when it is to be made again
 *   any      -> CLOSED     bus_lose()
 *   WAITING  -> GREETING   the time has come
 */
struct penstock_bus {
        enum bus_state state;
        unsigned flags;
        char *path;
        char *lname;
        int fd;
        struct unix_wait wait;
        struct receiver receiver;
        struct outbox outbox;
        size_t queue_limit;
        bool owes_room; /* somebody was told that it is full */
        bool is_processing;
        int retry_ms;
        int64_t retry_ns;

        uint64_t seed;
        int64_t seq;
        struct table calls;
        struct list call_list;
        struct table subscriptions;
        struct list subscription_list;
        struct list backlog; /* messages that have come and were not handed out */
        size_t backlog_bytes;
        bool has_changed; /* it was lost or made, and nobody was told yet */
        int64_t lost_seq; /* calls up to here have lost their connection; 0: none has */

        penstock_bus_fn on_room, on_change;
        void *room_context, *change_context;
        penstock_bus_message_fn on_message;
        void *message_context;
        char buffer[BUS_READ_BYTES];
};

/* ---- bus.c ------------------------------------------------------------------ */

/* Queues a frame and sends what can be sent. Takes the frame in any case. -EAGAIN, -ENOTCONN. */
int bus_put(struct penstock_bus *bus, struct frame *frame, bool may_exceed);
/*
 * Sends and reads what can be without blocking. What comes is kept, so that no callback runs, but for the answer to
 * `only`, which may be NULL.
 */
void bus_exchange(struct penstock_bus *bus, const struct call *only);
void bus_rearm(struct penstock_bus *bus);

/* ---- bus_message.c ------------------------------------------------------------ */

/* What a message takes while it waits. */
size_t message_bytes(const struct penstock_bus_message *m);
struct penstock_bus_message *message_new(struct frame *frame); /* takes the frame; NULL: no memory, or no header */
const char *message_string(struct penstock_bus_message *m, enum header_field field);
/* A frame to send; descriptors are duplicated. */
int message_build(struct frame **ret, struct text header, struct text body,
                  const struct penstock_bus_attachment *attachments, size_t count);
void message_dispatch(struct penstock_bus *bus, struct penstock_bus_message *message);
int subscription_send(struct penstock_bus *bus, const char *type, const char *group, const char *instance);
int subscription_add(struct penstock_bus *bus, const struct subscription_entry *entry);
void subscriptions_free(struct penstock_bus *bus);

/* ---- bus_call.c --------------------------------------------------------------- */

/* True when the message answers a call, whose callback has run. */
bool call_answered(struct penstock_bus *bus, struct penstock_bus_message *message);
struct call *call_find(const struct penstock_bus *bus, const struct header *header);
/* Ends all calls with a seq up to that. */
void calls_fail(struct penstock_bus *bus, int64_t last, int code, const char *text);
void calls_expire(struct penstock_bus *bus);
int64_t calls_due_ns(const struct penstock_bus *bus); /* 0: none */

/* ---- bus_serve.c -------------------------------------------------------------- */

void service_dispatch(struct penstock_bus *bus, const struct subscription_entry *entry,
                      struct penstock_bus_message *message);
