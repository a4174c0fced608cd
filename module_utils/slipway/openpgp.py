"""Fingerprints of OpenPGP public keys (RFC 9580), read from the key itself: hosts have no gpg to ask."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

from .errors import InvalidInput

PUBLIC_KEY = 6
BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = b"-----END PGP PUBLIC KEY BLOCK-----"


def fingerprints(key: bytes) -> list[str]:
    """The fingerprint of every primary key in a file, armored or not, in upper case without spaces."""
    found = []
    for block in _blocks(key):
        found += [_fingerprint(body) for tag, body in _packets(block) if tag == PUBLIC_KEY]
    if not found:
        raise InvalidInput("This is no OpenPGP public key.")
    return found


def normal(fingerprint: str) -> str:
    """As people write it, with spaces, colons or 0x, in the form of `fingerprints`."""
    return fingerprint.replace(" ", "").replace(":", "").removeprefix("0x").upper()


def _blocks(key: bytes) -> Iterator[bytes]:
    if BEGIN not in key:
        yield key
        return
    for part in key.split(BEGIN)[1:]:
        text = part.partition(END)[0].replace(b"\r", b"")
        # Headers end with an empty line; the checksum begins with "=" and is not of the data.
        lines = text.partition(b"\n\n")[2].split(b"\n")
        try:
            yield base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")), validate=True)
        except binascii.Error as error:
            raise InvalidInput("This is no OpenPGP public key: its armor is damaged.") from error


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        head = data[position]
        if not head & 0x80:
            raise InvalidInput("This is no OpenPGP public key.")
        tag, start, length = _new(data, position) if head & 0x40 else _old(data, position)
        if start + length > len(data):
            raise InvalidInput("This OpenPGP public key is cut off.")
        yield tag, data[start:start + length]
        position = start + length


def _new(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag, start and length of a packet in the new format."""
    tag, first = data[position] & 0x3F, int.from_bytes(data[position + 1:position + 2], "big")
    if first < 192:
        return tag, position + 2, first
    if first < 224:
        return tag, position + 3, ((first - 192) << 8) + int.from_bytes(data[position + 2:position + 3], "big") + 192
    if first == 255:
        return tag, position + 6, int.from_bytes(data[position + 2:position + 6], "big")
    raise InvalidInput("This is no OpenPGP public key: a key is never sent in parts.")


def _old(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag, start and length of a packet in the old format."""
    tag, kind = (data[position] >> 2) & 0x0F, data[position] & 0x03
    if kind == 3:
        return tag, position + 1, len(data) - position - 1
    size: int = 1 << kind
    return tag, position + 1 + size, int.from_bytes(data[position + 1:position + 1 + size], "big")


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version == 4:
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()
    if version == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise InvalidInput(f"This OpenPGP key has version {version}; known are 4 and 6.")
