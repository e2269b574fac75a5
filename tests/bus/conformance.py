#!/usr/bin/env python3
"""Promises of the bus, each spoken to the socket in raw frames; doc/bus.md is the specification.

    conformance.py --broker build/src/bus/penstock-bus [--only PATTERN]

After every promise the broker has as many descriptors as before it.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import Broker, Client, Closed, pack, raise_descriptor_limit  # noqa: E402

PROMISES = []
BOTH = (1, 2)


def promise(*parameters, **options):
    """Registers a promise, once for each parameter; options start a broker of its own."""
    def register(function):
        for parameter in parameters or (None,):
            PROMISES.append((function, parameter, options))
        return function
    return register


def check(condition, *detail):
    assert condition, " ".join(str(d) for d in detail)


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


# ---- Frames -----------------------------------------------------------------


@promise(*BOTH)
def a_frame_may_come_in_any_pieces(bus, version):
    with bus.connect(version) as a:
        frame = pack({"type": "ping"}, b"body", version)
        for byte in frame:
            a.raw(bytes([byte]))
        equal(a.get().body, b"body")


@promise(*BOTH)
def frames_may_come_joined(bus, version):
    with bus.connect(version) as a:
        a.raw(b"".join(pack({"type": "ping"}, str(i), version) for i in range(500)))
        for i in range(500):
            equal(a.get().body, str(i).encode())


@promise(*BOTH)
def a_body_may_be_empty_and_may_hold_any_byte(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        for body in (b"", bytes(range(256)) * 5, b"\0", os.urandom(1 << 20)):
            a.send(body, "g")
            equal(b.get().body, body)


@promise((1, b"\0\0\0\1\0\0"), (1, b"\0\0\0\0\0\0"), (1, b"\0\0\0\x10\0\0"), (1, b"\0\0\0\4\0\3"),
         (2, b"\0\0\0\3\0\1\0\0"), (2, b"\0\0\0\x10\0\0\0\0"), (2, b"\0\0\0\6\0\3\0\0"))
def lengths_that_contradict_each_other_close(bus, parameter):
    version, prefix = parameter
    with bus.connect(version) as a, bus.connect(version) as other:
        a.raw(prefix + b"x" * 20)
        check(a.is_closed())
        other.nothing()


@promise(*BOTH)
def the_end_inside_a_frame_closes_and_harms_nobody(bus, version):
    with bus.connect(version) as other:
        frame = pack({"type": "ping"}, b"body", version)
        for cut in range(1, len(frame)):
            with bus.connect(version) as a:
                a.raw(frame[:cut])
        other.nothing()
        bus.await_said("ended inside a frame")


@promise(*BOTH)
def half_a_frame_blocks_nobody(bus, version):
    with bus.connect(version) as half, bus.connect(version) as other:
        half.raw(pack({"type": "ping"}, b"body" * 1000, version)[:50])
        other.nothing()


@promise(*BOTH)
def white_space_may_surround_the_header(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        a.put(' \t\r\n{ "type" : "send" , "group" :\n"g" }\n ', b"x")
        equal(b.get().body, b"x")


@promise(*BOTH)
def an_escape_equals_its_character(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("gr\u00fc\u00df \U0001f600")
        a.put(r'{"\u0074ype":"\u0073end","group":"gr\u00fc\u00DF \ud83d\ude00","to":"\u002a"}', b"x")
        equal(b.get().body, b"x")
        b.put(r'{"type":"subscribe","group":"\u0061b\/c"}')
        b.sync()
        a.send(b"y", "ab/c")
        equal(b.get().body, b"y")


@promise(*BOTH)
def raw_control_characters_in_strings_are_accepted(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.put(b'{"type":"subscribe","group":"a\tb\nc\x01"}')
        b.sync()
        a.put(b'{"type":"send","group":"a\tb\nc\x01","more":"\x00\x1f"}', b"x")
        message = b.get()
        equal(message.header["group"], "a\tb\nc\x01")
        equal(message.header["more"], "\x00\x1f")


@promise(*BOTH)
def unknown_members_are_delivered(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        more = {"x-list": [1, {"a": [None, True]}, "\u00fc"], "x-number": -1.5e300, "x-deep": eval("[" * 60 + "]" * 60)}
        a.send(b"", "g", **more)
        header = b.get().header
        for key, value in more.items():
            equal(header[key], value)


@promise(*BOTH)
def seq_keeps_sixty_four_bits(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        for seq in (0, -1, 2**63 - 1, 2**64 - 1, -2**63, 10**30):
            a.send(b"", "g", seq=seq)
            equal(b.get().header["seq"], seq)
        a.send(b"", "nobody", seq=2**64 - 1, want_answer=True)
        equal(a.get().header["reply"], 2**64 - 1)


@promise(*BOTH)
def header_bytes_pass_through_where_they_can(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        header = f'{{ "type":"send",  "x":1.50e0, "from":"{a.lname}","group" : "\\u0067", "y":"\\/" }}'.encode()
        a.put(header, b"")
        equal(b.get().raw_header, header)


BAD_HEADERS = [b"{", b"x", b"[]", b"1", b'"send"', b"null", b"{}", b'{"kind":"send"}', b'{"type":"send"', b'{"type":"send"}x',
               b'{"type":"send",}', b"{'type':'send'}", b'{"type":"se\xffnd"}', b'{"type":"\xc0\x80"}', b'{"type":"ping","a":tru}',
               b'{"type":"ping","a":"\\x"}', b'{"type":"ping","a":"\\u12"}', b'{"type":"ping","a":01}', b'{"type":"ping" "a":1}',
               b'{"type":"ping","a":[1,]}', b'{"type":"ping","a":{"b"}}', b'{"type":"ping","a":1.}', b" ", b'{"type":"ping","a":"\xed\xa0\x80"}',
               b"[" * 60000]


@promise(*BOTH)
def a_header_that_does_not_decode_closes_that_connection_and_harms_nobody(bus, version):
    with bus.connect(version) as other:
        for header in BAD_HEADERS:
            with bus.connect(version) as a:
                a.put(header, b"body")
                check(a.is_closed(), header[:60])
        other.nothing()


# ---- Types ------------------------------------------------------------------


@promise(1)
def getlname_answers_any_time_and_repeatedly(bus, _):
    with bus.connect(1) as a:
        for _ in range(3):
            a.put({"type": "getlname"})
            answer = a.get()
            equal(answer.header, {"type": "getlname"})
            equal(answer.json, {"lname": a.lname})


@promise(*BOTH)
def ping_answers_the_same_body(bus, version):
    with bus.connect(version) as a:
        for body in (b"", b"x", os.urandom(300000)):
            a.put({"type": "ping"}, body)
            answer = a.get()
            equal(answer.header, {"type": "pong"})
            equal(answer.body, body)


@promise(*BOTH)
def subscribing_has_no_answer_and_null_is_ignored(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        wrong = ({"group": None, "instance": "*"}, {"group": "g", "instance": None}, {"instance": "*"}, {"group": 7})
        for header in wrong:
            a.put({"type": "subscribe", **header})
        a.nothing()
        b.send(b"x", "g")
        b.sync()
        a.nothing()
        a.subscribe("g")
        for header in wrong:
            a.put({"type": "unsubscribe", **header})
        a.nothing()
        b.send(b"x", "g")
        equal(a.get().body, b"x")
        a.unsubscribe("g")
        b.send(b"y", "g")
        b.sync()
        a.nothing()


@promise(*BOTH)
def other_types_are_ignored(bus, version):
    with bus.connect(version) as a:
        for kind in ("other", "", None, 7, ["send"], {"a": 1}, "SEND", "pong"):
            a.put({"type": kind, "group": "g", "to": "*", "seq": 1, "want_answer": True})
        a.nothing()


@promise(*BOTH)
def lnames_are_hextime_hexcounter_at_host_and_never_reused(bus, version):
    seen = set()
    for _ in range(20):
        with bus.connect(version) as a:
            check(re.fullmatch(r"[0-9a-f]+_[0-9a-f]+@[^\s\"]+", a.lname), a.lname)
            check(a.lname not in seen)
            seen.add(a.lname)


# ---- Routing ----------------------------------------------------------------


@promise(*BOTH)
def null_group_or_instance_is_dropped(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        a.put({"type": "send", "group": None, "instance": "*", "to": b.lname, "seq": 1, "want_answer": True})
        a.put({"type": "send", "group": "g", "instance": None, "to": "*", "seq": 1, "want_answer": True})
        a.sync()
        while (m := a.take()):
            raise AssertionError(m)
        b.nothing()


@promise(*BOTH)
def a_send_to_an_instance_reaches_it_and_those_of_all_once_each(bus, version):
    with bus.connect(version) as a, bus.connect(1) as one, bus.connect(2) as every, bus.connect(1) as two, bus.connect(2) as both:
        one.subscribe("g", "i")
        every.subscribe("g", "*")
        two.subscribe("g", "j")
        both.subscribe("g", "i").subscribe("g", "*")
        a.send(b"1", "g", instance="i")
        a.sync()
        for c in (one, every, both):
            equal(c.get().body, b"1")
        for c in (one, every, two, both):
            c.nothing()


@promise(*BOTH)
def a_send_to_all_instances_reaches_only_those_of_all(bus, version):
    with bus.connect(version) as a, bus.connect(1) as one, bus.connect(2) as every:
        one.subscribe("g", "i")
        every.subscribe("g", "*")
        a.send(b"1", "g")
        a.sync()
        equal(every.get().body, b"1")
        one.nothing()


@promise(*BOTH)
def an_lname_is_reached_and_nobody_else(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b, bus.connect(2) as c:
        for x in (b, c):
            x.subscribe("g")
        a.send(b"1", "g", to=b.lname)
        a.send(b"2", None, to=c.lname)
        a.sync()
        equal(b.get().body, b"1")
        equal(c.get().body, b"2")
        b.nothing()
        c.nothing()


@promise(*BOTH)
def the_sender_never_gets_its_own(bus, version):
    with bus.connect(version) as a:
        a.subscribe("g").subscribe("g", "i")
        a.send(b"", "g")
        a.send(b"", "g", instance="i")
        a.send(b"", "g", to=a.lname)
        a.nothing()
        a.send(b"", "g", want_answer=True)
        equal(a.get().json["result"][0], -1)
        a.send(b"", "g", to=a.lname, want_answer=True)
        equal(a.get().json["result"][0], -1)


@promise(*BOTH)
def missing_instance_or_to_count_as_all(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.put({"type": "subscribe", "group": "g"})
        b.sync()
        a.send(b"1", "g", instance=..., to=...)
        equal(b.get().body, b"1")


@promise(*BOTH)
def no_group_and_to_all_is_ignored(bus, version):
    with bus.connect(version) as a:
        a.put({"type": "send", "to": "*", "instance": "*", "seq": 1, "want_answer": True})
        a.put({"type": "send", "seq": 1, "want_answer": True})
        a.nothing()


@promise(*BOTH)
def nobody_got_it_is_answered_with_the_requests_header(bus, version):
    with bus.connect(version) as a:
        a.put({"type": "send", "from": a.lname, "to": "*", "group": "no", "instance": "i", "seq": 77, "want_answer": True, "x": [1]})
        answer = a.get()
        equal(answer.header, {"type": "send", "from": "msgq", "to": a.lname, "group": "no", "instance": "i", "seq": 77,
                              "want_answer": True, "x": [1], "reply": 77})
        equal(answer.json, {"result": [-1, "No such recipient"]})
        a.send(b"", "no", to="1_2@nowhere", want_answer=True)
        equal(a.get().json["result"], [-1, "No such recipient"])
        a.nothing()


@promise(*BOTH)
def no_error_without_want_answer_being_true(bus, version):
    with bus.connect(version) as a:
        for value in (False, None, 1, "true", ...):
            a.send(b"", "no", want_answer=value)
        a.nothing()


@promise(*BOTH)
def replies_never_cause_errors(bus, version):
    with bus.connect(version) as a:
        for reply in (1, None, "x"):
            a.send(b"", "no", want_answer=True, reply=reply)
            a.send(b"", "no", to="1_2@nowhere", want_answer=True, reply=reply)
        a.nothing()


@promise((1, 1), (1, 2), (2, 1), (2, 2))
def order_holds_per_sender_and_receiver(bus, versions):
    with bus.connect(versions[0]) as a, bus.connect(versions[1]) as b:
        b.subscribe("g")
        a.raw(b"".join(pack({"type": "send", "group": "g", "to": "*" if i % 3 else b.lname, "instance": "*", "seq": i},
                            b"x" * (i * 37 % 5000), versions[0]) for i in range(1000)))
        for i in range(1000):
            message = b.get()
            equal(message.header["seq"], i)
            equal(len(message.body), i * 37 % 5000)


@promise(*BOTH)
def subscriptions_are_a_set_and_end_with_the_connection(bus, version):
    with bus.connect(version) as a:
        with bus.connect(version) as b:
            b.subscribe("g").subscribe("g")
            a.send(b"1", "g")
            a.sync()
            equal(b.get().body, b"1")
            b.nothing()
            b.unsubscribe("g")
            a.send(b"2", "g", want_answer=True)
            equal(a.get().json["result"][0], -1)
            b.subscribe("g")
        await_members(a, "g", [])
        a.send(b"3", "g", want_answer=True)
        equal(a.get().json["result"][0], -1)


@promise(*BOTH)
def the_daemon_sets_from(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        for header in ('{"type":"send","group":"g","from":"liar"}', '{"type":"send","group":"g"}', '{"from":null,"type":"send","group":"g"}',
                       '{"type":"send","group":"g","from":{"a":[1,2]},"z":1}', f'{{"from":"{a.lname}","type":"send","from":"liar","group":"g","y":"\\u0066"}}',
                       f'{{"from":"liar","type":"send","from":"{a.lname}","group":"g","y":1}}',
                       '{"type":"send","group":"g","fr\\u006fm":"liar"}', '{"type":"send","group":"g","from":"' + "l" * 3000 + '"}'):
            a.put(header, b"body")
            message = b.get()
            equal(message.header["from"], a.lname)
            equal(message.raw_header.count(b"liar"), 0)
            equal(message.body, b"body")


# ---- Msgq -------------------------------------------------------------------


def await_members(client, group, wanted):
    for _ in range(1000):
        found = client.command("members", {"group": group})
        if found == [0, wanted]:
            return
        time.sleep(0.002)
    raise AssertionError(f"members of {group} are {found}, not {wanted}")


@promise(*BOTH)
def members_are_all_lnames_its_own_too(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b:
        for _ in range(1000):
            code, members = a.command("members")
            if len(members) == 3:
                break
            time.sleep(0.002)
        equal(code, 0)
        own = a.command("members", {"group": "Msgq"})[1]
        equal(sorted(members), sorted([a.lname, b.lname] + own))
        equal(len(own), 1)


@promise(*BOTH)
def members_of_a_group_are_its_subscribers_of_all(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b, bus.connect(2) as c:
        c.subscribe("g")
        b.subscribe("g")
        a.subscribe("g", "i")
        equal(a.command("members", {"group": "g"}), [0, [b.lname, c.lname]])
        equal(a.command("members", {"group": "nobody"}), [0, []])


@promise(*BOTH)
def an_unknown_command_is_answered(bus, version):
    with bus.connect(version) as a:
        equal(a.command("grow \"wings\""), [1, "unknown command: grow \"wings\""])


@promise(*BOTH)
def msgq_answers_as_a_client_does(bus, version):
    with bus.connect(version) as a:
        own = a.command("members", {"group": "Msgq"})[1][0]
        seq = a.send({"command": ["members"]}, "Msgq", want_answer=True)
        answer = a.get()
        equal((answer.header["from"], answer.header["to"], answer.header["group"], answer.header["reply"]), (own, a.lname, "Msgq", seq))
        a.send({"command": ["members"]}, "Msgq", to=own, want_answer=True)
        check(a.get().json["result"][0] == 0)


@promise(*BOTH)
def a_config_manager_is_asked_three_things_one_after_the_other(bus, version):
    with bus.connect(version) as manager, bus.connect(1) as other:
        manager.subscribe("ConfigManager")
        first = manager.get()
        equal(first.json, {"command": ["get_config", {"module_name": "Logging"}]})
        equal((first.header["group"], first.header["to"], first.header["want_answer"]), ("ConfigManager", "*", True))
        manager.nothing()
        equal(other.command("members", {"group": "ConfigManager"}), [0, [manager.lname]])
        other.close()
        with bus.connect(version) as late:
            late.nothing()
        manager.reply(first, {"result": [0, {}]})
        second = manager.get()
        equal(second.json["command"][0], "module_spec")
        equal(second.json["command"][1]["module_name"], "Msgq")
        check(any(c["command_name"] == "members" for c in second.json["command"][1]["commands"]))
        manager.nothing()
        manager.reply(second, {"result": [1, "no"]})
        third = manager.get()
        equal(third.json, {"command": ["get_config", {"module_name": "Msgq"}]})
        manager.reply(third, {"result": [0, {"answer_timeout": 12345}]})
        manager.nothing()
        equal(manager.command("get_config")[1]["answer_timeout"], 12345)
        equal(manager.command("config_update", {"answer_timeout": 30000}), [0])


@promise(*BOTH)
def notifications_tell_of_members_after_the_fact(bus, version):
    with bus.connect(version) as watcher:
        watcher.subscribe("notifications/cc_members")
        own = watcher.get()
        equal(own.json, {"notification": ["subscribed", {"client": watcher.lname, "group": "notifications/cc_members"}]})
        with bus.connect(2) as a:
            lname = a.lname
            message = watcher.get()
            equal(message.json, {"notification": ["connected", {"client": lname}]})
            equal(message.header["group"], "notifications/cc_members")
            a.subscribe("g").subscribe("g").subscribe("h", "i").subscribe("h", "j")
            equal(watcher.get().json["notification"], ["subscribed", {"client": lname, "group": "g"}])
            equal([watcher.get().json["notification"] for _ in range(2)], [["subscribed", {"client": lname, "group": "h"}]] * 2)
            a.unsubscribe("g")
            a.unsubscribe("g")
            equal(watcher.get().json["notification"], ["unsubscribed", {"client": lname, "group": "g"}])
            a.subscribe("k\"\u00fc")
            equal(watcher.get().json["notification"], ["subscribed", {"client": lname, "group": "k\"\u00fc"}])
            watcher.nothing()
        last = [watcher.get().json["notification"] for _ in range(3)]
        equal(sorted(last[:2], key=str), sorted([["unsubscribed", {"client": lname, "group": g}] for g in ("h", "k\"\u00fc")], key=str))
        equal(last[2], ["disconnected", {"client": lname}])
        watcher.nothing()


@promise(None)
def connected_is_told_at_accept(bus, _):
    with bus.connect(1) as watcher:
        watcher.subscribe("notifications/cc_members")
        watcher.get()
        with Client(bus.path, hello=False):
            equal(watcher.get().json["notification"][0], "connected")
        equal(watcher.get().json["notification"][0], "disconnected")


# ---- Version 2 --------------------------------------------------------------


@promise(None)
def version_two_is_negotiated(bus, _):
    for wanted, spoken in ((2, 2), (3, 2), (99999999999, 2), (1, 1), (0, 1), (-2, 1), ("2", 1), (2.5, 1), (None, 1), (True, 1), ([2], 1)):
        with Client(bus.path, hello=False) as a:
            a.put({"type": "getlname", "protocol": wanted})
            answer = a.get()
            equal(answer.json.keys(), {"lname"})
            if spoken == 1:
                equal(answer.header, {"type": "getlname"})
            else:
                equal(answer.header["type"], "getlname")
                equal(answer.header["protocol"], 2)
                check(isinstance(answer.header["limits"], dict))
                a.version = 2
            a.nothing()


@promise(None)
def what_was_queued_before_the_negotiation_has_the_old_framing(bus, _):
    with Client(bus.path, hello=False) as a, bus.connect(1) as b:
        a.put({"type": "subscribe", "group": "g"})
        a.sync()
        b.send(b"old", "g")
        b.sync()
        equal(a.get().body, b"old")
        a.hello(2)
        b.send(b"new", "g")
        equal(a.get().body, b"new")


@promise((1, 2), (2, 1))
def both_versions_reach_each_other(bus, versions):
    with bus.connect(versions[0]) as a, bus.connect(versions[1]) as b, bus.connect(1) as c, bus.connect(2) as d:
        for x in (b, c, d):
            x.subscribe("g")
        for size in (0, 10, 100000):
            a.send(b"x" * size, "g", q=size)
            for x in (b, c, d):
                message = x.get()
                equal((len(message.body), message.header["q"]), (size, size))
        a.send({"q": 1}, "g", to=b.lname, want_answer=True)
        b.reply(b.get(), {"result": [0]})
        equal(a.get().json, {"result": [0]})


def pipes(count):
    return [os.pipe() for _ in range(count)]


def close_all(fds):
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass


def is_same_file(a, b):
    x, y = os.fstat(a), os.fstat(b)
    return (x.st_dev, x.st_ino) == (y.st_dev, y.st_ino)


@promise(2)
def blobs_and_descriptors_arrive_in_order(bus, version):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        ends = [end for pair in pipes(3) for end in pair]
        wanted = [b"", ends[1], b"x" * 100000, ends[3], ends[5], b"last"]
        a.send(b"body", "g", attachments=wanted, fds=[ends[1], ends[3], ends[5]])
        message = b.get()
        equal(message.body, b"body")
        for sent, got in zip(wanted, message.attachments):
            if isinstance(sent, int):
                check(is_same_file(sent, got))
                os.close(got)
            else:
                equal(sent, got)
        close_all(ends)


@promise(2)
def descriptors_ride_on_any_byte_up_to_their_attachments_head(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        r, w = os.pipe()
        frame = pack({"type": "send", "group": "g"}, b"body", 2, [b"blob", w])
        head = len(frame) - 8
        for at in (0, 3, 9, head - 12, head - 1, head):
            if at:
                a.raw(frame[:at])
                a.await_taken()
            a.raw(frame[at:], [w])
            got = b.get().attachments
            equal(got[0], b"blob")
            check(is_same_file(w, got[1]))
            os.close(got[1])
        close_all([r, w])


@promise(2)
def a_groups_members_get_duplicates(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b, bus.connect(2) as c:
        for x in (b, c):
            x.subscribe("g")
        r, w = os.pipe()
        a.send(b"", "g", attachments=[w], fds=[w])
        os.close(w)
        got = [x.get().attachments[0] for x in (b, c)]
        check(got[0] != got[1])
        for fd in got:
            os.write(fd, b"x")
            os.close(fd)
        equal(os.read(r, 10), b"xx")
        equal(os.read(r, 10), b"")
        os.close(r)


@promise("type 0", "type 3", "reserved", "reserved too", "fd with a size", "missing fd", "left over", "left over first")
def a_wrong_attachment_closes(bus, kind):
    r, w = os.pipe()
    with bus.connect(2) as a, bus.connect(2) as b, bus.connect(2) as c:
        b.subscribe("g")
        plain = pack({"type": "send", "group": "g"}, b"", 2, [])
        one = plain[:6] + b"\0\1" + plain[8:]
        frames = {"type 0": (one + b"\0\0\0\0\0\0\0\0", []), "type 3": (one + b"\3\0\0\0\0\0\0\0", [w]),
                  "reserved": (one + b"\1\1\0\0\0\0\0\0", []), "reserved too": (one + b"\1\0\0\1\0\0\0\0", []),
                  "fd with a size": (one + b"\2\0\0\0\0\0\0\1x", [w]), "missing fd": (one + b"\2\0\0\0\0\0\0\0", []),
                  "left over": (plain, [w]), "left over first": (one + b"\2\0\0\0\0\0\0\0", [w, r])}
        a.raw(*frames[kind])
        check(a.is_closed())
        c.nothing()
    close_all([r, w])


@promise(2)
def version_one_is_skipped_for_attachments(bus, _):
    with bus.connect(2) as a, bus.connect(1) as old, bus.connect(2) as new:
        old.subscribe("g")
        a.send(b"1", "g", attachments=[b"x"], want_answer=True)
        answer = a.get()
        equal(answer.json["result"][0], -6)
        a.send(b"1", "g", attachments=[b"x"])
        a.send(b"2", None, to=old.lname, attachments=[b"x"], want_answer=True)
        equal(a.get().json["result"][0], -6)
        new.subscribe("g")
        a.send(b"3", "g", attachments=[b"x"], want_answer=True)
        equal(new.get().attachments, [b"x"])
        old.nothing()
        a.nothing()


@promise(2)
def no_descriptor_leaks_whatever_is_sent(bus, _):
    before = bus.fds()
    r, w = os.pipe()
    frame = pack({"type": "send", "group": "nobody"}, b"body", 2, [w, b"12345678", w])
    for cut in (1, 5, 20, len(frame) - 30, len(frame) - 9, len(frame) - 1, len(frame)):
        for fds in ([w], [w, w], [w] * 5, [w] * 253):
            with bus.connect(2) as a:
                a.raw(frame[:cut], fds)
                if len(fds) == 2 and cut == len(frame):
                    a.nothing()
    for kind in ("ping", "subscribe", "other", "stop-not"):
        with bus.connect(2) as a:
            a.put({"type": kind, "group": "g"}, b"", [w], [w])
            a.sync()
    with bus.connect(1) as a:
        a.raw(pack({"type": "ping"}), [w, r])
        check(a.is_closed())
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        for _ in range(50):
            a.send(b"", "g", attachments=[w], fds=[w])
        a.sync()
    close_all([r, w])
    bus.await_fds(before)


@promise(2)
def a_message_with_too_many_descriptors_is_refused(bus, _):
    r, w = os.pipe()
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        many = a.limits["max_fds"] + 10
        frame = pack({"type": "send", "group": "g", "seq": 5, "want_answer": True}, b"", 2, [w] * many)
        a.raw(frame[:1], [w] * 253)
        a.raw(frame[1:], [w] * (many - 253))
        equal(a.get().json["result"][0], -7)
        b.nothing()
        a.send(b"", "g", attachments=[w] * a.limits["max_fds"], fds=[w] * a.limits["max_fds"])
        got = b.get().attachments
        equal(len(got), a.limits["max_fds"])
        close_all(got)
    close_all([r, w])


# ---- Addresses --------------------------------------------------------------


@promise(2)
def name_n_is_the_nth_by_age_of_connection(bus, _):
    with bus.connect(2) as a, bus.connect(1) as old, bus.connect(2) as middle, bus.connect(2) as young, bus.connect(1) as aside:
        for c in (young, old, middle):
            c.subscribe("N")
        aside.subscribe("N", "i")
        for n, c in enumerate((old, middle, young)):
            a.send(str(n), None, to=f"N[{n}]")
            equal(c.get().body, str(n).encode())
        for wrong in ("N[3]", "N[-1]", "N[]", "N[x]", "N[1", "[0]", "N[99999999999999999999]", "N[ 0]", "M[0]", "N[?x]", "N"):
            a.send(b"", None, to=wrong, want_answer=True)
            equal(a.get().json["result"][0], -1)
        middle.unsubscribe("N")
        a.send(b"closed", None, to="N[1]")
        equal(young.get().body, b"closed")
        a.subscribe("N")
        a.send(b"", None, to="N[0]", want_answer=True)
        equal(a.get().json["result"][0], -1)
        for c in (old, middle, young, aside):
            c.nothing()


@promise(2)
def name_question_mark_is_random_and_never_the_sender(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b, bus.connect(1) as c, bus.connect(2) as d:
        members = (b, c, d)
        a.subscribe("N")
        a.send(b"", None, to="N[?]", want_answer=True)
        equal(a.get().json["result"][0], -1)
        for x in members:
            x.subscribe("N")
        for _ in range(600):
            a.send(b"x", None, to="N[?]")
        a.nothing()
        counts = []
        for x in members:
            x.sync()
            counts.append(0)
            while x.take():
                counts[-1] += 1
        equal(sum(counts), 600)
        check(min(counts) > 120, counts)


@promise("Event/e", "notifications/n")
def events_and_notifications_are_not_so_addressed(bus, group):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe(group)
        for index in ("0", "?"):
            a.send(b"", None, to=f"{group}[{index}]", want_answer=True)
            equal(a.get().json["result"][0], -1)
        b.nothing()


@promise(1)
def version_one_has_no_indexed_addresses(bus, _):
    with bus.connect(1) as a, bus.connect(2) as b:
        b.subscribe("N")
        a.send(b"", "N", to="N[0]", want_answer=True)
        equal(a.get().json["result"][0], -1)
        b.nothing()


@promise(2)
def clients_can_ask_for_the_lname_behind_a_name(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("N")
        for name in ("N[0]", "N[?]", b.lname):
            equal(a.command("lookup", {"name": name}), [0, b.lname])
        equal(a.command("lookup", {"name": "N[1]"})[0], 1)


# ---- Events and requests ----------------------------------------------------


@promise(*BOTH)
def anyone_may_subscribe_to_an_event_and_notify_it(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b, bus.connect(2) as c:
        b.subscribe("Event/e")
        c.subscribe("Event/e")
        a.send({"x": 1}, "Event/e")
        equal(b.get().json, {"x": 1})
        equal(c.get().json, {"x": 1})


@promise(2)
def an_event_is_never_answered(bus, _):
    with bus.connect(2) as a:
        a.send({}, "Event/nobody", want_answer=True)
        a.nothing()
        with bus.connect(2) as b:
            b.subscribe("Event/e")
            a.send({}, "Event/e", want_answer=True, timeout=1)
            b.get()
        await_members(a, "Event/e", [])
        a.nothing()


def outstanding(asker, lname):
    return asker.command("client", {"client": lname})[1]["outstanding"]


@promise(2)
def a_request_ends_with_its_first_answer(bus, _):
    with bus.connect(2) as a, bus.connect(1) as b, bus.connect(2) as c, bus.connect(2) as asker:
        b.subscribe("g")
        c.subscribe("g")
        a.send(b"q", "g", want_answer=True)
        a.sync()
        equal(outstanding(asker, a.lname), 1)
        b.reply(b.get(), b"first")
        equal(a.get().body, b"first")
        equal(outstanding(asker, a.lname), 0)
        c.reply(c.get(), b"late")
        equal(a.get().body, b"late")
        b.close()
        c.close()
        await_members(asker, "g", [])
        a.nothing()


@promise(2)
def an_answer_from_somebody_else_ends_nothing(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b, bus.connect(2) as stranger:
        b.subscribe("g")
        a.send(b"q", "g", want_answer=True)
        request = b.get()
        stranger.reply(request, b"not mine")
        equal(a.get().body, b"not mine")
        equal(outstanding(stranger, a.lname), 1)
        b.reply(request, b"mine", reply=request.header["seq"] + 1)
        a.get()
        equal(outstanding(stranger, a.lname), 1)
        b.reply(request, b"mine")
        equal(a.get().body, b"mine")
        equal(outstanding(stranger, a.lname), 0)


@promise(2)
def all_gone_unanswered_is_told_once(bus, _):
    with bus.connect(2) as a, bus.connect(1) as b, bus.connect(2) as c:
        b.subscribe("g")
        c.subscribe("g")
        seq = a.send(b"q", "g", want_answer=True, x=1)
        a.sync()
        b.close()
        await_members(a, "g", [c.lname])
        a.nothing()
        c.close()
        answer = a.get()
        equal(answer.json["result"][0], -2)
        equal(answer.json["result"][2], {"client": c.lname})
        equal((answer.header["reply"], answer.header["from"], answer.header["to"], answer.header["x"]), (seq, "msgq", a.lname, 1))
        a.nothing()
        equal(outstanding(a, a.lname), 0)


@promise(2)
def recipients_that_die_in_every_state_are_told(bus, _):
    with bus.connect(2) as a:
        for state in ("unread", "read", "half an answer", "reset", "unsubscribed"):
            b = bus.connect(2)
            b.subscribe("g")
            a.send(b"q" * 50000, "g", want_answer=True)
            a.sync()
            if state != "unread":
                request = b.get()
            if state == "half an answer":
                b.raw(pack({"type": "send", "to": a.lname, "reply": request.header["seq"]}, b"x" * 1000, 2)[:-1])
            if state == "reset":
                b.put({"type": "send"}, b"x", [])
            if state == "unsubscribed":
                b.unsubscribe("g")
            b.close()
            equal(a.get().json["result"][0], -2)
        a.nothing()


@promise(2)
def a_request_times_out_once_with_an_error_in_the_log(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("slow")
        began = time.monotonic()
        seq = a.send(b"q", "slow", want_answer=True, timeout=50)
        answer = a.get()
        took = time.monotonic() - began
        equal(answer.json["result"][:1], [-3])
        equal(answer.header["reply"], seq)
        check(0.045 <= took < 5, took)
        bus.await_said("error")
        bus.await_said("slow")
        b.reply(b.get(), b"late")
        equal(a.get().body, b"late")
        b.close()
        await_members(a, "slow", [])
        a.nothing()


@promise(2, answer_timeout=60)
def else_the_configured_time_counts(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        for timeout in (..., 0, -5, "x", None):
            a.send(b"q", "g", want_answer=True, timeout=timeout)
            equal(a.get().json["result"][0], -3)
        a.send(b"q", "g", want_answer=True, timeout=100000)
        time.sleep(0.15)
        a.nothing()


@promise(2, max_outstanding=3)
def too_many_outstanding_are_refused(bus, _):
    with bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        for _ in range(3):
            a.send(b"q", "g", want_answer=True)
        seq = a.send(b"q", "g", want_answer=True)
        answer = a.get()
        equal((answer.json["result"][0], answer.header["reply"]), (-4, seq))
        requests = [b.get() for _ in range(3)]
        b.nothing()
        b.reply(requests[0], b"")
        a.get()
        a.send(b"q", "g", want_answer=True)
        b.get()


@promise(*BOTH, max_message=100000)
def too_large_is_answered_and_the_connection_lives(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        b.subscribe("g")
        seq = a.send(b"x" * 200000, "g", want_answer=True)
        answer = a.get()
        equal((answer.json["result"][0], answer.header["reply"]), (-7, seq))
        a.send(b"x" * 200000, "g")
        a.send(b"x" * 90000, "g")
        equal(len(b.get().body), 90000)
        if version == 2:
            equal(a.limits["max_message"], 100000)
            a.send(b"x", "g", attachments=[b"y" * 60000, b"z" * 60000], want_answer=True)
            equal(a.get().json["result"][0], -7)
        a.nothing()
        b.nothing()


# ---- Commands ---------------------------------------------------------------


@promise(*BOTH)
def clients_and_client_tell_what_is_known(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b:
        b.subscribe("g").subscribe("h", "i")
        a.send(b"x", "g")
        a.sync()
        code, listed = a.command("clients")
        equal(code, 0)
        known = {c["lname"]: c for c in listed}
        one = known[b.lname]
        equal((one["pid"], one["uid"], one["gid"], one["protocol"]), (os.getpid(), os.getuid(), os.getgid(), 1))
        equal(one["groups"], [["g", "*"], ["h", "i"]])
        equal((one["queued"], one["outstanding"]), (0, 0))
        check(one["received"] >= 3 and one["sent"] >= 2, one)
        equal(known[a.lname]["protocol"], version)
        equal(a.command("client", {"client": b.lname})[1]["groups"], one["groups"])
        answer = a.command("client", {"client": "nobody"})
        equal(answer[0], 1)
        check(isinstance(answer[1], str))


@promise(*BOTH)
def drop_closes_a_client(bus, version):
    with bus.connect(version) as a, bus.connect(version) as b:
        equal(a.command("drop", {"client": b.lname}), [0])
        check(b.is_closed())
        equal(a.command("drop", {"client": b.lname})[0], 1)
        equal(a.command("drop", {"client": a.lname}), [0])
        check(a.is_closed())


@promise(*BOTH)
def config_can_be_read_and_changed_all_or_nothing(bus, version):
    with bus.connect(version) as a:
        code, config = a.command("get_config")
        equal(code, 0)
        equal((config["answer_timeout"], config["stall_timeout"], config["queue_limit"], config["max_message"]),
              (30000, 5000, 4 << 20, 128 << 20))
        check({"max_clients", "max_outstanding", "log_level"} <= config.keys())
        answer = a.command("config_update", {"answer_timeout": 7, "wings": 2, "log_level": "loud", "max_clients": "x"})
        equal(answer[0], 1)
        equal(sorted(answer[2]["items"]), ["log_level", "max_clients", "wings"])
        equal(a.command("get_config")[1], config)
        equal(a.command("config_update", {"answer_timeout": 4321, "log_level": "debug"}), [0])
        equal(a.command("get_config")[1]["answer_timeout"], 4321)
        equal(a.command("config_update", {"answer_timeout": 30000, "log_level": "notice"}), [0])


@promise(2)
def trace_tells_what_happens(bus, _):
    with bus.connect(2) as t, bus.connect(1) as a, bus.connect(2) as b:
        equal(t.command("trace", {"filter": {"group": "tr*"}}), [0])
        b.subscribe("traced")
        b.subscribe("other")
        b.sync()
        a.put(b'{"type":"send","group":"traced","x":"\x01\t","to":"*"}', b"12345")
        a.send(b"", "other")
        a.send(b"", "traced-nobody", want_answer=True)
        a.sync()
        b.send(b"q", "traced", want_answer=True)
        b.sync()
        b.unsubscribe("traced")
        records = []
        for _ in range(5):
            message = t.get()
            equal(message.header["group"], "notifications/trace")
            equal(message.json["notification"][0], "message")
            records.append(message.json["notification"][1])
        equal([r["event"] for r in records], ["subscribe", "delivered", "norecipient", "norecipient", "unsubscribe"])
        one = records[1]
        equal((one["from"], one["to"], one["header"]["x"]), (a.lname, [b.lname], "\x01\t"))
        check(abs(one["time"] - time.time()) < 60 and one["size"] > 5)
        check("body" not in one and "code" not in one)
        equal(records[2]["code"], -1)
        t.nothing()
        equal(t.command("trace", {"filter": None}), [0])
        a.send(b"", "traced")
        a.sync()
        t.nothing()
        check(t.command("trace", {"filter": {"colour": "red"}})[0] == 1)
        check(t.command("trace", {"filter": 7})[0] == 1)


@promise(2)
def trace_tells_of_errors(bus, _):
    with bus.connect(2) as t, bus.connect(2) as a, bus.connect(2) as b:
        equal(t.command("trace", {"filter": {"type": "error"}}), [0])
        b.subscribe("g")
        seq = a.send(b"q", "g", want_answer=True)
        a.sync()
        b.close()
        record = t.get().json["notification"][1]
        equal((record["event"], record["code"], record["from"], record["header"]["seq"]), ("error", -2, a.lname, seq))
        a.get()


@promise(2)
def trace_filters_must_all_match_and_bodies_come_on_request(bus, _):
    with bus.connect(2) as t, bus.connect(1) as a, bus.connect(2) as b, bus.connect(2) as c:
        b.subscribe("g")
        c.subscribe("g")
        equal(t.command("trace", {"filter": {"from": a.lname, "to": b.lname, "type": "send"}, "body": True}), [0])
        a.send({"k": [1]}, "g")
        c.send(b"no", "g")
        a.send(b"\xff\xfe", None, to=b.lname)
        a.send(b"", None, to=c.lname)
        a.sync()
        c.sync()
        first = t.get().json["notification"][1]
        equal((first["body"], first["to"]), ({"k": [1]}, [b.lname, c.lname]))
        equal(t.get().json["notification"][1]["body_base64"], "//4=")
        t.nothing()
        t.send(b"", "notifications/trace")
        t.nothing()


@promise(2, queue_limit=65536)
def trace_drops_rather_than_blocks_and_says_how_many(bus, _):
    with bus.connect(2) as t, bus.connect(2) as a, bus.connect(2) as b:
        b.subscribe("g")
        equal(t.command("trace", {"filter": {"group": "g"}}), [0])
        for _ in range(40):
            for _ in range(100):
                a.send(b"x", "g", pad="p" * 200)
            for _ in range(100):
                b.get()
        records = dropped = 0
        while records + dropped < 4000:
            event, content = t.get().json["notification"]
            if event == "dropped":
                dropped += content["count"]
            else:
                records += 1
            if records + dropped < 4000 and not t.data:
                a.send(b"x", "g")
                b.get()
                records -= 1
        check(dropped > 0, records, dropped)


@promise(1, 2, fresh=True)
def shutdown_answers_closes_everyone_and_unlinks(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b, Client(bus.path, hello=False) as c:
        equal(a.command("shutdown"), [0])
        for x in (a, b, c):
            check(x.is_closed())
        equal(bus.process.wait(10), 0)
        check(not os.path.exists(bus.path))


@promise(1, 2, fresh=True)
def stop_closes_everyone_and_unlinks(bus, version):
    with bus.connect(version) as a, bus.connect(1) as b:
        a.put({"type": "stop"})
        for x in (a, b):
            check(x.is_closed())
        equal(bus.process.wait(10), 0)
        check(not os.path.exists(bus.path))


@promise(None, fresh=True)
def term_closes_everyone_and_unlinks(bus, _):
    with bus.connect(1) as a, bus.connect(2) as b:
        bus.process.send_signal(signal.SIGTERM)
        for x in (a, b):
            check(x.is_closed())
        equal(bus.process.wait(10), 0)
        check(not os.path.exists(bus.path))


# ---- Permission -------------------------------------------------------------


def as_user(bus, uid, script):
    """Runs lines of Python as another user: Client and path are at hand."""
    os.chmod(bus.directory, 0o755)
    os.chmod(bus.path, 0o777)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            exec(script, {"Client": Client, "path": bus.path})  # pylint: disable=exec-used
            os.write(writer, b"done")
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        words = said.read().decode()
    os.waitpid(child, 0)
    equal(words, "done")


@promise("root", fresh=True)
def what_changes_state_is_for_root_and_the_daemons_own_user(bus, _):
    if os.getuid():
        return
    as_user(bus, 12345, """
for version in (1, 2):
    a = Client(path, version)
    for name, arguments in (("drop", {"client": a.lname}), ("trace", {"filter": {}}), ("config_update", {"answer_timeout": 1}), ("shutdown", None)):
        assert a.command(name, arguments)[0] == -5, name
    assert a.command("members")[0] == 0 and a.command("get_config")[0] == 0 and a.command("clients")[0] == 0
    a.put({"type": "stop"})
    a.nothing()
""")


@promise("root", policy=[{"may": "control", "allow": True, "uid": 12345}, {"may": "own", "allow": False, "uid": 12345, "name": "Zone*"},
                         {"may": "subscribe", "allow": False, "gid": 12345, "name": "notifications/*"},
                         {"may": "send", "allow": False, "uid": 12345, "name": "Secret"}])
def a_policy_says_who_may_subscribe_send_and_own_a_name(bus, _):
    if os.getuid():
        return
    with bus.connect(2) as root, bus.connect(2) as watcher:
        root.subscribe("Secret").subscribe("ZoneMgr")
        # Who no rule is about may do all.
        equal(root.command("client", {"client": root.lname})[1]["groups"], [["Secret", "*"], ["ZoneMgr", "*"]])
        watcher.send(b"x", "Secret")
        equal(root.get().body, b"x")
        as_user(bus, 12345, f"""
a = Client(path, 2)
secret = {root.lname!r}
assert a.command("config_update", {{"answer_timeout": 30000}}) == [0]
a.subscribe("ZoneMgr").subscribe("notifications/cc_members").subscribe("Mine").subscribe("ZoneX", "i")
assert a.command("client", {{"client": a.lname}})[1]["groups"] == [["Mine", "*"], ["ZoneX", "i"]]
for to in ("*", secret, "Secret[0]", "Secret[?]"):
    seq = a.send(b"", "Secret" if to == "*" else "ZoneMgr", to=to, want_answer=True)
    answer = a.get()
    assert answer.json["result"][0] == -5, (to, answer)
a.send(b"x", "Event/e")
a.send(b"x", "Free")
a.nothing()
""")
        root.nothing()
        bus.await_said("may not subscribe")


# ---- The log ----------------------------------------------------------------


@promise("notice", "info", fresh=True)
def the_log_tells_what_is_noteworthy_by_level(bus, level):
    with bus.connect(2) as a:
        equal(a.command("config_update", {"log_level": level}), [0])
        with bus.connect(2) as b:
            lname = b.lname
        with bus.connect(1) as c:
            c.raw(b"\0\0\0\1\0\0")
            check(c.is_closed())
        a.send(b"", "nobody-there", want_answer=True)
        a.get()
        for words in ("lengths that contradict", "breaks the protocol", "dropped " + c.lname, "nobody-there", "no such recipient"):
            bus.await_said(words)
        equal(f"{lname} has connected" in bus.said(), level == "info")
        equal(f"{lname} has left" in bus.said(), level == "info")


@promise(2, fresh=True)
def the_log_has_a_limit(bus, _):
    with bus.connect(2) as a:
        for i in range(200):
            a.send(b"", f"nobody-{i}", want_answer=True)
            a.get()
        lines = [line for line in bus.said().splitlines() if "no such recipient" in line]
        check(0 < len(lines) <= 20, len(lines))


# ---- Start ------------------------------------------------------------------


@promise(None, fresh=True)
def a_second_broker_leaves_the_first_alone(bus, _):
    with bus.connect(1) as a:
        second = subprocess.run([bus.program, "-s", bus.path], capture_output=True, timeout=20, check=False)
        equal(second.returncode, 1)
        a.nothing()
        with bus.connect(2) as b:
            b.nothing()


@promise(None, fresh=True)
def a_path_that_nobody_serves_is_taken_over(bus, _):
    bus.process.kill()
    bus.process.wait()
    check(os.path.exists(bus.path))
    second = Broker(bus.program, arguments=["-s", bus.path])
    second.path = bus.path
    with second, second.connect(1) as a:
        a.nothing()


@promise("environment", "configuration", "option first")
def the_path_comes_from_option_environment_or_configuration(bus, source):
    path = os.path.join(bus.directory, "elsewhere")
    wrong = os.path.join(bus.directory, "wrong")
    if source == "environment":
        other = Broker(bus.program, {"BIND10_MSGQ_SOCKET_FILE": path}, [], socket=wrong)
    elif source == "configuration":
        other = Broker(bus.program, {"BIND10_MSGQ_SOCKET_FILE": ""}, [], socket=path)
    else:
        other = Broker(bus.program, {"BIND10_MSGQ_SOCKET_FILE": wrong}, ["-s", path], socket=wrong)
    other.path = path
    with other as broker, broker.connect(1) as a:
        a.nothing()
    check(not os.path.exists(path))


@promise(None)
def a_wrong_configuration_is_refused_with_every_mistake(bus, _):
    broker = Broker(bus.program, None, ["-s", bus.path + "2"], answer_timout=1, log_level="loud", max_clients=-1, policy=[{"may": "fly"}])
    equal(broker.process.wait(10), 1)
    for words in ("answer_timeout", "log_level", "max_clients", "subscribe"):
        check(words in broker.said(), words, broker.said())
    broker.stop()


@promise(None)
def systemds_socket_is_served_and_readiness_told(bus, _):
    import socket
    path = os.path.join(bus.directory, "activated")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(os.path.join(bus.directory, "notify"))
    told.settimeout(10)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    script = f"import os,sys; os.environ['LISTEN_PID']=str(os.getpid()); os.dup2({listener.fileno()},3); os.set_inheritable(3,True); os.execv(sys.argv[1],sys.argv[1:])"
    environment = dict(os.environ, LISTEN_FDS="1", NOTIFY_SOCKET=os.path.join(bus.directory, "notify"))
    process = subprocess.Popen([sys.executable, "-c", script, bus.program, "-s", path], env=environment, pass_fds=[listener.fileno()])
    try:
        equal(told.recv(100), b"READY=1")
        with Client(path, 2) as a:
            a.nothing()
    finally:
        process.terminate()
        process.wait(10)
        listener.close()
        told.close()
    check(os.path.exists(path))


@promise(None, max_clients=5)
def clients_beyond_the_limit_are_refused(bus, _):
    clients = [bus.connect(1) for _ in range(5)]
    with Client(bus.path, hello=False) as more:
        check(more.is_closed())
    clients[0].nothing()
    for c in clients:
        c.close()
    bus.await_said("max_clients")


# ---- Running ----------------------------------------------------------------


class Shared:
    """The broker that promises without options share."""

    def __init__(self, program):
        self.program, self.broker = program, None

    def get(self):
        if not self.broker or self.broker.process.poll() is not None:
            self.broker = Broker(self.program).ready()
            self.broker.program = self.program
            self.descriptors = None
        return self.broker


def run(shared, function, parameter, options):
    options = dict(options)
    if options:
        options.pop("fresh", None)
        with Broker(shared.program, **options) as broker:
            broker.program = shared.program
            baseline = settled_fds(broker)
            function(broker, parameter)
            if broker.process.poll() is None:
                broker.await_fds(baseline)
        return
    broker = shared.get()
    broker.await_fds(shared.descriptors) if shared.descriptors else None
    shared.descriptors = shared.descriptors or settled_fds(broker)
    function(broker, parameter)
    broker.await_fds(shared.descriptors)
    check(broker.process.poll() is None, "the broker has died")


def settled_fds(broker):
    with broker.connect(1) as a:
        a.nothing()
    count, since = broker.fds(), time.monotonic()
    while time.monotonic() - since < 0.05:
        if broker.fds() != count:
            count, since = broker.fds(), time.monotonic()
    return count


def main(promises=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    chosen = [p for p in promises or PROMISES if re.search(arguments.only, p[0].__name__)]
    shared = Shared(os.path.abspath(arguments.broker))
    print(f"1..{len(chosen)}")
    failed = 0
    for number, (function, parameter, options) in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ") + (f" ({parameter!r})" if parameter is not None else "")
        try:
            run(shared, function, parameter, options)
            print(f"ok {number} - {name}", flush=True)
        except (Exception, Closed):  # noqa: B014
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {number} - {name}", flush=True)
    if shared.broker:
        try:
            shared.broker.stop()
        except AssertionError as error:
            print("#", error)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
