/*
 * omrelp: messages to other machines over RELP.
 *
 * A row counts as delivered when the peer has acknowledged it, and not before. So
 * deliver() ends with nothing in flight: either every row is answered, or the
 * session broke, and the rows that were not answered are sent again in a new one.
 *
 * Answers need not come in the order of the rows, and rows behind a refused one
 * may be acknowledged already when delivery/ gives us the rest. What is known of
 * such rows is remembered (`ahead`) until that rest has come, so that no row is
 * sent again that the peer has taken.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/counter.h"
#include "base/fail.h"
#include "io/relp_client.h"
#include "message/batch.h"
#include "module/relp_tls.h"

extern const struct module omrelp_module;

enum {
        CODE_RELP = 2353,
        SILENCE_S_MAX = 86400,
};

struct omrelp_module_settings {
        char *tls_library;
};

struct omrelp_settings {
        char *target, *port, *template, *local_address;
        int64_t rebind_interval, window, silence_s, connect_wait_s;
        bool keeps_alive;
        int64_t keepalive_probes, keepalive_time_s, keepalive_interval_s;
        bool compresses, ends_for_good;
        struct relp_tls tls;
};

static const struct param omrelp_module_params[] = {
        PARAM_STRING(
                struct omrelp_module_settings, tls_library, .name = "tls.tlslib",
                .help = "openssl or gnutls. TLS is OpenSSL's in both cases; GnuTLS's priority strings are translated."),
        {},
};

static const struct param omrelp_params[] = {
        PARAM_STRING(struct omrelp_settings, target, .name = "target", .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                     .help = "Name or address of the machine to send to; HOST:PORT in the form :omrelp:HOST:PORT."),
        PARAM_STRING(struct omrelp_settings, port, .name = "port", .dflt = "514",
                     .help = "Port number or service name."),
        PARAM_TEMPLATE(struct omrelp_settings, template, .name = "template", .dflt = "RSYSLOG_ForwardFormat",
                       .help = "Template of the messages."),
        PARAM_STRING(struct omrelp_settings, local_address, .name = "localclientip",
                     .help = "Local address to send from."),
        PARAM_INT(struct omrelp_settings, window, .name = "windowsize", .dflt = "0", .min = 0, .max = RELP_WINDOW_MAX,
                  .unit = "messages",
                  .help = "How many messages may be unacknowledged at a time; 0: 128. More is faster over long "
                          "distances, and may be sent twice when a connection breaks."),
        PARAM_INT(struct omrelp_settings, silence_s, .name = "timeout", .dflt = "90", .min = 1, .max = SILENCE_S_MAX,
                  .unit = "seconds", .help = "A peer that acknowledges nothing for so long is taken for dead."),
        PARAM_INT(struct omrelp_settings, connect_wait_s, .name = "conn.timeout", .dflt = "10", .min = 1, .max = 3600,
                  .unit = "seconds", .help = "How long a connection may take to be made."),
        PARAM_INT(struct omrelp_settings, rebind_interval, .name = "rebindinterval", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "messages",
                  .help = "Messages after which a new connection is made, for load balancers; 0: never."),
        PARAM_BOOL(struct omrelp_settings, keeps_alive, .name = "keepalive", .dflt = "off",
                   .help = "Send TCP keep-alive probes."),
        PARAM_INT(struct omrelp_settings, keepalive_probes, .name = "keepalive.probes", .dflt = "0", .min = 0,
                  .max = 127, .unit = "probes",
                  .help = "Unanswered probes that end a connection; 0: as the system does."),
        PARAM_INT(struct omrelp_settings, keepalive_time_s, .name = "keepalive.time", .dflt = "0", .min = 0,
                  .max = 32767, .unit = "seconds", .help = "Silence before the first probe; 0: as the system does."),
        PARAM_INT(struct omrelp_settings, keepalive_interval_s, .name = "keepalive.interval", .dflt = "0", .min = 0,
                  .max = 32767, .unit = "seconds", .help = "Time between probes; 0: as the system does."),
        RELP_TLS_PARAMS(struct omrelp_settings, tls,
                        "The servers that messages may be sent to: names, where * stands for one label, or "
                        "fingerprints as SHA1:... or SHA256:..."),
        PARAM_BOOL(struct omrelp_settings, compresses, .name = "tls.compression", .dflt = "off",
                   .flags = PARAM_IS_IGNORED,
                   .help = "Without effect: compressed TLS gives away what it encrypts, and no library does it any "
                           "more."),
        PARAM_BOOL(struct omrelp_settings, ends_for_good, .name = "tls.permanentfailuredisablesaction", .dflt = "on",
                   .flags = PARAM_IS_IGNORED,
                   .help = "Without effect: a certificate that does not do is retried as any other failure, so that "
                           "messages flow as soon as it is mended."),
        {},
};

enum omrelp_counter { OMRELP_ACKNOWLEDGED, OMRELP_REFUSED, OMRELP_SESSIONS, OMRELP_RESUMED };
static const struct counter_def omrelp_counters[] = {
        [OMRELP_ACKNOWLEDGED] = {"acknowledged", "Messages that the peer has taken over."},
        [OMRELP_REFUSED] = {"refused", "Messages that the peer refused."},
        [OMRELP_SESSIONS] = {"sessions.opened", "Sessions that were opened."},
        [OMRELP_RESUMED] = {"sessions.resumed", "Those that went on where a broken one had ended."},
        {},
};

/* What is known of rows that delivery/ will give us again: by their number in the batch. */
struct ahead {
        struct batch *batch;               /* held, so that no other can be taken for it; NULL: nothing is known */
        uint16_t next;                     /* the record that comes first then */
        uint8_t states[BATCH_RECORDS_MAX]; /* enum relp_row */
};

struct omrelp {
        struct relp_client client;
        struct relp_client_rules rules;
        struct module_log *log;
        struct counter *counters;
        char *host, *port, *local_address;
        int64_t rebind_interval;
        int64_t sent; /* rows of this connection */
        int told;     /* the failure that was reported last; 0: none since it worked */
        uint8_t states[BATCH_RECORDS_MAX];
        struct ahead ahead;
};

/* ---- Checking and opening --------------------------------------------------- */

static int omrelp_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct omrelp_settings *s = settings;
        if (s && s->target && text_trim(text_of(s->target)).size == 0) {
                module_report_param(log, 3, "target", "the name or address of a machine is missing");
                return fail(-EINVAL);
        }
        return s ? relp_tls_check(&s->tls, false, "omrelp", log) : 0;
}

static int omrelp_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omrelp_settings *s = settings;
        columns[0] = (struct work_format){.name = s->template, .dflt = "RSYSLOG_ForwardFormat"};
        return 1;
}

static void forget_ahead(struct omrelp *o) {
        o->ahead.batch = batch_unref(o->ahead.batch);
}

static void omrelp_close(void *instance) {
        struct omrelp *o = instance;
        relp_client_close(&o->client);
        relp_client_fini(&o->client);
        tls_context_free(o->rules.tls);
        forget_ahead(o);
        free(o->host);
        free(o->port);
        free(o->local_address);
        free(o);
}

static void omrelp_release(struct omrelp *o) {
        omrelp_close(o);
}
OWNED_POINTER(struct omrelp, omrelp_release);

/* "host", "host:port", "[2001:db8::1]:port", "2001:db8::1": a name has no colon, and an address has many. */
static int split_target(struct omrelp *o, const struct omrelp_settings *s) {
        struct text target = text_trim(text_of(s->target)), port = text_of(s->port);
        const char *colon = memchr(target.data, ':', target.size);
        size_t at = colon ? (size_t)(colon - target.data) : target.size;
        if (target.data[0] == '[') {
                const char *bracket = memchr(target.data, ']', target.size);
                size_t end = bracket ? (size_t)(bracket - target.data) : target.size;
                if (end + 1 < target.size && target.data[end + 1] == ':')
                        port = text_slice(target, end + 2, target.size);
                target = text_slice(target, 1, end);
        } else if (colon && !memchr(colon + 1, ':', target.size - at - 1)) {
                port = text_slice(target, at + 1, target.size);
                target = text_slice(target, 0, at);
        }
        o->host = text_copy(target);
        o->port = text_copy(port);
        return o->host && o->port ? 0 : fail(-ENOMEM);
}

static void fill_rules(struct omrelp *o, const struct output_host *host, const struct omrelp_settings *s) {
        o->rules = (struct relp_client_rules){
                .connect =
                        {
                                .type = SOCK_STREAM,
                                .family = host->facts->ip_family,
                                .local_address = o->local_address,
                                .keeps_alive = s->keeps_alive,
                                .keepalive_probes = (int)s->keepalive_probes,
                                .keepalive_time_s = (int)s->keepalive_time_s,
                                .keepalive_interval_s = (int)s->keepalive_interval_s,
                                .wait_ms = (int)s->connect_wait_s * 1000,
                        },
                .host = o->host,
                .port = o->port,
                .window = (uint32_t)s->window,
                .silence_ms = (int)s->silence_s * 1000,
        };
}

/* Files that do not do now may do later: the action starts, and is suspended until they are mended. */
static int make_tls(struct omrelp *o, const struct omrelp_settings *s) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        struct tls_rules rules = relp_tls_rules(&s->tls, false);
        int r = tls_context_new(&o->rules.tls, &rules, &complaint);
        if (r)
                module_report(o->log, 3, CODE_RELP, "omrelp[%s:%s]: %s", o->host, o->port, buffer_string(&complaint));
        return r < 0 ? pass(r) : 0;
}

static int omrelp_open(void **ret, const struct output_host *host, const void *settings) {
        const struct omrelp_settings *s = settings;
        _owned_(omrelp_release) struct omrelp *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->client = (struct relp_client){.channel = CHANNEL_CLOSED, .hurry_fd = -1};
        o->log = host->log;
        o->counters = host->counters;
        o->rebind_interval = s->rebind_interval;
        int r = split_target(o, s);
        if (r)
                return pass(r);
        if (s->local_address && *s->local_address) {
                o->local_address = text_copy(text_of(s->local_address));
                if (!o->local_address)
                        return fail(-ENOMEM);
        }
        fill_rules(o, host, s);
        r = s->tls.is_on ? make_tls(o, s) : 0;
        if (r)
                return pass(r);
        r = relp_client_init(&o->client, &o->rules);
        if (r)
                return pass(r);
        *ret = TAKE(o);
        return 0;
}

/* ---- Sessions ----------------------------------------------------------------- */

/* Once for each kind of failure, until it has worked again. */
static void tell(struct omrelp *o, int error, const char *what, struct buffer *complaint) {
        if (o->told == error || error == -ECANCELED)
                return;
        o->told = error;
        const char *words = complaint->size ? buffer_string(complaint) : NULL;
        module_report(o->log, 3, CODE_RELP, "omrelp[%s:%s]: %s: %s%s%s", o->host, o->port, what, words ? words : "",
                      words ? ": " : "", fail_text(error));
}

static int open_session(struct omrelp *o) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = relp_client_open(&o->client, &complaint);
        if (r) {
                tell(o, r, "cannot connect to the remote peer", &complaint);
                return pass(r);
        }
        o->sent = 0;
        counter_add(&o->counters[OMRELP_SESSIONS], 1);
        return 0;
}

static int have_session(struct omrelp *o) {
        if (o->rebind_interval && relp_client_is_open(&o->client) && o->sent >= o->rebind_interval)
                relp_client_close(&o->client);
        return relp_client_is_open(&o->client) ? 0 : open_session(o);
}

/* As many rows as the connection may carry before the next is due. */
static size_t portion(const struct omrelp *o, size_t count) {
        return o->rebind_interval ? MIN(count, (size_t)(o->rebind_interval - o->sent)) : count;
}

/* A peer that refuses one message after the other is told of once. */
static bool has_refusal(struct omrelp *o, size_t first, size_t count) {
        if (!memchr(o->states + first, RELP_ROW_REFUSED, count))
                return false;
        if (o->told != -EBADMSG)
                module_report(o->log, 4, CODE_RELP, "omrelp[%s:%s]: the peer refused a message: %s", o->host, o->port,
                              o->client.refusal);
        o->told = -EBADMSG;
        return true;
}

/*
 * Sends what waits. A session that was there before, or has carried something, is resumed once when it breaks: the
 * peer was restarted, or closed what was idle for too long. One that breaks at once has to wait for its time.
 */
static int send_rows(struct omrelp *o, const struct text *rows, size_t count) {
        bool may_resume = relp_client_is_open(&o->client);
        for (size_t at = 0; at < count;) {
                int r = have_session(o);
                if (r)
                        return pass(r);
                _owned_(buffer_fini) struct buffer complaint = {0};
                size_t some = portion(o, count - at);
                r = relp_client_exchange(&o->client, rows + at, o->states + at, some, &complaint);
                if (r && (!may_resume || r == -ECANCELED)) {
                        tell(o, r, "the session broke", &complaint);
                        return pass(r);
                }
                if (r) {
                        may_resume = false;
                        counter_add(&o->counters[OMRELP_RESUMED], 1);
                        continue;
                }
                o->sent += (int64_t)some;
                if (has_refusal(o, at, some))
                        return 0;
                o->told = 0;
                at += some;
        }
        return 0;
}

/* ---- Delivering ----------------------------------------------------------------- */

/* What is known of the rows already. */
static void recall(struct omrelp *o, const struct work *work, size_t count) {
        memset(o->states, RELP_ROW_WAITING, count);
        if (o->ahead.batch == work->batch && o->ahead.batch && o->ahead.next == work->selection[0])
                for (size_t i = 0; i < count; i++)
                        o->states[i] = o->ahead.states[work->selection[i]];
        forget_ahead(o);
}

/* Rows from `first` on come again: those that are settled shall not be sent then. */
static void remember(struct omrelp *o, const struct work *work, size_t first, size_t count) {
        bool is_any = false;
        for (size_t i = first; i < count; i++)
                is_any |= o->states[i] != RELP_ROW_WAITING;
        if (!is_any)
                return;
        memset(o->ahead.states, RELP_ROW_WAITING, sizeof o->ahead.states);
        for (size_t i = first; i < count; i++)
                o->ahead.states[work->selection[i]] = o->states[i];
        o->ahead.next = work->selection[first];
        o->ahead.batch = batch_ref(work->batch);
}

static struct outcome omrelp_deliver(void *instance, const struct work *work) {
        struct omrelp *o = instance;
        size_t count = MIN(work->count, (size_t)BATCH_RECORDS_MAX), taken = 0;
        recall(o, work, count);
        int r = send_rows(o, work->column[0], count);
        while (taken < count && o->states[taken] == RELP_ROW_TAKEN)
                taken++;
        counter_add(&o->counters[OMRELP_ACKNOWLEDGED], taken);
        if (taken == count)
                return (struct outcome){DELIVER_DONE, taken, 0};
        bool is_refused = o->states[taken] == RELP_ROW_REFUSED;
        remember(o, work, taken + is_refused, count);
        if (!is_refused)
                return (struct outcome){DELIVER_UNAVAILABLE, taken, r ? -r : ECONNRESET};
        counter_add(&o->counters[OMRELP_REFUSED], 1);
        return (struct outcome){DELIVER_REFUSED, taken, EBADMSG};
}

static enum verdict omrelp_resume(void *instance) {
        return have_session(instance) ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static void omrelp_reopen(void *instance) {
        struct omrelp *o = instance;
        relp_client_close(&o->client);
        o->told = 0;
        _owned_(buffer_fini) struct buffer complaint = {0};
        if (o->rules.tls && tls_context_reload(o->rules.tls, &complaint))
                module_report(o->log, 3, CODE_RELP, "omrelp[%s:%s]: %s", o->host, o->port, buffer_string(&complaint));
}

static void omrelp_hurry(void *instance) {
        struct omrelp *o = instance;
        relp_client_hurry(&o->client);
}

static const struct output_ops omrelp_ops = {
        .columns = omrelp_columns,
        .open = omrelp_open,
        .deliver = omrelp_deliver,
        .resume = omrelp_resume,
        .reopen = omrelp_reopen,
        .close = omrelp_close,
        .hurry = omrelp_hurry,
};

const struct module omrelp_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omrelp",
        .help = "Forwards messages to other machines over RELP; each is kept until the peer has acknowledged it.",
        .module_settings = SETTINGS(struct omrelp_module_settings, omrelp_module_params),
        .settings = SETTINGS(struct omrelp_settings, omrelp_params),
        .counters = omrelp_counters,
        .check = omrelp_check,
        .output = &omrelp_ops,
};
