#!/usr/bin/env python3
"""What `make run` starts works as it says, and a message lands within a second."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from harness import PATIENCE_SECONDS, ROOT, Place, Skip, argument, promise, read, run, wait
from ports import free_port

LANDS_SECONDS_MAX = 1
TRIES_MAX = 20  # a busy machine may delay many of them, but not all


def landing_seconds(place, command, text, path):
    before = read(path).decode().count(text)
    began = time.monotonic()
    sender = place.spawn(["sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: read(path).decode().count(text) > before, f"{text} in {path}")
    took = time.monotonic() - began
    # nc stays for a second after it has sent.
    sender.wait(PATIENCE_SECONDS)
    return took


@promise
def the_commands_that_the_demo_shows_land_within_a_second():
    with Place() as place:
        build = os.path.dirname(os.path.dirname(os.path.dirname(argument("daemon"))))
        output = place.file("output")
        with open(output, "wb") as file:
            demo = place.spawn(["sh", os.path.join(ROOT, "demo/run.sh"), build], stdout=file, stderr=file,
                               env=dict(os.environ, TMPDIR=place.path, PORT=str(free_port())))
        home = wait(lambda: re.search(r"tail (\S+)/messages", read(output).decode()), "the words of the demo").group(1)
        wait(lambda: read(home + "/pid") or demo.poll() is not None, "the daemon's start")
        assert demo.poll() is None, read(output).decode()
        commands = re.findall(r"^      ((?:logger|echo) .*)$", read(output).decode(), re.M)
        assert len(commands) == 3, commands
        for tool in ("logger", "nc"):
            if not shutil.which(tool):
                raise Skip(f"there is no {tool} on this machine")
        for command, text, name in zip(commands, ("hello by tcp", "hello by the local socket", "an error by udp"),
                                       ("messages", "messages", "errors")):
            tries = (landing_seconds(place, command, text, f"{home}/{name}") for _ in range(TRIES_MAX))
            assert any(seconds < LANDS_SECONDS_MAX for seconds in tries), f"{text} never landed within {LANDS_SECONDS_MAX} s"
        os.kill(demo.pid, signal.SIGINT)
        assert demo.wait(PATIENCE_SECONDS) == 0, "Ctrl-C does not end it"


run()
