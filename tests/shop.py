"""Services on an embedded AWS that a test releases with the product's own playbooks, all in folders of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.small_image import SERVER

ROOT = Path(__file__).resolve().parents[1]
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))

#: The quickest service that the template allows.
QUICK = {"DeregistrationDelaySeconds": 1, "StopTimeoutSeconds": 2, "HealthCheckGracePeriodSeconds": 5, "Memory": 128}

#: Seconds that a play may take on a busy machine.
_LIMIT = 900.0


class Shop:
    """A network with these services, each an application that shows one line of text.

    env: what a process needs to reach the embedded AWS. base: the image to build from (small_image).
    parameters: of the service stacks, beside QUICK.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], base: str, *names: str,
                 parameters: Mapping[str, Any] | None = None) -> None:
        self.folder, self.env, self.names = folder, dict(env), names
        self.network = f"{names[0]}-net"
        self.inventory = folder / "inventory.yml"
        services = {name: {"ecs_release_app_name": name, "ecs_release_repository": name,
                           "ecs_release_source": str(folder / name)} for name in names}
        self.inventory.write_text(yaml.safe_dump({"all": {
            "vars": {
                "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
                "stacks_network_name": self.network, "ecs_release_ledger_table": f"{self.network}-ledger",
                "ecs_release_build_args": {"BASE_IMAGE": base},
                "ecs_release_service_parameters": {**QUICK, **(parameters or {})}},
            "children": {"account": {"hosts": {"aws": {}}}, "services": {"hosts": services}, "jenkins": {"hosts": {}}},
        }}))
        for name in names:
            (folder / name).mkdir()
            self.write(name, "one")

    def write(self, name: str, page: str, command: str = "", port: int = 8080, code: int = 200) -> None:
        """The application: shows `page`; command: what its container runs instead of the server (JSON list)."""
        app = self.folder / name
        (app / "page").write_text(page)
        (app / "server.pl").write_text(SERVER.format(port=port, code=code))
        (app / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY page server.pl /\n"
                                        f"CMD {command or json.dumps(['perl', '/server.pl'])}\n")

    def command(self, playbook: str, name: str = "", *more: str) -> list[str]:
        """name: the service to limit the play to."""
        return [PLAYBOOK, "-i", str(self.inventory), *(["--limit", f"{name},account"] if name else []), playbook, *more]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, **self.env, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", **more}

    def start(self, command: list[str], **env: str) -> subprocess.Popen[str]:
        """The play in a process group of its own; what it prints goes to its `stdout`."""
        return subprocess.Popen(command, cwd=ROOT, env=self.environment(**env), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def play(self, playbook: str, name: str = "", *more: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(self.command(playbook, name, *more), **env)
        try:
            out, _ = process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            raise AssertionError(f"{playbook} of {name} did not end within {_LIMIT:.0f} s:\n{out}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, out)

    def release(self, name: str, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.play("playbooks/release.yml", name, *more, **env)

    def set_up(self) -> None:
        """site.yml: network, registries, and every service with its first release."""
        run = self.play("site.yml")
        assert run.returncode == 0, run.stdout

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"], region_name=self.env["AWS_REGION"],
                            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"])

    def stack(self, name: str) -> dict[str, Any]:
        """The service's stack as DescribeStacks has it."""
        found: dict[str, Any] = self.client("cloudformation").describe_stacks(StackName=f"{name}-service")["Stacks"][0]
        return found

    def tag(self, name: str) -> str:
        """What the service's stack says is deployed."""
        return next(str(p["ParameterValue"]) for p in self.stack(name)["Parameters"]
                    if p["ParameterKey"] == "ImageTag")

    def url(self, name: str) -> str:
        return next(str(o["OutputValue"]) for o in self.stack(name)["Outputs"] if o["OutputKey"] == "AppURL")

    def page(self, name: str) -> str:
        parts = urllib.parse.urlsplit(self.url(name))
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, (answer.status, body)
            return body
        finally:
            connection.close()

    def items(self, name: str) -> dict[str, dict[str, Any]]:
        """The ledger's items of the service: id to record, the lock's under 'lock'."""
        found = self.client("dynamodb").query(
            TableName=f"{self.network}-ledger", KeyConditionExpression="service = :s", ConsistentRead=True,
            ExpressionAttributeValues={":s": {"S": f"{name}-service"}})["Items"]
        return {item["id"]["S"]: json.loads(item["entry"]["S"]) for item in found}

    def records(self, name: str) -> list[dict[str, Any]]:
        """Oldest first."""
        return [record for key, record in sorted(self.items(name).items()) if key.startswith("release#")]
