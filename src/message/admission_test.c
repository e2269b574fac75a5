#include <errno.h>

#include "base/test.h"
#include "message/admission.h"

static void names_and_domains_admit(void) {
        _owned_(admission_unref) struct admission *a = NULL;
        CHECK_INT(admission_new(&a, "imudp"), 0);
        CHECK(admission_is_used());
        CHECK_INT(admission_add(a, TEXT("Host.example.net")), 0);
        CHECK_INT(admission_add(a, TEXT("*.example.org")), 0);
        CHECK(admission_has(a, TEXT("host.example.net")));
        CHECK(admission_has(a, TEXT("HOST.EXAMPLE.NET")));
        CHECK(!admission_has(a, TEXT("x.host.example.net")));
        CHECK(!admission_has(a, TEXT("host.example.ne")));
        CHECK(admission_has(a, TEXT("a.example.org")));
        CHECK(admission_has(a, TEXT("a.b.example.org")));
        CHECK(!admission_has(a, TEXT("example.org")));
        CHECK(!admission_has(a, TEXT(".example.org")));
        CHECK(!admission_has(a, TEXT("badexample.org")));
        CHECK(!admission_has(a, TEXT("")));
}

static void wildcards_stand_anywhere(void) {
        _owned_(admission_unref) struct admission *a = NULL;
        CHECK_INT(admission_new(&a, "imudp"), 0);
        CHECK_INT(admission_add(a, TEXT("log-?.*.example.net")), 0);
        CHECK_INT(admission_add(a, TEXT("local*")), 0);
        CHECK_INT(admission_add(a, TEXT("*ab*ab")), 0);
        CHECK(admission_has(a, TEXT("LOG-1.a.b.Example.net")));
        CHECK(!admission_has(a, TEXT("log-.a.example.net")));
        CHECK(!admission_has(a, TEXT("log-12.a.example.net")));
        CHECK(!admission_has(a, TEXT("log-1.a.example.net.evil")));
        CHECK(admission_has(a, TEXT("local")));
        CHECK(admission_has(a, TEXT("localhost")));
        CHECK(!admission_has(a, TEXT("notlocal")));
        CHECK(admission_has(a, TEXT("xabyabab")));
        CHECK(!admission_has(a, TEXT("xab")));
}

static void what_is_no_host_name_is_refused(void) {
        static const char *const wrong[] = {"",    "*",   "*.", ".x",  "-x",     "a..b",
                                            "a b", "a/b", "**", "?.*", "x!.net", "\xff.net"};
        _owned_(admission_unref) struct admission *a = NULL;
        CHECK_INT(admission_new(&a, "imudp"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                CHECK_INT(admission_add(a, text_of(wrong[i])), -EINVAL);
        for (int i = 0; i < ADMISSION_NAMES_MAX; i++)
                CHECK_INT(admission_add(a, TEXT("x.example.net")), 0);
        CHECK_INT(admission_add(a, TEXT("x.example.net")), -E2BIG);
}

static void what_was_written_to_disk_finds_its_list_again(void) {
        _owned_(admission_unref) struct admission *a = NULL, *b = NULL, *other = NULL;
        CHECK_INT(admission_new(&a, "imudp"), 0);
        CHECK_INT(admission_add(a, TEXT("x.example.net")), 0);
        CHECK_INT(admission_new(&b, "imudp"), 0);
        CHECK_INT(admission_add(b, TEXT("Y.example.net")), 0);
        CHECK_INT(admission_new(&other, "imtcp"), 0);
        CHECK_INT(admission_add(other, TEXT("y.example.net")), 0);
        CHECK(b->mark == other->mark && a->mark != b->mark);
        _owned_(admission_unref) struct admission *again = admission_find(TEXT("imudp"), b->mark);
        CHECK(again == b);
        _owned_(admission_unref) struct admission *changed = admission_find(TEXT("imtcp"), a->mark);
        CHECK(changed == other);
        CHECK(!admission_find(TEXT("imptcp"), a->mark));
}

TEST_MAIN(TEST(names_and_domains_admit), TEST(wildcards_stand_anywhere), TEST(what_is_no_host_name_is_refused),
          TEST(what_was_written_to_disk_finds_its_list_again))
