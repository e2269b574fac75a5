#!/usr/bin/env python3
"""imfile over the life of a log file: each line once, across rotation, truncation, restart and a blocked output."""
import os
import signal

from harness import Place, promise, run, wait

CONFIG = """
global(workDirectory="@DIR@/state")
module(load="imfile")
input(type="imfile" file="@DIR@/log*" tag="t:")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/out" template="m")
"""


def started(place, config=CONFIG):
    os.makedirs(place.file("state"), exist_ok=True)
    return place.daemon(config)


def append(place, name, first, count):
    with open(place.file(name), "a", encoding="ascii") as file:
        for i in range(first, first + count):
            file.write(f"{i}\n")


def wait_for_numbers(place, count):
    wait(lambda: len(place.lines("out")) >= count, f"{count} lines")
    numbers = [int(line) for line in place.lines("out")]
    assert sorted(numbers) == list(range(count)), "a line is missing or came twice"


@promise
def a_file_that_grows_is_followed():
    with Place() as place:
        append(place, "log", 0, 1000)
        daemon = started(place)
        wait_for_numbers(place, 1000)
        append(place, "log", 1000, 1000)
        wait_for_numbers(place, 2000)
        assert daemon.stop() == 0


@promise
def each_line_comes_once_across_a_restart():
    with Place() as place:
        append(place, "log", 0, 1000)
        daemon = started(place)
        wait_for_numbers(place, 1000)
        assert daemon.stop() == 0
        append(place, "log", 1000, 500)
        daemon = started(place)
        wait_for_numbers(place, 1500)
        assert daemon.stop() == 0


@promise
def each_line_comes_once_across_many_rotations():
    with Place() as place:
        daemon = started(place, CONFIG.replace("log*", "log"))
        for turn in range(10):
            append(place, "log", turn * 100, 50)
            wait_for_numbers(place, turn * 100 + 50)
            os.rename(place.file("log"), place.file(f"old.{turn}"))
            # A writer that has not noticed the rotation yet still appends to the old file.
            append(place, f"old.{turn}", turn * 100 + 50, 50)
            wait_for_numbers(place, turn * 100 + 100)
        assert daemon.stop() == 0


@promise
def a_file_that_was_rotated_while_the_daemon_was_down_is_begun_anew():
    with Place() as place:
        config = CONFIG.replace("log*", "log")
        append(place, "log", 0, 100)
        daemon = started(place, config)
        wait_for_numbers(place, 100)
        assert daemon.stop() == 0
        os.rename(place.file("log"), place.file("old"))
        append(place, "log", 100, 100)
        daemon = started(place, config)
        wait_for_numbers(place, 200)
        assert daemon.stop() == 0


@promise
def a_truncated_file_is_read_from_its_new_beginning():
    with Place() as place:
        append(place, "log", 0, 1000)
        daemon = started(place)
        wait_for_numbers(place, 1000)
        os.truncate(place.file("log"), 0)
        append(place, "log", 1000, 10)
        wait_for_numbers(place, 1010)
        assert daemon.stop() == 0


@promise
def a_file_that_appears_later_is_found():
    with Place() as place:
        daemon = started(place)
        append(place, "log.one", 0, 10)
        wait_for_numbers(place, 10)
        append(place, "log.two", 10, 10)
        wait_for_numbers(place, 20)
        assert daemon.stop() == 0


@promise
def nothing_is_lost_when_the_daemon_is_killed():
    """What was delivered after the last state may come again; nothing is missing."""
    with Place() as place:
        append(place, "log", 0, 20000)
        daemon = started(place)
        wait(lambda: place.read("out"), "the first lines")
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
        append(place, "log", 20000, 1000)
        daemon = started(place)
        wait(lambda: "20999" in place.lines("out")[-1:], "the last line")
        seen = {line for line in place.lines("out")}
        missing = [i for i in range(21000) if str(i) not in seen]
        assert not missing, f"{len(missing)} lines are missing, from {missing[0]} on"
        assert daemon.stop() == 0


run()
