"""Tell the pipelines of builds that ended with their Jenkins, which is to be stopped or about to start.

Finds JENKINS_HOME, and what it needs to reach AWS, in the environment, as systemd gives it to Jenkins. Ends with 0
whatever happens and within --seconds: Jenkins' start does not depend on it.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="orphans", description="Tell the pipelines of builds that ended with their "
                                                                 "Jenkins.", allow_abbrev=False)
    parser.add_argument("--home", default=os.environ.get("JENKINS_HOME", ""), metavar="DIR",
                        help="JENKINS_HOME, the environment's if not given; its Jenkins must not run")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="SECONDS", help="how long it may take")
    given = parser.parse_args(arguments)
    if not given.home:
        parser.error("--home is not given, and JENKINS_HOME is not set.")
    # Whatever hangs: a name server, a disk.
    watchdog = threading.Timer(given.seconds + 5, lambda: os._exit(0))
    watchdog.daemon = True
    watchdog.start()
    report(Path(given.home), given.seconds)
    sys.stdout.flush()
    # Threads that wait for AWS need not be waited for.
    os._exit(0)


def report(home: Path, seconds: float) -> None:
    from slipway.runner import orphans

    # The address under which the role jenkins lets people find Jenkins.
    base = os.environ.get("SLIPWAY_URL", "").rstrip("/")

    def link(orphan: orphans.Orphan) -> str:
        build = orphan.directory
        return f"{base}/job/{build.parents[1].name}/{build.name}/console" if base else ""

    try:
        orphans.report(home, link, lambda line: print(line, flush=True), seconds)
    except Exception as error:  # Jenkins' start goes on, and its journal has the reason.
        print(f"The builds that ended with their Jenkins could not be looked through: {error!r}", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "module_utils"))
    main(sys.argv[1:])
