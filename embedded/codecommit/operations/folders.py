"""Folders of a commit."""

from __future__ import annotations

import posixpath
from typing import Any

from .. import changes, git, names, objects
from ..errors import ServiceError
from .commits import resolved
from .repositories import here


def get(request: dict[str, Any]) -> dict[str, Any]:
    repository = here(request)
    if request.get("folderPath") is None:
        raise ServiceError("PathRequiredException", "Give a folder's path; / is the top.")
    path = request["folderPath"].strip("/")
    if path:
        names.check_path(path)
    commit = resolved(repository, request.get("commitSpecifier"))
    tree = objects.tree_at(repository.git_dir, commit.tree, path)
    if tree is None:
        raise ServiceError("FolderDoesNotExistException", f"The folder {path} is not in the commit {commit.id}.")
    answer: dict[str, Any] = {"commitId": commit.id, "folderPath": path, "treeId": tree, "subFolders": [], "files": [],
                              "symbolicLinks": [], "subModules": []}
    for line in git.run(repository.git_dir, "ls-tree", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        facts, _, raw = line.partition(b"\t")
        mode, kind, identity = facts.decode().split(" ")
        name = raw.decode(errors="replace")
        place = {"absolutePath": posixpath.join(path, name), "relativePath": name}
        if kind == "tree":
            answer["subFolders"].append({"treeId": identity, **place})
        elif kind == "commit":
            answer["subModules"].append({"commitId": identity, **place})
        else:
            group = "symbolicLinks" if changes.MODE_NAMES[mode] == "SYMLINK" else "files"
            answer[group].append({"blobId": identity, "fileMode": changes.MODE_NAMES[mode], **place})
    return answer


OPERATIONS = {"GetFolder": get}
