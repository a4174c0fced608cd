"""The status screen: what is said of each part, what of a part that is missing, and how wide it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.status.screen import ago, draw

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop:20261123-1@sha256:22363e1863d936a1c9e8078050f7fdb9"
RECORD = {"verdict": "completed", "tag": "20261123-1", "commit": "3f2c9a1d", "digest": "", "user": "jenkins",
          "host": "ip-10-0-0-7", "started": "2026-11-23T15:56:00+00:00"}
JENKINS = {"host": "192.0.2.7", "reachable": True, "status": 200, "version": "2.568.1"}


def service(running: int = 1, desired: int = 1, state: str = "COMPLETED", **more: Any) -> dict[str, Any]:
    return {"runningCount": running, "desiredCount": desired, "deployments": [
        {"status": "PRIMARY", "rolloutState": state, "createdAt": NOW - timedelta(minutes=3), "runningCount": running,
         "desiredCount": desired}], **more}


def stage(name: str, status: str = "", execution: str = "e2", action: str = "Release", **latest: Any) -> dict[str, Any]:
    if not status:
        return {"stageName": name, "actionStates": [{"actionName": action}]}
    return {"stageName": name, "latestExecution": {"pipelineExecutionId": execution, "status": status},
            "actionStates": [{"actionName": action, "latestExecution": {
                "status": status, "lastStatusChange": NOW - timedelta(seconds=40), **latest}}]}


def pipeline(*stages: dict[str, Any]) -> dict[str, Any]:
    return {"name": "shop-pipeline", "stages": list(stages), "execution": {
        "pipelineExecutionId": "e2", "sourceRevisions": [{"revisionId": "3f2c9a1d", "revisionSummary": "Pink\nmore"}]}}


def one(**parts: Any) -> dict[str, Any]:
    return {"name": "shop", "stack_name": "shop-service", "stack": {"status": "UPDATE_COMPLETE", "url": "http://shop"},
            "service": service(), "targets": {"healthy": 1}, "image": IMAGE, "pipeline": None, "releases": [RECORD],
            "running": None, **parts}


def screen(jenkins: Any = None, width: int = 78, **parts: Any) -> list[str]:
    return [text for text, _ in draw([one(**parts)], jenkins or {}, "eu-west-1", NOW, width)]


def tones(**parts: Any) -> set[str]:
    return {tone for _, tone in draw([one(**parts)], JENKINS, "eu-west-1", NOW, 78)}


def test_all_of_it() -> None:
    assert screen(JENKINS, pipeline=pipeline(stage("Source", "Succeeded"), stage("Build", "InProgress"),
                                             stage("Staging"))) == [
        "Releases                                    eu-west-1, 2026-11-23 16:00:00 UTC",
        "",
        "shop",
        "  deployed  20261123-1  since 15:57:00 (3 min ago)",
        "            commit 3f2c9a1  sha256:22363e1863d9  by jenkins on ip-10-0-0-7",
        "            http://shop",
        "  service   steady: 1 of 1 tasks running, 1 of 1 targets healthy",
        "  pipeline  shop-pipeline  3f2c9a1 Pink",
        "            ok    Source      succeeded   15:59:20 (40 s ago)",
        "            ...   Build       in progress 15:59:20 (40 s ago)  Release",
        "            --    Staging     not reached yet",
        "",
        "Jenkins     healthy: version 2.568.1 answers on 192.0.2.7",
    ]
    assert tones(pipeline=pipeline(stage("Source", "Succeeded"))) == {"info", "good"}


def test_a_failure_names_action_cause_and_link() -> None:
    failed = stage("Build", "Failed", errorDetails={"message": "There is no Dockerfile.\nAdd one."},
                   externalExecutionUrl="http://jenkins/job/shop/12/")
    lines = screen(pipeline=pipeline(failed))
    assert "            FAIL  Build       failed      15:59:20 (40 s ago)" in lines
    assert "                  Release: There is no Dockerfile." in lines
    assert "                  http://jenkins/job/shop/12/" in lines
    assert "bad" in tones(pipeline=pipeline(failed))


def test_a_wait_for_a_person_and_an_earlier_commit_are_said() -> None:
    lines = screen(pipeline=pipeline(stage("Approval", "InProgress", token="x"),
                                     stage("Production", "Succeeded", "e1")))
    assert "            ...   Approval    approve it  15:59:20 (40 s ago)" in lines
    assert "            ok    Production  succeeded   15:59:20 (40 s ago)  (earlier)" in lines


def test_a_closed_stage_is_said() -> None:
    closed = {**stage("Production"), "inboundTransitionState": {"enabled": False, "disabledReason": "fair"}}
    shut = {**stage("Build", "Succeeded"), "inboundTransitionState": {"enabled": False, "disabledReason": "fair"}}
    assert "                  closed: fair" in screen(pipeline=pipeline(shut))
    assert any("not reached yet" in line for line in screen(pipeline=pipeline(closed)))


@pytest.mark.parametrize(("parts", "line"), [
    ({"stack": None, "service": None}, "  deployed  nothing: there is no stack shop-service"),
    ({"stack": {"problem": "denied"}}, "  deployed  denied"),
    ({"service": None}, "  service   there is none in the stack's cluster"),
    ({"service": {"problem": "denied"}}, "  service   denied"),
    ({"pipeline": None}, "  pipeline  none"),
    ({"pipeline": {"problem": "denied"}}, "  pipeline  denied"),
    ({"releases": None}, "            sha256:22363e1863d9  by whom is not recorded"),
    ({"releases": []}, "            sha256:22363e1863d9  by whom is not recorded"),
    ({"releases": {"problem": "denied"}}, "  ledger    denied"),
    ({"image": {"problem": "denied"}}, "  deployed  an image that cannot be read  since 15:57:00 (3 min ago)"),
    ({"targets": {"problem": "denied"}}, "  service   steady: 1 of 1 tasks running"),
    ({"service": service(0, 1)}, "  service   not steady: 0 of 1 tasks running, 1 of 1 targets healthy"),
    ({"service": service(1, 1, "IN_PROGRESS")},
     "  service   rolling out: 1 of 1 tasks running, 1 of 1 targets healthy"),
    ({"service": service(1, 1, "FAILED")},
     "  service   rollout failed: 1 of 1 tasks running, 1 of 1 targets healthy"),
    ({"targets": {"healthy": 1, "unhealthy": 1, "draining": 2}},
     "  service   steady: 1 of 1 tasks running, 1 of 2 targets healthy"),
    ({"stack": {"status": "UPDATE_ROLLBACK_FAILED", "url": ""}},
     "            stack shop-service: UPDATE_ROLLBACK_FAILED"),
    ({"running": {"kind": "release", "started": "2026-11-23T15:59:50+00:00", "user": "ann", "host": "b1"}},
     "  release   a release runs since 15:59:50 (10 s ago) by ann on b1"),
])
def test_a_part_that_is_missing_or_unwell_is_said(parts: dict[str, Any], line: str) -> None:
    assert line in screen(**parts)


def test_a_newer_release_that_failed_is_said_beside_what_runs() -> None:
    failed = {"verdict": "rolled_back", "started": "2026-11-23T15:58:00+00:00", "cause": "It exits with 1", "tag": "x"}
    lines = screen(releases=[failed, RECORD])
    assert "  last      rolled back 15:58:00 (2 min ago): It exits with 1" in lines
    assert any("by jenkins" in line for line in lines)


def test_a_failed_deployment_of_which_nothing_is_left_does_not_count() -> None:
    old = {"status": "ACTIVE", "rolloutState": "FAILED", "runningCount": 0, "desiredCount": 0}
    found = service()
    found["deployments"].append(old)
    assert "  service   steady: 1 of 1 tasks running, 1 of 1 targets healthy" in screen(service=found)


@pytest.mark.parametrize(("jenkins", "line"), [
    ({}, "Jenkins     none in this inventory"),
    ({"host": "", "problem": ""}, "Jenkins     not there: its stack has no host"),
    ({"host": "192.0.2.7", "reachable": False, "problem": "timed out"},
     "Jenkins     its host 192.0.2.7 does not answer: timed out"),
    ({"host": "192.0.2.7", "reachable": True, "status": 503}, "Jenkins     is starting on 192.0.2.7"),
    ({"host": "192.0.2.7", "reachable": True, "status": 0, "problem": "Connection refused"},
     "Jenkins     does not answer on 192.0.2.7: Connection refused"),
])
def test_jenkins(jenkins: dict[str, Any], line: str) -> None:
    assert screen(jenkins)[-1] == line


@pytest.mark.parametrize("width", [78, 118])
def test_nothing_but_a_link_is_wider_than_the_screen(width: int) -> None:
    long = "word " * 60
    url = "http://jenkins/" + "x" * 200
    failed = stage("Build", "Failed", errorDetails={"message": long}, externalExecutionUrl=url)
    lines = screen(width=width, pipeline=pipeline(failed), releases=[
        {"verdict": "failed", "started": "2026-11-23T15:58:00+00:00", "cause": long}])
    assert any(line.endswith("...") for line in lines)
    assert [line for line in lines if len(line) > width] == [f"                  {url}"]
    assert all(line.isascii() for line in lines)


def test_times_are_told_as_people_do() -> None:
    assert [ago(seconds) for seconds in (0.2, 40, 125, 7300, 200_000)] == [
        "now", "40 s ago", "2 min ago", "2 h ago", "2 days ago"]
