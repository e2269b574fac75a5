#!/usr/bin/env python3
"""penstock explain and penstock test: what is shown is what the daemon does, and nothing is touched."""
import importlib
import json
import os
import pathlib
import socket
import subprocess
import sys

from harness import ROOT, Place, argument, promise, run, send_tcp, wait

LINE = "<38>Oct 11 22:14:15 web1 sshd[7]: failed password"


def explain(place, config, *arguments, code=0, **options):
    done = place.run(argument("penstock"), "explain", *arguments, place.file("penstock.conf", config), **options)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def story(place, config, line=LINE, *arguments):
    return json.loads(explain(place, config, "--json", "--message", line, *arguments))


def steps(told, kind):
    return [step for step in told["steps"] if step["step"] == kind]


def test(place, text, code, name="tests.yaml"):
    done = place.run(argument("penstock"), "test", place.file(name, text))
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


FILE = 'action(type="omfile" file="@DIR@/out")\n'


@promise
def filters_that_one_look_answers_say_so():
    with Place() as place:
        shown = explain(place, ':programname, isequal, "a" @DIR@/a\n:programname, isequal, "b" @DIR@/b\n')
        assert "look 1: at programname, answers 2 filters together" in shown, shown
        assert shown.count("{look 1}") == 2, shown


@promise
def constants_are_shown_folded_and_many_texts_as_one_lookup():
    with Place() as place:
        names = ", ".join(f'"n{i}"' for i in range(30))
        shown = explain(place, f'if $programname == [{names}] then stop\nif $!a == 2 * 3 + 1 then stop\n' + FILE)
        assert "{hash of 30 texts}" in shown, shown
        assert "if $!a == 7 {evaluated}" in shown, shown


@promise
def actions_that_share_a_delivery_are_shown_with_it():
    with Place() as place:
        shown = explain(place, "mail.* @DIR@/all\nkern.* @DIR@/all\n*.* @DIR@/other\n")
        lines = [line for line in shown.splitlines() if "-- delivery" in line]
        numbers = [line.split("-- delivery ")[1].split(",")[0] for line in lines]
        assert numbers[0] == numbers[1] != numbers[2], shown
        assert "shared" in lines[0] and "shared" not in lines[2], shown
        assert "runs: each statement over a whole batch" in shown


@promise
def a_program_that_runs_message_by_message_says_why():
    with Place() as place:
        assert "message by message, because one can notice" in explain(place, "set $/n = $/n + 1;\n" + FILE)
        shown = explain(place, 'action(type="omfile" name="a" file="@DIR@/x")\naction(type="omfile" name="b" file="@DIR@/x")\n')
        assert "message by message, because two different actions write to one target" in shown, shown


@promise
def the_way_of_a_message_has_its_parser_properties_and_every_value_that_decided():
    with Place() as place:
        told = story(place, 'if $msg contains "failed" and ($hostname == "x" or $syslogseverity <= 6) then {\n'
                     + '  set $!kind = "login";\n' + FILE + "} else stop\n")
        assert told["parser"] == "pmrfc3164" and not told["discarded"], told
        assert told["properties"]["hostname"] == "web1" and told["properties"]["programname"] == "sshd"
        [condition] = steps(told, "filter")
        assert condition["outcome"] == "passed"
        assert condition["values"] == {"$msg": " failed password", "$hostname": "web1", "$syslogseverity": "6"}
        assert [term["outcome"] for term in condition["terms"]] == ["holds", "does not hold", "holds"]
        assert steps(told, "set")[0]["value"] == "login" and told["variables"]["$!"] == {"kind": "login"}
        assert steps(told, "action")[0]["outcome"] == "delivered"
        told = story(place, 'if $hostname == "x" and $msg contains "failed" then stop\n' + FILE)
        assert [term["outcome"] for term in steps(told, "filter")[0]["terms"]] == ["does not hold", "not asked"]


@promise
def nothing_is_opened():
    with Place() as place, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        port = listener.getsockname()[1]
        told = story(place, f'module(load="imtcp")\ninput(type="imtcp" port="{port}")\n' + FILE
                     + f'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp")\n'
                     + 'global(workDirectory="@DIR@")\n'
                     + 'action(type="omfile" file="@DIR@/queued" queue.type="Disk" queue.filename="q")\n'
                     + 'module(load="omprog")\naction(type="omprog" binary="/usr/bin/touch @DIR@/touched")\n'
                     + 'module(load="mmexternal")\naction(type="mmexternal" binary="/usr/bin/touch @DIR@/touched")\n')
        outcomes = [step["outcome"] for step in steps(told, "action")]
        assert outcomes == ["delivered"] * 4 + ["skipped: it starts a program"], outcomes
        assert os.listdir(place.path) == ["penstock.conf"], os.listdir(place.path)
        try:
            listener.accept()
            raise AssertionError("somebody connected")
        except BlockingIOError:
            pass


@promise
def what_is_rendered_is_what_the_daemon_writes():
    config = ('module(load="imtcp")\ninput(type="imtcp" port="0" listenPortFileName="@DIR@/port")\n'
              'module(load="mmjsonparse")\n'
              'template(name="t" type="list") { property(name="hostname") constant(value=" ") property(name="$!a") '
              'constant(value=" ") property(name="msg" position.from="2" position.to="5") constant(value="\\n") }\n'
              'ruleset(name="later" queue.type="LinkedList") { set $!a = "changed"; stop }\n'
              'action(type="mmjsonparse")\ncall later\n'
              'if $parsesuccess == "OK" then { action(name="json" type="omfile" file="@DIR@/json" template="t") stop }\n'
              'action(name="rest" type="omfile" file="@DIR@/rest" template="t")\n')
    lines = ['<13>Oct 11 22:14:15 h tag: @cee: {"a": 17}', "<13>1 2026-10-11T22:14:15Z h app - - - plain", "<13>x"]
    with Place() as place:
        told = [story(place, config, line) for line in lines]
        got = {"json": "", "rest": ""}
        for one in told:
            for step in steps(one, "action"):
                for row in step.get("rows", []):
                    got[step["name"]] += row[0]["text"]
        daemon = place.daemon(config)
        send_tcp(daemon.port("port"), "".join(line + "\n" for line in lines).encode())
        wait(lambda: len(place.lines("json")) + len(place.lines("rest")) == len(lines), "the daemon's output")
        daemon.stop()
        assert got == {"json": place.read("json"), "rest": place.read("rest")}, got


def rehearsable(case):
    """A recorded case whose messages come over TCP in lines, and whose output is the one file `out`."""
    steps = case.steps()
    return (not set(case.header) - {"listen", "preamble", "compare", "tz"} and not case.files() and steps
            and case.words("compare") in ([], ["out"]) and case.one("listen", "tcp") in ("tcp", "imtcp")
            and all(verb == "send" and arguments == ["tcp"] for verb, arguments, _ in steps)
            and not any("\\n" in line for _, _, body in steps for line in body)
            and "RepeatedMsgReduction" not in case.config()
            and "NOW" not in case.expected_path().read_text(encoding="utf-8", errors="replace"))


def rehearse(place, cases, case):
    """What the actions on `out` would write, as the recording shows it."""
    config = place.file("case.conf", case.config().replace("@DIR@", place.path))
    lines = b"".join(cases.unescape(line) + b"\n" for _, _, body in case.steps() for line in body)
    done = subprocess.run([argument("penstock"), "explain", "--json", "--input", "imptcp", "--from", "127.0.0.1", "--message",
                           "-", config],
                          input=lines, capture_output=True, timeout=20, check=False,
                          env=dict(os.environ, TZ=case.one("tz", "UTC")))
    out = ""
    for line in done.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        for step in steps(json.loads(line, strict=False), "action"):
            if f'file="{place.path}/out"' in step["text"]:
                out += "".join(row[0]["text"] for row in step.get("rows", []))
    return cases.printable(out.encode("utf-8", "surrogateescape"))


@promise
def what_is_rehearsed_of_the_recorded_cases_is_what_rsyslog_wrote():
    differential = os.path.join(ROOT, "tests", "differential")
    sys.path.insert(0, differential)
    cases = importlib.import_module("run")
    wrong, count = [], 0
    for group in ("language", "functions", "template", "parse3164", "parse5424", "mmjsonparse", "mmnormalize", "mmanon", "mmfields",
                  "parsers", "actions", "lookup", "legacy", "time"):
        for path in sorted(pathlib.Path(differential, "cases", group).glob("*.case")):
            case = cases.Case(path, path.stem)
            if not rehearsable(case):
                continue
            with Place() as place:
                got = ["--- out", *rehearse(place, cases, case)]
                expected = path.with_suffix(".expected").read_text(encoding="utf-8").replace("@DIR@", place.path)
                count += 1
                if got != expected.splitlines():
                    wrong.append(f"{group}/{path.stem}:\n{expected}" + "\n".join(got))
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong)
    assert count >= 180, f"only {count} cases could be rehearsed"


@promise
def lines_of_standard_input_are_messages():
    with Place() as place:
        path = place.file("penstock.conf", FILE)
        done = subprocess.run([argument("penstock"), "explain", "--json", "--message", "-", path], text=True,
                              input="<13>a\n<14>b\n", capture_output=True, timeout=20, check=True)
        assert [json.loads(line)["properties"]["pri"] for line in done.stdout.splitlines()] == ["13", "14"]


@promise
def a_ruleset_with_a_queue_runs_behind_its_caller_on_a_copy():
    with Place() as place:
        told = story(place, 'ruleset(name="q" queue.type="LinkedList") { set $!x = 2; action(name="late" type="omfile" '
                     + 'file="@DIR@/late") stop }\nset $!x = 1;\ncall q\n' + FILE)
        kinds = [step["step"] for step in told["steps"]]
        assert kinds == ["set", "call", "action", "ruleset", "set", "action", "stop"], kinds
        assert told["variables"]["$!"] == {"x": 1}, told["variables"]


@promise
def actions_that_do_not_want_the_message_are_shown_with_the_reason():
    with Place() as place:
        told = story(place, FILE + 'action(type="omfile" file="@DIR@/spare" action.execOnlyWhenPreviousIsSuspended="on")\n'
                     + 'action(type="omfile" file="@DIR@/third" action.execOnlyEveryNthTime="3")\n')
        outcomes = [step["outcome"] for step in steps(told, "action")]
        assert outcomes == ["delivered", "not wanted: the action before missed nothing", "held back by its own limits"], outcomes


@promise
def a_ring_of_queues_ends():
    with Place() as place:
        config = 'ruleset(name="q" queue.type="LinkedList") { call q }\ncall q\n' + FILE
        done = place.run(argument("penstock"), "explain", "--message", "x", place.file("penstock.conf", config))
        assert done.returncode == 1 and "ring" in done.stderr, done.stderr


TESTS = """config: penstock.conf
tests:
  - name: kept
    message: '<38>Oct 11 22:14:15 web1 sshd[7]: failed password'
    from: 192.0.2.1
    hostname: here
    time: 2026-10-12T00:00:00Z
    expect:
      parser: rsyslog.rfc3164
      discarded: false
      actions: [a, omfile]
      outputs: {a: ['web1 here 2026-10-12 192.0.2.1'], none: []}
      variables: {$!list: [1, 2], $!o: {k: v}, $!o!k: v, $.missing: ''}
      properties: {programname: sshd, inputname: imudp}
"""
CONFIG = ('template(name="t" type="string" string="%hostname% %$myhostname% %$now% %fromhost-ip%\\n")\n'
          'set $.ok = parse_json("{\\"list\\": [1, 2], \\"o\\": {\\"k\\": \\"v\\"}}", "\\$!");\n'
          'action(name="a" type="omfile" file="@DIR@/a" template="t")\n') + FILE


@promise
def a_test_that_holds_passes_and_one_that_does_not_shows_the_difference():
    with Place() as place:
        place.file("penstock.conf", CONFIG)
        assert test(place, TESTS, 0).stdout.splitlines()[-1] == "1..1"
        for expected, wrong, line in (("actions: [a, omfile]", "actions: [a]", 11), ("web1 here", "web2 here", 12),
                                      ("list: [1, 2]", "list: [1, 3]", 13), ("sshd, in", "cron, in", 14),
                                      ("rfc3164", "rfc5424", 9), ("discarded: false", "discarded: true", 10),
                                      ("k: v}", "k: w}", 13)):
            done = test(place, TESTS.replace(expected, wrong, 1), 1)
            assert "not ok 1 - " in done.stdout and f"tests.yaml:{line}: " in done.stdout, done.stdout
            assert "#   + " in done.stdout, done.stdout


@promise
def json_files_and_raw_bytes_work_and_each_test_begins_anew():
    with Place() as place:
        place.file("penstock.conf", 'set $/n = $/n + 1;\n' + FILE)
        one = {"name": "once", "raw": "<13>Oct 11 22:14:15 h t: a\\x00b\\\\c",
               "expect": {"variables": {"$/n": 1}, "properties": {"msg": " a#000b\\c"}}}
        two = {"name": "twice", "messages": ["a", "b"], "expect": {"variables": {"$/n": 2}}}
        done = test(place, json.dumps({"config": "penstock.conf", "tests": [one, one, two]}), 0, "tests.json")
        assert done.stdout.splitlines()[-1] == "1..3"


@promise
def mistakes_of_a_test_file_have_their_line():
    with Place() as place:
        place.file("penstock.conf", FILE)
        done = test(place, TESTS.replace("expect:", "expcet:"), 1)
        assert "tests.yaml:8:5: error" in done.stderr and "did you mean `expect`?" in done.stderr, done.stderr
        done = test(place, TESTS.replace("2026-10-12T00:00:00Z", "yesterday"), 1)
        assert "tests.yaml:7:" in done.stderr and "is no time" in done.stderr, done.stderr
        assert "cannot be used" in test(place, "tests: [", 1).stdout
        assert "cannot be used" in test(place, '{"config": 1', 1, "tests.json").stdout


@promise
def mistakes_of_the_configuration_fail_its_tests():
    with Place() as place:
        place.file("penstock.conf", CONFIG + 'action(type="omfile" fil="/x")\n')
        done = test(place, TESTS, 1)
        assert "# " in done.stdout and "penstock.conf:5:" in done.stdout, done.stdout


if __name__ == "__main__":
    sys.exit(run())
