/*
 * Every $Directive that rsyslog's modules ever had and that no loaded module
 * answers: whose it is, and what replaces it.
 */
#include "language/loader.h"

#include "module/settings.h"

static const struct {
        const char *names; /* separated by blanks */
        const char *instead;
} known[] = {
        {"actionfiledefaulttemplate actionfileenablesync createdirs dircreatemode dirgroup "
         "dirgroupnum dirowner dirownernum dynafilecachesize failonchownfailure "
         "filecreatemode filegroup filegroupnum fileowner fileownernum omfileasyncwriting "
         "omfileflushinterval omfileflushontxend omfileforcechown omfileiobuffersize "
         "omfileziplevel",
         "it belongs to omfile; in the new form its parameters stand in action(type=\"omfile\" ...)"},
        {"actionforwarddefaulttemplate actionsendresendlastmsgonreconnect "
         "actionsendstreamdriver actionsendstreamdriverauthmode actionsendstreamdrivermode "
         "actionsendstreamdriverpermittedpeer actionsendstreamdriverremotesni "
         "actionsendtcpkeepalive actionsendtcpkeepalive_intvl "
         "actionsendtcpkeepalive_probes actionsendtcpkeepalive_time "
         "actionsendtcprebindinterval actionsendudprebindinterval",
         "it belongs to omfwd; in the new form its parameters stand in action(type=\"omfwd\" ...)"},
        {"actiongssforwarddefaulttemplate gssforwardservicename gssmode gsstokeniotimeout",
         "it belongs to omgssapi; in the new form its parameters stand in action(type=\"omgssapi\" ...)"},
        {"actionlibdbidbname actionlibdbidriver actionlibdbidriverdirectory "
         "actionlibdbihost actionlibdbipassword actionlibdbiusername",
         "it belongs to omlibdbi; in the new form its parameters stand in action(type=\"omlibdbi\" ...)"},
        {"actionmailenablebody actionmailfrom actionmailsmtpport actionmailsmtpserver "
         "actionmailsubject actionmailto",
         "it belongs to ommail; in the new form its parameters stand in action(type=\"ommail\" ...)"},
        {"actionommysqlserverport ommysqlconfigfile ommysqlconfigsection",
         "it belongs to ommysql; in the new form its parameters stand in action(type=\"ommysql\" ...)"},
        {"actionomprogbinary",
         "it belongs to omprog; in the new form its parameters stand in action(type=\"omprog\" ...)"},
        {"actionomrulesetrulesetname", "write `call NAME` instead"},
        {"actionomstdoutarrayinterface actionomstdoutensurelfending",
         "it belongs to omstdout; in the new form its parameters stand in action(type=\"omstdout\" ...)"},
        {"actionomtestingechostdout",
         "it belongs to omtesting; in the new form its parameters stand in action(type=\"omtesting\" ...)"},
        {"actionomudpspoofdefaulttemplate actionomudpspoofsourcenametemplate "
         "actionomudpspoofsourceportend actionomudpspoofsourceportstart "
         "actionomudpspooftargethost actionomudpspooftargetport",
         "it belongs to omudpspoof; in the new form its parameters stand in action(type=\"omudpspoof\" ...)"},
        {"actionsnmpcommunity actionsnmpenterpriseoid actionsnmpspecifictype "
         "actionsnmpsyslogmessageoid actionsnmptarget actionsnmptargetport "
         "actionsnmptransport actionsnmptrapoid actionsnmptraptype actionsnmpversion",
         "it belongs to omsnmp; in the new form its parameters stand in action(type=\"omsnmp\" ...)"},
        {"addunixlistensocket imuxsockratelimitburst imuxsockratelimitinterval "
         "imuxsockratelimitseverity inputunixlistensocketannotate "
         "inputunixlistensocketcreatepath inputunixlistensocketflowcontrol "
         "inputunixlistensockethostname inputunixlistensocketignoremsgtimestamp "
         "inputunixlistensocketusepidfromsystem inputunixlistensocketusesystimestamp "
         "omitlocallogging systemlogparsetrusted systemlogratelimitburst "
         "systemlogratelimitinterval systemlogratelimitseverity systemlogsocketannotate "
         "systemlogsocketflowcontrol systemlogsocketignoremsgtimestamp systemlogsocketname "
         "systemlogusepidfromsystem systemlogusesystimestamp",
         "it belongs to imuxsock; in the new form its parameters stand in module(load=\"imuxsock\") and "
         "input(type=\"imuxsock\" ...)"},
        {"imdiagaborttimeout imdiaginjectdelaymode imdiaglistenportfilename "
         "imdiagmaxsessions imdiagserverinputname imdiagserverrun "
         "imdiagserverstreamdriverauthmode imdiagserverstreamdrivermode "
         "imdiagserverstreamdriverpermittedpeer",
         "it belongs to imdiag; in the new form its parameters stand in module(load=\"imdiag\" ...)"},
        {"imjournaldefaultfacility imjournaldefaultseverity "
         "imjournalignorepreviousmessages imjournalpersiststateinterval "
         "imjournalratelimitburst imjournalratelimitinterval imjournalstatefile "
         "imjournalusepidfromsystem",
         "it belongs to imjournal; in the new form its parameters stand in module(load=\"imjournal\" ...)"},
        {"imsolarislogsocketname", "there is no Solaris here: use imuxsock"},
        {"imudpschedulingpolicy imudpschedulingpriority inputudpserverbindruleset "
         "udpserveraddress udpserverrun udpservertimerequery",
         "it belongs to imudp; in the new form its parameters stand in module(load=\"imudp\") and input(type=\"imudp\" "
         "...)"},
        {"input3195listenport", "it belongs to im3195; in the new form its parameters stand in module(load=\"im3195\") "
                                "and input(type=\"im3195\" ...)"},
        {"inputfilebindruleset inputfilefacility inputfilemaxlinesatonce inputfilename "
         "inputfilepersiststateinterval inputfilepollinterval inputfilereadmode "
         "inputfileseverity inputfilestatefile inputfiletag inputfiletrimlineoverbytes "
         "inputrunfilemonitor",
         "it belongs to imfile; in the new form its parameters stand in module(load=\"imfile\") and "
         "input(type=\"imfile\" ...)"},
        {"inputgsslistenportfilename inputgssserverkeepalive inputgssservermaxsessions "
         "inputgssserverpermitplaintcp inputgssserverrun inputgssserverservicename "
         "inputgssservertokeniotimeout",
         "it belongs to imgssapi; in the new form its parameters stand in module(load=\"imgssapi\") and "
         "input(type=\"imgssapi\" ...)"},
        {"inputptcpserveraddtlframedelimiter inputptcpserverbindruleset "
         "inputptcpserverhelperthreads inputptcpserverinputname inputptcpserverkeepalive "
         "inputptcpserverkeepalive_intvl inputptcpserverkeepalive_probes "
         "inputptcpserverkeepalive_time inputptcpserverlistenip "
         "inputptcpservernotifyonconnectionclose inputptcpserverrun "
         "inputptcpserversupportoctetcountedframing",
         "it belongs to imptcp; in the new form its parameters stand in module(load=\"imptcp\") and "
         "input(type=\"imptcp\" ...)"},
        {"inputrelpserverbindruleset inputrelpserverrun", "it belongs to imrelp; in the new form its parameters stand "
                                                          "in module(load=\"imrelp\") and input(type=\"imrelp\" ...)"},
        {"inputtcpflowcontrol inputtcpmaxlisteners inputtcpmaxsessions "
         "inputtcpserveraddtlframedelimiter inputtcpserverbindruleset "
         "inputtcpservercompressiondriver inputtcpservercompressionmode "
         "inputtcpserverdisablelfdelimiter inputtcpserverinputname inputtcpserverkeepalive "
         "inputtcpserverkeepalive_intvl inputtcpserverkeepalive_probes "
         "inputtcpserverkeepalive_time inputtcpserverlistenportfile "
         "inputtcpservernotifyonconnectionclose inputtcpserverpreservecase "
         "inputtcpserverrun inputtcpserverstreamdriverauthmode "
         "inputtcpserverstreamdrivermode inputtcpserverstreamdriverpermittedpeer "
         "inputtcpserversupportoctetcountedframing",
         "it belongs to imtcp; in the new form its parameters stand in module(load=\"imtcp\") and input(type=\"imtcp\" "
         "...)"},
        {"klogconsoleloglevel kloginternalmsgfacility klogkeepkerneltimestamp "
         "kloglocalipif klogparsekerneltimestamp klogpath klogpermitnonkernelfacility "
         "klogsymbollookup klogsymbolstwice klogusesyscallinterface",
         "it belongs to imklog; in the new form its parameters stand in module(load=\"imklog\" ...)"},
        {"markmessageperiod",
         "it belongs to immark; in the new form its parameters stand in module(load=\"immark\" ...)"},
        {"mmnormalizerule mmnormalizerulebase mmnormalizeuserawmsg",
         "it belongs to mmnormalize; in the new form its parameters stand in action(type=\"mmnormalize\" ...)"},
        {"mmsnmptrapdseveritymapping mmsnmptrapdtag",
         "it belongs to mmsnmptrapd; in the new form its parameters stand in action(type=\"mmsnmptrapd\" ...)"},
        {"omhdfsdefaulttemplate omhdfsfilename omhdfshost omhdfsport",
         "it belongs to omhdfs; in the new form its parameters stand in action(type=\"omhdfs\" ...)"},
        {"omuxsockdefaulttemplate omuxsocksocket",
         "it belongs to omuxsock; in the new form its parameters stand in action(type=\"omuxsock\" ...)"},
        {"pstatcee pstatfacility pstatinterval pstatjson pstatseverity pstatsinterval",
         "it belongs to impstats; in the new form its parameters stand in module(load=\"impstats\" ...)"},
};

const char *directive_replacement(struct text name) {
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (param_list_has(known[i].names, name))
                        return known[i].instead;
        return NULL;
}
