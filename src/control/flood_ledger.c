#include "control/flood_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/flood_text.h"

void ledger_write(struct ledger *l) {
        uint32_t written = 0;

        while (written < l->size && !l->has_failed) {
                ssize_t n = write(l->fd, l->text + written, l->size - written);
                if (n < 0 && errno != EINTR)
                        l->has_failed = true;
                written += n > 0 ? (uint32_t)n : 0;
        }
        l->size = 0;
}

/* One line, just as the marker of the message reads. */
void ledger_add(struct ledger *l, uint32_t connection, uint64_t number) {
        char line[64] = "seq=";
        unsigned size = 4 + CONNECTION_DIGITS + 1 + ROUND_DIGITS + l->digits;

        if (!l->text)
                return;
        digits_write(line + 4, CONNECTION_DIGITS, connection);
        line[4 + CONNECTION_DIGITS] = ':';
        digits_write(line + 4 + CONNECTION_DIGITS + 1, ROUND_DIGITS + l->digits, number);
        line[size++] = '\n';
        if (l->size + size > LEDGER_BYTES)
                ledger_write(l);
        memcpy(l->text + l->size, line, size);
        l->size += size;
}

int ledger_open(struct ledger *l, const char *path, unsigned digits) {
        l->digits = digits;
        l->text = malloc(LEDGER_BYTES);
        l->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (!l->text)
                return -ENOMEM;
        return l->fd < 0 ? -errno : 0;
}

void ledger_fini(struct ledger *l) {
        free(l->text);
        if (l->fd >= 0)
                close(l->fd);
}
