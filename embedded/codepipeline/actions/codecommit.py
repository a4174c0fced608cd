"""Source: the newest commit of a branch of the embedded CodeCommit, or the one that the start named."""

from __future__ import annotations

import time

from ...codecommit import repositories
from .. import ministack
from ..errors import ActionFailed
from . import Json, register
from .source import Revision, Source

#: What CodePipeline does there in the role's name.
_PERMISSIONS = ("codecommit:GetBranch", "codecommit:GetCommit", "codecommit:UploadArchive",
                "codecommit:GetUploadArchiveStatus")


def tip(configuration: Json) -> repositories.Commit | None:
    return repositories.tip(ministack.account_id(), ministack.region_name(), configuration["RepositoryName"],
                            configuration["BranchName"])


def fetch(action: Json, wanted: Json) -> Revision:
    name, branch = action["resolved"]["RepositoryName"], action["resolved"]["BranchName"]
    account, region = ministack.account_id(), ministack.region_name()
    if action["resolved"].get("OutputArtifactFormat", "CODE_ZIP") != "CODE_ZIP":
        raise ActionFailed("ConfigurationError", "The embedded CodePipeline has OutputArtifactFormat CODE_ZIP alone.")
    for permission in _PERMISSIONS:
        try:
            ministack.check_role(action["roleArn"], permission, f"arn:aws:codecommit:{region}:{account}:{name}")
        except ministack.Denied as error:
            raise ActionFailed("PermissionError", "The service role or action role doesn't have the permissions "
                               f"required to access the AWS CodeCommit repository named {name}. Update the IAM role "
                               f"permissions, and then try again. Error: {error}") from error
    if not repositories.exists(account, region, name):
        raise ActionFailed("ConfigurationError", "The action failed because no repository named "
                           f"{name} was found in AWS CodeCommit. Make sure you are using the correct repository name, "
                           "and then try again.")
    if wanted:
        commit = repositories.commit(account, region, name, wanted["revisionValue"])
        missing = f"no commit {wanted['revisionValue']} was found in the AWS CodeCommit repository {name}."
    else:
        commit = tip(action["resolved"])
        missing = (f"no branch named {branch} was found in the selected AWS CodeCommit repository {name}. Make sure "
                   "you are using the correct branch name, and then try again.")
    if commit is None:
        raise ActionFailed("ConfigurationError", f"The action failed because {missing}")
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(commit.when))
    return Revision(
        commit.id, commit.message, repositories.archive(account, region, name, commit.id), created=commit.when,
        url=f"https://{region}.console.aws.amazon.com/codecommit/home#/repository/{name}/commit/{commit.id}",
        variables={"RepositoryName": name, "BranchName": branch, "CommitId": commit.id, "AuthorDate": when,
                   "CommitterDate": when, "CommitMessage": commit.message})


register("AWS", "CodeCommit", Source(fetch))
