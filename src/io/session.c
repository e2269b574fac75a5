#include "io/session.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utmp.h>

#include "base/fail.h"

enum { RECORDS_MAX = 100000 };

/* A field of a login record: ended by a NUL or by its size. */
static void copy_field(char *to, size_t room, const char *from, size_t size) {
        size_t length = MIN(strnlen(from, size), room - 1);
        memcpy(to, from, length);
        to[length] = '\0';
}

int session_list(const char *path, void (*each)(void *context, const struct session *session), void *context) {
        _owned_(descriptor_close) int fd = open(path ? path : _PATH_UTMP, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(-errno);
        struct utmp record;
        for (int i = 0; i < RECORDS_MAX; i++) {
                ssize_t size = read(fd, &record, sizeof record);
                if (size < 0)
                        return fail(-errno);
                if (size != sizeof record)
                        return 0;
                if (record.ut_type != USER_PROCESS || record.ut_line[0] == '\0')
                        continue;
                struct session session;
                copy_field(session.user, sizeof session.user, record.ut_user, sizeof record.ut_user);
                copy_field(session.line, sizeof session.line, record.ut_line, sizeof record.ut_line);
                each(context, &session);
        }
        return 0;
}

int session_write(const char *directory, const char *line, struct text bytes) {
        char path[512];
        /* The record came from whoever may write login records; it shall not lead elsewhere. */
        if (line[0] == '/' || strstr(line, ".."))
                return fail(-EINVAL);
        if (snprintf(path, sizeof path, "%s/%s", directory ? directory : "/dev", line) >= (int)sizeof path)
                return fail(-ENAMETOOLONG);
        _owned_(descriptor_close) int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return fail(-errno);
        if (!directory && !isatty(fd))
                return fail(-ENOTTY);
        ssize_t size = write(fd, bytes.data, bytes.size);
        return size < 0 ? fail(-errno) : 0;
}
