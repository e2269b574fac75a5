#include "io/kernel_log.h"

#include <errno.h>
#include <sys/klog.h>
#include <unistd.h>

#include "base/fail.h"
#include "io/file.h"

/* Commands of syslog(2), which no header names. */
enum { KLOG_CONSOLE_ON = 7, KLOG_CONSOLE_LEVEL = 8 };

int kernel_log_open(int *ret, const char *path, bool skips_old) {
        int fd;
        int r = file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        if (r)
                return pass(r);
        if (skips_old && lseek(fd, 0, SEEK_END) < 0 && errno != ESPIPE) {
                r = fail(-errno);
                file_close(fd);
                return r;
        }
        *ret = fd;
        return 0;
}

int kernel_log_set_console(int level) {
        int r = level > 0 ? klogctl(KLOG_CONSOLE_LEVEL, NULL, level) : klogctl(KLOG_CONSOLE_ON, NULL, 0);
        return r < 0 ? fail(-errno) : 0;
}
