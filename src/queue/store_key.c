#include "queue/store_key.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "io/file.h"
#include "io/process.h"

static int digit(char c) {
        const char *digits = "0123456789abcdef0123456789ABCDEF", *found = c ? strchr(digits, c) : NULL;
        return found ? (int)((found - digits) % 16) : -1;
}

/* 32 bytes as they are, or 64 hexadecimal digits with white space around them. */
static int key_parse(uint8_t *key, struct text t) {
        if (t.size == STORE_KEY_BYTES) {
                memcpy(key, t.data, t.size);
                return 0;
        }
        t = text_trim(t);
        if (t.size != (size_t)2 * STORE_KEY_BYTES)
                return -EINVAL;
        for (size_t i = 0; i < STORE_KEY_BYTES; i++) {
                int high = digit(t.data[2 * i]), low = digit(t.data[2 * i + 1]);
                if (high < 0 || low < 0)
                        return -EINVAL;
                key[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

/* All that the program prints until it closes its output; bounded in size and time. */
static int read_output(struct process *p, struct buffer *out) {
        int64_t until = clock_mono_ns() + STORE_KEY_PROGRAM_MS_MAX * INT64_C(1000000);
        while (out->size <= STORE_KEY_TEXT_BYTES_MAX) {
                int64_t left_ms = (until - clock_mono_ns()) / 1000000;
                if (left_ms <= 0)
                        return fail(-ETIMEDOUT);
                if (!buffer_reserve(out, STORE_KEY_TEXT_BYTES_MAX))
                        return fail(-ENOMEM);
                ssize_t n = pipe_read(p->output, out->data + out->size, STORE_KEY_TEXT_BYTES_MAX, left_ms);
                if (n < 0)
                        return pass((int)n);
                if (n == 0)
                        return 0;
                out->size += (size_t)n;
        }
        return fail(-EINVAL);
}

static int run_program(const char *command, struct buffer *out) {
        _owned_(memory_free) char **arguments = NULL;
        int r = process_split(&arguments, command);
        if (r)
                return pass(r);
        _owned_(process_fini) struct process p = PROCESS_NONE;
        struct process_plan plan = {
                .arguments = arguments, .input = -1, .output = PROCESS_PIPE, .error = PROCESS_INHERIT};
        r = process_start(&p, &plan);
        if (r)
                return pass(r);
        r = read_output(&p, out);
        if (r)
                process_signal(&p, 9);
        bool has_ended = process_await(&p, STORE_KEY_PROGRAM_MS_MAX);
        if (!r && (!has_ended || p.status != 0))
                r = fail(-EINVAL);
        return r;
}

int store_key_read(uint8_t key[static STORE_KEY_BYTES], const char *file, const char *program,
                   struct reporter *reporter) {
        _owned_(buffer_fini) struct buffer content = {0};
        int r = file ? file_read_whole(file, STORE_KEY_TEXT_BYTES_MAX, &content) : run_program(program, &content);
        if (!r)
                r = key_parse(key, buffer_as_text(&content));
        if (content.data)
                explicit_bzero(content.data, content.capacity);
        if (r)
                report(reporter, SEVERITY_ERR, 0,
                       "the key for the queue's messages cannot be read from %s %s: %s; it must be %d bytes, or twice "
                       "as "
                       "many hexadecimal digits",
                       file ? "the file" : "the program", file ? file : program, fail_text(r), STORE_KEY_BYTES);
        return r;
}
