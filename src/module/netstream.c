#include "module/netstream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/text.h"

enum { PEERS_MAX = 1024, ERROR = 3, INFO = 6 };

/* ---- Words -------------------------------------------------------------- */

static bool is_given(const char *text) {
        return text && *text;
}

static bool is_plain_driver(const char *name) {
        return !is_given(name) || text_equal_nocase(text_of(name), TEXT("ptcp"));
}

static int check_driver(const char *name, const struct netstream *s, struct module_log *log) {
        static const char *const names[] = {"ptcp", "ossl", "gtls", "mbedtls"};
        for (size_t i = 0; is_given(name) && i < ARRAY_SIZE(names); i++)
                if (text_equal_nocase(text_of(name), text_of(names[i])))
                        return 0;
        if (!is_given(name))
                return 0;
        module_report(log, ERROR, 0,
                      "%s: there is no stream driver \"%s\"; ptcp is plain TCP, and ossl, gtls and mbedtls are TLS",
                      s->module, name);
        return fail(-EINVAL);
}

static int check_mode(const char *driver, const struct netstream *s, struct module_log *log) {
        if (s->mode == 0 || (s->mode == 1 && !is_plain_driver(driver)))
                return 0;
        if (s->mode == 1)
                module_report_param(log, ERROR, s->mode_param,
                                    "error: driver mode 1 not supported by ptcp netstream driver: it asks for TLS; "
                                    "choose the stream driver \"ossl\" for this or by global() defaultNetstreamDriver");
        else
                module_report_param(
                        log, ERROR, s->mode_param,
                        "error: driver mode %lld not supported by %s netstream driver; 0 is plain TCP, 1 is "
                        "TLS",
                        (long long)s->mode, is_given(driver) ? driver : "ptcp");
        return fail(-EINVAL);
}

static int read_words(struct tls_rules *rules, const struct netstream *s, struct module_log *log) {
        int auth = tls_auth_of(&rules->auth, s->auth_mode), expired = tls_expired_of(&rules->expired, s->expired);
        if (auth)
                module_report(log, ERROR, CODE_DRIVER_MODE,
                              "%s: error: authentication mode '%s' not supported; the modes are anon, x509/certvalid, "
                              "x509/fingerprint and x509/name",
                              s->module, s->auth_mode);
        if (expired)
                module_report(log, ERROR, 0, "%s: PermitExpiredCerts is \"on\", \"off\" or \"warn\", not \"%s\"",
                              s->module, s->expired);
        return auth || expired ? fail(-EINVAL) : 0;
}

/* ---- Peers -------------------------------------------------------------- */

/* The permitted peers, one by one. */
struct peers {
        char *items[PEERS_MAX];
        size_t count;
};

static void peers_free(struct peers *peers) {
        for (size_t i = 0; i < peers->count; i++)
                free(peers->items[i]);
        free(peers);
}
OWNED_POINTER(struct peers, peers_free);

static int add_peers(struct peers *peers, struct text list) {
        while (list.size) {
                const char *comma = memchr(list.data, ',', list.size);
                size_t size = comma ? (size_t)(comma - list.data) : list.size;
                struct text peer = text_trim(text_slice(list, 0, size));
                list = text_slice(list, size + 1, list.size);
                if (peer.size == 0)
                        continue;
                if (peers->count == PEERS_MAX)
                        return fail(-E2BIG);
                peers->items[peers->count] = text_copy(peer);
                if (!peers->items[peers->count])
                        return fail(-ENOMEM);
                peers->count++;
        }
        return 0;
}

static int collect_peers(struct peers **ret, const struct netstream *s, struct module_log *log) {
        _owned_(peers_free) struct peers *peers = calloc(1, sizeof *peers);
        int r = peers ? 0 : fail(-ENOMEM);
        for (size_t i = 0; s->peers && i < s->peers->count && r == 0; i++)
                r = add_peers(peers, text_of(s->peers->items[i]));
        if (r == -E2BIG)
                module_report(log, ERROR, 0, "%s: there are more than %d permitted peers", s->module, PEERS_MAX);
        if (r)
                return pass(r);
        *ret = TAKE(peers);
        return 0;
}

/* ---- Rules -------------------------------------------------------------- */

static const char *chosen(const char *own, const char *otherwise) {
        return is_given(own) ? own : otherwise;
}

/* All but the words. `peers` outlive the rules. */
static void fill_rules(struct tls_rules *rules, const struct netstream *s, const struct peers *peers,
                       const struct netstream_defaults *defaults) {
        static const struct netstream_defaults none;
        const struct netstream_defaults *d = defaults ? defaults : &none;
        rules->is_server = s->is_server;
        rules->ca_file = chosen(s->ca_file, d->ca_file);
        rules->ca_extra_files = chosen(s->ca_extra_files, d->ca_extra_files);
        rules->crl_file = chosen(s->crl_file, d->crl_file);
        rules->cert_file = chosen(s->cert_file, d->cert_file);
        rules->key_file = chosen(s->key_file, d->key_file);
        rules->priority = s->priority;
        rules->peers = (const char *const *)peers->items;
        rules->peer_count = peers->count;
        rules->verify_depth = (int)MIN(s->verify_depth, (int64_t)INT16_MAX);
        rules->checks_purpose = s->checks_purpose;
        rules->prioritizes_san = s->prioritizes_san;
        rules->checks_revocation = s->checks_revocation;
        rules->awaits_verdict = !s->is_server;
}

int netstream_check(const struct netstream *s, struct module_log *log) {
        struct tls_rules rules = {0};
        int driver = check_driver(s->driver, s, log);
        int mode = is_given(s->driver) || s->mode > 1 ? check_mode(s->driver, s, log) : 0;
        int words = read_words(&rules, s, log);
        if (driver || mode || words)
                return fail(-EINVAL);
        if (s->mode == 0)
                return 0;
        _owned_(peers_free) struct peers *peers = NULL;
        int r = collect_peers(&peers, s, log);
        if (r)
                return pass(r);
        fill_rules(&rules, s, peers, NULL);
        /* The file with revocations may be global()'s, which is not known here. */
        rules.checks_revocation = false;
        _owned_(buffer_fini) struct buffer complaint = {0};
        r = tls_rules_check(&rules, &complaint);
        if (r && complaint.size)
                module_report(log, ERROR, 0, "%s: %s", s->module, buffer_string(&complaint));
        return r ? pass(r) : 0;
}

int netstream_open(struct tls_context **ret, const struct netstream *s, const struct netstream_defaults *defaults,
                   struct module_log *log) {
        const char *driver = chosen(s->driver, defaults ? defaults->driver : NULL);
        struct tls_rules rules = {0};
        int r = check_driver(driver, s, log);
        if (r == 0)
                r = check_mode(driver, s, log);
        if (r || s->mode == 0)
                return pass(r);
        _owned_(peers_free) struct peers *peers = NULL;
        r = read_words(&rules, s, log);
        if (r == 0)
                r = collect_peers(&peers, s, log);
        if (r)
                return pass(r);
        fill_rules(&rules, s, peers, defaults);
        _owned_(buffer_fini) struct buffer complaint = {0};
        r = tls_context_new(ret, &rules, &complaint);
        if (r == TLS_IS_UNREADY) {
                module_report(log, ERROR, CODE_TLS,
                              "%s: %s; TLS connections are refused until the files are right and HUP comes", s->module,
                              buffer_string(&complaint));
                return 0;
        }
        if (r && complaint.size)
                module_report(log, ERROR, CODE_TLS, "%s: %s", s->module, buffer_string(&complaint));
        return r ? pass(r) : 0;
}

void netstream_reload(struct tls_context *context, const char *module, struct module_log *log) {
        bool was_ready = tls_context_is_ready(context);
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = tls_context_reload(context, &complaint);
        if (r)
                module_report(log, ERROR, CODE_TLS, "%s: %s; %s", module,
                              complaint.size ? buffer_string(&complaint) : fail_text(r),
                              was_ready ? "the certificates read before stay in use"
                                        : "TLS connections are still refused");
        else if (!was_ready)
                module_report(log, INFO, 0, "%s: the certificates can be used now, TLS connections are accepted",
                              module);
}
