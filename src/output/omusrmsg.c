/*
 * omusrmsg: messages to the terminals of people who are logged in.
 *
 * "*" tells everybody. Nobody there, or a terminal that takes nothing, is no
 * failure: a message to a person is not kept for later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "io/session.h"
#include "output/row_limit.h"

extern const struct module omusrmsg_module;

struct omusrmsg_settings {
        struct strings users;
        char *template;
        int64_t limit_interval_s, limit_burst;
        char *limit_name;
};

static const struct param omusrmsg_params[] = {
        PARAM_STRINGS(struct omusrmsg_settings, users, .name = "users", .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                      .help = "Names of the people to tell, by commas; \"*\" tells everybody who is logged in."),
        PARAM_TEMPLATE(struct omusrmsg_settings, template, .name = "template",
                       .help = "Template of the text; by default WallFmt for everybody, StdUsrMsgFmt for names."),
        PARAM_INT(struct omusrmsg_settings, limit_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .unit = "seconds", .help = "Interval of the rate limit; 0: no limit."),
        PARAM_INT(struct omusrmsg_settings, limit_burst, .name = "ratelimit.burst", .dflt = "200", .min = 0,
                  .unit = "messages",
                  .help = "Messages that are written within one interval; what goes beyond is dropped."),
        PARAM_STRING(struct omusrmsg_settings, limit_name, .name = "ratelimit.name",
                     .help = "A ratelimit() object, which takes the place of ratelimit.interval and ratelimit.burst: "
                             "all that name it share its limit."),
        {}};

struct omusrmsg {
        struct module_log *log;
        char *users; /* "root,admin"; NULL: everybody */
        struct row_limit limit;
        struct buffer text; /* the rows of a delivery as one */
        bool is_reported;
};

/* An item may hold several names itself: users="root,admin". */
static bool next_name(struct text *rest, struct text *name) {
        while (rest->size && strchr(", \t", rest->data[0]))
                *rest = text_slice(*rest, 1, rest->size);
        size_t size = 0;
        while (size < rest->size && !strchr(", \t", rest->data[size]))
                size++;
        *name = text_slice(*rest, 0, size);
        *rest = text_slice(*rest, size, rest->size);
        return size > 0;
}

static bool names_everybody(const struct strings *users) {
        struct text name;
        for (size_t i = 0; i < users->count; i++)
                for (struct text rest = text_of(users->items[i]); next_name(&rest, &name);)
                        if (text_equal(name, TEXT("*")))
                                return true;
        return false;
}

static int omusrmsg_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct omusrmsg_settings *s = settings;
        struct text name;
        for (size_t i = 0; i < s->users.count; i++)
                for (struct text rest = text_of(s->users.items[i]); next_name(&rest, &name);)
                        return 0;
        module_report_param(log, 3, "users", "name at least one user, or \"*\" for everybody");
        return -EINVAL;
}

static int omusrmsg_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omusrmsg_settings *s = settings;
        columns[0] = (struct work_format){
                .name = s->template,
                .dflt = names_everybody(&s->users) ? "WallFmt" : "StdUsrMsgFmt",
        };
        return 1;
}

static int omusrmsg_open(void **ret, const struct output_host *host, const void *settings) {
        const struct omusrmsg_settings *s = settings;
        _owned_(memory_free) struct omusrmsg *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->log = host->log;
        o->limit = (struct row_limit){.interval_s = s->limit_name ? 0 : s->limit_interval_s, .burst = s->limit_burst};
        if (!names_everybody(&s->users)) {
                _owned_(buffer_fini) struct buffer names = {0};
                struct text name;
                for (size_t i = 0; i < s->users.count; i++)
                        for (struct text rest = text_of(s->users.items[i]); next_name(&rest, &name);) {
                                buffer_text(&names, name);
                                buffer_byte(&names, ',');
                        }
                o->users = buffer_failed(&names) ? NULL : text_copy(buffer_as_text(&names));
                if (!o->users)
                        return fail(-ENOMEM);
        }
        *ret = TAKE(o);
        return 0;
}

static void omusrmsg_close(void *instance) {
        struct omusrmsg *o = instance;
        buffer_fini(&o->text);
        free(o->users);
        free(o);
}

static void tell_session(void *context, const struct session *session) {
        struct omusrmsg *o = context;
        bool is_meant = !o->users;
        struct text name;
        if (o->users)
                for (struct text rest = text_of(o->users); !is_meant && next_name(&rest, &name);)
                        is_meant = text_equal(name, text_of(session->user));
        if (is_meant)
                session_write(NULL, session->line, buffer_as_text(&o->text));
}

static struct outcome omusrmsg_deliver(void *instance, const struct work *work) {
        struct omusrmsg *o = instance;
        size_t offered = work->count;
        if (o->limit.interval_s)
                offered = MIN(offered, row_limit_room(&o->limit, clock_mono_ns(), "omusrmsg", o->log));
        buffer_clear(&o->text);
        for (size_t i = 0; i < offered; i++)
                buffer_text(&o->text, work->column[0][i]);
        int r = offered ? session_list(NULL, tell_session, o) : 0;
        if (r && r != -ENOENT && !o->is_reported) {
                module_report(o->log, 4, 0, "omusrmsg: who is logged in cannot be found out: %s", fail_text(r));
                o->is_reported = true;
        }
        struct outcome outcome = {DELIVER_DONE, offered, 0};
        if (!o->limit.interval_s)
                return outcome;
        return row_limit_settle(&o->limit, outcome, offered, work->count, "omusrmsg", o->log);
}

static const struct output_ops omusrmsg_ops = {
        .columns = omusrmsg_columns,
        .open = omusrmsg_open,
        .deliver = omusrmsg_deliver,
        .close = omusrmsg_close,
};

const struct module omusrmsg_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omusrmsg",
        .help = "Writes messages to the terminals of people who are logged in.",
        .settings = SETTINGS(struct omusrmsg_settings, omusrmsg_params),
        .check = omusrmsg_check,
        .output = &omusrmsg_ops,
};
