/*
 * penstock queue: what lies in queues on disk: shown, checked, brought elsewhere,
 * repaired. What only shows reads a store that the daemon has open without its
 * noticing; what changes a store needs it alone, and says how to get there.
 */
#include "control/queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "control/queue_inside.h"
#include "message/stamp_text.h"

#define AT(field) .offset = offsetof(struct queue_arguments, field)
const struct argument queue_options[] = {
        {.name = "all", .letter = 'a', AT(wants_all), .help = "dump, export: delivered ones that are still there, too"},
        {.name = "from", .takes = "LSN", .is_number = true, AT(from_lsn), .help = "dump, export: begin with this one"},
        {.name = "limit", .letter = 'n', .takes = "NUMBER", .is_number = true, AT(limit), .help = "end after so many"},
        {.name = "into", .takes = "STORE", AT(into), .help = "replay, import: the store that takes them"},
        {.name = "to",
         .takes = "TARGET",
         AT(to),
         .help = "replay: tcp:HOST:PORT, udp:HOST:PORT or unix:PATH takes them"},
        {.name = "framing",
         .takes = "HOW",
         AT(framing),
         .help = "export, replay: `line` (as it is without) or `octet`"},
        {.name = "apply", AT(applies), .help = "repair, purge: do it; without, the plan is shown"},
        {.name = "key-file", .takes = "FILE", AT(key_file), .help = "the key of an encrypted store"},
        {.name = "key-program", .takes = "PROGRAM", AT(key_program), .help = "a program that prints it"},
        {.name = "into-key-file", .takes = "FILE", AT(into_key_file), .help = "the key of the store that takes them"},
        {.name = "into-key-program", .takes = "PROGRAM", AT(into_key_program), .help = "a program that prints it"},
        {.name = "json", AT(is_json), .help = "as JSON, a line each"},
        ARGUMENT_HELP,
};
#undef AT

const struct subcommand queue_subcommands[] = {
        {"ls", "[SPOOL]", "all stores of a spool directory, and what waits in each"},
        {"status", "STORE", "how one store is"},
        {"verify", "STORE", "check every checksum, number and hash; ends with 1 when something is damaged"},
        {"dump", "STORE", "the messages that wait, as JSON with all their fields and variables"},
        {"export", "STORE", "the messages that wait as they were received, one a line"},
        {"replay", "STORE", "give them to another store or send them, and take them out of this one"},
        {"repair", "STORE", "save what damage left; shows its plan unless --apply"},
        {"purge", "STORE", "throw away all that waits, and what was set aside; shows its plan unless --apply"},
        {"import", "PREFIX.qi", "put what waits in a disk queue of rsyslogd's into a store"},
        {},
};

static const struct {
        const char *name;
        int (*run)(const struct queue_arguments *a);
        bool needs_word;
} runners[] = {
        {"ls", spool_ls, false},        {"status", spool_status, true}, {"verify", spool_verify, true},
        {"dump", spool_dump, true},     {"export", spool_export, true}, {"replay", spool_replay, true},
        {"repair", spool_repair, true}, {"purge", spool_purge, true},   {"import", spool_import, true},
};

/* ---- What the words share -------------------------------------------------------- */

int spool_complain(const char *format, ...) {
        va_list args;
        fputs("penstock queue: ", stderr);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
        return QUEUE_FAILED;
}

static void say(struct reporter *reporter _unused_, enum severity severity, int code _unused_, const char *line) {
        if (severity <= SEVERITY_WARNING)
                spool_complain("%s", line);
}

struct reporter *spool_reporter(void) {
        static struct reporter reporter = {.emit = say};
        return &reporter;
}

void spool_print(struct writer *w) {
        buffer_byte(&w->out, '\n');
        if (!buffer_failed(&w->out))
                fwrite(w->out.data, 1, w->out.size, stdout);
        buffer_clear(&w->out);
        w->needs_comma = false;
}

void spool_write_time(struct writer *w, const char *name, int64_t time_us) {
        char text[STAMP_TEXT_MAX];
        struct stamp here = stamp_of_wall(time_us), utc = stamp_in_offset(&here, 0);
        utc.is_utc = 1;
        writer_text(w, name, (struct text){text, (size_t)(stamp_rfc3339(text, &utc) - text)});
}

int spool_framing(const struct queue_arguments *a, bool *is_octet) {
        *is_octet = a->framing && strcmp(a->framing, "octet") == 0;
        if (!a->framing || *is_octet || strcmp(a->framing, "line") == 0)
                return 0;
        spool_complain("--framing is `line` or `octet`, not '%s'", a->framing);
        return QUEUE_WRONG;
}

static int complain_of(const char *directory, int error) {
        switch (error) {
        case -ENOENT:
                return spool_complain("%s: there is no such directory", directory);
        case -ENOTDIR:
                return spool_complain("%s: a store is a directory, as NAME.store in the spool", directory);
        case -EACCES:
        case -EPERM:
                return spool_complain("%s: you may not read it; be the user that penstockd runs as, or root",
                                      directory);
        case -EKEYREJECTED:
                return spool_complain("%s: it is encrypted, and this is not its key: give --key-file or --key-program",
                                      directory);
        default:
                return spool_complain("%s: %s", directory, fail_text(error));
        }
}

int spool_look(struct inspect **ret, const struct queue_arguments *a) {
        struct inspect_options options = {.directory = a->word,
                                          .key_file = a->key_file,
                                          .key_program = a->key_program,
                                          .reporter = spool_reporter()};
        int r = inspect_open(ret, &options);
        if (r == INSPECT_IS_NONE)
                return spool_complain("%s: no store is there; `penstock queue ls %s` lists those of a spool", a->word,
                                      a->word);
        return r ? complain_of(a->word, r) : 0;
}

/* ---- A store to change -------------------------------------------------------------- */

struct manners {
        bool is_chained, is_encrypted;
        uint8_t codec;
};

static int see_manners(void *owner, const struct inspect_frame *f) {
        struct manners *m = owner;
        m->is_chained = f->frame->flags & FRAME_IS_CHAINED;
        m->is_encrypted = f->frame->cipher != FRAME_CLEAR;
        m->codec = f->frame->codec ? f->frame->codec : m->codec;
        return 0;
}

/* What is written to a store is written as what is there: encrypted, chained, compressed. */
static int learn_manners(struct inspect *in, struct store_options *options, const char *directory) {
        struct manners m = {0};
        const struct inspect_visitor visitor = {.frame = see_manners, .owner = &m};
        int r = inspect_walk(in, &visitor);
        if (r < 0)
                return complain_of(directory, r);
        if (m.is_encrypted && !options->key_file && !options->key_program)
                return spool_complain("%s is encrypted: its key is needed (see --help)", directory);
        options->is_chained = m.is_chained;
        options->compression = (enum store_compression)m.codec;
        options->segment_bytes = inspect_facts(in)->control.segment_bytes;
        return 0;
}

static int complain_of_taking(const char *directory, int error, int64_t holder) {
        if (error != -EBUSY)
                return complain_of(directory, error);
        char who[64] = "another process";
        if (holder)
                snprintf(who, sizeof who, "process %lld", (long long)holder);
        return spool_complain("%s: %s has it open. Stop penstockd, or take the queue out of its configuration and "
                              "restart it, and try again; ls, status, verify, dump and export work all the same",
                              directory, who);
}

int spool_take(struct store **ret, const char *directory, const char *key_file, const char *key_program, bool makes) {
        struct store_options options = {
                .directory = directory, .key_file = key_file, .key_program = key_program, .is_synced = true};
        struct inspect_options looks = {.directory = directory};
        _owned_(inspect_close) struct inspect *in = NULL;
        int64_t holder = 0;
        char name[SEGMENT_NAME_BYTES] = "replayed";
        int r = inspect_open(&in, &looks);
        if (r == INSPECT_IS_NONE && !makes)
                return spool_complain("%s: no store is there", directory);
        if (r < 0 && (r != -ENOENT || !makes))
                return complain_of(directory, r);
        if (r == 0) {
                const struct inspect_facts *facts = inspect_facts(in);
                if (facts->is_held)
                        return complain_of_taking(directory, -EBUSY, facts->holder);
                r = learn_manners(in, &options, directory);
                if (r)
                        return r;
                if (*facts->name)
                        snprintf(name, sizeof name, "%s", facts->name);
                holder = facts->holder;
        }
        options.name = name;
        r = store_open(ret, &options, spool_reporter());
        return r ? complain_of_taking(directory, r, holder) : 0;
}

/* ---- Words ------------------------------------------------------------------------------ */

static char *help_text(void) {
        struct buffer text = {0};
        for (const struct subcommand *s = queue_subcommands; s->name; s++)
                buffer_format(&text, "  %-7s %-10s %s\n", s->name, s->takes, s->help);
        buffer_text(&text, TEXT("\nA store is a directory NAME.store, or NAME.dead with dead letters, in the spool "
                                "(queue.spoolDirectory,\nglobal(workDirectory)). SPOOL is the current directory "
                                "unless given. What shows reads a store in use."));
        buffer_byte(&text, '\0');
        return text.data;
}

static int complain_of_word(const char *word) {
        if (!word)
                spool_complain("what? one of: ls status verify dump export replay repair purge import");
        else {
                const char *names[ARRAY_SIZE(runners)];
                for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
                        names[i] = runners[i].name;
                const char *near = text_closest(text_of(word), names, ARRAY_SIZE(runners));
                spool_complain("'%s' is nothing it can do%s%s%s", word, near ? "; did you mean `" : "",
                               near ? near : "", near ? "`?" : "");
        }
        return QUEUE_WRONG;
}

int queue_main(int argc, char **argv) {
        struct queue_arguments a = {0};
        int count;
        _owned_(memory_free) char *about = help_text();
        int r = arguments_read(queue_options, &a, argc, argv, &count, "penstock queue WHAT [STORE] [OPTIONS]",
                               about ? about : "");
        if (r)
                return r == ARGUMENTS_SHOWN ? 0 : r;
        size_t i = 0;
        while (count && i < ARRAY_SIZE(runners) && strcmp(runners[i].name, argv[1]) != 0)
                i++;
        if (!count || i == ARRAY_SIZE(runners))
                return complain_of_word(count ? argv[1] : NULL);
        if (count > 2 || (count < 2 && runners[i].needs_word)) {
                spool_complain("%s takes one %s", argv[1], queue_subcommands[i].takes);
                return QUEUE_WRONG;
        }
        a.word = count == 2 ? argv[2] : ".";
        r = runners[i].run(&a);
        if (fflush(stdout) && r == 0)
                return spool_complain("writing: %s", fail_text(-errno));
        return r;
}
