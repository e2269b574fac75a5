/*
 * The handshake with a ConfigManager, where one appears.
 *
 *   NONE          -> LOGGING        the group has its first member   manager_appeared()
 *   LOGGING       -> SPECIFICATION  answered                         manager_answered()
 *   SPECIFICATION -> SETTINGS       answered
 *   SETTINGS      -> DONE           answered: the settings it holds apply
 *   any           -> LOGGING        it has gone and another one appears
 *
 * Each question waits for the answer before it, and nobody else waits for any.
 */
#include "bus/broker_inside.h"

static void ask(struct broker *b, enum manager_step step) {
        _owned_(buffer_fini) struct buffer header = {0}, body = {0};
        b->manager_step = step;
        b->manager_seq = (int64_t)++b->own_seq;
        buffer_format(&header,
                      "{\"type\":\"send\",\"from\":\"%s\",\"to\":\"*\",\"group\":\"ConfigManager\",\"instance\":\"*\","
                      "\"seq\":%lld,\"want_answer\":true}",
                      b->self.lname, (long long)b->manager_seq);
        if (step == MANAGER_SPECIFICATION) {
                buffer_text(&body, TEXT("{\"command\":[\"module_spec\","));
                command_specification(&body);
                buffer_text(&body, TEXT("]}"));
        } else {
                buffer_format(&body, "{\"command\":[\"get_config\",{\"module_name\":\"%s\"}]}",
                              step == MANAGER_LOGGING ? "Logging" : "Msgq");
        }
        const struct channel *channel = directory_channel(&b->directory, TEXT("ConfigManager"), TEXT("*"));
        if (buffer_failed(&header) || buffer_failed(&body)) {
                broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "no memory to ask the ConfigManager");
                return;
        }
        for (uint32_t i = 0; channel && i < channel->count; i++)
                post(CONTAINER_OF(channel->members[i]->subscriber, struct client, subscriber), buffer_as_text(&header),
                     buffer_as_text(&body), NULL);
}

void manager_appeared(struct broker *b) {
        ask(b, MANAGER_LOGGING);
}

/* What it knows of our settings applies where it is one of ours; the original had others. */
static void apply(struct broker *b, struct text body) {
        struct scan_value whole;
        if (scan_whole(body, &whole))
                return;
        struct scan_value result = scan_member(&whole, TEXT("result"));
        struct scan_walk walk = scan_walk_begin(&result);
        int64_t code;
        if (!scan_walk_next(&walk) || !scan_integer(&walk.value, &code) || code != 0 || !scan_walk_next(&walk) ||
            walk.value.kind != SCAN_OBJECT)
                return;
        _owned_(buffer_fini) struct buffer wrong = {0};
        if (command_apply(b, &walk.value, &wrong))
                broker_log(b, SEVERITY_WARNING, LOG_TROUBLE,
                           "the settings that the ConfigManager holds do not apply, because of %.*s", TEXT_ARGS(wrong));
}

bool manager_answered(struct broker *b, const struct frame *frame, const struct header *header) {
        int64_t seq;
        if (!scan_integer(&header->fields[HEADER_REPLY], &seq) || seq != b->manager_seq)
                return false;
        switch (b->manager_step) {
        case MANAGER_LOGGING:
                ask(b, MANAGER_SPECIFICATION);
                return true;
        case MANAGER_SPECIFICATION:
                ask(b, MANAGER_SETTINGS);
                return true;
        case MANAGER_SETTINGS:
                apply(b, frame_body(frame));
                b->manager_step = MANAGER_DONE;
                return true;
        case MANAGER_NONE:
        case MANAGER_DONE:
                break;
        }
        return false;
}
