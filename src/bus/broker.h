/*
 * The broker of the bus, for whoever runs a loop: penstock-bus, penstockd, a test.
 * It lives on that loop and its thread, starts no thread and makes no timer while
 * nothing waits.
 *
 *   broker_new() -> it listens and serves
 *   broker_stop() -> everyone is closed, the path is unlinked; also the way out for
 *                    `stop`, `shutdown` and whoever else may end it
 *   broker_free()
 */
#pragma once

#include "base/reporter.h"
#include "io/loop.h"

struct broker;

struct broker_options {
        const char *socket_path;   /* NULL: as the environment or the configuration say */
        const char *config_path;   /* NULL: none */
        int listener;              /* an open listening socket, which is the broker's then; -1: it opens one */
        bool owns_path;            /* the path of that socket is the broker's too: it goes with it */
        struct reporter *reporter; /* NULL: it says nothing */
        bool gives_memory_back;    /* a while after much has passed; else it is kept for what comes next */
        bool is_verbose;           /* at least log_level info, whatever the configuration says */
        void (*stopped)(void *context);
        void *context;
};

/*
 * -EADDRINUSE: another broker answers on that path; it is left alone. -EEXIST: what is there is no socket. -EINVAL:
 * the configuration is wrong. All are reported.
 */
int broker_new(struct broker **ret, struct loop *loop, const struct broker_options *options);
void broker_stop(struct broker *broker);
/* For the thread that runs the loop: the kernel lets it in soon after something came, even on a busy machine. */
void broker_be_prompt(void);
/* Accepts nobody any more, and leaves the path to whoever has the listener now; who is there stays. */
void broker_retire(struct broker *broker);
struct broker *broker_free(struct broker *broker);
OWNED_POINTER(struct broker, broker_free);

/* Serves a connected socket, which is the broker's from then on, also on failure. -EMFILE: too many clients. */
int broker_adopt(struct broker *broker, int fd);
/* How many clients there are. */
unsigned broker_clients(const struct broker *broker);
const char *broker_socket_path(const struct broker *broker);
