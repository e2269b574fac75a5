"""Random pairs for both daemons: a snippet of configuration and the messages it is given.

make_pair(seed, index) gives always the same pair for the same numbers. What a pair holds:

  before       objects that stand before the ruleset: templates, in the new and in the old form, and lookup tables
  rulesets     further rulesets, which `call` and `call_indirect` reach; some have a queue and a worker of their own
  body         the ruleset: a list of statements. A statement is a text, or a list of texts and bodies in turn,
               so that what shrinks a pair can take statements out, and open blocks
  tables       what is in the files of the lookup tables
  messages     what is sent to it, as bytes
  environment  the settings of global(), the same for all pairs of a batch

@P@ stands for the pair's own names (templates, rulesets, tables, global variables), @D@ for its own directory, @T@ for
the start of the names of its tables; each action writes to its own file. Nothing here may depend on the time of the day, the year, the machine or the order of hashes:
time stamps are shown in full only where every message carries a year.
"""

import dataclasses
import json
import random

BATCH_PAIRS = 40
MESSAGES_MAX = 24
HUGE_BYTES = 9000
TAG_BYTES_SAFE = 400  # rsyslogd shows memory of others behind 512 bytes of a tag that is made of an APP-NAME

PROPERTIES = ("msg rawmsg rawmsg-after-pri hostname source fromhost fromhost-ip syslogtag programname pri pri-text syslogfacility "
              "syslogfacility-text syslogseverity syslogseverity-text syslogpriority syslogpriority-text "
              "protocol-version structured-data app-name procid msgid inputname").split()
FACILITIES = ("auth authpriv cron daemon kern lpr mail news syslog user uucp ftp local0 local1 local5 local7").split()
SEVERITIES = "emerg alert crit err warning notice info debug panic error warn".split()
WORDS = ("error", "alpha", "Beta", "user=joe", "user=", "id=17", "a,b,,c", "x:y:z", "10.0.0.1", "192.168.300.1", "::1", "42", "-7",
         "0x1F", "010", "3.14", "1e3", "/var/log/x", "foo/bar", "\"quoted\"", "'single'", "back\\slash", "[17]", "{}", "tab\there",
         "#", "%", "100%", "$x", "@host", "ä", "Grüße", "日本", "😀", "Connection", "closed", "needle", "NEEDLE", "aaab", "-", "0", "true")
CONSTANTS = ("", "a", "error", "alpha", "beta", "Beta", "user", "needle", "e", " ", "host", "tag", "prog", "app", "0", "1", "5", "10", "013",
             "0x1f", "-3", "-", "+4", "12x", " 12", "99999999999999999999", "9223372036854775807", "a,b,c", "x:y", "ä", "日本", "/",
             "{ \"a\": 1 }", "\"", "\\", "tab\t", "line\nfeed", "10.0.0.1", "true", "aa", "aab", "warning", "info", "mail", "[", "]")
REGEXES = ("a", "[a-z]+", "^ ?[A-Za-z]+", "([a-z]+)=([a-z0-9]*)", "[0-9]+", "(a|aa|aab)", "x*", "$", "^$", "e.", "[^ ]+$", "(a)|(b)",
           "[[:digit:]]+", "[[:upper:]][[:lower:]]*", "\\.", "n(e)*dle", "([0-9]+)\\.([0-9]+)", "(u)(s)(e)(r)", "a{2,3}", ".", "(.*),(.*)")
# What rsyslogd can compare and take for true or false without cutting it to 32 and to 8 bits.
SMALL_NUMBERS = (0, 1, 2, 3, 5, 7, 10, 13, 44, 58, 100)
NUMBERS = (0, 1, 2, 3, 5, 7, 10, 13, 44, 58, 100, 255, 4711, 65536, 2147483647, 4294967296, 9223372036854775807)
DATES = ("rfc3339", "rfc3164", "mysql", "pgsql", "unixtimestamp", "subseconds", "year", "month", "day", "hour", "minute", "second",
         "tzoffshour", "tzoffsmin", "tzoffsdirection", "rfc3164-buggyday", "wday", "wdayname")
JSON_TEXTS = ('{"a":1,"b":"two","c":{"d":null,"e":[1,2,3]}}', '{"list":["x","y",{"k":"v"}],"o":{"p":1.5,"q":true}}', '[1,"2",[3]]', '"text"',
              '5', '{}', '[]', '{"a":{"b":{"c":"deep"}}}', '{"a":"5","a":"6"}', '{"u":"\\u00e4\\n\\t\\"","s":"a/b"}', '{"a":1} tail', '{"a":', 'null',
              '{"n":-17,"big":9223372036854775807,"f":-0.5,"e":1e3}', '{"x":[{"i":1},{"i":2},{"i":3}],"y":{"k1":"v1","k2":2}}', '{"B":1,"b":2}')
VARIABLES = ("$!a", "$!b", "$!a!b", "$!a!c", "$!list", "$!x", "$!y", "$!o", "$!B", "$.x", "$.y", "$.x!z", "$.n", "$.list", "$/@P@g", "$!c!e",
             "$!o!p", "$.none", "$!none!none")
WRITABLE = tuple(name for name in VARIABLES if "none" not in name)
BUILTIN_TEMPLATES = ("RSYSLOG_TraditionalFileFormat", "RSYSLOG_FileFormat", "RSYSLOG_SyslogProtocol23Format",
                     "RSYSLOG_SysklogdFileFormat")
COMPARISONS = ("==", "!=", "<>", "<", ">", "<=", ">=", "contains", "contains_i", "startswith", "startswith_i")
SEARCHES = ("==", "!=", "contains", "contains_i", "startswith", "startswith_i")


@dataclasses.dataclass
class Pair:
    index: int
    before: list
    body: list
    messages: list
    environment: str
    rulesets: list = dataclasses.field(default_factory=list)
    tables: list = dataclasses.field(default_factory=list)

    def config(self, prefix, directory):
        """Objects and the statements of the ruleset, as text."""
        objects, statements = "\n".join([*self.before, render(self.rulesets)]), render(self.body)
        return [text.replace("@P@", prefix).replace("@D@", directory).replace("@T@", f"{directory}-table") for text in (objects, statements)]


def render(body):
    lines = []
    for statement in body:
        if isinstance(statement, str):
            lines.append(statement)
        else:
            lines += [part if isinstance(part, str) else render(part) for part in statement]
    return "\n".join(lines)


def quoted(text):
    """A constant of RainerScript."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n").replace("\t", "\\t") + '"'


def parameter(text):
    """A value of an object: there a dollar sign is like any other."""
    return quoted(text).replace("\\$", "$")


class Maker:
    """Draws one pair; every draw comes from the one generator, in order."""

    def __init__(self, rng):
        self.rng = rng
        self.has_years = rng.random() < 0.4  # every message says its year, so dates may be shown in full
        self.before, self.templates, self.files = [], 0, 0
        self.rulesets, self.tables = [], []
        self.items = []  # the variables of the foreach we are in
        self.is_called = False  # we are in a further ruleset
        # What a worker of its own sees of a global variable is a matter of luck.
        self.has_queues = rng.random() < 0.15
        kept = [name for name in VARIABLES if not (self.has_queues and name.startswith("$/"))]
        self.variables, self.writable = kept, [name for name in kept if name in WRITABLE]

    def pick(self, items):
        return items[int(self.rng.random() * len(items))]

    def chance(self, likelihood):
        return self.rng.random() < likelihood

    def number(self, below):
        return int(self.rng.random() * below)

    # -------------------------------------------------------- expressions

    def variable(self):
        if self.items and self.chance(0.4):
            return self.pick(self.items) + self.pick(("", "", "!key", "!value", "!i", "!k"))
        return self.pick(self.variables)

    def property(self):
        if self.has_years and self.chance(0.1):
            return "$timereported"
        return "$" + self.pick(PROPERTIES)

    def constant(self):
        return quoted(self.pick(CONSTANTS))

    def small(self):
        return str(self.pick((0, 1, 2, 3, 4, 7, 44, 58, 32, 100)))

    def value(self, depth):
        """An expression that gives a text or a number."""
        kind = self.number(12)
        if depth <= 0:
            kind %= 7
        if kind == 2 and depth < 2:
            return str(self.pick(SMALL_NUMBERS))
        if kind < 2:
            return self.constant()
        if kind == 2:
            return str(self.pick(NUMBERS))
        if kind < 5:
            return self.property()
        if kind < 7:
            return self.variable()
        if kind < 10:
            return self.call(depth - 1)
        if kind == 10:
            return f"({self.value(depth - 1)} {self.pick('+ - * / % & &'.split())} {self.value(depth - 1)})"
        return self.pick((f"-{self.pick(NUMBERS)}", f"({self.condition(depth - 1)})",
                          f"{self.value(depth - 1)} & {self.value(depth - 1)}"))

    def call(self, depth):
        v = self.value
        name = self.pick(("strlen", "tolower", "cstr", "cnum", "wrap", "wrap3", "replace", "re_match", "re_match_i", "re_extract",
                          "re_extract_i", "field", "fieldtext", "ltrim", "rtrim", "substring", "num2ipv4", "ipv42num", "int2hex", "format_time",
                          "is_time", "parse_time", "exists", "get_property", "prifilt", "exec_template", "script_error", "lookup"))
        if name in ("strlen", "tolower", "cstr", "cnum", "ltrim", "rtrim", "num2ipv4", "ipv42num", "int2hex"):
            return f"{name}({v(depth)})"
        if name == "wrap":
            return f"wrap({v(depth)}, {self.constant()})"
        if name == "wrap3":
            return f"wrap({v(depth)}, {self.constant()}, {self.constant()})"
        if name == "replace":
            return f"replace({v(depth)}, {v(depth - 2)}, {v(depth - 2)})"
        if name in ("re_match", "re_match_i"):
            return f"{name}({v(depth)}, {quoted(self.pick(REGEXES))})"
        if name in ("re_extract", "re_extract_i"):
            return f"{name}({v(depth)}, {quoted(self.pick(REGEXES))}, {self.number(3)}, {self.number(3)}, {self.constant()})"
        if name == "field":
            return f"field({v(depth)}, {self.pick((44, 58, 32, 61, 47))}, {self.number(4)})"
        if name == "fieldtext":
            return f"field({v(depth)}, {quoted(self.pick((',', ':', 'a', ', ', 'e', '://')))}, {self.number(4)})"
        if name == "substring":
            return f"substring({v(depth)}, {self.number(8)}, {self.pick((0, 1, 3, 9, 100, -1, -2, -5))})"
        if name == "format_time":
            return f"format_time({self.pick((v(depth), '1507165811', str(self.number(2 ** 31))))}, \"{self.pick(('date-rfc3339', 'date-rfc3164'))}\")"
        if name == "is_time":
            return f"is_time({v(depth)}, \"{self.pick(('date-rfc3339', 'date-rfc3164', 'date-unix'))}\")"
        if name == "parse_time":
            return f"parse_time(\"{self.pick(('2017-10-05T01:10:11Z', '2017-10-05T01:10:11+04:00', '2017-10-05T01:10:11.25-01:30', 'x', ''))}\")"
        if name == "exists":
            return f"exists({self.pick(self.variables)})"
        if name == "get_property":
            return f"get_property({self.pick(('$!a', '$!o', '$!list', '$!x', '$!c', '$.x'))}, {self.pick((self.constant(), quoted('a'), quoted('b'), quoted('e')))})"
        if name == "prifilt":
            return f"prifilt(\"{self.selector()}\")"
        if name == "script_error":
            return "script_error()"
        if name == "lookup":
            return f"lookup(\"{self.table()}\", {v(depth)})"
        return f"exec_template(\"{self.template()}\")"

    def array(self):
        return "[" + ", ".join(self.constant() for _ in range(1 + self.number(5))) + "]"

    def condition(self, depth):
        kind = self.number(10)
        if depth > 0 and kind < 2:
            left, right = self.condition(depth - 1), self.condition(depth - 1)
            word = self.pick(("and", "or"))
            return self.pick((f"{left} {word} {right}", f"({left}) {word} ({right})"))
        if depth > 0 and kind == 2:
            return f"not ({self.condition(depth - 1)})"
        if kind == 3:
            return self.pick((self.property(), self.variable(), str(self.number(3)), self.constant()))
        if kind == 4:
            return f"prifilt(\"{self.selector()}\")"
        if kind == 5:
            return f"{self.property()} {self.pick(SEARCHES)} {self.array()}"
        if kind < 8:
            return f"{self.property()} {self.pick(COMPARISONS)} {self.pick((self.constant(), str(self.pick(SMALL_NUMBERS))))}"
        return f"{self.value(depth - 1)} {self.pick(COMPARISONS)} {self.value(depth - 1)}"

    # -------------------------------------------------------- lookup tables

    def table(self):
        """Declares a lookup table, or takes one that is there, and returns its name."""
        at = self.number(3)
        if at >= len(self.tables):
            at = len(self.tables)
            self.tables.append(self.table_text())
            self.before.append(f'lookup_table(name="@P@l{at}" file="@T@{at}")')
        return f"@P@l{at}"

    def table_text(self):
        kind = self.pick(("string", "string", "array", "sparseArray"))
        if kind == "string":
            indexes = list(dict.fromkeys(self.pick((self.pick(WORDS), self.pick(CONSTANTS), str(self.number(12)))) for _ in range(1 + self.number(8))))
        elif kind == "array":
            first = self.number(4)
            indexes = list(range(first, first + 1 + self.number(6)))
        else:
            indexes = sorted({self.pick(SMALL_NUMBERS) for _ in range(1 + self.number(5))})
        entries = [{"index": index, "value": self.pick(("found", "", "a b", "17", "ä", f"v{at}"))} for at, index in enumerate(indexes)]
        whole = {"version": 1, "type": kind, "table": entries}
        if self.chance(0.6):
            whole["nomatch"] = self.pick(("none", "", "0"))
        return json.dumps(whole)

    # -------------------------------------------------------- filters of the old form

    def selector(self):
        def part():
            facilities = "*" if self.chance(0.4) else ",".join(self.pick(FACILITIES) for _ in range(1 + self.number(2)))
            return facilities + "." + self.pick(("", "", "=", "!", "!=")) + self.pick(SEVERITIES + ["*", "none"])
        return ";".join(part() for _ in range(1 + self.number(3)))

    def property_filter(self):
        word = self.pick(("contains", "isequal", "startswith", "regex", "ereregex"))
        name = self.pick(("msg", "hostname", "programname", "syslogtag", "rawmsg", "app-name", "syslogseverity-text", "syslogfacility-text"))
        negation = self.pick(("", "", "!"))
        text = self.pick([r for r in REGEXES if "{" not in r]) if word in ("regex", "ereregex") else self.pick([c for c in CONSTANTS if not set(c) & set("\n\t{\\")])
        return f":{name}, {negation}{word}, " + '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    # -------------------------------------------------------- templates

    def template(self):
        """Declares a template and returns its name."""
        name = f"@P@t{self.templates}"
        self.templates += 1
        kind = self.number(10)
        if kind < 5:
            text = "".join(self.replacer() + self.pick(("", " ", "|", "] [", "=", ",")) for _ in range(1 + self.number(5)))
            if kind == 0:
                self.before.append(f'$template {name},"{text}\\n"' + self.pick(("", "", ",json", ",sql", ",stdsql")))
            else:
                option = self.pick(("", "", "", ' option.json="on"', ' option.sql="on"', ' option.stdsql="on"'))
                self.before.append(f'template(name="{name}" type="string"{option} string="[{text}]\\n")')
        else:
            is_json = self.chance(0.3)
            items = [self.list_item(is_json) for _ in range(1 + self.number(5))]
            option = ' option.jsonf="on"' if is_json and self.chance(0.7) else ""
            if not option:
                items.append('constant(value="\\n")')
            self.before.append(f'template(name="{name}" type="list"{option}) {{\n  ' + "\n  ".join(items) + "\n}")
        return name

    def shown(self):
        """What a template shows: a property or a variable, and whether it is a date."""
        kind = self.number(10)
        if kind < 6:
            return self.pick(PROPERTIES), False
        if kind == 6 and self.has_years:
            return "timereported", True
        if kind < 8 and self.items:
            return self.pick(self.items), False
        return self.pick([*self.variables, "$!", "$.", "$!all-json", "$!all-json-plain"]), False

    def replacer(self):
        name, is_date = self.shown()
        if is_date:
            return f"%{name}:::date-{self.pick(DATES)}%"
        kind, options = self.number(10), ""
        if self.chance(0.5):
            words = [self.pick(("uppercase", "lowercase", "drop-last-lf", "escape-cc", "space-cc", "drop-cc", "compressspace",
                                "sp-if-no-1st-sp", "secpath-drop", "secpath-replace")) for _ in range(1 + self.number(2))]
            # Of the formats there may be one.
            options = ":" + ",".join(words[self.number(2):] + ([self.pick(("json", "csv", "jsonf", "jsonr", "jsonfr"))] if self.chance(0.4) else []))
        options = "" if options == ":" else options
        if kind < 5:
            return f"%{name}::{options}%" if options else f"%{name}%"
        if kind == 5 and self.chance(0.2):
            return f"%{name}:1:{self.pick((1, 4, 20))}:fixed-width%"
        if kind < 7:
            return f"%{name}:{self.number(6)}:{self.pick((5, 7, 12, 40, '$'))}{options}%"
        if kind == 7:
            return f"%{name}:F,{self.pick((44, 58, 32, 47, 61))}:{self.number(4)}{options}%"
        mode = self.pick(("DFLT", "BLANK", "ZERO", "FIELD"))
        regex = self.pick([text for text in REGEXES if ":" not in text]).replace("\\", "\\\\")
        return f"%{name}:R,ERE,{self.number(3)},{mode}{self.pick(('', ',1'))}:{regex}--end{options}%"

    def list_item(self, is_json):
        if not is_json and self.chance(0.25):
            return f"constant(value={quoted(self.pick(('a', ' ', '|', ', ', '[x]', 'ä')))})"
        if is_json and self.chance(0.15):
            return f'constant(outname="c{self.number(9)}" value="{self.pick(("x", "1", "a b"))}" format="jsonf")'
        name, is_date = self.shown()
        words = [f'name="{name}"']
        if is_date:
            words.append(f'dateFormat="{self.pick(DATES)}"')
        else:
            words += self.cut(name)
        for word in ('caseConversion="lower"', 'caseConversion="upper"', 'controlCharacters="escape"', 'controlCharacters="space"',
                     'controlCharacters="drop"', 'securePath="drop"', 'securePath="replace"', 'spIfNo1stSp="on"', 'compressSpace="on"',
                     'dropLastLf="on"'):
            if self.chance(0.06) and word.split("=")[0] not in " ".join(words):
                words.append(word)
        if is_json:
            words += [f'outname="f{self.number(9)}"', f'format="{self.pick(("jsonf", "jsonf", "jsonfr"))}"']
            if self.chance(0.3):
                words.append(f'dataType="{self.pick(("number", "string", "auto", "bool"))}"')
            if self.chance(0.3):
                words.append(f'onEmpty="{self.pick(("keep", "skip", "null"))}"')
        elif self.chance(0.2):
            words.append(f'format="{self.pick(("csv", "json", "jsonr", "jsonf"))}"')
        return f"property({' '.join(words)})"

    def cut(self, name):
        kind = self.number(12)
        if kind < 2:
            # rsyslogd writes wild where a part ends before it begins, so ends are counted from behind in long texts only.
            is_long = name == "rawmsg"
            start = self.number(4 if is_long else 8)
            words = [f'position.from="{start}"', f'position.to="{self.pick((start, start + 1, start + 7, 40, *((-1, -3) if is_long else ())))}"']
            return words + (['fixedWidth="on"'] if self.chance(0.2) and "-" not in words[1] else [])
        if kind == 2:
            end = 1 + self.number(4)
            return ['position.relativeToEnd="on"', f'position.from="{end + self.number(9)}"', f'position.to="{end}"']
        if kind == 3:
            return [f'field.number="{1 + self.number(4)}"', f'field.delimiter="{self.pick((44, 58, 32, 47, 61))}"']
        if kind == 4:
            return [f"regex.expression={parameter(self.pick(REGEXES))}", 'regex.type="ERE"', f'regex.submatch="{self.number(3)}"',
                    f'regex.match="{self.number(2)}"', f'regex.nomatchmode="{self.pick(("DFLT", "BLANK", "ZERO", "FIELD"))}"']
        return []

    # -------------------------------------------------------- statements

    def action(self):
        builtin = self.has_years and self.chance(0.08)
        file, name = f"@D@/a{self.files}", self.pick(BUILTIN_TEMPLATES) if builtin else self.template()
        self.files += 1
        if self.chance(0.1):
            self.files += 1
            return f"*.* {file};{name}\n& @D@/a{self.files - 1};{self.template()}"
        return self.pick((f'action(type="omfile" file="{file}" template="{name}")', f"*.* {file};{name}"))

    def filtered(self):
        """One action behind a filter of the old form."""
        file, name = f"@D@/a{self.files}", self.template()
        self.files += 1
        return f"{self.selector() if self.chance(0.5) else self.property_filter()} {file};{name}"

    def assignment(self):
        kind = self.number(12)
        name = self.pick(self.writable)
        if kind < 7:
            return f"set {name} = {self.value(3)};"
        if kind == 7:
            return f"reset {name} = {self.value(2)};"
        if kind == 8:
            return f"unset {name};"
        if kind == 9:
            source = self.pick(("$msg", "$msg", quoted(self.pick(JSON_TEXTS)), self.value(1)))
            return f"set $.parsed = parse_json({source}, \"\\{self.pick(('$!x', '$!o', '$.list', '$!list'))}\");"
        return f"set {name} = {self.condition(2)};"

    def ruleset(self):
        """Declares a further ruleset, or takes one that is there, and returns its name. None calls another."""
        at = self.number(3)
        if at >= len(self.rulesets):
            at = len(self.rulesets)
            items, self.items, self.is_called = self.items, [], True
            body = self.statements(1) + [self.action()]
            self.items, self.is_called = items, False
            queue = ' queue.type="LinkedList" queue.workerThreads="1" queue.timeoutShutdown="5000"' if self.has_queues and self.chance(0.5) else ""
            self.rulesets.append([f'ruleset(name="@P@r{at}"{queue}) {{', body, "}"])
        return f"@P@r{at}"

    def visit(self):
        """A call of a further ruleset; of one that is not there, sometimes, where its name is a matter of the message."""
        name = self.ruleset()
        if self.chance(0.5):
            return f"call {name}"
        return f"call_indirect {self.pick((quoted(name), quoted(name[:-1]) + ' & ' + quoted(name[-1:]), quoted(name[:-1]) + ' & $syslogseverity'))};"

    def statement(self, depth):
        kind = self.number(15)
        if kind == 14:
            return self.assignment() if self.is_called else self.visit()
        if kind < 5:
            return self.assignment()
        if kind < 7 or depth <= 0:
            return self.action()
        if kind == 7:
            return self.filtered()
        if kind < 11:
            parts = [f"if {self.condition(3)} then {{", self.statements(depth - 1), "}"]
            while self.chance(0.3):
                parts[-1] += f" else if {self.condition(2)} then {{"
                parts += [self.statements(depth - 1), "}"]
            if self.chance(0.4):
                parts[-1] += " else {"
                parts += [self.statements(depth - 1), "}"]
            return parts
        if kind == 11 and len(self.items) < 2:
            # Rulesets meet in one message, and rsyslogd stops where the loop's own variable is gone.
            item = f"$.{'j' if self.is_called else 'i'}{len(self.items)}"
            source = self.pick(("$!list", "$!o", "$.list", "$!x", "$!a", "$!c!e", "$!"))
            self.items.append(item)
            body = self.statements(depth - 1)
            self.items.pop()
            return [f"foreach ({item} in {source}) do {{", body, "}"]
        if kind == 12:
            parts = [f"{self.pick((self.selector(), self.property_filter()))} {{", self.statements(depth - 1), "}"]
            return parts
        return [f"if {self.condition(2)} then {{", [self.pick(("stop", "continue"))], "}"]

    def statements(self, depth):
        return [self.statement(depth) for _ in range(1 + self.number(3))]

    def body(self):
        body = self.statements(2) + self.statements(1)
        if self.chance(0.5):
            body.insert(0, "if ltrim($msg) startswith \"{\" then set $.parsed = parse_json($msg, \"\\$!\");")
        if self.chance(0.5):
            body.insert(0, f"set {self.pick(self.writable)} = {self.value(2)};")
        body.append(self.action())
        if "script_error()" in render(body) + render(self.rulesets):
            # Else its first word is about the message before, which may be another pair's.
            body.insert(0, "set $.parsed = parse_json(\"{}\", \"\\$.fresh\");")
        return body

    # -------------------------------------------------------- messages

    def text(self):
        kind = self.number(20)
        if kind < 9:
            return self.pick(("", " ", " ", "  ")).encode() + self.pick((b" ", b" ", b"  ", b",")).join(
                self.pick(WORDS).encode() for _ in range(self.number(8)))
        if kind < 13:
            return self.pick(("", " ", " @cee: ")).encode() + self.pick(JSON_TEXTS).encode()
        if kind == 13:
            return b" control" + bytes(self.pick((1, 7, 8, 9, 10, 13, 27, 31, 127)) for _ in range(1 + self.number(4))) + b"end" + self.pick((b"", b"\n", b"\r\n"))
        if kind == 14:
            return b" broken " + self.pick((b"\xff", b"\xc3(", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\x80", b"\xed\xa0\x80")) + b" utf"
        if kind == 15:
            return self.pick((b"x", b"ab ", b"1,", b"\xc3\xa4", b"/")) * (HUGE_BYTES // (1 + self.number(6)) // 3)
        if kind == 16:
            return b""
        if kind == 17:
            return b" " + str(self.pick(NUMBERS)).encode()
        return b" " + self.pick(CONSTANTS).encode()

    def priority(self):
        return b"<%d>" % self.number(192)

    def stamp(self):
        return self.pick(("2017-10-05T01:10:11Z", "2020-02-29T23:59:59.123456Z", "2003-08-24T05:14:15.000003-07:00", "1999-12-31T23:59:59.9+05:30",
                          "2026-01-01T00:00:00.120+00:00", "2024-03-10T12:00:00.5Z")).encode()

    def structured(self):
        return self.pick((b"-", b"-", b'[id a="1"]', b'[id@1 a="x" b="y\\"z"][two c="]"]'.replace(b'"]"', b'"\\]"'), b"[empty]", b'[u k="\xc3\xa4"]'))

    def message(self):
        kind = self.number(16)
        text = self.text()
        if kind < 5:
            words = [self.pick((b"host", b"web1.example.net", b"-", b"10.1.2.3", b"h")), self.pick((b"app", b"-", b"prog/sub", b"Beta", b"a" * 48)),
                     self.pick((b"-", b"123", b"p-1")), self.pick((b"-", b"ID47", b"x"))]
            return self.priority() + b"1 " + self.pick((self.stamp(), self.stamp())) + b" " + b" ".join(words) + b" " + self.structured() + b" " + text.lstrip(b" ")
        stamp = self.stamp() if self.has_years else self.pick((b"Oct 11 22:14:15", b"Jan  1 00:00:00", b"Feb 28 23:59:59", b"Mar 03 03:03:03"))
        tag = self.pick((b"tag:", b"prog[17]:", b"app/sub[1]:", b"kernel:", b"Beta:", b"x" * 33 + b":", b"error:", b"notag", b"a.b-c_d:", b"t[]:"))
        host = self.pick((b"host", b"web1.example.net", b"10.1.2.3", b"HOST", b"h"))
        if kind < 12 or self.has_years:
            return self.priority() + stamp + b" " + host + b" " + tag + text
        return self.pick((
            self.priority() + tag + text,
            self.priority() + text,
            self.priority() + stamp + b" " + tag + text,
            self.priority() + stamp + text,
            b"<" + self.pick((b"", b"999", b"192", b"0013", b"-1", b"x", b"13", b"1>2")) + self.pick((b">", b"")) + stamp + b" host tag:" + text,
            self.priority() + b"1 " + self.pick((b"-", self.stamp(), b"x")) + b" " + self.pick((b"", b"host", b"host app", b"host app - -")) + text[:TAG_BYTES_SAFE],
            self.priority() + self.pick((b" ", b": ", b"[x] ", b"Oct", b"Oct 11 ", b"2017-10-05T")) + text,
        ))


ENVIRONMENTS = (
    "",
    'parser.escapeControlCharactersOnReceive="off"',
    'parser.escapeControlCharactersCStyle="on"',
    'parser.permitSlashInProgramName="on" parser.dropTrailingLFOnReception="off"',
    'parser.escape8BitCharactersOnReceive="on"',
    'parser.escapeControlCharactersOnReceive="off" parser.dropTrailingLFOnReception="off"',
    'parser.spaceLFOnReceive="on"',
    'variables.caseSensitive="on"',
)


def make_pair(seed, index):
    maker = Maker(random.Random(f"penstock {seed} {index}"))
    body = maker.body()
    messages = [maker.message() for _ in range(2 + maker.number(MESSAGES_MAX - 2))]
    return Pair(index, maker.before, body, [message or b"<13>" for message in messages],
                ENVIRONMENTS[index // BATCH_PAIRS % len(ENVIRONMENTS)], maker.rulesets, maker.tables)
