"""What a killed run leaves behind is taken away; what a living one has is not; equal runs wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.docker import private
from slipway.docker.private import alone, private_directory

ROOT = Path(__file__).resolve().parents[3]
HOLD = ("import sys, time; sys.path.insert(0, sys.argv[1]);"
        "from slipway.docker.private import alone, private_directory\n"
        "with private_directory('slipway-test-', sys.argv[2]) as one, alone('x', lambda seconds: None):\n"
        "    (one / 'file').touch(); print(one, flush=True); sys.stdin.read()")


def _holder(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(ROOT / "module_utils"), str(folder)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(folder)})
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_directory_of_a_killed_run_goes_and_that_of_a_living_one_stays(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "_YOUNG", 0)
    killed, old = _holder(tmp_path)
    killed.kill()
    killed.wait()
    assert (old / "file").exists()
    living, there = _holder(tmp_path)
    with private_directory("slipway-test-", str(tmp_path)) as own:
        assert own.stat().st_mode & 0o777 == 0o700
        assert not old.exists()
        assert (there / "file").exists()
    assert not own.exists()
    living.communicate("")
    assert not there.exists()


def test_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with alone("x", lambda seconds: None) as waited:
        assert not waited
    process, _ = _holder(tmp_path)
    told: list[float] = []

    def waiting(seconds: float) -> None:
        told.append(seconds)
        process.kill()

    with alone("x", waiting) as waited:
        assert waited
    assert told
    process.wait()


def test_where_nothing_can_be_locked_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with alone("x", lambda seconds: pytest.fail("waited")) as waited:
        assert not waited
