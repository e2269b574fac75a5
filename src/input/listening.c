#include "input/listening.h"

#include <errno.h>

#include "base/fail.h"
#include "base/reporter.h"

enum { PORT_MAX = 65535 };

/* Whether `word` names a protocol, and if so which list it begins: the one asked for or another. */
enum protocol_word { NO_PROTOCOL, THIS_PROTOCOL, OTHER_PROTOCOL };

static enum protocol_word protocol_word(struct text word, const char *protocol) {
        if (text_equal_nocase(word, text_of(protocol)))
                return THIS_PROTOCOL;
        static const char *const protocols[] = {"UDP", "TCP", "GSS"};
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                if (text_equal_nocase(word, text_of(protocols[i])))
                        return OTHER_PROTOCOL;
        return NO_PROTOCOL;
}

static int parse_name(struct welcome *ret, struct text word, struct module_log *log) {
        _owned_(admission_unref) struct admission *checked = NULL;
        struct admission *names = ret ? ret->names : NULL;
        if (!names) {
                int r = admission_new(&checked, "");
                if (r)
                        return pass(r);
                names = checked;
        }
        int r = admission_add(names, word);
        if (r == -EINVAL)
                module_report_param(log, SEVERITY_ERR, "allowedsender",
                                    "\"%.*s\" is neither an address (192.0.2.0/24, 2001:db8::/32) nor a host name "
                                    "(host.example.net, *.example.net, log-?.*)",
                                    TEXT_ARGS(word));
        return pass(r);
}

static int parse_sender(struct welcome *ret, struct text word, struct module_log *log) {
        struct network network;
        int r = network_parse(&network, word);
        if (r == -EDOM)
                return pass(parse_name(ret, word, log));
        if (r == -ERANGE)
                module_report_param(log, SEVERITY_ERR, "allowedsender",
                                    "the prefix length in \"%.*s\" is wrong: 1 to 32 for IPv4, 1 to 128 for IPv6 (to "
                                    "allow every sender, leave the parameter out)",
                                    TEXT_ARGS(word));
        else if (r)
                module_report_param(log, SEVERITY_ERR, "allowedsender", "an address is missing");
        if (r)
                return fail(-EINVAL);
        return ret ? network_list_add(&ret->networks, &network) : 0;
}

/* One string: a single sender, or several with commas between. */
static int parse_list(struct welcome *ret, struct text list, const char *protocol, bool *is_other,
                      struct module_log *log) {
        int result = 0;
        while (list.size) {
                const char *comma = memchr(list.data, ',', list.size);
                size_t end = comma ? (size_t)(comma - list.data) : list.size;
                struct text word = text_trim(text_slice(list, 0, end));
                list = text_slice(list, end + (comma != NULL), list.size);
                enum protocol_word kind = protocol_word(word, protocol);
                if (kind != NO_PROTOCOL)
                        *is_other = kind == OTHER_PROTOCOL;
                else if (!*is_other && parse_sender(ret, word, log))
                        result = -EINVAL;
        }
        return result;
}

int listening_parse_senders(struct welcome *ret, const struct strings *senders, const char *protocol,
                            struct module_log *log) {
        int result = 0;
        bool is_other = false;
        for (size_t i = 0; i < senders->count; i++) {
                int r = parse_list(ret, text_of(senders->items[i]), protocol, &is_other, log);
                if (r)
                        result = r;
        }
        return result;
}

int listening_allow(struct welcome *ret, const char *input_name, const struct strings *own,
                    const struct strings *global, const char *protocol, struct module_log *log) {
        bool is_own = own && own->count;
        const struct strings *senders = is_own ? own : global;
        if (!senders)
                return 0;
        int r = admission_new(&ret->names, input_name);
        if (r)
                return pass(r);
        r = listening_parse_senders(ret, senders, protocol, log);
        bool is_mistaken = r == -EINVAL && !is_own;
        if (is_mistaken)
                r = 0;
        /* A list of which nothing could be read keeps its names, which are none: it is no open door. */
        bool is_open_to_nobody = is_mistaken && ret->networks.count == 0;
        if (r == 0 && ret->names->count == 0 && !is_open_to_nobody)
                ret->names = admission_unref(ret->names);
        return pass(r);
}

void welcome_fini(struct welcome *w) {
        network_list_fini(&w->networks);
        w->names = admission_unref(w->names);
}

bool listening_admits(const struct welcome *w, struct source *source) {
        bool has_rules = w->networks.count || w->names;
        if (!has_rules || source->peer.ss_family == AF_UNSPEC || source->peer.ss_family == AF_UNIX)
                return true;
        if (w->networks.count && network_list_has(&w->networks, (const struct sockaddr *)&source->peer))
                return true;
        if (!w->names)
                return false;
        source_await(source, w->names);
        return true;
}

int listening_check_port(const char *port, const char *protocol, struct module_log *log) {
        int64_t number;
        int r = text_to_int(text_of(port), &number);
        bool is_number = r == 0 || r == -ERANGE;
        if (!is_number || (r == 0 && number >= 0 && number <= PORT_MAX))
                return 0;
        module_report_param(log, SEVERITY_ERR, "port", "Invalid %s listen port %s - ignored. A port is 0 to %d.",
                            protocol, port, PORT_MAX);
        return fail(-EINVAL);
}

int listening_open(struct socket_set *ret, const struct socket_place *place, const char *protocol,
                   struct module_log *log) {
        bool is_tcp = strcmp(protocol, "tcp") == 0;
        const char *address = place->address && *place->address ? place->address : "(null)";
        int r = is_tcp ? socket_listen_tcp(ret, place) : socket_bind_udp(ret, place);
        if (r == -ENOENT && place->network_namespace && *place->network_namespace)
                module_report(log, SEVERITY_ERR, 0, "network namespace '%s' cannot be entered: %s",
                              place->network_namespace, fail_text(r));
        else if (r == -ENOENT)
                module_report(log, SEVERITY_ERR, 0, "address '%s', port '%s' are not known here", address, place->port);
        else if (r)
                module_report(log, SEVERITY_ERR, 0, "Error while binding %s socket: %s", protocol, fail_text(r));
        if (r) {
                module_report(log, SEVERITY_ERR, CODE_NO_LISTENER,
                              "Could not create %s listener, ignoring port %s bind-address %s.", protocol, place->port,
                              address);
                return pass(r);
        }
        if (ret->error)
                module_report(
                        log, SEVERITY_WARNING, 0,
                        "We could initialize %zu %s listen sockets out of %zu we received - this may or may not be "
                        "an error indication. The last failure: %s",
                        ret->count, is_tcp ? "TCP" : "UDP", ret->tried, fail_text(ret->error));
        if (ret->is_free_bound && place->free_bind == FREE_BIND_TOLD)
                module_report(log, SEVERITY_WARNING, CODE_FREE_BOUND, "bound address %s IP free", address);
        return 0;
}

int listening_write_port(const char *module, const char *file_name, unsigned port, struct module_log *log) {
        if (!file_name || !*file_name)
                return 0;
        int r = socket_write_port(file_name, port);
        if (r)
                module_report(log, SEVERITY_ERR, 0, "%s: ListenPortFileName: error while trying to open file '%s': %s",
                              module, file_name, fail_text(r));
        return r ? pass(r) : 0;
}

static void tell_lost(const struct listening_limit *limit, uint64_t lost) {
        module_report(limit->log, SEVERITY_INFO, CODE_RATE_LIMITED,
                      "%s: %llu messages lost due to rate-limiting (%lld allowed within %lld seconds)", limit->name,
                      (unsigned long long)lost, (long long)limit->limit.burst, (long long)limit->limit.interval_s);
}

unsigned listening_severity(struct text raw) {
        unsigned pri = 0;
        if (raw.size == 0 || raw.data[0] != '<')
                return SEVERITY_NOTICE;
        for (size_t i = 1; i < raw.size && i < 4 && (unsigned char)(raw.data[i] - '0') <= 9; i++)
                pri = pri * 10 + (unsigned)(raw.data[i] - '0');
        return pri & 7;
}

bool listening_pass_limited(struct listening_limit *limit, struct source *sender, struct text raw, int64_t now_us) {
        uint64_t lost;
        unsigned severity_min = ratelimit_severity_min(&limit->limit);
        if (severity_min && listening_severity(raw) < severity_min)
                return true;
        struct limited_message message = {.source = sender, .raw = raw};
        bool is_passed = ratelimit_pass_message(&limit->limit, &message, now_us, &lost);
        if (lost)
                tell_lost(limit, lost);
        if (!is_passed && limit->limit.discarded == 1)
                module_report(limit->log, SEVERITY_INFO, CODE_RATE_LIMITED,
                              "%s from <%s:->: begin to drop messages due to rate-limiting", limit->name,
                              listening_sender_name(sender));
        return is_passed;
}

void listening_end_limit(struct listening_limit *limit) {
        uint64_t lost = limit->limit.shared ? shared_limit_untold(limit->limit.shared) : limit->limit.discarded;
        if (lost)
                tell_lost(limit, lost);
        limit->limit.discarded = 0;
}

const char *listening_sender_name(const struct source *sender) {
        const char *host = atomic_load_explicit(&((struct source *)sender)->host, memory_order_acquire);
        return host ? host : sender->address;
}

struct source *listening_source(const char *input_name, const struct sockaddr *peer, socklen_t size,
                                const char *default_zone, bool preserves_case) {
        _owned_(source_unref) struct source *source = source_new_peer(input_name, peer, size);
        if (!source)
                return NULL;
        source->lowers_case = !preserves_case;
        if (default_zone && *default_zone) {
                source->default_zone = text_copy(text_of(default_zone));
                if (!source->default_zone)
                        return NULL;
        }
        return TAKE(source);
}
