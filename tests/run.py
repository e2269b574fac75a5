#!/usr/bin/env python3
"""Builds Penstock in every way that is tested and runs every test.

Each test is a program that speaks TAP. Every promise in it is counted; the last
line is `N passed, M failed, K skipped`. A test that dies, hangs or breaks its plan
is a failure, and so is a build.

    plain   gcc: unit tests, behaviour, works (the house itself)
    asan    clang, address and undefined behaviour: unit tests, fuzz targets, the
            sanitized suite (the daemon under the differential cases)
    tsan    gcc, thread sanitizer: what runs in several threads

All treat warnings as errors, so both compilers see every file.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEST_SECONDS = 480  # several times what the longest takes where others keep the machine busy
LONG_SECONDS = 3600
# addr2line comes with the compiler; the other one shows columns, too.
SYMBOLIZER = shutil.which("llvm-symbolizer") or shutil.which("addr2line") or ""


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.skips = []

    def fail(self, what, detail=""):
        self.failed += 1
        self.failures.append((what, detail))


Job = collections.namedtuple("Job", "name command env cwd seconds is_parallel run")


def shell(command, cwd=ROOT, env=None):
    return subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")


def build(directory, options, env, totals, name):
    """Configures (once) and compiles; a failure is reported like a test's."""
    environment = dict(os.environ, **env)
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        done = shell(["meson", "setup", directory, *options], env=environment)
        if done.returncode:
            totals.fail(f"build {name}: meson", done.stdout[-4000:])
            return False
    began = time.monotonic()
    done = shell(["ninja", "-C", directory, f"-j{os.cpu_count() or 2}"], env=environment)
    if done.returncode:
        totals.fail(f"build {name}", done.stdout[-4000:])
        return False
    totals.passed += 1
    print(f"ok: build {name} ({time.monotonic() - began:.0f} s)", flush=True)
    return True


def tests_of(directory):
    done = subprocess.run(["meson", "introspect", "--tests", directory], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def kill_session(leader):
    """Ends whatever a test left behind: all processes of the session it was started in."""
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.getsid(int(entry)) == leader:
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            pass  # It ended meanwhile, or is not ours.


def execute(command, env, cwd, seconds):
    """Runs a program in a session of its own; returns (output, exit status or None when it had to be ended).

    Output goes to a file: a process that the program left behind cannot hold the runner by an open pipe.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = None
        kill_session(process.pid)
        process.wait()
        output.seek(0)
        return output.read(), status


def run_plain(name, command, env, cwd, seconds):
    """Runs a program whose exit status is its one promise."""
    began = time.monotonic()
    output, status = execute(command, env, cwd, seconds)
    why = f"still running after {seconds} s" if status is None else f"exit {status}"
    failures = [(f"{name}: {why}", "\n".join(output.splitlines()[-60:]))] if status != 0 else []
    return name, int(status == 0), failures, [], time.monotonic() - began


def read_tap(name, output):
    """(planned, seen, passed, failures, skips); planned is None without a plan.

    What explains a failure stands before its line or, where nothing does, behind it.
    """
    passed, failures, skips, planned, seen, notes = 0, [], [], None, 0, []
    is_claimed = False  # the notes belong to the failure before them
    for line in output.splitlines():
        plan = re.match(r"1\.\.(\d+)(\s*#\s*SKIP\s*(.*))?", line, re.I)
        result = re.match(r"(not )?ok\b\s*\d*\s*-?\s*(.*)", line)
        if plan:
            planned = int(plan.group(1))
            if plan.group(2) and planned == 0:
                skips.append(f"{name}: {plan.group(3)}")
        elif result:
            seen += 1
            text = result.group(2)
            is_skip = re.search(r"#\s*SKIP\b:?\s*(.*)", text, re.I)
            before, notes = ([] if is_claimed else notes), []
            is_claimed = bool(result.group(1)) and not before
            if result.group(1):
                failures.append((f"{name}: {text}", before or notes))
            elif is_skip:
                skips.append(f"{name}: {text}")
            else:
                passed += 1
        else:
            notes.append(line)
    return planned, seen, passed, [(what, "\n".join(lines[-60:])) for what, lines in failures], skips


def run_tap(name, command, env, cwd, seconds):
    """Runs one TAP program; returns (name, passed, [(failure, detail)], [skip], seconds)."""
    began = time.monotonic()
    output, status = execute(command, env, cwd, seconds)
    planned, seen, passed, failures, skips = read_tap(name, output)
    tail = "\n".join(output.splitlines()[-60:])
    if status is None:
        failures.append((f"{name}: still running after {seconds} s", tail))
    elif planned is None:
        failures.append((f"{name}: no plan (exit {status})", tail))
    elif planned != seen:
        failures.append((f"{name}: {seen} of {planned} promises (exit {status})", tail))
    elif status and not failures:
        failures.append((f"{name}: exit {status}", tail))
    return name, passed, failures, skips, time.monotonic() - began


def collect(directory, label, suites, seconds):
    """The tests of a build that belong to the given suites, as run_tap() takes them."""
    for test in tests_of(directory):
        if not any(s.split(":")[-1] in suites for s in test["suite"]):
            continue
        env = dict(os.environ, **test["env"])
        env.setdefault("UBSAN_OPTIONS", f"halt_on_error=1:print_stacktrace=1:external_symbolizer_path={SYMBOLIZER}")
        env.setdefault("ASAN_OPTIONS", f"detect_leaks=1:abort_on_error=0:external_symbolizer_path={SYMBOLIZER}")
        env.setdefault("TSAN_OPTIONS", f"halt_on_error=0:exitcode=66:external_symbolizer_path={SYMBOLIZER}")
        run = run_tap if test["protocol"] == "tap" else run_plain
        yield Job(f"{label} {test['name']}", test["cmd"], env, test.get("workdir") or directory, seconds,
                  test["is_parallel"], run)


def run_all(jobs, width, totals):
    parallel = [j for j in jobs if j.is_parallel]
    alone = [j for j in jobs if not j.is_parallel]

    def take(result):
        name, passed, failures, skips, seconds = result
        totals.passed += passed
        totals.skipped += len(skips)
        totals.skips += skips
        for what, detail in failures:
            totals.fail(what, detail)
        state = "FAILED" if failures else "ok"
        print(f"{state}: {name} ({passed} passed, {len(failures)} failed, {len(skips)} skipped, {seconds:.1f} s)",
              flush=True)

    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        for done in concurrent.futures.as_completed([pool.submit(j.run, *j[:5]) for j in parallel]):
            take(done.result())
    for job in alone:
        take(job.run(*job[:5]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--long", action="store_true", help="the slow campaigns, too")
    parser.add_argument("--only", help="only tests whose name matches this expression")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    arguments = parser.parse_args()
    plain = os.path.join(ROOT, arguments.build)
    totals = Totals()
    began = time.monotonic()
    jobs = []
    seconds = LONG_SECONDS if arguments.long else TEST_SECONDS
    suites = ["unit", "behaviour", "works"] + (["long"] if arguments.long else [])
    if build(plain, [], {}, totals, "gcc"):
        jobs += collect(plain, "plain", suites, seconds)
    sanitized = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfuzz=true", "-Dwerror=true"]
    if build(plain + "-asan", sanitized, {"CC": "clang"}, totals, "clang, address and undefined sanitizers, fuzz targets"):
        jobs += collect(plain + "-asan", "asan", ["unit", "fuzz", "sanitized"] + (["fuzz-long"] if arguments.long else []), seconds)
    if build(plain + "-tsan", ["-Db_sanitize=thread", "-Db_lundef=false"], {}, totals, "gcc, thread sanitizer"):
        jobs += collect(plain + "-tsan", "tsan", ["threads"], seconds)
    if arguments.only:
        jobs = [j for j in jobs if re.search(arguments.only, j[0])]
    run_all(jobs, arguments.jobs, totals)
    for what, detail in totals.failures:
        print(f"\nFAILED: {what}\n{detail}")
    for skip in totals.skips:
        print(f"skipped: {skip}")
    print(f"took {time.monotonic() - began:.0f} s")
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped", flush=True)
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
