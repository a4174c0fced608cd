"""Where artifacts lie: zips in the pipeline's bucket, under CodePipeline's layout of keys."""

from __future__ import annotations

import secrets
import string

from . import ministack
from .errors import ActionFailed
from .store import Json

_LETTERS = string.ascii_letters + string.digits


def place(pipeline: Json, name: str) -> Json:
    """A new artifact's name, bucket and key: 20 letters of the pipeline, 10 of the artifact, 7 at random."""
    store = bucket_of(pipeline)
    random = "".join(secrets.choice(_LETTERS) for _ in range(7))
    return {"name": name, "bucket": store["location"], "key": f"{pipeline['name'][:20]}/{name[:10]}/{random}"}


def bucket_of(pipeline: Json) -> Json:
    """The artifact store: type, location, perhaps encryptionKey."""
    stores = pipeline.get("artifactStores") or {}
    found: Json = pipeline.get("artifactStore") or stores[ministack.region_name()]
    return found


def upload(pipeline: Json, role_arn: str, artifact: Json, content: bytes) -> None:
    """Store a zip, encrypted as the store says. Raises ActionFailed."""
    headers = {"content-type": "application/zip", "x-amz-server-side-encryption": "aws:kms"}
    key = bucket_of(pipeline).get("encryptionKey")
    if key:
        headers["x-amz-server-side-encryption-aws-kms-key-id"] = key["id"]
    try:
        ministack.check_role(role_arn, "s3:PutObject", f"arn:aws:s3:::{artifact['bucket']}/{artifact['key']}")
        ministack.put_object(artifact["bucket"], artifact["key"], content, headers)
    except ministack.Denied as error:
        raise ActionFailed("PermissionError", f"Unable to use the S3 artifact store bucket {artifact['bucket']}. "
                           f"Update the permissions of the role {role_arn}: {error}") from error
    except OSError as error:
        raise ActionFailed("ConfigurationError", f"Unable to use the S3 artifact store bucket {artifact['bucket']}: "
                           f"{error}") from error


def described(artifact: Json) -> Json:
    """As jobs are told of it."""
    shown: Json = {"name": artifact["name"], "location": {"type": "S3", "s3Location": {
        "bucketName": artifact["bucket"], "objectKey": artifact["key"]}}}
    if artifact.get("revision"):
        shown["revision"] = artifact["revision"]
    return shown


def policy(inputs: list[Json], outputs: list[Json]) -> Json:
    """What credentials for these artifacts allow."""
    def arns(artifacts: list[Json]) -> list[str]:
        return [f"arn:aws:s3:::{artifact['bucket']}/{artifact['key']}" for artifact in artifacts]

    statements: list[Json] = [{"Effect": "Allow", "Resource": "*", "Action": [
        "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]}]
    if inputs:
        statements.append({"Effect": "Allow", "Resource": arns(inputs),
                           "Action": ["s3:GetObject", "s3:GetObjectVersion"]})
    if outputs:
        statements.append({"Effect": "Allow", "Resource": arns(outputs),
                           "Action": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]})
    return {"Version": "2012-10-17", "Statement": statements}
