/*
 * penstockd: reads the command line and the configuration, becomes a daemon where
 * asked to, runs one pipeline until TERM.
 *
 *   options -> root directory -> configuration -> (-N: say what is wrong, leave)
 *           -> fork, pid file -> sockets and files open -> privileges dropped
 *           -> queues and inputs run -> signals -> inputs stop -> queues drain
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "daemon/bus.h"
#include "daemon/daemonize.h"
#include "daemon/diagnosis.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/own_log.h"
#include "daemon/pidfile.h"
#include "daemon/pipeline.h"
#include "daemon/succession.h"
#include "daemon/version.h"
#include "io/file.h"
#include "io/heirloom.h"
#include "io/resolve.h"
#include "message/property.h"
#include "template/template.h"

/* rsyslog's numbers for what ends a start. */
enum {
        RSYSLOG_FILE_NOT_FOUND = -2104,
        RSYSLOG_NO_ACTIONS = -2103,
};

enum { EXIT_CLEAN = 0, EXIT_ERRORS = 1, EXIT_UNCLEAN = 2 };

struct daemon {
        struct options options;
        struct own_log *log;
        struct registry *registry;
        struct config *config;
        struct diagnostics diagnostics;
        struct loop *loop;         /* of the main thread: signals alone, so that they are always heard */
        struct loop *housekeeping; /* of a thread of its own: own messages, flush timers; it may wait for a queue */
        pthread_t housekeeper;
        bool has_housekeeper;
        struct pipeline *pipeline;
        struct watch signals;
        int ready_fd; /* of the parent that waits, or -1 */
        int last_signal;
        uint64_t left; /* messages that no queue could keep at the end */
        struct diagnosis diagnosis;
        struct daemon_bus *bus;
        struct succession *succession; /* whom we replace; NULL: nobody */
        char *const *arguments;
        char binary[FILE_PATH_BYTES_MAX], directory[FILE_PATH_BYTES_MAX]; /* as they were at the start */
        bool is_retired;                                                  /* somebody has replaced us */
        bool is_started;                                                  /* the pipeline is */
        struct timer leaving;
        int64_t leave_ns;
};

/* ---- Configuration ------------------------------------------------------------ */

static int load(struct daemon *d) {
        const struct config_options options = {
                .template_names = template_builtin_names(),
                .property_is_known = property_is_known,
        };
        int r = registry_new(&d->registry, d->options.module_path);
        if (r)
                return pass(r);
        return config_load(&d->config, d->registry, d->options.config_file, &options, &d->diagnostics);
}

/* Shows what was found; each error also enters our own log. */
static void show_diagnostics(struct daemon *d) {
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_print(&d->diagnostics, &out, isatty(STDERR_FILENO));
        (void)file_write_all(STDERR_FILENO, out.data, out.size);
        if (d->options.check_level)
                return;
        for (const struct diagnostic *one = d->diagnostics.first; one; one = one->next) {
                _owned_(buffer_fini) struct buffer line = {0};
                diagnostic_line(one, &line);
                if (buffer_string(&line))
                        own_log_remember(d->log, one->severity, one->code, buffer_string(&line));
        }
}

static bool is_same_file(const char *a, const char *b) {
        struct stat sa, sb;
        return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* In one dialect where -F names it, else as it was written, with the includes in place. */
static int print_config(struct daemon *d, struct buffer *out) {
        const char *format = d->options.output_format;
        if (format)
                return config_print(out, d->config, strcmp(format, "yaml") == 0 ? DIALECT_YAML : DIALECT_RAINERSCRIPT,
                                    SECRETS_SHOWN);
        time_t now = time(NULL);
        char when[64];
        buffer_format(out, "## full conf created by rsyslog version %s at %s\n", PENSTOCK_RSYSLOG_VERSION,
                      strtok(ctime_r(&now, when), "\n"));
        config_print_flat(out, d->config);
        return buffer_failed(out);
}

/* -o: the whole configuration in one file. */
static int write_flat(struct daemon *d) {
        const char *path = d->options.output_file;
        if (strcmp(path, d->options.config_file) == 0) {
                fprintf(stderr, "rsyslogd: -o output path must not be the same as the input config file '%s'\n", path);
                return EXIT_ERRORS;
        }
        if (is_same_file(path, d->options.config_file)) {
                fprintf(stderr, "rsyslogd: -o output path '%s' resolves to the same file as input config file '%s'\n",
                        path, d->options.config_file);
                return EXIT_ERRORS;
        }
        _owned_(buffer_fini) struct buffer out = {0};
        int r = print_config(d, &out);
        if (r == -EILSEQ)
                fprintf(stderr, "rsyslogd: the configuration holds text that is not UTF-8, which YAML has to be\n");
        if (r == 0)
                r = file_replace(path, buffer_as_text(&out), 0644);
        if (r)
                fprintf(stderr, "rsyslogd: cannot write %s: %s\n", path, fail_text(r));
        return r ? EXIT_ERRORS : EXIT_CLEAN;
}

static int run_failed(int code, const char *why) {
        fprintf(stderr,
                "rsyslogd: run failed with error %d (see rsyslog.h or try https://www.rsyslog.com/e/%d to learn what "
                "that number means): %s\n",
                code, -code, why);
        return EXIT_ERRORS;
}

/* Loads, compiles and reports. EXIT_CLEAN: go on. */
static int prepare(struct daemon *d) {
        int r = load(d);
        if (!d->config) {
                show_diagnostics(d);
                fprintf(stderr, "rsyslogd: could not open config file '%s': %s\n", d->options.config_file,
                        fail_text(r));
                return run_failed(RSYSLOG_FILE_NOT_FOUND, fail_text(r));
        }
        struct pipeline_host host = {.log = d->log,
                                     .housekeeping = d->housekeeping,
                                     .observer = daemon_bus_observer(d->bus),
                                     .tap = daemon_bus_tap(d->bus),
                                     .diagnosis = &d->diagnosis,
                                     .is_checking = d->options.check_level > 0};
        r = pipeline_new(&d->pipeline, d->config, &host, &d->diagnostics);
        d->diagnosis.pipeline = d->pipeline;
        show_diagnostics(d);
        if (r)
                return run_failed(r, fail_text(r));
        if (d->config->global->aborts_on_unclean_config && d->diagnostics.errors) {
                fprintf(stderr,
                        "rsyslogd: the configuration has errors and global(abortOnUncleanConfig=\"on\") is set: "
                        "not started\n");
                return EXIT_UNCLEAN;
        }
        if (!pipeline_has_actions(d->pipeline) && d->options.check_level < 2)
                return run_failed(RSYSLOG_NO_ACTIONS, "there is not one action in the configuration");
        return EXIT_CLEAN;
}

static int check(struct daemon *d) {
        fprintf(stderr, "rsyslogd: version %s, config validation run (level %d), master config %s\n",
                PENSTOCK_RSYSLOG_VERSION, d->options.check_level, d->options.config_file);
        int r = prepare(d);
        if (r != EXIT_CLEAN)
                return r;
        if (d->options.output_file && (r = write_flat(d)) != EXIT_CLEAN)
                return r;
        if (d->diagnostics.errors)
                return EXIT_ERRORS;
        fprintf(stderr, "rsyslogd: End of config validation run. Bye.\n");
        return EXIT_CLEAN;
}

/* ---- Process ------------------------------------------------------------------- */

static void apply_globals(struct daemon *d) {
        const struct global_settings *g = d->config->global;
        for (size_t i = 0; i < g->environment.count; i++)
                putenv(g->environment.items[i]);
        if (g->umask >= 0)
                umask((mode_t)g->umask);
        if (g->open_files_max > 0) {
                struct rlimit files = {.rlim_cur = (rlim_t)g->open_files_max, .rlim_max = (rlim_t)g->open_files_max};
                if (setrlimit(RLIMIT_NOFILE, &files))
                        report(own_log_reporter(d->log), SEVERITY_ERR, 2124,
                               "could not set the limit of open files to %lld: %s", (long long)g->open_files_max,
                               fail_text(errno));
        }
        own_log_configure(d->log, &(struct own_log_options){
                                          .shows_errors = d->options.is_foreground,
                                          .shows_all = g->all_to_stderr,
                                          .shown_max = g->stderr_max,
                                          .rate_interval_s = g->internal_rate_interval_s,
                                          .rate_burst = g->internal_rate_burst,
                                          .severity_max = g->internal_severity,
                                  });
}

/* Own messages enter our log where it is asked for, or where we are a service and no journal takes them. */
static bool processes_own_messages(const struct daemon *d) {
        const struct global_settings *g = d->config->global;
        if (g->internal_is_set)
                return g->processes_internal_messages;
        const char *wish = getenv("RSYSLOG_DFLT_LOG_INTERNAL");
        if (wish)
                return strcmp(wish, "1") == 0;
        return !d->options.is_foreground && access("/run/systemd/journal/socket", F_OK) != 0;
}

static void report_status(struct daemon *d, enum severity severity, const char *status) {
        char line[256];
        snprintf(line, sizeof line,
                 "[origin software=\"rsyslogd\" swVersion=\"%s\" x-pid=\"%d\" x-info=\"https://www.rsyslog.com\"] %s",
                 PENSTOCK_RSYSLOG_VERSION, (int)getpid(), status);
        own_log_say(d->log, severity, line);
}

static void handle_hup(struct daemon *d) {
        resolve_forget();
        pipeline_reopen(d->pipeline);
        atomic_fetch_add(&d->diagnosis.hups, 1);
        report_status(d, SEVERITY_INFO, "rsyslogd was HUPed");
        daemon_bus_reopened(d->bus);
}

static void reopen(void *owner) {
        handle_hup(owner);
}

static void handle_signal(struct watch *watch, uint32_t events _unused_) {
        struct daemon *d = CONTAINER_OF(watch, struct daemon, signals);
        struct signalfd_siginfo info;
        while (read(watch->fd, &info, sizeof info) == sizeof info) {
                int number = (int)info.ssi_signo;
                bool ends = number == SIGTERM ||
                            ((number == SIGINT || number == SIGQUIT) &&
                             (d->options.is_debug || d->options.is_foreground || d->config->global->enables_ctrl_c));
                if (number == SIGHUP)
                        handle_hup(d);
                if (ends) {
                        d->last_signal = number;
                        loop_stop(d->loop);
                }
        }
}

/* Blocked in every thread from here on; the loop reads them. */
static int watch_signals(struct daemon *d) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGQUIT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        d->signals = (struct watch){
                .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .events = EPOLLIN, .ready = handle_signal};
        if (d->signals.fd < 0)
                return fail(-errno);
        return loop_watch(d->loop, &d->signals);
}

static int drop_privileges(const struct daemon *d) {
        const struct global_settings *g = d->config->global;
        const struct passwd *user = g->drop_user ? getpwnam(g->drop_user) : NULL;
        const struct group *group = g->drop_group ? getgrnam(g->drop_group) : NULL;
        if ((g->drop_user && !user) || (g->drop_group && !group)) {
                report(own_log_reporter(d->log), SEVERITY_ERR, 0, "cannot drop privileges: %s '%s' does not exist",
                       g->drop_user && !user ? "user" : "group", g->drop_user && !user ? g->drop_user : g->drop_group);
                return fail(-ENOENT);
        }
        int64_t gid = group ? (int64_t)group->gr_gid : g->drop_group_id;
        int64_t uid = user ? (int64_t)user->pw_uid : g->drop_user_id;
        if (gid > 0) {
                if (!g->keeps_supplemental_groups && setgroups(0, NULL))
                        return fail(-errno);
                if (setgid((gid_t)gid))
                        return fail(-errno);
        }
        if (uid > 0) {
                if (user && !g->keeps_supplemental_groups && initgroups(user->pw_name, getgid()))
                        return fail(-errno);
                if (setuid((uid_t)uid))
                        return fail(-errno);
        }
        return 0;
}

/* -T: from here on all paths lie below it, that of the configuration, too. */
static int enter_root(const char *directory) {
        if (!directory || (chroot(directory) == 0 && chdir("/") == 0))
                return 0;
        int r = -errno;
        fprintf(stderr, "rsyslogd: cannot change the root directory to '%s': %s\n", directory, fail_text(r));
        return fail(r);
}

static void *housekeep(void *argument) {
        struct daemon *d = argument;
        int r = loop_run(d->housekeeping);
        if (r)
                report(own_log_reporter(d->log), SEVERITY_ERR, 0, "housekeeping ended: %s", fail_text(r));
        return NULL;
}

static int start_housekeeping(struct daemon *d) {
        int r = pthread_create(&d->housekeeper, NULL, housekeep, d);
        if (r)
                return fail(-r);
        d->has_housekeeper = true;
        return 0;
}

static void stop_housekeeping(struct daemon *d) {
        if (!d->has_housekeeper)
                return;
        loop_stop(d->housekeeping);
        pthread_join(d->housekeeper, NULL);
        d->has_housekeeper = false;
}

/* ---- Being replaced ------------------------------------------------------------- */

enum { LEAVE_LOOK_MS = 50 };

/* Connections go on until they end, or their time is over. */
static void leave_when_quiet(struct timer *timer) {
        struct daemon *d = CONTAINER_OF(timer, struct daemon, leaving);
        int64_t now_ns = clock_mono_ns();
        bool is_quiet = pipeline_sessions(d->pipeline) == 0 || now_ns >= d->leave_ns;
        if (is_quiet || loop_arm(d->loop, timer, now_ns + LEAVE_LOOK_MS * INT64_C(1000000)))
                loop_stop(d->loop);
}

static void retire(void *owner, int64_t drain_ms) {
        struct daemon *d = owner;
        d->is_retired = true;
        pipeline_retire(d->pipeline);
        int64_t now_ns = clock_mono_ns();
        d->leave_ns = now_ns + drain_ms * 1000000;
        d->leaving.fire = leave_when_quiet;
        if (loop_arm(d->loop, &d->leaving, now_ns + LEAVE_LOOK_MS * INT64_C(1000000)))
                loop_stop(d->loop);
}

/* Whom we have replaced has ended. */
static void resume_inputs(void *owner) {
        struct daemon *d = owner;
        pipeline_resume(d->pipeline);
}

static int take_over(struct daemon *d) {
        succession_ready(d->succession, own_log_reporter(d->log));
        int r = succession_await(d->succession, d->loop, resume_inputs, d);
        if (r)
                resume_inputs(d);
        return r ? pass(r) : 0;
}

static void remember_start(struct daemon *d, char **argv) {
        ssize_t size = readlink("/proc/self/exe", d->binary, sizeof d->binary - 1);
        d->binary[MAX(size, (ssize_t)0)] = '\0';
        d->arguments = argv;
        if (!getcwd(d->directory, sizeof d->directory))
                d->directory[0] = '\0';
}

static void bind_bus(struct daemon *d) {
        const struct daemon_bus_host host = {.log = d->log,
                                             .loop = d->loop,
                                             .housekeeping = d->housekeeping,
                                             .registry = d->registry,
                                             .config = d->config,
                                             .pipeline = d->pipeline,
                                             .config_file = d->options.config_file,
                                             .binary = d->binary,
                                             .arguments = d->arguments,
                                             .directory = d->directory[0] ? d->directory : NULL,
                                             .shows_trouble = d->options.is_foreground,
                                             .reopen = reopen,
                                             .retire = retire,
                                             .owner = d};
        daemon_bus_bind(d->bus, &host);
}

static bool drops_privileges(const struct daemon *d) {
        const struct global_settings *g = d->config->global;
        return g->drop_user || g->drop_group || g->drop_user_id > 0 || g->drop_group_id > 0;
}

static int write_pid_file(const struct daemon *d) {
        int r = d->options.pid_file ? pidfile_write(d->options.pid_file) : 0;
        if (r)
                fprintf(stderr, "rsyslogd: error writing pid file '%s': %s\n", d->options.pid_file, fail_text(r));
        return r ? pass(r) : 0;
}

/* Opens everything, drops privileges, and starts all. */
static int open_all(struct daemon *d) {
        int r = watch_signals(d);
        if (r)
                return pass(r);
        r = own_log_open(d->log, d->housekeeping, processes_own_messages(d) ? pipeline_main_sink(d->pipeline) : NULL,
                         pipeline_pool(d->pipeline), pipeline_facts(d->pipeline)->host_name);
        if (r)
                return pass(r);
        r = pipeline_open(d->pipeline);
        if (r)
                return pass(r);
        bind_bus(d);
        heirlooms_close();
        if (drops_privileges(d)) {
                r = write_pid_file(d);
                if (r == 0)
                        r = drop_privileges(d);
                if (r)
                        return pass(r);
        }
        r = start_housekeeping(d);
        if (r == 0)
                r = pipeline_start(d->pipeline, d->succession != NULL);
        d->is_started = r == 0;
        if (r == 0 && d->succession)
                r = take_over(d);
        if (r)
                return pass(r);
        daemon_bus_serve(d->bus);
        return 0;
}

/* Until a signal ends it, or another process has taken over. */
static int serve(struct daemon *d) {
        report_status(d, SEVERITY_INFO, "start");
        own_log_say(d->log, SEVERITY_DEBUG, "rsyslogd fully started up and initialized - begin actual processing");
        daemonize_ready(&d->ready_fd);
        notify_service("READY=1");
        int r = loop_run(d->loop);
        if (!d->is_retired)
                notify_service("STOPPING=1");
        return r ? pass(r) : 0;
}

static void stop(struct daemon *d, const char *status) {
        daemon_bus_leave(d->bus);
        pipeline_stop_inputs(d->pipeline);
        stop_housekeeping(d);
        report_status(d, SEVERITY_INFO, status);
        own_log_flush(d->log);
        uint64_t left = d->left = pipeline_drain(d->pipeline);
        if (left)
                fprintf(stderr,
                        "rsyslogd: %llu messages were still queued when the time-outs had passed and are lost\n",
                        (unsigned long long)left);
        own_log_close(d->log);
        /* Whoever has replaced us has written its own. */
        if (d->options.pid_file && !d->is_retired)
                pidfile_remove(d->options.pid_file);
}

static int run(struct daemon *d) {
        int r = open_all(d);
        if (r) {
                if (d->is_started)
                        pipeline_stop_inputs(d->pipeline);
                stop_housekeeping(d);
                if (d->is_started)
                        d->left = pipeline_drain(d->pipeline);
                own_log_close(d->log);
                /* It is there already when dropping privileges failed. */
                if (d->options.pid_file)
                        pidfile_remove(d->options.pid_file);
                return run_failed(r, fail_text(r));
        }
        /* Whoever waits for the pid file finds everything at work. */
        int error = drops_privileges(d) ? 0 : write_pid_file(d);
        if (error) {
                stop(d, "exiting, the pid file cannot be written.");
                return run_failed(error, fail_text(error));
        }
        r = serve(d);
        char status[64];
        if (d->is_retired)
                snprintf(status, sizeof status, "exiting, another process has taken over.");
        else
                snprintf(status, sizeof status, "exiting on signal %d.", d->last_signal);
        stop(d, status);
        return r ? EXIT_ERRORS : EXIT_CLEAN;
}

static int start(struct daemon *d) {
        const struct options *o = &d->options;
        pid_t holder = o->pid_file ? pidfile_holder(o->pid_file) : 0;
        if (holder && holder != succession_pid(d->succession)) {
                fprintf(stderr,
                        "rsyslogd: pidfile '%s' and pid %d already exist. Each instance needs a pid file of its "
                        "own (-i option); if that process is another program, remove the file.\n",
                        o->pid_file, (int)holder);
                return EXIT_ERRORS;
        }
        int r = prepare(d);
        if (r != EXIT_CLEAN)
                return r;
        if (o->output_file && (r = write_flat(d)) != EXIT_CLEAN)
                return r;
        if (!o->is_foreground) {
                r = daemonize(&d->ready_fd);
                if (r == DAEMONIZE_PARENT_OK)
                        return EXIT_CLEAN;
                if (r)
                        return EXIT_ERRORS;
        }
        r = d->succession ? succession_take(d->succession) : 0;
        if (r == 0 && !o->keeps_directory && chdir("/"))
                r = fail(-errno);
        if (r)
                return run_failed(r, fail_text(r));
        apply_globals(d);
        return run(d);
}

int main(int argc, char **argv) {
        struct daemon d = {.ready_fd = -1, .signals.fd = -1};
        switch (options_read(&d.options, argc, argv)) {
        case OPTIONS_EXIT_OK:
                return EXIT_CLEAN;
        case OPTIONS_EXIT_FAILED:
                return EXIT_ERRORS;
        case OPTIONS_RUN:
                break;
        }
        diagnosis_init(&d.diagnosis);
        fail_trace(d.options.is_debug);
        remember_start(&d, argv);
        if (enter_root(d.options.root_directory))
                return EXIT_ERRORS;
        int r = own_log_new(&d.log);
        if (r == 0 && !d.options.check_level)
                r = succession_read(&d.succession);
        if (r == 0)
                r = loop_new(&d.loop);
        if (r == 0)
                r = loop_new(&d.housekeeping);
        if (r == 0)
                r = daemon_bus_new(&d.bus);
        if (r) {
                fprintf(stderr, "rsyslogd: cannot start: %s\n", fail_text(r));
                return EXIT_ERRORS;
        }
        own_log_configure(d.log, &(struct own_log_options){.shows_errors = d.options.is_foreground,
                                                           .shows_warnings = d.options.check_level > 0,
                                                           .shown_max = -1,
                                                           .severity_max = SEVERITY_DEBUG});
        int status = d.options.check_level ? check(&d) : start(&d);
        daemon_bus_free(d.bus);
        succession_free(d.succession);
        pipeline_free(d.pipeline);
        config_free(d.config);
        registry_free(d.registry);
        diagnostics_fini(&d.diagnostics);
        own_log_free(d.log);
        if (d.signals.fd >= 0)
                close(d.signals.fd);
        loop_free(d.loop);
        loop_free(d.housekeeping);
        if (d.last_signal)
                diagnosis_end(&d.diagnosis, d.last_signal, d.left);
        diagnosis_fini(&d.diagnosis);
        return status;
}
