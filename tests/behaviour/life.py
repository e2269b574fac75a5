#!/usr/bin/env python3
"""The life of the daemon: start, pid file, HUP, TERM, becoming a daemon."""
import os
import signal
import socket
import subprocess

from harness import PATIENCE_SECONDS, Place, Skip, argument, promise, read, run, send_tcp, wait

TCP = """
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/out" template="m")
"""


@promise
def a_message_lands_in_the_file_while_the_daemon_runs():
    with Place() as place:
        daemon = place.daemon(TCP)
        send_tcp(daemon.port("port"), "<13>Oct 11 22:14:15 host tag: hello\n")
        wait(lambda: place.read("out") == " hello\n", "the message")
        assert daemon.stop() == 0


@promise
def the_pid_file_holds_the_number_alone_and_goes_with_the_daemon():
    with Place() as place:
        daemon = place.daemon(TCP)
        assert read(daemon.pid_file) == str(daemon.process.pid).encode()
        assert daemon.stop() == 0
        assert not os.path.exists(daemon.pid_file)


@promise
def a_pid_file_that_cannot_be_written_is_an_error_and_no_crash():
    with Place() as place:
        config = place.file("penstock.conf", TCP)
        missing = os.path.join(place.path, "missing", "pid")
        done = place.run(argument("daemon"), "-n", "-C", "-f", config, "-i", missing,
                         env={**os.environ, "PENSTOCK_BUS_SOCKET": "off"})
        assert done.returncode == 1, done.returncode
        assert "No such file or directory" in done.stderr and "Assertion" not in done.stderr, done.stderr


@promise
def a_second_daemon_with_the_same_pid_file_is_refused():
    with Place() as place:
        daemon = place.daemon(TCP)
        second = place.run(argument("daemon"), "-n", "-f", daemon.config, "-i", daemon.pid_file)
        assert second.returncode == 1
        assert f"pidfile '{daemon.pid_file}' and pid {daemon.process.pid} already exist." in second.stderr
        assert daemon.stop() == 0


@promise
def a_stale_pid_file_is_no_obstacle():
    with Place() as place:
        finished = subprocess.Popen(["true"])
        finished.wait()
        place.file("pid", str(finished.pid))
        daemon = place.daemon(TCP)
        wait(lambda: read(daemon.pid_file) == str(daemon.process.pid).encode(), "the new pid")
        assert daemon.stop() == 0


@promise
def hup_opens_the_files_anew():
    with Place() as place:
        daemon = place.daemon(TCP)
        port = daemon.port("port")
        send_tcp(port, "<13>Oct 11 22:14:15 host tag: before\n")
        wait(lambda: place.read("out"), "the first message")
        os.rename(place.file("out"), place.file("out.1"))
        daemon.hup()

        def after():
            send_tcp(port, "<13>Oct 11 22:14:15 host tag: after\n")
            return place.read("out")

        wait(after, "a message in the new file")
        assert place.lines("out.1")[0] == " before"
        assert daemon.stop() == 0


@promise
def what_was_received_before_term_is_delivered():
    with Place() as place:
        daemon = place.daemon(TCP)
        count = 50000
        send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 host tag: {i}\n" for i in range(count)))
        wait(lambda: place.read("out"), "the first messages")
        wait(lambda: len(place.lines("out")) > count // 2, "half of the messages")
        assert daemon.stop() == 0
        # The last one may have been received in part.
        seen = [int(line) for line in place.lines("out")[:-1]]
        assert seen == list(range(len(seen))), "a gap or a message out of order"


@promise
def as_a_daemon_the_parent_leaves_when_the_child_listens():
    with Place() as place:
        config = place.file("penstock.conf", TCP + 'action(type="omfile" nonsense="1" file="@DIR@/other")\n')
        pid_file = place.file("pid")
        parent = place.run(argument("daemon"), "-C", "-f", config, "-i", pid_file)
        assert parent.returncode == 0, parent.stderr
        assert "parameter 'nonsense' not known" in parent.stderr, parent.stderr
        pid = int(read(pid_file))
        try:
            send_tcp(int(place.read("port")), "<13>Oct 11 22:14:15 host tag: hello\n")
            wait(lambda: " hello" in place.lines("out"), "the message")
        finally:
            os.kill(pid, signal.SIGTERM)
        wait(lambda: not os.path.exists(pid_file), "the end of the daemon")


@promise
def as_a_daemon_a_failed_start_is_the_parents_failure():
    with Place() as place:
        parent = place.run(argument("daemon"), "-f", place.file("missing.conf"), "-i", place.file("pid"))
        assert parent.returncode == 1
        assert not os.path.exists(place.file("pid"))


@promise
def own_messages_enter_the_log_with_their_tag():
    with Place() as place:
        daemon = place.daemon('global(processInternalMessages="on")\n:syslogtag, isequal, "rsyslogd:" @DIR@/own\n')
        wait(lambda: "] start" in place.read("own"), "the start message")
        daemon.hup()
        wait(lambda: "rsyslogd was HUPed" in place.read("own"), "the HUP message")
        assert daemon.stop() == 0
        assert "exiting on signal 15." in place.read("own")


def stop_with_a_destination_away(main_queue):
    """A port that is bound but does not listen refuses connections, and nobody else gets it."""
    with Place() as place, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        forward = (f'action(type="omfwd" target="127.0.0.1" port="{closed.getsockname()[1]}" protocol="tcp" '
                   'action.resumeRetryCount="-1" action.resumeInterval="3600")\n')
        daemon = place.daemon(main_queue + TCP + forward)
        send_tcp(daemon.port("port"), "".join(f"<13>Oct 11 22:14:15 host tag: {i}\n" for i in range(5000)))
        wait(lambda: place.read("out"), "the first messages")
        assert daemon.stop() == 0


@promise
def a_stop_is_bounded_while_a_full_queue_holds_its_senders():
    stop_with_a_destination_away('main_queue(queue.size="100" queue.timeoutShutdown="100")\n')


@promise
def a_stop_is_bounded_while_an_input_itself_delivers():
    stop_with_a_destination_away('main_queue(queue.type="direct")\n')


@promise
def own_messages_through_a_direct_queue_leave_the_daemon_its_signals():
    stop_with_a_destination_away('global(processInternalMessages="on")\nmain_queue(queue.type="direct")\n')


@promise
def an_idle_daemon_sleeps():
    if b"__tsan_init" in read(argument("daemon")):
        raise Skip("the thread sanitizer has a thread of its own that wakes up")
    with Place() as place:
        daemon = place.daemon(TCP)
        daemon.port("port")

        def switches():
            total = 0
            for task in os.listdir(f"/proc/{daemon.process.pid}/task"):
                status = read(f"/proc/{daemon.process.pid}/task/{task}/status").decode()
                total += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
            return total

        # The start settles, seen several times on a busy machine; then two seconds without one wake-up.
        seen = [switches()]

        def is_settled():
            seen.append(switches())
            return len(seen) > 10 and len(set(seen[-10:])) == 1

        wait(is_settled, "the daemon to settle")
        start = switches()
        try:
            daemon.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        assert switches() == start, f"{switches() - start} wake-ups in two idle seconds"
        assert daemon.stop() == 0


@promise
def a_pid_file_that_cannot_be_written_is_named_and_ends_the_start():
    with Place() as place:
        config = place.file("penstock.conf", 'module(load="imtcp")\ninput(type="imtcp" port="0" address="127.0.0.1")\n'
                            'action(type="omfile" file="@DIR@/out")\n')
        pid_file = place.file("nowhere/pid")
        done = place.run(argument("daemon"), "-n", "-C", "-f", config, "-i", pid_file,
                         env={**os.environ, "PENSTOCK_BUS_SOCKET": "off"})
        assert done.returncode == 1, (done.returncode, done.stderr)
        assert f"error writing pid file '{pid_file}': No such file or directory" in done.stderr, done.stderr


run()
