/*
 * What rendering costs: nanoseconds a record, over batches of plain messages, the
 * best of several rounds. Not a test; run it by hand:
 *
 *   build/src/template/template_cost
 */
#include "base/clock.h"
#include "template/fixture.h"

enum { RECORDS = 1000, ROUNDS = 300 };

static double best_ns(const struct template *t, struct fixture *f, bool escapes_path, struct buffer *out) {
        int64_t best = INT64_MAX;
        for (int round = 0; round < ROUNDS; round++) {
                buffer_clear(out);
                int64_t begin = clock_mono_ns();
                for (uint32_t i = 0; i < f->batch->count; i++)
                        template_render(t, &f->context, f->batch, &f->batch->records[i], escapes_path, out);
                best = MIN(best, clock_mono_ns() - begin);
        }
        return (double)best / f->batch->count;
}

static void measure(struct fixture *f, const char *label, const struct template_def *def, bool escapes_path) {
        _owned_(template_free) struct template *t = NULL;
        _owned_(buffer_fini) struct buffer out = {0};
        struct diagnostics d = {0};
        CHECK_INT(template_new(&t, def, &d), 0);
        double ns = best_ns(t, f, escapes_path, &out);
        printf("# %-58s %6.1f ns, %zu bytes\n", label, ns, out.size / f->batch->count);
}

static void rendering_is_measured(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        for (int i = 0; i < RECORDS; i++) {
                char msg[128];
                snprintf(msg, sizeof msg, " Accepted publickey for user%d from 192.0.2.%d port %d ssh2", i, i % 250,
                         20000 + i);
                fixture_rfc3164(&f, "web-17.example.net", "sshd[12345]:", msg);
                f.record->reported.second = (uint8_t)(i / 20 % 60);
        }
        static const char *const builtins[] = {"RSYSLOG_TraditionalFileFormat", "RSYSLOG_FileFormat",
                                               "RSYSLOG_ForwardFormat", "RSYSLOG_SyslogProtocol23Format", "StdJSONFmt"};
        for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
                measure(&f, builtins[i], template_builtin(text_of(builtins[i])), false);
        static const char *const strings[] = {"%msg%\n", "%timegenerated:::date-rfc3339% %msg:::drop-last-lf%\n",
                                              "%msg:F,32:4%\n", "%msg:R,ERE,1:user([0-9]+)--end%\n",
                                              "%msg:::uppercase,compressspace,csv%\n"};
        for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
                struct template_def def = fixture_string(strings[i]);
                measure(&f, strings[i], &def, false);
        }
        struct template_def path = fixture_string("/var/log/hosts/%hostname%/%programname%.log");
        measure(&f, path.string.data, &path, true);
}

TEST_MAIN(TEST(rendering_is_measured))
