"""The gate's verdict on what ECR found."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.image.scan import severity_counts, too_severe, worst

BASIC = {"name": "CVE-1", "severity": "HIGH", "attributes": [{"key": "package_name", "value": "openssl"},
                                                            {"key": "package_version", "value": "3.0"}]}
ENHANCED = {"severity": "CRITICAL", "title": "CVE-2 - zlib", "packageVulnerabilityDetails": {
    "vulnerabilityId": "CVE-2", "vulnerablePackages": [{"name": "zlib", "version": "1.2"}]}}


@pytest.mark.parametrize(("counts", "limit", "expected"), [
    ({}, "none", False),
    ({"LOW": 1}, "none", True),
    ({"INFORMATIONAL": 1}, "none", True),
    ({"UNDEFINED": 3, "UNTRIAGED": 1}, "none", False),
    ({"HIGH": 1}, "high", False),
    ({"HIGH": 1}, "medium", True),
    ({"CRITICAL": 1}, "high", True),
    ({"CRITICAL": 9}, "critical", False),
])
def test_too_severe(counts: dict[str, int], limit: str, expected: bool) -> None:
    assert too_severe(counts, limit) is expected


def test_counts_are_worst_first_without_zeros() -> None:
    answer: dict[str, Any] = {"imageScanFindings": {"findingSeverityCounts": {"LOW": 2, "CRITICAL": 1, "HIGH": 0}}}
    assert list(severity_counts(answer).items()) == [("CRITICAL", 1), ("LOW", 2)]
    assert severity_counts({}) == {}


def test_the_worst_are_named_with_their_packages() -> None:
    assert worst([BASIC, {"name": "CVE-3", "severity": "LOW"}, ENHANCED], "medium") == [
        "CRITICAL CVE-2 in zlib 1.2", "HIGH CVE-1 in openssl 3.0"]
    assert worst([BASIC] * 12, "low")[-1] == "... and 2 more"
