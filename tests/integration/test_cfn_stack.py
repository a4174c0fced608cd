"""cfn_stack against the embedded AWS: every state of a stack that it can produce."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.proxy import Call, Proxy
from slipway.aws import contents
from slipway.aws.session import Aws

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN = "(known after apply)"

QUEUE = """
Parameters:
  Delay: {Type: Number, Default: 0, MaxValue: 900}
  Label: {Type: String}
  Password: {Type: String, NoEcho: true, Default: default-password}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {DelaySeconds: !Ref Delay, QueueName: !Sub '${AWS::StackName}-${Label}'}
  Secret:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Value: !Ref Password}
Outputs:
  Url: {Value: !Ref Queue}
  Label: {Value: !Ref Label}
"""

#: Takes `Seconds` and then fails: nobody signals the wait condition.
SLOW = """
Parameters:
  Seconds: {Type: Number, Default: 3}
  Marker: {Type: String, Default: a}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-${Marker}'}}
  Handle: {Type: AWS::CloudFormation::WaitConditionHandle}
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: Queue
    Properties: {Handle: !Ref Handle, Timeout: !Ref Seconds, Count: 1}
"""
ONE_QUEUE = "Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-a'}}}\n"
#: Takes until it is told to end.
SIGNALLED = """
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-a'}}
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    CreationPolicy: {ResourceSignal: {Count: 1, Timeout: PT5M}}
"""


class Stack:
    """A stack of its own, and the module run on it as Ansible runs it: JSON in, JSON out."""

    def __init__(self, aws: Any, folder: Path) -> None:
        self.aws, self.folder = aws, folder
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.cloudformation = aws.client("cloudformation")
        self.lines: list[str] = []

    def template(self, body: str, name: str = "stack.yml") -> str:
        path = self.folder / name
        path.write_text(body)
        return str(path)

    def start(self, module: str = "cfn_stack", check: bool = False, **arguments: Any) -> subprocess.Popen[str]:
        self.progress = self.folder / f"progress-{uuid.uuid4().hex}"
        arguments = {"name": self.name, "progress_file": str(self.progress), "_ansible_check_mode": check,
                     "_ansible_diff": True, **arguments}
        program = (f"import runpy, ansible.module_utils as m; m.__path__.append({str(ROOT / 'module_utils')!r}); "
                   f"runpy.run_path({str(ROOT / 'library' / module)!r} + '.py', run_name='__main__')")
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **self.aws.env})
        assert process.stdin
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        process.stdin = None
        return process

    def end(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, err = process.communicate(timeout=120)
        assert not err or "Traceback" not in err, err
        assert "Traceback" not in out, out
        self.output = out
        self.lines = [record["text"] for record in map(json.loads, self.progress.read_text().splitlines())
                      if "text" in record]
        result: dict[str, Any] = json.loads(out)
        return result

    def run(self, **arguments: Any) -> dict[str, Any]:
        return self.end(self.start(**arguments))

    def good(self, **arguments: Any) -> dict[str, Any]:
        result = self.run(**arguments)
        assert not result.get("failed"), result["msg"]
        return result

    def bad(self, **arguments: Any) -> dict[str, Any]:
        result = self.run(**arguments)
        assert result.get("failed"), result
        return result

    def status(self) -> str | None:
        try:
            return str(self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])
        except self.cloudformation.exceptions.ClientError:
            return None

    def pending_change_sets(self) -> list[str]:
        """Those that nobody executed. The embedded AWS calls an executed one complete a moment after its stack, and
        gives each that is to create the stack an empty stack of its own.
        """
        present = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackId"]
        summaries = self.cloudformation.list_change_sets(StackName=self.name)["Summaries"]
        return [s["ChangeSetName"] for s in summaries if s["StackId"] == present
                and s["ExecutionStatus"] not in ("EXECUTE_IN_PROGRESS", "EXECUTE_COMPLETE")]

    def wait_for(self, status: str) -> None:
        deadline = time.monotonic() + 20
        while self.status() != status:
            assert time.monotonic() < deadline, f"{self.status()} instead of {status}"
            time.sleep(0.05)

    def wait_for_line(self, words: str) -> None:
        """Until the module that was started says so."""
        deadline = time.monotonic() + 60
        while not (self.progress.exists() and words in self.progress.read_text()):
            assert time.monotonic() < deadline, f"it never said {words!r}"
            time.sleep(0.05)

    def signal(self) -> None:
        """End the wait of SIGNALLED, once it waits."""
        deadline = time.monotonic() + 60
        while True:
            newest = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"][0]
            if (newest["LogicalResourceId"], newest["ResourceStatus"]) == ("Wait", "CREATE_IN_PROGRESS"):
                break
            assert time.monotonic() < deadline, newest
            time.sleep(0.05)
        self.cloudformation.signal_resource(StackName=self.name, LogicalResourceId="Wait", UniqueId="end",
                                            Status="SUCCESS")

    def clean(self) -> None:
        with contextlib.suppress(Exception):
            self.cloudformation.delete_stack(StackName=self.name)


@pytest.fixture
def stack(aws: Any, tmp_path: Path) -> Iterator[Stack]:
    found = Stack(aws, tmp_path)
    yield found
    found.clean()


def test_create_update_keep_nothing_delete(stack: Stack) -> None:
    template = stack.template(QUEUE)
    created = stack.good(template=template, parameters={"Label": "one"}, tags={"a": "b"})
    assert created["changed"]
    assert created["status"] == "CREATE_COMPLETE"
    assert created["outputs"]["Label"] == "one"
    assert created["parameters"]["Password"] == "(hidden)"
    assert created["tags"] == {"a": "b"}
    assert created["events"][-1]["status"] == "CREATE_COMPLETE"
    assert stack.lines[0] == f"{stack.name}: 2 to add"
    assert any("CREATE_COMPLETE" in line and "AWS::SQS::Queue" in line and "Queue" in line for line in stack.lines)

    again = stack.good(template=template, parameters={"Label": "one"}, tags={"a": "b"})
    assert not again["changed"]
    assert again["outputs"] == created["outputs"]
    assert sum(again["api_calls"].values()) <= 3
    assert stack.lines == []

    updated = stack.good(template=template, parameters={"Delay": 5})
    assert updated["changed"]
    assert updated["parameters"]["Label"] == "one"
    assert updated["tags"] == {"a": "b"}
    (change,) = [c for c in updated["changes"] if c["logical_resource_id"] == "Queue"]
    assert change["properties"] == [{"path": "DelaySeconds", "before": "0", "after": "5"}]
    assert updated["summary"].startswith(f"{stack.name}: ")

    without_template = stack.good(parameters={"Delay": 6})
    assert without_template["parameters"]["Delay"] == "6"
    assert not stack.good()["changed"]

    gone = stack.good(state="absent")
    assert gone["changed"]
    assert stack.status() is None
    assert not stack.good(state="absent")["changed"]


def test_check_mode_leaves_nothing(stack: Stack) -> None:
    template = stack.template(QUEUE)
    planned = stack.good(check=True, template=template, parameters={"Label": "one"})
    assert planned["changed"]
    assert planned["outputs"] == {"Url": UNKNOWN, "Label": UNKNOWN}
    assert "Queue (AWS::SQS::Queue): added" in planned["diff"]["after"]
    assert stack.status() is None

    stack.good(template=template, parameters={"Label": "one"})
    planned = stack.good(check=True, template=template, parameters={"Label": "two"})
    assert planned["changed"]
    assert f"Queue.QueueName: {stack.name}-two" in planned["diff"]["after"]
    assert "Queue (AWS::SQS::Queue): replaced" in planned["diff"]["after"]
    assert stack.status() == "CREATE_COMPLETE"
    assert stack.pending_change_sets() == []
    assert stack.good(check=True, state="absent")["changed"]
    assert stack.status() == "CREATE_COMPLETE"


def test_unknown_inputs_are_planned_from_the_template(stack: Stack) -> None:
    planned = stack.good(check=True, template=stack.template(QUEUE), parameters={"Label": UNKNOWN})
    assert planned["changed"]
    assert planned["outputs"]["Url"] == UNKNOWN
    assert planned["api_calls"] == {}
    assert "Label" in stack.bad(template=stack.template(QUEUE), parameters={"Label": UNKNOWN})["msg"]


def test_input_is_refused_before_any_call(stack: Stack) -> None:
    refused = stack.bad(template=stack.template(QUEUE), parameters={"Delay": "soon", "Lable": "x"})
    assert "Delay is 'soon'" in refused["msg"]
    assert "did you mean Label?" in refused["msg"]
    missing = stack.bad(template=stack.template(QUEUE))
    assert "Label has neither a value nor a default" in missing["msg"]
    assert stack.status() is None
    assert "line 2" in stack.bad(template=stack.template("Resources: ["))["msg"]
    assert "cannot be read" in stack.bad(template="/nowhere.yml")["msg"]
    assert "no template" in stack.bad()["msg"]


def test_secrets_appear_nowhere(stack: Stack) -> None:
    template = stack.template(QUEUE)
    for arguments in ({"Password": "hunter22hunter"}, {"Password": "swordfish99"}):
        stack.good(template=template, parameters={"Label": "a", **arguments})
        assert not any(secret in stack.output + "".join(stack.lines) for secret in arguments.values())
    stack.good(check=True, template=template, parameters={"Password": "letmein123"})
    assert "letmein123" not in stack.output
    stack.bad(template=template, parameters={"Password": "letmein123", "Delay": "x"})
    assert "letmein123" not in stack.output
    stack.bad(template="/nowhere.yml", parameters={"Password": "letmein123"})
    assert "letmein123" not in stack.output


def test_termination_protection_alone_is_a_change(stack: Stack) -> None:
    template = stack.template(ONE_QUEUE)
    stack.good(template=template)
    assert stack.good(template=template, termination_protection=True, check=True)["changed"]
    assert stack.good(template=template, termination_protection=True)["termination_protection"]
    assert not stack.good(template=template, termination_protection=True)["changed"]
    assert not stack.good(template=template)["changed"]
    assert "protected against termination" in stack.bad(state="absent")["msg"]
    stack.good(state="absent", termination_protection=False)


def test_tags(stack: Stack) -> None:
    template = stack.template(ONE_QUEUE)
    stack.good(template=template, tags={"a": "1", "b": "2"})
    assert not stack.good(template=template)["changed"]
    assert stack.good(template=template, tags={"c": "3"}, purge_tags=False)["tags"] == {"a": "1", "b": "2", "c": "3"}
    changed = stack.good(template=template, tags={"c": "3"})
    assert changed["tags"] == {"c": "3"}
    assert "tag a: 1" in changed["diff"]["before"]


def test_capabilities_are_asked_for_by_name(stack: Stack) -> None:
    template = stack.template("""
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub '${AWS::StackName}-role'
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: sts:AssumeRole}]
""")
    refused = stack.bad(template=template)
    assert "CAPABILITY_NAMED_IAM for Role (AWS::IAM::Role)" in refused["msg"]
    stack.good(template=template, capabilities=["CAPABILITY_NAMED_IAM"])
    assert not stack.good(template=template)["changed"]


def test_protected_resources_are_not_replaced(stack: Stack) -> None:
    template = stack.template(QUEUE)
    stack.good(template=template, parameters={"Label": "a"})
    refused = stack.bad(template=template, parameters={"Label": "b"}, protected=["AWS::SQS::*"])
    assert "Queue (AWS::SQS::Queue) would be replaced, but it is protected" in refused["msg"]
    assert "allow_replacement" in stack.bad(template=template, parameters={"Label": "b"}, allow_replacement=[])["msg"]
    assert stack.pending_change_sets() == []
    assert stack.status() == "CREATE_COMPLETE"


def test_failed_create_leads_with_its_cause_and_is_created_anew(stack: Stack) -> None:
    failed = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 1})
    assert failed["msg"].startswith("Wait (AWS::CloudFormation::WaitCondition): WaitCondition timed out")
    assert failed["status"] == "ROLLBACK_COMPLETE"
    assert failed["failed_events"][0]["logical_id"] == "Wait"
    template = stack.template(ONE_QUEUE)
    assert "ROLLBACK_COMPLETE" in stack.bad(template=template, recreate_failed=False)["msg"]
    planned = stack.good(template=template, check=True)
    assert "deleted and created anew" in planned["diff"]["after"]
    assert stack.status() == "ROLLBACK_COMPLETE"
    assert stack.good(template=template)["status"] == "CREATE_COMPLETE"


def test_failed_update_is_rolled_back_and_told(stack: Stack) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    failed = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 1})
    assert failed["status"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "as it was before" in failed["remedy"]
    assert failed["root_cause"].startswith("Wait (")
    assert not stack.good(template=stack.template(ONE_QUEUE))["changed"]


@pytest.mark.parametrize(("options", "status"), [
    ({"on_failure": "rollback"}, "ROLLBACK_COMPLETE"), ({"on_failure": "delete"}, None),
    ({"on_failure": "do_nothing"}, "CREATE_FAILED"), ({"disable_rollback": True}, "CREATE_FAILED"),
    ({"disable_rollback": False}, "ROLLBACK_COMPLETE")], ids=str)
def test_what_becomes_of_a_failed_create(stack: Stack, options: dict[str, Any], status: str | None) -> None:
    failed = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 1}, **options)
    assert failed["root_cause"].startswith("Wait (AWS::CloudFormation::WaitCondition)")
    assert failed["status"] == (status or "DELETE_COMPLETE")
    assert stack.status() == status
    assert stack.good(template=stack.template(ONE_QUEUE))["status"] == "CREATE_COMPLETE"


def test_a_failed_update_that_was_left_is_rolled_back(stack: Stack) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    failed = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 1}, disable_rollback=True)
    assert failed["status"] == stack.status() == "UPDATE_FAILED"
    assert "disable_rollback" in failed["remedy"]
    assert stack.good(template=stack.template(ONE_QUEUE), tags={"a": "b"})["status"] == "UPDATE_COMPLETE"


def test_stack_policy(stack: Stack) -> None:
    template = stack.template(ONE_QUEUE)
    policies = [json.dumps({"Statement": [{"Effect": effect, "Action": "Update:*", "Principal": "*", "Resource": "*"}]})
                for effect in ("Allow", "Deny")]

    def present() -> str:
        return str(stack.cloudformation.get_stack_policy(StackName=stack.name)["StackPolicyBody"])

    stack.good(template=template, stack_policy=policies[0])
    assert present() == policies[0]
    assert not stack.good(template=template, stack_policy=policies[0])["changed"]
    assert stack.good(template=template, stack_policy=policies[1], check=True)["changed"]
    assert present() == policies[0]
    assert stack.good(template=template, stack_policy=policies[1])["changed"]
    assert present() == policies[1]


def test_operation_of_somebody_else_is_waited_for(stack: Stack) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    stack.cloudformation.update_stack(StackName=stack.name, TemplateBody=SIGNALLED)
    process = stack.start(template=stack.template(ONE_QUEUE), tags={"a": "b"})
    stack.wait_for_line("waiting for its end")
    stack.signal()
    result = stack.end(process)
    assert result["status"] == "UPDATE_COMPLETE"
    assert result["tags"] == {"a": "b"}
    assert "waiting for its end" in stack.lines[0]


def test_the_last_duration_tells_when_to_look(stack: Stack) -> None:
    """The same update again: no more than the calls that it takes to see its end, most of them around it."""
    template = stack.template(SIGNALLED, "signalled.yml")
    stack.good(template=stack.template(ONE_QUEUE))
    calls = []
    for _ in range(2):
        process = stack.start(template=template)
        stack.wait_for_line("AWS::CloudFormation::WaitCondition")
        time.sleep(8)  # what the update takes is what this is about
        stack.signal()
        result = stack.end(process)
        assert result["status"] == "UPDATE_COMPLETE"
        calls.append(result["api_calls"]["cloudformation.DescribeStackEvents"])
        stack.good(template=stack.template(ONE_QUEUE))
    first, again = calls
    assert again < first <= 20


def test_wait_limit_says_what_was_in_progress(stack: Stack) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    late = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 5}, wait_timeout=2)
    assert "still in progress: Wait (AWS::CloudFormation::WaitCondition)" in late["msg"]
    assert late["verdict"] == "timed_out"
    stack.wait_for("UPDATE_ROLLBACK_COMPLETE")


def test_what_takes_too_long_can_be_rolled_back(stack: Stack) -> None:
    late = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 60}, wait_timeout=2, on_timeout="rollback")
    assert "stopped and deleted" in late["msg"]
    assert stack.status() is None
    stack.good(template=stack.template(ONE_QUEUE))
    # The rollback, for which the limit holds anew, begins when what is in progress ends.
    late = stack.bad(template=stack.template(SLOW), parameters={"Seconds": 12}, wait_timeout=9, on_timeout="rollback")
    assert "cancelled and rolled back (UPDATE_ROLLBACK_COMPLETE)" in late["msg"]
    assert late["status"] == stack.status() == "UPDATE_ROLLBACK_COMPLETE"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_update_is_cancelled(stack: Stack, number: signal.Signals) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    process = stack.start(template=stack.template(SLOW), parameters={"Seconds": 4})
    stack.wait_for("UPDATE_IN_PROGRESS")
    process.send_signal(number)
    result = stack.end(process)
    assert "cancelled and rolled back" in result["msg"]
    assert stack.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert any("cancelling the update" in line for line in stack.lines)


def test_interrupted_create_leaves_nothing(stack: Stack) -> None:
    process = stack.start(template=stack.template(SLOW), parameters={"Seconds": 4})
    stack.wait_for("CREATE_IN_PROGRESS")
    process.send_signal(signal.SIGTERM)
    assert "deleted" in stack.end(process)["msg"]
    assert stack.status() is None


def test_interruption_can_leave_it_running(stack: Stack) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    process = stack.start(template=stack.template(SLOW), parameters={"Seconds": 3}, on_interrupt="leave")
    stack.wait_for("UPDATE_IN_PROGRESS")
    process.send_signal(signal.SIGTERM)
    assert "goes on in AWS" in stack.end(process)["msg"]
    assert stack.status() == "UPDATE_IN_PROGRESS"
    stack.wait_for("UPDATE_ROLLBACK_COMPLETE")


def test_killed_anywhere_the_next_run_converges(stack: Stack) -> None:
    chance = random.Random(3)  # noqa: S311
    template = stack.template(QUEUE)
    for round_ in range(8):
        process = stack.start(template=template, parameters={"Label": f"l{round_}"})
        time.sleep(chance.uniform(0.3, 1.2))
        process.kill()
        process.communicate()
    result = stack.good(template=template, parameters={"Label": "end"})
    assert result["outputs"]["Label"] == "end"
    assert stack.pending_change_sets() == []


class Fatal(list[Call]):
    """Calls that passed; as soon as there are so many, the process that made them is killed before it has the answer.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.process: subprocess.Popen[str] | None = None

    def append(self, call: Call) -> None:
        super().append(call)
        if len(self) == self._number and self.process:
            self.process.kill()
            self.process.wait()


FULL = """
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub '${AWS::StackName}-full'}}
  Queue: {Type: AWS::SQS::Queue}
"""


def test_killed_after_any_call_of_a_deletion_the_next_run_converges(stack: Stack) -> None:
    s3, deletions = stack.aws.client("s3"), 0
    for number in itertools.count(1):
        if stack.status() is None:
            stack.cloudformation.create_stack(StackName=stack.name, TemplateBody=FULL)
            stack.wait_for("CREATE_COMPLETE")
        for key in ("a", "b/c"):
            with contextlib.suppress(s3.exceptions.NoSuchBucket):  # the deletion goes on without us
                s3.put_object(Bucket=f"{stack.name}-full", Key=key, Body=b"x")
        with Proxy(stack.aws.env["AWS_ENDPOINT_URL"]) as proxy:
            proxy.calls = fatal = Fatal(number)
            process = fatal.process = stack.start(state="absent", empty_on_delete=True, endpoint_url=proxy.url)
            process.communicate(timeout=120)
        deletions += any(call.operation == "DeleteStack" for call in fatal)
        # Whatever is left, the next run ends with.
        stack.good(state="absent", empty_on_delete=True)
        assert stack.status() is None
        assert f"{stack.name}-full" not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        assert len(fatal) == number
    assert number > 6, "there was more to interrupt"
    assert deletions >= 2, "it was never interrupted after the deletion began"


def test_killed_after_any_call_of_a_recreation_the_next_run_converges(stack: Stack) -> None:
    template, operations = stack.template(ONE_QUEUE), set()
    for number in itertools.count(1):
        stack.cloudformation.create_stack(StackName=stack.name, TemplateBody=SLOW, Parameters=[
            {"ParameterKey": "Seconds", "ParameterValue": "1"}])
        stack.wait_for("ROLLBACK_COMPLETE")
        with Proxy(stack.aws.env["AWS_ENDPOINT_URL"]) as proxy:
            proxy.calls = fatal = Fatal(number)
            process = fatal.process = stack.start(template=template, endpoint_url=proxy.url)
            process.communicate(timeout=120)
        operations.add(fatal[-1].operation)
        # Whatever is left, the next run makes the stack of it.
        assert stack.good(template=template)["status"] == "CREATE_COMPLETE"
        assert stack.pending_change_sets() == []
        stack.cloudformation.delete_stack(StackName=stack.name)
        stack.cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack.name, WaiterConfig={"Delay": 1})
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert {"DeleteStack", "CreateChangeSet", "ExecuteChangeSet"} <= operations


def test_left_overs_of_a_killed_preview(stack: Stack) -> None:
    template = stack.template(ONE_QUEUE)
    stack.cloudformation.create_change_set(StackName=stack.name, ChangeSetName="slipway-0123", ChangeSetType="CREATE",
                                           TemplateBody=ONE_QUEUE)
    assert stack.status() == "REVIEW_IN_PROGRESS"
    assert stack.good(template=template)["status"] == "CREATE_COMPLETE"


def test_bucket_that_is_not_empty(stack: Stack) -> None:
    stack.good(template=stack.template("""
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  Kept: {Type: AWS::S3::Bucket, DeletionPolicy: Retain}
"""))
    s3 = stack.aws.client("s3")
    found = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in stack.cloudformation.describe_stack_resources(
        StackName=stack.name)["StackResources"]}
    for bucket in found.values():
        s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")
    refused = stack.bad(state="absent")
    assert f"Bucket {found['Bucket']} (Bucket) is not empty: 1 object or version; nothing was deleted" in refused["msg"]
    assert found["Kept"] not in refused["msg"]
    assert stack.status() == "CREATE_COMPLETE"
    planned = stack.good(state="absent", empty_on_delete=True, check=True)
    assert planned["diff"]["after"].startswith("contents of Bucket (AWS::S3::Bucket): deleted for good")
    assert stack.good(state="absent", empty_on_delete=True)["emptied"][0]["logical_resource_id"] == "Bucket"
    assert stack.status() is None
    assert s3.list_objects_v2(Bucket=found["Kept"])["KeyCount"] == 1


def test_everything_in_a_bucket_goes(stack: Stack) -> None:
    """Versions, delete markers, more than S3 lists or deletes at a time, and the buckets of nested stacks."""
    s3 = stack.aws.client("s3")
    s3.create_bucket(Bucket=f"{stack.name}-nested")
    s3.put_object(Bucket=f"{stack.name}-nested", Key="inner.yml", Body=b"""
Resources: {Deep: {Type: AWS::S3::Bucket}}
Outputs: {Deep: {Value: !Ref Deep}}
""")
    stack.good(template=stack.template(f"""
Resources:
  Versioned: {{Type: AWS::S3::Bucket, Properties: {{VersioningConfiguration: {{Status: Enabled}}}}}}
  Many: {{Type: AWS::S3::Bucket}}
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties: {{TemplateURL: '{stack.aws.env["AWS_ENDPOINT_URL"]}/{stack.name}-nested/inner.yml'}}
Outputs:
  Versioned: {{Value: !Ref Versioned}}
  Many: {{Value: !Ref Many}}
  Deep: {{Value: !GetAtt Inner.Outputs.Deep}}
"""))
    found = stack.good()["outputs"]
    for body in (b"1", b"2"):
        s3.put_object(Bucket=found["Versioned"], Key="a", Body=body)
    s3.delete_object(Bucket=found["Versioned"], Key="a")
    listed = s3.list_object_versions(Bucket=found["Versioned"])
    assert (len(listed["Versions"]), len(listed["DeleteMarkers"])) == (2, 1)
    for number in range(1001):
        s3.put_object(Bucket=found["Many"], Key=f"{number}", Body=b"")
    s3.put_object(Bucket=found["Deep"], Key="x", Body=b"x")
    content = {"Versioned": "3 objects and versions", "Many": "more than 1000 objects and versions",
               "Inner/Deep": "1 object or version"}
    planned = stack.good(state="absent", empty_on_delete=True, check=True)
    assert {h["logical_resource_id"]: h["content"] for h in planned["emptied"]} == content
    # The embedded AWS deletes buckets of nested stacks that are not empty, so look before it does.
    aws = Aws({"endpoint_url": stack.aws.env["AWS_ENDPOINT_URL"], "region": stack.aws.env["AWS_REGION"],
               "access_key": stack.aws.env["AWS_ACCESS_KEY_ID"], "secret_key": stack.aws.env["AWS_SECRET_ACCESS_KEY"]})
    for name in ("Versioned", "Many"):
        contents.empty_bucket(aws, found[name])
        listed = s3.list_object_versions(Bucket=found[name])
        assert "Versions" not in listed
        assert "DeleteMarkers" not in listed
    gone = stack.good(state="absent", empty_on_delete=True)
    assert [h["logical_resource_id"] for h in gone["emptied"]] == ["Inner/Deep"]
    assert gone["api_calls"]["s3.DeleteObjects"] == 1
    assert stack.status() is None
    assert not {b["Name"] for b in s3.list_buckets()["Buckets"]} & set(found.values())


def test_repository_that_is_not_empty(stack: Stack) -> None:
    stack.good(template=stack.template("""
Resources:
  Images: {Type: AWS::ECR::Repository, Properties: {RepositoryName: !Ref AWS::StackName}}
"""))
    ecr = stack.aws.client("ecr")
    for number in range(3):
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": number,
                               "digest": f"sha256:{number:064d}"}}
        ecr.put_image(repositoryName=stack.name, imageTag=f"t{number}", imageManifest=json.dumps(manifest))
    assert f"Repository {stack.name} (Images) is not empty: 3 images" in stack.bad(state="absent")["msg"]
    assert stack.good(state="absent", empty_on_delete=True)["emptied"][0]["content"] == "3 images"
    assert stack.status() is None


def test_large_template_goes_through_s3(stack: Stack) -> None:
    big = ONE_QUEUE + "".join(f"# {'x' * 98}\n" for _ in range(600))
    template = stack.template(big)
    assert "template_bucket" in stack.bad(template=template)["msg"]
    s3, bucket = stack.aws.client("s3", "us-west-2"), f"{stack.name}-templates"
    # Of another region, as one bucket for all regions is.
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    assert stack.good(template=template, template_bucket=bucket, check=True)["changed"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert stack.good(template=template, template_bucket=bucket)["status"] == "CREATE_COMPLETE"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    same = stack.good(template=template, template_bucket=bucket)
    assert not same["changed"]
    assert sum(same["api_calls"].values()) <= 3


def test_value_behind_an_ssm_parameter(stack: Stack) -> None:
    ssm = stack.aws.client("ssm")
    ssm.put_parameter(Name=f"/{stack.name}", Value="one", Type="String")
    template = stack.template(f"""
Parameters:
  Ami: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /{stack.name}}}
Resources:
  Queue: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !Sub '${{AWS::StackName}}-${{Ami}}'}}}}
Outputs:
  Ami: {{Value: !Ref Ami}}
""")
    stack.good(template=template)
    same = stack.good(template=template)
    assert not same["changed"]
    assert sum(same["api_calls"].values()) <= 3
    ssm.put_parameter(Name=f"/{stack.name}", Value="two", Type="String", Overwrite=True)
    assert stack.good(template=template)["outputs"]["Ami"] == "two"


def test_nested_stacks(stack: Stack) -> None:
    s3 = stack.aws.client("s3")
    bucket = f"{stack.name}-nested"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="inner.yml", Body=SLOW.encode())
    url = f"{stack.aws.env['AWS_ENDPOINT_URL']}/{bucket}/inner.yml"
    failed = stack.bad(template=stack.template(f"""
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties: {{TemplateURL: '{url}', Parameters: {{Seconds: '1'}}}}
"""))
    assert "WaitCondition" in failed["msg"]


def test_info_and_drift(stack: Stack) -> None:
    assert not stack.good(module="cfn_stack_info")["exists"]
    stack.good(template=stack.template(QUEUE), parameters={"Label": "a"})
    info = stack.good(module="cfn_stack_info", drift=True)
    assert info["status"] == "CREATE_COMPLETE"
    assert info["outputs"]["Label"] == "a"
    assert {r["logical_resource_id"] for r in info["resources"]} == {"Queue", "Secret"}
    assert info["drift"]["status"] == "IN_SYNC"
    stack.aws.client("sqs").set_queue_attributes(QueueUrl=info["outputs"]["Url"], Attributes={"DelaySeconds": "9"})
    drift = stack.good(module="cfn_stack_info", drift=True)["drift"]
    assert drift["status"] == "DRIFTED"
    (queue,) = [r for r in drift["resources"] if r["logical_resource_id"] == "Queue"]
    assert queue["status"] == "MODIFIED"


@pytest.fixture
def playbook(stack: Stack) -> Callable[..., subprocess.Popen[str]]:
    def start(arguments: dict[str, Any], *options: str) -> subprocess.Popen[str]:
        path = stack.folder / "play.yml"
        path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "connection": "local",
                                     "tasks": [{"name": "stack", "cfn_stack": {"name": stack.name, **arguments}}]}]))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,",
                   "-e", f"ansible_python_interpreter={sys.executable}", *options, str(path)]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True,
                                env={**os.environ, **stack.aws.env})
    return start


def test_events_appear_in_the_terminal(stack: Stack, playbook: Callable[..., subprocess.Popen[str]]) -> None:
    arguments = {"template": stack.template(QUEUE), "parameters": {"Label": "a", "Password": "hunter22hunter"}}
    out, _ = playbook(arguments, "-vvv").communicate(timeout=60)
    assert "changed=1" in out
    assert f"  {stack.name}: 2 to add\n" in out
    assert "CREATE_COMPLETE         AWS::SQS::Queue                          Queue\n" in out
    assert "hunter22hunter" not in out
    out, _ = playbook({**arguments, "parameters": {"Delay": 3}, "live": False}).communicate(timeout=60)
    assert "changed=1" in out
    assert "UPDATE_COMPLETE" not in out.split("PLAY RECAP")[0]


@pytest.mark.parametrize("wrong", [
    pytest.param({"statee": "present"}, id="no such argument"),
    pytest.param({"on_failure": "explode"}, id="no such choice"),
    pytest.param({"template_url": "https://x"}, id="arguments that exclude each other"),
    pytest.param({"wait_timeout": "x"}, id="a wrong type"),
    pytest.param({"template": "/nowhere.yml"}, id="no template"),
    pytest.param({"state": "absent"}, id="a deletion"),
])
def test_no_refused_task_shows_a_secret(stack: Stack, playbook: Callable[..., subprocess.Popen[str]],
                                        monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    # Ansible shows the lines of the playbook that an error is about; there a secret is written by no one.
    monkeypatch.setenv("WORD", "hunter22hunter")
    word = "{{ lookup('env', 'WORD') }}"
    out, _ = playbook({"template": stack.template(QUEUE), "parameters": {"Label": "a", "Password": word},
                       "optional_parameters": {"Label": "a", "Other": word}, **wrong}, "-vvv").communicate(timeout=60)
    assert "failed=1" in out or "ok=1" in out
    assert "(hidden)" in out, "-vvv shows the arguments"
    assert "hunter22hunter" not in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_playbook_shows_the_rollback(stack: Stack, playbook: Callable[..., subprocess.Popen[str]],
                                                 number: signal.Signals) -> None:
    stack.good(template=stack.template(ONE_QUEUE))
    process = playbook({"template": stack.template(SLOW), "parameters": {"Seconds": 5}})
    stack.wait_for("UPDATE_IN_PROGRESS")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert "cancelling the update" in out
    assert "was cancelled and rolled back (UPDATE_ROLLBACK_COMPLETE)" in out
    assert stack.status() == "UPDATE_ROLLBACK_COMPLETE"
