"""The connection to the container engine, and its failures in plain words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..background import Background
from ..errors import EngineError

DEFAULT_SOCKET = "unix:///var/run/docker.sock"

#: Seconds an engine may be silent in the middle of a build or a push: compressing a large layer says nothing.
_SILENCE = 900


class Engine:
    """The engine that DOCKER_HOST names, else the local socket. Raises EngineError when it cannot be reached."""

    def __init__(self) -> None:
        try:
            import docker
            import docker.constants
            import docker.utils
        except ImportError as error:
            raise EngineError(f"The Python package 'docker' is missing for {sys.executable} ({error}).",
                              "Install it: pip install docker.") from error
        self.address = os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET
        with plain_errors(self.address):
            # Asked once, as it is not quickly said; without a version the SDK would ask by itself as well.
            arguments = docker.utils.kwargs_from_env()
            version: dict[str, Any] = docker.APIClient(
                version=docker.constants.DEFAULT_DOCKER_API_VERSION, **arguments).version(api_version=False)
            self.api: Any = docker.APIClient(version=version["ApiVersion"], timeout=_SILENCE, **arguments)
        self.version: str = version.get("Version", "")
        self.api_version: str = version.get("ApiVersion", "")
        self.platform: str = f"{version.get('Os', 'linux')}/{version.get('Arch', '')}"

    @property
    def containerd_store(self) -> bool:
        """Whether it keeps images in containerd, which also holds those for several platforms."""
        with plain_errors(self.address):
            status = self.api.info().get("DriverStatus") or []
        return ["driver-type", "io.containerd.snapshotter.v1"] in status

    def image(self, reference: str) -> dict[str, Any] | None:
        """What `docker image inspect` shows; None when the engine does not have it."""
        import docker.errors

        with plain_errors(self.address):
            try:
                found: dict[str, Any] = self.api.inspect_image(reference)
            except docker.errors.NotFound:
                return None
        return found

    def registry_digest(self, reference: str, auth: dict[str, str] | None = None) -> str | None:
        """The digest `reference` has in its registry now, without pulling it; None when the registry does not say."""
        import docker.errors

        with plain_errors(self.address):
            try:
                answer = self.api.inspect_distribution(reference, auth_config=auth)
            except docker.errors.APIError:
                return None
        digest: str = answer["Descriptor"]["digest"]
        return digest

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Give an image a further name. One that somebody removed meanwhile is left alone."""
        import docker.errors

        with plain_errors(self.address), suppress(docker.errors.NotFound):
            self.api.tag(image, repository, tag)

    def untag(self, reference: str) -> None:
        """Remove one name of an image; the image goes with its last name. A name in use or gone is left alone."""
        import docker.errors

        with plain_errors(self.address):
            try:
                self.api.remove_image(reference, noprune=True)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise


def connecting() -> Background[Engine]:
    """An Engine to be, while its engine thinks of its version: it asks other programs for theirs."""
    with suppress(ImportError):
        # Not in the thread: two that import at once may meet half a module. Engine tells when it is missing.
        import docker  # noqa: F401
    return Background(Engine)


@contextmanager
def plain_errors(address: str, doing: str = "") -> Iterator[None]:
    """Within the block the SDK's exceptions become EngineError with a remedy."""
    import docker.credentials.errors
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise refusal(str(error.explanation or error), doing) from error
    except docker.credentials.errors.StoreError as error:
        raise _helper_failed(error) from error
    except docker.errors.TLSParameterError as error:
        raise EngineError(f"The engine at {address} cannot be reached: {error}.",
                          "Check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY.") from error
    except (docker.errors.DockerException, docker.errors.StreamParseError, requests.exceptions.RequestException,
            requests.exceptions.BaseHTTPError, OSError) as error:
        # An engine that goes away in the middle of an answer leaves half of it.
        if "credentials store" in str(error).lower():
            raise _helper_failed(error) from error
        raise unreachable(error, address) from error


def _helper_failed(error: Exception) -> EngineError:
    return EngineError(f"Docker's credential helper failed: {error}.",
                       "Check credsStore and credHelpers in ~/.docker/config.json; they are not of our making.")


def unreachable(error: BaseException, address: str) -> EngineError:
    """Why nobody answers: the socket is forbidden, or there is none, or nobody listens."""
    causes = list(_causes(error))
    if any(isinstance(cause, PermissionError) for cause in causes):
        return EngineError(f"Permission denied on the container engine's socket ({address}).",
                           "Add this user to the group 'docker' and log in again, or apply the role 'docker'.")
    if any(isinstance(cause, (FileNotFoundError, ConnectionRefusedError)) for cause in causes):
        return EngineError(f"The container engine is not running ({address}).",
                           "Start it ('systemctl start docker'), or apply the role 'docker'.")
    return EngineError(f"The container engine at {address} does not answer: {causes[-1]}.",
                       "Check that it runs ('docker version') and that DOCKER_HOST is right.")


def refusal(text: str, doing: str = "") -> EngineError:
    """An error the engine reported, with the remedy where the cause is a common one."""
    text = text.strip().rstrip(".")
    lead = f"{doing}: " if doing else ""
    low = text.lower()
    if "no space left on device" in low or "disk quota exceeded" in low:
        return EngineError(f"{lead}The container engine's disk is full ({text}).",
                           "Make room: 'docker system df' shows what takes it, 'docker system prune' removes it.")
    if "permission denied" in low and "docker daemon socket" in low:
        return EngineError(f"{lead}Permission denied on the container engine's socket.",
                           "Add this user to the group 'docker' and log in again, or apply the role 'docker'.")
    if "server gave http response to https client" in low:
        return EngineError(f"{lead}The registry speaks plain HTTP ({text}).",
                           "Add it to 'insecure-registries' in the engine's daemon.json, or give the registry TLS.")
    if "no such host" in low or "connection refused" in low or "i/o timeout" in low:
        return EngineError(f"{lead}The registry cannot be reached ({text}).",
                           "Check the network, the proxy and the name of the registry, as the engine sees them.")
    if "exec format error" in low:
        return EngineError(f"{lead}{text}.", "This machine runs no programs of that platform: install "
                                             "qemu-user-static, or build on a machine of that platform.")
    return EngineError(f"{lead}{text}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and what hides in its arguments, as urllib3 does it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *one.args, getattr(one, "reason", None)]
