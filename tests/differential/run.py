#!/usr/bin/env python3
"""The differential runner gives one configuration and input to two daemons and compares what comes out.

A case is a text file, cases/GROUP/NAME.case; what Debian's rsyslogd made of it lies beside it as NAME.expected.
The life of a case, each step bounded by a time-out and none of them a mere sleep:

  read_case -> Stage (a fresh directory, sinks, files)
            -> Daemon.start   until the pid file names it
            -> the steps      each until the daemon has read what it was given
            -> Daemon.stop    TERM, until it has drained and left
            -> collect        outputs and exit code as masked, printable text
            -> compare        against the recording (or write it)

README.md describes the format. Output is TAP.
"""

import argparse
import concurrent.futures
import difflib
import fcntl
import fnmatch
import glob
import grp
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "behaviour"))
from ports import free_port  # noqa: E402 (the path had to be said first)
PATIENCE_SECONDS = 30
OUTPUT_BYTES_MAX = 8 << 20
DIFF_LINES_MAX = 60
MASK = r"/((?:[^/\\]|\\.)+)/([^/]*)/"
SIOCOUTQ = 0x5411

PREAMBLE = r'''
global(localHostname="logger" workDirectory="@DIR@" processInternalMessages="off" net.enableDNS="off")
template(name="show" type="string" string="<%pri%> [%timereported%] host=[%hostname%] tag=[%syslogtag%] prog=[%programname%] app=[%app-name%] pid=[%procid%] id=[%msgid%] sd=[%structured-data%] v=[%protocol-version%] msg=[%msg%]\n")
template(name="raw" type="string" string="[%rawmsg%]\n")
template(name="msg" type="string" string="[%msg%]\n")
'''

LISTEN = {
    "tcp": 'module(load="imptcp")\ninput(type="imptcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/tcp.port")\n',
    "imtcp": 'module(load="imtcp")\ninput(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/tcp.port")\n',
    "udp": 'module(load="imudp")\ninput(type="imudp" port="@FREE udp@" address="127.0.0.1")\n',
    "unix": 'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" socket="@DIR@/log" createPath="on")\n',
    "none": "",
}

DEFAULT_CONFIG = 'action(type="omfile" file="@DIR@/out" template="show")\n'


class Trouble(Exception):
    """What went wrong with a case, told to the reader of the TAP output, with what the daemon said on stderr."""

    def __init__(self, text, complaints=()):
        super().__init__(text)
        self.complaints = list(complaints)


# ---------------------------------------------------------------- the case file

class Case:
    """Header `key: value` lines, then sections that open with `--- verb arguments`."""

    KEYS = {"listen", "preamble", "compare", "modes", "mask", "tz", "differs", "check", "exit", "named", "needs", "sink", "fifo",
            "env", "arguments", "unmasked", "sorted", "later"}
    VERBS = {"config", "file", "send", "raw", "append", "signal", "wait", "restart", "remove", "rename", "probe", "stop", "run"}

    def __init__(self, path, name):
        self.path = path
        self.name = name
        self.promise = ""
        self.header = {}
        self.sections = []
        self._read(path.read_text(encoding="utf-8"))

    def _read(self, text):
        body = None
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("--- "):
                words = line[4:].split()
                if words[0] not in self.VERBS:
                    raise Trouble(f"{self.path}:{number}: no such section '{words[0]}'; there are {' '.join(sorted(self.VERBS))}")
                body = []
                self.sections.append((words[0], words[1:], body))
            elif body is not None:
                body.append(line)
            elif line.startswith("#"):
                self.promise = self.promise or line.lstrip("# ")
            elif line.strip():
                key, colon, value = line.partition(":")
                if not colon or key not in self.KEYS:
                    raise Trouble(f"{self.path}:{number}: no such header '{key}'; there are {' '.join(sorted(self.KEYS))}")
                self.header.setdefault(key, []).append(value.strip())
        for mask in self.header.get("mask", []):
            if mask != "pid" and not re.fullmatch(MASK, mask):
                raise Trouble(f"{self.path}: a mask is `pid` or /REGEX/TEXT/, not {mask}")
        if not self.promise:
            raise Trouble(f"{self.path}: the first line says, as a comment, which promise the case keeps")

    def one(self, key, default=""):
        return self.header.get(key, [default])[-1]

    def words(self, key):
        return [word for value in self.header.get(key, []) for word in value.split()]

    def config(self):
        own = ["\n".join(body) + "\n" for verb, _, body in self.sections if verb == "config"]
        text = "" if self.one("preamble") == "none" else PREAMBLE
        # Configurations of the case come last; listeners before them, as users have them.
        for kind in self.one("listen", "tcp").split():
            text += LISTEN[kind]
        return text + ("".join(own) if own else DEFAULT_CONFIG)

    def steps(self):
        return [section for section in self.sections if section[0] not in ("config", "file")]

    def files(self):
        return [section for section in self.sections if section[0] == "file"]

    def expected_path(self):
        return self.path.with_suffix(".expected")

    def ours_path(self):
        return self.path.with_suffix(".ours")


def unescape(text):
    r"""\n \r \t \0 \\ \xNN and \*N(text) for N times text; all else is UTF-8."""
    def piece(match):
        token = match.group(1)
        if token.startswith("*"):
            return unescape(match.group(3)) * int(match.group(2))
        if token.startswith("x"):
            return bytes([int(token[1:], 16)])
        return {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\"}[token]

    out, at = b"", 0
    for match in re.finditer(r"\\(x[0-9a-fA-F]{2}|[nrt0\\]|\*(\d+)\(([^)]*)\))", text):
        out += text[at:match.start()].encode() + piece(match)
        at = match.end()
    return out + text[at:].encode()


def printable(data):
    r"""Bytes as lines of text, one to one: a line without its LF ends in \c."""
    def line(raw):
        return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else "\\\\" if byte == 92 else f"\\x{byte:02x}" for byte in raw)

    pieces = data.split(b"\n")
    text = [line(piece) for piece in pieces[:-1]]
    if pieces[-1]:
        text.append(line(pieces[-1]) + "\\c")
    return text


# ---------------------------------------------------------------- the stage a case plays on

def wait_until(holds, what, seconds, alive):
    """Polls every few milliseconds: the events of two foreign daemons have no common file descriptor."""
    deadline = time.monotonic() + seconds
    while not holds():
        if not alive():
            raise Trouble(f"the daemon left while waiting for {what}")
        if time.monotonic() > deadline:
            raise Trouble(f"gave up after {seconds:g} s waiting for {what}")
        time.sleep(0.003)


class Sink(threading.Thread):
    """Takes what the daemon forwards, until told to finish: `udp NAME`, `tcp NAME`, `unix NAME`."""

    def __init__(self, kind, name, directory):
        super().__init__(daemon=True)
        self.kind, self.name = kind, name
        self.path = os.path.join(directory, name)
        self.lock = threading.Lock()
        self.data = b""
        self.done = threading.Event()
        if kind == "tcp":
            self.socket = socket.create_server(("127.0.0.1", 0))
        elif kind == "udp":
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 0))
        elif kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(self.path + ".sock")
        else:
            raise Trouble(f"no such sink '{kind}'")
        self.port = self.socket.getsockname()[1] if kind != "unix" else self.path + ".sock"

    def run(self):
        sources = [self.socket]
        while True:
            ready, _, _ = select.select(sources, [], [], 0.01)
            if not ready and self.done.is_set():
                return
            for source in ready:
                if self.kind == "tcp" and source is self.socket:
                    sources.append(source.accept()[0])
                    continue
                data = source.recv(1 << 16)
                if self.kind != "tcp":
                    data += b"\n"
                elif not data:
                    sources.remove(source)
                    source.close()
                with self.lock:
                    self.data += data
                    with open(self.path, "ab") as out:
                        out.write(data)

    def finish(self):
        """Takes what is still under way and closes; more than once does no harm."""
        self.done.set()
        self.join(PATIENCE_SECONDS)
        self.socket.close()


class Pipe(Sink):
    """The reading end of a named pipe that the daemon writes to: `fifo: NAME` makes NAME.pipe and records NAME."""

    def __init__(self, name, directory):
        threading.Thread.__init__(self, daemon=True)
        self.kind, self.name = "fifo", name
        self.path = os.path.join(directory, name)
        self.port = self.path + ".pipe"
        self.done = threading.Event()
        os.mkfifo(self.port)
        self.source = open(os.open(self.port, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)

    def run(self):
        while True:
            ready, _, _ = select.select([self.source], [], [], 0.01)
            if not ready and self.done.is_set():
                return
            if ready:
                with open(self.path, "ab") as out:
                    out.write(self.source.read(1 << 16))

    def finish(self):
        self.done.set()
        self.join(PATIENCE_SECONDS)
        self.source.close()


class Nameless(Exception):
    """Who runs the cases has a number, and no name that a case could put into a configuration."""


def own_names():
    try:
        return {"@USER@": pwd.getpwuid(os.geteuid()).pw_name, "@GROUP@": grp.getgrgid(os.getegid()).gr_name}
    except KeyError as error:
        raise Nameless from error


class Stage:
    def __init__(self, case, patience):
        self.case, self.patience = case, patience
        self.directory = tempfile.mkdtemp(prefix="pd-")
        self.names = {}
        self.sinks = []
        for value in case.header.get("sink", []):
            kind, name = value.split()
            self._adopt(Sink(kind, name, self.directory))
        for name in case.words("fifo"):
            self._adopt(Pipe(name, self.directory))
        for _, arguments, body in case.files():
            self._write_file(arguments[0], arguments[1:], body)
        self.config = os.path.join(self.directory, "main.conf")
        pathlib.Path(self.config).write_bytes(self.fill(case.config()).encode())

    def _adopt(self, sink):
        self.sinks.append(sink)
        self.names[f"@PORT {sink.name}@"] = str(sink.port)
        sink.start()

    def _write_file(self, name, options, body):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            if "raw" in options:
                out.write(b"".join(unescape(self.fill(line)) for line in body))
            else:
                out.write(self.fill("\n".join(body) + "\n").encode())
        if name.endswith((".sh", ".py")):
            os.chmod(path, 0o755)

    def fill(self, text):
        for name in re.findall(r"@FREE \w+@", text):
            self.names.setdefault(name, str(free_port()))
        self.names["@DIR@"] = self.directory
        if re.search("@(USER|GROUP)@", text):
            self.names.update(own_names())
        for name, value in self.names.items():
            text = text.replace(name, value)
        return text

    def path(self, name):
        return os.path.join(self.directory, name)

    def close(self):
        for sink in self.sinks:
            sink.finish()
        shutil.rmtree(self.directory, ignore_errors=True)


# ---------------------------------------------------------------- the daemon under test

class Program:
    """How to run one of the two daemons: its path and what it needs around it."""

    def __init__(self, name, binary, environment=None, arguments=(), through=None):
        self.name, self.binary, self.through = name, binary, through
        self.environment = environment or {}
        self.arguments = list(arguments)


def oracle_program(directory):
    lib = os.path.join(directory, "usr/lib/x86_64-linux-gnu")
    found = glob.glob(os.path.join(directory, "usr/lib/*-linux-gnu/rsyslog"))
    if found:
        lib = os.path.dirname(found[0])
    return Program("oracle", os.path.join(directory, "usr/sbin/rsyslogd"), {"LD_LIBRARY_PATH": lib},
                   ["-M", os.path.join(lib, "rsyslog")])


def difference(one, other):
    lines = [text.decode("utf-8", "replace").splitlines() for text in (one, other)]
    return list(difflib.unified_diff(*lines, lineterm="", n=0))[:20]


class Daemon:
    def __init__(self, program, stage):
        self.program, self.stage = program, stage
        self.process = None
        self.pid_path = stage.path("pid")
        self.error_path = stage.path("stderr")
        self.exit_code = None

    def _spawn(self, arguments):
        case = self.stage.case
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": case.one("tz", "UTC"), "LC_ALL": "C",
                       "PENSTOCK_BUS_SOCKET": "off"}
        environment.update(self.program.environment)
        for value in case.header.get("env", []):
            key, _, content = value.partition("=")
            environment[key] = self.stage.fill(content)
        extra = [self.stage.fill(word) for word in case.words("arguments")]
        with open(self.error_path, "ab") as error, open(self.stage.path("stdout"), "ab") as output:
            self.process = subprocess.Popen([self.program.binary, *arguments, *extra, *self.program.arguments],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=error, env=environment,
                                            cwd=self.stage.directory, start_new_session=True)

    def is_alive(self):
        return self.process.poll() is None

    def _translate(self, config, name):
        """Writes the configuration in the dialect that the run goes through; a translation translates to itself."""
        path = self.stage.path(name + (".yaml" if self.program.through == "yaml" else ".conf"))
        self._spawn(["-N1", "-f", config, "-F", self.program.through, "-o", path])
        self._leave("the translation of the configuration")
        pathlib.Path(self.error_path).unlink(missing_ok=True)
        try:
            return path, pathlib.Path(path).read_bytes()
        except OSError as error:
            raise Trouble(f"the configuration is not translated: {error}")

    def _config(self):
        if not self.program.through:
            return self.stage.config
        path, text = self._translate(self.stage.config, "translated")
        _, again = self._translate(path, "again")
        if text != again:
            raise Trouble("a translation is not translated to itself", difference(text, again))
        return path

    def start(self):
        config = self._config()
        self.exit_code = None
        try:
            self._spawn(["-n", "-f", config, "-i", self.pid_path])
        except OSError as error:
            raise Trouble(f"the daemon does not start: {error}")

        def is_up():
            try:
                return pathlib.Path(self.pid_path).read_text().strip() == str(self.process.pid)
            except OSError:
                return False
        try:
            wait_until(is_up, "the pid file", self.stage.patience, self.is_alive)
        except Trouble as trouble:
            raise Trouble(f"the daemon does not start: {trouble}")

    def check(self, level):
        try:
            self._spawn([level, "-f", self.stage.config, "-i", self.pid_path])
        except OSError as error:
            raise Trouble(f"the daemon does not start: {error}")
        self._leave("the end of the configuration check")

    def _leave(self, what):
        try:
            self.exit_code = self.process.wait(self.stage.patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Trouble(f"the daemon hangs: gave up after {self.stage.patience:g} s waiting for {what}")

    def stop(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
        self._leave("its exit after TERM")
        if self.exit_code != 0:
            raise Trouble(f"the daemon left with exit code {self.exit_code}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def complaints(self):
        try:
            return pathlib.Path(self.error_path).read_bytes()
        except OSError:
            return b""


# ---------------------------------------------------------------- input steps

class Player:
    """Plays the steps of a case to a running daemon; each method returns when the daemon has read its input."""

    def __init__(self, stage, daemon):
        self.stage, self.daemon = stage, daemon

    def play(self, verb, arguments, body):
        getattr(self, verb)(arguments, body)

    def _await(self, holds, what):
        wait_until(holds, what, self.stage.patience, self.daemon.is_alive)

    def _chunks(self, body, options, is_raw):
        lines = [unescape(self.stage.fill(line)) for line in body]
        if is_raw:
            chunks = lines
        elif "octet" in options:
            chunks = [b"%d %s" % (len(line), line) for line in lines]
        elif "nul" in options:
            chunks = [line + b"\0" for line in lines]
        elif "crlf" in options:
            chunks = [line + b"\r\n" for line in lines]
        else:
            chunks = [line + b"\n" for line in lines]
        if "bytewise" in options:
            return [bytes([byte]) for chunk in chunks for byte in chunk]
        # Without a reason to split, one write: what TCP would most likely deliver.
        return chunks if is_raw else [b"".join(chunks)]

    def send(self, arguments, body, is_raw=False):
        kind, *options = arguments
        if kind in ("udp", "unix"):
            return self._datagrams(kind, options, body)
        self._stream(kind, target_of(options, "tcp" if kind == "tcp" else "stream"), self._chunks(body, options, is_raw))

    def raw(self, arguments, body):
        self.send(arguments, body, is_raw=True)

    def _stream(self, kind, target, chunks):
        if kind == "tcp":
            path = self.stage.path(target + ".port")
            self._await(lambda: os.path.exists(path) and os.path.getsize(path), f"{target}.port")
            connection = socket.create_connection(("127.0.0.1", int(pathlib.Path(path).read_text())), self.stage.patience)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif kind == "stream":
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self.stage.patience)
            connection.connect(self.stage.path(target))
        else:
            raise Trouble(f"no such input '{kind}'")
        with connection:
            for chunk in chunks:
                connection.sendall(chunk)
            # The daemon answers our end of file with its own only once it has read everything before it.
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            except socket.timeout:
                raise Trouble(f"the daemon did not close the connection to '{target}' within {self.stage.patience:g} s")

    def _datagrams(self, kind, options, body):
        name = target_of(options, "udp" if kind == "udp" else "log")
        sender = socket.socket(socket.AF_INET if kind == "udp" else socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.settimeout(self.stage.patience)
        port = int(self.stage.names[f"@FREE {name}@"]) if kind == "udp" else 0
        with sender:
            if kind == "udp":
                self._await(lambda: udp_backlog(port) is not None, f"UDP port of '{name}'")
                sender.connect(("127.0.0.1", port))
            else:
                sender.connect(self.stage.path(name))
            for line in body:
                sender.send(unescape(self.stage.fill(line)))
            if kind == "udp":
                self._await(lambda: udp_backlog(port) == 0, "UDP datagrams to be read")
            else:
                self._await(lambda: unread_bytes(sender) == 0, "datagrams to be read")

    def append(self, arguments, body):
        name, *options = arguments
        data = [unescape(self.stage.fill(line)) for line in body]
        os.makedirs(os.path.dirname(self.stage.path(name)), exist_ok=True)
        with open(self.stage.path(name), "ab") as out:
            out.write(b"".join(data) if "raw" in options else b"".join(line + b"\n" for line in data))

    def remove(self, arguments, _):
        os.unlink(self.stage.path(arguments[0]))

    def rename(self, arguments, _):
        os.rename(self.stage.path(arguments[0]), self.stage.path(arguments[1]))

    def signal(self, arguments, _):
        self.daemon.process.send_signal(getattr(signal, "SIG" + arguments[0]))

    def wait(self, arguments, body):
        """`wait NAME N` for N lines, `wait NAME gone`, `wait NAME` with a body: until the file holds each of its lines."""
        name = arguments[0]
        path = self.stage.path(name)

        def content():
            try:
                return pathlib.Path(path).read_bytes()
            except OSError:
                return b""
        if len(arguments) > 1 and arguments[1] == "gone":
            self._await(lambda: not os.path.exists(path), f"{name} to be gone")
        elif len(arguments) > 1:
            lines = int(arguments[1])
            self._await(lambda: content().count(b"\n") >= lines, f"{lines} lines in {name}")
        for line in body:
            self._await(lambda: unescape(line) in content(), f"'{line}' in {name}")

    def probe(self, arguments, body):
        """Sends the body again and again until the file appears: for what happens some time after a signal."""
        path = self.stage.path(arguments[0])

        def appears():
            if os.path.exists(path):
                return True
            self.send(["tcp"], body)
            return False
        self._await(appears, f"{arguments[0]} to appear")

    def run(self, _, body):
        """Runs shell commands on what the daemon left."""
        done = subprocess.run(["/bin/sh", "-c", self.stage.fill("\n".join(body))], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=self.stage.patience, check=False)
        if done.returncode:
            raise Trouble(f"the commands of the case failed: {done.stderr.decode(errors='replace').strip()}")

    def stop(self, _, __):
        self.daemon.stop()

    def restart(self, _, __):
        self.daemon.stop()
        for path in glob.glob(self.stage.path("*.port")):
            os.unlink(path)
        self.daemon.start()


def target_of(options, default):
    return next((option.removeprefix("to=") for option in options if option.startswith("to=")), default)


def udp_backlog(port):
    """Bytes waiting in the receive buffers of a local UDP port, None while nobody has it bound."""
    total = None
    for line in pathlib.Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[1].split(":")[1], 16) == port:
            total = (total or 0) + int(words[4].split(":")[1], 16)
    return total


def unread_bytes(sender):
    return struct.unpack("i", fcntl.ioctl(sender, SIOCOUTQ, struct.pack("i", 0)))[0]


# ---------------------------------------------------------------- what came out

# time(2) lags behind the finer clocks by up to a tick, so that a second can seem to begin twice.
COARSE_CLOCK_SECONDS = 0.01


class Clock:
    """Masks the present: any usual rendering of a second between start and end of the case becomes a word."""

    def __init__(self):
        self.start = time.time()

    def mask(self, text):
        seconds = range(int(self.start - COARSE_CLOCK_SECONDS), int(time.time()) + 1)
        for when in seconds:
            utc = time.gmtime(when)
            text = re.sub(time.strftime("%Y-%m-%dT%H:%M:%S", utc) + r"(\.\d{1,6})?(?=Z|\+00:00)", "NOW3339", text)
            text = text.replace(time.strftime("%b ", utc) + "%2d " % utc.tm_mday + time.strftime("%H:%M:%S", utc), "NOW3164")
            text = text.replace(time.strftime("%b ", utc) + "%02d " % utc.tm_mday + time.strftime("%H:%M:%S", utc), "NOW3164")
            text = text.replace(time.strftime("%Y%m%d%H%M%S", utc), "NOWMYSQL")
            text = text.replace(time.strftime("%Y-%m-%d %H:%M:%S", utc), "NOWPGSQL")
            text = re.sub(rf"\b{when}\b", "NOWUNIX", text)
        return text


def collect(case, stage, daemon, clock):
    """Everything the case promises, as the lines of an .expected file."""
    lines = []
    if case.one("check"):
        lines.append(f"--- exit {daemon.exit_code}")
        complaints = daemon.complaints().decode(errors="replace").lower()
        lines += [f"--- named {name}" for name in case.header.get("named", []) if stage.fill(name).lower() in complaints]
        return lines
    for pattern in case.words("compare") or ["out"]:
        paths = sorted(glob.glob(stage.path(pattern), recursive=True)) if glob.has_magic(pattern) else [stage.path(pattern)]
        if not paths:
            lines.append(f"--- {pattern} absent")
        for path in paths:
            name = os.path.relpath(path, stage.directory)
            if not os.path.exists(path):
                lines.append(f"--- {name} absent")
                continue
            # Opening a named pipe that nobody writes to any more would never end.
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as source:
                data = source.read(OUTPUT_BYTES_MAX)
            text = printable(data)
            lines.append(f"--- {name}")
            lines += sorted(text) if name in case.words("sorted") else text
    for name in case.words("modes"):
        lines.append(f"--- mode {name} {stat.S_IMODE(os.stat(stage.path(name)).st_mode):04o}")
    text = "\n".join(lines)
    for value, mark in stage.names.items():
        if mark and value not in ("@USER@", "@GROUP@"):
            text = text.replace(mark, value)
    if case.one("unmasked") != "now":
        text = clock.mask(text)
    text = re.sub(rf"\b{daemon.process.pid}\b", "PID", text) if "pid" in case.words("mask") else text
    for mask in case.header.get("mask", []):
        if mask.startswith("/"):
            pattern, replacement = re.fullmatch(MASK, mask).groups()
            text = re.sub(pattern, replacement, text, flags=re.M)
    return text.split("\n")


def perform(case, program, patience):
    """Runs one case with one daemon. Returns (lines, complaints); raises Trouble with the complaints attached."""
    stage = Stage(case, patience)
    daemon = Daemon(program, stage)
    clock = Clock()
    try:
        if case.one("check"):
            daemon.check(case.one("check"))
        else:
            daemon.start()
            player = Player(stage, daemon)
            for verb, arguments, body in case.steps():
                player.play(verb, arguments, body)
            if daemon.exit_code is None:
                daemon.stop()
            for sink in stage.sinks:
                sink.finish()
        return collect(case, stage, daemon, clock), printable(daemon.complaints())
    except (Trouble, OSError) as error:
        raise Trouble(str(error) or repr(error), printable(daemon.complaints())) from error
    finally:
        daemon.kill()
        stage.close()


# ---------------------------------------------------------------- verdicts

class Verdict:
    def __init__(self, case, is_ok, lines=(), skip=""):
        self.case, self.is_ok, self.lines, self.skip = case, is_ok, list(lines), skip

    def tap(self, number):
        text = f"{'ok' if self.is_ok else 'not ok'} {number} - {self.case.name}"
        if self.skip:
            text += f" # SKIP {self.skip}"
        return "\n".join([text] + [f"# {line}" for line in self.lines])


def read_lines(path):
    return path.read_text(encoding="ascii").removesuffix("\n").split("\n") if path.exists() else None


def differences(expected, actual, who):
    diff = list(difflib.unified_diff(expected, actual, "expected", who, lineterm="", n=1))
    if len(diff) > DIFF_LINES_MAX:
        diff = diff[:DIFF_LINES_MAX] + [f"... and {len(diff) - DIFF_LINES_MAX} lines more"]
    return diff


def judge_program(case, program, expected, patience):
    """The complaint lines for one daemon against one expectation; none if they agree."""
    try:
        actual, complaints = perform(case, program, patience)
    except Trouble as trouble:
        return [f"{program.name}: {trouble}"] + [f"stderr: {line}" for line in trouble.complaints[:10]]
    # Who names more of what is wrong than rsyslogd did is welcome to.
    actual = [line for line in actual if line in expected or not line.startswith("--- named ")]
    if actual == expected:
        return []
    return differences(expected, actual, program.name) + [f"stderr: {line}" for line in complaints[:10]]


def record(case, oracle, patience):
    try:
        actual, complaints = perform(case, oracle, patience)
    except Trouble as trouble:
        return Verdict(case, False, [f"oracle: {trouble}"] + [f"stderr: {line}" for line in trouble.complaints[:10]])
    remarks = [f"stderr: {line}" for line in complaints if not case.one("check")]
    if not case.one("check") and all(line.startswith("---") for line in actual):
        remarks.append("REMARK: the recording is empty")
    case.expected_path().write_text("\n".join(actual) + "\n", encoding="ascii")
    return Verdict(case, True, remarks)


def judge(case, options, daemon, oracle):
    if case.one("needs") == "root" and os.geteuid() != 0:
        return Verdict(case, True, skip="needs root")
    if options.record:
        return record(case, oracle, options.patience)
    expected = read_lines(case.expected_path())
    if expected is None:
        return Verdict(case, False, ["no recording; run with --record"])
    lines = []
    if options.against in ("oracle", "both"):
        lines += judge_program(case, oracle, expected, options.patience)
    if options.against in ("golden", "both"):
        why = case.one("differs")
        later = case.one("later")
        if later and daemon.name != "oracle":
            return Verdict(case, not lines, lines, skip=f"later: {later}")
        ours = read_lines(case.ours_path()) if why and daemon.name != "oracle" else expected
        if ours is None:
            return Verdict(case, not lines, lines, skip=f"differs: {why}")
        lines += judge_program(case, daemon, ours, options.patience)
    return Verdict(case, not lines, lines)


def judge_safely(case, *others):
    """A mistake of the runner itself costs its case, not the run."""
    try:
        return judge(case, *others)
    except Nameless:
        return Verdict(case, True, skip="needs a user and a group that have names")
    except Exception as error:  # pylint: disable=broad-except
        return Verdict(case, False, [f"the runner failed: {error!r}"])


def find_cases(root, pattern):
    cases = []
    for path in sorted(root.glob("**/*.case")):
        name = str(path.relative_to(root).with_suffix(""))
        if not pattern or fnmatch.fnmatch(name, pattern) or pattern in name:
            cases.append(Case(path, name))
    return cases


def main():
    parser = argparse.ArgumentParser(description="Compares penstockd with Debian's rsyslogd, case by case.")
    parser.add_argument("--daemon", help="the penstockd to test")
    parser.add_argument("--oracle", default=os.environ.get("PENSTOCK_ORACLE", str(HERE.parents[1] / "build/oracle")),
                        help="where tests/oracle/fetch unpacked rsyslogd")
    parser.add_argument("--record", action="store_true", help="write what the oracle does into the tree")
    parser.add_argument("--only", help="a part of the name, or a glob")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--against", choices=("golden", "oracle", "both"), default="golden",
                        help="golden: the daemon with the recordings; oracle: the recordings with the oracle; both: both")
    parser.add_argument("--through", choices=("yaml", "rainerscript"),
                        help="let penstockd translate each configuration first, and run what comes out")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS", help="bound of every wait")
    parser.add_argument("--cases", default=str(HERE / "cases"), help="where the cases lie")
    options = parser.parse_args()

    oracle = oracle_program(os.path.abspath(options.oracle))
    daemon = Program("penstockd", os.path.abspath(options.daemon), through=options.through) if options.daemon else None
    if daemon and os.path.realpath(daemon.binary) == os.path.realpath(oracle.binary):
        daemon = oracle
    if not options.record and options.against != "oracle" and not daemon:
        parser.error("--daemon says which penstockd to test")
    if (options.record or options.against != "golden") and not os.path.exists(oracle.binary):
        print("1..0 # SKIP no oracle; tests/oracle/fetch gets one")
        return 0
    try:
        cases = find_cases(pathlib.Path(options.cases), options.only)
    except Trouble as trouble:
        print(f"Bail out! {trouble}")
        return 2

    print(f"1..{len(cases)}", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        verdicts = pool.map(lambda case: judge_safely(case, options, daemon, oracle), cases)
        for number, verdict in enumerate(verdicts, 1):
            print(verdict.tap(number), flush=True)
            failed += not verdict.is_ok
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
