"""The gate: what ECR's scan found in an image, and whether that is too much."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..aws import ecr
from ..aws.session import Aws
from ..errors import AwsError, SlipwayError, WaitTimeout
from ..polling import Deadline, delays
from ..progress import Progress

#: From harmless to worst. What nobody has rated yet counts as the least.
SEVERITIES = ("UNDEFINED", "UNTRIAGED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")

_WAITING = frozenset({"IN_PROGRESS", "PENDING"})
# ACTIVE: enhanced scanning goes on watching the image after its first scan, so it is as final as it gets.
_THERE = frozenset({"COMPLETE", "ACTIVE"})
_NEVER = {
    "FAILED": "Start another scan ('aws ecr start-image-scan'), or push the image again.",
    "UNSUPPORTED_IMAGE": "ECR cannot scan this operating system or image type; leave max_severity out for it.",
    "SCAN_ELIGIBILITY_EXPIRED": "The image is too old for the registry's scan duration; push it again or extend that.",
    "FINDINGS_UNAVAILABLE": "Run this again later; the findings are not kept or not yet there.",
    "LIMIT_EXCEEDED": "ECR scans an image once in 24 hours on demand; run this again later.",
    "IMAGE_ARCHIVED": "Restore the image from the archive first.",
}
_SHOWN = 10


def gate(aws: Aws, repository: str, digest: str, max_severity: str, timeout: float, registry_id: str | None,
         progress: Progress, so_far: dict[str, Any]) -> dict[str, Any]:
    """Wait for the scan of `digest` and judge it. Returns {"scan_status", "findings"}.

    Raises SlipwayError above the limit or when there will be no scan, WaitTimeout after `timeout` seconds; both carry
    `so_far`, the result of the push, which stays done.
    """
    try:
        answer = _wait(aws, repository, digest, timeout, registry_id, progress)
    except AwsError:
        raise
    except SlipwayError as error:
        error.details.update(_facts(so_far))
        raise
    status = answer["imageScanStatus"]["status"]
    counts = severity_counts(answer)
    result = {"scan_status": status, "findings": counts}
    above = too_severe(counts, max_severity)
    text = ", ".join(f"{count} {name.lower()}" for name, count in counts.items()) or "nothing"
    if not above:
        progress.say(f"scan: found {text}", "good")
        return result
    found = list(_pages(aws, repository, digest, registry_id, answer))
    lines = worst(found, max_severity)
    raise SlipwayError(
        f"The scan of {repository}@{digest} found {text}; allowed is nothing above {max_severity}:\n"
        + "".join(f"    {line}\n" for line in lines),
        "Update the base image or the packages named, or raise max_severity.",
        **{**_facts(so_far), **result, "worst_findings": lines})


def severity_counts(answer: dict[str, Any]) -> dict[str, int]:
    """Findings by severity, worst first, without zeros; pure."""
    counts = (answer.get("imageScanFindings") or {}).get("findingSeverityCounts") or {}
    return {name: int(counts[name]) for name in reversed(SEVERITIES) if counts.get(name)}


def too_severe(counts: dict[str, int], limit: str) -> bool:
    """Whether something above `limit` (none: above everything that is known) was found; pure."""
    return any(rank(name) > _limit(limit) for name in counts)


def worst(findings: list[dict[str, Any]], limit: str) -> list[str]:
    """The findings above the limit, basic or enhanced, in a line each, the first few of the worst; pure."""
    above = sorted((f for f in findings if rank(str(f.get("severity", ""))) > _limit(limit)),
                   key=lambda f: (-rank(str(f.get("severity", ""))), _line(f)))
    lines = [_line(f) for f in above[:_SHOWN]]
    return lines + ([f"... and {len(above) - _SHOWN} more"] if len(above) > _SHOWN else [])


def rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def _limit(limit: str) -> int:
    return SEVERITIES.index("UNTRIAGED") if limit == "none" else rank(limit.upper())


def _line(finding: dict[str, Any]) -> str:
    attributes = {a.get("key"): a.get("value") for a in finding.get("attributes") or []}
    details = finding.get("packageVulnerabilityDetails") or {}
    packages = [f"{p.get('name')} {p.get('version', '')}".strip() for p in details.get("vulnerablePackages") or []]
    if attributes.get("package_name"):
        packages = [f"{attributes['package_name']} {attributes.get('package_version') or ''}".strip()]
    name = details.get("vulnerabilityId") or finding.get("name") or finding.get("title") or "unnamed"
    return f"{finding.get('severity', '?')} {name}" + (f" in {', '.join(packages[:3])}" if packages else "")


def _wait(aws: Aws, repository: str, digest: str, timeout: float, registry_id: str | None,
          progress: Progress) -> dict[str, Any]:
    deadline = Deadline(timeout)
    waits = delays(first=1.0, limit=10.0)
    asked = False
    while True:
        answer = ecr.describe_scan(aws, repository, digest, registry_id)
        status = answer["imageScanStatus"]["status"] if answer else "not started"
        if answer and status in _THERE:
            return answer
        if answer and status not in _WAITING:
            reason = answer["imageScanStatus"].get("description") or "ECR gives no reason"
            raise SlipwayError(f"There is no scan of {repository}@{digest}: {status} ({reason}).",
                               _NEVER.get(status, ""), scan_status=status)
        if not answer and not asked:
            asked = True
            _start(aws, repository, digest, registry_id, progress)
        if deadline.passed:
            raise WaitTimeout(f"The scan of {repository}@{digest} is still {status} after {timeout:.0f} s.",
                              "Raise scan_timeout, or turn scanning on for this repository.", scan_status=status)
        progress.heartbeat(f"scan: {status.lower().replace('_', ' ')} for {deadline.elapsed:.0f} s")
        time.sleep(deadline.cap(next(waits)))


def _start(aws: Aws, repository: str, digest: str, registry_id: str | None, progress: Progress) -> None:
    """Ask for a scan: nobody did when scan-on-push is off. Enhanced scanning starts by itself and refuses this."""
    try:
        ecr.start_scan(aws, repository, digest, registry_id)
    except AwsError as error:
        if error.code not in ("ValidationException", "LimitExceededException", "ScanNotFoundException"):
            raise
    else:
        progress.say("scan: started")


def _pages(aws: Aws, repository: str, digest: str, registry_id: str | None,
           answer: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    while answer:
        found = answer.get("imageScanFindings") or {}
        yield from found.get("findings") or []
        yield from found.get("enhancedFindings") or []
        token = answer.get("nextToken")
        answer = ecr.describe_scan(aws, repository, digest, registry_id, token) if token else None


def _facts(result: dict[str, Any]) -> dict[str, Any]:
    # `msg` is the error's own.
    return {key: value for key, value in result.items() if key not in ("msg", "remedy", "diff")}
