/*
 * What the shared object with the TLS library (lmtls.so) offers to tls.c. It exports one
 * `const struct tls_library penstock_tls`.
 *
 * A tls_material is all that was read from the files of one context; it is counted, and never changes.
 */
#pragma once

#include "io/tls.h"

enum { TLS_LIBRARY_ABI = 1 };
#define TLS_LIBRARY_FILE "lmtls.so"

struct tls_material;

struct tls_library {
        uint32_t abi;
        uint32_t size;
        /* `rules` outlive the material; `commands` are OpenSSL's, one a line. 0 or -errno with a complaint. */
        int (*material_new)(struct tls_material **ret, const struct tls_rules *rules, const char *commands,
                            struct buffer *complaint);
        struct tls_material *(*material_ref)(struct tls_material *material);
        void (*material_unref)(struct tls_material *material);
        int (*open)(struct tls **ret, struct tls_material *material, int fd, const char *name);
        void (*close)(struct tls *t);
        int (*handshake)(struct tls *t);
        ssize_t (*receive)(struct tls *t, void *to, size_t size);
        ssize_t (*send)(struct tls *t, struct text bytes);
        int (*flush)(struct tls *t);
        uint32_t (*events)(const struct tls *t);
        bool (*has_pending)(const struct tls *t);
        /* Looks whether the peer has shown that it went on: 0, -EAGAIN: not yet, or the failure. */
        int (*look)(struct tls *t);
        const char *(*complaint)(const struct tls *t);
        void (*describe)(const struct tls *t, struct buffer *to);
};

/* The first member of a connection. */
struct tls {
        const struct tls_library *library;
};
