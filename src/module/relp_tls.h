/*
 * TLS as imrelp and omrelp let users say it: parameters that both have, and the rules of io/tls.h that they make.
 */
#pragma once

#include "io/tls.h"
#include "module/module.h"

struct relp_tls {
        bool is_on;
        struct strings peers;
        char *auth_mode, *ca_file, *cert_file, *key_file, *priority, *commands;
};

/* The rows of a parameter table for the field of an `owner`; who the peers are is the module's to say. */
#define RELP_TLS_PARAMS(owner, field, peers_help)                                                                      \
        PARAM_BOOL(owner, field.is_on, .name = "tls", .dflt = "off",                                                   \
                   .help = "Whether the connection is encrypted; both sides must say the same."),                      \
                PARAM_STRING(owner, field.auth_mode, .name = "tls.authmode",                                           \
                             .help = "How a peer's certificate is checked: certvalid (an authority that we trust has " \
                                     "signed it), name (that, and tls.permittedPeer names it), fingerprint "           \
                                     "(tls.permittedPeer has its fingerprint). Unset: not at all."),                   \
                PARAM_STRINGS(owner, field.peers, .name = "tls.permittedpeer", .help = (peers_help)),                  \
                PARAM_STRING(owner, field.ca_file, .name = "tls.cacert",                                               \
                             .help = "File with the certificates of the authorities that we trust."),                  \
                PARAM_STRING(owner, field.cert_file, .name = "tls.mycert",                                             \
                             .help = "File with our certificate, and those between it and the authority."),            \
                PARAM_STRING(owner, field.key_file, .name = "tls.myprivkey", .help = "File with our private key."),    \
                PARAM_STRING(owner, field.priority, .name = "tls.prioritystring",                                      \
                             .help = "Protocols and ciphers, as a GnuTLS priority string."),                           \
                PARAM_STRING(owner, field.commands, .name = "tls.tlscfgcmd",                                           \
                             .help = "OpenSSL configuration commands, one a line, as \"Protocol=ALL,-TLSv1\"; stands " \
                                     "in for tls.priorityString.")

/* Reports what is wrong, in the module's name. 0 or -EINVAL. */
int relp_tls_check(const struct relp_tls *tls, bool is_server, const char *module, struct module_log *log);
/* Of what relp_tls_check() has found good. Texts are lent. */
struct tls_rules relp_tls_rules(const struct relp_tls *tls, bool is_server);
