#!/usr/bin/env python3
"""The words of `penstock` that speak to the running daemon, as people use them."""
import json
import os
import pty
import shutil
import socket
import subprocess
import time

from harness import PATIENCE_SECONDS, Place, Skip, argument, promise, run, wait

CONFIG = """
global(bus.socket="@DIR@/bus")
module(load="imudp")
input(type="imudp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="m" type="string" string="%msg%\\n")
if $msg contains "secret" then { set $.a = "x"; action(name="sec" type="omfile" file="@DIR@/sec" template="m") stop }
action(name="out" type="omfile" file="@DIR@/out" template="m" queue.type="LinkedList")
"""


def send(daemon, *messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(f"<13>Oct 11 22:14:15 host tag: {message}".encode(), ("127.0.0.1", daemon.port("port")))


def penstock(place, *words, wrong=False):
    done = place.run(argument("penstock"), *words, "--socket", place.file("bus"))
    assert (done.returncode != 0) == wrong, (words, done.returncode, done.stdout, done.stderr)
    return done.stderr if wrong else done.stdout


def background(place, *words):
    return place.spawn([argument("penstock"), *words, "--socket", place.file("bus")], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)


def watched(place, group):
    return lambda: len(json.loads(penstock(place, "bus", "members", group, "--json")))


@promise
def status_and_stats_tell_how_it_is():
    with Place() as place:
        daemon = place.daemon(CONFIG)
        send(daemon, "one", "secret")
        wait(lambda: "action sec: processed=1" in penstock(place, "stats"), "the counters")
        shown = penstock(place, "status")
        assert f"pid {daemon.process.pid}" in shown and "2 actions, 0 suspended" in shown, shown
        assert json.loads(penstock(place, "status", "--json"))["pid"] == daemon.process.pid
        assert "input imudp(" in penstock(place, "stats") and "submitted=2" in penstock(place, "stats")
        penstock(place, "bus", "call", "Penstock", "action.suspend", '{"action":"out"}')
        assert "out is held: by hand" in penstock(place, "status")
        assert daemon.stop() == 0
        assert "no bus answers" in penstock(place, "status", wrong=True)


@promise
def top_shows_rates_queues_and_actions_once_or_in_a_terminal():
    with Place() as place:
        daemon = place.daemon(CONFIG)
        send(daemon, "one")
        shown = penstock(place, "top", "--once", "--interval", "100")
        for word in ("INPUT", "imudp", "QUEUE", "main Q", "DRAINED IN", "ACTION", "sec", "ready"):
            assert word in shown, shown
        look = json.loads(penstock(place, "top", "--once", "--json", "--interval", "100"))
        assert set(look["rates"]) == {"inputs", "queues_in", "queues_out", "actions"} and look["stats"]["queues"]
        try:
            pid, terminal = pty.fork()
        except OSError as error:
            raise Skip(f"there are no terminals here: {error}") from error
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(argument("penstock"), ["penstock", "top", "--interval", "100", "--socket", place.file("bus")])
        seen = b""
        while seen.count(b"main Q") < 2:
            seen += os.read(terminal, 65536)
        os.write(terminal, b"q")
        try:
            while block := os.read(terminal, 65536):
                seen += block
        except OSError:
            pass
        assert os.waitpid(pid, 0)[1] == 0 and seen.endswith(b"\x1b[?25h\x1b[?1049l"), seen[-200:]
        assert daemon.stop() == 0


@promise
def tap_shows_what_passes_its_filter():
    with Place() as place:
        daemon = place.daemon(CONFIG)
        tap = background(place, "tap", '$msg contains "yes"', "-n", "2", "--complete")
        wait(lambda: watched(place, "notifications/cc_members")() == 1, "the tap")
        send(daemon, "no", "yes 1", "no", "yes \x1b[31m 2")
        shown = tap.communicate(timeout=PATIENCE_SECONDS)[0].splitlines()
        assert len(shown) == 2 and shown[0].endswith("host tag: [user.notice] yes 1"), shown
        assert "\x1b" not in shown[1] and tap.returncode == 0
        tap = background(place, "tap", "--from", "sec", "-n", "1", "--json")
        # The second tap has taken the place of the first, whose client the broker has seen leave.
        wait(lambda: any(client["lname"] and client["outstanding"] == 0 and client["received"] > 0 and not client["groups"]
                         for client in json.loads(penstock(place, "bus", "clients", "--json"))), "its client")

        def passed():
            send(daemon, "secret")
            return tap.poll() is not None

        wait(passed, "a message of the action")
        assert json.loads(tap.communicate()[0])["delivered"] == " secret\n"
        assert penstock(place, "tap", "$msg contains", wrong=True).startswith("penstock: tap: ")
        assert daemon.stop() == 0


@promise
def trace_shows_the_way_of_a_message():
    with Place() as place:
        daemon = place.daemon(CONFIG)
        trace = background(place, "trace", '$msg contains "secret"')

        def passed():
            send(daemon, "secret")
            time.sleep(0.05)  # the trace is over when it is over; this only spares the processor
            return trace.poll() is not None

        wait(passed, "the message")
        shown = trace.communicate()[0]
        for part in ("parser   pmrfc3164", "filter $msg contains 'secret': passed", '$msg = " secret"', '$.a = "x"',
                     "action sec (omfile): delivered", "  stop"):
            assert part in shown, shown
        assert "no message" in penstock(place, "trace", "$msg == 'never'", "--timeout", "1", wrong=True)
        assert daemon.stop() == 0


@promise
def the_bus_is_worked_by_hand():
    with Place() as place:
        daemon = place.daemon(CONFIG)
        assert len(penstock(place, "bus", "members").split()) == 3
        assert str(daemon.process.pid) in penstock(place, "bus", "clients")
        assert penstock(place, "bus", "call", "Penstock", "loglevel") == '{"level":"info"}\n'
        assert "nothing: No such recipient" in penstock(place, "bus", "call", "Nobody", "nothing", wrong=True)
        assert penstock(place, "bus", "ping", "-n", "2", "Penstock").count("answered in") == 2
        listener = background(place, "bus", "subscribe", "Event/never", "Event/x", "-n", "1", "--json")
        wait(lambda: watched(place, "Event/x")() == 1, "the listener")
        monitor = background(place, "bus", "monitor", "--group", "Event/*", "--json", "-n", "1")
        wait(lambda: any(one["outstanding"] == 0 and one["sent"] >= 1 and not one["groups"] and one["pid"] == monitor.pid
                         for one in json.loads(penstock(place, "bus", "clients", "--json"))), "the monitor")
        penstock(place, "bus", "notify", "x", '{"a":1}')
        assert json.loads(listener.communicate(timeout=PATIENCE_SECONDS)[0])["body"] == {"a": 1}
        assert json.loads(monitor.communicate(timeout=PATIENCE_SECONDS)[0])["event"] == "delivered"
        assert "JSON object" in penstock(place, "bus", "notify", "x", "[]", wrong=True)
        assert "is not one of" in penstock(place, "bus", "fly", wrong=True)
        assert "`bus call` takes NAME COMMAND [JSON]" in penstock(place, "bus", "call", "Penstock", wrong=True)
        assert "no JSON: level=debug" in penstock(place, "bus", "call", "Penstock", "loglevel", "level=debug", wrong=True)
        assert daemon.stop() == 0


@promise
def mistakes_of_the_command_line_are_told_with_what_would_be_right():
    with Place() as place:
        done = place.run(argument("penstock"), "tap", "--form", "x")
        assert done.returncode == 2 and "did you mean `--from`" in done.stderr
        done = place.run(argument("penstock"), "tap", "--rate", "many")
        assert done.returncode == 2 and "takes a number" in done.stderr
        for word in ("bus", "stats", "status", "tap", "top", "trace"):
            done = place.run(argument("penstock"), word, "--help")
            assert done.returncode == 0 and "--socket" in done.stdout and "usage: penstock " + word in done.stdout


@promise
def shells_complete_the_words_and_their_options():
    with Place() as place:
        scripts = {}
        for shell in ("bash", "zsh", "fish"):
            done = place.run(argument("penstock"), "completion", shell)
            assert done.returncode == 0, done.stderr
            scripts[shell] = place.file("completion." + shell, done.stdout)
            if shutil.which(shell):
                checked = place.run(shell, "-n", scripts[shell])
                assert checked.returncode == 0, checked.stderr
            for word in ("status", "members", "complete"):
                assert word in done.stdout, (shell, word)
        ask = f'. {scripts["bash"]}; COMP_WORDS=(penstock %s ""); COMP_CWORD=%d; _penstock; echo "${{COMPREPLY[@]}}"'
        assert "trace" in place.run("bash", "-c", ask % ("", 1)).stdout
        completed = place.run("bash", "-c", ask % ("bus", 2)).stdout.split()
        assert {"members", "monitor", "--json"} <= set(completed), completed
        assert place.run(argument("penstock"), "completion", "tcsh").returncode == 2
        if not shutil.which("bash"):
            raise Skip("there is no bash")


if __name__ == "__main__":
    run()
