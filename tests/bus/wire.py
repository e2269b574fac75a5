"""Raw frames of the bus, for tests: nothing of the product is used."""
import array
import atexit
import fcntl
import json
import os
import resource
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import time

WAIT = 30.0  # seconds that anything may take


def pack(header, body=b"", version=1, attachments=()):
    """A frame; header is a dict, text or bytes; attachments are bytes, or int for a descriptor (not sent here)."""
    header = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    if version == 1:
        return struct.pack(">IH", 2 + len(header) + len(body), len(header)) + header + body
    frame = struct.pack(">IHH", 4 + len(header) + len(body), len(header), len(attachments)) + header + body
    for one in attachments:
        frame += struct.pack(">BBHI", 2, 0, 0, 0) if isinstance(one, int) else struct.pack(">BBHI", 1, 0, 0, len(one)) + one
    return frame


class Message:
    def __init__(self, raw_header, body, attachments):
        self.raw_header, self.body, self.attachments = raw_header, body, attachments
        self.header = json.loads(raw_header.decode(), strict=False)

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.raw_header!r} {self.body[:200]!r} {len(self.attachments)} attachments>"


class Closed(Exception):
    pass


class Client:
    def __init__(self, path, version=1, hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.socket.settimeout(WAIT)
        self.version, self.data, self.fds, self.seq = 1, b"", [], 0
        self.lname = self.limits = None
        if hello:
            self.hello(version)

    def hello(self, version):
        self.put({"type": "getlname", "protocol": 2} if version == 2 else {"type": "getlname"})
        answer = self.get()
        self.lname = answer.json["lname"]
        if version == 2:
            assert answer.header["protocol"] == 2, answer
            self.limits = answer.header["limits"]
            self.version = 2

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    # ---- sending

    def raw(self, data, fds=()):
        if fds:
            sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            data = data[sent:]
        if data:
            self.socket.sendall(data)

    def await_taken(self):
        """The broker has read all that was sent."""
        end, left = time.monotonic() + WAIT, array.array("i", [1])
        while left[0]:
            assert time.monotonic() < end, "the broker does not read"
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, left)
            time.sleep(0.0005)

    def put(self, header, body=b"", attachments=(), fds=()):
        self.raw(pack(header, body, self.version, attachments), fds)

    def subscribe(self, group, instance="*"):
        self.put({"type": "subscribe", "group": group, "instance": instance})
        self.sync()
        return self

    def unsubscribe(self, group, instance="*"):
        self.put({"type": "unsubscribe", "group": group, "instance": instance})
        self.sync()

    def send(self, body=b"", group=None, to="*", instance="*", attachments=(), fds=(), **more):
        self.seq += 1
        header = {"type": "send", "from": self.lname, "to": to, "instance": instance, "seq": self.seq}
        if group is not None:
            header["group"] = group
        header.update(more)
        header = {k: v for k, v in header.items() if v is not ...}
        self.put(header, body, attachments, fds)
        return self.seq

    def reply(self, request, body, **more):
        more.setdefault("reply", request.header["seq"])
        return self.send(body, group=request.header.get("group"), to=request.header["from"], **more)

    def command(self, name, arguments=None):
        seq = self.send({"command": [name] if arguments is None else [name, arguments]}, "Msgq", want_answer=True)
        while True:
            answer = self.get()
            if answer.header.get("reply") == seq:
                return answer.json["result"]

    # ---- receiving

    def more(self, seconds):
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(253 * 4))
        except (TimeoutError, socket.timeout):
            return False
        except ConnectionResetError:
            raise Closed from None
        finally:
            self.socket.settimeout(WAIT)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(content[:len(content) - len(content) % 4])
                self.fds += list(fds)
        if not data:
            raise Closed
        self.data += data
        return True

    def take(self):
        """The next whole message of what has come, or None."""
        prefix = 6 if self.version == 1 else 8
        if len(self.data) < prefix:
            return None
        length, header_size = struct.unpack(">IH", self.data[:6])
        count = struct.unpack(">H", self.data[6:8])[0] if self.version == 2 else 0
        end = 4 + length
        if len(self.data) < end:
            return None
        header = self.data[prefix:prefix + header_size]
        body = self.data[prefix + header_size:end]
        attachments, kinds = [], []
        for _ in range(count):
            if len(self.data) < end + 8:
                return None
            kind, zero, zeros, size = struct.unpack(">BBHI", self.data[end:end + 8])
            assert kind in (1, 2) and zero == 0 and zeros == 0 and (kind == 1 or size == 0)
            if len(self.data) < end + 8 + size:
                return None
            kinds.append((kind, self.data[end + 8:end + 8 + size]))
            end += 8 + size
        for kind, content in kinds:
            attachments.append(content if kind == 1 else self.fds.pop(0))
        message = Message(header, body, attachments)
        message.frame, self.data = self.data[:end], self.data[end:]
        return message

    def get(self, seconds=WAIT):
        end = time.monotonic() + seconds
        while True:
            message = self.take()
            if message:
                return message
            left = end - time.monotonic()
            if left <= 0 or not self.more(left):
                raise AssertionError(f"no message within {seconds} s")

    def sync(self):
        """All that this client sent has been served when it returns: what comes meanwhile stays unread."""
        mark = os.urandom(8).hex().encode()
        self.put({"type": "ping"}, mark)
        kept, kept_fds = b"", []
        while True:
            message = self.get()
            if message.header == {"type": "pong"} and message.body == mark:
                break
            kept += message.frame
            kept_fds += [one for one in message.attachments if isinstance(one, int)]
        self.data = kept + self.data
        self.fds = kept_fds + self.fds

    def nothing(self):
        """Nothing has come, and nothing is under way from the broker."""
        self.sync()
        message = self.take()
        assert message is None, f"unexpected {message}"

    def is_closed(self, seconds=WAIT):
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.more(end - time.monotonic())
        except Closed:
            return True
        return False


def temporary_directory():
    """It is there until this process ends, so that a test can look into it after its broker has gone."""
    path, owner = tempfile.mkdtemp(prefix="bus."), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(path, ignore_errors=True))
    return path


class Broker:
    """A broker of its own; options become its configuration file."""

    def __init__(self, program, environment=None, arguments=None, **options):
        self.directory = temporary_directory()
        self.path = os.path.join(self.directory, "socket")
        self.log_path = os.path.join(self.directory, "log")
        command = [program]
        if arguments is None:
            command += ["-s", self.path]
        else:
            command += arguments
        if options:
            config = os.path.join(self.directory, "config")
            with open(config, "w", encoding="utf-8") as file:
                json.dump(options, file)
            command += ["-c", config]
        self.log = open(self.log_path, "w+", encoding="utf-8")
        env = dict(os.environ, **(environment or {}))
        # Memory that a sanitizer keeps from being used again would look like the broker's.
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "detect_leaks=1") + ":quarantine_size_mb=4"
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.log, env=env)

    def ready(self):
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                Client(self.path, hello=False).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.005)
        # Nobody else ends it: its `with` has not begun.
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the broker does not start: {self.said()}")

    def __enter__(self):
        return self.ready()

    def __exit__(self, *_):
        self.stop()

    def connect(self, version=1):
        return Client(self.path, version)

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def await_said(self, words, seconds=WAIT):
        end = time.monotonic() + seconds
        while words not in self.said():
            assert time.monotonic() < end, f"the log does not say {words!r}:\n{self.said()}"
            time.sleep(0.01)

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0

    def await_fds(self, wanted):
        end = time.monotonic() + WAIT
        while self.fds() != wanted:
            if time.monotonic() > end:
                raise AssertionError(f"the broker has {self.fds()} descriptors, not {wanted}")
            time.sleep(0.005)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the broker does not end at TERM") from None
        self.log.close()
        said = self.said()
        assert "Sanitizer" not in said and "runtime error" not in said, said
        return self.process.returncode


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def readable(sockets, seconds):
    return select.select(sockets, [], [], seconds)[0]
