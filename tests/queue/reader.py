#!/usr/bin/env python3
"""Reads a durable queue's directory and prints what is in it as JSON lines. Changes nothing.

    reader.py DIRECTORY [--all]

One line each for the control file that counts, for every segment, and for every frame that the queue would still
deliver (--all: the delivered ones that are still there, too). Of a payload its size and SHA-256 are told, as it is
stored: perhaps compressed and enciphered. doc/queue-format.md is the format; this file is all that it takes.
Ends with status 1 when something is damaged.
"""
import argparse
import hashlib
import json
import os
import re
import struct
import sys

BLOCK, FRAMES_AT, ALIGNMENT = 4096, 8192, 8
CONTROL = [("magic", "8s"), ("version", "I"), ("reserved_a", "4s"), ("queue_id", "16s"), ("generation", "Q"),
           ("mark_lsn", "Q"), ("mark_segment", "Q"), ("mark_offset", "Q"), ("durable_lsn", "Q"), ("next_sequence", "Q"),
           ("segment_bytes", "Q"), ("time_us", "q"), ("name", "64s"), ("reserved_b", "92s"), ("crc", "I")]
SEGMENT = [("magic", "8s"), ("version", "I"), ("is_begin", "I"), ("queue_id", "16s"), ("salt", "16s"),
           ("session", "16s"), ("sequence", "Q"), ("base_lsn", "Q"), ("durable_lsn", "Q"), ("time_us", "q"),
           ("chain", "32s"), ("name", "64s"), ("reserved", "60s"), ("crc", "I")]
FRAME = [("magic", "4s"), ("header_crc", "I"), ("payload_crc", "I"), ("header_bytes", "B"), ("codec", "B"),
         ("cipher", "B"), ("flags", "B"), ("lsn", "Q"), ("durable_lsn", "Q"), ("time_us", "q"), ("count", "I"),
         ("frame_bytes", "I"), ("stored_bytes", "I"), ("raw_bytes", "I")]
CIPHER = [("key_id", "Q"), ("nonce", "12s"), ("reserved", "I")]
CODECS, CIPHERS = {0: "none", 1: "lz4", 2: "zstd"}, {0: "none", 1: "aes-256-gcm"}


def crc_table():
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        yield number


CRC = list(crc_table())


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def size_of(fields):
    return struct.calcsize("<" + "".join(kind for _, kind in fields))


def unpack(fields, data, at=0):
    values = struct.unpack_from("<" + "".join(kind for _, kind in fields), data, at)
    return dict(zip((name for name, _ in fields), values))


def text(raw):
    return raw.split(b"\0")[0].decode(errors="replace")


def read_control(directory):
    """The record with the highest generation among those that are whole, or None."""
    best = None
    for number in (0, 1):
        try:
            with open(os.path.join(directory, f"control.{number}"), "rb") as file:
                data = file.read(size_of(CONTROL))
        except FileNotFoundError:
            continue
        if len(data) < size_of(CONTROL):
            continue
        c = unpack(CONTROL, data)
        whole = c["magic"] == b"PSTKCTL1" and c["version"] == 1 and c["crc"] == crc32c(data[:-4])
        if whole and c["generation"] % 2 == number and (not best or c["generation"] > best["generation"]):
            best = c
    return best


def read_header(data, at, sequence):
    if len(data) < at + size_of(SEGMENT):
        return None
    h = unpack(SEGMENT, data, at)
    whole = h["magic"] == b"PSTKSEG1" and h["version"] == 1 and h["crc"] == crc32c(data[at:at + size_of(SEGMENT) - 4])
    return h if whole and h["sequence"] == sequence else None


def read_frame(data, at, salt):
    """The frame's fields, with "whole": is the payload right? None when no frame of this salt begins here."""
    if len(data) < at + size_of(FRAME) or data[at:at + 4] != b"PSFM":
        return None
    f = unpack(FRAME, data, at)
    head = data[at + 8:at + f["header_bytes"]]
    if f["header_bytes"] < size_of(FRAME) or crc32c(head, crc32c(salt)) != f["header_crc"]:
        return None
    payload = data[at + f["header_bytes"]:at + f["frame_bytes"]]
    f["whole"] = len(payload) == f["frame_bytes"] - f["header_bytes"] and crc32c(payload) == f["payload_crc"]
    f["stored"] = payload[:f["stored_bytes"]]
    extra = at + size_of(FRAME)
    if f["cipher"]:
        f.update(unpack(CIPHER, data, extra))
        extra += size_of(CIPHER)
    if f["flags"] & 1:
        f["chain"] = data[extra:extra + 32]
    return f


def chain_next(chain, f):
    """What the frame's chain has to be when `chain` is the value before it."""
    head = struct.pack("<QqIIIBBBB", f["lsn"], f["time_us"], f["count"], f["stored_bytes"], f["raw_bytes"], f["codec"],
                       f["cipher"], f["flags"], 0)
    return hashlib.sha256(chain + head + f["stored"]).digest()


class Segment:
    def __init__(self, directory, sequence):
        self.sequence = sequence
        with open(os.path.join(directory, f"{sequence:016x}.segment"), "rb") as file:
            self.data = file.read()
        head, begin = read_header(self.data, 0, sequence), read_header(self.data, BLOCK, sequence)
        if head and begin and head["salt"] != begin["salt"]:
            begin = None
        self.is_damaged = not head and not begin
        self.header = begin or head
        self.base = begin["base_lsn"] if begin else 0
        if self.header and not begin:
            first = read_frame(self.data, FRAMES_AT, self.header["salt"])
            self.base = first["lsn"] if first else 0

    def frames(self, end):
        """(offset, frame) one after the other, up to the LSN where the next segment begins."""
        at, lsn = FRAMES_AT, self.base
        while lsn and (end is None or lsn < end):
            f = read_frame(self.data, at, self.header["salt"])
            if not f or f["lsn"] != lsn:
                return
            yield at, f
            at += f["frame_bytes"]
            lsn += f["count"]


def segments(directory):
    names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"[0-9a-f]{16}\.segment", name))
    return [Segment(directory, int(name[:16], 16)) for name in names]


def lines(directory, shows_all):
    control = read_control(directory)
    mark = control["mark_lsn"] if control else 1
    if control:
        shown = {key: control[key] for key in ("generation", "mark_lsn", "mark_segment", "durable_lsn", "time_us")}
        yield {"type": "control", "queue": text(control["name"]), "id": control["queue_id"].hex(), **shown}
    found = [s for s in segments(directory) if not control or s.sequence >= control["mark_segment"]]
    for i, s in enumerate(found):
        end = next((later.base for later in found[i + 1:] if later.base), None)
        yield {"type": "segment", "sequence": s.sequence, "base_lsn": s.base, "bytes": len(s.data),
               "state": "damaged" if s.is_damaged else "begun" if s.base else "prepared"}
        lsn, chain = s.base, s.header["chain"] if s.header else None
        for offset, f in s.frames(end) if not s.is_damaged else ():
            lsn = f["lsn"] + f["count"]
            state = "whole" if f["whole"] else "damaged"
            if "chain" in f:
                state = state if chain_next(chain, f) == f["chain"] else "chain broken"
                chain = f["chain"]
            if lsn > mark or shows_all:
                yield {"type": "frame", "segment": s.sequence, "offset": offset, "lsn": f["lsn"], "count": f["count"],
                       "time_us": f["time_us"], "codec": CODECS[f["codec"]], "cipher": CIPHERS[f["cipher"]],
                       "stored_bytes": f["stored_bytes"], "raw_bytes": f["raw_bytes"], "state": state,
                       "sha256": hashlib.sha256(f["stored"]).hexdigest()}
        if s.base and end and lsn < end:
            yield {"type": "missing", "segment": s.sequence, "lsn": lsn, "count": end - lsn}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("directory")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    is_damaged = False
    for line in lines(options.directory, options.all):
        is_damaged |= line["type"] == "missing" or line.get("state") in ("damaged", "chain broken")
        print(json.dumps(line))
    return 1 if is_damaged else 0


if __name__ == "__main__":
    sys.exit(main())
