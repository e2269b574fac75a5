/*
 * imuxsock: messages of programs on this machine, from the system log socket and
 * from any further unix datagram sockets.
 *
 * Each socket is an instance. Its datagrams are taken in batches, with the sender's
 * credentials and the kernel's time where somebody asked for them, and copied into
 * the intake. The usual format of syslog(3) is parsed here, since only here the
 * system's time and process id are known; with useSpecialParser="off" the ruleset's
 * parsers do it.
 *
 *   datagram -> own? -> rate limit of its process -> annotate -> intake -> parse -> trusted fields
 *
 * A message without PRI is user.notice; rsyslogd takes the first two characters for
 * one and makes it kern.emerg.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "input/builtin.h"
#include "input/listening.h"
#include "input/named_limit.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/unix.h"
#include "message/header.h"
#include "message/intake.h"
#include "message/ratelimit.h"
#include "module/facts.h"

enum {
        CALLS_A_ROUND = 8,  /* so that one busy socket does not starve the loop */
        LIMITER_SETS = 256, /* a process is looked for in one set */
        LIMITERS_A_SET = 4, /* together: processes whose rate is known at the same time */
        LOCAL_TAG_BYTES_MAX = 511,
        DATAGRAM_BYTES_MAX = 256 << 10, /* more than the kernel takes, as it comes (net.core.wmem_default) */
        SOCKET_MODE = 0666,
        CODE_RATE_LIMIT = 2177,
        CODE_NO_SOCKET = 2176,
};

#define DEFAULT_SOCKET "/dev/log"
#define JOURNAL_SOCKET "/run/systemd/journal/syslog"

/* One socket; the module's SysSock.* parameters and those of input() fill the same struct. */
struct socket_settings {
        char *path;
        char *host_name;
        char *ruleset;
        char *limit_name;
        bool unlinks, creates_path;
        bool ignores_own, ignores_time, takes_system_time, takes_system_pid;
        bool annotates, parses_trusted;
        bool uses_special_parser, parses_host;
        bool has_flow_control;
        int64_t limit_interval_s, limit_burst, limit_severity;
};

struct imuxsock_settings {
        struct socket_settings system;
        bool is_used;
        bool is_omitted; /* $OmitLocalLogging, the same the other way round */
};

enum counter_index { COUNT_SUBMITTED, COUNT_DISCARDED, COUNT_LIMITERS };

static const struct counter_def counters[] = {
        {"submitted", "Messages that were taken."},
        {"ratelimit.discarded", "Messages that were discarded because their process wrote too many."},
        {"ratelimit.numratelimiters", "Processes whose rate is being watched.", .is_gauge = true},
        {},
};

struct limiter {
        pid_t pid; /* 0: free */
        struct ratelimit limit;
};

struct imuxsock {
        const struct input_host *host;
        const struct socket_settings *settings;
        const char *path;
        struct sanitize_rules rules;
        struct loop *loop;
        struct intake *intake;
        struct source *source;
        struct watch watch;
        bool is_inherited;
        pid_t own_pid;
        struct unix_inbox *inbox;
        struct ratelimit limit;   /* what each process begins with */
        struct limiter *limiters; /* LIMITER_SETS * LIMITERS_A_SET; NULL without a limit */
        struct unix_process *process;
        struct buffer annotated;
};

/* ---- Rate limit -------------------------------------------------------- */

/* The limiter of a process; the one whose window began first makes room for a new one. */
static struct limiter *find_limiter(struct imuxsock *in, pid_t pid) {
        struct limiter *set = &in->limiters[(unsigned)pid % LIMITER_SETS * LIMITERS_A_SET], *oldest = set;
        for (unsigned i = 0; i < LIMITERS_A_SET; i++) {
                if (set[i].pid == pid)
                        return &set[i];
                if (set[i].limit.window_start_us < oldest->limit.window_start_us)
                        oldest = &set[i];
        }
        if (oldest->pid == 0)
                counter_add(&in->host->counters[COUNT_LIMITERS], 1);
        *oldest = (struct limiter){.pid = pid, .limit = in->limit};
        return oldest;
}

static bool is_within_limit(struct imuxsock *in, const struct unix_datagram *d, int64_t now_us) {
        if (!in->limiters || d->sender.pid == 0 || listening_severity(d->data) < ratelimit_severity_min(&in->limit))
                return true;
        struct limiter *l = find_limiter(in, d->sender.pid);
        uint64_t lost;
        struct limited_message message = {
                .source = in->source, .raw = d->data, .flags = in->settings->parses_host ? 0 : RECORD_NO_HOSTNAME};
        bool passes = ratelimit_pass_message(&l->limit, &message, now_us, &lost);
        if (!passes)
                counter_add(&in->host->counters[COUNT_DISCARDED], 1);
        if (LIKELY(passes && lost == 0) || (!passes && l->limit.discarded > 1))
                return passes;
        unix_process_look(in->process, l->pid);
        struct text name = in->process->program;
        if (lost)
                module_report(in->host->log, SEVERITY_ERR, CODE_RATE_LIMIT,
                              "imuxsock[pid: %d, name: %.*s]: %llu messages lost due to rate-limiting (%lld allowed "
                              "within %lld seconds)",
                              (int)l->pid, TEXT_ARGS(name), (unsigned long long)lost, (long long)l->limit.burst,
                              (long long)l->limit.interval_s);
        if (!passes)
                module_report(in->host->log, SEVERITY_ERR, CODE_RATE_LIMIT,
                              "imuxsock[pid: %d, name: %.*s]: begin to drop messages due to rate-limiting", (int)l->pid,
                              TEXT_ARGS(name));
        return passes;
}

/* ---- Trusted properties ------------------------------------------------- */

static void append_quoted(struct buffer *out, struct text t) {
        for (size_t i = 0; i < t.size; i++) {
                if (t.data[i] == '"' || t.data[i] == '\\')
                        buffer_byte(out, '\\');
                buffer_byte(out, t.data[i]);
        }
}

/* The message with what the kernel knows of its sender behind it; as it was, without memory. */
static struct text annotate(struct imuxsock *in, const struct unix_datagram *d) {
        struct buffer *out = &in->annotated;
        const struct unix_process *p = in->process;
        buffer_clear(out);
        buffer_text(out, d->data);
        buffer_format(out, " @[_PID=%d _UID=%u _GID=%u", (int)d->sender.pid, d->sender.uid, d->sender.gid);
        if (p->name.size)
                buffer_format(out, " _COMM=%.*s", TEXT_ARGS(p->name));
        if (p->executable.size)
                buffer_format(out, " _EXE=%.*s", TEXT_ARGS(p->executable));
        if (p->command.size) {
                buffer_text(out, TEXT(" _CMDLINE=\""));
                append_quoted(out, p->command);
                buffer_byte(out, '"');
        }
        buffer_byte(out, ']');
        return buffer_failed(out) ? d->data : buffer_as_text(out);
}

static void set_trusted(struct batch *b, struct record *r, const struct ucred *sender, const struct unix_process *p) {
        struct arena *a = &b->arena;
        struct json *tree = json_object(a);
        if (!tree || json_set(a, tree, TEXT("pid"), json_int(a, sender->pid)) ||
            json_set(a, tree, TEXT("uid"), json_int(a, sender->uid)) ||
            json_set(a, tree, TEXT("gid"), json_int(a, sender->gid)))
                return;
        const struct {
                struct text name, value;
        } texts[] = {{TEXT("appname"), p->name}, {TEXT("exe"), p->executable}, {TEXT("cmd"), p->command}};
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (texts[i].value.size && json_set(a, tree, texts[i].name, json_string(a, texts[i].value)))
                        return;
        r->tree[TREE_MESSAGE] = tree;
}

/* ---- The format of syslog(3) --------------------------------------------- */

/* "su[12]:" becomes "su[PID]:", with the process id that the kernel saw. */
static void set_system_pid(struct batch *b, struct record *r, pid_t pid) {
        struct text tag = batch_text(b, r->tag);
        const char *bracket = tag.size ? memchr(tag.data, '[', tag.size) : NULL;
        size_t kept = bracket ? (size_t)(bracket - tag.data) : tag.size;
        if (!bracket && kept && tag.data[kept - 1] == ':')
                kept--;
        if (kept == 0)
                return;
        char text[LOCAL_TAG_BYTES_MAX + 32];
        int size = snprintf(text, sizeof text, "%.*s[%d]:", (int)MIN(kept, (size_t)LOCAL_TAG_BYTES_MAX), tag.data,
                            (int)pid);
        r->tag = batch_store(b, (struct text){text, (size_t)size});
}

static const char *skip_date(const struct imuxsock *in, struct record *r, const char *p, const char *end) {
        const struct socket_settings *s = in->settings;
        struct stamp stamp = {0};
        const char *after = header_iso_date(&stamp, p, end);
        bool is_whole = after != NULL;
        if (!after)
                after = header_date(&stamp, p, end, false);
        if (after && !s->ignores_time && !s->takes_system_time) {
                if (!is_whole)
                        header_complete_date(&stamp, r);
                r->reported = stamp;
        } else {
                r->reported = stamp_of_wall(r->received_us);
        }
        return after ? after : p;
}

/* Date, tag up to a blank, message; there is no host name. */
static void parse_local(const struct imuxsock *in, struct batch *b, struct record *r, pid_t pid) {
        sanitize(b, r, &in->rules);
        parse_pri(b, r);
        struct text raw = batch_text(b, r->raw);
        r->flags |= RECORD_IS_PARSED | RECORD_NO_HOSTNAME;
        if (r->facility == FACILITY_INVALID && r->pri_size == 0) {
                r->msg = r->raw;
                r->reported = stamp_of_wall(r->received_us);
                return;
        }
        const char *end = raw.data + raw.size, *p = skip_date(in, r, raw.data + r->pri_size, end);
        const char *limit = end - p > LOCAL_TAG_BYTES_MAX ? p + LOCAL_TAG_BYTES_MAX : end;
        const char *blank = p;
        while (blank < limit && *blank != ' ')
                blank++;
        r->tag = span_slice(r->raw, (size_t)(p - raw.data), (size_t)(blank - raw.data));
        r->msg = span_slice(r->raw, (size_t)(blank - raw.data), raw.size);
        if (in->settings->takes_system_pid && pid)
                set_system_pid(b, r, pid);
}

/* ---- Reception ------------------------------------------------------------ */

/* True when the datagram became a record. */
static bool take(struct imuxsock *in, const struct unix_datagram *d, int64_t now_us) {
        const struct socket_settings *s = in->settings;
        if (d->data.size == 0 || (s->ignores_own && d->sender.pid == in->own_pid))
                return false;
        int64_t time_us = s->takes_system_time && d->received_us ? d->received_us : now_us;
        if (!is_within_limit(in, d, time_us))
                return false;
        bool is_looked_at = s->annotates && d->sender.pid;
        if (is_looked_at)
                unix_process_look(in->process, d->sender.pid);
        struct text raw = is_looked_at && !s->parses_trusted ? annotate(in, d) : d->data;
        struct record *r = intake_copy(in->intake, in->source, raw, time_us);
        if (!r)
                return false;
        struct batch *b = in->intake->batch;
        if (s->uses_special_parser)
                parse_local(in, b, r, d->sender.pid);
        else
                r->flags |= (s->ignores_time ? RECORD_IGNORE_DATE : 0) | (s->parses_host ? 0 : RECORD_NO_HOSTNAME);
        if (is_looked_at && s->parses_trusted)
                set_trusted(b, r, &d->sender, in->process);
        return true;
}

static void imuxsock_ready(struct watch *watch, uint32_t events _unused_) {
        struct imuxsock *in = CONTAINER_OF(watch, struct imuxsock, watch);
        for (unsigned call = 0; call < CALLS_A_ROUND; call++) {
                const struct unix_datagram *datagrams;
                int count = unix_receive(in->inbox, watch->fd, &datagrams);
                if (count < 0) {
                        module_report(in->host->log, SEVERITY_ERR, 0, "imuxsock: cannot read from '%s': %s", in->path,
                                      fail_text(count));
                        loop_unwatch(in->loop, watch);
                        return;
                }
                int64_t now_us = clock_wall_us();
                uint64_t taken = 0;
                for (int i = 0; i < count; i++)
                        taken += take(in, &datagrams[i], now_us);
                if (taken)
                        counter_add(&in->host->counters[COUNT_SUBMITTED], taken);
                if (count < UNIX_BATCH_MAX)
                        return;
        }
}

/* ---- Life ------------------------------------------------------------------ */

static void imuxsock_stop(void *instance) {
        struct imuxsock *in = instance;
        loop_unwatch(in->loop, &in->watch);
        if (in->watch.fd < 0)
                return;
        in->watch.fd = file_close(in->watch.fd);
        if (in->settings->unlinks && !in->is_inherited)
                file_remove(in->path);
}

/* The name stays: whoever has the socket now goes on with it. */
static void imuxsock_retire(void *instance) {
        struct imuxsock *in = instance;
        in->is_inherited = true;
        imuxsock_stop(in);
}

static void imuxsock_close(void *instance) {
        struct imuxsock *in = instance;
        if (in->watch.fd >= 0)
                imuxsock_stop(in);
        source_unref(in->source);
        unix_inbox_free(in->inbox);
        buffer_fini(&in->annotated);
        free(in->limiters);
        free(in->process);
        free(in);
}

static void imuxsock_close_owned(struct imuxsock **in) {
        if (*in)
                imuxsock_close(*in);
}

/* With systemd the journal owns /dev/log, and what it forwards comes by another socket. */
static const char *system_socket(const struct socket_settings *s) {
        if (s->path)
                return s->path;
        struct file_facts facts;
        bool is_forwarded = file_facts_of_path(&facts, "/run/systemd/system") == 0 &&
                            file_facts_of_path(&facts, JOURNAL_SOCKET) == 0;
        return is_forwarded ? JOURNAL_SOCKET : DEFAULT_SOCKET;
}

static int open_socket(struct imuxsock *in) {
        const struct socket_settings *s = in->settings;
        in->watch.fd = unix_inherited(in->path);
        in->is_inherited = in->watch.fd >= 0;
        if (in->is_inherited) {
                module_report(in->host->log, SEVERITY_INFO, 0,
                              "imuxsock: Acquired UNIX socket '%s' (fd %d) from systemd.", in->path, in->watch.fd);
        } else {
                int r = unix_bind(&in->watch.fd, in->path, SOCKET_MODE, s->unlinks, s->creates_path);
                if (r) {
                        module_report(in->host->log, SEVERITY_ERR, CODE_NO_SOCKET, "cannot create '%s': %s", in->path,
                                      fail_text(r));
                        return pass(r);
                }
        }
        bool needs_sender = s->ignores_own || s->annotates || s->takes_system_pid || in->limiters;
        return pass(unix_ask(in->watch.fd, needs_sender, s->takes_system_time));
}

static int imuxsock_open(void **ret, const struct input_host *host, const void *settings) {
        const struct imuxsock_settings *module_settings = host->module_settings;
        _owned_(imuxsock_close) struct imuxsock *in = calloc(1, sizeof *in);
        if (!in)
                return fail(-ENOMEM);
        in->watch.fd = -1;
        in->host = host;
        in->settings = settings ? settings : &module_settings->system;
        in->path = settings ? in->settings->path : system_socket(in->settings);
        in->rules = facts_sanitize_rules(host->facts);
        in->loop = host->loop[0];
        in->intake = host->intake[0];
        in->own_pid = getpid();
        const char *name = in->settings->host_name ? in->settings->host_name : host->facts->host_name;
        in->source = source_new_local("imuxsock", name, "127.0.0.1");
        in->process = calloc(1, sizeof *in->process);
        in->limit = (struct ratelimit){.interval_s = in->settings->limit_interval_s,
                                       .burst = in->settings->limit_burst,
                                       .severity_min = (uint8_t)in->settings->limit_severity};
        limit_by_name(&in->limit, host, in->settings->limit_name, "imuxsock");
        if (in->limit.interval_s > 0)
                in->limiters = calloc((size_t)LIMITER_SETS * LIMITERS_A_SET, sizeof *in->limiters);
        if (!in->source || !in->process || (in->limit.interval_s > 0 && !in->limiters))
                return fail(-ENOMEM);
        int r = unix_inbox_new(&in->inbox, MIN((size_t)host->facts->message_bytes_max, (size_t)DATAGRAM_BYTES_MAX));
        if (!r)
                r = open_socket(in);
        if (r)
                return pass(r);
        *ret = TAKE(in);
        return 0;
}

static int imuxsock_start(void *instance) {
        struct imuxsock *in = instance;
        if (in->settings->has_flow_control)
                in->intake->flow = FLOW_LIGHT;
        in->watch.events = EPOLLIN;
        in->watch.ready = imuxsock_ready;
        return loop_watch(in->loop, &in->watch);
}

static bool imuxsock_module_instance(const void *module_settings) {
        const struct imuxsock_settings *s = module_settings;
        return s->is_used && !s->is_omitted;
}

/* ---- Parameters ------------------------------------------------------------ */

#define HELP_IGNORES_OWN                                                                                               \
        "Ignores what this daemon itself wrote, which would otherwise go in circles by way of a journal."
#define HELP_IGNORES_TIME "Takes the time of reception instead of the one in the message."
#define HELP_SYSTEM_TIME  "Takes the time at which the kernel received the message."
#define HELP_SYSTEM_PID   "Writes the sender's real process id into the tag."
#define HELP_ANNOTATE                                                                                                  \
        "Adds what the kernel knows of the sender, which it cannot forge: process, user and group id, name, program "  \
        "and command line."
#define HELP_TRUSTED  "With annotate: sets them as $!pid, $!uid, $!gid, $!appname, $!exe and $!cmd, not as text."
#define HELP_SPECIAL  "Parses the format that syslog(3) writes. Off: the parsers of the ruleset do it."
#define HELP_HOST     "Without the special parser: expects a host name in messages."
#define HELP_FLOW     "Lets senders wait while the queue is filled above its light delay mark."
#define HELP_UNLINK   "Removes the socket before it is made and when the daemon stops."
#define HELP_INTERVAL "Time in which a process may write so many messages as the burst says. 0: no limit."
#define HELP_BURST    "Messages that a process may write in one interval."
#define HELP_SEVERITY "Only messages of this or a less important severity are limited."

#define S struct imuxsock_settings
static const struct param module_params[] = {
        PARAM_BOOL(S, is_used, .name = "syssock.use", .dflt = "on", .help = "Listens on the system log socket."),
        PARAM_BOOL(S, is_omitted, .name = "omitlocallogging", .legacy = "OmitLocalLogging", .dflt = "off",
                   .help = "Does not listen on the system log socket: the same as sysSock.use=\"off\"."),
        PARAM_STRING(S, system.path, .name = "syssock.name", .legacy = "SystemLogSocketName",
                     .help = "Path of the system log socket. Unset: /dev/log, or where systemd's journal forwards to."),
        PARAM_BOOL(S, system.unlinks, .name = "syssock.unlink", .dflt = "on", .help = HELP_UNLINK),
        PARAM_BOOL(S, system.ignores_time, .name = "syssock.ignoretimestamp",
                   .legacy = "SystemLogSocketIgnoreMsgTimestamp", .dflt = "on", .help = HELP_IGNORES_TIME),
        PARAM_BOOL(S, system.ignores_own, .name = "syssock.ignoreownmessages", .dflt = "on", .help = HELP_IGNORES_OWN),
        PARAM_BOOL(S, system.has_flow_control, .name = "syssock.flowcontrol",
                   .legacy = "SystemLogFlowControl SystemLogSocketFlowControl", .dflt = "off", .help = HELP_FLOW),
        PARAM_BOOL(S, system.takes_system_time, .name = "syssock.usesystimestamp", .legacy = "SystemLogUseSysTimeStamp",
                   .dflt = "on", .help = HELP_SYSTEM_TIME),
        PARAM_BOOL(S, system.annotates, .name = "syssock.annotate", .legacy = "SystemLogSocketAnnotate", .dflt = "off",
                   .help = HELP_ANNOTATE),
        PARAM_BOOL(S, system.parses_trusted, .name = "syssock.parsetrusted", .legacy = "SystemLogParseTrusted",
                   .dflt = "off", .help = HELP_TRUSTED),
        PARAM_BOOL(S, system.uses_special_parser, .name = "syssock.usespecialparser", .dflt = "on",
                   .help = HELP_SPECIAL),
        PARAM_BOOL(S, system.parses_host, .name = "syssock.parsehostname", .dflt = "off", .help = HELP_HOST),
        PARAM_BOOL(S, system.takes_system_pid, .name = "syssock.usepidfromsystem",
                   .legacy = "SystemLogUsePIDFromSystem", .dflt = "off", .help = HELP_SYSTEM_PID),
        PARAM_INT(S, system.limit_interval_s, .name = "syssock.ratelimit.interval",
                  .legacy = "SystemLogRateLimitInterval", .dflt = "0", .min = 0, .max = INT32_MAX, .unit = "seconds",
                  .help = HELP_INTERVAL),
        PARAM_INT(S, system.limit_burst, .name = "syssock.ratelimit.burst", .legacy = "SystemLogRateLimitBurst",
                  .dflt = "200", .min = 0, .max = INT32_MAX, .unit = "messages", .help = HELP_BURST),
        PARAM_INT(S, system.limit_severity, .name = "syssock.ratelimit.severity",
                  .legacy = "SystemLogRateLimitSeverity", .dflt = "1", .min = 0, .max = 7, .help = HELP_SEVERITY),
        PARAM_STRING(S, system.limit_name, .name = "syssock.ratelimit.name", .help = NAMED_LIMIT_HELP),
        {},
};
#undef S

#define S struct socket_settings
static const struct param input_params[] = {
        PARAM_STRING(S, path, .name = "socket", .legacy = "AddUnixListenSocket",
                     .flags = PARAM_IS_REQUIRED | PARAM_LEGACY_CREATES, .help = "Path of the socket to listen on."),
        PARAM_BOOL(S, unlinks, .name = "unlink", .dflt = "on", .help = HELP_UNLINK),
        PARAM_BOOL(S, creates_path, .name = "createpath", .legacy = "InputUnixListenSocketCreatePath", .dflt = "off",
                   .help = "Makes missing directories of the path, with mode 0755."),
        PARAM_STRING(S, host_name, .name = "hostname", .legacy = "InputUnixListenSocketHostName",
                     .help = "Host name of messages from this socket. Unset: this machine's."),
        PARAM_BOOL(S, ignores_time, .name = "ignoretimestamp", .legacy = "InputUnixListenSocketIgnoreMsgTimestamp",
                   .dflt = "on", .help = HELP_IGNORES_TIME),
        PARAM_BOOL(S, ignores_own, .name = "ignoreownmessages", .dflt = "on", .help = HELP_IGNORES_OWN),
        PARAM_BOOL(S, has_flow_control, .name = "flowcontrol", .legacy = "InputUnixListenSocketFlowControl",
                   .dflt = "off", .help = HELP_FLOW),
        PARAM_BOOL(S, takes_system_time, .name = "usesystimestamp", .legacy = "InputUnixListenSocketUseSysTimeStamp",
                   .dflt = "on", .help = HELP_SYSTEM_TIME),
        PARAM_BOOL(S, annotates, .name = "annotate", .legacy = "InputUnixListenSocketAnnotate", .dflt = "off",
                   .help = HELP_ANNOTATE),
        PARAM_BOOL(S, parses_trusted, .name = "parsetrusted", .legacy = "ParseTrusted", .dflt = "off",
                   .help = HELP_TRUSTED),
        PARAM_BOOL(S, uses_special_parser, .name = "usespecialparser", .dflt = "on", .help = HELP_SPECIAL),
        PARAM_BOOL(S, parses_host, .name = "parsehostname", .dflt = "off", .help = HELP_HOST),
        PARAM_BOOL(S, takes_system_pid, .name = "usepidfromsystem", .legacy = "InputUnixListenSocketUsePIDFromSystem",
                   .dflt = "off", .help = HELP_SYSTEM_PID),
        PARAM_RULESET(S, ruleset, .name = "ruleset", .help = "Ruleset that messages go to. Unset: the default one."),
        PARAM_INT(S, limit_interval_s, .name = "ratelimit.interval", .legacy = "IMUXSockRateLimitInterval", .dflt = "0",
                  .min = 0, .max = INT32_MAX, .unit = "seconds", .help = HELP_INTERVAL),
        PARAM_INT(S, limit_burst, .name = "ratelimit.burst", .legacy = "IMUXSockRateLimitBurst", .dflt = "200",
                  .min = 0, .max = INT32_MAX, .unit = "messages", .help = HELP_BURST),
        PARAM_INT(S, limit_severity, .name = "ratelimit.severity", .legacy = "IMUXSockRateLimitSeverity", .dflt = "1",
                  .min = 0, .max = 7, .help = HELP_SEVERITY),
        PARAM_STRING(S, limit_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        {},
};
#undef S

static const struct input_ops imuxsock_ops = {
        .open = imuxsock_open,
        .start = imuxsock_start,
        .stop = imuxsock_stop,
        .close = imuxsock_close,
        .retire = imuxsock_retire,
        .module_instance = imuxsock_module_instance,
};

const struct module imuxsock_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imuxsock",
        .help = "Takes messages of programs on this machine: the system log socket and further unix datagram sockets.",
        .module_settings = SETTINGS(struct imuxsock_settings, module_params),
        .settings = SETTINGS(struct socket_settings, input_params),
        .counters = counters,
        .input = &imuxsock_ops,
};
