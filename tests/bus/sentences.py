#!/usr/bin/env python3
"""Promise: no sentence about the bus is without a test, no rule without a mutant, no function without its page."""
import ast
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from mutants import MUTANTS, suite_and_pattern  # noqa: E402

SCRIPTS = {"conformance": "tests/bus/conformance.py", "faults": "tests/bus/faults.py", "binding": "tests/bus/binding.py",
           "upgrade": "tests/behaviour/bus_upgrade.py"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def is_promise(node):
    return isinstance(node, ast.FunctionDef) and any(
        getattr(d.func if isinstance(d, ast.Call) else d, "id", "") == "promise" for d in node.decorator_list)


def promises_of(suite):
    """The names of a suite's tests; None: there is no such suite."""
    if suite in SCRIPTS:
        return {node.name for node in ast.parse(read(SCRIPTS[suite])).body if is_promise(node)}
    path = f"src/bus/{suite.removeprefix('unit ')}_test.c"
    if not suite.startswith("unit ") or not os.path.exists(os.path.join(ROOT, path)):
        return None
    return set(re.findall(r"TEST\((\w+)\)", read(path)))


def parse(text):
    """(sentence, [(suite, promise)]) in order."""
    found = []
    for line in text.splitlines():
        if line.startswith("  "):
            suite, _, names = line.strip().partition(": ")
            found[-1][1].extend((suite, name.strip()) for name in names.split(","))
        elif line and not line.startswith("#"):
            found.append((line, []))
    return found


def untested(sentences):
    """Sentences that no test speaks for, or one that is not there."""
    suites = {suite: promises_of(suite) for _, tests in sentences for suite, _ in tests}
    for sentence, tests in sentences:
        if not tests:
            yield f"nothing tests: {sentence}"
        for suite, name in tests:
            if name not in (suites[suite] or ()):
                yield f"{suite} has no {name}: {sentence}"


def unnamed(sentences, promises):
    """Promises of the conformance suite that no sentence names."""
    named = {name for _, tests in sentences for suite, name in tests if suite == "conformance"}
    return (f"no sentence names {name}" for name in sorted(promises - named))


def unbroken(promises, mutants):
    """Promises of the conformance suite that no mutant breaks."""
    patterns = [pattern for suite, pattern in (suite_and_pattern(m[3]) for m in mutants) if suite == "conformance"]
    return (f"no mutant breaks {name}" for name in sorted(promises) if not any(re.search(p, name) for p in patterns))


def unpaged(names, page):
    return (f"the page does not tell of {name}" for name in sorted(set(names)) if not re.search(rf"\b{name}\b", page))


def c_functions():
    return re.findall(r"^[\w \*]+?\b\*?(penstock_bus_\w+)\(", read("src/bus/bus.h"), re.MULTILINE)


def python_names():
    for node in ast.parse(read("python/penstock_bus/__init__.py")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
            yield from (f.name for f in node.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_"))


def gates_say_no(sentences, promises):
    """Each gate is shown what it must refuse."""
    if not list(untested([("A sentence.", [])])):
        yield "a sentence without a test passes"
    if not list(untested([("A sentence.", [("conformance", "no_such_promise")])])):
        yield "a test that is not there passes"
    if not list(untested([("A sentence.", [("no suite", "x")])])):
        yield "a suite that is not there passes"
    if not list(unnamed(sentences, promises | {"one_more"})):
        yield "a promise without a sentence passes"
    if not list(unbroken(promises, MUTANTS[:1])):
        yield "a promise without a mutant passes"
    if not list(unpaged(["penstock_bus_fly"], read("doc/man/penstock_bus.3"))):
        yield "a function without its page passes"


def main():
    sentences, promises = parse(read("tests/bus/sentences.txt")), promises_of("conformance")
    functions, methods = c_functions(), list(python_names())
    gates = [
        (f"each of {len(sentences)} sentences about the bus has a test", untested(sentences)),
        (f"each of {len(promises)} promises of the conformance suite stands behind a sentence", unnamed(sentences, promises)),
        ("each of them is broken by a mutant", unbroken(promises, MUTANTS)),
        (f"{len(functions)} functions of the library are in its page", unpaged(functions, read("doc/man/penstock_bus.3"))),
        (f"{len(methods)} names of the binding are in its page", unpaged(methods, read("doc/man/penstock-bus-python.3"))),
        ("each of these gates says no when it should", gates_say_no(sentences, promises)),
    ]
    print(f"1..{len(gates)}")
    failed = 0
    for number, (promise, complaints) in enumerate(gates, 1):
        complaints = list(complaints)
        failed += bool(complaints)
        for complaint in complaints:
            print("#", complaint)
        print(f"{'not ok' if complaints else 'ok'} {number} - {promise}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
