#include "control/explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "control/stage.h"
#include "module/registry.h"

static const char usage[] = "penstock explain [OPTIONS] [FILE]";
static const char about[] =
        "Shows the program that each ruleset of FILE (default /etc/rsyslog.conf) is compiled to: which filters are\n"
        "answered together, which actions share a delivery, what runs message by message and why.\n"
        "\n"
        "With --message: which parser takes it, its properties, each filter with the values that decided it, what is\n"
        "set, and what each action that it reaches would write. Nothing is opened, sent or written; modifiers work,\n"
        "unless they would start a program.\n"
        "\n"
        "Exit 0: shown, 1: FILE has mistakes or cannot be read.";

struct request {
        const char *line; /* NULL: the programs are asked for */
        const char *modules;
        bool is_json;
        struct stage_message message;
};

const struct argument explain_options[] = {
        {.name = "message",
         .letter = 'm',
         .takes = "LINE",
         .offset = offsetof(struct request, line),
         .help = "the message as an input receives it; `-`: each line of standard input is one"},
        {.name = "from",
         .takes = "ADDRESS",
         .offset = offsetof(struct request, message.from),
         .help = "fromhost-ip (default 127.0.0.1)"},
        {.name = "host",
         .takes = "NAME",
         .offset = offsetof(struct request, message.host),
         .help = "fromhost (default: the address given, or this host)"},
        {.name = "input",
         .takes = "NAME",
         .offset = offsetof(struct request, message.input),
         .help = "inputname (default imudp); messages of imuxsock hold no host name"},
        {.name = "ruleset",
         .takes = "NAME",
         .offset = offsetof(struct request, message.ruleset),
         .help = "which one the input hands it to (default: the default ruleset)"},
        {.name = "json", .offset = offsetof(struct request, is_json), .help = "one JSON object a message"},
        {.name = "modules",
         .letter = 'M',
         .takes = "DIRECTORY",
         .offset = offsetof(struct request, modules),
         .help = "where modules are that are not built in"},
        ARGUMENT_HELP,
};

/* ---- As text ------------------------------------------------------------------ */

static struct text text_in(const struct json *object, const char *name) {
        const struct json *value = json_get(object, text_of(name));
        return value && value->type == JSON_STRING ? value->string : TEXT("");
}

/* What a terminal shows safely: control bytes as #012. */
static void print_text(struct text t) {
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                if (c < 32 || c == 127)
                        printf("#%03o", c);
                else
                        putchar(c);
        }
}

static void print_json(const struct json *value) {
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, value, JSON_COMPACT);
        print_text(buffer_as_text(&out));
}

static void print_members(const struct json *object, int indent, const char *separator) {
        for (const struct json_member *m = object && object->type == JSON_OBJECT ? object->first : NULL; m;
             m = m->next) {
                if (m->value->type == JSON_STRING && m->value->string.size == 0 && indent == 2)
                        continue;
                printf("%*s%.*s%s", indent, "", TEXT_ARGS(m->name), separator);
                if (m->value->type == JSON_STRING && indent == 2)
                        print_text(m->value->string);
                else
                        print_json(m->value);
                putchar('\n');
        }
}

static void print_terms(const struct json *terms) {
        for (uint32_t i = 0; terms && i < terms->count; i++) {
                printf("      %-13.*s ", TEXT_ARGS(text_in(terms->items[i], "outcome")));
                print_text(text_in(terms->items[i], "text"));
                putchar('\n');
        }
}

static void print_rows(const struct json *rows) {
        for (uint32_t i = 0; rows && i < rows->count; i++)
                for (uint32_t c = 0; c < rows->items[i]->count; c++) {
                        const struct json *column = rows->items[i]->items[c];
                        struct text text = text_in(column, "text");
                        if (text_ends(text, TEXT("\n")))
                                text.size--;
                        printf("      %.*s: ", TEXT_ARGS(text_in(column, "template")));
                        print_text(text);
                        putchar('\n');
                }
}

static void print_step(const struct json *step, struct text *file) {
        struct text kind = text_in(step, "step"), outcome = text_in(step, "outcome");
        if (text_equal(kind, TEXT("ruleset"))) {
                printf("then, from its queue, ruleset %.*s\n", TEXT_ARGS(text_in(step, "name")));
                return;
        }
        if (!text_equal(*file, text_in(step, "file"))) {
                *file = text_in(step, "file");
                printf("  %.*s\n", TEXT_ARGS(*file));
        }
        const struct json *line = json_get(step, TEXT("line"));
        printf("  %5lld  ", line ? (long long)line->integer : 0);
        if (text_equal(kind, TEXT("filter")))
                printf("if ");
        print_text(text_in(step, "text"));
        if (outcome.size)
                printf("  -- %.*s", TEXT_ARGS(outcome));
        const struct json *value = json_get(step, TEXT("value"));
        if (value) {
                printf("  -- is ");
                print_json(value);
        }
        putchar('\n');
        print_members(json_get(step, TEXT("values")), 6, " = ");
        print_terms(json_get(step, TEXT("terms")));
        print_rows(json_get(step, TEXT("rows")));
}

static void print_changed(const struct json *story) {
        const struct json *before = json_get(story, TEXT("properties")), *after = json_get(story, TEXT("after"));
        for (const struct json_member *m = after ? after->first : NULL; m; m = m->next) {
                const struct json *old = json_get(before, m->name);
                if (!old || text_equal(old->string, m->value->string))
                        continue;
                printf("  %.*s has become ", TEXT_ARGS(m->name));
                print_text(m->value->string);
                putchar('\n');
        }
}

static void print_story(const struct json *story) {
        const struct json *steps = json_get(story, TEXT("steps")), *discarded = json_get(story, TEXT("discarded"));
        const struct json *variables = json_get(story, TEXT("variables"));
        struct text parser = text_in(story, "parser"), file = TEXT("");
        printf("ruleset %.*s\n", TEXT_ARGS(text_in(story, "ruleset")));
        if (discarded && discarded->is_true)
                printf("no parser took it, or one discards it: it ends here\n");
        else
                printf("parser %.*s\n", TEXT_ARGS(parser));
        print_members(json_get(story, TEXT("properties")), 2, ": ");
        if (steps && steps->count)
                printf("steps\n");
        for (uint32_t i = 0; steps && i < steps->count; i++)
                print_step(steps->items[i], &file);
        if (variables && variables->count)
                printf("variables\n");
        print_members(variables, 2, " = ");
        print_changed(story);
}

/* ---- Messages ------------------------------------------------------------------- */

static int explain_one(struct stage *stage, struct request *q, struct text line) {
        _owned_(arena_fini) struct arena a = {0};
        struct json *story;
        q->message.raw = line;
        int r = stage_play(stage, &q->message, &a, &story);
        if (r == -ENOENT)
                fprintf(stderr, "penstock explain: there is no ruleset '%s'\n", q->message.ruleset);
        else if (r)
                fprintf(stderr, "penstock explain: %s\n",
                        r == -ELOOP ? "the message goes in a ring through queues of rulesets" : fail_text(r));
        if (r)
                return 1;
        if (!q->is_json) {
                print_story(story);
                return 0;
        }
        _owned_(buffer_fini) struct buffer out = {0};
        json_print(&out, story, JSON_COMPACT);
        buffer_byte(&out, '\n');
        fwrite(out.data, 1, out.size, stdout);
        return 0;
}

static int explain_lines(struct stage *stage, struct request *q) {
        char *line = NULL;
        size_t room = 0;
        ssize_t size;
        int code = 0;
        for (bool is_first = true; code == 0 && (size = getline(&line, &room, stdin)) >= 0; is_first = false) {
                if (!is_first && !q->is_json)
                        putchar('\n');
                if (size > 0 && line[size - 1] == '\n')
                        size--;
                code = explain_one(stage, q, (struct text){line, (size_t)size});
        }
        free(line);
        return code;
}

static int explain(struct request *q, const char *path) {
        _owned_(loaded_file_fini) struct loaded_file file;
        _owned_(buffer_fini) struct buffer out = {0};
        _owned_(stage_free) struct stage *stage = NULL;
        int r = loaded_file_read(&file, path, NULL, q->modules, false);
        diagnostics_print(&file.diagnostics, &out, false);
        fwrite(out.data, 1, out.size, stderr);
        buffer_clear(&out);
        if (r == 0)
                r = stage_new(&stage, &file, 0);
        if (r) {
                fprintf(stderr, "penstock explain: %s: %s\n", path, fail_text(r));
                return 1;
        }
        int code = 0;
        if (q->line)
                code = strcmp(q->line, "-") == 0 ? explain_lines(stage, q) : explain_one(stage, q, text_of(q->line));
        else
                stage_print(stage, &out);
        fwrite(out.data, 1, out.size, stdout);
        return code || file.diagnostics.errors || stage_errors(stage) ? 1 : 0;
}

int explain_main(int argc, char **argv) {
        struct request q = {.modules = registry_default_path()};
        int count;
        int r = arguments_read(explain_options, &q, argc, argv, &count, usage, about);
        if (r == 0 && count > 1) {
                fprintf(stderr, "penstock explain: one FILE at a time\n");
                r = ARGUMENTS_WRONG;
        }
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        return explain(&q, count ? argv[1] : "/etc/rsyslog.conf");
}
