/*
 * The connection: its states, reading and writing. See bus_inside.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/bus_inside.h"
#include "io/unix_stream.h"

static const char DEFAULT_PATH[] = "/run/penstock/bus";
static const int64_t NS_PER_MS = 1000000;

/* ---- States ---------------------------------------------------------------- */

void bus_rearm(struct penstock_bus *bus) {
        int64_t due_ns = calls_due_ns(bus);
        if (bus->state == BUS_WAITING)
                due_ns = bus->retry_ns;
        /* What was kept is handed out as soon as somebody looks. */
        if (!list_is_empty(&bus->backlog) || bus->has_changed || bus->lost_seq)
                due_ns = 1;
        unix_wait_arm(&bus->wait, due_ns);
}

static void drop_connection(struct penstock_bus *bus) {
        (void)unix_wait_watch(&bus->wait, -1, 0);
        bus->fd = unix_stream_close(bus->fd);
        receiver_fini(&bus->receiver);
        outbox_fini(&bus->outbox);
        free(bus->lname);
        bus->lname = NULL;
}

/* Nobody is told from here, since it may happen anywhere: tell_loss() does. */
static void bus_lose(struct penstock_bus *bus) {
        bus->has_changed |= bus->state == BUS_READY;
        drop_connection(bus);
        bus->state = bus->flags & PENSTOCK_BUS_RECONNECT ? BUS_WAITING : BUS_CLOSED;
        bus->lost_seq = bus->seq;
        bus->retry_ns = clock_mono_ns() + bus->retry_ms * NS_PER_MS;
        bus->retry_ms = MIN(bus->retry_ms * 2, (int)BUS_RETRY_LAST_MS);
        bus_rearm(bus);
}

static int bus_flush(struct penstock_bus *bus) {
        uint64_t frames = 0;
        if (bus->fd < 0)
                return -ENOTCONN;
        ssize_t sent = 0;
        do {
                sent = outbox_send(&bus->outbox, bus->fd, BUS_SEND_BYTES, &frames);
        } while (sent > 0 && !outbox_is_empty(&bus->outbox));
        uint32_t events = EPOLLIN | (outbox_is_empty(&bus->outbox) ? 0u : (uint32_t)EPOLLOUT);
        int r = unix_wait_watch(&bus->wait, bus->fd, events);
        /* A peer that has gone may still have said something: reading finds the end. */
        return r ? pass(r) : 0;
}

int bus_put(struct penstock_bus *bus, struct frame *frame, bool may_exceed) {
        _unused_ _owned_(frame_unref) struct frame *owned = frame;
        if (bus->state != BUS_READY && !may_exceed)
                return -ENOTCONN;
        if (bus->outbox.bytes > bus->queue_limit && !may_exceed) {
                bus->owes_room = true;
                return -EAGAIN;
        }
        int r = outbox_push(&bus->outbox, frame, bus->receiver.version);
        return r ? pass(r) : bus_flush(bus);
}

static int greet(struct penstock_bus *bus) {
        struct frame *frame;
        int r = frame_from(&frame, TEXT("{\"type\":\"getlname\",\"protocol\":2}"), TEXT_NONE);
        if (r)
                return pass(r);
        bus->state = BUS_GREETING;
        return bus_put(bus, frame, true);
}

static int bus_open(struct penstock_bus *bus) {
        int r = unix_stream_connect(&bus->fd, bus->path);
        if (r)
                return r;
        receiver_init(&bus->receiver, WIRE_1, BUS_MESSAGE_BYTES_MAX, NULL);
        r = greet(bus);
        if (r)
                drop_connection(bus);
        return r;
}

static void subscribe_again(struct penstock_bus *bus) {
        for (struct list *l = bus->subscription_list.next; l != &bus->subscription_list; l = l->next) {
                const struct subscription_entry *e = CONTAINER_OF(l, struct subscription_entry, of_bus);
                (void)subscription_send(bus, "subscribe", e->group, e->instance);
        }
}

/* The answer to greet(): the version that both speak, and the lname. */
static int greeted(struct penstock_bus *bus, const struct frame *frame) {
        struct header header;
        struct scan_value body;
        int64_t protocol = WIRE_1;
        if (header_scan(&header, frame_header(frame)) || !scan_equals(&header.fields[HEADER_TYPE], TEXT("getlname")) ||
            scan_whole(frame_body(frame), &body))
                return -EBADMSG;
        struct scan_value lname = scan_member(&body, TEXT("lname"));
        if (lname.kind != SCAN_STRING)
                return -EBADMSG;
        bus->lname = calloc(1, lname.text.size + 1);
        if (!bus->lname)
                return fail(-ENOMEM);
        struct text text = scan_string(&lname, bus->lname);
        memmove(bus->lname, text.data, text.size);
        bus->lname[text.size] = '\0';
        (void)scan_integer(&header.fields[HEADER_PROTOCOL], &protocol);
        bus->receiver.version = protocol >= WIRE_2 ? WIRE_2 : WIRE_1;
        bus->state = BUS_READY;
        bus->retry_ms = BUS_RETRY_FIRST_MS;
        subscribe_again(bus);
        bus->has_changed = true;
        return 0;
}

/* ---- Reading --------------------------------------------------------------- */

/* Takes the frame. */
static int take_frame(struct penstock_bus *bus, struct frame *frame, const struct call *only) {
        if (bus->state == BUS_GREETING) {
                int r = greeted(bus, frame);
                frame_unref(frame);
                return r;
        }
        struct penstock_bus_message *message = message_new(frame);
        if (!message)
                return -EBADMSG;
        if (!only || call_find(bus, &message->header) != only) {
                list_append(&bus->backlog, &message->of_backlog);
                bus->backlog_bytes += message_bytes(message);
                return 0;
        }
        (void)call_answered(bus, message);
        penstock_bus_message_unref(message);
        return 0;
}

static int consume(struct penstock_bus *bus, const char *data, size_t size, const struct call *only) {
        for (size_t used = 0; used < size;) {
                struct frame *frame;
                size_t part;
                int event = receiver_take(&bus->receiver, data + used, size - used, &part, &frame);
                used += part;
                if (event < 0)
                        return event;
                int r = event == RECEIVER_MORE ? 0 : take_frame(bus, frame, only);
                if (r)
                        return r;
        }
        return 0;
}

static int take_in_place(struct penstock_bus *bus, size_t size, const struct call *only) {
        struct frame *frame;
        int event = receiver_filled(&bus->receiver, size, &frame);
        return event <= 0 ? event : take_frame(bus, frame, only);
}

static int read_some(struct penstock_bus *bus, const struct call *only) {
        struct iovec pieces[2];
        int fds[UNIX_STREAM_FDS_MAX];
        size_t fd_count, count = 0;
        ssize_t room = receiver_room(&bus->receiver, 4 * BUS_READ_BYTES, &pieces[0]);
        if (room < 0)
                return pass((int)room);
        if (room > 0)
                count++;
        pieces[count] = (struct iovec){bus->buffer, sizeof bus->buffer};
        ssize_t got = unix_stream_receive(bus->fd, pieces, count + 1, fds, &fd_count);
        if (got == -EAGAIN)
                return 0;
        if (got <= 0)
                return got < 0 ? (int)got : -ECONNRESET;
        int r = fd_count ? receiver_take_fds(&bus->receiver, fds, fd_count) : 0;
        size_t in_place = MIN((size_t)got, (size_t)room);
        if (!r && in_place > 0)
                r = take_in_place(bus, in_place, only);
        return r ? r : consume(bus, bus->buffer, (size_t)got - in_place, only);
}

void bus_exchange(struct penstock_bus *bus, const struct call *only) {
        if (bus->fd >= 0 && (bus_flush(bus) || read_some(bus, only)))
                bus_lose(bus);
}

static struct penstock_bus_message *take_kept(struct penstock_bus *bus) {
        struct penstock_bus_message *message =
                CONTAINER_OF(list_take(&bus->backlog), struct penstock_bus_message, of_backlog);
        bus->backlog_bytes -= message_bytes(message);
        return message;
}

/* What has come up to now; what callbacks make come waits for the next time. */
static void hand_out_backlog(struct penstock_bus *bus) {
        for (unsigned i = 0; i < BUS_MESSAGES_A_ROUND && !list_is_empty(&bus->backlog); i++) {
                struct penstock_bus_message *message = take_kept(bus);
                message_dispatch(bus, message);
                penstock_bus_message_unref(message);
        }
}

/* ---- Processing ------------------------------------------------------------ */

static void tell_room(struct penstock_bus *bus) {
        if (!bus->owes_room || bus->outbox.bytes > bus->queue_limit / 2 || bus->state != BUS_READY)
                return;
        bus->owes_room = false;
        if (bus->on_room)
                bus->on_room(bus, bus->room_context);
}

/* What came before the loss has been handed out by now. */
static void tell_loss(struct penstock_bus *bus) {
        int64_t last = bus->lost_seq;
        bool has_changed = bus->has_changed;
        bus->lost_seq = 0;
        bus->has_changed = false;
        if (last)
                calls_fail(bus, last, PENSTOCK_BUS_DISCONNECTED, "Disconnected");
        if (has_changed && bus->on_change)
                bus->on_change(bus, bus->change_context);
}

static void try_again(struct penstock_bus *bus) {
        if (bus->state == BUS_WAITING && bus->retry_ns <= clock_mono_ns() && bus_open(bus))
                bus_lose(bus);
}

int penstock_bus_process(struct penstock_bus *bus) {
        assert(!bus->is_processing);
        bus->is_processing = true;
        unix_wait_calm(&bus->wait);
        try_again(bus);
        bus_exchange(bus, NULL);
        hand_out_backlog(bus);
        if (list_is_empty(&bus->backlog))
                tell_loss(bus);
        calls_expire(bus);
        tell_room(bus);
        bus_rearm(bus);
        bus->is_processing = false;
        return bus->state == BUS_CLOSED ? -ENOTCONN : 0;
}

int penstock_bus_wait(struct penstock_bus *bus, int timeout_ms) {
        (void)unix_stream_await(bus->wait.fd, POLLIN, timeout_ms);
        return penstock_bus_process(bus);
}

int penstock_bus_flush(struct penstock_bus *bus, int timeout_ms) {
        int64_t end_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
        while (!outbox_is_empty(&bus->outbox)) {
                int64_t left_ns = end_ns - clock_mono_ns();
                if (timeout_ms >= 0 && left_ns <= 0)
                        return -ETIMEDOUT;
                int left_ms = timeout_ms < 0 ? -1 : (int)(left_ns / NS_PER_MS) + 1;
                (void)unix_stream_await(bus->fd, POLLOUT, left_ms);
                size_t before = bus->outbox.bytes;
                int r = bus_flush(bus);
                if (r)
                        return r;
                /* Writable, and it takes nothing: the peer has gone, which the next process() deals with. */
                if (bus->outbox.bytes == before && unix_stream_await(bus->fd, POLLOUT, 0))
                        return -ENOTCONN;
        }
        return bus->state == BUS_READY ? 0 : -ENOTCONN;
}

/* ---- The life of a connection ---------------------------------------------- */

static int await_greeting(struct penstock_bus *bus) {
        int64_t end_ns = clock_mono_ns() + BUS_CONNECT_MS * NS_PER_MS;
        while (bus->state == BUS_GREETING) {
                int64_t left_ns = end_ns - clock_mono_ns();
                if (left_ns <= 0 || !unix_stream_await(bus->fd, POLLIN, (int)(left_ns / NS_PER_MS) + 1))
                        return -ETIMEDOUT;
                bus_exchange(bus, NULL);
        }
        bus->has_changed = false;
        return bus->state == BUS_READY ? 0 : -ECONNREFUSED;
}

static const char *choose_path(const char *path) {
        const char *environment = getenv("BIND10_MSGQ_SOCKET_FILE");
        if (path)
                return path;
        return environment && *environment ? environment : DEFAULT_PATH;
}

int penstock_bus_connect(struct penstock_bus **ret, const char *path, unsigned flags) {
        if (flags & ~(unsigned)PENSTOCK_BUS_RECONNECT)
                return -EINVAL;
        struct penstock_bus *bus = calloc(1, sizeof *bus);
        if (!bus)
                return fail(-ENOMEM);
        bus->fd = bus->wait.fd = bus->wait.timer_fd = -1;
        bus->queue_limit = BUS_QUEUE_LIMIT;
        bus->seed = table_seed();
        bus->retry_ms = BUS_RETRY_FIRST_MS;
        list_init(&bus->call_list);
        list_init(&bus->subscription_list);
        list_init(&bus->backlog);
        bus->path = text_copy(text_of(choose_path(path)));
        int r = bus->path ? unix_wait_open(&bus->wait) : fail(-ENOMEM);
        if (!r)
                r = bus_open(bus);
        if (!r)
                r = await_greeting(bus);
        if (r) {
                penstock_bus_close(bus);
                return r;
        }
        /* Only a connection that was there once is made again. */
        bus->flags = flags;
        *ret = bus;
        return 0;
}

void penstock_bus_close(struct penstock_bus *bus) {
        if (!bus)
                return;
        assert(!bus->is_processing);
        bus->is_processing = true;
        bus->flags = 0;
        if (bus->fd >= 0)
                (void)bus_flush(bus);
        bus->on_change = NULL;
        bus_lose(bus);
        tell_loss(bus);
        while (!list_is_empty(&bus->backlog))
                penstock_bus_message_unref(take_kept(bus));
        subscriptions_free(bus);
        table_fini(&bus->calls);
        unix_wait_close(&bus->wait);
        free(bus->path);
        free(bus);
}

bool penstock_bus_is_connected(const struct penstock_bus *bus) {
        return bus->state == BUS_READY;
}

const char *penstock_bus_lname(const struct penstock_bus *bus) {
        return bus->lname ? bus->lname : "";
}

int penstock_bus_protocol(const struct penstock_bus *bus) {
        return (int)bus->receiver.version;
}

int penstock_bus_fd(const struct penstock_bus *bus) {
        return bus->wait.fd;
}

size_t penstock_bus_queued(const struct penstock_bus *bus) {
        return bus->outbox.bytes;
}

void penstock_bus_set_queue_limit(struct penstock_bus *bus, size_t bytes) {
        bus->queue_limit = bytes;
}

void penstock_bus_on_room(struct penstock_bus *bus, penstock_bus_fn fn, void *context) {
        bus->on_room = fn;
        bus->room_context = context;
}

void penstock_bus_on_change(struct penstock_bus *bus, penstock_bus_fn fn, void *context) {
        bus->on_change = fn;
        bus->change_context = context;
}
