"""The verb of ecs_preflight: every value, then what AWS says, asked all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import preflight
from ..advice import rollout as pace
from ..aws import capacity as instances
from ..aws import ecr, ecs, iam, logs, secrets
from ..aws.session import Aws
from ..errors import AwsError
from ..ledger import lock
from ..stack import template as templates
from . import capacity, checks, image, state
from .findings import Finding, refuse
from .questions import Asked, Questions
from .task import Needs, first_check, needs

_VALUES = ("app_name", "stack_name", "repository", "source", "dockerfile", "tag", "template", "parameters", "promote",
           "keep")


#: Of a service in such a state the last release was good, so a new image alone finds all that the last one found.
_GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def look(params: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """The module's result. Raises InvalidInput that names every fault, AwsError where nothing can be asked."""
    values = {name: params[name] for name in _VALUES}
    # A service that keeps its image needs a source for its first release only.
    preflight.check(**values, builds=params["builds"] and not params["keep_image"], deploys=params["builds"])
    aws = Aws(params)
    questions = Questions(aws)
    try:
        return _Look(aws, params, questions).run(values, check_mode)
    finally:
        questions.close()


class _Look:
    def __init__(self, aws: Aws, params: dict[str, Any], questions: Questions) -> None:
        self._aws = aws
        self._params = params
        self._questions = questions
        self._alone: bool = params["alone"]
        self._first_check = 0.0

    def run(self, values: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
        aws, params, ask = self._aws, self._params, self._questions.ask
        # In a run of many services the calls are rationed, and what the next module asks is not asked here too. What
        # their tasks need is looked at for those that go first, and where there is a reason to.
        many = aws.shared is not None
        identity = ask("who this is", "sts", Aws.identity)
        described = ask("the stack", "cloudformation", state.read, params["stack_name"])
        repository = ask("the repository", "ecr", ecr.describe_repository, params["repository"]) \
            if params["look"] and not many and self._alone and params["builds"] else None
        if params["builds"] and not params["promote"]:
            ecr.expect_repository(aws, params["repository"])
        # Where a release waits for another one, taking its turn says so a moment later.
        holder = ask("the ledger", "dynamodb", _holder, params["table"], params["stack_name"]) \
            if params["look"] and params["table"] and (check_mode or params["busy"] == "fail") else None

        who = identity.answer()
        preflight.check_account(params["account"], who["Account"])
        stack = described.answer()
        if stack.outputs.get("ClusterName") and stack.outputs.get("ServiceName"):
            ecs.expect_service(aws, stack.outputs["ClusterName"], stack.outputs["ServiceName"])
        findings = list(checks.stack(params["stack_name"], stack, self._alone))
        if (params["look"] and stack.deployed and not stack.busy
                and (params["canary"] or not (many and self._alone and stack.status in _GOOD))):
            findings += self._of_service(stack)
        if repository:
            findings += checks.repository(params["repository"], repository.answer_or({}))
        if holder and (other := holder.answer_or(None)):
            findings += checks.other_release(lock.describe(other), params["busy"])
        settings = pace.of_stack(self._to_be(stack), self._first_check)
        if settings and not int(self._to_be(stack).get("MaxCount") or 0):
            findings += checks.percents(pace.stuck(settings))
        refuse(findings)
        if params["keep_image"] and not stack.deployed:
            preflight.check(**values, builds=params["builds"])
        promoted = image.promoted(aws, params["repository"], image.read(params["promote"]),
                                  stack.parameters.get("RepositoryUri", "")) if params["promote"] else None
        return {"changed": False, "account": who["Account"], "arn": who["Arn"], "region": aws.region,
                "stack": stack.as_dict(), "image": promoted, "findings": [one.as_dict() for one in findings],
                "pace": self._pace(settings), "warnings": [*map(str, findings), *self._advice(settings),
                                                           *self._unanswered()], "api_calls": aws.api_calls()}

    def _to_be(self, stack: state.Stack) -> dict[str, str]:
        """The parameters that the stack will have."""
        if self._alone:
            return stack.parameters
        declared = templates.load_file(self._params["template"]).parameters if self._params["builds"] else {}
        defaults = {name: one.default for name, one in declared.items() if one.default is not None}
        given = {name: templates.scalar(value) for name, value in self._params["parameters"].items()}
        return {**defaults, **stack.parameters, **given}

    def _pace(self, settings: pace.Settings | None) -> dict[str, Any] | None:
        if not settings:
            return None
        found = pace.forecast(settings)
        return {"shortest": found.shortest, "waves": found.waves, "parts": found.parts, "stopping": found.stopping,
                "advice": [{"setting": one.setting, "message": one.message, "remedy": one.remedy}
                           for one in pace.advice(settings)]}

    def _advice(self, settings: pace.Settings | None) -> list[str]:
        """What to say about slow settings: the forecast first, so that each warning has its measure."""
        said = list(map(str, pace.advice(settings))) if settings else []
        return [" ".join([str(pace.forecast(settings)), *said])] if settings and said else []

    def _of_service(self, stack: state.Stack) -> Iterator[Finding]:
        """What the service's present task definition names, and room for tasks of it."""
        arn, cluster = stack.outputs.get("TaskDefinitionArn"), stack.outputs.get("ClusterName")
        if not arn:
            return
        ask = self._questions.ask
        defined = ask("the task definition", "ecs", ecs.describe_task_definition, arn)
        on_instances = bool(cluster) and stack.parameters.get("LaunchType", "EC2") == "EC2"
        listed = ask("the instances", "ecs", instances.container_instances, cluster) if on_instances else None
        # Made while the first two are on their way.
        for service in ("iam", "logs"):
            self._aws.client(service)
        nothing: dict[str, Any] = {}
        definition = defined.answer_or(nothing)
        if not definition:
            return
        self._first_check = first_check(definition)
        yield from self._of_needs(needs(definition))
        if listed and cluster:
            yield from self._of_room(stack, definition, cluster, listed)

    def _of_needs(self, wanted: Needs) -> Iterator[Finding]:
        ask, alone = self._questions.ask, self._alone
        roles = {what: (arn, ask(f"the {what}", "iam", iam.get_role, arn.rpartition("/")[2]))
                 for what, arn in wanted.roles.items()}
        groups = [(name, ask(f"log group {name}", "logs", logs.group_exists, name, region or None,
                             regions=[region or None])) for name, region in wanted.log_groups]
        kept = [(one, ask(f"secret {one.name}", "secretsmanager", secrets.describe_secret, one.name, one.region or None,
                          regions=[one.region or None])) for one in wanted.secrets if one.source == "secretsmanager"]
        stored = [one for one in wanted.secrets if one.source == "ssm"]
        parameters = {region: ask("parameters", "ssm", secrets.known_parameters,
                                  [one.name for one in stored if one.region == region], region or None,
                                  regions=[region or None]) for region in dict.fromkeys(one.region for one in stored)}
        unknown: dict[str, Any] = {}
        for what, (arn, role) in roles.items():
            yield from checks.role(what, arn, role.answer_or(unknown), alone)
        for name, group in groups:
            yield from checks.log_group(name, group.answer_or(True), alone)
        for one, secret in kept:
            yield from checks.secret(one, secret.answer_or(unknown), alone)
        for region, found in parameters.items():
            names = found.answer_or({one.name for one in stored})
            for one in stored:
                if one.region == region:
                    yield from checks.secret(one, unknown if one.name in names else None, alone)

    def _of_room(self, stack: state.Stack, definition: Mapping[str, Any], cluster: str,
                 listed: Asked[list[dict[str, Any]]]) -> Iterator[Finding]:
        before = len(self._questions.unanswered)
        free, task = capacity.rooms(listed.answer_or([])), capacity.size(definition)
        name = stack.outputs.get("ServiceName", "")
        # As a rule there is room, and nothing more has to be asked.
        if capacity.fitting(free, task) or not name or len(self._questions.unanswered) > before:
            return
        ask = self._questions.ask
        nothing: dict[str, dict[str, Any]] = {}
        found = ask("the service", "ecs", ecs.describe_services, cluster, [name]).answer_or(nothing).get(name, {})
        used = [item["capacityProvider"] for item in found.get("capacityProviderStrategy", [])]
        if found.get("runningCount") and not free:
            return
        none: list[dict[str, Any]] = []
        providers = ask("the capacity providers", "ecs", instances.capacity_providers, used).answer_or(none) \
            if used else none
        limit = stack.parameters.get("MaxSize", "")
        yield from checks.room(free, task, found, providers, int(limit) if limit.isdigit() else None, self._alone)

    def _unanswered(self) -> list[str]:
        unread = self._questions.unanswered
        return [f"The preflight could not look at {'; at '.join(unread)}"] if unread else []


def _holder(aws: Aws, table: str, service: str) -> dict[str, Any] | None:
    """Who holds the service's lock. Before the very first run there is no table yet, and nobody who holds it."""
    try:
        return lock.holder(aws, table, service)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return None
