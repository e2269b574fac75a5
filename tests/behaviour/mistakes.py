#!/usr/bin/env python3
"""What a user sees who made a mistake in a configuration."""
from harness import Place, argument, promise, run, send_tcp, wait

CLEAN = 'action(type="omfile" file="@DIR@/out")\n'


def check(place, text, *arguments):
    return place.run(argument("daemon"), "-N1", "-C", "-f", place.file("penstock.conf", text), *arguments)


@promise
def a_clean_file_is_said_to_be_clean():
    with Place() as place:
        done = check(place, CLEAN)
        assert done.returncode == 0, done.stderr
        first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
        assert first.startswith("rsyslogd: version 8.") and "config validation run (level 1), master config" in first
        assert last == "rsyslogd: End of config validation run. Bye."


@promise
def a_mistake_shows_its_line_a_caret_and_what_would_be_right():
    with Place() as place:
        done = check(place, CLEAN + 'action(type="omfile" queue.typ="LinkedList" file="@DIR@/x")\n')
        assert done.returncode == 1
        assert "penstock.conf:2:22: error: parameter 'queue.typ' not known -- typo in config file?" in done.stderr, done.stderr
        assert '| action(type="omfile" queue.typ="LinkedList"' in done.stderr
        assert "^" in done.stderr
        assert "did you mean `queue.type`?" in done.stderr


@promise
def all_mistakes_of_a_file_are_found_in_one_run():
    with Place() as place:
        done = check(place, CLEAN + 'module(load="imtpc")\n' + 'input(type="imudp" prot="1")\n'
                     + 'action(type="omfile" fil="/x")\n' + 'if $mgs contains "x" then stop\n')
        assert done.returncode == 1
        for line in (2, 3, 4, 5):
            assert f"penstock.conf:{line}:" in done.stderr, f"line {line} is not named:\n{done.stderr}"


@promise
def a_missing_file_is_exit_1_with_rsyslogs_words():
    with Place() as place:
        done = place.run(argument("daemon"), "-N1", "-f", place.file("missing.conf"))
        assert done.returncode == 1
        assert "rsyslogd: run failed with error -" in done.stderr


@promise
def a_file_without_an_action_is_exit_1():
    with Place() as place:
        done = check(place, "# nothing\n")
        assert done.returncode == 1
        assert "rsyslogd: run failed with error -" in done.stderr


@promise
def at_start_the_valid_rest_runs():
    with Place() as place:
        daemon = place.daemon("""
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
action(type="omfile" nonsense="1" file="@DIR@/bad")
template(name="m" type="string" string="%msg%\\n")
action(type="omfile" file="@DIR@/out" template="m")
""", has_mistakes=True)
        send_tcp(daemon.port("port"), "<13>Oct 11 22:14:15 host tag: hello\n")
        wait(lambda: place.read("out") == " hello\n", "the message")
        assert "parameter 'nonsense' not known" in daemon.stderr()
        assert daemon.stop() == 0


@promise
def abort_on_unclean_config_is_exit_2():
    with Place() as place:
        text = 'global(abortOnUncleanConfig="on")\n' + CLEAN + 'action(type="omfile" fil="/x")\n'
        assert check(place, text).returncode == 2
        done = place.run(argument("daemon"), "-n", "-C", "-f", place.file("penstock.conf", text), "-iNONE")
        assert done.returncode == 2


@promise
def unknown_options_show_the_usage_and_obsolete_ones_warn():
    with Place() as place:
        done = place.run(argument("daemon"), "-Z")
        assert done.returncode == 1 and "usage: penstockd" in done.stderr
        done = check(place, CLEAN, "-c5", "-x")
        assert done.returncode == 0
        assert "option -c is no longer supported" in done.stderr and "option -x is no longer supported" in done.stderr


@promise
def the_version_is_one_that_scripts_can_compare():
    with Place() as place:
        done = place.run(argument("daemon"), "-v")
        assert done.returncode == 0
        assert done.stdout.startswith("penstockd  8.")
        assert "\tTLS network stream driver: OpenSSL\n" in done.stdout


@promise
def o_writes_the_whole_configuration_and_never_over_the_input():
    with Place() as place:
        place.file("part.conf", "# a part\n*.* @DIR@/part\n")
        text = CLEAN + 'include(file="@DIR@/part.conf")\n'
        done = check(place, text, "-o", place.file("flat.conf"))
        assert done.returncode == 0, done.stderr
        flat = place.read("flat.conf")
        assert flat.startswith("## full conf created by rsyslog version 8.")
        assert "BEGIN CONFIG: " + place.file("part.conf") in flat
        done = check(place, text, "-o", place.file("penstock.conf"))
        assert done.returncode == 1
        assert "-o output path must not be the same as the input config file" in done.stderr


@promise
def penstock_check_says_the_same():
    with Place() as place:
        path = place.file("penstock.conf", CLEAN + 'action(type="omfile" fil="/x")\n')
        done = place.run(argument("penstock"), "check", path)
        assert done.returncode == 1
        assert "parameter 'fil' not known" in done.stdout and "did you mean `file`?" in done.stdout


run()
