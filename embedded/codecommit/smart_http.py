"""The remote that git clones from and pushes to: http://localhost:PORT/v1/repos/NAME, served by git http-backend.

Bodies are streamed both ways. Any user and password are taken, as everywhere in the embedded AWS. A repository of
another region than the default one is at http://git-codecommit.REGION.localhost:PORT/v1/repos/NAME.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .. import settings
from . import git, ministack, names, references
from .records import Repository, records

PREFIX = "/v1/repos/"
_HOST = re.compile(r"git-codecommit\.([a-z0-9-]+)\.localhost(:\d+)?")
#: What smart HTTP asks for: with these three alone no file of a repository can be named.
_REQUESTS = {("GET", "info/refs"), ("POST", "git-upload-pack"), ("POST", "git-receive-pack")}
_SERVICES = ("git-upload-pack", "git-receive-pack")
_CHUNK = 1 << 16
log = logging.getLogger("slipway")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def clone_url(region: str, name: str) -> str:
    host = "localhost" if region == settings.REGION else f"git-codecommit.{region}.localhost"
    return f"http://{host}:{settings.PORT}{PREFIX}{name}"


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI application for the paths under PREFIX."""
    name, _, path = scope["path"].removeprefix(PREFIX).partition("/")
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    query = scope.get("query_string", b"").decode("latin-1")
    service = query.removeprefix("service=") if path == "info/refs" else path
    if (scope["method"], path) not in _REQUESTS or service not in _SERVICES:
        await _refuse(send, 404, "This is the remote of a git repository: clone it, or push to it.")
        return
    repository = await asyncio.to_thread(_find, headers.get("host", ""), name)
    if repository is None:
        await _refuse(send, 404, f"There is no repository named {name[:100]}.")
        return
    process = await asyncio.create_subprocess_exec(
        git.http_backend(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=_environment(scope, headers, repository, path, query), limit=_CHUNK)
    assert process.stdin is not None and process.stdout is not None
    feeding = asyncio.create_task(_feed(process.stdin, receive))
    try:
        status, fields = await _head(process.stdout)
        await send({"type": "http.response.start", "status": status, "headers": fields})
        while piece := await process.stdout.read(_CHUNK):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await process.wait()
    finally:
        feeding.cancel()
        if process.returncode is None:
            process.stdin.close()
            await process.wait()
        if path == "git-receive-pack":
            # Before the answer ends: who sees the push succeed can rely on its events being out.
            await asyncio.to_thread(_told, repository)
    await send({"type": "http.response.body", "body": b""})


def _find(host: str, name: str) -> Repository | None:
    if not names.is_repository(name):
        return None
    other = _HOST.fullmatch(host)
    return records.find(ministack.default_account(), other[1] if other else settings.REGION, name)


def _told(repository: Repository) -> None:
    try:
        references.tell_of_pushes(repository)
    except Exception:
        log.exception("The push to %s is kept, but its events could not be told; the next push tells them.",
                      repository.name)


def _environment(scope: Message, headers: dict[str, str], repository: Repository, path: str, query: str
                 ) -> dict[str, str]:
    more = {
        "GIT_PROJECT_ROOT": str(repository.folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": f"/git/{path}",
        "REQUEST_METHOD": scope["method"], "QUERY_STRING": query, "CONTENT_TYPE": headers.get("content-type", ""),
        # With a user, http-backend takes pushes.
        "REMOTE_USER": "git", "REMOTE_ADDR": (scope.get("client") or ("127.0.0.1",))[0],
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""), "GIT_PROTOCOL": headers.get("git-protocol", ""),
    }
    if "content-length" in headers:
        more["CONTENT_LENGTH"] = headers["content-length"]
    return git.environment(**more)


async def _feed(sink: asyncio.StreamWriter, receive: Receive) -> None:
    """Hand the request's body on. A client that left leaves a body cut short, which git refuses."""
    with contextlib.suppress(ConnectionError):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            sink.write(message.get("body", b""))
            await sink.drain()
            if not message.get("more_body"):
                break
    sink.close()


async def _head(source: asyncio.StreamReader) -> tuple[int, list[tuple[bytes, bytes]]]:
    """The status and header lines that a CGI program begins its answer with."""
    status, fields = 200, []
    while (line := (await source.readline()).strip()):
        key, _, value = line.partition(b":")
        if key.lower() == b"status":
            status = int(value.split()[0])
        else:
            fields.append((key.lower(), value.strip()))
    if not fields:
        return 500, [(b"content-type", b"text/plain")]
    return status, fields


async def _refuse(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    await send({"type": "http.response.start", "status": status, "headers": [
        (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
