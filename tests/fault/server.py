"""CloudFormation over HTTP as a test scripts it: what the embedded AWS cannot be made to do.

Each request is checked against botocore's service model - operation, member names, required members, enumerations,
patterns - and answered in the shapes of the same model, so that a call AWS would refuse fails here too.
"""

from __future__ import annotations

import re
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

import botocore.session

MODEL = botocore.session.get_session().get_service_model("cloudformation")


class Refusal(Exception):
    """An error answer of AWS."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


Answer = dict[str, Any] | Refusal
Script = list[Answer] | Answer | Callable[[dict[str, Any]], Answer]


class FaultServer:
    """script: answer by operation; of a list each answer is given once and the last one for ever.

    requests: every request in order, as (operation, members). wrong: what was against the model.
    """

    def __init__(self, script: dict[str, Script]) -> None:
        self.script = script
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.wrong: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = owner.answer(dict(urllib.parse.parse_qsl(body, keep_blank_values=True)))
                data = answer.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def calls(self) -> Counter[str]:
        return Counter(operation for operation, _ in self.requests)

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [members for name, members in self.requests if name == operation]

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        name = form.pop("Action", "")
        form.pop("Version", None)
        if name not in MODEL.operation_names:
            self.wrong.append(f"no operation {name}")
            return 400, _error("InvalidAction", name)
        operation = MODEL.operation_model(name)
        members = _nested(form)
        self.requests.append((name, members))
        self.wrong += [f"{name}: {fault}" for fault in _faults(members, operation.input_shape, "")]
        # Repeated without its token, a write may be done twice.
        self.wrong += [f"{name}: {token} is missing" for token in ("ClientRequestToken", "ClientToken")
                       if token in operation.input_shape.members and token not in members]
        script = self.script.get(name)
        if script is None:
            self.wrong.append(f"{name} was not expected")
            return 400, _error("ValidationError", f"{name} was not expected")
        if callable(script):
            try:
                found = script(members)
            except Refusal as refusal:
                found = refusal
        elif isinstance(script, list):
            found = script.pop(0) if len(script) > 1 else script[0]
        else:
            found = script
        if isinstance(found, Refusal):
            return found.status, _error(found.code, found.message)
        inner = _xml(found, operation.output_shape) if operation.output_shape else ""
        return 200, f"<{name}Response><{name}Result>{inner}</{name}Result></{name}Response>"


def _error(code: str, message: str) -> str:
    return (f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            "<RequestId>1</RequestId></ErrorResponse>")


def _nested(form: dict[str, str]) -> dict[str, Any]:
    """`Tags.member.1.Key=a` as {"Tags": [{"Key": "a"}]}."""
    tree: dict[str, Any] = {}
    for path, value in form.items():
        node, parts = tree, path.split(".")
        for part in parts[:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = value

    def lists(node: Any) -> Any:
        if isinstance(node, dict) and set(node) == {"member"}:
            return [lists(node["member"][n]) for n in sorted(node["member"], key=int)]
        return {k: lists(v) for k, v in node.items()} if isinstance(node, dict) else node

    result: dict[str, Any] = lists(tree)
    return result


def _faults(value: Any, shape: Any, path: str) -> list[str]:
    """What AWS would refuse of `value`."""
    if shape.type_name == "structure":
        faults = [f"{path}{name} is missing" for name in shape.required_members if name not in value]
        for name, inner in value.items():
            if name not in shape.members:
                faults.append(f"{path}{name} is unknown")
            else:
                faults += _faults(inner, shape.members[name], f"{path}{name}.")
        return faults
    if shape.type_name == "list":
        if value == "":
            return []  # an empty list
        return [f for inner in value for f in _faults(inner, shape.member, path)]
    if shape.type_name == "string":
        text = str(value)
        if getattr(shape, "enum", None) and text not in shape.enum:
            return [f"{path} {text!r} is none of {shape.enum}"]
        pattern = shape.metadata.get("pattern")
        if pattern and "\\p" not in pattern and not re.fullmatch(pattern, text):
            return [f"{path} {text!r} does not match {pattern}"]
        if len(text) > shape.metadata.get("max", len(text)) or len(text) < shape.metadata.get("min", 0):
            return [f"{path} has {len(text)} characters"]
    return []


def _xml(value: Any, shape: Any) -> str:
    if shape.type_name == "structure":
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{shape.name} has no {unknown}"
        return "".join(f"<{name}>{_xml(inner, shape.members[name])}</{name}>" for name, inner in value.items())
    if shape.type_name == "list":
        return "".join(f"<member>{_xml(inner, shape.member)}</member>" for inner in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return escape(str(value))
