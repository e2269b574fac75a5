#!/usr/bin/env python3
"""What no destination takes is kept where somebody relies on it, in every kind of queue, and can be sent again."""
import os
import re
import socket
import subprocess
import sys
import time

from harness import ROOT, PATIENCE_SECONDS, Place, argument, numbered, promise, run, send_tcp, wait
from ports import free_port

sys.path.insert(0, os.path.join(ROOT, "tests", "queue"))
from messages import messages  # noqa: E402  pylint: disable=wrong-import-position

HEAD = """
global(workDirectory="@DIR@/spool" processInternalMessages="on" @GLOBAL@)
module(load="imfile")
module(load="imtcp")
template(name="m" type="string" string="%msg%\\n")
input(type="imfile" file="@DIR@/in" tag="t" ruleset="work" persistStateInterval="1")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="work")
action(type="omfile" file="@DIR@/own")
"""
FORWARD = """  action(name="far" type="omfwd" target="127.0.0.1" port="@PORT@" protocol="tcp" template="m"
         action.resumeInterval="1" @QUEUE@)
"""
SEEN = '  action(name="near" type="omfile" file="@DIR@/seen" template="m")\n'


def away():
    """A port that nobody listens on; the socket keeps it so."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


def config(actions, port=9, queue="", more=""):
    return ((HEAD + 'ruleset(name="work" @MAIN@) {\n' + actions + "}\n").replace("@GLOBAL@", more)
            .replace("@MAIN@", "").replace("@PORT@", str(port)).replace("@QUEUE@", queue))


def begin(place, lines, text):
    """A daemon that reads a file of so many lines, each told to be taken once all actions are done with it."""
    os.makedirs(place.file("spool"), exist_ok=True)
    place.file("in", "".join(f"{i}\n" for i in range(lines)))
    return place.daemon(text)


def dead(place, name):
    directory = place.file(f"spool/{name}.dead")
    return list(messages(directory)) if os.path.isdir(directory) else []


def dead_numbers(place, name):
    return [int(m["msg"]) for m in dead(place, name)]


def replay(place, name, *where):
    return place.run(argument("penstock"), "queue", "replay", place.file(f"spool/{name}.dead"), *where)


@promise
def what_a_direct_action_gives_up_is_kept_and_can_be_sent_while_the_daemon_runs():
    holder, port = away()
    with Place() as place, holder:
        daemon = begin(place, 500, config(FORWARD + SEEN, port))
        wait(lambda: dead_numbers(place, "far") == list(range(500)), "the dead letters")
        assert place.lines("seen") == [str(i) for i in range(500)], "the other action was held up"
        why = dead(place, "far")[0]["$."]["dead"]
        assert why["action"] == "far" and why["reason"].startswith("given up") and why["errno"] == 111, why
        with socket.create_server(("127.0.0.1", 0)) as server:
            to = ("--to", f"tcp:127.0.0.1:{server.getsockname()[1]}")
            assert replay(place, "far", *to).returncode, "taken while the daemon has them open"
            daemon.hup()
            wait(lambda: replay(place, "far", *to).returncode == 0, "the replay after a HUP")
            received = b""
            with server.accept()[0] as connection:
                while data := connection.recv(1 << 16):
                    received += data
        assert received.decode().split() == [str(i) for i in range(500)]
        assert not dead(place, "far")
        with open(place.file("in"), "a", encoding="utf-8") as file:
            file.write("500\n")
        wait(lambda: dead_numbers(place, "far") == [500], "the next, after it")
        assert daemon.stop() == 0


def marks(text):
    return set(re.findall(r"seq=(\d+:\d+)", text))


@promise
def what_relp_was_told_is_taken_survives_a_kill_among_the_dead_letters():
    holder, port = away()
    for cycle in range(3):
        with Place() as place:
            os.makedirs(place.file("spool"))
            inlet = free_port()
            relp = (f'module(load="imrelp")\ninput(type="imrelp" address="127.0.0.1" port="{inlet}" ruleset="work")\n'
                    'module(load="imtcp")')
            daemon = place.daemon(config(FORWARD, port).replace('module(load="imtcp")', relp))
            flood = place.spawn([argument("penstock"), "flood", "--sequence", "--messages", "10000000", "--connections",
                                 "4", "--acknowledged", place.file("ledger"), f"relp:127.0.0.1:{inlet}"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait(lambda cycle=cycle: place.read("ledger").count("\n") >= 2000 * (cycle + 1), "acknowledgements")
            daemon.process.kill()
            daemon.process.wait()
            flood.wait(PATIENCE_SECONDS)
            acknowledged = marks(place.read("ledger"))
            kept = {mark for m in dead(place, "far") for mark in marks(m["msg"])}
            assert acknowledged and acknowledged <= kept, f"{len(acknowledged - kept)} acknowledged messages are lost"
    holder.close()


@promise
def what_a_destination_refuses_is_kept_with_a_main_queue_in_memory_too():
    with Place() as place:
        path = 'template(name="path" type="string" string="@DIR@/to/%msg%")\n'
        actions = ('  action(name="per file" type="omfile" dynaFile="path" template="m")\n'
                   '  action(name="queued" type="omfile" dynaFile="path" template="m" queue.type="LinkedList"\n'
                   '         queue.timeoutShutdown="5000")\n' + SEEN)
        os.makedirs(place.file("spool"))
        poison = "1" * 300
        place.file("in", f"1\n{poison}\n2\n")
        daemon = place.daemon(config(actions).replace("ruleset(name=", path + "ruleset(name=", 1))
        wait(lambda: dead(place, "per file") and dead(place, "queued"), "the dead letters")
        assert [m["msg"] for m in dead(place, "per file")] == [poison]
        assert [m["msg"] for m in dead(place, "queued")] == [poison]
        wait(lambda: place.lines("to/2") == ["2", "2"], "its neighbour, from both")
        assert place.lines("seen") == ["1", poison, "2"]
        assert daemon.stop() == 0


@promise
def a_queue_in_memory_gives_up_into_dead_letters():
    holder, port = away()
    with Place() as place, holder:
        daemon = begin(place, 300, config(FORWARD + SEEN, port, 'queue.type="LinkedList" queue.timeoutShutdown="5000"'))
        wait(lambda: dead_numbers(place, "far") == list(range(300)), "the dead letters")
        assert daemon.stop() == 0


@promise
def what_a_direct_action_gives_up_is_kept_by_the_queue_on_disk_before_it():
    holder, port = away()
    with Place() as place, holder:
        text = config(FORWARD + SEEN, port).replace(
            'ruleset(name="work" )', 'ruleset(name="work" queue.type="Disk" queue.fileName="work")')
        os.makedirs(place.file("spool"))
        daemon = place.daemon(text)
        send_tcp(daemon.port("port"), numbered(0, 100))
        wait(lambda: dead_numbers(place, "work") == list(range(100)), "the dead letters")
        assert {m["$."]["dead"]["action"] for m in dead(place, "work")} == {"far"}
        assert daemon.stop() == 0


@promise
def what_the_next_action_takes_is_no_dead_letter():
    holder, port = away()
    with Place() as place, holder:
        spare = ('  action(name="spare" type="omfile" file="@DIR@/spare" template="m"\n'
                 '         action.execOnlyWhenPreviousIsSuspended="on")\n')
        daemon = begin(place, 200, config(FORWARD + spare + SEEN, port))
        wait(lambda: len(place.lines("spare")) == 200, "the spare action to have all")
        wait(lambda: len(place.lines("seen")) == 200, "the action behind it")
        assert daemon.stop() == 0
        assert not dead(place, "far") and not dead(place, "spare")


@promise
def what_a_script_takes_that_asks_is_no_dead_letter():
    holder, port = away()
    with Place() as place, holder:
        spare = ('  if previous_action_suspended() then action(type="omfile" file="@DIR@/spare" template="m")\n')
        daemon = begin(place, 200, config(FORWARD + spare + SEEN, port))
        wait(lambda: len(place.lines("spare")) == 200, "the script's other action to have all")
        wait(lambda: len(place.lines("seen")) == 200, "the action behind it")
        assert daemon.stop() == 0
        assert not dead(place, "far")


def kept_by_the_second_alone(place, daemon, second, count):
    """Two actions miss so many messages: the second one keeps them all, each once, and the first one keeps none."""
    wait(lambda: dead_numbers(place, second) == list(range(count)), "the dead letters of the second action")
    wait(lambda: len(place.lines("seen")) == count, "the action behind both")
    assert daemon.stop() == 0
    assert not dead(place, "far")


@promise
def what_all_of_a_chain_miss_is_kept_once():
    holder, port = away()
    with Place() as place, holder:
        spare = FORWARD.replace('name="far"', 'name="spare" action.execOnlyWhenPreviousIsSuspended="on"')
        daemon = begin(place, 200, config(FORWARD + spare + SEEN, port))
        kept_by_the_second_alone(place, daemon, "spare", 200)


@promise
def what_no_sender_relies_on_is_kept_only_where_all_is():
    holder, port = away()
    with Place() as place, holder:
        os.makedirs(place.file("spool"))
        keeps = FORWARD.replace('name="far"', 'name="keeps" action.deadLetter="all"')
        daemon = place.daemon(config(FORWARD + keeps + SEEN, port))
        send_tcp(daemon.port("port"), numbered(0, 100))
        kept_by_the_second_alone(place, daemon, "keeps", 100)


@promise
def who_wants_none_has_none():
    holder, port = away()
    with Place() as place, holder:
        durable = FORWARD.replace('name="far"', 'name="durable" queue.type="Disk" queue.fileName="durable" '
                                                'queue.timeoutShutdown="5000"')
        daemon = begin(place, 100, config(FORWARD + durable + SEEN, port, more='deadLetter="none"'))
        wait(lambda: len(place.lines("seen")) == 100, "the action behind it")
        assert daemon.stop() == 0
        assert not dead(place, "far") and not dead(place, "durable")


@promise
def without_a_place_for_them_it_is_said():
    holder, port = away()
    with Place() as place, holder:
        os.makedirs(place.file("state"))
        text = config(FORWARD + SEEN, port).replace('workDirectory="@DIR@/spool"', "").replace(
            'module(load="imfile")', 'module(load="imfile" stateFile.directory="@DIR@/state")')
        daemon = begin(place, 10, text)
        wait(lambda: "there is no place to keep them" in daemon.stderr() + place.read("own"), "the report")
        wait(lambda: len(place.lines("seen")) == 10, "the action behind it")
        assert daemon.stop() == 0


@promise
def a_slow_destination_holds_who_relies_on_it_instead_of_losing_for_him():
    """Its queue in memory stays full far longer than queue.timeoutEnqueue."""
    with Place() as place:
        slow = ('  action(name="slow" type="omprog" binary="@DIR@/slow" template="m" queue.type="LinkedList"\n'
                '         confirmMessages="on" queue.size="100" queue.timeoutEnqueue="20" queue.timeoutShutdown="9000"\n'
                '         queue.dequeueBatchSize="10")\n')
        place.file("slow", '#!/bin/sh\necho OK\nwhile read -r line; do\n'
                           '  while [ ! -e @DIR@/go ]; do sleep 0.02; done\n'
                           '  echo "$line" >> @DIR@/out\n  echo OK\ndone\n')
        os.chmod(place.file("slow"), 0o755)
        text = config(slow).replace('module(load="imfile")', 'module(load="imfile")\nmodule(load="omprog")')
        daemon = begin(place, 1000, text)
        time.sleep(0.5)  # The outage itself: longer than any time-out here.
        place.file("go", "")
        wait(lambda: len(place.lines("out")) == 1000, "all of it")
        assert place.lines("out") == [str(i) for i in range(1000)]
        assert daemon.stop() == 0


run()
