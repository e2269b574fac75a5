#!/usr/bin/env python3
"""Promise: `make install DESTDIR= PREFIX=` lays out all that a user needs, and a module builds against it alone."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[sys.argv.index("--build") + 1])
PROMISES = []


def promise(function):
    PROMISES.append(function)
    return function


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def prefix_of(build):
    options = json.loads(run("meson", "introspect", "--buildoptions", build))
    return next(option["value"] for option in options if option["name"] == "prefix")


def install(destination):
    """Into `destination`, with the prefix of the build, so that nothing is built anew."""
    prefix = prefix_of(BUILD)
    run("make", "-C", ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={destination}", f"PREFIX={prefix}",
        env=dict(os.environ, MAKEFLAGS=""))
    return destination + prefix


@promise
def programs_header_unit_and_pages_are_where_they_belong():
    with tempfile.TemporaryDirectory() as place:
        home = install(place)
        for path in ("sbin/penstockd", "bin/penstock", "include/penstock/module.h", "lib/systemd/system/penstockd.service",
                     "share/doc/penstock/README.md", "share/doc/penstock/doc/configuration.md",
                     "share/doc/penstock/doc/reference/omfile.md", "share/man/man3/penstock_bus.3",
                     "share/man/man3/penstock-bus-python.3", "share/man/man8/penstock-bus.8", "include/penstock/bus.h",
                     "share/penstock/python/penstock_bus/__init__.py", "share/doc/penstock/examples/module/omgreet.c"):
            assert os.path.isfile(os.path.join(home, path)), f"{path} is not installed"
        outside = [f for f in os.listdir(place) if not home.startswith(os.path.join(place, f))]
        assert not outside, f"outside of the prefix: {outside}"


@promise
def the_installed_daemon_checks_a_configuration_and_the_unit_starts_it():
    with tempfile.TemporaryDirectory() as place:
        home = install(place)
        config = os.path.join(place, "a.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("*.* /nonexistent/out\n")
        run(os.path.join(home, "sbin/penstockd"), "-N1", "-f", config)
        with open(os.path.join(home, "lib/systemd/system/penstockd.service"), encoding="utf-8") as file:
            unit = file.read()
        program = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).split("=", 1)[1].split()[0]
        assert os.access(place + program, os.X_OK), f"{program} of the unit is not installed"
        assert "Type=notify" in unit and "@" not in unit.replace("@system-service", ""), unit


@promise
def the_example_builds_against_the_installed_header_alone():
    with tempfile.TemporaryDirectory() as place:
        home = install(place)
        module = os.path.join(place, "omgreet.so")
        run("cc", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(home, "include"), "-shared", "-fPIC", "-o", module,
            os.path.join(home, "share/doc/penstock/examples/module/omgreet.c"), cwd=place)
        config = os.path.join(place, "a.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write('module(load="omgreet")\naction(type="omgreet" file="/nonexistent/out")\n')
        run(os.path.join(home, "sbin/penstockd"), "-N1", "-M", place, "-f", config)


@promise
def another_prefix_holds_everything():
    with tempfile.TemporaryDirectory() as place:
        run("meson", "setup", place + "/build", ROOT, "--prefix=/opt/penstock")
        targets = json.loads(run("meson", "introspect", "--installed", place + "/build")).values()
        assert len(targets) >= 8
        outside = [target for target in targets if not target.startswith("/opt/penstock/")]
        assert not outside, outside
        with open(place + "/build/service/penstockd.service", encoding="utf-8") as file:
            assert "ExecStart=/opt/penstock/sbin/penstockd " in file.read()


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
