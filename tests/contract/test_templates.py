"""What the CloudFormation templates promise, read from the files as CloudFormation would read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint
from cfnlint.decode import decode

TEMPLATES = Path(__file__).parents[2] / "files" / "cloudformation"
INLINE_LIMIT = 51_200
SSH = 22
Json = dict[str, Any]


def load(name: str) -> Json:
    template, problems = decode(str(TEMPLATES / name))
    assert not problems, problems
    return dict(json.loads(json.dumps(template)))


def every_template() -> list[str]:
    found = sorted(path.name for path in TEMPLATES.glob("*.yml"))
    assert {"network.yml", "registry.yml", "service.yml"} <= set(found)
    return found


@pytest.fixture(scope="module")
def service() -> Json:
    return load("service.yml")


@pytest.fixture(scope="module")
def resources(service: Json) -> Json:
    return service["Resources"]


def of_type(resources: Json, kind: str) -> Json:
    found = {name: resource for name, resource in resources.items() if resource["Type"] == kind}
    assert found, f"no {kind}"
    return found


def properties(resources: Json, kind: str) -> Json:
    (resource,) = of_type(resources, kind).values()
    return resource["Properties"]


def ingress_rules(group: Json) -> Iterator[Json]:
    """The rules of a security group, each with the conditions it stands under taken away."""
    for rule in group["Properties"]["SecurityGroupIngress"]:
        for branch in rule.get("Fn::If", ["", rule])[1:]:
            if branch != {"Ref": "AWS::NoValue"}:
                yield branch


def statements(resources: Json) -> Iterator[tuple[str, list[str], Any]]:
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        policies = role["Properties"].get("Policies", [])
        # Those under a condition count as if it held.
        for policy in policies if isinstance(policies, list) else policies["Fn::If"][1]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                yield name, [actions] if isinstance(actions, str) else actions, statement["Resource"]


@pytest.mark.parametrize("name", every_template())
def test_cfn_lint_has_nothing_to_say(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Away from the checkout, so that no configuration file can quieten it.
    monkeypatch.chdir(tmp_path)
    everything = ManualArgs(include_checks=["I"], regions=["us-east-1", "eu-west-1"])
    matches = lint((TEMPLATES / name).read_text(), config=everything)
    assert [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in matches] == []


@pytest.mark.parametrize("name", every_template())
def test_no_lint_exception_is_hidden_in_the_metadata(name: str) -> None:
    assert "cfn-lint" not in (TEMPLATES / name).read_text()


@pytest.mark.parametrize("name", every_template())
def test_is_small_enough_to_be_sent_inline(name: str) -> None:
    assert (TEMPLATES / name).stat().st_size < INLINE_LIMIT


@pytest.mark.parametrize("name", every_template())
def test_parameters_outputs_and_rules_are_explained(name: str) -> None:
    template = load(name)
    parameters = template["Parameters"]
    assert [key for key, value in parameters.items() if not value.get("Description")] == []
    ruled = ("AllowedPattern", "MinValue", "MaxValue", "MinLength")
    assert [
        key
        for key, value in parameters.items()
        if any(rule in value for rule in ruled) and not value.get("ConstraintDescription")
    ] == []
    assert [key for key, value in template["Outputs"].items() if not value.get("Description")] == []


@pytest.mark.parametrize("name", every_template())
def test_knows_nothing_of_an_endpoint(name: str) -> None:
    text = (TEMPLATES / name).read_text().lower()
    assert [word for word in ("localhost", "127.0.0.1", "endpoint_url", "ministack") if word in text] == []


def test_outputs_of_one_stack_fit_the_parameters_of_the_next(service: Json) -> None:
    for name, joints in {
        "network.yml": {"VpcId", "SubnetIds"},
        "registry.yml": {"RepositoryUri", "RepositoryArn"},
    }.items():
        assert joints <= load(name)["Outputs"].keys()
        assert joints <= service["Parameters"].keys()


def test_a_release_needs_no_parameter_but_these(service: Json) -> None:
    required = {key for key, value in service["Parameters"].items() if "Default" not in value}
    assert required == {"AppName", "RepositoryUri", "RepositoryArn", "ImageTag", "VpcId", "SubnetIds"}


def test_old_task_definitions_are_kept_for_rollback(resources: Json) -> None:
    (task,) = of_type(resources, "AWS::ECS::TaskDefinition").values()
    assert task["UpdateReplacePolicy"] == "Retain"
    # Only revisions of one family can be told to be of one application.
    assert task["Properties"]["Family"] == {"Ref": "AWS::StackName"}


def test_the_image_is_pinned_by_its_digest_where_it_is_known(service: Json, resources: Json) -> None:
    (container,) = properties(resources, "AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert container["Image"] == {"Fn::If": ["HasDigest", {"Fn::Sub": "${RepositoryUri}:${ImageTag}@${ImageDigest}"},
                                             {"Fn::Sub": "${RepositoryUri}:${ImageTag}"}]}
    # A stack from before it knew digests goes on as it is.
    assert service["Parameters"]["ImageDigest"]["Default"] == ""


def test_a_failing_release_is_rolled_back(resources: Json) -> None:
    deployment = properties(resources, "AWS::ECS::Service")["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


def test_blue_green_has_all_that_ecs_asks_for_and_rolling_none_of_it(resources: Json) -> None:
    service = properties(resources, "AWS::ECS::Service")
    (balancer,) = service["LoadBalancers"]
    condition, advanced, otherwise = balancer["AdvancedConfiguration"]["Fn::If"]
    assert (condition, otherwise) == ("BlueGreen", {"Ref": "AWS::NoValue"})
    assert advanced == {"AlternateTargetGroupArn": {"Ref": "AlternateTargetGroup"},
                        "ProductionListenerRule": {"Ref": "ProductionRule"},
                        "RoleArn": {"Fn::GetAtt": ["DeploymentRole", "Arn"]}}
    assert {resources[name]["Condition"] for name in ("AlternateTargetGroup", "ProductionRule", "DeploymentRole")} == {
        "BlueGreen"}
    # Requests reach both groups alike, so their health is asked alike.
    assert resources["AlternateTargetGroup"]["Properties"] == resources["TargetGroup"]["Properties"]
    assert service["DeploymentConfiguration"]["Strategy"] == {"Ref": "DeploymentStrategy"}


def test_autoscaling_is_not_undone_by_a_release(resources: Json) -> None:
    count = properties(resources, "AWS::ECS::Service")["DesiredCount"]
    assert count == {"Fn::If": ["ScalesTasks", {"Ref": "AWS::NoValue"}, {"Ref": "DesiredCount"}]}
    assert "DesiredCapacity" not in properties(resources, "AWS::AutoScaling::AutoScalingGroup")


def test_only_the_load_balancer_reaches_the_tasks(resources: Json) -> None:
    # Rules kept apart from their group would escape this test.
    assert {resource["Type"] for resource in resources.values()}.isdisjoint(
        {"AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroup::Ingress"}
    )
    groups = of_type(resources, "AWS::EC2::SecurityGroup")
    assert groups.keys() == {"LoadBalancerSecurityGroup", "TaskSecurityGroup"}

    rules = list(ingress_rules(groups["TaskSecurityGroup"]))
    to_tasks = [rule for rule in rules if rule["FromPort"] != SSH]
    assert to_tasks == [
        {
            "Description": "From the load balancer",
            "IpProtocol": "tcp",
            "FromPort": {"Fn::If": ["OnEc2", 32768, {"Ref": "ContainerPort"}]},
            "ToPort": {"Fn::If": ["OnEc2", 65535, {"Ref": "ContainerPort"}]},
            "SourceSecurityGroupId": {"Fn::GetAtt": ["LoadBalancerSecurityGroup", "GroupId"]},
        }
    ]
    # The one other door is SSH to the instance, from the address that the user names.
    assert [(rule["ToPort"], rule["CidrIp"]) for rule in rules if rule not in to_tasks] == [(SSH, {"Ref": "YourIP"})]

    task = {"Fn::GetAtt": ["TaskSecurityGroup", "GroupId"]}
    launch = properties(resources, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert launch["SecurityGroupIds"] == [task]
    _, network, _ = properties(resources, "AWS::ECS::Service")["NetworkConfiguration"]["Fn::If"]
    assert network["AwsvpcConfiguration"]["SecurityGroups"] == [task]


def test_callers_reach_the_load_balancer_by_http_and_https_alone(resources: Json) -> None:
    rules = list(ingress_rules(resources["LoadBalancerSecurityGroup"]))
    assert [(rule["FromPort"], rule["ToPort"], rule["CidrIp"]) for rule in rules] == [
        (80, 80, {"Ref": "AllowedCidr"}),
        (443, 443, {"Ref": "AllowedCidr"}),
    ]


def test_instances_keep_their_credentials_from_the_containers(resources: Json) -> None:
    launch = properties(resources, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert launch["MetadataOptions"]["HttpTokens"] == "required"
    assert launch["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "ECS_AWSVPC_BLOCK_IMDS=true\n" in launch["UserData"]["Fn::Base64"]["Fn::Sub"]
    assert [disk["Ebs"]["Encrypted"] for disk in launch["BlockDeviceMappings"]] == [True]


def test_roles_may_do_little(resources: Json) -> None:
    anywhere = set()
    for role, actions, resource in statements(resources):
        assert not [action for action in actions if "*" in action], role
        if resource == "*":
            anywhere.update(actions)
    # The two that AWS cannot narrow to a resource.
    assert anywhere == {"ecr:GetAuthorizationToken", "ecs:DiscoverPollEndpoint"}


def test_the_execution_role_knows_one_repository_and_one_log_group(resources: Json) -> None:
    scopes = [scope for role, _, scope in statements(resources) if role == "ExecutionRole"]
    assert scopes == ["*", {"Ref": "RepositoryArn"}, {"Fn::GetAtt": ["LogGroup", "Arn"]}]
    assert "ManagedPolicyArns" not in resources["ExecutionRole"]["Properties"]


def test_the_application_may_do_nothing_unless_told(resources: Json) -> None:
    role = resources["TaskRole"]["Properties"]
    assert "Policies" not in role
    assert role["ManagedPolicyArns"] == {
        "Fn::If": ["HasTaskPolicy", [{"Ref": "TaskPolicyArn"}], {"Ref": "AWS::NoValue"}]
    }


@pytest.mark.parametrize(
    ("kind", "unnamed"),
    [("AWS::ElasticLoadBalancingV2::TargetGroup", "Name"), ("AWS::ECS::Service", "ServiceName")],
)
def test_what_another_launch_type_replaces_has_no_fixed_name(resources: Json, kind: str, unnamed: Any) -> None:
    for resource in of_type(resources, kind).values():
        assert unnamed not in resource["Properties"]


def test_images_are_immutable_scanned_and_encrypted() -> None:
    repository = properties(load("registry.yml")["Resources"], "AWS::ECR::Repository")
    assert repository["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert repository["ImageTagMutabilityExclusionFilters"] == [
        {"ImageTagMutabilityExclusionFilterType": "WILDCARD", "ImageTagMutabilityExclusionFilterValue": "cache-*"}]
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["EncryptionConfiguration"]["EncryptionType"] == {"Fn::If": ["HasKmsKey", "KMS", "AES256"]}


def test_no_release_expires() -> None:
    repository = properties(load("registry.yml")["Resources"], "AWS::ECR::Repository")
    text = repository["LifecyclePolicy"]["LifecyclePolicyText"]["Fn::Sub"]
    selections = [rule["selection"] for rule in json.loads(text.replace("${CleanupAfterDays}", "14"))["rules"]]
    assert [(pick["tagStatus"], pick.get("tagPrefixList")) for pick in selections] == [
        ("untagged", None),
        ("tagged", ["cache-"]),
    ]


def test_a_repository_with_images_outlives_a_slip() -> None:
    (repository,) = of_type(load("registry.yml")["Resources"], "AWS::ECR::Repository").values()
    assert repository["UpdateReplacePolicy"] == "Retain"
    assert "EmptyOnDelete" not in repository["Properties"]
