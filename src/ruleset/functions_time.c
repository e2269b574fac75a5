/*
 * Functions on times: between UNIX timestamps and the dates of RFC 3164 and RFC 3339.
 * parse_time(), is_time() and parse_json() are the ones that script_error() tells of.
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "message/header.h"
#include "message/stamp_text.h"
#include "ruleset/functions.h"

enum { YEAR_MIN = 1970, YEAR_MAX = 2099 /* the years that rsyslog turns into timestamps */ };

/* In UTC, whatever year the date of RFC 3164 names behind the day; before the month there must be none. */
static bool read_old_date(struct stamp *s, struct text t) {
        bool begins_with_year = t.size && t.data[0] >= '0' && t.data[0] <= '9';
        if (!t.size || begins_with_year || !header_date(s, t.data, t.data + t.size, false))
                return false;
        struct stamp now = stamp_of_wall(clock_wall_us());
        s->year = stamp_guess_year(s->month, &now);
        s->offset_minutes = 0;
        return true;
}

static bool read_iso_date(struct stamp *s, struct text t) {
        return t.size && header_iso_date(s, t.data, t.data + t.size);
}

/* parse_time(text): seconds since 1970, 0 where there is no date. */
static struct value call_parse_time(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        struct stamp s = {0};
        bool is_date = read_iso_date(&s, t);
        if (!is_date) {
                s = (struct stamp){0};
                is_date = read_old_date(&s, t);
        }
        ev->has_script_error = !is_date;
        if (!is_date || s.year < YEAR_MIN || s.year > YEAR_MAX)
                return value_number(0);
        s.fraction = 0;
        return value_number(stamp_to_wall(&s) / 1000000);
}

/* is_time(text or number [, format]) */
static struct value call_is_time(const struct function_call *c, struct evaluation *ev) {
        struct value v = expression_eval(c->arguments[0], ev);
        struct text t = value_to_text(&v, &ev->arena);
        struct text format = c->count > 1 ? function_text(c, 1, ev) : TEXT("");
        bool is_number, is_any = c->count == 1, is_time = false;
        value_to_number(&v, &is_number);
        struct stamp s = {0};
        if (is_any || text_equal(format, TEXT("date-rfc3339")))
                is_time |= read_iso_date(&s, t);
        if (is_any || text_equal(format, TEXT("date-rfc3164")))
                is_time |= read_old_date(&s, t);
        if (is_any || text_equal(format, TEXT("date-unix")))
                is_time |= is_number;
        ev->has_script_error = !is_time;
        return value_number(is_time);
}

/* format_time(seconds, format): the value itself where it is no number, or cannot be shown so. */
static struct value call_format_time(const struct function_call *c, struct evaluation *ev) {
        struct value v = expression_eval(c->arguments[0], ev);
        struct text format = function_text(c, 1, ev);
        bool is_number, is_iso = text_equal(format, TEXT("date-rfc3339"));
        time_t seconds = value_to_number(&v, &is_number);
        struct tm tm;
        if (!is_number || (!is_iso && !text_equal(format, TEXT("date-rfc3164"))) || !gmtime_r(&seconds, &tm))
                return value_text(value_to_text(&v, &ev->arena));
        char text[64];
        /* 32 bits, as in rsyslog: beyond the year 2147483647 they wrap. */
        int32_t year = (int32_t)((uint32_t)tm.tm_year + 1900u);
        int size = is_iso ? snprintf(text, sizeof text, "%d-%02d-%02dT%02d:%02d:%02dZ", year, tm.tm_mon + 1, tm.tm_mday,
                                     tm.tm_hour, tm.tm_min, tm.tm_sec)
                          : snprintf(text, sizeof text, "%s %2d %02d:%02d:%02d", stamp_month_names[tm.tm_mon + 1],
                                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        return value_text(arena_text(&ev->arena, (struct text){text, (size_t)size}));
}

static struct value call_script_error(const struct function_call *c _unused_, struct evaluation *ev) {
        return value_number(ev->has_script_error);
}

static const struct function functions[] = {
        {"format_time", 2, 2, call_format_time, NULL, NULL},
        {"is_time", 1, 2, call_is_time, NULL, NULL},
        {"parse_time", 1, 1, call_parse_time, NULL, NULL},
        {"script_error", 0, 0, call_script_error, NULL, NULL},
};

const struct function_table functions_time = {functions, ARRAY_SIZE(functions)};
