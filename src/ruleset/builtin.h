/*
 * Modules that bring functions: what users load with module(load="fmhash"). The functions are always there.
 */
#pragma once

#include "module/module.h"

extern const struct module fmhash_module;
extern const struct module fmpcre_module;
extern const struct module fmunflatten_module;
