/* Whatever parses also prints, and what was printed parses to the same print. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is printed into a string is what was printed, escaped. */
static void check_quoted(const struct json *value, struct text printed) {
        _owned_(buffer_fini) struct buffer quoted = {0};
        _owned_(buffer_fini) struct buffer escaped = {0};
        json_print_quoted(&quoted, value, JSON_SPACED);
        json_escape(&escaped, printed);
        assert(text_equal(buffer_as_text(&quoted), buffer_as_text(&escaped)));
}

/* What lenient parsing takes lies within the text, and prints. */
static void check_lenient(struct text t) {
        _owned_(arena_fini) struct arena a = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        struct json *value;
        size_t used;
        if (json_parse_lenient(&a, t, t.size & 1, &value, &used))
                return;
        assert(used <= t.size);
        json_print(&out, value, JSON_SPACED);
        check_quoted(value, buffer_as_text(&out));

        /* Strings that stay where they are say the same. */
        struct json *lent;
        int r = json_parse_lenient(&a, t, (t.size & 1) | JSON_IS_LENT, &lent, &used);
        assert(r == 0 && used <= t.size);
        _owned_(buffer_fini) struct buffer again = {0};
        json_print(&again, lent, JSON_SPACED);
        assert(text_equal(buffer_as_text(&out), buffer_as_text(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        check_lenient((struct text){(const char *)data, size});
        _owned_(arena_fini) struct arena a = {0};
        struct json *value;
        size_t used;
        if (json_parse(&a, (struct text){(const char *)data, size}, &value, &used))
                return 0;
        assert(used <= size);
        _owned_(buffer_fini) struct buffer once = {0};
        _owned_(buffer_fini) struct buffer twice = {0};
        json_print(&once, value, JSON_SPACED);
        struct json *again;
        int r = json_parse(&a, buffer_as_text(&once), &again, &used);
        assert(r == 0 && used == once.size);
        json_print(&twice, json_copy(&a, again), JSON_SPACED);
        assert(text_equal(buffer_as_text(&once), buffer_as_text(&twice)));
        return 0;
}
