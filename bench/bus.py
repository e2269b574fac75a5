#!/usr/bin/env python3
"""Measures the bus beside dbus-broker, dbus-daemon, nats-server, redis and the floor.

    bench/bus.py --build build [--rounds 5] [--only latency] [--targets penstock,floor] [--results bench/BUS.md]

Those that are not installed do not take part. dbus-broker's launcher wants a journal and
a bus of its own, so it runs in a mount namespace with an empty /run (needs root).

Contestants take turns, each round begins with another one, and a ratio is the median of those of the rounds, so that
what else the machine does meets all of them.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

DBUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy>
<limit name="max_incoming_bytes">1000000000</limit><limit name="max_outgoing_bytes">1000000000</limit>
<limit name="max_message_size">1000000000</limit></busconfig>
"""
LAUNCH_DBUS_BROKER = """
import os, socket, sys
os.makedirs('/run/systemd/journal')
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind('/run/systemd/journal/socket')
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(100)
print('listening', flush=True)
os.set_inheritable(os.dup(journal.fileno()), True)  # 3 becomes the listener
os.dup2(listener.fileno(), 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp('dbus-broker-launch', ['dbus-broker-launch', '--scope', 'user', '--config-file', sys.argv[2]])
"""

# name: (scenario, size, count, pairs, pinned to one CPU)
SCENARIOS = {
    "latency 100 B, pinned": ("latency", 100, 30000, 1, True),
    "latency 10 KB, pinned": ("latency", 10000, 15000, 1, True),
    "latency 100 B, free": ("latency", 100, 20000, 1, False),
    "one-way 100 B, 1 pair": ("oneway", 100, 1000000, 1, False),
    "one-way 100 B, 4 pairs": ("oneway", 100, 250000, 4, False),
    "one-way 10 KB, 1 pair": ("oneway", 10000, 60000, 1, False),
    "fan-out 100 B to 10": ("fanout", 100, 50000, 10, False),
    "stream 4 MB": ("oneway", 4 << 20, 300, 1, False),
    "beside a 4 MB stream": ("beside", 4 << 20, 2000, 1, False),
}
TARGETS = ("penstock", "dbus-broker", "dbus-daemon", "nats", "redis", "floor")
PATIENCE_SECONDS = 10

# What is to be reached: scenario, figure, beside whom (None: the figure itself), at least or at most.
MARKS = (
    ("latency 100 B, pinned", "rate", "floor", ">=", 0.8),
    ("latency 10 KB, pinned", "rate", "floor", ">=", 0.8),
    ("one-way 100 B, 1 pair", "rate", "dbus-broker", ">=", 5),
    ("one-way 100 B, 1 pair", "rate", "redis", ">", 1),
    ("one-way 100 B, 4 pairs", "rate", "dbus-broker", ">=", 5),
    ("one-way 100 B, 4 pairs", "rate", "redis", ">", 1),
    ("stream 4 MB", "rate", "floor", ">=", 0.8),
    ("beside a 4 MB stream", "p99_us", None, "<", 1000),
)


def drain(stream):
    """What a broker says later is read and forgotten, so that it never waits for us."""
    threading.Thread(target=stream.read, daemon=True).start()


def await_line(process, word):
    """Whether the process says a line with this word before it ends."""
    until = threading.Timer(PATIENCE_SECONDS, process.kill)
    until.start()
    try:
        for line in process.stdout:
            if word in line:
                drain(process.stdout)
                return True
        return False
    finally:
        until.cancel()


class Contestant:
    """A broker that runs, in a directory of its own."""

    def __init__(self, name, build, pinned):
        self.name, self.pinned, self.processes = name, pinned, []
        self.directory = tempfile.mkdtemp(prefix="busbench.")
        self.address = os.path.join(self.directory, "socket")
        self.bench = os.path.join(build, "src/bus/bus_bench")
        self.kind = {"dbus-broker": "dbus", "dbus-daemon": "dbus"}.get(name, name)
        getattr(self, "start_" + name.replace("-", "_"))(build)

    def run(self, command, listening, pinned=None, **more):
        """Returns when the program has said, in a line with the word `listening`, that it listens."""
        if self.pinned if pinned is None else pinned:
            command = ["taskset", "-c", "0"] + command
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", **more)
        self.processes.append(process)
        if not await_line(process, listening):
            self.stop()
            raise OSError(f"{self.name} does not start")

    def start_penstock(self, build):
        self.run([os.path.join(build, "src/bus/penstock-bus"), "-v", "-s", self.address], "serving")

    def start_floor(self, _):
        self.run([self.bench, "relay", self.address], "listening")

    def start_redis(self, _):
        self.run(["redis-server", "--port", "0", "--unixsocket", self.address, "--save", "", "--dir", self.directory,
                  "--client-output-buffer-limit", "pubsub", "0", "0", "0"], "ready to accept connections")

    def start_nats(self, _):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.address = str(one.getsockname()[1])
        config = os.path.join(self.directory, "nats.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"host: 127.0.0.1\nport: {self.address}\nmax_payload: 8MB\nmax_pending: 512MB\n")
        self.run(["nats-server", "-c", config], "Server is ready")

    def dbus_config(self, path):
        config = path + ".conf"
        with open(config, "w", encoding="ascii") as file:
            file.write(DBUS_CONFIG.format(path=path))
        return config

    def run_dbus_daemon(self, path, pinned=None):
        self.run(["dbus-daemon", "--config-file", self.dbus_config(path), "--nofork", "--nopidfile", "--nosyslog",
                  "--print-address"], "unix:path=", pinned)

    def start_dbus_daemon(self, _):
        self.run_dbus_daemon(self.address)

    def start_dbus_broker(self, _):
        other = os.path.join(self.directory, "second")
        self.run_dbus_daemon(other, pinned=False)
        environment = dict(os.environ, DBUS_SESSION_BUS_ADDRESS=f"unix:path={other}", DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={other}")
        self.run(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec python3 -c "$0" "$1" "$2"', LAUNCH_DBUS_BROKER,
                  self.address, self.dbus_config(self.address)], "listening", env=environment)

    def measure(self, scenario, size, count, pairs):
        command = [self.bench, self.kind, self.address, scenario, str(size), str(count), str(pairs)]
        if self.pinned:
            command = ["taskset", "-c", "0"] + command
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def is_installed(name):
    return shutil.which({"nats": "nats-server", "redis": "redis-server", "dbus-broker": "dbus-broker-launch"}.get(name, name)) \
        or name in ("penstock", "floor")


def scaled(count, name, scenario, size):
    """Slower ones get fewer messages, so that a run takes about as long."""
    if name.startswith("dbus") and scenario in ("oneway", "fanout") and size < 1 << 20:
        return count // 10
    return count


def run_round(title, names, build):
    """One result for each, or None."""
    scenario, size, count, pairs, pinned = SCENARIOS[title]
    results = {}
    for name in names:
        contestant = None
        try:
            contestant = Contestant(name, build, pinned)
            result = contestant.measure(scenario, size, scaled(count, name, scenario, size), pairs)
            results[name] = None if not result or result.get("failed") else result
        except (OSError, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
            results[name] = None
        finally:
            if contestant:
                contestant.stop()
    return results


def median(rounds, name, figure):
    found = [r[name][figure] for r in rounds if r.get(name) and figure in r[name]]
    return statistics.median(found) if found else None


def cell(title, rounds, name):
    rate, size = median(rounds, name, "rate"), SCENARIOS[title][1]
    if not rate:
        return "-"
    if SCENARIOS[title][0] == "oneway" and size > 1 << 20:
        return f"{median(rounds, name, 'mb_s'):,.0f} MB/s"
    p99, beside = median(rounds, name, "p99_us"), median(rounds, name, "beside_mb_s")
    return f"{rate:,.0f}/s" + (f" p99 {p99:,.0f}us" if p99 else "") + (f" {beside:,.0f} MB/s" if beside else "")


def mark_lines(results):
    for title, figure, other, relation, wanted in MARKS:
        rounds = [r for r in results.get(title, []) if r.get("penstock") and (not other or r.get(other))]
        if not rounds:
            continue
        values = [r["penstock"][figure] / (r[other][figure] if other else 1) for r in rounds]
        found = statistics.median(values)
        holds = found < wanted if relation == "<" else found >= wanted if relation == ">=" else found > wanted
        of = f"{title}: {'rate' if figure == 'rate' else 'p99 in us'}" + (f" beside {other}" if other else "")
        if figure == "p99_us" and median(rounds, "floor", figure):
            of += f" (the floor's: {median(rounds, 'floor', figure):,.0f})"
        yield of, f"{relation} {wanted}", f"{found:,.2f}" if other else f"{found:,.0f}", "yes" if holds else "no", \
            " ".join(f"{v:,.2f}" if other else f"{v:,.0f}" for v in sorted(values))


def write_results(path, results, names, rounds):
    now = datetime.datetime.now(datetime.timezone.utc)
    load = "/".join(f"{x:.1f}" for x in os.getloadavg())
    lines = ["# The bus beside others", "",
             "Written by `bench/bus.py --results`. Medians of the rounds; messages a second, round trips where a 99th percentile",
             "stands beside, and what the stream moved where there is one. Ratios are medians of those of the rounds.", "",
             f"{now:%Y-%m-%d %H:%M} UTC, {rounds} rounds; {os.cpu_count()} cores ({platform.machine()}), Linux {platform.release()}, "
             f"load {load} at the end.", "",
             "| scenario | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {t} | " + " | ".join(cell(t, r, n) for n in names) + " |" for t, r in results.items()]
    lines += ["", "| to reach | wanted | found | holds | each round |", "|---|---|---:|---|---|"]
    lines += ["| " + " | ".join(mark) + " |" for mark in mark_lines(results)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--results", help="a page for what was found")
    arguments = parser.parse_args()
    names = [n for n in arguments.targets.split(",") if is_installed(n)]
    print(f"{'scenario':24}" + "".join(f"{n:>36}" for n in names))
    results = {}
    for title in SCENARIOS:
        if arguments.only not in title:
            continue
        results[title] = []
        for number in range(arguments.rounds):
            turns = names[number % len(names):] + names[:number % len(names)]
            results[title].append(run_round(title, turns, os.path.abspath(arguments.build)))
        print(f"{title:24}" + "".join(f"{cell(title, results[title], n):>36}" for n in names), flush=True)
    for of, wanted, found, holds, _ in mark_lines(results):
        print(f"{'holds ' if holds == 'yes' else 'MISSED'} {of} {wanted}: {found}")
    if arguments.results:
        write_results(arguments.results, results, names, arguments.rounds)


if __name__ == "__main__":
    main()
