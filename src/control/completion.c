#include "control/completion.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "control/commands.h"

/* ---- bash ------------------------------------------------------------------------ */

static void print_words_bash(const struct command *c) {
        for (const struct argument *a = c->options; a && a->name; a++)
                printf(" --%s", a->name);
        if (!c->options)
                printf(" --help");
        for (const struct subcommand *s = c->subcommands; s && s->name; s++)
                printf(" %s", s->name);
}

static void print_bash(void) {
        printf("# bash completion of penstock; made by `penstock completion bash`\n"
               "_penstock() {\n"
               "    local current=${COMP_WORDS[COMP_CWORD]} words=\"\"\n"
               "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
               "        words=\"--help");
        for (const struct command *c = commands; c->name; c++)
                printf(" %s", c->name);
        printf("\"\n"
               "    else\n"
               "        case ${COMP_WORDS[1]} in\n");
        for (const struct command *c = commands; c->name; c++) {
                printf("        %s) words=\"", c->name);
                print_words_bash(c);
                printf("\" ;;\n");
        }
        printf("        esac\n"
               "    fi\n"
               "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
               "}\n"
               "complete -o default -F _penstock penstock\n");
}

/* ---- zsh ------------------------------------------------------------------------- */

/* Inside single quotes, where a colon or a bracket would end a part of a description. */
static void print_escaped(const char *text) {
        for (; *text; text++) {
                if (*text == '\'') {
                        printf("'\\''");
                        continue;
                }
                if (strchr(":[]\\", *text))
                        putchar('\\');
                putchar(*text);
        }
}

static void print_arguments_zsh(const struct command *c) {
        printf("            _arguments");
        for (const struct argument *a = c->options; a && a->name; a++) {
                printf(" \\\n                '--%s%s[", a->name, a->takes ? "=" : "");
                print_escaped(a->help);
                printf("]%s%s'", a->takes ? ":" : "", a->takes ? a->takes : "");
        }
        if (c->subcommands) {
                printf(" \\\n                '1:what:((");
                for (const struct subcommand *s = c->subcommands; s->name; s++) {
                        printf("%s%s\\:\"", s == c->subcommands ? "" : " ", s->name);
                        print_escaped(s->help);
                        putchar('"');
                }
                printf("))'");
        }
        printf(" \\\n                '*:file:_files'");
        putchar('\n');
}

static void print_zsh(void) {
        printf("#compdef penstock\n"
               "# zsh completion of penstock; made by `penstock completion zsh`\n"
               "_penstock() {\n"
               "    local -a known\n"
               "    known=(\n");
        for (const struct command *c = commands; c->name; c++) {
                printf("        '%s:", c->name);
                print_escaped(c->help);
                printf("'\n");
        }
        printf("    )\n"
               "    if (( CURRENT == 2 )); then\n"
               "        _describe 'command' known\n"
               "        return\n"
               "    fi\n"
               "    local word=${words[2]}\n"
               "    shift words\n"
               "    (( CURRENT-- ))\n"
               "    case $word in\n");
        for (const struct command *c = commands; c->name; c++) {
                printf("        %s)\n", c->name);
                print_arguments_zsh(c);
                printf("            ;;\n");
        }
        printf("    esac\n"
               "}\n"
               "_penstock \"$@\"\n");
}

/* ---- fish ------------------------------------------------------------------------ */

static void print_quoted_fish(const char *text) {
        putchar('\'');
        for (; *text; text++) {
                if (*text == '\'' || *text == '\\')
                        putchar('\\');
                putchar(*text);
        }
        putchar('\'');
}

static void print_command_fish(const struct command *c) {
        printf("complete -c penstock -n __fish_use_subcommand %s -a %s -d ", c->takes_files ? "" : "-f", c->name);
        print_quoted_fish(c->help);
        putchar('\n');
        for (const struct argument *a = c->options; a && a->name; a++) {
                printf("complete -c penstock -n '__fish_seen_subcommand_from %s' %s -l %s", c->name,
                       a->takes ? "-r" : "", a->name);
                if (a->letter)
                        printf(" -s %c", a->letter);
                printf(" -d ");
                print_quoted_fish(a->help);
                putchar('\n');
        }
        for (const struct subcommand *s = c->subcommands; s && s->name; s++) {
                printf("complete -c penstock -n '__fish_seen_subcommand_from %s' -f -a %s -d ", c->name, s->name);
                print_quoted_fish(s->help);
                putchar('\n');
        }
}

static void print_fish(void) {
        printf("# fish completion of penstock; made by `penstock completion fish`\n");
        for (const struct command *c = commands; c->name; c++)
                print_command_fish(c);
}

/* ---- The word --------------------------------------------------------------------- */

int completion_main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*print)(void);
        } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
        for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(shells); i++)
                if (strcmp(shells[i].name, argv[1]) == 0) {
                        shells[i].print();
                        return 0;
                }
        bool is_help = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        fprintf(is_help ? stdout : stderr, "usage: penstock completion bash|zsh|fish\n\n"
                                           "Prints what completes the arguments of penstock in that shell:\n"
                                           "  penstock completion bash > /etc/bash_completion.d/penstock\n"
                                           "  penstock completion zsh  > \"${fpath[1]}/_penstock\"\n"
                                           "  penstock completion fish > ~/.config/fish/completions/penstock.fish\n");
        return is_help ? 0 : ARGUMENTS_WRONG;
}
