#!/usr/bin/env python3
"""Parsers, repetitions and rulesets together, where rsyslogd 8.2302 has nothing to compare with."""
import itertools
import random
import socket

from harness import Place, promise, run, send_tcp, wait

HEADERLESS = """
parser(name="p" type="pmrfc3164" detect.headerless="on" headerless.ruleset="bare")
template(name="m" type="string" string="%syslogtag% %msg%\\n")
ruleset(name="usual" parser=["p"]) { action(type="omfile" file="@DIR@/out" template="m") }
ruleset(name="bare"QUEUE) { action(type="omfile" file="@DIR@/bare" template="m") }
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="usual")
"""


def headerless_go_elsewhere(queue):
    with Place() as place:
        daemon = place.daemon(HEADERLESS.replace("QUEUE", queue))
        send_tcp(daemon.port("port"), "<13>host tag: one\nbare one\nbare two\n<13>host tag: two\nbare three\n")
        wait(lambda: len(place.lines("bare")) == 3 and len(place.lines("out")) == 2, "all messages")
        assert place.lines("bare") == ["headerless bare one", "headerless bare two", "headerless bare three"]
        assert place.lines("out") == ["tag:  one", "tag:  two"]
        assert daemon.stop() == 0


@promise
def headerless_messages_go_to_the_ruleset_that_the_parser_names():
    headerless_go_elsewhere("")


@promise
def that_ruleset_may_have_a_queue():
    headerless_go_elsewhere(' queue.type="LinkedList"')


@promise
def what_a_ruleset_changed_is_not_parsed_again_behind_a_queue():
    with Place() as place:
        daemon = place.daemon("""
module(load="pmnull")
parser(name="p" type="pmnull" tag="given")
template(name="m" type="string" string="%syslogtag% %msg%\\n")
ruleset(name="first" parser=["p"]) { call second }
ruleset(name="second" queue.type="LinkedList") { action(type="omfile" file="@DIR@/out" template="m") }
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="first")
""")
        send_tcp(daemon.port("port"), "<13>Oct 11 22:14:15 host tag: one\n")
        wait(lambda: place.lines("out"), "the message")
        assert place.lines("out") == ["given <13>Oct 11 22:14:15 host tag: one"]
        assert daemon.stop() == 0


REPEATS = """
$RepeatedMsgReduction on
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/out" template="m")
"""


def reduced(words):
    for word, run_of in itertools.groupby(words):
        again = len(list(run_of)) - 1
        yield f" {word}"
        if again:
            yield f" {word}" if again == 1 else f" message repeated {again} times: [ {word}]"


@promise
def repetitions_are_counted_however_the_stream_was_cut():
    generator = random.Random(7)
    words = [word for _ in range(300) for word in [generator.choice("abc")] * generator.choice((1, 1, 2, 3, 40))]
    words += ["long"] * 5000 + ["end"]
    with Place() as place:
        daemon = place.daemon(REPEATS)
        lines = [f"<13>Oct 11 22:14:15 host tag: {word}\n" for word in words]
        with socket.create_connection(("127.0.0.1", daemon.port("port"))) as connection:
            while lines:
                size = generator.choice((1, 3, 17, 3000))
                connection.sendall("".join(lines[:size]).encode())
                del lines[:size]
            wait(lambda: place.lines("out")[-1:] == [" end"], "the last message")
        assert daemon.stop() == 0
        assert place.lines("out") == list(reduced(words))


run()
