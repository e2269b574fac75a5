#!/usr/bin/env python3
"""TLS: who is let in and who is not and why, between our own programs and with Debian's rsyslogd on either side.

The other side is Python's ssl where a test needs to see what went over the wire, and the unpacked oracle
(PENSTOCK_ORACLE, see tests/oracle) with its gtls and ossl drivers where it proves that we understand each other.
"""
import contextlib
import glob
import os
import signal
import socket
import ssl
import subprocess
import threading

from harness import PATIENCE_SECONDS, Place, argument, numbered, promise, read, run, wait, Skip

TEMPLATE = 'template(name="m" type="string" string="%msg%\\n")\n'
OWN = 'global(processInternalMessages="on")\n' + TEMPLATE


class Certificates:
    """An authority and what it signs, as NAME.pem and NAME.key in a test's directory."""

    def __init__(self, place):
        self.place = place
        self.authority("ca")

    def openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.place.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def key(self, name):
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")

    def authority(self, name):
        self.key(name)
        self.openssl("req", "-new", "-x509", "-key", f"{name}.key", "-subj", f"/CN=House {name}", "-days", "2",
                     "-out", f"{name}.pem")

    def make(self, name, common_name, issuer="ca", days=2, extensions=None):
        """`days` below 0: it has expired. `extensions`: of openssl-x509(1), instead of a name like the common one."""
        self.key(name)
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={common_name}", "-out", f"{name}.csr")
        self.place.file(f"{name}.ext", extensions or f"subjectAltName=DNS:{common_name}\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                     "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem")

    def fingerprint(self, name):
        said = self.openssl("x509", "-in", f"{name}.pem", "-noout", "-fingerprint", "-sha256")
        return "SHA256:" + said.strip().split("=")[1]

    def revoke(self, name, issuer="ca"):
        """crl.pem: the issuer's list with everything that was revoked so far."""
        self.place.file("crl.conf", f"[ca]\ndefault_ca=c\n[c]\ndatabase=@DIR@/index\ndefault_md=sha256\n"
                        f"certificate=@DIR@/{issuer}.pem\nprivate_key=@DIR@/{issuer}.key\ndefault_crl_days=2\n")
        if not os.path.exists(self.place.file("index")):
            self.place.file("index", "")
        if name:
            self.openssl("ca", "-config", "crl.conf", "-revoke", f"{name}.pem")
        self.openssl("ca", "-config", "crl.conf", "-gencrl", "-out", "crl.pem")


def files(name, prefix="StreamDriver.", ca="ca"):
    return f'{prefix}CAFile="@DIR@/{ca}.pem" {prefix}CertFile="@DIR@/{name}.pem" {prefix}KeyFile="@DIR@/{name}.key"'


def listener(auth="x509/certvalid", driver="ossl", more="", certificate="server"):
    return (OWN + 'module(load="imtcp")\n'
            'ruleset(name="in") { action(type="omfile" file="@DIR@/out" template="m") }\n'
            'input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="in" '
            f'StreamDriver.Name="{driver}" StreamDriver.Mode="1" StreamDriver.AuthMode="{auth}" {files(certificate)} '
            f'{more})\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')


def forwarder(port, auth="x509/certvalid", driver="ossl", more="", certificate="client", target="127.0.0.1"):
    return (OWN + 'module(load="imtcp")\n'
            'input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/in" ruleset="out")\n'
            'template(name="f" type="string" string="<%pri%>Oct 11 22:14:15 host tag:%msg%\\n")\n'
            f'ruleset(name="out") {{ action(type="omfwd" target="{target}" port="{port}" protocol="tcp" template="f" '
            f'StreamDriver="{driver}" StreamDriverMode="1" StreamDriverAuthMode="{auth}" {files(certificate)} '
            f'queue.type="LinkedList" action.resumeInterval="1" action.resumeRetryCount="-1" {more}) }}\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')


class Sender:
    """A client of Python's ssl."""

    def __init__(self, place, port, certificate=None, name="server.example.net"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(place.file(f"{certificate}.pem"), place.file(f"{certificate}.key"))
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self.secure = context.wrap_socket(plain, server_hostname=name)

    def send(self, text):
        self.secure.sendall(text.encode())

    def close(self):
        with contextlib.suppress(OSError):
            self.secure.unwrap()
        self.secure.close()

    def is_refused(self):
        """The server ends it; whether the alert or the end comes first is the network's affair."""
        try:
            return self.secure.recv(1) == b""
        except OSError:
            return True


def numbers(first, count):
    return "".join(f" {i}\n" for i in range(first, first + count))


def send_plain(place, first, count, name="in"):
    port = int(wait(lambda: place.read(name), f"the port file {name}"))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(numbered(first, count).encode())


@contextlib.contextmanager
def two_places():
    """A server's directory and a client's, with the same certificates."""
    with Place() as server, Place() as client:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.make("client", "ada.example.net")
        share(server, client)
        yield server, client, made


def share(server, client):
    for path in glob.glob(server.file("*.pem")) + glob.glob(server.file("*.key")):
        subprocess.run(["cp", path, client.path], check=True)


def expect(place, name, *words):
    """A line of the file has all of the words."""
    wait(lambda: any(all(word in line for word in words) for line in place.lines(name)),
         f"{words} in {name}:\n{place.read(name)}")


# ---- Between our own -----------------------------------------------------


@promise
def messages_arrive_whole_and_in_order():
    with two_places() as (server, client, _):
        to = server.daemon(listener("x509/name", more='PermittedPeer="*.example.net"'))
        by = client.daemon(forwarder(to.port("port"), "x509/name",
                                     more='StreamDriverPermittedPeers="server.example.net"'))
        send_plain(client, 0, 20000)
        wait(lambda: server.read("out").count("\n") == 20000, "all messages")
        assert server.read("out") == numbers(0, 20000)
        assert by.stop() == 0 and to.stop() == 0


@promise
def a_session_is_described_when_openings_are_told():
    with two_places() as (server, client, _):
        to = server.daemon(listener(more='NotifyOnConnectionOpen="on"'))
        client.daemon(forwarder(to.port("port")))
        send_plain(client, 0, 1)
        expect(server, "own", "imtcp: TLS session 1 with host", "TLSv1.3, TLS_AES_256_GCM_SHA384, peer CN=ada.example.net")


@promise
def what_was_taken_before_a_stop_arrives():
    with two_places() as (server, client, _):
        to = server.daemon(listener())
        for turn in range(5):
            by = client.daemon(forwarder(to.port("port")))
            send_plain(client, turn * 2000, 2000)
            client_port = client.file("in")
            wait(lambda turn=turn: server.read("out").count("\n") > turn * 2000, "some messages")
            assert by.stop() == 0
            os.unlink(client_port)
            wait(lambda turn=turn: server.read("out").count("\n") == (turn + 1) * 2000, "the messages before the stop")
        assert server.read("out") == numbers(0, 10000)
        assert to.stop() == 0


@promise
def a_compressed_stream_travels_under_tls():
    for driver in "zlib", "zstd":
        how = f'compression.mode="stream:always" compression.driver="{driver}"'
        with two_places() as (server, client, _):
            to = server.daemon(listener(more=how))
            client.daemon(forwarder(to.port("port"), more=how))
            send_plain(client, 0, 3000)
            wait(lambda: server.read("out") == numbers(0, 3000), "all messages")


@promise
def a_peer_that_goes_away_is_met_again():
    with two_places() as (server, client, _):
        to = server.daemon(listener())
        port = to.port("port")
        client.daemon(forwarder(port))
        send_plain(client, 0, 100)
        wait(lambda: server.read("out") == numbers(0, 100), "the first messages")
        assert to.stop() == 0
        again = server.daemon(listener().replace('port="0"', f'port="{port}"'))
        send_plain(client, 100, 100)
        wait(lambda: server.read("out") == numbers(0, 200), "the others")
        assert again.stop() == 0


@promise
def openssl_is_loaded_by_those_alone_who_want_it():
    with two_places() as (server, client, _):
        plain = client.daemon(OWN + 'module(load="imtcp")\ninput(type="imtcp" port="0" '
                              'listenPortFileName="@DIR@/in" address="127.0.0.1")\n*.* @DIR@/own\n')
        plain.port("in")
        assert b"libssl" not in read(f"/proc/{plain.pid()}/maps")
        secure = server.daemon(listener())
        secure.port("port")
        assert b"libssl" in read(f"/proc/{secure.pid()}/maps")


# ---- Who is let in -------------------------------------------------------


def check_senders(server, to, good, bad, words):
    """`good` certificates (None: none at all) are let in; of the others each is refused in these words."""
    port = to.port("port")
    for number, name in enumerate(good):
        sender = Sender(server, port, name)
        sender.send(numbered(number, 1))
        wait(lambda number=number: server.read("out") == numbers(0, number + 1), f"the message of {name}")
        sender.close()
    for name in bad:
        with contextlib.suppress(OSError):
            sender = Sender(server, port, name)
            assert sender.is_refused()
        expect(server, "own", "imtcp: TLS session", "127.0.0.1", "is refused", *words[name])


@promise
def anon_lets_everybody_in():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.authority("other")
        made.make("stranger", "mallory", "other")
        check_senders(server, server.daemon(listener("anon")), [None, "stranger"], [], {})


@promise
def certvalid_wants_a_certificate_of_our_authorities():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.make("any", "whoever")
        made.authority("other")
        made.make("stranger", "mallory", "other")
        check_senders(server, server.daemon(listener("x509/certvalid")), ["any"], [None, "stranger"],
                      {None: ["shown no certificate", "authmode anon"],
                       "stranger": ['"CN=mallory" (issued by "CN=House other")', "CA file"]})


@promise
def name_wants_a_permitted_name_as_well():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.make("good", "ada.example.net")
        made.make("deep", "a.b.example.net")
        made.make("other", "ada.example.org")
        check_senders(server, server.daemon(listener("x509/name", more='PermittedPeer=["zuse","*.example.net"]')),
                      ["good"], ["deep", "other"],
                      {"deep": ["made out to DNS a.b.example.net", "none of these is a permitted peer",
                                "add one of its names to the permitted peers"],
                       "other": ["ada.example.org"]})


@promise
def fingerprint_wants_the_very_certificate():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.authority("self")
        made.make("other", "ada.example.net")
        check_senders(server, server.daemon(listener("x509/fingerprint",
                                                     more=f'PermittedPeer="{made.fingerprint("self")}"')),
                      ["self"], ["other"], {"other": ["fingerprint is not permitted", made.fingerprint("other")]})


@promise
def expired_certificates_are_refused_let_in_or_told():
    for mode in ("off", "on", "warn"):
        with Place() as server:
            made = Certificates(server)
            made.make("server", "server.example.net")
            made.make("old", "old.example.net", days=-1)
            to = server.daemon(listener(more=f'StreamDriver.PermitExpiredCerts="{mode}"'))
            if mode == "off":
                check_senders(server, to, [], ["old"], {"old": ["certificate has expired on", "PermitExpiredCerts"]})
            else:
                check_senders(server, to, ["old"], [], {})
            if mode == "warn":
                expect(server, "own", '"CN=old.example.net"', "expired on", "was let in")
            assert to.stop() == 0
            assert mode != "on" or "expired" not in server.read("own")


@promise
def revoked_certificates_are_refused_after_a_hup():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.make("good", "good.example.net")
        made.make("bad", "bad.example.net")
        made.revoke(None)
        to = server.daemon(listener(more='StreamDriver.CRLFile="@DIR@/crl.pem"'))
        check_senders(server, to, ["good", "bad"], [], {})
        made.revoke("bad")
        to.hup()
        port = to.port("port")

        def is_revoked():
            with contextlib.suppress(OSError):
                Sender(server, port, "bad").close()
            return "certificate revoked" in server.read("own")
        wait(is_revoked, "the refusal")
        sender = Sender(server, port, "good")
        sender.send(numbered(2, 1))
        wait(lambda: server.read("out") == numbers(0, 3), "the message of the good one")


@promise
def plain_text_on_a_tls_port_is_refused_in_plain_words():
    with Place() as server:
        Certificates(server).make("server", "server.example.net")
        to = server.daemon(listener())
        with socket.create_connection(("127.0.0.1", to.port("port"))) as connection:
            connection.sendall(numbered(0, 1).encode())
            with contextlib.suppress(ConnectionError):
                while connection.recv(100):
                    pass
        expect(server, "own", "is not TLS", "stream driver mode")
        assert server.read("out") == ""


@promise
def a_client_that_says_nothing_holds_nobody_up():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.make("good", "good.example.net")
        to = server.daemon(listener())
        port = to.port("port")
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(10):  # the begin of a hello, and then nothing
                stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"\x16\x03\x01\x02\x00\x01")
            check_senders(server, to, ["good"], [], {})
        assert to.stop() == 0


@promise
def a_connection_that_yields_to_others_forgets_nothing():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        made.make("good", "good.example.net")
        to = server.daemon(listener().replace('module(load="imtcp")',
                                              'module(load="imtcp" starvationProtection.maxReads="1")'))
        sender = Sender(server, to.port("port"), "good")
        sender.send(numbered(0, 30000))
        wait(lambda: server.read("out").count("\n") == 30000, "all messages, though the connection stays open")
        assert server.read("out") == numbers(0, 30000)
        sender.close()


# ---- Whom we send to -----------------------------------------------------


@promise
def a_server_that_is_not_the_one_wanted_gets_nothing():
    with two_places() as (server, client, made):
        made.authority("other")
        share(server, client)
        to = server.daemon(listener("anon"))
        port = to.port("port")
        cases = [
            ("x509/name", 'StreamDriverPermittedPeers="log.example.net"', "ca", ["made out to DNS server.example.net"]),
            ("x509/name", "", "ca", ['not to "127.0.0.1"']),
            ("x509/certvalid", "", "other", ["issued by", "House ca", "CA file"]),
            ("x509/fingerprint", f'StreamDriverPermittedPeers="{made.fingerprint("client")}"', "ca",
             ["fingerprint is not permitted", made.fingerprint("server")]),
        ]
        for auth, more, authority, words in cases:
            config = forwarder(port, auth, more=more).replace('CAFile="@DIR@/ca.pem"', f'CAFile="@DIR@/{authority}.pem"')
            by = client.daemon(config)
            send_plain(client, 0, 1)
            expect(client, "own", f"omfwd: no TLS session with 127.0.0.1:{port}", *words)
            expect(server, "own", "is refused: the peer refused our certificate \"CN=server.example.net\"",
                   "its own log tells why")
            assert by.stop() == 0
            os.unlink(server.file("own"))
            to.hup()
            for name in ("in", "own"):
                os.unlink(client.file(name))
        assert server.read("out") == ""


def special_certificates(made):
    """Each is refused for a parameter's sake, and let in without it: NAME, the parameter, words of the refusal."""
    made.make("otherwise", "ada.example.net", extensions="subjectAltName=DNS:eve.example.org\n")
    made.make("misused", "ada.example.net", extensions="extendedKeyUsage=codeSigning\n")
    for name, issuer in (("upper", "ca"), ("lower", "upper")):
        made.make(name, f"House {name}", issuer, extensions="basicConstraints=critical,CA:TRUE\n")
    made.make("deep", "ada.example.net", "lower")
    with open(made.place.file("deep.pem"), "a", encoding="ascii") as chain:
        chain.write(made.place.read("lower.pem") + made.place.read("upper.pem"))
    made.make("revoked", "ada.example.net")
    made.revoke("revoked")
    return [("otherwise", 'StreamDriver.PrioritizeSAN="on"', ["made out to DNS eve.example.org"]),
            ("misused", 'StreamDriver.CheckExtendedKeyPurpose="on"', ["extended key usage"]),
            ("deep", 'StreamDriver.TlsVerifyDepth="1"', ["raise the verify depth"]),
            ("revoked", 'StreamDriver.CRLFile="@DIR@/crl.pem"', ["certificate revoked"])]


@promise
def each_parameter_of_a_listener_refuses_what_it_is_there_for():
    with Place() as server:
        made = Certificates(server)
        made.make("server", "server.example.net")
        cases = special_certificates(made)
        cases.append(("deep", 'StreamDriver.TlsRevocationCheck="on" StreamDriver.CRLFile="@DIR@/crl.pem"', ["CRL"]))
        permitted = ' PermittedPeer="ada.example.net"'
        for name, parameter, words in cases:
            for refuses in (True, False):
                to = server.daemon(listener("x509/name", more=permitted + " " + (parameter if refuses else "")))
                good, bad = ([], [name]) if refuses else ([name], [])
                check_senders(server, to, good, bad, {name: words})
                assert to.stop() == 0
                for file in ("port", "own", "out"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(server.file(file))


@promise
def each_parameter_of_an_action_refuses_what_it_is_there_for():
    with two_places() as (server, client, made):
        cases = special_certificates(made)
        made.authority("alien")
        made.make("foreign", "ada.example.net", "alien")
        cases.append(("foreign", "", ["CA file"]))
        share(server, client)
        permitted = ' StreamDriverPermittedPeers="ada.example.net" '
        for name, parameter, words in cases:
            to = server.daemon(listener("anon", certificate=name))
            port = to.port("port")
            for refuses in (True, False):
                more = parameter if refuses else 'StreamDriver.CAExtraFiles="@DIR@/alien.pem"'
                by = client.daemon(forwarder(port, "x509/name", more=permitted + more))
                send_plain(client, 7, 1)
                if refuses:
                    expect(client, "own", f"omfwd: no TLS session with 127.0.0.1:{port}", *words)
                else:
                    wait(lambda: server.read("out") == numbers(7, 1), f"the message to {name}")
                assert by.stop() == 0
                for file in ("in", "own"):
                    os.unlink(client.file(file))
            assert to.stop() == 0
            for file in ("port", "out"):
                os.unlink(server.file(file))


@promise
def each_driver_and_every_way_to_write_its_parameters_is_understood():
    priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"
    for driver in ("gtls", "ossl", "mbedtls"):
        with two_places() as (server, client, made):
            made.revoke(None)
            share(server, client)
            both = ('StreamDriver.PermitExpiredCerts="warn" StreamDriver.CheckExtendedKeyPurpose="on" '
                    'StreamDriver.PrioritizeSAN="on" StreamDriver.TlsVerifyDepth="4" '
                    f'StreamDriver.CRLFile="@DIR@/crl.pem" gnutlsPriorityString="{priority}" ')
            to = server.daemon(listener("x509/name", driver, both + 'PermittedPeer="ada.example.net" '
                                        'StreamDriver.TlsRevocationCheck="on"'))
            config = forwarder(to.port("port"), "x509/name", driver, both + 'StreamDriverPermittedPeers="*.example.net" '
                               'StreamDriver.RemoteSNI="server.example.net" StreamDriver.CAExtraFiles="@DIR@/ca.pem"')
            for short in ("Mode", "AuthMode"):
                config = config.replace(f"StreamDriver{short}=", f"StreamDriver.{short}=")
            by = client.daemon(config.replace(f'StreamDriver="{driver}"', f'StreamDriver.Name="{driver}"'))
            send_plain(client, 0, 3)
            wait(lambda server=server: server.read("out") == numbers(0, 3), f"messages with {driver}")
            assert by.stop() == 0 and to.stop() == 0
    with two_places() as (server, client, _):
        plain = listener(driver="ptcp").replace('StreamDriver.Mode="1"', 'StreamDriver.Mode="0"')
        to = server.daemon(plain.replace("x509/certvalid", "anon"))
        config = forwarder(to.port("port"), "anon", "ptcp").replace('StreamDriverMode="1"', 'StreamDriverMode="0"')
        share(server, client)
        by = client.daemon(config)
        send_plain(client, 0, 3)
        wait(lambda: server.read("out") == numbers(0, 3), "messages in the clear with ptcp")
        assert by.stop() == 0 and to.stop() == 0


@promise
def who_is_refused_tries_again_until_it_is_not():
    """A bad certificate of ours never disables the action for good, and no message is lost to it."""
    with two_places() as (server, client, made):
        made.authority("other")
        made.make("stranger", "mallory", "other")
        for end in ("pem", "key"):
            subprocess.run(["cp", server.file(f"stranger.{end}"), client.file(f"client.{end}")], check=True)
        to = server.daemon(listener())
        by = client.daemon(forwarder(to.port("port")))
        send_plain(client, 0, 500)
        expect(server, "own", "is refused", "mallory")
        expect(client, "own", "omfwd: no TLS session with", "the peer refused our certificate", "mallory")
        share(server, client)
        by.hup()
        wait(lambda: server.read("out") == numbers(0, 500), "every message")


@promise
def files_that_are_missing_heal_without_a_hup_in_an_action():
    with two_places() as (server, client, _):
        to = server.daemon(listener())
        os.rename(client.file("client.key"), client.file("away"))
        client.daemon(forwarder(to.port("port")))
        send_plain(client, 0, 10)
        expect(client, "own", "the private key", "client.key cannot be read: No such file")
        os.rename(client.file("away"), client.file("client.key"))
        wait(lambda: server.read("out") == numbers(0, 10), "every message")


@promise
def a_listener_without_certificates_refuses_until_hup_brings_them():
    with two_places() as (server, _, made):
        os.rename(server.file("server.pem"), server.file("away"))
        to = server.daemon(listener())
        expect(server, "own", "imtcp: the certificate", "server.pem cannot be read: No such file",
               "TLS connections are refused until the files are right and HUP comes")
        with contextlib.suppress(OSError):
            assert Sender(server, to.port("port"), "client").is_refused()
        expect(server, "own", "are refused, because our own certificates could not be read")
        os.rename(server.file("away"), server.file("server.pem"))
        to.hup()
        expect(server, "own", "the certificates can be used now")
        check_senders(server, to, ["client"], [], {})
        made.make("server", "new.example.net")
        to.hup()

        def is_new():
            sender = Sender(server, to.port("port"), "client")
            der = sender.secure.getpeercert(True)
            sender.close()
            return der == ssl.PEM_cert_to_DER_cert(server.read("server.pem"))
        wait(is_new, "the new certificate")
        server.file("server.key", "no key\n")
        to.hup()
        expect(server, "own", "the private key", "cannot be used", "the certificates read before stay in use")
        assert is_new()


@promise
def the_name_that_is_asked_for_is_the_targets_or_the_one_configured():
    try:
        socket.getaddrinfo("localhost", None, socket.AF_INET)
    except OSError as error:
        raise Skip(f"localhost has no address here: {error}") from error
    for more, target, wanted in (("", "localhost", "localhost"), ('StreamDriverRemoteSNI="log.example.net"', "127.0.0.1",
                                                                  "log.example.net"), ("", "127.0.0.1", None)):
        with two_places() as (server, client, _):
            asked = []
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(server.file("server.pem"), server.file("server.key"))
            context.sni_callback = lambda _, name, __, asked=asked: asked.append(name)
            with socket.create_server(("127.0.0.1", 0)) as listening:
                got = []

                def serve(listening=listening, context=context, got=got):
                    with contextlib.suppress(OSError):
                        plain, _ = listening.accept()
                        with context.wrap_socket(plain, server_side=True) as secure:
                            got.append(secure.recv(100))
                thread = threading.Thread(target=serve)
                thread.start()
                client.daemon(forwarder(listening.getsockname()[1], more=more, target=target))
                send_plain(client, 7, 1)
                wait(lambda got=got: got, "the message")
                thread.join(PATIENCE_SECONDS)
            assert got == [b"<13>Oct 11 22:14:15 host tag: 7\n"], got
            assert asked == [wanted], asked


@promise
def versions_are_chosen_in_both_languages():
    for priority, version in (("NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLSv1.2"), ("MinProtocol=TLSv1.3", "TLSv1.3")):
        with two_places() as (server, _, __):
            to = server.daemon(listener(more=f'gnutlsPriorityString="{priority}"'))
            sender = Sender(server, to.port("port"), "client")
            assert sender.secure.version() == version
            sender.close()


# ---- The rest of the house -----------------------------------------------


@promise
def global_files_serve_where_objects_name_none():
    with two_places() as (server, _, made):
        made.authority("other")
        made.make("friend", "friend.example.net", "other")
        made.make("revoked", "revoked.example.net")
        made.revoke("revoked")
        to = server.daemon(
            'global(defaultNetstreamDriver="gtls" ' + files("server", "defaultNetstreamDriver")
            + ' defaultNetstreamDriverCRLFile="@DIR@/crl.pem" netstreamDriverCAExtraFiles="@DIR@/other.pem")\n' + OWN
            + 'module(load="imtcp" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/name" '
            'PermittedPeer=["*.example.net"])\n'
            'input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="in")\n'
            'ruleset(name="in") { action(type="omfile" file="@DIR@/out" template="m") }\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')
        check_senders(server, to, ["client", "friend"], ["revoked"], {"revoked": ["certificate revoked"]})


@promise
def legacy_directives_do_the_same():
    with two_places() as (server, client, _):
        to = server.daemon(
            "$DefaultNetstreamDriver gtls\n$DefaultNetstreamDriverCAFile @DIR@/ca.pem\n"
            "$DefaultNetstreamDriverCertFile @DIR@/server.pem\n$DefaultNetstreamDriverKeyFile @DIR@/server.key\n"
            "$ModLoad imtcp\n$InputTCPServerStreamDriverMode 1\n$InputTCPServerStreamDriverAuthMode x509/name\n"
            "$InputTCPServerStreamDriverPermittedPeer *.example.net\n$InputTCPServerListenPortFile @DIR@/port\n"
            '$InputTCPServerRun 0\n$template m,"%msg%\\n"\n:syslogtag, isequal, "tag:" @DIR@/out;m\n')
        client.daemon(
            "$DefaultNetstreamDriver gtls\n$DefaultNetstreamDriverCAFile @DIR@/ca.pem\n"
            "$DefaultNetstreamDriverCertFile @DIR@/client.pem\n$DefaultNetstreamDriverKeyFile @DIR@/client.key\n"
            "$ModLoad imtcp\n$InputTCPServerListenPortFile @DIR@/in\n$InputTCPServerRun 0\n"
            "$ActionSendStreamDriverMode 1\n$ActionSendStreamDriverAuthMode x509/name\n"
            "$ActionSendStreamDriverPermittedPeer server.example.net\n"
            f':syslogtag, isequal, "tag:" @@127.0.0.1:{to.port("port")}\n')
        send_plain(client, 0, 10)
        wait(lambda: server.read("out") == numbers(0, 10), "the messages")


@promise
def imdiag_speaks_tls_too():
    with two_places() as (server, _, __):
        to = server.daemon(
            'global(defaultNetstreamDriver="ossl" ' + files("server", "defaultNetstreamDriver") + ")\n" + OWN
            + 'module(load="imdiag" listenPortFileName="@DIR@/diag" serverRun="0" ServerStreamDriverMode="1" '
            'ServerStreamDriverAuthMode="x509/name" ServerStreamDriverPermittedPeer="ada.example.net")\n'
            'if $inputname == "imdiag" then action(type="omfile" file="@DIR@/out" template="m")\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')
        sender = Sender(server, to.port("diag"), "client")
        answers = sender.secure.makefile("r")
        sender.send("injectmsg 0 3\n")
        assert answers.readline() == "3 messages injected\n"
        sender.send("injectmsg literal <13>Oct 11 22:14:15 h t: a\ninjectmsg literal <13>Oct 11 22:14:15 h t: b\n")
        assert [answers.readline(), answers.readline()] == ["1 messages injected\n"] * 2
        wait(lambda: server.read("out").count("\n") == 5, "what was injected")
        with contextlib.suppress(OSError):
            assert Sender(server, to.port("diag"), "server").is_refused()
        expect(server, "own", "imdiag: a TLS session is refused", "server.example.net")


@promise
def what_cannot_be_secure_does_not_run_in_the_clear():
    with two_places() as (server, _, __):
        mistakes = [
            ("StreamDriver.Name=\"ptcp\"", "driver mode 1 not supported by ptcp"),
            ("StreamDriver.Name=\"osll\"", 'there is no stream driver "osll"'),
            ("StreamDriver.Name=\"ossl\" StreamDriver.AuthMode=\"x509/nam\"", "authentication mode 'x509/nam'"),
            ("StreamDriver.Name=\"ossl\" gnutlsPriorityString=\"NORMAL:+AES-256-GCN\"", "did you mean AES-256-GCM?"),
            ("StreamDriver.Name=\"ossl\" StreamDriver.AuthMode=\"x509/name\" PermittedPeer=\"srv*Fix.net\"",
             "can match nobody"),
        ]
        for words, complaint in mistakes:
            config = server.file("check.conf", 'module(load="imtcp")\ninput(type="imtcp" port="10514" '
                                 f'StreamDriver.Mode="1" {words})\n*.* @DIR@/x\n')
            done = server.run(argument("daemon"), "-N1", "-f", config)
            assert done.returncode == 1 and complaint in done.stderr, (words, done.stderr)


# ---- penstock flood ------------------------------------------------------


def flood(place, port, *more, target="tls"):
    return place.run(argument("penstock"), "flood", "--sequence", *more, f"{target}:127.0.0.1:{port}", cwd=place.path)


@promise
def flood_sends_over_tls_to_the_server_it_trusts_and_no_other():
    """All of what it sent arrives, down to the last message before it hangs up; what it does not trust gets nothing."""
    trusted = "--ca", "ca.pem", "--server-name", "server.example.net", "--cert", "client.pem", "--key", "client.key"
    sent = "--messages", "30000", "--connections", "3"
    with two_places() as (place, _, made):
        made.authority("stranger")
        place.daemon(listener())
        port = wait(lambda: place.read("port"), "the port")
        done = flood(place, port, *sent, *trusted)
        assert done.returncode == 0, done.stderr
        wait(lambda: place.read("out").count("seq=") >= 30000, "all messages")
        checked = place.run(argument("penstock"), "flood", "verify", *sent, place.file("out"))
        assert checked.returncode == 0, checked.stdout
        assert flood(place, port, "--messages", "1", *trusted).returncode == 0
        wait(lambda: place.read("out").count("seq=") == 30001, "the last message")
        for wrong, why in ((("--ca", "ca.pem"), "127.0.0.1"),
                           (("--ca", "stranger.pem", "--server-name", "server.example.net"), "certificate"),
                           (("--ca", "nothing.pem"), "nothing.pem")):
            done = flood(place, port, "--messages", "10", *wrong)
            assert done.returncode == 1 and why in done.stderr, (wrong, done.stderr)
        assert place.read("out").count("seq=") == 30001


@promise
def flood_trusts_whom_it_cannot_name_only_when_told_to():
    with two_places() as (place, _, _):
        place.daemon(listener(auth="anon"))
        port = wait(lambda: place.read("port"), "the port")
        done = flood(place, port, "--messages", "10")
        assert done.returncode == 2 and "--any-server" in done.stderr, done.stderr
        done = flood(place, port, "--messages", "10", "--any-server")
        assert done.returncode == 0, done.stderr
        wait(lambda: place.read("out").count("seq=") == 10, "the messages")


# ---- With Debian's rsyslogd ----------------------------------------------


class Oracle:
    """Debian's rsyslogd, unpacked, with a configuration in its own directory."""

    def __init__(self, place, config, driver):
        root = os.environ.get("PENSTOCK_ORACLE", "")
        library = (glob.glob(os.path.join(root, "usr/lib/*-linux-gnu")) or [""])[0]
        program = os.path.join(root, "usr/sbin/rsyslogd")
        module = {"gtls": "lmnsd_gtls.so", "ossl": "lmnsd_ossl.so"}[driver]
        if not os.path.exists(program) or not os.path.exists(os.path.join(library, "rsyslog", module)):
            raise Skip(f"Debian's rsyslogd with {module} is not unpacked (tests/oracle/fetch, PENSTOCK_ORACLE)")
        path = place.file("oracle.conf", config)
        with open(place.file("oracle.said"), "wb") as said:
            self.process = place.spawn([program, "-n", "-f", path, "-i", place.file("oracle.pid"), "-M",
                                        os.path.join(library, "rsyslog")], stdout=said, stderr=said, cwd=place.path,
                                       env=dict(os.environ, LD_LIBRARY_PATH=library, TZ="UTC"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)


def oracle_listener(driver, auth, peer):
    return ('global(processInternalMessages="on" ' + files("server", "defaultNetstreamDriver") + ")\n" + TEMPLATE
            + f'module(load="imtcp" StreamDriver.Name="{driver}" StreamDriver.Mode="1" StreamDriver.AuthMode="{auth}"'
            + (f' PermittedPeer="{peer}"' if peer else "") + ")\n"
            'input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="in")\n'
            'ruleset(name="in") { action(type="omfile" file="@DIR@/out" template="m") }\n'
            'action(type="omfile" file="@DIR@/own" template="m")\n')


def oracle_forwarder(port, driver, auth, peer):
    """Files of its own for an action came after this version: they are global."""
    config = forwarder(port, auth, driver, f'StreamDriverPermittedPeers="{peer}"' if peer else "")
    config = config.replace(files("client"), "")
    return 'global(' + files("client", "defaultNetstreamDriver") + ")\n" + config


def modes(made):
    return [("anon", None, None), ("x509/certvalid", None, None), ("x509/name", "ada.example.net", "server.example.net"),
            ("x509/fingerprint", made.fingerprint("client"), made.fingerprint("server"))]


# Debian's rsyslogd with gtls at times leaves one message out where more than a thousand wait, whoever receives.
EXCHANGED = 800


def await_messages(server, client, auth):
    try:
        wait(lambda: server.read("out").count("\n") == EXCHANGED, f"the messages in {auth}")
    except AssertionError as error:
        there = server.lines("out")
        missing = [i for i in range(EXCHANGED) if f" {i}" not in there]
        raise AssertionError(f"{error}; {len(there)} are there, without {missing[:20]}.\nThe receiver said:\n"
                             f"{server.read('own')}\nThe sender said:\n{client.read('own')}") from error


def check_ours_to_theirs(driver):
    with two_places() as (server, client, made):
        for auth, client_peer, server_peer in modes(made):
            to = Oracle(server, oracle_listener(driver, auth, client_peer), driver)
            port = int(wait(lambda: server.read("port"), "the oracle's port"))
            by = client.daemon(forwarder(port, auth, more=f'StreamDriverPermittedPeers="{server_peer or ""}"'))
            send_plain(client, 0, EXCHANGED)
            await_messages(server, client, auth)
            assert server.read("out") == numbers(0, EXCHANGED)
            assert by.stop() == 0
            to.stop()
            for place, name in ((server, "out"), (server, "port"), (client, "in")):
                os.unlink(place.file(name))


def check_theirs_to_ours(driver):
    with two_places() as (server, client, made):
        for auth, client_peer, server_peer in modes(made):
            to = server.daemon(listener(auth, more=f'PermittedPeer="{client_peer}"' if client_peer else ""))
            by = Oracle(client, oracle_forwarder(to.port("port"), driver, auth, server_peer), driver)
            send_plain(client, 0, EXCHANGED)
            await_messages(server, client, auth)
            assert server.read("out") == numbers(0, EXCHANGED)
            by.stop()
            assert to.stop() == 0
            for place, name in ((server, "out"), (server, "port"), (client, "in")):
                os.unlink(place.file(name))


@promise
def anonymous_peers_need_no_certificate_on_either_side():
    """Ours with ours, and with Debian's rsyslogd where it is there, in both directions."""
    bare = ('StreamDriver.Name="{0}" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"')
    receive = (OWN + 'ruleset(name="in") {{ action(type="omfile" file="@DIR@/out" template="m") }}\n'
               'module(load="imtcp" ' + bare + ')\ninput(type="imtcp" port="0" address="127.0.0.1" '
               'listenPortFileName="@DIR@/port" ruleset="in")\naction(type="omfile" file="@DIR@/own" template="m")\n')
    for driver, theirs in (("ossl", None), ("ossl", "in"), ("ossl", "out"), ("gtls", "in"), ("gtls", "out")):
        with Place() as server, Place() as client:
            try:
                if theirs == "in":
                    Oracle(server, receive.format(driver), driver)
                else:
                    server.daemon(receive.format("ossl"))
                port = int(wait(lambda place=server: place.read("port"), "the port"))
                config = forwarder(port, "anon", driver).replace(files("client"), "")
                if theirs == "out":
                    Oracle(client, config, driver)
                else:
                    client.daemon(config)
            except Skip:
                continue
            send_plain(client, 0, 100)
            wait(lambda place=server: place.read("out") == numbers(0, 100), f"the messages by {driver}, theirs: {theirs}")


@promise
def messages_go_to_debians_rsyslogd_with_gnutls():
    check_ours_to_theirs("gtls")


@promise
def messages_go_to_debians_rsyslogd_with_openssl():
    check_ours_to_theirs("ossl")


@promise
def messages_come_from_debians_rsyslogd_with_gnutls():
    check_theirs_to_ours("gtls")


@promise
def messages_come_from_debians_rsyslogd_with_openssl():
    check_theirs_to_ours("ossl")


if __name__ == "__main__":
    run()
