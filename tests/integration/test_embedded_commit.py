"""`make demo-commit`, with a pipeline whose worker, and a page whose colour, are the test's: whoever's git it is, and
whoever pushes meanwhile."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.codepipeline_world import Pipeline, World, fresh, until
from tests.integration.conftest import ROOT, EmbeddedAws

SOURCE = "<?php\n$color = 'lightblue';\n"


class Page(http.server.BaseHTTPRequestHandler):
    colour = "lightblue"

    def do_GET(self) -> None:
        body = f"<style>body {{ background: {type(self).colour}; }}</style>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Demo:
    """One pipeline with a repository, a stack and a page, as the demo has them."""

    def __init__(self, aws: EmbeddedAws, url: str) -> None:
        self.aws, self.world = aws, World(aws)
        self.world.commit("The application", SOURCE)
        name = fresh("tinted-")
        aws.client("cloudformation").create_stack(StackName=f"{name}-service", TemplateBody=json.dumps({
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": {"AppURL": {"Value": url}}}))
        self.project = name[-20:]
        self.pipeline: Pipeline = self.world.create(self.world.declaration(
            f"{name}-pipeline", ("Build", [self.world.build(project=self.project)])))
        self.pipeline.succeed(self.pipeline.job(self.project))
        self.pipeline.ends(self.pipeline.first())

    def commit(self, colour: str, **more: str) -> subprocess.Popen[str]:
        """The command, once it has pushed and the pipeline runs."""
        tip = self.tip()
        run = subprocess.Popen(
            [sys.executable, "-m", "embedded", "commit", "--pipeline", self.pipeline.name, "--colour", colour],
            cwd=ROOT, env={**os.environ, **self.aws.env, **more}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        until(lambda: self.tip() != tip or run.poll() is not None)
        return run

    def tip(self) -> str:
        found = self.world.commits.get_branch(repositoryName=self.world.repository, branchName="main")
        return str(found["branch"]["commitId"])


@pytest.fixture
def demo(aws: EmbeddedAws) -> Iterator[Demo]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Page.colour = "lightblue"
    yield Demo(aws, f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


def test_whoever_signs_has_hooks_or_works_in_another_repository_may_commit(demo: Demo, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg", "pre-push"):
        (hooks / name).write_text("#!/bin/sh\necho no\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[commit]\n gpgsign = true\n[core]\n hooksPath = {hooks}\n"
                                        "[gpg]\n program = /bin/false\n")
    run = demo.commit("pink", GIT_CONFIG_GLOBAL=str(tmp_path / "gitconfig"), GIT_DIR=str(tmp_path / "nowhere"),
                      GIT_AUTHOR_DATE="never")
    execution = demo.pipeline.start()
    demo.pipeline.succeed(demo.pipeline.job(demo.project))
    demo.pipeline.ends(execution)
    Page.colour = "pink"
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert " is pink, " in said
    assert "s after the push." in said


def test_a_newer_commit_that_goes_live_first_ends_the_wait(demo: Demo) -> None:
    run = demo.commit("pink")
    pushed = demo.tip()
    execution, job = demo.pipeline.start(), demo.pipeline.job(demo.project)
    demo.world.tip = pushed
    newest = demo.world.commit("A newer one", SOURCE.replace("lightblue", "khaki"))
    newer = demo.pipeline.start()
    demo.pipeline.succeed(job)
    demo.pipeline.ends(execution)
    demo.pipeline.succeed(demo.pipeline.job(demo.project))
    demo.pipeline.ends(newer)
    Page.colour = "khaki"
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert f"{pushed[:7]} was released, and " in said
    assert f"shows a newer commit by now: {newest[:7]}." in said
