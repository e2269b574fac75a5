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
def a_byte_order_mark_is_no_mistake():
    with Place() as place:
        done = check(place, "\ufeff" + CLEAN)
        assert done.returncode == 0, done.stderr


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
        assert "option -Z is unknown" in done.stderr
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


# One mistake each, in line 2: where its caret stands, what is said, and what would be right.
LISTEN = 'module(load="imtcp") '
MISTAKES = [
    ("an object", 'actoin(type="omfile" file="/x")', 1, "syntax error on token 'actoin'", "did you mean `action`?"),
    ("a parameter", 'action(type="omfile" file="/x" snc="on")', 32, "parameter 'snc' not known", "did you mean `sync`?"),
    ("a function", 'if strlem($msg) > 3 then stop', 4, "function 'strlem' not found", "did you mean `strlen`?"),
    ("arguments", 'if strlen($msg, "x") > 1 then stop', 4, "number of parameters for strlen() must be 1 but is 2", ""),
    ("a module", 'module(load="imtpc")', 13, "could not load module 'imtpc'", "did you mean `imtcp`?"),
    ("an output", 'action(type="omflie" file="/x")', 13, "module name 'omflie' is unknown", "did you mean `omfile`?"),
    ("an input", 'input(type="imtpc" port="1")', 12, "input module name 'imtpc' is unknown", "did you mean `imtcp`?"),
    ("a module not loaded", 'input(type="imtcp" port="1")', 12, "imtcp", 'module(load="imtcp")'),
    ("a template", 'action(type="omfile" file="/x" template="nosuch")', 41, "Could not find template 1 'nosuch'", ""),
    ("a template's name", '*.* /x;RSYSLOG_FileFromat', 8, "Could not find template", "did you mean `RSYSLOG_FileFormat`?"),
    ("a ruleset", "call nosuch", 1, "ruleset 'nosuch' cannot be found", ""),
    ("an input's ruleset", LISTEN + 'input(type="imtcp" port="0" ruleset="nosuch")', 58, "ruleset 'nosuch' not found", ""),
    ("a property of a template", 'template(name="t" type="string" string="%mgs%")', 40, "invalid property 'mgs'", "did you mean `msg`?"),
    ("a property of a filter", ':mgs, contains, "x" /x', 2, "invalid property 'mgs'", "did you mean `msg`?"),
    ("a property of an expression", 'if $mgs == "x" then stop', 4, "invalid property 'mgs'", "did you mean `msg`?"),
    ("an option of a property", 'template(name="t" type="string" string="%msg:::uppercas%")', 40, "invalid field option 'uppercas'", ""),
    ("a quote", 'action(type="omfile" file="/x)', 27, 'this string has no closing "', ""),
    ("a quote in an expression", 'if $msg == "x then stop', 12, 'this string has no closing "', ""),
    ("a brace", 'if $msg == "x" then {\n stop', 21, "this block is not closed", "`}` is missing"),
    ("a brace too many", "}", 1, "invalid character '}'", "there is no block that it could close"),
    ("a parenthesis", 'action(type="omfile" file="/x"', 1, "the parameters of action() have no end", "`)` is missing"),
    ("a comment", "/* no end", 1, "this comment has no end", "close it with */"),
    ("an include of itself", 'include(file="@DIR@/penstock.conf")', 14, "already included", ""),
    ("an include of nothing", 'include(file="@DIR@/nothing.conf")', 14, "No such file or directory", ""),
    ("a regular expression", ':msg, ereregex, "a(" /x', 1, "invalid regular expression 'a('", ""),
    ("a regular expression of a function", 'if re_match($msg, "a(") then stop', 4, "invalid regular expression 'a('", ""),
    ("a regular expression of a template", 'template(name="t" type="string" string="%msg:R,ERE,1,DFLT:a(--end%")', 40, "error compiling regex 'a('", ""),
    ("a required parameter", 'action(type="omfile")', 1, 'the "file" or "dynafile" parameter must be given', ""),
    ("another required parameter", 'action(type="omfwd")', 1, "parameter 'target' required but not specified", ""),
    ("a type", 'action(file="/x")', 1, "parameter 'type' required but not specified", "it names the module that does the work"),
    ("a number", 'action(type="omfile" file="/x" action.resumeInterval="soon")', 54, "is not a proper number", "0 or more (seconds) is wanted"),
    ("a bound", 'action(type="omfile" file="/x" queue.workerThreads="0")', 52, "is not a proper number", "1 to 1024 (threads) is wanted"),
    ("a switch", 'action(type="omfile" file="/x" sync="maybe")', 37, 'must be "on" or "off"', "on or off is wanted"),
    ("a choice", 'action(type="omfile" file="/x" queue.type="LinkdList")', 43, "unknown queue type: 'LinkdList'", "did you mean `LinkedList`?"),
    ("a size", 'global(maxMessageSize="8q")', 23, "does not contain a valid size", "128 to 67108864 is wanted"),
    ("a directive", "$ModLaod imtcp", 1, "invalid or yet-unknown config file command 'ModLaod'", "did you mean `$ModLoad`?"),
    ("a directive's value", "$ActionFileEnableSync maybe", 23, 'must be "on" or "off"', "on or off is wanted"),
    ("a facility", "maill.* /x", 1, 'unknown facility name "maill"', "did you mean `mail`?"),
    ("a severity", "mail.inf /x", 6, 'unknown priority name "inf"', "did you mean `info`?"),
    ("an operation", ':msg, contians, "x" /x', 7, "invalid compare operation 'contians'", "did you mean `contains`?"),
    ("an operator", 'if $msg containz "x" then stop', 9, "syntax error on token 'containz'", ""),
    ("then", 'if $msg == "x" stop', 16, "syntax error on token 'stop'", "behind the condition follows `then`"),
    ("a duplicate", 'action(type="omfile" file="/x" file="/y")', 32, "duplicate parameter 'file'", "the last one counts"),
    ("a variable", 'set $msg = "x";', 5, "invalid variable 'msg' in set statement", "$!name, $.name or $/name"),
    ("a ruleset twice", 'ruleset(name="a") { stop } ruleset(name="a") { stop }', 28, "ruleset 'a' specified more than once", ""),
    ("a BSD block", "!prog", 1, "BSD-style blocks are no longer supported", "write: if $programname == 'NAME' then"),
    ("a disk queue", 'action(type="omfile" file="/x" queue.type="disk")', 1, "there is no queue.fileName", "messages wait in memory"),
    ("a table's file", 'lookup_table(name="a" file="@DIR@/none.json")', 1, "could not be opened: No such file", ""),
    ("a table's name", 'set $!a = lookup("none", $msg);', 11, "lookup table 'none' not found", ""),
    ("a module to come", 'module(load="omhttp")', 13, "could not load module 'omhttp'", "not part of Penstock yet"),
]


@promise
def migrate_lists_what_becomes_of_each_line():
    with Place() as place:
        place.file("part.conf", "*.* @DIR@/part\n")
        path = place.file("penstock.conf", """$ModLoad imuxsock
mail.*  @DIR@/mail
& ~
module(load="omnothing")
if $msg contains "x" then {
    action(type="omfile"
           file="@DIR@/x" fil="y")
    stop
}
include(file="@DIR@/part.conf")
""")
        done = place.run(argument("penstock"), "migrate", path)
        assert done.returncode == 1
        found = [line.split(None, 2) for line in done.stdout.splitlines() if line[:6].strip().isdigit()]
        assert [(line[0], line[1]) for line in found] == [
            ("1", "same"), ("2", "same"), ("3", "changed"), ("4", "unsupported"), ("5", "same"), ("6", "unsupported"),
            ("8", "same"), ("10", "same"), ("1", "same")], done.stdout
        assert "did you mean `file`?" in done.stdout and "write `stop`" in done.stdout, done.stdout
        assert done.stdout.endswith(": 6 same, 1 changed, 2 unsupported\n"), done.stdout
        clean = place.run(argument("penstock"), "migrate", place.file("clean.conf", "*.* @DIR@/all\n"))
        assert clean.returncode == 0 and "1 same, 0 changed, 0 unsupported" in clean.stdout


@promise
def every_kind_of_mistake_shows_its_place_a_caret_and_a_hint():
    wrong = []
    for kind, text, column, said, hint in MISTAKES:
        with Place() as place:
            text = text.replace("@DIR@", place.path)
            found = check(place, CLEAN + text + "\n").stderr.splitlines()
            at = f"{place.file('penstock.conf')}:2:{column}: "
            heads = [n for n, line in enumerate(found) if line.startswith(at) and said in line]
            shown = f"    2 | {text.splitlines()[0]}"
            caret = "      | " + " " * (column - 1) + "^"
            if not heads:
                wrong.append(f"{kind}: {at}... {said}: not said:\n" + "\n".join(found))
            elif found[heads[0] + 1] != shown or not found[heads[0] + 2].startswith(caret):
                wrong.append(f"{kind}: the line and its caret are not shown:\n" + "\n".join(found))
            elif hint and hint not in "\n".join(found[heads[0]:heads[0] + 4]):
                wrong.append(f"{kind}: `{hint}` is no hint of:\n" + "\n".join(found))
    assert not wrong, "\n".join(wrong)


run()
