/*
 * Template text from bytes, rendered over a fixed record as text, as a path and as
 * JSON. The first byte chooses the options. A path never leaves its directory.
 */
#include <stdlib.h>

#include "language/diagnostics.h"
#include "message/variable.h"
#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
        struct batch_pool *pool;
        struct batch *batch;
        struct record *record;
        struct property_context context;
};

static struct span store(struct world *w, struct text t) {
        struct span s = batch_store(w->batch, t);
        assert(s.size == t.size);
        return s;
}

static struct world *world_new(void) {
        static struct world w; /* one for the whole run of the fuzzer */
        if (w.pool)
                return &w;
        int r = batch_pool_new(&w.pool);
        assert(r == 0);
        struct source *source = source_new_local("imfuzz", "localhost", "127.0.0.1");
        w.batch = batch_new(w.pool, 0);
        w.record = batch_append(w.batch, source);
        source_unref(source);
        w.record->raw = store(&w, TEXT("<134>Mar  1 01:02:03 .. a/b[7]: one,two\t\"three\" \\n '\0\xff\n"));
        w.record->host = store(&w, TEXT(".."));
        w.record->tag = store(&w, TEXT("a/b[7]:"));
        w.record->msg = store(&w, TEXT(" one,two\t\"three\" \\n '\0\xff\n"));
        w.record->received_us = 1795291528332781;
        struct json *tree;
        size_t used;
        r = json_parse(&w.batch->arena, TEXT("{\"a\":{\"b\":[1,\"..\",null]}}"), &tree, &used);
        assert(r == 0);
        r = variable_set(w.batch, w.record, '!', TEXT(""), tree, 0);
        assert(r == 0);
        return &w;
}

/* No component ".." in what follows the fixed directory. */
static void check_path(struct text path) {
        for (size_t begin = 0, at = 0; at <= path.size; at++)
                if (at == path.size || path.data[at] == '/') {
                        assert(!text_equal(text_slice(path, begin, at), TEXT("..")));
                        begin = at + 1;
                }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1)
                return 0;
        struct text text = {(const char *)data + 1, size - 1};
        /* regcomp() takes gigabytes for nested repetitions; who writes the configuration may do that to himself. */
        if (text.size && memchr(text.data, '{', text.size))
                return 0;
        struct world *w = world_new();
        struct template_def def = {.name = "fuzz", .kind = TEMPLATE_STRING, .string = text};
        def.has_escapes = data[0] & 1;
        def.is_sql = data[0] & 2;
        def.is_json = data[0] & 4;
        def.is_jsonf = data[0] & 8;
        def.is_jsonftree = data[0] & 16;
        def.is_case_sensitive = data[0] & 32;
        _owned_(diagnostics_fini) struct diagnostics d = {0};
        _owned_(template_free) struct template *t = NULL;
        if (template_new(&t, &def, &d))
                return 0;
        _owned_(buffer_fini) struct buffer out = {0};
        template_render(t, &w->context, w->batch, w->record, false, &out);
        buffer_clear(&out);
        template_render(t, &w->context, w->batch, w->record, true, &out);
        /* Dots that the configuration itself writes, plain or escaped, are its own affair. */
        bool has_own_dots = text_find(text, TEXT("..")) >= 0 || text_find(text, TEXT("./")) >= 0 ||
                            (def.has_escapes && text_find(text, TEXT("\\")) >= 0);
        if (!has_own_dots)
                check_path(buffer_as_text(&out));
        _owned_(arena_fini) struct arena a = {0};
        (void)template_json(t, &w->context, w->batch, w->record, &a);
        return 0;
}
