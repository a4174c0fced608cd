"""What counts as the answer of an application, asked of real servers on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway.rollout.page import await_page
from tests.loopback import answering, proxy_to, self_signed

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntag 7"
BALANCER = "https://shop-123.eu-central-1.elb.amazonaws.com/"


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def once(url: str, contains: str = "", validate_certs: bool = True) -> str:
    return await_page(url, contains, 0.0, validate_certs)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """As a load balancer has it: for the name that users know."""
    return self_signed(tmp_path, "shop.example.com")


@contextmanager
def by_name(monkeypatch: pytest.MonkeyPatch, address: str) -> Iterator[None]:
    """Every name of the world is that of the server at `address`."""
    with proxy_to(address) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        yield


BROKEN = [
    (b"what is HTTP?\r\n\r\n", "it does not answer: what is HTTP?"),
    (b"", "it does not answer: Remote end closed connection without response"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ntag 7", "it does not answer: its page ends after 5 bytes"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", "it does not answer: its page ends after 0 bytes"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ntag 7", "it does not answer: IncompleteRead"),
    (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "it does not answer: got more than 100 headers"),
]


@pytest.mark.parametrize(("broken", "wrong"), BROKEN)
def test_what_is_no_answer_is_named_and_asked_again(broken: bytes, wrong: str) -> None:
    with answering(broken) as url:
        assert once(url).startswith(wrong)
    with answering(broken, GOOD) as url:
        assert await_page(url, "tag 7", 5.0, sleep=lambda _: None) == ""


def test_a_page_without_a_length_ends_with_its_connection() -> None:
    with answering(b"HTTP/1.0 200 OK\r\n\r\ntag 7") as url:
        assert (once(url, "tag 7"), once(url, "tag 8")) == ("", "its page does not contain 'tag 8'")


def test_more_of_a_page_than_is_read_is_no_fault() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1500000\r\n\r\n" + b"x" * 1_500_000) as url:
        assert once(url) == ""


def test_a_redirect_is_followed_on_its_host_and_no_further() -> None:
    with answering(redirect("/login"), GOOD) as url:
        assert once(url, "tag 7") == ""
    with answering(GOOD) as other:
        elsewhere = other.replace("127.0.0.1", "localhost")
        with answering(redirect(f"{elsewhere}/")) as url:
            assert once(url) == (f"it redirects to {elsewhere}/, and what another host answers is not this "
                                 "application's answer")
        # From http to https the port changes and the host does not.
        with answering(redirect(other)) as url:
            assert once(url, "tag 7") == ""


def test_a_load_balancer_by_the_name_that_aws_gave_it(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(GOOD, certificate=certificate) as address, by_name(monkeypatch, address):
        assert once(BALANCER, "tag 7") == ""
        assert once("https://shop-1.elb.cn-north-1.amazonaws.com.cn/", "tag 7") == ""
        for name in ("shop.example.com", "elb.amazonaws.com.example.com", "notelb.amazonaws.com"):
            assert once(f"https://{name}/") == "its certificate is not valid: self-signed certificate"


def test_an_address_of_the_users_own_is_verified_fully(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(GOOD, certificate=certificate) as url, by_name(monkeypatch, url):
        assert once("https://shop.example.com/") == "its certificate is not valid: self-signed certificate"
        assert once("https://shop.example.com/", "tag 7", validate_certs=False) == ""
        # Whom the machine trusts is trusted, under the certificate's name and no other.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert once("https://shop.example.com/", "tag 7") == ""
        assert once("https://cart.example.com/").startswith("its certificate is not valid: Hostname mismatch")
