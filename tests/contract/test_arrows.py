"""A room names only rooms further along: playbooks -> roles -> library -> module_utils/slipway -> AWS and Docker."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MIND = ROOT / "module_utils" / "slipway"


def imports(file: Path) -> Iterator[str]:
    """Every module that `file` imports, anywhere in it, with relative ones resolved to dotted names of slipway."""
    package = ["slipway", *file.relative_to(MIND).parts[:-1]] if file.is_relative_to(MIND) else []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[:len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from (f"{module}.{alias.name}" for alias in node.names) if module else ()


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py") if file.is_file())


def names(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", python_files("module_utils"), ids=names)
def test_the_mind_imports_no_room_before_it(file: Path) -> None:
    # requests: docker's own base, whose errors come through.
    wrong = [name for name in imports(file) if name.split(".")[0] not in {"slipway", "boto3", "botocore", "docker",
             "requests", "yaml", *sys.stdlib_module_names}]
    assert wrong == []


@pytest.mark.parametrize("file", python_files("module_utils"), ids=names)
def test_only_aws_touches_boto3_and_only_docker_the_engine(file: Path) -> None:
    room = file.relative_to(MIND).parts[0]
    used = {name.split(".")[0] for name in imports(file)}
    if room != "aws":
        assert not used & {"boto3", "botocore"}
    if room != "docker":
        assert not used & {"docker", "requests"}


@pytest.mark.parametrize("file", python_files("library"), ids=names)
def test_a_module_is_a_thin_door(file: Path) -> None:
    wrong = [name for name in imports(file) if name.split(".")[0] not in {"__future__", "typing"}
             and not name.startswith("ansible.module_utils.")]
    assert wrong == []


def product_files() -> list[Path]:
    folders = ["library", "roles", "playbooks", "files", "module_utils", "action_plugins", "callback_plugins",
               "inventories/example"]
    found = [file for folder in folders for file in (ROOT / folder).rglob("*")
             if file.is_file() and file.suffix not in {".pyc"}]
    return sorted([*found, ROOT / "site.yml", ROOT / "ansible.cfg"])


@pytest.mark.parametrize("file", product_files(), ids=names)
def test_the_product_does_not_know_of_an_embedded_aws(file: Path) -> None:
    text = file.read_text(errors="replace").lower()
    words = ("ministack", "4566", "slipway-embedded", "import embedded", "localstack")
    assert [word for word in words if word in text] == []


@pytest.mark.parametrize("file", sorted((ROOT / "playbooks").glob("*.yml")), ids=names)
def test_playbooks_hold_order_only(file: Path) -> None:
    for play in yaml.safe_load(file.read_text()):
        for task in play.get("tasks", []):
            actions = set(task) - {"name", "vars", "tags", "when", "loop", "loop_control"}
            assert actions <= {"ansible.builtin.import_role", "ansible.builtin.include_role"}, task["name"]


@pytest.mark.parametrize("file", sorted((ROOT / "roles").rglob("*.yml")), ids=names)
def test_roles_name_neither_playbooks_nor_inventories(file: Path) -> None:
    assert not re.search(r"playbook_dir|inventory_dir|inventories/|playbooks/", file.read_text())


def test_only_builtin_modules_and_our_own() -> None:
    own = {file.stem for file in (ROOT / "library").glob("*.py")}
    for file in [*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "roles").glob("*/handlers/*.yml"),
                 ROOT / "embedded" / "engine.yml"]:
        for dotted in re.findall(r"^\s*(?:- )?([a-z_]+\.[a-z_]+\.[a-z_]+):", file.read_text(), re.M):
            assert dotted.startswith("ansible.builtin."), f"{names(file)}: {dotted}"
    assert own >= {"cfn_stack", "cfn_stack_info", "ecr_push", "ecs_rollout", "ecs_preflight",
                   "ecs_task_definitions"}
