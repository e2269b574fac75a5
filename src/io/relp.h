/*
 * RELP on the wire: frames, answers and offers. Pure functions over bytes; who
 * speaks when is io/relp_session.h for the client and input/imrelp for the server.
 *
 *   TXNR SP COMMAND SP LENGTH [SP DATA] LF
 *
 * TXNR counts the commands of a session from 1 and begins again after
 * RELP_TXNR_MAX; 0 is for hints, which nobody answers. An answer is the command
 * `rsp` with the number of what it answers; its data is "CODE text", and behind a
 * line feed more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* What is believed of a peer's frames. */
enum {
        RELP_TXNR_MAX = 999999999,
        RELP_DIGITS_MAX = 9, /* of a number; leading zeros count */
        RELP_COMMAND_BYTES_MAX = 32,
        RELP_HEADER_BYTES_MAX = RELP_DIGITS_MAX + 1 + RELP_COMMAND_BYTES_MAX + 1 + RELP_DIGITS_MAX + 1,
        RELP_DATA_BYTES_MAX = 128 << 20,
        RELP_OFFERS_MAX = 64, /* lines of an `open` that are looked at */
};

enum relp_command {
        RELP_OTHER, /* none that is known here */
        RELP_OPEN,
        RELP_SYSLOG,
        RELP_CLOSE,
        RELP_SERVERCLOSE,
        RELP_RSP,
};

enum relp_code { RELP_CODE_DONE = 200, RELP_CODE_FAILED = 500 };

struct relp_frame {
        uint32_t txnr;
        enum relp_command command;
        struct text name;       /* of the command */
        struct text data;       /* lies in the bytes that were scanned */
        uint32_t size_declared; /* more than data.size where the data was cut */
        size_t used;            /* bytes that the frame took, its line feed included */
};

enum relp_event {
        RELP_MORE,     /* the frame has not ended: `used` tells how many bytes it needs, 0 where that is not known */
        RELP_FRAME,    /* one whole frame */
        RELP_CUT,      /* `used` bytes behind data.data + data.size are too many: remove them and ask again */
        RELP_TOO_LONG, /* more data than is allowed: the session ends */
        RELP_BROKEN,   /* no RELP: the session ends */
};

/* What holds between two reads; zeroed but for its settings it is ready for the first byte. */
struct relp_scanner {
        uint32_t data_bytes_max; /* RELP_DATA_BYTES_MAX at most */
        bool cuts;               /* longer data is cut; else RELP_TOO_LONG */
        uint32_t cut;            /* bytes of the frame at hand that were cut so far */
};

/*
 * Looks at the bytes from the beginning of a frame on. After RELP_MORE it is asked
 * again with the same bytes and more behind them. No byte is looked at that lies
 * behind the frame, and no buffer need be larger than header, data_bytes_max and
 * one read.
 */
enum relp_event relp_next(struct relp_scanner *scanner, const char *bytes, size_t size, struct relp_frame *frame);

static inline uint32_t relp_txnr_after(uint32_t txnr) {
        return txnr == RELP_TXNR_MAX ? 1 : txnr + 1;
}

/* ---- Writing ------------------------------------------------------------ */

void relp_write(struct buffer *out, uint32_t txnr, struct text command, struct text data);
/* "200 OK" to one command, the fast way. */
void relp_write_done(struct buffer *out, uint32_t txnr);
/* Bytes that relp_write() makes of so much data, at most. */
static inline size_t relp_frame_bytes_max(size_t data_bytes) {
        return RELP_HEADER_BYTES_MAX + data_bytes + 1;
}

/* ---- Answers and offers -------------------------------------------------- */

struct relp_answer {
        unsigned code;     /* RELP_CODE_DONE where the data is empty, as it is in answers to `close` */
        struct text words; /* "OK" */
        struct text rest;  /* behind the first line */
};
/* -EBADMSG: the data of an `rsp` is none. */
int relp_read_answer(struct text data, struct relp_answer *ret);
/* The peer's words in a report: as far as there is room, and nothing that a terminal obeys. NUL-ended. */
void relp_show_words(char *to, size_t room, struct text words);

struct relp_offers {
        int64_t version;
        struct text software; /* may be empty */
        bool takes_syslog;    /* `syslog` is among the commands */
};
/* Lines "name=value"; unknown ones are passed over. -EBADMSG: a line is none, or there are too many. */
int relp_read_offers(struct text data, struct relp_offers *ret);
/* What both sides of this house offer. */
#define RELP_OFFERS "relp_version=0\nrelp_software=penstock\ncommands=syslog"
