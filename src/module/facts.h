/*
 * What the layers below the modules need of the facts that modules are handed.
 */
#pragma once

#include "message/sanitize.h"
#include "module/module.h"

static inline struct sanitize_rules facts_sanitize_rules(const struct host_facts *facts) {
        return (struct sanitize_rules){
                .bytes_max = facts->message_bytes_max,
                .prefix = facts->control_prefix,
                .drops_trailing_lf = facts->drops_trailing_lf,
                .drops_trailing_cr = facts->drops_trailing_cr,
                .escapes_control = facts->escapes_control,
                .escapes_tab = facts->escapes_tab,
                .escapes_8bit = facts->escapes_8bit,
                .escapes_c_style = facts->escapes_c_style,
                .spaces_lf = facts->spaces_lf,
        };
}
