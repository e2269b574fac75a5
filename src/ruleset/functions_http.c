/*
 * fmhttp: http_request(url), the body of what a server answers.
 *
 * A worker waits for the answer, so both have their bounds: HTTP_TIMEOUT_MS and HTTP_BODY_BYTES_MAX. No
 * answer, or a longer one, is an empty text and a script_error(). libcurl is loaded by the first call that a
 * configuration compiles; without it the call is a mistake of the configuration.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/http.h"
#include "ruleset/builtin.h"
#include "ruleset/functions.h"

enum { HTTP_TIMEOUT_MS = 10000, HTTP_BODY_BYTES_MAX = 4 << 20, HTTP_REDIRECTS_MAX = 5 };

static void release_http(void *prepared) {
        http_free(prepared);
}

static int prepare_http(struct function_call *c, const struct expr *tree _unused_,
                        const struct expression_names *names _unused_, struct buffer *complaint) {
        struct http *http = NULL;
        int r = http_new(&http);
        if (r == -ENOMEM)
                return pass(r);
        if (r) {
                buffer_format(complaint, "http_request() needs the library %s", HTTP_LIBRARY);
                return -EINVAL;
        }
        c->prepared = http;
        return 0;
}

static struct value call_http_request(const struct function_call *c, struct evaluation *ev) {
        char *url = arena_string(&ev->arena, function_text(c, 0, ev));
        struct http_request request = {.url = url,
                                       .timeout_ms = HTTP_TIMEOUT_MS,
                                       .redirects_max = HTTP_REDIRECTS_MAX,
                                       .answer_bytes_max = HTTP_BODY_BYTES_MAX};
        struct http_answer answer = {0};
        bool is_done = c->prepared && url && http_perform(c->prepared, &request, &answer) == 0;
        ev->has_script_error = !is_done;
        struct value value = is_done ? function_made(ev, &answer.body) : value_text(TEXT(""));
        buffer_fini(&answer.body);
        return value;
}

static const struct function functions[] = {
        {"http_request", 1, 1, call_http_request, prepare_http, release_http},
};

const struct function_table functions_http = {functions, ARRAY_SIZE(functions)};

const struct module fmhttp_module = {
        MODULE_HEAD, .kind = MODULE_LIBRARY, .name = "fmhttp",
        .help = "The function http_request(url): what a server answers; needs libcurl where it runs."};
