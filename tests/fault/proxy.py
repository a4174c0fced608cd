"""A bad day of AWS: stands in front of an embedded one and, of the calls that pass, spoils a given part.

Nothing is checked here and nothing else is changed: what is not spoiled gets the answer that the AWS behind gives. A
subclass may answer for it, or amend what it says.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

#: How a call is spoiled. The first three: AWS answers so and did nothing. Then: the connection is reset before the
#: call was seen, or when it was carried out already, so that its answer is lost.
FAULTS = ("throttled", "internal error", "unavailable", "reset before", "reset after")

_ANSWERS = {"throttled": (400, "Throttling", "ThrottlingException", "Rate exceeded"),
            "internal error": (500, "InternalFailure", "InternalServerError", "An internal error occurred."),
            "unavailable": (503, "ServiceUnavailable", "ServiceUnavailableException", "Try again later.")}


class Spoiled(NamedTuple):
    operation: str
    fault: str


class BadDay(ThreadingHTTPServer):
    """url: where to reach it. rate: the part of the calls that is spoiled, 0 to 1. seed: of chance.

    passed: calls that were answered, by operation; spoiled: the others, oldest first.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, rate: float, seed: int, faults: tuple[str, ...] = FAULTS) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.passed: Counter[str] = Counter()
        self.spoiled: list[Spoiled] = []
        self._rate, self._faults = rate, faults
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)

    def fate(self, operation: str) -> str:
        """'' for a call that shall pass, else its fault."""
        with self._lock:
            if self._chance.random() >= self._rate:
                self.passed[operation] += 1
                return ""
            fault = self._chance.choice(self._faults)
            self.spoiled.append(Spoiled(operation, fault))
            return fault

    def answer(self, operation: str, form: Mapping[str, str]) -> str | None:
        """An answer instead of the one of the AWS behind, which then does not see the call. form: of the query
        protocol."""
        return None

    def amend(self, operation: str, form: Mapping[str, str], data: bytes) -> bytes:
        """What the client gets of the answer `data`."""
        return data

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is its own affair."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: BadDay

    def setup(self) -> None:
        super().setup()
        where = self.server.upstream
        self._upstream = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        form = self._form(body)
        operation = self._operation(form)
        own = self.server.answer(operation, form)
        if own is not None:
            self._send(200, [("Content-Type", "text/xml")], own.encode())
            return
        fault = self.server.fate(operation)
        if fault in _ANSWERS:
            self._refuse(*_ANSWERS[fault])
            return
        if fault != "reset before":
            # With the client's own Host header, which its signature covers.
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            self._upstream.request(self.command, self.path, body, headers)
            answer = self._upstream.getresponse()
            data = answer.read()
        if fault:
            self._reset()
            return
        self._send(answer.status, answer.getheaders(), self.server.amend(operation, form, data))

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = _handle

    def _refuse(self, status: int, query_code: str, json_code: str, message: str) -> None:
        if "X-Amz-Target" in self.headers:
            kind = self.headers.get("Content-Type", "application/x-amz-json-1.1")
            data = json.dumps({"__type": json_code, "message": message}).encode()
        else:
            kind = "text/xml"
            data = (f"<ErrorResponse><Error><Type>Sender</Type><Code>{query_code}</Code><Message>{message}</Message>"
                    "</Error><RequestId>1</RequestId></ErrorResponse>").encode()
        self._send(status, [("Content-Type", kind)], data)

    def _send(self, status: int, headers: Iterable[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        """RST instead of an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    @staticmethod
    def _form(body: bytes) -> dict[str, str]:
        """The fields of the query protocol; none of another's."""
        return dict(parse_qsl(body.decode("utf-8", "replace"))) if b"Action=" in body else {}

    def _operation(self, form: Mapping[str, str]) -> str:
        """By the header of the JSON protocols or the form field of the query protocol; else method and path."""
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if target:
            return target
        return form.get("Action", f"{self.command} {self.path}")
