"""What a Dockerfile builds on: its stages and the images they come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import InvalidInput

_VARIABLE = re.compile(
    r"\\(?P<escaped>\$)|\$(?P<plain>[A-Za-z_]\w*)|\$\{(?P<name>[A-Za-z_]\w*)(?::?(?P<operator>[-+?])(?P<word>[^}]*))?\}")
_HEREDOC = re.compile(r"<<-?\s*([\"']?)(\w+)\1")
_SOURCE = re.compile(r"--from=(?P<copy>\S+)|--mount=\S*?\bfrom=(?P<mount>[^,\s]+)")
_FROM = re.compile(r"(?P<image>\S+)(?:\s+as\s+(?P<name>\S+))?\s*", re.IGNORECASE)


@dataclass
class Stage:
    """One FROM: `name` in lower case ('' when unnamed), `image` with its variables filled in, `uses` the images and
    stages named by COPY --from and RUN --mount=from."""

    name: str
    image: str
    uses: list[str] = field(default_factory=list)


def stages(text: str, arguments: dict[str, str]) -> list[Stage]:
    """The stages in order; `arguments` override the defaults of ARG before the first FROM. Raises InvalidInput for a
    Dockerfile without FROM or with a FROM that comes out empty."""
    given = dict(arguments)
    values: dict[str, str] = {}
    found: list[Stage] = []
    for keyword, rest in _instructions(text):
        if keyword == "ARG" and not found:
            for word in rest.split():
                name, _, default = word.partition("=")
                values[name] = given.get(name, _fill(_unquoted(default), values))
        elif keyword == "FROM":
            found.append(_stage(rest, values))
        elif found and keyword in ("COPY", "ADD", "RUN"):
            found[-1].uses += [_fill(_unquoted(match["copy"] or match["mount"]), {**values, **given})
                               for match in _SOURCE.finditer(rest)]
    if not found:
        raise InvalidInput("The Dockerfile has no FROM.", "Start it with the image it builds on, or FROM scratch.")
    return found


def base_images(text: str, arguments: dict[str, str], target: str | None = None) -> list[str]:
    """References of all images that the stages up to `target` (name or number; None: the last) take from outside,
    sorted, each once. Raises InvalidInput when there is no such stage."""
    all_stages = stages(text, arguments)
    wanted = all_stages[:_position(all_stages, target) + 1] if target else all_stages
    images: set[str] = set()
    for i, stage in enumerate(wanted):
        earlier = {s.name for s in all_stages[:i] if s.name}
        images |= {stage.image} - earlier
        # COPY --from may name a stage by its number, and RUN --mount a named build context, which is a stage as well.
        images |= {use for use in stage.uses if use.lower() not in earlier and not use.isdigit()}
    return sorted(images - {"scratch"})


def _position(found: list[Stage], target: str) -> int:
    for i, stage in enumerate(found):
        if stage.name == target.lower():
            return i
    if target.isdigit() and int(target) < len(found):
        return int(target)
    names = ", ".join(s.name for s in found if s.name) or "none of its stages has a name"
    raise InvalidInput(f"The Dockerfile has no stage {target!r}.", f"Its stages: {names}.")


def _stage(rest: str, values: dict[str, str]) -> Stage:
    rest = re.sub(r"^(--\S+\s+)+", "", rest)
    match = _FROM.fullmatch(rest)
    if not match:
        raise InvalidInput(f"The Dockerfile's 'FROM {rest}' cannot be read.", "Write FROM image [AS name].")
    written = match["image"]
    image = _fill(_unquoted(written), values)
    if not image:
        raise InvalidInput(f"The Dockerfile's 'FROM {written}' names no image: its argument is empty.",
                           "Give it in build_args, or a default with ARG before the FROM.")
    return Stage((match["name"] or "").lower(), image)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """(KEYWORD, rest) with continuation lines joined, comments and the bodies of here-documents left out."""
    escape = "\\"
    lines = iter(text.removeprefix("\ufeff").splitlines())
    directives = True
    joined = ""
    for line in lines:
        stripped = line.strip()
        if directives:
            match = re.fullmatch(r"#\s*(\w+)\s*=\s*(\S+)", stripped)
            if match:
                escape = match[2] if match[1].lower() == "escape" else escape
                continue
            directives = False
        if stripped.startswith("#") or (joined and not stripped):
            continue
        if stripped.endswith(escape):
            joined += stripped[:-1] + " "
            continue
        whole, joined = (joined + stripped).strip(), ""
        if not whole:
            continue
        keyword, _, rest = whole.partition(" ")
        keyword = keyword.upper()
        if keyword in ("RUN", "COPY", "ADD"):
            for _quote, end in _HEREDOC.findall(rest):
                for body in lines:
                    if body.strip() == end:
                        break
        yield keyword, rest.strip()
    if joined.strip():
        keyword, _, rest = joined.strip().partition(" ")
        yield keyword.upper(), rest.strip()


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) >= 2 and word[0] == word[-1] and word[0] in "\"'" else word


def _fill(text: str, values: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        found = values.get(match["plain"] or match["name"], "")
        if match["operator"] == "-":
            return found or _fill(match["word"], values)
        if match["operator"] == "+":
            return _fill(match["word"], values) if found else ""
        return found

    return _VARIABLE.sub(value, text)
