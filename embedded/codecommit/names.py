"""Which names are allowed, for repositories, references and paths of files."""

from __future__ import annotations

import re

from .errors import ServiceError

_REPOSITORY = re.compile(r"[\w.-]{1,100}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORBIDDEN_IN_REFERENCES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
LONGEST_REFERENCE = 256
LONGEST_PATH = 4096


def is_repository(name: object) -> bool:
    """As AWS documents it: letters, digits, '.', '_', '-', 1 to 100 of them, not ending in .git; and never a path."""
    return (isinstance(name, str) and bool(_REPOSITORY.fullmatch(name)) and name not in (".", "..")
            and not name.lower().endswith(".git"))


def check_repository(name: object) -> str:
    """The name. Raises ServiceError where it is missing or none."""
    if name is None or name == "":
        raise ServiceError("RepositoryNameRequiredException", "A repository name is required.")
    if not is_repository(name):
        raise ServiceError("InvalidRepositoryNameException",
                           f"The repository name {str(name)[:120]!r} is not valid. Repository names have 1 to 100 "
                           "letters, digits, periods, underscores and dashes, and cannot end in .git.")
    return str(name)


def is_reference(name: object) -> bool:
    """Whether git takes the name of a branch or tag (without refs/heads/)."""
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_REFERENCE or _FORBIDDEN_IN_REFERENCES.search(name):
        return False
    return not (name == "@" or name.startswith(("-", "/")) or name.endswith(("/", "."))
                or any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")))


def check_branch(name: object) -> str:
    """The name of a branch. Raises ServiceError where it is missing or none."""
    if name is None or name == "":
        raise ServiceError("BranchNameRequiredException", "A branch name is required.")
    if not is_reference(name) or str(name).startswith("refs/"):
        raise ServiceError("InvalidBranchNameException", f"The branch name {str(name)[:300]!r} is not valid.")
    return str(name)


def is_commit(name: object) -> bool:
    return isinstance(name, str) and bool(_COMMIT.fullmatch(name))


def check_path(path: object) -> str:
    """A file's path inside a repository, as git keeps it. Raises ServiceError for one that leaves it, or that git keeps
    for itself."""
    if path is None or path == "":
        raise ServiceError("PathRequiredException", "A file path is required.")
    text = str(path)
    parts = text.split("/")
    if (len(text) > LONGEST_PATH or "\x00" in text or "\\" in text or "\n" in text
            or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)):
        raise ServiceError("InvalidPathException", f"The path {text[:300]!r} is not valid: give a file's path inside "
                           "the repository, with single slashes, and neither '.', '..' nor '.git' in it.")
    return text
