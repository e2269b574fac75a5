#!/usr/bin/env python3
"""The differential runner's own test: it passes what is equal and fails what is not, and nothing makes it hang.

Stand-ins play the daemon: each is this file, started with the name of its vice in the environment.
Output is TAP.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_SECONDS = 30
SHORT_PATIENCE_SECONDS = 4  # where the stand-in hangs: enough for all that it does before
BOUND_SECONDS = 90

CASE = """# Lines sent over TCP arrive in the file.
--- config
action(type="omfile" file="@DIR@/out")
--- send tcp
one
two
"""


# ---------------------------------------------------------------- the stand-in

def stand_in(vice):
    """Takes rsyslogd's command line, listens, writes what it reads to the file out; spoils one thing on purpose."""
    if vice == "refuses to start":
        print("stand-in: I will not", file=sys.stderr)
        return 1
    config = sys.argv[sys.argv.index("-f") + 1]
    directory = pathlib.Path(config).parent
    if "-N1" in sys.argv:
        print("stand-in: parameter 'x' is unknown", file=sys.stderr)
        return 0 if vice == "approves of everything" else 1
    if vice == "never says it is up":
        time.sleep(BOUND_SECONDS * 10)

    def leave(*_):
        if vice == "ignores TERM":
            return
        os._exit(3 if vice == "leaves with an error" else 0)
    signal.signal(signal.SIGTERM, leave)

    listener = socket.create_server(("127.0.0.1", 0))
    (directory / "tcp.port").write_text(str(listener.getsockname()[1]))
    pathlib.Path(sys.argv[sys.argv.index("-i") + 1]).write_text(str(os.getpid()))
    while True:
        connection, _ = listener.accept()
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
        if vice == "alters a byte":
            data = data.replace(b"w", b"W", 1)
        if vice == "loses a line":
            data = data.split(b"\n", 1)[1]
        if vice == "adds a line":
            data += b"three\n"
        if vice == "drops the last line feed":
            data = data[:-1]
        if vice == "dies of its input":
            os._exit(9)
        if vice != "writes nothing":
            (directory / "out").write_bytes(data)
        if vice != "never closes":
            connection.close()


# ---------------------------------------------------------------- the promises

class Bench:
    """A tree with one case, recorded with an honest stand-in, to be judged with a spoilt one."""

    def __init__(self, directory, case=CASE):
        self.cases = pathlib.Path(directory) / "cases"
        (self.cases / "group").mkdir(parents=True)
        self.case = self.cases / "group" / "lines.case"
        self.case.write_text(case)
        self.daemon = pathlib.Path(directory) / "usr/sbin/rsyslogd"
        self.daemon.parent.mkdir(parents=True)
        self.directory = directory
        self.become("")

    def become(self, vice):
        self.daemon.write_text(f"#!/bin/sh\nSTAND_IN='{vice}' exec '{sys.executable}' '{__file__}' \"$@\"\n")
        self.daemon.chmod(0o755)

    def run(self, *arguments, patience=PATIENCE_SECONDS):
        command = [sys.executable, str(HERE / "run.py"), "--cases", str(self.cases), "--oracle", self.directory,
                   "--patience", str(patience), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False)

    def record(self):
        done = self.run("--record")
        assert done.returncode == 0, done.stdout + done.stderr

    def judge(self, vice, *arguments, **options):
        self.become(vice)
        # Named by another path, so that the runner does not take the daemon for the oracle.
        other = pathlib.Path(self.directory) / "penstockd"
        other.write_text(self.daemon.read_text())
        other.chmod(0o755)
        return self.run("--daemon", str(other), *arguments, **options)


def fails(bench, vice, expected, **options):
    bench.record()
    done = bench.judge(vice, **options)
    assert done.returncode == 1, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    assert "not ok 1 - group/lines" in done.stdout, done.stdout
    assert re.search(expected, done.stdout), f"no '{expected}' in {done.stdout}"


def is_given_up(bench, vice, expected):
    fails(bench, vice, expected, patience=SHORT_PATIENCE_SECONDS)


def an_honest_daemon_passes(bench):
    bench.record()
    done = bench.judge("")
    assert done.returncode == 0 and "ok 1 - group/lines" in done.stdout, done.stdout + done.stderr
    assert "not ok" not in done.stdout


def an_altered_byte_fails(bench):
    fails(bench, "alters a byte", r"# -two\n# \+tWo")


def a_lost_line_fails(bench):
    fails(bench, "loses a line", "# -one")


def an_added_line_fails(bench):
    fails(bench, "adds a line", r"# \+three")


def a_lost_line_feed_at_the_end_fails(bench):
    fails(bench, "drops the last line feed", r"# \+two\\c")


def a_missing_output_fails(bench):
    fails(bench, "writes nothing", r"# \+--- out absent")


def a_daemon_that_does_not_start_fails(bench):
    fails(bench, "refuses to start", "does not start(.|\n)*stand-in: I will not")


def a_daemon_that_is_not_there_fails(bench):
    bench.record()
    done = bench.run("--daemon", "/nonexistent/penstockd")
    assert done.returncode == 1 and "not ok 1" in done.stdout and "does not start" in done.stdout, done.stdout + done.stderr


def a_daemon_that_never_comes_up_is_given_up(bench):
    is_given_up(bench, "never says it is up", "does not start: gave up after")


def a_daemon_that_never_closes_is_given_up(bench):
    is_given_up(bench, "never closes", "did not close the connection")


def a_daemon_that_ignores_term_is_given_up_and_gone(bench):
    is_given_up(bench, "ignores TERM", "hangs: gave up after")
    left = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if is_stand_in(path, bench.directory)]
    assert not left, f"still there: {left}"


def is_stand_in(path, directory):
    try:
        return str(directory).encode() in path.read_bytes() and b"-i" in path.read_bytes().split(b"\0")
    except OSError:
        return False


def a_daemon_that_dies_fails(bench):
    fails(bench, "dies of its input", "left with exit code 9")


def a_daemon_that_leaves_with_an_error_fails(bench):
    fails(bench, "leaves with an error", "left with exit code 3")


def a_case_without_recording_fails(bench):
    done = bench.judge("")
    assert done.returncode == 1 and "no recording" in done.stdout, done.stdout


def an_outdated_recording_fails(bench):
    bench.record()
    recording = bench.case.with_suffix(".expected")
    recording.write_text(recording.read_text().replace("two", "2"))
    done = bench.judge("", "--against", "oracle")
    assert done.returncode == 1 and "# -2" in done.stdout, done.stdout


def a_check_that_should_fail_and_passes_fails(bench):
    bench.case.write_text("# A mistake is told.\ncheck: -N1\nnamed: 'x'\n--- config\nx\n")
    fails(bench, "approves of everything", r"# -?--- exit 1(.|\n)*\+--- exit 0")


def a_difference_on_purpose_is_skipped_or_held_to_its_own_file(bench):
    bench.case.write_text(CASE.replace("\n", "\ndiffers: we shout\n", 1))
    bench.record()
    done = bench.judge("alters a byte")
    assert done.returncode == 0 and "# SKIP differs: we shout" in done.stdout, done.stdout
    bench.case.with_suffix(".ours").write_text("--- out\none\ntWo\n")
    done = bench.judge("alters a byte")
    assert done.returncode == 0 and "SKIP" not in done.stdout, done.stdout
    done = bench.judge("")
    assert done.returncode == 1 and "not ok 1" in done.stdout, done.stdout


def a_case_for_later_is_skipped_and_still_held_to_the_oracle(bench):
    bench.case.write_text(CASE.replace("\n", "\nlater: it needs a module to come\n", 1))
    bench.record()
    done = bench.judge("alters a byte")
    assert done.returncode == 0 and "# SKIP later: it needs a module to come" in done.stdout, done.stdout
    recording = bench.case.with_suffix(".expected")
    recording.write_text(recording.read_text().replace("two", "2"))
    done = bench.judge("", "--against", "both")
    assert done.returncode == 1 and "not ok 1" in done.stdout, done.stdout


def a_case_with_a_mistake_is_refused(bench):
    bench.case.write_text(CASE.replace("--- send", "--- sned"))
    done = bench.judge("")
    assert done.returncode != 0 and "sned" in done.stdout, done.stdout


def every_byte_survives_recording(_):
    sys.path.insert(0, str(HERE))
    import run
    lines = run.printable(bytes(range(256)) + b"\\x41\n\nend")
    assert len(set(lines)) == len(lines) and lines[-1] == "end\\c", lines
    for other in (b"a\n", b"a", b"a\n\n", b"\\n", b"\\c", b"a\\c", b"\xff", b"\\xff", b""):
        for another in (b"a\n", b"a", b"a\n\n", b"\\n", b"\\c", b"a\\c", b"\xff", b"\\xff", b""):
            assert (run.printable(other) == run.printable(another)) == (other == another), (other, another)
    assert run.unescape(r"a\n\x00\\n\*3(x\t)é") == b"a\n\0\\nx\tx\tx\t" + "é".encode()


def the_present_is_masked_and_nothing_else(_):
    import run
    clock = run.Clock()
    assert clock.mask(time.strftime("%b ", time.gmtime()) + time.strftime("%e %H:%M:%S", time.gmtime())) == "NOW3164"
    assert clock.mask(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".123456+00:00") == "NOW3339+00:00"
    assert clock.mask("Oct 11 22:14:15 2003-08-24T05:14:15Z") == "Oct 11 22:14:15 2003-08-24T05:14:15Z"


PROMISES = [promise for name, promise in list(globals().items())
            if callable(promise) and getattr(promise, "__module__", "") == "__main__" and name.split("_")[0] in ("a", "an", "every", "the")]


def main():
    failed = 0
    print(f"1..{len(PROMISES)}")
    for number, promise in enumerate(PROMISES, 1):
        name = promise.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory(prefix="pds-") as directory:
            try:
                promise(Bench(directory))
                print(f"ok {number} - {name}", flush=True)
            except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
                failed += 1
                print(f"not ok {number} - {name}")
                print("\n".join(f"# {line}" for line in str(error).splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if "STAND_IN" in os.environ:
        sys.exit(stand_in(os.environ["STAND_IN"]))
    sys.exit(main())
