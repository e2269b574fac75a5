"""What behaviour tests share: a daemon in a temporary directory, waiting for events, TAP.

A test is a function whose name reads as a promise; run(globals()) runs all that are
marked with @promise, in order. Nothing sleeps for luck: wait() looks until something
holds, and gives up after PATIENCE_SECONDS.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.01
PROMISES = []


def promise(function):
    PROMISES.append(function)
    return function


class Skip(Exception):
    pass


def argument(name):
    """`--name VALUE` of the command line; meson gives the paths of what it built."""
    return os.path.abspath(sys.argv[sys.argv.index("--" + name) + 1])


def wait(holds, what):
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = holds()
        if found:
            return found
        time.sleep(LOOK_AGAIN_SECONDS)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain: {what}")


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class Place:
    """A temporary directory; @DIR@ in a text becomes its path."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="penstock-")
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, text=None):
        path = os.path.join(self.path, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("@DIR@", self.path))
        return path

    def read(self, name):
        return read(self.file(name)).decode("utf-8", "replace")

    def lines(self, name):
        return self.read(name).splitlines()

    def spawn(self, command, **options):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **options)
        self.processes.append(process)
        return process

    def run(self, *command, seconds=PATIENCE_SECONDS, **options):
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                              errors="replace", check=False, **options)

    def daemon(self, config, arguments=("-n",), environment=None, **options):
        return Daemon(self, config, arguments, environment, **options)


class Daemon:
    """penstockd with a configuration; up when its pid file is there."""

    def __init__(self, place, config, arguments, environment, launcher=(), root="", has_mistakes=False,
                 **options):
        """`launcher`: what to put before the command; `root`: its root directory."""
        self.place = place
        self.config = place.file("penstock.conf", config)
        self.pid_file = place.file("pid")
        self.stderr_path = place.file("stderr")
        with open(self.stderr_path, "ab") as stderr:
            self.process = place.spawn(
                [*launcher, argument("daemon"), *arguments, "-C", "-f", self.config.removeprefix(root), "-i",
                 self.pid_file.removeprefix(root)],
                cwd=place.path, stdout=stderr, stderr=stderr,
                env={**os.environ, "TZ": "UTC", "PENSTOCK_BUS_SOCKET": "off", **(environment or {})}, **options)
        wait(lambda: read(self.pid_file) or self.process.poll() is not None, "the daemon's start")
        if self.process.poll() is not None and self.process.returncode:
            raise AssertionError(f"the daemon left with {self.process.returncode}:\n{self.stderr()}")
        assert has_mistakes or ": error: " not in self.stderr(), f"a mistake in the test's configuration:\n{self.stderr()}"

    def stderr(self):
        return read(self.stderr_path).decode("utf-8", "replace")

    def pid(self):
        return int(read(self.pid_file))

    def port(self, name):
        return int(wait(lambda: self.place.read(name), f"the port file {name}"))

    def hup(self):
        os.kill(self.pid(), signal.SIGHUP)

    def stop(self, number=signal.SIGTERM):
        """Ends it and returns its exit status."""
        os.kill(self.pid(), number)
        try:
            status = self.process.wait(PATIENCE_SECONDS)
            for line in self.stderr().splitlines()[-80:] if status else []:
                print("#", line)
            return status
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise AssertionError("the daemon does not end on a signal") from error


class Diag:
    """A connection to imdiag: one command, one line of answer."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self.answers = self.connection.makefile("r", encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.close()
        self.connection.close()

    def ask(self, command):
        self.connection.sendall(command.encode() + b"\n")
        return self.answers.readline().removesuffix("\n")


def numbered(first, count, host="host"):
    """Lines whose message is its number."""
    return "".join(f"<13>Oct 11 22:14:15 {host} tag: {i}\n" for i in range(first, first + count))


def memory_bytes(pid):
    """The resident memory of a process."""
    return int(read(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def needs_root(why):
    if os.geteuid() != 0:
        raise Skip(f"only root can {why}")


def needs_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise Skip(f"there is no IPv6 here: {error.strerror}") from error


@contextlib.contextmanager
def small_disk(path, kilobytes):
    """A file system of that size at the path, while the context lasts."""
    needs_root("mount a small disk")
    os.makedirs(path, exist_ok=True)
    if not shutil.which("mount"):
        raise Skip("there is no mount program")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise Skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def send_tcp(port, data):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data if isinstance(data, bytes) else data.encode())


def run():
    """All promises, or those whose name holds the word after `--only`."""
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    chosen = [function for function in PROMISES if only in function.__name__]
    print(f"1..{len(chosen)}", flush=True)
    failed = False
    for number, function in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Skip as skip:
            print(f"ok {number} - {name} # SKIP {skip}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed = True
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {number} - {name}", flush=True)
    sys.exit(1 if failed else 0)
