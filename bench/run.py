#!/usr/bin/env python3
"""Runs the benchmarks: ours, Debian's rsyslog, syslog-ng and the floor, interleaved, and writes bench/RESULTS.md.

The figure that counts is CPU seconds per million messages: it says how much of a machine logging takes, and unlike
throughput it hardly depends on what else the machine does. A run starts the daemon anew, gives it the load, and lasts
until the output has as many bytes as it must have. How many these are, a calibration run finds out: flood's text
repeats after a block of messages, so the output of one block tells that of all.
"""

import argparse
import contextlib
import datetime
import json
import mmap
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from daemons import (BUILD, STEP_SECONDS_MAX, TREE, BenchError, Process, compile_tool, find_contestants, is_listening,
                     wait_until)
from scenarios import SCENARIOS, Place

sys.path.insert(0, os.path.join(TREE, "tests", "behaviour"))
from ports import free_port  # noqa: E402  pylint: disable=wrong-import-position

LOAD_SECONDS_MAX = 300
STALL_SECONDS = 4  # Output that has not grown for so long after the load's end will not grow any more.
SETTLE_SECONDS = 1.5
NEARLY_ALL = 0.95  # Where throughput is taken: an asynchronous writer may sit on the last block for a second.
IDLE_SECONDS = 10
RATE_SEARCH_SECONDS = 1.5
RATE_SEARCH_FROM, RATE_SEARCH_TO, RATE_SEARCH_STEP = 50_000, 6_000_000, 1.06
RATE_SEARCH_STALL_SECONDS = 2  # Of the asynchronous writers none keeps its last block for more than a second.
MADV_POPULATE_WRITE = 23  # Missing from Python's mmap.
MARK = re.compile(rb"seq=(\d+):(\d+)")


def output_bytes(place):
    with os.scandir(place.output) as entries:
        return sum(entry.stat().st_size for entry in entries)


def output_files(place):
    return [os.path.join(place.output, name) for name in sorted(os.listdir(place.output))]


def counter_read(place):
    """The sink's messages and bytes."""
    with open(place.counter, "rb") as file:
        return struct.unpack("=QQ", file.read(16))


def machine_busy():
    """CPU seconds that the whole machine has worked, or had stolen, until now."""
    with open("/proc/stat", encoding="ascii") as file:
        n = [int(x) for x in file.readline().split()[1:]]
    return (sum(n[:8]) - n[3] - n[4]) / os.sysconf("SC_CLK_TCK")


def warm_memory(gib):
    """Touches memory once and gives it back.

    A virtual machine's memory that was never used comes from the host page by page, and whoever touches it first pays:
    3.6 s a GiB were seen, six times as much as afterwards. Without this, the first contestant would pay.
    """
    with contextlib.suppress(OSError, ValueError), \
            mmap.mmap(-1, int(gib * 2 ** 30), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(MADV_POPULATE_WRITE)


class Calibration:
    """How many bytes and lines come out for the message at each place of the block."""

    def __init__(self, files, block):
        self.bytes, self.lines = [0] * (block + 1), [0] * (block + 1)
        sizes, counts = [0] * block, [0] * block
        for path in files:
            with open(path, "rb") as file:
                for line in file:
                    mark = MARK.search(line)
                    if mark:
                        sizes[int(mark.group(2)) % block] += len(line)
                        counts[int(mark.group(2)) % block] += 1
        for i in range(block):
            self.bytes[i + 1] = self.bytes[i] + sizes[i]
            self.lines[i + 1] = self.lines[i] + counts[i]
        if not self.lines[block]:
            raise BenchError("nothing came out in the calibration run")

    def expect(self, messages, connections):
        """Bytes and lines for so many messages, which flood deals out evenly."""
        block = len(self.bytes) - 1
        total = [0, 0]
        for quota, count in ((messages // connections + 1, messages % connections),
                             (messages // connections, connections - messages % connections)):
            for i, table in enumerate((self.bytes, self.lines)):
                total[i] += count * (quota // block * table[block] + table[quota % block])
        return total


class Run:
    """One daemon under one load, with all that has to be cleaned up afterwards."""

    def __init__(self, bench, scenario, contestant, variant):
        self.bench, self.scenario, self.contestant, self.variant = bench, scenario, contestant, variant
        self.cleanup = contextlib.ExitStack()

    def __enter__(self):
        directory = tempfile.mkdtemp(prefix="penstock-bench-", dir=self.bench.options.directory)
        self.cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
        self.place = Place(directory, free_port())
        os.mkdir(self.place.output)
        self.scenario.prepare(self.place)
        if self.scenario.kind in ("forward", "drain"):
            self.place.sink_port = free_port()
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def launch(self, process):
        self.cleanup.callback(process.stop, 10)
        return process

    def start_sink(self, keeps_text=False):
        text = [os.path.join(self.place.output, "sink")] if keeps_text else []
        arguments = [self.bench.floor, "sink", str(self.place.sink_port), self.place.counter, *text]
        self.sink = self.launch(Process(arguments, self.place.directory, name="sink"))
        wait_until("the sink", lambda: is_listening("tcp", self.place.sink_port))

    def start_daemon(self):
        self.daemon = self.launch(self.contestant.start(self.scenario, self.place, self.variant))

    def wait_for_daemon(self):
        protocol = self.scenario.transport
        port = self.place.socket if protocol == "unix" else self.place.port

        def is_ready():
            if not self.daemon.is_running():
                raise BenchError(f"{self.contestant.name} ended at once:\n{self.daemon.output()[-2000:]}")
            return is_listening(protocol, port)

        wait_until(f"{self.contestant.name} to listen", is_ready, step=0.001)

    def flood_arguments(self, messages, connections, target, rate=0):
        arguments = [*self.bench.flood, "--json", "--sequence", "--messages", str(messages),
                     "--connections", str(connections), *self.scenario.flood]
        if rate:
            arguments += ["--rate", str(rate)]
        return [*arguments, target]

    def start_flood(self, messages, connections, rate=0):
        arguments = self.flood_arguments(messages, connections, self.scenario.target(self.place), rate)
        return self.launch(Process(arguments, self.place.directory, name="flood"))

    def flood_summary(self, flood):
        """flood's figures; None while it is still sending. One that holds its connections prints them and stays."""
        text = flood.output()
        if "}" in text:
            return json.loads(text[text.index("{"):text.index("}") + 1])
        if not flood.is_running():
            raise BenchError(f"flood failed: {text}")
        return None

    def wait_for_output(self, flood, expected, measure, stall_seconds=STALL_SECONDS):
        """Returns when nearly all of the output was there, or it last grew, and flood's figures."""
        start = grown = time.monotonic()
        nearly, summary, size = None, None, -1
        while True:
            now_size, now = measure(), time.monotonic()
            self.daemon.rss_peak_kib()
            if now_size != size:
                size, grown = now_size, now
            if not nearly and size >= expected * NEARLY_ALL:
                nearly = now
            summary = summary or (self.flood_summary(flood) if flood else {})
            if summary is not None and (size >= expected or now - grown > stall_seconds):
                return nearly or grown, summary
            if now - start > LOAD_SECONDS_MAX:
                raise BenchError(f"no end of output after {LOAD_SECONDS_MAX} s: {size} of {expected} bytes")
            if not self.daemon.is_running() and self.contestant.name != "floor":
                raise BenchError(f"{self.contestant.name} died:\n{self.daemon.output()[-2000:]}")
            time.sleep(0.02 if self.scenario.name != "dynafiles-1000" else 0.1)

    def wait_until_settled(self, measure):
        last, since = measure(), time.monotonic()
        while time.monotonic() - since < SETTLE_SECONDS or not last:
            if time.monotonic() - since > STEP_SECONDS_MAX:
                raise BenchError("nothing comes out")
            time.sleep(0.05)
            if measure() != last:
                last, since = measure(), time.monotonic()

    def count_lines(self):
        return sum(count_file_lines(path) for path in output_files(self.place))


def count_file_lines(path):
    lines = 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n")
    return lines


class Bench:
    def __init__(self, options):
        self.options = options
        self.flood = [os.path.abspath(options.penstock), "flood"]
        self.floor = compile_tool("floor", "bench/floor.c")
        self.calibrations = {}
        self.failures = []

    # What the load scenarios have in common.

    def calibrate(self, scenario, contestant, variant):
        key = scenario.name, contestant.name
        if key not in self.calibrations:
            self.calibrations[key] = self.calibrate_now(scenario, contestant, variant)
        return self.calibrations[key]

    def calibrate_now(self, scenario, contestant, variant):
        with Run(self, scenario, contestant, variant) as run:
            if scenario.kind in ("forward", "drain"):
                run.start_sink(keeps_text=True)
            if scenario.kind == "imfile":
                run.place.input_file = self.make_input(run, scenario.block)
                run.start_daemon()
            else:
                run.start_daemon()
                run.wait_for_daemon()
                flood = run.start_flood(scenario.block, 1, 20000 if scenario.transport == "udp" else 0)
                wait_until("flood", lambda: run.flood_summary(flood))
                flood.stop()
            run.wait_until_settled(lambda: output_bytes(run.place))
            run.daemon.stop()
            if scenario.kind in ("forward", "drain"):
                run.sink.stop()
            return Calibration(output_files(run.place), scenario.block)

    def make_input(self, run, messages):
        path = os.path.join(run.place.directory, "input.log")
        flood = run.launch(Process(run.flood_arguments(messages, 1, "file:" + path), run.place.directory, name="flood"))
        wait_until("the input file", lambda: not flood.is_running(), LOAD_SECONDS_MAX)
        return path

    def messages(self, scenario, contestant):
        if self.options.messages:
            return self.options.messages
        most = scenario.quick_messages if self.options.quick else scenario.messages
        return min(most, scenario.slow.get(contestant.name, most))

    def load(self, scenario, contestant, variant):
        messages = self.messages(scenario, contestant)
        connections = min(scenario.connections, messages // 10)
        calibration = self.calibrate(scenario, contestant, variant)
        expected_bytes, expected_lines = calibration.expect(messages, connections)
        result = {}

        with Run(self, scenario, contestant, variant) as run:
            measure = lambda: output_bytes(run.place)
            flood = None
            if scenario.kind == "forward":
                run.start_sink()
                measure = lambda: counter_read(run.place)[1]
            if scenario.kind == "imfile":
                run.place.input_file = self.make_input(run, messages)

            busy = machine_busy()
            run.start_daemon()
            if scenario.kind == "imfile":
                start, cpu = run.daemon.started, 0.0
            else:
                run.wait_for_daemon()
                result["rss_before_kib"] = run.daemon.rss_kib()
                busy, cpu, start = machine_busy(), run.daemon.cpu(), time.monotonic()
                flood = run.start_flood(messages, connections, scenario.rate)

            end, summary = run.wait_for_output(flood, expected_bytes, measure)
            result["cpu"] = run.daemon.cpu() - cpu
            result["busy"] = machine_busy() - busy
            result["seconds"] = time.monotonic() - start
            nearly_seconds = end - start
            result["rss_peak_kib"] = run.daemon.rss_peak_kib()
            if scenario.kind == "connections":
                result["kib_per_connection"] = (run.daemon.rss_kib() - result["rss_before_kib"]) / connections
            if flood:
                flood.stop()
            result["flood_cpu"] = summary.get("cpu_seconds", 0.0)
            result["lost_connections"] = summary.get("connections_lost", 0)
            if scenario.kind == "relp":
                result["rate_acknowledged"] = summary["acknowledged"] / summary["seconds"]

            if scenario.kind == "udp" and not self.options.quick:
                result["lines"] = run.count_lines()
                result["rate_max"] = self.search_rate(run, calibration)
                run.daemon.stop()
            else:
                result["is_gentle"] = run.daemon.stop()
                result["lines"] = counter_read(run.place)[0] if scenario.kind == "forward" else run.count_lines()

            result.update(messages=messages, loss=expected_lines - result["lines"])
            result["arrived"] = messages * result["lines"] / expected_lines
            result["cpu_per_million"] = result["cpu"] / result["arrived"] * 1e6 if result["arrived"] else None
            # Where more than the rest is lost, the moment is that of the last growth, with all that arrived.
            share = min(result["lines"] / expected_lines, NEARLY_ALL) if result["loss"] else NEARLY_ALL
            result["rate"] = messages * share / nearly_seconds
            if scenario.kind in ("load", "imfile", "connections", "relp"):
                result.update(self.verify(run, messages, connections, calibration))
        return result

    def verify(self, run, messages, connections, calibration):
        """The sequence numbers show lines that are torn, and what is lost, doubled or out of order.

        Where the filters drop messages, or write them more than once, only some of this means anything.
        """
        command = [*self.flood, "verify", "--json", "--messages", str(messages), "--connections", str(connections)]
        done = subprocess.run(command + output_files(run.place), capture_output=True, text=True, check=False,
                              timeout=STEP_SECONDS_MAX)
        if done.returncode > 1:
            raise BenchError(f"verify failed: {done.stderr}")
        found = json.loads(done.stdout)
        copies = [after - before for before, after in zip(calibration.lines, calibration.lines[1:])]
        names = ["malformed", "unmarked"]
        names += ["missing"] if min(copies) > 0 else []
        names += ["duplicate", "out_of_order"] if set(copies) == {1} else []
        return {name: found[name] for name in names}

    def search_rate(self, run, calibration):
        """The highest rate in steps of about 6 % at which nothing is lost, by halving."""
        rates = [RATE_SEARCH_FROM]
        while rates[-1] < RATE_SEARCH_TO:
            rates.append(int(rates[-1] * RATE_SEARCH_STEP))
        low, high = -1, len(rates)
        while high - low > 1:
            middle = (low + high) // 2
            if self.is_lossless(run, calibration, rates[middle]):
                low = middle
            else:
                high = middle
        return rates[low] if low >= 0 else 0

    def is_lossless(self, run, calibration, rate):
        messages = int(rate * RATE_SEARCH_SECONDS) // run.scenario.block * run.scenario.block
        expected = calibration.expect(messages, 1)[0]
        # The daemon keeps its files open for appending, so an empty file is as good as a new one.
        for path in output_files(run.place):
            os.truncate(path, 0)
        flood = run.start_flood(messages, 1, rate)
        _, summary = run.wait_for_output(flood, expected, lambda: output_bytes(run.place), RATE_SEARCH_STALL_SECONDS)
        flood.stop()
        return output_bytes(run.place) >= expected and summary["rate"] > rate * 0.97

    # The special scenarios.

    def drain(self, scenario, contestant, variant):
        """Fills a queue whose destination is away, until its senders are told that all is kept; then it comes."""
        messages = self.messages(scenario, contestant)
        connections = min(scenario.connections, messages // 10)
        with Run(self, scenario, contestant, variant) as run:
            run.start_daemon()
            run.wait_for_daemon()
            busy, cpu, start = machine_busy(), run.daemon.cpu(), time.monotonic()
            flood = run.start_flood(messages, connections)
            wait_until("the queue to take all", lambda: run.flood_summary(flood), LOAD_SECONDS_MAX)
            summary = run.flood_summary(flood)
            filled_cpu = run.daemon.cpu()
            run.start_sink()
            arrived = lambda: counter_read(run.place)[0]
            wait_until("the first message to be drained", arrived, LOAD_SECONDS_MAX, step=0.001)
            began, first = time.monotonic(), arrived()
            end = self.wait_for_drained(arrived, messages)
            result = {
                "cpu": run.daemon.cpu() - cpu,
                "busy": machine_busy() - busy,
                "flood_cpu": summary["cpu_seconds"],
                "seconds": time.monotonic() - start,
                "messages": messages,
                "rate": (summary["acknowledged"] or summary["sent"]) / summary["seconds"],
                "rate_drained": (arrived() - first) / max(end - began, 1e-3),
                "cpu_filling": (filled_cpu - cpu) / messages * 1e6,
                "rss_peak_kib": run.daemon.rss_peak_kib(),
            }
            result["is_gentle"] = run.daemon.stop()
            result.update(lines=arrived(), loss=messages - arrived(), lost_connections=summary["connections_lost"])
            result["cpu_per_million"] = result["cpu"] / max(result["lines"], 1) * 1e6
            return result

    @staticmethod
    def wait_for_drained(arrived, messages):
        """When the last message came, of all or of those that come at all."""
        last, grown = arrived(), time.monotonic()
        while last < messages and time.monotonic() - grown < STALL_SECONDS:
            time.sleep(0.002)
            if (now := arrived()) != last:
                last, grown = now, time.monotonic()
        return grown

    def idle(self, scenario, contestant, variant):
        seconds = 1 if self.options.quick else IDLE_SECONDS
        with Run(self, scenario, contestant, variant) as run:
            run.start_daemon()
            run.wait_for_daemon()
            time.sleep(1)  # Not luck: what a daemon does in its first second is not idleness.
            switches, cpu = run.daemon.switches(), run.daemon.cpu()
            time.sleep(seconds)
            return {
                "wakeups": (run.daemon.switches() - switches) / seconds,
                "cpu_ms": (run.daemon.cpu() - cpu) * 1e3 / seconds,
                "rss_kib": run.daemon.rss_kib(),
                "threads": len(run.daemon.tasks()),
            }

    def start(self, scenario, contestant, variant):
        with Run(self, scenario, contestant, variant) as run:
            config = contestant.write_config(scenario, run.place, variant)
            checker = run.launch(Process(contestant.check_command(config), run.place.directory, contestant.environment,
                                         "check"))
            wait_until("the check", lambda: not checker.is_running(), step=0.0005)
            check_seconds = time.monotonic() - checker.started
            if checker.popen.returncode:
                raise BenchError(f"{contestant.name} finds fault with its configuration:\n{checker.output()[-2000:]}")

            run.start_daemon()
            run.wait_for_daemon()
            return {
                "start_seconds": time.monotonic() - run.daemon.started,
                "cpu": run.daemon.cpu(),
                "check_seconds": check_seconds,
                "check_cpu": checker.cpu(),
                "rss_kib": run.daemon.rss_kib(),
            }

    # All rounds.

    def measure(self, scenario, contestant, variant):
        action = {"idle": self.idle, "start": self.start, "drain": self.drain}.get(scenario.kind, self.load)
        try:
            result = action(scenario, contestant, variant)
        except (BenchError, subprocess.TimeoutExpired, OSError) as error:
            print(f"  {contestant.name} ({variant}): FAILED: {error}", flush=True)
            self.failures.append((scenario.name, contestant.name, str(variant)))
            return None
        result["variant"] = str(variant)
        print(f"  {contestant.name} ({variant}): {brief(result)}", flush=True)
        return result

    def run_scenario(self, scenario, contestants):
        """The first round tries all variants; the others repeat each daemon's best. A B C D, A B C D."""
        print(f"{scenario.name}: {scenario.title}", flush=True)
        contestants = [c for c in contestants if c.variants(scenario)]
        results = {c.name: [] for c in contestants}
        best = {}
        for number in range(self.options.rounds):
            for contestant in contestants:
                variants = contestant.variants(scenario) if number == 0 else best.get(contestant.name, [])
                if self.options.variant and contestant.name not in ("floor", "penstock"):
                    variants = [v for v in variants if v.name == self.options.variant]
                for variant in variants:
                    result = self.measure(scenario, contestant, variant)
                    if result:
                        results[contestant.name].append(result)
                if number == 0 and results[contestant.name]:
                    chosen = min(results[contestant.name], key=cost)["variant"]
                    best[contestant.name] = [v for v in variants if str(v) == chosen]
        self.compare_outputs(scenario)
        return results

    def compare_outputs(self, scenario):
        """The same configuration has to give the same output, or the comparison is of different work."""
        ours, theirs = (self.calibrations.get((scenario.name, name)) for name in ("penstock", "rsyslog"))
        if ours and theirs and (ours.bytes, ours.lines) != (theirs.bytes, theirs.lines):
            print(f"  DIFFERENT OUTPUT: of one block, penstock wrote {ours.lines[-1]} lines, {ours.bytes[-1]} bytes, "
                  f"and rsyslog {theirs.lines[-1]} lines, {theirs.bytes[-1]} bytes", flush=True)
            self.failures.append((scenario.name, "penstock", "output"))


def cost(result):
    """What makes one variant better than another: losing and tearing nothing first, then CPU."""
    figure = result.get("cpu_per_million") or result.get("start_seconds") or result.get("rss_kib") or float("inf")
    is_faulty = result.get("malformed", 0) > 0 or result.get("loss", 0) > 0.001 * result.get("messages", 0)
    return is_faulty, figure


def brief(r):
    if "wakeups" in r:
        return (f"{r['wakeups']:.1f} wake-ups/s, {r['cpu_ms']:.2f} ms CPU/s, {r['rss_kib'] / 1024:.1f} MiB, "
                f"{r['threads']} threads")
    if "start_seconds" in r:
        return (f"listens after {r['start_seconds'] * 1e3:.0f} ms ({r['cpu'] * 1e3:.0f} ms CPU), "
                f"check {r['check_seconds'] * 1e3:.0f} ms, {r['rss_kib'] / 1024:.1f} MiB")
    text = f"{r['cpu_per_million'] or 0:.3f} CPU s/M, {r['rate'] / 1e6:.3f} M/s, {r['rss_peak_kib'] / 1024:.0f} MiB"
    if r["loss"]:
        text += f", LOSS {r['loss']}"
    for name in ("malformed", "unmarked", "missing", "duplicate", "out_of_order", "lost_connections"):
        if r.get(name):
            text += f", {name} {r[name]}"
    if "rate_acknowledged" in r:
        text += f", acknowledged {r['rate_acknowledged']:,.0f}/s"
    if "rate_drained" in r:
        text += f", filled {r['rate']:,.0f}/s with {r['cpu_filling']:.3f} CPU s/M, drained {r['rate_drained']:,.0f}/s"
    if "rate_max" in r:
        text += f", without loss up to {r['rate_max']:,}/s"
    if "kib_per_connection" in r:
        text += f", {r['kib_per_connection']:.1f} KiB a connection"
    foreign = r["busy"] - r["cpu"] - r["flood_cpu"]
    return text + f" (others {foreign / r['seconds']:.1f} cores)"


# The report.

def best_runs(runs):
    """All runs of the variant with the best median."""
    by_variant = {}
    for run in runs:
        by_variant.setdefault(run["variant"], []).append(run)
    most = max((len(v) for v in by_variant.values()), default=0)
    complete = [v for v in by_variant.values() if len(v) == most]
    return min(complete, key=lambda v: (cost(v[0])[0], statistics.median(cost(r)[1] for r in v)), default=[])


def median(runs, name):
    values = [r[name] for r in runs if r.get(name) is not None]
    return statistics.median(values) if values else None


def number(value, digits=3):
    return "-" if value is None else f"{value:,.{digits}f}"


COLUMNS = {
    "load": (("CPU s / M messages", "cpu_per_million", 3, 1), ("messages/s", "rate", 0, 1),
             ("peak RSS MiB", "rss_peak_kib", 1, 1 / 1024), ("lost", "loss", 0, 1)),
    "relp": (("CPU s / M messages", "cpu_per_million", 3, 1), ("acknowledged/s", "rate_acknowledged", 0, 1),
             ("messages/s", "rate", 0, 1), ("peak RSS MiB", "rss_peak_kib", 1, 1 / 1024), ("lost", "loss", 0, 1)),
    "drain": (("CPU s / M messages", "cpu_per_million", 3, 1), ("filled/s", "rate", 0, 1),
              ("drained/s", "rate_drained", 0, 1), ("peak RSS MiB", "rss_peak_kib", 1, 1 / 1024),
              ("lost", "loss", 0, 1)),
    "udp": (("CPU s / M messages", "cpu_per_million", 3, 1), ("messages/s", "rate", 0, 1),
            ("without loss up to", "rate_max", 0, 1), ("peak RSS MiB", "rss_peak_kib", 1, 1 / 1024),
            ("lost", "loss", 0, 1)),
    "connections": (("CPU s / M messages", "cpu_per_million", 3, 1), ("messages/s", "rate", 0, 1),
                    ("KiB / connection", "kib_per_connection", 1, 1), ("peak RSS MiB", "rss_peak_kib", 1, 1 / 1024),
                    ("lost", "loss", 0, 1)),
    "idle": (("wake-ups/s", "wakeups", 1, 1), ("CPU ms/s", "cpu_ms", 2, 1), ("RSS MiB", "rss_kib", 1, 1 / 1024),
             ("threads", "threads", 0, 1)),
    "start": (("listens after ms", "start_seconds", 1, 1e3), ("CPU ms", "cpu", 1, 1e3),
              ("check ms", "check_seconds", 1, 1e3), ("RSS MiB", "rss_kib", 1, 1 / 1024)),
}


def scenario_table(scenario, entry):
    columns = COLUMNS.get(scenario.kind, COLUMNS["load"])
    bests = {name: best_runs(runs) for name, runs in entry["results"].items()}
    figure = columns[0][1]
    peers = [m for m in (median(bests.get(name, []), figure) for name in ("rsyslog", "syslog-ng")) if m is not None]
    floor = median(bests.get("floor", []), figure)
    lines = ["| | " + " | ".join(c[0] for c in columns) + " | to the best peer | to the floor | runs |",
             "|---|" + "---:|" * (len(columns) + 3)]

    for name, runs in bests.items():
        if not runs:
            lines.append(f"| {name} | failed |" + " |" * (len(columns) + 2))
            continue
        own = median(runs, figure)
        label = name if runs[0]["variant"] == "-" else f"{name}, {runs[0]['variant']}"
        ratios = [f"{own / x:.2f}" if x and own is not None else "-" for x in (min(peers) if peers else None, floor)]
        cells = [number(None if (m := median(runs, c[1])) is None else m * c[3], c[2]) for c in columns]
        lines.append(f"| {label} | " + " | ".join(cells + ratios) + f" | {len(runs)} |")
    return lines


def machine_description():
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1)) / 1024 ** 2
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, Linux {platform.release()}"


def write_report(path, state):
    lines = [
        "# Benchmark results",
        "",
        "Written by `bench/run.py`; see `bench/README.md`. Medians; with few runs, or on a busy machine, take them",
        "with care. Ratios are of the first column: below 1.00 is less.",
        "",
        f"Machine: {state['machine']}.",
        "Versions: " + "; ".join(f"{name} {version}" for name, version in state["versions"].items()) + ".",
        "",
    ]
    for scenario in SCENARIOS:
        entry = state["scenarios"].get(scenario.name)
        if not entry:
            continue
        lines += [f"## {scenario.name}: {scenario.title}", "", f"{entry['date']}, `{entry['command']}`", ""]
        lines += scenario_table(scenario, entry)
        if entry.get("flood"):
            lines += ["", f"Load: `{entry['flood']}`"]
        lines.append("")

    lines += [
        "## Commands",
        "",
        "`bench/run.py --show SCENARIO` prints the configuration of every daemon and variant. They run as",
        "",
        "```",
        "penstockd -n -f CONF -i PID",
        "rsyslogd -n -f CONF -i PID -M MODULES",
        "syslog-ng -F --no-caps --module-path MODULES -f CONF -p PID -c CONTROL -R PERSIST",
        "floor MODE FROM TO",
        "```",
        "",
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def flood_command(bench, scenario):
    if scenario.kind in ("idle", "start"):
        return ""
    target = "unix:PATH" if scenario.transport == "unix" else scenario.target(Place("", "PORT"))
    words = ["penstock flood --sequence --messages", str(bench.options.messages or scenario.messages), "--connections",
             str(scenario.connections), *scenario.flood]
    if scenario.rate:
        words += ["--rate", str(scenario.rate)]
    return " ".join([*words, "file:PATH" if scenario.kind == "imfile" else target])


def show_configs(scenario, contestants):
    place = Place("DIRECTORY", 514, 1514, "DIRECTORY/input.log")
    # Some write a table beside it.
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        for contestant in contestants:
            for variant in contestant.variants(scenario):
                if contestant.name != "floor":
                    print(f"==== {contestant.name}, {variant}\n{contestant.config(scenario, place, variant)}")


def parse_options():
    names = [s.name for s in SCENARIOS]
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--daemon", default=os.path.join(TREE, "build/src/daemon/penstockd"), help="our daemon's program")
    p.add_argument("--penstock", default=os.path.join(TREE, "build/src/control/penstock"),
                   help="the program whose `flood` makes the load and looks what arrived")
    p.add_argument("--daemon-variant", action="append", metavar="NAME",
                   help="how ours is configured, more than once possible (default: default)")
    p.add_argument("--scenario", action="append", choices=names, help="only this one; more than once possible")
    p.add_argument("--contestant", action="append", choices=["penstock", "rsyslog", "syslog-ng", "floor"],
                   help="only this one; more than once possible")
    p.add_argument("--variant", help="only this way of tuning the peers, instead of their best")
    p.add_argument("--rounds", type=int, default=3, help="how often all are measured (default: 3)")
    p.add_argument("--messages", type=int, help="how many in each run, instead of the scenario's own number")
    p.add_argument("--directory", help="where the files go, such as a tmpfs (default: TMPDIR or /tmp)")
    p.add_argument("--warm-gib", type=float, default=6, help="memory to touch before the first run (default: 6)")
    p.add_argument("--quick", action="store_true", help="tiny sizes and one round: does everything still work?")
    p.add_argument("--only-floor", action="store_true", help="the same as --contestant floor")
    p.add_argument("--show", metavar="SCENARIO", choices=names, help="print the configurations and end")
    p.add_argument("--results", help="where the report goes (default: bench/RESULTS.md, but nowhere with --quick or "
                   "when not all contestants and variants take part)")
    options = p.parse_args()
    if options.quick:
        options.rounds = 1
    if options.only_floor:
        options.contestant = ["floor"]
    if not (options.results or options.quick or options.contestant or options.variant):
        options.results = os.path.join(TREE, "bench", "RESULTS.md")
    return options


def load_state(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"scenarios": {}, "versions": {}}


def main():
    options = parse_options()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # An interrupted benchmark ends its daemons, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    bench = Bench(options)
    wanted = options.contestant or ["penstock", "rsyslog", "syslog-ng", "floor"]
    contestants, absent = find_contestants(wanted, options.daemon, options.daemon_variant or ["default"])
    for name in absent:
        print(f"{name} is not there and does not take part")
    scenarios = [s for s in SCENARIOS if not options.scenario or s.name in options.scenario]
    if options.show:
        show_configs(next(s for s in SCENARIOS if s.name == options.show), contestants)
        return 0

    if not options.quick:
        warm_memory(options.warm_gib)

    # Scenarios can be run one at a time, and contestants too; the report shows the latest of each.
    state_path = os.path.join(BUILD, "results.json")
    state = load_state(state_path)
    state["machine"] = machine_description()
    state["versions"].update({c.name: c.version() for c in contestants})
    for scenario in scenarios:
        results = bench.run_scenario(scenario, contestants)
        if options.contestant:
            results = {**state["scenarios"].get(scenario.name, {}).get("results", {}), **results}
        state["scenarios"][scenario.name] = {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "command": f"bench/run.py --scenario {scenario.name} --rounds {options.rounds}"
                       + (f" --messages {options.messages}" if options.messages else ""),
            "flood": flood_command(bench, scenario),
            "results": results,
        }
        print("\n".join(scenario_table(scenario, state["scenarios"][scenario.name])) + "\n", flush=True)
        if options.results:
            with open(state_path, "w", encoding="utf-8") as file:
                json.dump(state, file, indent=1)
            write_report(options.results, state)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as problem:
        sys.exit(f"run.py: {problem}")
