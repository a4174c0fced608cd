"""Signature Version 4, with the standard library alone."""

from __future__ import annotations

import hashlib
import hmac
import time
import urllib.parse
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def quote(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def canonical_query(query: str) -> str:
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    return "&".join(f"{name}={value}" for name, value in sorted((quote(name), quote(value)) for name, value in pairs))


def sign(method: str, url: str, headers: dict[str, str], body: bytes, service: str, region: str,
         credentials: Credentials, now: float | None = None) -> dict[str, str]:
    """The headers with those of the signature added."""
    parts = urllib.parse.urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    payload = hashlib.sha256(body).hexdigest()
    signed = {**headers, "Host": parts.netloc, "X-Amz-Date": stamp}
    if service == "s3":
        signed["X-Amz-Content-SHA256"] = payload
    if credentials.token:
        signed["X-Amz-Security-Token"] = credentials.token
    lowered = {name.lower(): " ".join(value.split()) for name, value in signed.items()}
    names = ";".join(sorted(lowered))
    # S3 signs the path as it is sent; the others sign it encoded once more, which leaves "/" as it is.
    path = parts.path or "/"
    canonical = "\n".join([method, path if service == "s3" else urllib.parse.quote(path, safe="/-_.~"),
                           canonical_query(parts.query), *(f"{name}:{lowered[name]}" for name in sorted(lowered)), "",
                           names, payload])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, "
                               f"Signature={signature}")
    return signed
