"""The templates of role jenkins_job, rendered as Ansible renders them, with values of a test's choice."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "jenkins_job"
VALUES: dict[str, Any] = {
    "jenkins_job_category": "Build",
    "jenkins_job_keep_builds": 100,
    "jenkins_job_output_artifacts": [{"name": "Release", "location": ".slipway/report"}],
    "jenkins_job_promote": False,
    "jenkins_job_provider": "Jenkins-shop",
    "jenkins_job_provider_version": "1",
    "jenkins_job_region": "eu-central-1",
    "jenkins_job_release_command": "/opt/slipway/current/bin/release",
    "jenkins_job_timeout": 3000,
    "_jenkins_job_description": "Releases shop.",
    "_jenkins_job_variables": {"ecs_release_app_name": "shop"},
}


def render(**changed: Any) -> str:
    """config.xml with VALUES and what is changed of them."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters["quote"] = shlex.quote
    environment.filters["to_json"] = json.dumps
    return environment.get_template("config.xml.j2").render(**{**VALUES, **changed})


def step_of(config: str) -> str:
    """The shell step, as whoever loads the configuration reads it."""
    found = ElementTree.fromstring(config).findtext("builders/hudson.tasks.Shell/command")
    assert found is not None
    return found


def rules() -> dict[str, str]:
    """The pattern of each option, from the role's own table."""
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    path = variables["_jenkins_job_path"]
    return {rule["option"]: path if "{{" in rule["pattern"] else rule["pattern"]
            for rule in variables["_jenkins_job_rules"]}
