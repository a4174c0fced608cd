"""Where the session takes region and credentials from, and what it says when there are none. Nothing is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.aws.session import Aws
from slipway.errors import InvalidInput

KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable, no file, no instance; the path of the configuration file that a test may write."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                 "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_RETRY_MODE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path / "config"


def test_region_of_argument_variable_and_profile(monkeypatch: pytest.MonkeyPatch, nothing_set: Path) -> None:
    nothing_set.write_text("[profile there]\nregion = sa-east-1\n[default]\nregion = us-west-1\n")
    assert Aws().region == "us-west-1"
    assert Aws({"profile": "there"}).region == "sa-east-1"
    monkeypatch.setenv("AWS_PROFILE", "there")
    assert Aws().region == "sa-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert Aws().region == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Aws().region == "eu-west-1"
    assert Aws({"region": "eu-central-1"}).region == "eu-central-1"


def test_no_region() -> None:
    with pytest.raises(InvalidInput, match="No AWS region is set"):
        Aws(KEYS)


@pytest.mark.parametrize("by_argument", [True, False])
def test_unknown_profile(monkeypatch: pytest.MonkeyPatch, by_argument: bool) -> None:
    if not by_argument:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InvalidInput, match="AWS profile 'nobody' is not configured"):
        Aws({"region": "eu-west-1", **({"profile": "nobody"} if by_argument else {})})


def test_profile_and_keys_are_one_too_many() -> None:
    with pytest.raises(InvalidInput, match="profile and access_key are both given"):
        Aws({"region": "eu-west-1", "profile": "there", **KEYS})


def test_no_credentials_are_told_before_a_call() -> None:
    aws = Aws({"region": "eu-west-1"})
    assert not aws.credentials_found
    with pytest.raises(InvalidInput, match="No AWS credentials are found"):
        aws.call("cloudformation", "describe_stacks")
    assert aws.api_calls() == {}


def test_a_client_is_made_once_for_a_region_and_repeats_adaptively() -> None:
    aws = Aws({"region": "eu-west-1", "endpoint_url": "http://localhost:9", "validate_certs": False, **KEYS})
    client = aws.client("cloudformation")
    assert aws.client("cloudformation") is client
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.endpoint_url == "http://localhost:9"
    assert client.meta.config.retries["mode"] == "adaptive"
    assert aws.client("cloudformation", "us-east-1").meta.region_name == "us-east-1"


def test_the_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:10")
    assert Aws({"region": "eu-west-1", **KEYS}).client("sts").meta.endpoint_url == "http://localhost:10"
