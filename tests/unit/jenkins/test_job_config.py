"""The job's configuration: whatever the values are, it is loaded as it was meant, or refused with the part at fault."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.errors import InvalidInput
from slipway.jenkins.job_config import PUBLISHER, RULES, SCM, check_config, check_name, lost, readable
from tests.unit.jenkins.rendered import render, rules, step_of

HOSTILE = ["", " ", "a b", "a\n", "\na", "a\nb", "a\rb", "a\x00b", "a\x1bb", "a'b", 'a"b', "$(touch x)", "`touch x`",
           "a;b", "a&b", "a|b", "]]>", "<x/>", "&amp;", "&lt;", "../a", "{{ 1 }}", "ä", "\u202e", "a" * 10_000, "$HOME",
           "-n", "\\", "a\u2028b"]
GOOD = {
    "jenkins_job_name": ["shop", "a", "A_b-1", "x" * 20],
    "jenkins_job_url": ["http://127.0.0.1:8080", "https://jenkins.example.com/ci/", "http://[::1]:8080"],
    "jenkins_job_credentials_file": ["/etc/slipway/jenkins/credentials"],
    "jenkins_job_record_directory": ["/etc/slipway/jenkins/jobs"],
    "jenkins_job_stack_name": ["shop-service", "A"],
    "jenkins_job_app_name": ["shop"],
    "jenkins_job_account": ["012345678901"],
    "jenkins_job_repository": ["shop", "team/shop.web", "a-b_c/d"],
    "jenkins_job_region": ["us-east-1", "us-gov-west-1", "ap-southeast-4"],
    "jenkins_job_provider": ["Jenkins", "x" * 25],
    "jenkins_job_provider_version": ["1", "20", "tqx3k1", "A_b-1", "x" * 9],
    "jenkins_job_timeout": ["60", "99", "100", "999", "1000", "3000", "3599"],
    "jenkins_job_keep_builds": ["1", "100"],
    "jenkins_job_release_command": ["/opt/slipway/current/bin/release"],
}
CONFIG = render()


def loads(value: str) -> bool:
    """Whether XML can hold this text at all."""
    return not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", value)


@pytest.mark.parametrize("option", sorted(rules()))
def test_an_option_takes_what_is_meant_for_it(option: str) -> None:
    assert [value for value in GOOD[option] if not re.search(rules()[option], value)] == []


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:20]))
@pytest.mark.parametrize("option", sorted(rules()))
def test_an_option_refuses_what_is_not(option: str, value: str) -> None:
    # The one that is a name of two characters of its own kind, and a valid name of a job.
    if (option, value) == ("jenkins_job_name", "-n"):
        return
    if value == "-n" and option in ("jenkins_job_provider", "jenkins_job_provider_version"):
        return
    assert not re.search(rules()[option], value)


@pytest.mark.parametrize(("option", "value"), [
    ("jenkins_job_provider", "x" * 26), ("jenkins_job_name", "x" * 21), ("jenkins_job_account", "12345678901"),
    ("jenkins_job_repository", "Shop"), ("jenkins_job_repository", "a"), ("jenkins_job_repository", "a//b"),
    ("jenkins_job_stack_name", "1a"), ("jenkins_job_url", "file:///etc/passwd"), ("jenkins_job_url", "http://a b/"),
    ("jenkins_job_url", "http://user:pass@host/"), ("jenkins_job_provider_version", "1.0"),
    ("jenkins_job_provider_version", "x" * 10),
    # The pipeline's action ends after an hour.
    ("jenkins_job_timeout", "59"), ("jenkins_job_timeout", "3600"), ("jenkins_job_timeout", "10000"),
    ("jenkins_job_timeout", "86400"), ("jenkins_job_timeout", "0100")])
def test_limits(option: str, value: str) -> None:
    assert not re.search(rules()[option], value)


def test_what_the_role_renders_is_accepted_and_begins_as_xml_must() -> None:
    check_config(CONFIG)
    assert CONFIG.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<project>')


@settings(deadline=None)
@given(st.text(max_size=200) | st.sampled_from(HOSTILE))
def test_any_text_is_loaded_as_it_is_or_refused(text: str) -> None:
    config = render(_jenkins_job_description=text, jenkins_job_provider=text)
    if loads(text):
        project = ElementTree.fromstring(config)
        # A parser reads every kind of line break as one; and an element without text as None.
        expected = text.replace("\r\n", "\n").replace("\r", "\n")
        assert (project.findtext("description") or "") == expected
        assert (project.findtext("scm/actionTypeProvider") or "") == expected
    if not re.fullmatch("[A-Za-z0-9_-]{1,25}", text):
        with pytest.raises(InvalidInput):
            check_config(config)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10))
def test_no_value_of_a_variable_gets_out_of_its_line(value: object) -> None:
    config = render(_jenkins_job_variables={"ecs_release_build_args": value})
    lines = step_of(config).splitlines()
    assert len(lines) == len(step_of(CONFIG).splitlines())
    assert sum(line.startswith("variables=") for line in lines) == 1


@pytest.mark.parametrize("path", sorted(RULES))
def test_every_element_is_needed_once(path: str) -> None:
    project = ElementTree.fromstring(CONFIG)
    element, parent = project.find(path), project.find(path.rpartition("/")[0] or ".")
    assert element is not None and parent is not None
    parent.append(element)
    with pytest.raises(InvalidInput, match=f"{re.escape(path)} is there more than once"):
        check_config(ElementTree.tostring(project, encoding="unicode"))
    parent.remove(element)
    parent.remove(element)
    with pytest.raises(InvalidInput, match=f"{re.escape(path)} is missing"):
        check_config(ElementTree.tostring(project, encoding="unicode"))


@pytest.mark.parametrize(("old", "new", "said"), [
    ("<clearWorkspace>true", "<clearWorkspace>false", "scm/clearWorkspace is 'false': it must be true"),
    ("<concurrentBuild>false", "<concurrentBuild>true", "concurrentBuild"),
    ("<actionTypeCategory>Build", "<actionTypeCategory>Deploy", "is 'Deploy': it must be Build or Test"),
    ("<actionTypeProvider>", "<actionTypeProvider>x23456789012345678901234", "1 to 25"),
    ("<awsAccessKey>", "<awsAccessKey>x", "awsAccessKey"),
    ("<awsSecretKey>", "<awsSecretKey>x", "awsSecretKey"),
    ("<proxyPort>0", "<proxyPort>8080", "proxyPort"),
    ("<spec>* * * * *", "<spec>H * * * *", "spec"),
    ("#!/bin/bash", "#!/bin/sh", "#!/bin/bash"),
    ("set -eu\n", "", "set -eu"),
    ("exec timeout", "exec env", "timeout"),
    (SCM, "hudson.scm.NullSCM", "scm must have the class"),
    ("<project>", "<!DOCTYPE a [<!ENTITY b 'c'>]><project>", "declaration"),
    ("Releases shop", "AKIAIOSFODNN7EXAMPLE", "AWS access key"),
    ("outputArtifacts", "buildOutputs", "outputArtifacts"),
    ("</publishers>", "<hudson.tasks.Mailer/></publishers>", "must be the last"),
    ("</project>", "", "not XML"),
    ("project>", "flow-definition>", "freestyle"),
    ("Releases", "Releases " + "x" * 200_000, "the limit"),
])
def test_a_fault_is_named(old: str, new: str, said: str) -> None:
    assert old in CONFIG
    with pytest.raises(InvalidInput, match=re.escape(said)):
        check_config(CONFIG.replace(old, new))


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_config(CONFIG.replace("<proxyPort>0", "<proxyPort>1").replace("<spec>* *", "<spec>"))
    assert "proxyPort" in str(caught.value)
    assert "SCMTrigger/spec" in str(caught.value)


def test_output_artifacts() -> None:
    one = {"location": "out/app.zip", "name": "app"}
    config = render(jenkins_job_output_artifacts=[one])
    check_config(config)
    (artifact,) = ElementTree.fromstring(config).findall(f"publishers/{PUBLISHER}/outputArtifacts/*")
    assert artifact.tag == "com.amazonaws.codepipeline.jenkinsplugin.OutputArtifact"
    assert [(child.tag, child.text) for child in artifact] == [("location", "out/app.zip"), ("artifactName", "app")]
    for wrong in ([one] * 6, [{**one, "location": "../x"}], [{**one, "location": "/etc"}], [{**one, "name": "a b"}]):
        with pytest.raises(InvalidInput, match="publishers"):
            check_config(render(jenkins_job_output_artifacts=wrong))


@pytest.mark.parametrize("name", ["shop", "A-b_1", "x" * 20])
def test_a_name_of_a_job(name: str) -> None:
    assert check_name(name) == name


@settings(deadline=None)
@given(st.text().filter(lambda text: not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", text)))
def test_no_other_name_of_a_job(name: str) -> None:
    with pytest.raises(InvalidInput, match="refused"):
        check_name(name)


def test_what_jenkins_writes_in_its_own_way_is_not_lost() -> None:
    kept = CONFIG.replace('version="1.0"', "version='1.1'").replace("  ", "")
    kept = kept.replace(f'class="{SCM}"', f'class="{SCM}" plugin="aws-codepipeline@0.47"')
    kept = kept.replace("<awsSecretKey></awsSecretKey>", "<awsSecretKey>{AQAAABAAAAAQ}</awsSecretKey>")
    assert lost(CONFIG, kept) == []


def test_what_jenkins_drops_without_a_word_is_lost() -> None:
    kept = ElementTree.fromstring(CONFIG)
    scm, publishers = kept.find("scm"), kept.find("publishers")
    assert scm is not None and publishers is not None
    scm.set("class", "hudson.scm.NullSCM")
    publishers.clear()
    assert lost(CONFIG, ElementTree.tostring(kept, encoding="unicode")) == [
        "scm", "publishers/hudson.tasks.ArtifactArchiver", f"publishers/{PUBLISHER}"]


def test_a_diff_shows_the_step_and_no_secret() -> None:
    shown = readable(render(_jenkins_job_variables={
        "a": "it's here", "ecs_release_build_args": {"DB_PASSWORD": "hunter2", "list": [{"api_token": "hunter2"}]},
        "aws_environment": {"AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "eu-central-1"}}))
    assert "hunter2" not in shown
    assert "it's here" in shown
    assert '"AWS_REGION": "eu-central-1"' in shown
    assert shown.count("(hidden)") == 3
    assert readable(None) == ""
    assert "hunter2" not in readable(CONFIG.replace("variables=", "variables=hunter2 $("))
