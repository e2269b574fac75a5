#include "io/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "base/test.h"

static struct sockaddr_storage address(const char *text) {
        struct sockaddr_storage found = {0};
        struct sockaddr_in *in = (struct sockaddr_in *)&found;
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&found;
        if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
                found.ss_family = AF_INET;
        else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
                found.ss_family = AF_INET6;
        return found;
}

static bool allows(const char *network, const char *sender) {
        _owned_(network_list_fini) struct network_list list = {0};
        struct network one;
        CHECK_INT(network_parse(&one, text_of(network)), 0);
        CHECK_INT(network_list_add(&list, &one), 0);
        struct sockaddr_storage from = address(sender);
        return network_list_has(&list, (struct sockaddr *)&from);
}

static void an_address_allows_itself_alone(void) {
        CHECK(allows("192.0.2.1", "192.0.2.1"));
        CHECK(!allows("192.0.2.1", "192.0.2.2"));
        CHECK(allows(" [2001:db8::1] ", "2001:db8::1"));
}

static void a_prefix_allows_its_network(void) {
        CHECK(allows("10.0.0.0/8", "10.255.1.2"));
        CHECK(!allows("10.0.0.0/8", "11.0.0.0"));
        CHECK(allows("192.0.2.128/25", "192.0.2.129"));
        CHECK(!allows("192.0.2.128/25", "192.0.2.127"));
        CHECK(allows("2001:db8::/33", "2001:db8:7fff::1"));
        CHECK(!allows("2001:db8::/33", "2001:db8:8000::1"));
}

static void an_ipv4_sender_on_an_ipv6_socket_is_the_same_sender(void) {
        CHECK(allows("10.0.0.0/8", "::ffff:10.1.2.3"));
        CHECK(!allows("10.0.0.0/8", "::ffff:11.1.2.3"));
        CHECK(!allows("2001:db8::/32", "32.1.13.184"));
}

static void an_empty_list_and_local_senders_are_allowed(void) {
        struct network_list none = {0};
        struct sockaddr_storage from = address("192.0.2.1");
        CHECK(network_list_has(&none, (struct sockaddr *)&from));
        CHECK(allows("10.0.0.0/8", "not an address"));
}

static void mistakes_are_told_apart(void) {
        struct network one;
        CHECK_INT(network_parse(&one, TEXT("")), -EINVAL);
        CHECK_INT(network_parse(&one, TEXT("/8")), -EINVAL);
        CHECK_INT(network_parse(&one, TEXT("*.example.net")), -EDOM);
        CHECK_INT(network_parse(&one, TEXT("a.very.long.name.that.is.certainly.no.address.example.net")), -EDOM);
        CHECK_INT(network_parse(&one, TEXT("10.0.0.0/0")), -ERANGE);
        CHECK_INT(network_parse(&one, TEXT("10.0.0.0/33")), -ERANGE);
        CHECK_INT(network_parse(&one, TEXT("10.0.0.0/x")), -ERANGE);
        CHECK_INT(network_parse(&one, TEXT("::/129")), -ERANGE);
}

TEST_MAIN(TEST(an_address_allows_itself_alone), TEST(a_prefix_allows_its_network),
          TEST(an_ipv4_sender_on_an_ipv6_socket_is_the_same_sender), TEST(an_empty_list_and_local_senders_are_allowed),
          TEST(mistakes_are_told_apart))
