"""The ECR repository: made when missing, brought to the given settings, never taken back to a default."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..aws import ecr
from ..aws.session import Aws
from ..changes import Changes
from ..errors import InvalidInput, SlipwayError
from . import mutability
from .mutability import Mutability


@dataclass(frozen=True)
class Settings:
    """What the user wrote; None is untouched (and on creation: immutable but for caches, scanned, AES256, no policy,
    no tags)."""

    mutability: str | None = None
    exclusions: tuple[str, ...] | None = None
    scan_on_push: bool | None = None
    encryption: dict[str, str | None] | None = None
    lifecycle_policy: str | None = None
    tags: dict[str, str] | None = None
    purge_tags: bool = True


@dataclass
class Current:
    """What AWS has. policy and tags are read only when the settings speak of them."""

    repository: dict[str, Any]
    policy: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def mutability(self) -> Mutability:
        return mutability.of(self.repository)


def read(aws: Aws, name: str, settings: Settings, registry_id: str | None) -> Current | None:
    """None when the repository does not exist."""
    repository = ecr.glance_repository(aws, name, registry_id)
    if repository is None:
        return None
    current = Current(repository)
    if settings.lifecycle_policy is not None:
        current.policy = ecr.get_lifecycle_policy(aws, name, registry_id)
    if settings.tags is not None:
        current.tags = ecr.list_tags(aws, repository["repositoryArn"])
    return current


def differences(name: str, current: Current | None, settings: Settings, changes: Changes) -> None:
    """Add to `changes` what has to be done; pure. Raises InvalidInput for what ECR cannot change afterwards."""
    if current is None:
        changes.add("repository", None, {"name": name, **creation(settings)})
        if settings.lifecycle_policy is not None:
            changes.add("lifecycle_policy", None, json.loads(settings.lifecycle_policy))
        return
    has = current.repository
    if wanted := wanted_mutability(settings, current):
        changes.add("image_tag_mutability", str(current.mutability), str(wanted))
    if settings.scan_on_push is not None:
        changes.add("scan_on_push", has.get("imageScanningConfiguration", {}).get("scanOnPush", False),
                    settings.scan_on_push)
    if settings.encryption is not None:
        before, after = has.get("encryptionConfiguration") or {"encryptionType": "AES256"}, _encryption(settings)
        if any(before.get(key) != value for key, value in after.items()):
            raise InvalidInput(
                f"Repository {name} is encrypted with {_shown(before)}, not with {_shown(after)}, "
                "and ECR cannot change that.", "Give the encryption it has, or make a new repository.")
    if settings.lifecycle_policy is not None:
        changes.add("lifecycle_policy", json.loads(current.policy) if current.policy else None,
                    json.loads(settings.lifecycle_policy) or None)
    if settings.tags is not None:
        changes.add("repository_tags", current.tags, _wanted_tags(current.tags, settings))


def create(aws: Aws, name: str, settings: Settings, registry_id: str | None) -> Current:
    current = Current(ecr.create_repository(aws, name, creation(settings), registry_id),
                      tags=dict(settings.tags or {}))
    if settings.lifecycle_policy is not None and json.loads(settings.lifecycle_policy):
        ecr.put_lifecycle_policy(aws, name, settings.lifecycle_policy, registry_id)
    return current


def update(aws: Aws, name: str, current: Current, settings: Settings, changes: Changes,
           registry_id: str | None) -> None:
    """Carry out what `differences` found."""
    for change in changes.items:
        if change.subject == "image_tag_mutability":
            wanted = wanted_mutability(settings, current)
            assert wanted is not None
            ecr.put_tag_mutability(aws, name, wanted.arguments(), registry_id)
            current.repository.update(wanted.arguments())
        elif change.subject == "scan_on_push":
            ecr.put_scan_on_push(aws, name, change.after, registry_id)
        elif change.subject == "lifecycle_policy" and change.after is None:
            ecr.delete_lifecycle_policy(aws, name, registry_id)
        elif change.subject == "lifecycle_policy":
            ecr.put_lifecycle_policy(aws, name, json.dumps(change.after), registry_id)
        elif change.subject == "repository_tags":
            arn = current.repository["repositoryArn"]
            gone = sorted(set(change.before) - set(change.after))
            if gone:
                ecr.untag_resource(aws, arn, gone)
            new = {k: v for k, v in change.after.items() if change.before.get(k) != v}
            if new:
                ecr.tag_resource(aws, arn, new)


def missing(name: str, region: str) -> SlipwayError:
    return SlipwayError(f"Repository {name} does not exist in {region}, and 'create' is off.",
                        "Create it (playbooks/provision.yml does), or set create: true.")


def wanted_mutability(settings: Settings, current: Current | None) -> Mutability | None:
    """What the settings ask for; None for what the repository has. Raises InvalidInput for what ECR refuses."""
    return mutability.wanted(settings.mutability, settings.exclusions, current.mutability if current else None)


def creation(settings: Settings) -> dict[str, Any]:
    """CreateRepository's arguments but the name."""
    # ECR's own default is mutable and unscanned.
    wanted: dict[str, Any] = (wanted_mutability(settings, None) or mutability.ON_CREATION).arguments()
    wanted["imageScanningConfiguration"] = {"scanOnPush": settings.scan_on_push is not False}
    if settings.encryption is not None:
        wanted["encryptionConfiguration"] = _encryption(settings)
    if settings.tags:
        wanted["tags"] = [{"Key": k, "Value": v} for k, v in settings.tags.items()]
    return wanted


def _encryption(settings: Settings) -> dict[str, str]:
    given = settings.encryption or {}
    wanted = {"encryptionType": given.get("type") or ("KMS" if given.get("kms_key") else "AES256")}
    if given.get("kms_key"):
        wanted["kmsKey"] = str(given["kms_key"])
    return wanted


def _shown(encryption: dict[str, str]) -> str:
    key = encryption.get("kmsKey")
    return encryption["encryptionType"] + (f" key {key}" if key else "")


def _wanted_tags(current: dict[str, str], settings: Settings) -> dict[str, str]:
    wanted = settings.tags or {}
    return dict(wanted) if settings.purge_tags else {**current, **wanted}
