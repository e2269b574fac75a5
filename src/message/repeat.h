/*
 * "message repeated 3 times: [ ...]": what $RepeatedMsgReduction does with a message that says the same as the one
 * before it from the same input.
 *
 *   NEW     -> passed on, and remembered            repeat_reduce()
 *   AGAIN   -> held back, the newest only, counted  repeat_reduce()
 *   OTHER   -> what was held back is told first     repeat_reduce()
 *   (late)  -> told without waiting for another     repeat_take()
 *
 * The same are two messages with equal text, host, program and process, whatever their time and severity. Of two
 * equal ones both are told as they are; of more, the first, and how often it came after that, with the time and
 * severity of the last. An input is a listener (source->origin); REPEAT_SOURCES_MAX of them are remembered.
 *
 * Several threads may use one; what it hands out is the caller's.
 */
#pragma once

#include "message/batch.h"
#include "message/property.h"

enum {
        REPEAT_SOURCES_MAX = 64,     /* beyond, the next one takes the place of another, which is told */
        REPEAT_SHOWN_BYTES_MAX = 800 /* of the message, between the brackets */
};

struct repeat;

int repeat_new(struct repeat **ret, struct batch_pool *pool); /* -ENOMEM */
struct repeat *repeat_free(struct repeat *repeat);            /* what is still held back is lost */
OWNED_POINTER(struct repeat, repeat_free);

/*
 * Looks at the selected records, which are parsed and in the order they came. Returns how many of them remain in the
 * selection; *told are batches of one record each, linked by next, that were held back and go before them.
 */
size_t repeat_reduce(struct repeat *repeat, struct property_context *context, struct batch *b, uint16_t *selection,
                     size_t count, struct batch **told);

/* Batches as above, of what is held back since `until_us` (wall clock) or longer. */
struct batch *repeat_take(struct repeat *repeat, int64_t until_us);

/* Since when the oldest one is held back (wall clock); 0: none is. */
int64_t repeat_held_since_us(struct repeat *repeat);
