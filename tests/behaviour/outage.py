#!/usr/bin/env python3
"""Destinations that go and come back: nothing is lost, the operator is told, a stop stays bounded."""
import contextlib
import os
import socket
import time

from harness import Place, numbered, promise, run, send_tcp, small_disk, wait

TCP = """
global(processInternalMessages="on")
module(load="imtcp")
module(load="omprog")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="work")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/own" template="m")
"""
STOP_SECONDS_MAX = 20


class Target:
    """A TCP receiver that can go and come back on its port."""

    def __init__(self):
        self.received = b""
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.connections = []

    def take(self):
        """Reads what is there; returns the lines so far."""
        self.listening.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.connections.append(self.listening.accept()[0])
        for connection in list(self.connections):
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while data := connection.recv(1 << 20):
                    self.received += data
                self.connections.remove(connection)
                connection.close()
        return self.received.decode().splitlines()

    def leave(self):
        for closing in [*self.connections, self.listening]:
            closing.close()
        self.connections = []

    def come_back(self):
        self.listening = socket.create_server(("127.0.0.1", self.port))


@promise
def a_target_that_goes_and_comes_back_gets_everything():
    with Place() as place:
        target = Target()
        daemon = place.daemon(TCP + f"""
ruleset(name="work") {{
  action(name="out" type="omfwd" target="127.0.0.1" port="{target.port}" protocol="tcp" template="m"
         queue.type="LinkedList" queue.size="100000" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
""")
        port = daemon.port("port")
        send_tcp(port, numbered(0, 1000))
        wait(lambda: len(target.take()) == 1000, "the first thousand")
        target.leave()

        def is_suspended():
            """The first messages after the loss are needed to notice it; they may be in the broken connection."""
            send_tcp(port, numbered(-1, 1))
            return "action 'out' suspended" in place.read("own")

        wait(is_suspended, "the message that the action is suspended")
        send_tcp(port, numbered(1000, 5000))
        target.come_back()
        wait(lambda: " 5999" in target.take(), "what was sent meanwhile")
        wait(lambda: "action 'out' resumed" in place.read("own"), "the message that it is resumed")
        numbers = [int(line) for line in target.take() if line != " -1"]
        assert numbers == list(range(6000)), "lost, doubled or out of order"
        assert daemon.stop() == 0
        target.leave()


@promise
def a_stop_while_a_direct_action_retries_is_bounded():
    with Place() as place, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        daemon = place.daemon(TCP + f"""
ruleset(name="work" queue.type="LinkedList") {{
  action(name="out" type="omfwd" target="127.0.0.1" port="{unused.getsockname()[1]}" protocol="tcp"
         action.resumeRetryCount="-1" action.resumeInterval="1")
}}
""")
        send_tcp(daemon.port("port"), numbered(0, 10))
        wait(lambda: "action 'out' suspended" in place.read("own"), "the suspension")
        time_stop(daemon)


@promise
def a_stop_while_an_input_itself_retries_is_bounded():
    with Place() as place, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        daemon = place.daemon('main_queue(queue.type="direct")\n' + TCP + f"""
ruleset(name="work") {{
  action(name="out" type="omfwd" target="127.0.0.1" port="{unused.getsockname()[1]}" protocol="tcp"
         action.resumeRetryCount="-1" action.resumeInterval="1")
}}
""")
        # The own messages of the suspension wait behind it; that the input takes nothing more tells that it retries.
        with socket.create_connection(("127.0.0.1", daemon.port("port"))) as sender:
            sender.settimeout(1)
            with contextlib.suppress(socket.timeout):
                while True:
                    sender.sendall(numbered(0, 1000).encode())
            time_stop(daemon)


@promise
def a_stop_while_an_output_blocks_and_a_sender_is_held_is_bounded():
    for direct in ("", 'queue.type="LinkedList" queue.size="2000" queue.timeoutEnqueue="600000"'):
        with Place() as place, socket.create_server(("127.0.0.1", 0)) as sink, socket.socket() as sender:
            daemon = place.daemon('main_queue(queue.size="2000")\n' + TCP + f"""
ruleset(name="work") {{
  action(type="omfwd" target="127.0.0.1" port="{sink.getsockname()[1]}" protocol="tcp" {direct}
         action.resumeRetryCount="-1")
}}
""")
            sender.connect(("127.0.0.1", daemon.port("port")))
            sender.settimeout(1)
            with contextlib.suppress(socket.timeout):
                while True:
                    sender.sendall(b"<13>Oct 11 22:14:15 host tag: " + b"x" * 969 + b"\n")
            time_stop(daemon)


@promise
def a_stop_empties_rulesets_that_call_each_other_in_any_order():
    count = 50000
    with Place() as place:
        daemon = place.daemon(TCP + """
ruleset(name="last" queue.type="LinkedList" queue.size="200000" queue.timeoutShutdown="20000") {
  action(type="omfile" file="@DIR@/out" template="m")
}
ruleset(name="middle" queue.type="LinkedList" queue.size="200000" queue.timeoutShutdown="20000") { call last }
ruleset(name="work" queue.type="LinkedList" queue.size="200000" queue.timeoutShutdown="20000") { call middle }
""")
        send_tcp(daemon.port("port"), numbered(0, count))
        wait(lambda: place.read("out"), "the first messages")
        assert daemon.stop() == 0
        # The last one may have been received in part.
        seen = [int(line) for line in place.lines("out")[:-1]]
        assert seen == list(range(len(seen))), "a gap or a message out of order"
        assert "were still queued" not in daemon.stderr()


def time_stop(daemon):
    began = time.monotonic()
    assert daemon.stop() == 0
    took = time.monotonic() - began
    assert took < STOP_SECONDS_MAX, f"the stop took {took:.1f} s"


@promise
def a_stop_while_a_queued_action_retries_is_bounded():
    with Place() as place, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        daemon = place.daemon(TCP + f"""
ruleset(name="work") {{
  action(name="out" type="omfwd" target="127.0.0.1" port="{unused.getsockname()[1]}" protocol="tcp"
         queue.type="LinkedList" queue.timeoutShutdown="500" action.resumeRetryCount="-1")
}}
""")
        send_tcp(daemon.port("port"), numbered(0, 10))
        wait(lambda: "action 'out' suspended" in place.read("own"), "the suspension")
        time_stop(daemon)


PROGRAM = """#!/bin/sh
while read -r line; do
  echo "$line" >>"@DIR@/got"
  case "$line" in *3) exit 1;; esac
done
"""


@promise
def a_program_that_dies_is_started_again():
    with Place() as place:
        program = place.file("program", PROGRAM)
        os.chmod(program, 0o755)
        daemon = place.daemon(TCP + """
ruleset(name="work") { action(type="omprog" binary="@DIR@/program" template="m") }
""")
        port = daemon.port("port")
        for i in range(10):
            # One after the other, so that a message that was in the pipe of the dying one is not at stake.
            def is_there(i=i):
                send_tcp(port, numbered(i, 1))
                return str(i) in place.read("got").split()

            wait(is_there, f"message {i}")
        wait(lambda: "terminated; will be restarted" in place.read("own"), "the message about the child's end")
        assert daemon.stop() == 0


@promise
def how_a_program_ended_is_told_as_configured():
    told = {"none": [], "errors": ["exited with status 3", "terminated by signal 15"],
            "all": ["exited with status 0", "exited with status 3", "terminated by signal 15"]}
    for reports, lines in told.items():
        with Place() as place:
            config = f'global(reportChildProcessExits="{reports}")\n' + TCP + 'ruleset(name="work") {\n'
            for name, end in ("fine", "exit 0"), ("fails", "exit 3"), ("killed", "kill -TERM $$"):
                os.chmod(place.file(name, f"#!/bin/sh\nread line\n{end}\n"), 0o755)
                config += (f'if $msg contains "{name}" then action(type="omprog" binary="@DIR@/{name}" '
                           'template="m" action.resumeInterval="1")\n')
            daemon = place.daemon(config + "}\n")
            port = daemon.port("port")

            def all_were_missed():
                send_tcp(port, "".join(f"<13>Oct 11 22:14:15 host t: {name}\n" for name in ("fine", "fails", "killed")))
                own = place.read("own")
                return all(f"/{name}' (pid" in own for name in ("fine", "fails", "killed"))

            wait(all_were_missed, "the end of all three programs")
            wait(lambda lines=lines: all(line in place.read("own") for line in lines), f"{reports}: {lines}")
            for line in set(told["all"]) - set(lines):
                assert line not in place.read("own"), (reports, line)
            assert daemon.stop() == 0


@promise
def a_program_that_confirms_gets_what_its_predecessor_did_not():
    with Place() as place:
        program = place.file("program", """#!/bin/sh
echo OK
while read -r line; do
  if [ "$line" = 50 ] && [ ! -e "@DIR@/died" ]; then : >"@DIR@/died"; exit 1; fi
  echo "$line" >>"@DIR@/got"
  echo OK
done
""")
        os.chmod(program, 0o755)
        daemon = place.daemon(TCP + """
ruleset(name="work") {
  action(type="omprog" binary="@DIR@/program" confirmMessages="on" template="m"
         action.resumeRetryCount="-1" action.resumeInterval="1")
}
""")
        send_tcp(daemon.port("port"), numbered(0, 100))
        wait(lambda: "99" in place.read("got").split(), "the last message")
        assert place.read("got").split() == [str(i) for i in range(100)]
        assert daemon.stop() == 0


@promise
def a_file_that_cannot_be_written_suspends_its_action_and_the_rest_goes_on():
    with Place() as place:
        daemon = place.daemon(TCP + """
ruleset(name="work") {
  action(name="full" type="omfile" file="/dev/full" template="m")
  action(type="omfile" file="@DIR@/out" template="m")
}
""")
        send_tcp(daemon.port("port"), numbered(0, 100))
        wait(lambda: len(place.lines("out")) == 100, "the other file")
        wait(lambda: "/dev/full" in place.read("own") or "'full'" in place.read("own"), "a message about the full disk")
        time_stop(daemon)


@promise
def a_disk_that_was_full_for_a_while_gets_everything():
    with Place() as place, small_disk(place.file("disk"), 256):
        place.file("disk/ballast", "x" * (200 << 10))
        daemon = place.daemon(TCP + """
ruleset(name="work") {
  action(name="disk" type="omfile" file="@DIR@/disk/out" template="m" queue.type="LinkedList" queue.size="50000"
         action.resumeRetryCount="-1" action.resumeInterval="1")
}
""")
        send_tcp(daemon.port("port"), numbered(0, 20000))
        wait(lambda: "No space left" in place.read("own"), "a message about the full disk")
        os.remove(place.file("disk/ballast"))
        wait(lambda: " 19999" in place.lines("disk/out"), "the last message")
        assert [int(line) for line in place.lines("disk/out")] == list(range(20000)), "lost, doubled or torn"
        assert daemon.stop() == 0


run()
