"""A pipeline with further stages, made by playbooks/pipeline.yml: one commit is released by Build, and the same image
to staging and production by their jobs; updates of the pipeline lose no commit; a model never replaces it unasked.

CodePipeline, its functions and ECS are the embedded AWS', Jenkins is the stand-in, jobs and runner are real.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from embedded.jenkins import update_centre
from tests.integration.bad_days import Works, until, with_plugins
from tests.integration.codepipeline_world import Pipeline, fresh
from tests.integration.conftest import EmbeddedAws
from tests.integration.test_pipeline_modules import made
from tests.shop import Shop
from tests.small_image import small_image
from tests.unit.jenkins.rendered import render

WEB, STAGING, PRODUCTION = "stages", "stages-staging", "stages-live"
KEY = "source.zip"


class Stages(Works):
    """Jenkins with the three jobs of service `stages`, and what pipeline.yml needs to make its pipeline."""

    def prepare(self) -> None:
        self.jenkins_provider = fresh("Jenkins")
        made(self.aws, f"{self.shop.network}-pipeline-action", "pipeline_action.yml",
             ActionProvider=self.jenkins_provider, ActionVersion="1", JenkinsURL=f"http://127.0.0.1:{self.jenkins.port}")
        for name, service, stage in ((WEB, WEB, ""), (f"{WEB}-stg", STAGING, "Staging"),
                                     (f"{WEB}-prd", PRODUCTION, "Production")):
            self.make_stage_job(name, service, stage)

    def make_stage_job(self, project: str, service: str, stage: str) -> None:
        """As configure.yml has role jenkins_job make it (tests/contract/test_pipeline_jobs.py), and its first build."""
        answer = self.jenkins.create(project, render(
            jenkins_job_provider=self.jenkins_provider, jenkins_job_region=self.aws.env["AWS_REGION"],
            jenkins_job_release_command=str(self.bin / "release"), jenkins_job_timeout=600,
            jenkins_job_promote=bool(stage),
            jenkins_job_output_artifacts=[{"name": f"{stage}Release", "location": ".slipway/report"}],
            _jenkins_job_variables={
                "ecs_release_app_name": service, "ecs_release_repository": WEB,
                "ecs_release_stack_name": f"{service}-service", "ecs_release_build_args": {"BASE_IMAGE": self.base},
                "ecs_release_ledger_table": f"{self.shop.network}-ledger",
                "aws_environment": {"AWS_REGION": self.aws.env["AWS_REGION"]}}))
        assert answer.status == 200, answer.text
        self.jenkins.result(project, 1)

    def commit(self, page: str) -> None:
        self.aws.client("s3").put_object(Bucket=self.sources, Key=KEY, Body=self.application(page))

    def command(self, **parameters: Any) -> list[str]:
        given = {"SourceType": "S3", "SourceBucket": self.sources, "SourceKey": KEY, **parameters}
        return self.shop.command("playbooks/pipeline.yml", "", "-e", yaml.safe_dump(
            {"stacks_jenkins_enabled": True, "web_pipeline": given}, default_flow_style=True, width=10_000))

    @property
    def parameters(self) -> dict[str, str]:
        (stack,) = self.aws.client("cloudformation").describe_stacks(StackName=f"{WEB}-pipeline")["Stacks"]
        return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}

    def digest(self, service: str) -> str:
        return next(str(one["ParameterValue"]) for one in self.shop.stack(service)["Parameters"]
                    if one["ParameterKey"] == "ImageDigest")


def add_stages(shop: Shop) -> None:
    """Two of the services run the images of the first."""
    inventory = yaml.safe_load(shop.inventory.read_text())
    hosts = inventory["all"]["children"]["services"]["hosts"]
    hosts[WEB] |= {"stacks_pipeline_staging": STAGING, "stacks_pipeline_production": PRODUCTION,
                   "stacks_pipeline_parameters": "{{ web_pipeline | default({}) }}"}
    for name in (STAGING, PRODUCTION):
        hosts[name] |= {"stacks_registry_of": WEB, "ecs_release_repository": WEB}
    shop.inventory.write_text(yaml.safe_dump(inventory, width=10_000))


@pytest.fixture(scope="module")
def works(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp("stages")
    centre = tmp_path_factory.mktemp("centre")
    update_centre.build(centre)
    with small_image(f"stages-base:{os.getpid()}") as base:
        shop = Shop(folder, aws.env, base, WEB, STAGING, PRODUCTION)
        add_stages(shop)
        setting_up = threading.Thread(target=shop.set_up)
        setting_up.start()
        jenkins = with_plugins(folder / "jenkins", centre)
        works = Stages(folder, aws, shop, WEB, jenkins)
        jenkins.start()
        try:
            works.prepare()
            setting_up.join()
            assert [shop.page(name) for name in shop.names] == ["one"] * 3
            yield works
        finally:
            works.kill_everything()


@pytest.fixture(scope="module")
def first(works: Stages) -> str:
    """What pipeline.yml says that makes the pipeline of a source with a commit."""
    works.commit("two")
    process = works.shop.start(works.command())
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return str(said)


def test_one_commit_goes_through_all_stages_as_the_same_image(works: Stages, first: str) -> None:
    assert [works.shop.page(name) for name in works.shop.names] == ["two"] * 3
    assert len({works.digest(name) for name in works.shop.names}) == 1
    assert [works.shop.tag(name) for name in works.shop.names] == [works.shop.tag(WEB)] * 3
    # Each by its own job: the same image, of which one release only was a build.
    records = [works.shop.records(name)[-1] for name in works.shop.names]
    assert {record["verdict"] for record in records} == {"completed"}
    assert {record["digest"] for record in records} == {works.digest(WEB)}
    for project in (WEB, f"{WEB}-stg", f"{WEB}-prd"):
        built = works.jenkins.took_its_job(project)
        assert (built["number"], built["result"]) == (2, "SUCCESS")


def test_the_first_execution_is_shown_also_where_nothing_was_seeded(works: Stages, first: str) -> None:
    for line in ("Build/Release      succeeded", "Staging/Release    succeeded", "Staging/Test       succeeded",
                 "Production/Test    succeeded"):
        assert line in first
    again = works.shop.start(works.command())
    said, _ = again.communicate(timeout=600)
    assert again.returncode == 0, said
    assert "succeeded" not in said
    assert "changed=0" in said


def test_a_commit_that_an_update_of_the_pipeline_cancels_is_released(works: Stages, first: str) -> None:
    pipeline = Pipeline(works.world, f"{WEB}-pipeline")
    works.jenkins.stop()
    works.commit("three")
    execution = pipeline.start()
    until(lambda: pipeline.stage("Build").get("latestExecution", {}).get("pipelineExecutionId") == execution)
    update = works.shop.start(works.command(TestSeconds=60))
    until(lambda: pipeline.status(execution) == "Cancelled", "the update did not cancel it")
    works.jenkins.start()
    said, _ = update.communicate(timeout=600)
    assert update.returncode == 0, said
    assert works.parameters["TestSeconds"] == "60"
    newest = pipeline.executions()[0]
    assert newest["status"] == "Succeeded"
    assert newest["pipelineExecutionId"] in said
    assert "Production/Test    succeeded" in said
    assert [works.shop.page(name) for name in works.shop.names] == ["three"] * 3


def test_a_model_replaces_a_pipeline_that_releases_only_where_that_is_meant(works: Stages, first: str) -> None:
    model = [*works.command(), "-e", "pipeline_mock=true"]
    process = works.shop.start(model)
    said, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    assert f"{WEB}-pipeline releases commits, and as a model" in " ".join(said.split())
    assert "-e pipeline_mock_confirm=yes" in said
    assert works.parameters["PipelineMock"] == "false"

    process = works.shop.start([*model, "-e", "pipeline_mock_confirm=yes"])
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert works.parameters["PipelineMock"] == "true"
    # A model stays one without a question.
    process = works.shop.start(model)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
