"""The reader of init scripts: what it runs, and that it refuses the rest instead of passing over it."""

from __future__ import annotations

from typing import Any

import pytest

from embedded.jenkins.controller.groovy import JavaClass, JavaObject, NotUnderstood, Run, Thrown


class Recorder(JavaObject):
    METHODS = frozenset({"add", "getName", "setName", "fail", "items"})

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def add(self, *values: Any) -> Recorder:
        self.seen.append(values[0] if len(values) == 1 else values)
        return self

    def getName(self) -> str:
        return "name"

    def setName(self, value: str) -> None:
        self.seen.append(f"name={value}")

    def fail(self) -> None:
        raise Thrown("java.io.IOException", "on purpose")

    def items(self) -> list[str]:
        return ["a", "b"]

    def hidden(self) -> None:
        self.seen.append("hidden")


class RecorderClass(JavaClass):
    METHODS = frozenset({"get"})

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []

    def make(self, *arguments: Any) -> str:
        self.made.append(arguments)
        return "made"

    def get(self) -> str:
        return "static"


def run(source: str) -> list[Any]:
    recorder = Recorder()
    Run({"a.b.Kind": RecorderClass()}, {"out": recorder}).script(source)
    return recorder.seen


@pytest.mark.parametrize(("source", "seen"), [
    ("out.add(1)", [1]),
    ("// comment\nout.add('a', true)  // more\n/* and\n more */\n", [("a", True)]),
    ("out.add('it\\'s ' + 1 + \" and \\\"two\\\"\")", ['it\'s 1 and "two"']),
    ("def x = 1 + 2\nout.add(x)", [3]),
    ("out.add(null == null && !false || out.fail())", [True]),
    ("out.add('a' != 'a')", [False]),
    ("out.add(out.name)\nout.name = 'b'", ["name", "name=b"]),
    ("out\n  .add(1)\n  .add(2)", [1, 2]),
    ("if (out.items()) { out.add(1) } else { out.add(2) }", [1]),
    ("if (null) {\n out.add(1)\n}\nelse if ('') { out.add(2) } else { out.add(3) }", [3]),
    ("for (one in out.items()) { if (one == 'b') { out.add(one) } }", ["b"]),
    ("try { out.fail(); out.add(1) } catch (Throwable problem) { out.add('got ' + problem) }",
     ["got java.io.IOException: on purpose"]),
    ("import a.b.Kind\nout.add(new Kind(1, 'x'))\nout.add(Kind.get())", ["made", "static"]),
    ("out.add(1)\nreturn\nout.add(2)", [1]),
    ("out.add(' 12 '.trim().toInteger())", [12]),
])
def test_what_it_runs(source: str, seen: list[Any]) -> None:
    assert run(source) == seen


@pytest.mark.parametrize("source", [
    "import not.Known", "out.hidden()", "out.seen", "out.add(1", "while (true) { }", "out.add { it }", "x -> y",
    "def (a, b) = out.items()", "out.add(\"$name\")", "out.add(1.5)", "class A { }", "new Unknown()",
    "'text'.reverse()", "out.getName(1)", "try { out.add(1) } catch (IOException e) { }", "1 + 1",
    "if (true) out.add(1)", "out.add(1) out.add(2)",
    "@Grab('x') import a.b.Kind", "out.__class__", "out.seen.append(1)",
])
def test_what_it_refuses(source: str) -> None:
    with pytest.raises((NotUnderstood, Thrown)) as problem:
        run(source)
    # A missing name is Groovy's own error; anything else is the reader's.
    if isinstance(problem.value, Thrown):
        assert problem.value.kind == "groovy.lang.MissingPropertyException"


def test_a_refusal_is_not_caught_by_the_script() -> None:
    with pytest.raises(NotUnderstood):
        run("try { out.hidden() } catch (Throwable problem) { out.add(1) }")


@pytest.mark.parametrize(("source", "words"), [
    ("null.trim()", "Cannot invoke method trim() on null object"),
    ("'x'.toInteger()", 'java.lang.NumberFormatException: For input string: "x"'),
    ("unknown.call()", "No such property: unknown"),
])
def test_javas_own_exceptions(source: str, words: str) -> None:
    with pytest.raises(Thrown, match=".*") as problem:
        run(source)
    assert words in str(problem.value)
