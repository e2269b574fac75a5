#!/usr/bin/env python3
"""Promise: a folder under src/ includes only the folders it stands on.

The table is doc/architecture.md's. `--selftest` shows that a breach is found.
"""
import os
import re
import sys
import tempfile

LOW = {"base", "io", "message", "module"}
MAY = {
    "base": set(),
    "io": {"base"},
    "message": {"base", "io"},
    "module": {"base", "io", "message"},
    "language": {"base", "module"},
    "template": {"base", "message", "io", "language", "module"},
    "lookup": {"base", "message", "io"},
    "statistics": {"base", "module"},
    "queue": {"base", "io", "message", "module"},
    "delivery": LOW | {"template", "queue"},
    "ruleset": LOW | {"language", "template", "lookup", "statistics", "queue", "delivery"},
    "input": LOW | {"bus"},
    "parser": LOW,
    "modifier": LOW,
    "function": LOW,
    "output": LOW | {"bus"},
    "bus": {"base", "io"},
    "daemon": LOW | {"language", "template", "lookup", "statistics", "queue", "delivery", "ruleset", "parser", "bus"},
    "control": {"base", "io", "module", "bus", "language", "template", "message", "ruleset"},
    "console": {"base", "io", "bus"},
    "gateway": {"base", "io", "bus"},
}


def module_of(name):
    """imfile_state.h is a piece of the module imfile; stream.h is of none."""
    found = re.match(r"((?:im|om|pm|mm|fm)[a-z0-9]+)", name)
    return found.group(1) if found else None


def breaches(root):
    for folder, _, names in sorted(os.walk(root)):
        inside = os.path.relpath(folder, root).split(os.sep)[0]
        for name in sorted(names):
            if inside == "." or not name.endswith((".c", ".h")):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    found = re.match(r'\s*#\s*include\s+"([^"/]+)/([^"]+)"', line)
                    if not found:
                        continue
                    target, header = found.groups()
                    if target not in MAY:
                        yield f"{path}:{number}: {target}/ is no folder of the table"
                    elif target != inside and target not in MAY.get(inside, set()):
                        yield f"{path}:{number}: {inside}/ may not include {target}/{header}"
                    elif target == inside and module_of(header) not in (None, module_of(name)):
                        yield f"{path}:{number}: modules do not include each other"


def selftest():
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, "base"))
        with open(os.path.join(root, "base", "a.c"), "w", encoding="utf-8") as file:
            file.write('#include "daemon/pipeline.h"\n')
        return len(list(breaches(root))) == 1


def main():
    root = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "src")
    print("1..2")
    found = list(breaches(root))
    for line in found:
        print("#", line)
    print("not ok" if found else "ok", "1 - every folder includes only what lies below it")
    print("ok" if selftest() else "not ok", "2 - a breach is found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
