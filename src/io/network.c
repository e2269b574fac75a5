#include "io/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/fail.h"

enum { ADDRESS_TEXT_MAX = INET6_ADDRSTRLEN, MAPPED_BITS = 96 };

static const uint8_t mapped_head[12] = {[10] = 0xff, [11] = 0xff};

static void map_ipv4(uint8_t *to, const void *address) {
        memcpy(to, mapped_head, sizeof mapped_head);
        memcpy(to + sizeof mapped_head, address, 4);
}

/* Fills the address; the number of bits that a prefix may have. */
static int parse_address(struct network *network, struct text text) {
        if (text.size > 1 && text.data[0] == '[' && text.data[text.size - 1] == ']')
                text = text_slice(text, 1, text.size - 1);
        char string[ADDRESS_TEXT_MAX];
        if (text.size == 0)
                return -EINVAL;
        if (text.size >= sizeof string)
                return -EDOM;
        memcpy(string, text.data, text.size);
        string[text.size] = '\0';
        uint8_t address[16];
        if (inet_pton(AF_INET, string, address) == 1) {
                map_ipv4(network->address, address);
                return 32;
        }
        if (inet_pton(AF_INET6, string, network->address) == 1)
                return 128;
        return -EDOM;
}

int network_parse(struct network *ret, struct text text) {
        text = text_trim(text);
        const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
        size_t address_size = slash ? (size_t)(slash - text.data) : text.size;
        struct network network;
        int bits_max = parse_address(&network, text_slice(text, 0, address_size));
        if (bits_max < 0)
                return fail(bits_max);
        int64_t bits = bits_max;
        if (slash && text_to_int(text_slice(text, address_size + 1, text.size), &bits))
                return fail(-ERANGE);
        if (bits < 1 || bits > bits_max)
                return fail(-ERANGE);
        network.bits = (uint8_t)(bits_max == 32 ? bits + MAPPED_BITS : bits);
        *ret = network;
        return 0;
}

int network_list_add(struct network_list *list, const struct network *network) {
        if (list->count >= NETWORKS_MAX)
                return fail(-E2BIG);
        struct network *grown = realloc(list->items, (list->count + 1) * sizeof *grown);
        if (!grown)
                return fail(-ENOMEM);
        list->items = grown;
        list->items[list->count++] = *network;
        return 0;
}

void network_list_fini(struct network_list *list) {
        free(list->items);
        *list = (struct network_list){0};
}

static bool network_has(const struct network *network, const uint8_t *address) {
        size_t whole = network->bits / 8;
        unsigned rest = network->bits % 8;
        if (memcmp(network->address, address, whole) != 0)
                return false;
        return rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool network_list_has(const struct network_list *list, const struct sockaddr *sender) {
        if (list->count == 0)
                return true;
        uint8_t address[16];
        if (sender->sa_family == AF_INET)
                map_ipv4(address, &((const struct sockaddr_in *)(const void *)sender)->sin_addr);
        else if (sender->sa_family == AF_INET6)
                memcpy(address, &((const struct sockaddr_in6 *)(const void *)sender)->sin6_addr, sizeof address);
        else
                return true;
        for (size_t i = 0; i < list->count; i++)
                if (network_has(&list->items[i], address))
                        return true;
        return false;
}
