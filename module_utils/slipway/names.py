"""The real rules of names, checked before anything is made."""

from __future__ import annotations

import re

from .errors import InvalidInput

_REPOSITORY = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


def check_repository(name: str) -> str:
    """`name` if ECR takes it: 2 to 256 characters, lower case, parts joined by . _ - or /. Raises InvalidInput."""
    if not 2 <= len(name) <= 256:
        raise InvalidInput(f"Repository name {_shown(name)} has {len(name)} characters.", "ECR takes 2 to 256.")
    match = _REPOSITORY.match(name)
    if not match or match.end() != len(name):
        raise _refused("Repository name", name, match.end() if match else 0,
                       "ECR takes lower-case letters and digits, joined by single '.', '_', '-' or '/'.")
    return name


def check_tag(tag: str) -> str:
    """`tag` if registries take it: 1 to 128 of A-Z a-z 0-9 _ . -, not starting with . or -. Raises InvalidInput."""
    if not tag:
        raise InvalidInput("The image tag is empty.", "Give a tag, or leave it out to get a unique one.")
    match = _TAG.match(tag)
    if not match or match.end() != len(tag):
        if match and match.end() == 128:
            raise InvalidInput(f"Image tag {_shown(tag)} has {len(tag)} characters.", "Registries take up to 128.")
        raise _refused("Image tag", tag, match.end() if match else 0,
                       "A tag takes letters, digits, '_', '.' and '-', and does not start with '.' or '-'.")
    return tag


def check_stack(name: str) -> str:
    """`name` if CloudFormation takes it: a letter, then letters, digits and hyphens, up to 128. Raises InvalidInput."""
    match = _STACK.match(name)
    if not match or match.end() != len(name):
        if match and match.end() == 128:
            raise InvalidInput(f"Stack name {_shown(name)} has {len(name)} characters.", "CloudFormation takes 128.")
        raise _refused("Stack name", name, match.end() if match else 0,
                       "CloudFormation takes a letter, then letters, digits and hyphens.")
    return name


def _refused(what: str, name: str, position: int, rule: str) -> InvalidInput:
    if position >= len(name):
        return InvalidInput(f"{what} {_shown(name)} ends too early.", rule)
    return InvalidInput(f"{what} {_shown(name)} is refused at character {position + 1} ({name[position]!r}).", rule)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "...")
