"""Repositories: make, find, change, remove."""

from __future__ import annotations

from typing import Any

from .. import ministack, names, references, smart_http
from ..errors import ServiceError
from ..records import Repository, records
from ..repositories import named
from . import pages
from .tags import check_tags

_LONGEST_DESCRIPTION = 1000
_BATCH = 100


def here(request: dict[str, Any], member: str = "repositoryName") -> Repository:
    """The repository that a request names, of the caller's account and region. Raises ServiceError."""
    return named(*ministack.scope(), request.get(member))


def metadata(repository: Repository) -> dict[str, Any]:
    facts = {
        "accountId": repository.account, "repositoryId": repository.id, "repositoryName": repository.name,
        "repositoryDescription": repository.description, "defaultBranch": references.default_branch(repository),
        "lastModifiedDate": repository.modified, "creationDate": repository.created, "Arn": repository.arn,
        "cloneUrlHttp": smart_http.clone_url(repository.region, repository.name), "cloneUrlSsh": ssh_url(repository)}
    return {key: value for key, value in facts.items() if value is not None}


def ssh_url(repository: Repository) -> str:
    """As AWS names it. Nothing listens there: the embedded AWS serves git by HTTP."""
    return f"ssh://git-codecommit.{repository.region}.amazonaws.com/v1/repos/{repository.name}"


def check_description(text: str | None) -> str | None:
    if text is not None and len(text) > _LONGEST_DESCRIPTION:
        raise ServiceError("InvalidRepositoryDescriptionException",
                           f"A description has at most {_LONGEST_DESCRIPTION} characters.")
    return text


def create(request: dict[str, Any]) -> dict[str, Any]:
    name = names.check_repository(request.get("repositoryName"))
    description = check_description(request.get("repositoryDescription"))
    given = check_tags(request.get("tags") or {})
    return {"repositoryMetadata": metadata(records.create(*ministack.scope(), name, description, given))}


def get(request: dict[str, Any]) -> dict[str, Any]:
    return {"repositoryMetadata": metadata(here(request))}


def list_all(request: dict[str, Any]) -> dict[str, Any]:
    by, order = request.get("sortBy", "repositoryName"), request.get("order", "ascending")
    if by not in ("repositoryName", "lastModifiedDate"):
        raise ServiceError("InvalidSortByException", f"{by} is neither repositoryName nor lastModifiedDate.")
    if order not in ("ascending", "descending"):
        raise ServiceError("InvalidOrderException", f"{order} is neither ascending nor descending.")
    mine = [item for item in records.all() if (item.account, item.region) == ministack.scope()]
    mine.sort(key=lambda item: item.name if by == "repositoryName" else str(item.modified),
              reverse=order == "descending")
    page, following = pages.of(mine, request.get("nextToken"), 1000)
    return {"repositories": [{"repositoryName": item.name, "repositoryId": item.id} for item in page], **following}


def batch_get(request: dict[str, Any]) -> dict[str, Any]:
    wanted = request.get("repositoryNames")
    if not wanted:
        raise ServiceError("RepositoryNamesRequiredException", "Give the names of repositories.")
    if len(wanted) > _BATCH:
        raise ServiceError("MaximumRepositoryNamesExceededException", f"At most {_BATCH} names at a time.")
    found = [(name, records.find(*ministack.scope(), names.check_repository(name))) for name in wanted]
    return {"repositories": [metadata(item) for _, item in found if item],
            "repositoriesNotFound": [name for name, item in found if item is None]}


def delete(request: dict[str, Any]) -> dict[str, Any]:
    """One that does not exist is no error, and has no id in the answer."""
    repository = records.find(*ministack.scope(), names.check_repository(request.get("repositoryName")))
    if repository is None:
        return {}
    records.delete(repository)
    return {"repositoryId": repository.id}


def rename(request: dict[str, Any]) -> dict[str, Any]:
    repository = here(request, "oldName")
    records.rename(repository, names.check_repository(request.get("newName")))
    return {}


def describe(request: dict[str, Any]) -> dict[str, Any]:
    repository = here(request)
    repository.description = check_description(request.get("repositoryDescription"))
    records.changed(repository)
    return {}


OPERATIONS = {
    "CreateRepository": create, "GetRepository": get, "ListRepositories": list_all, "BatchGetRepositories": batch_get,
    "DeleteRepository": delete, "UpdateRepositoryName": rename, "UpdateRepositoryDescription": describe}
