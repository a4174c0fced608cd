"""One botocore session per process: clients, retries, counted calls, errors in plain words."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import AwsError, InvalidInput, SlipwayError
from ..interrupt import calling
from .shared import Shared

#: Arguments every module that talks to AWS takes, named and defaulted as AWS users of Ansible expect.
AWS_ARGUMENTS: dict[str, dict[str, Any]] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "access_key": {"type": "str", "no_log": True},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "endpoint_url": {"type": "str"},
    "aws_ca_bundle": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
}

#: Codes with which AWS says "slow down"; botocore retries them, we count them.
THROTTLES = frozenset({"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded",
                       "TooManyRequestsException", "RequestThrottled", "SlowDown", "PriorRequestNotComplete"})

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_UNKNOWN_KEY = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId",
                          "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"})
#: With these AWS also refuses a call that was signed at a time that is not its own.
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_OUT_OF_TIME = _CLOCK | {"SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure", "RequestExpired"}
_WRONG_TIME = re.compile(r"Signature expired|not yet current|time.*too (?:large|skewed)|Request has expired", re.I)
_ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})


class Aws:
    """A session and its clients.

    params: a module's arguments, of which AWS_ARGUMENTS are read; environment variables fill what is None.
    calls: how often each operation was called, as "service.Operation", attempts that botocore repeated not counted.
    retries: how many attempts botocore repeated (throttled or transient).
    Raises InvalidInput where no region or no credentials can be found; nothing was called then.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        import botocore.config
        import botocore.exceptions
        import botocore.session

        params = params or {}
        profile = params.get("profile")
        if profile and params.get("access_key"):
            raise InvalidInput("profile and access_key are both given.", "Give one of them.")
        try:
            # Not boto3: nothing of what it adds is used, and it takes its time to import.
            self._session = botocore.session.Session(profile=profile)
            _share_what_is_read(self._session)
            if params.get("access_key"):
                self._session.set_credentials(params["access_key"], params.get("secret_key"),
                                              params.get("session_token"))
            region = (params.get("region") or os.environ.get("AWS_REGION")
                      or self._session.get_config_variable("region"))
            self._session.get_scoped_config()
        except botocore.exceptions.ProfileNotFound as error:
            raise InvalidInput(f"AWS profile {profile or os.environ.get('AWS_PROFILE')!r} is not configured.",
                               "Create it with 'aws configure --profile NAME' or name another one.") from error
        if not region:
            raise InvalidInput("No AWS region is set.", "Set AWS_REGION, or 'region' in the inventory.")
        self.region: str = region
        self.calls: Counter[str] = Counter()
        self.retries = 0
        self._endpoint_url = params.get("endpoint_url")
        self._verify: bool | str | None = None
        if params.get("validate_certs") is False:
            self._verify = False
        elif params.get("aws_ca_bundle"):
            self._verify = params["aws_ca_bundle"]
        # Repeats with backoff and jitter; once AWS throttles, the client also sends no faster than AWS takes it.
        # On a day when every third call fails, of five attempts one call in 400 would find none that passes.
        self._config = botocore.config.Config(
            retries={"mode": "adaptive", "total_max_attempts": 8}, connect_timeout=10, read_timeout=60,
            user_agent_extra="slipway",
        )
        self._clients: dict[str, Any] = {}
        #: What the modules of this run share; None where this one is alone.
        self.shared = Shared.of(os.environ)

    @property
    def scope(self) -> str:
        """Tells apart whose answers are shared: of the same region, endpoint and credentials."""
        credentials = self._session.get_credentials()
        whose = (self.region, self._endpoint_url or os.environ.get("AWS_ENDPOINT_URL", ""),
                 getattr(credentials, "access_key", ""), getattr(credentials, "token", "") or "")
        return hashlib.sha256("\0".join(whose).encode()).hexdigest()[:16]

    @property
    def credentials_found(self) -> bool:
        return self._session.get_credentials() is not None

    def client(self, service: str, region: str | None = None) -> Any:
        """The session's client of `service`, made once per region."""
        key = f"{service}/{region or self.region}"
        if key not in self._clients:
            if not self.credentials_found:
                raise InvalidInput("No AWS credentials are found.",
                                   "Set AWS_PROFILE, run 'aws configure', or use an instance role.")
            client = self._session.create_client(service, region_name=region or self.region, config=self._config,
                                                 endpoint_url=self._endpoint_url, verify=self._verify)
            client.meta.events.register("needs-retry.*", self._count_retry, unique_id="slipway-retries")
            client.meta.events.register("before-call.*", self._count_call, unique_id="slipway-calls")
            self._clients[key] = client
        return self._clients[key]

    def call(self, service: str, operation: str, /, region: str | None = None, **arguments: Any) -> dict[str, Any]:
        """One API call. operation: boto3's method name. Raises AwsError with AWS's code, message and a remedy."""
        import botocore.exceptions

        client = self.client(service, region)
        try:
            with calling():
                answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except botocore.exceptions.ClientError as error:
            raise _refusal(error, service, client.meta.service_model.signing_name) from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            raise _no_answer(error, service, operation) from error
        return answer

    def api_calls(self) -> dict[str, int]:
        """For a module's result: calls by operation, sorted by name."""
        return dict(sorted(self.calls.items()))

    def _count_call(self, model: Any, **_: Any) -> None:
        self.calls[f"{model.service_model.service_name}.{model.name}"] += 1
        if self.shared:
            self.shared.take_turn(f"{self.region}/{model.service_model.service_name}")

    def _count_retry(self, attempts: int, operation: Any = None, response: Any = None, **_: Any) -> None:
        if attempts > 1:
            self.retries += 1
        code = response[1].get("Error", {}).get("Code") if response else None
        if self.shared and operation and code in THROTTLES:
            self.shared.slow_down(f"{self.region}/{operation.service_model.service_name}")

    def identity(self) -> dict[str, Any]:
        """GetCallerIdentity's answer; asked once in a run."""
        if not self.shared or not self.credentials_found:
            return self.call("sts", "get_caller_identity")
        return dict(self.shared.once(f"identity {self.scope}", lambda: self.call("sts", "get_caller_identity"), 600.0))


def _share_what_is_read(session: Any) -> None:
    """Where this process was forked from one that had read botocore's descriptions of the services (the action
    plugins' warm.py), use those; unless the user has descriptions of his own."""
    loader = getattr(sys.modules.get("slipway_action_warm"), "loader", None)
    if loader is not None and not session.get_config_variable("data_path"):
        session.register_component("data_loader", loader)


def _refusal(error: Any, service: str, prefix: str) -> AwsError:
    """prefix: what IAM calls the service."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    text = str(error.response.get("Error", {}).get("Message", "")) or code
    operation = error.operation_name
    remedy = ""
    message = f"{service} {operation}: {text}"
    if code in _OUT_OF_TIME and (code in _CLOCK or _WRONG_TIME.search(text)):
        message = _wrong_clock(error.response)
        remedy = "Set it right ('timedatectl set-ntp true'), then run this again."
    elif code in _EXPIRED:
        message, remedy = "The AWS credentials have expired.", "Sign in again ('aws sso login'), then run this again."
    elif code in _UNKNOWN_KEY:
        message = f"AWS does not accept these credentials ({code})."
        remedy = "Check AWS_PROFILE and the access key; 'aws sts get-caller-identity' must work."
    elif code in _DENIED:
        # AWS may name another action than the call: those of a transaction's items, iam:PassRole.
        named = _ACTION.search(text)
        message = f"{message.rstrip('.')}."
        remedy = f"Allow {named[1] if named else f'{prefix}:{operation}'} in the policy of the identity that runs this."
    elif code in THROTTLES:
        remedy = "AWS throttled the call although it was repeated; run this again later."
    failure = AwsError(message, remedy, code=code, operation=operation)
    failure.aws_message = text
    failure.response = error.response
    return failure


def _wrong_clock(response: Mapping[str, Any]) -> str:
    """By how much this machine's clock differs from AWS's, which tells its time in every answer."""
    told = (response.get("ResponseMetadata") or {}).get("HTTPHeaders", {}).get("date")
    if not told:
        return "The clock of this machine is wrong: AWS does not accept the time with which calls are signed."
    ahead = round((datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds() / 60)
    return (f"The clock of this machine is {abs(ahead)} minutes {'ahead of' if ahead > 0 else 'behind'} AWS's, which "
            "does not accept the time with which calls are signed.")


def _no_answer(error: Exception, service: str, operation: str) -> SlipwayError:
    import botocore.exceptions as e

    if isinstance(error, (e.NoCredentialsError, e.PartialCredentialsError)):
        return InvalidInput("No AWS credentials are found.",
                            "Set AWS_PROFILE, run 'aws configure', or use an instance role.")
    if isinstance(error, (e.TokenRetrievalError, e.SSOTokenLoadError, e.UnauthorizedSSOTokenError)):
        return AwsError("The AWS sign-on has expired.", "Sign in again ('aws sso login'), then run this again.",
                        code="ExpiredToken", operation=operation)
    if isinstance(error, e.ParamValidationError):
        return InvalidInput(f"{service} {operation}: {error}")
    if isinstance(error, (e.EndpointConnectionError, e.ConnectTimeoutError, e.ReadTimeoutError,
                          e.ConnectionClosedError, e.ProxyConnectionError, e.SSLError, OSError)):
        return AwsError(f"{service} {operation}: AWS does not answer: {error}",
                        "Check the network, the region and AWS_ENDPOINT_URL.", operation=operation)
    return AwsError(f"{service} {operation}: {error}", operation=operation)
