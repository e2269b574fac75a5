#!/usr/bin/env python3
"""Promise: every C file is as clang-format leaves it, and no function is longer than 120 lines."""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FUNCTION_LINES_MAX = 120


def unformatted(paths):
    """All in one call; only when something is wrong, which."""
    command = ["clang-format", "--style=file", "--dry-run", "--Werror"]

    def is_bad(some):
        return subprocess.run([*command, *some], cwd=ROOT, capture_output=True, check=False).returncode != 0

    return [path for path in paths if is_bad([path])] if is_bad(paths) else []


def long_functions(path):
    name, start = None, 0
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if re.match(r"[a-zA-Z_].*\)\s*\{$|[a-zA-Z_].*\)$", line):
                name, start = line.strip(), number
            if line.startswith("}") and name:
                if number - start > FUNCTION_LINES_MAX:
                    yield f"{path}:{start}: {number - start} lines: {name[:80]}"
                name = None


def main():
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    files = listed or [os.path.relpath(os.path.join(f, n), ROOT) for f, _, ns in os.walk(os.path.join(ROOT, "src"))
                       for n in ns if n.endswith((".c", ".h"))]
    print("1..4")
    bad = unformatted(files)
    for path in bad:
        print(f"# {path}: run `make format`")
    print("not ok" if bad else "ok", "1 - every C file is formatted")
    long = [line for path in files for line in long_functions(path)]
    for line in long:
        print("#", line)
    print("not ok" if long else "ok", f"2 - no function is longer than {FUNCTION_LINES_MAX} lines")
    with tempfile.NamedTemporaryFile("w", suffix=".c", dir=ROOT) as file:
        file.write("int  x( void ) {return 1;}\n")
        file.flush()
        found = bool(unformatted([file.name]))
    print("ok" if found else "not ok", "3 - a badly formatted file is found")
    with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
        file.write("int x(void) {\n" + "        y();\n" * (FUNCTION_LINES_MAX + 1) + "}\n")
        file.flush()
        found_long = len(list(long_functions(file.name))) == 1
    print("ok" if found_long else "not ok", "4 - a long function is found")
    return 0 if found and found_long and not bad and not long else 1


if __name__ == "__main__":
    sys.exit(main())
