#include "output/omfile_retry.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static uint64_t mix(uint64_t a, uint64_t b) {
        __uint128_t product = (__uint128_t)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes a step, each folded in by a 64x64 to 128 bit multiplication. */
uint64_t omfile_hash(struct text t, uint64_t seed) {
        const uint64_t odd = 0x9e3779b97f4a7c15, other = 0xd6e8feb86659fd93;
        uint64_t hash = seed ^ mix(t.size ^ odd, other);
        const char *at = t.data;
        size_t left = t.size;
        for (; left >= 8; at += 8, left -= 8) {
                uint64_t word;
                memcpy(&word, at, 8);
                hash = mix(hash ^ word, odd);
        }
        if (left) {
                uint64_t word = 0;
                memcpy(&word, at, left);
                hash = mix(hash ^ word, other);
        }
        return mix(hash ^ other, odd);
}

void omfile_retry_fini(struct omfile_retry *r) {
        free(r->selection);
        free(r->hashes);
        free(r->is_done);
        *r = (struct omfile_retry){0};
}

void omfile_retry_forget(struct omfile_retry *r) {
        r->batch = NULL;
        r->count = 0;
}

static bool is_same(const struct omfile_retry *r, const struct work *work, size_t offset) {
        if (offset + work->count > r->count)
                return false;
        if (memcmp(r->selection + offset, work->selection, work->count * sizeof *work->selection) != 0)
                return false;
        size_t last = work->count - 1;
        return r->hashes[offset] == omfile_hash(work->column[0][0], 0) &&
               r->hashes[offset + last] == omfile_hash(work->column[0][last], 0);
}

const bool *omfile_retry_find(const struct omfile_retry *r, const struct work *work) {
        if (!r->batch || r->batch != work->batch || work->count == 0)
                return NULL;
        for (size_t offset = 0; offset < 2; offset++)
                if (is_same(r, work, offset))
                        return r->is_done + offset;
        return NULL;
}

static bool grow(struct omfile_retry *r, size_t count) {
        if (count <= r->capacity)
                return true;
        omfile_retry_fini(r);
        r->selection = malloc(count * sizeof *r->selection);
        r->hashes = malloc(count * sizeof *r->hashes);
        r->is_done = malloc(count * sizeof *r->is_done);
        if (!r->selection || !r->hashes || !r->is_done) {
                omfile_retry_fini(r);
                return false;
        }
        r->capacity = count;
        return true;
}

/* Refused rows come off the front one by one: what is known of the others is not made again. */
static void shift(struct omfile_retry *r, size_t from, size_t count) {
        memmove(r->selection, r->selection + from, count * sizeof *r->selection);
        memmove(r->hashes, r->hashes + from, count * sizeof *r->hashes);
}

void omfile_retry_keep(struct omfile_retry *r, const struct work *work, size_t first, const bool *is_done,
                       const bool *known) {
        size_t count = work->count - first;
        if (known)
                shift(r, (size_t)(known - r->is_done) + first, count);
        else {
                if (!grow(r, count))
                        return;
                for (size_t i = 0; i < count; i++)
                        r->hashes[i] = omfile_hash(work->column[0][first + i], 0);
                memcpy(r->selection, work->selection + first, count * sizeof *r->selection);
        }
        memcpy(r->is_done, is_done + first, count * sizeof *is_done);
        r->batch = work->batch;
        r->count = count;
}
