"""The arguments of ecr_push, checked and in the form the rest works with."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from ..names import check_repository, check_tag
from .repository import Settings, wanted_mutability
from .tag import CONTENT_PREFIX

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?")


@dataclass(frozen=True)
class Request:
    """What the user wants. context, dockerfile: absolute paths that exist; text: the Dockerfile's; None: not given."""

    repository: str
    context: str
    dockerfile: str
    text: str
    settings: Settings
    target: str | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    tag: str | None = None
    extra_tags: tuple[str, ...] = ()
    cache: str | None = None
    force: bool = False
    pull: bool = False
    create: bool = True
    revision: str | None = None
    source: str | None = None
    registry_id: str | None = None
    max_severity: str | None = None
    scan_timeout: float = 300


def read_request(params: dict[str, Any], unknown_repository: bool = False) -> Request:
    """From the module's arguments. Raises InvalidInput naming the value at fault; only files are looked at.

    unknown_repository: the name is known after another task ran, so it is not checked.
    """
    repository = params["repository"]
    if not unknown_repository:
        check_repository(repository)
    for tag in [params.get("tag"), *(params.get("extra_tags") or [])]:
        if tag is not None:
            check_tag(tag)
            if tag.startswith(CONTENT_PREFIX):
                raise InvalidInput(f"Image tag {tag!r} begins with {CONTENT_PREFIX!r}, which marks contents here.",
                                   "Use another tag.")
    registry_id = params.get("registry_id")
    if registry_id and not re.fullmatch(r"\d{12}", registry_id):
        raise InvalidInput(f"registry_id {registry_id!r} is not an AWS account id.", "It has 12 digits.")
    for platform in params.get("platforms") or []:
        if not _PLATFORM.fullmatch(platform):
            raise InvalidInput(f"Platform {platform!r} is not written as os/architecture.", "For example linux/arm64.")
    context = os.path.realpath(params["path"])
    if not Path(context).is_dir():
        what = "is not a directory" if Path(context).exists() else "does not exist"
        raise InvalidInput(f"The build context {params['path']} {what}.", "Set 'path' to the directory to build.")
    dockerfile, text = _dockerfile(context, params.get("dockerfile") or "Dockerfile")
    return Request(
        repository=repository, context=context, dockerfile=dockerfile, text=text, settings=_settings(params),
        target=params.get("target") or None, arguments=_texts(params, "build_args"),
        secrets=_texts(params, "build_secrets"), platforms=tuple(params.get("platforms") or ()),
        labels=_texts(params, "labels"), tag=params.get("tag"), extra_tags=tuple(params.get("extra_tags") or ()),
        cache=params.get("cache") or None, force=bool(params.get("force")), pull=bool(params.get("pull")),
        create=params.get("create") is not False, revision=params.get("revision") or None,
        source=params.get("source") or None, registry_id=registry_id or None,
        max_severity=params.get("max_severity") or None, scan_timeout=float(params.get("scan_timeout") or 300))


def names_registry(reference: str) -> bool:
    """Whether a reference begins with a registry's host, as engines read it: 'shop/web:1' does not; pure."""
    head, slash, _ = reference.partition("/")
    return bool(slash) and (head == "localhost" or "." in head or ":" in head)


def _dockerfile(context: str, name: str) -> tuple[str, str]:
    path = os.path.normpath(Path(context) / name)
    try:
        return path, Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        others = sorted(p.name for p in Path(context).iterdir()
                        if "dockerfile" in p.name.lower() or p.name == "Containerfile")
        hint = f"Found there: {', '.join(others)}." if others else "Write one, or set 'dockerfile'."
        raise InvalidInput(f"There is no Dockerfile at {path}.", hint) from None
    except OSError as error:
        raise InvalidInput(f"The Dockerfile {path} cannot be read: {error.strerror}.") from error


def _settings(params: dict[str, Any]) -> Settings:
    policy = params.get("lifecycle_policy")
    if policy is not None:
        try:
            parsed = json.loads(policy) if isinstance(policy, str) else policy
        except ValueError as error:
            raise InvalidInput(f"lifecycle_policy is not JSON: {error}.") from error
        if not isinstance(parsed, dict) or (parsed and "rules" not in parsed):
            raise InvalidInput("lifecycle_policy has no 'rules'.", "Give {'rules': [...]}, or {} to remove the policy.")
        policy = json.dumps(parsed)
    exclusions, tags = params.get("image_tag_exclusions"), params.get("repository_tags")
    settings = Settings(
        mutability=params.get("image_tag_mutability"), exclusions=None if exclusions is None else tuple(exclusions),
        scan_on_push=params.get("scan_on_push"),
        encryption=params.get("encryption"), lifecycle_policy=policy,
        tags=None if tags is None else {str(k): _text("repository_tags", k, v) for k, v in tags.items()},
        purge_tags=params.get("purge_repository_tags") is not False)
    wanted_mutability(settings, None)
    return settings


def _texts(params: dict[str, Any], name: str) -> dict[str, str]:
    return {str(key): _text(name, key, value) for key, value in sorted((params.get(name) or {}).items())}


def _text(name: str, key: Any, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (dict, list)):
        raise InvalidInput(f"{name}: the value of {key!r} is not a text or a number.")
    return str(value)
