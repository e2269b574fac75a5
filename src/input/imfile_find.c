#include "input/imfile_find.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"

enum {
        NANOSECONDS = 1000000000,
        NAMES_MAX = 1 << 20, /* in one directory */
        LINKS_MAX = 8,       /* that one name may lead through */
        STARTUP_CODE = 3000, /* rsyslog's number for reports without one */
        DIRECTORY_EVENTS = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR,
};

/*
 * A directory in which part number `depth` of the pattern may appear; or, with `link`, one in which the
 * file may appear that a symbolic link of that name leads to.
 */
struct place {
        struct interest interest;
        struct search *search;
        unsigned depth;
        char *path;
        char *link;
        struct place *next, *previous;
};

static void look_into(struct search *s, const char *directory, unsigned depth);
static void arm_poll(struct search *s);
static void watch_link(struct search *s, const char *path);

/* ---- Patterns ----------------------------------------------------------- */

static bool fits_part(const struct search *s, unsigned depth, const char *name) {
        if (!s->is_wild[depth])
                return strcmp(s->parts[depth], name) == 0;
        return fnmatch(s->parts[depth], name, FNM_PERIOD) == 0;
}

bool search_fits(const struct search *s, const char *path) {
        unsigned depth = 0;
        while (*path) {
                path += strspn(path, "/");
                size_t size = strcspn(path, "/");
                if (size == 0)
                        break;
                char name[NAME_MAX + 1];
                if (size > NAME_MAX || depth == s->count)
                        return false;
                memcpy(name, path, size);
                name[size] = '\0';
                if (!fits_part(s, depth++, name))
                        return false;
                path += size;
        }
        return depth == s->count;
}

/* Absolute, without empty parts and single dots. */
static int set_pattern(struct search *s, const char *file) {
        char directory[FILE_PATH_BYTES_MAX] = "";
        if (*file != '/' && !getcwd(directory, sizeof directory))
                return fail(-errno);
        size_t size = strlen(directory) + strlen(file) + 2;
        if (size > FILE_PATH_BYTES_MAX)
                return fail(-ENAMETOOLONG);
        s->pattern = malloc(size);
        if (!s->pattern)
                return fail(-ENOMEM);
        snprintf(s->pattern, size, "%s/%s", directory, file);
        char *rest = NULL;
        for (char *part = strtok_r(s->pattern, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
                if (strcmp(part, ".") == 0)
                        continue;
                if (s->count == PARTS_MAX)
                        return fail(-ENAMETOOLONG);
                s->is_wild[s->count] = strpbrk(part, "*?[") != NULL;
                s->parts[s->count++] = part;
        }
        return s->count ? 0 : fail(-EINVAL);
}

static bool is_wild(const struct search *s) {
        for (unsigned i = 0; i < s->count; i++)
                if (s->is_wild[i])
                        return true;
        return false;
}

/* ---- Looking ------------------------------------------------------------ */

static bool join(char path[static FILE_PATH_BYTES_MAX], const char *directory, const char *name) {
        int size = snprintf(path, FILE_PATH_BYTES_MAX, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, name);
        return size >= 0 && size < FILE_PATH_BYTES_MAX;
}

static void visit(struct search *s, const char *directory, unsigned depth, const char *name) {
        char path[FILE_PATH_BYTES_MAX];
        if (!join(path, directory, name))
                return;
        if (depth + 1 == s->count) {
                watch_link(s, path);
                follow_consider(&s->follow, path);
                return;
        }
        struct file_facts facts;
        if (file_facts_of_path(&facts, path) == 0 && facts.kind == FILE_IS_DIRECTORY)
                look_into(s, path, depth + 1);
}

struct names {
        const struct search *search;
        unsigned depth;
        char **items;
        size_t count, capacity;
};

static void names_fini(struct names *names) {
        for (size_t i = 0; i < names->count; i++)
                free(names->items[i]);
        free(names->items);
}
OWNED_VALUE(struct names, names_fini);

static int add_name(void *context, const char *name) {
        struct names *names = context;
        if (!fits_part(names->search, names->depth, name))
                return 0;
        if (names->count == NAMES_MAX)
                return fail(-E2BIG);
        if (!ARRAY_ROOM(names->items, names->count, names->capacity, 32))
                return fail(-ENOMEM);
        names->items[names->count] = strdup(name);
        return names->items[names->count] ? (names->count++, 0) : fail(-ENOMEM);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(struct search *s, const char *directory, unsigned depth) {
        _owned_(names_fini) struct names names = {.search = s, .depth = depth};
        int r = file_list(directory, add_name, &names);
        if (r && r != -ENOENT && r != -ENOTDIR)
                module_report(s->shared->log, SEVERITY_ERR, 0, "imfile: error accessing directory '%s': %s", directory,
                              fail_text(r));
        if (s->shared->settings->sorts_files && names.count)
                qsort(names.items, names.count, sizeof *names.items, compare_names);
        for (size_t i = 0; i < names.count; i++)
                visit(s, directory, depth, names.items[i]);
}

/* ---- Watching ----------------------------------------------------------- */

static void place_free(struct place *place) {
        if (place->previous)
                place->previous->next = place->next;
        else if (place->search->places == place)
                place->search->places = place->next;
        if (place->next)
                place->next->previous = place->previous;
        free(place->path);
        free(place->link);
        free(place);
}

/* The link's target is there, or is another file now. */
static void on_link_event(const struct place *place, const char *name) {
        const char *slash = strrchr(place->path, '/');
        if (strcmp(slash + 1, name) != 0)
                return;
        watch_link(place->search, place->link);
        follow_consider(&place->search->follow, place->link);
}

static void on_directory_event(struct interest *interest, uint32_t events, const char *name) {
        struct place *place = CONTAINER_OF(interest, struct place, interest);
        struct search *s = place->search;
        bool appears = events & (IN_CREATE | IN_MOVED_TO);
        if (events & IN_IGNORED) {
                place_free(place);
                return;
        }
        if (*name == '\0' || s->shared->is_stopped)
                return;
        char path[FILE_PATH_BYTES_MAX];
        if (place->link) {
                if (appears)
                        on_link_event(place, name);
        } else if (!fits_part(s, place->depth, name)) {
                return;
        } else if (appears) {
                visit(s, place->path, place->depth, name);
        } else if (place->depth + 1 == s->count && join(path, place->path, name)) {
                follow_depart(&s->follow, path);
        }
        if (s->follow.needs_polls && s->poll.slot == 0)
                arm_poll(s);
}

static bool is_same_place(const struct interest *a, const struct interest *b) {
        if (b->event != on_directory_event)
                return false;
        const struct place *left = CONTAINER_OF(a, struct place, interest);
        const struct place *right = CONTAINER_OF(b, struct place, interest);
        return left->search == right->search && left->depth == right->depth && !left->link == !right->link &&
               strcmp(left->path, right->path) == 0 && (!left->link || strcmp(left->link, right->link) == 0);
}

static void report_unwatched(struct search *s, const char *directory, int r) {
        s->follow.needs_polls = true;
        module_report(s->shared->log, SEVERITY_WARNING, 0,
                      "imfile: cannot watch object '%s': %s. Files of this input are looked for every %lld seconds "
                      "instead; raise fs.inotify.max_user_watches (or maxiNotifyWatches) to have them watched",
                      directory, fail_text(r), (long long)s->shared->settings->fallback_interval_s);
}

/* `path` is what the place is about: the directory itself, or a link's target inside of it. */
static void watch_place(struct search *s, const char *directory, const char *path, unsigned depth, const char *link) {
        struct watches *watches = &s->shared->watches;
        if (watches->watch.fd < 0 || s->follow.needs_polls)
                return;
        struct place *place = calloc(1, sizeof *place);
        if (!place) {
                report_unwatched(s, directory, -ENOMEM);
                return;
        }
        *place = (struct place){.search = s, .depth = depth, .path = strdup(path), .link = link ? strdup(link) : NULL};
        place->interest = (struct interest){.event = on_directory_event, .number = -1};
        int r = place->path && (!link || place->link) ? 0 : fail(-ENOMEM);
        if (r == 0)
                r = watches_add_once(watches, &place->interest, directory, DIRECTORY_EVENTS, is_same_place);
        if (r == 0 && place->interest.number >= 0) {
                place->next = s->places;
                if (s->places)
                        s->places->previous = place;
                s->places = place;
                return;
        }
        free(place->path);
        free(place->link);
        free(place);
        /* Without leave to read a directory, nothing can be found there; one that vanished is none. */
        if (r && r != -ENOENT && r != -ENOTDIR && r != -EACCES)
                report_unwatched(s, directory, r);
}

/* A link's target can be renamed and made anew without any change where the link lies. */
static void watch_link(struct search *s, const char *path) {
        char step[2][FILE_PATH_BYTES_MAX];
        const char *at = path;
        for (int i = 0; i < LINKS_MAX && file_link_target(at, step[i % 2]) == 0; i++) {
                at = step[i % 2];
                const char *slash = strrchr(at, '/');
                char directory[FILE_PATH_BYTES_MAX];
                if (!slash)
                        return;
                int size = MAX((int)(slash - at), 1);
                snprintf(directory, sizeof directory, "%.*s", size, at);
                watch_place(s, directory, at, 0, path);
        }
}

static void look_into(struct search *s, const char *directory, unsigned depth) {
        watch_place(s, directory, directory, depth, NULL);
        if (s->is_wild[depth])
                list(s, directory, depth);
        else
                visit(s, directory, depth, s->parts[depth]);
}

/* ---- Polling ------------------------------------------------------------ */

void search_repeat(struct search *s) {
        look_into(s, "/", 0);
        follow_wake_all(&s->follow);
}

static void arm_poll(struct search *s) {
        const struct imfile_module *module = s->shared->settings;
        bool is_polling = s->shared->watches.watch.fd < 0;
        if (!is_polling && (!s->follow.needs_polls || module->fallback_interval_s == 0))
                return;
        int64_t interval_s = is_polling ? module->polling_interval_s : module->fallback_interval_s;
        loop_arm(s->shared->loop, &s->poll, clock_mono_ns() + interval_s * NANOSECONDS);
}

static void on_poll(struct timer *timer) {
        struct search *s = CONTAINER_OF(timer, struct search, poll);
        search_repeat(s);
        arm_poll(s);
}

/* ---- Life --------------------------------------------------------------- */

int search_new(struct search **ret, struct follow_shared *shared, const struct imfile_input *settings,
               const struct input_host *host) {
        struct search *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        s->shared = shared;
        s->poll.fire = on_poll;
        int r = follow_init(&s->follow, shared, settings, host);
        if (r == 0) {
                r = set_pattern(s, settings->file);
                if (r)
                        follow_fini(&s->follow);
        }
        if (r) {
                module_report(host->log, SEVERITY_ERR, 0, "imfile: cannot monitor '%s': %s", settings->file,
                              fail_text(r));
                free(s->pattern);
                free(s);
                return pass(r);
        }
        *ret = s;
        return 0;
}

struct search *search_free(struct search *s) {
        if (!s)
                return NULL;
        while (s->places) {
                watches_remove(&s->shared->watches, &s->places->interest);
                place_free(s->places);
        }
        follow_fini(&s->follow);
        free(s->pattern);
        free(s);
        return NULL;
}

static bool is_wanted(void *context, const char *path) {
        return search_fits(context, path);
}

void search_start(struct search *s) {
        const struct imfile_input *settings = s->follow.feed.settings;
        s->follow.is_initial = true;
        look_into(s, "/", 0);
        follow_recover(&s->follow, is_wanted, s);
        s->follow.is_initial = false;
        struct file_facts facts;
        int r = is_wild(s) || !settings->reports_missing ? 0 : file_facts_of_path(&facts, settings->file);
        if (r)
                module_report(s->shared->log, SEVERITY_ERR, STARTUP_CODE,
                              "imfile: on startup file '%s' does not exist but is configured in static file monitor - "
                              "this may indicate a misconfiguration. If the file appears at a later time, it will "
                              "automatically be processed. Reason: %s",
                              settings->file, fail_text(r));
        arm_poll(s);
}

void search_stop(struct search *s) {
        loop_disarm(s->shared->loop, &s->poll);
        follow_stop(&s->follow);
}
