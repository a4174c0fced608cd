#!/bin/sh
# Makes .venv, or brings it up to date, from the given requirements file.
set -eu
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed; '$PYTHON' is not. Install python3.11, or run: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
    # Debian keeps ensurepip in a package of its own.
    package="python$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Python's venv module is missing. Install the package $package, then run this again." >&2
        exit 1
    fi
    echo "Installing $package."
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$package"; } >/dev/null
fi
echo "Installing the packages of $1 into .venv."
# A half-made environment of an interrupted run is completed by the same command.
[ -x .venv/bin/pip ] || "$PYTHON" -m venv .venv
.venv/bin/pip install -qq --disable-pip-version-check --requirement "$1" \
    --constraint roles/release_runner/files/constraints.txt --constraint constraints-dev.txt
