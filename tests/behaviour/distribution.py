#!/usr/bin/env python3
"""The default files of distributions are taken as they are, without a word that their users could not act on.

The texts are those of the differential cases, so that a file is kept once.
"""
import glob
import importlib.util
import os
import pathlib
import re

from harness import ROOT, Place, argument, promise, run

# What the user is told to write instead, in words to act on.
ADVICE = re.compile(r"warning: .*(deprecated|obsolete)")


def load_case_reader():
    spec = importlib.util.spec_from_file_location("differential", os.path.join(ROOT, "tests/differential/run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READER = load_case_reader()


def lay_out(place, path):
    """Writes the case's configuration and the files it includes as they would stand on a user's machine."""
    case = READER.Case(pathlib.Path(path), os.path.basename(path))
    users = {"@USER@": "root", "@GROUP@": "root", "@NOBODY@": "nobody"}

    def real(text):
        for name, value in users.items():
            text = text.replace(name, value)
        text = re.sub(r"@PORT [a-z]+@", "/dev/xconsole", text)
        text = re.sub(r"@FREE [a-z]+@", "514", text)
        return text

    config = None
    for verb, words, body in case.sections:
        text = real("\n".join(body) + "\n")
        if verb == "config":
            config = place.file("rsyslog.conf", text)
        if verb == "file":
            os.makedirs(os.path.dirname(place.file(words[0])), exist_ok=True)
            place.file(words[0], text)
    return config


def complaints(place, config):
    done = place.run(argument("daemon"), "-N1", "-f", config)
    lines = [line for line in done.stderr.splitlines() if re.search(r": (error|warning): ", line)]
    return done.returncode, [line for line in lines if not ADVICE.search(line)]


def distributions():
    return sorted(glob.glob(os.path.join(ROOT, "tests/differential/cases/distribution/*.case"))
                  + glob.glob(os.path.join(ROOT, "tests/differential/cases/check/*-verbatim.case")))


@promise
def every_default_file_is_taken():
    assert len(distributions()) >= 10
    for path in distributions():
        with Place() as place:
            _, lines = complaints(place, lay_out(place, path))
            assert not lines, f"{path}: {lines}"


@promise
def a_file_that_only_uses_what_is_there_is_clean():
    for path in distributions():
        with Place() as place:
            config = lay_out(place, path)
            status, lines = complaints(place, config)
            assert status == 0 and not lines, f"{path}: exit {status}, {lines}"


@promise
def a_parameter_that_no_distribution_writes_is_complained_about():
    with Place() as place:
        config = lay_out(place, distributions()[0])
        place.file("rsyslog.conf", place.read("rsyslog.conf") + '\nglobal(nonsense="1")\n')
        status, lines = complaints(place, config)
        assert status == 1 and len(lines) == 1 and "nonsense" in lines[0], lines


run()
