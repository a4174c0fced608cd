"""From what AWS writes to what a person reads."""

from __future__ import annotations

import pytest

from slipway.rollout.causes import UNKNOWN_CAUSE, Container, HealthCheck, Signals, StoppedTask, Target, classify

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop:12"
ELB_STOP = "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/w/1)"
CHECK = HealthCheck("/health", "traffic-port", "200-299", 10, 5)


def stopped(stopped_reason: str, code: str = "TaskFailedToStart", **container: object) -> Signals:
    """One stopped task with one container."""
    return Signals(tasks=[StoppedTask("t", code, stopped_reason, (Container("web", image=IMAGE, **container),))])  # type: ignore[arg-type]


@pytest.mark.parametrize(("reason", "kind"), [
    (("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
     f"{IMAGE}: {IMAGE}: not found"), "image_missing"),
    (("CannotPullContainerError: Error response from daemon: pull access denied for shop, repository does not exist or "
     "may require 'docker login': denied: requested access to the resource is denied"), "image_missing"),
    ((f"CannotPullContainerError: Error response from daemon: manifest for {IMAGE} not found: manifest unknown: "
     "Requested image not found"), "image_missing"),
    (("CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref x: pulling from "
     "host 1.dkr.ecr.eu-central-1.amazonaws.com failed with status code [12]: 403 Forbidden"), "image_denied"),
    ((f"CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref {IMAGE}@sha256:"
      f"{'0' * 64}: {IMAGE}@sha256:{'0' * 64}: not found"), "image_missing"),
    ("CannotPullContainerError: Error response from daemon: no basic auth credentials", "image_denied"),
    ("CannotPullContainerError: toomanyrequests: You have reached your pull rate limit", "image_rate"),
    ("CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob: no space left on device", "disk_full"),
    (("CannotPullContainerError: Get https://1.dkr.ecr.eu-central-1.amazonaws.com/v2/: dial tcp 10.0.0.1:443: i/o "
     "timeout"), "no_route"),
    ("CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
     "exec_format"),
    (("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
     "unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed "
     "caused by: Post \"https://api.ecr.eu-central-1.amazonaws.com/\": dial tcp 3.1.1.1:443: i/o timeout"), "no_route"),
    (("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
     "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
     "arn:aws:secretsmanager:eu-central-1:1:secret:db from secrets manager: ResourceNotFoundException: Secrets Manager "
     "can't find the specified secret."), "secret_missing"),
    (("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
     "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
     "arn:aws:secretsmanager:eu-central-1:1:secret:db from secrets manager: AccessDeniedException: User: x is not "
     "authorized to perform: secretsmanager:GetSecretValue"), "secret_denied"),
    (("ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secrets from ssm: "
     "invalid ssm parameters: /shop/db"), "secret_missing"),
    (("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to "
     "create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status"),
     "log_group_missing"),
    (("CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create "
     "Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."), "log_group_missing"),
    (("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to "
     "create Cloudwatch log stream: AccessDeniedException: not authorized"), "log_denied"),
    ("OutOfMemoryError: Container killed due to memory usage", "out_of_memory"),
    (('CannotStartContainerError: Error response from daemon: OCI runtime create failed: exec: "nope": executable file '
     "not found in $PATH"), "command_missing"),
    (("CannotStartContainerError: Error response from daemon: driver failed programming external connectivity: Bind "
     "for 0.0.0.0:80 failed: port is already allocated"), "port_taken"),
    ("ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task.", "role"),
    ("Task failed container health checks", "container_health"),
    ("ResourceInitializationError: unable to pull image or start container: 404 Client Error: No such image: x",
     "image_missing"),
    ("ResourceInitializationError: unable to pull image or start container: executable file not found in $PATH",
     "command_missing"),
])
def test_stop_reasons(reason: str, kind: str) -> None:
    assert classify(stopped(reason)).kind == kind


@pytest.mark.parametrize(("container", "kind", "said"), [
    ({"exit_code": 1, "log": ("PHP Fatal error: no such class", "Booting")}, "crash", "PHP Fatal error: no such class"),
    ({"exit_code": 3}, "crash", "exit code 3"),
    ({"exit_code": 0}, "ended", "ended by itself"),
    ({"exit_code": 137, "memory": 128}, "out_of_memory", "limit 128 MiB"),
    ({"exit_code": 137, "reason": "OutOfMemoryError: Container killed due to memory usage", "memory": 64},
     "out_of_memory", "at its limit of 64 MiB"),
    ({"exit_code": 139}, "segfault", "segmentation fault"),
    ({"exit_code": 126}, "command_denied", "not executable"),
    ({"exit_code": 127}, "command_missing", "cannot find its command"),
    ({"exit_code": 134}, "crash", "SIGABRT"),
    ({"exit_code": 1, "log": ("exec /usr/local/bin/run: exec format error",)}, "exec_format", IMAGE),
    ({"exit_code": 255, "log": ("PHP Fatal error: Allowed memory size of 1 bytes exhausted",)}, "out_of_memory",
     "Allowed memory size"),
])
def test_exits(container: dict[str, object], kind: str, said: str) -> None:
    cause = classify(stopped("Essential container in task exited", "EssentialContainerExited", **container))
    assert cause.kind == kind
    assert said in cause.sentence
    assert cause.remedy.endswith(".")


@pytest.mark.parametrize(("target", "kind", "said"), [
    (Target("10.0.1.5:80", "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [404]"),
     "health_404", "The health check path /health answers 404, and 200-299 is expected."),
    (Target("10.0.1.5:80", "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [502]"),
     "health_status", "answers 502"),
    (Target("10.0.1.5:80", "unhealthy", "Target.Timeout", "Request timed out"), "health_timeout",
     "no answer within 5 s"),
    (Target("10.0.1.5:80", "unhealthy", "Target.FailedHealthChecks", "Health checks failed"), "port_closed",
     "Nothing answers the load balancer on port 8080"),
    (Target("10.0.1.5:80", "healthy"), "health_check", "GET /health, 200-299 expected on port 8080"),
])
def test_health_checks(target: Target, kind: str, said: str) -> None:
    killed = StoppedTask("t", "ServiceSchedulerInitiated", ELB_STOP, (Container("web", exit_code=137),))
    cause = classify(Signals([killed], [target], health_check=CHECK, container_port=8080))
    assert cause.kind == kind
    assert said in cause.sentence


def test_a_task_that_the_scheduler_killed_was_not_out_of_memory() -> None:
    killed = StoppedTask("t", "ServiceSchedulerInitiated", ELB_STOP, (Container("web", exit_code=137),))
    assert classify(Signals([killed])).kind == "health_check"


@pytest.mark.parametrize(("event", "kind"), [
    (("(service web) was unable to place a task because no container instance met all of its requirements. Reason: No "
     "Container Instances were found in your cluster. For more information, see the Troubleshooting section."),
     "no_capacity"),
    (("(service web) was unable to place a task because no container instance met all of its requirements. The closest "
     "matching (container-instance 1) has insufficient memory available."), "no_capacity"),
    (("(service web) was unable to place a task because no container instance met all of its requirements. The closest "
     "matching (container-instance 1) is already using a port required by your task."), "port_taken"),
    ("(service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later.",
     "no_capacity"),
    (("(service web) failed to launch a task with (error ECS was unable to assume the role 'arn:aws:iam::1:role/x' "
     "that was provided for this task.)"), "role"),
    (("(service web) was unable to stop or start tasks during a deployment because of the service deployment "
     "configuration. Update the minimumHealthyPercent or maximumPercent value and try again."), "percents"),
    ("(service web) (deployment ecs-svc/1) deployment failed: alarm detected.", "alarm"),
    (("(service web) (task 1) (port 80) is unhealthy in (target-group arn:x) due to (reason Health checks failed with "
     "these codes: [404])."), "health_404"),
    ("(service web) (instance i-1) (port 80) is unhealthy in (target-group arn:x) due to (reason Request timed out).",
     "health_timeout"),
    ("(service web) has reached a steady state.", "unknown"),
])
def test_events(event: str, kind: str) -> None:
    assert classify(Signals(events=[event])).kind == kind


def test_a_lifecycle_hook_that_said_no() -> None:
    found = classify(Signals(rollout_reason="Service deployment rolled back because of a failed lifecycle hook."))
    assert found.kind == "hook" and "LifecycleHookArn" in found.remedy


def test_the_role_is_named() -> None:
    event = "(service web) failed to launch a task (error ECS was unable to assume the role 'arn:aws:iam::1:role/x')"
    assert "arn:aws:iam::1:role/x" in classify(Signals(events=[event])).sentence


def test_most_tasks_decide_and_the_newest_breaks_a_tie() -> None:
    def task(code: int) -> StoppedTask:
        return StoppedTask(str(code), "EssentialContainerExited", "", (Container("web", exit_code=code),))
    assert classify(Signals([task(127), task(1), task(1)])).kind == "crash"
    assert classify(Signals([task(127), task(1)])).kind == "command_missing"


def test_the_container_that_failed_is_blamed() -> None:
    sidecar, web = Container("proxy", exit_code=0), Container("web", exit_code=3)
    cause = classify(Signals([StoppedTask("t", "EssentialContainerExited", "", (sidecar, web))]))
    assert "Container web crashes" in cause.sentence


def test_nothing_known() -> None:
    assert classify(Signals()) == UNKNOWN_CAUSE
