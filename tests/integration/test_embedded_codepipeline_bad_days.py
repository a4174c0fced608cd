"""The embedded CodePipeline when it is killed, when nobody answers in time, and where IAM is enforced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.integration.codepipeline_world import World, action, artifact_client, fresh, place, refused, until, zipped
from tests.integration.conftest import PORT, ROOT, EmbeddedAws, embedded_aws

SLOW_FUNCTION = """
import boto3, time
def handler(event, context):
    job, where = event["CodePipeline.job"], event["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"]
    gate, key = where["UserParameters"].split("/")
    s3 = boto3.client("s3")
    while s3.list_objects_v2(Bucket=gate, Prefix=key).get("KeyCount", 0) == 0:
        time.sleep(0.1)
    boto3.client("codepipeline").put_job_success_result(jobId=job["id"])
"""


def restart(aws: EmbeddedAws, number: int = signal.SIGKILL) -> None:
    """Kill it and start it, once what happened is on disk: when the file is newer than a change made now."""
    saved = aws.state / "services" / "codepipeline.json"
    before = saved.stat().st_mtime_ns if saved.exists() else 0
    aws.client("iam").tag_role(RoleName="restarted", Tags=[{"Key": "at", "Value": str(before)}])
    until(lambda: saved.exists() and saved.stat().st_mtime_ns > before)
    os.kill(int((aws.state / "aws.pid").read_text()), number)
    subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, env={**os.environ, **aws.env}, check=True)


@pytest.fixture(scope="module")
def world(aws: EmbeddedAws) -> World:
    one = World(aws)
    one.make_role("restarted")
    return one


def test_killed_and_started_again_it_goes_on(world: World) -> None:
    gate = fresh("gate-")
    world.s3.create_bucket(Bucket=gate)
    world.aws.client("lambda").create_function(
        FunctionName=gate, Runtime="python3.13", Role=world.role, Handler="index.handler", Timeout=120,
        Code={"ZipFile": zipped(index__py=SLOW_FUNCTION)})
    queued = world.pipeline(("Build", [world.build(project="kill-a")]))
    taken = world.pipeline(("Build", [world.build(project="kill-b", outputs="Release")]))
    asked = world.pipeline(("Ask", [action("Ask", "Approval/AWS/Manual/1")]))
    called = world.pipeline(("Call", [action("Call", "Invoke/AWS/Lambda/1", configuration={
        "FunctionName": gate, "UserParameters": f"{gate}/open"})]))
    job = taken.job("kill-b")
    waiting = taken.start()
    taken.waits("Build", waiting)
    token = until(lambda: asked.action("Ask", "Ask").get("latestExecution", {}).get("token"))
    until(lambda: called.action("Call", "Call").get("latestExecution"))
    until(lambda: queued.polled("kill-a"))

    restart(world.aws)

    assert taken.status(waiting) == "InProgress"
    again = {"data": world.api.get_job_details(jobId=job["id"])["jobDetails"]["data"]}
    s3 = artifact_client(world.aws, again)
    assert s3.get_object(**place(again["data"]["inputArtifacts"][0]))["ContentLength"] > 0
    s3.put_object(**place(again["data"]["outputArtifacts"][0]), Body=b"", ServerSideEncryption="aws:kms")
    taken.succeed(job)
    taken.ends(taken.first())
    taken.succeed(taken.job("kill-b"))
    taken.ends(waiting)
    queued.succeed(queued.job("kill-a"))
    queued.ends(queued.first())
    world.api.put_approval_result(pipelineName=asked.name, stageName="Ask", actionName="Ask", token=token,
                                  result={"status": "Approved", "summary": ""})
    asked.ends(asked.first())
    world.s3.put_object(Bucket=gate, Key="open", Body=b"")
    called.ends(called.first())


# -- time runs out, and IAM is enforced: an embedded AWS of their own -------------------------------------------------

@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Jobs have five seconds, approvals two, and every call needs a permission."""
    with embedded_aws(tmp_path_factory.mktemp("strict"), PORT + 5, AUTH="true", AWS_ACCESS_KEY_ID="embedded",
                      AWS_SECRET_ACCESS_KEY="embedded", SLIPWAY_CODEPIPELINE_JOB_SECONDS="5",
                      SLIPWAY_CODEPIPELINE_APPROVAL_SECONDS="2", SLIPWAY_CODEPIPELINE_POLL_SECONDS="0.5") as aws:
        yield World(aws)


def allow(world: World, *statements: tuple[str, str]) -> None:
    """What the pipelines' role may do: action, resource."""
    world.aws.client("iam").put_role_policy(
        RoleName=world.role.rpartition("/")[2], PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": what, "Resource": on}
                                                   for what, on in statements]}))


NEEDED = [("codecommit:*", "*"), ("s3:GetObject*", "*"), ("s3:PutObject", "*"), ("kms:*", "*")]


def test_a_job_that_nobody_takes_or_ends_fails_in_time(strict: World) -> None:
    allow(strict, *NEEDED)
    left = strict.pipeline(("Build", [strict.build(project="left")]))
    taken = strict.pipeline(("Build", [strict.build(project="taken")]))
    job = taken.job("taken")
    for pipeline, said in ((left, "no job worker took its job"), (taken, "whoever took its job reported no result")):
        pipeline.ends(pipeline.first(), "Failed")
        assert pipeline.actions(pipeline.first())[-1]["output"]["executionResult"]["errorDetails"] == {
            "code": "JobTimedOut", "message": f"The action failed because {said} within 5 seconds."}
    with refused("InvalidJobStateException", "TimedOut"):
        taken.succeed(job)


def test_an_approval_that_nobody_gives_fails_in_time(strict: World) -> None:
    allow(strict, *NEEDED)
    pipeline = strict.pipeline(("Ask", [action("Ask", "Approval/AWS/Manual/1")]))
    pipeline.ends(pipeline.first(), "Failed")
    assert pipeline.actions(pipeline.first())[-1]["output"]["executionResult"]["errorDetails"]["code"] == "JobTimedOut"


def test_a_job_s_credentials_reach_its_artifacts_and_nothing_else(strict: World) -> None:
    allow(strict, *NEEDED)
    pipeline = strict.pipeline(("Build", [strict.build(project="keys", outputs="Release")]))
    job = pipeline.job("keys")
    s3 = artifact_client(strict.aws, job)
    source, release = (place(job["data"][name][0]) for name in ("inputArtifacts", "outputArtifacts"))
    assert s3.get_object(**source)["ContentLength"] > 0
    s3.put_object(**release, Body=b"", ServerSideEncryption="aws:kms")
    strict.s3.put_object(Bucket=strict.bucket, Key="other", Body=b"")
    for denied in (lambda: s3.put_object(**source, Body=b""), lambda: s3.get_object(Bucket=strict.bucket, Key="other"),
                   lambda: s3.list_objects_v2(Bucket=strict.bucket)):
        with pytest.raises(ClientError, match="AccessDenied"):
            denied()
    pipeline.succeed(job)
    pipeline.ends(pipeline.first())


@pytest.mark.parametrize(("missing", "said"), [
    (("codecommit:*", "*"), "AWS CodeCommit repository named"), (("s3:PutObject", "*"), "artifact store bucket")])
def test_a_role_without_a_permission_fails_the_source(strict: World, missing: tuple[str, str], said: str) -> None:
    allow(strict, *(one for one in NEEDED if one != missing))
    pipeline = strict.pipeline(("Build", [strict.build(project="role")]))
    pipeline.ends(pipeline.first(), "Failed")
    details = pipeline.actions(pipeline.first())[0]["output"]["executionResult"]["errorDetails"]
    assert details["code"] == "PermissionError"
    assert said in details["message"]
    assert "is not authorized to perform: " + missing[0].partition(":")[0] in details["message"]


def test_a_worker_s_own_permissions_are_enforced(strict: World) -> None:
    import boto3

    iam, name = strict.aws.client("iam"), fresh("worker")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    worker = boto3.client("codepipeline", endpoint_url=strict.aws.env["AWS_ENDPOINT_URL"],
                          region_name=strict.aws.env["AWS_REGION"], aws_access_key_id=key["AccessKeyId"],
                          aws_secret_access_key=key["SecretAccessKey"])
    kind = {"category": "Build", "owner": "Custom", "provider": strict.provider, "version": "1"}
    with pytest.raises(ClientError, match="AccessDenied.*codepipeline:PollForJobs"):
        worker.poll_for_jobs(actionTypeId=kind)
    arn = f"arn:aws:codepipeline:us-east-1:*:actiontype:Custom/Build/{strict.provider}/*"
    iam.put_user_policy(UserName=name, PolicyName="jobs", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "codepipeline:PollForJobs", "Resource": arn}]}))
    assert "jobs" in worker.poll_for_jobs(actionTypeId=kind, queryParam={"ProjectName": "none"})
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.poll_for_jobs(actionTypeId={**kind, "provider": "Other"})
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.start_pipeline_execution(name="any")


def test_a_rule_starts_a_pipeline_only_with_a_role_that_may(strict: World) -> None:
    allow(strict, *NEEDED)
    pipeline = strict.pipeline(("Build", [strict.build(project="ruled")]))
    events, rule = strict.aws.client("events"), fresh("rule")
    arn = strict.api.get_pipeline(name=pipeline.name)["metadata"]["pipelineArn"]
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))
    target = {"Id": "pipeline", "Arn": arn, "RoleArn": strict.role}
    event = {"Source": rule, "DetailType": "anything", "Detail": "{}"}

    def started() -> int:
        """After an event; its targets are invoked before it is answered."""
        assert events.put_events(Entries=[event])["FailedEntryCount"] == 0
        return len(pipeline.executions())

    for role in (strict.role, strict.role + "-not"):
        events.put_targets(Rule=rule, Targets=[{**target, "RoleArn": role}])
        assert started() == 1
    events.put_targets(Rule=rule, Targets=[target])
    allow(strict, *NEEDED, ("codepipeline:StartPipelineExecution", arn + "-other"))
    assert started() == 1
    allow(strict, *NEEDED, ("codepipeline:StartPipelineExecution", arn))
    assert started() == 2


def test_a_branch_is_polled_where_nobody_forbade_it(strict: World) -> None:
    allow(strict, *NEEDED)
    declared = strict.declaration(fresh("pipe"), ("Build", [strict.build(project="polled")]))
    del declared["stages"][0]["actions"][0]["configuration"]["PollForSourceChanges"]
    pipeline = strict.create(declared)
    until(lambda: pipeline.execution(pipeline.first())["artifactRevisions"])
    commit = strict.commit(fresh("Found by looking "))
    until(lambda: len(pipeline.executions()) == 2)
    newest = pipeline.executions()[0]
    assert newest["trigger"]["triggerType"] == "PollForSourceChanges"
    until(lambda: pipeline.executions()[0]["sourceRevisions"])
    assert pipeline.executions()[0]["sourceRevisions"][0]["revisionId"] == commit
    assert len(pipeline.executions()) == 2
