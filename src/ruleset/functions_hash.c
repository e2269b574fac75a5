/*
 * fmhash: hashes of texts. The 32-bit one is FNV-1 that begins with the seed, the
 * 64-bit one Bernstein's with exclusive or, the seed added at the end.
 */
#include "ruleset/builtin.h"
#include "ruleset/functions.h"

static uint64_t hash32(struct text t, uint32_t seed) {
        uint32_t h = seed;
        for (size_t i = 0; i < t.size; i++)
                h = (h * 16777619u) ^ (unsigned char)t.data[i];
        return h;
}

static uint64_t hash64(struct text t, uint32_t seed) {
        uint64_t h = 5381;
        for (size_t i = 0; i < t.size; i++)
                h = (h * 33) ^ (uint64_t)(int64_t)(signed char)t.data[i];
        return h + seed;
}

typedef uint64_t (*hash)(struct text t, uint32_t seed);

/* Argument i as a number; false where it is none. */
static bool read_number(int64_t *ret, const struct function_call *c, uint32_t i, struct evaluation *ev) {
        bool is_whole;
        struct value v = expression_eval(c->arguments[i], ev);
        *ret = value_to_number(&v, &is_whole);
        return is_whole;
}

/* hash(text [, seed]) */
static struct value call_hash(const struct function_call *c, struct evaluation *ev, hash function) {
        int64_t seed = 0;
        if (c->count > 1 && !read_number(&seed, c, 1, ev))
                return value_number(0);
        return value_number((int64_t)function(function_text(c, 0, ev), (uint32_t)seed));
}

/* hashmod(text, modulo [, seed]) */
static struct value call_modulo(const struct function_call *c, struct evaluation *ev, hash function) {
        int64_t modulo, seed = 0;
        if (!read_number(&modulo, c, 1, ev) || modulo == 0 || (c->count > 2 && !read_number(&seed, c, 2, ev)))
                return value_number(0);
        return value_number((int64_t)(function(function_text(c, 0, ev), (uint32_t)seed) % (uint64_t)modulo));
}

static struct value call_hash32(const struct function_call *c, struct evaluation *ev) {
        return call_hash(c, ev, hash32);
}
static struct value call_hash64(const struct function_call *c, struct evaluation *ev) {
        return call_hash(c, ev, hash64);
}
static struct value call_hash32mod(const struct function_call *c, struct evaluation *ev) {
        return call_modulo(c, ev, hash32);
}
static struct value call_hash64mod(const struct function_call *c, struct evaluation *ev) {
        return call_modulo(c, ev, hash64);
}

static const struct function functions[] = {
        {"hash32", 1, 2, call_hash32, NULL, NULL},
        {"hash32mod", 2, 3, call_hash32mod, NULL, NULL},
        {"hash64", 1, 2, call_hash64, NULL, NULL},
        {"hash64mod", 2, 3, call_hash64mod, NULL, NULL},
};

const struct function_table functions_hash = {functions, ARRAY_SIZE(functions)};

const struct module fmhash_module = {MODULE_HEAD, .kind = MODULE_LIBRARY, .name = "fmhash",
                                     .help = "The functions hash32(), hash64(), hash32mod() and hash64mod()."};
