"""A webhook is posted to; what goes wrong is a warning that never names its address. Against a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from slipway.errors import SlipwayError
from slipway.notify import webhook
from slipway.notify.send import Settings, send

RECORD = {"service": "shop", "verdict": "completed", "tag": "1"}


class Hook:
    """A server that answers with `codes` in turn, the last one again and again."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.bodies, self.types = list(codes), [], []  # type: ignore[var-annotated]
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.types.append(self.headers["Content-Type"])
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                code = hook.codes.pop(0) if len(hook.codes) > 1 else hook.codes[0]
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", hook.address)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/services/T0/B0/secret"


@pytest.fixture
def hook(request: pytest.FixtureRequest) -> Iterator[Hook]:
    made = Hook(*request.param)
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def never() -> Any:
    raise AssertionError("no topic, no AWS")


@pytest.mark.parametrize("hook", [(200,)], indirect=True)
def test_it_is_told(hook: Hook) -> None:
    assert send(Settings(webhook=hook.address), RECORD, never) == []
    assert hook.bodies == [{"text": "shop: 1 is released"}] and hook.types == ["application/json"]


@pytest.mark.parametrize("hook", [(503, 200)], indirect=True)
def test_a_second_try(hook: Hook) -> None:
    webhook.post(hook.address, {"text": "x"}, sleep=lambda _: None)
    assert len(hook.bodies) == 2


@pytest.mark.parametrize(("hook", "tries"), [((404,), 1), ((500,), 2), ((302,), 1)], indirect=["hook"])
def test_a_refusal_is_a_warning(hook: Hook, tries: int) -> None:
    (warning,) = send(Settings(webhook=hook.address), RECORD, never)
    assert "Nobody was told of this release by the webhook: The webhook answers" in warning
    assert "secret" not in warning and "127.0.0.1" not in warning and len(hook.bodies) == tries


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:1/services/secret", "https://[secret/", "ftp://host/secret", "http://no such host/secret",
    "http://127.0.0.1:secret/x",
])
def test_an_address_that_leads_nowhere(address: str) -> None:
    with pytest.raises(SlipwayError) as failed:
        webhook.post(address, {}, sleep=lambda _: None)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("hook", [(200,)], indirect=True)
def test_only_what_was_asked_for_is_told(hook: Hook) -> None:
    assert send(Settings(webhook=hook.address, on=("failure",)), RECORD, never) == []
    assert send(Settings(), RECORD, never) == []
    assert hook.bodies == []
    send(Settings(webhook=hook.address, on=("failure",)), {**RECORD, "verdict": "failed"}, never)
    assert len(hook.bodies) == 1


def test_a_topic_that_is_none() -> None:
    (warning,) = send(Settings(topic="releases"), RECORD, never)
    assert warning == "Nobody was told of this release by topic releases: that is no ARN of a topic."
