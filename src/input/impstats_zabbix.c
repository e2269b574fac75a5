#include "input/impstats_zabbix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "input/impstats_format.h"

/* Inputs whose arrays rsyslog calls otherwise than their origin. */
static const char *const local_origins[] = {"imtcp", "imudp"};

/* Dots would make a path of it. */
static void name_array(struct buffer *out, struct text origin) {
        buffer_clear(out);
        buffer_text(out, TEXT("stats_"));
        for (size_t i = 0; i < origin.size; i++)
                buffer_byte(out, origin.data[i] == '.' ? '_' : origin.data[i]);
        for (size_t i = 0; i < ARRAY_SIZE(local_origins); i++)
                if (text_equal(origin, text_of(local_origins[i])))
                        buffer_text(out, TEXT("_local"));
}

/* NULL without memory. */
static struct zabbix_array *add_array(struct zabbix_report *z, struct text name) {
        struct zabbix_array *arrays = reallocarray(z->arrays, z->count + 1, sizeof *arrays);
        if (!arrays)
                return NULL;
        z->arrays = arrays;
        struct zabbix_array *array = &arrays[z->count];
        *array = (struct zabbix_array){0};
        buffer_text(&array->name, name);
        if (buffer_failed(&array->name)) {
                buffer_fini(&array->name);
                return NULL;
        }
        z->count++;
        return array;
}

static struct zabbix_array *find_array(struct zabbix_report *z, struct text origin) {
        name_array(&z->name, origin);
        if (buffer_failed(&z->name))
                return NULL;
        struct text name = buffer_as_text(&z->name);
        for (size_t i = 0; i < z->count; i++)
                if (text_equal(buffer_as_text(&z->arrays[i].name), name))
                        return &z->arrays[i];
        return add_array(z, name);
}

void zabbix_fini(struct zabbix_report *z) {
        for (size_t i = 0; i < z->count; i++) {
                buffer_fini(&z->arrays[i].name);
                buffer_fini(&z->arrays[i].objects);
        }
        free(z->arrays);
        buffer_fini(&z->name);
        *z = (struct zabbix_report){0};
}

void zabbix_begin(struct zabbix_report *z) {
        for (size_t i = 0; i < z->count; i++)
                buffer_clear(&z->arrays[i].objects);
        z->is_failed = false;
}

void zabbix_add(struct zabbix_report *z, const struct statistic_object *object) {
        struct zabbix_array *array = find_array(z, text_of(object->origin));
        if (!array) {
                z->is_failed = true;
                return;
        }
        if (array->objects.size)
                buffer_byte(&array->objects, ',');
        impstats_render(&array->objects, object, IMPSTATS_ZABBIX);
        z->is_failed |= buffer_failed(&array->objects) != 0;
}

int zabbix_end(struct zabbix_report *z, struct buffer *out, struct text date) {
        if (z->is_failed)
                return fail(-ENOMEM);
        buffer_text(out, TEXT("{ \"timedate\": \""));
        buffer_text(out, date);
        buffer_byte(out, '"');
        for (size_t i = 0; i < z->count; i++) {
                if (z->arrays[i].objects.size == 0)
                        continue;
                buffer_text(out, TEXT(", \""));
                buffer_text(out, buffer_as_text(&z->arrays[i].name));
                buffer_text(out, TEXT("\": ["));
                buffer_text(out, buffer_as_text(&z->arrays[i].objects));
                buffer_byte(out, ']');
        }
        buffer_byte(out, '}');
        return pass(buffer_failed(out));
}
