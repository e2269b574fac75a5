/*
 * State files are read as they lie there: whatever they hold, the answer is a state or -EBADMSG, and a state
 * that is printed and parsed again is the same.
 */
#include <errno.h>

#include "input/imfile_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size > STATE_BYTES_MAX)
                return 0;
        _owned_(state_fini) struct state state = {0};
        int r = state_parse(&state, (struct text){(const char *)data, size}, 7);
        if (r) {
                assert(r == -EBADMSG || r == -ENOMEM);
                return 0;
        }
        assert(state.offset >= 0);
        assert(state.identity.head_bytes <= HEAD_BYTES_MAX);
        _owned_(buffer_fini) struct buffer printed = {0};
        state_print(&printed, &state);
        _owned_(state_fini) struct state again = {0};
        r = state_parse(&again, buffer_as_text(&printed), 7);
        assert(r == 0);
        assert(again.offset == state.offset && again.is_skipping == state.is_skipping);
        assert(strcmp(again.path, state.path) == 0);
        return 0;
}
