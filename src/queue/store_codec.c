/*
 * Compression first, because what is enciphered no longer shrinks. A frame that does
 * not get smaller is stored as it is.
 *
 * The cipher is AES-256-GCM. Its key is made for each opening of the store (the
 * "session" in the segment header) from the one that was given: HMAC-SHA-256 over a
 * label and the session. So the nonce can be a plain count from 1, and no pair of key and nonce
 * comes twice. What is authenticated beside the text: the session, count, codec, size.
 *
 * A library that only old frames need is looked for when the first of them is read.
 */
#include "queue/store_codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "queue/store_key.h"
#include "queue/store_library.h"

enum { GCM_SET_IV_BYTES = 0x9, GCM_GET_TAG = 0x10, GCM_SET_TAG = 0x11 }; /* of cipher_ctx_ctrl() */
enum { SHRINK_BYTES_MIN = 64 };                                          /* less is not worth trying */

struct codec {
        struct reporter *reporter;
        enum frame_codec compression;
        int level;
        bool has_key;
        uint8_t key[STORE_KEY_BYTES];
        uint8_t session[SEGMENT_SALT_BYTES];
        uint8_t session_key[STORE_KEY_BYTES];
        uint64_t key_id; /* tells keys apart, and nothing about them */
        _Atomic uint64_t nonces;

        pthread_mutex_t lock; /* while a library is looked for */
        struct lz4_library lz4;
        struct zstd_library zstd;
        struct crypto_library crypto;
};

static int need(struct codec *c, const char *what, void *library, int (*open)(struct codec *c, const char **why)) {
        const char *why = NULL;
        pthread_mutex_lock(&c->lock);
        int r = *(void **)library ? 0 : open(c, &why);
        pthread_mutex_unlock(&c->lock);
        if (r)
                report(c->reporter, SEVERITY_ERR, 0, "the queue's messages need the library of %s: %s", what, why);
        return r;
}

static int open_lz4(struct codec *c, const char **why) {
        return lz4_library_open(&c->lz4, why);
}

static int open_zstd(struct codec *c, const char **why) {
        return zstd_library_open(&c->zstd, why);
}

static int open_crypto(struct codec *c, const char **why) {
        return crypto_library_open(&c->crypto, why);
}

static int need_codec(struct codec *c, uint8_t codec) {
        if (codec == FRAME_LZ4)
                return pass(need(c, "lz4", &c->lz4, open_lz4));
        if (codec == FRAME_ZSTD)
                return pass(need(c, "zstd", &c->zstd, open_zstd));
        return 0;
}

static int need_crypto(struct codec *c) {
        return pass(need(c, "OpenSSL", &c->crypto, open_crypto));
}

static int derive(struct codec *c, const char *label, const uint8_t *session, uint8_t out[static 32]) {
        uint8_t text[64] = {0};
        size_t size = strlen(label);
        memcpy(text, label, size);
        if (session) {
                memcpy(text + size, session, SEGMENT_SALT_BYTES);
                size += SEGMENT_SALT_BYTES;
        }
        unsigned out_size = 32;
        return c->crypto.hmac(c->crypto.sha256(), c->key, sizeof c->key, text, size, out, &out_size) ? 0
                                                                                                     : fail(-ENOMEM);
}

static int set_key(struct codec *c, const struct store_options *o) {
        int r = need_crypto(c);
        if (!r)
                r = store_key_read(c->key, o->key_file, o->key_program, c->reporter);
        uint8_t id[32];
        if (!r)
                r = derive(c, "penstock key id", NULL, id);
        if (!r)
                r = derive(c, "penstock frames", c->session, c->session_key);
        if (r)
                return pass(r);
        memcpy(&c->key_id, id, sizeof c->key_id);
        c->has_key = true;
        return 0;
}

int codec_new(struct codec **ret, const struct store_options *options, const uint8_t session[static SEGMENT_SALT_BYTES],
              struct reporter *reporter) {
        _owned_(codec_free) struct codec *c = calloc(1, sizeof *c);
        if (!c)
                return fail(-ENOMEM);
        pthread_mutex_init(&c->lock, NULL);
        c->reporter = reporter;
        c->compression = (enum frame_codec)options->compression;
        c->level = options->compression_level;
        memcpy(c->session, session, sizeof c->session);
        int r = need_codec(c, (uint8_t)c->compression);
        if (!r && (options->key_file || options->key_program))
                r = set_key(c, options);
        if (!r && options->is_chained)
                r = need_crypto(c);
        if (r)
                return pass(r);
        *ret = TAKE(c);
        return 0;
}

struct codec *codec_free(struct codec *c) {
        if (!c)
                return NULL;
        pthread_mutex_destroy(&c->lock);
        explicit_bzero(c, sizeof *c);
        free(c);
        return NULL;
}

/* *ret: how many bytes at `to`; 0: it did not get smaller. */
static size_t shrink(struct codec *c, const void *payload, size_t size, void *to) {
        if (c->compression == FRAME_LZ4) {
                int n = c->lz4.compress_default(payload, to, (int)size, (int)size - 1);
                return n > 0 ? (size_t)n : 0;
        }
        size_t n = c->zstd.compress(to, size - 1, payload, size, c->level);
        return c->zstd.isError(n) ? 0 : n;
}

/* What is authenticated beside the text itself. */
struct associated {
        uint8_t session[SEGMENT_SALT_BYTES];
        uint32_t count, raw_bytes;
        uint64_t codec;
};
static_assert(sizeof(struct associated) == 32, "it is hashed as it lies");

static int gcm_encrypt(struct codec *c, const struct associated *a, const void *text, size_t size, const uint8_t *nonce,
                       uint8_t *to) {
        struct crypto_library *l = &c->crypto;
        struct evp_cipher_ctx *ctx = l->cipher_ctx_new();
        if (!ctx)
                return fail(-ENOMEM);
        int n;
        bool is_done = l->encrypt_init(ctx, l->aes_256_gcm(), NULL, NULL, NULL) == 1 &&
                       l->cipher_ctx_ctrl(ctx, GCM_SET_IV_BYTES, FRAME_NONCE_BYTES, NULL) == 1 &&
                       l->encrypt_init(ctx, NULL, NULL, c->session_key, nonce) == 1 &&
                       l->encrypt_update(ctx, NULL, &n, (const uint8_t *)a, sizeof *a) == 1 &&
                       l->encrypt_update(ctx, to, &n, text, (int)size) == 1 &&
                       l->encrypt_final(ctx, to + size, &n) == 1 &&
                       l->cipher_ctx_ctrl(ctx, GCM_GET_TAG, FRAME_TAG_BYTES, to + size) == 1;
        l->cipher_ctx_free(ctx);
        return is_done ? 0 : fail(-ENOMEM);
}

static int gcm_decrypt(struct codec *c, const uint8_t *key, const struct associated *a, const uint8_t *text,
                       size_t size, const uint8_t *nonce, uint8_t *to) {
        struct crypto_library *l = &c->crypto;
        struct evp_cipher_ctx *ctx = l->cipher_ctx_new();
        if (!ctx)
                return fail(-ENOMEM);
        int n;
        uint8_t tag[FRAME_TAG_BYTES];
        memcpy(tag, text + size, sizeof tag);
        bool is_begun = l->decrypt_init(ctx, l->aes_256_gcm(), NULL, NULL, NULL) == 1 &&
                        l->cipher_ctx_ctrl(ctx, GCM_SET_IV_BYTES, FRAME_NONCE_BYTES, NULL) == 1 &&
                        l->decrypt_init(ctx, NULL, NULL, key, nonce) == 1 &&
                        l->decrypt_update(ctx, NULL, &n, (const uint8_t *)a, sizeof *a) == 1 &&
                        l->decrypt_update(ctx, to, &n, text, (int)size) == 1 &&
                        l->cipher_ctx_ctrl(ctx, GCM_SET_TAG, FRAME_TAG_BYTES, tag) == 1;
        bool is_true = is_begun && l->decrypt_final(ctx, to + size, &n) == 1;
        l->cipher_ctx_free(ctx);
        return is_true ? 0 : fail(is_begun ? -EBADMSG : -ENOMEM);
}

static int encipher(struct codec *c, size_t raw_bytes, uint32_t count, struct encoded *e) {
        _owned_(memory_free) uint8_t *to = malloc(e->size + FRAME_TAG_BYTES);
        if (!to)
                return fail(-ENOMEM);
        struct associated a = {.count = count, .raw_bytes = (uint32_t)raw_bytes, .codec = e->codec};
        memcpy(a.session, c->session, sizeof a.session);
        uint64_t number = atomic_fetch_add(&c->nonces, 1) + 1;
        memcpy(e->nonce, &number, sizeof number);
        int r = gcm_encrypt(c, &a, e->data, e->size, e->nonce, to);
        if (r)
                return pass(r);
        free(e->owned);
        e->data = e->owned = TAKE(to);
        e->size += FRAME_TAG_BYTES;
        e->cipher = FRAME_AES_256_GCM;
        e->key_id = c->key_id;
        return 0;
}

int codec_encode(struct codec *c, const void *payload, size_t size, uint32_t count, struct encoded *e) {
        *e = (struct encoded){.data = payload, .size = size};
        if (c->compression != FRAME_PLAIN && size >= SHRINK_BYTES_MIN) {
                _owned_(memory_free) void *small = malloc(size);
                if (!small)
                        return fail(-ENOMEM);
                size_t n = shrink(c, payload, size, small);
                if (n) {
                        e->data = e->owned = TAKE(small);
                        e->size = n;
                        e->codec = (uint8_t)c->compression;
                }
        }
        return c->has_key ? pass(encipher(c, size, count, e)) : 0;
}

static int decipher(struct codec *c, const struct frame *f, const uint8_t *session, const uint8_t *stored,
                    uint8_t **ret) {
        if (!c->has_key || f->key_id != c->key_id)
                return fail(-EKEYREJECTED);
        if (f->stored_bytes < FRAME_TAG_BYTES)
                return fail(-EBADMSG);
        size_t size = f->stored_bytes - FRAME_TAG_BYTES;
        _owned_(memory_free) uint8_t *to = malloc(size + 1);
        if (!to)
                return fail(-ENOMEM);
        uint8_t key[STORE_KEY_BYTES];
        int r = derive(c, "penstock frames", session, key);
        struct associated a = {.count = f->count, .raw_bytes = f->raw_bytes, .codec = f->codec};
        memcpy(a.session, session, sizeof a.session);
        if (!r)
                r = gcm_decrypt(c, key, &a, stored, size, f->nonce, to);
        explicit_bzero(key, sizeof key);
        if (r)
                return pass(r);
        *ret = TAKE(to);
        return 0;
}

static int expand(struct codec *c, const struct frame *f, const uint8_t *from, size_t size, uint8_t **ret) {
        int r = need_codec(c, f->codec);
        if (r)
                return pass(r);
        _owned_(memory_free) uint8_t *to = malloc((size_t)f->raw_bytes + 1);
        if (!to)
                return fail(-ENOMEM);
        bool is_right;
        if (f->codec == FRAME_PLAIN) {
                is_right = size == f->raw_bytes;
                if (is_right)
                        memcpy(to, from, size);
        } else if (f->codec == FRAME_LZ4) {
                is_right = c->lz4.decompress_safe((const char *)from, (char *)to, (int)size, (int)f->raw_bytes) ==
                           (int)f->raw_bytes;
        } else {
                is_right = c->zstd.decompress(to, f->raw_bytes, from, size) == f->raw_bytes;
        }
        if (!is_right)
                return fail(-EBADMSG);
        *ret = TAKE(to);
        return 0;
}

int codec_decode(struct codec *c, const struct frame *f, const uint8_t session[static SEGMENT_SALT_BYTES],
                 const uint8_t *stored, void **ret) {
        _owned_(memory_free) uint8_t *clear = NULL;
        size_t size = f->stored_bytes;
        if (f->cipher) {
                int r = decipher(c, f, session, stored, &clear);
                if (r)
                        return pass(r);
                size -= FRAME_TAG_BYTES;
        }
        if (clear && f->codec == FRAME_PLAIN && size == f->raw_bytes) {
                *ret = TAKE(clear);
                return 0;
        }
        uint8_t *raw = NULL;
        int r = expand(c, f, clear ? clear : stored, size, &raw);
        if (r)
                return pass(r);
        *ret = raw;
        return 0;
}

int codec_chain(struct codec *c, uint8_t chain[static SEGMENT_CHAIN_BYTES], const struct frame *f,
                const uint8_t *stored) {
        struct {
                uint64_t lsn;
                int64_t time_us;
                uint32_t count, stored_bytes, raw_bytes;
                uint8_t codec, cipher, flags, zero;
        } head = {f->lsn, f->time_us, f->count, f->stored_bytes, f->raw_bytes, f->codec, f->cipher, f->flags, 0};
        static_assert(sizeof head == 32, "it is hashed as it lies");
        struct crypto_library *l = &c->crypto;
        struct evp_md_ctx *ctx = l->md_ctx_new();
        if (!ctx)
                return fail(-ENOMEM);
        uint8_t next[SEGMENT_CHAIN_BYTES];
        unsigned size = sizeof next;
        bool is_done = l->digest_init(ctx, l->sha256(), NULL) == 1 &&
                       l->digest_update(ctx, chain, SEGMENT_CHAIN_BYTES) == 1 &&
                       l->digest_update(ctx, &head, sizeof head) == 1 &&
                       l->digest_update(ctx, stored, f->stored_bytes) == 1 && l->digest_final(ctx, next, &size) == 1;
        l->md_ctx_free(ctx);
        if (!is_done)
                return fail(-ENOMEM);
        memcpy(chain, next, sizeof next);
        return 0;
}
