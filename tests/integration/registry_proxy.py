"""Stands between a module and the embedded AWS: forwards everything, and fails where a test wants it to."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

#: Looks at one request before it is forwarded. Returns None to forward it, (status, headers, body) to answer in its
#: place, "cut" to drop the connection, "cut:1000" to do so after that many bytes of the body, or "lost" to forward it
#: and drop the connection instead of the answer.
Rule = Callable[[str, str, str], "tuple[int, dict[str, str], bytes] | str | None"]


class Proxy(ThreadingHTTPServer):
    """url: where to reach it; rule(method, path, operation): what goes wrong; seen: (method, path, operation).

    password: what the registry asks for, and its token holds; '' leaves both as they are. route(headers, body): for a
    proxy before several, the URL to forward to.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://localhost:{self.server_address[1]}"
        self.rule: Rule = lambda method, path, operation: None
        self.seen: list[tuple[str, str, str]] = []
        self.password = ""
        self.route: Callable[[Message, bytes], str] | None = None

    @property
    def token(self) -> str:
        return base64.b64encode(f"AWS:{self.password}".encode()).decode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy
    raw_requestline: bytes

    def parse_request(self) -> bool:
        if self.raw_requestline.startswith(b"\x16"):
            # Engines try TLS first, and go on in plain text where the answer is one that they know.
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.close_connection = True
            return False
        return super().parse_request()

    def _handle(self) -> None:
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.server.seen.append((self.command, self.path, operation))
        verdict = self.server.rule(self.command, self.path, operation)
        if isinstance(verdict, str) and verdict.startswith("cut"):
            # Some bytes are taken first, so that the sender is in the middle of it.
            size = int(verdict.partition(":")[2] or 1)
            self.rfile.read(min(size, int(self.headers.get("Content-Length", size))))
            self._drop()
            return
        body = self._body()
        if isinstance(verdict, tuple):
            self._answer(*verdict)
            return
        registry = self.path.startswith("/v2/")
        if self.server.password and registry and self.headers.get("Authorization") != f"Basic {self.server.token}":
            self._answer(401, {"WWW-Authenticate": 'Basic realm="registry"', "Content-Type": "application/json"},
                         b'{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}')
            return
        where = self.server.upstream if self.server.route is None else urlsplit(self.server.route(self.headers, body))
        upstream = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        headers = {k: v for k, v in self.headers.items()
                   if k.lower() not in ("host", "transfer-encoding", "connection")}
        headers["Content-Length"] = str(len(body))
        headers["Host"] = where.netloc
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        kept = {k: v for k, v in answer.getheaders()
                if k.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server")}
        if operation == "GetAuthorizationToken" and self.server.password:
            data = re.sub(rb'("authorizationToken": *)"[^"]*"', rb'\1"%s"' % self.server.token.encode(), data)
        if operation and self.server.route is None:
            # Pushes have to come this way as well.
            data = data.replace(self.server.upstream.netloc.encode(), urlsplit(self.server.url).netloc.encode())
        if verdict == "lost":
            upstream.close()
            self._drop()
            return
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self._answer(answer.status, {**kept, "Content-Length": length or "0"}, data)
        upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing to say."""


def amz(answer: dict[str, Any], status: int = 200) -> tuple[int, dict[str, str], bytes]:
    """An answer of the AWS API."""
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()


@contextmanager
def running(upstream: str) -> Iterator[Proxy]:
    socketserver.TCPServer.allow_reuse_address = True
    proxy = Proxy(upstream)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
