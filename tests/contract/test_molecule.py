"""Every role is tested on real hosts: a scenario is data and two playbooks, all else is shared."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedded import images

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
SEQUENCE = ["destroy", "create", "prepare", "check", "converge", "idempotence", "verify", "destroy"]


class Loader(yaml.SafeLoader):
    """Takes Ansible's own tags (!unsafe) for what they stand on."""


Loader.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))


def load(*parts: str) -> Any:
    return yaml.load(ROOT.joinpath(*parts).read_text(), Loader)


def platforms(scenario: str) -> list[dict[str, Any]]:
    return list(load("molecule", scenario, "molecule.yml")["platforms"])


def applied_roles(scenario: str) -> set[str]:
    """The roles that the scenario's converge.yml applies."""
    found: set[str] = set()
    for play in load("molecule", scenario, "converge.yml"):
        found |= {role if isinstance(role, str) else role["role"] for role in play.get("roles", [])}
        for task in play.get("tasks", []):
            found |= {task[verb]["name"] for verb in task if verb.endswith(("include_role", "import_role"))}
    return found


def test_every_role_has_a_scenario() -> None:
    assert [role for role in ROLES if role not in SCENARIOS] == []


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name in ROLES])
def test_a_scenario_applies_its_role(scenario: str) -> None:
    assert scenario in applied_roles(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_is_data_over_the_shared_base(scenario: str) -> None:
    """Another key could take a step out of the sequence, or hosts of another making in."""
    data = load("molecule", scenario, "molecule.yml")
    own = data.pop("provisioner", {"inventory": {"host_vars": {}}})
    assert list(data) == ["platforms"]
    assert (list(own), list(own["inventory"])) == (["inventory"], ["host_vars"])
    for platform in platforms(scenario):
        assert set(platform) <= {"name", "system", "mounts", "aws", "groups"}
        assert platform["system"] in images.HOST_IMAGES


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_verifies(scenario: str) -> None:
    assert [task for play in load("molecule", scenario, "verify.yml") for task in play["tasks"]]


def test_the_sequence_is_the_whole_one_for_all() -> None:
    assert load(".config", "molecule", "config.yml")["scenario"]["test_sequence"] == SEQUENCE


def test_the_shared_playbooks_are_there() -> None:
    for playbook in load(".config", "molecule", "config.yml")["ansible"]["playbooks"].values():
        assert (ROOT / "molecule" / "any" / playbook).resolve().is_file()


def test_no_two_hosts_have_one_name() -> None:
    names = Counter(platform["name"] for scenario in SCENARIOS for platform in platforms(scenario))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_system_is_used() -> None:
    used = {platform["system"] for scenario in SCENARIOS for platform in platforms(scenario)}
    assert used == set(images.HOST_IMAGES)
