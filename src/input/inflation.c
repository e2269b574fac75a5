#include "input/inflation.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

enum {
        RATIO_FREE_BYTES = 1 << 20, /* so much may always come out: short streams compress wildly */
};

struct inflation {
        struct decompressor *decompressor;
        struct inflation_options options;
        struct text fed; /* what of it is left */
        atomic_size_t *windows;
        size_t window; /* our part of them */
        uint64_t in, out;
        uint64_t out_of_this; /* since the last inflation_feed() */
        bool has_more;        /* the last output was full: the library may hold back */
};

int inflation_new(struct inflation **ret, const struct inflation_options *options, atomic_size_t *windows) {
        _owned_(inflation_free) struct inflation *i = calloc(1, sizeof *i);
        if (!i)
                return fail(-ENOMEM);
        i->options = *options;
        i->windows = windows;
        int r = decompressor_new(&i->decompressor, options->kind);
        if (r)
                return pass(r);
        if (options->window_bytes_max > 0) {
                size_t most = (size_t)options->window_bytes_max;
                size_t held = atomic_load_explicit(windows, memory_order_relaxed);
                decompressor_bound_window(i->decompressor, most > held ? most - held : 0);
        }
        *ret = TAKE(i);
        return 0;
}

struct inflation *inflation_free(struct inflation *i) {
        if (!i)
                return NULL;
        atomic_fetch_sub_explicit(i->windows, i->window, memory_order_relaxed);
        decompressor_free(i->decompressor);
        free(i);
        return NULL;
}

bool inflation_is_drained(const struct inflation *i) {
        return i->fed.size == 0 && !i->has_more;
}

void inflation_feed(struct inflation *i, const void *data, size_t size) {
        assert(inflation_is_drained(i));
        i->fed = (struct text){data, size};
        i->in += size;
        i->out_of_this = 0;
}

/* A window is there when it is counted, so that each thread can overstep the bound by one window for the moment. */
static bool window_fits(struct inflation *i) {
        size_t window = decompressor_window(i->decompressor);
        if (LIKELY(window == i->window))
                return true;
        size_t held = atomic_fetch_add_explicit(i->windows, window - i->window, memory_order_relaxed);
        held += window - i->window;
        i->window = window;
        return i->options.window_bytes_max <= 0 || held <= (size_t)i->options.window_bytes_max;
}

static bool is_within_bounds(struct inflation *i) {
        if (!window_fits(i))
                return false;
        const struct inflation_options *o = &i->options;
        if (o->bytes_max_per_receive > 0 && i->out_of_this > (uint64_t)o->bytes_max_per_receive)
                return false;
        if (o->ratio_max <= 0 || i->out <= RATIO_FREE_BYTES)
                return true;
        return i->out / (uint64_t)o->ratio_max <= i->in;
}

ssize_t inflation_take(struct inflation *i, void *to, size_t room) {
        size_t used = 0, made = 0;
        int r = decompressor_step(i->decompressor, i->fed, &used, to, room, &made);
        if (r)
                return pass(r);
        i->fed = text_slice(i->fed, used, i->fed.size);
        i->has_more = made == room;
        i->out += made;
        i->out_of_this += made;
        if (!is_within_bounds(i))
                return fail(-E2BIG);
        return (ssize_t)made;
}
