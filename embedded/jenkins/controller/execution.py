"""One build of a freestyle job: checkout, steps, publishers, with Jenkins' words in the console."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from . import job_xml, log, processes
from .codepipeline import plugin as codepipeline
from .console import Console
from .jobs import Build, Job

if TYPE_CHECKING:
    from .controller import Controller


class Aborted(Exception):
    """The build ends here, with the result ABORTED."""


class Failed(Exception):
    """The build ends here as a failure: what went wrong is in its console, or is this message."""


def run(controller: Controller, job: Job, build: Build, executor: int) -> None:
    console = Console(build.log)
    build.cookie = secrets.token_hex(16)
    try:
        build.result = Execution(controller, job, build, executor, console).run()
    except Exception:
        console.line(f"FATAL: {traceback.format_exc()}")
        build.result = "FAILURE"
    finally:
        # What the build left running ends with it.
        processes.end(build.cookie)
        build.duration = time.time() - build.timestamp
        console.line(f"Finished: {build.result}")
        console.close()
        build.building = False
        build.save()
        job.discard_old()
        log.info("hudson.model.Run#execute", f"{job.name} #{build.number} main build action completed: {build.result}")
        build.keep.set()


class Execution:
    def __init__(self, controller: Controller, job: Job, build: Build, executor: int, console: Console) -> None:
        self.controller, self.job, self.build, self.console = controller, job, build, console
        self.home = controller.settings.home
        self.workspace = Path(job.text("customWorkspace") or self.home / "workspace" / job.name)
        self.environment = environment(controller, job, build, executor, self.workspace)
        self.root = job.root
        """As it was when the build began."""

    def run(self) -> str:
        console, build = self.console, self.build
        for cause in build.causes:
            console.line(cause)
        console.line("Running as SYSTEM")
        console.line(f"Building on the built-in node in workspace {self.workspace}")
        model: codepipeline.Model | None = None
        result = "SUCCESS"
        try:
            self.workspace.mkdir(parents=True, exist_ok=True)
            scm = self.root.find("scm")
            if scm is not None and scm.get("class") == job_xml.CODEPIPELINE_SCM:
                model = codepipeline.Model(scm, self.home)
                self.checkout(model)
            for step in self.root.find("builders") or ():
                if not self.step(step):
                    result = "FAILURE"
                    console.line("Build step 'Execute shell' marked build as failure")
                    break
        except Aborted as problem:
            result = "ABORTED"
            if str(problem):
                console.line(str(problem))
            console.line("Build was aborted")
            if build.stopped_by:
                console.line(f"Aborted by {build.stopped_by}")
        except Failed as problem:
            result = "FAILURE"
            if str(problem):
                console.line(f"ERROR: {problem}")
        except OSError as problem:
            result = "FAILURE"
            console.line(f"FATAL: {problem}")
        if self.controller.ended.is_set():
            # Jenkins itself ends: nobody is told how the build went.
            return "ABORTED"
        build.result = result
        for publisher in self.root.find("publishers") or ():
            if publisher.tag == job_xml.CODEPIPELINE_PUBLISHER:
                try:
                    good = codepipeline.publish(self, publisher, model, result)
                except Exception as problem:
                    console.line(f"ERROR: Step ‘AWS CodePipeline Publisher’ aborted due to exception: {problem}")
                    good = False
                if not good and result == "SUCCESS":
                    console.line("Build step 'AWS CodePipeline Publisher' changed build result to FAILURE")
                    result = "FAILURE"
        return result

    def checkout(self, model: codepipeline.Model) -> None:
        try:
            codepipeline.checkout(self, model)
        except codepipeline.Interrupted as problem:
            raise Aborted(str(problem)) from problem
        except codepipeline.Abort as problem:
            raise Failed(str(problem)) from problem
        except Exception as problem:
            self.console.line(f"FATAL: {problem}")
            raise Failed from problem
        self.check_stopped()

    def check_stopped(self) -> None:
        if self.build.stopped_by or self.controller.ended.is_set():
            raise Aborted

    def step(self, step: Element) -> bool:
        if step.tag != "hudson.tasks.Shell":
            raise Failed(f"the stand-in Jenkins does not run {step.tag}")
        self.check_stopped()
        # Jenkins takes Windows' line ends out.
        command = (step.findtext("command") or "").replace("\r\n", "\n")
        unstable = step.findtext("unstableReturn") or ""
        handle, name = tempfile.mkstemp(prefix="jenkins", suffix=".sh")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(command)
            shell = shlex.split(command.split("\n", 1)[0][2:]) if command.startswith("#!") else ["/bin/sh", "-xe"]
            self.console.line(f"[{self.workspace.name}] $ {shlex.join([*shell, name])}")
            return self.shell([*shell, name], unstable)
        finally:
            Path(name).unlink(missing_ok=True)

    def shell(self, command: list[str], unstable: str) -> bool:
        environment = {**self.environment, processes.COOKIE: self.build.cookie}
        try:
            process = subprocess.Popen(command, cwd=self.workspace, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=self.console.file, stderr=self.console.file, start_new_session=True)
        except OSError as problem:
            self.console.line("FATAL: command execution failed\n"
                              f"java.io.IOException: Cannot run program \"{command[0]}\" (in directory "
                              f"\"{self.workspace}\"): {problem.strerror}")
            return False
        # Reaped beside us: whoever ends it waits until it is gone.
        ended: list[int] = []
        threading.Thread(target=lambda: ended.append(process.wait()), daemon=True).start()
        while not ended:
            if self.build.stopped_by or self.controller.ended.is_set():
                # What does not go is not waited for: the build goes on to its publishers.
                processes.end(self.build.cookie, process.pid)
                raise Aborted
            time.sleep(0.02)
        self.check_stopped()
        return ended[0] == 0 or str(ended[0]) == unstable


def environment(controller: Controller, job: Job, build: Build, executor: int, workspace: Path) -> dict[str, str]:
    """Everything that Jenkins itself was started with, and what it adds."""
    number, home, url = str(build.number), str(controller.settings.home), controller.configuration.url
    added = {
        "BUILD_NUMBER": number, "BUILD_ID": number, "BUILD_DISPLAY_NAME": f"#{number}", "JOB_NAME": job.name,
        "JOB_BASE_NAME": job.name, "BUILD_TAG": f"jenkins-{job.name}-{number}", "EXECUTOR_NUMBER": str(executor),
        "NODE_NAME": "built-in", "NODE_LABELS": "built-in", "WORKSPACE": str(workspace), "CI": "true",
        "WORKSPACE_TMP": f"{workspace}@tmp", "JENKINS_HOME": home, "HUDSON_HOME": home,
    }
    if url:
        added |= {"JENKINS_URL": url, "HUDSON_URL": url, "JOB_URL": f"{url}job/{job.name}/",
                  "BUILD_URL": f"{url}job/{job.name}/{number}/",
                  "JOB_DISPLAY_URL": f"{url}job/{job.name}/display/redirect",
                  "RUN_DISPLAY_URL": f"{url}job/{job.name}/{number}/display/redirect"}
    # The stand-in's own settings are no business of a job.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JENKINS_STAND_IN_")}
    return {**kept, **added}
