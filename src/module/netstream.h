/*
 * Stream drivers, as rsyslog's users know them: the parameters that choose between plain TCP and TLS become the
 * rules of io/tls.h, or reports of what is wrong with them. All names of drivers lead to the same place: `ptcp` is
 * plain; `gtls`, `ossl` and `mbedtls` are TLS in mode 1 and plain in mode 0.
 */
#pragma once

#include "io/tls.h"
#include "module/module.h"

/* Numbers that rsyslog gives these reports. */
enum {
        CODE_DRIVER_MODE = 2081,
        CODE_TLS = 2078,
        CODE_PEER_REFUSED = 2088,
};

/* What an object says. Texts may be NULL or ""; everything is lent. */
struct netstream {
        const char *module;     /* as reports call it: "imtcp" */
        const char *mode_param; /* the parameter that asks for TLS, for reports */
        bool is_server;
        int64_t mode; /* 0: plain, 1: TLS */
        const char *driver, *auth_mode, *expired, *priority;
        const char *ca_file, *ca_extra_files, *crl_file, *key_file, *cert_file;
        const struct strings *peers; /* each may be several, with commas between */
        int64_t verify_depth;
        bool checks_purpose, prioritizes_san, checks_revocation;
};

/* What global() says; texts are NULL where it says nothing. */
struct netstream_defaults {
        const char *driver, *ca_file, *ca_extra_files, *crl_file, *key_file, *cert_file;
};

/* Reports every mistake that can be seen without the files and without global(). 0 or -EINVAL. */
int netstream_check(const struct netstream *stream, struct module_log *log);

/*
 * The context for an object that wants TLS; *ret stays NULL where it does not. Files that do not do are reported,
 * and the context is there all the same: see TLS_IS_UNREADY. -errno, reported: the object must not run, least of
 * all in the clear.
 */
int netstream_open(struct tls_context **ret, const struct netstream *stream, const struct netstream_defaults *defaults,
                   struct module_log *log);

/* HUP: reads the files again, and reports what is wrong with them or that they are right now. */
void netstream_reload(struct tls_context *context, const char *module, struct module_log *log);
