#!/usr/bin/env python3
"""Statistics: what is reported, when, to whom; and what named rate limits count."""
import json
import os
import re
import signal
import socket

from harness import Diag, Place, argument, needs_ipv6, promise, read, run, send_tcp, wait
from ports import free_port

HEAD = """
global(processInternalMessages="off" net.enableDNS="off")
module(load="impstats" interval="1" format="json" log.syslog="off" log.file="@DIR@/stats"OPTIONS)
"""
INPUT = 'module(load="imtcp")\ninput(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port"OPTIONS)\n'
OUT = 'template(name="m" type="string" string="%inputname%%msg%\\n")\naction(name="write" type="omfile" file="@DIR@/out" template="m")\n'


def head(options=""):
    return HEAD.replace("OPTIONS", options)


def reports(place):
    """Every object that was reported, in order."""
    return [json.loads(line[line.index("{"):]) for line in place.lines("stats") if line.endswith("}")]


def of(place, name, origin):
    return [o for o in reports(place) if o["name"] == name and o["origin"] == origin]


def lines(count, text="m"):
    return "".join(f"<13>Oct 11 22:14:15 host tag: {text}{i}\n" for i in range(count))


@promise
def counters_that_are_reset_add_up_to_what_came():
    with Place() as place:
        daemon = place.daemon(head(' resetCounters="on"') + INPUT.replace("OPTIONS", "") + OUT)
        for part in range(3):
            send_tcp(daemon.port("port"), lines(100))
            wait(lambda part=part: sum(o["processed"] for o in of(place, "write", "core.action")) == 100 * (part + 1), "the sum")
        assert sum(o["submitted"] for o in of(place, "imtcp(0)", "imtcp")) == 300
        assert max(o["processed"] for o in of(place, "write", "core.action")) < 300
        assert of(place, "main Q", "core.queue")[-1]["maxqsize"] > 0, "the most that ever waited is no sum"
        assert daemon.stop() == 0


@promise
def the_end_of_the_daemon_is_a_report_after_that_of_all_other_inputs():
    with Place() as place:
        slow = head().replace('interval="1"', 'interval="3600" bracketing="on"')
        daemon = place.daemon(slow + INPUT.replace("OPTIONS", "") + OUT)
        send_tcp(daemon.port("port"), lines(5))
        wait(lambda: len(place.lines("out")) == 5, "the messages")
        assert not place.lines("stats"), "its time has not come"
        assert daemon.stop() == 0
        assert len(of(place, "write", "core.action")) == 1, place.lines("stats")
        assert [o["submitted"] for o in of(place, "imtcp(0)", "imtcp")] == [5], place.lines("stats")
        assert place.lines("stats")[0].endswith(": BEGIN") and place.lines("stats")[-1].endswith(": END")


@promise
def counters_that_are_not_reset_grow():
    with Place() as place:
        daemon = place.daemon(head() + INPUT.replace("OPTIONS", "") + OUT)
        send_tcp(daemon.port("port"), lines(100))
        wait(lambda: of(place, "write", "core.action")[-1:] and of(place, "write", "core.action")[-1]["processed"] == 100, "the count")
        send_tcp(daemon.port("port"), lines(50))
        wait(lambda: of(place, "write", "core.action")[-1]["processed"] == 150, "the sum")
        assert daemon.stop() == 0


@promise
def a_file_that_is_overwritten_holds_one_whole_report():
    with Place() as place:
        daemon = place.daemon(head(' log.file.overwrite="on" bracketing="on"') + INPUT.replace("OPTIONS", "") + OUT)
        begun = set()

        def see():
            found = place.lines("stats")
            if found:
                assert found[0].endswith(": BEGIN") and found[-1].endswith(": END"), found
                assert sum(line.endswith("BEGIN") for line in found) == 1
                begun.add(found[0])
            return len(begun) == 3

        wait(see, "three reports")
        assert daemon.stop() == 0


def head_as(form, options=""):
    return head(options).replace('format="json"', f'format="{form}"')


@promise
def prometheus_reads_each_counter_in_three_lines():
    with Place() as place:
        daemon = place.daemon(head_as("prometheus", ' bracketing="on"') + INPUT.replace("OPTIONS", "") + OUT)
        send_tcp(daemon.port("port"), lines(7))
        wait(lambda: "write_processed_total 7" in place.lines("stats"), "the count")
        found = place.lines("stats")
        at = found.index("write_processed_total 7")
        assert found[at - 2].endswith(
            ': # HELP write_processed_total rsyslog stats: origin="core.action" object="write", counter="processed"'), found[at - 2]
        assert found[at - 1:at + 2] == ["# TYPE write_processed_total counter", "write_processed_total 7", ""]
        assert "U__main_20_Q__enqueued__total 7" in found
        assert found[0].endswith(": BEGIN") and any(line.endswith(": END") for line in found)
        assert daemon.stop() == 0


@promise
def zabbix_reads_a_report_as_one_object_in_the_file_and_in_the_message():
    with Place() as place:
        text = head_as("zabbix").replace('log.syslog="off"', 'log.syslog="on"')
        daemon = place.daemon(text + INPUT.replace("OPTIONS", "") + OUT.replace("%inputname%", ""))
        send_tcp(daemon.port("port"), lines(7))
        wait(lambda: len(place.lines("stats")) > 1 and sum(line.startswith("{") for line in place.lines("out")) > 1, "two reports")
        for line in place.lines("stats"):
            date, report = line.split(": ", 1)
            report = json.loads(report)
            assert report["timedate"] == date
            assert {"timedate", "stats_core_action", "stats_core_queue", "stats_imtcp_local", "stats_impstats"} <= report.keys()
            assert report["stats_core_queue"][0]["name"] == "main Q"
        for line in place.lines("out"):
            assert not line.startswith("{") or json.loads(line)["stats_core_action"][0]["name"] == "write"
        assert daemon.stop() == 0


@promise
def hup_opens_the_file_again():
    with Place() as place:
        daemon = place.daemon(head() + INPUT.replace("OPTIONS", "") + OUT)
        wait(lambda: reports(place), "a report")
        os.rename(place.file("stats"), place.file("old"))
        daemon.hup()
        wait(lambda: place.read("stats") and reports(place), "a report in the new file")
        assert daemon.stop() == 0


NAMED = """
module(load="imtcp")
module(load="imudp")
module(load="imptcp")
module(load="imrelp")
module(load="imuxsock" SysSock.Use="off")
module(load="mmanon")
module(load="mmjsonparse")
template(name="dyn" type="string" string="@DIR@/dyn-%hostname%")
input(type="imudp" port="@A@" address="127.0.0.1")
input(type="imudp" port="@B@" address="127.0.0.1" name="two")
input(type="imtcp" port="@A@" address="127.0.0.1")
input(type="imtcp" port="@B@" address="127.0.0.1" name="named")
input(type="imptcp" port="@C@" address="127.0.0.1")
input(type="imrelp" port="@D@" address="127.0.0.1")
input(type="imrelp" port="@E@" address="127.0.0.1" name="relay")
input(type="imuxsock" socket="@DIR@/sock")
dyn_stats(name="b")
ruleset(name="q" queue.type="LinkedList") { action(type="omfile" file="@DIR@/q") }
action(type="omfwd" target="127.0.0.1" port="@A@" protocol="udp")
action(type="omfwd" target="127.0.0.1" port="@C@" protocol="tcp" name="fwd" queue.type="LinkedList")
action(type="omfile" dynafile="dyn" name="d")
action(type="mmjsonparse")
action(type="mmanon")
"""

# What rsyslogd 8.2302 was seen to report for this configuration; behind these we may have more.
ACTION = ["processed", "failed", "suspended", "suspended.duration", "resumed"]
QUEUE = ["size", "enqueued", "full", "discarded.full", "discarded.nf", "maxqsize"]
NAMES = [
    ("imudp(127.0.0.1/@A@/IPv4)", "imudp", ["submitted", "disallowed"]), ("two(127.0.0.1/@B@/IPv4)", "imudp", ["submitted", "disallowed"]),
    ("imudp(w0)", "imudp", ["called.recvmmsg", "called.recvmsg", "msgs.received"]),
    ("imtcp(@A@)", "imtcp", ["submitted"]), ("named(@B@)", "imtcp", ["submitted"]),
    ("imptcp(127.0.0.1/@C@/IPv4)", "imptcp", ["submitted", "sessions.opened", "sessions.openfailed", "sessions.closed",
                                              "bytes.received", "bytes.decompressed"]),
    ("imrelp(@D@)", "imrelp", ["submitted"]), ("relay(@E@)", "imrelp", ["submitted"]),
    ("imuxsock", "imuxsock", ["submitted", "ratelimit.discarded", "ratelimit.numratelimiters"]),
    ("b", "dynstats.bucket", ["values"]), ("global", "dynstats", ["values"]), ("global", "percentile", ["values"]),
    ("main Q", "core.queue", QUEUE), ("fwd queue", "core.queue", QUEUE), ("q", "core.queue", QUEUE),
    ("action-0-builtin:omfile", "core.action", ACTION), ("action-1-builtin:omfwd", "core.action", ACTION),
    ("fwd", "core.action", ACTION), ("d", "core.action", ACTION), ("action-4-mmjsonparse", "core.action", ACTION),
    ("action-5-mmanon", "core.action", ACTION),
    ("UDP-127.0.0.1-@A@", "omfwd", ["bytes.sent"]), ("TCP-127.0.0.1-@C@", "omfwd", ["bytes.sent"]),
    ("dynafile cache dyn", "omfile", ["requests", "level0", "missed", "evicted", "maxused", "closetimeouts"]),
    ("resource-usage", "impstats", ["utime", "stime", "maxrss", "minflt", "majflt", "inblock", "oublock", "nvcsw", "nivcsw", "openfiles"]),
]


@promise
def objects_and_their_counters_have_the_names_that_rsyslog_gives_them():
    with Place() as place:
        ports = {f"@{letter}@": str(free_port()) for letter in "ABCDE"}

        def placed(text):
            for mark, port in ports.items():
                text = text.replace(mark, port)
            return text

        daemon = place.daemon(placed(head() + NAMED))
        wait(lambda: of(place, "resource-usage", "impstats"), "a report")
        wait(lambda: len(of(place, "main Q", "core.queue")) > 1, "a whole report")
        first = {(o["name"], o["origin"]): [name for name in o if name not in ("name", "origin")] for o in reports(place)}
        for name, origin, counters in NAMES:
            shown = first.get((placed(name), origin))
            assert shown is not None and shown[:len(counters)] == counters, (name, origin, counters, shown)
        assert daemon.stop() == 0


PACED = """
ratelimit(name="slow" policy="@DIR@/policy")
template(name="m" type="string" string="%$now-unixtimestamp%%msg%\\n")
action(name="w" type="omfile" file="@DIR@/out" template="m" action.ratelimit.name="slow" QUEUE)
"""


def pace(place, burst, interval=1):
    place.file("policy", f"scope: output\nmode: pace\ninterval: {interval}\nburst: {burst}\n")


@promise
def what_a_paced_action_may_not_write_yet_waits_in_its_queue():
    with Place() as place:
        pace(place, 3)
        daemon = place.daemon(head() + INPUT.replace("OPTIONS", "") + PACED.replace("QUEUE", 'queue.type="LinkedList"'))
        send_tcp(daemon.port("port"), lines(10))
        wait(lambda: len(place.lines("out")) == 10, "all messages")
        seconds = [int(line.split(" ")[0]) for line in place.lines("out")]
        assert [line.split(" ")[1] for line in place.lines("out")] == [f"m{i}" for i in range(10)], place.lines("out")
        assert seconds[9] - seconds[0] >= 2, seconds
        wait(lambda: of(place, "slow", "ratelimit")[-1]["passed"] == 10, "their count")
        assert of(place, "slow", "ratelimit")[-1]["discarded"] == 0
        assert daemon.stop() == 0


@promise
def what_waits_for_its_window_when_the_daemon_ends_stays_on_disk():
    with Place() as place:
        pace(place, 3, 600)
        queue = 'queue.type="Disk" queue.fileName="w" queue.timeoutShutdown="10" queue.spoolDirectory="@DIR@"'
        text = head() + INPUT.replace("OPTIONS", "") + PACED.replace("QUEUE", queue)
        daemon = place.daemon(text)
        send_tcp(daemon.port("port"), lines(5))
        wait(lambda: len(place.lines("out")) == 3, "the first window")
        assert daemon.stop() == 0
        pace(place, 100)
        daemon = place.daemon(text)
        wait(lambda: len(place.lines("out")) == 5, "the rest")
        assert daemon.stop() == 0
        assert [line.split(" ")[1] for line in place.lines("out")] == [f"m{i}" for i in range(5)]


@promise
def a_limit_that_paces_wants_an_action_with_a_queue():
    with Place() as place:
        pace(place, 3)
        text = head() + INPUT.replace("OPTIONS", ' ratelimit.name="slow"') + PACED.replace("QUEUE", "")
        config = place.file("c", text.replace("@DIR@", place.path))
        done = place.run(argument("daemon"), "-N1", "-f", config)
        told = done.stdout + done.stderr
        assert done.returncode != 0 and told.count("messages wait in the queue of an action") == 2, told


PLAIN = 'module(load="imptcp")\ninput(type="imptcp" port="@P@")\n'


@promise
def connections_over_either_protocol_are_counted_apart():
    needs_ipv6()
    with Place() as place:
        port = free_port()
        daemon = place.daemon(head() + PLAIN.replace("@P@", str(port)) + OUT)
        for address, count in (("127.0.0.1", 3), ("::1", 2)):
            with socket.create_connection((address, port)) as connection:
                connection.sendall(lines(count).encode())

        def shown():
            return {o["name"]: o for o in reports(place) if o["origin"] == "imptcp"}

        four, six = f"imptcp(*/{port}/IPv4)", f"imptcp(*/{port}/IPv6)"
        wait(lambda: shown().keys() == {four, six}, "both objects")
        for name, count in ((four, 3), (six, 2)):
            wait(lambda name=name: shown()[name]["sessions.closed"] == 1, "the end of its connection")
            found = shown()[name]
            assert found["submitted"] == count and found["sessions.opened"] == 1, found
            assert found["bytes.received"] == len(lines(count)), found
        assert daemon.stop() == 0


PLACES = """
module(load="imudp" threads="2")
input(type="imudp" port=["@A@", "@B@"] name="in")
input(type="imudp" port="@C@" address=["127.0.0.1", "::1"] name="two")
"""


@promise
def each_socket_of_an_input_for_datagrams_is_counted_for_itself():
    needs_ipv6()
    with Place() as place:
        text, ports = PLACES, {}
        for letter in "ABC":
            ports[letter] = free_port()
            text = text.replace(f"@{letter}@", str(ports[letter]))
        daemon = place.daemon(head() + text + OUT)
        wanted = {f"in(*/{ports['A']}/IPv4)": 3, f"in(*/{ports['A']}/IPv6)": 2, f"in(*/{ports['B']}/IPv4)": 1,
                  f"in(*/{ports['B']}/IPv6)": 0, f"two(127.0.0.1/{ports['C']}/IPv4)": 1, f"two(::1/{ports['C']}/IPv6)": 2}
        for name, count in wanted.items():
            port, is_six = int(name.split("/")[1]), name.endswith("IPv6)")
            for _ in range(count):
                with socket.socket(socket.AF_INET6 if is_six else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"<13>Oct 11 22:14:15 host tag: m", ("::1" if is_six else "127.0.0.1", port))
        wait(lambda: len(place.lines("out")) == sum(wanted.values()), "the messages")

        def shown():
            newest = {o["name"]: o.get("submitted") for o in reports(place) if o["origin"] == "imudp"}
            newest.pop("imudp(w0)", None)
            return newest

        wait(lambda: shown() == wanted, "what each took")
        assert [name for name in shown() if name.startswith("in(")] == list(wanted)[:4], "in the order of the ports, IPv4 first"
        wait(lambda: of(place, "imudp(w0)", "imudp")[-1]["msgs.received"] == sum(wanted.values()), "what all took")
        assert daemon.stop() == 0


@promise
def imdiag_holds_reports_back_and_lets_one_pass():
    with Place() as place:
        daemon = place.daemon('module(load="imdiag" listenPortFileName="@DIR@/diag" serverRun="0")\n' + head(' bracketing="on"') +
                              INPUT.replace("OPTIONS", "") + OUT)
        with Diag(daemon.port("diag")) as diag:
            assert diag.ask("AwaitStatsReport").startswith("imdiag::error")
            assert diag.ask("BlockStatsReporting") == "next stats reporting call will be blocked"

            def count():
                return sum(line.endswith(": END") for line in place.lines("stats"))

            send_tcp(daemon.port("port"), lines(10))
            wait(lambda: len(place.lines("out")) == 10, "the messages")
            for _ in range(2):
                before = count()
                assert diag.ask("AwaitStatsReport block_again") == "stats reporting was unblocked"
                assert count() >= before + 1
            assert of_line(place) == 10
            assert diag.ask("AwaitStatsReport") == "stats reporting was unblocked"
            before = count()
            wait(lambda: count() > before, "reports go on")
        assert daemon.stop() == 0


def of_line(place):
    found = [json.loads(line[line.index("{"):]) for line in place.lines("stats") if '"write"' in line]
    return found[-1]["processed"]


@promise
def what_nobody_counts_any_more_is_purged():
    with Place() as place:
        daemon = place.daemon(head() + 'dyn_stats(name="b" unusedMetricLife="1")\nset $.r = dyn_inc("b", $hostname);\n' +
                              INPUT.replace("OPTIONS", "") + OUT)
        send_tcp(daemon.port("port"), lines(3))
        wait(lambda: any(o["values"].get("host") == 3 for o in of(place, "b", "dynstats.bucket")), "the counter")
        wait(lambda: of(place, "b", "dynstats.bucket")[-1]["values"] == {}, "the purge")
        wait(lambda: of(place, "global", "dynstats")[-1]["values"]["b.metrics_purged"] == 1, "its count")
        assert daemon.stop() == 0


LIMITED = """
module(load="imtcp")
ratelimit(name="few" interval="600" burst="5"MORE)
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" name="one" ratelimit.name="few")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/other" name="two" ratelimit.name="few")
module(load="imudp")
input(type="imudp" port="@UDP@" address="127.0.0.1" name="three" ratelimit.name="few")
"""


@promise
def inputs_that_name_one_limit_share_it_and_what_it_takes_is_counted():
    with Place() as place:
        port = free_port()
        daemon = place.daemon(head() + LIMITED.replace("MORE", "").replace("@UDP@", str(port)) + OUT)
        send_tcp(daemon.port("port"), lines(3))
        wait(lambda: len(place.lines("out")) == 3, "the first three")
        send_tcp(daemon.port("other"), lines(10))
        wait(lambda: of(place, "few", "ratelimit")[-1:] and of(place, "few", "ratelimit")[-1]["discarded"] == 8, "the count")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"<13>Oct 11 22:14:15 host tag: late", ("127.0.0.1", port))
        wait(lambda: of(place, "few", "ratelimit")[-1]["discarded"] == 9, "the datagram's count")
        assert of(place, "few", "ratelimit")[-1]["passed"] == 5
        wait(lambda: len(place.lines("out")) == 5, "what passed")
        assert [line[:3] for line in place.lines("out")] == ["one"] * 3 + ["two"] * 2
        assert daemon.stop() == 0


@promise
def only_what_is_unimportant_is_limited_where_the_object_says_so():
    with Place() as place:
        port = free_port()
        daemon = place.daemon(head() + LIMITED.replace("MORE", ' severity="5"').replace("@UDP@", str(port)) + OUT)
        send_tcp(daemon.port("port"), lines(8) + lines(20, "error").replace("<13>", "<11>"))
        wait(lambda: of(place, "few", "ratelimit")[-1:] and of(place, "few", "ratelimit")[-1]["discarded"] == 3, "the count")
        wait(lambda: len(place.lines("out")) == 25, "all errors")
        assert daemon.stop() == 0


LIMITS_OF_THEIR_OWN = """
global(processInternalMessages="off" net.enableDNS="off")
module(load="imtcp")
module(load="imptcp")
module(load="imudp")
module(load="imkmsg" logPath="@DIR@/kmsg" readMode="full-always"LIMIT)
module(load="imklog" logPath="@DIR@/klog" permitNonKernelFacility="on" ratelimitInterval="600" ratelimitBurst="3" ratelimit.severity="notice")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port"LIMIT)
input(type="imptcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/other"LIMIT)
input(type="imudp" port="@UDP@" address="127.0.0.1"LIMIT)
""".replace("LIMIT", ' rateLimit.interval="600" rateLimit.burst="3" rateLimit.severity="5"')


@promise
def every_input_limits_by_itself_what_is_unimportant():
    with Place() as place:
        port = free_port()
        mixed = "".join(f"<{pri}>Oct 11 22:14:15 host tag: {pri}\n" for pri in (13, 11, 14, 15, 13, 12, 13, 11))
        place.file("klog", "".join(f"<{pri}>kernel line {pri}\n" for pri in (5, 3, 6, 7, 5, 4, 5, 3)))
        place.file("kmsg", "".join(f"{pri},{number},100,-;record {pri}\n" for number, pri in enumerate((5, 3, 6, 7, 5, 4, 5, 3))))
        daemon = place.daemon(LIMITS_OF_THEIR_OWN.replace("@UDP@", str(port)) + OUT)
        for name in ("port", "other"):
            send_tcp(daemon.port(name), mixed)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for line in mixed.splitlines():
                udp.sendto(line.encode(), ("127.0.0.1", port))

        def taken():
            """The last figure of each message, which is its priority."""
            return {name: [int(re.findall(r"[0-9]+", line)[-1]) % 8 for line in place.lines("out") if line.startswith(name)]
                    for name in ("imtcp", "imptcp", "imudp", "imkmsg", "imklog")}
        wanted = [5, 3, 6, 7, 4, 3]
        wait(lambda: taken() == dict.fromkeys(taken(), wanted), "three notices and every error of each")
        assert daemon.stop() == 0


ADDRESS = 'template(name="address" type="string" string="%fromhost-ip%")\n'


def send_hosts(port, hosts, number, program="tag"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for host in hosts:
            for i in range(number):
                udp.sendto(f"<13>Oct 11 22:14:15 {host} {program}{i}: {host}-{i}".encode(), ("127.0.0.1", port))


@promise
def senders_are_told_apart_by_what_their_messages_say():
    with Place() as place:
        port = free_port()
        daemon = place.daemon(head() + LIMITED.replace("MORE", ' perSource="on"').replace("@UDP@", str(port)) + OUT)
        send_hosts(port, ("web", "db"), 7)
        wait(lambda: totals(place).get("discarded") == 4, "the count")
        worst = of(place, "ratelimit.few.per_source", "ratelimit")[-1]
        assert worst["per_source_allowed"] == 10 and {name for name in worst if "_drop_" in name} in (
            {"per_source_drop_1_web", "per_source_drop_2_db"}, {"per_source_drop_2_web", "per_source_drop_1_db"}), worst
        assert daemon.stop() == 0


@promise
def a_policy_tells_how_senders_are_told_apart_beside_the_limit_of_all():
    with Place() as place:
        port = free_port()
        text = ("interval: 600\nburst: 9\nperSource:\n  keyTemplate: program\n  default: {max: 2, window: 600s}\n"
                "  overrides:\n  - {key: 'b0:', max: 4, window: 600s}\n")
        policy = place.file("policy.yaml", text)
        programs = 'template(name="program" type="string" string="%syslogtag%")\n' + ADDRESS
        daemon = place.daemon(talking() + programs + LIMITED.replace("MORE", f' policy="{policy}"').replace("@UDP@", str(port)) + OUT)
        for host in ("h1", "h2", "h3"):
            send_hosts(port, (host,), 1, "a")
        for host in "12345":
            send_hosts(port, (host,), 1, "b")
        wait(lambda: totals(place).get("discarded") == 2 and totals(place)["passed"] == 6, "one of a0: and of b0: too many")
        send_hosts(port, ("h4", "h5"), 1, "c")
        wait(lambda: totals(place).get("discarded") == 3 and totals(place)["passed"] == 7, "the tenth of all")
        place.file("policy.yaml", text.replace("burst: 9", "burst: 900").replace("keyTemplate: program", "keyTemplate: nothing"))
        os.kill(daemon.pid(), signal.SIGHUP)
        wait(lambda: "there is no template 'nothing' to tell senders apart" in place.read("out"), "the mistake")
        place.file("policy.yaml", text.replace("burst: 9", "burst: 900").replace("keyTemplate: program", "keyTemplate: address"))
        os.kill(daemon.pid(), signal.SIGHUP)
        wait(lambda: "ratelimit 'few': its policy was read again" in place.read("out"), "the new policy")
        send_hosts(port, ("h6", "h7", "h8"), 1, "d")
        wait(lambda: "h7-0" in place.read("out") and totals(place).get("discarded") == 4, "the address's third")
        assert daemon.stop() == 0


@promise
def each_sender_has_a_limit_of_its_own_where_the_object_says_so():
    with Place() as place:
        port = free_port()
        daemon = place.daemon(head() + ADDRESS + LIMITED.replace("MORE", ' perSource="on" perSourceKeyTpl="address"').replace("@UDP@", str(port)) + OUT)
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind((host, 0))
                for i in range(6 + int(host[-1])):
                    udp.sendto(f"<13>Oct 11 22:14:15 host tag: {host}-{i}".encode(), ("127.0.0.1", port))
        wait(lambda: of(place, "few", "ratelimit")[-1:] and of(place, "few", "ratelimit")[-1]["discarded"] == 9, "the count")
        assert of(place, "few", "ratelimit")[-1] == {"name": "few", "origin": "ratelimit", "passed": 15, "discarded": 9, "sources": 3}
        worst = of(place, "ratelimit.few.per_source", "ratelimit")[-1]
        assert worst == {"name": "ratelimit.few.per_source", "origin": "ratelimit", "per_source_allowed": 15, "per_source_dropped": 9,
                         "per_source_evicted": 0, "per_source_drop_1_127_0_0_3": 4, "per_source_drop_2_127_0_0_2": 3,
                         "per_source_drop_3_127_0_0_1": 2}, worst
        assert len(place.lines("out")) == 15
        assert daemon.stop() == 0


def talking():
    """What the daemon has to say itself is among the messages."""
    return head().replace('processInternalMessages="off"', 'processInternalMessages="on"')


def totals(place):
    return (of(place, "few", "ratelimit")[-1:] or [{}])[0]


@promise
def a_policy_that_changes_is_in_force_at_once_and_a_broken_one_is_not():
    with Place() as place:
        policy = place.file("policy.yaml", "interval: 600\nburst: 2\n")
        more = f' policy="{policy}" policyWatch="on" policyWatchDebounce="50ms"'
        daemon = place.daemon(talking() + LIMITED.replace("MORE", more).replace("@UDP@", str(free_port())) + OUT)
        send_tcp(daemon.port("port"), lines(5))
        wait(lambda: totals(place).get("discarded") == 3, "the policy's burst instead of the object's")
        place.file("new", "interval: 600\nburst: 4\n")
        os.rename(place.file("new"), policy)
        wait(lambda: "ratelimit 'few': its policy was read again" in place.read("out"), "the new policy")
        send_tcp(daemon.port("port"), lines(5))
        wait(lambda: totals(place).get("discarded") == 6, "the new policy's burst")
        place.file("policy.yaml", "interval: 600\nbrust: 100\n")
        wait(lambda: f"ratelimit 'few': {policy}:2:1: key 'brust' is not known here; did you mean `burst`?" in place.read("out"),
             "the mistake with its place")
        wait(lambda: "what was in force stays so" in place.read("out"), "what becomes of it")
        send_tcp(daemon.port("port"), lines(5))
        wait(lambda: totals(place).get("discarded") == 11, "the old policy still")
        assert daemon.stop() == 0


@promise
def some_senders_have_limits_of_their_own_and_hup_reads_them_again():
    with Place() as place:
        port = free_port()
        policy = place.file("senders.yaml", "default:\n  burst: 1\noverrides:\n- key: 127.0.0.2\n  max: 3\n")
        more = f' perSource="on" perSourcePolicy="{policy}" perSourceTopN="1" perSourceKeyTpl="address"'
        daemon = place.daemon(talking() + ADDRESS + LIMITED.replace('burst="5"', 'burst="900"').replace("MORE", more).replace("@UDP@", str(port)) + OUT)

        def send():
            for host in ("127.0.0.1", "127.0.0.2"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                    udp.bind((host, 0))
                    for i in range(5):
                        udp.sendto(f"<13>Oct 11 22:14:15 host tag: {host}-{i}".encode(), ("127.0.0.1", port))

        send()
        wait(lambda: totals(place).get("passed") == 4 and totals(place)["discarded"] == 6, "the counts")
        worst = of(place, "ratelimit.few.per_source", "ratelimit")[-1]
        assert [worst[name] for name in worst if "_drop_" in name] == [4], worst
        place.file("senders.yaml", "default: {burst: 1}\noverrides:\n- {key: 127.0.0.1, burst: 100}\n")
        os.kill(daemon.pid(), signal.SIGHUP)
        wait(lambda: "ratelimit 'few': its policy was read again" in place.read("out"), "the new policy")
        send()
        wait(lambda: totals(place).get("passed") == 9 and totals(place)["discarded"] == 11, "the new counts")
        assert daemon.stop() == 0


@promise
def outputs_that_name_one_limit_share_it_and_what_is_important_passes():
    with Place() as place:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(20)
            forward = (f'action(type="omfwd" target="127.0.0.1" port="{receiver.getsockname()[1]}" protocol="udp" template="m"'
                       ' ratelimit.name="few" ratelimit.interval="600" ratelimit.burst="1" queue.type="LinkedList")\n')
            limited = 'action(name="w" type="omfile" file="@DIR@/some" template="m" action.ratelimit.name="few")\n'
            daemon = place.daemon(talking() + 'ratelimit(name="few" interval="600" burst="10" severity="5")\n'
                                  + INPUT.replace("OPTIONS", "") + OUT + "if $inputname == 'imtcp' then {\n" + forward + limited + "}\n")
            send_tcp(daemon.port("port"), lines(30) + lines(20, "error").replace("<13>", "<11>") + lines(1, "last"))
            wait(lambda: "last0" in place.read("out"), "everything where no limit is")
            wait(lambda: totals(place).get("discarded") == 52, "the count")
            assert totals(place)["passed"] == 10
            heard = [receiver.recv(1000).decode() for _ in range(20)]
            wait(lambda: sum("error" in line for line in place.lines("some")) == 20, "all errors in the file")
            assert "begin to drop messages due to rate-limiting by 'few'" in place.read("out")
            assert daemon.stop() == 0
            receiver.settimeout(0.01)
            try:
                while True:
                    heard.append(receiver.recv(1000).decode())
            except TimeoutError:
                pass
            assert sum("error" in line for line in heard) == 20
            limited = [line for line in heard + place.lines("some") if "error" not in line]
            assert len(limited) == 10, limited


@promise
def a_limit_that_no_object_defines_is_a_mistake_in_outputs_too():
    with Place() as place:
        config = place.file("c", 'ratelimit(name="a" interval="1")\naction(type="omfwd" target="127.0.0.1" ratelimit.name="b")\n'
                            'module(load="mmutf8fix")\naction(type="mmutf8fix" action.ratelimit.name="a")\n' + OUT)
        done = place.run(argument("daemon"), "-N1", "-f", config)
        told = done.stdout + done.stderr
        assert done.returncode != 0 and "ratelimit 'b' is not defined" in told, told
        assert "'action.ratelimit.name' has no effect on mmutf8fix" in told, told


@promise
def a_policy_that_is_wrong_when_the_daemon_starts_is_a_mistake_with_its_place():
    with Place() as place:
        policy = place.file("policy.yaml", "interval: soon\n")
        config = place.file("c", f'ratelimit(name="a" interval="5" burst="1" policy="{policy}")\n'
                            'ratelimit(name="b" policy="/does/not/exist" policyWatchDebounce="later")\n' + OUT)
        done = place.run(argument("daemon"), "-N1", "-f", config)
        assert done.returncode != 0, done
        told = done.stdout + done.stderr
        for words in (f"{policy}:1:11: error: 'soon' is no interval", "policy '/does/not/exist' cannot be read: No such file",
                      'policyWatchDebounce "later" is no time'):
            assert words in told, told


@promise
def what_a_search_for_json_found_is_reported():
    with Place() as place:
        search = 'module(load="mmjsonparse")\naction(type="mmjsonparse" mode="find-json")\naction(type="mmjsonparse" cookie="")\n'
        daemon = place.daemon(head() + INPUT.replace("OPTIONS", "") + search + OUT)
        send_tcp(daemon.port("port"), '<13>Oct 11 22:14:15 host tag: x {"a": 1}\n' * 3 + lines(2))
        wait(lambda: (of(place, "mmjsonparse", "mmjsonparse")[-1:] or [{}])[0].get("scan.attempted") == 5, "the report")
        found = of(place, "mmjsonparse", "mmjsonparse")[-1]
        assert (found["scan.found"], found["scan.failed"], found["scan.truncated"]) == (3, 2, 0), found
        assert sum('"mmjsonparse"' in line for line in place.lines("stats")) <= sum("resource-usage" in line for line in place.lines("stats")), "one object"
        assert daemon.stop() == 0


@promise
def without_impstats_an_idle_daemon_does_not_wake_up():
    with Place() as place:
        daemon = place.daemon(INPUT.replace("OPTIONS", "") + 'dyn_stats(name="b")\nlookup_table(name="t" file="@DIR@/t")\n'
                              + OUT, has_mistakes=True)
        daemon.port("port")

        def switches():
            return {task: [line for line in read(f"/proc/{daemon.pid()}/task/{task}/status").decode().splitlines() if "ctxt" in line]
                    for task in os.listdir(f"/proc/{daemon.pid()}/task")}

        def is_quiet():
            before = switches()
            pause = socket.socket()
            pause.settimeout(1)
            pause.bind(("127.0.0.1", 0))
            pause.listen()
            try:
                pause.accept()
            except TimeoutError:
                pass
            pause.close()
            return before == switches()

        wait(is_quiet, "a second without one wake-up")
        assert daemon.stop() == 0


run()
