""".dockerignore: a table of patterns, paths and the engine's verdict."""

from __future__ import annotations

import pytest

from slipway.errors import InvalidInput
from slipway.image.ignore import Ignore


def ignored(text: str, path: str) -> bool:
    """The verdict for `path` after its parents were asked, as the walk does it."""
    ignore = Ignore.parse(text)
    matched, verdict = ignore.nothing, False
    parts = path.split("/")
    for i in range(len(parts)):
        verdict, matched = ignore.check("/".join(parts[:i + 1]), matched)
    return verdict


@pytest.mark.parametrize(("text", "path", "expected"), [
    ("", "a", False),
    ("a", "a", True),
    ("a", "b/a", False),
    ("a", "a/b/c", True),
    ("/a", "a", True),
    ("a/", "a", True),
    ("./a/../b", "b", True),
    ("# a", "# a", False),
    (" a ", "a", True),
    ("\ufeffa", "a", True),
    ("*.log", "x.log", True),
    ("*.log", "d/x.log", False),
    ("**/*.log", "x.log", True),
    ("**/*.log", "d/e/x.log", True),
    ("**", "anything/at/all", True),
    ("d/**", "d/x/y", True),
    ("d/**", "d", False),
    ("**/foo", "foo", True),
    ("**/foo", "a/b/foo", True),
    ("**/foo", "a/xfoo", False),
    ("a/**/z", "a/z", True),
    ("a/**/z", "a/b/c/z", True),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("[ab]x", "bx", True),
    ("[a-c]x", "bx", True),
    ("[^a]x", "bx", True),
    ("[^a]x", "ax", False),
    # Go has no '!' in brackets: it is a character like any other.
    ("[!a]x", "bx", False),
    ("[!a]x", "!x", True),
    # Case counts.
    ("README", "readme", False),
    ("a.c", "abc", False),
    ("a+(b)", "a+(b)", True),
    ("\\*", "*", True),
    ("\\*", "x", False),
    # The last pattern that matches decides.
    ("*\n!keep", "keep", False),
    ("*\n!keep", "other", True),
    ("!keep\n*", "keep", True),
    ("d\n!d/keep", "d/keep", False),
    ("d\n!d/keep", "d/other", True),
    ("*\n!d\nd/x", "d/x", True),
    ("*\n!d\nd/x", "d/y", False),
    ("d/*\n!d/*.md\nd/README.md", "d/README.md", True),
    ("!", "a", None),
])
def test_verdict(text: str, path: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(InvalidInput):
            ignored(text, path)
    else:
        assert ignored(text, path) is expected


def test_malformed_pattern_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"'a\[b'"):
        Ignore.parse("a[b")


@pytest.mark.parametrize(("text", "directory", "expected"), [
    ("*\n!a/b/c", "a", True),
    ("*\n!a/b/c", "a/b", True),
    ("*\n!a/b/c", "x", False),
    ("*\n!a/**", "a", True),
    ("*\n!a/**", "b", False),
    ("*\n!**/*.py", "anywhere", True),
    ("*", "a", False),
])
def test_looks_below_an_ignored_directory_only_where_an_exception_may_be(
        text: str, directory: str, expected: bool) -> None:
    assert Ignore.parse(text).may_hold_exceptions(directory) is expected
