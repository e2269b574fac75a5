#include "ruleset/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/fail.h"
#include "base/needles.h"

enum {
        PATTERN_NEEDLES_MAX = 16,
        NEEDLE_BYTES_MIN = 2, /* a single byte is found too often to be looked for first */
};

struct pattern {
        regex_t regex;
        bool has_regex;
        bool is_text;            /* whoever holds a needle matches */
        char *bytes;             /* of all needles */
        struct search *searches; /* for the needles: every match holds one of them */
        size_t search_count;     /* 0: nothing is known */
        struct needles *any;     /* all of them together; NULL: there are few */
        bool has_machine_code;
        pcre2_code *code;
        pcre2_match_context *context;
};

/* ---- Reading POSIX patterns ------------------------------------------------- */

enum token_kind {
        TOKEN_END,
        TOKEN_BYTE,
        TOKEN_ANY,
        TOKEN_CLASS,
        TOKEN_OPEN,
        TOKEN_CLOSE,
        TOKEN_OR,
        TOKEN_BEGIN, /* ^ */
        TOKEN_LIMIT, /* $ */
        TOKEN_REPEAT,
        TOKEN_STRANGE, /* not the same in both languages */
};

struct token {
        enum token_kind kind;
        struct text text; /* of a class or repetition, as PCRE2 takes it; the byte itself */
};

struct reader {
        struct text source;
        size_t at;
        bool is_extended;
        bool is_at_start; /* of an alternative: where basic patterns take * literally and ^ as an anchor */
};

static int peek(const struct reader *r, size_t ahead) {
        return r->at + ahead < r->source.size ? (unsigned char)r->source.data[r->at + ahead] : -1;
}

static struct token take(struct reader *r, enum token_kind kind, size_t size) {
        struct token t = {.kind = kind, .text = text_slice(r->source, r->at, r->at + size)};
        r->at += size;
        return t;
}

/* [...]: collating elements and equivalence classes are the C library's alone. */
static struct token read_class(struct reader *r) {
        size_t size = 1;
        if (peek(r, size) == '^')
                size++;
        if (peek(r, size) == ']')
                size++;
        for (;; size++) {
                int c = peek(r, size), next = peek(r, size + 1);
                if (c < 0 || (c == '[' && (next == '.' || next == '=')))
                        return (struct token){.kind = TOKEN_STRANGE};
                if (c == ']')
                        return take(r, TOKEN_CLASS, size + 1);
                if (c == '[' && next == ':') {
                        for (size += 2; peek(r, size) >= 0 && peek(r, size) != ':'; size++)
                                ;
                        if (peek(r, size + 1) != ']')
                                return (struct token){.kind = TOKEN_STRANGE};
                        size++;
                }
        }
}

/* {m}, {m,} and {m,n}; r stands on the brace, or on the backslash before it in a basic pattern. */
static struct token read_interval(struct reader *r) {
        size_t open = r->is_extended ? 1 : 2, size = open;
        while (peek(r, size) >= '0' && peek(r, size) <= '9')
                size++;
        bool has_number = size > open;
        if (peek(r, size) == ',')
                for (size++; peek(r, size) >= '0' && peek(r, size) <= '9'; size++)
                        ;
        bool is_closed = r->is_extended ? peek(r, size) == '}' : peek(r, size) == '\\' && peek(r, size + 1) == '}';
        if (!has_number || !is_closed || size > 12)
                return (struct token){.kind = TOKEN_STRANGE};
        struct token t = take(r, TOKEN_REPEAT, size + open);
        t.text = text_slice(t.text, open - 1, t.text.size); /* "{m,n" and what closes it */
        t.text.size -= open;
        return t;
}

static struct token read_escape(struct reader *r) {
        int c = peek(r, 1);
        if (c >= 0 && !r->is_extended) {
                switch (c) {
                case '(':
                        return take(r, TOKEN_OPEN, 2);
                case ')':
                        return take(r, TOKEN_CLOSE, 2);
                case '|':
                        return take(r, TOKEN_OR, 2);
                case '{':
                        return read_interval(r);
                case '+':
                case '?': {
                        struct token t = take(r, TOKEN_REPEAT, 2);
                        t.text = text_slice(t.text, 1, 2);
                        return t;
                }
                }
        }
        /* Only punctuation is made plain by a backslash; \w, \1, \< and their like are GNU's. */
        if (c <= 0 || !strchr(".[]*^$\\/-:;,\"!#%&=@~ +?(){|", c))
                return (struct token){.kind = TOKEN_STRANGE};
        r->at++;
        return take(r, TOKEN_BYTE, 1);
}

static bool ends_alternative(const struct reader *r) {
        return peek(r, 1) < 0 || (peek(r, 1) == '\\' && (peek(r, 2) == ')' || peek(r, 2) == '|'));
}

static struct token read_basic(struct reader *r) {
        switch (peek(r, 0)) {
        case '*':
                return take(r, r->is_at_start ? TOKEN_BYTE : TOKEN_REPEAT, 1);
        case '^':
                return take(r, r->is_at_start ? TOKEN_BEGIN : TOKEN_BYTE, 1);
        case '$':
                return take(r, ends_alternative(r) ? TOKEN_LIMIT : TOKEN_BYTE, 1);
        default:
                return take(r, TOKEN_BYTE, 1);
        }
}

static struct token read_extended(struct reader *r) {
        switch (peek(r, 0)) {
        case '*':
        case '+':
        case '?':
                return take(r, r->is_at_start ? TOKEN_STRANGE : TOKEN_REPEAT, 1);
        case '{':
                return r->is_at_start ? (struct token){.kind = TOKEN_STRANGE} : read_interval(r);
        case '(':
                return take(r, TOKEN_OPEN, 1);
        case ')':
                return take(r, TOKEN_CLOSE, 1);
        case '|':
                return take(r, TOKEN_OR, 1);
        case '^':
                return take(r, TOKEN_BEGIN, 1);
        case '$':
                return take(r, TOKEN_LIMIT, 1);
        default:
                return take(r, TOKEN_BYTE, 1);
        }
}

static struct token read_token(struct reader *r) {
        struct token t;
        switch (peek(r, 0)) {
        case -1:
                return (struct token){.kind = TOKEN_END};
        case 0:
                return (struct token){.kind = TOKEN_STRANGE};
        case '\\':
                t = read_escape(r);
                break;
        case '[':
                t = read_class(r);
                break;
        case '.':
                t = take(r, TOKEN_ANY, 1);
                break;
        default:
                t = r->is_extended ? read_extended(r) : read_basic(r);
                break;
        }
        /* Behind an anchor a repetition means different things to different people. */
        r->is_at_start = t.kind == TOKEN_OPEN || t.kind == TOKEN_OR || t.kind == TOKEN_BEGIN;
        return t;
}

/* ---- Translating --------------------------------------------------------------- */

static void put_byte(struct buffer *out, char c) {
        if (strchr("\\^$.[]|()?*+{}#", c))
                buffer_byte(out, '\\');
        buffer_byte(out, c);
}

/* A backslash is a plain byte in a class of POSIX, and an opening bracket as well. */
static void put_class(struct buffer *out, struct text class) {
        size_t at = 1;
        buffer_byte(out, '[');
        if (class.data[at] == '^') {
                buffer_byte(out, '^');
                at++;
        }
        if (class.data[at] == ']') {
                buffer_text(out, TEXT("\\]"));
                at++;
        }
        for (; at + 1 < class.size; at++) {
                if (class.data[at] == '[' && class.data[at + 1] == ':') {
                        size_t from = at;
                        for (at += 2; class.data[at] != ']'; at++)
                                ;
                        buffer_text(out, text_slice(class, from, at + 1));
                        continue;
                }
                if (class.data[at] == '\\' || class.data[at] == '[')
                        buffer_byte(out, '\\');
                buffer_byte(out, class.data[at]);
        }
        buffer_byte(out, ']');
}

/*
 * What every match must hold: one of a few plain texts. Of each alternative that is the longest run of plain bytes
 * outside of repetitions, or a group whose own alternatives all have such runs: every match of "(a|bc)d{2} port" holds
 * " port", every one of "x|(timeout|refused)+" either "x", "timeout" or "refused".
 */
struct runs {
        struct buffer bytes; /* behind one another */
        size_t size[PATTERN_NEEDLES_MAX];
        size_t count;
        size_t shortest;
};

/* The pattern itself, or the group that is being read. */
struct level {
        struct buffer run; /* of plain bytes, until now */
        struct runs best;  /* of this alternative */
        struct runs all;   /* of the alternatives before it */
        bool is_lost;      /* some alternative has no run, or there are too many */
        bool is_plain;     /* nothing but bytes and | until now */
};

struct finding {
        struct level pattern, group;
        unsigned depth;
        bool has_group; /* the token before closed it: if it is not repeated, its runs count */
        bool is_group;  /* the pattern is a plain group, until now */
        bool is_empty;  /* until now */
};

static void runs_clear(struct runs *r) {
        buffer_clear(&r->bytes);
        r->count = r->shortest = 0;
}

static bool runs_add(struct runs *r, struct text run) {
        if (r->count == PATTERN_NEEDLES_MAX)
                return false;
        r->shortest = r->count ? MIN(r->shortest, run.size) : run.size;
        r->size[r->count++] = run.size;
        buffer_text(&r->bytes, run);
        return true;
}

static bool runs_join(struct runs *r, const struct runs *more) {
        size_t at = 0;
        for (size_t i = 0; i < more->count; at += more->size[i++])
                if (!runs_add(r, text_slice(buffer_as_text(&more->bytes), at, at + more->size[i])))
                        return false;
        return true;
}

static void run_end(struct level *l) {
        if (l->run.size > l->best.shortest) {
                runs_clear(&l->best);
                runs_add(&l->best, buffer_as_text(&l->run));
        }
        buffer_clear(&l->run);
}

static void alternative_end(struct level *l) {
        run_end(l);
        l->is_lost |= !l->best.count || !runs_join(&l->all, &l->best);
        runs_clear(&l->best);
}

static void group_begin(struct level *l) {
        buffer_clear(&l->run);
        runs_clear(&l->best);
        runs_clear(&l->all);
        l->is_lost = false;
        l->is_plain = true;
}

static void level_fini(struct level *l) {
        buffer_fini(&l->run);
        buffer_fini(&l->best.bytes);
        buffer_fini(&l->all.bytes);
}

static void finding_fini(struct finding *f) {
        level_fini(&f->pattern);
        level_fini(&f->group);
}
OWNED_VALUE(struct finding, finding_fini);

static bool finding_failed(const struct finding *f) {
        const struct level *levels[] = {&f->pattern, &f->group};
        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (buffer_failed(&levels[i]->run) || buffer_failed(&levels[i]->best.bytes) ||
                    buffer_failed(&levels[i]->all.bytes))
                        return true;
        return false;
}

/* The group that was closed is needed as it is: what it holds may be better than what there was. */
static void take_group(struct finding *f) {
        if (!f->has_group)
                return;
        f->has_group = false;
        if (!f->group.is_lost && f->group.all.shortest > f->pattern.best.shortest) {
                runs_clear(&f->pattern.best);
                runs_join(&f->pattern.best, &f->group.all);
        }
}

/* One token on the level that it belongs to. */
static void level_note(struct level *l, const struct token *t) {
        if (t->kind == TOKEN_BYTE) {
                buffer_byte(&l->run, t->text.data[0]);
                return;
        }
        if (t->kind == TOKEN_OR) {
                alternative_end(l);
                return;
        }
        l->is_plain = false;
        if (t->kind == TOKEN_REPEAT && l->run.size)
                l->run.size--; /* the byte before it may be missing, or come again */
        run_end(l);
}

static void note(struct finding *f, const struct token *t) {
        if (t->kind == TOKEN_REPEAT)
                f->has_group = false;
        take_group(f);
        f->is_group &= f->depth > 0 || (f->is_empty && t->kind == TOKEN_OPEN);
        f->is_empty = false;
        if (t->kind == TOKEN_OPEN) {
                level_note(f->depth ? &f->group : &f->pattern, t);
                if (f->depth++ == 0)
                        group_begin(&f->group);
        } else if (t->kind == TOKEN_CLOSE && f->depth) {
                f->depth--;
                if (f->depth)
                        return;
                alternative_end(&f->group);
                f->has_group = true;
        } else if (f->depth < 2) {
                level_note(f->depth ? &f->group : &f->pattern, t);
        }
}

/* The end of the pattern. True: whoever matches holds one of `all`; *is_text: and whoever holds one matches. */
static bool conclude(struct finding *f, bool *is_text) {
        f->is_group &= f->has_group && f->group.is_plain;
        take_group(f);
        alternative_end(&f->pattern);
        *is_text = !f->pattern.is_lost && (f->pattern.is_plain || f->is_group);
        return !f->pattern.is_lost;
}

static void put_token(struct buffer *out, const struct token *t) {
        switch (t->kind) {
        case TOKEN_BYTE:
                put_byte(out, t->text.data[0]);
                break;
        case TOKEN_ANY:
                buffer_text(out, TEXT("[^\\x00]"));
                break;
        case TOKEN_CLASS:
                put_class(out, t->text);
                break;
        case TOKEN_OPEN:
                buffer_text(out, TEXT("(?:"));
                break;
        case TOKEN_REPEAT:
                buffer_text(out, t->text);
                if (t->text.data[0] == '{')
                        buffer_byte(out, '}');
                break;
        default:
                buffer_byte(out, t->kind == TOKEN_CLOSE   ? ')'
                                 : t->kind == TOKEN_OR    ? '|'
                                 : t->kind == TOKEN_BEGIN ? '^'
                                                          : '$');
                break;
        }
}

/* False: the pattern may mean something else to PCRE2. */
static bool translate(struct buffer *out, struct finding *finding, struct text source, bool is_extended) {
        struct reader r = {.source = source, .is_extended = is_extended, .is_at_start = true};
        enum token_kind before = TOKEN_BEGIN;
        for (;;) {
                struct token t = read_token(&r);
                bool repeats_nothing =
                        t.kind == TOKEN_REPEAT && (before == TOKEN_REPEAT || before == TOKEN_BEGIN ||
                                                   before == TOKEN_LIMIT || before == TOKEN_OR || before == TOKEN_OPEN);
                if (t.kind == TOKEN_STRANGE || repeats_nothing)
                        return false;
                if (t.kind == TOKEN_END)
                        break;
                put_token(out, &t);
                note(finding, &t);
                before = t.kind;
        }
        return !buffer_failed(out) && !finding_failed(finding);
}

/* ---- Building -------------------------------------------------------------------- */

static int build_pcre2(struct pattern *p, struct text source, uint32_t options, struct buffer *why) {
        int error;
        PCRE2_SIZE where;
        p->code = pcre2_compile((PCRE2_SPTR)source.data, source.size, options, &error, &where, NULL);
        if (!p->code) {
                PCRE2_UCHAR text[128];
                pcre2_get_error_message(error, text, sizeof text);
                if (why)
                        buffer_format(why, "%s", (const char *)text);
                return -EINVAL;
        }
        p->context = pcre2_match_context_create(NULL);
        if (!p->context)
                return fail(-ENOMEM);
        pcre2_set_match_limit(p->context, PATTERN_MATCH_LIMIT);
        /* Without compiled code the interpreter answers, slower. */
        p->has_machine_code = pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0;
        return 0;
}

static int keep_needles(struct pattern *p, const struct runs *runs, bool ignores_case) {
        p->bytes = text_copy(buffer_as_text(&runs->bytes));
        p->searches = calloc(runs->count, sizeof *p->searches);
        if (!p->bytes || !p->searches)
                return fail(-ENOMEM);
        size_t at = 0;
        for (size_t i = 0; i < runs->count; at += runs->size[i++])
                search_init(&p->searches[i], (struct text){p->bytes + at, runs->size[i]}, ignores_case);
        p->search_count = runs->count;
        int r = needles_new_any(&p->any, p->searches, p->search_count);
        return r ? pass(r) : 0;
}

static int build_fast(struct pattern *p, struct text source, unsigned how) {
        _owned_(buffer_fini) struct buffer out = {0};
        _owned_(finding_fini) struct finding finding = {.pattern.is_plain = true, .is_group = true, .is_empty = true};
        bool ignores_case = how & PATTERN_NOCASE;
        if (!translate(&out, &finding, source, how & PATTERN_EXTENDED))
                return 0;
        bool is_needed = conclude(&finding, &p->is_text);
        const struct runs *all = &finding.pattern.all;
        if (is_needed && (p->is_text || all->shortest >= NEEDLE_BYTES_MIN)) {
                int r = keep_needles(p, all, ignores_case);
                if (r)
                        return pass(r);
        }
        if (p->is_text)
                return 0;
        uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE | (ignores_case ? PCRE2_CASELESS : 0u);
        int r = build_pcre2(p, buffer_as_text(&out), options, NULL);
        return r == -ENOMEM ? pass(r) : 0;
}

static int build_regex(struct pattern *p, struct text source, unsigned how, struct buffer *why) {
        _owned_(memory_free) char *string = text_copy(source);
        if (!string)
                return fail(-ENOMEM);
        int flags = (how & PATTERN_EXTENDED ? REG_EXTENDED : 0) | (how & PATTERN_NOCASE ? REG_ICASE : 0);
        int error = regcomp(&p->regex, string, flags);
        p->has_regex = error == 0;
        if (error == REG_ESPACE)
                return fail(-ENOMEM);
        if (error) {
                char text[128];
                regerror(error, &p->regex, text, sizeof text);
                if (why)
                        buffer_format(why, "%s", text);
                return -EINVAL;
        }
        return 0;
}

int pattern_new(struct pattern **ret, struct text source, unsigned how, struct buffer *why) {
        _owned_(pattern_free) struct pattern *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        int r = how & PATTERN_PERL ? build_pcre2(p, source, how & PATTERN_NOCASE ? PCRE2_CASELESS : 0u, why)
                                   : build_regex(p, source, how, why);
        if (r)
                return pass(r);
        r = how & PATTERN_PERL ? 0 : build_fast(p, source, how);
        if (r)
                return pass(r);
        *ret = TAKE(p);
        return 0;
}

struct pattern *pattern_free(struct pattern *p) {
        if (!p)
                return NULL;
        if (p->has_regex)
                regfree(&p->regex);
        pcre2_code_free(p->code);
        pcre2_match_context_free(p->context);
        needles_free(p->any);
        free(p->bytes);
        free(p->searches);
        free(p);
        return NULL;
}

/* ---- Matching ---------------------------------------------------------------------- */

void pattern_room_fini(struct pattern_room *room) {
        pcre2_match_data_free(room->match);
        room->match = NULL;
}

static bool asks_libc(const struct pattern *p, struct text t) {
        regmatch_t bounds = {.rm_so = 0, .rm_eo = (regoff_t)t.size};
        return p->has_regex && regexec(&p->regex, t.data ? t.data : "", 1, &bounds, REG_STARTEND) == 0;
}

static bool holds_needle(const struct pattern *p, struct text t) {
        if (p->any)
                return needles_find(p->any, t);
        for (size_t i = 0; i < p->search_count; i++)
                if (search_finds(&p->searches[i], t))
                        return true;
        return p->search_count == 0;
}

const struct search *pattern_needles(const struct pattern *p, size_t *count) {
        *count = p->search_count;
        return p->searches;
}

bool pattern_matches(const struct pattern *p, struct pattern_room *room, struct text t) {
        return holds_needle(p, t) && pattern_confirms(p, room, t);
}

bool pattern_confirms(const struct pattern *p, struct pattern_room *room, struct text t) {
        if (p->is_text)
                return true;
        if (!p->code)
                return asks_libc(p, t);
        if (!room->match)
                room->match = pcre2_match_data_create(1, NULL);
        if (!room->match)
                return asks_libc(p, t);
        PCRE2_SPTR subject = (PCRE2_SPTR)(t.data ? t.data : "");
        int r = p->has_machine_code ? pcre2_jit_match(p->code, subject, t.size, 0, 0, room->match, p->context)
                                    : pcre2_match(p->code, subject, t.size, 0, 0, room->match, p->context);
        if (r >= 0)
                return true;
        return r != PCRE2_ERROR_NOMATCH && asks_libc(p, t);
}

bool pattern_extract(const struct pattern *p, struct text t, regmatch_t *matches, size_t count) {
        assert(p->has_regex && count > 0);
        if (!holds_needle(p, t))
                return false;
        matches[0] = (regmatch_t){.rm_so = 0, .rm_eo = (regoff_t)t.size};
        return regexec(&p->regex, t.data ? t.data : "", count, matches, REG_STARTEND) == 0;
}

enum pattern_engine pattern_engine(const struct pattern *p) {
        return p->is_text ? PATTERN_BY_SEARCH : p->code ? PATTERN_BY_PCRE2 : PATTERN_BY_LIBC;
}
