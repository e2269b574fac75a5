#!/usr/bin/env python3
"""Promise: the store's unit tests catch a store that loses messages. Each mutant breaks one thing that durability needs.

    mutants.py [--only PATTERN] [--by TEST]

Objects are built once; a mutant costs one file, a link, and the tests until one fails. Each test that looks for
something by brute force is shown a mutant of its own, too, which it has to catch without the others' help.
"""
import argparse
import glob
import os
import re
import resource
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCE = os.path.join(ROOT, "src")
COMPILE = [os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-w", "-pthread", "-fno-strict-aliasing",
           "-I" + SOURCE]
TESTS = ["store_fault_test", "store_crash_test", "store_rot_test", "store_codec_test", "segment_test", "store_test",
         "store_campaign_test"]
WRAP = ["-Wl,--wrap=malloc", "-Wl,--wrap=calloc", "-Wl,--wrap=realloc"]
ARGUMENTS = {"store_campaign_test": ["--states", "50000"]}
TEST_CPU_SECONDS = 60
TEST_SECONDS = 600  # asleep, or on a machine that others keep busy

# (what is broken, file, what stands there, what the mutant has)
MUTANTS = [
    ("no sync before publishing", "store_flush.c", "int r = is_synced ? s->disk->ops->sync_data(s->disk, s->writing_fd) : 0;", "int r = 0;"),
    ("a segment begins before the last is synced", "store_flush.c", "if (s->writing && s->written_lsn > s->durable_lsn) {", "if (0) {"),
    ("a file is trusted after a failed sync", "store_flush.c", "if (s->writing && !is_harmless(error))", "if (0 && is_harmless(error))"),
    ("lack of space counts as a bad file, a bad file as lack of space", "store_flush.c", "error == -ENOSPC || error == -EDQUOT || error == -ENOMEM", "error == -EIO"),
    ("a removed directory goes unnoticed", "store_flush.c", "return info.links ? 0 : fail(-ENOENT);", "return 0;"),
    ("no echo of what is durable", "store_flush.c", "frame_seal(c->data + at, c->segment->salt, s->synced_lsn);", "frame_seal(c->data + at, c->segment->salt, 0);"),
    ("an echo of what is not durable", "store_flush.c", "frame_seal(c->data + at, c->segment->salt, s->synced_lsn);", "frame_seal(c->data + at, c->segment->salt, f.lsn - 1);"),
    ("publishing what is only staged", "store_flush.c", "publish(s, s->written_lsn, is_synced);", "publish(s, s->next_lsn - 1, is_synced);"),
    ("moved frames are read from their old place", "store_flush.c", "store_frame_moved(s, f.lsn, (struct place){c->segment, c->offset + at});", ""),
    ("a new file is not synced", "store_keep.c", "                r = s->disk->ops->sync(s->disk, fd);\n        s->disk->ops->close(s->disk, fd);\n        if (r)\n                s->disk->ops->unlink", "                r = 0;\n        s->disk->ops->close(s->disk, fd);\n        if (r)\n                s->disk->ops->unlink"),
    ("a file has its name before it is whole", "store_keep.c", "        segment_name(name, sequence, \"new\");\n        segment_name(final, sequence, \"segment\");\n        int r = fill_new", "        segment_name(name, sequence, \"segment\");\n        segment_name(final, sequence, \"segment\");\n        int r = fill_new"),
    ("a new name is not synced", "store_keep.c", "        r = s->disk->ops->sync(s->disk, s->directory);\n        if (r)\n", "        if (r)\n"),
    ("a recycled name is not synced", "store_keep.c", "memcpy(name, final, sizeof final);\n        return pass(s->disk->ops->sync(s->disk, s->directory));", "return 0;"),
    ("a recycled header is not synced", "store_keep.c", "                r = s->disk->ops->sync_data(s->disk, fd);\n        s->disk->ops->close(s->disk, fd);\n        if (!r)\n                r = s->disk->ops->rename", "                r = 0;\n        s->disk->ops->close(s->disk, fd);\n        if (!r)\n                r = s->disk->ops->rename"),
    ("a salt is used again", "store_keep.c", "int r = s->disk->ops->random(s->disk, salt, sizeof salt);", "int r = 0; memset(salt, 7, sizeof salt);"),
    ("a control file is not synced", "store_keep.c", "        return pass(s->disk->ops->sync_data(s->disk, s->control_files[c->generation % CONTROL_FILES]));", "        return s && c ? 0 : -EIO;"),
    ("the mark that a death left is not synced", "store_recover.c", "        if (!*is_found)\n                return 0;\n", "        return 0;\n"),
    ("the mark is written over the synced one", "store_keep.c", "        int r = write_control_block(s, &c);\n        pthread_mutex_lock(&s->lock);\n        assert(c.mark_lsn >= s->written_mark);", "        struct control d = c;\n        d.generation += !s->is_control_due;\n        int r = write_control_block(s, &d);\n        pthread_mutex_lock(&s->lock);"),
    ("both controls in one file", "store_keep.c", "int fd = s->control_files[c->generation % CONTROL_FILES];", "int fd = s->control_files[0];"),
    ("the mark of what is leased", "store_keep.c", ".mark_lsn = store_mark(s),", ".mark_lsn = s->cursor_lsn,"),
    ("a store that nothing was admitted to knows no mark", "store_keep.c", "return s->segments_count ? s->segments[0]->sequence : s->next_sequence;", "return 0;"),
    ("segments go before the mark is durable", "store_keep.c", "segment->sequence < s->control.mark_segment &&", "segment->sequence < store_mark_place(s).segment->sequence &&"),
    ("a file that was abandoned is recycled", "store_keep.c", "!segment->is_damaged && !segment->is_abandoned", "!segment->is_damaged"),
    ("a damaged file is recycled", "store_keep.c", "!segment->is_damaged && !segment->is_abandoned", "!segment->is_abandoned"),
    ("a spare's header is written under its name", "store_keep.c", "if (!r && old->is_spare)", "if (0)"),
    ("no bound for the disk", "store_keep.c", "!s->options.bytes_max || s->bytes + s->segment_bytes <= s->options.bytes_max", "true"),
    ("what is torn is recovered", "store_recover.c", "if (!is_broken) {", "if (1) {"),
    ("a tail is synced and not written again", "store_recover.c", "r = from < end ? rewrite(s, fd, from, end) : 0;", "r = 0;"),
    ("a tail is neither", "store_recover.c", "attempt < SETTLE_ATTEMPTS_MAX", "attempt < 0 || (r = 0)"),
    ("no search for evidence", "store_recover.c", "        search_evidence(s, segment, broken_at, &t);\n", ""),
    ("damage at the end is cut like a torn tail", "store_recover.c", "if (t.is_unreadable || t.durable_lsn >= t.end_lsn) {", "if (t.is_unreadable) {"),
    ("segments that never began stay", "store_recover.c", "if (last->is_damaged || last->base_lsn)", "if (1)"),
    ("the better control is the older", "store_recover.c", "c.generation > s->control.generation", "c.generation < s->control.generation"),
    ("payloads are not checked", "segment.c", "return segment_crc(0, payload, frame->frame_bytes - frame->header_bytes) == frame->payload_crc;", "return true;"),
    ("payloads of a tail are not checked", "store_read.c", "return crc == f->payload_crc;", "return 1;"),
    ("checksums without salt", "segment.c", "segment_crc(segment_crc(0, salt, SEGMENT_SALT_BYTES), bytes", "segment_crc(0, bytes"),
    ("lost messages go unreported", "store_read.c", "        store_report_lost(s, lost_lsn, lost, segment, why);\n", ""),
    ("the mark passes what is not complete", "store_lease.c", "if (first == l->first_undone && l->done_count == l->first_undone + n) {", "if (1) {"),
    ("what comes twice has no bound", "store_lease.c", "        if (!waits_for_sync && !is_too_far(s, s->written_mark, s->options.checkpoint_messages, count))", "        if (!waits_for_sync)"),
    ("the synced mark stays behind without bound", "store_lease.c", "bool waits_for_sync = is_too_far(s, s->control.mark_lsn, s->unsynced_max, count);", "bool waits_for_sync = false;"),
    ("what was held back is never told", "store_keep.c", "if (is_awaited && s->options.resumed)", "if (0)"),
    ("without syncing a removed directory goes unnoticed", "store_flush.c", "        if (!r)\n                r = check_name(s);", "        if (!r && is_synced)\n                r = check_name(s);"),
    ("a vanished directory is not made again", "store_keep.c", "if (lack == -ENOENT && renew_directory(s) == 0)", "if (0)"),
    ("what is released does not come first", "store_lease.c", "        if (s->released_count) {\n                int r = lease_again(s, frame, true);", "        if (0) {\n                int r = lease_again(s, frame, true);"),
    ("the chain does not go on", "store_flush.c", "        memcpy(s->chain, chain, sizeof chain);\n", ""),
    ("a short write counts as a whole one", "store_read.c", "                done += (size_t)n;\n        }\n        return 0;", "                done = size;\n        }\n        return 0;"),
    ("an allocation that nobody looks at", "store_recover.c", "        if (!segment)\n                return NULL;\n", ""),
    ("a wrong key is not told", "store_codec.c", "if (!c->has_key || f->key_id != c->key_id)", "if (0)"),
]

# (the test, a mutant that it alone is shown)
CONTROLS = [
    ("store_rot_test", "payloads are not checked"),
    ("store_rot_test", "a short write counts as a whole one"),
    ("store_rot_test", "an allocation that nobody looks at"),
    ("store_crash_test", "no sync before publishing"),
    ("store_campaign_test", "no sync before publishing"),
]


def is_program_file(name):
    return not re.search(r"_(test|fuzz)\.c$", name)


def compile_one(source, to):
    subprocess.run([*COMPILE, "-I" + os.path.dirname(source), "-c", source, "-o", to], check=True)


def build_all(directory):
    objects = {}
    sources = glob.glob(SOURCE + "/base/*.c") + [SOURCE + f"/io/{n}.c" for n in ("disk", "disk_sim", "file", "process")]
    sources += glob.glob(SOURCE + "/queue/store*.c") + glob.glob(SOURCE + "/queue/segment*.c") + [SOURCE + "/queue/control.c"]
    for source in filter(is_program_file, sources):
        name = os.path.basename(source)
        objects[name] = os.path.join(directory, name + ".o")
        compile_one(source, objects[name])
    for test in TESTS:
        compile_one(f"{SOURCE}/queue/{test}.c", os.path.join(directory, test + ".o"))
    return objects


def failing_test(directory, objects, tests):
    """The first of the tests that fails, or None."""
    for test in tests:
        program = os.path.join(directory, test)
        wrap = WRAP if test == "store_rot_test" else []
        subprocess.run([*COMPILE, os.path.join(directory, test + ".o"), *objects.values(), "-o", program, *wrap, "-ldl"],
                       check=True)
        try:
            done = subprocess.run([program, *ARGUMENTS.get(test, [])], capture_output=True, timeout=TEST_SECONDS,
                                  check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU,
                                                                                     (TEST_CPU_SECONDS,) * 2))
        except subprocess.TimeoutExpired:
            return test + " (it hangs)"
        if done.returncode:
            return test
    return None


def try_mutant(directory, objects, mutant, tests):
    _, name, old, new = mutant
    with open(f"{SOURCE}/queue/{name}", encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        return f"its place is there {text.count(old)} times"
    source = os.path.join(directory, name)
    with open(source, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    changed = dict(objects)
    changed[name] = os.path.join(directory, "mutant.o")
    compile_one(source, changed[name])
    found = failing_test(directory, changed, tests)
    if found:
        print(f"# {found}")
    return None if found else "all tests pass"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="mutants whose name matches")
    parser.add_argument("--by", action="append", choices=TESTS, help="this test only; more than once possible")
    options = parser.parse_args()
    by_name = {m[0]: m for m in MUTANTS}
    trials = [(m, options.by or TESTS, "") for m in MUTANTS if re.search(options.only, m[0])]
    if not options.by:
        trials += [(by_name[name], [test], f" by {test} alone") for test, name in CONTROLS if re.search(options.only, name)]
    print(f"1..{len(trials) + 1}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        objects = build_all(directory)
        wrong = failing_test(directory, objects, options.by or TESTS)
        print("not ok" if wrong else "ok", f"1 - without a mutant all tests pass {wrong or ''}", flush=True)
        for number, (mutant, tests, how) in enumerate(trials, 2):
            why = try_mutant(directory, objects, mutant, tests)
            if why:
                print("#", why)
                failed += 1
            print("not ok" if why else "ok", number, "-", f"caught{how}:", mutant[0], flush=True)
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
