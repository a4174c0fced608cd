"""Waves that are none, and an inventory without services: an error that says so, before anything is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RELEASE, ROLLBACK = "playbooks/release.yml", "playbooks/rollback.yml"


def play(folder: Path, playbook: str, services: dict[str, Any] | None, *more: str) -> tuple[int, str]:
    """Exit code and what was printed, on one line. services: by name; None for no such group."""
    inventory = folder / "inventory.yml"
    groups = {"account": {"hosts": {"aws": {}}}, **({} if services is None else {"services": {"hosts": services}})}
    inventory.write_text(yaml.safe_dump({"all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}, "children": groups}}))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, *more], cwd=ROOT, text=True,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def begun(said: str) -> bool:
    return "Preflight" in said or "Traceback" in said


@pytest.mark.parametrize("waves", [0, -1, [], [0, "100%"], ["150%"], "0%", "x%", "1,2", "", [True], {"1": 1}, None],
                         ids=json.dumps)
def test_waves_that_are_none_are_refused(tmp_path: Path, waves: Any) -> None:
    code, said = play(tmp_path, RELEASE, {"a": {}, "b": {}}, "-e", json.dumps({"release_waves": waves}))
    assert code != 0 and not begun(said), said
    assert f"release_waves is {json.dumps(waves)}. Give a list with a number of services from 1 on, or a share" in said


def test_a_rollback_is_held_to_the_same_waves_and_those_of_the_inventory_count(tmp_path: Path) -> None:
    code, said = play(tmp_path, ROLLBACK, {"a": {"release_waves": [0]}, "b": {"release_waves": [0]}}, "--check")
    assert code != 0 and not begun(said) and "release_waves is [0]." in said, said


@pytest.mark.parametrize("waves", ["2", [1, "1%", "100%"]], ids=json.dumps)
def test_waves_that_are_some_lead_to_the_release(tmp_path: Path, waves: Any) -> None:
    # Whose values are missing, which the preflight finds.
    code, said = play(tmp_path, RELEASE, {"a": {}, "b": {}}, "-e", json.dumps({"release_waves": waves}))
    assert code != 0 and "ecs_release_app_name is not set" in said and "Traceback" not in said, said


@pytest.mark.parametrize("playbook", [RELEASE, ROLLBACK])
@pytest.mark.parametrize("services", [None, {}], ids=["missing", "empty"])
def test_without_services_there_is_nothing_to_release(tmp_path: Path, playbook: str,
                                                      services: dict[str, Any] | None) -> None:
    code, said = play(tmp_path, playbook, services)
    assert code != 0 and not begun(said), said
    assert "The inventory has no service: its group `services` is empty or missing." in said


def test_several_services_go_back_only_by_name_or_confirmed(tmp_path: Path) -> None:
    services: dict[str, Any] = {"a": {}, "b": {}, "c": {}}
    code, said = play(tmp_path, ROLLBACK, services)
    assert code != 0 and not begun(said), said
    assert "This takes 3 services back: a, b, c. Name those that shall go back with --limit" in said
    for meant in (("--limit", "a,b"), ("-e", "rollback_confirm=yes"), ("--check",)):
        code, said = play(tmp_path, ROLLBACK, services, *meant)
        assert "This takes" not in said and "ecs_release_app_name is not set" in said, (meant, said)
