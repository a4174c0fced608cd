"""The embedded CodePipeline: executions, stages and actions, as real clients and workers see them."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

import pytest

from tests.integration.codepipeline_world import (
    World,
    action,
    artifact_client,
    fresh,
    place,
    refused,
    until,
    zipped,
)
from tests.integration.conftest import EmbeddedAws

UNKNOWN = "01234567-0123-0123-0123-0123456789ab"


@pytest.fixture(scope="module")
def world(aws: EmbeddedAws) -> World:
    return World(aws)


# -- the whole way -------------------------------------------------------------------------------------------------

def test_a_commit_goes_through_a_worker_to_the_end(world: World) -> None:
    world.commit("Make it pink", "pink")
    pipeline = world.pipeline(("Build", [world.build(outputs="Release")]))
    job = pipeline.job()
    data = job["data"]
    assert data["actionConfiguration"]["configuration"] == {"ProjectName": "app"}
    assert data["pipelineContext"]["pipelineName"] == pipeline.name
    assert data["pipelineContext"]["stage"] == {"name": "Build"}
    assert data["pipelineContext"]["action"]["name"] == "Release"
    assert data["pipelineContext"]["pipelineExecutionId"] == pipeline.first()
    assert "encryptionKey" not in data
    # Where an artifact lies: 20 letters of the pipeline, 10 of the artifact, 7 at random.
    assert data["inputArtifacts"][0]["revision"] == world.tip
    pipe, name, random = place(data["inputArtifacts"][0])["Key"].split("/")
    assert (pipe, name, len(random)) == (pipeline.name[:20], "Source", 7)

    details = world.api.get_job_details(jobId=job["id"])["jobDetails"]
    assert details["data"]["artifactCredentials"] != data["artifactCredentials"]
    s3 = artifact_client(world.aws, {"data": details["data"]})
    found = s3.get_object(**place(data["inputArtifacts"][0]))
    assert found["ContentType"] == "application/zip"
    assert found["ServerSideEncryption"] == "aws:kms"
    assert zipfile.ZipFile(io.BytesIO(found["Body"].read())).read("index.php") == b"pink"
    s3.put_object(**place(data["outputArtifacts"][0]), Body=zipped(release__json="{}"), ServerSideEncryption="aws:kms")
    pipeline.succeed(job, executionDetails={"summary": "Finished", "externalExecutionId": "7", "percentComplete": 100},
                     outputVariables={"ImageTag": "one"})
    pipeline.ends(pipeline.first())

    execution = pipeline.execution(pipeline.first())
    assert execution["trigger"]["triggerType"] == "CreatePipeline"
    revision, = execution["artifactRevisions"]
    assert (revision["name"], revision["revisionId"], revision["revisionSummary"]) == ("Source", world.tip,
                                                                                      "Make it pink")
    source, release = pipeline.actions(pipeline.first())
    assert source["output"]["outputVariables"]["CommitId"] == world.tip
    assert source["output"]["executionResult"]["externalExecutionSummary"] == "Make it pink"
    assert release["input"]["inputArtifacts"] == source["output"]["outputArtifacts"]
    assert release["output"]["outputVariables"] == {"ImageTag": "one"}
    assert release["output"]["executionResult"] == {
        "externalExecutionId": "7", "externalExecutionSummary": "Finished",
        "externalExecutionUrl": "http://jenkins/job/app/7"}
    state = pipeline.action("Build", "Release")
    assert state["entityUrl"] == "http://jenkins/job/app"
    assert state["latestExecution"]["percentComplete"] == 100
    assert pipeline.action("Source", "Code")["currentRevision"]["revisionId"] == world.tip


def test_an_execution_itself_costs_milliseconds(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="quick")]))
    pipeline.succeed(pipeline.job("quick"))
    pipeline.ends(pipeline.first())
    spent = []
    # The quickest of some: others may keep the machine busy for a moment.
    for _ in range(5):
        execution = pipeline.start()
        pipeline.succeed(pipeline.job("quick"))
        pipeline.ends(execution)
        source, release = pipeline.actions(execution)
        # What lies between the two is CodePipeline's own; a git archive and an upload are in the first.
        spent.append((release["startTime"] - source["lastUpdateTime"]).total_seconds())
    assert min(spent) < 0.1, spent


def test_an_encryption_key_is_passed_on(world: World) -> None:
    key = world.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    store = {"type": "S3", "location": world.bucket, "encryptionKey": {"id": key, "type": "KMS"}}
    pipeline = world.pipeline(("Build", [world.build(project="keyed")]), artifactStore=store)
    job = pipeline.job("keyed")
    assert job["data"]["encryptionKey"] == {"id": key, "type": "KMS"}
    assert world.s3.head_object(**place(job["data"]["inputArtifacts"][0]))["SSEKMSKeyId"] == key
    pipeline.succeed(job)


# -- jobs ------------------------------------------------------------------------------------------------------------

def test_a_job_is_given_out_until_one_worker_acknowledges_it(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="nonce")]))
    one = until(lambda: pipeline.polled("nonce"))[0]
    other = pipeline.polled("nonce")[0]
    assert one["id"] == other["id"]
    assert pipeline.polled("another") == []
    with refused("InvalidJobStateException", "Dispatched"):
        pipeline.succeed(one)
    with refused("InvalidNonceException"):
        world.api.acknowledge_job(jobId=one["id"], nonce="wrong")
    world.api.acknowledge_job(jobId=one["id"], nonce=one["nonce"])
    with refused("InvalidNonceException"):
        world.api.acknowledge_job(jobId=other["id"], nonce=other["nonce"])
    assert pipeline.polled("nonce") == []
    pipeline.fail(one, "no Dockerfile", externalExecutionId="12")
    for late in (lambda: pipeline.fail(one), lambda: pipeline.succeed(one)):
        with refused("InvalidJobStateException", "Failed"):
            late()
    pipeline.ends(pipeline.first(), "Failed")
    failed = pipeline.actions(pipeline.first())[-1]
    assert failed["output"]["executionResult"]["errorDetails"] == {"code": "JobFailed", "message": "no Dockerfile"}
    assert failed["output"]["executionResult"]["externalExecutionUrl"] == "http://jenkins/job/nonce/12"
    assert pipeline.stage("Build")["latestExecution"]["status"] == "Failed"
    # Whoever asks later learns what it was, but gets no way to the artifacts any more.
    assert "artifactCredentials" not in world.api.get_job_details(jobId=one["id"])["jobDetails"]["data"]


def test_unknown_jobs_and_action_types(world: World) -> None:
    with refused("JobNotFoundException"):
        world.api.get_job_details(jobId=UNKNOWN)
    with refused("JobNotFoundException"):
        world.api.acknowledge_job(jobId=UNKNOWN, nonce="1")
    with refused("JobNotFoundException"):
        world.api.put_job_success_result(jobId=UNKNOWN)
    kind = {"category": "Build", "owner": "Custom", "provider": "Nobody", "version": "1"}
    with refused("ActionTypeNotFoundException", "Nobody"):
        world.api.poll_for_jobs(actionTypeId=kind)
    with refused("ValidationException", "Note"):
        world.api.poll_for_jobs(actionTypeId={**kind, "provider": world.provider}, queryParam={"Note": "x"})


def test_a_continuation_token_comes_back_with_another_job(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="long")]))
    job = pipeline.job("long")
    with refused("ValidationException", "output variables"):
        pipeline.succeed(job, continuationToken="half", outputVariables={"A": "b"})
    with refused("OutputVariablesSizeExceededException"):
        pipeline.succeed(job, outputVariables={f"V{number}": "x" * 1000 for number in range(130)})
    pipeline.succeed(job, continuationToken="half", executionDetails={"summary": "half of it", "percentComplete": 50})
    state = pipeline.action("Build", "Release")["latestExecution"]
    assert (state["status"], state["summary"], state["percentComplete"]) == ("InProgress", "half of it", 50)
    following = pipeline.job("long")
    assert following["id"] != job["id"]
    assert following["data"]["continuationToken"] == "half"
    with refused("InvalidJobStateException"):
        pipeline.succeed(job)
    pipeline.succeed(following)
    pipeline.ends(pipeline.first())


def test_output_variables_reach_later_actions(world: World) -> None:
    pipeline = world.pipeline(
        ("Build", [world.build(project="vars", namespace="Built"),
                   world.build("Next", "vars", inputs="", runOrder=2, configuration={
                       "Note": "#{Built.Tag} of #{SourceVariables.CommitId} in #{codepipeline.PipelineExecutionId} "
                               "for #{variables.Whom}", "Password": "secret"})]),
        variables=[{"name": "Whom", "defaultValue": "all"}])
    first = pipeline.first()
    pipeline.succeed(pipeline.job("vars"), outputVariables={"Tag": "t1"})
    job = pipeline.job("vars")
    note = f"t1 of {world.tip} in {first} for all"
    assert job["data"]["actionConfiguration"]["configuration"] == {"ProjectName": "vars", "Note": note,
                                                                   "Password": "secret"}
    pipeline.succeed(job)
    pipeline.ends(first)
    shown = pipeline.actions(first)[-1]["input"]
    assert shown["configuration"]["Note"].startswith("#{Built.Tag}")
    assert (shown["resolvedConfiguration"]["Note"], shown["resolvedConfiguration"]["Password"]) == (note, "****")

    # The variable that nobody gave fails the action that wants it.
    second = pipeline.start(variables=[{"name": "Whom", "value": "one"}])
    assert pipeline.execution(second)["variables"] == [{"name": "Whom", "resolvedValue": "one"}]
    pipeline.succeed(pipeline.job("vars"))
    pipeline.ends(second, "Failed")
    assert "#{Built.Tag}" in pipeline.actions(second)[-1]["output"]["executionResult"]["errorDetails"]["message"]
    with refused("ValidationException", "Nobody"):
        pipeline.start(variables=[{"name": "Nobody", "value": "x"}])


# -- modes -----------------------------------------------------------------------------------------------------------

def test_a_newer_execution_supersedes_the_one_that_waits(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="super")]))
    first, job = pipeline.first(), pipeline.job("super")
    second = pipeline.start()
    pipeline.waits("Build", second)
    third = pipeline.start()
    pipeline.ends(second, "Superseded")
    assert third in pipeline.execution(second)["statusSummary"]
    pipeline.waits("Build", third)
    assert pipeline.polled("super") == [], "two of a stage's executions at once"
    assert pipeline.stage("Build")["latestExecution"]["pipelineExecutionId"] == first
    pipeline.succeed(job)
    pipeline.succeed(pipeline.job("super"))
    assert pipeline.ends(third) and pipeline.ends(first)
    assert [one["status"] for one in pipeline.executions()] == ["Succeeded", "Superseded", "Succeeded"]


def test_in_the_mode_queued_all_of_them_run_in_order(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="queue")]), mode="QUEUED")
    wanted = [pipeline.first(), *(pipeline.start() for _ in range(3))]
    ran = []
    for number in range(4):
        job = pipeline.job("queue")
        ran.append(job["data"]["pipelineContext"]["pipelineExecutionId"])
        assert pipeline.polled("queue") == []
        if number == 1:
            pipeline.fail(job)
        else:
            pipeline.succeed(job)
    assert ran == wanted
    pipeline.ends(wanted[-1])
    assert [pipeline.status(one) for one in wanted] == ["Succeeded", "Failed", "Succeeded", "Succeeded"]


def test_in_the_mode_parallel_they_run_at_once(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="par")]), mode="PARALLEL")
    wanted = {pipeline.first(), pipeline.start(), pipeline.start()}
    jobs = until(lambda: len(found := pipeline.polled("par", most=5)) == 3 and found)
    assert {job["data"]["pipelineContext"]["pipelineExecutionId"] for job in jobs} == wanted
    with refused("ValidationException", "PARALLEL"):
        world.api.disable_stage_transition(pipelineName=pipeline.name, stageName="Build", transitionType="Inbound",
                                           reason="no")
    for job in jobs:
        world.api.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        pipeline.succeed(job)
    for one in wanted:
        pipeline.ends(one)


def test_more_than_fifty_at_once_are_refused(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="many")]), mode="QUEUED")
    for _ in range(49):
        pipeline.start()
    with refused("ConcurrentPipelineExecutionsLimitExceededException", "50"):
        pipeline.start()
    world.api.delete_pipeline(name=pipeline.name)


def test_a_request_token_starts_one_execution(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="token")]))
    token = "a" * 20
    assert pipeline.start(clientRequestToken=token) == pipeline.start(clientRequestToken=token)
    with refused("ConflictException"):
        pipeline.start(clientRequestToken=token, sourceRevisions=[
            {"actionName": "Code", "revisionType": "COMMIT_ID", "revisionValue": world.tip}])


def test_a_start_can_name_the_commit(world: World) -> None:
    before = world.commit("An older one", "old")
    world.commit("A newer one", "new")
    pipeline = world.pipeline(("Build", [world.build(project="named")]))
    pipeline.succeed(pipeline.job("named"))
    execution = pipeline.start(sourceRevisions=[
        {"actionName": "Code", "revisionType": "COMMIT_ID", "revisionValue": before}])
    job = pipeline.job("named")
    assert job["data"]["inputArtifacts"][0]["revision"] == before
    pipeline.succeed(job)
    pipeline.ends(execution)
    assert pipeline.executions()[0]["sourceRevisions"][0]["revisionSummary"] == "An older one"
    with refused("ValidationException", "Other"):
        pipeline.start(sourceRevisions=[{"actionName": "Other", "revisionType": "COMMIT_ID", "revisionValue": before}])


# -- order inside a stage, retry, stop -------------------------------------------------------------------------------

def test_a_group_fails_together_and_retries_what_failed(world: World) -> None:
    pipeline = world.pipeline(("Build", [
        world.build("One", "group-a"), world.build("Two", "group-b"), world.build("After", "group-c", runOrder=2)]))
    first = pipeline.first()
    one, two = pipeline.job("group-a"), pipeline.job("group-b")
    assert pipeline.polled("group-c") == []
    pipeline.fail(two)
    assert pipeline.status(first) == "InProgress", "an action is at work still"
    pipeline.succeed(one)
    pipeline.ends(first, "Failed")

    retry = {"pipelineName": pipeline.name, "stageName": "Build", "pipelineExecutionId": first}
    assert world.api.retry_stage_execution(**retry, retryMode="FAILED_ACTIONS")["pipelineExecutionId"] == first
    with refused("StageNotRetryableException", "InProgress"):
        world.api.retry_stage_execution(**retry, retryMode="FAILED_ACTIONS")
    again = pipeline.job("group-b")
    assert pipeline.polled("group-a") == []
    pipeline.fail(again, "still broken")
    pipeline.ends(first, "Failed")
    world.api.retry_stage_execution(**retry, retryMode="ALL_ACTIONS")
    for project in ("group-a", "group-b"):
        pipeline.succeed(pipeline.job(project))
    pipeline.fail(pipeline.job("group-c"))
    pipeline.ends(first, "Failed")
    # The failure of the last attempt must not end this one before its turn comes.
    world.api.retry_stage_execution(**retry, retryMode="ALL_ACTIONS")
    for project in ("group-a", "group-b", "group-c"):
        pipeline.succeed(pipeline.job(project))
    pipeline.ends(first)
    names = [one["actionName"] for one in pipeline.actions(first)]
    assert sorted(names) == ["After"] * 2 + ["Code"] + ["One"] * 3 + ["Two"] * 4
    latest = world.api.list_action_executions(pipelineName=pipeline.name, filter={
        "latestInPipelineExecution": {"pipelineExecutionId": first, "startTimeRange": "Latest"}})
    assert sorted(one["actionName"] for one in latest["actionExecutionDetails"]) == ["After", "Code", "One", "Two"]
    assert pipeline.stage("Build")["retryStageMetadata"] == {"manualStageRetryAttempt": 3,
                                                            "latestRetryTrigger": "ManualStageRetry"}


def test_what_a_later_execution_ran_is_not_retried(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="later")]))
    first = pipeline.first()
    pipeline.fail(pipeline.job("later"))
    pipeline.ends(first, "Failed")
    second = pipeline.start()
    pipeline.fail(pipeline.job("later"))
    pipeline.ends(second, "Failed")
    retry = {"pipelineName": pipeline.name, "stageName": "Build", "retryMode": "ALL_ACTIONS"}
    with refused("NotLatestPipelineExecutionException", second):
        world.api.retry_stage_execution(**retry, pipelineExecutionId=first)
    # A stage that looks different now is not what failed.
    declared = world.declaration(pipeline.name, ("Build", [world.build("Other", "later")]))
    world.api.update_pipeline(pipeline=declared)
    with refused("StageNotRetryableException", "structure"):
        world.api.retry_stage_execution(**retry, pipelineExecutionId=second)
    with refused("StageNotRetryableException"):
        world.api.retry_stage_execution(**retry, pipelineExecutionId=UNKNOWN)
    with refused("StageNotFoundException"):
        world.api.retry_stage_execution(pipelineName=pipeline.name, stageName="None", retryMode="ALL_ACTIONS",
                                        pipelineExecutionId=second)


def test_a_stage_can_retry_by_itself(world: World) -> None:
    declared = world.declaration(fresh("pipe"), ("Build", [world.build(project="auto")]))
    declared["stages"][1]["onFailure"] = {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}
    pipeline = world.create(declared)
    pipeline.fail(pipeline.job("auto"))
    assert pipeline.status(pipeline.first()) == "InProgress"
    pipeline.fail(pipeline.job("auto"))
    pipeline.ends(pipeline.first(), "Failed")
    assert pipeline.stage("Build")["retryStageMetadata"]["latestRetryTrigger"] == "AutomatedStageRetry"


def test_a_stage_can_roll_back_by_itself(world: World) -> None:
    good_commit = world.commit(fresh("A good one "))
    declared = world.declaration(fresh("pipe"), ("Build", [world.build(project="undo")]))
    declared["stages"][1]["onFailure"] = {"result": "ROLLBACK"}
    pipeline = world.create(declared)
    pipeline.succeed(pipeline.job("undo"))
    pipeline.ends(pipeline.first())
    world.commit(fresh("A bad one "))
    bad = pipeline.start()
    pipeline.fail(pipeline.job("undo"))
    job = pipeline.job("undo")
    assert job["data"]["inputArtifacts"][0]["revision"] == good_commit
    assert pipeline.status(bad) == "Failed"
    assert pipeline.executions()[0]["trigger"] == {"triggerType": "AutomatedRollback", "triggerDetail": bad}
    # One that fails again is not rolled back once more.
    pipeline.fail(job)
    pipeline.ends(pipeline.executions()[0]["pipelineExecutionId"], "Failed")
    assert len(pipeline.executions()) == 3


def test_stop_waits_for_what_is_at_work(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="stop"), world.build("Next", "stop", runOrder=2)]))
    first, job = pipeline.first(), pipeline.job("stop")
    stop = {"pipelineName": pipeline.name, "pipelineExecutionId": first}
    world.api.stop_pipeline_execution(**stop, reason="lunch")
    assert pipeline.status(first) == "Stopping"
    assert pipeline.stage("Build")["latestExecution"]["status"] == "Stopping"
    with refused("DuplicatedStopRequestException"):
        world.api.stop_pipeline_execution(**stop)
    pipeline.succeed(job)
    pipeline.ends(first, "Stopped")
    assert pipeline.executions()[0]["stopTrigger"] == {"reason": "lunch"}
    assert pipeline.polled("stop") == []
    with refused("PipelineExecutionNotStoppableException"):
        world.api.stop_pipeline_execution(**stop)
    # What was stopped can go on: with the actions that did not run.
    world.api.retry_stage_execution(pipelineName=pipeline.name, stageName="Build", pipelineExecutionId=first,
                                    retryMode="FAILED_ACTIONS")
    job = pipeline.job("stop")
    assert job["data"]["pipelineContext"]["action"]["name"] == "Next"
    pipeline.succeed(job)
    pipeline.ends(first)


def test_stop_can_abandon_what_is_at_work(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="drop")]))
    first, job = pipeline.first(), pipeline.job("drop")
    second = pipeline.start()
    pipeline.waits("Build", second)
    world.api.stop_pipeline_execution(pipelineName=pipeline.name, pipelineExecutionId=first, abandon=True)
    assert pipeline.status(first) == "Stopped"
    assert pipeline.actions(first)[-1]["status"] == "Abandoned"
    with refused("InvalidJobStateException"):
        pipeline.succeed(job)
    # One that waits has nothing to finish.
    pipeline.job("drop")
    third = pipeline.start()
    pipeline.waits("Build", third)
    world.api.stop_pipeline_execution(pipelineName=pipeline.name, pipelineExecutionId=third)
    assert pipeline.status(third) == "Stopped"
    assert pipeline.stage("Build").get("inboundExecutions", []) == []


def test_a_disabled_transition_holds_executions_back(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="gate")]))
    pipeline.succeed(pipeline.job("gate"))
    pipeline.ends(pipeline.first())
    transition = {"pipelineName": pipeline.name, "stageName": "Build", "transitionType": "Inbound"}
    world.api.disable_stage_transition(**transition, reason="A freeze")
    second = pipeline.start()
    pipeline.waits("Build", second)
    state = pipeline.stage("Build")["inboundTransitionState"]
    assert (state["enabled"], state["disabledReason"]) == (False, "A freeze")
    third = pipeline.start()
    pipeline.ends(second, "Superseded")
    assert pipeline.polled("gate") == []
    world.api.enable_stage_transition(**transition)
    pipeline.succeed(pipeline.job("gate"))
    pipeline.ends(third)
    assert pipeline.stage("Build")["inboundTransitionState"]["enabled"] is True
    world.api.disable_stage_transition(**{**transition, "stageName": "Source", "transitionType": "Outbound"},
                                       reason="Another")
    fourth = pipeline.start()
    pipeline.waits("Build", fourth)
    with refused("StageNotFoundException"):
        world.api.enable_stage_transition(**{**transition, "stageName": "None"})


def test_a_stage_is_rolled_back_to_an_execution_that_was_good(world: World) -> None:
    good_commit = world.commit("A good one", "good")
    pipeline = world.pipeline(("Build", [world.build(project="back")]), ("After", [world.build(project="after")]))
    good = pipeline.first()
    pipeline.succeed(pipeline.job("back"))
    pipeline.succeed(pipeline.job("after"))
    pipeline.ends(good)
    world.commit("A bad one", "bad")
    bad = pipeline.start()
    pipeline.fail(pipeline.job("back"))
    pipeline.ends(bad, "Failed")
    back = {"pipelineName": pipeline.name, "stageName": "Build"}
    with refused("UnableToRollbackStageException"):
        world.api.rollback_stage(**back, targetPipelineExecutionId=bad)
    execution = world.api.rollback_stage(**back, targetPipelineExecutionId=good)["pipelineExecutionId"]
    job = pipeline.job("back")
    assert job["data"]["inputArtifacts"][0]["revision"] == good_commit
    pipeline.succeed(job)
    pipeline.ends(execution)
    shown = pipeline.execution(execution)
    assert shown["executionType"] == "ROLLBACK"
    assert shown["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": good}


# -- kinds of actions ------------------------------------------------------------------------------------------------

def test_an_approval_waits_for_a_person(world: World) -> None:
    sns, sqs = world.aws.client("sns"), world.aws.client("sqs")
    topic = sns.create_topic(Name=fresh("approvals"))["TopicArn"]
    queue = sqs.create_queue(QueueName=fresh("approvals"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    gate = action("Ask", "Approval/AWS/Manual/1", configuration={
        "NotificationArn": topic, "CustomData": "Look at #{SourceVariables.CommitId}",
        "ExternalEntityLink": "http://staging"}, timeoutInMinutes=30)
    pipeline = world.pipeline(("Ask", [gate]), ("Build", [world.build(project="asked")]))
    token = until(lambda: pipeline.action("Ask", "Ask").get("latestExecution", {}).get("token"))
    message = json.loads(until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]["Body"])
    assert message["approval"]["token"] == token
    assert message["approval"]["customData"] == f"Look at {world.tip}"
    assert token in message["approval"]["approvalReviewLink"]

    put = {"pipelineName": pipeline.name, "stageName": "Ask", "actionName": "Ask"}
    yes = {"status": "Approved", "summary": "Looks good"}
    with refused("InvalidApprovalTokenException"):
        world.api.put_approval_result(**put, token=UNKNOWN, result=yes)
    world.api.put_approval_result(**put, token=token, result=yes)
    with refused("ApprovalAlreadyCompletedException"):
        world.api.put_approval_result(**put, token=token, result=yes)
    state = pipeline.action("Ask", "Ask")["latestExecution"]
    assert (state["status"], state["summary"]) == ("Succeeded", "Looks good")
    assert "token" not in state
    pipeline.succeed(pipeline.job("asked"))
    pipeline.ends(pipeline.first())

    second = pipeline.start()
    token = until(lambda: pipeline.action("Ask", "Ask")["latestExecution"].get("token"))
    world.api.put_approval_result(**put, token=token, result={"status": "Rejected", "summary": "Too pink"})
    pipeline.ends(second, "Failed")
    assert "Too pink" in pipeline.actions(second)[-1]["output"]["executionResult"]["errorDetails"]["message"]


FUNCTION = """
import boto3, io, json, zipfile
client = boto3.client("codepipeline")
def handler(event, context):
    job = event["CodePipeline.job"]
    what = job["data"]["actionConfiguration"]["configuration"].get("UserParameters", "")
    if what == "raise":
        raise ValueError("a bad day")
    if what == "refuse":
        client.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": "not today"})
        return
    if what == "twice" and not job["data"].get("continuationToken"):
        client.put_job_success_result(jobId=job["id"], continuationToken="more")
        return
    keys = job["data"]["artifactCredentials"]
    s3 = boto3.client("s3", aws_access_key_id=keys["accessKeyId"], aws_secret_access_key=keys["secretAccessKey"],
                      aws_session_token=keys["sessionToken"])
    place = job["data"]["inputArtifacts"][0]["location"]["s3Location"]
    found = s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])["Body"].read()
    text = zipfile.ZipFile(io.BytesIO(found)).read("index.php").decode()
    client.put_job_success_result(
        jobId=job["id"], executionDetails={"summary": "read " + text, "externalExecutionId": context.aws_request_id},
        outputVariables={"Text": text, "Token": job["data"].get("continuationToken", "none")})
"""


@pytest.fixture(scope="module")
def function(world: World) -> str:
    name = fresh("report")
    world.aws.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Role=world.role, Handler="index.handler", Timeout=30,
        Code={"ZipFile": zipped(index__py=FUNCTION)})
    world.aws.client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    return name


@pytest.mark.parametrize(("what", "status", "said"), [
    ("", "Succeeded", ""), ("twice", "Succeeded", ""), ("refuse", "Failed", "not today"),
    ("raise", "Failed", "a bad day")])
def test_a_function_reports_as_a_worker_does(world: World, function: str, what: str, status: str, said: str) -> None:
    text = fresh("Called ")
    world.commit(text)
    configuration = {"FunctionName": function, **({"UserParameters": what} if what else {})}
    pipeline = world.pipeline(
        ("Call", [action("Report", "Invoke/AWS/Lambda/1", "Source", "", configuration, namespace="Report")]))
    pipeline.ends(pipeline.first(), status)
    output = pipeline.actions(pipeline.first())[-1]["output"]
    if status == "Failed":
        assert said in output["executionResult"]["errorDetails"]["message"]
        return
    assert output["executionResult"]["externalExecutionSummary"] == f"read {text}"
    assert output["outputVariables"] == {"Text": text, "Token": "more" if what == "twice" else "none"}


def test_a_function_that_is_missing_is_named(world: World) -> None:
    pipeline = world.pipeline(("Call", [action("Report", "Invoke/AWS/Lambda/1", configuration={
        "FunctionName": "nobody"})]))
    pipeline.ends(pipeline.first(), "Failed")
    details = pipeline.actions(pipeline.first())[-1]["output"]["executionResult"]["errorDetails"]
    assert details["code"] == "ConfigurationError"
    assert "nobody" in details["message"]


def test_an_object_in_s3_is_a_source(world: World) -> None:
    bucket = fresh("source-")
    world.s3.create_bucket(Bucket=bucket)
    source = action("Code", "Source/AWS/S3/1", "", "Source", {"S3Bucket": bucket, "S3ObjectKey": "an app/app.zip",
                                                            "PollForSourceChanges": "false"})
    declared = world.declaration(fresh("pipe"), ("Build", [world.build(project="object")]))
    declared["stages"][0]["actions"] = [source]
    pipeline = world.create(declared)
    pipeline.ends(pipeline.first(), "Failed")
    assert "NoSuchKey" in pipeline.actions(pipeline.first())[0]["output"]["executionResult"]["errorDetails"]["message"]
    world.s3.put_object(Bucket=bucket, Key="an app/app.zip", Body=zipped(index__php="one"))
    second = pipeline.start()
    pipeline.ends(second, "Failed")
    assert "versioning" in pipeline.actions(second)[0]["output"]["executionResult"]["errorDetails"]["message"]

    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [world.s3.put_object(Bucket=bucket, Key="an app/app.zip", Body=zipped(index__php=text))["VersionId"]
                for text in ("two", "three")]
    for wanted in (versions[1], versions[0]):
        named = [{"actionName": "Code", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": wanted}]
        execution = pipeline.start(sourceRevisions=named if wanted == versions[0] else [])
        job = pipeline.job("object")
        assert job["data"]["inputArtifacts"][0]["revision"] == wanted
        pipeline.succeed(job)
        pipeline.ends(execution)


def test_a_connection_says_that_it_cannot_be_used_here(world: World) -> None:
    declared = world.declaration(fresh("pipe"), ("Build", [world.build(project="github")]))
    declared["stages"][0]["actions"] = [action("Code", "Source/AWS/CodeStarSourceConnection/1", "", "Source", {
        "ConnectionArn": f"arn:aws:codestar-connections:us-east-1:000000000000:connection/{UNKNOWN}",
        "FullRepositoryId": "some/app", "BranchName": "main"})]
    pipeline = world.create(declared)
    pipeline.ends(pipeline.first(), "Failed")
    said = pipeline.actions(pipeline.first())[0]["output"]["executionResult"]["errorDetails"]["message"]
    assert "some/app" in said and "CodeCommit or S3" in said


def test_a_branch_that_is_missing_is_named(world: World) -> None:
    declared = world.declaration(fresh("pipe"), ("Build", [world.build(project="branch")]))
    declared["stages"][0]["actions"][0]["configuration"]["BranchName"] = "nowhere"
    pipeline = world.create(declared)
    pipeline.ends(pipeline.first(), "Failed")
    said = pipeline.actions(pipeline.first())[0]["output"]["executionResult"]["errorDetails"]
    assert said["code"] == "ConfigurationError"
    assert "no branch named nowhere" in said["message"]


# -- events ----------------------------------------------------------------------------------------------------------

def test_a_rule_starts_a_pipeline_and_hears_of_it(world: World) -> None:
    events, sqs = world.aws.client("events"), world.aws.client("sqs")
    pipeline = world.pipeline(("Build", [world.build(project="rule")]))
    pipeline.succeed(pipeline.job("rule"))
    pipeline.ends(pipeline.first())
    arn = world.api.get_pipeline(name=pipeline.name)["metadata"]["pipelineArn"]
    queue = sqs.create_queue(QueueName=fresh("heard"))["QueueUrl"]
    heard = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = fresh("heard")
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["aws.codepipeline"], "resources": [arn]}))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": heard}])
    start = fresh("start")
    rule_arn = events.put_rule(Name=start, EventPattern=json.dumps({
        "source": ["aws.codecommit"], "detail-type": ["CodeCommit Repository State Change"],
        "detail": {"event": ["referenceCreated", "referenceUpdated"], "referenceName": ["main"],
                   "repositoryName": [world.repository]}}))["RuleArn"]
    with refused("ValidationException", "RoleArn"):
        events.put_targets(Rule=start, Targets=[{"Id": "pipeline", "Arn": arn}])
    events.put_targets(Rule=start, Targets=[{"Id": "pipeline", "Arn": arn, "RoleArn": world.role}])
    commit = world.commit("By the rule")
    job = pipeline.job("rule")
    assert job["data"]["inputArtifacts"][0]["revision"] == commit
    execution = pipeline.executions()[0]
    assert execution["trigger"] == {"triggerType": "CloudWatchEvent", "triggerDetail": rule_arn}
    pipeline.fail(job, "the image does not build")
    pipeline.ends(execution["pipelineExecutionId"], "Failed")
    events.remove_targets(Rule=start, Ids=["pipeline"])

    told: list[tuple[str, str]] = []
    details: list[dict[str, Any]] = []

    def all_told() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail"]["execution-id"] == execution["pipelineExecutionId"]
            told.append((event["detail-type"].split()[1], event["detail"]["state"]))
            details.append(event["detail"])
        return len(told) >= 10

    until(all_told, f"only {told}")
    assert sorted(told) == sorted([
        ("Pipeline", "STARTED"), ("Stage", "STARTED"), ("Action", "STARTED"), ("Action", "SUCCEEDED"),
        ("Stage", "SUCCEEDED"), ("Stage", "STARTED"), ("Action", "STARTED"), ("Action", "FAILED"),
        ("Stage", "FAILED"), ("Pipeline", "FAILED")])
    failed = next(one for one in details if one.get("action") == "Release" and one["state"] == "FAILED")
    assert failed["execution-result"]["error-code"] == "JobFailed"
    stage = next(one for one in details if "failed-actions" in one)
    assert stage["failed-actions"] == [{"action": "Release", "additional-information": "the image does not build"}]


def test_of_ten_commits_at_once_the_last_is_released_and_none_is_lost(world: World) -> None:
    events = world.aws.client("events")
    pipeline = world.pipeline(("Build", [world.build(project="ten")]))
    pipeline.succeed(pipeline.job("ten"))
    pipeline.ends(pipeline.first())
    arn = world.api.get_pipeline(name=pipeline.name)["metadata"]["pipelineArn"]
    rule = fresh("ten")
    events.put_rule(Name=rule, EventPattern=json.dumps({
        "source": ["aws.codecommit"], "detail": {"repositoryName": [world.repository]}}))
    events.put_targets(Rule=rule, Targets=[{"Id": "pipeline", "Arn": arn, "RoleArn": world.role}])
    commits, released = [world.commit(fresh("One of ten "))], []
    # The first is at work while the others come.
    job = pipeline.job("ten")
    commits += [world.commit(fresh("One of ten ")) for _ in range(9)]
    until(lambda: len(pipeline.executions()) == 11)
    while True:
        assert pipeline.polled("ten") == [], "two of them at once"
        released.append(job["data"]["inputArtifacts"][0]["revision"])
        pipeline.succeed(job)
        if released[-1] == commits[-1] and pipeline.ends(pipeline.executions()[0]["pipelineExecutionId"]):
            break
        job = pipeline.job("ten")
    events.remove_targets(Rule=rule, Ids=["pipeline"])
    assert released[0] == commits[0]
    statuses = [one["status"] for one in pipeline.executions()]
    assert set(statuses) == {"Succeeded", "Superseded"}
    assert statuses[0] == "Succeeded"
    assert statuses.count("Succeeded") == len(released) + 1
    said = [one["statusSummary"] for one in pipeline.executions() if one["status"] == "Superseded"]
    assert all(one.startswith("Superseded by the execution ") for one in said)


# -- custom actions, tags, lists ---------------------------------------------------------------------------------------

def test_a_version_of_a_custom_action_is_used_once(world: World) -> None:
    world.make_type("gone")
    kind = {"category": "Build", "provider": world.provider, "version": "gone"}
    pipeline = world.pipeline(("Build", [world.build(version="gone", project="gone")]))
    first = pipeline.first()
    job = pipeline.job("gone", "gone")
    with refused("ValidationException", "exists already"):
        world.make_type("gone")
    world.api.delete_custom_action_type(**kind)
    with refused("ValidationException", "cannot be used again"):
        world.make_type("gone")
    with refused("ActionTypeNotFoundException"):
        pipeline.polled("gone", "gone")
    # What was taken before can still be reported; the next one fails.
    pipeline.succeed(job)
    pipeline.ends(first)
    second = pipeline.start()
    pipeline.ends(second, "Failed")
    assert "was deleted" in pipeline.actions(second)[-1]["output"]["executionResult"]["errorDetails"]["message"]
    listed = world.api.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    assert "gone" not in [one["id"]["version"] for one in listed if one["id"]["provider"] == world.provider]
    aws = world.api.list_action_types(actionOwnerFilter="AWS")["actionTypes"]
    assert {"CodeCommit", "Lambda", "Manual", "S3"} <= {one["id"]["provider"] for one in aws}


@pytest.mark.parametrize(("change", "said"), [
    ({"configurationProperties": [{"name": "A", "required": False, "key": True, "secret": False, "queryable": True}]},
     "must be required"),
    ({"configurationProperties": [{"name": "A", "required": True, "key": True, "secret": False}] * 2}, "same name"),
    ({"inputArtifactDetails": {"minimumCount": 2, "maximumCount": 1}}, "greater than"),
    ({"provider": "No blanks"}, "regular expression"), ({"version": "0123456789"}, "less than or equal to 9")])
def test_a_wrong_custom_action_is_refused(world: World, change: dict[str, Any], said: str) -> None:
    with refused("ValidationException", said):
        world.make_type(**{"version": "wrong", **change})


def test_tags_of_pipelines_and_custom_actions(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="tags")]))
    arn = world.api.get_pipeline(name=pipeline.name)["metadata"]["pipelineArn"]
    world.api.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    world.api.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert world.api.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    with refused("InvalidTagsException"):
        world.api.tag_resource(resourceArn=arn, tags=[{"key": "aws:a", "value": "1"}])
    with refused("TooManyTagsException"):
        world.api.tag_resource(resourceArn=arn, tags=[{"key": str(n), "value": ""} for n in range(60)])
    with refused("ResourceNotFoundException"):
        world.api.list_tags_for_resource(resourceArn=arn + "x")
    with refused("ValidationException"):
        world.api.list_tags_for_resource(resourceArn="arn:aws:s3:::bucket")


def test_another_structure_cancels_what_runs(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="change")]))
    first, job = pipeline.first(), pipeline.job("change")
    second = pipeline.start()
    pipeline.waits("Build", second)
    same = world.declaration(pipeline.name, ("Build", [world.build(project="change")]))
    world.api.update_pipeline(pipeline=same)
    assert pipeline.status(first) == "InProgress", "nothing about the structure changed"
    other = world.declaration(pipeline.name, ("Build", [world.build(project="changed")]))
    world.api.update_pipeline(pipeline=other)
    assert [pipeline.status(one) for one in (first, second)] == ["Cancelled", "Cancelled"]
    assert "definition was updated" in pipeline.execution(first)["statusSummary"]
    assert pipeline.actions(first)[-1]["status"] == "Abandoned"
    with refused("InvalidJobStateException"):
        pipeline.succeed(job)
    third = pipeline.start()
    pipeline.succeed(pipeline.job("changed"))
    pipeline.ends(third)


def test_versions_lists_and_deletion(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="list")]))
    declared = world.declaration(pipeline.name, ("Ship", [world.build(project="list")]))
    assert world.api.update_pipeline(pipeline=declared)["pipeline"]["version"] == 2
    assert world.api.get_pipeline(name=pipeline.name, version=1)["pipeline"]["stages"][1]["name"] == "Build"
    assert world.api.get_pipeline(name=pipeline.name)["pipeline"]["stages"][1]["name"] == "Ship"
    with refused("PipelineVersionNotFoundException"):
        world.api.get_pipeline(name=pipeline.name, version=3)
    assert len(pipeline.executions()) == 1, "an update starts nothing"
    pages = [page["pipelines"] for page in world.api.get_paginator("list_pipelines").paginate(
        PaginationConfig={"PageSize": 1})]
    assert pipeline.name in [one["name"] for page in pages for one in page]
    assert all(len(page) == 1 for page in pages)
    with refused("InvalidNextTokenException"):
        world.api.list_pipelines(nextToken="nonsense")
    with refused("PipelineNameInUseException"):
        world.api.create_pipeline(pipeline=declared)
    pipeline.start()
    job = until(lambda: pipeline.polled("list"))[0]
    world.api.delete_pipeline(name=pipeline.name)
    world.api.delete_pipeline(name=pipeline.name)
    with refused("JobNotFoundException"):
        world.api.get_job_details(jobId=job["id"])
    for call in (lambda: world.api.get_pipeline(name=pipeline.name), lambda: pipeline.start(),
                 lambda: world.api.get_pipeline_state(name=pipeline.name)):
        with refused("PipelineNotFoundException", pipeline.name):
            call()


def test_a_revision_that_somebody_tells_of_starts_the_pipeline(world: World) -> None:
    pipeline = world.pipeline(("Build", [world.build(project="told")]))
    pipeline.succeed(pipeline.job("told"))
    pipeline.ends(pipeline.first())
    put = {"pipelineName": pipeline.name, "stageName": "Source", "actionName": "Code"}
    revision = {"revisionId": "r1", "revisionChangeId": "c1", "created": time.time()}
    answer = world.api.put_action_revision(**put, actionRevision=revision)
    assert answer["newRevision"] is True
    assert pipeline.execution(answer["pipelineExecutionId"])["trigger"]["triggerType"] == "PutActionRevision"
    with refused("ActionNotFoundException"):
        world.api.put_action_revision(**{**put, "actionName": "None"}, actionRevision=revision)
