#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/version.h"
#include "module/registry.h"

static const char usage[] =
        "usage: penstockd [options]\n"
        "\n"
        "  -f FILE   configuration file (default /etc/rsyslog.conf)\n"
        "  -n        stay in the foreground\n"
        "  -i FILE   pid file (default /run/penstockd.pid); -iNONE: none\n"
        "  -N LEVEL  check the configuration and exit: 0 when it is clean, else 1.\n"
        "            1: a whole configuration, 2 or 3: a part, which needs no action\n"
        "  -o FILE   write the configuration with all its includes to FILE\n"
        "  -F FORMAT with -N1 and -o: the dialect to write, yaml or rainerscript\n"
        "  -M DIRS   where modules are looked for, separated by colons\n"
        "  -T DIR    chroot to DIR before anything is read: all paths lie below it, -f and -i too\n"
        "  -C        do not change to the root directory\n"
        "  -d        debug: say on stderr where each failure began\n"
        "  -D        debug the reading of the configuration\n"
        "  -v        show the version and what is built in\n"
        "  -h        this help\n"
        "\n"
        "HUP opens the files anew, TERM ends the daemon when its queues are empty (within their time-outs).\n"
        "`penstock help` lists the modules, `penstock help MODULE` shows all parameters of one.\n";

static void print_version(void) {
        printf("penstockd  %s (drop-in for rsyslogd) compiled with:\n"
               "\tPLATFORM:\t\t\t\t%s\n"
               "\tFEATURE_REGEXP:\t\t\t\tYes\n"
               "\tGSSAPI Kerberos 5 support:\t\tNo\n"
               "\tFEATURE_DEBUG (debug build, slow code):\tNo\n"
               "\t64bit Atomic operations supported:\tYes\n"
               "\tTLS network stream driver: OpenSSL\n"
               "\tuuid support:\t\t\t\tYes\n"
               "\tConfig file:\t\t\t\t/etc/rsyslog.conf\n"
               "\tPID file:\t\t\t\t/run/penstockd.pid\n"
               "\tModules:\t\t\t\t%s\n"
               "\tNumber of Bits in RainerScript integers: 64\n",
               PENSTOCK_RSYSLOG_VERSION, "linux", registry_installed_path());
}

/* Options of long ago: what each did, and what does it today. */
static const struct {
        char letter;
        const char *advice;
} obsolete[] = {
        {'4', "set global(net.ipprotocol=\"ipv4-only\") in the configuration"},
        {'6', "set global(net.ipprotocol=\"ipv6-only\") in the configuration"},
        {'A', "set action(type=\"omfwd\" udp.sendToAll=\"on\") in the configuration"},
        {'c', "the compatibility level has no effect; remove it"},
        {'q', "name look-ups never hold up an input here; remove it"},
        {'Q', "name look-ups never hold up an input here; remove it"},
        {'S', "set the address of omrelp with localClientIP in the configuration"},
        {'s', "set domain names in the configuration"},
        {'l', "set host names in the configuration"},
        {'u', "-u1: global(parser.parseHostnameAndTag=\"off\"), -u2: use -C"},
        {'w', "set global(net.permitACLWarning=\"off\") in the configuration"},
        {'x', "set global(net.enableDNS=\"off\") in the configuration"},
        {'m', "use module(load=\"immark\" interval=\"...\")"},
        {'a', "use input(type=\"imuxsock\" socket=\"...\")"},
        {'e', "it has no effect; remove it"},
        {'g', "it has no effect; remove it"},
        {'p', "use module(load=\"imuxsock\" SysSock.Name=\"...\")"},
        {'r', "use module(load=\"imudp\") and input(type=\"imudp\" port=\"514\")"},
        {'t', "use module(load=\"imtcp\") and input(type=\"imtcp\" port=\"...\")"},
};

static bool warn_obsolete(int letter) {
        for (size_t i = 0; i < sizeof obsolete / sizeof obsolete[0]; i++)
                if (obsolete[i].letter == letter) {
                        fprintf(stderr, "rsyslogd: warning: option -%c is no longer supported - %s\n", letter,
                                obsolete[i].advice);
                        return true;
                }
        return false;
}

static void set_from_environment(struct options *o) {
        const char *debug = getenv("RSYSLOG_DEBUG");
        o->module_path = registry_default_path();
        o->is_debug = debug && strstr(debug, "Debug") != NULL;
}

static enum options_result check_combination(const struct options *o, int argc) {
        if (optind < argc) {
                fputs(usage, stderr);
                return OPTIONS_EXIT_FAILED;
        }
        if (o->output_format && o->check_level != 1) {
                fprintf(stderr, "rsyslogd: -F requires -N1 config validation mode\n");
                return OPTIONS_EXIT_FAILED;
        }
        if (o->output_format && strcmp(o->output_format, "yaml") != 0 &&
            strcmp(o->output_format, "rainerscript") != 0) {
                fprintf(stderr, "rsyslogd: -F takes yaml or rainerscript, not '%s'\n", o->output_format);
                return OPTIONS_EXIT_FAILED;
        }
        if (o->output_format && !o->output_file) {
                fprintf(stderr, "rsyslogd: -F requires -o <path>\n");
                return OPTIONS_EXIT_FAILED;
        }
        return OPTIONS_RUN;
}

enum options_result options_read(struct options *o, int argc, char **argv) {
        *o = (struct options){.config_file = "/etc/rsyslog.conf", .pid_file = "/run/penstockd.pid"};
        set_from_environment(o);
        int letter;
        opterr = 0;
        while ((letter = getopt(argc, argv, "46ACDdf:F:hi:M:nN:o:qQS:T:u:vwxc:s:l:m:a:eg:p:r::t:")) != -1) {
                switch (letter) {
                case 'C':
                        o->keeps_directory = true;
                        break;
                case 'D':
                        o->debugs_quietly = true;
                        break;
                case 'd':
                        o->is_debug = true;
                        break;
                case 'f':
                        o->config_file = optarg;
                        break;
                case 'F':
                        o->output_format = optarg;
                        break;
                case 'i':
                        o->pid_file = strcmp(optarg, "NONE") == 0 ? NULL : optarg;
                        break;
                case 'M':
                        o->module_path = optarg;
                        break;
                case 'n':
                        o->is_foreground = true;
                        break;
                case 'N':
                        o->check_level = (int)strtol(optarg, NULL, 10);
                        break;
                case 'o':
                        o->output_file = optarg;
                        break;
                case 'T':
                        o->root_directory = optarg;
                        break;
                case 'v':
                        print_version();
                        return OPTIONS_EXIT_OK;
                case 'u':
                        o->keeps_directory |= strchr(optarg, '2') != NULL;
                        warn_obsolete(letter);
                        break;
                default:
                        if (letter != '?' && letter != 'h' && warn_obsolete(letter))
                                break;
                        if (letter == '?')
                                fprintf(stderr, "rsyslogd: option -%c is unknown, or its argument is missing\n",
                                        optopt);
                        fputs(usage, stderr);
                        return OPTIONS_EXIT_FAILED;
                }
        }
        return check_combination(o, argc);
}
