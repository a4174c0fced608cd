"""AWS::CodePipeline::Pipeline and ::CustomActionType: the operations of the API, with CloudFormation's names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import engine, ministack, shapes
from .errors import ServiceError
from .operations import custom_types, pipelines, transitions
from .operations.tags import set_tags
from .store import Json, store

CALLER = "cloudformation.amazonaws.com"
PIPELINE, ACTION_TYPE = "AWS::CodePipeline::Pipeline", "AWS::CodePipeline::CustomActionType"
#: Members of a pipeline that are no part of its declaration.
_APART = ("Tags", "DisableInboundStageTransitions", "RestartExecutionOnUpdate")


# --- from CloudFormation's names to the API's -----------------------------------------------------------------------

def from_properties(shape: Any, value: Any, path: str) -> Any:
    """The value of a property as the service's model has it: names begin small, text becomes numbers and booleans.
    Raises ValueError where the model has no such property."""
    if shape.type_name == "structure" and isinstance(value, dict):
        known = {name[:1].upper() + name[1:]: name for name in shape.members}
        unknown = sorted(set(value) - set(known))
        if unknown:
            raise ValueError(f"Encountered unsupported property {path}/{unknown[0]}")
        return {known[name]: from_properties(shape.members[known[name]], item, f"{path}/{name}")
                for name, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [from_properties(shape.member, item, f"{path}/{number}") for number, item in enumerate(value)]
    if shape.type_name == "map" and isinstance(value, dict):
        return {str(key): from_properties(shape.value, item, f"{path}/{key}") for key, item in value.items()}
    return _scalar(shape.type_name, value)


def _scalar(kind: str, value: Any) -> Any:
    if kind == "integer" and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if kind == "boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    return str(value) if kind == "string" and isinstance(value, (int, float)) else value


def _tags(props: Json) -> list[Json]:
    return [{"key": str(item["Key"]), "value": str(item["Value"])} for item in props.get("Tags") or []]


class _AsCloudFormation:
    """Errors of the service in CloudFormation's words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: Any, _trace: Any) -> None:
        if isinstance(error, ServiceError):
            raise ValueError(f"{error.message} (Service: AWSCodePipeline; Status Code: 400; Error Code: {error.code}; "
                             f"Request ID: {ministack.new_uuid()}; Proxy: null)") from error


# --- pipelines ------------------------------------------------------------------------------------------------------

def _declaration(props: Json, name: str) -> Json:
    given = {key: value for key, value in props.items() if key not in _APART}
    stores = given.pop("ArtifactStores", None)
    declared: Json = from_properties(shapes.MODEL.shape_for("PipelineDeclaration"), {**given, "Name": name}, "#")
    if stores:
        shape = shapes.MODEL.shape_for("ArtifactStore")
        declared["artifactStores"] = {item["Region"]: from_properties(shape, item["ArtifactStore"], "#/ArtifactStores")
                                      for item in stores}
    shapes.check_value("PipelineDeclaration", declared, "pipeline")
    return declared


def _create_pipeline(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
    name = props.get("Name") or ministack.physical_name(stack_name, logical_id)
    with _AsCloudFormation(), store.changing():
        declared = _declaration(props, name)
        pipelines.create({"pipeline": declared, "tags": _tags(props)}, CALLER,
                         lambda pipeline: _set_transitions(pipeline, {}, props))
    return name, {"Version": "1"}


def _update_pipeline(physical_id: str, old: Json, new: Json, _stack_name: str) -> tuple[str, Json]:
    with _AsCloudFormation(), store.changing():
        declared = _declaration(new, physical_id)
        pipelines.update({"pipeline": declared}, CALLER)
        pipeline = store.pipelines[physical_id]
        store.tags.pop(pipeline["arn"], None)
        set_tags(pipeline["arn"], _tags(new))
        _set_transitions(pipeline, old, new)
        if str(new.get("RestartExecutionOnUpdate", "")).lower() == "true":
            engine.start(pipeline, {"triggerType": "StartPipelineExecution", "triggerDetail": CALLER})
        return physical_id, {"Version": str(pipeline["version"])}


def _set_transitions(pipeline: Json, old: Json, new: Json) -> None:
    before = {item["StageName"] for item in old.get("DisableInboundStageTransitions") or []}
    after = {item["StageName"]: item for item in new.get("DisableInboundStageTransitions") or []}
    request = {"pipelineName": pipeline["name"], "transitionType": "Inbound"}
    for stage, item in after.items():
        transitions.disable({**request, "stageName": stage, "reason": item["Reason"]}, CALLER)
    for stage in before - set(after):
        transitions.enable({**request, "stageName": stage}, CALLER)


def _delete_pipeline(physical_id: str, _props: Json) -> None:
    with _AsCloudFormation(), store.changing():
        pipelines.delete({"name": physical_id}, CALLER)


# --- custom action types --------------------------------------------------------------------------------------------

def _create_type(_logical_id: str, props: Json, _stack_name: str) -> tuple[str, Json]:
    shape = shapes.MODEL.operation_model("CreateCustomActionType").input_shape
    with _AsCloudFormation(), store.changing():
        given = from_properties(shape, {key: value for key, value in props.items() if key != "Tags"}, "#")
        request = shapes.check_request("CreateCustomActionType", {**given, "tags": _tags(props)})
        custom_types.create(request, CALLER)
        physical_id = "|".join((request["category"], request["provider"], request["version"]))
    return physical_id, {"Id": physical_id}


def _update_type(physical_id: str, _old: Json, new: Json, _stack_name: str) -> tuple[str, Json]:
    """Only tags change without a replacement."""
    with _AsCloudFormation(), store.changing():
        arn = custom_types.action_type_arn(_named(physical_id))
        store.tags.pop(arn, None)
        set_tags(arn, _tags(new))
    return physical_id, {"Id": physical_id}


def _delete_type(physical_id: str, _props: Json) -> None:
    with _AsCloudFormation(), store.changing():
        custom_types.delete(_named(physical_id), CALLER)


def _named(physical_id: str) -> Json:
    return dict(zip(("category", "provider", "version"), physical_id.split("|"), strict=True))


def _all_properties(shape: Any, apart: Iterable[str] = ()) -> tuple[str, ...]:
    return tuple(name[:1].upper() + name[1:] for name in shape.members if name not in apart)


HANDLERS: dict[str, Json] = {
    PIPELINE: {"create": _create_pipeline, "update": _update_pipeline, "delete": _delete_pipeline},
    ACTION_TYPE: {"create": _create_type, "update": _update_type, "delete": _delete_type},
}
#: Properties whose change makes a new resource.
REPLACING = {
    PIPELINE: ("Name",),
    ACTION_TYPE: _all_properties(shapes.MODEL.operation_model("CreateCustomActionType").input_shape, ("tags",)),
}
