"""A pipeline's declaration, against CodePipeline's rules of structure. Raises ServiceError for the first it breaks."""

from __future__ import annotations

from collections.abc import Iterator

from . import action_types, ministack, settings, variables
from .errors import ServiceError
from .store import Json

#: Keys of a stage that need conditions and rules, which the embedded CodePipeline has not.
_CONDITIONS = ("onSuccess", "beforeEntry")


def check(pipeline: Json) -> None:
    stages = pipeline["stages"]
    _check_whole(pipeline)
    _check_unique([stage["name"] for stage in stages], "InvalidStageDeclarationException", "stage name")
    namespaces: list[str] = []
    produced: set[str] = set()
    for number, stage in enumerate(stages):
        _check_stage(stage, number, mode(pipeline) == "PARALLEL")
        for actions in by_run_order(stage):
            for action in actions:
                _check_action(pipeline, stage, action)
                _check_artifacts(stage, action, produced)
                _check_references(pipeline, stage, action, namespaces)
            for action in actions:
                for artifact in action.get("outputArtifacts") or []:
                    if artifact["name"] in produced:
                        raise _bad_action(f"Output Artifact Bundle name must be unique within the pipeline. "
                                          f"{artifact['name']} has been used more than once.")
                    produced.add(artifact["name"])
                if action.get("namespace") in namespaces:
                    raise _bad_action(f"The namespace {action['namespace']} is used by more than one action.")
                namespaces += [action["namespace"]] if action.get("namespace") else []


def by_run_order(stage: Json) -> Iterator[list[Json]]:
    """The stage's actions in groups that run at once, in the order of the groups."""
    for order in sorted({run_order(action) for action in stage["actions"]}):
        yield [action for action in stage["actions"] if run_order(action) == order]


def run_order(action: Json) -> int:
    return int(action.get("runOrder") or 1)


def mode(pipeline: Json) -> str:
    return str(pipeline.get("executionMode") or "SUPERSEDED")


def _check_whole(pipeline: Json) -> None:
    stages = pipeline["stages"]
    if ("artifactStore" in pipeline) == ("artifactStores" in pipeline):
        raise _bad_structure("The pipeline needs one of artifactStore and artifactStores, and not both.")
    if "artifactStores" in pipeline and set(pipeline["artifactStores"]) != {ministack.region_name()}:
        raise _bad_structure(f"The embedded CodePipeline has no cross-region actions: artifactStores must hold the "
                             f"region {ministack.region_name()} alone.")
    if len(stages) < 2:
        raise _bad_structure(f"Pipeline has only {len(stages)} stage(s). There should be a minimum of 2 stages in a "
                             "pipeline")
    if len(stages) > settings.MAX_STAGES or sum(len(s["actions"]) for s in stages) > settings.MAX_ACTIONS:
        raise ServiceError("LimitExceededException", f"A pipeline has at most {settings.MAX_STAGES} stages and "
                           f"{settings.MAX_ACTIONS} actions.")
    if (pipeline.get("pipelineType") or "V1") == "V1":
        for name, used in (("executionMode", mode(pipeline) != "SUPERSEDED"), ("variables", pipeline.get("variables")),
                           ("triggers", pipeline.get("triggers"))):
            if used:
                raise _bad_structure(f"A pipeline of type V1 cannot have {name}; make it one of type V2.")
    if pipeline.get("triggers"):
        raise _bad_structure("The embedded CodePipeline has no triggers of connections: nothing here reaches GitHub.")
    _check_unique([item["name"] for item in pipeline.get("variables") or []], "InvalidStructureException",
                  "pipeline variable")
    if not ministack.trusts(pipeline["roleArn"]):
        raise _bad_structure(f"CodePipeline is not authorized to perform AssumeRole on role {pipeline['roleArn']}")


def _check_stage(stage: Json, number: int, parallel: bool) -> None:
    actions, name = stage["actions"], stage["name"]
    if not actions:
        raise ServiceError("InvalidStageDeclarationException", f"The stage {name} has no actions.")
    if len(actions) > settings.MAX_STAGE_ACTIONS:
        raise ServiceError("LimitExceededException", f"The stage {name} has more than {settings.MAX_STAGE_ACTIONS} "
                           "actions.")
    _check_unique([action["name"] for action in actions], "InvalidStageDeclarationException",
                  f"action name in the stage {name}")
    if stage.get("blockers"):
        raise ServiceError("InvalidBlockerDeclarationException", f"The stage {name} has blockers, which are reserved "
                           "for future use.")
    for key in _CONDITIONS:
        if stage.get(key):
            raise _bad_structure(f"The stage {name} has {key}: the embedded CodePipeline has no conditions.")
    failure = stage.get("onFailure") or {}
    if failure and (failure.get("conditions") or failure.get("result") not in ("RETRY", "ROLLBACK")):
        raise _bad_structure(f"The stage {name} has onFailure: of it, the embedded CodePipeline has the results RETRY "
                             "and ROLLBACK without conditions.")
    if failure.get("result") == "ROLLBACK" and (number == 0 or parallel):
        raise _bad_structure("The first stage cannot be rolled back." if number == 0 else
                             f"The stage {name} cannot be rolled back: the pipeline has the mode PARALLEL.")
    for action in actions:
        source = action["actionTypeId"]["category"] == "Source"
        if number == 0 and not source:
            raise _bad_structure("Pipeline should start with a stage that only contains source actions")
        if number and source:
            raise _bad_structure(f"Source actions are only allowed in the first stage, but the stage {name} has "
                                 f"{action['name']}.")


def _check_action(pipeline: Json, stage: Json, action: Json) -> None:
    kind = action["actionTypeId"]
    found = action_types.find(kind)
    if found is None:
        raise _bad_action(
            f"ActionType (Category: '{kind['category']}', Provider: '{kind['provider']}', Owner: '{kind['owner']}', "
            f"Version: '{kind['version']}') in action '{action['name']}' is not available in region "
            f"{ministack.region_name().upper().replace('-', '_')}")
    known, given = action_types.properties(found), action.get("configuration") or {}
    for name in given:
        if name not in known:
            raise _bad_action(f"Action configuration for action '{action['name']}' contains unknown configuration "
                              f"'{name}'")
    for name, item in known.items():
        if item["required"] and not given.get(name):
            raise _bad_action(f"Action configuration for action '{action['name']}' is missing required configuration "
                              f"'{name}'")
    for details, artifacts, what in (("inputArtifactDetails", "inputArtifacts", "input"),
                                     ("outputArtifactDetails", "outputArtifacts", "output")):
        count, limits = len(action.get(artifacts) or []), found[details]
        if not limits["minimumCount"] <= count <= limits["maximumCount"]:
            raise _bad_action(
                f"Action {action['name']} declares {count} {what} artifacts, which is not between the minimum count "
                f"({limits['minimumCount']}) and maximum count ({limits['maximumCount']})")
    if action.get("region") not in (None, ministack.region_name()):
        raise _bad_action(f"The embedded CodePipeline has no cross-region actions, but the action {action['name']} in "
                          f"the stage {stage['name']} is in {action['region']}.")
    if action.get("timeoutInMinutes") and kind["category"] != "Approval":
        raise _bad_action(f"The action {action['name']} has timeoutInMinutes, which only manual approvals may have.")
    if action.get("timeoutInMinutes") and pipeline.get("pipelineType") != "V2":
        raise _bad_action(f"The action {action['name']} has timeoutInMinutes, which needs a pipeline of type V2.")
    for name in ("commands", "outputVariables", "environmentVariables"):
        if action.get(name):
            raise _bad_action(f"The action {action['name']} has {name}, which only actions of the category Compute "
                              "have, and the embedded CodePipeline has none of these.")


def _check_artifacts(stage: Json, action: Json, produced: set[str]) -> None:
    for artifact in action.get("inputArtifacts") or []:
        if artifact["name"] not in produced:
            raise _bad_action(f"Input Artifact Bundle {artifact['name']} in action {action['name']} of stage "
                              f"{stage['name']} is not an Output Artifact Bundle of an earlier action.")


def _check_references(pipeline: Json, stage: Json, action: Json, namespaces: list[str]) -> None:
    for key, text in (action.get("configuration") or {}).items():
        for found, namespace in variables.references(text):
            where = (f"StageName=[{stage['name']}], ActionName=[{action['name']}], ActionConfigurationKey=[{key}], "
                     f"VariableReferenceText=[{found}]")
            if not namespace:
                raise _bad_action("Valid format for a pipeline execution variable reference is a namespace and a key "
                                  f"separated by a period (.). This one has another format: {where}")
            if namespace == variables.VARIABLES:
                names = [item["name"] for item in pipeline.get("variables") or []]
                if found.partition(".")[2] not in names:
                    raise _bad_action(f"The pipeline declares no variable of this name: {where}")
            elif namespace == variables.PIPELINE:
                if found != "codepipeline.PipelineExecutionId":
                    raise _bad_action(f"The namespace codepipeline has PipelineExecutionId alone: {where}")
            elif namespace not in namespaces:
                raise _bad_action("The following pipeline execution variables are referencing a namespace that does "
                                  f"not exist among the actions before: {where}")


def _check_unique(names: list[str], code: str, what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ServiceError(code, f"Every {what} must be unique, but there are {names.count(name)} of {name}.")


def _bad_structure(message: str) -> ServiceError:
    return ServiceError("InvalidStructureException", message)


def _bad_action(message: str) -> ServiceError:
    return ServiceError("InvalidActionDeclarationException", message)
