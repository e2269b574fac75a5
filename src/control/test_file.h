/*
 * Files of `penstock test`: a configuration, messages, and what is expected of them.
 * YAML, or JSON where the name ends in .json; read into nodes with their places, and
 * checked whole: every mistake is reported with its line.
 */
#pragma once

#include "language/diagnostics.h"
#include "module/yaml_read.h"

enum {
        TEST_FILE_BYTES_MAX = 16 << 20,
        TEST_MESSAGES_MAX = 100000, /* of one test */
};

/* One test; texts are the file's. NULL members were not given. */
struct test_case {
        struct place place;
        const char *name;
        struct text *messages; /* as an input receives them */
        size_t message_count;
        const char *from, *host, *input, *ruleset; /* as in struct stage_message */
        const char *host_name;                     /* of the machine that the configuration runs on */
        int64_t now_us;                            /* 0: the clock's */
        const struct node *expect;                 /* a mapping whose keys are known */
        struct test_case *next;
};

struct test_file {
        struct arena arena;
        const char *path;
        const char *config_path;
        struct text config_text; /* data NULL: it is what config_path holds */
        struct test_case *cases;
        struct diagnostics diagnostics;
};

/* -EINVAL: there are errors among the diagnostics; -errno of reading, which are told there, too. */
int test_file_open(struct test_file *ret, const char *path);
/* The same of text that was read from there. */
int test_file_read(struct test_file *ret, const char *path, struct text content);
void test_file_fini(struct test_file *f);
OWNED_VALUE(struct test_file, test_file_fini);

/* What a mapping holds for a key; NULL: nothing, or it is no mapping. */
const struct node *node_get(const struct node *mapping, const char *key);
