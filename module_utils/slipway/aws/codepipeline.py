"""AWS CodePipeline, one function per API call. Shapes: botocore's service model `codepipeline/2015-07-09`. All raise
AwsError."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import AwsError
from .session import Aws

_SERVICE = "codepipeline"


def executions(aws: Aws, pipeline: str, limit: int = 100) -> list[dict[str, Any]]:
    """PipelineExecutionSummary of the newest executions, newest first; a page at most (limit: up to 100)."""
    answer = aws.call(_SERVICE, "list_pipeline_executions", pipelineName=pipeline, maxResults=limit)
    return list(answer.get("pipelineExecutionSummaries", []))


def execution(aws: Aws, pipeline: str, execution_id: str) -> dict[str, Any] | None:
    """PipelineExecution; None for an unknown one."""
    try:
        answer = aws.call(_SERVICE, "get_pipeline_execution", pipelineName=pipeline, pipelineExecutionId=execution_id)
    except AwsError as error:
        if error.code == "PipelineExecutionNotFoundException":
            return None
        raise
    found: dict[str, Any] = answer["pipelineExecution"]
    return found


def action_executions(aws: Aws, pipeline: str, execution_id: str) -> list[dict[str, Any]]:
    """ActionExecutionDetail of every action of one execution, in the order in which they began."""
    found = [detail for page in _pages(aws, "list_action_executions", pipelineName=pipeline,
                                       filter={"pipelineExecutionId": execution_id})
             for detail in page.get("actionExecutionDetails", [])]
    return sorted(found, key=lambda detail: detail["startTime"])


def state(aws: Aws, pipeline: str) -> dict[str, Any] | None:
    """GetPipelineState: stageStates with their actionStates; None where there is no such pipeline."""
    try:
        return aws.call(_SERVICE, "get_pipeline_state", name=pipeline)
    except AwsError as error:
        if error.code == "PipelineNotFoundException":
            return None
        raise


def start(aws: Aws, pipeline: str, token: str) -> str:
    """Start an execution; its id. token: makes a repeated call count once."""
    answer = aws.call(_SERVICE, "start_pipeline_execution", name=pipeline, clientRequestToken=token)
    return str(answer["pipelineExecutionId"])


def custom_actions(aws: Aws) -> list[dict[str, str]]:
    """ActionTypeId of every custom action of the account."""
    return [one["id"] for page in _pages(aws, "list_action_types", actionOwnerFilter="Custom")
            for one in page.get("actionTypes", [])]


def actions_in_use(aws: Aws) -> list[dict[str, str]]:
    """ActionTypeId of every action of every pipeline, repetitions included. Costs a call for each pipeline."""
    names = [one["name"] for page in _pages(aws, "list_pipelines") for one in page.get("pipelines", [])]
    return [action["actionTypeId"] for name in names for stage in _stages(aws, name) for action in stage["actions"]]


def delete_custom_action(aws: Aws, category: str, provider: str, version: str) -> None:
    aws.call(_SERVICE, "delete_custom_action_type", category=category, provider=provider, version=version)


def _stages(aws: Aws, pipeline: str) -> list[dict[str, Any]]:
    try:
        return list(aws.call(_SERVICE, "get_pipeline", name=pipeline)["pipeline"]["stages"])
    except AwsError as error:
        if error.code == "PipelineNotFoundException":
            return []  # gone since it was listed
        raise


def _pages(aws: Aws, operation: str, **request: Any) -> Iterator[dict[str, Any]]:
    token: str | None = None
    while True:
        page = aws.call(_SERVICE, operation, **request, **({"nextToken": token} if token else {}))
        yield page
        token = page.get("nextToken")
        if not token:
            return
