/*
 * What inputs that listen have in common beside the socket itself: the words in
 * which they report, senders that are allowed, and limits of their rate.
 */
#pragma once

#include "io/network.h"
#include "io/socket.h"
#include "message/ratelimit.h"
#include "message/source.h"
#include "module/module.h"

/* Numbers that rsyslog gives these reports. */
enum {
        CODE_DISALLOWED = 2063,
        CODE_NO_LISTENER = 2077,
        CODE_TOO_MANY_SESSIONS = 2079,
        CODE_SESSION_CLOSED = 2144,
        CODE_RATE_LIMITED = 2177,
        CODE_FREE_BOUND = 2186,
        CODE_TOO_LONG = 2445,
};

/* Who may send to an input: everybody, where no list names anyone. */
struct welcome {
        struct network_list networks;
        struct admission *names; /* NULL: none */
};
void welcome_fini(struct welcome *w);

/*
 * Reads "10.0.0.0/8", "*.example.net" and the legacy form "UDP, 10.0.0.0/8, [::1]", of
 * which only lists for `protocol` count. Reports each mistake; -EINVAL. ret may be
 * NULL: only check.
 */
int listening_parse_senders(struct welcome *ret, const struct strings *senders, const char *protocol,
                            struct module_log *log);

/*
 * The senders that an input names, or where it names none those of $AllowedSender. Either may be NULL. A mistake among
 * its own is -EINVAL; one of $AllowedSender is reported and left out, and the others alone are welcome.
 */
int listening_allow(struct welcome *ret, const char *input_name, const struct strings *own,
                    const struct strings *global, const char *protocol, struct module_log *log);

/* Whether a sender may send, as far as his address tells; where his name decides, the source is marked for it. */
bool listening_admits(const struct welcome *w, struct source *source);

/* Reports a number that is no port; names of services are left to the system. -EINVAL. */
int listening_check_port(const char *port, const char *protocol, struct module_log *log);

/* Opens sockets and reports what did not work. `protocol` is "tcp" or "udp". */
int listening_open(struct socket_set *ret, const struct socket_place *place, const char *protocol,
                   struct module_log *log);
/* Writes the port file, where there is one. */
int listening_write_port(const char *module, const char *file_name, unsigned port, struct module_log *log);

/* A rate limit that says when it begins to discard and what a window lost. */
struct listening_limit {
        struct ratelimit limit;
        const char *name; /* as reports name it; lent */
        struct module_log *log;
};
bool listening_pass_limited(struct listening_limit *limit, struct source *sender, struct text raw, int64_t now_us);
static inline bool listening_pass(struct listening_limit *limit, struct source *sender, struct text raw,
                                  int64_t now_us) {
        return limit->limit.interval_s <= 0 || listening_pass_limited(limit, sender, raw, now_us);
}
/* The severity in the <PRI> of a message as it came; notice where there is none. */
unsigned listening_severity(struct text raw);
/* Says what was lost and not told yet. */
void listening_end_limit(struct listening_limit *limit);

/* How the sender is called in reports: its name where that is known already, else its address. */
const char *listening_sender_name(const struct source *sender);
/* A source with the default zone of its input. NULL without memory. */
struct source *listening_source(const char *input_name, const struct sockaddr *peer, socklen_t size,
                                const char *default_zone, bool preserves_case);
