/*
 * mmaudit: records of the Linux audit system become variables:
 *
 *   type=1400 audit(1338812600.532:60053): pid=7 comm="sshd" ...
 *   audit: type=USER_LOGIN msg=audit(1338812600.532:60053): pid=7 msg='op=login acct="joe"'
 *
 *   ->  $!audit  { "hdr": { "type": 1400, "auditid": "1338812600.532:60053" }, "data": { "pid": "7", ... } }
 *
 * Names and values are pairs between blanks, a value between either quote loses both. A type that is a word stays one.
 * $parsesuccess says whether the text was such a record.
 */
#include <errno.h>

#include "base/json.h"
#include "message/container.h"
#include "module/module.h"

enum { PAIRS_MAX = 1024 };

struct mmaudit_settings {
        char nothing;
};

static void skip_blanks(struct text *t) {
        while (t->size && t->data[0] == ' ')
                *t = text_slice(*t, 1, t->size);
}

static bool skip_text(struct text *t, struct text head) {
        if (!text_starts(*t, head))
                return false;
        *t = text_slice(*t, head.size, t->size);
        return true;
}

/* Up to one of the bytes, which stays. */
static struct text take_until(struct text *t, const char *ends) {
        size_t size = 0;
        while (size < t->size && !memchr(ends, t->data[size], strlen(ends)))
                size++;
        struct text head = text_slice(*t, 0, size);
        *t = text_slice(*t, size, t->size);
        return head;
}

static struct text take_value(struct text *t) {
        char quote[2] = {t->size ? t->data[0] : ' ', '\0'};
        if (quote[0] != '"' && quote[0] != '\'')
                return take_until(t, " ");
        *t = text_slice(*t, 1, t->size);
        struct text value = take_until(t, quote);
        *t = text_slice(*t, 1, t->size);
        return value;
}

static bool add(struct arena *a, struct json *object, struct text name, struct text value) {
        struct json *string = json_string(a, value);
        return string && json_set(a, object, name, string) == 0;
}

/* "pid=7 comm="sshd" ..."; words that are no pairs are passed over. */
static struct json *read_pairs(struct arena *a, struct text t) {
        struct json *pairs = json_object(a);
        for (unsigned i = 0; pairs && i < PAIRS_MAX; i++) {
                skip_blanks(&t);
                if (t.size == 0)
                        break;
                struct text name = take_until(&t, "= ");
                if (skip_text(&t, TEXT("=")) && !add(a, pairs, name, take_value(&t)))
                        return NULL;
        }
        return pairs;
}

/* "1400" as the number that it is, "USER_LOGIN" as text. */
static struct json *type_value(struct arena *a, struct text t) {
        int64_t number;
        return text_to_int(t, &number) ? json_string(a, t) : json_int(a, number);
}

static struct json *make_record(struct arena *a, struct text type, struct text id, struct text pairs) {
        struct json *record = json_object(a), *header = json_object(a), *number = type_value(a, type);
        struct json *data = read_pairs(a, pairs);
        if (!record || !header || !number || !data || json_set(a, header, TEXT("type"), number) ||
            !add(a, header, TEXT("auditid"), id) || json_set(a, record, TEXT("hdr"), header) ||
            json_set(a, record, TEXT("data"), data))
                return NULL;
        return record;
}

/* The record as an object, or NULL. */
static struct json *read_record(struct arena *a, struct text t) {
        skip_blanks(&t);
        if (skip_text(&t, TEXT("audit:")))
                skip_blanks(&t);
        if (!skip_text(&t, TEXT("type=")))
                return NULL;
        struct text type = take_until(&t, " ");
        skip_blanks(&t);
        skip_text(&t, TEXT("msg="));
        if (!skip_text(&t, TEXT("audit(")))
                return NULL;
        struct text id = take_until(&t, ")");
        if (!skip_text(&t, TEXT("):")))
                return NULL;
        return make_record(a, type, id, t);
}

static void mmaudit_modify(void *instance _unused_, struct property_context *context, struct batch *b,
                           const uint16_t *selection, size_t count) {
        static const struct container target = {'!', {"audit", sizeof "audit" - 1}};
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                struct json *record = read_record(&b->arena, batch_text(b, r->msg));
                r->flags = (uint16_t)(record ? r->flags | RECORD_PARSE_OK : r->flags & ~RECORD_PARSE_OK);
                if (record)
                        (void)container_add(&target, context, b, r, record);
        }
}

static int mmaudit_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        *ret = (void *)(uintptr_t)settings; /* nothing is kept, but an instance is not NULL */
        return 0;
}

static void mmaudit_close(void *instance _unused_) {
}

static const struct param mmaudit_params[] = {{}};

static const struct modifier_ops mmaudit_ops = {
        .open = mmaudit_open,
        .modify = mmaudit_modify,
        .close = mmaudit_close,
};

const struct module mmaudit_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmaudit",
        .help = "Turns records of the Linux audit system into variables below $!audit.",
        .settings = SETTINGS(struct mmaudit_settings, mmaudit_params),
        .modifier = &mmaudit_ops,
};
