"""Fingerprints of the sample keys of the OpenPGP standard, and the file that a host believes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from slipway import openpgp, signing_key
from slipway.download import DownloadError
from slipway.errors import InvalidInput

# RFC 9580, appendix A.1 and A.3 (of the latter its first packet, the primary key).
VERSION_4 = """-----BEGIN PGP PUBLIC KEY BLOCK-----
Comment: a header, which armor may have

xjMEU/NfCxYJKwYBBAHaRw8BAQdAPwmJlL3ZFu1AUxl5NOSofIBzOhKA1i+AEJku
Q+47JAY=
=iKmk
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT_4 = "C959BDBAFA32A2F89A153B678CFDE12197965A9A"
VERSION_6 = base64.b64decode("xioGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laM=")
FINGERPRINT_6 = "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9"
BINARY_4 = base64.b64decode("xjMEU/NfCxYJKwYBBAHaRw8BAQdAPwmJlL3ZFu1AUxl5NOSofIBzOhKA1i+AEJkuQ+47JAY=")
#: The same packet with an old header: tag 6, a length of one byte, of two, of four.
OLD = [bytes([0x98, 51]) + BINARY_4[2:], bytes([0x99, 0, 51]) + BINARY_4[2:], bytes([0x9A, 0, 0, 0, 51]) + BINARY_4[2:],
       bytes([0x9B]) + BINARY_4[2:]]
USER = b"\xcd\x03joe"


@pytest.mark.parametrize(("key", "fingerprints"), [
    (VERSION_4.encode(), [FINGERPRINT_4]),
    (VERSION_4.replace("\n", "\r\n").encode(), [FINGERPRINT_4]),
    (BINARY_4, [FINGERPRINT_4]),
    (VERSION_6, [FINGERPRINT_6]),
    (BINARY_4 + USER, [FINGERPRINT_4]),
    (BINARY_4 + USER + VERSION_6, [FINGERPRINT_4, FINGERPRINT_6]),
    ((VERSION_4 + VERSION_4).encode(), [FINGERPRINT_4, FINGERPRINT_4]),
    *((old, [FINGERPRINT_4]) for old in OLD),
])
def test_fingerprints(key: bytes, fingerprints: list[str]) -> None:
    assert openpgp.fingerprints(key) == fingerprints


@pytest.mark.parametrize("key", [b"", b"<html>not found</html>", USER, BINARY_4[:-1], b"\xc6", b"\xc6\xe0",
                                 b"\x00" * 60, VERSION_4.replace("xjME", "xj!E").encode(), b"\xc6\x02\x03\x00"])
def test_what_is_no_key_is_said_to_be_none(key: bytes) -> None:
    with pytest.raises(InvalidInput):
        openpgp.fingerprints(key)


@pytest.mark.parametrize("written", ["C959 BDBA FA32 A2F8 9A15  3B67 8CFD E121 9796 5A9A", FINGERPRINT_4.lower(),
                                     "0x" + FINGERPRINT_4])
def test_fingerprints_as_people_write_them(written: str) -> None:
    assert openpgp.normal(written) == FINGERPRINT_4


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.key"
    file.write_text(VERSION_4)
    return file


def present(source: Path, expected: list[str], check_mode: bool = False) -> bool:
    return bool(signing_key.present(source.as_uri(), str(source.with_name("trusted.asc")), expected,
                                    check_mode)["changed"])


def test_is_fetched_once(source: Path) -> None:
    trusted = source.with_name("trusted.asc")
    assert present(source, [FINGERPRINT_4], check_mode=True)
    assert not trusted.exists()
    assert present(source, [FINGERPRINT_4])
    assert trusted.read_text() == VERSION_4
    assert trusted.stat().st_mode & 0o777 == 0o644
    source.unlink()
    assert not present(source, [FINGERPRINT_4])


def test_a_damaged_file_is_fetched_again(source: Path) -> None:
    source.with_name("trusted.asc").write_text("cut off")
    assert present(source, [FINGERPRINT_4])
    assert source.with_name("trusted.asc").read_text() == VERSION_4


def test_another_key_is_refused_and_the_old_one_stays(source: Path) -> None:
    trusted = source.with_name("trusted.asc")
    trusted.write_bytes(VERSION_6)
    with pytest.raises(InvalidInput, match=FINGERPRINT_4) as raised:
        present(source, ["A" * 40])
    assert "expected is " + "A" * 40 in str(raised.value)
    assert trusted.read_bytes() == VERSION_6
    assert sorted(path.name for path in source.parent.iterdir()) == ["source.key", "trusted.asc"]


def test_a_key_more_than_expected_is_refused(source: Path) -> None:
    source.write_bytes(BINARY_4 + VERSION_6)
    with pytest.raises(InvalidInput):
        present(source, [FINGERPRINT_4])
    assert present(source, [FINGERPRINT_6, FINGERPRINT_4])


def test_no_expectation_is_none(source: Path) -> None:
    with pytest.raises(InvalidInput, match="any key would do"):
        present(source, [])


def test_a_page_in_place_of_a_key_and_no_page_at_all(source: Path) -> None:
    source.write_text("<html>404</html>")
    with pytest.raises(InvalidInput, match="no OpenPGP public key"):
        present(source, [FINGERPRINT_4])
    source.unlink()
    with pytest.raises(DownloadError, match="No such file"):
        present(source, [FINGERPRINT_4])
