"""A version is used for one definition only, and never twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import InvalidInput
from slipway.pipeline.action_version import base36, decide, fingerprint, number
from slipway.stack import template

FILE = Path(__file__).parents[3] / "files" / "cloudformation" / "pipeline_action.yml"
JENKINS = {"ActionProvider": "Jenkins", "JenkinsURL": "http://localhost:8080"}
NOW = 1_795_449_600


def fingerprint_of(text: str | None = None, **parameters: str) -> str:
    return fingerprint(template.load(text or FILE.read_text(), "pipeline_action.yml"), {**JENKINS, **parameters})


def test_a_first_action_gets_a_version_that_codepipeline_takes() -> None:
    version = decide("", "", fingerprint_of(), NOW)
    assert version == base36(NOW)
    assert number(version) == NOW
    assert len(base36(2**40)) <= 9


def test_the_same_definition_keeps_its_version() -> None:
    assert decide("tqx3k1", fingerprint_of(), fingerprint_of(), NOW) == "tqx3k1"


def test_there_and_back_again_are_three_versions() -> None:
    one, other = fingerprint_of(), fingerprint_of(JenkinsURL="https://jenkins.example.com")
    first = decide("", "", one, NOW)
    second = decide(first, one, other, NOW + 60)
    third = decide(second, other, one, NOW + 120)
    assert len({first, second, third}) == 3


def test_a_teardown_does_not_lead_to_an_old_version() -> None:
    before = decide("", "", fingerprint_of(), NOW)
    assert decide("", "", fingerprint_of(), NOW + 1) != before


@pytest.mark.parametrize("now", [NOW, NOW - 3600])
def test_two_changes_in_a_second_and_a_clock_put_back_are_new_versions(now: int) -> None:
    used = base36(NOW)
    assert number(decide(used, "another definition", fingerprint_of(), now)) > NOW


def test_a_stack_that_somebody_else_made_gets_a_new_version() -> None:
    # No tag tells what its version stands for.
    assert decide("1", "", fingerprint_of(), NOW) == base36(NOW)
    assert decide("-_-", "", fingerprint_of(), NOW) == base36(NOW)


@pytest.mark.parametrize("change", [
    ("MaximumCount: 5", "MaximumCount: 4"), ("Secret: false", "Secret: true"), ("Category: Build", "Category: Test"),
    ("{Config:ProjectName}/'", "{Config:ProjectName}'"), ("Description: Name of the job", "Description: Name of a job"),
])
def test_what_aws_would_have_to_replace_is_another_definition(change: tuple[str, str]) -> None:
    text = FILE.read_text()
    assert change[0] in text
    assert fingerprint_of(text.replace(*change)) != fingerprint_of()


def test_the_provider_is_part_of_the_definition() -> None:
    assert fingerprint_of(ActionProvider="Jenkins-2") != fingerprint_of()


def test_comments_tags_and_policies_are_not() -> None:
    text = FILE.read_text()
    assert fingerprint_of("# a comment\n" + text) == fingerprint_of()
    for old, new in (("UpdateReplacePolicy: Retain", "UpdateReplacePolicy: Delete"),
                     ("      Category: Build\n", "      Category: Build\n      Tags: [{Key: a, Value: b}]\n")):
        assert old in text
        assert fingerprint_of(text.replace(old, new)) == fingerprint_of()


def test_the_version_itself_is_not() -> None:
    assert fingerprint_of(ActionVersion="7") == fingerprint_of()


def test_another_template_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"network\.yml has no AWS::CodePipeline::CustomActionType"):
        fingerprint(template.load_file(str(FILE.with_name("network.yml"))), {})
