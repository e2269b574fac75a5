#include "control/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"

enum { ASK_TIMEOUT_MS = 10000 };

int link_open(struct link *link, const char *socket) {
        int r = penstock_bus_connect(&link->bus, socket, 0);
        if (r == 0)
                return 0;
        fprintf(stderr, "penstock: no bus answers on %s: %s\n", socket ? socket : "its usual place", fail_text(r));
        if (!socket)
                fprintf(stderr, "penstock: is penstockd running? --socket says where global(bus.socket) has put it\n");
        return LINK_FAILED;
}

void link_fini(struct link *link) {
        penstock_bus_close(link->bus);
        arena_fini(&link->arena);
}

struct json *link_parse(struct link *link, struct text text) {
        struct json *value = NULL;
        size_t used;
        return json_parse(&link->arena, text, &value, &used) ? NULL : value;
}

static int ask(struct link *link, const char *command, const char *arguments, struct penstock_bus_result **ret) {
        const struct penstock_bus_call call = {
                .to = link->to ? link->to : "Penstock",
                .command = command,
                .arguments = arguments,
                .timeout_ms = link->timeout_ms ? (int)MIN(link->timeout_ms, (int64_t)INT32_MAX) : ASK_TIMEOUT_MS};
        int r = penstock_bus_call_sync(link->bus, &call, ret);
        if (r == -EINVAL) {
                fprintf(stderr, "penstock: %s: the arguments are no JSON: %s\n", command, arguments ? arguments : "");
                return LINK_FAILED;
        }
        if (r) {
                fprintf(stderr, "penstock: %s: %s\n", command, fail_text(r));
                return LINK_FAILED;
        }
        if ((*ret)->code == 0)
                return 0;
        bool is_alone = (*ret)->code == PENSTOCK_BUS_NO_RECIPIENT && !link->to;
        fprintf(stderr, "penstock: %s: %s\n", command,
                is_alone ? "the bus is there, but no penstockd on it" : (*ret)->text);
        penstock_bus_result_free(*ret);
        return LINK_FAILED;
}

int link_ask(struct link *link, const char *command, const char *arguments, struct json **ret) {
        struct penstock_bus_result *result;
        int r = ask(link, command, arguments, &result);
        if (r)
                return r;
        if (ret)
                *ret = link_parse(link, (struct text){result->data, result->data_size});
        penstock_bus_result_free(result);
        return 0;
}

int link_print(struct link *link, const char *command, const char *arguments) {
        struct penstock_bus_result *result;
        int r = ask(link, command, arguments, &result);
        if (r)
                return r;
        printf("%s\n", *result->data ? result->data : "null");
        penstock_bus_result_free(result);
        return 0;
}

struct text member_text(const struct json *object, const char *name) {
        const struct json *value = object && object->type == JSON_OBJECT ? json_get(object, text_of(name)) : NULL;
        return value && value->type == JSON_STRING ? value->string : TEXT("");
}

int64_t member_int(const struct json *object, const char *name) {
        const struct json *value = object && object->type == JSON_OBJECT ? json_get(object, text_of(name)) : NULL;
        return value && value->type == JSON_INT ? value->integer : 0;
}

const char *short_time(char to[SHORT_BYTES], int64_t ms) {
        if (ms < 1000)
                snprintf(to, SHORT_BYTES, "%lld ms", (long long)ms);
        else if (ms < 120 * 1000)
                snprintf(to, SHORT_BYTES, "%lld s", (long long)(ms / 1000));
        else if (ms < 120 * 60000)
                snprintf(to, SHORT_BYTES, "%lld min", (long long)(ms / 60000));
        else if (ms < INT64_C(48) * 3600000)
                snprintf(to, SHORT_BYTES, "%lld h", (long long)(ms / 3600000));
        else
                snprintf(to, SHORT_BYTES, "%lld d", (long long)(ms / 86400000));
        return to;
}

const char *short_bytes(char to[SHORT_BYTES], int64_t bytes) {
        static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
        double amount = (double)bytes;
        size_t unit = 0;
        for (; amount >= 1000 && unit + 1 < ARRAY_SIZE(units); unit++)
                amount /= 1000;
        snprintf(to, SHORT_BYTES, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
        return to;
}

void print_text(struct text text, size_t columns) {
        size_t shown = 0;
        for (size_t i = 0; i < text.size && (!columns || shown < columns); i++) {
                unsigned char c = (unsigned char)text.data[i];
                shown += (c & 0xc0) != 0x80; /* what continues a character takes no column */
                putchar(c < ' ' || c == 0x7f ? '.' : c);
        }
}
