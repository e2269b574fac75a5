/*
 * The tables of what is configured but no module: global(), queue.* and action().
 *
 * Legacy names carry their prefix: a queue's parameter is set by $MainMsgQueue...
 * for the main queue and by $ActionQueue... for the next action.
 */
#include "module/objects.h"

#include "module/settings.h"

static const char *const queue_types[] = {[QUEUE_FIXED_ARRAY] = "FixedArray",
                                          [QUEUE_LINKED_LIST] = "LinkedList",
                                          [QUEUE_DIRECT] = "Direct",
                                          [QUEUE_DISK] = "Disk",
                                          [QUEUE_SEGMENTED_DISK] = "segmentedDisk",
                                          [QUEUE_DELAY] = "Delay",
                                          NULL};
static const char *const queue_compressions[] = {
        [QUEUE_PLAIN] = "none", [QUEUE_LZ4] = "lz4", [QUEUE_ZSTD] = "zstd", NULL};
static const char *const off_on[] = {"off", "on", NULL};
static const char *const oversize_modes[] = {"truncate", "split", "accept", NULL};
static const char *const ip_protocols[] = {"unspecified", "ipv4-only", "ipv6-only", NULL};
static const char *const child_reports[] = {"none", "errors", "all", NULL};
static const char *const secure_modes[] = {"off", "on", "warn", "strict", NULL};

static const char *const dead_letters[] = {"none", "acknowledged", "all", NULL};

static const struct param queue_params[] = {
        PARAM_CHOICE(struct queue_settings, type, .name = "queue.type", .legacy = "MainMsgQueueType ActionQueueType",
                     .dflt = "FixedArray", .choices = queue_types,
                     .help = "How messages wait: an array or a list in memory, not at all (Direct), on disk (Disk, "
                             "segmentedDisk), or on disk while the action is slow (Delay). An action's queue is "
                             "Direct unless said otherwise."),
        PARAM_SIZE(struct queue_settings, size, .name = "queue.size", .legacy = "MainMsgQueueSize ActionQueueSize",
                   .dflt = "50000", .min = 1, .unit = "messages",
                   .help = "Most messages that wait. An action's queue has 1000 unless said otherwise."),
        PARAM_INT(
                struct queue_settings, dequeue_batch_size, .name = "queue.dequeuebatchsize",
                .legacy = "MainMsgQueueDequeueBatchSize ActionQueueDequeueBatchSize", .dflt = "1024", .min = 1,
                .unit = "messages",
                .help = "Most messages that a worker takes at once. An action's queue has 128 unless said otherwise."),
        PARAM_INT(struct queue_settings, min_dequeue_batch_size, .name = "queue.mindequeuebatchsize", .dflt = "0",
                  .min = 0, .max = INT64_MAX, .unit = "messages",
                  .help = "A worker waits a moment for this many messages before it takes them."),
        PARAM_INT(struct queue_settings, min_dequeue_batch_timeout_ms, .name = "queue.mindequeuebatchsize.timeout",
                  .dflt = "1000", .min = 0, .max = INT64_MAX, .unit = "milliseconds",
                  .help = "How long a worker waits for queue.minDequeueBatchSize."),
        PARAM_INT(struct queue_settings, high_watermark, .name = "queue.highwatermark",
                  .legacy = "MainMsgQueueHighWaterMark ActionQueueHighWaterMark", .dflt = "-1", .min = -1,
                  .unit = "messages",
                  .help = "A disk-assisted queue begins to write to disk here; -1: 90 % of queue.size."),
        PARAM_INT(struct queue_settings, low_watermark, .name = "queue.lowwatermark",
                  .legacy = "MainMsgQueueLowWaterMark ActionQueueLowWaterMark", .dflt = "-1", .min = -1,
                  .unit = "messages",
                  .help = "A disk-assisted queue goes back to memory here; -1: 70 % of queue.size."),
        PARAM_INT(struct queue_settings, full_delay_mark, .name = "queue.fulldelaymark", .dflt = "-1", .min = -1,
                  .unit = "messages", .help = "Inputs that can wait stop here; -1: 97 % of queue.size."),
        PARAM_INT(struct queue_settings, light_delay_mark, .name = "queue.lightdelaymark", .dflt = "-1", .min = -1,
                  .unit = "messages", .help = "Inputs that can wait slow down here; 0: never, -1: 70 % of queue.size."),
        PARAM_INT(struct queue_settings, discard_mark, .name = "queue.discardmark",
                  .legacy = "MainMsgQueueDiscardMark ActionQueueDiscardMark", .dflt = "-1", .min = -1,
                  .unit = "messages",
                  .help = "Less important messages are discarded from here on; -1: 80 % of queue.size."),
        PARAM_SEVERITY(struct queue_settings, discard_severity, .name = "queue.discardseverity",
                       .legacy = "MainMsgQueueDiscardSeverity ActionQueueDiscardSeverity", .dflt = "8", .min = 0,
                       .max = 8,
                       .help = "At the discard mark messages of this severity and less important ones go; 8: none."),
        PARAM_INT(struct queue_settings, worker_threads, .name = "queue.workerthreads",
                  .legacy = "MainMsgQueueWorkerThreads ActionQueueWorkerThreads", .dflt = "1", .min = 1, .max = 1024,
                  .unit = "threads", .help = "Most workers that empty the queue together."),
        PARAM_INT(struct queue_settings, worker_minimum_messages, .name = "queue.workerthreadminimummessages",
                  .legacy = "MainMsgQueueWorkerThreadMinimumMessages ActionQueueWorkerThreadMinimumMessages",
                  .dflt = "-1", .min = -1, .unit = "messages",
                  .help = "Another worker starts for each this many waiting messages; -1: queue.size / "
                          "queue.workerThreads."),
        PARAM_INT(struct queue_settings, timeout_shutdown_ms, .name = "queue.timeoutshutdown",
                  .legacy = "MainMsgQueueTimeoutShutdown ActionQueueTimeoutShutdown", .dflt = "1500", .min = 0,
                  .max = INT64_MAX, .unit = "milliseconds",
                  .help = "How long the queue is emptied at a stop. An action's queue has 10 unless said otherwise."),
        PARAM_INT(struct queue_settings, timeout_action_completion_ms, .name = "queue.timeoutactioncompletion",
                  .legacy = "MainMsgQueueTimeoutActionCompletion ActionQueueTimeoutActionCompletion", .dflt = "1000",
                  .min = 0, .max = INT64_MAX, .unit = "milliseconds",
                  .help = "How long the batch in work may take at a stop."),
        PARAM_INT(struct queue_settings, timeout_enqueue_ms, .name = "queue.timeoutenqueue",
                  .legacy = "MainMsgQueueTimeoutEnqueue ActionQueueTimeoutEnqueue", .dflt = "2000", .min = 0,
                  .max = INT64_MAX, .unit = "milliseconds",
                  .help = "How long an input that cannot wait tries a full queue before its message is dropped; 0: not "
                          "at all."),
        PARAM_INT(struct queue_settings, timeout_worker_ms, .name = "queue.timeoutworkerthreadshutdown",
                  .legacy = "MainMsgQueueWorkerTimeoutThreadShutdown MainMsgQueueTimeoutWorkerThreadShutdown "
                            "ActionQueueWorkerTimeoutThreadShutdown ActionQueueTimeoutWorkerThreadShutdown",
                  .dflt = "60000", .min = -1, .unit = "milliseconds",
                  .help = "An idle worker beyond the first ends after this; -1: never."),
        PARAM_INT(struct queue_settings, dequeue_slowdown_us, .name = "queue.dequeueslowdown",
                  .legacy = "MainMsgQueueDequeueSlowdown ActionQueueDequeueSlowdown", .dflt = "0", .min = 0,
                  .max = INT64_MAX, .unit = "microseconds",
                  .help = "A pause after each message taken, to spare the destination."),
        PARAM_INT(struct queue_settings, dequeue_time_begin, .name = "queue.dequeuetimebegin",
                  .legacy = "MainMsgQueueDequeueTimeBegin ActionQueueDequeueTimeBegin", .dflt = "0", .min = 0,
                  .max = 25, .unit = "hour of the day", .help = "Messages are taken from this hour on only."),
        PARAM_INT(struct queue_settings, dequeue_time_end, .name = "queue.dequeuetimeend",
                  .legacy = "MainMsgQueueDequeueTimeEnd ActionQueueDequeueTimeEnd", .dflt = "25", .min = 0, .max = 25,
                  .unit = "hour of the day", .help = "Messages are taken until this hour only; 25: always."),
        PARAM_INT(struct queue_settings, sampling_interval, .name = "queue.samplinginterval", .dflt = "0", .min = 0,
                  .max = INT64_MAX, .unit = "messages",
                  .help = "Only each this many-th message enters the queue; 0: all."),
        PARAM_BOOL(struct queue_settings, saves_on_shutdown, .name = "queue.saveonshutdown",
                   .legacy = "MainMsgQueueSaveOnShutdown ActionQueueSaveOnShutdown", .dflt = "off",
                   .help = "What a disk-assisted queue still has in memory at a stop is written to disk."),
        PARAM_BOOL(struct queue_settings, takes_flow_control, .name = "queue.takeflowctlfrommsg", .dflt = "off",
                   .help = "Delay marks act as each message's input says, in a ruleset's queue, too."),
        PARAM_STRING(struct queue_settings, file_name, .name = "queue.filename",
                     .legacy = "MainMsgQueueFileName ActionQueueFileName",
                     .help = "Base name of the queue's directory, \"<name>.store\"; makes a memory queue "
                             "disk-assisted."),
        PARAM_STRING(struct queue_settings, spool_directory, .name = "queue.spooldirectory",
                     .help = "Where the queue's files lie; the work directory unless said otherwise."),
        PARAM_SIZE(struct queue_settings, file_bytes_max, .name = "queue.maxfilesize",
                   .legacy = "MainMsgQueueMaxFileSize ActionQueueMaxFileSize", .dflt = "16m", .min = 1,
                   .help = "Size of one file of the queue. An action's queue has 1m unless said otherwise."),
        PARAM_SIZE(struct queue_settings, disk_bytes_max, .name = "queue.maxdiskspace",
                   .legacy = "MainMsgQueueMaxDiskSpace ActionQueueMaxDiskSpace", .dflt = "0", .min = 0,
                   .max = INT64_MAX,
                   .help = "Most disk space that all files of the queue take; 0: what the file system has."),
        PARAM_INT(struct queue_settings, checkpoint_interval, .name = "queue.checkpointinterval",
                  .legacy = "MainMsgQueueCheckpointInterval ActionQueueCheckpointInterval", .dflt = "0", .min = 0,
                  .max = INT64_MAX, .unit = "messages",
                  .help = "No more messages than this, or than two batches hold, come twice when the daemon is killed: "
                          "its "
                          "place is written in time, and waited for; 0: no bound. Nothing is ever lost by it."),
        PARAM_BOOL(struct queue_settings, syncs_files, .name = "queue.syncqueuefiles",
                   .legacy = "MainMsgQueueSyncQueueFiles ActionQueueSyncQueueFiles", .dflt = "off",
                   .help = "A message counts as accepted once it is synced to disk, safe from a loss of power; off: "
                           "once it is written, safe from a crash of the daemon. Many messages share one sync."),
        PARAM_CHOICE(struct queue_settings, compression, .name = "queue.compression", .dflt = "none",
                     .choices = queue_compressions, .help = "How what goes to disk is compressed, batch by batch."),
        PARAM_INT(struct queue_settings, compression_level, .name = "queue.compression.level", .dflt = "0", .min = -100,
                  .max = 22, .help = "The compression's own level; 0: its default."),
        PARAM_STRING(
                struct queue_settings, encryption_key_file, .name = "queue.encryption.keyfile",
                .help = "What goes to disk is encrypted with AES-256-GCM, and this file holds the key: 32 bytes, or "
                        "64 hexadecimal digits."),
        PARAM_STRING(struct queue_settings, encryption_key_program, .name = "queue.encryption.keyprogram",
                     .help = "The same with a program that prints the key; a path and arguments."),
        PARAM_BOOL(struct queue_settings, is_chained, .name = "queue.hashchain", .dflt = "off",
                   .help = "What is on disk carries a hash of all before it, so that tampering shows."),
        PARAM_STRING(struct queue_settings, crypto_provider, .name = "queue.cry.provider",
                     .help = "rsyslog's way to encrypt the queue's files (gcry, ossl): needs queue.cry.keyFile or "
                             "queue.cry.keyProgram, and is AES-256-GCM whichever is named."),
        PARAM_STRING(struct queue_settings, crypto_key_file, .name = "queue.cry.keyfile",
                     .help = "As queue.encryption.keyFile."),
        PARAM_STRING(struct queue_settings, crypto_key_program, .name = "queue.cry.keyprogram",
                     .help = "As queue.encryption.keyProgram."),
        PARAM_STRING(struct queue_settings, ignored_string, .name = "queue.cry.key", .flags = PARAM_IS_IGNORED,
                     .help = "A key in the configuration is not taken: whoever reads the file would have it. Use "
                             "queue.cry.keyFile."),
        PARAM_STRING(struct queue_settings, ignored_string, .name = "queue.cry.mode", .flags = PARAM_IS_IGNORED,
                     .help = "It is always AES-256-GCM."),
        PARAM_STRING(struct queue_settings, ignored_string, .name = "queue.cry.algo", .flags = PARAM_IS_IGNORED,
                     .help = "It is always AES-256-GCM."),
        PARAM_STRING(struct queue_settings, disk_queue_type, .name = "queue.diskqueuetype", .flags = PARAM_IS_IGNORED,
                     .help = "Form of the files on disk; there is one form here, so that this has no effect."),
        PARAM_BOOL(struct queue_settings, disk_queue_auto_upgrade, .name = "queue.diskqueueautoupgrade", .dflt = "on",
                   .flags = PARAM_IS_IGNORED,
                   .help = "Old files become the new form; there is one form here, so that this has no effect."),
        PARAM_INT(struct queue_settings, disk_queue_idle_timeout, .name = "queue.diskqueueidletimeout", .dflt = "0",
                  .min = -1, .flags = PARAM_IS_IGNORED, .unit = "milliseconds",
                  .help = "Removes an empty disk queue's files after this; files are recycled here, so that this has "
                          "no effect."),
        PARAM_STRING(struct queue_settings, on_corruption, .name = "queue.oncorruption", .flags = PARAM_IS_IGNORED,
                     .help = "What happens to damaged files. Damage is always set aside whole and reported here, so "
                             "that this has no effect."),
        PARAM_INT(struct queue_settings, delay_threshold_ms, .name = "queue.delaythreshold", .dflt = "1000", .min = 1,
                  .unit = "milliseconds",
                  .help = "A queue of type Delay takes over when the action takes longer than this."),
        PARAM_SIZE(
                struct queue_settings, bytes_max, .name = "queue.maxbytes", .dflt = "0", .min = 0, .max = INT64_MAX,
                .help = "Most memory that waiting messages take; 0: as global(memory.max) allows. Of a queue on disk: "
                        "what is kept in memory as well; 0: 16m."),
        {}};

static const struct param action_params[] = {
        PARAM_STRING(struct action_settings, name, .name = "name", .legacy = "ActionName",
                     .help = "Name of the action in messages and statistics."),
        PARAM_STRING(struct action_settings, type, .name = "type",
                     .help = "The module that does the work: omfile, omfwd ..."),
        PARAM_STRING(struct action_settings, error_file, .name = "action.errorfile",
                     .help = "Messages that the destination refused for good are written here, as JSON lines."),
        PARAM_SIZE(struct action_settings, error_file_bytes_max, .name = "action.errorfile.maxsize", .dflt = "0",
                   .min = 0, .max = INT64_MAX, .help = "The error file does not grow beyond this; 0: no limit."),
        PARAM_BOOL(struct action_settings, writes_all_marks, .name = "action.writeallmarkmessages",
                   .legacy = "ActionWriteAllMarkMessages", .dflt = "on", .flags = PARAM_LEGACY_STAYS,
                   .help = "Also writes mark messages when the action was used since the last mark."),
        PARAM_INT(struct action_settings, exec_every_nth, .name = "action.execonlyeverynthtime",
                  .legacy = "ActionExecOnlyEveryNthTime", .dflt = "0", .min = 0, .max = INT64_MAX, .unit = "messages",
                  .help = "Only each this many-th message is handled; 0: all."),
        PARAM_INT(struct action_settings, exec_every_nth_timeout_s, .name = "action.execonlyeverynthtimetimeout",
                  .legacy = "ActionExecOnlyEveryNthTimeTimeout", .dflt = "0", .min = 0, .max = INT64_MAX,
                  .unit = "seconds",
                  .help = "The count for action.execOnlyEveryNthTime begins anew after such a gap; 0: never."),
        PARAM_INT(struct action_settings, exec_once_every_s, .name = "action.execonlyonceeveryinterval",
                  .legacy = "ActionExecOnlyOnceEveryInterval", .dflt = "0", .min = 0, .max = INT64_MAX,
                  .unit = "seconds", .help = "After one message the next are dropped for this long; 0: none."),
        PARAM_BOOL(struct action_settings, exec_only_when_previous_is_suspended,
                   .name = "action.execonlywhenpreviousissuspended", .legacy = "ActionExecOnlyWhenPreviousIsSuspended",
                   .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Acts only while the action before it is suspended."),
        PARAM_BOOL(struct action_settings, repeated_contains_original, .name = "action.repeatedmsgcontainsoriginalmsg",
                   .legacy = "RepeatedMsgContainsOriginalMsg", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "\"Message repeated n times\" carries the message itself."),
        PARAM_INT(struct action_settings, resume_retry_count, .name = "action.resumeretrycount",
                  .legacy = "ActionResumeRetryCount", .dflt = "0", .min = -1, .unit = "times",
                  .help = "How often an unavailable destination is tried again before the message is given up; -1: for "
                          "ever."),
        PARAM_INT(struct action_settings, resume_interval_s, .name = "action.resumeinterval",
                  .legacy = "ActionResumeInterval", .dflt = "30", .min = 0, .max = INT64_MAX,
                  .flags = PARAM_LEGACY_STAYS, .unit = "seconds",
                  .help = "First pause before an unavailable destination is tried again."),
        PARAM_INT(struct action_settings, resume_interval_max_s, .name = "action.resumeintervalmax", .dflt = "1800",
                  .min = 0, .max = INT64_MAX, .unit = "seconds", .help = "The pause between tries grows up to this."),
        PARAM_CHOICE(struct action_settings, reports_suspension, .name = "action.reportsuspension", .choices = off_on,
                     .help = "Says when the action is suspended and resumed; unset: as global() says."),
        PARAM_CHOICE(struct action_settings, reports_continuation, .name = "action.reportsuspensioncontinuation",
                     .choices = off_on, .help = "Says each time a suspension goes on; unset: as global() says."),
        PARAM_STRING(struct action_settings, external_state_file, .name = "action.externalstate.file",
                     .help = "The action is suspended while this file says SUSPENDED."),
        PARAM_STRING(struct action_settings, rate_limit_name, .name = "action.ratelimit.name",
                     .help = "A ratelimit() object: what goes beyond it is discarded before the action, or its queue, "
                             "takes it. All that name the object share it."),
        PARAM_BOOL(struct action_settings, copies_message, .name = "action.copymsg", .dflt = "off",
                   .help = "The action works on a copy of the message."),
        PARAM_CHOICE(struct action_settings, dead_letters, .name = "action.deadletter", .choices = dead_letters,
                     .help = "Which messages are kept that the destination refused for good or that were given up: "
                             "none, those whose sender is told that they are taken or that a queue on disk accepted, "
                             "or all; unset: as global() says."),
        {}};

static const struct param global_params[] = {
        PARAM_STRING(struct global_settings, work_directory, .name = "workdirectory", .legacy = "WorkDirectory",
                     .help = "Where state files and queues lie."),
        PARAM_STRING(struct global_settings, local_host_name, .name = "localhostname", .legacy = "LocalHostName",
                     .help = "Name of this host in messages, instead of the system's."),
        PARAM_STRING(struct global_settings, control_prefix, .name = "parser.controlcharacterescapeprefix",
                     .legacy = "ControlCharacterEscapePrefix", .dflt = "#",
                     .help = "One character that begins an escaped control character."),
        PARAM_SIZE(struct global_settings, message_bytes_max, .name = "maxmessagesize", .legacy = "MaxMessageSize",
                   .dflt = "8096", .min = 128, .max = 64 << 20,
                   .help = "Longest message; what is longer is handled as oversizemsg.input.mode says."),
        PARAM_STRING(struct global_settings, oversize_error_file, .name = "oversizemsg.errorfile",
                     .help = "Messages that were too long are also written here, as JSON lines."),
        PARAM_BOOL(struct global_settings, oversize_is_reported, .name = "oversizemsg.report", .dflt = "on",
                   .help = "Says so when a message is too long."),
        PARAM_CHOICE(struct global_settings, oversize_mode, .name = "oversizemsg.input.mode", .dflt = "truncate",
                     .choices = oversize_modes, .help = "What happens to a message that is too long."),
        PARAM_BOOL(struct global_settings, preserves_fqdn, .name = "preservefqdn", .legacy = "PreserveFQDN",
                   .dflt = "off", .help = "Keeps domain names of hosts, the own one included."),
        PARAM_BOOL(struct global_settings, drops_trailing_lf, .name = "parser.droptrailinglfonreception",
                   .legacy = "DropTrailingLFOnReception", .dflt = "on",
                   .help = "Removes a line feed at the end of a message."),
        PARAM_BOOL(struct global_settings, drops_trailing_cr, .name = "parser.droptrailingcronreception",
                   .legacy = "DropTrailingCROnReception", .dflt = "off",
                   .help = "Removes a carriage return at the end of a message."),
        PARAM_BOOL(struct global_settings, escapes_control, .name = "parser.escapecontrolcharactersonreceive",
                   .legacy = "EscapeControlCharactersOnReceive", .dflt = "on",
                   .help = "Writes control characters as #ooo, octal."),
        PARAM_BOOL(struct global_settings, spaces_lf, .name = "parser.spacelfonreceive", .legacy = "SpaceLFOnReceive",
                   .dflt = "off", .help = "Turns line feeds inside a message into blanks."),
        PARAM_BOOL(struct global_settings, escapes_8bit, .name = "parser.escape8bitcharactersonreceive",
                   .legacy = "Escape8BitCharactersOnReceive", .dflt = "off",
                   .help = "Writes bytes beyond US-ASCII as #ooo, octal; this breaks UTF-8."),
        PARAM_BOOL(struct global_settings, escapes_tab, .name = "parser.escapecontrolcharactertab",
                   .legacy = "EscapeControlCharacterTab", .dflt = "on", .help = "Escapes tabs, too."),
        PARAM_BOOL(struct global_settings, escapes_c_style, .name = "parser.escapecontrolcharacterscstyle",
                   .dflt = "off", .help = "Writes control characters as in C, \\n and \\t."),
        PARAM_BOOL(struct global_settings, parses_host_and_tag, .name = "parser.parsehostnameandtag", .dflt = "on",
                   .help = "Looks for host name and tag in messages."),
        PARAM_BOOL(struct global_settings, permits_slash_in_program, .name = "parser.permitslashinprogramname",
                   .dflt = "off", .help = "A program name may hold slashes."),
        PARAM_BOOL(struct global_settings, supports_compression, .name = "parser.supportcompressionextension",
                   .dflt = "on", .help = "Takes messages that another rsyslog compressed one by one."),
        PARAM_BOOL(struct global_settings, reports_suspension, .name = "action.reportsuspension", .dflt = "on",
                   .help = "Says when an action is suspended and resumed."),
        PARAM_BOOL(struct global_settings, reports_continuation, .name = "action.reportsuspensioncontinuation",
                   .dflt = "off", .help = "Says each time a suspension goes on."),
        PARAM_BOOL(struct global_settings, aborts_on_unclean_config, .name = "abortonuncleanconfig",
                   .legacy = "AbortOnUncleanConfig", .dflt = "off",
                   .help = "Does not start while the configuration holds a mistake."),
        PARAM_BOOL(struct global_settings, processes_internal_messages, .name = "processinternalmessages", .dflt = "on",
                   .help = "Own messages enter the default ruleset instead of the system log."),
        PARAM_INT(struct global_settings, internal_rate_interval_s, .name = "internalmsg.ratelimit.interval",
                  .dflt = "5", .min = 0, .max = INT64_MAX, .unit = "seconds",
                  .help = "Interval of the rate limit for own messages."),
        PARAM_INT(struct global_settings, internal_rate_burst, .name = "internalmsg.ratelimit.burst", .dflt = "500",
                  .min = 0, .max = INT64_MAX, .unit = "messages",
                  .help = "Own messages within an interval; the rest is dropped and counted."),
        PARAM_SEVERITY(struct global_settings, internal_severity, .name = "internalmsg.severity", .dflt = "info",
                       .help = "Own messages less important than this are not made."),
        PARAM_BOOL(struct global_settings, all_to_stderr, .name = "allmessagestostderr", .dflt = "off",
                   .help = "Own messages of every severity also go to stderr."),
        PARAM_INT(struct global_settings, stderr_max, .name = "errormessagestostderr.maxnumber", .dflt = "-1",
                  .min = -1, .unit = "messages", .help = "Most own messages that go to stderr; -1: no limit."),
        PARAM_BOOL(struct global_settings, enables_ctrl_c, .name = "shutdown.enable.ctlc", .dflt = "off",
                   .help = "Ctrl-C stops the daemon when it runs in the foreground."),
        PARAM_INT(struct global_settings, input_timeout_shutdown_ms, .name = "inputs.timeout.shutdown", .dflt = "1000",
                  .min = 0, .max = INT64_MAX, .unit = "milliseconds", .help = "How long inputs may take to end."),
        PARAM_STRING(struct global_settings, drop_user, .name = "privdrop.user.name", .legacy = "PrivDropToUser",
                     .help = "Runs as this user once everything is open."),
        PARAM_STRING(struct global_settings, drop_group, .name = "privdrop.group.name", .legacy = "PrivDropToGroup",
                     .help = "Runs as this group once everything is open."),
        PARAM_INT(struct global_settings, drop_user_id, .name = "privdrop.user.id", .legacy = "PrivDropToUserID",
                  .dflt = "0", .min = 0, .max = 4294967295, .help = "The same as a number; 0: none."),
        PARAM_INT(struct global_settings, drop_group_id, .name = "privdrop.group.id", .legacy = "PrivDropToGroupID",
                  .dflt = "0", .min = 0, .max = 4294967295, .help = "The same as a number; 0: none."),
        PARAM_BOOL(struct global_settings, keeps_supplemental_groups, .name = "privdrop.group.keepsupplemental",
                   .dflt = "off", .help = "Keeps the supplemental groups when privileges are dropped."),
        PARAM_MODE(struct global_settings, umask, .name = "umask", .legacy = "Umask", .dflt = "-1", .min = -1,
                   .help = "The process's umask; -1: as it was started."),
        PARAM_INT(struct global_settings, open_files_max, .name = "maxopenfiles", .legacy = "MaxOpenFiles", .dflt = "0",
                  .min = 0, .max = INT64_MAX, .unit = "descriptors", .help = "Most open files; 0: as it was started."),
        PARAM_CHOICE(struct global_settings, ip_protocol, .name = "net.ipprotocol", .dflt = "unspecified",
                     .choices = ip_protocols, .help = "Which versions of IP are used."),
        PARAM_BOOL(struct global_settings, uses_dns, .name = "net.enabledns", .dflt = "on",
                   .help = "Names of senders are looked up."),
        PARAM_BOOL(struct global_settings, acl_adds_host_on_fail, .name = "net.acladdhostnameonfail", .dflt = "off",
                   .help = "A name in an access list that cannot be resolved is compared as text."),
        PARAM_BOOL(struct global_settings, acl_resolves_hosts, .name = "net.aclresolvehostname", .dflt = "on",
                   .help = "Names in access lists are resolved to addresses."),
        PARAM_BOOL(struct global_settings, acl_warns, .name = "net.permitaclwarning", .dflt = "on",
                   .help = "Says when a sender is refused by an access list."),
        PARAM_BOOL(struct global_settings, drops_malicious_ptr, .name = "dropmsgswithmaliciousdnsptrrecords",
                   .legacy = "DropMsgsWithMaliciousDNSPTRRecords", .dflt = "off",
                   .help = "Drops messages of senders whose name in the DNS is an address."),
        PARAM_INT(struct global_settings, dns_cache_ttl_s, .name = "reverselookup.cache.ttl.default", .dflt = "86400",
                  .min = 0, .max = INT64_MAX, .unit = "seconds", .help = "How long a sender's name is kept."),
        PARAM_BOOL(struct global_settings, dns_cache_expires, .name = "reverselookup.cache.ttl.enable", .dflt = "off",
                   .help = "Whether senders' names expire at all."),
        PARAM_BOOL(struct global_settings, case_sensitive_variables, .name = "variables.casesensitive", .dflt = "off",
                   .help = "Names of variables differ by case."),
        PARAM_STRINGS(struct global_settings, environment, .name = "environment",
                      .help = "Sets environment variables, \"NAME=value\"."),
        PARAM_CHOICE(struct global_settings, secure_defaults, .name = "compatibility.defaults.secure", .dflt = "off",
                     .choices = secure_modes, .help = "Takes the safer default wherever the traditional one is weak."),
        PARAM_BOOL(struct global_settings, compact_json, .name = "compactjsonstring", .dflt = "off",
                   .help = "JSON is written without blanks."),
        PARAM_CHOICE(struct global_settings, child_exit_reports, .name = "reportchildprocessexits", .dflt = "errors",
                     .choices = child_reports, .help = "Which ends of child processes are reported."),
        PARAM_INT(struct global_settings, janitor_interval_min, .name = "janitor.interval", .dflt = "10", .min = 1,
                  .unit = "minutes", .help = "How often idle files are looked for."),
        PARAM_STRING(struct global_settings, operating_state_file, .name = "operatingstatefile",
                     .help = "Tells in a file how the daemon runs and whether it stopped cleanly."),
        PARAM_BOOL(struct global_settings, aborts_on_failed_queue, .name = "abortonfailedqueuestartup", .dflt = "off",
                   .help = "Does not start when a queue cannot."),
        PARAM_BOOL(struct global_settings, aborts_on_failed_id, .name = "security.abortonidresolutionfail",
                   .dflt = "on", .help = "A user or group that does not exist is an error, not a warning."),
        PARAM_BOOL(struct global_settings, doubles_queue_on_shutdown, .name = "shutdown.queue.doublesize",
                   .dflt = "off", .help = "Queues may grow to twice their size while the daemon stops."),
        PARAM_BOOL(struct global_settings, tracks_senders, .name = "senders.keeptrack", .dflt = "off",
                   .help = "Keeps a list of senders and counts their messages."),
        PARAM_BOOL(struct global_settings, reports_new_senders, .name = "senders.reportnew", .dflt = "off",
                   .help = "Says when a sender appears."),
        PARAM_BOOL(struct global_settings, reports_gone_senders, .name = "senders.reportgoneaway", .dflt = "off",
                   .help = "Says when a sender went silent."),
        PARAM_INT(struct global_settings, sender_timeout_s, .name = "senders.timeoutafter", .dflt = "43200", .min = 1,
                  .unit = "seconds", .help = "A sender is gone after this long without a message."),
        PARAM_BOOL(struct global_settings, ready_is_delayed, .name = "systemd.notifyreadydelay", .dflt = "off",
                   .help = "Tells systemd that the daemon is ready only once every queue has started."),
        PARAM_STRING(struct global_settings, debug_file, .name = "debug.logfile", .legacy = "DebugFile",
                     .help = "Where debug output goes."),
        PARAM_STRING(struct global_settings, tls_driver, .name = "defaultnetstreamdriver",
                     .legacy = "DefaultNetstreamDriver", .dflt = "ptcp",
                     .help = "Stream driver of TCP where none is named: ptcp is plain; ossl, gtls and mbedtls are TLS "
                             "where the mode is 1."),
        PARAM_STRING(struct global_settings, tls_ca_file, .name = "defaultnetstreamdrivercafile",
                     .legacy = "DefaultNetstreamDriverCAFile",
                     .help = "File (PEM) with the authorities whose certificates are trusted."),
        PARAM_STRING(struct global_settings, tls_cert_file, .name = "defaultnetstreamdrivercertfile",
                     .legacy = "DefaultNetstreamDriverCertFile",
                     .help = "File (PEM) with our certificate, and behind it those that lead to the authority."),
        PARAM_STRING(struct global_settings, tls_key_file, .name = "defaultnetstreamdriverkeyfile",
                     .legacy = "DefaultNetstreamDriverKeyFile",
                     .help = "File (PEM) with the private key of our certificate, without a password."),
        PARAM_STRING(struct global_settings, tls_crl_file, .name = "defaultnetstreamdrivercrlfile",
                     .legacy = "DefaultNetstreamDriverCRLFile",
                     .help = "File (PEM) with lists of revoked certificates, which are refused."),
        PARAM_STRING(struct global_settings, tls_ca_extra_files, .name = "netstreamdrivercaextrafiles",
                     .legacy = "NetstreamDriverCAExtraFiles",
                     .help = "More files like defaultNetstreamDriverCAFile, separated by commas."),
        PARAM_STRING(struct global_settings, tls_engine, .name = "defaultopensslengine",
                     .legacy = "DefaultOpenSSLEngine", .flags = PARAM_IS_IGNORED,
                     .help = "Without effect: OpenSSL 3 has providers instead of engines, which its own configuration "
                             "file chooses."),
        PARAM_INT(struct global_settings, action_queue_timeout_shutdown_ms,
                  .name = "default.action.queue.timeoutshutdown", .dflt = "10", .min = -1, .unit = "milliseconds",
                  .help = "queue.timeoutShutdown where a queue of an action does not give it."),
        PARAM_INT(struct global_settings, action_queue_timeout_completion_ms,
                  .name = "default.action.queue.timeoutactioncompletion", .dflt = "1000", .min = -1,
                  .unit = "milliseconds",
                  .help = "queue.timeoutActionCompletion where a queue of an action does not give it."),
        PARAM_INT(struct global_settings, action_queue_timeout_enqueue_ms,
                  .name = "default.action.queue.timeoutenqueue", .dflt = "2000", .min = -1, .unit = "milliseconds",
                  .help = "queue.timeoutEnqueue where a queue of an action does not give it."),
        PARAM_INT(struct global_settings, action_queue_timeout_worker_ms,
                  .name = "default.action.queue.timeoutworkerthreadshutdown", .dflt = "60000", .min = -1,
                  .unit = "milliseconds",
                  .help = "queue.timeoutWorkerThreadShutdown where a queue of an action does not give it."),
        PARAM_INT(struct global_settings, ruleset_queue_timeout_shutdown_ms,
                  .name = "default.ruleset.queue.timeoutshutdown", .dflt = "1500", .min = -1, .unit = "milliseconds",
                  .help = "queue.timeoutShutdown where a queue of a ruleset does not give it."),
        PARAM_INT(struct global_settings, ruleset_queue_timeout_completion_ms,
                  .name = "default.ruleset.queue.timeoutactioncompletion", .dflt = "1000", .min = -1,
                  .unit = "milliseconds",
                  .help = "queue.timeoutActionCompletion where a queue of a ruleset does not give it."),
        PARAM_INT(struct global_settings, ruleset_queue_timeout_enqueue_ms,
                  .name = "default.ruleset.queue.timeoutenqueue", .dflt = "2000", .min = -1, .unit = "milliseconds",
                  .help = "queue.timeoutEnqueue where a queue of a ruleset does not give it."),
        PARAM_INT(struct global_settings, ruleset_queue_timeout_worker_ms,
                  .name = "default.ruleset.queue.timeoutworkerthreadshutdown", .dflt = "60000", .min = -1,
                  .unit = "milliseconds",
                  .help = "queue.timeoutWorkerThreadShutdown where a queue of a ruleset does not give it."),
        PARAM_CHOICE(struct global_settings, dead_letters, .name = "deadletter", .dflt = "acknowledged",
                     .choices = dead_letters,
                     .help = "Which messages are kept that an action's destination refused for good or that were given "
                             "up: none, those whose sender is told that they are taken (RELP, files, the journal) or "
                             "that a queue on disk accepted, or all. Without a queue on disk they lie in "
                             "\"<action>.dead\" in the work directory."),
        PARAM_SIZE(
                struct global_settings, dead_letter_bytes, .name = "deadletter.maxdiskspace", .dflt = "1g", .min = 0,
                .max = INT64_MAX,
                .help = "Most disk space of the dead letters of one action without a queue on disk; 0: what the file "
                        "system has. When it is used up, the action is tried again and again instead."),
        PARAM_SIZE(struct global_settings, memory_bytes_max, .name = "memory.max", .dflt = "256m", .min = 1048576,
                   .help = "Most memory that the messages in all queues take together."),
        PARAM_STRING(
                struct global_settings, bus_socket, .name = "bus.socket",
                .help = "Where the daemon serves the message bus, or joins the one that is there; \"off\": no bus. "
                        "Unset: $RUNTIME_DIRECTORY/bus, else /run/penstock/bus, where that can be had."),
        PARAM_STRING(
                struct global_settings, bus_config, .name = "bus.config",
                .help = "A file with settings and policy of the message bus, as penstock-bus takes it. Unset: only "
                        "the daemon's own user may connect."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "debug.onshutdown", .flags = PARAM_IS_IGNORED,
                   .help = "Debug output begins at a stop: `penstockd -d` shows the whole."),
        PARAM_INT(struct global_settings, ignored_int, .name = "debug.gnutls", .flags = PARAM_IS_IGNORED,
                  .help = "Debug level of GnuTLS, which is not used."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "debug.abortonprogramerror", .flags = PARAM_IS_IGNORED,
                   .help = "A program error always aborts here."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "debug.unloadmodules", .flags = PARAM_IS_IGNORED,
                   .help = "Modules stay loaded while they are in use."),
        PARAM_STRINGS(struct global_settings, ignored_strings, .name = "debug.files", .flags = PARAM_IS_IGNORED,
                      .help = "Debug output by source file: `penstockd -d` shows the whole."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "debug.whitelist", .flags = PARAM_IS_IGNORED,
                   .help = "Belongs to debug.files, which has no effect here."),
        PARAM_STRING(struct global_settings, ignored_string, .name = "stdlog.channelspec", .flags = PARAM_IS_IGNORED,
                     .help = "Own messages go to the system log through syslog(3)."),
        PARAM_STRING(struct global_settings, ignored_string, .name = "compatibility.configformat.legacy",
                     .flags = PARAM_IS_IGNORED, .help = "Every form of configuration is read here."),
        PARAM_STRING(struct global_settings, ignored_string, .name = "compatibility.configformat.syslogd",
                     .flags = PARAM_IS_IGNORED, .help = "Every form of configuration is read here."),
        PARAM_STRING(struct global_settings, ignored_string, .name = "compatibility.configformat.property",
                     .flags = PARAM_IS_IGNORED, .help = "Every form of configuration is read here."),
        PARAM_INT(struct global_settings, ignored_int, .name = "internal.developeronly.options",
                  .flags = PARAM_IS_IGNORED, .help = "For rsyslog's own developers."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "libcapng.default", .flags = PARAM_IS_IGNORED,
                   .help = "Capabilities are dropped without libcap-ng here."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "libcapng.enable", .flags = PARAM_IS_IGNORED,
                   .help = "Capabilities are dropped without libcap-ng here."),
        PARAM_BOOL(struct global_settings, ignored_bool, .name = "optimizeforuniprocessor",
                   .legacy = "OptimizeForUniprocessor", .flags = PARAM_IS_IGNORED,
                   .help = "Threads are as many as the configuration says."),
        {}};

const struct settings_type queue_settings_type = SETTINGS(struct queue_settings, queue_params);
const struct settings_type action_settings_type = SETTINGS(struct action_settings, action_params);
const struct settings_type global_settings_type = SETTINGS(struct global_settings, global_params);

struct queue_settings *queue_settings_new(enum queue_use use, const struct global_settings *global) {
        struct queue_settings *q = settings_new(&queue_settings_type);
        if (!q)
                return NULL;
        bool is_action = use == QUEUE_OF_ACTION;
        if (is_action) {
                q->type = QUEUE_DIRECT;
                q->size = 1000;
                q->dequeue_batch_size = 128;
                q->timeout_shutdown_ms = 10;
                q->file_bytes_max = 1 << 20;
        }
        if (!global || use == QUEUE_OF_MAIN)
                return q;
        q->timeout_shutdown_ms =
                is_action ? global->action_queue_timeout_shutdown_ms : global->ruleset_queue_timeout_shutdown_ms;
        q->timeout_action_completion_ms =
                is_action ? global->action_queue_timeout_completion_ms : global->ruleset_queue_timeout_completion_ms;
        q->timeout_enqueue_ms =
                is_action ? global->action_queue_timeout_enqueue_ms : global->ruleset_queue_timeout_enqueue_ms;
        q->timeout_worker_ms =
                is_action ? global->action_queue_timeout_worker_ms : global->ruleset_queue_timeout_worker_ms;
        return q;
}

struct action_settings *action_settings_new(void) {
        struct action_settings *a = settings_new(&action_settings_type);
        if (!a)
                return NULL;
        a->reports_suspension = -1;
        a->dead_letters = -1;
        a->reports_continuation = -1;
        return a;
}
