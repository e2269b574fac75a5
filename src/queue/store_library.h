/*
 * The calls of the libraries that compress and encipher what a store keeps. They are
 * looked for when first wanted and never linked, so that the daemon runs on machines
 * without them. What the calls do is told in lz4.h, zstd.h and the pages EVP_*(3).
 */
#pragma once

#include <stddef.h>

struct lz4_library {
        void *handle;
        int (*compress_default)(const char *from, char *to, int from_size, int to_size);
        int (*decompress_safe)(const char *from, char *to, int from_size, int to_size);
};

struct zstd_library {
        void *handle;
        size_t (*compress)(void *to, size_t to_size, const void *from, size_t from_size, int level);
        size_t (*decompress)(void *to, size_t to_size, const void *from, size_t from_size);
        unsigned (*isError)(size_t code);
};

struct evp_cipher_ctx;
struct evp_cipher;
struct evp_md_ctx;
struct evp_md;
struct engine;

struct crypto_library {
        void *handle;
        struct evp_cipher_ctx *(*cipher_ctx_new)(void);
        void (*cipher_ctx_free)(struct evp_cipher_ctx *ctx);
        int (*cipher_ctx_ctrl)(struct evp_cipher_ctx *ctx, int type, int arg, void *pointer);
        const struct evp_cipher *(*aes_256_gcm)(void);
        int (*encrypt_init)(struct evp_cipher_ctx *ctx, const struct evp_cipher *cipher, struct engine *engine,
                            const unsigned char *key, const unsigned char *iv);
        int (*encrypt_update)(struct evp_cipher_ctx *ctx, unsigned char *to, int *to_size, const unsigned char *from,
                              int size);
        int (*encrypt_final)(struct evp_cipher_ctx *ctx, unsigned char *to, int *to_size);
        int (*decrypt_init)(struct evp_cipher_ctx *ctx, const struct evp_cipher *cipher, struct engine *engine,
                            const unsigned char *key, const unsigned char *iv);
        int (*decrypt_update)(struct evp_cipher_ctx *ctx, unsigned char *to, int *to_size, const unsigned char *from,
                              int size);
        int (*decrypt_final)(struct evp_cipher_ctx *ctx, unsigned char *to, int *to_size);
        struct evp_md_ctx *(*md_ctx_new)(void);
        void (*md_ctx_free)(struct evp_md_ctx *ctx);
        const struct evp_md *(*sha256)(void);
        int (*digest_init)(struct evp_md_ctx *ctx, const struct evp_md *type, struct engine *engine);
        int (*digest_update)(struct evp_md_ctx *ctx, const void *data, size_t size);
        int (*digest_final)(struct evp_md_ctx *ctx, unsigned char *to, unsigned *size);
        unsigned char *(*hmac)(const struct evp_md *type, const void *key, int key_size, const unsigned char *data,
                               size_t size, unsigned char *to, unsigned *to_size);
};

/* 0 or -ENOENT; *why tells what is missing, in the words of the loader; valid until the thread's next call of it. */
int lz4_library_open(struct lz4_library *library, const char **why);
int zstd_library_open(struct zstd_library *library, const char **why);
int crypto_library_open(struct crypto_library *library, const char **why);
