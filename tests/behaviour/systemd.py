#!/usr/bin/env python3
"""penstockd as a service of a real systemd, and replaced there by its successor.

systemd is process 1 of namespaces of its own; its root is this machine's, with a layer above it that takes what is
written and goes with the test. Where that cannot be had (no root, no systemd, no overlay), the tests are skipped.
"""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time

from harness import PATIENCE_SECONDS, ROOT, Place, Skip, argument, promise, run, wait
from ports import free_port

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(argument("daemon"))))
START_SECONDS = 60
CONFIG = """
module(load="imtcp")
module(load="imuxsock")
input(type="imtcp" port="%d" address="127.0.0.1")
template(name="m" type="string" string="%%msg%%\\n")
action(type="omfile" file="/var/log/penstock-test" template="m")
"""
# Cgroups of our own below whatever there are, so that nothing is left of them.
AROUND = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/cgroup" "$1/above" "$1/work" "$1/root"
mount -t cgroup2 none "$1/cgroup"
own="$1/cgroup/penstock-test.$$"
mkdir "$own"
echo $$ > "$own/cgroup.procs"
set +e
unshare --cgroup --pid --uts --ipc --fork --kill-child sh -c "$3" inside "$1" "$2"
status=$?
echo $$ > "$1/cgroup/cgroup.procs"
find "$own" -depth -type d -exec rmdir {} +
exit $status
"""
INSIDE = """
set -e
cd "$1"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/above,workdir=$1/work" root
cp -a "$2/." root/
cd root
for place in run tmp dev var/log; do mount -t tmpfs tmpfs $place; done
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys || mount --rbind /sys sys
mount -t cgroup2 none sys/fs/cgroup
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/shm dev/pts
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    chroot . "$(readlink -f /lib/systemd/systemd)" --system --log-target=console --unit=basic.target
"""


def needs():
    if os.getuid():
        raise Skip("only root can start a systemd in namespaces")
    for program in ("unshare", "nsenter", "systemctl"):
        if not shutil.which(program):
            raise Skip(f"there is no {program}")
    if not os.path.exists("/lib/systemd/systemd"):
        raise Skip("there is no systemd")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class Machine:
    """A systemd with Penstock installed; what is in `files` lies in its root."""

    def __init__(self, place, files):
        self.place, self.layer, self.home = place, os.path.join(place.path, "layer"), os.path.join(place.path, "machine")
        os.mkdir(self.home)
        self.install()
        for path, text in files.items():
            os.makedirs(os.path.dirname(self.layer + path), exist_ok=True)
            with open(self.layer + path, "w", encoding="utf-8") as file:
                file.write(text)
        self.log_path = place.file("systemd.log", "")
        with open(self.log_path, "ab") as log:
            self.process = place.spawn(["unshare", "--mount", "sh", "-c", AROUND, "around", self.home, self.layer, INSIDE],
                                       stdout=log, stderr=log)
        self.init = None

    def install(self):
        options = subprocess.run(["meson", "introspect", "--buildoptions", BUILD], capture_output=True, text=True, check=True)
        prefix = next(line["value"] for line in json.loads(options.stdout) if line["name"] == "prefix")
        done = subprocess.run(["make", "-C", ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={self.layer}", f"PREFIX={prefix}"],
                              capture_output=True, text=True, check=False, env=dict(os.environ, MAKEFLAGS=""))
        assert done.returncode == 0, done.stdout + done.stderr

    def __enter__(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            self.init = self.init or self.find_init()
            if self.init and self.inside("systemctl", "is-active", "basic.target", wrong=None).stdout.strip() == "active":
                return self
            time.sleep(0.05)
        self.stop()
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            raise Skip(f"systemd does not run here: {log.read()[-300:].strip()!r}")

    def find_init(self):
        """Process 1 in there, as we see it: below the second unshare, which is below the first."""
        with contextlib.suppress(OSError, IndexError):
            init = children(children(self.process.pid)[0])[0]
            with open(f"/proc/{init}/comm", encoding="ascii") as file:
                return init if file.read().strip() == "systemd" else None
        return None

    def inside(self, *command, wrong=False):
        done = self.place.run("nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C", "-r", "-w",
                              "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *command,
                              seconds=START_SECONDS)
        assert wrong is None or (done.returncode != 0) == wrong, (command, done.returncode, done.stdout, done.stderr)
        return done

    def kill(self, signal, pid, wrong=False):
        """By the shell's own kill: there may be no program of that name."""
        return self.inside("sh", "-c", f"kill -{signal} {pid}", wrong=wrong)

    def show(self, name, unit="penstockd.service"):
        return self.inside("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def lines(self):
        return self.inside("cat", "/var/log/penstock-test", wrong=None).stdout.splitlines()

    def stop(self):
        if self.init and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, 9)
            self.process.wait(PATIENCE_SECONDS)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_):
        self.stop()


def send(port, text):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"<13>Oct 11 22:14:15 host tag: {text}\n".encode())


@promise
def systemd_starts_reloads_replaces_restarts_and_stops_it():
    needs()
    port = free_port()
    with Place() as place, Machine(place, {"/etc/rsyslog.conf": CONFIG % port}) as machine:
        machine.inside("systemctl", "enable", "--now", "penstockd")
        assert machine.show("ActiveState") == "active" and machine.show("Type") == "notify"
        first = int(machine.show("MainPID"))
        send(port, "first")
        wait(lambda: any("first" in line for line in machine.lines()), "the first message")

        machine.inside("mv", "/var/log/penstock-test", "/var/log/penstock-test.1")
        machine.inside("systemctl", "reload", "penstockd")
        # The signal has been sent, not yet obeyed: what comes before that is in the file of the other name.
        wait(lambda: send(port, "reopened") or any("reopened" in line for line in machine.lines()),
             "a message after the reload")

        # The new process is the service's main one before the old one ends, and the service stays up.
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"<13>Oct 11 22:14:15 host tag: held\n")
            wait(lambda: any("held" in line for line in machine.lines()), "a message of a session that goes on")
            machine.inside("penstock", "upgrade")
            second = int(wait(lambda: int(machine.show("MainPID")) not in (0, first) and machine.show("MainPID"),
                              "another main process"))
            assert machine.kill(0, first) and machine.show("ActiveState") == "active"
            connection.sendall(b"<13>Oct 11 22:14:15 host tag: still held\n")
            send(port, "second")
        wait(lambda: any("second" in line for line in machine.lines()), "a message to it")
        wait(lambda: any("still held" in line for line in machine.lines()), "the session's last message")
        wait(lambda: machine.kill(0, first, wrong=None).returncode, "the end of the old one")
        assert machine.show("ActiveState") == "active" and int(machine.show("MainPID")) == second
        assert machine.show("NRestarts") == "0", "it was restarted, not replaced"

        machine.kill(9, second)
        wait(lambda: machine.show("NRestarts") == "1" and machine.show("ActiveState") == "active", "the restart after a death")
        assert int(machine.show("MainPID")) not in (0, first, second)
        send(port, "third")
        wait(lambda: any("third" in line for line in machine.lines()), "a message after the restart")

        # The socket would start it again for the journal's next message.
        machine.inside("systemctl", "stop", "syslog.socket", "penstockd")
        end = [machine.show(name) for name in ("ActiveState", "Result", "ExecMainStatus")]
        assert end == ["inactive", "success", "0"], (end, machine.inside("journalctl", "-u", "penstockd", wrong=None).stdout[-1500:])


@promise
def the_bus_starts_by_its_socket_and_serves_within_its_unit():
    needs()
    # Devices and /proc of these namespaces cannot be mounted anew; all else of the unit holds.
    here = {"/etc/systemd/system/penstock-bus.service.d/here.conf": "[Service]\nPrivateDevices=no\nProtectProc=default\n"}
    with Place() as place, Machine(place, here) as machine:
        machine.inside("systemctl", "start", "penstock-bus.socket")
        assert machine.show("ActiveState", "penstock-bus.service") == "inactive"
        told = machine.inside("penstock", "bus", "members", "--socket", "/run/penstock/bus").stdout
        assert "@" in told, told
        assert machine.show("ActiveState", "penstock-bus.service") == "active"
        pid = machine.show("MainPID", "penstock-bus.service")
        assert machine.inside("stat", "-c", "%U", f"/proc/{pid}").stdout.strip() != "root"
        machine.inside("systemctl", "stop", "penstock-bus.socket", "penstock-bus.service")
        assert machine.show("Result", "penstock-bus.service") == "success"


if __name__ == "__main__":
    run()
