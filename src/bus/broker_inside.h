/*
 * What the pieces of the broker share. One thread, that of the loop.
 *
 *   client.c     a connection: its turns of reading, its queue, flow control, its end
 *   route.c      what a client's message means and who gets it
 *   request.c    requests that wait for an answer
 *   post.c       messages of the broker's own: answers, errors, notifications
 *   command.c    the commands of Msgq
 *   manager.c    the handshake with a ConfigManager
 *   trace.c      dumps
 *   broker.c     the listener, the round, start and end
 *
 * A client that has to go is doomed at once and ended at the end of the turn, so
 * that nobody who walks through members loses the ground:
 *
 *   SERVED -> DOOMED   client_doom(): gets and sends nothing any more
 *   DOOMED -> (freed)  client_end(), out of broker_settle()
 *
 * The broker is a client of its own bus: `self` has an lname and is a member of
 * Msgq, but no socket, and what it is sent, command.c answers.
 */
#pragma once

#include "bus/broker.h"
#include "bus/directory.h"
#include "bus/header.h"
#include "bus/outbox.h"
#include "bus/receiver.h"
#include "bus/settings.h"
#include "io/unix_stream.h"

enum {
        LNAME_BYTES_MAX = 104, /* two hexadecimal numbers and a host name of up to 64 */
        HOST_BYTES_MAX = 64,
        /*
         * That are read of one connection, or sent to it, before the next has its turn. With 64 KB a stranger's small
         * request passes a stream of large messages within some 50 us; 256 KB cost such a stream less.
         */
        TURN_BYTES = 64 * 1024,
        TURN_BYTES_ALONE = 256 * 1024,
        READS_ALONE = 16, /* reads in a row without anybody else: nobody waits for the end of one */
        TURN_MESSAGES = 64,
        WIDE_BYTES = 512 * 1024,   /* in a queue, that earn its socket a buffer of as much */
        READ_BYTES = 32 * 1024,    /* asked for at once, but for what belongs to a large frame */
        GIVE_BACK_BYTES = 4 << 20, /* that have to pass before giving memory back is worth its time */
        GIVE_BACK_MS = 1000,       /* without traffic */
        OWN_QUEUE_FACTOR = 16,     /* times queue_limit: beyond it a reader of the broker's own messages is dropped */
};
static_assert(LNAME_BYTES_MAX + sizeof "\"from\":\"\"," <= FRAME_HEADER_GROWTH_MAX, "an lname fits into a header");

/* What all clients of one user have together. */
struct account {
        struct table_node node;
        uid_t uid;
        uint32_t clients;
        uint64_t bytes; /* in queues to them, and received in part */
        struct fd_budget fds;
};

/* A sender that is not read because a queue that it fills is full. */
struct block {
        struct client *sender, *reader;
        struct list of_sender, of_reader;
};

struct client {
        struct watch watch; /* fd -1: the broker itself */
        struct broker *broker;
        struct list all, more, dirty, doomed; /* places in the lists of the broker */
        bool is_doomed;
        bool is_gone;    /* the peer has closed: what waits for it is of no use */
        bool is_waiting; /* for its socket to take bytes */
        bool is_wide;    /* its socket has the buffer of one that is sent much */
        bool is_owed;    /* something was left when it was flushed last */
        const char *doom;

        char lname[LNAME_BYTES_MAX];
        uint32_t lname_bytes;
        struct table_node by_lname;
        struct unix_peer peer;
        gid_t *groups; /* supplementary, where the policy asks for groups */
        size_t group_count;
        struct account *account;
        enum wire_version version;

        struct receiver receiver;
        char *rest; /* read, but its turn was over */
        size_t rest_begin, rest_end;
        uint64_t partial_charged; /* bytes of an unfinished frame, as the account knows them */

        struct outbox outbox;
        struct timer stall;
        int64_t progress_ns; /* when the socket last took bytes */
        struct list blocks;  /* of this sender */
        struct list blocked; /* senders that wait for this reader */

        struct subscriber subscriber;
        struct list requests; /* of struct request: it has asked */
        struct list awaited;  /* of struct pending: it is asked */
        uint32_t outstanding;
        uint64_t received, sent, queued_frames;
        uint64_t mark; /* of the message that it has got last */
        struct trace *trace;
};

enum log_kind {
        LOG_CONNECT,
        LOG_DROP,
        LOG_VIOLATION,
        LOG_UNDELIVERED,
        LOG_TIMEOUT,
        LOG_REFUSED,
        LOG_ADMIN,
        LOG_TROUBLE,
        LOG_KINDS,
};
struct log_limit {
        int64_t since_ns;
        uint32_t lines;
        uint64_t suppressed;
};

struct request;
struct trace;

enum manager_step { MANAGER_NONE, MANAGER_LOGGING, MANAGER_SPECIFICATION, MANAGER_SETTINGS, MANAGER_DONE };

struct broker {
        struct loop *loop;
        struct reporter *reporter;
        struct settings settings;
        struct policy policy;
        char *socket_path;
        bool is_bound; /* the path is ours to unlink */
        bool is_stopping;
        bool is_settling;
        void (*stopped)(void *context);
        void *context;

        struct watch listener;
        struct timer accept_pause; /* no descriptor was left */
        struct round_hook hook;
        struct stock stock; /* of large frames */
        bool gives_memory_back;
        uint64_t passed_bytes; /* that were queued since memory was given back */
        uint64_t seen_bytes;   /* of those, when the timer last looked */
        struct timer give_back;
        struct timer again; /* wakes the loop while clients in `more` wait for a turn */
        struct list all, more, dirty, doomed;
        uint64_t read_last;    /* serial of the client that something came from last */
        uint32_t reads_in_row; /* reads that it had */

        uint64_t seed;
        uint64_t random;
        uint64_t serial;
        char host[HOST_BYTES_MAX + 1];
        struct table lnames;
        struct table accounts;
        struct directory directory;
        uint32_t client_count;
        uint64_t mark; /* of the message that is delivered */

        struct table requests;
        struct list free_requests, free_pendings;

        struct client self;
        uint64_t own_seq;
        enum manager_step manager_step;
        int64_t manager_seq;

        struct list traces;
        struct buffer traced_to; /* recipients of the message that is delivered, as JSON strings */
        struct log_limit limits[LOG_KINDS];
        char scratch[READ_BYTES];
        char room[3][WIRE_HEADER_BYTES_MAX]; /* for what escaped strings stand for */
};

static inline struct text client_lname(const struct client *c) {
        return (struct text){c->lname, c->lname_bytes};
}

/* ---- client.c -------------------------------------------------------------- */

int client_new(struct client **ret, struct broker *b, int fd);
void client_name(struct client *c); /* gives it a serial and an lname */
/* From now on nothing reaches it; it is ended by broker_settle(). `why` is for the log; NULL: nothing went wrong. */
void client_doom(struct client *c, const char *why);
void client_end(struct client *c);
/* Reads and serves what is there, as much as one turn has. */
void client_turn(struct client *c);
void client_flush(struct client *c);
/* Queues a frame; `sender`, which may be NULL, waits where the queue is full. True when it was taken. */
bool client_queue(struct client *c, struct frame *frame, struct client *sender);
static inline bool client_is_blocked(const struct client *c) {
        return !list_is_empty(&c->blocks);
}

/* ---- route.c --------------------------------------------------------------- */

/* Takes the frame. */
void route_message(struct client *c, struct frame *frame, bool is_too_large);
/* The client behind a name of any form, as `asker` would reach it; NULL: none. */
struct client *route_find(struct broker *b, struct text name, const struct client *asker);
struct client *broker_find(const struct broker *b, struct text lname);
bool broker_may_control(struct broker *b, const struct client *c);
void client_leave(struct client *c); /* ends all subscriptions */

/* ---- request.c ------------------------------------------------------------- */

enum bus_error {
        BUS_NO_RECIPIENT = -1,
        BUS_RECIPIENT_GONE = -2,
        BUS_TIMED_OUT = -3,
        BUS_TOO_MANY = -4,
        BUS_NOT_ALLOWED = -5,
        BUS_NO_ATTACHMENTS = -6,
        BUS_TOO_LARGE = -7,
};

/* A request that waits; its header is kept for the error that it may get. */
int request_begin(struct request **ret, struct client *requester, const struct frame *frame,
                  const struct header *header);
int request_await(struct request *q, struct client *recipient);
bool request_is_awaited(const struct request *q);
struct request *request_end(struct request *q);
/* An answer: ends what it answers. */
bool request_answered(struct client *requester, const struct client *answerer, const struct scan_value *reply);
/* Of a client that ends. */
void request_forget_requester(struct client *c);
void request_forget_recipient(struct client *c);
void request_fini(struct broker *b);

/* ---- post.c ---------------------------------------------------------------- */

/* A message of the broker's own. `cause`: whoever made it say that, and waits for it; may be NULL. */
bool post(struct client *to, struct text header, struct text body, struct client *cause);
/* Answers a message to the broker. */
void post_answer(struct client *to, const struct header *header, struct text body);
/* {"result":[code,text(,data)]} in answer to a request; data is JSON or empty. */
void post_error(struct client *to, const struct header *header, enum bus_error code, struct text data);
/* To group notifications/cc_members: {"notification":[event,{"client":L(,"group":G)}]}. */
void post_membership(struct broker *b, const char *event, const struct client *about, struct text group,
                     struct client *cause);
void post_getlname(struct client *to, const struct header *header);

/* ---- command.c, manager.c -------------------------------------------------- */

/* A message that has reached the broker itself. */
void command_message(struct client *from, const struct frame *frame, const struct header *header);
void command_specification(struct buffer *out);
/* All or nothing; the names of wrong items as a JSON array in `wrong`. */
int command_apply(struct broker *b, const struct scan_value *items, struct buffer *wrong);
void manager_appeared(struct broker *b);
/* An answer to the broker; false: to something else. */
bool manager_answered(struct broker *b, const struct frame *frame, const struct header *header);

/* ---- trace.c --------------------------------------------------------------- */

static inline bool trace_is_on(const struct broker *b) {
        return UNLIKELY(!list_is_empty(&b->traces));
}
/* One more recipient of the message that is delivered. */
void trace_recipient(struct broker *b, const struct client *recipient);
void trace_message(struct broker *b, const char *event, const struct client *from, const struct frame *frame,
                   const struct header *header, int code);
void trace_subscription(struct broker *b, const char *event, const struct client *from, struct text group,
                        struct text instance);
/* -ENOMEM, -EINVAL: not a filter. A filter of null ends it. */
int trace_set(struct client *c, const struct scan_value *filter, bool wants_body);
struct trace *trace_free(struct trace *t);

/* ---- broker.c -------------------------------------------------------------- */

/* Flushes what was queued and ends who is doomed. */
void broker_settle(struct broker *b);
void broker_more(struct client *c); /* it wants another turn */
uint64_t broker_random(struct broker *b, uint64_t below);
void broker_log(struct broker *b, enum severity severity, enum log_kind kind, const char *format, ...) _printf_(4, 5);
struct account *account_of(struct broker *b, uid_t uid);
void account_drop_unused(struct broker *b, struct account *account);
