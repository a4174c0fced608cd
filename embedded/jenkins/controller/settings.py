"""What the command line, the environment and the war say."""

from __future__ import annotations

import shlex
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class UsageError(Exception):
    """A command line that Jenkins does not take."""


@dataclass(frozen=True)
class Settings:
    version: str
    home: Path
    war: str
    port: int = 8080
    address: str = "0.0.0.0"
    prefix: str = ""
    webroot: str = ""
    log_file: str = ""
    java: str = ""
    java_options: Mapping[str, str] = field(default_factory=dict)
    """Properties given to the JVM with -D."""
    poll_seconds: float = 60.0
    """Cron's minute: how long a `*` in a job's trigger lasts."""
    jitter_seconds: float = 55.0
    """The plugin waits a random part of this before it asks AWS."""
    restart_seconds: float = 1.0
    """Jenkins lets 10 s pass between the last build's end and a safe restart."""

    @property
    def setup_wizard(self) -> bool:
        return self.java_options.get("jenkins.install.runSetupWizard", "true").lower() != "false"


def war_version(war: str) -> str:
    """Jenkins-Version of the war's manifest."""
    with zipfile.ZipFile(war) as archive:
        for line in archive.read("META-INF/MANIFEST.MF").decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "Jenkins-Version":
                return value.strip()
    raise UsageError(f"{war} has no Jenkins-Version in its manifest")


def java_properties(options: str) -> dict[str, str]:
    words = [word[2:] for word in shlex.split(options) if word.startswith("-D")]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    war = str(Path(sys.argv[0]).absolute())
    values: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in ("--httpPort", "--httpListenAddress", "--prefix", "--webroot", "--logfile"):
            raise UsageError(f"Unrecognized option: {argument}")
        values[name] = value
    home = environment.get("JENKINS_HOME") or str(Path(environment.get("HOME", "/")) / ".jenkins")
    try:
        port = int(values.get("--httpPort", "8080"))
        seconds = {name: float(environment.get(name, default)) for name, default in (
            ("JENKINS_STAND_IN_POLL_SECONDS", "60"), ("JENKINS_STAND_IN_JITTER_SECONDS", "55"),
            ("JENKINS_STAND_IN_RESTART_SECONDS", "1"))}
    except ValueError as error:
        raise UsageError(f"not a number: {error}") from error
    return Settings(
        version=war_version(war), home=Path(home), war=war, port=port,
        address=values.get("--httpListenAddress") or "0.0.0.0", prefix=values.get("--prefix", "").rstrip("/"),
        webroot=values.get("--webroot", ""), log_file=values.get("--logfile", ""),
        java=environment.get("JENKINS_JAVA_CMD", "java"),
        java_options=java_properties(environment.get("JAVA_OPTS", "")),
        poll_seconds=seconds["JENKINS_STAND_IN_POLL_SECONDS"],
        jitter_seconds=seconds["JENKINS_STAND_IN_JITTER_SECONDS"],
        restart_seconds=seconds["JENKINS_STAND_IN_RESTART_SECONDS"])
