"""Every module documents what it takes and gives, and ansible-doc renders it without a session to AWS."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "library").glob("*.py"))
ANSIBLE_DOC = Path(sys.executable).with_name("ansible-doc")


def names(file: Path) -> str:
    return file.stem


def documentation(file: Path) -> Any:
    """The module's own documentation with that of its fragments."""
    own = text_of(file, "DOCUMENTATION")
    for fragment in own.get("extends_documentation_fragment", []):
        shared = text_of(ROOT / "doc_fragments" / f"{fragment}.py", "DOCUMENTATION")["options"]
        assert not set(own["options"]) & set(shared)
        own["options"] |= shared
    return own


def text_of(file: Path, name: str) -> Any:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{file.name} has no {name}")


@pytest.mark.parametrize("file", MODULES, ids=names)
def test_ansible_doc_renders(file: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "ANSIBLE_LOCAL_TEMP": "/tmp", "LC_ALL": "C.UTF-8"}
    shown = subprocess.run([ANSIBLE_DOC, "--json", "-M", "library", file.stem], cwd=ROOT, capture_output=True,
                           text=True, check=True, env=environment)
    page = json.loads(shown.stdout)[file.stem]
    assert page["doc"]["short_description"]
    assert page["examples"].strip().startswith("- name:")
    assert page["return"]


@pytest.mark.parametrize("file", MODULES, ids=names)
def test_documentation_equals_the_argument_spec(file: Path) -> None:
    """The spec is read by running the module's main with an AnsibleModule that stops at its construction."""
    code = (
        "import json, sys, types, runpy\n"
        "sys.path.insert(0, 'module_utils')\n"
        "import slipway, ansible.module_utils, ansible.module_utils.basic as basic\n"
        "ansible.module_utils.slipway = slipway\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('ansible.module_utils.slipway'):\n"
        "            import importlib, importlib.util\n"
        "            module = importlib.import_module(name.removeprefix('ansible.module_utils.'))\n"
        "            sys.modules[name] = module\n"
        "            return importlib.util.spec_from_loader(name, types.SimpleNamespace(\n"
        "                create_module=lambda s: module, exec_module=lambda m: None))\n"
        "sys.meta_path.insert(0, Finder())\n"
        "class Stop(Exception): pass\n"
        "def stop(self, argument_spec, **kw):\n"
        "    print(json.dumps(argument_spec)); raise Stop\n"
        "basic.AnsibleModule.__init__ = stop\n"
        "try: runpy.run_path(sys.argv[1], run_name='__main__')\n"
        "except Stop: pass\n"
        "assert not {'boto3', 'botocore', 'docker'} & set(sys.modules), 'imported before it is needed'\n")
    spec = json.loads(subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, capture_output=True, text=True,
                                     check=True).stdout)
    documented = documentation(file)["options"]
    assert sorted(documented) == sorted(spec)
    for name, option in spec.items():
        said = documented[name]
        assert said.get("type", "str") == option.get("type", "str"), name
        assert bool(said.get("required")) == bool(option.get("required")), name
        assert said.get("choices") == option.get("choices"), name
        assert said.get("default") == option.get("default"), name
        assert said["description"], name


@pytest.mark.parametrize("file", MODULES, ids=names)
def test_every_secret_argument_is_kept_out_of_logs(file: Path) -> None:
    source = file.read_text() + (ROOT / "module_utils/slipway/aws/session.py").read_text()
    for secret in ("secret_key", "session_token", "access_key"):
        assert f'"{secret}": {{"type": "str", "no_log": True}}' in source
