"""What other services of the embedded AWS ask of repositories."""

from __future__ import annotations

from dataclasses import dataclass

from . import git, names, objects
from .errors import ServiceError
from .records import Repository, records


@dataclass(frozen=True)
class Commit:
    """author: the name of who wrote it; when: seconds since 1970, as its author's clock said."""

    id: str
    message: str
    author: str
    when: float


def exists(account: str, region: str, name: str) -> bool:
    return records.find(account, region, name) is not None


def tip(account: str, region: str, name: str, branch: str) -> Commit | None:
    """The newest commit of a branch; None where there is no such branch, or no such repository."""
    repository = records.find(account, region, name)
    if repository is None or not names.is_reference(branch):
        return None
    found = objects.commit(repository.git_dir, f"refs/heads/{branch}")
    return _brief(found) if found else None


def commit(account: str, region: str, name: str, specifier: str) -> Commit | None:
    """The commit of this id, branch or tag; None where there is none such."""
    repository = records.find(account, region, name)
    found = objects.resolve(repository.git_dir, specifier) if repository else None
    return _brief(found) if found else None


def archive(account: str, region: str, name: str, commit: str) -> bytes:
    """A zip of every file of a commit, as CodePipeline's source action makes it. Raises ServiceError where the
    repository or the commit is missing."""
    repository = named(account, region, name)
    found = objects.resolve(repository.git_dir, commit)
    if found is None:
        raise ServiceError("CommitDoesNotExistException",
                           f"The commit {commit} does not exist in the repository {name}.")
    return git.run(repository.git_dir, "archive", "--format=zip", found.id)


def named(account: str, region: str, name: object) -> Repository:
    """Raises ServiceError where the name is none, or there is no such repository."""
    checked = names.check_repository(name)
    repository = records.find(account, region, checked)
    if repository is None:
        raise ServiceError("RepositoryDoesNotExistException", f"{checked} does not exist")
    return repository


def _brief(found: objects.FullCommit) -> Commit:
    return Commit(found.id, found.message, found.author.name, float(found.author.when))
