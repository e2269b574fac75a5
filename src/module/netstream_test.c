#include "module/netstream.h"

#include <errno.h>

#include "base/test.h"

static char said[4096];

void module_report(struct module_log *log _unused_, int severity _unused_, int code _unused_, const char *format, ...) {
        va_list args;
        size_t used = strlen(said);
        va_start(args, format);
        vsnprintf(said + used, sizeof said - used, format, args);
        va_end(args);
}

void module_report_param(struct module_log *log _unused_, int severity _unused_, const char *param _unused_,
                         const char *format, ...) {
        va_list args;
        size_t used = strlen(said);
        va_start(args, format);
        vsnprintf(said + used, sizeof said - used, format, args);
        va_end(args);
}

static int check(const struct netstream *stream) {
        said[0] = '\0';
        return netstream_check(stream, NULL);
}

static int open_plain(const struct netstream *stream, const struct netstream_defaults *defaults) {
        struct tls_context *context = NULL;
        said[0] = '\0';
        int r = netstream_open(&context, stream, defaults, NULL);
        CHECK(!context);
        return r;
}

static void every_driver_is_plain_in_mode_0(void) {
        static const char *const drivers[] = {NULL, "", "ptcp", "gtls", "ossl", "mbedtls", "OSSL"};
        for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
                struct netstream stream = {.module = "imtcp", .driver = drivers[i]};
                CHECK_INT(check(&stream), 0);
                CHECK_INT(open_plain(&stream, &(struct netstream_defaults){.driver = "gtls"}), 0);
        }
        CHECK(!*said);
}

static void tls_needs_a_driver_for_it_from_the_object_or_from_global(void) {
        struct netstream stream = {.module = "imtcp", .mode = 1};
        /* global() is not known where the object is checked. */
        CHECK_INT(check(&stream), 0);
        CHECK_INT(open_plain(&stream, NULL), -EINVAL);
        CHECK(strstr(said, "driver mode 1 not supported by ptcp"));
        CHECK_INT(open_plain(&stream, &(struct netstream_defaults){.driver = "ptcp"}), -EINVAL);
        stream.driver = "ptcp";
        CHECK_INT(check(&stream), -EINVAL);
        CHECK_INT(open_plain(&stream, &(struct netstream_defaults){.driver = "gtls"}), -EINVAL);
}

static void unknown_words_are_mistakes(void) {
        CHECK_INT(check(&(struct netstream){.module = "m", .driver = "osll"}), -EINVAL);
        CHECK(strstr(said, "m: there is no stream driver \"osll\""));
        CHECK_INT(check(&(struct netstream){.module = "m", .driver = "gtls", .mode = 2}), -EINVAL);
        CHECK(strstr(said, "driver mode 2 not supported by gtls"));
        CHECK_INT(check(&(struct netstream){.module = "m", .auth_mode = "x509"}), -EINVAL);
        CHECK(strstr(said, "authentication mode 'x509' not supported"));
        CHECK_INT(check(&(struct netstream){.module = "m", .expired = "maybe"}), -EINVAL);
        CHECK(strstr(said, "\"on\", \"off\" or \"warn\", not \"maybe\""));
        CHECK_INT(check(&(struct netstream){.module = "m", .mode = 1, .priority = "NORMLA"}), -EINVAL);
}

static void peers_stand_in_arrays_or_between_commas(void) {
        static char *good[] = {"ada.example.net, *.example.org", "10.0.0.1"};
        static char *bad[] = {"ada.example.net,a*b.example.org"};
        struct strings peers = {good, 2};
        struct netstream stream = {
                .module = "m", .mode = 1, .is_server = true, .auth_mode = "x509/name", .peers = &peers};
        CHECK_INT(check(&stream), 0);
        peers = (struct strings){bad, 1};
        CHECK_INT(check(&stream), -EINVAL);
        CHECK(strstr(said, "\"a*b.example.org\" can match nobody"));
        peers = (struct strings){NULL, 0};
        CHECK_INT(check(&stream), -EINVAL);
        stream.is_server = false;
        CHECK_INT(check(&stream), 0);
}

TEST_MAIN(TEST(every_driver_is_plain_in_mode_0), TEST(tls_needs_a_driver_for_it_from_the_object_or_from_global),
          TEST(unknown_words_are_mistakes), TEST(peers_stand_in_arrays_or_between_commas))
