"""Giving the turn back: a report is written for every run, also for one that never took its turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import InvalidInput
from slipway.ledger.keeper import _read
from slipway.ledger.turn import turn
from slipway.progress import Progress

PARAMS: dict[str, Any] = {
    "state": "closed", "table": "", "service": "shop-service", "stack_name": "shop-service", "kind": "release",
    "revision": "1a2b3c4", "who": "arn:aws:iam::1:user/ann", "opened": {}, "preflight": {}, "image": {}, "stack": {},
    "task": {}, "target": {}, "notify": {}, "rollout": {}, "report_dir": None, "keep": 100}


def close(folder: Path, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    result = turn({**PARAMS, "report_dir": str(folder), **given}, False, Progress())
    assert (folder / "release.html").read_text().startswith("<!DOCTYPE html>")
    return result, json.loads((folder / "release.json").read_text())


def test_a_run_that_was_refused_leaves_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_URL", "https://ci/job/7")
    refusal = {"failed": True, "msg": "The application's folder /x is missing. Correct it.", "remedy": "Correct it."}
    result, record = close(tmp_path, preflight=refusal)
    assert not result["changed"] and result["record"] is None
    assert (record["verdict"], record["cause"]) == ("refused", "The application's folder /x is missing.")
    assert (record["service"], record["commit"], record["build_url"]) == ("shop-service", "1a2b3c4", "https://ci/job/7")


def test_a_run_that_did_not_get_its_turn_is_refused(tmp_path: Path) -> None:
    _, record = close(tmp_path, opened={"failed": True, "msg": "A release of shop runs.", "remedy": ""})
    assert (record["verdict"], record["cause"]) == ("refused", "A release of shop runs.")


def test_a_release_without_a_ledger_has_its_report_too(tmp_path: Path) -> None:
    _, record = close(tmp_path, image={"tag": "v2", "digest": "sha256:2"},
                      stack={"changed": True, "outputs": {"AppURL": "http://x"}},
                      rollout={"verdict": "completed", "msg": "Rolled out."})
    assert (record["verdict"], record["tag"], record["digest"]) == ("completed", "v2", "sha256:2")
    assert (record["url"], record["changed"], record["cause"]) == ("http://x", True, "")


def test_every_name_that_readers_rely_on_is_there(tmp_path: Path) -> None:
    _, record = close(tmp_path, preflight={"failed": True, "msg": "No."})
    assert {"service", "stack_name", "kind", "verdict", "changed", "tag", "digest", "image_uri", "commit", "url",
            "cause", "message", "remedy", "evidence", "build_url", "started", "ended", "seconds",
            "phases"} <= set(record)


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    result = turn({**PARAMS, "report_dir": str(tmp_path)}, True, Progress())
    assert (result["changed"], list(tmp_path.iterdir())) == (False, [])


def test_a_turn_needs_a_table() -> None:
    with pytest.raises(InvalidInput, match="table"):
        turn({**PARAMS, "state": "open"}, False, Progress())


def test_notes_are_read_up_to_where_they_were_cut_off(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text('{"module": "ecr_push", "at": 1.0}\n[1]\n{"module": "cfn_sta')
    assert _read(str(notes)) == [{"module": "ecr_push", "at": 1.0}]
    assert _read(str(tmp_path / "none")) == []
