/* Addresses that become random: what stays, and what is kept apart. */
#include <stdlib.h>

#include "message/fixture.h"
#include "module/module.h"
#include "module/settings.h"

extern const struct module mmanon_module;

struct bench {
        struct fixture f;
        void *settings, *instance;
};

static void bench_open(struct bench *b, const char *const *parameters) {
        static const struct host_facts facts = {.message_bytes_max = 8192};
        struct modifier_host host = {.facts = &facts};
        *b = (struct bench){.settings = settings_new(&mmanon_module.settings)};
        for (; *parameters; parameters += 2) {
                struct text value = text_of(parameters[1]);
                _owned_(buffer_fini) struct buffer complaint = {0};
                const struct param *param = param_find(mmanon_module.settings.params, text_of(parameters[0]));
                CHECK(param);
                CHECK_INT(settings_set(b->settings, param, &(struct param_value){.items = &value, .count = 1},
                                       &complaint),
                          0);
        }
        CHECK_INT(mmanon_module.modifier->open(&b->instance, &host, b->settings), 0);
}

static void bench_close(struct bench *b) {
        mmanon_module.modifier->close(b->instance);
        settings_free(&mmanon_module.settings, b->settings);
        fixture_fini(&b->f);
}

static struct text anonymize(struct bench *b, const char *text) {
        fixture_rfc3164(&b->f, "host", "tag:", text);
        mmanon_module.modifier->modify(b->instance, &b->f.context, b->f.batch,
                                       (uint16_t[]){(uint16_t)(b->f.batch->count - 1)}, 1);
        return batch_text(b->f.batch, b->f.record->msg);
}

static void consistent_addresses_are_kept_apart(void) {
        struct bench b;
        bench_open(&b, (const char *const[]){"ipv4.mode", "random-consistent", "ipv4.bits", "9", NULL});
        bool is_taken[512] = {0};
        for (unsigned i = 0; i < 512; i++) {
                char text[32];
                snprintf(text, sizeof text, "10.1.%u.%u", 12 + i / 256, i % 256);
                unsigned third, fourth;
                struct text found = anonymize(&b, text);
                char copy[32] = {0};
                memcpy(copy, found.data, MIN(found.size, sizeof copy - 1));
                CHECK_INT(sscanf(copy, "10.1.%u.%u", &third, &fourth), 2);
                CHECK(third == 12 || third == 13);
                unsigned place = (third - 12) * 256 + fourth;
                CHECK(place < 512 && !is_taken[place]);
                is_taken[place % 512] = true;
                CHECK(text_equal(anonymize(&b, text), found));
        }
        bench_close(&b);
}

static void every_width_of_bits_keeps_what_stands_before(void) {
        for (int bits = 1; bits <= 128; bits++) {
                char number[8];
                snprintf(number, sizeof number, "%d", bits);
                struct bench b;
                bench_open(&b, (const char *const[]){"ipv6.anonmode", "random-consistent", "ipv6.bits", number, NULL});
                struct text once = anonymize(&b, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
                CHECK(text_equal(anonymize(&b, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), once));
                int groups = (128 - bits) / 16;
                for (int i = 0; i < groups; i++)
                        CHECK(text_equal(text_slice(once, (size_t)i * 5, (size_t)i * 5 + 4), TEXT("ffff")));
                bench_close(&b);
        }
}

static void random_addresses_differ(void) {
        struct bench b;
        bench_open(&b, (const char *const[]){"ipv4.mode", "random", "ipv4.bits", "32", NULL});
        CHECK(!text_equal(anonymize(&b, "10.1.12.13"), anonymize(&b, "10.1.12.13")));
        bench_close(&b);
}

static void a_text_without_addresses_is_not_copied(void) {
        struct bench b;
        bench_open(&b, (const char *const[]){NULL});
        fixture_rfc3164(&b.f, "host", "tag:", "cafe: 12:30 add 1.2.3");
        struct span before = b.f.record->msg;
        mmanon_module.modifier->modify(b.instance, &b.f.context, b.f.batch, (uint16_t[]){0}, 1);
        CHECK_INT(b.f.record->msg.at, before.at);
        bench_close(&b);
}

TEST_MAIN(TEST(consistent_addresses_are_kept_apart), TEST(every_width_of_bits_keeps_what_stands_before),
          TEST(random_addresses_differ), TEST(a_text_without_addresses_is_not_copied))
