/*
 * mmrfc5424addhmac: an HMAC over the message as it was received joins its structured data:
 *
 *   [ID hash="2fd4e1c6..."]
 *
 * For messages of RFC 5424 that have no element ID yet. libcrypto is loaded by the first action.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/change.h"
#include "module/module.h"

#define LIBRARY "libcrypto.so.3"

enum { DIGEST_BYTES_MAX = 64 };

struct mmrfc5424addhmac_settings {
        char *key;
        char *function;
        char *id;
};

struct mmrfc5424addhmac {
        const struct mmrfc5424addhmac_settings *settings;
        void *library;
        const void *digest;
        unsigned char *(*hmac)(const void *digest, const void *key, int key_size, const unsigned char *data,
                               size_t size, unsigned char *ret, unsigned *ret_size);
};

/* Whether an element of that name is there: "[" at the start or behind "]", outside of values. */
static bool has_element(struct text data, struct text id) {
        bool is_in_value = false;
        for (size_t i = 0; i < data.size; i++) {
                if (is_in_value && data.data[i] == '\\')
                        i++;
                else if (data.data[i] == '"')
                        is_in_value = !is_in_value;
                else if (!is_in_value && data.data[i] == '[') {
                        struct text rest = text_slice(data, i + 1, data.size);
                        if (text_starts(rest, id) && rest.size > id.size && memchr(" ]", rest.data[id.size], 2))
                                return true;
                }
        }
        return false;
}

static void put_element(struct buffer *out, struct text id, const unsigned char *digest, size_t size) {
        buffer_byte(out, '[');
        buffer_text(out, id);
        buffer_text(out, TEXT(" hash=\""));
        for (size_t i = 0; i < size; i++)
                buffer_append(out, (char[]){"0123456789abcdef"[digest[i] >> 4], "0123456789abcdef"[digest[i] & 15]}, 2);
        buffer_text(out, TEXT("\"]"));
}

static void sign(const struct mmrfc5424addhmac *m, struct property_context *context, struct batch *b,
                 struct record *r) {
        struct text data = batch_text(b, r->structured), raw = batch_text(b, r->raw), id = text_of(m->settings->id);
        if (r->protocol != 1 || has_element(data, id))
                return;
        unsigned char digest[DIGEST_BYTES_MAX];
        unsigned size = 0;
        if (!m->hmac(m->digest, m->settings->key, (int)strlen(m->settings->key), (const unsigned char *)raw.data,
                     raw.size, digest, &size))
                return;
        struct buffer *out = &context->scratch;
        buffer_clear(out);
        if (!text_equal(data, TEXT("-")))
                buffer_text(out, data);
        put_element(out, id, digest, size);
        struct json value = {.type = JSON_STRING, .string = buffer_as_text(out)};
        if (!buffer_failed(out))
                (void)change_property(b, r, context, TEXT("structured-data"), &value);
}

static void mmrfc5424addhmac_modify(void *instance, struct property_context *context, struct batch *b,
                                    const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                sign(instance, context, b, &b->records[selection[i]]);
}

static void mmrfc5424addhmac_close(void *instance) {
        struct mmrfc5424addhmac *m = instance;
        if (m->library)
                dlclose(m->library);
        free(m);
}

/* -ENOENT without the library, -EINVAL where it has no such function. */
static int load(struct mmrfc5424addhmac *m) {
        const void *(*find_digest)(const char *name);
        int (*digest_size)(const void *digest);
        m->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        void *hmac = m->library ? dlsym(m->library, "HMAC") : NULL;
        void *find = m->library ? dlsym(m->library, "EVP_get_digestbyname") : NULL;
        void *size = m->library ? dlsym(m->library, "EVP_MD_get_size") : NULL;
        if (!hmac || !find || !size)
                return fail(-ENOENT);
        memcpy(&m->hmac, &hmac, sizeof hmac);
        memcpy(&find_digest, &find, sizeof find);
        memcpy(&digest_size, &size, sizeof size);
        m->digest = find_digest(m->settings->function);
        return m->digest && digest_size(m->digest) <= DIGEST_BYTES_MAX ? 0 : fail(-EINVAL);
}

static int mmrfc5424addhmac_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        struct mmrfc5424addhmac *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        int r = load(m);
        if (r) {
                mmrfc5424addhmac_close(m);
                return pass(r);
        }
        *ret = m;
        return 0;
}

static int mmrfc5424addhmac_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmrfc5424addhmac_settings *s = settings;
        struct mmrfc5424addhmac tried = {.settings = s};
        if (!s || !s->function)
                return 0;
        int r = load(&tried);
        if (r == -ENOENT)
                module_report(log, SEVERITY_ERR, 0, "mmrfc5424addhmac needs the library " LIBRARY " of OpenSSL 3");
        else if (r)
                module_report_param(log, SEVERITY_ERR, "hashfunction",
                                    "OpenSSL knows no hash function '%s'; sha256 is one", s->function);
        if (tried.library)
                dlclose(tried.library);
        return r;
}

#define S struct mmrfc5424addhmac_settings
static const struct param mmrfc5424addhmac_params[] = {
        PARAM_STRING(S, key, .name = "key", .flags = PARAM_IS_REQUIRED | PARAM_IS_SECRET, .help = "The key."),
        PARAM_STRING(S, function, .name = "hashfunction", .flags = PARAM_IS_REQUIRED,
                     .help = "Name of a hash function of OpenSSL, as sha256."),
        PARAM_STRING(S, id, .name = "sd_id", .flags = PARAM_IS_REQUIRED,
                     .help = "Name of the element of structured data that gets the hash."),
        {},
};
#undef S

static const struct modifier_ops mmrfc5424addhmac_ops = {
        .open = mmrfc5424addhmac_open,
        .modify = mmrfc5424addhmac_modify,
        .close = mmrfc5424addhmac_close,
};

const struct module mmrfc5424addhmac_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmrfc5424addhmac",
        .help = "Adds an HMAC to the structured data of RFC 5424; needs OpenSSL where it runs.",
        .settings = SETTINGS(struct mmrfc5424addhmac_settings, mmrfc5424addhmac_params),
        .check = mmrfc5424addhmac_check,
        .modifier = &mmrfc5424addhmac_ops,
};
