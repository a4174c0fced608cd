"""A request and its answer, apart from the connection that carries them."""

from __future__ import annotations

import html as html_module
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from .security import ANONYMOUS, Caller
from .tree import select

PAGE = "<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"


@dataclass
class Request:
    method: str
    path: str
    """Decoded, without prefix and query."""
    query: dict[str, list[str]]
    headers: Any
    body: bytes
    caller: Caller = ANONYMOUS
    session: str = ""

    def value(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    @property
    def content_type(self) -> str:
        return str(self.headers.get("Content-Type", "")).split(";")[0].strip().lower()

    @property
    def form(self) -> dict[str, list[str]]:
        if self.content_type != "application/x-www-form-urlencoded":
            return {}
        return urllib.parse.parse_qs(self.body.decode(errors="replace"), keep_blank_values=True)


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    kind: str = "text/html;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def page(status: int, title: str, text: str = "", **headers: str) -> Answer:
    body = PAGE.format(title=title, body=text or title).encode()
    return Answer(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def json_answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data, separators=(",", ":")).encode(), "application/json;charset=utf-8")


def html(text: str) -> str:
    return html_module.escape(text)


def forbidden(request: Request, permission: str) -> Answer:
    if request.caller.anonymous:
        where = html(request.path)
        return page(403, "Authentication required",
                    f"<meta http-equiv='refresh' content='1;url=/login?from={where}'/>Authentication required",
                    X_You_Are_Authenticated_As="anonymous", X_Required_Permission=permission)
    return page(403, "Access Denied", f"{html(request.caller.name)} is missing the {permission} permission")


def post_required() -> Answer:
    return page(405, "Form post required", "This URL requires POST", Allow="POST")


def missing() -> Answer:
    return page(404, "Not Found - Jenkins", "Error 404 Not Found")


def exported(request: Request, data: Any) -> Answer:
    """JSON of Jenkins' remote API, with its tree= and pretty=."""
    tree = request.value("tree")
    if tree:
        data = select(data, tree)
    if request.value("pretty") == "true":
        return Answer(200, json.dumps(data, indent=2).encode(), "application/json;charset=utf-8")
    return json_answer(data)


def depth_of(request: Request) -> int:
    value = request.value("depth", "0")
    # With tree= Jenkins goes as deep as the tree says.
    return 9 if request.value("tree") else int(value) if value.isdigit() else 0
