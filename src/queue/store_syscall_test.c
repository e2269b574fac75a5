/*
 * The store on a real directory, where each system call it makes fails in turn: with EIO, with ENOSPC, interrupted, or
 * with fewer bytes than were asked for. Whatever failed, what was acknowledged is there afterwards, and more is taken.
 *
 * The linker puts our calls in front of the C library's, for this program alone. Nothing loses power here, so syncs
 * only claim to have been made. The control is a system that lies: writes that never came to lie anywhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/test_place.h"
#include "queue/store_inside.h"

enum { FRAMES = 10, FRAME_SIZE = 1500, CALLS_MAX = 2000 };

/* ---- The system --------------------------------------------------------------------- */

enum way { WAY_ERROR, WAY_SHORT, WAY_LIE };
static struct {
        enum way way;
        int error;
        uint64_t nth, times; /* so many in a row from the nth on */
        uint64_t calls;
} fault;

static bool strikes(void) {
        fault.calls++;
        return fault.nth && fault.calls >= fault.nth && fault.calls < fault.nth + fault.times;
}

/* True: the call fails, and errno says why. */
static bool is_refused(void) {
        if (!strikes() || fault.way != WAY_ERROR)
                return false;
        errno = fault.error;
        return true;
}

/* What waits for nothing is never interrupted. */
static bool is_refused_for_good(void) {
        return is_refused() && errno != EINTR;
}

#define WRAP(type, name, parameters, arguments)                                                                        \
        type __real_##name parameters;                                                                                 \
        type __wrap_##name parameters;                                                                                 \
        type __wrap_##name parameters {                                                                                \
                return is_refused_for_good() ? (type)-1 : __real_##name arguments;                                     \
        }

WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, renameat, (int from, const char *name, int to, const char *new_name), (from, name, to, new_name))
WRAP(int, unlinkat, (int directory, const char *name, int flags), (directory, name, flags))
WRAP(int, statx, (int directory, const char *path, int flags, unsigned mask, struct statx *to),
     (directory, path, flags, mask, to))

int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size) {
        return is_refused() ? -1 : __real_ftruncate64(fd, size);
}

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how) {
        return is_refused() ? -1 : __real_flock(fd, how);
}

int __real_openat64(int directory, const char *name, int flags, ...);
int __wrap_openat64(int directory, const char *name, int flags, ...);
int __wrap_openat64(int directory, const char *name, int flags, ...) {
        va_list arguments;
        va_start(arguments, flags);
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
        va_end(arguments);
        return is_refused() ? -1 : __real_openat64(directory, name, flags, mode);
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd _unused_) {
        return is_refused() ? -1 : 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd _unused_) {
        return is_refused() ? -1 : 0;
}

/* How many bytes the call is made for, where it comes to pass. */
static size_t allowed(bool is_struck, size_t size) {
        return is_struck && fault.way == WAY_SHORT ? (size + 1) / 2 : size;
}

ssize_t __real_pread64(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t offset) {
        bool is_struck = strikes();
        errno = fault.error;
        return is_struck && fault.way == WAY_ERROR ? -1 : __real_pread64(fd, to, allowed(is_struck, size), offset);
}

ssize_t __real_pwrite64(int fd, const void *from, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t size, off_t offset) {
        bool is_struck = strikes();
        if (is_struck && fault.way == WAY_LIE)
                return (ssize_t)size;
        errno = fault.error;
        return is_struck && fault.way == WAY_ERROR ? -1 : __real_pwrite64(fd, from, allowed(is_struck, size), offset);
}

ssize_t __real_getrandom(void *to, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags) {
        bool is_struck = strikes();
        errno = fault.error;
        return is_struck && fault.way == WAY_ERROR ? -1 : __real_getrandom(to, allowed(is_struck, size), flags);
}

/* ---- A life of the store ---------------------------------------------------------------- */

static uint64_t acknowledged, lost;

static void hear_durable(void *owner _unused_, uint64_t lsn) {
        acknowledged = lsn;
}

static void hear_lost(void *owner _unused_, uint64_t lsn _unused_, uint64_t count, const char *why _unused_) {
        lost += count;
}

static void hear_report(struct reporter *reporter _unused_, enum severity severity _unused_, int code _unused_,
                        const char *line _unused_) {
}
static struct reporter ear = {hear_report};

static int open_store(struct store **s) {
        static char path[512];
        snprintf(path, sizeof path, "%s", test_place_path("q.store"));
        struct store_options o = {
                .directory = path,
                .name = "q",
                .is_synced = true,
                .segment_bytes = SEGMENT_BYTES_MIN,
                .durable = hear_durable,
                .lost = hear_lost,
        };
        return store_open_by_hand(s, &o, &ear);
}

static void fill(uint8_t bytes[static FRAME_SIZE], uint64_t lsn) {
        for (size_t i = 0; i < FRAME_SIZE; i++)
                bytes[i] = (uint8_t)(lsn * 37 + i * 11);
}

static int append(struct store *s, uint64_t *lsn) {
        uint8_t bytes[FRAME_SIZE];
        struct store_state state;
        store_state(s, &state);
        fill(bytes, state.next_lsn);
        return store_append(s, bytes, sizeof bytes, 1, lsn);
}

static void live(void) {
        struct store *s;
        if (open_store(&s))
                return;
        for (unsigned i = 0; i < FRAMES; i++) {
                uint64_t lsn;
                append(s, &lsn);
                store_flush_round(s);
                store_keep_round(s, false);
        }
        struct store_frame f;
        if (store_lease(s, &f) == 0) {
                free(f.payload);
                store_complete(s, f.lsn, f.count);
        }
        store_keep_round(s, true);
        store_close(s);
}

/* All but the one message that was done with, each as it was, and none besides that nobody appended. */
static void check_life(void) {
        uint64_t owed = acknowledged, next, lsn;
        struct store *s;
        struct store_frame f;
        struct store_state state;
        uint8_t bytes[FRAME_SIZE];
        int r;

        lost = 0;
        CHECK_INT(open_store(&s), 0);
        store_state(s, &state);
        next = state.mark_lsn;
        CHECK(next <= 2);
        while ((r = store_lease(s, &f)) == 0) {
                fill(bytes, f.lsn);
                bool is_right = f.size == FRAME_SIZE && memcmp(bytes, f.payload, FRAME_SIZE) == 0;
                free(f.payload);
                CHECK(is_right);
                CHECK_INT(f.lsn, next);
                next++;
        }
        CHECK_INT(r, -EAGAIN);
        CHECK(next > owed);
        CHECK_INT(lost, 0);
        CHECK_INT(append(s, &lsn), 0);
        CHECK_INT(store_wait(s, lsn), 0);
        CHECK_INT(store_close(s), 0);
}

/* Short counts are continued and interrupted calls repeated: nobody ever hears of them. */
static bool hurts(enum way way, int error) {
        return way != WAY_SHORT && error != EINTR;
}

/* One life for each call, until one has fewer. How many lives. */
static uint64_t every_call(enum way way, int error, uint64_t times) {
        for (uint64_t nth = 1; nth < CALLS_MAX; nth++) {
                test_place();
                acknowledged = 0;
                fault.way = way;
                fault.error = error;
                fault.times = times;
                fault.calls = 0;
                fault.nth = nth;
                live();
                bool was_reached = fault.calls >= nth;
                fault.nth = 0;
                CHECK(acknowledged == FRAMES || hurts(way, error));
                check_life();
                if (!was_reached)
                        return nth;
        }
        TEST_FAIL("a life of more than %d calls", CALLS_MAX);
}

static void every_call_may_fail(void) {
        uint64_t lives = every_call(WAY_ERROR, EIO, 1) + every_call(WAY_ERROR, ENOSPC, 3);
        printf("# %llu lives\n", (unsigned long long)lives);
}

static void every_call_may_be_interrupted(void) {
        uint64_t lives = every_call(WAY_ERROR, EINTR, 3);
        printf("# %llu lives\n", (unsigned long long)lives);
}

static void every_count_may_be_short(void) {
        uint64_t lives = every_call(WAY_SHORT, 0, 1) + every_call(WAY_SHORT, 0, CALLS_MAX);
        printf("# %llu lives\n", (unsigned long long)lives);
}

/* In a process of its own: the store may also end it by an assertion. */
static void a_system_whose_writes_are_lies_is_found(void) {
        fflush(NULL);
        pid_t child = fork();
        CHECK(child >= 0);
        if (!child) {
                if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr) || setjmp(test_out))
                        _exit(1);
                every_call(WAY_LIE, 0, 1);
                _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status != 0);
}

TEST_MAIN(TEST(every_call_may_fail), TEST(every_call_may_be_interrupted), TEST(every_count_may_be_short),
          TEST(a_system_whose_writes_are_lies_is_found))
