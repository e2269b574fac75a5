"""A port that a daemon may be told to listen on.

Not one that the kernel would give: those are the ports that connections get at their own end, and a connection that has
just ended keeps its port for a minute, during which nobody can listen there.
"""
import errno
import random
import socket

FIRST, BEYOND = 10240, 32768
GIVEN = set()  # to this process


def free_port():
    """Free for TCP and UDP, on IPv4 and IPv6 alike, and not likely to be another test's choice."""
    while True:
        port = random.randrange(FIRST, BEYOND)
        if port not in GIVEN and all(can_bind(family, kind, port) for family in (socket.AF_INET, socket.AF_INET6)
               for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            GIVEN.add(port)
            return port


def can_bind(family, kind, port):
    try:
        probe = socket.socket(family, kind)
    except OSError:
        return True  # no IPv6 here, then nobody listens on it
    with probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        except OSError as error:
            return family == socket.AF_INET6 and error.errno != errno.EADDRINUSE
    return True
