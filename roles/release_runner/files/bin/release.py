"""Release one service from this machine, with the permissions of the user who runs it and the machine's own AWS role.

Checks what it is given and then becomes ansible-playbook, so that signals reach Ansible and its exit code is the
command's. Nothing is written but below ~/.slipway.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1_000_000
NAME = re.compile(r"[a-z][a-z0-9_]*")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,199}")
#: What a build's environment may not decide: how Ansible works, and which code Python loads.
FOREIGN = ("ANSIBLE_", "PYTHON", "VIRTUAL_ENV")
#: How files begin that are meant to be executed.
PROGRAMS = (b"#!", b"\x7fELF")


class Refused(Exception):
    """What was given cannot be used; nothing was done."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="release", description="Build, push and roll out one service, and judge the rollout.", allow_abbrev=False)
    parser.add_argument("--source", required=True, metavar="DIR", help="folder of the application")
    parser.add_argument("--variables", required=True, metavar="FILE",
                        help="JSON object with the service's values, such as ecs_release_app_name; - for stdin")
    parser.add_argument("--artifact", action="store_true",
                        help="the source is a pipeline's artifact: make its programs executable again")
    parser.add_argument("--revision", default="", metavar="ID", help="what the source was made from, such as a commit")
    parser.add_argument("--report", default="", metavar="DIR", help="folder for the release's record and report")
    parser.add_argument("--check", action="store_true", help="show what would be done, and do nothing")
    given = parser.parse_args(arguments)
    try:
        source = folder(given.source)
        variables = values(read(given.variables))
        if given.revision and not REVISION.fullmatch(given.revision):
            raise Refused(f"--revision {given.revision[:60]!r} is no name of a revision.")
        report = str(folder(given.report, empty=True)) if given.report else ""
        private = private_place()
    except Refused as refusal:
        parser.error(str(refusal))
    if given.artifact:
        restore_modes(source)
    keep_in_use()
    variables |= {"ecs_release_source": str(source)}
    if given.revision:
        variables["ecs_release_revision"] = given.revision
    if report:
        variables["ecs_release_report_dir"] = report
    become_ansible(variables, private, given.check)


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
    if given := {"ecs_release_source", "ecs_release_report_dir"} & set(found):
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
    """Make every program of the artifact executable: the archive that it came in knows no modes."""
    for here, _, names in os.walk(source):
        for name in names:
            path = Path(here, name)
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o111:
                continue
            with path.open("rb") as file:
                if file.read(4).startswith(PROGRAMS):
                    path.chmod(stat.S_IMODE(found.st_mode) | 0o111)


def keep_in_use() -> None:
    """Hold this version for as long as the run lasts, so that an update does not remove it under our feet."""
    handle = os.open(ROOT / ".in-use", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.set_inheritable(handle, True)


def tidy(folder: Path) -> None:
    """Remove what runs that have ended left behind: their variables, and what a killed one had no time to remove."""
    for path in folder.iterdir():
        pid = path.stem.partition("-")[2] if path.name.startswith("variables-") else ""
        ended = not Path("/proc", pid).exists() if pid else path.lstat().st_mtime < time.time() - 86_400
        if ended and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif ended:
            path.unlink(missing_ok=True)


def become_ansible(variables: dict[str, Any], private: Path, check: bool) -> None:
    os.umask(0o077)
    tidy(private / "tmp")
    # Carries the number of this process, which stays the same: whoever finds the file can tell whether it is in use.
    file = private / "tmp" / f"variables-{os.getpid()}.json"
    file.unlink(missing_ok=True)
    file.write_text(json.dumps(unsafe(variables)), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment |= {
        "HOME": str(private),
        "TMPDIR": str(private / "tmp"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(private / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(private / "tmp"),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(ROOT / "venv" / "bin" / "ansible-playbook"), "-i", str(ROOT / "inventories" / "runner"),
               "-e", f"@{file}", str(ROOT / "playbooks" / "release.yml"), *(["--check", "--diff"] if check else [])]
    os.chdir(ROOT)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
