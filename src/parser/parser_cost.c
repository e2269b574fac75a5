/*
 * What parsing costs: nanoseconds a record, the best of several rounds.
 *
 *   parser_cost          prints one line a scenario
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lines.h"
#include "message/batch.h"
#include "message/header.h"
#include "message/sanitize.h"
#include "module/settings.h"
#include "parser/builtin.h"
#include "parser/chain.h"

enum { ROUNDS = 400, RECORDS = 1024 };

static const struct host_facts facts = {.message_bytes_max = 8192,
                                        .control_prefix = '#',
                                        .drops_trailing_lf = true,
                                        .escapes_control = true,
                                        .escapes_tab = true};

static const char traditional[] = "<34>Oct 11 22:14:15 mymachine su[4711]: 'su root' failed for lonvick on /dev/pts/8";
static const char newer[] = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 4711 ID47 "
                            "[exampleSDID@32473 iut=\"3\" eventSource=\"Application\"] An application event log entry";
static const char escaped[] = "<34>Oct 11 22:14:15 mymachine su[4711]: 'su root' failed\tfor lonvick on /dev/pts/8";

static void fill(struct batch *b, const char *raw, size_t size) {
        for (unsigned i = 0; i < RECORDS; i++) {
                struct record *r = batch_append(b, NULL);
                r->raw = batch_store(b, (struct text){raw, size});
                r->received_us = clock_wall_us();
        }
}

static double chain_cost(struct batch_pool *pool, struct parser_chain *chain, const char *raw, size_t size) {
        static uint16_t selection[BATCH_RECORDS_MAX];
        double best = 1e9;
        for (unsigned round = 0; round < ROUNDS; round++) {
                struct batch *b = batch_new(pool, RECORDS * size);
                if (!b)
                        abort();
                fill(b, raw, size);
                int64_t begin_ns = clock_mono_ns();
                bool has_redirected;
                size_t count = chain_parse(chain, b, selection, b->count, &has_redirected);
                double cost = (double)(clock_mono_ns() - begin_ns) / RECORDS;
                if (count != RECORDS)
                        abort();
                best = cost < best ? cost : best;
                batch_unref(b);
        }
        return best;
}

static double scan_cost(bool is_fast) {
        static char bytes[100];
        memset(bytes, 'x', sizeof bytes);
        double best = 1e9;
        for (unsigned round = 0; round < ROUNDS; round++) {
                int64_t begin_ns = clock_mono_ns();
                for (unsigned i = 0; i < RECORDS; i++) {
                        const char *end = bytes + sizeof bytes;
                        const char *found = bytes;
                        __asm__ volatile("" : "+r"(found) : : "memory");
                        if (is_fast)
                                found = sanitize_find(found, end, true, false);
                        else
                                while (found < end && (unsigned char)*found >= 32)
                                        found++;
                        if (found != end)
                                abort();
                }
                double cost = (double)(clock_mono_ns() - begin_ns) / RECORDS;
                best = cost < best ? cost : best;
        }
        return best;
}

/* Of finding the ends of lines, and what must be escaped in them: all in one pass, or each line by itself. */
static double lines_cost(bool is_fast) {
        enum { SIZE = 160 };
        static char bytes[RECORDS * SIZE];
        memset(bytes, 'x', sizeof bytes);
        for (size_t i = SIZE - 1; i < sizeof bytes; i += SIZE)
                bytes[i] = '\n';
        const char *end = bytes + sizeof bytes;
        double best = 1e9;
        for (unsigned round = 0; round < ROUNDS; round++) {
                struct line_end ends[LINES_MAX];
                unsigned plain = 0;
                int64_t begin_ns = clock_mono_ns();
                for (const char *at = bytes; at < end;) {
                        unsigned found = 0;
                        const char *last = at - 1;
                        if (is_fast) {
                                found = lines_find(ends, at, (size_t)(end - at));
                                for (unsigned i = 0; i < found; i++)
                                        plain += ends[i].is_plain;
                                last = at + ends[found - 1].at;
                        } else {
                                last = memchr(at, '\n', (size_t)(end - at));
                                plain += sanitize_find(at, last, true, true) == last;
                        }
                        at = last + 1;
                }
                double cost = (double)(clock_mono_ns() - begin_ns) / RECORDS;
                if (plain != RECORDS)
                        abort();
                best = cost < best ? cost : best;
        }
        return best;
}

static double date_cost(const char *date, bool finds_year_behind) {
        double best = 1e9;
        const char *end = date + strlen(date);
        for (unsigned round = 0; round < ROUNDS; round++) {
                int64_t begin_ns = clock_mono_ns();
                for (unsigned i = 0; i < RECORDS; i++) {
                        struct stamp s;
                        const char *at = date;
                        __asm__ volatile("" : "+r"(at) : : "memory");
                        if (!header_date(&s, at, end, finds_year_behind))
                                abort();
                        __asm__ volatile("" : : "m"(s));
                }
                double cost = (double)(clock_mono_ns() - begin_ns) / RECORDS;
                best = cost < best ? cost : best;
        }
        return best;
}

int main(void) {
        void *settings = settings_new(&pmrfc3164_module.settings);
        void *rfc5424, *rfc3164;
        struct batch_pool *pool;
        struct parser_chain chain;
        parser_chain_init(&chain, &facts, NULL);
        if (!settings || pmrfc5424_module.parser->open(&rfc5424, NULL, &facts, NULL) ||
            pmrfc3164_module.parser->open(&rfc3164, NULL, &facts, settings) || batch_pool_new(&pool) ||
            parser_chain_add(&chain, &pmrfc5424_module, rfc5424) ||
            parser_chain_add(&chain, &pmrfc3164_module, rfc3164))
                return 1;
        printf("%6.1f ns  RFC 3164, %zu bytes, whole chain\n",
               chain_cost(pool, &chain, traditional, sizeof traditional - 1), sizeof traditional - 1);
        printf("%6.1f ns  RFC 5424, %zu bytes, whole chain\n", chain_cost(pool, &chain, newer, sizeof newer - 1),
               sizeof newer - 1);
        printf("%6.1f ns  RFC 3164 with one character to escape\n",
               chain_cost(pool, &chain, escaped, sizeof escaped - 1));
        printf("%6.1f ns  scan of 100 bytes, byte by byte %.1f\n", scan_cost(true), scan_cost(false));
        printf("%6.1f ns  end and plainness of a line of 160 bytes, each by itself %.1f\n", lines_cost(true),
               lines_cost(false));
        printf("%6.1f ns  date, field by field %.1f\n", date_cost("Oct 11 22:14:15 h", false),
               date_cost("Oct 11 22:14:15 h", true));
        pmrfc3164_module.parser->close(rfc3164);
        settings_free(&pmrfc3164_module.settings, settings);
        batch_pool_unref(pool);
        return 0;
}
