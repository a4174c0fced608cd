"""The verb of ecr_promote: the same digest under another tag, in another repository, registry or region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..aws import ecr
from ..aws.session import Aws
from ..changes import UNKNOWN, Changes
from ..docker.copy import copy_image
from ..docker.push import says_immutable
from ..docker.registry import Place, RegistryError
from ..errors import AwsError, InvalidInput, SlipwayError
from ..interrupt import interruptible
from ..names import check_repository, check_tag
from ..progress import Phases, Progress
from . import mutability, repository
from .manifest import image_size
from .plan import conflict

_DIGEST_LENGTH = len("sha256:") + 64


@dataclass(frozen=True)
class Where:
    """A repository somewhere; None is the caller's registry or region."""

    repository: str
    registry_id: str | None
    region: str | None


def promote(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Do what the module's arguments say and return its result. The tags are read back afterwards."""
    source, target, wanted = _read(params)
    aws, phases = Aws(params), Phases()
    changes = Changes(f"image {target.repository}")
    with phases("look"):
        image = {"imageDigest": params["digest"]} if params.get("digest") else {"imageTag": params["tag"]}
        found = ecr.get_manifests(aws, source.repository, [image], source.registry_id, source.region)
        if not found:
            raise SlipwayError(f"{source.repository} has no image {params.get('digest') or params['tag']}.",
                               "'aws ecr describe-images' lists what it has.")
        manifest = found[0]
        there = ecr.describe_repository(aws, target.repository, target.registry_id, target.region)
        if there is None and not params.get("create"):
            raise repository.missing(target.repository, target.region or aws.region)
        size = image_size(aws, source.repository, manifest, source.registry_id, source.region)
        held = _image(aws, target, {"imageDigest": manifest.digest}) if there else None
        has = sorted((held or {}).get("imageTags") or [])
        missing = [tag for tag in wanted if tag not in has]
        for tag in missing if there else ():
            if mutability.of(there or {}).keeps(tag) and (taken := _image(aws, target, {"imageTag": tag})):
                raise conflict(target.repository, tag, taken["imageDigest"], manifest.digest)
    changes.add("repository", there and target.repository, target.repository)
    changes.add("image", held and manifest.digest, manifest.digest)
    changes.add("tags", has or None, sorted({*has, *wanted}))
    sent = present = 0
    if changes.changed and not check_mode:
        if there is None:
            there = ecr.create_repository(aws, target.repository, repository.creation(repository.Settings()),
                                          target.registry_id, target.region)
        origin = ecr.describe_repository(aws, source.repository, source.registry_id, source.region) or {}
        with phases("copy"), interruptible():
            if held is None:
                progress.say(f"copy: {manifest.digest} from {source.repository} to {target.repository}")
                try:
                    sent, present = copy_image(_place(aws, source, origin), _place(aws, target, there),
                                               manifest.digest, missing[0], progress)
                except RegistryError as error:
                    if not says_immutable(error.message):
                        raise
                    _settle(aws, target, missing[0], manifest.digest, error)
                missing = missing[1:]
            for tag in missing:
                _put(aws, target, manifest, tag)
        with phases("verify"):
            for tag in wanted:
                now = (_image(aws, target, {"imageTag": tag}) or {}).get("imageDigest", "nothing")
                if now != manifest.digest:
                    raise SlipwayError(f"{target.repository}:{tag} names {now} after the promotion of "
                                       f"{manifest.digest}.", "Somebody else moved the tag meanwhile; run this again.")
        progress.say(f"promoted: {target.repository}:{', '.join(wanted)}", "good")
    uri = str(there["repositoryUri"]) if there else UNKNOWN
    return {"changed": changes.changed, "digest": manifest.digest, "tag": wanted[0], "tags": sorted({*has, *wanted}),
            "repository": target.repository, "repository_uri": uri,
            "image_uri": f"{uri}:{wanted[0]}" if there else UNKNOWN,
            "image_uri_by_digest": f"{uri}@{manifest.digest}" if there else UNKNOWN,
            "size_bytes": size, "layers_pushed": sent, "layers_existing": present,
            "phases": phases.seconds, "api_calls": aws.api_calls(), "diff": changes.diff()}


def _read(params: dict[str, Any]) -> tuple[Where, Where, list[str]]:
    """Source, target and tags. Raises InvalidInput naming the value at fault."""
    source = Where(check_repository(params["repository"]), params.get("registry_id"), None)
    target = Where(check_repository(params.get("to_repository") or params["repository"]),
                   params.get("to_registry_id") or params.get("registry_id"), params.get("to_region"))
    digest = params.get("digest")
    if digest and not (digest.startswith("sha256:") and len(digest) == _DIGEST_LENGTH):
        raise InvalidInput(f"Digest {digest!r} is not complete.", "It is 'sha256:' and 64 hexadecimal digits.")
    tags = list(dict.fromkeys(params.get("to_tags") or ([params["tag"]] if params.get("tag") else [])))
    if not tags:
        raise InvalidInput("An image promoted by digest needs to_tags.", "Give at least one.")
    return source, target, [check_tag(tag) for tag in tags]


def _image(aws: Aws, where: Where, image: dict[str, str]) -> dict[str, Any] | None:
    return ecr.describe_image(aws, where.repository, image, where.registry_id, where.region)


def _put(aws: Aws, target: Where, manifest: ecr.Manifest, tag: str) -> None:
    try:
        ecr.put_image(aws, target.repository, manifest, tag, target.registry_id, target.region)
    except AwsError as error:
        if error.code != "ImageTagAlreadyExistsException":
            raise
        _settle(aws, target, tag, manifest.digest, error)


def _settle(aws: Aws, target: Where, tag: str, digest: str, error: SlipwayError) -> None:
    """Somebody gave the immutable tag away meanwhile: that is fine when it names the same image."""
    holder = (_image(aws, target, {"imageTag": tag}) or {}).get("imageDigest", "")
    if holder != digest:
        raise conflict(target.repository, tag, holder, digest) from error


def _place(aws: Aws, where: Where, described: dict[str, Any]) -> Place:
    def authorize() -> dict[str, str]:
        user, password = ecr.get_authorization(aws, where.registry_id, where.region)
        return {"username": user, "password": password}

    return Place(str(described["repositoryUri"]), authorize)
