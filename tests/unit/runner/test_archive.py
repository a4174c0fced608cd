"""The archive of a checkout: the same bytes for the same content, and everything a release needs."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from slipway.errors import InvalidInput
from slipway.runner.archive import ADDED, CONTENTS, pack

ROOT = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the parts of this checkout."""
    for name in (*CONTENTS, *ADDED):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy(source, target)
    return tmp_path


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_the_version_is_that_of_the_content_alone(checkout: Path) -> None:
    before = pack(str(checkout))
    for path in checkout.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))
            path.chmod(path.stat().st_mode & 0o700 | 0o040)
    (checkout / "library" / "__pycache__").mkdir(exist_ok=True)
    (checkout / "library" / "__pycache__" / "x.cpython-311.pyc").touch()
    (checkout / "library" / ".cfn_stack.py.swp").touch()
    (checkout / "library" / "cfn_stack.py~").touch()
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_x.py").touch()
    assert pack(str(checkout)) == before
    assert re.fullmatch("[0-9a-f]{12}", before.version)


def change_a_byte(checkout: Path) -> None:
    (checkout / "ansible.cfg").write_bytes((checkout / "ansible.cfg").read_bytes() + b"\n")


def change_a_name(checkout: Path) -> None:
    (checkout / "library" / "cfn_stack.py").rename(checkout / "library" / "other.py")


def change_a_mode(checkout: Path) -> None:
    (checkout / "ansible.cfg").chmod(0o755)


def change_a_link(checkout: Path) -> None:
    link = next(path for path in (checkout / "action_plugins").iterdir() if path.is_symlink())
    link.unlink()
    link.symlink_to("elsewhere.py")


@pytest.mark.parametrize("change", [change_a_byte, change_a_name, change_a_mode, change_a_link])
def test_any_change_makes_another_version(checkout: Path, change: object) -> None:
    before = pack(str(checkout)).version
    assert callable(change)
    change(checkout)
    assert pack(str(checkout)).version != before


@pytest.mark.parametrize("part", ["requirements.txt", "library", "roles/ecs_release"])
def test_an_incomplete_checkout_is_named(checkout: Path, part: str) -> None:
    (checkout / part).rename(checkout / "away")
    with pytest.raises(InvalidInput, match=f"{re.escape(part)} is missing"):
        pack(str(checkout))


def test_what_makes_hosts_and_tests_stays_here() -> None:
    packed = names(pack(str(ROOT)).data)
    assert {"bin/release", "bin/release.py", "constraints.txt", "ansible.cfg", "requirements.txt",
            "playbooks/release.yml", "inventories/runner/hosts.yml"} <= set(packed)
    assert [name for name in packed if re.search(
        r"(^|/)(tests|embedded|benchmarks|molecule|roles/(?!ecs_release/)|__pycache__|\.git)(/|$)", name)] == []


def test_a_release_finds_everything_in_it(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(str(ROOT)).data)) as tar:
        tar.extractall(tmp_path, filter="data")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
                   "LC_ALL": "C.UTF-8"}
    subprocess.run([ANSIBLE_PLAYBOOK, "--syntax-check", "-i", tmp_path / "inventories" / "runner",
                    tmp_path / "playbooks" / "release.yml"], check=True, env=environment, cwd="/", capture_output=True)
    for module in sorted((tmp_path / "library").glob("ec*.py")):
        needed = re.findall(r"^from ansible\.module_utils\.slipway(\S*) import (\w+)", module.read_text(), re.MULTILINE)
        assert needed
        for package, name in needed:
            place = tmp_path / "module_utils" / "slipway" / Path(*package.strip(".").split("."))
            assert place.with_suffix(".py").exists() or (place / f"{name}.py").exists() or (place / name).is_dir()
