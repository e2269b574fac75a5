#include "io/relp.h"

#include <errno.h>

#include "base/fail.h"

/* Indexed by enum relp_command. */
static const struct text command_names[] = {
        [RELP_OTHER] = {"", 0},
        [RELP_OPEN] = {"open", 4},
        [RELP_SYSLOG] = {"syslog", 6},
        [RELP_CLOSE] = {"close", 5},
        [RELP_SERVERCLOSE] = {"serverclose", 11},
        [RELP_RSP] = {"rsp", 3},
};

/* ---- Reading frames ------------------------------------------------------ */

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads digits from *at on; RELP_FRAME when something else follows them, which *at then names. */
static enum relp_event read_number(const char *bytes, size_t size, size_t *at, uint32_t *ret) {
        size_t start = *at, i = start;
        uint32_t number = 0;
        for (; i < size && i - start < RELP_DIGITS_MAX && is_digit(bytes[i]); i++)
                number = number * 10 + (uint32_t)(bytes[i] - '0');
        if (i == size)
                return RELP_MORE;
        if (i == start || is_digit(bytes[i]))
                return RELP_BROKEN;
        *at = i;
        *ret = number;
        return RELP_FRAME;
}

static enum relp_event read_blank(const char *bytes, size_t size, size_t *at) {
        if (*at == size)
                return RELP_MORE;
        return bytes[(*at)++] == ' ' ? RELP_FRAME : RELP_BROKEN;
}

static enum relp_command command_of(struct text name) {
        for (size_t i = RELP_OPEN; i < ARRAY_SIZE(command_names); i++)
                if (text_equal(name, command_names[i]))
                        return (enum relp_command)i;
        return RELP_OTHER;
}

static enum relp_event read_name(const char *bytes, size_t size, size_t *at, struct relp_frame *frame) {
        size_t start = *at, i = start;
        while (i < size && i - start < RELP_COMMAND_BYTES_MAX && is_letter(bytes[i]))
                i++;
        if (i == size)
                return RELP_MORE;
        if (i == start || bytes[i] != ' ')
                return RELP_BROKEN;
        frame->name = (struct text){bytes + start, i - start};
        *at = i;
        return RELP_FRAME;
}

/* Up to the length and, where there is data, the blank behind it. */
static enum relp_event read_header(const char *bytes, size_t size, size_t *at, struct relp_frame *frame) {
        enum relp_event event = read_number(bytes, size, at, &frame->txnr);
        if (event == RELP_FRAME)
                event = read_blank(bytes, size, at);
        if (event == RELP_FRAME)
                event = read_name(bytes, size, at, frame);
        if (event == RELP_FRAME)
                event = read_blank(bytes, size, at);
        if (event == RELP_FRAME)
                event = read_number(bytes, size, at, &frame->size_declared);
        if (event == RELP_FRAME && frame->size_declared)
                event = read_blank(bytes, size, at);
        return event;
}

enum relp_event relp_next(struct relp_scanner *scanner, const char *bytes, size_t size, struct relp_frame *frame) {
        *frame = (struct relp_frame){0};
        size_t at = 0;
        enum relp_event event = read_header(bytes, size, &at, frame);
        if (event != RELP_FRAME)
                return event;
        uint32_t declared = frame->size_declared;
        uint32_t kept = MIN(declared, scanner->data_bytes_max), excess = declared - kept;
        if (UNLIKELY(excess > 0 && !scanner->cuts))
                return RELP_TOO_LONG;
        frame->data = (struct text){bytes + at, kept};
        size_t end = at + kept;
        if (UNLIKELY(size > end && scanner->cut < excess)) {
                frame->used = MIN(size - end, (size_t)(excess - scanner->cut));
                scanner->cut += (uint32_t)frame->used;
                return RELP_CUT;
        }
        if (size <= end) {
                frame->used = end + 1;
                return RELP_MORE;
        }
        if (bytes[end] != '\n')
                return RELP_BROKEN;
        scanner->cut = 0;
        frame->command = command_of(frame->name);
        frame->used = end + 1;
        return RELP_FRAME;
}

/* ---- Writing ------------------------------------------------------------ */

void relp_write(struct buffer *out, uint32_t txnr, struct text command, struct text data) {
        buffer_int(out, txnr);
        buffer_byte(out, ' ');
        buffer_text(out, command);
        buffer_byte(out, ' ');
        buffer_int(out, (int64_t)data.size);
        if (data.size) {
                buffer_byte(out, ' ');
                buffer_text(out, data);
        }
        buffer_byte(out, '\n');
}

void relp_write_done(struct buffer *out, uint32_t txnr) {
        static const char tail[] = " rsp 6 200 OK\n";
        enum { ROOM = 32 };
        static_assert(RELP_DIGITS_MAX + sizeof tail <= ROOM, "digits and tail fit");
        if (UNLIKELY(out->capacity - out->size < ROOM) && !buffer_reserve(out, ROOM))
                return;
        char digits[RELP_DIGITS_MAX + 1], *first = digits + sizeof digits;
        do
                *--first = (char)('0' + txnr % 10);
        while ((txnr /= 10) != 0);
        size_t count = (size_t)(digits + sizeof digits - first);
        memcpy(out->data + out->size, first, count);
        memcpy(out->data + out->size + count, tail, sizeof tail - 1);
        out->size += count + sizeof tail - 1;
}

/* ---- Answers and offers -------------------------------------------------- */

int relp_read_answer(struct text data, struct relp_answer *ret) {
        enum { CODE_DIGITS = 3 };
        *ret = (struct relp_answer){.code = RELP_CODE_DONE};
        if (data.size == 0)
                return 0;
        bool is_code = data.size >= CODE_DIGITS && is_digit(data.data[0]) && is_digit(data.data[1]) &&
                       is_digit(data.data[2]) &&
                       (data.size == CODE_DIGITS || data.data[CODE_DIGITS] == ' ' || data.data[CODE_DIGITS] == '\n');
        if (!is_code)
                return fail(-EBADMSG);
        ret->code = (unsigned)(data.data[0] - '0') * 100 + (unsigned)(data.data[1] - '0') * 10 +
                    (unsigned)(data.data[2] - '0');
        const char *lf = memchr(data.data, '\n', data.size);
        size_t line = lf ? (size_t)(lf - data.data) : data.size;
        ret->words = text_trim(text_slice(data, CODE_DIGITS, line));
        ret->rest = text_slice(data, lf ? line + 1 : data.size, data.size);
        return 0;
}

void relp_show_words(char *to, size_t room, struct text words) {
        size_t size = MIN(words.size, room - 1);
        for (size_t i = 0; i < size; i++)
                to[i] = words.data[i] >= ' ' && words.data[i] <= '~' ? words.data[i] : '.';
        to[size] = '\0';
}

static bool names_syslog(struct text commands) {
        while (commands.size) {
                const char *comma = memchr(commands.data, ',', commands.size);
                size_t end = comma ? (size_t)(comma - commands.data) : commands.size;
                if (text_equal(text_trim(text_slice(commands, 0, end)), command_names[RELP_SYSLOG]))
                        return true;
                commands = text_slice(commands, end + 1, commands.size);
        }
        return false;
}

static int read_offer(struct text line, struct relp_offers *offers) {
        const char *equals = memchr(line.data, '=', line.size);
        size_t at = equals ? (size_t)(equals - line.data) : line.size;
        struct text name = text_slice(line, 0, at), value = text_slice(line, at + 1, line.size);
        if (name.size == 0)
                return fail(-EBADMSG);
        if (text_equal(name, TEXT("relp_version")) && text_to_int(value, &offers->version))
                return fail(-EBADMSG);
        if (text_equal(name, TEXT("relp_software")))
                offers->software = value;
        if (text_equal(name, TEXT("commands")))
                offers->takes_syslog |= names_syslog(value);
        return 0;
}

int relp_read_offers(struct text data, struct relp_offers *ret) {
        struct relp_offers offers = {0};
        for (int lines = 0; data.size; lines++) {
                const char *lf = memchr(data.data, '\n', data.size);
                size_t end = lf ? (size_t)(lf - data.data) : data.size;
                struct text line = text_slice(data, 0, end);
                data = text_slice(data, end + 1, data.size);
                if (lines == RELP_OFFERS_MAX)
                        return fail(-EBADMSG);
                int r = line.size ? read_offer(line, &offers) : 0;
                if (r)
                        return pass(r);
        }
        *ret = offers;
        return 0;
}
