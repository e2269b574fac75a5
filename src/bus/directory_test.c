#include "bus/directory.h"

#include "base/test.h"

static void members_stand_in_the_order_of_their_age(void) {
        struct directory d;
        struct subscriber s[5];
        static const int order[] = {3, 0, 4, 2, 1};
        directory_init(&d);
        for (int i = 0; i < 5; i++)
                subscriber_init(&s[i], (uint64_t)i * 10);
        for (int i = 0; i < 5; i++)
                CHECK_INT(directory_join(&d, &s[order[i]], TEXT("g"), TEXT("*")), 0);
        const struct channel *c = directory_channel(&d, TEXT("g"), TEXT("*"));
        CHECK_INT(c->count, 5);
        for (int i = 0; i < 5; i++) {
                CHECK(c->members[i]->subscriber == &s[i]);
                CHECK_INT(channel_place(c, &s[i]), i);
        }
        CHECK_INT(directory_leave(&d, &s[2], TEXT("g"), TEXT("*")), 0);
        CHECK_INT(channel_place(c, &s[2]), -1);
        CHECK_INT(channel_place(c, &s[3]), 2);
        for (int i = 0; i < 5; i++)
                directory_leave(&d, &s[i], TEXT("g"), TEXT("*"));
        CHECK(!directory_group(&d, TEXT("g")));
        directory_fini(&d);
}

static void a_subscription_is_there_once(void) {
        struct directory d;
        struct subscriber s;
        directory_init(&d);
        subscriber_init(&s, 1);
        CHECK_INT(directory_join(&d, &s, TEXT("g"), TEXT("i")), 0);
        CHECK_INT(directory_join(&d, &s, TEXT("g"), TEXT("i")), DIRECTORY_UNCHANGED);
        CHECK_INT(directory_leave(&d, &s, TEXT("g"), TEXT("*")), DIRECTORY_UNCHANGED);
        CHECK_INT(s.count, 1);
        CHECK_INT(directory_leave(&d, &s, TEXT("g"), TEXT("i")), 0);
        CHECK_INT(directory_leave(&d, &s, TEXT("g"), TEXT("i")), DIRECTORY_UNCHANGED);
        CHECK_INT(s.count, 0);
        directory_fini(&d);
}

static void channels_of_one_group_are_apart(void) {
        struct directory d;
        struct subscriber a, b;
        directory_init(&d);
        subscriber_init(&a, 1);
        subscriber_init(&b, 2);
        CHECK_INT(directory_join(&d, &a, TEXT("g"), TEXT("i")), 0);
        CHECK_INT(directory_join(&d, &b, TEXT("g"), TEXT("*")), 0);
        CHECK(directory_channel(&d, TEXT("g"), TEXT("i"))->members[0]->subscriber == &a);
        CHECK(directory_group(&d, TEXT("g"))->everyone->members[0]->subscriber == &b);
        CHECK(!directory_channel(&d, TEXT("g"), TEXT("j")));
        CHECK(!directory_channel(&d, TEXT(""), TEXT("i")));
        directory_leave(&d, &b, TEXT("g"), TEXT("*"));
        CHECK(!directory_group(&d, TEXT("g"))->everyone);
        directory_leave(&d, &a, TEXT("g"), TEXT("i"));
        directory_fini(&d);
}

static void thousands_of_groups_end_with_their_subscriber(void) {
        struct directory d;
        struct subscriber s;
        char name[32];
        directory_init(&d);
        subscriber_init(&s, 1);
        for (int i = 0; i < 20000; i++) {
                int size = snprintf(name, sizeof name, "group %d", i);
                CHECK_INT(directory_join(&d, &s, (struct text){name, (size_t)size}, TEXT("*")), 0);
        }
        CHECK_INT(s.count, 20000);
        while (!list_is_empty(&s.subscriptions))
                subscription_end(&d, CONTAINER_OF(s.subscriptions.next, struct subscription, of_subscriber));
        CHECK_INT(s.count, 0);
        directory_fini(&d);
}

TEST_MAIN(TEST(members_stand_in_the_order_of_their_age), TEST(a_subscription_is_there_once),
          TEST(channels_of_one_group_are_apart), TEST(thousands_of_groups_end_with_their_subscriber))
