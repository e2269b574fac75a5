#include "input/kernel_lines.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "io/file.h"
#include "io/kernel_log.h"
#include "message/batch.h"

enum { CODE_RATE_LIMIT = 2177 };

bool kernel_limit_passes(struct ratelimit *limit, const struct input_host *host, struct source *source,
                         struct text line, unsigned severity, const char *module) {
        uint64_t lost;
        if (severity < ratelimit_severity_min(limit))
                return true;
        struct limited_message message = {.source = source, .raw = line, .flags = RECORD_NO_HOSTNAME};
        bool passes = ratelimit_pass_message(limit, &message, clock_wall_us(), &lost);
        if (lost)
                module_report(host->log, SEVERITY_ERR, CODE_RATE_LIMIT,
                              "%s: %llu messages lost due to rate-limiting (%lld allowed within %lld seconds)", module,
                              (unsigned long long)lost, (long long)limit->burst, (long long)limit->interval_s);
        if (!passes && limit->discarded == 1)
                module_report(host->log, SEVERITY_ERR, CODE_RATE_LIMIT,
                              "%s: begin to drop messages due to rate-limiting", module);
        return passes;
}

int64_t kernel_boot_us(void) {
        return clock_wall_us() - clock_mono_ns() / 1000;
}

/* False when the log has ended. */
static bool read_some(struct kernel_reader *reader) {
        for (unsigned i = 0; i < KERNEL_READS_A_ROUND; i++) {
                ssize_t n = file_read(reader->watch.fd, reader->bytes, sizeof reader->bytes);
                if (n == -EAGAIN) {
                        if (reader->idle)
                                reader->idle(reader);
                        return true;
                }
                if (n == -EPIPE)
                        continue; /* The kernel overwrote what we had not read yet; what it still has comes next. */
                reader->take(reader, reader->bytes, n > 0 ? (size_t)n : 0, n < 0 ? (int)n : 0);
                if (n <= 0)
                        return false;
        }
        return true;
}

static void reader_ready(struct watch *watch, uint32_t events _unused_) {
        struct kernel_reader *reader = CONTAINER_OF(watch, struct kernel_reader, watch);
        if (!read_some(reader))
                loop_unwatch(reader->loop, watch);
}

static void reader_step(struct timer *timer) {
        struct kernel_reader *reader = CONTAINER_OF(timer, struct kernel_reader, step);
        if (read_some(reader))
                loop_arm(reader->loop, timer, clock_mono_ns());
}

int kernel_reader_open(struct kernel_reader *reader, struct loop *loop, const char *path, bool skips_old) {
        reader->loop = loop;
        reader->watch = (struct watch){.fd = -1, .events = EPOLLIN, .ready = reader_ready};
        reader->step = (struct timer){.fire = reader_step};
        return pass(kernel_log_open(&reader->watch.fd, path, skips_old));
}

int kernel_reader_start(struct kernel_reader *reader) {
        int r = loop_watch(reader->loop, &reader->watch);
        return r == -EPERM ? pass(loop_arm(reader->loop, &reader->step, clock_mono_ns())) : pass(r);
}

void kernel_reader_stop(struct kernel_reader *reader) {
        loop_unwatch(reader->loop, &reader->watch);
        loop_disarm(reader->loop, &reader->step);
        reader->watch.fd = file_close(reader->watch.fd);
}
