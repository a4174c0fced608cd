"""Ask this host's Jenkins as its administrator: `config JOB`, `build JOB [NUMBER]`, `delete JOB`. Answers in JSON."""

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

URL = "http://127.0.0.1:8080"
TOKEN = base64.b64encode(Path("/etc/slipway/jenkins/credentials").read_bytes().strip()).decode()


def ask(path: str, method: str = "GET") -> tuple[str, str]:
    """The answer's text, and where it points to."""
    request = urllib.request.Request(path if path.startswith("http") else URL + path, method=method,
                                     data=b"" if method == "POST" else None)
    request.add_header("Authorization", f"Basic {TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode(), answer.headers.get("Location", "")


def until_there(path: str) -> dict[str, object]:
    """The JSON at `path`, waited for."""
    for _ in range(600):
        try:
            return dict(json.loads(ask(path)[0]))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        time.sleep(0.2)
    raise SystemExit(f"{path} did not come")


def config(job: str) -> dict[str, object]:
    """Every element of the job as Jenkins has it: path -> text."""
    root = ElementTree.fromstring(ask(f"/job/{job}/config.xml")[0].partition("?>")[2])
    found: dict[str, object] = {"scm class": [scm.get("class") for scm in root.findall("scm")]}

    def walk(element: ElementTree.Element, path: str) -> None:
        for child in element:
            found[f"{path}{child.tag}"] = child.text or ""
            walk(child, f"{path}{child.tag}/")

    walk(root, "")
    found["publishers"] = [element.tag for element in root.find("publishers")]
    return found


def build(job: str, number: str = "") -> dict[str, object]:
    """Start a build, or wait for one that Jenkins starts itself; its result and its console."""
    if not number:
        item = ask(f"/job/{job}/build", "POST")[1].replace("https://", "http://")
        path = "/" + item.partition("://")[2].partition("/")[2].rstrip("/") + "/api/json"
        while "executable" not in (queued := until_there(path)) or not queued["executable"]:
            time.sleep(0.2)
        number = str(queued["executable"]["number"])
    while (there := until_there(f"/job/{job}/{number}/api/json"))["building"]:
        time.sleep(0.2)
    return {"number": there["number"], "result": there["result"], "console": ask(f"/job/{job}/{number}/consoleText")[0]}


def delete(job: str) -> dict[str, object]:
    try:
        ask(f"/job/{job}/doDelete", "POST")
    except urllib.error.HTTPError as error:
        if error.code != 302:
            raise
    return {}


print(json.dumps({"config": config, "build": build, "delete": delete}[sys.argv[1]](*sys.argv[2:])))
