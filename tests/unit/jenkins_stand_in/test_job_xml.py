"""config.xml as Jenkins takes it in and gives it back."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.jenkins.controller import files, job_xml
from embedded.jenkins.controller.plugins import Plugin, Plugins

SCM = f'<scm class="{job_xml.CODEPIPELINE_SCM}">{{0}}</scm>'


def plugins(tmp_path: Path, *names: str) -> Plugins:
    found = Plugins(tmp_path, "2.568.2")
    found.found = {name: Plugin(name, "0.47", name, "2.387.3", active=True) for name in names}
    return found


def back(tmp_path: Path, config: str, *names: str) -> tuple[ElementTree.Element, list[str]]:
    warnings: list[str] = []
    root = job_xml.parse(config.encode())
    return job_xml.normalise(root, plugins(tmp_path, *names), tmp_path, warnings.append), warnings


def test_what_is_left_out_gets_javas_default_or_stays_away(tmp_path: Path) -> None:
    config = f"<project>{SCM.format('<region>eu-central-1</region>')}</project>"
    job, warnings = back(tmp_path, config, "aws-codepipeline")
    assert warnings == []
    assert [child.tag for child in job] == [
        "actions", "keepDependencies", "properties", "scm", "canRoam", "disabled", "blockBuildWhenDownstreamBuilding",
        "blockBuildWhenUpstreamBuilding", "triggers", "concurrentBuild", "builders", "publishers", "buildWrappers"]
    scm = job.find("scm")
    assert scm is not None
    assert scm.attrib == {"class": job_xml.CODEPIPELINE_SCM, "plugin": "aws-codepipeline@0.47"}
    assert [(child.tag, child.text) for child in scm] == [
        ("clearWorkspace", "false"), ("region", "eu-central-1"), ("proxyPort", "0")]


def test_what_nobody_knows_is_dropped_with_a_warning(tmp_path: Path) -> None:
    job, warnings = back(tmp_path, "<project><surprise/><builders><some.Step/><hudson.tasks.Shell><command>a</command>"
                         "<other/></hudson.tasks.Shell></builders><triggers><hudson.triggers.SCMTrigger><spec>bad</spec>"
                         "</hudson.triggers.SCMTrigger></triggers></project>")
    assert len(warnings) == 3
    assert job.find("surprise") is None
    assert [step.tag for step in job.iterfind("builders/*")] == ["hudson.tasks.Shell"]
    assert [field.tag for field in job.iterfind("builders/*/*")] == ["command", "configuredLocalRules"]
    assert job.find("triggers/*") is None


def test_without_the_plugin_scm_and_publisher_go(tmp_path: Path) -> None:
    config = (f"<project>{SCM.format('<region>x</region>')}<publishers><{job_xml.CODEPIPELINE_PUBLISHER}/>"
              "</publishers></project>")
    job, warnings = back(tmp_path, config)
    scm = job.find("scm")
    assert scm is not None
    assert scm.attrib == {"class": job_xml.NO_SCM}
    assert job.find("publishers/*") is None
    assert len(warnings) == 2


def test_the_outputs_of_older_jobs_are_read(tmp_path: Path) -> None:
    old = (f"<project><publishers><{job_xml.CODEPIPELINE_PUBLISHER}><buildOutputs>"
           f"<{job_xml.CODEPIPELINE_PUBLISHER}_-OutputTuple><outputString>out</outputString>"
           f"</{job_xml.CODEPIPELINE_PUBLISHER}_-OutputTuple></buildOutputs></{job_xml.CODEPIPELINE_PUBLISHER}></publishers>"
           "</project>")
    job, _ = back(tmp_path, old, "aws-codepipeline")
    assert job.findtext("publishers/*/outputArtifacts/*/location") == "out"
    assert job.find("publishers/*/buildOutputs") is None


@pytest.mark.parametrize("config", [
    "", "text", "<project>", "<maven2-moduleset/>", "<project><quietPeriod>x</quietPeriod></project>",
    "<project>\x01</project>", "\n<?xml version='1.0'?><project/>", "<project>&unknown;</project>"])
def test_what_is_no_job(tmp_path: Path, config: str) -> None:
    with pytest.raises(job_xml.Unreadable):
        back(tmp_path, config)


def test_the_encoding_is_what_the_document_says() -> None:
    with pytest.raises(job_xml.Unreadable):
        job_xml.parse("<project>ä</project>".encode("latin-1"))
    assert job_xml.parse("<?xml version='1.0' encoding='latin-1'?><project>ä</project>".encode("latin-1")).text == "ä"


#: Every character that XML 1.0 can hold, and the ones that markup is made of.
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff")
                | st.sampled_from("\n\t\r<>&'\"]"), max_size=200)


@given(texts)
def test_any_step_survives_reading_and_writing(text: str) -> None:
    job = files.node("project", files.node("builders", files.node("hudson.tasks.Shell", files.node("command", text))))
    first = files.xml(job)
    again = job_xml.parse(first.encode())
    assert (again.findtext("builders/hudson.tasks.Shell/command") or "") == text
    assert files.xml(again) == first


def test_the_header_is_jenkins_own() -> None:
    text = files.xml(files.node("project"))
    assert text == "<?xml version='1.1' encoding='UTF-8'?>\n<project/>"
    assert job_xml.parse(text.encode()).tag == "project"
