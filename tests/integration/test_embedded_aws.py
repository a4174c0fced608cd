"""What embedded/extension.py adds to MiniStack, with real containers behind a real load balancer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import PORT, ROOT, EmbeddedAws
from tests.polling_client import PollingClient
from tests.processes import alive

TEMPLATES = ROOT / "files" / "cloudformation"
BASE = "slipway-embedded/php-apache:latest"
SLOW = 90.0


def page(url: str, path: str = "/") -> tuple[int, str]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def until(done: Callable[[], Any], seconds: float = SLOW) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


class Stack:
    def __init__(self, aws: EmbeddedAws, name: str) -> None:
        self._cfn = aws.client("cloudformation")
        self.name = name

    def status(self) -> str:
        return str(self._cfn.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])

    def outputs(self) -> dict[str, str]:
        stack = self._cfn.describe_stacks(StackName=self.name)["Stacks"][0]
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    def begin(self, template: str, verb: str = "create", **parameters: str) -> None:
        names = parameters if verb == "create" else {
            p["ParameterKey"]: None for p in self._cfn.describe_stacks(StackName=self.name)["Stacks"][0]["Parameters"]
        } | parameters
        getattr(self._cfn, f"{verb}_stack")(
            StackName=self.name, TemplateBody=(TEMPLATES / template).read_text(), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "UsePreviousValue": True} if v is None else
                        {"ParameterKey": k, "ParameterValue": v} for k, v in names.items()])

    def end(self) -> str:
        return str(until(lambda: not self.status().endswith("IN_PROGRESS") and self.status()))

    def reasons(self) -> list[str]:
        return [e.get("ResourceStatusReason", "") for e in
                self._cfn.describe_stack_events(StackName=self.name)["StackEvents"] if "FAILED" in e["ResourceStatus"]]

    def delete(self) -> None:
        self._cfn.delete_stack(StackName=self.name)
        until(lambda: not any(s["StackName"] == self.name and s["StackStatus"] != "DELETE_COMPLETE"
                              for s in self._cfn.describe_stacks()["Stacks"]))


@pytest.fixture(scope="module")
def images(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository with the images red, blue (pages), crash (exits) and deaf (never answers)."""
    import docker

    engine = docker.from_env()
    uri: str = aws.client("ecr").create_repository(repositoryName="embedded-test")["repository"]["repositoryUri"]
    folder = tmp_path_factory.mktemp("image")
    (folder / "ports.conf").write_text("Listen 8080\n")
    common = f"FROM {BASE}\nCOPY ports.conf /etc/apache2/ports.conf\n"
    kinds = {"red": "RUN echo red > /var/www/html/index.html", "blue": "RUN echo blue > /var/www/html/index.html",
             "crash": 'CMD ["sh", "-c", "echo no database >&2; exit 3"]', "deaf": 'CMD ["sleep", "600"]'}
    for tag, lines in kinds.items():
        (folder / "Dockerfile").write_text(common + lines + "\n")
        engine.images.build(path=str(folder), tag=f"{uri}:{tag}", rm=True)
        engine.images.push(uri, tag=tag)
    yield uri
    for tag in ("red", "blue", "crash", "deaf"):
        engine.images.remove(f"{uri}:{tag}", force=True)


@pytest.fixture(scope="module")
def service(aws: EmbeddedAws, images: str) -> Iterator[Stack]:
    """A service that shows red."""
    network, stack = Stack(aws, "embedded-network"), Stack(aws, "embedded-service")
    network.begin("network.yml", AppName="embedded")
    assert network.end() == "CREATE_COMPLETE"
    made = network.outputs()
    stack.begin("service.yml", AppName="embedded", RepositoryUri=images, ImageTag="red", VpcId=made["VpcId"],
                RepositoryArn="arn:aws:ecr:us-east-1:000000000000:repository/embedded-test",
                SubnetIds=made["SubnetIds"], HealthCheckGracePeriodSeconds="0")
    assert stack.end() == "CREATE_COMPLETE", stack.reasons()
    yield stack
    stack.delete()
    network.delete()


def test_it_listens_on_loopback_and_its_own_bridge_only(aws: EmbeddedAws, service: Stack) -> None:
    pid = (aws.state / "aws.pid").read_text()
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    heard = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                assert table == "tcp", "listens on IPv6"
                address, port = fields[1].split(":")
                heard.add((".".join(str(b) for b in reversed(bytes.fromhex(address))), int(port, 16)))
    assert ("127.0.0.1", PORT) in heard
    assert (aws.gateway, PORT) in heard
    assert all(address.startswith("127.") or address == aws.gateway for address, _ in heard), heard


def test_the_application_opens_at_its_url(service: Stack) -> None:
    assert page(service.outputs()["AppURL"]) == (200, "red\n")


def test_target_health_is_the_targets_own(aws: EmbeddedAws, service: Stack) -> None:
    answer = aws.client("elbv2").describe_target_health(TargetGroupArn=service.outputs()["TargetGroupArn"])
    assert [t["TargetHealth"]["State"] for t in answer["TargetHealthDescriptions"]] == ["healthy"]


def test_a_rollout_fails_no_request(service: Stack) -> None:
    with PollingClient(service.outputs()["AppURL"]) as client:
        service.begin("service.yml", "update", ImageTag="blue")
        assert service.end() == "UPDATE_COMPLETE", service.reasons()
    assert client.saw("blue")
    assert sum(client.answers.values()) > 100
    assert client.failures == {}


def test_old_tasks_drain_and_the_deployment_is_completed_after_that(aws: EmbeddedAws, service: Stack) -> None:
    ecs, made = aws.client("ecs"), service.outputs()

    def states() -> list[str]:
        answer = aws.client("elbv2").describe_target_health(TargetGroupArn=made["TargetGroupArn"])
        return sorted(t["TargetHealth"]["State"] for t in answer["TargetHealthDescriptions"])

    service.begin("service.yml", "update", ImageTag="red")
    until(lambda: states() == ["draining", "healthy"])
    record = ecs.describe_services(cluster=made["ClusterName"], services=[made["ServiceName"]])["services"][0]
    assert [d["rolloutState"] for d in record["deployments"] if d["status"] == "PRIMARY"] == ["IN_PROGRESS"]
    assert service.end() == "UPDATE_COMPLETE"
    assert states() == ["healthy"]


def test_a_crashing_image_is_rolled_back_and_the_old_page_stays(aws: EmbeddedAws, service: Stack) -> None:
    with PollingClient(service.outputs()["AppURL"]) as client:
        service.begin("service.yml", "update", ImageTag="crash")
        assert service.end() == "UPDATE_ROLLBACK_COMPLETE"
    assert client.failures == {}
    assert set(client.bodies) == {"red\n"}
    assert "Circuit Breaker" in service.reasons()[0]
    assert service.outputs()["ImageTag"] == "red"


def test_an_image_that_never_answers_fails_its_health_checks(aws: EmbeddedAws, service: Stack) -> None:
    made, ecs = service.outputs(), aws.client("ecs")
    with PollingClient(made["AppURL"]) as client:
        service.begin("service.yml", "update", ImageTag="deaf")
        assert service.end() == "UPDATE_ROLLBACK_COMPLETE"
    assert client.failures == {}
    assert set(client.bodies) == {"red\n"}
    stopped = ecs.list_tasks(cluster=made["ClusterName"], desiredStatus="STOPPED")["taskArns"]
    reasons = {t["stoppedReason"] for t in ecs.describe_tasks(cluster=made["ClusterName"], tasks=stopped)["tasks"]}
    assert any("Task failed ELB health checks" in reason for reason in reasons), reasons


def restart(aws: EmbeddedAws) -> None:
    subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, env={**os.environ, **aws.env}, check=True)


def test_killed_in_the_middle_of_an_update_it_rolls_back_at_the_next_start(aws: EmbeddedAws, service: Stack) -> None:
    service.begin("service.yml", "update", ImageTag="blue")
    time.sleep(3)
    os.kill(int((aws.state / "aws.pid").read_text()), signal.SIGKILL)
    restart(aws)
    assert service.end() == "UPDATE_ROLLBACK_COMPLETE"
    assert page(service.outputs()["AppURL"]) == (200, "red\n")
    service.begin("service.yml", "update", ImageTag="blue")
    assert service.end() == "UPDATE_COMPLETE"
    assert page(service.outputs()["AppURL"]) == (200, "blue\n")


def test_state_and_layers_outlive_a_restart(aws: EmbeddedAws, service: Stack, images: str) -> None:
    before = service.outputs()
    pid = int((aws.state / "aws.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid))
    restart(aws)
    assert service.outputs() == before
    assert page(before["AppURL"])[0] == 200
    import docker

    engine = docker.from_env()
    engine.images.remove(f"{images}:deaf", force=True)
    assert engine.images.pull(images, tag="deaf")


def test_registry_tells_sizes_and_conflicts_as_aws_does(aws: EmbeddedAws, images: str) -> None:
    ecr = aws.client("ecr")
    detail = ecr.describe_images(repositoryName="embedded-test", imageIds=[{"imageTag": "red"}])["imageDetails"][0]
    assert detail["imageSizeInBytes"] > 10_000_000
    manifests = {tag: ecr.batch_get_image(repositoryName="embedded-test", imageIds=[{"imageTag": tag}])["images"][0]
                 for tag in ("red", "blue")}
    ecr.create_repository(repositoryName="immutable-test", imageTagMutability="IMMUTABLE")
    put = {"repositoryName": "immutable-test", "imageTag": "v1"}
    ecr.put_image(imageManifest=manifests["red"]["imageManifest"], **put)
    with pytest.raises(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(imageManifest=manifests["red"]["imageManifest"], **put)
    with pytest.raises(ecr.exceptions.ImageTagAlreadyExistsException):
        ecr.put_image(imageManifest=manifests["blue"]["imageManifest"], **put)
    ecr.delete_repository(repositoryName="immutable-test", force=True)


def test_a_second_one_on_the_same_port_is_refused_in_words(aws: EmbeddedAws, tmp_path: Path) -> None:
    other = subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, capture_output=True, text=True,
                           env={**os.environ, **aws.env, "SLIPWAY_AWS_STATE": str(tmp_path)})
    assert other.returncode == 1
    assert f"Port {PORT} is taken" in other.stderr
    assert "SLIPWAY_AWS_PORT=" in other.stderr
    assert "Traceback" not in other.stderr


def test_health_page_says_what_is_not_back_yet(aws: EmbeddedAws, service: Stack) -> None:
    status, body = page(f"http://127.0.0.1:{PORT}", "/_slipway/health")
    assert status == 200
    answer = json.loads(body)
    assert answer["ready"] is True
    assert answer["waiting_services"] == answer["busy_stacks"] == []
