"""Source: the newest version of an object in S3, or the one that the start named."""

from __future__ import annotations

import calendar
import time
from email.utils import parsedate

from .. import ministack
from ..errors import ActionFailed
from . import Json, register
from .source import Revision, Source


def fetch(action: Json, wanted: Json) -> Revision:
    bucket, key, version = action["resolved"]["S3Bucket"], action["resolved"]["S3ObjectKey"], ""
    if wanted.get("revisionType") == "S3_OBJECT_VERSION_ID":
        version = wanted["revisionValue"]
    elif wanted.get("revisionType") == "S3_OBJECT_KEY":
        if action["resolved"].get("AllowOverrideForS3ObjectKey") != "true":
            raise ActionFailed("ConfigurationError", "The key of the object was overridden, but the action has no "
                               "AllowOverrideForS3ObjectKey: 'true'.")
        key = wanted["revisionValue"]
    try:
        for permission in ("s3:GetObject", "s3:GetObjectVersion"):
            ministack.check_role(action["roleArn"], permission, f"arn:aws:s3:::{bucket}/{key}")
        content, headers = ministack.get_object(bucket, key, version)
    except ministack.Denied as error:
        raise ActionFailed("PermissionError", "The service role or action role doesn't have the permissions required "
                           f"to access the Amazon S3 bucket named {bucket}. Update the IAM role permissions, and then "
                           f"try again. Error: {error}") from error
    except OSError as error:
        raise ActionFailed("ConfigurationError", f"The object with key '{key}' in the bucket '{bucket}' cannot be "
                           f"read: {error}") from error
    found = headers.get("x-amz-version-id", "")
    if found in ("", "null"):
        raise ActionFailed("ConfigurationError", f"The bucket '{bucket}' has no versions. Enable versioning, and put "
                           "the object there again.")
    etag = headers.get("etag", "").strip('"')
    changed = parsedate(headers.get("last-modified", ""))
    return Revision(found, headers.get("x-amz-meta-codepipeline-artifact-revision-summary")
                    or f"Amazon S3 version id: {found}", content,
                    created=calendar.timegm(changed) if changed else time.time(),
                    variables={"BucketName": bucket, "ObjectKey": key, "VersionId": found, "ETag": etag})


register("AWS", "S3", Source(fetch))
