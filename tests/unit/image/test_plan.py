"""What is left to do."""

from __future__ import annotations

import pytest

from slipway.image.plan import Held, Plan, conflict, plan

CONTENT = "content-" + "a" * 40
OLD, NEW = "20261122-120000", "20261123-120000"


def held(*tags: str) -> Held:
    return Held("sha256:1", (CONTENT, *tags), 10)


@pytest.mark.parametrize(("have", "tag", "extra", "force", "expected"), [
    # Not there: build, with the wanted or a unique name.
    (None, None, [], False, Plan("build", NEW, True, (NEW,))),
    (None, "v1", [], False, Plan("build", "v1", False, ("v1",))),
    (None, "v1", ["a", "v1", "a"], False, Plan("build", "v1", False, ("v1", "a"))),
    # There, and nobody asks for a name: the one it has.
    (held(OLD), None, [], False, Plan("nothing", OLD, False, ())),
    (held(OLD, "v3"), None, [], False, Plan("nothing", OLD, False, ())),
    (held("v3"), None, [], False, Plan("nothing", "v3", False, ())),
    # There without any name, as a push that was cut off leaves it.
    (held(), None, [], False, Plan("tag", NEW, True, (NEW,))),
    (held("latest"), None, [], False, Plan("tag", NEW, True, (NEW,))),
    # There, but not under the wanted name.
    (held(OLD), "v1", [], False, Plan("tag", "v1", False, ("v1",))),
    (held(OLD, "v1"), "v1", [], False, Plan("nothing", "v1", False, ())),
    (held(OLD), None, ["stable"], False, Plan("tag", OLD, False, ("stable",))),
    (held(OLD, "v1"), "v1", ["a", "b"], False, Plan("tag", "v1", False, ("a", "b"))),
    # Force builds whatever is there, and never under the old name.
    (held(OLD), None, [], True, Plan("build", NEW, True, (NEW,))),
])
def test_plan(have: Held | None, tag: str | None, extra: list[str], force: bool, expected: Plan) -> None:
    assert plan(have, tag, extra, NEW, force) == expected


def test_a_conflict_names_both_digests() -> None:
    error = conflict("app", "v1", "sha256:1", "sha256:2")
    assert "sha256:1" in str(error)
    assert "sha256:2" in str(error)
    assert error.details == {"tag": "v1", "existing_digest": "sha256:1", "wanted_digest": "sha256:2"}
