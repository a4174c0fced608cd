"""SCM and publisher of the plugin: poll, acknowledge, download, and after the steps upload and report."""

from __future__ import annotations

import html
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from xml.etree.ElementTree import Element

from .. import plugins, secret
from . import archives, credentials
from .aws import S3, CodePipeline, ServiceError
from .signing import Credentials

if TYPE_CHECKING:
    from ..controller import Controller
    from ..execution import Execution
    from ..jobs import Job

NEEDS_COMPRESS = ("0.48", "0.49")
WITHOUT_COMPRESS = "2.489"
NULL_FACTORY = ('java.lang.NullPointerException: Cannot invoke "com.amazonaws.codepipeline.jenkinsplugin.'
                'AWSClientFactory.getAwsClient(String, String, String, int, String, String)" because '
                '"this.awsClientFactory" is null')


class Listener(Protocol):
    def line(self, text: str = "") -> None: ...

    def plugin(self, text: str) -> None: ...


class Abort(Exception):
    """hudson.AbortException: the build fails with this message."""


class Interrupted(Exception):
    """InterruptedException: the build is aborted."""


class PluginError(Exception):
    """Any other exception of the plugin, by its class and message."""


def sanitize(text: str) -> str:
    """HTML, Java and SQL escapes, one after the other, as the plugin's Validation does it."""
    escaped = html.escape(text, quote=False).replace('"', "&quot;")
    return escaped.encode("unicode_escape").decode().replace("'", "''")


class Model:
    """The fields of the SCM, and what goes from the checkout to the publisher."""

    def __init__(self, scm: Element, home: Path) -> None:
        self.category = scm.findtext("actionTypeCategory")
        self.provider = scm.findtext("actionTypeProvider")
        self.version = scm.findtext("actionTypeVersion")
        self.region = scm.findtext("region")
        self.access_key = scm.findtext("awsAccessKey")
        found = scm.find("awsSecretKey")
        self.secret_key = None if found is None else secret.decrypt(home, found.text or "")
        self.clear = scm.findtext("clearWorkspace") == "true"
        self.factory = scm.find("awsClientFactory") is not None
        self.job: dict[str, Any] | None = None
        self.compression = "None"
        self.skip_result = False

    def credentials(self) -> Credentials:
        return credentials.find(self.access_key or "", self.secret_key or "")

    def codepipeline(self) -> CodePipeline:
        if not self.factory:
            raise PluginError(NULL_FACTORY)
        return CodePipeline(self.region or "us-east-1", self.credentials())

    def validate(self, project: str, listener: Listener) -> None:
        problems = []
        action = f"ActionType: Category: {self.category}, Provider: {self.provider}, Version: {self.version}"
        if not (self.category and self.provider and self.version and self.category.lower() != "please choose a category"
                and len(self.provider) <= 25 and len(self.version) <= 9):
            listener.plugin(action)
            problems.append(action)
        if self.access_key is None or self.secret_key is None or bool(self.access_key) != bool(self.secret_key):
            problems.append("Credentials are not valid")
        if not self.region:
            problems.append("The Region is not set to a valid region")
        if not project or len(project) > 20:
            problems.append(f"Project Name is not valid, Project Name: {project}")
            listener.plugin(problems[-1])
        if problems:
            raise PluginError("hudson.model.Failure: \nPlugin is not setup properly, you may be missing fields in the "
                              "configuration\n" + "\n".join(problems))


# -- the SCM ---------------------------------------------------------------------------------------------------------

def poll(controller: Controller, job: Job, scm: Element, listener: Listener) -> bool:
    model = Model(scm, controller.settings.home)
    project = sanitize(job.name.strip())
    listener.plugin(f"Polling for jobs for action type id: [Owner: Custom, Category: {model.category}, "
                    f"Provider: {model.provider}, Version: {model.version}, ProjectName: {job.name}] "
                    f"in AWS region {model.region}")
    model.validate(project, listener)
    # So that not all jobs ask AWS at the same moment.
    if controller.ended.wait(random.uniform(0, controller.settings.jitter_seconds)):
        return False
    answer = model.codepipeline().call("PollForJobs", {
        "actionTypeId": {"category": model.category, "owner": "Custom", "provider": model.provider,
                         "version": model.version},
        "maxBatchSize": 1, "queryParam": {"ProjectName": project}})
    jobs = answer.get("jobs") or []
    if not jobs:
        listener.plugin("No jobs found.")
        return False
    # The one field: what was in it before is gone.
    job.pipeline_job = jobs[0]
    listener.plugin(f"Received job with ID: {jobs[0]['id']}")
    return True


def checkout(execution: Execution, model: Model) -> None:
    console, job = execution.console, execution.job
    if model.category not in ("Build", "Test", "Please Choose A Category"):
        raise PluginError(f"java.lang.IllegalArgumentException: Cannot create enum from {model.category} value!")
    model.job = job.pipeline_job
    if model.job is None:
        # "Build now", or a new job's first build: there is nothing to take.
        return
    identifier = model.job["id"]
    console.plugin(f"Job '{identifier}' received")
    client = model.codepipeline()
    try:
        answer = client.call("AcknowledgeJob", {"jobId": identifier, "nonce": model.job["nonce"]})
    except ServiceError as error:
        if error.code != "InvalidNonceException":
            raise
        model.skip_result = True
        raise Abort(f"Job with ID {identifier} was already acknowledged") from error
    if answer.get("status") != "InProgress":
        model.skip_result = True
        raise Abort(f"Failed to acknowledge job with ID: {identifier}")
    console.plugin(f"Acknowledged job with ID: {identifier}")
    _check_libraries(execution)
    _download(execution, model, client)


def _check_libraries(execution: Execution) -> None:
    """0.48 and 0.49 want commons-compress from Jenkins, which has none any more: found out only here."""
    found = execution.controller.plugins.active("aws-codepipeline")
    gone = not plugins.older(execution.controller.settings.version, WITHOUT_COMPRESS)
    if found and found.version in NEEDS_COMPRESS and gone:
        raise PluginError("java.lang.NoClassDefFoundError: org/apache/commons/compress/archivers/ArchiveInputStream")


def _download(execution: Execution, model: Model, client: CodePipeline) -> None:
    console, workspace = execution.console, execution.workspace
    assert model.job is not None
    if model.clear:
        console.plugin(f"Clearing workspace '{workspace}' before download")
        for path in workspace.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    artifacts = model.job["data"].get("inputArtifacts") or []
    s3 = S3(model.region or "us-east-1", _job_credentials(client, model)) if artifacts else None
    for artifact in artifacts:
        assert s3 is not None
        location = artifact["location"]["s3Location"]
        bucket, key = location["bucketName"], location["objectKey"]
        # What S3 refuses ends the build outside of the plugin's own words.
        with s3.get(bucket, key) as answer:
            model.compression = archives.kind_of(key, answer.headers.get("Content-Type", ""))
            console.plugin(f"Detected compression type: {model.compression}")
            _unpack(execution, answer, workspace / Path(key).name, model.compression)


def _unpack(execution: Execution, answer: Any, packed: Path, kind: str) -> None:
    console = execution.console
    try:
        try:
            S3.save(answer, packed)
            console.plugin("Successfully downloaded artifact from AWS CodePipeline")
            console.plugin(f"Extracting '{packed}' to '{execution.workspace}'")
            archives.extract(packed, execution.workspace, kind, execution.home)
            console.plugin("Artifact uncompressed successfully")
        finally:
            packed.unlink(missing_ok=True)
    except Exception as error:
        console.plugin(f"Failed to acquire artifacts: {error}")
        raise Interrupted(f"Failed to acquire artifacts: {error}") from error


def _job_credentials(client: CodePipeline, model: Model) -> Credentials:
    """Fresh ones: those of the poll may be too old by now."""
    assert model.job is not None
    details = client.call("GetJobDetails", {"jobId": model.job["id"]})
    given = details["jobDetails"]["data"]["artifactCredentials"]
    return Credentials(given["accessKeyId"], given["secretAccessKey"], given.get("sessionToken", ""))


# -- the publisher ---------------------------------------------------------------------------------------------------

def publish(execution: Execution, publisher: Element, model: Model | None, result: str) -> bool:
    """Whether the build may count as good; PluginError and the errors of AWS end the step."""
    console = execution.console
    succeeded = result == "SUCCESS"
    if model is None:
        console.plugin("Error with Model Thread Handling")
        return False
    if model.skip_result:
        console.plugin("Skipping PutJobFailureResult call for the job with ID "
                       f"{model.job['id'] if model.job else None}")
        return False
    if publisher.find("awsClientFactory") is None:
        # Nobody tells the pipeline how it went: its action waits until its timeout.
        raise PluginError(NULL_FACTORY)
    if model.job is None:
        console.plugin("No Job, returning early")
        return succeeded
    client = CodePipeline(model.region or "us-east-1", model.credentials())
    error = {"Build": "Build failed", "Test": "Tests failed"}.get(model.category or "", "Failed")
    reported = succeeded
    try:
        console.plugin("Publishing artifacts")
        _upload(execution, publisher, model, client, succeeded)
    except Exception as problem:
        said = problem.message if isinstance(problem, ServiceError) else str(problem)
        error, reported = f"Failed to upload output artifact(s): {said}", False
        console.plugin(str(problem))
    _report(client, model.job["id"], str(execution.build.number), reported, error, console)
    return reported


def _upload(execution: Execution, publisher: Element, model: Model, client: CodePipeline, succeeded: bool) -> None:
    assert model.job is not None
    data = model.job["data"]
    wanted = data.get("outputArtifacts") or []
    outputs = [(item.findtext("location") or "", item.findtext("artifactName") or "")
               for item in publisher.iterfind("outputArtifacts/*")]
    pipeline = data.get("pipelineContext") or {}
    where = (f"[Pipeline: {pipeline.get('pipelineName')}, stage: {(pipeline.get('stage') or {}).get('name')}, "
             f"action: {(pipeline.get('action') or {}).get('name')}].")
    if len(wanted) != len(outputs):
        raise PluginError("The number of output artifacts in the Jenkins project and in the pipeline action do not "
                          "match. Configure the output locations of your Jenkins project to match the pipeline "
                          "action's output artifacts. "
                          f"Number of output locations in Jenkins project: {len(outputs)}, number of output "
                          f"artifacts in the pipeline action: {len(wanted)} {where}")
    names = {name for _, name in outputs if name}
    if names and names != {artifact["name"] for artifact in wanted}:
        raise PluginError("Artifact names in the Jenkins project do not match output artifacts in the pipeline action. "
                          "Either configure the artifact name of each location to match output artifacts for the "
                          f"pipeline action, or leave the field blank. {where}")
    if not outputs or not succeeded:
        return
    s3 = S3(model.region or "us-east-1", _job_credentials(client, model))
    key = data.get("encryptionKey") or {}
    for number, (location, name) in enumerate(outputs):
        artifact = next((one for one in wanted if one["name"] == name), wanted[number])
        place = artifact["location"]["s3Location"]
        path = execution.workspace / location if str(execution.workspace) not in location else Path(location)
        execution.console.plugin(f"Compressing directory '{path}' as a "
                                 f"'{model.compression if model.compression != 'None' else 'Zip'}' archive")
        with tempfile.TemporaryDirectory(prefix=f"{execution.job.name}-") as folder:
            packed = Path(folder) / "artifact"
            archives.compress(path, packed, model.compression)
            execution.console.plugin(f"Uploading artifact: {artifact['name']}, file: {packed}")
            s3.upload(place["bucketName"], place["objectKey"], packed,
                      archives.UPLOADED.get(model.compression, "application/zip"),
                      key.get("id", "") if key.get("type") == "KMS" else "")
        execution.console.plugin("Upload successful")


def _report(client: CodePipeline, job: str, build: str, good: bool, error: str, console: Listener) -> None:
    if good:
        console.plugin(f"Build succeeded, calling PutJobSuccessResult for job with ID: {job}")
        client.call("PutJobSuccessResult", {"jobId": job, "executionDetails": {
            "summary": "Finished", "externalExecutionId": build}})
    else:
        console.plugin(f"Build failed, calling PutJobFailureResult for job with ID: {job}")
        client.call("PutJobFailureResult", {"jobId": job, "failureDetails": {
            "type": "JobFailed", "message": error, "externalExecutionId": build}})
