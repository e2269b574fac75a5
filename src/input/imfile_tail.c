#include "input/imfile_tail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "input/oversize.h"

enum {
        TURN_BYTES = 1 << 20,     /* of one file before the next has its turn */
        READ_BYTES = 64 << 10,    /* asked of a batch at least, if the file has so much */
        LINE_BYTES_GUESSED = 128, /* before the first line was seen */
        REGEX_ERROR_BYTES = 256,
        DELAYED_TOGETHER_US = 100000, /* delay.message is kept on average over so long */
        DISCARDING = 3000,
};

#define CEE_COOKIE TEXT("@cee:")

/* ---- The feed ----------------------------------------------------------- */

static int compile(struct module_log *log, const char *parameter, const char *pattern, regex_t *ret, bool *is_set) {
        if (!pattern)
                return 0;
        int r = regcomp(ret, pattern, REG_EXTENDED);
        if (r) {
                char text[REGEX_ERROR_BYTES];
                regerror(r, ret, text, sizeof text);
                module_report_param(log, SEVERITY_ERR, parameter, "imfile: error in %s expansion: %s", parameter, text);
                return fail(-EINVAL);
        }
        *is_set = true;
        return 0;
}

int feed_check(const struct imfile_input *settings, struct module_log *log) {
        const struct {
                const char *parameter, *pattern;
        } patterns[] = {{"startmsg.regex", settings->start_regex}, {"endmsg.regex", settings->end_regex}};
        int result = 0;
        for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
                regex_t regex;
                bool is_set = false;
                int r = compile(log, patterns[i].parameter, patterns[i].pattern, &regex, &is_set);
                if (is_set)
                        regfree(&regex);
                if (r)
                        result = r;
        }
        return result;
}

static struct text separator_of(const struct imfile_input *settings) {
        if (!settings->escapes_lf)
                return TEXT("\n");
        if (settings->lf_replacement)
                return text_of(settings->lf_replacement);
        bool has_regex = settings->start_regex || settings->end_regex;
        return has_regex ? TEXT("\\n") : TEXT("#012");
}

/* What is longer than maxMessageSize is more than a start to be cut: it is split, accepted or kept elsewhere. */
static bool needs_whole_messages(const struct host_facts *facts) {
        return facts->oversize_mode != OVERSIZE_TRUNCATE || facts->oversize_error_file;
}

int feed_init(struct feed *feed, const struct imfile_input *settings, const struct input_host *host) {
        *feed = (struct feed){
                .settings = settings,
                .log = host->log,
                .facts = host->facts,
                .counters = host->counters,
                .message_bytes_max = (size_t)host->facts->message_bytes_max,
                .adds_metadata = settings->adds_metadata,
                .separator = separator_of(settings),
                .is_plain = !settings->start_regex && !settings->end_regex && settings->read_mode == 0 &&
                            !settings->adds_cee_tag && !needs_whole_messages(host->facts),
                .batch_records_max = (uint32_t)MIN(settings->submit_at_once_max, (int64_t)BATCH_RECORDS_MAX),
        };
        feed->whole_bytes_max = feed->message_bytes_max;
        if (needs_whole_messages(host->facts))
                feed->whole_bytes_max = MAX(feed->message_bytes_max, (size_t)OVERSIZE_BYTES_MAX);
        feed->stencil_bytes = strlen(settings->tag) + strlen(host->facts->host_name);
        if (host->intake) {
                /* A file waits for as long as it takes; to go on reading into a full queue would lose its lines. */
                feed->intake = host->intake[0];
                feed->intake->flow = FLOW_FULL;
        }
        if (settings->delay_us) {
                int64_t a_moment = MAX(DELAYED_TOGETHER_US / settings->delay_us, INT64_C(1));
                feed->batch_records_max = (uint32_t)MIN(a_moment, (int64_t)feed->batch_records_max);
        }
        int r = compile(feed->log, "startmsg.regex", settings->start_regex, &feed->start, &feed->has_start);
        if (r == 0)
                r = compile(feed->log, "endmsg.regex", settings->end_regex, &feed->end, &feed->has_end);
        if (r == 0) {
                /* Without a sender: fromhost is empty, and the records name this machine themselves. */
                feed->source = source_new_local("imfile", "", "");
                if (!feed->source)
                        r = fail(-ENOMEM);
        }
        if (r)
                feed_fini(feed);
        return pass(r);
}

void feed_fini(struct feed *feed) {
        if (feed->has_start)
                regfree(&feed->start);
        if (feed->has_end)
                regfree(&feed->end);
        feed->source = source_unref(feed->source);
        buffer_fini(&feed->scratch);
}

static void count(struct feed *feed, enum imfile_counter counter, uint64_t n) {
        if (feed->counters && n)
                counter_add(&feed->counters[counter], n);
}

static bool matches(const regex_t *regex, struct text line) {
        regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)line.size};
        return regexec(regex, line.data, 1, &whole, REG_STARTEND) == 0;
}

/* Whether the user's limit for a minute lets one more message pass. */
static bool is_within_minute(struct feed *feed, size_t bytes) {
        const struct imfile_input *s = feed->settings;
        if (LIKELY(!s->minute_lines_max && !s->minute_bytes_max))
                return true;
        int64_t now_ns = clock_mono_coarse_ns();
        if (feed->minute_ns == 0 || now_ns - feed->minute_ns >= 60 * INT64_C(1000000000)) {
                feed->minute_ns = now_ns;
                feed->minute_lines = feed->minute_bytes = 0;
        }
        bool is_over = (s->minute_lines_max && feed->minute_lines + 1 > s->minute_lines_max) ||
                       (s->minute_bytes_max && feed->minute_bytes + (int64_t)bytes > s->minute_bytes_max);
        if (is_over) {
                count(feed, IMFILE_DISCARDED, 1);
                return false;
        }
        feed->minute_lines++;
        feed->minute_bytes += (int64_t)bytes;
        return true;
}

static void note_too_long(struct feed *feed, size_t size, struct text message) {
        if (feed->facts->oversize_mode == OVERSIZE_TRUNCATE)
                count(feed, IMFILE_TRUNCATED, 1);
        oversize_note(feed->facts, feed->log, "imfile", size, message);
}

/* ---- Records ------------------------------------------------------------ */

/*
 * What all records of one read have in common, stored in the batch that is being filled. Storing takes
 * the place behind the bytes that are kept, so it never happens between a reservation and its use.
 */
static void cut_stencil(struct tail *t) {
        struct feed *feed = t->feed;
        struct batch *b = feed->intake->batch;
        struct stencil *stencil = &t->stencil;
        stencil->is_cut = true;
        stencil->tag = batch_store(b, text_of(feed->settings->tag));
        stencil->host = batch_store(b, text_of(feed->facts->host_name));
        stencil->now_us = clock_wall_us();
        stencil->now = stamp_of_wall(stencil->now_us);
        stencil->room_count = 0;
        stencil->file = feed->adds_metadata ? json_string(&b->arena, text_of(t->path)) : NULL;
}

/* {"metadata": {"filename": ..., "fileoffset": "..."}} of one record, but for the file's name, which all share. */
struct metadata {
        struct json root, metadata, offset;
        struct json_member root_member, name_member, offset_member;
        char digits[24];
};

/*
 * Room for those of all records that may follow in this read, in one piece: what a batch's arena takes
 * first it keeps for its next use. Measured with 100-byte lines: 5.5 million a second one by one, 16 million so.
 */
static struct metadata *metadata_room(struct tail *t) {
        struct feed *feed = t->feed;
        struct stencil *stencil = &t->stencil;
        if (stencil->room_count == 0) {
                struct batch *b = feed->intake->batch;
                size_t records = feed->batch_records_max - MIN(b->count, feed->batch_records_max) + 1;
                size_t lines = (size_t)MAX(t->facts.size - t->next, INT64_C(0)) / (t->line_bytes + 1) + 1;
                stencil->room_count = (uint32_t)MIN(records, lines);
                stencil->room = arena_alloc(&b->arena, stencil->room_count * sizeof(struct metadata));
                if (!stencil->room) {
                        stencil->room_count = 0;
                        return NULL;
                }
        }
        stencil->room_count--;
        return stencil->room++;
}

static struct json *metadata_new(struct tail *t, int64_t offset) {
        struct metadata *m = metadata_room(t);
        if (!m)
                return NULL;
        char digits[24];
        size_t at = sizeof digits;
        uint64_t rest = (uint64_t)offset;
        do
                digits[--at] = (char)('0' + rest % 10);
        while (rest /= 10);
        memcpy(m->digits, digits + at, sizeof digits - at);
        m->offset = (struct json){.type = JSON_STRING, .string = {m->digits, sizeof digits - at}};
        m->offset_member = (struct json_member){.name = TEXT("fileoffset"), .value = &m->offset};
        m->name_member =
                (struct json_member){.name = TEXT("filename"), .value = t->stencil.file, .next = &m->offset_member};
        m->metadata = (struct json){.type = JSON_OBJECT, .count = 2};
        m->metadata.first = &m->name_member;
        m->metadata.last = &m->offset_member;
        m->root_member = (struct json_member){.name = TEXT("metadata"), .value = &m->metadata};
        m->root = (struct json){.type = JSON_OBJECT, .count = 1};
        m->root.first = m->root.last = &m->root_member;
        return &m->root;
}

static _hot_ void record_fill(struct tail *t, struct record *r, int64_t offset) {
        struct feed *feed = t->feed;
        const struct stencil *stencil = &t->stencil;
        r->msg = r->raw;
        r->tag = stencil->tag;
        r->host = stencil->host;
        r->reported = stencil->now;
        r->facility = (uint8_t)feed->settings->facility;
        r->severity = (uint8_t)feed->settings->severity;
        /* No parser saw it, and rsyslog's parsesuccess says FAIL then. Parsers look for no host name in lines of a
         * file. */
        r->flags = feed->settings->needs_parse ? RECORD_NO_HOSTNAME : RECORD_IS_PARSED | RECORD_PARSE_FAILED;
        if (stencil->file)
                r->tree[TREE_MESSAGE] = metadata_new(t, offset);
        t->unreported++;
        t->turn_records++;
}

/* Where a restart would have to begin. */
static int64_t safe_offset(const struct tail *t) {
        return t->has_pending ? t->pending_at : t->next;
}

/* The records so far, and the bytes that made none, belong to the batch that holds them. */
void tail_settle(struct tail *t) {
        struct batch *b = t->unreported ? t->feed->intake->batch : NULL;
        bool is_skipping = t->is_skipping && !t->has_pending;
        t->stencil.is_cut = false;
        if (!b && safe_offset(t) == t->reached)
                return;
        count(t->feed, IMFILE_SUBMITTED, t->unreported);
        t->reached = safe_offset(t);
        if (position_reach(t->position, b, safe_offset(t), is_skipping, t->unreported))
                module_report(t->feed->log, SEVERITY_ERR, 0,
                              "imfile: no memory to note the position in %s: lines may be read again after a restart",
                              t->path);
        t->unreported = 0;
}

static bool is_batch_full(const struct feed *feed) {
        const struct batch *b = feed->intake->batch;
        return b && (b->count >= feed->batch_records_max || b->count == b->capacity);
}

/* ---- Plain lines: straight into the batch -------------------------------- */

/* A line in the batch's own bytes. `rest` is how it goes on behind what is taken. */
static _hot_ void add_line(struct tail *t, char *line, size_t size, int64_t offset) {
        struct feed *feed = t->feed;
        size_t trim = (size_t)feed->settings->trim_bytes;
        if (size == 0)
                return;
        if (trim && size > trim) {
                line[trim] = '\n'; /* as rsyslog does: the end of line is kept with what was left */
                size = trim + 1;
        }
        if (UNLIKELY(size > feed->message_bytes_max)) {
                note_too_long(feed, size, (struct text){line, size});
                size = feed->message_bytes_max;
        }
        if (!is_within_minute(feed, size))
                return;
        struct record *r = intake_add(feed->intake, feed->source, line, size, t->stencil.now_us);
        record_fill(t, r, offset);
}

/* How much to ask for: what the batch has records for, judging by the lines so far, and at least one whole line. */
static size_t bytes_wanted(const struct tail *t, size_t room) {
        const struct feed *feed = t->feed;
        size_t records = feed->batch_records_max - feed->intake->batch->count;
        size_t wanted = MAX(records * (t->line_bytes + t->line_bytes / 8 + 1), feed->message_bytes_max + 1);
        return MIN(MIN(room, wanted), (size_t)(t->facts.size - t->next));
}

/* Passes over the rest of a line that was cut. Returns where the next line begins, or size. */
static size_t skip_line(struct tail *t, const char *data, size_t size) {
        const char *lf = memchr(data, '\n', size);
        if (!lf)
                return size;
        t->is_skipping = false;
        return (size_t)(lf - data) + 1;
}

/* The lines in p[0..size); returns how many bytes were used. */
static _hot_ size_t add_lines(struct tail *t, char *p, size_t size) {
        struct feed *feed = t->feed;
        size_t at = t->is_skipping ? skip_line(t, p, size) : 0;
        size_t lines_from = at, lines = 0;
        while (at < size && !is_batch_full(feed)) {
                char *lf = memchr(p + at, '\n', size - at);
                if (!lf)
                        break;
                add_line(t, p + at, (size_t)(lf - (p + at)), t->next + (int64_t)at);
                at = (size_t)(lf - p) + 1;
                lines++;
        }
        if (lines)
                t->line_bytes = (uint32_t)MIN((at - lines_from) / lines, feed->message_bytes_max);
        bool is_cut = at < size && size - at > feed->message_bytes_max && !memchr(p + at, '\n', size - at);
        if (is_cut && !is_batch_full(feed)) {
                add_line(t, p + at, size - at, t->next + (int64_t)at);
                t->is_skipping = true;
                at = size;
        }
        return at;
}

/* One read of plain lines: how many bytes it used, 0 at the end of what can be used, or -errno. */
static ssize_t read_plain(struct tail *t) {
        struct feed *feed = t->feed;
        struct intake *in = feed->intake;
        if (is_batch_full(feed))
                intake_flush(in);
        size_t left = (size_t)(t->facts.size - t->next), room;
        size_t wanted = MIN(left, MAX((size_t)READ_BYTES, feed->message_bytes_max + 1));
        if (!intake_reserve(in, wanted + feed->stencil_bytes, &room))
                return fail(-ENOMEM);
        cut_stencil(t);
        char *p = intake_reserve(in, wanted, &room);
        ssize_t n = file_read_at(t->fd, p, bytes_wanted(t, room), t->next);
        if (n <= 0)
                return pass((int)n);
        size_t used = add_lines(t, p, (size_t)n);
        if (t->unreported)
                intake_keep(in, p + used);
        t->next += (int64_t)used;
        tail_settle(t);
        return (ssize_t)used;
}

/* ---- Messages that are put together ------------------------------------- */

/* Copies a record's bytes into the batch, turning to the next batch where this one has no room. */
static void add_copy(struct tail *t, struct text prefix, struct text message, int64_t offset) {
        struct feed *feed = t->feed;
        struct intake *in = feed->intake;
        size_t size = prefix.size + message.size, room;
        if (!is_within_minute(feed, size))
                return;
        bool fits = !in->batch || in->batch->region_size[0] - in->batch->region_used[0] >= size;
        if (!fits || is_batch_full(feed)) {
                /* The batch goes on its way here, so what it holds of this file has to be promised first. */
                tail_settle(t);
                intake_flush(in);
        }
        char *p = intake_reserve(in, size, &room);
        if (!p) {
                count(feed, IMFILE_DISCARDED, 1);
                return;
        }
        if (prefix.size)
                memcpy(p, prefix.data, prefix.size);
        memcpy(p + prefix.size, message.data, message.size);
        struct record *r = intake_add(in, feed->source, p, size, 0);
        intake_keep(in, p + size);
        if (!t->stencil.is_cut)
                cut_stencil(t);
        r->received_us = t->stencil.now_us;
        record_fill(t, r, offset);
}

/* A whole message, of which `total` bytes came; one that is too long is cut, made several or left as it is. */
static void add_message(struct tail *t, struct text message, size_t total, int64_t offset) {
        struct feed *feed = t->feed;
        struct text prefix = feed->settings->adds_cee_tag ? CEE_COOKIE : TEXT_NONE;
        size_t limit = MAX(feed->message_bytes_max, prefix.size + 1);
        if (message.size == 0)
                return;
        if (LIKELY(prefix.size + total <= limit)) {
                add_copy(t, prefix, message, offset);
                return;
        }
        note_too_long(feed, prefix.size + total, message);
        if (feed->facts->oversize_mode == OVERSIZE_ACCEPT)
                limit = prefix.size + message.size;
        do {
                struct text piece = text_slice(message, 0, limit - prefix.size);
                add_copy(t, prefix, piece, offset);
                message = text_slice(message, piece.size, message.size);
        } while (message.size && feed->facts->oversize_mode == OVERSIZE_SPLIT);
}

void tail_end_message(struct tail *t) {
        if (!t->has_pending)
                return;
        struct feed *feed = t->feed;
        const struct imfile_input *s = feed->settings;
        struct text message = buffer_as_text(&t->pending);
        size_t trim = (size_t)s->trim_bytes;
        bool can_trim = s->read_mode != 1 && !feed->has_start && !feed->has_end;
        bool is_trimmed = can_trim && trim && message.size > trim;
        if (is_trimmed)
                message.size = t->pending.size = t->pending_total = trim;
        /* rsyslog keeps the end of what was trimmed, and of indented messages whose line ends are not escaped. */
        if (is_trimmed || (s->read_mode == 2 && !s->escapes_lf)) {
                buffer_byte(&t->pending, '\n');
                message = buffer_as_text(&t->pending);
                t->pending_total++;
        }
        t->has_pending = false;
        int64_t offset = t->pending_at;
        size_t total = t->pending_total;
        /* Nothing of it is pending, but a promise made on the way must not reach past its start. */
        int64_t next = t->next;
        t->next = offset;
        add_message(t, message, total, offset);
        t->next = next;
        buffer_clear(&t->pending);
        t->pending_total = 0;
}

static void begin_message(struct tail *t, struct text line, int64_t offset) {
        buffer_clear(&t->pending);
        buffer_text(&t->pending, text_slice(line, 0, t->feed->whole_bytes_max));
        t->pending_total = line.size;
        t->pending_at = offset;
        t->has_pending = true;
        t->is_ignoring = false;
}

/* What is kept stays within the longest message; what it would have been is counted. */
static void extend_message(struct tail *t, struct text more) {
        size_t limit = t->feed->whole_bytes_max;
        size_t room = limit - MIN(t->pending.size, limit);
        buffer_text(&t->pending, text_slice(more, 0, room));
        t->pending_total += more.size;
}

/* With a regular expression, a message that grows too long is cut there, and the rest is another, or nothing. */
static void cut_message(struct tail *t, struct text line, int64_t offset) {
        const struct imfile_input *s = t->feed->settings;
        size_t limit = t->feed->message_bytes_max;
        size_t taken = limit - MIN(t->pending_total, limit);
        if (s->reports_truncation)
                module_report(t->feed->log, SEVERITY_ERR, DISCARDING,
                              "imfile error: message received is larger than max msg size; %s",
                              s->discards_truncated ? "rest of message will not be processed"
                                                    : "message will be split and processed as another message");
        extend_message(t, text_slice(line, 0, taken));
        tail_end_message(t);
        if (s->discards_truncated)
                t->is_ignoring = true;
        else
                begin_message(t, text_slice(line, taken, line.size), offset + (int64_t)MIN(taken, line.size));
}

static void join_line(struct tail *t, struct text line, int64_t offset) {
        struct feed *feed = t->feed;
        bool is_bounded = feed->has_start || feed->has_end;
        if (t->is_ignoring)
                return;
        if (!t->has_pending) {
                begin_message(t, line, offset);
                return;
        }
        extend_message(t, feed->separator);
        if (is_bounded && t->pending_total + line.size > feed->message_bytes_max)
                cut_message(t, line, offset);
        else
                extend_message(t, line);
}

static void take_line(struct tail *t, struct text line, int64_t offset) {
        const struct feed *feed = t->feed;
        int64_t mode = feed->settings->read_mode;
        bool is_indented = line.size && (line.data[0] == ' ' || line.data[0] == '\t');
        if (feed->has_start) {
                if (matches(&feed->start, line)) {
                        tail_end_message(t);
                        begin_message(t, line, offset);
                } else
                        join_line(t, line, offset);
        } else if (feed->has_end) {
                join_line(t, line, offset);
                if (matches(&feed->end, line)) {
                        tail_end_message(t);
                        t->is_ignoring = false;
                }
        } else if (mode == 0) {
                begin_message(t, line, offset);
                tail_end_message(t);
        } else if (line.size == 0) {
                tail_end_message(t); /* an empty line ends paragraphs and indented messages alike */
        } else if (mode == 2 && !is_indented) {
                tail_end_message(t);
                begin_message(t, line, offset);
        } else
                join_line(t, line, offset);
}

/* The lines in the scratch buffer; returns how many bytes were used. */
static size_t take_lines(struct tail *t, const char *p, size_t size) {
        struct feed *feed = t->feed;
        size_t at = t->is_skipping ? skip_line(t, p, size) : 0;
        int64_t base = t->next;
        while (at < size) {
                const char *lf = memchr(p + at, '\n', size - at);
                bool is_cut = !lf && size - at > feed->whole_bytes_max;
                if (!lf && !is_cut)
                        break;
                size_t end = lf ? (size_t)(lf - p) : size;
                t->next = base + (int64_t)at;
                take_line(t, (struct text){p + at, end - at}, t->next);
                t->is_skipping = is_cut;
                at = lf ? end + 1 : size;
        }
        t->next = base + (int64_t)at;
        return at;
}

/* As read_plain(). */
static ssize_t read_assembled(struct tail *t) {
        struct feed *feed = t->feed;
        size_t wanted = MAX((size_t)READ_BYTES, feed->message_bytes_max + 1), used;
        ssize_t n;
        /* Of a line that does not end within what was read, more is read, up to the longest. */
        for (;; wanted = MIN(wanted * 2, feed->whole_bytes_max + 1)) {
                buffer_clear(&feed->scratch);
                if (!buffer_reserve(&feed->scratch, wanted))
                        return fail(-ENOMEM);
                n = file_read_at(t->fd, feed->scratch.data, wanted, t->next);
                if (n <= 0)
                        return pass((int)n);
                used = take_lines(t, feed->scratch.data, (size_t)n);
                if (used || (size_t)n < wanted || wanted > feed->whole_bytes_max)
                        break;
        }
        if (used && t->has_pending)
                t->pending_ns = clock_mono_ns();
        if (buffer_failed(&t->pending))
                module_report(feed->log, SEVERITY_ERR, 0, "imfile: no memory for a message of several lines of %s",
                              t->path);
        tail_settle(t);
        return (ssize_t)used;
}

/* ---- Turns -------------------------------------------------------------- */

void tail_init(struct tail *t, struct feed *feed, char *path, int fd) {
        *t = (struct tail){.feed = feed, .path = path, .fd = fd, .line_bytes = LINE_BYTES_GUESSED, .looked_at = -1};
}

void tail_fini(struct tail *t) {
        t->fd = file_close(t->fd);
        t->position = position_unref(t->position);
        buffer_fini(&t->pending);
        free(t->path);
        t->path = NULL;
}

/* The file was cut short: another one begins in its place. */
static void begin_again(struct tail *t) {
        tail_end_message(t);
        t->next = 0;
        t->looked_at = -1;
        t->is_skipping = t->is_ignoring = false;
        t->identity.head_bytes = 0;
        tail_settle(t);
}

/* As long as the file is short, the hash of its head grows with it. */
static void identify(struct tail *t) {
        if (t->identity.head_bytes >= HEAD_BYTES_MAX || t->facts.size == (int64_t)t->identity.head_bytes)
                return;
        if (identity_read(&t->identity, t->fd, &t->facts) == 0)
                position_identify(t->position, &t->identity);
}

int tail_turn(struct tail *t) {
        int r = file_facts(&t->facts, t->fd);
        if (r)
                return pass(r);
        if (t->facts.size < t->next)
                begin_again(t);
        identify(t);
        t->turn_records = 0;
        int64_t until = t->next + TURN_BYTES;
        while (t->next < t->facts.size && t->facts.size != t->looked_at) {
                if (t->next >= until)
                        return TAIL_HAS_MORE;
                int64_t size = t->facts.size;
                ssize_t used = t->feed->is_plain ? read_plain(t) : read_assembled(t);
                if (used < 0)
                        return pass((int)used);
                count(t->feed, IMFILE_BYTES, (uint64_t)used);
                if (used == 0)
                        t->looked_at = size;
                else if (t->feed->settings->delay_us)
                        return TAIL_HAS_MORE;
        }
        return t->facts.links == 0 ? TAIL_IS_GONE : TAIL_AT_END;
}

/* A last line without its end. */
static void finish_line(struct tail *t) {
        struct feed *feed = t->feed;
        size_t left = (size_t)MAX(t->facts.size - t->next, (int64_t)0);
        if (t->is_skipping || left == 0)
                return;
        buffer_clear(&feed->scratch);
        size_t wanted = MIN(left, feed->message_bytes_max + 1);
        if (!buffer_reserve(&feed->scratch, wanted))
                return;
        ssize_t n = file_read_at(t->fd, feed->scratch.data, wanted, t->next);
        if (n <= 0)
                return;
        take_line(t, (struct text){feed->scratch.data, (size_t)n}, t->next);
        t->next += n;
}

void tail_finish(struct tail *t) {
        finish_line(t);
        tail_end_message(t);
        tail_settle(t);
}
