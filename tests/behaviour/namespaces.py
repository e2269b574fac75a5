"""Namespaces of a test's own, so that what it mounts, no other test sees, nor holds when it is unmounted here."""
import ctypes
import fcntl
import os
import socket
import struct

from harness import Skip, needs_root

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
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


def raise_loopback():
    """A new network has its loopback device, but down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
