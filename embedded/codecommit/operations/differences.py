"""What changed between two commits."""

from __future__ import annotations

from typing import Any

from .. import git, names
from ..errors import ServiceError
from . import pages
from .commits import resolved
from .repositories import here

_KINDS = {"A": "A", "M": "M", "T": "M", "D": "D"}
_MOST = 400


def get(request: dict[str, Any]) -> dict[str, Any]:
    repository = here(request)
    if not request.get("afterCommitSpecifier"):
        raise ServiceError("CommitRequiredException", "Give the commit to compare.")
    size = request.get("MaxResults", 100)
    if not 1 <= size <= _MOST:
        raise ServiceError("InvalidMaxResultsException", f"MaxResults is 1 to {_MOST}.")
    after = resolved(repository, request["afterCommitSpecifier"])
    before = request.get("beforeCommitSpecifier")
    tree = resolved(repository, before).tree if before else git.EMPTY_TREE
    limits = [names.check_path(request[member].strip("/")) for member in ("beforePath", "afterPath")
              if request.get(member, "").strip("/")]
    lines = git.run(repository.git_dir, "--literal-pathspecs", "diff-tree", "-r", "-z", "--no-renames", tree,
                    after.tree, *(["--", *limits] if limits else [])).split(b"\0")[:-1]
    found = [_difference(facts.decode(), path.decode(errors="replace"))
             for facts, path in zip(lines[::2], lines[1::2], strict=True)]
    page, following = pages.of(found, request.get("NextToken"), size, "NextToken")
    return {"differences": list(page), **following}


def _difference(facts: str, path: str) -> dict[str, Any]:
    old_mode, new_mode, old, new, kind = facts.lstrip(":").split(" ")
    sides = {"beforeBlob": (old, old_mode), "afterBlob": (new, new_mode)}
    return {"changeType": _KINDS[kind[0]], **{
        side: {"blobId": identity, "path": path, "mode": mode}
        for side, (identity, mode) in sides.items() if identity != git.NOTHING}}


OPERATIONS = {"GetDifferences": get}
