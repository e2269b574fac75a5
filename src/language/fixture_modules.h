/*
 * Small modules for the tests of the language: tables like those of the real ones,
 * and nothing behind them. Defines registry_builtin().
 */
#pragma once

#include "module/registry.h"

struct fake_file {
        char *file, *dynafile, *template_name, *rotation_command;
        int64_t create_mode, owner, group, rotation_size, flush_interval;
        bool sync;
};
static const struct param fake_file_module_params[] = {
        PARAM_TEMPLATE(struct fake_file, template_name, .name = "template", .legacy = "ActionFileDefaultTemplate",
                       .dflt = "RSYSLOG_FileFormat", .help = "Default template."),
        PARAM_MODE(struct fake_file, create_mode, .name = "filecreatemode", .dflt = "0644", .help = "Mode."),
        {}};
static const struct param fake_file_params[] = {
        PARAM_STRING(struct fake_file, file, .name = "file", .flags = PARAM_IS_MAIN, .help = "The file."),
        PARAM_STRING(struct fake_file, dynafile, .name = "dynafile", .help = "Template of the file's name."),
        PARAM_TEMPLATE(struct fake_file, template_name, .name = "template", .flags = PARAM_INHERITS,
                       .help = "Template."),
        PARAM_MODE(struct fake_file, create_mode, .name = "filecreatemode", .legacy = "FileCreateMode", .dflt = "0644",
                   .flags = PARAM_INHERITS | PARAM_LEGACY_STAYS, .help = "Mode."),
        PARAM_USER(struct fake_file, owner, .name = "fileowner", .legacy = "FileOwner", .flags = PARAM_LEGACY_STAYS,
                   .help = "Owner."),
        PARAM_GROUP(struct fake_file, group, .name = "filegroup", .legacy = "FileGroup", .flags = PARAM_LEGACY_STAYS,
                    .help = "Group."),
        PARAM_MODE(struct fake_file, create_mode, .name = "dircreatemode", .legacy = "DirCreateMode", .dflt = "0700",
                   .flags = PARAM_LEGACY_STAYS, .help = "Mode of directories."),
        PARAM_BOOL(struct fake_file, sync, .name = "sync", .legacy = "ActionFileEnableSync", .dflt = "off",
                   .flags = PARAM_LEGACY_STAYS, .help = "Syncs."),
        PARAM_INT(struct fake_file, flush_interval, .name = "flushinterval", .dflt = "1", .min = 1, .max = 60,
                  .help = "Seconds."),
        PARAM_SIZE(struct fake_file, rotation_size, .name = "rotation.sizelimit", .help = "Limit."),
        PARAM_STRING(struct fake_file, rotation_command, .name = "rotation.sizelimitcommand", .help = "Command."),
        {}};
static int fake_file_check(const void *settings, const void *module_settings, struct module_log *log) {
        const struct fake_file *f = settings;
        if (f && !f->file && !f->dynafile) {
                module_report(log, 3, 2207, "omfile: either the \"file\" or \"dynafile\" parameter must be given");
                return -22;
        }
        if (f && f->file && f->dynafile) {
                module_report_param(log, 3, "dynafile", "file is given, too");
                return -22;
        }
        return 0;
}
static const struct module fake_omfile = {MODULE_HEAD,
                                          .kind = MODULE_OUTPUT,
                                          .name = "omfile",
                                          .module_settings = SETTINGS(struct fake_file, fake_file_module_params),
                                          .settings = SETTINGS(struct fake_file, fake_file_params),
                                          .check = fake_file_check};

struct fake_forward {
        char *target, *port, *protocol, *framing, *template_name, *password;
        int64_t zip_level;
};
static const struct param fake_forward_params[] = {
        PARAM_STRING(struct fake_forward, target, .name = "target", .flags = PARAM_IS_REQUIRED, .help = "Host."),
        PARAM_STRING(struct fake_forward, port, .name = "port", .dflt = "514", .help = "Port."),
        PARAM_STRING(struct fake_forward, protocol, .name = "protocol", .dflt = "udp", .help = "Protocol."),
        PARAM_STRING(struct fake_forward, framing, .name = "tcp_framing", .help = "Framing."),
        PARAM_INT(struct fake_forward, zip_level, .name = "ziplevel", .min = 0, .max = 9, .help = "Compression."),
        PARAM_TEMPLATE(struct fake_forward, template_name, .name = "template", .help = "Template."),
        PARAM_STRING(struct fake_forward, password, .name = "password", .flags = PARAM_IS_SECRET, .help = "Secret."),
        {}};
static const struct module fake_omfwd = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omfwd",
                                         .settings = SETTINGS(struct fake_forward, fake_forward_params)};

struct fake_main {
        char *value, *template_name;
        struct strings users;
};
static const struct param fake_pipe_params[] = {
        PARAM_STRING(struct fake_main, value, .name = "pipe", .flags = PARAM_IS_MAIN, .help = "Pipe."),
        PARAM_TEMPLATE(struct fake_main, template_name, .name = "template", .help = "Template."),
        {}};
static const struct param fake_shell_params[] = {
        PARAM_STRING(struct fake_main, value, .name = "binary", .flags = PARAM_IS_MAIN, .help = "Program."),
        PARAM_TEMPLATE(struct fake_main, template_name, .name = "template", .help = "Template."),
        {}};
static const struct param fake_users_params[] = {
        PARAM_STRINGS(struct fake_main, users, .name = "users", .flags = PARAM_IS_REQUIRED, .help = "Users."),
        PARAM_TEMPLATE(struct fake_main, template_name, .name = "template", .help = "Template."),
        {}};
static const struct module fake_ompipe = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "ompipe",
                                          .settings = SETTINGS(struct fake_main, fake_pipe_params)};
static const struct module fake_omshell = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omshell",
                                           .settings = SETTINGS(struct fake_main, fake_shell_params)};
static const struct module fake_omusrmsg = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omusrmsg",
                                            .settings = SETTINGS(struct fake_main, fake_users_params)};
static const struct module fake_omprog = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omprog",
                                          .settings = SETTINGS(struct fake_main, fake_shell_params)};

struct fake_tcp {
        char *port, *ruleset, *name;
        struct strings peers;
        int64_t sessions;
        bool keepalive;
};
static const struct param fake_tcp_module_params[] = {
        PARAM_INT(struct fake_tcp, sessions, .name = "maxsessions", .dflt = "200", .min = 1,
                  .legacy = "InputTCPMaxSessions", .help = "Sessions."),
        PARAM_BOOL(struct fake_tcp, keepalive, .name = "keepalive", .dflt = "off", .help = "Keepalive."),
        PARAM_STRINGS(struct fake_tcp, peers, .name = "permittedpeer", .help = "Peers."),
        {}};
static const struct param fake_tcp_params[] = {
        PARAM_STRING(struct fake_tcp, port, .name = "port", .legacy = "InputTCPServerRun",
                     .flags = PARAM_IS_REQUIRED | PARAM_LEGACY_CREATES, .help = "Port."),
        PARAM_BOOL(struct fake_tcp, keepalive, .name = "keepalive", .legacy = "InputTCPServerKeepAlive",
                   .flags = PARAM_INHERITS | PARAM_LEGACY_STAYS, .help = "Keepalive."),
        PARAM_RULESET(struct fake_tcp, ruleset, .name = "ruleset", .legacy = "InputTCPServerBindRuleset",
                      .help = "Ruleset."),
        PARAM_STRING(struct fake_tcp, name, .name = "name", .dflt = "imtcp", .help = "Input name."),
        {}};
static const struct module fake_imtcp = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "imtcp",
                                         .module_settings = SETTINGS(struct fake_tcp, fake_tcp_module_params),
                                         .settings = SETTINGS(struct fake_tcp, fake_tcp_params)};
static const struct param fake_udp_params[] = {
        PARAM_STRINGS(struct fake_tcp, peers, .name = "port", .legacy = "UDPServerRun",
                      .flags = PARAM_IS_REQUIRED | PARAM_LEGACY_CREATES, .help = "Ports."),
        PARAM_STRING(struct fake_tcp, name, .name = "address", .legacy = "UDPServerAddress", .help = "Address."),
        {}};
static const struct input_ops fake_input_ops;
static const struct module fake_imudp = {MODULE_HEAD,
                                         .kind = MODULE_INPUT,
                                         .name = "imudp",
                                         .settings = SETTINGS(struct fake_tcp, fake_udp_params),
                                         .input = &fake_input_ops,
                                         .needs_objects = true};

struct fake_monitor {
        char *file, *tag;
        bool is_run;
};
static const struct param fake_imfile_params[] = {
        PARAM_STRING(struct fake_monitor, file, .name = "file", .legacy = "InputFileName", .flags = PARAM_IS_REQUIRED,
                     .help = "File."),
        PARAM_STRING(struct fake_monitor, tag, .name = "tag", .legacy = "InputFileTag", .flags = PARAM_IS_REQUIRED,
                     .help = "Tag."),
        PARAM_BOOL(struct fake_monitor, is_run, .name = "legacy.run", .legacy = "InputRunFileMonitor",
                   .flags = PARAM_LEGACY_CREATES | PARAM_IS_IGNORED, .help = "Makes the input."),
        {}};
static const struct module fake_imfile = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "imfile",
                                          .settings = SETTINGS(struct fake_monitor, fake_imfile_params)};

struct fake_local {
        bool use, permit, omit, pid;
        int64_t level, mode;
        char *state, *pid_from, *socket;
};
static const struct param fake_imuxsock_params[] = {
        PARAM_BOOL(struct fake_local, use, .name = "syssock.use", .dflt = "on", .help = "The system's socket."),
        PARAM_BOOL(struct fake_local, omit, .name = "legacy.omit", .legacy = "OmitLocalLogging", .help = "Without it."),
        PARAM_STRING(struct fake_local, socket, .name = "syssock.name", .legacy = "SystemLogSocketName",
                     .help = "Its path."),
        {}};
static const struct param fake_imklog_params[] = {
        PARAM_BOOL(struct fake_local, permit, .name = "permitnonkernelfacility",
                   .legacy = "KLogPermitNonKernelFacility", .dflt = "off", .help = "Others, too."),
        PARAM_INT(struct fake_local, level, .name = "consoleloglevel", .legacy = "klogConsoleLogLevel", .dflt = "-1",
                  .min = -1, .help = "Level."),
        {}};
static const struct param fake_imjournal_params[] = {
        PARAM_STRING(struct fake_local, state, .name = "statefile", .legacy = "IMJournalStateFile", .help = "State."),
        PARAM_STRING(struct fake_local, pid_from, .name = "usepid", .help = "Where the pid is from."),
        PARAM_MODE(struct fake_local, mode, .name = "filecreatemode", .dflt = "0644", .help = "Mode."),
        {}};
static const struct param fake_immark_params[] = {PARAM_INT(struct fake_local, level, .name = "interval",
                                                            .legacy = "MarkMessagePeriod", .dflt = "1200", .min = 0,
                                                            .help = "Seconds."),
                                                  {}};
static const struct module fake_imuxsock = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "imuxsock",
                                            .module_settings = SETTINGS(struct fake_local, fake_imuxsock_params)};
static const struct module fake_imklog = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "imklog",
                                          .module_settings = SETTINGS(struct fake_local, fake_imklog_params)};
static const struct module fake_imjournal = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "imjournal",
                                             .module_settings = SETTINGS(struct fake_local, fake_imjournal_params)};
static const struct module fake_immark = {MODULE_HEAD, .kind = MODULE_INPUT, .name = "immark",
                                          .module_settings = SETTINGS(struct fake_local, fake_immark_params)};
static const struct module fake_pmrfc3164 = {MODULE_HEAD, .kind = MODULE_PARSER, .name = "pmrfc3164"};
static const struct module fake_pmrfc5424 = {MODULE_HEAD, .kind = MODULE_PARSER, .name = "pmrfc5424"};

const struct module *const *registry_builtin(void) {
        static const struct module *const all[] = {&fake_omfile,   &fake_omfwd,     &fake_ompipe,    &fake_omshell,
                                                   &fake_omusrmsg, &fake_omprog,    &fake_imtcp,     &fake_imudp,
                                                   &fake_imfile,   &fake_imuxsock,  &fake_imklog,    &fake_imjournal,
                                                   &fake_immark,   &fake_pmrfc3164, &fake_pmrfc5424, NULL};
        return all;
}
