#include "input/impstats_push.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/metric_name.h"
#include "input/remote_write.h"
#include "io/http.h"

#define SNAPPY_LIBRARY "libsnappy.so.1"

enum {
        ANSWER_BYTES_MAX = 64 << 10, /* of what a server says */
        ANSWER_SHOWN_MAX = 200,
        PROVIDED_LABELS = 2, /* instance and job */
};

enum push_state { PUSH_IDLE, PUSH_FILLING, PUSH_SENDING };

struct snappy {
        void *handle;
        size_t (*max_compressed_length)(size_t size);
        int (*compress)(const char *from, size_t size, char *to, size_t *room);
};

struct impstats_push {
        const struct push_settings *settings;
        struct module_log *log;
        struct snappy snappy;
        struct http *http;
        struct remote_label *labels;
        struct remote_write write; /* the thread's while SENDING, else the caller's */
        struct buffer packed;      /* the thread's */
        bool is_failing;           /* told already; the thread's */
        bool is_late;              /* told already; the caller's */
        bool is_given_up;          /* read by libcurl's callback without the lock */
        pthread_t thread;
        bool has_thread;
        pthread_mutex_t mutex; /* guards the rest */
        pthread_cond_t changed;
        enum push_state state;
        bool is_stopping;
};

/* ---- Settings ------------------------------------------------------------------- */

static bool split_label(const char *label, struct remote_label *ret) {
        const char *equals = strchr(label, '=');
        if (!equals)
                return false;
        *ret = (struct remote_label){{label, (size_t)(equals - label)}, text_of(equals + 1)};
        return label_name_is_valid(ret->name) && !text_starts(ret->name, TEXT("__"));
}

static int check_labels(const struct push_settings *s, struct module_log *log) {
        struct remote_label label;
        int r = 0;
        for (size_t i = 0; i < s->labels.count; i++)
                if (!split_label(s->labels.items[i], &label)) {
                        module_report_param(log, SEVERITY_ERR, "push.labels",
                                            "\"%s\" is no label: name=value, the name of letters, digits and _",
                                            s->labels.items[i]);
                        r = -EINVAL;
                }
        if (s->labels.count > REMOTE_LABELS_MAX / 2) {
                module_report_param(log, SEVERITY_ERR, "push.labels", "more than %d labels", REMOTE_LABELS_MAX / 2);
                r = -EINVAL;
        }
        return r;
}

static int check_security(const struct push_settings *s, bool is_tls, struct module_log *log) {
        if (!s->cert_file != !s->key_file) {
                module_report_param(log, SEVERITY_ERR, s->cert_file ? "push.tls.certfile" : "push.tls.keyfile",
                                    "push.tls.certfile and push.tls.keyfile go together");
                return -EINVAL;
        }
        if (!is_tls && (s->ca_file || s->cert_file || s->skips_verify))
                module_report_param(log, SEVERITY_WARNING, "push.url",
                                    "push.tls.* has no effect without an https:// URL");
        return 0;
}

int push_settings_check(const struct push_settings *s, struct module_log *log) {
        if (!s->url || !*s->url)
                return 0;
        struct text url = text_of(s->url);
        bool is_tls = text_starts_nocase(url, TEXT("https://"));
        int r = check_labels(s, log);
        if (!is_tls && !text_starts_nocase(url, TEXT("http://"))) {
                module_report_param(log, SEVERITY_ERR, "push.url",
                                    "a URL begins with http:// or https://, as in "
                                    "\"http://localhost:9090/api/v1/write\"");
                r = -EINVAL;
        }
        int security = check_security(s, is_tls, log);
        return r || security ? fail(-EINVAL) : 0;
}

/* ---- The thread ------------------------------------------------------------------ */

static bool pack(struct impstats_push *p, struct text body) {
        size_t room = p->snappy.max_compressed_length(body.size);
        buffer_clear(&p->packed);
        if (!buffer_reserve(&p->packed, room))
                return false;
        if (p->snappy.compress(body.data, body.size, p->packed.data, &room))
                return false;
        p->packed.size = room;
        return true;
}

/* Once until it works again. */
static void tell_failure(struct impstats_push *p, const struct http_answer *answer) {
        if (p->is_failing || __atomic_load_n(&p->is_given_up, __ATOMIC_RELAXED))
                return;
        p->is_failing = true;
        struct text said = text_trim(text_slice(buffer_as_text(&answer->body), 0, ANSWER_SHOWN_MAX));
        if (answer->status)
                module_report(p->log, SEVERITY_ERR, 0, "impstats: push to %s: HTTP status %ld: %.*s%s",
                              p->settings->url, answer->status, TEXT_ARGS(said),
                              answer->status < 500 ? " (the request or the URL is wrong)" : "");
        else
                module_report(p->log, SEVERITY_ERR, 0,
                              "impstats: push to %s failed: %s; the next report is tried again", p->settings->url,
                              answer->why);
}

static bool send_body(struct impstats_push *p, struct text body) {
        static const char *const headers[] = {"Content-Type: application/x-protobuf",
                                              "Content-Encoding: snappy",
                                              "X-Prometheus-Remote-Write-Version: 0.1.0",
                                              "User-Agent: penstock-impstats",
                                              "Expect:",
                                              NULL};
        const struct push_settings *s = p->settings;
        struct http_answer answer = {0};
        if (!pack(p, body))
                return false;
        struct http_request request = {.url = s->url,
                                       .is_post = true,
                                       .body = buffer_as_text(&p->packed),
                                       .headers = headers,
                                       .timeout_ms = s->timeout_ms,
                                       .answer_bytes_max = ANSWER_BYTES_MAX,
                                       .ca_file = s->ca_file,
                                       .cert_file = s->cert_file,
                                       .key_file = s->key_file,
                                       .skips_verify = s->skips_verify,
                                       .is_given_up = &p->is_given_up};
        int r = http_perform(p->http, &request, &answer);
        bool is_taken = r == 0 && answer.status / 100 == 2;
        if (!is_taken)
                tell_failure(p, &answer);
        buffer_fini(&answer.body);
        return is_taken;
}

/* The rest is left out where one part was not taken: what is missing of a report is missing. */
static void send_all(struct impstats_push *p) {
        size_t count = remote_write_count(&p->write), sent = 0;
        while (sent < count && send_body(p, remote_write_body(&p->write, sent)))
                sent++;
        if (sent < count || !p->is_failing)
                return;
        p->is_failing = false;
        module_report(p->log, SEVERITY_INFO, 0, "impstats: push to %s works again", p->settings->url);
}

static void *run(void *argument) {
        struct impstats_push *p = argument;
        pthread_mutex_lock(&p->mutex);
        while (!p->is_stopping) {
                if (p->state == PUSH_SENDING) {
                        pthread_mutex_unlock(&p->mutex);
                        send_all(p);
                        pthread_mutex_lock(&p->mutex);
                        p->state = PUSH_IDLE;
                } else
                        pthread_cond_wait(&p->changed, &p->mutex);
        }
        pthread_mutex_unlock(&p->mutex);
        return NULL;
}

/* ---- Reports --------------------------------------------------------------------- */

void impstats_push_begin(struct impstats_push *p, int64_t now_us) {
        pthread_mutex_lock(&p->mutex);
        bool is_free = p->state == PUSH_IDLE;
        if (is_free)
                p->state = PUSH_FILLING;
        pthread_mutex_unlock(&p->mutex);
        if (!is_free && !p->is_late)
                module_report(p->log, SEVERITY_WARNING, 0,
                              "impstats: push to %s takes longer than the interval: reports are left out",
                              p->settings->url);
        p->is_late = !is_free;
        if (is_free)
                remote_write_begin(&p->write, now_us / 1000);
}

void impstats_push_add(struct impstats_push *p, const struct statistic_object *object) {
        if (!p->is_late)
                remote_write_add(&p->write, object);
}

void impstats_push_end(struct impstats_push *p) {
        if (p->is_late)
                return;
        int r = remote_write_end(&p->write);
        pthread_mutex_lock(&p->mutex);
        p->state = r ? PUSH_IDLE : PUSH_SENDING;
        pthread_cond_signal(&p->changed);
        pthread_mutex_unlock(&p->mutex);
}

/* ---- Life ------------------------------------------------------------------------ */

static int load_snappy(struct snappy *s) {
        s->handle = dlopen(SNAPPY_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        void *length = s->handle ? dlsym(s->handle, "snappy_max_compressed_length") : NULL;
        void *compress = s->handle ? dlsym(s->handle, "snappy_compress") : NULL;
        if (!length || !compress)
                return fail(-ENOENT);
        memcpy(&s->max_compressed_length, &length, sizeof length);
        memcpy(&s->compress, &compress, sizeof compress);
        return 0;
}

static int load_libraries(struct impstats_push *p) {
        const char *missing = SNAPPY_LIBRARY;
        int r = load_snappy(&p->snappy);
        if (r == 0) {
                missing = HTTP_LIBRARY;
                r = http_new(&p->http);
        }
        if (r == -ENOMEM)
                return pass(r);
        if (r)
                module_report_param(p->log, SEVERITY_ERR, "push.url",
                                    "impstats: statistics are not pushed: the library %s is not there", missing);
        return r ? pass(r) : 0;
}

static int make_labels(struct impstats_push *p, const char *host_name) {
        const struct push_settings *s = p->settings;
        p->labels = calloc(s->labels.count + PROVIDED_LABELS, sizeof *p->labels);
        if (!p->labels)
                return fail(-ENOMEM);
        size_t count = 0;
        for (size_t i = 0; i < s->labels.count; i++)
                count += split_label(s->labels.items[i], &p->labels[count]);
        /* Behind the configured ones, which win. */
        if (s->names_instance)
                p->labels[count++] = (struct remote_label){TEXT("instance"), text_of(host_name)};
        if (s->job && *s->job)
                p->labels[count++] = (struct remote_label){TEXT("job"), text_of(s->job)};
        p->write = (struct remote_write){.labels = p->labels,
                                         .label_count = count,
                                         .names_origin = s->names_origin,
                                         .names_object = s->names_object,
                                         .series_max = s->series_max,
                                         .bytes_max = s->bytes_max};
        return 0;
}

OWNED_POINTER(struct impstats_push, impstats_push_free);

int impstats_push_new(struct impstats_push **ret, const struct push_settings *settings, const char *host_name,
                      struct module_log *log) {
        _owned_(impstats_push_free) struct impstats_push *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        p->settings = settings;
        p->log = log;
        pthread_mutex_init(&p->mutex, NULL);
        pthread_cond_init(&p->changed, NULL);
        int r = load_libraries(p);
        if (r == 0)
                r = make_labels(p, host_name);
        if (r)
                return pass(r);
        if (pthread_create(&p->thread, NULL, run, p))
                return fail(-ENOMEM);
        p->has_thread = true;
        *ret = TAKE(p);
        return 0;
}

struct impstats_push *impstats_push_free(struct impstats_push *p) {
        if (!p)
                return NULL;
        if (p->has_thread) {
                __atomic_store_n(&p->is_given_up, true, __ATOMIC_RELAXED);
                pthread_mutex_lock(&p->mutex);
                p->is_stopping = true;
                pthread_cond_signal(&p->changed);
                pthread_mutex_unlock(&p->mutex);
                pthread_join(p->thread, NULL);
        }
        http_free(p->http);
        if (p->snappy.handle)
                dlclose(p->snappy.handle);
        remote_write_fini(&p->write);
        buffer_fini(&p->packed);
        free(p->labels);
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->mutex);
        free(p);
        return NULL;
}
