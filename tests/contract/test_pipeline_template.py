"""What pipeline.yml and pipeline_action.yml promise, resolved as CloudFormation resolves them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session
from cfnlint.decode import decode

TEMPLATES = Path(__file__).parents[2] / "files" / "cloudformation"
Json = dict[str, Any]
ALL_STAGES = {"StagingEnabled": "true", "StagingProjectName": "shop-stg", "ApprovalEnabled": "true",
              "ApprovalTopicArn": "arn:aws:sns:eu-west-1:123456789012:ask", "ProductionEnabled": "true",
              "ProductionProjectName": "shop-prd", "HostedZoneId": "Z1", "RecordName": "shop.example.com"}
GITHUB = {"SourceType": "GitHub", "RepositoryName": "ann/shop",
          "ConnectionArn": "arn:aws:codeconnections:eu-west-1:123456789012:connection/0a1b"}
S3 = {"SourceType": "S3", "SourceBucket": "sources"}
SOURCES: list[Json] = [{}, GITHUB, S3]
NOTHING = object()


@cache
def text_of(name: str) -> str:
    template, problems = decode(str(TEMPLATES / name))
    assert not problems, problems
    return json.dumps(template)


def load(name: str) -> Json:
    return dict(json.loads(text_of(name)))


class Resolved:
    """pipeline.yml with these parameters: conditions decided, Ref and Sub of parameters filled in."""

    def __init__(self, **parameters: str) -> None:
        self.template = load("pipeline.yml")
        self.values: Json = {name: p.get("Default") for name, p in self.template["Parameters"].items()}
        self.values |= {"AWS::StackName": "shop-pipeline", "AWS::Partition": "aws", "AWS::Region": "eu-west-1",
                        "AWS::AccountId": "123456789012", "AppName": "shop", **parameters}
        self.resources: Json = {name: self.value(one) for name, one in self.template["Resources"].items()
                                if self.condition(one.get("Condition"))}
        self.outputs = {name: self.value(one) for name, one in self.template["Outputs"].items()
                        if self.condition(one.get("Condition"))}

    def condition(self, name: str | None) -> bool:
        return name is None or bool(self.value(self.template["Conditions"][name]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [found for part in node if (found := self.value(part)) is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), = node.items()
            if function == "Ref":
                return NOTHING if argument == "AWS::NoValue" else self.values.get(argument, node)
            if function == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if function == "Fn::If":
                return self.value(argument[1 if self.condition(argument[0]) else 2])
            if function == "Fn::Equals":
                one, other = map(self.value, argument)
                return one == other
            if function in ("Fn::And", "Fn::Or", "Fn::Not"):
                parts = [self.value(part) for part in argument]
                return {"Fn::And": all(parts), "Fn::Or": any(parts), "Fn::Not": not parts[0]}[function]
            if function == "Fn::Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                known = {**self.values, **{name: self.value(part) for name, part in own.items()}}
                return re.sub(r"\$\{([\w:.]+)\}", lambda m: str(known.get(m[1], m[0])), text).replace("${!", "${")
        return {name: found for name, part in node.items() if (found := self.value(part)) is not NOTHING}

    @property
    def stages(self) -> list[Json]:
        return list(self.resources["Pipeline"]["Properties"]["Stages"])

    def actions(self) -> Iterator[tuple[str, Json]]:
        for stage in self.stages:
            for action in stage["Actions"]:
                yield f"{stage['Name']}/{action['Name']}", action

    def statements(self, role: str) -> list[Json]:
        return [one for policy in self.resources[role]["Properties"]["Policies"]
                for one in policy["PolicyDocument"]["Statement"]]

    def allowed(self, role: str) -> set[str]:
        return {action for one in self.statements(role)
                for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])}

    def of_type(self, kind: str) -> Json:
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}


def kind(action: Json) -> str:
    return "/".join(str(action["ActionTypeId"][key]) for key in ("Category", "Owner", "Provider"))


# --- stages ---------------------------------------------------------------------------------------------------------

def test_further_stages_are_off_by_default() -> None:
    assert [name for name, _ in Resolved().actions()] == [
        "Source/Source", "Build/Check", "Build/Release", "Build/Report"]


def test_all_stages_are_in_the_template_and_in_their_order() -> None:
    assert [name for name, _ in Resolved(**ALL_STAGES).actions()] == [
        "Source/Source", "Build/Check", "Build/Release", "Build/Report", "Staging/Release", "Staging/Report",
        "Staging/Test", "Approval/Approve", "Production/Release", "Production/Report", "Production/Test",
        "Production/Traffic"]


def test_the_source_is_checked_beside_its_release() -> None:
    actions = dict(Resolved().actions())
    for name in ("Check", "Release"):
        assert actions[f"Build/{name}"]["InputArtifacts"] == [{"Name": "Source"}]
    assert [actions[f"Build/{name}"].get("RunOrder", 1) for name in ("Check", "Release", "Report")] == [1, 1, 2]


@pytest.mark.parametrize("stage", ["Staging", "Approval", "Production"])
def test_each_of_them_goes_alone(stage: str) -> None:
    one = {name: value for name, value in ALL_STAGES.items() if name.startswith(stage)}
    assert [found["Name"] for found in Resolved(**one).stages] == ["Source", "Build", stage]


def test_the_model_has_the_same_stages_and_actions_and_does_nothing() -> None:
    real, mock = Resolved(**ALL_STAGES), Resolved(**ALL_STAGES, PipelineMock="true")
    assert [name for name, _ in mock.actions()] == [name for name, _ in real.actions()]
    worked = {kind(action) for name, action in mock.actions() if name not in ("Source/Source", "Approval/Approve")}
    assert worked == {"Invoke/AWS/Lambda"}
    functions = {action["Configuration"]["FunctionName"]["Ref"] for name, action in mock.actions()
                 if kind(action) == "Invoke/AWS/Lambda"}
    assert functions == {"MockFunction"} == set(mock.of_type("AWS::Lambda::Function"))
    # Neither variables nor artifacts that nobody makes.
    assert "#{" not in json.dumps(mock.stages)
    assert [name for name, action in mock.actions() if action.get("InputArtifacts")] == []


def test_jenkins_gets_the_source_once_and_then_only_what_was_released() -> None:
    jobs = {name: action for name, action in Resolved(**ALL_STAGES).actions() if kind(action) == "Build/Custom/Jenkins"}
    assert {name: action["Configuration"]["ProjectName"] for name, action in jobs.items()} == {
        "Build/Release": "shop", "Staging/Release": "shop-stg", "Production/Release": "shop-prd"}
    assert {name: [one["Name"] for one in action["InputArtifacts"]] for name, action in jobs.items()} == {
        "Build/Release": ["Source"], "Staging/Release": ["Release"], "Production/Release": ["Release"]}
    outputs = [one["Name"] for action in jobs.values() for one in action["OutputArtifacts"]]
    assert outputs == ["Release", "StagingRelease", "ProductionRelease"]


def test_every_artifact_and_variable_has_an_origin_before_it() -> None:
    made: set[str] = set()
    spaces: set[str] = set()
    for name, action in Resolved(**ALL_STAGES).actions():
        assert {one["Name"] for one in action.get("InputArtifacts", [])} <= made, name
        assert set(re.findall(r"#\{([^.}]*)", json.dumps(action["Configuration"]))) <= spaces, name
        made |= {one["Name"] for one in action.get("OutputArtifacts", [])}
        spaces |= {action.get("Namespace", "")}


@pytest.mark.parametrize("parameters", SOURCES)
def test_nothing_polls_for_commits(parameters: Json) -> None:
    found = Resolved(**parameters)
    configuration = dict(found.actions())["Source/Source"]["Configuration"]
    assert configuration.get("PollForSourceChanges", False) is False
    rules = found.of_type("AWS::Events::Rule")
    assert len(rules) == (0 if parameters is GITHUB else 1)
    assert configuration.get("DetectChanges") is (True if parameters is GITHUB else None)
    for rule in rules.values():
        (target,) = rule["Properties"]["Targets"]
        assert target["Arn"].endswith(":${Pipeline}") and target["RoleArn"] == {"Fn::GetAtt": ["EventRole", "Arn"]}
        # The tip is released, whatever order events come in.
        assert not {"Input", "InputPath", "InputTransformer"} & set(target)


def test_a_commit_to_another_branch_starts_nothing() -> None:
    (rule,) = Resolved(RepositoryBranch="live").of_type("AWS::Events::Rule").values()
    pattern = rule["Properties"]["EventPattern"]
    assert pattern["resources"] == ["arn:aws:codecommit:eu-west-1:123456789012:shop"]
    assert pattern["detail"] == {"event": ["referenceCreated", "referenceUpdated"], "referenceType": ["branch"],
                                 "referenceName": ["live"]}


def test_a_newer_commit_overtakes() -> None:
    pipeline = Resolved().resources["Pipeline"]["Properties"]
    assert (pipeline["PipelineType"], pipeline["ExecutionMode"]) == ("V2", "SUPERSEDED")


# --- what is kept, and how ------------------------------------------------------------------------------------------

def test_artifacts_are_encrypted_private_sent_by_tls_only_and_expire() -> None:
    found = Resolved()
    bucket = found.resources["ArtifactBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (lifecycle,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (lifecycle["Status"], lifecycle["ExpirationInDays"]) == ("Enabled", 30)
    (deny,) = found.resources["ArtifactBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Action"], deny["Principal"]) == ("Deny", "s3:*", "*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert deny["Resource"] == [{"Fn::GetAtt": ["ArtifactBucket", "Arn"]}, "${ArtifactBucket.Arn}/*"]


def test_a_repository_outlives_its_stack_and_artifacts_do_not() -> None:
    resources = load("pipeline.yml")["Resources"]
    assert (resources["Repository"]["DeletionPolicy"], resources["Repository"]["UpdateReplacePolicy"]) == (
        "Retain", "Retain")
    assert resources["ArtifactBucket"]["DeletionPolicy"] == "Delete"
    assert "Repository" not in Resolved(CreateRepository="false").resources
    assert "Repository" not in Resolved(**S3).resources


def test_an_old_version_of_the_action_outlives_its_replacement() -> None:
    (action,) = load("pipeline_action.yml")["Resources"].values()
    assert (action["UpdateReplacePolicy"], action["DeletionPolicy"]) == ("Retain", "Delete")
    (key,) = action["Properties"]["ConfigurationProperties"]
    assert (key["Name"], key["Key"], key["Queryable"], key["Required"], key["Secret"]) == (
        "ProjectName", True, True, True, False)
    assert action["Properties"]["Settings"]["ExecutionUrlTemplate"]["Fn::Sub"] == (
        "${JenkinsURL}/job/{Config:ProjectName}/{ExternalExecutionId}/")


def test_outputs_that_others_rely_on() -> None:
    outputs = Resolved().outputs
    assert {"PipelineName", "PipelineUrl", "ArtifactBucketName", "CloneUrlHttp", "CloneUrlSsh"} <= set(outputs)
    assert set(load("pipeline_action.yml")["Outputs"]) == {"ActionProvider", "ActionVersion"}


@pytest.mark.parametrize("parameters", [
    {"StagingEnabled": "true"}, {"ProductionEnabled": "true"}, {"SourceType": "S3"}, {"SourceType": "GitHub"},
    {"HostedZoneId": "Z1"}])
def test_a_stage_that_lacks_its_value_is_refused_before_anything_is_made(parameters: Json) -> None:
    from slipway.stack_preflight import broken_rules

    template = load("pipeline.yml")
    values = {name: p.get("Default") for name, p in template["Parameters"].items()}
    assert list(broken_rules(template["Rules"], values)) == []
    assert len(list(broken_rules(template["Rules"], {**values, **parameters}))) == 1


# --- permissions ----------------------------------------------------------------------------------------------------

#: AWS's user guide, "Add permissions to the CodePipeline service role", for each kind of source.
SOURCE_ACTIONS = {
    "CodeCommit": {"codecommit:CancelUploadArchive", "codecommit:GetBranch", "codecommit:GetCommit",
                   "codecommit:GetRepository", "codecommit:GetUploadArchiveStatus", "codecommit:UploadArchive"},
    "GitHub": {"codeconnections:UseConnection", "codestar-connections:UseConnection"},
    "S3": {"s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging",
           "s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucket"},
}
ARTIFACTS = {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:GetBucketLocation", "s3:GetBucketVersioning"}


@pytest.mark.parametrize("parameters", SOURCES)
@pytest.mark.parametrize("more", [{}, ALL_STAGES, {**ALL_STAGES, "PipelineMock": "true"}])
def test_the_pipeline_may_do_what_its_actions_need_and_nothing_else(parameters: Json, more: Json) -> None:
    found = Resolved(**{**parameters, **more})
    wanted = ARTIFACTS | SOURCE_ACTIONS[found.values["SourceType"]] | {"lambda:InvokeFunction"}
    assert found.allowed("PipelineRole") == wanted | ({"sns:Publish"} if more else set())
    for one in found.statements("PipelineRole"):
        resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        assert "*" not in resources
    invoked = {action["Configuration"]["FunctionName"]["Ref"] for _, action in found.actions()
               if kind(action) == "Invoke/AWS/Lambda"}
    (invoke,) = [one for one in found.statements("PipelineRole") if one["Action"] == "lambda:InvokeFunction"]
    assert {one["Fn::GetAtt"][0] for one in invoke["Resource"]} == invoked


def test_eventbridge_may_start_this_pipeline_only() -> None:
    (one,) = Resolved().statements("EventRole")
    assert (one["Action"], one["Resource"]) == (
        "codepipeline:StartPipelineExecution", "arn:aws:codepipeline:eu-west-1:123456789012:${Pipeline}")


@pytest.mark.parametrize("parameters", [*SOURCES, ALL_STAGES, {"PipelineMock": "true"}])
def test_no_role_is_left_over_and_none_has_a_pattern_for_an_action(parameters: Json) -> None:
    found = Resolved(**parameters)
    text = json.dumps({name: one for name, one in found.resources.items() if one["Type"] != "AWS::IAM::Role"})
    for role in found.of_type("AWS::IAM::Role"):
        assert f'["{role}", "Arn"]' in text
        assert [action for action in found.allowed(role) if "*" in action] == []


def test_anything_goes_only_where_aws_knows_no_resource() -> None:
    found = Resolved(**ALL_STAGES)
    anywhere = {action for role in found.of_type("AWS::IAM::Role") for one in found.statements(role)
                if one["Resource"] == "*" for action in one["Action"]}
    assert anywhere == {"codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"}


# --- functions ------------------------------------------------------------------------------------------------------

def functions() -> dict[str, Json]:
    return {name: one["Properties"] for name, one in load("pipeline.yml")["Resources"].items()
            if one["Type"] == "AWS::Lambda::Function"}


def source_of(name: str) -> str:
    return str(functions()[name]["Code"]["ZipFile"])


@pytest.mark.parametrize("name", sorted(functions()))
def test_a_function_is_small_documented_and_needs_nothing_but_boto3(name: str) -> None:
    source = source_of(name)
    assert len(source.encode()) <= 4096
    assert (functions()[name]["Runtime"], functions()[name]["Handler"]) == ("python3.13", "index.handler")
    tree = ast.parse(source)
    handler = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handler")
    assert (ast.get_docstring(handler) or "").startswith("Event: a job of CodePipeline")
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import)
                for alias in node.names}
    assert imported <= {"boto3", "io", "json", "tarfile", "time", "urllib", "zipfile"}


@pytest.mark.parametrize("name", sorted(functions()))
def test_a_function_may_do_what_it_calls(name: str) -> None:
    tree = ast.parse(source_of(name))
    clients = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = (zip(target.elts, value.elts, strict=True)
                     if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) else [(target, value)])
            for one, call in pairs:
                # A client with credentials of its own is the job's, and the role's permissions do not count for it.
                if (isinstance(one, ast.Name) and isinstance(call, ast.Call) and len(call.args) == 1
                        and not call.keywords and isinstance(call.func, ast.Attribute) and call.func.attr == "client"):
                    clients[one.id] = str(ast.literal_eval(call.args[0]))
    assert clients
    called = set()
    for node in ast.walk(tree):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name) and node.func.value.id in clients):
            service, method = clients[node.func.value.id], node.func.attr
            if method == "get_paginator":
                method = str(ast.literal_eval(node.args[0]))
            names = {xform_name(one): one for one in get_session().get_service_model(service).operation_names}
            called.add(f"{service}:{names[method]}")
    role = functions()[name]["Role"]["Fn::GetAtt"][0]
    found = Resolved(**{**ALL_STAGES, **({"PipelineMock": "true"} if name == "MockFunction" else {})})
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    # One role for functions that report, of which the mock reports success only.
    assert called | logs | {"codepipeline:PutJobFailureResult"} == found.allowed(role)


def namespace_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Json:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found: Json = {}
    exec(compile(source_of(name), name, "exec"), found)
    return found


def test_a_summary_says_what_a_person_wants_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = namespace_of("ReportFunction", monkeypatch)["summary"]
    record = {"tag": "20261123-085347", "digest": "sha256:22363e1863d936a1", "commit": "3f2c9a1d", "seconds": 8.21,
              "url": "http://shop", "changed": True}
    assert summary(record) == "Released 3f2c9a1 as 20261123-085347 (sha256:22363e1863d9) in 8.2 s: http://shop"
    assert summary({**record, "commit": ""}).startswith("Released 20261123-085347 (")
    assert summary({**record, "changed": False}) == (
        "Nothing changed: 20261123-085347 (sha256:22363e1863d9) runs already: http://shop")
    assert summary({**record, "build_url": "http://jenkins/job/shop/7/"}).splitlines() == [
        summary(record), "The build: http://jenkins/job/shop/7/"]
    # One whose process ended early, of which the ledger knows less.
    assert summary({**record, "digest": "", "seconds": None}) == "Released 3f2c9a1 as 20261123-085347: http://shop"
    assert summary({}) == "Released an image"


@pytest.mark.parametrize(("name", "out"), [
    ("index.php", False), ("a/..b/c", False), ("a/b:c", False), (".", False), ("../x", True), ("a/../../x", True),
    ("/etc/passwd", True), ("..", True), ("..\\x", True), ("C:/x", True)])
def test_a_name_that_leads_out_of_a_folder(monkeypatch: pytest.MonkeyPatch, name: str, out: bool) -> None:
    assert namespace_of("CheckFunction", monkeypatch)["leads_out"](name) is out
