"""References to variables in the embedded CodePipeline's configurations."""

from __future__ import annotations

import pytest

from embedded.codepipeline import variables
from embedded.codepipeline.errors import ActionFailed

NAMESPACES = {"Built": {"Tag": "t1", "Empty": ""}, "variables": {"Whom": "all"}}


@pytest.mark.parametrize(("text", "result"), [
    ("plain", "plain"), ("#{Built.Tag}", "t1"), ("a #{Built.Tag} b #{variables.Whom}", "a t1 b all"),
    ("#{ Built.Tag }", "t1"), ("#{Built.Empty}", ""), ("${Built.Tag} {Built.Tag}", "${Built.Tag} {Built.Tag}")])
def test_references_are_replaced(text: str, result: str) -> None:
    assert variables.resolve({"Note": text}, NAMESPACES) == {"Note": result}


@pytest.mark.parametrize(("text", "named"), [("#{Built.None}", "Empty, Tag"), ("#{Nobody.Tag}", "no variables")])
def test_one_without_a_value_says_what_there_is(text: str, named: str) -> None:
    with pytest.raises(ActionFailed, match=named):
        variables.resolve({"Note": text}, NAMESPACES)


@pytest.mark.parametrize(("text", "found"), [
    ("plain", []), ("#{A.b} #{c}", [("A.b", "A"), ("c", "")]), ("#{A.b.c}", [("A.b.c", "A")])])
def test_references_are_found(text: str, found: list[tuple[str, str]]) -> None:
    assert variables.references(text) == found
