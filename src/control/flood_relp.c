#include "flood_relp.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EAR_BYTES     (64u * 1024)
#define TXNR_MAX      999999999u
#define TXNR_FIRST    2u /* 1 is `open` */
#define OPEN_WAIT_MS  30000
#define CLOSE_WAIT_MS 1000

static const char offers[] = "relp_version=0\nrelp_software=flood\ncommands=syslog";

void relp_ear_fini(struct relp_ear *ear) {
        free(ear->text);
        ear->text = NULL;
}

uint32_t relp_txnr(uint64_t number) {
        return (uint32_t)((number + TXNR_FIRST - 1) % TXNR_MAX + 1);
}

static bool say(const struct wire *wire, const char *text, size_t size) {
        int left;

        while (size > 0) {
                ssize_t n = wire_send(wire, text, size);
                if (n == -EAGAIN && wire_wait(wire, true, OPEN_WAIT_MS))
                        continue;
                if (n < 0)
                        return false;
                text += n;
                size -= (size_t)n;
        }
        while ((left = wire_flush(wire)) == -EAGAIN && wire_wait(wire, true, OPEN_WAIT_MS))
                ;
        return left == 0;
}

/* A number that something else follows; NULL where it has not ended or is none. */
static const char *read_number(const char *p, const char *end, uint32_t *ret) {
        const char *start = p;
        uint32_t n = 0;

        for (; p < end && isdigit((unsigned char)*p) && p - start < (ptrdiff_t)RELP_TXNR_DIGITS; p++)
                n = n * 10 + (uint32_t)(*p - '0');
        *ret = n;
        return p > start && p < end ? p : NULL;
}

struct answer {
        uint32_t txnr, code;
        bool is_answer; /* else a hint, such as that the peer closes */
};

/* Reads "TXNR rsp SIZE CODE ...\n" and returns what is behind it; NULL where it has not ended. *is_wrong: it never
 * will.
 */
static const char *read_answer(const char *p, const char *end, struct answer *a, bool *is_wrong) {
        uint32_t size;

        *is_wrong = false;
        const char *name = read_number(p, end, &a->txnr);
        if (!name)
                return NULL;
        const char *blank = memchr(name + 1, ' ', (size_t)(end - name - 1));
        if (!blank)
                return NULL;
        const char *data = read_number(blank + 1, end, &size);
        if (!data)
                return NULL;
        data += *data == ' ';
        *is_wrong = size >= EAR_BYTES / 2;
        if (*is_wrong || (size_t)(end - data) < (size_t)size + 1)
                return NULL;
        *is_wrong = data[size] != '\n';
        a->is_answer = blank - name == 4 && !memcmp(name, " rsp", 4);
        a->code = size >= 3 ? (uint32_t)strtoul(data, NULL, 10) : 200;
        return data + size + 1;
}

/* False: the ear is full of something that is no answer, or the peer is gone. */
static bool listen_once(const struct wire *wire, struct relp_ear *ear, bool *is_empty) {
        ssize_t n = wire_receive(wire, ear->text + ear->size, EAR_BYTES - ear->size);
        *is_empty = n == -EAGAIN;
        if (*is_empty)
                return true;
        if (n <= 0)
                return false;
        ear->size += (uint32_t)n;
        return true;
}

static void drop(struct relp_ear *ear, const char *until) {
        size_t used = (size_t)(until - ear->text);

        memmove(ear->text, until, ear->size - used);
        ear->size -= (uint32_t)used;
}

int relp_open(const struct wire *wire, struct relp_ear *ear) {
        char text[128];
        struct answer answer = {};
        bool is_empty, is_wrong = false;
        const char *behind = NULL;

        ear->text = malloc(EAR_BYTES + 1);
        if (!ear->text)
                return -ENOMEM;
        int size = snprintf(text, sizeof text, "1 open %zu %s\n", sizeof offers - 1, offers);
        if (!say(wire, text, (size_t)size))
                return -ECONNRESET;
        while (!behind && !is_wrong) {
                if (!listen_once(wire, ear, &is_empty))
                        return -ECONNRESET;
                if (is_empty && !wire_wait(wire, false, OPEN_WAIT_MS))
                        return -ETIMEDOUT;
                behind = read_answer(ear->text, ear->text + ear->size, &answer, &is_wrong);
        }
        if (is_wrong || !answer.is_answer || answer.txnr != 1)
                return -EPROTO;
        drop(ear, behind);
        return answer.code == 200 ? 0 : -ECONNREFUSED;
}

/* Takes the answers that have ended. */
static enum relp_hearing take(struct relp_ear *ear, void (*acknowledged)(void *context, uint64_t number),
                              void *context) {
        const char *p = ear->text, *end = ear->text + ear->size, *behind;
        struct answer answer = {};
        bool is_wrong;

        while ((behind = read_answer(p, end, &answer, &is_wrong))) {
                if (is_wrong || !answer.is_answer || answer.txnr != relp_txnr(ear->answered))
                        return RELP_LOST;
                if (answer.code == 200)
                        acknowledged(context, ear->answered);
                else
                        ear->refused++;
                ear->answered++;
                p = behind;
        }
        drop(ear, p);
        return is_wrong || ear->size == EAR_BYTES ? RELP_LOST : RELP_HEARD;
}

enum relp_hearing relp_hear(const struct wire *wire, struct relp_ear *ear,
                            void (*acknowledged)(void *context, uint64_t number), void *context) {
        for (;;) {
                bool is_empty;
                if (!listen_once(wire, ear, &is_empty))
                        return RELP_LOST;
                if (is_empty)
                        return RELP_HEARD;
                if (take(ear, acknowledged, context) == RELP_LOST)
                        return RELP_LOST;
        }
}

void relp_close(const struct wire *wire, struct relp_ear *ear, uint64_t sent) {
        char text[64];
        bool is_empty;

        int size = snprintf(text, sizeof text, "%" PRIu32 " close 0\n", relp_txnr(sent));
        if (say(wire, text, (size_t)size) && wire_wait(wire, false, CLOSE_WAIT_MS))
                listen_once(wire, ear, &is_empty);
}
