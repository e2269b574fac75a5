/*
 * What users write to choose versions and ciphers of TLS becomes OpenSSL commands, as SSL_CONF_cmd(3) has them.
 * Pure: text in, text or a complaint out.
 *
 *   "NORMAL:-VERS-ALL:+VERS-TLS1.3"      a GnuTLS priority string
 *   "MinProtocol=TLSv1.2\nGroups=X25519" commands, one a line: checked for their form alone
 *
 * GnuTLS thinks in sets (versions, key exchanges, ciphers, MACs, groups, signatures), OpenSSL in suites: the sets
 * that a string leaves are looked up in a table of suites, in the order of the ciphers.
 */
#pragma once

#include "base/text.h"

enum {
        TLS_PRIORITY_BYTES_MAX = 8192,
        TLS_PRIORITY_WORDS_MAX = 256,
};

/* Appends lines "Command=value"; nothing for an empty text. 0, -EINVAL with a complaint, or -ENOMEM. */
int tls_priority_translate(struct text priority, struct buffer *commands, struct buffer *complaint);
