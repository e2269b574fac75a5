#!/usr/bin/env python3
"""RELP: what was acknowledged arrives, whoever is killed, and only what was not is sent twice.

Ledgers lie outside of the daemons: `penstock flood --acknowledged` notes what its receiver has acknowledged, and a
server of this test notes what it has acknowledged to omrelp. The peer of the interoperability tests is Debian's
rsyslogd with its own RELP library, unpacked (PENSTOCK_ORACLE, see tests/oracle).
"""
import contextlib
import fcntl
import glob
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

from deaths import Deaths
from harness import PATIENCE_SECONDS, Place, argument, memory_bytes, promise, read, run, wait, Skip
from ports import free_port

MESSAGES = 20000
SILENCE_SECONDS = 0.3
BYTES_MIN = 60  # of a message of the load
SIOCOUTQ = 0x5411
CYCLES = int(sys.argv[sys.argv.index("--cycles") + 1]) if "--cycles" in sys.argv else 5
TEMPLATE = 'template(name="m" type="string" string="%rawmsg%\\n")\n'
OWN = 'global(processInternalMessages="on")\n' + TEMPLATE
KEPT = 'action.resumeInterval="1" action.resumeRetryCount="-1"'


def receiver(port, more="", module=""):
    return (OWN + f'module(load="imrelp" {module})\n'
            f'input(type="imrelp" port="{port}" address="127.0.0.1" ruleset="in" {more})\n'
            'ruleset(name="in" queue.type="Direct") { action(type="omfile" file="@DIR@/out" template="m") }\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')


def sender(inlet, port, more="", module="", queue='queue.type="LinkedList" queue.size="100000"'):
    return (OWN + f'module(load="imptcp")\nmodule(load="omrelp" {module})\n'
            f'input(type="imptcp" port="{inlet}" address="127.0.0.1" ruleset="out")\n'
            f'ruleset(name="out") {{ action(name="relp" type="omrelp" target="127.0.0.1" port="{port}" template="m" '
            f'{queue} {KEPT} {more}) }}\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')


def relay(inlet, port):
    """RELP in, RELP out, nothing in between that could be lost unnoticed."""
    return (OWN + 'module(load="imrelp")\nmodule(load="omrelp")\n'
            f'input(type="imrelp" port="{inlet}" address="127.0.0.1" ruleset="out")\n'
            f'ruleset(name="out") {{ action(type="omrelp" target="127.0.0.1" port="{port}" template="m" {KEPT}) }}\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Oracle:
    """Debian's rsyslogd with a configuration in a directory of its own."""

    def __init__(self, place, config):
        root = os.environ.get("PENSTOCK_ORACLE", "")
        library = (glob.glob(os.path.join(root, "usr/lib/*-linux-gnu")) or [""])[0]
        program = os.path.join(root, "usr/sbin/rsyslogd")
        if not os.path.exists(program) or not os.path.exists(os.path.join(library, "rsyslog/imrelp.so")):
            raise Skip("Debian's rsyslogd with RELP is not unpacked (tests/oracle/fetch, PENSTOCK_ORACLE)")
        pid_file = place.file("oracle.pid")
        if os.path.exists(pid_file):
            os.unlink(pid_file)
        with open(place.file("oracle.said"), "ab") as said:
            self.process = place.spawn(
                [program, "-n", "-f", place.file("oracle.conf", config), "-i", pid_file, "-M",
                 os.path.join(library, "rsyslog")], stdout=said, stderr=said, cwd=place.path,
                env=dict(os.environ, LD_LIBRARY_PATH=library, TZ="UTC"))
        wait(lambda: read(pid_file), "the oracle's start")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)


def start(place, config, is_ours):
    return place.daemon(config) if is_ours else Oracle(place, config)


def kill(daemon):
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(PATIENCE_SECONDS)


# ---------------------------------------------------------------- load and what came of it

class Flood:
    """`penstock flood` in the background; finish() gives its report."""

    def __init__(self, place, target, messages=MESSAGES, *more):
        self.place = place
        self.process = place.spawn([argument("penstock"), "flood", "--sequence", "--json", "--messages", str(messages),
                                    *more, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self):
        said, complaint = self.process.communicate(timeout=4 * PATIENCE_SECONDS)
        assert said, complaint
        return json.loads(said)


def marks(path):
    """The markers of messages, in the order in which they lie there."""
    return re.findall(rb"seq=(\d+:\d+)", read(path))


def wait_for_all(path, messages=MESSAGES):
    wait(lambda: len(set(marks(path))) >= messages, f"{messages} messages in {path}")


def check_whole(path, messages=MESSAGES):
    """Each arrived, once, in order."""
    found = marks(path)
    assert len(found) == messages, f"{len(found)} of {messages}"
    assert found == sorted(set(found)), "twice, or out of order"


def wait_for_some(path, count):
    wait(lambda: len(marks(path)) >= count, f"{count} messages in {path}")


# ---------------------------------------------------------------- certificates

def openssl(place, *words):
    done = place.run("openssl", *words, cwd=place.path)
    assert done.returncode == 0, done.stderr


def certificate(place, name, common_name, issuer=None):
    """NAME.pem and NAME.key, signed by the issuer, or by themselves."""
    openssl(place, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
    if not issuer:
        openssl(place, "req", "-new", "-x509", "-key", f"{name}.key", "-subj", f"/CN={common_name}", "-days", "2", "-out",
                f"{name}.pem")
        return
    openssl(place, "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={common_name}", "-out", f"{name}.csr")
    place.file("names", f"subjectAltName=DNS:{common_name}\n")
    openssl(place, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem")


def fingerprint(place, name):
    """As RELP's users know it."""
    done = place.run("openssl", "x509", "-in", f"{name}.pem", "-noout", "-fingerprint", "-sha1", cwd=place.path)
    return "SHA1:" + done.stdout.strip().split("=")[1]


def certificates(place):
    certificate(place, "ca", "House authority")
    certificate(place, "server", "server.example.net", "ca")
    certificate(place, "client", "ada.example.net", "ca")


def tls(place, name, auth=None, peer=None):
    words = ['tls="on"']
    if auth:
        words += [f'tls.{what}="{place.file(file)}"' for what, file in
                  (("caCert", "ca.pem"), ("myCert", f"{name}.pem"), ("myPrivKey", f"{name}.key"))]
        words.append(f'tls.authMode="{auth}"')
    if peer:
        words.append(f'tls.permittedPeer="{peer}"')
    return " ".join(words)


# ---------------------------------------------------------------- between all kinds of peers

def check_pair(from_ours, to_ours, receiver_more="", sender_more="", module=""):
    port, inlet = free_port(), free_port()
    with Place() as there, Place() as here:
        to = start(there, receiver(port, receiver_more, module), to_ours)
        by = start(here, sender(inlet, port, sender_more, module), from_ours)
        wait(lambda: is_listening(inlet), "the sender's input")
        Flood(here, f"tcp:127.0.0.1:{inlet}").finish()
        wait_for_all(there.file("out"))
        by.stop()
        to.stop()
        check_whole(there.file("out"))


@promise
def ours_and_ours_understand_each_other():
    check_pair(True, True)


@promise
def we_send_to_debians_rsyslogd():
    check_pair(True, False)


@promise
def debians_rsyslogd_sends_to_us():
    check_pair(False, True)


def check_tls(from_ours, to_ours, library):
    module = f'tls.tlslib="{library}"'
    with Place() as place:
        certificates(place)
        modes = [("certvalid", None, None), ("name", "*.example.net", "server.example.net"),
                 ("fingerprint", fingerprint(place, "client"), fingerprint(place, "server"))]
        for auth, permitted_client, permitted_server in modes:
            # librelp with OpenSSL wants names to compare with in this mode too.
            if auth == "certvalid" and not (from_ours and to_ours):
                permitted_client, permitted_server = "ada.example.net", "server.example.net"
            check_pair(from_ours, to_ours, tls(place, "server", auth, permitted_client),
                       tls(place, "client", auth, permitted_server), module)


@promise
def ours_and_ours_speak_tls_in_every_mode():
    check_tls(True, True, "openssl")
    check_pair(True, True, 'tls="on"', 'tls="on"')


@promise
def every_tls_parameter_of_both_sides_is_understood():
    with Place() as place:
        certificates(place)
        for library, versions in (("gnutls", 'tls.priorityString="NORMAL:-VERS-ALL:+VERS-TLS1.3"'),
                                  ("openssl", 'tls.tlsCfgCmd="MinProtocol=TLSv1.3"')):
            check_pair(True, True,
                       tls(place, "server", "name", "*.example.net") + f' tls.dhBits="2048" tls.compression="off" {versions}',
                       tls(place, "client", "name", "server.example.net") + f' tls.compression="off" {versions}',
                       f'tls.tlslib="{library}"')


@promise
def we_send_over_tls_to_debians_rsyslogd_with_openssl():
    check_tls(True, False, "openssl")


@promise
def we_send_over_tls_to_debians_rsyslogd_with_gnutls():
    check_tls(True, False, "gnutls")


@promise
def debians_rsyslogd_with_openssl_sends_to_us_over_tls():
    check_tls(False, True, "openssl")


@promise
def debians_rsyslogd_with_gnutls_sends_to_us_over_tls():
    check_tls(False, True, "gnutls")


# ---------------------------------------------------------------- who is let in

@promise
def a_sender_that_is_not_permitted_is_refused_until_it_is():
    """A wrong certificate disables nothing for good: mended, and read again on HUP, messages flow."""
    port, inlet = free_port(), free_port()
    with Place() as there, Place() as here:
        certificates(there)
        certificate(there, "stranger", "eve.example.org", "ca")
        for what in "key", "pem":
            os.link(there.file(f"stranger.{what}"), there.file(f"mine.{what}"))
        there.daemon(receiver(port, tls(there, "server", "name", "*.example.net")))
        by = here.daemon(sender(inlet, port, tls(there, "mine", "name", "server.example.net")))
        wait(lambda: is_listening(inlet), "the sender's input")
        Flood(here, f"tcp:127.0.0.1:{inlet}", 100).finish()
        wait(lambda: "no TLS session with 127.0.0.1" in there.read("own"), "the report of the receiver")
        said = there.read("own")
        assert '"CN=eve.example.org"' in said and "add one of its names to the permitted peers" in said, said
        wait(lambda: "action 'relp' suspended" in here.read("own"), "the suspension of the sender's action")
        said = here.read("own")
        assert 'the peer refused our certificate "CN=eve.example.org"' in said and "its own log tells why" in said, said
        assert not marks(there.file("out"))
        for what in "key", "pem":
            os.replace(there.file(f"client.{what}"), there.file(f"mine.{what}"))
        by.hup()
        wait_for_all(there.file("out"), 100)


@promise
def flood_over_tls_ends_when_all_is_acknowledged():
    port = free_port()
    with Place() as place:
        certificates(place)
        place.daemon(receiver(port, tls(place, "server", "certvalid")))
        wait(lambda: is_listening(port), "the receiver")
        report = Flood(place, f"relp+tls:127.0.0.1:{port}", MESSAGES, "--window", "16", "--connections", "3", "--ca",
                       place.file("ca.pem"), "--server-name", "server.example.net", "--cert", place.file("client.pem"),
                       "--key", place.file("client.key"), "--acknowledged", place.file("ledger")).finish()
        assert report["acknowledged"] == MESSAGES and report["connections_lost"] == 0, report
        assert sorted(marks(place.file("ledger"))) == sorted(marks(place.file("out")))


@promise
def a_server_that_is_not_the_one_we_mean_gets_nothing():
    port, inlet = free_port(), free_port()
    with Place() as there, Place() as here:
        certificates(there)
        there.daemon(receiver(port, tls(there, "server", "certvalid")))
        here.daemon(sender(inlet, port, tls(there, "client", "name", "other.example.net")))
        wait(lambda: is_listening(inlet), "the sender's input")
        Flood(here, f"tcp:127.0.0.1:{inlet}", 10).finish()
        wait(lambda: "cannot connect to the remote peer" in here.read("own"), "the report of the sender")
        said = here.read("own")
        assert '"CN=server.example.net"' in said and "add one of its names to the permitted peers" in said, said
        wait(lambda: 'the peer refused our certificate "CN=server.example.net"' in there.read("own"), "the receiver's word")
        assert not marks(there.file("out"))


# ---------------------------------------------------------------- acknowledged means kept

def lost_by_death(place, daemon, port, count):
    """Kills a receiver under load; the messages that it had acknowledged and did not keep."""
    flood = Flood(place, f"relp:127.0.0.1:{port}", 10000000, "--connections", "8", "--acknowledged", place.file("ledger"))
    # By its size: reading it would take longer than writing it.
    wait(lambda: os.path.exists(place.file("out")) and os.path.getsize(place.file("out")) >= count * BYTES_MIN,
         f"{count} messages")
    kill(daemon)
    report = flood.finish()
    acknowledged = marks(place.file("ledger"))
    assert report["connections_lost"] == 8 and report["acknowledged"] == len(acknowledged), report
    return len(acknowledged), sorted(set(acknowledged) - set(marks(place.file("out"))))


@promise
def everything_that_was_acknowledged_survives_the_receivers_death():
    port, acknowledged = free_port(), 0
    for cycle in range(CYCLES):
        with Place() as place:
            count, lost = lost_by_death(place, place.daemon(receiver(port)), port, 1 + cycle * 977 % 9000)
            assert not lost, f"cycle {cycle}: {len(lost)} acknowledged messages are lost, {lost[0]} first"
            acknowledged += count
    assert acknowledged, "nothing was ever acknowledged"


@promise
def a_ledger_shows_what_is_acknowledged_too_early():
    """The control of the promise before: Debian's rsyslogd acknowledges what lies in a queue in memory."""
    port = free_port()
    for _ in range(5):  # on a busy machine the death may come before the first acknowledgement
        with Place() as place:
            in_memory = receiver(port).replace('queue.type="Direct"', 'queue.type="LinkedList" queue.dequeueSlowdown="1000"')
            if lost_by_death(place, Oracle(place, in_memory), port, 100)[1]:
                return
    raise AssertionError("nothing is missing")


@promise
def a_queue_on_disk_acknowledges_and_delivers_after_the_death_what_it_had():
    """The destination is away: nothing could be acknowledged but for the disk."""
    port = free_port()
    config = (OWN + f'module(load="imrelp")\ninput(type="imrelp" port="{port}" address="127.0.0.1" ruleset="in")\n'
              'ruleset(name="in" queue.type="Disk" queue.fileName="kept" queue.spoolDirectory="@DIR@" '
              'queue.syncQueueFiles="on") { ACTION }\n')
    with Place() as place:
        away = config.replace("ACTION", f'action(type="omfwd" target="127.0.0.1" port="{free_port()}" protocol="tcp" {KEPT})')
        first = place.daemon(away)
        flood = Flood(place, f"relp:127.0.0.1:{port}", 20000, "--connections", "8", "--acknowledged", place.file("ledger"))
        assert flood.finish()["acknowledged"] == 20000
        kill(first)
        os.unlink(place.file("pid"))
        place.daemon(config.replace("ACTION", 'action(type="omfile" file="@DIR@/out" template="m")'))
        wait_for_all(place.file("out"), 20000)
        assert set(marks(place.file("ledger"))) <= set(marks(place.file("out")))


@promise
def a_synced_queue_on_disk_survives_death_after_death_under_load():
    """One spool for all: what one death leaves behind, the next life delivers, takes more, and dies."""
    with Place() as place:
        os.mkdir(place.file("spool"))
        deaths = Deaths(place, place.file("spool"))
        for cycle in range(CYCLES):
            deaths.begin()
            deaths.load(cycle * 977 % 9000)
            deaths.end()
        deaths.begin()
        assert deaths.daemon.stop() == 0
        print(f"# {CYCLES} deaths, {deaths.acknowledged} acknowledged, at most {deaths.twice} twice after one", flush=True)


@promise
def everything_that_was_acknowledged_passes_a_relay_that_dies():
    """The relay has nothing but memory: it acknowledges what the next one has acknowledged."""
    inlet, port = free_port(), free_port()
    with Place() as there, Place() as here:
        there.daemon(receiver(port))
        middle = here.daemon(relay(inlet, port))
        flood = Flood(here, f"relp:127.0.0.1:{inlet}", 10000000, "--rate", "100000", "--connections", "4",
                      "--acknowledged", here.file("ledger"))
        wait_for_some(there.file("out"), 5000)
        kill(middle)
        assert flood.finish()["acknowledged"] > 0
        missing = set(marks(here.file("ledger"))) - set(marks(there.file("out")))
        assert not missing, f"{len(missing)} acknowledged messages are lost"


def check_deaths_of_receiver(from_ours, to_ours, deaths):
    """The sender stays and sends again; the receiver dies again and again in the middle of the load."""
    port, inlet = free_port(), free_port()
    with Place() as there, Place() as here:
        to = start(there, receiver(port), to_ours)
        start(here, sender(inlet, port), from_ours)
        wait(lambda: is_listening(inlet), "the sender's input")
        flood = Flood(here, f"tcp:127.0.0.1:{inlet}", MESSAGES, "--rate", "10000")
        for death in range(deaths):
            wait_for_some(there.file("out"), (death + 1) * MESSAGES // (deaths + 2))
            kill(to)
            os.unlink(there.file("pid" if to_ours else "oracle.pid"))
            to = start(there, receiver(port), to_ours)
        flood.finish()
        wait_for_all(there.file("out"))
        return len(marks(there.file("out"))) - MESSAGES


@promise
def our_receiver_may_die_again_and_again():
    assert check_deaths_of_receiver(True, True, 4) <= 4 * 128, "more came twice than was unacknowledged"


@promise
def debians_receiver_may_die_and_we_send_again():
    check_deaths_of_receiver(True, False, 2)


@promise
def our_receiver_may_die_and_debian_sends_again():
    check_deaths_of_receiver(False, True, 2)


@promise
def a_receiver_that_is_restarted_in_order_gets_nothing_twice():
    port, inlet = free_port(), free_port()
    with Place() as there, Place() as here:
        to = there.daemon(receiver(port))
        here.daemon(sender(inlet, port))
        flood = Flood(here, f"tcp:127.0.0.1:{inlet}", MESSAGES, "--rate", "10000")
        for restart in range(3):
            wait_for_some(there.file("out"), (restart + 1) * MESSAGES // 5)
            to.stop()
            to = there.daemon(receiver(port))
        flood.finish()
        wait_for_all(there.file("out"))
        check_whole(there.file("out"))


class Server(threading.Thread):
    """A RELP server that breaks sessions, and knows what it acknowledged before it did."""

    def __init__(self, breaks):
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.breaks = breaks
        self.sessions = []
        self.start()

    def run(self):
        while True:
            connection = self.listening.accept()[0]
            heard, acknowledged = [], []
            self.sessions.append((heard, acknowledged))
            limit = self.breaks.pop(0) if self.breaks else None
            with connection.makefile("rb") as stream, contextlib.suppress(TimeoutError):
                self.serve(connection, stream, heard, acknowledged, limit)
            self.wait_until_sent(connection)
            connection.close()

    @staticmethod
    def wait_until_sent(connection):
        """What the kernel still holds when a session is broken off was never acknowledged."""
        wait(lambda: struct.unpack("i", fcntl.ioctl(connection, SIOCOUTQ, b"0000"))[0] == 0, "the answers to leave")

    @staticmethod
    def serve(connection, stream, heard, acknowledged, limit):
        """Acknowledges `limit` messages, reads on for a while, and breaks off; None: never."""
        while header := stream.read(1):
            while not re.fullmatch(rb"\d+ \w+ (\d+) |\d+ \w+ 0\n", header):
                header += stream.read(1)
            number, command, size = header.split()
            data = stream.read(int(size)) if int(size) else b""
            if int(size):
                stream.read(1)
            if command == b"open":
                connection.sendall(number + b" rsp 37 200 OK\nrelp_version=0\ncommands=syslog\n")
            elif command == b"close":
                connection.sendall(number + b" rsp 0\n")
                return
            else:
                heard.append(marks_in(data))
                if limit is None or len(acknowledged) < limit:
                    acknowledged.append(heard[-1])
                    connection.sendall(number + b" rsp 6 200 OK\n")
                    # The sender may have less than that before it wants an answer.
                    connection.settimeout(SILENCE_SECONDS if len(acknowledged) == limit else None)
                elif len(heard) >= limit + 50:
                    return


def marks_in(data):
    return re.search(rb"seq=(\d+:\d+)", data).group(1)


@promise
def what_was_acknowledged_is_never_sent_again_and_all_else_is_in_order():
    server, inlet = Server([1, 200, 77, 1000, 3]), free_port()
    with Place() as here:
        here.daemon(sender(inlet, server.port))
        wait(lambda: is_listening(inlet), "the sender's input")
        Flood(here, f"tcp:127.0.0.1:{inlet}", MESSAGES).finish()
        wait(lambda: sum(len(done) for _, done in server.sessions) >= MESSAGES, "all acknowledged")
        all_done = [mark for _, done in server.sessions for mark in done]
        assert all_done == sorted(set(all_done)), "acknowledged twice, or out of order"
        assert len(server.sessions) == 6, [len(done) for _, done in server.sessions]
        for (heard, done), (later, _) in zip(server.sessions, server.sessions[1:]):
            assert heard[:len(done)] == done
            unacknowledged = heard[len(done):]
            assert later[:len(unacknowledged)] == unacknowledged, "what was not acknowledged is sent again first"


# ---------------------------------------------------------------- back-pressure

@promise
def a_receiver_that_cannot_deliver_acknowledges_nothing_and_stays_small():
    port, away = free_port(), free_port()
    with Place() as place:
        daemon = place.daemon(OWN + f"""
module(load="imrelp")
input(type="imrelp" port="{port}" address="127.0.0.1" ruleset="in")
ruleset(name="in") {{ action(type="omfwd" target="127.0.0.1" port="{away}" protocol="tcp" template="m" {KEPT}) }}
""")
        before = memory_bytes(daemon.pid())
        flood = Flood(place, f"relp:127.0.0.1:{port}", 10000000, "--duration", "2", "--connections", "50", "--window",
                      "1000")
        report = flood.finish()
        assert report["acknowledged"] == 0 and report["sent"] <= 50 * 1000, report
        assert memory_bytes(daemon.pid()) - before < 100 << 20, memory_bytes(daemon.pid())
        assert daemon.stop() == 0


run()
