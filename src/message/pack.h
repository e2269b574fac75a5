/*
 * The disk form of messages: some records of a batch packed into bytes, and bytes
 * unpacked into a batch. What is unpacked never trusts the disk: every length is
 * checked, and a pack is good as a whole or refused as a whole.
 *
 * All numbers are little-endian; offsets count from the beginning of the pack.
 *
 *   header, 40 bytes
 *      0  u32  magic "PSM1"
 *      4  u16  version, 1
 *      6  u16  size of this header; messages begin there
 *      8  u32  size of the pack
 *     12  u32  number of messages
 *     16  u32  offset of the sources      20  u32  number of sources
 *     24  u32  offset of the names        28  u32  number of names
 *     32  u32  route: the name (from 1) of the ruleset that shall work on them; 0: the queue's own
 *     36  u32  0
 *
 *   message, one after another
 *      0  u32  size of the message, this included
 *      4  u32  fields: bit n says that field n is there
 *      8  i64  time of reception, microseconds since 1970 UTC
 *     16  u32  size of the raw message
 *     20  u32  source, from 1; 0: none
 *     24  u16  flags (enum record_flag)
 *     26  u16  the name (from 1) of the ruleset that a parser chose; 0: none
 *     28  u8   facility    29  u8  severity    30  u8  protocol    31  u8  size of "<PRI>" in raw
 *     32       the fields that are there, in order:
 *              0 msg, 1 host, 2 tag, 3 app-name, 4 procid, 5 msgid, 6 structured data,
 *              7 $! as JSON, 8 $. as JSON: each u32 offset from the first byte of raw, u32 size
 *              9 uuid: u32 offset; 32 bytes
 *             10 size of programname, which is that much of tag: u32
 *             11 time as the message gives it: i16 year, u8 month, day, hour, minute, second, digits of the
 *                fraction, u32 fraction, i16 minutes east of UTC, u8 bit 0 UTC, bit 1 "-00:00", u8 0
 *              the raw message as received, then what does not lie in it
 *
 *   source
 *      u8 bit 0 local, bit 1 host in lower case, bit 2 host is known, bit 3 its name has yet to decide whether it
 *      may send; then five texts: name of the input, address, port, host, time zone ("" for none); with bit 3 the
 *      text and the u64 of admission_find()
 *
 *   name, text: u16 size, bytes
 */
#pragma once

#include "message/batch.h"

enum {
        PACK_MAGIC = 0x314d5350,
        PACK_VERSION = 1,
        PACK_HEADER_BYTES = 40,
        PACK_NAME_BYTES_MAX = 65535,
};

/* How rulesets are called; all lent. NULL functions: batches have no route. */
struct pack_names {
        const char *(*name_of_route)(void *owner, const void *route);
        const void *(*route_of_name)(void *owner, struct text name); /* NULL: there is none any more */
        void *owner;
        const char *const *rulesets; /* as record.ruleset counts them */
        size_t ruleset_count;
};

/* Appends records [first, first + count) of b to `out`; -ENOMEM, -EMSGSIZE (a pack counts in 32 bits). */
int pack_records(struct buffer *out, const struct batch *b, uint32_t first, uint32_t count,
                 const struct pack_names *names);

/*
 * A batch with the messages of a pack, all but the first `skip`. What names a ruleset that is no more stays with the
 * queue's own. -EBADMSG: no pack, or damaged; -ENOMEM.
 */
int unpack_records(struct batch **ret, struct batch_pool *pool, struct text pack, uint32_t skip,
                   const struct pack_names *names);
