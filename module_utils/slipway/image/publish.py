"""The verb of ecr_push: build once, push what is new, name it, return its digest."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..aws import ecr
from ..aws.session import Aws
from ..background import Background
from ..changes import UNKNOWN, Changes
from ..docker.build import Build, Builder, Clis, build, find_builder
from ..docker.engine import Engine, connecting
from ..docker.private import alone, private_directory
from ..docker.pull import pull
from ..docker.push import Layers, TagIsGone, TagIsImmutable, push
from ..docker.registry import Place
from ..docker.upload import upload
from ..errors import AwsError, InvalidInput, SlipwayError
from ..interrupt import interruptible
from ..progress import Phases, Progress
from . import base, repository, scan
from .content import content_digest
from .context import Summary, read_ignore, summarise, walk
from .dockerfile import base_images
from .manifest import image_size
from .plan import Held, Plan, conflict, plan
from .request import Request, names_registry, read_request
from .revision import Revision, read_revision
from .secrets import warning
from .tag import CONTENT_PREFIX, content_tag, next_tag, superseded_tag, unique_tag, without_content, younger_content_tag

_ECR_HOST = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_TAG_TAKEN = frozenset({"ImageTagAlreadyExistsException"})


@dataclass
class Outcome:
    """What was done. held: the image as ECR has it now."""

    held: Held
    tag: str
    built: bool = False
    pushed: bool = False
    layers: Layers | None = None


def publish(params: dict[str, Any], check_mode: bool, progress: Progress,
            warn: Callable[[str], None]) -> dict[str, Any]:
    """Do what the module's arguments say and return its result. Raises InvalidInput before anything is made."""
    started = time.monotonic()
    unknown = UNKNOWN in str(params["repository"])
    request = read_request(params, unknown_repository=unknown)
    now = datetime.now(UTC)
    if unknown and check_mode:
        return _before_its_repository(request, now)
    # All three wait for others: side by side they take as long as the slowest.
    clis = None if check_mode else Clis()
    engine = connecting()
    result = _Run(request, Aws(params), engine, clis, check_mode, progress, now, warn).run()
    result["phases"]["total"] = round(time.monotonic() - started, 3)
    return result


def _before_its_repository(request: Request, now: datetime) -> dict[str, Any]:
    """Check mode, and the repository's own name is known only after another task: all there is to say."""
    revision = read_revision(request.context)
    tag = request.tag or unique_tag(now, request.revision or revision.commit, revision.dirty)
    changes = Changes("image")
    changes.add("image", None, UNKNOWN)
    return {"changed": True, "action": "build", "msg": "Would build and push the image once its repository exists.",
            "repository": request.repository, "repository_uri": UNKNOWN, "image_uri": UNKNOWN,
            "image_uri_by_digest": UNKNOWN, "digest": UNKNOWN, "content_digest": base.UNRESOLVED, "tag": tag,
            "tags": [tag, *request.extra_tags],
            "built": True, "pushed": True, "size_bytes": 0, "layers_pushed": 0, "layers_existing": 0, "phases": {},
            "api_calls": {}, "retries": 0, "diff": changes.diff()}


class _Run:
    """One run: read, plan, apply unless check mode, report."""

    def __init__(self, request: Request, aws: Aws, engine: Background[Engine], clis: Clis | None, check_mode: bool,
                 progress: Progress, now: datetime, warn: Callable[[str], None]) -> None:
        self.request = request
        self.aws = aws
        self.check_mode = check_mode
        self.progress = progress
        self.phases = Phases()
        self.clis = clis
        self.now = now
        self.changes = Changes(f"image {request.repository}")
        self.warn = warn
        self.ignore = read_ignore(request.context, request.dockerfile)
        self.bases = base_images(request.text, request.arguments, request.target)
        self.uri = UNKNOWN
        self._engine = engine
        self._revision: Revision | None = None
        self._manifests: dict[str, ecr.Manifest] = {}

    # -- read ------------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        request = self.request
        with self.phases("look"):
            current = repository.read(self.aws, request.repository, request.settings, request.registry_id)
        if current is None and not request.create:
            raise repository.missing(request.repository, self.aws.region)
        repository.differences(request.repository, current, request.settings, self.changes)
        settings_changed = self.changes.changed
        self.uri = str(current.repository["repositoryUri"]) if current else UNKNOWN
        with self.phases("hash"):
            summary, content = self._content()
        with self.phases("look"):
            held, name = (self._held(content_tag(content)) if current and base.UNRESOLVED not in content
                          else (None, content_tag(content)))
        todo = plan(held, request.tag, request.extra_tags, self._unique(), request.force)
        self._warn(summary)
        self._record(held, todo, name)
        with self.phases("look"):
            self._check_tags(todo, held, current, content)

        # -- apply -------------------------------------------------------------------------------------------------
        if self.check_mode:
            outcome = Outcome(held or Held(UNKNOWN, (), 0), todo.tag, todo.action == "build", todo.action == "build")
        else:
            if current is None:
                self.progress.say(f"repository {request.repository} is made")
                current = repository.create(self.aws, request.repository, request.settings, request.registry_id)
                self.uri = str(current.repository["repositoryUri"])
            elif settings_changed:
                repository.update(self.aws, request.repository, current, request.settings, self.changes,
                                  request.registry_id)
            with interruptible():
                outcome = self._apply(todo, held, name)
        result = self._report(todo, outcome, content)
        if request.max_severity and not self.check_mode:
            with self.phases("scan"):
                result.update(scan.gate(self.aws, request.repository, outcome.held.digest, request.max_severity,
                                        request.scan_timeout, request.registry_id, self.progress, result))
            result["phases"], result["api_calls"] = self.phases.seconds, self.aws.api_calls()
            result["retries"] = self.aws.retries
        return result

    def _content(self) -> tuple[Summary, str]:
        """What the context holds, and the digest of the whole build."""
        request = self.request
        told = time.monotonic()

        def tell(files: int, size: int) -> None:
            nonlocal told
            if time.monotonic() - told >= 2:
                told = time.monotonic()
                self.progress.say(f"context: {files} files, {size / 1e6:.0f} MB read")

        identities = {}
        for name in self.bases:
            identities[name] = base.identity(self.engine, name, partial(self._auth_for, name), self.progress,
                                             request.pull, self.check_mode)
        # Only a top-level .git is stood for by its commit; git is not asked when there is none.
        summary = summarise(request.context, self.ignore, lambda: self.revision.commit, tell)
        content = content_digest(summary.digest, request.text, request.arguments, identities, request.target,
                                 list(request.platforms or [self.engine.platform]), request.labels,
                                 list(request.secrets))
        if base.UNRESOLVED in identities.values():
            content = base.UNRESOLVED
        return summary, content

    def _held(self, name: str) -> tuple[Held | None, str]:
        """The image with this content tag and the tag itself; of several forced builds the youngest."""
        detail = self._image(name)
        if detail and superseded_tag(name) in detail.get("imageTags", []):
            while younger := self._image(younger_content_tag(name)):
                detail, name = younger, younger_content_tag(name)
        return (_as_held(detail) if detail else None), name

    def _image(self, tag: str) -> dict[str, Any] | None:
        return ecr.describe_image(self.aws, self.request.repository, {"imageTag": tag}, self.request.registry_id)

    def _check_tags(self, todo: Plan, held: Held | None, current: repository.Current | None, content: str) -> None:
        """Raises when a wanted tag is immutable and names another image, before anything is built."""
        if current is None:
            return
        mutability = repository.wanted_mutability(self.request.settings, current) or current.mutability
        where, _, cache = (self.request.cache or "").removeprefix(f"{self.registry}/").rpartition(":")
        if todo.action == "build" and where == self.request.repository and mutability.keeps(cache):
            raise InvalidInput(f"cache: the tag {cache!r} of repository {where} may not move, as a cache has to.",
                               f"Repository: {mutability}. Use a tag that begins with 'cache-' in a repository with "
                               "that exclusion (image_tag_mutability: immutable_with_exclusion).")
        for tag in todo.missing:
            if todo.generated and tag == todo.tag:
                continue
            if mutability.keeps(tag) and (detail := self._image(tag)):
                raise conflict(self.request.repository, tag, str(detail["imageDigest"]),
                               held.digest if held and todo.action == "tag" else f"a new one of content {content}")

    # -- apply -----------------------------------------------------------------------------------------------------

    def _apply(self, todo: Plan, held: Held | None, name: str) -> Outcome:
        if todo.action != "build":
            assert held is not None
            outcome = Outcome(held, todo.tag)
        else:
            outcome = self._build_and_push(todo, held, name)
        missing = [t for t in todo.missing if t not in outcome.held.tags]
        if missing:
            try:
                with self.phases("tag"):
                    self._tag(outcome, missing, todo.generated)
            except SlipwayError:
                # Refused as another image has the tag: ECR keeps the image, and the engine's name for it is not needed.
                self._tidy(outcome, named=False)
                raise
        if todo.action == "build":
            self._tidy(outcome)
        return outcome

    def _build_and_push(self, todo: Plan, held: Held | None, name: str) -> Outcome:
        """Runs of the same content on one engine give their images the same name there, so one builds at a time."""
        subject = name.partition(".")[0]
        with alone(f"{self.engine.address} {self.uri}:{subject}", self._waiting) as waited:
            if waited:
                held, name = self._held(subject)
                if held and not self.request.force:
                    self.progress.say("build: another run made it meanwhile; using that image")
                    return Outcome(held, todo.tag)
            return self._build_and_push_alone(todo, held, name)

    def _waiting(self, seconds: float) -> None:
        tell = self.progress.heartbeat if seconds > 1 else self.progress.say
        tell(f"build: waiting for another run that builds the same, {seconds:.0f} s")

    def _build_and_push_alone(self, todo: Plan, held: Held | None, name: str) -> Outcome:
        """The content tag goes first: a run that is cut off afterwards finds its image again."""
        request = self.request
        forced = held is not None
        previous = name
        if forced:
            name = younger_content_tag(name)
        reference = f"{self.uri}:{name}"
        built = False
        try:
            if len(request.platforms) > 1:
                with private_directory("slipway-image-") as directory:
                    built = self._build(todo, reference, directory)
                    with self.phases("push"):
                        layers = upload(directory, Place(self.uri, self._authorize), name, self.progress)
            else:
                if forced or request.force or self.engine.image(reference) is None:
                    built = self._build(todo, reference)
                else:
                    self.progress.say("build: done by an earlier run, going on with the push")
                with self.phases("push"):
                    layers = push(self.engine, self.uri, name, self._authorize, self.progress)
        except (TagIsImmutable, TagIsGone):
            # Somebody pushed the same content while we built: theirs is the image, and ours is not needed. Where that
            # was a run on the same engine, it also took the name away that both gave.
            other, _ = self._held(name)
            if other is None:
                raise
            self.progress.say("push: the same content arrived from elsewhere meanwhile; using that image")
            return Outcome(other, todo.tag, built, False)
        with self.phases("tag"):
            if held is not None and "." not in previous:
                self._put(self._manifest(held.digest), superseded_tag(previous))
            manifest = self._manifest(layers.digest)
            size = image_size(self.aws, request.repository, manifest, request.registry_id)
        return Outcome(Held(layers.digest, (name,), size), todo.tag, built, True, layers)

    def _build(self, todo: Plan, reference: str, layout: Path | None = None) -> bool:
        with self.phases("build"):
            self._build_with(find_builder(self.engine, self.clis), todo, reference, layout)
        return True

    def _build_with(self, builder: Builder, todo: Plan, reference: str, layout: Path | None) -> None:
        request, registry = self.request, self.registry
        cache = f"{registry}/{request.cache}" if request.cache and not names_registry(request.cache) else request.cache
        auths = {name.partition("/")[0]: auth for name in self.bases if (auth := self._auth_for(name))}
        if cache:
            auths.setdefault(registry, self._authorize())
        if builder.kind == "classic":
            # The classic builder knows no credentials of ours; with the image here it needs none.
            for name in self.bases:
                auth = auths.get(name.partition("/")[0])
                if auth and (request.pull or self.engine.image(name) is None):
                    pull(self.engine, name, auth, self.progress)
        how = "the classic builder" if builder.kind == "classic" else "BuildKit"
        self.progress.say(f"build: {request.context} with {how}")
        build(self.engine, builder, Build(
            context=request.context, dockerfile=request.dockerfile,
            files=lambda: (entry.path for entry in walk(request.context, self.ignore)), name=reference,
            target=request.target, arguments=request.arguments, secrets=request.secrets,
            labels={**self._oci_labels(todo.tag), **request.labels}, platforms=request.platforms, cache=cache,
            pull=request.pull and not (auths and builder.kind == "classic"), fresh=request.force, auths=auths,
            layout=layout), self.progress, self.warn)

    def _tag(self, outcome: Outcome, missing: list[str], generated: bool) -> None:
        """Put the missing tags on the image, without pulling it."""
        manifest = self._manifest(outcome.held.digest)
        for tag in missing:
            wanted = tag
            for _ in range(20):
                holder = self._put(manifest, wanted)
                if holder in ("", outcome.held.digest):
                    break
                if not (generated and tag == outcome.tag):
                    raise conflict(self.request.repository, wanted, holder, outcome.held.digest)
                # Two different images in one second: the second one takes the next name.
                wanted = next_tag(wanted)
            if tag == outcome.tag:
                outcome.tag = wanted
            self.progress.say(f"tag: {wanted}", "good")
            outcome.held = Held(outcome.held.digest, (*outcome.held.tags, wanted), outcome.held.size)

    def _manifest(self, digest: str) -> ecr.Manifest:
        if digest not in self._manifests:
            found = ecr.get_manifests(self.aws, self.request.repository, [{"imageDigest": digest}],
                                      self.request.registry_id)
            if not found:
                raise SlipwayError(f"The image {digest} is gone from repository {self.request.repository}.",
                                   "Somebody or the lifecycle policy removed it; run this again.")
            self._manifests[digest] = found[0]
        return self._manifests[digest]

    def _put(self, manifest: ecr.Manifest, tag: str) -> str:
        """Tag an image. Returns '' or the digest of the image that keeps the tag."""
        try:
            ecr.put_image(self.aws, self.request.repository, manifest, tag, self.request.registry_id)
        except AwsError as error:
            if error.code not in _TAG_TAKEN:
                raise
            detail = self._image(tag)
            return str(detail["imageDigest"]) if detail else ""
        return ""

    def _tidy(self, outcome: Outcome, named: bool = True) -> None:
        """The engine knows the image by its release tag, if it got that, from here on; the content tag did its work."""
        for tag in outcome.held.tags:
            reference = f"{self.uri}:{tag}"
            if tag.startswith(CONTENT_PREFIX) and (image := self.engine.image(reference)):
                # An image that lost against an equal one from elsewhere is not the one the tag names.
                if outcome.pushed and named:
                    self.engine.tag(image["Id"], self.uri, outcome.tag)
                self.engine.untag(reference)

    # -- report ----------------------------------------------------------------------------------------------------

    def _record(self, held: Held | None, todo: Plan, name: str) -> None:
        if todo.action == "build":
            self.changes.add("image", held.digest if held else None, f"to be built ({name})")
        self.changes.add("tags", without_content(held.tags) if held and todo.action != "build" else None,
                         sorted({*(without_content(held.tags) if held and todo.action != "build" else ()),
                                 *todo.missing, todo.tag}))

    def _report(self, todo: Plan, outcome: Outcome, content: str) -> dict[str, Any]:
        done, layers, uri = outcome, outcome.layers or Layers(), self.uri
        tags = without_content(done.held.tags) if not self.check_mode else \
            sorted({*(without_content(done.held.tags) if todo.action != "build" else ()), *todo.missing, todo.tag})
        known = uri != UNKNOWN and done.held.digest != UNKNOWN
        return {
            "changed": self.changes.changed,
            "action": todo.action,
            "msg": self._sentence(todo, done),
            "repository": self.request.repository,
            "repository_uri": uri,
            "image_uri": f"{uri}:{done.tag}" if uri != UNKNOWN else UNKNOWN,
            "image_uri_by_digest": f"{uri}@{done.held.digest}" if known else UNKNOWN,
            "tag": done.tag,
            "tags": tags,
            "digest": done.held.digest if not (self.check_mode and todo.action == "build") else UNKNOWN,
            "content_digest": content,
            "size_bytes": done.held.size,
            "layers_pushed": len(layers.sent),
            "layers_existing": len(layers.present),
            "built": done.built,
            "pushed": done.pushed,
            "phases": self.phases.seconds,
            "api_calls": self.aws.api_calls(),
            "retries": self.aws.retries,
            "diff": self.changes.diff(),
        }

    def _sentence(self, todo: Plan, outcome: Outcome) -> str:
        would = "Would " if self.check_mode else ""
        if todo.action == "build":
            done = {(True, True): "Built and pushed", (False, True): "Pushed", (True, False): "Built",
                    (False, False): "Another run built and pushed the same; tagged it"}[outcome.built, outcome.pushed]
            text = f"{'Would build and push' if would else done} {self.request.repository}:{outcome.tag}."
        elif todo.action == "tag":
            text = f"{would or 'The image was there; '}{'tag' if would else 'tagged'} it {', '.join(todo.missing)}."
        else:
            text = f"{self.request.repository}:{outcome.tag} is there with this content, nothing to do."
        return text

    def _warn(self, summary: Summary) -> None:
        if summary.secret:
            self.warn(warning(summary.secret))
        if summary.git:
            self.warn(".git is in the build context. Exclude it in .dockerignore: it makes every commit another image.")

    # -- small things ----------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        return self._engine.result()

    @property
    def revision(self) -> Revision:
        if self._revision is None:
            self._revision = read_revision(self.request.context)
        return self._revision

    def _unique(self) -> str:
        if self.request.tag:
            return ""
        # A revision that is given is a clean one: whoever hands it over has checked it out.
        if self.request.revision:
            return unique_tag(self.now, self.request.revision)
        return unique_tag(self.now, self.revision.commit, self.revision.dirty)

    def _oci_labels(self, tag: str) -> dict[str, str]:
        labels = {"source": self.request.source or self.revision.source,
                  "revision": self.request.revision or self.revision.commit,
                  "version": tag, "created": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {f"org.opencontainers.image.{key}": value for key, value in labels.items() if value}

    def _authorize(self, region: str | None = None) -> dict[str, str]:
        """Fresh credentials for the registry, for one use."""
        user, password = ecr.get_authorization(self.aws, self.request.registry_id, region)
        return {"username": user, "password": password}

    def _auth_for(self, reference: str) -> dict[str, str] | None:
        """Credentials for a base image's registry when it is ECR, ours or another account's."""
        host = reference.partition("/")[0]
        if host == self.registry:
            return self._authorize()
        other = _ECR_HOST.fullmatch(host)
        return self._authorize(other["region"]) if other else None

    @property
    def registry(self) -> str:
        """The registry's host."""
        return self.uri.partition("/")[0]


def _as_held(detail: dict[str, Any]) -> Held:
    return Held(detail["imageDigest"], tuple(detail.get("imageTags") or ()), int(detail.get("imageSizeInBytes") or 0))
