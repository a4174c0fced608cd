"""config.xml of a freestyle job, read and written back as XStream does it.

What Jenkins does not know is dropped, and so is an element whose plugin is not active: an SCM then becomes none at all.
A field that is left out stays left out where it is an object (null to the plugin) and gets its default where it is a
number or a boolean. Secrets come back encrypted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from . import cron, secret
from .plugins import Plugins

CODEPIPELINE = "aws-codepipeline"
CODEPIPELINE_SCM = "com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelineSCM"
CODEPIPELINE_PUBLISHER = "com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelinePublisher"
NO_SCM = "hudson.scm.NullSCM"


class Unreadable(Exception):
    """Jenkins could not make a job of this."""


# name: default where it is left out; None where it stays away.
PROJECT = {
    "actions": "", "description": None, "displayName": None, "keepDependencies": "false", "properties": "", "scm": "",
    "quietPeriod": None, "scmCheckoutRetryCount": None, "assignedNode": None, "canRoam": "false", "disabled": "false",
    "blockBuildWhenDownstreamBuilding": "false", "blockBuildWhenUpstreamBuilding": "false", "authToken": None,
    "jdk": None, "triggers": "", "concurrentBuild": "false", "customWorkspace": None, "builders": "", "publishers": "",
    "buildWrappers": ""}
SCM = {"clearWorkspace": "false", "projectName": None, "actionTypeCategory": None, "actionTypeProvider": None,
       "actionTypeVersion": None, "region": None, "awsAccessKey": None, "awsSecretKey": None, "proxyHost": None,
       "proxyPort": "0", "awsClientFactory": None}
BOOLEANS = {"keepDependencies", "canRoam", "disabled", "blockBuildWhenDownstreamBuilding", "concurrentBuild",
            "blockBuildWhenUpstreamBuilding", "clearWorkspace", "ignorePostCommitHooks"}
NUMBERS = {"quietPeriod", "scmCheckoutRetryCount", "proxyPort"}
# What of core a freestyle job may hold, with the fields that are kept; an empty tuple keeps the element as it is.
KNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "properties": {"jenkins.model.BuildDiscarderProperty": (), "hudson.model.ParametersDefinitionProperty": ()},
    "triggers": {"hudson.triggers.SCMTrigger": ("spec", "ignorePostCommitHooks"),
                 "hudson.triggers.TimerTrigger": ("spec",)},
    "builders": {"hudson.tasks.Shell": ("command", "configuredLocalRules", "unstableReturn")},
    "publishers": {"hudson.tasks.ArtifactArchiver": (),
                   CODEPIPELINE_PUBLISHER: ("outputArtifacts", "awsClientFactory")},
    "buildWrappers": {"hudson.plugins.timestamper.TimestamperBuildWrapper": ()},
}
OWNERS = {CODEPIPELINE_SCM: CODEPIPELINE, CODEPIPELINE_PUBLISHER: CODEPIPELINE,
          "hudson.plugins.timestamper.TimestamperBuildWrapper": "timestamper"}


def parse(data: bytes) -> Element:
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise Unreadable(f"javax.xml.transform.TransformerException: {error}") from error


def normalise(root: Element, plugins: Plugins, home: Path, warn: Callable[[str], None]) -> Element:
    """The job as Jenkins would save it."""
    if root.tag not in ("project", "hudson.model.FreeStyleProject"):
        raise Unreadable(f"com.thoughtworks.xstream.mapper.CannotResolveClassException: {root.tag}")
    job = Element("project")
    for name, default in PROJECT.items():
        element = root.find(name)
        if name == "scm":
            job.append(_scm(element, plugins, home, warn))
        elif name in KNOWN:
            job.append(_list(name, element, plugins, warn))
        elif name == "actions":
            job.append(Element("actions"))
        elif element is not None or default is not None:
            job.append(_plain(name, element, default))
    for element in root:
        if element.tag not in PROJECT:
            warn(f"Skipping a non-existent field {element.tag} of hudson.model.FreeStyleProject")
    return job


def _plain(name: str, element: Element | None, default: str | None) -> Element:
    text = (element.text or "") if element is not None else (default or "")
    if name in BOOLEANS:
        text = "true" if text.strip().lower() in ("true", "1", "yes") else "false"
    elif name in NUMBERS and not re.fullmatch(r"-?\d+", text.strip()):
        raise Unreadable(f'java.lang.NumberFormatException: For input string: "{text}" in {name}')
    made = Element(name)
    made.text = text or None
    return made


def _scm(element: Element | None, plugins: Plugins, home: Path, warn: Callable[[str], None]) -> Element:
    kind = element.get("class", "") if element is not None else NO_SCM
    plugin = plugins.active(OWNERS.get(kind, ""))
    if element is None or kind == NO_SCM or not plugin:
        if kind != NO_SCM:
            warn(f"CannotResolveClassException: {kind}, the job has no SCM now")
        return Element("scm", {"class": NO_SCM})
    made = Element("scm", {"class": kind, "plugin": f"{plugin.name}@{plugin.version}"})
    for name, default in SCM.items():
        field = element.find(name)
        if field is None and default is None:
            continue
        made.append(Element(name) if name == "awsClientFactory" else _plain(name, field, default))
        if name == "awsSecretKey":
            made[-1].text = secret.encrypt(home, secret.decrypt(home, (made[-1].text or "").strip()))
    for field in element:
        if field.tag not in SCM:
            warn(f"Skipping a non-existent field {field.tag} of {kind}")
    return made


def _list(name: str, element: Element | None, plugins: Plugins, warn: Callable[[str], None]) -> Element:
    made = Element(name)
    for item in element if element is not None else ():
        owner = OWNERS.get(item.tag)
        plugin = plugins.active(owner) if owner else None
        if item.tag not in KNOWN[name] or (owner and not plugin):
            warn(f"CannotResolveClassException: {item.tag}, dropped from {name}")
            continue
        fields = KNOWN[name][item.tag]
        if item.tag.startswith("hudson.triggers."):
            try:
                cron.Cron(item.findtext("spec") or "")
            except cron.BadSpec as error:
                warn(f"{item.tag}: {error}, dropped")
                continue
        kept = Element(item.tag, {"plugin": f"{plugin.name}@{plugin.version}"} if plugin else {})
        if not fields:
            kept.extend(_copy(child) for child in item)
        for field in fields:
            child = item.find(field)
            if child is None and item.tag == CODEPIPELINE_PUBLISHER and field == "outputArtifacts":
                child = _old_outputs(item)
            if child is not None:
                kept.append(_plain(field, child, None) if field in BOOLEANS else _copy(child))
            elif field in ("ignorePostCommitHooks", "configuredLocalRules"):
                kept.append(Element(field))
                kept[-1].text = "false" if field in BOOLEANS else None
        made.append(kept)
    return made


def _old_outputs(publisher: Element) -> Element | None:
    """buildOutputs of older versions of the plugin, as it reads them."""
    old = publisher.find("buildOutputs")
    if old is None:
        return None
    made = Element("outputArtifacts")
    for item in old:
        artifact = ElementTree.SubElement(made, "com.amazonaws.codepipeline.jenkinsplugin.OutputArtifact")
        ElementTree.SubElement(artifact, "location").text = item.findtext("outputString") or ""
        ElementTree.SubElement(artifact, "artifactName")
    return made


def _copy(element: Element) -> Element:
    made = Element(element.tag, {name: value for name, value in element.attrib.items() if name != "plugin"})
    made.text = element.text if len(element) == 0 else None
    made.extend(_copy(child) for child in element)
    return made
