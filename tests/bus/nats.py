#!/usr/bin/env python3
"""Promises of the gateway to NATS, with two brokers of ours and a real nats-server.

    nats.py --broker build/src/bus/penstock-bus --gateway build/src/gateway/penstock-nats
"""
import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "behaviour")]
from ports import free_port  # noqa: E402
from wire import WAIT, Broker, Client, Closed, temporary_directory  # noqa: E402

PROMISES = []
PROGRAMS = None


def promise(function):
    PROMISES.append(function)
    return function


def until(holds, what):
    end = time.monotonic() + WAIT
    while not (found := holds()):
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)
    return found


class Server:
    """nats-server on a free port, which it keeps when it is started again."""

    def __init__(self):
        self.port = free_port()
        self.start()

    def start(self):
        self.process = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(self.port)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, "nats-server")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(WAIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Plain:
    """A client of NATS in its own words."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.send('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB reply 1\r\nPING\r\n')
        while self.lines.readline() != b"PONG\r\n":
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode())

    def request(self, subject, body):
        """The answer, or None: nobody is there."""
        self.send(f"PUB {subject} reply {len(body)}\r\n{body}\r\n")
        words = self.lines.readline().split()
        size = int(words[-1])
        content = self.lines.read(size + 2)[:size]
        return None if words[0] == b"HMSG" and b"503" in content.splitlines()[0] else content.decode()


class Gateway:
    def __init__(self, broker, server, *groups):
        self.log = os.path.join(temporary_directory(), "log")
        with open(self.log, "w", encoding="ascii") as log:
            self.process = subprocess.Popen([PROGRAMS.gateway, "-v", "-s", broker.path, "-u",
                                             f"nats://127.0.0.1:{server.port}", *groups], stdin=subprocess.DEVNULL,
                                            stderr=log)
        until(lambda: "are joined" in self.said() or self.process.poll() is not None, "the gateway")

    def said(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(WAIT) == 0, self.said()
        assert "Sanitizer" not in self.said(), self.said()


class Two:
    """Two machines: a broker and a gateway each, and one server between them."""

    def __init__(self, *groups):
        self.server = Server()
        self.brokers = [Broker(PROGRAMS.broker).ready(), Broker(PROGRAMS.broker).ready()]
        self.gateways = [Gateway(broker, self.server, *groups) for broker in self.brokers]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for gateway in self.gateways:
            gateway.__exit__()
        for broker in self.brokers:
            broker.stop()
        self.server.stop()

    def clients(self):
        return [Client(broker.path, version=2) for broker in self.brokers]


def ask(client, group, body, **more):
    seq = client.send(body, group, want_answer=True, **more)
    answer = client.get()
    assert answer.header["reply"] == seq, answer
    return answer.json


def serve_one(client, body):
    request = client.get()
    client.reply(request, body)
    return request


def far_is_there(near, far, group):
    """The far side has told NATS that it wants the group, and has nothing more to come of what looked for it."""
    sent, received = 0, None

    def looked():
        nonlocal sent, received
        sent += 1
        near.send({"probe": sent}, group)
        far.sync()
        while message := far.take():
            received = message.json["probe"]
        return received

    until(looked, f"the far side of {group}")
    while received < sent:
        received = far.get().json["probe"]


def ask_in_time(client, group):
    """None: somebody has the request."""
    client.send({"command": ["probe"]}, group, want_answer=True, timeout=1000)
    answer = client.get().json
    return None if answer["result"][0] == -3 else answer


@promise
def messages_pass_both_ways_with_their_instance():
    with Two("News") as two:
        a, b = two.clients()
        a.subscribe("News")
        b.subscribe("News")
        for sender, receiver, text in (a, b, b"from a"), (b, a, b"from b"):
            far_is_there(sender, receiver, "News")
            sender.send(text, "News", instance="east")
            message = receiver.get()
            assert message.body == text and message.header["instance"] == "east", message
        a.nothing()
        b.nothing()


@promise
def order_holds_and_nothing_comes_back_to_its_bus():
    with Two("News") as two:
        a, b = two.clients()
        b.subscribe("News")
        far_is_there(a, b, "News")
        for number in range(500):
            a.send({"n": number}, "News")
        got = [b.get().json["n"] for _ in range(500)]
        assert got == list(range(500)), got[:20]
        a.nothing()


@promise
def requests_are_answered_from_the_other_side():
    with Two("Zones") as two:
        a, b = two.clients()
        b.subscribe("Zones")
        far_is_there(a, b, "Zones")
        seq = a.send({"command": ["count", {"class": "IN"}]}, "Zones", want_answer=True)
        request = serve_one(b, {"result": [0, 42]})
        assert request.json == {"command": ["count", {"class": "IN"}]}
        answer = a.get()
        assert answer.header["reply"] == seq and answer.json == {"result": [0, 42]}


@promise
def a_request_that_nobody_takes_anywhere_gets_the_error_of_the_bus():
    with Two("Zones") as two:
        a, _ = two.clients()
        assert ask(a, "Zones", {"command": ["x"]})["result"] == [-1, "No such recipient"]


@promise
def the_end_of_the_far_service_is_told():
    with Two("Zones") as two:
        a, b = two.clients()
        b.subscribe("Zones")
        far_is_there(a, b, "Zones")
        seq = a.send({"command": ["x"]}, "Zones", want_answer=True)
        b.get()
        b.close()
        answer = a.get()
        assert answer.header["reply"] == seq and answer.json["result"][0] == -2, answer


@promise
def who_could_answer_here_is_not_forestalled_by_an_error_from_there():
    with Two("Zones") as two:
        a = two.clients()[0]
        with Client(two.brokers[0].path, version=2) as near:
            near.subscribe("Zones")
            until(lambda: len(a.command("members", {"group": "Zones"})[1]) == 2, "both members")
            until(lambda: ask_in_time(a, "Zones") is None, "the count of the gateway")
            near.sync()
            near.data = b""
            seq = a.send({"command": ["x"]}, "Zones", want_answer=True)
            time.sleep(0.2)  # time in which the error of the far side must not come
            serve_one(near, {"result": [0, "near"]})
            answer = a.get()
            assert answer.header["reply"] == seq and answer.json == {"result": [0, "near"]}


@promise
def what_is_too_large_for_nats_is_refused():
    with Two("Zones") as two:
        a, _ = two.clients()
        assert ask(a, "Zones", {"command": ["x", "y" * (2 << 20)]})["result"][0] == -7


@promise
def attachments_are_refused():
    with Two("Zones") as two:
        a, _ = two.clients()
        a.send({"command": ["x"]}, "Zones", want_answer=True, attachments=[b"blob"])
        assert a.get().json["result"][0] == -6


@promise
def a_plain_client_of_nats_asks_the_bus_and_learns_when_nobody_is_there():
    with Two("Zones=zones.of.a") as two, Plain(two.server.port) as plain:
        b = two.clients()[1]
        assert plain.request("zones.of.a", '{"command":["x"]}') is None
        b.subscribe("Zones")

        def serve():
            try:
                while True:
                    serve_one(b, {"result": [0, "from the bus"]})
            except (AssertionError, OSError, Closed):
                pass  # the test is over

        threading.Thread(target=serve, daemon=True).start()
        answer = until(lambda: plain.request("zones.of.a", '{"command":["x"]}'), "an answer")
        assert json.loads(answer) == {"result": [0, "from the bus"]}, answer


@promise
def a_server_that_went_away_is_told_and_found_again():
    with Two("Zones") as two:
        a, b = two.clients()
        b.subscribe("Zones")
        far_is_there(a, b, "Zones")
        two.server.stop()
        until(lambda: "has gone" in two.gateways[0].said(), "the loss")
        assert ask(a, "Zones", {"command": ["x"]})["result"] == [-2, "The NATS server is away"]
        two.server.start()
        until(lambda: two.gateways[0].said().count("is there") >= 1, "the server again")
        far_is_there(a, b, "Zones")


@promise
def a_wrong_subject_keeps_the_gateway_from_starting():
    with Server() as server, Broker(PROGRAMS.broker) as broker:
        done = subprocess.run([PROGRAMS.gateway, "-s", broker.path, "-u", f"nats://127.0.0.1:{server.port}", "a=b c"],
                              capture_output=True, text=True, timeout=WAIT, check=False)
        assert done.returncode == 1 and "is no GROUP or GROUP=SUBJECT" in done.stderr, done.stderr
        done = subprocess.run([PROGRAMS.gateway, "-s", "/nowhere", "a"], capture_output=True, text=True, timeout=WAIT,
                              check=False)
        assert done.returncode == 1 and "no bus answers" in done.stderr, done.stderr


def main():
    global PROGRAMS
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--gateway", required=True)
    parser.add_argument("--only", default="")
    PROGRAMS = parser.parse_args()
    chosen = [function for function in PROMISES if PROGRAMS.only in function.__name__]
    if not shutil.which("nats-server"):
        print("1..0 # SKIP nats-server is not installed")
        return 0
    print(f"1..{len(chosen)}", flush=True)
    failed = False
    for number, function in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed = True
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {number} - {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
