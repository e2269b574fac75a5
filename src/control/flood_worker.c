#include "control/flood_worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/flood_wire.h"

#define DATAGRAM_BATCH_MAX 1024u /* What sendmmsg() takes at once. */
#define DATAGRAM_BATCH     128u
#define SEGMENTS_MAX       64u /* What UDP_SEGMENT takes at once, with fewer bytes than one IP packet has. */
#define SEGMENTS_BYTES_MAX 65000u
#define WRITE_BYTES        (256u * 1024)
#define EVENTS_MAX         256
#define SLICE_NS           500000u   /* How finely a rate is paced. */
#define CATCH_UP_NS        20000000u /* How much lost time a paced sender makes up for with a burst. */
#define REFUSALS_MAX       1000u

uint64_t clock_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t pace_slice(const struct pace *p) {
        uint64_t slice = p->rate * SLICE_NS / NS_PER_S;

        return slice ? slice : 1;
}

/* How many messages may go now. A sender that was kept from running makes up for a moment, but not for seconds. */
static uint64_t pace_due(struct pace *p, uint64_t now_ns) {
        if (!p->rate)
                return UINT64_MAX;

        double due = (double)(now_ns - p->start_ns) * (double)p->rate / 1e9 - (double)p->sent;
        double most = (double)p->rate * CATCH_UP_NS / 1e9 + 1;
        if (due > most) {
                p->start_ns += (uint64_t)((due - most) * 1e9 / (double)p->rate);
                due = most;
        }
        return due < (double)pace_slice(p) ? 0 : (uint64_t)due;
}

static uint64_t pace_next_ns(const struct pace *p) {
        return p->start_ns + (uint64_t)((double)(p->sent + pace_slice(p)) * 1e9 / (double)p->rate) + 1;
}

int connection_open(struct connection *c, const struct settings *s, struct tls_context *context) {
        int r = wire_open(&c->wire, s, context);
        return r || s->target != TARGET_RELP ? r : relp_open(&c->wire, &c->ear);
}

void connection_fini(struct connection *c) {
        wire_close(&c->wire);
        relp_ear_fini(&c->ear);
}

static void ring_push(struct worker *w, struct connection *c) {
        assert(!c->is_queued && w->ring_count < w->ring_size);
        w->ring[(w->ring_head + w->ring_count++) % w->ring_size] = c;
        c->is_queued = true;
}

static struct connection *ring_pop(struct worker *w) {
        struct connection *c = w->ring[w->ring_head];

        w->ring_head = (w->ring_head + 1) % w->ring_size;
        w->ring_count--;
        c->is_queued = false;
        return c;
}

/* Waits until a socket has room, the time is over, or a signal came. Signals have no connection. */
static int worker_wait(struct worker *w, uint64_t timeout_ns) {
        struct timespec t = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
        struct epoll_event events[EVENTS_MAX];

        int n = epoll_pwait2(w->epoll, events, EVENTS_MAX, timeout_ns == UINT64_MAX ? NULL : &t, NULL);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;

        for (int i = 0; i < n; i++) {
                struct connection *c = events[i].data.ptr;

                if (!c)
                        w->is_stopped = true;
                else if (!c->is_queued && !c->is_finished)
                        ring_push(w, c);
        }
        return 0;
}

enum sending {
        SENDING_ALL = 1,
        SENDING_SOME,
        SENDING_LOST,
};

static ssize_t write_file(int fd, const char *bytes, size_t size) {
        ssize_t n;

        do
                n = write(fd, bytes, size);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static int worker_stream(struct worker *w, struct connection *c, uint32_t first, uint32_t count) {
        const struct block *b = &w->block;
        uint32_t start = b->starts[first] + c->partial, end = b->starts[first + count];

        ssize_t n = w->settings->target == TARGET_FILE ? write_file(c->wire.fd, b->text + start, end - start)
                                                       : wire_send(&c->wire, b->text + start, end - start);
        if (n < 0)
                return n == -EAGAIN ? SENDING_SOME : n == -EPIPE || n == -ECONNRESET ? SENDING_LOST : (int)n;

        uint32_t position = start + (uint32_t)n;
        uint32_t next = position == end ? first + count : block_find(b, position);
        c->sent += next - first;
        w->sent += next - first;
        c->partial = position - b->starts[next];
        w->bytes += (uint64_t)n;
        return position == end ? SENDING_ALL : SENDING_SOME;
}

static bool is_segmented(const struct settings *s) {
        return s->in_trains;
}

/*
 * Datagrams of one size go through the kernel's network stack as one, and come apart only at the receiving socket. This
 * takes 1.0 us a datagram where sendmmsg() takes 4.3, most of it on the way through the stack.
 */
static int segments_send(const struct block *b, int fd, uint32_t first, uint32_t count) {
        uint32_t start = b->starts[first], bytes = b->starts[first + count] - start;
        struct iovec vector = {b->text + start, bytes};
        union {
                char bytes[CMSG_SPACE(sizeof(uint16_t))];
                struct cmsghdr align;
        } control = {};
        struct msghdr header = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        struct cmsghdr *option = CMSG_FIRSTHDR(&header);
        uint16_t size = (uint16_t)(bytes / count);

        option->cmsg_level = SOL_UDP;
        option->cmsg_type = UDP_SEGMENT;
        option->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(option), &size, sizeof size);
        return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -1 : (int)count;
}

static int worker_datagrams(struct worker *w, struct connection *c, uint32_t first, uint32_t count) {
        const struct block *b = &w->block;

        int n = is_segmented(w->settings) ? segments_send(b, c->wire.fd, first, count)
                                          : sendmmsg(c->wire.fd, b->headers + first, count, MSG_NOSIGNAL);
        if (n < 0 && errno == ECONNREFUSED && w->settings->target == TARGET_UDP && c->refusals < REFUSALS_MAX) {
                /* This is the answer to an earlier datagram, and nothing was sent now: nobody listens yet, or any more.
                 */
                c->refusals++;
                w->refused++;
                return SENDING_ALL;
        }
        if (n < 0 && (errno == EINTR || errno == ENOBUFS))
                return SENDING_ALL;
        if (n < 0)
                return errno == EAGAIN                                                     ? SENDING_SOME
                       : errno == ECONNREFUSED || errno == ECONNRESET || errno == ENOTCONN ? SENDING_LOST
                                                                                           : -errno;

        c->refusals = 0;
        c->sent += (unsigned)n;
        w->sent += (unsigned)n;
        w->bytes += b->starts[first + (unsigned)n] - b->starts[first];
        return (unsigned)n == count ? SENDING_ALL : SENDING_SOME;
}

/* Who listens to the answers of a connection. */
struct listener {
        struct worker *worker;
        uint32_t connection;
};

static void note_acknowledged(void *context, uint64_t number) {
        struct listener *l = context;

        l->worker->acknowledged++;
        ledger_add(&l->worker->ledger, l->connection, number);
}

/* Takes the answers that are there. False: the peer is gone. */
static bool worker_hear(struct worker *w, struct connection *c) {
        struct listener l = {w, c->number};
        uint64_t refused = c->ear.refused;

        enum relp_hearing heard = relp_hear(&c->wire, &c->ear, note_acknowledged, &l);
        w->rejected += c->ear.refused - refused;
        return heard == RELP_HEARD;
}

static void connection_finish(struct worker *w, struct connection *c, bool is_lost) {
        c->is_finished = true;
        w->active--;
        w->lost += is_lost;
        if (w->settings->target == TARGET_RELP && !is_lost && !w->settings->is_held)
                relp_close(&c->wire, &c->ear, c->sent);
        if (!w->settings->is_held)
                wire_close(&c->wire);
}

/* How many messages the connection may send in one write. */
static uint64_t turn_size(const struct worker *w, const struct connection *c, uint32_t first, uint64_t share) {
        uint64_t count = w->batch;

        if (count > w->block.count - first)
                count = w->block.count - first;
        if (count > c->quota - c->sent)
                count = c->quota - c->sent;
        if (w->settings->target == TARGET_RELP && count > w->settings->window - (c->sent - c->ear.answered))
                count = w->settings->window - (c->sent - c->ear.answered);
        return count < share ? count : share;
}

static int worker_send(struct worker *w, struct connection *c, uint32_t first, uint32_t count) {
        if (w->settings->is_sequenced)
                block_number(&w->block, first, count, c->number, c->sent / w->block.count);
        if (w->settings->framing == FRAMING_RELP)
                block_count(&w->block, first, count, c->sent);
        return w->settings->framing == FRAMING_NONE ? worker_datagrams(w, c, first, count)
                                                    : worker_stream(w, c, first, count);
}

/* Gives the connection that waited longest its turn, at most one write. */
static int worker_turn(struct worker *w, uint64_t due) {
        uint64_t share = due == UINT64_MAX ? due : due / w->ring_count + 1;
        struct connection *c = ring_pop(w);
        bool is_answered = w->settings->target == TARGET_RELP;
        uint64_t sent = w->sent;
        int r = SENDING_ALL;

        if (is_answered && !worker_hear(w, c))
                r = SENDING_LOST;
        uint32_t first = (uint32_t)(c->sent % w->block.count);
        uint32_t count = r == SENDING_LOST ? 0 : (uint32_t)turn_size(w, c, first, share);
        if (count)
                r = worker_send(w, c, first, count);
        if (r < 0)
                return r;

        w->pace.sent += w->sent - sent;
        int left = wire_flush(&c->wire);
        if (left && left != -EAGAIN)
                r = SENDING_LOST;
        bool is_done = c->sent == c->quota && !left && (!is_answered || c->ear.answered == c->sent);
        if (r == SENDING_LOST || is_done)
                connection_finish(w, c, r == SENDING_LOST);
        else if (r == SENDING_ALL && count)
                ring_push(w, c);
        return 0;
}

int worker_run(struct worker *w) {
        uint64_t deadline_ns = w->settings->duration_ns ? w->pace.start_ns + w->settings->duration_ns : UINT64_MAX;

        while (w->active > 0 && !w->is_stopped) {
                uint64_t now_ns = clock_ns();
                if (now_ns >= deadline_ns)
                        return 0;

                uint64_t due = pace_due(&w->pace, now_ns), until_ns = deadline_ns;
                if (w->ring_count > 0 && due == 0 && pace_next_ns(&w->pace) < until_ns)
                        until_ns = pace_next_ns(&w->pace);

                /* One look at the others each time the ring has gone round keeps those that were blocked in the game.
                 */
                if (w->ring_count == 0 || due == 0 || w->turns_to_poll == 0) {
                        bool is_busy = w->ring_count > 0 && due > 0;
                        int r = worker_wait(w, is_busy                  ? 0
                                               : until_ns == UINT64_MAX ? UINT64_MAX
                                               : until_ns > now_ns      ? until_ns - now_ns
                                                                        : 0);
                        if (r)
                                return r;
                        w->turns_to_poll = w->ring_count;
                        continue;
                }

                w->turns_to_poll--;
                int r = worker_turn(w, due);
                if (r)
                        return r;
        }
        return 0;
}

void worker_fini(struct worker *w) {
        block_fini(&w->block);
        ledger_fini(&w->ledger);
        free(w->ring);
        if (w->epoll >= 0)
                close(w->epoll);
}

static uint32_t batch_choose(const struct settings *s, const struct block *b) {
        uint32_t size = b->starts[b->count] / b->count, most = UINT32_MAX, batch = s->batch;

        if (s->framing == FRAMING_NONE)
                most = DATAGRAM_BATCH_MAX;
        if (is_segmented(s))
                most = SEGMENTS_BYTES_MAX / size < SEGMENTS_MAX ? SEGMENTS_BYTES_MAX / size : SEGMENTS_MAX;
        if (!batch)
                batch = s->framing == FRAMING_NONE ? DATAGRAM_BATCH : WRITE_BYTES / size;
        if (batch > most)
                batch = most;
        return batch ? batch : 1;
}

int worker_init(struct worker *w, const struct settings *s, uint32_t index, int signals) {
        uint32_t share = (s->connections - index + s->threads - 1) / s->threads;

        *w = (struct worker){
                .settings = s,
                .ring_size = share,
                .epoll = epoll_create1(EPOLL_CLOEXEC),
                .ledger.fd = -1,
        };
        if (w->epoll < 0)
                return -errno;

        int r = block_init(&w->block, s);
        if (r)
                return r;

        w->batch = batch_choose(s, &w->block);
        if (s->ledger) {
                r = ledger_open(&w->ledger, s->ledger, place_digits(w->block.count));
                if (r)
                        return r;
        }
        w->ring = calloc(share, sizeof(struct connection *));
        if (!w->ring)
                return -ENOMEM;

        /* Nobody reads the signal, so every worker sees it. */
        struct epoll_event event = {.events = EPOLLIN};
        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, signals, &event) < 0)
                return -errno;

        w->pace.rate = s->rate / s->threads + (index < s->rate % s->threads);
        return 0;
}

/* Regular files are not for epoll, and need not be: they always have room. */
int worker_add(struct worker *w, struct connection *c) {
        bool is_heard = w->settings->target == TARGET_RELP || w->settings->is_tls;
        uint32_t events = EPOLLOUT | EPOLLET | (is_heard ? (uint32_t)EPOLLIN : 0);
        struct epoll_event event = {.events = events, .data.ptr = c};

        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->wire.fd, &event) < 0 && errno != EPERM)
                return -errno;
        ring_push(w, c);
        w->active++;
        return 0;
}
