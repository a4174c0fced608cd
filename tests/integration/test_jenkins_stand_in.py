"""The stand-in Jenkins as a plain process: what roles, jobs and pipelines meet."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.jenkins import update_centre
from embedded.jenkins.controller.codepipeline.aws import S3, ServiceError
from embedded.jenkins.controller.codepipeline.signing import Credentials
from tests.integration.conftest import EmbeddedAws
from tests.integration.jenkins_process import INIT_SCRIPT, PASSWORD, TOKEN, Jenkins, until
from tests.integration.worker_aws import Refused, WorkerAws, zipped

PLUGINS = (("aws-codepipeline", "0.47"), ("javax-activation-api", "1.2.0-6"), ("javax-mail-api", "1.6.2-9"),
           ("sshd", "3.303.vefc7119b_ec23"))
SHELL = ("<?xml version='1.1' encoding='UTF-8'?><project>{properties}<scm class=\"hudson.scm.NullSCM\"/><quietPeriod>0"
         "</quietPeriod><builders><hudson.tasks.Shell><command>{command}</command></hudson.tasks.Shell></builders></project>")
PIPELINE = """<project>
  <scm class="com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelineSCM">
    <clearWorkspace>true</clearWorkspace><actionTypeCategory>Build</actionTypeCategory>
    <actionTypeProvider>slipway</actionTypeProvider><actionTypeVersion>1</actionTypeVersion>
    <region>eu-central-1</region><awsAccessKey></awsAccessKey><awsSecretKey></awsSecretKey><proxyHost></proxyHost>
    <proxyPort>0</proxyPort>{scm_factory}
  </scm>
  <quietPeriod>0</quietPeriod><canRoam>true</canRoam>
  <triggers><hudson.triggers.SCMTrigger><spec>* * * * *</spec></hudson.triggers.SCMTrigger></triggers>
  <builders><hudson.tasks.Shell><command>{command}</command></hudson.tasks.Shell></builders>
  <publishers><com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelinePublisher>
    <outputArtifacts>{outputs}</outputArtifacts>{factory}
  </com.amazonaws.codepipeline.jenkinsplugin.AWSCodePipelinePublisher></publishers>
</project>"""
OUTPUT = ("<com.amazonaws.codepipeline.jenkinsplugin.OutputArtifact><location>{0}</location>"
          "<artifactName>{1}</artifactName></com.amazonaws.codepipeline.jenkinsplugin.OutputArtifact>")


def shell(command: str, properties: str = "") -> str:
    escaped = command.replace("&", "&amp;").replace("<", "&lt;")
    return SHELL.format(command=escaped, properties=properties)


def pipeline(command: str, outputs: str = "", scm_factory: str = "<awsClientFactory/>",
             factory: str = "<awsClientFactory/>") -> str:
    return PIPELINE.format(command=command.replace("&", "&amp;"), outputs=outputs, factory=factory,
                           scm_factory=scm_factory)


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("centre")
    update_centre.build(folder)
    return folder


def hpi(centre: Path, name: str, version: str) -> Path:
    return centre / "download" / "plugins" / name / version / f"{name}.hpi"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Jenkins]:
    """Not started yet."""
    jenkins = Jenkins(tmp_path)
    yield jenkins
    if jenkins.process and jenkins.process.poll() is None:
        jenkins.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, centre: Path) -> Iterator[Jenkins]:
    """Secured as the role does it, with the plugin, for tests that leave it as it was."""
    jenkins = Jenkins(tmp_path_factory.mktemp("jenkins"))
    jenkins.secure()
    jenkins.install(*(hpi(centre, *plugin) for plugin in PLUGINS))
    jenkins.start()
    yield jenkins
    assert jenkins.stop() == 143
    # Whatever happened in this module: no secret in the log.
    for secret in (PASSWORD, TOKEN, TOKEN[2:]):
        assert secret not in jenkins.log


# -- start ---------------------------------------------------------------------------------------------------------

def test_systemd_is_told_when_it_is_up_and_callers_get_503_before(fresh: Jenkins) -> None:
    # An init script that waits for us, so that "starting" lasts as long as the test looks at it.
    gate = fresh.folder / "gate"
    os.mkfifo(gate)
    (fresh.home / "init.groovy.d").mkdir()
    (fresh.home / "init.groovy.d" / "wait.groovy").write_text(f"new File('{gate}').getText('UTF-8')\n")
    fresh.environment["JAVA_OPTS"] = "-Djenkins.install.runSetupWizard=false"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(fresh.folder / "notify"))
        systemd.settimeout(60)
        fresh.environment["NOTIFY_SOCKET"] = str(fresh.folder / "notify")
        fresh.launch()
        until(lambda: fresh.status("/login") == 503, "no answer while it starts")
        answer = fresh.get("/api/json", user=None)
        assert answer.status == 503
        assert answer.headers["X-Jenkins"] == "2.568.2"
        assert "getting ready to work" in answer.text
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        systemd.settimeout(60)
        gate.write_text("")
        assert systemd.recv(1000).startswith(b"READY=1\n")
        until(lambda: fresh.status("/login") == 200)


def test_it_demands_the_java_of_its_version(fresh: Jenkins) -> None:
    fresh.set_java(17)
    assert fresh.launch().wait(60) == 1
    assert "Running with Java 17" in fresh.log
    assert "older than the minimum required version (Java 21)" in fresh.log


def test_it_does_not_start_on_a_port_that_is_taken(fresh: Jenkins) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", fresh.port))
        other.listen()
        assert fresh.launch().wait(60) == 1
    assert "java.net.BindException: Address already in use" in fresh.log


def test_without_an_init_script_it_is_open_or_has_a_random_password(fresh: Jenkins) -> None:
    fresh.environment["JAVA_OPTS"] = "-Djenkins.install.runSetupWizard=false"
    fresh.start()
    assert fresh.get("/api/json", user=None).json["useSecurity"] is False
    fresh.stop()
    (fresh.home / "config.xml").unlink()
    fresh.environment["JAVA_OPTS"] = "-Djava.awt.headless=true"
    fresh.start()
    password = fresh.home / "secrets" / "initialAdminPassword"
    assert fresh.get("/api/json", user=None).status == 403
    assert fresh.get("/api/json", user=f"admin:{password.read_text().strip()}").status == 200
    assert password.stat().st_mode & 0o007 == 0
    assert password.read_text().strip() not in fresh.log


@pytest.mark.parametrize("missing", ["api-token", "SLIPWAY_ADMIN", "SLIPWAY_EXECUTORS"])
def test_the_roles_script_ends_jenkins_rather_than_leave_it_open(fresh: Jenkins, missing: str) -> None:
    fresh.secure()
    if missing == "api-token":
        (fresh.folder / "credentials" / missing).unlink()
    else:
        del fresh.environment[missing]
    assert fresh.launch().wait(60) == 1
    assert "Jenkins could not be secured" in fresh.log


def test_groovy_that_it_does_not_know_ends_the_start(fresh: Jenkins) -> None:
    fresh.secure()
    script = fresh.home / "init.groovy.d" / "slipway.groovy"
    known = INIT_SCRIPT.read_text()
    script.write_text(known.replace("jenkins.save()", "jenkins.save()\n    jenkins.doSomethingElse()"))
    assert fresh.launch().wait(60) == 1
    assert "does not know this Groovy: line" in fresh.log
    assert "doSomethingElse" in fresh.log


def test_a_script_that_throws_is_logged_and_the_start_goes_on(fresh: Jenkins) -> None:
    fresh.environment["JAVA_OPTS"] = "-Djenkins.install.runSetupWizard=false"
    (fresh.home / "init.groovy.d").mkdir()
    (fresh.home / "init.groovy.d" / "bad.groovy").write_text("System.getenv('NO_SUCH').trim()\n")
    fresh.start()
    assert "Failed to run script" in fresh.log
    assert "Cannot invoke method trim() on null object" in fresh.log


# -- who may what --------------------------------------------------------------------------------------------------

def test_anonymous_wrong_and_right_credentials(shared: Jenkins) -> None:
    assert shared.get("/login", user=None).status == 200
    anonymous = shared.get("/api/json", user=None)
    assert anonymous.status == 403
    assert anonymous.headers["X-You-Are-Authenticated-As"] == "anonymous"
    for wrong in ("admin:wrong", "nobody:wrong", f"nobody:{TOKEN}", f"admin:{TOKEN[:-1]}0", "admin:"):
        answer = shared.get("/api/json", user=wrong)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Jenkins"'
    for right in (f"admin:{TOKEN}", f"admin:{PASSWORD}"):
        answer = shared.get("/api/json", user=right)
        assert answer.status == 200
        assert answer.headers["X-Jenkins"] == "2.568.2"
        assert answer.json["slaveAgentPort"] == -1
        assert answer.json["numExecutors"] == 2


def test_crumbs_belong_to_a_session(shared: Jenkins) -> None:
    user = f"admin:{PASSWORD}"
    assert shared.post("/quietDown", user=user).status == 403
    issued = shared.get("/crumbIssuer/api/json", user=user)
    cookie = issued.headers["Set-Cookie"].split(";")[0]
    crumb = {issued.json["crumbRequestField"]: issued.json["crumb"]}
    assert shared.post("/cancelQuietDown", user=user, headers=crumb).status == 403
    assert shared.post("/cancelQuietDown", user=user, headers={**crumb, "Cookie": cookie}).status == 302
    forged = {"Jenkins-Crumb": "0" * 64, "Cookie": cookie}
    assert shared.post("/cancelQuietDown", user=user, headers=forged).status == 403
    # A token needs none, and nobody else gets in with a crumb alone.
    assert shared.post("/cancelQuietDown").status == 302
    assert shared.post("/cancelQuietDown", user=None, headers={**crumb, "Cookie": cookie}).status == 403


def test_the_login_form_gives_a_session(shared: Jenkins) -> None:
    form = b"j_username=admin&j_password=" + PASSWORD.replace(" ", "+").encode()
    kind = "application/x-www-form-urlencoded"
    answer = shared.post("/j_spring_security_check", form, kind, user=None)
    assert answer.status == 302
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    assert shared.get("/whoAmI/api/json", user=None, headers=cookie).json["name"] == "admin"
    wrong = shared.post("/j_spring_security_check", b"j_username=admin&j_password=x", kind, user=None)
    assert wrong.headers["Location"] == "/loginError"


def test_only_hashes_of_secrets_are_kept_and_others_cannot_read_them(shared: Jenkins) -> None:
    for path in shared.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content
            assert TOKEN[2:].encode() not in content
    assert (shared.home / "secrets").stat().st_mode & 0o077 == 0
    for path in (shared.home / "users").glob("*/config.xml"):
        assert path.stat().st_mode & 0o077 == 0


def test_get_of_what_changes_something_is_refused(shared: Jenkins) -> None:
    for path in ("/safeRestart", "/createItem?name=x", "/quietDown"):
        assert shared.get(path).status == 405


# -- plugins -------------------------------------------------------------------------------------------------------

def test_active_plugins(shared: Jenkins) -> None:
    data = shared.get("/pluginManager/api/json?depth=1&tree=plugins[shortName,version,active,enabled]").json
    found = {plugin["shortName"]: plugin for plugin in data["plugins"]}
    assert {(name, plugin["version"]) for name, plugin in found.items()} == set(PLUGINS)
    assert all(plugin["active"] and plugin["enabled"] for plugin in found.values())
    assert shared.get("/pluginManager/api/json").json["plugins"] == [{}] * len(PLUGINS)


def test_plugins_that_do_not_load_are_named_in_the_log(fresh: Jenkins, centre: Path) -> None:
    fresh.secure()
    fresh.install(hpi(centre, "timestamper", "1.99"), hpi(centre, "cloudbees-folder", "6.999"),
                  hpi(centre, "javax-mail-api", "1.6.2-11"), hpi(centre, "javax-activation-api", "1.2.0-5"),
                  hpi(centre, "sshd", "3.303.vefc7119b_ec23"))
    (fresh.home / "plugins" / "sshd.jpi.disabled").touch()
    (fresh.home / "plugins" / "broken.jpi").write_bytes(b"no zip")
    fresh.start()
    found = {plugin["shortName"]: plugin for plugin in fresh.get("/pluginManager/api/json?depth=1").json["plugins"]}
    assert set(found) == {"javax-activation-api", "sshd"}
    assert found["sshd"]["active"] is False
    assert found["sshd"]["enabled"] is False
    update = ("Update required: JavaBeans Activation Framework (JAF) API (javax-activation-api 1.2.0-5) to be updated "
              "to 1.2.0-8 or higher")
    for words in ("Jenkins (2.600.1) or higher required", "Plugin is missing: missing-api (1.0)", update,
                  "Failed to load a plugin"):
        assert words in fresh.log


# -- jobs ----------------------------------------------------------------------------------------------------------

def test_a_job_is_created_read_back_changed_and_deleted(shared: Jenkins) -> None:
    name = "round-trip"
    assert shared.create(name, pipeline("true")).status == 200
    back = shared.get(f"/job/{name}/config.xml")
    assert back.headers["Content-Type"] == "application/xml"
    assert back.text.startswith("<?xml version='1.1' encoding='UTF-8'?>\n<project>\n")
    assert 'AWSCodePipelineSCM" plugin="aws-codepipeline@0.47"' in back.text
    first = back.text.partition("<awsSecretKey>")[2].partition("<")[0]
    assert first.startswith("{AQAAABAAAAAQ")
    # What it reads back it takes, and encrypts anew.
    assert shared.post(f"/job/{name}/config.xml", back.body, "text/xml").status == 200
    again = shared.get(f"/job/{name}/config.xml").text
    second = again.partition("<awsSecretKey>")[2].partition("<")[0]
    assert second != first
    assert again.replace(second, first) == back.text
    assert shared.post(f"/job/{name}/doDelete").status == 302
    assert shared.get(f"/job/{name}/config.xml").status == 404
    assert not (shared.home / "jobs" / name).exists()


def test_what_create_item_refuses(shared: Jenkins) -> None:
    assert shared.create("taken", shell("true")).status == 200
    wanted = {
        "taken": "A job already exists with the name", "a/b": "is an unsafe character", "a&b": "is an unsafe character",
        "  ": "No name is specified", "..": "is not an allowed name", "a\nb": "No control code is allowed",
        "a.": "A name cannot end with"}
    for name, words in wanted.items():
        answer = shared.create(name, shell("true"))
        assert answer.status == 400
        assert words in answer.headers["X-Error"]
    assert shared.post("/createItem?name=x", shell("true").encode(), "text/plain").headers["X-Error"] == "No mode given"
    assert shared.post("/createItem", shell("true").encode(), "text/xml").status == 400
    assert shared.create("x" * 300, shell("true")).status == 500
    for bad in ("<project>", "<flow-definition/>", "", "<project><quietPeriod>soon</quietPeriod></project>", "\x00"):
        assert shared.create("bad", bad).status == 500
        assert shared.get("/job/bad/api/json").status == 404
    assert shared.post("/job/taken/config.xml", b"<project", "text/xml").status == 500
    assert "<project>" in shared.get("/job/taken/config.xml").text
    shared.post("/job/taken/doDelete")


def test_without_the_plugin_a_job_silently_loses_its_scm(fresh: Jenkins) -> None:
    fresh.secure()
    fresh.start()
    assert fresh.create("release", pipeline("true")).status == 200
    back = fresh.get("/job/release/config.xml").text
    assert '<scm class="hudson.scm.NullSCM"/>' in back
    assert "AWSCodePipeline" not in back
    assert "<publishers/>" in back


def test_a_step_runs_with_jenkins_environment(shared: Jenkins) -> None:
    command = ('printf "%s\\n" "$JOB_NAME|$BUILD_NUMBER|$BUILD_URL|$WORKSPACE|$PWD|$BUILD_TAG|$CI"; '
               'echo "quotes \'\\" & $(id -u)"; touch left-behind')
    shared.create("env", shell(command))
    number = shared.build("env")
    assert shared.result("env", number)["result"] == "SUCCESS"
    console = shared.console("env", number)
    workspace = shared.home / "workspace" / "env"
    url = f"http://127.0.0.1:{shared.port}/job/env/1/"
    assert f"\nenv|1|{url}|{workspace}|{workspace}|jenkins-env-1|true\n" in console
    assert console.startswith("Started by user admin\nRunning as SYSTEM\nBuilding on the built-in node in workspace ")
    assert f"[env] $ /bin/sh -xe {os.environ.get('TMPDIR', '/tmp')}/jenkins" in console
    assert console.endswith("Finished: SUCCESS\n")
    assert (workspace / "left-behind").exists()


def test_minus_e_holds_unless_the_step_names_its_shell(shared: Jenkins) -> None:
    shared.create("plain", shell("false\necho after"))
    shared.create("own", shell("#!/bin/bash\nfalse\necho after $BASH_VERSION"))
    assert shared.result("plain", shared.build("plain"))["result"] == "FAILURE"
    assert "Build step 'Execute shell' marked build as failure" in shared.console("plain")
    assert "after" not in shared.console("plain").replace("echo after", "")
    assert shared.result("own", shared.build("own"))["result"] == "SUCCESS"
    assert "\nafter 5" in shared.console("own")
    assert shared.get("/job/plain/api/json?tree=color,lastFailedBuild[number]").json == {
        "_class": "hudson.model.FreeStyleProject", "color": "red",
        "lastFailedBuild": {"_class": "hudson.model.FreeStyleBuild", "number": 1}}


def test_an_aborted_build_ends_with_all_its_processes(shared: Jenkins) -> None:
    pids = shared.folder / "pids"
    pids.mkdir()
    # One in a session of its own, one that does not listen to SIGTERM's parent.
    command = (f"setsid sh -c 'echo $$ > {pids}/one; exec sleep 600' &\nsleep 600 &\necho $! > {pids}/two\n"
               f"trap 'echo caught > {pids}/trap; exit 1' TERM\ntouch {pids}/ready\n"
               # Jenkins ends the innermost first, and the step must not end of that alone.
               "while :; do sleep 0.1 || :; done")
    shared.create("long", shell(command))
    number = shared.build("long")
    until(lambda: (pids / "ready").exists() and (pids / "one").exists() and (pids / "one").read_text().strip())
    busy = shared.get("/computer/api/json?tree=busyExecutors,computer[executors[currentExecutable[url]]]").json
    assert busy["busyExecutors"] == 1
    assert f"/job/long/{number}/" in json.dumps(busy)
    assert shared.post(f"/job/long/{number}/stop").status == 302
    assert shared.result("long", number)["result"] == "ABORTED"
    assert "Aborted by admin" in shared.console("long", number)
    until(lambda: not any(alive(int((pids / name).read_text())) for name in ("one", "two")), "a process still runs")
    assert (pids / "trap").read_text() == "caught\n"


def test_an_aborted_build_does_not_wait_for_what_does_not_go(shared: Jenkins) -> None:
    """Jenkins sends no SIGKILL; after 5 s it goes on to the publishers."""
    pid = shared.folder / "stays"
    shared.create("stays", shell(f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1 || :; done"))
    number = shared.build("stays")
    until(lambda: pid.exists() and pid.read_text().strip())
    shared.post(f"/job/stays/{number}/stop")
    try:
        assert shared.result("stays", number)["result"] == "ABORTED"
        assert alive(int(pid.read_text()))
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_what_a_build_leaves_running_ends_with_it(shared: Jenkins) -> None:
    pid = shared.folder / "left"
    shared.create("leaves", shell(f"setsid sleep 600 & echo $! > {pid}"))
    assert shared.result("leaves", shared.build("leaves"))["result"] == "SUCCESS"
    until(lambda: not alive(int(pid.read_text())))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_builds_of_one_job_wait_for_each_other_and_old_ones_go(shared: Jenkins) -> None:
    keep_two = ("<properties><jenkins.model.BuildDiscarderProperty><strategy class=\"hudson.tasks.LogRotator\">"
                "<numToKeep>2</numToKeep></strategy></jenkins.model.BuildDiscarderProperty></properties>")
    gate = shared.folder / "gate"
    os.mkfifo(gate)
    shared.create("queue", shell(f"cat {gate}", keep_two))
    assert shared.build("queue") == 1
    first = shared.post("/job/queue/build?delay=0sec").headers["Location"]
    second = shared.post("/job/queue/build?delay=0sec").headers["Location"]
    assert first == second
    item = f"/queue/item/{first.rstrip('/').rpartition('/')[2]}/api/json"
    until(lambda: shared.get(item).json["why"] == "Build #1 is already in progress")
    for number in (1, 2, 3):
        if number == 3:
            shared.post("/job/queue/build?delay=0sec")
        gate.write_text(f"{number}\n")
        shared.result("queue", number)
    builds = until(lambda: [build["number"] for build in shared.get("/job/queue/api/json").json["builds"]] == [3, 2])
    assert builds
    assert not (shared.home / "jobs" / "queue" / "builds" / "1").exists()


def test_a_disabled_job_does_not_build(shared: Jenkins) -> None:
    shared.create("off", shell("true"))
    assert shared.post("/job/off/disable").status == 302
    assert shared.post("/job/off/build").status == 409
    assert shared.get("/job/off/api/json?tree=color,buildable").json["buildable"] is False
    shared.post("/job/off/enable")
    assert shared.result("off", shared.build("off"))["result"] == "SUCCESS"


# -- restarts ------------------------------------------------------------------------------------------------------

def test_a_safe_restart_waits_for_builds_and_keeps_everything(fresh: Jenkins) -> None:
    fresh.secure()
    fresh.start()
    gate = fresh.folder / "gate"
    os.mkfifo(gate)
    fresh.create("slow", shell(f"cat {gate}"))
    fresh.create("next", shell("true"))
    fresh.build("slow")
    before = fresh.get("/api/json").headers["X-Jenkins-Session"]
    assert fresh.post("/safeRestart").status == 302
    assert fresh.get("/api/json").json["quietingDown"] is True
    assert fresh.post("/job/next/build?delay=0sec").status == 201
    assert fresh.get("/job/slow/1/api/json").json["building"] is True
    gate.write_text("go\n")

    def restarted() -> bool:
        try:
            answer = fresh.get("/api/json")
        except OSError:
            return False
        return answer.status == 200 and answer.headers["X-Jenkins-Session"] != before

    until(restarted, "it did not come back")
    assert fresh.result("slow", 1)["result"] == "SUCCESS"
    assert "go" in fresh.console("slow", 1)
    # What waited in the queue is built now.
    assert fresh.result("next", 1)["result"] == "SUCCESS"
    assert fresh.get("/api/json").json["quietingDown"] is False
    # The script ran again: still one token.
    assert sum(path.read_text().count("<uuid>") for path in fresh.home.glob("users/*/config.xml")) == 1


def test_under_systemd_a_restart_ends_the_process_with_5(fresh: Jenkins) -> None:
    fresh.secure()
    fresh.environment["NOTIFY_SOCKET"] = str(fresh.folder / "nobody-listens")
    fresh.start()
    assert fresh.process is not None
    fresh.post("/safeRestart")
    assert fresh.process.wait(60) == 5


def test_a_new_password_and_token_replace_the_old_ones_at_the_next_start(fresh: Jenkins) -> None:
    fresh.secure()
    fresh.start()
    fresh.stop()
    other = "11" + "f" * 32
    (fresh.folder / "credentials" / "admin-password").write_text("another one\n")
    (fresh.folder / "credentials" / "api-token").write_text(other)
    fresh.start()
    for user, status in ((f"admin:{TOKEN}", 401), (f"admin:{PASSWORD}", 401), (f"admin:{other}", 200),
                         ("admin:another one", 200)):
        assert fresh.get("/api/json", user=user).status == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_jenkins_end_cut_short_is_no_success(fresh: Jenkins, number: int) -> None:
    fresh.secure()
    fresh.start()
    pid = fresh.folder / "pid"
    fresh.create("slow", shell(f"echo $$ > {pid}; exec sleep 600"))
    fresh.build("slow")
    until(lambda: pid.exists() and pid.read_text().strip())
    fresh.stop(number)
    if number == signal.SIGTERM:
        until(lambda: not alive(int(pid.read_text())))
    else:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    fresh.start()
    assert fresh.result("slow", 1)["result"] == ("ABORTED" if number == signal.SIGTERM else "FAILURE")
    assert fresh.build("slow") == 2


# -- CodePipeline --------------------------------------------------------------------------------------------------

@pytest.fixture
def worker(fresh: Jenkins, centre: Path) -> Iterator[tuple[Jenkins, WorkerAws]]:
    aws = WorkerAws()
    fresh.secure()
    fresh.environment |= aws.environment()
    fresh.install(*(hpi(centre, *plugin) for plugin in PLUGINS))
    fresh.start()
    yield fresh, aws
    aws.close()
    assert aws.problems == []


def first_build(jenkins: Jenkins, config: str) -> None:
    """The one that a new job's first poll starts."""
    assert jenkins.create("release", config).status == 200
    jenkins.result("release", 1)


def reported(aws: WorkerAws, count: int = 1) -> tuple[str, dict[str, Any]]:
    until(lambda: len(aws.results()) >= count, f"nothing was reported; AWS was asked for {aws.calls[-3:]}")
    return aws.results()[count - 1]


def test_the_first_poll_builds_without_asking_aws(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("test -f Dockerfile"))
    assert aws.calls == [] or aws.calls[0][0] == "PollForJobs"
    assert jenkins.result("release", 1)["result"] == "FAILURE"
    console = jenkins.console("release", 1)
    assert console.startswith("Started by an SCM change\n")
    assert "[AWS CodePipeline Plugin] No Job, returning early" in console
    until(lambda: aws.called("PollForJobs"))
    assert aws.called("PollForJobs")[0] == {
        "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "slipway", "version": "1"},
        "maxBatchSize": 1, "queryParam": {"ProjectName": "release"}}
    until(lambda: "No jobs found." in jenkins.get("/job/release/scmPollLog/").text)
    assert aws.results() == []


def test_a_job_of_the_pipeline_from_artifact_to_result(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    out = OUTPUT.format("out", "Out")
    # 6 MB that do not compress: two parts.
    first_build(jenkins, pipeline("test -f Dockerfile && mkdir out && head -c 6000000 /dev/urandom > out/big", out))
    (jenkins.home / "workspace" / "release" / "left-from-before").touch()
    source = zipped({"Dockerfile": "FROM x", "sub/run.sh": "#!/bin/sh"}, {"link": "Dockerfile"})
    identifier = aws.offer("release", source, outputs=("Out",))
    name, request = reported(aws)
    assert (name, request) == ("PutJobSuccessResult", {"jobId": identifier, "executionDetails": {
        "summary": "Finished", "externalExecutionId": "2"}})
    order = [name for name, _ in aws.calls if name != "PollForJobs"]
    assert order == ["AcknowledgeJob", "GetJobDetails", "GetJobDetails", "PutJobSuccessResult"]
    workspace = jenkins.home / "workspace" / "release"
    assert not (workspace / "left-from-before").exists()
    assert (workspace / "sub" / "run.sh").stat().st_mode & 0o111 == 0
    assert not (workspace / "link").is_symlink()
    assert (workspace / "link").read_text() == "Dockerfile"
    assert not (workspace / "one").exists()
    assert len(aws.objects["artifacts/pipe/Out/one"]) > 5 * 1024 * 1024
    headers = aws.upload_headers["artifacts/pipe/Out/one"]
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/own"
    assert jenkins.result("release", 2)["result"] == "SUCCESS"


def test_a_failed_step_is_reported(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("exit 7"))
    identifier = aws.offer("release", zipped({"Dockerfile": ""}))
    assert reported(aws) == ("PutJobFailureResult", {"jobId": identifier, "failureDetails": {
        "type": "JobFailed", "message": "Build failed", "externalExecutionId": "2"}})


def test_the_publisher_ends_with_the_refusal_where_the_job_has_its_answer(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker

    def refuse(_request: dict[str, Any]) -> dict[str, Any]:
        raise Refused("InvalidJobStateException")

    aws.answers["PutJobFailureResult"] = refuse
    first_build(jenkins, pipeline("exit 7"))
    aws.offer("release", zipped({"Dockerfile": ""}))
    assert jenkins.result("release", 2)["result"] == "FAILURE"
    assert "ERROR: Step ‘AWS CodePipeline Publisher’ aborted due to exception" in jenkins.console("release", 2)
    assert "Error Code: InvalidJobStateException" in jenkins.console("release", 2)
    # Nothing of it stands in the way of the next job.
    aws.answers["PutJobFailureResult"] = lambda request: {}
    identifier = aws.offer("release", zipped({"Dockerfile": ""}))
    assert reported(aws, 2)[1]["jobId"] == identifier


@pytest.mark.parametrize(("source", "result", "words"), [
    (None, "FAILURE",
     "FATAL: The specified key does not exist. (Service: Amazon S3; Status Code: 404; Error Code: NoSuchKey"),
    (b"no zip at all", "ABORTED", "Failed to acquire artifacts: File is not a zip file"),
    (zipped({"a": "b" * 1000})[:-40], "ABORTED", "Failed to acquire artifacts"),
    (zipped({"../../../../outside": "x"}), "ABORTED", "Failed to acquire artifacts"),
])
def test_an_artifact_that_cannot_be_used(worker: tuple[Jenkins, WorkerAws], source: bytes | None, result: str,
                                         words: str) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("true"))
    aws.offer("release", source)
    name, request = reported(aws)
    assert name == "PutJobFailureResult"
    assert request["failureDetails"]["message"] == "Build failed"
    assert jenkins.result("release", 2)["result"] == result
    assert words in jenkins.console("release", 2)
    assert "$ /bin/sh" not in jenkins.console("release", 2)
    assert not (jenkins.folder / "outside").exists()


def test_the_number_of_outputs_has_to_be_the_pipelines(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("true"))
    aws.offer("release", zipped({"a": ""}), outputs=("One",))
    name, request = reported(aws)
    assert name == "PutJobFailureResult"
    assert "Number of output locations in Jenkins project: 0" in request["failureDetails"]["message"]
    assert "[Pipeline: pipe, stage: Build, action: Release]" in request["failureDetails"]["message"]
    assert jenkins.result("release", 2)["result"] == "FAILURE"


def test_without_its_factory_the_scm_cannot_poll(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("true", scm_factory=""))
    until(lambda: '"this.awsClientFactory" is null' in jenkins.get("/job/release/scmPollLog/").text)
    assert "Failed to record SCM polling for hudson.model.FreeStyleProject" in jenkins.log
    assert aws.calls == []


def test_without_its_factory_the_publisher_reports_nothing(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("true", factory=""))
    aws.offer("release", zipped({"a": ""}))
    assert jenkins.result("release", 2)["result"] == "FAILURE"
    assert '"this.awsClientFactory" is null' in jenkins.console("release", 2)
    assert aws.called("AcknowledgeJob")
    assert aws.results() == []


def test_build_now_after_a_job_takes_what_is_left_in_the_field(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    first_build(jenkins, pipeline("true"))
    identifier = aws.offer("release", zipped({"a": ""}))
    reported(aws)
    jenkins.result("release", 2)
    assert jenkins.result("release", jenkins.build("release"))["result"] == "FAILURE"
    console = jenkins.console("release")
    assert f"ERROR: Job with ID {identifier} was already acknowledged" in console
    assert "Skipping PutJobFailureResult call" in console
    assert len(aws.results()) == 1
    # Saving the job makes a new SCM, whose field is empty.
    jenkins.post("/job/release/config.xml", pipeline("true").encode(), "text/xml")
    assert jenkins.result("release", jenkins.build("release"))["result"] == "SUCCESS"


def test_a_restart_in_mid_build_reports_nothing(worker: tuple[Jenkins, WorkerAws]) -> None:
    jenkins, aws = worker
    started = jenkins.folder / "started"
    first_build(jenkins, pipeline(f"test -f Dockerfile || exit 1; touch {started}; sleep 600"))
    aws.offer("release", zipped({"Dockerfile": ""}))
    until(started.exists)
    assert jenkins.stop() == 143
    assert aws.results() == []
    jenkins.start()
    assert jenkins.result("release", 2)["result"] == "ABORTED"


@pytest.mark.parametrize("version", ["0.48", "0.49"])
def test_later_plugins_fail_after_the_job_is_acknowledged(fresh: Jenkins, centre: Path, version: str) -> None:
    aws = WorkerAws()
    try:
        fresh.secure()
        fresh.environment |= aws.environment()
        fresh.install(*(hpi(centre, *plugin) for plugin in PLUGINS[1:]), hpi(centre, "aws-codepipeline", version))
        fresh.start()
        first_build(fresh, pipeline("true"))
        aws.offer("release", zipped({"a": ""}))
        assert fresh.result("release", 2)["result"] == "FAILURE"
        assert "NoClassDefFoundError: org/apache/commons/compress" in fresh.console("release", 2)
        assert len(aws.called("AcknowledgeJob")) == 1
        assert aws.problems == []
    finally:
        aws.close()


# -- the packages --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, "-m", "embedded.jenkins", "repository", folder],
                   cwd=Path(__file__).resolve().parents[2], check=True)
    return folder


def manage(packages: Path, jenkins: Jenkins, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = f"file://{packages}/plugins"
    jar = next(packages.glob("jenkins-plugin-manager-*.jar"))
    return subprocess.run(
        ["java", "-jar", jar, "--war", jenkins.war, "-d", jenkins.home / "plugins", "--latest=false", *arguments],
        env={**os.environ, "JENKINS_UC": f"{root}/update-center.actual.json",
             "JENKINS_PLUGIN_INFO": f"{root}/plugin-versions.json",
             "JENKINS_UC_DOWNLOAD_URL": f"{root}/download/plugins", **environment}, capture_output=True, text=True)


def test_a_second_build_changes_nothing_and_is_quick(packages: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (packages / "current").resolve().rglob("*")}
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "embedded.jenkins", "repository", packages],
                   cwd=Path(__file__).resolve().parents[2], check=True)
    assert time.monotonic() - started < 30
    assert before == {path: path.stat().st_mtime_ns for path in (packages / "current").resolve().rglob("*")}


def test_the_index_is_signed_with_the_key_beside_it(packages: Path, tmp_path: Path) -> None:
    stable = packages / "debian-stable"
    binary = stable / "binary"
    keyring = tmp_path / "key.gpg"
    key = stable / "jenkins.io-2026.key"
    subprocess.run(["gpg", "--homedir", tmp_path, "--batch", "--dearmor", "-o", keyring, key], check=True)
    for signed in ([binary / "InRelease"], [binary / "Release.gpg", binary / "Release"]):
        subprocess.run(["gpgv", "--keyring", keyring, *signed], check=True, capture_output=True)
    (tmp_path / "Release").write_text((binary / "Release").read_text().replace("Origin", "origin"))
    broken = subprocess.run(["gpgv", "--keyring", keyring, binary / "Release.gpg", tmp_path / "Release"],
                            capture_output=True)
    assert broken.returncode != 0
    assert (packages / ".signing-key.asc").stat().st_mode & 0o077 == 0


def test_the_plugin_manager_brings_what_is_needed_and_jenkins_takes_it(packages: Path, fresh: Jenkins) -> None:
    done = manage(packages, fresh, "-p", "aws-codepipeline:0.47")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (fresh.home / "plugins").iterdir()} == {f"{name}.jpi" for name, _ in PLUGINS}
    fresh.secure()
    fresh.start()
    found = fresh.get("/pluginManager/api/json?depth=1&tree=plugins[shortName,version,active]").json["plugins"]
    assert {(plugin["shortName"], plugin["version"], plugin["active"]) for plugin in found} == {
        (name, version, True) for name, version in PLUGINS}


def test_the_plugin_manager_drifts_without_latest_false_and_never_goes_back(packages: Path, fresh: Jenkins) -> None:
    assert manage(packages, fresh, "--latest=true", "-p", "javax-mail-api:1.6.2-9").returncode == 0
    listed = manage(packages, fresh, "--list", "--no-download", "-p", "javax-activation-api:1.2.0-5").stdout
    assert "javax-activation-api 1.2.0-8" in listed.partition("Resulting plugin list:")[2]
    assert "Plugins that will be downloaded:\n\n" in listed


def test_the_plugin_manager_refuses_what_does_not_fit(packages: Path, fresh: Jenkins, tmp_path: Path) -> None:
    wanted = tmp_path / "plugins.txt"
    wanted.write_text("# comment\ntimestamper:1.99\n")
    done = manage(packages, fresh, "-f", str(wanted))
    assert done.returncode == 1
    assert done.stderr == ("Plugin prerequisite not met:\n\n"
                           "timestamper (1.99) requires a greater version of Jenkins (2.600.1) than 2.568.2\n")
    assert list((fresh.home / "plugins").iterdir()) == []
    unknown = manage(packages, fresh, "-p", "no-such-plugin:1.0")
    assert unknown.returncode == 1
    assert "Unable to resolve dependencies for no-such-plugin" in unknown.stderr
    nowhere = manage(packages, fresh, "-p", "sshd", JENKINS_UC=f"file://{tmp_path}/none.json")
    assert nowhere.returncode == 1
    assert "Error getting update center json" in nowhere.stderr


def test_the_plugin_manager_compares_checksums(packages: Path, fresh: Jenkins, tmp_path: Path) -> None:
    versions = json.loads((packages / "plugins" / "plugin-versions.json").read_text())
    versions["plugins"]["sshd"]["3.303.vefc7119b_ec23"]["sha256"] = "A" * 43 + "="
    (tmp_path / "versions.json").write_text(json.dumps(versions))
    done = manage(packages, fresh, "-p", "sshd:3.303.vefc7119b_ec23", JENKINS_PLUGIN_INFO=f"file://{tmp_path}/versions.json")
    assert done.returncode == 1
    assert "invalid checksum, expected: AAAA" in done.stdout
    assert "Unable to download sshd" in done.stderr
    assert list((fresh.home / "plugins").iterdir()) == []


def test_a_build_that_is_killed_leaves_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embedded.jenkins", "repository", str(tmp_path / "packages")]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) as first:
        until(lambda: list(tmp_path.glob("packages/builds/.making-*/debian-stable")), "it did not begin")
        first.kill()
    assert not (tmp_path / "packages" / "debian-stable").exists()
    # Two at once: one builds, the other waits for it.
    both = [subprocess.Popen(command, cwd=root) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    assert len(list((tmp_path / "packages" / "builds").iterdir())) == 1
    assert (tmp_path / "packages" / "debian-stable" / "binary" / "InRelease").exists()


# -- S3 of the embedded AWS ----------------------------------------------------------------------------------------

def test_the_workers_s3_against_the_embedded_aws(aws: EmbeddedAws, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_CODEPIPELINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.env["AWS_ENDPOINT_URL"])
    boto = aws.client("s3")
    region = aws.env["AWS_REGION"]
    boto.create_bucket(Bucket="worker", **({} if region == "us-east-1" else {
        "CreateBucketConfiguration": {"LocationConstraint": region}}))
    worker = S3(region, Credentials(aws.env["AWS_ACCESS_KEY_ID"], aws.env["AWS_SECRET_ACCESS_KEY"]))
    content = os.urandom(5 * 1024 * 1024 + 1)
    (tmp_path / "file").write_bytes(content)
    # Amazon would take the account's own key for S3 without a name, and so does the embedded one; a key of one's own
    # has to be named.
    key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    worker.upload("worker", "a key/with+signs/ü", tmp_path / "file", "application/zip", key)
    stored = boto.get_object(Bucket="worker", Key="a key/with+signs/ü")
    assert stored["Body"].read() == content
    assert stored["ContentType"] == "application/zip"
    with worker.get("worker", "a key/with+signs/ü") as answer:
        worker.save(answer, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    with pytest.raises(ServiceError) as missing:
        worker.get("worker", "none")
    assert missing.value.code == "NoSuchKey"
