"""The three files of secrets, on a real file system."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slipway.jenkins import secrets

FILES = ["admin-password", "api-token", "credentials"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "jenkins"


def contents(home: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in home.iterdir()}


def keep(home: Path, password: str | None = None, check_mode: bool = False, user: str = "admin") -> dict[str, object]:
    result = secrets.keep(str(home), user, password, check_mode)
    if home.exists():
        said = json.dumps(result)
        assert [text for text in contents(home).values() if text.strip() in said] == []
    return result


def test_makes_them_once(home: Path) -> None:
    assert keep(home)["written"] == FILES
    made = contents(home)
    assert keep(home) == {"changed": False, "written": [], "generated": []}
    assert contents(home) == made
    assert secrets.TOKEN.fullmatch(made["api-token"].strip())
    assert len(made["admin-password"].strip()) >= 32
    assert made["credentials"].strip() == f"admin:{made['api-token'].strip()}"


def test_two_hosts_have_different_ones(tmp_path: Path) -> None:
    keep(tmp_path / "one")
    keep(tmp_path / "two")
    assert not set(contents(tmp_path / "one").values()) & set(contents(tmp_path / "two").values())


def test_only_root_reads_them_under_any_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        keep(home)
    finally:
        os.umask(before)
    assert home.stat().st_mode & 0o7777 == 0o700
    assert {file.stat().st_mode & 0o7777 for file in home.iterdir()} == {0o600}


def test_closes_what_was_opened(home: Path) -> None:
    keep(home)
    (home / "api-token").chmod(0o644)
    home.chmod(0o755)
    assert keep(home, check_mode=True)["changed"]
    assert (home / "api-token").stat().st_mode & 0o777 == 0o644
    assert keep(home) == {"changed": True, "written": [], "generated": []}
    assert (home / "api-token").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_check_mode_writes_nothing(home: Path) -> None:
    assert keep(home, check_mode=True)["written"] == FILES
    assert not home.exists()


def test_a_given_password_replaces_the_kept_one_and_nothing_else(home: Path) -> None:
    keep(home)
    token = contents(home)["api-token"]
    assert keep(home, "correct horse battery")["written"] == ["admin-password"]
    assert contents(home)["admin-password"] == "correct horse battery\n"
    assert contents(home)["api-token"] == token
    assert keep(home, "correct horse battery")["changed"] is False
    # No longer given: it stays.
    assert keep(home)["changed"] is False


def test_a_lost_or_damaged_file_is_made_up_for(home: Path) -> None:
    keep(home)
    password = contents(home)["admin-password"]
    (home / "credentials").unlink()
    assert keep(home)["written"] == ["credentials"]
    (home / "api-token").write_text("not a token\n")
    assert keep(home) == {"changed": True, "written": ["api-token", "credentials"], "generated": ["api-token"]}
    (home / "api-token").write_bytes(b"\xff\xfe")
    assert keep(home)["written"] == ["api-token", "credentials"]
    assert contents(home)["admin-password"] == password


def test_what_a_killed_run_left_is_no_hindrance(home: Path) -> None:
    keep(home)
    (home / ".credentials.new").write_text("half")
    (home / "credentials").unlink()
    assert keep(home)["written"] == ["credentials"]
    assert sorted(contents(home)) == FILES


def test_another_administrator(home: Path) -> None:
    keep(home)
    assert keep(home, user="root2")["written"] == ["credentials"]
    assert contents(home)["credentials"].startswith("root2:11")
