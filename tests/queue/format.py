#!/usr/bin/env python3
"""Promise: doc/queue-format.md, tests/queue/reader.py and what the store writes are the same format.

    format.py --make-store PROGRAM
"""
import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import reader  # noqa: E402

PROMISES = []
MAKE_STORE = ""
PATIENCE_SECONDS = 60


def promise(function):
    PROMISES.append(function)
    return function


def make(directory, frames, done, *more):
    path = os.path.join(directory, "q.store")
    subprocess.run([MAKE_STORE, path, str(frames), str(done), *more], check=True, timeout=PATIENCE_SECONDS)
    return path


def read(path, *more):
    done = subprocess.run([sys.executable, os.path.join(HERE, "reader.py"), path, *more], capture_output=True, text=True,
                          timeout=PATIENCE_SECONDS, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def frames_of(lines):
    return [line for line in lines if line["type"] == "frame"]


def expect(frames, first=1):
    """What make_store wrote, by its own words."""
    lsn = 1
    for i in range(1, frames + 1):
        count, payload = i % 5 + 1, bytes([i % 256]) * (i * 37 % 3000)
        if i >= first:
            yield lsn, count, payload
        lsn += count


def documented(heading):
    """(offset, bytes, name) of the table under a heading of the page."""
    with open(os.path.join(ROOT, "doc", "queue-format.md"), encoding="utf-8") as file:
        section = file.read().split(f"## {heading}\n")[1].split("\n## ")[0]
    return [(int(a), int(b), c) for a, b, c in re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)`", section, re.M)]


@promise
def the_page_lists_the_fields_that_the_reader_reads():
    for heading, fields in (("Control file", reader.CONTROL), ("Segment header", reader.SEGMENT),
                            ("Frame", reader.FRAME + [("key_id", "Q"), ("nonce", "12s"), ("reserved", "I"), ("chain", "32s")])):
        at, wanted = 0, []
        for name, kind in fields:
            size = reader.size_of([(name, kind)])
            wanted.append((at, size, name))
            at += size
        assert documented(heading) == wanted, (heading, documented(heading), wanted)


@promise
def the_reader_finds_all_that_was_appended():
    with tempfile.TemporaryDirectory() as directory:
        status, lines = read(make(directory, 200, 0))
        found = [(f["lsn"], f["count"], f["raw_bytes"], f["sha256"], f["state"]) for f in frames_of(lines)]
        wanted = [(lsn, count, len(p), hashlib.sha256(p).hexdigest(), "whole") for lsn, count, p in expect(200)]
        assert status == 0 and found == wanted
        assert lines[0]["type"] == "control" and lines[0]["queue"] == "made"
        assert len({f["segment"] for f in frames_of(lines)}) > 2


@promise
def what_is_done_with_is_not_shown_unless_asked_for():
    with tempfile.TemporaryDirectory() as directory:
        path = make(directory, 20, 7)
        _, lines = read(path)
        assert [f["lsn"] for f in frames_of(lines)] == [lsn for lsn, _, _ in expect(20, 8)]
        _, lines = read(path, "--all")
        assert len(frames_of(lines)) == 20


@promise
def runs_follow_each_other_without_a_gap_in_the_chain():
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(3):
            path = make(directory, 10, 2, "chain", "zstd")
        status, lines = read(path)
        assert status == 0, lines
        lsns = [f["lsn"] for f in frames_of(lines)]
        assert lsns == sorted(lsns) and all(f["state"] == "whole" for f in frames_of(lines))
        assert {f["codec"] for f in frames_of(lines)} == {"none", "zstd"}


@promise
def tampering_shows_in_the_chain_where_checksums_were_made_right():
    with tempfile.TemporaryDirectory() as directory:
        path = make(directory, 10, 0, "chain")
        name = os.path.join(path, "0000000000000001.segment")
        with open(name, "r+b") as file:
            data = bytearray(file.read())
            salt = reader.read_header(data, 0, 1)["salt"]
            at = reader.FRAMES_AT
            for _ in range(3):
                at += reader.read_frame(data, at, salt)["frame_bytes"]
            f = reader.read_frame(data, at, salt)
            data[at + f["header_bytes"]] ^= 1
            crc = reader.crc32c(data[at + f["header_bytes"]:at + f["frame_bytes"]])
            data[at + 8:at + 12] = crc.to_bytes(4, "little")
            crc = reader.crc32c(data[at + 8:at + f["header_bytes"]], reader.crc32c(salt))
            data[at + 4:at + 8] = crc.to_bytes(4, "little")
            file.seek(0)
            file.write(data)
        status, lines = read(path)
        assert status == 1
        assert [f["state"] for f in frames_of(lines)].count("chain broken") == 1


@promise
def damage_is_told_and_ends_with_status_1():
    with tempfile.TemporaryDirectory() as directory:
        path = make(directory, 100, 0)
        with open(os.path.join(path, "0000000000000001.segment"), "r+b") as file:
            file.seek(reader.FRAMES_AT + 2000)
            byte = file.read(1)
            file.seek(reader.FRAMES_AT + 2000)
            file.write(bytes([byte[0] ^ 1]))
        status, lines = read(path)
        told = [line for line in lines if line["type"] == "missing" or line.get("state") == "damaged"]
        assert status == 1 and len(told) == 1, told


@promise
def what_is_enciphered_shows_its_key_and_not_its_text():
    with tempfile.TemporaryDirectory() as directory:
        key = os.path.join(directory, "key")
        with open(key, "w", encoding="ascii") as file:
            file.write("ab" * 32)
        status, lines = read(make(directory, 10, 0, "key", key))
        assert status == 0
        for f, (_, _, payload) in zip(frames_of(lines), expect(10)):
            assert f["cipher"] == "aes-256-gcm" and f["stored_bytes"] == len(payload) + 16
            assert f["sha256"] != hashlib.sha256(payload).hexdigest()


@promise
def the_reader_is_short_enough_to_be_read():
    with open(os.path.join(HERE, "reader.py"), encoding="utf-8") as file:
        assert len(file.readlines()) < 200


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


@promise
def each_known_fault_has_its_promise_and_its_mutant():
    faults = text_of("tests", "queue", "README.md").split("## The known faults")[1]
    rows = re.findall(r"^\| .+ \| `(\w+)` \| (.+) \|$", faults, re.M)
    assert len(rows) == 9, rows
    tests, mutants = text_of("src", "queue", "store_fault_test.c"), text_of("tests", "queue", "mutants.py")
    for test, mutant in rows:
        assert f"TEST({test})" in tests and f'("{mutant}",' in mutants, (test, mutant)


def main():
    global MAKE_STORE
    parser = argparse.ArgumentParser()
    parser.add_argument("--make-store", required=True)
    MAKE_STORE = os.path.abspath(parser.parse_args().make_store)
    print(f"1..{len(PROMISES)}")
    failed = 0
    for number, check in enumerate(PROMISES, 1):
        try:
            check()
            said = "ok"
        except (AssertionError, subprocess.SubprocessError, OSError, KeyError, IndexError) as error:
            print("#", type(error).__name__, str(error)[:2000].replace("\n", "\n# "))
            said, failed = "not ok", failed + 1
        print(said, number, "-", check.__name__.replace("_", " "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
