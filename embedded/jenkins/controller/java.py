"""The Java that this Jenkins would run on: the stand-in needs none, but demands the one that Jenkins demands."""

from __future__ import annotations

import re
import shlex
import subprocess


class UnsuitableJava(Exception):
    """In the words of Jenkins' own start."""


def supported(jenkins: str) -> tuple[int, ...]:
    parts = tuple(int(part) for part in re.findall(r"\d+", jenkins)[:2])
    return (21, 25) if parts >= (2, 555) else (17, 21, 25)


def parse_version(text: str) -> int | None:
    """The feature version in what `java -version` says: 1.8.0_292 -> 8, 17.0.15 -> 17, 21 -> 21."""
    found = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if not found:
        return None
    return int(found[2] or 8) if found[1] == "1" else int(found[1])


def check(command: str, options: str, jenkins: str) -> int:
    """Start that Java with the unit's options, as Jenkins would be; returns its version."""
    try:
        done = subprocess.run([command, *shlex.split(options), "-version"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
    except OSError as error:
        raise UnsuitableJava("jenkins: failed to find a valid Java installation") from error
    said = done.stderr + done.stdout
    if done.returncode != 0:
        raise UnsuitableJava(said.strip())
    version = parse_version(said)
    if version is None:
        raise UnsuitableJava(f"jenkins: invalid Java version: {said.strip()}")
    good = supported(jenkins)
    if version in good:
        return version
    names = ", ".join(str(number) for number in good)
    if version < good[0]:
        verdict = f"which is older than the minimum required version (Java {good[0]})."
    else:
        verdict = "which is not fully supported."
    raise UnsuitableJava(f"Running with Java {version} from {command}, {verdict}\n"
                         f"Supported Java versions are: [{names}]\n"
                         "See https://jenkins.io/redirect/java-support/ for more information.")
