"""Where the plugin's AWS credentials come from: the job's own, or the default chain down to the instance's role."""

from __future__ import annotations

import configparser
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .signing import Credentials

METADATA = "http://169.254.169.254"
CONTAINER = "http://169.254.170.2"
SECONDS = 2


class NoCredentials(Exception):
    def __init__(self) -> None:
        super().__init__("com.amazonaws.SdkClientException: Unable to load AWS credentials from any provider in the "
                         "chain: [EnvironmentVariableCredentialsProvider, SystemPropertiesCredentialsProvider, "
                         "WebIdentityTokenCredentialsProvider, ProfileCredentialsProvider, "
                         "EC2ContainerCredentialsProviderWrapper]")


def find(access_key: str, secret_key: str) -> Credentials:
    if access_key and secret_key:
        return Credentials(access_key, secret_key)
    for source in (_environment, _profile, _container, _instance):
        found = source()
        if found:
            return found
    raise NoCredentials


def _environment() -> Credentials | None:
    access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(access, secret, os.environ.get("AWS_SESSION_TOKEN", "")) if access and secret else None


def _profile() -> Credentials | None:
    path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    reader = configparser.RawConfigParser()
    try:
        reader.read(path)
        section = reader[os.environ.get("AWS_PROFILE", "default")]
        return Credentials(section["aws_access_key_id"], section["aws_secret_access_key"],
                           section.get("aws_session_token", ""))
    except (KeyError, OSError, configparser.Error):
        return None


def _container() -> Credentials | None:
    relative, full = (os.environ.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("RELATIVE", "FULL"))
    if not relative and not full:
        return None
    token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    return _answer(f"{CONTAINER}{relative}" if relative else str(full), {"Authorization": token} if token else {})


def _instance() -> Credentials | None:
    """The instance's role, over IMDSv2."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    root = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA).rstrip("/")
    try:
        token = _read(f"{root}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}, "PUT")
        headers = {"X-aws-ec2-metadata-token": token}
        path = f"{root}/latest/meta-data/iam/security-credentials/"
        role = _read(path, headers).splitlines()[0]
    except (OSError, IndexError, ValueError):
        return None
    return _answer(path + role, headers)


def _answer(url: str, headers: dict[str, str]) -> Credentials | None:
    try:
        data: dict[str, Any] = json.loads(_read(url, headers))
        return Credentials(data["AccessKeyId"], data["SecretAccessKey"], data.get("Token", ""))
    except (OSError, ValueError, KeyError):
        return None


def _read(url: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
        return str(answer.read().decode())
