#!/usr/bin/env python3
"""Promise: what explains differences of random pairs explains nothing else, and pairs are the same for the same seed.

The oracle is played here: asked for values it answers with what each test says, and with fixed outputs otherwise.
"""

import sys

import explained
import expression
import generate
import run

TESTS = []


def promise(test):
    TESTS.append(test)
    return test


def pair_of(*body, before=()):
    return generate.Pair(0, list(before), list(body), [b"<13>x"], "")


def why(pair, values, one, other, well=None):
    """The reasons for outputs `one` and `other`; both daemons write `well` once the pair is cured."""
    def oracle(some):
        return values if explained.WITNESS_TEMPLATE in some.before else well or one
    return explained.why(pair, one, other, oracle, lambda some: well or other)


@promise
def operators_group_as_both_daemons_have_it():
    node = expression.parse('$x & 1 < 2 and not (strlen("a,b") - 3 * 2 == $!y!z) or $.i')
    assert node.kind == "or" and node.parts[0].kind == "and", node
    assert [part.kind for part in node.parts[0].parts] == ["<", "not"], node
    assert [part.text for part in node.walk() if part.kind == "*"] == ["3 * 2"], node


@promise
def only_backslashes_are_forgiven_to_option_json():
    pair = pair_of("*.* @D@/a;@P@t0", before=['template(name="@P@t0" type="string" option.json="on" string="%msg%")'])
    assert why(pair, {}, {"a": b'"'}, {"a": b'\\"'})
    assert not why(pair, {}, {"a": b'"x'}, {"a": b'\\"y'})
    assert not why(pair, {}, {"a": b'"'}, {"b": b'\\"'})


@promise
def only_what_lies_behind_a_long_tag_is_forgiven():
    pair = pair_of("*.* @D@/a;@P@t0", before=['template(name="@P@t0" type="string" string="%syslogtag%\\n")'])
    ours = b"x\n" + b"a" * 600 + b"\nz\n"
    assert why(pair, {}, {"a": b"x\n" + b"a" * 512 + b"\0\n" * 44 + b"\nz\n"}, {"a": ours})
    assert not why(pair, {}, {"a": b"x\n" + b"a" * 511 + b"\0" * 89 + b"\nz\n"}, {"a": ours}), "it is too early"
    assert not why(pair, {}, {"a": b"x\n" + b"a" * 512 + b"\0" * 88 + b"\ny\n"}, {"a": ours}), "another line differs, too"
    assert not why(pair, {}, {"a": b"x\n"}, {"a": b"y\n"}), "no line is that long"


@promise
def a_number_that_is_cut_in_one_message_of_several_is_explained():
    pair = pair_of(["if $/pg then {", ["stop"], "}"], "*.* @D@/a;@P@t0")
    same = {"a": b"1"}
    assert why(pair, {"w0-0": b"\n65536\n"}, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b"\n65537\n"}, {"a": b"0"}, {"a": b"1"}, same), "no number is cut"


@promise
def an_object_is_explained_where_something_was():
    pair = pair_of("set $.y = $!o;", "*.* @D@/a;@P@t0")
    same = {"a": b"1"}
    assert why(pair, {"w0-0": b'{ "i": 1 }\n{ "i": 2 }\n'}, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b'{ "i": 1 }\n{ "i": 2 }\n'}, {"a": b"0"}, {"a": b"1"}), "it is not cured"
    assert not why(pair, {"w0-0": b'1\n2\n'}, {"a": b"0"}, {"a": b"1"}, same), "none is an object"


@promise
def an_order_is_explained_where_it_is_cut_and_nothing_else_differs():
    pair = pair_of("set $!x = $!y < 9223372036854775807;", "*.* @D@/a;@P@t0")
    values = {"w0-0": b"13\n", "w0-1": b"9223372036854775807\n"}
    same = {"a": b"1"}
    assert why(pair, values, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, values, {"a": b"0"}, {"a": b"1"}), "it is not cured"
    assert not why(pair, {"w0-0": b"13\n", "w0-1": b"14\n"}, {"a": b"0"}, {"a": b"1"}, same), "no number is cut"
    assert why(pair, {"w0-0": b"13\n1\n", "w0-1": b"9223372036854775807\n2\n"}, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b"13\n2\n", "w0-1": b"9223372036854775807\n1\n"}, {"a": b"0"}, {"a": b"1"}, same), "one cure does not serve both"


@promise
def a_priority_is_explained_only_in_a_calculation():
    pair = pair_of("set $.y = 5 * ($syslogfacility <> 2);", "*.* @D@/a;@P@t0")
    same = {"a": b"1"}
    assert why(pair, {"w0-0": b"1\n"}, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b"1\n"}, {"a": b"0"}, {"a": b"1"}), "it is not cured"
    alone = pair_of("set $.y = $syslogfacility <> 2;", "*.* @D@/a;@P@t0")
    assert not why(alone, {"w0-0": b"1\n"}, {"a": b"0"}, {"a": b"1"}, same), "nothing is calculated"


@promise
def a_number_that_is_none_of_many_is_explained_where_it_is_a_number():
    pair = pair_of('set $.y = (not $!x) != ["a", "0"];', "*.* @D@/a;@P@t0")
    same = {"a": b"1"}
    assert why(pair, {"w0-0": b"0\n"}, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b"0\n"}, {"a": b"0"}, {"a": b"1"}), "it is not cured"
    text = pair_of('set $.y = $!x != ["a", "0"];', "*.* @D@/a;@P@t0")
    assert not why(text, {"w0-0": b"0\n"}, {"a": b"0"}, {"a": b"1"}, same), "a text is compared with all"


@promise
def a_distance_is_explained_where_it_is_neither_0_nor_1():
    pair = pair_of('set $!x = $syslogseverity-text != "9";', "*.* @D@/a;@P@t0")
    same = {"a": b"1"}
    assert why(pair, {"w0-0": b"44\n"}, {"a": b"44"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b"1\n"}, {"a": b"44"}, {"a": b"1"}, same), "it is 1 for both"


@promise
def a_time_is_explained_where_it_is_asked_for_in_two_forms_and_they_differ():
    pair = pair_of(['if exec_template("t") contains $timereported then {', ["stop"], "}"], "*.* @D@/a;@P@t0")
    same = {"a": b"1"}
    assert why(pair, {"w0-0": b"Jan 01 00:00:00\n"}, {"a": b"0"}, {"a": b"1"}, same)
    assert not why(pair, {"w0-0": b"Jan 11 00:00:00\n"}, {"a": b"0"}, {"a": b"1"}, same), "both forms are alike"


@promise
def a_missing_property_is_explained_only_where_it_is_missing():
    pair = pair_of('set $!x = get_property($!y, "z") == "";', "*.* @D@/a;@P@t0")
    assert why(pair, {"w0-0": b"\n", "w0-1": b"1\n"}, {"a": b"0"}, {"a": b"1"}, {"a": b"1"})
    assert not why(pair, {"w0-0": b"\n", "w0-1": b"0\n"}, {"a": b"0"}, {"a": b"1"}, {"a": b"1"})


@promise
def what_rsyslogd_does_not_survive_differs_from_nothing():
    assert not run.differ(run.Trouble("died"), {"a": b""})
    assert run.differ({"a": b""}, run.Trouble("died"))
    assert run.differ({"a": b"x"}, {"a": b"y"})
    assert not run.differ({"a": b"$/p8g"}, {"a": b"$/p28g"}), "the slot of a pair is nobody's fault"


@promise
def a_seed_gives_the_same_pairs_and_another_seed_others():
    assert run.recipe(1, 80) == run.recipe(1, 80) != run.recipe(2, 80)


@promise
def a_complaint_about_a_line_leads_to_its_pair():
    some = run.Run(run.Program("none", "none"), [])
    some.last_lines = [10, 20, 30]
    assert some.slot_of_line("error during parsing file x, on or before line 11: syntax error") == 1
    assert some.slot_of_line("no line") is None


def main():
    print(f"1..{len(TESTS)}")
    failures = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__.replace('_', ' ')}")
        except AssertionError as error:
            failures += 1
            print(f"not ok {number} - {test.__name__.replace('_', ' ')}\n# {error}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
