/* Any text gives commands of the form "Name=value", or a complaint. */
#include "io/tls_priority.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
        _owned_(buffer_fini) struct buffer commands = {0};
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = tls_priority_translate((struct text){(const char *)data, size}, &commands, &complaint);
        assert((r == 0) == (complaint.size == 0));
        struct text rest = buffer_as_text(&commands);
        while (r == 0 && rest.size) {
                const char *end = memchr(rest.data, '\n', rest.size);
                assert(end);
                assert(memchr(rest.data, '=', (size_t)(end - rest.data)));
                rest = text_slice(rest, (size_t)(end - rest.data) + 1, rest.size);
        }
        return 0;
}
