"""Custom action types: made, listed, deleted. A version is used once and never again."""

from __future__ import annotations

from .. import action_types, ministack, settings
from ..errors import ServiceError, invalid
from ..store import Json, store
from . import page
from .tags import set_tags


def create(request: Json, _caller: str) -> Json:
    key = action_types.key(request)
    if key in store.types:
        what = ("was deleted, and its version cannot be used again" if store.types[key].get("deleted")
                else "exists already")
        raise invalid(f"The action type {key} {what}. Choose another version.")
    if request["category"] == "Approval":
        raise invalid("A custom action cannot have the category Approval.")
    if sum(not record.get("deleted") for record in store.types.values()) >= settings.MAX_CUSTOM_TYPES:
        raise ServiceError("LimitExceededException", f"The account has {settings.MAX_CUSTOM_TYPES} custom actions, the "
                           "most that it may have.")
    _check(request)
    arn = action_type_arn(request)
    tags = set_tags(arn, request.get("tags") or [])
    found = {"id": {"category": request["category"], "owner": "Custom", "provider": request["provider"],
                    "version": request["version"]},
             "settings": request.get("settings") or {},
             "actionConfigurationProperties": request.get("configurationProperties") or [],
             "inputArtifactDetails": request["inputArtifactDetails"],
             "outputArtifactDetails": request["outputArtifactDetails"]}
    store.types[key] = {"type": found}
    return {"actionType": found, **({"tags": tags} if tags else {})}


def _check(request: Json) -> None:
    properties = request.get("configurationProperties") or []
    names = [item["name"] for item in properties]
    if len(set(names)) < len(names):
        raise invalid("Two configuration properties have the same name.")
    queryable = [item for item in properties if item.get("queryable")]
    if len(queryable) > 1:
        raise invalid("Only one configuration property can be queryable.")
    for item in queryable:
        if not item["required"] or item["secret"]:
            raise invalid(f"The queryable property {item['name']} must be required and not secret.")
    for which in ("inputArtifactDetails", "outputArtifactDetails"):
        if request[which]["minimumCount"] > request[which]["maximumCount"]:
            raise invalid(f"The minimumCount of {which} is greater than its maximumCount.")


def delete(request: Json, _caller: str) -> Json:
    """Deleting what does not exist succeeds. Pipelines that have it fail at the action from now on."""
    record = store.types.get(action_types.key(request))
    if record:
        record["deleted"] = True
        store.tags.pop(action_type_arn(request), None)
    return {}


def listed(request: Json, _caller: str) -> Json:
    return page(action_types.listed(request.get("actionOwnerFilter")), request, "actionTypes", 50)


def action_type_arn(request: Json) -> str:
    return (f"arn:aws:codepipeline:{ministack.region_name()}:{ministack.account_id()}:actiontype:Custom/"
            f"{action_types.key(request)}")


OPERATIONS = {"CreateCustomActionType": create, "DeleteCustomActionType": delete, "ListActionTypes": listed}
