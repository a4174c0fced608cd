"""Bad days of the pipeline: whatever happens to Jenkins, an artifact or a service, the pipeline gets an answer with the
cause, the old page is served, and the next commit goes through.

CodePipeline, CloudFormation and ECS are the embedded AWS', Jenkins is the stand-in, the job and the runner are real.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from tests.fault.stuck_stack import StuckStack
from tests.integration.bad_days import Works, at_work, packed, stopped, until
from tests.integration.conftest import EmbeddedAws
from tests.processes import alive

JOB, OTHER = "shop", "other"
NO_DOCKERFILE = {"readme": "There is no Dockerfile here."}
SLOW = {"Dockerfile": "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nRUN echo begun && sleep 600\n"}


@pytest.fixture(scope="module")
def works(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with at_work(tmp_path_factory.mktemp("bad-days"), aws, "dull", JOB, OTHER) as made:
        yield made


@pytest.fixture(autouse=True)
def up(works: Works) -> Iterator[None]:
    """Jenkins runs before each test, without a build."""
    if works.jenkins.process is None or works.jenkins.process.poll() is not None:
        works.jenkins.start()
    yield


def console(works: Works, project: str = JOB) -> str:
    return works.jenkins.console(project, works.jenkins.took_its_job(project)["number"])


# -- a good day, for comparison -------------------------------------------------------------------------------------

def test_a_commit_becomes_a_release_with_its_revision(works: Works) -> None:
    pipeline = works.pipeline(JOB, works.application("a good day"))
    works.ends(pipeline, pipeline.first())
    assert works.shop.page("dull") == "a good day"
    source, release = pipeline.actions(pipeline.first())
    # The record went on to the pipeline, as its output artifact.
    artifact, = release["output"]["outputArtifacts"]
    where = {"Bucket": artifact["s3location"]["bucket"], "Key": artifact["s3location"]["key"]}
    pack = zipfile.ZipFile(BytesIO(works.aws.client("s3").get_object(**where)["Body"].read()))
    assert sorted(pack.namelist()) == ["release.html", "release.json"]
    record = json.loads(pack.read("release.json"))
    number = works.jenkins.took_its_job(JOB)["number"]
    assert record["verdict"] == "completed"
    assert record["tag"] == works.shop.tag("dull")
    assert record["digest"].startswith("sha256:")
    assert record["build_url"] == f"http://127.0.0.1:{works.jenkins.port}/job/{JOB}/{number}/"
    # What the source action calls its revision, which the plugin does not tell.
    assert record["commit"] == source["output"]["outputVariables"]["VersionId"]


# -- the application ------------------------------------------------------------------------------------------------

def test_a_commit_whose_image_crashes(works: Works) -> None:
    before = works.shop.page("dull")
    pipeline = works.pipeline(JOB, works.application("never seen", '["sh", "-c", "echo no database >&2; exit 3"]'))
    code, message, link = works.failure(pipeline, pipeline.first())
    assert code == "JobFailed"
    # The cause comes first, in one line; the build's address last.
    assert "3" in message.splitlines()[0]
    assert "exit" in message.splitlines()[0]
    build = f"job/{JOB}/{works.jenkins.took_its_job(JOB)['number']}"
    assert message.splitlines()[-1] == f"The build: http://127.0.0.1:{works.jenkins.port}/{build}/console"
    assert link == f"http://jenkins/{build}"
    assert works.shop.page("dull") == before
    # The plugin's own word came second and was refused, which changes nothing.
    assert "Told AWS CodePipeline why job" in console(works)
    assert "InvalidJobStateException" in console(works)
    assert works.jenkins.took_its_job(JOB)["result"] == "FAILURE"


@pytest.mark.parametrize(("source", "code", "words"), [
    (packed(NO_DOCKERFILE), "ConfigurationError", ["Dockerfile is missing"]),
    (packed({}), "ConfigurationError", ["the folder is empty"]),
    (packed({"Dockerfile": "FROM scratch\nNO-SUCH-INSTRUCTION\n"}), "JobFailed", ["NO-SUCH-INSTRUCTION"]),
    # What leads out of the workspace goes where the plugin lets it, and nowhere else; it is no part of the source.
    (packed({**NO_DOCKERFILE, "../../escaped": "x", "/absolute": "x"}), "ConfigurationError",
     ["Dockerfile is missing"]),
    # A link in a zip becomes a file that holds its target's name. Nothing of this machine is read through it.
    (packed({}, {"Dockerfile": "/etc/passwd"}), "JobFailed", ["The Dockerfile has no FROM"]),
], ids=["no Dockerfile", "empty", "bad Dockerfile", "leads out", "link"])
def test_an_artifact_that_is_no_application(works: Works, source: bytes, code: str, words: list[str]) -> None:
    before = works.shop.tag("dull")
    pipeline = works.pipeline(JOB, source, check=True)
    found, message, _ = works.failure(pipeline, pipeline.first())
    assert found == code, message
    for word in words:
        assert word in message
    assert "root:" not in message + console(works)
    # Whoever writes an artifact may do worse than what became of this one.
    leading = "The artifact has names that lead out of the folder: ../../escaped, /absolute."
    assert works.checked(pipeline, pipeline.first()).startswith(leading) is ("escaped" in str(source))
    assert works.shop.tag("dull") == before
    assert not Path("/absolute").exists()
    assert not (works.folder / "escaped").exists()


def test_an_artifact_that_is_missing_or_broken_does_not_stand_in_the_way_of_the_next(works: Works) -> None:
    # The artifact is lost between the pipeline and Jenkins.
    missing = works.pipeline(JOB, None, check=True)
    way = {"pipelineName": missing.name, "stageName": "Build", "transitionType": "Inbound"}
    missing.api.disable_stage_transition(**way, reason="a test is at work")
    lost = works.pushed(missing, works.application("good day"))
    missing.waits("Build", lost)
    works.aws.client("s3").delete_object(**works.artifact(missing, lost))
    missing.api.enable_stage_transition(**way)
    _, message, link = works.failure(missing, lost)
    # All that the plugin tells; the link leads to what it knows, and the action beside it names the cause.
    assert message == "Build failed"
    assert works.checked(missing, lost).startswith("The artifact is not there: s3://")
    assert link.endswith(f"/job/{JOB}/{works.jenkins.took_its_job(JOB)['number']}")
    assert "The specified key does not exist" in console(works)

    broken = works.pipeline(JOB, works.application("a good day")[:-40], check=True)
    assert works.failure(broken, broken.first())[1] == "Build failed"
    assert works.checked(broken, broken.first()).startswith("The artifact is no zip, or was cut short: ")
    assert "Failed to acquire artifacts" in console(works)

    # Nothing is left of them: the next artifact is the one that is released.
    execution = works.pushed(broken, works.application("after the storm"))
    works.ends(broken, execution)
    assert works.shop.page("dull") == "after the storm"


def test_an_artifact_of_500_megabytes(works: Works) -> None:
    s3 = works.aws.client("s3")
    source = works.application("a big day", big=os.urandom(1 << 20) * 500, **{".dockerignore": "big\n"})
    pipeline = works.pipeline(JOB, source, check=True)
    try:
        works.ends(pipeline, pipeline.first())
        assert works.shop.page("dull") == "a big day"
        # Neither the source action nor anybody else made less of it.
        size = s3.head_object(**works.artifact(pipeline, pipeline.first()))["ContentLength"]
        assert size == len(source) > 500_000_000
        assert works.checked(pipeline, pipeline.first()).startswith("A zip of ")
        assert works.jenkins.took_its_job(JOB)["result"] == "SUCCESS"
        # It is there as source and as artifact, once more while it is taken, and not once for each who reads it.
        assert works.most_memory() < 6 * size
    finally:
        # What is in the embedded AWS' buckets is in its memory.
        works.forget(pipeline)


# -- the stack ------------------------------------------------------------------------------------------------------

@contextmanager
def stuck(works: Works, reason: str = "") -> Iterator[StuckStack]:
    """Within the block releases find their stack in UPDATE_ROLLBACK_FAILED. reason: why it stays so."""
    with StuckStack(works.aws.env["AWS_ENDPOINT_URL"], "dull-service", reason) as stack:
        with stopped(works.jenkins):
            works.jenkins.environment["AWS_ENDPOINT_URL_CLOUDFORMATION"] = stack.url
        yield stack
        with stopped(works.jenkins):
            del works.jenkins.environment["AWS_ENDPOINT_URL_CLOUDFORMATION"]


def test_a_stack_whose_rollback_failed_is_continued_by_the_next_commit(works: Works) -> None:
    with stuck(works) as stack:
        pipeline = works.pipeline(JOB, works.application("after the rollback"))
        works.ends(pipeline, pipeline.first())
    assert stack.continued == 1
    assert works.shop.page("dull") == "after the rollback"
    assert "UPDATE_ROLLBACK_FAILED from an earlier run, continuing the rollback" in console(works)


def test_a_stack_whose_rollback_cannot_be_continued(works: Works) -> None:
    before = works.shop.page("dull")
    with stuck(works, "Role arn:aws:iam::000000000000:role/gone is invalid or cannot be assumed") as stack:
        pipeline = works.pipeline(JOB, works.application("never seen"))
        code, message, _ = works.failure(pipeline, pipeline.first())
        number = works.jenkins.took_its_job(JOB)["number"]
    assert stack.continued == 1
    assert code == "JobFailed"
    # The cause first, then what to do.
    assert "Role arn:aws:iam::000000000000:role/gone is invalid or cannot be assumed" in message.splitlines()[0]
    assert "UPDATE_ROLLBACK_FAILED" in message
    assert "Run this again to continue the rollback; name what it cannot undo in 'skip_resources'." in message
    assert message.endswith(f"/job/{JOB}/{number}/console")
    assert works.shop.page("dull") == before


# -- Jenkins --------------------------------------------------------------------------------------------------------

def test_jenkins_is_down_for_a_minute_while_two_commits_arrive(works: Works) -> None:
    with stopped(works.jenkins):
        began = time.monotonic()
        pipeline = works.pipeline(JOB, works.application("during the break"))
        first = pipeline.first()
        until(lambda: pipeline.action("Build", "Release").get("latestExecution"))
        last = works.pushed(pipeline, works.application("after the break"))
        pipeline.waits("Build", last)
        time.sleep(max(0.0, 60 - (time.monotonic() - began)))
        assert (pipeline.status(first), pipeline.status(last)) == ("InProgress", "InProgress")
    works.ends(pipeline, last)
    assert works.shop.page("dull") == "after the break"
    works.ends(pipeline, first, "Succeeded", "Superseded")
    # None is lost: each is superseded, or was released in its turn.
    released = [record["commit"] for record in works.shop.records("dull") if record.get("verdict") == "completed"]
    wanted = [works.revision(pipeline, one) for one in (first, last) if pipeline.status(one) == "Succeeded"]
    assert released[-len(wanted):] == wanted


def test_everything_is_killed_in_mid_build(works: Works) -> None:
    pipeline = works.pipeline(JOB, packed(SLOW))
    works.shows(JOB, "echo begun")
    works.kill_everything()
    assert pipeline.status(pipeline.first()) == "InProgress"
    said = works.orphans()
    assert f"{JOB} #" in said
    code, message, link = works.failure(pipeline, pipeline.first())
    number = link.rpartition("/")[2]
    assert code == "JobFailed"
    assert message.splitlines()[0] == f"Jenkins stopped while build {JOB} #{number} ran, so nobody finished it."
    assert "Retry" in message
    assert message.endswith(f"/job/{JOB}/{number}/console")
    # Once is enough, and Jenkins goes on with the next commit.
    assert works.orphans() == ""
    works.jenkins.start()
    assert works.jenkins.result(JOB, number)["result"] == "FAILURE"
    assert "AWS CodePipeline was told" in works.jenkins.console(JOB, number)
    works.ends(pipeline, works.pushed(pipeline, works.application(works.shop.page("dull"))))


def test_the_worker_is_killed_after_it_acknowledged_the_job(works: Works) -> None:
    works.jenkins.stop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # Takes the plugin's request for the artifact and never answers.
        works.jenkins.environment["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        works.jenkins.start()
        pipeline = works.pipeline(JOB, packed(NO_DOCKERFILE))
        works.shows(JOB, "Clearing workspace")
        works.kill_everything()
        del works.jenkins.environment["AWS_ENDPOINT_URL_S3"]
    works.orphans()
    assert "Jenkins stopped" in works.failure(pipeline, pipeline.first())[1]
    # Retry, as the message says.
    works.jenkins.start()
    pipeline.api.retry_stage_execution(pipelineName=pipeline.name, stageName="Build", retryMode="FAILED_ACTIONS",
                                       pipelineExecutionId=pipeline.first())
    until(lambda: "Dockerfile is missing" in json.dumps(pipeline.action("Build", "Release"), default=str))


def test_jenkins_is_stopped_in_mid_build(works: Works) -> None:
    pipeline = works.pipeline(JOB, packed(SLOW))
    works.shows(JOB, "echo begun")
    works.jenkins.stop()
    message = works.failure(pipeline, pipeline.first())[1]
    assert "stopped" in message.splitlines()[0]
    until(lambda: not any(alive(pid) for pid in works.of_the_build()), "something of the build still runs")
    # The release has told by itself.
    assert works.orphans() == ""


def test_a_person_aborts_the_build(works: Works) -> None:
    pipeline = works.pipeline(JOB, packed(SLOW))
    works.shows(JOB, "echo begun")
    number = works.jenkins.get(f"/job/{JOB}/lastBuild/api/json").json["number"]
    works.jenkins.post(f"/job/{JOB}/{number}/stop")
    message = works.failure(pipeline, pipeline.first())[1]
    assert message.splitlines()[0] == "The release was aborted: somebody stopped the build in Jenkins."
    assert works.jenkins.result(JOB, number)["result"] == "ABORTED"
    until(lambda: not any(alive(pid) for pid in works.of_the_build()), "something of the build still runs")


def test_the_step_alone_is_killed(works: Works) -> None:
    pipeline = works.pipeline(JOB, packed(SLOW))
    works.shows(JOB, "echo begun")
    step = next(pid for pid in works.of_the_build()
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"timeout\0"))
    os.kill(step, signal.SIGKILL)
    # Jenkins lives and says at least that; who is first depends on the moment.
    assert works.failure(pipeline, pipeline.first())[1]
    assert works.jenkins.took_its_job(JOB)["result"] == "FAILURE"
    until(lambda: not any(alive(pid) for pid in works.of_the_build()), "something of the build still runs")


def test_two_pipelines_on_one_jenkins(works: Works) -> None:
    bad = works.pipeline(OTHER, packed(NO_DOCKERFILE))
    good = works.pipeline(JOB, works.application(works.shop.page("dull")))
    assert "Dockerfile is missing" in works.failure(bad, bad.first())[1]
    works.ends(good, good.first())


# -- the pipeline ---------------------------------------------------------------------------------------------------

def test_a_job_that_the_pipeline_has_given_up(works: Works) -> None:
    pipeline = works.pipeline(JOB, packed(SLOW))
    works.shows(JOB, "echo begun")
    pipeline.api.stop_pipeline_execution(pipelineName=pipeline.name, pipelineExecutionId=pipeline.first(), abandon=True)
    works.ends(pipeline, pipeline.first(), "Stopped")
    number = works.jenkins.get(f"/job/{JOB}/lastBuild/api/json").json["number"]
    works.jenkins.post(f"/job/{JOB}/{number}/stop")
    works.jenkins.result(JOB, number)
    assert "AWS CodePipeline no longer waits for job" in works.jenkins.console(JOB, number)
    assert pipeline.status(pipeline.first()) == "Stopped"
