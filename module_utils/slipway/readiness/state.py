"""The service's stack before a release: what it is, and what its state means for the release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws

#: States of a stack that never came up: nothing of it runs, and a release makes it anew.
_NEVER_UP = frozenset({"REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE",
                       "ROLLBACK_FAILED", "DELETE_IN_PROGRESS", "DELETE_FAILED", "DELETE_COMPLETE"})


@dataclass(frozen=True)
class Stack:
    """status: CloudFormation's, '' where there is no such stack. parameters, outputs: by name."""

    status: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def deployed(self) -> bool:
        """Whether a service came up from it once, so that there is an image to keep."""
        return bool(self.status) and self.status not in _NEVER_UP

    @property
    def busy(self) -> bool:
        """Whether an operation on it is in progress."""
        return self.status.endswith("_IN_PROGRESS")

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return {"status": self.status, "deployed": self.deployed, "tag": self.parameters.get("ImageTag", ""),
                "digest": self.parameters.get("ImageDigest", ""), "cluster": self.outputs.get("ClusterName", ""),
                "service": self.outputs.get("ServiceName", "")}


def read(aws: Aws, name: str) -> Stack:
    """One call of DescribeStacks; in a run of several services one for many of them."""
    found = cloudformation.glance(aws, name, cloudformation.RECENT)
    if found is None:
        return Stack()
    return Stack(str(found["StackStatus"]),
                 {p["ParameterKey"]: p.get("ParameterValue", "") for p in found.get("Parameters", [])},
                 {o["OutputKey"]: o.get("OutputValue", "") for o in found.get("Outputs", [])})
