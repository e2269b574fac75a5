/*
 * Unix datagram sockets: what programs on this machine log to. A datagram comes
 * with the time the kernel took it, and with who sent it, as the kernel says.
 *
 * A socket may have been opened by the service manager, which then hands it over
 * (LISTEN_FDS); such a socket is used as it is and its name is never removed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/text.h"

enum {
        UNIX_BATCH_MAX = 32,          /* datagrams that one call of the kernel takes */
        UNIX_FACT_BYTES_MAX = 4096,   /* of a command line; what is longer is cut */
        UNIX_INHERITED_FIRST_FD = 3,  /* sd_listen_fds(3) */
        UNIX_INHERITED_FDS_MAX = 256, /* a service with more is not looked through */
};

/*
 * Binds a datagram socket that does not block. With `unlinks` whatever is at the
 * path is removed first; with `creates_path` missing directories are made (0755).
 */
int unix_bind(int *ret, const char *path, mode_t mode, bool unlinks, bool creates_path);
/*
 * The datagram socket bound to `path` that the service manager handed to this process, or to the one that this process
 * replaces (io/heirloom.h); -1: there is none.
 */
int unix_inherited(const char *path);
/* The paths of all of those, a line each: what the process that replaces us has to know, in UNIX_LENT_VARIABLE. */
#define UNIX_LENT_VARIABLE "PENSTOCK_LENT_SOCKETS"
void unix_lent(struct buffer *out);
/* Asks the kernel to say with each datagram who sent it, and when. */
int unix_ask(int fd, bool credentials, bool times);

struct unix_datagram {
        struct text data;    /* points into the inbox */
        struct ucred sender; /* pid 0: unknown */
        int64_t received_us; /* wall clock; 0: unknown */
};

/* Room for UNIX_BATCH_MAX datagrams; longer ones are cut. One thread. */
struct unix_inbox;
int unix_inbox_new(struct unix_inbox **ret, size_t datagram_bytes_max);
struct unix_inbox *unix_inbox_free(struct unix_inbox *inbox);
OWNED_POINTER(struct unix_inbox, unix_inbox_free);
/*
 * Takes what waits, at most UNIX_BATCH_MAX. Returns how many; 0 when nothing waits, or -errno. They are
 * valid until the next call.
 */
int unix_receive(struct unix_inbox *inbox, int fd, const struct unix_datagram **ret);

/* What the kernel knows of a process; texts point into `bytes`. What cannot be found out, the process being gone, is
 * empty. */
struct unix_process {
        struct text name;       /* as the process calls itself */
        struct text executable; /* path */
        struct text command;    /* arguments, with a blank behind each */
        struct text program;    /* the first argument */
        char bytes[2 * UNIX_FACT_BYTES_MAX + 64];
};
void unix_process_look(struct unix_process *p, pid_t pid);
