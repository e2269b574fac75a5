/*
 * What happens to a packed frame on its way to the disk: compressed, enciphered,
 * chained; each optional. The libraries are looked for when a store that wants them
 * opens, and never linked.
 *
 * Everything here may be called from several threads at a time, the chain excepted.
 */
#pragma once

#include <stdint.h>

#include "base/macros.h"
#include "base/reporter.h"
#include "queue/segment.h"
#include "queue/store.h"

struct codec;

/* -ENOENT: a library is missing; -EINVAL, -EACCES ...: the key. Each reported. */
int codec_new(struct codec **ret, const struct store_options *options, const uint8_t session[static SEGMENT_SALT_BYTES],
              struct reporter *reporter);
struct codec *codec_free(struct codec *c);
OWNED_POINTER(struct codec, codec_free);

struct encoded {
        const void *data; /* the payload itself, or `owned` */
        size_t size;
        void *owned;
        uint8_t codec, cipher;
        uint64_t key_id;
        uint8_t nonce[FRAME_NONCE_BYTES];
};
static inline void encoded_fini(struct encoded *e) {
        memory_free_owned(&e->owned);
}
OWNED_VALUE(struct encoded, encoded_fini);

/* What is stored for a payload; is never larger than it and a tag. */
int codec_encode(struct codec *c, const void *payload, size_t size, uint32_t count, struct encoded *e);

/*
 * Back again: *ret is malloc()ed. `session` is of the segment it lies in. -EBADMSG: damage; -EKEYREJECTED: the key is
 * not the one it was written with; -ENOENT: the library is missing.
 */
int codec_decode(struct codec *c, const struct frame *f, const uint8_t session[static SEGMENT_SALT_BYTES],
                 const uint8_t *stored, void **ret);

/* chain = SHA-256(chain, lsn, time, count, sizes, codec, cipher, flags, what is stored). -ENOMEM: nothing changed. */
int codec_chain(struct codec *c, uint8_t chain[static SEGMENT_CHAIN_BYTES], const struct frame *f,
                const uint8_t *stored);
