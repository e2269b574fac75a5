#!/usr/bin/env python3
"""Rulesets that call one another without a queue: a batch of messages passes them together, and nothing shows it."""
from harness import Place, promise, run, send_tcp, wait

HEAD = """
module(load="imtcp")
template(name="m" type="string" string="%msg:2:$%\\n")
template(name="v" type="string" string="%$!v%\\n")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="@DIR@/port" ruleset="in")
"""
COUNT = 500


def told(place, config, name):
    """What the file holds after COUNT messages that come in one piece."""
    daemon = place.daemon(HEAD + config)
    send_tcp(daemon.port("port"), "".join(f"<{8 + i % 8}>Oct 11 22:14:15 host tag: {i}\n" for i in range(COUNT)))
    wait(lambda: f"{COUNT - 1}" in place.lines("last"), "the last message")
    assert daemon.stop() == 0
    return [int(line) for line in place.lines(name)]


LAST = """
ruleset(name="last") { action(type="omfile" file="@DIR@/last" template="m") }
"""


@promise
def rulesets_that_share_a_file_keep_the_order_of_the_messages():
    config = LAST + """
ruleset(name="more") { action(type="omfile" file="@DIR@/out" template="m") }
ruleset(name="in") {
    if $syslogseverity < 3 then { action(type="omfile" file="@DIR@/out" template="m") } else { call more }
    call last
}
"""
    with Place() as place:
        assert told(place, config, "out") == list(range(COUNT))


@promise
def a_ruleset_called_from_two_places_keeps_the_order_of_the_messages():
    config = LAST + """
ruleset(name="one") { action(type="omfile" file="@DIR@/out" template="m") }
ruleset(name="in") {
    if $syslogseverity < 3 then call one
    if $syslogseverity >= 3 then call one
    call last
}
"""
    with Place() as place:
        assert told(place, config, "out") == list(range(COUNT))


@promise
def each_called_ruleset_has_its_own_messages():
    config = LAST + """
ruleset(name="even") {
    if $syslogseverity == 0 then { action(type="omfile" file="@DIR@/even" template="m") }
    if $syslogseverity == 2 then { action(type="omfile" file="@DIR@/even" template="m") }
}
ruleset(name="odd") {
    if $syslogseverity == 1 then { action(type="omfile" file="@DIR@/odd" template="m") }
    if $syslogseverity == 3 then { action(type="omfile" file="@DIR@/odd" template="m") }
}
ruleset(name="in") { call even call odd call last }
"""
    with Place() as place:
        assert told(place, config, "even") == [i for i in range(COUNT) if i % 8 in (0, 2)]
        assert [int(line) for line in place.lines("odd")] == [i for i in range(COUNT) if i % 8 in (1, 3)]


@promise
def a_called_ruleset_that_counts_sees_one_message_after_the_other():
    config = LAST + """
ruleset(name="count") { set $/n = $/n + 1; set $!v = $/n; }
ruleset(name="in") { call count action(type="omfile" file="@DIR@/out" template="v") call last }
"""
    with Place() as place:
        assert told(place, config, "out") == list(range(1, COUNT + 1))


@promise
def what_is_written_before_a_change_is_written_unchanged():
    config = LAST + """
ruleset(name="one") { action(type="omfile" file="@DIR@/out" template="v") }
ruleset(name="other") {
    if $syslogseverity < 3 then { call one }
    if $syslogseverity >= 3 then { call one }
}
ruleset(name="in") { set $!v = 1; call one set $!v = 2; call last }
"""
    with Place() as place:
        assert told(place, config, "out") == [1] * COUNT


run()
