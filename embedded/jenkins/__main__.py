"""python -m embedded.jenkins repository DIRECTORY: build the stand-in's packages where they are not up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import repository
from .tools import BuildError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m embedded.jenkins", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("repository", help="apt repository, update centre and plugin manager of the stand-in")
    verb.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    try:
        repository.build(arguments.directory, lambda text: print(text, file=sys.stderr, flush=True))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
