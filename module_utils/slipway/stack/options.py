"""What a task asks of a stack, checked and in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..changes import UNKNOWN
from ..errors import InvalidInput
from ..names import check_stack
from .template import INLINE_LIMIT, URL_LIMIT, Template, load_file, scalar

_ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")


@dataclass(frozen=True)
class Options:
    """The arguments of cfn_stack (library/cfn_stack.py documents them); None everywhere means untouched."""

    name: str
    template: Template | None = None
    template_url: str | None = None
    template_bucket: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    optional_parameters: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] | None = None
    purge_tags: bool = True
    capabilities: list[str] = field(default_factory=list)
    role_arn: str | None = None
    notification_arns: list[str] | None = None
    termination_protection: bool | None = None
    stack_policy: str | None = None
    rollback_triggers: list[dict[str, str]] | None = None
    rollback_monitoring_minutes: int | None = None
    on_failure: str | None = None
    disable_rollback: bool | None = None
    allow_replacement: list[str] = field(default_factory=lambda: ["all"])
    protected: list[str] = field(default_factory=list)
    recreate_failed: bool = True
    skip_resources: list[str] = field(default_factory=list)
    retain_resources: list[str] = field(default_factory=list)
    empty_on_delete: bool = False
    on_interrupt: str = "rollback"
    on_timeout: str = "leave"
    wait_timeout: float | None = None
    with_resources: bool = False

    @property
    def unknown_inputs(self) -> list[str]:
        """Parameters whose value only AWS will give (a plan of check mode passed on)."""
        return [name for name, value in self.parameters.items() if UNKNOWN in scalar(value)]

    def given(self, template: Template) -> dict[str, Any]:
        """The parameters, with those of the optional ones that the template declares."""
        known = {name: template.parameters[name].default if UNKNOWN in scalar(value) else value
                 for name, value in self.optional_parameters.items()
                 if name in template.parameters and value is not None}
        return {**known, **self.parameters}


def from_params(params: dict[str, Any]) -> Options:
    """Options from a module's arguments; the template file is read. Raises InvalidInput."""
    template = load_file(params["template"]) if params.get("template") else None
    if template and template.size > URL_LIMIT:
        raise InvalidInput(f"Template {template.source} has {template.size} bytes, CloudFormation takes {URL_LIMIT}.",
                           "Split it into nested stacks.")
    if template and template.size > INLINE_LIMIT and not params.get("template_bucket"):
        raise InvalidInput(f"Template {template.source} has {template.size} bytes, CloudFormation takes "
                           f"{INLINE_LIMIT} inline.", "Name an S3 bucket in 'template_bucket' to pass it through.")
    if params.get("on_failure") and params.get("disable_rollback") is not None:
        raise InvalidInput("on_failure and disable_rollback are both given.",
                           "Give on_failure for a first create, or disable_rollback.")
    return Options(
        name=check_stack(params["name"]),
        template=template,
        template_url=params.get("template_url"),
        template_bucket=params.get("template_bucket"),
        parameters={**(params.get("parameters") or {}), **(params.get("secret_parameters") or {})},
        optional_parameters=params.get("optional_parameters") or {},
        tags=None if params.get("tags") is None else _tags(params["tags"]),
        purge_tags=params["purge_tags"],
        capabilities=params.get("capabilities") or [],
        role_arn=params.get("role_arn"),
        notification_arns=params.get("notification_arns"),
        termination_protection=params.get("termination_protection"),
        stack_policy=params.get("stack_policy"),
        rollback_triggers=None if params.get("rollback_triggers") is None
        else [_trigger(given) for given in params["rollback_triggers"]],
        rollback_monitoring_minutes=params.get("rollback_monitoring_minutes"),
        on_failure=params.get("on_failure"),
        disable_rollback=params.get("disable_rollback"),
        allow_replacement=params["allow_replacement"],
        protected=params.get("protected") or [],
        recreate_failed=params["recreate_failed"],
        skip_resources=params.get("skip_resources") or [],
        retain_resources=params.get("retain_resources") or [],
        empty_on_delete=params["empty_on_delete"],
        on_interrupt=params["on_interrupt"],
        on_timeout=params["on_timeout"],
        wait_timeout=params.get("wait_timeout") or None,
        with_resources=params["with_resources"],
    )


def _tags(given: dict[str, Any]) -> dict[str, str]:
    for key, value in given.items():
        if value is None:
            raise InvalidInput(f"Tag {key} has no value.", "Give one ('' is one too), or leave the tag out.")
    return {str(key): scalar(value) for key, value in given.items()}


def _trigger(given: Any) -> dict[str, str]:
    """A RollbackTrigger; an ARN alone is that of a plain alarm, for it does not tell a composite one apart."""
    alarm = {"arn": given} if isinstance(given, str) else given
    if not isinstance(alarm, dict) or set(alarm) - {"arn", "type"} or not alarm.get("arn"):
        raise InvalidInput(f"rollback_triggers has {given!r}.", "Give an alarm's ARN, or a mapping with arn and type.")
    kind = str(alarm.get("type") or _ALARMS[0])
    if kind not in _ALARMS:
        raise InvalidInput(f"The type of rollback trigger {alarm['arn']} is {kind}.",
                           f"CloudFormation takes {' and '.join(_ALARMS)}.")
    return {"Arn": str(alarm["arn"]), "Type": kind}
