#include "input/imfile_follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"

enum { NANOSECONDS = 1000000000, ACCESS = 2046 /* rsyslog's number */ };

/* ---- Whose turn it is --------------------------------------------------- */

static void wake(struct followed *one) {
        struct follow_shared *shared = one->follow->shared;
        if (one->is_ready || shared->is_stopped)
                return;
        one->is_ready = true;
        one->next_ready = NULL;
        *shared->ready_end = one;
        shared->ready_end = &one->next_ready;
        /* A moment later than now, so that the loop looks at its descriptors in between. */
        if (shared->turns.slot == 0)
                loop_arm(shared->loop, &shared->turns, clock_mono_ns() + 1);
}

void follow_wake_all(struct follow *f) {
        for (struct followed *one = f->all; one; one = one->next)
                wake(one);
}

static void on_pause_over(struct timer *timer) {
        wake(CONTAINER_OF(timer, struct followed, pause));
}

static int64_t timeout_ns(const struct follow *f) {
        const struct imfile_input *s = f->feed.settings;
        if (s->read_timeout_s <= 0 || (!f->feed.has_start && !f->feed.has_end))
                return 0;
        return MAX(s->read_timeout_s, f->shared->settings->timeout_granularity_s) * NANOSECONDS;
}

static void on_message_over(struct timer *timer) {
        struct followed *one = CONTAINER_OF(timer, struct followed, over);
        int64_t due_ns = one->tail.pending_ns + timeout_ns(one->follow);
        if (due_ns > clock_mono_ns()) {
                loop_arm(one->follow->shared->loop, timer, due_ns);
                return;
        }
        tail_end_message(&one->tail);
        tail_settle(&one->tail);
}

static void await_message(struct followed *one) {
        struct loop *loop = one->follow->shared->loop;
        int64_t timeout = timeout_ns(one->follow);
        if (timeout && one->tail.has_pending)
                loop_arm(loop, &one->over, one->tail.pending_ns + timeout);
        else
                loop_disarm(loop, &one->over);
}

/* ---- Lists -------------------------------------------------------------- */

static struct followed **inode_bucket(struct follow *f, uint64_t inode) {
        return &f->by_inode[inode % FOLLOW_BUCKETS];
}
static struct followed **name_bucket(struct follow *f, const char *path) {
        return &f->by_name[state_hash(path, strlen(path)) % FOLLOW_BUCKETS];
}

static struct followed *find_inode(struct follow *f, const struct file_facts *facts) {
        for (struct followed *one = *inode_bucket(f, facts->inode); one; one = one->next_inode)
                if (one->tail.facts.inode == facts->inode && one->tail.facts.device == facts->device &&
                    !one->is_retired)
                        return one;
        return NULL;
}

static struct followed *find_name(struct follow *f, const char *path) {
        for (struct followed *one = *name_bucket(f, path); one; one = one->next_name)
                if (strcmp(one->tail.path, path) == 0)
                        return one;
        return NULL;
}

static void add_name(struct followed *one) {
        struct followed **head = name_bucket(one->follow, one->tail.path);
        one->next_name = *head;
        *head = one;
        one->is_named = true;
}

static void remove_name(struct followed *one) {
        if (!one->is_named)
                return;
        struct followed **at = name_bucket(one->follow, one->tail.path);
        while (*at != one)
                at = &(*at)->next_name;
        *at = one->next_name;
        one->is_named = false;
}

static void add(struct follow *f, struct followed *one) {
        struct followed **head = inode_bucket(f, one->tail.facts.inode);
        one->next_inode = *head;
        *head = one;
        one->previous = NULL;
        one->next = f->all;
        if (f->all)
                f->all->previous = one;
        f->all = one;
}

static void remove_from_lists(struct followed *one) {
        struct follow *f = one->follow;
        struct followed **at = inode_bucket(f, one->tail.facts.inode);
        while (*at != one)
                at = &(*at)->next_inode;
        *at = one->next_inode;
        remove_name(one);
        if (one->previous)
                one->previous->next = one->next;
        else
                f->all = one->next;
        if (one->next)
                one->next->previous = one->previous;
        if (one->successor)
                one->successor->rotated = NULL;
        if (one->rotated)
                one->rotated->successor = NULL;
}

static void succeed(struct followed *one, struct followed *before) {
        one->rotated = before;
        if (before)
                before->successor = one;
}

static struct followed *followed_free(struct followed *one) {
        if (one)
                tail_fini(&one->tail);
        free(one);
        return NULL;
}
OWNED_POINTER(struct followed, followed_free);

/* Not while it stands in the list of those whose turn it is. */
static void drop(struct followed *one) {
        struct follow_shared *shared = one->follow->shared;
        assert(!one->is_ready);
        loop_disarm(shared->loop, &one->pause);
        loop_disarm(shared->loop, &one->over);
        watches_remove(&shared->watches, &one->interest);
        remove_from_lists(one);
        if (one->tail.position)
                position_stop(one->tail.position);
        followed_free(one);
}

/* ---- Turns -------------------------------------------------------------- */

static void end_of(struct followed *one, bool is_deleted) {
        const struct imfile_input *s = one->follow->feed.settings;
        tail_finish(&one->tail);
        bool is_forgotten = is_deleted ? s->deletes_state_on_delete : !one->is_named;
        if (is_forgotten)
                position_forget(one->tail.position);
        else
                position_write(one->tail.position);
        drop(one);
}

/* The successor has begun to grow, so what the rotated file left unfinished will not be finished. */
static void conclude_rotated(struct followed *one) {
        if (one->rotated && one->tail.turn_records)
                tail_finish(&one->rotated->tail);
}

static bool is_too_old(const struct follow *f, const struct file_facts *facts) {
        int64_t age_s = f->feed.settings->ignored_age_s;
        return age_s && clock_wall_coarse_us() - facts->modified_us > age_s * 1000000;
}

/* Whether an old file was written to after all. One that was deleted is let go. */
static bool awakes(struct followed *one) {
        struct file_facts facts;
        if (file_facts(&facts, one->tail.fd))
                return false;
        if (facts.links == 0) {
                position_forget(one->tail.position);
                drop(one);
                return false;
        }
        one->is_sleeping = is_too_old(one->follow, &facts);
        return !one->is_sleeping;
}

static void take_turn(struct followed *one) {
        struct follow *f = one->follow;
        if (one->is_sleeping && !awakes(one))
                return;
        if (one->rotated && one->rotated->is_ready) {
                wake(one); /* behind the file before it */
                return;
        }
        int r = tail_turn(&one->tail);
        int64_t delay_us = f->feed.settings->delay_us * one->tail.turn_records;
        conclude_rotated(one);
        if (r < 0) {
                module_report(f->shared->log, SEVERITY_ERR, ACCESS, "imfile: error reading file '%s': %s",
                              one->tail.path, fail_text(r));
                position_write(one->tail.position);
                drop(one);
        } else if (r == TAIL_IS_GONE)
                end_of(one, true);
        else if (r == TAIL_AT_END && one->is_retired)
                end_of(one, false);
        else if (r == TAIL_HAS_MORE && delay_us)
                loop_arm(f->shared->loop, &one->pause, clock_mono_ns() + delay_us * 1000);
        else if (r == TAIL_HAS_MORE)
                wake(one);
        else
                await_message(one);
}

/* One turn for each that wants one; those that want another wait for the next round. */
static void on_turns(struct timer *timer) {
        struct follow_shared *shared = CONTAINER_OF(timer, struct follow_shared, turns);
        struct followed *one = TAKE(shared->ready);
        shared->ready_end = &shared->ready;
        while (one) {
                struct followed *next = one->next_ready;
                one->is_ready = false;
                take_turn(one);
                one = next;
        }
}

static void on_file_event(struct interest *interest, uint32_t events _unused_, const char *name _unused_) {
        wake(CONTAINER_OF(interest, struct followed, interest));
}

/* ---- Opening ------------------------------------------------------------ */

static bool is_state_taken(const struct follow_shared *shared, const char *name, uint64_t inode) {
        for (struct follow *f = shared->follows; f; f = f->next)
                for (const struct followed *one = *inode_bucket(f, inode); one; one = one->next_inode)
                        if (strcmp(one->state_name, name) == 0)
                                return true;
        return false;
}

/* Where reading begins: what the state file says (true), or the beginning, or the end of what was there before us. */
static bool restore(struct followed *one, struct state *state, char obsolete[static STATE_NAME_BYTES_MAX]) {
        struct follow *f = one->follow;
        struct tail *t = &one->tail;
        const struct imfile_input *s = f->feed.settings;
        struct state_query query = {.path = t->path,
                                    .fd = t->fd,
                                    .facts = &t->facts,
                                    .fixed_name = one->was_rotated ? NULL : s->state_file,
                                    .key = f->key};
        char found[STATE_NAME_BYTES_MAX] = "";
        bool is_known = state_store_find(&f->shared->store, &query, state, found) == 0;
        if (is_known) {
                t->next = state->offset;
                t->is_skipping = state->is_skipping;
                if (state->pending.size) {
                        t->pending = state->pending;
                        state->pending = (struct buffer){0};
                        t->pending_total = t->pending.size;
                        t->pending_at = t->next;
                        t->has_pending = true;
                }
        } else if (s->starts_at_tail && f->is_initial) {
                t->next = t->facts.size;
        }
        if (s->state_file && !one->was_rotated) {
                snprintf(one->state_name, sizeof one->state_name, "%s", s->state_file);
        } else if (is_known && state->is_ours && !is_state_taken(f->shared, found, t->facts.inode)) {
                snprintf(one->state_name, sizeof one->state_name, "%s", found);
        } else {
                state_name(one->state_name, t->facts.inode, f->key, false);
                if (is_state_taken(f->shared, one->state_name, t->facts.inode))
                        state_name(one->state_name, t->facts.inode, f->key, true);
                if (is_known && !state->is_ours && strcmp(found, one->state_name) != 0)
                        snprintf(obsolete, STATE_NAME_BYTES_MAX, "%s", found);
        }
        return is_known;
}

static int give_position(struct followed *one) {
        struct follow *f = one->follow;
        struct tail *t = &one->tail;
        const struct imfile_input *s = f->feed.settings;
        _owned_(state_fini) struct state state = {0};
        char obsolete[STATE_NAME_BYTES_MAX] = "";
        bool is_known = restore(one, &state, obsolete);
        free(state.path);
        state.path = strdup(t->path);
        if (!state.path)
                return fail(-ENOMEM);
        state.identity = t->identity;
        state.offset = t->next;
        struct position_settings settings = {
                .directory = f->shared->store.directory,
                .name = one->state_name,
                .obsolete = *obsolete ? obsolete : NULL,
                .line_interval = s->persist_interval,
                .after_batch = s->persists_after_submission,
                .is_new = !is_known && s->starts_at_tail,
                .loop = f->shared->loop,
        };
        t->reached = t->next;
        return pass(position_new(&t->position, &settings, &state));
}

static void watch_file(struct followed *one) {
        struct follow *f = one->follow;
        if (f->shared->watches.watch.fd < 0 || f->needs_polls)
                return;
        /* By descriptor: the name may lead elsewhere by now. */
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", one->tail.fd);
        int r = watches_add(&f->shared->watches, &one->interest, path, IN_MODIFY | IN_ATTRIB);
        if (r == 0)
                return;
        f->needs_polls = true;
        module_report(f->shared->log, SEVERITY_WARNING, 0,
                      "imfile: cannot watch file '%s': %s. Files of this input are polled every %lld seconds instead; "
                      "raise fs.inotify.max_user_watches (or maxiNotifyWatches) to have them watched",
                      one->tail.path, fail_text(r), (long long)f->shared->settings->fallback_interval_s);
}

/* `named` as the input wants it called, `path` where it is: the same, unless it was rotated. */
static int followed_open(struct followed **ret, struct follow *f, const char *path, const char *named) {
        _owned_(followed_free) struct followed *one = calloc(1, sizeof *one);
        if (!one)
                return fail(-ENOMEM);
        one->follow = f;
        one->interest = (struct interest){.event = on_file_event, .number = -1};
        one->pause.fire = on_pause_over;
        one->over.fire = on_message_over;
        one->was_rotated = path != named;
        tail_init(&one->tail, &f->feed, strdup(named), -1);
        if (!one->tail.path)
                return fail(-ENOMEM);
        /* What was a regular file a moment ago may be a pipe now: do not wait for its writer. */
        int r = file_open(&one->tail.fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        if (r == 0)
                r = file_facts(&one->tail.facts, one->tail.fd);
        if (r == 0 && one->tail.facts.kind != FILE_IS_REGULAR)
                r = fail(-EINVAL);
        if (r == 0)
                r = identity_read(&one->tail.identity, one->tail.fd, &one->tail.facts);
        if (r == 0)
                r = give_position(one);
        if (r)
                return pass(r);
        add(f, one);
        *ret = TAKE(one);
        return 0;
}

/* ---- Names and files ---------------------------------------------------- */

static void retire(struct followed *one) {
        if (!one)
                return;
        one->is_retired = true;
        wake(one);
}

/* The state file of a fixed name belongs to whoever has the file's name. */
static void leave_fixed_state(struct followed *one) {
        struct follow *f = one->follow;
        state_name(one->state_name, one->tail.facts.inode, f->key, true);
        position_move(one->tail.position, f->shared->store.directory, one->state_name);
}

/* The name leads elsewhere now. */
static void part(struct followed *one) {
        const struct follow *f = one->follow;
        remove_name(one);
        one->was_rotated = true;
        if (one->rotated) {
                one->rotated->successor = NULL;
                retire(one->rotated);
                one->rotated = NULL;
        }
        if (f->feed.settings->state_file)
                leave_fixed_state(one);
        if (f->feed.settings->deletes_state_on_move)
                position_forget(one->tail.position);
        wake(one);
}

static bool leads_to(const char *path, const struct file_facts *facts) {
        struct file_facts now;
        return file_facts_of_path(&now, path) == 0 && now.inode == facts->inode && now.device == facts->device;
}

static void rename_to(struct followed *one, const char *path) {
        char *copy = strdup(path);
        if (!copy || position_rename(one->tail.position, path)) {
                free(copy);
                return;
        }
        remove_name(one);
        free(one->tail.path);
        one->tail.path = copy;
        add_name(one);
        wake(one);
}

static void follow_new(struct follow *f, const char *path, const struct file_facts *facts, struct followed *before) {
        struct followed *one;
        int r = followed_open(&one, f, path, path);
        if (r == -ENOENT)
                return;
        if (r) {
                module_report(f->shared->log, SEVERITY_ERR, ACCESS, "imfile: error accessing file '%s': %s", path,
                              fail_text(r));
                return;
        }
        one->is_sleeping = is_too_old(f, facts);
        succeed(one, before);
        add_name(one);
        watch_file(one);
        wake(one);
}

void follow_consider(struct follow *f, const char *path) {
        struct file_facts facts;
        if (file_facts_of_path(&facts, path))
                return;
        if (facts.kind != FILE_IS_REGULAR) {
                if (f->is_initial)
                        module_report(f->shared->log, SEVERITY_WARNING, 0,
                                      "imfile: '%s' is neither a regular file nor a link to one - ignored", path);
                return;
        }
        struct followed *before = find_name(f, path), *known = find_inode(f, &facts);
        if (known && known == before) {
                wake(known);
                return;
        }
        /* A second name for a file that still has its first: it is read once. */
        if (known && known->is_named && leads_to(known->tail.path, &facts)) {
                if (before)
                        part(before);
                return;
        }
        if (before)
                part(before);
        if (known)
                rename_to(known, path);
        else
                follow_new(f, path, &facts, before);
}

void follow_depart(struct follow *f, const char *path) {
        struct followed *one = find_name(f, path);
        if (!one)
                return;
        if (f->feed.settings->deletes_state_on_move && !leads_to(path, &one->tail.facts))
                position_forget(one->tail.position);
        /* It keeps its name until that leads to another file, so that a rotation is seen as one. */
        wake(one);
}

/* ---- Rotation while we were down ----------------------------------------- */

struct lost_file {
        const struct state *state;
        const char *directory;
        const char *base; /* the name it had */
        char path[FILE_PATH_BYTES_MAX];
};

static int find_lost(void *context, const char *name) {
        struct lost_file *lost = context;
        if (!text_starts(text_of(name), text_of(lost->base)))
                return 0;
        int size = snprintf(lost->path, sizeof lost->path, "%s/%s", lost->directory, name);
        if (size < 0 || (size_t)size >= sizeof lost->path)
                return 0;
        struct file_facts facts;
        if (file_facts_of_path(&facts, lost->path) || facts.kind != FILE_IS_REGULAR ||
            facts.inode != lost->state->identity.inode || facts.size < lost->state->offset)
                return 0;
        if (!lost->state->is_ours)
                return 1;
        _owned_(descriptor_close) int fd = -1;
        return file_open(&fd, lost->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0) == 0 &&
               identity_holds(&lost->state->identity, fd);
}

/* False when no trace of the file is left. */
static bool recover(struct follow *f, const struct state *state) {
        const char *slash = strrchr(state->path, '/');
        if (!slash)
                return false;
        _owned_(memory_free) char *directory = text_copy((struct text){state->path, (size_t)(slash - state->path)});
        if (!directory)
                return true;
        struct lost_file lost = {.state = state, .directory = *directory ? directory : "/", .base = slash + 1};
        if (file_list(lost.directory, find_lost, &lost) != 1)
                return false;
        struct followed *one;
        if (followed_open(&one, f, lost.path, state->path))
                return true;
        /* The name in the state file is the one that was rotated away, so that is what it goes on from. */
        if (one->tail.next < state->offset) {
                one->tail.next = one->tail.reached = state->offset;
                one->tail.is_skipping = state->is_skipping;
        }
        struct followed *successor = find_name(f, state->path);
        if (successor && !successor->rotated)
                succeed(successor, one);
        watch_file(one);
        wake(one);
        return true;
}

/* Whether this state may be about a file that the input has lost sight of. */
static bool is_lost(struct follow *f, const struct state_entry *entry, const struct state *state) {
        char mine[STATE_NAME_BYTES_MAX];
        state_name(mine, entry->inode, f->key, true);
        bool is_of_another = state->is_ours && strchr(entry->name, ':') != strrchr(entry->name, ':') &&
                             strcmp(entry->name, mine) != 0;
        for (const struct followed *one = *inode_bucket(f, entry->inode); one; one = one->next_inode)
                if (one->tail.facts.inode == entry->inode)
                        return false;
        return !is_of_another;
}

void follow_recover(struct follow *f, bool (*is_wanted)(void *context, const char *path), void *context) {
        struct state_store *store = &f->shared->store;
        for (size_t i = 0; i < store->count; i++) {
                struct state_entry *entry = &store->entries[i];
                if (entry->is_used || is_state_taken(f->shared, entry->name, entry->inode))
                        continue;
                _owned_(state_fini) struct state state = {0};
                if (state_store_load(store, entry->name, entry->inode, &state) || !is_wanted(context, state.path) ||
                    !is_lost(f, entry, &state))
                        continue;
                entry->is_used = true;
                if (!recover(f, &state) && state.is_ours && f->feed.settings->deletes_state_on_delete)
                        state_store_remove(store, entry->name);
        }
        _owned_(state_fini) struct state fixed = {0};
        const char *name = f->feed.settings->state_file;
        if (name && state_store_load(store, name, 0, &fixed) == 0 && fixed.is_ours &&
            !find_inode(f, &(struct file_facts){.inode = fixed.identity.inode, .device = fixed.identity.device}))
                recover(f, &fixed);
}

/* ---- Life --------------------------------------------------------------- */

void follow_shared_init(struct follow_shared *shared, const struct input_host *host) {
        *shared = (struct follow_shared){
                .loop = host->loop[0],
                .log = host->log,
                .settings = host->module_settings,
                .facts = host->facts,
                .turns.fire = on_turns,
        };
        shared->watches.watch.fd = -1;
        shared->ready_end = &shared->ready;
}

int follow_init(struct follow *f, struct follow_shared *shared, const struct imfile_input *settings,
                const struct input_host *host) {
        *f = (struct follow){.shared = shared};
        const char *parts[] = {settings->file, settings->tag, settings->ruleset ? settings->ruleset : ""};
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                f->key = f->key * 31 + state_hash(parts[i], strlen(parts[i]));
        int r = feed_init(&f->feed, settings, host);
        if (r)
                return pass(r);
        f->next = shared->follows;
        shared->follows = f;
        return 0;
}

void follow_stop(struct follow *f) {
        for (struct followed *one = f->all; one; one = one->next) {
                loop_disarm(f->shared->loop, &one->pause);
                loop_disarm(f->shared->loop, &one->over);
                int r = position_stop(one->tail.position);
                if (r)
                        module_report(f->shared->log, SEVERITY_ERR, 0,
                                      "imfile: could not persist state file %s/%s: %s - data may be repeated on next "
                                      "startup. Is WorkDirectory set?",
                                      f->shared->store.directory, one->state_name, fail_text(r));
        }
}

void follow_fini(struct follow *f) {
        for (struct follow **at = &f->shared->follows; *at; at = &(*at)->next)
                if (*at == f) {
                        *at = f->next;
                        break;
                }
        while (f->all) {
                struct followed *one = f->all;
                f->all = one->next;
                watches_remove(&f->shared->watches, &one->interest);
                followed_free(one);
        }
        feed_fini(&f->feed);
}
