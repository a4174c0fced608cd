"""AWS::CodeCommit::Repository."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

from . import changes, ministack, names, smart_http
from .errors import ServiceError
from .operations import commits
from .operations.repositories import check_description, ssh_url
from .operations.tags import check_tags
from .records import Repository, records

TYPE = "AWS::CodeCommit::Repository"
_FIRST_MESSAGE = "Initial commit"


def create(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
    """Ref is the repository's id. Raises ValueError with the service's message."""
    name = props.get("RepositoryName") or ministack.physical_name(stack_name, logical_id)
    try:
        made = records.create(*ministack.scope(), names.check_repository(name),
                              check_description(props.get("RepositoryDescription")), _tags(props))
        if props.get("Code"):
            try:
                _fill(made, props["Code"])
            except Exception:
                records.delete(made)
                raise
    except ServiceError as error:
        raise _failed(error) from error
    return made.id, _attributes(made)


def update(physical_id: str, _old: dict[str, Any], new: dict[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
    """The name, the description and the tags; the code is taken at the creation alone, as on AWS."""
    repository = _known(physical_id)
    if repository is None:
        raise ValueError(f"The repository with the id {physical_id} does not exist.")
    try:
        records.rename(repository, names.check_repository(new.get("RepositoryName") or repository.name))
        repository.description = check_description(new.get("RepositoryDescription"))
        repository.tags = _tags(new)
    except ServiceError as error:
        raise _failed(error) from error
    records.changed(repository)
    return repository.id, _attributes(repository)


def delete(physical_id: str, _props: dict[str, Any]) -> None:
    repository = _known(physical_id)
    if repository:
        records.delete(repository)


def _known(physical_id: str) -> Repository | None:
    return next((item for item in records.all() if item.id == physical_id), None)


def _attributes(repository: Repository) -> dict[str, str]:
    return {"Arn": repository.arn, "Name": repository.name, "CloneUrlSsh": ssh_url(repository),
            "CloneUrlHttp": smart_http.clone_url(repository.region, repository.name)}


def _tags(props: dict[str, Any]) -> dict[str, str]:
    return check_tags({tag["Key"]: tag["Value"] for tag in props.get("Tags") or []})


def _fill(repository: Repository, code: dict[str, Any]) -> None:
    """The first commit, of a zip in S3."""
    content = ministack.s3_object(code["S3"]["Bucket"], code["S3"]["Key"])
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            puts = [changes.Put(names.check_path(item.filename), archive.read(item),
                                changes.mode("EXECUTABLE" if item.external_attr >> 16 & 0o111 else "NORMAL"))
                    for item in archive.infolist() if not item.is_dir()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{code['S3']['Key']} is no zip archive.") from error
    files = {put.path: changes.Entry(put.mode, changes.stored(repository.git_dir, put.content))
             for put in puts if isinstance(put.content, bytes)}
    commits.store(repository, names.check_branch(code.get("BranchName") or "main"), None, files,
                  commits.Author("AWS CodeCommit", "", _FIRST_MESSAGE))


def _failed(error: ServiceError) -> ValueError:
    return ValueError(f"{error.message} (Service: CodeCommit, Error Code: {error.code})")


HANDLERS: dict[str, Callable[..., Any]] = {"create": create, "update": update, "delete": delete}
