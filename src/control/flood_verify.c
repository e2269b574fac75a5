#include "control/flood_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "control/arguments.h"
#include "control/flood_settings.h"

/* What one connection's messages in the files show. */
struct trail {
        uint64_t *seen;  /* One bit a number. */
        uint64_t limit;  /* How many bits there are. */
        uint64_t end;    /* One past the highest number. */
        uint64_t latest; /* One past the highest number in the present file: order across files cannot be known. */
        uint64_t found, duplicates, disorders;
        uint32_t file;
};

/* A number that no sender came to is a broken line, and must not make us fill the memory. */
#define TRAIL_NUMBERS_MAX (1ull << 34)

struct verdict {
        struct trail *trails;
        uint32_t trail_count;
        uint32_t connections; /* How many there were, and */
        uint64_t messages;    /* what they sent together; 0: nobody said so. */
        uint64_t lines, unmarked, malformed;
};

static void verdict_fini_owned(struct verdict *v) {
        for (uint32_t i = 0; i < v->trail_count; i++)
                free(v->trails[i].seen);
        free(v->trails);
}

static int trail_grow(struct trail *t, uint64_t need) {
        uint64_t limit = t->limit ? t->limit : 1024;

        while (limit < need)
                limit *= 2;

        uint64_t *seen = calloc(limit / 64, sizeof *seen);
        if (!seen)
                return -ENOMEM;

        memcpy(seen, t->seen ? t->seen : seen, t->limit / 8);
        free(t->seen);
        t->seen = seen;
        t->limit = limit;
        return 0;
}

static int trail_take(struct trail *t, uint64_t number, uint32_t file) {
        if (number >= t->limit) {
                int r = trail_grow(t, number + 1);
                if (r)
                        return r;
        }
        if (t->file != file) {
                t->file = file;
                t->latest = 0;
        }

        uint64_t bit = 1ull << number % 64;
        t->found++;
        if (t->seen[number / 64] & bit)
                t->duplicates++;
        else if (number < t->latest)
                t->disorders++;
        t->seen[number / 64] |= bit;

        if (number >= t->latest)
                t->latest = number + 1;
        if (number >= t->end)
                t->end = number + 1;
        return 0;
}

static int verdict_reach(struct verdict *v, uint32_t count) {
        if (count <= v->trail_count)
                return 0;

        struct trail *trails = realloc(v->trails, count * sizeof *trails);
        if (!trails)
                return -ENOMEM;
        memset(trails + v->trail_count, 0, (count - v->trail_count) * sizeof *trails);
        v->trails = trails;
        v->trail_count = count;
        return 0;
}

static const char *digits_read(const char *p, const char *end, uint64_t *ret) {
        uint64_t n = 0;
        const char *start = p;

        for (; p < end && *p >= '0' && *p <= '9' && p - start < 18; p++)
                n = n * 10 + (uint64_t)(*p - '0');
        *ret = n;
        return p > start ? p : NULL;
}

/* Whether anybody can have sent this. Daemons that write to one file from two places do tear lines apart. */
static bool verdict_believes(const struct verdict *v, uint64_t connection, uint64_t number) {
        if (!v->messages)
                return connection < CONNECTIONS_MAX && number < TRAIL_NUMBERS_MAX;
        return connection < v->connections && number < quota_of(v->messages, v->connections, (uint32_t)connection);
}

/* Takes one marker, which starts after "seq=". */
static int verdict_take(struct verdict *v, const char *p, const char *end, uint32_t file) {
        uint64_t connection, number;

        p = digits_read(p, end, &connection);
        if (p && p < end && *p == ':')
                p = digits_read(p + 1, end, &number);
        else
                p = NULL;
        if (!p || !verdict_believes(v, connection, number)) {
                v->malformed++;
                return 0;
        }

        int r = verdict_reach(v, (uint32_t)connection + 1);
        return r ? r : trail_take(v->trails + connection, number, file);
}

static int verdict_scan(struct verdict *v, const char *p, const char *end, uint32_t file) {
        while (p < end) {
                const char *line_end = memchr(p, '\n', (size_t)(end - p));
                if (!line_end)
                        line_end = end;

                const char *mark = memmem(p, (size_t)(line_end - p), "seq=", 4);
                v->lines++;
                if (!mark)
                        v->unmarked++;
                else {
                        int r = verdict_take(v, mark + 4, line_end, file);
                        if (r)
                                return r;
                }
                p = line_end + 1;
        }
        return 0;
}

static int verdict_read(struct verdict *v, const char *path, uint32_t file) {
        _owned_(descriptor_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        if (status.st_size == 0)
                return 0;

        char *text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (text == MAP_FAILED)
                return -errno;
        madvise(text, (size_t)status.st_size, MADV_SEQUENTIAL);

        int r = verdict_scan(v, text, text + status.st_size, file);
        munmap(text, (size_t)status.st_size);
        return r;
}

static uint64_t trail_missing(const struct trail *t) {
        return t->end - (t->found - t->duplicates);
}

static void trail_print_missing(const struct trail *t, unsigned ranges_max) {
        for (uint64_t n = 0; n < t->end; n++) {
                uint64_t first = n;
                while (n < t->end && !(n < t->limit && t->seen[n / 64] >> n % 64 & 1))
                        n++;
                if (n == first)
                        continue;
                if (ranges_max-- == 0) {
                        printf(" ...");
                        return;
                }
                printf(n - first == 1 ? " %" PRIu64 : " %" PRIu64 "-%" PRIu64, first, n - 1);
        }
}

static int verdict_report(const struct verdict *v, bool is_json) {
        uint64_t found = 0, missing = 0, duplicates = 0, disorders = 0;

        for (uint32_t i = 0; i < v->trail_count; i++) {
                const struct trail *t = v->trails + i;

                found += t->found;
                missing += trail_missing(t);
                duplicates += t->duplicates;
                disorders += t->disorders;
                if (is_json || (!trail_missing(t) && !t->duplicates && !t->disorders))
                        continue;

                printf("connection %u: %" PRIu64 " found, %" PRIu64 " missing, %" PRIu64 " duplicate, %" PRIu64
                       " out of order",
                       i, t->found, trail_missing(t), t->duplicates, t->disorders);
                if (trail_missing(t)) {
                        printf("; missing:");
                        trail_print_missing(t, 8);
                }
                putchar('\n');
        }

        printf(is_json ? "{\"lines\":%" PRIu64 ",\"connections\":%u,\"found\":%" PRIu64 ",\"missing\":%" PRIu64
                         ",\"duplicate\":%" PRIu64 ",\"out_of_order\":%" PRIu64 ",\"unmarked\":%" PRIu64
                         ",\"malformed\":%" PRIu64 "}\n"
                       : "%" PRIu64 " lines, %u connections: %" PRIu64 " found, %" PRIu64 " missing, %" PRIu64
                         " duplicate, %" PRIu64 " out of order, %" PRIu64 " without a marker, %" PRIu64 " malformed\n",
               v->lines, v->trail_count, found, missing, duplicates, disorders, v->unmarked, v->malformed);
        return missing ? 1 : 0;
}

/* With the number of messages that were sent, those after the last one that arrived are known to be missing, too. */
static int verdict_complete(struct verdict *v) {
        if (!v->messages)
                return 0;

        int r = verdict_reach(v, v->connections);
        if (r)
                return r;
        for (uint32_t i = 0; i < v->connections; i++)
                v->trails[i].end = quota_of(v->messages, v->connections, i);
        return 0;
}

static int verify_run(char **paths, size_t count, uint64_t messages, uint32_t connections, bool is_json) {
        _owned_(verdict_fini) struct verdict v = {.messages = messages, .connections = connections};

        for (uint32_t i = 0; i < count; i++) {
                int r = verdict_read(&v, paths[i], i);
                if (r) {
                        fprintf(stderr, "flood: %s: %s\n", paths[i], strerror(-r));
                        return 2;
                }
        }

        int r = verdict_complete(&v);
        if (r) {
                fprintf(stderr, "flood: %s\n", strerror(-r));
                return 2;
        }
        return verdict_report(&v, is_json);
}

struct verify_given {
        int64_t messages, connections;
        bool is_json;
};

static const struct argument verify_options[] = {
        {.name = "messages",
         .takes = "N",
         .is_number = true,
         .offset = offsetof(struct verify_given, messages),
         .help = "so many were sent: finds those missing at the end, and numbers that nobody sent"},
        {.name = "connections",
         .takes = "N",
         .is_number = true,
         .offset = offsetof(struct verify_given, connections),
         .help = "over so many connections (1)"},
        {.name = "json", .offset = offsetof(struct verify_given, is_json), .help = "print only the sums, as JSON"},
        ARGUMENT_HELP,
};

int verify_main(int argc, char **argv) {
        struct verify_given g = {.connections = 1};
        int count;

        int r = arguments_read(verify_options, &g, argc, argv, &count, "penstock flood verify [OPTIONS] FILE...",
                               "Reads what a daemon wrote of messages sent with --sequence, and reports for every\n"
                               "connection what is missing, duplicate or, within one file, out of order. Exits with 1\n"
                               "when any is missing.");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : 2;
        if (!number_is_within(g.messages, "messages", 0, MESSAGES_MAX) ||
            !number_is_within(g.connections, "connections", 1, CONNECTIONS_MAX))
                return 2;
        if (!count) {
                fputs("flood: verify needs the files to read\n", stderr);
                return 2;
        }
        return verify_run(argv + 1, (size_t)count, (uint64_t)g.messages, (uint32_t)g.connections, g.is_json);
}
