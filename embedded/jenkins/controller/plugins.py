"""Plugins in JENKINS_HOME/plugins: which are there, which of them are active, and why the others are not."""

from __future__ import annotations

import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import log


@dataclass
class Plugin:
    name: str
    version: str
    title: str
    core: str
    needs: dict[str, str] = field(default_factory=dict)
    optional: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    pinned: bool = False
    active: bool = False

    @property
    def label(self) -> str:
        return f"{self.title} ({self.name} {self.version})"

    def data(self, depth: int) -> dict[str, Any]:
        """As Jenkins' API exports it."""
        dependencies: list[dict[str, Any]] = [
            {"optional": optional, "shortName": name, "version": version} if depth > 1 else {}
            for group, optional in ((self.needs, False), (self.optional, True)) for name, version in group.items()]
        return {"active": self.active, "backupVersion": None, "bundled": False, "deleted": False,
                "dependencies": dependencies, "detached": False, "downgradable": False, "enabled": self.enabled,
                "hasUpdate": False, "longName": self.title, "minimumJavaVersion": None, "pinned": self.pinned,
                "requiredCoreVersion": self.core, "shortName": self.name, "supportsDynamicLoad": "YES",
                "url": f"https://plugins.jenkins.io/{self.name}", "version": self.version}


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order of versions: numbers by value; a word such as `beta` is less than the end, which is less than a number."""
    parts = re.findall(r"\d+|[A-Za-z][A-Za-z0-9_]*", version)
    return (*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, ""))


def older(one: str, other: str) -> bool:
    return version_key(one) < version_key(other)


def parse_manifest(text: str) -> dict[str, str]:
    unfolded = re.sub(r"\r?\n ", "", text)
    return {name: value for name, _, value in (line.partition(": ") for line in unfolded.splitlines()) if name}


def parse_dependencies(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Required and optional ones of a manifest's Plugin-Dependencies."""
    needs: dict[str, str] = {}
    optional: dict[str, str] = {}
    for item in filter(None, text.split(",")):
        name, _, rest = item.strip().partition(":")
        version, _, options = rest.partition(";")
        (optional if "resolution:=optional" in options else needs)[name] = version
    return needs, optional


class Plugins:
    """Those that were there when Jenkins started: a new file counts from the next start on."""

    def __init__(self, directory: Path, core: str) -> None:
        self.directory, self.core = directory, core
        self.found: dict[str, Plugin] = {}
        self.failed: dict[str, list[str]] = {}

    def load(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.directory.glob("*.[jh]pi"), key=lambda path: (path.stem, path.suffix != ".jpi")):
            plugin = self._read(path)
            if plugin is None:
                continue
            if plugin.name in self.found:
                log.info("h.PluginManager#loadDetachedPlugins",
                         f"Ignoring {path} because {plugin.name} is already loaded")
                continue
            self.found[plugin.name] = plugin
        self._activate()
        for name in self.failed:
            self.found.pop(name, None)

    def active(self, name: str) -> Plugin | None:
        plugin = self.found.get(name)
        return plugin if plugin and plugin.active else None

    def _read(self, path: Path) -> Plugin | None:
        try:
            with zipfile.ZipFile(path) as archive:
                manifest = archive.read("META-INF/MANIFEST.MF")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            log.severe("h.PluginManager$1$3$1#run", f"Failed to load a plugin: {path}\n"
                       f"java.io.IOException: Failed to expand {path} ({error})")
            self.failed[path.stem] = [str(error)]
            return None
        fields = parse_manifest(manifest.decode(errors="replace"))
        needs, optional = parse_dependencies(fields.get("Plugin-Dependencies", ""))
        name = fields.get("Short-Name", path.stem)
        exploded = self.directory / path.stem
        if not exploded.is_dir() or (exploded / ".timestamp2").stat().st_mtime != path.stat().st_mtime:
            shutil.rmtree(exploded, ignore_errors=True)
            (exploded / "META-INF").mkdir(parents=True)
            (exploded / "META-INF" / "MANIFEST.MF").write_bytes(manifest)
            (exploded / ".timestamp2").touch()
            shutil.copystat(path, exploded / ".timestamp2")
        # The marks belong to the name that Jenkins gives the file, whichever it has.
        marked = {mark: any((self.directory / f"{path.stem}{suffix}.{mark}").exists() for suffix in (".jpi", ".hpi"))
                  for mark in ("disabled", "pinned")}
        return Plugin(name, fields.get("Plugin-Version", "???"), fields.get("Long-Name", name),
                      fields.get("Jenkins-Version") or fields.get("Hudson-Version", "1"), needs, optional,
                      enabled=not marked["disabled"], pinned=marked["pinned"])

    def _activate(self) -> None:
        """Activate what can be, in the order of dependencies; a plugin whose own cannot be is named in the log."""
        waiting = [plugin for plugin in self.found.values() if plugin.enabled]
        done: set[str] = set()
        while waiting:
            ready = [plugin for plugin in waiting
                     if all(name in done or not self._waits(name, waiting)
                            for name in (*plugin.needs, *plugin.optional))] or waiting
            for plugin in ready:
                problems = self._problems(plugin)
                if problems:
                    self.failed[plugin.name] = problems
                    listed = "".join(f"\n - {problem}" for problem in problems)
                    log.severe("j.ClassicPluginStrategy#load",
                               f"Failed Loading plugin {plugin.title} v{plugin.version} ({plugin.name})\n"
                               f"java.io.IOException: Failed to load: {plugin.label}{listed}")
                plugin.active = not problems
                done.add(plugin.name)
            waiting = [plugin for plugin in waiting if plugin.name not in done]

    @staticmethod
    def _waits(name: str, waiting: list[Plugin]) -> bool:
        return any(plugin.name == name for plugin in waiting)

    def _problems(self, plugin: Plugin) -> list[str]:
        problems = []
        if older(self.core, plugin.core):
            problems.append(f"Jenkins ({plugin.core}) or higher required")
        for name, version in plugin.needs.items():
            other = self.found.get(name)
            if other is None and name in self.failed:
                problems.append(f"Failed to load: {name} ({version})")
            elif other is None:
                problems.append(f"Plugin is missing: {name} ({version})")
            elif not other.enabled:
                problems.append(f"Plugin is disabled: {other.title} ({other.name} {other.version})")
            elif name in self.failed:
                problems.append(f"Failed to load: {other.label}")
            elif older(other.version, version):
                problems.append(f"Update required: {other.label} to be updated to {version} or higher")
        for name, version in plugin.optional.items():
            other = self.found.get(name)
            if other is not None and other.active and older(other.version, version):
                problems.append(f"Update required: {other.label} to be updated to {version} or higher")
        return problems
