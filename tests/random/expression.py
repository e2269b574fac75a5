"""Takes expressions of RainerScript apart, so that explained.py can ask what their parts are.

parse(text) gives a Node: what it is, its own text, and its parts. Precedence as both daemons have it, weakest first: "and" and
"or" together; comparisons; + - &; * / %; not and the minus sign. Every level groups to the left.
"""

import dataclasses
import re

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\$/?[A-Za-z0-9_!@.\[\]-]+|\$!|[0-9][0-9A-Za-z]*|[A-Za-z_][A-Za-z_0-9]*|==|!=|<>|<=|>=|[-<>+*/%&()\[\],])', re.S)
CONNECTIVES = ("and", "or")
ORDERS = ("<", ">", "<=", ">=")
EQUALITIES = ("==", "!=", "<>")
COMPARISONS = ORDERS + EQUALITIES + ("contains", "contains_i", "startswith", "startswith_i")
CALCULATIONS = ("+", "-", "*", "/", "%")
LEVELS = (CONNECTIVES, COMPARISONS, ("+", "-", "&"), ("*", "/", "%"))


@dataclasses.dataclass
class Node:
    kind: str  # an operator, the name of a function, or "", which has no parts
    text: str
    parts: list

    def walk(self):
        yield self
        for part in self.parts:
            yield from part.walk()


class Parser:
    def __init__(self, text):
        self.text, self.at = text, 0

    def peek(self):
        found = TOKEN.match(self.text, self.at)
        return found.group(1) if found else ""

    def take(self):
        found = TOKEN.match(self.text, self.at)
        if not found:
            raise ValueError(f"no expression at {self.at}: {self.text}")
        self.at = found.end()
        return found.group(1)

    def level(self, depth=0):
        if depth == len(LEVELS):
            return self.unary()
        begin, left = self.at, self.level(depth + 1)
        while self.peek() in LEVELS[depth]:
            kind = self.take()
            right = self.level(depth + 1)
            left = Node(kind, self.text[begin:self.at].strip(), [left, right])
        return left

    def unary(self):
        begin = self.at
        if self.peek() in ("not", "-"):
            kind = self.take()
            part = self.unary()
            return Node("minus" if kind == "-" else kind, self.text[begin:self.at].strip(), [part])
        token = self.take()
        if token == "(":
            return dataclasses.replace(self.list(")")[0], text=self.text[begin:self.at].strip())
        if token == "[":
            return Node("[", self.text[begin:self.at].strip(), self.list("]"))
        if self.peek() == "(" and re.match(r"[A-Za-z_]", token):
            self.take()
            parts = self.list(")")
            return Node(token, self.text[begin:self.at].strip(), parts)
        return Node("", token, [])

    def list(self, end):
        parts = []
        while self.peek() != end:
            parts.append(self.level())
            if self.peek() == ",":
                self.take()
        self.take()
        return parts


def parse(text):
    parser = Parser(text)
    node = parser.level()
    if parser.text[parser.at:].strip():
        raise ValueError(f"more than an expression: {parser.text}")
    return node
