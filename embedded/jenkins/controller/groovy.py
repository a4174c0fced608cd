"""A reader of the part of Groovy that init scripts here are written in. What it does not know, it refuses.

Statements: import, def, assignment, call, if/else, for-in, try/catch, return. Expressions: text, numbers, true, false,
null, names, new, calls, properties, + == != ! && ||. Names of classes lead to what init_scripts.py has of Jenkins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class NotUnderstood(Exception):
    """The script is outside of what this reader knows: nothing may go on as if it had run."""


class Thrown(Exception):
    """A Java exception: its class, and its message."""

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind


class JavaObject:
    """Something of Java's world; a script reaches the methods named in METHODS and no others."""

    METHODS: frozenset[str] = frozenset()


class JavaClass(JavaObject):
    """A class by its name: `new` calls make(), static calls reach METHODS."""

    def make(self, *arguments: Any) -> Any:
        raise NotUnderstood(f"new {type(self).__name__}")


TOKEN = re.compile(r"""
    (?P<space>[ \t\r]+|//[^\n]*|/\*.*?\*/) | (?P<line>\n|;) | (?P<number>-?\d+(?![\w.]))
    | '(?P<text>(?:[^'\\\n]|\\.)*)' | "(?P<plain>(?:[^"\\$\n]|\\.)*)"
    | (?P<name>[A-Za-z_]\w*) | (?P<sign>&&|\|\||==|!=|[=!+.,(){}\[\]])
""", re.VERBOSE | re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "$": "$"}


@dataclass(frozen=True)
class Token:
    kind: str
    value: Any
    line: int


def tokens(source: str) -> list[Token]:
    found: list[Token] = []
    position, line = 0, 1
    while position < len(source):
        match = TOKEN.match(source, position)
        if not match:
            raise NotUnderstood(f"line {line}: {source[position:position + 30].splitlines()[0]}")
        kind = str(match.lastgroup)
        value: Any = match[kind]
        if kind in ("text", "plain"):
            kind, value = "text", re.sub(r"\\(.)", lambda escape: ESCAPES.get(escape[1], escape[0]), value)
        elif kind == "number":
            value = int(value)
        if kind != "space":
            found.append(Token(kind, value, line))
        line += match[0].count("\n")
        position = match.end()
    return [*found, Token("line", "\n", line), Token("end", "", line)]


class Reader:
    """Tokens to a tree of tuples: (what, line, parts...)."""

    def __init__(self, source: str) -> None:
        self.tokens = tokens(source)
        self.at = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def is_(self, value: str) -> bool:
        return self.token.kind in ("name", "sign") and self.token.value == value

    def take(self, value: str) -> bool:
        if self.is_(value):
            self.at += 1
            return True
        return False

    def need(self, value: str) -> None:
        if not self.take(value):
            raise self.refuse(f"expected {value}")

    def refuse(self, why: str) -> NotUnderstood:
        return NotUnderstood(f"line {self.token.line}: {why} at '{self.token.value}'".replace("\n", "\\n"))

    def name(self) -> str:
        if self.token.kind != "name":
            raise self.refuse("expected a name")
        self.at += 1
        return str(self.tokens[self.at - 1].value)

    def lines(self) -> None:
        while self.token.kind == "line":
            self.at += 1

    # -- statements -------------------------------------------------------------------------------------------------

    def script(self) -> list[Any]:
        return self.statements("end")

    def statements(self, until: str) -> list[Any]:
        found = []
        self.lines()
        while self.token.kind != "end" and not (until != "end" and self.is_(until)):
            found.append(self.statement())
            if self.token.kind not in ("line", "end") and not self.is_("}"):
                raise self.refuse("expected the end of the statement")
            self.lines()
        if until != "end":
            self.need(until)
        return found

    def block(self) -> list[Any]:
        self.lines()
        self.need("{")
        return self.statements("}")

    def statement(self) -> Any:
        line = self.token.line
        if self.take("import"):
            parts = [self.name()]
            while self.take("."):
                parts.append(self.name())
            return "import", line, ".".join(parts)
        if self.take("try"):
            return self.try_(line)
        if self.take("if"):
            return self.if_(line)
        if self.take("for"):
            self.need("(")
            self.take("def")
            variable = self.name()
            self.need("in")
            values = self.expression()
            self.need(")")
            return "for", line, variable, values, self.block()
        if self.take("return"):
            return "return", line
        if self.take("def"):
            variable = self.name()
            self.need("=")
            return "set", line, ("name", line, variable), self.expression()
        target = self.expression()
        if self.take("="):
            if target[0] not in ("name", "property"):
                raise self.refuse("cannot assign")
            return "set", line, target, self.expression()
        if target[0] not in ("call", "new"):
            raise NotUnderstood(f"line {line}: a statement that does nothing")
        return "do", line, target

    def try_(self, line: int) -> Any:
        body = self.block()
        self.lines()
        self.need("catch")
        self.need("(")
        kind, variable = self.name(), self.name()
        if kind not in ("Throwable", "Exception"):
            raise self.refuse(f"catch of {kind}")
        self.need(")")
        return "try", line, body, variable, self.block()

    def if_(self, line: int) -> Any:
        self.need("(")
        condition = self.expression()
        self.need(")")
        body = self.block()
        before = self.at
        self.lines()
        if not self.take("else"):
            self.at = before
            return "if", line, condition, body, []
        if self.take("if"):
            return "if", line, condition, body, [self.if_(line)]
        return "if", line, condition, body, self.block()

    # -- expressions ------------------------------------------------------------------------------------------------

    LEVELS = (("||",), ("&&",), ("==", "!="), ("+",))

    def expression(self, level: int = 0) -> Any:
        if level == len(self.LEVELS):
            return self.unary()
        left = self.expression(level + 1)
        while self.token.kind == "sign" and self.token.value in self.LEVELS[level]:
            sign, line = self.token.value, self.token.line
            self.at += 1
            self.lines()
            left = "binary", line, sign, left, self.expression(level + 1)
        return left

    def unary(self) -> Any:
        line = self.token.line
        if self.take("!"):
            return "not", line, self.unary()
        return self.postfix()

    def postfix(self) -> Any:
        value = self.primary()
        while True:
            line = self.token.line
            # A chain may go on in the next line.
            before = self.at
            self.lines()
            if self.take("."):
                member = self.name()
                value = (("call", line, value, member, self.arguments()) if self.take("(")
                         else ("property", line, value, member))
            else:
                self.at = before
                return value

    def arguments(self) -> list[Any]:
        found = []
        self.lines()
        while not self.take(")"):
            found.append(self.expression())
            self.lines()
            if not self.take(",") and not self.is_(")"):
                raise self.refuse("expected , or )")
            self.lines()
        return found

    def primary(self) -> Any:
        token = self.token
        self.at += 1
        if token.kind in ("text", "number"):
            return "value", token.line, token.value
        if token.kind == "name":
            if token.value in ("true", "false", "null"):
                return "value", token.line, {"true": True, "false": False, "null": None}[token.value]
            if token.value == "new":
                kind = self.name()
                while self.take("."):
                    kind += "." + self.name()
                self.need("(")
                return "new", token.line, kind, self.arguments()
            return "name", token.line, token.value
        if token.kind == "sign" and token.value == "(":
            inner = self.expression()
            self.need(")")
            return inner
        self.at -= 1
        raise self.refuse("not an expression")


class _Return(Exception):
    pass


@dataclass
class Run:
    """One run of a script over the classes it may name."""

    classes: Mapping[str, Any]
    """By full name; the part after the last dot is the name that an import brings."""
    always: Mapping[str, Any]
    """Classes that need no import."""
    names: dict[str, Any] = field(default_factory=dict)

    def script(self, source: str) -> None:
        statements = Reader(source).script()
        try:
            self.block(statements)
        except _Return:
            return

    def block(self, statements: list[Any]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, statement: Any) -> None:
        what, line, *parts = statement
        if what == "import":
            if parts[0] not in self.classes:
                raise NotUnderstood(f"line {line}: import of {parts[0]}")
            self.names[parts[0].rsplit(".", 1)[1]] = self.classes[parts[0]]
        elif what == "try":
            body, variable, handler = parts
            try:
                self.block(body)
            except Thrown as problem:
                self.names[variable] = problem
                self.block(handler)
        elif what == "if":
            condition, body, otherwise = parts
            self.block(body if truth(self.value(condition)) else otherwise)
        elif what == "for":
            variable, values, body = parts
            for value in list(self.value(values) or []):
                self.names[variable] = value
                self.block(body)
        elif what == "return":
            raise _Return
        elif what == "set":
            target, value = parts
            if target[0] == "name":
                self.names[target[2]] = self.value(value)
            else:
                owner, member = self.value(target[2]), target[3]
                self.call(owner, f"set{member[:1].upper()}{member[1:]}", [self.value(value)], line)
        else:
            self.value(parts[0])

    def value(self, expression: Any) -> Any:
        what, line, *parts = expression
        if what == "value":
            return parts[0]
        if what == "name":
            if parts[0] in self.names:
                return self.names[parts[0]]
            if parts[0] in self.always:
                return self.always[parts[0]]
            raise Thrown("groovy.lang.MissingPropertyException", f"No such property: {parts[0]} for class: Script1")
        if what == "not":
            return not truth(self.value(parts[0]))
        if what == "binary":
            return self.binary(*parts)
        if what == "new":
            kind, arguments = parts
            maker = self.names.get(kind) or self.always.get(kind) or self.classes.get(kind)
            if not isinstance(maker, JavaClass):
                raise NotUnderstood(f"line {line}: new {kind}")
            return maker.make(*[self.value(argument) for argument in arguments])
        if what == "property":
            owner, member = self.value(parts[0]), parts[1]
            if isinstance(owner, JavaObject) and member in owner.METHODS:
                return self.call(owner, member, [], line)
            return self.call(owner, f"get{member[:1].upper()}{member[1:]}", [], line)
        owner, member, arguments = self.value(parts[0]), parts[1], [self.value(one) for one in parts[2]]
        return self.call(owner, member, arguments, line)

    def binary(self, sign: str, left: Any, right: Any) -> Any:
        if sign == "||":
            return truth(self.value(left)) or truth(self.value(right))
        if sign == "&&":
            return truth(self.value(left)) and truth(self.value(right))
        one, other = self.value(left), self.value(right)
        if sign == "+":
            return one + other if isinstance(one, int) and isinstance(other, int) else text(one) + text(other)
        return (one == other) if sign == "==" else (one != other)

    def call(self, owner: Any, member: str, arguments: list[Any], line: int) -> Any:
        if owner is None:
            raise Thrown("java.lang.NullPointerException", f"Cannot invoke method {member}() on null object")
        if isinstance(owner, str):
            return text_method(owner, member, arguments, line)
        if not isinstance(owner, JavaObject) or member not in owner.METHODS:
            raise NotUnderstood(f"line {line}: {member}() of {type(owner).__name__}")
        try:
            return getattr(owner, member)(*arguments)
        except TypeError as error:
            raise NotUnderstood(f"line {line}: {member}() with these arguments ({error})") from error


def text_method(owner: str, member: str, arguments: list[Any], line: int) -> Any:
    if member == "trim" and not arguments:
        return owner.strip()
    if member == "isEmpty" and not arguments:
        return not owner
    if member in ("toInteger", "toLong") and not arguments:
        try:
            return int(owner.strip())
        except ValueError:
            raise Thrown("java.lang.NumberFormatException", f'For input string: "{owner}"') from None
    raise NotUnderstood(f"line {line}: {member}() of text")


def truth(value: Any) -> bool:
    return bool(value) if value is None or isinstance(value, str | int | bool | list) else True


def text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
