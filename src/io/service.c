#include "io/service.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

enum {
        HEADER_BYTES = 12,
        QUESTION_BYTES = 4, /* behind its name: type, class */
        RECORD_BYTES = 10,  /* behind its name: type, class, TTL, length */
        SRV_BYTES = 6,      /* before the target: priority, weight, port */
        TYPE_SRV = 33,
        CLASS_IN = 1,
};

/* What is left of the answer. */
struct reader {
        const uint8_t *start, *at, *end;
};

static uint16_t number_at(const uint8_t *at) {
        return (uint16_t)(at[0] << 8 | at[1]);
}

static bool has(const struct reader *r, size_t size) {
        return (size_t)(r->end - r->at) >= size;
}

/* Names are compressed against the whole answer; the library bounds the jumps. */
static int read_name(struct reader *r, char name[SERVICE_NAME_BYTES_MAX]) {
        if (r->at >= r->end)
                return fail(-EBADMSG);
        int size = dn_expand(r->start, r->end, r->at, name, SERVICE_NAME_BYTES_MAX);
        if (size < 0)
                return fail(-EBADMSG);
        r->at += size;
        return 0;
}

static int read_question(struct reader *r) {
        char name[SERVICE_NAME_BYTES_MAX];
        int e = read_name(r, name);
        if (e)
                return pass(e);
        if (!has(r, QUESTION_BYTES))
                return fail(-EBADMSG);
        r->at += QUESTION_BYTES;
        return 0;
}

static int read_host(const struct reader *record, struct service_host *host) {
        struct reader r = *record;
        if (!has(&r, SRV_BYTES))
                return fail(-EBADMSG);
        host->priority = number_at(r.at);
        host->weight = number_at(r.at + 2);
        snprintf(host->port, sizeof host->port, "%u", number_at(r.at + 4));
        r.at += SRV_BYTES;
        return read_name(&r, host->name);
}

static int read_record(struct reader *r, struct service_host hosts[SERVICE_HOSTS_MAX], size_t *count) {
        char name[SERVICE_NAME_BYTES_MAX];
        int e = read_name(r, name);
        if (e)
                return pass(e);
        if (!has(r, RECORD_BYTES))
                return fail(-EBADMSG);
        bool is_host = number_at(r->at) == TYPE_SRV && number_at(r->at + 2) == CLASS_IN;
        size_t size = number_at(r->at + 8);
        r->at += RECORD_BYTES;
        if (!has(r, size))
                return fail(-EBADMSG);
        if (is_host && *count < SERVICE_HOSTS_MAX) {
                struct service_host *host = &hosts[*count];
                e = read_host(r, host);
                if (e)
                        return pass(e);
                /* An empty name says that the service is not offered here. */
                *count += host->name[0] != '\0';
        }
        r->at += size;
        return 0;
}

int service_parse(const uint8_t *answer, size_t size, struct service_host hosts[SERVICE_HOSTS_MAX], size_t *count) {
        struct reader r = {answer, answer, answer + size};
        *count = 0;
        if (!has(&r, HEADER_BYTES))
                return fail(-EBADMSG);
        unsigned questions = number_at(answer + 4), records = number_at(answer + 6);
        r.at += HEADER_BYTES;
        for (unsigned i = 0; i < questions; i++) {
                int e = read_question(&r);
                if (e)
                        return pass(e);
        }
        for (unsigned i = 0; i < records; i++) {
                int e = read_record(&r, hosts, count);
                if (e)
                        return pass(e);
        }
        return 0;
}

static int compare(const void *a, const void *b) {
        const struct service_host *x = a, *y = b;
        if (x->priority != y->priority)
                return x->priority < y->priority ? -1 : 1;
        return (x->weight < y->weight) - (x->weight > y->weight);
}

/* As the environment says; what it says wrongly is not taken. */
static void redirect(struct __res_state *state) {
        const char *server = getenv("RSYSLOG_DNS_SERVER"), *port = getenv("RSYSLOG_DNS_PORT");
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
        int64_t number;
        if (port && text_to_int(text_of(port), &number) == 0 && number > 0 && number < 65536)
                to.sin_port = htons((uint16_t)number);
        if (!server && port)
                server = "127.0.0.1";
        if (!server || inet_pton(AF_INET, server, &to.sin_addr) != 1)
                return;
        state->nsaddr_list[0] = to;
        state->nscount = 1;
}

int service_find(struct service_host hosts[SERVICE_HOSTS_MAX], size_t *count, const char *service, const char *protocol,
                 const char *domain, struct buffer *complaint) {
        char name[SERVICE_NAME_BYTES_MAX + 64];
        if (snprintf(name, sizeof name, "_%s._%s.%s", service, protocol, domain) >= (int)sizeof name)
                return fail(-ENAMETOOLONG);
        struct __res_state state = {0};
        if (res_ninit(&state) < 0)
                return fail(-ENOMEM);
        redirect(&state);
        uint8_t answer[SERVICE_ANSWER_BYTES_MAX];
        int size = res_nquery(&state, name, CLASS_IN, TYPE_SRV, answer, sizeof answer);
        int why = state.res_h_errno;
        res_nclose(&state);
        if (size < 0) {
                buffer_format(complaint, "SRV records of %s: %s", name, hstrerror(why));
                return fail(-ENXIO);
        }
        int r = service_parse(answer, MIN((size_t)size, sizeof answer), hosts, count);
        if (r) {
                buffer_format(complaint, "SRV records of %s: the answer is damaged", name);
                return pass(r);
        }
        if (*count == 0) {
                buffer_format(complaint, "%s has no SRV records", name);
                return fail(-ENXIO);
        }
        qsort(hosts, *count, sizeof *hosts, compare);
        return 0;
}
