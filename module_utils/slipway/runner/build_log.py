"""What the log of a Jenkins build says of the pipeline's job that it works for.

The plugin tells a build nothing of its job, and writes every step of it to the build's log. Its first lines come before
anything that the build itself prints, so the first match is the plugin's own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ID = rb"([0-9A-Za-z][0-9A-Za-z._:-]{0,127})"
_ACKNOWLEDGED = re.compile(rb"^\[AWS CodePipeline Plugin\] Acknowledged job with ID: " + _ID + rb"\s*$", re.MULTILINE)
#: Written right before the job is acknowledged: a Jenkins that is killed may have come no further with its log.
_RECEIVED = re.compile(rb"^\[AWS CodePipeline Plugin\] Job '" + _ID + rb"' received\s*$", re.MULTILINE)
#: The publisher's, right before it calls AWS. Its words differ between versions.
_REPORTED = re.compile(rb"^\[AWS CodePipeline Plugin\] Build .*PutJob(?:Success|Failure)Result", re.MULTILINE)
_HEAD, _TAIL = 1 << 18, 1 << 16


@dataclass(frozen=True)
class BuildLog:
    """job: id of the pipeline's job, '' where no pipeline asked for the build; acknowledged: whether the plugin got so
    far; reported: whether the plugin was about to tell the pipeline how it went."""

    job: str = ""
    acknowledged: bool = False
    reported: bool = False


def read(path: str | Path) -> BuildLog:
    """Of a log that may be large and may still grow. One that cannot be read is empty."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            tail = file.read(_TAIL)
    except OSError:
        return BuildLog()
    acknowledged = _ACKNOWLEDGED.search(head)
    found = acknowledged or _RECEIVED.search(head)
    return BuildLog(found[1].decode() if found else "", bool(acknowledged), bool(_REPORTED.search(tail)))
