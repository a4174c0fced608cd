"""Run on a host as root: which plugins Jenkins runs, and whether their files are those of the record.

Arguments: NAME=VERSION for each that must be active (VERSION empty: any), NAME=absent for each that must be gone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import urllib.request
from pathlib import Path

SECRETS = Path("/etc/slipway/jenkins")
PLUGINS = Path("/var/lib/jenkins/plugins")

request = urllib.request.Request("http://127.0.0.1:8080/pluginManager/api/json?depth=1")
credentials = (SECRETS / "credentials").read_text().strip()
request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
with urllib.request.urlopen(request, timeout=30) as answer:
    running = {plugin["shortName"]: plugin for plugin in json.load(answer)["plugins"]}

for argument in sys.argv[1:]:
    name, _, version = argument.partition("=")
    if version == "absent":
        if name in running or list(PLUGINS.glob(f"{name}*")):
            sys.exit(f"{name} is still there")
    elif name not in running or not running[name]["active"] or version not in ("", running[name]["version"]):
        sys.exit(f"{name} {version} is not active: {running.get(name)}")

lock = json.loads((SECRETS / "plugins.lock.json").read_text())
for name, entry in lock["plugins"].items():
    file = PLUGINS / f"{name}.jpi"
    if hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
        sys.exit(f"{file} is not the file of the record")
    if file.stat().st_mode & 0o007:
        sys.exit(f"{file} can be read by others")
print("as recorded")
