#!/usr/bin/env python3
"""Promises of the Python binding, over the shared library and a real broker.

    binding.py --broker build/src/bus/penstock-bus --library build/src/bus/libpenstock-bus.so.1
"""
import argparse
import asyncio
import ctypes
import json
import os
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
from wire import Broker, pack  # noqa: E402

PROMISES = []


def promise(function):
    PROMISES.append(function)
    return function


def until(condition, *buses):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        for bus in buses:
            bus.wait(0.01)


def in_background(path):
    """A service in a process of its own."""
    from penstock_bus import Bus, BusError
    child = os.fork()
    if child:
        return child
    later = []

    def get_zone_count(class_: str = "IN"):
        """How many zones there are."""
        if class_ == "XX":
            raise BusError(5, "no such class", {"class": class_})
        return {"IN": 42, "CH": 1}[class_]

    def defer(request_):
        later.append(request_)
        return NotImplemented

    def echo(request_):
        request_.answer("ok", [Fd(a) if isinstance(a, Fd) else a for a in request_.message.attachments])
        return NotImplemented

    from penstock_bus import Fd
    try:
        with Bus(path) as bus:
            bus.serve("ZoneMgr", {"get_zone_count": get_zone_count, "defer": defer, "echo": echo}, "Zones")
            bus.on_event("go", lambda **_: [r.answer("late") for r in later])
            while True:
                try:
                    bus.wait()
                except KeyError:
                    pass
    except OSError:
        pass
    os._exit(0)


@promise
def call_sync_returns_the_value(bus, _):
    assert bus.call_sync("ZoneMgr", "get_zone_count", class_="IN") == 42
    assert bus.call_sync("ZoneMgr", "get_zone_count", class_="CH") == 1
    assert bus.call_sync("ZoneMgr[0]", "get_zone_count") == 42


@promise
def an_error_is_an_exception_with_code_text_and_data(bus, _):
    from penstock_bus import BusError
    for to, arguments, code, text, data in (("ZoneMgr", {"class_": "XX"}, 5, "no such class", {"class": "XX"}),
                                            ("Nobody", {}, -1, "No such recipient", None),
                                            ("ZoneMgr", {"class_": "?"}, 1, "KeyError", None),
                                            ("ZoneMgr", {"class_": 7}, 1, "string", None),
                                            ("ZoneMgr", {"wings": 7}, 1, "wings", None)):
        try:
            bus.call_sync(to, "get_zone_count", **arguments)
            raise AssertionError("no error")
        except BusError as error:
            assert error.code == code and text in error.text and error.data == data, (error, error.data)
    try:
        bus.call_sync("ZoneMgr", "defer", timeout_=0.03)
        raise AssertionError("no error")
    except BusError as error:
        assert error.code == -3


@promise
def a_call_has_one_callback(bus, _):
    seen = []
    bus.call("ZoneMgr", "get_zone_count", lambda value, error: seen.append((value, error)))
    bus.call("Nobody", "x", lambda value, error: seen.append((value, error.code)))
    assert not seen
    until(lambda: len(seen) == 2, bus)
    assert sorted(seen, key=str) == sorted([(42, None), (None, -1)], key=str), seen


@promise
def many_calls_have_one_callback_in_order(bus, _):
    seen = []
    bus.call_many([("ZoneMgr", "get_zone_count", {"class": c}) for c in ("CH", "IN", "XX", "CH")], seen.append)
    until(lambda: seen, bus)
    assert [value for value, _ in seen[0]] == [1, 42, None, 1]
    assert seen[0][2][1].code == 5


@promise
def answers_may_come_later(bus, _):
    seen = []
    bus.call("ZoneMgr", "defer", lambda value, error: seen.append(value))
    bus.call_sync("ZoneMgr", "get_zone_count")
    bus.notify("go")
    until(lambda: seen, bus)
    assert seen == ["late"]


@promise
def events_reach_their_callbacks(bus, path):
    from penstock_bus import Bus
    seen = []
    bus.on_event("tick", lambda n, class_=None: seen.append(n))
    bus.call_sync("Msgq", "members")
    with Bus(path) as other:
        other.notify("tick", n=1)
        other.notify("tick", n="\u00fc")
        until(lambda: len(seen) == 2, bus)
    assert seen == [1, "\u00fc"]


@promise
def attachments_go_both_ways(bus, path):
    from penstock_bus import Bus, Fd
    got = []
    r, w = os.pipe()
    with Bus(path) as other:
        other.subscribe("files", got.append)
        other.call_sync("Msgq", "members")
        bus.send({"x": 1}, "files", attachments=[b"", Fd(w), b"blob"])
        os.close(w)
        until(lambda: got, other)
    message = got.pop()
    assert message.value == {"x": 1} and message.group == "files" and message.sender == bus.lname
    blobs = message.attachments
    assert blobs[0] == b"" and blobs[2] == b"blob" and isinstance(blobs[1], Fd)
    fd = message.take_fd(1)
    os.write(fd, b"y")
    os.close(fd)
    del message, blobs
    assert os.read(r, 10) == b"y" and os.read(r, 10) == b""
    os.close(r)


@promise
def an_exception_of_a_callback_comes_out_of_process(bus, path):
    from penstock_bus import Bus
    bus.on_event("boom", lambda **_: 1 / 0)
    bus.call_sync("Msgq", "members")
    with Bus(path) as other:
        other.notify("boom")
        other.flush()
        try:
            until(lambda: False, bus)
        except ZeroDivisionError:
            return
    raise AssertionError("it was lost")


@promise
def a_service_describes_itself(bus, _):
    described = bus.call_sync("ZoneMgr", "describe")
    commands = {c["command_name"]: c for c in described["commands"]}
    assert commands["get_zone_count"]["command_description"] == "How many zones there are."
    argument = commands["get_zone_count"]["command_args"][0]
    assert (argument["item_name"], argument["item_type"], argument["item_optional"]) == ("class", "string", True), argument


@promise
def other_c_code_gets_the_same_connection(bus, _):
    from penstock_bus import _c
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    pointer = get(bus.capsule, b"penstock_bus")
    assert pointer == bus.pointer
    assert _c.penstock_bus_lname(pointer).decode() == bus.lname
    assert _c.penstock_bus_fd(pointer) == bus.fileno()


@promise
def it_works_in_a_foreign_loop(bus, path):
    from penstock_bus import Bus
    seen = []

    async def serve():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        bus.on_event("tick", lambda n: seen.append(n) or (n == 9 and ended.set_result(None)))
        bus.call("ZoneMgr", "get_zone_count", lambda value, error: seen.append((value, error)))
        loop.add_reader(bus.fileno(), bus.process)
        bus.call("Msgq", "members", lambda *_: [other.notify("tick", n=n) for n in range(10)] and other.flush())
        await asyncio.wait_for(ended, 10)
        loop.remove_reader(bus.fileno())

    with Bus(path) as other:
        asyncio.run(serve())
    assert (42, None) in seen and [n for n in seen if n != (42, None)] == list(range(10)), seen


@promise
def an_old_broker_is_spoken_to_in_version_one(_, __):
    """It ignores the member `protocol`, and answers as it always did."""
    from penstock_bus import Bus, _c
    asked = []

    def serve(listener):
        with listener.accept()[0] as peer, peer.makefile("rwb", buffering=0) as stream:
            def take():
                length, = struct.unpack(">I", stream.read(4))
                rest = b""
                while len(rest) < length:
                    rest += stream.read(length - len(rest))
                size, = struct.unpack(">H", rest[:2])
                return json.loads(rest[2:2 + size]), rest[2 + size:]
            asked.append(take())
            asked.append(select.select([peer], [], [], 0)[0])
            stream.write(pack({"type": "getlname"}, {"lname": "1_2@old"}))
            asked.append(take())

    with tempfile.TemporaryDirectory(prefix="bus.") as place, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(place, "socket")
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        with Bus(path) as bus:
            assert bus.lname == "1_2@old" and _c.penstock_bus_protocol(bus.pointer) == 1
            bus.send(b"body", group="g")
            bus.flush()
            thread.join(10)
    assert asked[0] == ({"type": "getlname", "protocol": 2}, b"") and asked[1] == [], asked
    assert asked[2][0]["group"] == "g" and asked[2][1] == b"body", asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--library", required=True)
    arguments = parser.parse_args()
    os.environ["PENSTOCK_BUS_LIBRARY"] = os.path.abspath(arguments.library)
    from penstock_bus import Bus
    print(f"1..{len(PROMISES)}")
    failed = 0
    with Broker(arguments.broker) as broker:
        service = in_background(broker.path)
        for number, function in enumerate(PROMISES, 1):
            name = function.__name__.replace("_", " ")
            try:
                with Bus(broker.path) as bus:
                    until(lambda: bus.call_sync("Msgq", "members", group="ZoneMgr"))
                    before = len(os.listdir("/proc/self/fd"))
                    function(bus, broker.path)
                    assert len(os.listdir("/proc/self/fd")) == before, "descriptors leak"
                print(f"ok {number} - {name}", flush=True)
            except BaseException:
                failed += 1
                for line in traceback.format_exc().splitlines():
                    print("#", line)
                print(f"not ok {number} - {name}", flush=True)
    os.waitpid(service, 0)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
