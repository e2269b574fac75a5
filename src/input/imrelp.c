/*
 * imrelp: syslog over RELP, where a sender keeps a message until it is told that
 * it arrived. It is told when the message is delivered, or safe on disk.
 *
 * Here is what users can say about it; the work is done in imrelp_server.c (who
 * connects), imrelp_peer.c (what they say) and imrelp_promise.c (what they are owed).
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/imrelp_server.h"
#include "input/named_limit.h"
#include "io/relp.h"
#include "module/relp_tls.h"

enum { THREADS = 2, BACKLOG = 1024 };

static const char *const oversize_modes[] = {"truncate", "abort", "accept", NULL}; /* enum relp_oversize */
static const char *const flow_words[] = {"no", "light", "full", NULL};
/* Light waits for room as full does: a message that was acknowledged is not discarded for a full queue. */
static const enum flow flows[] = {FLOW_NONE, FLOW_FULL, FLOW_FULL};

struct imrelp_module_settings {
        char *ruleset, *tls_library;
};

struct imrelp_settings {
        char *port, *address, *name, *ruleset;
        bool keeps_alive;
        int64_t keepalive_probes, keepalive_time_s, keepalive_interval_s;
        int64_t data_bytes_max;
        int oversize, flow;
        int64_t rate_interval_s, rate_burst, rate_severity;
        char *rate_name;
        bool compresses;
        struct relp_tls tls;
        int64_t tls_dh_bits;
};

static const struct param imrelp_module_params[] = {
        PARAM_RULESET(struct imrelp_module_settings, ruleset, .name = "ruleset", .legacy = "InputRELPServerBindRuleset",
                      .flags = PARAM_LEGACY_STAYS,
                      .help = "The ruleset of all inputs that name none; unset: the default one."),
        PARAM_STRING(
                struct imrelp_module_settings, tls_library, .name = "tls.tlslib",
                .help = "openssl or gnutls. TLS is OpenSSL's in both cases; GnuTLS's priority strings are translated."),
        {},
};

static const struct param imrelp_params[] = {
        PARAM_STRING(struct imrelp_settings, port, .name = "port", .legacy = "InputRELPServerRun",
                     .flags = PARAM_IS_REQUIRED | PARAM_LEGACY_CREATES,
                     .help = "The port to listen on, by number or service name."),
        PARAM_STRING(struct imrelp_settings, address, .name = "address",
                     .help = "The local address to listen on; unset: all."),
        PARAM_STRING(struct imrelp_settings, name, .name = "name", .dflt = "imrelp",
                     .help = "What the property inputname shows."),
        PARAM_RULESET(struct imrelp_settings, ruleset, .name = "ruleset", .flags = PARAM_INHERITS,
                      .help = "The ruleset that gets the messages; unset: the default one."),
        PARAM_BOOL(struct imrelp_settings, keeps_alive, .name = "keepalive", .dflt = "off",
                   .help = "Let the kernel probe silent connections, so that dead ones are noticed."),
        PARAM_INT(struct imrelp_settings, keepalive_probes, .name = "keepalive.probes", .dflt = "0", .min = 0,
                  .max = 127, .unit = "probes",
                  .help = "Unanswered probes after which a connection is dead; 0: the system's default."),
        PARAM_INT(struct imrelp_settings, keepalive_time_s, .name = "keepalive.time", .dflt = "0", .min = 0,
                  .max = 32767, .unit = "seconds", .help = "Silence before the first probe; 0: the system's default."),
        PARAM_INT(struct imrelp_settings, keepalive_interval_s, .name = "keepalive.interval", .dflt = "0", .min = 0,
                  .max = 32767, .unit = "seconds", .help = "Time between probes; 0: the system's default."),
        PARAM_SIZE(struct imrelp_settings, data_bytes_max, .name = "maxdatasize", .dflt = "0", .min = 0,
                   .max = RELP_DATA_BYTES_MAX,
                   .help = "The longest message; 0, the default: global(maxMessageSize), which is also the least."),
        PARAM_CHOICE(struct imrelp_settings, oversize, .name = "oversizemode", .dflt = "truncate",
                     .choices = oversize_modes,
                     .help = "What happens to a longer one: truncate cuts it, abort ends the session, accept takes it "
                             "all (up to 128 MiB)."),
        PARAM_CHOICE(
                struct imrelp_settings, flow, .name = "flowcontrol", .dflt = "light", .choices = flow_words,
                .help = "Whether a queue that fills holds the senders back. no: what a full queue cannot take is "
                        "discarded, though it was sent reliably; light and full: senders wait until there is room."),
        PARAM_INT(struct imrelp_settings, rate_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "seconds", .help = "Length of the rate limit's window; 0: no limit."),
        PARAM_INT(struct imrelp_settings, rate_burst, .name = "ratelimit.burst", .dflt = "10000", .min = 0,
                  .max = INT32_MAX, .unit = "messages",
                  .help = "Messages that pass within one window; the others are acknowledged and discarded."),
        LIMIT_SEVERITY(struct imrelp_settings, rate_severity),
        PARAM_STRING(struct imrelp_settings, rate_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        RELP_TLS_PARAMS(
                struct imrelp_settings, tls,
                "Who may connect: names, where * stands for one label, or fingerprints as SHA1:... or SHA256:..."),
        PARAM_INT(struct imrelp_settings, tls_dh_bits, .name = "tls.dhbits", .dflt = "0", .min = 0, .max = 16384,
                  .unit = "bits", .flags = PARAM_IS_IGNORED,
                  .help = "Without effect: OpenSSL chooses parameters that are as strong as the certificate."),
        PARAM_BOOL(struct imrelp_settings, compresses, .name = "tls.compression", .dflt = "off",
                   .flags = PARAM_IS_IGNORED,
                   .help = "Without effect: compressed TLS gives away what it encrypts, and no library does it any "
                           "more."),
        {},
};

static int imrelp_check(const void *own, const void *module_settings _unused_, struct module_log *log) {
        const struct imrelp_settings *settings = own;
        if (!settings)
                return 0;
        int port = settings->port ? listening_check_port(settings->port, "RELP", log) : 0;
        int tls = relp_tls_check(&settings->tls, true, "imrelp", log);
        return port || tls ? fail(-EINVAL) : 0;
}

static unsigned imrelp_threads(const void *module_settings _unused_) {
        return THREADS;
}

static struct relp_options options_of(const struct imrelp_settings *settings, const struct input_host *host) {
        int64_t message_max = MIN(MAX(host->facts->message_bytes_max, (int64_t)1), (int64_t)RELP_DATA_BYTES_MAX);
        if (settings->data_bytes_max && settings->data_bytes_max < message_max)
                module_report(host->log, SEVERITY_WARNING, 0,
                              "imrelp: maxDataSize (%lld) is less than global(maxMessageSize) (%lld); messages of that "
                              "size are taken",
                              (long long)settings->data_bytes_max, (long long)message_max);
        return (struct relp_options){
                .name = settings->name,
                .port = settings->port,
                .data_bytes_max = (uint32_t)MAX(settings->data_bytes_max, message_max),
                .oversize = (enum relp_oversize)settings->oversize,
                .flow = flows[settings->flow],
                .keepalive =
                        {
                                .is_on = settings->keeps_alive,
                                .probes = settings->keepalive_probes,
                                .time_s = settings->keepalive_time_s,
                                .interval_s = settings->keepalive_interval_s,
                        },
                .limit = {.interval_s = settings->rate_interval_s,
                          .burst = settings->rate_burst,
                          .severity_min = (uint8_t)settings->rate_severity},
        };
}

static int imrelp_open(void **ret, const struct input_host *host, const void *own) {
        const struct imrelp_settings *settings = own;
        struct relp_options options = options_of(settings, host);
        limit_by_name(&options.limit, host, settings->rate_name, "imrelp");
        struct tls_rules tls = relp_tls_rules(&settings->tls, true);
        options.tls = settings->tls.is_on ? &tls : NULL;
        _owned_(relp_server_free) struct relp_server *server = NULL;
        int r = relp_server_new(&server, host, &options);
        if (r)
                return pass(r);
        struct socket_place place = {
                .family = host->facts->ip_family,
                .address = settings->address,
                .port = settings->port,
                .backlog = BACKLOG,
        };
        r = relp_server_listen(server, &place);
        if (r)
                return pass(r);
        *ret = TAKE(server);
        return 0;
}

static void imrelp_statistic(struct buffer *name, const void *own, const void *module_settings _unused_) {
        const struct imrelp_settings *s = own;
        buffer_format(name, "%s(%s)", s->name, s->port);
}

static const struct input_ops imrelp_ops = {
        .statistic = imrelp_statistic,
        .threads = imrelp_threads,
        .open = imrelp_open,
        .start = relp_server_start,
        .stop = relp_server_stop,
        .reopen = relp_server_reload,
        .close = relp_server_close,
        .limit = relp_server_limit,
        .retire = relp_server_retire,
        .sessions = relp_server_sessions,
};

const struct module imrelp_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imrelp",
        .help = "Receives syslog over RELP, and acknowledges a message when it is delivered or safe on disk.",
        .module_settings = SETTINGS(struct imrelp_module_settings, imrelp_module_params),
        .settings = SETTINGS(struct imrelp_settings, imrelp_params),
        .counters = relp_counters,
        .check = imrelp_check,
        .input = &imrelp_ops,
};
