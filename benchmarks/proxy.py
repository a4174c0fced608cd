"""Stands between a module and the embedded AWS and notes every API call: when it came, and which operation it is."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Call(NamedTuple):
    """at: seconds since the epoch when the answer was handed on."""

    at: float
    operation: str


class Proxy(ThreadingHTTPServer):
    """url: where to reach it; calls: what passed, oldest first."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.calls: list[Call] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True)

    def between(self, start: float, end: float) -> Counter[str]:
        """Calls by operation that were answered in this span."""
        return Counter(call.operation for call in self.calls if start < call.at <= end)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: a delayed acknowledgement between two would cost 40 ms a call.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Proxy

    def setup(self) -> None:
        super().setup()
        where = self.server.upstream
        self._upstream = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        headers["Host"] = self.server.upstream.netloc
        self._upstream.request(self.command, self.path, body, headers)
        answer = self._upstream.getresponse()
        data = answer.read()
        self.server.calls.append(Call(time.time(), self._operation(body)))
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _forward

    def _operation(self, body: bytes) -> str:
        """By the header of the JSON protocols or the form field of the query protocol; else method and path."""
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if target:
            return target
        form = parse_qs(body.decode("utf-8", "replace")) if b"Action=" in body else {}
        return form.get("Action", [f"{self.command} {self.path}"])[0]
