/*
 * HTTP requests through libcurl, which is loaded when the first of them is prepared.
 *
 * A request blocks its thread until it is answered, has timed out or is given up. One `struct http` may be used by
 * several threads.
 */
#pragma once

#include "base/text.h"

#define HTTP_LIBRARY "libcurl.so.4"

struct http;

/* -ENOENT: the library is not there; -EIO: it does not start; -ENOMEM. */
int http_new(struct http **ret);
struct http *http_free(struct http *h);
OWNED_POINTER(struct http, http_free);

struct http_request {
        const char *url;
        bool is_post; /* of `body`; else GET */
        struct text body;
        const char *const *headers; /* "Name: value", NULL-ended; NULL: none of ours */
        int64_t timeout_ms;         /* 0: none */
        int redirects_max;          /* 0: they are answers */
        size_t answer_bytes_max;    /* a longer one is a failure */
        const char *ca_file, *cert_file, *key_file;
        bool skips_verify;       /* of the server's certificate */
        const bool *is_given_up; /* looked at while it lasts, atomically; NULL: never */
};

enum { HTTP_WHY_BYTES = 256 };

struct http_answer {
        long status; /* 0: none came */
        struct buffer body;
        char why[HTTP_WHY_BYTES]; /* of a failure, for people */
};

/* 0 with an answer of whatever status; -EIO with answer->why. The body is appended to. */
int http_perform(const struct http *h, const struct http_request *request, struct http_answer *answer);
