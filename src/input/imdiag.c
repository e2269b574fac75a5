/*
 * imdiag: the diagnostic listener that test benches talk to. Never for production: whoever reaches the
 * port can inject messages. It listens on loopback only.
 *
 *   IDLE      -> IDLE       a command that answers at once        run_command()
 *   IDLE      -> WAITING    one that has to look again later      wait_for()
 *   WAITING   -> IDLE       it is as it was waited for            look_again()
 *
 * A command is a line, or an octet-counted frame; its answer is one line in one write. Those that wait look
 * again by a timer, so that other sessions go on; what a session sends meanwhile is kept, up to a bound.
 * All of it belongs to one loop's thread, but for the guard: a thread of its own that outlives everything,
 * since it is there for the case that the daemon hangs.
 */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/acceptor.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/process.h"
#include "io/socket.h"
#include "io/tls_watch.h"
#include "message/intake.h"
#include "module/diag.h"
#include "module/module.h"
#include "module/netstream.h"

enum {
        COMMAND_BYTES_MAX = 256 << 10, /* with its frame; a session that sends more at once is closed */
        READ_BYTES = 16 << 10,
        WORD_BYTES_MAX = 64,
        TICK_MS = 100,    /* between looks */
        QUIET_CHECKS = 4, /* in a row, before the queues count as empty */
        HUP_TRIES = 10,
        INJECT_A_ROUND = 1024, /* before other sessions have their turn */
        BACKLOG = 20,
};

struct imdiag_module {
        char *port_file;
        int64_t abort_timeout_s;
        char *termination_file;
        char *server_port;
        int delay_mode; /* enum flow */
        int64_t sessions_max;
        int64_t driver_mode;
        char *driver_auth;
        struct strings permitted_peers;
        char *input_name;
        int64_t timeouts_ms[DIAG_TIMEOUTS];
};

struct imdiag_input {
        char *port;
};

static const char *const delay_modes[] = {[FLOW_NONE] = "no", [FLOW_LIGHT] = "light", [FLOW_FULL] = "full", NULL};

#define TIMEOUT(which, word, value, text)                                                                              \
        PARAM_INT(struct imdiag_module, timeouts_ms[which], .name = word, .dflt = value, .min = 0, .max = INT32_MAX,   \
                  .unit = "milliseconds", .help = text)

static const struct param module_params[] = {
        PARAM_STRING(struct imdiag_module, port_file, .name = "listenportfilename",
                     .legacy = "IMDiagListenPortFileName",
                     .help = "File that the port is written to; what asks for port 0 reads it there."),
        PARAM_INT(struct imdiag_module, abort_timeout_s, .name = "aborttimeout", .legacy = "IMDiagAbortTimeout",
                  .dflt = "-1", .min = -1, .max = INT32_MAX, .unit = "seconds",
                  .help = "The daemon aborts itself when it still runs so long after its start; -1: never."),
        PARAM_STRING(struct imdiag_module, termination_file, .name = "properterminationfile",
                     .help = "File that is written last of all when the daemon ends as it should."),
        PARAM_STRING(struct imdiag_module, server_port, .name = "serverrun", .legacy = "IMDiagServerRun",
                     .help = "Port to listen on; 0: any that is free."),
        PARAM_CHOICE(struct imdiag_module, delay_mode, .name = "injectdelaymode", .legacy = "IMDiagInjectDelayMode",
                     .dflt = "no", .choices = delay_modes, .help = "How a full queue may hold injected messages back."),
        PARAM_INT(struct imdiag_module, sessions_max, .name = "maxsessions", .legacy = "IMDiagMaxSessions",
                  .dflt = "20", .min = 1, .max = 10000, .unit = "sessions", .help = "How many may be connected."),
        PARAM_INT(struct imdiag_module, driver_mode, .name = "serverstreamdrivermode",
                  .legacy = "IMDiagServerStreamDriverMode", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .help = "0: plain TCP; 1: TLS, with the stream driver and the files that global() names."),
        PARAM_STRING(struct imdiag_module, driver_auth, .name = "serverstreamdriverauthmode",
                     .legacy = "IMDiagServerStreamDriverAuthMode",
                     .help = "Who is let in with TLS: anon (everybody), x509/certvalid, x509/name, x509/fingerprint."),
        PARAM_STRINGS(struct imdiag_module, permitted_peers, .name = "serverstreamdriverpermittedpeer",
                      .legacy = "IMDiagServerStreamDriverPermittedPeer",
                      .help = "Names or fingerprints of certificates that are let in by x509/name and "
                              "x509/fingerprint."),
        PARAM_STRING(struct imdiag_module, input_name, .name = "serverinputname", .legacy = "IMDiagServerInputName",
                     .dflt = "imdiag", .help = "Property inputname of injected messages."),
        TIMEOUT(DIAG_MAIN_QUEUE_SHUTDOWN, "mainmsgqueuetimeoutshutdown", "10000",
                "Default of main_queue()'s queue.timeoutShutdown."),
        TIMEOUT(DIAG_MAIN_QUEUE_ENQUEUE, "mainmsgqueuetimeoutenqueue", "30000",
                "Default of main_queue()'s queue.timeoutEnqueue."),
        TIMEOUT(DIAG_INPUT_SHUTDOWN, "inputshutdowntimeout", "60000", "Default of global(inputs.timeout.shutdown)."),
        TIMEOUT(DIAG_ACTION_QUEUE_SHUTDOWN, "defaultactionqueuetimeoutshutdown", "20000",
                "Default of actions' queue.timeoutShutdown."),
        TIMEOUT(DIAG_ACTION_QUEUE_ENQUEUE, "defaultactionqueuetimeoutenqueue", "30000",
                "Default of actions' queue.timeoutEnqueue."),
        {}};

static const struct param input_params[] = {PARAM_STRING(struct imdiag_input, port, .name = "port",
                                                         .flags = PARAM_IS_REQUIRED,
                                                         .help = "Port to listen on; 0: any that is free."),
                                            {}};

static const struct counter_def imdiag_counters[] = {{"submitted", "Messages injected."}, {}};

struct session;

struct imdiag {
        const struct input_host *host;
        const struct imdiag_module *settings;
        const struct diag_services *services;
        struct loop *loop;
        struct socket_set sockets; /* until they are the acceptor's */
        struct acceptor acceptor;
        struct source *source;
        struct tls_context *tls; /* NULL: sessions are plain */
        struct session *sessions;
        int64_t session_count;
        uint64_t seen_hups;
};

struct session {
        struct imdiag *diag;
        struct watch watch;
        struct tls_watch *tls; /* NULL: plain */
        struct timer timer;
        struct buffer received;
        /* What is waited for: true when `answer` holds the answer. NULL: nothing. */
        bool (*is_over)(struct session *s);
        struct buffer answer;
        unsigned tries, quiet;
        int64_t next_number, left; /* of messages to inject */
        int64_t count;
        int64_t delay_ms;
        uint64_t cycles;
        bool blocks_again;
        struct session *next;
};

/* ---- Termination -------------------------------------------------------- */

static int write_termination(const char *path, const char *content) {
        _owned_(descriptor_close) int fd = -1;
        int r = file_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (r)
                return pass(r);
        return pass(file_write_all(fd, content, strlen(content)));
}

static int write_end(const char *path, const char *version, const struct diag_end *end) {
        char content[512];
        snprintf(content, sizeof content,
                 "status=ok\nreason=normal\npid=%ld\nsignal=%d\nversion=%s\nphase=main-return\n"
                 "queue.overall.size=%llu\n",
                 (long)getpid(), end->signal, version, (unsigned long long)end->queued);
        return pass(write_termination(path, content));
}

/* Everything the guard needs, so that it needs nobody. */
struct guard {
        int64_t timeout_s;
        char *path; /* NULL: no file */
        char *version;
};

static void *guard_run(void *argument) {
        const struct guard *guard = argument;
        struct timespec left = {.tv_sec = guard->timeout_s};
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
                ;
        fprintf(stderr, "timeoutGuard: rsyslog still active after expiry of guard timeout (%lld s) - aborting\n",
                (long long)guard->timeout_s);
        if (guard->path) {
                char content[512];
                snprintf(content, sizeof content,
                         "status=error\nreason=timeoutGuard\npid=%ld\nsignal=0\nversion=%s\nphase=timeoutguard-abort\n",
                         (long)getpid(), guard->version);
                write_termination(guard->path, content);
        }
        abort();
}

static struct guard *guard_free(struct guard *guard) {
        if (guard) {
                free(guard->path);
                free(guard->version);
        }
        free(guard);
        return NULL;
}
OWNED_POINTER(struct guard, guard_free);

/* The thread is let go: it ends with the process, one way or the other. */
static int guard_start(const struct imdiag *diag) {
        _owned_(guard_free) struct guard *guard = calloc(1, sizeof *guard);
        if (!guard)
                return fail(-ENOMEM);
        guard->timeout_s = diag->settings->abort_timeout_s;
        guard->version = strdup(diag->services->version);
        if (diag->settings->termination_file)
                guard->path = strdup(diag->settings->termination_file);
        sigset_t all, before;
        sigfillset(&all);
        pthread_t thread;
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(&thread, NULL, guard_run, guard);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r)
                return fail(-r);
        pthread_detach(thread);
        (void)TAKE(guard);
        return 0;
}

/* ---- Sessions ----------------------------------------------------------- */

static void close_session(struct session *s) {
        struct imdiag *diag = s->diag;
        for (struct session **at = &diag->sessions; *at; at = &(*at)->next)
                if (*at == s) {
                        *at = s->next;
                        break;
                }
        diag->session_count--;
        loop_disarm(diag->loop, &s->timer);
        loop_unwatch(diag->loop, &s->watch);
        tls_watch_free(s->tls);
        socket_close(s->watch.fd);
        buffer_fini(&s->received);
        buffer_fini(&s->answer);
        free(s);
}

/* What answers the command that runs, without its line end. */
static void answer(struct session *s, const char *format, ...) _printf_(2, 3);
static void answer(struct session *s, const char *format, ...) {
        va_list args;
        va_start(args, format);
        buffer_vformat(&s->answer, format, args);
        va_end(args);
}

/* The command goes on until is_over() says so; the first look is now. */
static void wait_for(struct session *s, bool (*is_over)(struct session *s)) {
        s->tries = s->quiet = 0;
        if (!is_over(s))
                s->is_over = is_over;
}

/* ---- Commands that wait --------------------------------------------------- */

static bool are_queues_empty(struct session *s) {
        const struct imdiag *diag = s->diag;
        s->quiet = diag->services->queued_overall(diag->host->daemon) == 0 ? s->quiet + 1 : 0;
        if (s->quiet < QUIET_CHECKS)
                return false;
        answer(s, "mainqueue empty");
        return true;
}

static bool was_hup_seen(struct session *s) {
        struct imdiag *diag = s->diag;
        uint64_t hups = diag->services->hup_count(diag->host->daemon);
        s->tries++;
        if (hups != diag->seen_hups) {
                diag->seen_hups = hups;
                answer(s, "seen HUP request, looks like it has completed [%u tries]", s->tries);
                return true;
        }
        if (s->tries < HUP_TRIES)
                return false;
        answer(s, "timeout - looks like_HUP has completed [%u tries]", s->tries);
        return true;
}

static bool is_no_reload_pending(struct session *s) {
        const struct imdiag *diag = s->diag;
        if (diag->services->lookup_reload_pending(diag->host->daemon))
                return false;
        answer(s, "no pending lookup-table reloads found");
        return true;
}

static bool has_cycle_run(struct session *s) {
        const struct imdiag *diag = s->diag;
        if (diag->services->stats_cycles(diag->host->daemon) == s->cycles)
                return false;
        answer(s, "stats reporting was unblocked");
        return true;
}

static bool inject(struct session *s, struct text raw) {
        struct imdiag *diag = s->diag;
        struct record *r = intake_copy(diag->host->intake[0], diag->source, raw, clock_wall_us());
        if (r && diag->host->counters)
                counter_add(&diag->host->counters[0], 1);
        return r != NULL;
}

static bool is_injected(struct session *s) {
        for (int i = 0; i < INJECT_A_ROUND && s->left > 0; i++) {
                char message[96];
                int size = snprintf(message, sizeof message,
                                    "<167>Mar  1 01:00:00 192.0.2.8 tag msgnum:%8.8lld:", (long long)s->next_number);
                if (!inject(s, (struct text){message, (size_t)size})) {
                        answer(s, "ERROR: no memory");
                        return true;
                }
                s->next_number++;
                s->left--;
                if (s->delay_ms)
                        break;
        }
        if (s->left > 0)
                return false;
        answer(s, "%lld messages injected", (long long)s->count);
        return true;
}

/* ---- Commands ----------------------------------------------------------- */

/* Cuts the next word off. */
static struct text next_word(struct text *rest) {
        while (rest->size && isspace((unsigned char)rest->data[0]))
                *rest = text_slice(*rest, 1, rest->size);
        size_t end = 0;
        while (end < rest->size && !isspace((unsigned char)rest->data[end]))
                end++;
        struct text word = text_slice(*rest, 0, end);
        *rest = text_slice(*rest, end, rest->size);
        return word;
}

static void run_inject(struct session *s, struct text rest) {
        if (text_starts(rest, TEXT("literal "))) {
                bool is_taken = inject(s, text_slice(rest, strlen("literal "), rest.size));
                answer(s, is_taken ? "1 messages injected" : "ERROR: no memory");
                return;
        }
        int64_t from = 0, count = 0, delay_ms = 0;
        struct text words[] = {next_word(&rest), next_word(&rest), next_word(&rest)};
        if (text_to_int(words[0], &from) || text_to_int(words[1], &count) || count < 0 ||
            (words[2].size && (text_to_int(words[2], &delay_ms) || delay_ms < 0 || delay_ms > INT32_MAX))) {
                answer(s, "ERROR: injectmsg takes a first number and a count, or literal and a text");
                return;
        }
        s->next_number = from;
        s->left = s->count = count;
        s->delay_ms = delay_ms;
        wait_for(s, is_injected);
}

static void run_wait_empty(struct session *s, struct text rest _unused_) {
        wait_for(s, are_queues_empty);
}
static void run_queue_size(struct session *s, struct text rest _unused_) {
        answer(s, "%llu", (unsigned long long)s->diag->services->main_queue_size(s->diag->host->daemon));
}
static void run_await_hup(struct session *s, struct text rest _unused_) {
        wait_for(s, was_hup_seen);
}
static void run_await_lookup(struct session *s, struct text rest _unused_) {
        wait_for(s, is_no_reload_pending);
}

static void run_block_stats(struct session *s, struct text rest _unused_) {
        if (s->diag->services->stats_block)
                s->diag->services->stats_block(s->diag->host->daemon);
        answer(s, "next stats reporting call will be blocked");
}

static void run_await_stats(struct session *s, struct text rest) {
        const struct diag_services *services = s->diag->services;
        void *daemon = s->diag->host->daemon;
        bool blocks_again = text_equal(next_word(&rest), TEXT("block_again"));
        if (services->stats_cycles)
                s->cycles = services->stats_cycles(daemon);
        if (!services->stats_cycles || !services->stats_unblock || !services->stats_unblock(daemon, blocks_again))
                answer(s, "imdiag::error : stats reporting was not blocked, bug?");
        else
                wait_for(s, has_cycle_run);
}

static void run_set_fault(struct session *s, struct text rest) {
        struct text point = next_word(&rest), hits_text = next_word(&rest);
        int64_t hits = 1;
        char name[WORD_BYTES_MAX];
        if (point.size == 0)
                answer(s, "ERROR: missing segmentedDisk fault point");
        else if (hits_text.size && (text_to_int(hits_text, &hits) || hits < 1))
                answer(s, "ERROR: invalid segmentedDisk fault hit count");
        else if (point.size >= sizeof name || !s->diag->services->segment_fault)
                answer(s, "ERROR: unknown fault point or main queue is not segmentedDisk");
        else {
                memcpy(name, point.data, point.size);
                name[point.size] = '\0';
                bool is_known = s->diag->services->segment_fault(s->diag->host->daemon, name, hits) == 0;
                answer(s, is_known ? "OK" : "ERROR: unknown fault point or main queue is not segmentedDisk");
        }
}

static void run_clear_fault(struct session *s, struct text rest _unused_) {
        if (s->diag->services->segment_fault_clear)
                s->diag->services->segment_fault_clear(s->diag->host->daemon);
        answer(s, "OK");
}

static void run_enable_debug(struct session *s, struct text rest _unused_) {
        if (s->diag->services->enable_debug)
                s->diag->services->enable_debug(s->diag->host->daemon);
        answer(s, "debug enabled");
}

static void set_timeout(struct session *s, struct text rest, enum diag_timeout which) {
        int64_t ms;
        if (text_to_int(text_trim(rest), &ms) || ms < 0 || ms > INT32_MAX) {
                answer(s, "ERROR: invalid timeout value");
                return;
        }
        s->diag->services->set_timeout(s->diag->host->daemon, which, ms, false);
        answer(s, "OK");
}

static void run_main_shutdown(struct session *s, struct text rest) {
        set_timeout(s, rest, DIAG_MAIN_QUEUE_SHUTDOWN);
}
static void run_main_enqueue(struct session *s, struct text rest) {
        set_timeout(s, rest, DIAG_MAIN_QUEUE_ENQUEUE);
}
static void run_input_shutdown(struct session *s, struct text rest) {
        set_timeout(s, rest, DIAG_INPUT_SHUTDOWN);
}
static void run_action_shutdown(struct session *s, struct text rest) {
        set_timeout(s, rest, DIAG_ACTION_QUEUE_SHUTDOWN);
}
static void run_action_enqueue(struct session *s, struct text rest) {
        set_timeout(s, rest, DIAG_ACTION_QUEUE_ENQUEUE);
}

static const struct {
        const char *name;
        void (*run)(struct session *s, struct text rest);
} commands[] = {
        {"injectmsg", run_inject},
        {"waitmainqueueempty", run_wait_empty},
        {"getmainmsgqueuesize", run_queue_size},
        {"awaithupcomplete", run_await_hup},
        {"awaitlookuptablereload", run_await_lookup},
        {"blockstatsreporting", run_block_stats},
        {"awaitstatsreport", run_await_stats},
        {"setsegdiskfault", run_set_fault},
        {"clearsegdiskfault", run_clear_fault},
        {"setmainmsgqueuetimeoutshutdown", run_main_shutdown},
        {"setmainmsgqueuetimeoutenqueue", run_main_enqueue},
        {"setinputshutdowntimeout", run_input_shutdown},
        {"setdefaultactionqueuetimeoutshutdown", run_action_shutdown},
        {"setdefaultactionqueuetimeoutenqueue", run_action_enqueue},
        {"enabledebug", run_enable_debug},
};

static void run_command(struct session *s, struct text line) {
        struct text rest = line;
        struct text word = next_word(&rest);
        if (rest.size) /* exactly one blank belongs to the word */
                rest = text_slice(rest, 1, rest.size);
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (text_equal_nocase(word, text_of(commands[i].name))) {
                        commands[i].run(s, rest);
                        return;
                }
        char lower[WORD_BYTES_MAX];
        size_t size = MIN(word.size, sizeof lower);
        for (size_t i = 0; i < size; i++)
                lower[i] = (char)tolower((unsigned char)word.data[i]);
        answer(s, "unkown command '%.*s'", (int)size, lower);
}

/* ---- The wire ----------------------------------------------------------- */

/* The first whole command: how many bytes it takes, 0 for none yet, -EMSGSIZE for one that is too long. */
static ssize_t cut_command(const struct buffer *received, struct text *command) {
        struct text t = buffer_as_text(received);
        size_t digits = 0, size = 0;
        while (digits < t.size && digits < 8 && isdigit((unsigned char)t.data[digits]))
                size = size * 10 + (size_t)(t.data[digits++] - '0');
        if (digits && digits == t.size)
                return digits < 8 ? 0 : -EMSGSIZE;
        if (digits && t.data[digits] == ' ') {
                if (size > COMMAND_BYTES_MAX)
                        return -EMSGSIZE;
                if (t.size - digits - 1 < size)
                        return 0;
                *command = text_slice(t, digits + 1, digits + 1 + size);
                if (text_ends(*command, TEXT("\n")))
                        command->size--;
                return (ssize_t)(digits + 1 + size);
        }
        const char *lf = t.size ? memchr(t.data, '\n', t.size) : NULL;
        if (!lf)
                return t.size < COMMAND_BYTES_MAX ? 0 : -EMSGSIZE;
        *command = text_slice(t, 0, (size_t)(lf - t.data));
        return lf - t.data + 1;
}

/* A line is short: one whom even that is too much is not worth waiting for. */
static int send_secure(struct session *s) {
        size_t done = 0;
        while (done < s->answer.size) {
                ssize_t taken = tls_send(s->tls->tls, text_slice(buffer_as_text(&s->answer), done, s->answer.size));
                if (taken < 0)
                        return pass((int)taken);
                done += (size_t)taken;
        }
        tls_watch_settle(s->tls, false);
        return 0;
}

/* The answer leaves in one write. False when the session is gone. */
static bool send_answer(struct session *s) {
        buffer_byte(&s->answer, '\n');
        size_t done = 0;
        int r = buffer_failed(&s->answer);
        if (r == 0)
                r = s->tls ? send_secure(s) : pipe_write(s->watch.fd, s->answer.data, s->answer.size, 0, &done);
        buffer_clear(&s->answer);
        if (r)
                close_session(s);
        return r == 0;
}

static void arm(struct session *s) {
        int64_t pause_ms = s->is_over == is_injected ? s->delay_ms : TICK_MS;
        loop_arm(s->diag->loop, &s->timer, clock_mono_ns() + pause_ms * 1000000 + 1);
}

/* Runs what was received, up to a command that waits. False when the session is gone. */
static bool run_received(struct session *s) {
        while (!s->is_over) {
                struct text command;
                ssize_t used = cut_command(&s->received, &command);
                if (used == 0)
                        return true;
                if (used < 0) {
                        close_session(s);
                        return false;
                }
                if (command.size && command.data[command.size - 1] == '\r')
                        command.size--;
                run_command(s, command);
                memmove(s->received.data, s->received.data + used, s->received.size - (size_t)used);
                s->received.size -= (size_t)used;
                if (s->is_over)
                        arm(s);
                else if (!send_answer(s))
                        return false;
        }
        return true;
}

static void look_again(struct timer *timer) {
        struct session *s = CONTAINER_OF(timer, struct session, timer);
        if (!s->is_over(s)) {
                arm(s);
                return;
        }
        s->is_over = NULL;
        if (!send_answer(s) || !run_received(s))
                return;
        loop_rewatch(s->diag->loop, &s->watch, EPOLLIN);
        if (s->tls)
                tls_watch_yield(s->tls);
}

/* Whether the handshake is over. Ends the session when it failed. */
static bool is_greeted(struct session *s) {
        int r = tls_watch_ready(s->tls);
        if (r >= 0)
                return r == 0;
        const char *words = tls_complaint(s->tls->tls);
        module_report(s->diag->host->log, SEVERITY_ERR, CODE_TLS, "imdiag: a TLS session is refused: %s",
                      *words ? words : fail_text(r));
        close_session(s);
        return false;
}

static void on_readable(struct watch *watch, uint32_t events _unused_) {
        struct session *s = CONTAINER_OF(watch, struct session, watch);
        if (s->tls && !is_greeted(s))
                return;
        /* Until it has taken the last answer it is not listened to. */
        if (s->tls && tls_flush(s->tls->tls) == -EAGAIN) {
                loop_rewatch(s->diag->loop, watch, EPOLLOUT);
                return;
        }
        if (s->received.size >= COMMAND_BYTES_MAX * 2) {
                loop_rewatch(s->diag->loop, watch, 0); /* until the command that waits is over */
                return;
        }
        if (!buffer_reserve(&s->received, READ_BYTES)) {
                close_session(s);
                return;
        }
        char *to = s->received.data + s->received.size;
        ssize_t n = s->tls ? tls_receive(s->tls->tls, to, READ_BYTES) : socket_receive(watch->fd, to, READ_BYTES);
        if (s->tls)
                tls_watch_settle(s->tls, false);
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                close_session(s);
                return;
        }
        s->received.size += (size_t)n;
        if (s->tls)
                tls_watch_yield(s->tls);
        run_received(s);
}

static void begin_session(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer _unused_,
                          socklen_t size _unused_) {
        struct imdiag *diag = CONTAINER_OF(acceptor, struct imdiag, acceptor);
        struct session *s = NULL;
        if (diag->session_count >= diag->settings->sessions_max)
                module_report(diag->host->log, SEVERITY_WARNING, 0,
                              "imdiag: more than %lld sessions; a connection is refused",
                              (long long)diag->settings->sessions_max);
        else
                s = calloc(1, sizeof *s);
        if (!s) {
                socket_close(fd);
                return;
        }
        s->diag = diag;
        s->timer.fire = look_again;
        s->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = on_readable};
        s->next = diag->sessions;
        diag->sessions = s;
        diag->session_count++;
        int r = diag->tls ? tls_watch_new(&s->tls, diag->tls, diag->loop, &s->watch, NULL) : 0;
        if (r == 0)
                r = loop_watch(diag->loop, &s->watch);
        if (r == 0 && s->tls)
                r = tls_watch_start(s->tls);
        if (r)
                close_session(s);
}

/* The report was all there is to do. */
static void tell_none(struct acceptor *acceptor _unused_, int family _unused_) {
}

/* ---- Life --------------------------------------------------------------- */

static int check_port(const char *port, const char *param, struct module_log *log) {
        int64_t number;
        if (!port || (text_to_int(text_of(port), &number) == 0 && number >= 0 && number <= 65535))
                return 0;
        module_report_param(log, SEVERITY_ERR, param, "'%s' is no port: 0 to 65535", port);
        return -EINVAL;
}

static struct netstream netstream_of(const struct imdiag_module *module) {
        return (struct netstream){
                .module = "imdiag",
                .mode_param = "serverstreamdrivermode",
                .is_server = true,
                .mode = module->driver_mode,
                .auth_mode = module->driver_auth,
                .peers = &module->permitted_peers,
        };
}

static int imdiag_check(const void *settings, const void *module_settings, struct module_log *log) {
        const struct imdiag_input *input = settings;
        const struct imdiag_module *module = module_settings;
        int r = input ? check_port(input->port, "port", log) : 0;
        int r2 = module ? check_port(module->server_port, "serverrun", log) : 0;
        if (module) {
                const struct netstream netstream = netstream_of(module);
                int tls = netstream_check(&netstream, log);
                r = tls ? tls : r;
        }
        return r ? r : r2;
}

static unsigned imdiag_threads(const void *module_settings _unused_) {
        return 1;
}

static bool imdiag_module_instance(const void *module_settings) {
        const struct imdiag_module *module = module_settings;
        return module && module->server_port;
}

static void imdiag_close(void *instance);

static int listen_on(struct imdiag *diag, const char *port) {
        struct socket_place place = {.address = "127.0.0.1", .port = port, .backlog = BACKLOG};
        int r = socket_listen_tcp(&diag->sockets, &place);
        if (r) {
                module_report(diag->host->log, SEVERITY_ERR, 0, "imdiag: cannot listen on port %s: %s", port,
                              fail_text(r));
                return pass(r);
        }
        if (diag->settings->port_file)
                r = socket_write_port(diag->settings->port_file, diag->sockets.port);
        if (r)
                module_report(diag->host->log, SEVERITY_ERR, 0, "imdiag: cannot write port file '%s': %s",
                              diag->settings->port_file, fail_text(r));
        return pass(r);
}

/* What the module's parameters are for the daemon as a whole. */
static int settle_daemon(struct imdiag *diag) {
        void *daemon = diag->host->daemon;
        for (int i = 0; i < DIAG_TIMEOUTS; i++)
                diag->services->set_timeout(daemon, (enum diag_timeout)i, diag->settings->timeouts_ms[i], true);
        if (!diag->settings->termination_file)
                return 0;
        return pass(diag->services->at_end(daemon, diag->settings->termination_file, write_end));
}

static int imdiag_open(void **ret, const struct input_host *host, const void *settings) {
        const struct imdiag_input *input = settings;
        struct imdiag *diag = calloc(1, sizeof *diag);
        if (!diag)
                return fail(-ENOMEM);
        diag->host = host;
        diag->settings = host->module_settings;
        diag->services = host->diag;
        diag->loop = host->loop[0];
        if (!diag->services)
                module_report(host->log, SEVERITY_ERR, 0, "imdiag: this daemon offers nothing to diagnose");
        int r = diag->services ? settle_daemon(diag) : fail(-EOPNOTSUPP);
        if (r == 0) {
                const struct netstream netstream = netstream_of(diag->settings);
                r = netstream_open(&diag->tls, &netstream, host->facts->netstream, host->log);
        }
        if (r == 0) {
                diag->seen_hups = diag->services->hup_count(host->daemon);
                diag->source = source_new_local(diag->settings->input_name, "127.0.0.1", "127.0.0.1");
                r = diag->source ? listen_on(diag, input ? input->port : diag->settings->server_port) : fail(-ENOMEM);
        }
        if (r) {
                imdiag_close(diag);
                return pass(r);
        }
        diag->acceptor = (struct acceptor){
                .accepted = begin_session, .failed = tell_none, .loop = diag->loop, .who = "imdiag", .log = host->log};
        acceptor_add_set(&diag->acceptor, &diag->sockets);
        diag->source->is_local = false;
        host->intake[0]->flow = (enum flow)diag->settings->delay_mode;
        *ret = diag;
        return 0;
}

static int imdiag_start(void *instance) {
        struct imdiag *diag = instance;
        int r = acceptor_start(&diag->acceptor);
        if (r)
                return pass(r);
        return diag->settings->abort_timeout_s > 0 ? pass(guard_start(diag)) : 0;
}

static void imdiag_reopen(void *instance) {
        struct imdiag *diag = instance;
        if (diag->tls)
                netstream_reload(diag->tls, "imdiag", diag->host->log);
}

static void imdiag_stop(void *instance) {
        struct imdiag *diag = instance;
        acceptor_stop(&diag->acceptor);
        while (diag->sessions)
                close_session(diag->sessions);
}

static void imdiag_close(void *instance) {
        struct imdiag *diag = instance;
        acceptor_fini(&diag->acceptor);
        socket_set_fini(&diag->sockets);
        source_unref(diag->source);
        tls_context_free(diag->tls);
        free(diag);
}

static const struct input_ops imdiag_ops = {
        .threads = imdiag_threads,
        .open = imdiag_open,
        .start = imdiag_start,
        .stop = imdiag_stop,
        .reopen = imdiag_reopen,
        .close = imdiag_close,
        .module_instance = imdiag_module_instance,
};

const struct module imdiag_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imdiag",
        .help = "Lets test benches inject messages and wait for what becomes of them. Not for production.",
        .module_settings = SETTINGS(struct imdiag_module, module_params),
        .settings = SETTINGS(struct imdiag_input, input_params),
        .counters = imdiag_counters,
        .check = imdiag_check,
        .input = &imdiag_ops,
};
