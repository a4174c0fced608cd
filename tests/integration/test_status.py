"""playbooks/status.yml on the embedded AWS: with nothing there, with a pipeline, and with a service that never came."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.aws.session import Aws
from slipway.ledger import book
from slipway.progress import Progress
from slipway.status.door import show
from slipway.status.read import read
from tests.integration.conftest import EmbeddedAws

ROOT = Path(__file__).resolve().parents[2]


def play(aws: EmbeddedAws, playbook: str, *arguments: str) -> str:
    environment = {**os.environ, **aws.env, "SLIPWAY_WITH_JENKINS": "no", "ANSIBLE_NOCOLOR": "1",
                   "SLIPWAY_AWS_STATE": str(aws.state), "SLIPWAY_AWS_PORT": aws.env["SLIPWAY_AWS_PORT"]}
    done = subprocess.run([str(Path(sys.executable).with_name("ansible-playbook")), "-i", "inventories/embedded",
                           f"playbooks/{playbook}.yml", *arguments],
                          cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def environment(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)


def test_one_screen_from_nothing_to_a_pipeline_and_back(aws: EmbeddedAws) -> None:
    mock = ("-e", "ecs_release_app_name=status-test", "-e", "pipeline_mock=true")
    empty = play(aws, "status", *mock)
    assert "deployed  nothing: there is no stack status-test-service" in empty
    assert "pipeline  none" in empty
    assert "Jenkins     none in this inventory" in empty
    assert "changed=0" in empty and "failed=0" in empty

    made = play(aws, "pipeline", *mock)
    assert "Build/Release      succeeded" in made
    again = play(aws, "pipeline", *mock)
    assert "changed=0" in again
    full = play(aws, "status", *mock)
    assert "pipeline  status-test-pipeline  " in full and "Seed from " in full
    for stage in ("Source", "Build"):
        assert f"ok    {stage:<11} succeeded" in full
    assert "changed=0" in full
    shown = [line for line in full.splitlines() if line.startswith("  ")]
    assert shown and [line for line in shown if len(line) > 80 and "://" not in line] == []

    gone = play(aws, "teardown", *mock, "-e", "teardown_confirm=yes")
    assert "failed=0" in gone
    assert "status-test" not in str(aws.client("codecommit").list_repositories()["repositories"])
    assert [p for p in aws.client("codepipeline").list_pipelines()["pipelines"] if "status-test" in p["name"]] == []
    assert "pipeline  none" in play(aws, "status", *mock)


def test_calls_are_few_and_each_missing_part_is_said(aws: EmbeddedAws) -> None:
    table = "status-ledger"
    aws.client("dynamodb").create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("service", "id")],
        KeySchema=[{"AttributeName": "service", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}])
    book.add(Aws(), table, {"service": "status-0", "id": "release#2026", "verdict": "image_failed",
                            "started": "2026-11-23T08:00:00+00:00", "cause": "It does not build"})
    cloudformation = aws.client("cloudformation")
    template: dict[str, Any] = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
                                "Outputs": {"AppURL": {"Value": "http://shop"}}}
    for number in range(3):
        cloudformation.create_stack(StackName=f"status-{number}", TemplateBody=json.dumps(template))
    services = [{"name": f"s{number}", "stack_name": f"status-{number}", "pipeline": ""} for number in range(9)]
    found = show(Aws(), {"services": services, "table": table, "jenkins": {}, "width": 80}, Progress())
    assert found["api_calls"]["cloudformation.DescribeStacks"] == 1
    assert found["screen"].count("  deployed  nothing: there is no stack status-8") == 1
    assert found["screen"].count("            http://shop") == 3
    assert any(line.startswith("  last      image failed") and "It does not build" in line for line in found["screen"])
    assert found["healthy"] is False

    # Behind many failures there still is who released what runs.
    good = {"service": "status-1", "id": "release#2025", "verdict": "completed", "commit": "3f2c9a1d"}
    book.add(Aws(), table, good)
    for number in range(25):
        book.add(Aws(), table, {"service": "status-1", "id": f"release#2026-{number:02}", "verdict": "image_failed"})
    (behind,) = read(Aws(), services[1:2], table)
    assert good in behind["releases"]

    missing = show(Aws(), {"services": services[:1], "table": "no-such-table", "jenkins": {}, "width": 80}, Progress())
    assert any(line.startswith("  ledger    ") for line in missing["screen"])
