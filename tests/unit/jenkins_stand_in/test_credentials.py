"""The chain that leads the plugin to credentials, down to the instance's role over IMDSv2."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.jenkins.controller.codepipeline import credentials
from embedded.jenkins.controller.codepipeline.signing import Credentials

ROLE = {"AccessKeyId": "ASIA", "SecretAccessKey": "role", "Token": "token"}


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
                 "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def metadata() -> Iterator[str]:
    """An instance's metadata service that insists on its token."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.answer("the-token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else None)

        def do_GET(self) -> None:
            answers = {"/latest/meta-data/iam/security-credentials/": "jenkins-role",
                       "/latest/meta-data/iam/security-credentials/jenkins-role": json.dumps(ROLE)}
            known = self.headers["X-aws-ec2-metadata-token"] == "the-token"
            self.answer(json.dumps(ROLE) if self.path == "/container" else answers.get(self.path) if known else None)

        def answer(self, text: str | None) -> None:
            self.send_response(200 if text else 401)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_nothing_anywhere() -> None:
    with pytest.raises(credentials.NoCredentials, match="Unable to load AWS credentials from any provider"):
        credentials.find("", "")


def test_the_role_of_the_instance(monkeypatch: pytest.MonkeyPatch, metadata: str) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
    assert credentials.find("", "") == Credentials("ASIA", "role", "token")


def test_the_order_of_the_chain(monkeypatch: pytest.MonkeyPatch, metadata: str, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{metadata}/wrong")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{metadata}/container")
    assert credentials.find("", "").access_key == "ASIA"
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = PROFILE\naws_secret_access_key = b\n")
    assert credentials.find("", "") == Credentials("PROFILE", "b")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
    assert credentials.find("", "").access_key == "PROFILE"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "d")
    assert credentials.find("", "") == Credentials("ENVIRONMENT", "c", "d")
    assert credentials.find("JOB", "e") == Credentials("JOB", "e")
    assert credentials.find("JOB", "").access_key == "ENVIRONMENT"


def test_a_metadata_service_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(credentials.NoCredentials):
        credentials.find("", "")
