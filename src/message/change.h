/*
 * Changing what a record says, for modules that do. Received bytes never change: the new text is stored behind them.
 */
#pragma once

#include "message/container.h"

/* The text (msg) becomes `t`, and the raw message what stood before the text, and `t`. -ENOMEM, and nothing done. */
int change_msg(struct batch *b, struct record *r, struct text t);
