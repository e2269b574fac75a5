"""A queue on disk that dies under RELP load, cycle after cycle on one spool, and the ledger that knows what it owes.

Each cycle has its own input name, which travels with the message through the store. So a message that comes out again
after later deaths is never taken for one of theirs.
"""
import collections
import json
import os
import re
import socket
import subprocess

from harness import PATIENCE_SECONDS, argument, read, wait

CONNECTIONS = 8
WINDOW = 128              # messages that flood leaves unacknowledged on a connection
CHECKPOINT = 1000         # queue.checkpointInterval
BATCH = 128               # queue.dequeueBatchSize
SLOWDOWN_US = 5000        # each second life leaves a backlog: what it acknowledged is in the store alone
BYTES_MAX = 250           # of a message of the load, nearly always
CONFIG = """
global(processInternalMessages="on")
module(load="imrelp")
template(name="m" type="string" string="%inputname% %rawmsg%\\n")
input(type="imrelp" name="cycle-{cycle}" port="{port}" address="127.0.0.1" ruleset="in")
ruleset(name="in" queue.type="Disk" queue.fileName="kept" queue.spoolDirectory="{spool}" queue.syncQueueFiles="on"
        queue.size="10000000" queue.maxFileSize="1m" queue.checkpointInterval="{checkpoint}"
        queue.dequeueBatchSize="{batch}" queue.dequeueSlowdown="{slowdown}") {{
  action(type="omfile" file="@DIR@/out.{cycle}" template="m")
}}
action(type="omfile" file="@DIR@/own" template="m")
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Deaths:
    """begin() starts the daemon and looks what became of the cycle before; load() loads it; the caller ends it; end()."""

    def __init__(self, place, spool, is_synced=True):
        self.place, self.spool, self.is_synced = place, spool, is_synced
        self.cycle = 0
        self.port = free_port()
        self.daemon = self.flood = None
        self.twice = self.acknowledged = 0

    def out(self, cycle):
        return self.place.file(f"out.{cycle}")

    def delivered(self, cycle):
        """The markers of that cycle's messages, in the order in which they came out, before its death and after."""
        mark = re.compile(rb"^cycle-%d .*seq=(\d+:\d+).*\n" % cycle, re.M)  # not what death cut in two
        return [m for n in (cycle, cycle + 1) for m in mark.findall(read(self.out(n)))]

    def ledger(self, cycle):
        return re.findall(rb"seq=(\d+:\d+)", read(self.place.file(f"ledger.{cycle}")))

    def begin(self, is_checked=True):
        self.cycle += 1
        if os.path.exists(self.place.file("pid")):
            os.unlink(self.place.file("pid"))
        config = CONFIG.format(cycle=self.cycle, port=self.port, spool=self.spool, checkpoint=CHECKPOINT, batch=BATCH,
                               slowdown=SLOWDOWN_US * (self.cycle % 2))
        if not self.is_synced:
            config = config.replace('queue.syncQueueFiles="on"', "")
        self.daemon = self.place.daemon(config)
        if self.cycle > 1 and is_checked:
            self.check(self.cycle - 1)

    def missing(self, cycle):
        return sorted(set(self.ledger(cycle)) - set(self.delivered(cycle)))

    def check(self, cycle):
        """What was acknowledged came out, each connection's messages in order; what came twice is counted."""
        owed = set(self.ledger(cycle))
        wait(lambda: owed <= set(self.delivered(cycle)), f"what cycle {cycle} acknowledged")
        found = self.delivered(cycle)
        last = collections.defaultdict(bytes)
        for mark in dict.fromkeys(found):
            connection, number = mark.split(b":")
            assert number > last[connection], f"cycle {cycle}: {mark} came too late"
            last[connection] = number
        again = len(found) - len(set(found))
        self.twice = max(self.twice, again)
        self.acknowledged += len(owed)
        os.unlink(self.place.file(f"ledger.{cycle}"))
        os.unlink(self.out(cycle))

    def load(self, count):
        """Until so many messages came out, beside what all windows hold: so some of them were acknowledged."""
        self.flood = self.place.spawn(
            [argument("penstock"), "flood", "--sequence", "--json", "--messages", "10000000", "--connections",
             str(CONNECTIONS), "--window", str(WINDOW), "--acknowledged", self.place.file(f"ledger.{self.cycle}"),
             f"relp:127.0.0.1:{self.port}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        before = os.path.getsize(self.out(self.cycle)) if os.path.exists(self.out(self.cycle)) else 0
        wait(lambda: os.path.exists(self.out(self.cycle)) and
             os.path.getsize(self.out(self.cycle)) >= before + (count + 2 * CONNECTIONS * WINDOW) * BYTES_MAX,
             f"{count} messages")

    def end(self):
        """The process dies, and its senders notice."""
        self.daemon.process.kill()
        self.daemon.process.wait(PATIENCE_SECONDS)
        said, complaint = self.flood.communicate(timeout=PATIENCE_SECONDS)
        assert said, complaint
        report = json.loads(said)
        assert report["acknowledged"] == len(self.ledger(self.cycle)) > 0, report
