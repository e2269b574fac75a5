/* Fuzzes the scanner of headers: what it takes can be edited, and is still a header then. */
#include "bus/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct header header, again;
        if (header_scan(&header, (struct text){(const char *)data, size}))
                return 0;
        struct buffer out = {0};
        const struct header_edit edits[] = {{HEADER_FROM, TEXT("\"a_b@c\"")}, {HEADER_REPLY, TEXT("null")}};
        header_edit(&out, &header, edits, 2);
        assert(header_scan(&again, buffer_as_text(&out)) == 0);
        assert(scan_equals(&again.fields[HEADER_FROM], TEXT("a_b@c")));
        assert(again.fields[HEADER_TYPE].kind == header.fields[HEADER_TYPE].kind);
        for (unsigned i = 0; i < HEADER_FIELDS; i++)
                if (header.fields[i].kind == SCAN_STRING) {
                        struct buffer room = {0};
                        assert(buffer_reserve(&room, header.fields[i].text.size + 1));
                        struct text text = scan_string(&header.fields[i], room.data);
                        assert(text.size <= header.fields[i].text.size);
                        buffer_fini(&room);
                }
        buffer_fini(&out);
        return 0;
}
