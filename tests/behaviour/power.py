#!/usr/bin/env python3
"""The power goes: a synced queue on disk keeps what was acknowledged on a real file system that is cut off.

The spool lies on an ext4 of its own on a loop device. Its SHUTDOWN ioctl ends it as a loss of power would: nothing
more reaches the device, what was not synced is gone, and the next mount replays the journal. The ledgers and what
came out lie elsewhere. `--cycles N`: so many cuts.
"""
import contextlib
import fcntl
import os
import shutil
import struct
import sys

from deaths import Deaths
from harness import Place, Skip, needs_root, promise, run

CYCLES = int(sys.argv[sys.argv.index("--cycles") + 1]) if "--cycles" in sys.argv else 3
IMAGE_BYTES = 192 << 20
FS_IOC_SHUTDOWN = 0x8004587D
LOGFLUSH, NOLOGFLUSH = 1, 2  # the journal is written before the end, or what it did not have is lost


class FileSystem:
    """An ext4 in a file, mounted on a directory."""

    def __init__(self, place):
        self.place = place
        self.image, self.path = place.file("image"), place.file("spool")
        os.mkdir(self.path)
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        self.must("mkfs.ext4", "-q", "-F", self.image)

    def must(self, *command):
        done = self.place.run(*command)
        if done.returncode:
            raise Skip(f"{command[0]} cannot: {(done.stderr or done.stdout).strip()}")

    def mount(self):
        self.must("mount", "-o", "loop", self.image, self.path)

    def unmount(self):
        done = self.place.run("umount", self.path)
        assert done.returncode == 0, done.stderr

    def cut(self, how):
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, FS_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(directory)


@contextlib.contextmanager
def file_system(place):
    needs_root("mount a file system")
    for program in "mkfs.ext4", "mount", "umount":
        if not shutil.which(program):
            raise Skip(f"{program} is not here")
    fs = FileSystem(place)
    fs.mount()
    try:
        yield fs
    finally:
        for process in place.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        place.run("umount", fs.path)


def cut_power(deaths, fs, cycles):
    for cycle in range(cycles):
        deaths.begin()
        deaths.load(cycle * 977 % 9000)
        # The daemon lives on for a moment: what it acknowledges now, it must not.
        fs.cut(NOLOGFLUSH if cycle % 3 else LOGFLUSH)
        deaths.end()
        fs.unmount()
        fs.mount()
    deaths.begin()
    assert deaths.daemon.stop() == 0


@promise
def what_was_acknowledged_survives_cut_after_cut_of_the_power():
    with Place() as place, file_system(place) as fs:
        deaths = Deaths(place, fs.path)
        cut_power(deaths, fs, CYCLES)
        print(f"# {CYCLES} cuts, {deaths.acknowledged} acknowledged, at most {deaths.twice} twice after one", flush=True)


@promise
def a_queue_that_does_not_sync_is_found_out():
    """The control of the promise before: the cut really takes what was only written."""
    with Place() as place, file_system(place) as fs:
        deaths = Deaths(place, fs.path, is_synced=False)
        deaths.begin()
        deaths.load(9000)
        fs.cut(NOLOGFLUSH)
        deaths.end()
        fs.unmount()
        fs.mount()
        deaths.begin(is_checked=False)
        assert deaths.daemon.stop() == 0
        assert deaths.missing(1), "nothing is missing"


if __name__ == "__main__":
    run()
