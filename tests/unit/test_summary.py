"""The lines below the recap: composed by a pure function, collected by a callback that is fed by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "slipway_summary", Path(__file__).resolve().parents[2] / "callback_plugins" / "summary.py")
assert _SPEC and _SPEC.loader
summary = importlib.util.module_from_spec(_SPEC)
sys.modules["slipway_summary"] = summary
_SPEC.loader.exec_module(summary)
Failure, Row, Run = summary.Failure, summary.Row, summary.Run

URL = "http://shop-1.eu-central-1.elb.amazonaws.com"
DIGEST = "sha256:" + "ab" * 32


def stack(name: str, seconds: float = 1.0, *, host: str = "localhost", failed: bool = False, **result: Any) -> Any:
    return Row("cfn_stack", host, seconds, {"stack_name": name, "changed": False, **result}, failed)


def image(seconds: float = 3.2, host: str = "shop", **result: Any) -> Any:
    return Row("ecr_push", host, seconds, {"tag": "7fd3", "digest": DIGEST, "built": True, "pushed": True,
                                           "changed": True, "phases": {"build": 2.1, "push": 0.9}, **result})


def rollout(seconds: float = 4.1, host: str = "shop", service: str = "web", **result: Any) -> Any:
    return Row("ecs_rollout", host, seconds, {"verdict": "completed", "service": service, "rollout_seconds": 3.96,
                                              "deployment_id": "ecs-svc/1", "changed": False, **result})


RELEASE = [
    stack("shop-network", 2.1, stack_status="CREATE_COMPLETE", changed=True),
    stack("shop-registry", 0.8, stack_status="CREATE_COMPLETE"),
    image(),
    stack("shop-service", 12.0, host="shop", status="UPDATE_COMPLETE", changed=True,
          outputs={"ServiceName": "web", "AppURL": URL, "DatabasePassword": "hunter2"}),
    rollout(),
]


def text(run: Any) -> str:
    return "\n".join(line for line, _ in summary.compose(run))


def test_a_release() -> None:
    assert text(Run(RELEASE, [], changed=3, seconds=25.04)) == f"""\
AppURL   {URL}
image    7fd3  built, pushed
         {DIGEST}
stacks   shop-network   CREATE_COMPLETE  changed
         shop-registry  CREATE_COMPLETE  unchanged
         shop-service   UPDATE_COMPLETE  changed
rollout  web  completed  in 4.0 s  ecs-svc/1
time     network 2.1 s, registry 0.8 s, image 3.2 s (build 2.1, push 0.9),
         service 12.0 s, rollout 4.1 s, total 25.0 s"""


def test_nothing_changed_is_said() -> None:
    rows = [stack("shop-service", stack_status="UPDATE_COMPLETE"), image(built=False, pushed=False, changed=False)]
    lines = summary.compose(Run(rows, [], changed=0, seconds=2.0))
    assert lines[-1] == ("Nothing changed.", "green")
    assert "image   7fd3  already there" in text(Run(rows))


def test_other_tasks_count_as_changes_too() -> None:
    assert "Nothing changed" not in text(Run([stack("shop-service")], [], changed=1))


def test_check_mode_says_what_would_change() -> None:
    run = Run([stack("shop-network"), stack("shop-service", changed=True), image()], [], changed=4, check=True)
    assert text(run).splitlines()[-1] == "Would change: service, image, 2 other tasks."
    assert "would be built and pushed" in text(run)
    assert "shop-service  would change" in text(run)
    assert text(Run([stack("shop-network")], [], check=True)).endswith("Nothing would change.")


@pytest.mark.parametrize("verdict", ["missing", "in_progress", None])
def test_check_mode_has_no_verdict_before_the_release(verdict: str | None) -> None:
    row = rollout(verdict=verdict, rollout_seconds=None, deployment_id=None)
    assert "rollout  web  would be awaited\n" in text(Run([row], [], check=True))


def test_without_our_modules_nothing_is_printed() -> None:
    assert summary.compose(Run([], [Failure("install", "localhost", "no")], changed=3)) == []


def test_a_failure_comes_first_and_short() -> None:
    message = "The rollout of web:12 was rolled back.\nContainer web crashes on start. " + "x" * 900
    lines = summary.compose(Run([rollout(verdict="rolled_back", rollout_seconds=None)],
                                [Failure("Judge the rollout", "shop", message)], changed=1))
    first, colour = lines[0]
    assert first.startswith("FAILED  Judge the rollout (shop): The rollout of web:12 was rolled back. Container web")
    assert (len(first) < 700, colour) == (True, "red")
    assert "web  rolled back  ecs-svc/1" in lines[1][0]
    assert not any("changed" in line for line, _ in lines)


def test_secrets_in_outputs_are_not_shown() -> None:
    assert "hunter2" not in text(Run(RELEASE))


def test_several_services_are_told_apart() -> None:
    rows = [stack("shop-service", 9.0, host="shop", outputs={"AppURL": "http://a"}),
            stack("cart-service", 5.0, host="cart", outputs={"AppURL": "http://b"}),
            rollout(4.0, "shop", "shop"), rollout(6.0, "cart", "cart"), image(2.0, "shop"), image(1.0, "cart", tag="9")]
    lines = text(Run(rows, [], changed=2, seconds=20.0)).splitlines()
    assert lines[:2] == ["AppURL   shop-service  http://a", "         cart-service  http://b"]
    assert "rollout  shop  completed  in 4.0 s  ecs-svc/1" in lines
    assert "         cart  completed  in 4.0 s  ecs-svc/1" in lines
    assert lines[-2:] == ["time     shop-service 9.0 s, cart-service 5.0 s, rollout 6.0 s, image 2.0 s,",
                          "         total 20.0 s"]


@pytest.mark.parametrize("result", [{}, {"outputs": None}, {"outputs": "(known after apply)"}, {"phases": None}])
def test_what_is_missing_breaks_nothing(result: dict[str, Any]) -> None:
    rows = [Row(module, "localhost", 1.0, result) for module in summary.MODULES]
    assert summary.compose(Run(rows))


# -- the record of one release -----------------------------------------------------------------------------------------

WHO = "arn:aws:sts::123456789012:assumed-role/shop-jenkins-Role-1ABCDEF/i-0123456789abcdef0"
TOLD = {"verdict": "completed", "kind": "release", "tag": "7fd3", "digest": DIGEST, "from": {"tag": "6ab1"},
        "commit": "fc99df3" + "0" * 33, "user": "jenkins", "host": "ip-10-0-0-7", "who": WHO,
        "build_url": "http://127.0.0.1:8080/job/shop/7/", "task_definition": "arn:x/shop:12"}


def recorded(**record: Any) -> Any:
    return Row("ecs_ledger", "shop", 0.1, {"record": {**TOLD, **record}})


def test_the_record_of_a_release_is_told_once_and_readably() -> None:
    rows = [Row("ecs_ledger", "shop", 0.1, {"entry": {}}), image(),
            Row("ecs_task", "shop", 5.0, {"phases": {"run": 4.8}}),
            stack("shop-service", 12.0, host="shop", status="UPDATE_COMPLETE", changed=True, outputs={"AppURL": URL},
                  phases={"read": 0.01, "plan": 0.9, "update": 11.0}),
            rollout(deployment_id="ecs-svc/8329157493015827364", service="shop-service-Service-AbCdEfGhIjKl",
                    task_definition="arn:aws:ecs:eu-central-1:123456789012:task-definition/shop-service:12",
                    phases={"wait": 3.9, "url": 0.2}), recorded()]
    shown = text(Run(rows, [], changed=3, seconds=25.04))
    assert shown == f"""\
AppURL   {URL}
image    6ab1 -> 7fd3  built, pushed
         {DIGEST}
commit   fc99df3000000000000000000000000000000000
by       jenkins on ip-10-0-0-7, as
         assumed-role/shop-jenkins-Role-1ABCDEF/i-0123456789abcdef0
         http://127.0.0.1:8080/job/shop/7/
stacks   shop-service  UPDATE_COMPLETE  changed
rollout  shop-service-Service-AbCdEfGhIjKl  completed  in 4.0 s
         ecs-svc/8329157493015827364  shop-service:12
time     image 3.2 s (build 2.1, push 0.9), task 5.0 s (run 4.8),
         shop-service 12.0 s (plan 0.9, update 11.0), rollout 4.1 s (wait 3.9,
         url 0.2), total 25.0 s"""
    assert max(map(len, shown.splitlines())) <= 80


def test_the_record_of_a_rollback_says_where_it_went() -> None:
    rows = [stack("shop-service", host="shop", changed=True), rollout(),
            recorded(kind="rollback", tag="6ab1", **{"from": {"tag": "7fd3"}})]
    lines = text(Run(rows, [], changed=1)).splitlines()
    assert lines[:2] == ["image    7fd3 -> 6ab1", f"         {DIGEST}"]


def test_a_release_that_came_to_no_rollout_has_its_verdict_from_the_record() -> None:
    rows = [image(), stack("shop-service", host="shop", failed=True, status="UPDATE_ROLLBACK_COMPLETE"),
            recorded(verdict="rolled_back")]
    run = Run(rows, [Failure("Update the service stack", "shop", "Container web crashes on start.")], changed=1)
    assert "verdict  rolled back" in text(run).splitlines()
    judged = Run([*rows, rollout(verdict="no_answer")], run.failures)
    assert not any(line.startswith("verdict") for line in text(judged).splitlines())


def test_a_long_record_still_fits_eighty_columns() -> None:
    long = "x" * 128
    record = {"from": {"tag": "y" * 128}, "build_url": f"http://{long}", "tag": long, "commit": long, "host": long}
    shown = text(Run([image(tag=long), stack(long, host="shop", status="UPDATE_ROLLBACK_COMPLETE"),
                      rollout(service=long, task_definition=f"arn:x/{long}"), recorded(**record)]))
    assert max(map(len, shown.splitlines())) <= 80


def test_a_run_without_a_record_tells_what_it_did_before() -> None:
    rows = [*RELEASE, Row("ecs_ledger", "shop", 0.1, {"record": None})]
    assert text(Run(rows, [], changed=3, seconds=25.04)) == text(Run(RELEASE, [], changed=3, seconds=25.04))


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, text: str, color: str | None = None) -> None:
        self.lines.append(text)


def finished(action: str, result: dict[str, Any], host: str = "shop") -> Any:
    return SimpleNamespace(host=SimpleNamespace(name=host), task=SimpleNamespace(action=action, _uuid=action),
                           result=result, task_name=f"run {action}")


def stats(failed: bool = False, changed: int = 0) -> Any:
    return SimpleNamespace(failures={"shop": 1} if failed else {}, dark={}, changed={"shop": changed})


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = summary.CallbackModule()
    monkeypatch.setattr(made, "_display", Screen())
    return made


def test_the_callback_collects_loops(callback: Any) -> None:
    task = finished("slipway.ecs_rollout", {"results": [
        {"verdict": "completed", "service": "a"}, {"skipped": True}, {"verdict": "completed", "service": "b"}]})
    callback.v2_runner_on_start(task.host, task.task)
    for _ in range(3):
        callback.v2_runner_item_on_ok(task)
    callback.v2_runner_on_ok(task)
    callback.v2_playbook_on_stats(stats())
    printed = "\n".join(callback._display.lines)
    assert "a  completed" in printed and "b  completed" in printed


def test_the_callback_reports_what_was_not_rescued(callback: Any) -> None:
    failed = finished("cfn_stack", {"stack_name": "shop", "msg": "no such template"})
    callback.v2_runner_on_failed(failed)
    callback.v2_playbook_on_stats(stats(failed=True))
    assert callback._display.lines[0] == "FAILED  run cfn_stack (shop): no such template"


def test_the_callback_forgets_what_was_rescued_or_ignored(callback: Any) -> None:
    callback.v2_runner_on_failed(finished("cfn_stack", {"stack_name": "shop", "msg": "no"}))
    callback.v2_runner_on_failed(finished("copy", {"msg": "no"}), ignore_errors=True)
    callback.v2_playbook_on_stats(stats(changed=1))
    assert not any("FAILED" in line for line in callback._display.lines)


def test_the_callback_is_silent_without_our_modules(callback: Any) -> None:
    callback.v2_runner_on_ok(finished("copy", {"changed": True}))
    callback.v2_playbook_on_stats(stats(changed=1))
    assert callback._display.lines == []


# -- several services -------------------------------------------------------------------------------------------------

RECORD = {"verdict": "rolled_back", "tag": "v2", "digest": DIGEST, "cause": "Container cart crashes on start: exit "
          "code 1. Its log says: 'the database at 10.1.2.3 does not answer, giving up after three attempts'."}


def several(*rows: Any, failures: Any = (), **spent: float) -> Any:
    return Run(list(rows), list(failures), seconds=30.0, services=spent)


def good(host: str, **result: Any) -> list[Any]:
    return [image(host=host, tag="v2"), stack(f"{host}-service", host=host, changed=True, status="UPDATE_COMPLETE"),
            rollout(host=host, service=f"{host}-service-Service", **result)]


def test_a_table_of_several_services() -> None:
    run = several(*good("shop"), image(host="cart"), stack("cart-service", host="cart", changed=True),
                  Row("ecs_rollout", "cart", 9.0, {"verdict": "rolled_back", "failed": True}, True),
                  Row("ecs_ledger", "cart", 0.2, {"record": RECORD}),
                  failures=[Failure("Judge the rollout", "cart", "long message")], shop=12.04, cart=20.0, search=0.0)
    assert text(run) == """\
service  verdict      tag  digest        time
shop     completed    v2   abababababab  12.0 s
cart     rolled back  v2   abababababab  20.0 s
  Container cart crashes on start: exit code 1. Its log says: 'the database at
  10.1.2.3 does not answer, giving up after three attempts'.
search   untouched
1 completed, 1 rolled back, 1 untouched of 3 services.
Untouched, as a release before theirs failed: search.
time: the slowest image 3.2 s, stack 1.0 s, rollout 9.0 s; total 30.0 s"""


def test_the_table_fits_eighty_columns() -> None:
    name = "a-service-with-a-name-that-is-far-too-long-for-a-table"
    rows = [*good(name), image(host=f"{name}2", tag="t" * 120)]
    left = {f"another-service-{number}": 0.0 for number in range(20)}
    run = several(*rows, failures=[Failure("x", f"{name}2", "word " * 400)], **{name: 1.0, f"{name}2": 2.0}, **left)
    assert max(len(line) for line, _ in summary.compose(run)) <= 80


@pytest.mark.parametrize(("module", "verdict"), [
    ("ecs_preflight", "refused"), ("ecs_ledger", "refused"), ("ecr_push", "image failed"),
    ("cfn_stack", "stack failed"), ("ecs_task", "task failed"), ("ecs_rollout", "refused")])
def test_the_step_that_failed_names_the_verdict(module: str, verdict: str) -> None:
    row = Row(module, "cart", 1.0, {"msg": "Not so."}, True)
    found = summary.outcome(several(row, failures=[Failure("x", "cart", "Not so.")], shop=0.0, cart=1.0), "cart")
    assert (found.verdict, found.cause) == (verdict, "Not so.")


def test_a_failed_step_that_knows_better_is_heard() -> None:
    """What cfn_stack calls its failure; and a rollout given up without a verdict is no refusal once it is under way."""
    failed = [Failure("x", "cart", "No.")]
    row = Row("cfn_stack", "cart", 1.0, {"msg": "No.", "verdict": "rolled_back"}, True)
    assert summary.outcome(several(row, failures=failed, shop=0.0, cart=1.0), "cart").verdict == "rolled back"
    rows = [stack("cart-service", host="cart", changed=True), Row("ecs_rollout", "cart", 1.0, {"msg": "No."}, True)]
    assert summary.outcome(several(*rows, failures=failed, shop=0.0, cart=1.0), "cart").verdict == "aborted"


def test_what_had_nothing_to_do_is_unchanged() -> None:
    rows = [image(built=False, pushed=False), stack("shop-service", host="shop"), rollout()]
    assert summary.outcome(several(*rows, shop=1.0, cart=1.0), "shop").verdict == "unchanged"


def test_what_was_prepared_but_not_released_is_untouched() -> None:
    rows = [Row("ecs_preflight", "cart", 1.0, {}, False, False),
            Row("cfn_stack", "cart", 1.0, {"stack_name": "cart-registry", "changed": True}, False, False),
            *good("shop")]
    lines = text(several(*rows, shop=1.0, cart=0.0))
    assert "cart     untouched" in lines
    assert "cart-registry" in lines.splitlines()[0]


def test_check_mode_tells_of_each_what_would_change() -> None:
    run = Run([*good("shop"), stack("cart-service", host="cart")], [], check=True, services={"shop": 1.0, "cart": 1.0})
    assert "1 would change, 1 would not change of 2 services." in text(run)
