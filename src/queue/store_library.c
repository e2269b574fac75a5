#include "queue/store_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/fail.h"
#include "base/macros.h"

struct symbol {
        const char *name;
        size_t offset;
};

/* Libraries stay for the life of the process: others may hold what they gave. */
static int open_library(void *library, const char *file, const struct symbol *symbols, size_t count, const char **why) {
        void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!handle) {
                *why = dlerror();
                return fail(-ENOENT);
        }
        for (size_t i = 0; i < count; i++) {
                void *found = dlsym(handle, symbols[i].name);
                if (!found) {
                        *why = dlerror();
                        dlclose(handle);
                        return fail(-ENOENT);
                }
                memcpy((char *)library + symbols[i].offset, &found, sizeof found);
        }
        *(void **)library = handle;
        return 0;
}

int lz4_library_open(struct lz4_library *library, const char **why) {
        static const struct symbol symbols[] = {
                {"LZ4_compress_default", offsetof(struct lz4_library, compress_default)},
                {"LZ4_decompress_safe", offsetof(struct lz4_library, decompress_safe)},
        };
        return pass(open_library(library, "liblz4.so.1", symbols, ARRAY_SIZE(symbols), why));
}

int zstd_library_open(struct zstd_library *library, const char **why) {
        static const struct symbol symbols[] = {
                {"ZSTD_compress", offsetof(struct zstd_library, compress)},
                {"ZSTD_decompress", offsetof(struct zstd_library, decompress)},
                {"ZSTD_isError", offsetof(struct zstd_library, isError)},
        };
        return pass(open_library(library, "libzstd.so.1", symbols, ARRAY_SIZE(symbols), why));
}

int crypto_library_open(struct crypto_library *library, const char **why) {
        static const struct symbol symbols[] = {
#define CALL(field, name) {name, offsetof(struct crypto_library, field)}
                CALL(cipher_ctx_new, "EVP_CIPHER_CTX_new"),
                CALL(cipher_ctx_free, "EVP_CIPHER_CTX_free"),
                CALL(cipher_ctx_ctrl, "EVP_CIPHER_CTX_ctrl"),
                CALL(aes_256_gcm, "EVP_aes_256_gcm"),
                CALL(encrypt_init, "EVP_EncryptInit_ex"),
                CALL(encrypt_update, "EVP_EncryptUpdate"),
                CALL(encrypt_final, "EVP_EncryptFinal_ex"),
                CALL(decrypt_init, "EVP_DecryptInit_ex"),
                CALL(decrypt_update, "EVP_DecryptUpdate"),
                CALL(decrypt_final, "EVP_DecryptFinal_ex"),
                CALL(md_ctx_new, "EVP_MD_CTX_new"),
                CALL(md_ctx_free, "EVP_MD_CTX_free"),
                CALL(sha256, "EVP_sha256"),
                CALL(digest_init, "EVP_DigestInit_ex"),
                CALL(digest_update, "EVP_DigestUpdate"),
                CALL(digest_final, "EVP_DigestFinal_ex"),
                CALL(hmac, "HMAC"),
#undef CALL
        };
        return pass(open_library(library, "libcrypto.so.3", symbols, ARRAY_SIZE(symbols), why));
}
