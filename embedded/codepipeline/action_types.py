"""What an action can be: the types of AWS that work here, and custom ones."""

from __future__ import annotations

from typing import Any

from .store import Json, store


def _type(category: str, provider: str, inputs: tuple[int, int], outputs: tuple[int, int],
          **properties: bool) -> Json:
    """properties: name -> whether it is required."""
    return {
        "id": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}, "settings": {},
        "actionConfigurationProperties": [
            {"name": name, "required": required, "key": True, "secret": False, "queryable": False}
            for name, required in properties.items()],
        "inputArtifactDetails": {"minimumCount": inputs[0], "maximumCount": inputs[1]},
        "outputArtifactDetails": {"minimumCount": outputs[0], "maximumCount": outputs[1]}}


AWS_TYPES = [
    _type("Source", "CodeCommit", (0, 0), (1, 1), RepositoryName=True, BranchName=True, PollForSourceChanges=False,
          OutputArtifactFormat=False),
    _type("Source", "S3", (0, 0), (1, 1), S3Bucket=True, S3ObjectKey=True, PollForSourceChanges=False,
          AllowOverrideForS3ObjectKey=False),
    _type("Source", "CodeStarSourceConnection", (0, 0), (1, 1), ConnectionArn=True, FullRepositoryId=True,
          BranchName=True, OutputArtifactFormat=False, DetectChanges=False),
    _type("Invoke", "Lambda", (0, 5), (0, 5), FunctionName=True, UserParameters=False),
    _type("Approval", "Manual", (0, 0), (0, 0), NotificationArn=False, ExternalEntityLink=False, CustomData=False),
]


def key(type_id: Json) -> str:
    """Under which a custom type is stored."""
    return f"{type_id['category']}/{type_id['provider']}/{type_id['version']}"


def find(type_id: Json) -> Json | None:
    """The action type, unless there is none, or it was deleted."""
    if type_id["owner"] == "Custom":
        record = store.types.get(key(type_id))
        return record["type"] if record and not record.get("deleted") else None
    return next((known for known in AWS_TYPES if known["id"] == type_id), None)


def listed(owner: str | None) -> list[Json]:
    custom = [record["type"] for record in store.types.values() if not record.get("deleted")]
    return [known for known in (*AWS_TYPES, *custom) if owner in (None, known["id"]["owner"])]


def properties(action_type: Json) -> dict[str, Json]:
    return {item["name"]: item for item in action_type.get("actionConfigurationProperties") or []}


def url(action_type: Json | None, template: str, configuration: Json, external_id: str = "") -> str:
    """One of the type's links, filled in; '' where it has none."""
    text: Any = (action_type or {}).get("settings", {}).get(template) or ""
    for name, value in configuration.items():
        text = text.replace(f"{{Config:{name}}}", value)
    return str(text.replace("{ExternalExecutionId}", external_id))
