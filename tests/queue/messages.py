#!/usr/bin/env python3
"""Prints the messages of a durable queue as JSON lines. Changes nothing.

    messages.py DIRECTORY [--all]

One line each for every message that the queue would still deliver (--all: the delivered ones that are still there,
too). reader.py finds the frames; what is in a frame is described at the head of src/message/pack.h, and this file is
all that it takes. Frames that are compressed or enciphered are counted, not read; the status is 1 then.
"""
import argparse
import json
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reader  # noqa: E402  pylint: disable=wrong-import-position

HEADER = struct.Struct("<4sHHIIIIIIII")
MESSAGE = struct.Struct("<IIqIIHHBBBB")
MARK = struct.Struct("<Q")
STAMP = struct.Struct("<hBBBBBBIhBB")
SOURCE_IS_UNDECIDED = 8
SPANS = ["msg", "host", "tag", "app_name", "procid", "msgid", "structured_data", "$!", "$."]


class Cursor:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, form):
        values = form.unpack_from(self.data, self.at)
        self.at += form.size
        return values

    def number(self):
        return self.take(struct.Struct("<I"))[0]

    def text(self):
        size = self.take(struct.Struct("<H"))[0]
        self.at += size
        return self.data[self.at - size:self.at].decode(errors="replace")


def read_sources(pack, at, count):
    cursor = Cursor(pack, at)
    for _ in range(count):
        flags = pack[cursor.at]
        cursor.at += 1
        yield dict(zip(("input", "address", "port", "fromhost", "zone"), [cursor.text() for _ in range(5)]))
        if flags & SOURCE_IS_UNDECIDED:
            cursor.text(), cursor.take(MARK)


def read_message(pack, at, sources, names):
    """(where the next one begins, its fields)"""
    size, fields, received_us, raw_size, source, flags, ruleset, facility, severity, protocol, _ = \
        MESSAGE.unpack_from(pack, at)
    cursor, spans, message = Cursor(pack, at + MESSAGE.size), {}, {}
    for bit, name in enumerate(SPANS):
        if fields >> bit & 1:
            spans[name] = cursor.number(), cursor.number()
    if fields >> 9 & 1:
        spans["uuid"] = cursor.number(), 32
    if fields >> 10 & 1:
        message["program_size"] = cursor.number()
    if fields >> 11 & 1:
        year, month, day, hour, minute, second, precision, fraction, offset, _, _ = cursor.take(STAMP)
        digits = f".{fraction:0{precision}}" if precision else ""
        message["reported"] = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{digits}"
        message["offset_minutes"] = offset
    raw = cursor.at
    message.update(raw=pack[raw:raw + raw_size].decode(errors="replace"), received_us=received_us, flags=flags,
                   facility=facility, severity=severity, protocol=protocol)
    for name, (place, length) in spans.items():
        value = pack[raw + place:raw + place + length].decode(errors="replace")
        message[name] = json.loads(value) if name.startswith("$") else value
    if source:
        message["source"] = sources[source - 1]
    if ruleset:
        message["ruleset"] = names[ruleset - 1]
    return at + size, message


def unpack(pack):
    """The messages of one frame's payload."""
    magic, version, at, _, count, sources_at, source_count, names_at, name_count, route, _ = HEADER.unpack_from(pack)
    assert magic == b"PSM1" and version == 1, "no pack of a known form"
    sources = list(read_sources(pack, sources_at, source_count))
    cursor = Cursor(pack, names_at)
    names = [cursor.text() for _ in range(name_count)]
    for _ in range(count):
        at, message = read_message(pack, at, sources, names)
        yield dict(message, route=names[route - 1]) if route else message


def messages(directory, shows_all=False):
    """Each message with its LSN; None in place of a frame that only its key or its library can read."""
    control = reader.read_control(directory)
    mark = control["mark_lsn"] if control else 1
    found = [s for s in reader.segments(directory) if not s.is_damaged]
    for i, segment in enumerate(found):
        end = next((later.base for later in found[i + 1:] if later.base), None)
        for _, frame in segment.frames(end):
            if frame["lsn"] + frame["count"] <= mark and not shows_all:
                continue
            if frame["codec"] or frame["cipher"] or not frame["whole"]:
                yield None
                continue
            for lsn, message in enumerate(unpack(frame["stored"]), frame["lsn"]):
                if shows_all or lsn >= mark:
                    yield dict(message, lsn=lsn)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("directory")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    unread = 0
    for message in messages(options.directory, options.all):
        if message:
            print(json.dumps(message))
        unread += not message
    if unread:
        print(f"{unread} frames are compressed, enciphered or damaged, and were not read", file=sys.stderr)
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(main())
