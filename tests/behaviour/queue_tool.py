#!/usr/bin/env python3
"""penstock queue: what lies on disk is shown, checked, moved and repaired, in use or not, and nothing is lost by it."""
import contextlib
import json
import os
import socket
import struct
import sys

from harness import ROOT, Place, argument, numbered, promise, read, run, send_tcp, wait

sys.path.insert(0, os.path.join(ROOT, "tests", "queue"))
import reader  # noqa: E402 pylint: disable=wrong-import-position

CONFIG = """
global(workDirectory="@DIR@/spool" processInternalMessages="on")
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="work")
template(name="m" type="string" string="%hostname%%msg%\\n")
action(type="omfile" file="@DIR@/own")
ruleset(name="work") {
  set $!number = $.number;
  set $.kept = "yes";
  action(name="out" type="omfwd" target="127.0.0.1" port="@PORT@" protocol="tcp" template="m"
         action.resumeRetryCount="@RETRIES@" action.resumeInterval="1"
         queue.type="Disk" queue.fileName="out" queue.timeoutShutdown="@SHUTDOWN@" @MORE@)
  action(type="omfile" file="@DIR@/seen" template="m")
}
"""


def config(port=9, retries=-1, more="", shutdown=0):
    return (CONFIG.replace("@PORT@", str(port)).replace("@RETRIES@", str(retries)).replace("@MORE@", more)
            .replace("@SHUTDOWN@", str(shutdown)))


def tool(place, *words, status=0):
    done = place.run(argument("penstock"), "queue", *words)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr if status else done.stdout


def facts(place, *words, status=0):
    return [json.loads(line) for line in tool(place, *words, "--json", status=status).splitlines()
            if line.startswith("{")]


def dumped(place, store, *words, status=0):
    output = tool(place, "dump", store, *words, status=status)
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def is_store(place, path):
    """A directory is none before the daemon has written into it."""
    return place.run(argument("penstock"), "queue", "status", path).returncode == 0


def numbers(place, store, *words):
    return [int(m["msg"]) for m in dumped(place, store, *words)]


@contextlib.contextmanager
def backlog(count=100, lines=None, **how):
    """A daemon whose destination is away, with so many messages in its queue; and the path of the store."""
    with Place() as place:
        os.makedirs(place.file("spool"))
        daemon = place.daemon(config(**how))
        send_tcp(daemon.port("port"), lines or numbered(0, count))
        wait(lambda: len(place.lines("seen")) == count, "everything to be queued")
        yield place, daemon, place.file("spool/out.store")


@contextlib.contextmanager
def left_behind(count=100, **how):
    """The same, with the daemon gone."""
    with backlog(count, **how) as (place, daemon, store):
        assert daemon.stop() == 0
        yield place, store


def files(directory):
    return {name: read(os.path.join(directory, name)) for name in sorted(os.listdir(directory))}


@promise
def a_store_in_use_is_shown_without_being_disturbed():
    with backlog() as (place, daemon, store):
        assert numbers(place, store) == list(range(100))
        row, = facts(place, "ls", place.file("spool"))
        assert (row["name"], row["kind"], row["waiting"]) == ("out.store", "queue", 100), row
        assert row["is_open"] and row["pid"] == daemon.pid() and "oldest" in row, row
        assert "out.store" in tool(place, "ls", place.file("spool"))
        status, = facts(place, "status", store)
        assert (status["waiting"], status["mark_lsn"], status["next_lsn"], status["damages"]) == (100, 1, 101, 0)
        assert "100 messages" in tool(place, "status", store)
        assert "whole" in tool(place, "verify", store)
        send_tcp(daemon.port("port"), numbered(100, 50))
        wait(lambda: len(place.lines("seen")) == 150, "more")
        wait(lambda: numbers(place, store) == list(range(150)), "more of it on the disk")
        assert daemon.stop() == 0


@promise
def a_store_at_full_work_never_looks_damaged():
    with Place() as place:
        os.makedirs(place.file("spool"))
        daemon = place.daemon("""
global(workDirectory="@DIR@/spool")
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="work")
ruleset(name="work" queue.type="Disk" queue.fileName="busy" queue.maxFileSize="64k" queue.syncQueueFiles="on"
        queue.size="1000000") {
  action(type="omfile" file="@DIR@/out")
}
""")
        port, store = daemon.port("port"), place.file("spool/busy.store")
        for round_number in range(20):
            send_tcp(port, numbered(round_number * 5000, 5000))
            tool(place, "verify", store)
            tool(place, "ls", place.file("spool"))
            tool(place, "dump", store, "--all")
        wait(lambda: place.read("out").count("\n") == 100000, "everything at the output")
        assert "whole" in tool(place, "verify", store)
        assert daemon.stop() == 0


@promise
def what_shows_changes_not_a_byte():
    with left_behind() as (place, store):
        before = files(store)
        for word in ("status", "verify", "dump", "export", "repair", "purge"):
            tool(place, word, store)
        tool(place, "ls", place.file("spool"))
        assert files(store) == before


@promise
def dump_shows_every_field_and_variable():
    line = b'<34>1 2003-10-11T22:14:15.003+02:00 host app 7 ID47 [a b="c"] one \xff\n'
    with left_behind(1, lines=line) as (place, store):
        one, = dumped(place, store)
        wanted = {"lsn": 1, "facility": 4, "severity": 2, "hostname": "host", "app-name": "app", "procid": "7",
                  "msgid": "ID47", "structured-data": '[a b="c"]', "timereported": "2003-10-11T22:14:15.003+02:00",
                  "inputname": "imtcp", "fromhost-ip": "127.0.0.1", "protocol-version": 1, "programname": "app",
                  "$.": {"kept": "yes"}, "msg": "one \ufffd"}
        assert {key: one.get(key) for key in wanted} == wanted, one
        assert "rawmsg-base64" in one


@promise
def dump_and_export_begin_and_end_where_told():
    with left_behind() as (place, store):
        assert numbers(place, store, "--from", "91") == list(range(90, 100))
        assert numbers(place, store, "--limit", "3") == [0, 1, 2]
        assert tool(place, "export", store) == numbered(0, 100)
        line = numbered(7, 1).rstrip()
        assert tool(place, "export", store, "--from=8", "--limit=1", "--framing=octet") == f"{len(line)} {line}"


@promise
def an_encrypted_store_is_shown_with_its_key_only():
    with Place() as keys:
        key = keys.file("key", "ab" * 32)
        os.chmod(key, 0o600)
        with left_behind(20, more=f'queue.encryption.keyFile="{key}" queue.compression="zstd"') as (place, store):
            assert "--key-file" in tool(place, "dump", store, status=1)
            assert "whole" in tool(place, "verify", store)
            assert numbers(place, store, "--key-file", key) == list(range(20))
            other = place.file("spool/other.store")
            assert "20 messages" in tool(place, "replay", store, "--key-file", key, "--into", other)
            assert numbers(place, other) == list(range(20))


def frame_offsets(path):
    data = read(path)
    at = data.find(b"PSFM", 8192)
    while at >= 0:
        yield at
        at = data.find(b"PSFM", at + 1)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x40]))


def damaged_backlog(place, daemon):
    """Frames of one message each, the middle one to be damaged by the caller; the path of their file."""
    for i in range(20):
        send_tcp(daemon.port("port"), numbered(100 + i, 1))
        wait(lambda i=i: len(place.lines("seen")) == 101 + i, "one more")
    assert daemon.stop() == 0
    store = place.file("spool/out.store")
    name, = [n for n in os.listdir(store) if n.endswith(".segment") and list(frame_offsets(os.path.join(store, n)))]
    return os.path.join(store, name)


@promise
def verify_tells_the_exact_messages_that_a_damaged_frame_held():
    with backlog(100) as (place, daemon, store):
        path = damaged_backlog(place, daemon)
        offsets = list(frame_offsets(path))
        flip(path, offsets[-5] + 100)
        told = facts(place, "verify", store, status=1)
        assert [(d["lsn"], d["count"]) for d in told if d["type"] == "damage"] == [(116, 1)], told
        assert told[-1]["waiting"] == 119 and told[-1]["lost"] == 1, told
        assert len(dumped(place, store, status=1)) == 119


@promise
def repair_saves_what_lies_behind_a_broken_header():
    with backlog(100) as (place, daemon, store):
        path = damaged_backlog(place, daemon)
        flip(path, list(frame_offsets(path))[-5] + 20)
        before = files(store)
        plan = facts(place, "repair", store)
        assert plan[-1]["saved"] == 4 and plan[-1]["lost"] == 1, plan
        assert "--apply" in tool(place, "repair", store)
        assert files(store) == before
        done = facts(place, "repair", store, "--apply")
        assert done[-1]["saved"] == 4 and done[-1]["is_applied"], done
        again = facts(place, "repair", store)
        assert again[-1]["saved"] == 0, again
        tool(place, "replay", store, "--into", place.file("spool/new.store"))
        assert numbers(place, place.file("spool/new.store")) == [*range(115), *range(116, 120)]


def forge(path, at, key):
    """Changes a byte of a frame's payload, and makes the checksums right again."""
    data = bytearray(read(path))
    f = reader.read_frame(data, at, key)
    head = at + f["header_bytes"]
    data[head] ^= 1
    data[at + 8:at + 12] = struct.pack("<I", reader.crc32c(data[head:at + f["frame_bytes"]]))
    data[at + 4:at + 8] = struct.pack("<I", reader.crc32c(data[at + 8:head], reader.crc32c(key)))
    with open(path, "wb") as file:
        file.write(data)


@promise
def a_message_that_was_changed_with_right_checksums_breaks_the_hash_chain():
    with backlog(100, more='queue.hashChain="on"') as (place, daemon, store):
        path = damaged_backlog(place, daemon)
        assert "whole" in tool(place, "verify", store)
        sequence = int(os.path.basename(path)[:16], 16)
        forge(path, list(frame_offsets(path))[-3], reader.read_header(read(path), 0, sequence)["salt"])
        told = facts(place, "verify", store, status=1)
        assert [d["lsn"] for d in told if d["type"] == "damage"] == [118] and "chain" in told[0]["what"], told


@promise
def a_backlog_that_no_queue_owns_is_reported_and_can_be_adopted():
    with left_behind(100) as (place, store):
        os.unlink(place.file("port"))
        adopted = config().replace('queue.fileName="out"', 'queue.fileName="renamed"')
        daemon = place.daemon(adopted)
        wait(lambda: "out.store" in place.read("own"), "the report")
        line, = [line for line in place.lines("own") if "out.store" in line]
        assert "100 messages" in line and "penstock queue dump" in line and "penstock queue replay" in line, line
        assert daemon.stop() == 0
        os.unlink(place.file("port"))
        tool(place, "replay", store, "--into", place.file("spool/renamed.store"))
        assert numbers(place, store) == []
        os.unlink(place.file("own"))
        with socket.create_server(("127.0.0.1", 0)) as server:
            target = server.getsockname()[1]
            daemon = place.daemon(adopted.replace('port="9"', f'port="{target}"'))
            server.settimeout(20)
            received = b""
            with server.accept()[0] as connection:
                connection.settimeout(20)
                while b"host 99\n" not in received:
                    received += connection.recv(1 << 16)
            assert daemon.stop() == 0
        assert received.decode().splitlines() == [f"host {i}" for i in range(100)]
        assert "out.store" not in place.read("own")


@promise
def replay_sends_and_completes_what_the_other_side_has():
    with left_behind(100) as (place, store), socket.create_server(("127.0.0.1", 0)) as server:
        assert "refused" in tool(place, "replay", store, "--to", "tcp:127.0.0.1:9", status=1)
        assert len(numbers(place, store)) == 100
        port = server.getsockname()[1]
        out, = facts(place, "replay", store, "--to", f"tcp:127.0.0.1:{port}", "--limit", "30")
        assert out["moved"] == 30
        with server.accept()[0] as connection, connection.makefile("rb") as stream:
            assert stream.read().decode() == numbered(0, 30)
        assert numbers(place, store) == list(range(30, 100))
        path = place.file("socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
            box.bind(path)
            tool(place, "replay", store, "--to", f"unix:{path}", "--limit", "2")
            assert box.recv(4096).decode() == numbered(30, 1).rstrip()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
            box.bind(("127.0.0.1", 0))
            tool(place, "replay", store, "--to", f"udp:127.0.0.1:{box.getsockname()[1]}")
            assert box.recv(4096).decode() == numbered(32, 1).rstrip()
        assert not numbers(place, store)


@promise
def dead_letters_go_back_without_the_reason():
    with backlog(3, retries=0, shutdown=5000) as (place, daemon, store):
        dead = place.file("spool/out.dead")
        wait(lambda: is_store(place, dead) and len(numbers(place, dead)) == 3, "the dead letters")
        assert dumped(place, dead)[0]["$."]["dead"]["queue"] == "out"
        assert "process" in tool(place, "replay", dead, "--into", store, status=1)
        assert daemon.stop() == 0
        tool(place, "replay", dead, "--into", store)
        back = dumped(place, store)
        assert [m["msg"] for m in back] == [" 0", " 1", " 2"] and back[0]["$."] == {"kept": "yes"}, back


@promise
def purge_throws_away_only_with_apply():
    with left_behind(100) as (place, store):
        assert "100 messages" in tool(place, "purge", store)
        assert len(numbers(place, store)) == 100
        tool(place, "purge", store, "--apply")
        assert tool(place, "status", store, status=1)
        os.unlink(place.file("port"))
        daemon = place.daemon(config())
        send_tcp(daemon.port("port"), numbered(500, 1))
        wait(lambda: "host 500" in place.lines("seen"), "the queue to work")
        assert daemon.stop() == 0
        assert numbers(place, store) == [500]


@promise
def a_backlog_that_no_queue_has_is_told_in_every_spool_and_can_be_adopted():
    elsewhere = 'queue.spoolDirectory="@DIR@/elsewhere"'
    with Place() as place:
        os.makedirs(place.file("spool"))
        os.makedirs(place.file("elsewhere"))
        for more in ("", elsewhere):
            daemon = place.daemon(config(more=more))
            send_tcp(daemon.port("port"), numbered(0, 100))
            wait(lambda: len(place.lines("seen")) == 100, "everything to be queued")
            assert daemon.stop() == 0
            os.unlink(place.file("seen"))
            os.unlink(place.file("port"))
        renamed = config(more=elsewhere).replace('queue.fileName="out"', 'queue.fileName="new"')
        daemon = place.daemon(renamed)
        for store in ("spool/out.store", "elsewhere/out.store"):
            told = f"{place.file(store)}: 100 messages wait there, and no queue of this configuration has it open"
            wait(lambda told=told: told in place.read("own") + daemon.stderr(), told)
        assert daemon.stop() == 0
        for store in ("spool/out.store", "elsewhere/out.store"):
            tool(place, "replay", place.file(store), "--into", place.file("elsewhere/new.store"))
        assert numbers(place, place.file("elsewhere/new.store")) == [*range(100), *range(100)]
        os.unlink(place.file("port"))
        before = place.read("own").count("wait there")
        daemon = place.daemon(renamed)
        daemon.port("port")
        assert daemon.stop() == 0
        assert place.read("own").count("wait there") == before, "what was adopted is told again"


@promise
def what_changes_a_store_says_who_has_it_open():
    with backlog(3) as (place, daemon, store):
        for words in (("replay", store, "--to", "udp:127.0.0.1:9"), ("repair", store, "--apply")):
            assert f"process {daemon.pid()} has it open" in tool(place, *words, status=1)
        assert "has it open" in tool(place, "purge", store, "--apply", status=1)
        assert len(numbers(place, store)) == 3
        assert daemon.stop() == 0


def classic(**properties):
    """A message as rsyslogd writes it: + is what a property begins with."""
    lines = "".join(f"+{name}:1:{len(value.encode())}:{value}:\n" for name, value in properties.items())
    return f"<Obj:1:msg:1:\n{lines}>End\n.\n"


def stream(number, offset):
    return f"<Obj:1:strm:1:\n+iCurrFNum:2:1:{number}:\n+iCurrOffs:2:{len(str(offset))}:{offset}:\n>End\n.\n"


@promise
def a_classic_queue_is_imported_and_left_as_it_was():
    with Place() as place:
        parsed = {"iProtocolVersion": "0", "iSeverity": "5", "iFacility": "20", "msgFlags": "32",
                  "tRcvdAt": "2:2026:11:22:0:22:15:330095:6:+:0:0", "tTIMESTAMP": "1:2026:10:11:22:14:15:0:0:+:0:0",
                  "pszTAG": "tag[12]:", "pszHOSTNAME": "host", "pszInputName": "imptcp", "pszRcvFrom": "localhost",
                  "pszRcvFromIP": "127.0.0.1", "json": '{ "usr": { "a": "one two" }, "n": 5 }',
                  "localvars": '{ "local": "loc\\nal" }', "pszRuleset": "r"}
        gone = classic(pszRawMsg="delivered before", msgFlags="48")
        first = gone + "".join(classic(**parsed, pszRawMsg=f"<165>Oct 11 22:14:15 host tag[12]: message {i}",
                                       offMSG="34") for i in range(3))
        second = classic(pszRawMsg="<13>not\nparsed yet", msgFlags="48", pszInputName="imtcp", offMSG="-1")
        place.file("old.00000007", first)
        place.file("old.00000008", second + "what was there before")
        place.file("old.qi", "<OPB:1:qqueue:1:\n+iQueueSize:2:1:4:\n>End\n.\n" + stream(8, len(second))
                   + stream(7, len(gone)))
        before = {name: read(place.file(name)) for name in os.listdir(place.path)}
        store = place.file("new.store")
        assert "4 messages" in tool(place, "import", place.file("old.qi"), "--into", store)
        assert {name: read(place.file(name)) for name in before} == before
        messages = dumped(place, store)
        assert [m.get("msg") for m in messages] == [" message 0", " message 1", " message 2", None], messages
        wanted = {"facility": 20, "severity": 5, "hostname": "host", "syslogtag": "tag[12]:", "ruleset": "r",
                  "fromhost": "localhost", "$!": {"usr": {"a": "one two"}, "n": 5}, "$.": {"local": "loc\nal"},
                  "timegenerated": "2026-11-22T00:22:15.330095Z", "inputname": "imptcp", "programname": "tag"}
        assert {key: messages[0].get(key) for key in wanted} == wanted, messages[0]
        assert messages[3]["rawmsg"] == "<13>not\nparsed yet" and not messages[3]["is_parsed"], messages[3]


@promise
def damage_in_a_classic_queue_costs_the_damaged_message_alone():
    with Place() as place:
        texts = [classic(pszRawMsg=f"<13>message {i}", msgFlags="48") for i in range(3)]
        data = texts[0] + texts[1].replace("+pszRawMsg:1:13", "+pszRawMsg:1:1x") + texts[2]
        place.file("old.00000001", data)
        place.file("old.qi", "<OPB:1:qqueue:1:\n+iQueueSize:2:1:3:\n>End\n.\n" + stream(1, len(data)) + stream(1, 0))
        out = tool(place, "import", place.file("old.qi"), "--into", place.file("new.store"), status=1)
        assert "damaged" in out, out
        assert [m["rawmsg"] for m in dumped(place, place.file("new.store"))] == ["<13>message 0", "<13>message 2"]
        assert "damaged" in tool(place, "import", place.file("bad.qi", "nonsense"), "--into", place.file("n.store"),
                                 status=1)


@promise
def mistakes_are_told_in_plain_words():
    with Place() as place:
        os.makedirs(place.file("empty"))
        assert "no such directory" in tool(place, "dump", place.file("nowhere"), status=1)
        assert "no store is there" in tool(place, "status", place.file("empty"), status=1)
        assert "no store is there" in tool(place, "ls", place.file("empty"))
        assert "did you mean `verify`" in tool(place, "verfy", status=2)
        assert "--into STORE" in tool(place, "replay", place.file("empty"), status=2)
        assert "replay" in tool(place, "--help")


if __name__ == "__main__":
    run()
