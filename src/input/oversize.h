/*
 * Messages longer than global(maxMessageSize="..."), in inputs that see them whole:
 * what oversizemsg.errorfile and oversizemsg.report ask for. What is done with the
 * message itself (oversizemsg.input.mode) is the input's.
 */
#pragma once

#include "base/text.h"
#include "module/module.h"

enum {
        OVERSIZE_BYTES_MAX = 16 << 20, /* of a message that is accepted, split or shown whole */
};

/*
 * Reports it as configured, and appends one line of JSON with the message and the
 * input's name to the error file. `size` is the message's own where not all of it was
 * kept. A file that cannot be written is reported.
 */
void oversize_note(const struct host_facts *facts, struct module_log *log, const char *input, size_t size,
                   struct text message);
