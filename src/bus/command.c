/*
 * The commands of Msgq: {"command":[NAME, ARGUMENTS]} in, {"result":[CODE, ...]} out.
 *
 * The table tells help, arguments and permission; module_spec and `describe` are
 * made from it. Arguments are an object or absent.
 */
#include <errno.h>

#include "base/fail.h"
#include "bus/broker_inside.h"

enum { FAILED = 1 }; /* the code of a command that could not be done */

struct call {
        struct broker *b;
        struct client *from;
        struct scan_value arguments;
        struct buffer out;    /* what follows the code, each with a comma before it */
        struct client *drops; /* when the answer is on its way */
        bool shuts_down;
};

struct command {
        const char *name;
        const char *help;
        const char *argument; /* name of the only one that matters; NULL: none */
        const char *argument_type;
        bool argument_is_optional;
        bool needs_control;
        int (*run)(struct call *call); /* the code; -ENOMEM where a buffer failed is found later */
};

static int failed(struct call *call, const char *why) {
        buffer_byte(&call->out, ',');
        scan_quote(&call->out, text_of(why));
        return FAILED;
}

/* A string among the arguments; false: it is not there or none. `room` is for what it stands for. */
static bool string_argument(const struct call *call, const char *name, struct text *ret) {
        struct scan_value value = scan_member(&call->arguments, text_of(name));
        struct broker *b = call->b;
        if (value.kind != SCAN_STRING || value.text.size > sizeof b->room[0])
                return false;
        *ret = scan_string(&value, b->room[0]);
        return true;
}

static void put_lname(struct buffer *out, const struct client *c, bool *is_first) {
        if (!*is_first)
                buffer_byte(out, ',');
        *is_first = false;
        buffer_format(out, "\"%s\"", c->lname);
}

static int run_members(struct call *call) {
        struct broker *b = call->b;
        struct scan_value group = scan_member(&call->arguments, TEXT("group"));
        struct text name;
        bool is_first = true;
        buffer_text(&call->out, TEXT(",["));
        if (group.kind == SCAN_ABSENT || group.kind == SCAN_NULL) {
                put_lname(&call->out, &b->self, &is_first);
                for (struct list *l = b->all.next; l != &b->all; l = l->next) {
                        const struct client *c = CONTAINER_OF(l, struct client, all);
                        if (!c->is_doomed)
                                put_lname(&call->out, c, &is_first);
                }
        } else if (string_argument(call, "group", &name)) {
                const struct channel *channel = directory_channel(&b->directory, name, TEXT("*"));
                for (uint32_t i = 0; channel && i < channel->count; i++) {
                        const struct client *c =
                                CONTAINER_OF(channel->members[i]->subscriber, struct client, subscriber);
                        if (!c->is_doomed)
                                put_lname(&call->out, c, &is_first);
                }
        } else {
                buffer_clear(&call->out);
                return failed(call, "\"group\" has to be a string");
        }
        buffer_byte(&call->out, ']');
        return 0;
}

static void put_client(struct buffer *out, const struct client *c) {
        buffer_format(out, "{\"lname\":\"%s\",\"pid\":%d,\"uid\":%u,\"gid\":%u,\"protocol\":%d,\"groups\":[", c->lname,
                      (int)c->peer.pid, (unsigned)c->peer.uid, (unsigned)c->peer.gid, (int)c->version);
        for (const struct list *l = c->subscriber.subscriptions.next; l != &c->subscriber.subscriptions; l = l->next) {
                const struct channel *channel = CONTAINER_OF(l, struct subscription, of_subscriber)->channel;
                buffer_text(out, l == c->subscriber.subscriptions.next ? TEXT("[") : TEXT(",["));
                scan_quote(out, group_name(channel->group));
                buffer_byte(out, ',');
                scan_quote(out, channel_instance(channel));
                buffer_byte(out, ']');
        }
        buffer_format(out, "],\"queued\":%llu,\"received\":%llu,\"sent\":%llu,\"outstanding\":%u}",
                      (unsigned long long)c->outbox.bytes, (unsigned long long)c->received, (unsigned long long)c->sent,
                      c->outstanding);
}

static int run_clients(struct call *call) {
        struct broker *b = call->b;
        bool is_first = true;
        buffer_text(&call->out, TEXT(",["));
        for (struct list *l = b->all.next; l != &b->all; l = l->next) {
                const struct client *c = CONTAINER_OF(l, struct client, all);
                if (c->is_doomed)
                        continue;
                if (!is_first)
                        buffer_byte(&call->out, ',');
                is_first = false;
                put_client(&call->out, c);
        }
        buffer_byte(&call->out, ']');
        return 0;
}

/* The client that the arguments name; NULL: the answer says why there is none. */
static struct client *named_client(struct call *call) {
        struct text lname;
        if (!string_argument(call, "client", &lname)) {
                failed(call, "\"client\" has to be an lname");
                return NULL;
        }
        struct client *c = broker_find(call->b, lname);
        if (!c)
                failed(call, "no such client");
        return c;
}

static int run_client(struct call *call) {
        const struct client *c = named_client(call);
        if (!c)
                return FAILED;
        buffer_byte(&call->out, ',');
        put_client(&call->out, c);
        return 0;
}

static int run_lookup(struct call *call) {
        struct text name;
        if (!string_argument(call, "name", &name))
                return failed(call, "\"name\" has to be a string");
        const struct client *c = route_find(call->b, name, call->from);
        if (!c)
                return failed(call, "nobody is there");
        buffer_format(&call->out, ",\"%s\"", c->lname);
        return 0;
}

static int run_drop(struct call *call) {
        struct client *c = named_client(call);
        if (!c)
                return FAILED;
        if (c == &call->b->self)
                return failed(call, "the broker does not drop itself; there is shutdown");
        broker_log(call->b, SEVERITY_NOTICE, LOG_ADMIN, "%s (uid %u) drops %s", call->from->lname,
                   (unsigned)call->from->peer.uid, c->lname);
        call->drops = c;
        return 0;
}

static int run_trace(struct call *call) {
        struct scan_value filter = scan_member(&call->arguments, TEXT("filter"));
        struct scan_value body = scan_member(&call->arguments, TEXT("body"));
        if (filter.kind != SCAN_OBJECT && filter.kind != SCAN_NULL)
                return failed(call, "\"filter\" has to be an object, or null to end the trace");
        if (trace_set(call->from, &filter, body.kind == SCAN_TRUE))
                return failed(call, "a filter has \"from\", \"to\", \"group\" and \"type\", all strings");
        return 0;
}

static int run_get_config(struct call *call) {
        buffer_byte(&call->out, ',');
        bus_settings_print(&call->out, &call->b->settings);
        return 0;
}

static int run_config_update(struct call *call) {
        _owned_(buffer_fini) struct buffer wrong = {0};
        if (call->arguments.kind != SCAN_OBJECT)
                return failed(call, "the items have to be an object");
        if (!command_apply(call->b, &call->arguments, &wrong))
                return 0;
        failed(call, "some items are unknown or have no such value");
        buffer_text(&call->out, TEXT(",{\"items\":"));
        buffer_text(&call->out, buffer_as_text(&wrong));
        buffer_byte(&call->out, '}');
        return FAILED;
}

static int run_shutdown(struct call *call) {
        broker_log(call->b, SEVERITY_NOTICE, LOG_ADMIN, "%s (uid %u) shuts the broker down", call->from->lname,
                   (unsigned)call->from->peer.uid);
        call->shuts_down = true;
        return 0;
}

static int run_describe(struct call *call) {
        buffer_byte(&call->out, ',');
        command_specification(&call->out);
        return 0;
}

static const struct command commands[] = {
        {"members", "The lnames of all clients, or of those that have subscribed to a group.", "group", "string", true,
         false, run_members},
        {"clients", "What is known about every client.", NULL, NULL, true, false, run_clients},
        {"client", "What is known about one client.", "client", "string", false, false, run_client},
        {"lookup", "The lname behind NAME[n], NAME[?] or an lname.", "name", "string", false, false, run_lookup},
        {"drop", "Closes the connection of a client.", "client", "string", false, true, run_drop},
        {"trace", "Sends records of the messages that a filter matches; null ends it.", "filter", "map", false, true,
         run_trace},
        {"get_config", "The settings.", NULL, NULL, true, false, run_get_config},
        {"config_update", "Changes settings, all or none.", NULL, NULL, true, true, run_config_update},
        {"shutdown", "Closes everyone and ends the broker.", NULL, NULL, true, true, run_shutdown},
        {"describe", "This description.", NULL, NULL, true, false, run_describe},
};

/* ---- Description ----------------------------------------------------------- */

static void put_items(struct buffer *out) {
        struct settings defaults;
        settings_init(&defaults);
        for (const struct settings_item *item = settings_items; item->name; item++) {
                bool is_level = item->offset == offsetof(struct settings, log_level);
                buffer_format(out,
                              "%s{\"item_name\":\"%s\",\"item_type\":\"%s\",\"item_optional\":true,\"item_default\":",
                              item == settings_items ? "" : ",", item->name, is_level ? "string" : "integer");
                if (is_level)
                        buffer_text(out, TEXT("\"notice\""));
                else
                        buffer_int(out, item->dflt);
                buffer_text(out, TEXT(",\"item_description\":"));
                scan_quote(out, text_of(item->help));
                buffer_byte(out, '}');
        }
}

void command_specification(struct buffer *out) {
        buffer_text(out,
                    TEXT("{\"module_name\":\"Msgq\",\"module_description\":\"The message bus\",\"config_data\":["));
        put_items(out);
        buffer_text(out, TEXT("],\"commands\":["));
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
                const struct command *c = &commands[i];
                buffer_format(out, "%s{\"command_name\":\"%s\",\"command_description\":", i ? "," : "", c->name);
                scan_quote(out, text_of(c->help));
                buffer_text(out, TEXT(",\"command_args\":["));
                if (c->argument)
                        buffer_format(out,
                                      "{\"item_name\":\"%s\",\"item_type\":\"%s\",\"item_optional\":%s,"
                                      "\"item_default\":%s}",
                                      c->argument, c->argument_type, c->argument_is_optional ? "true" : "false",
                                      strcmp(c->argument_type, "map") == 0 ? "{}" : "\"\"");
                buffer_text(out, TEXT("]}"));
        }
        buffer_text(out, TEXT("]}"));
}

/* ---- Settings from the bus ------------------------------------------------- */

int command_apply(struct broker *b, const struct scan_value *items, struct buffer *wrong) {
        struct settings fresh = b->settings;
        struct scan_walk walk = scan_walk_begin(items);
        char separator = '[';
        while (scan_walk_next(&walk)) {
                char room[128];
                struct text name = TEXT_NONE;
                if (walk.name.text.size <= sizeof room)
                        name = scan_string(&walk.name, room);
                if (bus_settings_set(&fresh, name, &walk.value) == 0)
                        continue;
                buffer_byte(wrong, separator);
                buffer_text(wrong, scan_raw(&walk.name));
                separator = ',';
        }
        if (separator == ',') {
                buffer_byte(wrong, ']');
                return -EINVAL;
        }
        b->settings = fresh;
        for (struct list *l = b->all.next; l != &b->all; l = l->next)
                CONTAINER_OF(l, struct client, all)->receiver.message_bytes_max = (uint64_t)fresh.message_bytes_max;
        for (struct table_node *n, **slot = b->accounts.slots; slot < b->accounts.slots + b->accounts.slot_count;
             slot++)
                for (n = *slot; n; n = n->next)
                        CONTAINER_OF(n, struct account, node)->fds.limit = (uint64_t)fresh.user_fds_max;
        return 0;
}

/* ---- Calls ----------------------------------------------------------------- */

static const struct command *find_command(const struct scan_value *name) {
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (scan_equals(name, text_of(commands[i].name)))
                        return &commands[i];
        return NULL;
}

static int unknown_command(struct call *call, const struct scan_value *name) {
        struct text raw = scan_raw(name);
        buffer_text(&call->out, TEXT(",\"unknown command: "));
        /* The name as it was written, but for its quotes, is JSON already. */
        buffer_text(&call->out, name->kind == SCAN_STRING ? text_slice(raw, 1, raw.size - 1) : TEXT("?"));
        buffer_byte(&call->out, '"');
        return FAILED;
}

static void run(struct call *call, const struct header *header, const struct scan_value *name) {
        const struct command *command = find_command(name);
        if (command && command->needs_control && !broker_may_control(call->b, call->from)) {
                broker_log(call->b, SEVERITY_WARNING, LOG_REFUSED, "%s (uid %u) may not %s", call->from->lname,
                           (unsigned)call->from->peer.uid, command->name);
                post_error(call->from, header, BUS_NOT_ALLOWED, TEXT_NONE);
                return;
        }
        int code = command ? command->run(call) : unknown_command(call, name);
        _owned_(buffer_fini) struct buffer body = {0};
        buffer_format(&body, "{\"result\":[%d", code);
        buffer_text(&body, buffer_as_text(&call->out));
        buffer_text(&body, TEXT("]}"));
        if (buffer_failed(&call->out) || buffer_failed(&body))
                client_doom(call->from, "no memory for its answer");
        else if (body.size > (uint64_t)call->b->settings.message_bytes_max)
                post_error(call->from, header, BUS_TOO_LARGE, TEXT_NONE);
        else
                post_answer(call->from, header, buffer_as_text(&body));
        if (call->drops)
                client_doom(call->drops, "an administrator has dropped it");
        if (call->shuts_down)
                broker_stop(call->b);
}

/* The first two items of the command's list; false: it is none. */
static bool parse_command(struct text body, struct scan_value *name, struct scan_value *arguments) {
        struct scan_value whole;
        if (scan_whole(body, &whole))
                return false;
        struct scan_value list = scan_member(&whole, TEXT("command"));
        if (list.kind != SCAN_ARRAY)
                return false;
        struct scan_walk walk = scan_walk_begin(&list);
        if (!scan_walk_next(&walk))
                return false;
        *name = walk.value;
        *arguments = scan_walk_next(&walk) ? walk.value : (struct scan_value){.kind = SCAN_ABSENT};
        return true;
}

void command_message(struct client *from, const struct frame *frame, const struct header *header) {
        struct broker *b = from->broker;
        if (header->fields[HEADER_REPLY].kind != SCAN_ABSENT) {
                manager_answered(b, frame, header);
                return;
        }
        struct call call = {.b = b, .from = from};
        struct scan_value name;
        if (parse_command(frame_body(frame), &name, &call.arguments))
                run(&call, header, &name);
        else if (header->fields[HEADER_WANT_ANSWER].kind == SCAN_TRUE)
                post_answer(from, header, TEXT("{\"result\":[1,\"this is no command\"]}"));
        buffer_fini(&call.out);
}
