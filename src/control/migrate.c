#include "control/migrate.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/load.h"

static const char usage[] = "usage: penstock migrate [-M DIRECTORY] [FILE]\n"
                            "\n"
                            "Lists every object, directive and statement of FILE (default /etc/rsyslog.conf) and of "
                            "what it includes, with\n"
                            "its line: `same` does what it did under rsyslogd; `changed` runs, with the difference "
                            "that is told; `unsupported`\n"
                            "is left out, and what is told says why or what takes its place.\n"
                            "Exit 0: nothing is left out, 1: something is.\n";

enum fate { FATE_SAME, FATE_CHANGED, FATE_UNSUPPORTED, FATES };

static const char *const fates[] = {"same", "changed", "unsupported"};

struct line {
        const struct construct *construct;
        const struct diagnostic *worst;
        enum fate fate;
};

static enum fate fate_of(const struct diagnostic *d) {
        return d->severity <= SEVERITY_ERR ? FATE_UNSUPPORTED : FATE_CHANGED;
}

/* The construct that a diagnostic is about: the last one of its file that begins at or before its line. */
static struct line *find_line(struct line *lines, size_t count, const struct diagnostic *d) {
        struct line *found = NULL;
        for (size_t i = 0; i < count && d->place.file; i++) {
                const struct place *p = &lines[i].construct->place;
                if (strcmp(p->file, d->place.file) == 0 && p->line <= d->place.line &&
                    (!found || p->line >= found->construct->place.line))
                        found = &lines[i];
        }
        return found;
}

static void print_why(const struct diagnostic *d) {
        struct text message = text_trim(text_of(d->message));
        printf("                    %.*s\n", TEXT_ARGS(message));
        if (d->hint)
                printf("                    %s\n", d->hint);
}

static void print_lines(const struct line *lines, size_t count, const struct diagnostics *diagnostics) {
        const char *file = NULL;
        for (size_t i = 0; i < count; i++) {
                const struct construct *c = lines[i].construct;
                if (!file || strcmp(file, c->place.file) != 0)
                        printf("%s\n", c->place.file);
                file = c->place.file;
                printf("%6u %-12s %.*s\n", c->place.line, fates[lines[i].fate], TEXT_ARGS(c->text));
                for (const struct diagnostic *d = lines[i].worst ? diagnostics->first : NULL; d; d = d->next)
                        if (find_line((struct line *)lines, count, d) == &lines[i])
                                print_why(d);
        }
}

int migrate_main(int argc, char **argv) {
        _owned_(loaded_file_fini) struct loaded_file file;
        int code = loaded_file_open(&file, argc, argv, usage, true);
        if (code != LOAD_GO_ON)
                return code;
        size_t count = 0, counts[FATES] = {0};
        for (const struct construct *c = file.config->constructs; c; c = c->next)
                count++;
        struct line *lines = calloc(count + 1, sizeof *lines);
        if (!lines) {
                fprintf(stderr, "penstock migrate: no memory\n");
                return 1;
        }
        size_t i = 0;
        for (const struct construct *c = file.config->constructs; c; c = c->next)
                lines[i++].construct = c;
        for (const struct diagnostic *d = file.diagnostics.first; d; d = d->next) {
                struct line *line = find_line(lines, count, d);
                if (!line) {
                        /* About the file as a whole. */
                        printf("%s\n", fates[fate_of(d)]);
                        print_why(d);
                        counts[fate_of(d)]++;
                        continue;
                }
                line->fate = MAX(line->fate, fate_of(d));
                line->worst = d;
        }
        print_lines(lines, count, &file.diagnostics);
        for (i = 0; i < count; i++)
                counts[lines[i].fate]++;
        free(lines);
        printf("%s: %zu same, %zu changed, %zu unsupported\n", file.path, counts[FATE_SAME], counts[FATE_CHANGED],
               counts[FATE_UNSUPPORTED]);
        return counts[FATE_UNSUPPORTED] ? 1 : 0;
}
