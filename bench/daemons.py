"""The contestants: how each daemon is found, configured and started, and what the kernel says of its process."""

import contextlib
import glob
import os
import re
import signal
import subprocess
import time

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TREE, "build", "bench")
STEP_SECONDS_MAX = 60


class BenchError(Exception):
    """A step that failed or took too long, in words for the user."""


def wait_until(what, is_true, limit=STEP_SECONDS_MAX, step=0.002):
    end = time.monotonic() + limit
    while True:
        result = is_true()
        if result:
            return result
        if time.monotonic() > end:
            raise BenchError(f"waited {limit} s for {what}")
        time.sleep(step)


class Process:
    """One process that we started, and end by its id."""

    def __init__(self, arguments, directory, environment=None, name="process"):
        self.name = name
        self.log = os.path.join(directory, name + ".log")
        self.usage = None
        self.rss_peak = 0
        self.started = time.monotonic()
        with open(self.log, "wb") as log, open(os.devnull, "rb") as nothing:
            self.popen = subprocess.Popen(arguments, stdin=nothing, stdout=log, stderr=subprocess.STDOUT,
                                          cwd=directory, env={**os.environ, "PENSTOCK_BUS_SOCKET": "off", **(environment or {})})
        self.pid = self.popen.pid

    def is_running(self):
        if self.usage is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.usage = usage
                self.popen.returncode = os.waitstatus_to_exitcode(status)
        return self.usage is None

    def cpu(self):
        """User and system CPU seconds of all its threads, in nanoseconds' precision while it runs."""
        if self.is_running():
            with contextlib.suppress(OSError):
                return time.clock_gettime(~self.pid << 3 | 2)
            self.is_running()
        return self.usage.ru_utime + self.usage.ru_stime if self.usage else 0.0

    def status(self, field, task=None):
        path = f"/proc/{self.pid}/status" if task is None else f"/proc/{self.pid}/task/{task}/status"
        with open(path, encoding="ascii", errors="replace") as file:
            found = re.search(rf"^{field}:\s+(\d+)", file.read(), re.M)
        return int(found.group(1)) if found else 0

    def rss_kib(self):
        return self.status("VmRSS")

    def rss_peak_kib(self):
        """What was seen last, once it has ended: its rusage would count our own memory at the time of the fork."""
        if self.is_running():
            with contextlib.suppress(OSError):
                self.rss_peak = self.status("VmHWM") or self.rss_peak
        return self.rss_peak

    def tasks(self):
        return os.listdir(f"/proc/{self.pid}/task")

    def switches(self):
        """How often its threads went to sleep until now, which is how often they woke up."""
        return sum(self.status("voluntary_ctxt_switches", task) for task in self.tasks())

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, limit=STEP_SECONDS_MAX):
        """Ends it gently, then less so. True when gently was enough."""
        for number, seconds in ((signal.SIGTERM, limit), (signal.SIGKILL, 10)):
            if self.is_running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)
                with contextlib.suppress(BenchError):
                    wait_until(f"the end of {self.name}", lambda: not self.is_running(), seconds)
            if not self.is_running():
                return number == signal.SIGTERM
        raise BenchError(f"{self.name} survives SIGKILL")


def is_listening(protocol, port):
    if protocol == "unix":
        return os.path.exists(port)
    wanted = "0A" if protocol == "tcp" else "07"
    with open(f"/proc/net/{protocol}", encoding="ascii") as file:
        return any(f":{port:04X} " in line[:23] and line.split()[3] == wanted for line in file)


def compile_tool(name, source, *flags):
    """The floor is a C file of its own: it shares nothing with what it is the measure of."""
    os.makedirs(BUILD, exist_ok=True)
    program = os.path.join(BUILD, name)
    source = os.path.join(TREE, source)
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        command = [os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", *flags,
                   "-o", program, source, "-pthread"]
        if subprocess.run(command, check=False).returncode:
            raise BenchError(f"cannot compile {name}")
    return program


class Contestant:
    """A daemon as it takes part: variants() to try, and start() for one run."""

    name = ""

    def version(self):
        raise NotImplementedError

    def variants(self, scenario):
        raise NotImplementedError

    def config(self, scenario, place, variant):
        raise NotImplementedError

    def command(self, config):
        raise NotImplementedError

    def check_command(self, config):
        return self.command(config)

    environment = {}

    def write_config(self, scenario, place, variant):
        path = os.path.join(place.directory, "daemon.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config(scenario, place, variant))
        return path

    def start(self, scenario, place, variant):
        config = self.write_config(scenario, place, variant)
        return Process(self.command(config), place.directory, self.environment, "daemon")


class Rsyslog(Contestant):
    name = "rsyslog"

    def __init__(self, root):
        self.program = os.path.join(root, "usr/sbin/rsyslogd")
        libraries = glob.glob(os.path.join(root, "usr/lib/*-linux-gnu"))[0]
        self.modules = os.path.join(libraries, "rsyslog")
        self.environment = {"LD_LIBRARY_PATH": libraries}

    def version(self):
        text = subprocess.run([self.program, "-v"], env={**os.environ, **self.environment}, capture_output=True,
                              text=True, check=False).stdout
        return text.split()[1]

    def variants(self, scenario):
        return scenario.rsyslog_variants

    def config(self, scenario, place, variant):
        return scenario.rsyslog(place, variant)

    def command(self, config):
        return [self.program, "-n", "-f", config, "-i", os.path.join(os.path.dirname(config), "daemon.pid"),
                "-M", self.modules]

    def check_command(self, config):
        return [self.program, "-N1", "-f", config, "-M", self.modules]


class SyslogNg(Contestant):
    name = "syslog-ng"

    def __init__(self, root):
        self.program = os.path.join(root, "usr/sbin/syslog-ng")
        libraries = glob.glob(os.path.join(root, "usr/lib/*-linux-gnu"))[0]
        own = os.path.join(root, "usr/lib/syslog-ng")
        self.modules = glob.glob(os.path.join(own, "[0-9]*"))[0]
        self.environment = {"LD_LIBRARY_PATH": f"{libraries}:{own}"}

    def version(self):
        text = subprocess.run([self.program, "--module-path", self.modules, "-V"], capture_output=True, text=True,
                              env={**os.environ, **self.environment}, check=False).stdout
        return re.search(r"Installer-Version: (\S+)", text).group(1)

    def variants(self, scenario):
        return scenario.syslog_ng_variants

    def config(self, scenario, place, variant):
        return scenario.syslog_ng(place, variant)

    def command(self, config):
        directory = os.path.dirname(config)
        return [self.program, "-F", "--no-caps", "--module-path", self.modules, "-f", config,
                "-p", os.path.join(directory, "daemon.pid"), "-c", os.path.join(directory, "control.sock"),
                "-R", os.path.join(directory, "persist")]

    def check_command(self, config):
        return [*self.command(config), "-s"]


class Penstock(Contestant):
    """Takes rsyslog's files as they are, and by default the one that nobody tuned."""

    name = "penstock"

    def __init__(self, program, variant_names):
        self.program = os.path.abspath(program)
        self.variant_names = variant_names

    def version(self):
        text = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
        revision = subprocess.run(["git", "-C", TREE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                                  check=False).stdout.strip()
        return f"{text.strip()} (tree at {revision})"

    def variants(self, scenario):
        return [v for v in scenario.rsyslog_variants if v.name in self.variant_names] or scenario.rsyslog_variants[:1]

    def config(self, scenario, place, variant):
        return scenario.rsyslog(place, variant)

    def command(self, config):
        return [self.program, "-n", "-f", config, "-i", os.path.join(os.path.dirname(config), "daemon.pid")]

    def check_command(self, config):
        return [self.program, "-N1", "-f", config]


class Floor(Contestant):
    """The least that can be done; see floor.c."""

    name = "floor"

    def __init__(self):
        self.program = compile_tool("floor", "bench/floor.c")

    def version(self):
        return "bench/floor.c"

    def variants(self, scenario):
        return ["-"] if scenario.has_floor and scenario.kind not in ("idle", "start") else []

    def config(self, scenario, place, variant):
        return ""

    def start(self, scenario, place, variant):
        return Process([self.program, *scenario.floor(place)], place.directory, None, "daemon")


def oracle_root():
    """Where Debian's daemons are unpacked; fetches them when they are not."""
    root = os.environ.get("PENSTOCK_ORACLE", os.path.join(TREE, "build", "oracle"))
    fetch = os.path.join(TREE, "tests", "oracle", "fetch")
    has_all = all(os.path.exists(os.path.join(root, "usr/sbin", name)) for name in ("rsyslogd", "syslog-ng"))
    if not has_all and os.path.exists(fetch):
        subprocess.run([fetch, root, "rsyslog", "syslog-ng"], check=False, timeout=600)
    return root


def find_contestants(wanted, penstockd, penstock_variants):
    root = oracle_root()
    found, absent = [], []
    makers = {
        "penstock": (penstockd, lambda: Penstock(penstockd, penstock_variants)),
        "rsyslog": (os.path.join(root, "usr/sbin/rsyslogd"), lambda: Rsyslog(root)),
        "syslog-ng": (os.path.join(root, "usr/sbin/syslog-ng"), lambda: SyslogNg(root)),
        "floor": (TREE, Floor),
    }
    for name in wanted:
        program, make = makers[name]
        if os.path.exists(program):
            found.append(make())
        else:
            absent.append(name)
    return found, absent
