"""Namespaces of a test's own, so that what it mounts, no other test sees, nor holds when it is unmounted here."""
import ctypes
import os

from harness import Skip, needs_root

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result:
        raise Skip(f"{what}: {os.strerror(ctypes.get_errno())}")


def enter(flags):
    """Leaves the namespaces that we were started in. unshare(2)"""
    needs_root("make namespaces")
    check(LIBC.unshare(flags), "no namespaces here")


def make_mounts_private():
    check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mounts cannot be made private")
