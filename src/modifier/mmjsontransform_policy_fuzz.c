/* mmjsontransform's policies: whatever the file and the object are, the result is an object that prints. */
#include "modifier/mmjsontransform_policy.h"
#include "module/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void be_silent(struct module_log *log _unused_, int severity _unused_, int code _unused_,
                      const char *param _unused_, const char *line _unused_) {
}

/* The policy stands before the first NUL, the object behind it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct module_log log = {.emit = be_silent};
        struct text all = {(const char *)data, size}, where;
        const char *nul = size ? memchr(data, '\0', size) : NULL;
        size_t at = nul ? (size_t)(nul - all.data) : size;
        _owned_(transform_policy_free) struct transform_policy *policy = NULL;
        if (transform_policy_parse(&policy, "policy", text_slice(all, 0, at), &log))
                return 0;
        struct arena arena = {0};
        struct json *object = NULL;
        size_t used;
        if (json_parse(&arena, text_slice(all, at + 1, size), &object, &used) == 0 && object->type == JSON_OBJECT) {
                (void)transform_policy_apply(policy, &arena, object, &where);
                _owned_(buffer_fini) struct buffer printed = {0};
                json_print(&printed, object, JSON_SPACED);
        }
        arena_fini(&arena);
        return 0;
}
