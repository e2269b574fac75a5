/*
 * omfwd: messages to other machines, over UDP or TCP.
 *
 * With several targets the rows of a batch are dealt out in equal, contiguous
 * shares, so that each target still gets its share in one send and the counts are
 * those of dealing row by row. A target that fails is left alone for
 * pool.resumeInterval, and the others take its share.
 */
#include "output/omfwd.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "io/service.h"
#include "module/netstream.h"
#include "output/row_limit.h"

extern const struct module omfwd_module;

enum {
        TARGETS_MAX = 256,
        CODE_CONNECT = 2027,
        CODE_ADDRESS = 2007,
        LEVEL_MAX = 9,
};

#define SECOND_NS INT64_C(1000000000)

enum fwd_protocol { PROTOCOL_UDP, PROTOCOL_TCP };
static const char *const protocol_choices[] = {"udp", "tcp", NULL};
static const char *const framing_choices[] = {"traditional", "octet-counted", NULL};
/* Without a mode, zipLevel alone turns on compression of single messages. */
enum fwd_mode { MODE_BY_LEVEL, MODE_NONE, MODE_SINGLE, MODE_STREAM };
static const char *const mode_choices[] = {"by-ziplevel", "none", "single", "stream:always", NULL};
enum fwd_driver { DRIVER_ZLIB, DRIVER_ZSTD };
static const char *const driver_choices[] = {"zlib", "zstd", NULL};

struct omfwd_module_settings {
        char *template;
        int64_t send_bytes_max;
        char *ca_file, *crl_file, *ca_extra_files, *key_file, *cert_file;
};

struct omfwd_settings {
        struct strings targets, ports;
        char *service;
        char *address, *device, *network_namespace;
        int protocol, framing, mode, driver;
        int64_t delimiter, level;
        bool flushes_stream;
        int64_t freebind, errors_max, rebind_interval;
        bool keeps_alive;
        int64_t keepalive_probes, keepalive_time_s, keepalive_interval_s, user_timeout_ms;
        int64_t errors_skipped;
        bool resends_last, checks_peer, sends_to_all;
        int64_t send_delay_us, send_buffer_bytes;
        char *template;
        int64_t resume_interval_s;
        int64_t limit_interval_s, limit_burst;
        char *limit_name;
        struct strings permitted_peers;
        char *driver_name, *auth_mode, *expired_certs, *remote_sni, *priority_string;
        int64_t driver_mode, verify_depth;
        bool checks_key_purpose, prioritizes_san;
        char *ca_file, *crl_file, *ca_extra_files, *key_file, *cert_file;
        int64_t dscp;
};

/* The files have the same five parameters in the module and the action. */
#define TLS_FILES(owner, flags_)                                                                                       \
        PARAM_STRING(owner, ca_file, .name = "streamdriver.cafile", .flags = (flags_),                                 \
                     .help = "File (PEM) with the authorities whose certificates are trusted. Unset: global() "        \
                             "defaultNetstreamDriverCAFile."),                                                         \
                PARAM_STRING(owner, crl_file, .name = "streamdriver.crlfile", .flags = (flags_),                       \
                             .help = "File (PEM) with lists of revoked certificates. Unset: global() "                 \
                                     "defaultNetstreamDriverCRLFile."),                                                \
                PARAM_STRING(owner, ca_extra_files, .name = "streamdriver.caextrafiles", .flags = (flags_),            \
                             .help = "More files with authorities, separated by commas. Unset: global() "              \
                                     "netstreamDriverCAExtraFiles."),                                                  \
                PARAM_STRING(owner, key_file, .name = "streamdriver.keyfile", .flags = (flags_),                       \
                             .help = "File (PEM) with the private key of our certificate. Unset: global() "            \
                                     "defaultNetstreamDriverKeyFile."),                                                \
                PARAM_STRING(owner, cert_file, .name = "streamdriver.certfile", .flags = (flags_),                     \
                             .help = "File (PEM) with our certificate, and behind it those that lead to the "          \
                                     "authority. Unset: global() defaultNetstreamDriverCertFile.")

static const struct param omfwd_module_params[] = {
        PARAM_TEMPLATE(struct omfwd_module_settings, template, .name = "template",
                       .legacy = "ActionForwardDefaultTemplate", .dflt = "RSYSLOG_TraditionalForwardFormat",
                       .flags = PARAM_LEGACY_STAYS, .help = "Template of actions that name none."),
        PARAM_SIZE(struct omfwd_module_settings, send_bytes_max, .name = "iobuffer.maxsize", .dflt = "0", .min = 0,
                   .max = 1 << 30, .help = "Most bytes handed to the system in one TCP send; 0: a whole batch."),
        TLS_FILES(struct omfwd_module_settings, 0),
        {}};

static const struct param omfwd_params[] = {
        PARAM_STRINGS(struct omfwd_settings, targets, .name = "target", .flags = PARAM_IS_MAIN,
                      .help = "Name or address of the machine to send to; several make a pool that shares the load."),
        PARAM_STRING(struct omfwd_settings, service, .name = "targetsrv",
                     .help = "Domain whose DNS SRV records (_syslog._udp or _syslog._tcp) name the targets."),
        PARAM_STRING(struct omfwd_settings, address, .name = "address",
                     .help = "Local address to send from; UDP only."),
        PARAM_STRING(struct omfwd_settings, device, .name = "device", .help = "Network device or VRF to send through."),
        PARAM_STRINGS(struct omfwd_settings, ports, .name = "port", .dflt = "514",
                      .help = "Port number or service name; with several targets one for each, the last for the rest."),
        PARAM_CHOICE(struct omfwd_settings, protocol, .name = "protocol", .dflt = "udp", .choices = protocol_choices,
                     .help = "udp or tcp."),
        PARAM_STRING(struct omfwd_settings, network_namespace, .name = "networknamespace",
                     .help = "Network namespace to send from, as in /var/run/netns."),
        PARAM_CHOICE(struct omfwd_settings, framing, .name = "tcp_framing", .dflt = "traditional",
                     .choices = framing_choices,
                     .help = "How TCP messages are kept apart: by a delimiter behind each, or by their length before "
                             "it, which leaves line feeds inside intact."),
        PARAM_INT(struct omfwd_settings, delimiter, .name = "tcp_framedelimiter", .dflt = "10", .min = 0, .max = 255,
                  .help = "Number of the byte that ends a message in traditional framing."),
        PARAM_INT(struct omfwd_settings, level, .name = "ziplevel", .dflt = "-1", .min = -1, .max = LEVEL_MAX,
                  .help = "Compression level, 1 fastest to 9 smallest; 0: none. -1, the default, is 9 where "
                          "compression.mode asks for compression, else 0."),
        PARAM_CHOICE(
                struct omfwd_settings, mode, .name = "compression.mode", .dflt = "by-ziplevel", .choices = mode_choices,
                .help = "none, single (each message by itself) or stream:always (the whole TCP stream). By default "
                        "single when zipLevel is above 0."),
        PARAM_CHOICE(struct omfwd_settings, driver, .name = "compression.driver", .dflt = "zlib",
                     .choices = driver_choices, .help = "Library that compresses in stream:always mode."),
        PARAM_BOOL(struct omfwd_settings, flushes_stream, .name = "compression.stream.flushontxend", .dflt = "on",
                   .help = "Everything is sent at the end of each batch; off compresses better and delays."),
        PARAM_INT(struct omfwd_settings, freebind, .name = "ipfreebind", .dflt = "2", .min = 0, .max = 2,
                  .help = "Whether address may be one that no interface has: 0 no, 1 yes, 2 yes, with a warning."),
        PARAM_INT(struct omfwd_settings, errors_max, .name = "maxerrormessages", .dflt = "5", .min = 0,
                  .unit = "messages", .help = "UDP sending errors in a row that are reported; 0: all."),
        PARAM_INT(struct omfwd_settings, rebind_interval, .name = "rebindinterval",
                  .legacy = "ActionSendTCPRebindInterval ActionSendUDPRebindInterval", .dflt = "0", .min = 0,
                  .flags = PARAM_LEGACY_STAYS,
                  .help = "Messages after which a new connection is made, for load balancers; 0: never. Over TCP "
                          "a batch is never split: a connection ends behind the one that holds the last of them."),
        PARAM_BOOL(struct omfwd_settings, keeps_alive, .name = "keepalive", .legacy = "ActionSendTCPKeepAlive",
                   .dflt = "off", .flags = PARAM_LEGACY_STAYS, .help = "Send TCP keep-alive probes."),
        PARAM_INT(struct omfwd_settings, keepalive_probes, .name = "keepalive.probes",
                  .legacy = "ActionSendTCPKeepAlive_Probes", .dflt = "0", .min = 0, .max = 127,
                  .flags = PARAM_LEGACY_STAYS,
                  .help = "Unanswered probes that end a connection; 0: as the system does."),
        PARAM_INT(struct omfwd_settings, keepalive_time_s, .name = "keepalive.time",
                  .legacy = "ActionSendTCPKeepAlive_Time", .dflt = "0", .min = 0, .max = 32767, .unit = "seconds",
                  .flags = PARAM_LEGACY_STAYS, .help = "Silence before the first probe; 0: as the system does."),
        PARAM_INT(struct omfwd_settings, keepalive_interval_s, .name = "keepalive.interval",
                  .legacy = "ActionSendTCPKeepAlive_Intvl", .dflt = "0", .min = 0, .max = 32767, .unit = "seconds",
                  .flags = PARAM_LEGACY_STAYS, .help = "Time between probes; 0: as the system does."),
        PARAM_INT(struct omfwd_settings, user_timeout_ms, .name = "tcp_user_timeout", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "milliseconds",
                  .help = "Data unacknowledged for that long end a connection (TCP_USER_TIMEOUT); 0: as the system "
                          "does."),
        PARAM_INT(struct omfwd_settings, errors_skipped, .name = "conerrskip", .dflt = "0", .min = 0,
                  .unit = "messages", .help = "Connection errors that are not reported after one that is."),
        PARAM_BOOL(struct omfwd_settings, resends_last, .name = "resendlastmsgonreconnect",
                   .legacy = "ActionSendResendLastMsgOnReconnect", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Send the last message again on a new connection: it may have been lost with the old one."),
        PARAM_BOOL(struct omfwd_settings, checks_peer, .name = "extendedconnectioncheck", .dflt = "on",
                   .help = "Look before each TCP send whether the peer has closed the connection."),
        PARAM_BOOL(struct omfwd_settings, sends_to_all, .name = "udp.sendtoall", .dflt = "off",
                   .help = "Send UDP messages to every address that the target has, not only the first."),
        PARAM_INT(struct omfwd_settings, send_delay_us, .name = "udp.senddelay", .dflt = "0", .min = 0, .max = 1000000,
                  .unit = "microseconds", .help = "Pause after each UDP message, for receivers that are too slow."),
        PARAM_SIZE(struct omfwd_settings, send_buffer_bytes, .name = "udp.sendbuf", .dflt = "0", .min = 0,
                   .max = 1 << 30, .help = "Size of the UDP socket's send buffer; 0: as the system does."),
        PARAM_TEMPLATE(struct omfwd_settings, template, .name = "template", .flags = PARAM_INHERITS,
                       .help = "Template of the messages."),
        PARAM_INT(struct omfwd_settings, resume_interval_s, .name = "pool.resumeinterval", .dflt = "30", .min = 0,
                  .max = 86400, .unit = "seconds",
                  .help = "How long a target of a pool is left alone after it failed."),
        PARAM_INT(struct omfwd_settings, limit_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .unit = "seconds", .help = "Interval of the rate limit; 0: no limit."),
        PARAM_INT(struct omfwd_settings, limit_burst, .name = "ratelimit.burst", .dflt = "200", .min = 0,
                  .unit = "messages",
                  .help = "Messages that are sent within one interval; what goes beyond is dropped."),
        PARAM_STRING(struct omfwd_settings, limit_name, .name = "ratelimit.name",
                     .help = "A ratelimit() object, which takes the place of ratelimit.interval and ratelimit.burst: "
                             "all that name it share its limit."),
        PARAM_INT(struct omfwd_settings, dscp, .name = "dscp", .dflt = "0", .min = 0, .max = 63,
                  .help = "DSCP of the packets that are sent, so that the network can rank them; 0: best effort."),
        PARAM_STRING(struct omfwd_settings, priority_string, .name = "gnutlsprioritystring",
                     .help = "Versions and ciphers of TLS: a GnuTLS priority string, or OpenSSL commands, as "
                             "MinProtocol=TLSv1.3, one a line."),
        PARAM_STRING(struct omfwd_settings, driver_name, .name = "streamdriver", .alias = "streamdriver.name",
                     .legacy = "ActionSendStreamDriver", .flags = PARAM_LEGACY_STAYS,
                     .help = "Stream driver of TCP: ptcp is plain; ossl, gtls and mbedtls are TLS in mode 1. Unset: "
                             "global() defaultNetstreamDriver."),
        PARAM_INT(struct omfwd_settings, driver_mode, .name = "streamdrivermode", .alias = "streamdriver.mode",
                  .legacy = "ActionSendStreamDriverMode", .dflt = "0", .min = 0, .max = 1, .flags = PARAM_LEGACY_STAYS,
                  .help = "0: plain TCP; 1: TLS, which the stream driver must be for."),
        PARAM_STRING(struct omfwd_settings, auth_mode, .name = "streamdriverauthmode", .alias = "streamdriver.authmode",
                     .legacy = "ActionSendStreamDriverAuthMode", .flags = PARAM_LEGACY_STAYS,
                     .help = "Which servers get messages with TLS: anon (any), x509/certvalid (with a certificate of "
                             "our authorities), x509/name (and it names a permitted peer, or the target where none is "
                             "set), x509/fingerprint (with a permitted certificate)."),
        PARAM_STRINGS(struct omfwd_settings, permitted_peers, .name = "streamdriverpermittedpeers",
                      .legacy = "ActionSendStreamDriverPermittedPeer",
                      .help = "Names of certificates (*.example.net), addresses or fingerprints (SHA256:AB:CD...) of "
                              "servers, for x509/name and x509/fingerprint; several by commas."),
        PARAM_STRING(struct omfwd_settings, expired_certs, .name = "streamdriver.permitexpiredcerts", .dflt = "off",
                     .help = "A server whose certificate has expired: off refuses it, on accepts it, warn does so and "
                             "says it."),
        PARAM_STRING(struct omfwd_settings, remote_sni, .name = "streamdriverremotesni",
                     .alias = "streamdriver.remotesni", .legacy = "ActionSendStreamDriverRemoteSNI",
                     .flags = PARAM_LEGACY_STAYS,
                     .help = "Name of the server that TLS asks for (SNI); unset: the target's, unless it is an "
                             "address."),
        PARAM_BOOL(struct omfwd_settings, checks_key_purpose, .name = "streamdriver.checkextendedkeypurpose",
                   .dflt = "off",
                   .help = "The server's certificate must be meant for TLS servers, where it says what it is for."),
        PARAM_BOOL(struct omfwd_settings, prioritizes_san, .name = "streamdriver.prioritizesan", .dflt = "off",
                   .help = "The common name of a certificate counts only where it has no alternative names."),
        PARAM_INT(struct omfwd_settings, verify_depth, .name = "streamdriver.tlsverifydepth", .dflt = "0", .min = 0,
                  .max = 100, .unit = "certificates",
                  .help = "Most certificates between the server's and the authority's; 0: the library's default."),
        TLS_FILES(struct omfwd_settings, PARAM_INHERITS),
        {}};

enum omfwd_counter { OMFWD_BYTES_SENT };
static const struct counter_def omfwd_counters[] = {[OMFWD_BYTES_SENT] = {"bytes.sent", "Bytes handed to the network."},
                                                    {}};

/* ---- Checking ----------------------------------------------------------- */

static enum fwd_compression compression_of(const struct omfwd_settings *s) {
        if (s->mode == MODE_NONE || s->level == 0)
                return FWD_PLAIN;
        if (s->mode == MODE_BY_LEVEL)
                return s->level > 0 ? FWD_SINGLE : FWD_PLAIN;
        return s->mode == MODE_SINGLE ? FWD_SINGLE : FWD_STREAM;
}

static int check_targets(const struct omfwd_settings *s, struct module_log *log) {
        if (s->targets.count == 0 && !s->service) {
                module_report(log, 3, 2211, "omfwd: parameter 'target' required but not specified");
                return -EINVAL;
        }
        if (s->targets.count && s->service) {
                module_report_param(log, 3, "targetsrv", "give either target or targetSrv, not both");
                return -EINVAL;
        }
        if (s->targets.count > TARGETS_MAX) {
                module_report_param(log, 3, "target", "a pool has at most %d targets", TARGETS_MAX);
                return -EINVAL;
        }
        int r = 0;
        for (size_t i = 0; i < s->targets.count; i++)
                if (text_trim(text_of(s->targets.items[i])).size == 0) {
                        module_report_param(log, 3, "target", "target %zu of the list is empty", i + 1);
                        r = -EINVAL;
                }
        if (s->targets.count && s->ports.count > s->targets.count)
                module_report_param(log, 4, "port",
                                    "there are more ports (%zu) than targets (%zu); the last ones are "
                                    "not used",
                                    s->ports.count, s->targets.count);
        return r;
}

static struct netstream netstream_of(const struct omfwd_settings *s) {
        return (struct netstream){
                .module = "omfwd",
                .mode_param = "streamdrivermode",
                .mode = s->driver_mode,
                .driver = s->driver_name,
                .auth_mode = s->auth_mode,
                .expired = s->expired_certs,
                .priority = s->priority_string,
                .ca_file = s->ca_file,
                .ca_extra_files = s->ca_extra_files,
                .crl_file = s->crl_file,
                .key_file = s->key_file,
                .cert_file = s->cert_file,
                .peers = &s->permitted_peers,
                .verify_depth = s->verify_depth,
                .checks_purpose = s->checks_key_purpose,
                .prioritizes_san = s->prioritizes_san,
        };
}

static int omfwd_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct omfwd_settings *s = settings;
        int r = check_targets(s, log);
        const struct netstream netstream = netstream_of(s);
        int tls = netstream_check(&netstream, log);
        if (tls)
                r = tls;
        if (s->protocol == PROTOCOL_UDP && s->driver_mode)
                module_report_param(
                        log, 4, "streamdrivermode",
                        "omfwd: TLS needs a stream, so these messages travel in the clear; protocol=\"tcp\" "
                        "is for TLS, StreamDriverMode=\"0\" for the clear");
        if (s->protocol == PROTOCOL_UDP && compression_of(s) == FWD_STREAM) {
                module_report_param(log, 3, "compression.mode",
                                    "stream:always needs a stream: protocol=\"tcp\", or mode single");
                r = -EINVAL;
        }
        if (s->protocol == PROTOCOL_TCP && s->sends_to_all)
                module_report_param(log, 4, "udp.sendtoall",
                                    "omfwd: parameter udp.sendToAll cannot be used with tcp transport -- ignored");
        if (s->protocol == PROTOCOL_TCP && s->address)
                module_report_param(log, 4, "address", "omfwd: parameter \"address\" not supported for tcp -- ignored");
        return r;
}

static int omfwd_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omfwd_settings *s = settings;
        bool is_lines = s->protocol == PROTOCOL_TCP && s->framing == FRAMING_TRADITIONAL && s->delimiter == '\n';
        columns[0] = (struct work_format){
                .name = s->template,
                .dflt = "RSYSLOG_TraditionalForwardFormat",
                /* A message that is compressed by itself is compressed without it. */
                .ends_with_lf = is_lines && compression_of(s) != FWD_SINGLE,
        };
        return 1;
}

/* ---- Targets ------------------------------------------------------------ */

int fwd_target_init(struct fwd_target *t, const struct fwd_target_ops *ops, const struct fwd_rules *rules,
                    const char *host, const char *port) {
        t->ops = ops;
        t->rules = rules;
        t->host = text_copy(text_of(host));
        t->port = text_copy(text_of(port));
        return t->host && t->port ? 0 : fail(-ENOMEM);
}

void fwd_target_fini(struct fwd_target *t) {
        free(t->host);
        free(t->port);
}

bool fwd_target_may_tell(struct fwd_target *t) {
        int64_t cycle = t->rules->errors_skipped + 1;
        return t->errors++ % cycle == 0;
}

void fwd_target_tell_connect(struct fwd_target *t, int error, struct buffer *complaint) {
        if (!fwd_target_may_tell(t))
                return;
        const char *words = complaint->size ? buffer_string(complaint) : NULL;
        if (error == -ENXIO && words)
                module_report(t->rules->log, 3, CODE_ADDRESS,
                              "omfwd: could not get addrinfo for hostname '%s':'%s': %s", t->host, t->port, words);
        else
                module_report(t->rules->log, 3, CODE_CONNECT, "cannot connect to %s:%s: %s%s%s", t->host, t->port,
                              words ? words : "", words ? ": " : "", fail_text(error));
}

/* ---- Opening ------------------------------------------------------------ */

struct omfwd {
        struct fwd_rules rules;
        struct fwd_target **targets;
        size_t target_count;
        size_t next; /* target of the next row */
        int64_t resume_interval_ns;
        struct row_limit limit;
        char *address, *device, *network_namespace, *server_name;
        char *service;       /* targetSrv: where targets come from; NULL: they are configured */
        size_t service_rank; /* which priority of its records is in use, 0 the best */
        int service_error;
        enum fwd_protocol protocol;
};

static void free_targets(struct omfwd *o) {
        while (o->target_count) {
                struct fwd_target *t = o->targets[--o->target_count];
                t->ops->free(t);
        }
        free(o->targets);
        o->targets = NULL;
        o->next = 0;
}

static void omfwd_close(void *instance) {
        struct omfwd *o = instance;
        free_targets(o);
        free(o->service);
        free(o->address);
        free(o->device);
        free(o->network_namespace);
        free(o->server_name);
        tls_context_free(o->rules.tls);
        connect_close(o->rules.hurry_fd);
        free(o);
}

static void omfwd_release(struct omfwd *o) {
        omfwd_close(o);
}
OWNED_POINTER(struct omfwd, omfwd_release);

static int copy_string(char **to, const char *from) {
        if (!from || !*from)
                return 0;
        *to = text_copy(text_of(from));
        return *to ? 0 : fail(-ENOMEM);
}

static void fill_rules(struct omfwd *o, const struct output_host *host, const struct omfwd_settings *s) {
        const struct omfwd_module_settings *m = host->module_settings;
        bool is_tcp = s->protocol == PROTOCOL_TCP;
        o->rules = (struct fwd_rules){
                .log = host->log,
                .framing = (enum fwd_framing)s->framing,
                .delimiter = (unsigned char)s->delimiter,
                .compression = compression_of(s),
                .stream_kind = s->driver == DRIVER_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_ZLIB,
                .level = s->level > 0 ? (int)s->level : LEVEL_MAX,
                .flushes_stream = s->flushes_stream,
                .checks_peer = s->checks_peer,
                .resends_last = s->resends_last,
                .sends_to_all = s->sends_to_all,
                .send_delay_us = s->send_delay_us,
                .rebind_interval = s->rebind_interval,
                .errors_skipped = s->errors_skipped,
                .errors_max = s->errors_max,
                .send_bytes_max = (size_t)m->send_bytes_max,
                .bytes_sent = host->counters ? &host->counters[OMFWD_BYTES_SENT] : NULL,
        };
        o->rules.connect = (struct connect_rules){
                .type = is_tcp ? SOCK_STREAM : SOCK_DGRAM,
                .family = host->facts->ip_family,
                .local_address = is_tcp ? NULL : o->address,
                .freebind = (int)s->freebind,
                .device = o->device,
                .network_namespace = o->network_namespace,
                .keeps_alive = s->keeps_alive,
                .keepalive_probes = (int)s->keepalive_probes,
                .keepalive_time_s = (int)s->keepalive_time_s,
                .keepalive_interval_s = (int)s->keepalive_interval_s,
                .user_timeout_ms = (int)s->user_timeout_ms,
                .dscp = (int)s->dscp,
                .send_buffer_bytes = is_tcp ? 0 : (int)s->send_buffer_bytes,
        };
        o->rules.server_name = o->server_name;
        o->limit = (struct row_limit){.interval_s = s->limit_name ? 0 : s->limit_interval_s, .burst = s->limit_burst};
        o->resume_interval_ns = s->resume_interval_s * SECOND_NS;
}

static int add_target(struct omfwd *o, const char *host, const char *port) {
        struct fwd_target **at = &o->targets[o->target_count];
        int r = o->protocol == PROTOCOL_TCP ? fwd_tcp_new(at, &o->rules, host, port)
                                            : fwd_udp_new(at, &o->rules, host, port);
        if (r)
                return pass(r);
        o->target_count++;
        return 0;
}

static int add_configured(struct omfwd *o, const struct omfwd_settings *s) {
        o->targets = calloc(s->targets.count, sizeof *o->targets);
        if (!o->targets)
                return fail(-ENOMEM);
        for (size_t i = 0; i < s->targets.count; i++) {
                const char *port = s->ports.count ? s->ports.items[MIN(i, s->ports.count - 1)] : "514";
                int r = add_target(o, s->targets.items[i], port);
                if (r)
                        return pass(r);
        }
        return 0;
}

static int omfwd_open(void **ret, const struct output_host *host, const void *settings) {
        const struct omfwd_settings *s = settings;
        _owned_(omfwd_release) struct omfwd *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->rules.hurry_fd = -1;
        int r = copy_string(&o->address, s->address);
        if (r == 0)
                r = copy_string(&o->device, s->device);
        if (r == 0)
                r = copy_string(&o->network_namespace, s->network_namespace);
        if (r == 0)
                r = copy_string(&o->service, s->service);
        if (r == 0)
                r = copy_string(&o->server_name, s->remote_sni);
        if (r)
                return pass(r);
        o->protocol = (enum fwd_protocol)s->protocol;
        fill_rules(o, host, s);
        o->rules.hurry_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (o->rules.hurry_fd < 0)
                return fail(-errno);
        const struct netstream netstream = netstream_of(s);
        if (o->protocol == PROTOCOL_TCP)
                r = netstream_open(&o->rules.tls, &netstream, host->facts->netstream, host->log);
        if (r)
                return pass(r);
        r = o->service ? 0 : add_configured(o, s);
        if (r)
                return pass(r);
        *ret = TAKE(o);
        return 0;
}

/* ---- Targets by DNS ----------------------------------------------------- */

/* The records of one priority: the n-th of those there are, from the best again behind the last. */
static void choose_rank(const struct service_host *hosts, size_t count, size_t rank, size_t *first, size_t *size) {
        *first = *size = 0;
        for (size_t turn = 0; turn <= rank; turn++) {
                *first += *size;
                if (*first == count)
                        *first = 0;
                *size = 1;
                while (*first + *size < count && hosts[*first + *size].priority == hosts[*first].priority)
                        ++*size;
        }
}

static int find_targets(struct omfwd *o) {
        struct service_host hosts[SERVICE_HOSTS_MAX];
        size_t count, first, size;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = service_find(hosts, &count, "syslog", protocol_choices[o->protocol], o->service, &complaint);
        if (r) {
                if (o->service_error != r)
                        module_report(o->rules.log, 3, CODE_ADDRESS, "omfwd: %s", buffer_string(&complaint));
                o->service_error = r;
                return pass(r);
        }
        o->service_error = 0;
        choose_rank(hosts, count, o->service_rank % SERVICE_HOSTS_MAX, &first, &size);
        o->targets = calloc(size, sizeof *o->targets);
        if (!o->targets)
                return fail(-ENOMEM);
        for (size_t i = 0; i < size; i++) {
                r = add_target(o, hosts[first + i].name, hosts[first + i].port);
                if (r) {
                        free_targets(o);
                        return pass(r);
                }
        }
        return 0;
}

/* Targets to send to: from DNS when they come from there and none are known. */
static int have_targets(struct omfwd *o) {
        return o->target_count ? 0 : find_targets(o);
}

/* None of them can be reached: those of the next priority are asked, and the records may have changed, too. */
static void leave_targets(struct omfwd *o, int error) {
        if (!o->service || error == EAGAIN)
                return;
        free_targets(o);
        o->service_rank++;
}

/* ---- Delivering --------------------------------------------------------- */

static bool is_usable(const struct fwd_target *t, int64_t now_ns) {
        return !t->is_down || now_ns >= t->retry_ns;
}

static size_t count_usable(const struct omfwd *o, int64_t now_ns) {
        size_t usable = 0;
        for (size_t i = 0; i < o->target_count; i++)
                usable += is_usable(o->targets[i], now_ns);
        return usable;
}

static void note(struct omfwd *o, struct fwd_target *t, int error) {
        if (error && !t->is_down && o->target_count > 1)
                module_report(o->rules.log, 4, 0, "omfwd: target %s:%s of the pool is down; the others take its share",
                              t->host, t->port);
        if (!error && t->is_down && o->target_count > 1)
                module_report(o->rules.log, 6, 0, "omfwd: target %s:%s of the pool is back", t->host, t->port);
        t->is_down = error != 0;
        t->retry_ns = error ? clock_mono_ns() + o->resume_interval_ns : 0;
}

static struct outcome outcome_of(int error, size_t taken) {
        if (error == -EMSGSIZE)
                return (struct outcome){DELIVER_REFUSED, taken, EMSGSIZE};
        return (struct outcome){error ? DELIVER_UNAVAILABLE : DELIVER_DONE, taken, -error};
}

/* Rows not taken yet, and why the last target took none of them. */
struct deal {
        const struct text *rows;
        size_t count, taken;
        int error;
};

static void hand_over(struct omfwd *o, struct deal *d, struct fwd_target *t, size_t size) {
        size_t some;
        d->error = t->ops->send(t, d->rows + d->taken, MIN(size, d->count - d->taken), &some);
        d->taken += some;
        if (d->error != -EMSGSIZE)
                note(o, t, d->error);
}

/*
 * Deals the rows out: of n targets each gets an n-th of them in a row. Where the rows do not divide, the first
 * targets get one more, and the next batch begins behind them: as if each row had gone to the next target.
 */
static struct outcome deal(struct omfwd *o, const struct text *rows, size_t count) {
        struct deal d = {.rows = rows, .count = count};
        int64_t now_ns = clock_mono_ns();
        size_t usable = count_usable(o, now_ns);
        /* All are down: delivery has waited already, so any may be tried. */
        bool tries_all = usable == 0;
        if (tries_all)
                usable = o->target_count;
        size_t share = count / usable, extra = count % usable, first = o->next;
        o->next = (first + count) % o->target_count;
        for (size_t i = 0; i < o->target_count && d.taken < count && d.error != -EMSGSIZE; i++) {
                struct fwd_target *t = o->targets[(first + i) % o->target_count];
                if (!tries_all && !is_usable(t, now_ns))
                        continue;
                size_t size = share + (extra > 0);
                extra -= extra > 0;
                if (size)
                        hand_over(o, &d, t, size);
        }
        /* What a failed target left goes to whoever still works. */
        for (size_t i = 0; i < o->target_count && d.taken < count && d.error != -EMSGSIZE; i++) {
                struct fwd_target *t = o->targets[(first + i) % o->target_count];
                if (!t->is_down)
                        hand_over(o, &d, t, count);
        }
        return outcome_of(d.taken == count ? 0 : d.error ? d.error : -EHOSTUNREACH, d.taken);
}

static struct outcome omfwd_deliver(void *instance, const struct work *work) {
        struct omfwd *o = instance;
        if (work->count == 0)
                return (struct outcome){DELIVER_DONE, 0, 0};
        size_t offered = work->count;
        if (o->limit.interval_s)
                offered = MIN(offered, row_limit_room(&o->limit, clock_mono_ns(), "omfwd", o->rules.log));
        struct outcome outcome = {DELIVER_DONE, 0, 0};
        int found = offered ? have_targets(o) : 0;
        if (found)
                outcome = outcome_of(found, 0);
        else if (offered && o->target_count == 1) {
                size_t taken;
                int r = o->targets[0]->ops->send(o->targets[0], work->column[0], offered, &taken);
                outcome = outcome_of(r, taken);
        } else if (offered)
                outcome = deal(o, work->column[0], offered);
        if (outcome.verdict == DELIVER_UNAVAILABLE)
                leave_targets(o, outcome.error);
        if (!o->limit.interval_s)
                return outcome;
        return row_limit_settle(&o->limit, outcome, offered, work->count, "omfwd", o->rules.log);
}

static enum verdict omfwd_resume(void *instance) {
        struct omfwd *o = instance;
        enum verdict verdict = DELIVER_UNAVAILABLE;
        if (have_targets(o))
                return verdict;
        for (size_t i = 0; i < o->target_count && verdict != DELIVER_DONE; i++) {
                struct fwd_target *t = o->targets[i];
                int r = t->ops->ready(t);
                note(o, t, r);
                if (r == 0)
                        verdict = DELIVER_DONE;
        }
        if (verdict != DELIVER_DONE)
                leave_targets(o, EHOSTUNREACH);
        return verdict;
}

static void omfwd_reopen(void *instance) {
        struct omfwd *o = instance;
        for (size_t i = 0; i < o->target_count; i++)
                o->targets[i]->ops->close(o->targets[i]);
        if (o->rules.tls)
                netstream_reload(o->rules.tls, "omfwd", o->rules.log);
        /* HUP asks DNS again, from the best priority on. */
        if (o->service) {
                free_targets(o);
                o->service_rank = 0;
        }
}

static void omfwd_statistic(struct buffer *name, const void *settings, const void *module_settings _unused_) {
        const struct omfwd_settings *s = settings;
        const char *target = s->targets.count ? s->targets.items[0] : "";
        const char *port = s->ports.count ? s->ports.items[0] : "";
        buffer_format(name, "%s-%s-%s", s->protocol == PROTOCOL_UDP ? "UDP" : "TCP", target, port);
}

/* A send that waits for room, on another thread, ends; those that come do not wait. */
static void omfwd_hurry(void *instance) {
        const struct omfwd *o = instance;
        const uint64_t one = 1;
        (void)!write(o->rules.hurry_fd, &one, sizeof one);
}

static const struct output_ops omfwd_ops = {
        .statistic = omfwd_statistic,
        .columns = omfwd_columns,
        .open = omfwd_open,
        .deliver = omfwd_deliver,
        .resume = omfwd_resume,
        .reopen = omfwd_reopen,
        .hurry = omfwd_hurry,
        .close = omfwd_close,
};

const struct module omfwd_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omfwd",
        .help = "Forwards messages to other machines over UDP or TCP.",
        .module_settings = SETTINGS(struct omfwd_module_settings, omfwd_module_params),
        .settings = SETTINGS(struct omfwd_settings, omfwd_params),
        .counters = omfwd_counters,
        .check = omfwd_check,
        .output = &omfwd_ops,
};
