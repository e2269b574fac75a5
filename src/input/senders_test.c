#include "input/senders.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/test.h"
#include "io/resolve.h"

static struct sockaddr_storage address(uint32_t ip, unsigned port) {
        struct sockaddr_storage at = {0};
        struct sockaddr_in *in = (struct sockaddr_in *)&at;
        *in = (struct sockaddr_in){
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip), .sin_port = htons((uint16_t)port)};
        return at;
}

static struct sender *add(struct senders *senders, uint32_t ip, unsigned port, bool is_allowed) {
        struct sockaddr_storage at = address(ip, port);
        struct source *source = source_new_peer("test", (struct sockaddr *)&at, sizeof(struct sockaddr_in));
        CHECK(source != NULL);
        return senders_add(senders, source, is_allowed);
}

static void a_sender_is_found_again_by_address_and_port(void) {
        struct senders senders = {0};
        struct sockaddr_storage at = address(0x7f000001, 514), port = address(0x7f000001, 515),
                                ip = address(0x7f000002, 514);
        CHECK(senders_find(&senders, &at) == NULL);
        struct sender *sender = add(&senders, 0x7f000001, 514, true);
        CHECK(senders_find(&senders, &at) == sender);
        CHECK(senders_find(&senders, &port) == NULL);
        CHECK(senders_find(&senders, &ip) == NULL);
        CHECK_TEXT(text_of(sender->source->address), "127.0.0.1");
        senders_fini(&senders);
}

static void ipv6_senders_are_told_apart(void) {
        struct senders senders = {0};
        struct sockaddr_storage one = {0}, other;
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&one;
        in6->sin6_family = AF_INET6;
        inet_pton(AF_INET6, "2001:db8::1", &in6->sin6_addr);
        other = one;
        ((struct sockaddr_in6 *)&other)->sin6_scope_id = 3;
        senders_add(&senders, source_new_peer("test", (struct sockaddr *)&one, sizeof *in6), false);
        CHECK(senders_find(&senders, &one) != NULL);
        CHECK(!senders_find(&senders, &one)->is_allowed);
        CHECK(senders_find(&senders, &other) == NULL);
        senders_fini(&senders);
}

static void any_number_of_senders_takes_bounded_room(void) {
        struct senders senders = {0};
        enum { MANY = SENDERS_SETS * SENDERS_WAYS * 4 };
        for (uint32_t i = 0; i < MANY; i++)
                add(&senders, 0x0a000000 + i, 514, true);
        int found = 0;
        for (uint32_t i = 0; i < MANY; i++) {
                struct sockaddr_storage at = address(0x0a000000 + i, 514);
                found += senders_find(&senders, &at) != NULL;
        }
        CHECK(found <= SENDERS_SETS * SENDERS_WAYS);
        CHECK(found >= SENDERS_SETS); /* they spread */
        senders_fini(&senders);
}

TEST_MAIN(TEST(a_sender_is_found_again_by_address_and_port), TEST(ipv6_senders_are_told_apart),
          TEST(any_number_of_senders_takes_bounded_room))
