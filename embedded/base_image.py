"""The sample application's base image in the embedded ECR: a host of Jenkins builds with an engine of its own, which
reaches no other registry for certain."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

from . import images, settings
from .process import EmbeddedError, Say

REPOSITORY = images.PHP_APACHE.repository
TAG = "latest"


def offer(engine: Any, say: Say) -> None:
    """Push the base image where ECR has another one, or none. Raises EmbeddedError."""
    import boto3

    ecr = boto3.client("ecr", endpoint_url=settings.ENDPOINT, region_name=settings.REGION,
                       aws_access_key_id="embedded", aws_secret_access_key="embedded")
    local = f"{REPOSITORY}:{TAG}"
    if _there(ecr) == engine.images.get(local).id:
        return
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=REPOSITORY)
    say(f"Pushing the base image to {settings.ENDPOINT}, for the host of Jenkins.")
    name = f"localhost:{settings.PORT}/{REPOSITORY}"
    token = base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()
    user, _, password = token.partition(":")
    engine.api.tag(local, name, TAG)
    for event in engine.api.push(name, TAG, stream=True, decode=True,
                                 auth_config={"username": user, "password": password}):
        if "error" in event:
            raise EmbeddedError(f"The base image could not be pushed to {settings.ENDPOINT}: {event['error']}")


def _there(ecr: Any) -> str:
    """The id of the image in ECR; nothing where there is none."""
    try:
        found = ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": TAG}])["images"]
    except ecr.exceptions.RepositoryNotFoundException:
        return ""
    return str(json.loads(found[0]["imageManifest"]).get("config", {}).get("digest", "")) if found else ""
