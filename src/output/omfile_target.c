#include "output/omfile_target.h"

#include <errno.h>

#include "base/fail.h"
#include "output/omfile_rotate.h"
#include "output/row_writer.h"

enum {
        /* As rsyslog numbers these messages. */
        CODE_OPEN = 2433,
        CODE_WRITE = 2027,
        CODE_SIZE_LIMIT = 3000,
};

#define CHECK_INTERVAL_NS INT64_C(1000000000)

void omfile_target_init(struct omfile_target *t, const struct omfile_rules *rules, const char *path) {
        *t = (struct omfile_target){.rules = rules, .path = path};
        output_file_init(&t->file, &rules->file);
}

void omfile_target_fini(struct omfile_target *t) {
        size_t lost = output_file_fini(&t->file);
        if (lost)
                module_report(t->rules->log, 3, CODE_WRITE,
                              "file '%s': %zu bytes that could not be written are lost with the end of this action",
                              t->path, lost);
}

/* ---- Messages ----------------------------------------------------------- */

/* What a user can do about it; "" where the error says it all. */
static const char *advice(int error) {
        switch (error) {
        case -EACCES:
        case -EPERM:
                return " - check owner and mode of the file and of every directory above it, and SELinux or AppArmor; "
                       "the daemon may have dropped privileges ($PrivDropToUser)";
        case -EISDIR:
                return " - a log file must have a name of its own inside that directory";
        case -ENOENT:
                return " - a directory is missing, and createDirs is off";
        case -ENOTDIR:
                return " - a part of the path before the last is not a directory";
        case -ELOOP:
                return " - it is a symbolic link, and followSymlinks is off";
        case -ENXIO:
                return " - it is a FIFO that nobody reads, or a device that is not there";
        case -ENAMETOOLONG:
                return " - a part of the path is longer than the file system takes";
        case -EROFS:
                return " - the file system is mounted read-only";
        case -EMFILE:
                return " - too many files are open; see global(maxOpenFiles) and dynaFileCacheSize";
        default:
                return "";
        }
}

static void tell_open(struct omfile_target *t, int error) {
        if (t->reported == error)
                return;
        t->reported = error;
        if (t->file.lacks_owner)
                module_report(t->rules->log, 3, CODE_OPEN,
                              "file '%s' cannot be given the owner or group that fileOwner, fileGroup, dirOwner and "
                              "dirGroup name: %s - it is not written. Run as root, make the user that the daemon runs "
                              "as ($PrivDropToUser) a member of that group, or set failOnChownFailure=\"off\"",
                              t->path, fail_text(error));
        else
                module_report(t->rules->log, 3, CODE_OPEN, "file '%s': open error: %s%s", t->path, fail_text(error),
                              advice(error));
}

static void tell_write(struct omfile_target *t, int error) {
        if (t->reported == error)
                return;
        t->reported = error;
        module_report(t->rules->log, 3, CODE_WRITE, "file '%s'[%d] write error - OS error: %s", t->path, t->file.fd,
                      fail_text(error));
}

/* ---- Open --------------------------------------------------------------- */

static int open_target(struct omfile_target *t) {
        int r = output_file_open(&t->file, t->path);
        if (r) {
                tell_open(t, r);
                return pass(r);
        }
        t->wants_reopen = false;
        t->written_to = 0;
        if (t->rules->syncs)
                output_file_sync_directory(t->path);
        return 0;
}

/* Somebody removed the file: what is written to it now would be gone with our descriptor. */
static void leave_deleted(struct omfile_target *t) {
        if (output_file_is_linked(&t->file))
                return;
        module_report(t->rules->log, 4, 0, "file '%s' was deleted while open; making it anew", t->path);
        output_file_close(&t->file);
}

/* The command moves the file away, or makes it small; whether it did is seen when it is opened next. */
static void rotate(struct omfile_target *t) {
        const struct omfile_rules *rules = t->rules;
        if (!omfile_target_close(t))
                return;
        if (rules->size_limit_command && *rules->size_limit_command)
                omfile_rotate(rules->log, rules->size_limit_command, rules->passes_file_name ? t->path : NULL);
        t->is_rotated = true;
}

static int check_rotated(struct omfile_target *t) {
        const struct omfile_rules *rules = t->rules;
        t->is_rotated = false;
        if (t->file.size < rules->size_limit)
                return 0;
        if (t->reported != -EFBIG)
                module_report(rules->log, 3, CODE_SIZE_LIMIT,
                              "file size limit cmd for file '%s' did no resolve situation: it still has %lld bytes, "
                              "rotation.sizeLimit is %lld",
                              t->path, (long long)t->file.size, (long long)rules->size_limit);
        t->reported = -EFBIG;
        rotate(t); /* by the next try it may have helped */
        return fail(-EFBIG);
}

int omfile_target_ready(struct omfile_target *t, int64_t now_ns) {
        if (UNLIKELY(t->wants_reopen))
                omfile_target_reopen(t);
        if (output_file_is_open(&t->file) && now_ns - t->checked_ns >= CHECK_INTERVAL_NS) {
                t->checked_ns = now_ns;
                leave_deleted(t);
        }
        if (!output_file_is_open(&t->file)) {
                t->checked_ns = now_ns;
                int r = open_target(t);
                if (r)
                        return pass(r);
        }
        if (UNLIKELY(t->is_rotated)) {
                int r = check_rotated(t);
                if (r)
                        return pass(r);
        }
        t->used_ns = now_ns;
        return 0;
}

/* ---- Rows --------------------------------------------------------------- */

int omfile_target_write(struct omfile_target *t, const struct text *rows, const uint32_t *next, uint32_t first,
                        size_t count, size_t *taken) {
        int r = row_writer_append(&t->file, rows, next, first, count, taken);
        if (r) {
                tell_write(t, r);
                return pass(r);
        }
        t->reported = 0;
        /* What a failing flush leaves behind is held, and goes first next time. */
        if (t->rules->flushes_on_batch_end && output_file_owes(&t->file))
                omfile_target_flush(t);
        if (t->rules->syncs) {
                r = output_file_sync(&t->file);
                if (r) {
                        tell_write(t, r);
                        *taken = 0;
                        return pass(r);
                }
        }
        /* What began at or above the limit ends the file: rsyslog's measure. */
        bool is_full = t->rules->size_limit && t->written_to >= t->rules->size_limit;
        t->written_to = t->file.size;
        if (is_full)
                rotate(t);
        return 0;
}

int omfile_target_flush(struct omfile_target *t) {
        int r = output_file_flush(&t->file);
        if (r) {
                tell_write(t, r);
                return pass(r);
        }
        return 0;
}

void omfile_target_reopen(struct omfile_target *t) {
        t->reported = 0;
        t->wants_reopen = !omfile_target_close(t);
}

bool omfile_target_close(struct omfile_target *t) {
        if (omfile_target_flush(t))
                return false;
        output_file_close(&t->file);
        return true;
}
