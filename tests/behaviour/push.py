#!/usr/bin/env python3
"""Statistics that impstats pushes: what a remote write endpoint gets, and what becomes of it when there is none."""
import http.server
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse
import urllib.request

from harness import Place, Skip, argument, promise, run, send_tcp, wait
from ports import free_port

CONFIG = """
global(processInternalMessages="on" net.enableDNS="off" localHostname="here")
module(load="impstats" interval="1" log.syslog="off" format="json" log.file="@DIR@/stats" push.url="URL"MORE)
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
action(name="write" type="omfile" file="@DIR@/out")
"""


def config(url, more=""):
    return CONFIG.replace("URL", url).replace("MORE", more)


# ---- An endpoint -----------------------------------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def unsnap(data):
    """Snappy's block format."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at:at + extra], "little")
                at += extra
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size, (len(out), size)
    return bytes(out)


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            size, at = varint(data, at)
            yield tag >> 3, data[at:at + size]
            at += size
        elif tag & 7 == 1:
            yield tag >> 3, struct.unpack("<d", data[at:at + 8])[0]
            at += 8
        else:
            assert tag & 7 == 0, tag
            value, at = varint(data, at)
            yield tag >> 3, value


def series_of(body):
    for _, series in fields(body):
        labels, sample = [], None
        for number, content in fields(series):
            if number == 1:
                pair = dict(fields(content))
                labels.append((pair[1].decode(), pair[2].decode()))
            else:
                sample = dict(fields(content))
        assert labels == sorted(labels), labels
        yield dict(labels), sample[1], sample[2]


class Endpoint:
    """Takes what is pushed, or answers with a status."""

    def __init__(self, port=0, status=204, certificate=None):
        self.requests, self.status, self.says = [], status, b""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.says)))
                self.end_headers()
                self.wfile.write(outer.says)
                outer.requests.append((self.path, dict(self.headers.items()), body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate + ".pem", certificate + ".key")
            context.load_verify_locations(certificate + ".pem")
            context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def series(self):
        return [one for _, _, body in list(self.requests) for one in series_of(unsnap(body))]


# ---- Promises --------------------------------------------------------------------------------------------

@promise
def counters_arrive_as_time_series_with_their_labels():
    more = ' push.labels=["env=prod", "job=own"] push.label.origin="on" push.label.name="on"'
    with Place() as place, Endpoint() as endpoint:
        daemon = place.daemon(config(f"http://127.0.0.1:{endpoint.port}/api/v1/write", more))
        send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 host tag: {i}\n" for i in range(100)))
        wanted = {"__name__": "U__core_2E_action__write__processed__total", "env": "prod", "job": "own", "instance": "here",
                  "origin": "core.action", "name": "write"}
        found = wait(lambda: [one for one in endpoint.series() if one[0] == wanted and one[1] >= 100], "the action's counter")
        path, headers, _ = endpoint.requests[-1]
        assert path == "/api/v1/write" and headers["Content-Encoding"] == "snappy", (path, headers)
        assert headers["Content-Type"] == "application/x-protobuf" and headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
        local = [json.loads(line[line.index("{"):]) for line in place.lines("stats")]
        assert [o for o in local if o["name"] == "write"], "the file has the reports, too"
        assert found[0][2] > 1600000000000
        assert daemon.stop() == 0


@promise
def a_report_is_split_as_configured():
    with Place() as place, Endpoint() as endpoint:
        daemon = place.daemon(config(f"http://127.0.0.1:{endpoint.port}/", ' push.batch.maxSeries="7" push.label.job=""'))
        wait(lambda: len(endpoint.requests) > 5, "several requests")
        sizes = [len(list(series_of(unsnap(body)))) for _, _, body in endpoint.requests[:3]]
        assert sizes == [7, 7, 7], sizes
        labels = endpoint.series()[0][0]
        assert set(labels) == {"__name__", "instance"}, labels
        assert daemon.stop() == 0


@promise
def what_is_refused_is_told_once_and_that_it_works_again():
    with Place() as place, Endpoint(status=400) as endpoint:
        endpoint.says = b"out of order\n"
        daemon = place.daemon(config(f"http://127.0.0.1:{endpoint.port}/w"))
        wait(lambda: len(endpoint.requests) > 2, "three tries")
        endpoint.status = 200
        wait(lambda: "works again" in place.read("out"), "the next report")
        said = [line for line in place.lines("out") if "push to" in line]
        assert len(said) == 2 and "HTTP status 400: out of order (the request or the URL is wrong)" in said[0], said
        assert daemon.stop() == 0


@promise
def an_endpoint_that_is_not_there_or_silent_holds_nobody_up():
    with Place() as place, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        daemon = place.daemon(config(f"http://127.0.0.1:{silent.getsockname()[1]}/w", ' push.timeout.ms="0"'))
        wait(lambda: "takes longer than the interval" in place.read("out"), "the report of it")
        before = len(place.lines("stats"))
        wait(lambda: len(place.lines("stats")) > before, "reports go on")
        assert daemon.stop() == 0, "a push that waits is given up"
    with Place() as place:
        daemon = place.daemon(config(f"http://127.0.0.1:{free_port()}/w"))
        wait(lambda: "the next report is tried again" in place.read("out"), "the report of it")
        assert daemon.stop() == 0


@promise
def a_server_proves_who_it_is_and_so_do_we():
    with Place() as place:
        certificate = place.file("server")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", certificate + ".key",
                        "-out", certificate + ".pem"], check=True, capture_output=True)
        own = f' push.tls.certFile="{certificate}.pem" push.tls.keyFile="{certificate}.key"'
        with Endpoint(certificate=certificate) as endpoint:
            url = f"https://127.0.0.1:{endpoint.port}/w"
            daemon = place.daemon(config(url, f' push.tls.caFile="{certificate}.pem"' + own))
            wait(lambda: endpoint.requests, "what is pushed")
            assert daemon.stop() == 0
        with Endpoint(certificate=certificate) as endpoint, Place() as other:
            daemon = other.daemon(config(f"https://127.0.0.1:{endpoint.port}/w", own))
            wait(lambda: "failed: " in other.read("out"), "an authority that nobody trusts")
            assert not endpoint.requests
            assert daemon.stop() == 0
        with Endpoint(certificate=certificate) as endpoint, Place() as other:
            daemon = other.daemon(config(f"https://127.0.0.1:{endpoint.port}/w", own + ' push.tls.insecureSkipVerify="on"'))
            wait(lambda: endpoint.requests, "what is pushed to anybody")
            assert daemon.stop() == 0


@promise
def mistakes_are_told_with_the_parameter():
    with Place() as place:
        text = ('module(load="impstats" push.url="ftp://x" push.labels=["a b=c", "d"] push.tls.certFile="x")\n'
                'action(type="omfile" file="/dev/null")\n')
        done = place.run(argument("daemon"), "-N1", "-C", "-f", place.file("wrong.conf", text))
        assert done.returncode == 1
        for words in ("a URL begins with http:// or https://", '"a b=c" is no label', '"d" is no label', "go together"):
            assert words in done.stderr, done.stderr


@promise
def prometheus_itself_takes_it():
    program = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if not program:
        raise Skip("no prometheus is installed")
    with Place() as place:
        port = free_port()
        place.spawn([program, "--config.file", place.file("prometheus.yml", "global: {}\n"), "--web.enable-remote-write-receiver",
                     f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path", place.file("tsdb")],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    return answer.read()
            except OSError:
                return b""

        wait(lambda: ask("/-/ready"), "prometheus")
        daemon = place.daemon(config(f"http://127.0.0.1:{port}/api/v1/write", ' push.labels="env=test"'))
        send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 host tag: {i}\n" for i in range(100)))
        query = urllib.parse.quote('{__name__=~"U__core_2E_action__write__processed__total", env="test", instance="here", job="rsyslog"}')
        wait(lambda: [r for r in json.loads(ask("/api/v1/query?query=" + query) or b'{"data": {"result": []}}')["data"]["result"]
                      if int(r["value"][1]) >= 100], "the counter, asked of prometheus")
        assert "push to" not in place.read("out"), place.read("out")
        assert daemon.stop() == 0


run()
