"""The whole chain with Jenkins: provision, configure over SSH, release; once more; a restart; and everything gone."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]
PORT = 4690
ENGINE = ("docker", "ps", "--all", "--format", "{{.Names}}", "--filter")


class Chain:
    """site.yml with a host of Jenkins on an embedded AWS with port, state and packages of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.packages = folder / "packages"
        self.env = {**os.environ, "SLIPWAY_AWS_PORT": str(PORT), "SLIPWAY_AWS_STATE": str(self.state),
                    "SLIPWAY_PACKAGES": str(self.packages), "SLIPWAY_WITH_JENKINS": "yes", "ANSIBLE_NOCOLOR": "1"}

    def run(self, *command: str, timeout: int = 1800) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, env=self.env, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def embedded(self, *arguments: str) -> None:
        done = self.run(sys.executable, "-m", "embedded", *arguments)
        assert done.returncode == 0, done.stdout

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # test_pipeline.py goes on to the pipeline.
        return self.run(".venv/bin/ansible-playbook", "-i", "inventories/embedded",
                        "-e", "stacks_pipeline_enabled=false", *arguments)

    def aws(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=f"http://localhost:{PORT}", region_name="us-east-1",
                            aws_access_key_id="embedded", aws_secret_access_key="embedded")

    def outputs(self) -> dict[str, str]:
        (stack,) = self.aws("cloudformation").describe_stacks(StackName="slipway-demo-jenkins")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def ssh(self, command: str) -> str:
        """What the command says on the host of Jenkins, run as root."""
        done = self.run("ssh", "-i", str(self.state / "hosts" / "id_ed25519"), "-o", "BatchMode=yes",
                        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                        f"admin@{self.outputs()['JenkinsPublicIp']}", f"sudo bash -c {shlex.quote(command)}",
                        timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout.strip()

    def fetch(self, url: str, credentials: str = "") -> str:
        """What the host of Jenkins gets from a URL; credentials: a file on it with user:token."""
        script = ("import base64, pathlib, sys, urllib.request as u; request = u.Request(sys.argv[1])\n"
                  "if sys.argv[2]: request.add_header('Authorization', 'Basic ' + base64.b64encode("
                  "pathlib.Path(sys.argv[2]).read_text().strip().encode()).decode())\n"
                  "print(u.urlopen(request, timeout=30).read().decode())")
        return self.ssh(shlex.join(["python3", "-c", script, url, credentials]))

    def hosts(self) -> list[str]:
        return self.run(*ENGINE, f"label=slipway.state={self.state}").stdout.split()


def changed(output: str) -> int:
    counts = re.findall(r"changed=(\d+)", output)
    assert counts, output
    return sum(map(int, counts))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    from embedded import engine

    # The engine outlives the test's own embedded AWS, so that what `down` left can be looked at.
    state = tmp_path_factory.mktemp("engine")
    engine.ensure_engine(state, print)
    made = Chain(tmp_path_factory.mktemp("configure"))
    built = made.run(sys.executable, "-m", "embedded.jenkins", "repository", str(made.packages))
    assert built.returncode == 0, built.stdout
    made.embedded("up")
    yield made
    made.embedded("down")
    engine.stop_started_engine(state, print)


@pytest.fixture(scope="module")
def first(chain: Chain) -> subprocess.CompletedProcess[str]:
    run = chain.play("site.yml")
    assert run.returncode == 0, run.stdout
    return run


def test_a_missing_value_is_refused_before_anything_is_made(chain: Chain) -> None:
    run = chain.play("site.yml", "-e", json.dumps({"stacks_jenkins_parameters": {"DiskSize": 8}}))
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    for fault in ("3 values are at fault", "without a value: KeyName", "With AccessMode SSH give YourIP",
                  "DiskSize is '8'"):
        assert fault in said, run.stdout
    assert chain.aws("cloudformation").describe_stacks()["Stacks"] == []


def test_check_mode_on_an_empty_account_says_what_would_come_and_makes_nothing(chain: Chain) -> None:
    run = chain.play("site.yml", "--check", "--diff")
    assert run.returncode == 0, run.stdout
    assert "AWS::EC2::Instance" in run.stdout
    assert chain.hosts() == []


def test_the_chain_ends_with_a_page(first: subprocess.CompletedProcess[str]) -> None:
    url = re.search(r"^AppURL +(\S+)", first.stdout, re.M)
    assert url, first.stdout
    with urllib.request.urlopen(url.group(1), timeout=30) as answer:
        assert b"lightblue" in answer.read()
    assert "slipway-demo-jenkins" in first.stdout


def test_the_instance_is_a_host_that_knows_its_role(chain: Chain, first: object) -> None:
    outputs = chain.outputs()
    (reservation,) = chain.aws("ec2").describe_instances(InstanceIds=[outputs["JenkinsInstanceId"]])["Reservations"]
    (instance,) = reservation["Instances"]
    assert (instance["PublicIpAddress"], instance["PrivateIpAddress"]) == (outputs["JenkinsPublicIp"],
                                                                          outputs["JenkinsPrivateIp"])
    assert "-jenkins-InstanceProfile-" in instance["IamInstanceProfile"]["Arn"]
    (disk,) = chain.aws("ec2").describe_volumes()["Volumes"]
    assert (disk["Encrypted"], disk["VolumeType"], disk["Size"]) == (True, "gp3", 40)
    # As the SDKs on the host see it: by the metadata service, with a token only.
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    assert chain.ssh(f"runuser -u jenkins -- env AWS_DEFAULT_REGION=us-east-1 AWS_ENDPOINT_URL=http://localhost:{PORT} "
                     f"/opt/slipway/current/venv/bin/python -c {shlex.quote(script)}") == "000000000000"


def test_jenkins_runs_and_nobody_outside_reaches_it(chain: Chain, first: object) -> None:
    assert chain.ssh("systemctl is-active jenkins") == "active"
    with pytest.raises(OSError):
        socket.create_connection((chain.outputs()["JenkinsPublicIp"], 8080), timeout=5)
    job = chain.fetch("http://127.0.0.1:8080/job/slipway-demo/config.xml", "/etc/slipway/jenkins/credentials")
    assert "AWSCodePipelineSCM" in job
    assert "<actionTypeProvider>Jenkins</actionTypeProvider>" in job


def test_the_user_jenkins_may_build_images(chain: Chain, first: object) -> None:
    assert chain.ssh("runuser -u jenkins -- docker version --format '{{.Server.Os}}'") == "linux"
    # The service too, and not only who signs in since.
    groups = chain.ssh("grep ^Groups: /proc/$(systemctl show --value -p MainPID jenkins)/status")
    assert chain.ssh("getent group docker").split(":")[2] in groups.split()


def test_the_second_run_changes_nothing(chain: Chain, first: object) -> None:
    again = chain.play("site.yml")
    assert again.returncode == 0, again.stdout
    assert changed(again.stdout) == 0, again.stdout
    assert "Nothing changed." in again.stdout


def test_the_host_survives_a_restart_of_the_embedded_aws(chain: Chain, first: object) -> None:
    before, started = chain.outputs(), chain.ssh("stat --format %Y /proc/1")
    pid = int((chain.state / "aws.pid").read_text())
    os.kill(pid, 9)
    chain.embedded("up")
    assert chain.outputs() == before
    (status,) = chain.aws("ec2").describe_instances()["Reservations"]
    assert status["Instances"][0]["State"]["Name"] == "running"
    assert chain.ssh("stat --format %Y /proc/1") == started
    assert json.loads(chain.fetch(f"http://localhost:{PORT}/_slipway/health"))["ready"]


def test_teardown_asks_first(chain: Chain, first: object) -> None:
    run = chain.play("playbooks/teardown.yml")
    assert run.returncode != 0
    assert "teardown_confirm=yes" in run.stdout
    assert chain.hosts() != []


def test_teardown_removes_everything(chain: Chain, first: object) -> None:
    run = chain.play("playbooks/teardown.yml", "-e", "teardown_confirm=yes")
    assert run.returncode == 0, run.stdout
    assert chain.hosts() == []
    assert chain.aws("cloudformation").describe_stacks()["Stacks"] == []
    assert chain.aws("ec2").describe_addresses()["Addresses"] == []
    states = [i["State"]["Name"] for r in chain.aws("ec2").describe_instances()["Reservations"] for i in r["Instances"]]
    assert set(states) <= {"terminated"}
    assert changed(chain.play("playbooks/teardown.yml", "-e", "teardown_confirm=yes").stdout) == 0
