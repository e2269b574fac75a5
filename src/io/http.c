#include "io/http.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

/* libcurl's numbers, which its ABI fixes. */
enum {
        GLOBAL_DEFAULT = 3,
        OPTION_NO_PROGRESS = 43,
        OPTION_POST = 47,
        OPTION_FOLLOW_LOCATION = 52,
        OPTION_VERIFY_PEER = 64,
        OPTION_MAX_REDIRECTS = 68,
        OPTION_VERIFY_HOST = 81,
        OPTION_NO_SIGNAL = 99,
        OPTION_TIMEOUT_MS = 155,
        OPTION_PROTOCOLS = 181,
        OPTION_REDIRECT_PROTOCOLS = 182,
        OPTION_WRITE_DATA = 10001,
        OPTION_URL = 10002,
        OPTION_ERROR_BUFFER = 10010,
        OPTION_POST_FIELDS = 10015,
        OPTION_HEADERS = 10023,
        OPTION_CERT_FILE = 10025,
        OPTION_PROGRESS_DATA = 10057,
        OPTION_CA_FILE = 10065,
        OPTION_KEY_FILE = 10087,
        OPTION_WRITE_FUNCTION = 20011,
        OPTION_PROGRESS_FUNCTION = 20219,
        OPTION_POST_SIZE = 30120,
        INFO_STATUS = 0x200002,
        PROTOCOLS_HTTP = 1 | 2, /* and https */
};
static_assert(HTTP_WHY_BYTES == 256, "CURL_ERROR_SIZE");

struct http {
        void *handle;
        int (*global_init)(long flags);
        void *(*easy_init)(void);
        int (*easy_setopt)(void *easy, int option, ...);
        int (*easy_perform)(void *easy);
        int (*easy_getinfo)(void *easy, int info, ...);
        void (*easy_cleanup)(void *easy);
        const char *(*easy_strerror)(int code);
        void *(*slist_append)(void *list, const char *text);
        void (*slist_free_all)(void *list);
};

static const struct {
        const char *name;
        size_t offset;
} symbols[] = {
#define CALL(field)                                                                                                    \
        { "curl_" #field, offsetof(struct http, field) }
        CALL(global_init),  CALL(easy_init),     CALL(easy_setopt),  CALL(easy_perform),   CALL(easy_getinfo),
        CALL(easy_cleanup), CALL(easy_strerror), CALL(slist_append), CALL(slist_free_all),
#undef CALL
};

int http_new(struct http **ret) {
        _owned_(http_free) struct http *h = calloc(1, sizeof *h);
        if (!h)
                return fail(-ENOMEM);
        h->handle = dlopen(HTTP_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!h->handle)
                return fail(-ENOENT);
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                void *found = dlsym(h->handle, symbols[i].name);
                if (!found)
                        return fail(-ENOENT);
                memcpy((char *)h + symbols[i].offset, &found, sizeof found);
        }
        if (h->global_init(GLOBAL_DEFAULT))
                return fail(-EIO);
        *ret = TAKE(h);
        return 0;
}

struct http *http_free(struct http *h) {
        if (h && h->handle)
                dlclose(h->handle);
        free(h);
        return NULL;
}

struct exchange {
        const struct http_request *request;
        struct http_answer *answer;
};

/* libcurl's callback: fewer bytes taken than given ends the transfer. */
static size_t take_body(char *data, size_t size, size_t count, void *context) {
        struct exchange *e = context;
        size_t bytes = size * count;
        if (e->answer->body.size + bytes > e->request->answer_bytes_max)
                return 0;
        buffer_append(&e->answer->body, data, bytes);
        return buffer_failed(&e->answer->body) ? 0 : bytes;
}

/* The same: anything but 0 ends the transfer. */
static int look_whether_given_up(void *context, int64_t down_total _unused_, int64_t down _unused_,
                                 int64_t up_total _unused_, int64_t up _unused_) {
        const struct exchange *e = context;
        return __atomic_load_n(e->request->is_given_up, __ATOMIC_RELAXED);
}

static int set_security(const struct http *h, void *easy, const struct http_request *r) {
        int failed = 0;
        if (r->ca_file)
                failed |= h->easy_setopt(easy, OPTION_CA_FILE, r->ca_file);
        if (r->cert_file)
                failed |= h->easy_setopt(easy, OPTION_CERT_FILE, r->cert_file);
        if (r->key_file)
                failed |= h->easy_setopt(easy, OPTION_KEY_FILE, r->key_file);
        if (r->skips_verify)
                failed |= h->easy_setopt(easy, OPTION_VERIFY_PEER, 0L) | h->easy_setopt(easy, OPTION_VERIFY_HOST, 0L);
        return failed;
}

static int set_body(const struct http *h, void *easy, const struct http_request *r, void *headers) {
        int failed = headers ? h->easy_setopt(easy, OPTION_HEADERS, headers) : 0;
        if (!r->is_post)
                return failed;
        failed |= h->easy_setopt(easy, OPTION_POST, 1L);
        failed |= h->easy_setopt(easy, OPTION_POST_SIZE, (int64_t)r->body.size);
        return failed | h->easy_setopt(easy, OPTION_POST_FIELDS, r->body.size ? r->body.data : "");
}

static int set_all(const struct http *h, void *easy, struct exchange *e, void *headers) {
        const struct http_request *r = e->request;
        int failed = h->easy_setopt(easy, OPTION_URL, r->url);
        failed |= h->easy_setopt(easy, OPTION_ERROR_BUFFER, e->answer->why);
        failed |= h->easy_setopt(easy, OPTION_WRITE_FUNCTION, take_body);
        failed |= h->easy_setopt(easy, OPTION_WRITE_DATA, e);
        failed |= h->easy_setopt(easy, OPTION_TIMEOUT_MS, (long)r->timeout_ms);
        failed |= h->easy_setopt(easy, OPTION_NO_SIGNAL, 1L);
        failed |= h->easy_setopt(easy, OPTION_FOLLOW_LOCATION, (long)(r->redirects_max > 0));
        failed |= h->easy_setopt(easy, OPTION_MAX_REDIRECTS, (long)r->redirects_max);
        failed |= h->easy_setopt(easy, OPTION_PROTOCOLS, (long)PROTOCOLS_HTTP);
        failed |= h->easy_setopt(easy, OPTION_REDIRECT_PROTOCOLS, (long)PROTOCOLS_HTTP);
        if (r->is_given_up) {
                failed |= h->easy_setopt(easy, OPTION_NO_PROGRESS, 0L);
                failed |= h->easy_setopt(easy, OPTION_PROGRESS_FUNCTION, look_whether_given_up);
                failed |= h->easy_setopt(easy, OPTION_PROGRESS_DATA, e);
        }
        return failed | set_security(h, easy, r) | set_body(h, easy, r, headers);
}

/* NULL with *is_whole false: no memory. */
static void *make_headers(const struct http *h, const char *const *headers, bool *is_whole) {
        void *list = NULL;
        *is_whole = true;
        for (; headers && *headers && *is_whole; headers++) {
                void *longer = h->slist_append(list, *headers);
                *is_whole = longer;
                list = longer ? longer : list;
        }
        return list;
}

int http_perform(const struct http *h, const struct http_request *request, struct http_answer *answer) {
        struct exchange e = {request, answer};
        bool is_whole;
        answer->status = 0;
        answer->why[0] = '\0';
        void *headers = make_headers(h, request->headers, &is_whole), *easy = is_whole ? h->easy_init() : NULL;
        int code = 0;
        bool is_set = easy && set_all(h, easy, &e, headers) == 0;
        if (is_set)
                code = h->easy_perform(easy);
        if (is_set && code == 0)
                h->easy_getinfo(easy, INFO_STATUS, &answer->status);
        if (easy)
                h->easy_cleanup(easy);
        h->slist_free_all(headers);
        if (is_set && code == 0)
                return 0;
        if (!answer->why[0])
                snprintf(answer->why, sizeof answer->why, "%s",
                         is_set ? h->easy_strerror(code) : "no memory, or an option that libcurl does not know");
        return fail(-EIO);
}
