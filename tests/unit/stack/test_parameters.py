from __future__ import annotations

from typing import Any

import pytest

from slipway.changes import HIDDEN
from slipway.errors import InvalidInput
from slipway.stack import parameters
from slipway.stack.template import Declaration, Template


def _template(*declared: Declaration) -> Template:
    return Template("t.yml", "", {}, {d.name: d for d in declared})


def _value(name: str, value: str) -> dict[str, Any]:
    return {"ParameterKey": name, "ParameterValue": value}


def _kept(name: str) -> dict[str, Any]:
    return {"ParameterKey": name, "UsePreviousValue": True}


PLAIN, DEFAULTED, LIST = Declaration("A"), Declaration("A", default="d"), Declaration("A", "CommaDelimitedList")


@pytest.mark.parametrize(("declared", "given", "previous", "request_"), [
    pytest.param(PLAIN, {"A": "x"}, {}, [_value("A", "x")], id="given"),
    pytest.param(PLAIN, {"A": "x"}, {"A": "o"}, [_value("A", "x")], id="given goes before previous"),
    pytest.param(PLAIN, {}, {"A": "o"}, [_kept("A")], id="previous"),
    pytest.param(DEFAULTED, {}, {"A": "o"}, [_kept("A")], id="previous goes before default"),
    pytest.param(DEFAULTED, {}, {}, [], id="new one takes the default"),
    pytest.param(DEFAULTED, {"A": None}, {}, [], id="null is as if not named"),
    pytest.param(PLAIN, {"A": None}, {"A": "o"}, [_kept("A")], id="null keeps the previous"),
    pytest.param(PLAIN, {"A": ""}, {"A": "o"}, [_value("A", "")], id="empty is a value"),
    pytest.param(PLAIN, {"A": True}, {}, [_value("A", "true")], id="booleans"),
    pytest.param(PLAIN, {"A": 3}, {}, [_value("A", "3")], id="numbers"),
    pytest.param(LIST, {"A": ["x", 2]}, {}, [_value("A", "x,2")], id="lists"),
    pytest.param(PLAIN, {"A": "x"}, {"Gone": "o"}, [_value("A", "x")], id="removed from the template is dropped"),
    pytest.param(Declaration("A", "AWS::SSM::Parameter::Value<String>"), {}, {"A": "/path"}, [_kept("A")],
                 id="SSM keeps its path"),
    pytest.param(Declaration("A", no_echo=True), {}, {"A": "****"}, [_kept("A")], id="NoEcho is never read back"),
])
def test_request(declared: Declaration, given: dict[str, Any], previous: dict[str, str],
                 request_: list[dict[str, Any]]) -> None:
    assert parameters.plan(given, previous, _template(declared)).request == request_


@pytest.mark.parametrize(("declared", "given", "said"), [
    (PLAIN, {}, "A has neither a value nor a default"),
    (PLAIN, {"A": "x", "Bb": "y"}, "Bb is not declared"),
    (Declaration("ImageTag"), {"ImgeTag": "y", "ImageTag": "x"}, "ImgeTag is not declared, did you mean ImageTag?"),
    (PLAIN, {"A": {"a": 1}}, "A is a mapping"),
    (Declaration("A", "Number"), {"A": "three"}, "A is 'three', which is not a number"),
    (Declaration("A", "List<Number>"), {"A": "1,b"}, "not a list of numbers"),
    (Declaration("A", "Number", min_value=1), {"A": 0}, "at least 1 is needed"),
    (Declaration("A", "Number", max_value=1.5), {"A": 2}, "at most 1.5 is allowed"),
    (Declaration("A", allowed_values=("a", "b")), {"A": "c"}, "allowed is a, b"),
    (Declaration("A", "CommaDelimitedList", allowed_values=("a", "b")), {"A": "a,c"}, "allowed is a, b"),
    (Declaration("A", allowed_pattern="[a-z]+"), {"A": "ab1"}, "does not match [a-z]+"),
    (Declaration("A", allowed_pattern="[a-z]+", description="Lower case only."), {"A": "1"}, "(Lower case only)"),
    (Declaration("A", min_length=3), {"A": "ab"}, "2 characters, at least 3"),
    (Declaration("A", max_length=1), {"A": "ab"}, "2 characters, at most 1"),
])
def test_refused(declared: Declaration, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parameters.plan(given, {}, _template(declared))
    assert said in error.value.message


def test_every_fault_at_once() -> None:
    with pytest.raises(InvalidInput) as error:
        parameters.plan({"N": "x", "Z": 1}, {}, _template(Declaration("N", "Number"), Declaration("M")))
    assert all(name in error.value.message for name in ("M has neither", "Z is not declared", "N is 'x'"))


@pytest.mark.parametrize("declared", [
    Declaration("A", "AWS::SSM::Parameter::Value<String>", allowed_pattern="[a-z]+"),
    Declaration("A", allowed_pattern="(?<name"),  # not Python's regular expressions
])
def test_left_to_aws(declared: Declaration) -> None:
    parameters.plan({"A": "/X"}, {}, _template(declared))


def test_secrets_are_hidden() -> None:
    found = parameters.plan({"P": "hunter22"}, {}, _template(Declaration("P", no_echo=True)))
    assert found.secrets == {"hunter22"}
    assert found.values == {"P": HIDDEN}
    with pytest.raises(InvalidInput) as error:
        parameters.plan({"P": "hunter22"}, {}, _template(Declaration("P", no_echo=True, max_length=3)))
    assert "hunter22" not in str(error.value)
