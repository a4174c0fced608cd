"""What surrounds a release: its image pinned, kept or promoted, its task, its preflight, and who is told of it."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.advice.rollout import forecast, of_stack
from slipway.aws import secrets
from slipway.aws.session import Aws
from slipway.errors import InvalidInput
from slipway.readiness.look import look
from slipway.stack import template as templates
from tests.loopback import answering, self_signed
from tests.shop import ROOT, Shop
from tests.small_image import small_image

from .conftest import EmbeddedAws

NAME = "depth"
TEMPLATE = str(ROOT / "files/cloudformation/service.yml")


@pytest.fixture(scope="module")
def shop(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with small_image("slipway-depth-test:latest") as base:
        made = Shop(tmp_path_factory.mktemp("shop"), aws.env, base, NAME)
        made.set_up()
        yield made


def parameters(shop: Shop) -> dict[str, str]:
    return {p["ParameterKey"]: p["ParameterValue"] for p in shop.stack(NAME)["Parameters"]}


def image(shop: Shop) -> str:
    """What the service's task definition names."""
    arn = next(o["OutputValue"] for o in shop.stack(NAME)["Outputs"] if o["OutputKey"] == "TaskDefinitionArn")
    found = shop.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    return str(found["containerDefinitions"][0]["image"])


def extra(**values: Any) -> list[str]:
    return ["-e", json.dumps(values)]


def report(shop: Shop, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((shop.folder / name / "release.json").read_text())
    return record


def ask(shop: Shop, monkeypatch: pytest.MonkeyPatch, check_mode: bool = False, **more: Any) -> dict[str, Any]:
    for name, value in shop.env.items():
        monkeypatch.setenv(name, value)
    return look({"app_name": NAME, "stack_name": f"{NAME}-service", "repository": NAME,
                 "source": str(shop.folder / NAME), "dockerfile": "Dockerfile", "tag": "", "template": TEMPLATE,
                 "parameters": {}, "account": "", "builds": True, "keep_image": False, "promote": "", "look": True,
                 "alone": True, "canary": True, "table": f"{shop.network}-ledger", "keep": 100, "busy": "wait", **more},
                check_mode)


class Hook:
    """A webhook, and a topic that a queue listens to."""

    def __init__(self, shop: Shop) -> None:
        self.bodies: list[dict[str, Any]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/services/T0/B0/wHispEred"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.sqs = shop.client("sqs")
        self.queue = self.sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns = shop.client("sns")
        self.topic = sns.create_topic(Name="releases")["TopicArn"]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def told(self) -> list[dict[str, Any]]:
        """What came to the queue since the last time."""
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        for one in found.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return [json.loads(one["Body"]) for one in found.get("Messages", [])]


@pytest.fixture(scope="module")
def hook(shop: Shop) -> Iterator[Hook]:
    made = Hook(shop)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_release_is_pinned_forecast_recorded_and_told(shop: Shop, hook: Hook) -> None:
    shop.write(NAME, "two")
    run = shop.release(NAME, "-vvv", *extra(
        ecs_release_report_dir=str(shop.folder / "two"), ecs_release_notify_topic=hook.topic,
        ecs_release_notify_webhook=hook.address))
    assert run.returncode == 0, run.stdout
    record, now = report(shop, "two"), parameters(shop)
    assert (record["tag"], record["digest"]) == (now["ImageTag"], now["ImageDigest"])
    assert re.fullmatch(rf".*/{NAME}:{now['ImageTag']}@sha256:[0-9a-f]{{64}}", image(shop))
    assert shop.page(NAME) == "two"
    settings = of_stack(now)
    assert settings
    # The forecast is a lower bound of what the update, which waits for the rollout, really took.
    assert 0 < forecast(settings).shortest <= record["phases"]["stack.update"]
    assert hook.bodies[0]["text"].startswith(f"{NAME}-service: {now['ImageTag']} is released in ")
    (told,) = hook.told()
    assert told["Subject"] == hook.bodies[0]["text"] and now["ImageDigest"] in told["Message"]
    assert told["MessageAttributes"]["kind"]["Value"] == "success"
    # Not at the highest verbosity either.
    assert "wHispEred" not in run.stdout


def test_nothing_changed_is_not_told(shop: Shop, hook: Hook) -> None:
    before = len(hook.bodies)
    run = shop.release(NAME, *extra(ecs_release_notify_webhook=hook.address))
    assert run.returncode == 0 and "changed=0" in run.stdout, run.stdout
    assert len(hook.bodies) == before


def test_a_task_that_fails_leaves_the_service_as_it_is(shop: Shop, hook: Hook) -> None:
    before = parameters(shop)
    shop.write(NAME, "three")
    run = shop.release(NAME, *extra(
        ecs_release_task={"command": ["/bin/sh", "-c", "echo $PURPOSE; echo no database; exit 3"],
                          "environment": {"PURPOSE": "a migration"}},
        ecs_release_report_dir=str(shop.folder / "failed"), ecs_release_notify_webhook=hook.address))
    assert run.returncode != 0
    assert f"{NAME}: a migration" in run.stdout and f"{NAME}: no database" in run.stdout
    record = report(shop, "failed")
    assert record["verdict"] == "task_failed" and record["phases"]["task.run"] > 0
    assert "ended with exit code 3, so the service was left as it is. Its log ends: 'no database'." in record["cause"]
    assert parameters(shop) == before and shop.page(NAME) == "two"
    assert "failed (task failed)" in hook.bodies[-1]["text"]
    assert shop.client("ecs").list_task_definitions(familyPrefix=f"{NAME}-service-task")["taskDefinitionArns"] == []


def lines_until(run: Any, words: str) -> str:
    """What the play prints, up to the line with `words`."""
    text = ""
    for line in run.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(text)


def one_off_tasks(shop: Shop) -> list[dict[str, Any]]:
    ecs = shop.client("ecs")
    cluster = next(o["OutputValue"] for o in shop.stack(NAME)["Outputs"] if o["OutputKey"] == "ClusterName")
    arns = [arn for status in ("RUNNING", "STOPPED") for arn in ecs.list_tasks(
        cluster=cluster, family=f"{NAME}-service-task", desiredStatus=status)["taskArns"]]
    return list(ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]) if arns else []


def test_an_aborted_release_stops_its_task(shop: Shop) -> None:
    known = {task["taskArn"] for task in one_off_tasks(shop)}
    run = shop.start(shop.command("playbooks/release.yml", NAME, *extra(
        ecs_release_task={"command": ["/bin/sh", "-c", "trap 'exit 4' TERM; echo at work; sleep 300 & wait"]})))
    lines_until(run, f"{NAME}: at work")
    os.killpg(run.pid, signal.SIGTERM)
    rest, _ = run.communicate(timeout=300)
    assert run.returncode != 0 and "it was stopped. The service is unchanged." in rest, rest
    mine = [task for task in one_off_tasks(shop) if task["taskArn"] not in known]
    assert [task["lastStatus"] for task in mine] == ["STOPPED"], (known, mine, rest)
    assert mine[0]["stoppedReason"].startswith("slipway: Interrupted by SIGTERM")
    assert shop.page(NAME) == "two"


def test_the_task_of_a_killed_release_is_found_and_awaited(shop: Shop, hook: Hook) -> None:
    known, before = {task["taskArn"] for task in one_off_tasks(shop)}, len(hook.bodies)
    gate = "/dev/shm/go"
    values = extra(
        ecs_release_task={"command": ["/bin/sh", "-c", f"echo at work; while [ ! -e {gate} ]; do sleep 0.2; done"]},
        ecs_release_notify_webhook=hook.address)
    killed = shop.start(shop.command("playbooks/release.yml", NAME, *values))
    lines_until(killed, f"{NAME}: at work")
    for pid in (killed.pid, *below(killed.pid)):
        os.kill(pid, signal.SIGKILL)
    killed.wait()
    again = shop.start(shop.command("playbooks/release.yml", NAME, *values))
    text = lines_until(again, "left its task running; waiting for that one")
    (running,) = [task for task in one_off_tasks(shop) if task["taskArn"] not in known]
    open_gate(running["taskArn"], gate)
    rest, _ = again.communicate(timeout=300)
    assert again.returncode == 0, text + rest
    assert [task["taskArn"] for task in one_off_tasks(shop) if task["taskArn"] not in known] == [running["taskArn"]]
    assert shop.page(NAME) == "three"
    # The keeper of the first, or the second that found it dead, has it on record; the second one is told as a success.
    assert "is released" in hook.bodies[-1]["text"] and len(hook.bodies) > before


def below(pid: int) -> list[int]:
    """The processes below `pid`; ansible's workers have sessions of their own."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    children = [child for child, parent in parents.items() if parent == pid]
    return [one for child in children for one in (child, *below(child))]


def open_gate(task: str, path: str) -> None:
    import docker

    number = task.rsplit("/", 1)[-1]
    (container,) = [one for one in docker.from_env().containers.list()
                    if any(number in str(value) for value in (one.name, *one.labels.values()))]
    assert container.exec_run(["/bin/sh", "-c", f": > {path}"]).exit_code == 0


def test_what_was_proved_is_promoted_without_a_source(shop: Shop) -> None:
    run = shop.release(NAME, *extra(
        ecs_release_promote=str(shop.folder / "two" / "release.json"), ecs_release_source="",
        ecs_release_report_dir=str(shop.folder / "promoted")))
    assert run.returncode == 0, run.stdout
    proved, record, now = report(shop, "two"), report(shop, "promoted"), parameters(shop)
    assert (now["ImageTag"], now["ImageDigest"]) == (proved["tag"], proved["digest"])
    assert (record["tag"], record["digest"], record["built"]) == (proved["tag"], proved["digest"], False)
    assert shop.page(NAME) == "two"


def test_a_promoted_image_has_to_be_the_one_in_the_repository(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = shop.folder / "wrong.json"
    good = {"verdict": "completed", "tag": parameters(shop)["ImageTag"], "digest": parameters(shop)["ImageDigest"]}
    for change, words in (({"digest": "sha256:" + "0" * 64}, "Somebody moved the tag"),
                          ({"tag": "elsewhere"}, f"Repository {NAME} has no image elsewhere"),
                          ({"verdict": "task_failed"}, "was not good: task_failed")):
        wrong.write_text(json.dumps({**good, **change}))
        with pytest.raises(InvalidInput, match=words):
            ask(shop, monkeypatch, promote=str(wrong), source="")
    wrong.write_text(json.dumps(good))
    assert ask(shop, monkeypatch, promote=str(wrong), source="")["image"]["digest"] == good["digest"]


def test_a_kept_image_stays_while_its_stack_changes(shop: Shop) -> None:
    before = parameters(shop)
    shop.write(NAME, "four")
    values = extra(ecs_release_keep_image=True, ecs_release_report_dir=str(shop.folder / "kept"),
                   ecs_release_service_parameters={"DeregistrationDelaySeconds": 2, "StopTimeoutSeconds": 2,
                                                   "HealthCheckGracePeriodSeconds": 5, "Memory": 128})
    run = shop.play("site.yml", "", *values)
    assert run.returncode == 0, run.stdout
    assert {**before, "DeregistrationDelaySeconds": "2"} == parameters(shop)
    record = report(shop, "kept")
    assert (record["tag"], record["digest"]) == (before["ImageTag"], before["ImageDigest"])
    assert record["verdict"] == "completed" and shop.page(NAME) == "two"
    again = shop.play("site.yml", "", *values)
    assert again.returncode == 0 and not re.search(r"changed=[1-9]", again.stdout), again.stdout


def test_a_stack_that_knows_no_digest_is_released_all_the_same(shop: Shop) -> None:
    old = templates.load_file(TEMPLATE).document
    del old["Parameters"]["ImageDigest"], old["Outputs"]["ImageDigest"], old["Conditions"]["HasDigest"]
    container = old["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    container["Image"] = {"Fn::Sub": "${RepositoryUri}:${ImageTag}"}
    cloudformation = shop.client("cloudformation")
    cloudformation.update_stack(
        StackName=f"{NAME}-service", TemplateBody=json.dumps(old), Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in parameters(shop)
                    if key != "ImageDigest"])
    cloudformation.get_waiter("stack_update_complete").wait(StackName=f"{NAME}-service", WaiterConfig={"Delay": 1})
    run = shop.release(NAME)
    assert run.returncode == 0, run.stdout
    now = parameters(shop)
    assert "ImageDigest" not in now and image(shop).endswith(f":{now['ImageTag']}")
    assert shop.page(NAME) == "four"


def test_a_page_without_what_it_has_to_show_is_no_success(shop: Shop) -> None:
    shop.write(NAME, "nine")
    asked = {"ecs_release_tag": "v9", "ecs_release_url_timeout": 1,
             "ecs_release_url_contains": "{{ ecs_release_stack.parameters.ImageTag | default('') }}"}
    run = shop.release(NAME, *extra(**asked, ecs_release_report_dir=str(shop.folder / "unseen")))
    record = report(shop, "unseen")
    assert run.returncode != 0 and record["verdict"] == "no_answer", run.stdout
    assert "its page does not contain 'v9'. The new version stays live." in record["message"]
    assert "playbooks/rollback.yml" in record["remedy"]
    assert shop.page(NAME) == "nine" and shop.tag(NAME) == "v9"
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv9"
    with answering(page, certificate=self_signed(shop.folder, "depth.example.com")) as url:
        run = shop.release(NAME, *extra(**asked, ecs_release_url=url))
        assert run.returncode != 0
        assert "its certificate is not valid: self-signed certificate" in " ".join(run.stdout.split())
        run = shop.release(NAME, *extra(**asked, ecs_release_url=url, ecs_release_url_validate_certs=False))
    assert run.returncode == 0, run.stdout
    assert shop.tag(NAME) == "v9"


def test_the_preflight_names_all_that_is_missing_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    good = ask(shop, monkeypatch)
    assert good["findings"] == [] and good["warnings"] == [] and sum(good["api_calls"].values()) <= 10
    logs, iam, ecs = shop.client("logs"), shop.client("iam"), shop.client("ecs")
    found = ecs.describe_task_definition(taskDefinition=f"{NAME}-service")["taskDefinition"]
    role = iam.get_role(RoleName=found["executionRoleArn"].rpartition("/")[2])["Role"]
    (policy,) = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
    group = found["containerDefinitions"][0]["logConfiguration"]["options"]["awslogs-group"]
    logs.delete_log_group(logGroupName=group)
    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName=policy)
    iam.delete_role(RoleName=role["RoleName"])
    try:
        with pytest.raises(InvalidInput) as refused:
            ask(shop, monkeypatch)
        text = str(refused.value)
        assert text.startswith("2 things stand in the way of this release:")
        assert f"The log group {group} of the task definition does not exist" in text
        assert f"The execution role {role['Arn']} of the task definition does not exist" in text
        # With a template, which may put it right, it is told and no more.
        assert len(ask(shop, monkeypatch, alone=False)["warnings"]) == 2
    finally:
        logs.create_log_group(logGroupName=group)
        iam.create_role(RoleName=role["RoleName"], Path=role["Path"],
                        AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))
        iam.put_role_policy(RoleName=role["RoleName"], PolicyName=policy, PolicyDocument=json.dumps(document))


def test_the_preflight_of_a_stack_or_repository_that_is_not_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(shop, monkeypatch, stack_name="nowhere-service", repository="nowhere")
    assert "Stack nowhere-service does not exist" in str(refused.value)
    assert "Repository nowhere does not exist" in str(refused.value)
    assert ask(shop, monkeypatch, stack_name="nowhere-service", repository="nowhere", alone=False)["warnings"] == []


def test_the_preflight_warns_of_slow_settings(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(shop, monkeypatch, alone=False, parameters={"DeregistrationDelaySeconds": 300})
    (warning,) = found["warnings"]
    assert warning.startswith("A rollout takes 305 s at least (health checks 5 s, draining 300 s)")
    assert "Set DeregistrationDelaySeconds" in warning
    assert [one["setting"] for one in found["pace"]["advice"]] == ["DeregistrationDelaySeconds"]
    with pytest.raises(InvalidInput, match="no rollout could ever start. Raise MaximumPercent to 200"):
        ask(shop, monkeypatch, alone=False, parameters={"MaximumPercent": 150})


def test_the_preflight_tells_of_another_release(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    table = shop.client("dynamodb")
    entry = {"service": f"{NAME}-service", "kind": "release", "started": "2026-11-23T08:24:33+00:00", "user": "ann",
             "host": "build-1", "build_url": "https://ci.example/7/"}
    table.put_item(TableName=f"{shop.network}-ledger", Item={
        "service": {"S": f"{NAME}-service"}, "id": {"S": "lock"}, "token": {"S": "other"}, "beat": {"N": "1"},
        "entry": {"S": json.dumps(entry)}})
    try:
        (warning,) = ask(shop, monkeypatch, check_mode=True)["warnings"]
        assert "runs since 08:24:33 UTC: ann on build-1, https://ci.example/7/" in warning
        with pytest.raises(InvalidInput, match="Wait for its end, or set ecs_release_busy"):
            ask(shop, monkeypatch, busy="fail")
    finally:
        table.delete_item(TableName=f"{shop.network}-ledger",
                          Key={"service": {"S": f"{NAME}-service"}, "id": {"S": "lock"}})


def test_secrets_are_looked_at_and_not_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shop.env.items():
        monkeypatch.setenv(name, value)
    made = shop.client("secretsmanager").create_secret(Name="depth/db", SecretString="x")
    shop.client("ssm").put_parameter(Name="/depth/key", Value="x", Type="SecureString")
    aws = Aws({})
    assert (secrets.describe_secret(aws, made["ARN"]) or {})["Name"] == "depth/db"
    assert secrets.describe_secret(aws, "depth/none") is None
    assert secrets.known_parameters(aws, ["/depth/key", "/depth/none"]) == {"/depth/key"}
    assert not [call for call in aws.api_calls() if "Get" in call]


def test_a_log_group_by_the_beginning_of_its_name_is_another(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from slipway.aws import logs

    for name, value in shop.env.items():
        monkeypatch.setenv(name, value)
    assert logs.group_exists(Aws({}), f"/ecs/{NAME}-service")
    assert not logs.group_exists(Aws({}), f"/ecs/{NAME}-serv")


def test_the_templates_own_defaults_need_no_advice() -> None:
    defaults = {name: one.default or "" for name, one in templates.load_file(TEMPLATE).parameters.items()}
    settings = of_stack(defaults)
    assert settings and forecast(settings).shortest == 10 and Path(TEMPLATE).exists()
