"""CodePipeline and S3 as a job worker meets them: requests and answers are held against botocore's service model, and
every signature against botocore's own signer."""

from __future__ import annotations

import base64
import http.server
import io
import json
import threading
import urllib.parse
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

REGION = "eu-central-1"
WORKER = ("AKIAWORKER", "worker-secret", "")
ARTIFACTS = ("ASIAJOB", "job-secret", "job-session")
MODEL = ServiceModel(Loader().load_service_model("codepipeline", "service-2"))


def zipped(files: dict[str, bytes | str], links: dict[str, str] | None = None, mode: int = 0o755) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o120777 << 16
            archive.writestr(entry, target)
    return packed.getvalue()


class Refused(Exception):
    """An error of the service: its name."""


class WorkerAws:
    """One action type's queue of jobs, and one bucket."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.queue: list[dict[str, Any]] = []
        self.acknowledged: set[str] = set()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.objects: dict[str, bytes] = {}
        self.kinds: dict[str, str] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.upload_headers: dict[str, dict[str, str]] = {}
        self.problems: list[str] = []
        """What the worker did that AWS would not have taken; a test fails on it."""
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "PollForJobs": self.poll, "AcknowledgeJob": self.acknowledge, "GetJobDetails": self.details,
            "PutJobSuccessResult": lambda request: {}, "PutJobFailureResult": lambda request: {}}
        aws = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                target = self.headers.get("X-Amz-Target", "")
                aws.check_signature(self.command, self.path, self.headers, body, "codepipeline" if target else "s3")
                status, headers, answer = (aws.json(target, body) if target
                                           else aws.s3(self.command, self.path, self.headers, body))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": WORKER[0], "AWS_SECRET_ACCESS_KEY": WORKER[1]}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    # -- what tests do ----------------------------------------------------------------------------------------------

    def offer(self, project: str, source: bytes | None, key: str = "pipe/Source/one", outputs: tuple[str, ...] = (),
              kind: str = "application/zip") -> str:
        """A job for the project; without a source its artifact is missing from the bucket."""
        identifier = str(uuid.uuid4())
        with self.lock:
            if source is not None:
                self.objects[f"artifacts/{key}"], self.kinds[f"artifacts/{key}"] = source, kind
            self.queue.append({
                "id": identifier, "nonce": "7", "accountId": "000000000000", "project": project, "data": {
                    "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "slipway", "version": "1"},
                    "actionConfiguration": {"configuration": {"ProjectName": project}},
                    "pipelineContext": {"pipelineName": "pipe", "stage": {"name": "Build"},
                                        "action": {"name": "Release"}},
                    "inputArtifacts": [self.artifact("Source", key)],
                    "outputArtifacts": [self.artifact(name, f"pipe/{name}/one") for name in outputs],
                    "artifactCredentials": dict(zip(("accessKeyId", "secretAccessKey", "sessionToken"), ARTIFACTS,
                                                    strict=True)),
                    "encryptionKey": {"id": "alias/own", "type": "KMS"}}})
        return identifier

    @staticmethod
    def artifact(name: str, key: str) -> dict[str, Any]:
        return {"name": name, "location": {"type": "S3", "s3Location": {"bucketName": "artifacts", "objectKey": key}}}

    def called(self, operation: str) -> list[dict[str, Any]]:
        with self.lock:
            return [request for name, request in self.calls if name == operation]

    def results(self) -> list[tuple[str, dict[str, Any]]]:
        with self.lock:
            return [(name, request) for name, request in self.calls if name.startswith("PutJob")]

    # -- CodePipeline -----------------------------------------------------------------------------------------------

    def poll(self, request: dict[str, Any]) -> dict[str, Any]:
        project = request["queryParam"]["ProjectName"]
        found = [job for job in self.queue if job["project"] == project and job["id"] not in self.acknowledged]
        return {"jobs": [{name: value for name, value in job.items() if name != "project"} for job in found[:1]]}

    def acknowledge(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["jobId"] in self.acknowledged or request["nonce"] != "7":
            raise Refused("InvalidNonceException")
        self.acknowledged.add(request["jobId"])
        return {"status": "InProgress"}

    def details(self, request: dict[str, Any]) -> dict[str, Any]:
        job = next((job for job in self.queue if job["id"] == request["jobId"]), None)
        if job is None:
            raise Refused("JobNotFoundException")
        return {"jobDetails": {"id": job["id"], "accountId": job["accountId"], "data": job["data"]}}

    def json(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        name = target.rpartition(".")[2]
        request = json.loads(body)
        operation = MODEL.operation_model(name)
        if target != f"{MODEL.metadata['targetPrefix']}.{name}":
            self.problems.append(f"target {target}")
        for shape, value in ((operation.input_shape, request),):
            report = ParamValidator().validate(value, shape)
            if report.has_errors():
                self.problems.append(f"{name}: {report.generate_report()}")
        kind = {"Content-Type": f"application/x-amz-json-{MODEL.metadata['jsonVersion']}"}
        with self.lock:
            self.calls.append((name, request))
            try:
                answer = self.answers[name](request)
            except Refused as error:
                if str(error) not in [shape.name for shape in operation.error_shapes]:
                    self.problems.append(f"{name} has no error {error}")
                return 400, kind, json.dumps({"__type": str(error), "message": f"{error} from the test"}).encode()
        if operation.output_shape:
            report = ParamValidator().validate(answer, operation.output_shape)
            if report.has_errors():
                self.problems.append(f"answer of {name}: {report.generate_report()}")
        return 200, kind, json.dumps(answer).encode()

    # -- S3 ---------------------------------------------------------------------------------------------------------

    def s3(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urllib.parse.urlsplit(path)
        name = urllib.parse.unquote(parts.path).lstrip("/")
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        with self.lock:
            if method == "GET":
                if name not in self.objects:
                    return 404, {}, (b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist."
                                     b"</Message></Error>")
                return 200, {"Content-Type": self.kinds[name]}, self.objects[name]
            if method == "POST" and "uploads" in query:
                upload = base64.b64encode(uuid.uuid4().bytes).decode()  # with + / and =, which have to be quoted
                self.uploads[upload] = {}
                self.upload_headers[name] = {key.lower(): value for key, value in headers.items()}
                return 200, {}, (f'<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><UploadId>{upload}</UploadId>'
                                 "</R>").encode()
            upload = query.get("uploadId", "")
            if upload not in self.uploads:
                self.problems.append(f"unknown upload {upload}")
                return 404, {}, b""
            if method == "PUT":
                self.uploads[upload][int(query["partNumber"])] = body
                return 200, {"ETag": f'"{query["partNumber"]}"'}, b""
            self.objects[name] = b"".join(data for _, data in sorted(self.uploads.pop(upload).items()))
            return 200, {}, b"<R/>"

    # -- signatures -------------------------------------------------------------------------------------------------

    def check_signature(self, method: str, path: str, headers: Any, body: bytes, service: str) -> None:
        """The same signature by botocore, from what arrived."""
        access, secret, token = WORKER if service == "codepipeline" else ARTIFACTS
        given = headers.get("Authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request = AWSRequest(method, f"{self.url}{path}", headers={name: headers[name] for name in names}, data=body)
        request.context["timestamp"] = headers["X-Amz-Date"]
        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        auth = kind(Credentials(access, secret, token or None), service, REGION)
        wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        scope = f"Credential={access}/{headers['X-Amz-Date'][:8]}/{REGION}/{service}/aws4_request,"
        if given.partition("Signature=")[2] != wanted or scope not in given:
            self.problems.append(f"{service} {method} {path}: signature {given}")
        if (headers.get("X-Amz-Security-Token") or "") != token:
            self.problems.append(f"{service} {method} {path}: session token")
