"""Everything that touches MiniStack's inside: what it lacks for this project, added in this one file.

MiniStack's internals are no interface, so its version is pinned and checked. What is added, and why:

- load balancer: health checks, draining, and a local address each; MiniStack calls every target healthy at once
- ECS: a rollout counts when its targets are healthy, old tasks drain before they stop, memory limits, own network
- ECR: repository URIs that this machine's engine reaches, layers on disk instead of in memory, real image sizes
- CloudFormation: waits for an ECS service as AWS does; resource types that are missing; an operation that a kill cut
  off is rolled back at the next start
- state is saved while the server runs, not only when it stops
- change sets with property values, as AWS gives them: in change_values.py
- EC2 instances that are real hosts: in instances.py, which this file imports
- CodeCommit and CodePipeline, which MiniStack has not: in codecommit/ and codepipeline/
- S3: encryption by aws:kms without a key's id takes the account's own key for S3
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import functools
import hashlib
import http.client
import inspect
import json
import logging
import os
import shutil
import socket
import threading
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, MutableMapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import settings
from .target_health import HealthCheck, TargetHealth

MINISTACK_VERSION = "1.5.33"
if version("ministack") != MINISTACK_VERSION:
    raise SystemExit(f"The embedded AWS extends MiniStack {MINISTACK_VERSION}, but {version('ministack')} is "
                     "installed. Run 'make clean', then 'make demo'.")

from ministack import app as ministack  # noqa: E402
from ministack.core import persistence  # noqa: E402
from ministack.core.concurrency import resource_lock, spawn_background  # noqa: E402
from ministack.core.responses import (  # noqa: E402
    AccountRegionScopedDict,
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    new_uuid,
    request_scope,
)
from ministack.services import alb, cloudwatch_logs, ecr, ecs, s3, ssm  # noqa: E402
from ministack.services import cloudformation as cfn  # noqa: E402
from ministack.services import ec2 as ec2_service  # noqa: E402
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks  # noqa: E402

from . import change_values, instances, permissions  # noqa: E402
from .codecommit import register as codecommit  # noqa: E402
from .codecommit import smart_http  # noqa: E402
from .codepipeline import service as codepipeline  # noqa: E402

app = ministack.app
log = logging.getLogger("slipway")
Json = dict[str, Any]

#: Set by any request that may have changed something; the saver clears it.
_dirty = threading.Event()


# --- the state, saved while we run ----------------------------------------------------------------------------------

#: PollForJobs: CodePipeline says itself when it has changed.
_READS = ("Describe", "List", "Get", "BatchGet", "BatchCheck", "Validate", "Filter", "PollForJobs")


async def save_state(stop: asyncio.Event) -> None:
    """Write what changed to disk within half a second, so that a kill loses next to nothing."""
    while not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)
        if _dirty.is_set() and _loaded.is_set():
            _dirty.clear()
            await asyncio.to_thread(persistence.save_all, ministack._build_persistence_save_dict())


# --- load balancer: health checks, draining -------------------------------------------------------------------------

Target = tuple[str, str, int]  # target group ARN, address, port


class Targets:
    """The health of every registered target, kept up to date by one thread each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._health: dict[Target, TargetHealth] = {}
        self._turn: dict[str, int] = {}

    def sync(self, group_arn: str) -> None:
        """Follow MiniStack's list of a group's targets: check new ones, drain those that left."""
        group = alb._tgs.get(group_arn)
        if not group or group.get("TargetType", "instance") == "lambda":
            return
        wanted = {(group_arn, str(t["Id"]), int(t.get("Port") or group.get("Port", 80)))
                  for t in alb._targets.get(group_arn, [])}
        with self._lock:
            known = {target: health for target, health in self._health.items() if target[0] == group_arn}
            for target in wanted:
                if target not in known or known[target].state == "draining":
                    self._health[target] = TargetHealth()
                    spawn_background(self._check, target, self._health[target], thread_name=f"elb-{target[1]}")
            for target, health in known.items():
                if target not in wanted and health.state != "draining":
                    health.drain()
                    timer = threading.Timer(deregistration_delay(group_arn), self._forget, (target, health))
                    timer.daemon = True
                    timer.start()

    def state(self, target: Target) -> str:
        """The target's state, 'unused' where it is not registered."""
        health = self._health.get(target)
        return health.state if health else "unused"

    def of(self, group_arn: str) -> list[tuple[Target, TargetHealth]]:
        with self._lock:
            return [(target, health) for target, health in self._health.items() if target[0] == group_arn]

    def next(self, group_arn: str) -> Target | None:
        """The target that takes the next request: round robin over the healthy ones; all of the unhealthy where there
        is no healthy one ("fail open", as AWS documents); None where there is neither."""
        members = self.of(group_arn)
        for state in ("healthy", "unhealthy"):
            able = sorted(target for target, health in members if health.state == state)
            if able:
                turn = self._turn[group_arn] = self._turn.get(group_arn, -1) + 1
                return able[turn % len(able)]
        return None

    def _check(self, target: Target, health: TargetHealth) -> None:
        """Probe until the target is gone or replaced."""
        group_arn, address, port = target
        # AWS needs about a second to register a target before its first check.
        time.sleep(1)
        while self._health.get(target) is health and health.state != "draining":
            group = alb._tgs.get(group_arn)
            if not group:
                break
            check = _health_check(group)
            started = time.monotonic()
            health.record(check, *_probe(address, port, check))
            _dirty.set()
            if health.state == "unhealthy":
                _replace_unhealthy(target, health)
            time.sleep(max(0.1, check.interval - (time.monotonic() - started)))
        self._forget(target, health)

    def _forget(self, target: Target, health: TargetHealth) -> None:
        with self._lock:
            if self._health.get(target) is health and (health.state == "draining" or target[0] not in alb._tgs):
                del self._health[target]


targets = Targets()


def _health_check(group: Json) -> HealthCheck:
    return HealthCheck(
        path=group.get("HealthCheckPath") or "/",
        interval=float(group.get("HealthCheckIntervalSeconds", 30)),
        timeout=float(group.get("HealthCheckTimeoutSeconds", 5)),
        healthy_threshold=int(group.get("HealthyThresholdCount", 5)),
        unhealthy_threshold=int(group.get("UnhealthyThresholdCount", 2)),
        matcher=str((group.get("Matcher") or {}).get("HttpCode", "200")),
    )


def _probe(address: str, port: int, check: HealthCheck) -> tuple[int | None, str]:
    connection = http.client.HTTPConnection(address, port, timeout=check.timeout)
    try:
        connection.request("GET", check.path, headers={"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"})
        return connection.getresponse().status, ""
    except TimeoutError:
        return None, "timeout"
    except (OSError, http.client.HTTPException):
        return None, "refused"
    finally:
        connection.close()


def deregistration_delay(group_arn: str) -> float:
    for attribute in alb._tg_attrs.get(group_arn, []):
        if attribute.get("Key") == "deregistration_delay.timeout_seconds":
            return float(attribute.get("Value") or 0)
    return 300.0


def _describe_target_health(params: Json) -> Any:
    arn = alb._p(params, "TargetGroupArn")
    if arn not in alb._tgs:
        return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
    wanted = {t["Id"] for t in alb._parse_targets_param(params)}
    members = [(t, h) for t, h in targets.of(arn) if not wanted or t[1] in wanted]
    reason = "<Reason>{}</Reason><Description>{}</Description>"
    return alb._xml(200, "DescribeTargetHealth", "<TargetHealthDescriptions>" + "".join(
        f"<member><Target><Id>{address}</Id><Port>{port}</Port></Target><HealthCheckPort>{port}</HealthCheckPort>"
        f"<TargetHealth><State>{health.state}</State>"
        f"{reason.format(health.reason, health.description) if health.reason else ''}</TargetHealth></member>"
        for (_, address, port), health in members) + "</TargetHealthDescriptions>")


def _then_sync(original: Callable[..., Any], group_of: Callable[..., str]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        targets.sync(group_of(*args, **kwargs))
        return answer
    return wrapper


_forward_elsewhere = alb._forward_to_tg


async def _forward_to_healthy(group_arn: str, method: str, path: str, headers: Json, body: bytes, query: Json,
                              raw_query_string: str | None = None, raw_path: str | None = None) -> Any:
    group = alb._tgs.get(group_arn)
    if not group or group.get("TargetType", "instance") == "lambda":
        return await _forward_elsewhere(group_arn, method, path, headers, body, query, raw_query_string, raw_path)
    target = targets.next(group_arn)
    if target is None:
        page = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
        return 503, {"Content-Type": "text/html"}, page
    return await alb._proxy_http_target({"Id": target[1], "Port": target[2]}, group, method, raw_path or path, headers,
                                        body, query, raw_query_string)


alb.set_targets_for_group = _then_sync(alb.set_targets_for_group, lambda group_arn, *_, **__: group_arn)
for _name in ("RegisterTargets", "DeregisterTargets"):
    alb._ACTION_MAP[_name] = _then_sync(alb._ACTION_MAP[_name], lambda params: alb._p(params, "TargetGroupArn"))
alb._ACTION_MAP["DescribeTargetHealth"] = _describe_target_health
alb._forward_to_tg = _forward_to_healthy


# --- load balancer: a local address each ----------------------------------------------------------------------------

#: Where the listener's own port needs rights that this process lacks, it listens this much higher.
_UNPRIVILEGED = 8000
_create_load_balancer = provisioners._elbv2_load_balancer_create


def _load_balancer_create(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
    """As MiniStack's, with a name that opens on this machine: a loopback address, with a port where 80 is denied."""
    arn, attributes = _create_load_balancer(logical_id, props, stack_name)
    taken = {lb["DNSName"].split(":")[0] for _, lb in alb._lbs.all_items()}
    free = next(address for address in map(settings.load_balancer_address, range(1, 255)) if address not in taken)
    name = free if _may_bind(free, 80) else f"{free}:{80 + _UNPRIVILEGED}"
    alb._lbs[arn]["DNSName"] = attributes["DNSName"] = name
    return arn, attributes


def _may_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return False
        except OSError:
            return True
    return True


async def serve_listeners(stop: asyncio.Event) -> None:
    """Open a socket for every listener of every load balancer, close it when the listener is gone."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    await asyncio.to_thread(_loaded.wait)
    running: dict[tuple[str, int], tuple[asyncio.Event, asyncio.Task[None]]] = {}
    while not stop.is_set():
        wanted: dict[tuple[str, int], tuple[str, str, Json, int]] = {}
        for (account, region, _), listener in alb._listeners.all_items():
            lb = alb._lbs.get_scoped(account, region, listener["LoadBalancerArn"])
            if lb and lb["DNSName"].startswith("127."):
                address, port = lb["DNSName"].split(":")[0], int(listener.get("Port", 80))
                if port < 1024 and ":" in lb["DNSName"]:
                    port += _UNPRIVILEGED
                wanted[address, port] = account, region, lb, int(listener.get("Port", 80))
        for key in running.keys() - wanted.keys():
            event, task = running.pop(key)
            event.set()
            await task
        for key in wanted.keys() - running.keys():
            config = Config()
            config.bind = [f"{key[0]}:{key[1]}"]
            config.loglevel = "ERROR"
            config.keep_alive_timeout = 60
            event = asyncio.Event()
            task = asyncio.create_task(serve(_load_balancer_app(*wanted[key]), config, shutdown_trigger=event.wait))
            running[key] = event, task
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)
    for event, _ in running.values():
        event.set()
    await asyncio.gather(*(task for _, task in running.values()), return_exceptions=True)


def _load_balancer_app(account: str, region: str, lb: Json, port: int) -> Any:
    """An ASGI application that hands each request to MiniStack's load balancer."""
    from ministack.core.responses import StreamingResponse

    async def application(scope: Json, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served here")
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode()
        with request_scope(account, region):
            status, answer, content = await alb.dispatch_request(
                lb, scope["method"], scope["path"], headers, body, urllib.parse.parse_qs(query), port,
                client_ip=(scope.get("client") or ("127.0.0.1",))[0], raw_query_string=query,
                raw_path=(scope.get("raw_path") or b"").decode("latin-1") or None)
        out = [(name.lower().encode(), str(v).encode("latin-1"))
               for name, value in answer.items() for v in (value if isinstance(value, list) else [value])]
        if isinstance(content, StreamingResponse):
            await send({"type": "http.response.start", "status": status, "headers": out})
            await content.runner(send, receive)
            return
        data = content if isinstance(content, bytes) else str(content).encode()
        out = [h for h in out if h[0] != b"content-length"] + [(b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": out})
        await send({"type": "http.response.body", "body": data})

    return application


# --- ECS ------------------------------------------------------------------------------------------------------------

_make_deployment = ecs._make_deployment
_stop_now = ecs._stop_task
_record_healthy = ecs._record_service_task_healthy
_record_failure = ecs._record_service_task_failure
_run_kwargs = ecs._build_run_kwargs


def _deployment_in_progress(*args: Any, **kwargs: Any) -> Json:
    """A new deployment is in progress until its tasks are steady; MiniStack calls the first one completed at once."""
    deployment: Json = _make_deployment(*args, **kwargs)
    deployment["rolloutState"] = "IN_PROGRESS"
    deployment["rolloutStateReason"] = f"ECS deployment {deployment['id']} in progress."
    return deployment


def _run_kwargs_here(cdef: Json, td: Json, *args: Any, **kwargs: Any) -> Json:
    """Tasks live on our network, are published nowhere but on loopback, and have the memory they asked for. Raises
    ValueError where the log group of a container is missing, which MiniStack would make."""
    _check_log_group(cdef.get("logConfiguration") or {})
    run: Json = _run_kwargs(cdef, td, *args, **kwargs)
    run.pop("extra_hosts", None)
    if "network_mode" not in run:
        run["network"] = settings.NETWORK
    # A dynamic host port is the load balancer's business, which reaches the container itself.
    run["ports"] = {port: ("127.0.0.1", int(host)) for port, host in (run.get("ports") or {}).items() if int(host or 0)}
    memory = cdef.get("memory") or td.get("memory")
    if memory:
        run["mem_limit"] = f"{int(memory)}m"
        run["memswap_limit"] = run["mem_limit"]
    return run


def _check_log_group(log: Json) -> None:
    """In the words of the engine's log driver, which finds out before the container starts."""
    options = log.get("options") or {}
    group, region = options.get("awslogs-group", ""), options.get("awslogs-region") or get_region()
    if log.get("logDriver") != "awslogs" or options.get("awslogs-create-group") == "true":
        return
    if cloudwatch_logs._log_groups.get_scoped(get_account_id(), region, group) is None:
        raise ValueError("failed to initialize logging driver: failed to create Cloudwatch log stream: "
                         "ResourceNotFoundException: The specified log group does not exist.")


#: What the tasks of a cluster's instances may have in all, in MiB: this machine is the one instance of them all.
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
_run_task = ecs._run_task


def _run_task_where_it_fits(data: Json) -> Any:
    """A task on EC2 that needs more memory than there is finds no place; MiniStack knows no instances."""
    definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", ""))) or {}
    needed = sum(int(c.get("memoryReservation") or c.get("memory") or 0)
                 for c in definition.get("containerDefinitions", []))
    if max(needed, int(definition.get("memory") or 0)) <= _MEMORY or data.get("launchType") == "FARGATE":
        return _run_task(data)
    group = str(data.get("group", ""))
    service = _service_of({"group": group, "clusterArn": f"x/{ecs._resolve_cluster_name(data.get('cluster', ''))}"})
    if service:
        _event(service[1], f"(service {service[1]['serviceName']}) was unable to place a task because no container "
                           "instance met all of its requirements. Reason: The closest matching container-instance has "
                           "insufficient memory available.")
    return json_response({"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]})


def _service_targets(svc: Json, task: Json) -> list[Target]:
    address = ecs._task_ip(task)
    return [(lb["targetGroupArn"], address, int(lb.get("containerPort", 80)))
            for lb in svc.get("loadBalancers") or [] if lb.get("targetGroupArn") and address]


def _service_of(task: Json) -> tuple[str, Json] | None:
    """The key and record of the service a task belongs to."""
    group = task.get("group", "")
    cluster = ecs._cluster_name_from_arn(task.get("clusterArn", ""))
    key = f"{cluster}/{group.partition(':')[2]}"
    svc = ecs._services.get(key) if group.startswith("service:") else None
    return (key, svc) if svc else None


def _least_healthy(svc: Json, task: Json) -> Json:
    """Of the tasks that a deployment replaces, the one to stop where there is room for no more: ECS stops those first
    that are not healthy, MiniStack the oldest, which may be the only one that serves."""
    def healthy(one: Json) -> bool:
        return all(targets.state(target) == "healthy" for target in _service_targets(svc, one))

    primary = ecs._primary_deployment(svc)
    stale = [one for one in ecs._tasks.values() if one.get("group") == task.get("group")
             and one.get("clusterArn") == task.get("clusterArn") and one.get("lastStatus") in ecs._PRE_STOP_STATUSES
             and one.get("lastStatus") != "DEACTIVATING" and ecs._deployment_for_task(svc, one) is not primary]
    return min([task, *stale], key=healthy)


def _drain_then_stop(data: Json) -> Any:
    """StopTask of a task behind a load balancer: deregister it, let its requests end, then stop it."""
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    task = ecs._resolve_task(data.get("task", ""), cluster) if cluster else None
    owner = _service_of(task) if task else None
    if task and owner and data.get("reason") == "Deployment capacity limit":
        task = _least_healthy(owner[1], task)
        data = {**data, "task": task["taskArn"]}
    if task and task.get("lastStatus") == "DEACTIVATING":
        return json_response({"task": ecs._sanitize(task)})
    if not task or not owner or task.get("lastStatus") != "RUNNING":
        return _stop_now(data)
    members = [t for t in _service_targets(owner[1], task) if targets.state(t) != "unused"]
    delay = max((deregistration_delay(t[0]) for t in members), default=0.0)
    with resource_lock("ecs-task", task["taskArn"]):
        if task.get("lastStatus") != "RUNNING":
            return json_response({"task": ecs._sanitize(task)})
        task["lastStatus"] = "DEACTIVATING"
    ecs._refresh_service_state(cluster, task["group"])
    _event(owner[1], f"(service {owner[1]['serviceName']}) has begun draining connections on 1 tasks.")

    def finish() -> None:
        time.sleep(delay)
        _stop_now(data)
        _dirty.set()

    spawn_background(finish, thread_name="ecs-drain")
    return json_response({"task": ecs._sanitize(task)})


def _event(svc: Json, message: str) -> None:
    svc["events"].insert(0, {"id": new_uuid(), "createdAt": ecs._iso(), "message": message})
    del svc["events"][100:]


def _healthy_behind_load_balancer(svc_key: str, task: Json) -> None:
    """A task counts as started when the load balancer finds it healthy, not when its container runs."""
    svc = ecs._services.get(svc_key)
    while svc and task.get("lastStatus") == "RUNNING" and task.get("desiredStatus") != "STOPPED":
        if all(targets.state(t) == "healthy" for t in _service_targets(svc, task)):
            break
        time.sleep(0.1)
    if svc and task.get("lastStatus") == "RUNNING":
        svc.pop("_restarts", None)
    _record_healthy(svc_key, task)


def _replace_unhealthy(target: Target, health: TargetHealth) -> None:
    """Stop the service task behind a target that fails its checks, once its grace period is over."""
    for (account, region, _), task in ecs._tasks.all_items():
        if task.get("lastStatus") != "RUNNING" or ecs._task_ip(task) != target[1]:
            continue
        with request_scope(account, region):
            owner = _service_of(task)
            if not owner or target not in _service_targets(owner[1], task):
                return
            svc = owner[1]
            started = ecs._ts_to_epoch(task.get("startedAt")) or 0
            if time.time() - float(started) < float(svc.get("healthCheckGracePeriodSeconds") or 0):
                return
            _event(svc, f"(service {svc['serviceName']}) (port {target[2]}) is unhealthy in (target-group {target[0]}) "
                        f"due to (reason {health.description})")
            reason = f"Task failed ELB health checks in (target-group {target[0]})"
            if ecs._mark_task_stopped(task["taskArn"], task, reason, "ServiceSchedulerInitiated"):
                ecs._record_service_task_failure(task)
                ecs._cleanup_task_resources(task, ecs._get_docker())
            return


def _complete_deployment(cluster_name: str, svc_key: str, expected_deployment_id: str | None = None) -> None:
    """Complete a steady rollout: stop what is left of older deployments, and say COMPLETED when they are gone."""
    svc = ecs._services.get(svc_key)
    if not svc or svc.get("status") != "ACTIVE":
        return
    group = f"service:{svc['serviceName']}"

    def tasks() -> list[Json]:
        return [t for t in ecs._tasks.values()
                if t.get("group") == group and t.get("clusterArn") == svc.get("clusterArn")]

    def steady(deployment: Json) -> bool:
        able = [t for t in tasks() if ecs._deployment_for_task(svc, t) is deployment
                and t.get("lastStatus") == "RUNNING" and t.get("_startup_stable")]
        return len(able) >= svc.get("desiredCount", 0)

    with resource_lock("ecs-service", svc_key):
        primary = ecs._primary_deployment(svc)
        if (not primary or primary.get("rolloutState") != "IN_PROGRESS" or primary.get("_finishing")
                or (expected_deployment_id is not None and primary.get("id") != expected_deployment_id)
                or not steady(primary)):
            return
        primary["_finishing"] = True
        # Not those of a deployment that comes after this one.
        left = [task for task in tasks() if task.get("_deployment_id") != primary["id"]]

    def finish() -> None:
        # Draining takes as long as the target group says; AWS calls the deployment completed only after it.
        for task in left:
            if task.get("lastStatus") in ecs._PRE_STOP_STATUSES and ecs._primary_deployment(svc) is primary:
                ecs._stop_task({"task": task["taskArn"], "cluster": cluster_name,
                                "reason": f"Scaling activity initiated by (deployment {primary['id']})"})
        while any(task.get("lastStatus") != "STOPPED" for task in left) and ecs._primary_deployment(svc) is primary:
            time.sleep(0.1)
        with resource_lock("ecs-service", svc_key):
            primary.pop("_finishing", None)
            if ecs._services.get(svc_key) is svc and ecs._primary_deployment(svc) is primary and steady(primary):
                primary["rolloutState"] = "COMPLETED"
                primary["rolloutStateReason"] = f"ECS deployment {primary['id']} completed."
                primary["updatedAt"] = ecs._iso()
                svc["deployments"] = [d for d in svc["deployments"]
                                      if d is primary or d.get("rolloutState") == "FAILED"]
                _event(svc, f"(service {svc['serviceName']}) has reached a steady state.")
                _event(svc, f"(service {svc['serviceName']}) (deployment {primary['id']}) deployment completed.")
        ecs._refresh_service_state(cluster_name, group)
        _dirty.set()

    spawn_background(finish, thread_name="ecs-finish")


def _failed_with_patience(task: Json, digest_resolution_failed: bool = False) -> None:
    """As MiniStack's, but a service whose tasks keep failing outside a deployment is restarted less and less often, as
    ECS does."""
    owner = _service_of(task)
    primary = ecs._primary_deployment(owner[1]) if owner else None
    if owner and primary and primary.get("rolloutState") == "COMPLETED":
        owner[1]["_restarts"] = owner[1].get("_restarts", 0) + 1
        time.sleep(min(60.0, 0.5 * 2 ** owner[1]["_restarts"]))
    _record_failure(task, digest_resolution_failed)


def _service_deployments(data: Json) -> Any:
    """ListServiceDeployments from the service's deployments; MiniStack's is an empty stub."""
    ref = ecs._resolve_service_ref(data.get("service", ""))
    cluster = ecs._resolve_cluster_name(data.get("cluster") or (ref[1] if ref else "default"))
    svc = ecs._services.get(f"{cluster}/{ref[0]}") if ref else None
    if not svc:
        return error_response_json("ServiceNotFoundException", "Service not found.", 400)
    states = {"COMPLETED": "SUCCESSFUL", "IN_PROGRESS": "IN_PROGRESS", "FAILED": "ROLLBACK_SUCCESSFUL"}
    base = svc["serviceArn"].replace(":service/", ":service-deployment/")
    return json_response(ecs._finalize_ecs_response({"serviceDeployments": [{
        "serviceDeploymentArn": f"{base}/{d['id'].rpartition('/')[2]}", "serviceArn": svc["serviceArn"],
        "clusterArn": svc["clusterArn"], "createdAt": d["createdAt"], "startedAt": d["createdAt"],
        "status": states.get(d["rolloutState"], "IN_PROGRESS"), "statusReason": d["rolloutStateReason"],
    } for d in svc["deployments"]]}))


async def forget_stopped_tasks(stop: asyncio.Event) -> None:
    """ECS remembers a stopped task for about an hour."""
    await asyncio.to_thread(_loaded.wait)
    while not stop.is_set():
        for (account, region, arn), task in list(ecs._tasks.all_items()):
            stopped = ecs._ts_to_epoch(task.get("stoppedAt"))
            if task.get("lastStatus") == "STOPPED" and stopped and time.time() - float(stopped) > 3600:
                ecs._tasks.pop_scoped(account, region, arn)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 60)


ecs._make_deployment = _deployment_in_progress
ecs._build_run_kwargs = _run_kwargs_here
ecs._run_task = ecs._ACTION_MAP["RunTask"] = _run_task_where_it_fits
ecs._stop_task = ecs._ACTION_MAP["StopTask"] = _drain_then_stop
ecs._record_service_task_healthy = _healthy_behind_load_balancer
ecs._record_service_task_failure = _failed_with_patience
ecs._complete_service_deployment = _complete_deployment
ecs._ACTION_MAP["ListServiceDeployments"] = _service_deployments


# --- ECR ------------------------------------------------------------------------------------------------------------


class LayersOnDisk(MutableMapping[str, bytes]):
    """One repository's layers: digest -> content, each a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, digest: str) -> Path:
        return self._folder / digest.replace(":", "-")

    def __getitem__(self, digest: str) -> bytes:
        try:
            return self._file(digest).read_bytes()
        except FileNotFoundError:
            raise KeyError(digest) from None

    def __setitem__(self, digest: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # A kill in the middle must not leave half a layer under a digest.
        part = self._folder / f".{threading.get_ident()}.part"
        part.write_bytes(content)
        part.replace(self._file(digest))

    def __delitem__(self, digest: str) -> None:
        try:
            self._file(digest).unlink()
        except FileNotFoundError:
            raise KeyError(digest) from None

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self._file(digest).exists()

    def __iter__(self) -> Iterator[str]:
        if self._folder.is_dir():
            yield from (f.name.replace("-", ":", 1) for f in self._folder.iterdir() if not f.name.startswith("."))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LayerStore:
    """Stands in for MiniStack's dictionary of repositories to layers."""

    def _of(self, name: str) -> LayersOnDisk:
        return LayersOnDisk(settings.BLOBS / get_account_id() / get_region() / urllib.parse.quote(name, safe=""))

    def get(self, name: str, _default: Any = None) -> LayersOnDisk:
        return self._of(name)

    def setdefault(self, name: str, _default: Any = None) -> LayersOnDisk:
        return self._of(name)

    def pop(self, name: str, _default: Any = None) -> None:
        shutil.rmtree(self._of(name)._folder, ignore_errors=True)

    def update(self, _restored: Any) -> None:
        """Nothing to restore: the files are the state."""

    def clear(self) -> None:
        shutil.rmtree(settings.BLOBS, ignore_errors=True)

    def __deepcopy__(self, _memo: Any) -> AccountRegionScopedDict:
        return AccountRegionScopedDict()


_authorization_token = ecr._get_authorization_token
_delete_repository = ecr._delete_repository
_put_image = ecr._put_image
_describe_images = ecr._describe_images
_create_repository = ecr._create_repository
_put_image_tag_mutability = ecr._put_image_tag_mutability
_repo_shape = ecr._repo_shape
_v2_put_manifest = ecr._v2_put_manifest
_EXCLUSIONS = "imageTagMutabilityExclusionFilters"


def _authorization_here(data: Json) -> Any:
    status, headers, body = _authorization_token(data)
    answer = json.loads(body)
    for item in answer["authorizationData"]:
        item["proxyEndpoint"] = settings.ENDPOINT
    return status, headers, json.dumps(answer).encode()


def _delete_repository_and_layers(data: Json) -> Any:
    answer = _delete_repository(data)
    if answer[0] < 400:
        ecr._layer_blobs.pop(data["repositoryName"])
        ecr._manifest_blobs.pop(data["repositoryName"], None)
    return answer


def _put_image_as_aws(data: Json) -> Any:
    """AWS tells the same image under the same tag from another image under it."""
    name, tag = data.get("repositoryName", ""), data.get("imageTag")
    digest = data.get("imageDigest") or ecr._image_digest(data.get("imageManifest", ""))
    for image in ecr._images.get(name, []):
        if tag and tag in image.get("imageTags", []) and image["imageDigest"] == digest:
            return error_response_json("ImageAlreadyExistsException", f"Image with digest '{digest}' and tag '{tag}' "
                                       f"already exists in the repository with name '{name}'", 400)
    if tag and _excluded(name, tag, digest) is False:
        return error_response_json("ImageTagAlreadyExistsException", f"The image tag '{tag}' already exists in the "
                                   f"'{name}' repository and cannot be overwritten because the tag is immutable.", 400)
    answer = _put_image(data)
    if answer[0] < 400:
        ecr._manifest_blobs.setdefault(name, {}).setdefault(digest, data.get("imageManifest", "").encode())
    return answer


def _describe_images_as_aws(data: Json) -> Any:
    """With the size of the layers instead of the manifest's, and AWS's error where a named image is missing."""
    name = data.get("repositoryName", "")
    for wanted in data.get("imageIds") or []:
        if name in ecr._repositories and not ecr._find_image(name, wanted):
            shown = ", ".join(f"{key}:'{value}'" for key, value in sorted(wanted.items()))
            return error_response_json("ImageNotFoundException", f"The image with imageId {{{shown}}} does not exist "
                                       f"within the repository with name '{name}'", 400)
    status, headers, body = _describe_images(data)
    if status >= 400:
        return status, headers, body
    answer = json.loads(body)
    for detail in answer["imageDetails"]:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            detail["imageSizeInBytes"] = _image_size(name, detail["imageDigest"])
    return json_response(answer)


def _image_size(name: str, digest: str) -> int:
    """Of a list of manifests the largest, as AWS counts it."""
    manifest = json.loads(ecr._manifest_blobs[name][digest])
    if "manifests" in manifest:
        return max(_image_size(name, part["digest"]) for part in manifest["manifests"])
    return int(manifest["config"]["size"]) + sum(int(layer["size"]) for layer in manifest["layers"])


def _excluded(name: str, tag: str, digest: str) -> bool | None:
    """Where the repository has exclusions and the tag names another image: whether the tag may move on."""
    repository = ecr._repositories.get(name) or {}
    kind, _, exclusion = str(repository.get("imageTagMutability")).partition("_")
    taken = any(tag in image.get("imageTags", []) and image["imageDigest"] != digest
                for image in ecr._images.get(name, []))
    if not (taken and exclusion):
        return None
    excluded = any(fnmatch.fnmatchcase(tag, item["filter"]) for item in repository.get(_EXCLUSIONS) or [])
    return excluded is (kind == "IMMUTABLE")


def _v2_put_manifest_with_exclusions(name: str, ref: str, headers: Json, body: bytes) -> Any:
    if not ref.startswith("sha256:") and _excluded(name, ref, ecr._content_digest(body)) is False:
        return ecr._registry_error(400, "TAG_INVALID", f"The image tag '{ref}' already exists in the '{name}' "
                                   "repository and cannot be overwritten because the tag is immutable.", {"tag": ref})
    return _v2_put_manifest(name, ref, headers, body)


def _keep_exclusions(data: Json, answer: Any) -> Any:
    """MiniStack keeps the kind of mutability alone."""
    repository = ecr._repositories.get(data.get("repositoryName", ""))
    if answer[0] >= 400 or repository is None:
        return answer
    repository.pop(_EXCLUSIONS, None)
    if data.get(_EXCLUSIONS):
        repository[_EXCLUSIONS] = data[_EXCLUSIONS]
    content = json.loads(answer[2])
    (content.get("repository") or content).update({_EXCLUSIONS: data[_EXCLUSIONS]} if data.get(_EXCLUSIONS) else {})
    return json_response(content)


def _ecr_cfn_with_exclusions(handler: Callable[..., Any], properties: str) -> Callable[..., Any]:
    """A handler of AWS::ECR::Repository that also takes the exclusions over; properties: the argument that has them."""
    places = list(inspect.signature(handler).parameters)

    @functools.wraps(handler)
    def handle(*arguments: Any) -> Any:
        name, attributes = handler(*arguments)
        filters = arguments[places.index(properties)].get("ImageTagMutabilityExclusionFilters") or []
        repository = ecr._repositories[name]
        repository.pop(_EXCLUSIONS, None)
        if filters:
            repository[_EXCLUSIONS] = [{"filterType": item["ImageTagMutabilityExclusionFilterType"],
                                        "filter": item["ImageTagMutabilityExclusionFilterValue"]} for item in filters]
        return name, attributes

    return handle


ecr._repo_uri = lambda name: f"localhost:{settings.PORT}/{name}"
ecr._layer_blobs = LayerStore()
ecr._get_authorization_token = _authorization_here
ecr._delete_repository = _delete_repository_and_layers
ecr._put_image = _put_image_as_aws
ecr._describe_images = _describe_images_as_aws
ecr._create_repository = lambda data: _keep_exclusions(data, _create_repository(data))
ecr._put_image_tag_mutability = lambda data: _keep_exclusions(data, _put_image_tag_mutability(data))
ecr._repo_shape = lambda repo: {**_repo_shape(repo), **{key: repo[key] for key in (_EXCLUSIONS,) if key in repo}}
ecr._v2_put_manifest = _v2_put_manifest_with_exclusions
provisioners._RESOURCE_HANDLERS["AWS::ECR::Repository"].update(
    create=_ecr_cfn_with_exclusions(provisioners._ecr_repo_create, "props"),
    update=_ecr_cfn_with_exclusions(provisioners._ecr_repo_update, "new_props"))


# --- CloudFormation: waiting for a service --------------------------------------------------------------------------

_service_create = provisioners._ecs_service_create
_service_update = provisioners._ecs_service_update
_service_delete = provisioners._ecs_service_delete
_task_definition_create = provisioners._ecs_task_def_create

_NUMBERS = {"DesiredCount", "HealthCheckGracePeriodSeconds", "ContainerPort", "MinimumHealthyPercent", "MaximumPercent",
            "Weight", "Base", "HostPort", "Memory", "MemoryReservation", "StopTimeout"}
_BOOLEANS = {"Enable", "Rollback", "EnableExecuteCommand", "Essential", "ReadonlyRootFilesystem"}


def _typed(value: Any, name: str = "") -> Any:
    """Numbers and booleans as such: a parameter's value arrives as text."""
    if isinstance(value, dict):
        return {key: _typed(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, name) for item in value]
    if isinstance(value, str) and name in _NUMBERS and value.lstrip("-").isdigit():
        return int(value)
    if isinstance(value, str) and name in _BOOLEANS and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _service_record(arn: str) -> Json | None:
    cluster, _, name = arn.partition(":service/")[2].partition("/")
    return ecs._services.get(f"{cluster}/{name}")


def _service_created(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
    props = _typed(props)
    arn, attributes = _service_create(logical_id, props, stack_name)
    svc = _service_record(arn)
    if svc is None:
        raise ValueError(f"service {arn} is missing after its creation")
    svc["healthCheckGracePeriodSeconds"] = props.get("HealthCheckGracePeriodSeconds", 0)
    # Known to the stack before it is steady, so that a rollback or a kill finds it.
    stack = cfn._stacks.get(stack_name)
    if stack is not None:
        stack.setdefault("_resources", {})[logical_id] = {
            "PhysicalResourceId": arn, "ResourceType": "AWS::ECS::Service", "ResourceStatus": "CREATE_IN_PROGRESS",
            "LogicalResourceId": logical_id, "Properties": props, "Attributes": attributes, "Timestamp": ecs._iso()}
    _await_steady(arn, stack_name)
    return arn, attributes


def _service_updated(physical_id: str, old: Json, new: Json, stack_name: str) -> tuple[str, Json]:
    running = (cfn._stacks.get(stack_name) or {}).get("_running", {})
    # Noted so that after a kill in the middle the service is sent back too.
    running["updating"] = {"physical_id": physical_id, "old": old, "new": new}
    answer: tuple[str, Json] = _service_update(physical_id, _typed(old), _typed(new), stack_name)
    _await_steady(physical_id, stack_name)
    running.pop("updating", None)
    return answer


def _service_deleted(physical_id: str, props: Json) -> None:
    svc = _service_record(physical_id)
    _service_delete(physical_id, props)
    group = f"service:{svc['serviceName']}" if svc else ""
    while svc and any(t.get("lastStatus") != "STOPPED" for t in ecs._tasks.values()
                      if t.get("group") == group and t.get("clusterArn") == svc["clusterArn"]):
        time.sleep(0.1)


def _await_steady(arn: str, stack_name: str) -> None:
    """Until the service's newest deployment is completed, as CloudFormation does. Raises ValueError with AWS's reason
    when the deployment failed or the update was cancelled."""
    svc = _service_record(arn)
    deployment = ecs._primary_deployment(svc) if svc else None
    while svc and deployment and svc.get("status") == "ACTIVE":
        if deployment.get("rolloutState") == "FAILED":
            raise ValueError("Resource handler returned message: \"Error occurred during operation 'ECS Deployment "
                             "Circuit Breaker was triggered'.\" (HandlerErrorCode: GeneralServiceException)")
        if ecs._primary_deployment(svc) is not deployment:
            raise ValueError("Resource handler returned message: \"Error occurred during operation 'ECS deployment was "
                             "superseded by another one'.\" (HandlerErrorCode: GeneralServiceException)")
        if deployment.get("rolloutState") == "COMPLETED" and svc.get("runningCount") == svc.get("desiredCount"):
            return
        # Taken, so that the rollback that follows is not cancelled too.
        if (cfn._stacks.get(stack_name) or {}).pop("_cancel_requested", False):
            raise ValueError("Resource update cancelled")
        time.sleep(0.1)


_cluster_create = provisioners._ecs_cluster_create
_cluster_update = provisioners._ecs_cluster_update


def _cluster_created(logical_id: str, props: Json, stack_name: str) -> Any:
    """With a generated name as CloudFormation's, which ends in letters and digits: policies count on that."""
    tail = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()[:12]
    return _cluster_create(logical_id, {"ClusterName": f"{stack_name}-{logical_id}-{tail}", **props}, stack_name)


def _cluster_updated(physical_id: str, old: Json, new: Json, stack_name: str, logical_id: str = "") -> Any:
    """A name that was generated stays."""
    name = {"ClusterName": physical_id}
    return _cluster_update(physical_id, {**name, **old}, {**name, **new}, stack_name, logical_id)


_worker_thread = stacks._runs_on_worker_thread
_sends_back = stacks._sends_back_failed_update
stacks._runs_on_worker_thread = lambda rtype: rtype in ("AWS::ECS::Service", instances.TYPE) or _worker_thread(rtype)
stacks._sends_back_failed_update = lambda rtype: rtype == "AWS::ECS::Service" or _sends_back(rtype)


# --- CloudFormation: events only of what an update touches ----------------------------------------------------------

_add_event = stacks._add_event
_update_resource = stacks._update_resource
_provision_resource = stacks._provision_resource
#: By stack and resource: the start of an update that has not been told yet, and what its end is to be called.
_untold: dict[tuple[str, str], tuple[Any, ...]] = {}
_ends: dict[tuple[str, str], str] = {}


def _event_as_aws(stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, reason: str = "",
                  physical_id: str = "", detailed_status: str = "") -> None:
    """MiniStack tells of every resource of a stack, and calls what an update adds updated; AWS does neither."""
    key = (stack_name, logical_id)
    if resource_type != "AWS::CloudFormation::Stack":
        if status == "UPDATE_IN_PROGRESS" and not reason:
            _untold[key] = (stack_id, stack_name, logical_id, resource_type, status, reason, physical_id)
            return
        if status == "UPDATE_COMPLETE" and (end := _ends.pop(key, status)) != status:
            status = end
        if status.endswith("_FAILED"):
            _tell_start(stack_name, logical_id)
        if status == "unchanged":
            return
    if not physical_id:
        record = (cfn._stacks.get(stack_name) or {}).get("_resources", {}).get(logical_id, {})
        physical_id = record.get("PhysicalResourceId", "")
    _add_event(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status)


def _tell_start(stack_name: str, logical_id: str, status: str = "UPDATE_IN_PROGRESS") -> None:
    if event := _untold.pop((stack_name, logical_id), None):
        _add_event(*event[:4], status, *event[5:])


def _update_and_tell(resource_type: str, physical_id: str, old: Json, new: Json, stack_name: str, logical_id: str,
                     *args: Any) -> Any:
    if old == new:
        _untold.pop((stack_name, logical_id), None)
        _ends[stack_name, logical_id] = "unchanged"
    else:
        _tell_start(stack_name, logical_id)
    return _update_resource(resource_type, physical_id, old, new, stack_name, logical_id, *args)


def _provision_and_tell(resource_type: str, logical_id: str, props: Json, stack_name: str) -> Any:
    if (stack_name, logical_id) in _untold:
        _tell_start(stack_name, logical_id, "CREATE_IN_PROGRESS")
        _ends[stack_name, logical_id] = "CREATE_COMPLETE"
    return _provision_resource(resource_type, logical_id, props, stack_name)


stacks._add_event = _event_as_aws
stacks._update_resource = _update_and_tell
stacks._provision_resource = _provision_and_tell


# --- CloudFormation: an operation cut off by a kill -----------------------------------------------------------------

_roll_back = stacks._roll_back_operation


async def _roll_back_all(stack_name: str, stack_id: str, stack: Json, operation: Json, *args: Any,
                         **options: Any) -> None:
    """As MiniStack's, but a service that never became steady is deleted too, and not within the same millisecond: on
    AWS a person, or a tool, has time to look at what failed."""
    known = set((operation.get("previous_stack") or {}).get("_resources", {})) | set(operation.get("created", []))
    operation["created"] = [*operation.get("created", []), *(k for k in stack.get("_resources", {}) if k not in known)]
    failed = (operation.get("template") or {}).get("Resources", {}).get(operation.get("failed_logical_id") or "", {})
    if failed.get("Type") == "AWS::ECS::Service":
        await asyncio.sleep(2)
    await _roll_back(stack_name, stack_id, stack, operation, *args, **options)


def _noted(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Keep an operation's arguments on the stack while it runs."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        stack = cfn._stacks.get(bound.arguments["stack_name"])
        if stack is not None:
            stack["_running"] = {"name": original.__name__, "arguments": {
                key: sorted(value) if isinstance(value, (set, frozenset)) else value
                for key, value in bound.arguments.items()}}
        try:
            await original(*args, **kwargs)
        finally:
            if stack is not None:
                stack.pop("_running", None)
            _dirty.set()

    return wrapper


_deploy_stack = _noted(stacks._deploy_stack_async)
_delete_stack = _noted(stacks._delete_stack_async)
for _module in (stacks, changesets, handlers):
    for _name, _new in (("_deploy_stack_async", _deploy_stack), ("_delete_stack_async", _delete_stack),
                        ("_roll_back_operation", _roll_back_all)):
        if hasattr(_module, _name):
            setattr(_module, _name, _new)


async def finish_interrupted(stop: asyncio.Event) -> None:
    """After a start: end the stack operations that were running when the process was killed."""
    await asyncio.to_thread(_loaded.wait)
    for (account, region, name), stack in list(cfn._stacks.all_items()):
        running = stack.get("_running")
        if not running:
            continue
        arguments = running["arguments"]
        with request_scope(account, region):
            if running["name"] == "_delete_stack_async":
                await _delete_stack(**arguments)
                continue
            previous = arguments.get("previous_stack") if arguments.get("is_update") else None
            before = (previous or {}).get("_resources", {})
            updating = running.get("updating")
            nothing: tuple[str, Json] = ("", {})
            logical_id, record = next(((key, value) for key, value in before.items()
                                       if updating and value["PhysicalResourceId"] == updating["physical_id"]), nothing)
            await _roll_back_all(name, stack["StackId"], stack, {
                "is_update": arguments.get("is_update", False), "previous_stack": previous,
                "created": [key for key, value in stack.get("_resources", {}).items() if value != before.get(key)],
                "failed_logical_id": logical_id, "failed_update": (
                    logical_id, record["ResourceType"], updating["physical_id"], updating["new"], updating["old"],
                    record.get("Attributes")) if updating and record else None,
                "template": arguments["template"], "param_values": arguments["param_values"],
                "stack_tags": stack.get("Tags") or [], "previous_tags": (previous or {}).get("Tags") or [],
            }, "The embedded AWS was stopped during the operation.")
        stack.pop("_running", None)
        _dirty.set()


# --- CloudFormation: a change set leaves out what its conditions leave out ------------------------------------------

_resolve_for_diff = changesets._resolve_props_for_diff


def _resolve_without_the_absent(template: Json, parameters: Json, *args: Any) -> Json:
    resolved: Json = _resolve_for_diff(template, parameters, *args)
    conditions = engine._evaluate_conditions(template, parameters) if template else {}
    resolved["Resources"] = {key: resource for key, resource in resolved.get("Resources", {}).items()
                             if conditions.get((template["Resources"].get(key) or {}).get("Condition"), True)}
    return resolved


changesets._resolve_props_for_diff = _resolve_without_the_absent
handlers._ACTION_HANDLERS["DescribeChangeSet"] = change_values.describe(handlers._ACTION_HANDLERS["DescribeChangeSet"])


# --- CloudFormation: resource types that are missing ----------------------------------------------------------------


def _security_group_rule(permissions: str) -> Json:
    """Handlers of AWS::EC2::SecurityGroupIngress and -Egress; permissions: the group's list that holds the rule."""

    def create(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
        group = ec2_service._security_groups.get(props["GroupId"])
        if group is None:
            raise ValueError(f"The security group '{props['GroupId']}' does not exist")
        group.setdefault(permissions, []).extend(provisioners._ec2_sg_permissions([props]))
        rule = "sgr-" + hashlib.sha256(f"{stack_name}/{logical_id}/{new_uuid()}".encode()).hexdigest()[:17]
        return rule, {"Id": rule}

    def delete(_physical_id: str, props: Json) -> None:
        group = ec2_service._security_groups.get(props.get("GroupId", ""))
        rules = provisioners._ec2_sg_permissions([props])
        if group:
            group[permissions] = [p for p in group.get(permissions, []) if p not in rules]

    def update(physical_id: str, old: Json, new: Json, stack_name: str) -> tuple[str, Json]:
        delete(physical_id, old)
        create(physical_id, new, stack_name)
        return physical_id, {"Id": physical_id}

    return {"create": create, "update": update, "delete": delete}


def _capacity_provider_create(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
    name = props.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=255)
    ecs._capacity_providers.pop(name, None)
    ecs._create_capacity_provider({
        "name": name,
        "autoScalingGroupProvider": provisioners._pascal_to_camel(props.get("AutoScalingGroupProvider") or {}),
        "tags": provisioners._pascal_to_camel(props.get("Tags") or [])})
    return name, {"Arn": ecs._capacity_providers[name]["capacityProviderArn"]}


def _capacity_provider_update(physical_id: str, _old: Json, new: Json, _stack: str) -> tuple[str, Json]:
    record = ecs._capacity_providers[physical_id]
    record["autoScalingGroupProvider"].update(
        provisioners._pascal_to_camel(new.get("AutoScalingGroupProvider") or {}))
    return physical_id, {"Arn": record["capacityProviderArn"]}


def _capacity_provider_delete(physical_id: str, _props: Json) -> None:
    ecs._capacity_providers.pop(physical_id, None)


def _associate_capacity(logical_id: str, props: Json, _stack_name: str) -> tuple[str, Json]:
    ecs._put_cluster_capacity_providers({
        "cluster": props["Cluster"], "capacityProviders": props.get("CapacityProviders", []),
        "defaultCapacityProviderStrategy": provisioners._pascal_to_camel(
            _typed(props.get("DefaultCapacityProviderStrategy") or []))})
    return props["Cluster"], {}


def _associate_capacity_again(_physical_id: str, _old: Json, new: Json, stack_name: str) -> tuple[str, Json]:
    return _associate_capacity("", new, stack_name)


def _dissociate_capacity(_physical_id: str, props: Json) -> None:
    cluster = ecs._clusters.get(ecs._resolve_cluster_name(props["Cluster"]) or "")
    if cluster:
        cluster["capacityProviders"], cluster["defaultCapacityProviderStrategy"] = [], []


def _recorded(make_id: Callable[[Json, str], str], attributes: Callable[[str], Json]) -> Json:
    """Handlers of a type that is accepted and remembered by its stack, but has no effect here."""
    return {
        "create": lambda logical_id, props, stack_name: (i := make_id(props, f"{stack_name}-{logical_id}"),
                                                         attributes(i)),
        "update": lambda physical_id, _old, _new, _stack: (physical_id, attributes(physical_id)),
        "delete": lambda _physical_id, _props: None,
    }


provisioners._RESOURCE_HANDLERS.update({
    "AWS::EC2::SecurityGroupIngress": _security_group_rule("IpPermissions"),
    "AWS::EC2::SecurityGroupEgress": _security_group_rule("IpPermissionsEgress"),
    "AWS::ECS::CapacityProvider": {"create": _capacity_provider_create, "update": _capacity_provider_update,
                                   "delete": _capacity_provider_delete},
    "AWS::ECS::ClusterCapacityProviderAssociations": {
        "create": _associate_capacity, "update": _associate_capacity_again, "delete": _dissociate_capacity},
    "AWS::ApplicationAutoScaling::ScalableTarget": _recorded(
        lambda p, _: f"{p['ResourceId']}|{p['ScalableDimension']}|{p['ServiceNamespace']}",
        lambda i: {"Id": i}),
    "AWS::ApplicationAutoScaling::ScalingPolicy": _recorded(
        lambda p, name: f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{new_uuid()}:"
                        f"policyName/{p.get('PolicyName', name)}",
        lambda i: {"Arn": i}),
})
provisioners._RESOURCE_HANDLERS["AWS::ECS::Cluster"].update(create=_cluster_created, update=_cluster_updated)
provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"].update(
    create=_service_created, update=_service_updated, delete=_service_deleted)
# By its name too: an update that needs a new revision calls it. The task's own size is text, its containers' a number.
provisioners._ecs_task_def_create = lambda logical_id, props, *more: _task_definition_create(
    logical_id, {**_typed(props), **{key: str(props[key]) for key in ("Cpu", "Memory") if key in props}}, *more)
provisioners._RESOURCE_HANDLERS["AWS::ECS::TaskDefinition"]["create"] = provisioners._ecs_task_def_create
provisioners._RESOURCE_HANDLERS["AWS::ElasticLoadBalancingV2::LoadBalancer"]["create"] = _load_balancer_create

#: The public parameters that templates for ECS on EC2 name; an image id is all that is needed of them here.
ssm._PUBLIC_AMI_PARAMETERS.update({
    f"/aws/service/ecs/optimized-ami/amazon-linux-2023/{variant}recommended/image_id": "ami-0ec5" + "0" * 12 + digit
    for variant, digit in (("", "1"), ("arm64/", "2"))})


# --- services that are missing --------------------------------------------------------------------------------------

codepipeline.install(changed=_dirty.set)
codecommit.register()
permissions.install()


# --- S3 -------------------------------------------------------------------------------------------------------------

_sse_headers = s3._resolve_sse_write_headers
_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def _sse_headers_with_own_key(headers: Json, bucket: str) -> Any:
    """Without a key's id, AWS encrypts with the key that it keeps for S3 in every account."""
    if headers.get("x-amz-server-side-encryption") == "aws:kms" and not headers.get(_KEY_HEADER):
        headers = {**headers, _KEY_HEADER: f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/s3"}
    return _sse_headers(headers, bucket)


s3._resolve_sse_write_headers = _sse_headers_with_own_key


# --- the whole ------------------------------------------------------------------------------------------------------

_loaded = threading.Event()
#: Of the code that runs, not of what has been written to disk since.
_CODE = settings.code_version()


def _health() -> Json:
    """Ready when every restored service runs as many tasks as it wants."""
    waiting = [svc["serviceName"] for _, svc in ecs._services.all_items()
               if svc.get("status") == "ACTIVE" and svc.get("runningCount", 0) < svc.get("desiredCount", 0)]
    wanted = {lb.get("targetGroupArn", "") for _, svc in ecs._services.all_items()
              if svc.get("status") == "ACTIVE" and svc.get("desiredCount") for lb in svc.get("loadBalancers") or []}
    unhealthy = [arn for arn in wanted if not any(h.state == "healthy" for _, h in targets.of(arn))]
    busy = [name for (_, _, name), stack in cfn._stacks.all_items() if stack.get("_running")]
    return {"version": _CODE, "pid": os.getpid(), "ready": _loaded.is_set(),
            "waiting_services": sorted(waiting), "unhealthy_groups": sorted(unhealthy), "busy_stacks": sorted(busy)}


def wrap(inner: Any) -> Any:
    """The ASGI application with our health page in front, noting which requests may have changed something."""

    async def application(scope: Json, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async def send_and_note(message: Json) -> None:
                await send(message)
                if message["type"] == "lifespan.startup.complete":
                    _loaded.set()
            await inner(scope, receive, send_and_note)
            return
        if scope["type"] == "http" and scope["path"] == "/_slipway/health":
            body = json.dumps(_health()).encode()
            await send({"type": "http.response.start", "status": 200,
                        "headers": [(b"content-type", b"application/json"),
                                    (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})
            return
        answering = inner
        if scope["type"] == "http" and scope["path"].startswith(smart_http.PREFIX):
            answering = smart_http.application
        try:
            await answering(scope, receive, send)
        finally:
            if scope["type"] == "http" and not _only_reads(scope):
                _dirty.set()

    return application


def _only_reads(scope: Json) -> bool:
    if scope["method"] in ("GET", "HEAD"):
        return True
    action = next((value.decode().rpartition(".")[2] for name, value in scope["headers"]
                   if name.lower() == b"x-amz-target"), "")
    return action.startswith(_READS)


async def recover(stop: asyncio.Event) -> None:
    """After a start. Hosts last: an operation that is rolled back may take one away."""
    await finish_interrupted(stop)
    await asyncio.to_thread(codepipeline.resume)
    await codecommit.tell_what_is_left()
    await instances.wake_hosts()


#: Coroutines that run beside the server until its stop event.
BACKGROUND: Iterable[Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = (
    save_state, serve_listeners, recover, forget_stopped_tasks)
