#include "base/fail.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A debugging switch of the process, as stderr itself is one. */
static atomic_bool is_traced;

static _Thread_local int last;

int fail_last(void) {
        return last;
}

void fail_forget(void) {
        last = 0;
}

void fail_trace(bool is_on) {
        atomic_store_explicit(&is_traced, is_on, memory_order_relaxed);
}

const char *fail_text(int error) {
        const char *text = strerrordesc_np(abs(error));
        return text ? text : "unknown error";
}

const char *fail_name(int error) {
        const char *name = strerrorname_np(abs(error));
        return name ? name : "unknown";
}

static int trace(const char *verb, int error, const char *file, int line, const char *function) {
        if (atomic_load_explicit(&is_traced, memory_order_relaxed))
                fprintf(stderr, "%s %s:%d %s(): %s\n", verb, file, line, function, fail_text(error));
        return error;
}

int fail_begin(int error, const char *file, int line, const char *function) {
        last = error;
        return trace("fail", error, file, line, function);
}

int fail_pass(int error, const char *file, int line, const char *function) {
        return trace("  by", error, file, line, function);
}
