#include "input/imjournal_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/fail.h"

#define LIBRARY "libsystemd.so.0"

static const struct {
        const char *name;
        size_t offset;
        bool is_optional;
} symbols[] = {
#define CALL(field, ...)                                                                                               \
        { "sd_journal_" #field, offsetof(struct journal_library, field), __VA_ARGS__ }
        CALL(open),
        CALL(open_namespace, .is_optional = true),
        CALL(open_directory),
        CALL(close),
        CALL(next),
        CALL(previous),
        CALL(seek_head),
        CALL(seek_tail),
        CALL(seek_cursor),
        CALL(get_cursor),
        CALL(test_cursor),
        CALL(get_realtime_usec),
        CALL(set_data_threshold),
        CALL(enumerate_data),
        CALL(restart_data),
        CALL(get_fd),
        CALL(get_events),
        CALL(get_timeout),
        CALL(process),
        CALL(get_usage),
#undef CALL
        /* Since systemd 246: passes over fields that cannot be read (unknown compression), where the other fails. */
        {"sd_journal_enumerate_available_data", offsetof(struct journal_library, enumerate_data), true},
};

int journal_library_open(struct journal_library *library, const char **why) {
        *library = (struct journal_library){.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
        if (!library->handle) {
                *why = dlerror();
                return fail(-ENOENT);
        }
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                void *found = dlsym(library->handle, symbols[i].name);
                if (found) {
                        memcpy((char *)library + symbols[i].offset, &found, sizeof found);
                } else if (!symbols[i].is_optional) {
                        *why = dlerror();
                        journal_library_close(library);
                        return fail(-ENOENT);
                }
        }
        return 0;
}

void journal_library_close(struct journal_library *library) {
        if (library->handle)
                dlclose(library->handle);
        *library = (struct journal_library){0};
}
