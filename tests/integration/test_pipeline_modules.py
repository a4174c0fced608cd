"""codecommit_seed, pipeline_execution and the templates of the pipeline, on the embedded AWS: real commits, executions,
functions and weights."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import pytest

from slipway.aws.session import Aws
from slipway.errors import SlipwayError
from slipway.pipeline import action_prune, action_version, execution, seed
from slipway.progress import Progress
from tests.contract.test_pipeline_template import source_of
from tests.integration.conftest import EmbeddedAws

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "files" / "cloudformation"
RECORD = {"verdict": "completed", "changed": True, "tag": "20261123-085347", "digest": "sha256:" + "2" * 64,
          "commit": "3f2c9a1" + "0" * 33, "seconds": 8.2, "build_url": "http://jenkins/job/shop/7/"}
Json = dict[str, Any]
_count = iter(range(10_000))


@pytest.fixture(autouse=True)
def environment(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)


def fresh(prefix: str) -> str:
    return f"{prefix}{next(_count)}"


def until(what: Callable[[], Any], message: str) -> Any:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(message)


def sown(repository: str, folder: Path, check_mode: bool = False) -> Json:
    return seed.seed(Aws(), repository, "main", str(folder), "of a test", Progress(), check_mode)


def files_of(aws: EmbeddedAws, repository: str, tmp_path: Path) -> Path:
    """A clone, as anybody makes it."""
    place = tmp_path / fresh("clone")
    url = f"{aws.env['AWS_ENDPOINT_URL']}/v1/repos/{repository}"
    subprocess.run(["git", "clone", "--quiet", url, place], check=True)
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = tmp_path / "app"
    (one / "bin").mkdir(parents=True)
    (one / "Dockerfile").write_text("FROM scratch\n")
    (one / "bin" / "start").write_text("#!/bin/sh\n")
    (one / "bin" / "start").chmod(0o755)
    (one / "link").symlink_to("bin/start")
    return one


# -- seeding ---------------------------------------------------------------------------------------------------------

def test_a_folder_becomes_the_first_commit_and_only_changes_make_another(aws: EmbeddedAws, folder: Path,
                                                                         tmp_path: Path) -> None:
    name = fresh("seed")
    foretold = sown(name, folder, check_mode=True)
    assert foretold["changed"] and foretold["commit"] is None and "bin/start: executable" in foretold["diff"]["after"]
    assert name not in str(aws.client("codecommit").list_repositories())

    first = sown(name, folder)
    clone = files_of(aws, name, tmp_path)
    assert (clone / "bin" / "start").stat().st_mode & 0o111
    assert (clone / "link").readlink() == Path("bin/start")
    assert subprocess.run(["git", "-C", clone, "log", "--format=%an %H"], capture_output=True, text=True,
                          check=True).stdout.split() == ["slipway", first["commit"]]

    again = sown(name, folder)
    assert (again["changed"], again["commit"]) == (False, first["commit"])
    assert sum(again["api_calls"].values()) == 3

    (folder / "Dockerfile").write_text("FROM scratch\nCMD [\"/start\"]\n")
    (folder / "bin" / "start").unlink()
    (folder / "link").unlink()
    (folder / "bin" / "run").write_text("#!/bin/sh\n")
    second = sown(name, folder)
    assert second["changed"] and second["commit"] != first["commit"]
    assert [line.split(":")[0] for line in second["diff"]["before"].splitlines()] == ["Dockerfile", "bin/start", "link"]
    assert [line.split(":")[0] for line in second["diff"]["after"].splitlines()] == ["Dockerfile", "bin/run"]
    clone = files_of(aws, name, tmp_path)
    assert sorted(str(p.relative_to(clone)) for p in clone.rglob("*") if p.is_file() and ".git" not in p.parts) == [
        "Dockerfile", "bin/run"]


def test_somebodys_commit_is_left_alone_and_so_is_their_repository(aws: EmbeddedAws, folder: Path) -> None:
    name = fresh("theirs")
    first = sown(name, folder)
    theirs = aws.client("codecommit").put_file(
        repositoryName=name, branchName="main", filePath="index.php", fileContent=b"pink", name="ann",
        parentCommitId=first["commit"])["commitId"]
    (folder / "Dockerfile").write_text("changed\n")
    left = sown(name, folder)
    assert (left["changed"], left["foreign"], left["author"], left["commit"]) == (False, True, "ann", theirs)
    assert "left alone" in left["msg"] and "ann" in left["msg"]

    kept = seed.remove(Aws(), name, force=False, check_mode=False)
    assert not kept["changed"] and "holds the work of ann" in kept["msg"]
    assert seed.remove(Aws(), name, force=True, check_mode=False)["changed"]
    assert not seed.remove(Aws(), name, force=True, check_mode=False)["changed"]


def test_a_repository_of_seeds_goes_with_the_pipeline(aws: EmbeddedAws, folder: Path) -> None:
    name = fresh("ours")
    sown(name, folder)
    assert seed.remove(Aws(), name, force=False, check_mode=True)["changed"]
    assert seed.remove(Aws(), name, force=False, check_mode=False)["changed"]
    assert name not in str(aws.client("codecommit").list_repositories())


def test_a_repository_with_another_first_branch_is_somebodys(aws: EmbeddedAws, folder: Path) -> None:
    name, commits = fresh("other"), aws.client("codecommit")
    commits.create_repository(repositoryName=name)
    commits.put_file(repositoryName=name, branchName="trunk", filePath="a", fileContent=b"a", name="bob")
    left = sown(name, folder)
    assert not left["changed"] and left["foreign"] and "trunk" in left["msg"]


def test_many_files_appear_at_once_also_after_a_kill(aws: EmbeddedAws, folder: Path, tmp_path: Path) -> None:
    name, commits = fresh("many"), aws.client("codecommit")
    for number in range(210):
        place = folder / f"d{number % 7}" / f"f{number}"
        place.parent.mkdir(exist_ok=True)
        place.write_text(str(number))
    code = ("import sys\nfrom slipway.aws.session import Aws\nfrom slipway.pipeline import seed\n"
            "from slipway.progress import Progress\n"
            "seed.seed(Aws(), sys.argv[1], 'main', sys.argv[2], '', Progress(), False)\n")
    child = subprocess.Popen([sys.executable, "-c", code, name, str(folder)],
                             env={**os.environ, "PYTHONPATH": str(ROOT / "module_utils")})

    def branches() -> list[str]:
        try:
            return list(commits.list_branches(repositoryName=name)["branches"])
        except commits.exceptions.RepositoryDoesNotExistException:
            return []

    until(lambda: "slipway-seed" in branches(), "nothing was committed")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert branches() == ["slipway-seed"], "the kill came too late"

    done = sown(name, folder)
    assert branches() == ["main"]
    assert commits.get_repository(repositoryName=name)["repositoryMetadata"]["defaultBranch"] == "main"
    clone = files_of(aws, name, tmp_path)
    assert len([p for p in clone.rglob("*") if (p.is_file() or p.is_symlink()) and ".git" not in p.parts]) == 213
    # Nobody's event showed a half of it.
    assert commits.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"] == done["commit"]

    for number in range(210):
        (folder / f"d{number % 7}" / f"f{number}").write_text(f"{number} again")
    assert sown(name, folder)["changed"]
    assert branches() == ["main"]
    assert not sown(name, folder)["changed"]


# -- the templates ---------------------------------------------------------------------------------------------------

class Stage:
    """A pipeline of the template, with a worker in Jenkins' place."""

    def __init__(self, aws: EmbeddedAws, folder: Path, **parameters: str) -> None:
        self.aws, self.api = aws, aws.client("codepipeline")
        self.app, self.provider = fresh("shop"), fresh("Jenkins")
        self.name = f"{self.app}-pipeline"
        self.commit = sown(self.app, folder)["commit"]
        if parameters.get("PipelineMock") != "true":
            made(aws, fresh("action"), "pipeline_action.yml", ActionProvider=self.provider, ActionVersion="v1",
                 JenkinsURL="http://jenkins")
        self.outputs = made(aws, self.name, "pipeline.yml", AppName=self.app, CreateRepository="false",
                            ActionProvider=self.provider, ActionVersion="v1", **parameters)

    def job(self, project: str) -> Json:
        """The next job for this project, acknowledged."""
        kind = {"category": "Build", "owner": "Custom", "provider": self.provider, "version": "v1"}
        job = until(lambda: self.api.poll_for_jobs(actionTypeId=kind, queryParam={"ProjectName": project})["jobs"],
                    f"no job for {project}")[0]
        self.api.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        return dict(job)

    def release(self, project: str, content: bytes | None = None, **record: Any) -> Json:
        """Does what Jenkins does: uploads release.json, reports success."""
        job = self.job(project)
        if content is None:
            packed = BytesIO()
            with zipfile.ZipFile(packed, "w") as pack:
                pack.writestr("release.json", json.dumps({**RECORD, **record}))
            content = packed.getvalue()
        given = job["data"]["artifactCredentials"]
        import boto3

        place = job["data"]["outputArtifacts"][0]["location"]["s3Location"]
        boto3.client("s3", endpoint_url=self.aws.env["AWS_ENDPOINT_URL"], region_name=self.aws.env["AWS_REGION"],
                     aws_access_key_id=given["accessKeyId"], aws_secret_access_key=given["secretAccessKey"],
                     aws_session_token=given["sessionToken"]).put_object(
            Bucket=place["bucketName"], Key=place["objectKey"], Body=content, ServerSideEncryption="aws:kms")
        self.api.put_job_success_result(jobId=job["id"],
                                        executionDetails={"summary": "Finished", "externalExecutionId": "7"})
        return job

    def follow(self, **more: Any) -> Json:
        return execution.follow(Aws(), execution.Request(self.name, wait_timeout=120, **more), Progress())

    @contextmanager
    def closed(self, stage: str) -> Iterator[None]:
        """Within the block no execution enters the stage."""
        way = {"pipelineName": self.name, "stageName": stage, "transitionType": "Inbound"}
        self.api.disable_stage_transition(**way, reason="a test is at work")
        try:
            yield
        finally:
            self.api.enable_stage_transition(**way)

    def artifact(self, execution_id: str) -> dict[str, str]:
        """Where the source's is, once it is there."""
        def lies() -> list[Json]:
            found = self.api.list_action_executions(pipelineName=self.name, filter={
                "pipelineExecutionId": execution_id})["actionExecutionDetails"]
            return [one for action in found if action["status"] == "Succeeded"
                    for one in action["output"]["outputArtifacts"]]

        where = until(lies, "the source was not taken")[0]["s3location"]
        return {"Bucket": where["bucket"], "Key": where["key"]}

    def look(self, commit: str) -> Json:
        return execution.follow(Aws(), execution.Request(self.name, commit=commit), Progress(), check_mode=True)

    def approve(self) -> None:
        action = self.action("Approval", "Approve")
        self.api.put_approval_result(pipelineName=self.name, stageName="Approval", actionName="Approve",
                                     token=action["token"], result={"summary": "go", "status": "Approved"})

    def action(self, stage: str, name: str) -> Json:
        for one in self.api.get_pipeline_state(name=self.name)["stageStates"]:
            for action in one["actionStates"]:
                if (one["stageName"], action["actionName"]) == (stage, name):
                    return dict(action.get("latestExecution", {}))
        raise AssertionError(f"no action {stage}/{name}")


def made(aws: EmbeddedAws, stack: str, file: str, **parameters: str) -> dict[str, str]:
    """A stack, created or updated. Its outputs."""
    api = aws.client("cloudformation")
    request = {"StackName": stack, "TemplateBody": (TEMPLATES / file).read_text(), "Capabilities": ["CAPABILITY_IAM"],
               "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]}
    known = stack in [s["StackName"] for s in api.describe_stacks()["Stacks"]]
    (api.update_stack if known else api.create_stack)(**request)
    found = until(lambda: (s := api.describe_stacks(StackName=stack)["Stacks"][0])["StackStatus"].endswith(
        ("COMPLETE", "FAILED")) and s, f"{stack} does not end")
    why = [e.get("ResourceStatusReason") for e in api.describe_stack_events(StackName=stack)["StackEvents"]
           if e["ResourceStatus"].endswith("_FAILED")]
    assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), why
    return {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}


def sources(aws: EmbeddedAws) -> str:
    """A bucket for sources of one's own."""
    name, s3 = fresh("sources-"), aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def with_names(*names: str) -> bytes:
    """A zip of files of these names."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as pack:
        for name in names:
            pack.writestr(name, "x")
    return packed.getvalue()


class Application(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Application.status = 200
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_model_of_the_pipeline_passes_all_its_stages(aws: EmbeddedAws, folder: Path) -> None:
    stage = Stage(aws, folder, PipelineMock="true", StagingEnabled="true", ApprovalEnabled="true",
                  ProductionEnabled="true", HostedZoneId="Z1", RecordName="shop.example.com")
    assert stage.outputs["PipelineName"] == stage.name
    assert f"/pipelines/{stage.name}/view" in stage.outputs["PipelineUrl"]
    waiting = stage.follow(commit=stage.commit)
    assert waiting["status"] == "InProgress" and "waits for an approval" in waiting["msg"]
    stage.approve()
    found = stage.follow(execution_id=waiting["execution_id"], approval=True)
    assert (found["status"], found["commit"], found["changed"]) == ("Succeeded", stage.commit, False)
    assert [f"{a['stage']}/{a['action']}" for a in found["actions"]] == [
        "Source/Source", "Build/Check", "Build/Release", "Build/Report", "Staging/Release", "Staging/Report",
        "Staging/Test", "Approval/Approve", "Production/Release", "Production/Report", "Production/Test",
        "Production/Traffic"]
    assert {a["status"] for a in found["actions"]} == {"Succeeded"}

    # A commit starts the next one by its event; nothing polls.
    (folder / "Dockerfile").write_text("changed\n")
    commit = sown(stage.app, folder)["commit"]
    assert stage.follow(commit=commit)["commit"] == commit


def test_a_release_is_reported_and_promoted_and_the_traffic_follows(aws: EmbeddedAws, folder: Path, url: str) -> None:
    dns = aws.client("route53")
    zone = dns.create_hosted_zone(Name="example.com", CallerReference=fresh("zone"))["HostedZone"]["Id"]
    zone = zone.rpartition("/")[2]

    def weights() -> dict[str, int]:
        return {r["SetIdentifier"]: r["Weight"] for r in dns.list_resource_record_sets(
            HostedZoneId=zone)["ResourceRecordSets"] if "Weight" in r}

    for name, weight in (("production", 10), ("before", 90)):
        dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{
            "Action": "CREATE", "ResourceRecordSet": {
                "Name": "shop.example.com", "Type": "CNAME", "SetIdentifier": name, "Weight": weight, "TTL": 60,
                "ResourceRecords": [{"Value": f"{name}.example.com"}]}}]})
    stage = Stage(aws, folder, StagingEnabled="true", StagingProjectName="shop-stg", ProductionEnabled="true",
                  ProductionProjectName="shop-prd", HostedZoneId=zone, RecordName="shop.example.com",
                  RecordTestUrl=f"{url}/record", TestSeconds="1", TestPath="/health")

    # All is well: the weights move.
    first = stage.release(stage.app, url=url)
    assert first["data"]["inputArtifacts"][0]["name"] == "Source"
    promoted = stage.release("shop-stg", url=url)
    assert promoted["data"]["inputArtifacts"][0]["name"] == "Release"
    stage.release("shop-prd", url=url)
    found = stage.follow(commit=stage.commit)
    told = {f"{a['stage']}/{a['action']}": a for a in found["actions"]}
    assert told["Build/Report"]["summary"] == (
        f"Released 3f2c9a1 as 20261123-085347 (sha256:222222222222) in 8.2 s: {url}\nThe build: {RECORD['build_url']}")
    assert told["Build/Check"]["summary"] == "A zip of 4 files and folders."
    assert told["Staging/Test"]["summary"] == f"{url}/health answers 200."
    assert "All traffic of shop.example.com goes to production" in told["Production/Traffic"]["summary"]
    assert weights() == {"production": 100, "before": 0}
    details = stage.api.list_action_executions(pipelineName=stage.name)["actionExecutionDetails"]
    report = next(d for d in details if (d["stageName"], d["actionName"]) == ("Build", "Report"))
    assert report["output"]["outputVariables"] == {
        "ImageTag": RECORD["tag"], "ImageDigest": RECORD["digest"], "Revision": RECORD["commit"],
        "BuildUrl": RECORD["build_url"], "Url": url}

    # The application does not answer under its name: they move back to what they were.
    for name, weight in (("production", 30), ("before", 70)):
        record = next(r for r in dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
                      if r.get("SetIdentifier") == name)
        dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{
            "Action": "UPSERT", "ResourceRecordSet": {**record, "Weight": weight}}]})
    made(aws, stage.name, "pipeline.yml", AppName=stage.app, CreateRepository="false", ActionProvider=stage.provider,
         ActionVersion="v1", ProductionEnabled="true", ProductionProjectName="shop-prd", HostedZoneId=zone,
         RecordName="shop.example.com", RecordTestUrl="http://127.0.0.1:9/", TestSeconds="1")
    stage.api.start_pipeline_execution(name=stage.name)
    stage.release(stage.app, url=url)
    stage.release("shop-prd", url=url)
    with pytest.raises(SlipwayError) as failed:
        stage.follow()
    assert "failed in stage Production, action Traffic" in str(failed.value)
    assert "http://127.0.0.1:9/ does not answer as expected" in str(failed.value)
    assert "back to what they were" in str(failed.value)
    assert weights() == {"production": 30, "before": 70}

    # It does not answer at all: nothing moves.
    Application.status = 500
    stage.api.start_pipeline_execution(name=stage.name)
    stage.release(stage.app, url=url)
    stage.release("shop-prd", url=url)
    with pytest.raises(SlipwayError, match="action Test: .*HTTP Error 500"):
        stage.follow()
    assert weights() == {"production": 30, "before": 70}


def test_a_failed_release_fails_the_execution_with_its_cause(aws: EmbeddedAws, folder: Path) -> None:
    stage = Stage(aws, folder)
    job = stage.job(stage.app)
    stage.api.put_job_failure_result(jobId=job["id"], failureDetails={
        "type": "ConfigurationError", "externalExecutionId": "12",
        "message": "There is no Dockerfile in the commit.\nAdd one.\nhttp://jenkins/job/shop/12/"})
    with pytest.raises(SlipwayError) as failed:
        stage.follow(commit=stage.commit)
    assert "failed in stage Build, action Release: There is no Dockerfile in the commit." in str(failed.value)
    assert failed.value.details["evidence"][0] == "Add one."
    assert failed.value.details["url"] == f"http://jenkins/job/{stage.app}/12/"
    assert failed.value.details["status"] == "Failed"

    # A job whose artifact has no record: the build went well, and the report says what is wrong.
    stage.api.start_pipeline_execution(name=stage.name)
    stage.release(stage.app, content=b"no zip")
    with pytest.raises(SlipwayError, match="action Report: .*its output artifact has no record of the release"):
        stage.follow()

    # A record of a release that failed although the build did not, and that came to no image.
    stage.api.start_pipeline_execution(name=stage.name)
    stage.release(stage.app, verdict="rolled_back", cause="The container exits with 1", digest=None)
    with pytest.raises(SlipwayError, match="action Report: The container exits with 1"):
        stage.follow()

    # A good one of which the record knows no digest.
    stage.api.start_pipeline_execution(name=stage.name)
    stage.release(stage.app, digest=None, url="http://shop")
    assert "Released 3f2c9a1 as 20261123-085347 in 8.2 s: http://shop" in stage.follow()["msg"]

    # Nothing changed is a success of its own words.
    stage.api.start_pipeline_execution(name=stage.name)
    stage.release(stage.app, changed=False, url="http://shop")
    assert "Nothing changed: 20261123-085347 (sha256:222222222222) runs already: http://shop" in stage.follow()["msg"]


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda content: content[:-40], "The artifact is no zip, or was cut short: "),
    (lambda content: b"", "The artifact is no zip, or was cut short: "),
    (lambda content: b"no zip at all", "The artifact is no zip, or was cut short: "),
    (lambda content: None, "The artifact is not there: s3://"),
    (lambda content: with_names("Dockerfile", "../x", "/etc/cron.d/y"),
     "The artifact has names that lead out of the folder: ../x, /etc/cron.d/y. "),
    (lambda content: with_names(*(f"../{number}" for number in range(7))),
     "The artifact has names that lead out of the folder: ../0, ../1, ../2, ../3, ../4 and 2 more. "),
], ids=["cut short", "empty", "no zip", "missing", "leads out", "leads out often"])
def test_an_artifact_that_jenkins_cannot_use_is_named_by_the_execution(
        aws: EmbeddedAws, folder: Path, spoil: Callable[[bytes], bytes | None], words: str) -> None:
    s3, bucket = aws.client("s3"), sources(aws)
    stage = Stage(aws, folder, SourceType="S3", SourceBucket=bucket)
    with stage.closed("Build"):
        s3.put_object(Bucket=bucket, Key="source.zip", Body=with_names("Dockerfile"))
        started = stage.api.start_pipeline_execution(name=stage.name)["pipelineExecutionId"]
        lies = stage.artifact(started)
        spoiled = spoil(s3.get_object(**lies)["Body"].read())
        if spoiled is None:
            s3.delete_object(**lies)
        else:
            s3.put_object(**lies, Body=spoiled)
    # All that Jenkins' plugin says of any of them.
    job = stage.job(stage.app)
    stage.api.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": "Build failed"})
    with pytest.raises(SlipwayError) as failed:
        stage.follow(execution_id=started)
    assert f"failed in stage Build, action Check: {words}" in str(failed.value)
    assert lies["Key"] in str(failed.value)


def test_of_a_large_artifact_the_check_reads_the_directory_alone(aws: EmbeddedAws) -> None:
    s3, bucket = aws.client("s3"), sources(aws)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as pack:
        pack.writestr("large", os.urandom(1 << 20) * 60)
        for number in range(5_000):
            pack.writestr(f"{'x' * 60}{number}", "")
    s3.put_object(Bucket=bucket, Key="large.zip", Body=packed.getvalue())
    function: Json = {}
    exec(compile(source_of("CheckFunction"), "CheckFunction", "exec"), function)
    remote = function["Remote"](
        {"artifactCredentials": {"accessKeyId": aws.env["AWS_ACCESS_KEY_ID"], "sessionToken": "",
                                 "secretAccessKey": aws.env["AWS_SECRET_ACCESS_KEY"]}},
        {"bucketName": bucket, "objectKey": "large.zip"})
    read: list[int] = []
    remote.s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: read.append(parsed["ContentLength"]))
    with zipfile.ZipFile(BufferedReader(remote, 1 << 18)) as pack:
        assert len(pack.namelist()) == 5_001
    assert 0 < sum(read) < 2_000_000
    assert len(read) < 20
    s3.delete_object(Bucket=bucket, Key="large.zip")


def test_a_commit_that_was_overtaken_is_said_to_be(aws: EmbeddedAws, folder: Path) -> None:
    stage = Stage(aws, folder)
    holding = stage.job(stage.app)  # stage Build is taken
    commits = []
    for text in ("second", "third"):
        (folder / "Dockerfile").write_text(text)
        commits.append(sown(stage.app, folder)["commit"])
        until(lambda: stage.look(commits[-1])["execution_id"], "no execution")
    found = stage.follow(commit=commits[0])
    assert found["status"] == "Superseded"
    assert "was superseded: a newer commit overtook it" in found["warnings"][0]
    stage.api.put_job_success_result(jobId=holding["id"])

    stopped = stage.look(commits[1])
    stage.job(stage.app)
    stage.api.stop_pipeline_execution(pipelineName=stage.name, pipelineExecutionId=stopped["execution_id"],
                                      abandon=True)
    with pytest.raises(SlipwayError, match="was stopped before its end"):
        stage.follow(commit=commits[1])


def test_an_execution_that_does_not_come_is_not_awaited_for_ever(aws: EmbeddedAws, folder: Path) -> None:
    stage = Stage(aws, folder, PipelineMock="true")
    with pytest.raises(SlipwayError, match="has no execution for commit 123456789abc within 1 s"):
        stage.follow(commit="123456789abcdef", start_timeout=1)
    started = stage.follow(start=True)
    assert (started["changed"], started["status"], started["commit"]) == (True, "Succeeded", stage.commit)
    with pytest.raises(SlipwayError, match="has no execution 01234567-0123-0123-0123-0123456789ab"):
        stage.follow(execution_id="01234567-0123-0123-0123-0123456789ab")


def test_how_an_execution_stands_is_told_without_waiting(aws: EmbeddedAws, folder: Path) -> None:
    stage = Stage(aws, folder)  # nobody takes its job
    until(lambda: stage.look(stage.commit)["execution_id"], "no execution")
    newest = stage.follow(wait=False)
    assert (newest["status"], newest["commit"], newest["changed"]) == ("InProgress", stage.commit, False)
    none = stage.follow(commit="123456789abcdef", start_timeout=0, wait=False)
    assert (none["execution_id"], none["status"], none["changed"]) == (None, None, False)
    started = stage.follow(start=True, wait=False)
    assert started["changed"] and started["execution_id"] != newest["execution_id"]
    # What failed is no failure of whoever only looks.
    stage.api.put_job_failure_result(jobId=stage.job(stage.app)["id"], failureDetails={
        "type": "JobFailed", "message": "the container exited with 1"})
    assert stage.follow(execution_id=newest["execution_id"], wait=False)["status"] == "Failed"


def test_an_action_is_changed_back_and_forth_without_a_failed_stack(aws: EmbeddedAws, folder: Path) -> None:
    name, provider, template = fresh("action"), fresh("Jenkins"), str(TEMPLATES / "pipeline_action.yml")
    api, cloudformation = aws.client("codepipeline"), aws.client("cloudformation")
    versions: list[str] = []

    def wanted(url: str) -> Json:
        return action_version.choose(Aws(), name, template, {"ActionProvider": provider, "JenkinsURL": url})

    def there() -> set[str]:
        return {a["id"]["version"] for a in api.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
                if a["id"]["provider"] == provider}

    for url in ("http://one", "http://other", "http://one"):
        chosen = wanted(url)
        assert chosen["new"]
        versions.append(chosen["version"])
        tagged = [{"Key": chosen["tag"], "Value": chosen["definition"]}]
        (cloudformation.create_stack if len(versions) == 1 else cloudformation.update_stack)(
            StackName=name, TemplateBody=Path(template).read_text(), Tags=tagged, Parameters=[
                {"ParameterKey": k, "ParameterValue": v} for k, v in (
                    ("ActionProvider", provider), ("ActionVersion", chosen["version"]), ("JenkinsURL", url))])
        stack = until(lambda: (s := cloudformation.describe_stacks(StackName=name)["Stacks"][0])
                      ["StackStatus"].endswith("COMPLETE") and s, "the stack does not end")
        assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        assert not wanted(url)["new"]
    assert len(set(versions)) == 3
    assert there() == set(versions)

    # The second is in use; only the first may go.
    app = fresh("shop")
    sown(app, folder)
    made(aws, f"{app}-pipeline", "pipeline.yml", AppName=app, CreateRepository="false", ActionProvider=provider,
         ActionVersion=versions[1])
    assert action_prune.prune(Aws(), provider, versions[2], check_mode=True)["deleted"] == [versions[0]]
    assert action_prune.prune(Aws(), provider, versions[2], check_mode=False)["changed"]
    assert there() == {versions[1], versions[2]}
    assert not action_prune.prune(Aws(), provider, versions[2], check_mode=False)["changed"]
