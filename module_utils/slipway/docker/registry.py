"""The registry protocol itself, for what an engine cannot do: copy an image as it is, without unpacking it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin

from ..errors import SlipwayError
from ..polling import delays
from ..progress import Progress
from .push import ATTEMPTS, FIRST_ATTEMPTS

_CHUNK = 1 << 20
_TIMEOUT = (10, 300)
#: 401 is what a token that expired gets.
_AGAIN = (401, 408, 425, 429, 500, 502, 503, 504)
_Result = TypeVar("_Result")


class RegistryError(SlipwayError):
    """The registry refused, or nobody answered. again: it may go better with a new connection and a new token."""

    again = False


@dataclass(frozen=True)
class Place:
    """A repository in a registry: uri without a scheme; authorize() gives user and password, fresh."""

    uri: str
    authorize: Callable[[], dict[str, str]]


class Registry:
    """One repository, spoken to over HTTP. Raises SlipwayError with what the registry said."""

    def __init__(self, place: Place) -> None:
        import requests

        self.host, _, self.name = place.uri.partition("/")
        # As engines do it: a registry on this machine needs no TLS, any other does.
        scheme = "http" if self.host.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
        self._base = f"{scheme}://{self.host}/v2/{self.name}/"
        self._session = requests.Session()
        credentials = place.authorize()
        self._session.auth = (credentials["username"], credentials["password"])

    def has_blob(self, digest: str) -> bool:
        return self._call("HEAD", f"blobs/{digest}", expected=(200, 404)).status_code == 200

    def mount(self, digest: str, source: str) -> bool:
        """Take the blob over from a repository of the same registry; False when the registry does not do that."""
        answer = self._call("POST", f"blobs/uploads/?mount={digest}&from={source}", expected=(201, 202))
        return answer.status_code == 201

    def copy_blob(self, digest: str, size: int, source: Registry, tell: Callable[[int], None]) -> None:
        """Stream the blob from `source`; tell(bytes) after each part."""
        with source._call("GET", f"blobs/{digest}", expected=(200,), stream=True) as blob:
            self.send_blob(digest, size, blob.raw.read, tell)

    def send_blob(self, digest: str, size: int, read: Callable[[int], bytes], tell: Callable[[int], None]) -> None:
        """Upload what read(bytes) gives; tell(bytes) after each part."""
        start = self._call("POST", "blobs/uploads/", expected=(202,))
        sent = self._call("PATCH", start.headers["Location"], expected=(202,), data=_Sized(read, size, tell),
                          headers={"Content-Type": "application/octet-stream"})
        where = sent.headers.get("Location") or start.headers["Location"]
        self._call("PUT", where + ("&" if "?" in where else "?") + f"digest={digest}", expected=(201,))

    def manifest(self, digest: str) -> tuple[bytes, str]:
        """A manifest's bytes and media type."""
        accept = ", ".join(f"application/vnd.{kind}" for kind in (
            "oci.image.manifest.v1+json", "oci.image.index.v1+json", "docker.distribution.manifest.v2+json",
            "docker.distribution.manifest.list.v2+json"))
        answer = self._call("GET", f"manifests/{digest}", expected=(200,), headers={"Accept": accept})
        return answer.content, answer.headers.get("Content-Type", "")

    def put_manifest(self, reference: str, text: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its digest. Returns its digest as the registry counts it."""
        answer = self._call("PUT", f"manifests/{reference}", expected=(201,), data=text,
                            headers={"Content-Type": media_type})
        return str(answer.headers.get("Docker-Content-Digest", ""))

    def _call(self, method: str, path: str, expected: tuple[int, ...], **arguments: Any) -> Any:
        import requests

        try:
            answer = self._session.request(method, urljoin(self._base, path), timeout=_TIMEOUT, **arguments)
        except requests.RequestException as error:
            failure = RegistryError(f"The registry {self.host} does not answer: {error}.",
                                    "Check the network and the proxy settings; what was copied is kept.")
            failure.again = True
            raise failure from error
        if answer.status_code not in expected:
            failure = RegistryError(
                f"The registry {self.host} answers {answer.status_code} to {method} {self.name}: "
                f"{answer.text.strip()[:500] or answer.reason}.",
                "Check that this identity may push to the repository (ecr:PutImage, "
                "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload).")
            # BLOB_UPLOAD_UNKNOWN is said of an upload that the registry forgot.
            failure.again = (answer.status_code in _AGAIN or "BLOB_UPLOAD" in answer.text
                             or (answer.status_code == 403 and "expired" in answer.text))
            raise failure
        return answer


def repeated(work: Callable[[], _Result], begun: Callable[[], bool], what: str, progress: Progress) -> _Result:
    """work(), again when its connection broke or its token expired. begun(): whether something got through before; a
    registry that is not there is worth fewer attempts."""
    waits = delays(first=0.5, limit=10)
    attempt = 1
    while True:
        try:
            return work()
        except RegistryError as error:
            limit = ATTEMPTS if begun() else FIRST_ATTEMPTS
            if attempt >= limit or not error.again:
                raise
            delay = next(waits)
            progress.say(f"{what}: {error.message} Trying again in {delay:.0f} s ({attempt} of {limit - 1}).", "warn")
            time.sleep(delay)
            attempt += 1


class _Sized:
    """A streamed answer as a request's body of known length: registries refuse chunked ones at times."""

    def __init__(self, read: Callable[[int], bytes], size: int, tell: Callable[[int], None]) -> None:
        self._read, self._size, self._tell = read, size, tell

    def __len__(self) -> int:
        return self._size

    def read(self, _: int = -1) -> bytes:
        part = self._read(_CHUNK)
        self._tell(len(part))
        return part

    def __iter__(self) -> Iterator[bytes]:
        while part := self.read():
            yield part


def blobs_of(manifest: bytes) -> list[tuple[str, int]]:
    """Digest and size of the configuration and the layers; pure."""
    parsed: dict[str, Any] = json.loads(manifest)
    parts = [parsed.get("config") or {}, *(parsed.get("layers") or [])]
    # A layer with URLs of its own lives elsewhere and is never stored.
    return [(part["digest"], int(part["size"])) for part in parts if part.get("digest") and not part.get("urls")]


def layers_of(manifest: bytes) -> set[str]:
    """Digests of the layers; pure."""
    return {part["digest"] for part in json.loads(manifest).get("layers") or [] if not part.get("urls")}


def children_of(manifest: bytes) -> list[str]:
    """Digests of the manifests an index lists; pure."""
    return [part["digest"] for part in json.loads(manifest).get("manifests") or []]
