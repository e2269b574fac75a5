#include "message/change.h"

#include <errno.h>

#include "base/fail.h"

/* How much of the raw message stands before the text; all, where the text does not lie in it. */
static size_t size_before_msg(const struct record *r) {
        bool is_inside = r->msg.at >= r->raw.at && r->msg.at <= r->raw.at + r->raw.size;
        return is_inside ? r->msg.at - r->raw.at : r->raw.size;
}

int change_msg(struct batch *b, struct record *r, struct text t) {
        struct text before = text_slice(batch_text(b, r->raw), 0, size_before_msg(r));
        struct span raw;
        char *room = batch_room(b, before.size + t.size, &raw);
        if (!room)
                return fail(-ENOMEM);
        if (before.size)
                memcpy(room, before.data, before.size);
        if (t.size)
                memcpy(room + before.size, t.data, t.size);
        r->raw = raw;
        r->msg = span_slice(raw, before.size, raw.size);
        return 0;
}
