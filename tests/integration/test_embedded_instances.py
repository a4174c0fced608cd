"""EC2 instances of the embedded AWS: real hosts, made by CloudFormation, reached with the key pair that they name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT, EmbeddedAws

DEBIAN = "/aws/service/debian/release/13/latest/amd64"
#: Far above what it takes on a machine with nothing else to do.
SLOW = 300.0


def until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SLOW
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {SLOW} s")


def template(image: str, key: str) -> str:
    latest = {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]}
    return json.dumps({
        "Resources": {
            "LaunchTemplate": {"Type": "AWS::EC2::LaunchTemplate",
                               "Properties": {"LaunchTemplateData": {"ImageId": image}}},
            "Instance": {"Type": "AWS::EC2::Instance", "Properties": {
                "LaunchTemplate": {"LaunchTemplateId": {"Ref": "LaunchTemplate"}, "Version": latest},
                "InstanceType": "t3.small", "SubnetId": "subnet-00000001", "KeyName": key}}},
        "Outputs": {"Id": {"Value": {"Ref": "Instance"}},
                    "Address": {"Value": {"Fn::GetAtt": ["Instance", "PublicIp"]}}}})


class Stack:
    def __init__(self, aws: EmbeddedAws, name: str, image: str = f"resolve:ssm:{DEBIAN}", key: str = "slipway") -> None:
        self.aws, self.name, self.api = aws, name, aws.client("cloudformation")
        self.api.create_stack(StackName=name, TemplateBody=template(image, key))

    def status(self) -> str:
        return str(self.api.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])

    def end(self) -> str:
        return str(until(lambda: (s := self.status()) and not s.endswith("_IN_PROGRESS") and s))

    def outputs(self) -> dict[str, str]:
        (stack,) = self.api.describe_stacks(StackName=self.name)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}

    def reasons(self) -> str:
        return " ".join(e.get("ResourceStatusReason", "") for e in
                        self.api.describe_stack_events(StackName=self.name)["StackEvents"])


def hosts(aws: EmbeddedAws) -> list[str]:
    found = subprocess.run(["docker", "ps", "--format", "{{.Names}}", "--filter", f"label=slipway.state={aws.state}"],
                           capture_output=True, text=True, check=True)
    return found.stdout.split()


def ssh(address: str, key: Path, command: str = "id -un", say: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
         "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"admin@{address}", command],
        capture_output=True, text=True, timeout=SLOW, input=say)


@pytest.fixture(scope="module")
def key(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair of somebody's own, imported as `mine`."""
    file = tmp_path_factory.mktemp("keys") / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    aws.client("ec2").import_key_pair(KeyName="mine", PublicKeyMaterial=file.with_suffix(".pub").read_bytes())
    return file


@pytest.fixture(scope="module")
def stack(aws: EmbeddedAws, key: Path) -> Iterator[Stack]:
    made = Stack(aws, "instance", key="mine")
    assert made.end() == "CREATE_COMPLETE", made.reasons()
    yield made
    made.api.delete_stack(StackName=made.name)
    until(lambda: hosts(aws) == [])


def test_the_key_pair_that_it_names_opens_it_and_no_other(aws: EmbeddedAws, stack: Stack, key: Path) -> None:
    address = stack.outputs()["Address"]
    assert ssh(address, key).stdout == "admin\n"
    assert ssh(address, aws.state / "hosts" / "id_ed25519").returncode == 255


def test_the_metadata_service_answers_with_a_token_only(stack: Stack, key: Path) -> None:
    done = ssh(stack.outputs()["Address"], key, "python3 -", say="""
import urllib.error, urllib.request

base = "http://169.254.169.254/latest/"
try:
    urllib.request.urlopen(base + "meta-data/")
except urllib.error.HTTPError as error:
    print(error.code)
ask = urllib.request.Request(base + "api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
token = {"X-aws-ec2-metadata-token": urllib.request.urlopen(ask).read().decode()}
region = urllib.request.Request(base + "meta-data/placement/region", headers=token)
print(urllib.request.urlopen(region).read().decode())
""")
    assert done.stdout.split() == ["401", "us-east-1"], done.stderr


def test_a_reboot_is_one_and_the_address_stays(aws: EmbeddedAws, stack: Stack, key: Path) -> None:
    outputs = stack.outputs()
    before = ssh(outputs["Address"], key, "stat --format %Y /proc/1").stdout
    aws.client("ec2").reboot_instances(InstanceIds=[outputs["Id"]])
    after = until(lambda: (now := ssh(outputs["Address"], key, "stat --format %Y /proc/1")).returncode == 0
                  and now.stdout != before and now.stdout)
    assert int(after) > int(before)


@pytest.mark.parametrize(("image", "name", "reason"), [
    ("resolve:ssm:/aws/service/no/such", "slipway", "SSM parameter of 'resolve:ssm:/aws/service/no/such' does not"),
    ("ami-0123456789abcdef0", "slipway", "It can launch those of the parameters"),
    (f"resolve:ssm:{DEBIAN}", "nobodys", "The key pair 'nobodys' does not exist"),
])
def test_what_does_not_exist_is_refused_in_words(aws: EmbeddedAws, image: str, name: str, reason: str) -> None:
    before = hosts(aws)
    refused = Stack(aws, f"refused-{abs(hash((image, name)))}", image, name)
    assert refused.end() == "ROLLBACK_COMPLETE"
    assert reason in refused.reasons()
    assert hosts(aws) == before


def test_what_is_no_key_is_not_imported(aws: EmbeddedAws) -> None:
    ec2 = aws.client("ec2")
    with pytest.raises(ec2.exceptions.ClientError, match="InvalidKey.Format"):
        ec2.import_key_pair(KeyName="bad", PublicKeyMaterial=b"ssh-ed25519 not-base64")
    assert "bad" not in {pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]}


def test_killed_while_one_is_made_it_leaves_no_host_behind(aws: EmbeddedAws, stack: Stack) -> None:
    before = set(hosts(aws))
    cut_off = Stack(aws, "cut-off")
    until(lambda: set(hosts(aws)) - before)
    # What was begun is on disk within half a second.
    saved = aws.state / "services" / "cloudformation.json"

    def is_saved() -> bool:
        stacks = json.loads(saved.read_text())["payload"]["stacks"]["data"]
        return any("cut-off" in name and "Instance" in stack.get("_resources", {}) for name, stack in stacks.items())

    until(is_saved)
    os.kill(int((aws.state / "aws.pid").read_text()), signal.SIGKILL)
    subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, env={**os.environ, **aws.env}, check=True)
    assert cut_off.end() == "ROLLBACK_COMPLETE"
    until(lambda: set(hosts(aws)) == before)
    assert stack.status() == "CREATE_COMPLETE"


def test_terminating_it_takes_the_host_away(aws: EmbeddedAws) -> None:
    made = Stack(aws, "terminated")
    assert made.end() == "CREATE_COMPLETE", made.reasons()
    before = hosts(aws)
    ec2, instance = aws.client("ec2"), made.outputs()["Id"]
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: len(hosts(aws)) == len(before) - 1)
    (reservation,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "terminated"
