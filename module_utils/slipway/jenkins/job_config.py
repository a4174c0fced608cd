"""The configuration of the job that releases: what must be in it so that Jenkins and the plugin do what they should.

Jenkins takes nearly anything. It builds its objects from the elements without running their constructors, so an
element that is left out becomes a null, which shows at the first poll or never: hence every fault is found here, before
posting.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from ..errors import InvalidInput

SCM = "com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelineSCM"
PUBLISHER = "com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelinePublisher"
ARTIFACT = "com.amazonaws.codepipeline.jenkinsplugin.OutputArtifact"
TRIGGER = "hudson.triggers.SCMTrigger"
SHELL = "hudson.tasks.Shell"
LIMIT = 200_000
HIDDEN = "(hidden)"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_SECRET_NAME = re.compile(r"secret|passw|token|access_?key|credential|private_?key", re.IGNORECASE)
_VARIABLES = "variables="


def _is(*texts: str) -> Callable[[str], str]:
    return lambda text: "" if text in texts else f"it must be {' or '.join(texts) or 'empty'}"


def _matches(pattern: str, rule: str) -> Callable[[str], str]:
    return lambda text: "" if re.fullmatch(pattern, text) else f"it takes {rule}"


def _command(text: str) -> str:
    first, _, rest = text.partition("\n")
    if first != "#!/bin/bash":
        return "it must begin with the line #!/bin/bash"
    if not re.search(r"^set -eu$", rest, re.MULTILINE):
        return "Jenkins adds no -e where a line with #! is, so `set -eu` must be in it"
    if not re.search(r"^exec timeout ", rest, re.MULTILINE):
        return "it must run the release under `timeout`, because nothing else ends a build that hangs"
    return ""


#: Every element that must be there exactly once, and what its text must be ('' where that is right).
RULES: dict[str, Callable[[str], str]] = {
    # The plugin keeps its state in one field of the job.
    "concurrentBuild": _is("false"),
    "disabled": _is("false"),
    # Or a build would find what an earlier one left.
    "scm/clearWorkspace": _is("true"),
    "scm/actionTypeCategory": _is("Build", "Test"),
    "scm/actionTypeProvider": _matches(r"[A-Za-z0-9_-]{1,25}", "1 to 25 letters, digits, '_' and '-'"),
    "scm/actionTypeVersion": _matches(r"[0-9A-Za-z_-]{1,9}", "1 to 9 letters, digits, '_' and '-'"),
    "scm/region": _matches(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", "the name of a region"),
    # Both empty: the role of the instance. Left out, they would be null.
    "scm/awsAccessKey": _is(""),
    "scm/awsSecretKey": _is(""),
    "scm/proxyHost": _is(""),
    "scm/proxyPort": _is("0"),
    # Without it polling ends in a null pointer, and without the publisher's no result is ever reported.
    "scm/awsClientFactory": _is(""),
    f"publishers/{PUBLISHER}/awsClientFactory": _is(""),
    f"triggers/{TRIGGER}/spec": _is("* * * * *"),
    f"builders/{SHELL}/command": _command,
}


def check_name(name: str) -> str:
    """`name` when Jenkins and CodePipeline both take it. Raises InvalidInput."""
    if _NAME.fullmatch(name):
        return name
    shown = repr(name if len(name) <= 60 else name[:57] + "...")
    raise InvalidInput(f"Job name {shown} is refused.",
                       "It takes 1 to 20 letters, digits, '_' and '-': it is the ProjectName of the pipeline's action.")


def check_config(config: str) -> None:
    """Raise InvalidInput that names every fault of the job's configuration."""
    faults = list(_faults(config))
    if faults:
        raise InvalidInput("\n".join(["The job's configuration is refused:", *(f"- {fault}" for fault in faults), ""]),
                           "Nothing was sent to Jenkins.")


def _faults(config: str) -> Iterator[str]:
    if len(config) > LIMIT:
        yield f"it has {len(config)} characters, and {LIMIT} is the limit."
        return
    if "<!" in config:
        yield "it contains a declaration or a CDATA section (<!), which no job needs."
        return
    try:
        project = _parse(config)
    except ElementTree.ParseError as error:
        yield f"it is not XML: {error}."
        return
    if project.tag != "project":
        yield f"it is a {project.tag[:60]}, and must be a project: the plugin works in freestyle jobs only."
        return
    scm = project.find("scm")
    if scm is None or scm.get("class") != SCM:
        yield f"scm must have the class {SCM}."
    for path, rule in RULES.items():
        found = project.findall(path)
        if len(found) != 1:
            yield f"{path} is {'missing' if not found else 'there more than once'}."
        elif fault := rule(found[0].text or ""):
            yield f"{path} is {_short(found[0].text or '')}: {fault}."
    yield from _faults_of_publishers(project)
    if _ACCESS_KEY.search(config):
        yield ("it contains the id of an AWS access key: everyone who may log in to Jenkins could read it, "
               "and the instance's role is what a release uses.")


def _faults_of_publishers(project: ElementTree.Element) -> Iterator[str]:
    publishers = [element.tag for element in project.find("publishers") or []]
    if PUBLISHER in publishers and publishers[-1] != PUBLISHER:
        yield f"publishers: {PUBLISHER} must be the last, because it reports the result."
    artifacts = project.findall(f"publishers/{PUBLISHER}/outputArtifacts/*")
    if project.find(f"publishers/{PUBLISHER}/buildOutputs") is not None:
        yield "publishers: buildOutputs is the name of older versions of the plugin; it is outputArtifacts."
    if len(artifacts) > 5:
        yield f"publishers: {len(artifacts)} output artifacts, and 5 is the limit."
    for artifact in artifacts:
        location, name = artifact.findtext("location") or "", artifact.findtext("artifactName") or ""
        if artifact.tag != ARTIFACT:
            yield f"publishers: an output artifact is a {ARTIFACT}, not a {artifact.tag[:80]}."
        elif not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
            yield f"publishers: {_short(name)} is no name of an artifact: 1 to 100 letters, digits, '_' and '-'."
        elif not re.fullmatch(r"(?!/)[A-Za-z0-9._/-]{1,500}", location) or ".." in location.split("/"):
            yield f"publishers: {_short(location)} is no place in the workspace, relative to it."


def lost(config: str, kept: str) -> list[str]:
    """What Jenkins did not keep of `config`, judged by `kept`, the configuration as it gives it back.

    Only what it may drop without a word counts: elements of classes that no active plugin has. All else it writes anew
    in its own way, so the two never are equal.
    """
    wanted, found = _parse(config), _parse(kept)
    gone = []
    if _scm_class(wanted) != _scm_class(found):
        gone.append("scm")
    for group in ("triggers", "builders", "publishers"):
        there = {element.tag for element in found.find(group) or []}
        gone += [f"{group}/{element.tag}" for element in wanted.find(group) or [] if element.tag not in there]
    return gone


def readable(config: str | None) -> str:
    """The configuration as it is shown in a diff: without values of variables whose names speak of secrets."""
    if config is None:
        return ""
    try:
        project = _parse(config)
    except ElementTree.ParseError:
        return "(not readable)\n"
    for command in project.findall(f"builders/{SHELL}/command"):
        command.text = "\n".join(_shown_line(line) for line in (command.text or "").split("\n"))
    return ElementTree.tostring(project, encoding="unicode") + "\n"


def _shown_line(line: str) -> str:
    if not line.startswith(_VARIABLES):
        return line
    try:
        (word,) = shlex.split(line)
        values = json.loads(word.removeprefix(_VARIABLES))
    except ValueError:
        return f"{_VARIABLES}{HIDDEN}"
    return _VARIABLES + json.dumps(_hide(values), indent=2, sort_keys=True)


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: HIDDEN if _SECRET_NAME.search(name) else _hide(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner) for inner in value]
    return value


def _parse(config: str) -> ElementTree.Element:
    # Jenkins writes XML 1.1, which Python's parser refuses for its number alone.
    return ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", config, count=1))


def _scm_class(project: ElementTree.Element) -> str | None:
    scm = project.find("scm")
    return None if scm is None else scm.get("class")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
