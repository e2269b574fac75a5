/*
 * Messages of the broker's own: answers, errors, notifications.
 */
#include <errno.h>
#include <stdio.h>

#include "base/fail.h"
#include "bus/broker_inside.h"

static const char *const error_texts[] = {
        [-BUS_NO_RECIPIENT] = "No such recipient",
        [-BUS_RECIPIENT_GONE] = "Recipient gone",
        [-BUS_TIMED_OUT] = "Timed out",
        [-BUS_TOO_MANY] = "Too many outstanding",
        [-BUS_NOT_ALLOWED] = "Not allowed",
        [-BUS_NO_ATTACHMENTS] = "No attachments there",
        [-BUS_TOO_LARGE] = "Too large",
};

bool post(struct client *to, struct text header, struct text body, struct client *cause) {
        _owned_(frame_unref) struct frame *frame = NULL;
        if (frame_from(&frame, header, body)) {
                client_doom(to, "no memory for what the broker tells it");
                return false;
        }
        return client_queue(to, frame, cause);
}

static void post_buffers(struct client *to, struct buffer *header, struct text body, struct client *cause) {
        if (buffer_failed(header))
                client_doom(to, "no memory for what the broker tells it");
        else
                post(to, buffer_as_text(header), body, cause);
}

void post_getlname(struct client *to, const struct header *header) {
        const struct settings *s = &to->broker->settings;
        _owned_(buffer_fini) struct buffer answer = {0}, body = {0};
        buffer_text(&answer, TEXT("{\"type\":\"getlname\""));
        if (header)
                buffer_format(
                        &answer,
                        ",\"protocol\":2,\"limits\":{\"max_message\":%lld,\"max_header\":%d,\"max_attachments\":%d,"
                        "\"max_fds\":%d,\"max_outstanding\":%lld,\"answer_timeout\":%lld}",
                        (long long)s->message_bytes_max, WIRE_HEADER_BYTES_MAX, WIRE_ATTACHMENTS_MAX, WIRE_FDS_MAX,
                        (long long)s->outstanding_max, (long long)s->answer_timeout_ms);
        buffer_byte(&answer, '}');
        buffer_format(&body, "{\"lname\":\"%s\"}", to->lname);
        post_buffers(to, &answer, buffer_as_text(&body), to);
}

static struct text raw_or_null(const struct scan_value *value) {
        return value->kind == SCAN_ABSENT ? TEXT("null") : scan_raw(value);
}

void post_answer(struct client *to, const struct header *header, struct text body) {
        struct broker *b = to->broker;
        _owned_(buffer_fini) struct buffer answer = {0};
        buffer_format(&answer, "{\"type\":\"send\",\"from\":\"%s\",\"to\":\"%s\"", b->self.lname, to->lname);
        static const struct {
                struct text name;
                enum header_field field;
        } echoed[] = {{TEXT("group"), HEADER_GROUP}, {TEXT("instance"), HEADER_INSTANCE}};
        for (size_t i = 0; i < ARRAY_SIZE(echoed); i++)
                if (header->fields[echoed[i].field].kind == SCAN_STRING) {
                        buffer_format(&answer, ",\"%s\":", echoed[i].name.data);
                        buffer_text(&answer, scan_raw(&header->fields[echoed[i].field]));
                }
        buffer_format(&answer, ",\"seq\":%llu,\"reply\":", (unsigned long long)++b->own_seq);
        buffer_text(&answer, raw_or_null(&header->fields[HEADER_SEQ]));
        buffer_byte(&answer, '}');
        if (answer.size > WIRE_HEADER_BYTES_MAX)
                post_error(to, header, BUS_TOO_LARGE, TEXT_NONE);
        else
                post_buffers(to, &answer, body, to);
}

void post_error(struct client *to, const struct header *header, enum bus_error code, struct text data) {
        _owned_(buffer_fini) struct buffer answer = {0}, body = {0};
        char lname[LNAME_BYTES_MAX + 2];
        int size = snprintf(lname, sizeof lname, "\"%s\"", to->lname);
        const struct header_edit edits[] = {
                {HEADER_REPLY, raw_or_null(&header->fields[HEADER_SEQ])},
                {HEADER_FROM, TEXT("\"msgq\"")},
                {HEADER_TO, {lname, (size_t)size}},
        };
        header_edit(&answer, header, edits, ARRAY_SIZE(edits));
        /* A header that has no room for the answer's members is answered by the least that one needs. */
        if (answer.size > WIRE_HEADER_BYTES_MAX) {
                buffer_clear(&answer);
                buffer_format(&answer, "{\"type\":\"send\",\"from\":\"msgq\",\"to\":%s,\"reply\":", lname);
                struct text seq = raw_or_null(&header->fields[HEADER_SEQ]);
                buffer_text(&answer, seq.size < WIRE_HEADER_BYTES_MAX / 2 ? seq : TEXT("null"));
                buffer_byte(&answer, '}');
        }
        buffer_format(&body, "{\"result\":[%d,\"%s\"", code, error_texts[-code]);
        if (data.size) {
                buffer_byte(&body, ',');
                buffer_text(&body, data);
        }
        buffer_text(&body, TEXT("]}"));
        post_buffers(to, &answer, buffer_as_text(&body), to);
}

void post_membership(struct broker *b, const char *event, const struct client *about, struct text group,
                     struct client *cause) {
        const struct channel *channel = directory_channel(&b->directory, TEXT("notifications/cc_members"), TEXT("*"));
        if (!channel)
                return;
        _owned_(buffer_fini) struct buffer header = {0}, body = {0};
        buffer_format(&header,
                      "{\"type\":\"send\",\"from\":\"%s\",\"to\":\"*\",\"group\":\"notifications/cc_members\","
                      "\"instance\":\"*\",\"seq\":%llu,\"want_answer\":false}",
                      b->self.lname, (unsigned long long)++b->own_seq);
        buffer_format(&body, "{\"notification\":[\"%s\",{\"client\":\"%s\"", event, about->lname);
        if (group.data) {
                buffer_text(&body, TEXT(",\"group\":"));
                scan_quote(&body, group);
        }
        buffer_text(&body, TEXT("}]}"));
        _owned_(frame_unref) struct frame *frame = NULL;
        if (buffer_failed(&header) || buffer_failed(&body) ||
            frame_from(&frame, buffer_as_text(&header), buffer_as_text(&body))) {
                broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "no memory for a notification");
                return;
        }
        for (uint32_t i = 0; i < channel->count; i++)
                client_queue(CONTAINER_OF(channel->members[i]->subscriber, struct client, subscriber), frame, cause);
}
