"""Files of a commit, and commits of a single file."""

from __future__ import annotations

from typing import Any

from .. import changes, names, objects
from ..errors import ServiceError
from .commits import author, parent, resolved, store
from .repositories import here

_LARGEST_ANSWER = 6 << 20


def get(request: dict[str, Any]) -> dict[str, Any]:
    repository = here(request)
    path = names.check_path((request.get("filePath") or "").lstrip("/"))
    commit = resolved(repository, request.get("commitSpecifier"))
    entry = objects.files(repository.git_dir, commit.tree).get(path)
    content = objects.blob(repository.git_dir, entry.id) if entry and entry.mode in changes.MODE_NAMES else None
    if entry is None or content is None:
        raise ServiceError("FileDoesNotExistException", f"The file {path} is not in the commit {commit.id}.")
    _check_size(content)
    return {"commitId": commit.id, "blobId": entry.id, "filePath": path, "fileMode": changes.MODE_NAMES[entry.mode],
            "fileSize": len(content), "fileContent": content}


def get_blob(request: dict[str, Any]) -> dict[str, Any]:
    repository, identity = here(request), request.get("blobId")
    if not identity:
        raise ServiceError("BlobIdRequiredException", "Give the id of a blob.")
    if not names.is_commit(identity):
        raise ServiceError("InvalidBlobIdException", f"{identity[:100]} is not the id of a blob.")
    content = objects.blob(repository.git_dir, identity)
    if content is None:
        raise ServiceError("BlobIdDoesNotExistException", f"The blob {identity} does not exist.")
    _check_size(content)
    return {"content": content}


def put(request: dict[str, Any]) -> dict[str, Any]:
    repository, branch = here(request), names.check_branch(request.get("branchName"))
    if "fileContent" not in request:
        raise ServiceError("FileContentRequiredException", "Give the file's content.")
    path = names.check_path(request.get("filePath"))
    base = parent(repository, branch, request.get("parentCommitId"))
    change = changes.Put(path, request["fileContent"], changes.mode(request.get("fileMode")))
    before = objects.files(repository.git_dir, base.tree) if base else {}
    after = changes.applied(repository.git_dir, before, [change], [], {})
    if after == before:
        raise ServiceError("SameFileContentException", f"The file {path} has this content already.")
    commit = store(repository, branch, base, after, author(request))
    return {"commitId": commit.id, "blobId": after[path].id, "treeId": commit.tree}


def delete(request: dict[str, Any]) -> dict[str, Any]:
    repository, branch = here(request), names.check_branch(request.get("branchName"))
    path = names.check_path(request.get("filePath"))
    if not request.get("parentCommitId"):
        raise ServiceError("ParentCommitIdRequiredException", "Give the id of the branch's newest commit.")
    base = parent(repository, branch, request["parentCommitId"])
    before = objects.files(repository.git_dir, base.tree) if base else {}
    after = changes.applied(repository.git_dir, before, [], [path], {}, bool(request.get("keepEmptyFolders")))
    commit = store(repository, branch, base, after, author(request))
    return {"commitId": commit.id, "blobId": before[path].id, "treeId": commit.tree, "filePath": path}


def _check_size(content: bytes) -> None:
    if len(content) > _LARGEST_ANSWER:
        raise ServiceError("FileTooLargeException", "The file is larger than 6 MB: clone the repository instead.")


OPERATIONS = {"GetFile": get, "GetBlob": get_blob, "PutFile": put, "DeleteFile": delete}
