"""Where we differ from rsyslogd on purpose. doc/configuration.md tells the users the same.

An explanation has to be proven, not only to fit: `change` and `fits` hold when all outputs of a pair are equal but for the
one thing it is about; `suspects` asks rsyslogd for values in the pair, and holds when one is such that it must go wrong
there, and the outputs are equal once the pair says in its place what is right. What is not proven is a failure.
"""

import dataclasses
import itertools
import re

import expression

WITNESS_TEMPLATE = 'template(name="@P@tw" type="list") { property(name="$.witness" format="json") constant(value="\\n") }'
WORD_BITS, TRUTH_BITS = 32, 8
PRIORITIES = ("$syslogfacility", "$syslogseverity", "$syslogpriority")
TAG_BYTES_MAX, FORMATTED_TIME_BYTES_MAX = 512, 63


# ---------------------------------------------------------------- equal but for

def unchanged(text):
    return text


def without_backslashes(text):
    return text.replace(b"\\", b"")


def with_padded_days(text):
    return re.sub(rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0]([1-9])", rb"\1  \2", text, flags=re.IGNORECASE)


def without_slashes(text):
    return re.sub(rb"\\?/", b"_", text)


def fits_but_for_a_long_tag(said, ours):
    """Only what stands at least as far in its line as a tag is long may differ, where our line is longer."""
    parts = []
    for line in ours.splitlines(keepends=True):
        beyond = len(line) - TAG_BYTES_MAX
        parts.append(re.escape(line[:TAG_BYTES_MAX]) + (rb"(?s:.{%d})\n" % (beyond - 1) if beyond > 0 else b""))
    return re.fullmatch(b"".join(parts), said)


def fits_around_out_of_memory(said, ours):
    """rsyslogd's words stand where we have an empty text, with its name where it has one."""
    pieces = said.split(b"**OUT OF MEMORY**")
    return len(pieces) > 1 and re.fullmatch(rb'(?:"[^"]*":)?(?:"")?'.join(map(re.escape, pieces)), ours)


def are_same_but(explanations, one, other):
    def are_same(theirs, ours):
        for explanation in explanations:
            theirs, ours = explanation.change(theirs), explanation.change(ours)
        return theirs == ours or any(explanation.fits and explanation.fits(theirs, ours) for explanation in explanations)
    return one.keys() == other.keys() and all(are_same(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- suspects

# Each gives, of the head of a statement, expressions to ask rsyslogd for, and what makes of their values the head that
# says what rsyslogd should have seen, or None where it saw right.

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


def signed(number, bits):
    return (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def whole_number(text):
    """What both daemons see in a text that is a number as a whole; a lone minus sign and nothing are 0."""
    return signed(int(text.strip(b"-") and text or b"0"), 2 * WORD_BITS) if re.fullmatch(rb"-?[0-9]*", text) else None


def sign(number):
    return (number > 0) - (number < 0)


class Everywhere(str):
    """A cure that changes nothing where there is nothing to cure, so that it may stand for all rounds and messages."""


class Unneeded(str):
    """The same cure, of a round or message in which rsyslogd saw right."""


def order_beyond_32_bits(head):
    def cure_of(node):
        def cure(left, right):
            left, right = whole_number(left), whole_number(right)
            if left is None or right is None:
                return None
            holds = {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[node.kind]
            is_cut = sign(left - right) != sign(signed(left - right, WORD_BITS))
            return (str if is_cut else Unneeded)(head.replace(node.text, str(int(holds))))
        return cure
    for node in nodes_of(head):
        if node.kind in expression.ORDERS:
            yield [part.parts[0].text if part.kind == "[" else part.text for part in node.parts], cure_of(node)


def truth_beyond_8_bits(head):
    condition = condition_of(head)

    def cure(text):
        digits = re.match(rb"-?[0-9]*", text).group()
        number = int(digits) if digits.strip(b"-") else 0
        is_cut = number % (1 << WORD_BITS * 2) != 0 and number % (1 << TRUTH_BITS) == 0
        return Everywhere(head.replace(condition.text, f"(cnum({condition.text}) != 0)")) if is_cut else None
    if condition:
        yield [condition.text], cure


def is_filter(node):
    """What rsyslogd makes one filter of priorities of."""
    if node.kind in expression.CONNECTIVES:
        return all(part.kind == "prifilt" or is_filter(part) for part in node.parts)
    return node.kind in expression.COMPARISONS and any(operand.text in PRIORITIES for operand in node.parts)


def priority_in_a_calculation(head):
    for node in nodes_of(head):
        for part in node.parts if node.kind in expression.CALCULATIONS else ():
            if is_filter(part):
                yield [part.text], lambda text, part=part: head.replace(part.text, text.decode()) if text != b"0" else None


def number_that_is_none_of_many(head):
    """Asked of what the grammar says is a number, not of a text that looks like one."""
    numbers = ("not", "minus", *expression.CALCULATIONS, *expression.COMPARISONS, *expression.CONNECTIVES)

    def cure_of(node):
        values = [part.text.strip('"') for part in node.parts[1].parts]
        return lambda text: head.replace(node.text, str(int(text.decode() not in values)))
    for node in nodes_of(head):
        if node.kind in ("!=", "<>") and node.parts[1].kind == "[" and node.parts[0].kind in numbers:
            yield [node.parts[0].text], cure_of(node)


def unequal_by_a_distance(head):
    for node in nodes_of(head):
        if node.kind in ("!=", "<>"):
            cure = Everywhere(head.replace(node.text, f"(({node.text}) != 0)"))
            yield [node.text], lambda text, cure=cure: None if text in (b"0", b"1") else cure


def time_in_two_forms(head):
    """Where exec_template() stands before it, it asks for the time first, maybe in another form."""
    def cure(text):
        padded = with_padded_days(text)
        return head.replace("$timereported", f'"{padded.decode()}"') if re.match(rb"[A-Z][a-z]{2}  ", padded) else None
    if "exec_template" in head and any(node.text == "$timereported" for node in nodes_of(head)):
        yield ["$timereported"], cure


def no_object_parsed_into_all_variables(head):
    def cure(text):
        return None if text.lstrip().startswith(b"{") else ""
    for node in nodes_of(head):
        if node.kind == "parse_json" and node.parts[1].text in ('"\\$!"', '"\\$."'):
            yield [node.parts[0].text], cure


def no_time_to_format(head):
    for node in nodes_of(head):
        if node.kind == "format_time":
            cure = Everywhere(head.replace(node.text, f"substring({node.text}, 0, {FORMATTED_TIME_BYTES_MAX})"))
            yield [node.parts[0].text], lambda text, cure=cure: cure if len(text) > FORMATTED_TIME_BYTES_MAX else None


def property_that_is_not_there(head):
    def cure_of(node):
        return lambda text, size: head.replace(node.text, '""') if text == b"" and size == b"1" else None
    for node in nodes_of(head):
        if node.kind == "get_property":
            yield [node.text, f"strlen({node.text})"], cure_of(node)


def key_beyond_31_bits(head):
    def cure_of(node):
        def cure(text):
            number = int(re.match(rb"-?[0-9]*", text).group().rstrip(b"-") or b"0")
            return head.replace(node.text, '""') if signed(number, WORD_BITS) < 0 else None
        return cure
    for node in nodes_of(head):
        if node.kind == "lookup":
            yield [node.parts[1].text], cure_of(node)


def object_set_where_something_is(head):
    name, value = assignment_of(head)
    if name and " set " in f" {head}":
        yield [value.text], lambda text: Everywhere(f"if not exists({name}) then {head}") if text.startswith(b"{") else None


# ---------------------------------------------------------------- explanations

@dataclasses.dataclass
class Explanation:
    config: str  # what the configuration of the pair matches
    reason: str
    change: object = unchanged  # what makes both outputs equal
    fits: object = None  # whether an output of rsyslogd's is one of ours but for the one thing
    suspects: object = None  # of the head of a statement

    def is_of_outputs(self):
        return self.suspects is None


TIME_ONCE = "formats the time of RFC 3164 once a message, whichever form is asked for first; we each where it is asked for"

EXPLAINED = (
    Explanation(r'option\.json="on"|,json$', change=without_backslashes,
                reason="option.json leaves a value of nothing but quotes and backslashes as it is, which breaks the JSON; we escape it"),
    Explanation(r"timereported", change=with_padded_days, reason=TIME_ONCE),
    Explanation(r"\$timereported", suspects=time_in_two_forms, reason=TIME_ONCE),
    Explanation(r'securePath="replace"|secpath-replace', change=without_slashes,
                reason="replaces slashes in a part of a property, and passes over the byte behind each; we replace each"),
    Explanation("syslogtag", fits=fits_but_for_a_long_tag,
                reason="a tag made of an APP-NAME of more than 512 bytes has the bytes of other memory from there on; with us it is whole"),
    Explanation(r'position\.to="-', fits=fits_around_out_of_memory,
                reason="says **OUT OF MEMORY** of a part that ends before it begins; we show nothing"),
    Explanation("", suspects=order_beyond_32_bits, reason="compares the order of numbers by the low 32 bits of their difference; we by all"),
    Explanation("", suspects=truth_beyond_8_bits, reason="takes a number for true by its low 8 bits; we by all"),
    Explanation(r"\$syslog|prifilt", suspects=priority_in_a_calculation,
                reason="makes a filter of a comparison of priorities, which is 0 in a calculation; with us it is 0 or 1"),
    Explanation(r"(!=|<>)", suspects=unequal_by_a_distance,
                reason="gives the distance of two texts that are unequal at times; we 1"),
    Explanation(r"(!=|<>) \[", suspects=number_that_is_none_of_many,
                reason="asks of a number only whether it is the smallest text of an array; we of all"),
    Explanation("parse_json", suspects=no_object_parsed_into_all_variables,
                reason="what is no object takes the place of all variables when it is parsed into them; with us they stay an object"),
    Explanation("format_time", suspects=no_time_to_format,
                reason="format_time() of what is no time is its first 63 bytes; with us it is whole"),
    Explanation("get_property", suspects=property_that_is_not_there,
                reason="get_property() of what is not there is a text of one NUL byte; with us it is empty"),
    Explanation("lookup", suspects=key_beyond_31_bits,
                reason="a key of 2^31 and more stands before all indexes of a sparse array; with us behind smaller ones"),
    Explanation("set ", suspects=object_set_where_something_is,
                reason="an object that is set where something is joins all variables; with us it joins what is there, or takes its place"),
)


def heads_of(statement):
    return [statement] if isinstance(statement, str) else [part for part in statement if isinstance(part, str)]


def watched(body, suspects, found):
    """The body, with what writes each suspect's expressions ahead of the statement it stands in."""
    result = []
    for statement in body:
        for head in heads_of(statement):
            for texts, cure in suspects(head):
                for at, text in enumerate(texts):
                    result.append(f'reset $.witness = {text};\naction(type="omfile" file="@D@/w{len(found)}-{at}" template="@P@tw")')
                found.append((head, len(texts), cure))
        result.append(statement if isinstance(statement, str) else
                      [part if isinstance(part, str) else watched(part, suspects, found) for part in statement])
    return result


def replaced(body, old, new):
    return [(new if statement == old else statement) if isinstance(statement, str) else replaced(statement, old, new) for statement in body]


def cured(pair, suspects, oracle):
    """The pair in which rsyslogd sees right, or None where no suspect is guilty, or not each time."""
    found, is_guilty = [], False
    output = oracle(dataclasses.replace(pair, body=watched(pair.body, suspects, found), rulesets=watched(pair.rulesets, suspects, found),
                                        before=[*pair.before, WITNESS_TEMPLATE]))
    for at, (head, count, cure) in enumerate(found):
        columns = [output.get(f"w{at}-{column}", b"").splitlines() for column in range(count)]
        given = [cure(*values) for values in zip(*columns)]
        if all(one is None or isinstance(one, Unneeded) for one in given):
            continue
        cures = set(given)
        if any(isinstance(one, Everywhere) for one in cures):
            cures.discard(None)
        if len(cures) == 1 and cures != {None}:
            pair = dataclasses.replace(pair, body=replaced(pair.body, head, *cures), rulesets=replaced(pair.rulesets, head, *cures))
            is_guilty = True
    return pair if is_guilty else None


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


def why(pair, one, other, oracle, ours):
    """The reasons, of a shrunk pair. `one` and `other` are what rsyslogd and we have written; oracle() and ours() run them again."""
    reasons = why_outputs_differ(pair, one, other)
    for explanation in fitting(pair):
        if reasons:
            break
        well = explanation.suspects and cured(pair, explanation.suspects, oracle)
        if well and oracle(well) == ours(well):
            reasons = [explanation.reason]
    return reasons
