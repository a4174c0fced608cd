"""For tests of the embedded CodePipeline: pipelines, workers, and clients that check every answer with the model."""

from __future__ import annotations

import io
import itertools
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from tests.integration.conftest import EmbeddedAws

Json = dict[str, Any]
SECONDS = 60
_numbers = itertools.count(int(time.time()) % 100_000)


def fresh(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}{next(_numbers)}"


def until(what: Callable[[], Any], message: str = "it did not happen") -> Any:
    """Wait for the first true answer."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(message)


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as pack:
        for name, text in files.items():
            pack.writestr(name.replace("__", "."), text)
    return content.getvalue()


def checked(client: Any) -> Any:
    """The client, with every answer held against the service's model: nothing missing, nothing unknown, and no error
    that the operation does not have."""

    def check(http_response: Any, parsed: Json, model: Any, **_more: Any) -> None:
        if http_response.status_code >= 400:
            known = {shape.name for shape in model.error_shapes} | {"ValidationException"}
            assert parsed["Error"]["Code"] in known, f"{model.name} has no error {parsed['Error']}"
            return
        answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
        if model.output_shape is None:
            assert not answer
            return
        report = ParamValidator().validate(answer, model.output_shape)
        assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
        assert not list(_unknown(model.output_shape, json.loads(http_response.content or b"{}"))), model.name

    client.meta.events.register("after-call.codepipeline", check)
    return client


def _unknown(shape: Any, value: Any) -> Iterator[str]:
    if shape.type_name == "structure":
        yield from (name for name in value if name not in shape.members)
        for name, member in shape.members.items():
            if name in value:
                yield from _unknown(member, value[name])
    elif shape.type_name == "list":
        for item in value:
            yield from _unknown(shape.member, item)


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """The call is refused with this error, which says these words."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code, caught.value
    for word in words:
        assert word in caught.value.response["Error"]["Message"], caught.value


def action(name: str, kind: str, inputs: str = "", outputs: str = "", configuration: Json | None = None,
           **more: Any) -> Json:
    """kind: category/owner/provider/version. inputs, outputs: names with blanks between them."""
    category, owner, provider, version = kind.split("/")
    return {"name": name, "actionTypeId": {"category": category, "owner": owner, "provider": provider,
                                           "version": version},
            "configuration": configuration or {}, "inputArtifacts": [{"name": one} for one in inputs.split()],
            "outputArtifacts": [{"name": one} for one in outputs.split()], **more}


class World:
    """One account with a bucket, a role, a custom action and a repository."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.api = checked(aws.client("codepipeline"))
        self.s3, self.commits = aws.client("s3"), aws.client("codecommit")
        self.bucket = fresh("artifacts-")
        self.s3.create_bucket(Bucket=self.bucket)
        self.role = self.make_role(fresh("pipeline-"))
        self.provider = fresh("Jenkins")
        self.make_type("1")
        self.repository = fresh("app")
        self.commits.create_repository(repositoryName=self.repository)
        self.tip = ""
        self.commit("The first")

    def make_role(self, name: str) -> str:
        trust = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"Service": ["codepipeline.amazonaws.com", "events.amazonaws.com", "lambda.amazonaws.com"]}}]}
        role = self.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        return str(role["Role"]["Arn"])

    def make_type(self, version: str, **more: Any) -> None:
        url = "http://jenkins/job/{Config:ProjectName}"
        self.api.create_custom_action_type(**{
            "category": "Build", "provider": self.provider, "version": version,
            "configurationProperties": [
                {"name": "ProjectName", "required": True, "key": True, "secret": False, "queryable": True},
                {"name": "Note", "required": False, "key": False, "secret": False},
                {"name": "Password", "required": False, "key": False, "secret": True}],
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
            "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
            "settings": {"entityUrlTemplate": url, "executionUrlTemplate": url + "/{ExternalExecutionId}"}, **more})

    def commit(self, message: str, content: str = "") -> str:
        parent = {"parentCommitId": self.tip} if self.tip else {}
        self.tip = self.commits.put_file(
            repositoryName=self.repository, branchName="main", filePath="index.php", commitMessage=message,
            fileContent=(content or message).encode(), **parent)["commitId"]
        return self.tip

    def source(self, **more: Any) -> Json:
        return action("Code", "Source/AWS/CodeCommit/1", "", "Source", {
            "RepositoryName": self.repository, "BranchName": "main", "PollForSourceChanges": "false"},
            namespace="SourceVariables", **more)

    def build(self, name: str = "Release", project: str = "app", version: str = "1", inputs: str = "Source",
              outputs: str = "", **more: Any) -> Json:
        configuration = {"ProjectName": project, **more.pop("configuration", {})}
        return action(name, f"Build/Custom/{self.provider}/{version}", inputs, outputs, configuration, **more)

    def declaration(self, name: str, *stages: tuple[str, list[Json]], mode: str = "SUPERSEDED", **more: Any) -> Json:
        """Source, and then these stages."""
        return {"name": name, "roleArn": self.role, "pipelineType": "V2", "executionMode": mode,
                "artifactStore": {"type": "S3", "location": self.bucket},
                "stages": [{"name": "Source", "actions": [self.source()]},
                           *({"name": stage, "actions": actions} for stage, actions in stages)], **more}

    def pipeline(self, *stages: tuple[str, list[Json]], mode: str = "SUPERSEDED", **more: Any) -> Pipeline:
        """One that exists, with the execution that its creation started."""
        return self.create(self.declaration(fresh("pipe"), *stages, mode=mode, **more))

    def create(self, declared: Json) -> Pipeline:
        self.api.create_pipeline(pipeline=declared)
        return Pipeline(self, declared["name"])


class Pipeline:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.api, self.name = world, world.api, name

    # -- executions --------------------------------------------------------------------------------------------------

    def start(self, **more: Any) -> str:
        return str(self.api.start_pipeline_execution(name=self.name, **more)["pipelineExecutionId"])

    def executions(self) -> list[Json]:
        """Newest first."""
        return list(self.api.list_pipeline_executions(pipelineName=self.name)["pipelineExecutionSummaries"])

    def first(self) -> str:
        return str(self.executions()[-1]["pipelineExecutionId"])

    def execution(self, execution: str) -> Json:
        return dict(self.api.get_pipeline_execution(pipelineName=self.name, pipelineExecutionId=execution)[
            "pipelineExecution"])

    def status(self, execution: str) -> str:
        return str(self.execution(execution)["status"])

    def ends(self, execution: str, *statuses: str) -> str:
        """Wait for one of these."""
        return str(until(lambda: (found := self.status(execution)) in (statuses or ("Succeeded",)) and found,
                         f"{execution} did not become {statuses}"))

    # -- stages and actions ------------------------------------------------------------------------------------------

    def stage(self, name: str) -> Json:
        state = self.api.get_pipeline_state(name=self.name)
        return next(dict(one) for one in state["stageStates"] if one["stageName"] == name)

    def action(self, stage: str, name: str) -> Json:
        return next(dict(one) for one in self.stage(stage)["actionStates"] if one["actionName"] == name)

    def actions(self, execution: str) -> list[Json]:
        """In the order in which they started."""
        found = self.api.list_action_executions(pipelineName=self.name, filter={"pipelineExecutionId": execution})
        return list(reversed(found["actionExecutionDetails"]))

    def waits(self, stage: str, execution: str) -> None:
        def inbound() -> list[str]:
            return [one["pipelineExecutionId"] for one in self.stage(stage).get("inboundExecutions", [])]

        until(lambda: execution in inbound(), f"{execution} does not wait at {stage}")

    # -- the worker --------------------------------------------------------------------------------------------------

    def polled(self, project: str = "app", version: str = "1", most: int = 1) -> list[Json]:
        """What a poll gives now."""
        return list(self.api.poll_for_jobs(
            actionTypeId={"category": "Build", "owner": "Custom", "provider": self.world.provider, "version": version},
            queryParam={"ProjectName": project}, maxBatchSize=most)["jobs"])

    def job(self, project: str = "app", version: str = "1") -> Json:
        """The next job, acknowledged."""
        job: Json = until(lambda: self.polled(project, version), "no job came")[0]
        answer = self.api.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        assert answer["status"] == "InProgress"
        return job

    def succeed(self, job: Json, **more: Any) -> None:
        self.api.put_job_success_result(jobId=job["id"], **more)

    def fail(self, job: Json, message: str = "the container exited with 1", kind: str = "JobFailed",
             **more: Any) -> None:
        self.api.put_job_failure_result(jobId=job["id"], failureDetails={"type": kind, "message": message, **more})


def artifact_client(aws: EmbeddedAws, job: Json) -> Any:
    """S3 with the credentials that a job brings."""
    import boto3

    given = job["data"]["artifactCredentials"]
    return boto3.client("s3", endpoint_url=aws.env["AWS_ENDPOINT_URL"], region_name=aws.env["AWS_REGION"],
                        aws_access_key_id=given["accessKeyId"], aws_secret_access_key=given["secretAccessKey"],
                        aws_session_token=given["sessionToken"])


def place(artifact: Json) -> Json:
    location = artifact["location"]["s3Location"]
    return {"Bucket": location["bucketName"], "Key": location["objectKey"]}
