#!/usr/bin/env python3
"""Modules that change messages, where rsyslogd 8.2302 has nothing to compare with."""
import hashlib
import hmac
import http.server
import ipaddress
import json
import os
import re
import socket
import struct
import threading

from harness import Place, argument, promise, run, send_tcp, wait

HEAD = """
global(localHostname="logger" processInternalMessages="off" net.enableDNS="off")
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="t" type="string" string="<%pri%> %hostname% %fromhost% %syslogtag% %structured-data% %parsesuccess% %$!all-json% [%msg%]\\n")
template(name="json" type="string" string="%$!all-json%\\n")
"""
TAIL = 'action(type="omfile" file="@DIR@/out" template="TEMPLATE")\n'
LINE = "<13>Oct 11 22:14:15 host tag:"


def config(body, template="json"):
    return HEAD + body + TAIL.replace("TEMPLATE", template)


def results(body, messages, template="json", prefix=LINE, place=None, has_mistakes=False):
    """What each message became."""
    if place is None:
        with Place() as own:
            return results(body, messages, template, prefix, own, has_mistakes)
    daemon = place.daemon(config(body, template), has_mistakes=has_mistakes)
    send_tcp(daemon.port("port"), "".join(prefix + message + "\n" for message in messages))
    wait(lambda: len(place.lines("out")) >= len(messages), f"{len(messages)} messages")
    assert daemon.stop() == 0
    lines = place.lines("out")
    return [json.loads(line) for line in lines] if template == "json" else lines


def expect(found, wanted):
    assert found == wanted, f"\n  found  {found}\n  wanted {wanted}"


# ---- mmjsonparse -----------------------------------------------------------------------------------------

FIND = 'module(load="mmjsonparse")\naction(type="mmjsonparse" mode="find-json"%s)\n'


@promise
def the_first_object_of_a_text_is_found():
    found = results(FIND % "", ['text {"a":1} more {"b":2}', 'x {no} {"c":"}"}', 'nothing', '{"d":{"e":"\\"{"}}', '{"open":1', '[1] {"f":2}'])
    expect(found, [{"a": 1}, {"c": "}"}, {"msg": "nothing"}, {"d": {"e": '"{'}}, {"msg": '{"open":1'}, {"f": 2}])


@promise
def what_may_stand_behind_the_object_is_a_parameter():
    found = results(FIND % ' allow_trailing="off"', ['x {"a":1} more', 'x {"a":1}  '])
    expect(found, [{"msg": 'x {"a":1} more'}, {"a": 1}])


@promise
def the_search_ends_where_it_is_told_to():
    found = results(FIND % ' max_scan_bytes="8"', ['123 {"a":1}', '{"a":1}', '12345678{"a":1}'])
    expect(found, [{"msg": '123 {"a":1}'}, {"a": 1}, {"msg": '12345678{"a":1}'}])


# ---- Small ones ------------------------------------------------------------------------------------------

@promise
def mmcount_counts_by_severity_and_by_value():
    found = results("""
module(load="mmcount")
module(load="mmjsonparse")
action(type="mmjsonparse" cookie="")
if $!k == "by" then { action(type="mmcount" appname="tag" key="!code") }
if $!k == "one" then { action(type="mmcount" appname="tag" key="!code" value="9") }
if $!k == "none" then { action(type="mmcount" appname="other") }
if $!k == "severity" then { action(type="mmcount" appname="tag") }
""", ['{"k":"by","code":1}', '{"k":"by","code":2}', '{"k":"by","code":1}', '{"k":"by"}', '{"k":"one","code":9}', '{"k":"one","code":8}',
      '{"k":"one","code":9}', '{"k":"none"}', '{"k":"severity"}', '{"k":"severity"}',
      '{"k":"by","code":""}', '{"k":"by","code":null}'])
    expect([message.get("mmcount") for message in found], [1, 1, 2, None, 1, None, 2, None, 1, 2, 1, 2])


@promise
def mmtaghostname_gives_tag_and_host_name():
    expect(results('module(load="mmtaghostname")\naction(type="mmtaghostname" tag="front:" forceLocalHostname="on")\n', [" x"], "t"),
           ["<13> logger 127.0.0.1 front: - FAIL {} [ x]"])
    expect(results('module(load="mmtaghostname")\naction(type="mmtaghostname")\n', [" x"], "t"), ["<13> host 127.0.0.1 tag: - FAIL {} [ x]"])


@promise
def mmsnmptrapd_reads_the_tag():
    body = "$ModLoad mmsnmptrapd\n$mmsnmptrapdSeverityMapping warning/4,error/3\n*.* :mmsnmptrapd:\n"
    found = results(body, ["snmptrapd/warning/realhost: text", "snmptrapd/error/other: text", "snmptrapd/odd/third: x", "snmptrapd: plain",
                           "other/warning/x: y"], "t", "<13>Oct 11 22:14:15 host ")
    expect(found, ["<12> realhost realhost snmptrapd: - FAIL {} [ text]", "<11> other other snmptrapd: - FAIL {} [ text]",
                   "<13> third third snmptrapd: - FAIL {} [ x]", "<13> host 127.0.0.1 snmptrapd: - FAIL {} [ plain]",
                   "<13> host 127.0.0.1 other/warning/x: - FAIL {} [ y]"])


@promise
def mmaudit_reads_records_of_the_audit_system():
    found = results('module(load="mmaudit")\naction(type="mmaudit")\n', [
        """ type=1400 audit(1338812600.532:60053): pid=7 comm="sshd x" uid=0""",
        """ audit: type=USER_LOGIN msg=audit(1.2:3): msg='op=login acct="joe"' res=success""",
        " type=1400 audit(unfinished", " other"])
    expect(found, [
        {"audit": {"hdr": {"type": 1400, "auditid": "1338812600.532:60053"}, "data": {"pid": "7", "comm": "sshd x", "uid": "0"}}},
        {"audit": {"hdr": {"type": "USER_LOGIN", "auditid": "1.2:3"}, "data": {"msg": 'op=login acct="joe"', "res": "success"}}}, {}, {}])


@promise
def mmleefparse_reads_both_versions():
    body = 'module(load="mmleefparse")\naction(type="mmleefparse" container="!leef")\n'
    found = results(body, [" LEEF:1.0|V|P|1.2|4711|src=1.2.3.4\tdst=5.6.7.8\tbad\tx=a=b\t\t =c", "LEEF:2.0|V|P|1.2|4711|^|src=1^dst=2",
                           "LEEF:2.0|V|P|1.2|4711|x5E|src=1^dst=2", "LEEF:2.0|V|P|1.2|4711|src=1\tdst=2|3", "LEEF:1.0|V|P", "text",
                           "LEEF:1.0|V|P|1.2", r"LEEF:1.0|V\|\\x|P|1.2|7|a\=b=c\=d\|\n"])
    header = {"protocolVersion": "1.0", "vendor": "V", "product": "P", "productVersion": "1.2", "eventID": "4711"}
    second = {"header": dict(header, protocolVersion="2.0"), "fields": {"src": "1", "dst": "2"}}
    first = {"src": "1.2.3.4", "dst": "5.6.7.8", "bad": "", "x": "a=b", " ": "c"}
    expect(found, [{"leef": {"header": header, "fields": first}}, {"leef": second}, {"leef": second},
                   {"leef": {"header": dict(header, protocolVersion="2.0"), "fields": {"src": "1", "dst": "2|3"}}}, {}, {},
                   {"leef": {"header": dict(header, eventID=""), "fields": {}}},
                   {"leef": {"header": dict(header, vendor="V|\\x", eventID="7"), "fields": {"a=b": "c=d|\\n"}}}])


@promise
def mmleefparse_looks_for_its_cookie_within_a_window():
    search = 'module(load="mmleefparse")\naction(type="mmleefparse" useRawMsg="off" searchWindow="9" delimiter=";")\n'
    found = results(search, [" abcdLEEF:1.0|V|P|1|2|a=1;b=2", " abcdeLEEF:1.0|V|P|1|2|a=1"])
    expect([message.get("fields") for message in found], [{"a": "1", "b": "2"}, None])
    strict = 'module(load="mmleefparse")\naction(type="mmleefparse" useRawMsg="off" searchCookie="off" delimiter=";")\n'
    found = results(strict, [" LEEF:1.0|V|P|1|2|a=1;b=2", " aLEEF:1.0|V|P|1|2|a=1"])
    expect([message.get("fields") for message in found], [{"a": "1", "b": "2"}, None])
    merged = 'module(load="mmleefparse")\nset $!x!y = "z";\naction(type="mmleefparse" container="$!x" delimiter=";")\n'
    expect([(message["x"]["y"], message["x"]["fields"]) for message in results(merged, ["LEEF:1.0|V|P|1|2|a=1"])], [("z", {"a": "1"})])


@promise
def mmjsontransform_flattens_and_unflattens():
    body = 'module(load="mmjsonparse")\naction(type="mmjsonparse" cookie="" container="$!in")\nmodule(load="mmjsontransform")\naction(type="mmjsontransform" input="$!in" output="$!out"%s)\n'
    found = results(body % "", ['{"a.b":1,"a.c":{"d.e":2},"f":[{"x.y":1}],"g":{}}', '{"a":1,"a.b":2}', '{"a.b":2,"a":1}', '{"' + "a." * 60 + 'b":1}'])
    expect([message.get("out") for message in found], [{"a": {"b": 1, "c": {"d": {"e": 2}}}, "f": [{"x.y": 1}], "g": {}}, None, None, None])
    found = results(body % ' mode="flatten"', ['{"a":{"b":1,"c":{"d":2}},"e":[1,{"f":2}],"g":{}}', '{"a.b":1,"a":{"b":2}}'])
    expect([message.get("out") for message in found], [{"a.b": 1, "a.c.d": 2, "e": [1, {"f": 2}], "g": {}}, None])


TRANSFORM = """
global(net.enableDNS="off" processInternalMessages="on")
module(load="imtcp")
module(load="mmjsonparse")
module(load="mmjsontransform")
template(name="out" type="string" string="%$!out%\\n")
template(name="said" type="string" string="%msg%\\n")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="r")
ruleset(name="r") {
    action(type="mmjsonparse" cookie="" container="$!in")
    action(type="mmjsontransform" input="$!in" output="$!out" policy="@DIR@/policy.yaml"MORE)
    action(type="omfile" file="@DIR@/out" template="out")
}
action(type="omfile" file="@DIR@/said" template="said")
"""


@promise
def mmjsontransforms_policy_drops_and_renames_and_is_read_again():
    sent = '<13>Oct 11 22:14:15 host tag: {"usr":"joe","debug":1,"ctx.old":2,"n":{"deep":[{"x":{"y":1}}]}}\n'
    with Place() as place:
        place.file("policy.yaml", "version: 1\nmap:\n  rename: {usr: user.name, ctx.old: ctx.new}\n  drop: [debug]\n")
        daemon = place.daemon(TRANSFORM.replace("MORE", ' policyWatch="on" policyWatchDebounce="20ms"'))
        send_tcp(daemon.port("port"), sent)
        wait(lambda: len(place.lines("out")) == 1, "the message")
        expect(json.loads(place.lines("out")[0]), {"n": {"deep": [{"x": {"y": 1}}]}, "user": {"name": "joe"}, "ctx": {"new": 2}})
        place.file("policy.yaml", "mode: flatten\nmap: {drop: [usr]}\n")
        wait(lambda: "policy.yaml' was read again" in place.read("said"), "the change")
        send_tcp(daemon.port("port"), sent)
        wait(lambda: len(place.lines("out")) == 2, "the message")
        flat = {"debug": 1, "ctx.old": 2, "n.deep": [{"x.y": 1}]}
        expect(json.loads(place.lines("out")[1]), flat)
        place.file("policy.yaml", "mode: flatten\nmap: {drop: usr}\n")
        wait(lambda: "policy.yaml:2:13: 'drop' needs a sequence" in place.read("said"), "the mistake with its place")
        wait(lambda: "what was in force stays so" in place.read("said"), "what becomes of it")
        send_tcp(daemon.port("port"), sent)
        wait(lambda: len(place.lines("out")) == 3, "the message")
        expect(json.loads(place.lines("out")[2]), flat)
        assert daemon.stop() == 0
    with Place() as place:
        place.file("policy.yaml", "mode: flatten\n")
        daemon = place.daemon(TRANSFORM.replace("MORE", ""))
        place.file("policy.yaml", "map: {drop: [usr, debug, n]}\n")
        daemon.hup()
        wait(lambda: "policy.yaml' was read again" in place.read("said"), "HUP")
        send_tcp(daemon.port("port"), sent)
        wait(lambda: len(place.lines("out")) == 1, "the message")
        expect(json.loads(place.lines("out")[0]), {"ctx": {"old": 2}})
        assert daemon.stop() == 0
        wrong = place.file("wrong.conf", TRANSFORM.replace("policy.yaml", "none.yaml").replace("MORE", ' policyWatchDebounce="soon"'))
        done = place.run(argument("daemon"), "-N1", "-C", "-f", wrong)
        assert done.returncode == 1 and "none.yaml' cannot be read" in done.stderr and '"soon" is no time' in done.stderr, done.stderr


@promise
def an_hmac_over_the_received_message_joins_the_structured_data():
    raw = "<13>1 2003-10-11T22:14:15.003Z h a 1 i %s text"
    body = 'module(load="mmrfc5424addhmac")\naction(type="mmrfc5424addhmac" key="secret" hashfunction="sha256" sd_id="sig@1")\n'
    sent = [raw % data for data in ("-", '[x y="[sig@1 z"]', '[sig@1 hash="old"]')] + ["<13>Oct 11 22:14:15 host tag: text"]
    found = [line.split(" FAIL ")[0].split(" ", 4)[4] if " a[1] " in line else line for line in results(body, sent, "t", "")]
    digests = [hmac.new(b"secret", line.encode(), hashlib.sha256).hexdigest() for line in sent]
    data = [re.search(r"a\[1\] (.*)", line).group(1) if "a[1] " in line else line for line in found]
    expect(data[:3], [f'[sig@1 hash="{digests[0]}"]', f'[x y="[sig@1 z"][sig@1 hash="{digests[1]}"]', '[sig@1 hash="old"]'])
    assert data[3].endswith("tag: - FAIL {} [ text]"), data[3]


# ---- mmdblookup ------------------------------------------------------------------------------------------

INT32, UINT64, UINT16 = 8, 9, 5
NUMBER_BYTES = {INT32: 4, UINT64: 8, UINT16: 2}


def mmdb_value(value):
    """One value of MaxMind's data section."""
    def head(kind, size):
        sizes = bytes([size]) if size < 29 else bytes([29, size - 29])
        if kind < 8:
            return bytes([kind << 5 | sizes[0]]) + sizes[1:]
        return bytes([sizes[0], kind - 7]) + sizes[1:]
    if isinstance(value, bool):
        return head(14, int(value))
    if isinstance(value, str):
        return head(2, len(value.encode())) + value.encode()
    if isinstance(value, float):
        return head(3, 8) + struct.pack(">d", value)
    if isinstance(value, bytes):
        return head(4, len(value)) + value
    if isinstance(value, tuple):  # kind and number: of several widths
        kind, number = value
        return head(kind, NUMBER_BYTES[kind]) + number.to_bytes(NUMBER_BYTES[kind], "big", signed=kind == INT32)
    if isinstance(value, int):
        return head(6, 4) + struct.pack(">I", value)
    if isinstance(value, list):
        return head(11, len(value)) + b"".join(mmdb_value(item) for item in value)
    return head(7, len(value)) + b"".join(mmdb_value(name) + mmdb_value(item) for name, item in value.items())


def mmdb(networks, version=4):
    """A database of networks, in that of IPv6 also ::a.b.c.d for those of IPv4: a binary tree of 24-bit records, a gap, values, a mark and the description."""
    nodes, data = [[None, None]], b""
    for network, value in networks.items():
        network = ipaddress.ip_network(network)
        bits = [int(network.network_address) >> network.max_prefixlen - 1 - i & 1 for i in range(network.prefixlen)]
        at = 0
        for bit in bits[:-1]:
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = ("node", len(nodes) - 1)
            at = nodes[at][bit][1]
        nodes[at][bits[-1]] = ("data", len(data))
        data += mmdb_value(value)

    def record(entry):
        number = len(nodes) if entry is None else entry[1] if entry[0] == "node" else len(nodes) + 16 + entry[1]
        return number.to_bytes(3, "big")
    about = {"node_count": len(nodes), "record_size": (UINT16, 24), "ip_version": (UINT16, version), "database_type": "Test", "languages": ["en"],
             "binary_format_major_version": (UINT16, 2), "binary_format_minor_version": (UINT16, 0), "build_epoch": (UINT64, 1),
             "description": {"en": "test"}}
    return b"".join(record(node[0]) + record(node[1]) for node in nodes) + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + mmdb_value(about)


def write_database(place, networks, version=4):
    with open(place.file("db.new"), "wb") as file:
        file.write(mmdb(networks, version))
    os.rename(place.file("db.new"), place.file("db"))


PLACE = {"city": {"names": {"en": "Ghent", "nl": "Gent"}}, "location": {"latitude": 51.05, "accuracy": 20}, "is_eu": True, "tags": ["a", "b"]}
LOOKUP = """
module(load="mmdblookup"%s)
set $!ip = $msg;
action(type="mmdblookup" key="!ip" mmdbfile="@DIR@/db" fields=["!city!names!en", "!location", ":eu:!is_eu", ":t:!tags", "!none"])
"""


@promise
def mmdblookup_finds_what_the_database_knows():
    with Place() as place:
        write_database(place, {"192.0.2.0/24": PLACE})
        found = results(LOOKUP % "", ["192.0.2.7", "198.51.100.1", "no address", "::1", "192.0.2.7" * 20], place=place)
        expect([message.get("iplocation") for message in found],
               [{"city": {"names": {"en": "Ghent"}}, "location": PLACE["location"], "eu": True, "t": ["a", "b"]}, None, None, None, None])
    with Place() as place:
        write_database(place, {"192.0.2.0/24": PLACE})
        found = results(LOOKUP % ' container="!geo!ip"', ["192.0.2.7"], place=place)
        expect(found[0]["geo"]["ip"]["eu"], True)


@promise
def a_database_of_ipv6_knows_both_kinds_of_addresses_and_every_kind_of_value():
    odd = {"negative": (INT32, -7), "large": (UINT64, 1 << 53), "small": (UINT16, 65535), "raw": b"\x41\x42", "name": "\u00fc" * 40,
           "deep": [{"list": [1, ["x", {}]]}, False], "share": 0.25}
    fields = 'fields=[' + ", ".join(f'"!{name}"' for name in odd) + ']'
    wanted = odd | {"negative": -7, "large": 1 << 53, "small": 65535, "raw": "AB"}
    with Place() as place:
        write_database(place, {"2001:db8::/32": odd, "::192.0.2.0/120": {"name": "four"}}, version=6)
        text = f'module(load="mmdblookup")\nset $!ip = $msg;\naction(type="mmdblookup" key="!ip" mmdbfile="@DIR@/db" {fields})\n'
        found = results(text, ["2001:db8::7", "192.0.2.9", "2001:DB8:0:0::1", "2001:db9::1"], place=place)
        expect([message.get("iplocation") for message in found], [wanted, {"name": "four"}, wanted, None])


@promise
def a_new_database_takes_force_on_hup_and_a_broken_one_does_not():
    with Place() as place:
        write_database(place, {"192.0.2.0/24": {"is_eu": True}})
        daemon = place.daemon(config(LOOKUP % ""), has_mistakes=True)

        def ask():
            before = len(place.lines("out"))
            send_tcp(daemon.port("port"), LINE + "192.0.2.7\n")
            wait(lambda: len(place.lines("out")) > before, "an answer")
            return json.loads(place.lines("out")[-1])["iplocation"]["eu"]
        expect(ask(), True)
        write_database(place, {"192.0.2.0/24": {"is_eu": False}})
        daemon.hup()
        wait(lambda: ask() is False, "the new database")
        place.file("db.new", "broken")
        os.rename(place.file("db.new"), place.file("db"))
        daemon.hup()
        wait(lambda: "stays in force" in daemon.stderr(), "the report")
        expect(ask(), False)
        assert daemon.stop() == 0


# ---- mmexternal ------------------------------------------------------------------------------------------

EXTERNAL = 'module(load="mmexternal")\naction(type="mmexternal" binary="@DIR@/filter.py"%s)\n'


def program(place, text):
    path = place.file("filter.py", "#!/usr/bin/python3\nimport json, os, sys, time\n" + text)
    os.chmod(path, 0o755)


@promise
def a_program_that_ends_after_each_message_loses_none():
    with Place() as place:
        program(place, "line = sys.stdin.readline()\nprint(json.dumps({'msg': line.strip() + '!'}), flush=True)\n")
        expect(results(EXTERNAL % "", ["a", "b", "c", "d"], "t", place=place),
               [f"<13> host 127.0.0.1 tag: - FAIL {{}} [{word}!]" for word in "abcd"])


@promise
def a_program_that_does_not_answer_is_ended_and_messages_stay():
    with Place() as place:
        program(place, "open('@DIR@/pid.%d' % os.getpid(), 'w').close()\nfor line in sys.stdin:\n    if 'stall' in line: time.sleep(60)\n"
                       "    print('{\"msg\":\"ok\"}', flush=True)\n")
        found = results(EXTERNAL % ' responseTimeout="300"', ["a", "stall", "b"], "t", place=place, has_mistakes=True)
        expect([line.split("[")[-1] for line in found], ["ok]", "stall]", "ok]"])
        pids = [int(name[4:]) for name in os.listdir(place.path) if name.startswith("pid.")]
        assert len(pids) == 2 and not any(os.path.exists(f"/proc/{pid}") for pid in pids), pids


@promise
def a_program_that_cannot_run_leaves_messages_as_they_are():
    with Place() as place:
        found = results(EXTERNAL % "", ["a", "b"], "t", place=place, has_mistakes=True)
        expect([line.split("[")[-1] for line in found], ["a]", "b]"])
        assert "cannot be executed" in place.read("stderr")


@promise
def what_the_program_answers_is_kept_where_asked():
    with Place() as place:
        program(place, "for line in sys.stdin:\n    print('{\"msg\":\"ok\"}', flush=True)\n")
        results(EXTERNAL % ' output="@DIR@/answers"', ["a", "b"], "t", place=place)
        expect(place.lines("answers"), ['{"msg":"ok"}'] * 2)


# ---- http_request() --------------------------------------------------------------------------------------

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/silent":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = b"x" * (5 << 20) if self.path == "/huge" else b"body of " + self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


@promise
def http_request_answers_the_body_within_bounds():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    body = f'module(load="fmhttp")\nset $!body = http_request("{url}" & $msg);\nset $!error = script_error();\n'
    found = results(body, ["/one", "/two", "/silent", "/huge"])
    server.shutdown()
    expect(found, [{"body": "body of /one", "error": 0}, {"body": "body of /two", "error": 0}, {"body": "", "error": 1},
                   {"body": "", "error": 1}])
    expect(results('module(load="fmhttp")\nset $!body = http_request("file:///etc/hostname");\nset $!error = script_error();\n', ["x"]),
           [{"body": "", "error": 1}])


run()
