"""CodeCommit of the embedded AWS, as git and boto3 meet it."""

from __future__ import annotations

import concurrent.futures
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from embedded.codecommit import records as stored
from embedded.codecommit import repositories
from tests.integration.conftest import PORT, ROOT, EmbeddedAws, embedded_aws

ACCOUNT, REGION = "000000000000", "us-east-1"


class Clone:
    """A person's clone of a repository, with no configuration but its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada",
                    "GIT_COMMITTER_EMAIL": "ada@example.com", "GIT_TERMINAL_PROMPT": "0"}
        self.git("clone", "--quiet", url, str(folder), where=folder.parent)

    def git(self, *arguments: str, where: Path | None = None) -> str:
        done = subprocess.run(["git", *arguments], cwd=where or self.folder, env=self.env, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}"
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """The id of a commit of these files (a name's __ is a dot)."""
        for name, content in files.items():
            (self.folder / name.replace("__", ".")).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Change {', '.join(files)}")
        return self.git("rev-parse", "HEAD")


class Repository:
    """A repository of its own, with a queue that gets its events."""

    def __init__(self, aws: EmbeddedAws, folder: Path) -> None:
        self.name = f"repo-{uuid.uuid4().hex[:8]}"
        self.api = aws.client("codecommit")
        self.metadata = self.api.create_repository(repositoryName=self.name)["repositoryMetadata"]
        self.url = self.metadata["cloneUrlHttp"]
        self._folder = folder
        self._sqs, events = aws.client("sqs"), aws.client("events")
        self.queue = self._sqs.create_queue(QueueName=self.name)["QueueUrl"]
        queue = self._sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]
        events.put_rule(Name=self.name, EventPattern=json.dumps({
            "source": ["aws.codecommit"], "detail-type": ["CodeCommit Repository State Change"],
            "resources": [self.metadata["Arn"]]}))
        events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": queue["QueueArn"]}])

    def clone(self) -> Clone:
        return Clone(self._folder / f"clone-{uuid.uuid4().hex[:8]}", self.url)

    def events(self) -> list[dict[str, Any]]:
        """The details of every event since the last call. They are out before a push ends, so nothing is waited for."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"])["detail"])
                self._sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def put(self, parent: str | None = None, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.create_commit(
            repositoryName=self.name, branchName=more.pop("branchName", "main"),
            **({"parentCommitId": parent} if parent else {}), **more)
        return answer


@pytest.fixture
def repository(aws: EmbeddedAws, tmp_path: Path) -> Iterator[Repository]:
    made = Repository(aws, tmp_path)
    yield made
    made.api.delete_repository(repositoryName=made.name)


def refused(call: Callable[[], Any]) -> str:
    """The name of the error that a call ends with."""
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Code"])


def test_what_is_pushed_is_cloned_with_its_modes(repository: Repository) -> None:
    one = repository.clone()
    (one.folder / "run").write_text("#!/bin/sh\n")
    (one.folder / "run").chmod(0o755)
    (one.folder / "link").symlink_to("run")
    # Larger than git sends in one piece: the body comes in chunks, without a length.
    (one.folder / "blob").write_bytes(os.urandom(3 << 20))
    commit = one.commit(page__txt="hello")
    one.git("push", "--quiet", "origin", "HEAD:trunk")
    two = repository.clone()
    assert two.git("rev-parse", "HEAD") == commit
    assert os.access(two.folder / "run", os.X_OK)
    assert (two.folder / "link").readlink() == Path("run")
    assert (two.folder / "blob").read_bytes() == (one.folder / "blob").read_bytes()
    # The first branch of an empty repository is its default one.
    found = repository.api.get_repository(repositoryName=repository.name)["repositoryMetadata"]
    assert found["defaultBranch"] == "trunk"


def test_every_reference_of_a_push_has_its_event(repository: Repository) -> None:
    clone = repository.clone()
    first = clone.commit(a="1")
    clone.git("push", "--quiet", "origin", "HEAD:main")
    assert repository.events() == [{
        "event": "referenceCreated", "repositoryName": repository.name, "referenceType": "branch",
        "repositoryId": repository.metadata["repositoryId"], "referenceName": "main", "commitId": first,
        "referenceFullName": "refs/heads/main", "callerUserArn": f"arn:aws:iam::{ACCOUNT}:root"}]
    second = clone.commit(a="2")
    clone.git("tag", "--annotate", "v1", "--message", "v1")
    clone.git("push", "--quiet", "origin", "HEAD:main", "HEAD:side/one", "v1")
    told = {item["referenceFullName"]: item for item in repository.events()}
    assert set(told) == {"refs/heads/main", "refs/heads/side/one", "refs/tags/v1"}
    assert {item["commitId"] for item in told.values()} == {second}
    assert (told["refs/heads/main"]["event"], told["refs/heads/main"]["oldCommitId"]) == ("referenceUpdated", first)
    assert (told["refs/tags/v1"]["event"], told["refs/tags/v1"]["referenceType"]) == ("referenceCreated", "tag")
    clone.git("push", "--quiet", "origin", ":side/one")
    (gone,) = repository.events()
    assert (gone["event"], gone["oldCommitId"]) == ("referenceDeleted", second)
    assert "commitId" not in gone
    clone.git("push", "--quiet", "origin", "HEAD:main")  # nothing new
    assert repository.events() == []


def test_ten_pushes_in_a_row_lose_no_event_and_keep_their_order(repository: Repository) -> None:
    clone = repository.clone()
    commits = []
    for number in range(10):
        commits.append(clone.commit(a=str(number)))
        clone.git("push", "--quiet", "origin", "HEAD:main")
    assert [item["commitId"] for item in repository.events()] == commits


def test_people_who_push_at_the_same_time_lose_no_event(repository: Repository) -> None:
    clone = repository.clone()
    clone.commit(a="0")
    clone.git("push", "--quiet", "origin", "HEAD:main")
    repository.events()
    people = [repository.clone() for _ in range(4)]

    def push(number: int) -> list[str]:
        made = []
        for turn in range(3):
            made.append(people[number].commit(**{f"f{number}": str(turn)}))
            people[number].git("push", "--quiet", "origin", f"HEAD:branch-{number}")
        return made

    with concurrent.futures.ThreadPoolExecutor() as pool:
        pushed = list(pool.map(push, range(len(people))))
    told = repository.events()
    for number, commits in enumerate(pushed):
        assert [item["commitId"] for item in told if item["referenceName"] == f"branch-{number}"] == commits


def test_a_push_of_what_somebody_else_changed_is_refused(repository: Repository) -> None:
    one = repository.clone()
    one.commit(a="1")
    one.git("push", "--quiet", "origin", "HEAD:main")
    repository.events()
    other = repository.clone()
    other.commit(a="2")
    other.git("push", "--quiet", "origin", "HEAD:main")
    repository.events()
    one.commit(a="3")
    with pytest.raises(AssertionError, match="rejected"):
        one.git("push", "--quiet", "origin", "HEAD:main")
    assert repository.events() == []


def test_a_commit_by_the_api_is_one_that_git_sees(repository: Repository) -> None:
    first = repository.put(authorName="slipway", email="slipway@example.com", commitMessage="Seed", putFiles=[
        {"filePath": "app/run", "fileContent": b"#!/bin/sh\n", "fileMode": "EXECUTABLE"},
        {"filePath": "app/page", "fileContent": b"\x00\xff"}, {"filePath": "gone/file", "fileContent": b"x"}])
    assert [(item["absolutePath"], item["fileMode"]) for item in first["filesAdded"]] == [
        ("app/page", "NORMAL"), ("app/run", "EXECUTABLE"), ("gone/file", "NORMAL")]
    second = repository.put(first["commitId"], keepEmptyFolders=True, deleteFiles=[{"filePath": "gone/file"}],
                            setFileModes=[{"filePath": "app/run", "fileMode": "NORMAL"}],
                            putFiles=[{"filePath": "copy", "sourceFile": {"filePath": "app/page"}}])
    assert [item["absolutePath"] for item in second["filesAdded"]] == ["copy", "gone/.gitkeep"]
    assert [item["absolutePath"] for item in second["filesUpdated"]] == ["app/run"]
    assert [item["absolutePath"] for item in second["filesDeleted"]] == ["gone/file"]
    clone = repository.clone()
    assert (clone.folder / "copy").read_bytes() == b"\x00\xff"
    assert not os.access(clone.folder / "app" / "run", os.X_OK)
    assert clone.git("log", "--reverse", "--format=%H %an") == (
        f"{first['commitId']} slipway\n{second['commitId']} unknown")
    assert [item["commitId"] for item in repository.events()] == [first["commitId"], second["commitId"]]
    single = repository.api.put_file(repositoryName=repository.name, branchName="main", filePath="copy",
                                     fileContent=b"new", parentCommitId=second["commitId"], name="Ada")
    read = repository.api.get_file(repositoryName=repository.name, filePath="/copy", commitSpecifier="main")
    assert (read["fileContent"], read["commitId"], read["fileSize"]) == (b"new", single["commitId"], 3)
    assert repository.api.get_blob(repositoryName=repository.name, blobId=single["blobId"])["content"] == b"new"
    commit = repository.api.get_commit(repositoryName=repository.name, commitId=single["commitId"])["commit"]
    assert (commit["author"]["name"], commit["parents"]) == ("Ada", [second["commitId"]])
    gone = repository.api.delete_file(repositoryName=repository.name, branchName="main", filePath="copy",
                                      parentCommitId=single["commitId"])
    differences = repository.api.get_differences(
        repositoryName=repository.name, beforeCommitSpecifier=first["commitId"], afterCommitSpecifier=gone["commitId"])
    assert {(item["changeType"], (item.get("afterBlob") or item["beforeBlob"])["path"])
            for item in differences["differences"]} == {("A", "gone/.gitkeep"), ("D", "gone/file"), ("M", "app/run")}
    folder = repository.api.get_folder(repositoryName=repository.name, folderPath="app")
    assert [item["relativePath"] for item in folder["files"]] == ["page", "run"]
    top = repository.api.get_folder(repositoryName=repository.name, folderPath="/")
    assert [item["absolutePath"] for item in top["subFolders"]] == ["app", "gone"]


def test_of_two_commits_on_one_parent_one_is_told_that_it_is_late(repository: Repository) -> None:
    base = repository.put(putFiles=[{"filePath": "a", "fileContent": b"0"}])["commitId"]
    repository.events()

    def commit(number: int) -> str:
        try:
            return str(repository.put(base, putFiles=[{"filePath": f"f{number}", "fileContent": b"1"}])["commitId"])
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(commit, range(6)))
    (winner,) = [answer for answer in answers if answer != "ParentCommitIdOutdatedException"]
    assert [item["commitId"] for item in repository.events()] == [winner]


def test_branches(repository: Repository) -> None:
    api, name = repository.api, repository.name
    commit = repository.put(putFiles=[{"filePath": "a", "fileContent": b"0"}])["commitId"]
    api.create_branch(repositoryName=name, branchName="feature/x", commitId=commit)
    assert api.list_branches(repositoryName=name)["branches"] == ["feature/x", "main"]
    assert refused(lambda: api.delete_branch(repositoryName=name, branchName="main")) == (
        "DefaultBranchCannotBeDeletedException")
    api.update_default_branch(repositoryName=name, defaultBranchName="feature/x")
    assert api.delete_branch(repositoryName=name, branchName="main")["deletedBranch"]["commitId"] == commit
    assert api.get_branch(repositoryName=name, branchName="feature/x")["branch"]["commitId"] == commit
    assert [item["event"] for item in repository.events()] == [
        "referenceCreated", "referenceCreated", "referenceDeleted"]


def test_errors_are_those_of_the_service(repository: Repository) -> None:
    api, name = repository.api, repository.name
    empty = refused(lambda: api.get_file(repositoryName=name, filePath="a"))
    assert empty == "CommitDoesNotExistException"
    file = {"filePath": "folder/a", "fileContent": b"0"}
    tip = repository.put(putFiles=[file])["commitId"]
    later = repository.put(tip, putFiles=[{"filePath": "b", "fileContent": b"1"}])["commitId"]
    nothing = "0123456789" * 4

    def commit(parent: str | None = later, **more: Any) -> Callable[[], Any]:
        return lambda: repository.put(parent, **more)

    for expected, call in {
        "RepositoryNameExistsException": lambda: api.create_repository(repositoryName=name),
        "RepositoryDoesNotExistException": lambda: api.get_repository(repositoryName="nothing-such"),
        "InvalidRepositoryNameException": lambda: api.create_repository(repositoryName="a.git"),
        "InvalidSystemTagUsageException": lambda: api.create_repository(repositoryName="t", tags={"aws:a": "b"}),
        "InvalidRepositoryDescriptionException": lambda: api.update_repository_description(
            repositoryName=name, repositoryDescription="x" * 1001),
        "InvalidOrderException": lambda: api.list_repositories(order="random"),
        "InvalidContinuationTokenException": lambda: api.list_branches(repositoryName=name, nextToken="x"),
        "BranchDoesNotExistException": lambda: api.get_branch(repositoryName=name, branchName="other"),
        "InvalidBranchNameException": lambda: api.get_branch(repositoryName=name, branchName="a..b"),
        "BranchNameExistsException": lambda: api.create_branch(
            repositoryName=name, branchName="main", commitId=tip),
        "CommitDoesNotExistException": lambda: api.create_branch(
            repositoryName=name, branchName="new", commitId=nothing),
        "InvalidCommitIdException": lambda: api.get_commit(repositoryName=name, commitId="main"),
        "CommitIdDoesNotExistException": lambda: api.get_commit(repositoryName=name, commitId=nothing),
        "FileDoesNotExistException": lambda: api.get_file(repositoryName=name, filePath="nowhere"),
        "FolderDoesNotExistException": lambda: api.get_folder(repositoryName=name, folderPath="b"),
        "InvalidMaxResultsException": lambda: api.get_differences(
            repositoryName=name, afterCommitSpecifier="main", MaxResults=0),
        "ParentCommitIdRequiredException": commit(None, putFiles=[file]),
        "ParentCommitIdOutdatedException": commit(tip, putFiles=[file]),
        "ParentCommitDoesNotExistException": commit(nothing, putFiles=[file]),
        "InvalidParentCommitIdException": commit("main", putFiles=[file]),
        "FileEntryRequiredException": commit(),
        "NoChangeException": commit(putFiles=[file]),
        "InvalidPathException": commit(putFiles=[{**file, "filePath": "../a"}]),
        "PathRequiredException": commit(putFiles=[{**file, "filePath": ""}]),
        "PutFileEntryConflictException": commit(putFiles=[file, file]),
        "SamePathRequestException": commit(putFiles=[file], deleteFiles=[{"filePath": "folder/a"}]),
        "SourceFileOrContentRequiredException": commit(putFiles=[{"filePath": "c"}]),
        "DirectoryNameConflictsWithFileNameException": commit(putFiles=[{**file, "filePath": "b/c"}]),
        "FileNameConflictsWithDirectoryNameException": commit(putFiles=[{**file, "filePath": "folder"}]),
        "InvalidFileModeException": commit(putFiles=[{**file, "fileMode": "LOUD"}]),
        "InvalidEmailException": commit(email="nobody", putFiles=[{**file, "fileContent": b"1"}]),
        "FileContentSizeLimitExceededException": commit(putFiles=[{**file, "fileContent": bytes((6 << 20) + 1)}]),
        "SameFileContentException": lambda: api.put_file(
            repositoryName=name, branchName="main", parentCommitId=later, **file),
        "MaximumFileEntriesExceededException": commit(
            putFiles=[{**file, "filePath": str(number)} for number in range(101)]),
    }.items():
        assert refused(call) == expected
    assert api.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"] == later


def test_a_request_that_does_not_fit_the_model_is_refused(aws: EmbeddedAws) -> None:
    def ask(operation: str, content: bytes) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        connection.request("POST", "/", content, {"X-Amz-Target": f"CodeCommit_20150413.{operation}"})
        return str(json.loads(connection.getresponse().read())["__type"])

    assert ask("GetRepository", b"{}") == "RepositoryNameRequiredException"
    assert ask("GetRepository", b'{"repositoryName": 1}') == "ValidationException"
    assert ask("GetRepository", b'{"repositoryName": "a/../b"}') == "InvalidRepositoryNameException"
    assert ask("CreateRepository", b'{"repositoryName": "a", "tags": "b"}') == "ValidationException"
    assert ask("GetRepository", b"[]") == "SerializationException"
    assert ask("PutFile", b'{"repositoryName": "a", "fileContent": "no base64!"}') == "SerializationException"
    assert ask("MergeBranchesByMagic", b"{}") == "UnknownOperationException"


def test_repositories_are_found_tagged_and_renamed(aws: EmbeddedAws, repository: Repository) -> None:
    api, old, new = repository.api, repository.name, f"{repository.name}.new"
    clone = repository.clone()
    clone.commit(a="1")
    clone.git("push", "--quiet", "origin", "HEAD:main")
    api.tag_resource(resourceArn=repository.metadata["Arn"], tags={"team": "shop", "cost": "1"})
    api.untag_resource(resourceArn=repository.metadata["Arn"], tagKeys=["cost"])
    assert api.list_tags_for_resource(resourceArn=repository.metadata["Arn"])["tags"] == {"team": "shop"}
    api.update_repository_name(oldName=old, newName=new)
    repository.name = new
    assert refused(lambda: api.get_repository(repositoryName=old)) == "RepositoryDoesNotExistException"
    found = api.batch_get_repositories(repositoryNames=[new, old])
    assert [item["repositoryId"] for item in found["repositories"]] == [repository.metadata["repositoryId"]]
    assert found["repositoriesNotFound"] == [old]
    assert new in [item["repositoryName"] for item in api.list_repositories()["repositories"]]
    # Another region has repositories of its own, behind another name of this machine.
    far = aws.client("codecommit", "eu-west-1")
    assert far.list_repositories()["repositories"] == []
    other = far.create_repository(repositoryName=new)["repositoryMetadata"]
    try:
        assert Clone(clone.folder.parent / "far", other["cloneUrlHttp"]).git("log", "--all", "--oneline") == ""
    finally:
        far.delete_repository(repositoryName=new)
    with pytest.raises(AssertionError, match="not found"):
        clone.git("fetch", "origin")


def test_cloudformation_makes_renames_and_removes_a_repository(aws: EmbeddedAws) -> None:
    cfn, api, name = aws.client("cloudformation"), aws.client("codecommit"), f"stack-{uuid.uuid4().hex[:8]}"

    def template(repository: str) -> str:
        return json.dumps({"Resources": {"Repository": {"Type": "AWS::CodeCommit::Repository", "Properties": {
            "RepositoryName": repository, "RepositoryDescription": "d", "Tags": [{"Key": "a", "Value": "b"}]}}},
            "Outputs": {"Id": {"Value": {"Ref": "Repository"}}, **{
                key: {"Value": {"Fn::GetAtt": ["Repository", key]}}
                for key in ("Arn", "Name", "CloneUrlHttp", "CloneUrlSsh")}}})

    def outputs() -> dict[str, str]:
        (stack,) = cfn.describe_stacks(StackName=name)["Stacks"]
        return {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}

    cfn.create_stack(StackName=name, TemplateBody=template(name))
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    made = api.get_repository(repositoryName=name)["repositoryMetadata"]
    assert outputs() == {"Id": made["repositoryId"], "Arn": made["Arn"], "Name": name,
                         "CloneUrlHttp": f"http://localhost:{PORT}/v1/repos/{name}", "CloneUrlSsh": made["cloneUrlSsh"]}
    assert api.list_tags_for_resource(resourceArn=made["Arn"])["tags"] == {"a": "b"}
    cfn.update_stack(StackName=name, TemplateBody=template(f"{name}-2"))
    cfn.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert outputs()["Name"] == f"{name}-2"
    assert outputs()["Id"] == made["repositoryId"]
    cfn.delete_stack(StackName=name)
    cfn.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert refused(lambda: api.get_repository(repositoryName=f"{name}-2")) == "RepositoryDoesNotExistException"


@pytest.mark.parametrize("path", [
    "/v1/repos/..%2f..%2f..%2faws.log/info/refs?service=git-upload-pack",
    "/v1/repos/../../info/refs?service=git-upload-pack",
    "/v1/repos/NAME/../../../../../repository.json",
    "/v1/repos/NAME/HEAD", "/v1/repos/NAME/config", "/v1/repos/NAME/objects/info/packs",
    "/v1/repos/NAME/info/refs", "/v1/repos/NAME/info/refs?service=git-shell",
    "/v1/repos/NAME.git/info/refs?service=git-upload-pack", "/v1/repos//info/refs?service=git-upload-pack",
    "/v1/repos/%00/info/refs?service=git-upload-pack", "/v1/repos/nothing-such/info/refs?service=git-upload-pack"])
def test_the_remote_gives_nothing_but_repositories(repository: Repository, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.putrequest("GET", path.replace("NAME", repository.name), skip_accept_encoding=True)
    connection.endheaders()
    assert connection.getresponse().status in (400, 404)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".", "", "-", "a b", "a\n", "x" * 101, "ä", "a.git", "$(id)"])
def test_only_names_are_names(aws: EmbeddedAws, name: str) -> None:
    api = aws.client("codecommit")
    if name == "-":  # odd, but a name, and one that no command may take for an option
        url = api.create_repository(repositoryName=name)["repositoryMetadata"]["cloneUrlHttp"]
        assert subprocess.run(["git", "ls-remote", url], env={"PATH": os.environ["PATH"]}).returncode == 0
        api.delete_repository(repositoryName=name)
        return
    from botocore.exceptions import ParamValidationError
    with pytest.raises((ClientError, ParamValidationError)) as error:
        api.create_repository(repositoryName=name)
    assert "RepositoryName" in str(error.value) or "repositoryName" in str(error.value)


def test_the_archive_of_a_commit_has_every_file(aws: EmbeddedAws, repository: Repository,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    clone = repository.clone()
    (clone.folder / "run").write_text("#!/bin/sh\n")
    (clone.folder / "run").chmod(0o755)
    # What keeps files out of a release archive does not keep them out of an artifact.
    commit = clone.commit(__gitattributes="run export-ignore\n", page="hello")
    clone.git("push", "--quiet", "origin", "HEAD:main")
    monkeypatch.setattr(stored, "ROOT", aws.state / "codecommit")
    monkeypatch.setattr(stored.records, "_known", None)
    assert repositories.exists(ACCOUNT, REGION, repository.name)
    found = repositories.tip(ACCOUNT, REGION, repository.name, "main")
    assert found is not None
    assert (found.id, found.author, found.message.strip()) == (commit, "Ada", "Change __gitattributes, page")
    assert repositories.tip(ACCOUNT, REGION, repository.name, "other") is None
    with zipfile.ZipFile(io.BytesIO(repositories.archive(ACCOUNT, REGION, repository.name, commit))) as archive:
        assert sorted(archive.namelist()) == [".gitattributes", "page", "run"]
        assert archive.getinfo("run").external_attr >> 16 & 0o777 == 0o755


def test_a_kill_loses_neither_a_repository_nor_an_event(aws: EmbeddedAws, repository: Repository) -> None:
    clone = repository.clone()
    first = clone.commit(a="1")
    clone.git("push", "--quiet", "origin", "HEAD:main")
    assert len(repository.events()) == 1
    # What is younger than half a second is lost, the test's own queue too. The services are saved one after the other.
    since = time.time()
    aws.client("sqs").tag_queue(QueueUrl=repository.queue, Tags={"saved": "yes"})
    saved = [aws.state / "services" / f"{service}.json" for service in ("sqs", "eventbridge")]
    deadline = since + 60
    while '"saved": "yes"' not in saved[0].read_text() or any(file.stat().st_mtime < since for file in saved):
        assert time.time() < deadline, "the state was not saved"
        time.sleep(0.05)
    os.kill(int((aws.state / "aws.pid").read_text()), signal.SIGKILL)
    # The rest of a push that was on its way: git takes it, and nobody is there to tell of it.
    second = clone.commit(a="2")
    (git_dir,) = (aws.state / "codecommit" / ACCOUNT / REGION / repository.metadata["repositoryId"]).glob("git")
    clone.git("push", "--quiet", str(git_dir), "HEAD:main")
    up = subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, env={**os.environ, **aws.env})
    assert up.returncode == 0
    assert repository.clone().git("log", "--format=%H") == f"{second}\n{first}"
    (told,) = repository.events()
    assert (told["commitId"], told["oldCommitId"]) == (second, first)


def test_where_iam_is_enforced_a_call_is_held_against_its_repository(tmp_path: Path) -> None:
    # The root user's key is the one that the server itself has in its environment.
    root = {"AWS_ACCESS_KEY_ID": "embedded", "AWS_SECRET_ACCESS_KEY": "embedded"}
    with embedded_aws(tmp_path / "state", PORT + 3, AUTH="true", **root) as closed:
        iam = closed.client("iam")
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="one", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": ["codecommit:GetRepository", "codecommit:CreateRepository"],
                "Resource": f"arn:aws:codecommit:{REGION}:{ACCOUNT}:mine"}}))
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        reader = EmbeddedAws({**closed.env, "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                              "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}, closed.state, "").client("codecommit")
        reader.create_repository(repositoryName="mine")
        assert reader.get_repository(repositoryName="mine")["repositoryMetadata"]["accountId"] == ACCOUNT
        assert refused(lambda: reader.get_repository(repositoryName="other")) == "AccessDeniedException"
        assert refused(lambda: reader.delete_repository(repositoryName="mine")) == "AccessDeniedException"
