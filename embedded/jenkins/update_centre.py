"""The update centre of the stand-in: plugins, and the two indexes that the plugin manager reads."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from . import archives
from .catalog import JENKINS_VERSIONS, PLUGINS, Plugin
from .controller.plugins import version_key


def build(directory: Path) -> None:
    """Fill the directory as updates.jenkins.io is laid out."""
    entries: list[tuple[Plugin, dict[str, Any]]] = []
    for plugin in PLUGINS:
        path = directory / "download" / "plugins" / plugin.name / plugin.version / f"{plugin.name}.hpi"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_plugin(path, plugin)
        entries.append((plugin, _entry(plugin, path.read_bytes())))
    latest: dict[str, Any] = {}
    versions: dict[str, dict[str, Any]] = {}
    for plugin, entry in sorted(entries, key=lambda item: version_key(item[0].version)):
        latest[plugin.name] = entry
        versions.setdefault(plugin.name, {})[plugin.version] = entry
    centre = {"id": "default", "updateCenterVersion": 1, "connectionCheckUrl": "", "warnings": [], "deprecations": {},
              "signature": {}, "plugins": dict(sorted(latest.items())),
              "core": {"name": "core", "version": JENKINS_VERSIONS[-1]}}
    (directory / "update-center.actual.json").write_text(json.dumps(centre, indent=1) + "\n")
    _copy(directory / "current", "update-center.actual.json", centre)
    # The tool looks for one beside the first under the name that plugin-versions has there.
    for place in (directory, directory / "current"):
        _copy(place, "plugin-versions.json", {"updateCenterVersion": 1, "signature": {}, "plugins": versions})
    _copy(directory / "experimental", "update-center.actual.json", centre)


def write_plugin(path: Path, plugin: Plugin) -> None:
    """A .hpi as Jenkins and the plugin manager read it: a zip whose manifest says all; no class is in it."""
    fields = {
        "Manifest-Version": "1.0", "Group-Id": "org.jenkins-ci.plugins", "Short-Name": plugin.name,
        "Long-Name": plugin.title, "Extension-Name": plugin.name, "Plugin-Version": plugin.version,
        "Jenkins-Version": plugin.core, "Hudson-Version": plugin.core,
        **({"Plugin-Dependencies": plugin.dependencies} if plugin.dependencies else {}),
        "Support-Dynamic-Loading": "true",
    }
    readme = f"{plugin.title} {plugin.version}, as the stand-in Jenkins knows it: its manifest alone.\n"
    archives.write(path, {"META-INF/MANIFEST.MF": archives.manifest(fields), "WEB-INF/STAND-IN.txt": readme.encode()})


def _entry(plugin: Plugin, data: bytes) -> dict[str, Any]:
    return {
        "name": plugin.name, "title": plugin.title, "version": plugin.version, "requiredCore": plugin.core,
        "buildDate": "Jan 01, 2026", "size": len(data),
        "sha1": base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode(),
        "sha256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
        "sha512": base64.b64encode(hashlib.sha512(data).digest()).decode(),
        "url": f"https://updates.jenkins.io/download/plugins/{plugin.name}/{plugin.version}/{plugin.name}.hpi",
        "dependencies": [*({"name": n, "version": v, "optional": False} for n, v in plugin.needs),
                         *({"name": n, "version": v, "optional": True} for n, v in plugin.optional)],
    }


def _copy(directory: Path, name: str, content: Any) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(json.dumps(content, indent=1) + "\n")
