"""Jenkins may do what a release and the CodePipeline plugin call, on what is theirs, and nothing else.

What a release calls is read from the product: from the tasks of role ecs_release to the modules, through module_utils
to every operation of module_utils/slipway/aws that they can reach; and, for what CloudFormation calls in Jenkins' name,
from AWS's own resource schemas.
"""

from __future__ import annotations

import ast
import fnmatch
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name
from cfnlint.decode import decode
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

ROOT = Path(__file__).resolve().parents[2]
MIND = ROOT / "module_utils" / "slipway"
Json = dict[str, Any]

#: Reached by the modules, but by options that a release does not use.
NOT_IN_A_RELEASE = {
    "cloudformation:DescribeStackDriftDetectionStatus": "only with drift",
    "cloudformation:DescribeStackResourceDrifts": "only with drift",
    "cloudformation:DetectStackDrift": "only with drift",
    "cloudformation:DeleteStack": "only where a stack is created or removed, which site.yml does",
    "cloudformation:GetStackPolicy": "only with stack_policy",
    "cloudformation:SetStackPolicy": "only with stack_policy",
    "cloudformation:GetTemplateSummary": "only with template_url",
    "cloudformation:UpdateTerminationProtection": "only with termination_protection",
    "dynamodb:TransactWriteItems": "no action of IAM's: it needs those of the items that it writes",
    "ecr:CreateRepository": "only with create, in a preview",
    "ecr:PutImageTagMutability": "only with settings of a repository that is created",
    "ecr:PutImageScanningConfiguration": "only with settings of a repository that is created",
    "ecr:GetLifecyclePolicy": "only with settings of a repository that is created",
    "ecr:PutLifecyclePolicy": "only with settings of a repository that is created",
    "ecr:DeleteLifecyclePolicy": "only with settings of a repository that is created",
    "ecr:ListTagsForResource": "only with settings of a repository that is created",
    "ecr:TagResource": "only with settings of a repository that is created",
    "ecr:UntagResource": "only with settings of a repository that is created",
    "ecr:DescribeImageScanFindings": "only with a scan gate",
    "ecr:StartImageScan": "only with a scan gate",
    "ecr:ListImages": "only to empty a repository, or to say what is in it, when it is removed",
    "ecr:BatchDeleteImage": "only to empty a repository",
    "sns:Publish": "only with ecs_release_notify_topic, a topic that this template does not know",
    "s3:ListObjectVersions": "only to empty a bucket",
    "s3:DeleteObjects": "only to empty a bucket",
    "s3:DeleteObject": "only for templates over 51,200 bytes",
    "s3:HeadBucket": "only for templates over 51,200 bytes",
    "s3:PutObject": "only for templates over 51,200 bytes",
    "ssm:GetParameters": "the service stack has no parameter of an SSM type",
}
#: AWS: "Required IAM permissions for pushing an image", and for pulling, which reading a manifest needs.
REGISTRY_PROTOCOL = {
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
}
PLUGIN = {f"codepipeline:{operation}" for operation in (
    "PollForJobs", "AcknowledgeJob", "GetJobDetails", "PutJobSuccessResult", "PutJobFailureResult")}
#: What changes in a service stack with its ImageTag, and which handlers CloudFormation then runs, rollback included.
CHANGED_BY_A_RELEASE = {
    "AWS::ECS::TaskDefinition": ("create", "read", "delete"),
    "AWS::ECS::Service": ("update", "read"),
}
PREFIXES = {"elbv2": "elasticloadbalancing"}


# --- what is called -------------------------------------------------------------------------------------------------


def named(name: str) -> list[str]:
    """The files that a name of a file stands for: where it is one of several, each of them."""
    choices = re.match(r"\{\{.*\}\}(.*)", name)
    return [f"{word}{choices[1]}" for word in re.findall(r"'([\w-]+)'", name)] if choices else [name]


def tasks_of(file: Path) -> Iterator[Json]:
    """Every task that a file of tasks runs, in its blocks and in the files that it imports or includes."""
    def every(tasks: list[Json]) -> Iterator[Json]:
        for task in tasks:
            yield task
            for part in ("block", "rescue", "always"):
                yield from every(task.get(part) or [])
            for verb in ("import_tasks", "include_tasks"):
                if other := task.get(f"ansible.builtin.{verb}"):
                    for name in named(other if isinstance(other, str) else other["file"]):
                        yield from tasks_of(file.parent / name)

    yield from every(yaml.safe_load(file.read_text()))


def modules_of_a_release() -> list[str]:
    """The modules in the tasks of role ecs_release's entry point main."""
    ours = {file.stem for file in (ROOT / "library").glob("*.py")}
    tasks = tasks_of(ROOT / "roles" / "ecs_release" / "tasks" / "main.yml")
    return sorted({module for task in tasks for module in ours & set(task)})


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """(local name, dotted name within slipway) of what `file` imports from the mind."""
    package = list(file.relative_to(MIND).parts[:-1]) if file.is_relative_to(MIND) else []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").removeprefix("ansible.module_utils.")
            if node.level:
                parts = [*package[:len(package) - node.level + 1], *filter(None, module.split("."))]
            elif module.split(".")[0] == "slipway":
                parts = module.split(".")[1:]
            else:
                continue
            for alias in node.names:
                yield alias.asname or alias.name, ".".join([*parts, alias.name])


def file_of(dotted: str) -> Path | None:
    """The file behind a dotted name, or behind the module that holds the name."""
    for name in (dotted, dotted.rpartition(".")[0]):
        path = MIND.joinpath(*name.split(".")) if name else MIND
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if name and file.is_file():
                return file
    return None


def reached(start: Path) -> set[Path]:
    todo, seen = [start], set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += [found for _, dotted in imported(file) if (found := file_of(dotted))]
    return seen


@cache
def calls_of(file: Path) -> tuple[dict[str, set[tuple[str, str]]], dict[str, set[str]]]:
    """By function of `file`: the (service, operation) pairs it calls, and the names of the functions it calls."""
    tree = ast.parse(file.read_text())
    constants = {target.id: node.value.value for node in tree.body if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)}
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    def text(node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant):
            return str(node.value)
        return str(constants[node.id]) if isinstance(node, ast.Name) and node.id in constants else None

    def boto(node: ast.AST) -> ast.Call | None:
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "call"
        return node if is_call and isinstance(node, ast.Call) and len(node.args) >= 2 else None

    #: Helpers that pass an operation on: its name -> (service, index of the argument that names the operation).
    passing: dict[str, tuple[str, int]] = {}
    for name, function in functions.items():
        arguments = [argument.arg for argument in function.args.args]
        for node in ast.walk(function):
            if (call := boto(node)) and isinstance(call.args[1], ast.Name) and call.args[1].id in arguments:
                service = text(call.args[0])
                if service:
                    passing[name] = service, arguments.index(call.args[1].id)

    operations: dict[str, set[tuple[str, str]]] = {}
    called: dict[str, set[str]] = {}
    for name, function in functions.items():
        operations[name], called[name] = set(), set()
        for node in ast.walk(function):
            if call := boto(node):
                service, operation = text(call.args[0]), text(call.args[1])
                if service and operation:
                    operations[name].add((service, operation))
                elif name not in passing and file.parent.name == "aws":
                    raise AssertionError(f"{file.name}, line {call.lineno}: which operation is this?")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called[name].add(node.func.id)
                if node.func.id in passing:
                    service, index = passing[node.func.id]
                    operation = text(node.args[index])
                    assert operation, f"{file.name}, line {node.lineno}: which operation is this?"
                    operations[name].add((service, operation))
    return operations, called


def operations_of(file: Path, function: str) -> set[tuple[str, str]]:
    """What a function calls, with what the functions of its file call that it calls."""
    operations, called = calls_of(file)
    todo, seen = [function], set()
    while todo:
        name = todo.pop()
        if name in operations and name not in seen:
            seen.add(name)
            todo += called[name]
    return {pair for name in seen for pair in operations[name]}


def operations_of_module(module: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for file in reached(ROOT / "library" / f"{module}.py"):
        if file.parent == MIND / "aws":
            continue
        # A module's own direct calls.
        found |= {pair for pairs in calls_of(file)[0].values() for pair in pairs}
        tree = ast.parse(file.read_text())
        for local, dotted in imported(file):
            if not dotted.startswith("aws."):
                continue
            target = file_of(dotted)
            assert target
            if target.stem == dotted.rpartition(".")[2]:
                used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                        and isinstance(node.value, ast.Name) and node.value.id == local}
            else:
                used = {dotted.rpartition(".")[2]}
            for function in used:
                found |= operations_of(target, function)
    return found


@cache
def actions_of_api(service: str) -> dict[str, str]:
    """boto3's method names of a service -> IAM's actions."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    prefix = PREFIXES.get(service, service)
    return {xform_name(name): f"{prefix}:{name}" for name in names}


def called_by_a_release() -> set[str]:
    pairs = {pair for module in modules_of_a_release() for pair in operations_of_module(module)}
    return {actions_of_api(service)[operation] for service, operation in pairs}


def called_by_cloudformation() -> set[str]:
    return {permission for kind, handlers in CHANGED_BY_A_RELEASE.items() for handler in handlers
            for permission in PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind)
            .schema["handlers"][handler]["permissions"]}


# --- what is allowed ------------------------------------------------------------------------------------------------

VALUES: Json = {
    "AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", "AppName": "my-network",
    "ServiceStacks": ["shop-service", "team-*-service"], "ActionProvider": "my-jenkins",
    "RepositoryArns": ["arn:aws:ecr:eu-west-1:123456789012:repository/shop"],
}


def resolved(node: Any) -> Any:
    """A part of the template with VALUES for its parameters, as CloudFormation resolves it."""
    if isinstance(node, list):
        return [resolved(part) for part in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Ref"}:
        return VALUES[node["Ref"]]
    if set(node) == {"Fn::Join"}:
        return node["Fn::Join"][0].join(resolved(node["Fn::Join"][1]))
    if set(node) == {"Fn::Split"}:
        return resolved(node["Fn::Split"][1]).split(node["Fn::Split"][0])
    if set(node) == {"Fn::Sub"}:
        text, own = node["Fn::Sub"] if isinstance(node["Fn::Sub"], list) else (node["Fn::Sub"], {})
        values = {**VALUES, **{name: resolved(value) for name, value in own.items()}}
        return re.sub(r"\$\{([\w:]+)\}", lambda match: str(values[match[1]]), text)
    return {name: resolved(value) for name, value in node.items()}


@pytest.fixture(scope="module")
def role() -> Json:
    template, problems = decode(str(ROOT / "files" / "cloudformation" / "jenkins.yml"))
    assert not problems
    return dict(json.loads(json.dumps(template))["Resources"]["Role"]["Properties"])


@pytest.fixture(scope="module")
def statements(role: Json) -> list[Json]:
    return [resolved(statement) for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(statements: list[Json], action: str, resource: str, **context: str) -> bool:
    """Whether IAM would allow the call. context: condition keys, with __ for the colon and _ for the hyphen."""
    keys = {name.replace("__", ":").replace("_", "-"): value for name, value in context.items()}
    keys.setdefault("aws:RequestedRegion", "eu-west-1")
    for statement in statements:
        assert statement["Effect"] == "Allow"
        if action not in as_list(statement["Action"]):
            continue
        if not any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"])):
            continue
        met = True
        for operator, wanted in statement.get("Condition", {}).items():
            assert operator in ("StringEquals", "ForAllValues:StringLike")
            for key, values in wanted.items():
                met &= any(fnmatch.fnmatchcase(keys.get(key, ""), value) for value in as_list(values))
        if met:
            return True
    return False


def actions(statements: list[Json]) -> set[str]:
    return {action for statement in statements for action in as_list(statement["Action"])}


def test_jenkins_may_do_what_a_release_and_the_plugin_call_and_nothing_else(statements: list[Json]) -> None:
    called = called_by_a_release()
    assert {"cloudformation:ExecuteChangeSet", "ecs:DescribeServices", "ecr:DescribeImages"} <= called
    needed = (called - set(NOT_IN_A_RELEASE)) | REGISTRY_PROTOCOL | called_by_cloudformation() | PLUGIN
    assert sorted(actions(statements)) == sorted(needed)


def test_every_exception_is_still_one() -> None:
    assert sorted(set(NOT_IN_A_RELEASE) - called_by_a_release()) == []


def test_no_action_is_a_pattern(statements: list[Json]) -> None:
    assert [action for action in actions(statements) if "*" in action] == []


def test_anything_goes_only_where_aws_knows_no_resource(statements: list[Json]) -> None:
    anywhere = actions([statement for statement in statements if statement["Resource"] == "*"])
    assert anywhere == PLUGIN - {"codepipeline:PollForJobs"} | {
        "ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition", "ecs:DescribeCapacityProviders",
        "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions", "ecs:ListTasks",
        "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
        "logs:DescribeLogGroups", "secretsmanager:DescribeSecret", "ssm:DescribeParameters"}


HERE = "eu-west-1:123456789012"


@pytest.mark.parametrize(("action", "ours", "foreign"), [
    ("cloudformation:ExecuteChangeSet", "cloudformation:{}:stack/{}/0a1b",
     "cloudformation:{}:stack/my-network-jenkins/0a1b"),
    ("ecs:UpdateService", "ecs:{}:service/{}-Cluster-aB3/{}-Service-c4D",
     "ecs:{}:service/other-Cluster-aB3/{}-Service-c4D"),
    ("ecs:DescribeServiceDeployments", "ecs:{}:service-deployment/{}-Cluster-aB3/{}-Service-c4D/x",
     "ecs:{}:service-deployment/other/{}-Service-c4D/x"),
    ("ecs:RegisterTaskDefinition", "ecs:{}:task-definition/{}:*", "ecs:{}:task-definition/{}-other:*"),
    ("ecs:DescribeTasks", "ecs:{}:task/{}-Cluster-aB3/0a1b", "ecs:{}:task/other/0a1b"),
    ("ecs:ListContainerInstances", "ecs:{}:cluster/{}-Cluster-aB3", "ecs:{}:cluster/other"),
    ("ecs:RunTask", "ecs:{}:task-definition/{}-task:7", "ecs:{}:task-definition/{}-other-task:7"),
    ("logs:GetLogEvents", "logs:{}:log-group:/ecs/{}:log-stream:20261123/web/0a1b",
     "logs:{}:log-group:/ecs/{}-other:log-stream:x"),
])
@pytest.mark.parametrize("stack", ["shop-service", "team-cart-service"])
def test_a_release_reaches_its_own_services_only(statements: list[Json], action: str, ours: str, foreign: str,
                                                 stack: str) -> None:
    own = f"arn:aws:{ours.format(HERE, stack, stack)}"
    assert allowed(statements, action, own)
    assert not allowed(statements, action, own, aws__RequestedRegion="us-east-1")
    assert not allowed(statements, action, own.replace(stack, "payroll-service"))
    assert not allowed(statements, action, f"arn:aws:{foreign.format(HERE, stack, stack)}")


def test_images_go_to_the_named_repositories_only(statements: list[Json]) -> None:
    assert allowed(statements, "ecr:PutImage", f"arn:aws:ecr:{HERE}:repository/shop")
    assert not allowed(statements, "ecr:PutImage", f"arn:aws:ecr:{HERE}:repository/payroll")


def test_the_ledger_is_written_for_its_own_services_only(statements: list[Json]) -> None:
    table = f"arn:aws:dynamodb:{HERE}:table/my-network-ledger"
    assert allowed(statements, "dynamodb:PutItem", table, dynamodb__LeadingKeys="shop-service")
    assert not allowed(statements, "dynamodb:PutItem", table, dynamodb__LeadingKeys="payroll-service")
    assert not allowed(statements, "dynamodb:PutItem", f"{table}s", dynamodb__LeadingKeys="shop-service")


def test_roles_are_handed_to_ecs_only_and_only_those_of_the_services(statements: list[Json]) -> None:
    path = "arn:aws:iam::123456789012:role/slipway"
    assert allowed(statements, "iam:PassRole", f"{path}/shop-service/x", iam__PassedToService="ecs-tasks.amazonaws.com")
    assert not allowed(statements, "iam:PassRole", f"{path}/shop-service/x", iam__PassedToService="ec2.amazonaws.com")
    assert not allowed(statements, "iam:PassRole", f"{path}/payroll-service/x",
                       iam__PassedToService="ecs-tasks.amazonaws.com")
    assert not allowed(statements, "iam:PassRole", "arn:aws:iam::123456789012:role/admin",
                       iam__PassedToService="ecs-tasks.amazonaws.com")
    template, _ = decode(str(ROOT / "files" / "cloudformation" / "service.yml"))
    paths = [resource["Properties"]["Path"] for resource in json.loads(json.dumps(template))["Resources"].values()
             if resource["Type"] == "AWS::IAM::Role"]
    assert paths == [{"Fn::Sub": "/slipway/${AWS::StackName}/"}] * len(paths)
    assert paths


def test_jobs_of_its_own_action_only_are_taken(statements: list[Json]) -> None:
    # Both spellings of AWS's documents.
    poll, ours = "codepipeline:PollForJobs", "Custom/Build/my-jenkins"
    assert allowed(statements, poll, f"arn:aws:codepipeline:{HERE}:actiontype:{ours}/2")
    assert allowed(statements, poll, f"arn:aws:codepipeline:eu-west-1::actionType:c{ours[1:]}/1")
    assert not allowed(statements, poll, f"arn:aws:codepipeline:{HERE}:actiontype:Custom/Build/other/1")


def test_nothing_of_a_service_stack_but_task_definition_and_service_changes_in_a_release() -> None:
    """Of the template: only these refer to ImageTag, and no parameter is looked up anew by CloudFormation."""
    template, _ = decode(str(ROOT / "files" / "cloudformation" / "service.yml"))
    document = json.loads(json.dumps(template))
    assert [name for name, p in document["Parameters"].items() if p["Type"].startswith("AWS::SSM::")] == []

    def refers(resource: Json, names: set[str]) -> bool:
        text = json.dumps(resource)
        return any(f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text or f'"Fn::GetAtt": ["{name}"' in text
                   for name in names)

    # The scaling target names the service, whose name stays.
    resources = {name: resource for name, resource in document["Resources"].items()
                 if resource["Type"] != "AWS::ApplicationAutoScaling::ScalableTarget"}
    changed: set[str] = set()
    while new := {name for name, resource in resources.items() if refers(resource, changed | {"ImageTag"})} - changed:
        changed |= new
    assert {document["Resources"][name]["Type"] for name in changed} == set(CHANGED_BY_A_RELEASE)


def test_the_policies_fit_into_a_role(role: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS counts the characters of all inline policies of a role, white space left out: 10,240 at most."""
    sizes = {}
    for count in (1, 10):
        monkeypatch.setitem(VALUES, "ServiceStacks", [f"my-team-shop-{n:02}-service" for n in range(count)])
        sizes[count] = sum(len(re.sub(r"\s", "", json.dumps(resolved(policy["PolicyDocument"]))))
                           for policy in role["Policies"])
    assert sizes[10] < 10_240 - 10 * 80  # a repository's ARN each
    # The preflight's estimate of one stack's share is none too low.
    share = (sizes[10] - sizes[1]) / 9
    assert share <= 8 * (58 + len("my-team-shop-01-service"))


def test_containers_cannot_take_the_credentials_of_the_host() -> None:
    template, _ = decode(str(ROOT / "files" / "cloudformation" / "jenkins.yml"))
    data = json.loads(json.dumps(template))["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert [disk["Ebs"]["Encrypted"] for disk in data["BlockDeviceMappings"]] == [True]


def test_no_door_but_ssh_from_one_range_or_none_at_all() -> None:
    template, _ = decode(str(ROOT / "files" / "cloudformation" / "jenkins.yml"))
    document = json.loads(json.dumps(template))
    (group,) = [r for r in document["Resources"].values() if r["Type"] == "AWS::EC2::SecurityGroup"]
    condition, with_ssh, without = group["Properties"]["SecurityGroupIngress"]["Fn::If"]
    assert (condition, without) == ("OverSsh", [])
    assert [(rule["FromPort"], rule["ToPort"], rule["CidrIp"]) for rule in with_ssh] == [(22, 22, {"Ref": "YourIP"})]
    assert not [r for r in document["Resources"].values() if "SecurityGroupIngress" in r["Type"]]
    # Session Manager's permissions only where it is the way in.
    assert document["Resources"]["Role"]["Properties"]["ManagedPolicyArns"]["Fn::If"][0] == "OverSsm"
