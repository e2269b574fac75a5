#!/usr/bin/env python3
"""Lookup tables change while messages flow: HUP, reload_lookup_table(), broken files, and a million keys."""
import os
import socket
import threading

from harness import Diag, Place, memory_bytes, promise, run, send_tcp, wait

CONFIG = """
global(processInternalMessages="off" net.enableDNS="off")
module(load="imdiag" listenPortFileName="@DIR@/diag" serverRun="0")
lookup_table(name="t" file="@DIR@/t.json")
lookup_table(name="fixed" file="@DIR@/t.json" reloadOnHUP="off")
template(name="m" type="string" string="%msg% %$.t% %$.f%\\n")
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
set $.t = lookup("t", $hostname);
set $.f = lookup("fixed", $hostname);
if $msg == " again" then reload_lookup_table("t")
else if $msg == " or stub" then reload_lookup_table("t", "stub of " & $hostname)
else action(type="omfile" file="@DIR@/out" template="m")
"""


def table(value, rows=""):
    return '{"version":1,"nomatch":"none","table":[{"index":"web1","value":"%s"}%s]}\n' % (value, rows)


def replace(place, text):
    """As tools do it: readers see the old file or the new one."""
    os.rename(place.file("new", text), place.file("t.json"))


class Asking:
    """One connection, and imdiag to know when what it sent has had its effect."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.messages = socket.create_connection(("127.0.0.1", daemon.port("port")))
        self.diag = Diag(daemon.port("diag"))
        self.count = 0

    def send(self, text):
        self.messages.sendall(f"<13>Oct 11 22:14:15 web1 tag: {text}\n".encode())

    def answer(self):
        """What the tables say now."""
        self.count += 1
        self.send(f"q{self.count}")
        out = self.daemon.place
        line = wait(lambda: [line for line in out.lines("out") if line.startswith(f" q{self.count} ")], "an answer")
        return line[0].split(" ", 2)[2]

    def reloaded(self, text):
        """Sends a message that asks for a reload, and waits until that is done."""
        self.send(text)
        self.answer()
        assert self.diag.ask("AwaitLookupTableReload") == "no pending lookup-table reloads found"

    def close(self):
        self.messages.close()
        self.diag.__exit__()


def begin(place, text=table("one")):
    place.file("t.json", text)
    daemon = place.daemon(CONFIG)
    return daemon, Asking(daemon)


@promise
def hup_reads_tables_again_but_those_that_say_no():
    with Place() as place:
        daemon, asking = begin(place)
        assert asking.answer() == "one one"
        replace(place, table("two"))
        daemon.hup()
        wait(lambda: asking.answer() == "two one", "the new table")
        asking.close()
        assert daemon.stop() == 0


@promise
def the_statement_reads_a_table_again():
    with Place() as place:
        daemon, asking = begin(place)
        replace(place, table("two"))
        assert asking.answer() == "one one"
        asking.reloaded("again")
        assert asking.answer() == "two one"
        asking.close()
        assert daemon.stop() == 0


@promise
def a_broken_table_leaves_the_old_in_force_and_is_said_with_its_place():
    with Place() as place:
        daemon, asking = begin(place)
        replace(place, '{"version":1,\n "table":[{"index":"web1" "value":"two"}]}\n')
        asking.reloaded("again")
        assert asking.answer() == "one one"
        said = daemon.stderr()
        assert "lookup table 't' json parsing error" in said and "t.json:2:" in said, said
        assert "lookup table 't' could not be reloaded from file" in said, said
        os.unlink(place.file("t.json"))
        asking.reloaded("again")
        assert asking.answer() == "one one"
        assert "could not be opened: No such file or directory" in daemon.stderr()
        asking.close()
        assert daemon.stop() == 0


@promise
def a_stub_stands_in_until_the_file_is_right_again():
    with Place() as place:
        daemon, asking = begin(place)
        replace(place, "nothing\n")
        asking.reloaded("or stub")
        assert asking.answer() == "stub of web1 one"
        assert "lookup table 't' could not be reloaded from file" in daemon.stderr()
        replace(place, table("three"))
        asking.reloaded("or stub")
        assert asking.answer() == "three one"
        asking.close()
        assert daemon.stop() == 0


@promise
def a_table_that_is_not_there_at_the_start_can_come_later():
    with Place() as place:
        place.file("t.json", table("x"))
        daemon = place.daemon(CONFIG.replace('"t" file="@DIR@/t.json"', '"t" file="@DIR@/later.json"'), has_mistakes=True)
        assert "later.json' could not be opened: No such file or directory" in daemon.stderr()
        asking = Asking(daemon)
        assert asking.answer() == " x"
        place.file("later.json", table("came"))
        asking.reloaded("again")
        assert asking.answer() == "came x"
        asking.close()
        assert daemon.stop() == 0


@promise
def traffic_does_not_stop_while_tables_change():
    rounds, messages = 20, 20000
    with Place() as place:
        rows = "".join(f',{{"index":"host-{i}","value":"v{i % 7}"}}' for i in range(20000))
        daemon, asking = begin(place, table("v0", rows))

        def flood():
            send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 web1 tag: f{i}\n" for i in range(messages)))

        sender = threading.Thread(target=flood)
        sender.start()
        for i in range(1, rounds):
            replace(place, table(f"v{i}", rows))
            asking.reloaded("again")
        sender.join()
        wait(lambda: sum(line.startswith(" f") for line in place.lines("out")) == messages, "every message")
        known = {f"v{i}" for i in range(rounds)}
        assert all(line.split(" ")[2] in known for line in place.lines("out"))
        assert asking.answer() == f"v{rounds - 1} v0"
        asking.close()
        assert daemon.stop() == 0


@promise
def a_million_keys_take_little_memory_and_all_are_found():
    with Place() as place:
        with open(place.file("t.json"), "w", encoding="utf-8") as file:
            file.write('{"version":1,"nomatch":"none","table":[{"index":"web1","value":"first"}\n')
            file.writelines(f',{{"index":"host-{i}.example.net","value":"v{i % 100}"}}\n' for i in range(1000000))
            file.write("]}\n")
        daemon = place.daemon(CONFIG.replace('lookup_table(name="fixed" file="@DIR@/t.json" reloadOnHUP="off")', "")
                              .replace('set $.f = lookup("fixed", $hostname);', ""))
        assert memory_bytes(daemon.pid()) < 400 << 20, "a million keys are in memory more than once"
        send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 host-{i}.example.net tag: {i}\n"
                                              for i in range(0, 1000100, 1000)))
        wait(lambda: len(place.lines("out")) == 1001, "all messages")
        for line in place.lines("out"):
            number, found = line.split()[:2]
            assert found == (f"v{int(number) % 100}" if int(number) < 1000000 else "none"), line
        assert daemon.stop() == 0


run()
