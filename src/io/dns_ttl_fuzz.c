/* Any bytes as the reply of a name server: a number of seconds, or none. */
#include <assert.h>

#include "io/dns_ttl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        int64_t ttl = dns_reply_ttl(data, size);
        assert(ttl <= UINT32_MAX);
        return 0;
}
