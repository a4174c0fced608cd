"""Secrets in config.xml, shaped as Jenkins encrypts them: {AQAAABAAAA...}.

Not Jenkins' own cipher: the standard library has no AES, so a stream made with HMAC-SHA256 is used. What a caller sees
is the same: other text at every save, readable by this Jenkins alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path

from . import files

SHAPE = re.compile(r"\{[A-Za-z0-9+/]+=*\}")
HEAD = b"\x01\x00\x00\x00\x10\x00\x00\x00"


def _key(home: Path) -> bytes:
    return hashlib.sha256(files.secret(home, "hudson.util.Secret")).digest()


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    blocks = (hmac.digest(key, nonce + number.to_bytes(4, "big"), "sha256") for number in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def encrypt(home: Path, plain: str) -> str:
    data, key, nonce = plain.encode(), _key(home), secrets.token_bytes(16)
    padded = data + bytes([16 - len(data) % 16]) * (16 - len(data) % 16)
    body = bytes(one ^ other for one, other in zip(padded, _stream(key, nonce, len(padded)), strict=True))
    mark = hmac.digest(key, nonce + body, "sha256")[:8]
    return "{" + base64.b64encode(HEAD + len(padded).to_bytes(1, "big") + nonce + body + mark).decode() + "}"


def decrypt(home: Path, text: str) -> str:
    """The plain text; what is no secret of this Jenkins is taken as plain text itself, as Jenkins does."""
    if not SHAPE.fullmatch(text):
        return text
    try:
        data = base64.b64decode(text[1:-1], validate=True)
    except binascii.Error:
        return text
    key, nonce, body, mark = _key(home), data[9:25], data[25:-8], data[-8:]
    if not data.startswith(HEAD) or not body:
        return text
    if not hmac.compare_digest(hmac.digest(key, nonce + body, "sha256")[:8], mark):
        return text
    padded = bytes(one ^ other for one, other in zip(body, _stream(key, nonce, len(body)), strict=True))
    return padded[:-padded[-1]].decode()
