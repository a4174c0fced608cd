"""Run on a host as root: whether Jenkins is up, of this version, and closed to everybody without business there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8080"
SECRETS = Path("/etc/slipway/jenkins")
HOME = Path("/var/lib/jenkins")


def ask(path: str, credentials: str = "", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(URL + path, method=method)
    if credentials:
        request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"{what}: {found!r}, expected {wanted!r}")


def as_jenkins(*command: str) -> int:
    user = pwd.getpwnam("jenkins")
    return subprocess.run(command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True,
                          check=False).returncode


version, given = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
password = (SECRETS / "admin-password").read_text().strip()
token = (SECRETS / "api-token").read_text().strip()
if given:
    expect("the kept password's hash", hashlib.sha256(password.encode()).hexdigest(), given)

expect("the page to log in", ask("/login")[0], 200)
expect("an anonymous caller", ask("/api/json")[0], 403)
expect("an anonymous caller who tries to build", ask("/job/any/build", method="POST")[0], 403)
expect("a wrong password", ask("/api/json", "admin:wrong")[0], 401)
expect("a wrong token", ask("/api/json", "admin:11" + "0" * 32)[0], 401)
expect("the password", ask("/api/json", f"admin:{password}")[0], 200)
status, headers, body = ask("/api/json", f"admin:{token}")
expect("the token", status, 200)
expect("the version", headers.get("X-Jenkins"), version)
facts = json.loads(body)
expect("the executors", facts["numExecutors"], 3)
expect("the agents' port", facts["slaveAgentPort"], -1)
expect("crumbs", facts["useCrumbs"], True)
expect("a password without a crumb", ask("/createItem?name=x", f"admin:{password}", "POST")[0], 403)
expect("nobody can sign up", ask("/signup")[0] in (403, 404), True)

for file in SECRETS.iterdir():
    expect(f"{file} as root alone reads it", (stat.S_IMODE(file.stat().st_mode), file.stat().st_uid), (0o600, 0))
expect("jenkins cannot read the credentials", as_jenkins("cat", str(SECRETS / "credentials")) != 0, True)
for folder in (HOME, Path("/etc"), Path("/var/log"), Path("/var/cache"), Path("/srv"), Path("/tmp")):
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if (Path(place) / name).stat().st_mode & stat.S_IXOTH] \
            if folder == HOME and not HOME.stat().st_mode & stat.S_IXOTH else folders
        for name in files:
            file = Path(place) / name
            if file.is_symlink() or not file.is_file() or file.is_relative_to(SECRETS) or file.stat().st_size > 1 << 22:
                continue
            content = file.read_bytes()
            expect(f"{file} holds no secret", token.encode() in content or password.encode() in content, False)
processes = subprocess.run(["ps", "axwwe"], capture_output=True, text=True, check=True).stdout
expect("no secret in a process's arguments or environment", token in processes or password in processes, False)
expect("the version is held", "jenkins" in subprocess.run(["apt-mark", "showhold"], capture_output=True, text=True,
                                                          check=True).stdout.split(), True)
print("closed")
