/*
 * A connection: its turns of reading, its queue, flow control, and its end.
 *
 * A turn reads at most turn_bytes() or TURN_MESSAGES. Small frames are read into the
 * broker's scratch and cut there; the body of a large one is received in place.
 * What was read and not served waits in `rest`, and the client in broker->more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/broker_inside.h"

static const int64_t NS_PER_MS = 1000000;
enum { RETRY_MS = 20 }; /* of a send that the kernel refused for the number of descriptors under way */

struct turn {
        size_t bytes;
        unsigned messages;
};

/* Short turns as long as there is more than one who sends. */
static size_t turn_bytes(const struct broker *b) {
        return b->reads_in_row < READS_ALONE ? TURN_BYTES : TURN_BYTES_ALONE;
}

/* It has sent something. */
static void note_read(struct client *c) {
        struct broker *b = c->broker;
        if (b->read_last != c->subscriber.serial)
                b->reads_in_row = 0;
        else if (b->reads_in_row < READS_ALONE)
                b->reads_in_row++;
        b->read_last = c->subscriber.serial;
}

/* ---- Waiting for the socket ------------------------------------------------ */

static bool may_read(const struct client *c) {
        return !c->is_doomed && !client_is_blocked(c);
}

/* With no event wanted the socket leaves the epoll set: it would go on telling that the peer has hung up. */
static void rewatch(struct client *c) {
        uint32_t events = 0;
        if (c->is_doomed || c->watch.fd < 0)
                return;
        if (may_read(c))
                events |= EPOLLIN;
        if (c->is_waiting)
                events |= EPOLLOUT;
        if (c->watch.is_added && events == c->watch.events)
                return;
        struct loop *loop = c->broker->loop;
        int r = 0;
        if (events == 0 || !c->watch.is_added) {
                loop_unwatch(loop, &c->watch);
                c->watch.events = events;
                r = events ? loop_watch(loop, &c->watch) : 0;
        } else {
                r = loop_rewatch(loop, &c->watch, events);
        }
        if (r)
                client_doom(c, "the kernel does not watch its socket");
}

static void client_ready(struct watch *watch, uint32_t events) {
        struct client *c = CONTAINER_OF(watch, struct client, watch);
        struct broker *b = c->broker;
        if (events & (EPOLLHUP | EPOLLERR)) {
                /* What it has sent before is still served; what waits for it is of no use. */
                c->is_gone = true;
                c->is_waiting = false;
        }
        if (events & EPOLLOUT)
                client_flush(c);
        /* Room alone is nothing to read; whoever is in `more` has a turn coming. */
        if ((events & ~(uint32_t)EPOLLOUT) && list_is_empty(&c->more))
                client_turn(c);
        broker_settle(b);
}

/* ---- Flow control ---------------------------------------------------------- */

static bool is_full(const struct client *c) {
        const struct settings *s = &c->broker->settings;
        return c->outbox.bytes > (uint64_t)s->queue_limit || c->account->bytes > (uint64_t)s->user_bytes_max;
}

static void hold_back(struct client *sender, struct client *reader) {
        for (struct list *l = sender->blocks.next; l != &sender->blocks; l = l->next)
                if (CONTAINER_OF(l, struct block, of_sender)->reader == reader)
                        return;
        struct block *block = malloc(sizeof *block);
        if (!block) {
                client_doom(sender, "no memory to hold it back");
                return;
        }
        *block = (struct block){.sender = sender, .reader = reader};
        list_append(&sender->blocks, &block->of_sender);
        list_append(&reader->blocked, &block->of_reader);
        rewatch(sender);
}

static void let_go(struct block *block) {
        struct client *sender = block->sender;
        list_remove(&block->of_sender);
        list_remove(&block->of_reader);
        free(block);
        if (client_is_blocked(sender) || sender->is_doomed)
                return;
        if (sender->rest_begin < sender->rest_end)
                broker_more(sender);
        rewatch(sender);
}

static void let_all_go(struct client *reader) {
        while (!list_is_empty(&reader->blocked))
                let_go(CONTAINER_OF(reader->blocked.next, struct block, of_reader));
}

bool client_queue(struct client *c, struct frame *frame, struct client *sender) {
        if (c->is_doomed)
                return false;
        uint64_t before = c->outbox.bytes;
        c->broker->passed_bytes += frame_wire_bytes(frame, c->version);
        if (outbox_push(&c->outbox, frame, c->version)) {
                client_doom(c, "no memory for its queue");
                return false;
        }
        c->account->bytes += c->outbox.bytes - before;
        if (!c->is_waiting && list_is_empty(&c->dirty))
                list_append(&c->broker->dirty, &c->dirty);
        if (LIKELY(!is_full(c)))
                return true;
        if (sender && sender != &c->broker->self)
                hold_back(sender, c);
        else if (c->outbox.bytes > (uint64_t)c->broker->settings.queue_limit * OWN_QUEUE_FACTOR)
                client_doom(c, "it does not read what the broker tells it");
        return true;
}

static int64_t stall_due(const struct client *c) {
        return c->progress_ns + c->broker->settings.stall_timeout_ms * NS_PER_MS;
}

static void client_stalled(struct timer *timer) {
        struct client *c = CONTAINER_OF(timer, struct client, stall);
        struct broker *b = c->broker;
        int64_t due_ns = stall_due(c);
        if (due_ns <= clock_mono_ns()) {
                client_doom(c, "it has taken no byte for stall_timeout");
        } else if (!c->is_waiting) {
                client_flush(c);
        } else if (loop_arm(b->loop, &c->stall, due_ns)) {
                client_doom(c, "no memory for its timer");
        }
        broker_settle(b);
}

/*
 * A socket tells that it takes more once three quarters of its buffer are free. Whoever is sent much has taken all of
 * an ordinary one by then and waits for us as often as we for it: with a larger one 4 MB messages pass a third faster.
 */
static void widen(struct client *c) {
        if (c->is_wide || c->outbox.bytes < WIDE_BYTES)
                return;
        c->is_wide = true;
        (void)unix_stream_send_buffer(c->watch.fd, WIDE_BYTES); /* without it all goes on as before */
}

/* Something is left: the socket tells when it takes more, and the timer when it never did. */
static void await_room(struct client *c, bool must_retry) {
        int64_t now_ns = clock_mono_ns();
        if (!c->is_owed) {
                c->is_owed = true;
                c->progress_ns = now_ns;
        }
        c->is_waiting = !must_retry;
        if (c->stall.slot > 0)
                return;
        if (loop_arm(c->broker->loop, &c->stall, must_retry ? now_ns + RETRY_MS * NS_PER_MS : stall_due(c)))
                client_doom(c, "no memory for its timer");
}

void client_flush(struct client *c) {
        list_remove(&c->dirty);
        if (c->is_doomed || outbox_is_empty(&c->outbox))
                return;
        ssize_t bytes = c->is_gone ? -EPIPE : outbox_send(&c->outbox, c->watch.fd, turn_bytes(c->broker), &c->sent);
        if (bytes < 0 && bytes != -ETOOMANYREFS) {
                /* It may have sent something before it went, which is still to be served: reading finds the end. */
                c->is_gone = true;
                c->account->bytes -= c->outbox.bytes;
                outbox_fini(&c->outbox);
        }
        if (bytes > 0) {
                c->account->bytes -= (uint64_t)bytes;
                c->progress_ns = clock_mono_coarse_ns();
        }
        if (outbox_is_empty(&c->outbox)) {
                c->is_waiting = c->is_owed = false;
                loop_disarm(c->broker->loop, &c->stall);
        } else {
                widen(c);
                await_room(c, bytes == -ETOOMANYREFS);
        }
        if (!list_is_empty(&c->blocked) && c->outbox.bytes <= (uint64_t)c->broker->settings.queue_limit / 2)
                let_all_go(c);
        rewatch(c);
}

/* ---- Reading --------------------------------------------------------------- */

/* A receiver's answer that ends the connection. */
static void receiver_failed(struct client *c, int error) {
        if (error == -EBADMSG)
                broker_log(c->broker, SEVERITY_WARNING, LOG_VIOLATION, "%s breaks the protocol: %s", c->lname,
                           c->receiver.violation);
        client_doom(c, error == -EBADMSG ? c->receiver.violation : "no memory for its message");
}

static void serve(struct client *c, struct turn *turn, int event, struct frame *frame) {
        if (event < 0) {
                receiver_failed(c, event);
        } else if (event != RECEIVER_MORE) {
                turn->messages--;
                c->received++;
                route_message(c, frame, event == RECEIVER_TOO_LARGE);
        }
}

/* Serves the frames in these bytes: how many bytes. Stops where the turn ends or the client may go no further. */
static size_t consume(struct client *c, struct turn *turn, const char *data, size_t size) {
        size_t done = 0;
        while (done < size && turn->messages > 0 && may_read(c)) {
                struct frame *frame;
                size_t used;
                int event = receiver_take(&c->receiver, data + done, size - done, &used, &frame);
                done += used;
                serve(c, turn, event, frame);
        }
        return done;
}

static void keep_rest(struct client *c, const char *data, size_t size) {
        if (size == 0 || c->is_doomed)
                return;
        c->rest = malloc(size);
        if (!c->rest) {
                client_doom(c, "no memory for what it sent");
                return;
        }
        memcpy(c->rest, data, size);
        c->rest_begin = 0;
        c->rest_end = size;
}

static void take_rest(struct client *c, struct turn *turn) {
        c->rest_begin += consume(c, turn, c->rest + c->rest_begin, c->rest_end - c->rest_begin);
        if (c->rest_begin < c->rest_end)
                return;
        free(c->rest);
        c->rest = NULL;
        c->rest_begin = c->rest_end = 0;
}

/* Descriptors belong to a frame; between two of them, with nothing more to read, none may be left over. */
static void check_left_over(struct client *c) {
        if (!c->is_doomed && c->rest_begin == c->rest_end && c->receiver.fd_count > 0 && receiver_is_idle(&c->receiver))
                client_doom(c, "a descriptor that belongs to no frame");
}

static void stream_ended(struct client *c, ssize_t error) {
        c->is_gone = true;
        if (error == -EMFILE)
                client_doom(c, "the broker has no descriptor left for what it sent");
        else if (!receiver_is_idle(&c->receiver))
                client_doom(c, "it ended inside a frame");
        else
                client_doom(c, NULL);
}

/* One read of the kernel; false: there is no more for now. */
static bool receive_some(struct client *c, struct turn *turn) {
        struct broker *b = c->broker;
        int fds[UNIX_STREAM_FDS_MAX];
        size_t fd_count;
        struct iovec pieces[2];
        ssize_t room = receiver_room(&c->receiver, turn->bytes, &pieces[0]);
        if (room < 0) {
                client_doom(c, "no memory for its message");
                return false;
        }
        size_t count = room > 0 ? 1 : 0;
        size_t asked = (size_t)room;
        if (asked < turn->bytes) {
                pieces[count] = (struct iovec){b->scratch, MIN(sizeof b->scratch, turn->bytes - asked)};
                asked += pieces[count++].iov_len;
        }
        ssize_t got = unix_stream_receive(c->watch.fd, pieces, count, fds, &fd_count);
        if (got == -EAGAIN)
                return false;
        if (got <= 0) {
                stream_ended(c, got);
                return false;
        }
        note_read(c);
        turn->bytes -= MIN(turn->bytes, (size_t)got);
        if (fd_count > 0) {
                int r = receiver_take_fds(&c->receiver, fds, fd_count);
                if (r) {
                        receiver_failed(c, r);
                        return false;
                }
        }
        size_t in_place = MIN((size_t)got, (size_t)room), rest = (size_t)got - in_place;
        if (in_place > 0) {
                struct frame *frame;
                int event = receiver_filled(&c->receiver, in_place, &frame);
                serve(c, turn, event, frame);
        }
        size_t done = consume(c, turn, b->scratch, rest);
        keep_rest(c, b->scratch + done, rest - done);
        check_left_over(c);
        return (size_t)got == asked;
}

/* Half a message in our memory counts as the user's. */
static void charge_partial(struct client *c) {
        uint64_t partial = c->receiver.frame ? c->receiver.frame->size : 0;
        c->account->bytes += partial - c->partial_charged;
        bool has_grown = partial > c->partial_charged;
        c->partial_charged = partial;
        if (has_grown && c->account->bytes > (uint64_t)c->broker->settings.user_bytes_max)
                client_doom(c, "its user has too much under way");
}

void client_turn(struct client *c) {
        struct turn turn = {.bytes = turn_bytes(c->broker), .messages = TURN_MESSAGES};
        if (may_read(c) && c->rest_begin < c->rest_end)
                take_rest(c, &turn);
        bool has_more = true;
        while (has_more && may_read(c) && c->rest_begin == c->rest_end && turn.bytes > 0 && turn.messages > 0)
                has_more = receive_some(c, &turn);
        if (c->is_doomed)
                return;
        charge_partial(c);
        if (c->rest_begin < c->rest_end && may_read(c))
                broker_more(c);
        rewatch(c);
}

/* ---- The life of a client -------------------------------------------------- */

void client_name(struct client *c) {
        struct broker *b = c->broker;
        c->lname_bytes = (uint32_t)snprintf(c->lname, sizeof c->lname, "%llx_%llx@%s",
                                            (unsigned long long)(clock_wall_us() / 1000000),
                                            (unsigned long long)b->serial, b->host);
        assert(c->lname_bytes < sizeof c->lname);
        subscriber_init(&c->subscriber, b->serial++);
        list_init(&c->all);
        list_init(&c->more);
        list_init(&c->dirty);
        list_init(&c->doomed);
        list_init(&c->blocks);
        list_init(&c->blocked);
        list_init(&c->requests);
        list_init(&c->awaited);
}

static void learn_groups(struct client *c) {
        gid_t groups[UNIX_STREAM_GROUPS_MAX];
        int count = unix_stream_peer_groups(c->watch.fd, groups, ARRAY_SIZE(groups));
        if (count <= 0)
                return;
        c->groups = malloc((size_t)count * sizeof(gid_t));
        if (!c->groups)
                return;
        memcpy(c->groups, groups, (size_t)count * sizeof(gid_t));
        c->group_count = (size_t)count;
}

static void client_release(struct client *c) {
        if (c->account) {
                c->account->clients--;
                c->account->bytes -= c->outbox.bytes + c->partial_charged;
        }
        receiver_fini(&c->receiver);
        outbox_fini(&c->outbox);
        if (c->account)
                account_drop_unused(c->broker, c->account);
        c->watch.fd = unix_stream_close(c->watch.fd);
        free(c->groups);
        free(c->rest);
        free(c);
}

int client_new(struct client **ret, struct broker *b, int fd) {
        struct client *c = calloc(1, sizeof *c);
        if (!c) {
                unix_stream_close(fd);
                return fail(-ENOMEM);
        }
        c->broker = b;
        c->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = client_ready};
        c->stall.fire = client_stalled;
        c->version = WIRE_1;
        client_name(c);
        int r = unix_stream_peer(fd, &c->peer);
        if (!r)
                c->account = account_of(b, c->peer.uid);
        if (!r && !c->account)
                r = fail(-ENOMEM);
        if (c->account)
                c->account->clients++;
        receiver_init(&c->receiver, WIRE_1, (uint64_t)b->settings.message_bytes_max,
                      c->account ? &c->account->fds : NULL);
        c->receiver.stock = &b->stock;
        if (b->policy.count > 0)
                learn_groups(c);
        if (!r)
                r = table_add(&b->lnames, &c->by_lname, table_hash(b->seed, client_lname(c)));
        if (r) {
                client_release(c);
                return pass(r);
        }
        r = loop_watch(b->loop, &c->watch);
        if (r) {
                table_remove(&b->lnames, &c->by_lname);
                client_release(c);
                return pass(r);
        }
        list_append(&b->all, &c->all);
        b->client_count++;
        *ret = c;
        return 0;
}

void client_doom(struct client *c, const char *why) {
        if (c->is_doomed)
                return;
        assert(c != &c->broker->self);
        c->is_doomed = true;
        c->doom = why;
        loop_unwatch(c->broker->loop, &c->watch);
        list_append(&c->broker->doomed, &c->doomed);
}

/* Frees the client; what others are to know about its end has been queued when this returns. */
void client_end(struct client *c) {
        struct broker *b = c->broker;
        loop_unwatch(b->loop, &c->watch);
        loop_disarm(b->loop, &c->stall);
        list_remove(&c->all);
        list_remove(&c->more);
        list_remove(&c->dirty);
        list_remove(&c->doomed);
        table_remove(&b->lnames, &c->by_lname);
        b->client_count--;
        if (c->doom)
                broker_log(b, SEVERITY_WARNING, LOG_DROP, "dropped %s (pid %d, uid %u): %s", c->lname, (int)c->peer.pid,
                           (unsigned)c->peer.uid, c->doom);
        else
                broker_log(b, SEVERITY_INFO, LOG_CONNECT, "%s has left", c->lname);
        /* An answer to `drop` or `shutdown` is still due. */
        if (!c->is_gone && !outbox_is_empty(&c->outbox)) {
                ssize_t bytes = outbox_send(&c->outbox, c->watch.fd, SIZE_MAX, &c->sent);
                c->account->bytes -= bytes > 0 ? (uint64_t)bytes : 0;
        }
        while (!list_is_empty(&c->blocks))
                let_go(CONTAINER_OF(c->blocks.next, struct block, of_sender));
        let_all_go(c);
        c->trace = trace_free(c->trace);
        request_forget_requester(c);
        client_leave(c);
        request_forget_recipient(c);
        if (!b->is_stopping)
                post_membership(b, "disconnected", c, TEXT_NONE, NULL);
        client_release(c);
}
