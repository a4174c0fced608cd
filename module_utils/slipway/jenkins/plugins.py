"""Plugins on the host of a Jenkins: resolved beside it, placed whole, recorded, and seen to be active.

The plugin manager never works on Jenkins' own directory. It fills an empty one, with the rights of Jenkins' user; what
it gave is looked at, and only then put in place, file by file. So what fails, fails before Jenkins is touched, and a
run that was killed is made up for by the next one, which compares files, the record, and Jenkins' own list.

Root works here in directories that belong to Jenkins' user, whose jobs may be anybody's: no link in them is followed.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import download
from ..errors import InvalidInput, SlipwayError
from . import plugin_set
from .plugin_set import Found, Misfit, Wanted
from .service import Service

Say = Callable[[str], None]
#: Seconds for the plugin manager: it asks the update centre and fetches a few megabytes.
TOOL_TIMEOUT = 900
#: Belongs to root up to here, so that nobody else can put something in its place.
STAGING = Path("/var/cache/slipway-jenkins-plugins")
TOO_OLD = "requires a greater version of Jenkins"


class PluginError(SlipwayError):
    """A plugin cannot be had, does not fit, or does not run."""


@dataclass(frozen=True)
class Tool:
    """The plugin manager. checksum: 64 hex digits, or the URL of a file that begins with them."""

    url: str
    checksum: str
    path: Path
    java: str
    update_center: str


@dataclass(frozen=True)
class Place:
    """Where things are on the host. lock: the record of what was installed."""

    home: Path
    war: Path
    lock: Path
    user: str

    @property
    def plugins(self) -> Path:
        return self.home / "plugins"


def present(wanted: list[Wanted], rules: list[Misfit], tool: Tool, place: Place, service: Service, check_mode: bool,
            say: Say) -> dict[str, Any]:
    """Bring Jenkins to run with exactly these versions, and what they need."""
    if not place.war.is_file():
        if check_mode:
            plan = [f"{plugin.name} {plugin.version} is new" for plugin in wanted]
            return {"changed": True, "plan": plan, "plugins": {}, "restarted": False, "diff": _diff(plan)}
        raise PluginError(f"There is no Jenkins on this host: {place.war} is missing.", "Run the role jenkins first.")
    core = plugin_set.manifest(place.war).get("Jenkins-Version", "")
    known = plugin_set.refused(wanted, core, rules)
    if known:
        raise PluginError("; ".join(known) + ". Nothing was touched.",
                          "Choose another version of the plugin or of Jenkins; where you know better, change "
                          "jenkins_plugins_misfits.")
    lock = _read_lock(place.lock)
    there = _installed(place.plugins)
    plan = plugin_set.differences(wanted, core, lock, {name: plugin_set.digest(path) for name, path in there.items()})
    if check_mode:
        wrong = [] if plan else _wrong(lock.get("plugins", {}), place, service)
        return {"changed": bool(plan or wrong), "plan": plan + wrong, "plugins": _versions(lock), "restarted": False,
                "diff": _diff(plan + wrong)}
    if plan:
        say("resolving plugins")
        lock = _install(wanted, core, lock, there, tool, place, say)
    restarted = _activate(lock.get("plugins", {}), place, service, say)
    return {"changed": bool(plan) or restarted, "plan": plan, "plugins": _versions(lock), "restarted": restarted,
            "diff": _diff(plan), "warnings": service.warnings}


def _install(wanted: list[Wanted], core: str, lock: dict[str, Any], there: dict[str, Path], tool: Tool, place: Place,
             say: Say) -> dict[str, Any]:
    """Resolve, check, place and record; the new record."""
    before = lock.get("plugins", {})
    jar = _tool(tool, lock.get("tool", {}))
    others = {name: path for name, path in there.items() if name not in before and name not in {w.name for w in wanted}}
    with _staging() as staging:
        for name, path in others.items():
            # What a person installed is taken into account by the resolution, and stays.
            _copy(path, staging / "plugins" / f"{name}.jpi", place.user)
        _resolve(wanted, tool, place, staging)
        resolved = _examine(staging / "plugins", wanted, before, core)
        own = {name: found for name, found in resolved.items()
               if name not in others or found.sha256 != plugin_set.digest(others[name])}
        place.plugins.mkdir(exist_ok=True)
        _own(place.plugins, place.user)
        for name, found in own.items():
            if name not in there or plugin_set.digest(there[name]) != found.sha256:
                say(f"placing {name} {found.version}")
                _put(found.path, place, name)
    kept = {name: list(found.needs) for name, found in resolved.items()}
    stay = {name: {"version": found.version, "sha256": found.sha256} for name, found in own.items()}
    present_files = _installed(place.plugins)
    needs = {**{name: plugin_set.read(path).needs for name, path in present_files.items()}, **kept}
    for name in plugin_set.superfluous(before, resolved, needs):
        say(f"removing {name}")
        _remove(place.plugins, name)
    for name in set(before) - set(resolved):
        if name in _installed(place.plugins):
            stay[name] = before[name]
    record = {"core": core, "asked": {plugin.name: plugin.version for plugin in wanted},
              "tool": {"url": tool.url, "sha256": jar}, "plugins": dict(sorted(stay.items()))}
    _write(place.lock, json.dumps(record, indent=2) + "\n")
    return record


def _resolve(wanted: list[Wanted], tool: Tool, place: Place, staging: Path) -> None:
    """Let the plugin manager fetch the set and what it needs into staging/plugins."""
    asked = staging / "plugins.txt"
    asked.write_text("".join(f"{plugin.name}:{plugin.version}\n" for plugin in wanted))
    command = [tool.java, "-jar", str(tool.path), "--war", str(place.war), "--plugin-download-directory",
               str(staging / "plugins"), "--plugin-file", str(asked), "--latest=false", "--verbose"]
    environment = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy") or key == "PATH"}
    environment.update(CACHE_DIR=str(staging / "cache"), HOME=str(staging / "home"), LC_ALL="C.UTF-8")
    if tool.update_center:
        base = tool.update_center.rstrip("/")
        command += ["--jenkins-update-center", f"{base}/update-center.actual.json", "--jenkins-plugin-info",
                    f"{base}/plugin-versions.json"]
        environment["JENKINS_UC_DOWNLOAD_URL"] = f"{base}/download/plugins"
    for name in ("plugins", "cache", "home"):
        _own(staging / name, place.user)
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment,
                              cwd=staging / "home", timeout=TOOL_TIMEOUT, **_as(place.user))
    except FileNotFoundError as error:
        raise PluginError(f"There is no Java at {tool.java}.", "Run the role jenkins first, or set "
                          "jenkins_plugins_java.") from error
    except subprocess.TimeoutExpired as error:
        raise PluginError(f"The plugin manager did not end within {TOOL_TIMEOUT} s. Jenkins was not touched.",
                          "Check that this host has a route to the update centre.") from error
    if done.returncode:
        raise PluginError(_complaint(done.stdout + done.stderr),
                          "Choose versions that fit each other and this Jenkins; where they do, check that this host "
                          "has a route to the update centre.")


def _complaint(said: str) -> str:
    """What the plugin manager gives as the cause, without its traces."""
    lines = [re.sub(r"^([\w$]+\.)+[\w$]+: ", "", line) for line in map(str.strip, said.splitlines())
             if line and not line.startswith(("at ", "..."))]
    telling = [line for line in lines if TOO_OLD in line or "Unable to" in line or "rerequisite" in line]
    return "\n".join(["The plugin manager failed. Jenkins was not touched. It said:",
                      *(f"  {line}" for line in list(dict.fromkeys(telling or lines))[-8:]), ""])


def _examine(directory: Path, wanted: list[Wanted], before: dict[str, Any], core: str) -> dict[str, Found]:
    """What was fetched, when it is what was asked for."""
    files = [path for path in sorted(directory.glob("*.jpi")) if path.is_file() and not path.is_symlink()]
    found = {plugin.name: plugin for plugin in map(plugin_set.read, files)}
    for plugin in wanted:
        got = found.get(plugin.name)
        if got is None or got.version != plugin.version:
            raise PluginError(f"{plugin.name} {plugin.version} is asked for, and the plugin manager gave "
                              f"{got.version if got else 'nothing'}. Jenkins was not touched.",
                              "Another plugin of the set may need a newer one: raise its version in the set.")
        if plugin.sha256 and got.sha256 != plugin.sha256:
            raise PluginError(f"{plugin.name} {plugin.version} has the SHA-256 {got.sha256}, expected is "
                              f"{plugin.sha256}. Jenkins was not touched.", "Do not install it before you know why.")
    for name, got in found.items():
        old = before.get(name, {})
        if old.get("version") == got.version and old.get("sha256") != got.sha256:
            raise PluginError(f"{name} {got.version} has another content than when it was installed here: SHA-256 "
                              f"{got.sha256}, before {old.get('sha256')}. Jenkins was not touched.",
                              "A release never changes: do not install it before you know why.")
        if got.core and plugin_set.numbers(got.core) > plugin_set.numbers(core):
            raise PluginError(f"{name} {got.version} {TOO_OLD} ({got.core}) than {core}. Jenkins was not touched.",
                              "Choose another version of the plugin or of Jenkins.")
    return found


def _activate(locked: dict[str, Any], place: Place, service: Service, say: Say) -> bool:
    """See every plugin of the record active, by a restart if need be; whether there was one."""
    wrong = _wrong(locked, place, service)
    if not wrong:
        return False
    say("; ".join(wrong))
    service.drain()
    service.restart()
    service.jenkins.wait_ready(service.start_timeout, say)
    wrong = _wrong(locked, place, service)
    if wrong:
        names = tuple(line.split(" ")[0] for line in wrong)
        lines = [line for line in service.systemd.journal(0, 400) if any(name in line for name in names)][-10:]
        raise PluginError("Jenkins does not run with the plugins that were installed: " + "; ".join(wrong) + ".\n"
                          + "".join(f"  {line}\n" for line in lines),
                          f"See journalctl -u {service.systemd.name}")
    return True


def _wrong(locked: dict[str, Any], place: Place, service: Service) -> list[str]:
    """How what runs differs from what is recorded and there."""
    answer = service.jenkins.get("/pluginManager/api/json?depth=1")
    assert answer is not None
    return plugin_set.inactive(locked, json.loads(answer.body).get("plugins", []), _installed(place.plugins))


def _tool(tool: Tool, before: dict[str, str]) -> str:
    """See to it that the plugin manager is there, and is the one that was meant; its SHA-256."""
    there = plugin_set.digest(tool.path) if tool.path.is_file() else ""
    if there and (there == tool.checksum or (before.get("url") == tool.url and before.get("sha256") == there)):
        return there
    tool.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fetched = tool.path.with_name(f".{tool.path.name}.new")
    try:
        expected = tool.checksum
        if not plugin_set.SHA256.fullmatch(expected):
            download.fetch(tool.checksum, fetched)
            expected = fetched.read_text(errors="replace").strip().split(" ")[0].lower()
            if not plugin_set.SHA256.fullmatch(expected):
                raise InvalidInput(f"{tool.checksum} does not begin with a SHA-256.",
                                   "Check jenkins_plugins_tool_checksum.")
        download.fetch(tool.url, fetched)
        got = plugin_set.digest(fetched)
        if got != expected:
            raise InvalidInput(f"{tool.url} has the SHA-256 {got}, expected is {expected}. Nothing was changed.",
                               "Check jenkins_plugins_tool_url and jenkins_plugins_tool_checksum.")
        fetched.chmod(0o644)
        fetched.replace(tool.path)
    finally:
        fetched.unlink(missing_ok=True)
    return got


@contextmanager
def _staging() -> Iterator[Path]:
    """An empty directory that only root can replace, also after a run that was killed in one."""
    shutil.rmtree(STAGING, ignore_errors=True)
    for name in ("plugins", "cache", "home"):
        (STAGING / name).mkdir(mode=0o700, parents=True)
    try:
        yield STAGING
    finally:
        shutil.rmtree(STAGING, ignore_errors=True)


def _installed(directory: Path) -> dict[str, Path]:
    """Name to file of each plugin that Jenkins would load."""
    return {path.stem: path for suffix in ("hpi", "jpi") for path in sorted(directory.glob(f"*.{suffix}"))
            if path.is_file() and not path.is_symlink()}


def _put(source: Path, place: Place, name: str) -> None:
    beside = place.plugins / f".{name}.new"
    beside.unlink(missing_ok=True)
    _copy(source, beside, place.user)
    beside.replace(place.plugins / f"{name}.jpi")
    for other in (f"{name}.hpi", f"{name}.jpi.disabled", f"{name}.hpi.disabled"):
        (place.plugins / other).unlink(missing_ok=True)


def _remove(directory: Path, name: str) -> None:
    for file in (f"{name}.jpi", f"{name}.hpi", f"{name}.jpi.disabled", f"{name}.hpi.disabled"):
        (directory / file).unlink(missing_ok=True)
    shutil.rmtree(directory / name, ignore_errors=True)


def _diff(plan: list[str]) -> dict[str, str]:
    """What --diff shows."""
    return {"prepared": "".join(f"{line}\n" for line in plan)}


def _versions(lock: dict[str, Any]) -> dict[str, str]:
    return {name: entry["version"] for name, entry in lock.get("plugins", {}).items()}


def _read_lock(file: Path) -> dict[str, Any]:
    """The record; empty when there is none or when it is damaged, which means to look at everything anew."""
    try:
        lock = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return lock if isinstance(lock, dict) and isinstance(lock.get("plugins"), dict) else {}


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    with beside.open("w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    beside.chmod(0o600)
    beside.replace(file)


def _copy(source: Path, destination: Path, user: str) -> None:
    """Copy a file, and no link, to a new file, and through no link, that belongs to `user`."""
    entry = pwd.getpwnam(user)
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as read, \
            os.fdopen(os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640), "wb") as write:
        shutil.copyfileobj(read, write)
        os.fchown(write.fileno(), entry.pw_uid, entry.pw_gid)


def _own(path: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _as(user: str) -> dict[str, Any]:
    """For subprocess: with the rights of this user, and with no other group of ours."""
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def settings(given: dict[str, Any]) -> tuple[Tool, Place]:
    """The module's arguments, by what they are about."""
    return (Tool(given["tool_url"], given["tool_checksum"].removeprefix("sha256:"), Path(given["tool_path"]),
                 given["java"], given["update_center"]),
            Place(Path(given["home"]), Path(given["war"]), Path(given["lock_file"]), given["user"]))
