"""ecr_push against the embedded AWS, its registry protocol and a real engine."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from tests.integration import documented
from tests.integration.registry_proxy import Proxy, amz, running

ROOT = Path(__file__).resolve().parents[2]
#: What ansible-core does with a module, without its controller: its module_utils, its arguments, its standard output.
RUN = ("import runpy, sys, ansible.module_utils as m; m.__path__.append(sys.argv[2] + '/module_utils');"
       "program, root, sys.argv = sys.argv[1], sys.argv[2], [sys.argv[1]];"
       "runpy.run_path(root + '/library/ecr_push.py', run_name='__main__')")
DOCKERFILE = "FROM scratch\nCOPY . /\n"


class Push:
    """The module with this AWS and one repository of its own."""

    def __init__(self, aws: Any, context: Path) -> None:
        self.aws, self.context = aws, context
        self.repository = f"push-test/{uuid.uuid4().hex[:10]}"
        self.environment = {**os.environ, **aws.env}

    def start(self, **arguments: Any) -> subprocess.Popen[str]:
        arguments = {"repository": self.repository, "path": str(self.context), **arguments}
        process = subprocess.Popen([sys.executable, "-c", RUN, "ecr_push", str(ROOT)], env=self.environment, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        process.stdin = None
        return process

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            # Its upload would keep those of other tests waiting.
            process.kill()
            raise
        try:
            result: dict[str, Any] = json.loads(out)
        except ValueError:
            raise AssertionError(out + err) from None
        documented.check("ecr_push", result)
        return result

    def __call__(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return self.finish(self.start(_ansible_check_mode=check, **arguments))

    def good(self, **arguments: Any) -> dict[str, Any]:
        result = self(**arguments)
        assert not result.get("failed"), result["msg"]
        return result

    def change(self, text: str = "") -> None:
        (self.context / "index.html").write_text(text or uuid.uuid4().hex)

    def tags_in_ecr(self) -> dict[str, str]:
        """Tag to digest, the content tags left out."""
        details = self.aws.client("ecr").describe_images(repositoryName=self.repository)["imageDetails"]
        return {tag: d["imageDigest"] for d in details for tag in d.get("imageTags", [])
                if not tag.startswith("content-")}


def remove_images(repository: str) -> None:
    """What the engine has of it, by tag or by digest."""
    engine = docker.from_env()
    # The plain listing: others use this engine too, and what is listed may be gone when it is looked at.
    for image in engine.api.images():
        names = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
        for name in [name for name in names if repository in name]:
            with contextlib.suppress(docker.errors.ImageNotFound):
                engine.images.remove(name, force=True)


@pytest.fixture
def push(aws: Any, tmp_path: Path) -> Iterator[Push]:
    context = tmp_path / "app"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    one = Push(aws, context)
    one.change()
    yield one
    remove_images(one.repository)


@pytest.fixture
def proxy(push: Push) -> Iterator[Proxy]:
    with running(push.environment["AWS_ENDPOINT_URL"]) as one:
        push.environment["AWS_ENDPOINT_URL"] = one.url
        yield one


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with nothing but this machine's shell."""
    root = tmp_path_factory.mktemp("shell")
    libraries = re.findall(r"(/\S+)", subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True).stdout)
    for path in ["/bin/sh", *libraries]:
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    docker.from_env().images.build(path=str(root), tag="push-test-shell:1")
    yield "push-test-shell:1"
    docker.from_env().images.remove("push-test-shell:1", force=True)


# -- nothing twice -----------------------------------------------------------------------------------------------------


def test_builds_pushes_and_then_has_nothing_to_do(push: Push) -> None:
    first = push.good()
    assert (first["changed"], first["action"], first["built"], first["pushed"]) == (True, "build", True, True)
    assert re.fullmatch(r"\d{8}-\d{6}", first["tag"])
    assert first["image_uri"] == f"{first['repository_uri']}:{first['tag']}"
    assert first["image_uri_by_digest"] == f"{first['repository_uri']}@{first['digest']}"
    assert push.tags_in_ecr() == {first["tag"]: first["digest"]}
    assert (first["layers_pushed"], first["layers_existing"]) == (1, 0)
    assert first["size_bytes"] > 0

    second = push.good()
    assert (second["changed"], second["action"], second["built"], second["pushed"]) == (False, "nothing", False, False)
    assert (second["tag"], second["digest"]) == (first["tag"], first["digest"])
    assert sum(second["api_calls"].values()) <= 3


def test_times_do_not_count_and_contents_and_modes_do(push: Push) -> None:
    first = push.good()
    os.utime(push.context / "index.html", (1, 1))
    assert push.good()["digest"] == first["digest"]
    (push.context / "index.html").chmod(0o755)
    second = push.good()
    assert second["digest"] != first["digest"]
    push.change()
    assert push.good()["digest"] not in (first["digest"], second["digest"])


def test_content_that_comes_back_is_not_built_again(push: Push) -> None:
    push.change("one")
    first = push.good(tag="v1")
    push.change("two")
    push.good(tag="v2")
    push.change("one")
    again = push.good()
    assert (again["changed"], again["tag"], again["digest"]) == (False, "v1", first["digest"])


def test_force_builds_again_and_the_newer_image_counts_from_then_on(push: Push) -> None:
    first = push.good(tag="a")
    second = push.good(tag="b", force=True)
    assert second["built"]
    assert second["digest"] != first["digest"]
    third = push.good()
    assert (third["changed"], third["tag"], third["digest"]) == (False, "b", second["digest"])
    push.good(tag="c", force=True)
    assert push.good()["tag"] == "c"


IGNORED = """
# comment
*.log
!keep.log
deep/**
!deep/a/wanted.txt
**/cache
/top
b?d
[x-z]1
Upper
"""


@pytest.mark.parametrize("builder", ["BuildKit", "classic"])
def test_what_is_hashed_is_what_the_builder_gets(push: Push, tmp_path: Path, builder: str) -> None:
    from slipway.image.context import read_ignore, walk

    if builder == "classic":
        push.environment["PATH"] = _without_docker(tmp_path)
    for name in ("a.log", "keep.log", "sub/b.log", "deep/a/wanted.txt", "deep/a/other.txt", "deep/b/c", "cache/c",
                 "sub/cache/d", "top/e", "sub/top/f", "bad", "bd", "x1", "w1", "upper", "Upper", "sub/g", "with space",
                 "\u00fc"):
        (push.context / name).parent.mkdir(parents=True, exist_ok=True)
        (push.context / name).write_text(name)
    (push.context / "link").symlink_to("no/such/file")
    (push.context / "empty").mkdir()
    (push.context / ".dockerignore").write_text(IGNORED)
    hashed = {entry.path for entry in walk(str(push.context), read_ignore(str(push.context), "/none"))}
    image = push.good()["image_uri"]
    engine = docker.from_env()
    container = engine.containers.create(image, command=["/none"])
    try:
        stream: Any = container.export()
        data = b"".join(stream)
    finally:
        container.remove()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        built = {member.name.rstrip("/") for member in tar}
    # What every container has of itself.
    own = {".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "etc", "etc/hostname", "etc/hosts", "etc/mtab",
           "etc/resolv.conf", "proc", "sys"}
    # Directories that are only there for what is in them come and go with the builder.
    parents = {str(parent) for path in hashed for parent in Path(path).parents}
    assert built - own - parents == hashed - parents


@pytest.mark.parametrize("builder", ["BuildKit", "classic"])
def test_a_base_image_in_our_own_registry(push: Push, tmp_path: Path, builder: str) -> None:
    if builder == "classic":
        push.environment["PATH"] = _without_docker(tmp_path)
    base = push.good()
    docker.from_env().images.remove(base["image_uri"], force=True)
    (push.context / "Dockerfile").write_text(f"FROM {base['image_uri']}\nCOPY . /more/\n")
    result = push.good()
    assert (result["layers_pushed"], result["layers_existing"]) == (1, 1)
    assert result["api_calls"]["ecr.GetAuthorizationToken"] >= 2
    assert not push.good()["changed"]
    assert not list(Path(tempfile.gettempdir()).glob("slipway-docker-*"))


# -- tags --------------------------------------------------------------------------------------------------------------


def test_tags_are_added_without_building_or_pushing(push: Push) -> None:
    first = push.good()
    second = push.good(tag="v1", extra_tags=["v1.0", "stable"])
    assert (second["action"], second["built"], second["pushed"], second["changed"]) == ("tag", False, False, True)
    assert second["tags"] == sorted([first["tag"], "v1", "v1.0", "stable"])
    assert set(push.tags_in_ecr().values()) == {first["digest"]}
    assert not push.good(tag="v1", extra_tags=["stable"])["changed"]


def test_an_immutable_tag_of_another_image_is_an_error_that_names_both(push: Push) -> None:
    push.change("one")
    first = push.good(tag="v1")
    push.change("two")
    second = push.good(tag="v2")
    conflict = push(tag="v1")
    assert conflict["failed"]
    assert first["digest"] in conflict["msg"]
    assert second["digest"] in conflict["msg"]
    push.change("three")
    early = push(tag="v1")
    assert first["digest"] in early["msg"]
    assert "content" in early["msg"]
    assert push.tags_in_ecr() == {"v1": first["digest"], "v2": second["digest"]}


def test_a_mutable_tag_moves(push: Push) -> None:
    push.good(tag="edge", image_tag_mutability="mutable")
    push.change()
    second = push.good(tag="edge")
    assert push.tags_in_ecr() == {"edge": second["digest"]}


def test_the_revision_is_in_the_tag_and_the_labels(push: Push) -> None:
    git = ["git", "-C", str(push.context), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["remote", "add", "origin", "https://me:secret@example.org/app.git"],
                    ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    (push.context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n.git\n")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    clean = push.good()
    assert clean["tag"].endswith(f"-{commit[:7]}")
    labels = docker.from_env().images.get(clean["image_uri"]).labels
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.version"] == clean["tag"]
    assert labels["org.opencontainers.image.source"] == "https://example.org/app.git"
    push.change()
    assert push.good()["tag"].endswith(f"-{commit[:7]}-dirty")


# -- check mode --------------------------------------------------------------------------------------------------------


def test_check_mode_says_what_would_happen_and_does_nothing(push: Push) -> None:
    would = push(check=True)
    assert (would["changed"], would["action"], would["built"], would["pushed"]) == (True, "build", True, True)
    assert would["repository_uri"] == "(known after apply)"
    with pytest.raises(push.aws.client("ecr").exceptions.RepositoryNotFoundException):
        push.tags_in_ecr()
    done = push.good(tag="v1")
    assert not push(check=True, tag="v1")["changed"]
    tagging = push(check=True, tag="v2")
    assert (tagging["action"], tagging["changed"], tagging["digest"]) == ("tag", True, done["digest"])
    assert tagging["tags"] == ["v1", "v2"]
    assert "v2" in tagging["diff"]["after"]
    push.change()
    assert push(check=True, tag="v1")["failed"]
    assert push(check=True)["action"] == "build"
    assert push.tags_in_ecr() == {"v1": done["digest"]}


def test_check_mode_before_the_repository_has_a_name(push: Push) -> None:
    would = push(check=True, repository="(known after apply)")
    assert (would["changed"], would["action"], would["api_calls"]) == (True, "build", {})


# -- the repository ----------------------------------------------------------------------------------------------------


def test_a_repository_is_not_made_when_it_must_not(push: Push) -> None:
    result = push(create=False)
    assert result["failed"]
    assert push.repository in result["msg"]
    assert "create" in result["remedy"]


def test_an_existing_repository_is_not_taken_back_by_an_option_left_out(push: Push) -> None:
    policy = {"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan",
                                                           "countNumber": 1}, "action": {"type": "expire"}}]}
    push.good(image_tag_mutability="immutable", scan_on_push=True, lifecycle_policy=policy,
              repository_tags={"Team": "a"})
    assert not push.good()["changed"]
    ecr = push.aws.client("ecr")
    repository = ecr.describe_repositories(repositoryNames=[push.repository])["repositories"][0]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert json.loads(ecr.get_lifecycle_policy(repositoryName=push.repository)["lifecyclePolicyText"]) == policy
    changed = push.good(scan_on_push=False, repository_tags={"Team": "b"})
    assert changed["changed"]
    assert not changed["pushed"]
    assert not push.good(scan_on_push=False, repository_tags={"Team": "b"}, lifecycle_policy=policy)["changed"]
    assert push(encryption={"type": "KMS"})["failed"]


def _repository(push: Push) -> dict[str, Any]:
    found: dict[str, Any] = push.aws.client("ecr").describe_repositories(
        repositoryNames=[push.repository])["repositories"][0]
    return found


def test_a_repository_made_here_keeps_every_tag_but_those_of_caches(push: Push) -> None:
    push.good(tag="cache-x", extra_tags=["v1"])
    made = _repository(push)
    assert made["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert [f["filter"] for f in made["imageTagMutabilityExclusionFilters"]] == ["cache-*"]
    push.change()
    second = push.good(tag="cache-x")
    assert push.tags_in_ecr()["cache-x"] == second["digest"]
    push.change()
    assert "is immutable" in push(tag="v1")["msg"]
    # An option left out takes nothing back; one that is given does what it says.
    push.change()
    assert push.good()["tags"]
    assert _repository(push) == made
    would = push(check=True, image_tag_mutability="immutable_with_exclusion", image_tag_exclusions=["edge", "cache-*"])
    assert "cache-*, edge" in would["diff"]["after"]
    push.good(image_tag_mutability="immutable_with_exclusion", image_tag_exclusions=["edge", "cache-*"])
    assert {f["filter"] for f in _repository(push)["imageTagMutabilityExclusionFilters"]} == {"cache-*", "edge"}
    assert not push.good(image_tag_mutability="immutable_with_exclusion")["changed"]
    push.good(image_tag_mutability="immutable")
    assert _repository(push)["imageTagMutability"] == "IMMUTABLE"
    assert "imageTagMutabilityExclusionFilters" not in _repository(push)
    push.change()
    assert "is immutable" in push(tag="cache-x")["msg"]


def test_the_repository_of_the_template_is_like_one_made_here(push: Push) -> None:
    cloudformation = push.aws.client("cloudformation")
    name = push.repository.replace("/", "-")
    cloudformation.create_stack(
        StackName=name, TemplateBody=(ROOT / "files/cloudformation/registry.yml").read_text(),
        Parameters=[{"ParameterKey": "ECSRepoName", "ParameterValue": push.repository}])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    of_template = _repository(push)
    assert not push.good(tag="v1", image_tag_mutability="immutable_with_exclusion", scan_on_push=True)["diff"][
        "after"].count("mutability")
    push.repository += "-made"
    push.good()
    made = _repository(push)
    for key in ("imageTagMutability", "imageTagMutabilityExclusionFilters", "imageScanningConfiguration"):
        assert made[key] == of_template[key]


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "words"), [
    ({"path": "/no/such/place"}, ["/no/such/place", "does not exist"]),
    ({"dockerfile": "Other"}, ["no Dockerfile", "Other"]),
    ({"repository": "Shop/Web"}, ["'Shop/Web'", "character 1"]),
    ({"tag": "a b"}, ["'a b'", "character 2"]),
    ({"extra_tags": ["-x"]}, ["'-x'"]),
    ({"tag": "content-1"}, ["content-"]),
    ({"target": "nothing"}, ["no stage 'nothing'"]),
    ({"platforms": ["arm"]}, ["'arm'", "linux/arm64"]),
    ({"registry_id": "1"}, ["'1'", "12 digits"]),
    ({"build_args": {"A": {"b": 1}}}, ["build_args", "'A'"]),
    ({"lifecycle_policy": {"a": 1}}, ["rules"]),
    ({"image_tag_exclusions": ["x"]}, ["image_tag_exclusions", "no exclusions"]),
    ({"image_tag_mutability": "immutable_with_exclusion", "image_tag_exclusions": ["a b"]}, ["'a b'"]),
])
def test_bad_input_is_named_before_anything_is_made(push: Push, arguments: dict[str, Any], words: list[str]) -> None:
    result = push(**arguments)
    assert result["failed"]
    for word in words:
        assert word in result["msg"]
    with pytest.raises(push.aws.client("ecr").exceptions.RepositoryNotFoundException):
        push.tags_in_ecr()


def test_an_engine_that_does_not_run_is_named_with_its_remedy(push: Push, tmp_path: Path) -> None:
    push.environment["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    result = push()
    assert "not running" in result["msg"]
    assert "role 'docker'" in result["remedy"]


@pytest.mark.parametrize("builder", ["BuildKit", "classic"])
def test_a_failing_build_leads_with_its_instruction_and_last_lines(push: Push, shell: str, builder: str,
                                                                   tmp_path: Path) -> None:
    if builder == "classic":
        push.environment["PATH"] = _without_docker(tmp_path)
    (push.context / "Dockerfile").write_text(f"FROM {shell}\nRUN echo fine\nRUN echo one; echo two >&2; exit 3\n")
    result = push()
    lead = r"The build failed at \[\d/\d\] RUN echo one; echo two >&2; exit 3:\n    (one|two)\n"
    assert re.match(lead, result["msg"])
    # Two streams: nobody promises their order.
    assert set(result["build_output"][:2]) == {"one", "two"}


def test_a_base_image_that_does_not_exist_is_named(push: Push) -> None:
    (push.context / "Dockerfile").write_text("FROM localhost:1/no/such:image\n")
    assert "localhost:1/no/such:image" in push()["msg"]


def test_a_file_that_looks_like_a_secret_is_named(push: Push) -> None:
    (push.context / ".env").write_text("KEY=1")
    assert ".env looks like a secret" in json.dumps(push.good()["warnings"])
    (push.context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n.env\n")
    assert "warnings" not in push.good()


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_a_build_secret_reaches_the_build_and_not_the_image(push: Push, shell: str, tmp_path: Path) -> None:
    value = uuid.uuid4().hex
    (push.context / "Dockerfile").write_text(
        f"FROM {shell}\nRUN --mount=type=secret,id=key read value < /run/secrets/key; "
        f"test \"$value\" = {value[:16]}$HALF && echo ok > /made\n".replace("$HALF", value[16:]))
    if not _has_buildkit(push.environment):
        pytest.skip("no BuildKit here")
    result = push.good(build_secrets={"key": value + "\n"})
    image = docker.from_env().images.get(result["image_uri"])
    # The Dockerfile of this test spells the value out to compare it; nothing else may.
    assert value not in json.dumps(result)
    assert not [layer for layer in image.history() if value in json.dumps(layer).replace(f"= {value}", "")]
    push.environment["PATH"] = _without_docker(tmp_path)
    push.change()
    classic = push(build_secrets={"key": value})
    assert "build_secrets need BuildKit" in classic["msg"]
    assert value not in json.dumps(classic)


def test_secrets_are_nowhere(push: Push, proxy: Proxy, shell: str, tmp_path: Path) -> None:
    """The registry's token and a build secret: not in the most talkative output, not in ~/.docker or a temporary file,
    not in an argument or the environment of any process, and the build secret nowhere in the image."""
    if not _has_buildkit(push.environment):
        pytest.skip("no BuildKit here")
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    proxy.password, secret = uuid.uuid4().hex, uuid.uuid4().hex
    values = {proxy.password, proxy.token, secret, base64.b64encode(secret.encode()).decode()}
    (tmp_path / "secret").write_text(secret)
    (push.context / "Dockerfile").write_text(
        f"FROM {shell}\nCOPY . /\n"
        "RUN --mount=type=secret,id=key read value < /run/secrets/key; test ${#value} = 32 || exit 9; "
        "i=0; while test $i -lt 300000; do i=$((i+1)); done\n")
    (push.context / "big").write_bytes(os.urandom(20_000_000))
    arguments = {"repository": push.repository, "path": str(push.context),
                 "build_secrets": {"key": f"{{{{ lookup('file', '{tmp_path}/secret') }}}}"}}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False,
                                                    "tasks": [{"ecr_push": arguments}]}]))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-vvv", "--diff",
               "-e", f"ansible_python_interpreter={sys.executable}", str(tmp_path / "play.yml")]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT,
                               env={**push.environment, "HOME": str(home), "TMPDIR": str(temporary)})
    seen: set[str] = set()
    watched = False
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    reader.start()
    while process.poll() is None:
        now = _processes() + _contents(temporary)
        watched = watched or "--secret\0id=key,src=" in now
        seen |= {value for value in values if value in now}
        time.sleep(0.02)
    reader.join()
    output = "".join(lines)
    assert process.returncode == 0, output
    assert watched
    assert not seen
    assert not [value for value in values if value in output]
    # BuildKit's CLI keeps a seed of its own there, nothing else.
    assert "config.json" not in {path.name for path in home.rglob("*") if ".docker" in path.parts}
    assert not [value for value in values if value in _contents(home) + _contents(temporary)]
    # Locks are files without a content.
    assert {path.name for path in temporary.glob("slipway-*")} <= {f"slipway-locks-{os.getuid()}"}
    [image] = [image for image in docker.from_env().images.list() if push.repository in str(image.tags)]
    assert secret not in json.dumps([image.history(), image.attrs])
    saved = b"".join(image.save())
    assert b"300000" in saved
    assert secret.encode() not in saved


def test_the_users_docker_configuration_is_left_alone(push: Push, tmp_path: Path) -> None:
    """Also one whose helpers do not exist here: the push does not ask them."""
    (tmp_path / ".docker").mkdir()
    config = tmp_path / ".docker" / "config.json"
    config.write_text(json.dumps({"credHelpers": {"localhost": "ecr-login"}, "auths": {"example.org": {}}}))
    before = config.read_bytes()
    push.environment["HOME"] = str(tmp_path)
    assert push.good()["pushed"]
    assert config.read_bytes() == before


def test_a_registry_that_is_not_there(push: Push, proxy: Proxy) -> None:
    refused = amz({"repositories": [{"repositoryName": push.repository,
                                     "repositoryUri": f"localhost:1/{push.repository}",
                                     "repositoryArn": "arn:aws:ecr:us-east-1:0:repository/x"}]})
    proxy.rule = lambda method, path, operation: refused if operation == "DescribeRepositories" else (
        amz({"imageDetails": []}) if operation == "DescribeImages" else None)
    result = push()
    assert "cannot be reached" in result["msg"]
    assert "localhost:1" in result["msg"]


def test_access_denied_names_action_and_resource(push: Push, proxy: Proxy) -> None:
    text = "User: u is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:us-east-1:0:repository/x"
    denied = amz({"__type": "AccessDeniedException", "message": text}, 400)
    proxy.rule = lambda method, path, operation: denied if operation == "PutImage" else None
    result = push()
    assert text in result["msg"]
    assert "Allow ecr:PutImage" in result["remedy"]


# -- interrupted, and at once ------------------------------------------------------------------------------------------


def test_a_push_that_is_cut_off_goes_on(push: Push, proxy: Proxy) -> None:
    (push.context / "big").write_bytes(os.urandom(3_000_000))
    # A layer's upload is repeated by the engine itself, a manifest's is not.
    layer, manifest = iter([True]), iter([True, True])
    proxy.rule = lambda method, path, operation: (
        "cut" if (method == "PATCH" and next(layer, False))
        or (method == "PUT" and "/manifests/" in path and next(manifest, False)) else None)
    result = push.good()
    assert (result["pushed"], result["layers_pushed"]) == (True, 1)
    assert push.tags_in_ecr() == {result["tag"]: result["digest"]}


def test_a_push_cut_at_random_bytes(push: Push, proxy: Proxy) -> None:
    seed = random.randrange(1000)
    print("seed", seed)
    chance = random.Random(seed)
    for name in ("a", "b"):
        (push.context / name).write_bytes(chance.randbytes(2_000_000))
    (push.context / "Dockerfile").write_text("FROM scratch\nCOPY a /\nCOPY b /\n")
    # An engine repeats a layer by itself, after 5 seconds, and a manifest not at all.
    cuts = {"PATCH": 1, "PUT": 1}

    def rule(method: str, path: str, operation: str) -> str | None:
        if cuts.get(method) and ("/uploads/" in path if method == "PATCH" else "/manifests/" in path):
            cuts[method] -= 1
            return f"cut:{chance.randrange(1, 2_000_000)}" if method == "PATCH" else "cut"
        return None

    proxy.rule = rule
    result = push.good(tag="v1")
    assert cuts == {"PATCH": 0, "PUT": 0}
    assert (result["pushed"], result["layers_pushed"]) == (True, 2)
    proxy.rule = lambda method, path, operation: None
    docker.from_env().images.remove(result["image_uri"], force=True)
    docker.from_env().images.pull(result["repository_uri"], tag="v1")
    assert not push.good()["changed"]


def test_answers_that_are_lost(push: Push, proxy: Proxy) -> None:
    """What was asked for is done, and asking again finds it so."""
    lost = {"CreateRepository", "PutImage", "PUT /manifests/", "GetAuthorizationToken", "BatchGetImage"}

    def rule(method: str, path: str, operation: str) -> str | None:
        what = operation or (f"{method} /manifests/" if "/manifests/" in path else "")
        if what in lost:
            lost.remove(what)
            return "lost"
        return None

    proxy.rule = rule
    result = push.good(tag="v1", extra_tags=["stable"])
    assert not lost
    assert push.tags_in_ecr() == {"v1": result["digest"], "stable": result["digest"]}


def test_a_token_that_expires_during_the_push_is_renewed(push: Push, proxy: Proxy) -> None:
    refused = iter([True])
    body = json.dumps({"errors": [{"code": "DENIED", "message": "Your authorization token has expired. "
                                   "Reauthenticate and try again."}]}).encode()
    proxy.rule = lambda method, path, operation: (
        (403, {"Content-Type": "application/json"}, body)
        if method == "PUT" and "/manifests/" in path and next(refused, False) else None)
    result = push.good()
    assert result["api_calls"]["ecr.GetAuthorizationToken"] == 2


def test_a_killed_push_is_finished_by_the_next_run(push: Push, proxy: Proxy) -> None:
    (push.context / "big").write_bytes(os.urandom(3_000_000))
    process = push.start(tag="v1")

    def kill(method: str, path: str, operation: str) -> str | None:
        if method in ("PATCH", "PUT") and "/v2/" in path:
            process.send_signal(signal.SIGKILL)
            return "cut"
        return None

    proxy.rule = kill
    process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    proxy.rule = lambda method, path, operation: None
    result = push.good(tag="v1")
    assert (result["pushed"], result["built"]) == (True, False)
    assert push.tags_in_ecr() == {"v1": result["digest"]}
    assert not push.good(tag="v1")["changed"]


def test_killed_between_push_and_tag(push: Push, proxy: Proxy) -> None:
    process = push.start(tag="v1")

    def kill(method: str, path: str, operation: str) -> str | None:
        if operation == "PutImage":
            process.send_signal(signal.SIGKILL)
            return "cut"
        return None

    proxy.rule = kill
    process.wait(timeout=60)
    proxy.rule = lambda method, path, operation: None
    result = push.good(tag="v1")
    assert (result["action"], result["built"], result["pushed"]) == ("tag", False, False)


def test_terminated_while_building(push: Push, shell: str, tmp_path: Path) -> None:
    (push.context / "Dockerfile").write_text(f"FROM {shell}\nRUN while :; do :; done\n")
    told = tmp_path / "told"
    told.touch()
    process = push.start(progress_file=str(told))
    until(lambda: "RUN while" in told.read_text())
    process.send_signal(signal.SIGTERM)
    result = push.finish(process)
    assert "Interrupted by SIGTERM" in result["msg"]


def test_two_pushes_of_the_same_content_end_with_one_image(push: Push) -> None:
    push.aws.client("ecr").create_repository(repositoryName=push.repository, imageTagMutability="IMMUTABLE")
    results = [push.finish(p) for p in [push.start(), push.start()]]
    for result in results:
        assert not result.get("failed"), result["msg"]
    assert len({r["digest"] for r in results}) == 1
    assert set(push.tags_in_ecr().values()) == {results[0]["digest"]}


def test_a_push_that_another_on_the_same_engine_overtakes_uses_its_image(push: Push, proxy: Proxy,
                                                                         tmp_path: Path) -> None:
    """Another user's, which does not wait for ours."""
    push.aws.client("ecr").create_repository(repositoryName=push.repository, imageTagMutability="IMMUTABLE")
    overtaken: list[dict[str, Any]] = []

    def rule(method: str, path: str, operation: str) -> None:
        # The image is built and about to be pushed; the other run pushes it and takes the name that both gave away.
        if operation == "GetAuthorizationToken" and not overtaken:
            overtaken.append({})
            push.environment["TMPDIR"] = str(tmp_path)
            overtaken[0] = push.good()

    proxy.rule = rule
    result = push.good()
    assert overtaken[0]["pushed"]
    assert (result["built"], result["pushed"], result["digest"]) == (True, False, overtaken[0]["digest"])
    assert set(push.tags_in_ecr().values()) == {result["digest"]}


def test_a_push_waits_for_one_of_the_same_content(push: Push, proxy: Proxy, tmp_path: Path) -> None:
    """The second one builds and pushes nothing."""
    told = tmp_path / "told"
    told.touch()
    waiting = threading.Event()

    def rule(method: str, path: str, operation: str) -> None:
        if operation == "GetAuthorizationToken":
            waiting.wait(60)

    proxy.rule = rule
    first = push.start(tag="v1")
    until(lambda: any(operation == "GetAuthorizationToken" for _, _, operation in proxy.seen))
    second = push.start(tag="v2", progress_file=str(told))
    until(lambda: "waiting for another run" in told.read_text())
    waiting.set()
    results = [push.finish(first), push.finish(second)]
    assert [(r["built"], r["pushed"]) for r in results] == [(True, True), (False, False)]
    assert "Another run" in results[1]["msg"]
    assert push.tags_in_ecr() == {"v1": results[0]["digest"], "v2": results[0]["digest"]}


def test_two_pushes_of_different_content_have_different_tags(push: Push, tmp_path: Path) -> None:
    push.aws.client("ecr").create_repository(repositoryName=push.repository, imageTagMutability="IMMUTABLE")
    other = tmp_path / "other"
    shutil.copytree(push.context, other)
    (other / "index.html").write_text("other")
    results = [push.finish(p) for p in [push.start(), push.start(path=str(other))]]
    for result in results:
        assert not result.get("failed"), result["msg"]
    assert push.tags_in_ecr() == {r["tag"]: r["digest"] for r in results}
    assert len(push.tags_in_ecr()) == 2


# -- the gate ----------------------------------------------------------------------------------------------------------


def _scan(status: str, **counts: int) -> dict[str, Any]:
    return {"imageScanStatus": {"status": status, "description": "because"}, "imageScanFindings": {
        "findingSeverityCounts": counts,
        "findings": [{"name": f"CVE-{i}", "severity": s} for s, n in counts.items() for i in range(n)]}}


@pytest.mark.parametrize(("states", "limit", "good"), [
    ([_scan("COMPLETE")], "none", True),
    ([_scan("PENDING"), _scan("IN_PROGRESS"), _scan("COMPLETE", LOW=2)], "low", True),
    ([_scan("ACTIVE", HIGH=1)], "high", True),
    ([_scan("ACTIVE", HIGH=1, CRITICAL=2)], "medium", False),
    ([None, _scan("COMPLETE")], "none", True),
    ([_scan("FAILED")], "critical", False),
    ([_scan("UNSUPPORTED_IMAGE")], "critical", False),
    ([_scan("SCAN_ELIGIBILITY_EXPIRED")], "critical", False),
    ([_scan("IN_PROGRESS")], "critical", False),
])
def test_the_gate(push: Push, proxy: Proxy, states: list[dict[str, Any] | None], limit: str, good: bool) -> None:
    waiting = list(states)

    def rule(method: str, path: str, operation: str) -> tuple[int, dict[str, str], bytes] | None:
        if operation == "StartImageScan":
            return amz({"imageScanStatus": {"status": "PENDING"}})
        if operation == "DescribeImageScanFindings":
            state = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            return amz(state) if state else amz({"__type": "ScanNotFoundException", "message": "no scan"}, 400)
        return None

    proxy.rule = rule
    result = push(max_severity=limit, scan_timeout=3)
    assert bool(result.get("failed")) is not good
    assert result["digest"].startswith("sha256:")
    if good:
        assert result["scan_status"] in ("COMPLETE", "ACTIVE")
    elif states[-1] and states[-1]["imageScanFindings"]["findingSeverityCounts"]:
        assert result["worst_findings"][0].startswith("CRITICAL CVE-0")
        assert result["findings"] == {"CRITICAL": 2, "HIGH": 1}


# -- helpers -----------------------------------------------------------------------------------------------------------


def _without_docker(directory: Path) -> str:
    """A PATH that has git and no docker: the classic builder is all there is."""
    only = directory / "bin"
    only.mkdir(exist_ok=True)
    (only / "git").symlink_to(shutil.which("git") or "/usr/bin/git")
    return str(only)


def _has_buildkit(environment: dict[str, str]) -> bool:
    from slipway.docker.build import find_builder
    from slipway.docker.engine import Engine

    return find_builder(Engine()).kind != "classic"


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _contents(folder: Path) -> str:
    """All files below, those that are gone meanwhile left out."""
    text = ""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            text += path.read_text(errors="replace") if path.is_file() else ""
    return text


def _processes() -> str:
    """Arguments and environment of all processes that may be looked at."""
    text = ""
    for process in (name for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208
        for name in ("cmdline", "environ"):
            try:
                text += Path(f"/proc/{process}/{name}").read_bytes().decode(errors="replace")
            except OSError:
                continue
    return text
