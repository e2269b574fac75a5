#include "control/help.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "module/definitions.h"
#include "module/objects.h"
#include "module/registry.h"
#include "module/settings.h"

/* What help can be asked about: a module, or an object that is none. */
struct page {
        const char *name;
        const char *help;
        const char *kind;
        const struct settings_type *types[2];
        const char *scopes[2]; /* where the parameters of types[i] are written */
        const struct counter_def *counters;
};

static const char *const kinds[] = {[MODULE_INPUT] = "input",
                                    [MODULE_PARSER] = "parser",
                                    [MODULE_OUTPUT] = "output",
                                    [MODULE_MODIFIER] = "message modification",
                                    [MODULE_LIBRARY] = "library"};

static const struct page objects[] = {
        {"global", "Settings of the whole daemon.", "object", {&global_settings_type}, {"global()"}, NULL},
        {"queue",
         "How messages wait, in main_queue(), in a ruleset() and in an action().",
         "object",
         {&queue_settings_type},
         {"main_queue(), ruleset(), action()"},
         NULL},
        {"action",
         "What every action takes beside its module's own parameters.",
         "object",
         {&action_settings_type},
         {"action()"},
         NULL},
        {"lookup_table",
         "A table of keys and values, for lookup().",
         "object",
         {&lookup_table_type},
         {"lookup_table()"},
         NULL},
        {"dyn_stats",
         "Counters with names from messages, for dyn_inc().",
         "object",
         {&dyn_stats_type},
         {"dyn_stats()"},
         NULL},
        {"percentile_stats",
         "Windows of observations, for percentile_observe().",
         "object",
         {&percentile_stats_type},
         {"percentile_stats()"},
         NULL},
        {"ratelimit", "A rate limit that inputs share.", "object", {&ratelimit_type}, {"ratelimit()"}, NULL},
        {"timezone", "A zone that messages name.", "object", {&timezone_type}, {"timezone()"}, NULL},
};

static const char *scope_of(const struct module *m) {
        switch (m->kind) {
        case MODULE_INPUT:
                return "input()";
        case MODULE_PARSER:
                return "parser()";
        default:
                return "action()";
        }
}

static bool find_page(struct page *page, const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
                if (strcmp(objects[i].name, name) == 0) {
                        *page = objects[i];
                        return true;
                }
        for (const struct module *const *m = registry_builtin(); *m; m++)
                if (strcmp((*m)->name, name) == 0) {
                        *page = (struct page){.name = (*m)->name,
                                              .help = (*m)->help,
                                              .kind = kinds[(*m)->kind],
                                              .types = {&(*m)->module_settings, &(*m)->settings},
                                              .scopes = {"module()", scope_of(*m)},
                                              .counters = (*m)->counters};
                        return true;
                }
        return false;
}

/* ---- As text ------------------------------------------------------------------ */

/* Words of a sentence, wrapped at 78 columns behind an indent. */
static void print_wrapped(const char *text, int indent) {
        int column = 0;
        while (*text) {
                size_t word = strcspn(text, " ");
                if (column && column + (int)word + 1 > 78 - indent) {
                        putchar('\n');
                        column = 0;
                }
                printf("%*s%.*s", column ? 1 : indent, "", (int)word, text);
                column += (int)word + 1;
                text += word + strspn(text + word, " ");
        }
        putchar('\n');
}

static void print_param(const struct param *p) {
        _owned_(buffer_fini) struct buffer takes = {0};
        param_describe(&takes, p);
        printf("  %s: %.*s", p->name, TEXT_ARGS(buffer_as_text(&takes)));
        if (p->dflt)
                printf("; default %s", p->dflt[0] ? p->dflt : "\"\"");
        if (p->flags & PARAM_IS_REQUIRED)
                printf("; required");
        putchar('\n');
        print_wrapped(p->help ? p->help : "", 6);
        if (p->alias)
                printf("      also: %s\n", p->alias);
        if (p->legacy)
                printf("      legacy: $%s\n", p->legacy);
}

static void print_text(const struct page *page) {
        printf("%s (%s)\n\n", page->name, page->kind);
        print_wrapped(page->help, 0);
        for (size_t i = 0; i < ARRAY_SIZE(page->types); i++) {
                if (!page->types[i] || !page->types[i]->params || !page->types[i]->params[0].type)
                        continue;
                printf("\n%s\n", page->scopes[i]);
                for (const struct param *p = page->types[i]->params; p->type; p++)
                        print_param(p);
        }
        if (page->counters && page->counters[0].name)
                printf("\ncounters\n");
        for (const struct counter_def *c = page->counters; c && c->name; c++)
                printf("  %s: %s\n", c->name, c->help);
}

/* ---- As a reference page --------------------------------------------------------- */

static void print_cell(const char *text) {
        for (; text && *text; text++) {
                if (*text == '|')
                        putchar('\\');
                putchar(*text == '\n' ? ' ' : *text);
        }
}

static void print_row(const struct param *p) {
        _owned_(buffer_fini) struct buffer takes = {0};
        param_describe(&takes, p);
        printf("| `%s` | ", p->name);
        print_cell(buffer_string(&takes));
        printf(" | %s%s%s | ", p->dflt ? "`" : "",
               p->dflt                        ? p->dflt
               : p->flags & PARAM_IS_REQUIRED ? "required"
                                              : "",
               p->dflt ? "`" : "");
        print_cell(p->help);
        printf(" | ");
        print_cell(p->legacy);
        printf(" |\n");
}

static void print_markdown(const struct page *page) {
        printf("# %s\n\n%s. %s\n", page->name, page->kind, page->help);
        printf("\nThis page is made from the module's tables: `penstock help --markdown %s`.\n", page->name);
        for (size_t i = 0; i < ARRAY_SIZE(page->types); i++) {
                if (!page->types[i] || !page->types[i]->params || !page->types[i]->params[0].type)
                        continue;
                printf("\n## %s\n\n| parameter | takes | default | what it does | legacy `$` "
                       "|\n|---|---|---|---|---|\n",
                       page->scopes[i]);
                for (const struct param *p = page->types[i]->params; p->type; p++)
                        print_row(p);
        }
        if (!page->counters || !page->counters[0].name)
                return;
        printf("\n## Counters\n\n| counter | counts |\n|---|---|\n");
        for (const struct counter_def *c = page->counters; c->name; c++)
                printf("| `%s` | %s |\n", c->name, c->help);
}

static void print_list(void) {
        printf("Objects:\n");
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
                printf("  %-10s %s\n", objects[i].name, objects[i].help);
        printf("\nModules:\n");
        for (const struct module *const *m = registry_builtin(); *m; m++)
                printf("  %-10s %s\n", (*m)->name, (*m)->help);
        printf("\n`penstock help NAME` shows every parameter of one.\n");
}

static int complain(const char *name) {
        const char *names[128];
        size_t count = 0;
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
                names[count++] = objects[i].name;
        for (const struct module *const *m = registry_builtin(); *m && count < ARRAY_SIZE(names); m++)
                names[count++] = (*m)->name;
        const char *near = text_closest(text_of(name), names, count);
        fprintf(stderr, "penstock help: there is no module '%s'", name);
        if (near)
                fprintf(stderr, "; did you mean `%s`?", near);
        fputc('\n', stderr);
        return 1;
}

int help_main(int argc, char **argv) {
        bool is_markdown = argc > 1 && strcmp(argv[1], "--markdown") == 0;
        bool is_list = argc > 1 && strcmp(argv[1], "--names") == 0;
        int at = 1 + is_markdown;
        if (is_list) {
                for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
                        printf("%s\n", objects[i].name);
                for (const struct module *const *m = registry_builtin(); *m; m++)
                        printf("%s\n", (*m)->name);
                return 0;
        }
        if (at >= argc || strcmp(argv[at], "--help") == 0) {
                print_list();
                return 0;
        }
        struct page page;
        if (!find_page(&page, argv[at]))
                return complain(argv[at]);
        if (is_markdown)
                print_markdown(&page);
        else
                print_text(&page);
        return 0;
}
