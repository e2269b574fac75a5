#!/usr/bin/env python3
"""Promise: the conformance suite catches a broken broker. Each mutant breaks one rule.

    mutants.py [--only PATTERN]

Objects are built once; a mutant costs one file, a link, and the promises it must break.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COMPILE = [os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-w", "-pthread", "-I" + os.path.join(ROOT, "src")]

# (file, what stands there, what the mutant has, promises of which at least one must fail; "faults: " those of faults.py)
MUTANTS = [
    ("wire.c", "length < counted || ", "", "lengths that contradict"),
    ("wire.c", "raw.reserved || ", "", "wrong attachment"),
    ("wire.c", "raw.type == WIRE_FD && raw.size", "0", "wrong attachment"),
    ("scan.c", "if (size == 0)\n                                return -EBADMSG;", "if (size == 0)\n                                size = 1;", "does not decode"),
    ("scan.c", "case 'u':\n                break;", "", "escape equals"),
    ("header.c", "ret->fields[HEADER_TYPE].kind != SCAN_ABSENT ? 0 : -EBADMSG", "1 ? 0 : -EBADMSG", "does not decode"),
    ("receiver.c", "if (r->frame_fds == r->fd_count)\n                        return violation(r, \"a descriptor is missing\");", "", "wrong attachment"),
    ("client.c", "        check_left_over(c);\n", "", "wrong attachment|leaks"),
    ("client.c", "                client_doom(c, \"it ended inside a frame\");", "                client_doom(c, NULL);", "end inside"),
    ("route.c", "if (to == p->from || to->is_doomed", "if (to->is_doomed", "sender never gets"),
    ("route.c", "|| to->mark == b->mark)", ")", "once each"),
    ("route.c", "        deliver_to_channel(p, group->everyone);\n", "", "once each|only those of all"),
    ("route.c", "return LIKELY(is_right) ? 0 : set_from(c, frame, header);", "return 0;", "sets from"),
    ("route.c", "if (UNLIKELY(header->has_twin_from))", "if (0)", "sets from"),
    ("route.c", "header->fields[HEADER_WANT_ANSWER].kind == SCAN_TRUE && ", "", "no error without"),
    ("route.c", " && header->fields[HEADER_REPLY].kind == SCAN_ABSENT;", ";", "replies never"),
    ("route.c", "if (!p.group.data && text_equal(p.to, TEXT(\"*\")))\n                return;", "", "no group and to all"),
    ("route.c", "protocol >= WIRE_2", "protocol == WIRE_2", "version two is negotiated"),
    ("route.c", "p->has_attachments && to->version == WIRE_1", "0", "version one is skipped"),
    ("route.c", "p->was_skipped ? BUS_NO_ATTACHMENTS : BUS_NO_RECIPIENT", "BUS_NO_RECIPIENT", "version one is skipped"),
    ("route.c", "|| !is_indexable(name))", ")", "not so addressed"),
    ("route.c", "if (own >= 0 && place >= (uint64_t)own)\n                place++;", "", "question mark"),
    ("route.c", "asker->version == WIRE_1 ? found", "0 ? found", "version one has no indexed"),
    ("route.c", "return p->from->version == WIRE_2 && text_starts(p->group, TEXT(\"Event/\"));", "return false;", "event is never"),
    ("route.c", "error = BUS_TOO_MANY;", "error = 0;", "too many outstanding"),
    ("route.c", "refuse(&p, BUS_TOO_LARGE);\n", ";\n", "too large"),
    ("route.c", "if (!is_told && !b->is_stopping)", "if (!b->is_stopping)", "notifications tell"),
    ("route.c", "c->peer.uid == 0 || c->peer.uid == b->self.peer.uid", "1", "root and the daemons"),
    ("directory.c", "c->members[middle]->subscriber->serial < serial", "c->members[middle]->subscriber->serial > serial", "nth by age|members"),
    ("request.c", "find_pending(q, answerer)", "1", "somebody else"),
    ("request.c", "if (!request_is_awaited(q))\n", "if (1)\n", "all gone unanswered"),
    ("request.c", "timeout_ms = b->settings.answer_timeout_ms;", "timeout_ms = 1000000;", "configured time"),
    ("request.c", "buffer_format(&data, \"{\\\"client\\\":\\\"%s\\\"}\", c->lname);", "", "all gone unanswered"),
    ("post.c", "{HEADER_FROM, TEXT(\"\\\"msgq\\\"\")},", "", "requests header|nobody got it"),
    ("command.c", "put_lname(&call->out, &b->self, &is_first);", "", "its own too"),
    ("command.c", "command->needs_control && ", "0 && ", "root and the daemons"),
    ("command.c", "b->settings = fresh;", "", "all or nothing"),
    ("manager.c", "ask(b, MANAGER_SPECIFICATION);", "ask(b, MANAGER_SETTINGS);", "config manager"),
    ("trace.c", "if (f[FILTER_TO] && ", "if (0 && ", "filters must all"),
    ("trace.c", "t->dropped++;", ";", "says how many"),
    ("broker.c", "if (probe(path) == 0) {", "if (0) {", "second broker"),
    ("broker.c", "(void)file_remove(b->socket_path);", ";", "unlinks"),
    ("settings.c", "rule->uid != subject->uid", "0", "policy says"),
    ("receiver.c", "memcpy(r->head + r->head_size, *data, part);", "memcpy(r->head, *data, part);", "any pieces"),
    ("client.c", "c->rest_end = size;", "c->rest_end = 0;", "come joined"),
    ("wire.c", "length - counted - header,", "length - counted - header + (length - counted == header),", "body may be empty"),
    ("client.c", "has_more = receive_some(c, &turn);", "has_more = receive_some(c, &turn) || !receiver_is_idle(&c->receiver);", "half a frame blocks"),
    ("header.c", "        scan_space(&s);\n        const char *begin", "        const char *begin", "white space may"),
    ("scan.c", "} else if (c < 0x80) {", "} else if (c < ' ') {\n                        return -EBADMSG;\n                } else if (c < 0x80) {", "raw control"),
    ("post.c", "{HEADER_REPLY, raw_or_null(&header->fields[HEADER_SEQ])},",
     "{HEADER_REPLY, text_slice(raw_or_null(&header->fields[HEADER_SEQ]), 0, MIN(header->fields[HEADER_SEQ].text.size, (size_t)10))},", "seq keeps"),
    ("route.c", "return LIKELY(is_right) ? 0 : set_from(c, frame, header);", "return replace_twins(c, frame, header);", "bytes pass through"),
    ("route.c", "post_getlname(c, is_new ? header : NULL);", "if (c->received == 1)\n                post_getlname(c, is_new ? header : NULL);", "getlname answers"),
    ("route.c", "frame_body(frame), c);", "text_slice(frame_body(frame), 0, MIN(frame_body(frame).size, (size_t)100)), c);", "ping answers"),
    ("route.c", "if (value->kind != SCAN_STRING)\n                return false;", "if (value->kind != SCAN_STRING)\n                return true;", "null is ignored"),
    ("route.c", "if (value->kind != SCAN_STRING)\n                return false;", "if (value->kind != SCAN_STRING)\n                return true;", "null group or"),
    ("route.c", "                take_stop(c);", "                take_stop(c);\n        else\n                client_doom(c, \"unknown\");", "other types"),
    ("client.c", "subscriber_init(&c->subscriber, b->serial++);", "subscriber_init(&c->subscriber, b->serial);", "never reused"),
    ("route.c", "struct client *to = p->to.data ? route_find", "if (p->group.data)\n                deliver_to_group(p);\n        struct client *to = p->to.data ? route_find", "lname is reached"),
    ("route.c", "TEXT(\"*\"), b->room[2]", "TEXT_NONE, b->room[2]", "missing instance or to"),
    ("outbox.c", "o->bytes += frame_wire_bytes(frame, version);", """o->bytes += frame_wire_bytes(frame, version);
        if (o->count > 2) {
                struct outbox_entry *x = entry_at(o, o->count - 1), *y = entry_at(o, o->count - 2), t = *x;
                *x = *y;
                *y = t;
        }""", "order holds"),
    ("directory.c", "if (channel_place(c, s) >= 0)\n                return DIRECTORY_UNCHANGED;", "", "are a set"),
    ("client.c", "        client_leave(c);\n", "", "notifications tell"),
    ("command.c", ",\\\"unknown command: ", ",\\\"what: ", "an unknown command"),
    ("post.c", "b->self.lname, to->lname);", "\"msgq\", to->lname);", "answers as a client"),
    ("broker.c", "        post_membership(b, \"connected\", c, TEXT_NONE, NULL);\n", "", "told at accept"),
    ("route.c", "        post_getlname(c, is_new ? header : NULL);", "        if (is_new)\n                c->version = WIRE_2;\n        post_getlname(c, is_new ? header : NULL);", "the old framing"),
    ("outbox.c", "return entry.tagged & 1 ? WIRE_2 : WIRE_1;", "return WIRE_2;", "versions reach"),
    ("receiver.c", "memcpy(f->fds, r->fds, r->frame_fds * sizeof(int));", """for (uint16_t i = 0; i < r->frame_fds; i++)
                f->fds[i] = r->fds[r->frame_fds - 1 - i];""", "arrive in order"),
    ("client.c", "if (fd_count > 0) {", "if (fd_count > 0 && receiver_is_idle(&c->receiver)) {", "ride on any byte"),
    ("receiver.c", "if (r->frame_fds == WIRE_FDS_MAX) {", "if (0) {", "too many descriptors"),
    ("frame.c", "unix_stream_close(f->fds[i]);", ";", "no descriptor leaks"),
    ("command.c", "buffer_format(&call->out, \",\\\"%s\\\"\", c->lname);", "buffer_format(&call->out, \",\\\"%s\\\"\", call->from->lname);", "lname behind"),
    ("route.c", "        return ask(c, owns ?", "        if (text_starts(group, TEXT(\"Event/\")))\n                return false;\n        return ask(c, owns ?", "anyone may"),
    ("request.c", "                        request_end(q);\n                        return true;", "                        return true;", "its first answer"),
    ("client.c", "request_forget_recipient(c);", ";", "die in every state"),
    ("request.c", "end_with(q, BUS_TIMED_OUT, TEXT_NONE);", "request_end(q);", "times out once"),
    ("request.c", "broker_log(b, SEVERITY_ERR, LOG_TIMEOUT,", "if (0)\n                broker_log(b, SEVERITY_ERR, LOG_TIMEOUT,", "times out once"),
    ("command.c", "(int)c->version);", "1);", "clients and client"),
    ("command.c", "if (call->drops)", "if (0)", "drop closes"),
    ("trace.c", "if (e->code)", "if (0)", "trace tells"),
    ("broker.c", "return file_remove(path);", "return -EADDRINUSE;", "nobody serves"),
    ("broker.c", "if (options->socket_path)\n                return options->socket_path;", "", "path comes from"),
    ("broker.c", "if (environment && *environment)", "if (0)", "path comes from"),
    ("settings.c", "if (l.mistakes) {", "if (0) {", "wrong configuration"),
    ("penstock_bus.c", "options.listener = activated_socket();", ";", "systemds socket"),
    ("penstock_bus.c", "tell_service_manager(\"READY=1\");", ";", "systemds socket"),
    ("broker.c", "if (b->client_count >= (uint64_t)b->settings.clients_max) {", "if (0) {", "beyond the limit"),
    ("broker.c", "(int64_t)severity > b->settings.log_level || ", "", "the log tells"),
    ("broker.c", "if (limit->lines++ < LOG_LINES_A_PERIOD)", "if (1)", "the log has a limit"),
    ("request.c", "trace_message(b, \"error\", requester, kept, &header, code);", ";", "trace tells of errors"),
    # What faults.py sees.
    ("client.c", "hold_back(sender, c);", ";", "faults: holds its senders back"),
    ("client.c", "queue_limit / 2)", "queue_limit)", "faults: holds its senders back"),
    ("client.c", "client_doom(c, \"it has taken no byte for stall_timeout\");", ";", "faults: stuck reader|descriptors of a stuck"),
    ("client.c", "c->progress_ns = clock_mono_coarse_ns();", ";", "faults: now and then"),
    ("broker.c", "c->account->clients > (uint64_t)b->settings.user_clients_max", "0", "faults: so many connections"),
    ("receiver.c", "r->budget && r->budget->used > r->budget->limit", "0", "faults: so many descriptors"),
    ("route.c", "c->subscriber.count >= (uint64_t)b->settings.subscriptions_max", "0", "faults: so many subscriptions"),
    ("request.c", "if (!request_is_awaited(q))\n", "if (0)\n", "faults: requests to clients that die"),
]


def sources():
    bus = [f for f in glob.glob(os.path.join(ROOT, "src", "bus", "*.c")) if not f.endswith(("_test.c", "_fuzz.c"))
           and not re.search(r"/bus(_\w+)?\.c$", f)]
    base = [f for f in glob.glob(os.path.join(ROOT, "src", "base", "*.c")) if not f.endswith(("_test.c", "_fuzz.c"))]
    io = [os.path.join(ROOT, "src", "io", n + ".c") for n in ("file", "loop", "unix_stream")]
    return bus + base + io


def suite_and_pattern(promises):
    """Whose promises they are, and what their functions are called."""
    suite, _, words = promises.rpartition(": ")
    return suite or "conformance", words.replace(" ", "_")


def compile_one(source, target):
    subprocess.run(COMPILE + ["-c", source, "-o", target], check=True)


def end_all(program):
    """Ends what still runs of a mutant: a suite that hangs, or breaks down, leaves its broker behind."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == program:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass


def run_suite(program, suite, pattern):
    """What the suite prints; None: it hangs."""
    command = [sys.executable, os.path.join(HERE, suite + ".py"), "--broker", program, "--only", pattern]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    except subprocess.TimeoutExpired:
        return None
    finally:
        end_all(program)


def run_mutant(place, objects, number, mutant):
    file, old, new, promises = mutant
    path = os.path.join(ROOT, "src", "bus", file)
    with open(path, encoding="utf-8") as original:
        text = original.read()
    if text.count(old) < 1:
        return f"{file} has no {old!r} any more"
    source, target, program = (os.path.join(place, f"m{number}{end}") for end in (".c", ".o", ""))
    with open(source, "w", encoding="utf-8") as changed:
        changed.write(text.replace(old, new))
    compile_one(source, target)
    subprocess.run(COMPILE + [target] + [o for s, o in objects.items() if s != path] + ["-lm", "-o", program], check=True)
    said = run_suite(program, *suite_and_pattern(promises))
    return None if said is None or "not ok" in said else f"survived: {promises}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [m for m in MUTANTS if re.search(only, m[0] + m[3])]
    failed = 0
    print(f"1..{len(chosen)}")
    with tempfile.TemporaryDirectory(prefix="mutants.") as place, concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = {s: os.path.join(place, f"{os.path.basename(os.path.dirname(s))}_{os.path.basename(s)}.o") for s in sources()}
        list(pool.map(lambda item: compile_one(*item), objects.items()))
        results = pool.map(lambda item: run_mutant(place, objects, *item), enumerate(chosen))
        for number, (mutant, result) in enumerate(zip(chosen, results), 1):
            failed += result is not None
            print(f"{'not ok' if result else 'ok'} {number} - a broker without `{mutant[1].splitlines()[0].strip()[:60]}` is caught"
                  + (f"\n# {result}" if result else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
