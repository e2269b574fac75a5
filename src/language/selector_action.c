/*
 * The action at the end of a line of old form, as an object with the module's own
 * parameters, as if action(type=...) had been written:
 *
 *   /path  ./path  -/path  |/pipe  ?dynamic  @host  @@host  @(z9,o)[::1]:514  ^program
 *   root,alice  *  :omusrmsg:root  :omfile:$channel  $channel  >host,db,user,pw  ~
 *
 * A template may follow everywhere, behind a semicolon.
 */
#include "language/loader.h"

/* What is being read: the rest of the line, and how far. */
struct reader {
        struct loader *l;
        struct text line;
        size_t at;
        size_t base; /* of the line in the source */
        struct place place;
        struct assignment *list;
};

static int peek(const struct reader *r) {
        return r->at < r->line.size ? (unsigned char)r->line.data[r->at] : -1;
}

static struct text take_until(struct reader *r, const char *ends) {
        size_t from = r->at;
        /* strchr() would find a NUL byte, too. */
        while (r->at < r->line.size && !memchr(ends, r->line.data[r->at], strlen(ends)))
                r->at++;
        return text_slice(r->line, from, r->at);
}

static struct place place_of(const struct reader *r, size_t at) {
        return loader_place(r->l, r->base + at);
}

static void give(struct reader *r, const char *name, struct text value) {
        assignment_add(r->l, &r->list, name, value, r->place);
}

/* ";template" */
static void read_template(struct reader *r) {
        while (peek(r) == ' ' || peek(r) == '\t')
                r->at++;
        if (peek(r) != ';')
                return;
        r->at++;
        while (peek(r) == ' ' || peek(r) == '\t')
                r->at++;
        size_t at = r->at;
        struct text name = take_until(r, " \t\r}#");
        if (name.size)
                assignment_add(r->l, &r->list, "template", name, place_of(r, at));
}

/* Nothing may follow but a comment or the end of a block on the same line. */
static void finish(struct reader *r) {
        while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\r')
                r->at++;
        r->l->at = r->base + r->at;
        int c = peek(r);
        if (c < 0 || c == '#' || c == '}' || c == '&')
                return;
        struct text rest = text_trim(text_slice(r->line, r->at, r->line.size));
        complain(r->l, place_of(r, r->at), rest.size, CODE_SYNTAX,
                 "behind the action only `;template` and a # comment may stand",
                 "invalid character in selector line - ';template' expected");
        r->l->at = r->base + r->line.size;
}

static const char *main_param(const struct module *module) {
        for (const struct param *p = module->settings.params; p && p->name; p++)
                if (p->flags & PARAM_IS_MAIN)
                        return p->name;
        return NULL;
}

/* ---- Files ------------------------------------------------------------------------- */

static void give_channel(struct reader *r, struct text name, size_t at) {
        struct outchannel_def *channel = names_get(&r->l->outchannels, name);
        if (!channel) {
                struct text closest = names_closest(&r->l->outchannels, name);
                complain(r->l, place_of(r, at), name.size, CODE_SYNTAX,
                         did_you_mean(r->l, loader_string(r->l, closest)),
                         "outchannel '%.*s' not found - ignoring action line", TEXT_ARGS(text_slice(name, 0, 200)));
                return;
        }
        _owned_(buffer_fini) struct buffer size = {0};
        buffer_int(&size, channel->bytes_max);
        give(r, "type", TEXT("omfile"));
        give(r, "file", channel->path);
        if (channel->bytes_max) {
                give(r, "rotation.sizelimit", loader_text(r->l, buffer_as_text(&size)));
                if (channel->command.size)
                        give(r, "rotation.sizelimitcommand", channel->command);
        }
}

static void read_file(struct reader *r) {
        bool is_unsynced = false;
        if (peek(r) == '-') {
                is_unsynced = true;
                r->at++;
        }
        bool is_dynamic = peek(r) == '?';
        if (is_dynamic)
                r->at++;
        size_t at = r->at;
        if (peek(r) == '$') {
                r->at++;
                give_channel(r, take_until(r, "; \t\r}"), at);
                return;
        }
        give(r, "type", TEXT("omfile"));
        assignment_add(r->l, &r->list, is_dynamic ? "dynafile" : "file", take_until(r, "; \t\r"), place_of(r, at));
        if (is_unsynced)
                give(r, "sync", TEXT("off"));
}

static void read_path(struct reader *r, const char *module, const char *param) {
        struct module_state *found = find_module(r->l, text_of(module));
        const char *main = found ? main_param(found->loaded->module) : NULL;
        if (main)
                param = main;
        r->at++;
        while (peek(r) == ' ' || peek(r) == '\t')
                r->at++;
        size_t at = r->at;
        give(r, "type", text_of(module));
        assignment_add(r->l, &r->list, param, take_until(r, "; \t\r"), place_of(r, at));
}

/* ---- Forwarding ---------------------------------------------------------------------- */

/* "(z9,o)" */
static void read_forward_options(struct reader *r) {
        r->at++;
        while (peek(r) >= 0 && peek(r) != ')') {
                size_t at = r->at;
                struct text option = text_trim(take_until(r, ",)"));
                if (option.size && (option.data[0] | 32) == 'z')
                        assignment_add(r->l, &r->list, "ziplevel",
                                       option.size > 1 ? text_slice(option, 1, option.size) : TEXT("9"),
                                       place_of(r, at));
                else if (text_equal_nocase(option, TEXT("o")))
                        assignment_add(r->l, &r->list, "tcp_framing", TEXT("octet-counted"), place_of(r, at));
                else if (option.size)
                        complain(r->l, place_of(r, at), option.size, CODE_SYNTAX,
                                 "there are z0 to z9 (compression) and o (octet-counted framing)",
                                 "invalid option '%.*s' in forwarding action", TEXT_ARGS(text_slice(option, 0, 40)));
                if (peek(r) == ',')
                        r->at++;
        }
        if (peek(r) == ')')
                r->at++;
}

static void read_forward(struct reader *r) {
        r->at++;
        bool is_tcp = peek(r) == '@';
        if (is_tcp)
                r->at++;
        give(r, "type", TEXT("omfwd"));
        give(r, "protocol", is_tcp ? TEXT("tcp") : TEXT("udp"));
        if (peek(r) == '(')
                read_forward_options(r);
        size_t at = r->at;
        struct text host;
        if (peek(r) == '[') {
                r->at++;
                host = take_until(r, "] \t\r;");
                if (peek(r) == ']')
                        r->at++;
        } else
                host = take_until(r, ":; \t\r#");
        if (host.size == 0)
                complain(r->l, place_of(r, at), 1, CODE_SYNTAX, "@host, @host:port, @@host (TCP) or @[::1]:port",
                         "the forwarding action names no host");
        else
                assignment_add(r->l, &r->list, "target", host, place_of(r, at));
        if (peek(r) != ':')
                return;
        at = ++r->at;
        assignment_add(r->l, &r->list, "port", take_until(r, "; \t\r#"), place_of(r, at));
}

/* ---- People -------------------------------------------------------------------------------- */

static void give_users(struct reader *r, struct text users, size_t at) {
        struct assignment *a = assignment_add(r->l, &r->list, "users", TEXT(""), place_of(r, at));
        if (!a)
                return;
        size_t count = 1;
        for (size_t i = 0; i < users.size; i++)
                count += users.data[i] == ',';
        struct text *items = loader_alloc(r->l, count * sizeof *items);
        if (!items)
                return;
        a->items = items;
        a->count = 0;
        a->is_array = count > 1;
        for (size_t from = 0; from <= users.size;) {
                const char *comma = from < users.size ? memchr(users.data + from, ',', users.size - from) : NULL;
                size_t to = comma ? (size_t)(comma - users.data) : users.size;
                struct text user = text_trim(text_slice(users, from, to));
                if (user.size)
                        items[a->count++] = loader_text(r->l, user);
                from = to + 1;
        }
}

static void read_users(struct reader *r) {
        size_t at = r->at;
        struct text users = take_until(r, "; \t\r#}");
        give(r, "type", TEXT("omusrmsg"));
        give_users(r, users, at);
        warn(r->l, place_of(r, at), users.size, CODE_USER_LIST, NULL,
             "action '%.*s' treated as ':omusrmsg:%.*s' - please use ':omusrmsg:%.*s' syntax instead, '%.*s' will not "
             "be supported in the future",
             TEXT_ARGS(text_slice(users, 0, 100)), TEXT_ARGS(text_slice(users, 0, 100)),
             TEXT_ARGS(text_slice(users, 0, 100)), TEXT_ARGS(text_slice(users, 0, 100)));
}

/* ---- ":module:arguments" ----------------------------------------------------------------------- */

/* Modules whose arguments are a list: parameters in order, and what separates them. */
static const struct {
        const char *module;
        char separator;
        const char *params[5];
} argument_lists[] = {
        {"ommysql", ',', {"server", "db", "uid", "pwd"}},
        {"ompgsql", ',', {"server", "db", "uid", "pwd"}},
        {"omlibdbi", ',', {"server", "db", "uid", "pwd"}},
        {"omrelp", ':', {"target", "port"}},
};

static void give_list(struct reader *r, struct text arguments, size_t at, char separator, const char *const *params) {
        for (size_t i = 0; params[i] && arguments.size; i++) {
                const char *end = memchr(arguments.data, separator, arguments.size);
                size_t size = end ? (size_t)(end - arguments.data) : arguments.size;
                struct text value = text_trim(text_slice(arguments, 0, size));
                if (value.size)
                        assignment_add(r->l, &r->list, params[i], value, place_of(r, at));
                arguments = text_slice(arguments, size + 1, arguments.size);
        }
}

static void give_arguments(struct reader *r, struct text module, struct text arguments, size_t at) {
        if (arguments.size && arguments.data[0] == '$' && text_equal_nocase(module, TEXT("omfile"))) {
                give_channel(r, text_slice(arguments, 1, arguments.size), at);
                return;
        }
        give(r, "type", module);
        if (arguments.size == 0)
                return;
        if (text_equal_nocase(module, TEXT("omusrmsg"))) {
                give_users(r, arguments, at);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(argument_lists); i++)
                if (text_equal_nocase(module, text_of(argument_lists[i].module))) {
                        give_list(r, arguments, at, argument_lists[i].separator, argument_lists[i].params);
                        return;
                }
        struct module_state *found = find_module(r->l, module);
        const char *param = found ? main_param(found->loaded->module) : NULL;
        if (!param && text_equal_nocase(module, TEXT("omfile")))
                param = "file";
        if (param)
                assignment_add(r->l, &r->list, param, arguments, place_of(r, at));
        else if (found)
                complain(r->l, place_of(r, at), arguments.size, CODE_SYNTAX,
                         "write action(type=...) with the parameters by name",
                         "module '%s' takes no arguments in this form", found->loaded->module->name);
}

static void read_module(struct reader *r) {
        r->at++;
        struct text module = take_until(r, ":; \t\r");
        if (peek(r) != ':') {
                complain(r->l, place_of(r, 0), module.size + 1, CODE_SYNTAX,
                         ":module:arguments is an action, :property, operation, \"value\" a filter",
                         "`:` is expected behind the module's name");
                return;
        }
        size_t at = ++r->at;
        struct text arguments = take_until(r, ";");
        /* Arguments may hold blanks; a comment begins with a blank and #. */
        ptrdiff_t comment = text_find(arguments, TEXT(" #"));
        if (comment >= 0) {
                arguments.size = (size_t)comment;
                r->at = at + arguments.size;
        }
        if (text_ends(text_trim(arguments), TEXT(" }"))) {
                while (arguments.data[arguments.size - 1] != '}')
                        arguments.size--;
                arguments.size--;
                r->at = at + arguments.size;
        }
        give_arguments(r, module, text_trim(arguments), at);
}

/* ---- The whole --------------------------------------------------------------------------------------- */

static struct statement *read_tilde(struct reader *r) {
        warn(r->l, r->place, 1, CODE_TILDE, "write `stop`",
             "warning: ~ action is deprecated, consider using the 'stop' statement instead");
        r->at++;
        finish(r);
        return statement_new(r->l, STATEMENT_STOP, r->place);
}

static void read_database(struct reader *r) {
        r->at++;
        size_t at = r->at;
        give(r, "type", TEXT("ommysql"));
        give_list(r, take_until(r, "; \t\r"), at, ',', argument_lists[0].params);
}

struct statement *parse_selector_action(struct loader *l) {
        struct reader r = {.l = l, .line = lex_line(l), .base = l->at, .place = loader_place(l, l->at)};
        int c = peek(&r);
        if (c == '~')
                return read_tilde(&r);
        if (c == '/' || c == '.' || c == '-' || c == '?' || c == '$')
                read_file(&r);
        else if (c == '|')
                read_path(&r, "ompipe", "pipe");
        else if (c == '^')
                read_path(&r, "omshell", "binary");
        else if (c == '@')
                read_forward(&r);
        else if (c == ':')
                read_module(&r);
        else if (c == '>')
                read_database(&r);
        else
                read_users(&r);
        read_template(&r);
        finish(&r);
        if (l->at == r.base)
                l->at++;
        /* Without a type it has been complained about. */
        if (!assignment_find(r.list, "type"))
                return NULL;
        struct object *action = make_action(l, r.list, r.place, true);
        struct statement *s = action ? statement_new(l, STATEMENT_ACTION, r.place) : NULL;
        if (s)
                s->action = action;
        return s;
}
