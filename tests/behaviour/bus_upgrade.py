#!/usr/bin/env python3
"""penstock upgrade: one penstockd replaces another, and nothing is lost on the way."""
import json
import os
import re
import select
import socket
import subprocess
import threading
import time

from harness import PATIENCE_SECONDS, Place, argument, promise, read, run, wait
from ports import free_port

CONFIG = """
global(bus.socket="@DIR@/bus" workDirectory="@DIR@")
module(load="imudp" threads="2")
module(load="imtcp")
module(load="imptcp")
module(load="imfile")
module(load="imuxsock" sysSock.use="off")
input(type="imudp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/udp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/tcp")
input(type="imptcp" path="@DIR@/stream")
input(type="imuxsock" socket="@DIR@/log")
input(type="imfile" file="@DIR@/followed" tag="file:")
template(name="m" type="string" string="%msg%\\n")
action(name="out" type="omfile" file="@DIR@/out" template="m")
"""


def upgrade(place, *words, wrong=False):
    done = place.run(argument("penstock"), "upgrade", "--socket", place.file("bus"), *words)
    assert (done.returncode != 0) == wrong, (done.returncode, done.stdout, done.stderr)
    return done.stderr if wrong else done.stdout


def is_gone(pid):
    """Ended, though perhaps nobody has asked for its status yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


class Successors:
    """Ends, at last, the processes that took over: they are children of those before them."""

    def __init__(self, place, daemon):
        self.place, self.daemon = place, daemon

    def __enter__(self):
        return self

    def pid(self):
        return int(read(self.daemon.pid_file) or b"0")

    def stop(self):
        pid = self.pid()
        os.kill(pid, 15)
        wait(lambda: is_gone(pid), "the end of the last one")

    def __exit__(self, *_):
        pid = self.pid()
        if pid and not is_gone(pid):
            os.kill(pid, 9)


def dropped(port):
    """What the kernel has dropped on the sockets of a port."""
    lines = read("/proc/net/udp").decode().splitlines()[1:]
    return sum(int(line.split()[12]) for line in lines if int(line.split()[1].split(":")[1], 16) == port)


def go_on(loads, before):
    """Each has sent more since then."""
    assert not any(load.failed for load in loads), [(load.label, load.failed) for load in loads]
    return all(load.sent > n + 50 for load, n in zip(loads, before))


class Load(threading.Thread):
    """Something that sends numbered messages until it is told to stop."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.label, self.sent, self.failed, self.ends = name, 0, [], False

    def run(self):
        try:
            while not self.ends:
                self.send(f"<13>Oct 11 22:14:15 host tag: {self.label} {self.sent}".encode())
                self.sent += 1
                time.sleep(0.0005)  # a rate that the machine bears beside its other work
        except OSError as error:
            self.failed.append(error)

    def stop(self):
        self.ends = True
        self.join(PATIENCE_SECONDS)
        assert not self.failed, (self.label, self.failed)
        return self.sent


class Datagrams(Load):
    def __init__(self, port):
        super().__init__("udp")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))

    def send(self, message):
        self.socket.send(message)


class LocalDatagrams(Load):
    def __init__(self, path):
        super().__init__("local")
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def send(self, message):
        self.socket.sendto(message, self.path)


class Connections(Load):
    """One for each message."""

    def __init__(self, family, address, name):
        super().__init__(name)
        self.family, self.address = family, address

    def send(self, message):
        with socket.socket(self.family, socket.SOCK_STREAM) as connection:
            # Without a time-out, since that would make a full backlog of a local socket a failure.
            connection.connect(self.address)
            connection.sendall(message + b"\n")


class Relp(Load):
    """Sends over RELP and remembers what was acknowledged; a sender that is closed on sends again what was not."""

    def __init__(self, port, name, messages_a_session):
        super().__init__(name)
        self.port, self.limit = port, messages_a_session
        self.connection, self.stream, self.number, self.sessions = None, None, 0, 0

    def ask(self, command, data):
        """Its answer's number has come: the receiver has taken it."""
        self.number += 1
        self.connection.sendall(b"%d %s %d %s\n" % (self.number, command, len(data), data))
        head = self.stream.readline()
        if head.endswith(b"serverclose 0\n"):
            raise ConnectionResetError
        words = head.split(b" ", 3)
        if len(words) < 4 or int(words[0]) != self.number:
            raise ConnectionResetError
        left = int(words[2]) + 1 - len(words[3])
        rest = words[3] + self.stream.read(left)
        assert words[1] == b"rsp" and rest.startswith(b"200 OK"), (head, rest)

    def open(self):
        self.connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)
        self.stream = self.connection.makefile("rb")
        self.number, self.sessions = 0, self.sessions + 1
        self.ask(b"open", b"relp_version=0\nrelp_software=test\ncommands=syslog")

    def close(self):
        if self.connection:
            self.stream.close()
            self.connection.close()
            self.connection = None

    def send(self, message):
        while True:
            try:
                if not self.connection or self.number > self.limit:
                    self.close()
                    self.open()
                self.ask(b"syslog", message)
                return
            except (ConnectionResetError, BrokenPipeError):
                self.close()

    def stop(self):
        sent = super().stop()
        self.close()
        return sent


@promise
def what_was_acknowledged_over_relp_is_there_whoever_took_it():
    with Place() as place:
        place.file("followed", "")
        port = free_port()
        relp = 'module(load="imrelp")\ninput(type="imrelp" port="%d" address="127.0.0.1")\n' % port
        daemon = place.daemon(CONFIG + relp)
        with Successors(place, daemon) as successors:
            loads = [Relp(port, "brief", 20), Relp(port, "long", 10**9)]
            for load in loads:
                load.start()
            wait(lambda: all(load.sent > 50 for load in loads), "the load")
            for _ in range(2):
                old, before, sessions = successors.pid(), [load.sent for load in loads], loads[1].sessions
                upgrade(place, "--drain", "1")
                wait(lambda: is_gone(old), "the end of the old one")
                wait(lambda: go_on(loads, before), "the load on the new one")
                assert loads[1].sessions == sessions + 1, "a session that goes on ends with the old process"
            sent = {load.label: load.stop() for load in loads}
            successors.stop()
            got = {line.split()[-2] + " " + line.split()[-1] for line in place.lines("out")}
            missing = [f"{label} {n}" for label in sent for n in range(sent[label]) if f"{label} {n}" not in got]
            assert not missing, (len(missing), missing[:5], sent)


DURABLE = """
global(bus.socket="@DIR@/bus" workDirectory="@DIR@")
module(load="imrelp")
input(type="imrelp" port="%d" address="127.0.0.1")
main_queue(queue.type="Disk" queue.fileName="main" queue.syncQueueFiles="on")
template(name="m" type="string" string="%%msg%%\\n")
action(type="omfwd" target="127.0.0.1" port="%d" protocol="tcp" template="m" action.resumeRetryCount="-1"
       action.resumeInterval="1")
"""


class Unhurried(Relp):
    """Sends messages without waiting for their answers."""

    def offer(self, messages):
        self.open()
        for message in messages:
            self.number += 1
            data = b"<13>Oct 11 22:14:15 host tag: " + message.encode()
            self.connection.sendall(b"%d syslog %d %s\n" % (self.number, len(data), data))

    def answers(self, count):
        return [int(self.stream.readline().split(b" ")[0]) for _ in range(count)]

    def has_answers(self):
        return bool(select.select([self.connection], [], [], 0)[0])


class Destination:
    """Where messages go that nobody took so far."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.got = set()
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            try:
                with self.listener.accept()[0] as connection, connection.makefile("r", encoding="ascii") as lines:
                    for line in lines:
                        self.got.add(line.strip())
            except OSError:
                return


def received_by_main_queue(place):
    """Of the process that has the bus now."""
    told = place.run(argument("penstock"), "bus", "call", "--socket", place.file("bus"), "Penstock", "queue.list")
    return sum(int(n) for n in re.findall(r'"enqueued":\s*(\d+)', told.stdout))


def kill_the_new_one(successors):
    pid = successors.pid()
    os.kill(pid, 9)
    wait(lambda: is_gone(pid), "its death")
    os.unlink(successors.daemon.pid_file)


@promise
def what_was_acknowledged_survives_the_death_of_the_new_one_before_and_after_it_has_the_disk():
    with Place() as place:
        port, destination = free_port(), free_port()
        config = DURABLE % (port, destination)
        daemon = place.daemon(config)
        old_sender, sender = Unhurried(port, "old", 10**9), Unhurried(port, "new", 10**9)
        stuck = Unhurried(port, "stuck", 10**9)
        acknowledged = [f"old {n}" for n in range(50)]
        with Successors(place, daemon) as successors:
            old_sender.offer(acknowledged)
            assert len(old_sender.answers(50)) == 50
            upgrade(place, "--drain", str(PATIENCE_SECONDS))
            wait(lambda: successors.pid() not in (0, daemon.process.pid), "the pid of the new one")
            # The old process has the disk as long as a session goes on; the new one has messages in memory alone.
            sender.offer(f"memory {n}" for n in range(50))
            wait(lambda: received_by_main_queue(place) >= 50, "messages in the new one")
            assert not sender.has_answers(), "acknowledged, and neither delivered nor on disk"
            kill_the_new_one(successors)
            sender.close()
            old_sender.close()
            assert daemon.process.wait(PATIENCE_SECONDS) == 0
        with Successors(place, place.daemon(config)) as successors:
            old = successors.pid()
            old_sender.offer(["before"])
            assert old_sender.answers(1)
            upgrade(place, "--drain", str(PATIENCE_SECONDS))
            wait(lambda: successors.pid() not in (0, old), "the pid of the new one")
            # A worker has the first one in its hands until it can be delivered; the others wait.
            stuck.offer(["stuck"])
            wait(lambda: received_by_main_queue(place) >= 1, "a message in the new one")
            sender.offer(f"disk {n}" for n in range(50))
            wait(lambda: received_by_main_queue(place) >= 51, "messages in the new one")
            old_sender.close()
            # With the end of the old one the queue goes to disk, and the answers come.
            assert len(sender.answers(50)) == 50
            kill_the_new_one(successors)
            sender.close()
            stuck.close()
            acknowledged += ["before"] + [f"disk {n}" for n in range(50)]
        receiver = Destination(destination)
        with Successors(place, place.daemon(config)) as successors:
            wait(lambda: receiver.got.issuperset(acknowledged), "all that was acknowledged")
            successors.stop()
        receiver.listener.close()


@promise
def a_session_over_relp_goes_on_in_the_old_one_until_it_ends():
    with Place() as place:
        place.file("followed", "")
        port = free_port()
        relp = 'module(load="imrelp")\ninput(type="imrelp" port="%d" address="127.0.0.1")\n' % port
        daemon = place.daemon(CONFIG + relp)
        with Successors(place, daemon) as successors:
            old, sender = successors.pid(), Relp(port, "relp", 10**9)
            sender.send(b"<13>Oct 11 22:14:15 host tag: before")
            upgrade(place)
            sender.send(b"<13>Oct 11 22:14:15 host tag: after")
            assert sender.sessions == 1 and not is_gone(old)
            sender.close()
            wait(lambda: is_gone(old), "the end of the old one")
            sender.send(b"<13>Oct 11 22:14:15 host tag: new")
            assert sender.sessions == 2
            sender.close()
            successors.stop()
            assert [line.split()[-1] for line in place.lines("out")] == ["before", "after", "new"]


@promise
def nothing_is_lost_and_nothing_comes_twice_while_one_replaces_the_other_under_load():
    with Place() as place:
        place.file("followed", "")
        daemon = place.daemon(CONFIG)
        with Successors(place, daemon) as successors:
            udp, tcp = daemon.port("udp"), daemon.port("tcp")
            loads = [Datagrams(udp), LocalDatagrams(place.file("log")),
                     Connections(socket.AF_INET, ("127.0.0.1", tcp), "tcp"),
                     Connections(socket.AF_UNIX, place.file("stream"), "stream")]
            for load in loads:
                load.start()
            wait(lambda: all(load.sent > 50 for load in loads), "the load")
            pids, lines = [successors.pid()], 0
            for _ in range(3):
                with open(place.file("followed"), "a", encoding="ascii") as file:
                    file.write(f"followed {lines}\n")
                    lines += 1
                upgrade(place)
                wait(lambda: successors.pid() not in (0, *pids), "the pid of the new one")
                pids.append(successors.pid())
                before = [load.sent for load in loads]
                wait(lambda: go_on(loads, before), "the load on the new one")
                wait(lambda: is_gone(pids[-2]), "the end of the old one")
            sent = {load.label: load.stop() for load in loads}
            lost = dropped(udp)
            expected = sum(sent.values()) + lines - lost
            wait(lambda: place.read("out").count("\n") >= expected, f"{expected} messages")
            successors.stop()
            got = [line.split() for line in place.lines("out")]
            assert len(got) == len({tuple(one) for one in got}), "something came twice"
            assert len(got) == expected, (len(got), expected, sent, lost)
            assert daemon.process.wait(PATIENCE_SECONDS) == 0
            assert not os.path.exists(place.file("bus")) and not os.path.exists(daemon.pid_file)
            assert not os.path.exists(place.file("log"))


@promise
def queues_on_disk_go_on_in_the_new_one_when_the_old_one_has_ended():
    with Place() as place:
        place.file("followed", "")
        config = CONFIG.replace('template="m")', 'template="m" queue.type="LinkedList" queue.fileName="out" '
                                'queue.highWatermark="20" queue.lowWatermark="5" queue.size="100000")')
        daemon = place.daemon(config + 'main_queue(queue.type="Disk" queue.fileName="main")\n')
        with Successors(place, daemon) as successors:
            local = LocalDatagrams(place.file("log"))
            local.start()
            for _ in range(2):
                old = successors.pid()
                upgrade(place)
                wait(lambda: is_gone(old), "the end of the old one")
                before = [local.sent]
                wait(lambda: go_on([local], before), "the load on the new one")
            sent = local.stop()
            wait(lambda: len(set(place.lines("out"))) >= sent, "all messages")
            successors.stop()
            assert len(place.lines("out")) == len(set(place.lines("out"))) == sent
            assert "another process" not in daemon.stderr(), daemon.stderr()


@promise
def a_connection_goes_on_in_the_old_one_until_it_ends():
    with Place() as place:
        place.file("followed", "")
        daemon = place.daemon(CONFIG)
        with Successors(place, daemon) as successors:
            old = successors.pid()
            with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
                connection.sendall(b"<13>Oct 11 22:14:15 host tag: before\n")
                wait(lambda: "before" in place.read("out"), "the first message")
                told = json.loads(upgrade(place, "--json"))
                assert told["before"] == old and told["pid"] != old
                connection.sendall(b"<13>Oct 11 22:14:15 host tag: after\n")
                wait(lambda: "after" in place.read("out"), "the message behind the upgrade")
                assert not is_gone(old)
            wait(lambda: is_gone(old), "the end of the old one")
            wait(lambda: successors.pid() == told["pid"], "the pid file of the new one")
            with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
                connection.sendall(b"<13>Oct 11 22:14:15 host tag: new\n")
            wait(lambda: "new" in place.read("out"), "a message to the new one")
            successors.stop()


@promise
def a_new_binary_that_does_not_start_costs_nothing():
    with Place() as place:
        place.file("followed", "")
        daemon = place.daemon(CONFIG)
        with open(place.file("broken"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 3\n")
        os.chmod(place.file("broken"), 0o755)
        why = upgrade(place, "--binary", place.file("broken"), wrong=True)
        assert "did not start" in why and f"process {daemon.process.pid} goes on" in why, why
        with open(place.file("slow"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexec sleep 60\n")
        os.chmod(place.file("slow"), 0o755)
        why = upgrade(place, "--binary", place.file("slow"), "--timeout", "1", wrong=True)
        assert "not ready in time" in why, why
        assert "No such file" in upgrade(place, "--binary", place.file("nothing"), wrong=True)
        with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
            connection.sendall(b"<13>Oct 11 22:14:15 host tag: still here\n")
        wait(lambda: "still here" in place.read("out"), "a message to the old one")
        assert daemon.stop() == 0


@promise
def a_daemon_in_the_background_is_replaced_too():
    with Place() as place:
        place.file("followed", "")
        config = place.file("penstock.conf", CONFIG)
        started = subprocess.run([argument("daemon"), "-C", "-f", config, "-i", place.file("pid")], check=True,
                                 stdin=subprocess.DEVNULL, timeout=PATIENCE_SECONDS, cwd=place.path,
                                 env={**os.environ, "TZ": "UTC"})
        assert started.returncode == 0
        old = int(wait(lambda: place.read("pid"), "the pid file"))
        try:
            upgrade(place)
            new = int(wait(lambda: place.read("pid") not in ("", str(old)) and place.read("pid"), "the new pid"))
            wait(lambda: is_gone(old), "the end of the old one")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"<13>Oct 11 22:14:15 tag: hello", place.file("log"))
            wait(lambda: "hello" in place.read("out"), "a message to the new one")
            os.kill(new, 15)
            wait(lambda: is_gone(new), "its end")
        finally:
            for pid in {old, int(place.read("pid") or 0)} - {0}:
                if not is_gone(pid):
                    os.kill(pid, 9)


if __name__ == "__main__":
    run()
