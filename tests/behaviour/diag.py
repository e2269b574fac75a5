#!/usr/bin/env python3
"""imdiag answers test benches in a running daemon: every command once, and what it does."""
import os
import re
import signal
import stat

from harness import PATIENCE_SECONDS, Diag, Place, promise, run, wait

CONFIG = """
module(load="imdiag" listenPortFileName="@DIR@/diag" serverRun="0" properTerminationFile="@DIR@/end")
template(name="m" type="string" string="%inputname% %fromhost-ip% %msg%\\n")
:msg, contains, "msgnum" action(type="omfile" file="@DIR@/out" template="m")
*.* action(type="omfile" file="@DIR@/raw" template="raw")
template(name="raw" type="string" string="%rawmsg%\\n")
"""


def started(place, config=CONFIG):
    daemon = place.daemon(config)
    return daemon, Diag(daemon.port("diag"))


@promise
def injected_messages_pass_as_if_received():
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            assert diag.ask("injectmsg 5 1000") == "1000 messages injected"
            assert diag.ask("WaitMainQueueEmpty") == "mainqueue empty"
            assert place.lines("out") == [f"imdiag 127.0.0.1  msgnum:{i:08d}:" for i in range(5, 1005)]
            assert place.lines("raw")[0] == "<167>Mar  1 01:00:00 192.0.2.8 tag msgnum:00000005:"
            assert diag.ask("injectmsg literal <13>host tag:  two blanks") == "1 messages injected"
            wait(lambda: "<13>host tag:  two blanks" in place.lines("raw"), "the literal message")
        assert daemon.stop() == 0


@promise
def directives_of_old_set_the_listener_up_in_a_file_that_must_be_clean():
    with Place() as place:
        daemon, diag = started(place, """
$AbortOnUncleanConfig on
module(load="imdiag")
$IMDiagListenPortFileName @DIR@/diag
$IMDiagServerRun 0
$IMDiagAbortTimeout 580
:msg, contains, "msgnum" @DIR@/out
""")
        with diag:
            assert diag.ask("injectmsg 0 10") == "10 messages injected"
            assert diag.ask("WaitMainQueueEmpty") == "mainqueue empty"
            assert len(place.lines("out")) == 10
        assert daemon.stop() == 0


@promise
def names_of_commands_are_taken_in_any_case_and_unknown_ones_are_said_so():
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            assert diag.ask("WAITMAINQUEUEEMPTY") == "mainqueue empty"
            assert diag.ask("getMainMsgQueueSize") == "0"
            assert diag.ask("NoSuchThing now") == "unkown command 'nosuchthing'"
        assert daemon.stop() == 0


@promise
def a_hup_is_awaited():
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            daemon.hup()
            assert re.fullmatch(r"seen HUP request, looks like it has completed \[\d+ tries\]",
                                diag.ask("AwaitHUPComplete"))
            assert diag.ask("AwaitHUPComplete") == "timeout - looks like_HUP has completed [10 tries]"
            assert diag.ask("AwaitLookupTableReload") == "no pending lookup-table reloads found"
        assert daemon.stop() == 0


@promise
def a_block_of_statistics_is_taken_note_of():
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            assert diag.ask("awaitStatsReport") == "imdiag::error : stats reporting was not blocked, bug?"
            assert diag.ask("blockStatsReporting") == "next stats reporting call will be blocked"
        assert daemon.stop() == 0


@promise
def timeouts_are_set_and_nonsense_is_refused():
    names = ("MainMsgQueueTimeoutShutdown", "MainMsgQueueTimeoutEnqueue", "InputShutdownTimeout",
             "DefaultActionQueueTimeoutShutdown", "DefaultActionQueueTimeoutEnqueue")
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            for name in names:
                assert diag.ask(f"set{name} 10000") == "OK", name
                assert diag.ask(f"set{name} soon") == "ERROR: invalid timeout value", name
        assert daemon.stop() == 0


@promise
def faults_of_a_store_are_refused_where_there_is_none():
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            assert (diag.ask("setsegdiskfault segment-created 1")
                    == "ERROR: unknown fault point or main queue is not segmentedDisk")
            assert diag.ask("setsegdiskfault") == "ERROR: missing segmentedDisk fault point"
            assert diag.ask("clearsegdiskfault") == "OK"
            assert diag.ask("enabledebug") == "debug enabled"
        assert daemon.stop() == 0


@promise
def a_regular_end_is_witnessed_last_of_all():
    with Place() as place:
        daemon, diag = started(place)
        with diag:
            diag.ask("injectmsg 0 10")
        pid = daemon.pid()
        assert daemon.stop() == 0
        lines = place.lines("end")
        assert lines[:4] == ["status=ok", "reason=normal", f"pid={pid}", "signal=15"], lines
        assert lines[4].startswith("version=8.") and lines[5:] == ["phase=main-return", "queue.overall.size=0"], lines
        assert stat.S_IMODE(os.stat(place.file("end")).st_mode) == 0o600


@promise
def a_daemon_that_runs_longer_than_its_guard_allows_is_aborted_with_a_witness():
    with Place() as place:
        daemon, diag = started(place, CONFIG.replace('serverRun="0"', 'serverRun="0" abortTimeout="1"'))
        with diag:
            daemon.process.wait(PATIENCE_SECONDS)
        assert daemon.process.returncode == -signal.SIGABRT
        assert "timeoutGuard: rsyslog still active" in daemon.stderr()
        assert "reason=timeoutGuard" in place.read("end")


run()
