"""How a module ends: a result, or an error in words."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from slipway import door
from slipway.errors import InvalidInput


class Ended(Exception):
    """The module has said its last."""


class Module:
    """Keeps what a module would leave with."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.warnings: list[str] = []

    def fail_json(self, **result: Any) -> None:
        self.result = {"failed": True, **result}
        raise Ended

    def exit_json(self, **result: Any) -> None:
        self.result = result
        raise Ended

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def end(work: Any) -> Module:
    module = Module()
    with pytest.raises(Ended):
        door.run(module, work)
    return module


def test_a_result_with_warnings() -> None:
    module = end(lambda _module, _progress: {"changed": True, "warnings": ["mind the .env"]})
    assert module.result == {"changed": True}
    assert module.warnings == ["mind the .env"]


def test_a_fault_with_its_remedy_and_details() -> None:
    def work(_module: Any, _progress: Any) -> dict[str, Any]:
        raise InvalidInput("The tag is empty.", "Give one.", tag="")

    assert end(work).result == {"failed": True, "msg": "The tag is empty. Give one.", "remedy": "Give one.", "tag": ""}


def test_a_python_without_the_packages() -> None:
    def work(_module: Any, _progress: Any) -> dict[str, Any]:
        import botocoreless  # type: ignore[import-not-found]

        return {"changed": botocoreless}

    result = end(work).result
    assert result["failed"]
    assert f"{sys.executable}, cannot import botocoreless" in result["msg"]
    assert "ansible_python_interpreter" in result["remedy"]


@pytest.mark.parametrize(("error", "words"), [
    (PermissionError(13, "Permission denied", "/srv/app"), "/srv/app: Permission denied."),
    (OSError("the connection was cut"), "the connection was cut"),
])
def test_a_file_or_connection_that_nobody_foresaw(error: OSError, words: str) -> None:
    def work(_module: Any, _progress: Any) -> dict[str, Any]:
        raise error

    assert end(work).result == {"failed": True, "msg": words}
