#include <stddef.h>
#include <stdint.h>

#include "io/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct service_host hosts[SERVICE_HOSTS_MAX];
        size_t count;
        service_parse(data, size, hosts, &count);
        return 0;
}
