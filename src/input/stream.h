/*
 * The stream server behind imtcp and imptcp: listens, accepts, and spreads the
 * connections over the loops of its module in turn. A connection lives and dies
 * on one loop; see connection.c for what it does there.
 *
 *   open   stream_new(), stream_listen_tcp() or stream_listen_unix()
 *   start  stream_start(): from now on connections are accepted, on loop 0
 *   HUP    stream_reopen(): TLS certificates are read again
 *   stop   stream_stop(): nothing is accepted or read any more
 *   close  stream_free(): the loops do not run
 *
 * Where a rate limit is set everything stays on loop 0, so that the limit is
 * exact without a lock.
 */
#pragma once

#include <regex.h>
#include <stdatomic.h>

#include "base/counter.h"
#include "input/acceptor.h"
#include "input/inflation.h"
#include "input/listening.h"
#include "io/framing.h"
#include "io/loop.h"
#include "io/tls.h"
#include "message/intake.h"

enum { STREAM_PARTS_MAX = 2 }; /* IPv4 and IPv6 */

/* In the order of stream_counters[]. */
enum stream_counter {
        STREAM_SUBMITTED,
        STREAM_OPENED,
        STREAM_OPEN_FAILED,
        STREAM_CLOSED,
        STREAM_BYTES,
        STREAM_INFLATED,
        STREAM_DISALLOWED,
        STREAM_RATE_LIMITED,
        STREAM_BROKEN_FRAMES,
        STREAM_LOST,
        STREAM_COUNTERS,
};
extern const struct counter_def stream_counters[];

/* What users say of either module's inputs. */
struct stream_settings {
        char *port, *address, *port_file, *name, *default_zone, *pattern, *rate_name;
        bool takes_flow_control, discards_truncated, counts_octets, fixes_cisco_asa, is_multi_line;
        bool tells_open, tells_close, keeps_alive;
        int64_t frame_bytes_max, sessions_max, delimiter;
        int64_t keepalive_probes, keepalive_time_s, keepalive_interval_s;
        int64_t rate_interval_s, rate_burst, rate_severity;
};

/* What a module makes of its settings. Texts are lent for stream_new() alone. */
struct stream_options {
        const char *module;         /* "imtcp" */
        const char *name;           /* property inputname */
        const char *default_zone;   /* NULL: none */
        const char *pattern;        /* of the first line of messages; NULL: none */
        const char *framing_prefix; /* before reports of broken framing */
        const struct strings *senders;
        const char *port_file; /* NULL: none */
        struct framing_rules rules;
        struct keepalive keepalive;
        struct ratelimit limit;
        struct inflation_options inflation; /* COMPRESSION_NONE: what comes is plain */
        int64_t sessions_max;               /* 0: as many as there are descriptors */
        int64_t reads_max;                  /* one connection may read so often before others get their turn; 0: any */
        enum flow flow;
        bool preserves_case;
        bool tells_open, tells_close, tells_split;
        bool has_parts; /* the statistics show connections over IPv4 and those over IPv6 apart */
        /* How the end of a session is told. */
        void (*tell_closed)(struct module_log *log, uint32_t session, const char *peer);
};

struct connection; /* input/connection.h */
struct stream_server;

/* The part of a server that one loop owns. */
struct stream_worker {
        struct stream_server *server;
        struct loop *loop;
        struct intake *intake;
        struct connection *connections;
        char *scratch; /* received bytes that are compressed */
        bool is_stopped;
};

/* The connections of one family, as the statistics show them. */
struct stream_part {
        int family;
        struct counter counters[STREAM_COUNTERS];
};

struct stream_server {
        struct stream_options options; /* its texts are owned by: */
        char *name, *module_and_port, *default_zone, *framing_prefix, *unix_path, *local_name;
        bool unlinks_at_end;
        regex_t pattern;
        bool has_pattern;
        struct tls_context *tls; /* NULL: connections are plain */
        bool was_unready_told;
        struct welcome welcome;
        struct listening_limit limit;
        struct acceptor acceptor;
        struct stream_worker *workers;
        unsigned worker_count, next_worker;
        uint32_t last_session;
        atomic_uint sessions;
        atomic_size_t windows; /* bytes of zstd's, of all connections */
        struct module_log *log;
        struct counter *counters;
        struct stream_part parts[STREAM_PARTS_MAX];
        size_t part_count;
};

/* What they mean; the module adds what is its own. */
struct stream_options stream_options_of(const struct stream_settings *settings, const char *module);

int stream_new(struct stream_server **ret, const struct input_host *host, const struct stream_options *options);
struct stream_server *stream_free(struct stream_server *server);
OWNED_POINTER(struct stream_server, stream_free);

/* From now on connections are TLS; takes the context. */
void stream_secure(struct stream_server *server, struct tls_context *tls);

int stream_listen_tcp(struct stream_server *server, const struct socket_place *place);
int stream_listen_unix(struct stream_server *server, const struct unix_place *place, bool unlinks_at_end);

/* Operations of a module whose instances are servers; on loop 0's thread. */
int stream_start(void *server);
void stream_reopen(void *server);
void stream_stop(void *server);
/* Somebody else listens now: connections that there are go on. */
void stream_retire(void *server);
void stream_close(void *server);
struct ratelimit *stream_limit(void *server);
unsigned stream_sessions(void *server);

/* In the module's struct input_ops. */
#define STREAM_OPS                                                                                                     \
        .start = stream_start, .reopen = stream_reopen, .stop = stream_stop, .close = stream_close,                    \
        .limit = stream_limit, .retire = stream_retire, .sessions = stream_sessions

/* Reports and refuses a pattern that is none; NULL, "" and "off" are no pattern. */
int stream_check_pattern(const char *pattern, const char *module, struct module_log *log);

/* What the server counts for connections of this family; NULL: nothing apart from the others. */
struct stream_part *stream_part(struct stream_server *server, int family);

/* `part` may be NULL. */
static inline void stream_count(struct stream_server *server, struct stream_part *part, enum stream_counter which,
                                uint64_t n) {
        if (n == 0)
                return;
        counter_add(&server->counters[which], n);
        if (part)
                counter_add(&part->counters[which], n);
}
