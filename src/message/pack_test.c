#include "message/pack.h"

#include <errno.h>

#include "base/json.h"
#include "message/fixture.h"
#include "message/variable.h"

static const char *const rulesets[] = {"first", "second"};
static int places[2];

static const char *name_of(void *owner _unused_, const void *route) {
        return rulesets[(const int *)route - places];
}

static const void *route_of(void *owner _unused_, struct text name) {
        return text_equal(name, TEXT("first")) ? &places[0] : text_equal(name, TEXT("second")) ? &places[1] : NULL;
}

static const struct pack_names names = {
        .name_of_route = name_of, .route_of_name = route_of, .rulesets = rulesets, .ruleset_count = 2};

static void packed(struct buffer *out, const struct fixture *f) {
        CHECK_INT(pack_records(out, f->batch, 0, f->batch->count, &names), 0);
}

static struct batch *unpacked(const struct fixture *f, const struct buffer *pack, uint32_t skip) {
        struct batch *b = NULL;
        CHECK_INT(unpack_records(&b, f->pool, buffer_as_text(pack), skip, &names), 0);
        return b;
}

static void everything_a_record_knows_comes_back(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host", "app[7]:", " the message");
        struct record *r = f.record;
        r->app = batch_store(f.batch, TEXT("made up"));
        r->procid = fixture_span(&f, "7");
        r->program_size = 3;
        r->flags = RECORD_IS_PARSED | RECORD_HAS_APP;
        r->ruleset = 2;
        r->reported.precision = 3;
        r->reported.fraction = 123;
        r->reported.offset_minutes = -90;
        r->uuid_at = batch_store(f.batch, TEXT("0123456789abcdef0123456789ABCDEF")).at;
        CHECK_INT(variable_set(f.batch, r, '!', TEXT("a!b"), json_string(&f.batch->arena, TEXT("x\"y")), 0), 0);
        CHECK_INT(variable_set(f.batch, r, '.', TEXT("n"), json_int(&f.batch->arena, 42), 0), 0);
        f.batch->route = &places[1];

        _owned_(buffer_fini) struct buffer pack = {0};
        packed(&pack, &f);
        _owned_(batch_unref) struct batch *b = unpacked(&f, &pack, 0);
        CHECK_INT(b->count, 1);
        CHECK(b->route == &places[1]);
        const struct record *got = &b->records[0];
        CHECK(text_equal(batch_text(b, got->raw), batch_text(f.batch, r->raw)));
        CHECK_TEXT(batch_text(b, got->msg), " the message");
        CHECK_TEXT(batch_text(b, got->host), "host");
        CHECK_TEXT(batch_text(b, got->tag), "app[7]:");
        CHECK_TEXT(batch_text(b, got->app), "made up");
        CHECK_TEXT(batch_text(b, got->procid), "7");
        CHECK_INT(got->msgid.size, 0);
        CHECK_INT(got->program_size, 3);
        CHECK_INT(got->flags, RECORD_IS_PARSED | RECORD_HAS_APP);
        CHECK_INT(got->ruleset, 2);
        CHECK(memcmp(&got->reported, &r->reported, sizeof got->reported) == 0);
        CHECK_INT(got->received_us, r->received_us);
        CHECK_INT(got->facility, 16);
        CHECK_INT(got->severity, 6);
        CHECK_INT(got->pri_size, 5);
        CHECK_TEXT(batch_text(b, (struct span){got->uuid_at, UUID_BYTES}), "0123456789abcdef0123456789ABCDEF");
        _owned_(buffer_fini) struct buffer trees = {0};
        json_print(&trees, got->tree[TREE_MESSAGE], JSON_COMPACT);
        json_print(&trees, got->tree[TREE_LOCAL], JSON_COMPACT);
        CHECK_TEXT(buffer_as_text(&trees), "{\"a\":{\"b\":\"x\\\"y\"}}{\"n\":42}");
        CHECK_TEXT(text_of(got->source->input_name), "imtcp");
        CHECK_TEXT(text_of(source_host(got->source)), "localhost");
        CHECK(got->source->is_local);
}

static void a_network_peer_comes_back_with_its_address(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_raw(&f, TEXT("first"));
        struct sockaddr_storage peer = {.ss_family = AF_INET6};
        unsigned char *bytes = (unsigned char *)&peer;
        bytes[8 + 15] = 1; /* ::1 */
        bytes[2] = 2;      /* port 514 */
        bytes[3] = 2;
        struct source *s = source_new_peer("imtcp", (struct sockaddr *)&peer, 28);
        struct record *r = batch_append(f.batch, s);
        r->raw = batch_store(f.batch, TEXT("second"));
        _owned_(buffer_fini) struct buffer pack = {0};
        packed(&pack, &f);
        _owned_(batch_unref) struct batch *b = unpacked(&f, &pack, 0);
        const struct source *got = b->records[1].source;
        CHECK_TEXT(text_of(got->address), "::1");
        CHECK_TEXT(text_of(got->port), "514");
        CHECK(!atomic_load(&got->host));
        CHECK_INT(got->peer_size, 28);
        CHECK(memcmp(&got->peer, &peer, 28) == 0);
        CHECK(b->records[0].source != got);
        source_unref(s);
}

static void a_part_of_a_batch_can_be_packed_and_skipped(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        for (int i = 0; i < 10; i++)
                fixture_raw(&f, (struct text){&"0123456789"[i], 1});
        _owned_(buffer_fini) struct buffer pack = {0};
        CHECK_INT(pack_records(&pack, f.batch, 2, 5, &names), 0);
        _owned_(batch_unref) struct batch *b = unpacked(&f, &pack, 3);
        CHECK_INT(b->count, 2);
        CHECK_TEXT(batch_text(b, b->records[0].raw), "5");
        CHECK_TEXT(batch_text(b, b->records[1].raw), "6");
}

static void a_ruleset_that_is_no_more_is_nobodys(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_raw(&f, TEXT("x"));
        f.batch->route = &places[0];
        f.record->ruleset = 1;
        _owned_(buffer_fini) struct buffer pack = {0};
        packed(&pack, &f);
        static const char *const others[] = {"other"};
        static const struct pack_names none = {.rulesets = others, .ruleset_count = 1};
        _owned_(batch_unref) struct batch *b = NULL;
        CHECK_INT(unpack_records(&b, f.pool, buffer_as_text(&pack), 0, &none), 0);
        CHECK(!b->route);
        CHECK_INT(b->records[0].ruleset, 0);
}

static void many_senders_fit(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_raw(&f, TEXT("x"));
        for (int i = 1; i < BATCH_RECORDS_MAX; i++) {
                char name[16];
                snprintf(name, sizeof name, "h%d", i);
                struct source *s = source_new_local("in", name, NULL);
                struct record *r = batch_append(f.batch, s);
                r->raw = batch_store(f.batch, TEXT("y"));
                source_unref(s);
        }
        _owned_(buffer_fini) struct buffer pack = {0};
        packed(&pack, &f);
        _owned_(batch_unref) struct batch *b = unpacked(&f, &pack, 0);
        CHECK_INT(b->count, BATCH_RECORDS_MAX);
        CHECK_TEXT(text_of(source_host(b->records[2047].source)), "h2047");
}

/* Each byte and each length: refused, or a batch whose spans lie within it (the sanitizer looks). */
static void damage_is_refused_or_harmless(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host", "app[7]:", " the message");
        fixture_rfc3164(&f, "host", "app[7]:", " the other");
        f.record->procid = fixture_span(&f, "7");
        _owned_(buffer_fini) struct buffer pack = {0};
        packed(&pack, &f);
        struct batch *b = NULL;
        for (size_t size = 0; size < pack.size; size++)
                CHECK_INT(unpack_records(&b, f.pool, (struct text){pack.data, size}, 0, &names), -EBADMSG);
        unsigned refused = 0;
        for (size_t at = 0; at < pack.size; at++) {
                for (int bit = 0; bit < 8; bit++) {
                        pack.data[at] = (char)(pack.data[at] ^ 1 << bit);
                        int r = unpack_records(&b, f.pool, buffer_as_text(&pack), 0, &names);
                        pack.data[at] = (char)(pack.data[at] ^ 1 << bit);
                        refused += r != 0;
                        if (r)
                                continue;
                        volatile char sum = 0;
                        for (uint32_t i = 0; i < b->count; i++) {
                                struct text msg = batch_text(b, b->records[i].msg);
                                for (size_t c = 0; c < msg.size; c++)
                                        sum = (char)(sum + msg.data[c]);
                        }
                        b = batch_unref(b);
                }
        }
        CHECK(refused > 100);
}

TEST_MAIN(TEST(everything_a_record_knows_comes_back), TEST(a_network_peer_comes_back_with_its_address),
          TEST(a_part_of_a_batch_can_be_packed_and_skipped), TEST(a_ruleset_that_is_no_more_is_nobodys),
          TEST(many_senders_fit), TEST(damage_is_refused_or_harmless))
