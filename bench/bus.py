#!/usr/bin/env python3
"""Measures the bus beside dbus-broker, dbus-daemon, nats-server, redis and the floor.

    bench/bus.py --build build [--rounds 3] [--only latency] [--targets penstock,floor]

Those that are not installed do not take part. dbus-broker's launcher wants a journal and
a bus of its own, so it runs in a mount namespace with an empty /run (needs root).
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

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


class Contestant:
    """A broker that runs, in a directory of its own."""

    def __init__(self, name, build, pinned):
        self.name, self.pinned, self.processes = name, pinned, []
        self.directory = tempfile.mkdtemp(prefix="busbench.")
        self.address = os.path.join(self.directory, "socket")
        self.bench = os.path.join(build, "src/bus/bus_bench")
        self.kind = {"dbus-broker": "dbus", "dbus-daemon": "dbus"}.get(name, name)
        getattr(self, "start_" + name.replace("-", "_"))(build)
        end = time.monotonic() + 10
        while not self.answers():
            if time.monotonic() > end:
                self.stop()
                raise OSError(f"{name} does not start")
            time.sleep(0.02)

    def answers(self):
        try:
            if self.name == "nats":
                socket.create_connection(("127.0.0.1", int(self.address))).close()
            elif self.name == "floor":
                return os.path.exists(self.address)
            else:
                one = socket.socket(socket.AF_UNIX)
                one.connect(self.address)
                one.close()
            return True
        except OSError:
            return False

    def run(self, command, pinned=None, **more):
        if self.pinned if pinned is None else pinned:
            command = ["taskset", "-c", "0"] + command
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL, **more))

    def start_penstock(self, build):
        self.run([os.path.join(build, "src/bus/penstock-bus"), "-s", self.address])

    def start_floor(self, _):
        self.run([self.bench, "relay", self.address])

    def start_redis(self, _):
        self.run(["redis-server", "--port", "0", "--unixsocket", self.address, "--save", "", "--dir", self.directory,
                  "--client-output-buffer-limit", "pubsub", "0", "0", "0"])

    def start_nats(self, _):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.address = str(one.getsockname()[1])
        config = os.path.join(self.directory, "nats.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"host: 127.0.0.1\nport: {self.address}\nmax_payload: 8MB\nmax_pending: 512MB\n")
        self.run(["nats-server", "-c", config])

    def dbus_config(self, path):
        config = path + ".conf"
        with open(config, "w", encoding="ascii") as file:
            file.write(DBUS_CONFIG.format(path=path))
        return config

    def start_dbus_daemon(self, _):
        self.run(["dbus-daemon", "--config-file", self.dbus_config(self.address), "--nofork", "--nopidfile", "--nosyslog"])

    def start_dbus_broker(self, _):
        other = os.path.join(self.directory, "second")
        self.run(["dbus-daemon", "--config-file", self.dbus_config(other), "--nofork", "--nopidfile", "--nosyslog"], pinned=False)
        time.sleep(0.3)
        environment = dict(os.environ, DBUS_SESSION_BUS_ADDRESS=f"unix:path={other}", DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={other}")
        self.run(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec python3 -c "$0" "$1" "$2"', LAUNCH_DBUS_BROKER,
                  self.address, self.dbus_config(self.address)], env=environment)

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--targets", default=",".join(TARGETS))
    arguments = parser.parse_args()
    names = [n for n in arguments.targets.split(",") if is_installed(n)]
    print(f"{'scenario':28}" + "".join(f"{n:>24}" for n in names))
    for title, (scenario, size, count, pairs, pinned) in SCENARIOS.items():
        if arguments.only not in title:
            continue
        results = {n: [] for n in names}
        for _ in range(arguments.rounds):
            for name in names:
                try:
                    contestant = Contestant(name, os.path.abspath(arguments.build), pinned)
                except OSError as error:
                    print(error, file=sys.stderr)
                    continue
                try:
                    result = contestant.measure(scenario, size, scaled(count, name, scenario, size), pairs)
                    if result and not result.get("failed"):
                        results[name].append(result)
                except subprocess.TimeoutExpired:
                    pass
                finally:
                    contestant.stop()
        line = f"{title:28}"
        for name in names:
            rate = statistics.median(r["rate"] for r in results[name]) if results[name] else None
            text = f"{rate:,.0f}/s" if rate else "-"
            if rate and "mb_s" in results[name][0] and size > 1 << 20:
                text = f"{statistics.median(r['mb_s'] for r in results[name]):,.0f} MB/s"
            if rate and "p99_us" in results[name][0]:
                text += f" p99 {statistics.median(r['p99_us'] for r in results[name]):,.0f}us"
            line += f"{text:>24}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
