"""A template's conditions decide what a preview shows, where the values of its parameters tell them."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.changes import UNKNOWN
from slipway.stack.conditions import evaluate
from slipway.stack.template import resolved

EMPTY = {"Fn::Equals": [{"Ref": "Digest"}, ""]}
ON = {"Fn::Equals": [{"Ref": "On"}, True]}


@pytest.mark.parametrize(("body", "values", "outcome"), [
    (EMPTY, {"Digest": ""}, True),
    (EMPTY, {"Digest": "sha256:1"}, False),
    ({"Fn::Not": [EMPTY]}, {"Digest": ""}, False),
    ({"Fn::And": [EMPTY, ON]}, {"Digest": "", "On": "true"}, True),
    ({"Fn::And": [EMPTY, ON]}, {"Digest": "", "On": "false"}, False),
    ({"Fn::Or": [EMPTY, ON]}, {"Digest": "x", "On": "true"}, True),
    ({"Fn::Or": [EMPTY, ON]}, {"Digest": "x", "On": "false"}, False),
    ({"Condition": "Other"}, {"On": "true"}, True),
    # What only AWS knows decides nothing here.
    (EMPTY, {}, None),
    (EMPTY, {"Digest": UNKNOWN}, None),
    ({"Fn::And": [EMPTY, ON]}, {"Digest": ""}, None),
    ({"Fn::Equals": [{"Fn::Select": [0, ["a"]]}, "a"]}, {}, None),
    ({"Condition": "Missing"}, {}, None),
])
def test_condition(body: dict[str, Any], values: dict[str, str], outcome: bool | None) -> None:
    assert evaluate({"It": body, "Other": ON}, values).get("It") is outcome


def test_a_preview_shows_the_branch_that_is_taken() -> None:
    image = {"Fn::If": ["Pinned", {"Fn::Sub": "${Uri}@${Digest}"}, {"Fn::Sub": "${Uri}:${Tag}"}]}
    values = {"Uri": "r/app", "Tag": "1", "Digest": "sha256:9"}
    assert resolved({"Image": image}, values, {"Pinned": True}) == {"Image": "r/app@sha256:9"}
    assert resolved({"Image": image}, values, {"Pinned": False}) == {"Image": "r/app:1"}
    assert resolved({"Image": image}, values)["Image"]["Fn::If"][0] == "Pinned"


def test_what_a_condition_leaves_out_is_not_shown() -> None:
    absent = {"Fn::If": ["On", {"Ref": "AWS::NoValue"}, 3]}
    assert resolved({"Count": absent, "Ports": [1, absent]}, {}, {"On": True}) == {"Ports": [1]}
    assert resolved({"Count": absent, "Ports": [1, absent]}, {}, {"On": False}) == {"Count": 3, "Ports": [1, 3]}
