/*
 * What the pieces of omfwd share.
 *
 *   omfwd.c        parameters, and which target of the pool gets which rows
 *   omfwd_tcp.c    one target over a stream: framing, compression, reconnection
 *   omfwd_udp.c    one target over datagrams
 */
#pragma once

#include "base/counter.h"
#include "io/channel.h"
#include "io/compress.h"
#include "io/connect.h"
#include "module/module.h"

enum fwd_framing { FRAMING_TRADITIONAL, FRAMING_OCTETS };
enum fwd_compression { FWD_PLAIN, FWD_SINGLE, FWD_STREAM };

enum { FWD_SEND_WAIT_MS = 10000 };

/* What holds for every target of one action. */
struct fwd_rules {
        struct connect_rules connect;
        struct module_log *log;
        enum fwd_framing framing;
        unsigned char delimiter;
        enum fwd_compression compression;
        enum compression stream_kind; /* of FWD_STREAM */
        int level;
        bool flushes_stream;
        bool checks_peer;
        bool resends_last;
        bool sends_to_all;
        int64_t send_delay_us;
        int64_t rebind_interval;    /* messages between new connections; 0: never */
        int64_t errors_skipped;     /* connection errors that stay unsaid after one that is said */
        int64_t errors_max;         /* sending errors that are said in a row; 0: no bound */
        size_t send_bytes_max;      /* of one call; 0: as much as there is */
        struct counter *bytes_sent; /* may be NULL */
        int hurry_fd;               /* readable once the daemon ends */
        struct tls_context *tls;    /* NULL: plain */
        const char *server_name;    /* that TLS asks for (SNI); NULL: the target's */
};

struct fwd_target;

struct fwd_target_ops {
        /*
         * Sends rows[0] to rows[count - 1]. *taken is how many of them are the network's now: all when 0 is returned.
         * -errno, reported; -EMSGSIZE: the row at *taken can never be sent.
         */
        int (*send)(struct fwd_target *t, const struct text *rows, size_t count, size_t *taken);
        /* 0 when it can be sent to. */
        int (*ready)(struct fwd_target *t);
        /* HUP or the end: what is buffered goes out, sockets are closed. */
        void (*close)(struct fwd_target *t);
        void (*free)(struct fwd_target *t);
};

/* The common part of both kinds, the first member of each. */
struct fwd_target {
        const struct fwd_target_ops *ops;
        const struct fwd_rules *rules;
        char *host, *port;
        int64_t retry_ns;    /* a pool leaves it alone until then */
        int64_t errors;      /* connection errors so far, for errors_skipped */
        int64_t send_errors; /* in a row */
        bool is_down;
};

int fwd_tcp_new(struct fwd_target **ret, const struct fwd_rules *rules, const char *host, const char *port);
int fwd_udp_new(struct fwd_target **ret, const struct fwd_rules *rules, const char *host, const char *port);

/* Fills the common part. -ENOMEM. */
int fwd_target_init(struct fwd_target *t, const struct fwd_target_ops *ops, const struct fwd_rules *rules,
                    const char *host, const char *port);
void fwd_target_fini(struct fwd_target *t);
/* Says that no connection could be made, as often as conErrSkip lets it. */
void fwd_target_tell_connect(struct fwd_target *t, int error, struct buffer *complaint);
/* Whether a connection error may be said now; counts it. */
bool fwd_target_may_tell(struct fwd_target *t);

static inline void fwd_count_bytes(const struct fwd_rules *rules, size_t bytes) {
        if (rules->bytes_sent && bytes)
                counter_add(rules->bytes_sent, bytes);
}
