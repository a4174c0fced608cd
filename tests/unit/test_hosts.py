"""What a host gets of the machine that makes it, apart from getting it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from embedded import __main__ as command_line
from embedded import hosts
from embedded.process import EmbeddedError

PIP = """\
:env:.cert='/machine/bundle.crt'
:env:.default-timeout='180'
:env:.no-input='1'
global.constraint='/machine/constraints.txt'
global.extra-index-url='file:///machine/simple https://mirror.example/simple'
global.index-url='https://mirror.example/root'
install.index-url='https://mirror.example/install'
"""


def test_a_host_reaches_packages_as_the_machine_does_and_takes_nothing_else_over() -> None:
    assert hosts.parse_pip_config(PIP) == [
        ("cert", "/machine/bundle.crt"),
        ("extra-index-url", "file:///machine/simple https://mirror.example/simple"),
        ("index-url", "https://mirror.example/install"),
        ("timeout", "180"),
    ]


def test_a_host_trusts_its_own_bundle_of_certificates() -> None:
    assert "cert = /etc/ssl/certs/ca-certificates.crt\n" in hosts.pip_conf([("cert", "/machine/bundle.crt")])


def test_a_machine_without_settings_gives_none() -> None:
    assert hosts.pip_conf(hosts.parse_pip_config("")) == ""


def test_a_directory_that_is_an_index_is_in_the_host_too(tmp_path: Path) -> None:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    config = [("extra-index-url", f"file://{tmp_path}/index/simple https://mirror.example/simple"),
              ("find-links", f"{tmp_path}/wheels {tmp_path}/missing https://mirror.example/wheels"),
              ("cert", f"{tmp_path}/wheels")]
    assert hosts.local_indexes(config) == [f"{tmp_path}/index", f"{tmp_path}/wheels"]


def test_an_embedded_aws_is_forwarded_from_the_hosts_loopback_alone() -> None:
    units = hosts.forwarding_units(4660, "172.20.0.1:4660")
    assert [line for line in units["slipway-aws.socket"].splitlines() if line.startswith("ListenStream")] == [
        "ListenStream=127.0.0.1:4660", "ListenStream=[::1]:4660"]
    assert "systemd-socket-proxyd 172.20.0.1:4660\n" in units["slipway-aws.service"]


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a-", "a" * 51, "../a", "a.b", "a\n"])
def test_a_name_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(EmbeddedError, match="is no name for a host"):
        hosts.create(name, "debian-12")


def test_an_unknown_system_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EmbeddedError, match="choose one of debian-12, debian-13"):
        hosts.create("a", "debian-11")


def test_a_host_made_of_something_else_is_named_by_what_differs() -> None:
    there: dict[str, Any] = {"system": "debian-12", "aws": None, "mounts": []}
    assert hosts.differences(there, there) == ""
    assert hosts.differences(there, {**there, "system": "debian-13", "aws": 4660}) == (
        "system debian-12 and not debian-13, aws none and not 4660")


@pytest.mark.parametrize("text", ["/a", ":/b", "/a:b", ""])
def test_a_mount_without_two_places_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        command_line._mount(text)
