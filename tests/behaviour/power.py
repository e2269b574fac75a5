#!/usr/bin/env python3
"""The power goes: a synced queue on disk keeps what was acknowledged on a real file system that is cut off.

The spool lies on an ext4 of its own on a loop device. Its SHUTDOWN ioctl ends it as a loss of power would: nothing
more reaches the device, what was not synced is gone, and the next mount replays the journal. The ledgers and what
came out lie elsewhere. Runs in a mount namespace of its own: whoever makes one beside it copies every mount it sees,
and holds it for as long as it lives. `--cycles N`: so many cuts.
"""
import contextlib
import fcntl
import os
import shutil
import struct
import sys
import time

import namespaces
from deaths import Deaths
from harness import Place, Skip, needs_root, promise, run, wait

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
        self.must("mount", "-o", "loop,errors=remount-ro", self.image, self.path)
        device = os.path.basename(self.place.run("findmnt", "-no", "SOURCE", self.path).stdout.strip())
        self.kernel = f"/sys/fs/ext4/{device}"

    def unmount(self):
        done = self.place.run("umount", self.path)
        assert done.returncode == 0, done.stderr
        wait(lambda: not os.path.exists(self.kernel), f"the end of {self.kernel}: something else has it mounted")

    def cut(self, how):
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, FS_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(directory)

    def break_it(self):
        """Makes the kernel find an error in it: it is read-only from then on, whoever has files open for writing."""
        trigger = f"{self.kernel}/trigger_fs_error"
        if not os.access(trigger, os.W_OK):
            raise Skip(f"{trigger} is not there to make a file system read-only in use")
        with open(trigger, "w", encoding="ascii") as file:
            file.write("a test")
        wait(lambda: not self.is_writable(), "the read-only file system")

    def is_writable(self):
        try:
            with open(os.path.join(self.path, "probe"), "w", encoding="ascii"):
                return True
        except OSError:
            return False

    def mend(self):
        self.unmount()
        done = self.place.run("e2fsck", "-fy", self.image)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        self.mount()


IS_ALONE = []


def leave_shared_mounts():
    """Once for all promises. In a chroot the root is no mount, and what is mounted in it is as private as that one."""
    if not IS_ALONE:
        namespaces.enter(namespaces.CLONE_NEWNS)
        IS_ALONE.append(True)
        with contextlib.suppress(Skip):
            namespaces.make_mounts_private()


@contextlib.contextmanager
def file_system(place):
    needs_root("mount a file system")
    leave_shared_mounts()
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


def is_unmoved(looks):
    """What it shows stays for as long as a group of messages needs many times over."""
    before, until = looks(), time.monotonic() + 1
    while time.monotonic() < until:
        if looks() != before:
            return False
        time.sleep(0.05)
    return True


@promise
def a_file_system_that_turns_read_only_is_told_and_costs_nothing_that_was_acknowledged():
    with Place() as place, file_system(place) as fs:
        deaths = Deaths(place, fs.path)
        for ends_by_kill in (True, False):
            deaths.begin()
            deaths.load(2000)
            fs.break_it()
            wait(lambda: "Read-only file system" in deaths.daemon.stderr(), "the report")
            said = deaths.daemon.stderr()
            assert "mount it for writing, or move queue.spoolDirectory" in said, said
            wait(lambda: is_unmoved(lambda: len(deaths.ledger(deaths.cycle))), "the end of acknowledgements")
            assert deaths.daemon.process.poll() is None and deaths.flood.poll() is None, "somebody gave up"
            times = deaths.daemon.stderr().count("Read-only file system")
            assert times < 10, f"told {times} times:\n{deaths.daemon.stderr()}"
            if not ends_by_kill:
                assert deaths.daemon.stop() == 0
            deaths.end()
            fs.mend()
        deaths.begin()
        assert deaths.daemon.stop() == 0


if __name__ == "__main__":
    run()
