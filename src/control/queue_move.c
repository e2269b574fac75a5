/*
 * penstock queue replay and import: messages go elsewhere, and count as done with
 * here when they are safe there: durable in the other store, or taken by the other
 * side's system. Whatever happens in between costs duplicates, never a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "control/queue_inside.h"
#include "message/variable.h"
#include "queue/classic.h"

enum { GROUP_FRAMES = 256, GROUP_BYTES = 8 << 20 }; /* are made safe at once */

struct move {
        const struct queue_arguments *arguments;
        struct packer packer;
        struct store *from, *into;
        struct sender sender;
        bool strips_reason; /* $.dead, of what was a dead letter */
        uint64_t moved;
        int64_t left; /* negative: without end */
};

static void move_fini(struct move *m) {
        packer_fini(&m->packer);
        sender_fini(&m->sender);
        if (m->from)
                store_close(m->from);
        if (m->into)
                store_close(m->into);
}
OWNED_VALUE(struct move, move_fini);

/* ---- The other store ---------------------------------------------------------------- */

static int open_into(struct move *m) {
        const struct queue_arguments *a = m->arguments;
        struct stat from, into;
        if (!text_ends(text_of(a->into), TEXT(".store")))
                return spool_complain("%s: the store of a queue is called NAME.store, NAME being its queue.fileName",
                                      a->into);
        if (stat(a->word, &from) == 0 && stat(a->into, &into) == 0 && from.st_dev == into.st_dev &&
            from.st_ino == into.st_ino)
                return spool_complain("%s: they are in there already", a->into);
        return spool_take(&m->into, a->into, a->into_key_file, a->into_key_program, true);
}

static int append(struct move *m, const void *data, size_t size, uint32_t count) {
        uint64_t lsn;
        int r = store_append(m->into, data, size, count, &lsn);
        return r ? spool_complain("%s: %s", m->arguments->into, fail_text(r)) : 0;
}

static int make_safe(struct move *m) {
        if (!m->into)
                return sender_flush(&m->sender);
        struct store_state state;
        store_state(m->into, &state);
        int r = state.next_lsn > 1 ? store_wait(m->into, state.next_lsn - 1) : 0;
        return r ? spool_complain("%s: %s", m->arguments->into, fail_text(r)) : 0;
}

/* ---- replay --------------------------------------------------------------------------- */

static int give(struct move *m, const struct store_frame *f, uint32_t count) {
        bool is_all = f->done == 0 && count == f->count;
        if (m->into && is_all && !m->strips_reason)
                return append(m, f->payload, f->size, count);
        _owned_(batch_unref) struct batch *b = NULL;
        _owned_(buffer_fini) struct buffer pack = {0};
        int r = packer_unpack(&m->packer, (struct text){f->payload, f->size}, f->done, &b);
        if (r == 0 && b->count < count)
                r = -EBADMSG;
        if (r)
                return spool_complain("LSN %" PRIu64 ": %s", f->lsn, fail_text(r));
        for (uint32_t i = 0; i < count; i++) {
                if (m->strips_reason)
                        variable_unset(&b->records[i], '.', TEXT("dead"), true);
                if (!m->into && (r = sender_send(&m->sender, batch_text(b, b->records[i].raw))))
                        return r;
        }
        if (!m->into)
                return 0;
        r = pack_records(&pack, b, 0, count, &m->packer.names);
        return r ? spool_complain("%s", fail_text(r)) : append(m, pack.data, pack.size, count);
}

static void frame_fini(struct store_frame *f) {
        free(f->payload);
}
OWNED_VALUE(struct store_frame, frame_fini);

struct given {
        uint64_t lsn, first;
        uint32_t count;
};

/* Leases, gives away, makes safe, completes. 1: there is no more. */
static int replay_group(struct move *m) {
        struct given given[GROUP_FRAMES];
        size_t count = 0, bytes = 0;
        int r = 0;
        while (r == 0 && count < GROUP_FRAMES && bytes < GROUP_BYTES && m->left != 0) {
                _owned_(frame_fini) struct store_frame f = {0};
                r = store_lease(m->from, &f);
                if (r)
                        break;
                uint32_t wanted = f.count - f.done;
                if (m->left > 0 && wanted > m->left)
                        wanted = (uint32_t)m->left;
                r = give(m, &f, wanted);
                if (r)
                        break;
                given[count++] = (struct given){f.lsn, f.lsn + f.done, wanted};
                bytes += f.size;
                m->left -= m->left > 0 ? wanted : 0;
        }
        bool is_end = r == -EAGAIN || m->left == 0;
        if (r < 0 && r != -EAGAIN)
                r = spool_complain("%s: %s%s", m->arguments->word, fail_text(r),
                                   r == -EKEYREJECTED ? ": give --key-file or --key-program" : "");
        int safe = make_safe(m);
        for (size_t i = 0; safe == 0 && i < count; i++) {
                store_complete(m->from, given[i].first, given[i].count);
                m->moved += given[i].count;
        }
        return safe ? safe : is_end ? -1 : r;
}

static void tell_moved(const struct move *m, const char *from, uint64_t damaged) {
        const struct queue_arguments *a = m->arguments;
        const char *to = a->into ? a->into : a->to;
        if (!a->is_json) {
                printf("%s: %" PRIu64 " messages went to %s\n", from, m->moved, to);
                return;
        }
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "from", from);
        writer_string(&w, "to", to);
        writer_int(&w, "moved", (int64_t)m->moved);
        writer_int(&w, "damaged", (int64_t)damaged);
        writer_close(&w, '}');
        spool_print(&w);
}

int spool_replay(const struct queue_arguments *a) {
        _owned_(move_fini) struct move m = {
                .arguments = a,
                .sender = {.fd = -1},
                .left = a->limit ? a->limit : -1,
                .strips_reason =
                        text_ends(text_of(a->word), TEXT(".dead")) || text_ends(text_of(a->word), TEXT(".dead/")),
        };
        bool is_octet;
        int r = spool_framing(a, &is_octet);
        if (r)
                return r;
        if (!a->into == !a->to) {
                spool_complain("replay where? --into STORE, or --to tcp:HOST:PORT, udp:HOST:PORT or unix:PATH");
                return QUEUE_WRONG;
        }
        r = packer_init(&m.packer);
        if (r)
                return spool_complain("%s", fail_text(r));
        r = spool_take(&m.from, a->word, a->key_file, a->key_program, false);
        if (r == 0)
                r = a->into ? open_into(&m) : sender_open(&m.sender, a->to, is_octet);
        if (r)
                return r;
        while (r == 0)
                r = replay_group(&m);
        struct store_state state;
        store_state(m.from, &state);
        tell_moved(&m, a->word, state.quarantined);
        int closed = store_close(m.from);
        m.from = NULL;
        if (closed)
                return spool_complain("%s: %s; what went may come again", a->word, fail_text(closed));
        return r < 0 ? QUEUE_FINE : r;
}

/* ---- import ------------------------------------------------------------------------------ */

struct import {
        struct move move;
        char *prefix;
        struct classic_index index;
        struct batch *batch;
        uint64_t damaged; /* places */
};

static void import_fini(struct import *i) {
        batch_unref(i->batch);
        free(i->prefix);
        move_fini(&i->move);
}
OWNED_VALUE(struct import, import_fini);

static uint16_t ruleset_of(void *owner, struct text name) {
        struct packer *p = owner;
        return packer_name(p, name);
}

/* Appends the whole file. */
static int load(const char *path, size_t size_max, struct buffer *whole) {
        struct stat facts;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(-errno);
        int r = fstat(fd, &facts) < 0 ? -errno : !S_ISREG(facts.st_mode) ? -EINVAL : 0;
        size_t size = r ? 0 : (size_t)facts.st_size;
        if (!r && size > size_max)
                r = -EFBIG;
        if (!r && !buffer_reserve(whole, size))
                r = -ENOMEM;
        while (!r && whole->size < size) {
                ssize_t n = pread(fd, whole->data + whole->size, size - whole->size, (off_t)whole->size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        r = -errno;
                if (n <= 0)
                        break;
                whole->size += (size_t)n;
        }
        close(fd);
        return r ? fail(r) : 0;
}

static int put_batch(struct import *i) {
        _owned_(buffer_fini) struct buffer pack = {0};
        struct move *m = &i->move;
        if (!i->batch || !i->batch->count)
                return 0;
        int r = pack_records(&pack, i->batch, 0, i->batch->count, &m->packer.names);
        if (r)
                return spool_complain("%s", fail_text(r));
        r = append(m, pack.data, pack.size, i->batch->count);
        if (r)
                return r;
        m->moved += i->batch->count;
        i->batch = batch_unref(i->batch);
        return 0;
}

static bool is_batch_full(const struct batch *b, size_t next_bytes) {
        enum { BATCH_BYTES_ENOUGH = 4 << 20 };
        return b && (b->count == b->capacity || batch_bytes(b) + next_bytes > BATCH_BYTES_ENOUGH);
}

/* One message, or the way over a damaged one. */
static int import_message(struct import *i, const char *path, struct text bytes, size_t *used) {
        const struct classic_names names = {.ruleset_of = ruleset_of, .owner = &i->move.packer};
        if (is_batch_full(i->batch, 0)) {
                int r = put_batch(i);
                if (r)
                        return r;
        }
        if (!i->batch && !(i->batch = batch_new(i->move.packer.pool, BATCH_BYTES)))
                return spool_complain("no memory");
        int r = classic_message_read(i->batch, bytes, used, &names);
        if (r == 0)
                return 0;
        if (r == -ENOMEM && i->batch->count) {
                *used = 0;
                return put_batch(i);
        }
        if (r == -ENOMEM)
                return spool_complain("no memory");
        *used = classic_resume(bytes);
        i->damaged++;
        spool_complain("%s: %s; %zu bytes are passed over", path,
                       r == CLASSIC_IS_CUT ? "the last message is cut off" : "a message is damaged", *used);
        return 0;
}

static int import_file(struct import *i, uint64_t number) {
        enum { FILE_BYTES_MAX = 1 << 30 };
        _owned_(buffer_fini) struct buffer path = {0}, bytes = {0};
        buffer_format(&path, "%s.%0*" PRIu64, i->prefix, CLASSIC_FILE_DIGITS, number);
        const char *name = buffer_string(&path);
        int r = name ? load(name, FILE_BYTES_MAX, &bytes) : -ENOMEM;
        if (r)
                return spool_complain("%s: %s", name ? name : "", fail_text(r));
        struct text whole = buffer_as_text(&bytes);
        size_t from = number == i->index.first_file ? (size_t)MIN(i->index.first_offset, whole.size) : 0;
        size_t end = number == i->index.last_file ? (size_t)MIN(i->index.last_offset, whole.size) : whole.size;
        while (r == 0 && from < end) {
                size_t used = 0;
                r = import_message(i, name, text_slice(whole, from, end), &used);
                from += used;
        }
        return r;
}

static int read_index(struct import *i, const char *path) {
        _owned_(buffer_fini) struct buffer bytes = {0};
        struct text name = text_of(path);
        if (!text_ends(name, TEXT(".qi"))) {
                spool_complain("%s: what is imported is PREFIX.qi, which rsyslogd writes when it ends", path);
                return QUEUE_WRONG;
        }
        i->prefix = text_copy(text_slice(name, 0, name.size - strlen(".qi")));
        int r = i->prefix ? load(path, CLASSIC_INDEX_BYTES_MAX, &bytes) : -ENOMEM;
        if (r)
                return spool_complain("%s: %s", path, fail_text(r));
        r = classic_index_read(&i->index, buffer_as_text(&bytes));
        if (r)
                return spool_complain("%s: it is damaged, or no index of a disk queue", path);
        if (i->index.last_file < i->index.first_file)
                return spool_complain("%s: file numbers began anew within this queue; start rsyslogd once more to let "
                                      "it deliver this one",
                                      path);
        return 0;
}

int spool_import(const struct queue_arguments *a) {
        _owned_(import_fini) struct import i = {.move = {.arguments = a, .sender = {.fd = -1}}};
        if (!a->into) {
                spool_complain("import where? --into STORE: the NAME.store of the queue that shall have them");
                return QUEUE_WRONG;
        }
        int r = packer_init(&i.move.packer);
        if (r)
                return spool_complain("%s", fail_text(r));
        r = read_index(&i, a->word);
        if (r == 0)
                r = open_into(&i.move);
        for (uint64_t number = i.index.first_file; r == 0 && number <= i.index.last_file; number++)
                r = import_file(&i, number);
        if (r == 0)
                r = put_batch(&i);
        if (r == 0)
                r = make_safe(&i.move);
        if (r)
                return r;
        tell_moved(&i.move, a->word, i.damaged);
        if (!a->is_json)
                printf("%s and its files are as they were; remove them, or they are imported twice\n", a->word);
        return i.damaged ? QUEUE_FAILED : QUEUE_FINE;
}
