/*
 * From frame to frame through the files of a store.
 *
 * A file ends where the next begun one begins. Only of the last one nobody knows where
 * it ends, and there the rule of recovery holds: what is broken is damage when the
 * control file or a whole frame further on says that it had been on the disk, and the
 * torn end of what was being written when nothing does.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "queue/inspect_inside.h"

enum { WALK_GONE = 1 }; /* the daemon has delivered the file meanwhile */
enum look { LOOK_WHOLE, LOOK_PAYLOAD, LOOK_HEADER };

struct walk {
        struct inspect *in;
        const struct inspect_visitor *visitor;
        const struct inspect_file *file;
        uint64_t offset, lsn;
        uint64_t end_lsn;     /* where the next file begins; 0: not known */
        uint64_t durable_lsn; /* what anything that was read says was on the disk */
        bool is_found;        /* behind damage, by searching */
        struct inspect_file missing;
        bool has_chain;
        uint8_t chain[SEGMENT_CHAIN_BYTES];
};

const char *inspect_damage_text(enum inspect_damage_kind kind) {
        static const char *const texts[] = {
                [INSPECT_PAYLOAD] = "the content of a frame is damaged",
                [INSPECT_HEADER] = "the header of a frame is damaged",
                [INSPECT_MISSING] = "a file is missing, or both of its headers are damaged",
                [INSPECT_CHAIN] = "the hash chain is broken: it was changed by somebody",
                [INSPECT_BLOCK] = "one of a file's two header blocks is damaged, the other one serves",
                [INSPECT_CONTROL] = "a control file is damaged",
                [INSPECT_TORN] = "a torn end: it was being written, and never acknowledged",
        };
        return texts[kind];
}

/* *ret shows up to `size` bytes from `offset` on; how many, or -errno. */
static ssize_t look_at(struct inspect *in, uint64_t offset, size_t size, const uint8_t **ret) {
        if (offset < in->window_at || offset + size > in->window_at + in->window_size) {
                size_t wanted = MAX(size, (size_t)INSPECT_WINDOW_BYTES);
                if (in->window_capacity < wanted) {
                        uint8_t *window = realloc(in->window, wanted);
                        if (!window)
                                return fail(-ENOMEM);
                        in->window = window;
                        in->window_capacity = wanted;
                }
                in->window_size = 0;
                ssize_t n = inspect_pread(in->fd, in->window, wanted, offset);
                if (n < 0)
                        return n;
                in->window_at = offset;
                in->window_size = (size_t)n;
        }
        *ret = in->window + (offset - in->window_at);
        return (ssize_t)MIN((uint64_t)size, in->window_at + in->window_size - offset);
}

/* One of enum look, or -errno. The payload is seen when the frame is whole. */
static int look_at_frame(struct inspect *in, const struct inspect_file *file, uint64_t offset, struct frame *f,
                         const uint8_t **stored) {
        const uint8_t *bytes;
        ssize_t n = look_at(in, offset, FRAME_HEADER_BYTES_MAX, &bytes);
        if (n < 0)
                return n == -EIO ? LOOK_HEADER : (int)n;
        if (frame_read(f, bytes, (size_t)n, file->header.salt))
                return LOOK_HEADER;
        n = look_at(in, offset, f->frame_bytes, &bytes);
        if (n < 0)
                return n == -EIO ? LOOK_PAYLOAD : (int)n;
        if ((size_t)n < f->frame_bytes || !frame_payload_check(f, bytes + f->header_bytes))
                return LOOK_PAYLOAD;
        *stored = bytes + f->header_bytes;
        return LOOK_WHOLE;
}

static int tell_damage(struct walk *w, enum inspect_damage_kind kind, uint64_t lsn, uint64_t count) {
        struct inspect_damage d = {.kind = kind, .file = w->file, .offset = w->offset, .lsn = lsn, .count = count};
        return w->visitor->damage ? w->visitor->damage(w->visitor->owner, &d) : 0;
}

/* ---- The hash chain ------------------------------------------------------------ */

static int open_chainer(struct inspect *in) {
        const uint8_t session[SEGMENT_SALT_BYTES] = {0};
        struct store_options options = {.is_chained = true};
        return in->chainer ? 0 : pass(codec_new(&in->chainer, &options, session, in->reporter));
}

static int check_chain(struct walk *w, const struct frame *f, const uint8_t *stored) {
        if (!w->visitor->checks_chain || !(f->flags & FRAME_IS_CHAINED)) {
                w->has_chain = false;
                return 0;
        }
        int r = open_chainer(w->in);
        if (r)
                return pass(r);
        bool is_right = true;
        if (w->has_chain) {
                r = codec_chain(w->in->chainer, w->chain, f, stored);
                if (r)
                        return pass(r);
                is_right = memcmp(w->chain, f->chain, sizeof w->chain) == 0;
        }
        memcpy(w->chain, f->chain, sizeof w->chain);
        w->has_chain = true;
        return is_right ? 0 : tell_damage(w, INSPECT_CHAIN, f->lsn, f->count);
}

/* The begin block repeats the value: whoever put a file in the place of another had to know it. */
static int check_begin_chain(struct walk *w) {
        static const uint8_t none[SEGMENT_CHAIN_BYTES];
        const uint8_t *begin = w->file->header.chain;
        bool is_told = w->file->has_begin && memcmp(begin, none, sizeof none) != 0;
        if (!is_told) {
                /* Zeros stand before the first frame ever, and everywhere in a store without a chain. */
                if (w->lsn == 1)
                        memset(w->chain, 0, sizeof w->chain);
                w->has_chain = w->lsn == 1;
                return 0;
        }
        bool is_right = !w->has_chain || memcmp(begin, w->chain, sizeof w->chain) == 0;
        memcpy(w->chain, begin, sizeof w->chain);
        w->has_chain = true;
        return is_right || !w->visitor->checks_chain ? 0 : tell_damage(w, INSPECT_CHAIN, w->lsn, 0);
}

/* ---- One file -------------------------------------------------------------------- */

static bool has_gone(const struct walk *w) {
        char name[SEGMENT_FILE_NAME_BYTES];
        inspect_file_name(name, w->file);
        return w->in->facts.is_held && faccessat(w->in->directory, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

static int take_frame(struct walk *w, const struct frame *f, const uint8_t *stored) {
        int r = check_chain(w, f, stored);
        if (r)
                return r;
        w->durable_lsn = MAX(w->durable_lsn, f->durable_lsn);
        struct inspect_frame seen = {
                .frame = f, .file = w->file, .offset = w->offset, .stored = stored, .is_found = w->is_found};
        /* Bytes may shift under us while the daemon uses the file anew; the salt was checked before, so they did not.
         */
        r = w->visitor->frame ? w->visitor->frame(w->visitor->owner, &seen) : 0;
        w->lsn = f->lsn + f->count;
        w->offset += f->frame_bytes;
        return r;
}

/* The next whole frame of this file behind a broken place: true, with its place. Gathers what frames further on say. */
static int search(struct walk *w, struct frame *ret, uint64_t *at) {
        bool is_found = false;
        for (uint64_t offset = w->offset + FRAME_ALIGNMENT; offset + FRAME_BASE_BYTES <= w->file->size;
             offset += FRAME_ALIGNMENT) {
                struct frame f;
                const uint8_t *stored;
                int r = look_at_frame(w->in, w->file, offset, &f, &stored);
                if (r < 0)
                        return pass(r);
                /* The disk cannot read this place: on to the next block of it. */
                if (r == LOOK_HEADER && !w->in->window_size)
                        offset += SEGMENT_BLOCK_BYTES - FRAME_ALIGNMENT;
                if (r != LOOK_WHOLE || f.lsn <= w->lsn || (w->end_lsn && f.lsn + f.count > w->end_lsn))
                        continue;
                if (!is_found) {
                        *ret = f;
                        *at = offset;
                        is_found = true;
                }
                w->durable_lsn = MAX(w->durable_lsn, f.durable_lsn);
                /* Where the end is known there is nothing that needs to be proved. */
                if (w->end_lsn)
                        break;
                offset += f.frame_bytes - FRAME_ALIGNMENT;
        }
        return is_found;
}

static bool looks_begun(struct walk *w) {
        const uint8_t *bytes;
        uint64_t lsn = 0;
        if (look_at(w->in, w->offset, FRAME_BASE_BYTES, &bytes) == FRAME_BASE_BYTES)
                memcpy(&lsn, bytes + FRAME_LSN_AT, sizeof lsn);
        return lsn == w->lsn;
}

/* The file that should come next is not there, or cannot be read; w->missing is that one. */
static bool next_is_missing(struct walk *w) {
        const struct inspect_file *next = w->file + 1, *end = w->in->files + w->in->count;
        w->missing = (struct inspect_file){.sequence = w->file->sequence + 1};
        return next < end && (next->sequence != w->missing.sequence || (!next->has_head && !next->has_begin));
}

static int tell_missing(struct walk *w) {
        w->file = &w->missing;
        w->offset = 0;
        return tell_damage(w, INSPECT_MISSING, w->lsn, w->end_lsn - w->lsn);
}

enum { WALK_FILE_ENDS = 2 };

/* Nothing whole is behind the broken place. */
static int end_broken(struct walk *w) {
        int r = 0;
        if (w->end_lsn && !looks_begun(w) && next_is_missing(w))
                r = tell_missing(w);
        else if (w->end_lsn)
                r = tell_damage(w, INSPECT_HEADER, w->lsn, w->end_lsn - w->lsn);
        else if (w->file->is_aside)
                r = looks_begun(w) ? tell_damage(w, INSPECT_HEADER, w->lsn, 0) : 0;
        else if (w->durable_lsn >= w->lsn)
                r = tell_damage(w, INSPECT_HEADER, w->lsn, w->durable_lsn + 1 - w->lsn);
        else if (!w->in->facts.is_held && looks_begun(w))
                r = tell_damage(w, INSPECT_TORN, w->lsn, 0);
        return r ? r : WALK_FILE_ENDS;
}

/* What stands at the place is not whole: `seen` says how much of it is. 0: the walk goes on behind it. */
static int pass_broken(struct walk *w, enum look seen, const struct frame *broken) {
        struct frame next, again;
        const uint8_t *stored;
        uint64_t at = 0;
        int found = search(w, &next, &at);
        if (found < 0)
                return pass(found);
        if (has_gone(w))
                return WALK_GONE;
        /* What proves that it was on the disk may have come there after we had looked. */
        w->in->window_size = 0;
        int r = look_at_frame(w->in, w->file, w->offset, &again, &stored);
        if (r <= LOOK_WHOLE && (r < 0 || again.lsn == w->lsn))
                return r < 0 ? pass(r) : 0;
        bool is_damage = w->end_lsn || w->file->is_aside || w->durable_lsn >= w->lsn;
        w->has_chain = false;
        if (!is_damage)
                return end_broken(w);
        if (seen == LOOK_PAYLOAD) {
                r = tell_damage(w, INSPECT_PAYLOAD, broken->lsn, broken->count);
                w->lsn += broken->count;
                w->offset += broken->frame_bytes;
                return r;
        }
        if (!found)
                return end_broken(w);
        r = tell_damage(w, INSPECT_HEADER, w->lsn, next.lsn - w->lsn);
        w->is_found = true;
        w->lsn = next.lsn;
        w->offset = at;
        return r;
}

static int walk_frames(struct walk *w) {
        while (!w->end_lsn || w->lsn < w->end_lsn) {
                struct frame f;
                const uint8_t *stored;
                int r = look_at_frame(w->in, w->file, w->offset, &f, &stored);
                if (r < 0)
                        return pass(r);
                if (r != LOOK_HEADER && (f.lsn != w->lsn || (w->end_lsn && f.lsn + f.count > w->end_lsn)))
                        r = LOOK_HEADER;
                /* The window may show what was there before the frame was written. */
                if (r != LOOK_WHOLE && w->in->window_at != w->offset) {
                        w->in->window_size = 0;
                        w->in->window_at = w->offset;
                        continue;
                }
                r = r == LOOK_WHOLE ? take_frame(w, &f, stored) : pass_broken(w, (enum look)r, &f);
                if (r == WALK_FILE_ENDS)
                        return 0;
                if (r)
                        return r;
        }
        return 0;
}

static int walk_file(struct walk *w) {
        char name[SEGMENT_FILE_NAME_BYTES];
        struct inspect *in = w->in;
        uint64_t size;
        inspect_file_name(name, w->file);
        w->offset = 0;
        if (in->fd >= 0)
                close(in->fd);
        in->window_size = 0;
        in->fd = inspect_open_file(in, name, &size);
        if (in->fd == -ENOENT && in->facts.is_held)
                return WALK_GONE;
        bool is_read = in->fd >= 0 && (w->file->has_head || w->file->has_begin);
        if (!is_read) {
                uint64_t end_lsn = w->end_lsn ? w->end_lsn : w->durable_lsn + 1;
                /* That it is missing was told already where the file before it ended. */
                bool is_told = w->end_lsn && w->lsn >= w->end_lsn;
                return is_told ? 0 : tell_damage(w, INSPECT_MISSING, w->lsn, end_lsn > w->lsn ? end_lsn - w->lsn : 0);
        }
        int r = 0;
        if (!w->file->has_head || !w->file->has_begin)
                r = tell_damage(w, INSPECT_BLOCK, w->file->base_lsn, 0);
        if (r)
                return r;
        w->lsn = w->file->base_lsn;
        w->offset = SEGMENT_FRAMES_AT;
        w->is_found = false;
        w->durable_lsn = MAX(w->durable_lsn, w->file->header.durable_lsn);
        r = check_begin_chain(w);
        return r ? r : walk_frames(w);
}

/* ---- All files ------------------------------------------------------------------- */

/* A begun file behind `at` tells where that one ends; 0: none does. */
static uint64_t find_end(const struct inspect *in, size_t at) {
        for (size_t i = at + 1; i < in->count; i++)
                if (in->files[i].base_lsn)
                        return in->files[i].base_lsn;
        return 0;
}

static bool is_prepared(const struct inspect_file *file) {
        return file->has_head && !file->base_lsn;
}

static int tell_controls(struct walk *w) {
        int r = 0;
        for (unsigned i = 0; !r && i < w->in->facts.controls_bad; i++)
                r = tell_damage(w, INSPECT_CONTROL, 0, 0);
        return r;
}

/* Between where the last file ended and this one begins some may be missing. */
static int tell_gap(struct walk *w, const struct inspect_file *file) {
        if (!file->base_lsn || file->base_lsn <= w->lsn || w->in->facts.is_held)
                return 0;
        w->file = file;
        w->offset = 0;
        w->has_chain = false;
        return tell_damage(w, INSPECT_MISSING, w->lsn, file->base_lsn - w->lsn);
}

int inspect_walk(struct inspect *in, const struct inspect_visitor *visitor) {
        const struct inspect_facts *facts = &in->facts;
        struct walk w = {
                .in = in, .visitor = visitor, .lsn = facts->mark_lsn, .durable_lsn = facts->control.durable_lsn};
        bool is_any = false;
        int r = tell_controls(&w);
        for (size_t i = 0; !r && i < in->count; i++) {
                const struct inspect_file *file = &in->files[i];
                if (file->is_aside || file->sequence < facts->control.mark_segment || is_prepared(file))
                        continue;
                is_any = true;
                r = tell_gap(&w, file);
                if (r)
                        break;
                w.file = file;
                w.end_lsn = find_end(in, i);
                r = walk_file(&w);
                if (r == WALK_GONE || w.end_lsn > w.lsn)
                        w.has_chain = false;
                if (r == WALK_GONE)
                        r = 0;
                w.lsn = MAX(w.lsn, w.end_lsn);
        }
        if (!r && !is_any && !facts->is_held && facts->control.durable_lsn >= facts->mark_lsn)
                r = tell_damage(&w, INSPECT_MISSING, facts->mark_lsn, facts->control.durable_lsn + 1 - facts->mark_lsn);
        return r;
}

int inspect_walk_aside(struct inspect *in, const struct inspect_visitor *visitor) {
        struct walk w = {.in = in, .visitor = visitor};
        int r = 0;
        for (size_t i = 0; !r && i < in->count; i++) {
                if (!in->files[i].is_aside)
                        continue;
                w.file = &in->files[i];
                w.lsn = w.file->base_lsn;
                w.has_chain = false;
                /* The file that came next may have been delivered and gone. */
                w.end_lsn = i + 1 < in->count && in->files[i + 1].sequence == w.file->sequence + 1
                                    ? in->files[i + 1].base_lsn
                                    : 0;
                r = walk_file(&w);
                if (r == WALK_GONE)
                        r = 0;
        }
        return r;
}

/* ---- Without a walk over everything ------------------------------------------------ */

struct ends {
        uint64_t mark_lsn, end_lsn;
        int64_t oldest_us;
};

enum { ENDS_KNOWN = 1 };

static int see_first(void *owner, const struct inspect_frame *f) {
        struct ends *ends = owner;
        if (f->frame->lsn + f->frame->count <= ends->mark_lsn)
                return 0;
        ends->oldest_us = f->frame->time_us;
        return ENDS_KNOWN;
}

static int see_last(void *owner, const struct inspect_frame *f) {
        struct ends *ends = owner;
        ends->end_lsn = f->frame->lsn + f->frame->count;
        return 0;
}

static int see_loss(void *owner, const struct inspect_damage *d) {
        struct ends *ends = owner;
        ends->end_lsn = MAX(ends->end_lsn, d->lsn + d->count);
        return 0;
}

int inspect_ends(struct inspect *in, uint64_t *end_lsn, int64_t *oldest_us) {
        const struct inspect_facts *facts = &in->facts;
        struct ends ends = {.mark_lsn = facts->mark_lsn, .end_lsn = facts->mark_lsn};
        const struct inspect_visitor first = {.frame = see_first, .owner = &ends},
                                     last = {.frame = see_last, .damage = see_loss, .owner = &ends};
        int r = inspect_walk(in, &first);
        if (r < 0)
                return pass(r);
        for (size_t i = in->count; i-- > 0;) {
                const struct inspect_file *file = &in->files[i];
                if (file->is_aside || file->sequence < facts->control.mark_segment || is_prepared(file))
                        continue;
                struct walk w = {.in = in,
                                 .visitor = &last,
                                 .file = file,
                                 .lsn = MAX(file->base_lsn, facts->mark_lsn),
                                 .durable_lsn = facts->control.durable_lsn};
                r = walk_file(&w);
                if (r != WALK_GONE)
                        break;
        }
        *end_lsn = MAX(ends.end_lsn, facts->mark_lsn);
        *oldest_us = ends.oldest_us;
        return r < 0 ? pass(r) : 0;
}
