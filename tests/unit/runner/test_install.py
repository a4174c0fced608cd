"""Versions on a host: what is current, what is kept, and what a failure or a kill leaves."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import InvalidInput, SlipwayError
from slipway.runner import install as runner
from slipway.runner.install import Request, install, look, request_of

# A Python whose environments cost no download: `pip` and `ansible-playbook` do what the test says.
PYTHON = """#!/bin/sh
case "$*" in
-c*) cat {home}/python-version ;;
*compileall*) exec {real} "$@" ;;
*venv*)
    mkdir -p "$3/bin" && cp {home}/pip "$3/bin/python" && cp {home}/ansible-playbook "$3/bin/ansible-playbook" ;;
esac
"""


class Machine:
    def __init__(self, place: Path) -> None:
        self.place, self.home = place, place / "opt"
        self.script("python", PYTHON.format(home=place, real=sys.executable))
        self.script("pip", "#!/bin/sh\n")
        self.script("ansible-playbook", "#!/bin/sh\n")
        (place / "python-version").write_text("3.11\n")

    def script(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)
        (self.place / name).chmod(0o755)

    def install(self, version: str, pins: str = "a==1\n", known: bool = False, keep: int = 2,
                check: bool = False) -> Any:
        data = None if known else archive(version, pins)
        return install(Request(self.home, version, data, str(self.place / "python"), keep), check)

    def current(self) -> str:
        return (self.home / "current" / "name").read_text()

    def releases(self) -> set[str]:
        return {path.name for path in (self.home / "releases").iterdir()}

    def environments(self) -> list[str]:
        return [path.name for path in (self.home / "environments").iterdir()]


def archive(version: str, pins: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in {"name": version, "requirements.txt": pins, "constraints.txt": "",
                           "bin/release": "#!/bin/sh\n", "library/module.py": "A = 1\n"}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755 if name.startswith("bin") else 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_version(machine: Machine) -> None:
    result = machine.install("one")
    assert (result["changed"], result["previous"], machine.current()) == (True, "", "one")
    release = machine.home / "releases" / "one"
    assert (release / "venv" / "bin" / "ansible-playbook").exists()
    assert list((release / "library" / "__pycache__").glob("module.*.pyc"))
    assert os.access(release / "bin" / "release", os.X_OK)
    assert not [path for path in machine.home.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]


def test_the_same_again_changes_nothing(machine: Machine) -> None:
    machine.install("one")
    machine.script("pip", "#!/bin/sh\nexit 1\n")
    result = machine.install("one")
    assert (result["changed"], result["diff"]["after"]) == (False, "")


def test_an_update_shares_the_environment_and_keeps_the_way_back(machine: Machine) -> None:
    machine.install("one")
    machine.script("pip", "#!/bin/sh\nexit 1\n")
    result = machine.install("two")
    assert (result["previous"], result["removed"], machine.current()) == ("one", [], "two")
    assert machine.releases() == {"one", "two"}
    assert len(machine.environments()) == 1
    assert machine.install("one", known=True)["changed"]
    assert machine.current() == "one"
    assert not machine.install("one", known=True)["changed"]


def test_the_oldest_goes(machine: Machine) -> None:
    machine.install("one")
    machine.install("two", pins="a==2\n")
    assert len(machine.environments()) == 2
    result = machine.install("three", pins="a==2\n")
    assert result["removed"] == ["one"]
    assert machine.releases() == {"two", "three"}
    assert len(machine.environments()) == 1


def test_the_way_back_is_what_was_current_before_and_not_what_was_installed_before(machine: Machine) -> None:
    machine.install("one")
    machine.install("two")
    machine.install("one", known=True)
    assert machine.install("three")["removed"] == ["two"]
    assert machine.releases() == {"one", "three"}


def test_a_version_in_use_stays_until_its_release_has_ended(machine: Machine) -> None:
    machine.install("one")
    with (machine.home / "releases" / "one" / ".in-use").open() as running:
        fcntl.flock(running, fcntl.LOCK_SH)
        machine.install("two")
        machine.install("three")
        assert machine.releases() == {"one", "two", "three"}
    result = machine.install("three")
    assert (result["changed"], result["removed"]) == (True, ["one"])


def test_an_unknown_version_is_refused_with_those_that_are_there(machine: Machine) -> None:
    machine.install("one")
    with pytest.raises(InvalidInput, match="Installed are: one"):
        machine.install("two", known=True)


def test_check_mode_tells_and_touches_nothing(machine: Machine) -> None:
    result = machine.install("one", check=True)
    assert result["diff"]["after"] == "current: one\nreleases/one: installed\n"
    assert not machine.home.exists()
    machine.install("one")
    before = sorted(machine.home.rglob("*"))
    assert "one" in machine.install("two", check=True)["diff"]["before"]
    assert sorted(machine.home.rglob("*")) == before


@pytest.mark.parametrize("broken", ["pip", "ansible-playbook"])
def test_a_failure_leaves_the_current_version_and_the_next_run_completes(machine: Machine, broken: str) -> None:
    machine.install("one")
    machine.script(broken, "#!/bin/sh\necho first >&2\necho the cause >&2\nexit 1\n")
    with pytest.raises(SlipwayError, match="failed with exit code 1:\nfirst\nthe cause\n"):
        machine.install("two", pins="a==2\n")
    assert machine.current() == "one"
    assert machine.releases() == {"one"}
    machine.script(broken, "#!/bin/sh\n")
    # What the failed run made of the environment has the broken program in it.
    for path in (machine.home / "environments").rglob(broken):
        path.write_text("#!/bin/sh\n")
    machine.install("two", pins="a==2\n")
    assert machine.current() == "two"


@pytest.mark.parametrize("step", ["_unpack", "_give_environment", "_prove", "_link"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_killed_anywhere_leaves_the_current_version_and_the_next_run_completes(
        machine: Machine, monkeypatch: pytest.MonkeyPatch, step: str, moment: str) -> None:
    machine.install("one")
    pid = os.fork()
    if pid == 0:
        work = getattr(runner, step)

        def killed(*arguments: Any) -> None:
            if moment == "after":
                work(*arguments)
            os.kill(os.getpid(), 9)

        setattr(runner, step, killed)
        machine.install("two", pins="a==2\n")
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 9
    assert machine.current() in ("one", "two")
    machine.install("two", pins="a==2\n")
    assert machine.current() == "two"
    assert machine.releases() == {"one", "two"}
    assert len(machine.environments()) == 2


def test_an_environment_of_another_python_is_made_anew(machine: Machine) -> None:
    machine.install("one")
    before = machine.environments()
    (machine.place / "python-version").write_text("3.13\n")
    result = machine.install("one")
    assert (result["changed"], "venv" in result["diff"]["after"]) == (True, True)
    assert len(machine.environments()) == 1
    assert machine.environments() != before
    assert not machine.install("one")["changed"]


def test_the_order_of_versions_is_that_of_their_use(machine: Machine) -> None:
    for number, version in enumerate(["one", "two", "three"]):
        machine.install(version, keep=9)
        os.utime(machine.home / "releases" / version, (number, number))
    machine.install("one", known=True, keep=9)
    assert look(machine.home).installed == ["one", "three", "two"]


def params(**changed: Any) -> dict[str, Any]:
    return {"home": "/opt/slipway", "version": "one", "python": "python3", "keep": 2, "archive": None,
            "archive_version": None, **changed}


def test_fewer_than_two_versions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Keep 2"):
        request_of(params(keep=1))


@pytest.mark.parametrize("home", ["relative", "/opt/../tmp", "/tmp/slipway", "/etc/hostname/slipway"])
def test_a_home_that_others_can_write_to_is_refused(home: str) -> None:
    with pytest.raises(InvalidInput, match="is no absolute path|can be written by others|is not a folder"):
        request_of(params(home=home))
