"""Who holds a port, read from tables as the kernel writes them and from real sockets of this process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from slipway.jenkins import host

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 4711 1 0000000000000000 100 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0
   2: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000   100        0 4712 1 0000000000000000 20 4
"""


def test_only_sockets_that_listen_count() -> None:
    assert [(one.port, one.inode) for one in host.listeners(TABLE)] == [(8080, "4711"), (22, "12")]


def test_an_empty_table_is_none() -> None:
    assert host.listeners("") == []


def proc(tmp_path: Path, cgroup: str, socket_link: str = "socket:[4711]") -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TABLE)
    process = tmp_path / "812"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to(socket_link)
    (process / "cgroup").write_text(cgroup)
    (process / "comm").write_text("nginx\n")
    (process / "cmdline").write_text("nginx\0-g\0daemon off;\0")
    return tmp_path


def test_a_stranger_is_named(tmp_path: Path) -> None:
    found = host.holder(8080, "jenkins.service", proc(tmp_path, "0::/system.slice/nginx.service\n"))
    assert found == {"pid": 812, "name": "nginx", "command": "nginx -g daemon off;"}


def test_the_units_own_process_is_no_stranger(tmp_path: Path) -> None:
    assert host.holder(8080, "jenkins.service", proc(tmp_path, "0::/system.slice/jenkins.service\n")) == {}


def test_a_port_that_nobody_listens_on_is_free(tmp_path: Path) -> None:
    assert host.holder(8081, "jenkins.service", proc(tmp_path, "")) == {}


def test_one_that_cannot_be_seen_still_holds_the_port(tmp_path: Path) -> None:
    found = host.holder(8080, "jenkins.service", proc(tmp_path, "", "socket:[1]"))
    assert (found["pid"], found["name"]) == (0, "a process that cannot be seen")


def test_a_real_socket_of_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert host.holder(port, "jenkins.service", Path("/proc"))["pid"] == os.getpid()
    assert host.holder(port, "jenkins.service", Path("/proc")) == {}


def test_packages_that_are_only_half_there_are_not_installed() -> None:
    said = "installed jenkins 2.568.1\nhalf-configured fontconfig 2.15\nnot-installed java \ninstalled openssl 3.5\n"
    assert host.installed(said) == {"jenkins": "2.568.1", "openssl": "3.5"}


def test_free_space_of_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    found = host.free([str(tmp_path), str(tmp_path / "not" / "yet")])
    assert len(found) == 2
    assert min(found.values()) > 0


def test_an_interrupted_dpkg_is_noticed() -> None:
    answers = {"dpkg-query": "installed jenkins 2.568.1\n", "dpkg": "The following packages are half configured\n"}
    found = host.facts("apt", ["jenkins"], 1, "jenkins.service", [], runner=lambda command: answers[command[0]])
    assert found["interrupted"]
    assert found["packages"] == {"jenkins": "2.568.1"}
