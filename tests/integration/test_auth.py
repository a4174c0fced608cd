"""Jenkins' policies on an embedded AWS that enforces IAM: a whole release passes with them, and without any one of
their statements it says what is missing.

The policies are those of files/cloudformation/jenkins.yml as CloudFormation renders them.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cfnlint.decode import decode

from tests.integration.conftest import embedded_aws
from tests.shop import ROOT, Shop
from tests.small_image import small_image

PORT = int(os.environ.get("SLIPWAY_AUTH_PORT", "4616"))
Json = dict[str, Any]
ROOT_KEY = {"AWS_ACCESS_KEY_ID": "embedded", "AWS_SECRET_ACCESS_KEY": "embedded"}

JOB = "11111111-1111-4111-8111-111111111111"
#: Calls of the CodePipeline plugin, which are none of a release. They name a type and a job that
#: are not there, so that the permission alone decides between a denial and another error.
PLUGIN: dict[str, tuple[str, Json]] = {
    "codepipeline:PollForJobs": ("poll_for_jobs", {"actionTypeId": {
        "category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"}}),
    "codepipeline:AcknowledgeJob": ("acknowledge_job", {"jobId": JOB, "nonce": "1"}),
    "codepipeline:GetJobDetails": ("get_job_details", {"jobId": JOB}),
    "codepipeline:PutJobSuccessResult": ("put_job_success_result", {"jobId": JOB}),
    "codepipeline:PutJobFailureResult": ("put_job_failure_result", {
        "jobId": JOB, "failureDetails": {"type": "JobFailed", "message": "no"}}),
}
#: Sides on which a statement is taken away at the same time, each with a service of its own.
LANES = 2


@dataclass
class Account:
    """The shop, the policies as rendered (name to document), and a role for each service with all of them."""

    shop: Shop
    policies: dict[str, Json]
    keys: dict[str, dict[str, str]] = field(default_factory=dict)

    def statements(self) -> list[tuple[str, int, Json]]:
        """(policy, number, statement) of every one."""
        return [(name, number, statement) for name, document in self.policies.items()
                for number, statement in enumerate(document["Statement"])]

    def allow(self, service: str, without: tuple[str, int] | None = None) -> None:
        """Give the service's role all statements but one."""
        iam = self.shop.client("iam")
        for name, document in self.policies.items():
            kept = [one for number, one in enumerate(document["Statement"]) if (name, number) != without]
            if kept:
                iam.put_role_policy(RoleName=service, PolicyName=name,
                                    PolicyDocument=json.dumps({**document, "Statement": kept}))
            else:
                iam.delete_role_policy(RoleName=service, PolicyName=name)

    def release(self, service: str, *more: str) -> tuple[int, str]:
        """Exit code and what was printed, on one line."""
        run = self.shop.release(service, *more, **self.keys[service])
        return run.returncode, re.sub(r"\s+", " ", run.stdout)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    names = [f"lane{number}" for number in range(LANES)]
    with (embedded_aws(tmp_path_factory.mktemp("aws"), PORT, AUTH="true", **ROOT_KEY) as aws,
          small_image(f"slipway-auth-{PORT}/base:1") as base):
        shop = Shop(tmp_path_factory.mktemp("shop"), aws.env, base, *names)
        shop.set_up()
        made = Account(shop, rendered(shop))
        for name in names:
            made.keys[name] = role(shop, name)
            made.allow(name)
        yield made


def rendered(shop: Shop) -> dict[str, Json]:
    """The policies of the role in jenkins.yml, from a stack of that role alone: no host has to boot for them."""
    template, problems = decode(str(ROOT / "files" / "cloudformation" / "jenkins.yml"))
    assert not problems
    document = json.loads(json.dumps(template))
    only = {"AWSTemplateFormatVersion": document["AWSTemplateFormatVersion"],
            "Parameters": {name: parameter if parameter["Type"] in ("String", "Number", "CommaDelimitedList")
                           else {"Type": "String"} for name, parameter in document["Parameters"].items()},
            "Conditions": document["Conditions"], "Resources": {"Role": document["Resources"]["Role"]}}
    stacks = [f"{name}-service" for name in shop.names]
    repositories = shop.client("ecr").describe_repositories()["repositories"]
    given = {"AppName": shop.network, "ServiceStacks": ",".join(stacks), "VpcId": "vpc-1", "SubnetId": "subnet-1",
             "RepositoryArns": ",".join(repository["repositoryArn"] for repository in repositories),
             "KeyName": "key", "YourIP": "127.0.0.1/32", "JenkinsURL": "http://localhost:8080"}
    cloudformation, stack = shop.client("cloudformation"), f"jenkins-{uuid.uuid4().hex[:6]}"
    cloudformation.create_stack(
        StackName=stack, TemplateBody=json.dumps(only), Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    (resource,) = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    iam, name = shop.client("iam"), resource["PhysicalResourceId"]
    return {policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]}


def role(shop: Shop, name: str) -> dict[str, str]:
    """Credentials of a new role that may do nothing yet."""
    account = shop.client("sts").get_caller_identity()["Account"]
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}]}
    arn = shop.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    found = shop.client("sts").assume_role(RoleArn=arn, RoleSessionName="release")["Credentials"]
    return {"AWS_ACCESS_KEY_ID": found["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["SessionToken"]}


def test_jenkins_role_releases(account: Account) -> None:
    account.shop.write("lane0", "by Jenkins")
    code, said = account.release("lane0")
    assert code == 0, said
    assert "not authorized" not in said
    assert account.shop.page("lane0") == "by Jenkins"
    record = account.shop.records("lane0")[-1]
    assert record["verdict"] == "completed"
    assert record["who"].endswith(":assumed-role/lane0/release")


def test_it_runs_a_task_before_the_service_changes(account: Account) -> None:
    account.shop.write("lane1", "after the task")
    code, said = account.release("lane1", *TRIES[1][1])
    assert code == 0, said
    assert "not authorized" not in said
    assert "migrated" in said
    assert account.shop.page("lane1") == "after the task"


def test_without_a_policy_nothing_is_released(account: Account) -> None:
    iam, shop = account.shop.client("iam"), account.shop
    before, known = shop.page("lane1"), len(shop.records("lane1"))
    for policy in account.policies:
        iam.delete_role_policy(RoleName="lane1", PolicyName=policy)
    shop.write("lane1", "never")
    code, said = account.release("lane1")
    account.allow("lane1")
    assert code != 0
    assert "is not authorized to perform: " in said
    assert (shop.page("lane1"), len(shop.records("lane1"))) == (before, known)


def test_the_plugin_may_take_jobs_by_its_statements_alone(account: Account) -> None:
    statements = [one for one in account.statements() if actions(one[2])[0] in PLUGIN]
    assert sorted(action for *_, statement in statements for action in actions(statement)) == sorted(PLUGIN)
    keys = account.keys["lane0"]
    client = boto3.client("codepipeline", endpoint_url=account.shop.env["AWS_ENDPOINT_URL"],
                          region_name=account.shop.env["AWS_REGION"], aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
                          aws_session_token=keys["AWS_SESSION_TOKEN"])
    for policy, number, statement in statements:
        for action in actions(statement):
            account.allow("lane0", (policy, number))
            assert "AccessDenied" in refused(client, *PLUGIN[action])
            account.allow("lane0")
            assert "AccessDenied" not in refused(client, *PLUGIN[action])


def refused(client: Any, operation: str, arguments: Json) -> str:
    """The error's code and message, '' for none."""
    try:
        getattr(client, operation)(**arguments)
    except ClientError as error:
        return f"{error.response['Error']['Code']} {error}"
    return ""


def test_each_statement_is_needed_and_its_absence_is_said(account: Account) -> None:
    """Of the template as it is: a statement that is added to it is tried here, too."""
    statements = [one for one in account.statements() if actions(one[2])[0] not in PLUGIN]
    assert len(statements) >= 9
    lanes: dict[str, list[tuple[str, int, Json]]] = {name: [] for name in account.shop.names}
    for lane, one in zip(cycle(lanes), statements, strict=False):
        lanes[lane].append(one)
    with ThreadPoolExecutor(LANES) as pool:
        parts = [pool.submit(take_away, account, lane, some) for lane, some in lanes.items()]
        faults = [fault for part in parts for fault in part.result()]
    assert faults == []


def take_away(account: Account, lane: str, statements: list[tuple[str, int, Json]]) -> list[str]:
    """What was wrong about releases without each of these statements, a line each."""
    return [fault for name, number, statement in statements
            if (fault := without(account, lane, name, number, actions(statement)))]


#: Releases that between them call all that a release may call: one that goes well, one with a task before the service
#: changes, and one that fails and has to be explained.
TRIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ()), ("", ("-e", json.dumps({"ecs_release_task": {"command": ["sh", "-c", "echo migrated"]}}))),
    (json.dumps(["sh", "-c", "echo no database; exit 3"]), ()))


def without(account: Account, lane: str, policy: str, number: int, missed: list[str]) -> str:
    shop, here = account.shop, f"without {policy}[{number}] ({missed[0]} ...)"
    account.allow(lane, (policy, number))
    try:
        for turn, (command, more) in enumerate(TRIES):
            before = shop.page(lane)
            shop.write(lane, f"{lane} {policy} {number} {turn}", command)
            code, said = account.release(lane, *more)
            if "Traceback" in said:
                return f"{here} there is a traceback: {said}"
            if code and shop.page(lane) != before:
                return f"{here} the release failed, and {shop.page(lane)!r} is served instead of {before!r}"
            if any(action in said for action in missed):
                return ""
            if code and not command:
                return f"{here} the release failed without naming it: {said}"
        return f"{here} nothing is missed: {said}"
    finally:
        account.allow(lane)


def actions(statement: Json) -> list[str]:
    found = statement["Action"]
    return found if isinstance(found, list) else [found]
