#!/usr/bin/env python3
"""Modules: one of a third party, built outside the tree against the installed header; help and reference pages."""
import os
import shutil
import subprocess
import sys

from harness import ROOT, Place, argument, promise, read, run, send_tcp, wait

TCP = """
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port")
template(name="m" type="string" string="%msg%\\n")
"""


def build_example(place, name="omgreet"):
    """The header as `make install` lays it, the example copied out of the tree."""
    header = place.file("include/penstock")
    os.makedirs(header, exist_ok=True)
    subprocess.run(["cp", os.path.join(ROOT, "src/module/module.h"), header], check=True)
    subprocess.run(["cp", os.path.join(ROOT, "examples/module", name + ".c"), place.path], check=True)
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I", place.file("include"), "-shared", "-fPIC", "-o",
                    place.file(name + ".so"), place.file(name + ".c")], check=True)


@promise
def a_module_of_a_third_party_is_built_outside_and_runs():
    with Place() as place:
        build_example(place)
        daemon = place.daemon('module(load="@DIR@/omgreet.so")\n' + TCP
                              + 'action(type="omgreet" file="@DIR@/out" word="good day" template="m")\n')
        send_tcp(daemon.port("port"), "<13>Oct 11 22:14:15 host tag: one\n<13>Oct 11 22:14:15 host tag: two\n")
        wait(lambda: place.read("out") == "good day  one\ngood day  two\n", "the greetings")
        assert daemon.stop() == 0


@promise
def a_parser_of_a_third_party_sets_what_a_message_is():
    with Place() as place:
        build_example(place, "pmapp")
        daemon = place.daemon("""
module(load="@DIR@/pmapp.so")
module(load="imtcp")
template(name="m" type="string" string="%timereported:::date-rfc3339% %hostname% %programname% %procid%%msg%\\n")
ruleset(name="apps" parser=["app", "rsyslog.rfc3164"]) { action(type="omfile" file="@DIR@/out" template="m") }
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="@DIR@/port" ruleset="apps")
""")
        send_tcp(daemon.port("port"), "<13>@1760220855.25 web01 shop[77]: sold\n"
                 "<13>2026-01-02T03:04:05Z other tag: of the next parser\n")
        wait(lambda: place.read("out").count("\n") == 2, "both messages")
        assert place.read("out") == ("2025-10-11T22:14:15.250000+00:00 web01 shop 77sold\n"
                                     "2026-01-02T03:04:05Z other tag - of the next parser\n"), place.read("out")
        assert daemon.stop() == 0


@promise
def an_output_of_a_third_party_reads_the_record_itself():
    with Place() as place:
        build_example(place)
        source = place.read("omgreet.c").replace(
            'g->settings->word, (int)row->size, row->data)',
            'penstock_property(work->batch, penstock_record(work->batch, work->selection[i]), "pri-text").data, '
            '(int)row->size, row->data)')
        place.file("omgreet.c", source)
        subprocess.run(["cc", "-I", place.file("include"), "-shared", "-fPIC", "-o", place.file("omgreet.so"),
                        place.file("omgreet.c")], check=True)
        daemon = place.daemon('module(load="@DIR@/omgreet.so")\n' + TCP
                              + 'action(type="omgreet" file="@DIR@/out" template="m")\n')
        send_tcp(daemon.port("port"), "<13>Oct 11 22:14:15 host tag: one\n")
        wait(lambda: place.read("out").startswith("user.notice"), "the property")
        assert daemon.stop() == 0


@promise
def the_checker_finds_modules_where_the_daemon_does():
    with Place() as place:
        build_example(place)
        config = place.file("c.conf", 'module(load="omgreet")\naction(type="omgreet" file="/x" wrd="y")\n')
        done = place.run(argument("penstock"), "check", "-M", place.path, config)
        assert done.returncode == 1 and "did you mean `word`?" in done.stdout, done.stdout
        done = place.run("env", "RSYSLOG_MODDIR=" + place.path, argument("penstock"), "check", config)
        assert "did you mean `word`?" in done.stdout, done.stdout
        done = place.run(argument("penstock"), "check", config)
        assert done.returncode == 1 and "omgreet" in done.stdout and "did you mean" not in done.stdout, done.stdout


@promise
def its_parameters_are_checked_like_our_own():
    with Place() as place:
        build_example(place)
        config = place.file("c.conf", 'module(load="@DIR@/omgreet.so")\naction(type="omgreet" wrd="x" file="/x")\n')
        done = place.run(argument("daemon"), "-N1", "-f", config)
        assert done.returncode == 1
        assert "parameter 'wrd' not known" in done.stderr and "did you mean `word`?" in done.stderr, done.stderr


@promise
def a_file_that_is_no_module_is_refused_in_plain_words():
    with Place() as place:
        place.file("nothing.so", "not an object\n")
        config = place.file("c.conf", 'module(load="@DIR@/nothing.so")\n*.* @DIR@/out\n')
        done = place.run(argument("daemon"), "-N1", "-f", config)
        assert done.returncode == 1
        assert "nothing.so" in done.stderr


@promise
def help_knows_every_module_and_suggests_for_a_wrong_name():
    with Place() as place:
        done = place.run(argument("penstock"), "help", "omfile")
        assert done.returncode == 0 and "dynafile" in done.stdout
        done = place.run(argument("penstock"), "help", "omfle")
        assert done.returncode == 1 and "did you mean `omfile`?" in done.stderr


def reference_pages(place):
    """(name, what the tables say) of every module and object."""
    names = place.run(argument("penstock"), "help", "--names").stdout.split()
    assert len(names) > 15
    return [(name, place.run(argument("penstock"), "help", "--markdown", name).stdout) for name in names]


def outdated(pages, directory):
    """Names whose page is missing or says something else, and pages of what is no longer there."""
    known = {name for name, _ in pages}
    bad = [name for name in (n.removesuffix(".md") for n in os.listdir(directory)) if name not in known]
    for name, page in pages:
        if read(os.path.join(directory, name + ".md")) != page.encode():
            bad.append(name)
    return bad


@promise
def the_reference_pages_are_what_the_tables_say():
    with Place() as place:
        directory = os.path.join(ROOT, "doc/reference")
        pages = reference_pages(place)
        if "--write" in sys.argv:
            shutil.rmtree(directory, ignore_errors=True)
            os.makedirs(directory)
            for name, page in pages:
                with open(os.path.join(directory, name + ".md"), "w", encoding="utf-8") as file:
                    file.write(page)
        bad = outdated(pages, directory)
        assert not bad, f"outdated: {bad}; `make reference` writes them"


@promise
def an_outdated_reference_page_is_found():
    with Place() as place:
        directory = place.file("reference")
        shutil.copytree(os.path.join(ROOT, "doc/reference"), directory)
        pages = reference_pages(place)
        with open(os.path.join(directory, "omfile.md"), "a", encoding="utf-8") as file:
            file.write("| `nonsense` |\n")
        os.remove(os.path.join(directory, "imudp.md"))
        os.rename(os.path.join(directory, "imtcp.md"), os.path.join(directory, "imgone.md"))
        assert sorted(outdated(pages, directory)) == ["imgone", "imtcp", "imudp", "omfile"]


run()
