/*
 * omuxsock: messages to a Unix socket of this machine.
 *
 *   CLOSED -> OPEN     rows to send                make_ready()
 *   OPEN   -> CLOSED   the receiver went away, HUP
 *
 * Datagrams (and packets) carry one message each. A stream carries lines; a line
 * that a slow receiver took half of is completed first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "io/connect.h"
#include "module/module.h"

extern const struct module omuxsock_module;

enum {
        DATAGRAMS_A_CALL = 256,
        SEND_WAIT_MS = 1000, /* for a receiver that is only slow */
        CODE_SOCKET = 2351,
};

static const char *const type_choices[] = {"DGRAM", "STREAM", "SEQPACKET", NULL};
static const int socket_types[] = {SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET};

struct omuxsock_settings {
        char *template;
        bool is_abstract;
        char *socket_name;
        int socket_type; /* place in type_choices */
        char *network_namespace;
        int64_t connect_timeout_ms;
};

/* The module and the action have the same parameters; the module's stand in for those that the action lacks. */
#define OMUXSOCK_PARAMS(flags_, main_, template_legacy, name_legacy)                                                   \
        PARAM_TEMPLATE(struct omuxsock_settings, template, .name = "template", .legacy = (template_legacy),            \
                       .dflt = "RSYSLOG_TraditionalForwardFormat", .flags = (flags_) | PARAM_LEGACY_STAYS,             \
                       .help = "Template of the messages."),                                                           \
                PARAM_BOOL(struct omuxsock_settings, is_abstract, .name = "abstract", .dflt = "off",                   \
                           .flags = (flags_), .help = "The name is one of the abstract name space, without a file."),  \
                PARAM_STRING(struct omuxsock_settings, socket_name, .name = "socketname", .legacy = (name_legacy),     \
                             .flags = (flags_) | (main_), .help = "Path or abstract name of the socket."),             \
                PARAM_CHOICE(struct omuxsock_settings, socket_type, .name = "sockettype", .dflt = "DGRAM",             \
                             .choices = type_choices, .flags = (flags_), .help = "Type of the socket."),               \
                PARAM_STRING(struct omuxsock_settings, network_namespace, .name = "networknamespace",                  \
                             .flags = (flags_), .help = "Network namespace that the abstract name is looked up in."),  \
                PARAM_INT(struct omuxsock_settings, connect_timeout_ms, .name = "connecttimeout", .dflt = "10000",     \
                          .min = 1, .max = 600000, .unit = "milliseconds", .flags = (flags_),                          \
                          .help = "Longest wait for the receiver to accept a connection.")

static const struct param omuxsock_module_params[] = {OMUXSOCK_PARAMS(0, 0, "OMUxSockDefaultTemplate", NULL), {}};
static const struct param omuxsock_params[] = {OMUXSOCK_PARAMS(PARAM_INHERITS, PARAM_IS_MAIN, NULL, "OMUxSockSocket"),
                                               {}};

struct omuxsock {
        struct module_log *log;
        char *name, *network_namespace;
        bool is_abstract;
        int type;
        int connect_timeout_ms;
        int fd; /* -1: CLOSED */
        int reported;
        struct buffer owed; /* a whole line of which a part was sent */
        size_t owed_sent;
        struct mmsghdr messages[DATAGRAMS_A_CALL];
        struct iovec pieces[DATAGRAMS_A_CALL];
};

static int omuxsock_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct omuxsock_settings *s = settings;
        if (s->socket_name && *s->socket_name)
                return 0;
        module_report(log, 3, 2211, "omuxsock: parameter 'socketName' required but not specified");
        return -EINVAL;
}

static int omuxsock_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omuxsock_settings *s = settings;
        columns[0] = (struct work_format){
                .name = s->template,
                .dflt = "RSYSLOG_TraditionalForwardFormat",
                .ends_with_lf = socket_types[s->socket_type] == SOCK_STREAM,
        };
        return 1;
}

static void omuxsock_close(void *instance) {
        struct omuxsock *o = instance;
        connect_close(o->fd);
        buffer_fini(&o->owed);
        free(o->name);
        free(o->network_namespace);
        free(o);
}

static int omuxsock_open(void **ret, const struct output_host *host, const void *settings) {
        const struct omuxsock_settings *s = settings;
        struct omuxsock *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->fd = -1;
        o->log = host->log;
        o->is_abstract = s->is_abstract;
        o->type = socket_types[s->socket_type];
        o->connect_timeout_ms = (int)s->connect_timeout_ms;
        o->name = text_copy(text_of(s->socket_name));
        o->network_namespace = s->network_namespace ? text_copy(text_of(s->network_namespace)) : NULL;
        if (!o->name || (s->network_namespace && !o->network_namespace)) {
                omuxsock_close(o);
                return fail(-ENOMEM);
        }
        for (size_t i = 0; i < DATAGRAMS_A_CALL; i++)
                o->messages[i].msg_hdr = (struct msghdr){.msg_iov = &o->pieces[i], .msg_iovlen = 1};
        *ret = o;
        return 0;
}

/* ---- The socket --------------------------------------------------------- */

static void tell(struct omuxsock *o, const char *what, int error, const char *words) {
        if (o->reported == error)
                return;
        o->reported = error;
        module_report(o->log, 3, CODE_SOCKET, "omuxsock: %s '%s%s': %s%s%s", what, o->is_abstract ? "@" : "", o->name,
                      words ? words : "", words && *words ? ": " : "", fail_text(error));
}

static void drop(struct omuxsock *o) {
        o->fd = connect_close(o->fd);
        o->owed_sent = 0;
}

static int make_ready(struct omuxsock *o) {
        if (o->fd >= 0 && o->type != SOCK_DGRAM && !connect_is_alive(o->fd))
                drop(o);
        if (o->fd >= 0)
                return 0;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = connect_unix(&o->fd, o->type, o->name, o->is_abstract, o->network_namespace, o->connect_timeout_ms,
                             &complaint);
        if (r)
                tell(o, "cannot connect to socket", r, buffer_string(&complaint));
        return r;
}

/* ---- Datagrams ---------------------------------------------------------- */

static int send_datagrams(struct omuxsock *o, const struct text *rows, size_t count, size_t *taken) {
        while (*taken < count) {
                unsigned some = (unsigned)MIN(count - *taken, (size_t)DATAGRAMS_A_CALL);
                for (unsigned i = 0; i < some; i++)
                        o->pieces[i] = (struct iovec){(char *)rows[*taken + i].data, rows[*taken + i].size};
                int sent = connect_send_many(o->fd, o->messages, some, SEND_WAIT_MS);
                if (sent <= 0)
                        return fail(sent ? sent : -EIO);
                *taken += (size_t)sent;
        }
        return 0;
}

/* ---- Lines -------------------------------------------------------------- */

static int send_owed(struct omuxsock *o) {
        if (o->owed.size == 0)
                return 0;
        size_t sent;
        int r = connect_send(o->fd, text_slice(buffer_as_text(&o->owed), o->owed_sent, o->owed.size), SEND_WAIT_MS, 0,
                             &sent);
        o->owed_sent += sent;
        if (r)
                return pass(r);
        buffer_clear(&o->owed);
        o->owed_sent = 0;
        return 0;
}

static int send_lines(struct omuxsock *o, const struct text *rows, size_t count, size_t *taken) {
        int r = send_owed(o);
        if (r)
                return pass(r);
        const struct text *last = &rows[count - 1];
        struct text all = {rows[0].data, (size_t)(last->data + last->size - rows[0].data)};
        size_t sent;
        r = connect_send(o->fd, all, SEND_WAIT_MS, 0, &sent);
        while (*taken < count && sent >= rows[*taken].size)
                sent -= rows[(*taken)++].size;
        if (r == -EAGAIN && sent) {
                buffer_text(&o->owed, rows[*taken]);
                if (buffer_failed(&o->owed)) {
                        /* The half line ends with this connection; the whole one goes on the next. */
                        buffer_clear(&o->owed);
                        drop(o);
                } else {
                        o->owed_sent = sent;
                        ++*taken;
                }
        }
        return r ? pass(r) : 0;
}

/* ---- Delivering --------------------------------------------------------- */

static int send_rows(struct omuxsock *o, const struct text *rows, size_t count, size_t *taken) {
        int r = make_ready(o);
        if (r)
                return pass(r);
        size_t some = 0;
        r = o->type == SOCK_STREAM ? send_lines(o, rows, count, &some) : send_datagrams(o, rows, count, &some);
        *taken += some;
        if (r && r != -EAGAIN && r != -EMSGSIZE)
                drop(o);
        return r ? pass(r) : 0;
}

static struct outcome omuxsock_deliver(void *instance, const struct work *work) {
        struct omuxsock *o = instance;
        size_t taken = 0;
        if (work->count == 0)
                return (struct outcome){DELIVER_DONE, 0, 0};
        bool was_open = o->fd >= 0;
        int r = send_rows(o, work->column[0], work->count, &taken);
        /* A receiver that was started anew has another socket under the same name. */
        if (r && was_open && o->fd < 0)
                r = send_rows(o, work->column[0] + taken, work->count - taken, &taken);
        if (r == -EMSGSIZE) {
                tell(o, "message is too long for socket", r, NULL);
                return (struct outcome){DELIVER_REFUSED, taken, EMSGSIZE};
        }
        if (r) {
                tell(o, "cannot send to socket", r, NULL);
                return (struct outcome){DELIVER_UNAVAILABLE, taken, -r};
        }
        o->reported = 0;
        return (struct outcome){DELIVER_DONE, taken, 0};
}

static enum verdict omuxsock_resume(void *instance) {
        return make_ready(instance) ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static void omuxsock_reopen(void *instance) {
        struct omuxsock *o = instance;
        o->reported = 0;
        drop(o);
}

static const struct output_ops omuxsock_ops = {
        .columns = omuxsock_columns,
        .open = omuxsock_open,
        .deliver = omuxsock_deliver,
        .resume = omuxsock_resume,
        .reopen = omuxsock_reopen,
        .close = omuxsock_close,
};

const struct module omuxsock_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omuxsock",
        .help = "Sends messages to a Unix socket of this machine.",
        .module_settings = SETTINGS(struct omuxsock_settings, omuxsock_module_params),
        .settings = SETTINGS(struct omuxsock_settings, omuxsock_params),
        .check = omuxsock_check,
        .output = &omuxsock_ops,
};
