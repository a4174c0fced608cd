"""The context's digest: what it depends on, and what not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.errors import InvalidInput
from slipway.image.context import read_ignore, summarise, walk
from slipway.image.ignore import Ignore

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..", ".git"))
LEAVES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=200), st.sampled_from([0o644, 0o755, 0o600])),
    st.tuples(st.just("link"), NAMES, st.just(0)),
)
TREES = st.recursive(st.dictionaries(NAMES, LEAVES, max_size=4),
                     lambda inner: st.dictionaries(NAMES, st.one_of(LEAVES, inner), max_size=4), max_leaves=12)
COUNT = iter(range(10**9))


def make(root: Path, tree: dict, backwards: bool = False) -> Path:
    root.mkdir()
    root.chmod(0o755)
    for name, item in sorted(tree.items(), reverse=backwards):
        path = root / name
        if isinstance(item, dict):
            make(path, item, backwards)
        elif item[0] == "file":
            path.write_bytes(item[1])
            path.chmod(item[2])
        else:
            path.symlink_to(item[1])
    return root


def digest(root: Path) -> str:
    return summarise(str(root), Ignore()).digest


def flat(tree: dict, prefix: str = "") -> list[tuple]:
    found: list[tuple] = []
    for name, item in sorted(tree.items()):
        found.append((prefix + name, "d") if isinstance(item, dict) else (prefix + name, *item))
        if isinstance(item, dict):
            found += flat(item, f"{prefix}{name}/")
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES)
def test_equal_trees_are_equal_whenever_and_in_whatever_order_they_are_made(tmp_path: Path, tree: dict) -> None:
    number = next(COUNT)
    one, two = make(tmp_path / f"a{number}", tree), make(tmp_path / f"b{number}", tree, backwards=True)
    for path in two.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert digest(one) == digest(two)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=TREES, second=TREES)
def test_different_trees_have_different_digests(tmp_path: Path, first: dict, second: dict) -> None:
    number = next(COUNT)
    one, two = make(tmp_path / f"a{number}", first), make(tmp_path / f"b{number}", second)
    assert (digest(one) == digest(two)) == (flat(first) == flat(second))


def test_an_exec_bit_a_link_target_an_empty_directory_and_a_name_count(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {"f": ("file", b"x", 0o644), "l": ("link", "f", 0)})
    seen = [digest(root)]
    (root / "f").chmod(0o755)
    seen.append(digest(root))
    (root / "l").unlink()
    (root / "l").symlink_to("g")
    seen.append(digest(root))
    (root / "d").mkdir()
    seen.append(digest(root))
    (root / "f").rename(root / "g")
    seen.append(digest(root))
    assert len(set(seen)) == len(seen)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_do_not_count(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {"f": ("file", b"x", 0o644)})
    before = digest(root)
    os.chown(root / "f", 12345, 12345)
    assert digest(root) == before


def test_ignored_files_do_not_count_and_wanted_ones_below_ignored_directories_do(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {"d": {"keep": ("file", b"1", 0o644), "drop": ("file", b"2", 0o644)},
                                 "x.log": ("file", b"3", 0o644),
                                 ".dockerignore": ("file", b"*.log\nd\n!d/keep\n", 0o644)})
    ignore = read_ignore(str(root), str(root / "Dockerfile"))
    assert [entry.path for entry in walk(str(root), ignore)] == [".dockerignore", "d/keep"]


def test_a_dockerfile_may_have_an_ignore_file_of_its_own(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {"a": ("file", b"", 0o644), ".dockerignore": ("file", b"a", 0o644),
                                 "my.dockerignore": ("file", b".dockerignore\nmy.dockerignore", 0o644)})
    assert [e.path for e in walk(str(root), read_ignore(str(root), str(root / "my")))] == ["a"]


def test_git_counts_as_its_commit(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {".git": {"index": ("file", b"1", 0o644)}, "a": ("file", b"", 0o644)})
    before = summarise(str(root), Ignore(), lambda: "abc")
    (root / ".git" / "index").write_bytes(b"2")
    assert before.git
    assert summarise(str(root), Ignore(), lambda: "abc").digest == before.digest
    assert summarise(str(root), Ignore(), lambda: "abd").digest != before.digest


def test_secret_looking_files_are_named(tmp_path: Path) -> None:
    tree = dict.fromkeys((".env", "id_rsa", "credentials", ".env.example", "index.php"), ("file", b"", 0o600))
    assert summarise(str(make(tmp_path / "c", {"d": tree})), Ignore()).secret == ["d/.env", "d/credentials", "d/id_rsa"]


def test_a_socket_is_left_out_and_a_pipe_is_not_opened(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {})
    os.mkfifo(root / "pipe")
    assert [e.kind for e in walk(str(root), Ignore())] == ["p"]
    assert digest(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    root = make(tmp_path / "c", {"f": ("file", b"x", 0o000)})
    with pytest.raises(InvalidInput, match=r"/f cannot be read"):
        digest(root)
