"""A module run as Ansible runs it, against a fault server of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.server import FaultServer, Script
from tests.fault.stacks import ORDINARY, TEMPLATE, Run, Start

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(script, check=False, module="cfn_stack", **arguments): the process; the script adds to ORDINARY."""
    servers: list[FaultServer] = []

    def begin(script: dict[str, Script], check: bool = False, module: str = "cfn_stack",
              **arguments: Any) -> tuple[subprocess.Popen[str], FaultServer]:
        server = FaultServer({k: list(v) if isinstance(v, list) else v for k, v in {**ORDINARY, **script}.items()})
        servers.append(server)
        template = tmp_path / "stack.yml"
        template.write_text(TEMPLATE)
        if module == "cfn_stack" and arguments.get("state") != "absent" and "template_url" not in arguments:
            arguments = {"template": str(template), **arguments}
        program = (f"import runpy, ansible.module_utils as m; m.__path__.append({str(ROOT / 'module_utils')!r}); "
                   f"runpy.run_path({str(ROOT / 'library' / module)!r} + '.py', run_name='__main__')")
        given = {"name": "web", "_ansible_check_mode": check, **arguments}
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1",
                            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
        assert process.stdin
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
        process.stdin.close()
        process.stdin = None
        return process, server

    yield begin
    for server in servers:
        server.close()


@pytest.fixture
def run(start: Start) -> Run:
    """As start, to the end; its result."""

    def end(script: dict[str, Script], **arguments: Any) -> tuple[dict[str, Any], FaultServer]:
        process, server = start(script, **arguments)
        out, err = process.communicate(timeout=90)
        assert "Traceback" not in err + out, err + out
        assert server.wrong == []
        result: dict[str, Any] = json.loads(out)
        return result, server

    return end
