#!/usr/bin/env python3
"""The daemon on the bus: what Penstock answers, changes and tells."""
import errno
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))
from harness import PATIENCE_SECONDS, Place, argument, memory_bytes, promise, read, run, wait, Skip  # noqa: E402
from wire import Client  # noqa: E402

UDP = """
global(bus.socket="@DIR@/bus")
module(load="imudp")
input(type="imudp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port"
      ratelimit.interval="60" ratelimit.burst="100000")
template(name="m" type="string" string="%msg%\\n")
"""
OUT = UDP + 'action(name="out" type="omfile" file="@DIR@/out" template="m")\n'
QUEUED = UDP + """
action(name="out" type="omfile" file="@DIR@/out" template="m" queue.type="LinkedList" queue.size="1000"
       queue.timeoutEnqueue="0")
"""


class Refused(Exception):
    pass


class Bus(Client):
    """A client that asks Penstock."""

    def __init__(self, place, path="bus"):
        super().__init__(place.file(path), version=2)

    def ask(self, command, to="Penstock", **arguments):
        seq = self.send({"command": [command, arguments]}, to, want_answer=True)
        kept = b""
        while True:
            answer = self.get(PATIENCE_SECONDS)
            if answer.header.get("reply") == seq:
                break
            kept += answer.frame
        self.data = kept + self.data
        result = answer.json["result"]
        if result[0]:
            raise Refused(result[1])
        return result[1] if len(result) > 1 else None

    def refused(self, command, **arguments):
        try:
            self.ask(command, **arguments)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"{command} was done")


def send(daemon, *messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(f"<13>Oct 11 22:14:15 host tag: {message}".encode(), ("127.0.0.1", daemon.port("port")))


def action(bus, name):
    return next(one for one in bus.ask("action.list") if one["name"] == name)


@promise
def it_answers_with_its_state_and_counters():
    with Place() as place:
        daemon = place.daemon(OUT)
        with Bus(place) as bus:
            status = bus.ask("status")
            assert status["pid"] == daemon.process.pid and status["config"] == daemon.config and status["actions"] == 1
            send(daemon, "one", "two")
            wait(lambda: place.read("out") == " one\n two\n", "the messages")
            stats = wait(lambda: (s := bus.ask("stats")) and s["actions"][0]["processed"] == 2 and s, "the counters")
            assert [one["module"] for one in stats["inputs"]] == ["imudp"]
            assert stats["inputs"][0]["counters"]["submitted"] == 2
            assert stats["queues"][0]["enqueued"] == 2 and stats["queues"][0]["name"] == "main Q"
            described = bus.ask("describe")
            assert described["module_name"] == "Penstock" and len(described["commands"]) > 10
        assert daemon.stop() == 0
        assert not os.path.exists(place.file("bus")), "the socket is left behind"


@promise
def the_configuration_is_told_with_its_secrets_masked():
    with Place() as place:
        daemon = place.daemon(OUT + 'if $msg contains "no" then stop\n')
        with Bus(place) as bus:
            config = bus.ask("config")
            assert "$msg contains 'no'" in json.dumps(config["rulesets"]), config["rulesets"]
            assert config["main_queue"]["queue.size"] == "50000"
            assert any("imudp" in one for one in config["inputs"])
        assert daemon.stop() == 0


@promise
def settings_change_while_it_runs_all_or_none():
    with Place() as place:
        daemon = place.daemon(QUEUED)
        with Bus(place) as bus:
            bus.ask("config_update", settings={"log": {"level": "debug"}, "queues": {"main Q": {"discardMark": 77}},
                                               "inputs": {"imudp[0]": {"ratelimit.burst": 2}}})
            now = bus.ask("get_config")
            assert now["log"]["level"] == "debug" and bus.ask("loglevel") == {"level": "debug"}
            assert now["queues"]["main Q"]["discardMark"] == 77 and now["inputs"]["imudp[0]"]["ratelimit.burst"] == 2
            why = bus.refused("config_update", settings={"log": {"level": "err"}, "queues": {"main Q": {"colour": 1}}})
            assert "colour" in why, why
            assert bus.ask("get_config") == now, "a part of a wrong update was done"

            def is_limited():
                send(daemon, "one more")  # the input's own thread takes the limit over when it comes round
                return bus.ask("stats")["inputs"][0]["counters"]["discarded.ratelimit"]

            wait(is_limited, "the new limit")
        assert daemon.stop() == 0


@promise
def an_action_is_suspended_and_resumed_by_hand_and_its_queue_keeps_the_messages():
    with Place() as place:
        daemon = place.daemon(QUEUED)
        with Bus(place) as bus:
            bus.subscribe("Event/action-suspended").subscribe("Event/action-resumed")
            bus.ask("action.suspend", action="out")
            assert bus.get().json == {"action": "out", "reason": "by hand"}
            assert action(bus, "out")["state"] == "held" and bus.ask("status")["suspended"] == 1
            send(daemon, "kept")
            wait(lambda: action(bus, "out")["unfinished"] == 1, "the message in the queue")
            assert not place.read("out")
            bus.ask("action.resume", action="out")
            wait(lambda: place.read("out") == " kept\n", "the message")
            assert bus.get().json == {"action": "out"}
            assert "no action" in bus.refused("action.suspend", action="nothing")
        assert daemon.stop() == 0


@promise
def a_destination_that_is_away_is_told_with_its_reason_and_next_retry():
    with Place() as place:
        away = UDP + 'action(name="far" type="omfwd" target="127.0.0.1" port="1" protocol="tcp" ' \
                     'queue.type="LinkedList" action.resumeRetryCount="-1" queue.timeoutShutdown="0" ' \
                     'queue.timeoutActionCompletion="0")\n'
        daemon = place.daemon(away)
        with Bus(place) as bus:
            bus.subscribe("Event/action-suspended")
            send(daemon, "one")
            told = bus.get(PATIENCE_SECONDS).json
            assert told["action"] == "far" and told["reason"], told
            wait(lambda: action(bus, "far")["state"] == "retrying", "the retry")
            far = action(bus, "far")
            assert far["state"] == "retrying" and far["reason"] and 0 <= far["next_retry_ms"] <= 30000, far
        assert daemon.stop() == 0


@promise
def every_output_that_is_away_tells_its_errno():
    """An omprog whose program ends at once, a full disk, a name below a file, a pipe that is not there, nobody there."""
    expected = {"tcp": {errno.ECONNREFUSED}, "relp": {errno.ECONNREFUSED}, "unix": {errno.ENOENT},
                "full": {errno.ENOSPC}, "below": {errno.ENOTDIR},
                "pipe": {errno.ENOENT}, "program": {errno.ENOENT}, "dies": {errno.EPIPE, errno.ECONNRESET}}
    retry = 'queue.type="LinkedList" action.resumeRetryCount="-1" action.resumeInterval="30" ' \
            'queue.timeoutShutdown="0" queue.timeoutActionCompletion="0")\n'
    with Place() as place:
        place.file("file", "")
        config = UDP + 'module(load="omprog")\nmodule(load="omrelp")\nmodule(load="omuxsock")\n' + "".join(
                f'action(name="{name}" {settings} {retry}' for name, settings in {
                    "tcp": 'type="omfwd" target="127.0.0.1" port="1" protocol="tcp"',
                    "relp": 'type="omrelp" target="127.0.0.1" port="1"',
                    "unix": 'type="omuxsock" socketname="@DIR@/nobody"',
                    "full": 'type="omfile" file="/dev/full"',
                    "below": 'type="omfile" file="@DIR@/file/x"',
                    "pipe": 'type="ompipe" pipe="@DIR@/no-fifo"',
                    "program": 'type="omprog" binary="@DIR@/missing" confirmMessages="on"',
                    "dies": 'type="omprog" binary="/bin/false" confirmMessages="on"'}.items())
        daemon = place.daemon(config)
        with Bus(place) as bus:
            send(daemon, "one")
            for name in expected:
                wait(lambda name=name: action(bus, name)["state"] == "retrying", f"{name} to be away")
            told = {name: action(bus, name) for name in expected}
            for name, codes in expected.items():
                one = told[name]
                print(f"# {name}: {one['errno']} {one['reason']}")
            for name, codes in expected.items():
                one = told[name]
                assert one["errno"] in codes and one["reason"] and 0 <= one["next_retry_ms"] <= 30000, one
        shown = place.run(argument("penstock"), "status", "--socket", place.file("bus")).stdout
        assert "(errno 111, ECONNREFUSED); next retry in" in shown, shown
        assert daemon.stop() == 0


@promise
def a_full_queue_and_its_end_are_events():
    with Place() as place:
        daemon = place.daemon(QUEUED.replace('"1000"', '"10"'))
        with Bus(place) as bus:
            bus.subscribe("Event/queue-full").subscribe("Event/queue-drained")
            bus.ask("action.suspend", action="out")
            send(daemon, *range(40))
            assert bus.get(PATIENCE_SECONDS).json == {"queue": "out", "of": "messages"}
            one = bus.ask("queue.status", queue="out")
            assert one["queue"]["waiting"] + one["queue"]["working"] >= 10 and one["marks"]["size"] == 10, one
            bus.ask("action.resume", action="out")
            assert bus.get(PATIENCE_SECONDS).json == {"queue": "out"}
        assert daemon.stop() == 0


@promise
def messages_are_injected_and_files_opened_anew():
    with Place() as place:
        daemon = place.daemon(OUT)
        with Bus(place) as bus:
            bus.subscribe("Event/reopened")
            bus.ask("inject", message="<13>Oct 11 22:14:15 host tag: before")
            wait(lambda: place.read("out") == " before\n", "the message")
            os.rename(place.file("out"), place.file("out.1"))
            bus.ask("reopen")
            assert bus.get().json == {}
            bus.ask("inject", message="<13>Oct 11 22:14:15 host tag: after")
            wait(lambda: place.read("out") == " after\n", "the message in the new file")
            assert "ruleset" in bus.refused("inject", message="x", ruleset="nowhere")
        assert daemon.stop() == 0


@promise
def a_tap_shows_what_passes_its_filter_and_ends_with_its_client():
    with Place() as place:
        daemon = place.daemon(OUT)
        with Bus(place) as watcher, Bus(place) as other:
            assert watcher.refused("tap", filter="$msg contains")
            number = watcher.ask("tap", filter='$msg contains "yes"', complete=True)["tap"]
            send(daemon, "no", "yes 1", "no", "yes 2")
            seen = []
            while len(seen) < 2:
                told = watcher.get(PATIENCE_SECONDS).json
                assert told["tap"] == number and told["missed"] == 0
                seen += [one["message"] for one in told["messages"]]
            assert seen == [" yes 1", " yes 2"], seen
            # A tap shows what is delivered from then on: what came before has to be through.
            wait(lambda: place.read("out").count("\n") == 4, "the delivery of what came before")
            from_action = other.ask("tap", **{"from": "out"})["tap"]
            send(daemon, "yes 3")
            shown = other.get(PATIENCE_SECONDS).json
            assert shown["tap"] == from_action and shown["messages"][0]["delivered"] == " yes 3\n", shown
            other.ask("untap", tap=from_action)
            assert "no tap" in other.refused("untap", tap=from_action)
        with Bus(place) as bus:
            wait(lambda: "no tap" in bus.refused("untap", tap=number), "the end of the tap")
        assert daemon.stop() == 0


@promise
def a_trace_tells_the_way_of_the_next_message_with_what_decided():
    with Place() as place:
        daemon = place.daemon(UDP + """
if $msg contains "secret" then { set $.a = "x" & $programname; action(name="sec" type="omfile" file="@DIR@/sec"
    template="m") stop }
mail.* stop
action(name="out" type="omfile" file="@DIR@/out" template="m" queue.type="LinkedList")
""")
        with Bus(place) as bus:
            seq = bus.send({"command": ["trace", {"filter": '$msg contains "secret"'}]}, "Penstock", want_answer=True)
            bus.sync()
            with Bus(place) as other:
                assert "another trace" in other.refused("trace")
            send(daemon, "plain", "secret")
            answer = bus.get(PATIENCE_SECONDS)
            assert answer.header["reply"] == seq
            way = answer.json["result"][1]
            assert way["parser"] == "pmrfc3164" and way["input"] == "imudp" and way["message"]["message"] == " secret"
            steps = [(step["step"], step["outcome"]) for step in way["steps"]]
            assert steps == [("filter", "passed"), ("set", "done"), ("action", "delivered"), ("stop", "done")], steps
            assert way["steps"][0]["values"] == {"$msg": " secret"} and way["steps"][1]["values"] == {"$.a": "xtag"}
            assert way["steps"][2]["rendered"] == " secret\n" and way["steps"][2]["action"] == "sec"
            bus.send({"command": ["trace", {}]}, "Penstock", want_answer=True)
            with Bus(place) as other:
                wait(lambda: "another trace" in other.refused("trace"), "that it waits")
            send(daemon, "plain")
            way = bus.get(PATIENCE_SECONDS).json["result"][1]
            assert [step["outcome"] for step in way["steps"]] == ["not passed", "not passed", "queued"], way["steps"]
            assert way["steps"][1]["values"]["$syslogfacility-text"] == "user", way["steps"]
            assert "no message" in bus.refused("trace", filter="$msg == 'never'", timeout=50)
        assert daemon.stop() == 0


@promise
def what_passes_is_not_held_up_by_whoever_looks_on_and_does_not_read():
    with Place() as place:
        daemon = place.daemon(OUT)
        with Bus(place) as bus, Bus(place) as bus_of_another:
            bus.ask("tap", complete=True)
            count = 20000
            for first in range(0, count, 100):
                send(daemon, *(f"{n} {'x' * 200}" for n in range(first, first + 100)))
                wait(lambda: action(bus_of_another, "out")["processed"] >= first + 100, "the messages of this round")
        assert daemon.stop() == 0


@promise
def messages_go_out_to_a_group_and_come_in_from_one():
    with Place() as place:
        daemon = place.daemon(UDP + """
module(load="imbus") module(load="ombus")
input(type="imbus" group="Logs" ruleset="from the bus" name="bus")
template(name="all" type="string" string="%inputname% %hostname% %syslogtag% %syslogfacility-text% %msg% %$!extra%\\n")
ruleset(name="from the bus") { action(type="omfile" file="@DIR@/in" template="all") }
action(type="ombus" event="log")
action(type="ombus" group="Logs")
""")
        with Bus(place) as bus:
            wait(lambda: len(bus.ask("members", to="Msgq", group="Logs")) == 1, "the input on the bus")
            bus.subscribe("Event/log")
            send(daemon, 'say "hello"')
            told = bus.get(PATIENCE_SECONDS).json
            assert told["message"] == ' say "hello"' and told["host"] == "host" and told["severity"] == "notice", told
            wait(lambda: place.read("in") == 'bus host tag: user  say "hello" \n', "the message from the bus")
            bus.send({"message": "other", "host": "far", "tag": "t:", "facility": "mail", "extra": 7}, "Logs")
            wait(lambda: place.lines("in")[1:] == ["bus far t: mail other 7"], "the message of the other client")
        assert daemon.stop() == 0


@promise
def a_second_daemon_joins_the_bus_that_is_there():
    with Place() as place, Place() as second:
        daemon = place.daemon(OUT)
        other = second.daemon(OUT.replace('bus.socket="@DIR@', f'bus.socket="{place.path}'))
        with Bus(place) as bus:
            assert len(bus.ask("members", to="Msgq", group="Penstock")) == 2
        assert other.stop() == 0
        with Bus(place) as bus:
            assert bus.ask("status")["pid"] == daemon.process.pid
        assert daemon.stop() == 0


@promise
def a_bus_that_cannot_be_had_is_a_warning_and_nothing_else():
    with Place() as place:
        daemon = place.daemon(OUT.replace("@DIR@/bus\"", "@DIR@/nowhere/bus\" processInternalMessages=\"on\""))
        wait(lambda: "no message bus on" in place.read("out"), "the warning")
        send(daemon, "hello")
        wait(lambda: " hello\n" in place.read("out"), "the message")
        assert daemon.stop() == 0


@promise
def a_daemon_with_a_bus_sleeps_while_idle_and_stays_small():
    if b"__tsan_init" in read(argument("daemon")):
        raise Skip("the thread sanitizer has a thread of its own that wakes up")
    with Place() as place:
        daemon = place.daemon(OUT)
        with Bus(place) as bus:
            bus.ask("status")

        def switches():
            tasks = os.listdir(f"/proc/{daemon.process.pid}/task")
            lines = "".join(read(f"/proc/{daemon.process.pid}/task/{task}/status").decode() for task in tasks)
            return sum(int(line.split()[1]) for line in lines.splitlines() if "ctxt_switches" in line)

        def slept():
            before = switches()
            time.sleep(2)  # nothing is awaited: time in which nothing may happen
            return switches() == before

        wait(slept, "two seconds without one wake-up")
        if b"__asan_init" not in read(argument("daemon")):
            assert memory_bytes(daemon.process.pid) < 10 << 20
        assert daemon.stop() == 0


def default_place(place, second):
    """A daemon at the default path, which a runtime directory makes ours."""
    config = OUT.replace('global(bus.socket="@DIR@/bus")', "")
    return second.daemon(config, launcher=("env", "-u", "PENSTOCK_BUS_SOCKET", f"RUNTIME_DIRECTORY={place.path}"))


@promise
def without_a_word_it_is_in_the_runtime_directory_and_a_second_daemon_leaves_it_alone():
    with Place() as place, Place() as first, Place() as second:
        daemon = default_place(place, first)
        with Bus(place) as bus:
            assert bus.ask("status")["bus"] == place.file("bus")
            other = default_place(place, second)
            wait(lambda: "no message bus on" in other.stderr(), "the line on stderr")
            assert len(bus.ask("members", to="Msgq", group="Penstock")) == 1
        assert other.stop() == 0 and daemon.stop() == 0


@promise
def a_daemon_without_a_bus_has_none():
    with Place() as place:
        daemon = place.daemon(OUT.replace("@DIR@/bus", "off"))
        assert not os.path.exists(place.file("bus")) and not os.path.exists("off")
        assert daemon.stop() == 0


@promise
def memory_that_large_messages_took_goes_back():
    with Place() as place:
        daemon = place.daemon(OUT)
        with Bus(place) as sender, Bus(place) as reader:
            reader.subscribe("Large")
            for _ in range(8):
                sender.send(b"x" * (4 << 20), "Large")
                assert len(reader.get(PATIENCE_SECONDS).body) == 4 << 20
            for _ in range(20000):
                sender.send(b"x" * 100, "Large")
            for _ in range(20000):
                reader.get(PATIENCE_SECONDS)
        if b"__asan_init" not in read(argument("daemon")) and b"__tsan_init" not in read(argument("daemon")):
            wait(lambda: memory_bytes(daemon.process.pid) < 8 << 20, "the memory")
        assert daemon.stop() == 0


@promise
def only_the_daemons_own_user_may_connect_unless_a_policy_says_so():
    with Place() as place:
        daemon = place.daemon(OUT)
        assert os.stat(place.file("bus")).st_mode & 0o777 == 0o600
        assert daemon.stop() == 0
    with Place() as place:
        place.file("policy", '{"mode": "0666", "policy": [{"may": "send", "allow": false, "name": "Penstock"}]}')
        daemon = place.daemon(OUT.replace('global(', 'global(bus.config="@DIR@/policy" '))
        assert os.stat(place.file("bus")).st_mode & 0o777 == 0o666
        with Bus(place) as bus:
            assert bus.refused("status") == "Not allowed"
        assert daemon.stop() == 0


if __name__ == "__main__":
    run()
