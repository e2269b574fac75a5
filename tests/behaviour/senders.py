#!/usr/bin/env python3
"""Senders that are admitted by name: judged without ever holding a receiver, whatever the name server does.

Runs in a network and a mount namespace of its own, with a name server that the test plays on port 53.
"""
import os
import socket
import struct
import sys
import tempfile
import threading

import namespaces
from harness import PATIENCE_SECONDS, Place, Skip, argument, promise, read, run, wait
from namespaces import CLONE_NEWNET, CLONE_NEWNS, LIBC, MS_BIND, check
from ports import free_port

PTR, SOA = 12, 6
RESOLVER = "nameserver 127.0.0.1\noptions timeout:{patience} attempts:1\n"
FILES = {"resolv.conf": RESOLVER.format(patience=30), "hosts": "127.0.0.1 localhost\n",
         "nsswitch.conf": "hosts: files dns\n"}


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class NameServer(threading.Thread):
    """Answers for addresses of 127.0.0.0/8 from `names`: address -> (name, seconds); dead: not at all."""

    def __init__(self):
        super().__init__(daemon=True)
        self.names = {}
        self.is_dead = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(4096)
            if not self.is_dead:
                self.socket.sendto(self.answer(question), peer)

    def answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        asked = question[12:at + 5]
        found = self.names.get(".".join(reversed(labels[:4])))
        if found:
            data = encode(found[0])
            record = b"\xc0\x0c" + struct.pack(">HHIH", PTR, 1, found[1], len(data)) + data
            return question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + asked + record
        data = encode("ns") + encode("me") + struct.pack(">IIIII", 1, 2, 3, 4, 1)
        record = b"\xc0\x0c" + struct.pack(">HHIH", SOA, 1, 1, len(data)) + data
        return question[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 1, 0) + asked + record


def enter_namespaces():
    namespaces.enter(CLONE_NEWNS | CLONE_NEWNET)
    namespaces.make_mounts_private()
    directory = tempfile.mkdtemp(prefix="penstock-")
    check(LIBC.mount(b"none", directory.encode(), b"tmpfs", 0, None), "no tmpfs")
    for name, text in FILES.items():
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        target = os.path.realpath("/etc/" + name)
        if not os.path.exists(target):
            raise Skip(f"there is no {target} to put another in the place of")
        check(LIBC.mount(path.encode(), target.encode(), None, MS_BIND, None), f"{target} cannot be replaced")
    namespaces.raise_loopback()
    LIBC.umount2(directory.encode(), 2)
    os.rmdir(directory)
    return NameServer()


STAGE = {}


def name_server(patience=30):
    """`patience`: seconds after which a name server that is silent counts as one that knows no name; 30 at most."""
    if "skip" in STAGE:
        raise Skip(STAGE["skip"])
    if "server" not in STAGE:
        try:
            STAGE["server"] = enter_namespaces()
        except Skip as skip:
            STAGE["skip"] = str(skip)
            raise
    server = STAGE["server"]
    server.is_dead = False
    server.names = {}
    with open("/etc/resolv.conf", "w", encoding="ascii") as file:
        file.write(RESOLVER.format(patience=patience))
    return server


CONFIG = """
global(processInternalMessages="on")
module(load="imudp")
module(load="imtcp")
template(name="m" type="string" string="%fromhost% %msg%\\n")
template(name="own" type="string" string="%msg%\\n")
input(type="imudp" port="@PORT@" address="127.0.0.1" ruleset="r" rcvbufSize="64m" @SENDERS@)
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/tcp" ruleset="r" @SENDERS@)
ruleset(name="r") { action(type="omfile" file="@DIR@/out" template="m") }
action(type="omfile" file="@DIR@/own" template="own")
"""

DISK = 'global(workDirectory="@DIR@")\nmain_queue(queue.type="Disk" queue.filename="q" queue.syncQueueFiles="on")\n'


def start(place, senders, extra=""):
    port = free_port()
    config = extra + CONFIG.replace("@PORT@", str(port)).replace("@SENDERS@", f"allowedSender={senders}")
    return place.daemon(config), port


def send(port, address, first, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((address, 0))
        for i in range(first, first + count):
            sender.sendto(f"<13>Oct 11 22:14:15 host tag: {i}".encode(), ("127.0.0.1", port))


@promise
def a_name_admits_or_refuses_and_the_order_is_kept():
    server = name_server()
    server.names = {"127.0.0.2": ("a.good.test", 60), "127.0.0.3": ("b.bad.test", 60), "127.0.0.4": ("x.test", 60)}
    with Place() as place:
        daemon, port = start(place, '["*.good.test", "x.test"]')
        send(port, "127.0.0.2", 0, 500)
        send(port, "127.0.0.3", 1000, 5)
        send(port, "127.0.0.4", 2000, 5)
        wait(lambda: len(place.lines("out")) == 505, "the messages of both that may send")
        good = [line for line in place.lines("out") if line.startswith("a.good.test")]
        assert good == [f"a.good.test  {i}" for i in range(500)]
        assert [line for line in place.lines("out") if "x.test" in line] == [f"x.test  {i}" for i in range(2000, 2005)]
        wait(lambda: "message from disallowed sender discarded (b.bad.test, 127.0.0.3)" in place.read("own"),
             "the report of the other")
        assert daemon.stop() == 0


@promise
def a_name_decides_before_a_queue_on_disk_and_behind_it():
    server = name_server()
    server.names = {"127.0.0.2": ("a.good.test", 60), "127.0.0.3": ("b.bad.test", 60)}
    with Place() as place:
        for kind in "Disk", "LinkedList":
            daemon, port = start(place, '"*.good.test"', DISK.replace('"Disk"', f'"{kind}"'))
            send(port, "127.0.0.3", 1000, 50)
            send(port, "127.0.0.2", 0, 500)
            wait(lambda: len(place.lines("out")) >= 500, "the messages of the one that may send")
            wait(lambda: "disallowed sender" in place.read("own"), "the report of the other")
            assert daemon.stop() == 0
            assert place.lines("out") == [f"a.good.test  {i}" for i in range(500)]
            os.unlink(place.file("out"))
            os.unlink(place.file("own"))


def is_stored(place, number):
    """Whether the queue on disk holds the message: a worker may have it before it is written."""
    name = place.file("q.store")
    return any(f"tag: {number}".encode() in read(os.path.join(name, file)) for file in os.listdir(name))


@promise
def what_waits_for_a_name_in_a_queue_on_disk_survives_and_is_judged_after_the_restart():
    for is_killed in False, True:
        server = name_server()  # The first daemon is gone before it gives up asking.
        with Place() as place:
            daemon, port = start(place, '["*.good.test", "127.0.0.1"]', DISK)
            server.is_dead = True
            send(port, "127.0.0.2", 0, 50)
            send(port, "127.0.0.3", 1000, 50)
            send(port, "127.0.0.1", 2000, 1)
            wait(lambda: place.read("out").endswith(" 2000\n"), "that a worker has seen them")
            if is_killed:
                wait(lambda: is_stored(place, 49) and is_stored(place, 1049), "that the queue has written them")
                daemon.process.kill()
                daemon.process.wait(PATIENCE_SECONDS)
                os.unlink(daemon.pid_file)
            else:
                assert daemon.stop() == 0
            server.names = {"127.0.0.2": ("a.good.test", 60), "127.0.0.3": ("b.bad.test", 60)}
            server.is_dead = False
            daemon, _ = start(place, '["*.good.test", "127.0.0.1"]', DISK)
            wait(lambda: "a.good.test  49" in place.lines("out"), "the messages of the one that may send")
            wait(lambda: "discarded (b.bad.test, 127.0.0.3)" in place.read("own"), "the report of the other")
            assert daemon.stop() == 0
            good = [line for line in place.lines("out") if line.startswith("a.good.test")]
            assert good == [f"a.good.test  {i}" for i in range(50)]
            assert "b.bad" not in place.read("out") and "127.0.0.3" not in place.read("out")


@promise
def a_connection_is_judged_by_name_too():
    server = name_server()
    server.names = {"127.0.0.2": ("a.good.test", 60), "127.0.0.3": ("b.bad.test", 60)}
    with Place() as place:
        daemon, _ = start(place, '"*.good.test"')
        for address in "127.0.0.3", "127.0.0.2":
            with socket.create_connection(("127.0.0.1", daemon.port("tcp")), source_address=(address, 0)) as connection:
                connection.sendall(b"".join(b"<13>Oct 11 22:14:15 host tag: %d\n" % i for i in range(50)))
        wait(lambda: len(place.lines("out")) == 50, "the messages of the one that may send")
        wait(lambda: "disallowed sender" in place.read("own"), "the report of the other")
        assert daemon.stop() == 0
        assert place.lines("out") == [f"a.good.test  {i}" for i in range(50)]


@promise
def a_name_that_reads_as_an_address_is_none():
    server = name_server()
    server.names = {"127.0.0.4": ("10.0.0.1", 60)}
    with Place() as place:
        daemon, port = start(place, '["10.0.0.1", "good.test"]')
        send(port, "127.0.0.4", 0, 3)
        wait(lambda: "disallowed sender discarded (127.0.0.4, 127.0.0.4)" in place.read("own"), "the report")
        assert daemon.stop() == 0
        assert not place.read("out")


@promise
def an_answer_holds_as_long_as_the_name_server_says():
    server = name_server()
    server.names = {"127.0.0.7": ("x.good.test", 1)}
    with Place() as place:
        daemon, port = start(place, '"*.good.test"')
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.7", 0))

            def say():
                sender.sendto(b"<13>Oct 11 22:14:15 host tag: x", ("127.0.0.1", port))

            say()
            wait(lambda: place.read("out"), "the first message")
            server.names = {"127.0.0.7": ("x.bad.test", 1)}

            def is_refused():
                say()
                return "disallowed sender discarded (x.bad.test" in place.read("own")

            wait(is_refused, "that the new name counts")
        assert daemon.stop() == 0


@promise
def a_dead_name_server_costs_no_message_of_those_who_may_send():
    server = name_server(patience=1)
    server.is_dead = True
    count = 150000  # What the buffer of the socket holds, should the machine have no time for the daemon.
    with Place() as place:
        daemon, port = start(place, '["127.0.0.1", "*.good.test"]')
        unknown = threading.Thread(target=send, args=(port, "127.0.0.9", 0, 5000))
        unknown.start()
        done = place.run(argument("penstock"), "flood", f"udp:127.0.0.1:{port}", "--messages", str(count), "--rate",
                         "100000", seconds=60)
        unknown.join()
        assert done.returncode == 0, done.stderr
        wait(lambda: place.read("out").count("\n") >= count, "every message of the sender that may send")
        assert daemon.stop() == 0
        assert all(line.startswith(("127.0.0.1 ", "localhost ")) for line in place.lines("out"))
        assert len(place.lines("out")) == count


@promise
def what_unknown_senders_keep_waiting_is_bounded():
    server = name_server(patience=1)
    server.is_dead = True
    with Place() as place:
        daemon, port = start(place, '["127.0.0.1", "*.good.test"]', 'main_queue(queue.size="2000")\n')
        send(port, "127.0.0.9", 0, 1000)
        wait(lambda: "more than 200 messages wait for the names of their senders" in place.read("own"), "the report")
        send(port, "127.0.0.1", 0, 5)
        wait(lambda: len(place.lines("out")) == 5, "the messages of another")
        assert daemon.stop() == 0


if __name__ == "__main__":
    run()
    sys.exit(0)
