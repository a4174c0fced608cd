"""The state of services, their pipelines and their releases. Reads only; a part that cannot be read says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..aws import cloudformation, codepipeline, ecs, elbv2
from ..aws.session import Aws
from ..errors import AwsError
from ..ledger import book, lock
from ..rollout.diagnosis import target_groups
from ..stack import report

#: Asked for at a time.
_AT_ONCE = 8
#: Beyond so many services one list of all stacks costs less than a question for each.
_FEW_STACKS = 4
#: So many that the good release, whose commit is shown, is found behind many failures.
_RECORDS = 5 + book.MARGIN


def read(aws: Aws, services: Sequence[Mapping[str, str]], table: str) -> list[dict[str, Any]]:
    """One dict for each service: name, stack, deployed, service, pipeline, ledger, running; each None where there is no
    such thing, or {"problem": why} where it cannot be read.

    services: name, stack_name, pipeline ('' for none). table: the ledger's, '' for none.
    """
    for service in ("cloudformation", "ecs", "elbv2", "codepipeline", "dynamodb"):
        aws.client(service)  # botocore's sessions do not make two clients at a time
    stacks = _stacks(aws, [service["stack_name"] for service in services])
    outputs = {name: report.outputs(stack) for name, stack in stacks.items() if stack and "problem" not in stack}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        described = _services(aws, pool, outputs)
        return list(pool.map(
            lambda one: _one(aws, one, table, stacks[one["stack_name"]], outputs.get(one["stack_name"], {}),
                             described.get(one["stack_name"])), services))


def _one(aws: Aws, given: Mapping[str, str], table: str, stack: dict[str, Any] | None, outputs: Mapping[str, str],
         service: dict[str, Any] | None) -> dict[str, Any]:
    pipeline, name = given["pipeline"], given["stack_name"]
    good = service if service and "problem" not in service else None
    return {
        "name": given["name"],
        "stack_name": name,
        "stack": stack if stack is None or "problem" in stack else
        {"status": stack["StackStatus"], "url": outputs.get("AppURL", "")},
        "service": service,
        "targets": _tried(lambda: _targets(aws, good)) if good else None,
        "image": _tried(lambda: _image(aws, good)) if good else None,
        "pipeline": _tried(lambda: _pipeline(aws, pipeline)) if pipeline else None,
        "releases": _tried(lambda: book.read(aws, table, name, _RECORDS)) if table else None,
        "running": _tried(lambda: lock.holder(aws, table, name)) if table else None,
    }


def _tried(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except AwsError as error:
        return {"problem": error.message, "code": error.code}


def _stacks(aws: Aws, names: Sequence[str]) -> dict[str, Any]:
    if len(names) <= _FEW_STACKS:
        return {name: _tried(partial(cloudformation.describe_stack, aws, name)) for name in names}
    found = _tried(lambda: {stack["StackName"]: stack for stack in cloudformation.all_stacks(aws)})
    return dict.fromkeys(names, found) if "problem" in found else {name: found.get(name) for name in names}


def _services(aws: Aws, pool: ThreadPoolExecutor, outputs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """DescribeServices by stack; those of one cluster together."""
    clusters: dict[str, dict[str, str]] = {}
    for stack, values in outputs.items():
        if values.get("ClusterName") and values.get("ServiceName"):
            clusters.setdefault(values["ClusterName"], {})[values["ServiceName"]] = stack

    def ask(cluster: str) -> dict[str, Any]:
        wanted = clusters[cluster]
        found = _tried(lambda: ecs.describe_services(aws, cluster, list(wanted)))
        return {stack: found if "problem" in found else found.get(name) for name, stack in wanted.items()}

    return {stack: one for answer in pool.map(ask, clusters) for stack, one in answer.items()}


def _targets(aws: Aws, service: Mapping[str, Any]) -> dict[str, int]:
    """How many targets there are in each state."""
    counts: dict[str, int] = {}
    for group in target_groups(service):
        for target in elbv2.describe_target_health(aws, group):
            state = target["TargetHealth"].get("State", "unknown")
            counts[state] = counts.get(state, 0) + 1
    return counts


def _image(aws: Aws, service: Mapping[str, Any]) -> str:
    """The image of the service's first container, as its task definition names it."""
    definition = ecs.describe_task_definition(aws, service["taskDefinition"])
    return str(definition["containerDefinitions"][0]["image"])


def _pipeline(aws: Aws, name: str) -> dict[str, Any] | None:
    state = codepipeline.state(aws, name)
    if state is None:
        return None
    newest = codepipeline.executions(aws, name, 1)
    return {"name": name, "stages": state.get("stageStates", []), "execution": newest[0] if newest else None}
