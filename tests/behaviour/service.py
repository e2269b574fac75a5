#!/usr/bin/env python3
"""The daemon as a service: privileges, another root, sockets from systemd, readiness."""
import os
import pwd
import socket

from harness import Place, argument, needs_root, promise, read, run, send_tcp, wait

TCP = """
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/out" template="m")
"""
ONE = "<13>Oct 11 22:14:15 host tag: hello\n"


def status_of(daemon, field):
    """What each thread of the daemon has in a line of its /proc status."""
    found = set()
    for task in os.listdir(f"/proc/{daemon.process.pid}/task"):
        for line in read(f"/proc/{daemon.process.pid}/task/{task}/status").decode().splitlines():
            if line.startswith(field + ":"):
                found.add(tuple(line.split()[1:]))
    return found


@promise
def privileges_are_dropped_in_every_thread_once_all_is_open():
    needs_root("drop privileges")
    nobody = pwd.getpwnam("nobody")
    with Place() as place:
        os.chmod(place.path, 0o777)
        daemon = place.daemon("$PrivDropToUser nobody\n$PrivDropToGroup nogroup\n" + TCP)
        send_tcp(daemon.port("port"), ONE)
        wait(lambda: place.read("out") == " hello\n", "the message")
        assert status_of(daemon, "Uid") == {(str(nobody.pw_uid),) * 4}
        assert status_of(daemon, "Gid") == {(str(nobody.pw_gid),) * 4}
        assert "0" not in {group for groups in status_of(daemon, "Groups") for group in groups}, "root's groups are kept"
        assert os.stat(place.file("out")).st_uid == nobody.pw_uid
        assert daemon.stop() == 0


@promise
def a_user_who_does_not_exist_is_a_failed_start_and_leaves_no_pid_file():
    for setting in ('global(privdrop.user.name="no-such-user")\n', "$PrivDropToGroup no-such-group\n",
                    'global(security.abortOnIDResolutionFail="off" privdrop.user.name="no-such-user")\n'):
        with Place() as place:
            config = place.file("penstock.conf", setting + TCP)
            done = place.run(argument("daemon"), "-n", "-C", "-f", config, "-i", place.file("pid"))
            assert done.returncode == 1 and "no-such-" in done.stderr, (done.returncode, done.stderr)
            assert not os.path.exists(place.file("pid"))


@promise
def a_port_below_1024_is_taken_before_privileges_go():
    needs_root("take port 1 and drop privileges")
    with Place() as place:
        os.chmod(place.path, 0o777)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = next(p for p in range(1, 1024) if probe.connect_ex(("127.0.0.1", p)))
        daemon = place.daemon("$PrivDropToUser nobody\n" + TCP.replace('port="0"', f'port="{port}"'))
        send_tcp(port, ONE)
        wait(lambda: place.read("out") == " hello\n", "the message")
        assert daemon.stop() == 0


@promise
def a_file_that_cannot_get_its_owner_is_not_written_and_says_why():
    needs_root("drop privileges")
    with Place() as place:
        os.chmod(place.path, 0o777)
        config = "$PrivDropToUser nobody\n" + TCP.replace('file="@DIR@/out"', 'fileOwner="root" file="@DIR@/@NAME@" @MORE@')
        action = config.splitlines()[-1]
        config = config.replace("@NAME@", "strict").replace("@MORE@", "") + action.replace("@NAME@", "out").replace(
            "@MORE@", 'failOnChownFailure="off"') + "\n"
        daemon = place.daemon(config)
        send_tcp(daemon.port("port"), ONE)
        wait(lambda: place.read("out") == " hello\n", "the message")
        wait(lambda: "strict' cannot be given the owner" in daemon.stderr(), "the reason")
        assert not os.path.exists(place.file("strict"))
        assert daemon.stop() == 0


@promise
def with_another_root_all_paths_lie_below_it():
    needs_root("change the root directory")
    with Place() as place:
        daemon = place.daemon(TCP.replace("@DIR@/", "/"), arguments=("-n", "-T", place.path), root=place.path)
        assert os.readlink(f"/proc/{daemon.process.pid}/root") == place.path
        send_tcp(daemon.port("port"), ONE)
        wait(lambda: place.read("out") == " hello\n", "the message")
        assert daemon.stop() == 0
        assert not os.path.exists(daemon.pid_file)
        # What lies outside of it is not read.
        done = place.run(argument("daemon"), "-N1", "-T", place.path, "-f", daemon.config)
        assert done.returncode == 1 and f"could not open config file '{daemon.config}'" in done.stderr, done.stderr


@promise
def a_library_that_no_module_in_use_needs_is_not_loaded():
    with Place() as place:
        daemon = place.daemon(TCP)
        maps = read(f"/proc/{daemon.process.pid}/maps").decode()
        for library in "liblognorm", "libfastjson", "libsystemd", "libmaxminddb", "libcurl":
            assert library not in maps, f"{library} is loaded"
        assert daemon.stop() == 0


@promise
def a_root_that_is_not_there_is_an_error():
    with Place() as place:
        done = place.run(argument("daemon"), "-N1", "-T", place.file("gone"), "-f", place.file("c.conf", "*.* /x\n"))
        assert done.returncode == 1 and f"root directory to '{place.file('gone')}'" in done.stderr, done.stderr


@promise
def a_socket_from_systemd_is_used_and_stays():
    with Place() as place:
        path = place.file("log")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as given, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            given.bind(path)
            inode = os.stat(path).st_ino
            sender.sendto(b"<13>tag: before the start", path)
            daemon = place.daemon("""
module(load="imuxsock" SysSock.Name="@DIR@/log")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/out" template="m")
""", launcher=("sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh"), pass_fds=(3,),
                                  preexec_fn=lambda: os.dup2(given.fileno(), 3))
            wait(lambda: place.read("out") == " before the start\n", "the message that waited")
            sender.sendto(b"<13>tag: after it", path)
            wait(lambda: " after it" in place.lines("out"), "the next message")
            assert daemon.stop() == 0
            assert os.stat(path).st_ino == inode, "the socket of systemd was removed"


@promise
def systemd_is_told_of_readiness_and_of_the_stop():
    with Place() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(place.file("notify"))
        notified.settimeout(20)
        daemon = place.daemon(TCP, environment={"NOTIFY_SOCKET": place.file("notify")})
        assert notified.recv(100).startswith(b"READY=1")
        send_tcp(daemon.port("port"), ONE)
        wait(lambda: place.read("out") == " hello\n", "a daemon that said it is ready takes messages")
        assert daemon.stop() == 0
        assert notified.recv(100).startswith(b"STOPPING=1")


run()
