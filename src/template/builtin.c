/*
 * The built-in templates, written as a user could write them. What rsyslogd 8.2302
 * renders was recorded; where its documentation says otherwise (drop-last-lf in
 * the file formats), the daemon counts. Names that begin with Penstock_ are ours.
 */
#include "template/template.h"

#define BUILTIN(name_, text, ...)                                                                                      \
        { .name = (name_), .kind = TEMPLATE_STRING, .string = {(text), sizeof(text) - 1}, __VA_ARGS__ }

static const struct template_def builtins[] = {
        BUILTIN("RSYSLOG_DebugFormat",
                "Debug line with all properties:\nFROMHOST: '%FROMHOST%', fromhost-ip: '%fromhost-ip%', HOSTNAME: "
                "'%HOSTNAME%', PRI: %PRI%,\nsyslogtag '%syslogtag%', programname: '%programname%', APP-NAME: "
                "'%APP-NAME%', PROCID: '%PROCID%', MSGID: '%MSGID%',\nTIMESTAMP: '%TIMESTAMP%', STRUCTURED-DATA: "
                "'%STRUCTURED-DATA%',\nmsg: '%msg%'\nescaped msg: '%msg:::drop-cc%'\ninputname: %inputname% rawmsg: "
                "'%rawmsg%'\n$!:%$!%\n$.:%$.%\n$/:%$/%\n\n"),
        BUILTIN("RSYSLOG_FileFormat",
                "%TIMESTAMP:::date-rfc3339% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\n"),
        BUILTIN("RSYSLOG_ForwardFormat",
                "<%PRI%>%TIMESTAMP:::date-rfc3339% %HOSTNAME% %syslogtag:1:32%%msg:::sp-if-no-1st-sp%%msg%"),
        BUILTIN("RSYSLOG_SyslogProtocol23Format", "<%PRI%>1 %TIMESTAMP:::date-rfc3339% %HOSTNAME% %APP-NAME% %PROCID% "
                                                  "%MSGID% %STRUCTURED-DATA% %msg%\n"),
        BUILTIN("RSYSLOG_SyslogRFC5424Format", "<%PRI%>1 %TIMESTAMP:::date-rfc3339% %HOSTNAME% %APP-NAME% %PROCID% "
                                               "%MSGID% %STRUCTURED-DATA% %msg%"),
        BUILTIN("RSYSLOG_TraditionalFileFormat", "%TIMESTAMP% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\n"),
        BUILTIN("RSYSLOG_TraditionalForwardFormat",
                "<%PRI%>%TIMESTAMP% %HOSTNAME% %syslogtag:1:32%%msg:::sp-if-no-1st-sp%%msg%"),
        BUILTIN("RSYSLOG_SysklogdFileFormat", "%TIMESTAMP% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\n"),
        BUILTIN("RSYSLOG_omudpspoofDfltSourceTpl", "%fromhost-ip%"),
        BUILTIN("WallFmt", "\r\n\7Message from syslogd@%HOSTNAME% at %timegenerated% ...\r\n %syslogtag%%msg%\n\r"),
        BUILTIN("StdUsrMsgFmt", " %syslogtag%%msg%\n\r"),
        BUILTIN("StdDBFmt",
                "insert into SystemEvents (Message, Facility, FromHost, Priority, DeviceReportedTime, ReceivedAt, "
                "InfoUnitID, SysLogTag) values ('%msg%', %syslogfacility%, '%HOSTNAME%', %syslogpriority%, "
                "'%timereported:::date-mysql%', '%timegenerated:::date-mysql%', %iut%, '%syslogtag%')",
                .is_sql = true),
        BUILTIN("StdPgSQLFmt",
                "insert into SystemEvents (Message, Facility, FromHost, Priority, DeviceReportedTime, ReceivedAt, "
                "InfoUnitID, SysLogTag) values ('%msg%', %syslogfacility%, '%HOSTNAME%', %syslogpriority%, "
                "'%timereported:::date-pgsql%', '%timegenerated:::date-pgsql%', %iut%, '%syslogtag%')",
                .is_stdsql = true),
        BUILTIN("StdJSONFmt",
                "{\"message\":\"%msg:::json%\",\"fromhost\":\"%HOSTNAME:::json%\",\"facility\":\"%syslogfacility-text%"
                "\",\"priority\":\"%syslogpriority-text%\",\"timereported\":\"%timereported:::date-rfc3339%\","
                "\"timegenerated\":\"%timegenerated:::date-rfc3339%\"}"),
        BUILTIN("StdClickHouseFmt",
                "INSERT INTO rsyslog.SystemEvents (severity, facility, timestamp, hostname, tag, message) VALUES "
                "(%syslogseverity%, %syslogfacility%, '%timereported:::date-unixtimestamp%', '%hostname%', "
                "'%syslogtag%', '%msg%')",
                .is_stdsql = true),
        BUILTIN("Penstock_JSONFormat",
                "{\"time\":\"%timereported:::date-rfc3339%\",\"host\":\"%hostname:::json%\",\"tag\":\"%syslogtag:::"
                "json%"
                "\",\"facility\":\"%syslogfacility-text%\",\"severity\":\"%syslogseverity-text%\",\"message\":\""
                "%msg:::json%\"}"),
};

static const char *const builtin_names[] = {
        "RSYSLOG_DebugFormat",
        "RSYSLOG_FileFormat",
        "RSYSLOG_ForwardFormat",
        "RSYSLOG_SyslogProtocol23Format",
        "RSYSLOG_SyslogRFC5424Format",
        "RSYSLOG_TraditionalFileFormat",
        "RSYSLOG_TraditionalForwardFormat",
        "RSYSLOG_SysklogdFileFormat",
        "RSYSLOG_omudpspoofDfltSourceTpl",
        "WallFmt",
        "StdUsrMsgFmt",
        "StdDBFmt",
        "StdPgSQLFmt",
        "StdJSONFmt",
        "StdClickHouseFmt",
        "Penstock_JSONFormat",
        NULL,
};
static_assert(ARRAY_SIZE(builtin_names) == ARRAY_SIZE(builtins) + 1, "every built-in has a name in the list");

const struct template_def *template_builtin(struct text name) {
        /* rsyslog's own code writes " StdDBFmt", its documentation RSYSLOG_StdDBFmt. */
        if (text_starts(name, TEXT(" ")))
                name = text_slice(name, 1, name.size);
        if (text_starts(name, TEXT("RSYSLOG_Std")) || text_equal(name, TEXT("RSYSLOG_WallFmt")))
                name = text_slice(name, strlen("RSYSLOG_"), name.size);
        for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
                if (text_equal(name, text_of(builtins[i].name)))
                        return &builtins[i];
        return NULL;
}

bool template_fills_empty(const struct template_def *def) {
        static const char *const names[] = {"RSYSLOG_FileFormat", "RSYSLOG_TraditionalFileFormat",
                                            "RSYSLOG_ForwardFormat", "RSYSLOG_TraditionalForwardFormat"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (template_builtin(text_of(names[i])) == def)
                        return true;
        return false;
}

const char *const *template_builtin_names(void) {
        return builtin_names;
}
