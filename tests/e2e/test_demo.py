"""The main job as a new user does it: `make demo`, again, an edit, broken images, interruptions, `make down`."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.polling_client import PollingClient
from tests.processes import alive

ROOT = Path(__file__).resolve().parents[2]
PORT = 4586


class Demo:
    """A copy of the application, and the commands of the README on a port and state of its own."""

    def __init__(self, folder: Path) -> None:
        self.app = folder / "app"
        self.state = folder / "state"
        shutil.copytree(ROOT / "files" / "app", self.app)
        self.env = {**os.environ, "SLIPWAY_AWS_PORT": str(PORT), "SLIPWAY_AWS_STATE": str(self.state),
                    "SLIPWAY_APP": str(self.app), "SLIPWAY_WITH_JENKINS": "no", "ANSIBLE_NOCOLOR": "1"}

    def make(self, target: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["make", target, *more], cwd=ROOT, env=self.env, text=True, timeout=1200,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([".venv/bin/ansible-playbook", "-i", "inventories/embedded", *arguments], cwd=ROOT,
                              env=self.env, text=True, timeout=600, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    def ledger(self) -> list[dict[str, Any]]:
        """The records of the demo's releases, oldest first."""
        return [json.loads(item["entry"]["S"]) for item in self._items() if item["id"]["S"].startswith("release#")]

    def lock(self) -> dict[str, Any] | None:
        return next((item for item in self._items() if item["id"]["S"] == "lock"), None)

    def _items(self) -> list[dict[str, Any]]:
        import boto3

        table = boto3.client("dynamodb", endpoint_url=f"http://localhost:{PORT}", region_name="us-east-1",
                             aws_access_key_id="embedded", aws_secret_access_key="embedded")
        items: list[dict[str, Any]] = table.query(
            TableName="slipway-demo-ledger", KeyConditionExpression="service = :s", ConsistentRead=True,
            ExpressionAttributeValues={":s": {"S": "slipway-demo-service"}})["Items"]
        return items

    def paint(self, colour: str) -> None:
        """Give the page another background: the one line that the sample application is made to have changed."""
        page = self.app / "index.php"
        text, count = re.subn(r"(?m)^\$color = '\w+';$", f"$color = '{colour}';", page.read_text())
        assert count == 1
        page.write_text(text)


def url_of(output: str) -> str:
    found = re.search(r"^AppURL +(\S+)", output, re.M)
    assert found, output
    return found.group(1)


def page(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read().decode()


def colour_of(url: str) -> str:
    found = re.search(r"background: (\w+);", page(url))
    assert found
    return found.group(1)


def changed(output: str) -> int:
    counts = re.findall(r"changed=(\d+)", output)
    assert counts, output
    return sum(map(int, counts))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    from embedded import engine

    # An engine that is there before the demo stays after it, so that what `make down` left can be looked at.
    state = tmp_path_factory.mktemp("engine")
    engine.ensure_engine(state, print)
    made = Demo(tmp_path_factory.mktemp("demo"))
    yield made
    made.make("down")
    engine.stop_started_engine(state, print)


@pytest.fixture(scope="module")
def empty_account(demo: Demo) -> subprocess.CompletedProcess[str]:
    up = demo.make("aws")
    assert up.returncode == 0, up.stdout
    assert f"export AWS_ENDPOINT_URL=http://localhost:{PORT}" in up.stdout
    return demo.play("site.yml", "--check", "--diff")


@pytest.fixture(scope="module")
def first(demo: Demo, empty_account: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    run = demo.make("demo")
    assert run.returncode == 0, run.stdout
    return run


@pytest.fixture(scope="module")
def url(first: subprocess.CompletedProcess[str]) -> str:
    return url_of(first.stdout)


def test_check_mode_on_an_empty_account_says_what_would_come_and_makes_nothing(
        demo: Demo, empty_account: subprocess.CompletedProcess[str]) -> None:
    assert empty_account.returncode == 0, empty_account.stdout
    assert changed(empty_account.stdout) >= 4
    for expected in ("AWS::EC2::VPC", "AWS::ECR::Repository", "AWS::ECS::Service", "slipway-demo-service"):
        assert expected in empty_account.stdout
    state = json.loads((demo.state / "services" / "cloudformation.json").read_text())["payload"]
    left = [stack for stack in state["stacks"]["data"].values() if stack["StackStatus"] != "DELETE_COMPLETE"]
    assert left == []


def test_the_first_run_ends_with_a_page(first: subprocess.CompletedProcess[str], url: str) -> None:
    tag = re.search(r"^image +(\S+) +built, pushed", first.stdout, re.M)
    assert tag
    assert re.search(r"sha256:[0-9a-f]{64}", first.stdout)
    for stack in ("network", "registry", "service"):
        assert f"slipway-demo-{stack}" in first.stdout
    # Folded where it is longer than a terminal is wide.
    assert re.search(r"^time (.*\n +)*?.*total \d+\.\d s", first.stdout, re.M)
    shown = page(url)
    assert "lightblue" in shown
    assert tag.group(1) in shown


def test_the_second_run_changes_nothing_and_says_so(demo: Demo, first: subprocess.CompletedProcess[str]) -> None:
    again = demo.make("demo")
    assert again.returncode == 0, again.stdout
    assert changed(again.stdout) == 0
    assert "Nothing changed." in again.stdout


def test_check_mode_says_what_an_edit_would_change_and_changes_nothing(demo: Demo, url: str) -> None:
    before = page(url)
    demo.paint("khaki")
    check = demo.play("site.yml", "--check", "--diff")
    demo.paint("lightblue")
    assert check.returncode == 0, check.stdout
    assert changed(check.stdout) == 2
    assert "+TaskDefinition.ContainerDefinitions[slipway-demo].Image: " in check.stdout
    assert re.sub(r"Time.*", "", page(url), flags=re.S) == re.sub(r"Time.*", "", before, flags=re.S)
    assert changed(demo.make("demo").stdout) == 0


def test_an_edit_is_released_without_a_failed_request(demo: Demo, url: str) -> None:
    demo.paint("pink")
    with PollingClient(url) as client:
        run = demo.make("demo")
    assert run.returncode == 0, run.stdout
    assert changed(run.stdout) == 3  # image, stack, and the record of both
    assert "pink" in page(url)
    assert client.saw("pink")
    assert client.saw("lightblue")
    assert client.failures == {}


def test_a_release_alone_changes_the_image_tag_only(demo: Demo, url: str) -> None:
    demo.paint("plum")
    run = demo.play("playbooks/release.yml")
    assert run.returncode == 0, run.stdout
    assert changed(run.stdout) == 3
    assert colour_of(url) == "plum"
    assert changed(demo.make("demo").stdout) == 0


def test_a_crashing_image_is_refused_with_its_cause_and_the_old_page_stays(demo: Demo, url: str) -> None:
    before = colour_of(url)
    whole = (demo.app / "Dockerfile").read_text()
    (demo.app / "Dockerfile").write_text(whole + '\nCMD ["sh", "-c", "echo no database at db:5432 >&2; exit 3"]\n')
    with PollingClient(url) as client:
        run = demo.make("demo")
    (demo.app / "Dockerfile").write_text(whole)
    assert run.returncode != 0
    assert client.failures == {}
    assert not client.saw("no database")
    assert colour_of(url) == before
    summary = run.stdout[run.stdout.rindex("PLAY RECAP"):]
    assert "exit code 3" in summary or "exited with 3" in summary or "code 3" in summary, summary
    assert "no database at db:5432" in run.stdout


def test_an_image_that_never_answers_is_refused_with_its_cause(demo: Demo, url: str) -> None:
    before = colour_of(url)
    whole = (demo.app / "Dockerfile").read_text()
    (demo.app / "Dockerfile").write_text(whole + '\nCMD ["sleep", "600"]\n')
    run = demo.make("demo")
    (demo.app / "Dockerfile").write_text(whole)
    assert run.returncode != 0
    assert "health check" in run.stdout.lower()
    assert colour_of(url) == before


def test_after_the_failures_the_good_application_is_no_change(demo: Demo, url: str) -> None:
    before = colour_of(url)
    run = demo.make("demo")
    assert run.returncode == 0, run.stdout
    assert changed(run.stdout) == 0
    assert colour_of(url) == before


def test_a_dockerfile_that_does_not_build_leads_with_its_last_lines(demo: Demo, url: str) -> None:
    before = colour_of(url)
    whole = (demo.app / "Dockerfile").read_text()
    (demo.app / "Dockerfile").write_text(whole + "\nUSER root\nRUN echo reading the plan && cat /no/such/plan\n")
    run = demo.make("demo")
    (demo.app / "Dockerfile").write_text(whole)
    assert run.returncode != 0
    assert "RUN echo reading the plan" in run.stdout
    assert "/no/such/plan: No such file or directory" in run.stdout
    assert colour_of(url) == before


@pytest.mark.parametrize(("arguments", "words"), [
    (["-e", "ecs_release_app_name=9lives"], "Application name '9lives' is refused"),
    (["-e", "ecs_release_repository=Team/App"], "Repository name 'Team/App' is refused at character 1 ('T')"),
    (["-e", "ecs_release_tag=a+b"], "Image tag 'a+b' is refused at character 2 ('+')"),
    (["-e", "ecs_release_source=/nowhere"], "The application's folder /nowhere is missing"),
    (["-e", "ecs_release_dockerfile=Containerfile"], "Containerfile is missing"),
    (["-e", '{"ecs_release_service_parameters": {"DesiredCount": "many"}}'], "DesiredCount is 'many'"),
    (["-e", '{"ecs_release_service_parameters": [1]}'], "ecs_release_service_parameters"),
    (["-e", '{"aws_environment": {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}}'], "No AWS region is set"),
    (["-e", '{"aws_environment": {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "nobody"}}'], "AWS profile 'nobody'"),
    (["-e", json.dumps({"aws_environment": {
        "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null"}})],
     "No AWS credentials are found"),
])
def test_bad_input_is_named_before_anything_is_made(demo: Demo, url: str, arguments: list[str], words: str) -> None:
    for name in [name for name in demo.env if name.startswith("AWS_")]:
        del demo.env[name]
    run = demo.play("site.yml", *arguments)
    assert run.returncode != 0
    assert words in re.sub(r"\s+", " ", run.stdout), run.stdout
    assert "changed: [" not in run.stdout
    assert "Traceback" not in run.stdout


def test_nothing_secret_is_shown_even_at_vvv(demo: Demo, url: str) -> None:
    run = demo.play("playbooks/release.yml", "-vvv", "-e", "ecs_release_tag=shown-tag")
    assert run.returncode == 0, run.stdout
    assert "ministack-auth-token" not in run.stdout
    # The token as the registry API hands it out: base64 of user and password.
    assert "QVdTOm1pbmlzdGFjay1hdXRoLXRva2Vu" not in run.stdout
    assert changed(demo.make("demo").stdout) <= 2


def test_a_rollback_leads_to_the_last_good_release_without_a_failed_request(demo: Demo, url: str) -> None:
    """After the releases of the tests before: two good ones, then images that crashed, hung or did not build."""
    demo.paint("navy")
    assert demo.make("demo").returncode == 0
    demo.paint("teal")
    assert demo.make("demo").returncode == 0
    *_, navy, teal = [record for record in demo.ledger() if record["verdict"] == "completed"]
    plan = demo.play("playbooks/rollback.yml", "--check")
    assert f"back to {navy['tag']}" in re.sub(r"\s+", " ", plan.stdout), plan.stdout
    assert colour_of(url) == "teal"
    with PollingClient(url) as client:
        run = demo.play("playbooks/rollback.yml", "-e", f"ecs_release_report_dir={demo.state}-report")
    assert run.returncode == 0, run.stdout
    assert client.failures == {}
    assert colour_of(url) == "navy"
    record = demo.ledger()[-1]
    assert (record["kind"], record["verdict"], record["tag"]) == ("rollback", "completed", navy["tag"])
    assert record["from"] == {"tag": teal["tag"], "digest": teal["digest"]}
    written = Path(f"{demo.state}-report")
    assert json.loads((written / "release.json").read_text()) == record
    assert navy["tag"] in (written / "release.html").read_text()
    # By name it leads forward again.
    assert demo.play("playbooks/rollback.yml", "-e", f"ecs_release_rollback_to={teal['tag']}").returncode == 0
    assert colour_of(url) == "teal"


def test_the_ledger_has_told_the_failures_too(demo: Demo, url: str) -> None:
    verdicts = [record["verdict"] for record in demo.ledger()]
    assert {"completed", "rolled_back", "image_failed"} <= set(verdicts)
    crashed = next(record for record in demo.ledger() if "no database" in json.dumps(record))
    assert "no database at db:5432" in json.dumps(crashed["evidence"]) + crashed["message"]


def test_a_rollback_to_what_is_not_there_touches_nothing(demo: Demo, url: str) -> None:
    before = page(url)
    run = demo.play("playbooks/rollback.yml", "-e", "ecs_release_rollback_to=v0.0.0")
    assert run.returncode != 0
    assert "has no image v0.0.0" in re.sub(r"\s+", " ", run.stdout)
    assert page(url).split("Time")[0] == before.split("Time")[0]


@pytest.mark.parametrize(("how", "after", "colour"), [
    (signal.SIGINT, 2, "gold"), (signal.SIGINT, 5, "tan"), (signal.SIGINT, 9, "salmon"),
    (signal.SIGKILL, 2, "linen"), (signal.SIGKILL, 5, "wheat"), (signal.SIGKILL, 9, "orchid")])
def test_interrupted_anywhere_it_goes_on_when_run_again(demo: Demo, url: str, how: signal.Signals, after: int,
                                                        colour: str) -> None:
    demo.paint(colour)
    run = subprocess.Popen(["make", "demo"], cwd=ROOT, env=demo.env, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(after)
    os.killpg(run.pid, how)
    run.wait(timeout=120)
    if how is signal.SIGKILL:
        os.kill(int((demo.state / "aws.pid").read_text()), signal.SIGKILL)
    again = demo.make("demo")
    assert again.returncode == 0, again.stdout
    assert f"background: {colour}" in page(url_of(again.stdout))
    assert changed(demo.make("demo").stdout) == 0
    # Whatever became of the interrupted release, the ledger names what is deployed, and nobody holds the lock.
    assert demo.lock() is None
    deployed = [record for record in demo.ledger() if record["verdict"] == "completed"][-1]
    assert deployed["tag"] in page(url_of(again.stdout))


def test_teardown_asks_first_then_leaves_the_account_empty(demo: Demo, url: str) -> None:
    refused = demo.play("playbooks/teardown.yml")
    assert refused.returncode != 0
    assert "teardown_confirm=yes" in refused.stdout
    assert page(url)
    run = demo.play("playbooks/teardown.yml", "-e", "teardown_confirm=yes")
    assert run.returncode == 0, run.stdout
    assert changed(demo.play("playbooks/teardown.yml", "-e", "teardown_confirm=yes").stdout) == 0
    stacks = json.loads((demo.state / "services" / "cloudformation.json").read_text())["payload"]["stacks"]["data"]
    assert [s["StackName"] for s in stacks.values() if s["StackStatus"] != "DELETE_COMPLETE"] == []
    ecs = json.loads((demo.state / "services" / "ecs.json").read_text())["payload"]
    assert [t for t in ecs["task_defs"]["data"].values() if t["status"] == "ACTIVE"] == []


def test_down_leaves_nothing(demo: Demo, url: str) -> None:
    import docker

    assert demo.make("demo").returncode == 0
    engine, mine = docker.from_env(), {"label": f"ministack.instance=slipway:{PORT}"}
    assert engine.containers.list(filters=mine) != []
    pid = int((demo.state / "aws.pid").read_text())
    # A killed one cannot tidy up itself.
    os.kill(pid, signal.SIGKILL)
    down = demo.make("down")
    assert down.returncode == 0, down.stdout
    assert not alive(pid)
    assert not demo.state.exists()
    assert engine.containers.list(all=True, filters=mine) == []
    assert [n.name for n in engine.networks.list() if n.name == f"slipway-aws-{PORT}"] == []
    assert [tag for image in engine.images.list() for tag in image.tags if tag.startswith(f"localhost:{PORT}/")] == []
    assert demo.make("down").returncode == 0
