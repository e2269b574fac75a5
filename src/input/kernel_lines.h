/*
 * What imklog and imkmsg share: a descriptor of the kernel's log that is read when
 * it is ready, their rate limit, and the time base of kernel timestamps.
 *
 *   CLOSED  -> OPEN      kernel_reader_open()
 *   OPEN    -> READING   kernel_reader_start()
 *   READING -> ENDED     the log ended or failed; a plain file stands in for it
 *   (any)   -> CLOSED    kernel_reader_stop()
 *
 * A plain file cannot be waited for; it is read in steps from a timer instead.
 * One loop thread.
 */
#pragma once

#include "io/loop.h"
#include "message/ratelimit.h"
#include "module/module.h"

enum { KERNEL_READ_BYTES = 16 << 10, KERNEL_READS_A_ROUND = 16 };

struct kernel_reader {
        struct loop *loop;
        struct watch watch;
        struct timer step; /* instead of the watch, for a plain file */
        /* Given what one read() returned, `size` bytes. With size 0 the log has ended (error 0) or failed. */
        void (*take)(struct kernel_reader *reader, const char *bytes, size_t size, int error);
        /* Nothing waits any more; may be NULL. */
        void (*idle)(struct kernel_reader *reader);
        char bytes[KERNEL_READ_BYTES];
};

int kernel_reader_open(struct kernel_reader *reader, struct loop *loop, const char *path, bool skips_old);
int kernel_reader_start(struct kernel_reader *reader);
void kernel_reader_stop(struct kernel_reader *reader);

/* Whether the limit of the module lets the line pass; says when that begins and what it cost. */
bool kernel_limit_passes(struct ratelimit *limit, const struct input_host *host, struct source *source,
                         struct text line, unsigned severity, const char *module);

/* The wall clock at which the kernel's own clock was 0. */
int64_t kernel_boot_us(void);
