"""A failure as a person reads it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "console", Path(__file__).parents[2] / "callback_plugins" / "console.py")
assert _spec and _spec.loader
console = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(console)


def test_message_and_evidence_and_nothing_else() -> None:
    text = console.readable({"msg": "The container exited with 3. Mend it.", "events": [{"a": 1}] * 50,
                             "evidence": ["task 1 stopped", "log: no database\nlog: bye"]})
    assert text == ("  The container exited with 3. Mend it.\n    - task 1 stopped\n"
                    "    - log: no database\n      log: bye")


def test_long_messages_are_wrapped_and_their_lines_kept() -> None:
    text = console.readable({"msg": "2 values are at fault:\n- " + "word " * 60 + "\n- short"})
    assert max(map(len, text.splitlines())) <= 118
    assert text.splitlines()[0] == "  2 values are at fault:"
    assert text.splitlines()[-1] == "  - short"


def test_evidence_of_a_verdict() -> None:
    assert "    - target 10.0.0.1 unhealthy" in console.readable(
        {"msg": "x", "diagnosis": {"evidence": ["target 10.0.0.1 unhealthy"]}})
