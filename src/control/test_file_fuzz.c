/* Test files of any content are read or refused, never worse: the first byte says whether it is JSON or YAML. */
#include "control/test_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        struct text content = {(const char *)data + 1, size - 1};
        _owned_(test_file_fini) struct test_file f;
        (void)test_file_read(&f, data[0] & 1 ? "dir/tests.json" : "tests.yaml", content);
        for (const struct test_case *c = f.cases; c; c = c->next)
                for (size_t i = 0; i < c->message_count; i++)
                        assert(c->messages[i].data || c->messages[i].size == 0);
        return 0;
}
