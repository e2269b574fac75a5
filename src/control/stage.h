/*
 * A stage: a configuration on which messages are rehearsed, and what becomes of each
 * told as a JSON value, the story. Nothing is opened, sent or written.
 *
 *   {"ruleset": NAME, "parser": NAME or null, "discarded": by the parsers,
 *    "properties": {NAME: as parsed}, "after": {NAME: at the end}, "variables": {"$!": ..., "$.": ..., "$/": ...},
 *    "steps": [{"step": "filter", "file": F, "line": N, "text": as written, "outcome": "passed" or "not passed",
 *               "values": {"$msg": ...}, "terms": [{"text": T, "outcome": O}]},
 *              {"step": "action", ..., "name": N, "module": M, "outcome": O, "rows": [[{"template": T, "text": X}]]},
 *              {"step": "set", ..., "value": V}, {"step": "ruleset", "name": a queue's}, ...]}
 */
#pragma once

#include "base/json.h"
#include "control/load.h"

struct stage;

struct stage_message {
        struct text raw;     /* as an input receives it */
        const char *from;    /* fromhost-ip; NULL: this machine */
        const char *host;    /* fromhost; NULL: `from` */
        const char *input;   /* inputname; NULL: imudp */
        const char *ruleset; /* NULL: the default one */
};

/* The file stays, and is changed no more. `now_us`: what clocks tell; 0: as it is. -errno; what it says is on stderr.
 */
int stage_new(struct stage **ret, struct loaded_file *file, int64_t now_us);
struct stage *stage_free(struct stage *s);
OWNED_POINTER(struct stage, stage_free);

/* What errors of the configuration the compiler found beside those of the file. */
unsigned stage_errors(const struct stage *s);
/* The compiled programs of all rulesets. */
void stage_print(struct stage *s, struct buffer *out);
/* The story lies in the arena. -ENOENT: no such ruleset; -ELOOP; -ENOMEM. */
int stage_play(struct stage *s, const struct stage_message *message, struct arena *a, struct json **story);
