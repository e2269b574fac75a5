/*
 * For the test of imjournal: an instance that reads the journal of a directory instead of this machine's.
 */
#pragma once

#include "module/module.h"

/* As input->open(). `directory` is kept by its address. */
int imjournal_open_directory(void **ret, const struct input_host *host, const void *settings, const char *directory);
