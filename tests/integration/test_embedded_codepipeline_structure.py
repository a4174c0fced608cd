"""What the embedded CodePipeline refuses of a pipeline's declaration, and what CloudFormation makes of its types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.codepipeline_world import Pipeline, World, action, fresh, refused, until
from tests.integration.conftest import EmbeddedAws

Json = dict[str, Any]
LAMBDA, ASK = "Invoke/AWS/Lambda/1", "Approval/AWS/Manual/1"


@pytest.fixture(scope="module")
def world(aws: EmbeddedAws) -> World:
    return World(aws)


def stage(declared: Json, number: int) -> list[Json]:
    found: list[Json] = declared["stages"][number]["actions"]
    return found


def ask(name: str = "Ask", **more: Any) -> Json:
    return action(name, ASK, **more)


Change = Callable[[World, Json], Any]
STRUCTURE, ACTION, STAGE = ("InvalidStructureException", "InvalidActionDeclarationException",
                            "InvalidStageDeclarationException")
WRONG: list[tuple[str, str, Change]] = [
    (STRUCTURE, "minimum of 2 stages", lambda w, d: d["stages"].pop()),
    (STRUCTURE, "only contains source actions", lambda w, d: stage(d, 0).append(w.build("Early"))),
    (STRUCTURE, "only allowed in the first stage", lambda w, d: stage(d, 1).append(w.source())),
    (STRUCTURE, "one of artifactStore", lambda w, d: d.pop("artifactStore")),
    (STRUCTURE, "cross-region", lambda w, d: d.update(artifactStores={"eu-west-9": d.pop("artifactStore")})),
    (STRUCTURE, "type V1", lambda w, d: d.update(pipelineType="V1", executionMode="QUEUED")),
    (STRUCTURE, "AssumeRole", lambda w, d: d.update(roleArn=w.role + "-not")),
    (STRUCTURE, "pipeline variable", lambda w, d: d.update(variables=[{"name": "A"}, {"name": "A"}])),
    (STRUCTURE, "no conditions", lambda w, d: d["stages"][1].update(beforeEntry={"conditions": [
        {"rules": [{"name": "r", "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"}}]}]})),
    (STRUCTURE, "RETRY", lambda w, d: d["stages"][1].update(onFailure={"result": "SKIP"})),
    (STRUCTURE, "first stage cannot", lambda w, d: d["stages"][0].update(onFailure={"result": "ROLLBACK"})),
    (STRUCTURE, "PARALLEL", lambda w, d: (d.update(executionMode="PARALLEL"),
                                          d["stages"][1].update(onFailure={"result": "ROLLBACK"}))),
    (STAGE, "no actions", lambda w, d: stage(d, 1).clear()),
    (STAGE, "stage name", lambda w, d: d["stages"].append(d["stages"][1])),
    (STAGE, "action name", lambda w, d: stage(d, 1).append(w.build())),
    ("InvalidBlockerDeclarationException", "blockers", lambda w, d: d["stages"][1].update(
        blockers=[{"name": "b", "type": "Schedule"}])),
    (ACTION, "is not available in region US_EAST_1", lambda w, d: stage(d, 1).append(w.build("B", version="none"))),
    (ACTION, "unknown configuration 'Nope'", lambda w, d: stage(d, 1)[0]["configuration"].update(Nope="1")),
    (ACTION, "missing required configuration 'ProjectName'", lambda w, d: stage(d, 1)[0]["configuration"].clear()),
    (ACTION, "declares 0 output artifacts", lambda w, d: stage(d, 0)[0]["outputArtifacts"].clear()),
    (ACTION, "maximum count (5)", lambda w, d: stage(d, 1).append(w.build("B", outputs="a b c d e f"))),
    (ACTION, "must be unique within the pipeline", lambda w, d: stage(d, 1).append(w.build("B", outputs="Source"))),
    (ACTION, "not an Output Artifact Bundle", lambda w, d: stage(d, 1).append(w.build("B", inputs="Other"))),
    (ACTION, "not an Output Artifact Bundle", lambda w, d: stage(d, 1).extend(
        [w.build("B", outputs="Same"), w.build("C", inputs="Same")])),
    (ACTION, "used by more than one", lambda w, d: stage(d, 1).extend(
        [w.build("B", namespace="N"), w.build("C", namespace="N")])),
    (ACTION, "does not exist", lambda w, d: stage(d, 1).append(w.build("B", configuration={"Note": "#{N.a}"}))),
    (ACTION, "does not exist", lambda w, d: stage(d, 1).extend(
        [w.build("B", namespace="N"), w.build("C", configuration={"Note": "#{N.a}"})])),
    (ACTION, "separated by a period", lambda w, d: stage(d, 1).append(w.build("B", configuration={"Note": "#{N}"}))),
    (ACTION, "declares no variable", lambda w, d: stage(d, 1).append(
        w.build("B", configuration={"Note": "#{variables.a}"}))),
    (ACTION, "PipelineExecutionId alone", lambda w, d: stage(d, 1).append(
        w.build("B", configuration={"Note": "#{codepipeline.Other}"}))),
    (ACTION, "timeoutInMinutes", lambda w, d: stage(d, 1)[0].update(timeoutInMinutes=5)),
    (ACTION, "is in eu-west-9", lambda w, d: stage(d, 1)[0].update(region="eu-west-9")),
    (ACTION, "Compute", lambda w, d: stage(d, 1)[0].update(commands=["ls"])),
    ("ValidationException", "regular expression", lambda w, d: d.update(name="no blanks")),
    ("ValidationException", "enum", lambda w, d: d.update(executionMode="SOMETIMES")),
    ("ValidationException", "less than or equal to 999", lambda w, d: stage(d, 1)[0].update(runOrder=1000)),
]


@pytest.mark.parametrize(("code", "said", "change"), WRONG)
def test_a_wrong_declaration_is_refused(world: World, code: str, said: str, change: Change) -> None:
    declared = world.declaration(fresh("wrong"), ("Build", [world.build()]))
    change(world, declared)
    with refused(code, said):
        world.api.create_pipeline(pipeline=declared)


def test_a_right_one_of_many_parts_is_accepted(world: World) -> None:
    declared = world.declaration(
        fresh("right"), ("Build", [world.build("A", outputs="One", namespace="N"),
                                   world.build("B", inputs="Source One", runOrder=2, configuration={"Note": "#{N.a}"}),
                                   ask("C", timeoutInMinutes=5, runOrder=3)]),
        ("Next", [action("L", LAMBDA, "One", "", {"FunctionName": "f",
                                                  "UserParameters": "#{SourceVariables.CommitId}"})]))
    assert world.api.create_pipeline(pipeline=declared)["pipeline"]["version"] == 1
    shown = world.api.get_pipeline(name=declared["name"])["pipeline"]
    assert [one["name"] for one in shown["stages"]] == ["Source", "Build", "Next"]
    with refused("ValidationException", "Account does not have"):
        world.api.update_pipeline(pipeline={**declared, "name": fresh("none")})


# -- CloudFormation --------------------------------------------------------------------------------------------------

TEMPLATE: Json = {
    "Parameters": {"Version": {"Type": "String"}, "Name": {"Type": "String"}, "Provider": {"Type": "String"},
                   "Repository": {"Type": "String"}, "Order": {"Type": "Number", "Default": "1"},
                   "Bucket": {"Type": "String"}, "Role": {"Type": "String"}, "Queryable": {"Type": "String"}},
    "Resources": {
        "Kind": {"Type": "AWS::CodePipeline::CustomActionType", "Properties": {
            "Category": "Build", "Provider": {"Ref": "Provider"}, "Version": {"Ref": "Version"},
            "ConfigurationProperties": [{"Name": "ProjectName", "Required": True, "Key": "true", "Secret": False,
                                         "Queryable": {"Ref": "Queryable"}, "Type": "String"}],
            "InputArtifactDetails": {"MinimumCount": 0, "MaximumCount": "5"},
            "OutputArtifactDetails": {"MinimumCount": 0, "MaximumCount": 5},
            "Tags": [{"Key": "of", "Value": "kind"}]}},
        "Pipe": {"Type": "AWS::CodePipeline::Pipeline", "DependsOn": "Kind", "Properties": {
            "Name": {"Ref": "Name"}, "PipelineType": "V2", "ExecutionMode": "QUEUED", "RoleArn": {"Ref": "Role"},
            "ArtifactStore": {"Type": "S3", "Location": {"Ref": "Bucket"}},
            "DisableInboundStageTransitions": [{"StageName": "Build", "Reason": "Not yet"}],
            "Tags": [{"Key": "of", "Value": "pipe"}],
            "Stages": [
                {"Name": "Source", "Actions": [{
                    "Name": "Code", "OutputArtifacts": [{"Name": "Source"}],
                    "ActionTypeId": {"Category": "Source", "Owner": "AWS", "Provider": "CodeCommit", "Version": "1"},
                    "Configuration": {"RepositoryName": {"Ref": "Repository"}, "BranchName": "main",
                                      "PollForSourceChanges": False}}]},
                {"Name": "Build", "Actions": [{
                    "Name": "Release", "RunOrder": {"Ref": "Order"}, "InputArtifacts": [{"Name": "Source"}],
                    "ActionTypeId": {"Category": "Build", "Owner": "Custom", "Provider": {"Ref": "Provider"},
                                     "Version": {"Ref": "Version"}},
                    "Configuration": {"ProjectName": "cfn"}}]}]}}},
    "Outputs": {"Pipe": {"Value": {"Ref": "Pipe"}}, "Version": {"Value": {"Fn::GetAtt": ["Pipe", "Version"]}}}}


class Stack:
    def __init__(self, world: World) -> None:
        self.api, self.name = world.aws.client("cloudformation"), fresh("stack")
        self.values = {"Version": "1", "Name": fresh("cfn"), "Provider": fresh("Cfn"), "Repository": world.repository,
                       "Bucket": world.bucket, "Role": world.role, "Queryable": "true"}

    def put(self, template: Json, **changes: str) -> str:
        """Create or update it, and wait for its end."""
        self.values |= changes
        call = self.api.update_stack if "StackId" in self.values else self.api.create_stack
        given = {key: value for key, value in self.values.items() if key in template["Parameters"]}
        stack = call(StackName=self.values.get("StackId", self.name), TemplateBody=json.dumps(template), Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()])
        self.values["StackId"] = stack["StackId"]
        return self.ended()

    def delete(self) -> str:
        self.api.delete_stack(StackName=self.values["StackId"])
        return self.ended()

    def ended(self) -> str:
        def status() -> str:
            found = str(self.shown()["StackStatus"])
            return "" if found.endswith("IN_PROGRESS") else found

        return str(until(status))

    def shown(self) -> Json:
        return dict(self.api.describe_stacks(StackName=self.values["StackId"])["Stacks"][0])

    def reasons(self) -> str:
        events = self.api.describe_stack_events(StackName=self.values["StackId"])["StackEvents"]
        return " ".join(one.get("ResourceStatusReason", "") for one in events)


@pytest.fixture
def stack(world: World) -> Iterator[Stack]:
    one = Stack(world)
    yield one
    if "StackId" in one.values:
        assert one.delete() == "DELETE_COMPLETE"


def test_a_stack_makes_both_and_a_new_version_replaces_the_action(world: World, stack: Stack) -> None:
    assert stack.put(TEMPLATE) == "CREATE_COMPLETE", stack.reasons()
    name, provider = stack.values["Name"], stack.values["Provider"]
    pipeline = Pipeline(world, name)
    # Made with its transition disabled: the first execution waits.
    pipeline.waits("Build", pipeline.first())
    assert pipeline.execution(pipeline.first())["trigger"]["triggerType"] == "CreatePipeline"
    arn = world.api.get_pipeline(name=name)["metadata"]["pipelineArn"]
    tags = {one["key"]: one["value"] for one in world.api.list_tags_for_resource(resourceArn=arn)["tags"]}
    assert tags["of"] == "pipe"
    assert tags["aws:cloudformation:stack-name"] == stack.name

    template = json.loads(json.dumps(TEMPLATE))
    del template["Resources"]["Pipe"]["Properties"]["DisableInboundStageTransitions"]
    assert stack.put(template, Version="a1b2c3d4e") == "UPDATE_COMPLETE", stack.reasons()
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.shown()["Outputs"]}
    assert outputs == {"Pipe": name, "Version": "2"}
    versions = [one["id"]["version"] for one in world.api.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
                if one["id"]["provider"] == provider]
    assert versions == ["a1b2c3d4e"]
    # What was on its way in the old structure goes no further.
    assert pipeline.status(pipeline.first()) == "Cancelled"
    execution = pipeline.start()
    until(lambda: pipeline.action("Build", "Release").get("latestExecution", {}).get("status") == "InProgress")
    assert pipeline.actions(execution)[-1]["pipelineVersion"] == 2


@pytest.mark.parametrize(("changes", "said"), [
    ({"Queryable": "false"}, "exists already. Choose another version"),
    ({"Version": "0123456789"}, "less than or equal to 9"),
    ({"Role": "arn:aws:iam::000000000000:role/nobody"}, "not authorized to perform AssumeRole"),
    ({"Order": "0"}, "greater than or equal to 1")])
def test_what_the_service_refuses_fails_the_stack_with_its_words(world: World, stack: Stack, changes: dict[str, str],
                                                                  said: str) -> None:
    assert stack.put(TEMPLATE) == "CREATE_COMPLETE", stack.reasons()
    before = world.api.get_pipeline(name=stack.values["Name"])["pipeline"]
    kept = {key: stack.values.get(key, "") for key in changes}
    assert stack.put(TEMPLATE, **changes) == "UPDATE_ROLLBACK_COMPLETE"
    assert said in stack.reasons()
    after = world.api.get_pipeline(name=stack.values["Name"])["pipeline"]
    assert after["stages"] == before["stages"]
    stack.values |= kept


def test_a_property_that_does_not_exist_is_named(world: World, stack: Stack) -> None:
    template = json.loads(json.dumps(TEMPLATE))
    template["Resources"]["Pipe"]["Properties"]["Stages"][1]["Actions"][0]["RunOrders"] = 1
    assert stack.put(template) == "ROLLBACK_COMPLETE"
    assert "#/Stages/1/Actions/0/RunOrders" in stack.reasons()
    with refused("PipelineNotFoundException"):
        world.api.get_pipeline(name=stack.values["Name"])
