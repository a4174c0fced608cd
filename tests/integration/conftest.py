"""One embedded AWS for all integration tests, apart from the one of `make demo`: its own port, state and network."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORT = int(os.environ.get("SLIPWAY_TEST_PORT", "4576"))


@dataclass(frozen=True)
class EmbeddedAws:
    """env: what a process needs to reach it. state: its state directory."""

    env: dict[str, str]
    state: Path
    gateway: str

    def client(self, service: str, region: str = "") -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"],
                            region_name=region or self.env["AWS_REGION"],
                            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"])


@contextmanager
def embedded_aws(state: Path, port: int, **more: str) -> Iterator[EmbeddedAws]:
    """An embedded AWS, started as `make aws` starts it, and removed as `make down` does. more: for its environment."""
    own = {"SLIPWAY_AWS_PORT": str(port), "SLIPWAY_AWS_STATE": str(state)}
    environment = {**os.environ, **own, **more}
    subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, env=environment, check=True)
    from embedded import engine, settings

    gateway = engine.client().networks.get(f"slipway-aws-{port}").attrs["IPAM"]["Config"][0]["Gateway"]
    try:
        yield EmbeddedAws({**settings.environment(), **own, "AWS_ENDPOINT_URL": f"http://localhost:{port}"}, state,
                          gateway)
    finally:
        # Base images take a minute to make; the end-to-end tests, which come last, remove them.
        subprocess.run([sys.executable, "-m", "embedded", "down", "--keep-images"], cwd=ROOT, env=environment,
                       check=True)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with embedded_aws(tmp_path_factory.mktemp("aws"), PORT) as one:
        yield one


@pytest.fixture(scope="module")
def table(aws: EmbeddedAws) -> Iterator[str]:
    """The table as files/cloudformation/ledger.yml makes it."""
    name = f"ledger-{uuid.uuid4().hex[:8]}"
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=(ROOT / "files/cloudformation/ledger.yml").read_text(),
                                Parameters=[{"ParameterKey": "AppName", "ParameterValue": name}])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    found = {o["OutputKey"]: o["OutputValue"] for o in outputs}["LedgerTable"]
    assert found == f"{name}-ledger"
    yield found
    cloudformation.delete_stack(StackName=name)
