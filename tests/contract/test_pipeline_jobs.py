"""The jobs that configure.yml makes are those that the pipelines of pipeline.yml ask for, by name and by artifact; and
site.yml does all of it in an order in which no commit waits for a job that nobody takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.test_pipeline_template import Resolved, kind

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def configured_job() -> tuple[Json, Json]:
    """(play, task) with which configure.yml makes the jobs."""
    return next((play, task) for play in load("playbooks/configure.yml") for task in play["tasks"]
                if task.get("ansible.builtin.include_role", {}).get("name") == "jenkins_job")


class House:
    """The product's own variables, tasks and checks with these services, as Ansible evaluates them; once for many,
    for Ansible takes its time."""

    def __init__(self, folder: Path, services: Json) -> None:
        hosts = {name: {"ecs_release_app_name": name, "ecs_release_repository": name, **more}
                 for name, more in services.items()}
        inventory = {"all": {
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable,
                     "stacks_jenkins_id": "arn:aws:cloudformation:eu-west-1:123456789012:stack/net-jenkins/1",
                     "stacks_pipeline_action_provider": "Jenkins", "stacks_pipeline_action_version": "v7"},
            "children": {"account": {"hosts": {"aws": {}}}, "jenkins": {"hosts": {"ci": {}}},
                         "services": {"hosts": hosts}}}}
        play, task = configured_job()
        given = ", ".join(f"'{name}': {name}" for name in task["vars"])

        def role(entry: str, **more: Any) -> Json:
            return {"ansible.builtin.include_role": {"name": "stacks", "tasks_from": entry, **more}}

        def fact(name: str, value: str) -> Json:
            return {"ansible.builtin.set_fact": {name: f"{{{{ {value} }}}}"}}

        plays = [
            {"hosts": "account", "gather_facts": False, "tasks": [role("pipeline_jobs")]},
            {"hosts": "jenkins", "gather_facts": False, "vars": play["vars"], "tasks": [{
                **fact("made", f"made | default([]) + [{{{given}}}]"),
                **{word: task[word] for word in ("loop", "loop_control", "vars")}}]},
            {"hosts": "services", "gather_facts": False, "vars": {"stacks_app_name": "{{ ecs_release_app_name }}"},
             "tasks": [{"when": "not stacks_registry_of | default('')", "block": [
                 role("pipeline_preflight", public=True), fact("asked", "_stacks_pipeline_all_parameters")]}]},
            {"hosts": "jenkins", "gather_facts": False, "tasks": [{"ansible.builtin.copy": {
                "dest": str(folder / "found"), "mode": "0600", "content":
                "{{ {'made': made, 'asked': dict(groups['services'] | zip(groups['services'] | map('extract', hostvars)"
                " | map(attribute='asked', default={})))} }}"}}]}]
        (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        (folder / "play.yml").write_text(yaml.safe_dump(plays))
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "inventory.yml"),
             str(folder / "play.yml")], cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=300)
        self.failed, self.said = done.returncode != 0, " ".join(done.stdout.split())
        if not self.failed:
            found = json.loads((folder / "found").read_text())
            self.jobs: list[Json] = found["made"]
            """The variables of role jenkins_job, for each job."""
            self.asked: Json = found["asked"]

    def pipeline(self, service: str) -> Resolved:
        return Resolved(**{name: str(value) for name, value in self.asked[service].items()})


def with_stages(host: str, app: str, **parameters: str) -> Json:
    """A service with both further stages."""
    return {host: {"ecs_release_app_name": app, "stacks_pipeline_staging": f"{host}-staging",
                   "stacks_pipeline_production": f"{host}-production", "stacks_pipeline_parameters": parameters},
            f"{host}-staging": {"stacks_registry_of": host}, f"{host}-production": {"stacks_registry_of": host}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("house"), {
        **with_stages("shop", "shop"), **with_stages("empty", "blank", ProjectName="", StagingProjectName=""),
        **with_stages("web", "customer-service-web"), **with_stages("api", "customer-service-api"),
        **with_stages("own", "own", ProjectName="a", StagingProjectName="b", ProductionProjectName="c"),
        # No pipeline names it.
        "shop-other": {"stacks_registry_of": "shop"}})
    assert not made.failed, made.said
    return made


@pytest.mark.parametrize("service", ["shop", "empty", "web", "api", "own"])
def test_each_action_of_a_pipeline_finds_its_job(house: House, service: str) -> None:
    asked = [action for _, action in house.pipeline(service).actions() if kind(action) == "Build/Custom/Jenkins"]
    assert len(asked) == 3
    app = house.asked[service]["AppName"]
    for action, to in zip(asked, (app, f"{service}-staging", f"{service}-production"), strict=True):
        (job,) = [one for one in house.jobs if one["jenkins_job_name"] == action["Configuration"]["ProjectName"]]
        assert job["jenkins_job_app_name"] == to
        # The plugin compares the names, and fails a build where they differ.
        assert [one["Name"] for one in action["OutputArtifacts"]] == [
            one["name"] for one in job["jenkins_job_output_artifacts"]]
        assert job["jenkins_job_promote"] is ([one["Name"] for one in action["InputArtifacts"]] == ["Release"])
        assert job["jenkins_job_provider_version"] == action["ActionTypeId"]["Version"] == "v7"


def test_names_of_jobs_are_short_and_each_is_one_jobs(house: House) -> None:
    names = [job["jenkins_job_name"] for job in house.jobs]
    assert len({name.lower() for name in names}) == len(names) == 15
    assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", name)] == []
    # What a person would call them, where there is room.
    assert {"shop", "shop-stg", "shop-prd", "blank", "blank-stg", "a", "b", "c", "customer-service-web"} <= set(names)


def test_only_a_service_that_a_pipeline_names_has_a_stages_job(house: House) -> None:
    assert "shop-other" not in [job["jenkins_job_app_name"] for job in house.jobs]


def test_two_jobs_of_one_name_and_names_that_nobody_takes_are_refused(tmp_path: Path) -> None:
    refused = House(tmp_path, {
        **with_stages("shop", "shop"), "shop-stg": {}, "low": {},
        "high": {"stacks_pipeline_parameters": {"ProjectName": "Low"}}, "a-name-of-21-letters-": {}})
    assert refused.failed
    for word in ("Two jobs in Jenkins would be called shop-stg, of stage Staging of shop",
                 "set ProjectName in stacks_pipeline_parameters of shop-stg.",
                 "Two jobs in Jenkins would be called low, of stage Build of high and of stage Build of low:",
                 "called a-name-of-21-letters-, which has 21 characters"):
        assert word in refused.said


def test_what_no_job_would_match_is_refused(tmp_path: Path) -> None:
    wrong: Json = {
        "one": {"StagingProjectName": "mine"}, "two": {"ProductionEnabled": True, "ProductionProjectName": "mine"},
        "three": {"AppName": "other", "PipelineMock": True}}
    refused = House(tmp_path, {
        **{name: {"stacks_pipeline_parameters": given} for name, given in wrong.items()},
        "four": {"stacks_pipeline_staging": "one"}})
    assert refused.failed
    for word in ("parameters of one asks for stage Staging, and no job in Jenkins would release to it",
                 "in stacks_pipeline_staging", "parameters of two asks for stage Production",
                 "leave ProductionEnabled out",
                 "AppName in stacks_pipeline_parameters of three would not match", "set ecs_release_app_name.",
                 "PipelineMock in stacks_pipeline_parameters of three would not match", "set stacks_pipeline_mock.",
                 "stacks_pipeline_staging of four is one: that has to be a host of group services",
                 "with stacks_registry_of set to four."):
        assert word in refused.said


# --- the order ------------------------------------------------------------------------------------------------------

def entries(playbook: str) -> Iterator[str]:
    """role/entry point of every role that the playbook runs, in order."""
    for play in load(playbook):
        if "ansible.builtin.import_playbook" in play:
            yield from entries(str(Path(playbook).parent / play["ansible.builtin.import_playbook"]))
        for task in play.get("tasks", []):
            for word in ("include_role", "import_role"):
                if found := task.get(f"ansible.builtin.{word}"):
                    yield f"{found['name']}/{found.get('tasks_from', 'main')}"


def test_pipelines_that_are_there_follow_the_jobs_before_anything_is_released() -> None:
    order = list(entries("site.yml"))
    wanted = ["stacks/pipeline_action", "jenkins_job/main", "stacks/pipeline_update", "ecs_release/main",
              "stacks/pipeline", "stacks/pipeline_action_prune"]
    assert [entry for entry in order if entry in wanted] == wanted
    # Nothing else may fail in between.
    assert order[order.index("jenkins_job/main") + 1] == "stacks/pipeline_update"


def test_names_are_checked_before_anything_is_made() -> None:
    tasks = load("roles/stacks/tasks/jenkins_preflight.yml")
    assert "pipeline_jobs.yml" in [task.get("ansible.builtin.import_tasks") for task in tasks]
    order = list(entries("site.yml"))
    assert order.index("stacks/jenkins_preflight") < order.index("stacks/main")
