"""The plan of a pinned set of plugins, with tables and real plugin files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import InvalidInput
from slipway.jenkins import plugin_set
from slipway.jenkins.plugin_set import Misfit, Wanted

SHA = "0" * 64
LOCK: dict[str, Any] = {"core": "2.568.1", "asked": {"a": "1"}, "plugins": {"a": {"version": "1", "sha256": SHA},
                                                            "lib": {"version": "7", "sha256": SHA}}}


def plugin(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", text)
    return path


@pytest.mark.parametrize(("entry", "words"), [
    ({"name": "a"}, "exact one"),
    ({"name": "a", "version": "latest"}, "exact one"),
    ({"name": "a", "version": "1:2"}, "exact one"),
    ({"name": "a\nb", "version": "1"}, "the name"),
    ({"name": "../a", "version": "1"}, "the name"),
    ({"version": "1"}, "the name"),
    ({"name": "a", "version": "1", "sha256": "abc"}, "sha256"),
])
def test_a_faulty_set_is_refused(entry: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plugin_set.wanted([entry])


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as raised:
        plugin_set.wanted([{"name": "a", "version": "1"}, {"name": "a", "version": "2"}, {"name": "b"}])
    assert "a: named twice" in str(raised.value)
    assert "b: the version" in str(raised.value)


def test_a_version_with_letters_is_one() -> None:
    (found,) = plugin_set.wanted([{"name": "sshd", "version": "3.303.vefc7119b_ec23", "reason": "for readers"}])
    assert found == Wanted("sshd", "3.303.vefc7119b_ec23")


@pytest.mark.parametrize(("version", "core", "refused"), [
    ("0.47", "2.568.1", False), ("0.48", "2.568.1", True), ("0.48", "2.479.3", False), ("0.49", "2.489.1", True),
    ("0.47", "2.579.1", True), ("0.47", "2.580.1", True), ("0.47", "2.590.1", False), ("0.49", "2.590.1", True),
])
def test_known_misfits(version: str, core: str, refused: bool) -> None:
    rules = plugin_set.misfits([
        {"name": "p", "versions": ["0.48", "0.49"], "since": "2.489", "reason": "no compress"},
        {"name": "p", "versions": [], "since": "2.579", "until": "2.590", "reason": "no lang"}])
    said = plugin_set.refused([Wanted("p", version), Wanted("q", version)], core, rules)
    assert bool(said) == refused
    assert all(f"p {version} does not fit Jenkins {core}: no" in line for line in said)


def test_releases_are_compared_as_numbers() -> None:
    assert plugin_set.refused([Wanted("p", "1")], "2.1000.1", [Misfit("p", (), "2.579", "", "x")])


def test_reads_a_manifest_with_continued_lines(tmp_path: Path) -> None:
    path = plugin(tmp_path / "a.jpi", "Manifest-Version: 1.0\r\nShort-Name: a\r\nPlugin-Version: 0.47 (private)\r\n"
                  "Jenkins-Version: 2.387.3\r\nPlugin-Dependencies: lib:1.2,option:3;resolution:=opt\r\n"
                  " ional,sshd:3.303.v\r\n efc\r\n\r\nName: other\r\nShort-Name: wrong\r\n")
    found = plugin_set.read(path)
    assert (found.name, found.version, found.core, found.needs) == ("a", "0.47", "2.387.3", ("lib", "sshd"))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpi").write_text("half a download")
    with pytest.raises(InvalidInput, match=r"a\.jpi is damaged"):
        plugin_set.read(tmp_path / "a.jpi")


@pytest.mark.parametrize(("wanted", "core", "lock", "there", "differences"), [
    ([Wanted("a", "1")], "2.568.1", LOCK, {"a": SHA, "lib": SHA, "foreign": "x"}, []),
    ([Wanted("a", "1")], "2.568.1", {}, {}, ["a 1 is new"]),
    ([Wanted("a", "2")], "2.568.1", LOCK, {"a": SHA, "lib": SHA}, ["a 2 instead of 1"]),
    ([], "2.568.1", LOCK, {"a": SHA, "lib": SHA}, ["a 1 is no longer asked for"]),
    ([Wanted("a", "1")], "2.568.2", LOCK, {"a": SHA, "lib": SHA},
     ["Jenkins is 2.568.2, and the plugins were resolved for 2.568.1"]),
    ([Wanted("a", "1")], "2.568.1", LOCK, {"a": SHA}, ["the file of lib is gone"]),
    ([Wanted("a", "1")], "2.568.1", LOCK, {"a": "1" * 64, "lib": SHA},
     ["the file of a is not the one that was installed"]),
])
def test_differences(wanted: list[Wanted], core: str, lock: dict[str, Any], there: dict[str, str],
                     differences: list[str]) -> None:
    assert plugin_set.differences(wanted, core, lock, there) == differences


@pytest.mark.parametrize(("before", "resolved", "needs", "gone"), [
    (["a", "lib"], ["a", "lib"], {"a": ["lib"], "lib": []}, []),
    (["a", "lib"], ["b"], {"a": ["lib"], "lib": [], "b": []}, ["a", "lib"]),
    (["a", "lib"], ["b"], {"a": ["lib"], "lib": [], "b": [], "foreign": ["lib"]}, ["a"]),
    (["a", "lib", "deep"], [], {"a": ["lib"], "lib": ["deep"], "deep": [], "foreign": ["lib"]}, ["a"]),
])
def test_what_nobody_needs_goes(before: list[str], resolved: list[str], needs: dict[str, list[str]],
                                gone: list[str]) -> None:
    assert plugin_set.superfluous(before, resolved, needs) == gone


@pytest.mark.parametrize(("reported", "wrong"), [
    ([{"shortName": "a", "version": "1", "active": True, "enabled": True}], []),
    ([{"shortName": "a", "version": "1 (private-x)", "active": True, "enabled": True}], []),
    ([], ["a is not loaded"]),
    ([{"shortName": "a", "version": "2", "active": True, "enabled": True}], ["a runs as 2 instead of 1"]),
    ([{"shortName": "a", "version": "1", "active": False, "enabled": True}], ["a 1 is not active"]),
    ([{"shortName": "a", "version": "1", "active": True, "enabled": False}], ["a 1 is not active"]),
])
def test_what_does_not_run(reported: list[dict[str, object]], wrong: list[str]) -> None:
    assert plugin_set.inactive({"a": {"version": "1", "sha256": SHA}}, reported, ["a"]) == wrong


def test_what_was_removed_and_still_runs() -> None:
    reported = [{"shortName": "old"}, {"shortName": "b"}]
    assert plugin_set.inactive({}, reported, ["b"]) == ["old still runs without a file"]
