#include "control/arguments.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { OPTIONS_MAX = 64, COLUMN = 26 };

static void show(const struct argument *table, const char *usage, const char *about) {
        printf("usage: %s\n\n%s\n\n", usage, about);
        for (const struct argument *a = table; a->name; a++) {
                char left[64];
                snprintf(left, sizeof left, "%c%c%s --%s%s%s", a->letter ? '-' : ' ', a->letter ? a->letter : ' ',
                         a->letter ? "," : " ", a->name, a->takes ? " " : "", a->takes ? a->takes : "");
                printf("  %-*s %s\n", COLUMN, left, a->help);
        }
}

static const struct argument *find(const struct argument *table, struct text name) {
        for (const struct argument *a = table; a->name; a++)
                if (text_equal(name, text_of(a->name)) || (name.size == 1 && a->letter == name.data[0]))
                        return a;
        return NULL;
}

static int complain(const struct argument *table, const char *word, struct text name) {
        const char *names[OPTIONS_MAX];
        size_t count = 0;
        for (const struct argument *a = table; a->name && count < OPTIONS_MAX; a++)
                names[count++] = a->name;
        const char *near = text_closest(name, names, count);
        fprintf(stderr, "penstock: there is no option '%s'", word);
        if (near)
                fprintf(stderr, "; did you mean `--%s`?", near);
        fputc('\n', stderr);
        return ARGUMENTS_WRONG;
}

static int set(const struct argument *a, void *settings, const char *value) {
        void *field = (char *)settings + a->offset;
        if (!a->takes)
                *(bool *)field = true;
        else if (!a->is_number)
                *(const char **)field = value;
        else if (text_to_int(text_of(value), field) || *(int64_t *)field < 0) {
                fprintf(stderr, "penstock: --%s takes a number, not '%s'\n", a->name, value);
                return ARGUMENTS_WRONG;
        }
        return 0;
}

/* One option, at argv[*at], and its value, which may be the next. */
static int read_option(const struct argument *table, void *settings, int argc, char **argv, int *at) {
        const char *word = argv[*at];
        bool is_long = word[1] == '-';
        struct text name = text_of(word + 1 + is_long), value = TEXT_NONE;
        const char *equals = is_long ? memchr(name.data, '=', name.size) : NULL;
        if (equals) {
                value = text_of(equals + 1);
                name.size = (size_t)(equals - name.data);
        }
        const struct argument *a = find(table, name);
        if (!a || (is_long && name.size == 1) || (!is_long && name.size != 1))
                return complain(table, word, name);
        if (strcmp(a->name, "help") == 0)
                return ARGUMENTS_SHOWN;
        if (a->takes && !value.data) {
                if (*at + 1 >= argc) {
                        fprintf(stderr, "penstock: --%s wants a value: %s\n", a->name, a->takes);
                        return ARGUMENTS_WRONG;
                }
                value = text_of(argv[++*at]);
        }
        return set(a, settings, value.data);
}

int arguments_read(const struct argument *table, void *settings, int argc, char **argv, int *count, const char *usage,
                   const char *about) {
        bool are_over = false;
        *count = 0;
        for (int i = 1; i < argc; i++) {
                if (!are_over && strcmp(argv[i], "--") == 0) {
                        are_over = true;
                        continue;
                }
                if (are_over || argv[i][0] != '-' || argv[i][1] == '\0') {
                        argv[++*count] = argv[i];
                        continue;
                }
                int r = read_option(table, settings, argc, argv, &i);
                if (r == ARGUMENTS_SHOWN)
                        show(table, usage, about);
                if (r)
                        return r;
        }
        return 0;
}
