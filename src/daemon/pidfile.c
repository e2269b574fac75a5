#include "daemon/pidfile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fail.h"
#include "io/file.h"

enum { PIDFILE_BYTES_MAX = 64 };

pid_t pidfile_holder(const char *path) {
        _owned_(buffer_fini) struct buffer content = {0};
        int64_t pid;
        if (file_read_whole(path, PIDFILE_BYTES_MAX, &content) ||
            text_to_int(text_trim(buffer_as_text(&content)), &pid))
                return 0;
        if (pid <= 1 || pid == getpid())
                return 0;
        return kill((pid_t)pid, 0) == 0 || errno == EPERM ? (pid_t)pid : 0;
}

int pidfile_write(const char *path) {
        char pid[16];
        int size = snprintf(pid, sizeof pid, "%d", (int)getpid());
        int r = file_replace(path, (struct text){pid, (size_t)size}, 0644);
        return r ? pass(r) : 0;
}

void pidfile_remove(const char *path) {
        unlink(path);
}
