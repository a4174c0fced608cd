"""What a stack is: status, outputs, parameters, resources and, on request, its drift. Changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..changes import HIDDEN
from ..errors import SlipwayError
from ..polling import Deadline, delays
from ..progress import Phases, Progress
from . import report, secrecy


def read(aws: Aws, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The result of cfn_stack_info; `exists` is False where there is no such stack."""
    phases = Phases()
    name = params["name"]
    with phases("read"):
        stack = cloudformation.describe_stack(aws, name)
        if stack is None:
            return report.result(aws, None, phases, stack_name=name, exists=False, changed=False)
        found = report.result(aws, stack, phases, exists=True, changed=False)
        if params["resources"]:
            found["resources"] = report.resources(cloudformation.stack_resources(aws, stack["StackId"]))
    if params["drift"]:
        with phases("drift"):
            deadline = Deadline(params["wait_timeout"] or None)
            detection = cloudformation.detect_drift(aws, stack["StackId"])
            for delay in delays(first=0.4, limit=5.0):
                state = cloudformation.drift_detection(aws, detection)
                if state["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                    break
                if deadline.passed:
                    raise SlipwayError(f"The drift of stack {name} was not found within {deadline.elapsed:.0f} s.",
                                       "Raise wait_timeout.")
                progress.heartbeat(f"... looking for drift in {name}")
                time.sleep(deadline.cap(delay))
            found["drift"] = {
                "status": state.get("StackDriftStatus"),
                "detection_status": state["DetectionStatus"],
                "reason": state.get("DetectionStatusReason"),
                "resources": [_drift(d) for d in cloudformation.resource_drifts(aws, stack["StackId"])],
            }
    found["phases"], found["api_calls"], found["retries"] = phases.seconds, aws.api_calls(), aws.retries
    return found


def _drift(drift: dict[str, Any]) -> dict[str, Any]:
    whole = [_data(drift.get(key) or "{}") for key in ("ExpectedProperties", "ActualProperties")]
    return {
        "logical_resource_id": drift["LogicalResourceId"],
        "resource_type": drift["ResourceType"],
        "physical_resource_id": drift.get("PhysicalResourceId"),
        "status": drift["StackResourceDriftStatus"],
        "differences": [
            {"path": d["PropertyPath"], "type": d["DifferenceType"],
             "expected": _value(d["PropertyPath"], d["ExpectedValue"], whole),
             "actual": _value(d["PropertyPath"], d["ActualValue"], whole)}
            for d in drift.get("PropertyDifferences", [])],
    }


def _value(path: str, text: str, whole: Sequence[Any] = ()) -> Any:
    """The value at `path`, secrets hidden. whole: all properties, for the name of an entry is beside its value."""
    if secrecy.is_secret(path) or any(_is_secret_at(path, properties) for properties in whole):
        return HIDDEN
    return secrecy.concealed(_data(text))


def _is_secret_at(path: str, properties: Any) -> bool:
    """Whether `properties`, on the way down `path` (/Environment/3/Value), name it as a secret."""
    here = properties
    for part in path.strip("/").split("/"):
        if isinstance(here, dict):
            if part in secrecy.secret_keys(here):
                return True
            here = here.get(part)
        elif isinstance(here, list):
            here = here[int(part)] if part.isdecimal() and int(part) < len(here) else None
        else:
            return part == "Value"  # of an entry whose name nobody tells
    return False


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
