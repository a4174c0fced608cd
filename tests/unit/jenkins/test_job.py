"""When the job is created, updated, removed or left alone, with a server that has jobs and plugins as Jenkins has."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import InvalidInput, SlipwayError
from slipway.jenkins.client import JenkinsError
from slipway.jenkins.job import ensure, request_of
from slipway.jenkins.job_config import SCM
from tests.unit.jenkins.rendered import render


class Server:
    """jobs: name -> configuration as it is given back; plugins: as pluginManager tells; posts: what was asked for."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.plugins: list[dict[str, Any]] = [{"shortName": "aws-codepipeline", "version": "0.47", "active": True}]
        self.building = False
        self.forgets_scm = False
        self.posts: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                name = self.path.split("/")[2]
                if self.path.startswith("/pluginManager/"):
                    self.answer(200, json.dumps({"plugins": outer.plugins}).encode())
                elif name not in outer.jobs:
                    self.answer(404)
                elif "/lastBuild/" in self.path:
                    self.answer(200, json.dumps({"number": 7, "building": outer.building}).encode())
                else:
                    self.answer(200, outer.jobs[name].encode())

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.posts.append(self.path)
                if self.path.endswith("/doDelete"):
                    del outer.jobs[self.path.split("/")[2]]
                    self.answer(302)
                    return
                name = self.path.partition("?name=")[2] or self.path.split("/")[2]
                outer.jobs[name] = outer.kept(text)
                self.answer(200)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def kept(self, text: str) -> str:
        """In its own words: another header, attributes, encrypted secrets; and without what it has no plugin for."""
        text = re.sub(r"^<\?xml.*?\?>\n", "<?xml version='1.1' encoding='UTF-8'?>\n", text)
        text = text.replace("<awsSecretKey></awsSecretKey>", "<awsSecretKey>{AQAAABAAAAAQxyz=}</awsSecretKey>")
        lost = self.forgets_scm or not any(plugin["active"] for plugin in self.plugins)
        return text.replace(f'"{SCM}"', '"hudson.scm.NullSCM"' if lost else f'"{SCM}" plugin="aws-codepipeline@0.47"')


@pytest.fixture
def jenkins() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "credentials").write_text("admin:11aa\n")
    return tmp_path


def apply(home: Path, url: str, check: bool = False, **changed: Any) -> dict[str, Any]:
    params = {"name": "shop", "state": "present", "config": render(), "url": url,
              "credentials_file": str(home / "credentials"), "record_directory": str(home / "jobs"), **changed}
    return ensure(request_of(params), check)


def test_a_new_job(jenkins: Server, home: Path) -> None:
    result = apply(home, jenkins.url)
    assert (result["changed"], result["action"], jenkins.posts) == (True, "create", ["/createItem?name=shop"])
    assert result["diff"]["before"] == ""
    record = home / "jobs" / "shop.xml"
    assert record.read_text() == render()
    assert (record.stat().st_mode & 0o777, record.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_same_again(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    result = apply(home, jenkins.url)
    assert (result["changed"], result["action"], len(jenkins.posts)) == (False, "none", 1)
    assert result["diff"]["before"] == result["diff"]["after"]


def test_another_configuration(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    result = apply(home, jenkins.url, config=render(jenkins_job_provider_version="2"))
    assert (result["action"], jenkins.posts[1:]) == ("update", ["/job/shop/config.xml"])
    assert "<actionTypeVersion>1" in result["diff"]["before"]
    assert "<actionTypeVersion>2" in result["diff"]["after"]
    assert "<actionTypeVersion>2" in jenkins.jobs["shop"]


def test_a_job_that_is_gone_is_made_again(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    jenkins.jobs.clear()
    assert apply(home, jenkins.url)["action"] == "create"


def test_a_job_that_jenkins_lost_a_part_of_is_posted_again(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    jenkins.jobs["shop"] = re.sub(r'class="com[^"]*SCM"[^>]*', 'class="hudson.scm.NullSCM"', jenkins.jobs["shop"])
    assert apply(home, jenkins.url)["action"] == "update"
    assert apply(home, jenkins.url)["action"] == "none"


def test_a_run_killed_between_the_post_and_the_record_is_completed(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    (home / "jobs" / "shop.xml").unlink()
    (home / "jobs" / ".shop.xml.new").write_text("half")
    assert apply(home, jenkins.url)["action"] == "update"
    assert apply(home, jenkins.url)["action"] == "none"


@pytest.mark.parametrize(("plugins", "said"), [
    ([], "is not installed"),
    ([{"shortName": "aws-codepipeline", "version": "0.47", "active": False}], "and not active")])
def test_nothing_is_posted_without_the_plugin(jenkins: Server, home: Path, plugins: list[Any], said: str) -> None:
    jenkins.plugins = plugins
    with pytest.raises(SlipwayError, match=said):
        apply(home, jenkins.url)
    assert (jenkins.posts, (home / "jobs").exists()) == ([], False)


def test_what_jenkins_drops_is_noticed_and_not_recorded(jenkins: Server, home: Path) -> None:
    jenkins.forgets_scm = True
    with pytest.raises(SlipwayError, match="dropped scm of it"):
        apply(home, jenkins.url)
    jenkins.forgets_scm = False
    assert apply(home, jenkins.url)["action"] == "update"


def test_check_mode_tells_and_posts_nothing(jenkins: Server, home: Path) -> None:
    result = apply(home, jenkins.url, check=True)
    assert (result["action"], jenkins.posts, (home / "jobs").exists()) == ("create", [], False)
    apply(home, jenkins.url)
    assert apply(home, jenkins.url, check=True, state="absent")["action"] == "delete"
    assert len(jenkins.posts) == 1


def test_check_mode_where_no_jenkins_is_yet(home: Path) -> None:
    assert apply(home, "http://127.0.0.1:9", check=True)["action"] == "create"
    assert apply(home, "http://127.0.0.1:9", check=True, credentials_file="/nowhere")["action"] == "create"
    assert apply(home, "http://127.0.0.1:9", check=True, state="absent")["action"] == "none"
    with pytest.raises(JenkinsError, match="cannot be read"):
        apply(home, "http://127.0.0.1:9", credentials_file="/nowhere")


def test_removing_a_job(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    result = apply(home, jenkins.url, state="absent", config=None)
    assert (result["action"], jenkins.jobs, list((home / "jobs").iterdir())) == ("delete", {}, [])
    assert result["diff"]["after"] == ""
    assert apply(home, jenkins.url, state="absent", config=None)["action"] == "none"


def test_a_job_with_a_running_build_is_not_removed(jenkins: Server, home: Path) -> None:
    apply(home, jenkins.url)
    jenkins.building = True
    with pytest.raises(SlipwayError, match="is building #7"):
        apply(home, jenkins.url, state="absent")
    assert "shop" in jenkins.jobs
    assert apply(home, jenkins.url)["action"] == "none"


@pytest.mark.parametrize("changed", [{"name": "a b"}, {"name": "../x"}, {"config": "<project/>"}])
def test_nothing_hostile_reaches_jenkins(jenkins: Server, home: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        apply(home, jenkins.url, **changed)
    assert jenkins.posts == []
