"""A pinned set of plugins, purely: what is wanted, what is there, what follows. No I/O but reading plugins' files."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """A plugin that is asked for. sha256: empty where the first download is believed."""

    name: str
    version: str
    sha256: str = ""


@dataclass(frozen=True)
class Found:
    """A plugin's file. needs: the plugins that it cannot do without."""

    name: str
    version: str
    sha256: str
    core: str
    needs: tuple[str, ...]
    path: Path


@dataclass(frozen=True)
class Misfit:
    """Versions of a plugin (none named: all) that fail with Jenkins from `since` up to before `until`."""

    name: str
    versions: tuple[str, ...]
    since: str
    until: str
    reason: str


def wanted(entries: Iterable[Mapping[str, Any]]) -> list[Wanted]:
    """The set as a person wrote it, every fault of it named at once."""
    found: list[Wanted] = []
    faults = []
    for entry in entries:
        plugin = Wanted(str(entry.get("name", "")), str(entry.get("version", "")), str(entry.get("sha256") or ""))
        label = plugin.name or str(dict(entry))
        if not NAME.fullmatch(plugin.name):
            faults.append(f"{label}: the name is that of the plugin's page, letters, digits, _ and - alone")
        if not VERSION.fullmatch(plugin.version) or plugin.version in ("latest", "experimental"):
            faults.append(f"{label}: the version must be an exact one, as text in quotes, not {plugin.version!r}")
        if plugin.sha256 and not SHA256.fullmatch(plugin.sha256):
            faults.append(f"{label}: sha256 must be 64 hexadecimal digits in lower case")
        if plugin.name in {other.name for other in found}:
            faults.append(f"{label}: named twice")
        found.append(plugin)
    if faults:
        raise InvalidInput("The set of plugins cannot be used: " + "; ".join(faults) + ".", "Nothing was touched.")
    return found


def misfits(entries: Iterable[Mapping[str, Any]]) -> list[Misfit]:
    return [Misfit(str(entry["name"]), tuple(str(version) for version in entry.get("versions") or ()),
                   str(entry.get("since") or "0"), str(entry.get("until") or ""), str(entry["reason"]))
            for entry in entries]


def refused(plugins: Iterable[Wanted], core: str, rules: Iterable[Misfit]) -> list[str]:
    """Why plugins of the set are known to fail on this Jenkins, by rules that no plugin's own file holds."""
    rules = list(rules)
    return [f"{plugin.name} {plugin.version} does not fit Jenkins {core}: {rule.reason}"
            for plugin in plugins for rule in rules
            if plugin.name == rule.name and (not rule.versions or plugin.version in rule.versions)
            and numbers(core) >= numbers(rule.since) and (not rule.until or numbers(core) < numbers(rule.until))]


def numbers(version: str) -> list[int]:
    """A Jenkins release as numbers: they have no other parts."""
    return [int(part) for part in re.findall(r"\d+", version)]


def read(path: Path) -> Found:
    """What a plugin's file says of itself."""
    fields = manifest(path)
    name = fields.get("Short-Name") or path.stem
    needs = tuple(dependency.partition(":")[0] for dependency in fields.get("Plugin-Dependencies", "").split(",")
                  if dependency and "resolution:=optional" not in dependency)
    return Found(name, fields.get("Plugin-Version", "").split(" ")[0], digest(path), fields.get("Jenkins-Version", ""),
                 needs, path)


def manifest(path: Path) -> dict[str, str]:
    """The main section of META-INF/MANIFEST.MF of a .jpi or .war; a line that begins with a space continues another."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except (zipfile.BadZipFile, KeyError) as error:
        raise InvalidInput(f"{path} is damaged: {error}.", "Remove it, and run this again.") from error
    main = text.replace("\r\n", "\n").partition("\n\n")[0].replace("\n ", "")
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in main.splitlines())}


def digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def differences(plugins: Iterable[Wanted], core: str, lock: Mapping[str, Any], there: Mapping[str, str]) -> list[str]:
    """Why the files are not what the set asks for; empty when they are. `there` is name to SHA-256 of each file."""
    asked = {plugin.name: plugin.version for plugin in plugins}
    before = lock.get("asked", {})
    found = [f"{name} {version} instead of {before[name]}" if name in before else f"{name} {version} is new"
             for name, version in asked.items() if before.get(name) != version]
    found += [f"{name} {version} is no longer asked for" for name, version in before.items() if name not in asked]
    if before and lock.get("core") != core:
        found.append(f"Jenkins is {core}, and the plugins were resolved for {lock.get('core')}")
    for name, entry in lock.get("plugins", {}).items():
        if name not in there:
            found.append(f"the file of {name} is gone")
        elif there[name] != entry["sha256"]:
            found.append(f"the file of {name} is not the one that was installed")
    return found


def superfluous(before: Iterable[str], resolved: Iterable[str], needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Plugins that were installed here, are not resolved any more, and that no plugin that stays depends on."""
    gone = set(before) - set(resolved)
    while True:
        kept = {need for name, needed in needs.items() if name not in gone for need in needed} & gone
        if not kept:
            return sorted(gone)
        gone -= kept


def inactive(locked: Mapping[str, Mapping[str, str]], reported: Iterable[Mapping[str, Any]],
             there: Iterable[str]) -> list[str]:
    """What is wrong with the plugins that run, by Jenkins' own list of them and the names of the files."""
    running = {str(plugin.get("shortName")): plugin for plugin in reported}
    wrong = [f"{name} still runs without a file" for name in sorted(set(running) - set(there))]
    for name, entry in sorted(locked.items()):
        plugin = running.get(name)
        if plugin is None:
            wrong.append(f"{name} is not loaded")
        elif str(plugin.get("version", "")).split(" ")[0] != entry["version"]:
            wrong.append(f"{name} runs as {plugin.get('version')} instead of {entry['version']}")
        elif not plugin.get("active") or not plugin.get("enabled"):
            wrong.append(f"{name} {entry['version']} is not active")
    return wrong
