"""Runs a command as it is and appends its peak resident memory, in KiB, to a file: FILE COMMAND...

Stands in for the Python interpreter that ansible starts a module with.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    report, *command = sys.argv[1:]
    child = os.posix_spawn(command[0], command, dict(os.environ))
    _, status, usage = os.wait4(child, 0)
    with Path(report).open("a", encoding="utf-8") as file:
        # Linux counts in KiB.
        file.write(f"{usage.ru_maxrss}\n")
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
