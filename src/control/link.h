/*
 * What the words of `penstock` that speak to the daemon have in common: the
 * connection, a call that tells what went wrong, and the members of an answer.
 */
#pragma once

#include "base/json.h"
#include "bus/bus.h"

enum { LINK_FAILED = 1 }; /* exit status: it was told why */

#define LINK_SOCKET_HELP "socket of the bus, else $BIND10_MSGQ_SOCKET_FILE, else /run/penstock/bus"

struct link {
        struct penstock_bus *bus;
        struct arena arena; /* of answers */
        const char *to;     /* whom calls go to; NULL: Penstock */
        int64_t timeout_ms; /* that an answer may take; 0: the usual time */
};

/* LINK_FAILED when there is no bus. */
int link_open(struct link *link, const char *socket);
void link_fini(struct link *link);
OWNED_VALUE(struct link, link_fini);

/* Asks and waits; *ret (may be NULL) is the value, in the arena, NULL when there was none. */
int link_ask(struct link *link, const char *command, const char *arguments, struct json **ret);
/* The same, and prints the answer as one line of JSON. */
int link_print(struct link *link, const char *command, const char *arguments);
/* Parses what came; NULL when it is no JSON. */
struct json *link_parse(struct link *link, struct text text);

/* Members of an object, "", 0, false where there is none. */
struct text member_text(const struct json *object, const char *name);
int64_t member_int(const struct json *object, const char *name);
/* "12 s", "3 min", "2.1 h"; "4.2 MB". In a buffer of the caller. */
enum { SHORT_BYTES = 32 };
const char *short_time(char to[SHORT_BYTES], int64_t ms);
const char *short_bytes(char to[SHORT_BYTES], int64_t bytes);
/* A text on a terminal: what could steer it is shown as dots, and it is cut at `columns` (0: never). */
void print_text(struct text text, size_t columns);
