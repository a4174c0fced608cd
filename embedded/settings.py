"""Where the embedded AWS lives on this machine. Every value can be changed by an environment variable."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The region that MiniStack serves when nobody says otherwise.
REGION = "us-east-1"


def network_name(port: int) -> str:
    """The bridge network of the embedded AWS on this port."""
    return "slipway-aws" if port == 4566 else f"slipway-aws-{port}"


PORT = int(os.environ.get("SLIPWAY_AWS_PORT", "4566"))
STATE = Path(os.environ.get("SLIPWAY_AWS_STATE", ROOT / ".embedded"))
NETWORK = network_name(PORT)
#: What MiniStack writes on its containers, with the port behind it, in the label ministack.instance.
OWNER = "slipway"
ENDPOINT = f"http://localhost:{PORT}"

#: Whether the demo has a host of Jenkins and a pipeline.
WITH_JENKINS = os.environ.get("SLIPWAY_WITH_JENKINS", "yes").lower() not in ("no", "false", "0", "off", "")
#: What hosts of Jenkins install from.
PACKAGES = Path(os.environ.get("SLIPWAY_PACKAGES", ROOT / ".embedded" / "packages"))
#: How often Jenkins' stand-in on an instance asks for jobs, and the random part that it waits besides.
JENKINS_POLL_SECONDS = 5
JENKINS_JITTER_SECONDS = 1

PID_FILE = STATE / "aws.pid"
LOG_FILE = STATE / "aws.log"
STATE_FILES = STATE / "services"
BLOBS = STATE / "blobs"


def load_balancer_address(number: int) -> str:
    """The loopback address of the load balancer with this number (1 to 254): one range per port, so that two embedded
    AWS do not meet."""
    return f"127.66.{PORT % 256}.{number}"


def environment() -> dict[str, str]:
    """What a client needs to reach the embedded AWS instead of the real one."""
    return {
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def code_version() -> str:
    """Changes with the code of the embedded AWS, so that a running older one is replaced."""
    digest = hashlib.sha256()
    here = ROOT / "embedded"
    names = ("server.py", "extension.py", "instances.py", "hosts.py", "permissions.py", "target_health.py",
             "settings.py")
    packages = [file for name in ("codecommit", "codepipeline") for file in sorted((here / name).rglob("*.py"))]
    for file in [*(here / name for name in names), *packages]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
