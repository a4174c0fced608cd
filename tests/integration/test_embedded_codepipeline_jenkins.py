"""The embedded CodePipeline and the stand-in Jenkins with its CodePipeline plugin, together."""

from __future__ import annotations

import io
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.jenkins import update_centre
from tests.integration.codepipeline_world import World, fresh, until
from tests.integration.conftest import EmbeddedAws
from tests.integration.jenkins_process import Jenkins
from tests.integration.test_jenkins_stand_in import OUTPUT, PLUGINS, hpi, pipeline

COMMAND = 'if grep broken index.php; then exit 1; fi; mkdir -p report; cat index.php | tr a-z A-Z >report/page.txt'


@pytest.fixture(scope="module")
def world(aws: EmbeddedAws) -> World:
    return World(aws)


@pytest.fixture(scope="module")
def jenkins(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jenkins]:
    centre = tmp_path_factory.mktemp("centre")
    update_centre.build(centre)
    one = Jenkins(tmp_path_factory.mktemp("jenkins"))
    one.secure()
    one.install(*(hpi(centre, *plugin) for plugin in PLUGINS))
    one.environment |= {name: world.aws.env[name] for name in (
        "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")}
    one.start()
    yield one
    one.stop(signal.SIGKILL)


def job_of(world: World, project: str, jenkins: Jenkins) -> None:
    config = pipeline(COMMAND, OUTPUT.format("report", "Release"))
    config = config.replace("<actionTypeProvider>slipway<", f"<actionTypeProvider>{world.provider}<")
    config = config.replace("eu-central-1", world.aws.env["AWS_REGION"])
    assert jenkins.create(project, config).status == 200


def test_two_pipelines_release_through_one_jenkins(world: World, jenkins: Jenkins, tmp_path: Path) -> None:
    world.commit(fresh("hello from "))
    projects = [fresh("one"), fresh("two")]
    for project in projects:
        job_of(world, project, jenkins)
    pipelines = [world.pipeline(("Build", [world.build(project=project, outputs="Release")])) for project in projects]
    for number, one in enumerate(pipelines):
        one.ends(one.first())
        release = one.actions(one.first())[-1]
        assert release["input"]["resolvedConfiguration"] == {"ProjectName": projects[number]}
        assert release["output"]["executionResult"]["externalExecutionSummary"] == "Finished"
        url = release["output"]["executionResult"]["externalExecutionUrl"]
        build = url.rpartition("/")[2]
        assert jenkins.result(projects[number], build)["result"] == "SUCCESS"
        found = release["output"]["outputArtifacts"][0]["s3location"]
        content = world.s3.get_object(Bucket=found["bucket"], Key=found["key"])
        assert content["ServerSideEncryption"] == "aws:kms"
        assert zipfile.ZipFile(io.BytesIO(content["Body"].read())).read("page.txt").startswith(b"HELLO FROM ")


def test_a_build_that_fails_fails_the_execution_and_the_next_is_good(world: World, jenkins: Jenkins) -> None:
    project = fresh("bad")
    job_of(world, project, jenkins)
    world.commit(fresh("broken "))
    one = world.pipeline(("Build", [world.build(project=project, outputs="Release")]))
    one.ends(one.first(), "Failed")
    result = one.actions(one.first())[-1]["output"]["executionResult"]
    assert result["errorDetails"] == {"code": "JobFailed", "message": "Build failed"}
    assert jenkins.result(project, result["externalExecutionId"])["result"] == "FAILURE"
    world.commit(fresh("good again "))
    second = one.start()
    one.ends(second)


def test_jenkins_that_is_away_takes_the_job_when_it_is_back(world: World, jenkins: Jenkins) -> None:
    project = fresh("away")
    job_of(world, project, jenkins)
    jenkins.stop()
    world.commit(fresh("while it was away "))
    one = world.pipeline(("Build", [world.build(project=project, outputs="Release")]))
    until(lambda: one.action("Build", "Release").get("latestExecution"))
    assert one.status(one.first()) == "InProgress"
    jenkins.start()
    one.ends(one.first())
