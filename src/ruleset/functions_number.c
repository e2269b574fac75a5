/*
 * Functions on numbers and addresses.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/random.h"
#include "ruleset/functions.h"

static struct value argument(const struct function_call *c, uint32_t i, struct evaluation *ev) {
        return expression_eval(c->arguments[i], ev);
}

/* cnum(value): only a string that stands there as it is may be hexadecimal or octal. */
static struct value call_cnum(const struct function_call *c, struct evaluation *ev) {
        struct value v = argument(c, 0, ev);
        bool is_fixed = expression_is_string(c->arguments[0]);
        return value_number(is_fixed ? value_to_operand(&v) : value_to_number(&v, NULL));
}

/* cbool(value): 1 for a number that is not 0 and for "true", "on" and "yes" in any case, else 0. */
static struct value call_cbool(const struct function_call *c, struct evaluation *ev) {
        static const char *const words[] = {"true", "on", "yes"};
        struct value v = argument(c, 0, ev);
        bool is_number;
        int64_t number = value_to_number(&v, &is_number);
        bool is_true = is_number && number != 0;
        for (size_t i = 0; v.kind == VALUE_TEXT && i < ARRAY_SIZE(words); i++)
                is_true |= text_equal_nocase(v.text, text_of(words[i]));
        return value_number(is_true);
}

/* int2hex(number): negative ones as their two's complement. */
static struct value call_int2hex(const struct function_call *c, struct evaluation *ev) {
        struct value v = argument(c, 0, ev);
        bool is_whole;
        int64_t number = value_to_number(&v, &is_whole);
        if (!is_whole)
                return value_text(TEXT("NAN"));
        char text[20];
        int size = snprintf(text, sizeof text, "%llx", (unsigned long long)number);
        return value_text(arena_text(&ev->arena, (struct text){text, (size_t)size}));
}

static struct value call_num2ipv4(const struct function_call *c, struct evaluation *ev) {
        struct value v = argument(c, 0, ev);
        bool is_whole;
        int64_t number = value_to_number(&v, &is_whole);
        if (!is_whole || number < 0 || number > UINT32_MAX)
                return value_text(TEXT("-1"));
        unsigned address = (unsigned)number;
        char text[16];
        int size = snprintf(text, sizeof text, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                            address & 255);
        return value_text(arena_text(&ev->arena, (struct text){text, (size_t)size}));
}

/*
 * Four numbers and three dots, blanks around them. Nobody looks at how large the
 * numbers are; the first and the last may be missing.
 */
static int64_t ipv4_number(struct text t) {
        size_t at = 0, dots = 0;
        uint32_t part = 0, whole = 0;
        bool was_dot = false;
        while (at < t.size && t.data[at] == ' ')
                at++;
        for (; at < t.size && t.data[at] != ' '; at++) {
                char byte = t.data[at];
                if (byte >= '0' && byte <= '9') {
                        part = part * 10 + (uint32_t)(byte - '0');
                } else if (byte == '.' && dots < 3 && !was_dot) {
                        whole += part << (24 - 8 * dots++);
                        part = 0;
                } else
                        return -1;
                was_dot = byte == '.';
        }
        while (at < t.size && t.data[at] == ' ')
                at++;
        return at == t.size && dots == 3 ? (int64_t)(uint32_t)(whole + part) : -1;
}

static struct value call_ipv42num(const struct function_call *c, struct evaluation *ev) {
        return value_number(ipv4_number(function_text(c, 0, ev)));
}

enum { RANDOM_MAX = INT32_MAX };

/* random(max): 0 to max - 1. */
static struct value call_random(const struct function_call *c, struct evaluation *ev) {
        struct value v = argument(c, 0, ev);
        int64_t limit = value_to_number(&v, NULL);
        if (limit == 0)
                return value_number(0);
        uint64_t size = limit < 0 ? -(uint64_t)limit : (uint64_t)limit;
        return value_number((int64_t)(random_next(&ev->random_state) % MIN(size, (uint64_t)RANDOM_MAX)));
}

struct address {
        unsigned char bytes[16];
        unsigned size;
};

static bool read_address(struct address *ret, struct text t) {
        char string[INET6_ADDRSTRLEN];
        if (t.size >= sizeof string || t.size == 0 || memchr(t.data, 0, t.size))
                return false;
        memcpy(string, t.data, t.size);
        string[t.size] = 0;
        *ret = (struct address){.size = memchr(string, ':', t.size) ? 16 : 4};
        return inet_pton(ret->size == 16 ? AF_INET6 : AF_INET, string, ret->bytes) == 1;
}

/* is_in_subnet(address, "network/bits"): IPv4 or IPv6; 0 also where one of them is no address. */
static struct value call_is_in_subnet(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev), subnet = function_text(c, 1, ev);
        ptrdiff_t slash = text_find(subnet, TEXT("/"));
        struct address address, network;
        if (!read_address(&address, t) ||
            !read_address(&network, slash < 0 ? subnet : text_slice(subnet, 0, (size_t)slash)) ||
            address.size != network.size)
                return value_number(0);
        int64_t bits = address.size * 8;
        if (slash >= 0 && (text_to_int(text_slice(subnet, (size_t)slash + 1, subnet.size), &bits) || bits < 0 ||
                           bits > address.size * 8))
                return value_number(0);
        size_t whole = (size_t)bits / 8;
        unsigned rest = (unsigned)bits % 8;
        bool is_in = memcmp(address.bytes, network.bytes, whole) == 0 &&
                     (rest == 0 || (address.bytes[whole] ^ network.bytes[whole]) >> (8 - rest) == 0);
        return value_number(is_in);
}

static const struct function functions[] = {
        {"cbool", 1, 1, call_cbool, NULL, NULL},       {"cnum", 1, 1, call_cnum, NULL, NULL},
        {"int2hex", 1, 1, call_int2hex, NULL, NULL},   {"ip42num", 1, 1, call_ipv42num, NULL, NULL},
        {"ipv42num", 1, 1, call_ipv42num, NULL, NULL}, {"is_in_subnet", 2, 2, call_is_in_subnet, NULL, NULL},
        {"num2ipv4", 1, 1, call_num2ipv4, NULL, NULL}, {"random", 1, 1, call_random, NULL, NULL},
};

const struct function_table functions_number = {functions, ARRAY_SIZE(functions)};
