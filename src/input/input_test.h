/*
 * A stage for inputs: loops on threads of their own, intakes that end in a list
 * of texts, and everything that is reported. The test waits for what it expects,
 * with a bound, and never sleeps for luck.
 */
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/test.h"
#include "io/loop.h"
#include "message/intake.h"
#include "module/log.h"
#include "module/settings.h"

enum { STAGE_LOOPS_MAX = 2, STAGE_TEXT_MAX = 4 << 20, STAGE_COUNTERS_MAX = 16, STAGE_WAIT_MS = 20000 };

/* A hook that knows its intake. */
struct stage_hook {
        struct round_hook hook;
        struct intake *intake;
};

struct stage {
        struct sink sink;
        struct module_log log;
        pthread_mutex_t lock;
        char *texts;   /* "[a][b]" */
        char *reports; /* a line each */
        size_t texts_size, reports_size, records;
        char last_input[64], last_address[64], last_zone[16];
        const struct module *module;
        void *module_settings, *settings, *instance;
        struct loop *loops[STAGE_LOOPS_MAX];
        struct intake intakes[STAGE_LOOPS_MAX];
        struct intake *intake_list[STAGE_LOOPS_MAX];
        struct stage_hook hooks[STAGE_LOOPS_MAX];
        pthread_t threads[STAGE_LOOPS_MAX];
        unsigned loop_count;
        struct counter counters[STAGE_COUNTERS_MAX];
        struct host_facts facts;
        struct input_host host;
        struct batch_pool *pool;
        char directory[40], port_file[64];
};

static void stage_append(char *to, size_t *size, const char *data, size_t more) {
        if (*size + more >= STAGE_TEXT_MAX)
                return;
        memcpy(to + *size, data, more);
        *size += more;
        to[*size] = '\0';
}

static void stage_push(struct sink *sink, struct batch *b, enum flow flow _unused_) {
        struct stage *stage = CONTAINER_OF(sink, struct stage, sink);
        pthread_mutex_lock(&stage->lock);
        for (uint32_t i = 0; i < b->count; i++) {
                struct text text = batch_text(b, b->records[i].raw);
                stage_append(stage->texts, &stage->texts_size, "[", 1);
                stage_append(stage->texts, &stage->texts_size, text.data, text.size);
                stage_append(stage->texts, &stage->texts_size, "]", 1);
                stage->records++;
                struct source *source = b->records[i].source;
                snprintf(stage->last_input, sizeof stage->last_input, "%s", source->input_name);
                snprintf(stage->last_address, sizeof stage->last_address, "%s", source->address);
                snprintf(stage->last_zone, sizeof stage->last_zone, "%s",
                         source->default_zone ? source->default_zone : "");
        }
        pthread_mutex_unlock(&stage->lock);
        batch_unref(b);
}

static void stage_emit(struct module_log *log, int severity, int code, const char *param, const char *line) {
        struct stage *stage = CONTAINER_OF(log, struct stage, log);
        char text[1024];
        int size = snprintf(text, sizeof text, "%d|%d|%s|%s\n", severity, code, param ? param : "", line);
        pthread_mutex_lock(&stage->lock);
        stage_append(stage->reports, &stage->reports_size, text, (size_t)size);
        pthread_mutex_unlock(&stage->lock);
}

static void stage_flush(struct round_hook *hook) {
        intake_flush(CONTAINER_OF(hook, struct stage_hook, hook)->intake);
}

static void stage_set(void *settings, const struct param *params, const char *name, const char *value) {
        const struct param *param = param_find(params, text_of(name));
        CHECK(param != NULL);
        struct text items[8];
        size_t count = 0;
        for (struct text left = text_of(value);;) {
                const char *bar = left.size ? memchr(left.data, '|', left.size) : NULL;
                size_t end = bar ? (size_t)(bar - left.data) : left.size;
                CHECK(count < ARRAY_SIZE(items));
                items[count++] = text_slice(left, 0, end);
                if (!bar)
                        break;
                left = text_slice(left, end + 1, left.size);
        }
        struct param_value given = {.items = items, .count = count, .is_array = count > 1};
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(settings_set(settings, param, &given, &complaint), 0);
}

/* Name and value in turn, NULL-ended: "module.x" sets it for the module. Arrays have '|' between their items. */
static void stage_begin(struct stage *stage, const struct module *module, const char *const *parameters) {
        *stage = (struct stage){
                .sink.push = stage_push,
                .log.emit = stage_emit,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .module = module,
                .facts = {.host_name = "stage",
                          .fqdn = "stage",
                          .work_directory = "",
                          .message_bytes_max = 8192,
                          .ip_family = AF_INET},
        };
        stage->texts = calloc(1, STAGE_TEXT_MAX);
        stage->reports = calloc(1, STAGE_TEXT_MAX);
        CHECK(stage->texts && stage->reports);
        CHECK_INT(batch_pool_new(&stage->pool), 0);
        snprintf(stage->directory, sizeof stage->directory, "/tmp/penstock-input-XXXXXX");
        CHECK(mkdtemp(stage->directory) != NULL);
        snprintf(stage->port_file, sizeof stage->port_file, "%s/port", stage->directory);
        stage->module_settings = settings_new(&module->module_settings);
        stage->settings = settings_new(&module->settings);
        for (; *parameters; parameters += 2) {
                bool is_module = strncmp(*parameters, "module.", 7) == 0;
                if (is_module)
                        stage_set(stage->module_settings, module->module_settings.params, *parameters + 7,
                                  parameters[1]);
                else
                        stage_set(stage->settings, module->settings.params, *parameters, parameters[1]);
        }
}
#define STAGE_BEGIN(stage, module, ...) stage_begin(stage, module, (const char *const[]){__VA_ARGS__, NULL})

static void *stage_run(void *loop) {
        loop_run(loop);
        return NULL;
}

struct stage_start {
        struct stage *stage;
        int result;
        sem_t done;
};

static void stage_call_start(void *argument) {
        struct stage_start *start = argument;
        start->result = start->stage->module->input->start(start->stage->instance);
        sem_post(&start->done);
}

static void stage_call_stop(void *argument) {
        struct stage_start *start = argument;
        start->stage->module->input->stop(start->stage->instance);
        sem_post(&start->done);
}

static void stage_call(struct stage *stage, void (*function)(void *)) {
        struct stage_start start = {.stage = stage};
        sem_init(&start.done, 0, 0);
        CHECK_INT(loop_post(stage->loops[0], function, &start), 0);
        sem_wait(&start.done);
        CHECK_INT(start.result, 0);
        sem_destroy(&start.done);
}

/* Opens; the failure of open() is the result. */
static int stage_open(struct stage *stage) {
        stage->loop_count = MIN(stage->module->input->threads(stage->module_settings), (unsigned)STAGE_LOOPS_MAX);
        for (unsigned i = 0; i < stage->loop_count; i++) {
                CHECK_INT(loop_new(&stage->loops[i]), 0);
                intake_init(&stage->intakes[i], &stage->sink, stage->pool, FLOW_NONE);
                stage->intake_list[i] = &stage->intakes[i];
                stage->hooks[i] = (struct stage_hook){.hook.run = stage_flush, .intake = &stage->intakes[i]};
                loop_add_hook(stage->loops[i], &stage->hooks[i].hook);
        }
        stage->host = (struct input_host){
                .log = &stage->log,
                .module_settings = stage->module_settings,
                .loops = stage->loop_count,
                .loop = stage->loops,
                .intake = stage->intake_list,
                .counters = stage->counters,
                .facts = &stage->facts,
        };
        return stage->module->input->open(&stage->instance, &stage->host, stage->settings);
}

static void stage_start(struct stage *stage) {
        CHECK_INT(stage_open(stage), 0);
        for (unsigned i = 0; i < stage->loop_count; i++)
                CHECK_INT(pthread_create(&stage->threads[i], NULL, stage_run, stage->loops[i]), 0);
        stage_call(stage, stage_call_start);
}

/* Stops; afterwards texts and reports hold everything. */
static void stage_stop(struct stage *stage) {
        stage_call(stage, stage_call_stop);
        for (unsigned i = stage->loop_count; i-- > 0;) {
                loop_stop(stage->loops[i]);
                pthread_join(stage->threads[i], NULL);
        }
}

static void stage_end(struct stage *stage) {
        if (stage->instance)
                stage->module->input->close(stage->instance);
        for (unsigned i = 0; i < stage->loop_count; i++) {
                intake_fini(&stage->intakes[i]);
                loop_free(stage->loops[i]);
        }
        settings_free(&stage->module->settings, stage->settings);
        settings_free(&stage->module->module_settings, stage->module_settings);
        batch_pool_unref(stage->pool);
        unlink(stage->port_file);
        rmdir(stage->directory);
        free(stage->texts);
        free(stage->reports);
}

static void stage_await(struct stage *stage, const char *what, bool in_reports) {
        for (int waited_ms = 0; waited_ms < STAGE_WAIT_MS; waited_ms++) {
                pthread_mutex_lock(&stage->lock);
                bool is_there = strstr(in_reports ? stage->reports : stage->texts, what) != NULL;
                pthread_mutex_unlock(&stage->lock);
                if (is_there)
                        return;
                poll(NULL, 0, 1);
        }
        TEST_FAIL("never came: \"%s\" among %s%s", what, stage->texts_size < 2000 ? stage->texts : "(many)",
                  stage->reports);
}
static inline void stage_await_text(struct stage *stage, const char *what) {
        stage_await(stage, what, false);
}
static inline void stage_await_report(struct stage *stage, const char *what) {
        stage_await(stage, what, true);
}

static inline void stage_await_count(struct stage *stage, size_t records) {
        for (int waited_ms = 0; waited_ms < STAGE_WAIT_MS; waited_ms++) {
                pthread_mutex_lock(&stage->lock);
                bool is_there = stage->records >= records;
                pthread_mutex_unlock(&stage->lock);
                if (is_there)
                        return;
                poll(NULL, 0, 1);
        }
        TEST_FAIL("%zu records instead of %zu", stage->records, records);
}

static inline void stage_await_counter(struct stage *stage, unsigned which, uint64_t value) {
        for (int waited_ms = 0; waited_ms < STAGE_WAIT_MS; waited_ms++) {
                if (counter_get(&stage->counters[which]) >= value)
                        return;
                poll(NULL, 0, 1);
        }
        TEST_FAIL("counter %u is %llu", which, (unsigned long long)counter_get(&stage->counters[which]));
}

static inline unsigned stage_port(struct stage *stage) {
        char digits[16] = "";
        FILE *file = fopen(stage->port_file, "re");
        CHECK(file != NULL);
        CHECK(fgets(digits, sizeof digits, file) != NULL);
        fclose(file);
        int64_t port = 0;
        CHECK_INT(text_to_int(text_of(digits), &port), 0);
        return (unsigned)port;
}

static inline int stage_connect(struct stage *stage, int type) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)stage_port(stage)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        return fd;
}

static inline void stage_send(int fd, const void *data, size_t size) {
        for (size_t sent = 0; sent < size;) {
                ssize_t r = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
                CHECK(r > 0);
                sent += (size_t)r;
        }
}
#define STAGE_SEND(fd, literal) stage_send(fd, literal, sizeof(literal) - 1)
