/*
 * fmhttp: http_request(url), the body of what a server answers.
 *
 * A worker waits for the answer, so both have their bounds: HTTP_TIMEOUT_MS and HTTP_BODY_BYTES_MAX. No
 * answer, or a longer one, is an empty text and a script_error(). libcurl is loaded by the first call that a
 * configuration compiles; without it the call is a mistake of the configuration.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "ruleset/builtin.h"
#include "ruleset/functions.h"

#define LIBRARY "libcurl.so.4"

enum { HTTP_TIMEOUT_MS = 10000, HTTP_BODY_BYTES_MAX = 4 << 20, HTTP_REDIRECTS_MAX = 5 };

/* libcurl's numbers, which its ABI fixes. */
enum {
        GLOBAL_DEFAULT = 3,
        OPTION_WRITE_DATA = 10001,
        OPTION_URL = 10002,
        OPTION_WRITE_FUNCTION = 20011,
        OPTION_FOLLOW_LOCATION = 52,
        OPTION_MAX_REDIRECTS = 68,
        OPTION_NO_SIGNAL = 99,
        OPTION_TIMEOUT_MS = 155,
        OPTION_PROTOCOLS = 181,
        OPTION_REDIRECT_PROTOCOLS = 182,
        PROTOCOLS_HTTP = 1 | 2, /* and https */
};

struct curl {
        void *handle;
        int (*global_init)(long flags);
        void *(*easy_init)(void);
        int (*easy_setopt)(void *easy, int option, ...);
        int (*easy_perform)(void *easy);
        void (*easy_cleanup)(void *easy);
};

static const struct {
        const char *name;
        size_t offset;
} symbols[] = {
#define CALL(field)                                                                                                    \
        { "curl_" #field, offsetof(struct curl, field) }
        CALL(global_init), CALL(easy_init), CALL(easy_setopt), CALL(easy_perform), CALL(easy_cleanup),
#undef CALL
};

static int curl_open(struct curl *curl) {
        curl->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!curl->handle)
                return fail(-ENOENT);
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                void *found = dlsym(curl->handle, symbols[i].name);
                if (!found)
                        return fail(-ENOENT);
                memcpy((char *)curl + symbols[i].offset, &found, sizeof found);
        }
        return curl->global_init(GLOBAL_DEFAULT) ? fail(-EIO) : 0;
}

static void release_http(void *prepared) {
        struct curl *curl = prepared;
        if (curl->handle)
                dlclose(curl->handle);
        free(curl);
}

static int prepare_http(struct function_call *c, const struct expr *tree _unused_,
                        const struct expression_names *names _unused_, struct buffer *complaint) {
        struct curl *curl = calloc(1, sizeof *curl);
        if (!curl)
                return fail(-ENOMEM);
        int r = curl_open(curl);
        if (r) {
                release_http(curl);
                buffer_format(complaint, "http_request() needs the library %s", LIBRARY);
                return -EINVAL;
        }
        c->prepared = curl;
        return 0;
}

/* libcurl's callback: fewer bytes taken than given ends the transfer. */
static size_t take_body(char *data, size_t size, size_t count, void *body) {
        struct buffer *b = body;
        size_t bytes = size * count;
        if (b->size + bytes > HTTP_BODY_BYTES_MAX)
                return 0;
        buffer_append(b, data, bytes);
        return buffer_failed(b) ? 0 : bytes;
}

static bool fetch(const struct curl *curl, const char *url, struct buffer *body) {
        void *easy = curl->easy_init();
        if (!easy)
                return false;
        bool is_set = !curl->easy_setopt(easy, OPTION_URL, url) &&
                      !curl->easy_setopt(easy, OPTION_WRITE_FUNCTION, take_body) &&
                      !curl->easy_setopt(easy, OPTION_WRITE_DATA, body) &&
                      !curl->easy_setopt(easy, OPTION_TIMEOUT_MS, (long)HTTP_TIMEOUT_MS) &&
                      !curl->easy_setopt(easy, OPTION_NO_SIGNAL, 1L) &&
                      !curl->easy_setopt(easy, OPTION_FOLLOW_LOCATION, 1L) &&
                      !curl->easy_setopt(easy, OPTION_MAX_REDIRECTS, (long)HTTP_REDIRECTS_MAX) &&
                      !curl->easy_setopt(easy, OPTION_PROTOCOLS, (long)PROTOCOLS_HTTP) &&
                      !curl->easy_setopt(easy, OPTION_REDIRECT_PROTOCOLS, (long)PROTOCOLS_HTTP);
        bool is_done = is_set && curl->easy_perform(easy) == 0;
        curl->easy_cleanup(easy);
        return is_done;
}

static struct value call_http_request(const struct function_call *c, struct evaluation *ev) {
        char *url = arena_string(&ev->arena, function_text(c, 0, ev));
        _owned_(buffer_fini) struct buffer body = {0};
        bool is_done = c->prepared && url && fetch(c->prepared, url, &body);
        ev->has_script_error = !is_done;
        return is_done ? function_made(ev, &body) : value_text(TEXT(""));
}

static const struct function functions[] = {
        {"http_request", 1, 1, call_http_request, prepare_http, release_http},
};

const struct function_table functions_http = {functions, ARRAY_SIZE(functions)};

const struct module fmhttp_module = {
        MODULE_HEAD, .kind = MODULE_LIBRARY, .name = "fmhttp",
        .help = "The function http_request(url): what a server answers; needs libcurl where it runs."};
