#!/usr/bin/env python3
"""Every example of the documentation works: it is taken from the pages and tried.

    ```conf          penstockd -N1 finds nothing to say about it
    ```conf wrong    it does, and exits 1
    ```sh run        a shell runs it in an empty directory, where `penstock`, `penstockd` and `module.h` are found,
                     and every command in it succeeds

What stands in other blocks is not tried.
"""
import contextlib
import glob
import os
import re
import sys

import namespaces
from harness import ROOT, Place, Skip, argument, promise, run

PATIENCE_SECONDS = 60


def pages():
    return [os.path.join(ROOT, "README.md"), *sorted(glob.glob(os.path.join(ROOT, "doc", "*.md")))]


def blocks(path, kind):
    """(line number, text) of each block that is opened by ```kind."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for found in re.finditer(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S):
        yield text[:found.start()].count("\n") + 1, found.group(1)


def check(place, text):
    return place.run(argument("daemon"), "-N1", "-C", "-f", place.file("example.conf", text), cwd=place.path)


def complaints(text, is_wrong):
    """What keeps an example from being what it says; empty when it is."""
    with Place() as place:
        done = check(place, text)
        says = re.findall(r"^\S*example\.conf:.*", done.stderr, re.M)
        if is_wrong:
            return [] if done.returncode == 1 else ["nothing is wrong with it"]
        return says + ([done.stderr] if done.returncode and not says else [])


@promise
def every_configuration_in_the_pages_is_clean():
    wrong, count = [], 0
    for path in pages():
        for line, text in blocks(path, "conf"):
            count += 1
            wrong += [f"{os.path.relpath(path, ROOT)}:{line}: {said}" for said in complaints(text, False)]
    assert not wrong, "\n".join(wrong)
    assert count >= 10, f"only {count} examples were found"


@promise
def every_example_of_a_mistake_is_one():
    for path in pages():
        for line, text in blocks(path, "conf wrong"):
            assert not complaints(text, True), f"{path}:{line}: nothing is wrong with it"


@promise
def every_shell_example_succeeds():
    # The ports in the pages are the same every time, and another test may just have chosen one of them.
    with contextlib.suppress(Skip):
        namespaces.enter(namespaces.CLONE_NEWNET)
        namespaces.raise_loopback()
    count = 0
    for path in pages():
        for line, text in blocks(path, "sh run"):
            count += 1
            with Place() as place:
                os.makedirs(place.file("bin"))
                os.makedirs(place.file("include/penstock"))
                for name, target in (("bin/penstockd", argument("daemon")), ("bin/penstock", argument("penstock")),
                                     ("include/penstock/module.h", os.path.join(ROOT, "src/module/module.h")),
                                     ("examples", os.path.join(ROOT, "examples"))):
                    os.symlink(target, place.file(name))
                environment = dict(os.environ, PATH=place.file("bin") + ":" + os.environ["PATH"],
                                   CPATH=place.file("include"))
                done = place.run("sh", "-euc", text, cwd=place.path, env=environment, seconds=PATIENCE_SECONDS)
                assert done.returncode == 0, f"{path}:{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert count >= 2, f"only {count} examples were found"


@promise
def an_example_that_is_wrong_is_found():
    assert complaints('action(type="omfile" fil="/x")\n', False)
    assert complaints('action(type="omfile" file="/x")\n', True)


@promise
def links_between_the_pages_lead_somewhere():
    broken = []
    for path in pages():
        with open(path, encoding="utf-8") as file:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read()):
                if not os.path.exists(os.path.join(os.path.dirname(path), target)):
                    broken.append(f"{os.path.relpath(path, ROOT)}: {target}")
    assert not broken, broken


if __name__ == "__main__":
    sys.exit(run())
