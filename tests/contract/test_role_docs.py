"""A role's argument_specs are its contract: defaults, README and meta say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def entry_points(role: Path) -> dict[str, Any]:
    return dict(load(role / "meta" / "argument_specs.yml")["argument_specs"])


def options(role: Path) -> dict[str, Any]:
    """The options of all entry points together: they share one defaults/main.yml."""
    return {option: spec for entry in entry_points(role).values() for option, spec in entry.get("options", {}).items()}


def name(role: Path) -> str:
    return role.name


def described(options_of: dict[str, Any], prefix: str = "") -> list[str]:
    """Every option, also nested ones, that has no description."""
    missing = []
    for option, spec in options_of.items():
        if not spec.get("description"):
            missing.append(prefix + option)
        missing += described(spec.get("options", {}), f"{prefix}{option}.")
    return missing


def test_there_are_roles() -> None:
    assert ROLES


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_every_default_is_the_one_of_the_contract(role: Path) -> None:
    promised = {option: spec["default"] for option, spec in options(role).items() if "default" in spec}
    given = load(role / "defaults" / "main.yml") or {}
    # Compared as text too, because 1 == True.
    assert {k: (v, repr(v)) for k, v in given.items()} == {k: (v, repr(v)) for k, v in promised.items()}


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_every_entry_point_is_there_and_described(role: Path) -> None:
    points = entry_points(role)
    assert "main" in points
    assert [point for point in points if not (role / "tasks" / f"{point}.yml").is_file()] == []
    assert [point for point, spec in points.items() if not spec.get("short_description")] == []


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_an_option_without_a_default_is_required_or_may_be_left_out(role: Path) -> None:
    """An option is either required or has a default; one that means "not set" says so with required: false."""
    unclear = [option for option, spec in options(role).items()
               if ("default" in spec) == (spec.get("required") is not None)]
    assert unclear == []


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_every_option_is_described_and_carries_the_roles_name(role: Path) -> None:
    assert described(options(role)) == []
    assert [option for option in options(role) if not option.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_the_readme_names_every_option(role: Path) -> None:
    text = (role / "README.md").read_text()
    assert [option for option in options(role) if f"`{option}`" not in text] == []


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_meta_is_complete(role: Path) -> None:
    info = load(role / "meta" / "main.yml")["galaxy_info"]
    assert info["role_name"] == role.name
    assert info["license"] == "GPL-3.0-or-later"
    assert [key for key in ("author", "description", "min_ansible_version", "platforms") if not info.get(key)] == []


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_main_is_an_index(role: Path) -> None:
    """tasks/main.yml names the subjects; the work is in their files."""
    names = {f"ansible.builtin.{verb}_{what}" for verb in ("import", "include") for what in ("tasks", "role")}
    assert [task for task in load(role / "tasks" / "main.yml") if not names & set(task)] == []
