/*
 * How counters are shown: objects with a name, an origin and values, as rsyslog
 * names them. Whoever writes statistics is a visitor; everything is lent for the call.
 */
#pragma once

#include "base/text.h"

struct statistic_value {
        struct text name;
        int64_t value;
};

struct statistic_object {
        struct text name;
        const char *origin;
        bool is_nested; /* JSON keeps the values in an object "values": names come from users */
        const struct statistic_value *values;
        size_t count;
};

struct statistic_visitor {
        void (*visit)(struct statistic_visitor *visitor, const struct statistic_object *object);
};

enum { STATISTIC_NAME_BYTES_MAX = 512 };
