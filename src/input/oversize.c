#include "input/oversize.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "io/file.h"

enum {
        TOO_LONG = 2445,     /* rsyslog's number of such a report */
        REPORTED_BYTES = 80, /* of the message */
};

/* Such messages are rare: the file is opened for each, so that it may be rotated at any time. */
static int append(const char *path, struct text line) {
        int fd = -1;
        int r = file_open(&fd, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (r == 0)
                r = file_write_all(fd, line.data, line.size);
        file_close(fd);
        return pass(r);
}

void oversize_note(const struct host_facts *facts, struct module_log *log, const char *input, size_t size,
                   struct text message) {
        if (facts->oversize_is_reported)
                module_report(log, SEVERITY_ERR, TOO_LONG,
                              "message too long (%zu) with configured size %lld, begin of message is: %.*s", size,
                              (long long)facts->message_bytes_max, TEXT_ARGS(text_slice(message, 0, REPORTED_BYTES)));
        if (!facts->oversize_error_file)
                return;
        _owned_(buffer_fini) struct buffer line = {0};
        buffer_format(&line, "{ \"rawmsg\": \"");
        json_escape(&line, message);
        buffer_format(&line, "\", \"input\": \"%s\" }\n", input);
        int r = buffer_failed(&line) ? fail(-ENOMEM) : append(facts->oversize_error_file, buffer_as_text(&line));
        if (r)
                module_report(log, SEVERITY_ERR, 0, "cannot write oversizemsg.errorfile %s: %s",
                              facts->oversize_error_file, fail_text(r));
}
