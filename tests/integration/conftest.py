"""One embedded AWS for all integration tests, apart from the one of `make demo`: its own port, state and network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
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

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"], region_name=self.env["AWS_REGION"],
                            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"])


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """The embedded AWS, started as `make aws` starts it, and removed as `make down` does."""
    state = tmp_path_factory.mktemp("aws")
    own = {"SLIPWAY_AWS_PORT": str(PORT), "SLIPWAY_AWS_STATE": str(state)}
    environment = {**os.environ, **own}
    subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, env=environment, check=True)
    from embedded import engine, settings

    gateway = engine.client().networks.get(f"slipway-aws-{PORT}").attrs["IPAM"]["Config"][0]["Gateway"]
    yield EmbeddedAws({**settings.environment(), **own, "AWS_ENDPOINT_URL": f"http://localhost:{PORT}"}, state, gateway)
    subprocess.run([sys.executable, "-m", "embedded", "down"], cwd=ROOT, env=environment, check=True)
