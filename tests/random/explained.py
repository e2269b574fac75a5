"""Where we differ from rsyslogd on purpose. doc/configuration.md tells the users the same.

An explanation has to be proven, not only to fit: `change` and `fits` hold when all outputs of a pair are equal but for the
one thing it is about; `witness` asks rsyslogd for the values in the pair, and holds when one is such that it must go wrong there. What an
explanation does not prove is a failure.
"""

import dataclasses
import itertools
import re

import expression

WITNESS_TEMPLATE = 'template(name="@P@tw" type="list") { property(name="$.witness" format="json") constant(value="\\n") }'
WORD_BITS, TRUTH_BITS = 32, 8


# ---------------------------------------------------------------- equal but for

def unchanged(text):
    return text


def without_backslashes(text):
    return text.replace(b"\\", b"")


def with_padded_days(text):
    return re.sub(rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0]([1-9])", rb"\1  \2", text)


def without_slashes(text):
    return re.sub(rb"\\?/", b"_", text)


def fits_around_out_of_memory(said, ours):
    """rsyslogd's words stand where we have an empty text, with its name where it has one."""
    pieces = said.split(b"**OUT OF MEMORY**")
    return len(pieces) > 1 and re.fullmatch(rb'(?:"[^"]*":)?(?:"")?'.join(map(re.escape, pieces)), ours)


def fits_behind_long_tags(said, ours):
    """Behind its first 512 bytes, a tag is NUL bytes in rsyslogd."""
    parts = re.split(rb"([^ \n\0]{512})(\0+)", said)
    return len(parts) > 1 and re.fullmatch(b"".join(b"[^ \\n]{%d}" % len(part) if at % 3 == 2 else re.escape(part) for at, part in enumerate(parts)), ours)


def are_same_but(explanations, one, other):
    def are_same(theirs, ours):
        for explanation in explanations:
            theirs, ours = explanation.change(theirs), explanation.change(ours)
        return theirs == ours or any(explanation.fits and explanation.fits(theirs, ours) for explanation in explanations)
    return one.keys() == other.keys() and all(are_same(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- witnesses

def condition_of(head):
    found = re.fullmatch(r"(?:\} else )?if (.*) then \{", head, re.S)
    return found and expression.parse(found.group(1))


def assignment_of(head):
    """The variable, and what it is set to."""
    found = re.fullmatch(r"(?:if .* then )?(?:re)?set (\S+) = (.*);", head, re.S)
    return (found.group(1), expression.parse(found.group(2))) if found else (None, None)


def nodes_of(head):
    node = condition_of(head) or assignment_of(head)[1]
    return node.walk() if node else ()


def whole_number(text):
    return int(text or b"0") if re.fullmatch(rb"-?[0-9]+|", text) else None


def signed(number, bits):
    return (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def sign(number):
    return (number > 0) - (number < 0)


def compares_beyond_32_bits(pair, ask):
    def orders(head):
        for node in nodes_of(head):
            if node.kind in expression.ORDERS:
                yield [part.parts[0].text if part.kind == "[" else part.text for part in node.parts]

    def is_cut(left, right):
        left, right = whole_number(left), whole_number(right)
        return left is not None and right is not None and sign(left - right) != sign(signed(left - right, WORD_BITS))
    return any(is_cut(*row) for row in ask(pair, orders))


def has_truth_beyond_8_bits(pair, ask):
    def truths(head):
        condition = condition_of(head)
        return [[condition.text]] if condition else []

    def is_cut(text):
        digits = re.match(rb"-?[0-9]*", text).group()
        number = int(digits) if digits.strip(b"-") else 0
        return number % (1 << WORD_BITS * 2) != 0 and number % (1 << TRUTH_BITS) == 0
    return any(is_cut(text) for (text,) in ask(pair, truths))


def parses_no_object_into_all_variables(pair, ask):
    def sources(head):
        for node in nodes_of(head):
            if node.kind == "parse_json" and node.parts[1].text in ('"\\$!"', '"\\$."'):
                yield [node.parts[0].text]
    return any(not text.lstrip().startswith(b"{") for (text,) in ask(pair, sources))


def gets_a_property_that_is_not_there(pair, ask):
    def properties(head):
        for node in nodes_of(head):
            if node.kind == "get_property":
                yield [node.text, f"strlen({node.text})"]
    return any(text == b"" and size == b"1" for text, size in ask(pair, properties))


def sets_an_object_where_something_is(pair, ask):
    def sets(head):
        name, value = assignment_of(head)
        if name and " set " in f" {head}":
            yield [value.text, f"exists({name})"]
    return any(text.startswith(b"{") and there == b"1" for text, there in ask(pair, sets))


# ---------------------------------------------------------------- explanations

@dataclasses.dataclass
class Explanation:
    config: str  # what the configuration of the pair matches
    reason: str
    change: object = unchanged  # what makes both outputs equal
    fits: object = None  # whether an output of rsyslogd's is one of ours but for the one thing
    witness: object = None  # of the pair, and what asks rsyslogd

    def is_of_outputs(self):
        return self.witness is None


EXPLAINED = (
    Explanation(r'option\.json="on"|,json$', change=without_backslashes,
                reason="option.json leaves a value of nothing but quotes and backslashes as it is, which breaks the JSON; we escape it"),
    Explanation(r"timereported", change=with_padded_days,
                reason="formats the time of RFC 3164 once a message, whichever form is asked for first; we each where it is asked for"),
    Explanation(r'securePath="replace"|secpath-replace', change=without_slashes,
                reason="replaces slashes in a part of a property, and passes over the byte behind each; we replace each"),
    Explanation(r'position\.to="-', fits=fits_around_out_of_memory,
                reason="says **OUT OF MEMORY** of a part that ends before it begins; we show nothing"),
    Explanation(r"syslogtag|RSYSLOG_", fits=fits_behind_long_tags,
                reason="a tag made of an APP-NAME of more than 512 bytes is NUL bytes from there on; ours is whole"),
    Explanation("", witness=compares_beyond_32_bits, reason="compares the order of numbers by the low 32 bits of their difference; we by all"),
    Explanation("", witness=has_truth_beyond_8_bits, reason="takes a number for true by its low 8 bits; we by all"),
    Explanation("parse_json", witness=parses_no_object_into_all_variables,
                reason="what is no object takes the place of all variables when it is parsed into them; with us they stay an object"),
    Explanation("get_property", witness=gets_a_property_that_is_not_there,
                reason="get_property() of what is not there is a text of one NUL byte; with us it is empty"),
    Explanation("set ", witness=sets_an_object_where_something_is,
                reason="an object that is set where something is joins all variables; with us it joins what is there, or takes its place"),
)


def watched(body, wanted, rows):
    """The body, with what writes each wanted expression ahead of the statement it stands in."""
    result = []
    for statement in body:
        for head in [statement] if isinstance(statement, str) else [part for part in statement if isinstance(part, str)]:
            for texts in wanted(head):
                for at, text in enumerate(texts):
                    result.append(f'reset $.witness = {text};\naction(type="omfile" file="@D@/w{len(rows)}-{at}" template="@P@tw")')
                rows.append(len(texts))
        result.append(statement if isinstance(statement, str) else
                      [part if isinstance(part, str) else watched(part, wanted, rows) for part in statement])
    return result


def asker(outputs_of):
    """What gives, of a pair, the values of wanted expressions: a row each time rsyslogd came to the statement."""
    def ask(pair, wanted):
        rows = []
        changes = {"body": watched(pair.body, wanted, rows), "rulesets": watched(pair.rulesets, wanted, rows), "before": [*pair.before, WITNESS_TEMPLATE]}
        if not rows:
            return []
        output = outputs_of(dataclasses.replace(pair, **changes))
        columns = [[output.get(f"w{row}-{at}", b"").splitlines() for at in range(count)] for row, count in enumerate(rows)]
        return [values for some in columns for values in zip(*some)]
    return ask


def fitting(pair):
    config = pair.environment + "\n" + "\n".join(pair.config("p", "DIR"))
    return [explanation for explanation in EXPLAINED if re.search(explanation.config, config, re.M)]


def why_outputs_differ(pair, one, other):
    """The reasons that make all outputs of a pair equal together, the fewest of them; needs no shrinking."""
    some = [explanation for explanation in fitting(pair) if explanation.is_of_outputs()]
    for count in range(1, len(some) + 1):
        for chosen in itertools.combinations(some, count):
            if are_same_but(chosen, one, other):
                return [explanation.reason for explanation in chosen]
    return []


def why(pair, one, other, outputs_of):
    """The reasons, of a shrunk pair. `one` and `other` are what rsyslogd and we have written; outputs_of() runs rsyslogd again."""
    reasons = why_outputs_differ(pair, one, other)
    ask = asker(outputs_of)
    for explanation in fitting(pair):
        if not reasons and explanation.witness and explanation.witness(pair, ask):
            reasons = [explanation.reason]
    return reasons
