#!/usr/bin/env python3
"""Promise: each gate says no when it should. Every one is shown what it must refuse.

What layers.py, format.py, modules.py (reference pages), docs.py and the differential runner refuse is shown in
themselves and in selftest.py; here are the runner of all tests and the runner of fuzz targets.
"""
import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_SECONDS = 60
PROMISES = []


def promise(function):
    PROMISES.append(function)
    return function


def load_runner():
    spec = importlib.util.spec_from_file_location("runner", os.path.join(ROOT, "tests", "run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUNNER = load_runner()


def tap(script, seconds=PATIENCE_SECONDS):
    """What the runner makes of a program: (passed, failures, skips)."""
    _, passed, failures, skips, _ = RUNNER.run_tap("it", ["sh", "-c", script], dict(os.environ), ROOT, seconds)
    return passed, failures, skips


@promise
def promises_and_skips_are_counted():
    passed, failures, skips = tap("echo 1..3; echo ok 1 - a; echo 'ok 2 - b # SKIP no b here'; echo ok 3 - c")
    assert (passed, failures, skips) == (2, [], ["it: b # SKIP no b here"])
    passed, failures, skips = tap("echo '1..0 # SKIP nothing of the kind here'")
    assert (passed, failures, skips) == (0, [], ["it: nothing of the kind here"])


@promise
def a_broken_promise_is_a_failure_with_what_was_said_before_it():
    passed, failures, _ = tap("echo 1..2; echo ok 1 - a; echo '# two is not three'; echo not ok 2 - b; exit 1")
    assert passed == 1 and failures == [("it: b", "# two is not three")], failures
    _, failures, _ = tap("echo 1..3; echo not ok 1 - a; echo '# because'; echo '# of this'; echo not ok 2 - b; echo ok 3 - c")
    assert failures == [("it: a", "# because\n# of this"), ("it: b", "")], failures


@promise
def a_program_that_dies_is_a_failure():
    _, failures, _ = tap("echo 1..2; echo ok 1 - a; kill -SEGV $$")
    assert len(failures) == 1 and "1 of 2 promises (exit -11)" in failures[0][0], failures


@promise
def a_program_that_ends_badly_after_its_promises_is_a_failure():
    _, failures, _ = tap("echo 1..1; echo ok 1 - a; exit 3")
    assert len(failures) == 1 and "exit 3" in failures[0][0], failures


@promise
def a_program_that_hangs_is_ended_with_its_children_and_is_a_failure():
    _, failures, _ = tap("echo 1..1; echo ok 1 - a; sleep 1000 & wait", seconds=1)
    assert len(failures) == 1 and "still running after 1 s" in failures[0][0], failures


@promise
def a_child_that_is_left_behind_does_not_hold_the_runner():
    passed, failures, _ = tap("echo 1..1; echo ok 1 - a; sleep 1000 &")
    assert (passed, failures) == (1, [])


@promise
def a_program_that_breaks_its_plan_is_a_failure():
    for script, why in (("echo 1..2; echo ok 1 - a", "1 of 2"), ("echo 1..1; echo ok 1 - a; echo ok 2 - b", "2 of 1"),
                        ("echo ok 1 - a", "no plan"), ("true", "no plan")):
        _, failures, _ = tap(script)
        assert len(failures) == 1 and why in failures[0][0], (script, failures)


@promise
def a_program_without_tap_is_judged_by_its_exit_status():
    for script, wanted in (("true", 1), ("exit 4", 0)):
        _, passed, failures, _, _ = RUNNER.run_plain("it", ["sh", "-c", script], dict(os.environ), ROOT, 5)
        assert passed == wanted and len(failures) == 1 - wanted


@promise
def a_build_that_fails_is_a_failure_and_so_is_a_warning():
    for source in ("int main(void) { return nothing; }", "int main(void) { int unused; return 0; }"):
        with tempfile.TemporaryDirectory() as place:
            with open(os.path.join(place, "a.c"), "w", encoding="ascii") as file:
                file.write(source)
            with open(os.path.join(place, "meson.build"), "w", encoding="ascii") as file:
                file.write("project('a', 'c', default_options: ['warning_level=2', 'werror=true'])\nexecutable('a', 'a.c')\n")
            totals = RUNNER.Totals()
            with contextlib.redirect_stdout(io.StringIO()):
                built = RUNNER.build(os.path.join(place, "build"), [place], {}, totals, "it")
            assert not built and totals.failed == 1, totals.failures


@promise
def the_warnings_that_are_asked_for_are_on_for_every_file():
    with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as file:
        text = file.read()
    for word in ("-Wshadow", "-Wmissing-prototypes", "-Wvla", "warning_level=2", "werror=true"):
        assert word in text, f"{word} is not in meson.build"


@promise
def a_fuzz_target_that_crashes_is_a_failure():
    crashes = """
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size > 2 && data[0] == 'b')
                __builtin_trap();
        return 0;
}
"""
    for source, wanted in ((crashes, 1), (crashes.replace("__builtin_trap()", "return 0"), 0)):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "a.c")
            with open(path, "w", encoding="ascii") as file:
                file.write(source)
            target = os.path.join(place, "target")
            subprocess.run(["clang", "-fsanitize=fuzzer", "-o", target, path], check=True)
            done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "works", "fuzz.py"), target, "--seconds", "2"],
                                  capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
            assert done.returncode == wanted, done.stdout
            assert done.stdout.splitlines()[-1].startswith("not ok" if wanted else "ok"), done.stdout


def main():
    print(f"1..{len(PROMISES)}", flush=True)
    status = 0
    for number, function in enumerate(PROMISES, 1):
        try:
            function()
            said = "ok"
        except Exception as error:  # pylint: disable=broad-except
            print(f"# {type(error).__name__}: {error}".replace("\n", "\n# "))
            said, status = "not ok", 1
        print(f"{said} {number} - {function.__name__.replace('_', ' ')}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
