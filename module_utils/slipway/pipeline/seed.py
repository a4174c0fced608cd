"""The first commit of a repository, made from a folder; later ones only on top of what was made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..aws import codecommit
from ..aws.session import Aws
from ..changes import Changes
from ..errors import AwsError, InvalidInput, SlipwayError
from ..interrupt import interruptible
from ..progress import Progress
from .seed_plan import Portion, differences, mode, portions
from .tree import EXECUTABLE, NORMAL, SYMLINK, Entry, Folder

#: Author of the commits made here; by it they are told from everybody else's.
AUTHOR = "slipway"
_EMAIL = "slipway@localhost"
#: Where a seed in several portions is put together: a branch that no pipeline looks at.
_WORK = "slipway-seed"
_OUTDATED = {"ParentCommitIdOutdatedException", "ParentCommitIdRequiredException", "ConcurrentReferenceUpdateException",
             "TipsDivergenceExceededException", "ManualMergeRequiredException", "BranchNameExistsException"}


def seed(aws: Aws, repository: str, branch: str, path: str, description: str, progress: Progress,
         check_mode: bool) -> dict[str, Any]:
    """The result of module codecommit_seed, state present. path: '' makes the repository and commits nothing."""
    with interruptible():
        return _Seed(aws, repository, branch, progress, check_mode).run(path, description)


def remove(aws: Aws, repository: str, force: bool, check_mode: bool) -> dict[str, Any]:
    """State absent: the repository goes where it holds nothing but seeds, or with force."""
    changes = Changes(f"CodeCommit repository {repository}")
    result: dict[str, Any] = {"repository": repository, "commit": None, "foreign": False, "author": None}
    if codecommit.repository(aws, repository) is None:
        text = f"There is no repository {repository}."
    elif (author := _stranger(aws, repository)) and not force:
        result |= {"foreign": True, "author": author}
        text = (f"Repository {repository} stays: it holds the work of {author}. Delete it with: aws codecommit "
                f"delete-repository --repository-name {repository}")
    else:
        changes.add("repository", repository, None)
        text = f"Repository {repository} is deleted."
        if not check_mode:
            codecommit.delete_repository(aws, repository)
    return {**result, "changed": changes.changed, "diff": changes.diff(), "msg": text, "api_calls": aws.api_calls()}


def _stranger(aws: Aws, repository: str) -> str:
    """Who wrote a tip that is no seed; '' where there is none."""
    for branch in codecommit.branches(aws, repository):
        tip = codecommit.tip(aws, repository, branch)
        author = codecommit.commit(aws, repository, tip)["author"]["name"] if tip else AUTHOR
        if author != AUTHOR:
            return str(author) or "an author without a name"
    return ""


class _Seed:
    def __init__(self, aws: Aws, repository: str, branch: str, progress: Progress, check_mode: bool) -> None:
        self._aws = aws
        self._name = repository
        self._branch = branch
        self._progress = progress
        self._check_mode = check_mode
        self._changes = Changes(f"CodeCommit repository {repository}, branch {branch}")

    def run(self, path: str, description: str) -> dict[str, Any]:
        there = codecommit.repository(self._aws, self._name)
        if there is None:
            self._changes.add("repository", None, self._name)
            if not self._check_mode:
                there = codecommit.create_repository(self._aws, self._name, description)
                self._progress.say(f"repository {self._name} created", "good")
        created = self._changes.changed
        tip = codecommit.tip(self._aws, self._name, self._branch) if not created else ""
        # One whose first branch is another one is not empty: it is somebody's.
        default = (there or {}).get("defaultBranch")
        if not tip and default and default not in (self._branch, _WORK):
            return self._result(there, "", f"Repository {self._name} has a branch {default} but no {self._branch}; it "
                                f"is left alone.", author="somebody")
        if not path:
            return self._result(there, tip, f"Repository {self._name} is there.")
        at = codecommit.commit(self._aws, self._name, tip) if tip else {}
        author = at.get("author", {}).get("name", AUTHOR)
        if author != AUTHOR:
            return self._result(there, tip, f"Repository {self._name} is left alone: its newest commit, {tip[:7]}, is "
                                f"of {author or 'an author without a name'}.", author=author or "somebody")
        with Folder(path) as folder:
            if at.get("treeId") == folder.tree.id:
                if default == _WORK:
                    self._finish()
                return self._result(there, tip, f"Branch {self._branch} of {self._name} holds {path} already.")
            try:
                tip = self._commit(folder, tip, default == _WORK, path)
            except AwsError as error:
                if error.code not in _OUTDATED:
                    raise
                raise SlipwayError(f"Somebody committed to {self._name} while it was seeded ({error.aws_message}).",
                                   "Run this again: what they committed is left alone then.") from error
        what = "would hold" if self._check_mode else "holds"
        return self._result(there, tip, f"Branch {self._branch} of {self._name} {what} {path}.")

    def _commit(self, folder: Folder, tip: str, interrupted: bool, path: str) -> str:
        local = folder.tree.files
        # A first seed that was interrupted is continued where it ended.
        base = tip or (codecommit.tip(self._aws, self._name, _WORK) if interrupted else "")
        there = self._there(base) if base else {}
        put, delete = differences(local, there)
        for name in sorted([*put, *delete]):
            self._changes.add(name, _shown(there.get(name)), _shown(local.get(name)))
        parts = portions(local, put, delete)
        if self._check_mode:
            return tip
        if len(parts) == 1 and base == tip:
            return self._one(folder, self._branch, tip, parts[0], path)
        return self._several(folder, tip, base, parts, path)

    def _several(self, folder: Folder, tip: str, base: str, parts: list[Portion], path: str) -> str:
        """On a branch of its own: the pipeline must see all of it or nothing."""
        if tip:
            # What an interrupted run left there began at another commit.
            if codecommit.tip(self._aws, self._name, _WORK):
                self._finish()
            codecommit.create_branch(self._aws, self._name, _WORK, tip)
        made = base
        for number, part in enumerate(parts, 1):
            made = self._one(folder, _WORK, made, part, path)
            self._progress.say(f"commit {number} of {len(parts)}")
        if tip:
            codecommit.fast_forward(self._aws, self._name, self._branch, made)
        else:
            codecommit.create_branch(self._aws, self._name, self._branch, made)
        self._finish()
        return made

    def _finish(self) -> None:
        self._changes.add("default branch", _WORK, self._branch)
        if not self._check_mode:
            # The first branch of a repository is its default, which cannot be deleted.
            codecommit.set_default_branch(self._aws, self._name, self._branch)
            codecommit.delete_branch(self._aws, self._name, _WORK)

    def _one(self, folder: Folder, branch: str, parent: str, part: Portion, path: str) -> str:
        files = folder.tree.files
        request: dict[str, Any] = {"authorName": AUTHOR, "email": _EMAIL,
                                   "commitMessage": f"Seed from {Path(path).name}\n"}
        if part.put:
            request["putFiles"] = [{"filePath": name, "fileMode": mode(files[name]),
                                    "fileContent": folder.content(files[name].blob)} for name in part.put]
        if part.delete:
            request["deleteFiles"] = [{"filePath": name} for name in part.delete]
        made = codecommit.create_commit(self._aws, self._name, branch, parent, **request)
        self._progress.say(f"{branch} {made[:7]}: {len(part.put)} files put, {len(part.delete)} deleted", "good")
        return made

    def _there(self, tip: str) -> dict[str, Entry]:
        """The files of the commit `tip`; one call for each folder."""
        found: dict[str, Entry] = {}
        todo = [""]
        while todo:
            answer = codecommit.folder(self._aws, self._name, tip, todo.pop() or "/")
            todo += [one["absolutePath"] for one in answer.get("subFolders", [])]
            for one in answer.get("files", []):
                found[one["absolutePath"]] = Entry(
                    EXECUTABLE if one["fileMode"] == "EXECUTABLE" else NORMAL, one["blobId"])
            for one in answer.get("symbolicLinks", []):
                found[one["absolutePath"]] = Entry(SYMLINK, one["blobId"])
            for one in answer.get("subModules", []):
                raise InvalidInput(f"{self._name} has a submodule, {one['absolutePath']}.", "Push with git yourself.")
        return found

    def _result(self, there: dict[str, Any] | None, tip: str, text: str, author: str = "") -> dict[str, Any]:
        there = there or {}
        return {"changed": self._changes.changed, "diff": self._changes.diff(), "msg": text, "repository": self._name,
                "branch": self._branch, "commit": tip or None, "foreign": bool(author), "author": author or None,
                "clone_url_http": there.get("cloneUrlHttp"), "clone_url_ssh": there.get("cloneUrlSsh"),
                "api_calls": self._aws.api_calls()}


def _shown(entry: Entry | None) -> str | None:
    return f"{mode(entry).lower()}, {entry.blob[:12]}" if entry else None
