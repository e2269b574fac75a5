#include "module/relp_tls.h"

#include <errno.h>

#include "base/fail.h"
#include "base/reporter.h"

struct tls_rules relp_tls_rules(const struct relp_tls *tls, bool is_server) {
        struct tls_rules rules = {
                .is_server = is_server,
                .ca_file = tls->ca_file,
                .cert_file = tls->cert_file,
                .key_file = tls->key_file,
                .priority = tls->commands && *tls->commands ? tls->commands : tls->priority,
                .peers = (const char *const *)tls->peers.items,
                .peer_count = tls->peers.count,
        };
        (void)tls_auth_of(&rules.auth, tls->auth_mode);
        return rules;
}

int relp_tls_check(const struct relp_tls *tls, bool is_server, const char *module, struct module_log *log) {
        enum tls_auth auth;
        if (!tls->is_on)
                return 0;
        if (tls_auth_of(&auth, tls->auth_mode)) {
                module_report_param(log, SEVERITY_ERR, "tls.authmode",
                                    "tls.authMode \"%s\" is not known; there are certvalid, name and fingerprint",
                                    tls->auth_mode);
                return fail(-EINVAL);
        }
        _owned_(buffer_fini) struct buffer complaint = {0};
        const struct tls_rules rules = relp_tls_rules(tls, is_server);
        int r = tls_rules_check(&rules, &complaint);
        if (r)
                module_report(log, SEVERITY_ERR, 0, "%s: %s", module, buffer_string(&complaint));
        return r ? pass(r) : 0;
}
