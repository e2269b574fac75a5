/*
 * Changing what a record says, for modules that do. Received bytes never change: the new text is stored behind them.
 */
#pragma once

#include "base/json.h"
#include "message/container.h"

/* The text (msg) becomes `t`, and the raw message what stood before the text, and `t`. -ENOMEM, and nothing done. */
int change_msg(struct batch *b, struct record *r, struct text t);

/*
 * Sets a property by its name as programs and rule bases may: rawmsg msg hostname fromhost fromhost-ip syslogtag
 * pri syslogfacility syslogseverity procid msgid structured-data, and "$!", whose members join the variables. Other
 * names, null, and numbers that are none of a priority change nothing. -ENOMEM.
 */
int change_property(struct batch *b, struct record *r, const struct property_context *context, struct text name,
                    struct json *value);
