"""A folder is read as git would take it; git itself is the judge."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from slipway.errors import InvalidInput
from slipway.pipeline.tree import EXECUTABLE, NORMAL, SYMLINK, Folder


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
                          check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = tmp_path / "app"
    (one / "bin").mkdir(parents=True)
    (one / "Dockerfile").write_text("FROM scratch\n")
    (one / "bin" / "start").write_text("#!/bin/sh\n")
    (one / "bin" / "start").chmod(0o755)
    (one / "name with space and ü").write_bytes(b"\0\1\r\n")
    (one / "current").symlink_to("bin/start")
    (one / "empty").mkdir()
    (one / ".gitignore").write_text("*.log\n")
    (one / "noise.log").write_text("noise\n")
    return one


def test_the_tree_is_the_one_that_git_makes(folder: Path) -> None:
    with Folder(str(folder)) as read:
        assert read.content(read.tree.files["bin/start"].blob) == b"#!/bin/sh\n"
        assert read.content(read.tree.files["current"].blob) == b"bin/start"
        assert read.content(read.tree.files["name with space and ü"].blob) == b"\0\1\r\n"
    assert {name: entry.mode for name, entry in read.tree.files.items()} == {
        ".gitignore": NORMAL, "Dockerfile": NORMAL, "bin/start": EXECUTABLE, "current": SYMLINK,
        "name with space and ü": NORMAL}
    assert not (folder / ".git").exists()
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    assert git(folder, "write-tree") == read.tree.id


def test_a_repository_around_it_is_neither_read_nor_touched(folder: Path) -> None:
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", "--all")
    git(folder.parent, "commit", "--quiet", "--message", "all")
    before = git(folder.parent, "status", "--porcelain"), git(folder.parent, "rev-parse", "HEAD:app")
    with Folder(str(folder)) as read:
        pass
    assert (git(folder.parent, "status", "--porcelain"), git(folder.parent, "rev-parse", "HEAD:app")) == before
    assert read.tree.id == before[1]


def test_its_own_repository_is_no_part_of_it(folder: Path) -> None:
    with Folder(str(folder)) as read:
        first = read.tree.id
    git(folder, "init", "--quiet")
    with Folder(str(folder)) as read:
        assert read.tree.id == first


def test_a_repository_below_it_is_refused(folder: Path) -> None:
    inner = folder / "vendor" / "lib"
    inner.mkdir(parents=True)
    git(inner, "init", "--quiet")
    (inner / "file").write_text("x")
    git(inner, "add", "--all")
    git(inner, "commit", "--quiet", "--message", "x")
    with pytest.raises(InvalidInput, match="vendor/lib is a git repository of its own"), Folder(str(folder)):
        pass


def test_what_cannot_be_a_commit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no file that git would take"), Folder(str(tmp_path / "empty")):
        pass
    with pytest.raises(InvalidInput, match="is not a folder"), Folder(str(tmp_path / "missing")):
        pass
    (tmp_path / "odd").mkdir()
    (Path(os.fsdecode(bytes(tmp_path / "odd") + b"/\xff"))).write_text("x")
    with pytest.raises(InvalidInput, match="is not UTF-8"), Folder(str(tmp_path / "odd")):
        pass


def test_git_configuration_of_the_user_does_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Folder(str(folder)) as read:
        plain = read.tree.id
    settings = folder.parent / "gitconfig"
    settings.write_text(f"[core]\n\tautocrlf = true\n\texcludesFile = {folder.parent}/ignore\n")
    (folder.parent / "ignore").write_text("Dockerfile\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    with Folder(str(folder)) as read:
        assert read.tree.id == plain
