#include "language/source.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fail.h"

/* Where the joined line goes on behind a backslash at `at`, or 0 when none ends a line there. */
static size_t continuation(struct text t, size_t at) {
        size_t next = at + 1;
        if (next < t.size && t.data[next] == '\r')
                next++;
        if (next >= t.size || t.data[next] != '\n')
                return 0;
        next++;
        while (next < t.size && (t.data[next] == ' ' || t.data[next] == '\t'))
                next++;
        return next;
}

static size_t count_lines(struct text t) {
        size_t count = 1;
        for (size_t at = 0; at < t.size; count++) {
                const char *lf = memchr(t.data + at, '\n', t.size - at);
                if (!lf)
                        break;
                at = (size_t)(lf - t.data) + 1;
        }
        return count;
}

struct source *source_new(struct arena *arena, const char *name, struct text original) {
        struct source *s = arena_zalloc(arena, sizeof *s);
        size_t line_count = count_lines(original);
        struct source_line *lines = arena_alloc(arena, line_count * sizeof *lines);
        char *joined = arena_alloc(arena, original.size + 1);
        if (!s || !lines || !joined || !(s->name = arena_string(arena, text_of(name))))
                return NULL;
        s->lines = lines;
        size_t size = 0, from = 0;
        uint32_t line = 1;
        lines[s->line_count++] = (struct source_line){.at = 0, .line = 1, .column = 1};
        while (from < original.size) {
                /* Plain stretches, up to the next backslash or line end, are copied whole. */
                size_t plain = from;
                while (plain < original.size && original.data[plain] != '\n' && original.data[plain] != '\\')
                        plain++;
                memcpy(joined + size, original.data + from, plain - from);
                size += plain - from;
                from = plain;
                if (from == original.size)
                        break;
                size_t next = original.data[from] == '\\' ? continuation(original, from) : 0;
                uint32_t column = 1;
                if (next) {
                        const char *lf = memchr(original.data + from, '\n', next - from);
                        column = (uint32_t)(next - (size_t)(lf - original.data));
                        from = next;
                } else {
                        joined[size++] = original.data[from++];
                        if (joined[size - 1] != '\n')
                                continue;
                }
                lines[s->line_count++] = (struct source_line){.at = (uint32_t)size, .line = ++line, .column = column};
        }
        joined[size] = '\0';
        s->text = (struct text){joined, size};
        assert(s->line_count <= line_count);
        return s;
}

struct source *source_new_whole(struct arena *arena, const char *name, struct text original) {
        struct source *s = arena_zalloc(arena, sizeof *s);
        struct source_line *line = arena_alloc(arena, sizeof *line);
        if (!s || !line || !(s->name = arena_string(arena, text_of(name))))
                return NULL;
        *line = (struct source_line){.at = 0, .line = 1, .column = 1};
        s->lines = line;
        s->line_count = 1;
        s->text = original;
        return s;
}

bool source_is_yaml(const char *name) {
        return text_ends(text_of(name), TEXT(".yaml")) || text_ends(text_of(name), TEXT(".yml"));
}

struct place source_place(const struct source *s, size_t at) {
        size_t low = 0, high = s->line_count;
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (s->lines[middle].at <= at)
                        low = middle;
                else
                        high = middle;
        }
        const struct source_line *found = &s->lines[low];
        return (struct place){
                .file = s->name, .line = found->line, .column = (uint32_t)(at - found->at) + found->column};
}

static void file_close_owned(FILE **file) {
        if (*file)
                fclose(*file);
}

int source_read(struct arena *arena, const char *path, struct text *ret) {
        _owned_(file_close) FILE *file = fopen(path, "re");
        if (!file)
                return fail(-errno);
        _owned_(buffer_fini) struct buffer content = {0};
        for (;;) {
                if (!buffer_reserve(&content, 1 << 16))
                        return fail(-ENOMEM);
                size_t room = content.capacity - content.size;
                size_t taken = fread(content.data + content.size, 1, room, file);
                content.size += taken;
                if (content.size > SOURCE_BYTES_MAX)
                        return fail(-EFBIG);
                if (taken == room)
                        continue;
                if (ferror(file))
                        return fail(errno ? -errno : -EIO);
                break;
        }
        /* The byte order mark that some editors write says nothing of UTF-8, and cannot be seen. */
        struct text text = buffer_as_text(&content);
        if (text_starts(text, TEXT("\xEF\xBB\xBF")))
                text = text_slice(text, 3, text.size);
        *ret = arena_text(arena, text);
        return ret->data ? 0 : fail(-ENOMEM);
}

const char *source_identity(struct arena *arena, const char *path) {
        struct stat st;
        if (stat(path, &st) != 0)
                return NULL;
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_format(&name, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        return arena_string(arena, buffer_as_text(&name));
}

static bool is_directory(const char *path) {
        struct stat st;
        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int keep_matches(struct arena *arena, const glob_t *found, struct strings *ret) {
        char **items = arena_alloc(arena, (found->gl_pathc + 1) * sizeof *items);
        if (!items)
                return fail(-ENOMEM);
        size_t count = 0;
        for (size_t i = 0; i < found->gl_pathc && count < INCLUDE_FILES_MAX; i++) {
                if (is_directory(found->gl_pathv[i]))
                        continue;
                items[count] = arena_string(arena, text_of(found->gl_pathv[i]));
                if (!items[count++])
                        return fail(-ENOMEM);
        }
        *ret = (struct strings){.items = items, .count = count};
        return 0;
}

int source_match(struct arena *arena, const char *pattern, struct strings *ret) {
        _owned_(buffer_fini) struct buffer path = {0};
        buffer_text(&path, text_of(pattern));
        if (is_directory(pattern))
                buffer_text(&path, text_ends(text_of(pattern), TEXT("/")) ? TEXT("*") : TEXT("/*"));
        const char *name = buffer_string(&path);
        if (!name)
                return fail(-ENOMEM);
        bool is_pattern = strpbrk(name, "*?[") != NULL;
        glob_t found = {0};
        int r = glob(name, is_pattern ? GLOB_BRACE : GLOB_NOCHECK, NULL, &found);
        if (r == 0)
                r = keep_matches(arena, &found, ret);
        else if (r == GLOB_NOMATCH) {
                *ret = (struct strings){0};
                r = 0;
        } else
                r = fail(r == GLOB_NOSPACE ? -ENOMEM : -EACCES);
        globfree(&found);
        return r;
}

struct text source_environment(const struct config *config, struct text name) {
        /* What global(environment=...) sets holds from there on, before any process has it. */
        for (size_t i = config->global->environment.count; i > 0; i--) {
                struct text pair = text_of(config->global->environment.items[i - 1]);
                if (text_starts(pair, name) && pair.size > name.size && pair.data[name.size] == '=')
                        return text_slice(pair, name.size + 1, pair.size);
        }
        _owned_(memory_free) char *string = text_copy(name);
        const char *value = string ? getenv(string) : NULL;
        return text_of(value ? value : "");
}
