/* A pattern and a name, divided by the first line feed: a name without wildcards always matches itself. */
#include "io/tls_peer.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool is_plain(struct text name) {
        bool was_dot = true;
        for (size_t i = 0; i < name.size; i++) {
                if (name.data[i] == '*' || name.data[i] == '\0' || (was_dot && name.data[i] == '.'))
                        return false;
                was_dot = name.data[i] == '.';
        }
        return !was_dot;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
        struct text all = {(const char *)data, size};
        const char *end = size ? memchr(data, '\n', size) : NULL;
        size_t split = end ? (size_t)(end - all.data) : size;
        struct text peer = text_slice(all, 0, split), name = text_slice(all, split + 1, size);
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = tls_peer_check(peer, &complaint);
        assert((r == 0) == (complaint.size == 0));
        tls_peer_has_name(peer, name);
        tls_peer_has_address(peer, (const unsigned char *)name.data, name.size >= 16 ? 16 : name.size >= 4 ? 4 : 0);
        unsigned char digest[32] = {0};
        for (size_t i = 0; i < sizeof digest && i < name.size; i++)
                digest[i] = (unsigned char)name.data[i];
        tls_peer_has_digest(peer, "SHA1", digest, 20);
        tls_peer_has_digest(peer, "SHA256", digest, 32);
        if (is_plain(peer) && !tls_peer_is_fingerprint(peer))
                assert(tls_peer_has_name(peer, peer));
        /* A name of other bytes than its pattern's never matches without a wildcard on one side. */
        if (is_plain(peer) && is_plain(name) && !text_equal_nocase(peer, name))
                assert(!tls_peer_has_name(peer, name));
        return 0;
}
