"""Files of JENKINS_HOME: written whole or not at all, secrets for the owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

XML_HEADER = "<?xml version='1.1' encoding='UTF-8'?>\n"
ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;"), ("\r", "&#xd;"))


def write(path: Path, data: bytes | str, mode: int | None = None) -> None:
    """Replace the file in one step; without a mode its rights are those of the process's umask, as Jenkins' are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"atomic{path.name}", suffix="tmp")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        fresh.chmod(mode if mode is not None else 0o666 & ~current_umask())
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def current_umask() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def secret(home: Path, name: str) -> bytes:
    """A random value under secrets/, made on first use."""
    directory = home / "secrets"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / name
    if not path.exists():
        write(path, secrets.token_hex(128), 0o600)
    return path.read_bytes()


def read_xml(path: Path) -> Element | None:
    """Root of one of Jenkins' own files; None where it is not there."""
    try:
        return ElementTree.fromstring(path.read_bytes())
    except FileNotFoundError:
        return None


def node(tag: str, *content: Element | str | bool | int, **attributes: str) -> Element:
    """An element with children, or with text; class_ is its attribute class."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for item in content:
        if isinstance(item, Element):
            made.append(item)
        else:
            made.text = ("true" if item else "false") if isinstance(item, bool) else str(item)
    return made


def xml(root: Element) -> str:
    """As Jenkins writes it: indented by two, empty elements closed at once."""
    lines: list[str] = []
    _write(root, "", lines)
    return XML_HEADER + "\n".join(lines)


def _write(element: Element, indent: str, lines: list[str]) -> None:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attrib.items())
    if len(element):
        lines.append(f"{indent}<{element.tag}{attributes}>")
        for child in element:
            _write(child, f"{indent}  ", lines)
        lines.append(f"{indent}</{element.tag}>")
    elif element.text:
        lines.append(f"{indent}<{element.tag}{attributes}>{escape(element.text)}</{element.tag}>")
    else:
        lines.append(f"{indent}<{element.tag}{attributes}/>")


def escape(text: str) -> str:
    for character, name in ESCAPES:
        text = text.replace(character, name)
    return text
