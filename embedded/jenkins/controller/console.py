"""A build's console log, written as it happens."""

from __future__ import annotations

from pathlib import Path
from typing import IO


class Console:
    def __init__(self, path: Path) -> None:
        # Appending: the build's own processes write to the same file.
        self.file: IO[bytes] = path.open("ab", buffering=0)

    def line(self, text: str = "") -> None:
        self.file.write(f"{text}\n".encode("utf-8", "replace"))

    def plugin(self, text: str) -> None:
        self.line(f"[AWS CodePipeline Plugin] {text}")

    def close(self) -> None:
        self.file.close()
