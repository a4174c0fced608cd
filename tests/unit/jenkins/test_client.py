"""The HTTP client against a real server on this machine that answers as a Jenkins does on good and bad days."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slipway.jenkins.client import Jenkins, JenkinsError

Reply = tuple[int, dict[str, str], bytes]


class Server:
    """answers: what to give, one after the other, the last one for ever. seen: every request."""

    def __init__(self) -> None:
        self.answers: list[Reply] = [(200, {"X-Jenkins": "2.568.1"}, b"{}")]
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                status, headers, text = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = reply  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    file = tmp_path / "credentials"
    file.write_text("admin:11abc\n")
    return str(file)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def client(url: str, credentials: str = "", patience: float = 10.0) -> tuple[Jenkins, Clock]:
    clock = Clock()
    return Jenkins(url, credentials, patience, clock.sleep, clock), clock


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_sends_the_token_and_no_other_header_of_authority(server: Server, credentials: str) -> None:
    answer = client(server.url + "/", credentials)[0].get("/api/json")
    assert answer is not None
    assert answer.text() == "{}"
    method, path, headers, _ = server.seen[0]
    assert (method, path) == ("GET", "/api/json")
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"admin:11abc").decode()


def test_reads_the_credentials_anew_for_every_call(server: Server, credentials: str) -> None:
    jenkins, _ = client(server.url, credentials)
    jenkins.get("/")
    Path(credentials).write_text("admin:11def")
    jenkins.get("/")
    assert [seen[2]["Authorization"] for seen in server.seen] == [
        "Basic " + base64.b64encode(text).decode() for text in (b"admin:11abc", b"admin:11def")]


def test_posts_what_it_is_given_and_takes_a_redirect_as_the_answer(server: Server) -> None:
    server.answers = [(302, {"Location": server.url + "/elsewhere"}, b"")]
    answer = client(server.url)[0].post("/safeRestart", b"<a/>", "application/xml")
    assert answer.status == 302
    assert [(seen[0], seen[1], seen[3]) for seen in server.seen] == [("POST", "/safeRestart", b"<a/>")]
    assert server.seen[0][2]["Content-Type"] == "application/xml"


def test_nothing_where_something_may_be_missing(server: Server) -> None:
    server.answers = [(404, {}, b"")]
    assert client(server.url)[0].get("/job/x/config.xml", missing_ok=True) is None


@pytest.mark.parametrize(("status", "headers", "words"), [
    (401, {}, ["does not accept the token", "Run the role jenkins again"]),
    (403, {}, ["does not permit", "administrator"]),
    (404, {}, ["no such thing"]),
    (400, {"X-Error": "No such job: x."}, ["status 400: No such job: x."]),
    (500, {}, ["failed with status 500", "journalctl -u jenkins"]),
])
def test_every_refusal_says_where_and_what_next(server: Server, credentials: str, status: int, headers: dict[str, str],
                                                words: list[str]) -> None:
    server.answers = [(status, headers, b"11abc")]
    with pytest.raises(JenkinsError) as raised:
        client(server.url, credentials)[0].post("/createItem?name=x")
    assert raised.value.status == status
    assert [word for word in [f"POST {server.url}/createItem?name=x", *words] if word not in str(raised.value)] == []
    assert "11abc" not in str(raised.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize("call", [lambda jenkins: jenkins.get("/"), lambda jenkins: jenkins.post("/x")],
                         ids=["get", "post"])
def test_waits_for_one_that_starts(server: Server, call: Callable[[Jenkins], object]) -> None:
    server.answers = [(503, {}, b""), (503, {}, b""), (200, {}, b"up")]
    jenkins, _ = client(server.url)
    call(jenkins)
    assert len(server.seen) == 3


def test_ends_waiting_for_one_that_never_starts(server: Server) -> None:
    server.answers = [(503, {}, b"")]
    jenkins, clock = client(server.url, patience=5)
    with pytest.raises(JenkinsError, match="still starting after 5 s"):
        jenkins.get("/")
    assert 5 <= clock.now < 8


def test_nobody_there() -> None:
    jenkins, clock = client(f"http://127.0.0.1:{free_port()}", patience=5)
    with pytest.raises(JenkinsError, match=r"does not answer \(Connection refused\)") as raised:
        jenkins.post("/x")
    assert raised.value.status == 0
    assert clock.now >= 5


def test_a_post_that_may_have_arrived_is_not_sent_again() -> None:
    """The peer reads the request and hangs up without an answer."""
    arrived: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            arrived.append(peer.recv(65536))
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(JenkinsError, match="does not answer"):
        client(url)[0].post("/job/x/build")
    assert len(arrived) == 1
    with pytest.raises(JenkinsError, match="does not answer"):
        client(url, patience=3)[0].get("/api/json")
    listener.close()
    assert len(arrived) > 2


def test_ready_names_the_version_and_tells_what_it_waits_for(server: Server, credentials: str) -> None:
    server.answers = [(503, {}, b""), (503, {}, b""), (200, {"X-Jenkins": "2.568.1"}, b"{}")]
    said: list[str] = []
    assert client(server.url, credentials)[0].wait_ready(60, said.append) == "2.568.1"
    assert said == [f"Jenkins at {server.url} is starting"]


def test_ready_ends_with_a_wrong_token_at_once(server: Server, credentials: str) -> None:
    server.answers = [(401, {}, b"")]
    with pytest.raises(JenkinsError, match="does not accept the token"):
        client(server.url, credentials)[0].wait_ready(60)
    assert len(server.seen) == 1


def test_ready_ends_after_its_time() -> None:
    jenkins, clock = client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(JenkinsError, match=r"does not answer yet \(Connection refused\), after 20 s"):
        jenkins.wait_ready(20)
    assert 20 <= clock.now < 23


def test_what_is_no_jenkins_is_told_so(server: Server) -> None:
    server.answers = [(200, {}, b"hello")]
    with pytest.raises(JenkinsError, match="is no Jenkins"):
        client(server.url)[0].wait_ready(60)


@pytest.mark.parametrize("text", ["", "admin", "admin:", ":token", "admin:to\nken"])
def test_a_damaged_credentials_file(server: Server, tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    with pytest.raises(JenkinsError, match="does not hold user:token") as raised:
        client(server.url, str(file))[0].get("/")
    assert "token in one line" in str(raised.value)
    assert server.seen == []


def test_no_credentials_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(JenkinsError, match="cannot be read: No such file"):
        client(server.url, str(tmp_path / "none"))[0].get("/")


def test_a_url_that_is_none() -> None:
    with pytest.raises(JenkinsError, match="no URL"):
        Jenkins("127.0.0.1:8080")


def test_the_token_goes_through_no_proxy(server: Server, credentials: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert client(server.url, credentials)[0].get("/") is not None
