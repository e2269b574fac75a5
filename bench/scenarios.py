"""What the benchmarks measure: the scenarios, each as one meaning in the configuration of every daemon.

A scenario says what load `penstock flood` gives, and how each daemon has to be configured for the same result. The
configuration for rsyslog is RainerScript, and ours takes literally the same text. A `Place` holds the ports and paths
of one run. A `Variant` is one way of tuning the same meaning; the first one of a daemon is its default.
"""

import dataclasses
import os
import subprocess


@dataclasses.dataclass(frozen=True)
class Variant:
    """How an expert tunes: what every scenario does with it is in the functions below."""

    name: str
    queue: str = "default"  # rsyslog's main queue: default, direct, large
    writer: str = "sync"  # omfile: sync, async
    tcp: str = "imtcp"
    driver: str = "ossl"  # rsyslog's TLS: ossl, gtls
    is_tuned: bool = False  # syslog-ng: large fetches, windows and buffers

    def __str__(self):
        return self.name


RSYSLOG_VARIANTS = [
    Variant("default"),
    Variant("large queue, async writer", queue="large", writer="async"),
    Variant("direct queue", queue="direct"),
    Variant("direct queue, async writer", queue="direct", writer="async"),
    Variant("direct queue, imptcp", queue="direct", tcp="imptcp"),
    Variant("direct queue, async writer, imptcp", queue="direct", writer="async", tcp="imptcp"),
]
SYSLOG_NG_VARIANTS = [Variant("default"), Variant("tuned", is_tuned=True)]


@dataclasses.dataclass
class Place:
    """Where one run happens."""

    directory: str
    port: int = 0
    sink_port: int = 0
    input_file: str = ""

    @property
    def output(self):
        return os.path.join(self.directory, "out")

    @property
    def socket(self):
        return os.path.join(self.directory, "log.sock")

    @property
    def counter(self):
        return os.path.join(self.directory, "counter")

    def path(self, name):
        return os.path.join(self.output, name)


# The pieces of rsyslog's configurations.

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
QUEUES = {
    "default": "",
    "direct": 'main_queue(queue.type="direct")\n',
    "large": 'main_queue(queue.type="FixedArray" queue.size="500000" queue.dequeueBatchSize="4096"\n'
             '           queue.workerThreads="1")\n',
}
WRITERS = {
    "sync": "",
    "async": ' asyncWriting="on" ioBufferSize="256k" flushOnTXEnd="off" flushInterval="1"',
}


def rsyslog_head(place, variant):
    return f'global(workDirectory="{place.directory}")\n' + QUEUES[variant.queue]


def rsyslog_tcp(place, variant, sessions=0):
    module = f' MaxSessions="{sessions}"' if sessions and variant.tcp == "imtcp" else ""
    instance = ' SocketBacklog="4096"' if sessions and variant.tcp == "imptcp" else ""
    return (f'module(load="{variant.tcp}"{module})\n'
            f'input(type="{variant.tcp}" address="127.0.0.1" port="{place.port}"{instance})\n')


def omfile(variant, path, template="RSYSLOG_TraditionalFileFormat"):
    return f'action(type="omfile" file="{path}" template="{template}"{WRITERS[variant.writer]})'


# The pieces of syslog-ng's.

def syslog_ng_head(variant):
    options = "threaded(yes); keep-hostname(yes); use-dns(no); dns-cache(no); chain-hostnames(no); stats-freq(0);"
    if variant.is_tuned:
        options += " log-fifo-size(2000000); flush-lines(10000);"
    return "@version: 3.38\noptions { " + options + " };\n"


def syslog_ng_window(variant, connections=1):
    """flow-control needs a window that the destination's queue can hold, shared out among the connections."""
    if variant.is_tuned:
        return f" log-iw-size({max(100000, connections * 100)}) log-fetch-limit({10000 if connections < 100 else 100})"
    return f" log-iw-size({connections * 100})" if connections > 10 else ""


def syslog_ng_tcp(place, variant, connections=1):
    most = max(connections + 10, 20)
    return (f'source s_in {{ network(ip("127.0.0.1") port({place.port}) transport("tcp") max-connections({most})'
            f'{syslog_ng_window(variant, connections)}); }};\n')


def syslog_ng_file(name, path):
    return f'destination {name} {{ file("{path}"); }};\n'


SYSLOG_NG_PATH = "log { source(s_in); destination(d_out); flags(flow-control); };\n"


class Scenario:
    """Load over the network into files: the usual kind. The special ones override what differs."""

    name = ""
    title = ""
    messages = 2_000_000
    quick_messages = 20_000
    connections = 1
    kind = "load"
    transport = "tcp"
    flood = ()
    floor_mode = "tcp"
    rsyslog_variants = RSYSLOG_VARIANTS
    syslog_ng_variants = SYSLOG_NG_VARIANTS
    rate = 0
    block = 1000  # Messages after which flood's text repeats.
    slow = {}  # Who would take too long with all of them, and how many they get.
    has_floor = True

    def prepare(self, place):
        """Makes what the configurations name."""

    def rsyslog(self, place, variant):
        sessions = self.connections + 100 if self.connections > 100 else 0
        return rsyslog_head(place, variant) + rsyslog_tcp(place, variant, sessions) + self.rsyslog_rules(place, variant)

    def rsyslog_rules(self, place, variant):
        return omfile(variant, place.path("messages")) + "\n"

    def syslog_ng(self, place, variant):
        return (syslog_ng_head(variant) + syslog_ng_tcp(place, variant, self.connections)
                + self.syslog_ng_rules(place, variant))

    def syslog_ng_rules(self, place, variant):
        return syslog_ng_file("d_out", place.path("messages")) + SYSLOG_NG_PATH

    def floor(self, place):
        return ["tcp", str(place.port), place.path("messages")]

    def target(self, place):
        return f"tcp:127.0.0.1:{place.port}"


class Tcp1(Scenario):
    name = "tcp-1"
    title = "TCP, 1 connection, to a file"
    messages = 3_000_000


class Tcp20(Scenario):
    name = "tcp-20"
    title = "TCP, 20 connections, to a file"
    messages = 3_000_000
    connections = 20


class DiskSynced(Scenario):
    name = "disk-synced"
    title = "TCP, to a file through a disk queue, every message synced before it counts as accepted"
    messages = 3_000_000
    quick_messages = 10_000
    slow = {"rsyslog": 20_000}
    queue = 'queue.type="Disk" queue.checkpointInterval="1" queue.syncQueueFiles="on"'
    rsyslog_variants = RSYSLOG_VARIANTS[:1]
    syslog_ng_variants = []

    def rsyslog(self, place, variant):
        return (rsyslog_head(place, variant)
                + f'main_queue({self.queue} queue.fileName="main" queue.timeoutShutdown="10000")\n'
                + self.rsyslog_input(place, variant) + self.rsyslog_rules(place, variant))

    def rsyslog_input(self, place, variant):
        return rsyslog_tcp(place, variant)


class DiskWritten(DiskSynced):
    name = "disk-written"
    title = "TCP, to a file through a disk queue, nothing synced"
    slow = {"rsyslog": 500_000}
    queue = 'queue.type="Disk"'


class DiskAssisted(DiskSynced):
    name = "disk-assisted"
    title = "TCP, to a file through a memory queue that spills from 2,000 messages on"
    slow = {"rsyslog": 500_000}
    queue = ('queue.type="LinkedList" queue.size="50000" queue.highWatermark="2000" queue.lowWatermark="500" '
             'queue.fullDelayMark="50000"')


class RelpSynced(DiskSynced):
    """The senders' own figure: how fast they are told that their messages are kept."""

    name = "relp-synced"
    title = "RELP, 8 connections, window 128, to a file through a disk queue, acknowledged when synced"
    kind = "relp"
    messages = 2_000_000
    connections = 8
    slow = {"rsyslog": 5000}
    flood = ("--window", "128")
    has_floor = False

    def rsyslog_input(self, place, variant):
        return f'module(load="imrelp")\ninput(type="imrelp" address="127.0.0.1" port="{place.port}")\n'

    def target(self, place):
        return f"relp:127.0.0.1:{place.port}"


class RelpMemory(RelpSynced):
    name = "relp"
    title = "RELP, 8 connections, window 128, to a file"
    slow = {}

    def rsyslog(self, place, variant):
        return rsyslog_head(place, variant) + self.rsyslog_input(place, variant) + self.rsyslog_rules(place, variant)


class DrainSynced(RelpSynced):
    """A destination that is not there until all is in the queue."""

    name = "drain-synced"
    title = "A synced disk queue filled over RELP while its destination is away, then drained to it over TCP"
    kind = "drain"
    queue = DiskSynced.queue + ' queue.size="10000000"'

    def rsyslog_rules(self, place, variant):
        return (f'action(type="omfwd" target="127.0.0.1" port="{place.sink_port}" protocol="tcp"\n'
                f'       template="RSYSLOG_TraditionalForwardFormat"\n'
                f'       action.resumeRetryCount="-1" action.resumeInterval="1")\n')


class DrainAssisted(DrainSynced):
    """Over TCP: what is in memory is nothing that a sender is told is kept."""

    name = "drain-assisted"
    title = "A burst into a memory queue that spills from 2,000 messages on while its destination is away, then drained"
    slow = {"rsyslog": 500_000}
    flood = ()
    queue = DiskAssisted.queue

    def rsyslog_input(self, place, variant):
        return rsyslog_tcp(place, variant)

    def target(self, place):
        return f"tcp:127.0.0.1:{place.port}"


class Tls(Scenario):
    """Whoever the server is, and whoever sends: what is measured is the ciphers' cost, not the handshake's."""

    name = "tls"
    title = "TCP with TLS, 1 connection, to a file"
    flood = ("--any-server",)
    has_floor = False
    rsyslog_variants = [
        Variant("ossl"),
        Variant("ossl, direct queue, async writer", queue="direct", writer="async"),
        Variant("gtls", driver="gtls"),
        Variant("gtls, direct queue, async writer", queue="direct", writer="async", driver="gtls"),
    ]
    syslog_ng_variants = []

    def prepare(self, place):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=bench", "-keyout", os.path.join(place.directory, "key.pem"),
                        "-out", os.path.join(place.directory, "cert.pem")], check=True, stderr=subprocess.DEVNULL)

    def rsyslog(self, place, variant):
        certificate, key = (os.path.join(place.directory, name) for name in ("cert.pem", "key.pem"))
        return (rsyslog_head(place, variant)
                + f'global(defaultNetstreamDriverCAFile="{certificate}" defaultNetstreamDriverCertFile="{certificate}"\n'
                + f'       defaultNetstreamDriverKeyFile="{key}")\n'
                + f'module(load="imtcp" streamDriver.name="{variant.driver}" streamDriver.mode="1"\n'
                + '       streamDriver.authMode="anon")\n'
                + f'input(type="imtcp" address="127.0.0.1" port="{place.port}")\n'
                + self.rsyslog_rules(place, variant))

    def target(self, place):
        return f"tls:127.0.0.1:{place.port}"


class UdpFile(Scenario):
    name = "udp-file"
    title = "UDP at 300,000 a second, to a file"
    kind = "udp"
    transport = "udp"
    messages = 1_500_000
    rate = 300_000
    flood = ("--size", "150")
    rsyslog_variants = RSYSLOG_VARIANTS[:4]

    def rsyslog(self, place, variant):
        batch = "" if variant.name == "default" else ' batchSize="256"'
        return (rsyslog_head(place, variant)
                + f'module(load="imudp"{batch})\n'
                + f'input(type="imudp" address="127.0.0.1" port="{place.port}" rcvbufSize="4m")\n'
                + self.rsyslog_rules(place, variant))

    def syslog_ng(self, place, variant):
        return (syslog_ng_head(variant)
                + f'source s_in {{ network(ip("127.0.0.1") port({place.port}) transport("udp") so-rcvbuf(4194304)'
                + f'{syslog_ng_window(variant)}); }};\n'
                + self.syslog_ng_rules(place, variant))

    def floor(self, place):
        return ["udp", str(place.port), place.path("messages")]

    def target(self, place):
        return f"udp:127.0.0.1:{place.port}"


class UdpSingly(UdpFile):
    """As from a network: nothing keeps datagrams of many sizes together. The senders share the cores with the daemon."""

    name = "udp-singly"
    title = "UDP, every datagram by itself, as many as 4 senders can send, to a file"
    kind = "load"
    connections = 4
    rate = 0
    flood = ("--mix", "--threads", "4")


class UnixDgram(Scenario):
    name = "unix-dgram"
    title = "Unix datagrams, as /dev/log, to a file"
    transport = "unix"
    messages = 1_000_000
    flood = ("--hosts", "0")
    rsyslog_variants = RSYSLOG_VARIANTS[:4]

    def rsyslog(self, place, variant):
        return (rsyslog_head(place, variant)
                + 'module(load="imuxsock" SysSock.Use="off")\n'
                + f'input(type="imuxsock" Socket="{place.socket}" RateLimit.Interval="0")\n'
                + self.rsyslog_rules(place, variant))

    def syslog_ng(self, place, variant):
        # With the sender's credentials it looks up each message's process under /proc.
        credentials = " pass-unix-credentials(no)" if variant.is_tuned else ""
        return (syslog_ng_head(variant)
                + f'source s_in {{ unix-dgram("{place.socket}"{syslog_ng_window(variant)}{credentials}); }};\n'
                + self.syslog_ng_rules(place, variant))

    def floor(self, place):
        return ["unix", place.socket, place.path("messages")]

    def target(self, place):
        return f"unix:{place.socket}"


# The condition as rsyslog has it, as syslog-ng has it, and the file.
FILTERS = [
    ("auth,authpriv.*", "facility(auth,authpriv)", 1),
    ("*.info;mail.none;authpriv.none;cron.none",
     "level(info..emerg) and not facility(mail,authpriv,cron)", 2),
    ("mail.*", "facility(mail)", 3),
    ("cron.*", "facility(cron)", 4),
    ("kern.warning", "facility(kern) and level(warning..emerg)", 5),
    ("local7.err", "facility(local7) and level(err..emerg)", 6),
    ("daemon.*", "facility(daemon)", 6),
    ("*.emerg", "level(emerg)", 6),
    ("local0.=info", "facility(local0) and level(info)", 6),
    ("local2.debug", "facility(local2) and level(debug..emerg)", 6),
    (':msg, contains, "Failed password"', 'message("Failed password" type(string) flags(substring))', 1),
    (':msg, contains, "I/O error"', 'message("I/O error" type(string) flags(substring))', 5),
    (':msg, startswith, " pam_unix"', 'message("pam_unix" type(string) flags(prefix))', 1),
    (':programname, isequal, "nginx"', 'program("nginx" type(string))', 6),
    (':programname, startswith, "postfix"', 'program("postfix" type(string) flags(prefix))', 3),
    (':hostname, isequal, "web-00000"', 'host("web-00000" type(string))', 2),
    (':msg, regex, "HTTP/1.1. 5[0-9][0-9]"', "message('HTTP/1.1. 5[0-9][0-9]')", 5),
    (':msg, ereregex, "(timeout|refused|unreachable)"', "message('(timeout|refused|unreachable)')", 5),
    (':syslogtag, contains, "CRON"', 'program("CRON" type(string) flags(substring))', 4),
    (':msg, !contains, "seq="', 'not message("seq=" type(string) flags(substring))', 6),
    ('if $programname == "sshd" and $msg contains "invalid user" then',
     'program("sshd" type(string)) and message("invalid user" type(string) flags(substring))', 1),
    ("if $syslogseverity <= 3 then", "level(err..emerg)", 5),
    ('if $syslogfacility-text == "local0" and ($msg contains "\\"error\\"" or $msg contains "\\"fatal\\"") then',
     "facility(local0) and (message('\"error\"' type(string) flags(substring))"
     " or message('\"fatal\"' type(string) flags(substring)))", 5),
    ('if $hostname startswith "db-" and $syslogseverity <= 4 then',
     'host("db-" type(string) flags(prefix)) and level(warning..emerg)', 5),
    ('if $programname == "kernel" or $programname == "systemd" then',
     'program("kernel" type(string)) or program("systemd" type(string))', 6),
    ('if ($programname == "nginx" and $msg contains "POST") or $programname == "sudo" then',
     '(program("nginx" type(string)) and message("POST" type(string) flags(substring)))'
     ' or program("sudo" type(string))', 2),
    ('if not ($msg contains "session") and $programname == "CRON" then',
     'not message("session" type(string) flags(substring)) and program("CRON" type(string))', 4),
    ('if re_match($msg, "port [0-9]{5} ssh2") then', "message('port [0-9]{5} ssh2')", 1),
    ('if $msg contains_i "ERROR" then', 'message("ERROR" type(string) flags(substring,ignore-case))', 5),
    ('if $programname == ["dhclient", "myapp", "postgres"] then',
     'program("dhclient" type(string)) or program("myapp" type(string)) or program("postgres" type(string))', 6),
]


class Filters30(Scenario):
    name = "filters-30"
    title = "30 mixed filters, to 6 files"
    messages = 1_000_000

    def rsyslog_rules(self, place, variant):
        # By default as everybody writes it, an action at each rule. An expert has one for each file.
        if variant.name == "default":
            return "".join(f"{condition} {{ {omfile(variant, place.path(f'f{n}'))} }}\n" for condition, _, n in FILTERS)
        sets = "".join(f'ruleset(name="f{n}") {{ {omfile(variant, place.path(f"f{n}"))} }}\n' for n in range(1, 7))
        return sets + "".join(f"{condition} {{ call f{n} }}\n" for condition, _, n in FILTERS)

    def syslog_ng_rules(self, place, variant):
        text = "".join(syslog_ng_file(f"d_{n}", place.path(f"f{n}")) for n in range(1, 7))
        for i, (_, condition, n) in enumerate(FILTERS):
            text += f"filter f_{i} {{ {condition}; }};\n"
            text += f"log {{ source(s_in); filter(f_{i}); destination(d_{n}); flags(flow-control); }};\n"
        return text


class Json(Scenario):
    """JSON in, JSON out: variables from the text, some of them under other names in a new object."""

    name = "json"
    title = "JSON in (mmjsonparse), JSON out (template), to a file"
    messages = 1_000_000
    flood = ("--tag", "orders")

    def rsyslog_rules(self, place, variant):
        return ("""module(load="mmjsonparse")
template(name="json" type="list" option.jsonf="on") {
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="level" name="$!level" format="jsonf")
  property(outname="request" name="$!request" format="jsonf")
  property(outname="user" name="$!user" format="jsonf" onEmpty="null")
  property(outname="path" name="$!path" format="jsonf" onEmpty="null")
  property(outname="trace" name="$!trace" format="jsonf")
  property(outname="all" name="$!" format="jsonf")
}
action(type="mmjsonparse" cookie="")
""" + omfile(variant, place.path("messages"), "json") + "\n")

    def syslog_ng_rules(self, place, variant):
        template = ('$(format-json --leave-initial-dot @timestamp="${ISODATE}" host="${HOST}" level="${.j.level}" '
                    'request="${.j.request}" user="${.j.user}" path="${.j.path}" trace="${.j.trace}" all.*=".j.*")\\n')
        return ('parser p_json { json-parser(prefix(".j.")); };\n'
                f"destination d_out {{ file(\"{place.path('messages')}\" template('{template}')); }};\n"
                "log { source(s_in); parser(p_json); destination(d_out); flags(flow-control); };\n")


class Normalize(Scenario):
    """A rule base over messages of sshd, and the fields as JSON. liblognorm does most of the work in both daemons."""

    name = "normalize"
    title = "mmnormalize, fields as JSON, to a file"
    messages = 500_000
    flood = ("--tag", "sshd")
    syslog_ng_variants = []

    def rsyslog_rules(self, place, variant):
        rules = ["version=2",
                 "rule=accepted: Accepted %method:word% for %user:word% from %ip:ipv4% port %port:number% %rest:rest%",
                 "rule=failed: Failed password for invalid user %user:word% from %ip:ipv4% port %port:number% %rest:rest%",
                 "rule=session: pam_unix(sshd:session): session opened for user %user:char-to:(%(uid=%uid:number%) by (uid=0)%rest:rest%"]
        os.makedirs(place.directory, exist_ok=True)
        path = os.path.join(place.directory, "rules")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(rules) + "\n")
        return ('module(load="mmnormalize")\n'
                'template(name="json" type="string" string="%hostname% %$!all-json%\\n")\n'
                f'action(type="mmnormalize" rulebase="{path}")\n' + omfile(variant, place.path("messages"), "json") + "\n")


class ForwardTcp(Scenario):
    name = "forward-tcp"
    title = "TCP in, TCP out"
    messages = 2_000_000
    kind = "forward"

    def rsyslog_rules(self, place, variant):
        return (f'action(type="omfwd" target="127.0.0.1" port="{place.sink_port}" protocol="tcp"\n'
                f'       template="RSYSLOG_TraditionalForwardFormat")\n')

    def syslog_ng_rules(self, place, variant):
        return (f'destination d_out {{ network("127.0.0.1" port({place.sink_port}) transport("tcp")); }};\n'
                + SYSLOG_NG_PATH)

    def floor(self, place):
        return ["forward", str(place.port), f"127.0.0.1:{place.sink_port}"]

    rsyslog_variants = [
        RSYSLOG_VARIANTS[0],
        Variant("large queue", queue="large"),
        Variant("large queue, imptcp", queue="large", tcp="imptcp"),
        RSYSLOG_VARIANTS[2],
        RSYSLOG_VARIANTS[4],
    ]


class Dynafiles1000(Scenario):
    name = "dynafiles-1000"
    title = "1,000 host names to 1,000 files"
    messages = 1_000_000
    flood = ("--hosts", "1000")

    def rsyslog_rules(self, place, variant):
        return (f'template(name="by_host" type="string" string="{place.output}/%HOSTNAME%.log")\n'
                f'action(type="omfile" dynaFile="by_host" dynaFileCacheSize="1100"'
                f' template="RSYSLOG_TraditionalFileFormat"{WRITERS[variant.writer]})\n')

    # An asynchronous writer is a thread, and a thousand of them are no good idea.
    rsyslog_variants = [
        RSYSLOG_VARIANTS[0],
        Variant("large queue", queue="large"),
        RSYSLOG_VARIANTS[2],
        RSYSLOG_VARIANTS[4],
    ]

    def syslog_ng_rules(self, place, variant):
        return syslog_ng_file("d_out", place.output + "/${HOST}.log") + SYSLOG_NG_PATH


class Lookup(Scenario):
    """Each host name is looked up in a table; of the keys beyond 100,000 no message has one."""

    hosts_max = 100_000  # As many as flood makes.
    syslog_ng_variants = []  # It has no tables of keys in its core.

    def __init__(self, name, keys):
        self.name = name
        self.title = f"Each host name looked up in a table of {keys:,} keys"
        self.keys = keys
        hosts = min(keys, self.hosts_max)
        self.flood = ("--hosts", str(hosts))
        self.block = max(hosts, 1000)
        self.quick_messages = max(2 * hosts, 20_000)

    def table(self, place):
        """Host names as flood makes them, each with one of 97 values of one length."""
        os.makedirs(place.directory, exist_ok=True)
        path = os.path.join(place.directory, "hosts.json")
        if not os.path.exists(path):
            kinds = ("web", "db", "mail", "cache", "node")
            rows = (f'{{"index":"{kinds[i % 5]}-{i:05}","value":"team{i % 97:02}"}}' for i in range(self.keys))
            with open(path, "w", encoding="utf-8") as file:
                file.write('{"version":1,"nomatch":"nobody","type":"string","table":[\n' + ",\n".join(rows) + "\n]}\n")
        return path

    def rsyslog_rules(self, place, variant):
        return (f'lookup_table(name="teams" file="{self.table(place)}")\n'
                'template(name="with_team" type="string" string="%timegenerated% %hostname% %$.team%%msg%\\n")\n'
                'set $.team = lookup("teams", $hostname);\n' + omfile(variant, place.path("messages"), "with_team") + "\n")


class Imfile1g(Scenario):
    name = "imfile-1g"
    title = "A file of 1 GB, read and written to another"
    kind = "imfile"
    messages = 7_700_000
    flood = ("--format", "plain")
    rsyslog_variants = RSYSLOG_VARIANTS[:4]

    def rsyslog(self, place, variant):
        return (rsyslog_head(place, variant)
                + 'template(name="bare" type="string" string="%msg%\\n")\n'
                + 'module(load="imfile" mode="inotify")\n'
                + f'input(type="imfile" file="{place.input_file}" tag="bench:")\n'
                + omfile(variant, place.path("messages"), "bare") + "\n")

    def syslog_ng(self, place, variant):
        return (syslog_ng_head(variant)
                + f'source s_in {{ file("{place.input_file}" flags(no-parse){syslog_ng_window(variant)}); }};\n'
                + f'destination d_out {{ file("{place.path("messages")}" template("${{MSG}}\\n")); }};\n'
                + SYSLOG_NG_PATH)

    def floor(self, place):
        return ["file", place.input_file, place.path("messages")]


class Connections10000(Scenario):
    name = "connections-10000"
    title = "10,000 connections, each sending 100 messages"
    kind = "connections"
    messages = 1_000_000
    connections = 10_000
    flood = ("--batch", "10", "--hold")

    rsyslog_variants = [RSYSLOG_VARIANTS[0], RSYSLOG_VARIANTS[1], RSYSLOG_VARIANTS[2], RSYSLOG_VARIANTS[4]]


class Idle(Scenario):
    name = "idle"
    title = "Nothing to do: TCP input, one file"
    kind = "idle"
    rsyslog_variants = RSYSLOG_VARIANTS[:1]
    syslog_ng_variants = SYSLOG_NG_VARIANTS[:1]


class Start2000(Scenario):
    name = "start-2000"
    title = "Start with 2,000 rules"
    kind = "start"
    rules = 2000
    rsyslog_variants = RSYSLOG_VARIANTS[:1]
    syslog_ng_variants = SYSLOG_NG_VARIANTS[:1]

    def rsyslog_rules(self, place, variant):
        text = ""
        for i in range(self.rules):
            condition = (
                f"local{i % 8}.{('debug', 'info', 'notice', 'warning', 'err')[i % 5]}",
                f':msg, contains, "word {i}"',
                f'if $programname == "program{i}" and $syslogseverity <= {i % 8} then',
                f':hostname, isequal, "host-{i}"',
            )[i % 4]
            text += f"{condition} {{ {omfile(variant, place.path(f'f{i % 20}'))} }}\n"
        return text

    def syslog_ng_rules(self, place, variant):
        text = "".join(syslog_ng_file(f"d_{n}", place.path(f"f{n}")) for n in range(20))
        for i in range(self.rules):
            condition = (
                f"facility(local{i % 8}) and level({('debug', 'info', 'notice', 'warning', 'err')[i % 5]}..emerg)",
                f'message("word {i}" type(string) flags(substring))',
                f'program("program{i}" type(string)) and level({SEVERITIES[i % 8]}..emerg)',
                f'host("host-{i}" type(string))',
            )[i % 4]
            text += f"filter f_{i} {{ {condition}; }};\n"
            text += f"log {{ source(s_in); filter(f_{i}); destination(d_{i % 20}); }};\n"
        return text


SCENARIOS = [
    Tcp1(), Tcp20(), DiskSynced(), DiskWritten(), DiskAssisted(), RelpMemory(), RelpSynced(), DrainSynced(), DrainAssisted(), Tls(), UdpFile(), UdpSingly(), UnixDgram(), Filters30(), Json(), Normalize(),
    ForwardTcp(), Dynafiles1000(),
    Lookup("lookup-10", 10), Lookup("lookup-1k", 1000), Lookup("lookup-100k", 100_000), Lookup("lookup-1m", 1_000_000), Imfile1g(),
    Connections10000(), Idle(), Start2000(),
]
