#!/usr/bin/env python3
"""Size and pressure: many rules, files and connections, signals under load, outputs that block."""
import os
import resource
import socket
import threading
import time

from harness import PATIENCE_SECONDS, Place, Skip, memory_bytes, numbered, promise, run, send_tcp, wait

TCP = """
module(load="imtcp" maxSessions="5000")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="m" type="string" string="%msg%\\n")
"""
MEMORY_BYTES_MAX = 250 << 20
# What a queue of so many messages may take: a batch holds 400 KiB, and one of more than 64 messages waits as it is.
QUEUED_MAX = MEMORY_BYTES_MAX // (400 << 10) * 64 * 3 // 4


@promise
def two_thousand_rules_are_all_in_effect():
    rules = "".join(f'if $programname == "p{i}" then action(type="omfile" file="@DIR@/rule{i % 7}" template="m")\n'
                    for i in range(1000))
    rules += "".join(f':msg, contains, "word{i}-"  @DIR@/word{i % 5};m\n' for i in range(1000))
    with Place() as place:
        daemon = place.daemon(TCP + rules)
        send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 host p{i}: {i} word{i}-\n" for i in range(1000)))
        for i in range(7):
            count = len(range(i, 1000, 7))
            wait(lambda i=i, count=count: len(place.lines(f"rule{i}")) == count, f"what belongs into rule{i}")
        for i in range(5):
            wait(lambda i=i: len(place.lines(f"word{i}")) == 200, f"what belongs into word{i}")
        assert daemon.stop() == 0


@promise
def a_thousand_dynamic_files_are_each_complete():
    with Place() as place:
        daemon = place.daemon(TCP + """
template(name="by-host" type="string" string="@DIR@/hosts/%hostname%.log")
action(type="omfile" dynaFile="by-host" dynaFileCacheSize="100" template="m")
""")
        with socket.create_connection(("127.0.0.1", daemon.port("port"))) as connection:
            for turn in range(5):
                connection.sendall("".join(numbered(turn, 1, f"h{i}") for i in range(1000)).encode())
        wanted = "".join(f" {turn}\n" for turn in range(5))
        for i in range(1000):
            wait(lambda i=i: place.read(f"hosts/h{i}.log") == wanted, f"the five messages of h{i}")
        assert daemon.stop() == 0


@promise
def two_thousand_connections_are_held_in_bounded_memory():
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count * 5 // 4:
        raise Skip(f"only {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * count)), hard))
    with Place() as place:
        daemon = place.daemon(TCP + 'action(type="omfile" file="@DIR@/out" template="m")\n')
        port = daemon.port("port")
        before = memory_bytes(daemon.process.pid)
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        try:
            for i, connection in enumerate(connections):
                connection.sendall(numbered(i, 1).encode())
            wait(lambda: len(place.lines("out")) == count, "a message of each connection")
            assert sorted(int(line) for line in place.lines("out")) == list(range(count))
            grown = memory_bytes(daemon.process.pid) - before
            assert grown < count * 16384, f"{grown // count} bytes a connection"
        finally:
            for connection in connections:
                connection.close()
        assert daemon.stop() == 0


@promise
def without_descriptors_connections_wait_until_there_are_some():
    with Place() as place:
        daemon = place.daemon(TCP + 'action(type="omfile" file="@DIR@/out" template="m")\n')
        port = daemon.port("port")
        send_tcp(port, numbered(0, 1))
        wait(lambda: place.read("out") == " 0\n", "the first message")
        pid = daemon.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        few = len(os.listdir(f"/proc/{pid}/fd")) + 4
        began = time.monotonic()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, hard))
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        complaint = "error accepting connection"
        wait(lambda: complaint in daemon.stderr(), "the complaint")
        for i, connection in enumerate(connections):
            connection.sendall(numbered(i + 1, 1).encode())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        wait(lambda: all(f" {i + 1}\n" in place.read("out") for i in range(20)), "what the waiting connections brought")
        # It rests a second after each failure, instead of being ready for ever.
        assert daemon.stderr().count(complaint) <= 2 + time.monotonic() - began
        for connection in connections:
            connection.close()
        assert daemon.stop() == 0


@promise
def many_hups_under_load_lose_and_double_nothing():
    count = 100000
    with Place() as place:
        daemon = place.daemon(TCP + 'action(type="omfile" file="@DIR@/out" template="m")\n')
        port = daemon.port("port")
        sender = threading.Thread(target=send_tcp, args=(port, numbered(0, count)))
        sender.start()
        hups = 0
        while sender.is_alive() or hups < 50:
            daemon.hup()
            hups += 1
            sender.join(0.005)
        wait(lambda: len(place.lines("out")) >= count, f"{count} messages after {hups} HUPs")
        assert [int(line) for line in place.lines("out")] == list(range(count))
        assert daemon.stop() == 0


class Pressure(threading.Thread):
    """Sends until it is told to stop; a full queue makes it wait."""

    LINE_BYTES = 1000

    def __init__(self, port):
        super().__init__(daemon=True)
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.settimeout(0.2)
        self.goes_on = True
        self.sent_bytes = 0

    def run(self):
        line = memoryview(b"<13>Oct 11 22:14:15 host tag: ".ljust(self.LINE_BYTES - 1, b"x") + b"\n")
        at = 0
        while self.goes_on:
            try:
                n = self.connection.send(line[at:])
                at = (at + n) % len(line)
                self.sent_bytes += n
            except socket.timeout:
                pass

    def is_held(self):
        """Nothing could be sent for a moment."""
        before = self.sent_bytes
        self.join(0.5)
        return self.sent_bytes == before


@promise
def an_output_that_blocks_holds_the_sender_and_memory_stays_bounded():
    queue_size = QUEUED_MAX // 2
    with Place() as place, socket.create_server(("127.0.0.1", 0)) as sink:
        daemon = place.daemon(TCP + f"""
main_queue(queue.size="{queue_size}" queue.timeoutEnqueue="600000")
action(type="omfwd" target="127.0.0.1" port="{sink.getsockname()[1]}" protocol="tcp" queue.type="LinkedList"
       queue.size="{queue_size}" queue.timeoutEnqueue="600000" queue.timeoutShutdown="1")
""")
        pressure = Pressure(daemon.port("port"))
        pressure.start()
        try:
            # A daemon that gets no processor for a moment takes nothing either: only a full one holds for good.
            wait(lambda: pressure.sent_bytes >= 2 * queue_size * Pressure.LINE_BYTES and pressure.is_held(),
                 "the sender to be held, and not before the queues are full")
            used = memory_bytes(daemon.process.pid)
            assert used < MEMORY_BYTES_MAX, f"{used >> 20} MiB"
        finally:
            pressure.goes_on = False
            pressure.join(PATIENCE_SECONDS)
            pressure.connection.close()
        accepted, _ = sink.accept()
        accepted.close()
        daemon.stop()


run()
