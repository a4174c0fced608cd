"""The two clients of the plugin: CodePipeline's JSON protocol, and S3."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .signing import Credentials, quote, sign

SECONDS = 60
PART = 5 * 1024 * 1024
CUT_SHORT = "com.amazonaws.SdkClientException: Data read has a different length than the expected: "


class ServiceError(Exception):
    """An answer of AWS that is an error; the text is what the SDK for Java says."""

    def __init__(self, service: str, status: int, code: str, message: str) -> None:
        super().__init__(f"{message} (Service: {service}; Status Code: {status}; Error Code: {code}; Request ID: null; "
                         "Proxy: null)")
        self.code = code
        self.message = message


class ClientError(Exception):
    """No answer at all."""


def endpoint(service: str) -> str | None:
    """AWS_ENDPOINT_URL, which the SDK of the real plugin does not know: the stand-in's own way to another AWS."""
    url = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    return url.rstrip("/") if url else None


def _send(method: str, url: str, headers: dict[str, str], body: bytes) -> Any:
    request = urllib.request.Request(url, data=body if method != "GET" else None, headers=headers, method=method)
    try:
        # What is reached by an endpoint of one's own is not behind a proxy.
        handlers = [urllib.request.ProxyHandler({})] if endpoint("") else []
        return urllib.request.build_opener(*handlers).open(request, timeout=SECONDS)
    except urllib.error.HTTPError:
        raise
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ClientError(f"com.amazonaws.SdkClientException: Unable to execute HTTP request: {reason}") from error


class CodePipeline:
    def __init__(self, region: str, credentials: Credentials) -> None:
        self.region, self.credentials = region, credentials
        self.url = f"{endpoint('codepipeline') or f'https://codepipeline.{region}.amazonaws.com'}/"

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(request).encode()
        headers = sign("POST", self.url, {"Content-Type": "application/x-amz-json-1.1",
                                          "X-Amz-Target": f"CodePipeline_20150709.{operation}"},
                       body, "codepipeline", self.region, self.credentials)
        try:
            with _send("POST", self.url, headers, body) as answer:
                data: dict[str, Any] = json.loads(answer.read() or b"{}")
                return data
        except urllib.error.HTTPError as error:
            raise _json_error(error) from error
        except (ValueError, http.client.HTTPException) as error:
            raise ClientError(f"com.amazonaws.SdkClientException: Unable to read the answer: {error}") from error


def _json_error(error: urllib.error.HTTPError) -> ServiceError:
    try:
        data = json.loads(error.read() or b"{}")
    except (ValueError, OSError):
        data = {}
    code = str(data.get("__type", "UnknownError")).rsplit("#", 1)[-1]
    return ServiceError("AWSCodePipeline", error.code, code, str(data.get("message") or data.get("Message") or "null"))


class S3:
    def __init__(self, region: str, credentials: Credentials) -> None:
        self.region, self.credentials = region, credentials

    def _url(self, bucket: str, key: str, query: str = "") -> str:
        own = endpoint("s3")
        path = "/".join(quote(part) for part in key.split("/"))
        base = f"{own}/{bucket}" if own else f"https://{bucket}.s3.{self.region}.amazonaws.com"
        return f"{base}/{path}" + (f"?{query}" if query else "")

    def _call(self, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Any:
        signed = sign(method, url, headers, body, "s3", self.region, self.credentials)
        try:
            return _send(method, url, signed, body)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            code, message = ((re.search(f"<{name}>(.*?)</{name}>", text, re.S) or ["", "null"])[1]
                             for name in ("Code", "Message"))
            raise ServiceError("Amazon S3", error.code, code, message) from error

    def get(self, bucket: str, key: str) -> Any:
        """The answer, open: headers and content. ServiceError where the object is not there."""
        return self._call("GET", self._url(bucket, key), {})

    @staticmethod
    def save(answer: Any, path: Path) -> None:
        with path.open("wb") as file:
            try:
                while block := answer.read(1 << 16):
                    file.write(block)
            except http.client.HTTPException as error:
                raise ClientError(f"{CUT_SHORT}{error}") from error
            expected = answer.headers.get("Content-Length")
            if expected is not None and file.tell() != int(expected):
                raise ClientError(f"{CUT_SHORT}dataLength={file.tell()}; expectedLength={expected}")

    def upload(self, bucket: str, key: str, path: Path, kind: str, kms_key: str) -> None:
        """In parts, encrypted by KMS: as the plugin does it for files of any size."""
        headers = {"Content-Type": kind, "x-amz-server-side-encryption": "aws:kms"}
        if kms_key:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = kms_key
        with self._call("POST", self._url(bucket, key, "uploads="), headers) as answer:
            upload = _text(answer.read(), "UploadId")
        parts = []
        with path.open("rb") as file:
            for number, block in enumerate(iter(lambda: file.read(PART), b""), 1):
                query = f"partNumber={number}&uploadId={quote(upload)}"
                with self._call("PUT", self._url(bucket, key, query), {}, block) as answer:
                    parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{answer.headers['ETag']}</ETag></Part>")
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
        url = self._url(bucket, key, f"uploadId={quote(upload)}")
        self._call("POST", url, {"Content-Type": "application/xml"}, body).close()


def _text(data: bytes, name: str) -> str:
    for element in ElementTree.fromstring(data).iter():
        if element.tag.rsplit("}", 1)[-1] == name:
            return element.text or ""
    return ""
