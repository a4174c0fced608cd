"""AWS CodeCommit, one function per API call. Shapes: botocore's service model `codecommit/2015-04-13`. All raise
AwsError."""

from __future__ import annotations

from typing import Any

from ..errors import AwsError
from .session import Aws

_SERVICE = "codecommit"


def repository(aws: Aws, name: str) -> dict[str, Any] | None:
    """RepositoryMetadata; None where there is no such repository."""
    try:
        answer = aws.call(_SERVICE, "get_repository", repositoryName=name)
    except AwsError as error:
        if error.code == "RepositoryDoesNotExistException":
            return None
        raise
    found: dict[str, Any] = answer["repositoryMetadata"]
    return found


def create_repository(aws: Aws, name: str, description: str) -> dict[str, Any]:
    """RepositoryMetadata of the new repository."""
    found: dict[str, Any] = aws.call(_SERVICE, "create_repository", repositoryName=name,
                                     repositoryDescription=description)["repositoryMetadata"]
    return found


def delete_repository(aws: Aws, name: str) -> None:
    """With all its commits. One that is not there is no error, AWS says."""
    aws.call(_SERVICE, "delete_repository", repositoryName=name)


def tip(aws: Aws, name: str, branch: str) -> str:
    """Id of the branch's newest commit, '' where there is no such branch."""
    try:
        return str(aws.call(_SERVICE, "get_branch", repositoryName=name, branchName=branch)["branch"]["commitId"])
    except AwsError as error:
        if error.code == "BranchDoesNotExistException":
            return ""
        raise


def branches(aws: Aws, name: str) -> list[str]:
    """Names of the branches, the first page of them."""
    return list(aws.call(_SERVICE, "list_branches", repositoryName=name).get("branches", []))


def commit(aws: Aws, name: str, commit_id: str) -> dict[str, Any]:
    """Commit: treeId, parents, message, author {name, email, date}."""
    found: dict[str, Any] = aws.call(_SERVICE, "get_commit", repositoryName=name, commitId=commit_id)["commit"]
    return found


def folder(aws: Aws, name: str, commit_id: str, path: str) -> dict[str, Any]:
    """GetFolder: files, symbolicLinks (absolutePath, blobId), subFolders (absolutePath, treeId), subModules."""
    return aws.call(_SERVICE, "get_folder", repositoryName=name, commitSpecifier=commit_id, folderPath=path)


def create_commit(aws: Aws, name: str, branch: str, parent: str, **request: Any) -> str:
    """CreateCommit on the branch, which a first commit makes; the new commit's id. parent: '' for a first commit."""
    if parent:
        request["parentCommitId"] = parent
    return str(aws.call(_SERVICE, "create_commit", repositoryName=name, branchName=branch, **request)["commitId"])


def create_branch(aws: Aws, name: str, branch: str, commit_id: str) -> None:
    aws.call(_SERVICE, "create_branch", repositoryName=name, branchName=branch, commitId=commit_id)


def delete_branch(aws: Aws, name: str, branch: str) -> None:
    """One that is not there is no error, AWS says; the default branch is one."""
    aws.call(_SERVICE, "delete_branch", repositoryName=name, branchName=branch)


def set_default_branch(aws: Aws, name: str, branch: str) -> None:
    aws.call(_SERVICE, "update_default_branch", repositoryName=name, defaultBranchName=branch)


def fast_forward(aws: Aws, name: str, branch: str, commit_id: str) -> None:
    """Move the branch on to a commit that descends from its tip."""
    aws.call(_SERVICE, "merge_branches_by_fast_forward", repositoryName=name, sourceCommitSpecifier=commit_id,
             destinationCommitSpecifier=branch, targetBranch=branch)
