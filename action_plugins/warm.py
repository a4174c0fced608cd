"""Imports what every module that talks to AWS needs, in ansible's own process, before its workers are forked.

A worker's fork (forked.py) then has it already: botocore's import and its service descriptions are most of what a short
task takes. Nothing is called, and no credentials are read. What a module imports beside that is forked.py's to prepare.

It also makes the files in memory through which the modules of a run with several services share what they learn
(module_utils/slipway/aws/shared.py).

No plugin: quick.py uses it. In the module's process aws/session.py finds `loader` in sys.modules under NAME.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
from collections.abc import Collection
from contextlib import suppress
from typing import Any

NAME = "slipway_action_warm"
#: Described by large files; the modules of a release call each of them.
_SERVICES = ("sts", "dynamodb", "ecr", "cloudformation", "ecs")

#: botocore's reader of its own data, with what was read; None where botocore is missing.
loader: Any = None


def _warm() -> Any:
    import botocore.config
    import botocore.session

    session = botocore.session.Session()
    # Nobody's, and never used: without some the client would look for real ones.
    session.set_credentials("none", "none")
    for service in _SERVICES:
        session.create_client(service, region_name="us-east-1",
                              config=botocore.config.Config(retries={"mode": "adaptive"}))
    return session.get_component("data_loader")


#: The files' names; none where the system has no such files.
_files: dict[str, str] = {}


def _make_files() -> dict[str, str]:
    """They belong to this process, and end with it. Others of the same user reach them by its number."""
    return {name: f"/proc/{os.getpid()}/fd/{os.memfd_create(f'slipway-{name}', os.MFD_CLOEXEC)}"
            for name in ("answers", "fetch", "pace")}


def shared(play_hosts: Collection[str], at_once: Collection[str]) -> str:
    """Of the environment of each module of a run of several services, as aws/shared.py reads it; '' where there is
    nothing to share. at_once: those of the present wave."""
    return json.dumps({**_files, "hosts": len(at_once)}) if len(play_hosts) > 1 and _files else ""


# What fails here fails in the module again, and is told there.
with suppress(Exception):
    loader = _warm()
with suppress(OSError, AttributeError):
    _files = _make_files()
# At the end of the process its memory is given back as a whole; looking through all of it first takes a tenth of a
# second.
atexit.register(gc.freeze)
