"""Release one service from this machine, with the permissions of the user who runs it and the machine's own AWS role.

Checks what it is given and runs ansible-playbook, whose exit code is the command's. A signal reaches Ansible once, and
its orderly end is awaited. In a build of Jenkins it tells the pipeline why a release failed, before Jenkins says no
more than that it did. Nothing is written but below ~/.slipway.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import ctypes
import fcntl
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipway.runner.failure import Failure
    from slipway.runner.job import Job

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1_000_000
NAME = re.compile(r"[a-z][a-z0-9_]*")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,199}")
#: What a build's environment may not decide: how Ansible works, and which code Python loads.
FOREIGN = ("ANSIBLE_", "PYTHON", "VIRTUAL_ENV")
#: By these Jenkins finds the processes of a build that it ends.
MARKS = ("HUDSON_COOKIE", "HUDSON_SERVER_COOKIE", "JENKINS_COOKIE", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE")
PR_SET_PDEATHSIG = 1
#: Given by options of their own.
GIVEN = frozenset({"ecs_release_source", "ecs_release_report_dir", "ecs_release_promote"})
#: How files begin that are meant to be executed.
PROGRAMS = (b"#!", b"\x7fELF")


class Refused(Exception):
    """What was given cannot be used; nothing was done."""


def main(arguments: list[str]) -> int:
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="release", description="Build, push and roll out one service, and judge the rollout.", allow_abbrev=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", metavar="DIR", help="folder of the application")
    what.add_argument("--promote", metavar="DIR",
                      help="folder with the release.json of an earlier release: release its image, build nothing")
    parser.add_argument("--variables", required=True, metavar="FILE",
                        help="JSON object with the service's values, such as ecs_release_app_name; - for stdin")
    parser.add_argument("--artifact", action="store_true",
                        help="the source is a pipeline's artifact: make its programs executable again")
    parser.add_argument("--revision", default="", metavar="ID", help="what the source was made from, such as a commit")
    parser.add_argument("--report", default="", metavar="DIR", help="folder for the release's record and report")
    parser.add_argument("--job-log", default="", metavar="FILE",
                        help="log of the Jenkins build: it names the pipeline's job, which hears why a release failed")
    parser.add_argument("--limit", default=0, type=int, metavar="SECONDS",
                        help="after which the caller ends the command, to be named as the reason then")
    parser.add_argument("--check", action="store_true", help="show what would be done, and do nothing")
    given = parser.parse_args(arguments)
    variables: dict[str, Any] = {}
    release: Release | None = None
    job: Job | None = None
    try:
        variables |= values(read(given.variables))
        variables |= places(given)
        private = private_place()
        job = job_of(given.job_log, variables)
        if given.artifact and given.source:
            restore_modes(Path(variables["ecs_release_source"]))
        keep_in_use()
        if given.revision:
            variables["ecs_release_revision"] = given.revision
        release = Release(job, given.job_log, given.limit, began)
        return release.run(variables, private, given.check, bool(job and given.source and not given.revision))
    except Refused as refusal:
        if job := job_of(given.job_log, variables):
            tell(job, refused(str(refusal)), given.job_log)
        parser.error(str(refusal))
    except Exception as error:  # a full disk, most likely: without this the pipeline hears no more than "Build failed"
        why = fault(error, bool(release and release.started))
        say(why.text)
        if job := job or job_of(given.job_log, variables):
            tell(job, why, given.job_log)
        return 1


def places(given: argparse.Namespace) -> dict[str, Any]:
    """The variables that options stand for."""
    found: dict[str, Any] = {}
    if given.source:
        found["ecs_release_source"] = str(folder(given.source))
    else:
        record = folder(given.promote, empty=True) / "release.json"
        if not record.is_file() or record.is_symlink():
            raise Refused(f"--promote {given.promote}: there is no release.json. Give this stage the output artifact "
                          "of the stage that built the image.")
        found["ecs_release_promote"] = str(record)
    if given.revision and not REVISION.fullmatch(given.revision):
        raise Refused(f"--revision {given.revision[:60]!r} is no name of a revision.")
    if given.report:
        found["ecs_release_report_dir"] = str(folder(given.report, empty=True))
    return found


def folder(name: str, empty: bool = False) -> Path:
    path = Path(name).absolute()
    try:
        if not (any(path.iterdir()) or empty):
            raise Refused(f"{name}: the folder is empty.")
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}.") from error
    return path


def read(name: str) -> str:
    try:
        if name == "-":
            text = sys.stdin.read(LIMIT + 1)
        else:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(LIMIT + 1)
    except OSError as error:
        raise Refused(f"--variables {name}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Refused(f"--variables {name}: this is not text in UTF-8.") from error
    if len(text) > LIMIT:
        raise Refused(f"--variables {name}: more than {LIMIT} characters.")
    return text


def values(text: str) -> dict[str, Any]:
    """The variables in `text`, none of which can change how Ansible works."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Refused(f"--variables: this is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise Refused("--variables: this is not a JSON object with names and values.")
    for name in found:
        if not NAME.fullmatch(name) or name.startswith("ansible_"):
            raise Refused(f"--variables: {name[:60]!r} is not taken as the name of a variable.")
    if given := GIVEN & set(found):
        raise Refused(f"--variables: {sorted(given)[0]} is given by an option of its own.")
    return found


def unsafe(value: Any) -> Any:
    """`value` with every text marked as data, so that Ansible never takes one for a template."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, list):
        return [unsafe(item) for item in value]
    if isinstance(value, dict):
        return {key: unsafe(item) for key, item in value.items()}
    return value


def private_place() -> Path:
    """~/.slipway, which nobody else can read."""
    path = Path.home() / ".slipway"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise Refused(f"{path} is not a folder of this user: remove it.")
        path.chmod(0o700)
        (path / "tmp").mkdir(exist_ok=True)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}. The release keeps its temporary files there.") from error
    return path


def restore_modes(source: Path) -> None:
    """Give the artifact the modes of a checkout: what it came in knows none, and Jenkins' umask hides files from
    others, who in an image have to read them. Programs are executable, everything is readable."""
    for here, _, names in os.walk(source):
        Path(here).chmod(0o755)
        for name in names:
            path = Path(here, name)
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                continue
            with path.open("rb") as file:
                program = found.st_mode & 0o111 or file.read(4).startswith(PROGRAMS)
            path.chmod(0o755 if program else 0o644)


def keep_in_use() -> None:
    """Hold this version for as long as the run lasts, so that an update does not remove it under our feet."""
    handle = os.open(ROOT / ".in-use", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    IN_USE.append(handle)


def tidy(folder: Path) -> None:
    """Remove what runs that have ended left behind: their variables, and what a killed one had no time to remove."""
    for path in folder.iterdir():
        pid = path.stem.partition("-")[2] if path.name.startswith(("variables-", "cause-", "revision-")) else ""
        ended = not Path("/proc", pid).exists() if pid else path.lstat().st_mtime < time.time() - 86_400
        if ended and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif ended:
            path.unlink(missing_ok=True)


# -- the pipeline ----------------------------------------------------------------------------------------------------

def job_of(log: str, variables: dict[str, Any]) -> Job | None:
    """The pipeline's job that this build works for; None where no pipeline asked for it."""
    if not log:
        return None
    from slipway.runner import build_log, failure
    from slipway.runner import job as jobs

    found = build_log.read(log)
    if not found.acknowledged:
        return None
    # As for the release's own tasks; what they override is the environment's.
    os.environ.update(jobs.environment_of(variables))
    link = f"{os.environ['BUILD_URL']}console" if os.environ.get("BUILD_URL") else ""
    return jobs.Job(found.job, os.environ.get("BUILD_NUMBER", ""), link, say,
                    secrets=frozenset(failure.secrets_of(variables, dict(os.environ))))


def refused(reason: str) -> Failure:
    from slipway.runner import failure

    return failure.Failure(failure.CONFIGURATION, reason)


def fault(error: Exception, started: bool) -> Failure:
    """A fault of this command itself. started: whether Ansible runs."""
    from slipway.runner import failure

    if isinstance(error, OSError):
        said = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    else:
        with contextlib.suppress(OSError):
            traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
    what = "The release was given up while it ran" if started else "The release could not be started"
    return failure.Failure(failure.JOB_FAILED, f"{what}: {said}.\nLook at the host of Jenkins, its disk first; then "
                                               "choose Retry in the pipeline.")


def tell(job: Job, why: Failure, log: str) -> None:
    from slipway.runner import orphans

    job.fail(why)
    if job.told:
        orphans.mark(Path(log), job.identifier)


def say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, flush=True)


# -- the release -----------------------------------------------------------------------------------------------------

class Release:
    """One run of ansible-playbook, and what the pipeline hears of it."""

    def __init__(self, job: Job | None, log: str, limit: int, began: float) -> None:
        self._job, self._log, self._limit, self._began = job, log, limit, began
        self._wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        control, self._control = os.pipe()
        self._result, result = os.pipe()
        self._theirs = (control, result)
        self._parents = ancestors()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        self._signalled = False
        self.started = False
        """Whether Ansible runs, or did."""
        # A build's step that is killed leaves us behind; that is an abort like any other.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    def run(self, variables: dict[str, Any], private: Path, check: bool, ask: bool) -> int:
        """The exit code. ask: whether the pipeline knows what the source was made from."""
        os.umask(0o077)
        tidy(private / "tmp")
        # Carries the number of this process: whoever finds the file can tell whether it is in use.
        cause = private / "tmp" / f"cause-{os.getpid()}.json"
        cause.unlink(missing_ok=True)
        # Read while Ansible starts: by then the pipeline has told. A named pipe, as Ansible resolves links in names.
        revision = private / "tmp" / f"revision-{os.getpid()}.json"
        revision.unlink(missing_ok=True)
        if ask:
            os.mkfifo(revision, 0o600)
        self._start(variables, private, cause, check, [f"@{revision}"] if ask else [])
        if ask:
            assert self._job
            found = self._job.revision()
            known = {"ecs_release_revision": found} if REVISION.fullmatch(found) else {}
            # In a thread: where Ansible ended before it read, nobody ever opens the other end.
            threading.Thread(target=revision.write_text, args=(json.dumps(unsafe(known)),), daemon=True).start()
        elif self._job:
            self._job.prepare()
        code, tail = self._await()
        if code and self._job and not self._job.told:
            tell(self._job, self._why(variables.get("ecs_release_report_dir", ""), cause, tail, code), self._log)
        # What cannot be removed changes nothing of what came of the release; the next one tidies up.
        with contextlib.suppress(OSError):
            cause.unlink(missing_ok=True)
            revision.unlink(missing_ok=True)
        return 128 - code if code < 0 else code

    def _start(self, variables: dict[str, Any], private: Path, cause: Path, check: bool, more: list[str]) -> None:
        file = private / "tmp" / f"variables-{os.getpid()}.json"
        file.unlink(missing_ok=True)
        file.write_text(json.dumps(unsafe(variables)), encoding="utf-8")
        command = [str(ROOT / "venv" / "bin" / "ansible-playbook"), "-i", str(ROOT / "inventories" / "runner"),
                   "-e", f"@{file}", *(word for text in more for word in ("-e", text)),
                   str(ROOT / "playbooks" / "release.yml"),
                   *(["--check", "--diff"] if check else [])]
        detached = [sys.executable, "-I", "-S", str(ROOT / "bin" / "detached.py"), *map(str, self._theirs), *command]
        kept = [*self._theirs, *IN_USE]
        # Ends as soon as what it detaches is on its own.
        subprocess.run(detached, cwd=ROOT, env=environment(private, cause), pass_fds=kept, check=True)
        self.started = True
        for end in self._theirs:
            os.close(end)

    def _pass_on(self, number: int, frame: object) -> None:
        """To Ansible, once: Jenkins, `timeout` and systemd each send one of their own."""
        if not self._signalled:
            self._signalled = True
            with contextlib.suppress(OSError):
                os.write(self._control, bytes([signal.SIGINT if number == signal.SIGINT else signal.SIGTERM]))

    def _await(self) -> tuple[int, str]:
        """Exit code and last words of Ansible. Who interrupts it is told to the pipeline meanwhile: Jenkins waits for
        a build that it ends for 5 seconds only, and then gives the pipeline an answer of its own."""
        told = False
        while True:
            ready, _, _ = select.select([self._result, self._wake], [], [])
            if self._signalled and not told and self._job:
                told = True
                tell(self._job, self._interrupted(), self._log)
            if self._result in ready:
                break
            os.read(self._wake, 1024)
        with os.fdopen(self._result, "rb") as file:
            answer = file.read()
        if not answer:  # somebody killed it
            return -signal.SIGKILL, ""
        ended = json.loads(answer)
        return int(ended["code"]), str(ended["tail"])

    def _interrupted(self) -> Failure:
        from slipway.runner import failure

        if self._limit and time.monotonic() - self._began >= self._limit - 1:
            why = (f"The release took longer than {self._limit} s and was stopped. Raise jenkins_job_timeout if it may "
                   "take that long.")
        elif not all(Path("/proc", str(pid)).exists() for pid in self._parents[1:]) or jenkins_is_stopping():
            why = "Jenkins stopped while the release ran. Choose Retry in the pipeline when Jenkins is back."
        elif os.getppid() != self._parents[0]:
            why = "The release was aborted: somebody killed the step of the build."
        else:
            why = "The release was aborted: somebody stopped the build in Jenkins."
        return failure.Failure(failure.JOB_FAILED,
                               f"{why}\nAn update that was under way is taken back, and the version before serves on.")

    def _why(self, report: str, cause: Path, tail: str, code: int) -> Failure:
        from slipway.runner import failure

        record = load(Path(report) / "release.json") if report else {}
        failed = load(cause)
        return failure.of_release(record if isinstance(record, dict) else {},
                                  failed if isinstance(failed, list) else [], tail, code)


#: Held for as long as the run lasts.
IN_USE: list[int] = []


def load(path: Path) -> Any:
    """JSON of a file; {} where there is none."""
    try:
        with path.open(encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def ancestors() -> list[int]:
    """Process numbers of parent and grandparent: `timeout` and Jenkins, in a build."""
    parent = os.getppid()
    try:
        fields = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return [parent]
    return [parent, int(fields[1])]


def jenkins_is_stopping() -> bool:
    """Whether systemd is about to stop the service that this process belongs to."""
    try:
        unit = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition("/")[2]
        if not unit.endswith(".service"):
            return False
        asked = subprocess.run(["systemctl", "show", "--property=ActiveState", "--value", "--", unit],
                               capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.stdout.strip() == "deactivating"


def environment(private: Path, cause: Path) -> dict[str, str]:
    """What Ansible gets of ours: nothing that decides how it works, and no mark by which Jenkins would end it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in MARKS}
    return kept | {
        "HOME": str(private),
        "TMPDIR": str(private / "tmp"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(private / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(private / "tmp"),
        "ANSIBLE_CALLBACK_PLUGINS": f"{ROOT / 'callback_plugins'}:{ROOT / 'bin' / 'callback_plugins'}",
        "ANSIBLE_CALLBACKS_ENABLED": ",".join([*callbacks(), "cause"]),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SLIPWAY_CAUSE": str(cause),
    }


def callbacks() -> list[str]:
    """Those of ansible.cfg."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "ansible.cfg", encoding="utf-8")
    names = settings.get("defaults", "callbacks_enabled", fallback="").split(",")
    return [name.strip() for name in names if name.strip()]


if __name__ == "__main__":
    # With -I only the standard library and the virtual environment's packages are found by themselves.
    sys.path.insert(0, str(ROOT / "module_utils"))
    sys.exit(main(sys.argv[1:]))
