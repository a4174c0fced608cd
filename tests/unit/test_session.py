"""Where the session takes region and credentials from, and what it says when there are none or AWS refuses them.
Nothing is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from slipway.aws.session import Aws, _refusal
from slipway.errors import AwsError, InvalidInput

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


def _refused(code: str, message: str, ahead: float = 0.0) -> AwsError:
    told = format_datetime(datetime.now(UTC) - timedelta(seconds=ahead), usegmt=True)
    return _refusal(ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": {
        "HTTPHeaders": {"date": told}}}, "DescribeTargetHealth"), "elbv2", "elasticloadbalancing")


def test_a_denial_names_the_action_to_allow() -> None:
    assert _refused("AccessDenied", "").remedy == (
        "Allow elasticloadbalancing:DescribeTargetHealth in the policy of the identity that runs this.")
    passing = _refused("AccessDenied", "User: x is not authorized to perform: iam:PassRole on resource: y")
    assert str(passing) == ("elbv2 DescribeTargetHealth: User: x is not authorized to perform: iam:PassRole on "
                            "resource: y. Allow iam:PassRole in the policy of the identity that runs this.")


@pytest.mark.parametrize(("code", "message"), [
    ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    ("SignatureDoesNotMatch", "Signature expired: 20261123T101500Z is now earlier than 20261123T111000Z"),
    ("InvalidSignatureException", "Signature not yet current: 20261123T121500Z is still later than 20261123T111000Z"),
])
def test_a_wrong_clock_is_told_from_wrong_credentials(code: str, message: str) -> None:
    assert "clock of this machine is 60 minutes ahead of AWS's" in _refused(code, message, 3600).message
    assert "clock of this machine is 60 minutes behind AWS's" in _refused(code, message, -3600).message
    assert "timedatectl" in _refused(code, message).remedy


def test_a_wrong_secret_is_no_wrong_clock() -> None:
    assert "does not accept these credentials" in _refused("SignatureDoesNotMatch", "The signature differs.").message
