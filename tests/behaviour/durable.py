#!/usr/bin/env python3
"""Queues on disk: what was acknowledged is kept over crashes, stops, full disks and destinations that come and go."""
import collections
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys

from harness import ROOT, Place, argument, numbered, promise, read, run, send_tcp, small_disk, wait
from ports import free_port

sys.path.insert(0, os.path.join(ROOT, "tests", "queue"))
from messages import messages  # noqa: E402  pylint: disable=wrong-import-position

HEAD = """
global(workDirectory="@DIR@/spool" processInternalMessages="on")
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="work")
template(name="m" type="string" string="%hostname%%msg%\\n")
action(type="omfile" file="@DIR@/own")
"""

class Target:
    """A TCP receiver that can go and come back on its port."""

    def __init__(self):
        self.received = b""
        self.connections = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.listening = None

    def lines(self):
        if self.listening:
            self.listening.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.connections.append(self.listening.accept()[0])
        for connection in list(self.connections):
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                while data := connection.recv(1 << 20):
                    self.received += data
                self.connections.remove(connection)
                connection.close()
        return self.received.decode().splitlines()

    def come_back(self):
        self.listening = socket.create_server(("127.0.0.1", self.port))

    def leave(self):
        for closing in [*self.connections, self.listening]:
            closing.close()
        self.connections = []
        self.listening = None


def numbers_of(lines, host="host"):
    return [int(line.split()[1]) for line in lines if line.split()[:1] == [host]]


def spool(place):
    os.makedirs(place.file("spool"), exist_ok=True)


def kill(daemon):
    daemon.process.kill()
    daemon.process.wait()
    os.unlink(daemon.pid_file)


def positions(place):
    return {name: read(place.file(f"spool/{name}")) for name in os.listdir(place.file("spool")) if "imfile" in name}


FILE_TO_FILE = HEAD + """
module(load="imfile")
main_queue(queue.type="Disk" queue.fileName="main" queue.syncQueueFiles="on" queue.checkpointInterval="500"
           queue.timeoutShutdown="5000")
input(type="imfile" file="@DIR@/in" tag="t" ruleset="work" persistStateInterval="100")
template(name="line" type="string" string="%msg%\\n")
ruleset(name="work") { action(type="omfile" file="@DIR@/out" template="line") }
"""


@promise
def what_a_file_was_read_into_a_synced_queue_survives_kill_after_kill():
    with Place() as place:
        spool(place)
        place.file("in", "")
        written, before = 0, None
        for round_number in range(8):
            daemon = place.daemon(FILE_TO_FILE)
            with open(place.file("in"), "a", encoding="utf-8") as file:
                file.write("".join(f"line {i}\n" for i in range(written, written + 4000)))
            written += 4000
            seen = f"line {written - 4000 + 500 * (round_number % 7)}\n"
            wait(lambda seen=seen: seen in place.read("out"), "some of it at the output")
            if round_number % 2:
                wait(lambda before=before: positions(place) != before, "the position in the file to move")
            before = positions(place)
            kill(daemon)
        daemon = place.daemon(FILE_TO_FILE)
        wait(lambda: f"line {written - 1}\n" in place.read("out"), "the last line")

        def all_there():
            return set(place.read("out").splitlines()) >= {f"line {i}" for i in range(written)}

        wait(all_there, "every line")
        assert daemon.stop() == 0
        copies = len(place.read("out").splitlines()) - written
        print(f"# {copies} of {written} lines came twice, after 8 kills")


RELP_TO_TARGET = """
global(workDirectory="@DIR@/spool")
module(load="imrelp")
template(name="line" type="string" string="%msg%\\n")
main_queue(queue.type="Disk" queue.fileName="main" queue.syncQueueFiles="on" queue.size="1000000"
           queue.timeoutShutdown="20000")
input(type="imrelp" address="127.0.0.1" port="RELP")
action(name="out" type="omfwd" target="127.0.0.1" port="TARGET" protocol="tcp" template="line"
       action.resumeRetryCount="-1" action.resumeInterval="1")
"""


def marks(data):
    return set(re.findall(rb"seq=(\d+:\d+)", data))


@promise
def what_relp_acknowledged_survives_a_kill_with_the_destination_away():
    for cycle in range(4):
        with Place() as place:
            spool(place)
            target = Target()
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
            config = RELP_TO_TARGET.replace('port="RELP"', f'port="{port}"').replace("TARGET", str(target.port))
            daemon = place.daemon(config)
            flood = place.spawn([argument("penstock"), "flood", "--sequence", "--messages", "10000000", "--connections",
                                 "4", "--acknowledged", place.file("ledger"), f"relp:127.0.0.1:{port}"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait(lambda cycle=cycle: place.read("ledger").count("\n") >= 2000 * (cycle + 1), "acknowledgements")
            kill(daemon)
            flood.wait(20)
            acknowledged = marks(read(place.file("ledger")))
            target.come_back()
            daemon = place.daemon(config)
            wait(lambda: target.lines() and acknowledged <= marks(target.received), "every acknowledged message")
            assert daemon.stop() == 0
            target.leave()
            print(f"# {len(acknowledged)} acknowledged, all there")


def tcp_to_target(target, queue):
    return HEAD + f"""
ruleset(name="work") {{
  action(name="out" type="omfwd" target="127.0.0.1" port="{target.port}" protocol="tcp" template="m"
         action.resumeRetryCount="-1" action.resumeInterval="1" {queue})
  action(type="omfile" file="@DIR@/seen" template="m")
}}
"""


def wait_until_queued(place, line):
    """The action behind the queued one has it, so that the queue has it, too."""
    wait(lambda: line in place.lines("seen"), f"{line!r} to be queued")


def interleaved(first, count):
    """Two hosts on one connection, each with its numbers."""
    return "".join(numbered(i, 1, "one") + numbered(i, 1, "two") for i in range(first, first + count))


@promise
def a_backlog_is_delivered_first_after_a_restart_with_the_destination_back():
    with Place() as place:
        spool(place)
        target = Target()
        config = tcp_to_target(target, 'queue.type="Disk" queue.fileName="out" queue.size="100000" '
                                       'queue.timeoutShutdown="0"')
        for round_number in range(2):
            daemon = place.daemon(config)
            send_tcp(daemon.port("port"), numbered(round_number * 3000, 3000))
            wait_until_queued(place, f"host {round_number * 3000 + 2999}")
            daemon.stop()
            os.unlink(place.file("port"))
        target.come_back()
        daemon = place.daemon(config)
        send_tcp(daemon.port("port"), numbered(6000, 1000))
        wait(lambda: len(target.lines()) >= 7000, "the backlog and what came then")
        assert numbers_of(target.lines()) == list(range(7000)), "lost, doubled or out of order"
        assert daemon.stop() == 0
        target.leave()


@promise
def a_disk_assisted_queue_spills_and_drains_in_the_order_of_each_source():
    with Place() as place:
        spool(place)
        target = Target()
        daemon = place.daemon(tcp_to_target(
            target, 'queue.type="LinkedList" queue.fileName="out" queue.size="1000" queue.timeoutShutdown="5000"'))
        port = daemon.port("port")
        send_tcp(port, interleaved(0, 10000))
        wait(lambda: "action 'out' suspended" in place.read("own"), "the suspension")
        wait_until_queued(place, "two 9999")  # Nothing orders two connections but their reader.
        target.come_back()
        send_tcp(port, interleaved(10000, 500))
        wait(lambda: len(target.lines()) >= 21000, "all of it")
        for host in ("one", "two"):
            assert numbers_of(target.lines(), host) == list(range(10500)), f"lost, doubled or out of order: {host}"
        assert "discarded" not in place.read("own")
        assert daemon.stop() == 0
        target.leave()


@promise
def a_restart_in_the_middle_of_an_outage_keeps_the_order_of_each_source():
    with Place() as place:
        spool(place)
        target = Target()
        config = tcp_to_target(target, 'queue.type="LinkedList" queue.fileName="out" queue.size="1000" '
                                       'queue.saveOnShutdown="on" queue.timeoutShutdown="0"')
        for round_number in range(2):
            daemon = place.daemon(config)
            first = round_number * 5000
            send_tcp(daemon.port("port"), interleaved(first, 5000))
            wait_until_queued(place, f"two {first + 4999}")
            assert daemon.stop() == 0
            os.unlink(place.file("port"))
        target.come_back()
        daemon = place.daemon(config)
        send_tcp(daemon.port("port"), interleaved(10000, 500))
        wait(lambda: len(target.lines()) >= 21000, "all of it")
        for host in ("one", "two"):
            assert numbers_of(target.lines(), host) == list(range(10500)), f"lost, doubled or out of order: {host}"
        assert daemon.stop() == 0
        target.leave()


@promise
def save_on_shutdown_keeps_what_memory_had():
    with Place() as place:
        spool(place)
        target = Target()
        config = tcp_to_target(target, 'queue.type="FixedArray" queue.fileName="out" queue.size="10000" '
                                       'queue.saveOnShutdown="on" queue.timeoutShutdown="0"')
        daemon = place.daemon(config)
        send_tcp(daemon.port("port"), numbered(0, 5000))
        wait_until_queued(place, "host 4999")
        assert daemon.stop() == 0
        os.unlink(place.file("port"))
        target.come_back()
        daemon = place.daemon(config)
        send_tcp(daemon.port("port"), numbered(5000, 10))
        wait(lambda: len(target.lines()) >= 5010, "what was saved")
        assert numbers_of(target.lines()) == list(range(5010)), "lost, doubled or out of order"
        assert daemon.stop() == 0
        target.leave()


@promise
def a_delay_queue_delivers_directly_and_keeps_what_comes_while_the_destination_is_away():
    with Place() as place:
        spool(place)
        target = Target()
        target.come_back()
        config = tcp_to_target(target, 'queue.type="Delay" queue.fileName="out" queue.delayThreshold="500" '
                                       'queue.size="100000" '
                                       'queue.timeoutShutdown="0"')
        daemon = place.daemon(config)
        port = daemon.port("port")
        send_tcp(port, numbered(0, 1000))
        wait(lambda: len(target.lines()) >= 1000, "the direct way")
        target.leave()

        def is_suspended():
            """The first messages after the loss may be in the broken connection."""
            send_tcp(port, numbered(-1, 1))
            return "action 'out' suspended" in place.read("own")

        wait(is_suspended, "the suspension")
        send_tcp(port, numbered(1000, 2000))
        wait_until_queued(place, "host 2999")
        daemon.stop()
        os.unlink(place.file("port"))
        daemon = place.daemon(config)
        port = daemon.port("port")
        send_tcp(port, numbered(3000, 1000))
        target.come_back()
        wait(lambda: f"host {3999}" in target.lines(), "what was kept")
        send_tcp(port, numbered(4000, 100))
        wait(lambda: f"host {4099}" in target.lines(), "what came after it")
        found = [n for n in numbers_of(target.lines()) if n >= 0]
        assert found == list(range(4100)), "lost, doubled or out of order"
        assert daemon.stop() == 0
        target.leave()


@promise
def a_message_nobody_takes_ends_among_the_dead_letters_and_holds_nobody_up():
    with Place() as place:
        spool(place)
        daemon = place.daemon(HEAD + """
template(name="path" type="string" string="@DIR@/to/%hostname%")
ruleset(name="work") {
  action(name="out" type="omfile" dynaFile="path" template="m" queue.type="Disk" queue.fileName="out"
         queue.timeoutShutdown="5000")
}
""")
        poison = "x" * 300
        port = daemon.port("port")
        send_tcp(port, numbered(0, 10) + numbered(0, 1, poison) + numbered(10, 10))
        wait(lambda: len(place.lines("to/host")) == 20, "its neighbours")
        assert daemon.stop() == 0
        dead = list(messages(place.file("spool/out.dead")))
        assert len(dead) == 1 and dead[0]["host"] == poison and dead[0]["msg"] == " 0", dead
        why = dead[0]["$."]["dead"]
        assert why["queue"] == "out" and why["reason"] == "refused by the destination" and why["errno"] == 36, why


@promise
def what_a_direct_action_refuses_ends_among_the_dead_letters_of_the_queue_before_it():
    with Place() as place:
        spool(place)
        daemon = place.daemon(HEAD + """
main_queue(queue.type="Disk" queue.fileName="main" queue.timeoutShutdown="5000")
template(name="path" type="string" string="@DIR@/to/%hostname%")
template(name="after" type="string" string="%msg%%$.dead%\\n")
ruleset(name="work") {
  action(name="direct" type="omfile" dynaFile="path" template="m")
  action(name="queued" type="omfile" dynaFile="path" template="m" queue.type="LinkedList" queue.timeoutShutdown="5000")
  action(name="next" type="omfile" file="@DIR@/all" template="after")
}
""")
        poison = "x" * 300
        port = daemon.port("port")
        send_tcp(port, numbered(0, 10) + numbered(0, 1, poison) + numbered(10, 10))
        wait(lambda: len(place.lines("to/host")) == 40, "its neighbours, twice")
        wait(lambda: len(place.lines("all")) == 21, "all for the next action")
        assert daemon.stop() == 0
        assert sorted(map(int, place.lines("all"))) == sorted([0, *range(20)])
        dead = list(messages(place.file("spool/main.dead")))
        assert [m["host"] for m in dead] == [poison, poison], dead
        why = sorted((m["$."]["dead"]["action"], m["$."]["dead"]["reason"]) for m in dead)
        assert why == [("direct", "refused by the destination"), ("queued", "refused by the destination")], why


@promise
def what_waits_on_disk_can_be_read_without_the_daemon():
    with Place() as place:
        spool(place)
        target = Target()
        daemon = place.daemon(tcp_to_target(target, 'queue.type="Disk" queue.fileName="out" queue.timeoutShutdown="0"'))
        send_tcp(daemon.port("port"), "<34>1 2003-10-11T22:14:15.003+02:00 host app 7 ID47 [a b=\"c\"] one\n"
                 + numbered(5, 1))
        wait_until_queued(place, "host 5")
        assert daemon.stop() == 0
        one, other = list(messages(place.file("spool/out.store")))
        wanted = {"msg": "one", "host": "host", "app_name": "app", "procid": "7", "msgid": "ID47", "facility": 4,
                  "structured_data": '[a b="c"]', "severity": 2, "protocol": 1, "reported": "2003-10-11T22:14:15.003",
                  "offset_minutes": 120}
        assert {key: one[key] for key in wanted} == wanted, one
        assert one["source"]["input"] == "imtcp" and one["source"]["address"] == "127.0.0.1", one
        assert (other["msg"], other["tag"]) == (" 5", "tag:"), other


@promise
def given_up_messages_of_a_durable_queue_are_kept_too():
    with Place() as place:
        spool(place)
        target = Target()
        daemon = place.daemon(tcp_to_target(target, 'queue.type="Disk" queue.fileName="out" '
                                                    'queue.timeoutShutdown="5000"').replace(
            'action.resumeRetryCount="-1"', 'action.resumeRetryCount="0"'))
        send_tcp(daemon.port("port"), numbered(4711, 3))
        directory = place.file("spool/out.dead")

        def kept():
            return [m["msg"] for m in messages(directory)] if os.path.isdir(directory) else []

        wait(lambda: kept() == [" 4711", " 4712", " 4713"], "the dead letters")
        assert daemon.stop() == 0


@promise
def a_full_disk_stops_the_sender_and_loses_nothing():
    with Place() as place:
        spool(place)
        target = Target()
        config = tcp_to_target(target, 'queue.type="Disk" queue.fileName="out" queue.size="10000000" '
                                       'queue.timeoutEnqueue="1000" queue.timeoutShutdown="5000"').replace(
            'action(type="omfile" file="@DIR@/own")',
            'main_queue(queue.type="Disk" queue.fileName="main" queue.timeoutShutdown="5000" '
            'queue.spoolDirectory="@DIR@/main")\naction(type="omfile" file="@DIR@/own")')
        os.makedirs(place.file("main"))
        with small_disk(place.file("spool"), 8 << 10):
            daemon = place.daemon(config)
            port = daemon.port("port")
            line = f"<13>Oct 11 22:14:15 host tag: %d {'x' * 900}\n"
            count = 15000
            send_tcp(port, "".join(line % i for i in range(count)))
            wait(lambda: "cannot write to its disk" in daemon.stderr(), "the message that the disk is full")
            target.come_back()
            wait(lambda: len(target.lines()) >= count, "all of it")
            assert numbers_of(target.lines()) == list(range(count)), "lost, doubled or out of order"
            assert daemon.stop() == 0
        target.leave()


@promise
def a_second_daemon_on_one_spool_says_so_and_harms_nothing():
    with Place() as place:
        spool(place)
        config = FILE_TO_FILE.replace('file="@DIR@/in"', 'file="@DIR@/in2"')
        first = place.daemon(config)
        with Place() as other:
            second = other.daemon(config.replace("@DIR@/spool", place.file("spool")))
            wait(lambda: "keeps its messages in memory alone" in other.read("own") + second.stderr(), "the report")
            assert second.stop() == 0
        assert first.stop() == 0


RELP_TO_FILE = """
global(workDirectory="@DIR@/spool" processInternalMessages="on")
module(load="imrelp")
template(name="line" type="string" string="%msg%\\n")
main_queue(queue.type="Disk" queue.fileName="main" queue.spoolDirectory="@DIR@/spool/deep" queue.syncQueueFiles="on"
           queue.checkpointInterval="INTERVAL" queue.timeoutShutdown="5000")
input(type="imrelp" address="127.0.0.1" port="RELP" ruleset="work")
ruleset(name="work") { action(type="omfile" file="@DIR@/out" template="line") }
"""


def relp_to_file(place, port, interval=0):
    os.makedirs(place.file("spool/deep"), exist_ok=True)
    return place.daemon(RELP_TO_FILE.replace("RELP", str(port)).replace("INTERVAL", str(interval)))


def flood(place, port, messages_sent, window):
    return place.spawn([argument("penstock"), "flood", "--sequence", "--messages", str(messages_sent), "--window",
                        str(window), f"relp:127.0.0.1:{port}"], stdout=subprocess.DEVNULL)


@promise
def a_spool_that_vanishes_is_made_again_and_acknowledgements_resume():
    with Place() as place:
        port = free_port()
        daemon = relp_to_file(place, port)
        assert flood(place, port, 20, 1).wait(20) == 0
        shutil.rmtree(place.file("spool/deep/main.store"))
        assert flood(place, port, 20, 1).wait(20) == 0
        wait(lambda: "was removed while in use, and was made again" in daemon.stderr(), "the report")
        shutil.rmtree(place.file("spool/deep"))
        sender = flood(place, port, 20, 1)
        wait(lambda: daemon.stderr().count("see to it that the directory above is there") == 2, "what to do")
        assert sender.poll() is None, "it was acknowledged into nowhere"
        os.makedirs(place.file("spool/deep"))
        assert sender.wait(20) == 0
        wait(lambda: len(place.lines("out")) == 60, "all at the output")
        kill(daemon)
        daemon = relp_to_file(place, port)
        assert flood(place, port, 1, 1).wait(20) == 0
        wait(lambda: len(place.lines("out")) >= 61, "life after a death")
        assert daemon.stop() == 0


RELP_TO_RELP = """
global(workDirectory="@DIR@/spool" processInternalMessages="on")
module(load="imrelp")
module(load="omrelp")
template(name="line" type="string" string="%inputname% %rawmsg%")
input(type="imrelp" name="LIFE" address="127.0.0.1" port="RELP" ruleset="work")
ruleset(name="work") {
  action(name="far" type="omrelp" target="127.0.0.1" port="TARGET" template="line" QUEUE
         action.resumeRetryCount="-1" action.resumeInterval="1")
}
action(type="omfile" file="@DIR@/own")
"""
SYNCED = ('queue.type="Disk" queue.fileName="far" queue.size="1000000" queue.syncQueueFiles="on" '
          'queue.timeoutShutdown="100"')
RECEIVER = """
module(load="imrelp")
template(name="line" type="string" string="%rawmsg%\\n")
input(type="imrelp" address="127.0.0.1" port="PORT")
action(type="omfile" file="@DIR@/out" template="line")
"""


def lives(place):
    """How often each message of each life came out."""
    return collections.Counter(re.findall(r"(life\d+) .*seq=(\d+:\d+)", place.read("out")))


@promise
def what_was_acknowledged_outlives_two_restarts_in_a_row_with_the_destination_away():
    """One life ends in order and one by a kill; then the destination comes, dies among the backlog, and comes again."""
    with Place() as here, Place() as there:
        spool(here)
        port, target = free_port(), free_port()
        config = RELP_TO_RELP.replace("RELP\"", f"{port}\"").replace("TARGET", str(target)).replace("QUEUE", SYNCED)
        owed = set()
        for life, ends in (("life1", lambda daemon: daemon.stop() == 0), ("life2", lambda daemon: kill(daemon) is None),
                           ("life3", None)):
            daemon = here.daemon(config.replace("LIFE", life))
            count = 3000
            sender = here.spawn([argument("penstock"), "flood", "--sequence", "--messages", str(count), "--connections",
                                 "2", "--acknowledged", here.file(life), f"relp:127.0.0.1:{port}"],
                                stdout=subprocess.DEVNULL)
            assert sender.wait(60) == 0
            owed |= {(life, mark) for mark in re.findall(r"seq=(\d+:\d+)", here.read(life))}
            wait(lambda: "action 'far' suspended" in here.read("own"), "the suspension, with its reason")
            if ends:
                assert ends(daemon)
                os.unlink(here.file("own"))
        assert len(owed) == 9000
        said = here.read("own")
        assert "Connection refused" in said and said.count("action 'far' suspended") < 10, said
        receiver = there.daemon(RECEIVER.replace("PORT", str(target)))
        wait(lambda: len(lives(there)) >= 500, "some of it")
        kill(receiver)
        receiver = there.daemon(RECEIVER.replace("PORT", str(target)))
        wait(lambda: owed <= set(lives(there)), "everything that was acknowledged")
        firsts = list(dict.fromkeys(re.findall(r"(life\d+) ", there.read("out"))))
        assert firsts == ["life1", "life2", "life3"], firsts
        assert set(lives(there)) == owed, "what nobody sent"
        assert daemon.stop() == 0 and receiver.stop() == 0
        assert not os.path.isdir(here.file("spool/far.dead")), "nothing was given up"


@promise
def no_more_come_twice_after_a_kill_than_the_checkpoint_interval_says():
    with Place() as place:
        port, interval, seen = free_port(), 50, 0
        for _ in range(6):
            daemon = relp_to_file(place, port, interval)
            before = len(place.lines("out"))
            sender = flood(place, port, 100000, 16)
            wait(lambda before=before: len(place.lines("out")) >= before + 300, "some of it at the output")
            kill(daemon)
            sender.kill()
            sender.wait()
            killed_at = len(place.lines("out"))
            daemon = relp_to_file(place, port, 0)
            assert flood(place, port, 1, 1).wait(20) == 0
            wait(lambda at=killed_at: any(re.search("seq=0+:0+$", line) for line in place.lines("out")[at:]), "the last message")
            assert daemon.stop() == 0
            marks_before = place.lines("out")[before:killed_at]
            twice = set(marks_before) & set(place.lines("out")[killed_at:-1])
            assert len(twice) <= interval, f"{len(twice)} came twice"
            seen += len(twice)
        print(f"# {seen} came twice in 6 kills, at most {interval} may each time")


@promise
def abort_on_failed_queue_startup_ends_the_daemon():
    with Place() as place:
        try:
            place.daemon('global(workDirectory="@DIR@/missing" abortOnFailedQueueStartup="on")\n'
                         'main_queue(queue.type="Disk" queue.fileName="main")\n'
                         'action(type="omfile" file="@DIR@/out")\n')
        except AssertionError as error:
            assert "the daemon left" in str(error), error
        else:
            raise AssertionError("it started")


if __name__ == "__main__":
    run()
