"""`changed` and the diff come from one list."""

from __future__ import annotations

from slipway.changes import Changes


def test_equal_values_are_no_change() -> None:
    changes = Changes("x")
    changes.add("tag", "a", "a")
    assert not changes.changed
    assert changes.diff()["before"] == changes.diff()["after"] == ""


def test_added_changed_and_removed() -> None:
    changes = Changes("repository shop")
    changes.add("added", None, 1)
    changes.add("changed", "a", "b")
    changes.add("removed", {"k": 1}, None)
    assert changes.changed
    assert changes.diff() == {
        "before_header": "repository shop", "after_header": "repository shop",
        "before": 'changed: a\nremoved: {"k": 1}\n', "after": "added: 1\nchanged: b\n"}
