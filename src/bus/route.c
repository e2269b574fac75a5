/*
 * What a client's message means, and who gets it.
 */
#include <errno.h>
#include <stdio.h>

#include "base/fail.h"
#include "bus/broker_inside.h"

/* A message on its way. */
struct passage {
        struct broker *b;
        struct client *from;
        struct frame *frame;
        const struct header *header;
        struct text group, instance, to; /* what the strings stand for; data NULL: absent */
        struct request *request;         /* NULL: no answer is waited for */
        unsigned taken;                  /* by clients */
        bool was_skipped;                /* somebody got it not, because of its attachments */
        bool reaches_self;               /* it is for the broker, too */
        bool has_attachments;
};

/* ---- Names ----------------------------------------------------------------- */

struct client *broker_find(const struct broker *b, struct text lname) {
        uint64_t hash = table_hash(b->seed, lname);
        for (struct table_node *n = table_find(&b->lnames, hash); n; n = table_find_next(n)) {
                struct client *c = CONTAINER_OF(n, struct client, by_lname);
                if (text_equal(client_lname(c), lname))
                        return c->is_doomed ? NULL : c;
        }
        return NULL;
}

static struct client *member_client(const struct channel *channel, uint32_t place) {
        return CONTAINER_OF(channel->members[place]->subscriber, struct client, subscriber);
}

/* Takes "NAME[INDEX]" apart; false when it is none. */
static bool split_index(struct text text, struct text *name, struct text *index) {
        if (!text_ends(text, TEXT("]")))
                return false;
        const char *bracket = memrchr(text.data, '[', text.size);
        if (!bracket || bracket == text.data)
                return false;
        *name = (struct text){text.data, (size_t)(bracket - text.data)};
        *index = (struct text){bracket + 1, text.size - name->size - 2};
        return index->size > 0;
}

static bool is_indexable(struct text name) {
        return !text_starts(name, TEXT("Event/")) && !text_starts(name, TEXT("notifications/"));
}

/* The doomed are members until they are ended, but closed ranks are what counts. NULL: there are not so many. */
static struct client *nth_living(const struct channel *channel, uint64_t n, const struct client *but) {
        for (uint32_t i = 0; i < channel->count; i++) {
                struct client *member = member_client(channel, i);
                if (member != but && !member->is_doomed && n-- == 0)
                        return member;
        }
        return NULL;
}

static struct client *nth_member(struct broker *b, const struct channel *channel, uint64_t n) {
        if (n >= channel->count)
                return NULL;
        /* Hardly ever is anybody doomed while a message is routed. */
        if (LIKELY(list_is_empty(&b->doomed)))
                return member_client(channel, (uint32_t)n);
        return nth_living(channel, n, NULL);
}

static struct client *random_member(struct broker *b, const struct channel *channel, const struct client *asker) {
        int64_t own = channel_place(channel, &asker->subscriber);
        uint64_t others = channel->count - (own >= 0 ? 1 : 0);
        if (UNLIKELY(!list_is_empty(&b->doomed))) {
                others = 0;
                while (nth_living(channel, others, asker))
                        others++;
                return others ? nth_living(channel, broker_random(b, others), asker) : NULL;
        }
        if (others == 0)
                return NULL;
        uint64_t place = broker_random(b, others);
        if (own >= 0 && place >= (uint64_t)own)
                place++;
        return member_client(channel, (uint32_t)place);
}

static struct client *find_indexed(struct broker *b, struct text to, const struct client *asker) {
        struct text name, index;
        if (!split_index(to, &name, &index) || !is_indexable(name))
                return NULL;
        const struct channel *channel = directory_channel(&b->directory, name, TEXT("*"));
        if (!channel)
                return NULL;
        if (text_equal(index, TEXT("?")))
                return random_member(b, channel, asker);
        int64_t n;
        if (index.data[0] < '0' || index.data[0] > '9' || text_to_int(index, &n))
                return NULL;
        return nth_member(b, channel, (uint64_t)n);
}

struct client *route_find(struct broker *b, struct text name, const struct client *asker) {
        struct client *found = broker_find(b, name);
        return found || asker->version == WIRE_1 ? found : find_indexed(b, name, asker);
}

/* ---- Permission ------------------------------------------------------------ */

static enum policy_answer ask(const struct client *c, enum policy_action action, struct text name) {
        const struct policy_subject subject = {c->peer.uid, c->peer.gid, c->groups, c->group_count};
        return policy_ask(&c->broker->policy, action, &subject, name);
}

bool broker_may_control(struct broker *b, const struct client *c) {
        enum policy_answer answer = ask(c, POLICY_CONTROL, TEXT_NONE);
        if (answer != POLICY_SILENT)
                return answer == POLICY_ALLOWED;
        return c->peer.uid == 0 || c->peer.uid == b->self.peer.uid;
}

static bool may_subscribe(const struct client *c, struct text group, struct text instance) {
        bool owns = text_equal(instance, TEXT("*")) && is_indexable(group);
        return ask(c, owns ? POLICY_OWN : POLICY_SUBSCRIBE, group) != POLICY_DENIED;
}

/* Who may not send to a name may not send to those who own it, either. */
static bool may_reach(const struct client *c, const struct client *recipient) {
        if (!c->broker->policy.asks[POLICY_SEND])
                return true;
        for (const struct list *l = recipient->subscriber.subscriptions.next; l != &recipient->subscriber.subscriptions;
             l = l->next) {
                const struct channel *channel = CONTAINER_OF(l, struct subscription, of_subscriber)->channel;
                if (channel->group->everyone == channel && is_indexable(group_name(channel->group)) &&
                    ask(c, POLICY_SEND, group_name(channel->group)) == POLICY_DENIED)
                        return false;
        }
        return true;
}

/* ---- Delivery -------------------------------------------------------------- */

static void deliver(struct passage *p, struct client *to) {
        struct broker *b = p->b;
        if (to == p->from || to->is_doomed || to->mark == b->mark)
                return;
        to->mark = b->mark;
        if (to == &b->self) {
                p->reaches_self = true;
        } else if (p->has_attachments && to->version == WIRE_1) {
                p->was_skipped = true;
                return;
        } else if (!client_queue(to, p->frame, p->from)) {
                return;
        } else if (p->request && request_await(p->request, to)) {
                client_doom(p->from, "no memory for its request");
        }
        p->taken++;
        if (trace_is_on(b))
                trace_recipient(b, to);
}

static void deliver_to_channel(struct passage *p, const struct channel *channel) {
        for (uint32_t i = 0; channel && i < channel->count; i++)
                deliver(p, member_client(channel, i));
}

static void deliver_to_group(struct passage *p) {
        const struct directory *d = &p->b->directory;
        const struct group *group = directory_group(d, p->group);
        if (!group)
                return;
        deliver_to_channel(p, group->everyone);
        if (!text_equal(p->instance, TEXT("*")))
                deliver_to_channel(p, directory_channel(d, p->group, p->instance));
}

static bool is_event(const struct passage *p) {
        return p->from->version == WIRE_2 && text_starts(p->group, TEXT("Event/"));
}

static bool wants_answer(const struct header *header) {
        return header->fields[HEADER_WANT_ANSWER].kind == SCAN_TRUE && header->fields[HEADER_REPLY].kind == SCAN_ABSENT;
}

static void refuse(struct passage *p, enum bus_error code) {
        bool is_told = wants_answer(p->header) && !is_event(p);
        if (is_told)
                post_error(p->from, p->header, code, TEXT_NONE);
        if (is_told || code != BUS_NO_RECIPIENT)
                broker_log(p->b, SEVERITY_NOTICE, LOG_UNDELIVERED, "%s: request to \"%.*s\", group \"%.*s\": %s",
                           p->from->lname, (int)MIN(p->to.size, (size_t)100), p->to.data,
                           (int)MIN(p->group.size, (size_t)100), p->group.data,
                           code == BUS_NO_RECIPIENT  ? "no such recipient"
                           : code == BUS_NOT_ALLOWED ? "not allowed"
                           : code == BUS_TOO_MANY    ? "too many outstanding"
                           : code == BUS_TOO_LARGE   ? "too large"
                                                     : "no attachments there");
        if (trace_is_on(p->b))
                trace_message(p->b, code == BUS_NO_RECIPIENT ? "norecipient" : "error", p->from, p->frame, p->header,
                              is_told || code != BUS_NO_RECIPIENT ? code : 0);
}

/* Queues it for everybody it is for. */
static void spread(struct passage *p) {
        struct broker *b = p->b;
        b->mark++;
        if (text_equal(p->to, TEXT("*"))) {
                deliver_to_group(p);
                return;
        }
        struct client *to = p->to.data ? route_find(b, p->to, p->from) : NULL;
        if (to)
                deliver(p, to);
}

/* 0: nobody minds. */
static enum bus_error check_passage(const struct passage *p, bool is_awaited_answer) {
        struct text name, index;
        if (is_awaited_answer || !p->b->policy.asks[POLICY_SEND])
                return 0;
        if (p->group.data && ask(p->from, POLICY_SEND, p->group) == POLICY_DENIED)
                return BUS_NOT_ALLOWED;
        if (!p->to.data || text_equal(p->to, TEXT("*")))
                return 0;
        if (split_index(p->to, &name, &index) && ask(p->from, POLICY_SEND, name) == POLICY_DENIED)
                return BUS_NOT_ALLOWED;
        const struct client *to = broker_find(p->b, p->to);
        return !to || may_reach(p->from, to) ? 0 : BUS_NOT_ALLOWED;
}

static void deliver_request(struct passage *p) {
        if (request_begin(&p->request, p->from, p->frame, p->header)) {
                client_doom(p->from, "no memory for its request");
                return;
        }
        spread(p);
        /* The broker answers at once, and its answer is the first. */
        if (p->reaches_self || !request_is_awaited(p->request))
                p->request = request_end(p->request);
}

static void deliver_passage(struct passage *p) {
        const struct scan_value *reply = &p->header->fields[HEADER_REPLY];
        struct client *asked_by = NULL;
        if (reply->kind != SCAN_ABSENT && p->to.data)
                asked_by = broker_find(p->b, p->to);
        bool is_awaited = asked_by && request_answered(asked_by, p->from, reply);
        bool is_tracked = p->from->version == WIRE_2 && wants_answer(p->header) && !is_event(p);
        enum bus_error error = check_passage(p, is_awaited);
        if (!error && is_tracked && p->from->outstanding >= (uint64_t)p->b->settings.outstanding_max)
                error = BUS_TOO_MANY;
        if (error) {
                refuse(p, error);
                return;
        }
        if (is_tracked)
                deliver_request(p);
        else
                spread(p);
        if (p->taken == 0 && !p->from->is_doomed && !p->request)
                refuse(p, p->was_skipped ? BUS_NO_ATTACHMENTS : BUS_NO_RECIPIENT);
        else if (trace_is_on(p->b))
                trace_message(p->b, "delivered", p->from, p->frame, p->header, 0);
        if (p->reaches_self)
                command_message(p->from, p->frame, p->header);
}

/* ---- Types ----------------------------------------------------------------- */

/* A member that names something: false when it is there and cannot. Data NULL: it is absent. */
static bool name_member(const struct scan_value *value, struct text absent, char *room, struct text *ret) {
        *ret = absent;
        if (value->kind == SCAN_ABSENT)
                return true;
        if (value->kind != SCAN_STRING)
                return false;
        *ret = scan_string(value, room);
        return true;
}

/* Replaces the bytes [from, to) of the header. What stands before them moves, and `header` with it. */
static int splice(struct frame *frame, struct header *header, uint32_t from, uint32_t to, struct text json) {
        const char *cut = frame_header(frame).data + from;
        ptrdiff_t growth = (ptrdiff_t)json.size - (ptrdiff_t)(to - from);
        int r = frame_splice_header(frame, from, to, json);
        if (r)
                return r;
        for (unsigned i = 0; i < HEADER_FIELDS; i++)
                if (header->fields[i].text.data && header->fields[i].text.data < cut)
                        header->fields[i].text.data -= growth;
        header->object.text.data -= growth;
        header->object.text.size += (size_t)growth;
        return 0;
}

/* Rare, and only to be found where somebody wants to be taken for somebody else. */
static int replace_twins(const struct client *c, struct frame **frame, struct header *header) {
        _owned_(buffer_fini) struct buffer fresh = {0};
        char json[LNAME_BYTES_MAX + 2];
        int size = snprintf(json, sizeof json, "\"%s\"", c->lname);
        const struct header_edit edit = {HEADER_FROM, {json, (size_t)size}};
        header_edit(&fresh, header, &edit, 1);
        int r = buffer_failed(&fresh) ? -ENOMEM : frame_replace_header(frame, buffer_as_text(&fresh));
        return r ? r : header_scan(header, frame_header(*frame));
}

static int set_from(const struct client *c, struct frame **frame, struct header *header) {
        struct scan_value *from = &header->fields[HEADER_FROM];
        const char *bytes = frame_header(*frame).data;
        char json[LNAME_BYTES_MAX + sizeof "\"from\":\"\","];
        if (UNLIKELY(header->has_twin_from))
                return replace_twins(c, frame, header);
        if (from->kind == SCAN_ABSENT) {
                int size = snprintf(json, sizeof json, "\"from\":\"%s\",", c->lname);
                uint32_t at = (uint32_t)(header->object.text.data - bytes) + 1;
                return splice(*frame, header, at, at, (struct text){json, (size_t)size});
        }
        /* What stood there before is no longer to be looked at. */
        struct text lname = client_lname(c);
        struct text raw = scan_raw(from);
        uint32_t at = (uint32_t)(raw.data - bytes);
        int size = snprintf(json, sizeof json, "\"%s\"", c->lname);
        int r = splice(*frame, header, at, at + (uint32_t)raw.size, (struct text){json, (size_t)size});
        if (!r)
                *from = (struct scan_value){.text = {frame_header(*frame).data + at + 1, lname.size},
                                            .kind = SCAN_STRING};
        return r;
}

/* The sender is who it is, whatever it says: the header as the recipients get it, in `frame` and in `header`. */
static int stamp(const struct client *c, struct frame **frame, struct header *header) {
        const struct scan_value *from = &header->fields[HEADER_FROM];
        bool is_right = from->kind == SCAN_STRING && !header->has_twin_from && !from->is_escaped &&
                        text_equal(from->text, client_lname(c));
        return LIKELY(is_right) ? 0 : set_from(c, frame, header);
}

static void take_send(struct client *c, struct frame **frame, struct header *header, bool is_too_large) {
        struct broker *b = c->broker;
        struct passage p = {.b = b, .from = c, .header = header};
        int r = stamp(c, frame, header);
        p.frame = *frame;
        if (r && r != -EMSGSIZE) {
                client_doom(c, "no memory for its message");
                return;
        }
        if (!name_member(&header->fields[HEADER_GROUP], TEXT_NONE, b->room[0], &p.group) ||
            !name_member(&header->fields[HEADER_INSTANCE], TEXT("*"), b->room[1], &p.instance))
                return;
        /* A `to` of null, or of anything but a string, is nobody. */
        if (!name_member(&header->fields[HEADER_TO], TEXT("*"), b->room[2], &p.to))
                p.to = TEXT_NONE;
        if (is_too_large || r == -EMSGSIZE) {
                refuse(&p, BUS_TOO_LARGE);
                return;
        }
        if (!p.group.data && text_equal(p.to, TEXT("*")))
                return;
        p.has_attachments = p.frame->prefix.attachments > 0;
        deliver_passage(&p);
}

static bool is_manager_group(struct text group) {
        return text_equal(group, TEXT("ConfigManager"));
}

static void take_subscribe(struct client *c, const struct header *header, bool joins) {
        struct broker *b = c->broker;
        struct text group, instance;
        if (!name_member(&header->fields[HEADER_GROUP], TEXT_NONE, b->room[0], &group) || !group.data ||
            !name_member(&header->fields[HEADER_INSTANCE], TEXT("*"), b->room[1], &instance))
                return;
        int r;
        if (!joins) {
                r = directory_leave(&b->directory, &c->subscriber, group, instance);
        } else if (!may_subscribe(c, group, instance)) {
                broker_log(b, SEVERITY_WARNING, LOG_REFUSED, "%s (uid %u) may not subscribe to \"%.*s\"", c->lname,
                           (unsigned)c->peer.uid, (int)MIN(group.size, (size_t)100), group.data);
                if (wants_answer(header))
                        post_error(c, header, BUS_NOT_ALLOWED, TEXT_NONE);
                return;
        } else if (c->subscriber.count >= (uint64_t)b->settings.subscriptions_max) {
                broker_log(b, SEVERITY_WARNING, LOG_REFUSED, "%s has max_subscriptions already", c->lname);
                if (wants_answer(header))
                        post_error(c, header, BUS_TOO_MANY, TEXT_NONE);
                return;
        } else {
                r = directory_join(&b->directory, &c->subscriber, group, instance);
        }
        if (r == DIRECTORY_UNCHANGED)
                return;
        if (r) {
                client_doom(c, "no memory for its subscription");
                return;
        }
        const struct channel *channel = directory_channel(&b->directory, group, instance);
        bool was_first = joins && channel->count == 1;
        if (trace_is_on(b))
                trace_subscription(b, joins ? "subscribe" : "unsubscribe", c, group, instance);
        post_membership(b, joins ? "subscribed" : "unsubscribed", c, group, c);
        if (was_first && is_manager_group(group) && text_equal(instance, TEXT("*")))
                manager_appeared(b);
}

void client_leave(struct client *c) {
        struct broker *b = c->broker;
        uint64_t mark = ++b->mark;
        bool was_manager = false;
        while (!list_is_empty(&c->subscriber.subscriptions)) {
                struct subscription *one =
                        CONTAINER_OF(c->subscriber.subscriptions.next, struct subscription, of_subscriber);
                struct group *group = one->channel->group;
                bool is_told = group->mark == mark;
                group->mark = mark;
                /* The group may go with its last member, so its name is kept for what is said afterwards. */
                struct text name = {b->room[0], group->name_bytes};
                memcpy(b->room[0], group->name, group->name_bytes);
                if (trace_is_on(b))
                        trace_subscription(b, "unsubscribe", c, name, channel_instance(one->channel));
                subscription_end(&b->directory, one);
                if (!is_told && !b->is_stopping)
                        post_membership(b, "unsubscribed", c, name, NULL);
                if (!is_told)
                        was_manager |= is_manager_group(name);
        }
        /* The one who knew our settings may have gone; its successor is there already. */
        if (was_manager && !b->is_stopping && directory_channel(&b->directory, TEXT("ConfigManager"), TEXT("*")))
                manager_appeared(b);
}

/* The answer has the old framing, all that follows in both directions the new. */
static void take_getlname(struct client *c, const struct header *header) {
        int64_t protocol;
        bool is_new = scan_integer(&header->fields[HEADER_PROTOCOL], &protocol) && protocol >= WIRE_2;
        post_getlname(c, is_new ? header : NULL);
        if (!is_new)
                return;
        c->version = WIRE_2;
        c->receiver.version = WIRE_2;
}

static void take_stop(struct client *c) {
        struct broker *b = c->broker;
        if (broker_may_control(b, c)) {
                broker_log(b, SEVERITY_NOTICE, LOG_ADMIN, "%s (uid %u) stops the broker", c->lname,
                           (unsigned)c->peer.uid);
                broker_stop(b);
        } else {
                broker_log(b, SEVERITY_WARNING, LOG_REFUSED, "%s (uid %u) may not stop the broker", c->lname,
                           (unsigned)c->peer.uid);
        }
}

void route_message(struct client *c, struct frame *message, bool is_too_large) {
        _owned_(frame_unref) struct frame *frame = message;
        struct header header;
        if (header_scan(&header, frame_header(frame))) {
                broker_log(c->broker, SEVERITY_WARNING, LOG_VIOLATION, "%s breaks the protocol: no valid header",
                           c->lname);
                client_doom(c, "its header is no JSON object with a type");
                return;
        }
        const struct scan_value *type = &header.fields[HEADER_TYPE];
        if (LIKELY(scan_equals(type, TEXT("send"))))
                take_send(c, &frame, &header, is_too_large);
        else if (is_too_large)
                broker_log(c->broker, SEVERITY_WARNING, LOG_VIOLATION, "%s sent a message above max_message", c->lname);
        else if (scan_equals(type, TEXT("getlname")))
                take_getlname(c, &header);
        else if (scan_equals(type, TEXT("ping")))
                post(c, TEXT("{\"type\":\"pong\"}"), frame_body(frame), c);
        else if (scan_equals(type, TEXT("subscribe")))
                take_subscribe(c, &header, true);
        else if (scan_equals(type, TEXT("unsubscribe")))
                take_subscribe(c, &header, false);
        else if (scan_equals(type, TEXT("stop")))
                take_stop(c);
}
