"""ecs_rollout against the embedded AWS and a real engine: every verdict, and the sentence a person reads."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.aws.session import Aws
from slipway.errors import SlipwayError
from slipway.progress import Progress
from slipway.rollout.follow import Request, follow
from tests.small_image import small_image

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "ecs-rollout-test/task:1"
#: A web server in Perl, which every Debian has: answers `code` on `port`.
SERVER = ("use IO::Socket; $s = IO::Socket::INET->new(LocalPort => {port}, Listen => 9, ReuseAddr => 1) or die $!;"
          "while ($c = $s->accept) {{ <$c>; print $c qq(HTTP/1.0 {code} x\\r\\nContent-Length: 2\\r\\n\\r\\nhi); "
          "close $c }}")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with this machine's shell, sleep and perl: small, and needs no registry."""
    with small_image(IMAGE) as name:
        yield name


class Cluster:
    """A cluster of its own with one log group, and the moves a release makes in it."""

    def __init__(self, aws: Any, image: str) -> None:
        self.aws, self.ecs, self.image = aws, aws.client("ecs"), image
        self.registry = aws.env["AWS_ENDPOINT_URL"].partition("://")[2]
        self.name = f"rollout-{uuid.uuid4().hex[:8]}"
        self.ecs.create_cluster(clusterName=self.name)
        aws.client("logs").create_log_group(logGroupName=f"/ecs/{self.name}")

    def define(self, command: list[str], image: str = "", memory: int = 64, **more: Any) -> str:
        """A new revision of the task definition; its ARN."""
        log = {"awslogs-group": f"/ecs/{self.name}", "awslogs-region": self.aws.env["AWS_REGION"],
               "awslogs-stream-prefix": "web"}
        definition = self.ecs.register_task_definition(
            family=self.name, networkMode="bridge", containerDefinitions=[{
                "name": "web", "image": image or self.image, "memory": memory, "essential": True, "command": command,
                "portMappings": [{"containerPort": 8080, "hostPort": 0}],
                "logConfiguration": {"logDriver": "awslogs", "options": log}, **more}])
        return str(definition["taskDefinition"]["taskDefinitionArn"])

    def create(self, task_definition: str, count: int = 1, breaker: bool = True, **more: Any) -> None:
        self.ecs.create_service(
            cluster=self.name, serviceName="web", taskDefinition=task_definition, desiredCount=count,
            launchType="EC2", deploymentConfiguration={
                "maximumPercent": 200, "minimumHealthyPercent": 100,
                "deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker}}, **more)

    def create_failing(self, task_definition: str) -> None:
        """A service that starts the task again and again, when the first one has stopped: an engine may take seconds
        over one that it could not start."""
        self.create(task_definition, breaker=False)
        deadline = time.monotonic() + 90
        while not self.ecs.list_tasks(cluster=self.name, desiredStatus="STOPPED")["taskArns"]:
            assert time.monotonic() < deadline, "no task has stopped"
            time.sleep(0.2)

    def update(self, task_definition: str) -> None:
        self.ecs.update_service(cluster=self.name, service="web", taskDefinition=task_definition)

    def rollout(self, **arguments: Any) -> tuple[dict[str, Any], str]:
        """The module's result and what it says meanwhile, from a call in this process."""
        arguments = {"cluster": self.name, "service": "web", "wait_timeout": 60.0, "url_timeout": 60.0, **arguments}
        env = self.aws.env
        aws = Aws({"region": env["AWS_REGION"], "endpoint_url": env["AWS_ENDPOINT_URL"],
                   "access_key": env["AWS_ACCESS_KEY_ID"], "secret_key": env["AWS_SECRET_ACCESS_KEY"]})
        with tempfile.NamedTemporaryFile("r") as said:
            try:
                result = follow(aws, Request.of(arguments), Progress(said.name))
            except SlipwayError as error:
                result = {"msg": str(error), "remedy": error.remedy, **error.details}
            return result, said.read()

    def task(self, *flags: str, **arguments: Any) -> tuple[dict[str, Any], str]:
        """The result of an Ansible task, and all that was printed."""
        arguments = {"cluster": self.name, "service": "web", "wait_timeout": 60, **arguments}
        run = subprocess.run(
            [str(Path(sys.executable).parent / "ansible"), "localhost", "-i", "localhost,", "-c", "local",
             "-e", f"ansible_python_interpreter={sys.executable}", "-m", "ecs_rollout", "-a", json.dumps(arguments),
             *flags],
            capture_output=True, text=True, timeout=120, cwd=ROOT,
            env={**os.environ, **self.aws.env, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                 "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"})
        match = re.search(r"^localhost \| \S+ => (\{.*?^\})", run.stdout, re.DOTALL | re.MULTILINE)
        assert match, run.stdout + run.stderr
        assert "Traceback" not in run.stdout + run.stderr
        return json.loads(match[1]), run.stdout

    def remove(self) -> None:
        for service in self.ecs.list_services(cluster=self.name)["serviceArns"]:
            self.ecs.delete_service(cluster=self.name, service=service, force=True)
        self.ecs.delete_cluster(cluster=self.name)


@pytest.fixture
def cluster(aws: Any, image: str) -> Iterator[Cluster]:
    made = Cluster(aws, image)
    yield made
    made.remove()


#: The shell heeds SIGTERM, so that nothing waits for a kill.
STAYS = ["sh", "-c", "trap 'exit 0' TERM; sleep 300 & wait"]


def test_a_rollout_is_followed_to_its_end(cluster: Cluster) -> None:
    first = cluster.define(STAYS)
    cluster.create(first)
    result, _ = cluster.rollout(task_definition=first)
    assert (result["verdict"], result["changed"]) == ("completed", False)
    second = cluster.define(STAYS)
    cluster.update(second)
    result, printed = cluster.task(task_definition=second)
    assert (result["verdict"], result["running"], result["desired"]) == ("completed", 1, 1)
    assert result["task_definition"] == second
    assert 0 < result["rollout_seconds"] < 60
    assert f"  {result['msg']}\n" in printed
    assert result["diagnosis"] is None


def test_what_is_completed_costs_one_call(cluster: Cluster) -> None:
    arn = cluster.define(STAYS)
    cluster.create(arn)
    cluster.rollout()
    result, _ = cluster.task(task_definition=arn.rsplit("/", 1)[-1])
    assert (result["verdict"], result["changed"]) == ("completed", False)
    assert result["api_calls"] == {"ecs.DescribeServices": 1}


def test_a_crashing_image_is_rolled_back_and_explained(cluster: Cluster) -> None:
    good = cluster.define(STAYS)
    cluster.create(good)
    cluster.rollout()
    bad = cluster.define(["sh", "-c", "echo no database; exit 3"])
    cluster.update(bad)
    result, printed = cluster.task(task_definition=bad)
    assert result["verdict"] == "rolled_back"
    assert f"was rolled back to {good.rsplit('/', 1)[-1]}." in result["msg"]
    assert "Container web crashes on start: exit code 3. Its log says: 'no database'." in result["msg"]
    assert result["remedy"].startswith("Run the image by hand")
    assert result["diagnosis"]["kind"] == "crash"
    evidence = "\n".join(result["diagnosis"]["evidence"])
    assert "container web: exit code 3" in evidence
    assert "log of web: no database" in evidence
    assert "log of web: no database" in printed
    # Without the expected task definition a rollback is no success either.
    again, _ = cluster.rollout(image_tag="1")
    assert again["verdict"] == "rolled_back"


def test_a_missing_image_is_named(cluster: Cluster) -> None:
    image = f"{cluster.registry}/none:7"
    cluster.create_failing(cluster.define(STAYS, image=image))
    result, _ = cluster.rollout(wait_timeout=1)
    assert result["verdict"] == "timed_out"
    assert "is not done after 1 s: new 0 of 1 running" in result["msg"]
    assert f"The image {image} cannot be pulled: it is not in its registry." in result["msg"]


@pytest.mark.parametrize(("command", "kind"), [
    (["no-such-program"], "command_missing"),
    (["sh", "-c", "no-such-program"], "command_missing"),
    (["sh", "-c", "/etc"], "command_denied"),
    (["/bin/foreign"], "exec_format"),
    (["sh", "-c", "exit 0"], "ended"),
])
def test_a_command_that_does_not_run_is_named(cluster: Cluster, command: list[str], kind: str) -> None:
    cluster.create_failing(cluster.define(command))
    result, _ = cluster.rollout(wait_timeout=1)
    assert result["diagnosis"]["kind"] == kind, result["diagnosis"]


def test_a_missing_secret_is_named(cluster: Cluster) -> None:
    secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:no-such-secret"
    cluster.create_failing(cluster.define(STAYS, secrets=[{"name": "DB", "valueFrom": secret}]))
    result, _ = cluster.rollout(wait_timeout=1)
    assert result["diagnosis"]["kind"] == "secret_missing", result["diagnosis"]


def test_out_of_memory_is_named(cluster: Cluster) -> None:
    cluster.create_failing(cluster.define(["perl", "-e", "$x = 'a' x 200_000_000; sleep 300"], memory=24))
    result, _ = cluster.rollout(wait_timeout=1)
    assert result["diagnosis"]["kind"] == "out_of_memory"
    assert "24 MiB" in result["msg"]


def test_a_release_that_came_after_is_named(cluster: Cluster) -> None:
    cluster.create(cluster.define(STAYS))
    cluster.rollout()
    mine, other = cluster.define(STAYS), cluster.define(STAYS)
    cluster.update(mine)
    cluster.update(other)
    result, _ = cluster.rollout(task_definition=mine)
    assert result["verdict"] == "superseded"
    assert f"was superseded by {other.rsplit('/', 1)[-1]}" in result["msg"]


def test_what_never_started_is_no_success(cluster: Cluster) -> None:
    cluster.create(cluster.define(STAYS))
    never = cluster.define(STAYS)
    result, _ = cluster.rollout(task_definition=never, wait_timeout=1)
    assert result["verdict"] == "not_started"


def test_missing_and_deleted_services_are_told_apart(cluster: Cluster) -> None:
    result, _ = cluster.rollout()
    assert (result["verdict"], result["msg"][:24]) == ("missing", "There is no service web ")
    result, _ = cluster.rollout(cluster="no-such-cluster")
    assert result["verdict"] == "missing"
    cluster.create(cluster.define(STAYS))
    cluster.ecs.delete_service(cluster=cluster.name, service="web", force=True)
    result, _ = cluster.rollout()
    assert result["verdict"] == "inactive"


def test_the_wrong_tag_is_refused(cluster: Cluster) -> None:
    cluster.create(cluster.define(STAYS))
    result, _ = cluster.rollout(image_tag="2")
    assert result["verdict"] == "not_started"
    assert f"with {IMAGE}, not tag 2" in result["msg"]


def test_check_mode_waits_for_nothing(cluster: Cluster) -> None:
    result, _ = cluster.task("--check", task_definition="(known after apply)")
    assert result["msg"].startswith("Would await the rollout of (known after apply) on service web")
    assert (result["verdict"], result["api_calls"]) == (None, {})
    result, _ = cluster.task("--check")
    assert (result["verdict"], result["changed"]) == ("missing", False)
    cluster.create(cluster.define(STAYS, image=f"{cluster.registry}/none:7"), breaker=False)
    started = time.monotonic()
    result, _ = cluster.task("--check")
    assert result["msg"].startswith("Would await")
    assert time.monotonic() - started < 10


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """The URL of a page that says 'tag 7'."""
    (tmp_path / "index.html").write_text("tag 7")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_page_has_the_last_word(cluster: Cluster, page: str) -> None:
    cluster.create(cluster.define(STAYS))
    result, _ = cluster.rollout(url=page, url_contains="tag 7")
    assert result["verdict"] == "completed"
    result, _ = cluster.rollout(url=page, url_contains="tag 8", url_timeout=1)
    assert result["verdict"] == "no_answer"
    assert "its page does not contain 'tag 8'. The new version stays live." in result["msg"]
    assert "playbooks/rollback.yml" in result["remedy"]
    result, _ = cluster.rollout(url=f"{page}none", url_timeout=1)
    assert "it answers 404" in result["msg"]


def test_bad_values_are_refused_before_anything_is_asked(cluster: Cluster) -> None:
    result, _ = cluster.task(url="ftp://x")
    assert result["msg"] == "url 'ftp://x' is no http or https address. Give it as http://host/path."
    result, _ = cluster.rollout(since="yesterday")
    assert result["msg"] == "since 'yesterday' is no ISO 8601 time. Give it as 2024-05-31T12:00:00Z."


@pytest.mark.parametrize(("port", "code", "kind", "sentence"), [
    (8080, 404, "health_404", "The health check path /health answers 404, and 200 is expected."),
    (8081, 200, "port_closed", "Nothing answers the load balancer on port 8080"),
])
def test_a_failing_health_check_is_named(cluster: Cluster, port: int, code: int, kind: str, sentence: str) -> None:
    group = _target_group(cluster)
    arn = cluster.define(["perl", "-e", SERVER.format(port=port, code=code)])
    cluster.create(arn, loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}])
    result, printed = cluster.rollout(task_definition=arn, wait_timeout=120)
    assert result["verdict"] == "failed"
    assert result["diagnosis"]["kind"] == kind, result["diagnosis"]
    assert sentence in result["msg"]
    assert "is unhealthy in (target-group" in printed


def _target_group(cluster: Cluster) -> str:
    """The ARN of a target group behind a load balancer, with the shortest health check AWS takes."""
    ec2, elbv2 = cluster.aws.client("ec2"), cluster.aws.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)]
    group = elbv2.create_target_group(
        Name=cluster.name, Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckPath="/health",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
        Matcher={"HttpCode": "200"})["TargetGroups"][0]["TargetGroupArn"]
    balancer = elbv2.create_load_balancer(Name=cluster.name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80,
                          DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
    return str(group)
