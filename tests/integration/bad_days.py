"""For tests of bad days: a Jenkins whose job is the product's, the real runner, and pipelines of an embedded AWS."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from embedded.jenkins import update_centre
from tests.contract.test_pipeline_template import source_of
from tests.integration.codepipeline_world import Json, Pipeline, World, action, fresh
from tests.integration.conftest import EmbeddedAws
from tests.integration.jenkins_process import Jenkins
from tests.processes import alive
from tests.shop import ROOT, Shop
from tests.small_image import small_image
from tests.unit.jenkins.rendered import render

#: What the archive of the runner holds; here each is a link to the checkout.
PARTS = ("action_plugins", "ansible.cfg", "callback_plugins", "doc_fragments", "files", "inventories", "library",
         "module_utils", "playbooks", "roles", "requirements.txt")


PLUGINS = (("aws-codepipeline", "0.47"), ("javax-activation-api", "1.2.0-6"), ("javax-mail-api", "1.6.2-9"),
           ("sshd", "3.303.vefc7119b_ec23"))
SECONDS = 300
"""How long a test waits for what takes some seconds."""


def until(what: Callable[[], Any], message: str = "it did not happen") -> Any:
    """Wait for the first true answer."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(message)


def install_runner(folder: Path) -> Path:
    """The release runner of this checkout as it is installed; its bin."""
    root = folder / "runner"
    root.mkdir()
    for name in PARTS:
        (root / name).symlink_to(ROOT / name)
    (root / "venv" / "bin").mkdir(parents=True)
    for name in ("python", "ansible-playbook"):
        (root / "venv" / "bin" / name).symlink_to(Path(sys.executable).with_name(name))
    shutil.copytree(ROOT / "roles/release_runner/files/bin", root / "bin")
    (root / ".in-use").touch()
    return root / "bin"


def packed(files: Mapping[str, bytes | str], links: Mapping[str, str] | None = None) -> bytes:
    """A zip as a source of one's own may be: any names, links, all files executable."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in files.items():
            # What is large would take longer to pack than the rest of a test.
            kind = zipfile.ZIP_DEFLATED if len(data) < 1 << 20 else zipfile.ZIP_STORED
            pack.writestr(zipfile.ZipInfo(name), data, kind)
        for name, target in (links or {}).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            pack.writestr(link, target)
    return content.getvalue()


class Works:
    """Jenkins with one job that releases the service `name` of the shop, and pipelines that lead to it."""

    def __init__(self, folder: Path, aws: EmbeddedAws, shop: Shop, name: str, jenkins: Jenkins) -> None:
        self.aws, self.shop, self.name, self.jenkins = aws, shop, name, jenkins
        self.folder = folder
        self.before = 0
        """The newest build when the last pipeline was made."""
        self.bin = install_runner(folder)
        self.world = World(aws)
        self.sources = fresh("sources-")
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=self.sources)
        s3.put_bucket_versioning(Bucket=self.sources, VersioningConfiguration={"Status": "Enabled"})
        self.environment = {name: aws.env[name] for name in (
            "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")}
        jenkins.environment |= self.environment
        self.check = fresh("check-")
        aws.client("lambda").create_function(
            FunctionName=self.check, Runtime="python3.13", Role=self.world.role, Handler="index.handler", Timeout=60,
            Code={"ZipFile": packed({"index.py": source_of("CheckFunction")})})

    # -- the job -----------------------------------------------------------------------------------------------------

    def make_job(self, project: str, **more: Any) -> None:
        """As role jenkins_job makes it, and its first build, which no pipeline asked for."""
        config = render(
            jenkins_job_provider=self.world.provider, jenkins_job_region=self.aws.env["AWS_REGION"],
            jenkins_job_release_command=str(self.bin / "release"), jenkins_job_timeout=600,
            _jenkins_job_variables={
                "ecs_release_app_name": self.name, "ecs_release_repository": self.name,
                "ecs_release_stack_name": f"{self.name}-service",
                "ecs_release_build_args": {"BASE_IMAGE": self.base},
                "ecs_release_ledger_table": f"{self.shop.network}-ledger",
                "aws_environment": {"AWS_REGION": self.aws.env["AWS_REGION"]}}, **more)
        answer = self.jenkins.create(project, config)
        assert answer.status == 200, answer.text
        self.jenkins.result(project, 1)

    def newest(self, project: str) -> int:
        """Number of the newest build, also while Jenkins is down."""
        return max((int(path.name) for path in (self.jenkins.home / "jobs" / project / "builds").glob("[0-9]*")),
                   default=0)

    def shows(self, project: str, words: str) -> None:
        """Wait until the build of the last pipeline shows these."""
        def said() -> bool:
            log = self.jenkins.home / "jobs" / project / "builds" / str(self.newest(project)) / "log"
            return self.newest(project) > self.before and words in log.read_text()

        until(said, f"no build of {project} said {words!r}")

    @property
    def base(self) -> str:
        return str(re.search(r"BASE_IMAGE: (\S+)", self.shop.inventory.read_text())[1])  # type: ignore[index]

    # -- pipelines ---------------------------------------------------------------------------------------------------

    def pipeline(self, project: str, source: bytes | None, check: bool = False) -> Pipeline:
        """One that begins with this artifact, with the execution that its creation started; where there is none yet,
        that one fails. check: whether it has the product's action Check, too."""
        name = fresh("bad")
        self.before = self.newest(project)
        if source is not None:
            self.aws.client("s3").put_object(Bucket=self.sources, Key=f"{name}.zip", Body=source)
        actions = [self.world.build(project=project, outputs="Release")]
        if check:
            actions.insert(0, action("Check", "Invoke/AWS/Lambda/1", "Source", "", {"FunctionName": self.check}))
        declared = self.world.declaration(name, ("Build", actions))
        declared["stages"][0]["actions"] = [action("Code", "Source/AWS/S3/1", "", "Source", {
            "S3Bucket": self.sources, "S3ObjectKey": f"{name}.zip", "PollForSourceChanges": "false"})]
        return self.world.create(declared)

    def pushed(self, pipeline: Pipeline, source: bytes) -> str:
        """The execution that another artifact starts."""
        self.aws.client("s3").put_object(Bucket=self.sources, Key=f"{pipeline.name}.zip", Body=source)
        return pipeline.start()

    def revision(self, pipeline: Pipeline, execution: str) -> str:
        """What the source of the execution was, as the source action calls it."""
        source = next(one for one in pipeline.actions(execution) if one["stageName"] == "Source")
        return str(source["output"]["outputVariables"]["VersionId"])

    def artifact(self, pipeline: Pipeline, execution: str) -> dict[str, str]:
        """Where the source's is."""
        source = next(one for one in pipeline.actions(execution) if one["stageName"] == "Source")
        where = source["output"]["outputArtifacts"][0]["s3location"]
        return {"Bucket": where["bucket"], "Key": where["key"]}

    def forget(self, pipeline: Pipeline) -> None:
        """Remove the sources and artifacts of the pipeline."""
        s3 = self.aws.client("s3")
        for version in s3.list_object_versions(Bucket=self.sources, Prefix=f"{pipeline.name}.zip").get("Versions", []):
            s3.delete_object(Bucket=self.sources, Key=version["Key"], VersionId=version["VersionId"])
        for one in pipeline.executions():
            s3.delete_object(**self.artifact(pipeline, one["pipelineExecutionId"]))

    def application(self, page: str = "", command: str = "", **more: bytes | str) -> bytes:
        """The service's own application as an artifact, with another page or command."""
        self.shop.write(self.name, page or "one", command)
        folder = self.shop.folder / self.name
        return packed({**{path.name: path.read_bytes() for path in folder.iterdir()}, **more})

    def ends(self, pipeline: Pipeline, execution: str, *statuses: str) -> None:
        """Wait for one of these, Succeeded if none is given."""
        until(lambda: pipeline.status(execution) in (statuses or ("Succeeded",)),
              f"{pipeline.name} did not become {statuses}: {pipeline.actions(execution)}")

    def checked(self, pipeline: Pipeline, execution: str) -> str:
        """What the action Check says of the artifact, good or bad."""
        found = next(one for one in pipeline.actions(execution) if one["actionName"] == "Check")
        result: Json = found["output"]["executionResult"]
        return str((result.get("errorDetails") or {}).get("message") or result["externalExecutionSummary"])

    def failure(self, pipeline: Pipeline, execution: str) -> tuple[str, str, str]:
        """Code and message that the pipeline shows for the action that failed, and its link."""
        self.ends(pipeline, execution, "Failed")
        build = next(one for one in pipeline.actions(execution) if one["actionName"] == "Release")
        latest: Json = pipeline.action("Build", "Release")["latestExecution"]
        result = build["output"]["executionResult"]
        return (str(latest["errorDetails"]["code"]), str(latest["errorDetails"]["message"]),
                str(result.get("externalExecutionUrl", "")))

    def most_memory(self) -> int:
        """Bytes that the embedded AWS ever had in memory."""
        status = Path("/proc", (self.aws.state / "aws.pid").read_text().strip(), "status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    # -- processes ---------------------------------------------------------------------------------------------------

    def orphans(self) -> str:
        """What systemd runs after the service's end and before its start."""
        done = subprocess.run([self.bin / "orphans"], env={
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "JENKINS_HOME": str(self.jenkins.home),
            "SLIPWAY_URL": f"http://127.0.0.1:{self.jenkins.port}",
            **{name: value for name, value in self.environment.items() if name != "AWS_REGION"}},
            capture_output=True, text=True, timeout=60, check=True)
        return done.stdout + done.stderr

    def of_the_build(self) -> list[int]:
        """Processes of the builds and of their releases."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.folder).encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return [pid for pid in found if self.jenkins.process is None or pid != self.jenkins.process.pid]

    def kill_everything(self) -> None:
        """As a host that loses its power."""
        self.jenkins.stop(signal.SIGKILL)
        for _ in range(5):
            for pid in self.of_the_build():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in self.of_the_build()))


def with_plugins(home: Path, centre: Path) -> Jenkins:
    """A Jenkins that was not started yet. centre: the folder of the update centre."""
    jenkins = Jenkins(home)
    jenkins.secure()
    jenkins.install(*(centre / "download" / "plugins" / plugin / version / f"{plugin}.hpi"
                      for plugin, version in PLUGINS))
    return jenkins


@contextlib.contextmanager
def at_work(folder: Path, aws: EmbeddedAws, name: str, *jobs: str) -> Iterator[Works]:
    """A shop whose service `name` has had its first release, and a Jenkins that runs, with these jobs for it."""
    centre = folder / "centre"
    centre.mkdir()
    update_centre.build(centre)
    with small_image(f"{name}-base:{os.getpid()}") as base:
        shop = Shop(folder, aws.env, base, name)
        setting_up = threading.Thread(target=shop.set_up)
        setting_up.start()
        jenkins = with_plugins(folder / "jenkins", centre)
        made = Works(folder, aws, shop, name, jenkins)
        jenkins.start()
        try:
            for job in jobs:
                made.make_job(job)
            setting_up.join()
            assert shop.page(name) == "one"
            yield made
        finally:
            made.kill_everything()


@contextlib.contextmanager
def stopped(jenkins: Jenkins, number: int = signal.SIGTERM) -> Iterator[None]:
    """Within the block Jenkins is down."""
    jenkins.stop(number)
    try:
        yield
    finally:
        jenkins.start()
